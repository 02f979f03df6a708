/* Black box: compare_and_set, increment, append and prepend, get_and_touch: what they do to live,
   absent and expired entries, what they keep, the helpers for numbers, and that a call that fails
   changes nothing. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "threads.h"

#define REGION_BYTES (1u << 16)

static unsigned char region[REGION_BYTES];
static unsigned char filler[2 * REGION_BYTES];

static sark_cache *small_cache(uint64_t max_entries)
{
    sark_cache_config config = support_config(max_entries);
    return support_create(&config);
}

/* The version of a key, as a pin tells it. */
static uint64_t version_of(sark_cache *cache, const char *key)
{
    sark_cache_pinned pinned;
    if (sark_cache_pin(cache, key, strlen(key), &pinned) != SARK_CACHE_OK) return 0;
    uint64_t version = pinned.version;
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    return version;
}

static sark_cache_status swap(sark_cache *cache, const char *key, uint64_t version,
                              const char *value, int64_t ttl_ms)
{
    return sark_cache_compare_and_set(cache, key, strlen(key), version, value, strlen(value),
                                      ttl_ms);
}

static sark_cache_status count(sark_cache *cache, const char *key, int64_t delta,
                               const int64_t *initial, int64_t *result)
{
    return sark_cache_increment(cache, key, strlen(key), delta, initial, 0, result);
}

static sark_cache_status append(sark_cache *cache, const char *key, const char *bytes,
                                int64_t ttl_ms)
{
    return sark_cache_append(cache, key, strlen(key), bytes, strlen(bytes), ttl_ms);
}

/* ---- compare_and_set ------------------------------------------------------------------------ */

TEST(the_version_decides)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(swap(cache, "k", 1, "x", 0) == SARK_CACHE_MISS && sark_cache_size(cache) == 0);
    CHECK(put(cache, "k", "one", 0) == SARK_CACHE_OK);
    uint64_t first = version_of(cache, "k");
    CHECK(swap(cache, "k", first + 1, "x", 0) == SARK_CACHE_EXISTS);
    CHECK(swap(cache, "k", 0, "x", 0) == SARK_CACHE_EXISTS);
    CHECK(peek_is(cache, "k", "one") && support_removals()->count == 0);
    CHECK(swap(cache, "k", first, "a longer value than before", 0) == SARK_CACHE_OK);
    CHECK(peek_is(cache, "k", "a longer value than before"));
    CHECK(swap(cache, "k", first, "x", 0) == SARK_CACHE_EXISTS);
    CHECK(version_of(cache, "k") != first);
    CHECK(support_removals()->count == 1);
    CHECK(removal_is(support_removals(), 0, "k", "one", SARK_CACHE_REPLACED));
    CHECK(metrics_of(cache).compare_and_sets == 1 && metrics_of(cache).replaces == 0);
    FINISH(cache);
}

/* A key that was deleted and set again has another version, even with the same value. */
TEST(versions_do_not_come_back)
{
    sark_cache *cache = small_cache(2);
    REQUIRE(cache != NULL);
    uint64_t seen[50];
    for (int round = 0; round < 50; round++) {
        CHECK(put(cache, "k", "v", 0) == SARK_CACHE_OK);
        seen[round] = version_of(cache, "k");
        for (int before = 0; before < round; before++) {
            CHECK(seen[before] != seen[round]);
            CHECK(swap(cache, "k", seen[before], "x", 0) == SARK_CACHE_EXISTS);
        }
        if (round % 3 == 0) CHECK(drop(cache, "k") == SARK_CACHE_OK);
        if (round % 3 == 1) CHECK(sark_cache_clear(cache) == 1);
    }
    FINISH(cache);
}

/* ---- increment ------------------------------------------------------------------------------ */

TEST(numbers_are_little_endian)
{
    static const struct {
        int64_t number;
        unsigned char bytes[8];
    } known[] = {{0, {0}},
                 {1, {1}},
                 {-1, {255, 255, 255, 255, 255, 255, 255, 255}},
                 {INT64_MAX, {255, 255, 255, 255, 255, 255, 255, 127}},
                 {INT64_MIN, {0, 0, 0, 0, 0, 0, 0, 128}},
                 {0x0102030405060708, {8, 7, 6, 5, 4, 3, 2, 1}}};
    unsigned char bytes[9];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        sark_cache_write_int64(bytes + 1, known[i].number); /* at no particular address */
        CHECK(memcmp(bytes + 1, known[i].bytes, 8) == 0);
        CHECK(sark_cache_read_int64(bytes + 1) == known[i].number);
    }
}

TEST(counting)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    int64_t result = 77, initial = 100;
    CHECK(count(cache, "k", 1, NULL, &result) == SARK_CACHE_MISS && result == 77);
    CHECK(sark_cache_size(cache) == 0);
    CHECK(count(cache, "k", 5, &initial, &result) == SARK_CACHE_OK && result == 100);
    CHECK(count(cache, "k", 5, &initial, &result) == SARK_CACHE_OK && result == 105);
    CHECK(count(cache, "k", -200, NULL, &result) == SARK_CACHE_OK && result == -95);
    CHECK(count(cache, "k", 1, NULL, NULL) == SARK_CACHE_OK);
    unsigned char bytes[8];
    size_t byte_count = 0;
    CHECK(sark_cache_get(cache, "k", 1, bytes, sizeof bytes, &byte_count) == SARK_CACHE_OK);
    CHECK(byte_count == 8 && sark_cache_read_int64(bytes) == -94);
    sark_cache_write_int64(bytes, 41);
    CHECK(sark_cache_set(cache, "k", 1, bytes, sizeof bytes, 0) == SARK_CACHE_OK);
    CHECK(count(cache, "k", 1, NULL, &result) == SARK_CACHE_OK && result == 42);
    CHECK(metrics_of(cache).increments == 5 && metrics_of(cache).sets == 1);
    FINISH(cache);
}

TEST(what_is_no_number_stays)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    int64_t result = 77, initial = 1;
    static const char *const values[] = {"", "1", "1234567", "123456789"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        CHECK(put(cache, "k", values[i], 50) == SARK_CACHE_OK);
        CHECK(count(cache, "k", 1, NULL, &result) == SARK_CACHE_NOT_INTEGER);
        CHECK(count(cache, "k", 1, &initial, &result) == SARK_CACHE_NOT_INTEGER);
        CHECK(result == 77 && peek_is(cache, "k", values[i]) && ttl_of(cache, "k") == 50);
    }
    CHECK(metrics_of(cache).rejected_number == 8 && metrics_of(cache).increments == 0);
    FINISH(cache);
}

TEST(sums_that_overflow_change_nothing)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    int64_t most = INT64_MAX, least = INT64_MIN, result = 77;
    CHECK(count(cache, "most", 0, &most, NULL) == SARK_CACHE_OK);
    CHECK(count(cache, "least", 0, &least, NULL) == SARK_CACHE_OK);
    CHECK(count(cache, "most", 1, NULL, &result) == SARK_CACHE_OVERFLOW);
    CHECK(count(cache, "most", INT64_MAX, NULL, &result) == SARK_CACHE_OVERFLOW);
    CHECK(count(cache, "least", -1, NULL, &result) == SARK_CACHE_OVERFLOW);
    CHECK(count(cache, "least", INT64_MIN, NULL, &result) == SARK_CACHE_OVERFLOW);
    CHECK(result == 77);
    CHECK(count(cache, "most", INT64_MIN, NULL, &result) == SARK_CACHE_OK && result == -1);
    CHECK(count(cache, "least", INT64_MAX, NULL, &result) == SARK_CACHE_OK && result == -1);
    FINISH(cache);
}

static sark_cache_status saturate(sark_cache *cache, const char *key, int64_t delta,
                                  int64_t *result)
{
    return sark_cache_increment_saturating(cache, key, strlen(key), delta, NULL, 0, result);
}

TEST(sums_that_saturate)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    int64_t near = INT64_MAX - 5, result = 77;
    CHECK(saturate(cache, "k", 1, &result) == SARK_CACHE_MISS && result == 77);
    CHECK(sark_cache_increment_saturating(cache, "k", 1, 9, &near, 0, &result) == SARK_CACHE_OK);
    CHECK(result == near);
    CHECK(saturate(cache, "k", 5, &result) == SARK_CACHE_OK && result == INT64_MAX);
    CHECK(saturate(cache, "k", 1, &result) == SARK_CACHE_OK && result == INT64_MAX);
    CHECK(saturate(cache, "k", INT64_MIN, &result) == SARK_CACHE_OK && result == -1);
    CHECK(saturate(cache, "k", INT64_MIN, &result) == SARK_CACHE_OK && result == INT64_MIN);
    CHECK(saturate(cache, "k", -7, &result) == SARK_CACHE_OK && result == INT64_MIN);
    CHECK(saturate(cache, "k", INT64_MAX, &result) == SARK_CACHE_OK && result == -1);
    CHECK(put(cache, "text", "no number", 0) == SARK_CACHE_OK);
    CHECK(saturate(cache, "text", 1, &result) == SARK_CACHE_NOT_INTEGER && result == -1);
    CHECK(metrics_of(cache).increments == 7 && metrics_of(cache).rejected_number == 1);
    FINISH(cache);
}

/* ---- append and prepend --------------------------------------------------------------------- */

TEST(appending)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(append(cache, "k", "x", 0) == SARK_CACHE_MISS && sark_cache_size(cache) == 0);
    CHECK(put(cache, "k", "", 0) == SARK_CACHE_OK);
    CHECK(append(cache, "k", "ab", 0) == SARK_CACHE_OK && peek_is(cache, "k", "ab"));
    CHECK(append(cache, "k", "", 0) == SARK_CACHE_OK && peek_is(cache, "k", "ab"));
    CHECK(append(cache, "k", "cdef", 0) == SARK_CACHE_OK && peek_is(cache, "k", "abcdef"));
    CHECK(removal_is(support_removals(), 2, "k", "ab", SARK_CACHE_REPLACED));
    CHECK(support_removals()->count == 3 && metrics_of(cache).appends == 3);
    FINISH(cache);
}

static sark_cache_status prepend(sark_cache *cache, const char *key, const char *bytes)
{
    return sark_cache_prepend(cache, key, strlen(key), bytes, strlen(bytes), 0);
}

TEST(prepending)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(prepend(cache, "k", "x") == SARK_CACHE_MISS && sark_cache_size(cache) == 0);
    CHECK(put(cache, "k", "", 30) == SARK_CACHE_OK);
    CHECK(prepend(cache, "k", "f") == SARK_CACHE_OK && peek_is(cache, "k", "f"));
    CHECK(prepend(cache, "k", "") == SARK_CACHE_OK && peek_is(cache, "k", "f"));
    CHECK(prepend(cache, "k", "cde") == SARK_CACHE_OK && peek_is(cache, "k", "cdef"));
    CHECK(append(cache, "k", "g", 0) == SARK_CACHE_OK && peek_is(cache, "k", "cdefg"));
    CHECK(prepend(cache, "k", "ab") == SARK_CACHE_OK && peek_is(cache, "k", "abcdefg"));
    CHECK(ttl_of(cache, "k") == 30 && metrics_of(cache).appends == 5);
    CHECK(removal_is(support_removals(), 4, "k", "cdefg", SARK_CACHE_REPLACED));
    CHECK(sark_cache_prepend(cache, "k", 1, filler, SIZE_MAX, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_prepend(cache, "k", 1, "x", 1, -1) == SARK_CACHE_BAD_TTL);
    CHECK(peek_is(cache, "k", "abcdefg"));
    FINISH(cache);
}

TEST(appending_more_than_fits)
{
    sark_cache_config config = support_config(16);
    sark_cache *cache = NULL;
    REQUIRE(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "k", 1, filler, 1000, 50) == SARK_CACHE_OK);
    CHECK(put(cache, "other", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_append(cache, "k", 1, filler, sizeof region, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_append(cache, "k", 1, filler, SIZE_MAX, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_append(cache, "k", 1, filler, SIZE_MAX - 1000, 0) == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_append(cache, "k", 1, filler, UINT32_MAX, 0) == SARK_CACHE_TOO_LARGE);
    size_t byte_count = 0;
    CHECK(sark_cache_peek(cache, "k", 1, NULL, 0, &byte_count) == SARK_CACHE_SHORT_BUFFER);
    CHECK(byte_count == 1000 && ttl_of(cache, "k") == 50 && peek_is(cache, "other", "value"));
    CHECK(metrics_of(cache).rejected_too_large == 4 && support_removals()->count == 0);
    FINISH(cache);
}

/* ---- get_and_touch -------------------------------------------------------------------------- */

/* Whether get_and_touch finds this value; NULL: whether it misses. */
static bool touched_is(sark_cache *cache, const char *key, int64_t ttl_ms, const char *expected)
{
    char bytes[32];
    size_t byte_count = 0;
    sark_cache_status status = sark_cache_get_and_touch(cache, key, strlen(key), bytes,
                                                        sizeof bytes, &byte_count, ttl_ms);
    return support_same(status, bytes, byte_count, expected);
}

TEST(getting_and_touching)
{
    sark_cache *cache = small_cache(2);
    REQUIRE(cache != NULL);
    CHECK(touched_is(cache, "a", 10, NULL) && sark_cache_size(cache) == 0);
    CHECK(put(cache, "a", "one", 0) == SARK_CACHE_OK && put(cache, "b", "two", 0) == SARK_CACHE_OK);
    CHECK(touched_is(cache, "a", 10, "one") && ttl_of(cache, "a") == 10);
    advance(9);
    CHECK(touched_is(cache, "a", 50, "one") && ttl_of(cache, "a") == 50);
    CHECK(touched_is(cache, "a", 0, "one") && ttl_of(cache, "a") == SARK_CACHE_NO_EXPIRY);
    CHECK(touched_is(cache, "a", 5, "one"));
    CHECK(put(cache, "c", "three", 0) == SARK_CACHE_OK); /* b is the oldest by now */
    CHECK(removal_is(support_removals(), 0, "b", "two", SARK_CACHE_EVICTED));
    advance(5);
    CHECK(touched_is(cache, "a", 50, NULL) && contains(cache, "a") == SARK_CACHE_MISS);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.hits == 4 && metrics.touches == 4);
    CHECK(metrics.misses == 2 && metrics.misses_expired == 1);
    FINISH(cache);
}

TEST(getting_and_touching_in_vain)
{
    sark_cache *cache = small_cache(2);
    REQUIRE(cache != NULL);
    char bytes[8] = "#######";
    size_t byte_count = 0;
    CHECK(put(cache, "a", "value", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "b", "two", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_get_and_touch(cache, "a", 1, bytes, 4, &byte_count, 10) ==
          SARK_CACHE_SHORT_BUFFER);
    CHECK(byte_count == 5 && strcmp(bytes, "#######") == 0);
    CHECK(sark_cache_get_and_touch(cache, "a", 1, bytes, 8, &byte_count, -1) ==
          SARK_CACHE_BAD_TTL);
    CHECK(sark_cache_get_and_touch(cache, "a", 1, NULL, 8, NULL, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_get_and_touch(NULL, "a", 1, bytes, 8, NULL, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_get_and_touch(cache, filler, 65536, bytes, 8, NULL, 0) == SARK_CACHE_BAD_KEY);
    CHECK(ttl_of(cache, "a") == SARK_CACHE_NO_EXPIRY);
    CHECK(put(cache, "c", "three", 0) == SARK_CACHE_OK); /* a is the oldest still */
    CHECK(removal_is(support_removals(), 0, "a", "value", SARK_CACHE_EVICTED));
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.hits == 0 && metrics.misses == 0 && metrics.touches == 0);
    CHECK(metrics.rejected_short_buffer == 1);
    FINISH(cache);
}

/* ---- What they have in common --------------------------------------------------------------- */

TEST(deadlines_are_kept_unless_given)
{
    sark_cache_config config = support_config(10);
    config.default_ttl_ms = 500;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    int64_t initial = 1;
    CHECK(put(cache, "k", "value", 50) == SARK_CACHE_OK);
    CHECK(sark_cache_increment(cache, "n", 1, 0, &initial, 50, NULL) == SARK_CACHE_OK);
    CHECK(count(cache, "new", 0, &initial, NULL) == SARK_CACHE_OK && ttl_of(cache, "new") == 500);
    advance(10);
    CHECK(append(cache, "k", "s", 0) == SARK_CACHE_OK && ttl_of(cache, "k") == 40);
    CHECK(swap(cache, "k", version_of(cache, "k"), "v", 0) == SARK_CACHE_OK);
    CHECK(ttl_of(cache, "k") == 40);
    CHECK(count(cache, "n", 1, NULL, NULL) == SARK_CACHE_OK && ttl_of(cache, "n") == 40);
    CHECK(count(cache, "n", 1, &initial, NULL) == SARK_CACHE_OK && ttl_of(cache, "n") == 40);
    CHECK(append(cache, "k", "s", 90) == SARK_CACHE_OK && ttl_of(cache, "k") == 90);
    CHECK(swap(cache, "k", version_of(cache, "k"), "v", 70) == SARK_CACHE_OK);
    CHECK(ttl_of(cache, "k") == 70);
    CHECK(sark_cache_increment(cache, "n", 1, 1, NULL, SARK_CACHE_NO_EXPIRY, NULL) ==
          SARK_CACHE_OK);
    CHECK(ttl_of(cache, "n") == SARK_CACHE_NO_EXPIRY);
    CHECK(append(cache, "k", "s", -1) == SARK_CACHE_BAD_TTL);
    CHECK(append(cache, "absent", "s", -1) == SARK_CACHE_BAD_TTL);
    CHECK(swap(cache, "k", version_of(cache, "k"), "x", -1) == SARK_CACHE_BAD_TTL);
    CHECK(sark_cache_increment(cache, "n", 1, 1, NULL, -1, NULL) == SARK_CACHE_BAD_TTL);
    CHECK(peek_is(cache, "k", "vs") == false && peek_is(cache, "k", "v"));
    FINISH(cache);
}

/* For these an expired entry is absent; only an increment with an initial value goes over it. */
TEST(expired_entries)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    int64_t initial = 7, result = 0;
    CHECK(put(cache, "k", "12345678", 5) == SARK_CACHE_OK);
    uint64_t version = version_of(cache, "k");
    advance(5);
    CHECK(swap(cache, "k", version, "x", 0) == SARK_CACHE_MISS);
    CHECK(append(cache, "k", "x", 0) == SARK_CACHE_MISS);
    CHECK(count(cache, "k", 1, NULL, &result) == SARK_CACHE_MISS && result == 0);
    CHECK(count(cache, "k", 1, &initial, &result) == SARK_CACHE_OK && result == 7);
    CHECK(ttl_of(cache, "k") == SARK_CACHE_NO_EXPIRY);
    CHECK(support_removals()->count == 1);
    CHECK(removal_is(support_removals(), 0, "k", "12345678", SARK_CACHE_EXPIRED));
    FINISH(cache);
}

/* They make their key the most recently used; where they fail they do not. */
TEST(they_move_in_the_order)
{
    sark_cache *cache = small_cache(3);
    REQUIRE(cache != NULL);
    int64_t initial = 1;
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK && put(cache, "b", "2", 0) == SARK_CACHE_OK);
    CHECK(count(cache, "n", 0, &initial, NULL) == SARK_CACHE_OK);
    CHECK(append(cache, "a", "+", 0) == SARK_CACHE_OK);
    CHECK(swap(cache, "b", 0, "x", 0) == SARK_CACHE_EXISTS);
    CHECK(count(cache, "b", 1, NULL, NULL) == SARK_CACHE_NOT_INTEGER);
    CHECK(count(cache, "n", 1, NULL, NULL) == SARK_CACHE_OK);
    CHECK(put(cache, "c", "3", 0) == SARK_CACHE_OK && contains(cache, "b") == SARK_CACHE_MISS);
    CHECK(put(cache, "d", "4", 0) == SARK_CACHE_OK && contains(cache, "a") == SARK_CACHE_MISS);
    CHECK(contains(cache, "n") == SARK_CACHE_OK);
    FINISH(cache);
}

TEST(null_and_keys_too_long)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_increment(NULL, "k", 1, 1, NULL, 0, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_increment(cache, NULL, 1, 1, NULL, 0, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_append(cache, "k", 1, NULL, 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_append(NULL, "k", 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_compare_and_set(cache, "k", 1, 1, NULL, 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_compare_and_set(NULL, "k", 1, 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_increment(cache, filler, 65536, 1, NULL, 0, NULL) == SARK_CACHE_BAD_KEY);
    CHECK(sark_cache_append(cache, filler, 65536, "v", 1, 0) == SARK_CACHE_BAD_KEY);
    CHECK(sark_cache_prepend(NULL, "k", 1, "v", 1, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_increment_saturating(NULL, "k", 1, 1, NULL, 0, NULL) ==
          SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_size(cache) == 0);
    FINISH(cache);
}

/* ---- Threads -------------------------------------------------------------------------------- */

enum { KEYS = 3 };

typedef struct member {
    sark_cache *cache;
    uint64_t rounds, wrong;
    int64_t delta;
} member;

/* Adds one to the number under "swapped", by version. */
static bool swap_one_more(sark_cache *cache)
{
    sark_cache_status status;
    do {
        sark_cache_pinned pinned;
        unsigned char bytes[8];
        if (sark_cache_pin(cache, "swapped", 7, &pinned) != SARK_CACHE_OK) return false;
        sark_cache_write_int64(bytes, sark_cache_read_int64(pinned.value) + 1);
        status = sark_cache_compare_and_set(cache, "swapped", 7, pinned.version, bytes,
                                            sizeof bytes, 0);
        if (sark_cache_unpin(cache, &pinned) != SARK_CACHE_OK) return false;
    } while (status == SARK_CACHE_EXISTS);
    return status == SARK_CACHE_OK;
}

/* Counts up or down, appends a byte, and swaps by version: each once, whatever the others do. */
static void *member_run(void *context)
{
    member *mine = context;
    for (uint64_t round = 0; round < mine->rounds; round++) {
        const char key[] = {(char)('a' + round % KEYS), 0};
        mine->wrong += count(mine->cache, key, mine->delta, NULL, NULL) != SARK_CACHE_OK;
        mine->wrong += !swap_one_more(mine->cache);
        if (round % 64 == 0)
            mine->wrong += append(mine->cache, "text", "x", 0) != SARK_CACHE_OK;
    }
    return NULL;
}

TEST(nothing_is_lost_among_threads)
{
    sark_cache_config config = support_config(100);
    config.max_bytes = 1 << 20;
    config.on_remove = NULL;
    sark_cache *cache = support_create(&config);
    member members[TEST_THREADS];
    uint64_t rounds = test_scaled(20000, 200);
    int64_t zero = 0, sum = 0, number = 0, expected = 0;
    REQUIRE(cache != NULL);
    for (int key = 0; key < KEYS; key++)
        CHECK(count(cache, (char[]){(char)('a' + key), 0}, 0, &zero, NULL) == SARK_CACHE_OK);
    CHECK(count(cache, "swapped", 0, &zero, NULL) == SARK_CACHE_OK);
    CHECK(put(cache, "text", "", 0) == SARK_CACHE_OK);
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        members[i] = (member){cache, rounds, 0, i % 2 ? 3 : -2};
        expected += members[i].delta * (int64_t)rounds;
    }
    test_run_threads(TEST_THREADS, member_run, members, sizeof members[0]);
    for (unsigned i = 0; i < TEST_THREADS; i++) CHECK(members[i].wrong == 0);
    for (int key = 0; key < KEYS; key++) {
        CHECK(count(cache, (char[]){(char)('a' + key), 0}, 0, NULL, &number) == SARK_CACHE_OK);
        sum += number;
    }
    CHECK(sum == expected);
    CHECK(count(cache, "swapped", 0, NULL, &number) == SARK_CACHE_OK);
    CHECK(number == (int64_t)rounds * TEST_THREADS);
    size_t byte_count = 0;
    (void)sark_cache_peek(cache, "text", 4, NULL, 0, &byte_count);
    CHECK(byte_count == TEST_THREADS * ((rounds + 63) / 64));
    FINISH(cache);
}

int main(void)
{
    RUN(the_version_decides);
    RUN(versions_do_not_come_back);
    RUN(numbers_are_little_endian);
    RUN(counting);
    RUN(what_is_no_number_stays);
    RUN(sums_that_overflow_change_nothing);
    RUN(sums_that_saturate);
    RUN(appending);
    RUN(prepending);
    RUN(appending_more_than_fits);
    RUN(getting_and_touching);
    RUN(getting_and_touching_in_vain);
    RUN(deadlines_are_kept_unless_given);
    RUN(expired_entries);
    RUN(they_move_in_the_order);
    RUN(null_and_keys_too_long);
    RUN(nothing_is_lost_among_threads);
    return test_summary();
}
