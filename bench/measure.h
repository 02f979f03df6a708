/* Small helpers of the measuring programs: time, medians, and what machine this is. */

#ifndef SARK_BENCH_MEASURE_H
#define SARK_BENCH_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t measure_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t measure_now_ns(void)
{
    return measure_clock_ns(CLOCK_MONOTONIC);
}

/* Processor time of the calling thread. */
static inline uint64_t measure_thread_ns(void)
{
    return measure_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline int measure_compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Sorts the values. Returns the one below which `share` (0 to 1) of them lie; 0.5: the median. */
static inline double measure_quantile(double *values, size_t count, double share)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, measure_compare);
    double at = share * (double)(count - 1);
    size_t below = (size_t)at;
    if (below + 1 >= count) return values[count - 1];
    return values[below] + (at - (double)below) * (values[below + 1] - values[below]);
}

static inline uint32_t measure_core_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)count;
}

/* The processor's name as the kernel gives it, "unknown" where it gives none. */
static inline void measure_cpu_name(char *name, size_t name_bytes)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, name_bytes, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, ':');
        if (value == NULL || strncmp(line, "model name", 10) != 0) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, name_bytes, "%s", value + (value[1] == ' ' ? 2 : 1));
        break;
    }
    if (file != NULL) fclose(file);
}

#ifdef __clang__
#define MEASURE_COMPILER __VERSION__
#else
#define MEASURE_COMPILER "gcc " __VERSION__
#endif

#ifndef BENCH_COMMIT /* the Makefile gives both where it can */
#define BENCH_COMMIT "unknown"
#endif
#ifndef BENCH_FLAGS
#define BENCH_FLAGS "unknown"
#endif

/* The lines that every table of measurements begins with. */
static inline void measure_print_setting(void)
{
    char cpu[128];
    measure_cpu_name(cpu, sizeof cpu);
    printf("commit    %s\nCPU       %s, %u cores\ncompiler  %s\nflags     %s\n", BENCH_COMMIT, cpu,
           measure_core_count(), MEASURE_COMPILER, BENCH_FLAGS);
}

#endif
