/* A process with busy threads forks again and again: each child goes on with its copy of the
   cache, reads, writes, evicts, checks and destroys it, and so does the parent. A child that hangs
   is ended by its watchdog, and counts as failed.

   stress_fork [forks]; 1,000 at the usual scale. */

#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "threads.h"

#include <sys/wait.h>

enum { KEYS = 400, CAPACITY = 200, MOST_VALUE = 300, CHILD_LIMIT_S = 20 };

static uint64_t fork_count;
static uint64_t empty_bytes; /* what the empty cache has in use */

typedef struct worker {
    sark_cache *cache;
    uint64_t random;
    _Atomic(bool) *stop;
} worker;

static void on_remove(void *context, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)cause;
    if (value_bytes > 0) CHECK(((const unsigned char *)value)[0] == value_bytes % 251);
}

/* One call of any kind. Values are all of one byte, which follows from their size. */
static void work_once(sark_cache *cache, uint64_t *random)
{
    unsigned char value[MOST_VALUE];
    uint32_t key = (uint32_t)test_below(random, KEYS);
    size_t value_bytes = test_below(random, MOST_VALUE);
    sark_cache_pinned pinned;
    memset(value, (int)(value_bytes % 251), sizeof value);
    switch (test_below(random, 12)) {
    case 0: case 1: case 2:
        (void)sark_cache_set(cache, &key, sizeof key, value, value_bytes, 0);
        break;
    case 3:
        (void)sark_cache_delete(cache, &key, sizeof key);
        break;
    case 4:
        if (sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK)
            CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
        break;
    case 5:
        (void)sark_cache_touch(cache, &key, sizeof key, SARK_CACHE_NO_EXPIRY);
        break;
    case 6:
        (void)sark_cache_take(cache, &key, sizeof key, value, sizeof value, &value_bytes);
        break;
    case 7: /* counted, and nothing else */
        for (int i = 0; i < 10; i++)
            CHECK(sark_cache_delete(cache, NULL, 1) == SARK_CACHE_BAD_ARGUMENT);
        break;
    default: /* one key hot */
        key = test_below(random, 2) ? 1 : key;
        if (sark_cache_get(cache, &key, sizeof key, value, sizeof value, &value_bytes) ==
            SARK_CACHE_OK)
            CHECK(value_bytes == 0 || value[0] == value_bytes % 251);
    }
}

static void *work(void *context)
{
    worker *mine = context;
    while (!atomic_load(mine->stop)) work_once(mine->cache, &mine->random);
    return NULL;
}

/* Whether every entry that is resident has its own value. */
static bool visit(void *context, const void *key, size_t key_bytes, const void *value,
                  size_t value_bytes, int64_t ttl_left_ms)
{
    uint64_t *seen = context;
    (void)key, (void)ttl_left_ms;
    *seen += key_bytes == sizeof(uint32_t) &&
             (value_bytes == 0 || ((const unsigned char *)value)[0] == value_bytes % 251);
    return true;
}

/* What a child does with its copy. Returns its exit status. */
static int child_main(sark_cache *cache, uint64_t random)
{
    char report[120];
    uint64_t seen = 0;
    sark_cache_metrics metrics;
    if (!sark_cache_check(cache, report, sizeof report)) return 2;
    if (sark_cache_foreach(cache, visit, &seen) == SARK_CACHE_OK && seen != sark_cache_size(cache))
        return 3;
    for (int i = 0; i < 2000; i++) work_once(cache, &random);
    for (uint32_t key = KEYS; key < KEYS + CAPACITY; key++)
        if (sark_cache_set(cache, &key, sizeof key, "", 0, 0) != SARK_CACHE_OK) return 4;
    if (sark_cache_size(cache) != CAPACITY) return 5;
    if (!sark_cache_check(cache, report, sizeof report)) return 6;
    for (uint32_t i = 0; i < cache->leases.pin_count; i++) {
        sarki_pin *pin = &cache->leases.pins[i];
        bool is_out = sarki_load32_relaxed(&pin->a_sequence) & 1;
        if (!is_out && sarki_load32_relaxed(&pin->a_ref) != 0) return 12;
    }
    sark_cache_metrics_read(cache, &metrics);
    if (metrics.leases_in_use != 0 || metrics.cleanup_thread_running) return 7;
    for (uint32_t i = 0; i < cache->reporter_count; i++)
        if (sarki_loadword_relaxed(&cache->reporters[i].a_thread) != 0) return 10;
    sark_cache_clear(cache);
    sark_cache_metrics_read(cache, &metrics);
    if (metrics.bytes - metrics.bytes_retired != empty_bytes) return 11;
    sark_cache_status status = sark_cache_destroy(cache); /* pins of other threads stay out */
    if (status != SARK_CACHE_OK && !(status == SARK_CACHE_BUSY && metrics.pins_in_use)) return 8;
    return atomic_load(&test_failures_in_case) ? 9 : 0;
}

/* Waits for a child, also where a signal comes in between. */
static bool child_ended(pid_t child, int *status)
{
    pid_t ended;
    do ended = waitpid(child, status, 0);
    while (ended < 0 && errno == EINTR);
    return ended == child;
}

/* Forks, and waits for the child. Returns its exit status, or 128 and the signal that ended it. */
static int fork_once(sark_cache *cache, uint64_t random)
{
    int status = 0;
    sark_cache_fork_prepare(cache);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(CHILD_LIMIT_S);
        sark_cache_fork_child(cache);
        _exit(child_main(cache, random));
    }
    sark_cache_fork_parent(cache);
    if (child < 0) return -1;
    if (!child_ended(child, &status)) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void fork_while_busy(bool has_callback, size_t max_bytes)
{
    sark_cache_config config = support_config(CAPACITY);
    config.max_bytes = max_bytes;
    config.clock.now_ms = NULL;
    config.cleanup_interval_ms = 1;
    config.shard_count = 4;
    config.on_remove = has_callback ? on_remove : NULL;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    empty_bytes = metrics_of(cache).bytes;
    _Atomic(bool) stop = false;
    pthread_t threads[TEST_THREADS];
    worker workers[TEST_THREADS];
    for (unsigned i = 0; i < TEST_THREADS; i++) {
        workers[i] = (worker){cache, i + 1, &stop};
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (uint64_t i = 0; i < fork_count; i++) {
        test_watchdog(120);
        int status = fork_once(cache, i);
        CHECK(status == 0);
        if (status != 0) printf("  fork %d: the child ended with %d\n", (int)i, status);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < TEST_THREADS; i++) pthread_join(threads[i], NULL);
    test_watchdog(0);
    FINISH(cache);
}

TEST(forks_while_entries_bind) { fork_while_busy(false, 1 << 20); }
TEST(forks_while_bytes_bind) { fork_while_busy(false, 48 << 10); }
TEST(forks_while_callbacks_run) { fork_while_busy(true, 48 << 10); }

/* A pinned value stays in the child, though its entry is gone; it may be given back there too. */
TEST(pins_stay_out)
{
    sark_cache_config config = support_config(10);
    config.max_bytes = 48 << 10;
    sark_cache *cache = support_create(&config);
    sark_cache_pinned pinned;
    int status = -1;
    REQUIRE(cache != NULL && put(cache, "k", "pinned value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK);
    CHECK(drop(cache, "k") == SARK_CACHE_OK);
    sark_cache_fork_prepare(cache);
    pid_t child = fork();
    if (child == 0) {
        uint64_t random = 1;
        alarm(CHILD_LIMIT_S);
        sark_cache_fork_child(cache);
        for (int i = 0; i < 2000; i++) work_once(cache, &random);
        bool same = memcmp(pinned.value, "pinned value", 12) == 0;
        bool busy = sark_cache_destroy(cache) == SARK_CACHE_BUSY;
        bool back = sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK;
        _exit(!same || !busy || !back || sark_cache_destroy(cache) != SARK_CACHE_OK);
    }
    sark_cache_fork_parent(cache);
    CHECK(child_ended(child, &status) && status == 0);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    FINISH(cache);
}

/* ---- A fork inside a callback --------------------------------------------------------------- */

typedef struct inside {
    sark_cache *cache;
    int removals, fork_at, status;
} inside;

/* Forks at one of the removals; the child goes on with the call that is under way. */
static void fork_inside(void *context, const void *key, size_t key_bytes, const void *value,
                        size_t value_bytes, sark_cache_cause cause)
{
    inside *mine = context;
    (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)cause;
    if (++mine->removals != mine->fork_at) return;
    sark_cache_fork_prepare(mine->cache);
    mine->status = (int)fork();
    if (mine->status == 0) sark_cache_fork_child(mine->cache);
    else sark_cache_fork_parent(mine->cache);
}

static void fork_inside_at(int removal)
{
    static inside mine;
    sark_cache_config config = support_config(100);
    config.on_remove = fork_inside;
    config.on_remove_context = &mine;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    mine = (inside){cache, 0, removal, -1};
    for (uint32_t key = 0; key < 50; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_clear(cache) == 50 && mine.removals == 50);
    CHECK(sark_cache_size(cache) == 0 && put(cache, "k", "v", 0) == SARK_CACHE_OK);
    char report[120];
    bool holds = sark_cache_check(cache, report, sizeof report);
    sark_cache_status status = sark_cache_destroy(cache);
    if (mine.status == 0)
        _exit(!holds || status != SARK_CACHE_OK || atomic_load(&test_failures_in_case));
    CHECK(holds && status == SARK_CACHE_OK && mine.status > 0);
    int ended = -1;
    CHECK(child_ended((pid_t)mine.status, &ended) && ended == 0);
}

/* While others wait to be reported, and while none does. */
TEST(fork_inside_a_callback)
{
    fork_inside_at(2);
    fork_inside_at(50);
}

/* ---- A fork beside a walk -------------------------------------------------------------------- */

static _Atomic(bool) walk_began, walk_ends;

static sark_cache *one_pin_cache(void)
{
    sark_cache_config config = support_config(10);
    config.pin_count = 1;
    return support_create(&config);
}

static bool walk_on(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, int64_t ttl_left_ms)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)ttl_left_ms;
    atomic_store(&walk_began, true);
    while (!atomic_load(&walk_ends)) sched_yield();
    return true;
}

static void *walk(void *context)
{
    CHECK(sark_cache_foreach(context, walk_on, NULL) == SARK_CACHE_OK);
    return NULL;
}

/* A walk of another thread is over in the child, and its pin is free. */
TEST(a_walk_of_another_thread)
{
    sark_cache *cache = one_pin_cache();
    sark_cache_pinned pinned;
    pthread_t thread;
    int status = -1;
    REQUIRE(cache != NULL && put(cache, "k", "value", 0) == SARK_CACHE_OK);
    REQUIRE(pthread_create(&thread, NULL, walk, cache) == 0);
    while (!atomic_load(&walk_began)) sched_yield();
    CHECK(sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_NO_PIN);
    sark_cache_fork_prepare(cache);
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_LIMIT_S);
        sark_cache_fork_child(cache);
        bool pins = sark_cache_pin(cache, "k", 1, &pinned) == SARK_CACHE_OK &&
                    sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK;
        _exit(!pins || sark_cache_destroy(cache) != SARK_CACHE_OK);
    }
    sark_cache_fork_parent(cache);
    CHECK(child_ended(child, &status) && status == 0);
    atomic_store(&walk_ends, true);
    CHECK(pthread_join(thread, NULL) == 0);
    FINISH(cache);
}

/* Forks once; the child goes on with the walk. */
static bool fork_on(void *context, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes, int64_t ttl_left_ms)
{
    inside *mine = context;
    (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)ttl_left_ms;
    fork_inside(mine, NULL, 0, NULL, 0, SARK_CACHE_DELETED);
    return true;
}

/* A thread that forks inside its own walk goes on with it in the child. */
TEST(a_walk_that_forks)
{
    sark_cache *cache = one_pin_cache();
    sark_cache_pinned pinned;
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 5; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    inside mine = {cache, 0, 2, -1};
    CHECK(sark_cache_foreach(cache, fork_on, &mine) == SARK_CACHE_OK && mine.removals == 5);
    uint32_t key = 0;
    CHECK(sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    sark_cache_status status = sark_cache_destroy(cache);
    if (mine.status == 0) _exit(status != SARK_CACHE_OK || atomic_load(&test_failures_in_case));
    CHECK(status == SARK_CACHE_OK && mine.status > 0);
    int ended = -1;
    CHECK(child_ended((pid_t)mine.status, &ended) && ended == 0);
}

/* The same of a walk that removes what it has visited, in both processes. */
TEST(a_removing_walk_that_forks)
{
    sark_cache *cache = one_pin_cache();
    uint64_t removed = 0;
    REQUIRE(cache != NULL);
    for (uint32_t key = 0; key < 5; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, "value", 5, 0) == SARK_CACHE_OK);
    inside mine = {cache, 0, 3, -1};
    CHECK(sark_cache_clear_if(cache, fork_on, &mine, &removed) == SARK_CACHE_OK);
    CHECK(removed == 5 && mine.removals == 5 && sark_cache_size(cache) == 0);
    bool is_sound = sark_cache_check(cache, NULL, 0);
    CHECK(is_sound);
    sark_cache_status status = sark_cache_destroy(cache);
    if (mine.status == 0) _exit(status != SARK_CACHE_OK || atomic_load(&test_failures_in_case));
    CHECK(status == SARK_CACHE_OK && mine.status > 0);
    int ended = -1;
    CHECK(child_ended((pid_t)mine.status, &ended) && ended == 0);
}

/* ---- A fork on the cleanup thread ------------------------------------------------------------ */

static void fork_at_expiry(void *context, const void *key, size_t key_bytes, const void *value,
                           size_t value_bytes, sark_cache_cause cause)
{
    const inside *mine = context;
    if (cause != SARK_CACHE_EXPIRED) return;
    fork_inside(context, key, key_bytes, value, value_bytes, cause);
    if (mine->status != 0) return;
    sigset_t none; /* of the signals that the cleanup thread does not get */
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_LIMIT_S);
}

/* The child has no cleanup thread: the one that forks ends after its callback, and so the child. */
TEST(fork_on_the_cleanup_thread)
{
    static inside mine;
    sark_cache_config config = {.max_entries = 10, .max_bytes = 1 << 16,
                                .cleanup_interval_ms = 1, .on_remove = fork_at_expiry};
    config.on_remove_context = &mine;
    sark_cache *cache = NULL;
    mine = (inside){NULL, 0, 1, -1};
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    mine.cache = cache;
    CHECK(put(cache, "k", "v", 1) == SARK_CACHE_OK);
    while (sark_cache_size(cache) > 0) sched_yield();
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK); /* waits for the callback */
    int ended = -1;
    CHECK(mine.status > 0 && child_ended((pid_t)mine.status, &ended) && ended == 0);
}

TEST(null_is_nothing)
{
    sark_cache_fork_prepare(NULL);
    sark_cache_fork_parent(NULL);
    sark_cache_fork_child(NULL);
}

/* Without the three calls: a child whose parent was in no call may still destroy its copy. */
TEST(destroy_in_a_child_without_the_calls)
{
    sark_cache_config config = support_config(10);
    config.cleanup_interval_ms = 1000000;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL && put(cache, "k", "v", 0) == SARK_CACHE_OK);
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_LIMIT_S);
        _exit(sark_cache_destroy(cache) != SARK_CACHE_OK);
    }
    CHECK(child_ended(child, &status) && status == 0);
    FINISH(cache);
}

int main(int argument_count, char **arguments)
{
    fork_count = test_scaled(argument_count > 1 ? strtoull(arguments[1], NULL, 10) : 1000, 20);
    RUN(null_is_nothing);
    RUN(destroy_in_a_child_without_the_calls);
    RUN(pins_stay_out);
    RUN(a_walk_of_another_thread);
    RUN(a_walk_that_forks);
    RUN(a_removing_walk_that_forks);
    RUN(fork_on_the_cleanup_thread);
    RUN(fork_inside_a_callback);
    RUN(forks_while_entries_bind);
    RUN(forks_while_bytes_bind);
    RUN(forks_while_callbacks_run);
    return test_summary();
}
