/* A unit with a private copy of the cache: its names do not meet those of another unit. */

#define SARK_CACHE_STATIC
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <string.h>

int main(void)
{
    sark_cache *cache = NULL;
    char value[8] = {0};
    if (sark_cache_version() != SARK_CACHE_VERSION) return 1;
    if (sark_cache_create(&cache, NULL) != SARK_CACHE_OK) return 2;
    if (sark_cache_set(cache, "key", 3, "value", 5, 0) != SARK_CACHE_OK) return 3;
    if (sark_cache_get(cache, "key", 3, value, sizeof value, NULL) != SARK_CACHE_OK) return 4;
    return sark_cache_destroy(cache) != SARK_CACHE_OK || memcmp(value, "value", 5) != 0;
}
