/* Who left, and why? A removal callback, with each cause there is. It is called once for each entry
   that leaves, outside every lock, by the thread whose call removed it; it may call the cache.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/07_removals.c -o removals && ./removals

   Prints:
       expired    alice = allow
       replaced   alice = deny
       evicted    alice = allow
       deleted    bob = allow
       deleted    carol = deny
       cleared    dave = allow
       destroyed  erin = deny
       7 entries came, 7 left
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <string.h>

/* Key and value are valid during the call: what is needed later must be copied. Where threads share
   the cache, the callback runs on several of them at a time; the count would have to be atomic. */
static void report(void *context, const void *key, size_t key_bytes, const void *value,
                   size_t value_bytes, sark_cache_cause cause)
{
    int *left = context;
    (*left)++;
    printf("%-9s  %.*s = %.*s\n", sark_cache_cause_text(cause), (int)key_bytes,
           (const char *)key, (int)value_bytes, (const char *)value);
}

static int64_t read_hand(void *context)
{
    return *(const int64_t *)context;
}

/* Returns how many came: 1, or 0 where it failed. */
static int put(sark_cache *cache, const char *name, const char *answer, int64_t ttl_ms)
{
    return sark_cache_set(cache, name, strlen(name), answer, strlen(answer), ttl_ms) ==
           SARK_CACHE_OK;
}

int main(void)
{
    int64_t hand_ms = 0; /* the time, as this program has it */
    int came = 0, left = 0;
    sark_cache_config config = {.max_entries = 3, .on_remove = report};
    config.on_remove_context = &left;
    config.clock.now_ms = read_hand;
    config.clock.context = &hand_ms;
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;

    came += put(cache, "alice", "allow", 1000);
    hand_ms = 1000;
    sark_cache_cleanup_expired(cache, 0); /* else it would go later, and be reported then */
    came += put(cache, "alice", "deny", 0);
    came += put(cache, "alice", "allow", 0);
    came += put(cache, "bob", "allow", 0);
    came += put(cache, "carol", "deny", 0);
    came += put(cache, "dave", "allow", 0); /* a fourth: the least recently used must go */
    sark_cache_delete(cache, "bob", 3);
    char answer[16];
    sark_cache_take(cache, "carol", 5, answer, sizeof answer, NULL);
    sark_cache_clear(cache);
    came += put(cache, "erin", "deny", 0);
    if (sark_cache_destroy(cache) != SARK_CACHE_OK) return 1;
    printf("%d entries came, %d left\n", came, left);
    return 0;
}
