/* 64-bit numbers of two halves (>>atomics of sark_cache.h, where 64-bit atomics are not lock-free)
   in Relacy's model of the C11 memory. The code is cut out of the header by the Makefile. */

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <relacy/relacy.hpp>

typedef rl::atomic<uint32_t> sarki_a32;

#define memory_order_relaxed rl::mo_relaxed
#define memory_order_acquire rl::mo_acquire
#define memory_order_release rl::mo_release
#define memory_order_acq_rel rl::mo_acq_rel /* of mutants */
#define memory_order_seq_cst rl::mo_seq_cst
#define atomic_load_explicit(cell, order) (cell)->load(order, $)
#define atomic_store_explicit(cell, value, order) (cell)->store(value, order, $)
#define atomic_compare_exchange_weak_explicit(cell, from, to, order, failure) \
    (cell)->compare_exchange_weak(*(from), to, order, $, failure, $)

#define SARKI_SPINS 1
#include "halves.h"

static void sarki_nap(int64_t) { rl::yield(1, $); }

static const uint64_t BOTH = 0x100000001u; /* one in each half */
static const uint64_t LOW = 0xffffffffu;   /* one more carries */

/* Two threads add, a third reads: nothing is lost, and no half is seen without the other. */
struct sums {
    enum { THREADS = 3 };
    sarki_a64 number;
    void prepare() { sarki_init64(&number, LOW); }
    void run(unsigned thread)
    {
        if (thread < 2) {
            sarki_add64_relaxed(&number, BOTH);
            return;
        }
        uint64_t value = sarki_load64_relaxed(&number);
        RL_ASSERT(value == LOW || value == LOW + BOTH || value == LOW + 2 * BOTH);
        RL_ASSERT(sarki_load64_relaxed(&number) >= value);
    }
    void finish() { RL_ASSERT(sarki_load64_relaxed(&number) == LOW + 2 * BOTH); }
};

/* Of two swaps from one value one is done. */
struct swaps {
    enum { THREADS = 2 };
    sarki_a64 number;
    unsigned done;
    void prepare()
    {
        sarki_init64(&number, LOW);
        done = 0;
    }
    void run(unsigned thread) { done += sarki_cas64_acquire(&number, LOW, BOTH * (thread + 2)); }
    void finish()
    {
        uint64_t value = sarki_load64_relaxed(&number);
        RL_ASSERT(done == 1 && (value == BOTH * 2 || value == BOTH * 3));
    }
};

/* Each stores and then looks: one of them sees the other (E8). */
struct stores_and_looks {
    enum { THREADS = 2 };
    sarki_a64 numbers[2];
    bool seen[2];
    void prepare()
    {
        for (unsigned i = 0; i < 2; i++) sarki_init64(&numbers[i], 0);
    }
    void run(unsigned thread)
    {
        sarki_store64_seq_cst(&numbers[thread], BOTH);
        seen[thread] = sarki_load64_seq_cst(&numbers[1 - thread]) == BOTH;
    }
    void finish() { RL_ASSERT(seen[0] || seen[1]); }
};

/* Who sees a number sees what was written before it. */
struct message {
    enum { THREADS = 2 };
    sarki_a64 number;
    rl::var<int> text;
    void prepare()
    {
        sarki_init64(&number, 0);
        text($) = 0;
    }
    void run(unsigned thread)
    {
        if (thread == 0) {
            text($) = 1;
            sarki_store64_release(&number, BOTH);
        } else if (sarki_load64_acquire(&number)) {
            RL_ASSERT((int)text($) == 1);
        }
    }
    void finish() {}
};

template <typename Scenario>
struct model_test : rl::test_suite<model_test<Scenario>, Scenario::THREADS> {
    Scenario scenario;
    void before() { scenario.prepare(); }
    void thread(unsigned number) { scenario.run(number); }
    void after() { scenario.finish(); }
};

static int passed, failed;

template <typename Scenario> static void model_search(const char *name, bool complete)
{
    static std::ostream nowhere(0);
    const char *wanted = getenv("RELACY_RANDOM");
    rl::test_params parameters;
    parameters.output_stream = parameters.progress_stream = &nowhere;
    parameters.search_type =
        complete ? rl::fair_context_bound_scheduler_type : rl::random_scheduler_type;
    parameters.context_bound = 3;
    parameters.iteration_count = complete ? 0 : wanted ? strtoul(wanted, NULL, 10) : 1000000;
    bool holds = rl::simulate<model_test<Scenario> >(parameters);
    (holds ? passed : failed)++;
    printf("%s %s: %s, %llu executions\n", holds ? "ok  " : "FAIL", name,
           complete ? "complete at 3 preemptions" : "random",
           (unsigned long long)parameters.stop_iteration);
}

template <typename Scenario> static void model_run(const char *name)
{
    model_search<Scenario>(name, true);
    model_search<Scenario>(name, false);
}

int main()
{
    model_run<sums>("sums of halves");
    model_run<swaps>("swaps of halves");
    model_run<stores_and_looks>("halves stored, and looked at");
    model_run<message>("a message by halves");
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
