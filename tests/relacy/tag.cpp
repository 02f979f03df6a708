/* The index on the shipped code: a slot that changes hands between shards, whose tag and reference
   others look at, and a lookup that passes buckets while neighbours come and go. */

#include "scenario.h"

static sark_cache *cache;
static char first_key, second_key; /* of one home bucket and two shards */

static sarki_query query_of(const char *key)
{
    return sarki_query_of(cache, key, 1);
}

static sarki_shard *shard_of(const char *key)
{
    return &cache->shards[sarki_shard_number(cache, query_of(key).tag)];
}

static uint32_t home_of(const char *key)
{
    return sarki_index_home(&cache->index, query_of(key).hash);
}

static void set(const char *key)
{
    RL_ASSERT(sark_cache_set(cache, key, 1, key, 1, 0) == SARK_CACHE_OK);
}

static void prepare_cache()
{
    cache = model_cache(4, 2, 2);
    first_key = 'a';
    second_key = 'b';
    while (shard_of(&first_key) == shard_of(&second_key) ||
           home_of(&first_key) != home_of(&second_key))
        second_key++;
}

/* The slot that the first key has, and the second one gets when the first has left. */
static sarki_spot spot_of_both()
{
    sarki_spot spot = {home_of(&first_key), 0};
    return spot;
}

/* One thread claims the slot and leaves it; another, under another lock, claims it then, or the one
   beside, whose tag stands in the same word. */
struct slot_changes_hands {
    enum { THREADS = 2 };
    uint32_t ref; /* an entry of the first key, which is in the orders, but not in the index */
    void prepare()
    {
        prepare_cache();
        set(&first_key);
        ref = model_ref_of(cache, first_key);
        leave();
        set(&second_key);
        sark_cache_delete(cache, &second_key, 1);
    }
    void claim()
    {
        sarki_query query = query_of(&first_key);
        sarki_shard_lock(shard_of(&first_key));
        sarki_index_insert_locked(&cache->index, &query, ref);
        sarki_shard_unlock(shard_of(&first_key));
    }
    void leave()
    {
        sarki_spot spot;
        sarki_query query = query_of(&first_key);
        sarki_shard_lock(shard_of(&first_key));
        sarki_index_find_locked(&cache->index, cache->region, &query, &spot);
        sarki_index_remove_locked(&cache->index, spot, query.hash);
        sarki_shard_unlock(shard_of(&first_key));
    }
    void run(unsigned thread)
    {
        if (thread == 1) return set(&second_key);
        claim();
        leave();
    }
    void finish()
    {
        claim();
        RL_ASSERT(sark_cache_contains(cache, &second_key, 1) == SARK_CACHE_OK);
        model_end(cache);
    }
};

/* A slot that the first key has left, with its tag. */
static void prepare_left_slot()
{
    prepare_cache();
    set(&first_key);
    sark_cache_delete(cache, &first_key, 1);
}

/* Who looks for a key, and finds its tag where a key of another shard is by now, does not read that
   key's entry. */
struct tag_of_another_shard {
    enum { THREADS = 2 };
    void prepare() { prepare_left_slot(); }
    void run(unsigned thread)
    {
        if (thread == 0) set(&second_key);
        else RL_ASSERT(sark_cache_delete(cache, &first_key, 1) == SARK_CACHE_MISS);
    }
    void finish() { model_end(cache); }
};

/* Who sees an entry in a slot finds it there: a walk overlooks none that stays. */
struct slot_is_seen {
    enum { THREADS = 2 };
    void prepare() { prepare_left_slot(); }
    void run(unsigned thread)
    {
        uint32_t ref = 0;
        sarki_spot spot = spot_of_both();
        if (thread == 0) return set(&second_key);
        sarki_bucket *bucket = &cache->index.buckets[spot.bucket];
        if (sarki_load32_relaxed(&bucket->a_refs[spot.slot]) <= SARKI_CLAIMED) return;
        RL_ASSERT(sarki_slot_lock(cache, spot, &ref) == shard_of(&second_key));
        sarki_shard_unlock(shard_of(&second_key));
    }
    void finish() { model_end(cache); }
};

/* A walk that comes while the slot goes from one shard to the other has the lock of the entry that
   it reads. */
struct slot_changes_under_a_walk {
    enum { THREADS = 2 };
    void prepare()
    {
        prepare_cache();
        set(&first_key);
    }
    void run(unsigned thread)
    {
        uint32_t ref = 0;
        if (thread == 0) {
            sark_cache_delete(cache, &first_key, 1);
            return set(&second_key);
        }
        sarki_shard *shard = sarki_slot_lock(cache, spot_of_both(), &ref);
        if (!shard) return;
        const char *key = shard == shard_of(&first_key) ? &first_key : &second_key;
        RL_ASSERT(sarki_entry_has_key(sarki_entry_of(cache, ref), key, 1));
        sarki_shard_unlock(shard);
    }
    void finish() { model_end(cache); }
};

/* A key that found its home full is found there, while its home's slots change hands. */
struct passed_bucket {
    enum { THREADS = 2 };
    char keys[4]; /* of one home */
    void prepare()
    {
        cache = model_cache(4, 2, 1);
        keys[0] = 'a';
        for (unsigned i = 1; i < 4; i++) {
            keys[i] = keys[i - 1] + 1;
            while (home_of(&keys[i]) != home_of(&keys[0])) keys[i]++;
        }
        for (unsigned i = 0; i < 3; i++) set(&keys[i]);
        model_home(cache, 0, 0);
    }
    void run(unsigned thread)
    {
        if (thread == 0) {
            RL_ASSERT(sark_cache_contains(cache, &keys[2], 1) == SARK_CACHE_OK);
            return;
        }
        sark_cache_delete(cache, &keys[0], 1);
        set(&keys[3]);
    }
    void finish() { model_end(cache); }
};

int main()
{
    model_run<slot_changes_hands>("a slot changes hands");
    model_run<tag_of_another_shard>("a tag of another shard");
    model_run<slot_is_seen>("a slot is seen");
    model_run<slot_changes_under_a_walk>("a slot changes under a walk");
    model_run<passed_bucket>("a bucket that was passed");
    return model_summary();
}
