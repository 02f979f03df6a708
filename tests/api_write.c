/* Black box: set, add, replace, take, touch, delete and clear; their TTLs, what they do to live,
   absent and expired entries, and that a call that fails changes nothing. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

#define CENTURY_MS ((int64_t)100 * 366 * 86400 * 1000)
#define REGION_BYTES (1u << 16)

static unsigned char region[REGION_BYTES];
static unsigned char filler[2 * REGION_BYTES];

static sark_cache *small_cache(uint64_t max_entries)
{
    sark_cache_config config = support_config(max_entries);
    return support_create(&config);
}

/* A cache in 64 KiB, where bytes bind before entries do. */
static sark_cache *tight_cache(uint32_t pin_count)
{
    sark_cache_config config = support_config(128);
    config.pin_count = pin_count;
    sark_cache *cache = NULL;
    CHECK(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    return cache;
}

static sark_cache_status add(sark_cache *cache, const char *key, const char *value, int64_t ttl_ms)
{
    return sark_cache_add(cache, key, strlen(key), value, strlen(value), ttl_ms);
}

static sark_cache_status replace(sark_cache *cache, const char *key, const char *value,
                                 int64_t ttl_ms)
{
    return sark_cache_replace(cache, key, strlen(key), value, strlen(value), ttl_ms);
}

static sark_cache_status touch(sark_cache *cache, const char *key, int64_t ttl_ms)
{
    return sark_cache_touch(cache, key, strlen(key), ttl_ms);
}

/* Takes a value; whether it is the expected one, NULL for a miss. */
static bool take_is(sark_cache *cache, const char *key, const char *expected)
{
    char bytes[64];
    size_t byte_count = 0;
    sark_cache_status status =
        sark_cache_take(cache, key, strlen(key), bytes, sizeof bytes, &byte_count);
    return support_same(status, bytes, byte_count, expected);
}

static sark_cache_status put_bytes(sark_cache *cache, uint32_t key, size_t value_bytes,
                                   int64_t ttl_ms)
{
    return sark_cache_set(cache, &key, sizeof key, filler, value_bytes, ttl_ms);
}

/* ---- Live and absent entries ---------------------------------------------------------------- */

TEST(set_inserts_and_replaces)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    support_record *record = support_removals();
    CHECK(put(cache, "k", "one", 0) == SARK_CACHE_OK);
    CHECK(record->count == 0 && sark_cache_size(cache) == 1);
    CHECK(put(cache, "k", "one", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "k", "a longer value than before", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "k", "", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == 1 && peek_is(cache, "k", ""));
    CHECK(record->count == 3);
    CHECK(removal_is(record, 0, "k", "one", SARK_CACHE_REPLACED));
    CHECK(removal_is(record, 1, "k", "one", SARK_CACHE_REPLACED));
    CHECK(removal_is(record, 2, "k", "a longer value than before", SARK_CACHE_REPLACED));
    FINISH(cache);
    CHECK(removal_is(record, 3, "k", "", SARK_CACHE_DESTROYED) && record->count == 4);
}

TEST(add_only_where_nothing_is)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(add(cache, "k", "one", 50) == SARK_CACHE_OK);
    CHECK(add(cache, "k", "two", 0) == SARK_CACHE_EXISTS);
    CHECK(peek_is(cache, "k", "one") && ttl_of(cache, "k") == 50);
    CHECK(support_removals()->count == 0);
    CHECK(drop(cache, "k") == SARK_CACHE_OK);
    CHECK(add(cache, "k", "two", 0) == SARK_CACHE_OK);
    CHECK(peek_is(cache, "k", "two") && ttl_of(cache, "k") == SARK_CACHE_NO_EXPIRY);
    CHECK(metrics_of(cache).adds == 2);
    FINISH(cache);
}

TEST(replace_only_where_something_is)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(replace(cache, "k", "one", 0) == SARK_CACHE_MISS);
    CHECK(sark_cache_size(cache) == 0 && contains(cache, "k") == SARK_CACHE_MISS);
    CHECK(put(cache, "k", "one", 0) == SARK_CACHE_OK);
    CHECK(replace(cache, "k", "two", 0) == SARK_CACHE_OK);
    CHECK(replace(cache, "k", "a longer value than before", 0) == SARK_CACHE_OK);
    CHECK(peek_is(cache, "k", "a longer value than before"));
    CHECK(support_removals()->count == 2 && metrics_of(cache).replaces == 2);
    CHECK(removal_is(support_removals(), 0, "k", "one", SARK_CACHE_REPLACED));
    CHECK(removal_is(support_removals(), 1, "k", "two", SARK_CACHE_REPLACED));
    FINISH(cache);
}

TEST(take_gets_and_deletes)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(take_is(cache, "k", NULL));
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    CHECK(take_is(cache, "k", "value"));
    CHECK(take_is(cache, "k", NULL));
    CHECK(sark_cache_size(cache) == 0);
    CHECK(support_removals()->count == 1);
    CHECK(removal_is(support_removals(), 0, "k", "value", SARK_CACHE_DELETED));
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.hits == 1 && metrics.misses == 2 && metrics.deletes == 1);
    FINISH(cache);
}

TEST(delete_removes)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(drop(cache, "k") == SARK_CACHE_MISS);
    CHECK(put(cache, "k", "value", 10) == SARK_CACHE_OK);
    CHECK(put(cache, "other", "stays", 0) == SARK_CACHE_OK);
    CHECK(drop(cache, "k") == SARK_CACHE_OK);
    CHECK(drop(cache, "k") == SARK_CACHE_MISS);
    CHECK(contains(cache, "k") == SARK_CACHE_MISS && peek_is(cache, "other", "stays"));
    CHECK(support_removals()->count == 1 && metrics_of(cache).deletes == 1);
    CHECK(removal_is(support_removals(), 0, "k", "value", SARK_CACHE_DELETED));
    FINISH(cache);
}

TEST(clear_removes_all)
{
    sark_cache_config config = support_config(500);
    config.shard_count = 16;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_clear(NULL) == 0);
    CHECK(sark_cache_clear(cache) == 0);
    for (int round = 1; round <= 3; round++) {
        support_removals()->count = 0;
        for (uint32_t key = 0; key < 500; key++)
            CHECK(put_bytes(cache, key, key % 50, key % 5 ? 0 : 10) == SARK_CACHE_OK);
        if (round == 2) advance(10);
        CHECK(sark_cache_clear(cache) == 500);
        CHECK(sark_cache_size(cache) == 0 && support_removals()->count == 500);
        size_t expired = round == 2 ? 100 : 0;
        CHECK(removals_for(support_removals(), SARK_CACHE_EXPIRED) == expired);
        CHECK(removals_for(support_removals(), SARK_CACHE_CLEARED) == 500 - expired);
        for (uint32_t key = 0; key < 500; key++)
            CHECK(sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_MISS);
    }
    FINISH(cache);
}

/* Sets a key of its own for each that is cleared; context is the cache. */
static void set_another(void *context, const void *key, size_t key_bytes, const void *value,
                        size_t value_bytes, sark_cache_cause cause)
{
    uint32_t number = 0;
    (void)value, (void)value_bytes;
    if (cause != SARK_CACHE_CLEARED) return;
    memcpy(&number, key, key_bytes < sizeof number ? key_bytes : sizeof number);
    number += 1000;
    CHECK(sark_cache_set(*(sark_cache **)context, &number, sizeof number, "new", 3, 0) ==
          SARK_CACHE_OK);
}

TEST(what_is_set_while_clearing_stays)
{
    sark_cache *cache = NULL;
    sark_cache_config config = support_config(1000);
    config.on_remove = set_another;
    config.on_remove_context = &cache;
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < 400; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "old", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_clear(cache) == 400 && sark_cache_size(cache) == 400);
    for (uint32_t key = 1000; key < 1400; key++)
        CHECK(sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK);
    FINISH(cache);
}

/* ---- Recency -------------------------------------------------------------------------------- */

static void write_set(sark_cache *cache) { CHECK(!put(cache, "a", "1", 0)); }
static void write_replace(sark_cache *cache) { CHECK(!replace(cache, "a", "1", 0)); }
static void write_touch(sark_cache *cache) { CHECK(!touch(cache, "a", 0)); }
static void write_touch_ttl(sark_cache *cache) { CHECK(!touch(cache, "a", 900)); }
static void write_add(sark_cache *cache) { CHECK(add(cache, "a", "2", 0) == SARK_CACHE_EXISTS); }
static void write_bad_set(sark_cache *cache) { CHECK(put(cache, "a", "2", -1) < SARK_CACHE_OK); }
static void write_bad_touch(sark_cache *cache) { CHECK(touch(cache, "a", -1) < SARK_CACHE_OK); }

TEST(what_moves_in_the_order)
{
    static const struct {
        void (*write)(sark_cache *cache);
        bool moves;
    } rows[] = {{write_set, true},       {write_replace, true}, {write_touch, true},
                {write_touch_ttl, true}, {write_add, false},    {write_bad_set, false},
                {write_bad_touch, false}};
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
            sark_cache_config config = support_config(3);
            config.shard_count = shard_count;
            sark_cache *cache = support_create(&config);
            REQUIRE(cache != NULL);
            CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK);
            CHECK(put(cache, "b", "1", 0) == SARK_CACHE_OK);
            CHECK(put(cache, "c", "1", 0) == SARK_CACHE_OK);
            rows[row].write(cache);
            CHECK(removals_for(support_removals(), SARK_CACHE_EVICTED) == 0);
            support_removals()->count = 0;
            CHECK(put(cache, "d", "1", 0) == SARK_CACHE_OK);
            CHECK(removal_is(support_removals(), 0, rows[row].moves ? "b" : "a", "1",
                             SARK_CACHE_EVICTED));
            CHECK(support_removals()->count == 1);
            FINISH(cache);
        }
    }
}

TEST(an_existing_key_evicts_nobody)
{
    sark_cache *cache = small_cache(3);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "b", "1", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "c", "1", 0) == SARK_CACHE_OK);
    for (int round = 0; round < 100; round++) {
        CHECK(put(cache, "a", round % 2 ? "short" : "a value of another size", 0) ==
              SARK_CACHE_OK);
        CHECK(replace(cache, "c", round % 3 ? "short" : "a value of another size", 0) ==
              SARK_CACHE_OK);
    }
    CHECK(removals_for(support_removals(), SARK_CACHE_EVICTED) == 0);
    CHECK(sark_cache_size(cache) == 3 && peek_is(cache, "b", "1"));
    FINISH(cache);
}

/* ---- TTLs ----------------------------------------------------------------------------------- */

TEST(the_default_ttl)
{
    sark_cache_config config = support_config(10);
    config.default_ttl_ms = 100;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "default", "value", 0) == SARK_CACHE_OK && ttl_of(cache, "default") == 100);
    CHECK(put(cache, "own", "value", 30) == SARK_CACHE_OK && ttl_of(cache, "own") == 30);
    CHECK(put(cache, "none", "value", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
    CHECK(ttl_of(cache, "none") == SARK_CACHE_NO_EXPIRY);
    CHECK(add(cache, "added", "value", 0) == SARK_CACHE_OK && ttl_of(cache, "added") == 100);
    advance(40);
    CHECK(ttl_of(cache, "default") == 60 && ttl_of(cache, "own") == 0);
    CHECK(touch(cache, "default", 0) == SARK_CACHE_OK && ttl_of(cache, "default") == 100);
    CHECK(touch(cache, "none", 0) == SARK_CACHE_OK && ttl_of(cache, "none") == 100);
    CHECK(put(cache, "added", "value", 0) == SARK_CACHE_OK && ttl_of(cache, "added") == 100);
    FINISH(cache);
}

TEST(replace_keeps_the_deadline)
{
    for (int64_t default_ttl_ms = 0; default_ttl_ms <= 7; default_ttl_ms += 7) {
        sark_cache_config config = support_config(10);
        config.default_ttl_ms = default_ttl_ms;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "ttl", "value", 100) == SARK_CACHE_OK);
        CHECK(put(cache, "none", "value", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
        advance(40);
        CHECK(replace(cache, "ttl", "longer value", 0) == SARK_CACHE_OK);
        CHECK(replace(cache, "none", "longer value", 0) == SARK_CACHE_OK);
        CHECK(ttl_of(cache, "ttl") == 60 && ttl_of(cache, "none") == SARK_CACHE_NO_EXPIRY);
        CHECK(replace(cache, "none", "value", 50) == SARK_CACHE_OK);
        CHECK(ttl_of(cache, "none") == 50);
        CHECK(replace(cache, "none", "value", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
        CHECK(ttl_of(cache, "none") == SARK_CACHE_NO_EXPIRY);
        advance(59);
        CHECK(replace(cache, "ttl", "value", 0) == SARK_CACHE_OK && ttl_of(cache, "ttl") == 1);
        advance(1);
        CHECK(replace(cache, "ttl", "value", 0) == SARK_CACHE_MISS);
        CHECK(contains(cache, "ttl") == SARK_CACHE_MISS);
        FINISH(cache);
    }
}

TEST(touch_gives_a_new_ttl)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(touch(cache, "k", 10) == SARK_CACHE_MISS);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    for (int round = 0; round < 5; round++) {
        CHECK(touch(cache, "k", 100) == SARK_CACHE_OK && ttl_of(cache, "k") == 100);
        advance(99);
        CHECK(ttl_of(cache, "k") == 1 && get_is(cache, "k", "value"));
        CHECK(touch(cache, "k", 5) == SARK_CACHE_OK && ttl_of(cache, "k") == 5);
        CHECK(touch(cache, "k", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
        CHECK(ttl_of(cache, "k") == SARK_CACHE_NO_EXPIRY);
        advance(1000);
        CHECK(peek_is(cache, "k", "value"));
        if (round % 2) CHECK(touch(cache, "k", 0) == SARK_CACHE_OK);
    }
    CHECK(support_removals()->count == 0 && sark_cache_size(cache) == 1);
    CHECK(touch(cache, "k", 10) == SARK_CACHE_OK);
    advance(10);
    CHECK(touch(cache, "k", 10) == SARK_CACHE_MISS);
    CHECK(touch(cache, "k", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_MISS);
    CHECK(contains(cache, "k") == SARK_CACHE_MISS);
    FINISH(cache);
}

TEST(a_negative_ttl_changes_nothing)
{
    static const int64_t ttls[] = {-1, -2, -1000, INT64_MIN + 1, INT64_MIN};
    sark_cache *cache = small_cache(2);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "one", 50) == SARK_CACHE_OK);
    CHECK(put(cache, "b", "two", 0) == SARK_CACHE_OK);
    for (size_t row = 0; row < sizeof ttls / sizeof *ttls; row++) {
        CHECK(put(cache, "a", "other", ttls[row]) == SARK_CACHE_BAD_TTL);
        CHECK(put(cache, "c", "other", ttls[row]) == SARK_CACHE_BAD_TTL);
        CHECK(add(cache, "c", "other", ttls[row]) == SARK_CACHE_BAD_TTL);
        CHECK(replace(cache, "a", "other", ttls[row]) == SARK_CACHE_BAD_TTL);
        CHECK(touch(cache, "a", ttls[row]) == SARK_CACHE_BAD_TTL);
        CHECK(metrics_of(cache).rejected_ttl == 5 * (row + 1));
    }
    CHECK(peek_is(cache, "a", "one") && ttl_of(cache, "a") == 50 && peek_is(cache, "b", "two"));
    CHECK(sark_cache_size(cache) == 2 && support_removals()->count == 0);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.sets == 2 && metrics.adds + metrics.replaces + metrics.touches == 0);
    FINISH(cache);
}

TEST(a_ttl_that_overflows_never_expires)
{
    static const int64_t ttls[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - 1000,
                                   INT64_MAX - 999999};
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    for (size_t row = 0; row < sizeof ttls / sizeof *ttls; row++) {
        *support_time() = 1000000;
        CHECK(put(cache, "set", "value", ttls[row]) == SARK_CACHE_OK);
        CHECK(put(cache, "touched", "value", 10) == SARK_CACHE_OK);
        CHECK(touch(cache, "touched", ttls[row]) == SARK_CACHE_OK);
        CHECK(drop(cache, "added") <= SARK_CACHE_MISS);
        CHECK(add(cache, "added", "value", ttls[row]) == SARK_CACHE_OK);
        CHECK(replace(cache, "added", "other", ttls[row]) == SARK_CACHE_OK);
        for (int leap = 0; leap < 3; leap++) {
            CHECK(get_is(cache, "set", "value") && get_is(cache, "touched", "value"));
            CHECK(get_is(cache, "added", "other"));
            CHECK(ttl_of(cache, "set") == SARK_CACHE_NO_EXPIRY);
            *support_time() = leap ? INT64_MAX - 1 : CENTURY_MS;
        }
    }
    CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
    FINISH(cache);
}

TEST(long_ttls_end_in_time)
{
    sark_cache *cache = small_cache(100);
    REQUIRE(cache != NULL);
    int64_t start = *support_time();
    for (int power = 0; power < 60; power++) {
        int64_t ttl_ms = (int64_t)1 << power;
        *support_time() = start;
        CHECK(put(cache, "k", "value", ttl_ms) == SARK_CACHE_OK);
        CHECK(ttl_of(cache, "k") == ttl_ms);
        advance(ttl_ms - 1);
        CHECK(get_is(cache, "k", "value") && ttl_of(cache, "k") == 1);
        advance(1);
        CHECK(get_is(cache, "k", NULL));
    }
    FINISH(cache);
}

/* ---- Expired entries are absent ------------------------------------------------------------- */

static sark_cache *cache_with_expired(void)
{
    sark_cache *cache = small_cache(10);
    if (!cache) return NULL;
    CHECK(put(cache, "k", "old", 10) == SARK_CACHE_OK);
    CHECK(put(cache, "live", "value", 0) == SARK_CACHE_OK);
    advance(10);
    CHECK(sark_cache_size(cache) == 2);
    return cache;
}

/* What every case below ends with: "k" left once, by expiry, and nothing else left. */
static void expired_once(sark_cache *cache)
{
    CHECK(support_removals()->count == 1);
    CHECK(removal_is(support_removals(), 0, "k", "old", SARK_CACHE_EXPIRED));
    CHECK(metrics_of(cache).expired_by_writers == 1);
    CHECK(peek_is(cache, "live", "value"));
    FINISH(cache);
}

TEST(set_over_expired)
{
    sark_cache *cache = cache_with_expired();
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "new", 0) == SARK_CACHE_OK);
    CHECK(peek_is(cache, "k", "new") && sark_cache_size(cache) == 2);
    expired_once(cache);
}

TEST(add_over_expired)
{
    sark_cache *cache = cache_with_expired();
    REQUIRE(cache != NULL);
    CHECK(add(cache, "k", "new", 7) == SARK_CACHE_OK);
    CHECK(peek_is(cache, "k", "new") && ttl_of(cache, "k") == 7);
    CHECK(add(cache, "k", "newer", 0) == SARK_CACHE_EXISTS);
    expired_once(cache);
}

TEST(delete_of_expired)
{
    sark_cache *cache = cache_with_expired();
    REQUIRE(cache != NULL);
    CHECK(drop(cache, "k") == SARK_CACHE_MISS);
    CHECK(sark_cache_size(cache) == 1 && metrics_of(cache).deletes == 0);
    expired_once(cache);
}

/* These miss; whether they also remove it is theirs, but then as expired. */
TEST(replace_take_and_touch_of_expired)
{
    for (int call = 0; call < 3; call++) {
        sark_cache *cache = cache_with_expired();
        REQUIRE(cache != NULL);
        if (call == 0) CHECK(replace(cache, "k", "new", 0) == SARK_CACHE_MISS);
        if (call == 1) CHECK(take_is(cache, "k", NULL));
        if (call == 2) CHECK(touch(cache, "k", 100) == SARK_CACHE_MISS);
        CHECK(contains(cache, "k") == SARK_CACHE_MISS);
        CHECK(sark_cache_size(cache) + support_removals()->count == 2);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.misses == (call == 1) && metrics.misses_expired == (call == 1));
        CHECK(metrics.replaces + metrics.touches + metrics.deletes == 0);
        CHECK(drop(cache, "k") == SARK_CACHE_MISS);
        expired_once(cache);
    }
}

/* ---- Sizes ---------------------------------------------------------------------------------- */

TEST(what_is_too_large_evicts_nothing)
{
    sark_cache *cache = tight_cache(0);
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 100; key++) CHECK(put_bytes(cache, key, 64, 0) == SARK_CACHE_OK);
    CHECK(support_removals()->count == 0);
    uint64_t size = sark_cache_size(cache);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "k", 1, filler, REGION_BYTES, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_set(cache, "new", 3, filler, REGION_BYTES, 10) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_add(cache, "new", 3, filler, 2 * REGION_BYTES, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_replace(cache, "k", 1, filler, REGION_BYTES, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_set(cache, filler, 65535, "v", 1, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(peek_is(cache, "k", "value") && contains(cache, "new") == SARK_CACHE_MISS);
    CHECK(sark_cache_size(cache) == size + 1 && support_removals()->count == 0);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.rejected_too_large == 5 && metrics.rejected_busy == 0);
    CHECK(metrics.evictions_for_bytes == 0);
    FINISH(cache);
}

/* One past what fits the empty cache is refused; what fits is stored, whatever is there. */
TEST(the_largest_that_fits)
{
    for (int64_t ttl_ms = 0; ttl_ms <= 1000; ttl_ms += 1000) {
        sark_cache *cache = tight_cache(0);
        REQUIRE(cache != NULL);
        size_t fits = 0, too_large = REGION_BYTES;
        while (too_large - fits > 1) {
            size_t middle = fits + (too_large - fits) / 2;
            sark_cache_status status = put_bytes(cache, 0, middle, ttl_ms);
            CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_TOO_LARGE);
            if (status == SARK_CACHE_OK) fits = middle;
            else too_large = middle;
            CHECK(sark_cache_clear(cache) == (status == SARK_CACHE_OK));
        }
        CHECK(fits > REGION_BYTES / 2);
        for (int round = 0; round < 3; round++) {
            for (uint32_t key = 1; key <= 500; key++)
                CHECK(put_bytes(cache, key, 10 * key % 777, key % 2 ? 0 : 10000) == SARK_CACHE_OK);
            support_removals()->count = 0;
            CHECK(put_bytes(cache, 0, too_large, ttl_ms) == SARK_CACHE_TOO_LARGE);
            CHECK(support_removals()->count == 0);
            CHECK(put_bytes(cache, 0, fits, ttl_ms) == SARK_CACHE_OK);
            CHECK(holds(cache));
        }
        FINISH(cache);
    }
}

/* What leaves for memory leaves its place as well: nothing more is evicted for that. */
TEST(one_victim_for_memory_and_a_place)
{
    sark_cache_config config = support_config(2);
    config.max_bytes = REGION_BYTES;
    config.shard_count = 1;
    for (int callbacks = 0; callbacks < 2; callbacks++) {
        if (!callbacks) config.on_remove = NULL;
        else config.on_remove = support_on_remove;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        for (const char *key = "abc"; *key; key++)
            CHECK(sark_cache_set(cache, key, 1, filler, REGION_BYTES / 8 * 3, 0) == SARK_CACHE_OK);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.evictions_for_bytes == 1 && metrics.evictions_for_entries == 0);
        CHECK(sark_cache_size(cache) == 2);
        CHECK(sark_cache_contains(cache, "b", 1) == SARK_CACHE_OK);
        FINISH(cache);
    }
}

/* A number that follows from all removals, in their order, of a run with many sizes. */
static uint64_t removals_of_a_run(uint64_t seed)
{
    char value[800];
    sark_cache_config config = support_config(500);
    config.max_bytes = 1u << 18;
    config.shard_count = 8;
    config.hash_seed = seed;
    sark_cache *cache = support_create(&config);
    uint64_t random = seed, sum = 0;
    for (uint32_t i = 0; cache && i < 20000; i++) {
        uint32_t key = random_below(&random, 2000);
        if (sark_cache_get(cache, &key, sizeof key, value, sizeof value, NULL) == SARK_CACHE_MISS)
            CHECK(put_bytes(cache, key, random_below(&random, 8) * 100, 0) == SARK_CACHE_OK);
        for (size_t k = 0; k < support_removals()->count; k++) {
            uint32_t removed;
            memcpy(&removed, support_removals()->removals[k].key, sizeof removed);
            sum = sum * 1099511628211u + removed + 1;
        }
        support_removals()->count = 0;
    }
    CHECK(metrics_of(cache).evictions_for_bytes > 0 && metrics_of(cache).evictions_for_entries > 0);
    FINISH(cache);
    return sum;
}

/* With a hash_seed the same calls give the same removals, whatever the time they take. */
TEST(the_same_calls_repeat)
{
    for (uint64_t seed = 1; seed <= 1 + support_length(NULL, 19); seed++)
        CHECK(removals_of_a_run(seed) == removals_of_a_run(seed));
}

TEST(sizes_do_not_wrap)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    for (size_t below = 0; below < 400; below++) {
        volatile size_t wrapping = SIZE_MAX - below, half = SIZE_MAX / 2 + 200 - below;
        CHECK(sark_cache_set(cache, "k", 1, filler, wrapping, 0) == SARK_CACHE_TOO_LARGE);
        CHECK(sark_cache_set(cache, "new", 3, filler, wrapping, 10) == SARK_CACHE_TOO_LARGE);
        CHECK(sark_cache_add(cache, "new", 3, filler, wrapping, 0) == SARK_CACHE_TOO_LARGE);
        CHECK(sark_cache_replace(cache, "k", 1, filler, wrapping, 9) == SARK_CACHE_TOO_LARGE);
        CHECK(sark_cache_set(cache, filler, 65535, filler, wrapping, 0) == SARK_CACHE_TOO_LARGE);
        CHECK(sark_cache_set(cache, filler, below, filler, half, 0) == SARK_CACHE_TOO_LARGE);
    }
    for (int power = 32; power < 64 && SIZE_MAX > UINT32_MAX; power++) {
        volatile size_t wrapping = (size_t)((uint64_t)1 << power);
        for (size_t above = 0; above < 200; above++)
            CHECK(sark_cache_set(cache, "new", 3, filler, wrapping + above, 0) ==
                  SARK_CACHE_TOO_LARGE);
    }
    for (size_t below = 0; below < 400 && SIZE_MAX > UINT32_MAX; below++) {
        volatile size_t wrapping = (size_t)UINT32_MAX - below;
        CHECK(sark_cache_set(cache, "k", 1, filler, wrapping, 9) == SARK_CACHE_TOO_LARGE);
        CHECK(sark_cache_set(cache, filler, 65535, filler, wrapping, 0) == SARK_CACHE_TOO_LARGE);
    }
    CHECK(sark_cache_size(cache) == 1 && support_removals()->count == 0);
    CHECK(peek_is(cache, "k", "value"));
    FINISH(cache);
}

/* ---- Everything pinned ---------------------------------------------------------------------- */

enum { MOST_PINS = 128 };

/* Sets entries of one size, pinning each, until one is refused. Returns how many pins are out. */
static uint32_t pin_full(sark_cache *cache, sark_cache_pinned *pins, uint32_t first, size_t bytes)
{
    uint32_t key = first;
    while (key < MOST_PINS && put_bytes(cache, key, bytes, 0) == SARK_CACHE_OK) {
        CHECK(sark_cache_pin(cache, &key, sizeof key, &pins[key]) == SARK_CACHE_OK);
        key++;
    }
    return key;
}

static void unpin_all(sark_cache *cache, sark_cache_pinned *pins, uint32_t count)
{
    for (uint32_t pin = 0; pin < count; pin++)
        if (pins[pin].value) CHECK(sark_cache_unpin(cache, &pins[pin]) == SARK_CACHE_OK);
}

TEST(everything_pinned_is_busy_and_evicts_nothing)
{
    static sark_cache_pinned pins[MOST_PINS];
    sark_cache *cache = tight_cache(MOST_PINS);
    REQUIRE(cache != NULL);
    uint32_t count = pin_full(cache, pins, 0, 4000);
    REQUIRE(count >= 5 && count < MOST_PINS);
    support_record *record = support_removals();
    CHECK(record->count == 0 && sark_cache_size(cache) == count);
    CHECK(metrics_of(cache).rejected_busy == 1);
    for (uint32_t key = 0; key < count; key++) {
        CHECK(put_bytes(cache, 1000 + key, 4000, 0) == SARK_CACHE_BUSY);
        CHECK(put_bytes(cache, key, 4000, 0) == SARK_CACHE_BUSY);
        uint32_t added = 2000 + key;
        CHECK(sark_cache_add(cache, &added, sizeof added, filler, 4000, 9) == SARK_CACHE_BUSY);
        CHECK(sark_cache_replace(cache, &key, sizeof key, filler, 4000, 0) == SARK_CACHE_BUSY);
    }
    CHECK(record->count == 0 && sark_cache_size(cache) == count);
    CHECK(metrics_of(cache).rejected_busy == 1 + 4 * count);
    CHECK(holds(cache));
    CHECK(put_bytes(cache, 0, REGION_BYTES, 0) == SARK_CACHE_TOO_LARGE);
    unpin_all(cache, pins, 1);
    CHECK(put_bytes(cache, 3000, 4000, 0) == SARK_CACHE_OK);
    CHECK(record->count == 1 && record->removals[0].cause == SARK_CACHE_EVICTED);
    CHECK(sark_cache_size(cache) == count);
    uint32_t oldest = 0;
    CHECK(sark_cache_contains(cache, &oldest, sizeof oldest) == SARK_CACHE_MISS);
    CHECK(put_bytes(cache, 3001, 4000, 0) == SARK_CACHE_OK);
    CHECK(record->count >= 2);
    unpin_all(cache, pins, count);
    for (uint32_t key = 0; key < 100; key++) CHECK(put_bytes(cache, key, 4000, 0) == SARK_CACHE_OK);
    FINISH(cache);
}

TEST(a_touch_that_finds_no_memory)
{
    static sark_cache_pinned pins[MOST_PINS];
    static const size_t sizes[] = {4000, 1000, 200, 50, 8, 0};
    sark_cache *cache = tight_cache(MOST_PINS);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK);
    uint32_t count = 0;
    for (size_t row = 0; row < sizeof sizes / sizeof *sizes; row++)
        count = pin_full(cache, pins, count, sizes[row]);
    CHECK(count < MOST_PINS - 1);
    uint64_t busy = metrics_of(cache).rejected_busy;
    sark_cache_status status = touch(cache, "k", 100);
    CHECK(status == SARK_CACHE_BUSY || status == SARK_CACHE_OK);
    CHECK(ttl_of(cache, "k") == (status == SARK_CACHE_OK ? 100 : SARK_CACHE_NO_EXPIRY));
    CHECK(peek_is(cache, "k", "value") && support_removals()->count == 0);
    CHECK(metrics_of(cache).rejected_busy == busy + (status == SARK_CACHE_BUSY));
    CHECK(touch(cache, "k", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
    CHECK(holds(cache));
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    unpin_all(cache, pins, count);
    CHECK(touch(cache, "k", 100) == SARK_CACHE_OK && ttl_of(cache, "k") == 100);
    FINISH(cache);
}

/* Where all others are pinned, the only room for a touch may be that of its own entry. */
TEST(a_touch_does_not_cost_its_key)
{
    static sark_cache_pinned pins[MOST_PINS];
    sark_cache *cache = tight_cache(MOST_PINS);
    REQUIRE(cache != NULL);
    uint32_t last = pin_full(cache, pins, 0, 1000) - 1, count = pin_full(cache, pins, last + 1, 0);
    CHECK(sark_cache_delete(cache, &last, sizeof last) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &pins[last]) == SARK_CACHE_OK);
    pins[last].value = NULL;
    CHECK(put_bytes(cache, last, 900, SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
    CHECK(sark_cache_touch(cache, &last, sizeof last, 100) == SARK_CACHE_BUSY);
    CHECK(sark_cache_contains(cache, &last, sizeof last) == SARK_CACHE_OK);
    unpin_all(cache, pins, count);
    CHECK(sark_cache_touch(cache, &last, sizeof last, 100) == SARK_CACHE_OK);
    FINISH(cache);
}

/* Fills the region with entries of one size until the first of them, key 0, would be the next to
   leave for memory. */
static void fill_to_the_brim(sark_cache *cache, size_t bytes)
{
    uint32_t key = 0;
    while (support_removals()->count == 0)
        CHECK(put_bytes(cache, key++, bytes, 0) == SARK_CACHE_OK);
    uint32_t oldest = 0;
    CHECK(sark_cache_contains(cache, &oldest, sizeof oldest) == SARK_CACHE_MISS);
    support_removals()->count = 0;
}

/* The entry that a call is about may be the oldest: making room must not cost the call its key. */
TEST(room_is_not_made_of_the_key_itself)
{
    for (int call = 0; call < 5; call++) {
        sark_cache *cache = tight_cache(0);
        REQUIRE(cache != NULL);
        fill_to_the_brim(cache, 1000);
        uint64_t size = sark_cache_size(cache);
        uint32_t oldest = 1;
        sark_cache_status status = SARK_CACHE_OK;
        if (call == 0) status = put_bytes(cache, oldest, 3000, 0);
        if (call == 1) status = put_bytes(cache, oldest, 3000, 100);
        if (call == 2)
            status = sark_cache_replace(cache, &oldest, sizeof oldest, filler, 3000, 0);
        if (call == 3)
            status = sark_cache_replace(cache, &oldest, sizeof oldest, filler, 3000, 100);
        if (call == 4) status = sark_cache_touch(cache, &oldest, sizeof oldest, 100);
        CHECK(status == SARK_CACHE_OK);
        CHECK(sark_cache_contains(cache, &oldest, sizeof oldest) == SARK_CACHE_OK);
        CHECK(sark_cache_size(cache) <= size);
        CHECK(metrics_of(cache).evictions_for_bytes < 10);
        FINISH(cache);
    }
}

/* Nor where the old value and the new one do not fit side by side: then a set evicts the old one,
   and a replace, which would find nothing to replace, is refused. */
TEST(more_than_half_of_the_region)
{
    for (int call = 0; call < 4; call++) {
        sark_cache *cache = tight_cache(0);
        REQUIRE(cache != NULL);
        uint32_t key = 1;
        CHECK(put_bytes(cache, key, 35000, 0) == SARK_CACHE_OK);
        sark_cache_status status = SARK_CACHE_OK;
        if (call == 0) status = put_bytes(cache, key, 36000, 100);
        if (call == 1) status = sark_cache_replace(cache, &key, sizeof key, filler, 36000, 0);
        if (call == 2) status = sark_cache_replace(cache, &key, sizeof key, filler, 34000, 100);
        if (call == 3) status = sark_cache_touch(cache, &key, sizeof key, 100);
        CHECK(status == (call == 1 || call == 2 ? SARK_CACHE_BUSY : SARK_CACHE_OK));
        CHECK(sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK);
        CHECK(sark_cache_size(cache) == 1);
        FINISH(cache);
    }
}

/* A value may be given where the cache itself keeps it, while it is pinned. */
TEST(a_value_from_the_cache_itself)
{
    sark_cache *cache = tight_cache(4);
    REQUIRE(cache != NULL);
    memset(filler, 'f', 10000);
    CHECK(put_bytes(cache, 0, 10000, 0) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < 50; key++) {
        sark_cache_pinned pinned;
        REQUIRE(sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK);
        uint32_t next = key + 1;
        CHECK(sark_cache_set(cache, &next, sizeof next, pinned.value, pinned.value_bytes, 0) ==
              SARK_CACHE_OK);
        CHECK(memcmp(pinned.value, filler, pinned.value_bytes) == 0);
        CHECK(sark_cache_set(cache, &next, sizeof next, pinned.value, pinned.value_bytes, 0) ==
              SARK_CACHE_OK);
        CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        CHECK(sark_cache_pin(cache, &next, sizeof next, &pinned) == SARK_CACHE_OK);
        CHECK(pinned.value_bytes == 10000 && memcmp(pinned.value, filler, 10000) == 0);
        CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    }
    FINISH(cache);
}

/* ---- Arguments ------------------------------------------------------------------------------ */

TEST(null_where_none_is_allowed)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(NULL, "k", 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_add(NULL, "k", 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_replace(NULL, "k", 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_take(NULL, "k", 1, NULL, 0, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_touch(NULL, "k", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_delete(NULL, "k", 1) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_set(cache, NULL, 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_set(cache, "k", 1, NULL, 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_add(cache, NULL, 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_add(cache, "new", 3, NULL, 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_replace(cache, NULL, 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_replace(cache, "k", 1, NULL, 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_touch(cache, NULL, 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_delete(cache, NULL, 1) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(metrics_of(cache).rejected_argument == 8);
    CHECK(sark_cache_size(cache) == 1 && peek_is(cache, "k", "value"));
    CHECK(support_removals()->count == 0);
    FINISH(cache);
}

int main(void)
{
    RUN(set_inserts_and_replaces);
    RUN(add_only_where_nothing_is);
    RUN(replace_only_where_something_is);
    RUN(take_gets_and_deletes);
    RUN(delete_removes);
    RUN(clear_removes_all);
    RUN(what_is_set_while_clearing_stays);
    RUN(what_moves_in_the_order);
    RUN(an_existing_key_evicts_nobody);
    RUN(the_default_ttl);
    RUN(replace_keeps_the_deadline);
    RUN(touch_gives_a_new_ttl);
    RUN(a_negative_ttl_changes_nothing);
    RUN(a_ttl_that_overflows_never_expires);
    RUN(long_ttls_end_in_time);
    RUN(set_over_expired);
    RUN(add_over_expired);
    RUN(delete_of_expired);
    RUN(replace_take_and_touch_of_expired);
    RUN(what_is_too_large_evicts_nothing);
    RUN(the_largest_that_fits);
    RUN(one_victim_for_memory_and_a_place);
    RUN(the_same_calls_repeat);
    RUN(sizes_do_not_wrap);
    RUN(everything_pinned_is_busy_and_evicts_nothing);
    RUN(a_touch_that_finds_no_memory);
    RUN(a_touch_does_not_cost_its_key);
    RUN(room_is_not_made_of_the_key_itself);
    RUN(more_than_half_of_the_region);
    RUN(a_value_from_the_cache_itself);
    RUN(null_where_none_is_allowed);
    return test_summary();
}
