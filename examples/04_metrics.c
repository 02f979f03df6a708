/* What has the cache been doing? The metrics, after a workload small enough to count by hand:
   150 users go into a cache of 100, then the last 50 of them and the first 50 are asked for, one
   answer is taken back, and one call is wrong.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/04_metrics.c -o metrics && ./metrics

   Prints:
       sets            150
       evictions        50  (for entries 50, for bytes 0)
       hits             50
       misses           50
       hit ratio      0.50
       deletes           1
       rejected          1  (a negative TTL)
       entries          99  (at most 100 at any time)
       bytes within max_bytes: yes
       latencies sampled: hits 50, misses 50, sets 150
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>

static void use(sark_cache *cache)
{
    char answer[16];
    for (uint32_t user = 0; user < 150; user++)
        sark_cache_set(cache, &user, sizeof user, "allow", 5, 0);
    for (uint32_t user = 100; user < 150; user++)
        sark_cache_get(cache, &user, sizeof user, answer, sizeof answer, NULL);
    for (uint32_t user = 0; user < 50; user++)
        sark_cache_get(cache, &user, sizeof user, answer, sizeof answer, NULL);
    uint32_t revoked = 120;
    sark_cache_delete(cache, &revoked, sizeof revoked);
    sark_cache_set(cache, &revoked, sizeof revoked, "allow", 5, -1);
}

static void show(const sark_cache_metrics *metrics)
{
    uint64_t gets = metrics->hits + metrics->misses;
    uint64_t evictions = metrics->evictions_for_entries + metrics->evictions_for_bytes;
    bool within = metrics->bytes_peak <= metrics->max_bytes;
    printf("sets       %8" PRIu64 "\n", metrics->sets);
    printf("evictions  %8" PRIu64 "  (for entries %" PRIu64 ", for bytes %" PRIu64 ")\n", evictions,
           metrics->evictions_for_entries, metrics->evictions_for_bytes);
    printf("hits       %8" PRIu64 "\n", metrics->hits);
    printf("misses     %8" PRIu64 "\n", metrics->misses);
    printf("hit ratio  %8.2f\n", gets ? (double)metrics->hits / (double)gets : 0.0);
    printf("deletes    %8" PRIu64 "\n", metrics->deletes);
    printf("rejected   %8" PRIu64 "  (a negative TTL)\n", metrics->rejected_ttl);
    printf("entries    %8" PRIu64 "  (at most %" PRIu64 " at any time)\n", metrics->entries,
           metrics->entries_peak);
    printf("bytes within max_bytes: %s\n", within ? "yes" : "no");
    printf("latencies sampled: hits %" PRIu64 ", misses %" PRIu64 ", sets %" PRIu64 "\n",
           metrics->hit.count, metrics->miss.count, metrics->set.count);
}

int main(void)
{
    sark_cache_config config = {.max_entries = 100, .latency_sample_every = 1};
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    use(cache);
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    show(&metrics);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
