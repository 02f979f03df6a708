/* What the scenarios share: a small cache of the shipped header in Relacy's model, and a driver.

   A scenario is a class with THREADS, prepare(), run(thread) and finish(); it is searched
   completely within three preemptions, or as many as it says, then at random.

   environment: RELACY_RANDOM    executions of each random search; default a million
                RELACY_ONLY      names of scenarios, with ";" between them: no others are run
                RELACY_WEAKEN    see model.h: only random searches, and the first failure ends all
                RELACY_COMPLETE  with RELACY_WEAKEN: complete searches, too
                RELACY_HISTORY   prints what happened in an execution that fails */

#ifndef SARK_RELACY_SCENARIO_H
#define SARK_RELACY_SCENARIO_H

#include "model.h"
#include <iostream>

#define SARKI_MODEL "model.h"
#define SARKI_SLOTS 2u
#define SARKI_REPORTERS 1u
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

static char model_region[1 << 16] __attribute__((aligned(128)));

template <typename Scenario>
struct model_test : rl::test_suite<model_test<Scenario>, Scenario::THREADS> {
    Scenario scenario;

    void before()
    {
        model_begin();
        model_counter = 1000;
        scenario.prepare();
    }
    void thread(unsigned number) { scenario.run(number); }
    void after() { scenario.finish(); }
};

/* A cache in the model's region. */
static sark_cache *model_cache(uint64_t max_entries, uint32_t leases, uint32_t shards,
                               sark_cache_on_remove on_remove = NULL)
{
    sark_cache *cache = NULL;
    sark_cache_config config;
    memset(&config, 0, sizeof config);
    config.max_entries = max_entries;
    config.max_bytes = sizeof model_region;
    config.shard_count = shards;
    config.lease_count = leases;
    config.pin_count = 1;
    config.hash_seed = 1;
    config.on_remove = on_remove;
    sark_cache_status status =
        sark_cache_create_in(&cache, &config, model_region, sizeof model_region);
    RL_ASSERT(status == SARK_CACHE_OK);
    return cache;
}

/* Gives a thread of the model a home slot, if it has none. */
static void model_home(sark_cache *cache, unsigned thread, unsigned slot)
{
    uint64_t id = (uint64_t)(thread + 1) * 4096u;
    uint32_t hash = (uint32_t)(id * 0x9e3779b97f4a7c15u >> 32) | 0x10000u;
    sarki_home_assign(&cache->leases, hash, slot);
}

/* The entry of a key of one byte; 0: there is none. No thread may be writing. */
static uint32_t model_ref_of(sark_cache *cache, char key)
{
    sarki_spot spot;
    sarki_query query = sarki_query_of(cache, &key, 1);
    return sarki_index_find_locked(&cache->index, cache->region, &query, &spot);
}

/* The end of an execution: the checker as an assertion, and everything destructed. */
static void model_end(sark_cache *cache)
{
    char report[100];
    bool holds = sark_cache_check(cache, report, sizeof report);
    if (!holds && getenv("RELACY_HISTORY")) printf("check: %s\n", report);
    RL_ASSERT(holds);
    model_forget_all();
}

/* Short searches until no execution meets a cell that was not known. In a long one that would be
   taken for a failure, and all that follows be recorded as its history. */
template <typename Scenario> static void model_meet_cells(rl::test_params parameters)
{
    parameters.search_type = rl::random_scheduler_type;
    parameters.iteration_count = 1000;
    size_t known = 0;
    do {
        known = model_known_count;
        rl::simulate<model_test<Scenario> >(parameters);
    } while (known != model_known_count);
}

/* One search: complete within so many preemptions, or, where those are 0, of random executions. */
template <typename Scenario>
static bool model_search(const char *name, unsigned preemptions, unsigned long iterations)
{
    char kind[40] = "random";
    static std::ostream nowhere(0);
    rl::test_params parameters;
    parameters.output_stream = getenv("RELACY_HISTORY") ? &std::cout : &nowhere;
    parameters.progress_stream = &nowhere;
    parameters.search_type =
        preemptions ? rl::fair_context_bound_scheduler_type : rl::random_scheduler_type;
    parameters.context_bound = preemptions;
    parameters.iteration_count = iterations;
    parameters.execution_depth_limit = 10000;
    bool holds = false;
    model_unknow_all(); /* another layout may have cells of other kinds at the same addresses */
    model_meet_cells<Scenario>(parameters);
    for (size_t known = 0; !holds;) {
        known = model_known_count;
        holds = rl::simulate<model_test<Scenario> >(parameters);
        if (known == model_known_count) break;
    }
    if (preemptions) snprintf(kind, sizeof kind, "complete at %u preemptions", preemptions);
    printf("%s %s: %s, %llu executions%s%s\n", holds ? "ok  " : "FAIL", name, kind,
           (unsigned long long)parameters.stop_iteration, holds ? "" : ": ",
           holds ? "" : rl::test_result_str(parameters.test_result));
    fflush(stdout);
    return holds;
}

static int model_passed, model_failed;

/* Counts a search. With a weakened operation the first failure is enough. */
static void model_count(bool holds)
{
    (holds ? model_passed : model_failed)++;
    if (!holds && weakened.last > 0) exit(1);
}

/* Whether a scenario is one of those in RELACY_ONLY. */
static bool model_is_wanted(const char *name)
{
    const char *at = getenv("RELACY_ONLY");
    for (size_t bytes; at; at = at[bytes] ? at + bytes + 1 : NULL) {
        bytes = strcspn(at, ";");
        if (strlen(name) == bytes && memcmp(at, name, bytes) == 0) return true;
    }
    return !getenv("RELACY_ONLY");
}

static unsigned long model_random()
{
    const char *wanted = getenv("RELACY_RANDOM");
    return wanted ? strtoul(wanted, NULL, 10) : 1000000;
}

/* Searches a scenario completely, and at random. A complete search that did not come to its end is
   a failure. */
template <typename Scenario>
static void model_run(const char *name, unsigned preemptions = 3, bool is_long = false)
{
    if (!model_is_wanted(name)) return;
    bool complete = weakened.last == 0 ? !is_long || model_random() > 1000000
                                       : !is_long && getenv("RELACY_COMPLETE");
    if (complete) model_count(model_search<Scenario>(name, preemptions, 0));
    model_count(model_search<Scenario>(name, 0, model_random()));
}

/* The same where the complete search is long: only where more than a million random executions are
   wanted. */
template <typename Scenario>
static void model_run_long(const char *name, unsigned preemptions = 3)
{
    model_run<Scenario>(name, preemptions, true);
}

static int model_summary()
{
    if (weakened.last > 0) printf("the weakened operation ran %lu times\n", weakened.uses);
    printf("%d passed, %d failed\n", model_passed, model_failed);
    return model_failed != 0;
}

#endif
