/* Caches whose hash is the same for every key, white box: all keys stand in one chain of the index
   and in one shard, and set, get, delete, take, eviction in the order of use, expiry and clear are
   right all the same.

   unit_index_constant [seed] */

#define SARKI_HASH(secret, key, key_bytes)                                                        \
    ((void)(secret), (void)(key), (void)(key_bytes), (uint64_t)0x123456789abcdef1)
#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { KEYS = 500 };

static uint64_t seed = 1;

/* What is stored, by the oracle: the value (0: nothing) and when it was last used. */
typedef struct oracle {
    uint32_t values[KEYS];
    uint64_t used[KEYS], uses;
    uint32_t count, max_entries;
} oracle;

static sark_cache *create(uint64_t max_entries, uint32_t shard_count)
{
    sark_cache_config config = support_config(max_entries);
    config.shard_count = shard_count;
    return support_create(&config);
}

static bool get_gives(sark_cache *cache, uint32_t key, uint32_t expected)
{
    uint32_t value = 0;
    size_t bytes = 0;
    sark_cache_status status =
        sark_cache_get(cache, &key, sizeof key, &value, sizeof value, &bytes);
    if (expected == 0) return status == SARK_CACHE_MISS;
    return status == SARK_CACHE_OK && bytes == sizeof value && value == expected;
}

/* The oldest leaves where there is no place. */
static void oracle_set(oracle *known, uint32_t key, uint32_t value)
{
    if (known->values[key] == 0 && known->count == known->max_entries) {
        uint32_t oldest = KEYS;
        for (uint32_t i = 0; i < KEYS; i++)
            if (known->values[i] && (oldest == KEYS || known->used[i] < known->used[oldest]))
                oldest = i;
        known->values[oldest] = 0;
        known->count--;
    }
    known->count += known->values[key] == 0;
    known->values[key] = value;
    known->used[key] = ++known->uses;
}

static void random_step(sark_cache *cache, oracle *known, uint64_t *random, uint32_t step)
{
    uint32_t key = random_below(random, KEYS), value = step + 1, was = known->values[key];
    uint32_t taken = 0;
    switch (random_below(random, 8)) {
    case 0: case 1: case 2:
        CHECK(sark_cache_set(cache, &key, sizeof key, &value, sizeof value, 0) == SARK_CACHE_OK);
        oracle_set(known, key, value);
        break;
    case 3:
        CHECK(sark_cache_delete(cache, &key, sizeof key) ==
              (was ? SARK_CACHE_OK : SARK_CACHE_MISS));
        known->count -= was != 0;
        known->values[key] = 0;
        break;
    case 4:
        CHECK(sark_cache_take(cache, &key, sizeof key, &taken, sizeof taken, NULL) ==
              (was ? SARK_CACHE_OK : SARK_CACHE_MISS));
        CHECK(taken == was);
        known->count -= was != 0;
        known->values[key] = 0;
        break;
    default:
        CHECK(get_gives(cache, key, was));
        if (was) known->used[key] = ++known->uses;
        break;
    }
}

static bool same_as(sark_cache *cache, const oracle *known)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t value = 0;
        sark_cache_status status =
            sark_cache_peek(cache, &key, sizeof key, &value, sizeof value, NULL);
        if (value != known->values[key]) return false;
        if (status != (value ? SARK_CACHE_OK : SARK_CACHE_MISS)) return false;
    }
    return sark_cache_size(cache) == known->count;
}

static void random_run(uint32_t max_entries, uint32_t shard_count)
{
    static oracle known;
    uint64_t random = seed + max_entries;
    sark_cache *cache = create(max_entries, shard_count);
    memset(&known, 0, sizeof known);
    known.max_entries = max_entries;
    for (uint32_t step = 0; step < support_length(NULL, 40000); step++) {
        random_step(cache, &known, &random, step);
        if (step % 2000 == 0) CHECK(same_as(cache, &known) && holds(cache));
    }
    CHECK(same_as(cache, &known));
    FINISH(cache);
}

TEST(random_operations)
{
    random_run(KEYS, 1);
    random_run(KEYS, 8);
    random_run(300, 4);
    random_run(11, 2);
    random_run(1, 1);
}

/* 500 keys, all there; every other deleted, all others there; the chain ends where it has to. */
TEST(set_get_delete)
{
    sark_cache *cache = create(KEYS, 4);
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t value = key + 1000;
        CHECK(sark_cache_set(cache, &key, sizeof key, &value, sizeof value, 0) == SARK_CACHE_OK);
    }
    CHECK(holds(cache) && sark_cache_size(cache) == KEYS);
    CHECK(metrics_of(cache).longest_chain_buckets == KEYS / SARKI_SLOTS);
    for (uint32_t key = 0; key < KEYS; key++) CHECK(get_gives(cache, key, key + 1000));
    for (uint32_t key = 0; key < KEYS; key += 2)
        CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
    CHECK(holds(cache) && sark_cache_size(cache) == KEYS / 2);
    for (uint32_t key = 0; key < KEYS; key++)
        CHECK(get_gives(cache, key, key % 2 ? key + 1000 : 0));
    CHECK(get_gives(cache, KEYS, 0));
    FINISH(cache);
}

/* All stand in the shard that the one tag names. */
TEST(one_shard)
{
    sark_cache *cache = create(KEYS, 16);
    for (uint32_t key = 0; key < KEYS; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, NULL, 0, 0) == SARK_CACHE_OK);
    for (uint32_t i = 0; i < 16; i++)
        CHECK(sarki_load32_relaxed(&cache->shards[i].a_entries) == (i == 1 ? KEYS : 0));
    FINISH(cache);
}

static uint32_t removed_key(uint32_t index)
{
    uint32_t key = 0;
    memcpy(&key, support_removals()->removals[index].key, sizeof key);
    return key;
}

/* Evicted are the oldest, in order: first those that were not read, then those that were. */
TEST(evicted_in_order)
{
    enum { READ = (KEYS + 2) / 3 };
    sark_cache *cache = create(KEYS, 4);
    for (uint32_t key = 0; key < KEYS; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < KEYS; key += 3) {
        char value[5];
        CHECK(sark_cache_get(cache, &key, sizeof key, value, 5, NULL) == SARK_CACHE_OK);
    }
    for (uint32_t key = KEYS; key < 2 * KEYS; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    REQUIRE(support_removals()->count == KEYS);
    CHECK(removals_for(support_removals(), SARK_CACHE_EVICTED) == KEYS);
    for (uint32_t i = 0; i < KEYS - READ; i++) CHECK(removed_key(i) == i / 2 * 3 + 1 + i % 2);
    for (uint32_t i = 0; i < READ; i++) CHECK(removed_key(KEYS - READ + i) == i * 3);
    FINISH(cache);
}

TEST(expiry_and_clear)
{
    sark_cache *cache = create(KEYS, 4);
    for (uint32_t key = 0; key < KEYS; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, &key, sizeof key, key % 2 ? 100 : 1000) ==
              SARK_CACHE_OK);
    advance(100);
    CHECK(sark_cache_cleanup_expired(cache, 0) == KEYS / 2);
    CHECK(holds(cache));
    for (uint32_t key = 1; key < KEYS; key++) CHECK(get_gives(cache, key, key % 2 ? 0 : key));
    CHECK(sark_cache_clear(cache) == KEYS / 2);
    CHECK(sark_cache_size(cache) == 0 && holds(cache));
    for (uint32_t b = 0; b < cache->index.bucket_count; b++)
        CHECK(sarki_load32_relaxed(&cache->index.buckets[b].a_overflow) == 0);
    FINISH(cache);
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(set_get_delete);
    RUN(one_shard);
    RUN(evicted_in_order);
    RUN(expiry_and_clear);
    RUN(random_operations);
    return test_summary();
}
