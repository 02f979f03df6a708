/* Moments that only other threads bring about, or a clock that jumps, and that are too rare to wait
   for (>>evict, >>moving, >>room, >>writing of sark_cache.h): set by hand, white box. */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "threads.h"

static sark_cache *cache;

/* One shard, so that it is known which one holds a key. */
static void create(uint64_t max_entries, bool has_callback)
{
    sark_cache_config config = support_config(max_entries);
    config.shard_count = 1;
    config.max_bytes = 256 << 10;
    if (!has_callback) config.on_remove = NULL;
    cache = support_create(&config);
    if (!cache) exit(1);
}

static sarki_query query_of(const char *key) { return sarki_query_of(cache, key, strlen(key)); }

static uint32_t find(const char *key, sarki_spot *spot)
{
    sarki_query query = query_of(key);
    return sarki_index_find_locked(&cache->index, cache->region, &query, spot);
}

static uint32_t ref_of(const char *key)
{
    sarki_spot spot;
    return find(key, &spot);
}

/* ---- Victims --------------------------------------------------------------------------------- */

/* While somebody makes room, a spare block stays where it is, and nothing is evicted for it. */
TEST(no_spare_in_the_turn_of_another)
{
    create(100, false);
    for (uint32_t key = 0; key < 100 + SARKI_RETIRE_BATCH; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    uint32_t granules = sarki_load32_relaxed(&cache->a_spare_granules[0]);
    sarki_frame frame = {{0, 0}};
    sarki_search search = {SARKI_FOR_ENTRIES, SARKI_NONE, -1, NULL, 0, 0, 0, false};
    REQUIRE(granules > 0);
    sarki_turn_set(cache, true);
    CHECK(sarki_evict_for_spare(cache, granules, &search, &frame) == 0);
    CHECK(sark_cache_size(cache) == 100);
    sarki_turn_set(cache, false);
    uint32_t spare = sarki_evict_for_spare(cache, granules, &search, &frame);
    CHECK(spare != 0 && sark_cache_size(cache) == 99);
    sarki_memory_give_back(cache, spare);
    sarki_places_give_back(cache, 1);
    FINISH(cache);
}

/* Which size the next spare has is a guess: a search that finds another one corrects it. */
TEST(a_wrong_guess_is_corrected)
{
    create(100, false);
    for (uint32_t key = 0; key < 100 + SARKI_RETIRE_BATCH; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    sarki_a32 *a_guess = &cache->a_spare_granules[0];
    uint32_t granules = sarki_load32_relaxed(a_guess);
    sarki_search search = {SARKI_FOR_ENTRIES, SARKI_NONE, -1, NULL, 0, 0, 0, false};
    sarki_frame frame = {{0, 0}};
    REQUIRE(granules > 0);
    sarki_store32_relaxed(a_guess, granules + 1);
    CHECK(sarki_evict_for_spare(cache, granules + 1, &search, &frame) == 0);
    CHECK(sark_cache_size(cache) == 100 && sarki_load32_relaxed(a_guess) == granules);
    FINISH(cache);
}

/* A search turns to another shard where the bound has risen meanwhile, but not for ever. */
TEST(a_search_that_missed_often_waits)
{
    create(100, false);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    sarki_pick pick = sarki_search_pick(cache);
    REQUIRE(pick.shard == cache->shards);
    pick.lowest -= SARKI_STAMP_STEP; /* as it was read before */
    sarki_shard_lock(pick.shard);
    uint32_t missed = 0;
    while (missed < SARKI_MISSES) {
        uint32_t before = missed;
        CHECK(!sarki_search_lock(cache, &pick, &missed) && missed == before + 1);
    }
    sarki_shard_unlock(pick.shard);
    CHECK(sarki_search_lock(cache, &pick, &missed) && missed == SARKI_MISSES);
    CHECK(!sarki_try_lock(&pick.shard->mutex));
    sarki_shard_unlock(pick.shard);
    FINISH(cache);
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

/* A deadline that the floor of the order of expiry has passed by the time that it is linked: it
   stays what it is; where the clock fails, or went back, the order starts anew. */
TEST(a_deadline_below_the_floor)
{
    enum { PASSED, FAILS, WENT_BACK };
    for (int clock = PASSED; clock <= WENT_BACK; clock++) {
        create(100, true);
        sarki_shard *shard = cache->shards;
        int64_t begin = *support_time(), floor = begin + 500;
        CHECK(put(cache, "k", "value", 1000) == SARK_CACHE_OK);
        CHECK(put(cache, "other", "value", 2000) == SARK_CACHE_OK);
        sarki_wheel_restart(&shard->expiry, (uint64_t)floor);
        *support_time() = clock == PASSED ? floor + 100 : clock == FAILS ? -1 : begin;
        sarki_shard_lock(shard);
        sarki_touch_locked(cache, shard, ref_of("k"), floor - 50);
        sarki_shard_unlock(shard);
        CHECK(sarki_entry_deadline(sarki_entry_of(cache, ref_of("k"))) == floor - 50);
        CHECK(shard->expiry.floor == (uint64_t)(clock == PASSED ? floor : floor - 50));
        CHECK(holds(cache));
        *support_time() = floor - 51;
        CHECK(get_is(cache, "k", "value"));
        *support_time() = floor - 50;
        CHECK(get_is(cache, "k", NULL));
        *support_time() = floor + 100;
        CHECK(get_is(cache, "k", NULL) && get_is(cache, "other", "value"));
        CHECK(sark_cache_cleanup_expired(cache, 0) == 1 && holds(cache));
        CHECK(removals_of(support_removals(), "k", SARK_CACHE_EXPIRED) == 1);
        FINISH(cache);
    }
}

/* Floors come from the precise clock: that the coarse one is behind is no going back. */
TEST(a_floor_before_the_coarse_clock)
{
    sark_cache_config config = support_config(100);
    memset(&config.clock, 0, sizeof config.clock);
    config.shard_count = 1;
    cache = support_create(&config);
    REQUIRE(cache != NULL && put(cache, "k", "value", 60000) == SARK_CACHE_OK);
    sarki_shard *shard = cache->shards;
    int64_t floor = sarki_now_fine(cache);
    sarki_wheel_restart(&shard->expiry, (uint64_t)floor);
    sarki_shard_lock(shard);
    sarki_touch_locked(cache, shard, ref_of("k"), floor - 50);
    sarki_shard_unlock(shard);
    CHECK(shard->expiry.floor == (uint64_t)floor && holds(cache));
    CHECK(get_is(cache, "k", NULL) && sark_cache_cleanup_expired(cache, 0) == 1);
    FINISH(cache);
}

/* What many pins hold back is scanned when as much more has come. */
TEST(retired_entries_that_are_pinned)
{
    enum { PINS = 200 };
    sark_cache_pinned pins[PINS];
    sark_cache_config config = support_config(1000);
    config.shard_count = 1;
    config.pin_count = PINS;
    cache = support_create(&config);
    REQUIRE(cache != NULL);
    const sarki_shard *shard = cache->shards;
    for (uint32_t i = 0; i < PINS; i++) {
        CHECK(sark_cache_set(cache, &i, sizeof i, "value", 5, 0) == SARK_CACHE_OK);
        CHECK(sark_cache_pin(cache, &i, sizeof i, &pins[i]) == SARK_CACHE_OK);
        CHECK(sark_cache_set(cache, &i, sizeof i, "other", 5, 0) == SARK_CACHE_OK);
    }
    uint32_t scans = 0, most = 0;
    for (uint32_t i = 0; i < 10 * PINS; i++) {
        uint32_t before = shard->retired.count;
        CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
        scans += shard->retired.count < before;
        if (shard->retired.count > most) most = shard->retired.count;
    }
    CHECK(scans > 0 && scans <= 10 && most >= PINS && most <= 2 * PINS + SARKI_RETIRE_BATCH);
    for (uint32_t i = 0; i < PINS; i++) CHECK(sark_cache_unpin(cache, &pins[i]) == SARK_CACHE_OK);
    sarki_retired_collect(cache);
    CHECK(shard->retired.count == 0 && shard->still_read == 0 && holds(cache));
    FINISH(cache);
}

/* touch makes a copy that can have a deadline; meanwhile the key was set with one, and expired. */
TEST(widened_after_it_expired)
{
    create(100, true);
    CHECK(put(cache, "k", "value", 5) == SARK_CACHE_OK);
    advance(5);
    sarki_query query = query_of("k");
    uint64_t bytes = metrics_of(cache).bytes;
    CHECK(sarki_touch_widen(cache, &query, 5) == SARK_CACHE_MISS);
    CHECK(metrics_of(cache).bytes == bytes && sark_cache_size(cache) == 1);
    CHECK(get_is(cache, "k", NULL) && support_removals()->count == 0);
    FINISH(cache);
}

/* ---- Places ---------------------------------------------------------------------------------- */

static sark_cache_status inside_status;

/* Inserts while inserts of other threads, which are under way, have all places. */
static void insert_inside(void *context, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes;
    if (cause != SARK_CACHE_DELETED) return;
    CHECK(sarki_place_reserve(cache) && sarki_place_reserve(cache));
    uint64_t bytes = metrics_of(cache).bytes;
    inside_status = put(cache, "inside", "value", 0);
    CHECK(metrics_of(cache).bytes == bytes);
    sarki_places_give_back(cache, 2);
}

/* Inside a callback nobody waits for a place. */
TEST(no_place_inside_a_callback)
{
    sark_cache_config config = support_config(2);
    config.on_remove = insert_inside;
    cache = support_create(&config);
    REQUIRE(cache != NULL && put(cache, "k", "value", 0) == SARK_CACHE_OK);
    inside_status = SARK_CACHE_OK;
    test_watchdog(60);
    CHECK(drop(cache, "k") == SARK_CACHE_OK && inside_status == SARK_CACHE_BUSY);
    test_watchdog(0);
    CHECK(get_is(cache, "inside", NULL));
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "inside", "value", 0) == SARK_CACHE_OK && sark_cache_size(cache) == 2);
    FINISH(cache);
}

static void *insert_outside(void *context)
{
    (void)context;
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    return NULL;
}

/* Elsewhere who finds none waits until one is given back. */
TEST(a_place_is_waited_for)
{
    create(1, false);
    CHECK(sarki_place_reserve(cache) && !sarki_place_reserve(cache));
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, insert_outside, NULL) == 0);
    test_watchdog(60);
    while (sarki_load32_seq_cst(&cache->room.a_waiting) == 0) sched_yield();
    sarki_lock(&cache->room.mutex); /* free once the other one sleeps */
    CHECK(get_is(cache, "k", NULL));
    sarki_unlock(&cache->room.mutex);
    sarki_places_give_back(cache, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    test_watchdog(0);
    CHECK(get_is(cache, "k", "value"));
    FINISH(cache);
}

static _Atomic(uint32_t) in_turn, turns_taken;

/* Takes a turn, and does not hurry. */
static void *take_a_turn(void *context)
{
    (void)context;
    sarki_turn_enter(cache);
    CHECK(atomic_fetch_add(&in_turn, 1) == 0);
    for (int i = 0; i < 1000; i++) sched_yield();
    atomic_fetch_sub(&in_turn, 1);
    atomic_fetch_add(&turns_taken, 1);
    sarki_turn_leave(cache);
    return NULL;
}

/* Each end of a turn wakes all who wait, of whom one has the next. */
TEST(turns_come_one_by_one)
{
    enum { WAITERS = 4 };
    pthread_t threads[WAITERS];
    create(10, false);
    atomic_store(&turns_taken, 0);
    sarki_turn_enter(cache);
    test_watchdog(60);
    for (uint32_t i = 0; i < WAITERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, take_a_turn, NULL) == 0);
    for (uint32_t tickets = 0; tickets <= WAITERS;) {
        sarki_lock(&cache->room.mutex);
        tickets = cache->room.next_ticket;
        sarki_unlock(&cache->room.mutex);
    }
    CHECK(atomic_load(&turns_taken) == 0);
    sarki_turn_leave(cache);
    for (uint32_t i = 0; i < WAITERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    test_watchdog(0);
    CHECK(atomic_load(&turns_taken) == WAITERS);
    FINISH(cache);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static _Atomic(bool) report_began, report_may_end;

static void report_slowly(void *context, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)cause;
    atomic_store(&report_began, true);
    while (!atomic_load(&report_may_end)) sched_yield();
}

static void *delete_large(void *context)
{
    CHECK(drop(cache, "large") == SARK_CACHE_OK);
    return context;
}

static unsigned char large_value[256 << 10];

static void *insert_larger(void *context)
{
    CHECK(sark_cache_set(cache, "larger", 6, large_value, 180 << 10, 0) == SARK_CACHE_OK);
    return context;
}

/* Who waits until a callback is over has the patience for it, however much changes meanwhile. */
TEST(changes_do_not_end_patience)
{
    enum { CHANGES_LEAST = 10 * SARKI_ROOM_PATIENCE };
    pthread_t deleter, inserter;
    sark_cache_pinned pinned;
    sark_cache_config config = support_config(10);
    config.max_bytes = 256 << 10;
    config.on_remove = report_slowly;
    cache = support_create(&config);
    REQUIRE(cache != NULL && put(cache, "small", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "large", 5, large_value, 120 << 10, 0) == SARK_CACHE_OK);
    test_watchdog(60);
    REQUIRE(pthread_create(&deleter, NULL, delete_large, NULL) == 0);
    while (!atomic_load(&report_began)) sched_yield();
    REQUIRE(pthread_create(&inserter, NULL, insert_larger, NULL) == 0);
    uint64_t end_ns = test_now_ns() + UINT64_C(1000000000);
    for (uint32_t changes = 0; changes < CHANGES_LEAST || test_now_ns() < end_ns; changes++) {
        CHECK(sark_cache_pin(cache, "small", 5, &pinned) == SARK_CACHE_OK);
        CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    }
    atomic_store(&report_may_end, true);
    CHECK(pthread_join(deleter, NULL) == 0 && pthread_join(inserter, NULL) == 0);
    test_watchdog(0);
    CHECK(sark_cache_contains(cache, "larger", 6) == SARK_CACHE_OK);
    FINISH(cache);
}

/* Puts a key into a block of so many granules. */
static void fill_block(uint32_t key, uint32_t granules)
{
    size_t header = granules > 1000 ? SARKI_TIMED_HEADER : SARKI_PLAIN_HEADER;
    size_t value_bytes = granules * SARKI_GRANULE - header - sizeof key;
    CHECK(sark_cache_set(cache, &key, sizeof key, large_value, value_bytes, 0) == SARK_CACHE_OK);
}

/* Among pinned entries many gaps of one bin are too small, and one is not. */
TEST(one_of_many_gaps_is_large_enough)
{
    enum { GAPS = 12, ABOVE = GAPS + 1, LAST = 2 * ABOVE };
    sark_cache_pinned pins[GAPS + 2];
    sark_cache_config config = support_config(100);
    config.max_bytes = 256 << 10;
    config.shard_count = 1;
    cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (uint32_t i = 0; i < GAPS; i++) {
        fill_block(i, 8);
        fill_block(ABOVE + i, i == 0 ? 17 : 16); /* of one bin; what is freed last is found first */
    }
    fill_block(GAPS, 8);
    sarki_arena *arena = &cache->memory.arena;
    uint32_t used = sarki_load32_relaxed(&arena->a_used);
    fill_block(LAST, arena->end - arena->first - used);
    for (uint32_t i = 0; i < GAPS + 2; i++) {
        uint32_t key = i <= GAPS ? i : LAST;
        CHECK(sark_cache_pin(cache, &key, sizeof key, &pins[i]) == SARK_CACHE_OK);
    }
    for (uint32_t key = ABOVE; key < ABOVE + GAPS; key++) {
        CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
        sarki_retired_collect(cache);
    }
    uint64_t size = sark_cache_size(cache);
    test_watchdog(60);
    fill_block(LAST + 1, 17);
    test_watchdog(0);
    CHECK(sark_cache_size(cache) == size + 1 && metrics_of(cache).rejected_busy == 0);
    for (uint32_t i = 0; i < GAPS + 2; i++)
        CHECK(sark_cache_unpin(cache, &pins[i]) == SARK_CACHE_OK);
    FINISH(cache);
}

/* ---- Moving ---------------------------------------------------------------------------------- */

/* An entry is replaced while it moves: the copy is given back. */
TEST(replaced_while_it_moves)
{
    create(100, false);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK);
    sarki_window window;
    sarki_spot spot;
    memset(&window, 0, sizeof window);
    window.next = find("k", &spot);
    uint32_t size = sarki_block_size(&cache->memory.arena, window.next);
    uint32_t to = sarki_memory_take(cache, size, true);
    REQUIRE(to != 0);
    sarki_store32_relaxed(&cache->leases.a_moving, window.next);
    CHECK(put(cache, "k", "other", 0) == SARK_CACHE_OK);
    uint32_t other = ref_of("k");
    CHECK(other != window.next);
    sarki_moving_run(cache, &window, spot, to);
    CHECK(ref_of("k") == other && get_is(cache, "k", "other"));
    CHECK(sarki_load32_relaxed(&cache->leases.a_moving) == 0);
    sarki_retired_collect(cache);
    CHECK(sarki_load32_relaxed(&cache->memory.arena.a_used) == size && holds(cache));
    FINISH(cache);
}

/* Fills so many granules with one entry, whose block begins the free ones. */
static void fill(const char *key, uint32_t granules)
{
    static char value[256 << 10];
    size_t header = SARKI_TIMED_HEADER; /* as large entries have it */
    if (granules < 64) header = SARKI_PLAIN_HEADER;
    size_t value_bytes = granules * SARKI_GRANULE - header - strlen(key);
    CHECK(sark_cache_set(cache, key, strlen(key), value, value_bytes, 0) == SARK_CACHE_OK);
    CHECK(sarki_block_size(&cache->memory.arena, ref_of(key)) == granules);
}

/* The only window begins with a block that a reader still has: it cannot be cleared until then, and
   there is nothing to give back. */
TEST(a_window_that_cannot_be_cleared)
{
    create(100, false);
    const sarki_arena *arena = &cache->memory.arena;
    uint32_t hole = (arena->end - arena->first) * 2 / 5;
    sark_cache_pinned pins[2];
    fill("read", 8);
    fill("first hole", hole);
    fill("pin 0", 8);
    fill("second hole", hole);
    fill("pin 1", 8);
    CHECK(sark_cache_pin(cache, "pin 0", 5, &pins[0]) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "pin 1", 5, &pins[1]) == SARK_CACHE_OK);
    uint32_t read = ref_of("read"), thread = sarki_thread_hash();
    CHECK(read == arena->first);
    sarki_lease *lease = sarki_lease_claim(&cache->leases, thread,
                                           sarki_home(&cache->leases, thread), read);
    REQUIRE(lease != NULL);
    CHECK(drop(cache, "read") == SARK_CACHE_OK && drop(cache, "first hole") == SARK_CACHE_OK &&
          drop(cache, "second hole") == SARK_CACHE_OK);
    sarki_retired_collect(cache);
    bool in_vain = false;
    uint32_t used = sarki_load32_relaxed(&arena->a_used);
    CHECK(sarki_room_by_moving(cache, hole + 8, &in_vain) == 0 && in_vain);
    CHECK(sarki_load32_relaxed(&arena->a_used) == used && holds(cache));
    sarki_store32_release(&lease->a_ref, 0);
    uint32_t ref = sarki_room_by_moving(cache, hole + 8, &in_vain);
    CHECK(ref == read && sarki_block_size(arena, ref) == hole + 8);
    if (ref) sarki_memory_give_back(cache, ref);
    CHECK(sark_cache_unpin(cache, &pins[0]) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &pins[1]) == SARK_CACHE_OK);
    FINISH(cache);
}

/* Each window ends at a block that a reader still has: after so many the search for one ends. */
TEST(windows_that_cannot_be_cleared)
{
    enum { HOLES = SARKI_WINDOW_TRIES + 1 };
    char key[] = "hole 0";
    sarki_lease *leases[HOLES];
    create(100, false);
    const sarki_arena *arena = &cache->memory.arena;
    uint32_t hole = (arena->end - arena->first) / (HOLES + 2);
    for (uint32_t i = 0; i < HOLES; i++) {
        key[5] = (char)('0' + i);
        fill(key, hole);
        fill(key + 5, 8);
        sarki_home_assign(&cache->leases, (i + 1) << 16, i); /* other threads */
        leases[i] = sarki_lease_claim(&cache->leases, (i + 1) << 16, i, ref_of(key + 5));
        REQUIRE(leases[i] != NULL);
    }
    for (uint32_t i = 0; i < HOLES; i++) {
        key[5] = (char)('0' + i);
        CHECK(drop(cache, key) == SARK_CACHE_OK && drop(cache, key + 5) == SARK_CACHE_OK);
    }
    fill("end", arena->end - arena->first - HOLES * (hole + 8)); /* no window there */
    sarki_retired_collect(cache);
    bool in_vain = false;
    uint32_t used = sarki_load32_relaxed(&arena->a_used);
    CHECK(sarki_room_by_moving(cache, hole + 8, &in_vain) == 0 && in_vain);
    CHECK(sarki_load32_relaxed(&arena->a_used) == used && holds(cache));
    for (uint32_t i = 0; i < HOLES; i++) sarki_store32_release(&leases[i]->a_ref, 0);
    uint32_t ref = sarki_room_by_moving(cache, hole + 8, &in_vain);
    CHECK(ref != 0 && sarki_block_size(arena, ref) == hole + 8);
    if (ref) sarki_memory_give_back(cache, ref);
    FINISH(cache);
}

/* ---- A fork ---------------------------------------------------------------------------------- */

/* What others had in hand is nobody's in the child: a turn, which inside a callback nobody could
   wait for, and announcements that they wait. */
TEST(turns_and_waits_are_over_in_a_child)
{
    create(10, false);
    sarki_turn_enter(cache);
    sarki_store32_relaxed(&cache->room.a_waiting, 2);
    sark_cache_fork_prepare(cache);
    sark_cache_fork_child(cache);
    CHECK(sarki_load32_relaxed(&cache->room.a_waiting) == 0);
    CHECK(sarki_load32_relaxed(&cache->memory.a_turn_taken) == 0);
    sarki_turn_enter(cache);
    sarki_turn_leave(cache);
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK && get_is(cache, "k", "value"));
    FINISH(cache);
}

int main(void)
{
    RUN(no_spare_in_the_turn_of_another);
    RUN(a_wrong_guess_is_corrected);
    RUN(a_search_that_missed_often_waits);
    RUN(a_deadline_below_the_floor);
    RUN(a_floor_before_the_coarse_clock);
    RUN(retired_entries_that_are_pinned);
    RUN(widened_after_it_expired);
    RUN(no_place_inside_a_callback);
    RUN(a_place_is_waited_for);
    RUN(turns_come_one_by_one);
    RUN(changes_do_not_end_patience);
    RUN(one_of_many_gaps_is_large_enough);
    RUN(replaced_while_it_moves);
    RUN(a_window_that_cannot_be_cleared);
    RUN(windows_that_cannot_be_cleared);
    RUN(turns_and_waits_are_over_in_a_child);
    return test_summary();
}
