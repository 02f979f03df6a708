/* A stb_ds string map and a linked list under a mutex, or SHARDS of them: what a C program would
   write today with the libraries at hand, and written well. The nodes and their room are allocated
   beforehand, a new entry takes over the room of the one it evicts, and expiry costs one reading of
   the coarse clock. LRU by shard with a TTL an entry; values are copied in and out under the
   lock. */

#include "coarse_clock.h"
#include "fast_hash.h"
#include "subject.h"

#include <pthread.h>
#include <stdlib.h>

#define STB_DS_IMPLEMENTATION
#include <stb/stb_ds.h>

#ifndef SHARDS
#define SHARDS 1
#endif

/* Node 0 is the list's head: its `older` is the most recent entry, its `newer` the least recent.
   Nodes without an entry are chained by `older`, from `first_free`. */
typedef struct node {
    uint32_t newer, older;
    int64_t deadline_ms;
    char *room; /* the key, its NUL, the value */
} node;

typedef struct map_item {
    char *key;      /* the node's own copy */
    uint32_t value; /* the node */
} map_item;

typedef struct shard {
    _Alignas(64) pthread_mutex_t lock;
    map_item *map;
    node *nodes;
    char *slab;
    uint32_t capacity, entry_count, first_free;
} shard;

typedef struct stb_cache {
    shard shards[SHARDS];
    size_t value_bytes;
    int64_t ttl_ms;
} stb_cache;

/* ---- Life ----------------------------------------------------------------------------------- */

static bool shard_create(shard *into, uint32_t capacity, size_t room_bytes)
{
    into->capacity = capacity;
    into->nodes = calloc((size_t)capacity + 1, sizeof *into->nodes);
    into->slab = malloc(capacity * room_bytes);
    pthread_mutex_init(&into->lock, NULL);
    if (into->nodes == NULL || into->slab == NULL) return false;
    for (uint32_t i = 1; i <= capacity; i++) {
        into->nodes[i].room = into->slab + (size_t)(i - 1) * room_bytes;
        into->nodes[i].older = i < capacity ? i + 1 : 0;
    }
    into->first_free = 1;
    return true;
}

static void destroy(void *cache)
{
    stb_cache *self = cache;
    for (uint32_t i = 0; i < SHARDS; i++) {
        shfree(self->shards[i].map);
        free(self->shards[i].nodes);
        free(self->shards[i].slab);
    }
    free(self);
}

static void *create(const subject_config *config)
{
    stb_cache *self = aligned_alloc(64, (sizeof *self + 63) & ~(size_t)63);
    if (self == NULL) return NULL;
    memset(self, 0, sizeof *self);
    self->value_bytes = config->value_bytes;
    self->ttl_ms = config->ttl_ms;
    size_t room_bytes = (config->key_bytes + 1 + config->value_bytes + 7) & ~(size_t)7;
    for (uint32_t i = 0; i < SHARDS; i++) {
        uint32_t share = config->capacity / SHARDS + (i < config->capacity % SHARDS);
        if (shard_create(&self->shards[i], share > 0 ? share : 1, room_bytes)) continue;
        destroy(self);
        return NULL;
    }
    return self;
}

static shard *shard_of(stb_cache *self, const char *key, size_t key_bytes)
{
    return SHARDS == 1 ? self->shards : &self->shards[fast_hash(key, key_bytes) % SHARDS];
}

/* ---- The list, with the lock held ----------------------------------------------------------- */

static void unlink_node(shard *in, uint32_t index)
{
    node *nodes = in->nodes;
    nodes[nodes[index].newer].older = nodes[index].older;
    nodes[nodes[index].older].newer = nodes[index].newer;
}

static void link_newest(shard *in, uint32_t index)
{
    node *nodes = in->nodes;
    nodes[index].newer = 0;
    nodes[index].older = nodes[0].older;
    nodes[nodes[0].older].newer = index;
    nodes[0].older = index;
}

static void make_newest(shard *in, uint32_t index)
{
    if (in->nodes[0].older == index) return;
    unlink_node(in, index);
    link_newest(in, index);
}

/* ---- Entries, with the lock held ------------------------------------------------------------ */

/* The node of a key, 0 where there is none. stb_ds does not write to the key. */
static uint32_t find(shard *in, const char *key)
{
    char *writable = (char *)(uintptr_t)key;
    ptrdiff_t at = shgeti(in->map, writable);
    return at < 0 ? 0 : in->map[at].value;
}

static bool is_expired(const node *entry)
{
    return entry->deadline_ms != INT64_MAX && coarse_clock_ms() >= entry->deadline_ms;
}

/* Takes an entry out; its node is free then. */
static void remove_entry(shard *in, uint32_t index)
{
    (void)shdel(in->map, in->nodes[index].room);
    unlink_node(in, index);
    in->nodes[index].older = in->first_free;
    in->first_free = index;
    in->entry_count--;
}

/* A node for a new key, of the least recent entry where none is free. */
static uint32_t insert(shard *in, const char *key, size_t key_bytes)
{
    if (in->first_free == 0) remove_entry(in, in->nodes[0].newer);
    uint32_t index = in->first_free;
    in->first_free = in->nodes[index].older;
    memcpy(in->nodes[index].room, key, key_bytes + 1);
    shput(in->map, in->nodes[index].room, index);
    link_newest(in, index);
    in->entry_count++;
    return index;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static bool get(void *cache, const char *key, size_t key_bytes, void *value)
{
    stb_cache *self = cache;
    shard *in = shard_of(self, key, key_bytes);
    pthread_mutex_lock(&in->lock);
    uint32_t index = find(in, key);
    bool is_hit = index != 0 && !is_expired(&in->nodes[index]);
    if (is_hit) {
        memcpy(value, in->nodes[index].room + key_bytes + 1, self->value_bytes);
        make_newest(in, index);
    } else if (index != 0) {
        remove_entry(in, index);
    }
    pthread_mutex_unlock(&in->lock);
    return is_hit;
}

static bool set(void *cache, const char *key, size_t key_bytes, const void *value)
{
    stb_cache *self = cache;
    shard *in = shard_of(self, key, key_bytes);
    pthread_mutex_lock(&in->lock);
    uint32_t index = find(in, key);
    if (index != 0) make_newest(in, index);
    else index = insert(in, key, key_bytes);
    in->nodes[index].deadline_ms = self->ttl_ms > 0 ? coarse_clock_ms() + self->ttl_ms : INT64_MAX;
    memcpy(in->nodes[index].room + key_bytes + 1, value, self->value_bytes);
    pthread_mutex_unlock(&in->lock);
    return true;
}

static int64_t size(void *cache)
{
    stb_cache *self = cache;
    int64_t entry_count = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&self->shards[i].lock);
        entry_count += self->shards[i].entry_count;
        pthread_mutex_unlock(&self->shards[i].lock);
    }
    return entry_count;
}

const subject subject_measured = {
    .name = SHARDS == 1 ? "mutex-stb" : "mutex-stb-64",
    .version = "-",
    .evicts = true,
    .expires = true,
    .create = create,
    .destroy = destroy,
    .get = get,
    .set = set,
    .size = size,
};
