/* The workloads that speed.c gives to its subjects: what each asks for, and the files it needs. */

#ifndef SARK_BENCH_PLANS_H
#define SARK_BENCH_PLANS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PLAN_MAX_THREADS = 64 };

typedef enum plan_kind {
    PLAN_ZIPF,    /* gets by Zipf's law, exponent 0.99; the same keys are frequent everywhere */
    PLAN_MIXED,   /* the same, one in 20 a set */
    PLAN_UNIFORM, /* gets, each key as likely as another */
    PLAN_HOT,     /* gets of the first key_count keys, as likely as each other */
    PLAN_INSERT,  /* sets of keys that never were there */
    PLAN_STORM,   /* the first thread as PLAN_ZIPF, the others set keys, each as likely */
    PLAN_BURST,   /* untimed gets, then timed sets of keys that never were there */
    PLAN_BESIDE_INSERTS, /* the first thread gets of a few keys, the others set new ones */
    PLAN_BESIDE_BURST,   /* the same, but first the others get of all keys, untimed */
    PLAN_TRACE    /* gets of a trace's keys, each thread every so-many-th of them */
} plan_kind;

typedef struct plan {
    const char *name;  /* on the command line and in the CSV */
    const char *title;
    plan_kind kind;
    uint32_t key_count; /* keys that are got */
    uint32_t fill;      /* keys that are stored beforehand */
    uint32_t capacity;  /* more than fill where all is to be hit, as shards fill unevenly */
    uint32_t key_bytes, value_bytes;
    uint32_t ttl_ms;    /* 0: none */
    uint32_t warm, calls; /* of each thread; of a trace what there is of it */
    uint32_t max_threads; /* 0: any number */
    bool is_read_through;
    bool is_latency;      /* each call is timed by itself */
    bool is_prompt;       /* what a cache puts off is done within the calls: its bound holds */
    bool needs_expiry;    /* makes sense only for subjects with TTLs */
    bool is_for_servers;  /* servers are measured too */
    bool is_extra;        /* only where it is asked for by name */
    const char *trace;    /* its file, in bench/traces */
} plan;

extern const plan plans[];
extern const size_t plan_count;

static inline bool plan_is_beside(const plan *of)
{
    return of->kind == PLAN_BESIDE_INSERTS || of->kind == PLAN_BESIDE_BURST;
}

/* Whether only the first thread is timed, and the others go on as long as it does. */
static inline bool plan_is_storm(const plan *of)
{
    return of->kind == PLAN_STORM || plan_is_beside(of);
}

static inline bool plan_has_sets(const plan *of)
{
    return of->kind == PLAN_INSERT || of->kind == PLAN_BURST || of->kind == PLAN_MIXED ||
           plan_is_storm(of) || of->is_read_through;
}

/* Whether more keys are stored than the capacity is. */
static inline bool plan_evicts(const plan *of)
{
    return of->kind == PLAN_INSERT || of->kind == PLAN_BURST || of->is_read_through ||
           plan_is_beside(of);
}

/* Writes the files that a plan needs with so many threads into a folder, unless they were written
   before by this process. Returns false after saying on stderr what is wrong. */
bool plan_write_files(const plan *of, uint32_t thread_count, const char *folder);

/* Writes the files of a plan that is none of the table, for one thread: these requests, whose keys
   are below its key_count. Returns false after saying on stderr what is wrong. */
bool plan_write_requests(const plan *of, const uint32_t *words, size_t count, const char *folder);

/* The calls that each thread can make in all: warm and timed ones. After plan_write_files. */
uint32_t plan_length(const plan *of, uint32_t thread_count);

/* Prints the plan as a line of the protocol, with so many calls. */
void plan_print(FILE *to, const plan *of, uint32_t thread_count, const char *folder, uint32_t warm,
                uint32_t calls);

#endif
