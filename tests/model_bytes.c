/* Random sizes in regions where bytes bind, against an oracle that knows every entry and the order
   of recency: whatever fits the empty cache is stored, always; those that leave for it are the
   oldest, in order, expired ones first; how many leave is the cache's affair.

   model_bytes [operations [first seed]]; 2,000,000 operations at the usual scale.
   Needs stb_ds.h (libstb-dev). */

#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "oracle.h"

enum { REGION_BYTES = 1 << 20, LONGEST_KEY = 104, PINS = 8 };

static _Alignas(64) unsigned char region[REGION_BYTES];
static unsigned char book[2 * REGION_BYTES]; /* values are pieces of it */
static uint64_t operations_in_all, first_seed;

typedef struct bytes_pin {
    sark_cache_pinned pinned;
    uint32_t tag;
} bytes_pin;

typedef struct bytes_run {
    sark_cache *cache;
    oracle oracle;
    uint64_t random, evicted, busy;
    size_t largest;       /* value that fits the empty cache, with the longest key and a TTL */
    uint32_t written;     /* the key that a call is writing, or NOBODY */
    uint32_t key_count, most_bytes;
    size_t pin_count;
    bytes_pin pins[PINS]; /* that are out */
    char trouble[200];
} bytes_run;

#define NOBODY UINT32_MAX

static bytes_run tested;
static uint64_t moves; /* for room, in all regions of a size */

static bool differs(const char *what, uint32_t key)
{
    if (!tested.trouble[0])
        snprintf(tested.trouble, sizeof tested.trouble, "key %u: %s", key, what);
    return false;
}

/* ---- Keys and values ------------------------------------------------------------------------ */

static size_t key_of(uint32_t key, unsigned char *bytes)
{
    memset(bytes, (int)(key & 0x7F), LONGEST_KEY);
    memcpy(bytes, &key, sizeof key);
    return sizeof key + key * 7 % (LONGEST_KEY - 3);
}

static const unsigned char *value_of(uint32_t tag) { return book + tag % REGION_BYTES; }

static bool same_value(const oracle_entry *entry, const void *value, size_t value_bytes)
{
    if (value_bytes != entry->value_bytes) return false;
    return !value_bytes || memcmp(value, value_of(entry->tag), value_bytes) == 0;
}

/* ---- What leaves ---------------------------------------------------------------------------- */

/* The oldest entry that may have to leave: not the one that is being written. */
static size_t oldest(void)
{
    size_t at = 0;
    if (oracle_size(&tested.oracle) > 1 && tested.oracle.entries[0].key == tested.written) at++;
    return at;
}

/* Whether an entry has expired that is not being written. */
static bool others_expired(void)
{
    for (size_t at = 0; at < oracle_size(&tested.oracle); at++) {
        const oracle_entry *entry = &tested.oracle.entries[at];
        if (entry->key != tested.written && oracle_expired(&tested.oracle, entry)) return true;
    }
    return false;
}

static bool may_leave(size_t at, sark_cache_cause cause)
{
    const oracle_entry *entry = &tested.oracle.entries[at];
    bool expired = oracle_expired(&tested.oracle, entry);
    if (expired != (cause == SARK_CACHE_EXPIRED)) return differs("a wrong cause", entry->key);
    if (cause == SARK_CACHE_EVICTED) {
        if (tested.written == NOBODY) return differs("evicted for nobody", entry->key);
        if (at != 0 && at != oldest()) return differs("evicted before the oldest", entry->key);
        if (others_expired()) return differs("evicted though others had expired", entry->key);
        tested.evicted++;
    }
    if (cause == SARK_CACHE_REPLACED && entry->key != tested.written)
        return differs("replaced by nobody", entry->key);
    return true;
}

static void on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, sark_cache_cause cause)
{
    unsigned char expected[LONGEST_KEY];
    uint32_t found = 0;
    (void)context;
    memcpy(&found, key, key_bytes < sizeof found ? key_bytes : sizeof found);
    size_t at = oracle_find(&tested.oracle, found);
    if (at == oracle_size(&tested.oracle)) {
        differs("left and was not there", found);
        return;
    }
    if (key_of(found, expected) != key_bytes || memcmp(key, expected, key_bytes) != 0)
        differs("left under a foreign key", found);
    if (!same_value(&tested.oracle.entries[at], value, value_bytes))
        differs("left with a foreign value", found);
    may_leave(at, cause);
    oracle_remove(&tested.oracle, at);
}

static int64_t run_clock(void *context)
{
    (void)context;
    return tested.oracle.now_ms;
}

/* ---- Operations ----------------------------------------------------------------------------- */

static bool is_live(uint32_t key)
{
    size_t at = oracle_find(&tested.oracle, key);
    return at < oracle_size(&tested.oracle) &&
           !oracle_expired(&tested.oracle, &tested.oracle.entries[at]);
}

/* Whether a live key's old value and a new one may not fit side by side: the old one may lie in
   the middle of what is free. */
static bool is_cramped(uint32_t key, uint32_t value_bytes)
{
    if (!is_live(key)) return false;
    uint32_t old_bytes = tested.oracle.entries[oracle_find(&tested.oracle, key)].value_bytes;
    return 2 * (uint64_t)value_bytes + old_bytes + 1024 > tested.largest;
}

/* BUSY is an answer only while pins are out, or to a replace that is cramped, and then nothing was
   evicted. */
static bool bytes_busy(uint32_t key, uint64_t evicted, bool cramped)
{
    tested.busy++;
    if (!tested.pin_count && !cramped) return differs("BUSY without pins", key);
    if (tested.evicted != evicted) return differs("BUSY after an eviction", key);
    return !tested.trouble[0];
}

static bool bytes_write(bool replace, uint32_t key, uint32_t value_bytes, int64_t ttl_ms)
{
    unsigned char bytes[LONGEST_KEY];
    uint32_t tag = (uint32_t)random_next(&tested.random);
    uint64_t evicted = tested.evicted;
    bool live = is_live(key), cramped = replace && is_cramped(key, value_bytes);
    tested.written = key;
    sark_cache_status status =
        (replace ? sark_cache_replace : sark_cache_set)(tested.cache, bytes, key_of(key, bytes),
                                                        value_of(tag), value_bytes, ttl_ms);
    tested.written = NOBODY;
    if (status == SARK_CACHE_BUSY) return bytes_busy(key, evicted, cramped);
    if (replace && !live)
        return (status == SARK_CACHE_MISS && !tested.trouble[0]) || differs("no miss", key);
    if (status != SARK_CACHE_OK) return differs("cannot be written", key);
    if (oracle_find(&tested.oracle, key) != oracle_size(&tested.oracle))
        return differs("replaced and not reported", key);
    int64_t deadline_ms = oracle_deadline(&tested.oracle, ttl_ms);
    oracle_append(&tested.oracle, (oracle_entry){.key = key,
                                                  .tag = tag,
                                                  .value_bytes = value_bytes,
                                                  .deadline_ms = deadline_ms});
    return !tested.trouble[0];
}

/* A touch may need memory too, where the entry had no TTL. */
static bool bytes_touch(uint32_t key, int64_t ttl_ms)
{
    unsigned char bytes[LONGEST_KEY];
    uint64_t evicted = tested.evicted;
    bool live = is_live(key);
    tested.written = key;
    sark_cache_status status =
        sark_cache_touch(tested.cache, bytes, key_of(key, bytes), ttl_ms);
    tested.written = NOBODY;
    if (status == SARK_CACHE_BUSY) return bytes_busy(key, evicted, false);
    if (status != (live ? SARK_CACHE_OK : SARK_CACHE_MISS)) return differs("a wrong touch", key);
    size_t at = oracle_find(&tested.oracle, key);
    if (live && at == oracle_size(&tested.oracle)) return differs("lost by a touch", key);
    if (!live) return !tested.trouble[0];
    tested.oracle.entries[at].deadline_ms = oracle_deadline(&tested.oracle, ttl_ms);
    oracle_use(&tested.oracle, at);
    return !tested.trouble[0];
}

static bool bytes_get(uint32_t key)
{
    static unsigned char value[REGION_BYTES];
    unsigned char bytes[LONGEST_KEY];
    size_t value_bytes = 0, at = oracle_find(&tested.oracle, key);
    sark_cache_status status = sark_cache_get(tested.cache, bytes, key_of(key, bytes), value,
                                              sizeof value, &value_bytes);
    bool live = at < oracle_size(&tested.oracle) &&
                !oracle_expired(&tested.oracle, &tested.oracle.entries[at]);
    if (status != (live ? SARK_CACHE_OK : SARK_CACHE_MISS)) return differs("a wrong answer", key);
    if (!live) return !tested.trouble[0];
    if (!same_value(&tested.oracle.entries[at], value, value_bytes))
        return differs("a foreign value", key);
    oracle_use(&tested.oracle, at);
    return !tested.trouble[0];
}

/* Pins, or gives a pin back, whose value must still be the same. */
static bool bytes_pin_or_unpin(uint32_t key)
{
    unsigned char bytes[LONGEST_KEY];
    if (random_below(&tested.random, 3) == 0) {
        if (tested.pin_count == PINS) return true;
        bytes_pin *pin = &tested.pins[tested.pin_count];
        size_t at = oracle_find(&tested.oracle, key);
        if (sark_cache_pin(tested.cache, bytes, key_of(key, bytes), &pin->pinned) != SARK_CACHE_OK)
            return true;
        if (at == oracle_size(&tested.oracle)) return differs("pinned and not there", key);
        pin->tag = tested.oracle.entries[at].tag;
        oracle_use(&tested.oracle, at);
        tested.pin_count++;
        return true;
    }
    if (!tested.pin_count) return true;
    bytes_pin *pin = &tested.pins[random_below(&tested.random, (uint32_t)tested.pin_count)];
    if (pin->pinned.value_bytes &&
        memcmp(pin->pinned.value, value_of(pin->tag), pin->pinned.value_bytes) != 0)
        return differs("a pinned value has changed", key);
    if (sark_cache_unpin(tested.cache, &pin->pinned) != SARK_CACHE_OK)
        return differs("cannot be unpinned", key);
    *pin = tested.pins[--tested.pin_count];
    return true;
}

static bool bytes_delete(uint32_t key)
{
    unsigned char bytes[LONGEST_KEY];
    size_t at = oracle_find(&tested.oracle, key), size = oracle_size(&tested.oracle);
    bool live = at < size && !oracle_expired(&tested.oracle, &tested.oracle.entries[at]);
    sark_cache_status status = sark_cache_delete(tested.cache, bytes, key_of(key, bytes));
    if (status != (live ? SARK_CACHE_OK : SARK_CACHE_MISS)) return differs("a wrong delete", key);
    if (oracle_size(&tested.oracle) != size - (at < size)) return differs("not deleted", key);
    return !tested.trouble[0];
}

/* Sizes: mostly small, sometimes medium, now and then as large as can be. */
static uint32_t random_bytes(void)
{
    uint32_t largest = (uint32_t)tested.largest, choice = random_below(&tested.random, 1000);
    if (choice == 0) return largest;
    if (choice < 5) return random_below(&tested.random, largest + 1);
    if (choice < 50) return random_below(&tested.random, largest / 8);
    return random_below(&tested.random, tested.most_bytes + 1);
}

static bool operate(void)
{
    uint32_t key = random_below(&tested.random, tested.key_count);
    uint32_t choice = random_below(&tested.random, 100);
    int64_t ttl_ms = SARK_CACHE_NO_EXPIRY;
    if (random_below(&tested.random, 4) == 0) ttl_ms = 1 + random_below(&tested.random, 50);
    if (choice < 40) return bytes_write(false, key, random_bytes(), ttl_ms);
    if (choice < 45) return bytes_write(true, key, random_bytes(), ttl_ms);
    if (choice < 50) return bytes_touch(key, ttl_ms);
    if (choice < 80) return bytes_get(key);
    if (choice < 85) return bytes_delete(key);
    if (choice < 90) return bytes_pin_or_unpin(key);
    if (choice < 91) tested.oracle.now_ms++;
    if (sark_cache_size(tested.cache) != oracle_size(&tested.oracle))
        return differs("a wrong size", key);
    return true;
}

/* ---- One region ----------------------------------------------------------------------------- */

/* The largest value that the empty cache takes under the longest key, with a TTL. */
static size_t largest_value(size_t bytes)
{
    unsigned char key[LONGEST_KEY];
    memset(key, 0, sizeof key);
    size_t fits = 0, too_large = bytes;
    while (too_large - fits > 1) {
        size_t middle = fits + (too_large - fits) / 2;
        sark_cache_status status =
            sark_cache_set(tested.cache, key, sizeof key, book, middle, 1000000);
        if (status == SARK_CACHE_OK) fits = middle;
        else too_large = middle;
        if (status != SARK_CACHE_OK && status != SARK_CACHE_TOO_LARGE) differs("refused", 0);
        CHECK(sark_cache_clear(tested.cache) == (status == SARK_CACHE_OK));
    }
    return fits;
}

static void ignore_removal(void *context, const void *key, size_t key_bytes, const void *value,
                           size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)cause;
}

static bool begin(uint64_t seed, size_t bytes)
{
    memset(&tested, 0, sizeof tested);
    tested.random = seed;
    tested.written = NOBODY;
    tested.most_bytes = 1u << random_below(&tested.random, 12);
    tested.key_count = 1 + random_below(&tested.random, (uint32_t)bytes / 32);
    sark_cache_config config = {.pin_count = PINS,
                                .shard_count = seed % 3 ? 0 : 4,
                                .clock = {run_clock, NULL},
                                .on_remove = ignore_removal};
    size_t offset = random_below(&tested.random, 2) ? 0 : random_below(&tested.random, 64);
    memset(region, 0xA5, sizeof region);
    sark_cache_status status =
        sark_cache_create_in(&tested.cache, &config, region + offset, bytes - offset);
    if (status != SARK_CACHE_OK) return differs("no cache", 0);
    tested.largest = largest_value(bytes);
    CHECK(tested.largest > bytes / 2);
    if (sark_cache_destroy(tested.cache) != SARK_CACHE_OK) return differs("not destroyed", 0);
    config.on_remove = on_remove;
    status = sark_cache_create_in(&tested.cache, &config, region + offset, bytes - offset);
    return status == SARK_CACHE_OK || differs("no second cache", 0);
}

static bool end(void)
{
    bool same = !tested.trouble[0];
    for (size_t pin = 0; same && pin < tested.pin_count; pin++)
        same = sark_cache_unpin(tested.cache, &tested.pins[pin].pinned) == SARK_CACHE_OK;
    sark_cache_metrics metrics = metrics_of(tested.cache);
    moves += metrics.room_moves;
    if (same && metrics.evictions_for_bytes + metrics.evictions_for_entries != tested.evicted)
        same = differs("the metrics lose evictions", 0);
    if (same && metrics.rejected_busy != tested.busy) same = differs("BUSY is miscounted", 0);
    if (same && (metrics.bytes_peak > metrics.max_bytes || metrics.longest_hold_moves > 256))
        same = differs("a bound is broken", 0);
    if (same) {
        CHECK(holds(tested.cache));
        same = sark_cache_destroy(tested.cache) == SARK_CACHE_OK;
        if (same && oracle_size(&tested.oracle)) same = differs("destroyed in silence", 0);
    }
    oracle_free(&tested.oracle);
    return same && !tested.trouble[0];
}

static bool run_seed(uint64_t seed, size_t bytes, uint64_t operations)
{
    uint64_t operation = 0;
    bool same = begin(seed, bytes);
    for (; same && operation < operations; operation++) {
        same = operate();
        if (same && operation % 10000 == 0) CHECK(holds(tested.cache));
    }
    same = end() && same;
    printf("  seed %" PRIu64 ", %zu bytes: %u keys, values to %u, largest %zu: %" PRIu64
           " evicted, %" PRIu64 " busy\n",
           seed, bytes, tested.key_count, tested.most_bytes, tested.largest, tested.evicted,
           tested.busy);
    if (!same) printf("  operation %" PRIu64 ": %s\n", operation, tested.trouble);
    return same;
}

static void run_region(size_t bytes)
{
    enum { SEEDS = 12 };
    uint64_t each = operations_in_all / (2 * SEEDS) + 1;
    moves = 0;
    for (uint64_t seed = first_seed; seed < first_seed + SEEDS; seed++)
        CHECK(run_seed(seed, bytes, each));
    printf("  %" PRIu64 " entries moved\n", moves);
    CHECK(moves > 0);
}

TEST(region_of_64_kib) { run_region(1u << 16); }
TEST(region_of_1_mib) { run_region(1u << 20); }

int main(int argument_count, char **arguments)
{
    operations_in_all = support_length(argument_count > 1 ? arguments[1] : NULL, 2000000);
    first_seed = support_seed(argument_count > 2 ? arguments[2] : NULL);
    uint64_t seed = 7;
    for (size_t at = 0; at < sizeof book; at++) book[at] = (unsigned char)random_next(&seed);
    RUN(region_of_64_kib);
    RUN(region_of_1_mib);
    return test_summary();
}
