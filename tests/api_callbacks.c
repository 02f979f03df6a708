/* Black box: removal callbacks and visitors; that each removal is reported once with its cause, and
   what happens when they call the cache that called them. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

/* ---- Each cause once ------------------------------------------------------------------------ */

TEST(each_cause_once)
{
    sark_cache_config config = support_config(3);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    support_record *record = support_removals();
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "a", "2", 0) == SARK_CACHE_OK);
    CHECK(removal_is(record, 0, "a", "1", SARK_CACHE_REPLACED) && record->count == 1);
    CHECK(drop(cache, "a") == SARK_CACHE_OK);
    CHECK(removal_is(record, 1, "a", "2", SARK_CACHE_DELETED) && record->count == 2);
    CHECK(put(cache, "b", "3", 10) == SARK_CACHE_OK);
    advance(10);
    CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
    CHECK(removal_is(record, 2, "b", "3", SARK_CACHE_EXPIRED) && record->count == 3);
    CHECK(put(cache, "c", "4", 0) == SARK_CACHE_OK && put(cache, "d", "5", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "e", "6", 0) == SARK_CACHE_OK && put(cache, "f", "7", 0) == SARK_CACHE_OK);
    CHECK(removal_is(record, 3, "c", "4", SARK_CACHE_EVICTED) && record->count == 4);
    char bytes[8];
    CHECK(sark_cache_take(cache, "d", 1, bytes, 8, NULL) == SARK_CACHE_OK);
    CHECK(removal_is(record, 4, "d", "5", SARK_CACHE_DELETED) && record->count == 5);
    CHECK(drop(cache, "f") == SARK_CACHE_OK);
    CHECK(removal_is(record, 5, "f", "7", SARK_CACHE_DELETED) && record->count == 6);
    CHECK(sark_cache_clear(cache) == 1);
    CHECK(removal_is(record, 6, "e", "6", SARK_CACHE_CLEARED) && record->count == 7);
    CHECK(put(cache, "g", "8", 0) == SARK_CACHE_OK);
    FINISH(cache);
    CHECK(removal_is(record, 7, "g", "8", SARK_CACHE_DESTROYED) && record->count == 8);
}

TEST(a_short_ttl_in_every_way_out_is_expired)
{
    for (int way = 0; way < 7; way++) {
        sark_cache_config config = support_config(2);
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "k", "v", 5) == SARK_CACHE_OK);
        CHECK(put(cache, "b", "v", 0) == SARK_CACHE_OK);
        advance(5);
        if (way == 0) CHECK(put(cache, "k", "w", 0) == SARK_CACHE_OK);
        if (way == 1) CHECK(sark_cache_add(cache, "k", 1, "w", 1, 0) == SARK_CACHE_OK);
        if (way == 2) CHECK(drop(cache, "k") == SARK_CACHE_MISS);
        if (way == 3) CHECK(sark_cache_clear(cache) == 2);
        if (way == 4) CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
        if (way == 5) CHECK(put(cache, "c", "w", 0) == SARK_CACHE_OK);
        if (way == 6) CHECK(sark_cache_cleanup_expired(cache, 5) == 1);
        CHECK(removals_of(support_removals(), "k", SARK_CACHE_EXPIRED) == 1);
        CHECK(support_removals()->count == (way == 3 ? 2 : 1));
        FINISH(cache);
    }
}

/* Values too large to be kept elsewhere: what is reported is what was stored. */
TEST(the_whole_value_is_reported)
{
    sark_cache_config config = support_config(2);
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    static char key[65535], value[100000];
    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    CHECK(sark_cache_set(cache, key, sizeof key, value, sizeof value, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, NULL, 0, NULL, 0, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_clear(cache) == 2);
    support_record *record = support_removals();
    CHECK(record->count == 2);
    size_t large = record->removals[0].key_bytes ? 0 : 1;
    CHECK(record->removals[large].key_bytes == sizeof key);
    CHECK(record->removals[large].value_bytes == sizeof value);
    CHECK(memcmp(record->removals[large].value, value, SUPPORT_BYTES) == 0);
    CHECK(record->removals[1 - large].key_bytes == 0);
    CHECK(record->removals[1 - large].value_bytes == 0);
    FINISH(cache);
}

/* ---- Callbacks that call -------------------------------------------------------------------- */

typedef struct caller {
    sark_cache *cache;
    support_record record;
    size_t stored;
    int depth, deepest, budget; /* nested reports now, at most, and how many may still act */
    void (*act)(struct caller *caller, const support_removal *removal);
} caller;

static void caller_on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                             size_t value_bytes, sark_cache_cause cause)
{
    caller *mine = context;
    mine->depth++;
    if (mine->depth > mine->deepest) mine->deepest = mine->depth;
    support_on_remove(&mine->record, key, key_bytes, value, value_bytes, cause);
    CHECK(mine->record.count <= SUPPORT_REMOVALS);
    support_removal removal = mine->record.removals[mine->record.count - 1];
    if (mine->budget > 0) {
        mine->budget--;
        mine->act(mine, &removal);
        CHECK(key_bytes == removal.key_bytes && value_bytes == removal.value_bytes);
        if (key_bytes) CHECK(memcmp(key, removal.key, key_bytes) == 0);
        if (value_bytes) CHECK(memcmp(value, removal.value, value_bytes) == 0);
    }
    mine->depth--;
}

static caller *caller_new(uint64_t max_entries, uint32_t shard_count, int budget,
                          void (*act)(caller *mine, const support_removal *removal))
{
    static caller mine;
    memset(&mine, 0, sizeof mine);
    sark_cache_config config = support_config(max_entries);
    config.shard_count = shard_count;
    config.on_remove = caller_on_remove;
    config.on_remove_context = &mine;
    mine.act = act;
    mine.budget = budget;
    mine.cache = support_create(&config);
    return &mine;
}

static void act_get(caller *mine, const support_removal *removal)
{
    char bytes[64];
    sark_cache_status status = sark_cache_get(mine->cache, removal->key, removal->key_bytes,
                                              bytes, sizeof bytes, NULL);
    bool overwritten = removal->cause == SARK_CACHE_REPLACED;
    CHECK(status == (overwritten ? SARK_CACHE_OK : SARK_CACHE_MISS));
    CHECK(get_is(mine->cache, "stays", "there"));
    CHECK(sark_cache_size(mine->cache) >= 1);
    CHECK(holds(mine->cache));
}

TEST(a_callback_that_reads)
{
    caller *mine = caller_new(3, 4, 1000, act_get);
    REQUIRE(mine->cache != NULL);
    CHECK(put(mine->cache, "stays", "there", 0) == SARK_CACHE_OK);
    CHECK(put(mine->cache, "k", "one", 0) == SARK_CACHE_OK);
    CHECK(put(mine->cache, "k", "two", 0) == SARK_CACHE_OK);
    CHECK(drop(mine->cache, "k") == SARK_CACHE_OK);
    for (uint32_t key = 0; key < 50; key++) {
        CHECK(get_is(mine->cache, "stays", "there"));
        CHECK(sark_cache_set(mine->cache, &key, sizeof key, "v", 1, key % 3) == SARK_CACHE_OK);
    }
    advance(5);
    CHECK(sark_cache_cleanup_expired(mine->cache, 0) <= 2);
    CHECK(mine->deepest == 1 && mine->depth == 0);
    mine->budget = 0;
    FINISH(mine->cache);
    CHECK(mine->record.count == 53);
}

static void act_set_again(caller *mine, const support_removal *removal)
{
    CHECK(sark_cache_set(mine->cache, removal->key, removal->key_bytes, "again", 5, 0) ==
          SARK_CACHE_OK);
}

/* Each callback inserts again what left: it replaces, or evicts the next. */
TEST(a_callback_that_sets_the_same_key)
{
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 8) {
        caller *mine = caller_new(2, shard_count, 10, act_set_again);
        sark_cache *cache = mine->cache;
        REQUIRE(cache != NULL);
        CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK);
        CHECK(drop(cache, "a") == SARK_CACHE_OK);
        CHECK(peek_is(cache, "a", "again"));
        CHECK(mine->record.count == 1 && mine->budget == 9);
        CHECK(put(cache, "b", "1", 0) == SARK_CACHE_OK);
        CHECK(put(cache, "c", "1", 0) == SARK_CACHE_OK);
        CHECK(mine->budget == 0 && mine->record.count == 11);
        CHECK(mine->deepest == 1 && mine->depth == 0);
        CHECK(sark_cache_size(cache) <= 2);
        for (size_t index = 1; index < 11; index++)
            CHECK(mine->record.removals[index].cause == SARK_CACHE_EVICTED ||
                  mine->record.removals[index].cause == SARK_CACHE_REPLACED);
        uint64_t written = metrics_of(cache).sets, left = mine->record.count;
        CHECK(written == 13 && left + sark_cache_size(cache) == written);
        FINISH(cache);
        CHECK(mine->record.count == written);
    }
}

static void act_set_other(caller *mine, const support_removal *removal)
{
    char key[] = "other 0";
    key[6] = (char)('0' + mine->budget % 10);
    (void)removal;
    sark_cache_status status = put(mine->cache, key, "by the callback", 0);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY);
}

/* The only place may be the one that the outer call holds: no call may wait for itself. */
TEST(a_callback_that_sets_where_one_place_is_all)
{
    caller *mine = caller_new(1, 1, 0, act_set_other);
    sark_cache *cache = mine->cache;
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK);
    for (int round = 1; round <= 20; round++) {
        mine->budget = round % 7;
        CHECK(put(cache, round % 2 ? "b" : "a", "1", 0) == SARK_CACHE_OK);
        CHECK(mine->depth == 0 && mine->deepest == 1);
        CHECK(sark_cache_size(cache) <= 1);
        CHECK(metrics_of(cache).sets == mine->record.count + sark_cache_size(cache));
        CHECK(holds(cache));
    }
    mine->budget = 0;
    FINISH(cache);
}

static void act_replace(caller *mine, const support_removal *removal)
{
    (void)removal;
    CHECK(put(mine->cache, "k", "by the callback", 0) == SARK_CACHE_OK);
}

TEST(a_callback_that_replaces_what_replaced)
{
    caller *mine = caller_new(5, 1, 3, act_replace);
    REQUIRE(mine->cache != NULL);
    CHECK(put(mine->cache, "k", "one", 0) == SARK_CACHE_OK);
    CHECK(put(mine->cache, "k", "two", 0) == SARK_CACHE_OK);
    support_record *record = &mine->record;
    CHECK(record->count == 4 && mine->deepest == 1);
    CHECK(removal_is(record, 0, "k", "one", SARK_CACHE_REPLACED));
    CHECK(removal_is(record, 1, "k", "two", SARK_CACHE_REPLACED));
    CHECK(removal_is(record, 2, "k", "by the callback", SARK_CACHE_REPLACED));
    CHECK(removal_is(record, 3, "k", "by the callback", SARK_CACHE_REPLACED));
    CHECK(peek_is(mine->cache, "k", "by the callback") && sark_cache_size(mine->cache) == 1);
    FINISH(mine->cache);
    CHECK(record->count == 5);
}

static void act_delete(caller *mine, const support_removal *removal)
{
    static const char *const others[] = {"a", "b", "c", "d", "e"};
    size_t before = mine->record.count;
    CHECK(sark_cache_delete(mine->cache, removal->key, removal->key_bytes) == SARK_CACHE_MISS);
    for (size_t other = 0; other < 5; other++)
        CHECK(drop(mine->cache, others[other]) <= SARK_CACHE_MISS);
    CHECK(sark_cache_size(mine->cache) == 0);
    CHECK(mine->record.count == before);
}

/* The first report deletes the other entries; they are reported after it, not inside. */
TEST(removals_inside_are_reported_afterwards)
{
    caller *mine = caller_new(10, 8, 1, act_delete);
    sark_cache *cache = mine->cache;
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK && put(cache, "b", "2", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "c", "3", 5) == SARK_CACHE_OK && put(cache, "d", "4", 0) == SARK_CACHE_OK);
    CHECK(put(cache, "e", "5", 0) == SARK_CACHE_OK && put(cache, "k", "6", 0) == SARK_CACHE_OK);
    advance(5);
    CHECK(drop(cache, "k") == SARK_CACHE_OK);
    support_record *record = &mine->record;
    CHECK(record->count == 6 && mine->deepest == 1);
    CHECK(removal_is(record, 0, "k", "6", SARK_CACHE_DELETED));
    CHECK(removals_of(record, "a", SARK_CACHE_DELETED) == 1);
    CHECK(removals_of(record, "b", SARK_CACHE_DELETED) == 1);
    CHECK(removals_of(record, "c", SARK_CACHE_EXPIRED) == 1);
    CHECK(removals_of(record, "d", SARK_CACHE_DELETED) == 1);
    CHECK(removals_of(record, "e", SARK_CACHE_DELETED) == 1);
    FINISH(cache);
    CHECK(record->count == 6);
}

static void act_clear(caller *mine, const support_removal *removal)
{
    (void)removal;
    (void)sark_cache_clear(mine->cache);
}

TEST(a_callback_that_clears)
{
    caller *mine = caller_new(100, 8, 1000000, act_clear);
    REQUIRE(mine->cache != NULL);
    for (uint32_t key = 0; key < 300; key++)
        CHECK(sark_cache_set(mine->cache, &key, sizeof key, "value", 5, key % 2) ==
              SARK_CACHE_OK);
    CHECK(mine->deepest == 1 && mine->record.count >= 100);
    CHECK(removals_for(&mine->record, SARK_CACHE_CLEARED) >= 99);
    (void)sark_cache_clear(mine->cache);
    CHECK(sark_cache_size(mine->cache) == 0 && mine->record.count == 300);
    CHECK(mine->deepest == 1 && mine->depth == 0);
    FINISH(mine->cache);
}

static void act_cleanup(caller *mine, const support_removal *removal)
{
    (void)removal;
    (void)sark_cache_cleanup_expired(mine->cache, 3);
}

TEST(a_callback_that_cleans_up)
{
    caller *mine = caller_new(100, 8, 1000000, act_cleanup);
    REQUIRE(mine->cache != NULL);
    for (uint32_t key = 0; key < 100; key++)
        CHECK(sark_cache_set(mine->cache, &key, sizeof key, "value", 5, 10) == SARK_CACHE_OK);
    advance(10);
    CHECK(sark_cache_cleanup_expired(mine->cache, 1) == 1);
    CHECK(sark_cache_size(mine->cache) == 0);
    CHECK(mine->record.count == 100 && mine->deepest == 1);
    CHECK(removals_for(&mine->record, SARK_CACHE_EXPIRED) == 100);
    FINISH(mine->cache);
}

static bool visit_counts(void *context, const void *key, size_t key_bytes, const void *value,
                         size_t value_bytes, int64_t ttl_left_ms)
{
    size_t *visited = context;
    ++*visited;
    return key && key_bytes == 1 && value && value_bytes == 1 &&
           ttl_left_ms == SARK_CACHE_NO_EXPIRY;
}

static void act_visit(caller *mine, const support_removal *removal)
{
    (void)removal;
    size_t visited = 0;
    CHECK(sark_cache_foreach(mine->cache, visit_counts, &visited) == SARK_CACHE_OK);
    CHECK(visited == sark_cache_size(mine->cache));
    sark_cache_pinned pinned;
    sark_cache_status status = sark_cache_pin(mine->cache, "a", 1, &pinned);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status == SARK_CACHE_OK) CHECK(sark_cache_unpin(mine->cache, &pinned) == SARK_CACHE_OK);
    CHECK(holds(mine->cache));
    CHECK(metrics_of(mine->cache).entries == visited);
}

TEST(a_callback_that_visits_and_pins)
{
    caller *mine = caller_new(4, 4, 1000, act_visit);
    REQUIRE(mine->cache != NULL);
    for (int round = 0; round < 10; round++)
        for (char key[] = "a"; key[0] <= 'h'; key[0]++)
            CHECK(put(mine->cache, key, "v", 0) == SARK_CACHE_OK);
    CHECK(drop(mine->cache, "h") == SARK_CACHE_OK);
    CHECK(mine->deepest == 1);
    mine->budget = 0;
    FINISH(mine->cache);
    CHECK(mine->record.count == 80);
}

static void act_destroy(caller *mine, const support_removal *removal)
{
    (void)removal;
    CHECK(sark_cache_destroy(mine->cache) == SARK_CACHE_BUSY);
}

TEST(a_callback_that_destroys)
{
    caller *mine = caller_new(10, 1, 1000, act_destroy);
    REQUIRE(mine->cache != NULL);
    for (uint32_t key = 0; key < 30; key++)
        CHECK(sark_cache_set(mine->cache, &key, sizeof key, "v", 1, key % 3) == SARK_CACHE_OK);
    CHECK(sark_cache_size(mine->cache) == 10);
    CHECK(sark_cache_clear(mine->cache) == 10);
    CHECK(put(mine->cache, "k", "v", 0) == SARK_CACHE_OK);
    FINISH(mine->cache);
    CHECK(mine->record.count == 31 && mine->deepest == 1);
    CHECK(mine->budget == 1000 - 31);
}

static void act_set_at_the_end(caller *mine, const support_removal *removal)
{
    char key[] = "late 0";
    key[5] = (char)('0' + mine->budget % 10);
    if (removal->cause == SARK_CACHE_DESTROYED)
        mine->stored += put(mine->cache, key, "late", 0) == SARK_CACHE_OK;
    CHECK(sark_cache_size(mine->cache) <= 10);
}

/* What is stored while the cache ends is refused, or is reported too: nothing leaves in silence. */
TEST(a_callback_that_sets_while_the_cache_ends)
{
    caller *mine = caller_new(10, 1, 5, act_set_at_the_end);
    REQUIRE(mine->cache != NULL);
    for (uint32_t key = 0; key < 5; key++)
        CHECK(sark_cache_set(mine->cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    CHECK(holds(mine->cache));
    mine->stored = 5;
    CHECK(sark_cache_destroy(mine->cache) == SARK_CACHE_OK);
    CHECK(mine->record.count == mine->stored);
    CHECK(mine->deepest == 1 && mine->depth == 0);
}

/* A callback that stores something of the same size for each entry that left. */
typedef struct refiller {
    sark_cache *cache;
    bool refills;
    uint32_t stored;
    size_t reports;
} refiller;

static void refill(void *context, const void *key, size_t key_bytes, const void *value,
                   size_t value_bytes, sark_cache_cause cause)
{
    static const char same[1000];
    refiller *mine = context;
    (void)key, (void)key_bytes, (void)value;
    mine->reports++;
    if (!mine->refills || cause != SARK_CACHE_EVICTED) return;
    uint32_t next = 1000000 + mine->stored;
    mine->stored += sark_cache_set(mine->cache, &next, sizeof next, same, value_bytes, 0) ==
                    SARK_CACHE_OK;
}

/* So an insert that needs the memory of several entries never gets it: it gives up. */
TEST(a_callback_that_takes_what_is_freed)
{
    static const char value[8000];
    refiller mine = {NULL, false, 0, 0};
    sark_cache_config config = support_config(100);
    config.max_bytes = 64 << 10;
    config.shard_count = 1;
    config.on_remove = refill;
    config.on_remove_context = &mine;
    mine.cache = support_create(&config);
    REQUIRE(mine.cache != NULL);
    for (uint32_t key = 0; key < 100; key++, mine.stored++)
        CHECK(sark_cache_set(mine.cache, &key, sizeof key, value, 1000, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_size(mine.cache) < 60);
    mine.refills = true;
    CHECK(sark_cache_set(mine.cache, "large", 5, value, sizeof value, 0) == SARK_CACHE_BUSY);
    CHECK(mine.stored > 1000 && mine.reports + sark_cache_size(mine.cache) == mine.stored);
    CHECK(metrics_of(mine.cache).rejected_busy > 0 && holds(mine.cache));
    mine.refills = false;
    CHECK(sark_cache_set(mine.cache, "large", 5, value, sizeof value, 0) == SARK_CACHE_OK);
    FINISH(mine.cache);
    CHECK(mine.reports == mine.stored + 1);
}

static void act_pin_at_the_end(caller *mine, const support_removal *removal)
{
    sark_cache_pinned pinned;
    memset(&pinned, 0xA5, sizeof pinned);
    if (removal->cause != SARK_CACHE_DESTROYED) return;
    sark_cache_status status = sark_cache_pin(mine->cache, "last", 4, &pinned);
    CHECK(status == SARK_CACHE_NO_PIN && pinned.value == NULL);
    mine->stored++;
}

/* Nothing can be pinned any more while the cache ends. */
TEST(a_callback_that_pins_while_the_cache_ends)
{
    caller *mine = caller_new(100, 1, 100, act_pin_at_the_end);
    REQUIRE(mine->cache != NULL);
    for (uint32_t key = 0; key < 90; key++) /* more than leave before the first is reported */
        CHECK(sark_cache_set(mine->cache, &key, sizeof key, "v", 1, 0) == SARK_CACHE_OK);
    CHECK(put(mine->cache, "last", "v", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_destroy(mine->cache) == SARK_CACHE_OK);
    CHECK(mine->stored == 91 && mine->record.count == 91);
}

static void act_touch_and_take(caller *mine, const support_removal *removal)
{
    char bytes[8];
    CHECK(sark_cache_touch(mine->cache, removal->key, removal->key_bytes, 10) ==
          SARK_CACHE_MISS);
    CHECK(sark_cache_replace(mine->cache, removal->key, removal->key_bytes, "x", 1, 0) ==
          SARK_CACHE_MISS);
    CHECK(sark_cache_take(mine->cache, removal->key, removal->key_bytes, bytes, 8, NULL) ==
          SARK_CACHE_MISS);
    CHECK(sark_cache_add(mine->cache, removal->key, removal->key_bytes, "y", 1, 0) ==
          SARK_CACHE_OK);
    CHECK(sark_cache_take(mine->cache, removal->key, removal->key_bytes, bytes, 8, NULL) ==
          SARK_CACHE_OK);
    CHECK(bytes[0] == 'y');
}

TEST(a_callback_that_touches_replaces_adds_and_takes)
{
    caller *mine = caller_new(3, 2, 1, act_touch_and_take);
    REQUIRE(mine->cache != NULL);
    CHECK(put(mine->cache, "k", "v", 0) == SARK_CACHE_OK);
    CHECK(drop(mine->cache, "k") == SARK_CACHE_OK);
    CHECK(mine->record.count == 2 && mine->deepest == 1);
    CHECK(removal_is(&mine->record, 0, "k", "v", SARK_CACHE_DELETED));
    CHECK(removal_is(&mine->record, 1, "k", "y", SARK_CACHE_DELETED));
    CHECK(sark_cache_size(mine->cache) == 0);
    FINISH(mine->cache);
}

/* The value that is being reported may be stored again from where it lies. */
static void demote(void *context, const void *key, size_t key_bytes, const void *value,
                   size_t value_bytes, sark_cache_cause cause)
{
    if (cause != SARK_CACHE_EVICTED) return;
    CHECK(sark_cache_set(context, key, key_bytes, value, value_bytes, 0) == SARK_CACHE_OK);
}

TEST(a_second_cache_behind_the_first)
{
    sark_cache_config config = support_config(1000);
    sark_cache *second = support_create(&config);
    REQUIRE(second != NULL);
    config.max_entries = 100;
    config.on_remove = demote;
    config.on_remove_context = second;
    sark_cache *first = support_create(&config);
    REQUIRE(first != NULL);
    for (uint32_t key = 0; key < 1000; key++)
        CHECK(sark_cache_set(first, &key, sizeof key, &key, sizeof key, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_size(first) == 100 && sark_cache_size(second) == 900);
    for (uint32_t key = 0; key < 1000; key++) {
        uint32_t value = 0;
        CHECK(sark_cache_get(key < 900 ? second : first, &key, sizeof key, &value, sizeof value,
                             NULL) == SARK_CACHE_OK);
        CHECK(value == key);
    }
    FINISH(first);
    FINISH(second);
}

/* ---- Callbacks that need memory ------------------------------------------------------------- */

typedef struct hungry {
    sark_cache *cache;
    int done, busy, depth;
} hungry;

static void hungry_on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                             size_t value_bytes, sark_cache_cause cause)
{
    hungry *mine = context;
    (void)key, (void)key_bytes;
    CHECK(mine->depth++ == 0);
    unsigned char copy[4000];
    CHECK(value_bytes <= sizeof copy);
    memcpy(copy, value, value_bytes);
    if (cause == SARK_CACHE_EVICTED) {
        sark_cache_status status =
            sark_cache_set(mine->cache, "in the callback", 15, copy, value_bytes, 0);
        CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_BUSY);
        mine->done += status == SARK_CACHE_OK;
        mine->busy += status == SARK_CACHE_BUSY;
    }
    CHECK(memcmp(copy, value, value_bytes) == 0);
    mine->depth--;
}

/* Inside a callback an insert does not evict for bytes: it stores, or is BUSY; outside it works. */
TEST(a_callback_that_inserts_where_memory_is_short)
{
    static unsigned char region[65536], value[4000];
    hungry mine = {0};
    sark_cache_config config = support_config(128);
    config.on_remove = hungry_on_remove;
    config.on_remove_context = &mine;
    REQUIRE(sark_cache_create_in(&mine.cache, &config, region, sizeof region) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < 3000; key++) {
        memset(value, (int)(key & 0xFF), sizeof value);
        CHECK(sark_cache_set(mine.cache, &key, sizeof key, value, key * 7 % 4000, 0) ==
              SARK_CACHE_OK);
    }
    CHECK(mine.done + mine.busy > 1000);
    CHECK(mine.depth == 0);
    FINISH(mine.cache);
}

/* ---- Visitors that call --------------------------------------------------------------------- */

typedef struct visitor {
    sark_cache *cache;
    bool seen[200];
    int visits;
} visitor;

static bool visit_and_delete(void *context, const void *key, size_t key_bytes, const void *value,
                             size_t value_bytes, int64_t ttl_left_ms)
{
    visitor *mine = context;
    uint32_t number = 0, copy = 0;
    CHECK(key_bytes == sizeof number && value_bytes == sizeof number && ttl_left_ms > 0);
    memcpy(&number, key, sizeof number);
    CHECK(number < 200 && !mine->seen[number % 200]);
    mine->seen[number % 200] = true;
    mine->visits++;
    CHECK(sark_cache_delete(mine->cache, key, key_bytes) == SARK_CACHE_OK);
    uint32_t next = (number + 1) % 200;
    CHECK(sark_cache_delete(mine->cache, &next, sizeof next) <= SARK_CACHE_MISS);
    memcpy(&copy, value, sizeof copy);
    CHECK(copy == ~number);
    return true;
}

static void fill_numbers(sark_cache *cache)
{
    for (uint32_t number = 0; number < 200; number++) {
        uint32_t value = ~number;
        CHECK(sark_cache_set(cache, &number, sizeof number, &value, sizeof value, 0) ==
              SARK_CACHE_OK);
    }
}

TEST(a_visitor_that_deletes)
{
    sark_cache_config config = support_config(200);
    visitor mine = {.cache = support_create(&config)};
    REQUIRE(mine.cache != NULL);
    fill_numbers(mine.cache);
    CHECK(sark_cache_foreach(mine.cache, visit_and_delete, &mine) == SARK_CACHE_OK);
    CHECK(mine.visits >= 100 && sark_cache_size(mine.cache) == 0);
    CHECK(support_removals()->count == 200);
    CHECK(removals_for(support_removals(), SARK_CACHE_DELETED) == 200);
    FINISH(mine.cache);
}

static bool visit_and_set(void *context, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes, int64_t ttl_left_ms)
{
    visitor *mine = context;
    uint32_t number = 0;
    (void)value, (void)ttl_left_ms;
    memcpy(&number, key, sizeof number);
    CHECK(key_bytes == sizeof number && value_bytes == sizeof number && number < 200);
    mine->visits++;
    mine->seen[number % 200] = true;
    uint32_t again = ~number;
    CHECK(sark_cache_set(mine->cache, key, key_bytes, &again, sizeof again, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_get(mine->cache, key, key_bytes, &again, sizeof again, NULL) ==
          SARK_CACHE_OK);
    return mine->visits < 10000;
}

/* Entries overwritten meanwhile may be visited again, but the others are, and it ends. */
TEST(a_visitor_that_sets)
{
    sark_cache_config config = support_config(200);
    visitor mine = {.cache = support_create(&config)};
    REQUIRE(mine.cache != NULL);
    fill_numbers(mine.cache);
    CHECK(sark_cache_foreach(mine.cache, visit_and_set, &mine) == SARK_CACHE_OK);
    CHECK(mine.visits >= 200 && mine.visits < 10000);
    for (size_t number = 0; number < 200; number++) CHECK(mine.seen[number]);
    CHECK(sark_cache_size(mine.cache) == 200);
    CHECK(removals_for(support_removals(), SARK_CACHE_REPLACED) == (size_t)mine.visits);
    FINISH(mine.cache);
}

static bool visit_and_everything(void *context, const void *key, size_t key_bytes,
                                 const void *value, size_t value_bytes, int64_t ttl_left_ms)
{
    visitor *mine = context;
    (void)value, (void)value_bytes, (void)ttl_left_ms;
    CHECK(sark_cache_destroy(mine->cache) == SARK_CACHE_BUSY);
    CHECK(sark_cache_contains(mine->cache, key, key_bytes) == SARK_CACHE_OK);
    CHECK(holds(mine->cache));
    CHECK(sark_cache_cleanup_expired(mine->cache, 0) == 0);
    size_t visited = 0;
    CHECK(sark_cache_foreach(mine->cache, visit_counts, &visited) == SARK_CACHE_OK);
    mine->visits++;
    if (mine->visits == 5) CHECK(sark_cache_clear(mine->cache) == 200);
    return true;
}

TEST(a_visitor_that_does_everything_else)
{
    sark_cache_config config = support_config(200);
    visitor mine = {.cache = support_create(&config)};
    REQUIRE(mine.cache != NULL);
    fill_numbers(mine.cache);
    CHECK(sark_cache_foreach(mine.cache, visit_and_everything, &mine) == SARK_CACHE_OK);
    CHECK(mine.visits == 5 && sark_cache_size(mine.cache) == 0);
    CHECK(removals_for(support_removals(), SARK_CACHE_CLEARED) == 200);
    FINISH(mine.cache);
}

int main(void)
{
    RUN(each_cause_once);
    RUN(a_short_ttl_in_every_way_out_is_expired);
    RUN(the_whole_value_is_reported);
    RUN(a_callback_that_reads);
    RUN(a_callback_that_sets_the_same_key);
    RUN(a_callback_that_sets_where_one_place_is_all);
    RUN(a_callback_that_replaces_what_replaced);
    RUN(removals_inside_are_reported_afterwards);
    RUN(a_callback_that_clears);
    RUN(a_callback_that_cleans_up);
    RUN(a_callback_that_visits_and_pins);
    RUN(a_callback_that_destroys);
    RUN(a_callback_that_sets_while_the_cache_ends);
    RUN(a_callback_that_takes_what_is_freed);
    RUN(a_callback_that_pins_while_the_cache_ends);
    RUN(a_callback_that_touches_replaces_adds_and_takes);
    RUN(a_second_cache_behind_the_first);
    RUN(a_callback_that_inserts_where_memory_is_short);
    RUN(a_visitor_that_deletes);
    RUN(a_visitor_that_sets);
    RUN(a_visitor_that_does_everything_else);
    return test_summary();
}
