/* Black box: get_many, set_many and delete_many: every request has its own answer, in turn, and a
   wrong one keeps none of the others from being made. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { MANY = 100 }; /* more than one group of requests, and no multiple of one */

typedef struct named {
    char key[8], value[8], found[8];
} named;

static named names[MANY];
static sark_cache_get_request gets[MANY];
static sark_cache_set_request sets[MANY];
static sark_cache_delete_request deletes[MANY];

/* Requests for keys k0, k1 and so on, whose answers are of no status yet. */
static void prepare(void)
{
    memset(names, 0, sizeof names);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i].key, sizeof names[i].key, "k%zu", i);
        snprintf(names[i].value, sizeof names[i].value, "v%zu", i * i);
        size_t key_bytes = strlen(names[i].key), value_bytes = strlen(names[i].value);
        gets[i] = (sark_cache_get_request){names[i].key, key_bytes, names[i].found,
                                           sizeof names[i].found, 0, 77};
        sets[i] = (sark_cache_set_request){names[i].key, key_bytes, names[i].value, value_bytes,
                                           0, 77};
        deletes[i] = (sark_cache_delete_request){names[i].key, key_bytes, 77};
    }
}

static sark_cache *small_cache(uint64_t max_entries)
{
    sark_cache_config config = support_config(max_entries);
    prepare();
    return support_create(&config);
}

static bool found(size_t i)
{
    return gets[i].status == SARK_CACHE_OK && gets[i].value_bytes == strlen(names[i].value) &&
           memcmp(names[i].found, names[i].value, gets[i].value_bytes) == 0;
}

TEST(each_request_is_answered)
{
    for (size_t count = 0; count <= MANY; count++) {
        sark_cache *cache = small_cache(MANY);
        REQUIRE(cache != NULL);
        CHECK(sark_cache_set_many(cache, sets, count) == SARK_CACHE_OK);
        CHECK(sark_cache_size(cache) == count);
        CHECK(sark_cache_get_many(cache, gets, count) == SARK_CACHE_OK);
        for (size_t i = 0; i < count; i++) CHECK(sets[i].status == SARK_CACHE_OK && found(i));
        CHECK(sark_cache_delete_many(cache, deletes, count) == SARK_CACHE_OK);
        for (size_t i = 0; i < count; i++) CHECK(deletes[i].status == SARK_CACHE_OK);
        if (count < MANY) /* what was not asked for */
            CHECK(sets[count].status == 77 && gets[count].status == 77 &&
                  deletes[count].status == 77);
        CHECK(sark_cache_size(cache) == 0);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.sets == count && metrics.hits == count && metrics.deletes == count);
        FINISH(cache);
    }
}

TEST(misses_are_told_one_by_one)
{
    sark_cache *cache = small_cache(MANY);
    REQUIRE(cache != NULL);
    for (size_t i = 0; i < MANY; i += 3) sets[i].ttl_ms = 10;
    CHECK(sark_cache_set_many(cache, sets, MANY) == SARK_CACHE_OK);
    for (size_t i = 1; i < MANY; i += 3) CHECK(drop(cache, names[i].key) == SARK_CACHE_OK);
    advance(10);
    CHECK(sark_cache_get_many(cache, gets, MANY) == SARK_CACHE_MISS);
    for (size_t i = 0; i < MANY; i++)
        CHECK(i % 3 == 2 ? found(i) : gets[i].status == SARK_CACHE_MISS);
    CHECK(metrics_of(cache).misses_expired == (MANY + 2) / 3);
    CHECK(sark_cache_delete_many(cache, deletes, MANY) == SARK_CACHE_MISS);
    for (size_t i = 0; i < MANY; i++)
        CHECK(deletes[i].status == (i % 3 == 2 ? SARK_CACHE_OK : SARK_CACHE_MISS));
    CHECK(removals_for(support_removals(), SARK_CACHE_EXPIRED) == (MANY + 2) / 3);
    FINISH(cache);
}

/* Every kind of wrong request stands among right ones; the first of them is the batch's answer. */
TEST(a_wrong_request_leaves_the_others_alone)
{
    static unsigned char long_key[SARK_CACHE_MAX_KEY_BYTES + 1u];
    sark_cache *cache = small_cache(MANY);
    REQUIRE(cache != NULL);
    sets[1].key = NULL;
    sets[17].value = NULL;
    sets[18].key = long_key;
    sets[18].key_bytes = sizeof long_key;
    sets[19].ttl_ms = -1;
    sets[40].value_bytes = SIZE_MAX / 2;
    CHECK(sark_cache_set_many(cache, sets, MANY) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_set_many(cache, sets + 18, 2) == SARK_CACHE_BAD_KEY);
    CHECK(sark_cache_set_many(cache, sets + 19, 60) == SARK_CACHE_BAD_TTL);
    CHECK(sets[1].status == SARK_CACHE_BAD_ARGUMENT && sets[17].status == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sets[18].status == SARK_CACHE_BAD_KEY && sets[19].status == SARK_CACHE_BAD_TTL);
    CHECK(sets[40].status == SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_size(cache) == MANY - 5);
    gets[0].key = NULL;
    gets[20].key = long_key;
    gets[20].key_bytes = sizeof long_key;
    gets[21].value = NULL;
    gets[50].value_capacity = 1;
    CHECK(sark_cache_get_many(cache, gets, MANY) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_get_many(cache, gets + 17, 50) == SARK_CACHE_BAD_KEY); /* misses before it */
    CHECK(gets[20].status == SARK_CACHE_BAD_KEY && gets[21].status == SARK_CACHE_BAD_ARGUMENT);
    CHECK(gets[50].status == SARK_CACHE_SHORT_BUFFER && gets[50].value_bytes == 5);
    CHECK(names[50].found[0] == 0);
    for (size_t i = 0; i < MANY; i++) {
        bool is_there = sets[i].status == SARK_CACHE_OK;
        if (i == 0 || i == 20 || i == 21 || i == 50) continue;
        CHECK(is_there ? found(i) : gets[i].status == SARK_CACHE_MISS);
    }
    deletes[30].key = NULL;
    CHECK(sark_cache_delete_many(cache, deletes, MANY) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(deletes[30].status == SARK_CACHE_BAD_ARGUMENT && sark_cache_size(cache) == 1);
    CHECK(metrics_of(cache).rejected_key == 4 && metrics_of(cache).rejected_too_large == 2);
    FINISH(cache);
}

TEST(a_batch_without_a_cache_or_requests)
{
    sark_cache *cache = small_cache(MANY);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_get_many(NULL, gets, MANY) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_set_many(NULL, sets, MANY) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_delete_many(NULL, deletes, MANY) == SARK_CACHE_BAD_ARGUMENT);
    for (size_t i = 0; i < MANY; i++)
        CHECK(gets[i].status == SARK_CACHE_BAD_ARGUMENT &&
              sets[i].status == SARK_CACHE_BAD_ARGUMENT &&
              deletes[i].status == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_get_many(NULL, NULL, 0) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_get_many(cache, NULL, 1) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_set_many(cache, NULL, 1) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_delete_many(cache, NULL, 1) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_get_many(cache, NULL, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set_many(cache, NULL, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_delete_many(cache, NULL, 0) == SARK_CACHE_OK);
    CHECK(metrics_of(cache).rejected_argument == 3);
    FINISH(cache);
}

/* Keys that are longer than a line of memory, at the end of what may be read. */
TEST(long_keys)
{
    enum { LONGEST = 300 };
    static unsigned char keys[LONGEST];
    sark_cache *cache = small_cache(LONGEST);
    REQUIRE(cache != NULL);
    for (size_t i = 0; i < LONGEST; i++) keys[i] = (unsigned char)i;
    for (size_t i = 0; i < MANY; i++) { /* each the end of the longest */
        gets[i].key_bytes = sets[i].key_bytes = 3 * i + 1;
        gets[i].key = sets[i].key = keys + LONGEST - sets[i].key_bytes;
    }
    CHECK(sark_cache_set_many(cache, sets, MANY) == SARK_CACHE_OK);
    CHECK(sark_cache_get_many(cache, gets, MANY) == SARK_CACHE_OK);
    for (size_t i = 0; i < MANY; i++) CHECK(found(i));
    CHECK(sark_cache_size(cache) == MANY);
    FINISH(cache);
}

/* The order of the requests is that of recency, as if they had been single calls. */
TEST(requests_are_used_in_turn)
{
    sark_cache *cache = small_cache(MANY);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_set_many(cache, sets, MANY) == SARK_CACHE_OK);
    for (size_t i = 0; i < MANY; i++) { /* one key comes twice */
        size_t key = i == MANY - 1 ? 0 : MANY - 1 - i;
        gets[i].key = names[key].key;
        gets[i].key_bytes = strlen(names[key].key);
    }
    CHECK(sark_cache_get_many(cache, gets, MANY) == SARK_CACHE_OK);
    for (size_t i = 0; i < MANY; i++) {
        char key[8];
        snprintf(key, sizeof key, "n%zu", i);
        CHECK(put(cache, key, "new", 0) == SARK_CACHE_OK);
        size_t oldest = MANY - 1 - i;
        CHECK(removal_is(support_removals(), i, names[oldest].key, names[oldest].value,
                         SARK_CACHE_EVICTED));
    }
    FINISH(cache);
}

TEST(the_last_set_of_a_key_stays)
{
    sark_cache *cache = small_cache(3);
    REQUIRE(cache != NULL);
    for (size_t i = 0; i < MANY; i++) {
        sets[i].key = "same";
        sets[i].key_bytes = 4;
    }
    CHECK(sark_cache_set_many(cache, sets, MANY) == SARK_CACHE_OK);
    CHECK(peek_is(cache, "same", names[MANY - 1].value) && sark_cache_size(cache) == 1);
    for (size_t i = 0; i + 1 < MANY; i++)
        CHECK(removal_is(support_removals(), i, "same", names[i].value, SARK_CACHE_REPLACED));
    FINISH(cache);
}

/* Deletes a key that the running batch asks for later. */
static void delete_next(void *context, const void *key, size_t key_bytes, const void *value,
                        size_t value_bytes, sark_cache_cause cause)
{
    sark_cache **cache = context;
    (void)value;
    (void)value_bytes;
    if (key_bytes == 2 && memcmp(key, "k0", 2) == 0 && cause == SARK_CACHE_DELETED)
        CHECK(sark_cache_delete(*cache, "k1", 2) == SARK_CACHE_OK);
}

TEST(a_callback_comes_between_two_requests)
{
    static sark_cache *cache;
    sark_cache_config config = support_config(MANY);
    config.on_remove = delete_next;
    config.on_remove_context = &cache;
    prepare();
    cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_set_many(cache, sets, 3) == SARK_CACHE_OK);
    CHECK(sark_cache_delete_many(cache, deletes, 3) == SARK_CACHE_MISS);
    CHECK(deletes[0].status == SARK_CACHE_OK && deletes[1].status == SARK_CACHE_MISS &&
          deletes[2].status == SARK_CACHE_OK && sark_cache_size(cache) == 0);
    FINISH(cache);
}

int main(void)
{
    RUN(each_request_is_answered);
    RUN(misses_are_told_one_by_one);
    RUN(a_wrong_request_leaves_the_others_alone);
    RUN(a_batch_without_a_cache_or_requests);
    RUN(long_keys);
    RUN(requests_are_used_in_turn);
    RUN(the_last_set_of_a_key_stays);
    RUN(a_callback_comes_between_two_requests);
    return test_summary();
}
