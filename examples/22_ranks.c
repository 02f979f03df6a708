/* Which keys were used last, and which will leave next? Without making any of them warmer.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/22_ranks.c -o ranks && ./ranks

   Prints:
       hottest: user1 user3
       coldest: user2 user4
       one more user, and gone is: user2
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <string.h>

enum { most = 2 };

typedef sark_cache_status (*ranking)(sark_cache *, sark_cache_ranked *, size_t, size_t *);

static void show(sark_cache *cache, const char *title, ranking rank)
{
    char keys[most][16];
    sark_cache_ranked ranked[most];
    size_t found = 0;
    for (int i = 0; i < most; i++)
        ranked[i] = (sark_cache_ranked){.key = keys[i], .key_capacity = sizeof keys[i]};
    if (rank(cache, ranked, most, &found) != SARK_CACHE_OK) return;
    printf("%s:", title);
    for (size_t i = 0; i < found; i++)
        printf(" %.*s", (int)ranked[i].key_bytes, (const char *)ranked[i].key);
    printf("\n");
}

static void on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)value, (void)value_bytes;
    if (cause == SARK_CACHE_EVICTED)
        printf("one more user, and gone is: %.*s\n", (int)key_bytes, (const char *)key);
}

int main(void)
{
    static const char *const users[] = {"user1", "user2", "user3", "user4", "user5"};
    char value[8];
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 4, .on_remove = on_remove};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    for (int i = 0; i < 4; i++) sark_cache_set(cache, users[i], 5, "allow", 5, 0);
    sark_cache_get(cache, "user3", 5, value, sizeof value, NULL);
    sark_cache_get(cache, "user1", 5, value, sizeof value, NULL);
    show(cache, "hottest", sark_cache_hottest);
    show(cache, "coldest", sark_cache_coldest);
    sark_cache_set(cache, users[4], 5, "allow", 5, 0);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
