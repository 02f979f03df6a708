/* Who removes what has expired? Nobody has to: it is never returned, and goes first when room is
   needed. But until then it holds memory, and its removal is not reported. Two ways to have it
   removed sooner: the program calls cleanup_expired, or a thread of the cache does at an interval.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/11_cleanup.c -o cleanup && ./cleanup

   Prints:
       without a thread: 100 entries, alive 100
       a second later: 100 entries, alive 0
       cleanup of 30 removes 30, of all 70: 0 entries
       with a thread: it runs
       a while later: 0 entries
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { entry_count = 100 };

static int64_t read_hand(void *context)
{
    return *(const int64_t *)context;
}

static void fill(sark_cache *cache, int64_t ttl_ms)
{
    for (uint32_t i = 0; i < entry_count; i++)
        sark_cache_set(cache, &i, sizeof i, "allow", 5, ttl_ms);
}

static void show(sark_cache *cache, const char *when)
{
    int alive = 0;
    for (uint32_t i = 0; i < entry_count; i++)
        alive += sark_cache_contains(cache, &i, sizeof i) == SARK_CACHE_OK;
    printf("%s: %" PRIu64 " entries, alive %d\n", when, sark_cache_size(cache), alive);
}

static bool without_thread(void)
{
    int64_t hand_ms = 0; /* the time, as this program has it */
    sark_cache_config config = {.max_entries = 1000};
    config.clock.now_ms = read_hand;
    config.clock.context = &hand_ms;
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return false;
    fill(cache, 1000);
    show(cache, "without a thread");
    hand_ms = 1000;
    show(cache, "a second later");
    printf("cleanup of 30 removes %" PRIu64, sark_cache_cleanup_expired(cache, 30));
    printf(", of all %" PRIu64, sark_cache_cleanup_expired(cache, 0));
    printf(": %" PRIu64 " entries\n", sark_cache_size(cache));
    return sark_cache_destroy(cache) == SARK_CACHE_OK;
}

static bool with_thread(void)
{
    sark_cache_config config = {.max_entries = 1000, .cleanup_interval_ms = 5};
    sark_cache *cache = NULL;
    sark_cache_metrics metrics;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return false;
    sark_cache_metrics_read(cache, &metrics); /* a thread that cannot start is no error */
    printf("with a thread: it %s\n", metrics.cleanup_thread_running ? "runs" : "did not start");
    fill(cache, 1);
    const struct timespec a_while = {.tv_nsec = 5000000};
    for (int i = 0; i < 2000 && sark_cache_size(cache) > 0; i++) nanosleep(&a_while, NULL);
    printf("a while later: %" PRIu64 " entries\n", sark_cache_size(cache));
    return sark_cache_destroy(cache) == SARK_CACHE_OK; /* ends the thread too */
}

int main(void)
{
    return without_thread() && with_thread() ? 0 : 1;
}
