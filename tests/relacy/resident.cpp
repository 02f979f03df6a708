/* Resident words on the shipped code: hits that stamp beside their lease, against a writer that
   wants the entry's stamp, and one that removes the entry and gives its memory to another key. No
   touch is lost, and no stamp is written into memory that has changed hands. */

#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) true
#include "scenario.h"

static sark_cache *cache;
static uint64_t last_touch[2]; /* the latest stamp that a finished hit gave to each key */
static char keys[2];           /* of entries that may stand in one word only */

/* Inserts keys until two of them share a word. */
static void choose_keys()
{
    char of_way[SARKI_RESIDENT_WAYS] = {0};
    for (char key = 'a';; key++) {
        RL_ASSERT(sark_cache_set(cache, &key, 1, &key, 1, 0) == SARK_CACHE_OK);
        char *other = &of_way[sarki_resident_way(model_ref_of(cache, key))];
        keys[0] = *other;
        keys[1] = key;
        if (*other) return;
        *other = key;
    }
}

/* slots: how many homes the threads share. */
static void prepare_cache(unsigned threads, unsigned slots)
{
    cache = model_cache(16, 2, 1);
    choose_keys();
    for (unsigned i = 0; i < threads; i++) model_home(cache, i, i % slots);
    for (unsigned i = 0; i < 2; i++) { /* the number of a word's uses is to go round */
        sarki_residents *residents = sarki_residents_of(sarki_lease_at(&cache->leases, i));
        uint32_t way = sarki_resident_way(model_ref_of(cache, keys[0]));
        sarki_store64_relaxed(&residents->a_words[way], ~(uint64_t)UINT32_MAX);
    }
    last_touch[0] = last_touch[1] = 0;
}

/* A hit, if the key is there. */
static void hit(unsigned slot, unsigned which)
{
    char value = 0;
    sark_cache_status status = sark_cache_get(cache, &keys[which], 1, &value, 1, NULL);
    RL_ASSERT(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status != SARK_CACHE_OK) return;
    RL_ASSERT(value == keys[which]);
    uint64_t stamp = sarki_load64_relaxed(&sarki_lease_at(&cache->leases, slot)->a_last_stamp);
    if (stamp > last_touch[which]) last_touch[which] = stamp;
}

/* The last stamp of an entry, as a search for a victim finds it. */
static uint64_t settled(uint32_t ref)
{
    sarki_shard_lock(cache->shards);
    uint64_t stamp = sarki_settle_locked(cache, ref);
    sarki_shard_unlock(cache->shards);
    return stamp;
}

/* Nobody hits any more: the stamps of finished hits are there. */
static void touches_are_there()
{
    for (unsigned which = 0; which < 2; which++) {
        uint32_t ref = model_ref_of(cache, keys[which]);
        if (ref) RL_ASSERT(settled(ref) >= last_touch[which]);
    }
    model_end(cache);
}

/* Two readers, each with a home of its own, one hits twice, and a writer that looks. */
struct hits_and_look {
    enum { THREADS = 3 };
    void prepare() { prepare_cache(THREADS, 2); }
    void run(unsigned thread)
    {
        if (thread == 2) settled(model_ref_of(cache, keys[0]));
        else for (unsigned i = thread; i < 2; i++) hit(thread, 0);
    }
    void finish() { touches_are_there(); }
};

/* A reader goes from one entry to the other and back, in the same word. */
struct words_change_hands {
    enum { THREADS = 2 };
    void prepare() { prepare_cache(THREADS, 2); }
    void run(unsigned thread)
    {
        if (thread == 1) {
            settled(model_ref_of(cache, keys[0]));
            settled(model_ref_of(cache, keys[1]));
            return;
        }
        for (unsigned i = 0; i < 3; i++) hit(thread, i % 2);
    }
    void finish() { touches_are_there(); }
};

/* A writer looks at the word of an entry while its reader takes it for another: the stamp that it
   finds is not the other's. */
struct look_at_a_taken_word {
    enum { THREADS = 2 };
    uint64_t found;
    void prepare()
    {
        prepare_cache(THREADS, 2);
        hit(0, 0);
        found = 0;
    }
    void run(unsigned thread)
    {
        if (thread == 0) return hit(0, 1);
        uint32_t ref = model_ref_of(cache, keys[0]);
        sarki_shard_lock(cache->shards);
        sarki_resident_empty(sarki_lease_at(&cache->leases, 0), ref, &found);
        sarki_entry_raise(sarki_entry_of(cache, ref), found);
        sarki_shard_unlock(cache->shards);
    }
    void finish()
    {
        RL_ASSERT(found == 0 || sarki_stamp_key(found) == sarki_stamp_key(last_touch[0]));
        touches_are_there();
    }
};

/* Two readers with one home, who hit by its word, which one of them then takes for another entry.
   The slot's last stamp is of either, so none is expected; but no hit of a word is lost to the
   count beside it, so no stamp is either. */
struct one_home {
    enum { THREADS = 2 };
    void prepare()
    {
        prepare_cache(THREADS, 1);
        hit(0, 0);
    }
    void run(unsigned thread)
    {
        hit(0, 0);
        if (thread == 0) hit(0, 1);
        else settled(model_ref_of(cache, keys[0]));
    }
    void finish()
    {
        sark_cache_metrics metrics;
        sark_cache_metrics_read(cache, &metrics);
        RL_ASSERT(metrics.hits == 4);
        last_touch[0] = last_touch[1] = 0;
        touches_are_there();
    }
};

/* A thread hits for the first time an entry that is marked already, while a writer looks, who sees
   the words of its slot. */
struct first_hit_and_look {
    enum { THREADS = 2 };
    void prepare()
    {
        prepare_cache(1, 1);
        hit(0, 0);
        model_home(cache, 1, 1);
        sarki_store32_relaxed(&cache->leases.a_slots_used, 1); /* that home is not known yet */
    }
    void run(unsigned thread)
    {
        if (thread == 0) {
            settled(model_ref_of(cache, keys[0]));
            return;
        }
        model_home(cache, 1, 1);
        hit(1, 0);
    }
    void finish() { touches_are_there(); }
};

/* The entry is removed, and its memory given to a key that nobody reads, while a reader has it in a
   word and takes the word for another: what is not its own any more it does not touch. */
struct hits_and_removal {
    enum { THREADS = 2 };
    void prepare() { prepare_cache(THREADS, 2); }
    void run(unsigned thread)
    {
        if (thread == 0) {
            hit(0, 0);
            hit(0, 0); /* by the word */
            hit(0, 1); /* takes the word over */
            return;
        }
        sark_cache_delete(cache, &keys[0], 1);
        sarki_shard_lock(cache->shards);
        sarki_retired_scan_locked(cache, cache->shards, false);
        sarki_shard_unlock(cache->shards);
        sark_cache_set(cache, "z", 1, "z", 1, 0);
    }
    void finish()
    {
        sarki_entry *entry = sarki_entry_of(cache, model_ref_of(cache, 'z'));
        uint64_t stamp = sarki_load64_relaxed(&entry->a_stamp);
        RL_ASSERT(sarki_stamp_is_placed(stamp));
        touches_are_there();
    }
};

/* A reader who has the entry in a word looks at it without a use of the word, as its buffer is too
   short, while the entry is removed and its memory freed. */
struct look_and_removal {
    enum { THREADS = 2 };
    void prepare()
    {
        prepare_cache(THREADS, 2);
        hit(0, 0);
    }
    void run(unsigned thread)
    {
        if (thread == 0) {
            sark_cache_status status = sark_cache_get(cache, &keys[0], 1, NULL, 0, NULL);
            RL_ASSERT(status == SARK_CACHE_SHORT_BUFFER || status == SARK_CACHE_MISS);
            return;
        }
        sark_cache_delete(cache, &keys[0], 1);
        sarki_retired_collect(cache);
    }
    void finish() { touches_are_there(); }
};

int main()
{
    model_run_long<hits_and_look>("hits of two readers, and a look");
    model_run<words_change_hands>("a word changes hands");
    model_run<look_at_a_taken_word>("a look at a word that is taken");
    model_run_long<one_home>("two readers with one home");
    model_run<first_hit_and_look>("a first hit and a look");
    model_run<hits_and_removal>("hits and removal");
    model_run<look_and_removal>("a look by a word, and removal");
    return model_summary();
}
