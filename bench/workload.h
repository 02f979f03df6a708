/* Keys and values of the workloads; what they are is said in bench/README.md. */

#ifndef SARK_BENCH_WORKLOAD_H
#define SARK_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WORKLOAD_IS_SET 0x80000000u /* in a word of a sequence; the other bits are a key's number */

/* A number that follows from another and looks random; different ones give different ones. */
static inline uint64_t workload_mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

/* The next of a row of random numbers. */
static inline uint64_t workload_random(uint64_t *state)
{
    uint64_t number = workload_mix(*state);
    *state += 0x9e3779b97f4a7c15u;
    return number;
}

/* ---- Keys ----------------------------------------------------------------------------------- */

/* Writes a key of at least 16 bytes and its NUL: hexadecimal digits that follow from the number;
   the first 16 are the number's alone. */
static inline void workload_write_key(char *key, size_t key_bytes, uint64_t number)
{
    uint64_t word = 0;
    for (size_t i = 0; i < key_bytes; i++) {
        if (i % 16 == 0) word = workload_mix(i == 0 ? number : number ^ word);
        key[i] = "0123456789abcdef"[word >> (i % 16 * 4) & 15];
    }
    key[key_bytes] = 0;
}

/* ---- Values --------------------------------------------------------------------------------- */

enum { WORKLOAD_VALUE_MIDDLE = 24 }; /* values of so many bytes have a word in their middle */

/* The word that tells whose value it is: of characters, for subjects whose values are text. */
static inline uint64_t workload_value_word(uint64_t number)
{
    return (workload_mix(number) & 0x0f0f0f0f0f0f0f0fu) | 0x4040404040404040u;
}

/* Makes the value of a key of what was another's, or is all dots. */
static inline void workload_write_value(unsigned char *value, size_t value_bytes, uint64_t number)
{
    uint64_t word = workload_value_word(number);
    memcpy(value, &word, 8);
    if (value_bytes >= WORKLOAD_VALUE_MIDDLE) memcpy(value + value_bytes / 2 - 4, &word, 8);
    memcpy(value + value_bytes - 8, &word, 8);
}

/* Whether what was delivered is the key's value. */
static inline bool workload_is_value(const unsigned char *value, size_t value_bytes,
                                     uint64_t number)
{
    uint64_t first, middle, last, word = workload_value_word(number);
    memcpy(&first, value, 8);
    memcpy(&last, value + value_bytes - 8, 8);
    middle = first;
    if (value_bytes >= WORKLOAD_VALUE_MIDDLE) memcpy(&middle, value + value_bytes / 2 - 4, 8);
    return ((first ^ word) | (middle ^ word) | (last ^ word)) == 0;
}

#endif
