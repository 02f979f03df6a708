/* Black box: the metrics. Each call changes exactly the counts that the documentation names; state,
   peaks, reset, and the histograms of latencies. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "threads.h"

/* ---- Counts --------------------------------------------------------------------------------- */

/* Whether each count went up by what is expected, and by nothing where nothing is. */
static bool went_up_by(const sark_cache_metrics *before, const sark_cache_metrics *after,
                       const sark_cache_metrics *expected)
{
    static const struct {
        const char *name;
        size_t offset;
    } counts[] = {
#define COUNT(name) {#name, offsetof(sark_cache_metrics, name)}
        COUNT(hits), COUNT(misses), COUNT(misses_expired), COUNT(sets), COUNT(adds),
        COUNT(replaces), COUNT(touches), COUNT(deletes), COUNT(evictions_for_entries),
        COUNT(evictions_for_bytes), COUNT(expired_by_writers), COUNT(expired_by_cleanup),
        COUNT(cleared), COUNT(rejected_argument), COUNT(rejected_key), COUNT(rejected_ttl),
        COUNT(rejected_too_large), COUNT(rejected_short_buffer), COUNT(rejected_busy),
        COUNT(rejected_no_pin), COUNT(rejected_system),
#if SUPPORT_LOCK_FREE
        COUNT(lock_fallbacks),
#endif
#undef COUNT
    };
    bool same = true;
    for (size_t row = 0; row < sizeof counts / sizeof *counts; row++) {
        uint64_t was, is, rise;
        memcpy(&was, (const char *)before + counts[row].offset, sizeof was);
        memcpy(&is, (const char *)after + counts[row].offset, sizeof is);
        memcpy(&rise, (const char *)expected + counts[row].offset, sizeof rise);
        if (is - was == rise) continue;
        printf("  %s went up by %" PRIu64 " instead of %" PRIu64 "\n", counts[row].name, is - was,
               rise);
        same = false;
    }
    return same;
}

/* Checks a condition, which calls the cache, and what the call counts: .hits = 1 ... */
#define COUNTS(condition, ...)                                                                    \
    do {                                                                                          \
        sark_cache_metrics counts_rise = {__VA_ARGS__}, counts_before = metrics_of(cache);        \
        CHECK(condition);                                                                         \
        sark_cache_metrics counts_after = metrics_of(cache);                                      \
        bool counted = went_up_by(&counts_before, &counts_after, &counts_rise);                   \
        if (!counted) printf("  by " #condition "\n");                                            \
        CHECK(counted);                                                                           \
    } while (0)

#define NOTHING .hits = 0

static bool visit_nothing(void *context, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes, int64_t ttl_left_ms)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes;
    (void)ttl_left_ms;
    return true;
}

TEST(reads_count)
{
    sark_cache_config config = support_config(10);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    char bytes[8];
    int64_t ttl_ms = 0;
    sark_cache_pinned pinned;
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "old", "value", 5) == SARK_CACHE_OK);
    advance(5);
    COUNTS(get_is(cache, "k", "value"), .hits = 1);
    COUNTS(get_is(cache, "none", NULL), .misses = 1);
    COUNTS(get_is(cache, "old", NULL), .misses = 1, .misses_expired = 1);
    COUNTS(sark_cache_get(cache, "k", 1, bytes, 4, NULL) == SARK_CACHE_SHORT_BUFFER,
           .rejected_short_buffer = 1);
    COUNTS(sark_cache_get(cache, "none", 4, NULL, 0, NULL) == SARK_CACHE_MISS, .misses = 1);
    COUNTS(peek_is(cache, "k", "value"), NOTHING);
    COUNTS(peek_is(cache, "none", NULL), NOTHING);
    COUNTS(peek_is(cache, "old", NULL), NOTHING);
    COUNTS(sark_cache_peek(cache, "k", 1, bytes, 4, NULL) == SARK_CACHE_SHORT_BUFFER, NOTHING);
    COUNTS(contains(cache, "k") == SARK_CACHE_OK, NOTHING);
    COUNTS(contains(cache, "none") == SARK_CACHE_MISS, NOTHING);
    COUNTS(sark_cache_ttl(cache, "k", 1, &ttl_ms) == SARK_CACHE_OK, NOTHING);
    COUNTS(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK, .hits = 1);
    COUNTS(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK, NOTHING);
    COUNTS(sark_cache_pin(cache, "none", 4, &pinned) == SARK_CACHE_MISS, .misses = 1);
    COUNTS(sark_cache_pin(cache, "old", 3, &pinned) == SARK_CACHE_MISS, .misses = 1,
           .misses_expired = 1);
    COUNTS(sark_cache_foreach(cache, visit_nothing, NULL) == SARK_CACHE_OK, NOTHING);
    COUNTS(sark_cache_check(cache, NULL, 0), NOTHING);
    COUNTS(sark_cache_size(cache) == 2, NOTHING);
    FINISH(cache);
}

TEST(writes_count)
{
    sark_cache_config config = support_config(10);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    char bytes[8];
    COUNTS(put(cache, "k", "value", 0) == SARK_CACHE_OK, .sets = 1);
    COUNTS(put(cache, "k", "value", 9) == SARK_CACHE_OK, .sets = 1);
    COUNTS(sark_cache_add(cache, "k", 1, "v", 1, 0) == SARK_CACHE_EXISTS, NOTHING);
    COUNTS(sark_cache_add(cache, "a", 1, "v", 1, 5) == SARK_CACHE_OK, .adds = 1);
    COUNTS(sark_cache_replace(cache, "a", 1, "w", 1, 0) == SARK_CACHE_OK, .replaces = 1);
    COUNTS(sark_cache_replace(cache, "none", 4, "w", 1, 0) == SARK_CACHE_MISS, NOTHING);
    COUNTS(sark_cache_touch(cache, "a", 1, 5) == SARK_CACHE_OK, .touches = 1);
    COUNTS(sark_cache_touch(cache, "none", 4, 5) == SARK_CACHE_MISS, NOTHING);
    COUNTS(sark_cache_take(cache, "k", 1, bytes, 8, NULL) == SARK_CACHE_OK, .hits = 1,
           .deletes = 1);
    COUNTS(sark_cache_take(cache, "k", 1, bytes, 8, NULL) == SARK_CACHE_MISS, .misses = 1);
    COUNTS(sark_cache_take(cache, "a", 1, bytes, 0, NULL) == SARK_CACHE_SHORT_BUFFER,
           .rejected_short_buffer = 1);
    COUNTS(drop(cache, "a") == SARK_CACHE_OK, .deletes = 1);
    COUNTS(drop(cache, "a") == SARK_CACHE_MISS, NOTHING);
    CHECK(put(cache, "b", "1", 0) == SARK_CACHE_OK && put(cache, "c", "2", 0) == SARK_CACHE_OK);
    COUNTS(sark_cache_clear(cache) == 2, .cleared = 2);
    COUNTS(sark_cache_clear(cache) == 0, NOTHING);
    FINISH(cache);
}

TEST(a_touch_that_adds_a_ttl_counts_once)
{
    sark_cache_config config = support_config(10);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    COUNTS(sark_cache_touch(cache, "k", 1, 50) == SARK_CACHE_OK, .touches = 1);
    COUNTS(sark_cache_touch(cache, "k", 1, 60) == SARK_CACHE_OK, .touches = 1);
    COUNTS(sark_cache_touch(cache, "k", 1, 0) == SARK_CACHE_OK, .touches = 1);
    CHECK(metrics_of(cache).entries == 1 && metrics_of(cache).sets == 1);
    FINISH(cache);
}

static sark_cache *expired_cache(void)
{
    sark_cache_config config = support_config(3);
    sark_cache *cache = support_create(&config);
    if (!cache) return NULL;
    CHECK(put(cache, "a", "1", 5) == SARK_CACHE_OK);
    CHECK(put(cache, "b", "2", 5) == SARK_CACHE_OK);
    CHECK(put(cache, "c", "3", 5) == SARK_CACHE_OK);
    advance(5);
    return cache;
}

TEST(expirations_count)
{
    sark_cache *cache = expired_cache();
    REQUIRE(cache != NULL);
    COUNTS(put(cache, "a", "x", 0) == SARK_CACHE_OK, .sets = 1, .expired_by_writers = 1);
    COUNTS(put(cache, "d", "x", 0) == SARK_CACHE_OK, .sets = 1, .expired_by_writers = 1);
    COUNTS(put(cache, "e", "x", 0) == SARK_CACHE_OK, .sets = 1, .expired_by_writers = 1);
    COUNTS(put(cache, "f", "x", 0) == SARK_CACHE_OK, .sets = 1, .evictions_for_entries = 1);
    FINISH(cache);
    cache = expired_cache();
    REQUIRE(cache != NULL);
    COUNTS(drop(cache, "b") == SARK_CACHE_MISS, .expired_by_writers = 1);
    COUNTS(sark_cache_cleanup_expired(cache, 1) == 1, .expired_by_cleanup = 1);
    COUNTS(sark_cache_cleanup_expired(cache, 0) == 1, .expired_by_cleanup = 1);
    COUNTS(sark_cache_cleanup_expired(cache, 0) == 0, NOTHING);
    FINISH(cache);
    cache = expired_cache();
    REQUIRE(cache != NULL);
    COUNTS(sark_cache_add(cache, "c", 1, "x", 1, 0) == SARK_CACHE_OK, .adds = 1,
           .expired_by_writers = 1);
    COUNTS(sark_cache_clear(cache) == 3, .cleared = 1, .expired_by_writers = 2);
    FINISH(cache);
}

TEST(refusals_count)
{
    static const unsigned char long_key[65536];
    static unsigned char region[65536], value[65536];
    sark_cache *cache = NULL;
    sark_cache_config config = support_config(20);
    config.pin_count = 1;
    REQUIRE(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    char bytes[8];
    sark_cache_pinned pinned, other;
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK);
    COUNTS(sark_cache_pin(cache, "k", 1, &other) == SARK_CACHE_NO_PIN, .rejected_no_pin = 1);
    COUNTS(sark_cache_foreach(cache, visit_nothing, NULL) == SARK_CACHE_NO_PIN,
           .rejected_no_pin = 1);
    COUNTS(sark_cache_destroy(cache) == SARK_CACHE_BUSY, .rejected_busy = 1);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    COUNTS(sark_cache_unpin(cache, &pinned) == SARK_CACHE_BAD_ARGUMENT, .rejected_argument = 1);
    COUNTS(sark_cache_get(cache, NULL, 3, bytes, 8, NULL) == SARK_CACHE_BAD_ARGUMENT,
           .rejected_argument = 1);
    COUNTS(sark_cache_foreach(cache, NULL, NULL) == SARK_CACHE_BAD_ARGUMENT,
           .rejected_argument = 1);
    COUNTS(sark_cache_set(cache, long_key, 65536, "v", 1, 0) == SARK_CACHE_BAD_KEY,
           .rejected_key = 1);
    COUNTS(sark_cache_get(cache, long_key, 65536, bytes, 8, NULL) == SARK_CACHE_BAD_KEY,
           .rejected_key = 1);
    COUNTS(put(cache, "k", "v", -1) == SARK_CACHE_BAD_TTL, .rejected_ttl = 1);
    COUNTS(sark_cache_touch(cache, "k", 1, -1) == SARK_CACHE_BAD_TTL, .rejected_ttl = 1);
    COUNTS(sark_cache_set(cache, "k", 1, value, sizeof value, 0) == SARK_CACHE_TOO_LARGE,
           .rejected_too_large = 1);
    *support_time() = -1;
    COUNTS(put(cache, "k", "v", 5) == SARK_CACHE_SYSTEM_ERROR, .rejected_system = 1);
    COUNTS(sark_cache_touch(cache, "k", 1, 5) == SARK_CACHE_SYSTEM_ERROR, .rejected_system = 1);
    FINISH(cache);
}

TEST(evictions_for_bytes_count)
{
    static unsigned char region[65536], value[2000];
    sark_cache *cache = NULL;
    sark_cache_config config = support_config(128);
    config.on_remove = NULL;
    REQUIRE(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < 300; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, value, sizeof value, 0) == SARK_CACHE_OK);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.sets == 300 && metrics.evictions_for_entries == 0);
    CHECK(metrics.evictions_for_bytes == 300 - sark_cache_size(cache));
    CHECK(metrics.bytes <= metrics.max_bytes && metrics.bytes_peak <= sizeof region);
    CHECK(metrics.bytes >= 2000 * metrics.entries);
    FINISH(cache);
}

/* ---- State ---------------------------------------------------------------------------------- */

TEST(state_now_and_at_its_peak)
{
    sark_cache_config config = support_config(1000);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sark_cache_metrics empty = metrics_of(cache);
    CHECK(empty.entries == 0 && empty.entries_peak == 0 && empty.bytes > 0);
    CHECK(empty.max_entries == 1000 && empty.max_bytes == 1u << 20);
    CHECK(empty.bytes <= empty.max_bytes && empty.bytes_peak >= empty.bytes);
    char value[100];
    memset(value, 'v', sizeof value);
    for (uint32_t key = 0; key < 500; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, value, sizeof value, 0) == SARK_CACHE_OK);
    sark_cache_metrics full = metrics_of(cache);
    CHECK(full.entries == 500 && full.entries_peak == 500);
    CHECK(full.bytes >= empty.bytes + 500 * 104 && full.bytes <= empty.bytes + 500 * 200);
    CHECK(full.bytes_peak >= full.bytes && full.leases_in_use == 0 && full.pins_in_use == 0);
    CHECK(full.overhead_bytes_per_entry >= 20 && full.overhead_bytes_per_entry <= 100);
    CHECK(full.longest_chain_buckets >= 1 && full.longest_hold_moves <= 256);
    CHECK(sark_cache_clear(cache) == 500);
    sark_cache_metrics after = metrics_of(cache);
    CHECK(after.entries == 0 && after.entries_peak == 500);
    CHECK(after.bytes_peak >= full.bytes);
    CHECK(after.bytes <= empty.bytes + after.max_bytes / 32 + 16 * 200);
    CHECK(after.bytes - empty.bytes == after.bytes_retired);
    FINISH(cache);
}

/* Bytes that an entry of a full cache costs beside its key and value, all tables included. */
static uint64_t overhead_with(int64_t ttl_ms)
{
    static const unsigned char value[64];
    sark_cache_config config = support_config(100000);
    config.on_remove = NULL;
    sark_cache *cache = support_create(&config);
    if (!cache) return UINT64_MAX;
    for (uint32_t key = 0; key < 100000; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, value, sizeof value, ttl_ms) ==
              SARK_CACHE_OK);
    uint64_t overhead = metrics_of(cache).overhead_bytes_per_entry;
    printf("  %" PRIu64 " bytes an entry %s a deadline\n", overhead,
           ttl_ms == SARK_CACHE_NO_EXPIRY ? "without" : "with");
    CHECK(metrics_of(cache).entries == 100000);
    FINISH(cache);
    return overhead;
}

TEST(the_overhead_of_an_entry)
{
    CHECK(overhead_with(SARK_CACHE_NO_EXPIRY) <= 80);
    CHECK(overhead_with(1000) <= 100);
}

TEST(expired_entries_wait)
{
    sark_cache_config config = support_config(100);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(metrics_of(cache).expired_resident == 0 && metrics_of(cache).oldest_overdue_ms == 0);
    for (uint32_t key = 1; key <= 50; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 10 * key) == SARK_CACHE_OK);
    advance(9);
    CHECK(metrics_of(cache).oldest_overdue_ms == 0);
    advance(1);
    CHECK(metrics_of(cache).expired_resident >= 1 && metrics_of(cache).oldest_overdue_ms == 0);
    advance(95);
    CHECK(metrics_of(cache).expired_resident >= 10 && metrics_of(cache).expired_resident <= 50);
    CHECK(metrics_of(cache).oldest_overdue_ms == 95);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 10);
    CHECK(metrics_of(cache).entries == 40);
    CHECK(metrics_of(cache).oldest_overdue_ms == 0);
    advance(100000);
    CHECK(metrics_of(cache).expired_resident == 40);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 40);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.expired_resident == 0 && metrics.oldest_overdue_ms == 0);
    FINISH(cache);
}

/* The time that the oldest has waited is never told too short. */
TEST(the_oldest_is_overdue_at_most_so_long)
{
    sark_cache_config config = support_config(10);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 10) == SARK_CACHE_OK && put(cache, "b", "2", 100) == SARK_CACHE_OK);
    CHECK(drop(cache, "a") == SARK_CACHE_OK);
    advance(50);
    CHECK(metrics_of(cache).oldest_overdue_ms <= 40);
    advance(55);
    CHECK(metrics_of(cache).oldest_overdue_ms >= 5 && metrics_of(cache).oldest_overdue_ms <= 95);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
    CHECK(metrics_of(cache).oldest_overdue_ms == 0);
    FINISH(cache);
}

TEST(hits_cost_moves_when_a_victim_is_needed)
{
    sark_cache_config config = support_config(100);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 100; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < 100; key++) {
        char byte;
        CHECK(sark_cache_get(cache, &key, sizeof key, &byte, 1, NULL) == SARK_CACHE_OK);
    }
    for (uint32_t key = 100; key < 200; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.recency_moves >= 100 && metrics.recency_moves <= 2000);
    CHECK(metrics.longest_hold_moves >= 1 && metrics.longest_hold_moves <= 256);
    CHECK(metrics.evictions_for_entries == 100);
    FINISH(cache);
}

/* ---- Reset ---------------------------------------------------------------------------------- */

TEST(a_reset_starts_the_counts_anew)
{
    sark_cache_config config = support_config(10);
    config.latency_sample_every = 1;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 30; key++) {
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, key % 3) == SARK_CACHE_OK);
        CHECK(put(cache, "k", "value", -1) == SARK_CACHE_BAD_TTL);
        CHECK(get_is(cache, "none", NULL));
        CHECK(sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK);
        CHECK(sark_cache_touch(cache, &key, sizeof key, 9) == SARK_CACHE_OK);
    }
    uint32_t last = 29;
    CHECK(sark_cache_delete(cache, &last, sizeof last) == SARK_CACHE_OK);
    sark_cache_metrics before = metrics_of(cache), zero;
    CHECK(before.entries_peak == 10 && before.entries == 9);
    CHECK(before.miss.count == 30 && before.set.count == 30);
    sark_cache_metrics_reset(cache);
    sark_cache_metrics after = metrics_of(cache);
    memset(&zero, 0, sizeof zero);
    CHECK(went_up_by(&zero, &after, &zero));
    CHECK(memcmp(&after.hit, &zero.hit, sizeof zero.hit) == 0);
    CHECK(memcmp(&after.miss, &zero.miss, sizeof zero.miss) == 0);
    CHECK(memcmp(&after.set, &zero.set, sizeof zero.set) == 0);
    CHECK(after.entries == 9 && after.entries_peak == 9 && after.max_entries == 10);
    CHECK(after.bytes == before.bytes && after.bytes_peak == after.bytes);
    COUNTS(get_is(cache, "none", NULL), .misses = 1);
    CHECK(metrics_of(cache).misses == 1 && metrics_of(cache).miss.count == 1);
    sark_cache_metrics_reset(cache);
    CHECK(metrics_of(cache).misses == 0 && sark_cache_size(cache) == 9);
    FINISH(cache);
}

/* Sleeps that long, whatever signals come. */
static void pause_ms(uint64_t ms)
{
    uint64_t end_ns = test_now_ns() + ms * 1000000, now_ns;
    while ((now_ns = test_now_ns()) < end_ns) test_sleep_ns(end_ns - now_ns);
}

/* 320 entries wait, some of them touched half-way, then leave: one in 16 tells how long it had gone
   unused. What the calls take comes on top. */
TEST(victims_tell_how_long_they_had_gone_unused)
{
    enum { ENTRIES = 320, TOUCHED = 160, PAUSE_MS = 60 };
    sark_cache_config config = support_config(ENTRIES);
    config.shard_count = 1;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    uint64_t begin_ns = test_now_ns();
    for (uint32_t key = 0; key < ENTRIES; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    pause_ms(PAUSE_MS);
    for (uint32_t key = 0; key < TOUCHED; key++)
        CHECK(sark_cache_touch(cache, &key, sizeof key, 0) == SARK_CACHE_OK);
    pause_ms(PAUSE_MS);
    for (uint32_t key = 0; key < ENTRIES; key++)
        CHECK(sark_cache_set(cache, &(uint32_t){1000 + key}, 4, "v", 1, 0) == SARK_CACHE_OK);
    uint64_t took_ms = (test_now_ns() - begin_ns) / 1000000;
    sark_cache_metrics metrics = metrics_of(cache);
    uint64_t samples = metrics.stamp_resolution_ps == 0 ? 0 : ENTRIES / 16;
    uint64_t touched = samples * TOUCHED / ENTRIES;
    uint64_t least_ms = (samples - touched) * 2 * PAUSE_MS + touched * PAUSE_MS;
    uint64_t most_ms = (samples - touched) * took_ms + touched * (took_ms - PAUSE_MS);
    printf("  %" PRIu64 " ms, expected %" PRIu64 " to %" PRIu64 "\n", metrics.eviction_age_ms,
           least_ms, most_ms);
    CHECK(metrics.evictions_for_entries == ENTRIES && metrics.eviction_ages == samples);
    CHECK(metrics.eviction_age_ms >= least_ms * 97 / 100); /* the counter is gauged */
    CHECK(metrics.eviction_age_ms <= most_ms * 103 / 100 + samples);
    sark_cache_metrics_reset(cache);
    metrics = metrics_of(cache);
    CHECK(metrics.eviction_ages == 0 && metrics.eviction_age_ms == 0);
    FINISH(cache);
}

TEST(null_where_it_is_legal)
{
    sark_cache_metrics metrics, zero;
    memset(&metrics, 0xA5, sizeof metrics);
    memset(&zero, 0, sizeof zero);
    sark_cache_metrics_read(NULL, &metrics);
    CHECK(memcmp(&metrics, &zero, sizeof metrics) == 0);
    sark_cache_metrics_read(NULL, NULL);
    sark_cache_metrics_reset(NULL);
    sark_cache_config config = support_config(10);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sark_cache_metrics_read(cache, NULL);
    FINISH(cache);
}

/* ---- Latencies ------------------------------------------------------------------------------ */

/* What belongs to a bucket, as documented; the last has no end. */
static uint64_t bucket_begin(uint32_t bucket)
{
    if (bucket == 0) return 0;
    uint64_t power = (uint64_t)32 << (bucket - 1) / 4;
    return power + power / 4 * ((bucket - 1) % 4);
}

/* Whether a percentile belongs to the bucket that holds its rank. */
static bool percentile_fits(const sark_cache_latency *latency, uint64_t per_mille, uint64_t ns)
{
    uint64_t rank = (latency->count * per_mille + 999) / 1000, seen = 0;
    uint32_t bucket = 0;
    while (bucket < SARK_CACHE_LATENCY_BUCKETS && (seen += latency->buckets[bucket]) < rank)
        bucket++;
    if (bucket >= SARK_CACHE_LATENCY_BUCKETS) return false;
    if (bucket == SARK_CACHE_LATENCY_BUCKETS - 1) return ns >= bucket_begin(bucket);
    return ns >= bucket_begin(bucket) && ns <= bucket_begin(bucket + 1);
}

static void check_latency(const sark_cache_latency *latency, uint64_t count)
{
    uint64_t sum = 0;
    uint32_t highest = 0;
    for (uint32_t bucket = 0; bucket < SARK_CACHE_LATENCY_BUCKETS; bucket++) {
        sum += latency->buckets[bucket];
        if (latency->buckets[bucket]) highest = bucket;
    }
    CHECK(latency->count == count && sum == count);
    CHECK(latency->p50_ns <= latency->p95_ns && latency->p95_ns <= latency->p99_ns);
    CHECK(latency->p99_ns <= latency->p999_ns);
    CHECK(latency->max_ns > 0 && latency->max_ns >= bucket_begin(highest));
    if (highest + 1 < SARK_CACHE_LATENCY_BUCKETS)
        CHECK(latency->max_ns <= bucket_begin(highest + 1));
    CHECK(percentile_fits(latency, 500, latency->p50_ns));
    CHECK(percentile_fits(latency, 950, latency->p95_ns));
    CHECK(percentile_fits(latency, 990, latency->p99_ns));
    CHECK(percentile_fits(latency, 999, latency->p999_ns));
}

TEST(every_call_is_timed)
{
    sark_cache_config config = support_config(100);
    config.latency_sample_every = 1;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 1000; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    for (uint32_t round = 0; round < 1000; round++) {
        uint32_t key = 900 + round % 100;
        char bytes[8];
        CHECK(sark_cache_get(cache, &key, sizeof key, bytes, 8, NULL) == SARK_CACHE_OK);
        CHECK(sark_cache_get(cache, &round, 3, bytes, 8, NULL) == SARK_CACHE_MISS);
    }
    sark_cache_metrics metrics = metrics_of(cache);
    check_latency(&metrics.hit, 1000);
    check_latency(&metrics.miss, 1000);
    check_latency(&metrics.set, 1000);
    FINISH(cache);
}

TEST(one_call_in_so_many_is_timed)
{
    sark_cache_config config = support_config(100);
    config.latency_sample_every = 10;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    for (int round = 0; round < 10000; round++) CHECK(get_is(cache, "k", "value"));
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.hit.count >= 900 && metrics.hit.count <= 1100);
    CHECK(metrics.miss.count == 0 && metrics.miss.max_ns == 0 && metrics.miss.p999_ns == 0);
    FINISH(cache);
}

TEST(no_call_is_timed_unless_asked_for)
{
    sark_cache_config config = support_config(100);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    for (int round = 0; round < 1000; round++) CHECK(get_is(cache, "k", "value"));
    sark_cache_metrics metrics = metrics_of(cache), zero;
    memset(&zero, 0, sizeof zero);
    CHECK(memcmp(&metrics.hit, &zero.hit, sizeof zero.hit) == 0);
    CHECK(memcmp(&metrics.miss, &zero.miss, sizeof zero.miss) == 0);
    CHECK(memcmp(&metrics.set, &zero.set, sizeof zero.set) == 0);
    FINISH(cache);
}

int main(void)
{
    RUN(reads_count);
    RUN(writes_count);
    RUN(a_touch_that_adds_a_ttl_counts_once);
    RUN(expirations_count);
    RUN(refusals_count);
    RUN(evictions_for_bytes_count);
    RUN(state_now_and_at_its_peak);
    RUN(the_overhead_of_an_entry);
    RUN(expired_entries_wait);
    RUN(the_oldest_is_overdue_at_most_so_long);
    RUN(hits_cost_moves_when_a_victim_is_needed);
    RUN(a_reset_starts_the_counts_anew);
    RUN(victims_tell_how_long_they_had_gone_unused);
    RUN(null_where_it_is_legal);
    RUN(every_call_is_timed);
    RUN(one_call_in_so_many_is_timed);
    RUN(no_call_is_timed_unless_asked_for);
    return test_summary();
}
