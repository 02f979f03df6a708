/* Every two functions of the cache that can meet on one key, as a table of calls.

   After a schedule of two calls, what they answered, what is left, what was reported and whom the
   next insert evicts must be what one of the two orders, one call after the other, would have
   given; where the key's TTL may pass meanwhile, that moment is a third step of the order. The
   orders are run on fresh caches. */

#ifndef SARK_SCHEDULE_PAIRS_H
#define SARK_SCHEDULE_PAIRS_H

#include "schedule/driver.h"

enum { PAIR_VALUE_BYTES = 24, PAIR_REPORTS = 16, PAIR_TTL_MS = 5, PAIR_LEAP_MS = 20 };

/* ---- Variants -------------------------------------------------------------------------------- */

typedef enum pair_start { PAIR_PRESENT, PAIR_ABSENT, PAIR_WITH_TTL } pair_start;

/* Drawn from the seed. */
typedef struct pair_variant {
    pair_start start;
    bool two_shards, reports;
    bool is_full; /* room for two entries, not four */
    bool is_wide; /* a region in which leases may stay with hot entries */
} pair_variant;

enum { PAIR_VARIANTS = 3 * 16 };

static pair_variant pair_variant_of(uint64_t seed)
{
    uint64_t state = seed;
    uint32_t number = (uint32_t)test_below(&state, PAIR_VARIANTS);
    return (pair_variant){(pair_start)(number / 16), number & 1, number & 2, number & 4,
                          number & 8};
}

static uint32_t pair_variant_number(pair_variant variant)
{
    return (uint32_t)variant.start * 16 + variant.two_shards + variant.reports * 2 +
           variant.is_full * 4 + variant.is_wide * 8;
}

/* ---- What came of a schedule ----------------------------------------------------------------- */

/* What a call answered. */
typedef struct pair_result {
    int32_t status;
    uint32_t value_bytes;
    int64_t number;
    uint64_t version;
    unsigned char value[PAIR_VALUE_BYTES];
} pair_result;

/* What a key has at the end. */
typedef struct pair_key_state {
    int32_t status;
    uint32_t value_bytes;
    int64_t ttl_ms;
    unsigned char value[PAIR_VALUE_BYTES];
} pair_key_state;

/* Compared as bytes, so it is zeroed first. */
typedef struct pair_outcome {
    pair_result results[2];
    pair_key_state key, neighbour; /* the neighbour is the next oldest entry */
    uint64_t size;
    int32_t key_survives, neighbour_survives; /* an insert that evicts the oldest */
    uint64_t report_count, report_sum;        /* of all until then */
} pair_outcome;

typedef struct pair_report {
    unsigned char key, value_bytes;
    unsigned char value[PAIR_VALUE_BYTES];
    sark_cache_cause cause;
} pair_report;

static sark_cache *pair_cache;
static unsigned char pair_region[128 << 10] __attribute__((aligned(128)));
static uint64_t pair_version; /* of the key at the start */
static pair_report pair_reports[PAIR_REPORTS];
static uint32_t pair_report_count;
static bool pair_counts_neighbour; /* whether reports of the neighbour are part of the outcome */

static void pair_on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                           size_t value_bytes, sark_cache_cause cause)
{
    (void)context;
    schedule_require(key_bytes == 1 && value_bytes <= PAIR_VALUE_BYTES, "a report of no entry");
    schedule_require(pair_report_count < PAIR_REPORTS, "too many reports");
    pair_report *report = &pair_reports[pair_report_count++];
    memset(report, 0, sizeof *report);
    report->key = *(const unsigned char *)key;
    report->value_bytes = (unsigned char)value_bytes;
    memcpy(report->value, value, value_bytes);
    report->cause = cause;
}

/* A number that tells a report; their sum tells them all, in any order. */
static uint64_t pair_report_number(const pair_report *report)
{
    uint64_t state = report->key * 16u + (uint64_t)report->cause;
    for (uint32_t i = 0; i < PAIR_VALUE_BYTES; i++) state = test_random(&state) + report->value[i];
    return test_random(&state) + report->value_bytes;
}

static void pair_sum_reports(pair_outcome *outcome)
{
    for (uint32_t i = 0; i < pair_report_count; i++) {
        if (pair_reports[i].key == 'n' && !pair_counts_neighbour) continue;
        outcome->report_count++;
        outcome->report_sum += pair_report_number(&pair_reports[i]);
    }
}

/* ---- The calls ------------------------------------------------------------------------------- */

/* The number that a thread stores. */
static void pair_number(unsigned char *bytes, unsigned who)
{
    sark_cache_write_int64(bytes, 100 * ((int64_t)who + 1));
}

static void pair_get(pair_result *result, unsigned who)
{
    size_t value_bytes = 0;
    (void)who;
    result->status = sark_cache_get(pair_cache, "k", 1, result->value, PAIR_VALUE_BYTES,
                                    &value_bytes);
    result->value_bytes = (uint32_t)value_bytes;
}

static void pair_peek(pair_result *result, unsigned who)
{
    size_t value_bytes = 0;
    (void)who;
    result->status = sark_cache_peek(pair_cache, "k", 1, result->value, PAIR_VALUE_BYTES,
                                     &value_bytes);
    result->value_bytes = (uint32_t)value_bytes;
}

static void pair_take(pair_result *result, unsigned who)
{
    size_t value_bytes = 0;
    (void)who;
    result->status = sark_cache_take(pair_cache, "k", 1, result->value, PAIR_VALUE_BYTES,
                                     &value_bytes);
    result->value_bytes = (uint32_t)value_bytes;
}

/* The value stays as it is while it is pinned. */
static void pair_pin(pair_result *result, unsigned who)
{
    sark_cache_pinned pinned;
    (void)who;
    result->status = sark_cache_pin(pair_cache, "k", 1, &pinned);
    if (result->status != SARK_CACHE_OK) return;
    result->value_bytes = (uint32_t)pinned.value_bytes;
    result->version = pinned.version;
    schedule_require(pinned.value_bytes <= PAIR_VALUE_BYTES, "a pinned value is too long");
    memcpy(result->value, pinned.value, pinned.value_bytes);
    for (unsigned i = 0; i < 8; i++) schedule_point();
    schedule_require(memcmp(result->value, pinned.value, pinned.value_bytes) == 0,
                     "a pinned value changed");
    schedule_require(sark_cache_unpin(pair_cache, &pinned) == SARK_CACHE_OK, "unpin");
}

/* Of one key, so that there is one order to compare with. */
static void pair_get_many(pair_result *result, unsigned who)
{
    (void)who;
    sark_cache_get_request request = {"k", 1, result->value, PAIR_VALUE_BYTES, 0, SARK_CACHE_OK};
    result->status = sark_cache_get_many(pair_cache, &request, 1);
    result->value_bytes = (uint32_t)request.value_bytes;
}

static void pair_contains(pair_result *result, unsigned who)
{
    (void)who;
    result->status = sark_cache_contains(pair_cache, "k", 1);
}

static void pair_ttl(pair_result *result, unsigned who)
{
    (void)who;
    result->status = sark_cache_ttl(pair_cache, "k", 1, &result->number);
}

static void pair_set(pair_result *result, unsigned who)
{
    unsigned char value[8];
    pair_number(value, who);
    result->status = sark_cache_set(pair_cache, "k", 1, value, 8, who ? 1000 : 0);
}

static void pair_add(pair_result *result, unsigned who)
{
    unsigned char value[8];
    pair_number(value, who);
    result->status = sark_cache_add(pair_cache, "k", 1, value, 8, who ? 0 : 1000);
}

static void pair_replace(pair_result *result, unsigned who)
{
    unsigned char value[8];
    pair_number(value, who);
    result->status = sark_cache_replace(pair_cache, "k", 1, value, 8, who ? 1000 : 0);
}

static void pair_compare_and_set(pair_result *result, unsigned who)
{
    unsigned char value[8];
    pair_number(value, who);
    result->status = sark_cache_compare_and_set(pair_cache, "k", 1, pair_version, value, 8, 0);
}

static void pair_increment(pair_result *result, unsigned who)
{
    int64_t initial = 1000 * ((int64_t)who + 1);
    result->status = sark_cache_increment(pair_cache, "k", 1, (int64_t)who + 1, &initial, 0,
                                          &result->number);
}

static void pair_append(pair_result *result, unsigned who)
{
    result->status = sark_cache_append(pair_cache, "k", 1, who ? "bb" : "a", who + 1, 0);
}

static void pair_touch(pair_result *result, unsigned who)
{
    result->status = sark_cache_touch(pair_cache, "k", 1, 2000 + (int64_t)who);
}

static void pair_prepend(pair_result *result, unsigned who)
{
    result->status = sark_cache_prepend(pair_cache, "k", 1, who ? "dd" : "c", who + 1, 0);
}

static void pair_get_and_touch(pair_result *result, unsigned who)
{
    size_t value_bytes = 0;
    result->status = sark_cache_get_and_touch(pair_cache, "k", 1, result->value, PAIR_VALUE_BYTES,
                                              &value_bytes, 3000 + (int64_t)who);
    result->value_bytes = (uint32_t)value_bytes;
}

static void pair_delete(pair_result *result, unsigned who)
{
    (void)who;
    result->status = sark_cache_delete(pair_cache, "k", 1);
}

static void pair_clear(pair_result *result, unsigned who)
{
    (void)who;
    result->number = (int64_t)sark_cache_clear(pair_cache);
}

static void pair_clear_prefix(pair_result *result, unsigned who)
{
    uint64_t removed = 0;
    (void)who;
    result->status = sark_cache_clear_prefix(pair_cache, "k", 1, &removed);
    result->number = (int64_t)removed;
}

static bool pair_matches(void *context, const void *key, size_t key_bytes, const void *value,
                         size_t value_bytes, int64_t ttl_left_ms)
{
    (void)context, (void)value, (void)value_bytes, (void)ttl_left_ms;
    for (unsigned i = 0; i < 4; i++) schedule_point();
    return key_bytes == 1 && *(const char *)key == 'k';
}

static void pair_clear_if(pair_result *result, unsigned who)
{
    uint64_t removed = 0;
    (void)who;
    result->status = sark_cache_clear_if(pair_cache, pair_matches, NULL, &removed);
    result->number = (int64_t)removed;
}

static void pair_cleanup(pair_result *result, unsigned who)
{
    (void)who;
    result->number = (int64_t)sark_cache_cleanup_expired(pair_cache, 0);
}

static bool pair_visit(void *context, const void *key, size_t key_bytes, const void *value,
                       size_t value_bytes, int64_t ttl_left_ms)
{
    pair_result *result = context;
    (void)ttl_left_ms;
    if (key_bytes != 1 || *(const char *)key != 'k') return true;
    result->number++;
    result->value_bytes = (uint32_t)value_bytes;
    schedule_require(value_bytes <= PAIR_VALUE_BYTES, "a visited value is too long");
    memcpy(result->value, value, value_bytes);
    return true;
}

static void pair_foreach(pair_result *result, unsigned who)
{
    (void)who;
    result->status = sark_cache_foreach(pair_cache, pair_visit, result);
}

/* How many there are; the order is that of the moments at which each was looked at. */
static void pair_coldest(pair_result *result, unsigned who)
{
    char keys[4][2];
    sark_cache_ranked ranked[4];
    size_t found = 0;
    (void)who;
    for (size_t i = 0; i < 4; i++) ranked[i] = (sark_cache_ranked){keys[i], 2, 0, 0};
    result->status = sark_cache_coldest(pair_cache, ranked, 4, &found);
    for (size_t i = 0; i < found; i++) {
        schedule_require(ranked[i].key_bytes == 1 && ranked[i].used > 0, "a rank of no key");
        schedule_require(i == 0 || ranked[i].used >= ranked[i - 1].used, "ranks in no order");
        result->number += *(char *)ranked[i].key == 'k';
    }
}

static void pair_check(pair_result *result, unsigned who)
{
    (void)who;
    result->number = sark_cache_check(pair_cache, NULL, 0);
}

/* Counts are not exact while other calls run; bounds hold. */
static void pair_metrics(pair_result *result, unsigned who)
{
    static sark_cache_metrics metrics[2];
    (void)result;
    sark_cache_metrics_read(pair_cache, &metrics[who]);
    schedule_require(metrics[who].entries <= metrics[who].max_entries, "metrics: entries");
    schedule_require(metrics[who].bytes <= metrics[who].max_bytes, "metrics: bytes");
}

typedef struct pair_call {
    const char *name;
    void (*run)(pair_result *result, unsigned who);
    bool renews; /* may put a new entry under the key */
    bool looks;  /* looks for the key without the lock of its shard */
} pair_call;

static const pair_call pair_calls[] = {
    {"get", pair_get, false, true},
    {"get_many", pair_get_many, false, true},
    {"pin", pair_pin, false, true},
    {"peek", pair_peek, false, true},
    {"contains", pair_contains, false, true},
    {"ttl", pair_ttl, false, true},
    {"set", pair_set, true, false},
    {"add", pair_add, true, false},
    {"replace", pair_replace, true, false},
    {"compare_and_set", pair_compare_and_set, true, false},
    {"increment", pair_increment, true, false},
    {"append", pair_append, true, true},
    {"prepend", pair_prepend, true, true},
    {"take", pair_take, false, false},
    {"touch", pair_touch, false, false},
    {"get_and_touch", pair_get_and_touch, false, false},
    {"delete", pair_delete, false, false},
    {"clear", pair_clear, false, false},
    {"clear_prefix", pair_clear_prefix, false, false},
    {"clear_if", pair_clear_if, false, true},
    {"cleanup", pair_cleanup, false, false},
    {"foreach", pair_foreach, false, true},
    {"coldest", pair_coldest, false, true},
    {"check", pair_check, false, false},
    {"metrics", pair_metrics, false, false},
};
enum { PAIR_CALLS = sizeof pair_calls / sizeof pair_calls[0] };

/* ---- One run --------------------------------------------------------------------------------- */

static void pair_put(const char *key, int64_t number, int64_t ttl_ms)
{
    unsigned char value[8];
    sark_cache_write_int64(value, number);
    schedule_require(sark_cache_set(pair_cache, key, 1, value, 8, ttl_ms) == SARK_CACHE_OK, "put");
}

/* A cache with the key, where it is to be there, and a neighbour that is used later. */
static void pair_prepare(pair_variant variant)
{
    sark_cache_config config = {.max_entries = variant.is_full ? 2 : 4,
                                .max_bytes = variant.is_wide ? 64 << 10 : 16 << 10,
                                .shard_count = variant.two_shards ? 2 : 1,
                                .lease_count = 3,
                                .pin_count = 3,
                                .on_remove = variant.reports ? pair_on_remove : NULL,
                                .hash_seed = 5};
    pair_report_count = 0;
    pair_version = 0;
    pair_counts_neighbour = !variant.is_full;
    schedule_require(sark_cache_create_in(&pair_cache, &config, pair_region,
                                          config.max_bytes) == SARK_CACHE_OK, "create");
    if (variant.start != PAIR_ABSENT) {
        sark_cache_pinned pinned;
        pair_put("k", 10, variant.start == PAIR_WITH_TTL ? PAIR_TTL_MS : 0);
        schedule_require(sark_cache_pin(pair_cache, "k", 1, &pinned) == SARK_CACHE_OK, "pin");
        pair_version = pinned.version;
        schedule_require(sark_cache_unpin(pair_cache, &pinned) == SARK_CACHE_OK, "unpin");
    }
    pair_put("n", 20, 0);
    if (variant.start == PAIR_WITH_TTL) schedule.leap_ns = (int64_t)PAIR_LEAP_MS * 1000000;
}

static pair_key_state pair_key_now(const char *key)
{
    pair_key_state state;
    size_t value_bytes = 0;
    memset(&state, 0, sizeof state);
    state.status = sark_cache_peek(pair_cache, key, 1, state.value, PAIR_VALUE_BYTES, &value_bytes);
    state.value_bytes = (uint32_t)value_bytes;
    (void)sark_cache_ttl(pair_cache, key, 1, &state.ttl_ms);
    return state;
}

/* Inserts until the oldest entry has to leave, where both may still be there. */
static void pair_probe(pair_outcome *outcome)
{
    pair_put("x", 1, 0);
    pair_put("y", 2, 0);
    pair_put("z", 3, 0);
    outcome->key_survives = sark_cache_contains(pair_cache, "k", 1);
    outcome->neighbour_survives = sark_cache_contains(pair_cache, "n", 1);
}

static void pair_check_holds(void)
{
    static char report[200];
    if (!sark_cache_check(pair_cache, report, sizeof report)) schedule_fail(report);
}

/* Notes what came of it, and ends the cache. */
static void pair_collect(pair_variant variant, pair_outcome *outcome)
{
    pair_check_holds();
    outcome->key = pair_key_now("k");
    outcome->neighbour = pair_key_now("n");
    outcome->size = sark_cache_size(pair_cache);
    schedule_require(sarki_load32_relaxed(&pair_cache->a_count) == outcome->size,
                     "places are taken by nobody");
    if (!variant.is_full) pair_probe(outcome);
    pair_check_holds();
    pair_sum_reports(outcome);
    uint64_t left = sark_cache_size(pair_cache);
    uint32_t reported = pair_report_count;
    schedule_require(sark_cache_destroy(pair_cache) == SARK_CACHE_OK, "destroy");
    schedule_require(!variant.reports || pair_report_count == reported + left,
                     "destroy did not report what was left");
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static bool pair_clears(const pair_call *call)
{
    return call->run == pair_clear || call->run == pair_clear_prefix || call->run == pair_clear_if;
}

/* What two runs need not have in common.
     A full cache: where the key has just left and its place is not given back, or is taken and the
     key not yet there, a write that overlaps evicts the neighbour.
     clear removes what was written before it, key after key: what another call writes meanwhile
     stays, though the entry before it was not cleared but replaced (so a third order, in which
     clear does not meet the key); two clears share the entries. clear_if leaves what was touched
     since it was seen, too.
     The TTL may pass between the moment from which a call counts a TTL and its effect. */
static void pair_mask(const scenario *pair, pair_variant variant, pair_outcome *outcome)
{
    const pair_call *calls[2] = {&pair_calls[pair->one], &pair_calls[pair->other]};
    for (unsigned i = 0; i < 2; i++) {
        bool is_clear = pair_clears(calls[i]), shares = calls[!i]->renews || pair_clears(calls[!i]);
        if (is_clear && (shares || variant.is_full)) outcome->results[i].number = 0;
        if (is_clear && calls[!i]->renews) outcome->report_sum = 0;
        if (variant.start == PAIR_WITH_TTL && calls[i]->run == pair_ttl)
            outcome->results[i].number = outcome->results[i].status == SARK_CACHE_OK;
    }
    if (variant.is_full) {
        memset(&outcome->neighbour, 0, sizeof outcome->neighbour);
        outcome->size = 0;
    }
    if (variant.start == PAIR_WITH_TTL && outcome->key.ttl_ms != SARK_CACHE_NO_EXPIRY)
        outcome->key.ttl_ms = 0;
}

/* A step of an order. CLEAR_PAST: a clear that does not meet the key; MISSED: a look to which the
   key has expired. */
typedef enum pair_step { PAIR_ONE, PAIR_OTHER, PAIR_LEAP, PAIR_CLEAR_PAST, PAIR_MISSED } pair_step;

enum { PAIR_STEPS = 3, PAIR_ORDERS = 16 };

/* The orders of two calls and of the moment at which the TTL passes. */
static const unsigned char pair_plain_orders[6][PAIR_STEPS] = {
    {PAIR_ONE, PAIR_OTHER, PAIR_LEAP}, {PAIR_OTHER, PAIR_ONE, PAIR_LEAP},
    {PAIR_ONE, PAIR_LEAP, PAIR_OTHER}, {PAIR_OTHER, PAIR_LEAP, PAIR_ONE},
    {PAIR_LEAP, PAIR_ONE, PAIR_OTHER}, {PAIR_LEAP, PAIR_OTHER, PAIR_ONE}};

/* What each order gives, by variant; run when it is first wanted. */
static struct pair_reference {
    uint32_t count; /* 0: not known yet */
    unsigned char orders[PAIR_ORDERS][PAIR_STEPS];
    pair_outcome outcomes[PAIR_ORDERS];
} pair_references[PAIR_VARIANTS];

static const pair_call *pair_call_of(const scenario *pair, unsigned who)
{
    return &pair_calls[who ? pair->other : pair->one];
}

static void pair_add_order(struct pair_reference *reference, pair_step first, pair_step second,
                           pair_step third)
{
    unsigned char *order = reference->orders[reference->count++];
    order[0] = (unsigned char)first;
    order[1] = (unsigned char)second;
    order[2] = (unsigned char)third;
}

/* The orders again with a clear that does not meet the key. */
static void pair_list_clears_past(unsigned who, uint32_t count, struct pair_reference *reference)
{
    for (uint32_t i = 0; i < count; i++) {
        unsigned char *order = reference->orders[reference->count++];
        memcpy(order, pair_plain_orders[i], PAIR_STEPS);
        *(unsigned char *)memchr(order, (int)who, PAIR_STEPS) = PAIR_CLEAR_PAST;
    }
}

/* The orders in which the calls may seem to have run. A writer decides under the lock of the shard
   whether the old entry has expired. If its TTL passes before the writer has published, a look
   finds it expired meanwhile, though the writer still took it for live. */
static void pair_list_orders(const scenario *pair, bool is_timed, struct pair_reference *reference)
{
    uint32_t plain_count = reference->count = is_timed ? 6 : 2;
    memcpy(reference->orders, pair_plain_orders, plain_count * PAIR_STEPS);
    for (unsigned who = 0; who < 2; who++) {
        const pair_call *call = pair_call_of(pair, who), *other = pair_call_of(pair, !who);
        bool touches = other->run == pair_touch || other->run == pair_get_and_touch;
        bool is_kept = other->renews || touches;
        if (pair_clears(call) && (other->renews || (touches && call->run == pair_clear_if)))
            pair_list_clears_past(who, plain_count, reference);
        if (!is_timed || !call->looks || !is_kept) continue;
        pair_add_order(reference, (pair_step)!who, PAIR_MISSED, PAIR_LEAP);
        pair_add_order(reference, PAIR_LEAP, (pair_step)!who, PAIR_MISSED);
    }
}

static bool pair_walks(const pair_call *call)
{
    return call->run == pair_foreach || call->run == pair_clear_if || call->run == pair_coldest;
}

/* Runs one step; the call that a MISSED stands for is the one that is in no step of the order. */
static void pair_run_step(const scenario *pair, pair_step step, pair_step missing,
                          pair_outcome *outcome)
{
    if (step == PAIR_LEAP) (void)schedule_disarm();
    else if (step == PAIR_CLEAR_PAST && pair_call_of(pair, missing)->run != pair_clear) return;
    else if (step == PAIR_CLEAR_PAST) (void)sark_cache_delete(pair_cache, "n", 1);
    else if (step == PAIR_MISSED)
        outcome->results[missing].status =
            pair_walks(pair_call_of(pair, missing)) ? SARK_CACHE_OK : SARK_CACHE_MISS;
    else pair_call_of(pair, step)->run(&outcome->results[step], step);
}

static void pair_run_order(const scenario *pair, pair_variant variant, const unsigned char *order,
                           pair_outcome *outcome)
{
    pair_step missing = memchr(order, PAIR_ONE, PAIR_STEPS) ? PAIR_OTHER : PAIR_ONE;
    memset(outcome, 0, sizeof *outcome);
    schedule_begin(schedule.seed);
    pair_prepare(variant);
    for (unsigned i = 0; i < PAIR_STEPS; i++)
        pair_run_step(pair, (pair_step)order[i], missing, outcome);
    pair_collect(variant, outcome);
    pair_mask(pair, variant, outcome);
}

static const struct pair_reference *pair_reference_of(const scenario *pair, pair_variant variant)
{
    struct pair_reference *reference = &pair_references[pair_variant_number(variant)];
    if (reference->count > 0) return reference;
    pair_list_orders(pair, variant.start == PAIR_WITH_TTL, reference);
    for (uint32_t i = 0; i < reference->count; i++)
        pair_run_order(pair, variant, reference->orders[i], &reference->outcomes[i]);
    return reference;
}

static void pair_print(const char *title, const scenario *pair, const pair_outcome *outcome)
{
    printf("  %s\n", title);
    for (unsigned i = 0; i < 2; i++) {
        const pair_result *result = &outcome->results[i];
        printf("    %s: %d, %u bytes, first %u, number %lld, version %llu\n",
               pair_calls[i ? pair->other : pair->one].name, result->status, result->value_bytes,
               result->value[0], (long long)result->number, (unsigned long long)result->version);
    }
    printf("    key: %d, %u bytes, first %u, TTL %lld; neighbour: %d; %llu entries\n",
           outcome->key.status, outcome->key.value_bytes, outcome->key.value[0],
           (long long)outcome->key.ttl_ms, outcome->neighbour.status,
           (unsigned long long)outcome->size);
    printf("    after inserts: key %d, neighbour %d; %llu reports, sum %llx\n",
           outcome->key_survives, outcome->neighbour_survives,
           (unsigned long long)outcome->report_count, (unsigned long long)outcome->report_sum);
}

static void pair_print_all(const scenario *pair, pair_variant variant,
                           const pair_outcome *outcome)
{
    static const char *const starts[] = {"present", "absent", "present with a TTL"};
    printf("  key %s; %d shards; reports %d; full %d; wide %d\n", starts[variant.start],
           variant.two_shards + 1, variant.reports, variant.is_full, variant.is_wide);
    pair_print("what came of it", pair, outcome);
    for (uint32_t i = 0; i < pair_report_count; i++)
        printf("    report %u: key %c, %u bytes, first %u, %s\n", i, pair_reports[i].key,
               pair_reports[i].value_bytes, pair_reports[i].value[0],
               sark_cache_cause_text(pair_reports[i].cause));
    const struct pair_reference *reference = pair_reference_of(pair, variant);
    for (uint32_t i = 0; i < reference->count; i++) {
        char title[40];
        snprintf(title, sizeof title, "order %u %u %u", reference->orders[i][0],
                 reference->orders[i][1], reference->orders[i][2]);
        pair_print(title, pair, &reference->outcomes[i]);
    }
}

/* ---- One schedule ---------------------------------------------------------------------------- */

typedef struct pair_thread {
    const pair_call *call;
    pair_result *result;
    unsigned who;
} pair_thread;

static void *pair_thread_run(void *argument)
{
    const pair_thread *thread = argument;
    thread->call->run(thread->result, thread->who);
    return NULL;
}

static void pair_run(const scenario *pair, uint64_t seed)
{
    static pair_outcome outcome;
    static pair_thread threads[2];
    pair_variant variant = pair_variant_of(seed);
    schedule.seed = seed;
    const struct pair_reference *reference = pair_reference_of(pair, variant);
    memset(&outcome, 0, sizeof outcome);
    schedule_begin(seed);
    pair_prepare(variant);
    threads[0] = (pair_thread){&pair_calls[pair->one], &outcome.results[0], 0};
    threads[1] = (pair_thread){&pair_calls[pair->other], &outcome.results[1], 1};
    for (unsigned i = 0; i < 2; i++) schedule_start(pair_thread_run, &threads[i]);
    driver_arm();
    for (unsigned i = 0; i < 2; i++) schedule_join(i + 1);
    driver_disarm();
    pair_collect(variant, &outcome);
    pair_mask(pair, variant, &outcome);
    for (uint32_t i = 0; i < reference->count; i++)
        if (memcmp(&outcome, &reference->outcomes[i], sizeof outcome) == 0) return;
    pair_print_all(pair, variant, &outcome);
    schedule_fail("no order of the calls gives this");
}

/* Appends a scenario for each two calls; returns how many there are then. */
static uint32_t pair_scenarios(scenario *scenarios, uint32_t count)
{
    for (unsigned one = 0; one < PAIR_CALLS; one++)
        for (unsigned other = one; other < PAIR_CALLS; other++) {
            scenario *pair = &scenarios[count++];
            snprintf(pair->name, sizeof pair->name, "%s+%s", pair_calls[one].name,
                     pair_calls[other].name);
            pair->run = pair_run;
            pair->one = one;
            pair->other = other;
            pair->times = 1;
        }
    return count;
}

#endif
