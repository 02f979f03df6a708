/* Runs scenarios under many schedules: seeds, a process for each scenario, what failed. Include it
   after sark_cache.h with the model of this folder.

   A scenario is a function that runs one schedule, beginning with schedule_begin; it draws from
   the seed which of its variants that is. How many points a schedule has, among which those of
   the changes are drawn, is measured first, with the same seeds each time. */

#ifndef SARK_SCHEDULE_DRIVER_H
#define SARK_SCHEDULE_DRIVER_H

#include <sys/mman.h>
#include <sys/wait.h>

#include "schedule/scheduler.h"
#include "test.h"

/* DRIVER_SECONDS is for a scenario of few schedules; a second more for so many. */
enum { DRIVER_MEASURES = 64, DRIVER_SECONDS = 600, DRIVER_A_SECOND = 1000 };

typedef struct scenario {
    char name[40];
    void (*run)(const struct scenario *scenario, uint64_t seed);
    unsigned one, other; /* of a pair: numbers of its calls; else that of a script */
    unsigned times;      /* as many schedules as others */
} scenario;

/* What the process of a scenario tells the one that waits for it. */
typedef struct driver_progress {
    uint64_t seed, schedules;
} driver_progress;

static driver_progress *driver_progress_shared;
static int64_t driver_length; /* points among which changes are drawn; 0: while it is measured */
static int64_t driver_longest;
static uint64_t driver_schedules; /* run so far, of all scenarios */

/* The scenario's threads begin to run against each other. */
static void driver_arm(void) { schedule_arm(driver_length); }

/* They have ended. */
static void driver_disarm(void)
{
    int64_t points = schedule_disarm();
    if (points > driver_longest) driver_longest = points;
}

/* ---- One schedule ---------------------------------------------------------------------------- */

static void driver_schedule(const scenario *tested, uint64_t seed)
{
    driver_progress_shared->seed = seed;
    schedule.name = tested->name;
    tested->run(tested, seed);
    driver_progress_shared->schedules++;
}

/* Measures the length of a scenario's schedules. */
static void driver_measure(const scenario *tested)
{
    driver_length = driver_longest = 0;
    for (uint64_t seed = 0; seed < DRIVER_MEASURES; seed++) driver_schedule(tested, seed);
    driver_length = driver_longest;
    driver_progress_shared->schedules = 0;
}

static void driver_replay(const scenario *tested, uint64_t seed)
{
    driver_measure(tested);
    printf("%s seed %llu, changes within %lld points\n", tested->name, (unsigned long long)seed,
           (long long)driver_length);
    schedule.is_told = true;
    driver_schedule(tested, seed);
    puts("it holds");
}

/* ---- All schedules of a scenario ------------------------------------------------------------- */

static void driver_process(const scenario *tested, uint64_t first_seed, uint64_t count)
{
    uint64_t seconds = DRIVER_SECONDS + count * tested->times / DRIVER_A_SECOND;
    alarm((unsigned)test_number_from("SARK_TEST_LIMIT_S", seconds));
    driver_measure(tested);
    for (uint64_t i = 0; i < count * tested->times; i++) driver_schedule(tested, first_seed + i);
    fflush(stdout);
    _exit(0);
}

/* In a process of its own, so that a crash is a failure with its seed. Returns how it ended. */
static int driver_fork(const scenario *tested, uint64_t first_seed, uint64_t count, bool is_silent)
{
    int status = 0;
    memset(driver_progress_shared, 0, sizeof *driver_progress_shared);
    fflush(stdout);
    pid_t process = fork();
    if (process == 0) {
        if (is_silent && !freopen("/dev/null", "w", stdout)) abort();
        driver_process(tested, first_seed, count);
    }
    if (process < 0 || waitpid(process, &status, 0) != process) abort();
    return status;
}

static void driver_count(bool passed, const char *name)
{
    printf("%s %s\n", passed ? "ok  " : "FAIL", name);
    fflush(stdout);
    if (passed) test_passed++;
    else test_failed++;
}

/* A scenario with a bug, which is found in so many schedules. */
static void driver_must_find(const scenario *tested, uint64_t first_seed, uint64_t count)
{
    int status = driver_fork(tested, first_seed, count, true);
    driver_count(WIFEXITED(status) && WEXITSTATUS(status) == 1, tested->name);
}

static void driver_run(const scenario *tested, uint64_t first_seed, uint64_t count)
{
    int status = driver_fork(tested, first_seed, count, false);
    bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) > 1))
        printf("FAIL %s seed %llu: ended by %s %d\n", tested->name,
               (unsigned long long)driver_progress_shared->seed,
               WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    driver_schedules += driver_progress_shared->schedules;
    if (!passed)
        printf("  after %llu schedules\n", (unsigned long long)driver_progress_shared->schedules);
    driver_count(passed, tested->name);
}

static void driver_create(void)
{
    driver_progress_shared = mmap(NULL, sizeof *driver_progress_shared, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (driver_progress_shared == MAP_FAILED) abort();
}

#endif
