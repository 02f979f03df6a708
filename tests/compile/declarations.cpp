// The declarations alone, in C++.

#include "declarations.h"

int main_of_declarations();

int main_of_declarations()
{
    sark_cache_config config = sark_cache_config();
    sark_cache_metrics metrics = sark_cache_metrics();
    sark_cache_pinned pinned = sark_cache_pinned();
    sark_cache_cause cause = SARK_CACHE_DESTROYED;
    config.default_ttl_ms = SARK_CACHE_NO_EXPIRY;
    return public_functions[0] && public_function_count > 0 && config.max_bytes == 0 &&
           metrics.hit.buckets[SARK_CACHE_LATENCY_BUCKETS - 1u] == 0 && pinned.value == nullptr &&
           cause != SARK_CACHE_EXPIRED && SARK_CACHE_MAX_KEY_BYTES == 65535u;
}
