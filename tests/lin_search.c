/* Linearizability of the calls whose effect depends on the value that is there: compare_and_set,
   increment, append, beside get, pin, set, add, replace, take and delete. 8 threads on few keys
   record every call with the time before and after it; a complete search (search.h) must find an
   order that explains each key's history. Every number written, added or appended is drawn from
   so many that no two results are the same.

   The search itself is held against brute force over all orders of small random histories, and
   must reject stores in which one call or another is not atomic. */

#include "threads.h"

#include "history.h"
#include "search.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

static uint64_t random_state;
static search searching;

/* ---- The search against brute force ---------------------------------------------------------- */

#define SMALL_MOST 7u

typedef struct brute {
    const search_op *ops;
    unsigned count;
    bool vanishes;
} brute;

static bool brute_may_be_next(const brute *self, unsigned done, unsigned next)
{
    if (done >> next & 1) return false;
    for (unsigned i = 0; i < self->count; i++)
        if (!(done >> i & 1) && self->ops[i].end < self->ops[next].start) return false;
    return true;
}

/* Every order in full, without a memory. */
static bool brute_from(const brute *self, unsigned done, search_value value)
{
    if (done + 1 == 1u << self->count) return true;
    for (unsigned i = 0; i < self->count; i++) {
        search_value after = value, gone = {0};
        if (!brute_may_be_next(self, done, i)) continue;
        if (search_takes_effect(&self->ops[i], &after) && brute_from(self, done | 1u << i, after))
            return true;
        if (!self->vanishes || !value.is_there) continue;
        if (search_takes_effect(&self->ops[i], &gone) && brute_from(self, done | 1u << i, gone))
            return true;
    }
    return false;
}

/* What a call answers where this value is, in an order of time; changes the value. */
static void answer(search_op *op, search_value *value)
{
    search_value after = *value;
    bool is_read = op->kind == SEARCH_GET || op->kind == SEARCH_TAKE;
    bool is_sum = op->kind == SEARCH_INCREMENT || op->kind == SEARCH_COUNT;
    if (is_read) op->value = *value;
    if (is_sum) op->value = search_number(op->number + (value->is_there ? value->number : 0));
    op->answer = SEARCH_OK;
    if (!(is_read && !value->is_there) && search_takes_effect(op, &after)) {
        *value = after;
        return;
    }
    op->answer = value->is_there ? SEARCH_OTHER : SEARCH_MISS;
}

/* Few numbers, so that wrong answers are plausible. */
static int64_t few(void)
{
    return 1 + (int64_t)test_below(&random_state, 3);
}

static search_value few_values(void)
{
    search_value value = search_number(few());
    if (test_below(&random_state, 4) == 0) value.tail = search_longer(0, few());
    return value;
}

/* One answer that is perhaps wrong. */
static void spoil(search_op *op)
{
    static const search_answer answers[] = {SEARCH_OK, SEARCH_MISS, SEARCH_OTHER};
    if (test_below(&random_state, 2)) op->value = few_values();
    else op->answer = answers[test_below(&random_state, 3)];
}

/* Calls that take effect one after the other at times inside them; mostly one answer is spoiled.
   Returns how many calls. */
static unsigned draw_history(search_op *ops, bool vanishes)
{
    unsigned count = 1 + (unsigned)test_below(&random_state, SMALL_MOST);
    uint64_t reach = 1 + test_below(&random_state, 60);
    search_value value = {0};
    memset(ops, 0, count * sizeof ops[0]);
    for (unsigned i = 0; i < count; i++) {
        uint64_t effect = i * 8 * 16;
        ops[i].kind = (search_kind)test_below(&random_state, SEARCH_KINDS);
        ops[i].number = few();
        if (ops[i].kind == SEARCH_SWAP) ops[i].value = few_values();
        uint64_t before = 16 * test_below(&random_state, reach);
        ops[i].start = effect + 16 * 64 - before + 2 * i;
        ops[i].end = effect + 16 * 64 + 16 * (1 + test_below(&random_state, reach)) + 2 * i + 1;
        if (vanishes && test_below(&random_state, 4) == 0) value = (search_value){0};
        answer(&ops[i], &value);
    }
    if (test_below(&random_state, 4)) spoil(&ops[test_below(&random_state, count)]);
    return count;
}

static void compare_with_brute_force(bool vanishes)
{
    search_op ops[SMALL_MOST];
    uint64_t histories = test_scaled(200000, 2000), explained = 0, disagreements = 0;
    for (uint64_t i = 0; i < histories; i++) {
        brute all = {.ops = ops, .count = draw_history(ops, vanishes), .vanishes = vanishes};
        bool truth = brute_from(&all, 0, (search_value){0});
        bool found = search_check(&searching, ops, all.count, vanishes) == NULL;
        explained += truth;
        disagreements += truth != found;
    }
    printf("  %llu histories: %llu explained\n", (unsigned long long)histories,
           (unsigned long long)explained);
    CHECK(disagreements == 0);
    CHECK(explained > histories / 5 && explained < histories - histories / 10);
}

TEST(search_agrees_with_brute_force)
{
    compare_with_brute_force(false);
}

TEST(search_agrees_with_brute_force_where_entries_vanish)
{
    compare_with_brute_force(true);
}

/* ---- Stores with a bug ----------------------------------------------------------------------- */

enum { STORE_THREADS = 3, STORE_OPS = 40, STORE_HISTORIES = 500 };

/* One thread in the middle of a call that looks first, and changes the store later. */
typedef struct store_call {
    search_op *op; /* NULL: in no call */
    search_value after;
    bool has_looked;
} store_call;

static search_value store_now;

/* A step of a call; those of one kind take two, between which others run. */
static bool store_step(store_call *call, search_kind split, uint64_t now)
{
    if (!call->has_looked) {
        call->after = store_now;
        answer(call->op, &call->after);
        call->has_looked = true;
        if (call->op->kind == split) return false;
    }
    bool writes = call->op->answer == SEARCH_OK && call->op->kind != SEARCH_GET;
    if (writes) store_now = call->after;
    call->op->end = now;
    call->op = NULL;
    return true;
}

/* Calls of threads whose steps come in a random order; returns how many calls have ended. */
static size_t store_run(search_op *ops, search_kind split)
{
    store_call calls[STORE_THREADS] = {{0}};
    size_t begun = 0, under_way = 0;
    store_now = (search_value){0};
    memset(ops, 0, STORE_OPS * sizeof ops[0]);
    for (uint64_t now = 1; begun < STORE_OPS || under_way > 0; now++) {
        store_call *call = &calls[test_below(&random_state, STORE_THREADS)];
        if (call->op) {
            under_way -= store_step(call, split, now);
        } else if (begun < STORE_OPS) {
            search_kind kind = (search_kind)test_below(&random_state, SEARCH_KINDS);
            search_op *op = &ops[begun++];
            *op = (search_op){.start = now, .kind = kind, .number = (int64_t)begun * 1000};
            if (kind == SEARCH_SWAP) op->value = store_now;
            *call = (store_call){.op = op};
            under_way++;
        }
    }
    return begun;
}

/* In how many histories of a store the search finds no order. */
static unsigned store_rejected(search_kind split)
{
    search_op ops[STORE_OPS];
    unsigned rejected = 0;
    for (unsigned i = 0; i < STORE_HISTORIES; i++) {
        size_t count = store_run(ops, split);
        rejected += search_check(&searching, ops, count, false) != NULL;
    }
    return rejected;
}

TEST(an_atomic_store_is_accepted)
{
    CHECK(store_rejected(SEARCH_KINDS) == 0);
    CHECK(store_rejected(SEARCH_GET) == 0); /* it only reads: two steps are as good as one */
    CHECK(store_rejected(SEARCH_SET) == 0); /* it does not look */
}

TEST(stores_that_are_not_atomic_are_rejected)
{
    static const char *const names[SEARCH_KINDS] = {
        [SEARCH_ADD] = "add",       [SEARCH_REPLACE] = "replace",
        [SEARCH_SWAP] = "swap",     [SEARCH_INCREMENT] = "increment",
        [SEARCH_COUNT] = "count",   [SEARCH_APPEND] = "append",
        [SEARCH_TAKE] = "take",     [SEARCH_DELETE] = "delete"};
    for (search_kind split = SEARCH_ADD; split < SEARCH_KINDS; split++) {
        unsigned rejected = store_rejected(split);
        printf("  %s in two steps: %u of %d histories are rejected\n", names[split], rejected,
               STORE_HISTORIES);
        CHECK(rejected > STORE_HISTORIES / 20);
    }
}

/* ---- Recording ------------------------------------------------------------------------------- */

#define KEYS_MOST 8u
#define OPS_PER_THREAD 2500u /* in a window; then the histories are searched */
#define RECORDS_PER_THREAD (OPS_PER_THREAD + 1u)
#define OPERATIONS UINT64_C(2000000)
#define VALUE_MOST_BYTES 65536u
#define TAIL_MOST 8u /* numbers appended, before the key is set again */

/* What a window is like: `vanishes` where entries are evicted. */
typedef struct kind {
    const char *name;
    bool vanishes;
    uint32_t keys;
    uint64_t max_entries;
    uint32_t shard_count;
} kind;

static const kind kinds[] = {
    {.name = "one key", .keys = 1, .max_entries = 16, .shard_count = 1},
    {.name = "four keys", .keys = 4, .max_entries = 16, .shard_count = 4},
    {.name = "one entry for three keys", .vanishes = true, .keys = 3, .max_entries = 1,
     .shard_count = 2},
    {.name = "six entries for eight keys", .vanishes = true, .keys = 8, .max_entries = 6,
     .shard_count = 4},
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

/* What a version stood for. */
typedef struct version_seen {
    uint32_t key;
    uint64_t version;
    search_value value;
} version_seen;

typedef struct recorder {
    uint64_t random;
    size_t count, version_count;
    search_op *records;
    version_seen *versions;
    unsigned char *bytes; /* VALUE_MOST_BYTES */
} recorder;

static const kind *now_kind;
static sark_cache *cache;
static recorder recorders[TEST_THREADS];
static search_op merged[TEST_THREADS * RECORDS_PER_THREAD];
static version_seen all_versions[TEST_THREADS * RECORDS_PER_THREAD];

/* A number that no other is, nor a sum of few. */
static int64_t draw_number(recorder *self)
{
    return (int64_t)(test_random(&self->random) >> 8) + 1;
}

static search_value value_of(const unsigned char *bytes, size_t value_bytes)
{
    CHECK(value_bytes >= 8 && value_bytes % 8 == 0);
    search_value value = search_number(sark_cache_read_int64(bytes));
    for (size_t at = 8; at < value_bytes; at += 8)
        value.tail = search_longer(value.tail, sark_cache_read_int64(bytes + at));
    return value;
}

static search_answer answer_of(sark_cache_status status)
{
    if (status == SARK_CACHE_OK) return SEARCH_OK;
    if (status == SARK_CACHE_MISS) return SEARCH_MISS;
    CHECK(status == SARK_CACHE_EXISTS || status == SARK_CACHE_NOT_INTEGER);
    return SEARCH_OTHER;
}

static void record(recorder *self, search_op op, sark_cache_status status, uint64_t start)
{
    op.end = history_after();
    op.start = start;
    op.answer = answer_of(status);
    if (self->count == RECORDS_PER_THREAD) abort();
    self->records[self->count++] = op;
}

typedef sark_cache_status (*read_call)(sark_cache *, const void *, size_t, void *, size_t,
                                       size_t *);

/* A get or take. Returns how many numbers the value has. */
static size_t do_read(recorder *self, uint32_t key, read_call call, search_kind what)
{
    size_t value_bytes = 0;
    uint64_t start = history_before();
    sark_cache_status status =
        call(cache, &key, sizeof key, self->bytes, VALUE_MOST_BYTES, &value_bytes);
    record(self, (search_op){.key = key, .kind = what}, status, start);
    if (status != SARK_CACHE_OK) return 0;
    self->records[self->count - 1].value = value_of(self->bytes, value_bytes);
    return value_bytes / 8;
}

/* A pin, and then a compare_and_set with its version. */
static void do_swap(recorder *self, uint32_t key)
{
    sark_cache_pinned pinned;
    unsigned char bytes[8];
    uint64_t start = history_before();
    sark_cache_status status = sark_cache_pin(cache, &key, sizeof key, &pinned);
    record(self, (search_op){.key = key, .kind = SEARCH_GET}, status, start);
    if (status != SARK_CACHE_OK) return;
    search_value value = value_of(pinned.value, pinned.value_bytes);
    self->records[self->count - 1].value = value;
    self->versions[self->version_count++] = (version_seen){key, pinned.version, value};
    uint64_t version = pinned.version;
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    search_op op = {.key = key, .kind = SEARCH_SWAP, .number = draw_number(self), .value = value};
    sark_cache_write_int64(bytes, op.number);
    start = history_before();
    status = sark_cache_compare_and_set(cache, &key, sizeof key, version, bytes, 8, 0);
    record(self, op, status, start);
}

typedef sark_cache_status (*write_call)(sark_cache *, const void *, size_t, const void *, size_t,
                                        int64_t);

/* A set, add, replace or append. */
static void do_write(recorder *self, uint32_t key, write_call call, search_kind what)
{
    unsigned char bytes[8];
    search_op op = {.key = key, .kind = what, .number = draw_number(self)};
    sark_cache_write_int64(bytes, op.number);
    uint64_t start = history_before();
    sark_cache_status status = call(cache, &key, sizeof key, bytes, 8, 0);
    record(self, op, status, start);
}

static void do_increment(recorder *self, uint32_t key)
{
    bool counts = test_below(&self->random, 2);
    search_op op = {.key = key, .kind = counts ? SEARCH_COUNT : SEARCH_INCREMENT,
                    .number = draw_number(self)};
    int64_t result = 0, initial = op.number;
    uint64_t start = history_before();
    sark_cache_status status = sark_cache_increment(cache, &key, sizeof key, op.number,
                                                    counts ? &initial : NULL, 0, &result);
    op.value = search_number(result);
    record(self, op, status, start);
}

static void do_delete(recorder *self, uint32_t key)
{
    uint64_t start = history_before();
    sark_cache_status status = sark_cache_delete(cache, &key, sizeof key);
    record(self, (search_op){.key = key, .kind = SEARCH_DELETE}, status, start);
}

static void do_one(recorder *self)
{
    uint32_t key = (uint32_t)test_below(&self->random, now_kind->keys);
    uint64_t part = test_below(&self->random, 100);
    if (part < 20) {
        if (do_read(self, key, sark_cache_get, SEARCH_GET) > TAIL_MOST)
            do_write(self, key, sark_cache_set, SEARCH_SET);
    } else if (part < 45) do_swap(self, key);
    else if (part < 70) do_increment(self, key);
    else if (part < 76) do_write(self, key, sark_cache_set, SEARCH_SET);
    else if (part < 82) do_write(self, key, sark_cache_add, SEARCH_ADD);
    else if (part < 88) do_write(self, key, sark_cache_replace, SEARCH_REPLACE);
    else if (part < 92) do_write(self, key, sark_cache_append, SEARCH_APPEND);
    else if (part < 96) (void)do_read(self, key, sark_cache_take, SEARCH_TAKE);
    else do_delete(self, key);
}

static void *recorder_run(void *context)
{
    recorder *self = context;
    while (self->count < OPS_PER_THREAD) do_one(self);
    return NULL;
}

/* ---- Judging --------------------------------------------------------------------------------- */

static int by_version(const void *one, const void *other)
{
    const version_seen *a = one, *b = other;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return (a->version > b->version) - (a->version < b->version);
}

static int by_value(const void *one, const void *other)
{
    const version_seen *a = one, *b = other;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    if (a->value.number != b->value.number) return a->value.number < b->value.number ? -1 : 1;
    return (a->value.tail > b->value.tail) - (a->value.tail < b->value.tail);
}

/* A version stands for one value of a key, and a value, as none is written twice, for one
   version. */
static void judge_versions(void)
{
    size_t count = 0, wrong = 0;
    for (unsigned i = 0; i < TEST_THREADS; i++)
        for (size_t j = 0; j < recorders[i].version_count; j++)
            all_versions[count++] = recorders[i].versions[j];
    for (unsigned pass = 0; pass < 2; pass++) {
        qsort(all_versions, count, sizeof all_versions[0], pass ? by_value : by_version);
        for (size_t i = 1; i < count; i++) {
            const version_seen *one = &all_versions[i - 1], *other = &all_versions[i];
            wrong += one->key == other->key && (one->version == other->version) !=
                                                   search_same(&one->value, &other->value);
        }
    }
    CHECK(wrong == 0);
}

static void judge(void)
{
    for (uint32_t key = 0; key < now_kind->keys; key++) {
        size_t count = 0;
        for (unsigned i = 0; i < TEST_THREADS; i++)
            for (size_t j = 0; j < recorders[i].count; j++)
                if (recorders[i].records[j].key == key) merged[count++] = recorders[i].records[j];
        const char *wrong = search_check(&searching, merged, count, now_kind->vanishes);
        if (wrong)
            printf("  %s, key %u, call of kind %d: %s\n", now_kind->name, key,
                   searching.failed->kind, wrong);
        CHECK(wrong == NULL);
    }
    judge_versions();
}

static void check_cache(void)
{
    sark_cache_metrics metrics;
    char text[256] = "";
    sark_cache_metrics_read(cache, &metrics);
    CHECK((metrics.evictions_for_entries > 0) == now_kind->vanishes);
    CHECK(metrics.evictions_for_bytes == 0 && metrics.rejected_busy == 0);
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
}

static void run_window(void)
{
    sark_cache_config config = {.max_entries = now_kind->max_entries,
                                .max_bytes = 4u << 20,
                                .shard_count = now_kind->shard_count};
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        recorders[i].random = test_random(&random_state);
        recorders[i].count = recorders[i].version_count = 0;
    }
    test_run_threads(TEST_THREADS, recorder_run, recorders, sizeof recorders[0]);
    check_cache();
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    judge();
}

/* All windows of some kinds; so many of each that all kinds make OPERATIONS. */
static void run_kinds(bool vanishes)
{
    uint64_t per_window = TEST_THREADS * OPS_PER_THREAD;
    uint64_t windows = test_scaled(OPERATIONS, 1) / per_window / KIND_COUNT + 1;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        now_kind = &kinds[i];
        if (now_kind->vanishes != vanishes) continue;
        searching.calls = searching.overlapping = 0;
        for (uint64_t window = 0; window < windows; window++) {
            test_watchdog(120);
            run_window();
        }
        printf("  %s: %llu calls, %llu of them began beside another on their key\n",
               now_kind->name, (unsigned long long)searching.calls,
               (unsigned long long)searching.overlapping);
    }
}

TEST(histories)
{
    run_kinds(false);
}

TEST(histories_with_evictions)
{
    run_kinds(true);
}

static bool create_all(void)
{
    bool created = search_create(&searching);
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        recorder *self = &recorders[i];
        self->records = malloc(RECORDS_PER_THREAD * sizeof self->records[0]);
        self->versions = malloc(RECORDS_PER_THREAD * sizeof self->versions[0]);
        self->bytes = malloc(VALUE_MOST_BYTES);
        created = created && self->records && self->versions && self->bytes;
    }
    return created;
}

static void destroy_all(void)
{
    search_destroy(&searching);
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        free(recorders[i].records);
        free(recorders[i].versions);
        free(recorders[i].bytes);
    }
}

int main(void)
{
    random_state = test_seed();
    if (!create_all()) return 1;
    RUN(search_agrees_with_brute_force);
    RUN(search_agrees_with_brute_force_where_entries_vanish);
    RUN(an_atomic_store_is_accepted);
    RUN(stores_that_are_not_atomic_are_rejected);
    RUN(histories);
    RUN(histories_with_evictions);
    destroy_all();
    return test_summary();
}
