/* Moving for room: an entry much larger than most takes the room of about as many bytes of others,
   the oldest, wherever they lie. What stays is as it was: values, versions, deadlines, pins. */

#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "threads.h"

enum { REGION_BYTES = 64 << 20, LARGEST = 32 << 20, KEYS = 1 << 20, PINS = 16 };

#define LARGE_KEYS ((uint64_t)1 << 40) /* those of large entries */

static sark_cache *cache;
static unsigned char *pattern; /* a value begins at a place that its key tells */
static uint64_t random_state, large_keys;
static uint32_t reports[KEYS]; /* how often a small key was reported as evicted */

/* What a small entry was when it was set. */
static struct book {
    uint64_t version;
    int64_t deadline_ms;
    uint32_t value_bytes;
    bool is_set;
} book[KEYS];

/* The largest region; less in a short run. */
static size_t large_region(void)
{
    return test_scale_percent() < 50 ? REGION_BYTES / 16 : REGION_BYTES;
}

static const unsigned char *value_of(uint64_t key) { return pattern + key % 4096; }

static void on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, sark_cache_cause cause)
{
    uint64_t number;
    (void)context;
    memcpy(&number, key, sizeof number);
    CHECK(key_bytes == sizeof number && memcmp(value, value_of(number), value_bytes) == 0);
    if (number < KEYS && (cause == SARK_CACHE_EVICTED || cause == SARK_CACHE_EXPIRED))
        reports[number]++;
}

static void create(size_t bytes, bool with_reports)
{
    sark_cache_config config = {.max_bytes = bytes, .max_entries = bytes / 64, .pin_count = PINS,
                                .clock = {support_clock, NULL},
                                .on_remove = with_reports ? on_remove : NULL};
    CHECK(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    memset(reports, 0, sizeof reports);
    memset(book, 0, sizeof book);
}

static void destroy(void)
{
    CHECK(holds(cache));
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

static bool set(uint64_t key, size_t value_bytes, int64_t ttl_ms)
{
    sark_cache_status status =
        sark_cache_set(cache, &key, sizeof key, value_of(key), value_bytes, ttl_ms);
    if (status != SARK_CACHE_OK)
        printf("  %zu bytes: %s\n", value_bytes, sark_cache_status_text(status));
    return status == SARK_CACHE_OK;
}

static void hit(uint64_t key)
{
    static unsigned char value[1 << 16];
    (void)sark_cache_get(cache, &key, sizeof key, value, sizeof value, NULL);
}

/* Small entries until some thousand have been evicted, with hits between: what is next in the order
   of recency then lies anywhere. Returns the bytes of one. */
static size_t fill(size_t value_bytes)
{
    for (uint64_t key = 0; sark_cache_size(cache) == key; key += 100)
        for (uint64_t i = 0; i < 100; i++) CHECK(set(key + i, value_bytes, 0));
    CHECK(metrics_of(cache).evictions_for_entries == 0);
    uint64_t entries = sark_cache_size(cache), keys = entries * 2;
    for (uint64_t i = 0; i < 3 * entries; i++) {
        hit(test_below(&random_state, keys));
        CHECK(set(test_below(&random_state, keys), value_bytes, 0));
    }
    sark_cache_metrics metrics = metrics_of(cache);
    return (size_t)(metrics.bytes / metrics.entries);
}

/* What one large insert cost: entries evicted and moved. */
typedef struct cost {
    uint64_t evicted, moved;
} cost;

static cost insert_large(size_t value_bytes)
{
    sark_cache_metrics before = metrics_of(cache);
    uint64_t key = LARGE_KEYS + large_keys++;
    CHECK(set(key, value_bytes, 0));
    sark_cache_metrics after = metrics_of(cache);
    return (cost){after.evictions_for_bytes - before.evictions_for_bytes,
                  after.room_moves - before.room_moves};
}

TEST(two_kib_among_64_bytes)
{
    create(large_region(), false);
    uint64_t most = 0, evicted = 0, moved = 0;
    size_t one = fill(64);
    uint64_t inserts = test_scaled(1000, 50), keys = 2 * sark_cache_size(cache);
    for (uint64_t i = 0; i < inserts; i++) {
        cost paid = insert_large(2048);
        evicted += paid.evicted;
        moved += paid.moved;
        if (paid.evicted > most) most = paid.evicted;
        for (unsigned j = 0; j < 100; j++) CHECK(set(test_below(&random_state, keys), 64, 0));
    }
    printf("  %zu bytes an entry; %" PRIu64 " inserts of 2 KiB evicted %" PRIu64 ", one at most %"
           PRIu64 ", and moved %" PRIu64 "\n", one, inserts, evicted, most, moved);
    CHECK(most <= 100);
    CHECK(evicted > 0 && moved > 0);
    destroy();
}

/* Large entries of all sizes up to half of the region, among small ones of a size. Mostly a third
   more than their own size is evicted; other large entries in the way can make it twice that. */
static void compare_costs(size_t region, size_t small)
{
    create(region, false);
    size_t one = fill(small), worst_bytes = 0, worst_evicted = 0;
    uint64_t moved = 0, keys = 2 * sark_cache_size(cache);
    for (size_t bytes = 2 * small; bytes <= region / 2; bytes += bytes / 2) {
        for (int i = 0; i < 3; i++) {
            cost paid = insert_large(bytes);
            size_t evicted = (size_t)paid.evicted * one;
            moved += paid.moved;
            if (evicted * (worst_bytes + 8192) > worst_evicted * (bytes + 8192)) {
                worst_bytes = bytes;
                worst_evicted = evicted;
            }
            for (unsigned j = 0; j < 500; j++)
                CHECK(set(test_below(&random_state, keys), small, 0));
        }
    }
    printf("  %zu of %zu: at most %zu bytes evicted for %zu, %" PRIu64 " moved\n", small, region,
           worst_evicted, worst_bytes, moved);
    CHECK(worst_evicted <= 3 * worst_bytes + 8192 && moved > 0);
    destroy();
}

TEST(about_its_own_size)
{
    static const size_t small[] = {48, 64, 1000, 5000};
    const size_t regions[] = {1 << 20, large_region()};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 4; j++)
            if (regions[i] / small[j] > 500) compare_costs(regions[i], small[j]);
}

/* Pins behind the largest holes: there are others. What leaves next lies anywhere. */
TEST(pins_behind_the_largest_holes)
{
    enum { LARGE = 20000, RUN = LARGE / 112 / 2 };
    sark_cache_pinned pins[PINS];
    create(large_region() / 4, false);
    uint64_t keys = 0;
    while (metrics_of(cache).evictions_for_bytes == 0) CHECK(set(keys++, 64, 0));
    for (uint64_t i = 0; i < 10 * keys; i++) hit(test_below(&random_state, keys));
    size_t one = (size_t)(metrics_of(cache).bytes / sark_cache_size(cache));
    for (uint64_t pin = 0; pin < PINS; pin++) { /* blocks lie in the order of their first keys */
        uint64_t key = 1 + pin * (keys / (PINS + 1));
        for (uint64_t i = 0; i < RUN; i++, key++)
            CHECK(sark_cache_delete(cache, &key, sizeof key) == SARK_CACHE_OK);
        CHECK(sark_cache_pin(cache, &key, sizeof key, &pins[pin]) == SARK_CACHE_OK);
    }
    for (unsigned i = 0; i < 5; i++) CHECK(insert_large(LARGE).evicted * one <= 3 * LARGE);
    for (unsigned pin = 0; pin < PINS; pin++)
        CHECK(sark_cache_unpin(cache, &pins[pin]) == SARK_CACHE_OK);
    destroy();
}

/* Where sizes are alike, evictions alone make room soon. The first to come among entries of one
   size move the most of them. */
TEST(alike_sizes_hardly_ever_move)
{
    create(large_region() / 8, false);
    (void)fill(230);
    uint64_t first = sark_cache_size(cache), sets = test_scaled(100000, 10000);
    uint64_t moves = metrics_of(cache).room_moves;
    for (uint64_t i = 0; i < sets; i++)
        CHECK(set(test_below(&random_state, KEYS), 200 + (size_t)test_below(&random_state, 60), 0));
    moves = metrics_of(cache).room_moves - moves;
    printf("  %" PRIu64 " moves in %" PRIu64 " sets among %" PRIu64 "\n", moves, sets, first);
    CHECK(moves < (sets + first) / 50);
    destroy();
}

/* ---- What stays ----------------------------------------------------------------------------- */

static void set_small(uint64_t key, size_t most_bytes)
{
    sark_cache_pinned pinned;
    struct book *entry = &book[key];
    bool timed = test_below(&random_state, 2);
    int64_t ttl_ms = timed ? 1000 + (int64_t)test_below(&random_state, 1000000) : 0;
    entry->value_bytes = (uint32_t)test_below(&random_state, most_bytes);
    entry->deadline_ms = timed ? *support_time() + ttl_ms : INT64_MAX;
    CHECK(set(key, entry->value_bytes, timed ? ttl_ms : SARK_CACHE_NO_EXPIRY));
    entry->is_set = sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK;
    CHECK(entry->is_set);
    if (!entry->is_set) return;
    entry->version = pinned.version;
    reports[key] = 0;
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
}

/* Whether a small entry is there as it was set, or is gone and was reported. */
static void check_small(uint64_t key)
{
    sark_cache_pinned pinned;
    const struct book *entry = &book[key];
    if (!entry->is_set) return;
    sark_cache_status status = sark_cache_pin(cache, &key, sizeof key, &pinned);
    CHECK(reports[key] <= 1);
    if (status != SARK_CACHE_OK) {
        CHECK(status == SARK_CACHE_MISS);
        CHECK(reports[key] == 1 || *support_time() >= entry->deadline_ms);
        return;
    }
    CHECK(reports[key] == 0 && pinned.version == entry->version);
    CHECK(pinned.value_bytes == entry->value_bytes && *support_time() < entry->deadline_ms);
    CHECK(memcmp(pinned.value, value_of(key), pinned.value_bytes) == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
}

TEST(what_stays_is_as_it_was)
{
    create(1 << 20, true);
    uint64_t keys = 10000, rounds = test_scaled(3000, 100);
    for (uint64_t key = 0; key < keys; key++) set_small(key, 200);
    for (uint64_t round = 0; round < rounds; round++) {
        (void)insert_large(2000 + (size_t)test_below(&random_state, 30000));
        for (unsigned i = 0; i < 50; i++) set_small(test_below(&random_state, keys), 200);
        for (unsigned i = 0; i < 100; i++) check_small(test_below(&random_state, keys));
        advance((int64_t)test_below(&random_state, 200));
    }
    for (uint64_t key = 0; key < keys; key++) check_small(key);
    printf("  %" PRIu64 " entries moved\n", metrics_of(cache).room_moves);
    CHECK(metrics_of(cache).room_moves > rounds);
    destroy();
}

/* Pins do not move, and do not make large inserts fail or evict much more. */
TEST(pinned_entries_stay)
{
    sark_cache_pinned pins[PINS];
    uint64_t pinned_keys[PINS];
    create(1 << 20, true);
    size_t one = fill(64);
    for (uint64_t round = 0; round < test_scaled(300, 20); round++) {
        uint32_t count = 0;
        for (unsigned i = 0; i < 1000 && count < PINS; i++) {
            uint64_t key = test_below(&random_state, 2 * sark_cache_size(cache));
            pinned_keys[count] = key;
            count += sark_cache_pin(cache, &key, sizeof key, &pins[count]) == SARK_CACHE_OK;
        }
        CHECK(count == PINS);
        for (unsigned i = 0; i < 10; i++) {
            size_t bytes = 2000 + (size_t)test_below(&random_state, 8000);
            CHECK(insert_large(bytes).evicted * one <= 3 * bytes + 8192);
            for (unsigned j = 0; j < 100; j++)
                CHECK(set(test_below(&random_state, 10000), 64, 0));
        }
        for (uint32_t i = 0; i < count; i++) {
            CHECK(pins[i].value_bytes == 64);
            CHECK(memcmp(pins[i].value, value_of(pinned_keys[i]), 64) == 0);
            CHECK(sark_cache_unpin(cache, &pins[i]) == SARK_CACHE_OK);
        }
    }
    CHECK(metrics_of(cache).room_moves > 0);
    destroy();
}

int main(void)
{
    random_state = test_seed();
    pattern = malloc(LARGEST + 4096);
    if (!pattern) return 1;
    for (size_t i = 0; i < LARGEST + 4096; i++)
        pattern[i] = (unsigned char)(test_random(&random_state) >> 56);
    test_watchdog(600);
    RUN(two_kib_among_64_bytes);
    RUN(about_its_own_size);
    RUN(pins_behind_the_largest_holes);
    RUN(alike_sizes_hardly_ever_move);
    RUN(what_stays_is_as_it_was);
    RUN(pinned_entries_stay);
    free(pattern);
    return test_summary();
}
