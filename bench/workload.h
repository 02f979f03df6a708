/* What the subjects are given to do: keys and values that check themselves, and Zipf's law. */

#ifndef SARK_BENCH_WORKLOAD_H
#define SARK_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Distinct keys, made beforehand: printable, NUL-terminated, all of one length. */
typedef struct key_pool {
    char *text;
    size_t count, key_bytes;
} key_pool;

/* key_bytes at least 16. Returns false where there is no memory. */
bool key_pool_create(key_pool *pool, size_t count, size_t key_bytes);
void key_pool_destroy(key_pool *pool);

static inline const char *key_pool_at(const key_pool *pool, size_t number)
{
    return pool->text + number * (pool->key_bytes + 1);
}

/* A number that follows from another and looks random; different ones give different ones. */
static inline uint64_t workload_mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

/* Makes the value of a key: both ends and the middle tell the key. At least 16 bytes. */
static inline void workload_write_value(unsigned char *value, size_t value_bytes, uint64_t key)
{
    uint64_t word = workload_mix(key);
    memcpy(value, &word, 8);
    memcpy(value + value_bytes / 2 - 4, &word, 8);
    memcpy(value + value_bytes - 8, &word, 8);
}

/* Whether what was copied out is the key's value. */
static inline bool workload_is_value(const unsigned char *value, size_t value_bytes, uint64_t key)
{
    uint64_t first, middle, last, word = workload_mix(key);
    memcpy(&first, value, 8);
    memcpy(&middle, value + value_bytes / 2 - 4, 8);
    memcpy(&last, value + value_bytes - 8, 8);
    return ((first ^ word) | (middle ^ word) | (last ^ word)) == 0;
}

/* Which keys are asked for, one after the other, each with its text in its place: a caller has the
   key that he asks for in his hands, and does not fetch it from a table first. */
typedef struct key_sequence {
    uint32_t *numbers;
    char *text;
    size_t length, key_bytes;
} key_sequence;

/* Draws keys of a pool, from 0 to key_count - 1, by Zipf's law with an exponent; the frequent ones
   lie scattered among the rest. Returns false where there is no memory. */
bool key_sequence_create(key_sequence *sequence, const key_pool *pool, size_t length,
                         uint32_t key_count, double exponent, uint64_t seed);
void key_sequence_destroy(key_sequence *sequence);

static inline const char *key_sequence_at(const key_sequence *sequence, size_t request)
{
    return sequence->text + request * (sequence->key_bytes + 1);
}

#endif
