/* Every call of the system that the cache makes fails, one after the other: each of the scenarios
   below is repeated with a failure at the first call of a kind, at the second, and so on until a
   run makes fewer of them; once with that call alone failing, and once with all that follow it.

   After each step: no lock is held, errno and the cancellation state are as they were, what failed
   changed nothing of its key, and no other key is lost unless that is reported. After each run:
   the invariants hold, the cache serves another thread, each value that was stored is reported
   once, and nothing is left: region, mutex, condition variable, attributes, file or thread. */

#include "threads.h"
#include "test.h"

#include "faults.h"

#include <sys/wait.h>

#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

/* ---- What is under the keys ----------------------------------------------------------------- */

enum {
    KEYS = 12,
    KEY_OF_CALLBACKS = 100, /* not among those that are looked at */
    KEY_OF_THE_END,
    REGION_BYTES = 48 << 10,
    MOST_BYTES = 40 << 10,
    SOME_ERRNO = 4711
};

/* A value is one byte again and again. */
typedef struct held {
    bool live, timed;
    unsigned char byte;
    size_t bytes;
} held;

static struct {
    sark_cache *cache;
    held before[KEYS];
    uint64_t removed_before[KEYS], failures_before;
    _Atomic(uint64_t) removed[KEYS], reported;
    _Atomic(uint64_t) stored;
    _Atomic(bool) callbacks_call;
} now;

static unsigned char region[REGION_BYTES];
static unsigned char value_buffer[MOST_BYTES];

static bool is_uniform(const unsigned char *bytes, size_t count)
{
    return count < 2 || memcmp(bytes, bytes + 1, count - 1) == 0;
}

static held look_at(uint32_t key)
{
    held found = {.live = false};
    int64_t ttl_ms = 0;
    is_watching = true;
    sark_cache_status status = sark_cache_peek(now.cache, &key, sizeof key, value_buffer,
                                               sizeof value_buffer, &found.bytes);
    found.live = status == SARK_CACHE_OK;
    CHECK(found.live || status == SARK_CACHE_MISS);
    if (found.live && sark_cache_ttl(now.cache, &key, sizeof key, &ttl_ms) == SARK_CACHE_OK)
        found.timed = ttl_ms != SARK_CACHE_NO_EXPIRY;
    is_watching = false;
    if (!found.live) return (held){.live = false};
    CHECK(is_uniform(value_buffer, found.bytes));
    found.byte = found.bytes ? value_buffer[0] : 0;
    return found;
}

static bool same(held one, held other)
{
    if (!one.live || !other.live) return one.live == other.live;
    return one.timed == other.timed && one.byte == other.byte && one.bytes == other.bytes;
}

/* Calls inside a callback; what they may answer depends on what fails. */
static void call_from_inside(void)
{
    uint32_t key = KEY_OF_CALLBACKS;
    unsigned char bytes[8];
    sark_cache_status status = sark_cache_set(now.cache, &key, sizeof key, "inside", 6, 0);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY);
    now.stored += status == SARK_CACHE_OK;
    status = sark_cache_get(now.cache, &key, sizeof key, bytes, sizeof bytes, NULL);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (now.reported % 2) CHECK(sark_cache_delete(now.cache, &key, sizeof key) >= 0);
    CHECK(sark_cache_destroy(now.cache) == SARK_CACHE_BUSY);
}

static void removed(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, sark_cache_cause cause)
{
    uint32_t number = KEYS;
    (void)context;
    CHECK(locks_held == 0 && cause <= SARK_CACHE_DESTROYED && key_bytes == sizeof number);
    memcpy(&number, key, sizeof number);
    if (number < KEYS) CHECK(is_uniform(value, value_bytes));
    if (number < KEYS) now.removed[number]++;
    now.reported++;
    if (now.callbacks_call && number < KEYS) call_from_inside();
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* What a step on a key comes to. */
typedef struct outcome {
    sark_cache_status status;
    held after;
} outcome;

static void begin(void)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        now.before[key] = look_at(key);
        now.removed_before[key] = now.removed[key];
    }
    now.failures_before = fault.failures;
    errno = SOME_ERRNO;
}

static bool has_failed(void) { return fault.failures != now.failures_before; }

/* What holds after any call. */
static void check_thread(void)
{
    int state = PTHREAD_CANCEL_DISABLE;
    CHECK(errno == SOME_ERRNO);
    CHECK(locks_held == 0);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    CHECK(state == PTHREAD_CANCEL_ENABLE);
    is_watching = true;
    for (uint32_t i = 0; i < now.cache->shard_count; i++) /* nor the cleanup thread, for long */
        CHECK(sarki_load32_relaxed(&now.cache->shards[i].a_held) == 0 || left.threads > 0);
    is_watching = false;
}

/* Another key than that of the step: it is as it was, or its removal was reported. */
static void check_other(uint32_t key)
{
    held after = look_at(key);
    bool reported = now.removed[key] > now.removed_before[key];
    CHECK(same(after, now.before[key]) || (!after.live && reported));
}

/* A step on a key has ended: it came to what it must; or a call failed, and it came to an error
   (where it may) that changed nothing, or took an entry that has a deadline for expired. */
static void end(uint32_t key, sark_cache_status status, outcome usual, outcome if_absent,
                bool may_fail)
{
    check_thread();
    held before = now.before[key], after = look_at(key);
    for (uint32_t other = 0; other < KEYS; other++)
        if (other != key) check_other(other);
    if (!before.live) usual = if_absent;
    bool is_usual = status == usual.status && same(after, usual.after);
    bool has_expired = before.timed && status == if_absent.status &&
                       (same(after, if_absent.after) || !after.live);
    bool is_error = may_fail && status == SARK_CACHE_SYSTEM_ERROR && same(after, before);
    CHECK(is_usual || (has_failed() && (has_expired || is_error)));
    if (!is_usual && !has_failed())
        printf("  key %u: %d, where %d is due\n", (unsigned)key, (int)status, (int)usual.status);
}

/* A call has ended that has no key of its own, or this one, which was looked at. */
static void end_all_but(uint32_t own_key)
{
    check_thread();
    for (uint32_t key = 0; key < KEYS; key++)
        if (key != own_key) check_other(key);
}

static void end_all(void) { end_all_but(KEYS); }

static const held nothing;

static const unsigned char *filled(unsigned char byte, size_t bytes)
{
    static unsigned char value[MOST_BYTES];
    memset(value, byte, bytes);
    return value;
}

static sark_cache_status store(sarki_mode mode, uint32_t key, unsigned char byte, size_t bytes,
                               int64_t ttl_ms)
{
    const unsigned char *value = filled(byte, bytes);
    begin();
    held before = now.before[key];
    held stored = {true, ttl_ms != 0, bytes ? byte : 0, bytes};
    outcome over = {SARK_CACHE_OK, stored}, fresh = over;
    sark_cache_status status = SARK_CACHE_OK;
    switch (mode) {
    case SARKI_ADD:
        over = (outcome){SARK_CACHE_EXISTS, before};
        status = sark_cache_add(now.cache, &key, sizeof key, value, bytes, ttl_ms);
        break;
    case SARKI_REPLACE:
        over.after.timed = ttl_ms ? true : before.timed;
        fresh = (outcome){SARK_CACHE_MISS, before};
        status = sark_cache_replace(now.cache, &key, sizeof key, value, bytes, ttl_ms);
        break;
    case SARKI_APPEND:
        over.after = (held){true, ttl_ms ? true : before.timed, byte, before.bytes + bytes};
        fresh = (outcome){SARK_CACHE_MISS, before};
        status = sark_cache_append(now.cache, &key, sizeof key, value, bytes, ttl_ms);
        break;
    default:
        status = sark_cache_set(now.cache, &key, sizeof key, value, bytes, ttl_ms);
    }
    now.stored += status == SARK_CACHE_OK;
    end(key, status, over, fresh, ttl_ms > 0);
    return status;
}

static sark_cache_status set(uint32_t key, unsigned char byte, size_t bytes, int64_t ttl_ms)
{
    return store(SARKI_SET, key, byte, bytes, ttl_ms);
}

/* All the ways to read a key. */
static void look_all(uint32_t key)
{
    static unsigned char bytes[MOST_BYTES];
    size_t count = 0;
    int64_t ttl_ms = 0;
    for (int way = 0; way < 4; way++) {
        begin();
        held before = now.before[key];
        outcome hit = {SARK_CACHE_OK, before}, miss = {SARK_CACHE_MISS, before};
        sark_cache_status status =
            way == 0   ? sark_cache_get(now.cache, &key, sizeof key, bytes, sizeof bytes, &count)
            : way == 1 ? sark_cache_peek(now.cache, &key, sizeof key, bytes, sizeof bytes, &count)
            : way == 2 ? sark_cache_contains(now.cache, &key, sizeof key)
                       : sark_cache_ttl(now.cache, &key, sizeof key, &ttl_ms);
        if (status == SARK_CACHE_OK && way < 2)
            CHECK(count == before.bytes && is_uniform(bytes, count) &&
                  (count == 0 || bytes[0] == before.byte));
        end(key, status, hit, miss, false);
    }
}

static void get(uint32_t key)
{
    unsigned char bytes[64];
    begin();
    outcome hit = {SARK_CACHE_OK, now.before[key]}, miss = {SARK_CACHE_MISS, now.before[key]};
    end(key, sark_cache_get(now.cache, &key, sizeof key, bytes, sizeof bytes, NULL), hit, miss,
        false);
}

static void take(uint32_t key)
{
    begin();
    outcome hit = {SARK_CACHE_OK, nothing}, miss = {SARK_CACHE_MISS, now.before[key]};
    end(key, sark_cache_take(now.cache, &key, sizeof key, value_buffer, sizeof value_buffer, NULL),
        hit, miss, false);
}

static void drop(uint32_t key)
{
    begin();
    outcome hit = {SARK_CACHE_OK, nothing}, miss = {SARK_CACHE_MISS, now.before[key]};
    end(key, sark_cache_delete(now.cache, &key, sizeof key), hit, miss, false);
}

static void touch(uint32_t key, int64_t ttl_ms)
{
    begin();
    held after = now.before[key];
    after.timed = ttl_ms > 0;
    outcome hit = {SARK_CACHE_OK, after}, miss = {SARK_CACHE_MISS, now.before[key]};
    end(key, sark_cache_touch(now.cache, &key, sizeof key, ttl_ms), hit, miss, ttl_ms > 0);
}

static sark_cache_pinned pin(uint32_t key)
{
    sark_cache_pinned pinned;
    begin();
    outcome hit = {SARK_CACHE_OK, now.before[key]}, miss = {SARK_CACHE_MISS, now.before[key]};
    sark_cache_status status = sark_cache_pin(now.cache, &key, sizeof key, &pinned);
    CHECK((status == SARK_CACHE_OK) == (pinned.value != NULL));
    end(key, status, hit, miss, false);
    return pinned;
}

static void unpin(sark_cache_pinned *pinned)
{
    begin();
    if (pinned->value) CHECK(is_uniform(pinned->value, pinned->value_bytes));
    sark_cache_status expected = pinned->value ? SARK_CACHE_OK : SARK_CACHE_BAD_ARGUMENT;
    CHECK(sark_cache_unpin(now.cache, pinned) == expected);
    end_all();
}

/* Stored values are zeros, as all 8 bytes must be the same. */
static void increment(uint32_t key, int64_t ttl_ms)
{
    int64_t initial = 0, result = -1;
    begin();
    held before = now.before[key];
    held zero = {true, ttl_ms ? true : before.timed, 0, 8};
    outcome over = {SARK_CACHE_OK, zero}, fresh = over;
    fresh.after.timed = ttl_ms > 0;
    sark_cache_status status = sark_cache_increment(now.cache, &key, sizeof key, 0, &initial,
                                                    ttl_ms, &result);
    now.stored += status == SARK_CACHE_OK;
    end(key, status, over, fresh, ttl_ms > 0);
}

static void compare_and_set(uint32_t key, uint64_t version, unsigned char byte, bool is_current)
{
    begin();
    held before = now.before[key];
    outcome over = {SARK_CACHE_OK, {true, before.timed, byte, 1}};
    outcome fresh = {SARK_CACHE_MISS, before};
    if (!is_current) over = (outcome){SARK_CACHE_EXISTS, before};
    sark_cache_status status = sark_cache_compare_and_set(now.cache, &key, sizeof key, version,
                                                          &byte, 1, 0);
    now.stored += status == SARK_CACHE_OK;
    end(key, status, over, fresh, false);
}

static void clean_up(uint64_t most)
{
    begin();
    (void)sark_cache_cleanup_expired(now.cache, most);
    end_all();
}

static void clear(void)
{
    begin();
    (void)sark_cache_clear(now.cache);
    end_all();
    for (uint32_t key = 0; key < KEYS; key++) CHECK(!look_at(key).live);
}

static void pass_ms(int64_t ms) { time_ns += ms * 1000000; }

static bool visit(void *context, const void *key, size_t key_bytes, const void *value,
                  size_t value_bytes, int64_t ttl_left_ms)
{
    uint64_t *seen = context;
    (void)key;
    CHECK(locks_held == 0 && key_bytes == sizeof(uint32_t) && ttl_left_ms > 0);
    CHECK(is_uniform(value, value_bytes));
    ++*seen;
    return true;
}

static void foreach(void)
{
    uint64_t seen = 0, live = 0, untimed = 0;
    begin();
    CHECK(sark_cache_foreach(now.cache, visit, &seen) == SARK_CACHE_OK);
    bool failed = has_failed();
    for (uint32_t key = 0; key < KEYS; key++) {
        live += now.before[key].live;
        untimed += now.before[key].live && !now.before[key].timed;
    }
    CHECK(failed ? seen >= untimed && seen <= live : seen == live);
    end_all();
}

static void metrics(void)
{
    sark_cache_metrics read;
    begin();
    sark_cache_metrics_read(now.cache, &read);
    CHECK(read.entries <= read.max_entries && read.bytes <= read.max_bytes);
    sark_cache_metrics_reset(now.cache);
    end_all();
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void *own_allocate(void *context, size_t bytes)
{
    (void)context;
    if (fails(CALL_ALLOCATE, ENOMEM)) return NULL;
    left.regions++;
    errno = EAGAIN;
    return malloc(bytes);
}

static void own_release(void *context, void *memory, size_t bytes)
{
    (void)context, (void)bytes;
    fake_free(memory);
}

static int64_t own_clock(void *context)
{
    (void)context;
    return fails(CALL_OWN_CLOCK, SOME_ERRNO) ? -1 : time_ns / 1000000;
}

static bool is_empty_handed(void)
{
    return left.regions == 0 && left.mutexes == 0 && left.conditions == 0 && left.files == 0 &&
           left.condition_attributes == 0 && left.thread_attributes == 0 && left.threads == 0;
}

/* Whether a cache was created; where not, the status says what failed. */
static bool created(sark_cache_status status, const sark_cache *cache)
{
    uint32_t locks = BIT(CALL_MUTEX) | BIT(CALL_CONDITION) | BIT(CALL_CONDITION_ATTRIBUTES) |
                     BIT(CALL_CONDITION_CLOCK);
    uint32_t random = BIT(CALL_OPEN) | BIT(CALL_READ), failed = fault.failed_kinds;
    CHECK(errno == SOME_ERRNO && locks_held == 0);
    CHECK((cache != NULL) == (status == SARK_CACHE_OK));
    if (status == SARK_CACHE_NO_MEMORY) CHECK(failed & BIT(CALL_ALLOCATE));
    else if (status == SARK_CACHE_NO_RANDOM) CHECK(failed & random);
    else if (status == SARK_CACHE_SYSTEM_ERROR) CHECK(failed & locks);
    else CHECK(status == SARK_CACHE_OK && !(failed & (BIT(CALL_ALLOCATE) | random | locks)));
    return cache != NULL;
}

/* Nothing fails any more, and the cache serves. */
static void *serve(void *argument)
{
    uint32_t key = KEY_OF_THE_END;
    unsigned char bytes[8];
    (void)argument;
    is_watching = true;
    CHECK(sark_cache_set(now.cache, &key, sizeof key, "end", 3, 1000) == SARK_CACHE_OK);
    now.stored++;
    CHECK(sark_cache_get(now.cache, &key, sizeof key, bytes, sizeof bytes, NULL) == SARK_CACHE_OK);
    CHECK(memcmp(bytes, "end", 3) == 0);
    is_watching = false;
    return NULL;
}

/* The end of a scenario: destroy is a step too. */
static void finish(bool in_another_thread)
{
    char report[200] = "";
    sark_cache_metrics read;
    pthread_t thread;
    is_watching = true;
    now.callbacks_call = false;
    if (in_another_thread) {
        CHECK(pthread_create(&thread, NULL, serve, NULL) == 0);
        pthread_join(thread, NULL);
    } else {
        serve(NULL);
    }
    is_watching = true;
    CHECK(sark_cache_check(now.cache, report, sizeof report));
    if (report[0]) printf("  check: %s\n", report);
    sark_cache_metrics_read(now.cache, &read);
    CHECK(read.pins_in_use == 0 && read.leases_in_use == 0);
    is_watching = false;
    bool has_callback = now.cache->config.on_remove != NULL;
    errno = SOME_ERRNO;
    CHECK(sark_cache_destroy(now.cache) == SARK_CACHE_OK);
    CHECK(errno == SOME_ERRNO && locks_held == 0 && left.regions == 0 && left.files == 0);
    if (has_callback) CHECK(now.reported == now.stored);
}

/* ---- Scenarios ------------------------------------------------------------------------------ */

static void do_nothing(void) {}

static void do_set_and_get(void)
{
    set(1, 'a', 10, 0);
    set(2, 'b', 0, 0);
    get(1);
    get(2);
    get(3);
}

static void do_replaces_by_set(void)
{
    set(1, 'a', 10, 0);
    set(1, 'b', 20, 50);
    set(1, 'c', 3000, 0);
    look_all(1);
}

static void do_ttl(void)
{
    set(1, 'a', 10, 50);
    set(2, 'b', 10, 0);
    look_all(1);
    look_all(2);
    pass_ms(20);
    look_all(1);
    pass_ms(60);
    look_all(1);
    set(1, 'c', 5, 50);
    look_all(1);
}

static void do_add(void)
{
    store(SARKI_ADD, 1, 'a', 10, 0);
    store(SARKI_ADD, 1, 'b', 10, 5);
    store(SARKI_ADD, 2, 'c', 10, 5);
    store(SARKI_ADD, 2, 'd', 10, 0);
    pass_ms(50);
    store(SARKI_ADD, 2, 'e', 10, 5);
}

static void do_replace(void)
{
    store(SARKI_REPLACE, 1, 'a', 10, 0);
    set(1, 'b', 10, 100);
    store(SARKI_REPLACE, 1, 'c', 20, 0);
    store(SARKI_REPLACE, 1, 'd', 5, 100);
    pass_ms(200);
    store(SARKI_REPLACE, 1, 'e', 5, 100);
}

static void do_append(void)
{
    store(SARKI_APPEND, 1, 'a', 10, 0);
    set(1, 'a', 10, 0);
    store(SARKI_APPEND, 1, 'a', 500, 0);
    store(SARKI_APPEND, 1, 'a', 5, 100);
    look_all(1);
}

static void do_increment(void)
{
    increment(1, 0);
    increment(1, 0);
    increment(1, 100);
    increment(2, 100);
    increment(2, 0);
    look_all(2);
}

static void do_compare_and_set(void)
{
    set(1, 'a', 10, 100);
    sark_cache_pinned pinned = pin(1);
    uint64_t version = pinned.version;
    bool pinned_it = pinned.value != NULL;
    unpin(&pinned);
    if (pinned_it) compare_and_set(1, version + 1, 'b', false);
    if (pinned_it && look_at(1).live) compare_and_set(1, version, 'c', true);
    compare_and_set(2, 1, 'd', true);
}

static void do_touch(void)
{
    set(1, 'a', 10, 0);
    touch(1, 100);
    touch(1, 200);
    touch(2, 100);
    set(2, 'b', 2000, 0);
    touch(2, 100);
    pass_ms(150);
    look_all(1);
    look_all(2);
}

static void do_take(void)
{
    set(1, 'a', 10, 0);
    set(2, 'b', 10, 100);
    take(1);
    take(2);
    take(3);
}

static void do_delete(void)
{
    set(1, 'a', 10, 0);
    set(2, 'b', 10, 100);
    set(3, 'c', 10, 100);
    drop(1);
    drop(2);
    drop(1);
    pass_ms(200);
    drop(3);
}

static void do_pins(void)
{
    set(1, 'a', 100, 0);
    set(2, 'b', 100, 50);
    sark_cache_pinned one = pin(1), two = pin(2);
    set(1, 'c', 100, 0);
    drop(2);
    pass_ms(100);
    set(2, 'd', 100, 50);
    unpin(&two);
    unpin(&one);
    unpin(&one);
}

static void do_pins_that_run_out(void)
{
    uint32_t key = 1;
    sark_cache_pinned pinned[4];
    set(key, 'a', 10, 0);
    for (int i = 0; i < 2; i++) pinned[i] = pin(key);
    begin();
    CHECK(sark_cache_pin(now.cache, &key, sizeof key, &pinned[2]) == SARK_CACHE_NO_PIN);
    end_all();
    begin();
    CHECK(sark_cache_foreach(now.cache, visit, &key) == SARK_CACHE_NO_PIN);
    end_all();
    begin();
    CHECK(sark_cache_destroy(now.cache) == SARK_CACHE_BUSY);
    end_all();
    for (int i = 0; i < 2; i++) unpin(&pinned[i]);
}

static void do_evict_for_places(void)
{
    for (uint32_t key = 0; key < KEYS; key++) set(key, 'a', 10, key % 3 ? 0 : 50);
    get(KEYS - 2);
    for (uint32_t key = 0; key < 3; key++) set(key, 'b', 10, 0);
}

static void do_evict_for_bytes(void)
{
    for (uint32_t key = 0; key < KEYS; key++) set(key, 'a', 2000 + 300 * key, key % 2 ? 0 : 50);
}

static void do_move(void)
{
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t key = 0; key < KEYS; key++) set(key, 'a', 50 + 97 * (key * 7 % 5), 0);
    for (uint32_t key = 0; key < KEYS; key += 2) drop(key);
    set(0, 'b', 8000, 0);
    set(2, 'c', 12000, 50);
}

static void do_largest(void)
{
    for (uint32_t key = 0; key < 4; key++) set(key, 'a', 100, 0);
    size_t bytes = MOST_BYTES;
    uint32_t key = 9;
    while (sark_cache_set(now.cache, &key, sizeof key, filled('b', bytes), bytes, 0) ==
           SARK_CACHE_TOO_LARGE)
        bytes -= 512;
    now.stored++;
    CHECK(bytes > 4000);
    get(1);
    set(1, 'b', 100, 0);
}

static void do_busy(void)
{
    uint32_t key = 2;
    set(1, 'a', 3000, 0);
    sark_cache_pinned pinned = pin(1);
    set(3, 'b', 3000, 0);
    sark_cache_pinned other = pin(3);
    for (size_t bytes = MOST_BYTES; bytes > 15000; bytes -= 1000) {
        begin();
        sark_cache_status status =
            sark_cache_set(now.cache, &key, sizeof key, filled('c', bytes), bytes, 0);
        CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY ||
              status == SARK_CACHE_TOO_LARGE);
        now.stored += status == SARK_CACHE_OK;
        if (status < 0) CHECK(same(look_at(key), now.before[key]));
        end_all_but(key);
    }
    unpin(&pinned);
    unpin(&other);
}

static void do_expired_before_live(void)
{
    for (uint32_t key = 0; key < 8; key++) set(key, 'a', 10, key < 4 ? 0 : 20);
    pass_ms(100);
    for (uint32_t key = 8; key < KEYS; key++) set(key, 'b', 10, 100);
}

static void do_clean_up(void)
{
    for (uint32_t key = 0; key < 8; key++) set(key, 'a', 10, 20 * (int64_t)(key % 3));
    pass_ms(30);
    clean_up(1);
    clean_up(0);
    pass_ms(30);
    clean_up(0);
}

/* The thread runs each millisecond of the real time. */
static void do_wait_for_the_cleanup(void)
{
    sark_cache_metrics read;
    for (uint32_t key = 0; key < 4; key++) set(key, 'a', 10, 20);
    pass_ms(30);
    is_watching = true;
    for (int i = 0; i < 3 && sark_cache_size(now.cache) > 0; i++) test_sleep_ns(1000000);
    sark_cache_metrics_read(now.cache, &read);
    CHECK(read.cleanup_thread_wanted);
    CHECK(read.cleanup_thread_running == !(fault.failed_kinds & BIT(CALL_THREAD) ||
                                           fault.failed_kinds & BIT(CALL_THREAD_ATTRIBUTES)));
    CHECK(read.cleanup_last_us < 1000000000 && read.cleanup_total_us < 1000000000);
    is_watching = false;
    look_all(1);
}

static void do_clear(void)
{
    for (uint32_t key = 0; key < 8; key++) set(key, 'a', 100, 20 * (int64_t)(key % 2));
    pass_ms(30);
    clear();
    set(1, 'b', 10, 0);
    clear();
}

static void do_foreach(void)
{
    for (uint32_t key = 0; key < 8; key++) set(key, 'a', 100, 20 * (int64_t)(key % 3));
    foreach();
    pass_ms(30);
    foreach();
}

static bool choose(void *context, const void *key, size_t key_bytes, const void *value,
                   size_t value_bytes, int64_t ttl_left_ms)
{
    uint32_t number;
    (void)visit(context, key, key_bytes, value, value_bytes, ttl_left_ms);
    memcpy(&number, key, sizeof number);
    return number % 2;
}

/* What is left of the even ones is what was there of them. */
static void do_clear_some(void)
{
    uint64_t seen = 0, removed = 77;
    for (uint32_t key = 0; key < 8; key++) set(key, 'a', 100, 0);
    uint64_t before = sark_cache_size(now.cache);
    begin();
    CHECK(sark_cache_clear_if(now.cache, choose, &seen, &removed) == SARK_CACHE_OK);
    CHECK(seen == before && removed <= before && sark_cache_size(now.cache) == before - removed);
    uint32_t key = 2;
    removed = 77;
    CHECK(sark_cache_clear_prefix(now.cache, &key, sizeof key, &removed) == SARK_CACHE_OK);
    CHECK(removed <= 1);
}

static void do_metrics(void)
{
    set(1, 'a', 10, 0);
    set(2, 'a', 10, 100);
    look_all(1);
    look_all(3);
    metrics();
    get(2);
    metrics();
}

static void do_a_bit_of_all(void)
{
    set(1, 'a', 10, 100);
    store(SARKI_ADD, 2, 'b', 10, 0);
    store(SARKI_REPLACE, 2, 'c', 10, 100);
    touch(1, 50);
    increment(3, 50);
    get(1);
    take(2);
    drop(3);
    pass_ms(60);
    get(1);
    clean_up(0);
    clear();
}

static void do_two_caches(void)
{
    sark_cache *first = now.cache, *second = NULL;
    sark_cache_config config = {.max_entries = 4, .shard_count = 1};
    set(1, 'a', 10, 100);
    fault.failed_kinds = 0;
    sark_cache_status status = sark_cache_create(&second, &config);
    if (!created(status, second)) return;
    now.cache = second;
    uint64_t stored = now.stored;
    do_set_and_get();
    now.stored = stored; /* it has no callback */
    CHECK(sark_cache_destroy(second) == SARK_CACHE_OK);
    now.cache = first;
    get(1);
}

/* ---- Forks ---------------------------------------------------------------------------------- */

enum { CHILD_FAILED = 1, CHILD_HAD_A_FAILURE = 2 };

/* What a child ends with. */
static void leave(void)
{
    bool failed = atomic_load(&test_failures_in_case) > 0;
    fflush(stdout);
    _exit((failed ? CHILD_FAILED : 0) | (fault.failures > 0 ? CHILD_HAD_A_FAILURE : 0));
}

static void wait_for(pid_t child)
{
    int status = 0;
    CHECK(child > 0);
    while (child > 0 && waitpid(child, &status, 0) != child) continue;
    CHECK(WIFEXITED(status) && !(WEXITSTATUS(status) & CHILD_FAILED));
    if (!WIFEXITED(status)) printf("  the child ended by signal %d\n", WTERMSIG(status));
    if (WIFEXITED(status) && WEXITSTATUS(status) & CHILD_HAD_A_FAILURE) fault.failures++;
}

/* In a child no lock fails to be made: the call that makes them anew answers nothing, and of the C
   libraries in use none has a reason to refuse. */
static void do_fork(void)
{
    set(1, 'a', 10, 100);
    set(2, 'b', 10, 0);
    sark_cache_pinned pinned = pin(2);
    begin();
    sark_cache_fork_prepare(now.cache);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        is_child = true;
        sark_cache_fork_child(now.cache);
        left.threads = 0;
        end_all();
        unpin(&pinned);
        do_a_bit_of_all();
        finish(false);
        leave();
    }
    sark_cache_fork_parent(now.cache);
    errno = SOME_ERRNO;
    end_all();
    wait_for(child);
    unpin(&pinned);
    get(2);
}

static void do_fork_without_the_calls(void)
{
    set(1, 'a', 10, 100);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        is_child = true;
        errno = SOME_ERRNO;
        CHECK(sark_cache_destroy(now.cache) == SARK_CACHE_OK && errno == SOME_ERRNO);
        CHECK(left.regions == 0 && now.reported == now.stored);
        leave();
    }
    wait_for(child);
    get(1);
}

/* ---- Running them --------------------------------------------------------------------------- */

enum { IN_REGION = 1, OWN_CLOCK = 2, OWN_ALLOCATOR = 4, CALLBACKS_CALL = 8, NO_CALLBACK = 16 };

typedef struct scenario {
    const char *name;
    void (*body)(void);
    unsigned flags;
    sark_cache_config config;
} scenario;

#define SIZED(entries, shards) \
    .max_entries = (entries), .max_bytes = REGION_BYTES, .shard_count = (shards), \
    .lease_count = 4, .pin_count = 2
#define SMALL SIZED(40, 2)

static const scenario scenarios[] = {
    {"create", do_nothing, 0, {SMALL}},
    {"create, sized by bytes", do_nothing, NO_CALLBACK, {.max_bytes = 1 << 20}},
    {"create in a region", do_nothing, IN_REGION, {SMALL}},
    {"create with an allocator", do_nothing, OWN_ALLOCATOR, {SMALL}},
    {"create with a seed", do_nothing, 0, {SMALL, .hash_seed = 1}},
    {"create with a cleanup thread", do_nothing, 0, {SMALL, .cleanup_interval_ms = 1000}},
    {"create in a region with a cleanup thread", do_nothing, IN_REGION,
     {SMALL, .cleanup_interval_ms = 1000}},
    {"create with latencies", do_nothing, OWN_ALLOCATOR,
     {.max_entries = 40, .shard_count = 16, .latency_sample_every = 1}},
    {"set and get", do_set_and_get, 0, {SMALL}},
    {"set and get, one shard, no callback", do_set_and_get, NO_CALLBACK, {SIZED(40, 1)}},
    {"replace by set", do_replaces_by_set, 0, {SMALL}},
    {"deadlines", do_ttl, 0, {SMALL}},
    {"deadlines by a clock of one's own", do_ttl, OWN_CLOCK, {SMALL}},
    {"deadlines with jitter", do_ttl, 0, {SMALL, .ttl_jitter_percent = 10}},
    {"deadlines by default", do_set_and_get, OWN_CLOCK, {SMALL, .touch_interval_ms = 10}},
    {"a touch interval", do_ttl, 0, {SMALL, .touch_interval_ms = 10}},
    {"add", do_add, 0, {SMALL}},
    {"replace", do_replace, 0, {SMALL}},
    {"append", do_append, 0, {SMALL}},
    {"increment", do_increment, 0, {SMALL}},
    {"compare and set", do_compare_and_set, 0, {SMALL}},
    {"touch", do_touch, 0, {SMALL}},
    {"take", do_take, 0, {SMALL}},
    {"delete", do_delete, 0, {SMALL}},
    {"pins", do_pins, 0, {SMALL}},
    {"pins that run out", do_pins_that_run_out, 0, {SMALL}},
    {"eviction for places", do_evict_for_places, 0, {SIZED(6, 2)}},
    {"eviction for places, by a clock of one's own", do_evict_for_places, OWN_CLOCK,
     {SIZED(6, 8)}},
    {"eviction for bytes", do_evict_for_bytes, IN_REGION, {SMALL}},
    {"eviction, callbacks that call", do_evict_for_bytes, CALLBACKS_CALL, {SMALL}},
    {"eviction for places, callbacks that call", do_evict_for_places, CALLBACKS_CALL,
     {SIZED(6, 2)}},
    {"a gap by moving", do_move, 0, {SMALL}},
    {"the largest entry", do_largest, 0, {SMALL}},
    {"no gap between pins", do_busy, 0, {SMALL}},
    {"the expired before the live", do_expired_before_live, 0, {SIZED(8, 2)}},
    {"cleanup", do_clean_up, 0, {SMALL}},
    {"cleanup by a thread", do_wait_for_the_cleanup, 0, {SMALL, .cleanup_interval_ms = 1}},
    {"clear", do_clear, 0, {SMALL}},
    {"clear, callbacks that call", do_clear, CALLBACKS_CALL, {SMALL}},
    {"foreach", do_foreach, 0, {SMALL}},
    {"clear_if, clear_prefix", do_clear_some, 0, {SMALL}},
    {"metrics and latencies", do_metrics, OWN_ALLOCATOR, {.max_entries = 40, .shard_count = 2,
                                                           .latency_sample_every = 1}},
    {"a bit of all", do_a_bit_of_all, 0, {SMALL}},
    {"a bit of all with a cleanup thread", do_a_bit_of_all, 0, {SMALL, .cleanup_interval_ms = 1}},
    {"two caches", do_two_caches, 0, {SMALL}},
    {"fork", do_fork, 0, {SMALL}},
    {"fork with a cleanup thread", do_fork, 0, {SMALL, .cleanup_interval_ms = 1000}},
    {"fork without the calls", do_fork_without_the_calls, 0, {SMALL}},
};

/* One run, with a failure at call number `at` of a kind. Whether there was such a call. */
static bool run_once(const scenario *what, call kind, bool for_ever, uint64_t at)
{
    sark_cache_config config = what->config;
    if (what->flags & OWN_CLOCK) config.clock.now_ms = own_clock;
    if (what->flags & OWN_ALLOCATOR)
        config.allocator = (sark_cache_allocator){own_allocate, own_release, NULL};
    if (!(what->flags & NO_CALLBACK)) config.on_remove = removed;
    memset(&now, 0, sizeof now);
    memset(&left, 0, sizeof left);
    time_ns = INT64_C(1000000000000);
    fault.kind = kind;
    fault.for_ever = for_ever;
    fault.at = at;
    fault.calls = fault.failures = 0;
    fault.failed_kinds = 0;
    errno = SOME_ERRNO;
    sark_cache_status status =
        what->flags & IN_REGION
            ? sark_cache_create_in(&now.cache, &config, region, sizeof region)
            : sark_cache_create(&now.cache, &config);
    if (created(status, now.cache)) {
        now.callbacks_call = what->flags & CALLBACKS_CALL;
        what->body();
        finish(true);
    }
    CHECK(is_empty_handed());
    return fault.failures > 0;
}

static const char *only; /* the name of one scenario; NULL: all */
static uint64_t runs, failures_of[CALL_KINDS + 1];

/* The call that fails in the run after this: the next one. At less than the usual scale, of those
   after the first four one in so many. */
static uint64_t next_call(uint64_t at)
{
    uint64_t percent = test_scale_percent();
    return at + (at < 4 || percent >= 100 || percent == 0 ? 1 : 100 / percent);
}

/* All runs of a scenario; false after the first that is wrong. */
static bool run_all(const scenario *what)
{
    for (int kind = 0; kind <= CALL_KINDS; kind++) {
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            if (kind == CALL_READ_INTERRUPTED && for_ever) continue; /* it tries for ever too */
            if (kind == CALL_KINDS && !for_ever) continue; /* each of them has failed alone */
            bool had_failure = true;
            for (uint64_t at = 1; had_failure && at < 100000; at = next_call(at)) {
                test_watchdog(60);
                had_failure = run_once(what, (call)kind, for_ever, at);
                runs++;
                if (had_failure) failures_of[kind]++;
                if (atomic_load(&test_failures_in_case) == 0) continue;
                printf("  %s: %s fails at call %d%s\n", what->name, call_names[kind], (int)at,
                       for_ever ? " and later" : "");
                return false;
            }
            CHECK(!had_failure);
        }
    }
    return true;
}

TEST(each_call_fails_in_each_scenario)
{
    size_t count = sizeof scenarios / sizeof *scenarios;
    for (size_t i = 0; i < count; i++)
        if (!only || strcmp(only, scenarios[i].name) == 0) REQUIRE(run_all(&scenarios[i]));
    printf("  %d scenarios, %d runs; with a failure of:", (int)count, (int)runs);
    for (int kind = 0; kind <= CALL_KINDS; kind++) {
        printf(" %s %d%s", call_names[kind], (int)failures_of[kind],
               kind == CALL_KINDS ? "\n" : ",");
        CHECK(only || failures_of[kind] > 0);
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1) only = arguments[1];
    RUN(each_call_fails_in_each_scenario);
    test_watchdog(0);
    return test_summary();
}
