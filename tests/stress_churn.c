/* False misses and resurrections: in an index of a few buckets some keys are only ever replaced
   and must never be missed, while their neighbours are inserted and deleted as fast as it goes. In
   some runs all keys have the same home bucket, so that they overflow into the next ones.
   Each key has one writer, so a reader knows which values are too old to be seen: what was
   replaced or deleted before the read began. Capacity and TTLs are never reached. */

#include "threads.h"

#include "stress_values.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define KEYS_MOST 64u
#define NAME_BYTES sizeof(uint64_t)
#define READERS 5u
#define WRITERS 3u
#define RUN_NS UINT64_C(2000000000) /* of each kind */

/* A key's values are numbered from 1. All of a number up to `gone` are out of reach; those above
   `begun` do not exist yet. A stable key is never deleted, only set and replaced. */
typedef struct churned {
    uint64_t name; /* the key's bytes */
    bool stable;
    _Atomic(uint64_t) gone;
    _Atomic(uint64_t) begun;
    uint64_t last; /* its writer's own: the number stored, 0 for none */
} churned;

typedef struct run_kind {
    unsigned keys;
    uint64_t max_entries;
    uint32_t shard_count;
    size_t value_most_bytes;
    bool pins;    /* readers pin as well as get */
    bool collide; /* all keys have one home bucket */
} run_kind;

typedef struct actor {
    uint64_t random;
    unsigned number;
    uint64_t operations;
} actor;

static uint64_t seed;
static run_kind now_run;
static sark_cache *cache;
static churned keys[KEYS_MOST];
static uint64_t run_end_ns;

static size_t draw_bytes(uint64_t *random)
{
    return VALUE_MIN_BYTES +
           (size_t)test_below(random, now_run.value_most_bytes - VALUE_MIN_BYTES + 1);
}

/* ---- Writers: each owns the keys that are its number modulo WRITERS ---- */

static sark_cache_status write_next(actor *self, uint64_t key)
{
    unsigned char value[1024];
    churned *own = &keys[key];
    uint64_t number = atomic_load(&own->begun) + 1;
    size_t value_bytes = draw_bytes(&self->random);
    int64_t ttl_ms = test_below(&self->random, 2) ? 3600000 : SARK_CACHE_NO_EXPIRY;
    value_fill(value, value_bytes, key, number);
    atomic_store(&own->begun, number);
    if (own->last && test_below(&self->random, 2))
        return sark_cache_replace(cache, &keys[key].name, NAME_BYTES, value, value_bytes, ttl_ms);
    if (!own->last && test_below(&self->random, 2))
        return sark_cache_add(cache, &keys[key].name, NAME_BYTES, value, value_bytes, ttl_ms);
    return sark_cache_set(cache, &keys[key].name, NAME_BYTES, value, value_bytes, ttl_ms);
}

static void store_next(actor *self, uint64_t key)
{
    CHECK(write_next(self, key) == SARK_CACHE_OK);
    keys[key].last = atomic_load(&keys[key].begun);
    atomic_store(&keys[key].gone, keys[key].last - 1);
}

static void remove_now(actor *self, uint64_t key)
{
    churned *own = &keys[key];
    sark_cache_status expected = own->last ? SARK_CACHE_OK : SARK_CACHE_MISS;
    if (test_below(&self->random, 4) == 0) {
        unsigned char value[1024];
        size_t value_bytes = 0;
        uint64_t number = 0;
        CHECK(sark_cache_take(cache, &own->name, NAME_BYTES, value, sizeof value, &value_bytes) ==
              expected);
        if (own->last)
            CHECK(value_holds(value, value_bytes, key, &number) && number == own->last);
    } else {
        CHECK(sark_cache_delete(cache, &keys[key].name, NAME_BYTES) == expected);
    }
    own->last = 0;
    atomic_store(&own->gone, atomic_load(&own->begun));
}

/* The writer itself must see just what it wrote. */
static void read_own(uint64_t key)
{
    unsigned char value[1024];
    size_t value_bytes = 0;
    uint64_t number = 0;
    sark_cache_status status =
        sark_cache_peek(cache, &keys[key].name, NAME_BYTES, value, sizeof value, &value_bytes);
    CHECK(status == (keys[key].last ? SARK_CACHE_OK : SARK_CACHE_MISS));
    if (status == SARK_CACHE_OK)
        CHECK(value_holds(value, value_bytes, key, &number) && number == keys[key].last);
}

static void write_once(actor *self)
{
    unsigned own_keys = (now_run.keys - self->number + WRITERS - 1) / WRITERS;
    if (own_keys == 0) return;
    uint64_t key = self->number + WRITERS * test_below(&self->random, own_keys);
    uint64_t part = test_below(&self->random, 8);
    if (part == 0) read_own(key);
    else if (part <= 3 && !keys[key].stable) remove_now(self, key);
    else store_next(self, key);
}

/* ---- Readers ---- */

static void check_number(uint64_t key, uint64_t number, uint64_t gone)
{
    bool possible = number > gone && number <= atomic_load(&keys[key].begun);
    if (!possible)
        printf("  key %llu: value %llu, but those up to %llu were gone\n",
               (unsigned long long)key, (unsigned long long)number, (unsigned long long)gone);
    CHECK(possible);
}

static void check_seen(uint64_t key, const void *value, size_t value_bytes, uint64_t gone)
{
    uint64_t number = 0;
    bool whole = value_holds(value, value_bytes, key, &number);
    CHECK(whole);
    if (whole) check_number(key, number, gone);
}

static sark_cache_status read_pinned(uint64_t key, uint64_t gone)
{
    sark_cache_pinned pinned;
    sark_cache_status status = sark_cache_pin(cache, &keys[key].name, NAME_BYTES, &pinned);
    if (status != SARK_CACHE_OK) return status;
    check_seen(key, pinned.value, pinned.value_bytes, gone);
    if (gone % 64 == 0) sched_yield(); /* held while the writers go on */
    uint64_t number = 0;
    CHECK(value_holds(pinned.value, pinned.value_bytes, key, &number));
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    return status;
}

static sark_cache_status read_copied(uint64_t key, uint64_t gone)
{
    unsigned char value[1024];
    size_t value_bytes = 0;
    sark_cache_status status =
        sark_cache_get(cache, &keys[key].name, NAME_BYTES, value, sizeof value, &value_bytes);
    if (status == SARK_CACHE_OK) check_seen(key, value, value_bytes, gone);
    return status;
}

static void read_once(actor *self)
{
    uint64_t key = test_below(&self->random, now_run.keys);
    uint64_t gone = atomic_load(&keys[key].gone);
    bool pin = now_run.pins && test_below(&self->random, 8) == 0;
    sark_cache_status status = pin ? read_pinned(key, gone) : read_copied(key, gone);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status == SARK_CACHE_MISS && keys[key].stable) {
        printf("  false miss of key %llu\n", (unsigned long long)key);
        CHECK(status == SARK_CACHE_OK);
    }
}

static void *actor_run(void *context)
{
    actor *self = context;
    while (test_now_ns() < run_end_ns) {
        for (int i = 0; i < 256; i++) {
            if (self->number < WRITERS) write_once(self);
            else read_once(self);
        }
        self->operations += 256;
    }
    return NULL;
}

/* ---- Runs ---- */

/* Any name, or the next one whose home is the first bucket. */
static uint64_t next_name(uint64_t name)
{
    uint32_t home;
    do {
        name++;
        home = sarki_index_home(&cache->index, sarki_query_of(cache, &name, sizeof name).hash);
    } while (now_run.collide && home != 0);
    return name;
}

static void prepare(actor *first)
{
    uint64_t name = 0;
    for (unsigned key = 0; key < now_run.keys; key++) {
        name = next_name(name);
        keys[key].name = name;
        atomic_store(&keys[key].gone, 0);
        atomic_store(&keys[key].begun, 0);
        keys[key].last = 0;
        keys[key].stable = key % 2 == 0;
        if (keys[key].stable) store_next(first, key);
    }
}

static void finish(const actor *actors)
{
    uint64_t operations[2] = {0, 0};
    for (unsigned i = 0; i < READERS + WRITERS; i++)
        operations[i < WRITERS] += actors[i].operations;
    printf("  %u keys, %llu entries, %u shards: %llu writes, %llu reads\n", now_run.keys,
           (unsigned long long)now_run.max_entries, now_run.shard_count,
           (unsigned long long)operations[1], (unsigned long long)operations[0]);
    uint64_t resident = 0;
    for (uint64_t key = 0; key < now_run.keys; key++) {
        read_own(key);
        resident += keys[key].last != 0;
    }
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    CHECK(sark_cache_size(cache) == resident);
    CHECK(metrics.evictions_for_entries + metrics.evictions_for_bytes == 0);
    CHECK(metrics.pins_in_use == 0 && metrics.leases_in_use == 0);
    char text[256] = "";
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

static void churn(run_kind kind)
{
    actor actors[READERS + WRITERS];
    sark_cache_config config = {.max_entries = kind.max_entries, .max_bytes = 2u << 20,
                                .shard_count = kind.shard_count};
    now_run = kind;
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    for (unsigned i = 0; i < READERS + WRITERS; i++)
        actors[i] = (actor){.random = seed + i, .number = i};
    prepare(&actors[0]);
    run_end_ns = test_now_ns() + test_scaled(RUN_NS, RUN_NS / 100);
    test_run_threads(READERS + WRITERS, actor_run, actors, sizeof actors[0]);
    finish(actors);
}

TEST(four_keys)
{
    churn((run_kind){.keys = 4, .max_entries = 4, .shard_count = 1, .value_most_bytes = 64,
                     .pins = true});
}

TEST(four_keys_in_four_shards)
{
    churn((run_kind){.keys = 4, .max_entries = 8, .shard_count = 4, .value_most_bytes = 64});
}

TEST(sixteen_keys_without_room)
{
    churn((run_kind){.keys = 16, .max_entries = 16, .shard_count = 4, .value_most_bytes = 1000,
                     .pins = true});
}

TEST(sixty_four_keys_without_room)
{
    churn((run_kind){.keys = 64, .max_entries = 64, .shard_count = 64, .value_most_bytes = 100});
}

TEST(twelve_keys_that_collide)
{
    churn((run_kind){.keys = 12, .max_entries = 64, .shard_count = 4, .value_most_bytes = 64,
                     .collide = true});
}

TEST(forty_keys_that_collide)
{
    churn((run_kind){.keys = 40, .max_entries = 64, .shard_count = 1, .value_most_bytes = 64,
                     .collide = true, .pins = true});
}

int main(void)
{
    seed = test_seed();
    test_watchdog((unsigned)test_scaled(120, 120));
    RUN(four_keys);
    RUN(four_keys_in_four_shards);
    RUN(sixteen_keys_without_room);
    RUN(sixty_four_keys_without_room);
    RUN(twelve_keys_that_collide);
    RUN(forty_keys_that_collide);
    return test_summary();
}
