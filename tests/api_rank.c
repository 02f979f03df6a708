/* Black box: hottest and coldest: the order of recency from both ends, buffers for keys, and that
   looking changes nothing. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { MOST = 600 };

static uint32_t numbers[MOST];
static sark_cache_ranked ranked[MOST];

/* Buffers for so many keys that are numbers. */
static void make_room(size_t count)
{
    for (size_t i = 0; i < count; i++)
        ranked[i] = (sark_cache_ranked){&numbers[i], sizeof numbers[i], 77, 77};
}

static uint32_t number_at(size_t i)
{
    uint32_t number = UINT32_MAX;
    if (ranked[i].key_bytes == sizeof number) memcpy(&number, ranked[i].key, sizeof number);
    return number;
}

static sark_cache *cache_of(uint32_t count, uint32_t shard_count)
{
    sark_cache_config config = support_config(count);
    config.shard_count = shard_count;
    sark_cache *cache = support_create(&config);
    for (uint32_t key = 0; cache && key < count; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    return cache;
}

TEST(both_ends_at_any_length)
{
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
        sark_cache *cache = cache_of(500, shard_count);
        REQUIRE(cache != NULL);
        for (uint32_t key = 0; key < 500; key += 2) /* the even ones are used last */
            CHECK(sark_cache_touch(cache, &key, sizeof key, 0) == SARK_CACHE_OK);
        for (size_t count = 0; count <= MOST; count += count < 20 ? 1 : 97) {
            size_t found = 77, expected = count < 500 ? count : 500;
            make_room(count);
            CHECK(sark_cache_coldest(cache, ranked, count, &found) == SARK_CACHE_OK);
            CHECK(found == expected);
            for (size_t i = 0; i < found; i++)
                CHECK(number_at(i) == (i < 250 ? 2 * i + 1 : 2 * (i - 250)));
            make_room(count);
            CHECK(sark_cache_hottest(cache, ranked, count, &found) == SARK_CACHE_OK);
            CHECK(found == expected);
            for (size_t i = 0; i < found; i++) {
                CHECK(number_at(i) == (i < 250 ? 498 - 2 * i : 499 - 2 * (i - 250)));
                CHECK(i == 0 || ranked[i].used <= ranked[i - 1].used);
            }
        }
        CHECK(metrics_of(cache).hits == 0 && metrics_of(cache).touches == 250);
        FINISH(cache);
    }
}

/* What is coldest leaves first: looking at it has not made it warmer. */
TEST(the_coldest_leaves_first)
{
    sark_cache *cache = cache_of(100, 4);
    REQUIRE(cache != NULL);
    for (uint32_t round = 0; round < 100; round++) {
        uint32_t key = 1000 + round, coldest;
        make_room(1);
        CHECK(sark_cache_coldest(cache, ranked, 1, NULL) == SARK_CACHE_OK);
        coldest = number_at(0);
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        CHECK(support_removals()->count == round + 1);
        CHECK(memcmp(support_removals()->removals[round].key, &coldest, sizeof coldest) == 0);
    }
    FINISH(cache);
}

TEST(expired_entries_have_no_rank)
{
    sark_cache_config config = support_config(10);
    sark_cache *cache = support_create(&config);
    size_t found = 77;
    char key[8];
    sark_cache_ranked one = {key, sizeof key, 0, 0};
    REQUIRE(cache != NULL);
    CHECK(sark_cache_hottest(cache, &one, 1, &found) == SARK_CACHE_OK && found == 0);
    CHECK(put(cache, "old", "1", 0) == SARK_CACHE_OK && put(cache, "new", "2", 5) == SARK_CACHE_OK);
    CHECK(sark_cache_hottest(cache, &one, 1, &found) == SARK_CACHE_OK && found == 1);
    CHECK(one.key_bytes == 3 && memcmp(key, "new", 3) == 0);
    advance(5);
    CHECK(sark_cache_hottest(cache, &one, 1, &found) == SARK_CACHE_OK && found == 1);
    CHECK(one.key_bytes == 3 && memcmp(key, "old", 3) == 0);
    CHECK(sark_cache_size(cache) == 2);
    FINISH(cache);
}

/* A key that is longer than its buffer is cut; its size is told. */
TEST(short_buffers_and_none)
{
    sark_cache_config config = support_config(10);
    sark_cache *cache = support_create(&config);
    char key[8] = "#######";
    sark_cache_ranked some[3] = {{key, 3, 0, 0}, {NULL, 0, 0, 0}, {key + 4, 2, 0, 0}};
    size_t found = 0;
    REQUIRE(cache != NULL);
    CHECK(put(cache, "long key", "1", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "", "2", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_coldest(cache, some, 1, &found) == SARK_CACHE_OK && found == 1);
    CHECK(some[0].key_bytes == 8 && memcmp(key, "lon####", 7) == 0);
    CHECK(sark_cache_coldest(cache, some, 3, &found) == SARK_CACHE_OK && found == 2);
    CHECK(some[0].key_bytes == 8 && some[1].key_bytes == 0 && key[7] == 0 && key[3] == '#');
    FINISH(cache);
}

TEST(wrong_arguments)
{
    sark_cache *cache = cache_of(3, 1);
    size_t found = 77;
    REQUIRE(cache != NULL);
    make_room(3);
    CHECK(sark_cache_hottest(NULL, ranked, 3, &found) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_hottest(cache, NULL, 3, &found) == SARK_CACHE_BAD_ARGUMENT);
    ranked[2].key = NULL;
    CHECK(sark_cache_coldest(cache, ranked, 3, &found) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(found == 77 && ranked[0].key_bytes == 77);
    CHECK(sark_cache_coldest(cache, NULL, 0, &found) == SARK_CACHE_OK && found == 0);
    CHECK(metrics_of(cache).rejected_argument == 2);
    FINISH(cache);
}

int main(void)
{
    RUN(both_ends_at_any_length);
    RUN(the_coldest_leaves_first);
    RUN(expired_entries_have_no_rank);
    RUN(short_buffers_and_none);
    RUN(wrong_arguments);
    return test_summary();
}
