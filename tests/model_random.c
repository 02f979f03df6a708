/* Random operations over every function, each compared with the oracle: answer, value, size, and
   what left, in order. Many configurations, each from a seed of its own.

   model_random [operations [first seed]]; 10,000,000 operations at the usual scale.
   Needs stb_ds.h (libstb-dev). */

#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "oracle.h"

#ifndef USUAL_OPERATIONS
#define USUAL_OPERATIONS 10000000
#endif

/* What else happens before an operation, and should not be seen. */
#ifndef DISTURB
#define DISTURB(cache, random) ((void)0)
#endif

/* What happens to a cache that has just been made, and to the time. */
#ifndef BEGUN
#define BEGUN(cache, seed, now_ms) ((void)0)
#endif

enum {
    CONFIGURATIONS = 400,
    REGION_BYTES = 4 << 20,
    SPARE_BYTES = 1 << 16, /* beyond the least region: bytes never bind */
    FLUSH_EVERY = 1000,
    FLUSH_KEYS = 128       /* keys from here on are inserted by flushes alone */
};

static _Alignas(64) unsigned char region[REGION_BYTES];
static model tested;
static uint64_t operations_in_all, first_seed;

typedef struct run {
    uint64_t seed, random;
    uint32_t capacity, shard_count, key_count, most_bytes, most_ttl;
    uint64_t flushes;
} run;

/* ---- One operation -------------------------------------------------------------------------- */

/* A TTL: none, the default, or some ticks. */
static int64_t random_ttl(run *mine)
{
    if (tested.silent) return random_below(&mine->random, 2) ? 0 : SARK_CACHE_NO_EXPIRY;
    switch (random_below(&mine->random, 4)) {
    case 0: return 0;
    case 1: return random_below(&mine->random, 2) ? SARK_CACHE_NO_EXPIRY : INT64_MAX - 1;
    default: return 1 + random_below(&mine->random, mine->most_ttl);
    }
}

static bool random_write(run *mine, model_write_call call, uint32_t key)
{
    uint32_t value_bytes = random_below(&mine->random, mine->most_bytes + 1);
    return model_write(&tested, call, key, value_bytes, random_ttl(mine));
}

static bool random_rare(run *mine, uint32_t key)
{
    switch (random_below(&mine->random, 28)) {
    case 26: case 27:
        return model_ranks(&tested, random_below(&mine->random, MODEL_BATCH + 1),
                           random_below(&mine->random, 2));
    case 0: return model_clear(&tested);
    case 24: return model_clear_prefix(&tested, random_below(&mine->random, MODEL_KEY_BYTES));
    case 25: return model_clear_if(&tested, 1 + random_below(&mine->random, 8));
    case 1: case 2: return model_foreach(&tested);
    case 3: return model_check(&tested);
    case 4: case 5: return model_metrics(&tested);
    case 6: case 7: return model_bad_ttl(&tested, key);
    case 8: case 9: return model_short_get(&tested, key, random_below(&mine->random, 2));
    default: return model_cleanup(&tested, random_below(&mine->random, 4));
    }
}

/* Numbers, versions and longer values. */
static bool random_rewrite(run *mine, uint32_t key)
{
    static const int64_t deltas[] = {1, -1, 1000, INT64_MAX, INT64_MIN};
    int64_t initial = (int64_t)random_below(&mine->random, 1000) - 500;
    int64_t delta = deltas[random_below(&mine->random, 5)];
    int64_t ttl_ms = random_below(&mine->random, 2) ? random_ttl(mine) : 0;
    bool saturates = random_below(&mine->random, 2);
    switch (random_below(&mine->random, 8)) {
    case 0: return model_increment(&tested, key, delta, NULL, ttl_ms, saturates);
    case 1: case 2: return model_increment(&tested, key, delta, &initial, ttl_ms, saturates);
    case 3: case 4: return model_append(&tested, key, random_below(&mine->random, 20), ttl_ms);
    case 5: return model_prepend(&tested, key, random_below(&mine->random, 20), ttl_ms);
    default:
        return model_compare_and_set(&tested, key,
                                     random_below(&mine->random, mine->most_bytes + 1), ttl_ms,
                                     random_below(&mine->random, 3) == 0);
    }
}

/* Many keys at once, some of them twice. */
static bool random_batch(run *mine)
{
    uint32_t keys[MODEL_BATCH];
    size_t count = random_below(&mine->random, random_below(&mine->random, 2) ? 4 : MODEL_BATCH);
    for (size_t at = 0; at < count; at++)
        keys[at] = random_below(&mine->random, mine->key_count);
    switch (random_below(&mine->random, 3)) {
    case 0: return model_get_many(&tested, keys, count);
    case 1: return model_delete_many(&tested, keys, count / 4);
    default:
        return model_set_many(&tested, keys, count,
                              random_below(&mine->random, mine->most_bytes + 1), random_ttl(mine));
    }
}

static bool random_operation(run *mine)
{
    uint32_t key = random_below(&mine->random, mine->key_count);
    uint32_t choice = random_below(&mine->random, 100);
    DISTURB(tested.cache, &mine->random);
    if (choice < 25) return model_get(&tested, key);
    if (choice < 44) return random_write(mine, MODEL_SET, key);
    if (choice < 50) return random_rewrite(mine, key);
    if (choice < 56) return random_write(mine, MODEL_ADD, key);
    if (choice < 62) return random_write(mine, MODEL_REPLACE, key);
    if (choice < 65) return model_take(&tested, key);
    if (choice < 69) return model_touch(&tested, key, random_ttl(mine));
    if (choice < 71)
        return model_get_and_touch(&tested, key, random_ttl(mine),
                                   random_below(&mine->random, 4) == 0);
    if (choice < 76) return model_delete(&tested, key);
    if (choice < 79) return model_peek(&tested, key);
    if (choice < 82) return model_contains(&tested, key);
    if (choice < 85) return model_ttl(&tested, key);
    if (choice < 88) return model_pin_key(&tested, key);
    if (choice < 91) return model_unpin(&tested, random_below(&mine->random, MODEL_PINS));
    if (choice < 93) return random_rare(mine, key);
    if (choice < 94) return random_batch(mine);
    tested.oracle.now_ms += 1 + random_below(&mine->random, 10) / 9;
    return true;
}

/* Inserts as many keys as fit, all new: the order in which the others leave is the order of
   recency, whole. Then, of all that is visible, nothing but the newcomers is left. */
static bool flush(run *mine)
{
    uint32_t first = FLUSH_KEYS + (uint32_t)(mine->flushes++ % 2) * 64;
    for (uint32_t key = 0; key < mine->capacity; key++)
        if (!model_write(&tested, MODEL_SET, first + key, key, SARK_CACHE_NO_EXPIRY)) return false;
    return true;
}

/* ---- One configuration ---------------------------------------------------------------------- */

static bool begin(run *mine, uint64_t seed)
{
    static const uint32_t shard_counts[] = {1, 4, 64, 256, 1, 4, 64, 0};
    *mine = (run){.seed = seed, .random = seed};
    mine->capacity = 1 + random_below(&mine->random, random_below(&mine->random, 2) ? 64 : 8);
    mine->key_count = 1 + random_below(&mine->random, 2 * mine->capacity);
    mine->shard_count = shard_counts[seed % 8];
    mine->most_bytes = random_below(&mine->random, MODEL_VALUE_BYTES + 1);
    mine->most_ttl = 1 + random_below(&mine->random, 5);
    oracle_entry *entries = tested.oracle.entries;
    memset(&tested, 0, sizeof tested);
    tested.oracle.entries = entries;
    tested.silent = seed % 9 == 0;
    sark_cache_config config = {.max_entries = mine->capacity,
                                .shard_count = mine->shard_count,
                                .lease_count = seed % 3 ? 0 : 2,
                                .latency_sample_every = seed % 5 ? 0 : 3};
    if (!tested.silent && seed % 4 == 0) config.default_ttl_ms = 3;
    if (seed % 7 == 0) config.touch_interval_ms = 1 + random_below(&mine->random, 4);
    size_t offset = (size_t)random_below(&mine->random, 64);
    config.pin_count = MODEL_PINS;
    size_t bytes = sark_cache_region_bytes(&config) + SPARE_BYTES;
    if (bytes + offset > sizeof region) return model_differs(&tested, "the region is too small");
    memset(region, 0xA5, bytes + offset);
    if (!model_begin(&tested, &config, region + offset, bytes)) return false;
    BEGUN(tested.cache, seed, &tested.oracle.now_ms);
    return true;
}

/* Runs one configuration; prints the seed and the operation where both differ. */
static bool run_seed(uint64_t seed, uint64_t operations)
{
    run mine;
    uint64_t operation = 0;
    bool same = begin(&mine, seed);
    for (; same && operation < operations; operation++) {
        same = random_operation(&mine);
        if (same && operation % FLUSH_EVERY == FLUSH_EVERY - 1) same = flush(&mine);
    }
    same = model_end(&tested) && same;
    tested.oracle.entries = NULL;
    if (!same)
        printf("  seed %" PRIu64 ": capacity %u, %u shards, %u keys, TTLs to %u, values to %u: "
               "operation %" PRIu64 ": %s\n",
               seed, mine.capacity, mine.shard_count, mine.key_count, mine.most_ttl,
               mine.most_bytes, operation, tested.trouble);
    return same;
}

TEST(random_operations)
{
    uint64_t each = operations_in_all / CONFIGURATIONS + 1, wrong = 0;
    printf("  seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " operations each\n", first_seed,
           first_seed + CONFIGURATIONS - 1, each);
    for (uint64_t seed = first_seed; seed < first_seed + CONFIGURATIONS && wrong < 5; seed++)
        wrong += !run_seed(seed, each);
    CHECK(wrong == 0);
}

int main(int argument_count, char **arguments)
{
    operations_in_all = support_length(argument_count > 1 ? arguments[1] : NULL, USUAL_OPERATIONS);
    first_seed = support_seed(argument_count > 2 ? arguments[2] : NULL);
    RUN(random_operations);
    return test_summary();
}
