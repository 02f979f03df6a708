/* What is measured, behind one table of operations: each subject in a file of its own, which is
   linked with subject_main.c to a program. */

#ifndef SARK_BENCH_SUBJECT_H
#define SARK_BENCH_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a subject is created with. */
typedef struct subject_config {
    uint32_t capacity; /* entries */
    size_t key_bytes, value_bytes;
    int64_t ttl_ms;    /* of every entry; 0: for ever */
} subject_config;

enum { SUBJECT_MOST_CALLS = 64 }; /* of a batch */

/* One call of a batch: of a get unless is_set. */
typedef struct subject_call {
    const char *key;
    bool is_set;
    bool is_done; /* out: it was a hit, or was stored */
    void *value;  /* of value_bytes, which is read by a set and written by a get */
} subject_call;

/* Keys end with a NUL that key_bytes does not count. What is NULL is not needed. */
typedef struct subject {
    const char *name, *version;
    bool evicts;           /* it stays within a capacity */
    bool expires;          /* it has TTLs */
    uint32_t batch_length; /* calls that are made at a time by call_many; 0: one by get or set */

    void *(*create)(const subject_config *config); /* NULL where it cannot be */
    void (*destroy)(void *cache);

    /* Each thread that makes calls begins and ends. What begin returns, NULL where it fails, is
       what its calls are given; where there is no begin, that is the cache. */
    void *(*thread_begin)(void *cache);
    void (*thread_end)(void *handle);

    /* By several threads at once. Whether it was a hit, or stored; values have the size that the
       subject was created with. */
    bool (*get)(void *handle, const char *key, size_t key_bytes, void *value);
    bool (*set)(void *handle, const char *key, size_t key_bytes, const void *value);
    bool (*call_many)(void *handle, subject_call *calls, uint32_t count);

    int64_t (*size)(void *cache);         /* entries; NULL: it cannot tell */
    int64_t (*memory_bytes)(void *cache); /* NULL: the resident memory of the process tells */
} subject;

extern const subject subject_measured;

#ifdef __cplusplus
}
#endif

#endif
