/* The checker (>>check of sark_cache.h), white box: each invariant is broken by hand, one after the
   other, and sark_cache_check must tell which one; put right again, it must be content. And what
   changes while it looks is no fault. */

#include <pthread.h>

/* Called when a lock has been given up. */
static void (*when_unlocked)(void);

static int unlock(pthread_mutex_t *mutex)
{
    int status = pthread_mutex_unlock(mutex);
    void (*call)(void) = when_unlocked;
    when_unlocked = NULL;
    if (call) call();
    return status;
}

#define pthread_mutex_unlock(mutex) unlock(mutex)

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { KEYS = 1000, HOT = 10, GONE = 500 }; /* the first are in the wheel, the last removed */

static sark_cache *cache;
static sarki_shard *shard;

static uint32_t find(uint32_t key, sarki_spot *spot)
{
    sarki_query query = sarki_query_of(cache, &key, sizeof key);
    return sarki_index_find_locked(&cache->index, cache->region, &query, spot);
}

static uint32_t ref_of(uint32_t key)
{
    sarki_spot spot;
    return find(key, &spot);
}

static sarki_link *recency_of(uint32_t key)
{
    return sarki_link_at(cache->recency_links, ref_of(key));
}

static sarki_link *expiry_of(uint32_t key)
{
    return sarki_link_at(cache->expiry_links, ref_of(key));
}

/* A cache with entries in the FIFO and in both wheels, and with holes between them. */
static void create(void)
{
    sark_cache_config config = support_config(KEYS);
    config.on_remove = NULL;
    config.shard_count = 1;
    config.hash_seed = 1;
    cache = support_create(&config);
    if (!cache) exit(1);
    shard = cache->shards;
    for (uint32_t key = 0; key < KEYS; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 1000) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < HOT; key++) {
        CHECK(sark_cache_get(cache, &key, sizeof key, NULL, 0, NULL) == SARK_CACHE_SHORT_BUFFER);
        uint64_t stamp = sarki_stamp_now(&cache->stamps);
        sarki_store64_relaxed(&sarki_entry_of(cache, ref_of(key))->a_stamp, stamp);
        sarki_fifo_to_wheel(cache, shard);
        shard->hold_moves = 0;
    }
    for (uint32_t key = GONE; key < KEYS; key += 2)
        CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
    sarki_retired_collect(cache);
    CHECK(holds(cache));
}

/* Whether the checker names this invariant, by the beginning of its text. */
static bool tells(const char *invariant)
{
    char report[200];
    bool sound = sark_cache_check(cache, report, sizeof report);
    bool told = !sound && strncmp(report, invariant, strlen(invariant)) == 0;
    if (!told) printf("  instead of %s: \"%s\"\n", invariant, report);
    return told;
}

/* Gives a variable another value for as long as the checker looks. */
#define BREAKS(variable, value, invariant)                                                        \
    do {                                                                                          \
        __typeof__(variable) before_ = (variable);                                                \
        (variable) = (value);                                                                     \
        CHECK(tells(invariant));                                                                  \
        (variable) = before_;                                                                     \
        CHECK(holds(cache));                                                                      \
    } while (0)

/* The same for 64 bits that threads share, which need not be a number of the language. */
static void breaks64(sarki_a64 *cell, uint64_t value, const char *invariant)
{
    uint64_t before = sarki_load64_relaxed(cell);
    sarki_store64_relaxed(cell, value);
    CHECK(tells(invariant));
    sarki_store64_relaxed(cell, before);
    CHECK(holds(cache));
}

TEST(the_index)
{
    create();
    sarki_spot spot;
    uint32_t ref = find(3, &spot);
    sarki_bucket *bucket = &cache->index.buckets[spot.bucket];
    BREAKS(sarki_entry_of(cache, ref)->a_hash, sarki_entry_hash(sarki_entry_of(cache, ref)) ^ 1,
           "X1");
    BREAKS(bucket->a_tags[spot.slot / 2], bucket->a_tags[spot.slot / 2] ^ 0x10001, "X2");
    uint32_t passed = 0;
    while (passed < cache->index.bucket_count && cache->index.buckets[passed].a_overflow == 0)
        passed++;
    REQUIRE(passed < cache->index.bucket_count);
    BREAKS(cache->index.buckets[passed].a_overflow, 0, "X3");
    FINISH(cache);
}

TEST(the_order_of_recency)
{
    create();
    uint32_t last_place = sarki_wheel_slots(shard->recency.bits);
    CHECK(recency_of(3)->place < last_place && recency_of(30)->place == SARKI_IN_FIFO);
    BREAKS(recency_of(30)->place, (uint16_t)last_place, "S1");
    BREAKS(recency_of(30)->next, ref_of(40), "W3");
    BREAKS(recency_of(30)->prev, ref_of(40), "W3");
    FINISH(cache);
}

TEST(the_order_of_expiry)
{
    create();
    sarki_wheel *wheel = &shard->expiry;
    sarki_a64 *a_deadline = &sarki_entry_expiry(sarki_entry_of(cache, ref_of(30)))->a_deadline;
    BREAKS(expiry_of(30)->next, ref_of(40), "W3");
    BREAKS(expiry_of(30)->prev, ref_of(40), "W3");
    breaks64(a_deadline, sarki_load64_relaxed(a_deadline) << 1, "W1");
    breaks64(a_deadline, 1, "W1");
    sarki_slot slot;
    REQUIRE(sarki_wheel_lowest(wheel, &slot));
    sarki_wheel_open(wheel, &slot); /* of pending entries no slot is known */
    CHECK(wheel->pending.head != 0 && holds(cache));
    breaks64(&cache->a_next_deadlines[0], sarki_load64_relaxed(a_deadline) + 1, "S2");
    FINISH(cache);
}

TEST(the_bits_of_a_wheel)
{
    create();
    sarki_slot slot;
    REQUIRE(sarki_wheel_lowest(&shard->expiry, &slot));
    sarki_slot_list *list = sarki_wheel_slot_at(&shard->expiry, slot.place);
    BREAKS(shard->expiry.used[slot.place / 64], 0, "W2: a slot");
    BREAKS(shard->expiry.words_used, 0, "W2: a word");
    BREAKS(list->list.tail, 0, "W2: a slot");
    BREAKS(list->list.head, 0, "W2: a slot");
    BREAKS(list->a_count, list->a_count + 1, "S1: the orders of expiry");
    FINISH(cache);
}

TEST(the_blocks)
{
    create();
    sarki_arena *arena = &cache->memory.arena;
    uint32_t used = ref_of(GONE + 1), hole = used + sarki_block_size(arena, used);
    REQUIRE(sarki_block_is_free(arena, hole)); /* as is the one before */
    uint32_t hole_size = sarki_block_size(arena, hole), next = hole + hole_size;
    uint32_t bin = sarki_bin_of(hole_size), *header = &sarki_block(arena, used)[0];
    CHECK((*header & SARKI_BLOCK_FLAGS) == SARKI_PREVIOUS_FREE);
    BREAKS(*header, SARKI_PREVIOUS_FREE, "A5: a block's size");
    BREAKS(*header, (arena->end - used + 1) << 2 | SARKI_PREVIOUS_FREE, "A5: a block's size");
    BREAKS(sarki_block(arena, next)[0], sarki_block(arena, next)[0] & ~SARKI_PREVIOUS_FREE, "A2");
    BREAKS(sarki_block(arena, next)[0], sarki_block(arena, next)[0] | SARKI_BLOCK_FREE, "A1");
    BREAKS(*sarki_block_footer(arena, hole, hole_size), hole_size + 1, "A3");
    BREAKS(arena->bins[bin], next, "A4");
    BREAKS(sarki_block(arena, hole)[2], sarki_block(arena, hole)[2] ? 0 : next, "A4");
    BREAKS(arena->a_used, arena->a_used + 1, "A5: the sizes");
    FINISH(cache);
}

TEST(the_sums)
{
    create();
    uint64_t entries = sark_cache_size(cache);
    BREAKS(shard->a_entries, (uint32_t)entries + 1, "S1: the index");
    breaks64(&shard->a_payload_bytes, sarki_load64_relaxed(&shard->a_payload_bytes) + 1,
             "S1: the bytes");
    BREAKS(shard->retired.count, shard->retired.count + KEYS, "Q1");
    BREAKS(cache->max_entries, (uint32_t)entries - 1, "P5");
    FINISH(cache);
}

/* ---- What changes meanwhile ------------------------------------------------------------------ */

static uint32_t unlocks_left; /* until something is inserted */

static void insert_later(void)
{
    if (--unlocks_left > 0) when_unlocked = insert_later;
    else CHECK(put(cache, "one more", "value", 0) == SARK_CACHE_OK);
}

/* An insert after any of the checker's holds of a lock: sums that do not belong together are not
   compared. It holds locks for each entry, then three times for the blocks. */
TEST(inserts_between_two_looks)
{
    create();
    uint32_t holds_of_one = 0;
    for (uint32_t at = 1;; at += at < 5 || at + 97 > holds_of_one ? 1 : 97) {
        unlocks_left = at;
        when_unlocked = insert_later;
        CHECK(holds(cache));
        when_unlocked = NULL;
        if (unlocks_left > 0) break;
        if (holds_of_one == 0) holds_of_one = (uint32_t)sark_cache_size(cache);
        CHECK(drop(cache, "one more") == SARK_CACHE_OK);
    }
    FINISH(cache);
}

int main(void)
{
    RUN(the_index);
    RUN(the_order_of_recency);
    RUN(the_order_of_expiry);
    RUN(the_bits_of_a_wheel);
    RUN(the_blocks);
    RUN(the_sums);
    RUN(inserts_between_two_looks);
    return test_summary();
}
