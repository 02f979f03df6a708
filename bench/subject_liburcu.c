/* The hash table of liburcu: lock-free lookups under a read section, in which the value is copied
   out. A map: no LRU, no TTL, no bound. */

#define _LGPL_SOURCE /* its read sections inline */
#include "fast_hash.h"
#include "subject.h"

#include <stdlib.h>
#include <urcu.h>
#include <urcu/rculfhash.h>

typedef struct entry {
    struct cds_lfht_node node;
    struct rcu_head retired;
    char key[]; /* and the value behind its NUL */
} entry;

typedef struct map {
    struct cds_lfht *table;
    size_t value_bytes;
} map;

typedef struct wanted_key {
    const char *text;
    size_t bytes;
} wanted_key;

static int is_of_key(struct cds_lfht_node *node, const void *wanted)
{
    const wanted_key *key = wanted;
    return memcmp(caa_container_of(node, entry, node)->key, key->text, key->bytes + 1) == 0;
}

static void *thread_begin(void *cache)
{
    rcu_register_thread();
    return cache;
}

static void thread_end(void *handle)
{
    (void)handle;
    rcu_unregister_thread();
}

static void *create(const subject_config *config)
{
    map *self = calloc(1, sizeof *self);
    unsigned long bucket_count = 1;
    if (self == NULL) return NULL;
    while (bucket_count < config->capacity) bucket_count *= 2;
    self->value_bytes = config->value_bytes;
    self->table = cds_lfht_new(bucket_count, bucket_count, bucket_count, 0, NULL);
    if (self->table != NULL) return self;
    free(self);
    return NULL;
}

static void free_retired(struct rcu_head *retired)
{
    free(caa_container_of(retired, entry, retired));
}

static void destroy(void *cache)
{
    map *self = cache;
    struct cds_lfht_iter at;
    entry *each;
    rcu_register_thread();
    rcu_read_lock();
    cds_lfht_for_each_entry(self->table, &at, each, node) {
        cds_lfht_del(self->table, &each->node);
        call_rcu(&each->retired, free_retired);
    }
    rcu_read_unlock();
    rcu_barrier();
    rcu_unregister_thread();
    cds_lfht_destroy(self->table, NULL);
    free(self);
}

static bool get(void *handle, const char *key, size_t key_bytes, void *value)
{
    const map *self = handle;
    const wanted_key wanted = {key, key_bytes};
    struct cds_lfht_iter at;
    rcu_read_lock();
    cds_lfht_lookup(self->table, fast_hash(key, key_bytes), is_of_key, &wanted, &at);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&at);
    if (node != NULL)
        memcpy(value, caa_container_of(node, entry, node)->key + key_bytes + 1, self->value_bytes);
    rcu_read_unlock();
    return node != NULL;
}

static bool set(void *handle, const char *key, size_t key_bytes, const void *value)
{
    const map *self = handle;
    const wanted_key wanted = {key, key_bytes};
    entry *made = malloc(sizeof *made + key_bytes + 1 + self->value_bytes);
    if (made == NULL) return false;
    cds_lfht_node_init(&made->node);
    memcpy(made->key, key, key_bytes + 1);
    memcpy(made->key + key_bytes + 1, value, self->value_bytes);
    rcu_read_lock();
    struct cds_lfht_node *old = cds_lfht_add_replace(self->table, fast_hash(key, key_bytes),
                                                     is_of_key, &wanted, &made->node);
    if (old != NULL) call_rcu(&caa_container_of(old, entry, node)->retired, free_retired);
    rcu_read_unlock();
    return true;
}

const subject subject_measured = {
    .name = "liburcu",
    .version = VERSION,
    .create = create,
    .destroy = destroy,
    .thread_begin = thread_begin,
    .thread_end = thread_end,
    .get = get,
    .set = set,
};
