/* The main job: replays two real traces through the cache at 1, 10 and 25 % of their keys, with one
   thread and with one a core, and tells how many requests hit, whether they are to the unit those
   that hit in a textbook's LRU, how long a call took, and what an entry costs.

   build/main_job [DIRECTORY OF THE TRACES]      (bench/traces)

   Ends with 0 only where every comparison with the textbook is equal. */

#include "measure.h"
#include "metrics_print.h"
#include "progress.h"
#include "replay_run.h"
#include "textbook.h"

#include <stdarg.h>

enum { TIMED_ROUNDS = 5, LATENCY_SAMPLE_EVERY = 16, VALUE_BYTES = 16 };

typedef struct trace_choice {
    const char *name;
    bool is_ttl_used;
} trace_choice;

static const trace_choice choices[] = {{"cache2k_web12", false}, {"dns_top100", true}};
static const uint32_t percents[] = {1, 10, 25};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define CHOICE_COUNT COUNT_OF(choices)
#define MAX_ROWS (CHOICE_COUNT * COUNT_OF(percents) * 2)

/* What a textbook's LRU does with a trace. */
typedef struct verdict {
    uint64_t hits, digest;
} verdict;

/* One line of the table. */
typedef struct row {
    const char *trace_name;
    uint64_t capacity;
    uint32_t thread_count;
    verdict expected;
    bool is_equal;           /* in every round; told with one thread only */
    double ns_per_call;      /* a get or a set, in one thread; median of the rounds */
    replay_result last;      /* of the run that sampled latencies */
} row;

typedef struct job {
    row rows[MAX_ROWS];
    size_t row_count;
    uint64_t runs_done, run_total;
} job;

/* ---- The textbook --------------------------------------------------------------------------- */

static bool textbook_replay(const trace *requests, uint32_t capacity, bool is_ttl_used,
                            verdict *result)
{
    textbook book;
    int64_t now_s = 0;
    *result = (verdict){0, REPLAY_DIGEST_START};
    if (!textbook_create(&book, capacity, requests->key_count)) return false;
    for (size_t i = 0; i < requests->request_count; i++) {
        const trace_request *request = &requests->requests[i];
        if (request->ts_s > now_s) now_s = request->ts_s;
        bool is_mortal = is_ttl_used && request->ttl_s != TRACE_UNKNOWN;
        int64_t deadline_s = is_mortal ? now_s + request->ttl_s : TEXTBOOK_NEVER;
        bool is_hit = textbook_request(&book, request->key_id, now_s, deadline_s);
        result->hits += is_hit;
        result->digest = replay_digest_add(result->digest, is_hit);
    }
    textbook_destroy(&book);
    return true;
}

/* ---- Running -------------------------------------------------------------------------------- */

/* One run, noted in the row and on the progress bar. Returns a REPLAY_ status. */
static int run_once(job *all, row *into, const trace *requests, const replay_options *options)
{
    char what[64];
    snprintf(what, sizeof what, "%s, %llu entries, %u thread%s", into->trace_name,
             (unsigned long long)into->capacity, options->thread_count,
             options->thread_count == 1 ? "" : "s");
    progress_draw(all->runs_done++, all->run_total, what);
    int status = replay_run(requests, options, &into->last);
    if (options->thread_count == 1 && (into->last.hits != into->expected.hits ||
                                       into->last.digest != into->expected.digest))
        into->is_equal = false;
    return status;
}

/* Wall time of all threads over all calls: what one call took one thread. */
static double ns_per_call(const replay_result *result, uint32_t thread_count)
{
    double calls = (double)(result->requests + result->misses);
    return calls == 0 ? 0 : result->seconds * 1e9 * thread_count / calls;
}

/* Timed rounds as fast as can be; then one that samples latencies and keeps the threads together,
   which would both slow the timed ones, and gives the hits. */
static int run_row(job *all, row *into, const trace *requests, bool is_ttl_used)
{
    double times_ns[TIMED_ROUNDS];
    replay_options options = {
        .capacity = into->capacity,
        .value_bytes = VALUE_BYTES,
        .is_ttl_used = is_ttl_used,
        .thread_count = into->thread_count,
    };
    into->is_equal = true;
    for (int i = 0; i < TIMED_ROUNDS; i++) {
        int status = run_once(all, into, requests, &options);
        if (status != REPLAY_OK) return status;
        times_ns[i] = ns_per_call(&into->last, into->thread_count);
    }
    into->ns_per_call = measure_quantile(times_ns, TIMED_ROUNDS, 0.5);
    options.latency_sample_every = LATENCY_SAMPLE_EVERY;
    options.max_lead = REPLAY_SMALL_LEAD;
    return run_once(all, into, requests, &options);
}

/* The rows of one trace and capacity: one thread, and one a core where there are several. */
static int run_capacity(job *all, const trace *requests, const trace_choice *choice,
                        uint32_t capacity)
{
    verdict expected;
    if (!textbook_replay(requests, capacity, choice->is_ttl_used, &expected)) {
        fprintf(stderr, "main_job: out of memory\n");
        return REPLAY_FAILED;
    }
    uint32_t core_count = measure_core_count();
    uint32_t counts[2] = {1, core_count < 1024 ? core_count : 1024};
    for (int i = 0; i < (core_count > 1 ? 2 : 1); i++) {
        row *into = &all->rows[all->row_count++];
        *into = (row){.trace_name = choice->name, .capacity = capacity,
                      .thread_count = counts[i], .expected = expected};
        int status = run_row(all, into, requests, choice->is_ttl_used);
        if (status != REPLAY_OK) return status;
    }
    return REPLAY_OK;
}

static int run_trace(job *all, const char *directory, const trace_choice *choice)
{
    char file[4096];
    trace requests;
    int length = snprintf(file, sizeof file, "%s/%s.txt.gz", directory, choice->name);
    if (length < 0 || (size_t)length >= sizeof file || !trace_read(&requests, file)) {
        fprintf(stderr, "main_job: the trace %s cannot be read\n", choice->name);
        return REPLAY_BAD_INPUT;
    }
    int status = REPLAY_OK;
    for (size_t i = 0; i < COUNT_OF(percents) && status == REPLAY_OK; i++) {
        uint32_t capacity = (uint32_t)((uint64_t)requests.key_count * percents[i] / 100);
        status = run_capacity(all, &requests, choice, capacity == 0 ? 1 : capacity);
    }
    trace_free(&requests);
    return status;
}

/* ---- The table ------------------------------------------------------------------------------ */

/* "p50/p99/p99.9" of a latency. */
static const char *percentiles(const sark_cache_latency *latency, char text[static 64])
{
    if (latency->count == 0) return "-";
    snprintf(text, 64, "%llu/%llu/%llu", (unsigned long long)latency->p50_ns,
             (unsigned long long)latency->p99_ns, (unsigned long long)latency->p999_ns);
    return text;
}

static void print_row(const row *line)
{
    char hits[64], sets[64];
    double requests = line->last.requests == 0 ? 1 : (double)line->last.requests;
    const char *equal = line->thread_count > 1 ? "-" : line->is_equal ? "yes" : "NO";
    printf("%-13s %8llu %7u %8llu  %.6f  %.6f %5s %7.1f %18s %18s %8llu\n", line->trace_name,
           (unsigned long long)line->capacity, line->thread_count,
           (unsigned long long)line->last.requests, (double)line->last.hits / requests,
           (double)line->expected.hits / requests, equal, line->ns_per_call,
           percentiles(&line->last.metrics.hit, hits), percentiles(&line->last.metrics.set, sets),
           (unsigned long long)line->last.metrics.overhead_bytes_per_entry);
}

static void print_table(const job *all)
{
    measure_print_setting();
    printf("\n%-13s %8s %7s %8s  %8s  %8s %5s %7s %18s %18s %8s\n", "trace", "capacity", "threads",
           "requests", "hits", "textbook", "equal", "ns/call", "hit ns", "set ns", "overhead");
    for (size_t i = 0; i < all->row_count; i++) print_row(&all->rows[i]);
    printf("\n"
           "hits, textbook  share of the requests that hit, here and in a textbook's LRU that\n"
           "                expires eagerly; equal: the same requests, one by one, in %d runs.\n"
           "                With several threads neighbours in the trace run at the same time, so\n"
           "                that both may miss, and their order is chance (within %d a thread)\n"
           "ns/call         a get or a set, as one thread sees it; median of %d runs\n"
           "hit ns, set ns  p50/p99/p99.9 of one call in %d, in a run of its own\n"
           "overhead        bytes an entry takes beside its key and value\n",
           TIMED_ROUNDS + 1, REPLAY_SMALL_LEAD, TIMED_ROUNDS, LATENCY_SAMPLE_EVERY);
}

/* Returns how many comparisons with the textbook are unequal. */
static size_t print_report(const job *all)
{
    size_t unequal = 0;
    print_table(all);
    const row *last = &all->rows[all->row_count - 1];
    printf("\nmetrics of the last run (%s, %llu entries, %u threads)\n", last->trace_name,
           (unsigned long long)last->capacity, last->thread_count);
    metrics_print(&last->last.metrics);
    for (size_t i = 0; i < all->row_count; i++) unequal += !all->rows[i].is_equal;
    if (unequal > 0) {
        fflush(stdout);
        fprintf(stderr, "main_job: %zu of the comparisons are unequal\n", unequal);
    }
    return unequal;
}

int main(int argc, char **argv)
{
    static job all;
    if (argc > 2) {
        fprintf(stderr, "usage: main_job [DIRECTORY OF THE TRACES]\n");
        return REPLAY_BAD_INPUT;
    }
    size_t counts_of_threads = measure_core_count() > 1 ? 2 : 1;
    all.run_total = CHOICE_COUNT * COUNT_OF(percents) * counts_of_threads * (TIMED_ROUNDS + 1);
    int status = REPLAY_OK;
    for (size_t i = 0; i < CHOICE_COUNT && status == REPLAY_OK; i++)
        status = run_trace(&all, argc == 2 ? argv[1] : "bench/traces", &choices[i]);
    progress_clear();
    if (status == REPLAY_OK && print_report(&all) > 0) status = REPLAY_FAILED;
    return status;
}
