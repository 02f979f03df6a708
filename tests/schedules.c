/* The cache's own code under a serial scheduler with a seed: every two functions on one key, and
   scenarios of two or three threads on several (tests/schedule/).

   schedules                    all scenarios; a line each, and how many schedules there were
   schedules SCENARIO           that one alone, such as set+delete or evict-three
   schedules SCENARIO SEED      one schedule again, with the switches between its threads; a failure
                                gives both: "FAIL SCENARIO seed SEED: why"

   SARK_TEST_SCALE and SARK_TEST_SEED (tests/threads.h) set how many schedules and the first seed.
   The same seed gives the same schedule while the header and the scenario are the same: it counts
   the points that the threads pass. `make build/gcc-plain/schedules CC=gcc` builds it, and
   `build/gcc-plain/schedules SCENARIO SEED` repeats a failure; a debugger that stops at
   schedule_switch shows where each thread was. */

#define SARKI_MODEL "schedule/model.h"
#define SARKI_SPINS 2u
#define SARKI_SLOTS 2u     /* so that a few keys overflow a bucket */
#define SARKI_REPORTERS 1u /* so that a second one waits */
#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "schedule/driver.h"
#include "schedule/pairs.h"
#include "schedule/scenarios.h"
#include "schedule/toys.h"

#define USUAL_SCHEDULES 10000 /* of each scenario */

enum { SCENARIOS = PAIR_CALLS * (PAIR_CALLS + 1) / 2 + PLAY_SCRIPTS };

static scenario scenarios[SCENARIOS];

static const scenario *find(const char *name)
{
    for (uint32_t i = 0; i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, name) == 0) return &scenarios[i];
    printf("there is no scenario %s\n", name);
    exit(2);
}

/* Runs all scenarios, or the one given. */
static int run(const scenario *only)
{
    uint64_t seed = test_seed(), begin = test_now_ns();
    uint64_t count = test_scaled(USUAL_SCHEDULES, 10);
    if (!only) toys_run(seed);
    for (uint32_t i = 0; i < SCENARIOS; i++)
        if (!only || only == &scenarios[i]) driver_run(&scenarios[i], seed, count);
    double seconds = (double)(test_now_ns() - begin) / 1e9;
    printf("%llu schedules in %.1f s\n", (unsigned long long)driver_schedules, seconds);
    return test_summary();
}

int main(int argument_count, char **arguments)
{
#if defined(SCHEDULE_NOT_HERE)
    puts("not run: schedules (" SCHEDULE_NOT_HERE ")");
    return 77;
#endif
    (void)play_scenarios(scenarios, pair_scenarios(scenarios, 0));
    driver_create();
    const scenario *only = argument_count > 1 ? find(arguments[1]) : NULL;
    if (argument_count < 3) return run(only);
    driver_replay(only, strtoull(arguments[2], NULL, 10));
    return 0;
}
