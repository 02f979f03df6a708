/* What is measured, behind one table of operations: each subject in a file of its own. */

#ifndef SARK_BENCH_SUBJECT_H
#define SARK_BENCH_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a subject is created with. */
typedef struct subject_config {
    uint32_t capacity;          /* entries */
    size_t key_bytes, value_bytes;
    int64_t ttl_ms;             /* of every entry; 0: for ever */
} subject_config;

/* Keys end with a NUL that key_bytes does not count; every function but create and destroy may be
   called by several threads at once. */
typedef struct subject {
    const char *name;
    void *(*create)(const subject_config *config); /* NULL where it cannot be */
    void (*destroy)(void *cache);
    bool (*get)(void *cache, const char *key, size_t key_bytes, void *value, size_t value_capacity,
                size_t *value_bytes);
    bool (*set)(void *cache, const char *key, size_t key_bytes, const void *value,
                size_t value_bytes);
    uint64_t (*size)(void *cache);
} subject;

extern const subject subject_sark;
extern const subject subject_mutex_stb;

#endif
