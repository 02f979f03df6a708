/* sark_cache as a subject, with its defaults. */

#include "../sark_cache.h"
#include "subject.h"

static void *create(const subject_config *config)
{
    sark_cache *cache = NULL;
    sark_cache_config wanted = {
        .max_entries = config->capacity,
        .default_ttl_ms = config->ttl_ms,
    };
    return sark_cache_create(&cache, &wanted) == SARK_CACHE_OK ? cache : NULL;
}

static void destroy(void *cache)
{
    (void)sark_cache_destroy(cache);
}

static bool get(void *cache, const char *key, size_t key_bytes, void *value, size_t value_capacity,
                size_t *value_bytes)
{
    return sark_cache_get(cache, key, key_bytes, value, value_capacity, value_bytes) ==
           SARK_CACHE_OK;
}

static bool set(void *cache, const char *key, size_t key_bytes, const void *value,
                size_t value_bytes)
{
    return sark_cache_set(cache, key, key_bytes, value, value_bytes, 0) == SARK_CACHE_OK;
}

static uint64_t size(void *cache)
{
    return sark_cache_size(cache);
}

const subject subject_sark = {"sark_cache", create, destroy, get, set, size};
