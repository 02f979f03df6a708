/* Is the history of one key linearizable, also with calls whose answer or effect depends on the
   value that is there? Wing's and Gong's search with a memory (Testing and Verifying Concurrent
   Objects, 1993; Lowe, Testing for Linearizability, 2017), complete and exact.

   Starts and ends of calls are gone through in the order of time, with all states in which the key
   may be then: what is there, and which of the calls under way have taken effect. When a call
   ends, those states remain in which it has taken effect; where it has not yet, calls under way
   take effect first, in every order. Where no state remains, no order explains the history.

   A value is a number and what was appended to it, as a digest. With `vanishes` it may be gone by
   itself at any time: evictions. */

#ifndef SARK_TEST_SEARCH_H
#define SARK_TEST_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef enum search_kind {
    SEARCH_GET,
    SEARCH_SET,
    SEARCH_ADD,
    SEARCH_REPLACE,
    SEARCH_SWAP,      /* compare_and_set */
    SEARCH_INCREMENT, /* without a number to begin with */
    SEARCH_COUNT,     /* increment with one */
    SEARCH_APPEND,
    SEARCH_TAKE,
    SEARCH_DELETE,
    SEARCH_KINDS
} search_kind;

typedef enum search_answer {
    SEARCH_OK,
    SEARCH_MISS,
    SEARCH_OTHER /* EXISTS, or NOT_INTEGER: something else is there */
} search_answer;

/* All zero where nothing is there. */
typedef struct search_value {
    int64_t number;
    uint64_t tail; /* what was appended; 0: nothing */
    uint64_t is_there;
} search_value;

/* A call: it took effect at some time from start to end. */
typedef struct search_op {
    uint64_t start, end;
    uint32_t key; /* the caller's, to sort by; all calls of one check have the same */
    search_kind kind;
    search_answer answer;
    int64_t number;     /* written, added, or appended */
    search_value value; /* get, take: read; swap: expected; increment, count: its result */
} search_op;

static inline search_value search_number(int64_t number)
{
    return (search_value){.number = number, .is_there = 1};
}

static inline bool search_same(const search_value *one, const search_value *other)
{
    return one->number == other->number && one->tail == other->tail &&
           one->is_there == other->is_there;
}

/* The digest of a tail with one number more. */
static inline uint64_t search_longer(uint64_t tail, int64_t number)
{
    uint64_t z = (tail + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u ^ (uint64_t)number;
    z = (z ^ z >> 31) * 0x94D049BB133111EBu;
    return (z ^ z >> 29) | 1;
}

/* What a call that succeeds makes of a value; `false`: here it would not succeed. */
static inline bool search_succeeds(const search_op *op, search_value *value)
{
    switch (op->kind) {
    case SEARCH_GET: return search_same(value, &op->value);
    case SEARCH_SET: break;
    case SEARCH_ADD:
        if (value->is_there) return false;
        break;
    case SEARCH_REPLACE:
        if (!value->is_there) return false;
        break;
    case SEARCH_SWAP:
        if (!search_same(value, &op->value)) return false;
        break;
    case SEARCH_INCREMENT:
    case SEARCH_COUNT:
        if (!value->is_there && op->kind == SEARCH_INCREMENT) return false;
        if (value->tail) return false;
        *value = search_number(value->is_there ? value->number + op->number : op->number);
        return search_same(value, &op->value);
    case SEARCH_APPEND:
        value->tail = search_longer(value->tail, op->number);
        return value->is_there;
    case SEARCH_TAKE:
        if (!search_same(value, &op->value)) return false;
        *value = (search_value){0};
        return true;
    case SEARCH_DELETE:
    default:
        if (!value->is_there) return false;
        *value = (search_value){0};
        return true;
    }
    *value = search_number(op->number);
    return true;
}

/* Whether a call may have answered so where this value is; then *value is what it leaves. */
static inline bool search_takes_effect(const search_op *op, search_value *value)
{
    if (op->answer == SEARCH_OK) return search_succeeds(op, value);
    if (op->answer == SEARCH_MISS)
        return !value->is_there && op->kind != SEARCH_SET && op->kind != SEARCH_ADD &&
               op->kind != SEARCH_COUNT;
    if (!value->is_there) return false;
    if (op->kind == SEARCH_SWAP) return !search_same(value, &op->value);
    if (op->kind == SEARCH_INCREMENT || op->kind == SEARCH_COUNT) return value->tail != 0;
    return op->kind == SEARCH_ADD;
}

/* ---- The states ------------------------------------------------------------------------------ */

#define SEARCH_UNDER_WAY 20u /* calls that may overlap at one time */
#define SEARCH_STATES (1u << 16)
#define SEARCH_BUCKETS (2 * SEARCH_STATES)

typedef struct search_state {
    search_value value;
    uint32_t done; /* bits: calls under way that have taken effect */
} search_state;

/* The states by insertion, and where each is by a hash of it. */
typedef struct search_states {
    uint32_t count;
    search_state *at;  /* SEARCH_STATES */
    uint32_t *buckets; /* SEARCH_BUCKETS; number and one, or 0 */
} search_states;

typedef struct search {
    const search_op *under_way[SEARCH_UNDER_WAY]; /* NULL: none */
    search_states now, next;
    bool vanishes;
    const char *wrong;       /* what is; NULL: nothing yet */
    const search_op *failed; /* at whose end that is clear */
    uint64_t calls, overlapping; /* of all histories: calls, and those that began beside another */
} search;

static inline uint32_t *search_bucket(const search_states *states, const search_state *state)
{
    uint64_t hash = search_longer(state->value.tail ^ state->done, state->value.number);
    uint32_t i = (uint32_t)(hash >> 32) + (uint32_t)state->value.is_there;
    for (;; i++) {
        uint32_t *bucket = &states->buckets[i % SEARCH_BUCKETS];
        if (!*bucket) return bucket;
        const search_state *there = &states->at[*bucket - 1];
        if (there->done == state->done && search_same(&there->value, &state->value)) return bucket;
    }
}

static inline void search_add(search *self, search_states *states, search_state state)
{
    uint32_t *bucket = search_bucket(states, &state);
    if (*bucket) return;
    if (states->count == SEARCH_STATES) {
        self->wrong = "too many states to search";
        return;
    }
    states->at[states->count++] = state;
    *bucket = states->count;
}

static inline void search_clear(search_states *states)
{
    if (states->count > SEARCH_STATES / 16) {
        memset(states->buckets, 0, SEARCH_BUCKETS * sizeof states->buckets[0]);
        states->count = 0;
    }
    while (states->count > 0) { /* the last first, so that none is hidden behind an empty bucket */
        *search_bucket(states, &states->at[states->count - 1]) = 0;
        states->count--;
    }
}

static inline bool search_states_create(search_states *states)
{
    states->count = 0;
    states->at = malloc(SEARCH_STATES * sizeof states->at[0]);
    states->buckets = calloc(SEARCH_BUCKETS, sizeof states->buckets[0]);
    return states->at && states->buckets;
}

static inline void search_states_destroy(search_states *states)
{
    free(states->at);
    free(states->buckets);
}

/* ---- The search ------------------------------------------------------------------------------ */

/* The states that one call, or a disappearance, can make of a state. */
static inline void search_go_on(search *self, search_state state)
{
    for (uint32_t i = 0; i < SEARCH_UNDER_WAY; i++) {
        const search_op *op = self->under_way[i];
        search_state after = state;
        if (!op || state.done >> i & 1 || !search_takes_effect(op, &after.value)) continue;
        after.done |= UINT32_C(1) << i;
        search_add(self, &self->now, after);
    }
    if (!self->vanishes || !state.value.is_there) return;
    state.value = (search_value){0};
    search_add(self, &self->now, state);
}

/* A call ends. */
static inline void search_end(search *self, const search_op *op)
{
    uint32_t bit = 0;
    while (self->under_way[bit] != op) bit++;
    for (uint32_t i = 0; i < self->now.count && !self->wrong; i++) { /* it grows meanwhile */
        search_state state = self->now.at[i];
        if (!(state.done >> bit & 1)) {
            search_go_on(self, state);
            continue;
        }
        state.done &= ~(UINT32_C(1) << bit);
        search_add(self, &self->next, state);
    }
    self->under_way[bit] = NULL;
    search_clear(&self->now);
    search_states now = self->next;
    self->next = self->now;
    self->now = now;
    if (self->now.count == 0 && !self->wrong) self->wrong = "no order of the calls explains it";
}

static inline void search_start(search *self, const search_op *op)
{
    uint32_t bit = SEARCH_UNDER_WAY, others = 0;
    for (uint32_t i = 0; i < SEARCH_UNDER_WAY; i++) {
        if (self->under_way[i]) others++;
        else if (bit == SEARCH_UNDER_WAY) bit = i;
    }
    self->calls++;
    self->overlapping += others > 0;
    if (bit == SEARCH_UNDER_WAY) self->wrong = "too many calls overlap";
    else self->under_way[bit] = op;
}

/* A start or an end. */
typedef struct search_event {
    uint64_t time;
    const search_op *op;
    bool is_end;
} search_event;

/* At one time starts come first: calls that touch may have overlapped. */
static int search_by_time(const void *one, const void *other)
{
    const search_event *a = one, *b = other;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return (int)a->is_end - (int)b->is_end;
}

static inline void search_events(search *self, const search_event *events, size_t count)
{
    memset(self->under_way, 0, sizeof self->under_way);
    search_add(self, &self->now, (search_state){.done = 0});
    for (size_t i = 0; i < count && !self->wrong; i++) {
        self->failed = events[i].op;
        if (events[i].is_end) search_end(self, events[i].op);
        else search_start(self, events[i].op);
    }
    search_clear(&self->now);
    search_clear(&self->next);
}

/* What is wrong with this history of one key, which begins with nothing there; NULL where nothing
   is. */
static inline const char *search_check(search *self, const search_op *ops, size_t count,
                                       bool vanishes)
{
    search_event *events = malloc(2 * count * sizeof events[0] + 1);
    if (!events) return "no memory to check the history";
    for (size_t i = 0; i < count; i++) {
        events[2 * i] = (search_event){ops[i].start, &ops[i], false};
        events[2 * i + 1] = (search_event){ops[i].end, &ops[i], true};
    }
    qsort(events, 2 * count, sizeof events[0], search_by_time);
    self->vanishes = vanishes;
    self->wrong = NULL;
    search_events(self, events, 2 * count);
    free(events);
    return self->wrong;
}

/* Returns false where there is no memory. One search serves many histories. */
static inline bool search_create(search *self)
{
    memset(self, 0, sizeof *self);
    bool created = search_states_create(&self->now);
    return search_states_create(&self->next) && created;
}

static inline void search_destroy(search *self)
{
    search_states_destroy(&self->now);
    search_states_destroy(&self->next);
}

#endif
