/* Counts the calls that the cache makes to the allocator and to the locks of libc. Include it
   after every other system header and before sark_cache.h.

   Two nets: the names are macros while the header is compiled, which works everywhere; and with
   glibc and no sanitizer the program's own malloc, calloc, realloc, free, mmap and munmap stand
   in for libc's, so that what libc calls on the cache's behalf counts too. Not where TEST_STATIC
   is defined: a static libc brings its own. */

#ifndef SARK_TEST_CALLS_H
#define SARK_TEST_CALLS_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "threads.h"

/* Words: some targets have no atomics of 64 bits but in a library. */
static _Atomic(size_t) calls_memory; /* malloc and its kin, free, mmap, munmap, brk */
static _Atomic(size_t) calls_locks;  /* taking or waiting for a pthread lock */

#define CALLS_NOTE(counter) atomic_fetch_add_explicit(&(counter), 1, memory_order_relaxed)

#if defined(__GLIBC__) && defined(__LP64__) && !TEST_SANITIZED && !defined(TEST_STATIC)
#define CALLS_OWN_SYMBOLS 1

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void __libc_free(void *block);

void *malloc(size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return __libc_realloc(block, bytes);
}

void free(void *block)
{
    CALLS_NOTE(calls_memory);
    __libc_free(block);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    CALLS_NOTE(calls_memory);
    /* The address comes back as a long; no cast that -Wpedantic likes keeps it a pointer. */
    union {
        long number;
        void *pointer;
    } result;
    result.number = syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
    return result.pointer;
}

int munmap(void *address, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return (int)syscall(SYS_munmap, address, bytes);
}

#else
#define CALLS_OWN_SYMBOLS 0

static inline void *calls_malloc(size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return malloc(bytes);
}

static inline void *calls_calloc(size_t count, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return calloc(count, bytes);
}

static inline void *calls_realloc(void *block, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return realloc(block, bytes);
}

static inline void calls_free(void *block)
{
    CALLS_NOTE(calls_memory);
    free(block);
}

static inline void *calls_mmap(void *address, size_t bytes, int protection, int flags, int file,
                               off_t offset)
{
    CALLS_NOTE(calls_memory);
    return mmap(address, bytes, protection, flags, file, offset);
}

static inline int calls_munmap(void *address, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return munmap(address, bytes);
}

#define malloc calls_malloc
#define calloc calls_calloc
#define realloc calls_realloc
#define free calls_free
#define mmap calls_mmap
#define munmap calls_munmap
#endif

static inline void *calls_aligned_alloc(size_t alignment, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return aligned_alloc(alignment, bytes);
}

static inline int calls_posix_memalign(void **block, size_t alignment, size_t bytes)
{
    CALLS_NOTE(calls_memory);
    return posix_memalign(block, alignment, bytes);
}

static inline int calls_mutex_lock(pthread_mutex_t *mutex)
{
    CALLS_NOTE(calls_locks);
    return pthread_mutex_lock(mutex);
}

static inline int calls_mutex_trylock(pthread_mutex_t *mutex)
{
    CALLS_NOTE(calls_locks);
    return pthread_mutex_trylock(mutex);
}

static inline int calls_rwlock_rdlock(pthread_rwlock_t *lock)
{
    CALLS_NOTE(calls_locks);
    return pthread_rwlock_rdlock(lock);
}

static inline int calls_rwlock_wrlock(pthread_rwlock_t *lock)
{
    CALLS_NOTE(calls_locks);
    return pthread_rwlock_wrlock(lock);
}

static inline int calls_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    CALLS_NOTE(calls_locks);
    return pthread_cond_wait(cond, mutex);
}

static inline int calls_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                       const struct timespec *until)
{
    CALLS_NOTE(calls_locks);
    return pthread_cond_timedwait(cond, mutex, until);
}

#define aligned_alloc calls_aligned_alloc
#define posix_memalign calls_posix_memalign
#define pthread_mutex_lock calls_mutex_lock
#define pthread_mutex_trylock calls_mutex_trylock
#define pthread_rwlock_rdlock calls_rwlock_rdlock
#define pthread_rwlock_wrlock calls_rwlock_wrlock
#define pthread_cond_wait calls_cond_wait
#define pthread_cond_timedwait calls_cond_timedwait

static inline uint64_t calls_memory_now(void)
{
    return atomic_load(&calls_memory);
}

static inline uint64_t calls_locks_now(void)
{
    return atomic_load(&calls_locks);
}

/* Pages mapped by the process, 0 where /proc does not tell: whatever maps or unmaps changes it. */
static inline uint64_t calls_mapped_pages(void)
{
    char text[64];
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    const char *line = fgets(text, sizeof text, file);
    fclose(file);
    return line ? strtoull(line, NULL, 10) : 0;
}

#endif
