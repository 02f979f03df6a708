/* What the fuzzers share: the input as a stream of numbers, and a run that ends where something is
   wrong. Every input is a legal one: after its last byte all numbers are 0. */

#ifndef SARK_FUZZ_H
#define SARK_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <sanitizer/asan_interface.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Ends the run, which keeps the input. */
#define MUST(condition)                                                                           \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            printf("%s:%d: MUST(%s)\n", __FILE__, __LINE__, #condition);                          \
            fflush(stdout);                                                                       \
            abort();                                                                              \
        }                                                                                         \
    } while (0)

static const uint8_t *fuzz_at, *fuzz_end;

static inline void fuzz_begin(const uint8_t *data, size_t bytes)
{
    fuzz_at = data;
    fuzz_end = data + bytes;
}

static inline bool fuzz_more(void) { return fuzz_at < fuzz_end; }

static inline uint32_t fuzz_byte(void) { return fuzz_more() ? *fuzz_at++ : 0; }

/* A number below a bound of at most 256, from one byte. */
static inline uint32_t fuzz_below(uint32_t bound) { return fuzz_byte() % bound; }

static inline uint32_t fuzz_two_bytes(void)
{
    uint32_t high = fuzz_byte();
    return high << 8 | fuzz_byte();
}

/* Numbers at which things change: near 0, near a power of two from either side, or any eight
   bytes. */
static inline uint64_t fuzz_number(void)
{
    uint32_t kind = fuzz_byte(), shift = kind >> 2;
    uint64_t near = fuzz_byte(), any = 0;
    switch (kind & 3) {
    case 0: return near << shift;
    case 1: return ((uint64_t)1 << shift) + near;
    case 2: return ((uint64_t)1 << shift) - near;
    default:
        for (int i = 0; i < 7; i++) any = any << 8 | fuzz_byte();
        return any << 8 | near;
    }
}

#endif
