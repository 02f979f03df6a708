/* Fuzzes configurations: any bytes make one, legal or not. create and create_in must name a field
   that is out of range, and leave nothing behind; or give a cache that keeps what it was given, on
   which a few calls of each kind work, and which leaves nothing when it is destroyed. What
   region_bytes tells must be enough, and a byte less refused. */

#include <stddef.h>

static void *region_calloc(size_t count, size_t bytes);
static void region_free(void *block);

#include <stdlib.h>
#define calloc region_calloc
#define free region_free
#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#undef calloc
#undef free
#include "test.h"
#include "support.h"
#include "fuzz.h"

enum { LARGEST = 64 << 20, SLACK = 256, DIRTY = 1 << 18 };

static _Alignas(128) unsigned char memory[LARGEST + 2 * SLACK];
static size_t largest;             /* what is more than this, nobody gets */
static unsigned char *taken;       /* what the cache has of it */
static size_t taken_bytes, asked_bytes;
static uint32_t asked;             /* how often */
static int64_t now_ms;
static _Atomic(uint64_t) reported; /* removals */

/* ---- Memory --------------------------------------------------------------------------------- */

/* Memory of an exact size, with something in it. */
static unsigned char *take(size_t bytes, size_t offset)
{
    MUST(!taken && bytes <= LARGEST && offset <= SLACK);
    taken = memory + SLACK + offset;
    taken_bytes = bytes;
    ASAN_UNPOISON_MEMORY_REGION(taken, bytes);
    memset(taken, 0xA5, bytes < DIRTY ? bytes : DIRTY);
    return taken;
}

static void give_back(const void *region, size_t bytes)
{
    MUST(region && region == taken && bytes == taken_bytes);
    ASAN_POISON_MEMORY_REGION(region, bytes);
    taken = NULL;
}

static void *hooked_allocate(void *context, size_t bytes)
{
    MUST(context == &largest);
    asked++;
    asked_bytes = bytes;
    return bytes <= largest ? take(bytes, 16 * (bytes % 16)) : NULL;
}

static void hooked_release(void *context, void *region, size_t bytes)
{
    MUST(context == &largest);
    give_back(region, bytes);
}

/* What the cache calls without an allocator. */
static void *region_calloc(size_t count, size_t bytes)
{
    void *region = count == 1 ? hooked_allocate(&largest, bytes) : NULL;
    return region ? memset(region, 0, bytes) : NULL;
}

static void region_free(void *block) { give_back(block, taken_bytes); }

/* ---- Configurations ------------------------------------------------------------------------- */

static int64_t fuzz_clock(void *context)
{
    MUST(context == &now_ms);
    return now_ms;
}

static void on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, sark_cache_cause cause)
{
    (void)key, (void)value, (void)value_bytes, (void)cause;
    MUST(context == &reported && key_bytes == sizeof(uint32_t));
    atomic_fetch_add(&reported, 1);
}

/* Nothing, a number up to a limit, or any number. */
static uint64_t any(uint64_t most)
{
    uint32_t kind = fuzz_byte();
    if (kind < 100) return 0;
    return kind < 220 ? fuzz_two_bytes() % (most + 1) : fuzz_number();
}

static sark_cache_config any_config(void)
{
    sark_cache_config config;
    memset(&config, 0, sizeof config);
    config.max_entries = any(500);
    config.max_bytes = (size_t)any(UINT16_MAX) * (fuzz_below(16) ? 1 : 32);
    config.default_ttl_ms = (int64_t)any(1000);
    config.ttl_jitter_percent = (uint32_t)any(101);
    config.shard_count = (uint32_t)any(64);
    if (fuzz_below(8)) config.shard_count &= 0 - config.shard_count; /* a power of two */
    config.lease_count = (uint32_t)any(1025);
    config.pin_count = (uint32_t)any(1025);
    config.touch_interval_ms = (uint32_t)any(1000);
    config.latency_sample_every = (uint32_t)any(3);
    config.hash_seed = any(UINT16_MAX);
    uint32_t bits = fuzz_byte();
    if (bits & 1) config.clock = (sark_cache_clock){fuzz_clock, &now_ms};
    if (bits & 2) config.on_remove = on_remove;
    if (bits & 2) config.on_remove_context = &reported;
    if (bits & 4) config.allocator.allocate = hooked_allocate;
    if ((bits & 4) && bits < 240) config.allocator.release = hooked_release;
    if (!(bits & 4) && bits >= 240) config.allocator.release = hooked_release;
    config.allocator.context = &largest;
    if (fuzz_byte() > 250) config.cleanup_interval_ms = (uint32_t)fuzz_number(); /* a thread */
    if (fuzz_byte() > 250) config.reserved[fuzz_below(8)] = fuzz_number();
    now_ms = (int64_t)any(UINT16_MAX);
    return config;
}

#define MOST_CONFIG_BYTES (((uint64_t)1 << 34) - 16)

/* Whether a code names a field that is out of range by itself. */
static bool names_field(const sark_cache_config *config, sark_cache_status status)
{
    uint32_t shards = config->shard_count, leases = config->lease_count;
    bool is_reserved = false;
    for (int i = 0; i < 8; i++) is_reserved |= config->reserved[i] != 0;
    switch (status) {
    case SARK_CACHE_BAD_MAX_ENTRIES: return config->max_entries > (uint64_t)1 << 31;
    case SARK_CACHE_BAD_MAX_BYTES: return config->max_bytes > MOST_CONFIG_BYTES;
    case SARK_CACHE_BAD_DEFAULT_TTL: return config->default_ttl_ms < 0;
    case SARK_CACHE_BAD_TTL_JITTER: return config->ttl_jitter_percent > 100;
    case SARK_CACHE_BAD_SHARD_COUNT: return shards > 256 || (shards && shards & (shards - 1));
    case SARK_CACHE_BAD_LEASE_COUNT: return leases == 1 || leases > 1024;
    case SARK_CACHE_BAD_PIN_COUNT: return config->pin_count > 1024;
    case SARK_CACHE_BAD_ALLOCATOR:
        return (config->allocator.allocate == NULL) != (config->allocator.release == NULL);
    case SARK_CACHE_BAD_RESERVED: return is_reserved;
    default: return false;
    }
}

static bool is_legal(const sark_cache_config *config)
{
    for (int status = SARK_CACHE_BAD_RESERVED; status <= SARK_CACHE_BAD_MAX_ENTRIES; status++)
        if (names_field(config, (sark_cache_status)status)) return false;
    return true;
}

#define KEEPS(field) MUST(!given->field || given->field == full.field)

/* What is in force: what was given, and defaults within the limits. Returns it. */
static sark_cache_config in_force(const sark_cache *cache, const sark_cache_config *given)
{
    sark_cache_config full;
    memset(&full, 0xFF, sizeof full);
    MUST(sark_cache_get_config(cache, &full) == SARK_CACHE_OK);
    MUST(full.max_entries > 0 && full.shard_count > 0 && full.lease_count > 0);
    MUST(full.pin_count > 0 && full.max_bytes > 0 && full.hash_seed == 0);
    MUST(is_legal(&full));
    KEEPS(max_entries);
    KEEPS(default_ttl_ms);
    KEEPS(ttl_jitter_percent);
    KEEPS(shard_count);
    KEEPS(lease_count);
    KEEPS(pin_count);
    KEEPS(cleanup_interval_ms);
    KEEPS(touch_interval_ms);
    KEEPS(latency_sample_every);
    KEEPS(clock.now_ms);
    KEEPS(allocator.allocate);
    KEEPS(on_remove);
    MUST(!given->max_bytes || full.max_bytes <= given->max_bytes);
    return full;
}

/* ---- A few calls ---------------------------------------------------------------------------- */

/* Sets a key with a TTL. Returns whether it was stored. */
static bool set(sark_cache *cache, const sark_cache_config *full, uint32_t key, int64_t ttl_ms)
{
    unsigned char value[100], found[100];
    size_t value_bytes = key * 7 % sizeof value, found_bytes = 0;
    int64_t actual_ms = ttl_ms ? ttl_ms : full->default_ttl_ms;
    bool is_timed = actual_ms && actual_ms != SARK_CACHE_NO_EXPIRY;
    bool fails = is_timed && full->clock.now_ms && now_ms < 0;
    memset(value, (int)key, sizeof value);
    MUST(sark_cache_set(cache, &key, sizeof key, value, value_bytes, ttl_ms) ==
         (fails ? SARK_CACHE_SYSTEM_ERROR : SARK_CACHE_OK));
    if (fails) return false;
    sark_cache_status status =
        sark_cache_get(cache, &key, sizeof key, found, sizeof found, &found_bytes);
    if (is_timed && status == SARK_CACHE_MISS) { /* jitter, or a clock that goes on */
        MUST(full->ttl_jitter_percent == 100 || (!full->clock.now_ms && actual_ms < 10000));
        return true;
    }
    MUST(status == SARK_CACHE_OK && found_bytes == value_bytes);
    MUST(memcmp(value, found, value_bytes) == 0);
    return true;
}

/* All pins, up to eight; destroy waits for none. */
static void pin(sark_cache *cache, const sark_cache_config *full)
{
    sark_cache_pinned pins[9];
    uint32_t key = 0, count = 0;
    MUST(set(cache, full, key, SARK_CACHE_NO_EXPIRY));
    while (count < 8 && count < full->pin_count) {
        MUST(sark_cache_pin(cache, &key, sizeof key, &pins[count]) == SARK_CACHE_OK);
        count++;
    }
    if (count == full->pin_count)
        MUST(sark_cache_pin(cache, &key, sizeof key, &pins[count]) == SARK_CACHE_NO_PIN);
    MUST(sark_cache_destroy(cache) == SARK_CACHE_BUSY);
    while (count > 0) MUST(sark_cache_unpin(cache, &pins[--count]) == SARK_CACHE_OK);
}

static void look(sark_cache *cache, const sark_cache_config *full, uint64_t stored)
{
    sark_cache_metrics metrics = metrics_of(cache);
    MUST(metrics.max_bytes == full->max_bytes && metrics.max_entries == full->max_entries);
    MUST(metrics.bytes_peak <= metrics.max_bytes && metrics.entries_peak <= metrics.max_entries);
    MUST(metrics.sets == stored && metrics.pins_in_use == 0);
    MUST(metrics.cleanup_thread_wanted == (full->cleanup_interval_ms > 0));
    MUST(sark_cache_size(cache) <= full->max_entries);
    MUST(holds(cache));
}

/* Uses a cache and destroys it; what it stored has been reported then. */
static void use(sark_cache *cache, const sark_cache_config *given)
{
    sark_cache_config full = in_force(cache, given);
    uint64_t stored = 1;
    atomic_store(&reported, 0);
    pin(cache, &full);
    while (fuzz_more() && stored < 64) {
        int64_t ttl_ms = fuzz_below(2) ? SARK_CACHE_NO_EXPIRY : (int64_t)(any(1000) >> 1);
        stored += set(cache, &full, (uint32_t)stored, ttl_ms);
    }
    look(cache, &full, stored);
    MUST(sark_cache_destroy(cache) == SARK_CACHE_OK);
    MUST(atomic_load(&reported) == (full.on_remove ? stored : 0));
}

/* ---- Both ways to create -------------------------------------------------------------------- */

/* An error that create or create_in may give: it names a field, or there is not enough memory for
   this many entries. */
static bool is_right_error(const sark_cache_config *config, sark_cache_status status)
{
    if (names_field(config, status)) return true;
    size_t needed = sark_cache_region_bytes(config);
    return status == SARK_CACHE_BAD_MAX_BYTES && is_legal(config) &&
           (needed == 0 || (config->max_bytes > 0 && config->max_bytes < needed));
}

static void create(const sark_cache_config *config)
{
    sark_cache *cache = (sark_cache *)memory;
    asked = 0;
    sark_cache_status status = sark_cache_create(&cache, config);
    MUST((cache != NULL) == (status == SARK_CACHE_OK) && (taken != NULL) == (cache != NULL));
    if (status == SARK_CACHE_NO_MEMORY) {
        MUST(asked == 1 && asked_bytes > largest && is_legal(config));
    } else if (status != SARK_CACHE_OK) {
        MUST(asked == 0 && is_right_error(config, status));
    } else {
        MUST(asked == 1 && is_legal(config));
        MUST(!config->max_bytes || config->max_bytes == taken_bytes);
        use(cache, config);
        MUST(!taken);
    }
}

/* Aligned, in the two worst ways, or in any way. */
static size_t any_offset(void)
{
    static const size_t offsets[] = {0, 1, 127};
    uint32_t kind = fuzz_below(4);
    return kind < 3 ? offsets[kind] : fuzz_byte();
}

/* In a buffer of so many bytes. */
static void create_in(const sark_cache_config *config, size_t bytes, sark_cache_status expected)
{
    sark_cache *cache = (sark_cache *)memory;
    asked = 0;
    unsigned char *region = take(bytes, any_offset());
    sark_cache_status status = sark_cache_create_in(&cache, config, region, bytes);
    MUST((cache != NULL) == (status == SARK_CACHE_OK));
    if (config->max_bytes == 0 || config->max_bytes >= bytes || status == SARK_CACHE_OK)
        MUST(status == expected);
    else MUST(is_right_error(config, status) || status == expected);
    if (cache) use(cache, config);
    MUST(asked == 0);
    give_back(region, bytes);
}

static void create_in_least(const sark_cache_config *config)
{
    size_t needed = sark_cache_region_bytes(config);
    if (!is_legal(config)) {
        MUST(needed == 0);
        sark_cache *cache = (sark_cache *)memory;
        sark_cache_status status = sark_cache_create_in(&cache, config, memory, LARGEST);
        MUST(!cache && names_field(config, status));
        return;
    }
    MUST(needed > 0 || config->max_entries > (uint64_t)1 << 25); /* 16 GiB are not enough */
    MUST(needed == 0 || needed >= config->max_entries * 128);
    if (needed == 0 || needed > largest) return;
    if (fuzz_below(2)) create_in(config, needed - 1, SARK_CACHE_REGION_TOO_SMALL);
    else create_in(config, needed, SARK_CACHE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_begin(data, bytes);
    if (!largest) ASAN_POISON_MEMORY_REGION(memory, sizeof memory);
    uint32_t kind = fuzz_byte();
    sark_cache_config config = any_config();
    largest = config.max_entries ? 2 << 20 : 1 << 18; /* more places take longer to look at */
    if (kind == 255) largest = LARGEST;
    if (kind % 2) create(&config);
    else create_in_least(&config);
    MUST(!taken && !atomic_load(&test_failures_in_case));
    return 0;
}
