/* The floor: what a hit costs at least. An index without locks that is looked up as an exact
   cache's would be, an entry whose deadline is compared with a coarse clock, a stamp that is stored
   where the clock has gone on, and the copy of the value.

   Not a cache: nothing leaves, and what a set replaces is never freed. */

#define _GNU_SOURCE /* madvise: large pages, as the cache asks for them */
#include "coarse_clock.h"
#include "fast_hash.h"
#include "subject.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SLOTS = 7, LARGE_PAGE = 2 << 20 };

typedef struct entry {
    _Atomic(int64_t) stamp_ms;
    int64_t deadline_ms;
    char key[]; /* and the value behind its NUL */
} entry;

/* A cache line: where a key is, by 16 bits of its hash. */
typedef struct bucket {
    uint16_t tags[SLOTS];
    uint16_t overflows; /* entries that went on to another bucket */
    struct { _Atomic(uint32_t) at; } slots[SLOTS]; /* in the slab, in steps of 16; 0: empty */
    char rest[64 - 16 - 4 * SLOTS];
} bucket;

typedef struct map {
    bucket *buckets;
    uint64_t bucket_mask;
    char *slab;
    size_t slab_used, slab_bytes, value_bytes;
    int64_t ttl_ms;
    int64_t entry_count;
    pthread_mutex_t lock; /* of sets */
} map;

static entry *entry_at(const map *self, uint32_t at)
{
    return (entry *)(void *)(self->slab + (size_t)at * 16);
}

static void destroy(void *cache)
{
    map *self = cache;
    pthread_mutex_destroy(&self->lock);
    free(self->buckets);
    free(self->slab);
    free(self);
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
}

/* Room for as many replaced values as there are entries. */
static void *create(const subject_config *config)
{
    map *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    uint64_t bucket_count = 1;
    while (bucket_count * 5 < config->capacity) bucket_count *= 2;
    size_t bucket_bytes = whole_pages(bucket_count * sizeof(bucket));
    size_t entry_bytes = sizeof(entry) + config->key_bytes + 1 + config->value_bytes + 15;
    pthread_mutex_init(&self->lock, NULL);
    self->bucket_mask = bucket_count - 1;
    self->value_bytes = config->value_bytes;
    self->ttl_ms = config->ttl_ms;
    self->slab_bytes = whole_pages((2 * (size_t)config->capacity + 1000000) * entry_bytes);
    self->slab_used = 16;
    self->buckets = aligned_alloc(LARGE_PAGE, bucket_bytes);
    self->slab = aligned_alloc(LARGE_PAGE, self->slab_bytes);
    if (self->buckets != NULL && self->slab != NULL) {
        (void)madvise(self->buckets, bucket_bytes, MADV_HUGEPAGE);
        (void)madvise(self->slab, self->slab_bytes, MADV_HUGEPAGE);
        memset(self->buckets, 0, bucket_bytes);
        return self;
    }
    destroy(self);
    return NULL;
}

/* The slots of a bucket with a tag, a bit of 16 each: which one it is, nobody could predict. What
   stands above a right one may be wrong; keys are compared anyway. */
static inline uint64_t match(const bucket *in, uint32_t half, uint64_t tag)
{
    const uint64_t ones = 0x0001000100010001u;
    uint64_t apart;
    memcpy(&apart, in->tags + 4 * half, sizeof apart);
    apart ^= tag * ones;
    return (apart - ones) & ~apart & (half == 0 ? ones << 15 : (ones << 15) >> 16);
}

/* The entry of a key in a half of a bucket, where it is by *slot. */
static inline entry *find_in(const map *self, bucket *in, uint32_t half, uint16_t tag,
                             const char *key, size_t key_bytes, uint32_t *slot)
{
    for (uint64_t m = match(in, half, tag); m != 0; m &= m - 1) {
        *slot = 4 * half + (uint32_t)__builtin_ctzll(m) / 16;
        uint32_t at = atomic_load_explicit(&in->slots[*slot].at, memory_order_acquire);
        if (at != 0 && memcmp(entry_at(self, at)->key, key, key_bytes + 1) == 0)
            return entry_at(self, at);
    }
    return NULL;
}

static inline entry *find(const map *self, const char *key, size_t key_bytes, bucket **in,
                          uint32_t *slot)
{
    uint64_t hash = fast_hash(key, key_bytes), number = hash & self->bucket_mask;
    for (;; number = (number + 1) & self->bucket_mask) {
        *in = &self->buckets[number];
        uint16_t tag = (uint16_t)(hash >> 48);
        entry *found = find_in(self, *in, 0, tag, key, key_bytes, slot);
        if (found == NULL) found = find_in(self, *in, 1, tag, key, key_bytes, slot);
        if (found != NULL || (*in)->overflows == 0) return found;
    }
}

static bool get(void *cache, const char *key, size_t key_bytes, void *value)
{
    const map *self = cache;
    bucket *in;
    uint32_t slot;
    entry *found = find(self, key, key_bytes, &in, &slot);
    if (found == NULL) return false;
    int64_t now_ms = coarse_clock_ms();
    if (now_ms >= found->deadline_ms) return false;
    memcpy(value, found->key + key_bytes + 1, self->value_bytes);
    if (atomic_load_explicit(&found->stamp_ms, memory_order_relaxed) != now_ms)
        atomic_store_explicit(&found->stamp_ms, now_ms, memory_order_relaxed);
    return true;
}

static entry *make(map *self, const char *key, size_t key_bytes, const void *value)
{
    size_t bytes = (sizeof(entry) + key_bytes + 1 + self->value_bytes + 15) & ~(size_t)15;
    if (self->slab_used + bytes > self->slab_bytes) return NULL;
    entry *made = (entry *)(void *)(self->slab + self->slab_used);
    self->slab_used += bytes;
    atomic_init(&made->stamp_ms, 0);
    made->deadline_ms = self->ttl_ms > 0 ? coarse_clock_ms() + self->ttl_ms : INT64_MAX;
    memcpy(made->key, key, key_bytes + 1);
    memcpy(made->key + key_bytes + 1, value, self->value_bytes);
    return made;
}

/* A free slot for a key that is not there. */
static _Atomic(uint32_t) *claim(map *self, const char *key, size_t key_bytes)
{
    uint64_t hash = fast_hash(key, key_bytes), number = hash & self->bucket_mask;
    self->entry_count++;
    for (;; number = (number + 1) & self->bucket_mask) {
        bucket *in = &self->buckets[number];
        for (uint32_t i = 0; i < SLOTS; i++) {
            if (atomic_load_explicit(&in->slots[i].at, memory_order_relaxed) != 0) continue;
            in->tags[i] = (uint16_t)(hash >> 48);
            return &in->slots[i].at;
        }
        in->overflows++;
    }
}

static bool set(void *cache, const char *key, size_t key_bytes, const void *value)
{
    map *self = cache;
    bucket *in;
    uint32_t slot;
    pthread_mutex_lock(&self->lock);
    bool is_there = find(self, key, key_bytes, &in, &slot) != NULL;
    entry *made = make(self, key, key_bytes, value);
    if (made != NULL) {
        _Atomic(uint32_t) *at = is_there ? &in->slots[slot].at : claim(self, key, key_bytes);
        atomic_store_explicit(at, (uint32_t)(((char *)made - self->slab) / 16),
                              memory_order_release);
    }
    pthread_mutex_unlock(&self->lock);
    return made != NULL;
}

static int64_t size(void *cache)
{
    const map *self = cache;
    return self->entry_count;
}

const subject subject_measured = {
    .name = "floor",
    .version = "-",
    .expires = true,
    .create = create,
    .destroy = destroy,
    .get = get,
    .set = set,
    .size = size,
};
