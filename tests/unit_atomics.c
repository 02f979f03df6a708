/* White box: the 64-bit part of the vocabulary of shared memory, with several threads at one
   number. Nothing that is added is lost, a swap is one step, bits change alone, and the halves of
   what is read were written together.

   unit_atomics [rounds]; 1,000,000 at the usual scale. What is broken shows only where threads run
   at the same moment, so it may take more on a busy machine. */

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define THREADS 4u
#define BOTH UINT64_C(0x100000001) /* one in each half */

static sarki_a64 number;
static uint64_t rounds;
static _Atomic(uint32_t) wrong, writers_left;

static uint64_t read_either(uint64_t round)
{
    return round & 1 ? sarki_load64_relaxed(&number) : sarki_load64_seq_cst(&number);
}

/* Starts a thread for each of the bodies, and waits for all. */
static void run_beside(uint64_t first, void *(*const bodies[THREADS])(void *))
{
    static uint32_t thread_numbers[THREADS] = {0, 1, 2, 3};
    pthread_t threads[THREADS];
    sarki_init64(&number, first);
    atomic_store(&wrong, 0);
    for (uint32_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, bodies[i], &thread_numbers[i]) != 0) abort();
    for (uint32_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void run_all(uint64_t first, void *(*body)(void *))
{
    void *(*const bodies[THREADS])(void *) = {body, body, body, body};
    run_beside(first, bodies);
}

static void *adds(void *argument)
{
    (void)argument;
    for (uint64_t i = 0; i < rounds; i++) sarki_add64_relaxed(&number, BOTH);
    return NULL;
}

TEST(nothing_added_is_lost)
{
    run_all(0, adds);
    CHECK(read_either(0) == THREADS * rounds * BOTH);
    CHECK(sarki_add64_relaxed(&number, 0) == THREADS * rounds * BOTH);
    CHECK(sarki_add64_relaxed(&number, 0 - BOTH) == THREADS * rounds * BOTH);
    CHECK(read_either(1) == (THREADS * rounds - 1) * BOTH);
}

static void *swaps(void *argument)
{
    (void)argument;
    for (uint64_t i = 0; i < rounds;) {
        uint64_t from = read_either(i);
        i += i & 1 ? sarki_cas64_acquire(&number, from, from + BOTH)
                   : sarki_cas64_relaxed(&number, from, from + BOTH);
    }
    return NULL;
}

TEST(a_swap_is_one_step)
{
    run_all(UINT32_MAX, swaps); /* the low half carries into the high one at once */
    CHECK(read_either(0) == UINT32_MAX + THREADS * rounds * BOTH);
    CHECK(!sarki_cas64_relaxed(&number, 0, 1) && !sarki_cas64_acquire(&number, 0, 1));
    CHECK(read_either(1) == UINT32_MAX + THREADS * rounds * BOTH);
}

/* Each thread has a bit in either half. */
static void *flips(void *argument)
{
    uint64_t mine = BOTH << *(const uint32_t *)argument;
    uint32_t mistakes = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        mistakes += (sarki_or64_relaxed(&number, mine) & mine) != 0;
        mistakes += (read_either(i) & mine) != mine;
        mistakes += (sarki_and64_seq_cst(&number, ~mine) & mine) != mine;
        mistakes += (read_either(i) & mine) != 0;
    }
    atomic_fetch_add(&wrong, mistakes);
    return NULL;
}

TEST(bits_change_alone)
{
    run_all(BOTH << THREADS, flips);
    CHECK(atomic_load(&wrong) == 0);
    CHECK(read_either(0) == BOTH << THREADS);
}

static void *stores(void *argument)
{
    uint64_t value = *(const uint32_t *)argument * UINT32_MAX / 2;
    for (uint64_t i = 0; i < rounds; i++, value = (value + 1) & UINT32_MAX) {
        sarki_store64_relaxed(&number, value * BOTH);
        sarki_store64_release(&number, ~value << 32 | (~value & UINT32_MAX));
        sarki_store64_seq_cst(&number, value * BOTH);
    }
    atomic_fetch_sub(&writers_left, 1);
    return NULL;
}

static void *reads(void *argument)
{
    uint32_t mistakes = 0;
    (void)argument;
    for (uint64_t i = 0; atomic_load(&writers_left) > 0; i++) {
        uint64_t value = read_either(i);
        mistakes += value >> 32 != (value & UINT32_MAX);
    }
    atomic_fetch_add(&wrong, mistakes);
    return NULL;
}

TEST(halves_were_written_together)
{
    static void *(*const bodies[THREADS])(void *) = {stores, stores, reads, reads};
    atomic_store(&writers_left, 2);
    run_beside(0, bodies);
    CHECK(atomic_load(&wrong) == 0);
}

int main(int argc, char **argv)
{
    rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : test_scaled(1000000, 4000);
    RUN(nothing_added_is_lost);
    RUN(a_swap_is_one_step);
    RUN(bits_change_alone);
    RUN(halves_were_written_together);
    return test_summary();
}
