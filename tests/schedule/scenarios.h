/* Scenarios of two or three threads on several keys: what is evicted, moved, cleaned up, reported,
   waited for.

   Each value that is stored has a number of its own, which its bytes repeat, and a row in a ledger.
   So every value read is known to be one that was written for its key, whole; and at the end every
   value stored is either there or was reported, once. */

#ifndef SARK_SCHEDULE_SCENARIOS_H
#define SARK_SCHEDULE_SCENARIOS_H

#include "schedule/driver.h"

enum { PLAY_VALUES = 128, PLAY_LARGEST = 4096, PLAY_REGION = 128 << 10, PLAY_THREADS = 3 };

/* ---- The ledger ------------------------------------------------------------------------------ */

typedef struct play_row {
    char key;
    uint32_t value_bytes;
    bool stored;
    uint32_t reports;
} play_row;

static struct play {
    sark_cache *cache;
    sark_cache_config config;
    uint64_t state; /* what the scenario draws */
    uint32_t values, wins;
    uint64_t empty_bytes; /* what the empty cache has in use */
    char chosen; /* a key */
    bool reports_matter; /* there is a callback */
    bool nobody_pins;    /* but for walks */
    void (*in_callback)(char key);
    sark_cache_pinned pinned;
    sarki_mutex lock; /* the program's own */
    play_row rows[PLAY_VALUES];
} play;

static unsigned char play_region[PLAY_REGION] __attribute__((aligned(128)));

static uint32_t play_draw(uint32_t bound) { return (uint32_t)test_below(&play.state, bound); }

/* A value that was read must be one that was written for its key. Returns its row. */
static play_row *play_seen(char key, const void *value, size_t value_bytes)
{
    const unsigned char *bytes = value;
    schedule_require(value_bytes > 0 && bytes[0] < play.values, "a value that nobody wrote");
    play_row *row = &play.rows[bytes[0]];
    schedule_require(row->key == key, "a value of another key");
    schedule_require(row->value_bytes == value_bytes, "a value of another length");
    for (size_t i = 1; i < value_bytes; i++)
        schedule_require(bytes[i] == bytes[0], "a torn value");
    return row;
}

static void play_on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                           size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)cause;
    schedule_require(key_bytes == 1, "a report of no key");
    play_row *row = play_seen(*(const char *)key, value, value_bytes);
    schedule_require(row->reports++ == 0, "a removal is reported twice");
    if (play.in_callback) play.in_callback(*(const char *)key);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

typedef sark_cache_status play_writer(sark_cache *cache, const void *key, size_t key_bytes,
                                      const void *value, size_t value_bytes, int64_t ttl_ms);

/* Writes a value that is new. */
static sark_cache_status play_write(play_writer *writer, char key, uint32_t value_bytes,
                                    int64_t ttl_ms)
{
    static unsigned char values[PLAY_VALUES][PLAY_LARGEST];
    uint32_t number = play.values++;
    schedule_require(number < PLAY_VALUES, "too many values");
    play.rows[number] = (play_row){key, value_bytes, false, 0};
    memset(values[number], (int)number, value_bytes);
    sark_cache_status status = writer(play.cache, &key, 1, values[number], value_bytes, ttl_ms);
    play.rows[number].stored = status == SARK_CACHE_OK;
    return status;
}

static void play_set(char key) { (void)play_write(sark_cache_set, key, 8, 0); }
static void play_set_must(char key)
{
    schedule_require(play_write(sark_cache_set, key, 8, 0) == SARK_CACHE_OK, "a set failed");
}
static void play_set_large(char key, uint32_t value_bytes)
{
    schedule_require(play_write(sark_cache_set, key, value_bytes, 0) == SARK_CACHE_OK,
                     "a large set failed");
}
static void play_add(char key) { play.wins += play_write(sark_cache_add, key, 8, 0) == 0; }
static void play_replace(char key) { (void)play_write(sark_cache_replace, key, 8, 0); }

/* Reads by get or peek; whether the key was there. */
static bool play_read(char key, bool touches)
{
    static unsigned char values[SCHEDULE_THREADS][PLAY_LARGEST];
    unsigned char *value = values[schedule.running];
    size_t value_bytes = 0;
    sark_cache_status status =
        touches ? sark_cache_get(play.cache, &key, 1, value, PLAY_LARGEST, &value_bytes)
                : sark_cache_peek(play.cache, &key, 1, value, PLAY_LARGEST, &value_bytes);
    if (status == SARK_CACHE_OK) (void)play_seen(key, value, value_bytes);
    else schedule_require(status == SARK_CACHE_MISS, "a read failed");
    return status == SARK_CACHE_OK;
}

static void play_get(char key) { (void)play_read(key, true); }

static void play_must_hit(char key)
{
    schedule_require(play_read(key, true), "a false miss");
}

static bool play_is_there(char key) { return play_read(key, false); }

static void play_delete(char key)
{
    play.wins += sark_cache_delete(play.cache, &key, 1) == SARK_CACHE_OK;
}

static void play_take(char key)
{
    unsigned char value[64];
    size_t value_bytes = 0;
    sark_cache_status status =
        sark_cache_take(play.cache, &key, 1, value, sizeof value, &value_bytes);
    if (status == SARK_CACHE_OK) (void)play_seen(key, value, value_bytes);
    play.wins += status == SARK_CACHE_OK;
}

static void play_touch(char key, int64_t ttl_ms)
{
    (void)sark_cache_touch(play.cache, &key, 1, ttl_ms);
}

/* Pins, looks twice, unpins. */
static void play_pin(char key)
{
    sark_cache_pinned pinned;
    sark_cache_status status = sark_cache_pin(play.cache, &key, 1, &pinned);
    if (status != SARK_CACHE_OK) {
        schedule_require(status == SARK_CACHE_MISS || status == SARK_CACHE_NO_PIN, "pin failed");
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        (void)play_seen(key, pinned.value, pinned.value_bytes);
        schedule_point();
    }
    schedule_require(sark_cache_unpin(play.cache, &pinned) == SARK_CACHE_OK, "unpin failed");
}

static bool play_visit(void *context, const void *key, size_t key_bytes, const void *value,
                       size_t value_bytes, int64_t ttl_left_ms)
{
    uint32_t *visits = context;
    (void)ttl_left_ms;
    schedule_require(key_bytes == 1, "a visit to no key");
    (void)play_seen(*(const char *)key, value, value_bytes);
    visits[*(const unsigned char *)key]++;
    return true;
}

/* Entries that stay are visited once. */
static void play_foreach(const char *staying)
{
    uint32_t visits[256] = {0};
    sark_cache_status status = sark_cache_foreach(play.cache, play_visit, visits);
    if (status == SARK_CACHE_NO_PIN && !*staying) return;
    schedule_require(status == SARK_CACHE_OK, "foreach failed");
    for (; *staying; staying++)
        schedule_require(visits[(unsigned char)*staying] == 1, "not visited once");
}

/* ---- A play ---------------------------------------------------------------------------------- */

static const sark_cache_metrics *play_metrics(void)
{
    static sark_cache_metrics metrics;
    sark_cache_metrics_read(play.cache, &metrics);
    return &metrics;
}

/* A cache of so many entries in so many bytes; shards and callback are drawn. */
static void play_create(uint64_t max_entries, size_t max_bytes)
{
    play.config.max_entries = max_entries;
    play.config.max_bytes = max_bytes;
    if (play.config.shard_count == 0) play.config.shard_count = 1 + play_draw(2);
    if (play.config.lease_count == 0) play.config.lease_count = 3;
    if (play.config.pin_count == 0) play.config.pin_count = 3;
    play.config.hash_seed = 1 + play_draw(4);
    if (play.in_callback || play_draw(2)) play.config.on_remove = play_on_remove;
    play.reports_matter = play.config.on_remove != NULL;
    schedule_require(sark_cache_create_in(&play.cache, &play.config, play_region, max_bytes) ==
                     SARK_CACHE_OK, "create failed");
    play.empty_bytes = play_metrics()->bytes;
}

/* A cache of so many entries with these keys, the first the oldest. */
static void play_create_with(uint64_t max_entries, const char *keys)
{
    play_create(max_entries, 16 << 10);
    for (; *keys; keys++) play_set_must(*keys);
}

typedef struct play_script {
    const char *name;
    void (*prepare)(void);
    void (*bodies[PLAY_THREADS])(void); /* of the threads; NULL: fewer of them */
    void (*finish)(void);               /* what else must hold; NULL: nothing */
} play_script;

static void play_check_holds(void)
{
    static char report[200];
    if (!sark_cache_check(play.cache, report, sizeof report)) schedule_fail(report);
}

static void play_check_places(const sark_cache_metrics *metrics)
{
    schedule_require(metrics->entries == sark_cache_size(play.cache), "metrics: entries");
    schedule_require(sarki_load32_relaxed(&play.cache->a_count) == metrics->entries,
                     "places are taken by nobody");
}

/* Nothing is read or out any more. */
static void play_check_idle(void)
{
    const sark_cache_metrics *metrics = play_metrics();
    schedule_require(metrics->leases_in_use == 0 && metrics->pins_in_use == 0, "a lease is out");
    play_check_places(metrics);
}

/* Every value stored is there, or was reported. */
static void play_check_ledger(void)
{
    uint64_t stored = 0, reports = 0;
    for (uint32_t i = 0; i < play.values; i++) {
        stored += play.rows[i].stored;
        reports += play.rows[i].reports;
        schedule_require(play.rows[i].stored || play.rows[i].reports == 0,
                         "what was not stored is reported");
    }
    if (play.reports_matter)
        schedule_require(stored == reports + sark_cache_size(play.cache), "a report is missing");
}

/* Ends the cache, which reports what is left. */
static void play_destroy(void)
{
    schedule_require(sark_cache_destroy(play.cache) == SARK_CACHE_OK, "destroy failed");
    play.cache = NULL;
    for (uint32_t i = 0; play.reports_matter && i < play.values; i++)
        schedule_require(play.rows[i].reports == play.rows[i].stored, "not reported once");
}

static void play_end(void)
{
    play_check_holds();
    play_check_idle();
    play_check_ledger();
    for (uint32_t i = 0; i < play.values; i++)
        if (play_is_there(play.rows[i].key))
            schedule_require(sark_cache_contains(play.cache, &play.rows[i].key, 1) == SARK_CACHE_OK,
                             "a false miss");
    play.in_callback = NULL;
    play_destroy();
}

static void *play_thread_run(void *argument)
{
    void (*const *body)(void) = argument;
    (*body)();
    return NULL;
}

static const play_script *play_script_at(unsigned number);

static void play_run(const scenario *tested, uint64_t seed)
{
    static void (*bodies[PLAY_THREADS])(void);
    const play_script *script = play_script_at(tested->one);
    memset(&play, 0, sizeof play);
    play.state = ~seed;
    schedule_begin(seed);
    script->prepare();
    uint32_t numbers[PLAY_THREADS], count = 0;
    for (; count < PLAY_THREADS && script->bodies[count]; count++) {
        bodies[count] = script->bodies[count];
        numbers[count] = schedule_start(play_thread_run, &bodies[count]);
    }
    driver_arm();
    for (uint32_t i = 0; i < count; i++) schedule_join(numbers[i]);
    driver_disarm();
    if (play.cache && script->finish) script->finish();
    if (play.cache) play_end();
}

/* ---- A fork ---------------------------------------------------------------------------------- */

/* Bytes of a value two of which do not fit, where it is not larger than scenarios have it. */
static uint32_t play_most(void)
{
    const sarki_arena *arena = &play.cache->memory.arena;
    uint32_t most = (arena->end - arena->first) * SARKI_GRANULE / 5 * 3;
    return most < PLAY_LARGEST ? most : PLAY_LARGEST;
}

/* Places and memory that other threads had in hand are free: a large entry fits, and so do as many
   small ones as the cache has places. Where it is empty nothing is in use. */
static void play_child_fills(void)
{
    uint64_t places = play.config.max_entries;
    play_set_large('0', play_most());
    if (places <= 8) {
        for (uint64_t i = 0; i < places; i++) play_set_must((char)('1' + (int)i));
        schedule_require(sark_cache_size(play.cache) == places, "the child lacks places");
    }
    play_check_holds();
    (void)sark_cache_clear(play.cache);
    const sark_cache_metrics *metrics = play_metrics();
    schedule_require(metrics->bytes - metrics->bytes_retired == play.empty_bytes,
                     "the child lacks memory");
}

/* A pin that was half taken, or half given back, holds no block; one of a walk is not out. */
static void play_child_pins(void)
{
    for (uint32_t i = 0; i < play.cache->leases.pin_count; i++) {
        sarki_pin *pin = &play.cache->leases.pins[i];
        bool is_out = sarki_load32_relaxed(&pin->a_sequence) & 1;
        schedule_require(is_out || sarki_load32_relaxed(&pin->a_ref) == 0,
                         "half a pin is in the child");
        bool is_nobodys = is_out && play.nobody_pins;
        schedule_require(!is_nobodys, "a pin that nobody has is out in the child");
    }
}

/* What the thread that forked does in the child. Pins of others stay out there. */
static void play_child_runs(uint32_t values_before)
{
    play.in_callback = NULL;
    sark_cache_fork_child(play.cache);
    play_check_holds();
    const sark_cache_metrics *metrics = play_metrics();
    bool pins_are_out = metrics->pins_in_use > 0;
    schedule_require(metrics->leases_in_use == 0, "a lease is out in the child");
    schedule_require(!metrics->cleanup_thread_running, "a cleanup thread is in the child");
    play_check_places(metrics);
    play_child_pins();
    play_foreach("");
    if (!pins_are_out) play_child_fills();
    sark_cache_status status = sark_cache_destroy(play.cache);
    schedule_require(status == (pins_are_out ? SARK_CACHE_BUSY : SARK_CACHE_OK),
                     "destroy in the child");
    for (uint32_t i = values_before; play.reports_matter && i < play.values; i++)
        schedule_require(play.rows[i].reports == play.rows[i].stored,
                         "not reported once in the child");
}

/* No lock is another's, or it would be made anew while somebody has it. */
static void play_fork_locks(void)
{
    const sark_cache *cache = play.cache;
    uint32_t mine = schedule.running + 1;
    bool all = cache->cleaner.mutex.holder == mine && cache->metrics_mutex.holder == mine &&
               cache->room.mutex.holder == mine && cache->memory.mutex.holder == mine;
    for (uint32_t i = 0; i < cache->shard_count; i++)
        all = all && cache->shards[i].mutex.holder == mine;
    schedule_require(all, "a fork without a lock");
}

/* Forks: the child runs first, alone, on what is put back as it was when it has ended. */
static void play_fork(void)
{
    static unsigned char region[PLAY_REGION];
    static struct play before;
    static schedule_others others;
    sark_cache_fork_prepare(play.cache);
    play_fork_locks();
    schedule_enter_child(&others);
    before = play;
    memcpy(region, play_region, play.config.max_bytes);
    play_child_runs(play.values);
    memcpy(play_region, region, before.config.max_bytes);
    play = before;
    schedule_leave_child(&others);
    sark_cache_fork_parent(play.cache);
}

/* ---- Eviction and places --------------------------------------------------------------------- */

static void prepare_full(void) { play_create_with(2, "ab"); }
static void prepare_one(void) { play_create_with(1, "a"); }
static void prepare_key(void) { play_create_with(4, "k"); }
static void prepare_none(void) { play_create_with(4, ""); }
static void set_a(void) { play_set_must('a'); }
static void set_b(void) { play_set_must('b'); }
static void set_c(void) { play_set_must('c'); }
static void set_d(void) { play_set_must('d'); }
static void set_e(void) { play_set_must('e'); }
static void set_k(void) { play_set_must('k'); }
static void get_a(void) { play_get('a'); }
static void get_k(void) { play_get('k'); }
static void add_k(void) { play_add('k'); }
static void pin_a(void) { play_pin('a'); }
static void pin_k(void) { play_pin('k'); }
static void delete_a(void) { play_delete('a'); }
static void delete_k(void) { play_delete('k'); }
static void take_k(void) { play_take('k'); }
static void replace_a(void) { play_replace('a'); }
static void touch_a(void) { play_touch('a', 1000); }
static void clear(void) { (void)sark_cache_clear(play.cache); }
static void cleanup(void) { (void)sark_cache_cleanup_expired(play.cache, 0); }
static void hits_k(void)
{
    for (unsigned i = 0; i < 3; i++) play_get('k');
}

/* What two sets put in is newer than what was there. */
static void finish_two_new(void)
{
    schedule_require(play_is_there('c') && play_is_there('d'), "a newer entry left first");
}
/* Between a removal and the return of its place an insert that overlaps finds the cache full, and
   evicts the oldest of what is there, be it the other new entry. */
static void finish_one_new(void)
{
    schedule_require(play_is_there('c') || play_is_there('d'), "both new entries left");
}
static void finish_c(void)
{
    schedule_require(play_is_there('c'), "the newest entry left");
}
static void finish_two(void)
{
    schedule_require(sark_cache_size(play.cache) == 2, "too many left");
    schedule_require(!play_is_there('a') && !play_is_there('b'), "a newer entry left first");
}
static void finish_at_most_one(void)
{
    schedule_require(sark_cache_size(play.cache) <= 1, "too many are there");
}
static void finish_one_won(void)
{
    schedule_require(play.wins == 1, "not one of them won");
}

/* A hit that ended before an insert keeps its entry. */
static void get_a_then_set_c(void)
{
    bool hit = play_read('a', true);
    play_set_must('c');
    if (hit) schedule_require(!play_is_there('b') || play_is_there('a'), "the hit did not count");
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static void increment_n(void)
{
    int64_t zero = 1;
    schedule_require(sark_cache_increment(play.cache, "n", 1, 1, &zero, 0, NULL) == SARK_CACHE_OK,
                     "increment failed");
}
static void prepare_numbers(void)
{
    play.config.shard_count = 1 + play_draw(2);
    play.config.max_entries = 4;
    schedule_require(sark_cache_create_in(&play.cache, &play.config, play_region, 16 << 10) ==
                     SARK_CACHE_OK, "create failed");
}
static void finish_sum(void)
{
    unsigned char value[8] = {0};
    schedule_require(sark_cache_take(play.cache, "n", 1, value, 8, NULL) == SARK_CACHE_OK &&
                     sark_cache_read_int64(value) == 3, "an increment was lost");
}
static void append_n(void)
{
    sark_cache_status status = sark_cache_append(play.cache, "n", 1, "x", 1, 0);
    if (status == SARK_CACHE_MISS) status = sark_cache_add(play.cache, "n", 1, "x", 1, 0);
    if (status == SARK_CACHE_EXISTS) status = sark_cache_append(play.cache, "n", 1, "x", 1, 0);
    schedule_require(status == SARK_CACHE_OK, "append failed");
}
static void finish_length(void)
{
    char value[8];
    size_t value_bytes = 0;
    schedule_require(sark_cache_take(play.cache, "n", 1, value, 8, &value_bytes) == SARK_CACHE_OK &&
                     value_bytes == 3, "an append was lost");
}
static void prepare_version(void)
{
    sark_cache_pinned pinned;
    play_create_with(4, "k");
    schedule_require(sark_cache_pin(play.cache, "k", 1, &pinned) == SARK_CACHE_OK, "pin failed");
    play.pinned.version = pinned.version;
    schedule_require(sark_cache_unpin(play.cache, &pinned) == SARK_CACHE_OK, "unpin failed");
}
static sark_cache_status swap_writer(sark_cache *cache, const void *key, size_t key_bytes,
                                     const void *value, size_t value_bytes, int64_t ttl_ms)
{
    return sark_cache_compare_and_set(cache, key, key_bytes, play.pinned.version, value,
                                      value_bytes, ttl_ms);
}
static void swap_k(void) { play.wins += play_write(swap_writer, 'k', 8, 0) == SARK_CACHE_OK; }

/* ---- Memory: turns and moves ----------------------------------------------------------------- */

/* A cache in the least region for so many entries. */
static void play_create_tiny(uint32_t max_entries)
{
    play.config.shard_count = 1 + play_draw(2);
    play.config.lease_count = 2;
    play.config.pin_count = 2;
    play.config.max_entries = max_entries;
    play_create(max_entries, sark_cache_region_bytes(&play.config));
}

/* A tiny region of small entries, every second of which has left, and some of which were hit:
   enough is free for a large one, but in gaps, so that others soon have to move. */
enum { PLAY_FIRST = 'A', PLAY_LAST = 'T', PLAY_SMALL_BYTES = 100 };

static void prepare_scattered(void)
{
    play_create_tiny(24);
    for (int key = PLAY_FIRST; key <= PLAY_LAST; key++)
        play_set_large((char)key, PLAY_SMALL_BYTES);
    for (int key = PLAY_FIRST + 1; key <= PLAY_LAST; key += 2) play_delete((char)key);
    for (int key = PLAY_FIRST; key <= PLAY_LAST; key += 2)
        if (play_draw(2)) play_get((char)key);
    play.chosen = (char)(PLAY_FIRST + 2 * (int)play_draw((PLAY_LAST - PLAY_FIRST) / 2 + 1));
}

/* Who runs while an entry moves comes upon it, whichever it is. */
static void gets_scattered(void)
{
    for (int key = PLAY_FIRST; key <= PLAY_LAST; key += 2) play_get((char)key);
}
static void deletes_scattered(void)
{
    for (int key = PLAY_FIRST; key <= PLAY_LAST; key += 2) play_delete((char)key);
}
static void touches_scattered(void)
{
    for (int key = PLAY_FIRST; key <= PLAY_LAST; key += 2) play_touch((char)key, 1000);
}
static void pins_scattered(void)
{
    for (int key = PLAY_FIRST; key <= PLAY_LAST; key += 2) play_pin((char)key);
}
/* The second value mostly lies where the one before the first did. */
static void sets_scattered(void)
{
    for (int key = PLAY_FIRST; key <= PLAY_LAST; key += 2) {
        play_set_large((char)key, PLAY_SMALL_BYTES + 1);
        play_set_large((char)key, PLAY_SMALL_BYTES + 2);
    }
}
/* It takes its block before somebody else has the turn, or waits. */
static void set_chosen(void) { play_set_large(play.chosen, PLAY_SMALL_BYTES + 1); }
static void set_large(void) { play_set_large('1', 4 * PLAY_SMALL_BYTES); }
static void set_larger(void) { play_set_large('2', 5 * PLAY_SMALL_BYTES); }
static void set_small(void) { play_set_large('3', PLAY_SMALL_BYTES - 10); }
static void finish_large(void)
{
    schedule_require(play_is_there('1'), "the newest entry left");
}

/* Sets, each of most of the memory: they wait for each other's turn. */
static void prepare_turns(void)
{
    play_create_tiny(8);
    play_set_large('0', play_most());
}
static void set_most_1(void) { play_set_large('1', play_most()); }
static void set_most_2(void) { play_set_large('2', play_most()); }
static void set_most_3(void) { play_set_large('3', play_most()); }
static void replace_most(void)
{
    sark_cache_status status = play_write(sark_cache_replace, '0', play_most(), 0);
    schedule_require(status == SARK_CACHE_OK || status == SARK_CACHE_MISS ||
                     status == SARK_CACHE_BUSY, "replace failed");
}

/* ---- Time and the cleanup thread ------------------------------------------------------------- */

static void prepare_ttl(void)
{
    play_create_with(3, "ab");
    schedule_require(play_write(sark_cache_set, 'k', 8, 5) == SARK_CACHE_OK, "a set failed");
    schedule.leap_ns = 20 * 1000000;
}
static void prepare_cleaner(void)
{
    play.config.cleanup_interval_ms = 10;
    prepare_ttl();
}
static void set_k_for_a_while(void)
{
    schedule_require(play_write(sark_cache_set, 'k', 8, 30) == SARK_CACHE_OK, "a set failed");
}
static void touch_k(void) { play_touch('k', 1000); }
static void finish_live(void)
{
    schedule_require(play_is_there('a') && play_is_there('b'),
                     "a live entry left though another had expired");
}
/* An insert that overlaps the removal of the expired one evicts as above. */
static void finish_live_one(void)
{
    schedule_require(play_is_there('b'), "two entries left for one");
}
static void prepare_nothing(void) { play.config.cleanup_interval_ms = 10; }
static void live_and_die(void)
{
    prepare_cleaner();
    play_delete('b');
    play_destroy();
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

/* A callback that writes and reads; each key is put back once. */
static void put_elsewhere(char key)
{
    if (key >= 'a' && key <= 'e') play_set((char)(key + 10));
    play_get('a');
}
static void prepare_callback(void)
{
    play.in_callback = put_elsewhere;
    play_create_with(2 + play_draw(4), "ab");
}
static void delete_in_callback(char key)
{
    if (key == 'a') play_delete('b');
    if (key == 'b') play_delete('c');
}
static void prepare_callback_delete(void)
{
    play.in_callback = delete_in_callback;
    play_create_with(4, "abc");
}
static void clear_in_callback(char key)
{
    if (key == 'a') clear();
}
static void prepare_callback_clear(void)
{
    play.in_callback = clear_in_callback;
    play_create_with(3, "abc");
}

/* A program whose callback waits for a thread that needs memory, while the set that evicted needs
   more of it. */
static void wait_in_callback(char key)
{
    (void)key;
    if (play.lock.holder == schedule.running + 1) return;
    sarki_lock(&play.lock);
    sarki_unlock(&play.lock);
}
static void prepare_callback_wait(void)
{
    play.in_callback = wait_in_callback;
    prepare_turns();
}
static void set_locked(void)
{
    sarki_lock(&play.lock);
    play_set_must('2');
    sarki_unlock(&play.lock);
}

/* ---- Readers --------------------------------------------------------------------------------- */

/* Leases that are set apart may stay with a hot entry. A region that is as small as that allows, so
   that few removed entries wait for a scan. */
static void prepare_hot(void)
{
    play.config.lease_count = 4;
    play_create(2, 32 << 10);
    play_set_must('a');
    play_set_must('k');
}
static void prepare_few_leases(void)
{
    play.config.lease_count = 2;
    play_create_with(2, "ak");
}
static void must_hit_k(void)
{
    for (unsigned i = 0; i < 2; i++) play_must_hit('k');
}
static void finish_k(void)
{
    schedule_require(play_is_there('k'), "the key is lost");
}
static void sets_k(void)
{
    for (unsigned i = 0; i < 6; i++) play_set_must('k');
}
static void set_others(void)
{
    play_set_must('b');
    play_set_must('c');
}
static void prepare_interval(void)
{
    play.config.touch_interval_ms = 10;
    play_create_with(2, "ak");
    schedule.leap_ns = 20 * 1000000;
}
static void prepare_few_pins(void)
{
    play.config.pin_count = 1;
    play_create_with(2, "ak");
}
static void prepare_pinned(void)
{
    play_create_with(2, "ak");
    schedule_require(sark_cache_pin(play.cache, "a", 1, &play.pinned) == SARK_CACHE_OK,
                     "pin failed");
}
static void unpin(void)
{
    sark_cache_pinned pinned = play.pinned;
    (void)play_seen('a', pinned.value, pinned.value_bytes);
    play.wins += sark_cache_unpin(play.cache, &pinned) == SARK_CACHE_OK;
}
static void prepare_walk(void) { play_create_with(5, "abcd"); }
static void walk(void) { play_foreach("ab"); }
static void walk_both(void) { play_foreach(""); }
static void prepare_walks(void) { prepare_full(), play.nobody_pins = true; }
static void delete_c(void) { play_delete('c'); }
static void reset(void) { sark_cache_metrics_reset(play.cache); }
static void check(void) { play_check_holds(); }
static void fork_twice(void)
{
    play_fork();
    play_fork();
}

/* ---- Calls at random ------------------------------------------------------------------------- */

static void set_shortly(char key) { (void)play_write(sark_cache_set, key, 8, 5); }
static void set_largely(char key) { (void)play_write(sark_cache_set, key, 300, 0); }
static void peek(char key) { (void)play_is_there(key); }
static void touch_shortly(char key) { play_touch(key, 5); }
static void clear_all(char key) { (void)key, clear(); }
static void cleanup_all(char key) { (void)key, cleanup(); }
static void walk_all(char key) { (void)key, play_foreach(""); }
static void check_all(char key) { (void)key, check(); }
static void fork_here(char key) { (void)key, play_fork(); }

/* Three calls on keys of a few. */
static void random_calls(void)
{
    static void (*const calls[])(char key) = {
        play_set,  play_set, play_add,     play_replace, set_shortly, set_largely, play_get,
        play_get,  peek,     play_pin,     play_delete,  play_take,   touch_shortly,
        clear_all, walk_all, cleanup_all, check_all,    fork_here};
    uint64_t state = play.state + schedule.running * 0x9E3779B97F4A7C15u;
    for (unsigned i = 0; i < 3; i++) {
        char key = (char)('a' + (int)test_below(&state, 3));
        calls[test_below(&state, sizeof calls / sizeof calls[0])](key);
    }
}
static void prepare_random(void)
{
    if (play_draw(4) == 0) play.config.cleanup_interval_ms = 10;
    if (play_draw(4) == 0) play.config.touch_interval_ms = 10;
    play_create_with(1 + play_draw(3), "ab");
    schedule.leap_ns = 20 * 1000000;
}
static void prepare_random_tiny(void)
{
    play_create_tiny(4);
    set_largely('a');
    set_largely('b');
}
static void prepare_random_hot(void)
{
    prepare_hot();
    schedule.leap_ns = 20 * 1000000;
}
static void call_in_callback(char key)
{
    static void (*const calls[])(char key) = {play_set, play_get, play_delete, check_all};
    if (play.values < PLAY_VALUES / 2) calls[play_draw(4)](key);
}
static void prepare_random_callback(void)
{
    play.in_callback = call_in_callback;
    prepare_random();
}

/* ---- The scripts ----------------------------------------------------------------------------- */

static const play_script play_scripts[] = {
    {"evict-two", prepare_full, {set_c, set_d}, finish_two_new},
    {"evict-three", prepare_full, {set_c, set_d, set_e}, finish_two},
    {"evict-beside-set", prepare_full, {set_a, set_c}, finish_c},
    {"evict-beside-get", prepare_full, {get_a_then_set_c, get_a}, finish_c},
    {"evict-beside-pin", prepare_full, {pin_a, set_c, set_d}, finish_two_new},
    {"evict-beside-replace", prepare_full, {replace_a, set_c}, finish_c},
    {"evict-beside-touch", prepare_full, {touch_a, set_c, set_d}, NULL},
    {"evict-beside-delete", prepare_full, {delete_a, set_c, set_d}, finish_one_new},
    {"evict-beside-clear", prepare_full, {clear, set_c, set_d}, NULL},
    {"one-place", prepare_one, {set_b, set_c}, finish_at_most_one},
    {"one-place-three", prepare_one, {set_b, set_c, set_d}, finish_at_most_one},
    {"one-place-delete", prepare_one, {set_b, set_a, delete_a}, finish_at_most_one},
    {"get-set-delete", prepare_key, {get_k, set_k, delete_k}, NULL},
    {"set-set-get", prepare_key, {set_k, set_k, get_k}, finish_k},
    {"set-delete-pin", prepare_key, {set_k, delete_k, pin_k}, NULL},
    {"set-delete-full", prepare_full, {set_a, delete_a, get_a}, NULL},
    {"add-three", prepare_none, {add_k, add_k, add_k}, finish_one_won},
    {"add-delete-add", prepare_none, {add_k, delete_k, add_k}, NULL},
    {"take-three", prepare_key, {take_k, take_k, take_k}, finish_one_won},
    {"swap-three", prepare_version, {swap_k, swap_k, swap_k}, finish_one_won},
    {"increment-three", prepare_numbers, {increment_n, increment_n, increment_n}, finish_sum},
    {"append-three", prepare_numbers, {append_n, append_n, append_n}, finish_length},
    {"move-beside-get", prepare_scattered, {set_large, gets_scattered}, finish_large},
    {"move-beside-delete", prepare_scattered, {set_large, deletes_scattered}, finish_large},
    {"move-beside-touch", prepare_scattered, {set_large, touches_scattered}, NULL},
    {"move-beside-set", prepare_scattered, {set_large, sets_scattered}, NULL},
    {"move-beside-one-set", prepare_scattered, {set_large, set_chosen}, finish_large},
    {"move-beside-pin", prepare_scattered, {set_large, pins_scattered}, finish_large},
    {"move-beside-insert", prepare_scattered, {set_large, set_small}, finish_large},
    {"move-beside-walk", prepare_scattered, {set_large, check, cleanup}, finish_large},
    {"move-two", prepare_scattered, {set_large, set_larger}, NULL},
    {"move-three", prepare_scattered, {set_large, set_larger, gets_scattered}, NULL},
    {"turns-two", prepare_turns, {set_most_1, set_most_2}, NULL},
    {"turns-three", prepare_turns, {set_most_1, set_most_2, set_most_3}, NULL},
    {"turns-replace", prepare_turns, {set_most_1, replace_most}, NULL},
    {"expiry-beside-insert", prepare_ttl, {set_c, cleanup, touch_k}, NULL},
    {"expiry-two-cleanups", prepare_ttl, {cleanup, cleanup, set_k_for_a_while}, finish_live_one},
    {"cleaner-beside-set", prepare_cleaner, {set_k, set_k_for_a_while}, finish_k},
    {"cleaner-beside-get", prepare_cleaner, {get_k, hits_k}, finish_live},
    {"cleaner-beside-delete", prepare_cleaner, {delete_k, touch_k}, finish_live},
    {"cleaner-beside-fork", prepare_cleaner, {fork_twice, set_k}, finish_live_one},
    {"cleaner-beside-destroy", prepare_cleaner, {play_destroy}, NULL},
    {"cleaner-life", prepare_nothing, {live_and_die}, NULL},
    {"fork-beside-set", prepare_full, {fork_twice, set_c}, finish_c},
    {"fork-beside-get", prepare_key, {fork_twice, hits_k}, finish_k},
    {"fork-beside-both", prepare_full, {fork_twice, set_c, get_a}, finish_c},
    {"fork-beside-fork", prepare_full, {fork_twice, fork_twice, delete_a}, NULL},
    {"fork-beside-large", prepare_turns, {fork_twice, set_most_1, set_most_2}, NULL},
    {"fork-beside-delete", prepare_full, {fork_twice, delete_a, clear}, NULL},
    {"fork-beside-pin", prepare_full, {fork_twice, pin_a, set_c}, NULL},
    {"fork-beside-expiry", prepare_ttl, {fork_twice, cleanup, set_k_for_a_while}, NULL},
    {"fork-beside-hits", prepare_hot, {fork_twice, hits_k, set_others}, NULL},
    {"fork-beside-move", prepare_scattered, {fork_twice, set_large, gets_scattered}, NULL},
    {"fork-beside-walk", prepare_walks, {fork_twice, walk_both, set_c}, NULL},
    {"fork-beside-callback", prepare_callback, {fork_twice, set_c, delete_a}, NULL},
    {"callback-sets", prepare_callback, {set_c, set_d}, NULL},
    {"callback-sets-three", prepare_callback, {set_c, delete_a, set_b}, NULL},
    {"callback-deletes", prepare_callback_delete, {delete_a, delete_c, set_b}, NULL},
    {"callback-waits", prepare_callback_wait, {set_most_1, set_locked}, NULL},
    {"callback-clears", prepare_callback_clear, {set_a, set_d, get_a}, NULL},
    {"hot-beside-set", prepare_hot, {must_hit_k, must_hit_k, set_k}, finish_k},
    {"hot-beside-sets", prepare_hot, {hits_k, must_hit_k, sets_k}, finish_k},
    {"hot-beside-delete", prepare_hot, {hits_k, hits_k, delete_k}, NULL},
    {"hot-beside-evict", prepare_hot, {hits_k, hits_k, set_others}, NULL},
    {"few-leases", prepare_few_leases, {must_hit_k, must_hit_k, must_hit_k}, finish_k},
    {"few-leases-set", prepare_few_leases, {must_hit_k, must_hit_k, set_k}, finish_k},
    {"few-pins", prepare_few_pins, {pin_k, pin_k, set_k}, finish_k},
    {"unpin-two", prepare_pinned, {unpin, unpin, set_b}, finish_one_won},
    {"touch-interval", prepare_interval, {hits_k, hits_k, set_k}, NULL},
    {"walk-beside-both", prepare_walk, {walk, delete_c, set_e}, NULL},
    {"walk-beside-replace", prepare_walk, {walk, set_a, set_b}, NULL},
    {"random-two", prepare_random, {random_calls, random_calls}, NULL},
    {"random-three", prepare_random, {random_calls, random_calls, random_calls}, NULL},
    {"random-tiny", prepare_random_tiny, {random_calls, random_calls}, NULL},
    {"random-tiny-three", prepare_random_tiny, {random_calls, random_calls, random_calls}, NULL},
    {"random-hot", prepare_random_hot, {random_calls, random_calls, random_calls}, NULL},
    {"random-callback", prepare_random_callback, {random_calls, random_calls}, NULL},
    {"metrics-reset", prepare_key, {reset, hits_k, set_k}, finish_k},
    {"check-beside-both", prepare_full, {check, set_c, delete_a}, NULL},
};
enum { PLAY_SCRIPTS = sizeof play_scripts / sizeof play_scripts[0] };

static const play_script *play_script_at(unsigned number) { return &play_scripts[number]; }

/* Appends the scenarios; returns how many there are then. */
static uint32_t play_scenarios(scenario *scenarios, uint32_t count)
{
    for (unsigned i = 0; i < PLAY_SCRIPTS; i++) {
        scenario *tested = &scenarios[count++];
        snprintf(tested->name, sizeof tested->name, "%s", play_scripts[i].name);
        tested->run = play_run;
        tested->one = i;
        bool is_long = play_scripts[i].prepare == prepare_scattered;
        tested->times = is_long && play_scripts[i].bodies[0] != fork_twice ? 5 : 1;
    }
    return count;
}

#endif
