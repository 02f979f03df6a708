/* A serial scheduler with a seed, for threads that are contexts of one thread of the system.

   Burckhardt, Kothari, Musuvathi, Nagarakatte: A randomized scheduler with probabilistic guarantees
   of finding bugs (ASPLOS 2010). Each thread has a random priority, and the one with the highest
   that can run does so. At a few random points the running thread's priority drops below all
   others. A bug that needs d threads' steps in one order is met with a probability of at least
   1 / (threads * points^(d-1)) a schedule, mostly with a far larger one.

   Points are before and after each atomic operation, and at each call that locks, waits, wakes,
   starts or ends a thread: see model.h. The same seed gives the same schedule.

   The program's own thread is number 0. It prepares, starts the others, arms the scheduler, joins
   them, and checks; nothing preempts it. A failure ends the process. */

#ifndef SARK_SCHEDULE_SCHEDULER_H
#define SARK_SCHEDULE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "threads.h"

#if defined(__SANITIZE_ADDRESS__)
#define SCHEDULE_TELLS_SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#define SCHEDULE_NOT_HERE "ThreadSanitizer takes all its threads for one"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCHEDULE_TELLS_SANITIZER 1
#elif __has_feature(thread_sanitizer)
#define SCHEDULE_NOT_HERE "ThreadSanitizer takes all its threads for one"
#endif
#endif
#ifdef SCHEDULE_TELLS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

enum {
    SCHEDULE_THREADS = 6, /* the program's own included */
    SCHEDULE_CHANGES = 3, /* points at which the running thread's priority drops */
    SCHEDULE_EVENTS = SCHEDULE_CHANGES + 1,
    SCHEDULE_STACK_BYTES = 256 << 10
};

#define SCHEDULE_LIMIT 300000 /* points after which a schedule is taken for one without an end */
#define SCHEDULE_NEVER (INT64_MAX / 2)

typedef enum schedule_state {
    SCHEDULE_READY,
    SCHEDULE_BLOCKED, /* by a lock, or a thread that is joined */
    SCHEDULE_WAITING, /* for a condition */
    SCHEDULE_TIMED,   /* for a condition, or for the time to pass */
    SCHEDULE_ENDED
} schedule_state;

typedef struct schedule_thread {
    ucontext_t context;
    void *(*body)(void *);
    void *argument;
    schedule_state state;
    uint32_t priority;
    const void *waits_for;
    void *fake_stack; /* AddressSanitizer's */
    const void *stack;
    size_t stack_bytes;
} schedule_thread;

/* What happens at a point. */
typedef struct schedule_event {
    int64_t at;
    bool is_leap; /* of the time; else a change of priorities */
} schedule_event;

static struct schedule {
    int64_t points_left; /* to the next event */
    int64_t points;      /* passed when the last event came */
    int64_t distance;    /* from the last event to the next */
    uint32_t running, count;
    uint32_t lowest; /* the next priority below all others */
    uint32_t event_count, next_event;
    uint64_t random;
    uint64_t seed;
    int64_t now_ns, leap_ns; /* the time; by how much it leaps once; 0: it does not */
    uint64_t counter;        /* the processor's */
    int64_t process;         /* its number: 1, or 2 in the child of a fork */
    bool is_armed, is_told;  /* events come; switches are printed */
    const char *name;        /* of the scenario */
    schedule_event events[SCHEDULE_EVENTS];
    schedule_thread threads[SCHEDULE_THREADS];
} schedule;

static unsigned char schedule_stacks[SCHEDULE_THREADS][SCHEDULE_STACK_BYTES]
    __attribute__((aligned(64)));

/* Ends the process with the seed that repeats the failure. */
static void schedule_fail(const char *why)
{
    printf("FAIL %s seed %llu: %s\n", schedule.name, (unsigned long long)schedule.seed, why);
    fflush(stdout);
    _exit(1);
}

static inline void schedule_require(bool condition, const char *why)
{
    if (!condition) schedule_fail(why);
}

static uint32_t schedule_below(uint32_t bound)
{
    return (uint32_t)test_below(&schedule.random, bound);
}

/* ---- Switching ------------------------------------------------------------------------------- */

static inline void schedule_leaving(schedule_thread *from, const schedule_thread *to)
{
#ifdef SCHEDULE_TELLS_SANITIZER
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#else
    (void)from, (void)to;
#endif
}

/* The first switch away from thread 0 tells where its stack is. */
static inline void schedule_arrived(schedule_thread *to)
{
#ifdef SCHEDULE_TELLS_SANITIZER
    schedule_thread *own = &schedule.threads[0];
    const void *stack = NULL;
    size_t stack_bytes = 0;
    __sanitizer_finish_switch_fiber(to->fake_stack, &stack, &stack_bytes);
    if (!own->stack) {
        own->stack = stack;
        own->stack_bytes = stack_bytes;
    }
#else
    (void)to;
#endif
}

/* The thread with the highest priority of those in a state; NULL: there is none. */
static schedule_thread *schedule_best(schedule_state state)
{
    schedule_thread *best = NULL;
    for (uint32_t i = 0; i < schedule.count; i++) {
        schedule_thread *thread = &schedule.threads[i];
        if (thread->state == state && (!best || thread->priority > best->priority)) best = thread;
    }
    return best;
}

static int64_t schedule_points(void)
{
    return schedule.points + schedule.distance - schedule.points_left;
}

/* Lets the thread run that is to run now. Time passes where nothing else can be done. */
static void schedule_switch(void)
{
    schedule_thread *from = &schedule.threads[schedule.running];
    schedule_thread *to = schedule_best(SCHEDULE_READY);
    if (!to) to = schedule_best(SCHEDULE_TIMED);
    if (!to) schedule_fail("deadlock: no thread can run");
    to->state = SCHEDULE_READY;
    if (to == from) return;
    schedule.running = (uint32_t)(to - schedule.threads);
    if (schedule.is_told)
        printf("  point %lld: thread %d, then %d\n", (long long)schedule_points(),
               (int)(from - schedule.threads), (int)schedule.running);
    schedule_leaving(from, to);
    swapcontext(&from->context, &to->context);
    schedule_arrived(from);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void schedule_next_event(void)
{
    int64_t at = SCHEDULE_LIMIT;
    schedule.points += schedule.distance;
    if (schedule.next_event < schedule.event_count) at = schedule.events[schedule.next_event].at;
    if (at <= schedule.points) at = schedule.points + 1; /* one event at a point */
    schedule.distance = schedule.points_left = at - schedule.points;
}

/* Ends the waits for conditions: time has passed, and a wait may also end without a cause. */
static void schedule_end_waits(void)
{
    for (uint32_t i = 0; i < schedule.count; i++) {
        schedule_state state = schedule.threads[i].state;
        if (state == SCHEDULE_TIMED || state == SCHEDULE_WAITING)
            schedule.threads[i].state = SCHEDULE_READY;
    }
}

/* What happens at this point; then the points to the next are counted. */
__attribute__((noinline)) static void schedule_event_comes(void)
{
    if (schedule.next_event == schedule.event_count) schedule_fail("it goes on for ever");
    const schedule_event *event = &schedule.events[schedule.next_event++];
    bool is_leap = event->is_leap;
    schedule_next_event();
    if (is_leap) {
        schedule.now_ns += schedule.leap_ns;
        schedule.leap_ns = 0;
        return;
    }
    if (schedule.running > 0) schedule.threads[schedule.running].priority = schedule.lowest--;
    if (schedule_below(2)) schedule_end_waits();
    schedule_switch();
}

/* A scheduling point. */
static inline void schedule_point(void)
{
    if (__builtin_expect(--schedule.points_left == 0, 0)) schedule_event_comes();
}

static void schedule_add_event(int64_t at, bool is_leap)
{
    uint32_t i = schedule.event_count++;
    for (; i > 0 && schedule.events[i - 1].at > at; i--)
        schedule.events[i] = schedule.events[i - 1];
    schedule.events[i] = (schedule_event){at, is_leap};
}

/* From here on events come, within so many points; 0: none comes. */
static void schedule_arm(int64_t length)
{
    for (uint32_t i = 0; length > 0 && i < SCHEDULE_CHANGES; i++)
        schedule_add_event(1 + schedule_below((uint32_t)length), false);
    if (length > 0 && schedule.leap_ns > 0)
        schedule_add_event(1 + schedule_below((uint32_t)length), true);
    schedule.is_armed = true;
    schedule.points = schedule.distance = schedule.points_left = 0;
    schedule_next_event();
}

/* No event comes any more; the time leaps now if it has not. Threads that can run do so until they
   wait. Returns the points passed. */
static int64_t schedule_disarm(void)
{
    int64_t points = schedule_points();
    schedule.is_armed = false;
    schedule.points_left = schedule.distance = SCHEDULE_NEVER;
    schedule_switch();
    schedule.now_ns += schedule.leap_ns;
    schedule.leap_ns = 0;
    return points;
}

/* Begins a schedule: thread 0 alone. */
static void schedule_begin(uint64_t seed)
{
    for (uint32_t i = 1; i < schedule.count; i++)
        schedule_require(schedule.threads[i].state == SCHEDULE_ENDED, "a thread was not joined");
    schedule.seed = seed;
    schedule.random = seed * 0x9E3779B97F4A7C15u;
    schedule.count = 1;
    schedule.running = schedule.event_count = schedule.next_event = 0;
    schedule.lowest = SCHEDULE_CHANGES;
    schedule.points = 0;
    schedule.points_left = schedule.distance = SCHEDULE_NEVER;
    schedule.now_ns = 1000000000;
    schedule.leap_ns = 0;
    schedule.counter = 1 << 20;
    schedule.process = 1;
    schedule.is_armed = false;
    schedule.threads[0].state = SCHEDULE_READY;
    schedule.threads[0].priority = 0;
}

/* ---- Blocking -------------------------------------------------------------------------------- */

/* The running thread stops until what it waits for is woken. */
static void schedule_stop(schedule_state state, const void *waits_for)
{
    schedule_thread *self = &schedule.threads[schedule.running];
    self->waits_for = waits_for;
    self->state = state;
    schedule_switch();
    self->waits_for = NULL;
}

/* Lets those run that wait for this; does not switch. */
static void schedule_release(const void *waited_for)
{
    for (uint32_t i = 0; i < schedule.count; i++) {
        schedule_thread *thread = &schedule.threads[i];
        if (thread->waits_for == waited_for && thread->state != SCHEDULE_ENDED)
            thread->state = SCHEDULE_READY;
    }
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* A context serves for all schedules: making one costs more than running it, with sanitizers. */
static void schedule_thread_main(void)
{
    schedule_thread *self = &schedule.threads[schedule.running];
    schedule_arrived(self);
    for (;;) {
        self->body(self->argument);
        self->state = SCHEDULE_ENDED;
        schedule_release(self);
        schedule_switch();
    }
}

static void schedule_make_context(schedule_thread *thread, unsigned char *stack)
{
    thread->stack = stack;
    thread->stack_bytes = SCHEDULE_STACK_BYTES;
    getcontext(&thread->context);
    thread->context.uc_stack.ss_sp = stack;
    thread->context.uc_stack.ss_size = SCHEDULE_STACK_BYTES;
    thread->context.uc_link = NULL;
    makecontext(&thread->context, schedule_thread_main, 0);
}

/* Starts a thread, with a random priority. Returns its number. */
static uint32_t schedule_start(void *(*body)(void *), void *argument)
{
    schedule_require(schedule.count < SCHEDULE_THREADS, "too many threads");
    uint32_t number = schedule.count++;
    schedule_thread *thread = &schedule.threads[number];
    thread->body = body;
    thread->argument = argument;
    thread->state = SCHEDULE_READY;
    thread->priority = (1 + schedule_below(1 << 16)) * 8 + number; /* above all that have dropped */
    thread->waits_for = NULL;
    if (!thread->stack) schedule_make_context(thread, schedule_stacks[number]);
    if (schedule.is_armed) schedule_switch();
    return number;
}

static void schedule_join(uint32_t number)
{
    schedule_thread *thread = &schedule.threads[number];
    schedule_point();
    while (thread->state != SCHEDULE_ENDED) schedule_stop(SCHEDULE_BLOCKED, thread);
    schedule_point();
}

/* ---- Forks ----------------------------------------------------------------------------------- */

/* What the other threads and the events were about. */
typedef struct schedule_others {
    schedule_state states[SCHEDULE_THREADS];
    const void *wait_for[SCHEDULE_THREADS];
    int64_t points_left, points, distance;
} schedule_others;

/* From here on the running thread is in the child of a fork, where there is no other: none runs,
   and none of their waits is seen. */
static void schedule_enter_child(schedule_others *others)
{
    others->points_left = schedule.points_left;
    others->points = schedule.points;
    others->distance = schedule.distance;
    schedule.points_left = schedule.distance = SCHEDULE_NEVER;
    schedule.process = 2;
    for (uint32_t i = 0; i < schedule.count; i++) {
        schedule_thread *thread = &schedule.threads[i];
        others->states[i] = thread->state;
        others->wait_for[i] = thread->waits_for;
        if (i == schedule.running) continue;
        thread->state = SCHEDULE_ENDED;
        thread->waits_for = NULL;
    }
}

/* From here on it is in the parent, right after the fork. */
static void schedule_leave_child(const schedule_others *others)
{
    for (uint32_t i = 0; i < schedule.count; i++) {
        schedule.threads[i].state = others->states[i];
        schedule.threads[i].waits_for = others->wait_for[i];
    }
    schedule.process = 1;
    schedule.points_left = others->points_left;
    schedule.points = others->points;
    schedule.distance = others->distance;
}

#endif
