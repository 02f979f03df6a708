/* The second file of 14_two_units.c: the one that holds the implementation. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

sark_cache *open_sessions(void);

/* The cache of this program's sessions; NULL where there is none to be had. */
sark_cache *open_sessions(void)
{
    sark_cache_config config = {.max_entries = 1000, .default_ttl_ms = 60000};
    sark_cache *cache = NULL;
    return sark_cache_create(&cache, &config) == SARK_CACHE_OK ? cache : NULL;
}
