/* The harness of all tests: cases that check, one line each, and a last line with the counts.

   A test program defines cases with TEST(name) { ... } and runs them in main:
       int main(void) { RUN(name); return test_summary(); }
   Inside a case CHECK(condition) notes a failure and goes on; REQUIRE(condition) also leaves the
   case. Checks may come from several threads. Needs libc alone, so that it runs on every target. */

#ifndef SARK_TEST_H
#define SARK_TEST_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic(int) test_failures_in_case;
static int test_passed, test_failed;

#define TEST(name) static void test_##name(void)

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition) && atomic_fetch_add(&test_failures_in_case, 1) < 10)                     \
            printf("  %s:%d: CHECK(%s)\n", __FILE__, __LINE__, #condition);                       \
    } while (0)

#define REQUIRE(condition)                                                                        \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            printf("  %s:%d: REQUIRE(%s)\n", __FILE__, __LINE__, #condition);                     \
            atomic_fetch_add(&test_failures_in_case, 1);                                          \
            return;                                                                               \
        }                                                                                         \
    } while (0)

#define RUN(name) test_run(#name, test_##name)

static inline void test_run(const char *name, void (*body)(void))
{
    atomic_store(&test_failures_in_case, 0);
    body();
    int failures = atomic_load(&test_failures_in_case);
    printf("%s %s\n", failures ? "FAIL" : "ok  ", name);
    fflush(stdout);
    if (failures) test_failed++;
    else test_passed++;
}

static inline int test_summary(void)
{
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed != 0;
}

#endif
