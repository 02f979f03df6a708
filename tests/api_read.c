/* Black box: get, peek, contains, ttl, pin and unpin; what moves in the order of recency, what a
   short buffer does, which keys and values are legal, and how long a pin holds. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

static unsigned char long_key[SARK_CACHE_MAX_KEY_BYTES + 1u];

static sark_cache *small_cache(uint64_t max_entries)
{
    sark_cache_config config = support_config(max_entries);
    return support_create(&config);
}

/* ---- Copying out ---------------------------------------------------------------------------- */

typedef sark_cache_status (*read_call)(sark_cache *, const void *, size_t, void *, size_t,
                                       size_t *);

/* A batch of one. */
static sark_cache_status get_in_batch(sark_cache *cache, const void *key, size_t key_bytes,
                                      void *value, size_t value_capacity, size_t *value_bytes)
{
    sark_cache_get_request request = {key, key_bytes, value, value_capacity, SIZE_MAX, 77};
    sark_cache_status status = sark_cache_get_many(cache, &request, 1);
    CHECK(status == request.status);
    if (value_bytes && request.value_bytes != SIZE_MAX) *value_bytes = request.value_bytes;
    return status;
}

static const read_call copying_calls[] = {sark_cache_get, sark_cache_peek, sark_cache_take,
                                          get_in_batch};
enum { COPYING_CALLS = sizeof copying_calls / sizeof copying_calls[0] };

TEST(the_value_is_copied_and_no_byte_more)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    for (size_t call = 0; call < COPYING_CALLS; call++) {
        for (size_t spare = 0; spare < 20; spare++) {
            CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
            char bytes[32];
            memset(bytes, '#', sizeof bytes);
            size_t byte_count = 99;
            CHECK(copying_calls[call](cache, "key", 3, bytes + 1, 5 + spare, &byte_count) ==
                  SARK_CACHE_OK);
            CHECK(byte_count == 5);
            CHECK(memcmp(bytes, "#value##########################", 32) == 0);
        }
    }
    FINISH(cache);
}

TEST(the_size_need_not_be_asked_for)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    for (size_t call = 0; call < COPYING_CALLS; call++) {
        char bytes[8] = "";
        CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
        CHECK(copying_calls[call](cache, "key", 3, bytes, 2, NULL) == SARK_CACHE_SHORT_BUFFER);
        CHECK(copying_calls[call](cache, "none", 4, bytes, 8, NULL) == SARK_CACHE_MISS);
        CHECK(copying_calls[call](cache, "key", 3, bytes, 8, NULL) == SARK_CACHE_OK);
        CHECK(memcmp(bytes, "value", 5) == 0);
    }
    FINISH(cache);
}

TEST(a_short_buffer_changes_nothing)
{
    for (size_t call = 0; call < COPYING_CALLS; call++) {
        sark_cache *cache = small_cache(2);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "a", "value", 50) == SARK_CACHE_OK);
        CHECK(put(cache, "b", "value", 0) == SARK_CACHE_OK);
        for (size_t capacity = 0; capacity < 5; capacity++) {
            char bytes[8];
            memset(bytes, '#', sizeof bytes);
            size_t byte_count = 99;
            CHECK(copying_calls[call](cache, "a", 1, bytes, capacity, &byte_count) ==
                  SARK_CACHE_SHORT_BUFFER);
            CHECK(byte_count == 5);
            CHECK(memcmp(bytes, "########", 8) == 0);
        }
        size_t byte_count = 99;
        CHECK(copying_calls[call](cache, "a", 1, NULL, 0, &byte_count) ==
              SARK_CACHE_SHORT_BUFFER);
        CHECK(byte_count == 5);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.hits == 0 && metrics.misses == 0 && metrics.deletes == 0);
        CHECK(metrics.rejected_short_buffer == (call == 1 ? 0 : 6));
        CHECK(support_removals()->count == 0 && sark_cache_size(cache) == 2);
        CHECK(put(cache, "c", "value", 0) == SARK_CACHE_OK);
        CHECK(removal_is(support_removals(), 0, "a", "value", SARK_CACHE_EVICTED));
        FINISH(cache);
    }
}

/* ---- Recency -------------------------------------------------------------------------------- */

static void read_get(sark_cache *cache)
{
    CHECK(get_is(cache, "a", "value"));
}

static void read_pin(sark_cache *cache)
{
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, "a", 1, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
}

static void read_peek(sark_cache *cache)
{
    CHECK(peek_is(cache, "a", "value"));
}

static void read_contains(sark_cache *cache)
{
    CHECK(contains(cache, "a") == SARK_CACHE_OK);
}

static void read_ttl(sark_cache *cache)
{
    CHECK(ttl_of(cache, "a") == SARK_CACHE_NO_EXPIRY);
}

static bool visit_nothing(void *context, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes, int64_t ttl_left_ms)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes;
    (void)ttl_left_ms;
    return true;
}

static void read_foreach(sark_cache *cache)
{
    CHECK(sark_cache_foreach(cache, visit_nothing, NULL) == SARK_CACHE_OK);
}

static void read_check(sark_cache *cache)
{
    CHECK(holds(cache));
}

static void read_failed_add(sark_cache *cache)
{
    CHECK(sark_cache_add(cache, "a", 1, "other", 5, 0) == SARK_CACHE_EXISTS);
}

TEST(what_moves_in_the_order)
{
    static const struct {
        void (*read)(sark_cache *cache);
        bool moves;
        uint64_t hits;
    } rows[] = {
        {read_get, true, 1},      {read_pin, true, 1}, {read_peek, false, 0},
        {read_contains, false, 0}, {read_ttl, false, 0}, {read_foreach, false, 0},
        {read_check, false, 0},    {read_failed_add, false, 0},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
            sark_cache_config config = support_config(3);
            config.shard_count = shard_count;
            sark_cache *cache = support_create(&config);
            REQUIRE(cache != NULL);
            CHECK(put(cache, "a", "value", 0) == SARK_CACHE_OK);
            CHECK(put(cache, "b", "value", 0) == SARK_CACHE_OK);
            CHECK(put(cache, "c", "value", 0) == SARK_CACHE_OK);
            rows[row].read(cache);
            CHECK(metrics_of(cache).hits == rows[row].hits && metrics_of(cache).misses == 0);
            CHECK(put(cache, "d", "value", 0) == SARK_CACHE_OK);
            CHECK(removal_is(support_removals(), 0, rows[row].moves ? "b" : "a", "value",
                             SARK_CACHE_EVICTED));
            FINISH(cache);
        }
    }
}

/* Which key leaves a cache of two after a read of the older one, so long after it was set. */
static const char *leaves_after(void (*read)(sark_cache *cache), int64_t since_ms, uint64_t *hits)
{
    static const char *keys[] = {"a", "b"};
    sark_cache_config config = support_config(2);
    config.touch_interval_ms = 10;
    sark_cache *cache = support_create(&config);
    if (!cache) return "";
    CHECK(put(cache, "a", "value", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "b", "value", 0) == SARK_CACHE_OK);
    advance(since_ms);
    read(cache);
    *hits = metrics_of(cache).hits;
    CHECK(put(cache, "c", "value", 0) == SARK_CACHE_OK);
    int leaves = removal_is(support_removals(), 0, "b", "value", SARK_CACHE_EVICTED);
    CHECK(leaves || removal_is(support_removals(), 0, "a", "value", SARK_CACHE_EVICTED));
    FINISH(cache);
    return keys[leaves];
}

static void read_touch(sark_cache *cache)
{
    CHECK(sark_cache_touch(cache, "a", 1, SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
}

/* The interval is over when it has passed, or when the clock went back. */
TEST(a_hit_within_the_touch_interval_does_not_move)
{
    static const int64_t since_ms[] = {0, 9, 10, 1000, -1};
    for (size_t i = 0; i < sizeof since_ms / sizeof *since_ms; i++) {
        const char *leaves = since_ms[i] == 0 || since_ms[i] == 9 ? "a" : "b";
        uint64_t hits = 0;
        CHECK(strcmp(leaves_after(read_get, since_ms[i], &hits), leaves) == 0 && hits == 1);
        CHECK(strcmp(leaves_after(read_pin, since_ms[i], &hits), leaves) == 0 && hits == 1);
        CHECK(strcmp(leaves_after(read_touch, since_ms[i], &hits), "b") == 0 && hits == 0);
    }
}

/* ---- Keys and values ------------------------------------------------------------------------ */

TEST(nothing_is_a_key_and_a_value)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    char byte = '#';
    size_t byte_count = 99;
    CHECK(sark_cache_get(cache, NULL, 0, NULL, 0, &byte_count) == SARK_CACHE_MISS);
    CHECK(sark_cache_set(cache, NULL, 0, NULL, 0, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_get(cache, NULL, 0, NULL, 0, &byte_count) == SARK_CACHE_OK);
    CHECK(byte_count == 0);
    CHECK(sark_cache_get(cache, "ignored", 0, &byte, 1, &byte_count) == SARK_CACHE_OK);
    CHECK(byte_count == 0 && byte == '#');
    CHECK(sark_cache_contains(cache, "", 1) == SARK_CACHE_MISS);
    CHECK(sark_cache_set(cache, "", 1, "one", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "", 0, "none", 4, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == 2);
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, NULL, 0, &pinned) == SARK_CACHE_OK);
    CHECK(pinned.value_bytes == 4 && memcmp(pinned.value, "none", 4) == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_touch(cache, NULL, 0, 100) == SARK_CACHE_OK);
    CHECK(sark_cache_replace(cache, NULL, 0, NULL, 0, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_take(cache, NULL, 0, NULL, 0, &byte_count) == SARK_CACHE_OK);
    CHECK(sark_cache_add(cache, NULL, 0, NULL, 0, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_delete(cache, NULL, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_delete(cache, NULL, 0) == SARK_CACHE_MISS);
    CHECK(sark_cache_size(cache) == 1);
    FINISH(cache);
}

TEST(keys_are_bytes)
{
    static const char keys[][6] = {"a\0b\0c", "a\0b\0d", "a\0c\0c", "\0\0\0\0a", "\0\0\0\0\0",
                                   "\xff\xff\xff\xff\xff"};
    sark_cache *cache = small_cache(100);
    REQUIRE(cache != NULL);
    for (size_t key = 0; key < 6; key++)
        for (size_t key_bytes = 5; key_bytes <= 6; key_bytes++)
            CHECK(sark_cache_set(cache, keys[key], key_bytes, &keys[key][0], key_bytes, 0) ==
                  SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == 12);
    for (size_t key = 0; key < 6; key++) {
        for (size_t key_bytes = 5; key_bytes <= 6; key_bytes++) {
            char bytes[8];
            size_t byte_count = 0;
            CHECK(sark_cache_get(cache, keys[key], key_bytes, bytes, sizeof bytes, &byte_count) ==
                  SARK_CACHE_OK);
            CHECK(byte_count == key_bytes && memcmp(bytes, keys[key], key_bytes) == 0);
        }
    }
    FINISH(cache);
}

/* Keys that are each other's beginnings, at every length up to 300 and around larger ones. */
TEST(every_length_of_key)
{
    static const size_t lengths[] = {511, 512, 513, 1023, 1024, 1025, 4095, 4096,
                                     4097, 32767, 32768, 65534, 65535};
    sark_cache *cache = small_cache(1000);
    REQUIRE(cache != NULL);
    memset(long_key, 'k', sizeof long_key);
    size_t count = 301 + sizeof lengths / sizeof *lengths;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t index = 0; index < count; index++) {
            size_t key_bytes = index <= 300 ? index : lengths[index - 301];
            size_t found = 0, found_bytes = 0;
            if (pass == 0) {
                CHECK(sark_cache_set(cache, long_key, key_bytes, &key_bytes, sizeof key_bytes,
                                     0) == SARK_CACHE_OK);
                continue;
            }
            CHECK(sark_cache_get(cache, long_key, key_bytes, &found, sizeof found,
                                 &found_bytes) == SARK_CACHE_OK);
            CHECK(found_bytes == sizeof found && found == key_bytes);
        }
        CHECK(sark_cache_size(cache) == count);
    }
    FINISH(cache);
}

TEST(the_longest_key_in_every_call)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    memset(long_key, 'k', sizeof long_key);
    size_t key_bytes = SARK_CACHE_MAX_KEY_BYTES;
    char bytes[8];
    int64_t ttl_ms = 0;
    sark_cache_pinned pinned;
    CHECK(sark_cache_add(cache, long_key, key_bytes, "one", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, long_key, key_bytes, "two", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_replace(cache, long_key, key_bytes, "six", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_touch(cache, long_key, key_bytes, 50) == SARK_CACHE_OK);
    CHECK(sark_cache_contains(cache, long_key, key_bytes) == SARK_CACHE_OK);
    CHECK(sark_cache_ttl(cache, long_key, key_bytes, &ttl_ms) == SARK_CACHE_OK && ttl_ms == 50);
    CHECK(sark_cache_peek(cache, long_key, key_bytes, bytes, 8, NULL) == SARK_CACHE_OK);
    CHECK(sark_cache_get(cache, long_key, key_bytes, bytes, 8, NULL) == SARK_CACHE_OK);
    CHECK(memcmp(bytes, "six", 3) == 0);
    CHECK(sark_cache_pin(cache, long_key, key_bytes, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_take(cache, long_key, key_bytes, bytes, 8, NULL) == SARK_CACHE_OK);
    CHECK(sark_cache_delete(cache, long_key, key_bytes) == SARK_CACHE_MISS);
    CHECK(support_removals()->count == 3);
    FINISH(cache);
}

TEST(keys_too_long)
{
    static const size_t lengths[] = {65536, 65537, 1u << 17, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX};
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "stays", "value", 0) == SARK_CACHE_OK);
    for (size_t row = 0; row < sizeof lengths / sizeof *lengths; row++) {
        volatile size_t length = lengths[row];
        char bytes[8];
        int64_t ttl_ms = 0;
        sark_cache_pinned pinned;
        memset(&pinned, 0xA5, sizeof pinned);
        CHECK(sark_cache_get(cache, long_key, length, bytes, 8, NULL) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_peek(cache, long_key, length, bytes, 8, NULL) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_contains(cache, long_key, length) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_ttl(cache, long_key, length, &ttl_ms) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_pin(cache, long_key, length, &pinned) == SARK_CACHE_BAD_KEY);
        CHECK(pinned.value == NULL && pinned.value_bytes == 0 && pinned.version == 0);
        CHECK(sark_cache_set(cache, long_key, length, "v", 1, 0) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_add(cache, long_key, length, "v", 1, 0) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_replace(cache, long_key, length, "v", 1, 0) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_take(cache, long_key, length, bytes, 8, NULL) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_touch(cache, long_key, length, 1) == SARK_CACHE_BAD_KEY);
        CHECK(sark_cache_delete(cache, long_key, length) == SARK_CACHE_BAD_KEY);
        CHECK(metrics_of(cache).rejected_key == 8 * (row + 1));
    }
    CHECK(sark_cache_size(cache) == 1 && support_removals()->count == 0);
    CHECK(peek_is(cache, "stays", "value"));
    FINISH(cache);
}

TEST(every_size_of_value)
{
    static const size_t sizes[] = {0,   1,   2,    7,    8,    9,     15,    16,    17,    31,
                                   32,  33,  63,   64,   65,   127,   128,   129,   255,   256,
                                   257, 999, 4095, 4096, 4097, 16383, 65535, 65536, 65537, 262144};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    static unsigned char value[262144 + COUNT], copy[262144];
    sark_cache_config config = {.max_entries = 100, .max_bytes = 4u << 20};
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    uint64_t seed = 42;
    for (size_t at = 0; at < sizeof value; at++) value[at] = (unsigned char)random_next(&seed);
    for (size_t row = 0; row < COUNT; row++)
        CHECK(sark_cache_set(cache, &row, sizeof row, value + row, sizes[row], 0) ==
              SARK_CACHE_OK);
    for (size_t row = 0; row < COUNT; row++) {
        size_t found = 0;
        CHECK(sark_cache_get(cache, &row, sizeof row, copy, sizeof copy, &found) ==
              SARK_CACHE_OK);
        CHECK(found == sizes[row] && memcmp(copy, value + row, found) == 0);
    }
    FINISH(cache);
}

/* ---- Arguments ------------------------------------------------------------------------------ */

TEST(null_cache)
{
    char bytes[8];
    int64_t ttl_ms = 0;
    sark_cache_pinned pinned;
    memset(&pinned, 0xA5, sizeof pinned);
    CHECK(sark_cache_get(NULL, "k", 1, bytes, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_peek(NULL, "k", 1, bytes, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_contains(NULL, "k", 1) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_ttl(NULL, "k", 1, &ttl_ms) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_pin(NULL, "k", 1, &pinned) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(pinned.value == NULL && pinned.value_bytes == 0 && pinned.version == 0);
    CHECK(sark_cache_unpin(NULL, &pinned) == SARK_CACHE_BAD_ARGUMENT);
}

TEST(null_key_and_null_places)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    char bytes[8];
    int64_t ttl_ms = 0;
    sark_cache_pinned pinned;
    memset(&pinned, 0xA5, sizeof pinned);
    CHECK(sark_cache_get(cache, NULL, 1, bytes, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_get(cache, "k", 1, NULL, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_take(cache, NULL, 1, bytes, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_take(cache, "k", 1, NULL, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_pin(cache, NULL, 1, &pinned) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(pinned.value == NULL && pinned.value_bytes == 0 && pinned.version == 0);
    CHECK(sark_cache_pin(cache, "k", 1, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(metrics_of(cache).rejected_argument == 6);
    CHECK(sark_cache_peek(cache, NULL, 1, bytes, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_peek(cache, "k", 1, NULL, 8, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_contains(cache, NULL, 1) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_ttl(cache, NULL, 1, &ttl_ms) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_ttl(cache, "k", 1, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(metrics_of(cache).rejected_argument == 6);
    CHECK(sark_cache_unpin(cache, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(metrics_of(cache).pins_in_use == 0);
    CHECK(peek_is(cache, "k", "value"));
    FINISH(cache);
}

/* ---- Expired entries ------------------------------------------------------------------------ */

TEST(the_ttl_left)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "never", "value", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
    CHECK(put(cache, "default", "value", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "soon", "value", 10) == SARK_CACHE_OK);
    CHECK(put(cache, "late", "value", (int64_t)1 << 40) == SARK_CACHE_OK);
    for (int64_t passed = 0; passed < 10; passed++) {
        CHECK(ttl_of(cache, "never") == SARK_CACHE_NO_EXPIRY);
        CHECK(ttl_of(cache, "default") == SARK_CACHE_NO_EXPIRY);
        CHECK(ttl_of(cache, "soon") == 10 - passed);
        CHECK(ttl_of(cache, "late") == ((int64_t)1 << 40) - passed);
        advance(1);
    }
    CHECK(ttl_of(cache, "soon") == 0);
    CHECK(ttl_of(cache, "none") == 0);
    FINISH(cache);
}

TEST(readers_miss_what_expired_and_remove_nothing)
{
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    char bytes[8];
    int64_t ttl_ms = 0;
    sark_cache_pinned pinned;
    CHECK(put(cache, "k", "value", 10) == SARK_CACHE_OK);
    advance(10);
    for (uint64_t round = 1; round <= 3; round++) {
        memset(&pinned, 0xA5, sizeof pinned);
        CHECK(sark_cache_get(cache, "k", 1, bytes, 8, NULL) == SARK_CACHE_MISS);
        CHECK(sark_cache_get(cache, "k", 1, NULL, 0, NULL) == SARK_CACHE_MISS);
        CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_MISS);
        CHECK(pinned.value == NULL && pinned.value_bytes == 0 && pinned.version == 0);
        CHECK(sark_cache_peek(cache, "k", 1, bytes, 8, NULL) == SARK_CACHE_MISS);
        CHECK(sark_cache_contains(cache, "k", 1) == SARK_CACHE_MISS);
        CHECK(sark_cache_ttl(cache, "k", 1, &ttl_ms) == SARK_CACHE_MISS);
        CHECK(sark_cache_size(cache) == 1);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.misses == 3 * round && metrics.misses_expired == 3 * round);
        CHECK(metrics.hits == 0 && metrics.rejected_short_buffer == 0);
        CHECK(metrics.expired_resident >= 1);
        advance(1000);
    }
    CHECK(support_removals()->count == 0);
    FINISH(cache);
}

/* ---- Pins ----------------------------------------------------------------------------------- */

static bool pinned_is(const sark_cache_pinned *pinned, const char *expected)
{
    return pinned->value && pinned->value_bytes == strlen(expected) &&
           memcmp(pinned->value, expected, pinned->value_bytes) == 0;
}

static void leave_by_set(sark_cache *cache)
{
    CHECK(put(cache, "k", "other", 0) == SARK_CACHE_OK);
}

static void leave_by_replace(sark_cache *cache)
{
    CHECK(sark_cache_replace(cache, "k", 1, "replacement", 11, 0) == SARK_CACHE_OK);
}

static void leave_by_delete(sark_cache *cache)
{
    CHECK(drop(cache, "k") == SARK_CACHE_OK);
}

static void leave_by_take(sark_cache *cache)
{
    char bytes[64];
    CHECK(sark_cache_take(cache, "k", 1, bytes, sizeof bytes, NULL) == SARK_CACHE_OK);
}

static void leave_by_clear(sark_cache *cache)
{
    CHECK(sark_cache_clear(cache) == 1);
}

static void leave_by_expiry(sark_cache *cache)
{
    advance(100);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
}

static void leave_by_eviction(sark_cache *cache)
{
    for (uint32_t key = 0; key < 1000; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "filler", 6, 0) == SARK_CACHE_OK);
}

TEST(a_pin_outlives_its_entry)
{
    static void (*const leave[])(sark_cache *) = {
        leave_by_set,   leave_by_replace, leave_by_delete,  leave_by_take,
        leave_by_clear, leave_by_expiry,  leave_by_eviction};
    static const char value[] = "a value that must stay readable while it is pinned";
    for (size_t row = 0; row < sizeof leave / sizeof *leave; row++) {
        sark_cache *cache = small_cache(5);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "k", value, 100) == SARK_CACHE_OK);
        sark_cache_pinned pinned, later;
        CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK);
        CHECK(pinned_is(&pinned, value));
        CHECK(metrics_of(cache).pins_in_use == 1);
        leave[row](cache);
        CHECK(pinned_is(&pinned, value));
        leave_by_eviction(cache);
        CHECK(sark_cache_size(cache) == 5);
        CHECK(pinned_is(&pinned, value));
        CHECK(metrics_of(cache).bytes_retired >= sizeof value);
        CHECK(put(cache, "k", "new", 0) == SARK_CACHE_OK);
        CHECK(sark_cache_pin(cache, "k", 1, &later) == SARK_CACHE_OK);
        CHECK(later.version != pinned.version);
        CHECK(sark_cache_unpin(cache, &later) == SARK_CACHE_OK);
        CHECK(holds(cache));
        CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        CHECK(metrics_of(cache).pins_in_use == 0);
        sark_cache_metrics metrics = metrics_of(cache);
        FINISH(cache);
        CHECK(support_removals()->count == metrics.sets + metrics.replaces);
    }
}

TEST(a_pin_of_an_entry_that_is_touched_or_moves)
{
    sark_cache *cache = small_cache(5);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_touch(cache, "k", 1, 10) == SARK_CACHE_OK);
    CHECK(sark_cache_touch(cache, "k", 1, 20) == SARK_CACHE_OK);
    CHECK(pinned_is(&pinned, "value"));
    advance(50);
    CHECK(contains(cache, "k") == SARK_CACHE_MISS);
    CHECK(pinned_is(&pinned, "value"));
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    FINISH(cache);
}

TEST(many_pins_of_one_entry)
{
    sark_cache_config config = support_config(5);
    config.pin_count = 100;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    sark_cache_pinned pins[101];
    for (size_t pin = 0; pin < 100; pin++) {
        CHECK(sark_cache_pin(cache, "k", 1, &pins[pin]) == SARK_CACHE_OK);
        CHECK(pins[pin].version == pins[0].version && pinned_is(&pins[pin], "value"));
    }
    memset(&pins[100], 0xA5, sizeof pins[100]);
    CHECK(sark_cache_pin(cache, "k", 1, &pins[100]) == SARK_CACHE_NO_PIN);
    CHECK(pins[100].value == NULL && pins[100].value_bytes == 0 && pins[100].version == 0);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.pins_in_use == 100 && metrics.rejected_no_pin == 1 && metrics.hits == 100);
    CHECK(get_is(cache, "k", "value"));
    CHECK(drop(cache, "k") == SARK_CACHE_OK);
    for (size_t pin = 100; pin-- > 0;) {
        CHECK(pinned_is(&pins[pin], "value"));
        CHECK(sark_cache_unpin(cache, &pins[pin]) == SARK_CACHE_OK);
        CHECK(metrics_of(cache).pins_in_use == pin);
    }
    CHECK(put(cache, "k", "next", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "k", 1, &pins[0]) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &pins[0]) == SARK_CACHE_OK);
    FINISH(cache);
}

TEST(no_pin_left)
{
    sark_cache_config config = support_config(2);
    config.pin_count = 1;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sark_cache_pinned pinned, other;
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK && put(cache, "b", "2", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "b", 1, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "a", 1, &other) == SARK_CACHE_NO_PIN);
    CHECK(metrics_of(cache).hits == 1 && metrics_of(cache).misses == 0);
    CHECK(put(cache, "c", "3", 0) == SARK_CACHE_OK);
    CHECK(removal_is(support_removals(), 0, "a", "1", SARK_CACHE_EVICTED));
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "c", 1, &other) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &other) == SARK_CACHE_OK);
    FINISH(cache);
}

TEST(what_is_no_pin)
{
    sark_cache *cache = small_cache(5);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK && put(cache, "b", "2", 0) == SARK_CACHE_OK);
    sark_cache_pinned pinned, copy, made_up;
    memset(&made_up, 0, sizeof made_up);
    CHECK(sark_cache_unpin(cache, &made_up) == SARK_CACHE_BAD_ARGUMENT);
    memset(&made_up, 0xFF, sizeof made_up);
    CHECK(sark_cache_unpin(cache, &made_up) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_pin(cache, "a", 1, &pinned) == SARK_CACHE_OK);
    copy = made_up = pinned;
    made_up.pin = UINT32_MAX;
    CHECK(sark_cache_unpin(cache, &made_up) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    CHECK(pinned.value == NULL && pinned.value_bytes == 0 && pinned.version == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_unpin(cache, &copy) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_pin(cache, "b", 1, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &copy) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(metrics_of(cache).pins_in_use == 1);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    CHECK(metrics_of(cache).pins_in_use == 0);
    FINISH(cache);
}

/* The first pins of two caches have the same numbers. */
TEST(a_pin_of_another_cache)
{
    sark_cache *one = small_cache(5), *other = small_cache(5);
    REQUIRE(one != NULL && other != NULL);
    sark_cache_pinned pinned, others;
    CHECK(put(one, "a", "", 0) == SARK_CACHE_OK && put(other, "a", "2", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(one, "a", 1, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(other, "a", 1, &others) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(other, &pinned) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_unpin(one, &others) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(metrics_of(one).pins_in_use == 1 && metrics_of(other).pins_in_use == 1);
    CHECK(sark_cache_unpin(one, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(other, &others) == SARK_CACHE_OK);
    FINISH(one);
    FINISH(other);
}

TEST(versions_never_repeat)
{
    enum { ROUNDS = 500 };
    static uint64_t versions[ROUNDS];
    sark_cache *cache = small_cache(3);
    REQUIRE(cache != NULL);
    for (size_t round = 0; round < ROUNDS; round++) {
        if (round % 5 == 4) CHECK(drop(cache, "k") <= SARK_CACHE_MISS);
        if (round % 7 == 6) CHECK(sark_cache_clear(cache) <= 1);
        CHECK(put(cache, "k", "value", round % 3 ? 0 : 10) == SARK_CACHE_OK);
        sark_cache_pinned pinned;
        REQUIRE(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK);
        versions[round] = pinned.version;
        CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        for (size_t before = 0; before < round; before++)
            CHECK(versions[before] != versions[round]);
        if (round % 11 == 10) advance(10);
    }
    FINISH(cache);
}

/* ---- The budget of pins --------------------------------------------------------------------- */

/* Three entries of about 1 KiB and a budget for two of them; a pin in vain costs nothing. */
TEST(pins_have_a_budget)
{
    static unsigned char kib[1000];
    sark_cache_config config = support_config(10);
    sark_cache_pinned one, two, three;
    config.pin_max_bytes = 2150;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (int i = 0; i < 3; i++)
        CHECK(sark_cache_set(cache, &"abc"[i], 1, kib, sizeof kib, 0) == SARK_CACHE_OK);
    CHECK(put(cache, "small", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "a", 1, &one) == SARK_CACHE_OK);
    uint64_t bytes = metrics_of(cache).pinned_bytes;
    CHECK(bytes >= sizeof kib + 40 && bytes < sizeof kib + 120 && bytes % 16 == 0);
    CHECK(sark_cache_pin(cache, "b", 1, &two) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "c", 1, &three) == SARK_CACHE_NO_PIN);
    CHECK(sark_cache_pin(cache, "b", 1, &three) == SARK_CACHE_NO_PIN); /* counts again */
    CHECK(three.value == NULL && metrics_of(cache).rejected_no_pin == 2);
    CHECK(metrics_of(cache).hits == 2 && metrics_of(cache).pins_in_use == 2);
    CHECK(metrics_of(cache).pinned_bytes == 2 * bytes);
    CHECK(drop(cache, "a") == SARK_CACHE_OK); /* what is pinned stays, and counts */
    CHECK(sark_cache_pin(cache, "c", 1, &three) == SARK_CACHE_NO_PIN);
    CHECK(sark_cache_unpin(cache, &one) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "c", 1, &three) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "none", 4, &one) == SARK_CACHE_MISS);
    sark_cache_fork_prepare(cache); /* as a child would go on */
    sark_cache_fork_child(cache);
    CHECK(metrics_of(cache).pinned_bytes == 2 * bytes);
    CHECK(sark_cache_pin(cache, "b", 1, &one) == SARK_CACHE_NO_PIN);
    CHECK(sark_cache_unpin(cache, &two) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &three) == SARK_CACHE_OK);
    CHECK(metrics_of(cache).pinned_bytes == 0 && metrics_of(cache).pins_in_use == 0);
    FINISH(cache);
}

int main(void)
{
    RUN(the_value_is_copied_and_no_byte_more);
    RUN(the_size_need_not_be_asked_for);
    RUN(a_short_buffer_changes_nothing);
    RUN(what_moves_in_the_order);
    RUN(a_hit_within_the_touch_interval_does_not_move);
    RUN(nothing_is_a_key_and_a_value);
    RUN(keys_are_bytes);
    RUN(every_length_of_key);
    RUN(the_longest_key_in_every_call);
    RUN(keys_too_long);
    RUN(every_size_of_value);
    RUN(null_cache);
    RUN(null_key_and_null_places);
    RUN(the_ttl_left);
    RUN(readers_miss_what_expired_and_remove_nothing);
    RUN(a_pin_outlives_its_entry);
    RUN(a_pin_of_an_entry_that_is_touched_or_moves);
    RUN(many_pins_of_one_entry);
    RUN(no_pin_left);
    RUN(what_is_no_pin);
    RUN(a_pin_of_another_cache);
    RUN(versions_never_repeat);
    RUN(pins_have_a_budget);
    return test_summary();
}
