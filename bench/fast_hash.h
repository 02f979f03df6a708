/* A fast hash of bytes for subjects that bring none: 8 bytes at a time, each folded in by a
   multiplication of 64 by 64 bits, as in wyhash. Not keyed: it withstands no attacker. */

#ifndef SARK_BENCH_FAST_HASH_H
#define SARK_BENCH_FAST_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t fast_hash_fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t fast_hash_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* Of at least 16 bytes. */
static inline uint64_t fast_hash(const char *key, size_t key_bytes)
{
    const char *last = key + key_bytes - 16;
    uint64_t hash = 0x9e3779b97f4a7c15u ^ key_bytes;
    for (const char *at = key; at < last; at += 16)
        hash = fast_hash_fold(fast_hash_word(at) ^ 0xa0761d6478bd642fu,
                              fast_hash_word(at + 8) ^ hash);
    hash = fast_hash_fold(fast_hash_word(last) ^ 0xe7037ed1a0b428dbu,
                          fast_hash_word(last + 8) ^ hash);
    return fast_hash_fold(hash, 0x8ebc6af09c88c6e3u);
}

#endif
