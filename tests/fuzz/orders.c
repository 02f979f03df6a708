/* Fuzzes what finds the least recently used entry and the next that expires. One kind of input
   drives a bare wheel with keys of its choice, beside an oracle that looks at all of them. The
   other drives a cache whose entries get stamps and deadlines by hand, beside an array sorted by
   stamps: the victim is always an expired entry, or the first of the array. Where a reader sets a
   stamp back, which a stopped one may, any may leave first, and no more than that. */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "wheel_rig.h"
#include "fuzz.h"

/* ---- A bare wheel --------------------------------------------------------------------------- */

enum { WHEEL_ENTRIES = 32, SOUND_EVERY = 16 };

/* Any key, or one near floor or near another one. */
static uint64_t any_key(void)
{
    uint32_t kind = fuzz_byte();
    uint64_t key = fuzz_number();
    switch (kind & 3) {
    case 0: return tested.wheel.floor + key;
    case 1: return tested.wheel.floor - key;
    case 2: return tested.keys[1 + (kind >> 2) % WHEEL_ENTRIES] ^ key;
    default: return key;
    }
}

static void wheel_step(void)
{
    uint32_t byte = fuzz_byte(), ref = 1 + byte % WHEEL_ENTRIES;
    switch (byte / WHEEL_ENTRIES) {
    case 0: case 1: case 2:
        if (tested.in[ref]) take_out(ref);
        else insert(ref, any_key());
        break;
    case 3: case 4:
        if (!tested.in[ref]) break;
        take_out(ref);
        insert(ref, any_key());
        break;
    case 5:
        if (tested.wheel.pending.head) settle_pending();
        break;
    case 6:
        MUST(minimum_is_right());
        break;
    default:
        if (tested.count > 0) take_out(find_minimum());
        break;
    }
}

static void run_wheel(void)
{
    rig_create(fuzz_below(2) ? 6 : 2, fuzz_number());
    for (uint32_t steps = 0; fuzz_more(); steps++) {
        wheel_step();
        if (steps % SOUND_EVERY == 0) MUST(is_sound());
    }
    MUST(is_sound());
    MUST(drains());
}

/* ---- A cache whose stamps are a count ------------------------------------------------------- */

enum { KEYS = 32, REGION_BYTES = 1 << 19 };

#define COUNT_BEGINS ((uint64_t)1 << 40) /* room for older stamps */
#define LAST_STAMP ((uint64_t)1 << 62)

typedef struct item {
    uint32_t key;
    uint64_t stamp;
    int64_t deadline_ms; /* SARK_CACHE_NO_EXPIRY: none */
} item;

static _Alignas(128) unsigned char region[REGION_BYTES];
static sark_cache *cache;
static item items[KEYS]; /* the oldest first */
static uint32_t item_count, refs[KEYS], expired_now;
static int64_t now_ms;
static bool set_back; /* some stamp was: the order is unknown */

static int64_t fuzz_clock(void *context)
{
    (void)context;
    return now_ms;
}

static uint32_t find(uint32_t key)
{
    uint32_t at = 0;
    while (at < item_count && items[at].key != key) at++;
    return at;
}

static void take_item(uint32_t at)
{
    memmove(&items[at], &items[at + 1], (--item_count - at) * sizeof *items);
}

static void put_item(item one)
{
    uint32_t at = item_count++;
    for (; at > 0 && items[at - 1].stamp > one.stamp; at--) items[at] = items[at - 1];
    items[at] = one;
}

static bool has_expired(const item *one) { return one->deadline_ms <= now_ms; }

static uint32_t count_expired(void)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < item_count; at++) count += has_expired(&items[at]);
    return count;
}

/* Who is evicted was the oldest, and nobody had expired. */
static void on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)value, (void)value_bytes;
    uint32_t number = *(const unsigned char *)key, at = find(number);
    MUST(key_bytes == 1 && at < item_count);
    MUST((cause == SARK_CACHE_EXPIRED) == has_expired(&items[at]));
    if (cause == SARK_CACHE_EXPIRED) expired_now++;
    if (cause == SARK_CACHE_EVICTED) MUST(set_back || at == 0);
    if (cause == SARK_CACHE_EVICTED) MUST(count_expired() == 0);
    take_item(at);
    refs[number] = 0;
}

static sarki_entry *entry_of(uint32_t key) { return sarki_entry_of(cache, refs[key]); }

static uint64_t stamp_of(uint32_t key)
{
    return sarki_stamp_key(sarki_load64_relaxed(&entry_of(key)->a_stamp));
}

/* Notes where the entry of a key stands now. */
static void note(uint32_t key, int64_t deadline_ms)
{
    unsigned char byte = (unsigned char)key;
    sarki_spot spot;
    sarki_query query = sarki_query_of(cache, &byte, 1);
    refs[key] = sarki_index_find_locked(&cache->index, cache->region, &query, &spot);
    MUST(refs[key] != 0);
    if (find(key) < item_count) take_item(find(key));
    put_item((item){key, stamp_of(key), deadline_ms});
}

/* Whatever the clock's time is, a TTL that ends at a number of the input's choice. */
static int64_t any_ttl(void)
{
    uint64_t ttl_ms = fuzz_number() >> 1;
    return ttl_ms ? (int64_t)ttl_ms : 1;
}

static int64_t deadline_of(int64_t ttl_ms)
{
    return ttl_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + ttl_ms;
}

static void set(uint32_t key, int64_t ttl_ms)
{
    unsigned char byte = (unsigned char)key;
    MUST(sark_cache_set(cache, &byte, 1, "value", 5, ttl_ms) == SARK_CACHE_OK);
    note(key, deadline_of(ttl_ms));
}

static void touch_ttl(uint32_t key, int64_t ttl_ms)
{
    unsigned char byte = (unsigned char)key;
    uint32_t at = find(key);
    bool live = at < item_count && !has_expired(&items[at]);
    MUST(sark_cache_touch(cache, &byte, 1, ttl_ms) == (live ? SARK_CACHE_OK : SARK_CACHE_MISS));
    if (live) note(key, deadline_of(ttl_ms));
}

/* A hit: now, or so much later that the order of recency has to open other slots. */
static void hit(uint32_t key, uint64_t leap)
{
    uint64_t count = sarki_load64_relaxed(&cache->stamps.a_count);
    uint64_t later = count + sarki_stamp_key(leap);
    if (later > count && later < LAST_STAMP)
        sarki_store64_relaxed(&cache->stamps.a_count, later);
    sarki_entry_touch(entry_of(key), sarki_stamp_now(&cache->stamps));
    note(key, items[find(key)].deadline_ms);
}

/* What a reader stores that was stopped before, with the flags that the entry had then. */
static void set_stamp_back(uint32_t key, uint64_t by)
{
    uint64_t stamp = stamp_of(key), older = stamp - sarki_stamp_key(by);
    if (older == 0 || older >= stamp) return;
    sarki_store64_relaxed(&entry_of(key)->a_stamp, older | (by & SARKI_PLACED));
    set_back = true;
    note(key, items[find(key)].deadline_ms);
}

static void evict(void)
{
    sarki_frame frame = {{0, 0}};
    uint32_t before = item_count;
    bool evicted = sarki_evict(cache, SARKI_FOR_BYTES, NULL, &frame);
    if (evicted) sarki_places_give_back(cache, 1);
    sarki_frame_flush(cache, &frame);
    MUST(item_count == before - evicted && evicted == (before > 0));
}

static void clean_up(uint32_t most)
{
    uint32_t expired = count_expired();
    if (most > 0 && most < expired) expired = most;
    expired_now = 0;
    MUST(sark_cache_cleanup_expired(cache, most) == expired && expired_now == expired);
}

/* No stamp is below the bound that is published for it, and no deadline below its own. */
static void bounds_hold(void)
{
    uint64_t oldest = SARKI_NONE, next = SARKI_NEVER;
    for (uint32_t i = 0; i < cache->shard_count; i++)
        oldest = sarki_min64(oldest, sarki_load64_relaxed(&cache->a_oldest[i]));
    next = (uint64_t)sarki_next_deadline(cache);
    for (uint32_t at = 0; at < item_count; at++) {
        MUST(set_back || items[at].stamp >= oldest);
        MUST((uint64_t)items[at].deadline_ms >= next);
    }
}

/* The clock stays within what it can tell. */
static void move_clock(bool back, uint64_t by_ms)
{
    uint64_t most_ms = (uint64_t)(back ? now_ms : INT64_MAX - 1 - now_ms);
    int64_t leap_ms = (int64_t)sarki_min64(by_ms, most_ms);
    now_ms += back ? -leap_ms : leap_ms;
}

static void seldom(uint32_t key, bool is_there)
{
    if (key < KEYS / 2) clean_up(key % 4);
    else if (key >= KEYS - 4 && is_there) set_stamp_back(key, fuzz_number());
    else bounds_hold();
}

static void cache_step(void)
{
    uint32_t byte = fuzz_byte(), key = byte % KEYS;
    bool is_there = refs[key] != 0;
    switch (byte / KEYS) {
    case 0: set(key, SARK_CACHE_NO_EXPIRY); break;
    case 1: set(key, any_ttl()); break;
    case 2: touch_ttl(key, any_ttl()); break;
    case 3: if (is_there) hit(key, fuzz_number()); break;
    case 4: if (is_there) hit(key, 0); break;
    case 5: move_clock(key % 2, fuzz_number()); break;
    case 6: seldom(key, is_there); break;
    default: evict(); break;
    }
}

static void run_cache(void)
{
    static const uint32_t shard_counts[] = {1, 1, 2, 4};
    sark_cache_config config = {.max_entries = KEYS, .shard_count = shard_counts[fuzz_below(4)],
                                .clock = {fuzz_clock, NULL}, .on_remove = on_remove,
                                .max_bytes = fuzz_below(2) ? 1 << 18 : 1 << 19, .hash_seed = 1};
    item_count = 0;
    set_back = false;
    now_ms = 1000;
    memset(refs, 0, sizeof refs);
    MUST(sark_cache_create_in(&cache, &config, region, sizeof region) == SARK_CACHE_OK);
    cache->stamps.shift = -1;
    sarki_store64_relaxed(&cache->stamps.a_count, COUNT_BEGINS);
    for (uint32_t steps = 0; fuzz_more(); steps++) {
        cache_step();
        if (!set_back && steps % SOUND_EVERY == 0) MUST(holds(cache));
    }
    for (uint32_t key = 0; set_back && key < KEYS; key++)
        if (refs[key]) hit(key, 0); /* now all stamps are above the bounds again */
    set_back = false;
    MUST(holds(cache));
    while (item_count > 0) evict();
    MUST(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_begin(data, bytes);
    if (fuzz_below(2)) run_wheel();
    else run_cache();
    MUST(!atomic_load(&test_failures_in_case));
    return 0;
}
