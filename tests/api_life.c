/* Black box: creation, configuration and destruction; what is out of range, what an allocator and
   a caller's buffer may look like, and that not a byte outside the region is written. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

#include <sched.h>
#include <time.h>

#define REGION_BYTES (2u << 20)
#define GUARD_BYTES 256u
#define GUARD 0xA5

static _Alignas(64) unsigned char region[GUARD_BYTES + REGION_BYTES + GUARD_BYTES];

static bool guards_intact(const unsigned char *start, size_t bytes)
{
    for (const unsigned char *byte = region; byte < start; byte++)
        if (*byte != GUARD) return false;
    for (const unsigned char *byte = start + bytes; byte < region + sizeof region; byte++)
        if (*byte != GUARD) return false;
    return true;
}

/* Sets count entries of 8-byte keys and 16-byte values; returns how many were refused. */
static uint64_t fill(sark_cache *cache, uint64_t count)
{
    uint64_t refused = 0;
    for (uint64_t key = 0; key < count; key++) {
        uint64_t value[2] = {key, ~key};
        refused += sark_cache_set(cache, &key, sizeof key, value, sizeof value, 0) !=
                   SARK_CACHE_OK;
    }
    return refused;
}

/* How many of the keys first <= key < end have their value. */
static uint64_t intact(sark_cache *cache, uint64_t first, uint64_t end)
{
    uint64_t found = 0;
    for (uint64_t key = first; key < end; key++) {
        uint64_t value[2] = {0, 0};
        size_t value_bytes = 0;
        sark_cache_status status =
            sark_cache_get(cache, &key, sizeof key, value, sizeof value, &value_bytes);
        found += status == SARK_CACHE_OK && value_bytes == sizeof value && value[0] == key &&
                 value[1] == ~key;
    }
    return found;
}

/* ---- Defaults ------------------------------------------------------------------------------- */

TEST(all_defaults)
{
    sark_cache *cache = NULL;
    REQUIRE(sark_cache_create(&cache, NULL) == SARK_CACHE_OK);
    sark_cache_config config = {0};
    CHECK(sark_cache_get_config(cache, &config) == SARK_CACHE_OK);
    CHECK(config.max_bytes == (size_t)64 << 20);
    CHECK(config.max_entries == ((size_t)64 << 20) / 128);
    CHECK(config.ttl_jitter_percent == 0);
    CHECK(config.shard_count >= 1 && config.shard_count <= 256);
    CHECK((config.shard_count & (config.shard_count - 1)) == 0);
    CHECK(config.lease_count == 64);
    CHECK(config.pin_count == 16);
    CHECK(config.cleanup_interval_ms == 0);
    CHECK(config.latency_sample_every == 0);
    CHECK(config.hash_seed == 0);
    CHECK(sark_cache_size(cache) == 0);
    CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
    CHECK(ttl_of(cache, "key") == SARK_CACHE_NO_EXPIRY);
    CHECK(get_is(cache, "key", "value"));
    FINISH(cache);
}

TEST(defaults_that_follow_other_fields)
{
    static const struct {
        uint64_t max_entries;
        size_t max_bytes;
        uint64_t entries_in_force;
        size_t bytes_in_force;
    } rows[] = {
        {1, 0, 1, 1u << 20},           {1000, 0, 1000, 1u << 20},
        {10000, 0, 10000, 10240000},   {0, 1u << 20, 8192, 1u << 20},
        {0, 1u << 16, 512, 1u << 16},  {500, 1u << 17, 500, 1u << 17},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        sark_cache_config config = {.max_entries = rows[row].max_entries,
                                    .max_bytes = rows[row].max_bytes};
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        sark_cache_config in_force;
        CHECK(sark_cache_get_config(cache, &in_force) == SARK_CACHE_OK);
        CHECK(in_force.max_entries == rows[row].entries_in_force);
        CHECK(in_force.max_bytes == rows[row].bytes_in_force);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.max_entries == in_force.max_entries);
        CHECK(metrics.max_bytes == in_force.max_bytes);
        CHECK(fill(cache, 600) == 0);
        FINISH(cache);
    }
}

TEST(given_fields_are_in_force)
{
    sark_cache_config config = support_config(77);
    config.max_bytes = 1u << 18;
    config.default_ttl_ms = 1234;
    config.ttl_jitter_percent = 7;
    config.shard_count = 8;
    config.lease_count = 5;
    config.pin_count = 3;
    config.touch_interval_ms = 11;
    config.latency_sample_every = 9;
    config.hash_seed = 0xFEEDFACECAFEBEEFu;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sark_cache_config in_force;
    CHECK(sark_cache_get_config(cache, &in_force) == SARK_CACHE_OK);
    CHECK(in_force.max_entries == 77 && in_force.max_bytes == 1u << 18);
    CHECK(in_force.default_ttl_ms == 1234 && in_force.ttl_jitter_percent == 7);
    CHECK(in_force.shard_count == 8 && in_force.lease_count == 5 && in_force.pin_count == 3);
    CHECK(in_force.cleanup_interval_ms == 0 && in_force.touch_interval_ms == 11);
    CHECK(in_force.latency_sample_every == 9);
    CHECK(in_force.clock.now_ms == support_clock && in_force.on_remove == support_on_remove);
    CHECK(in_force.on_remove_context == config.on_remove_context);
    CHECK(in_force.hash_seed == 0);
    FINISH(cache);
}

/* ---- Out of range --------------------------------------------------------------------------- */

typedef struct bad_row {
    const char *field;
    sark_cache_status status;
    sark_cache_config config;
} bad_row;

static const bad_row bad_rows[] = {
    {"max_entries", SARK_CACHE_BAD_MAX_ENTRIES, {.max_entries = ((uint64_t)1 << 31) + 1}},
    {"max_entries", SARK_CACHE_BAD_MAX_ENTRIES, {.max_entries = UINT64_MAX}},
    {"max_bytes", SARK_CACHE_BAD_MAX_BYTES, {.max_entries = 1, .max_bytes = 1}},
    {"max_bytes", SARK_CACHE_BAD_MAX_BYTES, {.max_entries = 100000, .max_bytes = 65536}},
    /* Their index takes 2^32 bytes and a few, or many more. */
    {"max_bytes", SARK_CACHE_BAD_MAX_BYTES, {.max_entries = 419430400, .max_bytes = 1u << 20}},
    {"max_bytes", SARK_CACHE_BAD_MAX_BYTES, {.max_entries = 838860800, .max_bytes = 1u << 20}},
    {"max_bytes", SARK_CACHE_BAD_MAX_BYTES, {.max_entries = 1u << 31, .max_bytes = 1u << 20}},
#if SIZE_MAX > UINT32_MAX
    {"max_bytes", SARK_CACHE_BAD_MAX_BYTES, {.max_bytes = ((size_t)64 << 30) + 1}},
    {"max_bytes", SARK_CACHE_BAD_MAX_BYTES, {.max_entries = 100, .max_bytes = SIZE_MAX}},
#endif
    {"default_ttl", SARK_CACHE_BAD_DEFAULT_TTL, {.max_entries = 9, .default_ttl_ms = -1}},
    {"default_ttl", SARK_CACHE_BAD_DEFAULT_TTL, {.max_entries = 9, .default_ttl_ms = INT64_MIN}},
    {"ttl_jitter", SARK_CACHE_BAD_TTL_JITTER, {.max_entries = 9, .ttl_jitter_percent = 101}},
    {"ttl_jitter",
     SARK_CACHE_BAD_TTL_JITTER,
     {.max_entries = 9, .ttl_jitter_percent = UINT32_MAX}},
    {"shard_count", SARK_CACHE_BAD_SHARD_COUNT, {.max_entries = 999, .shard_count = 3}},
    {"shard_count", SARK_CACHE_BAD_SHARD_COUNT, {.max_entries = 999, .shard_count = 255}},
    {"shard_count", SARK_CACHE_BAD_SHARD_COUNT, {.max_entries = 999, .shard_count = 257}},
    {"shard_count", SARK_CACHE_BAD_SHARD_COUNT, {.max_entries = 999, .shard_count = 512}},
    {"shard_count", SARK_CACHE_BAD_SHARD_COUNT, {.max_entries = 999, .shard_count = 1u << 31}},
    {"lease_count", SARK_CACHE_BAD_LEASE_COUNT, {.max_entries = 9, .lease_count = 1}},
    {"lease_count", SARK_CACHE_BAD_LEASE_COUNT, {.max_entries = 9, .lease_count = 1025}},
    {"lease_count", SARK_CACHE_BAD_LEASE_COUNT, {.max_entries = 9, .lease_count = UINT32_MAX}},
    {"pin_count", SARK_CACHE_BAD_PIN_COUNT, {.max_entries = 9, .pin_count = 1025}},
    {"pin_count", SARK_CACHE_BAD_PIN_COUNT, {.max_entries = 9, .pin_count = UINT32_MAX}},
    {"reserved", SARK_CACHE_BAD_RESERVED, {.max_entries = 9, .reserved = {1}}},
    {"reserved", SARK_CACHE_BAD_RESERVED, {.max_entries = 9, .reserved = {[7] = UINT64_MAX}}},
};

static sark_cache *no_cache(void)
{
    static char nothing;
    void *address = &nothing;
    return address;
}

TEST(each_bad_field_has_its_code)
{
    for (size_t row = 0; row < sizeof bad_rows / sizeof *bad_rows; row++) {
        const bad_row *bad = &bad_rows[row];
        sark_cache *cache = no_cache();
        sark_cache_status status = sark_cache_create(&cache, &bad->config);
        CHECK(status == bad->status);
        if (status != bad->status)
            printf("  row %zu: %d instead of %d\n", row, status, bad->status);
        CHECK(cache == NULL);
        CHECK(strstr(sark_cache_status_text(status), bad->field) != NULL);
        CHECK(sark_cache_region_bytes(&bad->config) == 0 ||
              bad->status == SARK_CACHE_BAD_MAX_BYTES);
        if (status == SARK_CACHE_OK) CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    }
}

TEST(a_bad_field_is_refused_in_a_buffer_too)
{
    for (size_t row = 0; row < sizeof bad_rows / sizeof *bad_rows; row++) {
        const bad_row *bad = &bad_rows[row];
        if (bad->status == SARK_CACHE_BAD_MAX_BYTES) continue;
        sark_cache *cache = no_cache();
        CHECK(sark_cache_create_in(&cache, &bad->config, region, sizeof region) == bad->status);
        CHECK(cache == NULL);
    }
}

/* Tables beyond any region: refused, whatever their sizes come to when counted in 32 bits. */
TEST(more_entries_than_a_buffer_can_hold)
{
    for (uint64_t max_entries = 1u << 20; max_entries <= (uint64_t)1 << 31; max_entries += 999983) {
        sark_cache_config config = {.max_entries = max_entries};
        size_t needed = sark_cache_region_bytes(&config);
        CHECK(needed == 0 || needed > max_entries * 64);
        sark_cache *cache = no_cache();
        sark_cache_status status = sark_cache_create_in(&cache, &config, region, sizeof region);
        CHECK(status < SARK_CACHE_OK && cache == NULL);
        if (status >= SARK_CACHE_OK) return;
    }
}

TEST(limits_themselves_are_in_range)
{
    static const sark_cache_config rows[] = {
        {.max_entries = 9, .default_ttl_ms = SARK_CACHE_NO_EXPIRY},
        {.max_entries = 9, .default_ttl_ms = 1},
        {.max_entries = 9, .ttl_jitter_percent = 100},
        {.max_entries = 9, .shard_count = 1},
        {.max_entries = 999, .shard_count = 256},
        {.max_entries = 9, .lease_count = 2},
        {.max_entries = 9, .lease_count = 1024},
        {.max_entries = 9, .pin_count = 1},
        {.max_entries = 9, .pin_count = 1024},
        {.max_entries = 9, .latency_sample_every = UINT32_MAX},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        sark_cache_config config = rows[row];
        config.clock.now_ms = support_clock; /* stands still: a millisecond is soon over */
        CHECK(sark_cache_region_bytes(&config) != 0);
        sark_cache *cache = support_create(&config);
        if (!cache) continue;
        CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
        CHECK(peek_is(cache, "key", "value"));
        FINISH(cache);
    }
}

TEST(the_version_is_that_of_the_header)
{
    CHECK(sark_cache_version() == SARK_CACHE_VERSION);
}

TEST(every_status_has_a_text)
{
    for (int code = SARK_CACHE_OVERFLOW; code <= SARK_CACHE_EXISTS; code++) {
        const char *text = sark_cache_status_text((sark_cache_status)code);
        REQUIRE(text != NULL);
        CHECK(strlen(text) > 1);
        for (int other = SARK_CACHE_OVERFLOW; other < code; other++)
            CHECK(strcmp(text, sark_cache_status_text((sark_cache_status)other)) != 0);
    }
    CHECK(sark_cache_status_text((sark_cache_status)3) != NULL);
    CHECK(sark_cache_status_text((sark_cache_status)1000) != NULL);
    CHECK(sark_cache_status_text((sark_cache_status)-1000) != NULL);
    CHECK(strstr(sark_cache_status_text(SARK_CACHE_BAD_ALLOCATOR), "allocator") != NULL);
    CHECK(strstr(sark_cache_status_text(SARK_CACHE_REGION_TOO_SMALL), "region") != NULL);
    CHECK(strcmp(sark_cache_cause_text(SARK_CACHE_EXPIRED), "expired") == 0);
    for (int cause = 0; cause <= SARK_CACHE_DESTROYED + 1; cause++)
        for (int other = 0; other < cause; other++)
            CHECK(strcmp(sark_cache_cause_text((sark_cache_cause)cause),
                         sark_cache_cause_text((sark_cache_cause)other)) != 0);
    CHECK(sark_cache_cause_text((sark_cache_cause)-1) != NULL);
}

/* ---- The allocator -------------------------------------------------------------------------- */

typedef struct hooks {
    int allocated, released, fail;
    size_t bytes, offset; /* what was asked for; distance from a multiple of 64 */
    unsigned char *block;
} hooks;

static void *hooks_allocate(void *context, size_t bytes)
{
    hooks *mine = context;
    mine->allocated++;
    mine->bytes = bytes;
    if (mine->fail || bytes > REGION_BYTES) return NULL;
    mine->block = region + GUARD_BYTES + mine->offset;
    memset(region, GUARD, sizeof region);
    return mine->block;
}

static void hooks_release(void *context, void *block, size_t bytes)
{
    hooks *mine = context;
    mine->released++;
    CHECK(block == mine->block);
    CHECK(bytes == mine->bytes);
}

static sark_cache_config hooks_config(hooks *mine)
{
    sark_cache_config config = support_config(500);
    config.max_bytes = 1u << 17;
    config.allocator = (sark_cache_allocator){hooks_allocate, hooks_release, mine};
    return config;
}

TEST(the_allocator_is_called_once)
{
    for (size_t offset = 0; offset < 64; offset += _Alignof(max_align_t)) {
        hooks mine = {.offset = offset};
        sark_cache_config config = hooks_config(&mine);
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(mine.allocated == 1 && mine.released == 0);
        CHECK(mine.bytes == 1u << 17);
        CHECK(fill(cache, 5000) == 0);
        CHECK(sark_cache_size(cache) == 500);
        CHECK(intact(cache, 0, 4500) == 0);
        CHECK(intact(cache, 4500, 5000) == 500);
        CHECK(holds(cache));
        CHECK(mine.allocated == 1 && mine.released == 0);
        CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
        CHECK(mine.allocated == 1 && mine.released == 1);
        CHECK(guards_intact(mine.block, mine.bytes));
    }
}

TEST(an_allocator_that_fails)
{
    hooks mine = {.fail = 1};
    sark_cache_config config = hooks_config(&mine);
    sark_cache *cache = no_cache();
    CHECK(sark_cache_create(&cache, &config) == SARK_CACHE_NO_MEMORY);
    CHECK(cache == NULL);
    CHECK(mine.allocated == 1 && mine.released == 0);
}

TEST(nothing_is_allocated_for_a_bad_configuration)
{
    for (size_t row = 0; row < sizeof bad_rows / sizeof *bad_rows; row++) {
        hooks mine = {0};
        sark_cache_config config = bad_rows[row].config;
        config.allocator = (sark_cache_allocator){hooks_allocate, hooks_release, &mine};
        sark_cache *cache = no_cache();
        CHECK(sark_cache_create(&cache, &config) == bad_rows[row].status);
        CHECK(mine.allocated == 0 && mine.released == 0);
    }
}

TEST(half_an_allocator)
{
    hooks mine = {0};
    sark_cache_config config = hooks_config(&mine);
    sark_cache *cache = no_cache();
    config.allocator.release = NULL;
    CHECK(sark_cache_create(&cache, &config) == SARK_CACHE_BAD_ALLOCATOR);
    CHECK(cache == NULL);
    config = hooks_config(&mine);
    config.allocator.allocate = NULL;
    cache = no_cache();
    CHECK(sark_cache_create(&cache, &config) == SARK_CACHE_BAD_ALLOCATOR);
    CHECK(cache == NULL && mine.allocated == 0);
}

/* ---- The caller's buffer -------------------------------------------------------------------- */

static const sark_cache_config buffer_rows[] = {
    {.max_entries = 1},
    {.max_entries = 2, .shard_count = 1},
    {.max_entries = 64},
    {.max_entries = 1000},
    {.max_entries = 64, .shard_count = 2},
    {.max_entries = 64, .shard_count = 64},
    {.max_entries = 64, .shard_count = 256},
    {.max_entries = 64, .lease_count = 2},
    {.max_entries = 64, .lease_count = 1024},
    {.max_entries = 64, .pin_count = 1},
    {.max_entries = 64, .pin_count = 1024},
    {.max_entries = 64, .latency_sample_every = 1},
    {.max_entries = 64, .shard_count = 16, .lease_count = 100, .pin_count = 100},
};

TEST(region_bytes_is_enough_and_no_more_is_needed)
{
    for (size_t row = 0; row < sizeof buffer_rows / sizeof *buffer_rows; row++) {
        const sark_cache_config *config = &buffer_rows[row];
        size_t needed = sark_cache_region_bytes(config);
        REQUIRE(needed > 0 && needed <= REGION_BYTES);
        unsigned char *start = region + GUARD_BYTES;
        memset(region, GUARD, sizeof region);
        sark_cache *cache = no_cache();
        CHECK(sark_cache_create_in(&cache, config, start, needed - 1) ==
              SARK_CACHE_REGION_TOO_SMALL);
        CHECK(cache == NULL);
        CHECK(guards_intact(start, needed - 1));
        sark_cache_status status = sark_cache_create_in(&cache, config, start, needed);
        if (status != SARK_CACHE_OK) printf("  row %zu: %d\n", row, status);
        REQUIRE(status == SARK_CACHE_OK);
        CHECK(fill(cache, config->max_entries) == 0);
        CHECK(sark_cache_size(cache) == config->max_entries);
        CHECK(intact(cache, 0, config->max_entries) == config->max_entries);
        CHECK(fill(cache, 3000) == 0);
        CHECK(intact(cache, 3000 - config->max_entries, 3000) == config->max_entries);
        FINISH(cache);
        CHECK(guards_intact(start, needed));
    }
}

/* A larger buffer serves any configuration that a smaller one serves. */
TEST(a_larger_buffer_is_as_good)
{
    enum { LARGEST = 4 << 20 };
    unsigned char *buffer = malloc(LARGEST);
    REQUIRE(buffer != NULL);
    for (size_t row = 0; row < sizeof buffer_rows / sizeof *buffer_rows; row++) {
        const sark_cache_config *config = &buffer_rows[row];
        size_t needed = sark_cache_region_bytes(config), wrong = 0;
        for (size_t bytes = needed; bytes <= LARGEST; bytes += bytes / 20) {
            sark_cache *cache = NULL;
            sark_cache_status status = sark_cache_create_in(&cache, config, buffer, bytes);
            if (status != SARK_CACHE_OK && wrong++ == 0)
                printf("  row %zu: needs %zu, and %zu give %d\n", row, needed, bytes, status);
            if (status != SARK_CACHE_OK) continue;
            CHECK(fill(cache, config->max_entries) == 0);
            CHECK(sark_cache_size(cache) == config->max_entries);
            CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
        }
        CHECK(wrong == 0);
    }
    free(buffer);
}

TEST(a_buffer_of_any_alignment)
{
    sark_cache_config config = {.max_entries = 100, .shard_count = 4};
    size_t needed = sark_cache_region_bytes(&config);
    REQUIRE(needed > 0 && needed <= REGION_BYTES - 128);
    for (size_t offset = 0; offset <= 128; offset++) {
        unsigned char *start = region + GUARD_BYTES + offset;
        memset(region, GUARD, sizeof region);
        sark_cache *cache = NULL;
        REQUIRE(sark_cache_create_in(&cache, &config, start, needed) == SARK_CACHE_OK);
        CHECK(fill(cache, 300) == 0);
        CHECK(intact(cache, 200, 300) == 100);
        FINISH(cache);
        CHECK(guards_intact(start, needed));
    }
}

TEST(a_region_too_small)
{
    sark_cache_config config = {.max_entries = 100};
    size_t needed = sark_cache_region_bytes(&config);
    memset(region, GUARD, sizeof region);
    for (size_t bytes = 0; bytes < needed; bytes += bytes < 300 ? 1 : 97) {
        sark_cache *cache = no_cache();
        CHECK(sark_cache_create_in(&cache, &config, region, bytes) ==
              SARK_CACHE_REGION_TOO_SMALL);
        CHECK(cache == NULL);
        CHECK(sark_cache_create_in(&cache, NULL, region, bytes < 256 ? bytes : 256) ==
              SARK_CACHE_REGION_TOO_SMALL);
    }
    config.max_entries = (uint64_t)1 << 27; /* no region is large enough for those */
    CHECK(sark_cache_region_bytes(&config) == 0);
    for (size_t bytes = 0; bytes <= sizeof region; bytes += sizeof region) {
        sark_cache *cache = no_cache();
        CHECK(sark_cache_create_in(&cache, &config, region, bytes) ==
              SARK_CACHE_REGION_TOO_SMALL);
        CHECK(cache == NULL);
    }
    CHECK(guards_intact(region + sizeof region, 0));
}

TEST(the_buffer_alone_sets_the_sizes)
{
    sark_cache *cache = NULL;
    unsigned char *start = region + GUARD_BYTES;
    memset(region, GUARD, sizeof region);
    REQUIRE(sark_cache_create_in(&cache, NULL, start, 1u << 16) == SARK_CACHE_OK);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.max_bytes <= 1u << 16 && metrics.max_bytes >= (1u << 16) - 256);
    CHECK(metrics.max_entries <= (1u << 16) / 128 && metrics.max_entries >= 256);
    CHECK(fill(cache, 5000) == 0);
    CHECK(sark_cache_size(cache) > 100);
    FINISH(cache);
    CHECK(guards_intact(start, 1u << 16));
}

TEST(max_bytes_bounds_a_larger_buffer)
{
    sark_cache *cache = NULL;
    unsigned char *start = region + GUARD_BYTES; /* a multiple of 64 */
    memset(region, GUARD, sizeof region);
    sark_cache_config config = {.max_bytes = 1u << 16};
    REQUIRE(sark_cache_create_in(&cache, &config, start, REGION_BYTES) == SARK_CACHE_OK);
    CHECK(metrics_of(cache).max_bytes <= 1u << 16);
    CHECK(fill(cache, 5000) == 0);
    CHECK(metrics_of(cache).bytes_peak <= 1u << 16);
    FINISH(cache);
    CHECK(guards_intact(start, 1u << 16));
}

TEST(the_allocator_is_not_used_for_a_buffer)
{
    hooks mine = {.fail = 1};
    sark_cache_config config = hooks_config(&mine);
    config.max_bytes = 0;
    sark_cache *cache = NULL;
    REQUIRE(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
    FINISH(cache);
    CHECK(mine.allocated == 0 && mine.released == 0);
    CHECK(removal_is(support_removals(), 0, "key", "value", SARK_CACHE_DESTROYED));
}

/* ---- Shapes --------------------------------------------------------------------------------- */

TEST(one_entry)
{
    sark_cache_config config = support_config(1);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "a", "2", 0) == SARK_CACHE_OK);
    CHECK(get_is(cache, "a", "2"));
    CHECK(put(cache, "b", "3", 0) == SARK_CACHE_OK);
    CHECK(get_is(cache, "a", NULL) && get_is(cache, "b", "3"));
    CHECK(sark_cache_size(cache) == 1);
    CHECK(drop(cache, "b") == SARK_CACHE_OK);
    CHECK(sark_cache_size(cache) == 0);
    CHECK(put(cache, "c", "4", 0) == SARK_CACHE_OK);
    support_record *record = support_removals();
    CHECK(record->count == 3);
    CHECK(removal_is(record, 0, "a", "1", SARK_CACHE_REPLACED));
    CHECK(removal_is(record, 1, "a", "2", SARK_CACHE_EVICTED));
    CHECK(removal_is(record, 2, "b", "3", SARK_CACHE_DELETED));
    FINISH(cache);
    CHECK(record->count == 4);
}

TEST(every_shard_count_is_exact)
{
    for (uint32_t shard_count = 1; shard_count <= 256; shard_count *= 2) {
        sark_cache_config config = {.max_entries = 100, .shard_count = shard_count};
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        sark_cache_config in_force;
        CHECK(sark_cache_get_config(cache, &in_force) == SARK_CACHE_OK);
        CHECK(in_force.shard_count == shard_count);
        CHECK(fill(cache, 1000) == 0);
        CHECK(sark_cache_size(cache) == 100);
        CHECK(intact(cache, 0, 900) == 0);
        CHECK(intact(cache, 900, 1000) == 100);
        FINISH(cache);
    }
}

TEST(two_leases)
{
    sark_cache_config config = {.max_entries = 100, .lease_count = 2};
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(fill(cache, 1000) == 0);
    for (int round = 0; round < 100; round++) CHECK(intact(cache, 900, 1000) == 100);
    if (SUPPORT_LOCK_FREE) CHECK(metrics_of(cache).lock_fallbacks == 0);
    CHECK(metrics_of(cache).leases_in_use == 0);
    FINISH(cache);
}

TEST(two_caches_know_nothing_of_each_other)
{
    sark_cache_config config = {.max_entries = 10};
    sark_cache *one = support_create(&config), *other = support_create(&config);
    REQUIRE(one != NULL && other != NULL);
    CHECK(put(one, "key", "one", 0) == SARK_CACHE_OK);
    CHECK(put(other, "key", "other", 0) == SARK_CACHE_OK);
    CHECK(get_is(one, "key", "one") && get_is(other, "key", "other"));
    CHECK(drop(one, "key") == SARK_CACHE_OK);
    CHECK(get_is(other, "key", "other"));
    FINISH(one);
    CHECK(get_is(other, "key", "other"));
    FINISH(other);
}

TEST(a_cleanup_thread_comes_and_goes)
{
    for (uint32_t round = 0; round < 50; round++) {
        sark_cache_config config = {.max_entries = 100, .cleanup_interval_ms = 1 + round % 2u * 99};
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.cleanup_thread_wanted && metrics.cleanup_thread_running);
        CHECK(fill(cache, 200) == 0);
        CHECK(intact(cache, 100, 200) == 100);
        FINISH(cache);
    }
}

TEST(no_cleanup_thread_unless_wanted)
{
    sark_cache_config config = {.max_entries = 100};
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(!metrics.cleanup_thread_wanted && !metrics.cleanup_thread_running);
    FINISH(cache);
}

/* ---- The end -------------------------------------------------------------------------------- */

TEST(destroy_reports_every_entry_once)
{
    sark_cache_config config = support_config(300);
    config.shard_count = 8;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(fill(cache, 300) == 0);
    support_record *record = support_removals();
    CHECK(record->count == 0);
    FINISH(cache);
    CHECK(record->count == 300);
    bool seen[300] = {false};
    for (size_t index = 0; index < record->count && index < 300; index++) {
        uint64_t key = UINT64_MAX, value[2];
        memcpy(&key, record->removals[index].key, sizeof key);
        memcpy(value, record->removals[index].value, sizeof value);
        REQUIRE(key < 300 && !seen[key]);
        seen[key] = true;
        CHECK(value[0] == key && value[1] == ~key);
        CHECK(record->removals[index].cause == SARK_CACHE_DESTROYED);
    }
}

TEST(destroy_waits_for_no_pin_but_refuses)
{
    hooks mine = {0};
    sark_cache_config config = hooks_config(&mine);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
    sark_cache_pinned pinned;
    CHECK(sark_cache_pin(cache, "key", 3, &pinned) == SARK_CACHE_OK);
    for (int round = 0; round < 3; round++)
        CHECK(sark_cache_destroy(cache) == SARK_CACHE_BUSY);
    CHECK(mine.released == 0 && support_removals()->count == 0);
    CHECK(get_is(cache, "key", "value"));
    CHECK(put(cache, "other", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    FINISH(cache);
    CHECK(mine.released == 1 && support_removals()->count == 2);
}

static sark_cache *ending;
static sark_cache_pinned late;
static _Atomic(uint32_t) expired;
static _Atomic(bool) destroying;

/* The first callback pins an entry while the cache is being destroyed. */
static void pin_late(void *context, const void *key, size_t key_bytes, const void *value,
                     size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes;
    if (cause != SARK_CACHE_EXPIRED) return;
    CHECK(metrics_of(ending).cleanup_thread_running);
    if (atomic_fetch_add(&expired, 1) > 0) return;
    struct timespec pause = {0, 50000000};
    while (!atomic_load(&destroying)) sched_yield();
    while (nanosleep(&pause, &pause) != 0) continue;
    CHECK(sark_cache_pin(ending, "kept", 4, &late) == SARK_CACHE_OK);
}

TEST(a_pin_that_the_last_callback_takes)
{
    sark_cache_config config = {.max_entries = 10, .cleanup_interval_ms = 1, .on_remove = pin_late};
    REQUIRE(sark_cache_create(&ending, &config) == SARK_CACHE_OK);
    CHECK(put(ending, "kept", "value", 0) == SARK_CACHE_OK);
    CHECK(put(ending, "later", "value", 200) == SARK_CACHE_OK);
    CHECK(put(ending, "soon", "value", 1) == SARK_CACHE_OK);
    while (atomic_load(&expired) == 0) sched_yield();
    atomic_store(&destroying, true);
    REQUIRE(sark_cache_destroy(ending) == SARK_CACHE_BUSY);
    REQUIRE(late.value_bytes == 5 && memcmp(late.value, "value", 5) == 0);
    while (atomic_load(&expired) == 1) sched_yield(); /* the thread goes on */
    CHECK(sark_cache_unpin(ending, &late) == SARK_CACHE_OK);
    FINISH(ending);
}

TEST(null_where_none_is_allowed)
{
    sark_cache_config config = {.max_entries = 10};
    CHECK(sark_cache_create(NULL, &config) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_create(NULL, NULL) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_create_in(NULL, &config, region, sizeof region) == SARK_CACHE_BAD_ARGUMENT);
    sark_cache *cache = no_cache();
    CHECK(sark_cache_create_in(&cache, &config, NULL, sizeof region) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(cache == NULL);
    CHECK(sark_cache_region_bytes(NULL) > 0);
    CHECK(sark_cache_destroy(NULL) == SARK_CACHE_OK);
    CHECK(sark_cache_get_config(NULL, &config) == SARK_CACHE_BAD_ARGUMENT);
    cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_get_config(cache, NULL) == SARK_CACHE_BAD_ARGUMENT);
    FINISH(cache);
}

int main(void)
{
    RUN(all_defaults);
    RUN(defaults_that_follow_other_fields);
    RUN(given_fields_are_in_force);
    RUN(each_bad_field_has_its_code);
    RUN(a_bad_field_is_refused_in_a_buffer_too);
    RUN(more_entries_than_a_buffer_can_hold);
    RUN(limits_themselves_are_in_range);
    RUN(the_version_is_that_of_the_header);
    RUN(every_status_has_a_text);
    RUN(the_allocator_is_called_once);
    RUN(an_allocator_that_fails);
    RUN(nothing_is_allocated_for_a_bad_configuration);
    RUN(half_an_allocator);
    RUN(region_bytes_is_enough_and_no_more_is_needed);
    RUN(a_larger_buffer_is_as_good);
    RUN(a_buffer_of_any_alignment);
    RUN(a_region_too_small);
    RUN(the_buffer_alone_sets_the_sizes);
    RUN(max_bytes_bounds_a_larger_buffer);
    RUN(the_allocator_is_not_used_for_a_buffer);
    RUN(one_entry);
    RUN(every_shard_count_is_exact);
    RUN(two_leases);
    RUN(two_caches_know_nothing_of_each_other);
    RUN(a_cleanup_thread_comes_and_goes);
    RUN(no_cleanup_thread_unless_wanted);
    RUN(destroy_reports_every_entry_once);
    RUN(destroy_waits_for_no_pin_but_refuses);
    RUN(a_pin_that_the_last_callback_takes);
    RUN(null_where_none_is_allowed);
    return test_summary();
}
