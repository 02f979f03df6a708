/* Random delays around each atomic operation and each call that locks, unlocks, waits or wakes, so
   that threads meet where they otherwise hardly ever do. `-include tests/perturb.h`, before
   anything else, puts them into the header and the test; the variants SAN=perturbed,
   perturbed-address and perturbed-thread are built so.

   At one point in 64 a thread delays: half the times it gives its processor to another, mostly
   else it spins for up to some microseconds, and at times it sleeps, so that others overtake it by
   many calls. The program's first thread, which mostly prepares and checks while it is alone, does
   so at one point in 1,024. The random numbers are the thread's own; nothing that is shared is
   written here, so that no race is hidden from ThreadSanitizer. */

#ifndef SARK_TEST_PERTURB_H
#define SARK_TEST_PERTURB_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PERTURB_ONE_IN 64u
#define PERTURB_FIRST_ONE_IN 16u /* of these */
#define PERTURB_SPINS_MOST 4096u /* some microseconds */
#define PERTURB_SLEEP_NS 20000

static pthread_t perturb_first_thread;

__attribute__((constructor)) static void perturb_note_first_thread(void)
{
    perturb_first_thread = pthread_self();
}

/* No point at which a thread may be cancelled, and without an effect on errno. */
static inline void perturb_sleep(void)
{
    struct timespec pause = {.tv_nsec = PERTURB_SLEEP_NS};
    int errno_before = errno, cancel = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    (void)nanosleep(&pause, NULL);
    pthread_setcancelstate(cancel, NULL);
    errno = errno_before;
}

__attribute__((noinline, unused)) static void perturb_delay(uint32_t random)
{
    uint32_t spins = random >> 8 & (PERTURB_SPINS_MOST - 1);
    bool is_first = pthread_equal(pthread_self(), perturb_first_thread);
    if (is_first && random / PERTURB_ONE_IN % PERTURB_FIRST_ONE_IN != 0) return;
    if (random >> 31) sched_yield();
    else if (random >> 26 == 0) perturb_sleep();
    else while (spins-- > 0) __asm__ volatile("");
}

/* A point: xorshift, seeded by where the thread has its state. */
static inline void perturb(void)
{
    static _Thread_local uint32_t state;
    uint32_t x = state ? state : (uint32_t)((uintptr_t)&state >> 6) * 2654435761u | 1;
    x ^= x << 13;
    x ^= x >> 17;
    state = x ^= x << 5;
    if (__builtin_expect((x & (PERTURB_ONE_IN - 1)) == 0, 0)) perturb_delay(x);
}

/* An operation with a point before it and one behind. */
#define PERTURBED(operation)                 \
    __extension__({                          \
        perturb();                           \
        __auto_type perturbed = (operation); \
        perturb();                           \
        perturbed;                           \
    })

/* ---- Atomic operations ----------------------------------------------------------------------- */

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_xor_explicit
#undef atomic_fetch_and_explicit

#ifdef __clang__
#define PERTURB_LOAD(cell, order) __c11_atomic_load(cell, order)
#define PERTURB_STORE(cell, value, order) __c11_atomic_store(cell, value, order)
#define PERTURB_SWAP(strength, is_weak, cell, from, to, order, otherwise) \
    __c11_atomic_compare_exchange_##strength(cell, from, to, order, otherwise)
#define PERTURB_CHANGE(name, cell, value, order) __c11_atomic_##name(cell, value, order)
#define PERTURB_EXCHANGE(cell, value, order) __c11_atomic_exchange(cell, value, order)
#else
#define PERTURB_LOAD(cell, order) __atomic_load_n(cell, order)
#define PERTURB_STORE(cell, value, order) __atomic_store_n(cell, value, order)
#define PERTURB_SWAP(strength, is_weak, cell, from, to, order, otherwise) \
    __atomic_compare_exchange_n(cell, from, to, is_weak, order, otherwise)
#define PERTURB_CHANGE(name, cell, value, order) __atomic_##name(cell, value, order)
#define PERTURB_EXCHANGE(cell, value, order) __atomic_exchange_n(cell, value, order)
#endif

#define atomic_load_explicit(cell, order) PERTURBED(PERTURB_LOAD(cell, order))
#define atomic_store_explicit(cell, value, order) \
    __extension__({                               \
        perturb();                                \
        PERTURB_STORE(cell, value, order);        \
        perturb();                                \
    })
#define atomic_compare_exchange_strong_explicit(cell, from, to, order, otherwise) \
    PERTURBED(PERTURB_SWAP(strong, 0, cell, from, to, order, otherwise))
#define atomic_compare_exchange_weak_explicit(cell, from, to, order, otherwise) \
    PERTURBED(PERTURB_SWAP(weak, 1, cell, from, to, order, otherwise))
#define atomic_exchange_explicit(cell, value, order) \
    PERTURBED(PERTURB_EXCHANGE(cell, value, order))
#define atomic_fetch_add_explicit(cell, value, order) \
    PERTURBED(PERTURB_CHANGE(fetch_add, cell, value, order))
#define atomic_fetch_sub_explicit(cell, value, order) \
    PERTURBED(PERTURB_CHANGE(fetch_sub, cell, value, order))
#define atomic_fetch_or_explicit(cell, value, order) \
    PERTURBED(PERTURB_CHANGE(fetch_or, cell, value, order))
#define atomic_fetch_xor_explicit(cell, value, order) \
    PERTURBED(PERTURB_CHANGE(fetch_xor, cell, value, order))
#define atomic_fetch_and_explicit(cell, value, order) \
    PERTURBED(PERTURB_CHANGE(fetch_and, cell, value, order))

/* ---- Mutexes and conditions ------------------------------------------------------------------ */

#define pthread_mutex_lock(mutex) PERTURBED(pthread_mutex_lock(mutex))
#define pthread_mutex_trylock(mutex) PERTURBED(pthread_mutex_trylock(mutex))
#define pthread_mutex_unlock(mutex) PERTURBED(pthread_mutex_unlock(mutex))
#define pthread_cond_wait(condition, mutex) PERTURBED(pthread_cond_wait(condition, mutex))
#define pthread_cond_timedwait(condition, mutex, until) \
    PERTURBED(pthread_cond_timedwait(condition, mutex, until))
#define pthread_cond_broadcast(condition) PERTURBED(pthread_cond_broadcast(condition))

#endif
