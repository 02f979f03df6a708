/* The first comparison of speed: sark_cache against one mutex around a stb_ds map with a linked
   list, in one interleaved run.

   build/speed [--check] [--rounds N] [--ttl-ms N]

   In each round every workload is run on each subject, in turns one or the other first, on a cache
   made and filled for it; the ratio is taken round by round. 10^5 entries, keys of 65 bytes, values
   of 120, which are copied out and checked. --check: ends with 1 where a wanted ratio is missed. */

#define _GNU_SOURCE /* pinning threads to cores */
#include "measure.h"
#include "progress.h"
#include "subject.h"
#include "workload.h"

#include <getopt.h>
#include <pthread.h>
#include <sched.h>

enum {
    ENTRY_COUNT = 100000,
    KEY_BYTES = 65,
    VALUE_BYTES = 120,
    HOT_KEY = ENTRY_COUNT / 2,
    MAX_THREADS = 2,
    ZIPF_GETS = 500000,     /* of each thread, in a round */
    HOT_GETS = 1000000,
    INSERTS = 200000,
    WARM_UP = 50000,        /* gets before the time is taken */
    MAX_ROUNDS = 99
};

static const subject *const subjects[] = {&subject_sark, &subject_mutex_stb};

typedef enum workload_kind { ZIPF, HOT, INSERT } workload_kind;

typedef struct workload {
    const char *name;
    workload_kind kind;
    uint32_t thread_count;
    double wanted_ratio; /* of the baseline's time to the cache's; 0: none is wanted */
} workload;

static const workload workloads[] = {
    {"hits, Zipf 0.99", ZIPF, 1, 2.0},
    {"hits, Zipf 0.99", ZIPF, 2, 4.0},
    {"hot key", HOT, 1, 0},
    {"hot key", HOT, 2, 8.0},
    {"insert with eviction", INSERT, 1, 1.5},
    {"insert with eviction", INSERT, 2, 1.5},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define SUBJECT_COUNT COUNT_OF(subjects)
#define WORKLOAD_COUNT COUNT_OF(workloads)

/* Everything that is made before the first round. */
typedef struct material {
    key_pool keys; /* the entries', then those that are inserted */
    key_sequence zipf[MAX_THREADS];
    int64_t ttl_ms;
} material;

/* One workload on one subject, with its threads. */
typedef struct run {
    const material *from;
    const workload *what;
    const subject *on;
    void *cache;
    pthread_barrier_t start;
    uint32_t last_thread;  /* the one that ended last */
    uint64_t processor_ns; /* that the threads had while they were timed */
} run;

typedef struct run_thread {
    run *shared;
    pthread_t thread;
    uint32_t index;
    uint64_t wrong; /* calls that failed, or copied another value */
    uint64_t start_ns, end_ns, processor_ns;
} run_thread;

static void fail(const char *what)
{
    progress_clear();
    fprintf(stderr, "speed: %s\n", what);
    exit(1);
}

/* ---- Calls on the subject ------------------------------------------------------------------- */

/* Gets a key. Returns whether its value was there and is right. */
static inline bool get_right(const run *shared, const char *key, uint64_t number)
{
    unsigned char value[VALUE_BYTES];
    size_t value_bytes = 0;
    return shared->on->get(shared->cache, key, KEY_BYTES, value, sizeof value, &value_bytes) &&
           value_bytes == VALUE_BYTES && workload_is_value(value, VALUE_BYTES, number);
}

/* Gets the first keys of a sequence. Returns how many were not as they should be. */
static uint64_t get_sequence(const run *shared, const key_sequence *sequence, size_t length)
{
    uint64_t wrong = 0;
    for (size_t i = 0; i < length; i++)
        wrong += !get_right(shared, key_sequence_at(sequence, i), sequence->numbers[i]);
    return wrong;
}

/* Gets one key again and again. Returns how often it was not as it should be. */
static uint64_t get_hot(const run *shared, size_t count)
{
    const char *key = key_pool_at(&shared->from->keys, HOT_KEY);
    uint64_t wrong = 0;
    for (size_t i = 0; i < count; i++) wrong += !get_right(shared, key, HOT_KEY);
    return wrong;
}

/* Sets `count` keys from a number on. Returns how many were refused. */
static uint64_t set_range(const run *shared, size_t first, size_t count)
{
    const key_pool *keys = &shared->from->keys;
    unsigned char value[VALUE_BYTES] = {0};
    uint64_t wrong = 0;
    for (size_t i = first; i < first + count; i++) {
        workload_write_value(value, sizeof value, i);
        wrong += !shared->on->set(shared->cache, key_pool_at(keys, i), KEY_BYTES, value,
                                  sizeof value);
    }
    return wrong;
}

static size_t first_insert(uint32_t thread_index)
{
    return ENTRY_COUNT + (size_t)thread_index * INSERTS;
}

static size_t calls_per_thread(const workload *what)
{
    return what->kind == ZIPF ? ZIPF_GETS : what->kind == HOT ? HOT_GETS : INSERTS;
}

/* Does so many of a thread's calls. Returns how many went wrong. */
static uint64_t do_calls(const run *shared, uint32_t thread_index, size_t count)
{
    if (shared->what->kind == INSERT) return set_range(shared, first_insert(thread_index), count);
    if (shared->what->kind == HOT) return get_hot(shared, count);
    return get_sequence(shared, &shared->from->zipf[thread_index], count);
}

/* Pins the calling thread to the core of its number among those that the program may use, so that
   threads meet each other, and not each other's turn. Where that fails they run as they run. */
static void pin_thread(uint32_t thread_index)
{
    cpu_set_t allowed, chosen;
    uint32_t seen = 0;
    CPU_ZERO(&chosen);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    uint32_t wanted = thread_index % (uint32_t)CPU_COUNT(&allowed);
    for (size_t core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &allowed)) continue;
        if (seen++ == wanted) CPU_SET(core, &chosen);
    }
    (void)pthread_setaffinity_np(pthread_self(), sizeof chosen, &chosen);
}

static void *run_thread_main(void *argument)
{
    run_thread *self = argument;
    run *shared = self->shared;
    pin_thread(self->index);
    if (shared->what->kind != INSERT) self->wrong += do_calls(shared, self->index, WARM_UP);
    pthread_barrier_wait(&shared->start);
    uint64_t processor_ns = measure_thread_ns();
    self->start_ns = measure_now_ns();
    self->wrong += do_calls(shared, self->index, calls_per_thread(shared->what));
    self->end_ns = measure_now_ns();
    self->processor_ns = measure_thread_ns() - processor_ns;
    return NULL;
}

/* ---- One workload on one subject ------------------------------------------------------------ */

/* Runs the threads. Returns nanoseconds a call, as one thread sees it. */
static double run_threads(run *shared)
{
    run_thread threads[MAX_THREADS];
    uint32_t thread_count = shared->what->thread_count;
    uint64_t start_ns = UINT64_MAX, end_ns = 0, wrong = 0;
    if (pthread_barrier_init(&shared->start, NULL, thread_count) != 0) fail("no barrier");
    for (uint32_t i = 0; i < thread_count; i++) {
        threads[i] = (run_thread){.shared = shared, .index = i};
        if (pthread_create(&threads[i].thread, NULL, run_thread_main, &threads[i]) != 0)
            fail("a thread cannot be started");
    }
    for (uint32_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i].thread, NULL);
        wrong += threads[i].wrong;
        shared->processor_ns += threads[i].processor_ns;
        if (threads[i].start_ns < start_ns) start_ns = threads[i].start_ns;
        if (threads[i].end_ns <= end_ns) continue;
        end_ns = threads[i].end_ns;
        shared->last_thread = i;
    }
    pthread_barrier_destroy(&shared->start);
    if (wrong > 0) fail("a subject refused a call or gave a wrong value");
    return (double)(end_ns - start_ns) / (double)calls_per_thread(shared->what);
}

/* After inserting: the cache is full, not more, and holds what was inserted last. */
static void check_inserts(const run *shared)
{
    size_t end = first_insert(shared->last_thread + 1);
    if (shared->on->size(shared->cache) != ENTRY_COUNT) fail("a subject is not full to the unit");
    for (size_t i = end - 16; i < end; i++)
        if (!get_right(shared, key_pool_at(&shared->from->keys, i), i))
            fail("a subject lost what was inserted last");
}

static double run_workload(const material *from, const workload *what, const subject *on,
                           double *processor_ns_per_call)
{
    const subject_config config = {ENTRY_COUNT, KEY_BYTES, VALUE_BYTES, from->ttl_ms};
    run shared = {.from = from, .what = what, .on = on, .cache = on->create(&config)};
    if (shared.cache == NULL) fail("a subject cannot be created");
    if (set_range(&shared, 0, ENTRY_COUNT) > 0) fail("a subject refused an entry");
    double ns_per_call = run_threads(&shared);
    if (what->kind == INSERT) check_inserts(&shared);
    on->destroy(shared.cache);
    *processor_ns_per_call = (double)shared.processor_ns / (double)calls_per_thread(what);
    return ns_per_call;
}

/* ---- Rounds and table ----------------------------------------------------------------------- */

typedef struct times {
    double ns[WORKLOAD_COUNT][SUBJECT_COUNT][MAX_ROUNDS];
    /* Sums of what never waits: gets of the cache. By threads - 1, of all of them together. */
    double wall_ns[MAX_THREADS], processor_ns[MAX_THREADS];
} times;

static void run_round(const material *from, int round, int round_count, times *all)
{
    for (size_t w = 0; w < WORKLOAD_COUNT; w++) {
        uint64_t done = (uint64_t)round * WORKLOAD_COUNT + w;
        progress_draw(done, (uint64_t)round_count * WORKLOAD_COUNT, workloads[w].name);
        for (size_t turn = 0; turn < SUBJECT_COUNT; turn++) {
            size_t s = (turn + (size_t)round) % SUBJECT_COUNT;
            double processor_ns = 0;
            double ns = run_workload(from, &workloads[w], subjects[s], &processor_ns);
            all->ns[w][s][round] = ns;
            if (s != 0 || workloads[w].kind == INSERT) continue;
            uint32_t thread_count = workloads[w].thread_count;
            all->wall_ns[thread_count - 1] += ns * thread_count;
            all->processor_ns[thread_count - 1] += processor_ns;
        }
    }
}

/* Prints a line of the table. Returns whether the wanted ratio is reached. */
static bool print_line(const workload *what, double (*ns)[MAX_ROUNDS], size_t round_count)
{
    double ratios[MAX_ROUNDS];
    for (size_t round = 0; round < round_count; round++)
        ratios[round] = ns[1][round] / ns[0][round];
    double ratio = measure_quantile(ratios, round_count, 0.5);
    bool is_comparable = what->thread_count <= measure_core_count();
    bool is_reached = ratio >= what->wanted_ratio || !is_comparable;
    printf("%-22s %7u", what->name, what->thread_count);
    for (size_t s = 0; s < SUBJECT_COUNT; s++)
        printf(" %14.1f", measure_quantile(ns[s], round_count, 0.5));
    printf(" %7.2f %6.2f-%-6.2f", ratio, ratios[0], ratios[round_count - 1]);
    if (what->wanted_ratio > 0) printf(" %6.1f  ", what->wanted_ratio);
    else printf(" %6s  ", "-");
    printf("%s\n", !is_comparable           ? "not told: too few cores"
                   : what->wanted_ratio <= 0 ? ""
                   : is_reached              ? "reached"
                                             : "MISSED");
    return is_reached;
}

/* Returns how many of the wanted ratios are missed. */
static int print_table(times *all, int round_count, int64_t ttl_ms)
{
    int missed = 0;
    measure_print_setting();
    printf("setting   %d entries, keys of %d bytes, values of %d, TTL %lld ms, %d rounds\n"
           "machine   one thread had %.0f %% of a core, two had %.0f %% each; below some 95 the\n"
           "          machine was busy with other things, and the figures mean little\n\n"
           "%-22s %7s",
           ENTRY_COUNT, KEY_BYTES, VALUE_BYTES, (long long)ttl_ms, round_count,
           100 * all->processor_ns[0] / all->wall_ns[0],
           100 * all->processor_ns[1] / all->wall_ns[1], "ns a call", "threads");
    for (size_t s = 0; s < SUBJECT_COUNT; s++) printf(" %14s", subjects[s]->name);
    printf(" %7s %13s %6s\n", "ratio", "least-most", "wanted");
    for (size_t w = 0; w < WORKLOAD_COUNT; w++)
        missed += !print_line(&workloads[w], all->ns[w], (size_t)round_count);
    printf("\nns a call: wall time of a thread, median of the rounds; ratio: of the second to the\n"
           "first, median of the ratios in each round, then the least and the largest of them\n");
    return missed;
}

/* ---- Start ---------------------------------------------------------------------------------- */

static void make_material(material *into)
{
    if (!key_pool_create(&into->keys, first_insert(MAX_THREADS), KEY_BYTES)) fail("out of memory");
    for (uint32_t i = 0; i < MAX_THREADS; i++) {
        key_sequence *sequence = &into->zipf[i];
        if (!key_sequence_create(sequence, &into->keys, ZIPF_GETS, ENTRY_COUNT, 0.99, 1000 + i))
            fail("out of memory");
    }
}

static void free_material(material *from)
{
    key_pool_destroy(&from->keys);
    for (uint32_t i = 0; i < MAX_THREADS; i++) key_sequence_destroy(&from->zipf[i]);
}

/* A whole number from smallest to largest, or the end. */
static long long parse_count(const char *text, long long smallest, long long largest)
{
    char *end = NULL;
    long long count = strtoll(text, &end, 10);
    if (*text != 0 && *end == 0 && count >= smallest && count <= largest) return count;
    fprintf(stderr, "speed: \"%s\" is no number from %lld to %lld\n", text, smallest, largest);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"check", no_argument, NULL, 'c'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"ttl-ms", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    static times all;
    material from = {.ttl_ms = 3600000};
    bool is_check = false;
    int option, round_count = 9;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c') is_check = true;
        else if (option == 'r') round_count = (int)parse_count(optarg, 1, MAX_ROUNDS);
        else if (option == 't') from.ttl_ms = parse_count(optarg, 0, 1000000000000);
        if (option == '?') optind = argc + 1;
    }
    if (optind != argc) {
        fprintf(stderr, "usage: speed [--check] [--rounds N] [--ttl-ms N, 0: none]\n");
        return 2;
    }
    make_material(&from);
    for (int round = 0; round < round_count; round++) run_round(&from, round, round_count, &all);
    progress_clear();
    int missed = print_table(&all, round_count, from.ttl_ms);
    free_material(&from);
    return is_check && missed > 0;
}
