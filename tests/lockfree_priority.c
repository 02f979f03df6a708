/* A thread of high priority meets one of low priority that it has preempted inside a lock or a
   read, all on one processor. Who spins then, spins for ever, as the other one does not run; so
   each call must end soon: hits without the lock, everything else by sleeping for it. Also where
   no lease is free, so that hits need the lock too. */

#define _GNU_SOURCE

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define KEYS 200u
#define MOST_NS UINT64_C(50000000) /* a call; some thousand times what it takes */
#define BURST 50u                  /* calls of the writer, then it rests for a moment: real-time
                                      threads do not get all of a processor (sched(7)) */

static sark_cache *cache;
static uint64_t seed;
static _Atomic(bool) stop;
static _Atomic(uint64_t) writer_calls;

static bool set_priority(int priority)
{
    struct sched_param parameter = {.sched_priority = priority};
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter) == 0;
}

static void store(uint32_t key, size_t bytes)
{
    static const unsigned char value[8000];
    CHECK(sark_cache_set(cache, &key, sizeof key, value, bytes, 0) == SARK_CACHE_OK);
}

/* Works inside locks and reads, mostly. */
static void *low_run(void *context)
{
    uint64_t random = seed;
    unsigned char bytes[8000];
    (void)context;
    CHECK(set_priority(1));
    while (!atomic_load(&stop)) {
        for (unsigned i = 0; i < BURST; i++) {
            uint32_t key = (uint32_t)test_below(&random, KEYS);
            store(key, (size_t)test_below(&random, i % 10 ? 200 : 8000));
            (void)sark_cache_get(cache, &key, sizeof key, bytes, sizeof bytes, NULL);
            atomic_fetch_add(&writer_calls, 1);
        }
        test_sleep_ns(50000);
    }
    return NULL;
}

static bool a_lock_is_held(void)
{
    bool held = false;
    for (uint32_t i = 0; i < cache->shard_count; i++)
        held = held || sarki_load32_relaxed(&cache->shards[i].a_held) != 0;
    return held;
}

/* One call of each kind; the longest time of one. */
static uint64_t call_all(uint64_t *random)
{
    static unsigned char bytes[8000];
    uint64_t longest_ns = 0;
    for (int kind = 0; kind < 6; kind++) {
        uint32_t key = (uint32_t)test_below(random, KEYS);
        int64_t ttl_ms;
        sark_cache_pinned pinned;
        uint64_t begin_ns = test_now_ns();
        switch (kind) {
        case 0: (void)sark_cache_get(cache, &key, sizeof key, bytes, sizeof bytes, NULL); break;
        case 1: (void)sark_cache_ttl(cache, &key, sizeof key, &ttl_ms); break;
        case 2:
            if (sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK)
                CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
            break;
        case 3: (void)sark_cache_touch(cache, &key, sizeof key, 1000); break;
        case 4: (void)sark_cache_delete(cache, &key, sizeof key); break;
        default: store(key, (size_t)test_below(random, 3000));
        }
        uint64_t took_ns = test_now_ns() - begin_ns;
        if (took_ns > longest_ns) longest_ns = took_ns;
    }
    return longest_ns;
}

typedef struct urgent {
    uint64_t wakes, longest_ns, held; /* held: so often it woke while a lock was held */
} urgent;

static void *high_run(void *context)
{
    urgent *self = context;
    uint64_t random = seed + 1;
    CHECK(set_priority(10));
    for (uint64_t i = 0; i < self->wakes; i++) {
        test_watchdog(60);
        test_sleep_ns(100000 + test_below(&random, 400000));
        self->held += a_lock_is_held();
        uint64_t took_ns = call_all(&random);
        if (took_ns > self->longest_ns) self->longest_ns = took_ns;
    }
    return NULL;
}

/* As if so many readers were inside a read of one entry, which is pinned too. */
static void take_all_leases(void)
{
    sarki_leases *leases = &cache->leases;
    uint32_t ref = sarki_load32_relaxed(&leases->pins[0].a_ref);
    sarki_store32_relaxed(&leases->a_slots_used, leases->lease_count);
    for (uint32_t i = 0; i < leases->lease_count; i++)
        sarki_store32_relaxed(&sarki_lease_at(leases, i)->a_ref, ref);
}

static void give_all_leases_back(void)
{
    for (uint32_t i = 0; i < cache->leases.lease_count; i++)
        sarki_store32_relaxed(&sarki_lease_at(&cache->leases, i)->a_ref, 0);
}

static void meet(bool without_leases)
{
    pthread_t low, high;
    urgent self = {.wakes = test_scaled(2000, 100)};
    uint32_t key = KEYS;
    sark_cache_pinned pinned;
    sark_cache_metrics metrics;
    sark_cache_config config = {.max_entries = KEYS / 2, .max_bytes = 256u << 10,
                                .shard_count = 1};
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    store(key, 100);
    CHECK(sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK);
    if (without_leases) take_all_leases();
    atomic_store(&stop, false);
    atomic_store(&writer_calls, 0);
    REQUIRE(pthread_create(&low, NULL, low_run, NULL) == 0);
    REQUIRE(pthread_create(&high, NULL, high_run, &self) == 0);
    CHECK(pthread_join(high, NULL) == 0);
    atomic_store(&stop, true);
    CHECK(pthread_join(low, NULL) == 0);
    if (without_leases) give_all_leases_back();
    sark_cache_metrics_read(cache, &metrics);
    printf("  %d wakes, %d while a lock was held, %d calls of the low one, %d under the lock; the "
           "longest call took %d us\n", (int)self.wakes, (int)self.held, (int)writer_calls,
           (int)metrics.lock_fallbacks, (int)(self.longest_ns / 1000));
    CHECK(self.held >= self.wakes / 50);
    CHECK(self.longest_ns <= MOST_NS);
    CHECK((metrics.lock_fallbacks > self.wakes) == without_leases);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_check(cache, NULL, 0));
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

TEST(preempted_inside_a_lock) { meet(false); }
TEST(preempted_inside_a_lock_without_leases) { meet(true); }

/* The last processor that the program may run on, and no other. */
static bool stay_on_one_processor(void)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all) != 0) return false;
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
        if (!CPU_ISSET(cpu, &all)) continue;
        CPU_SET(cpu, &one);
        break;
    }
    return sched_setaffinity(0, sizeof one, &one) == 0;
}

static void *try_priority(void *context)
{
    *(bool *)context = set_priority(10);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    bool permitted = false;
    if (pthread_create(&thread, NULL, try_priority, &permitted) != 0) abort();
    pthread_join(thread, NULL);
    if (!permitted || !stay_on_one_processor() || ATOMIC_LLONG_LOCK_FREE != 2) {
        printf("not run: lockfree_priority (%s)\n",
               permitted ? "no single processor, or reads take a lock" : "SCHED_FIFO is forbidden");
        return 77;
    }
    seed = test_seed();
    RUN(preempted_inside_a_lock);
    RUN(preempted_inside_a_lock_without_leases);
    test_watchdog(0);
    return test_summary();
}
