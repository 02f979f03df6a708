/* Keys made to defeat hashes that nobody has keyed, and those hashes themselves: the control that
   the keys are an attack. Include it after sark_cache.h, where its private part is in sight. */

#ifndef SARK_ATTACK_H
#define SARK_ATTACK_H

/* ---- Multiply and fold ---------------------------------------------------------------------- */

/* The constants that wyhash has published. */
static const uint64_t published[] = {0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3,
                                     0x589965cc75374cc3, 0x1d8e4e27c47d124f, 0x2d358dccaa6c78a5,
                                     0x8bb84b93962eacc9, 0x4b33a62ed433d4a3, 0x4d5a2da51de1aa47};

enum { CONSTANTS = sizeof published / sizeof published[0] };

/* A key of 48 bytes. The word that is combined with a constant makes it zero, so the product is
   zero, whatever the number is that stands beside. */
static inline void attack_key(uint64_t constant, uint32_t block, bool second, uint32_t number,
                              unsigned char key[48])
{
    uint64_t beside = number;
    memset(key, 0x33, 48);
    memcpy(key + block * 16 + (second ? 8 : 0), &constant, 8);
    memcpy(key + block * 16 + (second ? 0 : 8), &beside, 8);
}

/* What wyhash does with such a key, in short. */
static inline uint64_t hash_with_constants(const unsigned char key[48], uint64_t constant,
                                           uint64_t seed)
{
    uint64_t state = seed;
    for (uint32_t at = 0; at < 48; at += 16)
        state = sarki_fold(sarki_read64(key + at) ^ constant, sarki_read64(key + at + 8) ^ state);
    return sarki_fold(state ^ constant, 48);
}

/* ---- FNV-1a --------------------------------------------------------------------------------- */

/* Fowler, Noll, Vo: 64 bits, the variant that most tables use. */
#define FNV_PRIME 0x100000001b3u

static inline uint64_t fnv_of(const unsigned char *key, size_t key_bytes)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key_bytes; i++) hash = (hash ^ key[i]) * FNV_PRIME;
    return hash;
}

/* A key of 10 bytes that begins with a number, and whose lowest 16 bits of FNV-1a are 0; false:
   none does. Those bits depend on no others: the last byte makes 0 of what the others leave. */
static inline bool fnv_key(uint64_t number, unsigned char key[10])
{
    memcpy(key, &number, 8);
    uint64_t before = fnv_of(key, 8);
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t after = (uint32_t)((before ^ byte) * FNV_PRIME) & 0xffffu;
        if (after > 0xff) continue;
        key[8] = (unsigned char)byte;
        key[9] = (unsigned char)after;
        return true;
    }
    return false;
}

#endif
