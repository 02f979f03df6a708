/* Linearizability: 8 threads, few keys, unique values; every call is recorded with the time before
   and after it, and each key's history must have an order that explains it (zones.h). In strict
   runs, where capacity is never reached, a false miss fails too, so that no entry is lost before
   its deadline. The checker itself is held against brute force over all orders of small random
   histories. */

#include "threads.h"

#include "history.h"
#include "stress_values.h"
#include "zones.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

static uint64_t random_state;

/* ---- The checker against brute force ---- */

#define SMALL_MOST 7u

typedef struct brute {
    const zone_op *ops;
    unsigned count;
    bool strict;
    bool seen[1u << SMALL_MOST][8]; /* operations done, value there: tried before */
} brute;

static bool brute_may_be_next(const brute *self, unsigned done, unsigned next)
{
    if (done >> next & 1) return false;
    for (unsigned i = 0; i < self->count; i++)
        if (!(done >> i & 1) && self->ops[i].end < self->ops[next].start) return false;
    return true;
}

/* What is there after an operation, 0 for nothing; -1 where it could not have answered so. */
static int brute_after(const zone_op *op, unsigned there)
{
    switch (op->kind) {
    case ZONE_PUT: return (int)op->value;
    case ZONE_HIT: return there == op->value ? (int)there : -1;
    case ZONE_TAKE: return there == op->value ? 0 : -1;
    case ZONE_DELETE: return 0;
    case ZONE_MISS: return there == 0 ? 0 : -1;
    case ZONE_SIGHT:
    default: return there != 0 ? (int)there : -1;
    }
}

/* Whether what is there may leave by itself now: evicted, or where that is not possible expired. */
static bool brute_may_leave(const brute *self, unsigned done, unsigned there)
{
    uint64_t gone = 0;
    if (there == 0) return false;
    for (unsigned i = 0; i < self->count && self->strict; i++)
        if (self->ops[i].kind == ZONE_PUT && self->ops[i].value == there) gone = self->ops[i].gone;
    for (unsigned i = 0; i < self->count; i++)
        if (!(done >> i & 1) && self->ops[i].end < gone) return false;
    return true;
}

static bool brute_from(brute *self, unsigned done, unsigned there)
{
    if (done + 1 == 1u << self->count) return true;
    if (self->seen[done][there]) return false;
    self->seen[done][there] = true;
    for (unsigned i = 0; i < self->count; i++) {
        if (!brute_may_be_next(self, done, i)) continue;
        int after = brute_after(&self->ops[i], there);
        if (after >= 0 && brute_from(self, done | 1u << i, (unsigned)after)) return true;
    }
    return brute_may_leave(self, done, there) && brute_from(self, done, 0);
}

static bool brute_explains(const zone_op *ops, unsigned count, bool strict)
{
    brute self = {.ops = ops, .count = count, .strict = strict};
    return brute_from(&self, 0, 0);
}

/* Times are distinct; with a small reach most operations come one after another. */
static void draw_times(zone_op *ops, unsigned count)
{
    uint64_t reach = 1 + test_below(&random_state, 40);
    for (unsigned i = 0; i < count; i++) {
        ops[i].start = (i * 8 + test_below(&random_state, reach)) * 16 + 2 * i;
        ops[i].end = ops[i].start + (1 + test_below(&random_state, reach)) * 16 + 1;
        ops[i].gone = ops[i].start + test_below(&random_state, 8) * 16 * 8;
        if (test_below(&random_state, 2)) ops[i].gone = UINT64_MAX;
    }
}

static unsigned draw_history(zone_op *ops, unsigned kinds)
{
    unsigned count = 1 + (unsigned)test_below(&random_state, SMALL_MOST);
    unsigned values = 0;
    memset(ops, 0, count * sizeof ops[0]);
    for (unsigned i = 0; i < count; i++) {
        ops[i].kind = (zone_kind)test_below(&random_state, kinds);
        if (kinds == 4 && ops[i].kind == ZONE_TAKE) ops[i].kind = ZONE_MISS;
        if (ops[i].kind == ZONE_PUT) ops[i].value = ++values;
    }
    for (unsigned i = 0; i < count; i++)
        if (ops[i].kind == ZONE_HIT || ops[i].kind == ZONE_TAKE)
            ops[i].value = values ? 1 + test_below(&random_state, values) : 7;
    draw_times(ops, count);
    return count;
}

/* With puts, hits, misses and deletes the two agree; with all kinds, or where a miss must be
   explained, the zones may only accept more. */
static void compare_with_brute_force(unsigned kinds, bool strict, uint64_t histories)
{
    zone_op ops[SMALL_MOST];
    uint64_t explained = 0, accepted = 0, innocent_rejected = 0;
    for (uint64_t i = 0; i < histories; i++) {
        unsigned count = draw_history(ops, kinds);
        bool truth = brute_explains(ops, count, strict);
        bool answer = zones_check(ops, count, strict) == NULL;
        explained += truth;
        accepted += answer;
        innocent_rejected += truth && !answer;
    }
    printf("  %llu histories: %llu explained, %llu accepted\n", (unsigned long long)histories,
           (unsigned long long)explained, (unsigned long long)accepted);
    CHECK(innocent_rejected == 0);
    CHECK(explained > histories / 20 && explained < histories - histories / 20);
    if (kinds == 4 && !strict) CHECK(accepted == explained);
    /* Of the wrong ones most are seen. */
    CHECK(accepted - explained < (histories - explained) / 4);
}

TEST(checker_agrees_with_brute_force)
{
    compare_with_brute_force(4, false, test_scaled(50000, 2000));
}

TEST(checker_is_sound_for_all_kinds)
{
    compare_with_brute_force(6, false, test_scaled(50000, 2000));
}

TEST(checker_is_sound_when_strict)
{
    compare_with_brute_force(4, true, test_scaled(50000, 2000));
    compare_with_brute_force(6, true, test_scaled(50000, 2000));
}

/* ---- Recording ---- */

#define KEYS_MOST 32u
#define OPS_PER_THREAD 25000u /* in a window, at most; then the histories are checked */
#define CLEAR_RECORDS 4096u    /* of a thread: a clear takes one for each key */
#define RECORDS_PER_THREAD (2 * OPS_PER_THREAD + CLEAR_RECORDS)
#define OPERATIONS UINT64_C(30000000)
#define VALUE_MOST_BYTES 16384u

/* What a window is like. `strict`: capacity is never reached; as several threads may insert one key
   at a time, each with a place of its own, that takes a place more a thread. */
typedef struct kind {
    const char *name;
    bool strict;
    uint32_t keys;
    uint64_t max_entries;
    size_t max_bytes; /* 0: more than enough */
    uint32_t shard_count;
    size_t value_most_bytes;
    int64_t ttl_most_ms; /* 0: none */
    uint32_t deletes;    /* in 100 calls */
    uint32_t clears;     /* in 100,000 calls */
    uint32_t quiet;      /* so many of 10,000 calls only get */
    uint32_t cleanup_interval_ms;
} kind;

static const kind kinds[] = {
    {.name = "replacing", .strict = true, .keys = 2, .max_entries = 64, .shard_count = 1,
     .value_most_bytes = 64},
    {.name = "deleting", .strict = true, .keys = 4, .max_entries = 4 + TEST_THREADS,
     .shard_count = 4, .value_most_bytes = 64, .deletes = 15},
    {.name = "clearing", .strict = true, .keys = 8, .max_entries = 64, .shard_count = 4,
     .value_most_bytes = 200, .deletes = 10, .clears = 200},
    {.name = "expiring, with places left", .strict = true, .keys = 8,
     .max_entries = 8 + TEST_THREADS, .shard_count = 4, .value_most_bytes = 64, .ttl_most_ms = 4,
     .deletes = 2},
    {.name = "cleaned up, with places left", .strict = true, .keys = 8, .max_entries = 64,
     .shard_count = 4, .value_most_bytes = 64, .ttl_most_ms = 2, .clears = 10,
     .cleanup_interval_ms = 1},
    {.name = "expiring, seldom written", .strict = true, .keys = 8,
     .max_entries = 8 + TEST_THREADS, .shard_count = 4, .value_most_bytes = 64, .ttl_most_ms = 4,
     .quiet = 9998},
    {.name = "evicting for entries", .keys = 8, .max_entries = 3, .shard_count = 4,
     .value_most_bytes = 64, .deletes = 5, .clears = 10},
    {.name = "evicting at capacity 1", .keys = 3, .max_entries = 1, .shard_count = 1,
     .value_most_bytes = 64, .deletes = 5},
    {.name = "evicting for bytes", .keys = 32, .max_entries = 64, .max_bytes = 96u << 10,
     .shard_count = 4, .value_most_bytes = VALUE_MOST_BYTES, .deletes = 5},
    {.name = "expiring", .keys = 16, .max_entries = 16, .shard_count = 4,
     .value_most_bytes = 64, .ttl_most_ms = 4, .deletes = 2},
    {.name = "expiring with a cleanup thread", .keys = 16, .max_entries = 12, .shard_count = 16,
     .value_most_bytes = 300, .ttl_most_ms = 4, .deletes = 2, .clears = 10,
     .cleanup_interval_ms = 1},
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

typedef struct recorder {
    uint64_t random;
    uint64_t next_unique, busy;
    size_t count, clear_records;
    zone_op *records;
    sark_cache_pinned pinned;
    bool pin_held;
} recorder;

/* Of each value: when it was surely there at the latest, 0 where it never expires. */
static uint64_t gone_after_ns[TEST_THREADS * OPS_PER_THREAD];
static const kind *now_kind;
static uint64_t calls_per_thread; /* in this run's windows */
static sark_cache *cache;

static void record(recorder *self, zone_kind what, uint64_t key, uint64_t value, uint64_t start,
                   uint64_t end)
{
    if (self->count == RECORDS_PER_THREAD) abort();
    self->records[self->count++] = (zone_op){.start = start, .end = end, .value = value,
                                             .key = (uint32_t)key, .kind = what};
}

/* An answer of a call that does not tell a value. */
static void record_answer(recorder *self, sark_cache_status status, uint64_t key, uint64_t start,
                          uint64_t end)
{
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    record(self, status == SARK_CACHE_OK ? ZONE_SIGHT : ZONE_MISS, key, 0, start, end);
}

static void record_value(recorder *self, zone_kind what, uint64_t key, const void *value,
                         size_t value_bytes, uint64_t start, uint64_t end)
{
    uint64_t unique = 0;
    bool whole = value_holds(value, value_bytes, key, &unique);
    CHECK(whole);
    if (whole) record(self, what, key, unique, start, end);
}

typedef sark_cache_status (*read_call)(sark_cache *, const void *, size_t, void *, size_t,
                                       size_t *);

static void do_read(recorder *self, uint64_t key, read_call call, zone_kind what)
{
    unsigned char value[VALUE_MOST_BYTES];
    size_t value_bytes = 0;
    uint64_t start = history_before();
    sark_cache_status status = call(cache, &key, sizeof key, value, sizeof value, &value_bytes);
    uint64_t end = history_after();
    if (status == SARK_CACHE_OK) record_value(self, what, key, value, value_bytes, start, end);
    else record_answer(self, status, key, start, end);
}

static void do_pin(recorder *self, uint64_t key)
{
    if (self->pin_held) {
        CHECK(sark_cache_unpin(cache, &self->pinned) == SARK_CACHE_OK);
        self->pin_held = false;
        return;
    }
    uint64_t start = history_before();
    sark_cache_status status = sark_cache_pin(cache, &key, sizeof key, &self->pinned);
    uint64_t end = history_after();
    self->pin_held = status == SARK_CACHE_OK;
    if (self->pin_held)
        record_value(self, ZONE_HIT, key, self->pinned.value, self->pinned.value_bytes, start, end);
    else record_answer(self, status, key, start, end);
}

typedef enum writing { WRITE_SET, WRITE_ADD, WRITE_REPLACE } writing;

static sark_cache_status write_value(writing how, uint64_t key, const void *value,
                                     size_t value_bytes, int64_t ttl_ms)
{
    if (how == WRITE_SET)
        return sark_cache_set(cache, &key, sizeof key, value, value_bytes, ttl_ms);
    if (how == WRITE_ADD)
        return sark_cache_add(cache, &key, sizeof key, value, value_bytes, ttl_ms);
    return sark_cache_replace(cache, &key, sizeof key, value, value_bytes, ttl_ms);
}

static size_t draw_bytes(recorder *self)
{
    size_t most = now_kind->value_most_bytes;
    if (most > 1000 && test_below(&self->random, 8) != 0) most = 1000;
    return VALUE_MIN_BYTES + (size_t)test_below(&self->random, most - VALUE_MIN_BYTES + 1);
}

static void do_write(recorder *self, uint64_t key, writing how)
{
    unsigned char value[VALUE_MOST_BYTES];
    uint64_t unique = self->next_unique++;
    size_t value_bytes = draw_bytes(self);
    int64_t ttl_ms = SARK_CACHE_NO_EXPIRY;
    if (now_kind->ttl_most_ms)
        ttl_ms = 1 + (int64_t)test_below(&self->random, (uint64_t)now_kind->ttl_most_ms);
    value_fill(value, value_bytes, key, unique);
    uint64_t start = history_before();
    sark_cache_status status = write_value(how, key, value, value_bytes, ttl_ms);
    uint64_t end = history_after();
    if (now_kind->ttl_most_ms) gone_after_ns[unique] = end + (uint64_t)ttl_ms * 1000000u;
    if (status == SARK_CACHE_BUSY) {
        self->busy++; /* pins are out */
        return;
    }
    if (how == WRITE_ADD && status == SARK_CACHE_EXISTS) {
        record(self, ZONE_SIGHT, key, 0, start, end);
    } else if (status == SARK_CACHE_OK) {
        if (how == WRITE_ADD) record(self, ZONE_MISS, key, 0, start, end);
        record(self, ZONE_PUT, key, unique, start, end);
        self->records[self->count - 1].gone =
            now_kind->ttl_most_ms ? start + (uint64_t)ttl_ms * 1000000u : UINT64_MAX;
    } else {
        CHECK(how == WRITE_REPLACE && status == SARK_CACHE_MISS);
        record(self, ZONE_MISS, key, 0, start, end);
    }
}

static void do_delete(recorder *self, uint64_t key)
{
    uint64_t start = history_before();
    sark_cache_status status = sark_cache_delete(cache, &key, sizeof key);
    uint64_t end = history_after();
    record_answer(self, status, key, start, end);
    if (status == SARK_CACHE_OK) record(self, ZONE_DELETE, key, 0, start, end);
}

static void do_look(recorder *self, uint64_t key)
{
    int64_t ttl_ms;
    bool touch = now_kind->ttl_most_ms == 0 && test_below(&self->random, 2);
    bool ttl = test_below(&self->random, 2);
    uint64_t start = history_before();
    sark_cache_status status;
    if (touch) status = sark_cache_touch(cache, &key, sizeof key, SARK_CACHE_NO_EXPIRY);
    else if (ttl) status = sark_cache_ttl(cache, &key, sizeof key, &ttl_ms);
    else status = sark_cache_contains(cache, &key, sizeof key);
    uint64_t end = history_after();
    record_answer(self, status, key, start, end);
}

/* A clear is a delete of each key. */
static void do_clear(recorder *self)
{
    if (self->clear_records + now_kind->keys > CLEAR_RECORDS) return;
    self->clear_records += now_kind->keys;
    uint64_t start = history_before();
    (void)sark_cache_clear(cache);
    uint64_t end = history_after();
    for (uint32_t key = 0; key < now_kind->keys; key++)
        record(self, ZONE_DELETE, key, 0, start, end);
}

static void do_removal(recorder *self, uint64_t key)
{
    if (test_below(&self->random, 3) == 0) do_read(self, key, sark_cache_take, ZONE_TAKE);
    else do_delete(self, key);
}

static void do_one(recorder *self)
{
    uint64_t key = test_below(&self->random, now_kind->keys);
    uint64_t part = test_below(&self->random, 100);
    if (test_below(&self->random, 10000) < now_kind->quiet) part = 50;
    if (test_below(&self->random, 100000) < now_kind->clears) do_clear(self);
    else if (part < now_kind->deletes) do_removal(self, key);
    else if (part < 60) do_read(self, key, sark_cache_get, ZONE_HIT);
    else if (part < 65) do_read(self, key, sark_cache_peek, ZONE_HIT);
    else if (part < 70) do_pin(self, key);
    else if (part < 75) do_look(self, key);
    else if (part < 87) do_write(self, key, WRITE_SET);
    else if (part < 93) do_write(self, key, WRITE_ADD);
    else do_write(self, key, WRITE_REPLACE);
}

static void *recorder_run(void *context)
{
    recorder *self = context;
    for (uint64_t i = 0; i < calls_per_thread; i++) do_one(self);
    if (self->pin_held) CHECK(sark_cache_unpin(cache, &self->pinned) == SARK_CACHE_OK);
    self->pin_held = false;
    return NULL;
}

/* ---- Judging ---- */

static recorder recorders[TEST_THREADS];
static zone_op merged[TEST_THREADS * RECORDS_PER_THREAD];

/* All records, those of a key together; first[key] and first[key + 1] bound them. */
static void merge(size_t first[KEYS_MOST + 1])
{
    size_t next[KEYS_MOST + 1] = {0};
    for (unsigned i = 0; i < TEST_THREADS; i++)
        for (size_t j = 0; j < recorders[i].count; j++) next[recorders[i].records[j].key + 1]++;
    for (unsigned key = 0; key < KEYS_MOST; key++) next[key + 1] += next[key];
    memcpy(first, next, sizeof next);
    for (unsigned i = 0; i < TEST_THREADS; i++)
        for (size_t j = 0; j < recorders[i].count; j++) {
            const zone_op *op = &recorders[i].records[j];
            merged[next[op->key]++] = *op;
        }
}

/* No hit that started a tick or more after its value's deadline. */
static void check_deadlines(size_t count, uint64_t tick_ns)
{
    uint64_t late = 0;
    for (size_t i = 0; i < count; i++) {
        if (merged[i].kind != ZONE_HIT && merged[i].kind != ZONE_TAKE) continue;
        if (merged[i].value >= TEST_THREADS * OPS_PER_THREAD) continue; /* zones_check tells */
        late += merged[i].start > gone_after_ns[merged[i].value] + tick_ns;
    }
    CHECK(late == 0);
}

static void judge(uint64_t tick_ns)
{
    size_t first[KEYS_MOST + 1];
    merge(first);
    for (unsigned key = 0; key < now_kind->keys; key++) {
        const char *wrong =
            zones_check(merged + first[key], first[key + 1] - first[key], now_kind->strict);
        if (wrong) printf("  %s, key %u: %s\n", now_kind->name, key, wrong);
        CHECK(wrong == NULL);
    }
    if (now_kind->ttl_most_ms) check_deadlines(first[KEYS_MOST], tick_ns);
}

static void check_cache(uint64_t *tick_ns)
{
    sark_cache_metrics metrics;
    uint64_t busy = 0;
    char text[256] = "";
    sark_cache_metrics_read(cache, &metrics);
    *tick_ns = metrics.clock_tick_us * 1000;
    for (unsigned i = 0; i < TEST_THREADS; i++) busy += recorders[i].busy;
    CHECK(metrics.rejected_busy == busy && (now_kind->max_bytes || busy == 0));
    CHECK(metrics.longest_hold_moves <= 256);
    if (now_kind->strict)
        CHECK(metrics.evictions_for_entries + metrics.evictions_for_bytes == 0);
    else if (now_kind->ttl_most_ms == 0)
        CHECK(metrics.evictions_for_entries + metrics.evictions_for_bytes > 0);
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
}

static void run_window(void)
{
    uint64_t tick_ns = 0;
    sark_cache_config config = {
        .max_entries = now_kind->max_entries,
        .max_bytes = now_kind->max_bytes ? now_kind->max_bytes : 1u << 20,
        .shard_count = now_kind->shard_count,
        .cleanup_interval_ms = now_kind->cleanup_interval_ms};
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        zone_op *records = recorders[i].records;
        recorders[i] = (recorder){.random = test_random(&random_state), .records = records,
                                  .next_unique = i * OPS_PER_THREAD};
    }
    test_run_threads(TEST_THREADS, recorder_run, recorders, sizeof recorders[0]);
    check_cache(&tick_ns);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    judge(tick_ns);
}

static void run_kinds(bool strict)
{
    uint64_t wanted = test_scaled(OPERATIONS, 1) / KIND_COUNT / TEST_THREADS + 1;
    uint64_t windows = (wanted + OPS_PER_THREAD - 1) / OPS_PER_THREAD;
    calls_per_thread = wanted / windows + 1;
    if (calls_per_thread > OPS_PER_THREAD) calls_per_thread = OPS_PER_THREAD;
    uint64_t per_window = TEST_THREADS * calls_per_thread;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        now_kind = &kinds[i];
        if (now_kind->strict != strict) continue;
        for (uint64_t window = 0; window < windows; window++) {
            test_watchdog(120);
            run_window();
        }
        printf("  %s: %llu operations\n", now_kind->name,
               (unsigned long long)(windows * per_window));
    }
}

TEST(strict_histories)
{
    run_kinds(true);
}

TEST(histories_with_evictions)
{
    run_kinds(false);
}

int main(void)
{
    random_state = test_seed();
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        recorders[i].records = malloc(RECORDS_PER_THREAD * sizeof(zone_op));
        if (!recorders[i].records) return 1;
    }
    RUN(checker_agrees_with_brute_force);
    RUN(checker_is_sound_for_all_kinds);
    RUN(checker_is_sound_when_strict);
    RUN(strict_histories);
    RUN(histories_with_evictions);
    for (unsigned i = 0; i < TEST_THREADS; i++) free(recorders[i].records);
    return test_summary();
}
