/* sark_cache as a subject, with its defaults. */

#define SARK_CACHE_STATIC
#define SARK_CACHE_IMPLEMENTATION
#include "../sark_cache.h"
#include "subject.h"

static size_t value_capacity;

static void *create(const subject_config *config)
{
    sark_cache *cache = NULL;
    sark_cache_config wanted = {
        .max_entries = config->capacity,
        .default_ttl_ms = config->ttl_ms,
    };
    size_t entry_bytes = config->key_bytes + config->value_bytes + 128;
    if (entry_bytes > 1024) wanted.max_bytes = entry_bytes * config->capacity * 9 / 8;
    value_capacity = config->value_bytes;
    return sark_cache_create(&cache, &wanted) == SARK_CACHE_OK ? cache : NULL;
}

static void destroy(void *cache)
{
    (void)sark_cache_destroy(cache);
}

static bool get(void *cache, const char *key, size_t key_bytes, void *value)
{
    size_t value_bytes = 0;
    return sark_cache_get(cache, key, key_bytes, value, value_capacity, &value_bytes) ==
               SARK_CACHE_OK && value_bytes == value_capacity;
}

static bool set(void *cache, const char *key, size_t key_bytes, const void *value)
{
    return sark_cache_set(cache, key, key_bytes, value, value_capacity, 0) == SARK_CACHE_OK;
}

static int64_t size(void *cache)
{
    return (int64_t)sark_cache_size(cache);
}

const subject subject_measured = {
    .name = "sark_cache",
    .version = "1",
    .evicts = true,
    .expires = true,
    .create = create,
    .destroy = destroy,
    .get = get,
    .set = set,
    .size = size,
};
