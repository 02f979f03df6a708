/* One mutex around a stb_ds map and a linked list; see baseline.h. */

#include "baseline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STB_DS_IMPLEMENTATION
#include <stb/stb_ds.h>

#define NEVER INT64_MAX

/* Node 0 is the list's head: its `older` is the most recent entry, its `newer` the least recent.
   Nodes without an entry are chained by `older`, from `first_free`. */
typedef struct node {
    uint32_t newer, older;
    int64_t deadline_ms;
    size_t value_bytes;
    char *value;         /* in room, behind the key */
    char *room;          /* the key, its NUL, the value */
    size_t room_bytes;
    bool is_room_its_own; /* allocated for this node, not a part of the slab */
} node;

typedef struct map_item {
    char *key;           /* the node's own copy */
    uint32_t value;      /* the node */
} map_item;

struct baseline {
    pthread_mutex_t lock;
    map_item *map;
    node *nodes;
    char *slab;
    uint32_t capacity, entry_count, first_free;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* Gives each node its part of the slab, and chains all as free. */
static void prepare_nodes(baseline *cache, size_t room_bytes)
{
    for (uint32_t i = 1; i <= cache->capacity; i++) {
        node *at = &cache->nodes[i];
        at->room = cache->slab + (size_t)(i - 1) * room_bytes;
        at->room_bytes = room_bytes;
        at->older = i < cache->capacity ? i + 1 : 0;
    }
    cache->first_free = 1;
}

baseline *baseline_create(uint32_t capacity, size_t key_bytes, size_t value_bytes)
{
    size_t room_bytes = (key_bytes + 1 + value_bytes + 7) & ~(size_t)7;
    baseline *cache = calloc(1, sizeof *cache);
    if (cache == NULL) return NULL;
    cache->capacity = capacity;
    cache->nodes = calloc((size_t)capacity + 1, sizeof *cache->nodes);
    cache->slab = calloc(capacity, room_bytes);
    pthread_mutex_init(&cache->lock, NULL);
    if (cache->nodes == NULL || cache->slab == NULL) {
        baseline_destroy(cache);
        return NULL;
    }
    prepare_nodes(cache, room_bytes);
    return cache;
}

void baseline_destroy(baseline *cache)
{
    if (cache == NULL) return;
    for (uint32_t i = 1; cache->nodes != NULL && i <= cache->capacity; i++)
        if (cache->nodes[i].is_room_its_own) free(cache->nodes[i].room);
    shfree(cache->map);
    free(cache->nodes);
    free(cache->slab);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* ---- The list, with the lock held ----------------------------------------------------------- */

static void unlink_node(baseline *cache, uint32_t index)
{
    node *nodes = cache->nodes;
    nodes[nodes[index].newer].older = nodes[index].older;
    nodes[nodes[index].older].newer = nodes[index].newer;
}

static void link_newest(baseline *cache, uint32_t index)
{
    node *nodes = cache->nodes;
    nodes[index].newer = 0;
    nodes[index].older = nodes[0].older;
    nodes[nodes[0].older].newer = index;
    nodes[0].older = index;
}

static void make_newest(baseline *cache, uint32_t index)
{
    if (cache->nodes[0].older == index) return;
    unlink_node(cache, index);
    link_newest(cache, index);
}

/* ---- Entries, with the lock held ------------------------------------------------------------ */

/* Where the map has a key, -1 where it has not. stb_ds does not write to the key. */
static ptrdiff_t find(baseline *cache, const char *key)
{
    char *writable = (char *)(uintptr_t)key;
    return shgeti(cache->map, writable);
}

/* The node of what was found, 0 where nothing was. */
static uint32_t node_at(const baseline *cache, ptrdiff_t at)
{
    return at < 0 ? 0 : cache->map[at].value;
}

static bool is_expired(const node *entry)
{
    return entry->deadline_ms != NEVER && now_ms() >= entry->deadline_ms;
}

/* Takes an entry out; its node is free then. */
static void remove_entry(baseline *cache, uint32_t index)
{
    node *entry = &cache->nodes[index];
    (void)shdel(cache->map, entry->room);
    unlink_node(cache, index);
    entry->older = cache->first_free;
    cache->first_free = index;
    cache->entry_count--;
}

/* Makes a node's room large enough; what is in it is kept. */
static bool make_room(node *entry, size_t needed_bytes)
{
    if (needed_bytes <= entry->room_bytes) return true;
    char *larger = malloc(needed_bytes);
    if (larger == NULL) return false;
    memcpy(larger, entry->room, entry->room_bytes);
    if (entry->is_room_its_own) free(entry->room);
    entry->room = larger;
    entry->room_bytes = needed_bytes;
    entry->is_room_its_own = true;
    return true;
}

static void write_value(node *entry, size_t key_bytes, const void *value, size_t value_bytes,
                        int64_t ttl_ms)
{
    entry->value = entry->room + key_bytes + 1;
    entry->value_bytes = value_bytes;
    entry->deadline_ms = NEVER;
    if (ttl_ms > 0) {
        int64_t now = now_ms();
        entry->deadline_ms = ttl_ms < NEVER - now ? now + ttl_ms : NEVER;
    }
    if (value_bytes > 0) memcpy(entry->value, value, value_bytes);
}

/* Overwrites an entry. Its key moves with its room, and the map must follow. */
static bool replace_value(baseline *cache, ptrdiff_t at, size_t key_bytes, const void *value,
                          size_t value_bytes, int64_t ttl_ms)
{
    uint32_t index = node_at(cache, at);
    node *entry = &cache->nodes[index];
    if (!make_room(entry, key_bytes + 1 + value_bytes)) return false;
    cache->map[at].key = entry->room;
    write_value(entry, key_bytes, value, value_bytes, ttl_ms);
    make_newest(cache, index);
    return true;
}

/* Stores a new entry, evicting the least recent one where there is no place. */
static bool insert(baseline *cache, const char *key, size_t key_bytes, const void *value,
                   size_t value_bytes, int64_t ttl_ms)
{
    if (cache->first_free == 0) remove_entry(cache, cache->nodes[0].newer);
    uint32_t index = cache->first_free;
    node *entry = &cache->nodes[index];
    if (!make_room(entry, key_bytes + 1 + value_bytes)) return false;
    cache->first_free = entry->older;
    memcpy(entry->room, key, key_bytes + 1);
    write_value(entry, key_bytes, value, value_bytes, ttl_ms);
    shput(cache->map, entry->room, index);
    link_newest(cache, index);
    cache->entry_count++;
    return true;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

bool baseline_get(baseline *cache, const char *key, void *value, size_t value_capacity,
                  size_t *value_bytes)
{
    bool is_hit = false;
    pthread_mutex_lock(&cache->lock);
    uint32_t index = node_at(cache, find(cache, key));
    const node *entry = &cache->nodes[index];
    if (index != 0 && is_expired(entry)) {
        remove_entry(cache, index);
    } else if (index != 0) {
        *value_bytes = entry->value_bytes;
        is_hit = entry->value_bytes <= value_capacity;
        if (is_hit) {
            memcpy(value, entry->value, entry->value_bytes);
            make_newest(cache, index);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    return is_hit;
}

bool baseline_set(baseline *cache, const char *key, size_t key_bytes, const void *value,
                  size_t value_bytes, int64_t ttl_ms)
{
    pthread_mutex_lock(&cache->lock);
    ptrdiff_t at = find(cache, key);
    bool is_stored = at >= 0 ? replace_value(cache, at, key_bytes, value, value_bytes, ttl_ms)
                             : insert(cache, key, key_bytes, value, value_bytes, ttl_ms);
    pthread_mutex_unlock(&cache->lock);
    return is_stored;
}

bool baseline_delete(baseline *cache, const char *key)
{
    pthread_mutex_lock(&cache->lock);
    uint32_t index = node_at(cache, find(cache, key));
    bool is_live = index != 0 && !is_expired(&cache->nodes[index]);
    if (index != 0) remove_entry(cache, index);
    pthread_mutex_unlock(&cache->lock);
    return is_live;
}

size_t baseline_size(baseline *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t entry_count = cache->entry_count;
    pthread_mutex_unlock(&cache->lock);
    return entry_count;
}
