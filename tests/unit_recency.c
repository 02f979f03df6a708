/* The order of recency (>>stamp, >>recency, >>evict of sark_cache.h), white box: stamps come from a
   counter or are set by hand, and entries leave one by one: in the order of their stamps over all
   shards, with bounds that hold, no more than 256 moves in one hold of a lock, and a structure that
   stays sound whatever stamps readers store.

   unit_recency [seed] */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { MOST_KEYS = 3000 };

#define COUNT_BEGINS ((uint64_t)1 << 40) /* room for older stamps, and levels of the wheel */

static uint64_t seed = 1;

/* A cache whose stamps are a count, and what is known of its entries. */
typedef struct rig {
    sark_cache *cache;
    uint32_t refs[MOST_KEYS]; /* 0: absent */
    uint32_t key_count, present;
} rig;

static rig tested;

static void ignore(void *context, const void *key, size_t key_bytes, const void *value,
                   size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)cause;
}

static void rig_create(uint32_t shard_count, uint32_t key_count)
{
    sark_cache_config config = support_config(MOST_KEYS);
    memset(&tested, 0, sizeof tested);
    config.on_remove = ignore; /* so that what was evicted stays in the frame */
    config.shard_count = shard_count;
    config.max_bytes = 4 << 20;
    config.hash_seed = seed;
    tested.cache = support_create(&config);
    tested.key_count = key_count;
    tested.cache->stamps.shift = -1;
    sarki_store64_relaxed(&tested.cache->stamps.a_count, COUNT_BEGINS);
}

static void insert(uint32_t key)
{
    sarki_spot spot;
    CHECK(sark_cache_set(tested.cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    sarki_query query = sarki_query_of(tested.cache, &key, sizeof key);
    tested.refs[key] = sarki_index_find_locked(&tested.cache->index, tested.cache->region, &query,
                                               &spot);
    tested.present++;
}

static void insert_all(uint32_t shard_count, uint32_t key_count)
{
    rig_create(shard_count, key_count);
    for (uint32_t key = 0; key < key_count; key++) insert(key);
}

static sarki_entry *entry_of(uint32_t key)
{
    return sarki_entry_of(tested.cache, tested.refs[key]);
}

static uint64_t stamp_of(uint32_t key) { return sarki_load64_relaxed(&entry_of(key)->a_stamp); }

/* What a reader stores that was stopped before; no matter what is there. */
static void set_stamp(uint32_t key, uint64_t stamp)
{
    sarki_store64_relaxed(&entry_of(key)->a_stamp, stamp);
}

static void touch(uint32_t key)
{
    sarki_entry_touch(entry_of(key), sarki_stamp_now(&tested.cache->stamps));
}

static sarki_shard *shard_of(uint32_t key)
{
    sarki_query query = sarki_query_of(tested.cache, &key, sizeof key);
    return &tested.cache->shards[sarki_shard_number(tested.cache, query.tag)];
}

static uint64_t settle(uint32_t key)
{
    return sarki_settle_locked(tested.cache, tested.refs[key]);
}

static bool in_fifo(uint32_t key) { return entry_of(key)->recency.place == SARKI_IN_FIFO; }

static uint32_t key_in(uint32_t ref)
{
    uint32_t key = 0;
    memcpy(&key, sarki_entry_key(sarki_entry_of(tested.cache, ref)), sizeof key);
    return key;
}

/* Evicts one entry, not the kept one (NULL: any). Returns its key; MOST_KEYS: there is none. */
static uint32_t evict_but(const uint32_t *kept)
{
    sarki_frame frame = {{0, 0}};
    sarki_query query = {0};
    if (kept) query = sarki_query_of(tested.cache, kept, sizeof *kept);
    if (!sarki_evict(tested.cache, SARKI_FOR_BYTES, kept ? &query : NULL, &frame))
        return MOST_KEYS;
    uint32_t key = key_in(frame.removed.head);
    CHECK(tested.refs[key] == frame.removed.head);
    tested.refs[key] = 0;
    tested.present--;
    sarki_places_give_back(tested.cache, 1);
    sarki_frame_flush(tested.cache, &frame);
    return key;
}

static uint32_t evict(void) { return evict_but(NULL); }

/* The present key with the lowest stamp. */
static uint32_t oldest_key(void)
{
    uint32_t oldest = MOST_KEYS;
    for (uint32_t key = 0; key < tested.key_count; key++)
        if (tested.refs[key] && (oldest == MOST_KEYS || stamp_of(key) < stamp_of(oldest)))
            oldest = key;
    return oldest;
}

static bool oldest_is_evicted(void)
{
    uint32_t expected = oldest_key();
    return evict() == expected;
}

/* Entries in the wheel of the first shard, the only one. */
static uint32_t in_wheel(void)
{
    uint32_t count = 0;
    for (uint32_t key = 0; key < tested.key_count; key++)
        count += tested.refs[key] && !in_fifo(key);
    return count;
}

/* S2: no stamp is below the bound that its shard has published. */
static bool bounds_hold(void)
{
    for (uint32_t key = 0; key < tested.key_count; key++)
        if (tested.refs[key] &&
            stamp_of(key) < sarki_load64_relaxed(sarki_oldest_of(tested.cache, shard_of(key))))
            return false;
    return true;
}

static bool drains_in_order(void)
{
    while (tested.present > 0) {
        if (!oldest_is_evicted()) return false;
        if (tested.present % 16 == 0 && !bounds_hold()) return false;
    }
    return evict() == MOST_KEYS;
}

static uint64_t moves(void) { return metrics_of(tested.cache).recency_moves; }

static uint64_t longest_hold(void) { return metrics_of(tested.cache).longest_hold_moves; }

/* ---- Order ---------------------------------------------------------------------------------- */

/* Hits, inserts and evictions in any order. */
static void random_order(uint32_t shard_count, uint64_t steps)
{
    uint64_t random = seed + shard_count;
    rig_create(shard_count, 200);
    for (uint64_t step = 0; step < steps; step++) {
        uint32_t key = random_below(&random, 200), kind = random_below(&random, 10);
        if (!tested.refs[key]) insert(key);
        else if (kind < 7) touch(key);
        else if (kind < 9) CHECK(oldest_is_evicted());
        else CHECK(bounds_hold());
        if (step % 1024 == 0) CHECK(holds(tested.cache));
    }
    CHECK(holds(tested.cache));
    CHECK(drains_in_order());
    CHECK(longest_hold() <= SARKI_MOVES);
    FINISH(tested.cache);
}

TEST(order_over_all_shards)
{
    static const uint32_t counts[] = {1, 2, 8, 64, 256};
    for (uint32_t i = 0; i < 5; i++) random_order(counts[i], support_length(NULL, 10000));
}

/* Stamps set by hand, far apart and close, in no order of the shards; all are hits. */
static void hand_made_order(uint32_t shard_count, uint32_t key_count)
{
    uint64_t random = seed + key_count;
    insert_all(shard_count, key_count);
    uint64_t last = sarki_stamp_now(&tested.cache->stamps);
    for (uint32_t i = 0; i < key_count; i++) {
        uint32_t key = (uint32_t)((uint64_t)i * 7919 % key_count); /* each once: it is prime */
        last += SARKI_STAMP_STEP + sarki_stamp_key(random_next(&random) >>
                                                   (14 + random_below(&random, 50)));
        set_stamp(key, last);
    }
    sarki_store64_relaxed(&tested.cache->stamps.a_count, last);
    CHECK(holds(tested.cache));
    CHECK(drains_in_order());
    FINISH(tested.cache);
}

TEST(hand_made_order)
{
    hand_made_order(1, 500);
    hand_made_order(4, 1000);
    hand_made_order(64, 1000);
}

/* ---- The FIFO and the wheel ----------------------------------------------------------------- */

/* Never read: they leave as they came, and nothing is moved. */
TEST(untouched_entries_do_not_move)
{
    insert_all(4, 400);
    for (uint32_t key = 0; key < 400; key++) CHECK(evict() == key);
    CHECK(moves() == 0);
    FINISH(tested.cache);
}

/* A head that was touched moves to the wheel; who is behind it and untouched stays. */
TEST(touched_head_moves_to_the_wheel)
{
    insert_all(1, 4);
    const sarki_shard *shard = tested.cache->shards;
    touch(0);
    touch(2);
    CHECK(in_wheel() == 0);
    CHECK(evict() == 1);
    CHECK(!in_fifo(0) && in_fifo(2) && in_fifo(3) && shard->fifo.head == tested.refs[2]);
    CHECK(in_wheel() == 1 && moves() == 1);
    CHECK(sarki_stamp_is_placed(stamp_of(0)) && !sarki_stamp_is_placed(stamp_of(2)));
    CHECK(evict() == 3);
    CHECK(!in_fifo(2) && shard->fifo.head == 0 && in_wheel() == 2 && moves() >= 2);
    CHECK(evict() == 0 && evict() == 2 && evict() == MOST_KEYS);
    CHECK(sarki_load64_relaxed(&tested.cache->a_oldest[0]) == SARKI_NONE);
    FINISH(tested.cache);
}

/* One in the wheel, touched again: its place is a lower bound, and it is placed anew. */
TEST(touched_again_in_the_wheel)
{
    insert_all(1, 3);
    touch(0);
    CHECK(evict() == 1);
    REQUIRE(!in_fifo(0));
    insert(1);
    touch(0);
    CHECK(evict() == 2 && evict() == 1 && evict() == 0);
    FINISH(tested.cache);
}

/* Of a head and a minimum of the wheel the older one leaves. */
TEST(older_of_head_and_wheel)
{
    insert_all(1, 4);
    touch(0);
    CHECK(evict() == 1); /* 0 is in the wheel now, younger than 2 and 3 */
    insert(1);           /* and this is younger than 0 */
    CHECK(evict() == 2 && evict() == 3 && evict() == 0 && evict() == 1);
    FINISH(tested.cache);
}

/* Moves are paid by hits: one for each, and as many as the wheel has levels at most. */
TEST(moves_are_paid_by_hits)
{
    uint64_t random = seed, hits = 0;
    insert_all(2, 500);
    for (uint32_t round = 0; round < 2000; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t key = random_below(&random, 500);
            if (!tested.refs[key]) continue;
            touch(key);
            hits++;
        }
        insert(evict());
    }
    CHECK(moves() > 0 && moves() <= hits * 3);
    FINISH(tested.cache);
}

/* A kept key is passed over, as if it had been used; alone, it leaves no victim. */
TEST(kept_key)
{
    for (uint32_t shard_count = 1; shard_count <= 16; shard_count *= 4) {
        uint32_t kept = 7;
        insert_all(shard_count, 100);
        for (uint32_t key = 0; key < 100; key += 2) touch(key);
        for (uint32_t i = 0; i < 99; i++) {
            uint32_t key = evict_but(&kept);
            CHECK(key == (i < 3 ? 2 * i + 1 : i < 49 ? 2 * i + 3 : 2 * (i - 49)));
        }
        CHECK(evict_but(&kept) == MOST_KEYS && evict_but(&kept) == MOST_KEYS);
        CHECK(tested.present == 1 && bounds_hold());
        CHECK(evict() == kept && evict() == MOST_KEYS);
        FINISH(tested.cache);
    }
}

/* ---- Stamps that went back ------------------------------------------------------------------ */

/* A reader stores the stamp that it took before others touched and evicted. The entry has an older
   one again: it leaves earlier, once, and whatever else is there leaves too. */
static void regress(uint32_t shard_count, bool placed)
{
    uint64_t random = seed + shard_count;
    insert_all(shard_count, 300);
    uint64_t old = sarki_stamp_now(&tested.cache->stamps);
    for (uint32_t key = 0; key < 300; key++) touch(key);
    for (uint32_t i = 0; i < 100; i++) CHECK(evict() != MOST_KEYS);
    for (uint32_t key = 0; key < 300; key++)
        if (tested.refs[key] && random_below(&random, 3) == 0) set_stamp(key, old | placed);
    for (uint32_t i = 0; i < 50; i++) CHECK(evict() != MOST_KEYS);
    for (uint32_t key = 0; key < 300; key++)
        if (!tested.refs[key]) insert(key);
    uint32_t left = tested.present;
    while (evict() != MOST_KEYS) left--;
    CHECK(left == 0 && tested.present == 0);
    FINISH(tested.cache);
}

TEST(stamps_that_went_back)
{
    regress(1, false);
    regress(8, false);
    regress(1, true); /* settled while it was old */
    regress(8, true);
}

/* A single one among the young: it goes first, from wherever the wheel's floor has come to. */
TEST(stamp_below_the_floor)
{
    insert_all(1, 100);
    uint64_t old = sarki_stamp_now(&tested.cache->stamps);
    for (uint32_t key = 0; key < 100; key++) touch(key);
    for (uint32_t i = 0; i < 50; i++) CHECK(evict() == i);
    REQUIRE(tested.cache->shards[0].recency.floor > old);
    set_stamp(50, old); /* the oldest, so that it is looked at next */
    CHECK(evict() == 50);
    CHECK(bounds_hold() && holds(tested.cache));
    CHECK(drains_in_order());
    FINISH(tested.cache);
}

/* In the FIFO a stamp cannot go back beyond the insert: the order stays exact. */
TEST(stamps_that_went_back_in_the_fifo)
{
    insert_all(1, 50);
    uint64_t old = sarki_stamp_now(&tested.cache->stamps);
    for (uint32_t key = 0; key < 50; key++) touch(key);
    for (uint32_t key = 10; key < 20; key++) set_stamp(key, old + 4 * key - 80);
    CHECK(bounds_hold() && holds(tested.cache));
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t expected = i < 10 ? i + 10 : i < 20 ? i - 10 : i;
        CHECK(evict() == expected);
    }
    FINISH(tested.cache);
}

/* Readers store older and newer stamps, with any flags, at every moment: nothing is lost. */
TEST(any_stamps_at_any_time)
{
    uint64_t random = seed;
    rig_create(4, 300);
    for (uint32_t step = 0; step < support_length(NULL, 20000); step++) {
        uint32_t key = random_below(&random, 300);
        uint64_t now = sarki_stamp_now(&tested.cache->stamps);
        if (!tested.refs[key]) insert(key);
        else if (random_below(&random, 4)) set_stamp(key, now - random_below(&random, 3600));
        else CHECK(evict() != MOST_KEYS);
    }
    for (uint32_t key = 0; key < 300; key++)
        if (tested.refs[key]) touch(key); /* now all are above the bounds again */
    CHECK(holds(tested.cache));
    CHECK(drains_in_order());
    FINISH(tested.cache);
}

/* ---- The start of a search ------------------------------------------------------------------ */

/* All of the wheel was touched since the search began: any is taken, and none is moved. */
TEST(touched_since_the_start)
{
    insert_all(1, 100);
    for (uint32_t key = 0; key < 100; key++) touch(key);
    CHECK(evict() == 0); /* all others are in the wheel now */
    sarki_shard *shard = tested.cache->shards;
    REQUIRE(shard->fifo.head == 0 && in_wheel() == 99);
    uint64_t before = moves(), bound = 0, start = sarki_wheel_bound(&shard->recency);
    sarki_shard_lock(shard);
    uint32_t ref = sarki_recency_oldest_locked(tested.cache, shard, SARKI_NONE, start, &bound);
    CHECK(ref != 0 && bound == start && shard->hold_moves == 0);
    ref = sarki_recency_oldest_locked(tested.cache, shard, SARKI_NONE, start + 1, &bound);
    CHECK(ref == tested.refs[1]); /* a start just above is one that orders */
    sarki_shard_unlock(shard);
    CHECK(moves() >= before);
    CHECK(drains_in_order());
    FINISH(tested.cache);
}

/* An entry that was touched after the start stands in the lowest slot, by its old key, and an older
   one, which nobody touched, above it: the older one leaves, and the bound stays below it. */
TEST(touched_since_the_start_below_an_older_one)
{
    insert_all(1, 6);
    for (uint32_t key = 0; key < 3; key++) {
        set_stamp(key, (uint64_t)(key + 1) << 40);
        settle(key);
        sarki_list_remove(tested.cache->recency_links, &tested.cache->shards->fifo,
                          tested.refs[key]);
        sarki_wheel_insert(&tested.cache->shards->recency, tested.refs[key], stamp_of(key) - 1);
    }
    for (uint32_t key = 3; key < 6; key++) set_stamp(key, (uint64_t)5 << 40 | key << 5 | 1);
    sarki_store64_relaxed(&tested.cache->stamps.a_count, (uint64_t)6 << 40);
    touch(0);
    uint64_t start = sarki_stamp_now(&tested.cache->stamps), bound = 0;
    touch(1);
    sarki_shard *shard = tested.cache->shards;
    sarki_shard_lock(shard);
    uint32_t ref = sarki_recency_oldest_locked(tested.cache, shard, SARKI_NONE, start, &bound);
    CHECK(ref == tested.refs[2] && bound <= stamp_of(2));
    sarki_shard_unlock(shard);
    CHECK(evict() == 2 && evict() == 3 && evict() == 4 && evict() == 5);
    CHECK(evict() == 0 && evict() == 1 && evict() == MOST_KEYS);
    FINISH(tested.cache);
}

/* Every entry is touched again before each round: a search with no start would follow them. */
/* Where stamps are counted, a batch's hits are counted one by one. */
TEST(a_batch_is_counted)
{
    enum { KEYS = 40 };
    sark_cache_get_request requests[KEYS];
    uint32_t keys[KEYS];
    char value[8];
    uint64_t last = 0;
    insert_all(4, KEYS);
    for (uint32_t i = 0; i < KEYS; i++) {
        keys[i] = i * 7 % KEYS;
        requests[i] = (sark_cache_get_request){&keys[i], sizeof keys[i], value, sizeof value, 0,
                                               SARK_CACHE_MISS};
    }
    CHECK(sark_cache_get_many(tested.cache, requests, KEYS) == SARK_CACHE_OK);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint64_t stamp = sarki_stamp_key(stamp_of(keys[i]));
        CHECK(stamp > last && stamp <= sarki_load64_relaxed(&tested.cache->stamps.a_count));
        last = stamp;
    }
    CHECK(sark_cache_destroy(tested.cache) == SARK_CACHE_OK);
}

TEST(search_ends_though_all_are_touched)
{
    insert_all(1, 1000);
    sarki_shard *shard = tested.cache->shards;
    uint64_t start = sarki_stamp_now(&tested.cache->stamps), bound = 0;
    uint32_t ref = 0, rounds = 0;
    for (; !ref && rounds < 200; rounds++) {
        for (uint32_t key = 0; key < 1000; key++) touch(key);
        sarki_shard_lock(shard);
        ref = sarki_recency_oldest_locked(tested.cache, shard, SARKI_NONE, start, &bound);
        CHECK(shard->hold_moves <= SARKI_MOVES);
        sarki_shard_unlock(shard);
    }
    CHECK(ref != 0 && rounds <= 1000 * sarki_wheel_levels(6) / SARKI_MOVES + 1);
    CHECK(drains_in_order());
    FINISH(tested.cache);
}

/* ---- Bounds --------------------------------------------------------------------------------- */

/* Another shard's bound is lower: this shard is not searched to the end, its bound gets better. */
TEST(limits_end_a_round)
{
    insert_all(1, 100);
    for (uint32_t key = 0; key < 100; key++) touch(key);
    sarki_shard *shard = tested.cache->shards;
    uint64_t bound = sarki_load64_relaxed(&tested.cache->a_oldest[0]), lowest = bound;
    sarki_shard_lock(shard);
    CHECK(sarki_recency_oldest_locked(tested.cache, shard, bound, SARKI_NONE, &bound) == 0);
    CHECK(bound > lowest && bound <= stamp_of(0));
    uint32_t ref = sarki_recency_oldest_locked(tested.cache, shard, stamp_of(0), SARKI_NONE,
                                               &bound);
    CHECK(ref == tested.refs[0] && bound == sarki_stamp_key(stamp_of(0)));
    ref = sarki_recency_oldest_locked(tested.cache, shard, bound - 1, SARKI_NONE, &bound);
    CHECK(ref == 0 && bound == sarki_stamp_key(stamp_of(0)));
    sarki_shard_unlock(shard);
    CHECK(drains_in_order());
    FINISH(tested.cache);
}

/* The shard with the lowest bound is searched; the limit is the lowest of the others. */
TEST(lowest_bound_is_picked)
{
    uint64_t random = seed;
    rig_create(16, 1);
    CHECK(!sarki_search_pick(tested.cache).shard);
    for (uint32_t round = 0; round < 1000; round++) {
        uint64_t lowest = SARKI_NONE, second = SARKI_NONE;
        for (uint32_t i = 0; i < 16; i++) {
            uint64_t bound = random_below(&random, 4) ? 2 + random_below(&random, 30) : SARKI_NONE;
            sarki_store64_relaxed(&tested.cache->a_oldest[i], bound);
            second = sarki_min64(second, bound > lowest ? bound : lowest);
            lowest = sarki_min64(lowest, bound);
        }
        sarki_pick pick = sarki_search_pick(tested.cache);
        CHECK((pick.shard == NULL) == (lowest == SARKI_NONE));
        CHECK(pick.lowest == lowest && pick.limit == second);
        if (pick.shard)
            CHECK(sarki_load64_relaxed(sarki_oldest_of(tested.cache, pick.shard)) == lowest);
    }
    for (uint32_t i = 0; i < 16; i++)
        sarki_store64_relaxed(&tested.cache->a_oldest[i], SARKI_NONE);
    FINISH(tested.cache);
}

/* A bound may be of a hit whose thread had a later counter: what is inserted then lowers it. */
TEST(inserts_lower_a_bound_that_is_ahead)
{
    rig_create(1, 3);
    insert(0);
    insert(1);
    sarki_shard *shard = tested.cache->shards;
    uint64_t ahead = sarki_stamp_now(&tested.cache->stamps) + SARKI_STAMP_SKEW / 2;
    set_stamp(0, ahead);
    set_stamp(1, ahead + SARKI_STAMP_STEP);
    sarki_shard_lock(shard);
    sarki_bound_publish(tested.cache, shard, ahead);
    sarki_shard_unlock(shard);
    insert(2);
    CHECK(stamp_of(2) < ahead);
    CHECK(bounds_hold());
    CHECK(evict() == 2);
    FINISH(tested.cache);
}

/* Empty shards have no bound, inserted entries give one. */
TEST(bounds_of_empty_shards)
{
    rig_create(4, 400);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 4; i++)
            CHECK(sarki_load64_relaxed(&tested.cache->a_oldest[i]) == SARKI_NONE);
        CHECK(evict() == MOST_KEYS);
        for (uint32_t key = 0; key < 400; key++) insert(key);
        CHECK(bounds_hold());
        for (uint32_t i = 0; i < 4; i++)
            CHECK(sarki_load64_relaxed(&tested.cache->a_oldest[i]) != SARKI_NONE);
        if (round == 1) CHECK(sark_cache_clear(tested.cache) == 400);
        else CHECK(drains_in_order());
        tested.present = 0;
    }
    FINISH(tested.cache);
}

/* ---- Moves in one hold ---------------------------------------------------------------------- */

/* Thousands of touched entries stand before the victim: it is found in several holds. */
static void many_touched(uint32_t shard_count, bool in_wheel)
{
    insert_all(shard_count, MOST_KEYS);
    for (uint32_t key = 0; key < MOST_KEYS; key++) touch(key);
    if (in_wheel) {
        CHECK(evict() == 0);
        for (uint32_t key = 1; key < MOST_KEYS; key++) touch(key);
        sark_cache_metrics_reset(tested.cache);
    }
    CHECK(evict() == (in_wheel ? 1u : 0u));
    CHECK(longest_hold() <= SARKI_MOVES);
    if (shard_count == 1) CHECK(longest_hold() == SARKI_MOVES);
    if (shard_count == 1) CHECK(moves() >= MOST_KEYS - 2);
    CHECK(holds(tested.cache));
    for (uint32_t i = in_wheel ? 2 : 1; i < 200; i++) CHECK(evict() == i);
    CHECK(longest_hold() <= SARKI_MOVES);
    FINISH(tested.cache);
}

TEST(moves_in_one_hold)
{
    many_touched(1, false);
    many_touched(1, true);
    many_touched(4, false);
    many_touched(4, true);
}

/* ---- Stamps --------------------------------------------------------------------------------- */

/* T1: what one slot hands out grows strictly, also where the counter stands still or goes back. */
TEST(stamps_grow)
{
    sarki_stamps stamps;
    sarki_a64 last;
    memset(&stamps, 0, sizeof stamps);
    memset(&last, 0, sizeof last);
    stamps.shift = sarki_counter_shift();
    for (uint32_t both = 0; both < 2; both++) {
        uint64_t before = sarki_load64_relaxed(&last);
        for (uint32_t i = 0; i < 10000; i++) {
            uint64_t stamp = sarki_stamp_next(sarki_stamp_now(&stamps), &last);
            CHECK(stamp > before && sarki_stamp_key(stamp) == stamp);
            before = stamp;
        }
        stamps.shift = -1; /* the count is far behind the counter */
    }
}

/* Stamps the entry of a key as if it had been touched at another time. */
static void stamp_entry(sark_cache *cache, uint32_t key, uint64_t stamp)
{
    sarki_spot spot;
    sarki_query query = sarki_query_of(cache, &key, sizeof key);
    uint32_t ref = sarki_index_find_locked(&cache->index, cache->region, &query, &spot);
    sarki_store64_relaxed(&sarki_entry_of(cache, ref)->a_stamp, stamp);
}

/* After a counter went back, the insert that finds it is the first to search: for the entry with
   the oldest stamp, though all of them seem to lie ahead. */
TEST(the_first_victim_after_a_counter_went_back)
{
    for (uint32_t shard_count = 1; shard_count <= 4; shard_count *= 4) {
        sark_cache_config config = support_config(100);
        config.shard_count = shard_count;
        config.on_remove = NULL;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        if (cache->stamps.shift < 0) { /* there is no counter here */
            FINISH(cache);
            return;
        }
        uint64_t ahead = sarki_stamp_now(&cache->stamps) + ((uint64_t)1 << 50);
        for (uint32_t key = 0; key < 100; key++) { /* the last one was touched first */
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
            stamp_entry(cache, key, ahead + ((100 - key) * SARKI_STAMP_STEP << 10));
        }
        for (uint32_t i = 0; i < shard_count; i++)
            sarki_store64_relaxed(&cache->shards[i].a_last_stamp,
                                  ahead + (101 * SARKI_STAMP_STEP << 10));
        sarki_store64_relaxed(&cache->stamps.a_offset, 0);
        uint32_t key = 100;
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        for (key = 0; key <= 100; key++)
            CHECK((sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK) == (key != 99));
        FINISH(cache);
    }
}

/* A counter that went back by hours: after one insert, what is touched is younger than what was. */
TEST(a_counter_that_went_back)
{
    sark_cache_config config = support_config(10);
    config.shard_count = 1;
    config.on_remove = NULL;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    if (cache->stamps.shift < 0) { /* there is no counter here */
        FINISH(cache);
        return;
    }
    uint64_t ahead = (uint64_t)1 << 50, now = sarki_stamp_now(&cache->stamps);
    sarki_shard *shard = cache->shards;
    for (uint32_t key = 0; key < 9; key++) {
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        sarki_store64_relaxed(&shard->a_last_stamp, now + ahead + key * SARKI_STAMP_STEP);
        sarki_store64_relaxed(&cache->stamps.a_offset, 0);
        stamp_entry(cache, key, (now + ahead + key * SARKI_STAMP_STEP) | SARKI_PLACED);
    }
    uint32_t key = 9, value = 0;
    CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    uint64_t offset = sarki_load64_relaxed(&cache->stamps.a_offset);
    CHECK(offset >= ahead - SARKI_STAMP_SKEW);
    sarki_stamps_mend(&cache->stamps, now + ahead); /* another shard, which saw it too */
    CHECK(sarki_load64_relaxed(&cache->stamps.a_offset) == offset);
    for (key = 0; key < 9; key += 2)
        CHECK(sark_cache_get(cache, &key, sizeof key, &value, sizeof value, NULL) ==
              SARK_CACHE_OK);
    for (key = 10; key < 14; key++) /* 1, 3, 5 and 7 leave */
        CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    for (key = 0; key < 14; key++)
        CHECK((sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK) ==
              (key % 2 == 0 || key >= 9));
    FINISH(cache);
}

/* A touch never lowers a stamp; to settle makes it placed, and gives the key without that. */
TEST(touch_and_settle)
{
    insert_all(1, 1);
    uint64_t old = sarki_stamp_key(stamp_of(0)) + 3200, new = old + 3200;
    set_stamp(0, old);
    sarki_entry_touch(entry_of(0), old - SARKI_STAMP_STEP);
    CHECK(stamp_of(0) == old);
    CHECK(settle(0) == old && stamp_of(0) == (old | SARKI_PLACED));
    CHECK(settle(0) == old && stamp_of(0) == (old | SARKI_PLACED));
    sarki_entry_touch(entry_of(0), old);
    CHECK(stamp_of(0) == (old | SARKI_PLACED));
    sarki_entry_touch(entry_of(0), new);
    CHECK(stamp_of(0) == new && !sarki_stamp_is_placed(stamp_of(0)));
    FINISH(tested.cache);
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(stamps_grow);
    RUN(a_counter_that_went_back);
    RUN(the_first_victim_after_a_counter_went_back);
    RUN(touch_and_settle);
    RUN(order_over_all_shards);
    RUN(hand_made_order);
    RUN(untouched_entries_do_not_move);
    RUN(touched_head_moves_to_the_wheel);
    RUN(touched_again_in_the_wheel);
    RUN(older_of_head_and_wheel);
    RUN(moves_are_paid_by_hits);
    RUN(kept_key);
    RUN(stamps_that_went_back);
    RUN(stamp_below_the_floor);
    RUN(stamps_that_went_back_in_the_fifo);
    RUN(any_stamps_at_any_time);
    RUN(touched_since_the_start);
    RUN(touched_since_the_start_below_an_older_one);
    RUN(a_batch_is_counted);
    RUN(search_ends_though_all_are_touched);
    RUN(limits_end_a_round);
    RUN(lowest_bound_is_picked);
    RUN(inserts_lower_a_bound_that_is_ahead);
    RUN(bounds_of_empty_shards);
    RUN(moves_in_one_hold);
    return test_summary();
}
