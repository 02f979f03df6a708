/* Black box: clear_prefix and clear_if: what they remove and what they leave, what is written
   meanwhile, and that a visitor may call the cache and fork. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

static sark_cache *small_cache(uint64_t max_entries)
{
    sark_cache_config config = support_config(max_entries);
    return support_create(&config);
}

static uint64_t clear_prefix(sark_cache *cache, const char *prefix)
{
    uint64_t removed = 77;
    CHECK(sark_cache_clear_prefix(cache, prefix, strlen(prefix), &removed) == SARK_CACHE_OK);
    return removed;
}

/* ---- clear_prefix --------------------------------------------------------------------------- */

TEST(a_prefix_is_of_bytes)
{
    static const char *const keys[] = {"user", "user:", "user:1", "user:12", "use", "xuser:1", ""};
    sark_cache *cache = small_cache(10);
    REQUIRE(cache != NULL);
    for (size_t i = 0; i < 7; i++) CHECK(put(cache, keys[i], "v", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "user\0:", 6, "v", 1, 0) == SARK_CACHE_OK);
    CHECK(clear_prefix(cache, "user:1234") == 0 && sark_cache_size(cache) == 8);
    CHECK(clear_prefix(cache, "user:") == 3);
    CHECK(support_removals()->count == 3);
    for (size_t i = 1; i < 4; i++)
        CHECK(removals_of(support_removals(), keys[i], SARK_CACHE_CLEARED) == 1);
    CHECK(contains(cache, "user") == SARK_CACHE_OK && contains(cache, "use") == SARK_CACHE_OK &&
          contains(cache, "xuser:1") == SARK_CACHE_OK && contains(cache, "") == SARK_CACHE_OK);
    uint64_t removed = 0;
    CHECK(sark_cache_clear_prefix(cache, "user\0", 5, &removed) == SARK_CACHE_OK && removed == 1);
    CHECK(metrics_of(cache).cleared == 4);
    CHECK(sark_cache_clear_prefix(cache, NULL, 0, NULL) == SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == 0);
    FINISH(cache);
}

TEST(many_prefixes_among_many_keys)
{
    sark_cache *cache = small_cache(5000);
    REQUIRE(cache != NULL);
    char key[16];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%u:%u", i % 7, i);
        CHECK(put(cache, key, "value", 0) == SARK_CACHE_OK);
    }
    uint64_t left = 5000;
    for (unsigned i = 0; i < 7; i++) {
        snprintf(key, sizeof key, "%u:", i);
        uint64_t removed = clear_prefix(cache, key);
        CHECK(removed == 5000 / 7 + (i < 5000 % 7));
        CHECK(sark_cache_size(cache) == (left -= removed) && clear_prefix(cache, key) == 0);
    }
    CHECK(left == 0);
    FINISH(cache);
}

/* What has expired is removed too, as expired; places come back. */
TEST(expired_entries_with_a_prefix)
{
    sark_cache *cache = small_cache(4);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "ab", "1", 10) == SARK_CACHE_OK && put(cache, "ac", "2", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "b", "3", 10) == SARK_CACHE_OK);
    advance(10);
    CHECK(clear_prefix(cache, "a") == 2 && sark_cache_size(cache) == 1);
    CHECK(removals_of(support_removals(), "ab", SARK_CACHE_EXPIRED) == 1);
    CHECK(removals_of(support_removals(), "ac", SARK_CACHE_CLEARED) == 1);
    CHECK(metrics_of(cache).cleared == 1 && metrics_of(cache).expired_by_writers == 1);
    for (unsigned i = 0; i < 4; i++) {
        const char key[] = {(char)('p' + i), 0};
        CHECK(put(cache, key, "new", 0) == SARK_CACHE_OK);
    }
    CHECK(removals_for(support_removals(), SARK_CACHE_EVICTED) == 0);
    FINISH(cache);
}

/* Writes each key anew when it is cleared. */
static void write_again(void *context, const void *key, size_t key_bytes, const void *value,
                        size_t value_bytes, sark_cache_cause cause)
{
    sark_cache **cache = context;
    (void)value, (void)value_bytes;
    if (cause == SARK_CACHE_CLEARED)
        CHECK(sark_cache_set(*cache, key, key_bytes, "new", 3, 0) == SARK_CACHE_OK);
}

TEST(what_is_written_meanwhile_stays)
{
    static sark_cache *cache;
    sark_cache_config config = support_config(500);
    config.on_remove = write_again;
    config.on_remove_context = &cache;
    cache = support_create(&config);
    REQUIRE(cache != NULL);
    char key[16];
    for (unsigned i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "k%u", i);
        CHECK(put(cache, key, "old", 0) == SARK_CACHE_OK);
    }
    CHECK(clear_prefix(cache, "k") == 400 && sark_cache_size(cache) == 400);
    CHECK(get_is(cache, "k0", "new") && get_is(cache, "k399", "new"));
    FINISH(cache);
}

/* ---- clear_if ------------------------------------------------------------------------------- */

typedef struct choice {
    sark_cache *cache;
    uint64_t asked, chosen;
} choice;

static bool value_is_old(void *context, const void *key, size_t key_bytes, const void *value,
                         size_t value_bytes, int64_t ttl_left_ms)
{
    choice *mine = context;
    (void)key, (void)key_bytes;
    CHECK(ttl_left_ms > 0);
    mine->asked++;
    bool is_old = value_bytes == 3 && memcmp(value, "old", 3) == 0;
    mine->chosen += is_old;
    return is_old;
}

TEST(a_visitor_chooses)
{
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
        sark_cache_config config = support_config(1000);
        config.shard_count = shard_count;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        for (uint32_t key = 0; key < 1000; key++)
            CHECK(sark_cache_set(cache, &key, sizeof key, key % 3 ? "new" : "old", 3,
                                 key % 10 ? 0 : 5) == SARK_CACHE_OK);
        advance(5);
        choice mine = {cache, 0, 0};
        uint64_t removed = 77;
        CHECK(sark_cache_clear_if(cache, value_is_old, &mine, &removed) == SARK_CACHE_OK);
        CHECK(mine.asked == 900 && mine.chosen == 300 && removed == 300);
        CHECK(sark_cache_size(cache) == 700 && metrics_of(cache).cleared == 300);
        for (uint32_t key = 0; key < 1000; key++)
            CHECK(sark_cache_contains(cache, &key, sizeof key) ==
                  (key % 10 && key % 3 ? SARK_CACHE_OK : SARK_CACHE_MISS));
        CHECK(sark_cache_clear_if(cache, value_is_old, &mine, NULL) == SARK_CACHE_OK);
        CHECK(sark_cache_size(cache) == 700 && metrics_of(cache).pins_in_use == 0);
        FINISH(cache);
    }
}

/* Changes the entry that it is asked for: by number, as below. */
static int change;

static bool change_and_choose(void *context, const void *key, size_t key_bytes, const void *value,
                              size_t value_bytes, int64_t ttl_left_ms)
{
    sark_cache *cache = context;
    (void)value, (void)value_bytes, (void)ttl_left_ms;
    if (key_bytes != 1 || *(const char *)key != 'k') return false;
    switch (change) {
    case 0: CHECK(put(cache, "k", "newer", 0) == SARK_CACHE_OK); break;
    case 1: CHECK(drop(cache, "k") == SARK_CACHE_OK); break;
    case 2: advance(50); break;
    case 3: CHECK(sark_cache_touch(cache, "k", 1, 90) == SARK_CACHE_OK); break;
    default: CHECK(sark_cache_clear(cache) == 2);
    }
    return true;
}

TEST(an_entry_is_removed_only_as_it_was_seen)
{
    for (change = 0; change < 5; change++) {
        sark_cache *cache = small_cache(4);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "k", "old", change == 2 ? 50 : 0) == SARK_CACHE_OK);
        CHECK(put(cache, "n", "next", 0) == SARK_CACHE_OK);
        uint64_t removed = 77;
        CHECK(sark_cache_clear_if(cache, change_and_choose, cache, &removed) == SARK_CACHE_OK);
        CHECK(removed == 0);
        if (change == 0) CHECK(get_is(cache, "k", "newer"));
        if (change == 3) CHECK(get_is(cache, "k", "old") && ttl_of(cache, "k") == 90);
        if (change == 2) CHECK(sark_cache_size(cache) == 2 && get_is(cache, "k", NULL));
        CHECK(removals_of(support_removals(), "k", SARK_CACHE_CLEARED) == (change == 4));
        FINISH(cache);
    }
}

/* Puts another key where the one it is asked for was, in another shard as often as not: versions
   are counted by shard, so it may have the same one. */
static uint32_t other;

static bool put_another(void *context, const void *key, size_t key_bytes, const void *value,
                        size_t value_bytes, int64_t ttl_left_ms)
{
    sark_cache *cache = context;
    (void)value, (void)value_bytes, (void)ttl_left_ms;
    CHECK(sark_cache_delete(cache, key, key_bytes) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, &other, sizeof other, "other", 5, 0) == SARK_CACHE_OK);
    return true;
}

TEST(another_key_in_the_same_place_stays)
{
    for (other = 1; other < 200; other++) {
        sark_cache_config config = support_config(2);
        config.shard_count = 2;
        config.hash_seed = other;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        uint64_t removed = 77;
        CHECK(put(cache, "k", "old", 0) == SARK_CACHE_OK);
        CHECK(sark_cache_clear_if(cache, put_another, cache, &removed) == SARK_CACHE_OK);
        CHECK(removed == 0);
        CHECK(sark_cache_contains(cache, &other, sizeof other) == SARK_CACHE_OK);
        FINISH(cache);
    }
}

static bool clear_inside(void *context, const void *key, size_t key_bytes, const void *value,
                         size_t value_bytes, int64_t ttl_left_ms)
{
    sark_cache *cache = context;
    (void)value, (void)value_bytes, (void)ttl_left_ms;
    (void)sark_cache_clear_prefix(cache, key, key_bytes, NULL);
    return true;
}

TEST(a_visitor_that_clears)
{
    sark_cache *cache = small_cache(100);
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 100; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    uint64_t removed = 77;
    CHECK(sark_cache_clear_if(cache, clear_inside, cache, &removed) == SARK_CACHE_OK);
    CHECK(removed == 0 && sark_cache_size(cache) == 0);
    CHECK(support_removals()->count == 100);
    FINISH(cache);
}

TEST(wrong_arguments_and_no_pin)
{
    sark_cache_config config = support_config(10);
    config.pin_count = 1;
    sark_cache *cache = support_create(&config);
    sark_cache_pinned pinned;
    choice mine = {cache, 0, 0};
    uint64_t removed = 77;
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "old", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_clear_prefix(NULL, "k", 1, &removed) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_clear_prefix(cache, NULL, 1, &removed) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_clear_if(NULL, value_is_old, &mine, &removed) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_clear_if(cache, NULL, &mine, &removed) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_clear_if(cache, value_is_old, &mine, &removed) == SARK_CACHE_NO_PIN);
    CHECK(removed == 77 && mine.asked == 0 && sark_cache_size(cache) == 1);
    CHECK(clear_prefix(cache, "k") == 1); /* the pin keeps its value */
    CHECK(memcmp(pinned.value, "old", 3) == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    FINISH(cache);
}

int main(void)
{
    RUN(a_prefix_is_of_bytes);
    RUN(many_prefixes_among_many_keys);
    RUN(expired_entries_with_a_prefix);
    RUN(what_is_written_meanwhile_stays);
    RUN(a_visitor_chooses);
    RUN(an_entry_is_removed_only_as_it_was_seen);
    RUN(another_key_in_the_same_place_stays);
    RUN(a_visitor_that_clears);
    RUN(wrong_arguments_and_no_pin);
    return test_summary();
}
