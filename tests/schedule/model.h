/* The vocabulary of sark_cache.h for the scheduler: the header's own code runs, one thread at a
   time, and may be preempted before and after each atomic operation and at each call of the system.

   SARKI_MODEL names this file. All that a thread did is seen by the next one that runs: weak orders
   are Relacy's. Time, the processor's counter and randomness are the schedule's own. */

#ifndef SARK_SCHEDULE_MODEL_H
#define SARK_SCHEDULE_MODEL_H

#include <stdatomic.h>
#include "schedule/scheduler.h"

#define SARKI_WIDE 1
#define SARKI_SHADOW
#define SARKI_BYTES_READ(entry) ((void)0)
#define SARKI_BYTES_WRITTEN(entry) ((void)0)

typedef _Atomic(uint32_t) sarki_a32;
typedef _Atomic(uint64_t) sarki_a64;
typedef _Atomic(uintptr_t) sarki_aword;

#define MODEL_LOAD(width, type, order)                                         \
    static inline type sarki_load##width##_##order(const sarki_a##width *cell) \
    {                                                                          \
        schedule_point();                                                      \
        type value = atomic_load_explicit(cell, memory_order_##order);         \
        schedule_point();                                                      \
        return value;                                                          \
    }
#define MODEL_STORE(width, type, order)                                               \
    static inline void sarki_store##width##_##order(sarki_a##width *cell, type value) \
    {                                                                                 \
        schedule_point();                                                             \
        atomic_store_explicit(cell, value, memory_order_##order);                     \
        schedule_point();                                                             \
    }
#define MODEL_CAS(width, type, order)                                                       \
    static inline bool sarki_cas##width##_##order(sarki_a##width *cell, type from, type to) \
    {                                                                                       \
        schedule_point();                                                                   \
        bool swapped = atomic_compare_exchange_strong_explicit(                             \
            cell, &from, to, memory_order_##order, memory_order_relaxed);                   \
        schedule_point();                                                                   \
        return swapped;                                                                     \
    }
#define MODEL_CHANGE(name, width, type, order)                                         \
    static inline type sarki_##name##width##_##order(sarki_a##width *cell, type value) \
    {                                                                                  \
        schedule_point();                                                              \
        type before = atomic_fetch_##name##_explicit(cell, value, memory_order_##order); \
        schedule_point();                                                              \
        return before;                                                                 \
    }

MODEL_LOAD(32, uint32_t, relaxed)
MODEL_LOAD(32, uint32_t, acquire)
MODEL_LOAD(32, uint32_t, seq_cst)
MODEL_STORE(32, uint32_t, relaxed)
MODEL_STORE(32, uint32_t, release)
MODEL_STORE(32, uint32_t, seq_cst)
MODEL_CAS(32, uint32_t, relaxed)
MODEL_CAS(32, uint32_t, acquire)
MODEL_CAS(32, uint32_t, seq_cst)
MODEL_CHANGE(add, 32, uint32_t, relaxed)
MODEL_CHANGE(add, 32, uint32_t, seq_cst)
MODEL_CHANGE(sub, 32, uint32_t, relaxed)
MODEL_CHANGE(sub, 32, uint32_t, seq_cst)
MODEL_CHANGE(xor, 32, uint32_t, relaxed)
MODEL_LOAD(word, uintptr_t, relaxed)
MODEL_STORE(word, uintptr_t, release)
MODEL_CAS(word, uintptr_t, acquire)
MODEL_LOAD(64, uint64_t, relaxed)
MODEL_LOAD(64, uint64_t, acquire)
MODEL_LOAD(64, uint64_t, seq_cst)
MODEL_STORE(64, uint64_t, relaxed)
MODEL_STORE(64, uint64_t, seq_cst)
MODEL_STORE(64, uint64_t, release)
MODEL_CAS(64, uint64_t, relaxed)
MODEL_CAS(64, uint64_t, acquire)
MODEL_CHANGE(or, 64, uint64_t, relaxed)
MODEL_CHANGE(and, 64, uint64_t, seq_cst)
MODEL_CHANGE(add, 64, uint64_t, relaxed)

static inline void sarki_init64(sarki_a64 *cell, uint64_t value)
{
    sarki_store64_relaxed(cell, value);
}

static inline void sarki_numbers_forked(sarki_a64 *cells, uint32_t count)
{
    (void)cells, (void)count;
}

/* ---- Mutexes and conditions ------------------------------------------------------------------ */

typedef struct sarki_mutex {
    uint32_t holder; /* the thread's number and one; 0: free */
} sarki_mutex;

typedef struct sarki_condition {
    char address; /* it is known by its address alone */
} sarki_condition;

static inline bool sarki_mutex_create(sarki_mutex *mutex)
{
    mutex->holder = 0;
    return true;
}

static inline void sarki_mutex_destroy(sarki_mutex *mutex)
{
    schedule_require(mutex->holder == 0, "a lock is destroyed that is held");
}

static inline bool sarki_try_lock(sarki_mutex *mutex)
{
    schedule_point();
    bool taken = mutex->holder == 0;
    if (taken) mutex->holder = schedule.running + 1;
    schedule_point();
    return taken;
}

static inline void sarki_lock(sarki_mutex *mutex)
{
    schedule_point();
    while (mutex->holder != 0) schedule_stop(SCHEDULE_BLOCKED, mutex);
    mutex->holder = schedule.running + 1;
    schedule_point();
}

/* Gives the lock up without a point. */
static inline void model_give_up(sarki_mutex *mutex)
{
    schedule_require(mutex->holder == schedule.running + 1, "a lock is given up by another thread");
    mutex->holder = 0;
    schedule_release(mutex);
}

static inline void sarki_unlock(sarki_mutex *mutex)
{
    schedule_point();
    model_give_up(mutex);
    schedule_switch(); /* those who waited may come before */
    schedule_point();
}

static inline bool sarki_condition_create(sarki_condition *condition)
{
    condition->address = 0;
    return true;
}

static inline void sarki_condition_destroy(sarki_condition *condition)
{
    for (uint32_t i = 0; i < schedule.count; i++)
        schedule_require(schedule.threads[i].waits_for != condition,
                         "a condition is destroyed that is waited for");
}

static inline void sarki_wake_all(sarki_condition *condition)
{
    schedule_point();
    schedule_release(condition);
    schedule_switch();
    schedule_point();
}

static inline void model_wait(sarki_condition *condition, sarki_mutex *mutex, schedule_state state)
{
    schedule_point();
    model_give_up(mutex);
    schedule_stop(state, condition);
    sarki_lock(mutex);
}

static inline void sarki_wait(sarki_condition *condition, sarki_mutex *mutex)
{
    model_wait(condition, mutex, SCHEDULE_WAITING);
}

static inline void sarki_wait_ms(sarki_condition *condition, sarki_mutex *mutex, uint32_t wait_ms)
{
    (void)wait_ms;
    model_wait(condition, mutex, SCHEDULE_TIMED);
}

static inline void sarki_nap(int64_t ns)
{
    static char nothing; /* that ends a nap */
    (void)ns;
    schedule_stop(SCHEDULE_TIMED, &nothing);
}

/* ---- The rest of the platform ---------------------------------------------------------------- */

static inline void sarki_prefetch(const void *address) { (void)address; }
static inline void sarki_prefetch_later(const void *address) { (void)address; }
static inline void sarki_prefetch_to_write(const void *address) { (void)address; }
static inline void sarki_pause(void) { schedule_point(); }
static inline uint32_t sarki_processors(void) { return 2; }
static inline void sarki_ask_for_large_pages(void *region, uint64_t bytes)
{
    (void)region;
    (void)bytes;
}
static inline int sarki_cancel_defer(void) { return 0; }
static inline void sarki_cancel_allow(int before) { (void)before; }
static inline int64_t sarki_process_id(void) { return schedule.process; }
static inline uintptr_t sarki_thread_id(void) { return (schedule.running + 1) * 4096u; }

static inline int64_t model_now_ns(void)
{
    schedule_point();
    return schedule.now_ns;
}

static inline int64_t sarki_coarse_ns(void) { return model_now_ns(); }
static inline int64_t sarki_fine_ns(void) { return model_now_ns(); }
static inline int64_t sarki_awake_ns(void) { return model_now_ns(); }
static inline int64_t sarki_asleep_ns(void) { return 0; }
static inline uint64_t sarki_coarse_tick_ns(void) { return 1000000; }
static inline int sarki_counter_shift(void) { return 0; }

static inline uint64_t sarki_counter(void)
{
    schedule_point();
    return schedule.counter += 32;
}

static inline bool sarki_random(void *bytes, size_t count)
{
    memset(bytes, 7, count);
    return true;
}

typedef uint32_t sarki_thread;

static inline bool sarki_thread_start(sarki_thread *thread, void *(*body)(void *), void *argument)
{
    *thread = schedule_start(body, argument);
    return true;
}

static inline void sarki_thread_join(sarki_thread thread) { schedule_join(thread); }

#endif
