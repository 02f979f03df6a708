/* How is code tested that uses a cache? With a clock that the test sets, so that nobody waits, and
   a hash seed, so that what is random (the hash of the keys, the jitter of the TTLs) repeats.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/12_test_with_a_clock.c -o test && ./test

   Prints:
       ok   the policy is asked once a minute
       ok   where the clock fails, nothing old is believed
       ok   TTLs with jitter repeat with the seed
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <string.h>

static int policy_calls = 0;

/* What is tested: asks a policy, and remembers the answer. */
static bool may_enter(sark_cache *cache, const char *user)
{
    char answer = 'n';
    if (sark_cache_get(cache, user, strlen(user), &answer, 1, NULL) != SARK_CACHE_OK) {
        policy_calls++;
        answer = user[0] == 'a' ? 'y' : 'n';
        sark_cache_set(cache, user, strlen(user), &answer, 1, 0); /* where it fails: asked again */
    }
    return answer == 'y';
}

static int64_t hand_ms; /* the time; negative: the clock has failed */

static int64_t read_hand(void *context)
{
    return *(const int64_t *)context;
}

static sark_cache *cache_for_test(uint32_t jitter)
{
    sark_cache_config config = {.max_entries = 100, .default_ttl_ms = 60000, .hash_seed = 42,
                                .clock = {read_hand, &hand_ms}, .ttl_jitter_percent = jitter};
    sark_cache *cache = NULL;
    return sark_cache_create(&cache, &config) == SARK_CACHE_OK ? cache : NULL;
}

static bool expect(bool holds, const char *name)
{
    printf("%s %s\n", holds ? "ok  " : "FAIL", name);
    return holds;
}

static int64_t ttl_with_jitter(void)
{
    sark_cache *cache = cache_for_test(50);
    int64_t ttl_ms = 0;
    may_enter(cache, "alice");
    sark_cache_ttl(cache, "alice", 5, &ttl_ms);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? ttl_ms : 0;
}

int main(void)
{
    sark_cache *cache = cache_for_test(0);
    if (!cache) return 1;
    bool holds = may_enter(cache, "alice") && !may_enter(cache, "bob") && policy_calls == 2;
    hand_ms = 59999;
    holds &= may_enter(cache, "alice") && policy_calls == 2;
    hand_ms = 60000;
    holds &= may_enter(cache, "alice") && policy_calls == 3;
    bool all = expect(holds, "the policy is asked once a minute");
    hand_ms = -1;
    holds = may_enter(cache, "alice") && policy_calls == 4; /* its answer is not stored either */
    all &= expect(holds, "where the clock fails, nothing old is believed");
    all &= sark_cache_destroy(cache) == SARK_CACHE_OK;
    hand_ms = 1000; /* the same time, as the jitter goes by it too */
    int64_t ttl_ms = ttl_with_jitter();
    holds = ttl_ms >= 30000 && ttl_ms <= 60000 && ttl_with_jitter() == ttl_ms;
    return expect(holds, "TTLs with jitter repeat with the seed") && all ? 0 : 1;
}
