/* From a configuration to a region (>>layout of sark_cache.h), white box: tables that lie apart,
   aligned and inside the region, the least regions, defaults, limits, and configurations that stay
   as they are once resolved.

   unit_layout [seed] */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { GUARD = 256, MOST_BYTES = 4 << 20, TABLES = 15 };

static uint64_t seed = 1;
static _Alignas(128) unsigned char memory[MOST_BYTES + 2 * GUARD + 128];

/* ---- Tables --------------------------------------------------------------------------------- */

typedef struct table {
    uint64_t begin, bytes, align;
} table;

/* The tables, in the order of the layout, with the bytes that are used of each. */
static void tables_of(const sark_cache_config *config, const sarki_layout *layout,
                      table tables[TABLES])
{
    size_t slots = (size_t)config->shard_count * sarki_wheel_slots(layout->wheel_bits);
    size_t kinds = config->latency_sample_every > 0 ? SARKI_LATENCY_KINDS : 0;
    uint32_t granules = (uint32_t)((config->max_bytes - layout->arena) / SARKI_GRANULE);
    size_t bins = sarki_arena_levels(granules) * SARKI_BINS_PER_LEVEL;
    size_t refs = config->pin_count + sarki_max64(config->lease_count, layout->reporter_count + 1);
    const table all[TABLES] = {
        {layout->shards, config->shard_count * sizeof(sarki_shard), SARKI_APART},
        {layout->oldest, config->shard_count * sizeof(sarki_a64), 8},
        {layout->next_deadlines, config->shard_count * sizeof(sarki_a64), 8},
        {layout->spare_granules, config->shard_count * sizeof(sarki_a32), 8},
        {layout->wheel_slots, slots * (sizeof(sarki_list) + sizeof(sarki_slot_list)),
         sizeof(uint32_t)},
        {layout->leases, config->lease_count * layout->lease_spacing, 64},
        {layout->pins, config->pin_count * sizeof(sarki_pin), sizeof(sarki_a32)},
        {layout->hints, sizeof(sarki_a32) << layout->hint_bits, sizeof(sarki_a32)},
        {layout->scan_refs, refs * sizeof(uint32_t), sizeof(uint32_t)},
        {layout->reporters, layout->reporter_count * sizeof(sarki_reporter), 8},
        {layout->histograms, kinds * sizeof(sarki_histogram), 8},
        {layout->latency_baseline, kinds * sizeof(sark_cache_latency), 8},
        {layout->baseline, sizeof(sarki_baseline), 8},
        {layout->bins, bins * sizeof(uint32_t), sizeof(uint32_t)},
        {layout->buckets, layout->bucket_count * sizeof(sarki_bucket), sizeof(sarki_bucket)}};
    memcpy(tables, all, sizeof all);
}

/* Whether the tables of a resolved configuration lie behind each other, and leave an arena. */
static bool tables_fit(const sark_cache_config *config)
{
    table tables[TABLES];
    sarki_layout layout = sarki_layout_of(config);
    uint64_t end = sizeof(sark_cache);
    tables_of(config, &layout, tables);
    for (uint32_t i = 0; i < TABLES; i++) {
        if (tables[i].begin < end || tables[i].begin % tables[i].align != 0) return false;
        end = tables[i].begin + tables[i].bytes;
    }
    return layout.arena >= end && layout.arena % SARKI_GRANULE == 0 &&
           layout.arena + SARKI_MIN_ARENA_BYTES + 128 + SARKI_GRANULE <= config->max_bytes;
}

/* Whether tables are as many and as large as their users need. */
static bool tables_suffice(const sark_cache_config *config)
{
    sarki_layout layout = sarki_layout_of(config);
    return (uint64_t)layout.bucket_count * SARKI_SLOTS * 10 >= config->max_entries * 16 &&
           (uint64_t)layout.bucket_count * SARKI_SLOTS >= config->max_entries + SARKI_SLOTS &&
           (1u << layout.hint_bits) >= config->lease_count * 4 &&
           layout.lease_spacing >= sizeof(sarki_lease) &&
           (layout.wheel_bits == 2 || layout.wheel_bits == 6) &&
           layout.shard_count == config->shard_count &&
           layout.lease_count == config->lease_count && layout.pin_count == config->pin_count;
}

/* ---- Configurations ------------------------------------------------------------------------- */

/* One of the numbers, or 0, the default. */
static uint32_t one_of(uint64_t *random, const uint32_t *numbers, uint32_t count)
{
    return random_below(random, 3) ? 0 : numbers[random_below(random, count)];
}

static sark_cache_config random_config(uint64_t *random, uint64_t most_entries, uint64_t most_bytes)
{
    static const uint32_t shards[] = {1, 2, 4, 8, 16, 64, 256};
    static const uint32_t leases[] = {2, 3, 7, 64, 65, 1000, 1024};
    static const uint32_t pins[] = {1, 2, 17, 1000, 1024};
    sark_cache_config config;
    memset(&config, 0, sizeof config);
    if (random_below(random, 3))
        config.max_entries = random_next(random) % most_entries >> random_below(random, 20);
    if (random_below(random, 3))
        config.max_bytes = (size_t)(random_next(random) % most_bytes >> random_below(random, 10));
    config.shard_count = one_of(random, shards, 7);
    config.lease_count = one_of(random, leases, 7);
    config.pin_count = one_of(random, pins, 5);
    config.latency_sample_every = random_below(random, 2);
    config.default_ttl_ms = random_below(random, 2) * 1000;
    return config;
}

static bool same_config(const sark_cache_config *a, const sark_cache_config *b)
{
    return a->max_entries == b->max_entries && a->max_bytes == b->max_bytes &&
           a->default_ttl_ms == b->default_ttl_ms &&
           a->ttl_jitter_percent == b->ttl_jitter_percent && a->shard_count == b->shard_count &&
           a->lease_count == b->lease_count && a->pin_count == b->pin_count &&
           a->cleanup_interval_ms == b->cleanup_interval_ms &&
           a->latency_sample_every == b->latency_sample_every &&
           a->clock.now_ms == b->clock.now_ms && a->clock.context == b->clock.context &&
           a->allocator.allocate == b->allocator.allocate &&
           a->allocator.release == b->allocator.release && a->on_remove == b->on_remove &&
           a->on_remove_context == b->on_remove_context && a->hash_seed == b->hash_seed;
}

/* Whether what is given stands in what was resolved: max_bytes as far as an object can be. */
static bool keeps_given(const sark_cache_config *given, const sark_cache_config *config)
{
    return (given->max_entries == 0 || given->max_entries == config->max_entries) &&
           (given->max_bytes == 0 ||
            config->max_bytes == sarki_min64(given->max_bytes, SIZE_MAX / 2)) &&
           (given->shard_count == 0 || given->shard_count == config->shard_count) &&
           (given->lease_count == 0 || given->lease_count == config->lease_count) &&
           (given->pin_count == 0 || given->pin_count == config->pin_count) &&
           given->latency_sample_every == config->latency_sample_every;
}

/* ---- Layouts of many configurations --------------------------------------------------------- */

/* Up to the largest caches: nothing is created. */
TEST(tables_of_many_configurations)
{
    uint64_t random = seed, resolved = 0, rounds = support_length(NULL, 100000);
    for (uint64_t i = 0; i < rounds; i++) {
        sark_cache_config given = random_config(&random, (uint64_t)1 << 28, SARKI_MAX_BYTES), full;
        if (sarki_config_resolve(&given, 0, &full) != SARK_CACHE_OK) continue;
        resolved++;
        CHECK(tables_fit(&full));
        CHECK(tables_suffice(&full));
        CHECK(keeps_given(&given, &full));
        CHECK(full.max_entries > 0 && full.shard_count > 0 && full.pin_count > 0);
        CHECK(full.lease_count >= 2 && full.max_bytes <= SARKI_MAX_BYTES);
    }
    CHECK(resolved * 2 > rounds);
}

/* What was resolved resolves to itself. */
TEST(resolved_configurations_stay)
{
    uint64_t random = seed;
    for (uint64_t i = 0; i < support_length(NULL, 50000); i++) {
        sark_cache_config given = random_config(&random, (uint64_t)1 << 28, SARKI_MAX_BYTES);
        sark_cache_config full, again;
        if (sarki_config_resolve(&given, 0, &full) != SARK_CACHE_OK) continue;
        CHECK(sarki_config_resolve(&full, 0, &again) == SARK_CACHE_OK);
        CHECK(same_config(&full, &again));
        CHECK(sarki_config_resolve(&full, full.max_bytes, &again) == SARK_CACHE_OK);
        CHECK(same_config(&full, &again));
    }
}

/* ---- Caches in guarded memory --------------------------------------------------------------- */

static bool guards_stand(size_t begin, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        if (memory[begin - GUARD + i] != 0xA5 || memory[begin + bytes + i] != 0xA5) return false;
    return true;
}

/* Writes, reads, pins and removes until everything has been used. */
static void use(sark_cache *cache)
{
    char value[100];
    memset(value, 'v', sizeof value);
    for (uint32_t i = 0; i < 300; i++) {
        sark_cache_pinned pinned;
        CHECK(sark_cache_set(cache, &i, sizeof i, value, i % sizeof value, i % 2 * 5000) ==
              SARK_CACHE_OK);
        CHECK(sark_cache_get(cache, &i, sizeof i, value, sizeof value, NULL) == SARK_CACHE_OK);
        CHECK(sark_cache_pin(cache, &i, sizeof i, &pinned) == SARK_CACHE_OK);
        CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    }
    CHECK(holds(cache));
}

/* Creates a cache at an alignment, uses it, and looks at its guards and its end. */
static sark_cache_status use_region(const sark_cache_config *config, size_t bytes, size_t offset)
{
    sark_cache *cache = NULL;
    size_t begin = GUARD + offset;
    memset(memory + begin - GUARD, 0xA5, bytes + 2 * GUARD);
    sark_cache_status status = sark_cache_create_in(&cache, config, memory + begin, bytes);
    CHECK((status == SARK_CACHE_OK) == (cache != NULL));
    if (cache) {
        const sarki_arena *arena = &cache->memory.arena;
        const char *end = cache->region + ((size_t)arena->end + 1) * SARKI_GRANULE;
        CHECK(end <= (const char *)memory + begin + bytes);
        CHECK((uintptr_t)cache % 128 == 0 && (const unsigned char *)cache >= memory + begin);
        use(cache);
        FINISH(cache);
    }
    CHECK(guards_stand(begin, bytes));
    return status;
}

TEST(caches_in_guarded_memory)
{
    uint64_t random = seed;
    uint32_t created = 0;
    for (uint64_t i = 0; i < 10 + support_length(NULL, 140); i++) {
        sark_cache_config config = random_config(&random, 3000, MOST_BYTES);
        size_t bytes = random_below(&random, MOST_BYTES) >> random_below(&random, 8);
        if (bytes == 0) continue;
        created += use_region(&config, bytes, random_below(&random, 128)) == SARK_CACHE_OK;
    }
    CHECK(created > 0);
}

/* ---- The least regions ---------------------------------------------------------------------- */

/* Whether a region of so many bytes holds the tables and 128 bytes for each entry. */
static bool is_enough(const sark_cache_config *config, size_t bytes)
{
    sark_cache_config full = *config;
    if (full.max_entries == 0) full.max_entries = SARKI_MIN_ENTRIES;
    uint64_t arena_bytes = sarki_max64(full.max_entries * 128, SARKI_MIN_ARENA_BYTES);
    full.max_bytes = bytes;
    sarki_config_fill(&full);
    return sarki_layout_bytes(&full, arena_bytes) <= bytes;
}

/* What region_bytes tells is enough at any alignment, and nothing less is. */
TEST(least_regions)
{
    uint64_t random = seed;
    for (uint64_t i = 0; i < support_length(NULL, 200); i++) {
        sark_cache_config config = random_config(&random, 20000, 1);
        config.max_bytes = 0;
        size_t bytes = sark_cache_region_bytes(&config);
        REQUIRE(bytes > 0 && is_enough(&config, bytes));
        for (uint32_t tries = 0; tries < 300; tries++)
            CHECK(!is_enough(&config, 1 + (size_t)(random_next(&random) % (bytes - 1))));
        CHECK(!is_enough(&config, bytes - 1));
        if (bytes > MOST_BYTES) continue;
        sark_cache *cache = NULL;
        CHECK(sark_cache_create_in(&cache, &config, memory + GUARD, bytes - 1) ==
              SARK_CACHE_REGION_TOO_SMALL);
        if (i % 8 == 0) CHECK(use_region(&config, bytes, i % 128) == SARK_CACHE_OK);
    }
}

TEST(every_alignment)
{
    sark_cache_config config = {.max_entries = 40, .clock = {support_clock, NULL}};
    size_t bytes = sark_cache_region_bytes(&config);
    for (size_t offset = 0; offset < 128; offset++)
        CHECK(use_region(&config, bytes, offset) == SARK_CACHE_OK);
}

/* What is enough for a region stays enough for a larger one: where tables get roomier, too. */
static void larger_regions(uint32_t shard_count, uint32_t lease_count)
{
    for (uint64_t entries = 0; entries < 9000; entries += 600) {
        sark_cache_config config = {.max_entries = entries, .shard_count = shard_count,
                                    .lease_count = lease_count, .hash_seed = 1};
        size_t least = sark_cache_region_bytes(&config);
        for (size_t bytes = least; bytes < least + (2 << 20); bytes += 65521) {
            sark_cache_config full;
            CHECK(sarki_config_resolve(&config, bytes, &full) == SARK_CACHE_OK);
        }
    }
}

/* Small regions have narrow tables, large ones wide: both are seen here. */
TEST(narrow_and_wide_tables)
{
    sark_cache_config small = {.max_bytes = 32 << 10}, large = {.max_bytes = 8 << 20}, full;
    CHECK(sarki_config_resolve(&small, 0, &full) == SARK_CACHE_OK);
    sarki_layout layout = sarki_layout_of(&full);
    CHECK(layout.wheel_bits == 2 && layout.lease_spacing == sizeof(sarki_lease));
    CHECK(sarki_config_resolve(&large, 0, &full) == SARK_CACHE_OK);
    layout = sarki_layout_of(&full);
    CHECK(layout.wheel_bits == 6 && layout.lease_spacing == SARKI_LEASE_SPACING);
}

/* In steps of a granule, with tables whose size is given, and with callbacks, which add one. */
TEST(larger_regions_in_small_steps)
{
    static const uint32_t counts[] = {0, 2, 3, 16, 64, 200};
    for (size_t i = 0; i < 2 * 2 * 36; i++) {
        sark_cache_config config = {.max_entries = i % 2 ? 16 : 500, .shard_count = i < 72,
                                    .lease_count = counts[i / 2 % 6],
                                    .pin_count = counts[i / 12 % 6],
                                    .hash_seed = 1,
                                    .on_remove = i % 4 ? support_on_remove : NULL};
        size_t least = sark_cache_region_bytes(&config), refused = 0;
        for (size_t bytes = least; bytes < least + (256 << 10); bytes += 16) {
            sark_cache_config full;
            refused += sarki_config_resolve(&config, bytes, &full) != SARK_CACHE_OK;
        }
        CHECK(refused == 0);
    }
}

TEST(larger_regions_of_default_tables) { larger_regions(0, 0); }

TEST(larger_regions_of_many_leases) { larger_regions(0, 1024); }

TEST(larger_regions_of_many_shards) { larger_regions(256, 0); }

/* From nothing on: first too small, from some size on always enough, and then of use. */
TEST(small_regions)
{
    size_t first = 0;
    for (size_t bytes = 16; bytes < 100000; bytes += 16) {
        sark_cache_config config = {.max_bytes = bytes, .clock = {support_clock, NULL}};
        sark_cache *cache = NULL;
        sark_cache_status status = sark_cache_create(&cache, &config);
        if (!first && status == SARK_CACHE_OK) first = bytes;
        CHECK(status == (first ? SARK_CACHE_OK : SARK_CACHE_BAD_MAX_BYTES));
        if (!cache) continue;
        CHECK(put(cache, "key", "value", 1000) == SARK_CACHE_OK && get_is(cache, "key", "value"));
        FINISH(cache);
    }
    printf("  the smallest region that is accepted: %zu bytes\n", first);
    CHECK(first > 4096 && first < 16384);
}

/* ---- Defaults ------------------------------------------------------------------------------- */

TEST(defaults)
{
    sark_cache_config given = {.max_entries = 0}, full;
    CHECK(sarki_config_resolve(NULL, 0, &full) == SARK_CACHE_OK);
    CHECK(full.max_bytes == 64 << 20 && full.max_entries == (64 << 20) / 128);
    CHECK(full.lease_count == 64 && full.pin_count == 16 && full.shard_count <= 16);
    given.max_entries = 100000;
    CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK);
    CHECK(full.max_bytes == 100000 * 1024);
    given.max_entries = 10;
    CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK);
    CHECK(full.max_bytes == 1 << 20 && full.shard_count == 1);
    given = (sark_cache_config){.max_bytes = 1 << 22};
    CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK);
    CHECK(full.max_entries == (1 << 22) / 128);
    CHECK((full.shard_count & (full.shard_count - 1)) == 0);
    given.max_bytes = 20000;
    CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK);
    CHECK(full.lease_count == 4 && full.max_entries >= 16 && full.shard_count == 1);
    CHECK(sarki_config_resolve(NULL, 1 << 20, &full) == SARK_CACHE_OK);
    CHECK(full.max_bytes == 1 << 20);
}

/* Where max_bytes is not given, the tables leave 128 bytes for each entry, as far as an object can
   hold them. */
TEST(defaults_leave_room)
{
    uint64_t most = sarki_min64(40000000, SIZE_MAX / 2 / 256);
    for (uint64_t entries = 1; entries < most; entries = entries * 5 / 4 + 1) {
        sark_cache_config given = {.max_entries = entries, .shard_count = 256,
                                   .lease_count = 1024, .pin_count = 1024}, full;
        CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK && tables_fit(&full));
        CHECK(is_enough(&given, full.max_bytes));
        given = (sark_cache_config){.max_entries = entries};
        CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK && tables_fit(&full));
        CHECK(is_enough(&given, full.max_bytes));
    }
}

/* What get_config gives makes the same cache again. */
TEST(configurations_in_force)
{
    uint64_t random = seed;
    for (uint64_t i = 0; i < support_length(NULL, 100); i++) {
        sark_cache_config given = random_config(&random, 10000, MOST_BYTES), once, twice;
        sark_cache *cache = NULL, *again = NULL;
        given.hash_seed = i;
        if (sark_cache_create(&cache, &given) != SARK_CACHE_OK) continue;
        CHECK(sark_cache_get_config(cache, &once) == SARK_CACHE_OK);
        CHECK(once.hash_seed == 0 && keeps_given(&given, &once));
        CHECK(sark_cache_create(&again, &once) == SARK_CACHE_OK);
        CHECK(sark_cache_get_config(again, &twice) == SARK_CACHE_OK && same_config(&once, &twice));
        CHECK(cache->index.bucket_count == again->index.bucket_count);
        CHECK(cache->memory.arena.end == again->memory.arena.end);
        FINISH(cache);
        FINISH(again);
    }
}

/* ---- Limits --------------------------------------------------------------------------------- */

static sark_cache_status checked(sark_cache_config config) { return sarki_config_check(&config); }

TEST(limits)
{
    typedef sark_cache_config config;
    CHECK(checked((config){.max_entries = (uint64_t)1 << 31}) == SARK_CACHE_OK);
    CHECK(checked((config){.max_entries = ((uint64_t)1 << 31) + 1}) == SARK_CACHE_BAD_MAX_ENTRIES);
    CHECK(checked((config){.max_entries = UINT64_MAX}) == SARK_CACHE_BAD_MAX_ENTRIES);
    CHECK(checked((config){.max_bytes = (size_t)SARKI_MAX_BYTES}) == SARK_CACHE_OK);
    CHECK(checked((config){.max_bytes = SIZE_MAX}) ==
          (SIZE_MAX > SARKI_MAX_BYTES ? SARK_CACHE_BAD_MAX_BYTES : SARK_CACHE_OK));
    CHECK(checked((config){.default_ttl_ms = SARK_CACHE_NO_EXPIRY}) == SARK_CACHE_OK);
    CHECK(checked((config){.default_ttl_ms = -1}) == SARK_CACHE_BAD_DEFAULT_TTL);
    CHECK(checked((config){.ttl_jitter_percent = 100}) == SARK_CACHE_OK);
    CHECK(checked((config){.ttl_jitter_percent = 101}) == SARK_CACHE_BAD_TTL_JITTER);
    CHECK(checked((config){.lease_count = 2}) == SARK_CACHE_OK);
    CHECK(checked((config){.lease_count = 1024}) == SARK_CACHE_OK);
    CHECK(checked((config){.lease_count = 1}) == SARK_CACHE_BAD_LEASE_COUNT);
    CHECK(checked((config){.lease_count = 1025}) == SARK_CACHE_BAD_LEASE_COUNT);
    CHECK(checked((config){.pin_count = 1024}) == SARK_CACHE_OK);
    CHECK(checked((config){.pin_count = 1025}) == SARK_CACHE_BAD_PIN_COUNT);
    for (uint32_t shards = 0; shards < 1100; shards++) {
        bool good = shards <= 256 && (shards & (shards - 1)) == 0;
        CHECK(checked((config){.shard_count = shards}) ==
              (good ? SARK_CACHE_OK : SARK_CACHE_BAD_SHARD_COUNT));
    }
}

/* More entries than any region holds. */
TEST(largest)
{
    sark_cache_config given = {.max_entries = (uint64_t)1 << 31}, full;
    CHECK(sark_cache_region_bytes(&given) == 0);
    CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_BAD_MAX_BYTES);
    given.max_entries = (uint64_t)1 << 26;
    if (SARKI_MAX_BYTES > SIZE_MAX / 2) return;
    CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK && tables_fit(&full));
    given.max_entries = 0;
    given.max_bytes = (size_t)SARKI_MAX_BYTES;
    CHECK(sarki_config_resolve(&given, 0, &full) == SARK_CACHE_OK && tables_fit(&full));
    sarki_layout layout = sarki_layout_of(&full);
    CHECK((full.max_bytes - layout.arena) / SARKI_GRANULE <= SARKI_MAX_GRANULES);
}

/* What every insert and eviction writes of a shard lies in two lines, as >>shard says; on other
   targets a mutex has another size. */
TEST(the_first_two_lines_of_a_shard)
{
#ifdef __x86_64__
    if (SARKI_WIDE) CHECK(offsetof(sarki_shard, a_entries) == 64);
    if (SARKI_WIDE) CHECK(offsetof(sarki_shard, a_sets) + sizeof(sarki_a64) <= 128);
#endif
    CHECK(offsetof(sarki_shard, recency) > offsetof(sarki_shard, a_sets));
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(defaults);
    RUN(limits);
    RUN(largest);
    RUN(defaults_leave_room);
    RUN(the_first_two_lines_of_a_shard);
    RUN(tables_of_many_configurations);
    RUN(resolved_configurations_stay);
    RUN(configurations_in_force);
    RUN(caches_in_guarded_memory);
    RUN(least_regions);
    RUN(every_alignment);
    RUN(narrow_and_wide_tables);
    RUN(larger_regions_in_small_steps);
    RUN(larger_regions_of_default_tables);
    RUN(larger_regions_of_many_leases);
    RUN(larger_regions_of_many_shards);
    RUN(small_regions);
    return test_summary();
}
