/* One mutex around a stb_ds map as a subject. */

#include "baseline.h"
#include "subject.h"

#include <stdlib.h>

typedef struct mutex_stb {
    baseline *cache;
    int64_t ttl_ms;
} mutex_stb;

static void destroy(void *cache)
{
    mutex_stb *self = cache;
    baseline_destroy(self->cache);
    free(self);
}

static void *create(const subject_config *config)
{
    mutex_stb *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->ttl_ms = config->ttl_ms;
    self->cache = baseline_create(config->capacity, config->key_bytes, config->value_bytes);
    if (self->cache != NULL) return self;
    destroy(self);
    return NULL;
}

static bool get(void *cache, const char *key, size_t key_bytes, void *value, size_t value_capacity,
                size_t *value_bytes)
{
    const mutex_stb *self = cache;
    (void)key_bytes;
    return baseline_get(self->cache, key, value, value_capacity, value_bytes);
}

static bool set(void *cache, const char *key, size_t key_bytes, const void *value,
                size_t value_bytes)
{
    const mutex_stb *self = cache;
    return baseline_set(self->cache, key, key_bytes, value, value_bytes, self->ttl_ms);
}

static uint64_t size(void *cache)
{
    const mutex_stb *self = cache;
    return baseline_size(self->cache);
}

const subject subject_mutex_stb = {"mutex + stb_ds", create, destroy, get, set, size};
