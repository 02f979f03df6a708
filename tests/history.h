/* The times of a recorded call: before it and after it, from one source that only grows. */

#ifndef SARK_TEST_HISTORY_H
#define SARK_TEST_HISTORY_H

#include <stdatomic.h>
#include <stdint.h>

#include "threads.h"

static _Thread_local _Atomic(uint64_t) history_word;

/* The exchange keeps the call behind the reading. */
static inline uint64_t history_before(void)
{
    uint64_t now_ns = test_now_ns();
    (void)atomic_exchange(&history_word, now_ns);
    return now_ns;
}

/* The exchange keeps the call's stores before the reading. */
static inline uint64_t history_after(void)
{
    (void)atomic_exchange(&history_word, 0);
    return test_now_ns();
}

#endif
