/* The switch defined twice, as when two files of a single unit both ask for the code. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#undef SARK_CACHE_IMPLEMENTATION
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
