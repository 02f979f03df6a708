/* Black box: time, by an injected clock. TTLs to the tick; a clock that stands still, jumps back,
   leaps a century, or fails; jitter; and expired entries that go before live ones. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

#define HOUR_MS ((int64_t)3600 * 1000)
#define CENTURY_MS ((int64_t)100 * 366 * 24 * HOUR_MS)

static sark_cache *small_cache(uint64_t max_entries)
{
    sark_cache_config config = support_config(max_entries);
    return support_create(&config);
}

/* ---- Every tick ----------------------------------------------------------------------------- */

/* Whether every reader agrees on what a key is: live with this TTL left, or a miss (0). */
static bool all_readers_agree(sark_cache *cache, uint32_t key, int64_t left_ms)
{
    sark_cache_status expected = left_ms > 0 ? SARK_CACHE_OK : SARK_CACHE_MISS;
    char bytes[8];
    int64_t ttl_ms = 0;
    sark_cache_pinned pinned;
    bool agree = sark_cache_get(cache, &key, sizeof key, bytes, 8, NULL) == expected;
    agree &= sark_cache_peek(cache, &key, sizeof key, bytes, 8, NULL) == expected;
    agree &= sark_cache_contains(cache, &key, sizeof key) == expected;
    agree &= sark_cache_ttl(cache, &key, sizeof key, &ttl_ms) == expected && ttl_ms == left_ms;
    agree &= sark_cache_pin(cache, &key, sizeof key, &pinned) == expected;
    if (left_ms > 0) agree &= sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK;
    return agree;
}

/* One entry for each TTL, all set in one tick; then tick by tick. */
TEST(every_ttl_at_every_tick)
{
    static const int64_t starts[] = {0, 1, 63, 4095, 1000000, 1000063, CENTURY_MS,
                                     ((int64_t)1 << 31) - 100, ((int64_t)1 << 32) - 100,
                                     ((int64_t)1000 << 31) - 100, ((int64_t)1000 << 32) - 100,
                                     ((int64_t)1 << 62) - 100, INT64_MAX - 500};
    for (size_t start = 0; start < sizeof starts / sizeof *starts; start++) {
        sark_cache_config config = support_config(200);
        config.shard_count = start % 2 ? 1 : 16;
        *support_time() = starts[start];
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        for (uint32_t ttl = 1; ttl <= 200; ttl++)
            CHECK(sark_cache_set(cache, &ttl, sizeof ttl, "value", 5, ttl) == SARK_CACHE_OK);
        for (uint32_t passed = 0; passed <= 201; passed++, advance(1))
            for (uint32_t ttl = 1; ttl <= 200; ttl++)
                CHECK(all_readers_agree(cache, ttl, ttl > passed ? ttl - passed : 0));
        CHECK(sark_cache_size(cache) == 200);
        CHECK(sark_cache_cleanup_expired(cache, 0) == 200);
        FINISH(cache);
    }
}

/* The same with cleanup at each tick: what is removed is what expired in that tick. */
TEST(cleanup_at_every_tick)
{
    for (uint32_t shard_count = 1; shard_count <= 16; shard_count *= 16) {
        sark_cache_config config = support_config(200);
        config.shard_count = shard_count;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        for (uint32_t ttl = 1; ttl <= 200; ttl++)
            CHECK(sark_cache_set(cache, &ttl, sizeof ttl, "value", 5, ttl) == SARK_CACHE_OK);
        for (uint32_t passed = 1; passed <= 200; passed++) {
            advance(1);
            CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
            CHECK(sark_cache_size(cache) == 200 - passed);
            CHECK(sark_cache_contains(cache, &passed, sizeof passed) == SARK_CACHE_MISS);
        }
        FINISH(cache);
    }
}

/* Deadlines far apart, in random order, by random leaps: never early, never late. */
TEST(random_leaps)
{
    enum { KEYS = 300 };
    static int64_t deadlines[KEYS];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed, expired = 0;
        sark_cache *cache = small_cache(KEYS);
        REQUIRE(cache != NULL);
        for (uint32_t key = 0; key < KEYS; key++) {
            int64_t ttl_ms = (int64_t)(random_next(&random) >> (24 + random_below(&random, 39)));
            deadlines[key] = *support_time() + ttl_ms + 1;
            CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, ttl_ms + 1) ==
                  SARK_CACHE_OK);
        }
        for (int leap = 0; leap < 60; leap++) {
            uint32_t nearest = random_below(&random, KEYS);
            int64_t target = deadlines[nearest] - random_below(&random, 2);
            if (target > *support_time()) *support_time() = target;
            uint64_t due = 0;
            for (uint32_t key = 0; key < KEYS; key++) {
                bool live = deadlines[key] > *support_time();
                due += !live;
                CHECK(sark_cache_contains(cache, &key, sizeof key) ==
                      (live ? SARK_CACHE_OK : SARK_CACHE_MISS));
            }
            if (leap % 3 == 0) expired += sark_cache_cleanup_expired(cache, 0);
            if (leap % 3 == 0) CHECK(expired == due);
        }
        FINISH(cache);
    }
}

/* ---- Expired entries go first --------------------------------------------------------------- */

TEST(an_expired_entry_never_costs_a_live_one_its_place)
{
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
        sark_cache_config config = support_config(60);
        config.shard_count = shard_count;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        for (uint32_t key = 0; key < 60; key++) /* every third will expire, newest included */
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, key % 3 == 2 ? 10 : 0) ==
                  SARK_CACHE_OK);
        for (uint32_t key = 2; key < 60; key += 3) {
            char byte;
            CHECK(sark_cache_get(cache, &key, sizeof key, &byte, 1, NULL) == SARK_CACHE_OK);
        }
        advance(10);
        for (uint32_t key = 100; key < 120; key++)
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        CHECK(support_removals()->count == 20);
        CHECK(removals_for(support_removals(), SARK_CACHE_EXPIRED) == 20);
        for (uint32_t key = 0; key < 60; key++)
            CHECK(sark_cache_contains(cache, &key, sizeof key) ==
                  (key % 3 == 2 ? SARK_CACHE_MISS : SARK_CACHE_OK));
        CHECK(put(cache, "one more", "v", 0) == SARK_CACHE_OK);
        uint32_t oldest = 0;
        CHECK(sark_cache_contains(cache, &oldest, sizeof oldest) == SARK_CACHE_MISS);
        CHECK(support_removals()->removals[20].cause == SARK_CACHE_EVICTED);
        FINISH(cache);
    }
}

/* The same where bytes bind. */
TEST(an_expired_entry_never_costs_a_live_one_its_bytes)
{
    static unsigned char region[65536], value[1000];
    sark_cache *cache = NULL;
    sark_cache_config config = support_config(128);
    REQUIRE(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    uint32_t count = 0;
    while (support_removals()->count == 0) {
        CHECK(sark_cache_set(cache, &count, sizeof count, value, sizeof value,
                             count % 3 == 2 ? 10 : 1000) == SARK_CACHE_OK);
        count++;
    }
    support_removals()->count = 0;
    advance(10);
    for (uint32_t key = 0; key < count / 4; key++)
        CHECK(put(cache, "same key", "v", 0) == SARK_CACHE_OK);
    for (uint32_t key = 1000; key < 1000 + count / 4; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, value, sizeof value, 0) == SARK_CACHE_OK);
    CHECK(removals_for(support_removals(), SARK_CACHE_EVICTED) == 0);
    CHECK(removals_for(support_removals(), SARK_CACHE_EXPIRED) >= count / 5);
    FINISH(cache);
}

/* ---- A clock that misbehaves ---------------------------------------------------------------- */

TEST(a_clock_that_stands_still)
{
    sark_cache *cache = small_cache(50);
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 1000; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 1 + key % 7) == SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == 50);
    CHECK(removals_for(support_removals(), SARK_CACHE_EVICTED) == 950);
    for (uint32_t key = 950; key < 1000; key++)
        CHECK(all_readers_agree(cache, key, 1 + key % 7));
    CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
    FINISH(cache);
}

TEST(a_clock_that_jumps_back)
{
    sark_cache *cache = small_cache(50);
    REQUIRE(cache != NULL);
    *support_time() = 10 * HOUR_MS;
    CHECK(put(cache, "none", "v", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "short", "v", 100) == SARK_CACHE_OK);
    CHECK(put(cache, "long", "v", 5 * HOUR_MS) == SARK_CACHE_OK);
    advance(50);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
    advance(-HOUR_MS);
    CHECK(get_is(cache, "none", "v") && get_is(cache, "short", "v") && get_is(cache, "long", "v"));
    CHECK(ttl_of(cache, "short") >= 50 && ttl_of(cache, "long") >= 5 * HOUR_MS - 50);
    CHECK(put(cache, "new", "v", 100) == SARK_CACHE_OK && ttl_of(cache, "new") == 100);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
    advance(99);
    CHECK(get_is(cache, "new", "v"));
    advance(1);
    CHECK(get_is(cache, "new", NULL) && get_is(cache, "none", "v"));
    CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
    CHECK(removal_is(support_removals(), 0, "new", "v", SARK_CACHE_EXPIRED));
    CHECK(put(cache, "again", "v", 1) == SARK_CACHE_OK);
    CHECK(holds(cache));
    advance(HOUR_MS + 100);
    CHECK(get_is(cache, "short", NULL) && get_is(cache, "long", "v"));
    CHECK(sark_cache_cleanup_expired(cache, 0) == 2);
    advance(5 * HOUR_MS);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 1 && get_is(cache, "none", "v"));
    FINISH(cache);
}

/* Back and forth, far and near, with a model of its own: a deadline is a deadline. */
TEST(a_clock_that_jumps_about)
{
    enum { KEYS = 40 };
    static int64_t deadlines[KEYS];
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t random = seed;
        sark_cache *cache = small_cache(KEYS);
        REQUIRE(cache != NULL);
        *support_time() = CENTURY_MS;
        for (int step = 0; step < 2000; step++) {
            int64_t leap = (int64_t)(random_next(&random) >> (30 + random_below(&random, 34)));
            advance(random_below(&random, 2) ? leap : -leap);
            if (*support_time() < 0 || *support_time() > 100 * CENTURY_MS)
                *support_time() = CENTURY_MS;
            uint32_t key = random_below(&random, KEYS);
            uint64_t ttl_ms = (random_next(&random) >> (24 + random_below(&random, 39))) + 1;
            deadlines[key] = *support_time() + (int64_t)ttl_ms;
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, (int64_t)ttl_ms) ==
                  SARK_CACHE_OK);
            key = random_below(&random, KEYS);
            if (random_below(&random, 10) == 0) (void)sark_cache_cleanup_expired(cache, 3);
            if (sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK)
                CHECK(deadlines[key] > *support_time());
            if (step % 100 == 0) CHECK(holds(cache));
            uint64_t live = 0;
            for (key = 0; step % 50 == 0 && key < KEYS; key++)
                live += sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK;
            if (step % 50 == 0)
                CHECK(metrics_of(cache).expired_resident + live >= sark_cache_size(cache));
        }
        *support_time() = INT64_MAX;
        uint64_t left = sark_cache_size(cache);
        CHECK(sark_cache_cleanup_expired(cache, 0) == left && sark_cache_size(cache) == 0);
        FINISH(cache);
    }
}

TEST(a_clock_that_leaps_a_century)
{
    sark_cache *cache = small_cache(1000);
    REQUIRE(cache != NULL);
    for (int leap = 0; leap < 10; leap++) {
        for (uint32_t key = 0; key < 1000; key++)
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1,
                                 key % 10 ? (int64_t)1 << key % 41 : 0) == SARK_CACHE_OK);
        CHECK(sark_cache_size(cache) == 1000);
        advance(CENTURY_MS);
        uint64_t live = 0;
        for (uint32_t key = 0; key < 1000; key++)
            live += sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK;
        CHECK(live == 100);
        if (leap % 2) CHECK(sark_cache_cleanup_expired(cache, 0) == 900);
        CHECK(holds(cache));
    }
    FINISH(cache);
}

/* ---- A clock that fails --------------------------------------------------------------------- */

TEST(a_clock_that_fails)
{
    static const int64_t failures[] = {-1, -2, -1000000, INT64_MIN};
    for (size_t row = 0; row < sizeof failures / sizeof *failures; row++) {
        sark_cache *cache = small_cache(10);
        REQUIRE(cache != NULL);
        int64_t now_ms = *support_time();
        char bytes[8];
        CHECK(put(cache, "ttl", "v", 100) == SARK_CACHE_OK);
        CHECK(put(cache, "none", "v", 0) == SARK_CACHE_OK);
        *support_time() = failures[row];
        CHECK(all_readers_agree(cache, 12345, 0));
        CHECK(get_is(cache, "ttl", NULL) && peek_is(cache, "ttl", NULL));
        CHECK(contains(cache, "ttl") == SARK_CACHE_MISS && ttl_of(cache, "ttl") == 0);
        CHECK(get_is(cache, "none", "v") && ttl_of(cache, "none") == SARK_CACHE_NO_EXPIRY);
        CHECK(put(cache, "none", "w", 50) == SARK_CACHE_SYSTEM_ERROR);
        CHECK(put(cache, "ttl", "w", 50) == SARK_CACHE_SYSTEM_ERROR);
        CHECK(put(cache, "new", "w", 50) == SARK_CACHE_SYSTEM_ERROR);
        CHECK(sark_cache_add(cache, "new", 3, "w", 1, 50) == SARK_CACHE_SYSTEM_ERROR);
        CHECK(sark_cache_replace(cache, "none", 4, "w", 1, 50) == SARK_CACHE_SYSTEM_ERROR);
        CHECK(sark_cache_touch(cache, "none", 4, 50) == SARK_CACHE_SYSTEM_ERROR);
        CHECK(metrics_of(cache).rejected_system == 6);
        CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
        CHECK(put(cache, "more", "v", 0) == SARK_CACHE_OK && get_is(cache, "more", "v"));
        CHECK(sark_cache_replace(cache, "none", 4, "x", 1, 0) == SARK_CACHE_OK);
        CHECK(sark_cache_take(cache, "more", 4, bytes, 8, NULL) == SARK_CACHE_OK);
        CHECK(holds(cache));
        *support_time() = now_ms + 99;
        CHECK(get_is(cache, "ttl", "v") && get_is(cache, "none", "x"));
        CHECK(contains(cache, "new") == SARK_CACHE_MISS && sark_cache_size(cache) == 2);
        FINISH(cache);
    }
}

TEST(a_clock_that_fails_at_capacity)
{
    sark_cache *cache = small_cache(3);
    REQUIRE(cache != NULL);
    int64_t now_ms = *support_time();
    CHECK(put(cache, "a", "v", 100) == SARK_CACHE_OK && put(cache, "b", "v", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "c", "v", 100) == SARK_CACHE_OK);
    *support_time() = -1;
    CHECK(put(cache, "d", "v", 0) == SARK_CACHE_OK);
    CHECK(support_removals()->count == 1);
    CHECK(removal_is(support_removals(), 0, "a", "v", SARK_CACHE_EVICTED));
    CHECK(put(cache, "e", "v", 7) == SARK_CACHE_SYSTEM_ERROR && support_removals()->count == 1);
    *support_time() = now_ms;
    CHECK(get_is(cache, "b", "v") && get_is(cache, "c", "v") && get_is(cache, "d", "v"));
    FINISH(cache);
}

/* ---- Jitter --------------------------------------------------------------------------------- */

TEST(jitter_only_shortens)
{
    for (uint32_t percent = 0; percent <= 100; percent += 10) {
        sark_cache_config config = support_config(1000);
        config.ttl_jitter_percent = percent;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        int64_t shortest = INT64_MAX, longest = 0;
        for (uint32_t key = 0; key < 1000; key++) {
            int64_t ttl_ms = 0;
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 1000) == SARK_CACHE_OK);
            CHECK(sark_cache_ttl(cache, &key, sizeof key, &ttl_ms) == SARK_CACHE_OK);
            if (ttl_ms < shortest) shortest = ttl_ms;
            if (ttl_ms > longest) longest = ttl_ms;
        }
        int64_t share = 10 * (int64_t)percent;
        CHECK(longest <= 1000 && shortest >= 1000 - share && shortest >= 1);
        CHECK(longest >= 1000 - share / 10 && shortest <= 1000 - share + share / 10 + 1);
        CHECK(put(cache, "never", "v", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
        CHECK(put(cache, "default", "v", 0) == SARK_CACHE_OK);
        CHECK(ttl_of(cache, "never") == SARK_CACHE_NO_EXPIRY);
        CHECK(ttl_of(cache, "default") == SARK_CACHE_NO_EXPIRY);
        CHECK(put(cache, "short", "v", 1) == SARK_CACHE_OK && ttl_of(cache, "short") == 1);
        CHECK(sark_cache_touch(cache, "short", 5, 1000) == SARK_CACHE_OK);
        CHECK(ttl_of(cache, "short") <= 1000 && ttl_of(cache, "short") >= 1000 - share);
        FINISH(cache);
    }
}

TEST(jitter_of_extreme_ttls)
{
    static const int64_t ttls[] = {1, 2, 99, 100, 101, (int64_t)1 << 40, INT64_MAX / 100,
                                   INT64_MAX / 2, INT64_MAX - 1};
    for (uint32_t percent = 1; percent <= 100; percent += 33) {
        sark_cache_config config = support_config(1000);
        config.ttl_jitter_percent = percent;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        for (size_t row = 0; row < sizeof ttls / sizeof *ttls; row++) {
            for (uint32_t key = 0; key < 100; key++) {
                int64_t ttl_ms = 0;
                CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, ttls[row]) == SARK_CACHE_OK);
                CHECK(sark_cache_ttl(cache, &key, sizeof key, &ttl_ms) == SARK_CACHE_OK);
                CHECK(ttl_ms >= 1);
                CHECK(ttl_ms <= ttls[row] || ttl_ms == SARK_CACHE_NO_EXPIRY);
                CHECK(ttl_ms >= ttls[row] / 100 * (100 - (int64_t)percent) - 1);
            }
        }
        FINISH(cache);
    }
}

TEST(jitter_of_the_default_ttl)
{
    sark_cache_config config = support_config(100);
    config.default_ttl_ms = 1000;
    config.ttl_jitter_percent = 50;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    bool shortened = false;
    for (uint32_t key = 0; key < 100; key++) {
        int64_t ttl_ms = 0;
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        CHECK(sark_cache_ttl(cache, &key, sizeof key, &ttl_ms) == SARK_CACHE_OK);
        CHECK(ttl_ms >= 500 && ttl_ms <= 1000);
        shortened |= ttl_ms < 1000;
    }
    CHECK(shortened);
    FINISH(cache);
}

int main(void)
{
    RUN(every_ttl_at_every_tick);
    RUN(cleanup_at_every_tick);
    RUN(random_leaps);
    RUN(an_expired_entry_never_costs_a_live_one_its_place);
    RUN(an_expired_entry_never_costs_a_live_one_its_bytes);
    RUN(a_clock_that_stands_still);
    RUN(a_clock_that_jumps_back);
    RUN(a_clock_that_jumps_about);
    RUN(a_clock_that_leaps_a_century);
    RUN(a_clock_that_fails);
    RUN(a_clock_that_fails_at_capacity);
    RUN(jitter_only_shortens);
    RUN(jitter_of_extreme_ttls);
    RUN(jitter_of_the_default_ttl);
    return test_summary();
}
