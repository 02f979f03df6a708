/* May threads share a cache? Yes, as it is: no registration, no locking by the caller. Four
   threads read through one cache: each looks a user up, and on a miss works the answer out and
   stores it. How many lookups hit depends on who comes first; what is below does not.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/03_threads.c -o threads && ./threads

   Prints:
       lookups: 400000, wrong answers: 0, hits + misses: 400000
       within the limits: yes, invariants hold: yes
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

enum { thread_count = 4, lookups_per_thread = 100000, user_count = 5000, max_users = 1000 };

typedef struct worker {
    pthread_t thread;
    sark_cache *cache;
    uint32_t random;
    uint32_t wrong_answers;
} worker;

/* What the cache saves: asking a slow policy engine. */
static uint32_t policy_of(uint32_t user)
{
    return user * 2654435761u;
}

static void *work(void *argument)
{
    worker *self = argument;
    for (int i = 0; i < lookups_per_thread; i++) {
        self->random = self->random * 1664525u + 1013904223u;
        uint32_t user = (self->random >> 8) % user_count;
        uint32_t answer = 0;
        sark_cache_status status =
            sark_cache_get(self->cache, &user, sizeof user, &answer, sizeof answer, NULL);
        if (status == SARK_CACHE_MISS) {
            answer = policy_of(user);
            sark_cache_set(self->cache, &user, sizeof user, &answer, sizeof answer, 0);
        }
        if (answer != policy_of(user)) self->wrong_answers++;
    }
    return NULL;
}

int main(void)
{
    sark_cache_config config = {.max_entries = max_users, .default_ttl_ms = 60000};
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;

    worker workers[thread_count];
    uint32_t wrong_answers = 0;
    for (uint32_t i = 0; i < thread_count; i++) {
        workers[i] = (worker){.cache = cache, .random = i + 1};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) return 1;
    }
    for (int i = 0; i < thread_count; i++) {
        pthread_join(workers[i].thread, NULL);
        wrong_answers += workers[i].wrong_answers;
    }

    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    bool within = metrics.entries_peak <= max_users && metrics.bytes_peak <= metrics.max_bytes;
    printf("lookups: %d, wrong answers: %" PRIu32 ", hits + misses: %" PRIu64 "\n",
           thread_count * lookups_per_thread, wrong_answers, metrics.hits + metrics.misses);
    printf("within the limits: %s, invariants hold: %s\n", within ? "yes" : "no",
           sark_cache_check(cache, NULL, 0) ? "yes" : "no");
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
