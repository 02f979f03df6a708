/* Room by bytes: several writers put large values of all sizes into a small region while pins are
   out for random times, and callbacks call the cache. BUSY comes only while pins are out or inside
   a callback, nothing hangs, every value is whole, and when all is over an entry as large as the
   empty cache takes still goes in. */

#include "threads.h"

#include "stress_values.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define REGION_BYTES (256u << 10)
#define KEYS 500u
#define WRITERS 4u
#define READERS 2u
#define PINNERS 2u
#define ACTORS (WRITERS + READERS + PINNERS)
#define PINS_OF_ONE 4u
#define RUN_NS UINT64_C(2500000000) /* of each kind */
#define CALLS_LEAST 1000u           /* of a writer, however slow the machine is */

typedef struct run_kind {
    bool pins;
    bool ttl;
    bool callback;
    bool callback_calls; /* it sets, gets and deletes */
    uint64_t max_entries;
    uint32_t cleanup_interval_ms;
    uint32_t shard_count;
} run_kind;

typedef struct actor {
    uint64_t random;
    unsigned number;
    uint64_t calls, busy;
} actor;

static uint64_t seed;
static run_kind now_run;
static sark_cache *cache;
static size_t limit_bytes; /* the longest value that the empty cache takes */
static uint64_t run_end_ns;
static _Atomic(uint64_t) next_unique = 1;
static _Atomic(uint64_t) reports;
static _Atomic(uint64_t) stored;
static _Atomic(uint64_t) busy_inside; /* BUSY inside callbacks, where it is legal */
static _Atomic(bool) callbacks_call;

/* Pins that may be out: raised before pin is called, lowered after unpin returned; and how often
   it was raised. */
static _Atomic(uint64_t) pins_out, pins_ever;

static size_t draw_bytes(uint64_t *random);

/* A set inside a callback, of a small or large value; then a get and a delete. */
static void call_from_inside(uint64_t random)
{
    static _Thread_local unsigned char value[REGION_BYTES];
    uint64_t key = test_below(&random, KEYS), unique = atomic_fetch_add(&next_unique, 1);
    size_t value_bytes = draw_bytes(&random);
    value_fill(value, value_bytes, key, unique);
    sark_cache_status status =
        sark_cache_set(cache, &key, sizeof key, value, value_bytes, SARK_CACHE_NO_EXPIRY);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY);
    if (status == SARK_CACHE_OK) atomic_fetch_add(&stored, 1);
    else atomic_fetch_add(&busy_inside, 1);
    key = test_below(&random, KEYS);
    status = sark_cache_get(cache, &key, sizeof key, value, sizeof value, &value_bytes);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status == SARK_CACHE_OK) CHECK(value_holds(value, value_bytes, key, &unique));
    (void)sark_cache_delete(cache, &key, sizeof key);
}

static void removed(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, sark_cache_cause cause)
{
    uint64_t number, unique = 0;
    (void)context;
    CHECK(key_bytes == sizeof number && cause <= SARK_CACHE_DESTROYED);
    memcpy(&number, key, sizeof number);
    CHECK(value_holds(value, value_bytes, number, &unique));
    atomic_fetch_add(&reports, 1);
    if (value_bytes % 64 == 0) sched_yield(); /* a callback that takes its time */
    if (atomic_load(&callbacks_call) && unique % 4 == 0) call_from_inside(unique);
}

/* ---- Writers ---- */

/* Mostly small, heavy-tailed; sometimes up to the limit. */
static size_t draw_bytes(uint64_t *random)
{
    if (test_below(random, 64) == 0)
        return VALUE_MIN_BYTES + (size_t)test_below(random, limit_bytes - VALUE_MIN_BYTES + 1);
    size_t bytes = (size_t)((64ull << 16) / (test_below(random, 1u << 16) + 1));
    if (bytes > limit_bytes / 4) bytes = limit_bytes / 4;
    return bytes < VALUE_MIN_BYTES ? VALUE_MIN_BYTES : bytes;
}

static void write_once(actor *self, unsigned char *value)
{
    uint64_t key = test_below(&self->random, KEYS);
    uint64_t unique = atomic_fetch_add(&next_unique, 1);
    size_t value_bytes = draw_bytes(&self->random);
    int64_t ttl_ms = 0;
    if (now_run.ttl && test_below(&self->random, 2))
        ttl_ms = 1 + (int64_t)test_below(&self->random, 20);
    value_fill(value, value_bytes, key, unique);
    uint64_t ever = atomic_load(&pins_ever);
    uint64_t out = atomic_load(&pins_out);
    sark_cache_status status =
        sark_cache_set(cache, &key, sizeof key, value, value_bytes, ttl_ms);
    self->calls++;
    if (status == SARK_CACHE_OK) {
        atomic_fetch_add(&stored, 1);
        return;
    }
    CHECK(status == SARK_CACHE_BUSY);
    self->busy++;
    if (now_run.callback_calls) return; /* callbacks may take what is freed; counted at the end */
    bool pinned_meanwhile = out > 0 || atomic_load(&pins_ever) != ever;
    if (!pinned_meanwhile) printf("  BUSY for %zu bytes although no pin was out\n", value_bytes);
    CHECK(pinned_meanwhile);
}

static void *writer_run(actor *self)
{
    unsigned char *value = malloc(limit_bytes);
    if (!value) abort();
    while (test_now_ns() < run_end_ns || self->calls < CALLS_LEAST) write_once(self, value);
    free(value);
    return NULL;
}

/* ---- Readers and pinners ---- */

static void read_once(actor *self, unsigned char *value)
{
    uint64_t key = test_below(&self->random, KEYS), unique;
    size_t value_bytes = 0;
    sark_cache_status status =
        sark_cache_get(cache, &key, sizeof key, value, limit_bytes, &value_bytes);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status == SARK_CACHE_OK) CHECK(value_holds(value, value_bytes, key, &unique));
    if (test_below(&self->random, 16) == 0) (void)sark_cache_delete(cache, &key, sizeof key);
    self->calls++;
}

static void *reader_run(actor *self)
{
    unsigned char *value = malloc(limit_bytes);
    if (!value) abort();
    while (test_now_ns() < run_end_ns) read_once(self, value);
    free(value);
    return NULL;
}

typedef struct held_pin {
    sark_cache_pinned pinned;
    uint64_t key;
} held_pin;

static bool pin_one(actor *self, held_pin *held)
{
    held->key = test_below(&self->random, KEYS);
    atomic_fetch_add(&pins_ever, 1);
    atomic_fetch_add(&pins_out, 1);
    sark_cache_status status =
        sark_cache_pin(cache, &held->key, sizeof held->key, &held->pinned);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status != SARK_CACHE_OK) atomic_fetch_sub(&pins_out, 1);
    return status == SARK_CACHE_OK;
}

static void unpin_one(held_pin *held)
{
    uint64_t unique;
    CHECK(value_holds(held->pinned.value, held->pinned.value_bytes, held->key, &unique));
    CHECK(sark_cache_unpin(cache, &held->pinned) == SARK_CACHE_OK);
    atomic_fetch_sub(&pins_out, 1);
}

/* Takes some pins, keeps them for up to 2 ms, gives them back; then pauses, with none out. */
static void *pinner_run(actor *self)
{
    held_pin held[PINS_OF_ONE];
    while (now_run.pins && test_now_ns() < run_end_ns) {
        unsigned count = 0;
        for (unsigned i = 0; i < 4 * PINS_OF_ONE && count < PINS_OF_ONE; i++)
            count += pin_one(self, &held[count]);
        test_sleep_ns(test_below(&self->random, 2000000));
        while (count > 0) unpin_one(&held[--count]);
        test_sleep_ns(test_below(&self->random, 2000000));
        self->calls++;
    }
    return NULL;
}

static void *actor_run(void *context)
{
    actor *self = context;
    if (self->number < WRITERS) return writer_run(self);
    return self->number < WRITERS + READERS ? reader_run(self) : pinner_run(self);
}

/* ---- Runs ---- */

static size_t largest_value(void)
{
    static unsigned char value[REGION_BYTES];
    uint64_t key = UINT64_MAX;
    size_t fits = 0, too_many = REGION_BYTES;
    while (too_many - fits > 1) {
        size_t middle = fits + (too_many - fits) / 2;
        value_fill(value, middle < VALUE_MIN_BYTES ? VALUE_MIN_BYTES : middle, key, 0);
        sark_cache_status status = sark_cache_set(cache, &key, sizeof key, value, middle, 1000000);
        if (status == SARK_CACHE_OK) CHECK(sark_cache_delete(cache, &key, sizeof key) == 0);
        if (status == SARK_CACHE_OK) fits = middle;
        else too_many = middle;
    }
    return fits;
}

/* Everything is given back: the largest entry evicts all others and goes in. */
static void fill_with_one(void)
{
    unsigned char *value = malloc(limit_bytes);
    uint64_t key = UINT64_MAX;
    if (!value) abort();
    value_fill(value, limit_bytes, key, 0);
    sark_cache_status status =
        sark_cache_set(cache, &key, sizeof key, value, limit_bytes, 1000000);
    if (status != SARK_CACHE_OK) printf("  at the end: %s\n", sark_cache_status_text(status));
    CHECK(status == SARK_CACHE_OK);
    atomic_fetch_add(&stored, status == SARK_CACHE_OK);
    CHECK(sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK);
    free(value);
}

static void finish(const actor *actors)
{
    uint64_t writes = 0, busy = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        writes += actors[i].calls;
        busy += actors[i].busy;
    }
    sark_cache_metrics metrics;
    atomic_store(&callbacks_call, false);
    sark_cache_metrics_read(cache, &metrics);
    printf("  pins %d, ttl %d, callback %d, cleanup %d, shards %u, max_entries %llu: "
           "%llu writes, %llu moves, %llu BUSY, %llu inside callbacks\n", now_run.pins, now_run.ttl,
           now_run.callback + now_run.callback_calls, now_run.cleanup_interval_ms != 0,
           now_run.shard_count, (unsigned long long)now_run.max_entries,
           (unsigned long long)writes, (unsigned long long)metrics.room_moves,
           (unsigned long long)busy,
           (unsigned long long)atomic_load(&busy_inside));
    CHECK(metrics.rejected_busy == busy + atomic_load(&busy_inside));
    CHECK(now_run.pins || busy == 0 || (now_run.callback_calls && busy * 200 < writes));
    CHECK(metrics.bytes_peak <= metrics.max_bytes && metrics.pins_in_use == 0);
    CHECK(metrics.longest_hold_moves <= 256);
    CHECK(writes > 100 && busy < writes);
    CHECK(metrics.room_moves > 0 || now_run.max_entries < 100);
    fill_with_one();
    char text[256] = "";
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    if (now_run.callback) CHECK(atomic_load(&reports) == atomic_load(&stored));
}

static void contend(run_kind kind)
{
    actor actors[ACTORS];
    sark_cache_config config = {.max_bytes = REGION_BYTES, .max_entries = kind.max_entries,
                                .shard_count = kind.shard_count,
                                .cleanup_interval_ms = kind.cleanup_interval_ms,
                                .on_remove = kind.callback ? removed : NULL};
    now_run = kind;
    test_watchdog((unsigned)test_scaled(60, 60));
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    limit_bytes = largest_value();
    CHECK(limit_bytes > REGION_BYTES / 2);
    sark_cache_metrics_reset(cache);
    atomic_store(&reports, 0);
    atomic_store(&stored, 0);
    atomic_store(&busy_inside, 0);
    atomic_store(&callbacks_call, kind.callback_calls);
    atomic_store(&pins_out, 0);
    for (unsigned i = 0; i < ACTORS; i++) actors[i] = (actor){.random = seed + i, .number = i};
    run_end_ns = test_now_ns() + test_scaled(RUN_NS, RUN_NS / 50);
    test_run_threads(ACTORS, actor_run, actors, sizeof actors[0]);
    finish(actors);
}

TEST(without_pins)
{
    contend((run_kind){.shard_count = 1, .max_entries = 400});
    contend((run_kind){.shard_count = 4, .max_entries = 400, .ttl = true,
                       .cleanup_interval_ms = 1});
}

TEST(without_pins_with_a_callback)
{
    contend((run_kind){.shard_count = 4, .max_entries = 400, .ttl = true, .callback = true});
}

/* Fewer places than writers: all may belong to inserts that wait for memory. */
TEST(without_pins_with_callbacks_that_call)
{
    contend((run_kind){.shard_count = 4, .max_entries = 400, .callback = true,
                       .callback_calls = true});
    contend((run_kind){.shard_count = 1, .max_entries = 3, .callback = true,
                       .callback_calls = true});
}

TEST(with_pins)
{
    contend((run_kind){.shard_count = 1, .max_entries = 400, .pins = true});
    contend((run_kind){.shard_count = 4, .max_entries = 10, .pins = true, .ttl = true});
}

TEST(with_pins_with_callbacks_that_call)
{
    contend((run_kind){.shard_count = 4, .max_entries = 400, .pins = true, .callback = true,
                       .callback_calls = true, .cleanup_interval_ms = 1, .ttl = true});
}

/* Each of these takes the whole cache, and evicts the one before. */
static void *set_the_largest(void *context)
{
    const actor *self = context;
    unsigned char *value = malloc(limit_bytes);
    if (!value) abort();
    for (uint64_t i = 0; i < test_scaled(1000, 50); i++) {
        uint64_t key = i * ACTORS + self->number;
        value_fill(value, limit_bytes, key, atomic_fetch_add(&next_unique, 1));
        CHECK(sark_cache_set(cache, &key, sizeof key, value, limit_bytes, 0) == SARK_CACHE_OK);
    }
    free(value);
    return NULL;
}

TEST(the_largest_from_eight_threads)
{
    actor actors[ACTORS];
    sark_cache_config config = {.max_bytes = REGION_BYTES, .max_entries = 400};
    test_watchdog((unsigned)test_scaled(120, 120));
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    limit_bytes = largest_value();
    for (unsigned i = 0; i < ACTORS; i++) actors[i] = (actor){.number = i};
    test_run_threads(ACTORS, set_the_largest, actors, sizeof actors[0]);
    CHECK(sark_cache_size(cache) == 1);
    CHECK(sark_cache_check(cache, NULL, 0));
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

int main(void)
{
    seed = test_seed();
    RUN(without_pins);
    RUN(without_pins_with_a_callback);
    RUN(without_pins_with_callbacks_that_call);
    RUN(with_pins);
    RUN(with_pins_with_callbacks_that_call);
    RUN(the_largest_from_eight_threads);
    return test_summary();
}
