/* May those who pin keep everything from eviction? Not with a budget: a pin that would keep more
   than config.pin_max_bytes is refused, and the reader copies, or waits for another to come back.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/23_pin_budget.c -o pin_budget && ./pin_budget

   Prints:
       pinned: map 0
       pinned: map 1
       map 2: all pins are out; see pin_count and pin_max_bytes
       one pin is back
       pinned: map 2
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>

enum { map_bytes = 100000 };

static bool pin(sark_cache *cache, int number, sark_cache_pinned *pinned)
{
    sark_cache_status status = sark_cache_pin(cache, &number, sizeof number, pinned);
    if (status == SARK_CACHE_OK) printf("pinned: map %d\n", number);
    else printf("map %d: %s\n", number, sark_cache_status_text(status));
    return status == SARK_CACHE_OK;
}

int main(void)
{
    static char map[map_bytes];
    sark_cache *cache = NULL;
    sark_cache_pinned pinned[3];
    sark_cache_config config = {.max_bytes = 1 << 20, .pin_max_bytes = 1 << 18};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    for (int number = 0; number < 3; number++)
        sark_cache_set(cache, &number, sizeof number, map, sizeof map, 0);
    if (!pin(cache, 0, &pinned[0]) || !pin(cache, 1, &pinned[1])) return 1;
    if (pin(cache, 2, &pinned[2])) return 1;
    if (sark_cache_unpin(cache, &pinned[0]) != SARK_CACHE_OK) return 1;
    printf("one pin is back\n");
    if (!pin(cache, 2, &pinned[2])) return 1;
    for (int number = 1; number < 3; number++)
        if (sark_cache_unpin(cache, &pinned[number]) != SARK_CACHE_OK) return 1;
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
