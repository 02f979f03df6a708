/* Values that tell on themselves: each names its key and a number of its own, and every byte
   follows from both and from the length, so that a torn, stale or foreign value shows. */

#ifndef SARK_TEST_STRESS_VALUES_H
#define SARK_TEST_STRESS_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct value_head {
    uint64_t key;
    uint64_t unique;
    uint32_t value_bytes;
    uint32_t check;
} value_head;

#define VALUE_MIN_BYTES sizeof(value_head)

static inline uint64_t value_step(uint64_t word)
{
    word ^= word << 13;
    word ^= word >> 7;
    return word ^ word << 17;
}

static inline uint64_t value_start(const value_head *head)
{
    uint64_t word = head->key * 0x9E3779B97F4A7C15u ^ head->unique * 0xBF58476D1CE4E5B9u;
    return (word ^ head->value_bytes) | 1u;
}

/* Writes the value with this number, of value_bytes (VALUE_MIN_BYTES or more) bytes. */
static inline void value_fill(unsigned char *value, size_t value_bytes, uint64_t key,
                              uint64_t unique)
{
    value_head head = {.key = key, .unique = unique, .value_bytes = (uint32_t)value_bytes};
    uint64_t word = value_start(&head);
    head.check = (uint32_t)(word >> 32);
    memcpy(value, &head, sizeof head);
    for (size_t at = sizeof head; at < value_bytes; at += sizeof word) {
        size_t part = value_bytes - at < sizeof word ? value_bytes - at : sizeof word;
        word = value_step(word);
        memcpy(value + at, &word, part);
    }
}

/* Whether these bytes are a whole value of this key; its number goes to *unique. */
static inline bool value_holds(const void *value, size_t value_bytes, uint64_t key,
                               uint64_t *unique)
{
    value_head head;
    if (value_bytes < sizeof head) return false;
    memcpy(&head, value, sizeof head);
    *unique = head.unique;
    uint64_t word = value_start(&head);
    if (head.key != key || head.value_bytes != value_bytes) return false;
    if (head.check != (uint32_t)(word >> 32)) return false;
    for (size_t at = sizeof head; at < value_bytes; at += sizeof word) {
        size_t part = value_bytes - at < sizeof word ? value_bytes - at : sizeof word;
        word = value_step(word);
        if (memcmp((const unsigned char *)value + at, &word, part) != 0) return false;
    }
    return true;
}

#endif
