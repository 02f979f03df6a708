/* 8 threads, every operation at random, over few and many keys, tiny and large capacities, with
   and without TTLs, cleanup thread and callbacks that call the cache: no torn or foreign value,
   the invariants hold, gets are hits and misses, and each inserted value is resident at the end or
   was reported removed, exactly once. */

#include "threads.h"

#include "stress_values.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define LARGE_CAPACITY 20000u
#define FEW_KEYS 4u
#define MANY_KEYS 40000u
#define VALUE_MOST_BYTES 200u
#define TTL_MOST_MS 30
#define UNIQUES_PER_THREAD (1u << 20) /* a thread that has used up its numbers stops early */
#define UNIQUES (TEST_THREADS * UNIQUES_PER_THREAD)
#ifndef RUN_NS
#define RUN_NS UINT64_C(300000000)    /* at most; a larger scale makes more runs */
#endif
#define RUN_LEAST_NS UINT64_C(20000000)

/* ---- One run: its kind, and the books about every value ---- */

typedef struct kind {
    uint64_t keys;
    uint64_t max_entries;
    bool ttl;
    bool cleanup;
    uint32_t shard_count;
    bool callbacks_call; /* removal callbacks call the cache */
} kind;

typedef struct counts {
    uint64_t gets, hits, misses;
    uint64_t sets, adds, replaces, swaps, touches, deletes, cleared;
    uint64_t short_buffers, busy_in_callback;
    uint64_t operations;
} counts;

typedef struct worker {
    uint64_t random;
    uint64_t next_unique, end_unique;
    counts counts;
    sark_cache_pinned pinned; /* at most one pin a thread, held for a while */
    uint64_t pinned_key, pinned_unique;
    bool pin_held;
    bool in_callback;
} worker;

static uint64_t random_state;
static kind now_run;
static uint64_t run_end_ns;
static sark_cache *cache;
static worker workers[TEST_THREADS + 1]; /* the last is the cleanup thread */
static _Thread_local worker *myself;     /* NULL: the cleanup thread, or main when all is quiet */
static _Atomic(bool) quiet;              /* from now on callbacks only keep the books */
static _Atomic(uint64_t) callbacks_begun, callbacks_done;

/* By number: whether its insert answered OK, how often it was reported, how often visited. */
static _Atomic(uint8_t) was_stored[UNIQUES];
static _Atomic(uint8_t) was_removed[UNIQUES];
static _Atomic(uint64_t) removed_by_cause[SARK_CACHE_DESTROYED + 1];

static uint64_t draw_key(worker *self)
{
    return test_below(&self->random, now_run.keys);
}

static int64_t draw_ttl_ms(worker *self)
{
    if (!now_run.ttl || test_below(&self->random, 4) == 0) return SARK_CACHE_NO_EXPIRY;
    return 1 + (int64_t)test_below(&self->random, TTL_MOST_MS);
}

static void verify(const void *value, size_t value_bytes, uint64_t key, uint64_t *unique)
{
    *unique = UINT64_MAX;
    bool whole = value_holds(value, value_bytes, key, unique);
    CHECK(whole);
    if (whole) CHECK(*unique < UNIQUES);
}

/* ---- Writing ---- */

typedef enum writing { WRITE_SET, WRITE_ADD, WRITE_REPLACE } writing;

static sark_cache_status write_value(writing how, uint64_t key, const void *value,
                                     size_t value_bytes, int64_t ttl_ms)
{
    if (how == WRITE_SET)
        return sark_cache_set(cache, &key, sizeof key, value, value_bytes, ttl_ms);
    if (how == WRITE_ADD)
        return sark_cache_add(cache, &key, sizeof key, value, value_bytes, ttl_ms);
    return sark_cache_replace(cache, &key, sizeof key, value, value_bytes, ttl_ms);
}

static void do_write(worker *self, writing how)
{
    unsigned char value[VALUE_MOST_BYTES];
    uint64_t key = draw_key(self);
    size_t value_bytes =
        VALUE_MIN_BYTES + test_below(&self->random, VALUE_MOST_BYTES - VALUE_MIN_BYTES + 1);
    if (self->next_unique == self->end_unique) return;
    uint64_t unique = self->next_unique++;
    bool in_callback = self->in_callback;
    value_fill(value, value_bytes, key, unique);
    sark_cache_status status = write_value(how, key, value, value_bytes, draw_ttl_ms(self));
    if (status == SARK_CACHE_OK) {
        atomic_store_explicit(&was_stored[unique], 1, memory_order_relaxed);
        self->counts.sets += how == WRITE_SET;
        self->counts.adds += how == WRITE_ADD;
        self->counts.replaces += how == WRITE_REPLACE;
    } else if (status == SARK_CACHE_BUSY) {
        CHECK(in_callback); /* there is memory enough, so only there */
        self->counts.busy_in_callback++;
    } else {
        CHECK((how == WRITE_ADD && status == SARK_CACHE_EXISTS) ||
              (how == WRITE_REPLACE && status == SARK_CACHE_MISS));
    }
}

static void do_touch(worker *self)
{
    uint64_t key = draw_key(self);
    sark_cache_status status = sark_cache_touch(cache, &key, sizeof key, draw_ttl_ms(self));
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS ||
          (status == SARK_CACHE_BUSY && self->in_callback));
    self->counts.touches += status == SARK_CACHE_OK;
    self->counts.busy_in_callback += status == SARK_CACHE_BUSY;
}

static void do_delete(worker *self)
{
    uint64_t key = draw_key(self);
    sark_cache_status status = sark_cache_delete(cache, &key, sizeof key);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    self->counts.deletes += status == SARK_CACHE_OK;
}

/* ---- Reading ---- */

typedef sark_cache_status (*read_call)(sark_cache *, const void *, size_t, void *, size_t,
                                       size_t *);

/* A get, peek or take, once in a while with a buffer that may be too short. */
static sark_cache_status do_read(worker *self, read_call call)
{
    unsigned char value[VALUE_MOST_BYTES + 1];
    uint64_t key = draw_key(self), unique;
    size_t value_bytes = SIZE_MAX;
    size_t capacity = VALUE_MOST_BYTES;
    if (test_below(&self->random, 16) == 0)
        capacity = test_below(&self->random, VALUE_MOST_BYTES);
    memset(value, 0x5A, sizeof value);
    sark_cache_status status =
        call(cache, &key, sizeof key, capacity ? value : NULL, capacity, &value_bytes);
    if (status == SARK_CACHE_OK) {
        verify(value, value_bytes, key, &unique);
        CHECK(value_bytes <= capacity && value[capacity] == 0x5A);
    } else if (status == SARK_CACHE_SHORT_BUFFER) {
        CHECK(value_bytes > capacity && value_bytes <= VALUE_MOST_BYTES);
        CHECK(value[0] == 0x5A && value[capacity] == 0x5A);
    } else {
        CHECK(status == SARK_CACHE_MISS);
    }
    return status;
}

/* A get in a batch, beside a request that is wrong. */
static sark_cache_status get_in_batch(sark_cache *in, const void *key, size_t key_bytes,
                                      void *value, size_t value_capacity, size_t *value_bytes)
{
    sark_cache_get_request requests[2] = {{key, key_bytes, value, value_capacity, 0, 77},
                                          {NULL, 1, NULL, 0, 0, 77}};
    sark_cache_status status = sark_cache_get_many(in, requests, 2);
    CHECK(requests[1].status == SARK_CACHE_BAD_ARGUMENT);
    CHECK(status == (requests[0].status < 0 ? requests[0].status : SARK_CACHE_BAD_ARGUMENT));
    if (requests[0].status != SARK_CACHE_MISS) *value_bytes = requests[0].value_bytes;
    return requests[0].status;
}

/* What gets, pins and takes must add up to. */
static void count_read(worker *self, sark_cache_status status)
{
    self->counts.gets++;
    self->counts.hits += status == SARK_CACHE_OK;
    self->counts.misses += status == SARK_CACHE_MISS;
    self->counts.short_buffers += status == SARK_CACHE_SHORT_BUFFER;
}

static void do_take(worker *self)
{
    sark_cache_status status = do_read(self, sark_cache_take);
    count_read(self, status);
    self->counts.deletes += status == SARK_CACHE_OK;
}

static void drop_pin(worker *self)
{
    uint64_t unique;
    verify(self->pinned.value, self->pinned.value_bytes, self->pinned_key, &unique);
    CHECK(unique == self->pinned_unique);
    CHECK(sark_cache_unpin(cache, &self->pinned) == SARK_CACHE_OK);
    CHECK(self->pinned.value == NULL);
    self->pin_held = false;
}

static void do_pin(worker *self)
{
    if (self->in_callback) return;
    if (self->pin_held) {
        drop_pin(self);
        return;
    }
    self->pinned_key = draw_key(self);
    sark_cache_status status =
        sark_cache_pin(cache, &self->pinned_key, sizeof self->pinned_key, &self->pinned);
    count_read(self, status);
    self->pin_held = status == SARK_CACHE_OK;
    if (self->pin_held)
        verify(self->pinned.value, self->pinned.value_bytes, self->pinned_key,
               &self->pinned_unique);
    else CHECK(status == SARK_CACHE_MISS && self->pinned.value == NULL);
}

/* The same key pinned twice: another value has another version, the same one the same bytes. */
static void do_pin_twice(worker *self)
{
    uint64_t key = draw_key(self), one_unique, two_unique;
    sark_cache_pinned one, two;
    sark_cache_status status = sark_cache_pin(cache, &key, sizeof key, &one);
    count_read(self, status);
    if (status != SARK_CACHE_OK) return;
    status = sark_cache_pin(cache, &key, sizeof key, &two);
    count_read(self, status);
    if (status == SARK_CACHE_OK) {
        verify(one.value, one.value_bytes, key, &one_unique);
        verify(two.value, two.value_bytes, key, &two_unique);
        if (one_unique != two_unique) CHECK(one.version != two.version);
        CHECK(sark_cache_unpin(cache, &two) == SARK_CACHE_OK);
    }
    CHECK(sark_cache_unpin(cache, &one) == SARK_CACHE_OK);
}

static void do_look(worker *self)
{
    uint64_t key = draw_key(self);
    int64_t ttl_ms = 0;
    sark_cache_status status = sark_cache_contains(cache, &key, sizeof key);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    status = sark_cache_ttl(cache, &key, sizeof key, &ttl_ms);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status == SARK_CACHE_OK)
        CHECK(ttl_ms == SARK_CACHE_NO_EXPIRY || (ttl_ms >= 1 && ttl_ms <= TTL_MOST_MS + 20));
}

/* Puts a value in the place of the one that is there, unless somebody else did so meanwhile. */
static void do_swap(worker *self)
{
    unsigned char value[VALUE_MIN_BYTES];
    uint64_t key = draw_key(self);
    bool in_callback = self->in_callback;
    sark_cache_pinned pinned;
    if (self->next_unique == self->end_unique) return;
    sark_cache_status status = sark_cache_pin(cache, &key, sizeof key, &pinned);
    count_read(self, status);
    if (status != SARK_CACHE_OK) return;
    uint64_t version = pinned.version, unique = self->next_unique++;
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    value_fill(value, sizeof value, key, unique);
    status = sark_cache_compare_and_set(cache, &key, sizeof key, version, value, sizeof value,
                                        draw_ttl_ms(self));
    if (status == SARK_CACHE_OK)
        atomic_store_explicit(&was_stored[unique], 1, memory_order_relaxed);
    else CHECK(status == SARK_CACHE_EXISTS || status == SARK_CACHE_MISS ||
               (status == SARK_CACHE_BUSY && in_callback));
    self->counts.swaps += status == SARK_CACHE_OK;
    self->counts.busy_in_callback += status == SARK_CACHE_BUSY;
}

/* ---- What concerns the whole cache ---- */

static bool visit_some(void *context, const void *key, size_t key_bytes, const void *value,
                       size_t value_bytes, int64_t ttl_left_ms)
{
    uint64_t number, unique;
    memcpy(&number, key, sizeof number);
    CHECK(key_bytes == sizeof number && ttl_left_ms >= 1);
    verify(value, value_bytes, number, &unique);
    return --*(int *)context > 0;
}

static void check_cache(void)
{
    char text[256] = "";
    CHECK(sark_cache_check(cache, text, sizeof text));
    if (text[0]) printf("  %s\n", text);
}

static bool matches_some(void *context, const void *key, size_t key_bytes, const void *value,
                         size_t value_bytes, int64_t ttl_left_ms)
{
    uint64_t number, unique;
    CHECK(key_bytes == sizeof number && ttl_left_ms > 0);
    memcpy(&number, key, sizeof number);
    verify(value, value_bytes, number, &unique);
    return number % 8 == *(const uint64_t *)context;
}

/* Clears an eighth of the keys, by their first byte or by a look at each. */
static void clear_some(worker *self)
{
    uint64_t part = test_below(&self->random, 8), removed = 0;
    unsigned char first = (unsigned char)part;
    if (test_below(&self->random, 2))
        CHECK(sark_cache_clear_if(cache, matches_some, &part, &removed) == SARK_CACHE_OK);
    else CHECK(sark_cache_clear_prefix(cache, &first, 1, &removed) == SARK_CACHE_OK);
    self->counts.cleared += removed;
}

static void do_rare(worker *self)
{
    sark_cache_metrics metrics;
    int visits = 1000;
    switch (test_below(&self->random, 7)) {
    case 0:
        if (test_below(&self->random, 8) == 0) self->counts.cleared += sark_cache_clear(cache);
        break;
    case 6:
        if (test_below(&self->random, 8) == 0) clear_some(self);
        break;
    case 1: CHECK(sark_cache_foreach(cache, visit_some, &visits) == SARK_CACHE_OK); break;
    case 2: (void)sark_cache_cleanup_expired(cache, test_below(&self->random, 64)); break;
    case 3:
        sark_cache_metrics_read(cache, &metrics);
        CHECK(metrics.entries <= now_run.max_entries && metrics.bytes <= metrics.max_bytes);
        CHECK(metrics.longest_hold_moves <= 256);
        break;
    case 4: CHECK(sark_cache_size(cache) <= now_run.max_entries); break;
    default:
        if (test_below(&self->random, 8) == 0 && !self->in_callback) check_cache();
    }
}

static void do_one(worker *self)
{
    uint64_t part = test_below(&self->random, 1000);
    self->counts.operations++;
    if (part < 300) count_read(self, do_read(self, sark_cache_get));
    else if (part < 400) count_read(self, do_read(self, get_in_batch));
    else if (part < 450) (void)do_read(self, sark_cache_peek);
    else if (part < 500) do_look(self);
    else if (part < 700) do_write(self, WRITE_SET);
    else if (part < 760) do_write(self, WRITE_ADD);
    else if (part < 790) do_write(self, WRITE_REPLACE);
    else if (part < 820) do_swap(self);
    else if (part < 850) do_take(self);
    else if (part < 880) do_touch(self);
    else if (part < 950) do_delete(self);
    else if (part < 990) do_pin(self);
    else if (part < 999) do_pin_twice(self);
    else do_rare(self);
}

/* ---- Reports ---- */

static void keep_books(const void *key, size_t key_bytes, const void *value, size_t value_bytes,
                       sark_cache_cause cause)
{
    uint64_t number, unique;
    CHECK(key_bytes == sizeof number && (int)cause >= 0 && cause <= SARK_CACHE_DESTROYED);
    memcpy(&number, key, sizeof number);
    verify(value, value_bytes, number, &unique);
    if (unique < UNIQUES)
        CHECK(atomic_fetch_add_explicit(&was_removed[unique], 1, memory_order_relaxed) == 0);
    atomic_fetch_add_explicit(&removed_by_cause[cause], 1, memory_order_relaxed);
}

/* Callbacks do not nest: what is removed inside one is reported after it. */
static void call_from_inside(worker *self)
{
    CHECK(!self->in_callback);
    if (self->in_callback || test_below(&self->random, 8) != 0) return;
    self->in_callback = true;
    do_one(self);
    self->in_callback = false;
}

static void removed(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, sark_cache_cause cause)
{
    (void)context;
    atomic_fetch_add(&callbacks_begun, 1);
    keep_books(key, key_bytes, value, value_bytes, cause);
    if (now_run.callbacks_call && !atomic_load(&quiet))
        call_from_inside(myself ? myself : &workers[TEST_THREADS]);
    atomic_fetch_add(&callbacks_done, 1);
}

/* ---- A run ---- */

static void *worker_run(void *context)
{
    worker *self = context;
    myself = self;
    while (self->next_unique < self->end_unique && test_now_ns() < run_end_ns)
        for (int i = 0; i < 64; i++) do_one(self);
    if (self->pin_held) drop_pin(self);
    return NULL;
}

static bool visit_all(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, int64_t ttl_left_ms)
{
    uint64_t number, unique;
    (void)key_bytes;
    memcpy(&number, key, sizeof number);
    verify(value, value_bytes, number, &unique);
    /* The cleanup thread may remove what expires during the visit. */
    bool may_expire = now_run.cleanup && ttl_left_ms != SARK_CACHE_NO_EXPIRY;
    if (unique < UNIQUES) {
        CHECK(atomic_load(&was_stored[unique]) == 1);
        CHECK(atomic_load(&was_removed[unique]) == 0 || may_expire);
    }
    ++*(uint64_t *)context;
    return true;
}

/* Each value that was stored has been reported once by now, no other ever. */
static uint64_t check_books(void)
{
    uint64_t wrong = 0, stored = 0;
    for (uint64_t thread = 0; thread < TEST_THREADS; thread++)
        for (uint64_t i = thread * UNIQUES_PER_THREAD; i < workers[thread].next_unique; i++) {
            uint8_t is_stored = atomic_load_explicit(&was_stored[i], memory_order_relaxed);
            wrong += is_stored != atomic_load_explicit(&was_removed[i], memory_order_relaxed);
            stored += is_stored;
        }
    CHECK(wrong == 0);
    if (wrong) printf("  %llu values lost, or reported twice\n", (unsigned long long)wrong);
    return stored;
}

static counts summed(void)
{
    counts sum = {0};
    for (unsigned i = 0; i <= TEST_THREADS; i++) {
        const counts *one = &workers[i].counts;
        sum.gets += one->gets, sum.hits += one->hits, sum.misses += one->misses;
        sum.sets += one->sets, sum.adds += one->adds, sum.replaces += one->replaces;
        sum.swaps += one->swaps;
        sum.touches += one->touches, sum.deletes += one->deletes, sum.cleared += one->cleared;
        sum.short_buffers += one->short_buffers;
        sum.busy_in_callback += one->busy_in_callback, sum.operations += one->operations;
    }
    return sum;
}

static uint64_t removed_because(sark_cache_cause cause)
{
    return atomic_load(&removed_by_cause[cause]);
}

/* The metrics are exact once nobody calls any more. */
static void check_metrics(const sark_cache_metrics *metrics, const counts *sum)
{
    CHECK(sum->gets == sum->hits + sum->misses + sum->short_buffers);
    CHECK(metrics->hits == sum->hits && metrics->misses == sum->misses);
    CHECK(metrics->misses_expired <= metrics->misses);
    CHECK(metrics->sets == sum->sets && metrics->adds == sum->adds);
    CHECK(metrics->replaces == sum->replaces && metrics->touches == sum->touches);
    CHECK(metrics->deletes == sum->deletes && metrics->compare_and_sets == sum->swaps);
    /* What clear finds expired is reported so, but it tells how many it removed in all. */
    CHECK(now_run.ttl ? metrics->cleared <= sum->cleared : metrics->cleared == sum->cleared);
    CHECK(metrics->rejected_short_buffer == sum->short_buffers);
    CHECK(metrics->pinned_bytes == 0);
    CHECK(metrics->rejected_busy == sum->busy_in_callback && metrics->rejected_no_pin == 0);
    CHECK(metrics->evictions_for_bytes == 0);
    CHECK(metrics->evictions_for_entries == removed_because(SARK_CACHE_EVICTED));
    CHECK(metrics->deletes == removed_because(SARK_CACHE_DELETED));
    CHECK(metrics->cleared == removed_because(SARK_CACHE_CLEARED));
    CHECK(metrics->entries == sark_cache_size(cache) || now_run.cleanup);
    CHECK(metrics->pins_in_use == 0 && (metrics->leases_in_use == 0 || now_run.cleanup));
    CHECK(metrics->entries_peak <= metrics->max_entries);
    CHECK(metrics->bytes_peak <= metrics->max_bytes);
    CHECK(metrics->longest_hold_moves <= 256);
}

/* The cleanup thread goes on; wait until what it counted is also reported. */
static void read_settled(sark_cache_metrics *metrics)
{
    bool settled = false;
    for (int tries = 0; tries < 400 && !settled; tries++) {
        uint64_t begun = atomic_load(&callbacks_begun);
        if (tries) test_sleep_ns(5000000);
        sark_cache_metrics_read(cache, metrics);
        settled = metrics->expired_by_writers + metrics->expired_by_cleanup ==
                      removed_because(SARK_CACHE_EXPIRED) &&
                  atomic_load(&callbacks_done) == begun;
    }
    CHECK(settled);
}

static uint64_t reports_now(void)
{
    uint64_t reports = 0;
    for (int cause = 0; cause <= SARK_CACHE_DESTROYED; cause++)
        reports += atomic_load(&removed_by_cause[cause]);
    return reports;
}

static void set_anew(uint64_t key)
{
    worker *self = &workers[0];
    unsigned char value[VALUE_MIN_BYTES];
    uint64_t unique = self->next_unique++;
    value_fill(value, sizeof value, key, unique);
    CHECK(sark_cache_set(cache, &key, sizeof key, value, sizeof value, SARK_CACHE_NO_EXPIRY) ==
          SARK_CACHE_OK);
    atomic_store_explicit(&was_stored[unique], 1, memory_order_relaxed);
    self->counts.sets++;
}

/* No place is lost: new entries fill the cache to the last one. They have keys of their own. The
   cleanup thread may stand between the removal of an entry and the return of its place; then some
   more entries are needed, later. */
static void fill_to_capacity(void)
{
    uint64_t wanted = now_run.max_entries + now_run.max_entries / 2 + 1;
    uint64_t more = now_run.ttl && now_run.cleanup ? 1000 : 0, key = MANY_KEYS;
    if (workers[0].end_unique - workers[0].next_unique < wanted + more) return;
    while (wanted-- > 0) set_anew(key++);
    while (sark_cache_size(cache) < now_run.max_entries && more-- > 0) {
        test_sleep_ns(1000000);
        set_anew(key++);
    }
    CHECK(sark_cache_size(cache) == now_run.max_entries);
    check_cache();
}

static void settle(void)
{
    sark_cache_metrics metrics;
    uint64_t visited = 0;
    atomic_store(&quiet, true);
    read_settled(&metrics);
    counts sum = summed();
    check_metrics(&metrics, &sum);
    check_cache();
    uint64_t resident = sark_cache_size(cache);
    CHECK(sark_cache_foreach(cache, visit_all, &visited) == SARK_CACHE_OK);
    CHECK(now_run.ttl ? visited <= resident : visited == resident);
    CHECK(removed_because(SARK_CACHE_DESTROYED) == 0);
    fill_to_capacity();
    resident = sark_cache_size(cache);
    sum = summed();
    uint64_t reports = reports_now();
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
    if (!now_run.cleanup || !now_run.ttl) CHECK(reports_now() == reports + resident);
    uint64_t stored = check_books();
    CHECK(stored == reports_now());
    CHECK(stored == sum.sets + sum.adds + sum.replaces + sum.swaps);
}

static void begin(uint64_t *random)
{
    for (uint64_t thread = 0; thread < TEST_THREADS; thread++) {
        uint64_t start = thread * UNIQUES_PER_THREAD;
        for (uint64_t i = start; i < workers[thread].next_unique; i++) {
            atomic_store_explicit(&was_stored[i], 0, memory_order_relaxed);
            atomic_store_explicit(&was_removed[i], 0, memory_order_relaxed);
        }
    }
    for (int cause = 0; cause <= SARK_CACHE_DESTROYED; cause++)
        atomic_store(&removed_by_cause[cause], 0);
    atomic_store(&quiet, false);
    memset(workers, 0, sizeof workers);
    for (unsigned i = 0; i <= TEST_THREADS; i++) {
        uint64_t start = (uint64_t)i * UNIQUES_PER_THREAD;
        workers[i].random = test_random(random);
        workers[i].next_unique = start;
        workers[i].end_unique = i < TEST_THREADS ? start + UNIQUES_PER_THREAD : start;
    }
}

/* One run of the kind now_run. Returns how many operations it made. */
static uint64_t run(uint64_t *random, uint64_t run_ns)
{
    sark_cache_config config = {
        .max_entries = now_run.max_entries,
        .max_bytes = now_run.max_entries == LARGE_CAPACITY ? 64u << 20 : 4u << 20,
        .shard_count = now_run.shard_count,
        .cleanup_interval_ms = now_run.cleanup ? 1 : 0,
        .pin_count = 64, /* more than can be out: NO_PIN would be wrong */
        .on_remove = removed};
    begin(random);
    sark_cache_status status = sark_cache_create(&cache, &config);
    CHECK(status == SARK_CACHE_OK);
    if (status != SARK_CACHE_OK) return 0;
    run_end_ns = test_now_ns() + run_ns;
    test_watchdog(120);
    test_run_threads(TEST_THREADS, worker_run, workers, sizeof workers[0]);
    settle();
    return summed().operations;
}

/* Every kind of run at this capacity. */
static void run_all(uint64_t max_entries)
{
    static const uint32_t shard_counts[] = {1, 4, 64};
    uint64_t percent = test_scale_percent(), operations = 0;
    uint64_t run_ns = percent < 100 ? RUN_NS / 100 * percent : RUN_NS;
    if (run_ns < RUN_LEAST_NS) run_ns = RUN_LEAST_NS;
    for (uint64_t round = 0; round < (percent < 200 ? 1 : percent / 100); round++) {
        for (unsigned bits = 0; bits < 24; bits++) {
            now_run = (kind){.keys = bits & 1 ? MANY_KEYS : FEW_KEYS,
                             .max_entries = max_entries,
                             .ttl = bits & 2,
                             .cleanup = bits & 4,
                             .shard_count = shard_counts[bits / 8],
                             .callbacks_call = test_below(&random_state, 2)};
            int failures = atomic_load(&test_failures_in_case);
            operations += run(&random_state, run_ns);
            if (atomic_load(&test_failures_in_case) == failures) continue;
            printf("  in: %llu keys, ttl %d, cleanup %d, shards %u, callbacks that call %d\n",
                   (unsigned long long)now_run.keys, now_run.ttl, now_run.cleanup,
                   now_run.shard_count, now_run.callbacks_call);
        }
    }
    printf("  %llu operations\n", (unsigned long long)operations);
}

TEST(capacity_1)
{
    run_all(1);
}

TEST(capacity_2)
{
    run_all(2);
}

TEST(capacity_16)
{
    run_all(16);
}

TEST(large_capacity)
{
    run_all(LARGE_CAPACITY);
}

int main(void)
{
    random_state = test_seed();
    RUN(capacity_1);
    RUN(capacity_2);
    RUN(capacity_16);
    RUN(large_capacity);
    return test_summary();
}
