/* The implementation first, the declarations after it. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#undef SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
