/* Stand-ins for each call of the system that the cache makes. They count what is made and unmade
   and the locks that a thread holds, and fail when they are told to. The time is set by hand.

   Include it before the implementation of sark_cache.h; test.h and threads.h come before it. */

#ifndef SARK_FAULTS_H
#define SARK_FAULTS_H

#include <errno.h>
#include <fcntl.h>

typedef enum call {
    CALL_ALLOCATE, CALL_MUTEX, CALL_CONDITION, CALL_CONDITION_ATTRIBUTES, CALL_CONDITION_CLOCK,
    CALL_THREAD, CALL_THREAD_ATTRIBUTES, CALL_STACK_SIZE, CALL_CLOCK, CALL_OWN_CLOCK,
    CALL_RESOLUTION, CALL_OPEN, CALL_READ, CALL_READ_INTERRUPTED, CALL_PROCESSORS, CALL_TRY_LOCK,
    CALL_WAIT,
    CALL_KINDS /* any of them */
} call;

static const char *const call_names[CALL_KINDS + 1] = {
    "allocate", "mutex_init", "cond_init", "condattr_init", "condattr_setclock",
    "pthread_create", "attr_init", "attr_setstacksize", "clock_gettime", "config.clock",
    "clock_getres", "open", "read", "read, interrupted", "sysconf", "mutex_trylock",
    "cond_wait", "any"};

/* Which calls fail: those of a kind from number `at` on, or that one alone. */
static struct {
    call kind;
    bool for_ever;
    uint64_t at;
    _Atomic(uint64_t) calls, failures;
    _Atomic(uint32_t) failed_kinds; /* a bit for each */
} fault;

/* What was made and not yet unmade. */
static struct {
    _Atomic(int) regions, mutexes, conditions, condition_attributes, thread_attributes, files;
    _Atomic(int) threads;
} left;

#define BIT(kind) (UINT32_C(1) << (kind))

static _Atomic(int64_t) time_ns;
static _Thread_local bool is_watching; /* the test looks at the cache itself: nothing fails */
static bool is_child;                  /* set in one after fork: no lock fails to be made */
static _Thread_local int locks_held;

/* Whether a call is to fail; error: what it leaves in errno, 0 where it tells by its result. */
static bool fails(call kind, int error)
{
    if (is_watching || (fault.kind != kind && fault.kind != CALL_KINDS)) return false;
    if (is_child && kind >= CALL_MUTEX && kind <= CALL_CONDITION_CLOCK) return false;
    uint64_t number = atomic_fetch_add(&fault.calls, 1) + 1;
    if (number != fault.at && !(fault.for_ever && number > fault.at)) return false;
    atomic_fetch_add(&fault.failures, 1);
    atomic_fetch_or(&fault.failed_kinds, BIT(kind));
    if (error) errno = error;
    return true;
}

static void *fake_calloc(size_t count, size_t bytes)
{
    void *region = fails(CALL_ALLOCATE, ENOMEM) ? NULL : calloc(count, bytes);
    left.regions += region != NULL;
    return region;
}

static void fake_free(void *region)
{
    left.regions -= region != NULL;
    errno = ENOENT;
    free(region);
}

static int fake_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    if (fails(CALL_MUTEX, 0)) return EAGAIN;
    left.mutexes++;
    return pthread_mutex_init(mutex, attributes);
}

static int fake_mutex_destroy(pthread_mutex_t *mutex)
{
    left.mutexes--;
    int status = pthread_mutex_destroy(mutex);
    CHECK(status == 0);
    return status;
}

static int fake_mutex_lock(pthread_mutex_t *mutex)
{
    int status = pthread_mutex_lock(mutex);
    locks_held += status == 0;
    return status;
}

static int fake_mutex_trylock(pthread_mutex_t *mutex)
{
    if (fails(CALL_TRY_LOCK, 0)) return EBUSY;
    int status = pthread_mutex_trylock(mutex);
    locks_held += status == 0;
    return status;
}

static int fake_mutex_unlock(pthread_mutex_t *mutex)
{
    locks_held--;
    return pthread_mutex_unlock(mutex);
}

static int fake_condattr_init(pthread_condattr_t *attributes)
{
    if (fails(CALL_CONDITION_ATTRIBUTES, 0)) return ENOMEM;
    left.condition_attributes++;
    return pthread_condattr_init(attributes);
}

static int fake_condattr_destroy(pthread_condattr_t *attributes)
{
    left.condition_attributes--;
    return pthread_condattr_destroy(attributes);
}

static int fake_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock)
{
    return fails(CALL_CONDITION_CLOCK, 0) ? EINVAL
                                               : pthread_condattr_setclock(attributes, clock);
}

static int fake_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    if (fails(CALL_CONDITION, 0)) return EAGAIN;
    left.conditions++;
    return pthread_cond_init(condition, attributes);
}

static int fake_cond_destroy(pthread_cond_t *condition)
{
    left.conditions--;
    return pthread_cond_destroy(condition);
}

/* A wait that fails ends at once, as if it had been woken for nothing. */
static int fake_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (!fails(CALL_WAIT, 0)) return pthread_cond_wait(condition, mutex);
    pthread_mutex_unlock(mutex);
    sched_yield();
    return pthread_mutex_lock(mutex);
}

/* The time is set by hand, so a wait takes a millisecond of the real one. */
static int fake_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                               const struct timespec *until)
{
    struct timespec soon;
    if (fails(CALL_WAIT, 0) || until->tv_sec < 0) return EINVAL;
    uint64_t soon_ns = test_now_ns() + 1000000;
    soon.tv_sec = (time_t)(soon_ns / 1000000000u);
    soon.tv_nsec = (long)(soon_ns % 1000000000u);
    return pthread_cond_timedwait(condition, mutex, &soon);
}

static int fake_attr_init(pthread_attr_t *attributes)
{
    if (fails(CALL_THREAD_ATTRIBUTES, 0)) return ENOMEM;
    left.thread_attributes++;
    return pthread_attr_init(attributes);
}

static int fake_attr_destroy(pthread_attr_t *attributes)
{
    left.thread_attributes--;
    return pthread_attr_destroy(attributes);
}

static int fake_attr_setstacksize(pthread_attr_t *attributes, size_t bytes)
{
    return fails(CALL_STACK_SIZE, 0) ? EINVAL : pthread_attr_setstacksize(attributes, bytes);
}

static int fake_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                       void *argument)
{
    if (fails(CALL_THREAD, ENOMEM)) return EAGAIN;
    left.threads++;
    return pthread_create(thread, attributes, body, argument);
}

static int fake_join(pthread_t thread, void **result)
{
    left.threads--;
    return pthread_join(thread, result);
}

static int fake_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    if (fails(CALL_CLOCK, EOVERFLOW)) return -1;
    int64_t now_ns = time_ns;
    time->tv_sec = (time_t)(now_ns / 1000000000);
    time->tv_nsec = (long)(now_ns % 1000000000);
    return 0;
}

static int fake_clock_getres(clockid_t clock, struct timespec *resolution)
{
    (void)clock;
    if (fails(CALL_RESOLUTION, EINVAL)) return -1;
    *resolution = (struct timespec){.tv_nsec = 4000000};
    return 0;
}

static int fake_open(const char *path, int flags)
{
    int file = fails(CALL_OPEN, EMFILE) ? -1 : open(path, flags);
    left.files += file >= 0;
    return file;
}

/* In small parts, so that there is more than one. */
static ssize_t fake_read(int file, void *bytes, size_t count)
{
    if (fails(CALL_READ, EIO)) return -1;
    if (!fault.for_ever && fails(CALL_READ_INTERRUPTED, EINTR)) return -1;
    return read(file, bytes, count < 7 ? count : 7);
}

static int fake_close(int file)
{
    left.files--;
    close(file);
    errno = EINTR;
    return 0;
}

static long fake_sysconf(int name) { return fails(CALL_PROCESSORS, EINVAL) ? -1 : sysconf(name); }

#define calloc(count, bytes) fake_calloc((count), (bytes))
#define free(region) fake_free(region)
#define pthread_mutex_init fake_mutex_init
#define pthread_mutex_destroy fake_mutex_destroy
#define pthread_mutex_lock fake_mutex_lock
#define pthread_mutex_trylock fake_mutex_trylock
#define pthread_mutex_unlock fake_mutex_unlock
#define pthread_condattr_init fake_condattr_init
#define pthread_condattr_destroy fake_condattr_destroy
#define pthread_condattr_setclock fake_condattr_setclock
#define pthread_cond_init fake_cond_init
#define pthread_cond_destroy fake_cond_destroy
#define pthread_cond_wait fake_cond_wait
#define pthread_cond_timedwait fake_cond_timedwait
#define pthread_attr_init fake_attr_init
#define pthread_attr_destroy fake_attr_destroy
#define pthread_attr_setstacksize fake_attr_setstacksize
#define pthread_create fake_create
#define pthread_join fake_join
#define clock_gettime(clock, time) fake_clock_gettime((clock), (time))
#define clock_getres(clock, resolution) fake_clock_getres((clock), (resolution))
#define open(path, flags) fake_open((path), (flags))
#define read(file, bytes, count) fake_read((file), (bytes), (count))
#define close(file) fake_close(file)
#define sysconf(name) fake_sysconf(name)

#endif
