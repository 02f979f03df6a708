/* Fuzzes all public calls, in sequence: the input is a configuration and what is called, and the
   oracle must give the same answers, values, sizes, causes and victims. Places bind in one kind of
   sequence, with 1 to 8 entries; at its end as many new keys show the whole order of recency.
   Bytes bind in the other kind, in regions of a few KiB; there it is the cache's affair how many
   leave, and not which (model_bytes.c).

   A clock jumps forth and back, hits leave their lease resident or do not, and the structure is
   checked every 16 calls. No jitter: it would decide by itself. */

#include <stdbool.h>
#include <stdint.h>

static bool all_are_hot; /* every hit leaves its lease resident, as on a key that all threads hit */

#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) (all_are_hot && (last) != (stamp))
#define SARKI_KEEP_MACROS
#define main model_bytes_main
#include "../model_bytes.c"
#undef main
#include "fuzz.h"

enum {
    MOST_SPARE_BYTES = 1 << 14, /* beyond the least region: so bytes do not bind */
    CHECK_EVERY = 16,
    FLUSH_KEYS = 128            /* inserted at the end alone */
};

#define LAST_MS (INT64_MAX / 2) /* the clock stays below, so that sums do not overflow */

static unsigned char long_key[SARK_CACHE_MAX_KEY_BYTES + 1];

/* ---- Time and region ------------------------------------------------------------------------ */

/* A clock that goes on, mostly by little, stands at a far time, or goes back. With a touch interval
   it takes no leaps: of the time between two hits the cache sees 49 days at most. */
static void move_clock(oracle *mine)
{
    uint32_t kind = fuzz_byte();
    uint64_t leap = mine->touch_interval_ms ? fuzz_byte() : fuzz_number() & (uint64_t)LAST_MS;
    int64_t now_ms = mine->now_ms;
    if (kind < 200) now_ms += kind % 8;
    else if (kind < 230) now_ms += (int64_t)leap;
    else if (!mine->touch_interval_ms) now_ms -= (int64_t)leap;
    if (now_ms >= 0 && now_ms < LAST_MS) mine->now_ms = now_ms;
}

static int64_t any_ttl(void)
{
    uint32_t byte = fuzz_byte();
    switch (byte % 8) {
    case 0: return 0;
    case 1: return SARK_CACHE_NO_EXPIRY;
    case 2: return (int64_t)(fuzz_number() >> 1);
    default: return 1 + byte / 8 % 16;
    }
}

/* Where a cache begins in the static region; all else of it cannot be touched. */
static unsigned char *fresh_region(size_t bytes)
{
    size_t offset = fuzz_below(64);
    MUST(bytes + offset <= sizeof region);
    ASAN_UNPOISON_MEMORY_REGION(region, sizeof region);
    memset(region, 0xA5, bytes + offset);
    ASAN_POISON_MEMORY_REGION(region + offset + bytes, sizeof region - offset - bytes);
    ASAN_POISON_MEMORY_REGION(region, offset & ~(size_t)7);
    return region + offset;
}

static void configure(sark_cache_config *config)
{
    static const uint32_t shard_counts[] = {1, 1, 2, 8};
    static const int64_t defaults[] = {0, 0, 3, SARK_CACHE_NO_EXPIRY};
    uint32_t byte = fuzz_byte();
    config->shard_count = shard_counts[byte & 3];
    config->lease_count = byte & 4 ? 2 : 0;
    config->default_ttl_ms = defaults[byte >> 3 & 3];
    config->latency_sample_every = byte & 32 ? 3 : 0;
    all_are_hot = byte & 64;
    config->touch_interval_ms = byte & 128 ? 1 + fuzz_below(4) : 0;
    config->hash_seed = 1 + fuzz_byte();
}

/* ---- Calls that are refused ----------------------------------------------------------------- */

#define REFUSED(call, status) MUST((call) == SARK_CACHE_##status)

static void refuse_arguments(sark_cache *cache)
{
    int64_t number;
    sark_cache_pinned pinned;
    REFUSED(sark_cache_get(NULL, "k", 1, NULL, 0, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_get(cache, NULL, 1, NULL, 0, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_peek(cache, "k", 1, NULL, 1, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_contains(cache, NULL, 1), BAD_ARGUMENT);
    REFUSED(sark_cache_ttl(cache, "k", 1, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_pin(cache, "k", 1, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_set(cache, "k", 1, NULL, 1, 0), BAD_ARGUMENT);
    REFUSED(sark_cache_add(cache, NULL, 1, "v", 1, 0), BAD_ARGUMENT);
    REFUSED(sark_cache_append(cache, "k", 1, NULL, 1, 0), BAD_ARGUMENT);
    REFUSED(sark_cache_increment(NULL, "k", 1, 1, NULL, 0, &number), BAD_ARGUMENT);
    REFUSED(sark_cache_foreach(cache, NULL, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_clear_if(cache, NULL, NULL, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_hottest(cache, NULL, 1, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_clear_prefix(cache, NULL, 1, NULL), BAD_ARGUMENT);
    REFUSED(sark_cache_get_many(cache, NULL, 1), BAD_ARGUMENT);
    REFUSED(sark_cache_set_many(NULL, NULL, 0), BAD_ARGUMENT);
    REFUSED(sark_cache_delete_many(cache, NULL, SIZE_MAX), BAD_ARGUMENT);
    memset(&pinned, 0, sizeof pinned);
    REFUSED(sark_cache_unpin(cache, &pinned), BAD_ARGUMENT);
    pinned.pin = fuzz_byte();
    pinned.use = 2 * fuzz_byte(); /* a pin that is out has an odd number */
    REFUSED(sark_cache_unpin(cache, &pinned), BAD_ARGUMENT);
}

static void refuse_keys(sark_cache *cache)
{
    size_t key_bytes = sizeof long_key;
    int64_t number;
    sark_cache_pinned pinned;
    REFUSED(sark_cache_get(cache, long_key, key_bytes, NULL, 0, NULL), BAD_KEY);
    REFUSED(sark_cache_set(cache, long_key, key_bytes, "v", 1, 0), BAD_KEY);
    REFUSED(sark_cache_compare_and_set(cache, long_key, key_bytes, 1, "v", 1, 0), BAD_KEY);
    REFUSED(sark_cache_increment(cache, long_key, key_bytes, 1, NULL, 0, &number), BAD_KEY);
    REFUSED(sark_cache_take(cache, long_key, key_bytes, NULL, 0, NULL), BAD_KEY);
    REFUSED(sark_cache_touch(cache, long_key, key_bytes, 0), BAD_KEY);
    REFUSED(sark_cache_delete(cache, long_key, key_bytes), BAD_KEY);
    REFUSED(sark_cache_pin(cache, long_key, key_bytes, &pinned), BAD_KEY);
    REFUSED(sark_cache_set(cache, "k", 1, long_key, SIZE_MAX - fuzz_byte(), 0), TOO_LARGE);
}

/* What a process does that forks, in itself and in the child, which has the same entries. */
static void fork_or_not(sark_cache *cache)
{
    sark_cache_fork_prepare(cache);
    if (fuzz_below(2)) sark_cache_fork_parent(cache);
    else sark_cache_fork_child(cache);
}

/* ---- Places bind ---------------------------------------------------------------------------- */

static model full;

static bool begin_entries(void)
{
    oracle_entry *entries = full.oracle.entries;
    memset(&full, 0, sizeof full);
    full.oracle.entries = entries;
    full.silent = fuzz_below(8) == 7;
    sark_cache_config config = {.max_entries = 1 + fuzz_below(8), .pin_count = MODEL_PINS};
    configure(&config);
    if (full.silent) config.default_ttl_ms = 0;
    size_t bytes = sark_cache_region_bytes(&config) + MOST_SPARE_BYTES;
    return model_begin(&full, &config, fresh_region(bytes), bytes);
}

static int64_t model_ttl_for(void) { return full.silent ? SARK_CACHE_NO_EXPIRY : any_ttl(); }

static uint32_t model_bytes_for(void) { return fuzz_below(MODEL_VALUE_BYTES + 1); }

static bool increment(uint32_t key)
{
    int64_t delta = (int64_t)fuzz_number(), initial = (int64_t)fuzz_number();
    uint32_t kind = fuzz_below(8);
    return model_increment(&full, key, delta, kind % 4 ? &initial : NULL, model_ttl_for(),
                           kind >= 4);
}

/* As many of the sixteen keys as a byte says, in turn. */
static bool batch(uint32_t first)
{
    uint32_t keys[MODEL_BATCH], count = fuzz_below(MODEL_BATCH + 1), step = fuzz_byte();
    for (uint32_t at = 0; at < count; at++) keys[at] = (first + at * step) % 16;
    switch (fuzz_below(3)) {
    case 0: return model_get_many(&full, keys, count);
    case 1: return model_delete_many(&full, keys, count);
    default: return model_set_many(&full, keys, count, model_bytes_for(), model_ttl_for());
    }
}

static bool reset_metrics(void)
{
    sark_cache_metrics_reset(full.cache);
    memset(&full.counts, 0, sizeof full.counts);
    full.evicted = full.expired = full.cleared = full.pins_tried_in_vain = 0;
    return model_metrics(&full);
}

static bool seldom_called(uint32_t key)
{
    sark_cache_config config;
    switch (fuzz_below(17)) {
    case 16: return model_ranks(&full, fuzz_below(MODEL_BATCH + 1), fuzz_below(2));
    case 14: return model_clear_prefix(&full, fuzz_below(MODEL_KEY_BYTES));
    case 15: return model_clear_if(&full, 1 + fuzz_below(8));
    case 12: case 13: return batch(key);
    case 0: return model_clear(&full);
    case 1: return model_foreach(&full);
    case 2: return model_metrics(&full);
    case 3: return reset_metrics();
    case 4: return model_bad_ttl(&full, key);
    case 5: return model_short_get(&full, key, fuzz_below(2));
    case 6: refuse_arguments(full.cache); break;
    case 7: refuse_keys(full.cache); break;
    case 8: fork_or_not(full.cache); break;
    case 9:
        MUST(sark_cache_get_config(full.cache, &config) == SARK_CACHE_OK);
        MUST(config.max_entries == full.oracle.capacity && config.hash_seed == 0);
        break;
    default: return model_cleanup(&full, fuzz_below(4));
    }
    return model_nothing_left(&full) && model_size(&full);
}

static bool call_with_entries(void)
{
    uint32_t byte = fuzz_byte(), key = byte / 16;
    switch (byte % 16) {
    case 0: move_clock(&full.oracle); return true;
    case 1: return model_write(&full, MODEL_SET, key, model_bytes_for(), model_ttl_for());
    case 2: return model_write(&full, MODEL_ADD, key, model_bytes_for(), model_ttl_for());
    case 3: return model_write(&full, MODEL_REPLACE, key, model_bytes_for(), model_ttl_for());
    case 4: return model_compare_and_set(&full, key, model_bytes_for(), model_ttl_for(),
                                         fuzz_below(4) == 3);
    case 5: return increment(key);
    case 6: {
        uint32_t count = fuzz_below(64);
        if (count % 2) return model_prepend(&full, key, count / 2, model_ttl_for());
        return model_append(&full, key, count / 2, model_ttl_for());
    }
    case 7: return model_take(&full, key);
    case 8: {
        uint32_t kind = fuzz_below(4);
        if (kind < 2) return model_touch(&full, key, model_ttl_for());
        return model_get_and_touch(&full, key, model_ttl_for(), kind == 2);
    }
    case 9: return model_delete(&full, key);
    case 10: return model_pin_key(&full, key);
    case 11: return model_unpin(&full, key % MODEL_PINS);
    case 12: return key & 1 ? model_peek(&full, key) : model_contains(&full, key);
    case 13: return model_ttl(&full, key);
    case 14: return seldom_called(key);
    default: return model_get(&full, key);
    }
}

static bool flush(void)
{
    for (uint32_t key = 0; key < full.oracle.capacity; key++)
        if (!model_write(&full, MODEL_SET, FLUSH_KEYS + key, key, SARK_CACHE_NO_EXPIRY))
            return false;
    return true;
}

static bool run_entries(void)
{
    bool same = begin_entries();
    for (uint32_t calls = 0; same && fuzz_more(); calls++) {
        same = call_with_entries();
        if (same && calls % CHECK_EVERY == 0) same = model_check(&full);
    }
    same = same && flush();
    same = model_end(&full) && same;
    full.oracle.entries = NULL;
    if (!same) printf("places bind: %s\n", full.trouble);
    return same;
}

/* ---- Bytes bind ----------------------------------------------------------------------------- */

static bool begin_bytes(void)
{
    memset(&tested, 0, sizeof tested);
    tested.random = fuzz_byte();
    tested.written = NOBODY;
    sark_cache_config config = {.pin_count = PINS, .clock = {run_clock, NULL}};
    configure(&config);
    config.touch_interval_ms = 0; /* unknown to model_bytes.c, as is a default */
    config.default_ttl_ms = 0;
    config.on_remove = ignore_removal;
    size_t bytes = sark_cache_region_bytes(&config) + 64 * fuzz_byte();
    unsigned char *begin = fresh_region(bytes);
    if (sark_cache_create_in(&tested.cache, &config, begin, bytes) != SARK_CACHE_OK)
        return differs("no cache", 0);
    tested.largest = largest_value(bytes);
    MUST(sark_cache_destroy(tested.cache) == SARK_CACHE_OK);
    config.on_remove = on_remove;
    return sark_cache_create_in(&tested.cache, &config, begin, bytes) == SARK_CACHE_OK ||
           differs("no second cache", 0);
}

/* Bytes for which memory is free, if it is all in one place and the key is short; no more than fit
   the empty cache. */
static uint32_t free_bytes(void)
{
    const sarki_arena *arena = &tested.cache->memory.arena;
    uint32_t granules = arena->end - arena->first - sarki_load32_relaxed(&arena->a_used);
    uint32_t bytes = granules * SARKI_GRANULE, others = 64 + LONGEST_KEY / 2;
    if (bytes < others) return 0;
    return bytes - others < tested.largest ? bytes - others : (uint32_t)tested.largest;
}

/* Sizes near nothing, in between, near what is free, and near the largest that fits. */
static uint32_t any_bytes(void)
{
    uint32_t byte = fuzz_byte(), little = byte >> 3, largest = (uint32_t)tested.largest;
    switch (byte & 7) {
    case 0: case 1: return byte >> 1;
    case 2: return byte * 4;
    case 3: return byte * 16 < largest ? byte * 16 : largest;
    case 4: return largest - largest / 32 * little;
    case 5: return largest - little;
    case 6: return free_bytes() > 4 * little ? free_bytes() - 4 * little : little;
    default: return free_bytes() + 4 * little < largest ? free_bytes() + 4 * little : largest;
    }
}

/* Appends the bytes that follow in the book. */
static bool append_bytes(uint32_t key, uint32_t byte_count)
{
    unsigned char bytes[LONGEST_KEY];
    uint64_t evicted = tested.evicted;
    oracle_entry entry = {0};
    bool live = is_live(key);
    if (live) entry = tested.oracle.entries[oracle_find(&tested.oracle, key)];
    if (entry.value_bytes + byte_count > tested.largest) byte_count = 0;
    bool cramped = is_cramped(key, entry.value_bytes + byte_count);
    tested.written = key;
    sark_cache_status status =
        sark_cache_append(tested.cache, bytes, key_of(key, bytes),
                          value_of(entry.tag) + entry.value_bytes, byte_count, 0);
    tested.written = NOBODY;
    if (status == SARK_CACHE_BUSY) return bytes_busy(key, evicted, cramped);
    if (status != (live ? SARK_CACHE_OK : SARK_CACHE_MISS)) return differs("a wrong append", key);
    if (!live) return !tested.trouble[0];
    if (oracle_find(&tested.oracle, key) != oracle_size(&tested.oracle))
        return differs("appended to and not reported", key);
    entry.value_bytes += byte_count;
    oracle_append(&tested.oracle, entry);
    return !tested.trouble[0];
}

/* Cleans up or clears: what had expired, or all, has left. */
static bool remove_many(bool all)
{
    size_t before = oracle_size(&tested.oracle);
    uint64_t removed = all ? sark_cache_clear(tested.cache)
                           : sark_cache_cleanup_expired(tested.cache, 0);
    if (removed != before - oracle_size(&tested.oracle)) return differs("a wrong count", 0);
    if (all && oracle_size(&tested.oracle)) return differs("not all were cleared", 0);
    if (oracle_expired_count(&tested.oracle)) return differs("expired ones are left", 0);
    return !tested.trouble[0];
}

static bool call_with_bytes(void)
{
    uint32_t byte = fuzz_byte(), key = byte / 16;
    int64_t ttl_ms = SARK_CACHE_NO_EXPIRY;
    switch (byte % 16) {
    case 0: move_clock(&tested.oracle); return true;
    case 1: case 2: return bytes_write(false, key, any_bytes(), 1 + fuzz_below(8));
    case 3: case 4: return bytes_write(false, key, any_bytes(), ttl_ms);
    case 5: return bytes_write(true, key, any_bytes(), fuzz_byte() ? ttl_ms : 5);
    case 6: return bytes_touch(key, fuzz_byte() ? 5 : ttl_ms);
    case 7: case 8: return bytes_delete(key);
    case 9: return append_bytes(key, any_bytes());
    case 10: case 11: return bytes_pin_or_unpin(key);
    case 12:
        if (key == 0) fork_or_not(tested.cache);
        return remove_many(key == 1);
    default: return bytes_get(key);
    }
}

static bool run_bytes(void)
{
    bool same = begin_bytes();
    for (uint32_t calls = 0; same && fuzz_more(); calls++) {
        same = call_with_bytes() && sark_cache_size(tested.cache) == oracle_size(&tested.oracle);
        if (same && calls % CHECK_EVERY == 0) same = holds(tested.cache);
    }
    same = end() && same;
    if (!same) printf("bytes bind: %s\n", tested.trouble);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    uint64_t seed = 7;
    for (size_t at = 0; !book[0] && at < sizeof book; at++)
        book[at] = (unsigned char)(random_next(&seed) | 1);
    fuzz_begin(data, bytes);
    bool same = fuzz_below(2) ? run_bytes() : run_entries();
    MUST(same && !atomic_load(&test_failures_in_case));
    return 0;
}
