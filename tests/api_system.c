/* Black box: system calls that fail. No clock, no random source, no thread, no mutex, no memory:
   each is made to fail here by a name of the same kind that stands in for it. And errno, which no
   call changes. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- What stands in ------------------------------------------------------------------------- */

static struct {
    bool real_clock;           /* else: fine_ns, and coarsely the last multiple of tick_ns */
    bool fine_fails, coarse_fails, resolution_fails;
    bool narrow_time;          /* as where time_t has 32 bits */
    int boot_works;            /* the clock since boot fails after each so many times; 0: never */
    _Atomic(int) boot_reads;
    bool awake_fails;          /* CLOCK_MONOTONIC alone */
    bool naps_end;             /* at once */
    uint32_t naps_interrupted; /* so many of them, by a signal */
    long last_nap_ns;          /* of these */
    bool naps_fail;
    int64_t fine_ns, tick_ns;
    int64_t asleep_ns;         /* that the clock of the time since boot is ahead */
    int64_t lag_ns;            /* of the coarse clock, beyond that; some kernels let it */
    bool open_fails, thread_fails, calloc_fails;
    bool thread_attributes_fail, condition_attributes_fail, condition_clock_fails;
    long processors;
    bool no_counter;           /* the processor does not say what its counter is like */
    bool counter_varies;       /* it says that it is not invariant */
    int read_error;            /* errno of each read; 0: it works */
    size_t read_most;          /* bytes that one read gives at most */
    int interruptions;         /* so many reads are interrupted first */
    int open_files;
    int mutexes_left, conditions_left; /* so many can be made, then they fail; -1: all */
    int mutexes, conditions;   /* made and not destroyed */
} fake;

static int fake_fails(int error)
{
    errno = error;
    return -1;
}

static int fake_clock_gettime(clockid_t clock, struct timespec *time)
{
    bool fine = clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
    if (fine ? fake.fine_fails : fake.coarse_fails) return fake_fails(EINVAL);
    if (clock == CLOCK_BOOTTIME && fake.boot_works &&
        atomic_fetch_add(&fake.boot_reads, 1) % (fake.boot_works + 1) == fake.boot_works)
        return fake_fails(EOVERFLOW);
    if (fake.awake_fails && clock == CLOCK_MONOTONIC) return fake_fails(EINVAL);
    if (fake.real_clock) return clock_gettime(clock, time);
    int64_t now_ns = fake.fine_ns;
    if (!fine) now_ns -= now_ns % fake.tick_ns + fake.lag_ns;
    if (clock == CLOCK_BOOTTIME) now_ns += fake.asleep_ns;
    int64_t seconds = now_ns / 1000000000;
    if ((time_t)seconds != seconds || (fake.narrow_time && seconds > INT32_MAX))
        return fake_fails(EOVERFLOW); /* what time points to is left alone */
    time->tv_sec = (time_t)seconds;
    time->tv_nsec = (long)(now_ns % 1000000000);
    return 0;
}

static int fake_clock_getres(clockid_t clock, struct timespec *resolution)
{
    (void)clock;
    if (fake.resolution_fails) return fake_fails(EINVAL);
    resolution->tv_sec = 0;
    resolution->tv_nsec = (long)fake.tick_ns;
    return 0;
}

static int fake_open(const char *path, int flags)
{
    if (fake.open_fails || !path || (flags & O_ACCMODE) != O_RDONLY) return fake_fails(EMFILE);
    fake.open_files++;
    return 1000;
}

static ssize_t fake_read(int file, void *bytes, size_t count)
{
    if (file != 1000 || fake.read_error) return fake_fails(fake.read_error);
    if (fake.interruptions > 0) {
        fake.interruptions--;
        return fake_fails(EINTR);
    }
    if (count > fake.read_most) count = fake.read_most;
    for (size_t at = 0; at < count; at++) ((unsigned char *)bytes)[at] = (unsigned char)rand();
    return (ssize_t)count;
}

static int fake_close(int file)
{
    if (file != 1000) return fake_fails(EBADF);
    fake.open_files--;
    errno = EINTR;
    return 0;
}

static int fake_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                               void *(*body)(void *), void *argument)
{
    if (!fake.thread_fails) return pthread_create(thread, attributes, body, argument);
    errno = ENOMEM; /* as glibc leaves it where it has no stack */
    return EAGAIN;
}

static int fake_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    if (fake.mutexes_left == 0) return EAGAIN;
    if (fake.mutexes_left > 0) fake.mutexes_left--;
    fake.mutexes++;
    return pthread_mutex_init(mutex, attributes);
}

static int fake_mutex_destroy(pthread_mutex_t *mutex)
{
    fake.mutexes--;
    return pthread_mutex_destroy(mutex);
}

static int fake_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    if (fake.conditions_left == 0) return EAGAIN;
    if (fake.conditions_left > 0) fake.conditions_left--;
    fake.conditions++;
    return pthread_cond_init(condition, attributes);
}

static int fake_cond_destroy(pthread_cond_t *condition)
{
    fake.conditions--;
    return pthread_cond_destroy(condition);
}

static int fake_attr_init(pthread_attr_t *attributes)
{
    return fake.thread_attributes_fail ? ENOMEM : pthread_attr_init(attributes);
}

static int fake_condattr_init(pthread_condattr_t *attributes)
{
    return fake.condition_attributes_fail ? ENOMEM : pthread_condattr_init(attributes);
}

static int fake_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock)
{
    return fake.condition_clock_fails ? EINVAL : pthread_condattr_setclock(attributes, clock);
}

static long fake_sysconf(int name)
{
    return name == _SC_NPROCESSORS_ONLN ? fake.processors : sysconf(name);
}

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

static int fake_cpuid(unsigned leaf, unsigned *eax, unsigned *ebx, unsigned *ecx, unsigned *edx)
{
    if (fake.no_counter) return 0;
    if (!__get_cpuid(leaf, eax, ebx, ecx, edx)) return 0;
    if (fake.counter_varies) *edx &= ~(1u << 8);
    return 1;
}

#define __get_cpuid(leaf, eax, ebx, ecx, edx) fake_cpuid((leaf), (eax), (ebx), (ecx), (edx))
#endif

static int fake_nanosleep(const struct timespec *nap, struct timespec *left)
{
    if (fake.naps_interrupted > 0) {
        fake.naps_interrupted--;
        fake.last_nap_ns = nap->tv_nsec;
        left->tv_sec = 0, left->tv_nsec = nap->tv_nsec - 1000;
        errno = EINTR;
        return -1;
    }
    if (fake.naps_fail) return errno = ENOSYS, -1;
    return fake.naps_end ? sched_yield() : nanosleep(nap, left);
}

static void *fake_calloc(size_t count, size_t bytes)
{
    if (!fake.calloc_fails) return calloc(count, bytes);
    errno = ENOMEM;
    return NULL;
}

#define clock_gettime(clock, time) fake_clock_gettime((clock), (time))
#define clock_getres(clock, resolution) fake_clock_getres((clock), (resolution))
#define open(path, flags) fake_open((path), (flags))
#define read(file, bytes, count) fake_read((file), (bytes), (count))
#define close(file) fake_close(file)
#define pthread_create(thread, attributes, body, argument)                                        \
    fake_pthread_create((thread), (attributes), (body), (argument))
#define pthread_mutex_init(mutex, attributes) fake_mutex_init((mutex), (attributes))
#define pthread_mutex_destroy(mutex) fake_mutex_destroy(mutex)
#define pthread_cond_init(condition, attributes) fake_cond_init((condition), (attributes))
#define pthread_cond_destroy(condition) fake_cond_destroy(condition)
#define pthread_attr_init(attributes) fake_attr_init(attributes)
#define pthread_condattr_init(attributes) fake_condattr_init(attributes)
#define pthread_condattr_setclock(attributes, clock) fake_condattr_setclock((attributes), (clock))
#define sysconf(name) fake_sysconf(name)
#define nanosleep(nap, left) fake_nanosleep((nap), (left))
#define calloc(count, bytes) fake_calloc((count), (bytes))

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

/* Everything works again, at a fixed time. */
static void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    fake.fine_ns = (int64_t)1000000 * 1000000 + 1234567;
    fake.tick_ns = 4000000;
    fake.read_most = SIZE_MAX;
    fake.mutexes_left = fake.conditions_left = -1;
    fake.processors = 2;
}

static void pass_ns(int64_t ns) { fake.fine_ns += ns; }

/* ---- The allocator's part ------------------------------------------------------------------- */

static int allocated, released;

static void *counted_allocate(void *context, size_t bytes)
{
    (void)context;
    allocated++;
    errno = ENOENT;
    return malloc(bytes);
}

static void counted_release(void *context, void *region, size_t bytes)
{
    (void)context, (void)bytes;
    released++;
    free(region);
}

static sark_cache_config counted_config(void)
{
    allocated = released = 0;
    return (sark_cache_config){.max_entries = 100,
                               .shard_count = 4,
                               .allocator = {counted_allocate, counted_release, NULL}};
}

static bool create_gives(const sark_cache_config *config, sark_cache_status expected)
{
    sark_cache *cache = NULL;
    fake.mutexes = fake.conditions = 0;
    errno = 4711;
    sark_cache_status status = sark_cache_create(&cache, config);
    CHECK(errno == 4711);
    CHECK((cache == NULL) == (status != SARK_CACHE_OK));
    if (cache) {
        CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK && get_is(cache, "k", "value"));
        FINISH(cache);
    }
    CHECK(allocated == released && fake.open_files == 0);
    CHECK(fake.mutexes == 0 && fake.conditions == 0);
    return status == expected;
}

/* ---- Random bytes --------------------------------------------------------------------------- */

TEST(no_random_source)
{
    fake_reset();
    fake.open_fails = true;
    sark_cache_config config = counted_config();
    CHECK(create_gives(&config, SARK_CACHE_NO_RANDOM));
    CHECK(allocated == 1);
    static unsigned char region[1 << 16];
    sark_cache *cache = NULL;
    CHECK(sark_cache_create_in(&cache, NULL, region, sizeof region) == SARK_CACHE_NO_RANDOM);
    CHECK(cache == NULL);
    config.hash_seed = 1;
    CHECK(create_gives(&config, SARK_CACHE_OK));
}

TEST(a_random_source_that_fails)
{
    fake_reset();
    sark_cache_config config = counted_config();
    fake.read_error = EIO;
    CHECK(create_gives(&config, SARK_CACHE_NO_RANDOM));
    fake.read_error = 0;
    fake.read_most = 0; /* the end of the file */
    CHECK(create_gives(&config, SARK_CACHE_NO_RANDOM));
}

TEST(a_random_source_that_stutters)
{
    fake_reset();
    sark_cache_config config = counted_config();
    fake.interruptions = 5;
    CHECK(create_gives(&config, SARK_CACHE_OK));
    CHECK(fake.interruptions == 0);
    fake.read_most = 1;
    CHECK(create_gives(&config, SARK_CACHE_OK));
}

/* ---- Threads, mutexes, memory --------------------------------------------------------------- */

TEST(no_thread_for_the_cleanup)
{
    fake_reset();
    fake.thread_fails = true;
    sark_cache_config config = counted_config();
    config.cleanup_interval_ms = 1;
    CHECK(create_gives(&config, SARK_CACHE_OK));
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.cleanup_thread_wanted && !metrics.cleanup_thread_running);
    CHECK(metrics.cleanup_runs == 0);
    CHECK(put(cache, "k", "value", 5) == SARK_CACHE_OK && get_is(cache, "k", "value"));
    pass_ns(20000000);
    CHECK(get_is(cache, "k", NULL) && sark_cache_cleanup_expired(cache, 0) == 1);
    FINISH(cache);
}

TEST(a_thread_for_the_cleanup)
{
    fake_reset();
    fake.real_clock = true;
    sark_cache_config config = counted_config();
    config.cleanup_interval_ms = 1000;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.cleanup_thread_wanted && metrics.cleanup_thread_running);
    FINISH(cache);
    CHECK(fake.mutexes == 0 && fake.conditions == 0);
}

TEST(each_mutex_and_condition_fails_once)
{
    fake_reset();
    sark_cache_config config = counted_config();
    int mutexes = 0, conditions = 0;
    do {
        fake.mutexes_left = mutexes++;
    } while (create_gives(&config, SARK_CACHE_SYSTEM_ERROR) && mutexes < 100);
    CHECK(mutexes > 4 && mutexes < 100); /* at least one for each shard */
    fake.mutexes_left = -1;
    do {
        fake.conditions_left = conditions++;
    } while (create_gives(&config, SARK_CACHE_SYSTEM_ERROR) && conditions < 100);
    CHECK(conditions < 100);
    fake.conditions_left = -1;
    CHECK(create_gives(&config, SARK_CACHE_OK));
}

TEST(attributes_that_fail)
{
    fake_reset();
    sark_cache_config config = counted_config();
    fake.condition_attributes_fail = true;
    CHECK(create_gives(&config, SARK_CACHE_SYSTEM_ERROR));
    fake.condition_attributes_fail = false;
    fake.condition_clock_fails = true;
    CHECK(create_gives(&config, SARK_CACHE_SYSTEM_ERROR));
    fake.condition_clock_fails = false;
    fake.thread_attributes_fail = true;
    config.cleanup_interval_ms = 1000;
    CHECK(create_gives(&config, SARK_CACHE_OK));
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(metrics_of(cache).cleanup_thread_wanted && !metrics_of(cache).cleanup_thread_running);
    FINISH(cache);
}

/* ---- The processors ------------------------------------------------------------------------- */

/* The default number of shards goes by the processors that are online; where that cannot be told,
   or is not to be believed, they count as one. */
TEST(processors_decide_the_shards)
{
    static const struct {
        long processors;
        uint32_t shards;
    } rows[] = {{1, 4}, {2, 8}, {3, 8}, {4, 16}, {400, 16},
                {65535, 16}, {65536, 4}, {0, 4}, {-1, 4}};
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        fake_reset();
        fake.processors = rows[row].processors;
        sark_cache_config config = {.max_bytes = 64 << 20};
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(sark_cache_get_config(cache, &config) == SARK_CACHE_OK);
        CHECK(config.shard_count == rows[row].shards);
        FINISH(cache);
    }
}

/* Without a counter that is invariant the order is a count of accesses, and as exact. */
TEST(no_counter_of_the_processor)
{
#if defined(__x86_64__) || defined(__i386__)
    for (int varies = 0; varies < 2; varies++) {
        fake_reset();
        fake.no_counter = !varies;
        fake.counter_varies = varies;
        sark_cache_config config = counted_config();
        config.max_entries = 3;
        config.shard_count = 2;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL && metrics_of(cache).stamp_resolution_ps == 0);
        CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK && put(cache, "b", "2", 0) == SARK_CACHE_OK);
        CHECK(put(cache, "c", "3", 0) == SARK_CACHE_OK && get_is(cache, "a", "1"));
        CHECK(put(cache, "d", "4", 0) == SARK_CACHE_OK && peek_is(cache, "b", NULL));
        CHECK(put(cache, "e", "5", 0) == SARK_CACHE_OK && peek_is(cache, "c", NULL));
        CHECK(peek_is(cache, "a", "1") && peek_is(cache, "d", "4") && peek_is(cache, "e", "5"));
        FINISH(cache);
    }
#endif
}

TEST(no_memory)
{
    fake_reset();
    fake.calloc_fails = true;
    sark_cache_config config = {.max_entries = 100};
    CHECK(create_gives(&config, SARK_CACHE_NO_MEMORY));
    config = counted_config();
    CHECK(create_gives(&config, SARK_CACHE_OK)); /* which does not need calloc */
}

/* ---- Clocks --------------------------------------------------------------------------------- */

TEST(no_clock_at_creation)
{
    fake_reset();
    fake.fine_fails = fake.coarse_fails = fake.resolution_fails = true;
    sark_cache_config config = counted_config();
    config.latency_sample_every = 1;
    sark_cache *cache = NULL;
    sark_cache_status status = sark_cache_create(&cache, &config);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_SYSTEM_ERROR);
    if (!cache) return;
    CHECK(put(cache, "k", "value", 0) == SARK_CACHE_OK && get_is(cache, "k", "value"));
    CHECK(put(cache, "ttl", "value", 5) == SARK_CACHE_SYSTEM_ERROR);
    (void)metrics_of(cache);
    fake_reset();
    CHECK(put(cache, "ttl", "value", 5) == SARK_CACHE_OK && get_is(cache, "ttl", "value"));
    fake.mutexes = fake.conditions = 0;
    FINISH(cache);
}

/* Either clock, or both: entries with a deadline are misses, others are served. */
TEST(clocks_that_fail)
{
    for (int which = 1; which <= 3; which++) {
        fake_reset();
        sark_cache_config config = counted_config();
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "ttl", "v", 100) == SARK_CACHE_OK);
        CHECK(put(cache, "none", "v", 0) == SARK_CACHE_OK);
        fake.fine_fails = which & 1;
        fake.coarse_fails = which & 2;
        CHECK(get_is(cache, "none", "v") && ttl_of(cache, "none") == SARK_CACHE_NO_EXPIRY);
        if (fake.coarse_fails) CHECK(get_is(cache, "ttl", NULL) && peek_is(cache, "ttl", NULL));
        if (fake.coarse_fails) CHECK(contains(cache, "ttl") == SARK_CACHE_MISS);
        if (fake.fine_fails) CHECK(put(cache, "none", "w", 50) == SARK_CACHE_SYSTEM_ERROR);
        if (fake.fine_fails) CHECK(put(cache, "new", "w", 50) == SARK_CACHE_SYSTEM_ERROR);
        if (fake.fine_fails)
            CHECK(sark_cache_touch(cache, "none", 4, 50) == SARK_CACHE_SYSTEM_ERROR);
        CHECK(put(cache, "more", "v", 0) == SARK_CACHE_OK && get_is(cache, "more", "v"));
        if (fake.coarse_fails) CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
        CHECK(holds(cache));
        fake.fine_fails = fake.coarse_fails = false;
        pass_ns(50000000);
        CHECK(get_is(cache, "ttl", "v") && get_is(cache, "none", "v"));
        CHECK(contains(cache, "new") == SARK_CACHE_MISS);
        FINISH(cache);
    }
}

/* A cleanup thread that cannot tell the time sleeps all the same, and ends when it should. */
TEST(the_cleanup_thread_without_a_clock)
{
    fake_reset();
    fake.fine_fails = fake.coarse_fails = fake.real_clock = true;
    sark_cache_config config = counted_config();
    config.cleanup_interval_ms = 5;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    struct timespec pause = {0, 200000000};
    CHECK(put(cache, "none", "v", 0) == SARK_CACHE_OK);
    while (nanosleep(&pause, &pause) != 0) {} /* signals end it early */
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.cleanup_thread_running && metrics.cleanup_runs > 0);
    CHECK(metrics.cleanup_runs < 1000); /* 40, and more where the pause took longer */
    if (metrics.cleanup_runs >= 1000) printf("  %" PRIu64 " runs\n", metrics.cleanup_runs);
    CHECK(get_is(cache, "none", "v"));
    FINISH(cache);
}

/* Where the clock fails while the cleanup runs, or before, that run takes no time. */
TEST(cleanups_that_cannot_be_timed)
{
    for (int works = 1; works <= 3; works++) {
        fake_reset();
        fake.real_clock = true;
        fake.boot_works = works;
        sark_cache_config config = counted_config();
        config.cleanup_interval_ms = 1;
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        struct timespec pause = {0, 5000000};
        for (int i = 0; i < 1000 && metrics_of(cache).cleanup_runs < 10; i++)
            (void)nanosleep(&pause, NULL);
        sark_cache_metrics metrics = metrics_of(cache);
        CHECK(metrics.cleanup_runs >= 10);
        CHECK(metrics.cleanup_last_us < 30000000 && metrics.cleanup_total_us < 30000000);
        FINISH(cache);
    }
}

/* The clock without the time asleep fails alone: how long that was cannot be told, so entries with
   a deadline are misses until it can. */
TEST(the_clock_of_the_time_awake_fails)
{
    fake_reset();
    sark_cache_config config = counted_config();
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "ttl", "v", 1000) == SARK_CACHE_OK && put(cache, "none", "v", 0) == 0);
    CHECK(get_is(cache, "ttl", "v"));
    fake.awake_fails = true;
    pass_ns(20000000);
    CHECK(get_is(cache, "ttl", NULL) && get_is(cache, "none", "v"));
    CHECK(put(cache, "k", "v", 50) == SARK_CACHE_OK && ttl_of(cache, "k") == 50);
    CHECK(holds(cache));
    fake.awake_fails = false;
    CHECK(get_is(cache, "ttl", "v") && get_is(cache, "k", "v"));
    FINISH(cache);
}

static _Atomic(bool) is_reporting, may_return;

static void report_slowly(void *context, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes, (void)cause;
    is_reporting = true;
    while (!may_return) sched_yield();
}

static void *clear_all(void *context)
{
    sark_cache_clear(context);
    return NULL;
}

/* An insert needs memory that a callback under way holds for long: in the end it gives up. Here its
   waits are over at once. */
TEST(memory_that_does_not_come_back)
{
    static const char value[40000];
    fake_reset();
    fake.awake_fails = fake.naps_end = true;
    is_reporting = may_return = false;
    sark_cache_config config = {.max_entries = 10, .max_bytes = 64 << 10};
    config.on_remove = report_slowly;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(sark_cache_set(cache, "k", 1, value, sizeof value, 0) == SARK_CACHE_OK);
    pthread_t thread;
    REQUIRE((pthread_create)(&thread, NULL, clear_all, cache) == 0);
    while (!is_reporting) sched_yield();
    CHECK(sark_cache_set(cache, "k", 1, value, sizeof value, 0) == SARK_CACHE_BUSY);
    CHECK(put(cache, "small", "v", 0) == SARK_CACHE_OK);
    may_return = true;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(sark_cache_set(cache, "k", 1, value, sizeof value, 0) == SARK_CACHE_OK);
    CHECK(get_is(cache, "small", "v"));
    FINISH(cache);
}

/* With a touch interval each entry has room for a deadline. Where the clock fails, those that have
   none are served nevertheless, and each hit is a touch. */
TEST(a_touch_interval_without_a_clock)
{
    fake_reset();
    sark_cache_config config = counted_config();
    config.max_entries = 2;
    config.touch_interval_ms = 1000;
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "a", "1", 0) == SARK_CACHE_OK && put(cache, "b", "2", 0) == SARK_CACHE_OK);
    CHECK(get_is(cache, "a", "1")); /* within the interval */
    CHECK(put(cache, "c", "3", 0) == SARK_CACHE_OK && peek_is(cache, "a", NULL));
    fake.coarse_fails = true;
    CHECK(get_is(cache, "b", "2"));
    CHECK(put(cache, "d", "4", 0) == SARK_CACHE_OK);
    CHECK(peek_is(cache, "b", "2") && peek_is(cache, "c", NULL));
    FINISH(cache);
}

/* Set by the precise clock, read by the coarse one: never early, at most a tick late. */
static void ttls_by_the_clocks(sark_cache *cache, uint64_t random)
{
    for (int64_t ttl_ms = 1; ttl_ms <= 60; ttl_ms++) {
        pass_ns(random_below(&random, 20000000));
        CHECK(put(cache, "k", "v", ttl_ms) == SARK_CACHE_OK);
        int64_t deadline_ns = fake.fine_ns + ttl_ms * 1000000;
        CHECK(get_is(cache, "k", "v") && ttl_of(cache, "k") == ttl_ms);
        fake.fine_ns = deadline_ns - 1;
        CHECK(get_is(cache, "k", "v") && ttl_of(cache, "k") == 1);
        CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
        fake.fine_ns = deadline_ns + fake.tick_ns - 1;
        CHECK(get_is(cache, "k", NULL) && contains(cache, "k") == SARK_CACHE_MISS);
        CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
    }
}

TEST(never_early_and_a_tick_late_at_most)
{
    static const int64_t ticks_ns[] = {1, 1000000, 4000000, 10000000};
    for (size_t row = 0; row < 2 * sizeof ticks_ns / sizeof *ticks_ns; row++) {
        fake_reset();
        fake.tick_ns = ticks_ns[row / 2];
        fake.lag_ns = row % 2 ? fake.tick_ns : 0;
        sark_cache_config config = {.max_entries = 100};
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(metrics_of(cache).clock_tick_us == (uint64_t)(fake.tick_ns + 999) / 1000);
        ttls_by_the_clocks(cache, row);
        FINISH(cache);
    }
}

#define SECOND_NS ((int64_t)1000000000)

/* Where milliseconds or seconds pass 31 or 32 bits, by a clock that can tell them. */
TEST(ttls_across_the_marks_of_clocks)
{
    static const int64_t marks_ns[] = {
        ((int64_t)1 << 31) * 1000000, ((int64_t)1 << 32) * 1000000,
        ((int64_t)1 << 31) * SECOND_NS, ((int64_t)1 << 32) * SECOND_NS, (int64_t)1 << 62};
    for (size_t row = 0; row < 2 * sizeof marks_ns / sizeof *marks_ns; row++) {
        int64_t seconds = marks_ns[row / 2] / SECOND_NS;
        if ((time_t)seconds != seconds) continue;
        fake_reset();
        sark_cache_config config = {.max_entries = 100};
        fake.fine_ns = marks_ns[row / 2] - SECOND_NS;
        fake.asleep_ns = row % 2 ? SECOND_NS / 2 : 0; /* one clock passes the mark first */
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        if (!fake.asleep_ns) ttls_by_the_clocks(cache, row);
        for (int64_t passed_ms = 0; passed_ms < 2000; passed_ms += 20, pass_ns(20000000)) {
            CHECK(put(cache, "k", "v", 100) == SARK_CACHE_OK && get_is(cache, "k", "v"));
            CHECK(put(cache, "l", "v", 2000 - passed_ms + 100) == SARK_CACHE_OK);
            if (passed_ms == 0) CHECK(put(cache, "m", "v", 2000) == SARK_CACHE_OK);
            CHECK(get_is(cache, "m", "v") && ttl_of(cache, "m") == 2000 - passed_ms);
            CHECK(ttl_of(cache, "l") == 2000 - passed_ms + 100);
        }
        pass_ns(20000000);
        CHECK(get_is(cache, "m", NULL) && get_is(cache, "k", "v") && get_is(cache, "l", "v"));
        CHECK(fake.fine_ns > marks_ns[row / 2] && sark_cache_cleanup_expired(cache, 0) == 1);
        FINISH(cache);
    }
}

/* Where time_t has 32 bits the clocks fail from 2^31 s on: what has a deadline is a miss then, and
   never comes back. */
TEST(seconds_that_pass_31_bits)
{
    for (int64_t ahead_ns = 0; ahead_ns <= SECOND_NS; ahead_ns += SECOND_NS) {
        fake_reset();
        fake.narrow_time = true;
        fake.fine_ns = ((int64_t)1 << 31) * SECOND_NS - SECOND_NS / 10 - ahead_ns;
        fake.asleep_ns = ahead_ns; /* then only the clock since boot fails */
        sark_cache_config config = counted_config();
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "ttl", "v", 1000) == SARK_CACHE_OK);
        CHECK(put(cache, "none", "v", 0) == SARK_CACHE_OK && get_is(cache, "ttl", "v"));
        for (int step = 0; step < 40; step++) {
            pass_ns(SECOND_NS / 20);
            bool works = step < 1;
            CHECK(get_is(cache, "ttl", works ? "v" : NULL) && get_is(cache, "none", "v"));
            CHECK(put(cache, "new", "v", 10) == (works ? SARK_CACHE_OK : SARK_CACHE_SYSTEM_ERROR));
            CHECK((ttl_of(cache, "ttl") > 0) == works && sark_cache_size(cache) == 3);
            CHECK(sark_cache_cleanup_expired(cache, 0) == 0);
            CHECK(holds(cache));
        }
        CHECK(sark_cache_clear(cache) == 3);
        FINISH(cache);
    }
}

/* Only the clock of the time since boot goes on while the machine is asleep. Readers notice within
   10 ms and a tick; what reads the precise clock notices at once. */
TEST(time_asleep_counts)
{
    for (int64_t asleep_s = 1; asleep_s <= 1000; asleep_s *= 10) {
        fake_reset();
        fake.asleep_ns = -500 * asleep_s; /* in a time namespace that clock may be behind */
        int64_t second_ns = 1000000000, ttl_ms = asleep_s * 1000;
        sark_cache_config config = {.max_entries = 100};
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        CHECK(put(cache, "short", "v", ttl_ms) == SARK_CACHE_OK);
        CHECK(put(cache, "long", "w", ttl_ms + 1000) == SARK_CACHE_OK);
        CHECK(get_is(cache, "short", "v") && get_is(cache, "long", "w"));
        fake.asleep_ns += asleep_s * second_ns;
        CHECK(ttl_of(cache, "long") == 1000);
        pass_ns(10000000 + fake.tick_ns);
        CHECK(get_is(cache, "short", NULL) && get_is(cache, "long", "w"));
        CHECK(sark_cache_cleanup_expired(cache, 0) == 1);
        CHECK(put(cache, "new", "x", 500) == SARK_CACHE_OK);
        fake.asleep_ns += second_ns / 4;
        pass_ns(10000000 + fake.tick_ns);
        CHECK(get_is(cache, "new", "x") && get_is(cache, "long", "w"));
        fake.asleep_ns += second_ns / 4;
        pass_ns(10000000 + fake.tick_ns);
        CHECK(get_is(cache, "new", NULL) && get_is(cache, "long", "w"));
        fake.asleep_ns += second_ns / 2;
        pass_ns(10000000 + fake.tick_ns);
        CHECK(get_is(cache, "long", NULL));
        FINISH(cache);
    }
}

/* Where the clock of the time since boot begins to fail, or the other goes back, nothing that has
   expired is returned. */
TEST(time_asleep_by_clocks_that_misbehave)
{
    fake_reset();
    sark_cache_config config = {.max_entries = 100};
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    CHECK(put(cache, "k", "v", 60000) == SARK_CACHE_OK && get_is(cache, "k", "v"));
    fake.fine_ns -= (int64_t)500 * 1000000000;
    fake.asleep_ns += (int64_t)561 * 1000000000;
    CHECK(get_is(cache, "k", NULL));
    CHECK(put(cache, "k", "v", 60000) == SARK_CACHE_OK && get_is(cache, "k", "v"));
    CHECK(put(cache, "none", "w", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
    pass_ns(20000000);
    fake.fine_fails = true;
    CHECK(get_is(cache, "k", NULL) && get_is(cache, "none", "w"));
    fake.fine_fails = false;
    CHECK(get_is(cache, "k", "v"));
    FINISH(cache);
}

/* An entry that has expired by the precise clock goes first, though the coarse one lags. */
TEST(the_coarse_clock_costs_no_live_entry_its_place)
{
    fake_reset();
    sark_cache_config config = {.max_entries = 2};
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    for (int64_t ttl_ms = 1; ttl_ms <= 20; ttl_ms++) {
        CHECK(put(cache, "old", "v", 0) == SARK_CACHE_OK);
        CHECK(put(cache, "ttl", "v", ttl_ms) == SARK_CACHE_OK);
        pass_ns(ttl_ms * 1000000);
        CHECK(put(cache, "new", "v", 0) == SARK_CACHE_OK);
        CHECK(contains(cache, "old") == SARK_CACHE_OK);
        CHECK(contains(cache, "ttl") == SARK_CACHE_MISS);
        CHECK(sark_cache_clear(cache) == 2);
    }
    FINISH(cache);
}

/* ---- errno ---------------------------------------------------------------------------------- */

#define KEEPS_ERRNO(call)                                                                         \
    do {                                                                                          \
        errno = 4711;                                                                             \
        (void)(call);                                                                             \
        CHECK(errno == 4711);                                                                     \
    } while (0)

static bool visit_nothing(void *context, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes, int64_t ttl_left_ms)
{
    (void)context, (void)key, (void)key_bytes, (void)value, (void)value_bytes;
    (void)ttl_left_ms;
    return true;
}

static void every_call_keeps_errno(sark_cache *cache)
{
    char bytes[200] = "";
    int64_t ttl_ms = 0;
    sark_cache_pinned pinned;
    sark_cache_config config;
    sark_cache_metrics metrics;
    for (int round = 0; round < 3; round++) {
        for (uint32_t key = 0; key < 40; key++)
            KEEPS_ERRNO(sark_cache_set(cache, &key, sizeof key, bytes, key * 5, key % 3));
        KEEPS_ERRNO(put(cache, "k", "value", 0));
        KEEPS_ERRNO(put(cache, "k", "value", 5));
        KEEPS_ERRNO(put(cache, "k", "value", -5));
        KEEPS_ERRNO(sark_cache_get(cache, "k", 1, bytes, 100, NULL));
        KEEPS_ERRNO(sark_cache_get(cache, "k", 1, bytes, 1, NULL));
        KEEPS_ERRNO(sark_cache_get(cache, "none", 4, bytes, 1, NULL));
        KEEPS_ERRNO(sark_cache_get(cache, NULL, 4, bytes, 1, NULL));
        KEEPS_ERRNO(sark_cache_peek(cache, "k", 1, bytes, 100, NULL));
        KEEPS_ERRNO(contains(cache, "k"));
        KEEPS_ERRNO(sark_cache_ttl(cache, "k", 1, &ttl_ms));
        KEEPS_ERRNO(sark_cache_pin(cache, "k", 1, &pinned));
        KEEPS_ERRNO(sark_cache_destroy(pinned.value ? cache : NULL));
        KEEPS_ERRNO(sark_cache_unpin(cache, &pinned));
        KEEPS_ERRNO(sark_cache_unpin(cache, &pinned));
        KEEPS_ERRNO(sark_cache_add(cache, "a", 1, "v", 1, 1));
        KEEPS_ERRNO(sark_cache_replace(cache, "a", 1, "v", 1, 0));
        KEEPS_ERRNO(sark_cache_touch(cache, "a", 1, 7));
        KEEPS_ERRNO(sark_cache_take(cache, "a", 1, bytes, 10, NULL));
        KEEPS_ERRNO(drop(cache, "k"));
        KEEPS_ERRNO(sark_cache_foreach(cache, visit_nothing, NULL));
        KEEPS_ERRNO(sark_cache_check(cache, bytes, 100));
        KEEPS_ERRNO(sark_cache_size(cache));
        KEEPS_ERRNO(sark_cache_get_config(cache, &config));
        KEEPS_ERRNO(sark_cache_region_bytes(NULL));
        KEEPS_ERRNO(sark_cache_status_text(SARK_CACHE_BUSY));
        KEEPS_ERRNO(sark_cache_cause_text(SARK_CACHE_EVICTED));
        KEEPS_ERRNO((sark_cache_metrics_read(cache, &metrics), 0));
        KEEPS_ERRNO((sark_cache_metrics_reset(cache), 0));
        KEEPS_ERRNO(sark_cache_cleanup_expired(cache, 0));
        if (round) KEEPS_ERRNO(sark_cache_clear(cache));
        pass_ns(2000000);
    }
}

TEST(errno_is_left_alone)
{
    fake_reset();
    sark_cache_config config = counted_config();
    config.max_entries = 20;
    config.latency_sample_every = 1;
    for (int failing = 0; failing < 2; failing++) {
        sark_cache *cache = support_create(&config);
        REQUIRE(cache != NULL);
        fake.fine_fails = fake.coarse_fails = fake.resolution_fails = failing;
        every_call_keeps_errno(cache);
        CHECK(holds(cache));
        KEEPS_ERRNO(sark_cache_destroy(cache));
    }
}

TEST(errno_is_left_alone_at_creation_and_destruction)
{
    fake_reset();
    fake.real_clock = true;
    static unsigned char region[1 << 18];
    sark_cache_config config = {.max_entries = 100, .cleanup_interval_ms = 1000};
    for (int failing = 0; failing < 2; failing++) {
        sark_cache *cache = NULL;
        fake.thread_fails = failing;
        KEEPS_ERRNO(sark_cache_create(&cache, &config));
        REQUIRE(cache != NULL);
        KEEPS_ERRNO(sark_cache_destroy(cache));
        KEEPS_ERRNO(sark_cache_create_in(&cache, &config, region, sizeof region));
        REQUIRE(cache != NULL);
        KEEPS_ERRNO(sark_cache_destroy(cache));
        fake.open_fails = failing;
        KEEPS_ERRNO(sark_cache_create(&cache, &config));
        if (cache) KEEPS_ERRNO(sark_cache_destroy(cache));
        fake.open_fails = false;
        KEEPS_ERRNO(sark_cache_create_in(&cache, &config, region, 10));
    }
}

/* A signal does not end a nap: who waits for memory counts them. */
TEST(naps_go_on_after_signals)
{
    fake_reset();
    fake.naps_end = true;
    fake.naps_interrupted = 5;
    errno = 7;
    sarki_nap(1000000);
    CHECK(fake.naps_interrupted == 0 && fake.last_nap_ns == 1000000 - 4 * 1000 && errno == 7);
    fake.naps_fail = true;
    sarki_nap(1000000);
    CHECK(errno == 7);
}

int main(void)
{
    RUN(no_random_source);
    RUN(a_random_source_that_fails);
    RUN(a_random_source_that_stutters);
    RUN(no_thread_for_the_cleanup);
    RUN(a_thread_for_the_cleanup);
    RUN(each_mutex_and_condition_fails_once);
    RUN(attributes_that_fail);
    RUN(processors_decide_the_shards);
    RUN(no_counter_of_the_processor);
    RUN(no_memory);
    RUN(no_clock_at_creation);
    RUN(clocks_that_fail);
    RUN(the_cleanup_thread_without_a_clock);
    RUN(cleanups_that_cannot_be_timed);
    RUN(the_clock_of_the_time_awake_fails);
    RUN(memory_that_does_not_come_back);
    RUN(a_touch_interval_without_a_clock);
    RUN(never_early_and_a_tick_late_at_most);
    RUN(ttls_across_the_marks_of_clocks);
    RUN(seconds_that_pass_31_bits);
    RUN(time_asleep_counts);
    RUN(time_asleep_by_clocks_that_misbehave);
    RUN(the_coarse_clock_costs_no_live_entry_its_place);
    RUN(errno_is_left_alone);
    RUN(errno_is_left_alone_at_creation_and_destruction);
    RUN(naps_go_on_after_signals);
    return test_summary();
}
