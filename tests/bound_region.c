/* Hard bounds: caches in buffers of 8 KiB (what 16 entries need), 64 KiB, 1 MiB and 64 MiB that lie
   between guard pages take inserts of random, heavy-tailed sizes, up to the largest that fits the
   empty cache. None fails, no bound is exceeded, no byte outside is touched, nothing is allocated,
   no value is damaged. */

#include "calls.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define SLACK_BYTES 13u
#define SLACK_FILL 0xA5
#define PATTERN_SHIFTS 4096u
#define KEYS (1u << 20)
#define TINY_BYTES 8u

/* Where in its pages the region lies. With an odd size only one end can touch a guard page. */
typedef enum placement { BOTH_ENDS, AT_END, AT_START } placement;

/* A region between two PROT_NONE pages; the slack is what the pages hold beside it. */
typedef struct guarded {
    unsigned char *map;
    size_t map_bytes;
    unsigned char *region;
    size_t region_bytes;
    unsigned char *slack;
    size_t slack_bytes;
} guarded;

static uint64_t random_state;
static unsigned char *pattern; /* the values are parts of it */

/* What was stored last under each key: length, and where in the pattern it begins. */
static struct stored {
    uint32_t value_bytes;
    uint32_t shift;
} stored[KEYS];

static bool guarded_make(guarded *area, size_t bytes, placement place)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t inner = (bytes + page - 1) / page * page;
    area->map_bytes = inner + 2 * page;
    area->map = mmap(NULL, area->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area->map == MAP_FAILED) return false;
    unsigned char *first = area->map + page;
    if (mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) return false;
    area->slack_bytes = place == BOTH_ENDS ? inner - bytes : SLACK_BYTES;
    area->region_bytes = inner - area->slack_bytes;
    area->region = place == AT_END ? first + area->slack_bytes : first;
    area->slack = place == AT_END ? first : first + area->region_bytes;
    memset(area->slack, SLACK_FILL, area->slack_bytes);
    return true;
}

static bool guarded_intact(const guarded *area)
{
    for (size_t i = 0; i < area->slack_bytes; i++)
        if (area->slack[i] != SLACK_FILL) return false;
    return true;
}

/* The longest value, under a key of 8 bytes, that the empty cache takes. */
static size_t largest_value(sark_cache *cache, size_t too_many, int64_t ttl_ms)
{
    uint64_t key = UINT64_MAX;
    size_t fits = 0;
    while (too_many - fits > 1) {
        size_t middle = fits + (too_many - fits) / 2;
        sark_cache_status status =
            sark_cache_set(cache, &key, sizeof key, pattern, middle, ttl_ms);
        if (status == SARK_CACHE_OK) {
            fits = middle;
            CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
        } else {
            CHECK(status == SARK_CACHE_TOO_LARGE);
            too_many = middle;
        }
    }
    return fits;
}

/* Mostly small, heavy-tailed, and once in a while from an eighth of the limit to all of it. */
static size_t draw_bytes(size_t limit)
{
    uint64_t big_every = limit / 4096 < 16 ? 16 : limit / 4096;
    if (test_below(&random_state, big_every) == 0) {
        if (test_below(&random_state, 4) == 0) return limit;
        return limit / 8 + (size_t)test_below(&random_state, limit - limit / 8) + 1;
    }
    uint64_t part = test_below(&random_state, 1u << 20) + 1;
    size_t bytes = (size_t)((16ull << 20) / part);
    return bytes > limit ? limit : bytes;
}

static void insert_once(sark_cache *cache, uint64_t key, size_t bytes, size_t limit,
                        int64_t ttl_ms)
{
    uint32_t shift = (uint32_t)test_below(&random_state, PATTERN_SHIFTS);
    sark_cache_status status =
        sark_cache_set(cache, &key, sizeof key, pattern + shift, bytes, ttl_ms);
    if (status != SARK_CACHE_OK)
        printf("  %zu bytes (at most %zu): %s\n", bytes, limit, sark_cache_status_text(status));
    CHECK(status == SARK_CACHE_OK);
    stored[key].value_bytes = (uint32_t)bytes;
    stored[key].shift = shift;
}

/* A hit, which also moves the entry in the order: the value must be the one stored last. */
static bool verify_once(sark_cache *cache, uint64_t key)
{
    sark_cache_pinned pinned;
    if (sark_cache_pin(cache, &key, sizeof key, &pinned) != SARK_CACHE_OK) return false;
    CHECK(pinned.value_bytes == stored[key].value_bytes);
    if (pinned.value_bytes == stored[key].value_bytes)
        CHECK(memcmp(pinned.value, pattern + stored[key].shift, pinned.value_bytes) == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    return true;
}

static void check_metrics(sark_cache *cache, const sark_cache_config *config)
{
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.max_entries == config->max_entries);
    CHECK(metrics.max_bytes == config->max_bytes);
    CHECK(metrics.entries == sark_cache_size(cache));
    CHECK(metrics.entries <= metrics.entries_peak);
    CHECK(metrics.entries_peak <= metrics.max_entries);
    CHECK(metrics.bytes <= metrics.bytes_peak);
    CHECK(metrics.bytes_peak <= metrics.max_bytes);
    CHECK(metrics.bytes_retired <= metrics.bytes);
    CHECK(metrics.pins_in_use == 0 && metrics.rejected_busy == 0);
}

/* What is too large by one byte is refused, and evicts nobody. */
static void check_too_large(sark_cache *cache, size_t limit)
{
    uint64_t key = UINT64_MAX;
    uint64_t before = sark_cache_size(cache);
    CHECK(sark_cache_set(cache, &key, sizeof key, pattern, limit + 1, SARK_CACHE_NO_EXPIRY) ==
          SARK_CACHE_TOO_LARGE);
    CHECK(sark_cache_size(cache) == before);
}

static void fill(sark_cache *cache, const sark_cache_config *config, uint64_t inserts)
{
    size_t limit = largest_value(cache, config->max_bytes, SARK_CACHE_NO_EXPIRY);
    size_t limit_ttl = largest_value(cache, config->max_bytes, 1000);
    printf("  max_bytes %zu, max_entries %llu, longest value %zu, with a TTL %zu\n",
           config->max_bytes, (unsigned long long)config->max_entries, limit, limit_ttl);
    if (config->max_bytes >= 64u << 10) /* in smaller ones the tables take more */
        REQUIRE(limit > config->max_bytes / 2 && limit_ttl > config->max_bytes / 2);
    REQUIRE(limit >= 16 * 64 && limit_ttl >= 16 * 64);
    uint64_t keys = 2 * config->max_entries < KEYS ? 2 * config->max_entries : KEYS;
    uint64_t verified = 0, total_bytes = 0;
    for (uint64_t i = 0; i < inserts; i++) {
        uint64_t key = test_below(&random_state, keys);
        /* At times all are tiny, so that max_entries binds. */
        bool tiny = i / (4 * config->max_entries) % 4 == 1;
        bool ttl = test_below(&random_state, 4) == 0;
        size_t most = ttl ? limit_ttl : limit;
        int64_t ttl_ms = ttl ? 1 + (int64_t)test_below(&random_state, 20) : SARK_CACHE_NO_EXPIRY;
        size_t bytes = tiny ? 1 + (size_t)test_below(&random_state, TINY_BYTES) : draw_bytes(most);
        insert_once(cache, key, bytes, most, ttl_ms);
        total_bytes += bytes;
        verified += verify_once(cache, test_below(&random_state, keys));
        if (i % 512 == 0) check_metrics(cache, config);
        if (i % 4096 == 0) check_too_large(cache, limit);
    }
    CHECK(verified > 0);
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    printf("  %llu evictions for entries, %llu for bytes; peak %llu entries\n",
           (unsigned long long)metrics.evictions_for_entries,
           (unsigned long long)metrics.evictions_for_bytes,
           (unsigned long long)metrics.entries_peak);
    if (total_bytes > 20 * config->max_bytes) CHECK(metrics.evictions_for_bytes > 0);
    if (inserts > 8 * config->max_entries) CHECK(metrics.entries_peak == metrics.max_entries);
}

/* max_entries 0: the default. */
static void fill_region(size_t bytes, uint64_t max_entries, placement place, uint64_t inserts)
{
    guarded area;
    REQUIRE(guarded_make(&area, bytes, place));
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = max_entries};
    REQUIRE(sark_cache_create_in(&cache, &config, area.region, area.region_bytes) == SARK_CACHE_OK);
    CHECK(sark_cache_get_config(cache, &config) == SARK_CACHE_OK);
    CHECK(config.max_bytes <= area.region_bytes);
    CHECK(config.max_bytes + 4096 >= area.region_bytes);
    memset(stored, 0, sizeof stored);

    fflush(stdout);
    uint64_t pages_before = calls_mapped_pages();
    uint64_t calls_before = calls_memory_now();
    fill(cache, &config, inserts);
    CHECK(calls_memory_now() == calls_before);
    if (CALLS_OWN_SYMBOLS) CHECK(calls_mapped_pages() == pages_before);

    char report[256] = "";
    CHECK(sark_cache_check(cache, report, sizeof report));
    if (report[0]) printf("  %s\n", report);
    check_metrics(cache, &config);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    CHECK(guarded_intact(&area));
    CHECK(munmap(area.map, area.map_bytes) == 0);
}

static void fill_in_all_places(size_t bytes, uint64_t max_entries)
{
    fill_region(bytes, max_entries, BOTH_ENDS, test_scaled(1000000, 1000));
    fill_region(bytes, max_entries, AT_END, test_scaled(200000, 1000));
    fill_region(bytes, max_entries, AT_START, test_scaled(200000, 1000));
}

TEST(smallest_region)
{
    sark_cache_config config = {.max_entries = 16};
    size_t bytes = sark_cache_region_bytes(&config);
    printf("  %zu bytes for 16 entries\n", bytes);
    CHECK(bytes <= 8192);
    fill_in_all_places(bytes, config.max_entries);
}

TEST(region_of_64_kib)
{
    fill_in_all_places(64u << 10, 0);
}

TEST(region_of_1_mib)
{
    fill_in_all_places(1u << 20, 0);
}

TEST(region_of_64_mib)
{
    fill_in_all_places(64u << 20, 0);
}

int main(void)
{
    size_t pattern_bytes = (64u << 20) + PATTERN_SHIFTS;
    random_state = test_seed();
    pattern = malloc(pattern_bytes);
    if (!pattern) return 1;
    for (size_t i = 0; i < pattern_bytes; i++)
        pattern[i] = (unsigned char)(test_random(&random_state) >> 56);
    test_watchdog(600);
    RUN(smallest_region);
    RUN(region_of_64_kib);
    RUN(region_of_1_mib);
    RUN(region_of_64_mib);
    free(pattern);
    return test_summary();
}
