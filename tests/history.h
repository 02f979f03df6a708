/* The times of a recorded call: before it and after it, from one source that only grows, and goes
   on where the machine sleeps, as deadlines do. */

#ifndef SARK_TEST_HISTORY_H
#define SARK_TEST_HISTORY_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

static _Thread_local _Atomic(uint64_t) history_word;

static inline uint64_t history_now(void)
{
    struct timespec now;
#ifdef CLOCK_BOOTTIME
    clock_gettime(CLOCK_BOOTTIME, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The exchange keeps the call behind the reading. */
static inline uint64_t history_before(void)
{
    uint64_t now_ns = history_now();
    (void)atomic_exchange(&history_word, now_ns);
    return now_ns;
}

/* The exchange keeps the call's stores before the reading. */
static inline uint64_t history_after(void)
{
    (void)atomic_exchange(&history_word, 0);
    return history_now();
}

#endif
