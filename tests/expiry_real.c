/* Expiry by the real clock: 8 threads read entries with TTLs of 1 to 50 ms around their deadlines,
   each read between two precise readings of the clock. No miss that ended before the deadline, no
   hit that began later than the deadline and one tick of the coarse clock, by any function. */

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define ITEMS 128u           /* entries of a thread at a time */
#define READS_PER_ITEM 8u
#define MS_NS UINT64_C(1000000)
#define LONG_TTL_MS 60000
#define TOLD_MOST 3u /* wrong reads that a thread describes */

typedef enum reading {
    READ_GET, READ_PEEK, READ_CONTAINS, READ_TTL, READ_PIN,      /* these change nothing */
    READ_TAKE, READ_DELETE, READ_ADD, READ_REPLACE, READ_TOUCH,  /* these end the item */
    READ_KINDS
} reading;

static const char *const reading_names[READ_KINDS] = {
    "get", "peek", "contains", "ttl", "pin", "take", "delete", "add", "replace", "touch"};

/* One entry: its TTL, and the clock before and after the call that set it. */
typedef struct item {
    uint64_t key;
    uint64_t before_ns, after_ns;
    int64_t ttl_ms;
    bool ended;
} item;

/* What is stored: the time before which nobody may call the entry expired. */
typedef struct stored {
    uint64_t key;
    uint64_t not_expired_before_ns;
} stored;

typedef struct planned {
    uint64_t at_ns;
    uint32_t item;
    reading kind;
} planned;

typedef struct worker {
    sark_cache *cache;
    uint64_t random;
    uint64_t next_key;
    uint64_t reads_wanted;
    uint64_t tick_ns;
    uint64_t hits[READ_KINDS], misses[READ_KINDS];
    unsigned told;
    uint64_t latest_ns; /* the largest delay of a hit's start after its deadline */
    item items[ITEMS];
    planned plan[ITEMS * READS_PER_ITEM];
} worker;

static uint64_t seed;
static _Atomic(uint64_t) expirations_reported;

static uint64_t deadline_ns(uint64_t from_ns, int64_t ttl_ms)
{
    return from_ns + (uint64_t)ttl_ms * MS_NS;
}

static void removed(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, sark_cache_cause cause)
{
    stored held;
    (void)context;
    CHECK(key_bytes == sizeof held.key && value_bytes == sizeof held);
    memcpy(&held, value, sizeof held);
    CHECK(memcmp(key, &held.key, sizeof held.key) == 0);
    CHECK(cause != SARK_CACHE_EVICTED && cause != SARK_CACHE_CLEARED);
    if (cause != SARK_CACHE_EXPIRED) return;
    atomic_fetch_add(&expirations_reported, 1);
    CHECK(test_now_ns() >= held.not_expired_before_ns);
}

/* ---- Making an entry, in the ways there are to give it a TTL ---- */

static void store(worker *self, item *made, int64_t ttl_ms, bool deadline_comes_later)
{
    stored held = {.key = made->key};
    made->before_ns = test_now_ns();
    if (!deadline_comes_later)
        held.not_expired_before_ns = deadline_ns(made->before_ns, ttl_ms);
    CHECK(sark_cache_set(self->cache, &made->key, sizeof made->key, &held, sizeof held, ttl_ms) ==
          SARK_CACHE_OK);
    made->after_ns = test_now_ns();
}

static void touch(worker *self, item *made)
{
    made->before_ns = test_now_ns();
    CHECK(sark_cache_touch(self->cache, &made->key, sizeof made->key, made->ttl_ms) ==
          SARK_CACHE_OK);
    made->after_ns = test_now_ns();
}

/* Another value under the same deadline. It may have expired meanwhile. */
static void replace_value(worker *self, const item *made)
{
    stored held = {made->key, deadline_ns(made->before_ns, made->ttl_ms)};
    sark_cache_status status =
        sark_cache_replace(self->cache, &made->key, sizeof made->key, &held, sizeof held, 0);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status == SARK_CACHE_MISS) CHECK(test_now_ns() >= held.not_expired_before_ns);
}

static void make_item(worker *self, item *made)
{
    made->key = self->next_key++;
    made->ttl_ms = 1 + (int64_t)test_below(&self->random, 50);
    made->ended = false;
    switch (test_below(&self->random, 4)) {
    case 0:
        store(self, made, LONG_TTL_MS, true);
        touch(self, made);
        break;
    case 1:
        store(self, made, SARK_CACHE_NO_EXPIRY, true);
        touch(self, made);
        break;
    case 2:
        store(self, made, made->ttl_ms, false);
        replace_value(self, made);
        break;
    default:
        store(self, made, made->ttl_ms, false);
    }
}

/* ---- Reading it ---- */

static sark_cache_status read_pinned(sark_cache *cache, uint64_t key)
{
    sark_cache_pinned pinned;
    sark_cache_status status = sark_cache_pin(cache, &key, sizeof key, &pinned);
    if (status == SARK_CACHE_OK) CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    return status;
}

static sark_cache_status read_item(sark_cache *cache, const item *wanted, reading kind,
                                   int64_t *ttl_ms)
{
    const void *key = &wanted->key;
    size_t key_bytes = sizeof wanted->key;
    stored held = {.key = wanted->key};
    switch (kind) {
    case READ_GET: return sark_cache_get(cache, key, key_bytes, &held, sizeof held, NULL);
    case READ_PEEK: return sark_cache_peek(cache, key, key_bytes, &held, sizeof held, NULL);
    case READ_CONTAINS: return sark_cache_contains(cache, key, key_bytes);
    case READ_TTL: return sark_cache_ttl(cache, key, key_bytes, ttl_ms);
    case READ_PIN: return read_pinned(cache, wanted->key);
    case READ_TAKE: return sark_cache_take(cache, key, key_bytes, &held, sizeof held, NULL);
    case READ_DELETE: return sark_cache_delete(cache, key, key_bytes);
    case READ_ADD: return sark_cache_add(cache, key, key_bytes, &held, sizeof held, LONG_TTL_MS);
    case READ_REPLACE:
        return sark_cache_replace(cache, key, key_bytes, &held, sizeof held, LONG_TTL_MS);
    case READ_TOUCH: return sark_cache_touch(cache, key, key_bytes, LONG_TTL_MS);
    case READ_KINDS:
    default: return SARK_CACHE_BAD_ARGUMENT;
    }
}

/* The TTL told, rounded up, lies between what is left at the latest and at the earliest time. */
static void check_ttl(const item *wanted, int64_t ttl_ms, uint64_t start_ns, uint64_t end_ns)
{
    uint64_t least = deadline_ns(wanted->before_ns, wanted->ttl_ms);
    uint64_t most = deadline_ns(wanted->after_ns, wanted->ttl_ms);
    uint64_t most_left = most > start_ns ? most - start_ns : 0;
    bool right = ttl_ms >= 1 && end_ns + (uint64_t)ttl_ms * MS_NS >= least &&
                 (uint64_t)(ttl_ms - 1) * MS_NS <= most_left;
    if (!right)
        printf("  ttl told %lld ms of %lld; %llu us are left\n", (long long)ttl_ms,
               (long long)wanted->ttl_ms, (unsigned long long)most_left / 1000);
    CHECK(right);
}

static void note(worker *self, const item *wanted, reading kind, bool hit, uint64_t start_ns,
                 uint64_t end_ns)
{
    uint64_t earliest = deadline_ns(wanted->before_ns, wanted->ttl_ms);
    uint64_t latest = deadline_ns(wanted->after_ns, wanted->ttl_ms);
    bool early = !hit && end_ns < earliest;
    bool late = hit && start_ns > latest + self->tick_ns;
    if (early && self->told++ < TOLD_MOST)
        printf("  %s: lost %llu ns early\n", reading_names[kind],
               (unsigned long long)(earliest - end_ns));
    if (late && self->told++ < TOLD_MOST)
        printf("  %s: hit %llu ns late\n", reading_names[kind],
               (unsigned long long)(start_ns - latest));
    CHECK(!early && !late);
    if (hit && start_ns > latest && start_ns - latest > self->latest_ns)
        self->latest_ns = start_ns - latest;
    if (hit) self->hits[kind]++;
    else self->misses[kind]++;
}

static void read_planned(worker *self, const planned *step)
{
    item *wanted = &self->items[step->item];
    reading kind = step->kind;
    int64_t ttl_ms = 0;
    if (wanted->ended) return;
    uint64_t start_ns = test_now_ns();
    sark_cache_status status = read_item(self->cache, wanted, kind, &ttl_ms);
    uint64_t end_ns = test_now_ns();
    bool hit = kind == READ_ADD ? status == SARK_CACHE_EXISTS : status == SARK_CACHE_OK;
    bool miss = status == (kind == READ_ADD ? SARK_CACHE_OK : SARK_CACHE_MISS);
    CHECK(hit || miss);
    if (hit && kind == READ_TTL) check_ttl(wanted, ttl_ms, start_ns, end_ns);
    note(self, wanted, kind, hit, start_ns, end_ns);
    wanted->ended = kind >= READ_TAKE;
}

/* ---- Rounds ---- */

static int earlier(const void *one, const void *other)
{
    uint64_t a = ((const planned *)one)->at_ns, b = ((const planned *)other)->at_ns;
    return (a > b) - (a < b);
}

static reading draw_kind(worker *self)
{
    uint64_t part = test_below(&self->random, 20);
    return part < 15 ? (reading)(part / 3) : (reading)(READ_TAKE + (part - 15));
}

static void make_plan(worker *self)
{
    uint64_t span = self->tick_ns + 2 * MS_NS;
    for (uint32_t i = 0; i < ITEMS * READS_PER_ITEM; i++) {
        const item *wanted = &self->items[i / READS_PER_ITEM];
        uint64_t middle = deadline_ns(wanted->after_ns, wanted->ttl_ms);
        self->plan[i] = (planned){.at_ns = middle - span + test_below(&self->random, 2 * span),
                                  .item = i / READS_PER_ITEM, .kind = draw_kind(self)};
    }
    qsort(self->plan, ITEMS * READS_PER_ITEM, sizeof self->plan[0], earlier);
}

static void wait_until(uint64_t at_ns)
{
    uint64_t now = test_now_ns();
    if (at_ns > now + 100000) test_sleep_ns(at_ns - now - 60000);
    while (test_now_ns() < at_ns) continue;
}

static uint64_t reads_of(const worker *self)
{
    uint64_t reads = 0;
    for (int kind = 0; kind < READ_KINDS; kind++) reads += self->hits[kind] + self->misses[kind];
    return reads;
}

static void *worker_run(void *context)
{
    worker *self = context;
    while (reads_of(self) < self->reads_wanted) {
        for (unsigned i = 0; i < ITEMS; i++) make_item(self, &self->items[i]);
        make_plan(self);
        for (unsigned i = 0; i < ITEMS * READS_PER_ITEM; i++) {
            wait_until(self->plan[i].at_ns);
            read_planned(self, &self->plan[i]);
        }
        for (unsigned i = 0; i < ITEMS; i++)
            (void)sark_cache_delete(self->cache, &self->items[i].key, sizeof self->items[i].key);
    }
    return NULL;
}

static void report(const worker *workers, uint64_t tick_ns)
{
    uint64_t latest_ns = 0;
    for (int kind = 0; kind < READ_KINDS; kind++) {
        uint64_t hits = 0, misses = 0;
        for (unsigned i = 0; i < TEST_THREADS; i++) {
            hits += workers[i].hits[kind];
            misses += workers[i].misses[kind];
            if (workers[i].latest_ns > latest_ns) latest_ns = workers[i].latest_ns;
        }
        printf("  %s %llu+%llu", reading_names[kind], (unsigned long long)hits,
               (unsigned long long)misses);
        CHECK(hits > 0 && misses > 0);
    }
    printf(" (hits+misses); latest hit %llu us after its deadline, tick %llu us\n",
           (unsigned long long)latest_ns / 1000, (unsigned long long)tick_ns / 1000);
}

static void expire(uint32_t cleanup_interval_ms, uint64_t reads)
{
    static worker workers[TEST_THREADS];
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 200000, .max_bytes = 64u << 20,
                                .cleanup_interval_ms = cleanup_interval_ms,
                                .on_remove = removed};
    sark_cache_metrics metrics;
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.clock_tick_us > 0 && metrics.clock_tick_us <= 11000);
    for (unsigned i = 0; i < TEST_THREADS; i++)
        workers[i] = (worker){.cache = cache, .random = seed + i, .next_key = (uint64_t)i << 32,
                              .reads_wanted = reads / TEST_THREADS,
                              .tick_ns = metrics.clock_tick_us * 1000};
    test_run_threads(TEST_THREADS, worker_run, workers, sizeof workers[0]);
    report(workers, metrics.clock_tick_us * 1000);
    if (cleanup_interval_ms) CHECK(atomic_load(&expirations_reported) > 0);
    char text[256] = "";
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

TEST(readers_find_the_expired)
{
    expire(0, test_scaled(100000, 8000));
}

TEST(with_a_cleanup_thread)
{
    expire(1, test_scaled(100000, 8000));
}

int main(void)
{
    seed = test_seed();
    test_watchdog(300);
    RUN(readers_find_the_expired);
    RUN(with_a_cleanup_thread);
    return test_summary();
}
