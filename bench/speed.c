/* Measures sark_cache beside its rivals: every subject is given every workload, in rounds, each in
   its turn; see bench/README.md.

   build/speed [--rounds N] [--subjects A,B] [--workloads A,B] [--threads 1,2,4] [--csv FILE]
               [--check] [--print-plans]

   --csv: each measurement of each round. --check: ends with 1 where a figure that is to be reached
   was measured and missed. --print-plans: prints the plans, as subjects are given them, instead. */

#include "measure.h"
#include "plans.h"
#include "progress.h"
#include "subject_link.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "build/bench"
#define MATERIAL FOLDER "/material"

enum { MAX_ROUNDS = 99, MAX_SUBJECTS = 32, MAX_PLANS = 64, MAX_COUNTS = 8 };

static const char *const known_subjects[] = {
    "sark_cache", "sark_cache-16", "floor", "liburcu", "libcuckoo", "mutex-own", "mutex-own-64",
    "mutex-stb", "mutex-stb-64", "first-version", "caffeine", "golang-lru", "ristretto", "tbb",
    "redis", "redis-unix", "redis-64", "redis-unix-64", "memcached", "memcached-unix",
    "memcached-64", "memcached-unix-64",
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* One workload with one number of threads on one subject. */
typedef struct cell {
    bool is_measured;
    uint32_t warm, calls;
    uint32_t round_count;
    answer rounds[MAX_ROUNDS];
} cell;

typedef struct job {
    subject_link subjects[MAX_SUBJECTS];
    size_t subject_count;
    const plan *plans[MAX_PLANS];
    size_t plan_count;
    uint32_t thread_counts[MAX_COUNTS];
    size_t count_count;
    int round_count;
    cell *cells; /* by plan, number of threads, subject */
    FILE *csv;
    uint64_t runs_done, run_total;
} job;

static cell *cell_at(const job *all, size_t plan_index, size_t count_index, size_t subject_index)
{
    return &all->cells[(plan_index * all->count_count + count_index) * all->subject_count +
                       subject_index];
}

static void fail(const char *what)
{
    progress_clear();
    fprintf(stderr, "speed: %s\n", what);
    exit(2);
}

/* ---- What is measured ----------------------------------------------------------------------- */

static bool is_server(const subject_link *subject)
{
    return strncmp(subject->name, "redis", 5) == 0 || strncmp(subject->name, "memcached", 9) == 0;
}

/* Whether a subject can do a workload, and whether that says anything. */
static bool suits(const subject_link *subject, const plan *what, uint32_t thread_count)
{
    if (what->max_threads > 0 && thread_count > what->max_threads) return false;
    if (plan_is_storm(what) && thread_count < 2) return false;
    if (plan_evicts(what) && !subject->evicts) return false;
    if (what->needs_expiry && !subject->expires) return false;
    return what->is_for_servers || !is_server(subject);
}

/* A first run that is not counted. A subject that is slow is given fewer calls. */
static void try_out(const plan *what, uint32_t thread_count, subject_link *subject, cell *into)
{
    enum { PILOT_CALLS = 50 };
    const double longest_ns = 1e9;
    uint32_t length = plan_length(what, thread_count);
    answer pilot;
    into->warm = what->kind == PLAN_TRACE ? 0 : what->warm;
    into->calls = length - into->warm;
    bool keeps_warm = what->kind == PLAN_BURST || plan_is_beside(what);
    uint32_t pilot_warm = keeps_warm ? into->warm : 0;
    if (!subject_run(subject, what, thread_count, MATERIAL, pilot_warm, PILOT_CALLS, &pilot))
        return;
    into->is_measured = true;
    double ns_per_call = pilot.wall_ns / PILOT_CALLS, expected_ns = ns_per_call * into->calls;
    if (expected_ns > 20 * longest_ns) {
        into->calls = (uint32_t)(longest_ns / ns_per_call) + 20;
    } else if (!subject_run(subject, what, thread_count, MATERIAL, into->warm, into->calls,
                            &pilot)) {
        into->is_measured = false;
    } else if (pilot.wall_ns > longest_ns) {
        into->calls = (uint32_t)((double)into->calls * longest_ns / pilot.wall_ns) + 1;
    }
    if (!keeps_warm && into->calls < length - into->warm)
        into->warm = (uint32_t)((uint64_t)into->warm * into->calls / length);
}

static void write_csv(FILE *csv, int round, const plan *what, uint32_t thread_count,
                      const subject_link *subject, const answer *from)
{
    if (csv == NULL) return;
    fprintf(csv, "%d,%s,%u,%s,%llu,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f", round + 1, what->name,
            thread_count, subject->name, (unsigned long long)from->calls, from->wall_ns,
            from->processor_ns, from->hits, from->misses, from->size, from->memory_bytes);
    for (int i = 0; i < 4; i++) fprintf(csv, ",%.0f", from->get_ns[i]);
    for (int i = 0; i < 4; i++) fprintf(csv, ",%.0f", from->set_ns[i]);
    fprintf(csv, ",%.0f\n", from->switches);
    fflush(csv);
}

/* One workload on each subject, beginning with another one in each round. Round -1 is not
   counted. */
static void run_plan(job *all, int round, size_t plan_index, size_t count_index)
{
    const plan *what = all->plans[plan_index];
    uint32_t thread_count = all->thread_counts[count_index];
    if (round < 0 && !plan_write_files(what, thread_count, MATERIAL)) exit(2);
    for (size_t turn = 0; turn < all->subject_count; turn++) {
        size_t s = (turn + (size_t)(round + 1)) % all->subject_count;
        subject_link *subject = &all->subjects[s];
        cell *into = cell_at(all, plan_index, count_index, s);
        char text[64];
        snprintf(text, sizeof text, "%s, %s, %u", what->name, subject->name, thread_count);
        progress_draw(all->runs_done++, all->run_total, text);
        if (!suits(subject, what, thread_count)) continue;
        if (round < 0) {
            try_out(what, thread_count, subject, into);
            continue;
        }
        if (!into->is_measured) continue;
        answer *result = &into->rounds[round];
        if (!subject_run(subject, what, thread_count, MATERIAL, into->warm, into->calls, result)) {
            into->is_measured = false;
            continue;
        }
        into->round_count = (uint32_t)round + 1;
        write_csv(all->csv, round, what, thread_count, subject, result);
    }
}

static void run_rounds(job *all)
{
    all->run_total = (uint64_t)(all->round_count + 1) * all->plan_count * all->count_count *
                     all->subject_count;
    for (int round = -1; round < all->round_count; round++)
        for (size_t p = 0; p < all->plan_count; p++)
            for (size_t c = 0; c < all->count_count; c++) run_plan(all, round, p, c);
    progress_clear();
}

/* ---- Medians -------------------------------------------------------------------------------- */

/* Something of an answer, as a number. */
typedef double (*quantity)(const answer *of);

static double ns_per_call(const answer *of) { return of->wall_ns / (double)of->calls; }
static double hit_percent(const answer *of)
{
    return of->hits + of->misses > 0 ? 100 * of->hits / (of->hits + of->misses) : 0;
}
static double memory_bytes(const answer *of) { return of->memory_bytes; }
static double get_p99(const answer *of) { return of->get_ns[1]; }
static double get_p999(const answer *of) { return of->get_ns[2]; }
static double set_p999(const answer *of) { return of->set_ns[2]; }
static double set_p99(const answer *of) { return of->set_ns[1]; }

static double median_of(const cell *from, quantity what)
{
    double values[MAX_ROUNDS];
    for (uint32_t i = 0; i < from->round_count; i++) values[i] = what(&from->rounds[i]);
    return measure_quantile(values, from->round_count, 0.5);
}

/* Distance of the quartiles, in percent of the median. */
static double spread_of(const cell *from, quantity what)
{
    double values[MAX_ROUNDS];
    for (uint32_t i = 0; i < from->round_count; i++) values[i] = what(&from->rounds[i]);
    double median = measure_quantile(values, from->round_count, 0.5);
    if (median <= 0) return 0;
    return 100 * (measure_quantile(values, from->round_count, 0.75) -
                  measure_quantile(values, from->round_count, 0.25)) / median;
}

/* Median of the rounds' ratios of one to another. */
static double ratio_of(const cell *from, quantity of_from, const cell *to, quantity of_to)
{
    double values[MAX_ROUNDS];
    uint32_t count = from->round_count < to->round_count ? from->round_count : to->round_count;
    for (uint32_t i = 0; i < count; i++)
        values[i] = of_from(&from->rounds[i]) / of_to(&to->rounds[i]);
    return measure_quantile(values, count, 0.5);
}

/* ---- Tables --------------------------------------------------------------------------------- */

static bool is_anything(const job *all, size_t p, size_t c)
{
    for (size_t s = 0; s < all->subject_count; s++)
        if (cell_at(all, p, c, s)->is_measured) return true;
    return false;
}

/* A call of one thread in ns, its spread, and how many times that of sark_cache it is. */
static void print_throughput(const job *all, size_t p, size_t c, size_t s)
{
    const cell *from = cell_at(all, p, c, s), *to = cell_at(all, p, c, 0);
    if (!from->is_measured) {
        printf("  %30s", "-");
        return;
    }
    double spread = spread_of(from, ns_per_call);
    printf("  %11.1f %4.0f %%%c", median_of(from, ns_per_call), spread, spread > 5 ? '!' : ' ');
    if (to->is_measured) printf(" %8.2f x", ratio_of(from, ns_per_call, to, ns_per_call));
    else printf(" %10s", "");
}

static void print_latency(const cell *from, const plan *what)
{
    bool is_set = what->kind == PLAN_INSERT || what->kind == PLAN_BURST;
    for (int q = 0; q < 4; q++) {
        double values[MAX_ROUNDS];
        for (uint32_t i = 0; i < from->round_count; i++)
            values[i] = is_set ? from->rounds[i].set_ns[q] : from->rounds[i].get_ns[q];
        printf(" %9.0f", measure_quantile(values, from->round_count, 0.5));
    }
    double values[MAX_ROUNDS];
    for (uint32_t i = 0; i < from->round_count; i++) values[i] = from->rounds[i].switches;
    printf(" %8.0f", measure_quantile(values, from->round_count, 0.5));
}

static void print_latency_table(const job *all, size_t p)
{
    for (size_t c = 0; c < all->count_count; c++) {
        if (!is_anything(all, p, c)) continue;
        printf("%u thread%s; ns         p50       p99     p99.9   largest switches\n",
               all->thread_counts[c], all->thread_counts[c] == 1 ? " " : "s");
        for (size_t s = 0; s < all->subject_count; s++) {
            const cell *from = cell_at(all, p, c, s);
            if (!from->is_measured) continue;
            printf("%-17s", all->subjects[s].name);
            print_latency(from, all->plans[p]);
            printf("\n");
        }
    }
}

static void print_throughput_table(const job *all, size_t p)
{
    const plan *what = all->plans[p];
    printf("%-17s", "ns a call");
    for (size_t c = 0; c < all->count_count; c++)
        if (is_anything(all, p, c)) printf("  %9u thread%s             ", all->thread_counts[c],
                                           all->thread_counts[c] == 1 ? " " : "s");
    printf("%s\n", what->is_read_through ? "   hits" : "");
    for (size_t s = 0; s < all->subject_count; s++) {
        double hits = -1;
        bool is_any = false;
        for (size_t c = 0; c < all->count_count; c++) {
            const cell *from = cell_at(all, p, c, s);
            is_any = is_any || from->is_measured;
            if (from->is_measured && hits < 0) hits = median_of(from, hit_percent);
        }
        if (!is_any) continue;
        printf("%-17s", all->subjects[s].name);
        for (size_t c = 0; c < all->count_count; c++)
            if (is_anything(all, p, c)) print_throughput(all, p, c, s);
        if (what->is_read_through) printf(" %5.1f %%", hits);
        printf("\n");
    }
}

static void print_memory_table(const job *all, size_t p)
{
    const plan *what = all->plans[p];
    uint32_t payload = what->key_bytes + what->value_bytes;
    printf("\nmemory of %u entries of %u + %u bytes, with TTLs where there are such\n%-17s %12s "
           "%12s\n", what->fill, what->key_bytes, what->value_bytes, "bytes an entry", "in all",
           "beside these");
    for (size_t s = 0; s < all->subject_count; s++) {
        const cell *from = cell_at(all, p, 0, s);
        if (!from->is_measured) continue;
        double bytes = median_of(from, memory_bytes) / what->fill;
        printf("%-17s %12.1f %12.1f\n", all->subjects[s].name, bytes, bytes - payload);
    }
}

static void print_tables(const job *all)
{
    measure_print_setting();
    printf("rounds    %d, TTL of an hour on all entries unless said otherwise\nsubjects ",
           all->round_count);
    for (size_t s = 0; s < all->subject_count; s++)
        printf(" %s%s%s", all->subjects[s].name, all->subjects[s].version[0] == '-' ? "" : " ",
               all->subjects[s].version[0] == '-' ? "" : all->subjects[s].version);
    printf("\n");
    for (size_t p = 0; p < all->plan_count; p++) {
        printf("\n%s: %s\n", all->plans[p]->name, all->plans[p]->title);
        if (all->plans[p]->is_latency) print_latency_table(all, p);
        else print_throughput_table(all, p);
    }
    for (size_t p = 0; p < all->plan_count; p++)
        if (strcmp(all->plans[p]->name, "latency-set") == 0) print_memory_table(all, p);
}

/* ---- Figures to reach ----------------------------------------------------------------------- */

#define OWN "sark_cache"
#define BY_16 OWN "-16"

/* The ratio of sark_cache, alone or by batches, to another subject, or to itself otherwise. */
static const struct figure {
    const char *of, *plan;
    uint32_t threads;
    quantity what;
    const char *other_plan; /* NULL: the same */
    uint32_t other_threads;
    const char *other;
    double most;
} figures[] = {
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "floor", 1.25},
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "liburcu", 1.0},
    {OWN, "hit-zipf", 2, ns_per_call, NULL, 1, OWN, 1.1},
    {OWN, "hit-uniform", 1, ns_per_call, NULL, 1, "floor", 1.25},
    {BY_16, "hit-uniform", 1, ns_per_call, NULL, 1, OWN, 1 / 3.0},
    {OWN, "hot-1", 2, ns_per_call, NULL, 2, "floor", 1.5},
    {OWN, "read-through", 1, ns_per_call, NULL, 1, "mutex-own", 1.0},
    {OWN, "read-through", 2, ns_per_call, NULL, 2, "mutex-own-64", 0.6},
    {OWN, "insert", 1, ns_per_call, NULL, 1, "mutex-own", 1.1},
    {OWN, "insert", 2, ns_per_call, NULL, 2, "mutex-own-64", 0.7},
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "first-version", 1 / 3.5},
    {OWN, "insert", 1, ns_per_call, NULL, 1, "first-version", 1 / 20000.0},
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "caffeine", 1 / 1.7},
    {OWN, "insert", 1, ns_per_call, NULL, 1, "caffeine", 1 / 8.0},
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "redis-unix", 1 / 200.0},
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "redis-unix-64", 1 / 10.0},
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "memcached-unix", 1 / 200.0},
    {OWN, "hit-zipf", 1, ns_per_call, NULL, 1, "memcached-unix-64", 1 / 10.0},
    {OWN, "latency-storm", 2, get_p999, "latency-hit", 1, OWN, 2.0},
    {OWN, "beside-burst", 2, get_p99, "beside-inserts", 2, OWN, 1.2},
};

/* What is to be reached in itself, in ns. */
static const struct limit {
    const char *plan, *name;
    quantity what;
    double most;
} limits[] = {
    {"latency-set", "p99.9 of inserts", set_p999, 5000},
    {"burst", "p99 of inserts", set_p99, 20000},
};

static const cell *find_cell(const job *all, const char *name, uint32_t threads,
                             const char *subject)
{
    for (size_t p = 0; p < all->plan_count; p++)
        for (size_t c = 0; c < all->count_count; c++)
            for (size_t s = 0; s < all->subject_count; s++)
                if (strcmp(all->plans[p]->name, name) == 0 && all->thread_counts[c] == threads &&
                    strcmp(all->subjects[s].name, subject) == 0 &&
                    cell_at(all, p, c, s)->is_measured)
                    return cell_at(all, p, c, s);
    return NULL;
}

/* Prints a number that is to be at most another. Returns whether it is. */
static bool print_figure(double is, double most, const char *unit)
{
    printf(" %10.4g %10.4g%-3s %s\n", is, most, unit, is <= most ? "reached" : "MISSED");
    return is <= most;
}

/* sark_cache's time over another's, with 10^power entries; 0: not measured. */
static double growth_ratio(const job *all, const char *kind, int power, const char *other)
{
    char name[64];
    snprintf(name, sizeof name, "growth-%s-%d", kind, power);
    const cell *from = find_cell(all, name, 1, OWN), *to = find_cell(all, name, 1, other);
    return from == NULL || to == NULL ? 0 : ratio_of(from, ns_per_call, to, ns_per_call);
}

/* Prints how a ratio grows with the entries. Returns how many times it did. */
static int print_growth(const job *all, const char *kind, const char *other)
{
    double first = growth_ratio(all, kind, 3, other);
    int missed = 0;
    for (int power = 4; power <= 7 && first > 0; power++) {
        double ratio = growth_ratio(all, kind, power, other);
        char text[128];
        if (ratio == 0) continue;
        snprintf(text, sizeof text, "growth-%s-%d to %s, over that at 10^3", kind, power, other);
        printf("%-72s", text);
        missed += !print_figure(ratio / first, 1, " x");
    }
    return missed;
}

/* Returns how many were missed. */
static int print_figures(const job *all)
{
    int missed = 0;
    printf("\n%-72s %10s %10s\n", "figures to reach", "is", "at most");
    for (size_t i = 0; i < COUNT_OF(figures); i++) {
        const struct figure *at = &figures[i];
        const char *other_plan = at->other_plan ? at->other_plan : at->plan;
        const cell *from = find_cell(all, at->plan, at->threads, at->of);
        const cell *to = find_cell(all, other_plan, at->other_threads, at->other);
        if (from == NULL || to == NULL) continue;
        char text[128];
        snprintf(text, sizeof text, "%s of %s, threads: %u; to %s%s%s, threads: %u", at->plan,
                 at->of, at->threads, at->other_plan ? at->other_plan : "",
                 at->other_plan ? " of " : "", at->other, at->other_threads);
        printf("%-72s", text);
        missed += !print_figure(ratio_of(from, at->what, to, at->what), at->most, " x");
    }
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        const cell *from = find_cell(all, limits[i].plan, 1, OWN);
        if (from == NULL) continue;
        printf("%-14s %-57s", limits[i].plan, limits[i].name);
        missed += !print_figure(median_of(from, limits[i].what), limits[i].most, " ns");
    }
    missed += print_growth(all, "hit", "floor");
    missed += print_growth(all, "insert", "mutex-own");
    return missed;
}

/* ---- Start ---------------------------------------------------------------------------------- */

/* Whether a name is in a list of names with commas between them; every one is in no list. */
static bool is_listed(const char *list, const char *name)
{
    size_t bytes = strlen(name);
    if (list == NULL) return true;
    for (const char *at = list; at != NULL; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strncmp(at, name, bytes) == 0 && (at[bytes] == 0 || at[bytes] == ',')) return true;
    return false;
}

static void start_subjects(job *all, const char *list)
{
    char why[256];
    for (size_t i = 0; i < COUNT_OF(known_subjects); i++) {
        subject_link *into = &all->subjects[all->subject_count];
        if (!is_listed(list, known_subjects[i])) continue;
        if (subject_start(into, FOLDER, known_subjects[i], why, sizeof why)) all->subject_count++;
        else printf("not run: %s (%s)\n", known_subjects[i], why);
    }
    if (all->subject_count == 0) fail("no subject can be run");
}

static void choose_plans(job *all, const char *list)
{
    for (size_t i = 0; i < plan_count; i++)
        if (list ? is_listed(list, plans[i].name) : !plans[i].is_extra)
            all->plans[all->plan_count++] = &plans[i];
    if (all->plan_count == 0) fail("there is no such workload");
}

static void choose_thread_counts(job *all, const char *list)
{
    char *end;
    for (const char *at = list; *at != 0; at = *end == ',' ? end + 1 : end) {
        unsigned long count = strtoul(at, &end, 10);
        if (end == at || count < 1 || count > PLAN_MAX_THREADS || all->count_count == MAX_COUNTS)
            fail("threads are up to 8 numbers from 1 to 64, with commas between them");
        all->thread_counts[all->count_count++] = (uint32_t)count;
    }
}

/* 1, 2, 4 and 16 threads, where there are so many cores. */
static const char *usual_thread_counts(void)
{
    uint32_t cores = measure_core_count();
    return cores >= 16 ? "1,2,4,16" : cores >= 4 ? "1,2,4" : cores >= 2 ? "1,2" : "1";
}

static int print_plans(const job *all)
{
    for (size_t p = 0; p < all->plan_count; p++) {
        const plan *what = all->plans[p];
        for (size_t c = 0; c < all->count_count; c++) {
            uint32_t thread_count = all->thread_counts[c];
            if (!plan_write_files(what, thread_count, MATERIAL)) return 2;
            plan_print(stdout, what, thread_count, MATERIAL, what->warm,
                       plan_length(what, thread_count) - what->warm);
        }
    }
    return 0;
}

static FILE *open_csv(const char *name)
{
    if (name == NULL) return NULL;
    FILE *csv = fopen(name, "w");
    if (csv == NULL) fail("the CSV file cannot be written");
    fprintf(csv, "round,workload,threads,subject,calls,wall_ns,processor_ns,hits,misses,size,"
            "memory_bytes,get_p50_ns,get_p99_ns,get_p999_ns,get_max_ns,set_p50_ns,set_p99_ns,"
            "set_p999_ns,set_max_ns,switches\n");
    return csv;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},    {"subjects", required_argument, NULL, 's'},
        {"workloads", required_argument, NULL, 'w'}, {"threads", required_argument, NULL, 't'},
        {"csv", required_argument, NULL, 'c'},       {"check", no_argument, NULL, 'k'},
        {"print-plans", no_argument, NULL, 'p'},     {NULL, 0, NULL, 0}};
    static job all;
    const char *subjects = NULL, *workloads = NULL, *threads = usual_thread_counts(), *csv = NULL;
    bool is_check = false, prints_plans = false;
    int option;
    all.round_count = 5;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r') all.round_count = atoi(optarg);
        else if (option == 's') subjects = optarg;
        else if (option == 'w') workloads = optarg;
        else if (option == 't') threads = optarg;
        else if (option == 'c') csv = optarg;
        else if (option == 'k') is_check = true;
        else if (option == 'p') prints_plans = true;
        else optind = argc + 1;
    }
    if (optind != argc) fail("usage is in the first lines of bench/speed.c");
    if (all.round_count < 1 || all.round_count > MAX_ROUNDS) fail("rounds are from 1 to 99");
    choose_plans(&all, workloads);
    choose_thread_counts(&all, threads);
    if (prints_plans) return print_plans(&all);
    start_subjects(&all, subjects);
    all.csv = open_csv(csv);
    all.cells = calloc(all.plan_count * all.count_count * all.subject_count, sizeof *all.cells);
    if (all.cells == NULL) fail("out of memory");
    run_rounds(&all);
    print_tables(&all);
    int missed = print_figures(&all);
    for (size_t s = 0; s < all.subject_count; s++) subject_stop(&all.subjects[s]);
    if (all.csv != NULL) fclose(all.csv);
    free(all.cells);
    return is_check && missed > 0;
}
