/* Loaded before a test program (LD_PRELOAD) by tests/signals.sh: each thread gets a signal 1,000
   times a second, by the clock, whose handler does nothing and has no SA_RESTART, so that whatever
   can be interrupted is. At the end the process writes to the file SARK_SIGNALS how many came. */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 1000000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static _Atomic(unsigned long) signals;

static void count(int signal_number)
{
    (void)signal_number;
    atomic_fetch_add(&signals, 1);
}

/* Starts the calling thread's timer. False where there is none, which costs it the signals only. */
static int start(timer_t *timer)
{
    struct itimerspec period = {{0, PERIOD_NS}, {0, PERIOD_NS}};
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMIN + 5;
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    return timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
           timer_settime(*timer, 0, &period, NULL) == 0;
}

static void stop(void *timer) { timer_delete(*(timer_t *)timer); }

typedef struct beginning {
    void *(*body)(void *);
    void *argument;
} beginning;

static void *run(void *context)
{
    beginning mine = *(beginning *)context;
    timer_t timer;
    void *result = NULL;
    free(context);
    if (!start(&timer)) return mine.body(mine.argument);
    pthread_cleanup_push(stop, &timer);
    result = mine.body(mine.argument);
    pthread_cleanup_pop(1);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    beginning *context = malloc(sizeof *context);
    if (!context) return EAGAIN;
    *context = (beginning){body, argument};
    int status = create(thread, attributes, run, context);
    if (status != 0) free(context);
    return status;
}

static void start_here(void)
{
    static timer_t timer;
    (void)start(&timer);
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count; /* no SA_RESTART */
    sigemptyset(&action.sa_mask);
    sigaction(SIGRTMIN + 5, &action, NULL);
    pthread_atfork(NULL, NULL, start_here); /* timers stay with the parent */
    start_here();
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("SARK_SIGNALS");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file < 0) return;
    dprintf(file, "%lu\n", atomic_load(&signals));
    close(file);
}
