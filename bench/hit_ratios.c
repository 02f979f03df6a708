/* Hits by capacity on access traces: of sark_cache, of S3-FIFO and of the optimum, and of Caffeine
   where it is asked for and its program was built.

   build/hit_ratios [--caffeine] TRACE...

   Each request looks a key up, and stores it where it is missing; TTLs of the traces are not used.
   Capacities are shares of the distinct keys. Prints a table of the form of
   bench/traces/expected.csv, trace,capacity,policy,requests,hits,fnv1a64; Caffeine, which decides
   by chance too, has no digest ("-"). Ends with 0; 1 where something failed; 2 for a bad trace. */

#include "policies.h"
#include "replay_run.h"
#include "subject_link.h"

#include <stdio.h>

#define FOLDER "build/bench"
#define MATERIAL FOLDER "/material"

/* In thousandths of the distinct keys. */
static const uint32_t shares[] = {1, 3, 10, 20, 50, 100, 250, 500};

/* A trace as its keys' numbers, and what is printed of it. */
typedef struct work {
    trace requests;
    uint32_t *keys;
    char name[64];
} work;

typedef struct score {
    uint64_t hits, digest;
} score;

static const score no_hits = {0, REPLAY_DIGEST_START};

static void count(void *context, bool is_hit)
{
    score *so_far = context;
    so_far->hits += is_hit;
    so_far->digest = replay_digest_add(so_far->digest, is_hit);
}

static void print_row(const work *of, uint32_t capacity, const char *policy, uint64_t hits)
{
    printf("%s,%u,%s,%zu,%llu,", of->name, capacity, policy, of->requests.request_count,
           (unsigned long long)hits);
}

static void print_score(const work *of, uint32_t capacity, const char *policy, const score *got)
{
    print_row(of, capacity, policy, got->hits);
    printf("%016llx\n", (unsigned long long)got->digest);
}

static bool run_sark_cache(const work *of, uint32_t capacity)
{
    const replay_options options = {.capacity = capacity, .value_bytes = 16, .thread_count = 1};
    replay_result result;
    if (replay_run(&of->requests, &options, &result) != REPLAY_OK) return false;
    const score got = {result.hits, result.digest};
    print_score(of, capacity, "sark_cache", &got);
    return true;
}

static bool run_s3_fifo(const work *of, uint32_t capacity)
{
    s3_fifo cache;
    score got = no_hits;
    bool is_created = s3_create(&cache, capacity, of->requests.key_count,
                                of->requests.request_count);
    for (size_t i = 0; i < of->requests.request_count && is_created; i++)
        count(&got, s3_request(&cache, of->keys[i]));
    s3_destroy(&cache);
    if (is_created) print_score(of, capacity, "S3FIFO", &got);
    return is_created;
}

static bool run_optimum(const work *of, uint32_t capacity)
{
    score got = no_hits;
    if (!opt_run(of->keys, of->requests.request_count, of->requests.key_count, capacity, count,
                 &got))
        return false;
    print_score(of, capacity, "OPT", &got);
    return true;
}

static bool run_subject(subject_link *on, const work *of, uint32_t capacity)
{
    const plan requests = {.name = "hit-ratio", .key_count = of->requests.key_count,
                           .capacity = capacity, .key_bytes = 16, .value_bytes = 16,
                           .is_read_through = true, .is_prompt = true};
    size_t length = of->requests.request_count;
    answer result;
    if (!plan_write_requests(&requests, of->keys, length, MATERIAL) ||
        !subject_run(on, &requests, 1, MATERIAL, 0, (uint32_t)length, &result))
        return false;
    print_row(of, capacity, on->name, (uint64_t)result.hits);
    printf("-\n");
    return true;
}

/* The trace's file without its folder and what follows the first dot. */
static void name_work(work *of, const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash == NULL ? file : slash + 1;
    snprintf(of->name, sizeof of->name, "%.*s", (int)strcspn(base, "."), base);
}

static bool read_work(work *of, const char *file)
{
    name_work(of, file);
    if (!trace_read(&of->requests, file)) return false;
    of->keys = calloc(of->requests.request_count + 1, sizeof *of->keys);
    for (size_t i = 0; i < of->requests.request_count && of->keys != NULL; i++)
        of->keys[i] = of->requests.requests[i].key_id;
    return of->keys != NULL;
}

static bool run_all(subject_link *caffeine, const work *of)
{
    bool is_done = true;
    for (size_t i = 0; i < sizeof shares / sizeof *shares && is_done; i++) {
        uint32_t capacity = (uint32_t)((uint64_t)of->requests.key_count * shares[i] / 1000);
        if (capacity == 0) continue;
        is_done = run_sark_cache(of, capacity) && run_s3_fifo(of, capacity) &&
                  run_optimum(of, capacity) &&
                  (caffeine->process == 0 || run_subject(caffeine, of, capacity));
    }
    return is_done;
}

int main(int argc, char **argv)
{
    subject_link caffeine = {.name = NULL};
    char why[256];
    int status = REPLAY_OK;
    bool has_caffeine = argc > 1 && strcmp(argv[1], "--caffeine") == 0;
    if (argc < 2 + has_caffeine) {
        fputs("usage: hit_ratios [--caffeine] TRACE...\n", stderr);
        return REPLAY_BAD_INPUT;
    }
    if (has_caffeine && !subject_start(&caffeine, FOLDER, "caffeine", why, sizeof why))
        fprintf(stderr, "not run: caffeine (%s)\n", why);
    printf("trace,capacity,policy,requests,hits,fnv1a64\n");
    for (int i = 1 + has_caffeine; i < argc && status == REPLAY_OK; i++) {
        work of = {.keys = NULL};
        if (!read_work(&of, argv[i])) status = REPLAY_BAD_INPUT;
        else if (!run_all(&caffeine, &of)) status = REPLAY_FAILED;
        trace_free(&of.requests);
        free(of.keys);
    }
    subject_stop(&caffeine);
    return fflush(stdout) == 0 ? status : REPLAY_FAILED;
}
