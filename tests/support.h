/* What the black-box tests share: a clock set by hand, a record of removals, a random number
   generator, and short ways to call the cache with strings.

   Include it after sark_cache.h and test.h. Nothing here is safe for several threads. */

#ifndef SARK_SUPPORT_H
#define SARK_SUPPORT_H

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Whether hits take no lock here: where 64-bit atomics are lock-free. */
#define SUPPORT_LOCK_FREE (ATOMIC_LLONG_LOCK_FREE == 2)

/* ---- Time ----------------------------------------------------------------------------------- */

/* Where the clock of support_config stands. */
static inline int64_t *support_time(void)
{
    static int64_t now_ms;
    return &now_ms;
}

static inline int64_t support_clock(void *context)
{
    (void)context;
    return *support_time();
}

static inline void advance(int64_t ms) { *support_time() += ms; }

/* ---- Removals ------------------------------------------------------------------------------- */

#define SUPPORT_REMOVALS 8192
#define SUPPORT_BYTES 120

typedef struct support_removal {
    sark_cache_cause cause;
    size_t key_bytes, value_bytes;
    unsigned char key[SUPPORT_BYTES], value[SUPPORT_BYTES]; /* the first bytes of each */
} support_removal;

typedef struct support_record {
    size_t count; /* may pass SUPPORT_REMOVALS; what is beyond was only counted */
    support_removal removals[SUPPORT_REMOVALS];
} support_record;

static inline size_t support_least(size_t one, size_t other) { return one < other ? one : other; }

/* The removal callback: context is a support_record. */
static inline void support_on_remove(void *context, const void *key, size_t key_bytes,
                                     const void *value, size_t value_bytes, sark_cache_cause cause)
{
    support_record *record = context;
    if (record->count < SUPPORT_REMOVALS) {
        support_removal *removal = &record->removals[record->count];
        removal->cause = cause;
        removal->key_bytes = key_bytes;
        removal->value_bytes = value_bytes;
        if (key_bytes) memcpy(removal->key, key, support_least(key_bytes, SUPPORT_BYTES));
        if (value_bytes) memcpy(removal->value, value, support_least(value_bytes, SUPPORT_BYTES));
    }
    record->count++;
}

/* Whether a recorded removal is of this key and value, strings of up to SUPPORT_BYTES. */
static inline bool removal_is(const support_record *record, size_t index, const char *key,
                              const char *value, sark_cache_cause cause)
{
    if (index >= record->count || index >= SUPPORT_REMOVALS) return false;
    const support_removal *removal = &record->removals[index];
    return removal->cause == cause && removal->key_bytes == strlen(key) &&
           removal->value_bytes == strlen(value) && memcmp(removal->key, key, strlen(key)) == 0 &&
           memcmp(removal->value, value, strlen(value)) == 0;
}

/* How often a key was removed for a cause. */
static inline size_t removals_of(const support_record *record, const char *key,
                                 sark_cache_cause cause)
{
    size_t found = 0;
    for (size_t index = 0; index < record->count && index < SUPPORT_REMOVALS; index++) {
        const support_removal *removal = &record->removals[index];
        found += removal->cause == cause && removal->key_bytes == strlen(key) &&
                 memcmp(removal->key, key, strlen(key)) == 0;
    }
    return found;
}

/* How many removals had a cause. */
static inline size_t removals_for(const support_record *record, sark_cache_cause cause)
{
    size_t found = 0;
    for (size_t index = 0; index < record->count && index < SUPPORT_REMOVALS; index++)
        found += record->removals[index].cause == cause;
    return found;
}

/* The one record that the tests of one thread need; emptied by support_config. */
static inline support_record *support_removals(void)
{
    static support_record record;
    return &record;
}

/* ---- Caches --------------------------------------------------------------------------------- */

/* A configuration with the clock and the record above: the time is 1,000,000, nothing recorded. */
static inline sark_cache_config support_config(uint64_t max_entries)
{
    *support_time() = 1000000;
    support_removals()->count = 0;
    sark_cache_config config = {.max_entries = max_entries,
                                .clock = {support_clock, NULL},
                                .on_remove = support_on_remove,
                                .on_remove_context = support_removals()};
    return config;
}

/* Creates a cache, or NULL with a failed check. */
static inline sark_cache *support_create(const sark_cache_config *config)
{
    sark_cache *cache = NULL;
    sark_cache_status status = sark_cache_create(&cache, config);
    CHECK(status == SARK_CACHE_OK);
    if (status != SARK_CACHE_OK) printf("  create: %s\n", sark_cache_status_text(status));
    return cache;
}

/* Whether the invariants hold; prints the one that does not. */
static inline bool holds(sark_cache *cache)
{
    char report[200] = "";
    bool sound = sark_cache_check(cache, report, sizeof report);
    if (!sound) printf("  check: %s\n", report);
    return sound;
}

/* What every case ends with. */
#define FINISH(cache)                                                                             \
    do {                                                                                          \
        CHECK(holds(cache));                                                                      \
        CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);                                        \
    } while (0)

static inline sark_cache_metrics metrics_of(const sark_cache *cache)
{
    sark_cache_metrics metrics;
    memset(&metrics, 0xA5, sizeof metrics);
    sark_cache_metrics_read(cache, &metrics);
    return metrics;
}

/* ---- Calls with strings --------------------------------------------------------------------- */

static inline sark_cache_status put(sark_cache *cache, const char *key, const char *value,
                                    int64_t ttl_ms)
{
    return sark_cache_set(cache, key, strlen(key), value, strlen(value), ttl_ms);
}

static inline sark_cache_status drop(sark_cache *cache, const char *key)
{
    return sark_cache_delete(cache, key, strlen(key));
}

static inline sark_cache_status contains(sark_cache *cache, const char *key)
{
    return sark_cache_contains(cache, key, strlen(key));
}

static inline bool support_same(sark_cache_status status, const char *bytes, size_t byte_count,
                                const char *expected)
{
    if (!expected) return status == SARK_CACHE_MISS;
    return status == SARK_CACHE_OK && byte_count == strlen(expected) &&
           memcmp(bytes, expected, byte_count) == 0;
}

/* Whether get finds this value; NULL: whether it misses. */
static inline bool get_is(sark_cache *cache, const char *key, const char *expected)
{
    char bytes[256];
    size_t byte_count = 0;
    sark_cache_status status =
        sark_cache_get(cache, key, strlen(key), bytes, sizeof bytes, &byte_count);
    return support_same(status, bytes, byte_count, expected);
}

/* As get_is, without any effect. */
static inline bool peek_is(sark_cache *cache, const char *key, const char *expected)
{
    char bytes[256];
    size_t byte_count = 0;
    sark_cache_status status =
        sark_cache_peek(cache, key, strlen(key), bytes, sizeof bytes, &byte_count);
    return support_same(status, bytes, byte_count, expected);
}

/* The TTL left; 0 on a miss, -1 on an error. */
static inline int64_t ttl_of(sark_cache *cache, const char *key)
{
    int64_t ttl_ms = -1;
    sark_cache_status status = sark_cache_ttl(cache, key, strlen(key), &ttl_ms);
    if (status == SARK_CACHE_MISS) return 0;
    return status == SARK_CACHE_OK ? ttl_ms : -1;
}

/* ---- Random numbers ------------------------------------------------------------------------- */

/* SplitMix64: the next of a sequence that its first state determines. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* A number below a bound, which is small beside 2^32. */
static inline uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((random_next(state) >> 32) * bound >> 32);
}

/* ---- Lengths -------------------------------------------------------------------------------- */

/* Percent of the usual length of a test: SARK_TEST_SCALE, 100 unless set. */
static inline uint64_t support_scale(void)
{
    const char *text = getenv("SARK_TEST_SCALE");
    return text ? strtoull(text, NULL, 10) : 100;
}

/* The number in an argument; without it the usual one at the scale. */
static inline uint64_t support_length(const char *argument, uint64_t usual)
{
    return argument ? strtoull(argument, NULL, 10) : usual * support_scale() / 100;
}

/* The first seed: the number in an argument, else in SARK_TEST_SEED, else 1. */
static inline uint64_t support_seed(const char *argument)
{
    const char *text = argument ? argument : getenv("SARK_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

#endif
