/* The declarations alone, in C: they need neither POSIX nor pthread. */

#include "declarations.h"

int main_of_declarations(void);

int main_of_declarations(void)
{
    sark_cache_config config = {0};
    sark_cache_metrics metrics = {0};
    sark_cache_pinned pinned = {0};
    sark_cache_cause cause = SARK_CACHE_DESTROYED;
    config.default_ttl_ms = SARK_CACHE_NO_EXPIRY;
    return public_functions[0] && public_function_count > 0 && config.max_bytes == 0 &&
           metrics.hit.buckets[SARK_CACHE_LATENCY_BUCKETS - 1u] == 0 && pinned.value == NULL &&
           cause != SARK_CACHE_EXPIRED && SARK_CACHE_MAX_KEY_BYTES == 65535u;
}
