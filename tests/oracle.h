/* The oracle of the model tests: what the cache should do, written as naively as can be, and calls
   that make the cache and the oracle do the same and compare.

   The oracle is one list of entries, the least recently used first, and a clock. It decides every
   answer and every victim by itself. Only where several expired entries could go first, and in
   which order many leave together, it lets the cache choose and checks that the choice is legal.

   Needs stb_ds.h (Debian: libstb-dev). Include it after sark_cache.h, test.h and support.h. */

#ifndef SARK_ORACLE_H
#define SARK_ORACLE_H

#include <stdarg.h>

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#elif defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wcast-align"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#endif
#define STB_DS_IMPLEMENTATION
#define STBDS_NO_SHORT_NAMES
#include <stb/stb_ds.h>
#if defined(__clang__)
#pragma clang diagnostic pop
#elif defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* ---- The list ------------------------------------------------------------------------------- */

typedef struct oracle_entry {
    uint32_t key, tag, value_bytes; /* the tag tells the bytes of the value */
    int64_t deadline_ms, touched_ms;
    bool is_number; /* the value is this, and no bytes of a tag */
    int64_t number;
} oracle_entry;

typedef struct oracle {
    oracle_entry *entries; /* an array of stb_ds, the least recently used first */
    size_t capacity;
    int64_t now_ms, default_ttl_ms, touch_interval_ms;
} oracle;

static inline size_t oracle_size(const oracle *mine)
{
    return (size_t)stbds_arrlen(mine->entries);
}

/* Where an entry stands; the size if it is not there. */
static inline size_t oracle_find(const oracle *mine, uint32_t key)
{
    size_t at = 0;
    while (at < oracle_size(mine) && mine->entries[at].key != key) at++;
    return at;
}

static inline bool oracle_expired(const oracle *mine, const oracle_entry *entry)
{
    return entry->deadline_ms <= mine->now_ms;
}

static inline size_t oracle_expired_count(const oracle *mine)
{
    size_t count = 0;
    for (size_t at = 0; at < oracle_size(mine); at++)
        count += oracle_expired(mine, &mine->entries[at]);
    return count;
}

static inline void oracle_remove(oracle *mine, size_t at) { stbds_arrdel(mine->entries, at); }

static inline void oracle_append(oracle *mine, oracle_entry entry)
{
    entry.touched_ms = mine->now_ms;
    stbds_arrput(mine->entries, entry);
}

/* Makes an entry the most recently used. */
static inline void oracle_use(oracle *mine, size_t at)
{
    oracle_entry entry = mine->entries[at];
    oracle_remove(mine, at);
    oracle_append(mine, entry);
}

/* A hit: the entry is used, unless it was so within the interval. Without one the time says
   nothing: it may have gone back. */
static inline void oracle_hit(oracle *mine, size_t at)
{
    int64_t since_ms = mine->now_ms - mine->entries[at].touched_ms;
    if (mine->touch_interval_ms == 0 || since_ms >= mine->touch_interval_ms) oracle_use(mine, at);
}

static inline int64_t oracle_deadline(const oracle *mine, int64_t ttl_ms)
{
    if (ttl_ms == 0) ttl_ms = mine->default_ttl_ms;
    if (ttl_ms == 0 || ttl_ms > INT64_MAX - mine->now_ms) return INT64_MAX;
    return mine->now_ms + ttl_ms;
}

static inline void oracle_copy(oracle *to, const oracle *from)
{
    size_t size = oracle_size(from);
    oracle_entry *entries = to->entries;
    stbds_arrsetlen(entries, size);
    *to = *from;
    to->entries = entries;
    if (size) memcpy(to->entries, from->entries, size * sizeof *entries);
}

static inline void oracle_free(oracle *mine) { stbds_arrfree(mine->entries); }

/* ---- Keys and values ------------------------------------------------------------------------ */

enum {
    MODEL_KEYS = 512,        /* keys are numbers below this */
    MODEL_KEY_BYTES = 15,    /* at most */
    MODEL_VALUE_BYTES = 100, /* at most */
    MODEL_PLACES = 1 << 16,  /* in the book of values */
    MODEL_REMOVALS = 256,    /* by one call */
    MODEL_PINS = 4,
    MODEL_BATCH = 40         /* requests at most */
};

/* The bytes of a key: padding, so that lengths differ and keys begin alike, then the number.
   Returns how many. */
static inline size_t model_key(uint32_t key, unsigned char *bytes)
{
    size_t padding = key % (MODEL_KEY_BYTES - 1);
    memset(bytes, 0x5A, padding);
    bytes[padding] = (unsigned char)(key >> 8);
    bytes[padding + 1] = (unsigned char)(key & 0xFF);
    return padding + 2;
}

/* The number in a key; one that no key has where the bytes are not those of a key. */
static inline uint32_t model_key_number(const void *key, size_t key_bytes)
{
    unsigned char expected[MODEL_KEY_BYTES];
    const unsigned char *bytes = key;
    if (key_bytes < 2) return UINT32_MAX;
    uint32_t number = (uint32_t)bytes[key_bytes - 2] << 8 | bytes[key_bytes - 1];
    bool same = model_key(number, expected) == key_bytes && memcmp(key, expected, key_bytes) == 0;
    return same ? number : UINT32_MAX;
}

/* The place in a book of random bytes that a tag stands for. */
static inline uint32_t model_value_begin(uint32_t tag) { return tag % MODEL_PLACES; }

/* The bytes from there on. */
static inline const unsigned char *model_value(uint32_t tag)
{
    static unsigned char book[MODEL_PLACES + MODEL_VALUE_BYTES];
    if (!book[0]) {
        uint64_t seed = 1;
        for (size_t at = 0; at < sizeof book; at++)
            book[at] = (unsigned char)(random_next(&seed) % 255 + 1);
    }
    return book + model_value_begin(tag);
}

/* The bytes of an entry's value, until the next call. */
static inline const unsigned char *model_bytes(const oracle_entry *entry)
{
    static unsigned char bytes[8];
    if (!entry->is_number) return model_value(entry->tag);
    for (int at = 0; at < 8; at++) bytes[at] = (unsigned char)((uint64_t)entry->number >> 8 * at);
    return bytes;
}

/* ---- Both of them --------------------------------------------------------------------------- */

typedef struct model_removal {
    uint32_t key;
    sark_cache_cause cause;
    size_t value_bytes;
    unsigned char value[MODEL_VALUE_BYTES];
} model_removal;

typedef struct model_pin {
    sark_cache_pinned pinned;
    oracle_entry entry;
} model_pin;

typedef struct model {
    sark_cache *cache;
    oracle oracle;
    bool silent; /* there is no callback: victims are not seen, and there are no TTLs */
    uint32_t next_tag;
    size_t removal_count;
    model_removal *removals; /* of the current call, up to MODEL_REMOVALS */
    size_t pin_count;
    model_pin pins[MODEL_PINS]; /* that are out */
    sark_cache_metrics counts;  /* the counts that the metrics should have */
    uint64_t evicted, expired, cleared;
    uint64_t pins_tried_in_vain; /* these alone may take a lock */
    char trouble[200]; /* the first difference */
} model;

/* Notes a difference; the first stays. Returns false. */
__attribute__((format(printf, 2, 3))) static inline bool model_differs(model *mine,
                                                                       const char *format, ...)
{
    if (mine->trouble[0]) return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(mine->trouble, sizeof mine->trouble, format, arguments);
    va_end(arguments);
    return false;
}

static inline void model_on_remove(void *context, const void *key, size_t key_bytes,
                                   const void *value, size_t value_bytes, sark_cache_cause cause)
{
    model *mine = context;
    uint32_t found = model_key_number(key, key_bytes);
    if (found >= MODEL_KEYS || value_bytes > MODEL_VALUE_BYTES ||
        mine->removal_count == MODEL_REMOVALS) {
        model_differs(mine, "a removal with a foreign key or value, or too many");
        return;
    }
    model_removal *removal = &mine->removals[mine->removal_count++];
    removal->key = found;
    removal->cause = cause;
    removal->value_bytes = value_bytes;
    if (value_bytes) memcpy(removal->value, value, value_bytes);
}

static inline int64_t model_clock(void *context)
{
    const model *mine = context;
    return mine->oracle.now_ms;
}

/* ---- What left ------------------------------------------------------------------------------ */

/* A removal that was reported must be of a resident entry with its value, and as expired exactly
   where it has; then it leaves the oracle too. */
static inline bool model_follow(model *mine, const model_removal *removal, sark_cache_cause cause)
{
    size_t at = oracle_find(&mine->oracle, removal->key);
    if (at == oracle_size(&mine->oracle))
        return model_differs(mine, "key %u left and was not there", removal->key);
    const oracle_entry *entry = &mine->oracle.entries[at];
    if (oracle_expired(&mine->oracle, entry)) cause = SARK_CACHE_EXPIRED;
    if (removal->cause != cause)
        return model_differs(mine, "key %u left by cause %d instead of %d", removal->key,
                             removal->cause, cause);
    if (removal->value_bytes != entry->value_bytes ||
        memcmp(removal->value, model_bytes(entry), entry->value_bytes) != 0)
        return model_differs(mine, "key %u left with a foreign value", removal->key);
    mine->expired += cause == SARK_CACHE_EXPIRED;
    mine->cleared += cause == SARK_CACHE_CLEARED;
    mine->evicted += cause == SARK_CACHE_EVICTED;
    oracle_remove(&mine->oracle, at);
    return true;
}

static inline bool model_nothing_left(model *mine)
{
    if (!mine->removal_count) return true;
    return model_differs(mine, "key %u left, cause %d, and nothing should have",
                         mine->removals[0].key, mine->removals[0].cause);
}

/* This entry, and no other, should have left. */
static inline bool model_one_left(model *mine, uint32_t key, sark_cache_cause cause)
{
    if (mine->silent) {
        mine->evicted += cause == SARK_CACHE_EVICTED;
        oracle_remove(&mine->oracle, oracle_find(&mine->oracle, key));
        return true;
    }
    if (mine->removal_count != 1)
        return model_differs(mine, "%zu entries left, and key %u alone should have",
                             mine->removal_count, key);
    if (mine->removals[0].key != key)
        return model_differs(mine, "key %u left instead of key %u", mine->removals[0].key, key);
    return model_follow(mine, &mine->removals[0], cause);
}

/* One entry should have left for its place: an expired one if there is any, else the oldest. */
static inline bool model_victim_left(model *mine)
{
    if (oracle_expired_count(&mine->oracle) == 0)
        return model_one_left(mine, mine->oracle.entries[0].key, SARK_CACHE_EVICTED);
    if (mine->removal_count != 1)
        return model_differs(mine, "%zu entries left instead of an expired one",
                             mine->removal_count);
    if (mine->removals[0].cause != SARK_CACHE_EXPIRED)
        return model_differs(mine, "key %u left, and others had expired", mine->removals[0].key);
    return model_follow(mine, &mine->removals[0], SARK_CACHE_EXPIRED);
}

/* All that left should have left by a cause, or expired, and be so many. */
static inline bool model_many_left(model *mine, size_t count, sark_cache_cause cause)
{
    if (mine->silent) {
        while (oracle_size(&mine->oracle) && count--) oracle_remove(&mine->oracle, 0);
        return true;
    }
    if (mine->removal_count != count)
        return model_differs(mine, "%zu entries left instead of %zu", mine->removal_count, count);
    for (size_t index = 0; index < count; index++)
        if (!model_follow(mine, &mine->removals[index], cause)) return false;
    return true;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static inline bool model_status(model *mine, const char *call, uint32_t key,
                                sark_cache_status status, sark_cache_status expected)
{
    if (status == expected) return true;
    return model_differs(mine, "%s of key %u answers %d instead of %d", call, key, status,
                         expected);
}

/* What every call ends with. */
static inline bool model_size(model *mine)
{
    uint64_t size = sark_cache_size(mine->cache);
    mine->removal_count = 0;
    if (mine->trouble[0]) return false;
    if (size == oracle_size(&mine->oracle)) return true;
    return model_differs(mine, "%" PRIu64 " entries instead of %zu", size,
                         oracle_size(&mine->oracle));
}

/* The entry of a key if it is live, else NULL. */
static inline oracle_entry *model_live(const model *mine, uint32_t key)
{
    size_t at = oracle_find(&mine->oracle, key);
    if (at == oracle_size(&mine->oracle)) return NULL;
    oracle_entry *entry = &mine->oracle.entries[at];
    return oracle_expired(&mine->oracle, entry) ? NULL : entry;
}

static inline bool model_resident(const model *mine, uint32_t key)
{
    return oracle_find(&mine->oracle, key) < oracle_size(&mine->oracle);
}

static inline bool model_same(model *mine, const oracle_entry *entry, const void *value,
                              size_t value_bytes)
{
    if (value_bytes == entry->value_bytes &&
        (!value_bytes || memcmp(value, model_bytes(entry), value_bytes) == 0))
        return true;
    return model_differs(mine, "key %u has a foreign value", entry->key);
}

static inline void model_count_read(model *mine, uint32_t key, bool hit)
{
    mine->counts.hits += hit;
    mine->counts.misses += !hit;
    mine->counts.misses_expired += !hit && model_resident(mine, key);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static inline bool model_get(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES], value[MODEL_VALUE_BYTES];
    size_t value_bytes = 0;
    sark_cache_status status = sark_cache_get(mine->cache, bytes, model_key(key, bytes), value,
                                              sizeof value, &value_bytes);
    const oracle_entry *entry = model_live(mine, key);
    if (!model_status(mine, "get", key, status, entry ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    model_count_read(mine, key, entry != NULL);
    if (entry) {
        if (!model_same(mine, entry, value, value_bytes)) return false;
        oracle_hit(&mine->oracle, oracle_find(&mine->oracle, key));
    }
    return model_nothing_left(mine) && model_size(mine);
}

static inline bool model_peek(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES], value[MODEL_VALUE_BYTES];
    size_t value_bytes = 0;
    sark_cache_status status = sark_cache_peek(mine->cache, bytes, model_key(key, bytes), value,
                                               sizeof value, &value_bytes);
    const oracle_entry *entry = model_live(mine, key);
    if (!model_status(mine, "peek", key, status, entry ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    if (entry && !model_same(mine, entry, value, value_bytes)) return false;
    return model_nothing_left(mine) && model_size(mine);
}

static inline bool model_contains(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    sark_cache_status status = sark_cache_contains(mine->cache, bytes, model_key(key, bytes));
    bool live = model_live(mine, key) != NULL;
    return model_status(mine, "contains", key, status, live ? SARK_CACHE_OK : SARK_CACHE_MISS) &&
           model_nothing_left(mine) && model_size(mine);
}

static inline bool model_ttl(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    int64_t ttl_ms = 0;
    sark_cache_status status = sark_cache_ttl(mine->cache, bytes, model_key(key, bytes), &ttl_ms);
    const oracle_entry *entry = model_live(mine, key);
    if (!model_status(mine, "ttl", key, status, entry ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    if (entry) {
        int64_t left_ms = entry->deadline_ms == INT64_MAX
                              ? SARK_CACHE_NO_EXPIRY
                              : entry->deadline_ms - mine->oracle.now_ms;
        if (ttl_ms != left_ms)
            return model_differs(mine, "key %u has a TTL of %" PRId64 " instead of %" PRId64, key,
                                 ttl_ms, left_ms);
    }
    return model_nothing_left(mine) && model_size(mine);
}

/* A buffer one byte too short: an error that changes nothing. */
static inline bool model_short_get(model *mine, uint32_t key, bool take)
{
    const oracle_entry *entry = model_live(mine, key);
    if (!entry || !entry->value_bytes) return true;
    unsigned char bytes[MODEL_KEY_BYTES], value[MODEL_VALUE_BYTES];
    size_t key_bytes = model_key(key, bytes), told = 0;
    sark_cache_status status =
        take ? sark_cache_take(mine->cache, bytes, key_bytes, value, entry->value_bytes - 1, &told)
             : sark_cache_get(mine->cache, bytes, key_bytes, value, entry->value_bytes - 1, &told);
    if (!model_status(mine, "short get", key, status, SARK_CACHE_SHORT_BUFFER)) return false;
    if (told != entry->value_bytes) return model_differs(mine, "key %u: a wrong size told", key);
    mine->counts.rejected_short_buffer++;
    return model_nothing_left(mine) && model_size(mine);
}

/* ---- Pins ----------------------------------------------------------------------------------- */

static inline bool model_pin_key(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    sark_cache_pinned pinned;
    sark_cache_status status = sark_cache_pin(mine->cache, bytes, model_key(key, bytes), &pinned);
    const oracle_entry *entry = model_live(mine, key);
    bool full = mine->pin_count == MODEL_PINS;
    mine->pins_tried_in_vain += full;
    if (full && status == SARK_CACHE_NO_PIN) {
        mine->counts.rejected_no_pin++;
        return model_nothing_left(mine) && model_size(mine);
    }
    sark_cache_status expected = SARK_CACHE_MISS;
    if (entry) expected = full ? SARK_CACHE_NO_PIN : SARK_CACHE_OK;
    if (!model_status(mine, "pin", key, status, expected)) return false;
    model_count_read(mine, key, entry != NULL);
    if (entry) {
        if (!model_same(mine, entry, pinned.value, pinned.value_bytes)) return false;
        mine->pins[mine->pin_count++] = (model_pin){pinned, *entry};
        oracle_hit(&mine->oracle, oracle_find(&mine->oracle, key));
    }
    return model_nothing_left(mine) && model_size(mine);
}

/* Gives back one of the pins that are out; its value must still be what it was. */
static inline bool model_unpin(model *mine, size_t which)
{
    if (which >= mine->pin_count) return true;
    model_pin *pin = &mine->pins[which];
    if (pin->pinned.value_bytes != pin->entry.value_bytes ||
        (pin->entry.value_bytes &&
         memcmp(pin->pinned.value, model_bytes(&pin->entry), pin->entry.value_bytes) != 0))
        return model_differs(mine, "a pinned value has changed");
    sark_cache_status status = sark_cache_unpin(mine->cache, &pin->pinned);
    *pin = mine->pins[--mine->pin_count];
    return model_status(mine, "unpin", 0, status, SARK_CACHE_OK) && model_nothing_left(mine) &&
           model_size(mine);
}

/* ---- Writing -------------------------------------------------------------------------------- */

typedef enum model_write_call { MODEL_SET, MODEL_ADD, MODEL_REPLACE } model_write_call;

typedef sark_cache_status (*model_write_function)(sark_cache *, const void *, size_t, const void *,
                                                  size_t, int64_t);

static inline sark_cache_status model_write_status(model_write_call call, bool live)
{
    if (call == MODEL_ADD && live) return SARK_CACHE_EXISTS;
    if (call == MODEL_REPLACE && !live) return SARK_CACHE_MISS;
    return SARK_CACHE_OK;
}

/* An expired entry that a call missed: it is there still, or left as expired. */
static inline bool model_may_have_expired(model *mine, uint32_t key)
{
    if (!mine->removal_count || !model_resident(mine, key)) return model_nothing_left(mine);
    return model_one_left(mine, key, SARK_CACHE_EXPIRED);
}

/* What makes place for a written entry. */
static inline bool model_write_room(model *mine, uint32_t key)
{
    if (model_resident(mine, key)) return model_one_left(mine, key, SARK_CACHE_REPLACED);
    if (oracle_size(&mine->oracle) == mine->oracle.capacity) return model_victim_left(mine);
    return model_nothing_left(mine);
}

static inline bool model_write(model *mine, model_write_call call, uint32_t key,
                               uint32_t value_bytes, int64_t ttl_ms)
{
    static const model_write_function functions[] = {sark_cache_set, sark_cache_add,
                                                     sark_cache_replace};
    static const char *const names[] = {"set", "add", "replace"};
    uint64_t *const counts[] = {&mine->counts.sets, &mine->counts.adds, &mine->counts.replaces};
    unsigned char bytes[MODEL_KEY_BYTES];
    uint32_t tag = mine->next_tag++;
    sark_cache_status status = functions[call](mine->cache, bytes, model_key(key, bytes),
                                               model_value(tag), value_bytes, ttl_ms);
    const oracle_entry *live = model_live(mine, key);
    if (!model_status(mine, names[call], key, status, model_write_status(call, live != NULL)))
        return false;
    if (status == SARK_CACHE_EXISTS) return model_nothing_left(mine) && model_size(mine);
    if (status == SARK_CACHE_MISS) return model_may_have_expired(mine, key) && model_size(mine);
    int64_t deadline_ms = oracle_deadline(&mine->oracle, ttl_ms);
    if (call == MODEL_REPLACE && ttl_ms == 0) deadline_ms = live->deadline_ms;
    ++*counts[call];
    if (!model_write_room(mine, key)) return false;
    oracle_append(&mine->oracle, (oracle_entry){.key = key,
                                                .tag = tag,
                                                .value_bytes = value_bytes,
                                                .deadline_ms = deadline_ms});
    return model_size(mine);
}

/* Writes over a live entry what differs from it only in its value, and in its deadline if a TTL is
   given. */
static inline bool model_rewrite(model *mine, oracle_entry entry, int64_t ttl_ms)
{
    if (ttl_ms != 0) entry.deadline_ms = oracle_deadline(&mine->oracle, ttl_ms);
    if (!model_one_left(mine, entry.key, SARK_CACHE_REPLACED)) return false;
    oracle_append(&mine->oracle, entry);
    return model_size(mine);
}

/* Sets by the version that a pin tells, or by another one. */
static inline bool model_compare_and_set(model *mine, uint32_t key, uint32_t value_bytes,
                                         int64_t ttl_ms, bool stale)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    uint32_t tag = mine->next_tag++;
    uint64_t version = 1;
    if (mine->pin_count == MODEL_PINS) return true;
    if (!model_pin_key(mine, key)) return false;
    const oracle_entry *live = model_live(mine, key);
    if (live) {
        version = mine->pins[mine->pin_count - 1].pinned.version - stale;
        if (!model_unpin(mine, mine->pin_count - 1)) return false;
    }
    sark_cache_status status =
        sark_cache_compare_and_set(mine->cache, bytes, model_key(key, bytes), version,
                                   model_value(tag), value_bytes, ttl_ms);
    sark_cache_status expected = SARK_CACHE_MISS;
    if (live) expected = stale ? SARK_CACHE_EXISTS : SARK_CACHE_OK;
    if (!model_status(mine, "compare_and_set", key, status, expected)) return false;
    if (!live) return model_may_have_expired(mine, key) && model_size(mine);
    if (stale) return model_nothing_left(mine) && model_size(mine);
    mine->counts.compare_and_sets++;
    oracle_entry entry = *live;
    entry.tag = tag;
    entry.value_bytes = value_bytes;
    entry.is_number = false;
    return model_rewrite(mine, entry, ttl_ms);
}

/* The sum that an increment should make of an entry, or why it makes none. */
static inline sark_cache_status model_sum(const oracle_entry *entry, int64_t delta, bool saturates,
                                          int64_t *sum)
{
    if (entry->value_bytes != 8) return SARK_CACHE_NOT_INTEGER;
    const unsigned char *bytes = model_bytes(entry);
    uint64_t number = 0;
    for (int at = 0; at < 8; at++) number |= (uint64_t)bytes[at] << 8 * at;
    if (!__builtin_add_overflow((int64_t)number, delta, sum)) return SARK_CACHE_OK;
    *sum = delta > 0 ? INT64_MAX : INT64_MIN;
    return saturates ? SARK_CACHE_OK : SARK_CACHE_OVERFLOW;
}

static inline bool model_increment(model *mine, uint32_t key, int64_t delta,
                                   const int64_t *initial, int64_t ttl_ms, bool saturates)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    int64_t result = 77, sum = 77;
    sark_cache_status status =
        (saturates ? sark_cache_increment_saturating : sark_cache_increment)(
            mine->cache, bytes, model_key(key, bytes), delta, initial, ttl_ms, &result);
    const oracle_entry *live = model_live(mine, key);
    sark_cache_status expected = initial ? SARK_CACHE_OK : SARK_CACHE_MISS;
    if (live) expected = model_sum(live, delta, saturates, &sum);
    else if (initial) sum = *initial;
    if (!model_status(mine, "increment", key, status, expected)) return false;
    if (status < 0) mine->counts.rejected_number++;
    if (status == SARK_CACHE_OK && result != sum)
        return model_differs(mine, "an increment of key %u gives a wrong number", key);
    if (status < 0) return model_nothing_left(mine) && model_size(mine);
    if (status == SARK_CACHE_MISS) return model_may_have_expired(mine, key) && model_size(mine);
    mine->counts.increments++;
    oracle_entry entry = {.key = key, .value_bytes = 8, .is_number = true, .number = sum};
    if (live) {
        entry.deadline_ms = live->deadline_ms;
        return model_rewrite(mine, entry, ttl_ms);
    }
    entry.deadline_ms = oracle_deadline(&mine->oracle, ttl_ms);
    if (!model_write_room(mine, key)) return false;
    oracle_append(&mine->oracle, entry);
    return model_size(mine);
}

/* Appends the bytes that follow in the book, so that a tag and a size still tell the value. */
static inline bool model_append(model *mine, uint32_t key, uint32_t byte_count, int64_t ttl_ms)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    const oracle_entry *live = model_live(mine, key);
    if (live && live->is_number) return true;
    if (live && live->value_bytes + byte_count > MODEL_VALUE_BYTES) return true;
    const unsigned char *more = live ? model_value(live->tag) + live->value_bytes : bytes;
    sark_cache_status status = sark_cache_append(mine->cache, bytes, model_key(key, bytes), more,
                                                 live ? byte_count : 1, ttl_ms);
    if (!model_status(mine, "append", key, status, live ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    if (!live) return model_may_have_expired(mine, key) && model_size(mine);
    mine->counts.appends++;
    oracle_entry entry = *live;
    entry.value_bytes += byte_count;
    return model_rewrite(mine, entry, ttl_ms);
}

/* Puts the bytes that stand before in the book in front. */
static inline bool model_prepend(model *mine, uint32_t key, uint32_t byte_count, int64_t ttl_ms)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    const oracle_entry *live = model_live(mine, key);
    if (live && (live->is_number || live->value_bytes + byte_count > MODEL_VALUE_BYTES ||
                 model_value_begin(live->tag) < byte_count))
        return true;
    const unsigned char *before = live ? model_value(live->tag) - byte_count : bytes;
    sark_cache_status status = sark_cache_prepend(mine->cache, bytes, model_key(key, bytes),
                                                  before, live ? byte_count : 1, ttl_ms);
    if (!model_status(mine, "prepend", key, status, live ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    if (!live) return model_may_have_expired(mine, key) && model_size(mine);
    mine->counts.appends++;
    oracle_entry entry = *live;
    entry.tag -= byte_count;
    entry.value_bytes += byte_count;
    return model_rewrite(mine, entry, ttl_ms);
}

static inline bool model_take(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES], value[MODEL_VALUE_BYTES];
    size_t value_bytes = 0;
    sark_cache_status status = sark_cache_take(mine->cache, bytes, model_key(key, bytes), value,
                                               sizeof value, &value_bytes);
    const oracle_entry *entry = model_live(mine, key);
    if (!model_status(mine, "take", key, status, entry ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    model_count_read(mine, key, entry != NULL);
    if (!entry) return model_may_have_expired(mine, key) && model_size(mine);
    mine->counts.deletes++;
    return model_same(mine, entry, value, value_bytes) &&
           model_one_left(mine, key, SARK_CACHE_DELETED) && model_size(mine);
}

static inline bool model_touch(model *mine, uint32_t key, int64_t ttl_ms)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    sark_cache_status status =
        sark_cache_touch(mine->cache, bytes, model_key(key, bytes), ttl_ms);
    oracle_entry *entry = model_live(mine, key);
    if (!model_status(mine, "touch", key, status, entry ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    if (!entry) return model_may_have_expired(mine, key) && model_size(mine);
    mine->counts.touches++;
    entry->deadline_ms = oracle_deadline(&mine->oracle, ttl_ms);
    oracle_use(&mine->oracle, oracle_find(&mine->oracle, key));
    return model_nothing_left(mine) && model_size(mine);
}

/* With a buffer that is long enough, or not. */
static inline bool model_get_and_touch(model *mine, uint32_t key, int64_t ttl_ms, bool is_short)
{
    unsigned char bytes[MODEL_KEY_BYTES], value[MODEL_VALUE_BYTES];
    oracle_entry *entry = model_live(mine, key);
    if (entry && !entry->value_bytes) is_short = false;
    size_t value_bytes = 0, capacity = is_short && entry ? entry->value_bytes - 1 : sizeof value;
    sark_cache_status expected = SARK_CACHE_MISS;
    if (entry) expected = is_short ? SARK_CACHE_SHORT_BUFFER : SARK_CACHE_OK;
    sark_cache_status status = sark_cache_get_and_touch(
        mine->cache, bytes, model_key(key, bytes), value, capacity, &value_bytes, ttl_ms);
    if (!model_status(mine, "get_and_touch", key, status, expected)) return false;
    mine->counts.rejected_short_buffer += status == SARK_CACHE_SHORT_BUFFER;
    if (status != SARK_CACHE_SHORT_BUFFER) model_count_read(mine, key, entry != NULL);
    if (!entry) return model_may_have_expired(mine, key) && model_size(mine);
    if (value_bytes != entry->value_bytes)
        return model_differs(mine, "key %u: get_and_touch tells a wrong size", key);
    if (status == SARK_CACHE_OK) {
        if (!model_same(mine, entry, value, value_bytes)) return false;
        mine->counts.touches++;
        entry->deadline_ms = oracle_deadline(&mine->oracle, ttl_ms);
        oracle_use(&mine->oracle, oracle_find(&mine->oracle, key));
    }
    return model_nothing_left(mine) && model_size(mine);
}

static inline bool model_delete(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    sark_cache_status status = sark_cache_delete(mine->cache, bytes, model_key(key, bytes));
    bool live = model_live(mine, key) != NULL;
    if (!model_status(mine, "delete", key, status, live ? SARK_CACHE_OK : SARK_CACHE_MISS))
        return false;
    mine->counts.deletes += live;
    if (!model_resident(mine, key)) return model_nothing_left(mine) && model_size(mine);
    return model_one_left(mine, key, SARK_CACHE_DELETED) && model_size(mine);
}

/* A negative TTL: an error that changes nothing. */
static inline bool model_bad_ttl(model *mine, uint32_t key)
{
    unsigned char bytes[MODEL_KEY_BYTES];
    size_t key_bytes = model_key(key, bytes);
    mine->counts.rejected_ttl += 2;
    return model_status(mine, "bad set", key,
                        sark_cache_set(mine->cache, bytes, key_bytes, bytes, 1, -1),
                        SARK_CACHE_BAD_TTL) &&
           model_status(mine, "bad touch", key,
                        sark_cache_touch(mine->cache, bytes, key_bytes, INT64_MIN),
                        SARK_CACHE_BAD_TTL) &&
           model_nothing_left(mine) && model_size(mine);
}

/* ---- Many at once --------------------------------------------------------------------------- */

static inline bool model_clear(model *mine)
{
    size_t resident = oracle_size(&mine->oracle);
    uint64_t cleared = sark_cache_clear(mine->cache);
    if (cleared != resident)
        return model_differs(mine, "clear removes %" PRIu64 " instead of %zu", cleared, resident);
    return model_many_left(mine, resident, SARK_CACHE_CLEARED) && model_size(mine);
}

/* All whose keys begin with so many bytes of padding. */
static inline bool model_clear_prefix(model *mine, size_t prefix_bytes)
{
    unsigned char prefix[MODEL_KEY_BYTES], bytes[MODEL_KEY_BYTES];
    uint64_t removed = 77;
    size_t expected = 0;
    memset(prefix, 0x5A, sizeof prefix);
    for (size_t at = 0; at < oracle_size(&mine->oracle); at++)
        expected += model_key(mine->oracle.entries[at].key, bytes) >= prefix_bytes &&
                    memcmp(bytes, prefix, prefix_bytes) == 0;
    sark_cache_status status = sark_cache_clear_prefix(mine->cache, prefix, prefix_bytes, &removed);
    if (!model_status(mine, "clear_prefix", 0, status, SARK_CACHE_OK)) return false;
    if (removed != expected)
        return model_differs(mine, "clear_prefix removes %" PRIu64 " instead of %zu", removed,
                             expected);
    for (size_t at = 0; mine->silent && at < oracle_size(&mine->oracle);) {
        bool left = model_key(mine->oracle.entries[at].key, bytes) >= prefix_bytes &&
                    memcmp(bytes, prefix, prefix_bytes) == 0;
        if (left) oracle_remove(&mine->oracle, at);
        else at++;
    }
    return (mine->silent || model_many_left(mine, expected, SARK_CACHE_CLEARED)) &&
           model_size(mine);
}

/* At most so many of the expired; 0: all. */
static inline bool model_cleanup(model *mine, uint64_t most)
{
    size_t expired = oracle_expired_count(&mine->oracle);
    if (most && expired > most) expired = (size_t)most;
    uint64_t removed = sark_cache_cleanup_expired(mine->cache, most);
    if (removed != expired)
        return model_differs(mine, "cleanup removes %" PRIu64 " instead of %zu", removed, expired);
    mine->counts.expired_by_cleanup += expired;
    return model_many_left(mine, expired, SARK_CACHE_EXPIRED) && model_size(mine);
}

typedef struct model_visits {
    model *mine;
    size_t count;
    bool seen[MODEL_KEYS];
} model_visits;

static inline bool model_visit(void *context, const void *key, size_t key_bytes, const void *value,
                               size_t value_bytes, int64_t ttl_left_ms)
{
    model_visits *visits = context;
    model *mine = visits->mine;
    uint32_t found = model_key_number(key, key_bytes);
    const oracle_entry *entry = model_live(mine, found);
    if (!entry || visits->seen[found % MODEL_KEYS])
        return model_differs(mine, "key %u is visited, and is not there, or again", found);
    visits->seen[found % MODEL_KEYS] = true;
    visits->count++;
    int64_t left_ms = entry->deadline_ms;
    if (left_ms != INT64_MAX) left_ms -= mine->oracle.now_ms;
    if (ttl_left_ms != left_ms)
        return model_differs(mine, "key %u is visited with a wrong TTL", found);
    return model_same(mine, entry, value, value_bytes);
}

static inline bool model_foreach(model *mine)
{
    model_visits visits = {.mine = mine};
    if (mine->pin_count == MODEL_PINS) return true;
    sark_cache_status status = sark_cache_foreach(mine->cache, model_visit, &visits);
    size_t live = oracle_size(&mine->oracle) - oracle_expired_count(&mine->oracle);
    if (!model_status(mine, "foreach", 0, status, SARK_CACHE_OK)) return false;
    if (visits.count != live && !mine->trouble[0])
        return model_differs(mine, "%zu visited instead of %zu", visits.count, live);
    return model_nothing_left(mine) && model_size(mine);
}

typedef struct model_choice {
    model_visits visits;
    uint32_t every; /* keys that this divides are to be removed */
    size_t chosen;
} model_choice;

static inline bool model_choose(void *context, const void *key, size_t key_bytes,
                                const void *value, size_t value_bytes, int64_t ttl_left_ms)
{
    model_choice *choice = context;
    if (!model_visit(&choice->visits, key, key_bytes, value, value_bytes, ttl_left_ms))
        return false;
    bool is_chosen = model_key_number(key, key_bytes) % choice->every == 0;
    choice->chosen += is_chosen;
    return is_chosen;
}

/* All live ones whose numbers can be divided so. */
static inline bool model_clear_if(model *mine, uint32_t every)
{
    model_choice choice = {.visits = {.mine = mine}, .every = every};
    uint64_t removed = 77;
    size_t live = oracle_size(&mine->oracle) - oracle_expired_count(&mine->oracle);
    if (mine->pin_count == MODEL_PINS || mine->silent) return true;
    sark_cache_status status = sark_cache_clear_if(mine->cache, model_choose, &choice, &removed);
    if (!model_status(mine, "clear_if", 0, status, SARK_CACHE_OK) || mine->trouble[0]) return false;
    if (choice.visits.count != live || removed != choice.chosen)
        return model_differs(mine, "clear_if sees %zu and removes %" PRIu64, choice.visits.count,
                             removed);
    return model_many_left(mine, choice.chosen, SARK_CACHE_CLEARED) && model_size(mine);
}

/* The first entries of the order of recency, or the last. */
static inline bool model_ranks(model *mine, size_t count, bool hottest)
{
    static unsigned char keys[MODEL_BATCH][MODEL_KEY_BYTES];
    sark_cache_ranked ranked[MODEL_BATCH];
    size_t found = 77, size = oracle_size(&mine->oracle), seen = 0;
    for (size_t at = 0; at < count; at++)
        ranked[at] = (sark_cache_ranked){keys[at], MODEL_KEY_BYTES, 0, 0};
    sark_cache_status status = (hottest ? sark_cache_hottest : sark_cache_coldest)(
        mine->cache, ranked, count, &found);
    if (!model_status(mine, "ranks", 0, status, SARK_CACHE_OK)) return false;
    for (size_t at = 0; at < size && seen < count; at++) {
        const oracle_entry *entry = &mine->oracle.entries[hottest ? size - 1 - at : at];
        if (oracle_expired(&mine->oracle, entry)) continue;
        if (seen >= found ||
            model_key_number(ranked[seen].key, ranked[seen].key_bytes) != entry->key)
            return model_differs(mine, "key %u is not the one of rank %zu", entry->key, seen);
        seen++;
    }
    if (found != seen) return model_differs(mine, "%zu ranks instead of %zu", found, seen);
    return model_nothing_left(mine) && model_size(mine);
}

/* ---- Batches -------------------------------------------------------------------------------- */

/* What is left of a batch's removals, which are in the order of its requests. */
typedef struct model_batch {
    model_removal *first;
    size_t left;
} model_batch;

/* What the next request of a batch should have removed: one entry, if any. */
static inline void model_batch_next(model *mine, model_batch *batch, bool removes)
{
    mine->removal_count = removes && batch->left ? 1 : 0;
    mine->removals = batch->first;
    batch->first += mine->removal_count;
    batch->left -= mine->removal_count;
}

/* No removal may be left. Returns whether all went right. */
static inline bool model_batch_end(model *mine, const model_batch *batch, model_removal *removals,
                                   bool same)
{
    mine->removals = removals;
    mine->removal_count = 0;
    if (same && batch->left) same = model_differs(mine, "a batch removed too many");
    return same && model_size(mine);
}

/* The answer to a batch: MISS if there was one, as no request is wrong. */
static inline bool model_batch_status(model *mine, const char *call, sark_cache_status status,
                                      bool missed)
{
    return model_status(mine, call, 0, status, missed ? SARK_CACHE_MISS : SARK_CACHE_OK);
}

static inline bool model_get_many(model *mine, const uint32_t *keys, size_t count)
{
    static unsigned char bytes[MODEL_BATCH][MODEL_KEY_BYTES];
    static unsigned char values[MODEL_BATCH][MODEL_VALUE_BYTES];
    sark_cache_get_request requests[MODEL_BATCH];
    bool missed = false;
    for (size_t at = 0; at < count; at++)
        requests[at] = (sark_cache_get_request){bytes[at], model_key(keys[at], bytes[at]),
                                                values[at], MODEL_VALUE_BYTES, 0, 77};
    sark_cache_status status = sark_cache_get_many(mine->cache, requests, count);
    for (size_t at = 0; at < count; at++) {
        const oracle_entry *entry = model_live(mine, keys[at]);
        missed |= !entry;
        if (!model_status(mine, "get_many", keys[at], requests[at].status,
                          entry ? SARK_CACHE_OK : SARK_CACHE_MISS))
            return false;
        model_count_read(mine, keys[at], entry != NULL);
        if (!entry) continue;
        if (!model_same(mine, entry, values[at], requests[at].value_bytes)) return false;
        oracle_hit(&mine->oracle, oracle_find(&mine->oracle, keys[at]));
    }
    return model_batch_status(mine, "get_many", status, missed) && model_nothing_left(mine) &&
           model_size(mine);
}

/* Sets all to values of one size, with one TTL. */
static inline bool model_set_many(model *mine, const uint32_t *keys, size_t count,
                                  uint32_t value_bytes, int64_t ttl_ms)
{
    static unsigned char bytes[MODEL_BATCH][MODEL_KEY_BYTES];
    sark_cache_set_request requests[MODEL_BATCH];
    uint32_t tag = mine->next_tag;
    bool same = true;
    mine->next_tag += (uint32_t)count;
    for (size_t at = 0; at < count; at++)
        requests[at] = (sark_cache_set_request){bytes[at], model_key(keys[at], bytes[at]),
                                                model_value(tag + (uint32_t)at), value_bytes,
                                                ttl_ms, 77};
    sark_cache_status status = sark_cache_set_many(mine->cache, requests, count);
    model_batch batch = {mine->removals, mine->removal_count};
    model_removal *removals = mine->removals;
    for (size_t at = 0; at < count && same; at++) {
        bool is_full = oracle_size(&mine->oracle) == mine->oracle.capacity;
        model_batch_next(mine, &batch, is_full || model_resident(mine, keys[at]));
        same = model_status(mine, "set_many", keys[at], requests[at].status, SARK_CACHE_OK) &&
               model_write_room(mine, keys[at]);
        mine->counts.sets++;
        oracle_append(&mine->oracle,
                      (oracle_entry){.key = keys[at],
                                     .tag = tag + (uint32_t)at,
                                     .value_bytes = value_bytes,
                                     .deadline_ms = oracle_deadline(&mine->oracle, ttl_ms)});
    }
    same = same && model_batch_status(mine, "set_many", status, false);
    return model_batch_end(mine, &batch, removals, same);
}

static inline bool model_delete_many(model *mine, const uint32_t *keys, size_t count)
{
    static unsigned char bytes[MODEL_BATCH][MODEL_KEY_BYTES];
    sark_cache_delete_request requests[MODEL_BATCH];
    bool same = true, missed = false;
    for (size_t at = 0; at < count; at++)
        requests[at] = (sark_cache_delete_request){bytes[at], model_key(keys[at], bytes[at]), 77};
    sark_cache_status status = sark_cache_delete_many(mine->cache, requests, count);
    model_batch batch = {mine->removals, mine->removal_count};
    model_removal *removals = mine->removals;
    for (size_t at = 0; at < count && same; at++) {
        bool live = model_live(mine, keys[at]) != NULL, resident = model_resident(mine, keys[at]);
        missed |= !live;
        mine->counts.deletes += live;
        model_batch_next(mine, &batch, resident);
        same = model_status(mine, "delete_many", keys[at], requests[at].status,
                            live ? SARK_CACHE_OK : SARK_CACHE_MISS);
        if (same && resident) same = model_one_left(mine, keys[at], SARK_CACHE_DELETED);
    }
    same = same && model_batch_status(mine, "delete_many", status, missed);
    return model_batch_end(mine, &batch, removals, same);
}

/* ---- The metrics and the end ---------------------------------------------------------------- */

#define MODEL_COUNT(name)                                                                         \
    if (found.name != expected->name)                                                             \
        return model_differs(mine, "the metrics count " #name " %" PRIu64 " instead of %" PRIu64, \
                             found.name, expected->name)

static inline bool model_metrics(model *mine)
{
    sark_cache_metrics found = metrics_of(mine->cache);
    sark_cache_metrics *expected = &mine->counts;
    expected->evictions_for_entries = mine->evicted;
    expected->entries = oracle_size(&mine->oracle);
    expected->pins_in_use = mine->pin_count;
    MODEL_COUNT(hits);
    MODEL_COUNT(misses);
    MODEL_COUNT(misses_expired);
    MODEL_COUNT(sets);
    MODEL_COUNT(adds);
    MODEL_COUNT(replaces);
    MODEL_COUNT(compare_and_sets);
    MODEL_COUNT(increments);
    MODEL_COUNT(appends);
    MODEL_COUNT(rejected_number);
    MODEL_COUNT(touches);
    MODEL_COUNT(deletes);
    MODEL_COUNT(evictions_for_entries);
    MODEL_COUNT(evictions_for_bytes);
    MODEL_COUNT(expired_by_cleanup);
    MODEL_COUNT(rejected_ttl);
    MODEL_COUNT(rejected_short_buffer);
    MODEL_COUNT(rejected_no_pin);
    MODEL_COUNT(rejected_busy);
    MODEL_COUNT(rejected_system);
    MODEL_COUNT(entries);
    MODEL_COUNT(pins_in_use);
    if (SUPPORT_LOCK_FREE && found.lock_fallbacks > mine->pins_tried_in_vain)
        return model_differs(mine, "%" PRIu64 " reads took a lock", found.lock_fallbacks);
    if (found.expired_resident < oracle_expired_count(&mine->oracle))
        return model_differs(mine, "the metrics tell too few expired entries");
    if (found.longest_hold_moves > 256)
        return model_differs(mine, "%" PRIu64 " moves in one hold", found.longest_hold_moves);
    if (!mine->silent && found.expired_by_writers + found.expired_by_cleanup + found.cleared !=
                             mine->expired + mine->cleared)
        return model_differs(mine, "the metrics lose what expired");
    return true;
}

/* Every invariant of the cache, which no call should have broken. */
static inline bool model_check(model *mine)
{
    char report[150] = "";
    if (sark_cache_check(mine->cache, report, sizeof report)) return true;
    return model_differs(mine, "check: %s", report);
}

static inline bool model_begin(model *mine, const sark_cache_config *config, void *region,
                               size_t region_bytes)
{
    static model_removal removals[MODEL_REMOVALS];
    sark_cache_config own = *config;
    mine->removals = removals;
    mine->oracle.capacity = (size_t)config->max_entries;
    mine->oracle.default_ttl_ms = config->default_ttl_ms;
    mine->oracle.touch_interval_ms = config->touch_interval_ms;
    own.pin_count = MODEL_PINS;
    own.clock = (sark_cache_clock){model_clock, mine};
    own.on_remove = mine->silent ? NULL : model_on_remove;
    own.on_remove_context = mine;
    sark_cache_status status = sark_cache_create_in(&mine->cache, &own, region, region_bytes);
    return model_status(mine, "create", 0, status, SARK_CACHE_OK);
}

/* Ends the cache, which must report what is left; frees the oracle. */
static inline bool model_end(model *mine)
{
    bool same = !mine->trouble[0];
    while (same && mine->pin_count) same = model_unpin(mine, 0);
    same = same && model_metrics(mine) && model_check(mine);
    if (same) {
        sark_cache_status status = sark_cache_destroy(mine->cache);
        same = model_status(mine, "destroy", 0, status, SARK_CACHE_OK) &&
               model_many_left(mine, oracle_size(&mine->oracle), SARK_CACHE_DESTROYED);
    }
    oracle_free(&mine->oracle);
    return same;
}

#endif
