/* The cache's implementation, compiled once for each program in bench/. */

#define SARK_CACHE_IMPLEMENTATION
#include "../sark_cache.h"
