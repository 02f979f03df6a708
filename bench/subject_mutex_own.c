/* A cache under a mutex, or SHARDS of them, written by hand and well: nodes of one slab that hold
   the links of the list and of the table's chains, the hash, the deadline, the key and the value,
   so that a hit touches a word of the table and the node. A new entry takes over the node of the
   one it evicts. LRU by shard with a TTL an entry; values are copied in and out under the lock. */

#include "coarse_clock.h"
#include "fast_hash.h"
#include "subject.h"

#include <pthread.h>
#include <stdlib.h>

#ifndef SHARDS
#define SHARDS 1
#endif

/* Node 0 is the list's head: its `older` is the most recent entry, its `newer` the least recent. */
typedef struct node {
    uint32_t newer, older;
    uint32_t next;    /* in the chain of its table's word, or of free nodes; 0: the last */
    uint32_t hash;    /* its upper half */
    int64_t deadline_ms;
    char key[];       /* and the value behind its NUL */
} node;

typedef struct shard {
    _Alignas(64) pthread_mutex_t lock;
    uint32_t *table;  /* first nodes of the chains */
    uint32_t table_mask;
    char *slab;
    size_t node_bytes;
    uint32_t entry_count, first_free;
} shard;

typedef struct own_cache {
    shard shards[SHARDS];
    size_t value_bytes;
    int64_t ttl_ms;
} own_cache;

static inline node *node_at(const shard *in, uint32_t index)
{
    return (node *)(void *)(in->slab + index * in->node_bytes);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static bool shard_create(shard *into, uint32_t capacity, size_t node_bytes)
{
    uint32_t table_length = 1;
    while (table_length < capacity) table_length *= 2;
    into->table_mask = table_length - 1;
    into->node_bytes = node_bytes;
    into->table = calloc(table_length, sizeof *into->table);
    into->slab = malloc(((size_t)capacity + 1) * node_bytes);
    pthread_mutex_init(&into->lock, NULL);
    if (into->table == NULL || into->slab == NULL) return false;
    memset(into->slab, 0, node_bytes);
    for (uint32_t i = 1; i <= capacity; i++) node_at(into, i)->next = i < capacity ? i + 1 : 0;
    into->first_free = 1;
    return true;
}

static void destroy(void *cache)
{
    own_cache *self = cache;
    for (uint32_t i = 0; i < SHARDS; i++) {
        free(self->shards[i].table);
        free(self->shards[i].slab);
    }
    free(self);
}

static void *create(const subject_config *config)
{
    own_cache *self = aligned_alloc(64, (sizeof *self + 63) & ~(size_t)63);
    if (self == NULL) return NULL;
    memset(self, 0, sizeof *self);
    self->value_bytes = config->value_bytes;
    self->ttl_ms = config->ttl_ms;
    size_t bytes = sizeof(node) + config->key_bytes + 1 + config->value_bytes;
    for (uint32_t i = 0; i < SHARDS; i++) {
        uint32_t share = config->capacity / SHARDS + (i < config->capacity % SHARDS);
        if (shard_create(&self->shards[i], share > 0 ? share : 1, (bytes + 15) & ~(size_t)15))
            continue;
        destroy(self);
        return NULL;
    }
    return self;
}

/* ---- The list, with the lock held ----------------------------------------------------------- */

static inline void unlink_node(shard *in, uint32_t index)
{
    const node *at = node_at(in, index);
    node_at(in, at->newer)->older = at->older;
    node_at(in, at->older)->newer = at->newer;
}

static inline void link_newest(shard *in, uint32_t index)
{
    node *head = node_at(in, 0), *at = node_at(in, index);
    at->newer = 0;
    at->older = head->older;
    node_at(in, head->older)->newer = index;
    head->older = index;
}

static inline void make_newest(shard *in, uint32_t index)
{
    if (node_at(in, 0)->older == index) return;
    unlink_node(in, index);
    link_newest(in, index);
}

/* ---- The table, with the lock held ---------------------------------------------------------- */

/* Where the number of a key's node stands, or the 0 at the end of its chain. */
static inline uint32_t *find(shard *in, uint64_t hash, const char *key, size_t key_bytes)
{
    uint32_t *at = &in->table[hash & in->table_mask];
    for (; *at != 0; at = &node_at(in, *at)->next) {
        const node *found = node_at(in, *at);
        if (found->hash == hash >> 32 && memcmp(found->key, key, key_bytes + 1) == 0) break;
    }
    return at;
}

/* Takes out the entry whose number stands there; its node is free then. */
static void remove_entry(shard *in, uint32_t *at)
{
    uint32_t index = *at;
    *at = node_at(in, index)->next;
    unlink_node(in, index);
    node_at(in, index)->next = in->first_free;
    in->first_free = index;
    in->entry_count--;
}

static void evict(shard *in, size_t key_bytes)
{
    const node *oldest = node_at(in, node_at(in, 0)->newer);
    remove_entry(in, find(in, fast_hash(oldest->key, key_bytes), oldest->key, key_bytes));
}

/* A node for a new key, of the least recent entry where none is free. */
static uint32_t insert(shard *in, uint64_t hash, const char *key, size_t key_bytes)
{
    if (in->first_free == 0) evict(in, key_bytes);
    uint32_t index = in->first_free, *first = &in->table[hash & in->table_mask];
    node *made = node_at(in, index);
    in->first_free = made->next;
    made->hash = (uint32_t)(hash >> 32);
    made->next = *first;
    *first = index;
    memcpy(made->key, key, key_bytes + 1);
    link_newest(in, index);
    in->entry_count++;
    return index;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static shard *shard_of(own_cache *self, uint64_t hash)
{
    return &self->shards[SHARDS == 1 ? 0 : (hash >> 26) % SHARDS];
}

static bool get(void *cache, const char *key, size_t key_bytes, void *value)
{
    own_cache *self = cache;
    uint64_t hash = fast_hash(key, key_bytes);
    shard *in = shard_of(self, hash);
    pthread_mutex_lock(&in->lock);
    uint32_t *at = find(in, hash, key, key_bytes);
    const node *found = node_at(in, *at);
    bool is_hit = *at != 0 && coarse_clock_ms() < found->deadline_ms;
    if (is_hit) {
        memcpy(value, found->key + key_bytes + 1, self->value_bytes);
        make_newest(in, *at);
    } else if (*at != 0) {
        remove_entry(in, at);
    }
    pthread_mutex_unlock(&in->lock);
    return is_hit;
}

static bool set(void *cache, const char *key, size_t key_bytes, const void *value)
{
    own_cache *self = cache;
    uint64_t hash = fast_hash(key, key_bytes);
    shard *in = shard_of(self, hash);
    pthread_mutex_lock(&in->lock);
    uint32_t index = *find(in, hash, key, key_bytes);
    if (index != 0) make_newest(in, index);
    else index = insert(in, hash, key, key_bytes);
    node *into = node_at(in, index);
    into->deadline_ms = self->ttl_ms > 0 ? coarse_clock_ms() + self->ttl_ms : INT64_MAX;
    memcpy(into->key + key_bytes + 1, value, self->value_bytes);
    pthread_mutex_unlock(&in->lock);
    return true;
}

static int64_t size(void *cache)
{
    own_cache *self = cache;
    int64_t entry_count = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&self->shards[i].lock);
        entry_count += self->shards[i].entry_count;
        pthread_mutex_unlock(&self->shards[i].lock);
    }
    return entry_count;
}

const subject subject_measured = {
    .name = SHARDS == 1 ? "mutex-own" : "mutex-own-64",
    .version = "-",
    .evicts = true,
    .expires = true,
    .create = create,
    .destroy = destroy,
    .get = get,
    .set = set,
    .size = size,
};
