/* How long does an entry live? TTLs, seen with a clock that the program moves itself: a default,
   one of its own for an entry, none at all, what is left, and a new one from now.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/02_ttl.c -o ttl && ./ttl

   Prints:
       at     0 ms: alice OK, 1000 ms left; bob OK, 5000 ms left; root OK, never expires
       at   999 ms: alice OK, 1 ms left; bob OK, 4001 ms left; root OK, never expires
       at  1000 ms: alice MISS; bob OK, 4000 ms left; root OK, never expires
       bob is touched: 5000 ms more
       at  5999 ms: alice MISS; bob OK, 1 ms left; root OK, never expires
       at  6000 ms: alice MISS; bob MISS; root OK, never expires
       resident: 3, expired and cleaned up: 2, resident: 1
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int64_t read_hand(void *context)
{
    return *(const int64_t *)context;
}

static void show(sark_cache *cache, const char *name, const char *end)
{
    int64_t ttl_ms = 0;
    char answer[16];
    size_t name_bytes = strlen(name);
    printf("%s ", name);
    if (sark_cache_get(cache, name, name_bytes, answer, sizeof answer, NULL) != SARK_CACHE_OK)
        printf("MISS%s", end);
    else if (sark_cache_ttl(cache, name, name_bytes, &ttl_ms) != SARK_CACHE_OK)
        printf("gone meanwhile%s", end);
    else if (ttl_ms == SARK_CACHE_NO_EXPIRY)
        printf("OK, never expires%s", end);
    else
        printf("OK, %" PRId64 " ms left%s", ttl_ms, end);
}

static void show_all(sark_cache *cache, int64_t *hand_ms, int64_t now_ms)
{
    *hand_ms = now_ms;
    printf("at %5" PRId64 " ms: ", now_ms);
    show(cache, "alice", "; ");
    show(cache, "bob", "; ");
    show(cache, "root", "\n");
}

int main(void)
{
    int64_t hand_ms = 0; /* the time, as this program has it */
    sark_cache_config config = {.max_entries = 1000, .default_ttl_ms = 1000};
    config.clock.now_ms = read_hand;
    config.clock.context = &hand_ms;
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;

    sark_cache_set(cache, "alice", 5, "allow", 5, 0); /* 0: the default */
    sark_cache_set(cache, "bob", 3, "deny", 4, 5000);
    sark_cache_set(cache, "root", 4, "allow", 5, SARK_CACHE_NO_EXPIRY);
    show_all(cache, &hand_ms, 0);
    show_all(cache, &hand_ms, 999);
    show_all(cache, &hand_ms, 1000);
    sark_cache_touch(cache, "bob", 3, 5000);
    printf("bob is touched: 5000 ms more\n");
    show_all(cache, &hand_ms, 5999);
    show_all(cache, &hand_ms, 6000);

    printf("resident: %" PRIu64, sark_cache_size(cache));
    printf(", expired and cleaned up: %" PRIu64, sark_cache_cleanup_expired(cache, 0));
    printf(", resident: %" PRIu64 "\n", sark_cache_size(cache));
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
