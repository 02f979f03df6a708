/* What the tests with threads share: the scale of a run, its seed, random numbers, the time, a
   watchdog, and starting and joining threads.

   SARK_TEST_SCALE   percent of the default length or count: 100 unless set. Sanitizer runs take
                     less, soak runs more.
   SARK_TEST_SEED    repeats a run's random numbers (threads still interleave as they like)
   SARK_TEST_LIMIT_S the watchdog's seconds, for slow machines; 0 means no watchdog */

#ifndef SARK_TEST_THREADS_H
#define SARK_TEST_THREADS_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

#define TEST_THREADS 8u

static inline uint64_t test_number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static inline uint64_t test_scale_percent(void)
{
    return test_number_from("SARK_TEST_SCALE", 100);
}

/* A count for this run: the default one times the scale, at least `least`. */
static inline uint64_t test_scaled(uint64_t count, uint64_t least)
{
    uint64_t percent = test_scale_percent();
    uint64_t scaled = count / 100 * percent + count % 100 * percent / 100;
    return scaled < least ? least : scaled;
}

static inline uint64_t test_now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) abort();
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void test_sleep_ns(uint64_t ns)
{
    struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
    (void)nanosleep(&pause, NULL);
}

/* ---- Random numbers (splitmix64) ---- */

static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static inline uint64_t test_below(uint64_t *state, uint64_t bound)
{
    return test_random(state) % bound;
}

/* The seed of this run, printed once. */
static inline uint64_t test_seed(void)
{
    uint64_t seed = test_number_from("SARK_TEST_SEED", test_now_ns() % 1000000000u);
    printf("seed %llu, scale %llu %%\n", (unsigned long long)seed,
           (unsigned long long)test_scale_percent());
    fflush(stdout);
    return seed;
}

/* ---- Watchdog ---- */

static inline void test_watchdog_bark(int signal_number)
{
    static const char text[] = "FAIL watchdog: the case does not end; a deadlock?\n";
    (void)signal_number;
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0) _exit(4);
    abort();
}

/* Ends the program with a message unless it is called again within so many seconds; 0: off.
   abort leaves a core, and a debugger shows who waits for whom. */
static inline void test_watchdog(unsigned seconds)
{
    signal(SIGALRM, test_watchdog_bark);
    if (seconds) seconds = (unsigned)test_number_from("SARK_TEST_LIMIT_S", seconds);
    alarm(seconds);
}

/* ---- Threads ---- */

/* Starts `count` threads, each with its element of an array of contexts, and joins them. */
static inline void test_run_threads(unsigned count, void *(*body)(void *), void *contexts,
                                    size_t context_bytes)
{
    pthread_t threads[64];
    if (count > 64) abort();
    for (unsigned i = 0; i < count; i++) {
        void *context = (unsigned char *)contexts + i * context_bytes;
        if (pthread_create(&threads[i], NULL, body, context) != 0) abort();
    }
    for (unsigned i = 0; i < count; i++)
        if (pthread_join(threads[i], NULL) != 0) abort();
}

#endif
