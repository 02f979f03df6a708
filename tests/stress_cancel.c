/* A thread that is cancelled dies at the next cancellation point, unless that is put off. Here each
   function is called by a thread whose cancellation is pending already, so any such point in it
   kills: in create, destroy, foreach's visitor, callbacks, the clock, the allocator, and in each
   wait for room. The call must end before the thread does, and leave nothing: no pin, no lock, no
   turn, no row among the reporters, no memory. */

#include "threads.h"

#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define KEYS 20u
#define REGION_BYTES (64u << 10)

static sark_cache *cache;
static _Atomic(uint64_t) stored, reported;
static _Atomic(int) regions;
static _Atomic(bool) callback_waits, callback_is_in;

static void cancellation_point(void)
{
    int errno_before = errno;
    pthread_testcancel();
    test_sleep_ns(1);
    errno = errno_before;
}

static void removed(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)cause;
    cancellation_point();
    atomic_fetch_add(&reported, 1);
    atomic_store(&callback_is_in, true);
    while (atomic_load(&callback_waits)) test_sleep_ns(100000);
}

static int64_t clock_now(void *context)
{
    (void)context;
    cancellation_point();
    return (int64_t)(test_now_ns() / 1000000);
}

static void *allocate(void *context, size_t bytes)
{
    (void)context;
    cancellation_point();
    atomic_fetch_add(&regions, 1);
    return malloc(bytes);
}

static void release(void *context, void *region, size_t bytes)
{
    (void)context, (void)bytes;
    free(region);
    atomic_fetch_sub(&regions, 1);
    cancellation_point();
}

/* ---- Calls with a cancellation pending ------------------------------------------------------- */

typedef void (*action)(void);

typedef struct doomed {
    pthread_t thread;
    action act;
    _Atomic(bool) began, ended;
} doomed;

static void *doomed_run(void *context)
{
    doomed *self = context;
    CHECK(pthread_cancel(pthread_self()) == 0);
    atomic_store(&self->began, true);
    self->act();
    int state = PTHREAD_CANCEL_DISABLE;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    CHECK(state == PTHREAD_CANCEL_ENABLE);
    atomic_store(&self->ended, true);
    pthread_testcancel();
    return NULL;
}

static void doomed_start(doomed *self, action act)
{
    self->act = act;
    atomic_store(&self->began, false);
    atomic_store(&self->ended, false);
    if (pthread_create(&self->thread, NULL, doomed_run, self) != 0) abort();
}

static void doomed_join(doomed *self)
{
    void *result = NULL;
    CHECK(pthread_join(self->thread, &result) == 0 && result == PTHREAD_CANCELED);
    CHECK(atomic_load(&self->ended));
}

static void cancelled_in(action act)
{
    doomed thread;
    doomed_start(&thread, act);
    doomed_join(&thread);
}

/* ---- The calls ------------------------------------------------------------------------------ */

static void store(uint32_t key, size_t bytes, int64_t ttl_ms)
{
    static const unsigned char value[REGION_BYTES];
    sark_cache_status status = sark_cache_set(cache, &key, sizeof key, value, bytes, ttl_ms);
    CHECK(status == SARK_CACHE_OK);
    if (status == SARK_CACHE_OK) atomic_fetch_add(&stored, 1);
}

static void store_all(void)
{
    for (uint32_t key = 0; key < KEYS; key++) store(key, 100 + 10 * key, 1000);
}

static void store_large(void) { store(1000, 20000, 0); }

static void create(void)
{
    sark_cache_config config = {.max_entries = KEYS - 3, .max_bytes = REGION_BYTES,
                                .shard_count = 2, .pin_count = 2, .cleanup_interval_ms = 1,
                                .clock = {clock_now, NULL}, .allocator = {allocate, release, NULL},
                                .on_remove = removed};
    CHECK(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
}

static void create_by_default(void)
{
    sark_cache_config config = {.max_entries = 10, .cleanup_interval_ms = 60000};
    CHECK(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
}

static void destroy(void) { CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK); }

static bool visit(void *context, const void *key, size_t key_bytes, const void *value,
                  size_t value_bytes, int64_t ttl_left_ms)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)ttl_left_ms;
    cancellation_point();
    return true;
}

static void visit_all(void)
{
    CHECK(sark_cache_foreach(cache, visit, NULL) == SARK_CACHE_OK);
}

static void read_all(void)
{
    unsigned char bytes[1000];
    int64_t ttl_ms;
    sark_cache_pinned pinned;
    for (uint32_t key = 0; key < KEYS; key++) {
        CHECK(sark_cache_get(cache, &key, sizeof key, bytes, sizeof bytes, NULL) >= 0);
        CHECK(sark_cache_peek(cache, &key, sizeof key, bytes, sizeof bytes, NULL) >= 0);
        CHECK(sark_cache_contains(cache, &key, sizeof key) >= 0);
        CHECK(sark_cache_ttl(cache, &key, sizeof key, &ttl_ms) >= 0);
        if (sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK)
            CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    }
}

static void write_all(void)
{
    int64_t initial = 1;
    for (uint32_t key = 0; key < KEYS; key++) {
        CHECK(sark_cache_touch(cache, &key, sizeof key, 500) >= 0);
        stored += sark_cache_add(cache, &key, sizeof key, "add", 3, 100) == SARK_CACHE_OK;
        stored += sark_cache_replace(cache, &key, sizeof key, "replaced", 8, 0) == SARK_CACHE_OK;
        stored += sark_cache_append(cache, &key, sizeof key, "appended", 8, 0) == SARK_CACHE_OK;
        CHECK(sark_cache_delete(cache, &key, sizeof key) >= 0);
        stored += sark_cache_increment(cache, &key, sizeof key, 1, &initial, 1, NULL) ==
                  SARK_CACHE_OK;
    }
}

static void care_for_all(void)
{
    char report[100];
    sark_cache_metrics metrics;
    (void)sark_cache_cleanup_expired(cache, 0);
    CHECK(sark_cache_check(cache, report, sizeof report));
    sark_cache_metrics_read(cache, &metrics);
    sark_cache_metrics_reset(cache);
    (void)sark_cache_clear(cache);
}

static void check_cache(void)
{
    char report[200] = "";
    sark_cache_metrics metrics;
    CHECK(sark_cache_check(cache, report, sizeof report));
    if (report[0]) printf("  check: %s\n", report);
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.pins_in_use == 0 && metrics.leases_in_use == 0);
}

/* Whether a call that was cancelled keeps something shows in the next, which other threads make. */
TEST(in_each_function)
{
    static const action actions[] = {store_all, read_all, visit_all, store_large, visit_all,
                                     write_all, care_for_all};
    for (uint64_t round = 0; round < test_scaled(100, 3); round++) {
        test_watchdog(60);
        cancelled_in(create);
        for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
            cancelled_in(actions[i]);
            check_cache();
        }
        cancelled_in(destroy);
        CHECK(regions == 0 && stored == reported);
        if (atomic_load(&test_failures_in_case)) return;
        cancelled_in(create_by_default);
        cancelled_in(destroy);
    }
}

/* ---- Waits ---------------------------------------------------------------------------------- */

static bool wait_until(bool (*condition)(void))
{
    uint64_t end_ns = test_now_ns() + UINT64_C(20000000000);
    while (!condition() && test_now_ns() < end_ns) test_sleep_ns(100000);
    return condition();
}

static bool somebody_waits(void)
{
    return sarki_load32_seq_cst(&cache->room.a_waiting) > 0;
}

static void tell_of_room(void)
{
    sarki_lock(&cache->room.mutex);
    sarki_wake_all(&cache->room.changed);
    sarki_unlock(&cache->room.mutex);
}

static void begin_wait(void)
{
    test_watchdog(60);
    atomic_store(&stored, 0);
    atomic_store(&reported, 0);
    create();
}

static void end_wait(doomed *thread)
{
    doomed_join(thread);
    check_cache();
    store_all();
    store_large();
    destroy();
    CHECK(stored == reported && regions == 0);
}

static void store_one(void) { store(7, 10, 0); }
static void delete_one(void)
{
    uint32_t key = 7;
    CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
}

/* All places belong to inserts under way: the count says so, and there is no entry. */
TEST(while_it_waits_for_a_place)
{
    doomed thread;
    begin_wait();
    sarki_add32_seq_cst(&cache->a_count, cache->max_entries);
    doomed_start(&thread, store_one);
    CHECK(wait_until(somebody_waits));
    test_sleep_ns(2000000);
    CHECK(!thread.ended);
    sarki_sub32_seq_cst(&cache->a_count, cache->max_entries);
    tell_of_room();
    end_wait(&thread);
}

static bool two_want_the_turn(void)
{
    sarki_lock(&cache->room.mutex);
    bool two = cache->room.next_ticket - cache->room.serving == 2;
    sarki_unlock(&cache->room.mutex);
    return two;
}

static void fill_by_bytes(void)
{
    for (uint32_t key = 0; key < KEYS - 4; key++) store(key, 3500, 0);
}

TEST(while_it_waits_for_the_turn)
{
    doomed thread;
    begin_wait();
    fill_by_bytes();
    sarki_turn_enter(cache);
    doomed_start(&thread, store_large);
    CHECK(wait_until(two_want_the_turn));
    test_sleep_ns(2000000);
    CHECK(!thread.ended);
    sarki_turn_leave(cache);
    end_wait(&thread);
}

static bool somebody_is_in_a_callback(void) { return callback_is_in; }

static bool somebody_has_the_turn(void)
{
    return sarki_load32_relaxed(&cache->memory.a_turn_taken) != 0;
}

static void store_largest(void) { store(7, REGION_BYTES / 2, 0); }

/* What is in the way is being reported by another thread. */
TEST(while_it_waits_for_memory)
{
    doomed thread, reporting;
    begin_wait();
    store_largest();
    callback_is_in = false;
    callback_waits = true;
    doomed_start(&reporting, delete_one);
    CHECK(wait_until(somebody_is_in_a_callback));
    doomed_start(&thread, store_largest);
    CHECK(wait_until(somebody_has_the_turn));
    test_sleep_ns(5000000);
    CHECK(!thread.ended && !reporting.ended);
    callback_waits = false;
    doomed_join(&reporting);
    end_wait(&thread);
}

/* All rows of the table of reporters are taken, as if so many threads were inside callbacks. */
TEST(while_it_waits_for_a_row)
{
    doomed thread;
    begin_wait();
    store_one();
    for (uint32_t i = 0; i < cache->reporter_count; i++)
        CHECK(sarki_casword_acquire(&cache->reporters[i].a_thread, 0, i + 1));
    doomed_start(&thread, delete_one);
    CHECK(wait_until(somebody_waits));
    test_sleep_ns(20000000);
    CHECK(!thread.ended);
    for (uint32_t i = 0; i < cache->reporter_count; i++)
        sarki_storeword_release(&cache->reporters[i].a_thread, 0);
    tell_of_room();
    end_wait(&thread);
}

int main(void)
{
    RUN(in_each_function);
    RUN(while_it_waits_for_a_place);
    RUN(while_it_waits_for_the_turn);
    RUN(while_it_waits_for_memory);
    RUN(while_it_waits_for_a_row);
    test_watchdog(0);
    return test_summary();
}
