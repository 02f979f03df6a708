/* The index (>>index of sark_cache.h), white box: insert, find, replace and remove against an
   oracle, with hashes as they come, with few homes, and with one; overflow counts, stale tags,
   claimed slots, shards, and caches at max_entries.

   unit_index [seed] */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { MOST_KEYS = 1000, MOST_BUCKETS = 400, ENTRY_GRANULES = 4, VERSIONS = 2 };

/* An index, entries for its keys (two of each, so that one can replace the other), and the oracle:
   the entry under which each key stands, 0 where it is absent. References begin at 4. */
typedef struct rig {
    sarki_index index;
    sarki_leases leases;
    _Alignas(64) sarki_bucket buckets[MOST_BUCKETS];
    _Alignas(16) char region[(MOST_KEYS * VERSIONS + 1) * ENTRY_GRANULES * SARKI_GRANULE];
    _Alignas(128) char slots[2 * SARKI_LEASE_SPACING];
    sarki_a32 hints[16];
    sarki_query queries[MOST_KEYS];
    uint32_t keys[MOST_KEYS]; /* what the queries point to */
    uint32_t present[MOST_KEYS];
    uint32_t key_count, present_count;
} rig;

static uint64_t seed = 1;
static rig tested;

static uint32_t ref_of(uint32_t key, uint32_t version)
{
    return (1 + key * VERSIONS + version) * ENTRY_GRANULES;
}

static void entry_create(uint32_t key, uint32_t version)
{
    sarki_entry *entry = sarki_entry_at(tested.region, ref_of(key, version));
    sarki_store32_relaxed(&entry->a_hash, tested.queries[key].hash);
    entry->key_bytes = sizeof tested.keys[key];
    memcpy(sarki_entry_key(entry), &tested.keys[key], sizeof tested.keys[key]);
}

typedef sarki_query (*query_maker)(uint64_t *random);

static void rig_create(uint32_t bucket_count, uint32_t key_count, query_maker maker)
{
    uint64_t random = seed;
    memset(&tested, 0, sizeof tested);
    tested.index.buckets = tested.buckets;
    tested.index.bucket_count = bucket_count;
    tested.leases = (sarki_leases){.slots = tested.slots, .a_hints = tested.hints,
                                   .lease_count = 2, .hint_mask = 15,
                                   .spacing = SARKI_LEASE_SPACING};
    tested.key_count = key_count;
    for (uint32_t key = 0; key < key_count; key++) {
        tested.keys[key] = key * 2654435761u;
        tested.queries[key] = maker(&random);
        tested.queries[key].key = &tested.keys[key];
        tested.queries[key].key_bytes = sizeof tested.keys[key];
        for (uint32_t version = 0; version < VERSIONS; version++) entry_create(key, version);
    }
}

/* ---- Hashes --------------------------------------------------------------------------------- */

static sarki_query any_query(uint64_t *random)
{
    uint64_t hash = random_next(random);
    return (sarki_query){.hash = (uint32_t)(hash >> 32), .tag = (uint32_t)hash & 0xffff};
}

/* Few tags, so that most comparisons are of keys; 0 is the tag of slots never used. */
static sarki_query query_of_few_tags(uint64_t *random)
{
    sarki_query query = any_query(random);
    query.tag &= 1;
    return query;
}

/* Few homes, one of them the last bucket: chains go on at the first. */
static sarki_query query_of_few_homes(uint64_t *random)
{
    sarki_query query = any_query(random);
    query.hash = 0 - query.hash % 2;
    return query;
}

static sarki_query the_same_query(uint64_t *random)
{
    (void)random;
    return (sarki_query){.hash = 0x80000000, .tag = 0xffff};
}

static sarki_query query_of_zero(uint64_t *random)
{
    (void)random;
    return (sarki_query){.hash = 0, .tag = 0};
}

/* ---- The structure -------------------------------------------------------------------------- */

/* X1, X2: where a key stands; false unless it is exactly there where the oracle says. */
static bool stands_once(uint32_t key, sarki_spot *spot)
{
    uint32_t found = 0;
    for (uint32_t b = 0; b < tested.index.bucket_count; b++)
        for (uint32_t slot = 0; slot < SARKI_SLOTS; slot++) {
            uint32_t ref = sarki_load32_relaxed(&tested.buckets[b].a_refs[slot]);
            if (ref / ENTRY_GRANULES == 0) continue;
            if ((ref / ENTRY_GRANULES - 1) / VERSIONS != key) continue;
            found++;
            *spot = (sarki_spot){b, slot};
            if (ref != tested.present[key]) return false;
            if (sarki_bucket_tag(&tested.buckets[b], slot) != tested.queries[key].tag) return false;
        }
    return found == (tested.present[key] ? 1u : 0u);
}

/* X3: the overflow of each bucket counts the keys that passed it. */
static bool is_sound(void)
{
    uint32_t overflow[MOST_BUCKETS] = {0}, used = 0;
    for (uint32_t key = 0; key < tested.key_count; key++) {
        sarki_spot spot = {0, 0};
        if (!stands_once(key, &spot)) return false;
        if (!tested.present[key]) continue;
        uint32_t b = sarki_index_home(&tested.index, tested.queries[key].hash), chain = 1;
        for (; b != spot.bucket; b = sarki_index_next(&tested.index, b), chain++) overflow[b]++;
        if (chain > sarki_load32_relaxed(&tested.index.a_longest_chain)) return false;
    }
    for (uint32_t b = 0; b < tested.index.bucket_count; b++) {
        if (overflow[b] != sarki_load32_relaxed(&tested.buckets[b].a_overflow)) return false;
        for (uint32_t slot = 0; slot < SARKI_SLOTS; slot++)
            used += sarki_load32_relaxed(&tested.buckets[b].a_refs[slot]) != 0;
    }
    return used == tested.present_count;
}

static bool overflow_is_zero(void)
{
    for (uint32_t b = 0; b < tested.index.bucket_count; b++)
        if (sarki_load32_relaxed(&tested.buckets[b].a_overflow) != 0) return false;
    return true;
}

/* ---- Lookups -------------------------------------------------------------------------------- */

/* A bit for each slot of a bucket that matches a tag; the slots come in some order, each once. */
static uint32_t matching_slots(const sarki_bucket *bucket, uint32_t tag)
{
    uint32_t slots = 0;
    for (uint64_t m = sarki_bucket_match(bucket, tag); m; m &= m - 1) {
        uint32_t slot = sarki_match_slot(m);
        CHECK(slot < SARKI_SLOTS && !(slots >> slot & 1));
        slots |= 1u << slot;
    }
    return slots;
}

/* The lookup of readers, with a lease that is given back. */
static uint32_t find_leased(const sarki_query *query)
{
    uint32_t ref = 0;
    sarki_hold hold = {.thread = 0x10000u};
    sarki_found found = sarki_find_once(&tested.index, tested.region, &tested.leases, query, &hold,
                                        &ref);
    CHECK(found == SARKI_FOUND || found == SARKI_ABSENT);
    if (found == SARKI_FOUND) CHECK(hold.a_ref && sarki_load32_relaxed(hold.a_ref) == ref);
    sarki_hold_end(&hold);
    return found == SARKI_FOUND ? ref : 0;
}

/* Whether all lookups of a key say what the oracle says. */
static bool found_right(uint32_t key)
{
    const sarki_query *query = &tested.queries[key];
    sarki_spot spot = {0, 0}, again;
    uint32_t expected = tested.present[key];
    uint32_t ref = sarki_index_find_locked(&tested.index, tested.region, query, &spot);
    if (ref != expected || find_leased(query) != expected) return false;
    if (!expected) return true;
    again = sarki_index_spot_locked(&tested.index, query->hash, ref);
    return again.bucket == spot.bucket && again.slot == spot.slot &&
           sarki_load32_relaxed(&tested.buckets[spot.bucket].a_refs[spot.slot]) == ref &&
           !sarki_index_absent(&tested.index, query);
}

static bool all_found_right(void)
{
    for (uint32_t key = 0; key < tested.key_count; key++)
        if (!found_right(key)) return false;
    return true;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static void insert(uint32_t key)
{
    tested.present[key] = ref_of(key, 0);
    tested.present_count++;
    sarki_index_insert_locked(&tested.index, &tested.queries[key], tested.present[key]);
}

static void replace(uint32_t key)
{
    sarki_spot spot = sarki_index_spot_locked(&tested.index, tested.queries[key].hash,
                                              tested.present[key]);
    tested.present[key] = ref_of(key, tested.present[key] == ref_of(key, 0));
    sarki_index_replace_locked(&tested.index, spot, tested.present[key]);
}

static void take_out(uint32_t key)
{
    sarki_spot spot = {0, 0};
    sarki_index_find_locked(&tested.index, tested.region, &tested.queries[key], &spot);
    sarki_index_remove_locked(&tested.index, spot, tested.queries[key].hash);
    tested.present[key] = 0;
    tested.present_count--;
}

static void remove_all(void)
{
    for (uint32_t key = 0; key < tested.key_count; key++)
        if (tested.present[key]) take_out(key);
    CHECK(is_sound() && overflow_is_zero());
}

/* Random steps; most: so many keys at a time. */
static void churn(uint32_t most, uint64_t steps)
{
    uint64_t random = seed + most;
    for (uint64_t step = 0; step < steps; step++) {
        uint32_t key = random_below(&random, tested.key_count);
        if (!tested.present[key] && tested.present_count < most) insert(key);
        else if (tested.present[key] && random_below(&random, 3) == 0) replace(key);
        else if (tested.present[key]) take_out(key);
        CHECK(found_right(key));
        CHECK(found_right(random_below(&random, tested.key_count)));
        if (step % 512 == 0) CHECK(is_sound());
    }
    CHECK(is_sound() && all_found_right());
}

/* ---- Cases ---------------------------------------------------------------------------------- */

/* The key counts leave the index as full as a cache may make it, or fill its last slot. */
static void random_run(uint32_t bucket_count, uint32_t key_count, uint32_t most, query_maker maker)
{
    rig_create(bucket_count, key_count, maker);
    CHECK(is_sound() && all_found_right());
    churn(most, support_length(NULL, 10000));
    remove_all();
    CHECK(all_found_right());
    churn(most, support_length(NULL, 1000));
    remove_all();
}

TEST(random_hashes)
{
    random_run(1, 20, 10, any_query);
    random_run(2, 40, 20, any_query);
    random_run(7, 100, 43, any_query);
    random_run(162, 1000, 1000, any_query);
    random_run(60, 1000, 600, any_query);
}

TEST(few_tags)
{
    random_run(2, 40, 20, query_of_few_tags);
    random_run(162, 1000, 1000, query_of_few_tags);
}

TEST(few_homes)
{
    random_run(3, 60, 30, query_of_few_homes);
    random_run(40, 300, 200, query_of_few_homes);
}

TEST(one_hash)
{
    random_run(1, 20, 10, the_same_query);
    random_run(30, 200, 150, the_same_query);
    random_run(30, 200, 150, query_of_zero);
}

/* Every slot of every bucket in use: lookups of what is absent end, those of others find. */
TEST(every_slot_in_use)
{
    static const query_maker makers[] = {any_query, query_of_few_homes, the_same_query};
    for (uint32_t i = 0; i < 3; i++) {
        rig_create(20, 300, makers[i]);
        for (uint32_t key = 0; key < 20 * SARKI_SLOTS; key++) insert(key);
        CHECK(is_sound() && all_found_right());
        for (uint32_t key = 299; key > 250; key--) {
            take_out(key - 200);
            insert(key);
            CHECK(found_right(key) && found_right(key - 200));
        }
        CHECK(is_sound() && all_found_right());
        for (uint32_t b = 0; b < 20; b++) /* every bucket leads on, as if others were longer */
            sarki_add32_relaxed(&tested.index.buckets[b].a_overflow, 1);
        sarki_spot spot;
        CHECK(!sarki_index_spot(&tested.index, 0, UINT32_MAX, &spot));
        for (uint32_t b = 0; b < 20; b++)
            sarki_sub32_relaxed(&tested.index.buckets[b].a_overflow, 1);
        remove_all();
        for (uint32_t b = 0; b < 20; b++)
            sarki_store32_relaxed(&tested.index.buckets[b].a_overflow, 1);
        for (uint32_t key = 0; key < 300; key++)
            CHECK(sarki_index_absent(&tested.index, &tested.queries[key]));
        for (uint32_t b = 0; b < 20; b++)
            sarki_store32_relaxed(&tested.index.buckets[b].a_overflow, 0);
        for (uint32_t key = 0; key < 300; key++)
            CHECK(sarki_index_absent(&tested.index, &tested.queries[key]));
    }
}

/* Makes what lies at a reference that names no entry look like a key's entry. */
static void decoy(uint32_t ref, uint32_t key)
{
    memset(tested.region, 0, ENTRY_GRANULES * SARKI_GRANULE);
    memcpy(sarki_entry_at(tested.region, ref), sarki_entry_at(tested.region, ref_of(key, 0)),
           sizeof(sarki_entry) + sizeof tested.keys[key]);
}

/* What a removed key leaves behind is its tag: it is not taken for a key, nor is a claimed slot. */
TEST(stale_tags)
{
    rig_create(3, 60, the_same_query);
    for (uint32_t key = 0; key < 25; key++) insert(key);
    for (uint32_t key = 0; key < 25; key += 2) take_out(key);
    CHECK(is_sound() && all_found_right());
    CHECK(matching_slots(&tested.buckets[1], 0xffff) == (1u << SARKI_SLOTS) - 1);
    sarki_spot spot = {0, 0};
    decoy(0, 23);
    CHECK(all_found_right());
    CHECK(sarki_bucket_claim(&tested.buckets[1], &spot.slot) && spot.slot == 0);
    decoy(SARKI_CLAIMED, 23);
    CHECK(all_found_right());
    sarki_store32_relaxed(&tested.buckets[1].a_refs[0], 0);
    CHECK(is_sound());
    remove_all();
    CHECK(matching_slots(&tested.buckets[1], 0xffff) == (1u << SARKI_SLOTS) - 1);
    for (uint32_t key = 0; key < 60; key++) {
        CHECK(found_right(key));
        CHECK(sarki_index_absent(&tested.index, &tested.queries[key]));
    }
}

/* The tag of a slot changes after it was matched, as other shards' tags may: not this key's. */
TEST(tag_of_another_shard)
{
    rig_create(2, 2, the_same_query);
    insert(0);
    sarki_xor32_relaxed(&tested.buckets[1].a_tags[0], 1);
    sarki_spot spot;
    CHECK(sarki_index_find_locked(&tested.index, tested.region, &tested.queries[0], &spot) == 0);
    CHECK(find_leased(&tested.queries[0]) == 0);
    CHECK(sarki_index_absent(&tested.index, &tested.queries[0]));
    sarki_xor32_relaxed(&tested.buckets[1].a_tags[0], 1);
    CHECK(all_found_right());
}

/* An overflow count that is too high costs looks, and nothing else. */
TEST(overflow_leads_on)
{
    rig_create(5, 60, the_same_query);
    for (uint32_t key = 0; key < 12; key++) insert(key);
    for (uint32_t b = 0; b < 5; b++) sarki_add32_relaxed(&tested.buckets[b].a_overflow, 1);
    CHECK(all_found_right());
    for (uint32_t b = 0; b < 5; b++) sarki_sub32_relaxed(&tested.buckets[b].a_overflow, 1);
    remove_all();
}

/* ---- Words of tags -------------------------------------------------------------------------- */

/* Tags that differ in the highest bit, the lowest, all, or none. */
static uint32_t hostile_tag(uint64_t *random)
{
    static const uint32_t tags[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff};
    return tags[random_below(random, sizeof tags / sizeof tags[0])];
}

TEST(tags_stand_apart)
{
    uint64_t random = seed;
    sarki_bucket bucket;
    uint32_t tags[SARKI_SLOTS] = {0};
    memset(&bucket, 0, sizeof bucket);
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t slot = random_below(&random, SARKI_SLOTS);
        uint32_t tag = hostile_tag(&random), asked = hostile_tag(&random), matches = 0;
        sarki_xor32_relaxed(&bucket.a_tags[slot / 2],
                            (sarki_bucket_tag(&bucket, slot) ^ tag) << slot % 2 * 16);
        tags[slot] = tag;
        for (uint32_t at = 0; at < SARKI_SLOTS; at++) {
            CHECK(sarki_bucket_tag(&bucket, at) == tags[at]);
            matches |= (uint32_t)(tags[at] == asked) << at;
        }
        CHECK(matching_slots(&bucket, asked) == matches);
    }
}

/* Homes are all buckets, in the order of the hashes. */
TEST(homes)
{
    for (uint32_t count = 1; count < 400; count += 13) {
        sarki_index index = {.bucket_count = count};
        uint32_t before = 0;
        CHECK(sarki_index_home(&index, 0) == 0);
        CHECK(sarki_index_home(&index, UINT32_MAX) == count - 1);
        for (uint64_t hash = 0; hash <= UINT32_MAX; hash += 0xfffff) {
            uint32_t home = sarki_index_home(&index, (uint32_t)hash);
            CHECK(home == before || home == before + 1);
            before = home;
        }
        CHECK(sarki_index_next(&index, count - 1) == 0);
    }
}

/* ---- Whole caches --------------------------------------------------------------------------- */

static uint32_t list_count(const sark_cache *cache, sarki_list list)
{
    uint32_t count = list.head != 0;
    for (uint32_t ref = list.head; ref != list.tail; count++)
        ref = sarki_entry_of(cache, ref)->recency.next;
    return count;
}

/* X4: an entry stands in the shard that its tag names. */
TEST(shard_of_a_tag)
{
    sark_cache_config config = support_config(2000);
    config.shard_count = 16;
    sark_cache *cache = support_create(&config);
    uint32_t counts[16] = {0};
    for (uint32_t i = 0; i < 2000; i++) {
        sarki_query query = sarki_query_of(cache, &i, sizeof i);
        uint32_t number = sarki_shard_number(cache, query.tag);
        REQUIRE(number < 16 && number == query.tag % 16);
        CHECK(sark_cache_set(cache, &i, sizeof i, "value", 5, 0) == SARK_CACHE_OK);
        counts[number]++;
        CHECK(sarki_load32_relaxed(&cache->shards[number].a_entries) == counts[number]);
    }
    for (uint32_t i = 0; i < 16; i++) {
        CHECK(list_count(cache, cache->shards[i].fifo) == counts[i]);
        CHECK(counts[i] > 0);
    }
    FINISH(cache);
}

/* How many slots are in use, or buckets passed. */
static uint64_t sum_of_index(const sark_cache *cache, bool overflow)
{
    uint64_t sum = 0;
    for (uint32_t b = 0; b < cache->index.bucket_count; b++) {
        const sarki_bucket *bucket = &cache->index.buckets[b];
        if (overflow) sum += sarki_load32_relaxed(&bucket->a_overflow);
        for (uint32_t slot = 0; !overflow && slot < SARKI_SLOTS; slot++)
            sum += sarki_load32_relaxed(&bucket->a_refs[slot]) != 0;
    }
    return sum;
}

/* At max_entries, after long churn, the index holds exactly the entries; emptied, nothing. */
static void fill(uint64_t max_entries)
{
    sark_cache_config config = support_config(max_entries);
    sark_cache *cache = support_create(&config);
    for (uint64_t i = 0; i < max_entries * 5 + 50; i++)
        CHECK(sark_cache_set(cache, &i, sizeof i, &i, sizeof i, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == max_entries);
    CHECK(sum_of_index(cache, false) == max_entries);
    CHECK(holds(cache));
    CHECK(sark_cache_clear(cache) == max_entries);
    CHECK(sum_of_index(cache, false) == 0 && sum_of_index(cache, true) == 0);
    FINISH(cache);
}

TEST(caches_at_max_entries)
{
    static const uint64_t counts[] = {1, 2, 3, 10, 16, 17, 100, 1000, 5000};
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++) fill(counts[i]);
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(tags_stand_apart);
    RUN(homes);
    RUN(random_hashes);
    RUN(few_tags);
    RUN(few_homes);
    RUN(one_hash);
    RUN(every_slot_in_use);
    RUN(stale_tags);
    RUN(tag_of_another_shard);
    RUN(overflow_leads_on);
    RUN(shard_of_a_tag);
    RUN(caches_at_max_entries);
    return test_summary();
}
