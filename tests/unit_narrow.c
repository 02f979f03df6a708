/* 64-bit atomics made of halves (>>atomics of sark_cache.h), as where none are lock-free: what each
   operation does and returns, alone, and that none is lost or half seen among several threads. */

#include <stdatomic.h>
#undef ATOMIC_LLONG_LOCK_FREE
#define ATOMIC_LLONG_LOCK_FREE 1
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "threads.h"

#define ONE UINT64_C(0x123456789abcdef0)
#define OTHER UINT64_C(0xfedcba9876543210)
#define CARRY UINT64_C(0xffffffff)

static uint64_t read_all_ways(const sarki_a64 *cell)
{
    uint64_t value = sarki_load64_relaxed(cell);
    CHECK(sarki_load64_seq_cst(cell) == value);
    return value;
}

TEST(loads_and_stores)
{
    sarki_a64 cell;
    memset(&cell, 0xA5, sizeof cell);
    sarki_init64(&cell, ONE);
    CHECK(read_all_ways(&cell) == ONE);
    sarki_store64_relaxed(&cell, OTHER);
    CHECK(read_all_ways(&cell) == OTHER);
    sarki_store64_release(&cell, ONE);
    CHECK(read_all_ways(&cell) == ONE);
    sarki_store64_seq_cst(&cell, OTHER);
    CHECK(read_all_ways(&cell) == OTHER);
}

TEST(changes)
{
    sarki_a64 cell;
    sarki_init64(&cell, ONE);
    CHECK(!sarki_cas64_relaxed(&cell, OTHER, 0) && read_all_ways(&cell) == ONE);
    CHECK(!sarki_cas64_relaxed(&cell, ONE ^ 1, 0) && !sarki_cas64_relaxed(&cell, ~ONE, 0));
    CHECK(sarki_cas64_relaxed(&cell, ONE, OTHER) && read_all_ways(&cell) == OTHER);
    CHECK(!sarki_cas64_acquire(&cell, ONE, 0) && read_all_ways(&cell) == OTHER);
    CHECK(sarki_cas64_acquire(&cell, OTHER, CARRY) && read_all_ways(&cell) == CARRY);
    CHECK(sarki_add64_relaxed(&cell, 1) == CARRY && read_all_ways(&cell) == CARRY + 1);
    CHECK(sarki_add64_relaxed(&cell, 0) == CARRY + 1 && read_all_ways(&cell) == CARRY + 1);
    CHECK(sarki_add64_relaxed(&cell, 0u - UINT64_C(1)) == CARRY + 1);
    CHECK(read_all_ways(&cell) == CARRY);
    CHECK(sarki_or64_relaxed(&cell, ONE) == CARRY && read_all_ways(&cell) == (CARRY | ONE));
    CHECK(sarki_and64_seq_cst(&cell, OTHER) == (CARRY | ONE));
    CHECK(read_all_ways(&cell) == ((CARRY | ONE) & OTHER));
}

/* Begins a change of a number, and ends it. */
static void hold(sarki_a64 *cell) { atomic_fetch_add(&cell->changes, 1); }
static void let_go(sarki_a64 *cell) { atomic_fetch_add(&cell->changes, 1); }

/* What a thread that is not in the child was at when its process forked is under way no more. */
TEST(numbers_after_a_fork)
{
    sarki_a64 cells[3];
    for (int i = 0; i < 3; i++) sarki_init64(&cells[i], ONE);
    test_watchdog(60);
    hold(&cells[0]);
    hold(&cells[2]);
    sarki_numbers_forked(cells, 3);
    for (int i = 0; i < 3; i++) {
        CHECK(read_all_ways(&cells[i]) == ONE);
        sarki_store64_relaxed(&cells[i], OTHER);
        CHECK(read_all_ways(&cells[i]) == OTHER);
    }
    test_watchdog(0);
}

/* Threads were at each number that is changed without a lock as their process forked. */
TEST(no_number_is_held_in_a_child)
{
    sark_cache_config config = support_config(10);
    config.latency_sample_every = 1;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL && put(cache, "k", "value", 0) == SARK_CACHE_OK);
    sark_cache_fork_prepare(cache);
    sarki_a64 *numbers[] = {&cache->stamps.a_count,   &cache->stamps.a_offset,
                            &cache->a_asleep_ns,      &cache->a_asleep_read_ns,
                            &cache->cleaner.a_runs,   &cache->cleaner.a_last_us,
                            &cache->cleaner.a_total_us};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) hold(numbers[i]);
    for (uint32_t i = 0; i < SARKI_REJECTIONS; i++) hold(&cache->a_rejected[i]);
    for (uint32_t i = 0; i < cache->leases.lease_count; i++) {
        sarki_lease *lease = sarki_lease_at(&cache->leases, i);
        hold(&lease->a_pin_hits), hold(&lease->a_misses);
        hold(&lease->a_misses_expired), hold(&lease->a_short_buffers);
    }
    for (uint32_t kind = 0; kind < SARKI_LATENCY_KINDS; kind++) {
        hold(&cache->histograms[kind].a_total_ns), hold(&cache->histograms[kind].a_max_ns);
        for (uint32_t i = 0; i < SARK_CACHE_LATENCY_BUCKETS; i++)
            hold(&cache->histograms[kind].a_buckets[i]);
    }
    test_watchdog(60);
    sark_cache_fork_child(cache);
    CHECK(metrics_of(cache).sets == 1);
    CHECK(get_is(cache, "k", "value") && get_is(cache, "none", NULL));
    CHECK(put(cache, "k", "other", 0) == SARK_CACHE_OK && get_is(cache, "k", "other"));
    CHECK(metrics_of(cache).hits == 2 && metrics_of(cache).hit.count == 2);
    FINISH(cache);
    test_watchdog(0);
}

/* ---- Several threads ------------------------------------------------------------------------- */

static sarki_a64 sum, swapped, bits, halves;
static uint64_t rounds;

typedef struct worker {
    uint64_t bit; /* its own, in both halves */
} worker;

static void *work(void *context)
{
    const worker *mine = context;
    for (uint64_t i = 0; i < rounds; i++) {
        sarki_add64_relaxed(&sum, CARRY);
        uint64_t before = sarki_load64_relaxed(&swapped);
        while (!sarki_cas64_acquire(&swapped, before, before + CARRY))
            before = sarki_load64_relaxed(&swapped);
        CHECK(!(sarki_or64_relaxed(&bits, mine->bit) & mine->bit));
        CHECK((sarki_load64_seq_cst(&bits) & mine->bit) == mine->bit);
        CHECK((sarki_and64_seq_cst(&bits, ~mine->bit) & mine->bit) == mine->bit);
        sarki_store64_release(&halves, mine->bit);
        uint64_t seen = sarki_load64_relaxed(&halves);
        CHECK(seen >> 32 == (seen & CARRY));
    }
    return NULL;
}

TEST(several_threads)
{
    worker workers[4];
    rounds = test_scaled(500000, 10000);
    sarki_init64(&sum, 0);
    sarki_init64(&swapped, 0);
    sarki_init64(&bits, 0);
    sarki_init64(&halves, 0);
    for (unsigned i = 0; i < 4; i++) workers[i].bit = (uint64_t)1 << i | (uint64_t)1 << (32 + i);
    test_watchdog(300);
    test_run_threads(4, work, workers, sizeof workers[0]);
    test_watchdog(0);
    CHECK(sarki_load64_relaxed(&sum) == 4 * rounds * CARRY);
    CHECK(sarki_load64_relaxed(&swapped) == 4 * rounds * CARRY);
    CHECK(sarki_load64_relaxed(&bits) == 0);
}

static sarki_a64 held;

/* Reads a number that is held, and tells what processor time that took. */
static void *read_held(void *context)
{
    struct timespec used;
    (void)sarki_load64_relaxed(&held);
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    *(int64_t *)context = used.tv_sec * 1000000000 + used.tv_nsec;
    return NULL;
}

/* Whoever is at a number may need the processor of a thread that waits for it. */
TEST(waits_leave_the_processor)
{
    struct timespec pause = {0, 200000000};
    int64_t used_ns = INT64_MAX;
    pthread_t thread;
    sarki_init64(&held, ONE);
    hold(&held);
    REQUIRE(pthread_create(&thread, NULL, read_held, &used_ns) == 0);
    while (nanosleep(&pause, &pause) != 0) continue;
    let_go(&held);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(used_ns < 100000000);
}

int main(void)
{
    RUN(loads_and_stores);
    RUN(changes);
    RUN(numbers_after_a_fork);
    RUN(no_number_is_held_in_a_child);
    RUN(several_threads);
    RUN(waits_leave_the_processor);
    return test_summary();
}
