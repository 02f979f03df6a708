/* sark_cache as a subject, with its defaults: one call at a time, or SUBJECT_BATCH of them. */

#define SARK_CACHE_STATIC
#define SARK_CACHE_IMPLEMENTATION
#include "../sark_cache.h"
#include "subject.h"

static size_t key_bytes, value_capacity;

static void *create(const subject_config *config)
{
    sark_cache *cache = NULL;
    sark_cache_config wanted = {
        .max_entries = config->capacity,
        .default_ttl_ms = config->ttl_ms,
    };
    size_t entry_bytes = config->key_bytes + config->value_bytes + 128;
    if (entry_bytes > 1024) wanted.max_bytes = entry_bytes * config->capacity * 9 / 8;
    key_bytes = config->key_bytes;
    value_capacity = config->value_bytes;
    return sark_cache_create(&cache, &wanted) == SARK_CACHE_OK ? cache : NULL;
}

static void destroy(void *cache)
{
    (void)sark_cache_destroy(cache);
}

static bool get(void *cache, const char *key, size_t bytes, void *value)
{
    size_t value_bytes = 0;
    return sark_cache_get(cache, key, bytes, value, value_capacity, &value_bytes) ==
               SARK_CACHE_OK && value_bytes == value_capacity;
}

static bool set(void *cache, const char *key, size_t bytes, const void *value)
{
    return sark_cache_set(cache, key, bytes, value, value_capacity, 0) == SARK_CACHE_OK;
}

#ifdef SUBJECT_BATCH
#define SUBJECT_NAME_OF(length) "sark_cache-" #length
#define SUBJECT_NAME(length) SUBJECT_NAME_OF(length)

/* Gets the calls that are no sets, and sets the others. */
static bool get_and_set_many(void *cache, subject_call *calls, uint32_t count)
{
    sark_cache_get_request gets[SUBJECT_MOST_CALLS];
    sark_cache_set_request sets[SUBJECT_MOST_CALLS];
    uint32_t get_count = 0, set_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const subject_call *call = &calls[i];
        if (call->is_set)
            sets[set_count++] = (sark_cache_set_request){
                .key = call->key, .key_bytes = key_bytes, .value = call->value,
                .value_bytes = value_capacity};
        else
            gets[get_count++] = (sark_cache_get_request){
                .key = call->key, .key_bytes = key_bytes, .value = call->value,
                .value_capacity = value_capacity};
    }
    bool is_right = sark_cache_get_many(cache, gets, get_count) >= 0 &&
                    sark_cache_set_many(cache, sets, set_count) == SARK_CACHE_OK;
    get_count = set_count = 0;
    for (uint32_t i = 0; i < count; i++)
        calls[i].is_done = calls[i].is_set ? sets[set_count++].status == SARK_CACHE_OK
                                           : gets[get_count++].status == SARK_CACHE_OK;
    return is_right;
}
#else
#define SUBJECT_BATCH 0
#define SUBJECT_NAME(length) "sark_cache"
#define get_and_set_many NULL
#endif

static int64_t size(void *cache)
{
    return (int64_t)sark_cache_size(cache);
}

const subject subject_measured = {
    .name = SUBJECT_NAME(SUBJECT_BATCH),
    .version = "1",
    .evicts = true,
    .expires = true,
    .batch_length = SUBJECT_BATCH,
    .create = create,
    .destroy = destroy,
    .get = get,
    .set = set,
    .call_many = get_and_set_many,
    .size = size,
};
