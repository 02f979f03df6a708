/* One replay of a trace through a new cache; see replay_run.h. */

#include "replay_run.h"

#include "measure.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MAX_REGION_BYTES ((uint64_t)64 << 30) /* the cache's own limit */

/* How far a thread has come, in cache lines of its own (two: some processors fetch pairs). */
typedef struct place {
    _Atomic(size_t) request;
    char padding[128 - sizeof(_Atomic(size_t))];
} place;

/* What the threads of a replay share. */
typedef struct replay {
    const trace *requests;
    const replay_options *options;
    sark_cache *cache;
    size_t value_capacity;    /* the largest value */
    uint8_t *outcomes;        /* 1: a hit; with one thread only, else NULL */
    place *places;            /* one a thread */
    pthread_barrier_t start;
    _Atomic(int64_t) now_ms;
} replay;

typedef struct replay_thread {
    replay *shared;
    pthread_t thread;
    uint32_t index;
    unsigned char *value;     /* where gets copy to, and sets from */
    uint64_t hits, misses, sets_refused, foreign_values;
    sark_cache_status failure; /* OK, or what a call answered that it should not have */
    uint64_t start_ns, end_ns;
} replay_thread;

/* ---- Clock ---------------------------------------------------------------------------------- */

static int64_t clock_now_ms(void *context)
{
    replay *shared = context;
    return atomic_load_explicit(&shared->now_ms, memory_order_relaxed);
}

static void clock_advance(replay *shared, const trace_request *request)
{
    if (request->ts_s == TRACE_UNKNOWN) return;
    int64_t wanted_ms = request->ts_s * 1000;
    int64_t now_ms = atomic_load_explicit(&shared->now_ms, memory_order_relaxed);
    while (now_ms < wanted_ms && !atomic_compare_exchange_weak(&shared->now_ms, &now_ms, wanted_ms))
        continue;
}

/* ---- Pace ----------------------------------------------------------------------------------- */

static size_t slowest_place(const replay *shared)
{
    size_t slowest = SIZE_MAX;
    for (uint32_t i = 0; i < shared->options->thread_count; i++) {
        size_t at = atomic_load_explicit(&shared->places[i].request, memory_order_relaxed);
        if (at < slowest) slowest = at;
    }
    return slowest;
}

/* Tells the others that this thread comes to a request, and waits for who is too far behind.
   Returns up to which request nobody needs to be waited for. */
static size_t keep_pace(replay *shared, uint32_t thread_index, size_t request)
{
    size_t lead = (size_t)shared->options->max_lead * shared->options->thread_count;
    atomic_store_explicit(&shared->places[thread_index].request, request, memory_order_relaxed);
    for (uint32_t looks = 0;; looks++) {
        size_t slowest = slowest_place(shared);
        if (slowest >= request || request - slowest <= lead) return request + lead / 2;
        if (looks > 100) sched_yield(); /* it is not running, or there are fewer cores */
    }
}

static void leave_pace(replay *shared, uint32_t thread_index)
{
    atomic_store_explicit(&shared->places[thread_index].request, SIZE_MAX, memory_order_relaxed);
}

/* ---- Values --------------------------------------------------------------------------------- */

/* Both ends of a value are made from its key, so that a foreign or a torn one is noticed. */
static void value_write(unsigned char *value, size_t value_bytes, uint64_t key_hash)
{
    uint64_t tail = ~key_hash;
    memcpy(value, &key_hash, value_bytes < 8 ? value_bytes : 8);
    if (value_bytes >= 16) memcpy(value + value_bytes - 8, &tail, 8);
}

static bool value_belongs(const unsigned char *value, size_t value_bytes, uint64_t key_hash)
{
    uint64_t tail = ~key_hash;
    return memcmp(value, &key_hash, value_bytes < 8 ? value_bytes : 8) == 0 &&
           (value_bytes < 16 || memcmp(value + value_bytes - 8, &tail, 8) == 0);
}

/* A size beyond the region is cut to it, which the cache refuses as well. */
static size_t value_size(const replay *shared, const trace_request *request)
{
    const replay_options *options = shared->options;
    if (options->capacity != 0 || request->size_bytes == TRACE_UNKNOWN) return options->value_bytes;
    if ((uint64_t)request->size_bytes > options->max_bytes) return options->max_bytes;
    return (size_t)request->size_bytes;
}

static size_t largest_value(const trace *requests, const replay_options *options)
{
    uint64_t largest = options->value_bytes;
    if (options->capacity != 0) return options->value_bytes;
    if ((uint64_t)requests->max_size_bytes > largest) largest = (uint64_t)requests->max_size_bytes;
    return largest > options->max_bytes ? options->max_bytes : (size_t)largest;
}

/* ---- One thread's requests ------------------------------------------------------------------ */

static void store(replay_thread *self, const trace_request *request, const char *key)
{
    replay *shared = self->shared;
    const replay_options *options = shared->options;
    size_t value_bytes = value_size(shared, request);
    bool is_ttl_known = options->is_ttl_used && request->ttl_s != TRACE_UNKNOWN;
    int64_t ttl_ms = is_ttl_known ? request->ttl_s * 1000 : SARK_CACHE_NO_EXPIRY;
    value_write(self->value, value_bytes, request->key_hash);
    sark_cache_status status = sark_cache_set(shared->cache, key, request->key_bytes, self->value,
                                              value_bytes, ttl_ms);
    if (status == SARK_CACHE_OK) return;
    bool is_refusal = status == SARK_CACHE_TOO_LARGE || status == SARK_CACHE_BUSY;
    if (is_refusal && options->capacity == 0) self->sets_refused++;
    else self->failure = status;
}

/* Returns whether it was a hit. */
static bool replay_request(replay_thread *self, const trace_request *request)
{
    replay *shared = self->shared;
    const char *key = trace_key(shared->requests, request);
    size_t value_bytes = 0;
    clock_advance(shared, request);
    sark_cache_status status = sark_cache_get(shared->cache, key, request->key_bytes, self->value,
                                              shared->value_capacity, &value_bytes);
    if (status == SARK_CACHE_OK) {
        self->hits++;
        self->foreign_values += !value_belongs(self->value, value_bytes, request->key_hash);
        return true;
    }
    if (status != SARK_CACHE_MISS) self->failure = status;
    self->misses++;
    store(self, request, key);
    return false;
}

static void *replay_thread_main(void *argument)
{
    replay_thread *self = argument;
    replay *shared = self->shared;
    uint32_t step = shared->options->thread_count;
    size_t count = shared->requests->request_count;
    size_t pace_until = shared->options->max_lead == 0 ? SIZE_MAX : 0;
    pthread_barrier_wait(&shared->start);
    self->start_ns = measure_now_ns();
    for (size_t i = self->index; i < count && self->failure == SARK_CACHE_OK; i += step) {
        if (i >= pace_until) pace_until = keep_pace(shared, self->index, i);
        bool is_hit = replay_request(self, &shared->requests->requests[i]);
        if (shared->outcomes != NULL) shared->outcomes[i] = is_hit;
        if (shared->options->progress != NULL && self->index == 0 && i / step % 16384 == 0)
            shared->options->progress(i, count);
    }
    self->end_ns = measure_now_ns();
    leave_pace(shared, self->index);
    return NULL;
}

/* ---- All threads ---------------------------------------------------------------------------- */

static int failed(int status, const char *what)
{
    fprintf(stderr, "replay: %s\n", what);
    return status;
}

/* Adds up what the threads have done. */
static int collect(const replay *shared, const replay_thread *threads, replay_result *result)
{
    uint64_t start_ns = UINT64_MAX, end_ns = 0, foreign_values = 0;
    sark_cache_status failure = SARK_CACHE_OK;
    for (uint32_t i = 0; i < shared->options->thread_count; i++) {
        const replay_thread *thread = &threads[i];
        result->hits += thread->hits;
        result->misses += thread->misses;
        result->sets_refused += thread->sets_refused;
        foreign_values += thread->foreign_values;
        if (thread->failure != SARK_CACHE_OK) failure = thread->failure;
        if (thread->start_ns < start_ns) start_ns = thread->start_ns;
        if (thread->end_ns > end_ns) end_ns = thread->end_ns;
    }
    result->seconds = (double)(end_ns - start_ns) / 1e9;
    if (failure != SARK_CACHE_OK) return failed(REPLAY_FAILED, sark_cache_status_text(failure));
    if (foreign_values > 0) return failed(REPLAY_FOREIGN_VALUE, "a hit gave another key's value");
    return REPLAY_OK;
}

/* Starts the threads and waits for them. A thread that cannot be started leaves the others waiting
   at the barrier, so that the program ends there. */
static void run_threads(replay *shared, replay_thread *threads)
{
    for (uint32_t i = 0; i < shared->options->thread_count; i++) {
        replay_thread *thread = &threads[i];
        if (pthread_create(&thread->thread, NULL, replay_thread_main, thread) == 0) continue;
        fprintf(stderr, "replay: thread %u of %u cannot be started\n", i + 1,
                shared->options->thread_count);
        exit(REPLAY_FAILED);
    }
    for (uint32_t i = 0; i < shared->options->thread_count; i++)
        pthread_join(threads[i].thread, NULL);
}

static int run_with_threads(replay *shared, replay_thread *threads, replay_result *result)
{
    uint32_t thread_count = shared->options->thread_count;
    int status = REPLAY_OK;
    for (uint32_t i = 0; i < thread_count; i++) {
        threads[i] = (replay_thread){.shared = shared, .index = i};
        threads[i].value = calloc(shared->value_capacity + 1, 1);
        if (threads[i].value == NULL) status = failed(REPLAY_FAILED, "out of memory");
    }
    if (status == REPLAY_OK && pthread_barrier_init(&shared->start, NULL, thread_count) != 0)
        status = failed(REPLAY_FAILED, "no barrier for the threads");
    if (status == REPLAY_OK) {
        run_threads(shared, threads);
        pthread_barrier_destroy(&shared->start);
        status = collect(shared, threads, result);
    }
    for (uint32_t i = 0; i < thread_count; i++) free(threads[i].value);
    return status;
}

/* With one thread the outcomes are noted while it runs, and digested afterwards. */
static int run_on_cache(replay *shared, replay_result *result)
{
    uint32_t thread_count = shared->options->thread_count;
    size_t count = shared->requests->request_count;
    replay_thread *threads = calloc(thread_count, sizeof *threads);
    shared->places = calloc(thread_count, sizeof *shared->places);
    if (thread_count == 1) shared->outcomes = calloc(count + 1, 1);
    bool is_ready = threads != NULL && shared->places != NULL &&
                    (thread_count > 1 || shared->outcomes != NULL);
    int status = is_ready ? run_with_threads(shared, threads, result)
                          : failed(REPLAY_FAILED, "out of memory");
    if (shared->outcomes != NULL) {
        result->digest = REPLAY_DIGEST_START;
        for (size_t i = 0; i < count; i++)
            result->digest = replay_digest_add(result->digest, shared->outcomes[i]);
    }
    free(shared->outcomes);
    free(shared->places);
    free(threads);
    return status;
}

/* ---- The cache ------------------------------------------------------------------------------ */

/* Bytes in which a capacity of entries always finds room: the tables, and twice what the entries
   take, of which there are no more than distinct keys. */
static size_t roomy_region_bytes(const trace *requests, const replay_options *options,
                                 const sark_cache_config *config)
{
    uint64_t entries = options->capacity < requests->key_count ? options->capacity
                                                               : requests->key_count;
    uint64_t entry_bytes = requests->max_key_bytes + (uint64_t)options->value_bytes + 160;
    uint64_t tables = sark_cache_region_bytes(config);
    uint64_t limit = MAX_REGION_BYTES < SIZE_MAX ? MAX_REGION_BYTES : SIZE_MAX;
    if (tables >= limit || entry_bytes > limit / 2 / (entries + 1)) return (size_t)limit;
    uint64_t bytes = tables + 2 * entries * entry_bytes + ((uint64_t)4 << 20);
    return (size_t)(bytes < limit ? bytes : limit);
}

static int create_cache(replay *shared)
{
    const replay_options *options = shared->options;
    sark_cache_config config = {
        .max_entries = options->capacity,
        .max_bytes = options->capacity == 0 ? options->max_bytes : 0,
        .shard_count = options->shard_count,
        .latency_sample_every = options->latency_sample_every,
        .clock = {clock_now_ms, shared},
    };
    if (options->capacity != 0)
        config.max_bytes = roomy_region_bytes(shared->requests, options, &config);
    sark_cache_status status = sark_cache_create(&shared->cache, &config);
    if (status == SARK_CACHE_OK) return REPLAY_OK;
    return failed(status == SARK_CACHE_NO_MEMORY ? REPLAY_FAILED : REPLAY_BAD_INPUT,
                  sark_cache_status_text(status));
}

static int check_cache(sark_cache *cache)
{
    char report[256] = "";
    if (sark_cache_check(cache, report, sizeof report)) return REPLAY_OK;
    fprintf(stderr, "replay: a broken invariant: %s\n", report);
    return REPLAY_FAILED;
}

int replay_run(const trace *requests, const replay_options *options, replay_result *result)
{
    replay shared = {.requests = requests, .options = options};
    memset(result, 0, sizeof *result);
    result->requests = requests->request_count;
    shared.value_capacity = largest_value(requests, options);
    int status = create_cache(&shared);
    if (status != REPLAY_OK) return status;
    status = run_on_cache(&shared, result);
    sark_cache_metrics_read(shared.cache, &result->metrics);
    if (status == REPLAY_OK) status = check_cache(shared.cache);
    sark_cache_status end = sark_cache_destroy(shared.cache);
    if (end != SARK_CACHE_OK && status == REPLAY_OK)
        status = failed(REPLAY_FAILED, sark_cache_status_text(end));
    return status;
}
