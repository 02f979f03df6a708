/* Hits on hot keys beside reads that write nothing shared: get, which stamps for LRU, and peek,
   which does not, on one cache, by two threads at a time.

   build/hot_key [rounds]

   In each round both read one key, then eight, in turns one or the other first; the ratio is taken
   round by round. Ends with 1 where a wanted ratio is missed. */

#define _GNU_SOURCE /* pinning threads to cores */
#include "measure.h"
#include "workload.h"

#include "sark_cache.h"

#include <pthread.h>
#include <sched.h>

enum { THREADS = 2, KEYS = 8, KEY_BYTES = 65, VALUE_BYTES = 120, READS = 400000, MAX_ROUNDS = 99 };

typedef sark_cache_status (*read_call)(sark_cache *cache, const void *key, size_t key_bytes,
                                       void *value, size_t value_capacity, size_t *value_bytes);

static const read_call calls[] = {sark_cache_get, sark_cache_peek};

static const struct {
    uint32_t keys;
    double most; /* wanted of the ratio */
} rows[] = {{1, 1.5}, {KEYS, 2.5}};

typedef struct reader {
    pthread_t thread;
    read_call call;
    uint32_t index, keys;
    uint64_t start_ns, end_ns, wrong;
} reader;

static sark_cache *cache;
static key_pool pool;
static pthread_barrier_t start;

static void fail(const char *what)
{
    fprintf(stderr, "hot_key: %s\n", what);
    exit(2);
}

/* Pins the calling thread to the core of its number, where it may. */
static void pin_thread(uint32_t index)
{
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    CPU_SET(index % measure_core_count(), &chosen);
    (void)pthread_setaffinity_np(pthread_self(), sizeof chosen, &chosen);
}

static void read_keys(reader *self, uint32_t reads)
{
    unsigned char value[VALUE_BYTES];
    uint32_t random = self->index * 77 + 1;
    for (uint32_t i = 0; i < reads; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t key = self->keys == 1 ? 0 : (random >> 24) % self->keys;
        sark_cache_status status = self->call(cache, key_pool_at(&pool, key), KEY_BYTES, value,
                                              sizeof value, NULL);
        self->wrong += status != SARK_CACHE_OK || !workload_is_value(value, VALUE_BYTES, key);
    }
}

static void *reader_main(void *argument)
{
    reader *self = argument;
    pin_thread(self->index);
    read_keys(self, READS / 10);
    pthread_barrier_wait(&start);
    self->start_ns = measure_now_ns();
    read_keys(self, READS);
    self->end_ns = measure_now_ns();
    return NULL;
}

/* Nanoseconds a read, as one thread sees it. */
static double measure(read_call call, uint32_t keys)
{
    reader readers[THREADS];
    uint64_t start_ns = UINT64_MAX, end_ns = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        readers[i] = (reader){.call = call, .index = i, .keys = keys};
        if (pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]) != 0)
            fail("a thread cannot be started");
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(readers[i].thread, NULL);
        if (readers[i].wrong > 0) fail("a read failed, or gave another value");
        if (readers[i].start_ns < start_ns) start_ns = readers[i].start_ns;
        if (readers[i].end_ns > end_ns) end_ns = readers[i].end_ns;
    }
    return (double)(end_ns - start_ns) / READS;
}

static void fill(void)
{
    const sark_cache_config config = {.max_entries = 1000};
    unsigned char value[VALUE_BYTES] = {0};
    if (!key_pool_create(&pool, KEYS, KEY_BYTES)) fail("out of memory");
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) fail("no cache");
    for (uint32_t key = 0; key < KEYS; key++) {
        workload_write_value(value, sizeof value, key);
        if (sark_cache_set(cache, key_pool_at(&pool, key), KEY_BYTES, value, sizeof value,
                           3600000) != SARK_CACHE_OK)
            fail("a key cannot be set");
    }
}

/* Prints a line of the table. Returns whether the wanted ratio is reached. */
static bool measure_row(size_t row, size_t rounds)
{
    double ns[2][MAX_ROUNDS] = {{0}}, ratios[MAX_ROUNDS] = {0};
    for (size_t round = 0; round < rounds; round++) {
        for (size_t turn = 0; turn < 2; turn++) {
            size_t which = (turn + round) % 2;
            ns[which][round] = measure(calls[which], rows[row].keys);
        }
        ratios[round] = ns[0][round] / ns[1][round];
    }
    double ratio = measure_quantile(ratios, rounds, 0.5);
    bool is_reached = ratio <= rows[row].most;
    printf("%4u %8.1f %8.1f %7.2f %6.2f-%-6.2f %6.1f  %s\n", rows[row].keys,
           measure_quantile(ns[0], rounds, 0.5), measure_quantile(ns[1], rounds, 0.5), ratio,
           ratios[0], ratios[rounds - 1], rows[row].most, is_reached ? "reached" : "MISSED");
    return is_reached;
}

int main(int argument_count, char **arguments)
{
    long rounds = argument_count > 1 ? strtol(arguments[1], NULL, 10) : 21;
    if (rounds < 1 || rounds > MAX_ROUNDS) fail("rounds are a number from 1 to 99");
    if (measure_core_count() < THREADS) fail("not told: two threads need two cores");
    fill();
    if (pthread_barrier_init(&start, NULL, THREADS) != 0) fail("no barrier");
    measure_print_setting();
    printf("setting   %d threads, keys of %d bytes, values of %d, %ld rounds\n\n"
           "keys   get ns  peek ns   ratio    least-most at most\n",
           THREADS, KEY_BYTES, VALUE_BYTES, rounds);
    bool all = true;
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++)
        all = measure_row(row, (size_t)rounds) && all;
    pthread_barrier_destroy(&start);
    sark_cache_destroy(cache);
    key_pool_destroy(&pool);
    return !all;
}
