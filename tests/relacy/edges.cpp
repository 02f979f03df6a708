/* The edges beside leases and words, on the shipped code: homes that a thread takes while another
   scans, a place that is waited for, callbacks, destroy, pins given back twice or looked at, the
   time asleep. */

#define SARKI_SPINS 2u
#include "scenario.h"

static sark_cache *cache;

static void set(char key)
{
    RL_ASSERT(sark_cache_set(cache, &key, 1, &key, 1, 0) == SARK_CACHE_OK);
}

/* Gets a key that may be there, and sees its bytes or none. */
static void get(char key)
{
    char value = 0;
    sark_cache_status status = sark_cache_get(cache, &key, 1, &value, 1, NULL);
    RL_ASSERT(status == SARK_CACHE_MISS || (status == SARK_CACHE_OK && value == key));
}

/* Replaces a key, and gives the block that it had to another. */
static void replace_and_reuse()
{
    set('a');
    sarki_retired_collect(cache);
    set('b');
}

/* A thread without a home reads while what it reads is freed: the scan knows its slot. */
struct first_read {
    enum { THREADS = 2 };
    void prepare()
    {
        cache = model_cache(4, 2, 1);
        set('a');
        sarki_store32_relaxed(&cache->leases.a_slots_used, 0); /* nobody came yet */
    }
    void run(unsigned thread)
    {
        if (thread == 0) get('a');
        else replace_and_reuse();
    }
    void finish() { model_end(cache); }
};

/* A thread finds a home that another, whose tag is the same, has just taken. */
struct given_home {
    enum { THREADS = 3 };
    void prepare()
    {
        cache = model_cache(4, 2, 1);
        set('a');
        sarki_store32_relaxed(&cache->leases.a_slots_used, 0);
        memset(cache->leases.a_hints, 0, (cache->leases.hint_mask + 1) * sizeof(sarki_a32));
        for (uint32_t i = 0; i <= cache->leases.hint_mask; i++)
            sarki_store32_relaxed(&cache->leases.a_hints[i], 0);
        model_home(cache, 2, 0);
    }
    void run(unsigned thread)
    {
        if (thread == 0) model_home(cache, 1, 1);
        else if (thread == 1) get('a');
        else replace_and_reuse();
    }
    void finish() { model_end(cache); }
};

/* Two keys of two shards and one place, which may belong to an insert under way: nobody waits for
   ever. */
struct one_place {
    enum { THREADS = 2 };
    char keys[2];
    uint32_t tag_of(unsigned which) { return sarki_query_of(cache, &keys[which], 1).tag; }
    void prepare()
    {
        cache = model_cache(1, 2, 2);
        keys[0] = 'a';
        keys[1] = 'b';
        while (((tag_of(0) ^ tag_of(1)) & 1) == 0) keys[1]++;
    }
    void run(unsigned thread) { set(keys[thread]); }
    void finish()
    {
        RL_ASSERT(sark_cache_size(cache) == 1);
        model_end(cache);
    }
};

/* The same where who tries a lock may find it taken: the search for a victim looks whether another
   has it meanwhile, and picks again. */
struct one_place_and_locks_taken : one_place {
    void prepare()
    {
        one_place::prepare();
        model_tries_fail = true;
    }
    void finish()
    {
        model_tries_fail = false;
        one_place::finish();
    }
};

/* The same where the place becomes free by a delete. */
struct one_place_and_a_delete {
    enum { THREADS = 2 };
    void prepare()
    {
        cache = model_cache(1, 2, 1);
        set('a');
    }
    void run(unsigned thread)
    {
        if (thread == 0) sark_cache_delete(cache, "a", 1);
        else set('b');
    }
    void finish()
    {
        RL_ASSERT(sark_cache_size(cache) == 1);
        model_end(cache);
    }
};

/* A pin is given back by two threads: once. Then it is out again, for another use, whose number has
   gone round. */
struct unpin_twice {
    enum { THREADS = 2 };
    sark_cache_pinned pinned[2];
    int given_back;
    void prepare()
    {
        cache = model_cache(4, 2, 1);
        set('a');
        sarki_store32_relaxed(&cache->leases.pins[0].a_sequence, UINT32_MAX - 1);
        RL_ASSERT(sark_cache_pin(cache, "a", 1, &pinned[0]) == SARK_CACHE_OK);
        pinned[1] = pinned[0];
        given_back = 0;
    }
    void run(unsigned thread)
    {
        sark_cache_pinned again;
        given_back += sark_cache_unpin(cache, &pinned[thread]) == SARK_CACHE_OK;
        if (thread == 1 || sark_cache_pin(cache, "a", 1, &again) != SARK_CACHE_OK) return;
        RL_ASSERT(sark_cache_unpin(cache, &again) == SARK_CACHE_OK);
    }
    void finish()
    {
        RL_ASSERT(given_back == 1);
        RL_ASSERT(!sarki_pins_are_out(cache));
        model_end(cache);
    }
};

/* Who makes room sees the block of a pin that is out, or none: never one that is free, though a
   reader who has found the key before it was replaced claims a pin for that. */
struct pins_looked_at {
    enum { THREADS = 3 };
    uint32_t gone;
    void prepare()
    {
        cache = model_cache(4, 2, 1);
        set('a');
        gone = model_ref_of(cache, 'a');
        set('a');
        sarki_retired_collect(cache);
    }
    void run(unsigned thread)
    {
        if (thread == 0) {
            sark_cache_pinned pinned;
            if (sark_cache_pin(cache, "a", 1, &pinned) == SARK_CACHE_OK)
                RL_ASSERT(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        } else if (thread == 1) {
            sarki_hold hold = {NULL, NULL, NULL, NULL, 0, 0, 0, SARKI_TO_PIN};
            if (!sarki_hold_ref(&cache->leases, &hold, gone)) return;
            RL_ASSERT(sarki_hold_ref(&cache->leases, &hold, model_ref_of(cache, 'a')));
            sarki_pin_out(hold.pin);
        } else {
            sarki_lock(&cache->memory.mutex);
            uint32_t ref = sarki_pin_block_locked(&cache->leases.pins[0]);
            if (ref > SARKI_CLAIMED) RL_ASSERT(!sarki_block_is_free(&cache->memory.arena, ref));
            sarki_unlock(&cache->memory.mutex);
        }
    }
    void finish() { model_end(cache); }
};

/* The bytes of a pinned value are its own until it is given back. */
struct pin_and_replace {
    enum { THREADS = 2 };
    void prepare()
    {
        cache = model_cache(4, 2, 1);
        set('a');
    }
    void run(unsigned thread)
    {
        sark_cache_pinned pinned;
        if (thread == 1) return replace_and_reuse();
        if (sark_cache_pin(cache, "a", 1, &pinned) != SARK_CACHE_OK) return;
        SARKI_BYTES_READ(sarki_entry_of(
            cache, sarki_load32_relaxed(&cache->leases.pins[pinned.pin].a_ref)));
        RL_ASSERT(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    }
    void finish() { model_end(cache); }
};

/* After a sleep whoever finds that the time asleep has been read anew counts it. */
struct time_asleep {
    enum { THREADS = 2 };
    void prepare()
    {
        model_asleep_ns = 0;
        model_now_ns = 1000000;
        cache = model_cache(4, 2, 1);
        RL_ASSERT(sarki_now(cache) == model_now_ns);
        model_asleep_ns = 5000000;
        model_now_ns += 2 * (int64_t)SARKI_ASLEEP_EVERY_NS;
    }
    void run(unsigned) { RL_ASSERT(sarki_now(cache) == model_now_ns + model_asleep_ns); }
    void finish()
    {
        model_end(cache);
        model_asleep_ns = 0;
    }
};

static sarki_a32 peak;

/* Of two threads that raise a peak at once the higher one stays. */
struct two_peaks {
    enum { THREADS = 2 };
    void prepare() { sarki_store32_relaxed(&peak, 0); }
    void run(unsigned thread) { sarki_raise32(&peak, thread + 1); }
    void finish()
    {
        RL_ASSERT(sarki_load32_relaxed(&peak) == 2);
        model_forget_all();
    }
};

static unsigned reports;

static void report(void *, const void *, size_t, const void *, size_t, sark_cache_cause)
{
    reports++;
}

/* Two threads are to call back, and the table has a row for one. */
struct one_row {
    enum { THREADS = 2 };
    void prepare()
    {
        cache = model_cache(4, 2, 1, report);
        set('a');
        set('b');
        reports = 0;
    }
    void run(unsigned thread)
    {
        RL_ASSERT(sark_cache_delete(cache, thread == 0 ? "a" : "b", 1) == SARK_CACHE_OK);
    }
    void finish()
    {
        RL_ASSERT(reports == 2);
        model_end(cache);
    }
};

/* The cache is destroyed as soon as it is known that the last reader is done, and the region is its
   owner's again. */
struct last_reader_and_destroy {
    enum { THREADS = 2 };
    rl::atomic<int> done;
    bool destroyed;
    void prepare()
    {
        cache = model_cache(4, 2, 1, report);
        set('a');
        reports = 0;
        destroyed = false;
        done.store(0, rl::mo_relaxed, $);
    }
    void destroy()
    {
        sarki_entry *entry = sarki_entry_of(cache, model_ref_of(cache, 'a'));
        RL_ASSERT(sark_cache_destroy(cache) == SARK_CACHE_OK);
        RL_ASSERT(reports == 1);
        SARKI_BYTES_WRITTEN(entry);
        destroyed = true;
    }
    void run(unsigned thread)
    {
        sark_cache_pinned pinned;
        if (thread == 1) {
            if (done.load(rl::mo_acquire, $)) destroy();
            return;
        }
        get('a');
        RL_ASSERT(sark_cache_pin(cache, "a", 1, &pinned) == SARK_CACHE_OK);
        RL_ASSERT(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        done.store(1, rl::mo_release, $);
    }
    void finish()
    {
        if (!destroyed) destroy();
        model_forget_all();
    }
};

int main()
{
    model_run<two_peaks>("two peaks at once");
    model_run<first_read>("the first read of a thread");
    model_run_long<given_home>("a home given by another thread");
    model_run<one_place>("two sets and one place");
    model_run_long<one_place_and_locks_taken>("two sets, one place, and locks that are taken");
    model_run<one_place_and_a_delete>("a set, a delete and one place");
    model_run<one_row>("two callbacks and one row");
    model_run<last_reader_and_destroy>("the last reader and destroy");
    model_run<unpin_twice>("a pin given back twice");
    model_run<pins_looked_at>("pins looked at");
    model_run<pin_and_replace>("a pin and a replacement");
    model_run<time_asleep>("the time asleep");
    return model_summary();
}
