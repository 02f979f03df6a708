/* The C file of 15_raii.cpp: the implementation, which is C11 and no C++. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
