/* The cache that sark_cache is measured against: one mutex around a stb_ds map and a linked list.

   What a C program would write today with the libraries at hand, and written well: the nodes and
   their room are allocated beforehand, a new entry takes over the room of the one it evicts, and
   expiry costs one reading of the coarse clock. Exact LRU with a TTL an entry; the capacity is in
   entries; values are copied in and out under the lock.

   Keys are strings, since stb_ds knows only those and fixed-size ones: they end with a NUL, and
   have none inside. */

#ifndef SARK_BENCH_BASELINE_H
#define SARK_BENCH_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct baseline baseline;

/* Creates a cache of so many entries (at least 1). key_bytes and value_bytes are what is usual:
   larger entries are allocated one by one. Returns NULL where there is no memory. */
baseline *baseline_create(uint32_t capacity, size_t key_bytes, size_t value_bytes);

void baseline_destroy(baseline *cache);

/* Copies a value out and makes its entry the most recent. key_bytes does not count the NUL.
   Returns whether a live entry was there whose value fits; *value_bytes is its size. */
bool baseline_get(baseline *cache, const char *key, void *value, size_t value_capacity,
                  size_t *value_bytes);

/* Stores a value; ttl_ms 0: for ever. Returns false where there is no memory. */
bool baseline_set(baseline *cache, const char *key, size_t key_bytes, const void *value,
                  size_t value_bytes, int64_t ttl_ms);

/* Returns whether a live entry was there. */
bool baseline_delete(baseline *cache, const char *key);

/* Entries resident, expired ones included. */
size_t baseline_size(baseline *cache);

#endif
