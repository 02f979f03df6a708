/* The implementing unit of the consumers that have several, and what lint looks at. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
