/* Bounded steps: with 10^6 entries, on many shards and on one, what has to do with all of them is
   done in steps. No lock is held for more than 256 moves, the sum of moves stays within a small
   constant times hits and writes, and another thread goes on hitting meanwhile. */

#include "threads.h"

#include <sys/syscall.h>

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define LONGEST_HOLD 256u
#define MOVES_PER_CALL 12u /* re-placings, for each hit and each write */
#define HOT_KEYS 1000u
#define HOT_BASE (UINT64_C(1) << 40)
#define MS_NS UINT64_C(1000000)

static uint64_t seed;
static _Atomic(int64_t) clock_ms = 1000000;

static int64_t clock_now(void *context)
{
    (void)context;
    return atomic_load(&clock_ms);
}

/* ---- The other thread: hits on keys of its own; one that is lost it stores anew ---- */

typedef struct hitter {
    sark_cache *cache;
    pthread_t thread;
    _Atomic(long) number; /* the kernel's, of the thread */
    _Atomic(bool) stop;
    _Atomic(uint64_t) hits;
    _Atomic(uint64_t) last_ns; /* when it hit last */
    _Atomic(uint64_t) gap_ns;  /* the longest time from one hit to the next since it was zeroed */
    uint64_t stores;
} hitter;

static void hot_store(sark_cache *cache, uint64_t key)
{
    CHECK(sark_cache_set(cache, &key, sizeof key, &key, sizeof key, SARK_CACHE_NO_EXPIRY) ==
          SARK_CACHE_OK);
}

static void *hitter_run(void *context)
{
    hitter *self = context;
    atomic_store(&self->number, syscall(SYS_gettid));
    atomic_store(&self->last_ns, test_now_ns());
    for (uint64_t turn = 0; !atomic_load(&self->stop); turn++) {
        uint64_t key = HOT_BASE + turn % HOT_KEYS, value = 0;
        sark_cache_status status =
            sark_cache_get(self->cache, &key, sizeof key, &value, sizeof value, NULL);
        uint64_t now_ns = test_now_ns();
        if (status == SARK_CACHE_MISS) {
            hot_store(self->cache, key);
            self->stores++;
            continue;
        }
        CHECK(status == SARK_CACHE_OK && value == key);
        uint64_t gap_ns = now_ns - atomic_exchange(&self->last_ns, now_ns);
        if (gap_ns > atomic_load(&self->gap_ns)) atomic_store(&self->gap_ns, gap_ns);
        atomic_fetch_add(&self->hits, 1);
    }
    return NULL;
}

static void hitter_start(hitter *self, sark_cache *cache)
{
    memset(self, 0, sizeof *self);
    self->cache = cache;
    for (uint64_t key = HOT_BASE; key < HOT_BASE + HOT_KEYS; key++) hot_store(cache, key);
    if (pthread_create(&self->thread, NULL, hitter_run, self) != 0) abort();
    while (atomic_load(&self->hits) == 0) sched_yield();
}

/* Until each of its keys has been hit after this call began. */
static void hitter_await_round(hitter *self)
{
    uint64_t enough = atomic_load(&self->hits) + 2 * HOT_KEYS;
    while (atomic_load(&self->hits) < enough) sched_yield();
}

static void hitter_stop(hitter *self)
{
    atomic_store(&self->stop, true);
    if (pthread_join(self->thread, NULL) != 0) abort();
}

/* ---- What an operation took, and whether the other thread could go on ---- */

/* How long a thread has run, and how long it has waited for a processor. */
typedef struct usage {
    bool known;
    uint64_t ran_ns, waited_ns;
} usage;

static usage usage_of(const hitter *other)
{
    char text[128];
    usage used = {0};
    snprintf(text, sizeof text, "/proc/self/task/%ld/schedstat", atomic_load(&other->number));
    FILE *file = fopen(text, "r");
    if (!file) return used;
    if (fgets(text, sizeof text, file)) {
        char *rest = NULL;
        used.ran_ns = strtoull(text, &rest, 10);
        used.waited_ns = strtoull(rest, NULL, 10);
        used.known = used.ran_ns + used.waited_ns > 0;
    }
    fclose(file);
    return used;
}

typedef struct span {
    const char *name;
    uint64_t start_ns, hits;
    usage used;
} span;

static span span_begin(hitter *other, const char *name)
{
    usage used = usage_of(other);
    atomic_store(&other->gap_ns, 0);
    return (span){name, test_now_ns(), atomic_load(&other->hits), used};
}

/* The other thread must have hit, unless it got no processor; and as hits wait for nobody, it
   must not have slept for long: not more than a tenth of the time, or 10 ms. */
static void check_other(const span *begun, hitter *other, uint64_t took_ns, uint64_t hits,
                        bool may_sleep)
{
    while (atomic_load(&other->hits) == hits + begun->hits) sched_yield();
    usage used = usage_of(other);
    uint64_t spent_ns = test_now_ns() - begun->start_ns;
    if (!used.known || !begun->used.known) {
        if (took_ns > 500 * MS_NS) CHECK(hits > 0);
        return;
    }
    uint64_t ran_ns = used.ran_ns - begun->used.ran_ns;
    uint64_t awake_ns = ran_ns + used.waited_ns - begun->used.waited_ns;
    uint64_t slept_ns = spent_ns > awake_ns ? spent_ns - awake_ns : 0;
    printf("    it ran for %llu us, waited for a processor for %llu us, slept for %llu us\n",
           (unsigned long long)ran_ns / 1000, (unsigned long long)(awake_ns - ran_ns) / 1000,
           (unsigned long long)slept_ns / 1000);
    if (ran_ns > 50 * MS_NS) CHECK(hits > 0);
    if (!may_sleep) CHECK(slept_ns <= spent_ns / 10 + 10 * MS_NS);
}

/* Tells the duration, and how the other thread fared. */
static void span_end(const span *begun, hitter *other, bool may_sleep)
{
    uint64_t hits = atomic_load(&other->hits) - begun->hits;
    uint64_t last_ns = atomic_load(&other->last_ns), gap_ns = atomic_load(&other->gap_ns);
    uint64_t now_ns = test_now_ns(), took_ns = now_ns - begun->start_ns;
    if (now_ns > last_ns && now_ns - last_ns > gap_ns) gap_ns = now_ns - last_ns;
    printf("  %s: %llu us, %llu hits meanwhile, longest gap %llu us\n", begun->name,
           (unsigned long long)took_ns / 1000, (unsigned long long)hits,
           (unsigned long long)gap_ns / 1000);
    check_other(begun, other, took_ns, hits, may_sleep);
}

/* ---- Caches ---- */

static uint64_t entries_wanted(void)
{
    return test_scaled(1000000, 20000);
}

static sark_cache *cache_of(uint64_t entries, uint32_t shard_count)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = entries, .max_bytes = entries * 192 + (8u << 20),
                                .shard_count = shard_count, .clock = {clock_now, NULL}};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) abort();
    return cache;
}

static void fill(sark_cache *cache, uint64_t entries, int64_t ttl_ms)
{
    uint64_t failed = 0;
    for (uint64_t key = 0; key < entries; key++)
        failed += sark_cache_set(cache, &key, sizeof key, &key, sizeof key, ttl_ms) != 0;
    CHECK(failed == 0);
}

static void insert_one(sark_cache *cache, uint64_t key)
{
    CHECK(sark_cache_set(cache, &key, sizeof key, &key, sizeof key, SARK_CACHE_NO_EXPIRY) ==
          SARK_CACHE_OK);
}

static void finish(sark_cache *cache, uint32_t shard_count)
{
    sark_cache_metrics metrics;
    sark_cache_config config = {0};
    char text[256] = "";
    sark_cache_metrics_read(cache, &metrics);
    uint64_t calls = metrics.hits + metrics.sets + metrics.touches;
    printf("  shards %u: longest hold %llu moves, %llu re-placings, %llu hits and writes\n",
           shard_count, (unsigned long long)metrics.longest_hold_moves,
           (unsigned long long)metrics.recency_moves, (unsigned long long)calls);
    CHECK(metrics.longest_hold_moves <= LONGEST_HOLD);
    CHECK(metrics.recency_moves <= MOVES_PER_CALL * calls);
    CHECK(sark_cache_get_config(cache, &config) == SARK_CACHE_OK);
    if (shard_count) CHECK(config.shard_count == shard_count);
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

/* ---- 10^6 entries that expire in one tick ---- */

static void expire_at_once(uint32_t shard_count)
{
    uint64_t entries = entries_wanted();
    sark_cache *cache = cache_of(entries + HOT_KEYS, shard_count);
    hitter other;
    fill(cache, entries, 1000);
    hitter_start(&other, cache);
    CHECK(sark_cache_size(cache) == entries + HOT_KEYS);
    atomic_fetch_add(&clock_ms, 1001);

    span insert = span_begin(&other, "insert beside the expired");
    insert_one(cache, UINT64_MAX);
    span_end(&insert, &other, false);
    CHECK(sark_cache_size(cache) <= entries + HOT_KEYS);

    span cleanup = span_begin(&other, "cleanup_expired");
    uint64_t removed = sark_cache_cleanup_expired(cache, 0);
    span_end(&cleanup, &other, false);
    hitter_stop(&other);

    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    CHECK(removed + metrics.expired_by_writers == entries);
    CHECK(metrics.expired_by_cleanup == removed);
    CHECK(metrics.evictions_for_entries + metrics.evictions_for_bytes == 0);
    CHECK(sark_cache_size(cache) == HOT_KEYS + 1);
    CHECK(other.stores == 0);
    finish(cache, shard_count);
}

/* Inserts alone work it off too, one by one, while each finds a place at once. */
static void expire_and_insert_all(uint32_t shard_count)
{
    uint64_t entries = entries_wanted();
    sark_cache *cache = cache_of(entries, shard_count);
    fill(cache, entries, 1000);
    atomic_fetch_add(&clock_ms, 1001);
    uint64_t longest_ns = 0;
    for (uint64_t key = entries; key < 2 * entries; key++) {
        uint64_t start_ns = test_now_ns();
        insert_one(cache, key);
        uint64_t took_ns = test_now_ns() - start_ns;
        if (took_ns > longest_ns) longest_ns = took_ns;
    }
    printf("  longest insert %llu us\n", (unsigned long long)longest_ns / 1000);
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.evictions_for_entries + metrics.evictions_for_bytes == 0);
    CHECK(metrics.expired_by_writers == entries);
    CHECK(sark_cache_size(cache) == entries);
    finish(cache, shard_count);
}

/* ---- clear of 10^6 entries ---- */

static void clear_all(uint32_t shard_count)
{
    uint64_t entries = entries_wanted();
    sark_cache *cache = cache_of(entries + HOT_KEYS, shard_count);
    hitter other;
    fill(cache, entries, SARK_CACHE_NO_EXPIRY);
    hitter_start(&other, cache);

    span clear = span_begin(&other, "clear");
    uint64_t cleared = sark_cache_clear(cache);
    span_end(&clear, &other, true); /* it stores anew what was cleared */
    hitter_stop(&other);

    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    CHECK(cleared >= entries && cleared <= entries + HOT_KEYS + other.stores);
    CHECK(metrics.cleared == cleared);
    CHECK(metrics.sets - cleared == sark_cache_size(cache));
    CHECK(sark_cache_size(cache) <= HOT_KEYS);
    for (uint64_t key = 0; key < entries; key += 997)
        CHECK(sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_MISS);
    finish(cache, shard_count);
}

/* ---- 10^6 hits in random order, then inserts at capacity ---- */

static uint64_t *shuffled(uint64_t entries)
{
    uint64_t random = seed;
    uint64_t *order = malloc(entries * sizeof *order);
    if (!order) abort();
    for (uint64_t i = 0; i < entries; i++) order[i] = i;
    for (uint64_t i = entries - 1; i > 0; i--) {
        uint64_t j = test_below(&random, i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return order;
}

static bool resident(sark_cache *cache, uint64_t key)
{
    return sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK;
}

static void hit_in_order(sark_cache *cache, const uint64_t *order, uint64_t entries)
{
    uint64_t failed = 0;
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t value = UINT64_MAX;
        (void)sark_cache_get(cache, &order[i], sizeof order[i], &value, sizeof value, NULL);
        failed += value != order[i];
    }
    CHECK(failed == 0);
}

/* The victims are those hit first, in the order of the hits. */
static void hit_all_then_insert(uint32_t shard_count)
{
    uint64_t entries = entries_wanted();
    sark_cache *cache = cache_of(entries + HOT_KEYS, shard_count);
    uint64_t *order = shuffled(entries);
    hitter other;
    fill(cache, entries, SARK_CACHE_NO_EXPIRY);
    hitter_start(&other, cache);
    hit_in_order(cache, order, entries);
    hitter_await_round(&other);

    span insert = span_begin(&other, "first insert at capacity");
    insert_one(cache, UINT64_MAX);
    span_end(&insert, &other, false);
    CHECK(!resident(cache, order[0]) && resident(cache, order[1]));

    uint64_t more = 1000;
    span inserts = span_begin(&other, "1,000 more");
    for (uint64_t i = 1; i <= more; i++) insert_one(cache, UINT64_MAX - i);
    span_end(&inserts, &other, false);
    for (uint64_t i = 0; i <= more; i++) CHECK(!resident(cache, order[i]));
    for (uint64_t i = more + 1; i <= 2 * more; i++) CHECK(resident(cache, order[i]));
    hitter_stop(&other);
    CHECK(other.stores == 0);
    free(order);
    finish(cache, shard_count);
}

TEST(expire_at_once)
{
    expire_at_once(0);
}

TEST(expire_at_once_in_one_shard)
{
    expire_at_once(1);
}

TEST(expire_and_insert_all)
{
    expire_and_insert_all(0);
}

TEST(expire_and_insert_all_in_one_shard)
{
    expire_and_insert_all(1);
}

TEST(clear_all)
{
    clear_all(0);
}

TEST(clear_all_in_one_shard)
{
    clear_all(1);
}

TEST(hit_all_then_insert)
{
    hit_all_then_insert(0);
}

TEST(hit_all_then_insert_in_one_shard)
{
    hit_all_then_insert(1);
}

int main(void)
{
    seed = test_seed();
    test_watchdog(600);
    RUN(expire_at_once);
    RUN(expire_at_once_in_one_shard);
    RUN(expire_and_insert_all);
    RUN(expire_and_insert_all_in_one_shard);
    RUN(clear_all);
    RUN(clear_all_in_one_shard);
    RUN(hit_all_then_insert);
    RUN(hit_all_then_insert_in_one_shard);
    return test_summary();
}
