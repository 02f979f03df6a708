/* Leases against removal, on the shipped code: claim, re-check and release against insert, replace,
   unlink, free, and recycling of the memory for another key; one and two readers, and a visit. */

#include "scenario.h"

static sark_cache *cache;

/* Reads a key as a hit does, and checks that its bytes are its own. */
static void read_key(const char *key)
{
    sarki_query query = sarki_query_of(cache, key, 1);
    sarki_hold hold = sarki_hold_begin(&cache->leases, SARKI_TO_HIT, 0);
    uint32_t ref = 0;
    for (int tries = 0; tries < 2; tries++) {
        sarki_found found =
            sarki_find_once(&cache->index, cache->region, &cache->leases, &query, &hold, &ref);
        if (found == SARKI_FOUND) {
            sarki_entry *entry = sarki_entry_of(cache, ref);
            SARKI_BYTES_READ(entry);
            RL_ASSERT(entry->value_bytes == 1);
            RL_ASSERT(sarki_entry_value(entry)[0] == (unsigned char)key[0]);
            sarki_entry_touch(entry, sarki_stamp_now(&cache->stamps));
        }
        if (found != SARKI_AGAIN) break;
    }
    sarki_hold_end(&hold);
}

static void warm_homes(unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) model_home(cache, i, i % cache->leases.lease_count);
}

/* A cache with one key, which is there; each thread has its home slot. */
static void prepare_cache(unsigned threads, unsigned leases)
{
    cache = model_cache(4, leases, 1);
    warm_homes(threads);
    RL_ASSERT(sark_cache_set(cache, "a", 1, "a", 1, 0) == SARK_CACHE_OK);
}

/* Readers in the first threads, and what a writer does in the last. */
template <int READERS, void (*WRITER)()> struct readers_and_writer {
    enum { THREADS = READERS + 1 };
    void prepare() { prepare_cache(THREADS, 2); }
    void run(unsigned thread)
    {
        if (thread < READERS) read_key("a");
        else WRITER();
    }
    void finish() { model_end(cache); }
};

static void scan(bool wants_spares = false)
{
    sarki_shard *shard = cache->shards;
    sarki_shard_lock(shard);
    sarki_retired_scan_locked(cache, shard, wants_spares);
    sarki_shard_unlock(shard);
}

/* The key is replaced, and its old entry freed and recycled for another key. */
static void replace_and_recycle()
{
    sark_cache_set(cache, "a", 1, "a", 1, 0);
    scan();
    sark_cache_set(cache, "b", 1, "b", 1, 0);
}

/* The key is replaced twice: a reader may hold the second entry by moving its lease. */
static void replace_twice()
{
    sark_cache_set(cache, "a", 1, "a", 1, 0);
    sark_cache_set(cache, "a", 1, "a", 1, 0);
    scan();
}

/* The key is deleted, freed, and inserted again in the same memory and slot. */
static void delete_and_reuse()
{
    sark_cache_delete(cache, "a", 1);
    scan();
    sark_cache_set(cache, "a", 1, "a", 1, 0);
}

/* The key is evicted, and its block, once it is spare, given to another key. */
static void evict_and_reuse()
{
    sark_cache_set(cache, "e", 1, "e", 1, 0);
    scan(true);
    sark_cache_set(cache, "f", 1, "f", 1, 0);
}

/* As readers_and_writer, in a full cache whose oldest key is the one that is read. */
template <int READERS, void (*WRITER)()> struct readers_of_a_full_cache
    : readers_and_writer<READERS, WRITER> {
    void prepare()
    {
        prepare_cache(READERS + 1, 2);
        for (const char *key = "bcd"; *key; key++)
            RL_ASSERT(sark_cache_set(cache, key, 1, key, 1, 0) == SARK_CACHE_OK);
    }
};

/* A key is read while it is inserted. */
struct insert_and_read {
    enum { THREADS = 2 };
    void prepare() { prepare_cache(THREADS, 2); }
    void run(unsigned thread)
    {
        if (thread == 0) read_key("b");
        else sark_cache_set(cache, "b", 1, "b", 1, 0);
    }
    void finish() { model_end(cache); }
};

/* The reader's home is taken, so that it claims the other slot. */
struct home_is_taken : readers_and_writer<1, replace_and_recycle> {
    void prepare()
    {
        prepare_cache(THREADS, 2);
        take(SARKI_CLAIMED);
    }
    void finish()
    {
        take(0);
        model_end(cache);
    }
    static void take(uint32_t ref)
    {
        sarki_store32_relaxed(&sarki_lease_at(&cache->leases, 0)->a_ref, ref);
    }
};

static bool visit(void *, const void *key, size_t, const void *value, size_t, int64_t)
{
    RL_ASSERT(*(const char *)key == *(const char *)value);
    return true;
}

/* All entries are visited while one is replaced, and its memory given to another. */
struct visit_and_replacement {
    enum { THREADS = 2 };
    void prepare() { prepare_cache(THREADS, 2); }
    void run(unsigned thread)
    {
        if (thread == 1) replace_and_recycle();
        else RL_ASSERT(sark_cache_foreach(cache, visit, NULL) == SARK_CACHE_OK);
    }
    void finish() { model_end(cache); }
};

/* Two readers count what they did in one home slot, and nothing is lost. */
struct counts_of_two_readers {
    enum { THREADS = 2 };
    void prepare()
    {
        cache = model_cache(4, 2, 1);
        for (unsigned i = 0; i < THREADS; i++) model_home(cache, i, 0);
        RL_ASSERT(sark_cache_set(cache, "a", 1, "a", 1, 0) == SARK_CACHE_OK);
    }
    void run(unsigned)
    {
        char value = 0;
        RL_ASSERT(sark_cache_get(cache, "x", 1, &value, 1, NULL) == SARK_CACHE_MISS);
        RL_ASSERT(sark_cache_get(cache, "a", 1, &value, 1, NULL) == SARK_CACHE_OK);
    }
    void finish()
    {
        sark_cache_metrics metrics;
        sark_cache_metrics_read(cache, &metrics);
        RL_ASSERT(metrics.hits == 2 && metrics.misses == 2);
        model_end(cache);
    }
};

int main()
{
    model_run<insert_and_read>("an insert and a read");
    model_run<readers_and_writer<1, replace_and_recycle> >("replace and recycle");
    model_run<readers_and_writer<1, replace_twice> >("replace twice");
    model_run<readers_and_writer<1, delete_and_reuse> >("delete and reuse");
    model_run<readers_of_a_full_cache<1, evict_and_reuse> >("evict and reuse");
    model_run<home_is_taken>("a home that is taken");
    model_run<visit_and_replacement>("a visit and a replacement");
    model_run<counts_of_two_readers>("counts of two readers");
    model_run_long<readers_and_writer<2, replace_and_recycle> >("two readers, and a replacement");
    return model_summary();
}
