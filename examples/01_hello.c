/* The smallest complete program: create a cache, store one entry, read it back, end the cache.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/01_hello.c -o hello && ./hello

   Prints:
       alice: allow
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>

int main(void)
{
    sark_cache_config config = {.max_entries = 1000, .default_ttl_ms = 60000};
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;

    sark_cache_set(cache, "alice", 5, "allow", 5, 0);

    char answer[16];
    size_t answer_bytes = 0;
    sark_cache_status status =
        sark_cache_get(cache, "alice", 5, answer, sizeof answer, &answer_bytes);
    if (status == SARK_CACHE_OK) printf("alice: %.*s\n", (int)answer_bytes, answer);

    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
