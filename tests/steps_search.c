/* The search for a victim ends although every entry that it could take is being touched: all
   residents of a full cache are hot, other threads hit them without pause, and 1,000 inserts must
   each find a victim. With one hot entry in each shard that takes two rounds over the shards: each
   visit to a shard takes its lock, so the locks taken are counted. With several, spread by chance,
   it takes a few visits for each entry that was hit since the victim before. */

#include "calls.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define SHARDS 64u
#define TOUCHERS_MOST 3u
#define VICTIMS 1000u
#define HOT_MOST 512u
#define NOBODY UINT64_MAX
#define OTHER_LOCKS 32u /* an insert's locks beside those of the search */
#define MOVES_OF_ONE 8u /* re-placings of an entry until its order is known */

static unsigned hot_count;
static _Atomic(uint64_t) hot[HOT_MOST]; /* the keys resident, each in a place of this table */
static _Atomic(uint64_t) last_victim;
static _Atomic(bool) stop;
static _Atomic(uint64_t) hits;
static uint64_t next_key;

static void removed(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, sark_cache_cause cause)
{
    uint64_t victim;
    (void)context;
    (void)value;
    (void)value_bytes;
    memcpy(&victim, key, sizeof victim);
    CHECK(key_bytes == sizeof victim);
    CHECK(cause != SARK_CACHE_EXPIRED && cause != SARK_CACHE_REPLACED);
    if (cause != SARK_CACHE_EVICTED) return;
    CHECK(atomic_exchange(&last_victim, victim) == NOBODY);
}

/* ---- The other threads ---- */

/* As many as leave a processor to the inserts. */
static unsigned toucher_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors <= 2) return 1;
    return processors > (long)TOUCHERS_MOST ? TOUCHERS_MOST : (unsigned)processors - 1;
}

/* Hits every key of the table in turn, all the time. */
static void *toucher_run(void *context)
{
    sark_cache *cache = *(sark_cache **)context;
    uint64_t turn = 0, found = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint64_t key = atomic_load_explicit(&hot[turn++ % hot_count], memory_order_relaxed);
        uint64_t value = 0;
        found += sark_cache_get(cache, &key, sizeof key, &value, sizeof value, NULL) ==
                 SARK_CACHE_OK;
        if (turn % 1024 == 0) {
            atomic_fetch_add(&hits, found);
            found = 0;
        }
    }
    return NULL;
}

/* Until everything has been touched again. */
static void await_touches(void)
{
    uint64_t enough = atomic_load(&hits) + 2048;
    while (atomic_load(&hits) < enough) sched_yield();
}

/* ---- The inserts ---- */

static void insert(sark_cache *cache, uint64_t key)
{
    CHECK(sark_cache_set(cache, &key, sizeof key, &key, sizeof key, 0) == SARK_CACHE_OK);
}

static uint32_t shard_of(const sark_cache *cache, uint64_t key)
{
    return sarki_shard_number(cache, sarki_query_of(cache, &key, sizeof key).tag);
}

/* A key that was not used before, of this shard. */
static uint64_t key_of_shard(const sark_cache *cache, uint32_t shard)
{
    do next_key++;
    while (shard_of(cache, next_key) != shard);
    return next_key;
}

/* Lets a key take its victim's place in the table, so that all residents stay hot. */
static bool put_in_place(uint64_t victim, uint64_t key)
{
    for (unsigned i = 0; i < hot_count; i++) {
        if (atomic_load(&hot[i]) != victim) continue;
        atomic_store(&hot[i], key);
        return true;
    }
    return false;
}

/* Inserts one more key. Where there is one entry a shard, the next takes the victim's shard. */
static uint64_t insert_at_capacity(sark_cache *cache)
{
    uint64_t key = ++next_key;
    atomic_store(&last_victim, NOBODY);
    uint64_t locks = calls_locks_now();
    insert(cache, key);
    locks = calls_locks_now() - locks;
    uint64_t victim = atomic_load(&last_victim);
    CHECK(victim != NOBODY);
    if (hot_count == SHARDS) {
        CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
        key = key_of_shard(cache, shard_of(cache, victim));
        insert(cache, key);
    }
    CHECK(put_in_place(victim, key));
    return locks;
}

static void find_victims(sark_cache *cache, uint64_t victims)
{
    uint64_t most_locks = 0, longest_ns = 0;
    sark_cache_metrics before, after;
    sark_cache_metrics_read(cache, &before);
    for (uint64_t i = 0; i < victims; i++) {
        await_touches();
        uint64_t start_ns = test_now_ns();
        uint64_t locks = insert_at_capacity(cache);
        uint64_t took_ns = test_now_ns() - start_ns;
        if (locks > most_locks) most_locks = locks;
        if (took_ns > longest_ns) longest_ns = took_ns;
    }
    sark_cache_metrics_read(cache, &after);
    uint64_t moves = after.recency_moves - before.recency_moves;
    printf("  %u hot entries: %llu victims, %llu re-placings, at most %llu locks, %llu us\n",
           hot_count, (unsigned long long)victims, (unsigned long long)moves,
           (unsigned long long)most_locks, (unsigned long long)longest_ns / 1000);
    uint64_t visits = hot_count <= SHARDS ? 2 * SHARDS : MOVES_OF_ONE * hot_count;
    CHECK(most_locks <= visits + OTHER_LOCKS);
    CHECK(moves <= victims * MOVES_OF_ONE * hot_count);
    CHECK(after.evictions_for_entries - before.evictions_for_entries == victims);
    CHECK(after.longest_hold_moves <= 256);
}

static void search(unsigned entries)
{
    sark_cache *cache = NULL;
    sark_cache *of_touchers[TOUCHERS_MOST];
    pthread_t touchers[TOUCHERS_MOST];
    unsigned count = toucher_count();
    sark_cache_config config = {.max_entries = entries, .shard_count = SHARDS,
                                .max_bytes = 4u << 20, .on_remove = removed};
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    hot_count = entries;
    atomic_store(&stop, false);
    for (unsigned i = 0; i < entries; i++) {
        uint64_t key = entries == SHARDS ? key_of_shard(cache, i) : ++next_key;
        insert(cache, key);
        atomic_store(&hot[i], key);
    }
    for (unsigned i = 0; i < count; i++) {
        of_touchers[i] = cache;
        if (pthread_create(&touchers[i], NULL, toucher_run, &of_touchers[i]) != 0) abort();
    }
    find_victims(cache, test_scaled(VICTIMS, 50));
    atomic_store(&stop, true);
    for (unsigned i = 0; i < count; i++)
        if (pthread_join(touchers[i], NULL) != 0) abort();
    CHECK(sark_cache_size(cache) == entries);
    char text[256] = "";
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

TEST(one_hot_entry_a_shard)
{
    search(SHARDS);
}

TEST(several_hot_entries_a_shard)
{
    search(HOT_MOST);
}

TEST(one_hot_entry)
{
    search(1);
}

int main(void)
{
    (void)test_seed();
    test_watchdog(120);
    RUN(one_hot_entry_a_shard);
    RUN(several_hot_entries_a_shard);
    RUN(one_hot_entry);
    return test_summary();
}
