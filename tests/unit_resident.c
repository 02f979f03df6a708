/* Resident words (>>resident of sark_cache.h), white box: who gets a word, what a writer brings
   back, what keeps a block from being freed.

   unit_resident */

#include <stddef.h>
#include <stdint.h>

/* Keys that differ in this bit alone have the same hash. */
#define TWIN ((uint32_t)1 << 31)

static uint64_t twin_hash(const void *secret, const void *key, size_t key_bytes);
#define SARKI_HASH(secret, key, key_bytes) twin_hash((secret), (key), (key_bytes))

/* One thread stands for several here: who touched an entry last does not matter. */
#define SARKI_HOT_UNITS ((uint64_t)1 << 40)
#define SARKI_YOUNG_UNITS ((uint64_t)1 << 41)
#define SARKI_IS_HOT(last, stamp) (((last) & SARKI_MARKED) || (stamp) < (last) + SARKI_HOT_UNITS)
#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

static sark_cache *cache;

static uint64_t twin_hash(const void *secret, const void *key, size_t key_bytes)
{
    uint32_t number;
    if (key_bytes != sizeof number) return sarki_hash(secret, key, key_bytes);
    memcpy(&number, key, sizeof number);
    number &= ~TWIN;
    return sarki_hash(secret, &number, sizeof number);
}

static void create(void)
{
    sark_cache_config config = support_config(1000);
    config.shard_count = 1;
    config.on_remove = NULL;
    cache = support_create(&config);
    cache->stamps.shift = -1; /* stamps are counted: no time passes by itself */
}

static void pass(uint64_t units)
{
    sarki_store64_relaxed(&cache->stamps.a_count,
                          sarki_load64_relaxed(&cache->stamps.a_count) + units);
}

static void insert(uint32_t key)
{
    CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
}

static void hit(uint32_t key)
{
    char value[5];
    CHECK(sark_cache_get(cache, &key, sizeof key, value, sizeof value, NULL) == SARK_CACHE_OK);
    CHECK(memcmp(value, "value", 5) == 0);
}

static uint32_t ref_of(uint32_t key)
{
    sarki_spot spot;
    sarki_query query = sarki_query_of(cache, &key, sizeof key);
    return sarki_index_find_locked(&cache->index, cache->region, &query, &spot);
}

static sarki_lease *home(void)
{
    return sarki_lease_at(&cache->leases, sarki_home(&cache->leases, sarki_thread_hash()));
}

static sarki_a64 *word_of(uint32_t ref)
{
    return &sarki_residents_of(home())->a_words[sarki_resident_way(ref)];
}

static bool is_resident(uint32_t key)
{
    uint32_t ref = ref_of(key);
    return (uint32_t)sarki_load64_relaxed(word_of(ref)) == (ref << 2 | SARKI_WORD_RESIDENT);
}

static uint64_t stamp_of(uint32_t key)
{
    return sarki_load64_relaxed(&sarki_entry_of(cache, ref_of(key))->a_stamp);
}

/* Another key, not in the cache before, whose entry may have the same word only. */
static uint32_t rival_of(uint32_t key)
{
    uint32_t rival = key;
    do insert(++rival);
    while (sarki_resident_way(ref_of(rival)) != sarki_resident_way(ref_of(key)));
    return rival;
}

TEST(hot_entries_become_resident)
{
    create();
    CHECK(SUPPORT_LOCK_FREE && cache->leases.has_residents);
    insert(1);
    uint64_t inserted = stamp_of(1);
    hit(1);
    CHECK(is_resident(1) && stamp_of(1) == (inserted | SARKI_MARKED));
    for (int i = 0; i < 9; i++) hit(1);
    CHECK(stamp_of(1) == (inserted | SARKI_MARKED));
    CHECK(metrics_of(cache).hits == 10 && metrics_of(cache).leases_in_use == 0);
    CHECK(sarki_settle_locked(cache, ref_of(1)) == sarki_load64_relaxed(&home()->a_last_stamp));
    CHECK(!is_resident(1) && sarki_stamp_is_placed(stamp_of(1)));
    FINISH(cache);
}

/* What one slot alone hits is not hot, nor what was just written, nor what is hit rarely. */
TEST(hot_is_what_several_slots_hit)
{
    uint64_t first = sarki_stamp_from(1000 * SARKI_STAMP_STEP, 1);
    uint64_t next = 1001 * SARKI_STAMP_STEP;
    CHECK(sarki_stamp_key(first) == 1000 * SARKI_STAMP_STEP);
    CHECK(!sarki_stamp_is_hot(first, sarki_stamp_from(next, 1)));
    CHECK(sarki_stamp_is_hot(first, sarki_stamp_from(next, 2)));
    CHECK(!sarki_stamp_is_hot(first | SARKI_PLACED, sarki_stamp_from(next, 2)));
    CHECK(!sarki_stamp_is_hot(first, sarki_stamp_from(next + SARKI_HOT_UNITS, 2)));
    CHECK(sarki_stamp_is_hot(first | SARKI_MARKED, sarki_stamp_from(next, 1)));
    CHECK(sarki_stamp_is_hot(first | SARKI_MARKED, sarki_stamp_from(next + SARKI_HOT_UNITS, 1)));
}

TEST(cold_entries_do_not)
{
    create();
    insert(1);
    pass(SARKI_HOT_UNITS);
    hit(1);
    CHECK(!is_resident(1) && stamp_of(1) == sarki_load64_relaxed(&home()->a_last_stamp));
    hit(1);
    CHECK(is_resident(1));
    FINISH(cache);
}

/* A young word is left alone; an old one gives its stamp back to the entry that had it. */
TEST(one_word_for_two)
{
    create();
    insert(1);
    hit(1);
    uint64_t touched = sarki_load64_relaxed(&home()->a_last_stamp);
    uint32_t rival = rival_of(1);
    hit(rival);
    CHECK(is_resident(1) && !is_resident(rival));
    CHECK(sarki_stamp_key(stamp_of(rival)) == sarki_load64_relaxed(&home()->a_last_stamp));
    pass(SARKI_YOUNG_UNITS);
    hit(rival); /* cold by now, and hot again */
    hit(rival);
    CHECK(!is_resident(1) && is_resident(rival));
    CHECK(stamp_of(1) == (touched | SARKI_MARKED));
    CHECK(sarki_settle_locked(cache, ref_of(1)) == touched);
    FINISH(cache);
}

/* While a word is taken over, the entry that had it keeps its block, and is not touched. */
TEST(taken_words_protect)
{
    create();
    insert(1);
    hit(1);
    uint32_t ref = ref_of(1), key = 1;
    uint64_t touched = sarki_load64_relaxed(&home()->a_last_stamp);
    uint64_t word = sarki_load64_relaxed(word_of(ref));
    sarki_store64_release(word_of(ref), sarki_word_of(word, ref, SARKI_WORD_TAKEN));
    pass(1000);
    CHECK(sarki_settle_locked(cache, ref) == touched);
    CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
    sarki_retired_collect(cache);
    CHECK(cache->shards->retired.top == ref);
    sarki_store64_release(word_of(ref), sarki_word_of(word, 0, SARKI_WORD_EMPTY));
    sarki_retired_collect(cache);
    CHECK(cache->shards->retired.count == 0);
    FINISH(cache);
}

/* What is no hit leaves the word alone, so that a writer does not take it for a touch. */
TEST(reads_without_effect)
{
    create();
    insert(1);
    hit(1);
    uint32_t key = 1;
    int64_t ttl_ms = 0;
    uint64_t last = sarki_load64_relaxed(&home()->a_last_stamp);
    uint64_t word = sarki_load64_relaxed(word_of(ref_of(1)));
    sarki_reading reading = sarki_look_begin(cache, &key, sizeof key);
    CHECK(reading.entry && sarki_load64_relaxed(word_of(ref_of(1))) == word);
    CHECK(sarki_settle_locked(cache, ref_of(1)) == last);
    sarki_read_end(&reading);
    hit(1);
    last = sarki_load64_relaxed(&home()->a_last_stamp);
    word = sarki_load64_relaxed(word_of(ref_of(1)));
    CHECK(sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK);
    CHECK(sark_cache_ttl(cache, &key, sizeof key, &ttl_ms) == SARK_CACHE_OK);
    CHECK(sark_cache_get(cache, &key, sizeof key, NULL, 0, NULL) == SARK_CACHE_SHORT_BUFFER);
    CHECK(sarki_load64_relaxed(word_of(ref_of(1))) == word);
    CHECK(sarki_load64_relaxed(&home()->a_last_stamp) == last);
    FINISH(cache);
}

/* While a word is busy the block stays, and the entry counts as touched now. */
TEST(busy_words_protect)
{
    create();
    insert(1);
    hit(1);
    uint32_t ref = ref_of(1), key = 1;
    sarki_lease *lease = home();
    uint64_t word = sarki_resident_claim(lease, ref);
    CHECK(word != 0 && sarki_resident_claim(lease, ref) == 0);
    sarki_emptied emptied = sarki_residents_empty(&cache->leases, ref);
    CHECK(emptied.is_busy && emptied.is_named && emptied.stamp == 0);
    uint64_t now = sarki_stamp_now(&cache->stamps);
    CHECK(sarki_settle_locked(cache, ref) > now);
    hit(1); /* by an ordinary lease */
    CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
    sarki_retired_collect(cache);
    CHECK(cache->shards->retired.top == ref && cache->shards->retired.count == 1);
    sarki_store64_release(word_of(ref), word);
    sarki_retired_collect(cache);
    CHECK(cache->shards->retired.count == 0);
    CHECK(sarki_word_ref(sarki_load64_relaxed(word_of(ref))) == 0);
    FINISH(cache);
}

/* A hit in the midst of another one in the same slot: no stamp is above the count, or the next hit
   in another slot would seem older. */
TEST(counted_stamps_stay_behind)
{
    create();
    insert(1);
    insert(2);
    hit(1);
    CHECK(is_resident(1));
    uint32_t key = 2;
    sarki_query query = sarki_read_query(cache, &key, sizeof key);
    sarki_reading reading = sarki_read_begin(cache, query, SARKI_TO_HIT, 0);
    hit(1);
    (void)sarki_read_hit(cache, &reading, false);
    sarki_read_end(&reading);
    CHECK(sarki_load64_relaxed(&home()->a_last_stamp) <=
          sarki_load64_relaxed(&cache->stamps.a_count));
    FINISH(cache);
}

/* A hit whose stamp was read before its word was claimed, where the slot's last stamp has been set
   back by a hit that overlapped: what the word tells does not go back. */
TEST(stamps_of_words_do_not_go_back)
{
    create();
    pass(100 * SARKI_STAMP_STEP);
    insert(1);
    hit(1);
    hit(1);
    uint32_t key = 1, ref = ref_of(1);
    sarki_a64 *a_stamp = &sarki_residents_of(home())->ways[sarki_resident_way(ref)].a_stamp;
    uint64_t last = sarki_load64_relaxed(a_stamp);
    sarki_query query = sarki_read_query(cache, &key, sizeof key);
    sarki_reading reading = sarki_read_begin(cache, query, SARKI_TO_HIT, 0);
    CHECK(reading.hold.a_word != NULL);
    reading.hold.early = SARKI_STAMP_STEP; /* as with a processor's counter */
    sarki_store64_relaxed(&home()->a_last_stamp, 2 * SARKI_STAMP_STEP);
    (void)sarki_read_hit(cache, &reading, false);
    sarki_read_end(&reading);
    CHECK(sarki_load64_relaxed(a_stamp) >= last);
    sarki_store64_relaxed(&home()->a_last_stamp, last);
    FINISH(cache);
}

/* A word that was used between two looks at it is not emptied by the first. */
TEST(uses_tell_words_apart)
{
    create();
    insert(1);
    hit(1);
    uint64_t before = sarki_load64_relaxed(word_of(ref_of(1)));
    hit(1);
    uint64_t after = sarki_load64_relaxed(word_of(ref_of(1)));
    CHECK(after == before + SARKI_WORD_USE && (uint32_t)after == (uint32_t)before);
    sarki_emptied emptied = sarki_residents_empty(&cache->leases, ref_of(1));
    CHECK(!emptied.is_busy && !emptied.is_named);
    CHECK(emptied.stamp == sarki_load64_relaxed(&home()->a_last_stamp));
    hit(1);
    CHECK(sarki_load64_relaxed(word_of(ref_of(1))) == after + SARKI_WORD_USE);
    FINISH(cache);
}

/* A lookup that takes the word of one entry, and then finds another key in it, goes on by a lease
   and gives the word back as it was. */
TEST(another_key_with_the_same_tag)
{
    create();
    insert(1);
    insert(TWIN | 1);
    hit(1);
    uint64_t word = sarki_load64_relaxed(word_of(ref_of(1)));
    CHECK(is_resident(1) && ref_of(TWIN | 1) != ref_of(1));
    pass(SARKI_HOT_UNITS); /* so that it does not become resident itself */
    hit(TWIN | 1);
    CHECK(!is_resident(TWIN | 1) && sarki_load64_relaxed(word_of(ref_of(1))) == word);
    CHECK(metrics_of(cache).leases_in_use == 0);
    hit(1);
    CHECK(sarki_load64_relaxed(word_of(ref_of(1))) == word + SARKI_WORD_USE);
    FINISH(cache);
}

/* An entry moves while a hit by a word is under way: the copy counts as touched now, and the block
   stays until the word is free. */
TEST(busy_while_its_entry_moves)
{
    create();
    insert(1);
    insert(2);
    hit(1);
    uint32_t ref = ref_of(1), key = 1;
    sarki_spot spot;
    sarki_query query = sarki_query_of(cache, &key, sizeof key);
    uint64_t word = sarki_resident_claim(home(), ref), now = sarki_stamp_now(&cache->stamps);
    uint32_t to = sarki_memory_take(cache, sarki_entry_size(sarki_entry_of(cache, ref)), true);
    REQUIRE(word != 0 && to != 0);
    sarki_shard_lock(cache->shards);
    CHECK(sarki_index_find_locked(&cache->index, cache->region, &query, &spot) == ref);
    sarki_moving_copy(cache, ref, to);
    sarki_moving_swap_locked(cache, cache->shards, spot, ref, to);
    sarki_shard_unlock(cache->shards);
    CHECK(ref_of(1) == to && sarki_stamp_key(stamp_of(1)) > now);
    sarki_retired_collect(cache);
    CHECK(cache->shards->retired.top == ref);
    sarki_store64_release(word_of(ref), word);
    sarki_retired_collect(cache);
    CHECK(cache->shards->retired.count == 0);
    hit(1);
    FINISH(cache);
}

/* In a child process no hit is under way: what was busy keeps its entry, which is marked. */
TEST(words_after_a_fork)
{
    create();
    insert(1);
    hit(1);
    uint32_t ref = ref_of(1);
    sarki_a64 *a_word = word_of(ref);
    uint64_t word = sarki_load64_relaxed(a_word);
    sarki_fork_word(&cache->leases, a_word);
    CHECK(sarki_load64_relaxed(a_word) == word);
    for (uint32_t state = SARKI_WORD_BUSY; state <= SARKI_WORD_TAKEN; state += 2) {
        sarki_and64_seq_cst(&sarki_entry_of(cache, ref)->a_stamp, ~SARKI_MARKED);
        sarki_store64_relaxed(a_word, sarki_word_of(word, ref, state));
        sarki_fork_word(&cache->leases, a_word);
        CHECK(sarki_load64_relaxed(a_word) == word && (stamp_of(1) & SARKI_MARKED) != 0);
    }
    sarki_store64_relaxed(a_word, sarki_word_of(word, 0, SARKI_WORD_EMPTY));
    sarki_fork_word(&cache->leases, a_word);
    CHECK(sarki_load64_relaxed(a_word) == sarki_word_of(word, 0, SARKI_WORD_EMPTY));
    sarki_store64_relaxed(a_word, word);
    FINISH(cache);
}

int main(void)
{
    if (!SUPPORT_LOCK_FREE) {
        puts("not run: unit_resident (no lock-free 64-bit atomics, so no entry becomes resident)");
        return 77;
    }
    RUN(hot_entries_become_resident);
    RUN(hot_is_what_several_slots_hit);
    RUN(cold_entries_do_not);
    RUN(one_word_for_two);
    RUN(reads_without_effect);
    RUN(busy_words_protect);
    RUN(taken_words_protect);
    RUN(counted_stamps_stay_behind);
    RUN(stamps_of_words_do_not_go_back);
    RUN(uses_tell_words_apart);
    RUN(another_key_with_the_same_tag);
    RUN(busy_while_its_entry_moves);
    RUN(words_after_a_fork);
    return test_summary();
}
