/* Hits take no lock: 10^7 of them from 8 threads over a warm cache make no call to a lock or to
   the allocator, none falls back to the shard's lock, and the metrics count each.

   With the argument `hits` (or `hits-ttl`) the program only hits, and each thread calls getppid
   just before and just after: lockfree_strace.sh asserts that nothing lies between the two. */

#include "calls.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define KEYS 10000u
#define VALUE_BYTES 48u
#define HOUR_MS 3600000

typedef enum reading {
    READ_GET,
    READ_MANY,
    READ_PEEK,
    READ_CONTAINS,
    READ_TTL,
    READ_ABSENT
} reading;

typedef struct reader {
    sark_cache *cache;
    uint64_t random;
    uint64_t reads;
    reading kind;
    bool marked;
    uint64_t wrong;
} reader;

static uint64_t seed;
static pthread_barrier_t together;

static void fill_value(uint64_t key, uint64_t value[VALUE_BYTES / 8])
{
    for (uint64_t i = 0; i < VALUE_BYTES / 8; i++) value[i] = key * 31 + i;
}

/* One read of a key; whether it answered what it must. */
static bool read_once(reader *self, uint64_t key)
{
    uint64_t value[VALUE_BYTES / 8] = {0};
    size_t bytes = 0;
    int64_t ttl_ms = 0;
    sark_cache *cache = self->cache;
    switch (self->kind) {
    case READ_GET:
        return sark_cache_get(cache, &key, sizeof key, value, sizeof value, &bytes) ==
                   SARK_CACHE_OK && bytes == sizeof value && value[5] == key * 31 + 5;
    case READ_MANY:
        return sark_cache_get_many(cache, &(sark_cache_get_request){&key, sizeof key, value,
                                                                    sizeof value, 0, 77}, 1) ==
                   SARK_CACHE_OK && value[5] == key * 31 + 5;
    case READ_PEEK:
        return sark_cache_peek(cache, &key, sizeof key, value, sizeof value, &bytes) ==
                   SARK_CACHE_OK && bytes == sizeof value && value[5] == key * 31 + 5;
    case READ_CONTAINS:
        return sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK;
    case READ_TTL:
        return sark_cache_ttl(cache, &key, sizeof key, &ttl_ms) == SARK_CACHE_OK && ttl_ms > 0;
    case READ_ABSENT:
    default:
        key += KEYS;
        return sark_cache_get(cache, &key, sizeof key, value, sizeof value, &bytes) ==
               SARK_CACHE_MISS;
    }
}

static void *reader_run(void *context)
{
    reader *self = context;
    uint64_t wrong = 0;
    pthread_barrier_wait(&together);
    if (self->marked) (void)getppid();
    for (uint64_t i = 0; i < self->reads; i++)
        wrong += !read_once(self, test_below(&self->random, KEYS));
    if (self->marked) (void)getppid();
    self->wrong = wrong;
    return NULL;
}

static sark_cache *warm_cache(int64_t ttl_ms)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = KEYS, .default_ttl_ms = ttl_ms};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) abort();
    for (uint64_t key = 0; key < KEYS; key++) {
        uint64_t value[VALUE_BYTES / 8];
        fill_value(key, value);
        CHECK(sark_cache_set(cache, &key, sizeof key, value, sizeof value, 0) == SARK_CACHE_OK);
    }
    return cache;
}

/* All readers at once, behind a barrier. */
static void read_all(sark_cache *cache, uint64_t reads, reading kind, bool marked)
{
    reader readers[TEST_THREADS];
    pthread_barrier_init(&together, NULL, TEST_THREADS);
    for (unsigned i = 0; i < TEST_THREADS; i++)
        readers[i] = (reader){.cache = cache, .random = seed + i, .reads = reads / TEST_THREADS,
                              .kind = kind, .marked = marked};
    test_run_threads(TEST_THREADS, reader_run, readers, sizeof readers[0]);
    for (unsigned i = 0; i < TEST_THREADS; i++) CHECK(readers[i].wrong == 0);
    pthread_barrier_destroy(&together);
}

/* Starting threads allocates too; what 0 reads cost is what starting costs, once warmed up. */
static uint64_t memory_calls_of(sark_cache *cache, uint64_t reads, reading kind)
{
    uint64_t before = calls_memory_now();
    read_all(cache, reads, kind, false);
    return calls_memory_now() - before;
}

static void check_reads(int64_t ttl_ms, reading kind, uint64_t reads)
{
    sark_cache *cache = warm_cache(ttl_ms);
    sark_cache_metrics before, after;
    (void)memory_calls_of(cache, 0, kind);
    uint64_t memory_of_none = memory_calls_of(cache, 0, kind);
    sark_cache_metrics_read(cache, &before);

    uint64_t locks = calls_locks_now();
    uint64_t memory = memory_calls_of(cache, reads, kind);
    locks = calls_locks_now() - locks;
    sark_cache_metrics_read(cache, &after);

    uint64_t counted = reads / TEST_THREADS * TEST_THREADS;
    CHECK(locks == 0);
    CHECK(memory <= memory_of_none);
    CHECK(after.lock_fallbacks == 0);
    CHECK(after.hits - before.hits == (kind <= READ_MANY ? counted : 0));
    CHECK(after.misses - before.misses == (kind == READ_ABSENT ? counted : 0));
    CHECK(after.leases_in_use == 0);
    char report[256] = "";
    CHECK(sark_cache_check(cache, report, sizeof report));
    if (report[0]) printf("  %s\n", report);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

TEST(gets)
{
    check_reads(0, READ_GET, test_scaled(10000000, 80000));
}

TEST(gets_with_a_ttl)
{
    check_reads(HOUR_MS, READ_GET, test_scaled(10000000, 80000));
}

TEST(batches)
{
    check_reads(HOUR_MS, READ_MANY, test_scaled(1000000, 80000));
}

TEST(peeks)
{
    check_reads(HOUR_MS, READ_PEEK, test_scaled(1000000, 80000));
}

TEST(contains)
{
    check_reads(HOUR_MS, READ_CONTAINS, test_scaled(1000000, 80000));
}

TEST(ttls)
{
    check_reads(HOUR_MS, READ_TTL, test_scaled(1000000, 80000));
}

TEST(misses)
{
    check_reads(HOUR_MS, READ_ABSENT, test_scaled(1000000, 80000));
}

/* The net itself: a set takes a lock, and the count must see it. */
TEST(locks_are_counted)
{
    sark_cache *cache = warm_cache(0);
    uint64_t key = 0;
    uint64_t locks = calls_locks_now();
    CHECK(sark_cache_set(cache, &key, sizeof key, "", 0, 0) == SARK_CACHE_OK);
    CHECK(calls_locks_now() > locks);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

static int only_hits(int64_t ttl_ms)
{
    sark_cache *cache = warm_cache(ttl_ms);
    read_all(cache, test_scaled(10000000, 80000), READ_GET, true);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    return atomic_load(&test_failures_in_case) != 0;
}

int main(int argc, char **argv)
{
    seed = test_seed();
    test_watchdog(600);
    if (argc > 1 && strcmp(argv[1], "hits") == 0) return only_hits(0);
    if (argc > 1 && strcmp(argv[1], "hits-ttl") == 0) return only_hits(HOUR_MS);
    RUN(locks_are_counted);
    RUN(gets);
    RUN(gets_with_a_ttl);
    RUN(batches);
    RUN(peeks);
    RUN(contains);
    RUN(ttls);
    RUN(misses);
    return test_summary();
}
