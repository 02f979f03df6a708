/* A program whose cache lives in another unit (implementation.c). */

#include "sark_cache.h"
#include <string.h>

int main(void)
{
    sark_cache *cache = NULL;
    char value[8] = {0};
    size_t value_bytes = 0;
    if (sark_cache_create(&cache, NULL) != SARK_CACHE_OK) return 1;
    if (sark_cache_set(cache, "key", 3, "value", 5, 0) != SARK_CACHE_OK) return 2;
    if (sark_cache_get(cache, "key", 3, value, sizeof value, &value_bytes) != SARK_CACHE_OK)
        return 3;
    if (value_bytes != 5 || memcmp(value, "value", 5) != 0) return 4;
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 5;
}
