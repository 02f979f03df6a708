/* The program of a subject that is written in C or C++: reads plans, makes their calls on the
   table of operations it is linked with, and answers; the protocol is in bench/README.md. */

#define _GNU_SOURCE /* pinning threads to cores, usage of one thread */
#include "measure.h"
#include "subject.h"
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { MAX_THREADS = 64, MAX_LINE = 8192 };

static const subject *const on = &subject_measured;

/* ---- Plans ---------------------------------------------------------------------------------- */

typedef struct plan {
    char *keys, *sequences; /* names of files */
    uint64_t key_bytes, value_bytes, capacity, fill, ttl_ms, warm, calls;
    uint64_t read_through, storm, latency; /* 0 or 1 */
} plan;

static const struct plan_word {
    const char *name;
    size_t at;    /* in a plan */
    bool is_text;
} plan_words[] = {
    {"keys", offsetof(plan, keys), true},
    {"sequences", offsetof(plan, sequences), true},
    {"key_bytes", offsetof(plan, key_bytes), false},
    {"value_bytes", offsetof(plan, value_bytes), false},
    {"capacity", offsetof(plan, capacity), false},
    {"fill", offsetof(plan, fill), false},
    {"ttl_ms", offsetof(plan, ttl_ms), false},
    {"warm", offsetof(plan, warm), false},
    {"calls", offsetof(plan, calls), false},
    {"read_through", offsetof(plan, read_through), false},
    {"storm", offsetof(plan, storm), false},
    {"latency", offsetof(plan, latency), false},
};

#define WORD_COUNT (sizeof plan_words / sizeof *plan_words)

/* Takes one name=value. Other names than these are left alone. */
static void take_word(plan *into, char *word)
{
    char *value = strchr(word, '=');
    if (value == NULL) return;
    *value++ = 0;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        char *field = (char *)into + plan_words[i].at;
        if (strcmp(word, plan_words[i].name) != 0) continue;
        if (plan_words[i].is_text) memcpy(field, &value, sizeof value);
        else *(uint64_t *)(void *)field = strtoull(value, NULL, 10);
    }
}

/* The words stay in the line. Returns NULL, or what is wrong. */
static const char *parse_plan(char *line, plan *into)
{
    char *rest = NULL;
    *into = (plan){0};
    for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
        take_word(into, word);
    if (into->keys == NULL || into->sequences == NULL) return "no keys, or no sequences";
    if (into->key_bytes < 16 || into->value_bytes < 16) return "keys or values are too short";
    if (into->calls == 0) return "no calls";
    return NULL;
}

/* ---- What threads share --------------------------------------------------------------------- */

typedef struct run {
    plan what;
    void *cache;
    char *keys; /* the file of them */
    size_t keys_bytes;
    uint32_t thread_count;
    pthread_barrier_t start;
    atomic_bool is_storm_over;
    int64_t memory_bytes;
} run;

/* Each on lines of its own: what one thread counts must not slow another down. */
typedef struct worker {
    _Alignas(128) run *shared;
    pthread_t thread;
    uint32_t index;
    bool has_handle;
    void *handle;
    uint32_t *numbers;    /* its sequence */
    char *text;           /* the keys of it, each in its turn */
    unsigned char *value; /* of batch_length, at least 1, values */
    uint32_t *took_ns;    /* with latency: of each call */
    uint64_t hits, misses, wrong;
    uint64_t start_ns, end_ns, processor_ns;
    int64_t switches;
} worker;

static uint64_t sequence_length(const run *shared)
{
    return shared->what.warm + shared->what.calls;
}

static const char *key_at(const worker *self, uint64_t call)
{
    return self->text + call * (self->shared->what.key_bytes + 1);
}

/* ---- Calls, one at a time ------------------------------------------------------------------- */

static inline void set_one(worker *self, const char *key, uint32_t number)
{
    const plan *what = &self->shared->what;
    workload_write_value(self->value, what->value_bytes, number);
    self->wrong += !on->set(self->handle, key, what->key_bytes, self->value);
}

/* Returns whether it was a hit. */
static inline bool get_one(worker *self, const char *key, uint32_t number)
{
    const plan *what = &self->shared->what;
    if (!on->get(self->handle, key, what->key_bytes, self->value)) {
        self->misses++;
        if (what->read_through) set_one(self, key, number);
        else self->wrong++;
        return false;
    }
    self->wrong += !workload_is_value(self->value, what->value_bytes, number);
    self->hits++;
    return true;
}

/* Makes one call of the sequence. Returns whether it was a hit. */
static inline bool call_one(worker *self, uint64_t call)
{
    uint32_t number = self->numbers[call];
    if (!(number & WORKLOAD_IS_SET)) return get_one(self, key_at(self, call), number);
    set_one(self, key_at(self, call), number & ~WORKLOAD_IS_SET);
    return false;
}

/* ---- Calls, a batch at a time --------------------------------------------------------------- */

/* Sets what was missed. */
static void set_missed(worker *self, subject_call *calls, const uint32_t *numbers, uint32_t count)
{
    const plan *what = &self->shared->what;
    uint32_t missed = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (calls[i].is_set || calls[i].is_done) continue;
        calls[missed] = calls[i];
        calls[missed].is_set = true;
        workload_write_value(calls[missed++].value, what->value_bytes, numbers[i]);
    }
    if (missed > 0) self->wrong += !on->call_many(self->handle, calls, missed);
}

/* Makes so many calls of the sequence, at most SUBJECT_MOST_CALLS, at once. */
static void call_batch(worker *self, uint64_t first, uint32_t count)
{
    const plan *what = &self->shared->what;
    subject_call calls[SUBJECT_MOST_CALLS];
    const uint32_t *numbers = self->numbers + first;
    uint64_t missed = 0;
    for (uint32_t i = 0; i < count; i++) {
        calls[i] = (subject_call){.key = key_at(self, first + i),
                                  .is_set = numbers[i] & WORKLOAD_IS_SET,
                                  .value = self->value + i * what->value_bytes};
        if (calls[i].is_set)
            workload_write_value(calls[i].value, what->value_bytes, numbers[i] & ~WORKLOAD_IS_SET);
    }
    self->wrong += !on->call_many(self->handle, calls, count);
    for (uint32_t i = 0; i < count; i++) {
        bool is_hit = !calls[i].is_set && calls[i].is_done;
        self->hits += is_hit;
        missed += !calls[i].is_set && !is_hit;
        self->wrong += (calls[i].is_set && !calls[i].is_done) ||
                       (is_hit &&
                        !workload_is_value(calls[i].value, what->value_bytes, numbers[i]));
    }
    self->misses += missed;
    if (missed == 0) return;
    if (what->read_through) set_missed(self, calls, numbers, count);
    else self->wrong += missed;
}

static uint32_t batch_at(uint64_t call, uint64_t end)
{
    return end - call < on->batch_length ? (uint32_t)(end - call) : on->batch_length;
}

/* ---- Calls, timed or not -------------------------------------------------------------------- */

static void call_range(worker *self, uint64_t first, uint64_t end)
{
    if (on->batch_length == 0) {
        for (uint64_t call = first; call < end; call++) (void)call_one(self, call);
        return;
    }
    for (uint64_t call = first; call < end; call += on->batch_length)
        call_batch(self, call, batch_at(call, end));
}

enum { TOOK_GET = 0, TOOK_SET = 1 }; /* the lowest bit of what a call took */

static uint32_t took(uint64_t start_ns, uint64_t end_ns, uint32_t kind)
{
    uint64_t ns = end_ns - start_ns;
    return (uint32_t)(ns < INT32_MAX ? ns : INT32_MAX) << 1 | kind;
}

/* Times each call by itself; a call of a batch takes what the batch takes. */
static void time_range(worker *self, uint64_t first, uint64_t end)
{
    uint32_t step = on->batch_length == 0 ? 1 : on->batch_length;
    uint32_t *into = self->took_ns;
    for (uint64_t call = first; call < end; call += step) {
        bool is_hit = false;
        uint64_t start_ns = measure_now_ns();
        if (on->batch_length == 0) is_hit = call_one(self, call);
        else call_batch(self, call, batch_at(call, end));
        uint64_t end_ns = measure_now_ns();
        for (uint64_t i = call; i < end && i < call + step; i++) {
            bool is_set = self->numbers[i] & WORKLOAD_IS_SET ||
                          (self->shared->what.read_through && step == 1 && !is_hit);
            *into++ = took(start_ns, end_ns, is_set ? TOOK_SET : TOOK_GET);
        }
    }
}

/* ---- Threads -------------------------------------------------------------------------------- */

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

static int64_t count_switches(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : -1;
}

/* Its part of a storm: everything again and again, until the first thread has ended. */
static void make_storm(worker *self)
{
    const plan *what = &self->shared->what;
    uint64_t end = sequence_length(self->shared), step = on->batch_length ? on->batch_length : 1;
    for (uint64_t call = what->warm; !atomic_load_explicit(&self->shared->is_storm_over,
                                                           memory_order_relaxed); call += step) {
        if (call >= end) call = 0;
        call_range(self, call, call + step < end ? call + step : end);
    }
}

static void make_timed_calls(worker *self)
{
    const plan *what = &self->shared->what;
    int64_t switches = count_switches();
    uint64_t processor_ns = measure_thread_ns();
    self->start_ns = measure_now_ns();
    if (what->latency) time_range(self, what->warm, sequence_length(self->shared));
    else call_range(self, what->warm, sequence_length(self->shared));
    self->end_ns = measure_now_ns();
    self->processor_ns = measure_thread_ns() - processor_ns;
    self->switches = count_switches() - switches;
    if (what->storm) atomic_store(&self->shared->is_storm_over, true);
}

static void begin_calls(worker *self)
{
    self->handle = on->thread_begin ? on->thread_begin(self->shared->cache) : self->shared->cache;
    self->has_handle = self->handle != NULL;
}

static void end_calls(worker *self)
{
    if (self->has_handle && on->thread_end) on->thread_end(self->handle);
}

static void *worker_main(void *argument)
{
    worker *self = argument;
    run *shared = self->shared;
    bool is_storm = shared->what.storm && self->index > 0;
    pin_thread(self->index);
    begin_calls(self);
    if (self->has_handle) call_range(self, 0, shared->what.warm);
    else self->wrong++;
    uint64_t warm_wrong = self->wrong;
    self->hits = self->misses = 0;
    pthread_barrier_wait(&shared->start);
    if (!self->has_handle) {
        if (shared->what.storm) atomic_store(&shared->is_storm_over, true);
        return NULL;
    }
    if (is_storm) make_storm(self);
    else make_timed_calls(self);
    if (is_storm) self->wrong = warm_wrong; /* its misses are its own affair */
    end_calls(self);
    return NULL;
}

/* ---- Before and after ----------------------------------------------------------------------- */

static void *map_file(const char *name, size_t *bytes)
{
    struct stat about;
    void *at = MAP_FAILED;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return NULL;
    if (fstat(file, &about) == 0 && about.st_size > 0) {
        *bytes = (size_t)about.st_size;
        at = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    }
    close(file);
    return at == MAP_FAILED ? NULL : at;
}

static const char *copy_sequence(worker *into, const char *name)
{
    const run *shared = into->shared;
    size_t bytes = 0, step = shared->what.key_bytes + 1;
    uint64_t length = sequence_length(shared);
    const uint32_t *numbers = map_file(name, &bytes);
    if (numbers == NULL) return "a sequence cannot be read";
    bool is_long_enough = bytes / sizeof *numbers >= length;
    for (uint64_t i = 0; is_long_enough && i < length; i++) {
        size_t number = numbers[i] & ~WORKLOAD_IS_SET;
        into->numbers[i] = numbers[i];
        if ((number + 1) * step > shared->keys_bytes) is_long_enough = false;
        else memcpy(into->text + i * step, shared->keys + number * step, step);
    }
    munmap((void *)(uintptr_t)numbers, bytes);
    return is_long_enough ? NULL : "a sequence is too short, or has keys that are not there";
}

/* What a thread needs. Returns NULL, or what is wrong. */
static const char *prepare_worker(worker *into, run *shared, uint32_t index, const char *name)
{
    const plan *what = &shared->what;
    uint64_t length = sequence_length(shared);
    size_t values = on->batch_length ? on->batch_length : 1;
    *into = (worker){.shared = shared, .index = index};
    into->numbers = calloc(length, sizeof *into->numbers);
    into->text = calloc(length, what->key_bytes + 1);
    into->value = malloc(values * what->value_bytes);
    if (what->latency) into->took_ns = calloc(what->calls, sizeof *into->took_ns);
    if (into->numbers == NULL || into->text == NULL || into->value == NULL) return "out of memory";
    if (what->latency && into->took_ns == NULL) return "out of memory";
    memset(into->value, '.', values * what->value_bytes);
    return copy_sequence(into, name);
}

static void free_worker(worker *from)
{
    free(from->numbers);
    free(from->text);
    free(from->value);
    free(from->took_ns);
}

static int64_t resident_bytes(void)
{
    if (on->memory_bytes != NULL) return 0;
    long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%lld %lld", &pages, &resident) != 2) resident = 0;
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

/* Sets keys 0 to fill - 1. By batches where that can be, even if the timed calls are not. */
static bool fill_cache(run *shared)
{
    const plan *what = &shared->what;
    uint32_t step = on->call_many ? SUBJECT_MOST_CALLS : 1;
    worker filler = {.shared = shared, .value = malloc(step * what->value_bytes)};
    subject_call calls[SUBJECT_MOST_CALLS];
    begin_calls(&filler);
    if (filler.value == NULL || !filler.has_handle) filler.wrong++;
    else memset(filler.value, '.', step * what->value_bytes);
    for (uint64_t key = 0; key < what->fill && filler.wrong == 0; key += step) {
        uint32_t count = what->fill - key < step ? (uint32_t)(what->fill - key) : step;
        for (uint32_t i = 0; i < count; i++) {
            calls[i] = (subject_call){.key = shared->keys + (key + i) * (what->key_bytes + 1),
                                      .is_set = true,
                                      .value = filler.value + i * what->value_bytes};
            workload_write_value(calls[i].value, what->value_bytes, key + i);
        }
        if (step > 1) filler.wrong += !on->call_many(filler.handle, calls, count);
        else set_one(&filler, calls[0].key, (uint32_t)key);
    }
    end_calls(&filler);
    free(filler.value);
    return filler.wrong == 0;
}

static const char *create_and_fill(run *shared)
{
    const plan *what = &shared->what;
    const subject_config config = {(uint32_t)what->capacity, what->key_bytes, what->value_bytes,
                                   (int64_t)what->ttl_ms};
    shared->keys = map_file(what->keys, &shared->keys_bytes);
    if (shared->keys == NULL) return "the keys cannot be read";
    if (shared->keys_bytes / (what->key_bytes + 1) < what->fill) return "too few keys";
    for (size_t at = 0; at < shared->keys_bytes; at += 4096) /* what is resident tells the cache */
        (void)*(volatile const char *)(shared->keys + at);
    malloc_trim(0); /* nor what former caches left */
    int64_t before = resident_bytes();
    shared->cache = on->create(&config);
    if (shared->cache == NULL) return "the cache cannot be created";
    if (!fill_cache(shared)) return "the cache refused an entry";
    shared->memory_bytes = on->memory_bytes ? on->memory_bytes(shared->cache)
                                            : resident_bytes() - before;
    return NULL;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static int compare_took(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Prints p50, p99, p99.9 and the largest of what calls of one kind took. */
static void print_latency(const char *name, uint32_t kind, const worker *workers, uint32_t count)
{
    static const double shares[] = {0.5, 0.99, 0.999, 1};
    uint64_t calls = workers->shared->what.calls, kept = 0;
    uint32_t *all = calloc(calls * count, sizeof *all);
    for (uint32_t t = 0; all != NULL && t < count; t++)
        for (uint64_t i = 0; i < calls; i++)
            if ((workers[t].took_ns[i] & 1) == kind) all[kept++] = workers[t].took_ns[i] >> 1;
    if (all != NULL) qsort(all, kept, sizeof *all, compare_took);
    for (size_t i = 0; i < 4; i++) {
        uint64_t at = (uint64_t)(shares[i] * (double)kept);
        uint32_t ns = kept == 0 ? 0 : all[at < kept ? at : kept - 1];
        if (i == 0) printf(" %s=%u", name, ns);
        else printf(",%u", ns);
    }
    free(all);
}

static void print_answer(const run *shared, const worker *workers)
{
    uint32_t timed = shared->what.storm ? 1 : shared->thread_count;
    uint64_t start_ns = UINT64_MAX, end_ns = 0;
    worker sum = {0};
    for (uint32_t i = 0; i < shared->thread_count; i++) sum.wrong += workers[i].wrong;
    for (uint32_t i = 0; i < timed; i++) {
        if (workers[i].start_ns < start_ns) start_ns = workers[i].start_ns;
        if (workers[i].end_ns > end_ns) end_ns = workers[i].end_ns;
        sum.processor_ns += workers[i].processor_ns;
        sum.hits += workers[i].hits;
        sum.misses += workers[i].misses;
        sum.switches += workers[i].switches;
    }
    printf("ok wall_ns=%llu processor_ns=%llu hits=%llu misses=%llu wrong=%llu size=%lld"
           " memory_bytes=%lld",
           (unsigned long long)(end_ns - start_ns), (unsigned long long)sum.processor_ns,
           (unsigned long long)sum.hits, (unsigned long long)sum.misses,
           (unsigned long long)sum.wrong,
           (long long)(on->size ? on->size(shared->cache) : -1), (long long)shared->memory_bytes);
    if (shared->what.latency) {
        print_latency("get", TOOK_GET, workers, timed);
        print_latency("set", TOOK_SET, workers, timed);
        printf(" switches=%lld", (long long)sum.switches);
    }
    printf("\n");
}

/* ---- One plan ------------------------------------------------------------------------------- */

static const char *run_threads(run *shared, worker *workers)
{
    if (pthread_barrier_init(&shared->start, NULL, shared->thread_count) != 0) return "no barrier";
    for (uint32_t i = 0; i < shared->thread_count; i++) {
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0) continue;
        printf("error a thread cannot be started\n"); /* the others wait at the barrier */
        exit(1);
    }
    for (uint32_t i = 0; i < shared->thread_count; i++) pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&shared->start);
    return NULL;
}

static const char *run_plan(char *line)
{
    run shared = {0};
    worker workers[MAX_THREADS];
    const char *wrong = parse_plan(line, &shared.what);
    char *rest = NULL;
    if (wrong == NULL) wrong = create_and_fill(&shared);
    char *name = wrong ? NULL : strtok_r(shared.what.sequences, ",", &rest);
    for (; name != NULL && wrong == NULL; name = strtok_r(NULL, ",", &rest)) {
        if (shared.thread_count == MAX_THREADS) wrong = "too many sequences";
        else wrong = prepare_worker(&workers[shared.thread_count], &shared, shared.thread_count,
                                    name);
        shared.thread_count += shared.thread_count < MAX_THREADS;
    }
    if (wrong == NULL) wrong = run_threads(&shared, workers);
    if (wrong == NULL) print_answer(&shared, workers);
    for (uint32_t i = 0; i < shared.thread_count; i++) free_worker(&workers[i]);
    if (shared.cache != NULL) on->destroy(shared.cache);
    if (shared.keys != NULL) munmap(shared.keys, shared.keys_bytes);
    return wrong;
}

int main(void)
{
    static char line[MAX_LINE];
    printf("ready name=%s version=%s evicts=%d expires=%d\n", on->name, on->version, on->evicts,
           on->expires);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *wrong = run_plan(line);
        if (wrong != NULL) printf("error %s\n", wrong);
        fflush(stdout);
    }
    return 0;
}
