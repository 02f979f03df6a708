/* Numbers that wrap, white box: each just before its wrap, those that tell uses apart over every
   value of 8 bits. Where a use can be taken for another one after a whole turn, a case holds that
   it is so then and not before.

   number             bits  at its wrap                                        held by
   stamp                64  until 2^64 nothing; there the order of recency is  M, here
                            lost, and nothing else: after 48 years of a
                            counter at 3 GHz, or 2^59 calls where it counts
                            them
   version of an entry  48  begins anew: a token matches again 2^48 writes to  M, here
                            its shard later; from then on clear may also take
                            what is written while it runs
   version of a shard   64  out of reach
   use of a pin         32  begins anew: a token that was given back is one    M, here, unit_lease
                            again 2^31 pins of its place later
   uses of a word       32  begins anew: a writer that is stopped meanwhile    M, here
                            may miss the last touch, 2^32 hits later
   last touch, ms       32  a hit that comes a multiple of 2^32 ms after the   M, here
                            last one, and less than the touch interval more,
                            is no touch
   generations          32  a check may compare sums although 2^32 changes     M
                            came between
   tickets              32  nothing: they are compared for equality            M, here
   next home            32  the turn of homes begins anew                      M, here
   strangers, samples   32  one interval is shorter or longer                  M, here
   counters, metrics    64  nothing: what is told is a difference              M, here
   time, ms or ns       63  out of reach; a deadline beyond it is never        M, api_clock,
                                                                               api_system
   seconds of a clock   31  where time_t has 32 bits the clock fails: what has api_system,
                            a deadline is a miss                               expiry_namespace.sh
   keys of the wheels   64  nothing: W1 to W3 hold up to the end               unit_wheel
   seed of the hash     64  nothing: secrets differ                            unit_hash
   M: model_wrapping

   Counts of what is there (entries, places, granules, overflow, lists, leases, threads that wait)
   cannot pass 2^31, their bound.

   unit_wrapping */

/* One thread stands for several: each hit leaves its lease resident. */
#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) true
#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "wraps.h"

#define TURN 256u /* values of 8 bits */

static sark_cache *create(uint64_t max_entries, uint32_t shard_count)
{
    sark_cache_config config = support_config(max_entries);
    config.shard_count = shard_count;
    config.on_remove = NULL;
    return support_create(&config);
}

/* ---- Uses of pins --------------------------------------------------------------------------- */

/* As if a pin that is not out had been taken and given back so often that a use of it now counts
   as 2^23: then the uses of a place have 8 bits. */
static void pass_pins(sark_cache *cache, const sark_cache_pinned *pinned)
{
    sarki_a32 *a_sequence = &cache->leases.pins[pinned->pin].a_sequence;
    sarki_store32_relaxed(a_sequence, sarki_load32_relaxed(a_sequence) + (1u << 24) - 2);
}

/* Takes a pin, tries the stale one on it, and gives it back. */
static void take_once(sark_cache *cache, const sark_cache_pinned *stale, bool matches)
{
    sark_cache_pinned pinned, copy = *stale;
    CHECK(sark_cache_pin(cache, "key", 3, &pinned) == SARK_CACHE_OK);
    CHECK(pinned.pin == stale->pin && (pinned.use == stale->use) == matches);
    sark_cache_status status = sark_cache_unpin(cache, &copy);
    CHECK(status == (matches ? SARK_CACHE_OK : SARK_CACHE_BAD_ARGUMENT));
    copy = pinned;
    CHECK(sark_cache_unpin(cache, &pinned) ==
          (matches ? SARK_CACHE_BAD_ARGUMENT : SARK_CACHE_OK));
    pass_pins(cache, &copy);
}

TEST(stale_pins_over_a_whole_turn)
{
    sark_cache *cache = create(10, 1);
    REQUIRE(cache != NULL && put(cache, "key", "value", 0) == SARK_CACHE_OK);
    for (uint32_t start = 0; start < TURN; start++) {
        sark_cache_pinned pinned, stale, copy;
        sarki_store32_relaxed(&cache->leases.pins[0].a_sequence, start << 24);
        CHECK(sark_cache_pin(cache, "key", 3, &pinned) == SARK_CACHE_OK && pinned.pin == 0);
        stale = pinned;
        CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        pass_pins(cache, &stale);
        for (uint32_t takes = 1; takes <= TURN; takes++) {
            copy = stale;
            CHECK(sark_cache_unpin(cache, &copy) == SARK_CACHE_BAD_ARGUMENT); /* it is not out */
            take_once(cache, &stale, takes == TURN);
        }
    }
    FINISH(cache);
}

/* ---- Versions ------------------------------------------------------------------------------- */

/* Writes a key as if versions had 8 bits: those of the lowest 40 bits are passed over. */
static void write_once(sark_cache *cache, bool anew)
{
    if (anew) CHECK(drop(cache, "key") == SARK_CACHE_OK);
    cache->shards->last_version += ((uint64_t)1 << 40) - 1;
    CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
}

static uint64_t version_of(sark_cache *cache, const char *key)
{
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, key, strlen(key), &pinned) == SARK_CACHE_OK);
    uint64_t version = pinned.version;
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    return version;
}

static sark_cache_status put_over(sark_cache *cache, uint64_t version)
{
    return sark_cache_compare_and_set(cache, "key", 3, version, "other", 5, 0);
}

TEST(stale_versions_over_a_whole_turn)
{
    sark_cache *cache = create(10, 1);
    REQUIRE(cache != NULL);
    for (uint32_t start = 0; start < TURN; start++) {
        cache->shards->last_version = (uint64_t)start << 40;
        CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
        uint64_t stale = version_of(cache, "key");
        CHECK(stale == ((uint64_t)start << 40) + 1);
        for (uint32_t writes = 1; writes < TURN; writes++) {
            write_once(cache, writes % 2);
            CHECK(put_over(cache, stale) == SARK_CACHE_EXISTS);
        }
        write_once(cache, true);
        CHECK(version_of(cache, "key") == stale && put_over(cache, stale) == SARK_CACHE_OK);
    }
    FINISH(cache);
}

/* Keys that were written on both sides of a wrap are different, and clear takes them all. */
TEST(versions_around_their_wraps)
{
    static const uint32_t bits[] = {8, 16, 31, 32, 47, 48};
    for (size_t row = 0; row < sizeof bits / sizeof *bits; row++) {
        sark_cache *cache = create(100, 1);
        REQUIRE(cache != NULL);
        cache->shards->last_version = ((uint64_t)1 << bits[row]) - 50;
        for (uint32_t key = 0; key < 100; key++)
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        for (uint32_t key = 0; key < 100; key++) {
            sark_cache_pinned pinned;
            uint64_t expected = ((uint64_t)1 << bits[row]) - 49 + key;
            CHECK(sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK);
            CHECK(pinned.version == (expected & (((uint64_t)1 << 48) - 1)));
            CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        }
        CHECK(sark_cache_clear(cache) == 100 && sark_cache_size(cache) == 0);
        FINISH(cache);
    }
}

/* A callback that writes a key anew when clear removes it. */
static sark_cache *cleared;

static void write_again(void *context, const void *key, size_t key_bytes, const void *value,
                        size_t value_bytes, sark_cache_cause cause)
{
    (void)context;
    if (cause != SARK_CACHE_CLEARED || value_bytes != 3) return;
    CHECK(sark_cache_set(cleared, key, key_bytes, value, 1, 0) == SARK_CACHE_OK);
}

/* Clear leaves alone what is written while it runs, at a carry too; from 2^48 on it may take it,
   and ends all the same. */
TEST(clear_around_the_wraps_of_versions)
{
    static const uint32_t bits[] = {16, 32, 47, 48};
    for (size_t row = 0; row < sizeof bits / sizeof *bits; row++) {
        sark_cache_config config = support_config(100);
        config.shard_count = 1;
        config.on_remove = write_again;
        cleared = support_create(&config);
        REQUIRE(cleared != NULL);
        cleared->shards->last_version = ((uint64_t)1 << bits[row]) - 60;
        for (uint32_t key = 0; key < 50; key++)
            CHECK(sark_cache_set(cleared, &key, sizeof key, "old", 3, 0) == SARK_CACHE_OK);
        uint64_t removed = sark_cache_clear(cleared);
        CHECK(removed + sark_cache_size(cleared) == 100 && removed >= 50);
        CHECK(bits[row] == 48 || removed == 50);
        for (uint32_t key = 0; key < 50; key++) {
            char value[3];
            size_t value_bytes = 1;
            sark_cache_get(cleared, &key, sizeof key, value, sizeof value, &value_bytes);
            CHECK(value_bytes == 1); /* nothing old is left */
        }
        FINISH(cleared);
    }
}

/* ---- Resident words ------------------------------------------------------------------------- */

/* A word that a writer looked at is another one after each hit, over 8 bits of its uses. */
TEST(uses_of_words_over_a_whole_turn)
{
    sark_cache *cache = create(10, 1);
    REQUIRE(cache != NULL && put(cache, "key", "value", 0) == SARK_CACHE_OK);
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, "key", 3, &pinned) == SARK_CACHE_OK);
    sarki_lease *lease =
        sarki_lease_at(&cache->leases, sarki_home(&cache->leases, sarki_thread_hash()));
    uint32_t ref = sarki_load32_relaxed(&cache->leases.pins[pinned.pin].a_ref);
    sarki_a64 *a_word = &sarki_residents_of(lease)->a_words[sarki_resident_way(ref)];
    CHECK(get_is(cache, "key", "value")); /* now it is resident */
    for (uint64_t start = 0; start < TURN; start++) {
        uint64_t resident = sarki_word_of(start << 56, ref, SARKI_WORD_RESIDENT);
        sarki_store64_relaxed(a_word, resident);
        for (uint64_t uses = 1; uses <= TURN; uses++) {
            uint64_t passed = sarki_load64_relaxed(a_word) + ((uint64_t)1 << 56) - SARKI_WORD_USE;
            sarki_store64_relaxed(a_word, passed);
            CHECK(get_is(cache, "key", "value"));
            uint64_t word = sarki_load64_relaxed(a_word);
            CHECK((word == resident) == (uses == TURN) && (uint32_t)word == (uint32_t)resident);
        }
    }
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    FINISH(cache);
}

/* ---- Stamps --------------------------------------------------------------------------------- */

/* Values and bounds of a cache whose order of recency may be anything. */
static void use_at_random(sark_cache *cache, uint64_t *random, uint32_t steps)
{
    enum { KEYS = 300, CAPACITY = 100 };
    static uint32_t values[KEYS];
    memset(values, 0, sizeof values);
    for (uint32_t step = 1; step <= steps; step++) {
        uint32_t key = random_below(random, KEYS), value = 0;
        bool writes = random_below(random, 3) == 0;
        if (writes) {
            values[key] = step;
            CHECK(sark_cache_set(cache, &key, sizeof key, &step, sizeof step, 0) ==
                  SARK_CACHE_OK);
        }
        bool hit = sark_cache_get(cache, &key, sizeof key, &value, sizeof value, NULL) ==
                   SARK_CACHE_OK;
        CHECK(hit ? value == values[key] : !writes);
        CHECK(sark_cache_size(cache) <= CAPACITY);
        if (step % 1000 == 0) CHECK(holds(cache));
    }
    CHECK(sark_cache_size(cache) == CAPACITY && sarki_entries(cache) == CAPACITY);
}

TEST(stamps_at_the_end_of_their_range)
{
    for (uint32_t row = 0; row < 8; row++) {
        uint64_t random = row;
        sark_cache *cache = create(100, row % 2 ? 1 : 4);
        REQUIRE(cache != NULL);
        bool counted = row & 2 || cache->stamps.shift < 0;
        /* a counter also where it would be found to have gone back, as a sum wraps */
        wraps_stamps(&cache->stamps, counted, row & 4 && !counted ? 0 - SARKI_STAMP_SKEW : 0,
                     &random);
        use_at_random(cache, &random, 40000);
        if (counted) /* it went past the end */
            CHECK(sarki_load64_relaxed(&cache->stamps.a_count) < (uint64_t)1 << 40);
        CHECK(sark_cache_clear(cache) == 100);
        FINISH(cache);
    }
}

/* What was touched before a number of any bits leaves before what was touched after it. */
TEST(order_around_every_power_of_two)
{
    for (uint32_t bit = 12; bit < 64; bit++) {
        sark_cache *cache = create(20, 1);
        REQUIRE(cache != NULL);
        cache->stamps.shift = -1;
        sarki_store64_relaxed(&cache->stamps.a_count,
                              ((uint64_t)1 << bit) - 26 * SARKI_STAMP_STEP);
        for (uint32_t key = 0; key < 20; key++)
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        for (uint32_t key = 0; key < 20; key += 2) { /* the even ones, across the number */
            char value;
            CHECK(sark_cache_get(cache, &key, sizeof key, &value, 1, NULL) == SARK_CACHE_OK);
        }
        for (uint32_t key = 20; key < 30; key++)
            CHECK(sark_cache_set(cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
        for (uint32_t key = 0; key < 30; key++)
            CHECK((sark_cache_contains(cache, &key, sizeof key) == SARK_CACHE_OK) ==
                  (key >= 20 || key % 2 == 0));
        CHECK(sarki_load64_relaxed(&cache->stamps.a_count) > (uint64_t)1 << bit);
        FINISH(cache);
    }
}

/* ---- The touch interval --------------------------------------------------------------------- */

/* Whether a hit so long after the insert, at a time, makes an entry the most recently used. */
static bool hit_touches(int64_t at_ms, int64_t since_ms, uint32_t interval_ms)
{
    sark_cache_config config = support_config(2);
    config.touch_interval_ms = interval_ms;
    sark_cache *cache = support_create(&config);
    *support_time() = at_ms;
    CHECK(put(cache, "a", "value", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "b", "value", 0) == SARK_CACHE_OK);
    advance(since_ms);
    CHECK(get_is(cache, "a", "value"));
    CHECK(put(cache, "c", "value", 0) == SARK_CACHE_OK);
    bool touched = contains(cache, "a") == SARK_CACHE_OK;
    FINISH(cache);
    return touched;
}

TEST(the_touch_interval_across_2_to_32_ms)
{
    const int64_t wrap_ms = (int64_t)1 << 32;
    for (int64_t before = 0; before <= 12; before++)
        for (int64_t since = 0; since <= 24; since++) {
            CHECK(hit_touches(wrap_ms - before, since, 10) == (since >= 10));
            CHECK(hit_touches(wrap_ms / 2 - before, since, 10) == (since >= 10));
            CHECK(hit_touches(before, wrap_ms + since, 10) == (since >= 10)); /* as told above */
        }
    CHECK(hit_touches(0, wrap_ms - 1, 10) && hit_touches(77, wrap_ms / 2, 10));
    CHECK(!hit_touches(wrap_ms - 9, UINT32_MAX - 1, UINT32_MAX));
    CHECK(hit_touches(wrap_ms - 9, UINT32_MAX, UINT32_MAX));
}

/* ---- Turns, homes, counters ----------------------------------------------------------------- */

typedef struct turn_taker {
    sark_cache *cache;
    uint32_t *turns; /* not atomic: whose turn it is writes alone */
    bool *is_taken;
} turn_taker;

static void *take_turns(void *context)
{
    turn_taker *self = context;
    for (int i = 0; i < 100; i++) {
        sarki_turn_enter(self->cache);
        CHECK(!*self->is_taken);
        *self->is_taken = true;
        ++*self->turns;
        sched_yield();
        *self->is_taken = false;
        sarki_turn_leave(self->cache);
    }
    return NULL;
}

TEST(tickets_wrap_while_threads_wait)
{
    for (uint32_t shift = 8; shift <= 32; shift += 8) {
        sark_cache *cache = create(10, 1);
        REQUIRE(cache != NULL);
        uint32_t turns = 0, start = (uint32_t)(((uint64_t)1 << shift) - 50);
        bool is_taken = false;
        turn_taker takers[4];
        for (int i = 0; i < 4; i++) takers[i] = (turn_taker){cache, &turns, &is_taken};
        cache->room.next_ticket = cache->room.serving = start;
        test_run_threads(4, take_turns, takers, sizeof takers[0]);
        CHECK(turns == 400 && cache->room.next_ticket == start + 400);
        CHECK(cache->room.serving == start + 400);
        FINISH(cache);
    }
}

/* Each home is a slot, and of three in a row at most two are the same, where turns begin anew. */
TEST(the_turn_of_homes_wraps)
{
    sark_cache_config config = support_config(1000);
    config.lease_count = 3;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sarki_store32_relaxed(&cache->leases.a_next_home, UINT32_MAX - 5);
    uint32_t before = 3, same = 0;
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t home = sarki_home_next(&cache->leases, sarki_thread_hash());
        CHECK(home < 3 && home == sarki_home(&cache->leases, sarki_thread_hash()));
        same += home == before;
        before = home;
    }
    CHECK(same <= 1);
    FINISH(cache);
}

/* Latencies are counted from a reset on, wherever their counts stand. */
TEST(counts_of_latencies_wrap)
{
    uint64_t random = 1;
    sark_cache_config config = support_config(1000);
    config.latency_sample_every = 1;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    wraps_all(cache, (uint64_t)1 << 32, false, (uint64_t)1 << 62, &random);
    CHECK(metrics_of(cache).hit.count == 0 && metrics_of(cache).hits == 0);
    CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
    for (uint32_t calls = 1; calls <= 500; calls++) {
        CHECK(get_is(cache, "key", "value") && get_is(cache, "none", NULL));
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.hit.count == calls && metrics.miss.count == calls);
        CHECK(metrics.hits == calls && metrics.misses == calls && metrics.sets == 1);
        CHECK(metrics.hit.p50_ns <= metrics.hit.max_ns && metrics.hit.max_ns > 0);
    }
    FINISH(cache);
}

int main(void)
{
    test_watchdog(300);
    RUN(stale_pins_over_a_whole_turn);
    RUN(stale_versions_over_a_whole_turn);
    RUN(versions_around_their_wraps);
    RUN(clear_around_the_wraps_of_versions);
    if (SUPPORT_LOCK_FREE) RUN(uses_of_words_over_a_whole_turn);
    else puts("not run: unit_wrapping, uses of words (without lock-free 64-bit atomics)");
    RUN(stamps_at_the_end_of_their_range);
    RUN(order_around_every_power_of_two);
    RUN(the_touch_interval_across_2_to_32_ms);
    RUN(tickets_wrap_while_threads_wait);
    RUN(the_turn_of_homes_wraps);
    RUN(counts_of_latencies_wrap);
    return test_summary();
}
