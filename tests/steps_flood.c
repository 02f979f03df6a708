/* Keys chosen to collide cost no more than others. Sets of keys against well-known hashes, against
   this one under the secret of another cache, and a million at random: no chain of the index has
   more than 16 buckets, and the 99th percentile of a get is at most three times that of random
   keys, measured in turn with them. Each set does collide where the hash is the one it is made for:
   so this test can fail. And no two caches have the same secret.

   As the machine may be busy with other things, each key has several turns, of which the best one
   counts: the percentile is over the keys. */

#include "threads.h"

#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "attack.h"

enum {
    KEYS = TEST_SANITIZED ? 6000 : 30000, /* of a set; half of them fit the cache */
    CAPACITY = KEYS / 2,
    KEY_BYTES = 48,  /* at most */
    ROUNDS = 5,
    BATCH = 500,     /* gets of one kind in a row */
    CHAIN_MOST = 16, /* buckets */
    RATIO_MOST = 3
};

typedef struct key_set {
    size_t key_bytes;
    unsigned char keys[KEYS][KEY_BYTES];
} key_set;

static key_set attack, others;
static uint64_t seed;

static void random_keys(key_set *set, size_t key_bytes)
{
    uint64_t random = seed;
    set->key_bytes = key_bytes;
    for (uint32_t i = 0; i < KEYS; i++)
        for (size_t at = 0; at < key_bytes; at += 8) {
            uint64_t word = test_random(&random);
            memcpy(set->keys[i] + at, &word, key_bytes - at < 8 ? key_bytes - at : 8);
        }
}

/* ---- A cache with such keys ----------------------------------------------------------------- */

static sark_cache *create(uint64_t hash_seed)
{
    sark_cache_config config = {.max_entries = CAPACITY, .hash_seed = hash_seed};
    return support_create(&config);
}

static void set_key(sark_cache *cache, const key_set *set, uint32_t i)
{
    CHECK(sark_cache_set(cache, set->keys[i], set->key_bytes, &i, sizeof i, 0) == SARK_CACHE_OK);
}

/* All keys of a set, one after the other: half of them are there at the end. */
static void fill(sark_cache *cache, const key_set *set)
{
    for (uint32_t i = 0; i < KEYS; i++) set_key(cache, set, i);
    CHECK(sark_cache_size(cache) == CAPACITY);
}

/* Gets a batch of the keys of a set, those that are there and others; best_ns has the shortest time
   that each key took so far. */
static void time_gets(sark_cache *cache, const key_set *set, uint32_t batch, uint64_t *best_ns)
{
    const uint32_t step = 7919; /* prime to KEYS, so that each key has its turn */
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t at = (uint32_t)((uint64_t)(batch * BATCH + i) * step % KEYS), value = 0;
        uint64_t begin_ns = test_now_ns();
        sark_cache_status status = sark_cache_get(cache, set->keys[at], set->key_bytes, &value,
                                                  sizeof value, NULL);
        uint64_t took_ns = test_now_ns() - begin_ns;
        if (took_ns < best_ns[at]) best_ns[at] = took_ns;
        CHECK(status == SARK_CACHE_MISS || (status == SARK_CACHE_OK && value == at));
    }
}

static int compare(const void *one, const void *other)
{
    uint64_t a, b;
    memcpy(&a, one, sizeof a);
    memcpy(&b, other, sizeof b);
    return (a > b) - (a < b);
}

static uint64_t percentile_99(uint64_t *took_ns)
{
    qsort(took_ns, KEYS, sizeof *took_ns, compare);
    return took_ns[KEYS - KEYS / 100];
}

/* The 99th percentile of gets in a cache with the keys of the attack, and in one with others. */
static void time_both(sark_cache *one, sark_cache *other, uint64_t p99_ns[2])
{
    static uint64_t one_ns[KEYS], other_ns[KEYS];
    memset(one_ns, 0xff, sizeof one_ns);
    memset(other_ns, 0xff, sizeof other_ns);
    for (uint32_t batch = 0; batch < ROUNDS * (KEYS / BATCH); batch++) {
        time_gets(one, &attack, batch % (KEYS / BATCH), one_ns);
        time_gets(other, &others, batch % (KEYS / BATCH), other_ns);
    }
    p99_ns[0] = percentile_99(one_ns);
    p99_ns[1] = percentile_99(other_ns);
}

/* A cache with the keys of the attack beside one with random keys of the same length. */
static void measure(const char *name, uint64_t hash_seed, uint64_t *chain, uint64_t p99_ns[2])
{
    sark_cache *one = create(hash_seed), *other = create(0);
    random_keys(&others, attack.key_bytes);
    fill(one, &attack);
    fill(other, &others);
    *chain = metrics_of(one).longest_chain_buckets;
    time_both(one, other, p99_ns);
    printf("  %s: longest chain %" PRIu64 " buckets, p99 of a get %" PRIu64 " ns; random keys: %"
           PRIu64 ", %" PRIu64 "\n", name, *chain, p99_ns[0],
           metrics_of(other).longest_chain_buckets, p99_ns[1]);
    FINISH(one);
    FINISH(other);
}

static void is_no_attack(const char *name)
{
    uint64_t chain = 0, p99_ns[2];
    measure(name, 0, &chain, p99_ns);
    CHECK(chain >= 1 && chain <= CHAIN_MOST);
    CHECK(p99_ns[0] <= RATIO_MOST * p99_ns[1]);
}

/* ---- The attacks ---------------------------------------------------------------------------- */

TEST(keys_against_fnv_1a)
{
    uint64_t number = seed;
    attack.key_bytes = 10;
    for (uint32_t i = 0; i < KEYS; i++) {
        while (!fnv_key(number, attack.keys[i])) number++;
        number++;
        CHECK((fnv_of(attack.keys[i], 10) & 0xffffu) == 0); /* one bucket of 65,536 has them all */
    }
    is_no_attack("against FNV-1a");
}

TEST(keys_against_the_constants_of_wyhash)
{
    attack.key_bytes = 48;
    for (uint32_t constant = 0; constant < CONSTANTS; constant++)
        for (uint32_t i = constant; i < KEYS; i += CONSTANTS) {
            unsigned char first[48];
            attack_key(published[constant], 1, i % 2, 0, first);
            attack_key(published[constant], 1, i % 2, i, attack.keys[i]);
            if (i % 2) continue; /* these are made for its other operand */
            CHECK(hash_with_constants(attack.keys[i], published[constant], seed) ==
                  hash_with_constants(first, published[constant], seed));
        }
    is_no_attack("against wyhash");
}

/* Keys that share one bucket of the index under a secret, found by trying. */
static void keys_of_a_bucket(uint64_t hash_seed)
{
    sark_cache *cache = create(hash_seed);
    unsigned char key[KEY_BYTES] = "forged session ";
    uint32_t found = 0;
    attack.key_bytes = 24;
    for (uint64_t number = seed; found < KEYS; number++) {
        memcpy(key + 16, &number, 8);
        uint32_t hash = (uint32_t)(sarki_hash(&cache->secret, key, 24) >> 32);
        if (sarki_index_home(&cache->index, hash) != 3) continue;
        memcpy(attack.keys[found++], key, 24);
    }
    FINISH(cache);
}

/* First in the cache whose secret was known, where they are an attack, then in another one. */
TEST(keys_against_the_secret_of_another_cache)
{
    uint64_t chain = 0, p99_ns[2];
    keys_of_a_bucket(seed + 1);
    measure("under the secret that they are made for", seed + 1, &chain, p99_ns);
    CHECK(chain >= CAPACITY / 10); /* the buckets that they fill */
    CHECK(p99_ns[0] > RATIO_MOST * p99_ns[1]);
    is_no_attack("under another secret");
}

TEST(a_million_random_keys)
{
    uint64_t count = sarki_min64(test_scaled(1000000, 50000), 1000000), random = seed;
    sark_cache_config config = {.max_entries = count};
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t words[5];
        for (size_t at = 0; at < 5; at++) words[at] = test_random(&random);
        size_t key_bytes = 8 + words[4] % 25;
        CHECK(sark_cache_set(cache, words, key_bytes, &i, sizeof i, 0) == SARK_CACHE_OK);
    }
    uint64_t chain = metrics_of(cache).longest_chain_buckets;
    printf("  %" PRIu64 " random keys: longest chain %" PRIu64 " buckets\n", count, chain);
    CHECK(sark_cache_size(cache) == count && chain <= CHAIN_MOST);
    FINISH(cache);
}

/* ---- Secrets -------------------------------------------------------------------------------- */

/* Neither two caches nor two words of a secret are alike. */
TEST(every_cache_has_its_own_secret)
{
    enum { CACHES = 200 };
    static uint64_t words[CACHES * 4];
    for (uint32_t i = 0; i < CACHES; i++) {
        sark_cache *cache = create(0);
        REQUIRE(cache != NULL);
        memcpy(words + i * 4, cache->secret.words, sizeof cache->secret.words);
        FINISH(cache);
    }
    qsort(words, CACHES * 4, sizeof words[0], compare);
    for (uint32_t i = 1; i < CACHES * 4; i++) CHECK(words[i] != words[i - 1]);
}

int main(void)
{
    seed = test_seed();
    test_watchdog(300);
    RUN(keys_against_fnv_1a);
    RUN(keys_against_the_constants_of_wyhash);
    RUN(keys_against_the_secret_of_another_cache);
    RUN(a_million_random_keys);
    RUN(every_cache_has_its_own_secret);
    return test_summary();
}
