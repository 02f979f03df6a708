/* How is all of one kind removed? By a prefix of the keys, or by a function that sees each entry.
   What is written meanwhile stays.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/19_invalidate.c -o invalidate && ./invalidate

   Prints:
       6 decisions
       alice has left: 2 removed
       rule 7 has changed: 3 removed
       still cached: bob:write
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A decision, and the rule that it follows from. */
typedef struct decision {
    uint32_t rule, is_allowed;
} decision;

static void decide(sark_cache *cache, const char *key, uint32_t rule, bool is_allowed)
{
    decision made = {rule, is_allowed};
    sark_cache_set(cache, key, strlen(key), &made, sizeof made, 60000);
}

static bool follows_from(void *context, const void *key, size_t key_bytes, const void *value,
                         size_t value_bytes, int64_t ttl_left_ms)
{
    decision made;
    (void)key, (void)key_bytes, (void)ttl_left_ms;
    if (value_bytes != sizeof made) return false;
    memcpy(&made, value, sizeof made);
    return made.rule == *(const uint32_t *)context;
}

static bool print_key(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, int64_t ttl_left_ms)
{
    (void)context, (void)value, (void)value_bytes, (void)ttl_left_ms;
    printf("still cached: %.*s\n", (int)key_bytes, (const char *)key);
    return true;
}

int main(void)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 1000};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    decide(cache, "alice:read", 3, true);
    decide(cache, "alice:write", 7, true);
    decide(cache, "bob:read", 7, true);
    decide(cache, "bob:write", 3, false);
    decide(cache, "carol:read", 7, true);
    decide(cache, "carol:write", 7, false);
    printf("%" PRIu64 " decisions\n", sark_cache_size(cache));

    uint64_t removed = 0;
    if (sark_cache_clear_prefix(cache, "alice:", 6, &removed) != SARK_CACHE_OK) return 1;
    printf("alice has left: %" PRIu64 " removed\n", removed);
    uint32_t rule = 7;
    if (sark_cache_clear_if(cache, follows_from, &rule, &removed) != SARK_CACHE_OK) return 1;
    printf("rule 7 has changed: %" PRIu64 " removed\n", removed);
    if (sark_cache_foreach(cache, print_key, NULL) != SARK_CACHE_OK) return 1;
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
