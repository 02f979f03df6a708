/* Black box: cleanup_expired, foreach, check and size. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

/* Sets entries with numbers for keys and values; number n has a TTL of n ms, 0 has none. */
static sark_cache *numbers(uint32_t count, uint32_t shard_count)
{
    sark_cache_config config = support_config(count);
    config.shard_count = shard_count;
    sark_cache *cache = support_create(&config);
    for (uint32_t number = 0; cache && number < count; number++)
        CHECK(sark_cache_set(cache, &number, sizeof number, &number, sizeof number, number) ==
              SARK_CACHE_OK);
    return cache;
}

static uint32_t removed_number(size_t index)
{
    uint32_t number = 0;
    memcpy(&number, support_removals()->removals[index].key, sizeof number);
    return number;
}

/* ---- Cleanup -------------------------------------------------------------------------------- */

TEST(cleanup_takes_what_expired_and_nothing_else)
{
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 4) {
        sark_cache *cache = numbers(1000, shard_count);
        REQUIRE(cache != NULL);
        CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
        advance(400);
        CHECK(sark_cache_size(cache) == 1000);
        CHECK(sark_cache_cleanup_expired(cache, 0) == 400);
        CHECK(sark_cache_size(cache) == 600);
        CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
        CHECK(support_removals()->count == 400);
        for (size_t index = 0; index < 400; index++) {
            CHECK(removed_number(index) >= 1 && removed_number(index) <= 400);
            CHECK(support_removals()->removals[index].cause == SARK_CACHE_EXPIRED);
        }
        for (uint32_t number = 0; number < 1000; number++)
            CHECK(sark_cache_contains(cache, &number, sizeof number) ==
                  (number == 0 || number > 400 ? SARK_CACHE_OK : SARK_CACHE_MISS));
        CHECK(metrics_of(cache).expired_by_cleanup == 400);
        advance(1000);
        CHECK(sark_cache_cleanup_expired(cache, UINT64_MAX) == 599);
        CHECK(sark_cache_size(cache) == 1);
        FINISH(cache);
    }
}

TEST(cleanup_stops_where_it_is_told)
{
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
        sark_cache *cache = numbers(300, shard_count);
        REQUIRE(cache != NULL);
        advance(200);
        size_t removed = 0;
        for (uint64_t most = 1; removed < 200; most++) {
            uint64_t expected = most < 200 - removed ? most : 200 - removed;
            CHECK(sark_cache_cleanup_expired(cache, most) == expected);
            removed += (size_t)expected;
            CHECK(support_removals()->count == removed);
            CHECK(sark_cache_size(cache) == 300 - removed);
        }
        CHECK(sark_cache_cleanup_expired(cache, 1) == 0);
        FINISH(cache);
    }
}

TEST(cleanup_of_many_in_one_tick)
{
    sark_cache_config config = support_config(20000);
    config.on_remove = NULL;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (uint32_t number = 0; number < 20000; number++)
        CHECK(sark_cache_set(cache, &number, sizeof number, "v", 1, number % 2 ? 10 : 0) ==
              SARK_CACHE_OK);
    advance(10);
    CHECK(metrics_of(cache).expired_resident >= 10000);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 10000);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.entries == 10000 && metrics.expired_resident == 0);
    CHECK(metrics.longest_hold_moves <= 256);
    FINISH(cache);
}

TEST(cleanup_of_nothing)
{
    sark_cache *cache = numbers(1, 1);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_cleanup_expired(NULL, 0) == 0);
    CHECK(sark_cache_cleanup_expired(NULL, 5) == 0);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
    CHECK(sark_cache_clear(cache) == 1);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
    FINISH(cache);
}

/* An entry whose TTL was prolonged, or taken away, is not removed for its former deadline. */
TEST(cleanup_knows_new_deadlines)
{
    sark_cache *cache = numbers(100, 4);
    REQUIRE(cache != NULL);
    for (uint32_t number = 1; number < 100; number++) {
        int64_t ttl_ms = number % 3 == 0 ? 500 : number % 3 == 1 ? SARK_CACHE_NO_EXPIRY : 1;
        CHECK(sark_cache_touch(cache, &number, sizeof number, ttl_ms) == SARK_CACHE_OK);
    }
    advance(100);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 33);
    for (uint32_t number = 1; number < 100; number++)
        CHECK(sark_cache_contains(cache, &number, sizeof number) ==
              (number % 3 == 2 ? SARK_CACHE_MISS : SARK_CACHE_OK));
    advance(400);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 33);
    CHECK(sark_cache_size(cache) == 34);
    FINISH(cache);
}

/* ---- Visiting ------------------------------------------------------------------------------- */

typedef struct tour {
    sark_cache *cache;
    uint32_t passed_ms, visits, stop_after;
    bool seen[1000];
} tour;

static bool tour_visit(void *context, const void *key, size_t key_bytes, const void *value,
                       size_t value_bytes, int64_t ttl_left_ms)
{
    tour *mine = context;
    uint32_t number = 0, copy = 0;
    CHECK(key_bytes == sizeof number && value_bytes == sizeof copy);
    memcpy(&number, key, sizeof number);
    memcpy(&copy, value, sizeof copy);
    CHECK(number < 1000 && copy == number && !mine->seen[number % 1000]);
    mine->seen[number % 1000] = true;
    CHECK(ttl_left_ms == (number ? (int64_t)number - mine->passed_ms : SARK_CACHE_NO_EXPIRY));
    CHECK(ttl_left_ms >= 1);
    CHECK(metrics_of(mine->cache).pins_in_use == 1);
    mine->visits++;
    return mine->visits != mine->stop_after;
}

TEST(foreach_visits_each_live_entry_once)
{
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
        tour mine = {.cache = numbers(1000, shard_count)};
        REQUIRE(mine.cache != NULL);
        CHECK(sark_cache_foreach(mine.cache, tour_visit, &mine) == SARK_CACHE_OK);
        CHECK(mine.visits == 1000);
        sark_cache *cache = mine.cache;
        mine = (tour){.cache = cache, .passed_ms = 300};
        advance(300);
        CHECK(sark_cache_foreach(cache, tour_visit, &mine) == SARK_CACHE_OK);
        CHECK(mine.visits == 700 && mine.seen[0] && !mine.seen[300] && mine.seen[301]);
        CHECK(sark_cache_size(cache) == 1000 && support_removals()->count == 0);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.hits == 0 && metrics.misses == 0 && metrics.pins_in_use == 0);
        FINISH(cache);
    }
}

TEST(foreach_stops_where_the_visitor_says)
{
    sark_cache *cache = numbers(100, 8);
    REQUIRE(cache != NULL);
    for (uint32_t stop_after = 1; stop_after <= 100; stop_after++) {
        tour mine = {.cache = cache, .stop_after = stop_after};
        CHECK(sark_cache_foreach(cache, tour_visit, &mine) == SARK_CACHE_OK);
        CHECK(mine.visits == stop_after);
        CHECK(metrics_of(cache).pins_in_use == 0);
    }
    FINISH(cache);
}

TEST(foreach_of_nothing)
{
    sark_cache *cache = numbers(1, 1);
    REQUIRE(cache != NULL);
    tour mine = {.cache = cache};
    CHECK(sark_cache_clear(cache) == 1);
    CHECK(sark_cache_foreach(cache, tour_visit, &mine) == SARK_CACHE_OK);
    CHECK(mine.visits == 0);
    CHECK(sark_cache_foreach(NULL, tour_visit, &mine) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_foreach(cache, NULL, &mine) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_foreach(NULL, NULL, NULL) == SARK_CACHE_BAD_ARGUMENT);
    FINISH(cache);
}

static bool visit_with_the_last_pin(void *context, const void *key, size_t key_bytes,
                                    const void *value, size_t value_bytes, int64_t ttl_left_ms)
{
    sark_cache *cache = context;
    sark_cache_pinned pinned;
    (void)value, (void)value_bytes, (void)ttl_left_ms;
    CHECK(sark_cache_pin(cache, key, key_bytes, &pinned) == SARK_CACHE_NO_PIN);
    tour nobody = {.cache = cache};
    CHECK(sark_cache_foreach(cache, tour_visit, &nobody) == SARK_CACHE_NO_PIN);
    CHECK(nobody.visits == 0);
    return true;
}

TEST(foreach_needs_a_pin)
{
    sark_cache_config config = support_config(10);
    config.pin_count = 1;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK && put(cache, "b", "2", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_foreach(cache, visit_with_the_last_pin, cache) == SARK_CACHE_OK);
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, "a", 1, &pinned) == SARK_CACHE_OK);
    tour nobody = {.cache = cache};
    CHECK(sark_cache_foreach(cache, tour_visit, &nobody) == SARK_CACHE_NO_PIN);
    CHECK(nobody.visits == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    FINISH(cache);
}

/* ---- Checking ------------------------------------------------------------------------------- */

TEST(check_needs_no_report)
{
    sark_cache *cache = numbers(100, 4);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_check(cache, NULL, 0));
    char report[16];
    for (size_t report_bytes = 0; report_bytes < sizeof report; report_bytes++) {
        memset(report, '#', sizeof report);
        CHECK(sark_cache_check(cache, report, report_bytes));
        for (size_t at = report_bytes; at < sizeof report; at++) CHECK(report[at] == '#');
    }
    CHECK(!sark_cache_check(NULL, NULL, 0));
    memset(report, '#', sizeof report);
    CHECK(!sark_cache_check(NULL, report, 8));
    for (size_t at = 8; at < sizeof report; at++) CHECK(report[at] == '#');
    FINISH(cache);
}

/* Where some bytes stand in a region; NULL if nowhere. */
static unsigned char *find_bytes(unsigned char *region, size_t region_bytes, const char *bytes)
{
    size_t count = strlen(bytes);
    for (size_t at = 0; at + count <= region_bytes; at++)
        if (memcmp(region + at, bytes, count) == 0) return region + at;
    return NULL;
}

/* A key that changes behind the cache's back no longer has the hash that it is kept under. */
TEST(check_finds_what_is_broken)
{
    static _Alignas(64) unsigned char region[1 << 16];
    sark_cache_config config = support_config(20);
    sark_cache *cache = NULL;
    REQUIRE(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    CHECK(put(cache, "another key", "value", 9) == SARK_CACHE_OK);
    CHECK(put(cache, "a key that is easily found", "value", 0) == SARK_CACHE_OK);
    CHECK(holds(cache));
    unsigned char *key = find_bytes(region, sizeof region, "a key that is easily found");
    REQUIRE(key != NULL);
    key[0] = 'A';
    char report[100], cut[8];
    memset(report, '#', sizeof report);
    memset(cut, '#', sizeof cut);
    CHECK(!sark_cache_check(cache, report, sizeof report));
    REQUIRE(memchr(report, 0, sizeof report) != NULL);
    CHECK(strlen(report) > 4);
    CHECK(!sark_cache_check(cache, cut, 5));
    CHECK(cut[4] == 0 && memcmp(cut, report, 4) == 0 && cut[5] == '#');
    CHECK(!sark_cache_check(cache, NULL, 0) && !sark_cache_check(cache, cut + 6, 0));
    CHECK(cut[6] == '#');
    key[0] = 'a';
    FINISH(cache);
}

/* ---- Size ----------------------------------------------------------------------------------- */

TEST(size_counts_what_is_resident)
{
    CHECK(sark_cache_size(NULL) == 0);
    sark_cache *cache = numbers(50, 4);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_size(cache) == 50);
    advance(1000);
    CHECK(sark_cache_size(cache) == 50);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.entries == 50 && metrics.expired_resident >= 49);
    CHECK(sark_cache_cleanup_expired(cache, 9) == 9 && sark_cache_size(cache) == 41);
    uint32_t number = 0;
    CHECK(sark_cache_delete(cache, &number, sizeof number) == SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == 40);
    CHECK(sark_cache_clear(cache) == 40 && sark_cache_size(cache) == 0);
    FINISH(cache);
}

int main(void)
{
    RUN(cleanup_takes_what_expired_and_nothing_else);
    RUN(cleanup_stops_where_it_is_told);
    RUN(cleanup_of_many_in_one_tick);
    RUN(cleanup_of_nothing);
    RUN(cleanup_knows_new_deadlines);
    RUN(foreach_visits_each_live_entry_once);
    RUN(foreach_stops_where_the_visitor_says);
    RUN(foreach_of_nothing);
    RUN(foreach_needs_a_pin);
    RUN(check_needs_no_report);
    RUN(check_finds_what_is_broken);
    RUN(size_counts_what_is_resident);
    return test_summary();
}
