/* Removal callbacks that stand in the way of others: they wait for writers, put back what was
   evicted, are slow, or are cancelled. Nobody hangs, and nobody loses more than he must. */

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define SARK_CACHE_IMPLEMENTATION
#define SARKI_ASSERTIONS
#include "sark_cache.h"
#include "test.h"

static sark_cache *cache;
static _Atomic(int) in_callback, other_is_ready, other_is_done;
static _Atomic(unsigned long) callbacks;
static pthread_mutex_t program_lock;
static char value[4096];

static void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static sark_cache_status put(const char *prefix, int number, size_t bytes)
{
    char key[32];
    int length = snprintf(key, sizeof key, "%s%d", prefix, number);
    return sark_cache_set(cache, key, (size_t)length, value, bytes, 0);
}

static bool begin(size_t max_bytes, sark_cache_on_remove on_remove)
{
    sark_cache_config config = {.max_bytes = max_bytes, .max_entries = 10000, .shard_count = 1};
    config.on_remove = on_remove;
    in_callback = other_is_ready = other_is_done = 0;
    callbacks = 0;
    return sark_cache_create(&cache, &config) == SARK_CACHE_OK;
}

static void end(void)
{
    char report[100] = "";
    bool holds = sark_cache_check(cache, report, sizeof report);
    if (!holds) printf("  %s\n", report);
    CHECK(holds);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

/* ---- A callback that waits for a thread which writes ---------------------------------------- */

static void wait_for_writer(void *context, const void *key, size_t key_bytes, const void *bytes,
                            size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)bytes, (void)value_bytes;
    if (cause != SARK_CACHE_EVICTED || atomic_fetch_add(&in_callback, 1) > 0) return;
    while (!other_is_ready) sleep_ms(1);
    pthread_mutex_lock(&program_lock);
    pthread_mutex_unlock(&program_lock);
}

static void *write_under_lock(void *argument)
{
    pthread_mutex_lock(&program_lock);
    while (!in_callback) sleep_ms(1);
    other_is_ready = 1;
    sleep_ms(20);
    sark_cache_status status = put("other", 0, 200);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY);
    pthread_mutex_unlock(&program_lock);
    return argument;
}

TEST(a_callback_waits_for_a_writer)
{
    pthread_t writer;
    REQUIRE(begin(256 << 10, wait_for_writer));
    REQUIRE(pthread_mutex_init(&program_lock, NULL) == 0);
    REQUIRE(pthread_create(&writer, NULL, write_under_lock, NULL) == 0);
    for (int i = 0; i < 3000; i++) CHECK(put("k", i, 200) == SARK_CACHE_OK);
    CHECK(in_callback > 0);
    pthread_join(writer, NULL);
    end();
}

/* ---- A callback that puts back what was evicted --------------------------------------------- */

static void put_back(void *context, const void *key, size_t key_bytes, const void *bytes,
                     size_t value_bytes, sark_cache_cause cause)
{
    (void)context;
    callbacks++;
    if (cause == SARK_CACHE_EVICTED) sark_cache_set(cache, key, key_bytes, bytes, value_bytes, 0);
}

TEST(a_callback_puts_back_what_was_evicted)
{
    REQUIRE(begin(256 << 10, put_back));
    for (int i = 0; callbacks == 0; i++) CHECK(put("k", i, 64) == SARK_CACHE_OK);
    unsigned long before = callbacks;
    sark_cache_status status = put("large", 0, 4000);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY);
    CHECK(callbacks - before < 100000);
    CHECK(put("other", 0, 64) == SARK_CACHE_OK);
    end();
}

/* ---- A set that is cancelled while it waits for its turn ------------------------------------ */

static void be_slow_once(void *context, const void *key, size_t key_bytes, const void *bytes,
                         size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)bytes, (void)value_bytes;
    if (cause == SARK_CACHE_EVICTED && atomic_fetch_add(&in_callback, 1) == 0) sleep_ms(300);
}

static void *fill_until_slow(void *argument)
{
    for (int i = 0; !in_callback; i++) put("a", i, 3000);
    return argument;
}

static void *put_many(void *argument)
{
    for (int i = 0; i < 500; i++) {
        sark_cache_status status = put(argument, i, 3000);
        CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY);
    }
    return argument;
}

TEST(a_set_is_cancelled)
{
    static char b[] = "b", c[] = "c";
    pthread_t first, second, third;
    REQUIRE(begin(256 << 10, be_slow_once));
    REQUIRE(pthread_create(&first, NULL, fill_until_slow, NULL) == 0);
    while (!in_callback) sleep_ms(1);
    REQUIRE(pthread_create(&second, NULL, put_many, b) == 0);
    sleep_ms(100);
    pthread_cancel(second);
    pthread_join(second, NULL);
    REQUIRE(pthread_create(&third, NULL, put_many, c) == 0);
    pthread_join(third, NULL);
    pthread_join(first, NULL);
    end();
}

/* ---- A pin that is asked for while the cache ends ------------------------------------------- */

static sark_cache_pinned late_pin;
static sark_cache_status late_status;

static void pin_another(void *context, const void *key, size_t key_bytes, const void *bytes,
                        size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)bytes, (void)value_bytes;
    for (int i = 0; cause == SARK_CACHE_DESTROYED && i < 100; i++) {
        char other[32];
        int length = snprintf(other, sizeof other, "k%d", i);
        late_status = sark_cache_pin(cache, other, (size_t)length, &late_pin);
        CHECK(late_status != SARK_CACHE_OK && late_pin.value == NULL);
    }
}

TEST(no_pin_outlives_the_cache)
{
    REQUIRE(begin(256 << 10, pin_another));
    for (int i = 0; i < 100; i++) CHECK(put("k", i, 10) == SARK_CACHE_OK);
    end();
    CHECK(late_status == SARK_CACHE_NO_PIN);
}

/* ---- A touch that needs memory, and an entry that everybody else outruns -------------------- */

static void hit_all_others(void *context, const void *key, size_t key_bytes, const void *bytes,
                           size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)bytes, (void)value_bytes;
    for (int i = 0; cause == SARK_CACHE_EVICTED && i < 3000; i++) {
        char other[32];
        int length = snprintf(other, sizeof other, "k%d", i);
        sark_cache_get(cache, other, (size_t)length, value, sizeof value, NULL);
    }
}

TEST(a_touch_keeps_its_key)
{
    REQUIRE(begin(256 << 10, hit_all_others));
    CHECK(sark_cache_set(cache, "mine", 4, value, 900, 0) == SARK_CACHE_OK);
    for (int i = 0; i < 3000; i++) CHECK(put("k", i, 20) == SARK_CACHE_OK);
    if (sark_cache_contains(cache, "mine", 4) == SARK_CACHE_MISS)
        CHECK(sark_cache_set(cache, "mine", 4, value, 900, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_touch(cache, "mine", 4, 1000000) == SARK_CACHE_OK);
    CHECK(sark_cache_contains(cache, "mine", 4) == SARK_CACHE_OK);
    end();
}

int main(void)
{
    alarm(600); /* a deadlock ends as a crash */
    RUN(a_callback_waits_for_a_writer);
    RUN(a_callback_puts_back_what_was_evicted);
    RUN(a_set_is_cancelled);
    RUN(no_pin_outlives_the_cache);
    RUN(a_touch_keeps_its_key);
    return test_summary();
}
