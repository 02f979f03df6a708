/* Is the history of one key linearizable? Gibbons' and Korach's zones for a register whose values
   are unique and which may become empty by itself at any time (evictions), in O(n log n).

   For each value v let f be the earliest end and s the latest start among its put and its hits. If
   f < s the key held v from f to s without a break: a forward zone. Otherwise the put and all hits
   can happen at one instant between s and f: a backward zone. Reject where a hit has no put or
   ends before it starts; where two forward zones overlap; where a backward zone, a miss or a
   delete lies inside a forward zone. That is complete for puts, hits, misses and deletes.

   Beyond: a take is a hit and a delete, at most one for each value. A sight (somebody found the
   key there, and did not say with which value) needs a put that may follow the latest absence
   before it. With `strict`, for caches where nothing is evicted, a miss needs a delete or take that
   may follow the latest put before it, or that what may be there by then may have expired. These
   find no innocent guilty, but may miss a guilty one. */

#ifndef SARK_TEST_ZONES_H
#define SARK_TEST_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef enum zone_kind {
    ZONE_PUT,    /* value */
    ZONE_HIT,    /* value */
    ZONE_TAKE,   /* value */
    ZONE_DELETE, /* whatever there was is gone */
    ZONE_MISS,   /* nothing was there */
    ZONE_SIGHT   /* something was there */
} zone_kind;

/* One operation: it took effect at some time from start to end. */
typedef struct zone_op {
    uint64_t start, end;
    uint64_t value;
    uint64_t gone; /* a put with `strict`: from when on its value may have expired */
    uint32_t key;  /* the caller's, to sort by; all operations of one check have the same */
    zone_kind kind;
} zone_op;

/* From low to high. `most` is the largest high among this and all before it in an array. */
typedef struct zone_span {
    uint64_t low, high, most;
    uint64_t gone; /* a put's */
} zone_span;

typedef struct zone_spans {
    zone_span *at;
    size_t count;
} zone_spans;

typedef struct zone_work {
    zone_op *valued;     /* puts, hits, takes, by value */
    size_t valued_count;
    zone_spans forward;  /* by low; no two overlap */
    zone_spans inner;    /* what must not lie in a forward zone */
    zone_spans puts;     /* by low */
    zone_spans removals; /* deletes and takes, by low */
    zone_spans absences; /* these and misses, by high; `most` is the largest low here */
} zone_work;

static int zone_by_value(const void *one, const void *other)
{
    uint64_t a = ((const zone_op *)one)->value, b = ((const zone_op *)other)->value;
    return (a > b) - (a < b);
}

static int zone_by_low(const void *one, const void *other)
{
    uint64_t a = ((const zone_span *)one)->low, b = ((const zone_span *)other)->low;
    return (a > b) - (a < b);
}

static int zone_by_high(const void *one, const void *other)
{
    uint64_t a = ((const zone_span *)one)->high, b = ((const zone_span *)other)->high;
    return (a > b) - (a < b);
}

static inline void zone_add(zone_spans *spans, uint64_t low, uint64_t high)
{
    spans->at[spans->count++] = (zone_span){.low = low, .high = high};
}

static inline void zone_sort(zone_spans *spans, bool by_high)
{
    uint64_t most = 0;
    if (spans->count == 0) return;
    qsort(spans->at, spans->count, sizeof spans->at[0], by_high ? zone_by_high : zone_by_low);
    for (size_t i = 0; i < spans->count; i++) {
        uint64_t candidate = by_high ? spans->at[i].low : spans->at[i].high;
        if (candidate > most) most = candidate;
        spans->at[i].most = most;
    }
}

/* How many spans, sorted so, have their low (or high) below a time. */
static inline size_t zone_below(const zone_spans *spans, uint64_t time, bool by_high)
{
    size_t from = 0, to = spans->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        uint64_t of_it = by_high ? spans->at[middle].high : spans->at[middle].low;
        if (of_it < time) from = middle + 1;
        else to = middle;
    }
    return from;
}

static inline void zone_sort_out(zone_work *work, const zone_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const zone_op *op = &ops[i];
        bool removal = op->kind == ZONE_DELETE || op->kind == ZONE_TAKE;
        bool absence = removal || op->kind == ZONE_MISS;
        if (op->kind <= ZONE_TAKE) work->valued[work->valued_count++] = *op;
        if (op->kind == ZONE_PUT) {
            zone_add(&work->puts, op->start, op->end);
            work->puts.at[work->puts.count - 1].gone = op->gone;
        }
        if (removal) zone_add(&work->removals, op->start, op->end);
        if (absence) zone_add(&work->absences, op->start, op->end);
        if (absence) zone_add(&work->inner, op->start, op->end);
    }
    qsort(work->valued, work->valued_count, sizeof work->valued[0], zone_by_value);
    zone_sort(&work->puts, false);
    zone_sort(&work->removals, false);
    zone_sort(&work->absences, true);
}

/* The zone of one value, from its operations. */
static inline const char *zone_of_value(zone_work *work, const zone_op *ops, size_t count)
{
    const zone_op *put = NULL;
    uint64_t first_end = UINT64_MAX, last_start = 0;
    size_t puts = 0, takes = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == ZONE_PUT) put = &ops[i];
        puts += ops[i].kind == ZONE_PUT;
        takes += ops[i].kind == ZONE_TAKE;
        if (ops[i].end < first_end) first_end = ops[i].end;
        if (ops[i].start > last_start) last_start = ops[i].start;
    }
    if (!put) return "a value was read that nobody had put";
    if (puts > 1) return "a value was put twice: the history is wrong";
    if (takes > 1) return "a value was taken twice";
    if (first_end < put->start) return "a value was read before it was put";
    if (first_end < last_start) zone_add(&work->forward, first_end, last_start);
    else zone_add(&work->inner, last_start, first_end);
    return NULL;
}

static inline const char *zone_of_values(zone_work *work)
{
    size_t from = 0;
    while (from < work->valued_count) {
        size_t to = from + 1;
        while (to < work->valued_count && work->valued[to].value == work->valued[from].value)
            to++;
        const char *wrong = zone_of_value(work, work->valued + from, to - from);
        if (wrong) return wrong;
        from = to;
    }
    zone_sort(&work->forward, false);
    return NULL;
}

static inline const char *zone_overlaps(const zone_work *work)
{
    const zone_spans *forward = &work->forward;
    for (size_t i = 1; i < forward->count; i++)
        if (forward->at[i].low < forward->at[i - 1].high)
            return "two values were there at one time: an overwritten one was read";
    for (size_t i = 0; i < work->inner.count; i++) {
        size_t before = zone_below(forward, work->inner.at[i].low, false);
        if (before > 0 && work->inner.at[i].high < forward->at[before - 1].high)
            return "a value was read before and after something that ended it";
    }
    return NULL;
}

/* A sight needs a put that may come after the latest absence before it. */
static inline const char *zone_sight(const zone_work *work, const zone_op *op)
{
    size_t absences = zone_below(&work->absences, op->start, true);
    uint64_t since = absences ? work->absences.at[absences - 1].most : 0;
    size_t puts = zone_below(&work->puts, op->end + 1, false);
    if (puts == 0) return "a key was there before any put";
    if (absences && work->puts.at[puts - 1].most < since) return "a removed key was there again";
    return NULL;
}

/* Whether what is there at a time may have expired: of what was put since another, or beside it. */
static inline bool zone_may_expire(const zone_work *work, uint64_t since, uint64_t time)
{
    for (size_t i = zone_below(&work->puts, time, false); i-- > 0;) {
        const zone_span *put = &work->puts.at[i];
        if (put->high >= since && put->gone <= time) return true;
        if (put->most < since) return false;
    }
    return false;
}

/* Where nothing is evicted: a miss needs a removal that may follow the latest put before. */
static inline const char *zone_strict_miss(const zone_work *work, const zone_op *op)
{
    uint64_t put_start = 0;
    bool put_before = false;
    size_t puts = zone_below(&work->puts, op->start, false);
    for (size_t i = puts; i > 0 && !put_before; i--) {
        put_before = work->puts.at[i - 1].high < op->start;
        put_start = work->puts.at[i - 1].low;
    }
    if (!put_before) return NULL;
    size_t removals = zone_below(&work->removals, op->end + 1, false);
    if (removals > 0 && work->removals.at[removals - 1].most >= put_start) return NULL;
    if (zone_may_expire(work, put_start, op->end)) return NULL;
    return "a false miss: the key was put before, and not removed";
}

static inline const char *zone_judge(zone_work *work, const zone_op *ops, size_t count,
                                     bool strict)
{
    zone_sort_out(work, ops, count);
    const char *wrong = zone_of_values(work);
    if (!wrong) wrong = zone_overlaps(work);
    for (size_t i = 0; i < count && !wrong; i++) {
        if (ops[i].kind == ZONE_SIGHT) wrong = zone_sight(work, &ops[i]);
        if (ops[i].kind == ZONE_MISS && strict) wrong = zone_strict_miss(work, &ops[i]);
    }
    return wrong;
}

/* What is wrong with this history of one key; NULL where nothing is. */
static inline const char *zones_check(const zone_op *ops, size_t count, bool strict)
{
    zone_work work = {0};
    if (count == 0) return NULL;
    size_t span_bytes = count * sizeof(zone_span);
    unsigned char *memory = malloc(count * sizeof *ops + 6 * span_bytes);
    if (!memory) return "no memory to check the history";
    work.valued = (zone_op *)(void *)memory;
    zone_span *spans = (zone_span *)(void *)(memory + count * sizeof *ops);
    work.forward.at = spans;
    work.inner.at = spans + count; /* an operation may give two of these */
    work.puts.at = spans + 3 * count;
    work.removals.at = spans + 4 * count;
    work.absences.at = spans + 5 * count;
    const char *wrong = zone_judge(&work, ops, count, strict);
    free(memory);
    return wrong;
}

#endif
