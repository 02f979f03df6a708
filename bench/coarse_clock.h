/* The clock of subjects that have TTLs and bring no clock: reading it costs a few ns. */

#ifndef SARK_BENCH_COARSE_CLOCK_H
#define SARK_BENCH_COARSE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t coarse_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
