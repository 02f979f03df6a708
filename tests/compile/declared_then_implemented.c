/* The declarations first, as when another header brings them; then the implementation; then again
   both. */

#include "sark_cache.h"
#include "sark_cache.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "sark_cache.h"
