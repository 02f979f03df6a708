/* Can a cache live in a buffer of mine? Yes: all of it, in any memory that outlives it, and nothing
   is allocated, neither at creation nor later. How large the buffer must be for a configuration
   depends on the target: the program asks, here for 200 sessions.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/05_fixed_buffer.c -o fixed_buffer && ./fixed_buffer

   Prints:
       200 sessions fit into 65536 bytes: yes
       in half of what is needed: the region is smaller than sark_cache_region_bytes
       of 300 sessions the last 200 are there: yes
       all within the buffer: yes
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>

enum { session_count = 300, max_sessions = 200 };

static unsigned char buffer[64 * 1024]; /* any alignment will do */

static const char *yes_or_no(bool answer)
{
    return answer ? "yes" : "no";
}

/* Whether the last max_sessions of them are there, and no others. */
static bool keeps_the_last(sark_cache *cache)
{
    for (uint32_t session = 0; session < session_count; session++) {
        bool is_there = sark_cache_contains(cache, &session, sizeof session) == SARK_CACHE_OK;
        if (is_there != (session >= session_count - max_sessions)) return false;
    }
    return true;
}

int main(void)
{
    /* The default of shard_count goes by the processors of the machine. With a number of its own
       the cache needs as many bytes on each. */
    sark_cache_config config = {.max_entries = max_sessions, .shard_count = 1};
    size_t needed = sark_cache_region_bytes(&config); /* tables, and 128 bytes an entry */
    printf("%d sessions fit into %zu bytes: %s\n", max_sessions, sizeof buffer,
           yes_or_no(needed > 0 && needed <= sizeof buffer));

    sark_cache *cache = NULL;
    sark_cache_status status = sark_cache_create_in(&cache, &config, buffer, needed / 2);
    printf("in half of what is needed: %s\n", sark_cache_status_text(status));
    if (sark_cache_create_in(&cache, &config, buffer, sizeof buffer) != SARK_CACHE_OK) return 1;

    for (uint32_t session = 0; session < session_count; session++) {
        status = sark_cache_set(cache, &session, sizeof session, "some state", 10, 0);
        if (status != SARK_CACHE_OK) return 1;
    }
    printf("of %d sessions the last %d are there: %s\n", session_count, max_sessions,
           yes_or_no(keeps_the_last(cache)));

    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    printf("all within the buffer: %s\n", yes_or_no(metrics.bytes_peak <= sizeof buffer));
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1; /* the buffer is free again */
}
