/* Black box: with config.wipe nothing of a key or value that has left is in the region any more,
   however it left; without it, it is, or the search would find nothing anyway. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

#include <pthread.h>

enum { REGION_BYTES = 1 << 17, SECRET_BYTES = 600 };

static _Alignas(64) unsigned char region[REGION_BYTES];
static char secret_key[] = "the key that nobody may find";
static char secret[SECRET_BYTES + 1]; /* a pattern that nothing else has */

static bool region_has(const void *bytes, size_t byte_count)
{
    for (size_t at = 0; at + byte_count <= sizeof region; at++)
        if (region[at] == *(const unsigned char *)bytes &&
            memcmp(region + at, bytes, byte_count) == 0)
            return true;
    return false;
}

/* Whether something of the secret is left: its key, or any 16 bytes of its value. */
static bool secret_is_left(void)
{
    if (region_has(secret_key, sizeof secret_key - 1)) return true;
    for (size_t at = 0; at + 16 <= SECRET_BYTES; at += 8)
        if (region_has(secret + at, 16)) return true;
    return false;
}

static sark_cache_status set_secret(sark_cache *cache, size_t value_bytes, int64_t ttl_ms)
{
    return sark_cache_set(cache, secret_key, sizeof secret_key - 1, secret, value_bytes, ttl_ms);
}

/* ---- Ways to leave -------------------------------------------------------------------------- */

static void by_delete(sark_cache *cache)
{
    CHECK(sark_cache_delete(cache, secret_key, sizeof secret_key - 1) == SARK_CACHE_OK);
}

static void by_take(sark_cache *cache)
{
    static char taken[SECRET_BYTES];
    CHECK(sark_cache_take(cache, secret_key, sizeof secret_key - 1, taken, sizeof taken, NULL) ==
          SARK_CACHE_OK);
}

static void by_clear(sark_cache *cache) { CHECK(sark_cache_clear(cache) > 0); }

static void by_clear_prefix(sark_cache *cache)
{
    CHECK(sark_cache_clear_prefix(cache, "the", 3, NULL) == SARK_CACHE_OK);
}

static void by_eviction(sark_cache *cache)
{
    for (uint32_t key = 0; key < 10; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
}

static void by_expiry(sark_cache *cache)
{
    CHECK(sark_cache_touch(cache, secret_key, sizeof secret_key - 1, 5) == SARK_CACHE_OK);
    advance(5);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
}

/* The key stays; the value must not. */
static void by_replacement(sark_cache *cache)
{
    CHECK(set_secret(cache, 0, 0) == SARK_CACHE_OK);
    by_delete(cache);
}

/* A write that is refused when all has been copied. */
static void by_a_refused_write(sark_cache *cache)
{
    static char other[SECRET_BYTES];
    by_delete(cache);
    CHECK(sark_cache_set(cache, "big", 3, other, sizeof other, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_prepend(cache, "big", 3, secret, SECRET_BYTES, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_delete(cache, "big", 3) == SARK_CACHE_OK);
}

/* Pinned when it is removed; wiped when the pin is back. */
static void by_delete_under_a_pin(sark_cache *cache)
{
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, secret_key, sizeof secret_key - 1, &pinned) == SARK_CACHE_OK);
    by_delete(cache);
    CHECK(memcmp(pinned.value, secret, pinned.value_bytes) == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
}

#if SUPPORT_LOCK_FREE /* elsewhere a get keeps a lock, for which the delete would wait */
static _Thread_local bool waits_in_clock;
static pthread_barrier_t in_clock, deleted;

/* The clock of support.h; who is to wait does so once. */
static int64_t clock_ms(void *context)
{
    if (waits_in_clock) {
        waits_in_clock = false;
        pthread_barrier_wait(&in_clock);
        pthread_barrier_wait(&deleted);
    }
    return support_clock(context);
}

static void *get_and_wait(void *cache)
{
    static char value[SECRET_BYTES];
    waits_in_clock = true;
    CHECK(sark_cache_get(cache, secret_key, sizeof secret_key - 1, value, sizeof value, NULL) ==
          SARK_CACHE_OK);
    CHECK(memcmp(value, secret, 16) == 0);
    return NULL;
}

/* Deleted while a get reads it; wiped by the next cleanup. */
static void by_delete_under_a_get(sark_cache *cache)
{
    pthread_t thread;
    CHECK(sark_cache_touch(cache, secret_key, sizeof secret_key - 1, 1000) == SARK_CACHE_OK);
    pthread_barrier_init(&in_clock, NULL, 2);
    pthread_barrier_init(&deleted, NULL, 2);
    CHECK(pthread_create(&thread, NULL, get_and_wait, cache) == 0);
    pthread_barrier_wait(&in_clock);
    by_delete(cache);
    pthread_barrier_wait(&deleted);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(secret_is_left());
    CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
    pthread_barrier_destroy(&in_clock);
    pthread_barrier_destroy(&deleted);
}
#else
#define by_delete_under_a_get by_delete
#define clock_ms support_clock
#endif

typedef void (*way)(sark_cache *cache);

static const way ways[] = {by_delete, by_take, by_clear, by_clear_prefix, by_eviction, by_expiry,
                           by_replacement, by_a_refused_write, by_delete_under_a_pin,
                           by_delete_under_a_get};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* One shard: what is pinned when it is removed is wiped by the next removal there. */
static sark_cache *cache_that_wipes(bool wipes)
{
    sark_cache *cache = NULL;
    sark_cache_config config = support_config(8);
    config.shard_count = 1;
    config.clock.now_ms = clock_ms;
    config.wipe = wipes;
    memset(region, 0, sizeof region);
    CHECK(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    support_removals()->count = 0;
    return cache;
}

static void leave(way how, size_t value_bytes, bool wipes)
{
    sark_cache *cache = cache_that_wipes(wipes);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "before", "value", 0) == SARK_CACHE_OK);
    CHECK(set_secret(cache, value_bytes, 0) == SARK_CACHE_OK);
    CHECK(put(cache, "after", "value", 0) == SARK_CACHE_OK);
    CHECK(secret_is_left());
    how(cache);
    CHECK(secret_is_left() == !wipes);
    FINISH(cache);
}

TEST(nothing_is_left_behind)
{
    for (size_t i = 0; i < WAYS; i++)
        for (size_t value_bytes = 16; value_bytes <= SECRET_BYTES; value_bytes += 73)
            leave(ways[i], value_bytes, true);
}

TEST(without_it_something_is)
{
    for (size_t i = 0; i < 4; i++) leave(ways[i], SECRET_BYTES, false);
}

TEST(nothing_is_left_by_destroy)
{
    sark_cache *cache = cache_that_wipes(true);
    REQUIRE(cache != NULL);
    CHECK(set_secret(cache, SECRET_BYTES, 0) == SARK_CACHE_OK && secret_is_left());
    FINISH(cache);
    CHECK(!secret_is_left());
}

/* Large entries among small ones, whose age has nothing to do with their place: these move, and
   where they were nothing stays. */
TEST(nothing_is_left_where_an_entry_was)
{
    sark_cache_config config = support_config(0); /* so many that bytes bind */
    sark_cache *cache = NULL;
    static char large[4000];
    uint64_t random = 5;
    config.max_bytes = sizeof region;
    config.shard_count = 1;
    config.wipe = true;
    REQUIRE(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 2000; i++) {
            uint32_t key = random_below(&random, 3000);
            (void)sark_cache_get(cache, &key, sizeof key, NULL, 0, NULL);
            key = random_below(&random, 3000);
            CHECK(sark_cache_set(cache, &key, sizeof key, secret, 120, 0) == SARK_CACHE_OK);
        }
        CHECK(sark_cache_set(cache, &round, 3, large, sizeof large, 0) == SARK_CACHE_OK);
    }
    uint64_t moves = metrics_of(cache).room_moves;
    CHECK(moves > 0);
    CHECK(sark_cache_clear(cache) > 0);
    CHECK(put(cache, "x", "y", 0) == SARK_CACHE_OK && drop(cache, "x") == SARK_CACHE_OK);
    CHECK(!secret_is_left());
    printf("  %" PRIu64 " entries moved\n", moves);
    FINISH(cache);
}

int main(void)
{
    uint64_t random = 3;
    for (size_t i = 0; i < SECRET_BYTES; i++)
        secret[i] = (char)(1 + random_below(&random, 255));
    RUN(nothing_is_left_behind);
    RUN(without_it_something_is);
    RUN(nothing_is_left_by_destroy);
    RUN(nothing_is_left_where_an_entry_was);
    return test_summary();
}
