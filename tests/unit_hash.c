/* The hash of the keys (>>hash of sark_cache.h), white box: its product against one worked out in
   small steps, spread over buckets, tags and shards, avalanche, every byte and length of a key, and
   keys made to defeat a multiply-and-fold hash whose constants are known.

   unit_hash [seed]; the secrets are made from it, so a run repeats. */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "attack.h"

enum { LONGEST = 200, MOST_HASHES = 4096 };

static uint64_t seed = 1;

static sarki_secret secret_of(uint64_t number)
{
    sarki_secret secret;
    sarki_secret_expand(&secret, seed * 1000003 + number);
    return secret;
}

static int compare(const void *one, const void *other)
{
    uint64_t a, b;
    memcpy(&a, one, sizeof a);
    memcpy(&b, other, sizeof b);
    return (a > b) - (a < b);
}

/* How many of the hashes are the same as another one. */
static uint32_t repetitions(uint64_t *hashes, uint32_t count)
{
    uint32_t same = 0;
    qsort(hashes, count, sizeof hashes[0], compare);
    for (uint32_t i = 1; i < count; i++) same += hashes[i] == hashes[i - 1];
    return same;
}

/* ---- The product ---------------------------------------------------------------------------- */

/* Multiplies as on paper, with digits of 16 bits, and combines the halves. */
static uint64_t fold_on_paper(uint64_t a, uint64_t b)
{
    uint32_t digits[8] = {0};
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t carry = 0;
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t one = (uint32_t)(a >> 16 * i) & 0xffff, two = (uint32_t)(b >> 16 * j) & 0xffff;
            uint32_t sum = digits[i + j] + carry;
            uint32_t product = one * two;
            carry = (product >> 16) + (((product & 0xffff) + sum) >> 16);
            digits[i + j] = (product + sum) & 0xffff;
        }
        digits[i + 4] = carry;
    }
    uint64_t folded = 0;
    for (uint32_t i = 0; i < 4; i++) folded |= (uint64_t)(digits[i] ^ digits[i + 4]) << 16 * i;
    return folded;
}

TEST(fold)
{
    static const uint64_t ends[] = {0, 1, 2, 0xffff, 0x10000, 0xffffffff, 0x100000000,
                                    0x100000001, 0xffffffff00000000, (uint64_t)1 << 63,
                                    UINT64_MAX - 1, UINT64_MAX};
    enum { COUNT = sizeof ends / sizeof ends[0] };
    uint64_t random = seed;
    for (uint32_t i = 0; i < COUNT * COUNT; i++) {
        uint64_t a = ends[i / COUNT], b = ends[i % COUNT];
        CHECK(sarki_fold(a, b) == fold_on_paper(a, b));
    }
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t a = random_next(&random) >> random_below(&random, 64);
        uint64_t b = random_next(&random) >> random_below(&random, 64);
        CHECK(sarki_fold(a, b) == fold_on_paper(a, b));
    }
}

TEST(secrets_differ)
{
    static uint64_t words[MOST_HASHES];
    for (uint32_t i = 0; i < MOST_HASHES; i += 4) {
        sarki_secret secret;
        /* seeds that are as alike as can be, on both sides of 0 */
        sarki_secret_expand(&secret, (uint64_t)i / 4 - MOST_HASHES / 8);
        memcpy(words + i, secret.words, sizeof secret.words);
    }
    CHECK(repetitions(words, MOST_HASHES) == 0);
}

/* ---- Spread --------------------------------------------------------------------------------- */

/* How far counts are from even, in standard deviations of chi-square. */
static double unevenness(const uint32_t *counts, uint32_t cells, uint32_t keys)
{
    double chi = 0, mean = (double)keys / cells, degrees = cells - 1;
    for (uint32_t i = 0; i < cells; i++) chi += (counts[i] - mean) * (counts[i] - mean) / mean;
    double distance = chi - degrees;
    return distance * distance / (2 * degrees); /* squared: no root is needed */
}

typedef uint32_t (*cell_of)(uint64_t hash, uint32_t cells);

/* The home bucket, as the index works it out. */
static uint32_t bucket_of(uint64_t hash, uint32_t cells)
{
    sarki_index index = {.bucket_count = cells};
    return sarki_index_home(&index, (uint32_t)(hash >> 32));
}

static uint32_t tag_of(uint64_t hash, uint32_t cells) { return (uint32_t)hash & (cells - 1); }

static uint32_t bucket_and_shard_of(uint64_t hash, uint32_t cells)
{
    return bucket_of(hash, cells / 16) * 16 + tag_of(hash, 16);
}

typedef size_t (*key_maker)(uint32_t number, unsigned char *key);

static size_t binary_key(uint32_t number, unsigned char *key)
{
    memcpy(key, &number, sizeof number);
    return sizeof number;
}

static size_t short_key(uint32_t number, unsigned char *key)
{
    for (uint32_t i = 0; i < 3; i++) key[i] = (unsigned char)(number >> 8 * i);
    return 3; /* 2^24 keys, all that are needed */
}

static size_t decimal_key(uint32_t number, unsigned char *key)
{
    return (size_t)snprintf((char *)key, LONGEST, "%u", number);
}

static size_t path_key(uint32_t number, unsigned char *key)
{
    return (size_t)snprintf((char *)key, LONGEST, "/users/by-number/%08u/profile", number);
}

/* 128 bytes that differ in few bits of the first half. */
static size_t sparse_key(uint32_t number, unsigned char *key)
{
    memset(key, 0, 128);
    for (uint32_t bit = 0; bit < 20; bit++)
        if (number >> bit & 1) key[bit * 3] = 0x80;
    return 128;
}

static double spread(key_maker maker, cell_of cell, uint32_t cells, uint32_t keys, uint64_t salt)
{
    static uint32_t counts[65536];
    unsigned char key[LONGEST + 1] = {0};
    sarki_secret secret = secret_of(salt);
    memset(counts, 0, sizeof counts);
    for (uint32_t i = 0; i < keys; i++)
        counts[cell(sarki_hash(&secret, key, maker(i, key)), cells)]++;
    return unevenness(counts, cells, keys);
}

/* 5.5 standard deviations: an even hash goes beyond about once in a million figures. */
static void spreads_evenly(key_maker maker)
{
    for (uint64_t salt = 0; salt < 4; salt++) {
        CHECK(spread(maker, bucket_of, 1601, 100000, salt) < 5.5 * 5.5);
        CHECK(spread(maker, bucket_of, 4096, 100000, salt) < 5.5 * 5.5);
        CHECK(spread(maker, tag_of, 256, 100000, salt) < 5.5 * 5.5);
        CHECK(spread(maker, bucket_and_shard_of, 4096, 100000, salt) < 5.5 * 5.5);
    }
    CHECK(spread(maker, tag_of, 65536, 655360, 9) < 5.5 * 5.5);
}

TEST(spread_of_binary_keys) { spreads_evenly(binary_key); }

TEST(spread_of_short_keys) { spreads_evenly(short_key); }

TEST(spread_of_decimal_keys) { spreads_evenly(decimal_key); }

TEST(spread_of_paths) { spreads_evenly(path_key); }

TEST(spread_of_sparse_keys) { spreads_evenly(sparse_key); }

/* ---- Avalanche ------------------------------------------------------------------------------ */

/* Counts, for one bit of the key, how often each bit of the hash changes with it. */
static void count_flips(size_t key_bytes, size_t bit, uint32_t rounds, uint32_t flips[64])
{
    unsigned char key[LONGEST];
    uint64_t random = seed + key_bytes * 1000 + bit;
    memset(flips, 0, 64 * sizeof flips[0]);
    for (uint32_t round = 0; round < rounds; round++) {
        sarki_secret secret = secret_of(round);
        for (size_t i = 0; i < key_bytes; i++) key[i] = (unsigned char)random_next(&random);
        uint64_t before = sarki_hash(&secret, key, key_bytes);
        key[bit / 8] ^= (unsigned char)(1u << bit % 8);
        uint64_t changed = before ^ sarki_hash(&secret, key, key_bytes);
        for (uint32_t i = 0; i < 64; i++) flips[i] += (uint32_t)(changed >> i & 1);
    }
}

/* Each bit of the key changes each bit of the hash in about half of all cases. */
TEST(avalanche)
{
    static const size_t lengths[] = {1, 2, 3, 4, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 64, 65};
    enum { ROUNDS = 400, LEAST = ROUNDS * 34 / 100, MOST = ROUNDS * 66 / 100 };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        for (size_t bit = 0; bit < lengths[i] * 8; bit++) {
            uint32_t flips[64];
            count_flips(lengths[i], bit, ROUNDS, flips);
            for (uint32_t j = 0; j < 64; j++) CHECK(flips[j] >= LEAST && flips[j] <= MOST);
        }
}

/* ---- Lengths -------------------------------------------------------------------------------- */

/* Keys of one repeated byte differ by their length alone. */
TEST(lengths_differ)
{
    static uint64_t hashes[MOST_HASHES];
    unsigned char key[LONGEST + 1];
    for (uint64_t salt = 0; salt < 200; salt++) {
        sarki_secret secret = secret_of(salt);
        memset(key, (int)(salt * 85 & 0xff), sizeof key);
        for (size_t bytes = 0; bytes <= LONGEST; bytes++)
            hashes[bytes] = sarki_hash(&secret, key, bytes);
        CHECK(repetitions(hashes, LONGEST + 1) == 0);
    }
}

/* Every byte of a key of any length counts, and none behind it; its address does not. */
TEST(every_byte_counts)
{
    sarki_secret secret = secret_of(1);
    for (size_t bytes = 1; bytes <= LONGEST; bytes++) {
        unsigned char *key = malloc(bytes), moved[LONGEST + 8];
        REQUIRE(key != NULL);
        memset(key, 0x5A, bytes);
        uint64_t hash = sarki_hash(&secret, key, bytes);
        for (size_t i = 0; i < bytes; i++) {
            key[i] ^= 1;
            CHECK(sarki_hash(&secret, key, bytes) != hash);
            key[i] ^= 1;
        }
        for (size_t offset = 0; offset < 8; offset++) {
            memset(moved, (int)offset, sizeof moved);
            memcpy(moved + offset, key, bytes);
            CHECK(sarki_hash(&secret, moved + offset, bytes) == hash);
        }
        free(key);
    }
}

TEST(empty_key)
{
    static uint64_t hashes[1000];
    for (uint32_t i = 0; i < 1000; i++) {
        sarki_secret secret = secret_of(i);
        hashes[i] = sarki_hash(&secret, NULL, 0);
        CHECK(hashes[i] == sarki_hash(&secret, "", 0));
    }
    CHECK(repetitions(hashes, 1000) == 0);
}

/* Keys whose words change places. */
TEST(words_change_places)
{
    static const unsigned char words[4][9] = {"one-----", "two-----", "three---", "four----"};
    uint64_t hashes[256];
    for (uint64_t salt = 0; salt < 100; salt++) {
        sarki_secret secret = secret_of(salt);
        for (uint32_t i = 0; i < 256; i++) {
            unsigned char key[32];
            for (uint32_t at = 0; at < 4; at++) memcpy(key + at * 8, words[i >> 2 * at & 3], 8);
            hashes[i] = sarki_hash(&secret, key, sizeof key);
        }
        CHECK(repetitions(hashes, 256) == 0);
    }
}

/* ---- The attack on known constants ---------------------------------------------------------- */

enum { ATTACKS = 64 };

TEST(known_constants_can_be_attacked)
{
    uint64_t hashes[ATTACKS];
    unsigned char key[48];
    for (uint32_t i = 0; i < ATTACKS; i++) {
        attack_key(published[1], 0, false, i, key);
        hashes[i] = hash_with_constants(key, published[1], seed);
    }
    CHECK(repetitions(hashes, ATTACKS) == ATTACKS - 1);
}

/* With secrets that nobody knows the same keys collide no more than others. */
static uint32_t collisions(uint64_t constant, uint32_t block, bool second, uint64_t salt)
{
    uint64_t hashes[ATTACKS];
    unsigned char key[48];
    sarki_secret secret = secret_of(salt);
    for (uint32_t i = 0; i < ATTACKS; i++) {
        attack_key(constant, block, second, i, key);
        hashes[i] = sarki_hash(&secret, key, sizeof key);
    }
    return repetitions(hashes, ATTACKS);
}

TEST(secrets_withstand_the_attack)
{
    for (uint64_t salt = 0; salt < 300; salt++)
        for (uint32_t i = 0; i < CONSTANTS; i++)
            for (uint32_t place = 0; place < 6; place++)
                CHECK(collisions(published[i], place / 2, place % 2 != 0, salt) == 0);
}

/* The same for the keys of 4 to 16 bytes, whose words are read as pairs of halves. */
TEST(secrets_withstand_the_attack_by_short_keys)
{
    for (uint64_t salt = 0; salt < 300; salt++)
        for (uint32_t i = 0; i < CONSTANTS * 2; i++) {
            uint64_t hashes[ATTACKS], word = published[i / 2];
            uint32_t high = (uint32_t)(word >> 32), low = (uint32_t)word;
            sarki_secret secret = secret_of(salt);
            for (uint32_t number = 0; number < ATTACKS; number++) {
                uint32_t halves[4] = {high, number, low, 5}; /* pairs: first and third, the rest */
                if (i % 2) {
                    halves[0] = number;
                    halves[2] = 5;
                    halves[3] = high;
                    halves[1] = low;
                }
                hashes[number] = sarki_hash(&secret, halves, sizeof halves);
            }
            CHECK(repetitions(hashes, ATTACKS) == 0);
        }
}

/* A key has another hash under each secret. */
TEST(secrets_decide)
{
    static uint64_t hashes[1000];
    unsigned char key[32] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        sarki_secret secret = secret_of(i);
        hashes[i] = sarki_hash(&secret, key, sizeof key);
    }
    CHECK(repetitions(hashes, 1000) == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(fold);
    RUN(secrets_differ);
    RUN(spread_of_binary_keys);
    RUN(spread_of_short_keys);
    RUN(spread_of_decimal_keys);
    RUN(spread_of_paths);
    RUN(spread_of_sparse_keys);
    RUN(avalanche);
    RUN(lengths_differ);
    RUN(every_byte_counts);
    RUN(empty_key);
    RUN(words_change_places);
    RUN(known_constants_can_be_attacked);
    RUN(secrets_withstand_the_attack);
    RUN(secrets_withstand_the_attack_by_short_keys);
    RUN(secrets_decide);
    return test_summary();
}
