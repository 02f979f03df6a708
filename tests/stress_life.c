/* Life: caches are created and destroyed over and over while their cleanup threads are at work, and
   thousands of short-lived threads use one cache, and are cancelled; nothing leaks, nothing hangs,
   every entry is reported once, and the process does not grow. */

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define KEYS 2000u

static uint64_t seed;
static _Atomic(uint64_t) reports;

static void removed(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, sark_cache_cause cause)
{
    (void)context;
    CHECK(key_bytes == value_bytes && memcmp(key, value, key_bytes) == 0);
    CHECK(cause <= SARK_CACHE_DESTROYED);
    atomic_fetch_add(&reports, 1);
}

/* Resident memory in KiB; 0 where /proc does not tell, or a sanitizer's own memory hides it. */
static uint64_t resident_kib(void)
{
    char text[128];
    FILE *file = TEST_SANITIZED ? NULL : fopen("/proc/self/statm", "r");
    if (!file) return 0;
    const char *line = fgets(text, sizeof text, file);
    const char *second = line ? strchr(line, ' ') : NULL;
    fclose(file);
    uint64_t pages = second ? strtoull(second, NULL, 10) : 0;
    return pages * ((uint64_t)sysconf(_SC_PAGESIZE) / 1024);
}

/* Some noise of malloc and of the stacks that libc keeps; a page lost in each round is more. */
static void check_growth(uint64_t before_kib)
{
    uint64_t after_kib = resident_kib();
    printf("  resident: %llu KiB, then %llu KiB\n", (unsigned long long)before_kib,
           (unsigned long long)after_kib);
    CHECK(after_kib <= before_kib + before_kib / 100 + 1024);
}

static void check_cache(sark_cache *cache)
{
    char text[256] = "";
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
}

/* ---- Creating and destroying ---- */

/* The answer tells how many values the cache took. */
static uint64_t use_briefly(sark_cache *cache, uint64_t *random)
{
    uint64_t stored = 0;
    for (uint64_t count = test_below(random, 400); count > 0; count--) {
        uint64_t key = test_below(random, KEYS), value;
        int64_t ttl_ms = (int64_t)test_below(random, 3);
        CHECK(sark_cache_set(cache, &key, sizeof key, &key, sizeof key, ttl_ms) ==
              SARK_CACHE_OK);
        stored++;
        (void)sark_cache_get(cache, &key, sizeof key, &value, sizeof value, NULL);
    }
    return stored;
}

static void live_once(uint64_t *random, void *region, size_t region_bytes)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 300, .max_bytes = region_bytes,
                                .cleanup_interval_ms = (uint32_t)test_below(random, 3),
                                .on_remove = removed};
    sark_cache_metrics metrics;
    sark_cache_status status =
        test_below(random, 2) ? sark_cache_create(&cache, &config)
                              : sark_cache_create_in(&cache, &config, region, region_bytes);
    REQUIRE(status == SARK_CACHE_OK);
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.cleanup_thread_wanted == (config.cleanup_interval_ms != 0));
    CHECK(metrics.cleanup_thread_running == metrics.cleanup_thread_wanted);
    atomic_store(&reports, 0);
    uint64_t stored = use_briefly(cache, random);
    if (test_below(random, 4) == 0) test_sleep_ns(test_below(random, 3000000));
    if (test_below(random, 8) == 0) check_cache(cache);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    CHECK(atomic_load(&reports) == stored);
}

TEST(create_and_destroy)
{
    static unsigned char region[256u << 10];
    uint64_t random = seed, lives = test_scaled(4000, 100);
    test_watchdog((unsigned)test_scaled(120, 120));
    for (uint64_t i = 0; i < lives / 10; i++) live_once(&random, region, sizeof region);
    uint64_t before_kib = resident_kib();
    for (uint64_t i = 0; i < lives; i++) live_once(&random, region, sizeof region);
    check_growth(before_kib);
}

/* The interval is a minute: destroy must wake the thread, not wait for it. */
TEST(destroy_wakes_the_cleanup_thread)
{
    uint64_t slowest_ns = 0;
    for (int i = 0; i < 20; i++) {
        sark_cache *cache = NULL;
        sark_cache_config config = {.max_entries = 10, .cleanup_interval_ms = 60000};
        REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
        if (i % 2) test_sleep_ns(20000000);
        uint64_t start_ns = test_now_ns();
        CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
        uint64_t took_ns = test_now_ns() - start_ns;
        if (took_ns > slowest_ns) slowest_ns = took_ns;
    }
    CHECK(slowest_ns < UINT64_C(10000000000));
}

/* ---- Threads that come and go ---- */

typedef struct visitor {
    sark_cache *cache;
    uint64_t random;
    sark_cache_pinned pinned; /* taken by the thread, given back after it is gone */
    bool pin_held;
} visitor;

static void *visitor_run(void *context)
{
    visitor *self = context;
    for (int i = 0; i < 20; i++) {
        uint64_t key = test_below(&self->random, KEYS), value = 0;
        sark_cache_status status =
            sark_cache_get(self->cache, &key, sizeof key, &value, sizeof value, NULL);
        CHECK(status == SARK_CACHE_MISS || (status == SARK_CACHE_OK && value == key));
        if (status == SARK_CACHE_MISS)
            CHECK(sark_cache_set(self->cache, &key, sizeof key, &key, sizeof key,
                                 1 + (int64_t)test_below(&self->random, 50)) == SARK_CACHE_OK);
    }
    uint64_t key = test_below(&self->random, KEYS);
    self->pin_held = sark_cache_pin(self->cache, &key, sizeof key, &self->pinned) ==
                     SARK_CACHE_OK;
    return NULL;
}

static void visit(sark_cache *cache, uint64_t threads, uint64_t *random)
{
    visitor visitors[TEST_THREADS];
    for (uint64_t done = 0; done < threads; done += TEST_THREADS) {
        for (unsigned i = 0; i < TEST_THREADS; i++)
            visitors[i] = (visitor){.cache = cache, .random = test_random(random)};
        test_run_threads(TEST_THREADS, visitor_run, visitors, sizeof visitors[0]);
        for (unsigned i = 0; i < TEST_THREADS; i++)
            if (visitors[i].pin_held)
                CHECK(sark_cache_unpin(cache, &visitors[i].pinned) == SARK_CACHE_OK);
    }
}

TEST(threads_come_and_go)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 1000, .cleanup_interval_ms = 1};
    sark_cache_metrics metrics;
    uint64_t random = seed;
    test_watchdog((unsigned)test_scaled(120, 120));
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    visit(cache, test_scaled(2000, 200), &random);
    uint64_t before_kib = resident_kib();
    visit(cache, test_scaled(10000, 400), &random);
    check_growth(before_kib);
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.pins_in_use == 0 && metrics.rejected_no_pin == 0);
    check_cache(cache);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

#define STACK_BYTES (256u << 10)
#define STACK_PLACES 256u
#define STACK_STEP 4096u

/* One after the other, each with a few calls. Stacks lie in many places, as libc would reuse one
   and with it the thread's number; a sanitizer needs larger ones than these. */
static void visit_in_turn(sark_cache *cache, uint64_t threads, uint64_t *random)
{
    unsigned char *stacks = aligned_alloc(STACK_STEP, STACK_BYTES + STACK_PLACES * STACK_STEP);
    pthread_attr_t attributes;
    pthread_t thread;
    if (!stacks || pthread_attr_init(&attributes) != 0) abort();
    for (uint64_t done = 0; done < threads; done++) {
        visitor self = {.cache = cache, .random = test_random(random)};
        unsigned char *stack = stacks + done % STACK_PLACES * STACK_STEP;
        if (!TEST_SANITIZED && pthread_attr_setstack(&attributes, stack, STACK_BYTES) != 0)
            abort();
        if (pthread_create(&thread, &attributes, visitor_run, &self) != 0) abort();
        if (pthread_join(thread, NULL) != 0) abort();
        if (self.pin_held) CHECK(sark_cache_unpin(cache, &self.pinned) == SARK_CACHE_OK);
    }
    pthread_attr_destroy(&attributes);
    free(stacks);
}

/* Nothing is kept of a thread that is gone: not memory, and no slot of readers but the few that are
   in use at a time. */
TEST(threads_one_after_another)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 1000};
    uint64_t random = seed, threads = test_scaled(TEST_SANITIZED ? 20000 : 100000, 1000);
    test_watchdog((unsigned)test_scaled(240, 240));
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    visit_in_turn(cache, threads / 10, &random);
    uint64_t before_kib = resident_kib();
    visit_in_turn(cache, threads, &random);
    check_growth(before_kib);
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.pins_in_use == 0 && metrics.leases_in_use == 0);
    CHECK(metrics.rejected_no_pin == 0 && metrics.lock_fallbacks == 0);
    CHECK(sarki_load32_relaxed(&cache->leases.a_slots_used) <= cache->leases.lease_count);
    uint32_t hints = 0;
    for (uint32_t i = 0; i <= cache->leases.hint_mask; i++)
        hints += sarki_load32_relaxed(&cache->leases.a_hints[i]) != 0;
    CHECK(TEST_SANITIZED || hints > cache->leases.hint_mask / 8); /* so many were different */
    printf("  %d threads: %d slots of %d used, %d hints of %d\n", (int)(threads + threads / 10),
           (int)sarki_load32_relaxed(&cache->leases.a_slots_used), (int)cache->leases.lease_count,
           (int)hints, (int)cache->leases.hint_mask + 1);
    check_cache(cache);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

/* Two caches know nothing of each other, though the same threads use both. */
TEST(two_caches)
{
    sark_cache *caches[2] = {NULL, NULL};
    uint64_t random = seed;
    for (int i = 0; i < 2; i++)
        REQUIRE(sark_cache_create(&caches[i], NULL) == SARK_CACHE_OK);
    visit(caches[0], 400, &random);
    CHECK(sark_cache_size(caches[0]) > 0 && sark_cache_size(caches[1]) == 0);
    CHECK(sark_cache_destroy(caches[0]) == SARK_CACHE_OK);
    visit(caches[1], 400, &random);
    check_cache(caches[1]);
    CHECK(sark_cache_destroy(caches[1]) == SARK_CACHE_OK);
}

/* ---- Threads that are cancelled ---- */

#define LARGE_BYTES 20000u

static _Atomic(uint64_t) calls_begun, calls_ended, values_stored, entries_reported;

/* A cancellation point, of a function that takes its time. */
static void removed_slowly(void *context, const void *key, size_t key_bytes, const void *value,
                           size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)value, (void)cause;
    CHECK(key_bytes == sizeof(uint64_t) && value_bytes <= LARGE_BYTES);
    atomic_fetch_add(&entries_reported, 1);
    test_sleep_ns(1000);
}

static void call_once(sark_cache *cache, uint64_t *random)
{
    static const unsigned char bytes[LARGE_BYTES];
    unsigned char value[64];
    size_t value_bytes = test_below(random, 8) ? 40 : (size_t)test_below(random, LARGE_BYTES);
    uint64_t key = test_below(random, 500);
    switch (test_below(random, 8)) {
    case 0: (void)sark_cache_delete(cache, &key, sizeof key); break;
    case 1: (void)sark_cache_touch(cache, &key, sizeof key, 1000); break;
    case 2: (void)sark_cache_cleanup_expired(cache, 0); break;
    case 3:
        if (sark_cache_add(cache, &key, sizeof key, bytes, 8, 1) == SARK_CACHE_OK)
            atomic_fetch_add(&values_stored, 1);
        break;
    case 4: (void)sark_cache_get(cache, &key, sizeof key, value, sizeof value, NULL); break;
    default:
        if (sark_cache_set(cache, &key, sizeof key, bytes, value_bytes, 0) == SARK_CACHE_OK)
            atomic_fetch_add(&values_stored, 1);
    }
}

/* Calls the cache until it is cancelled, which it allows between calls. A call that begins ends. */
static void *cancelled_run(void *context)
{
    visitor *self = context;
    while (!atomic_load(&test_failures_in_case)) {
        atomic_fetch_add(&calls_begun, 1);
        call_once(self->cache, &self->random);
        atomic_fetch_add(&calls_ended, 1);
        pthread_testcancel();
    }
    return NULL;
}

static void cancel_some(sark_cache *cache, uint64_t *random)
{
    pthread_t threads[TEST_THREADS];
    visitor visitors[TEST_THREADS];
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        visitors[i] = (visitor){.cache = cache, .random = test_random(random)};
        REQUIRE(pthread_create(&threads[i], NULL, cancelled_run, &visitors[i]) == 0);
    }
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        void *result = NULL;
        test_sleep_ns(test_below(random, 200000));
        CHECK(pthread_cancel(threads[i]) == 0);
        CHECK(pthread_join(threads[i], &result) == 0 && result == PTHREAD_CANCELED);
    }
}

/* Wherever a thread is when it is cancelled (waiting for room or for a row of the reporters, inside
   a callback), its call ends, and nobody waits for it. */
TEST(threads_are_cancelled)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 400, .max_bytes = 128u << 10,
                                .cleanup_interval_ms = 1, .on_remove = removed_slowly};
    uint64_t random = seed, rounds = test_scaled(200, 10);
    test_watchdog((unsigned)test_scaled(120, 120));
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    for (uint64_t round = 0; round < rounds; round++) {
        cancel_some(cache, &random);
        if (round % 16 == 0) check_cache(cache);
    }
    CHECK(atomic_load(&calls_begun) == atomic_load(&calls_ended));
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    printf("  %llu calls of %llu threads, %llu moves\n", (unsigned long long)calls_ended,
           (unsigned long long)(rounds * TEST_THREADS), (unsigned long long)metrics.room_moves);
    CHECK(metrics.pins_in_use == 0);
    check_cache(cache);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    CHECK(atomic_load(&entries_reported) == atomic_load(&values_stored));
}

int main(void)
{
    seed = test_seed();
    RUN(create_and_destroy);
    RUN(destroy_wakes_the_cleanup_thread);
    RUN(threads_come_and_go);
    RUN(threads_one_after_another);
    RUN(two_caches);
    RUN(threads_are_cancelled);
    return test_summary();
}
