/* Does what has left stay in memory? Not with config.wipe: keys and values are overwritten with
   zeros when they leave. Here one look for a token in the cache's memory before it is deleted, and
   one after.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/21_wipe.c -o wipe && ./wipe

   Prints:
       wiping: cached, the token is in memory: yes
       wiping: deleted, the token is in memory: no
       not wiping: cached, the token is in memory: yes
       not wiping: deleted, the token is in memory: yes
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <string.h>

static _Alignas(64) unsigned char memory[65536];
static const char token[] = "5d41402abc4b2a76b9719d911017c592";

static const char *token_is_there(void)
{
    size_t bytes = strlen(token);
    for (size_t at = 0; at + bytes <= sizeof memory; at++)
        if (memcmp(memory + at, token, bytes) == 0) return "yes";
    return "no";
}

static bool run(bool wipes)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 64, .wipe = wipes};
    const char *name = wipes ? "wiping" : "not wiping";
    memset(memory, 0, sizeof memory);
    if (sark_cache_create_in(&cache, &config, memory, sizeof memory) != SARK_CACHE_OK)
        return false;
    sark_cache_set(cache, "session", 7, token, strlen(token), 60000);
    printf("%s: cached, the token is in memory: %s\n", name, token_is_there());
    sark_cache_delete(cache, "session", 7);
    printf("%s: deleted, the token is in memory: %s\n", name, token_is_there());
    return sark_cache_destroy(cache) == SARK_CACHE_OK;
}

int main(void)
{
    return run(true) && run(false) ? 0 : 1;
}
