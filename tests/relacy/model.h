/* The vocabulary of sark_cache.h for Relacy (relacy-dev): the header's own code runs in a model
   of the C11 memory, which explores interleavings and the values that weak orders allow.

   A scenario includes this file first, then defines SARKI_MODEL as its name and includes the
   header. Each entry has a shadow variable for its plain bytes: reading the bytes reads it, and
   filling or freeing the entry writes it, so that a use after free, or of bytes not yet
   published, shows as a data race. */

#ifndef SARK_RELACY_MODEL_H
#define SARK_RELACY_MODEL_H

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <ostream>
#include <relacy/relacy.hpp>

#undef errno /* Relacy has one of its own, which cannot be assigned */
static int model_errno;
#define errno model_errno

#define SARKI_WIDE 1
#define SARKI_SHADOW model_shadow shadow;
#define SARKI_BYTES_READ(entry) ((void)(int)model_of((entry)->shadow)($))
#define SARKI_BYTES_WRITTEN(entry) ((void)(model_of((entry)->shadow)($) = 1))

/* A cell of shared memory stands for a Relacy object, which is found by the cell's address. The
   objects live apart, so that the header may use the memory of an entry for something else.

   All cells that were ever used are constructed when an execution begins, before its threads. A
   cell that a thread finds anew is constructed there and then; since others may take it for
   uninitialized, the search then starts again (see model_search). */
template <typename T> struct model_cell {
    uint64_t unused;
};

struct model_object {
    const void *cell; /* NULL: a free row */
    void (*construct)(void *);
    void (*destruct)(void *);
    uint64_t storage[32];
};
enum { MODEL_OBJECTS = 4096 };
static model_object model_objects[MODEL_OBJECTS];
static model_object *model_known[MODEL_OBJECTS];
static size_t model_known_count;

#pragma push_macro("new") /* Relacy's own counts allocations */
#undef new
template <typename T> static void model_construct_at(rl::atomic<T> *at)
{
    new (at) rl::atomic<T>(0);
}
template <typename T> static void model_construct_at(T *at) { new (at) T; }
#pragma pop_macro("new")

template <typename T> static void model_construct(void *at) { model_construct_at((T *)at); }
template <typename T> static void model_destruct(void *at) { ((T *)at)->~T(); }

template <typename T> static T &model_of(const model_cell<T> &cell)
{
    static_assert(sizeof(T) <= sizeof(model_object().storage), "room for the object");
    size_t row = (uintptr_t)&cell / 8 * 2654435761u % MODEL_OBJECTS;
    while (model_objects[row].cell && model_objects[row].cell != &cell)
        row = (row + 1) % MODEL_OBJECTS;
    model_object *object = &model_objects[row];
    if (!object->cell) {
        object->cell = &cell;
        object->construct = model_construct<T>;
        object->destruct = model_destruct<T>;
        model_known[model_known_count++] = object;
        model_construct<T>(object->storage);
    }
    return *(T *)object->storage;
}

static void model_begin()
{
    for (size_t i = 0; i < model_known_count; i++) {
        model_object *object = model_known[i];
        object->construct(object->storage);
    }
}

static void model_forget_all()
{
    for (size_t i = 0; i < model_known_count; i++)
        model_known[i]->destruct(model_known[i]->storage);
}

typedef model_cell<rl::atomic<uint32_t> > sarki_a32;
typedef model_cell<rl::atomic<uint64_t> > sarki_a64;
typedef model_cell<rl::atomic<uintptr_t> > sarki_aword;
typedef model_cell<rl::var<int> > model_shadow;

#define MODEL_LOAD(width, type, order, mo)                                     \
    static inline type sarki_load##width##_##order(const sarki_a##width *cell) \
    {                                                                          \
        return model_of(*cell).load(mo, $);                                    \
    }
#define MODEL_STORE(width, type, order, mo)                                           \
    static inline void sarki_store##width##_##order(sarki_a##width *cell, type value) \
    {                                                                                 \
        model_of(*cell).store(value, mo, $);                                          \
    }
#define MODEL_CAS(width, type, order, mo)                                                   \
    static inline bool sarki_cas##width##_##order(sarki_a##width *cell, type from, type to) \
    {                                                                                       \
        return model_of(*cell).compare_exchange_strong(from, to, mo, $, rl::mo_relaxed, $); \
    }
#define MODEL_RMW(name, width, type, method, order, mo)                                \
    static inline type sarki_##name##width##_##order(sarki_a##width *cell, type value) \
    {                                                                                  \
        return model_of(*cell).method(value, mo, $);                                   \
    }

MODEL_LOAD(32, uint32_t, relaxed, rl::mo_relaxed)
MODEL_LOAD(32, uint32_t, acquire, rl::mo_acquire)
MODEL_LOAD(32, uint32_t, seq_cst, rl::mo_seq_cst)
MODEL_STORE(32, uint32_t, relaxed, rl::mo_relaxed)
MODEL_STORE(32, uint32_t, release, rl::mo_release)
MODEL_STORE(32, uint32_t, seq_cst, rl::mo_seq_cst)
MODEL_CAS(32, uint32_t, relaxed, rl::mo_relaxed)
MODEL_CAS(32, uint32_t, acq_rel, rl::mo_acq_rel)
MODEL_CAS(32, uint32_t, seq_cst, rl::mo_seq_cst)
MODEL_RMW(add, 32, uint32_t, fetch_add, relaxed, rl::mo_relaxed)
MODEL_RMW(add, 32, uint32_t, fetch_add, seq_cst, rl::mo_seq_cst)
MODEL_RMW(sub, 32, uint32_t, fetch_sub, relaxed, rl::mo_relaxed)
MODEL_RMW(sub, 32, uint32_t, fetch_sub, seq_cst, rl::mo_seq_cst)
MODEL_RMW(xor, 32, uint32_t, fetch_xor, relaxed, rl::mo_relaxed)
MODEL_LOAD(word, uintptr_t, relaxed, rl::mo_relaxed)
MODEL_STORE(word, uintptr_t, release, rl::mo_release)
MODEL_CAS(word, uintptr_t, acquire, rl::mo_acquire)
MODEL_LOAD(64, uint64_t, relaxed, rl::mo_relaxed)
MODEL_LOAD(64, uint64_t, seq_cst, rl::mo_seq_cst)
MODEL_STORE(64, uint64_t, relaxed, rl::mo_relaxed)
MODEL_STORE(64, uint64_t, seq_cst, rl::mo_seq_cst)
MODEL_STORE(64, uint64_t, release, rl::mo_release)
MODEL_CAS(64, uint64_t, relaxed, rl::mo_relaxed)
MODEL_CAS(64, uint64_t, acq_rel, rl::mo_acq_rel)
MODEL_RMW(or, 64, uint64_t, fetch_or, seq_cst, rl::mo_seq_cst)
MODEL_RMW(and, 64, uint64_t, fetch_and, seq_cst, rl::mo_seq_cst)
MODEL_RMW(add, 64, uint64_t, fetch_add, relaxed, rl::mo_relaxed)
static inline void sarki_init64(sarki_a64 *cell, uint64_t value)
{
    sarki_store64_relaxed(cell, value);
}

/* Platform. Threads have small numbers; the stamp counter is a plain counter of the model. */

typedef model_cell<rl::mutex> sarki_mutex;
typedef model_cell<rl::condition_variable_any> sarki_condition;
typedef int sarki_thread;

static uint64_t model_counter;
static int64_t model_now_ns = 1000000;

static inline void sarki_prefetch(const void *) {}
static inline void sarki_prefetch_to_write(const void *) {}
static inline void sarki_pause() {}
static inline uint32_t sarki_processors() { return 1; }
static inline bool sarki_mutex_create(sarki_mutex *) { return true; }
static inline void sarki_mutex_destroy(sarki_mutex *) {}
static inline void sarki_lock(sarki_mutex *mutex) { model_of(*mutex).lock($); }
static inline bool sarki_try_lock(sarki_mutex *mutex) { return sarki_lock(mutex), true; }
static inline void sarki_unlock(sarki_mutex *mutex) { model_of(*mutex).unlock($); }
static inline bool sarki_condition_create(sarki_condition *) { return true; }
static inline void sarki_condition_destroy(sarki_condition *) {}
static inline void sarki_wake_all(sarki_condition *condition)
{
    model_of(*condition).notify_all($);
}
static inline int sarki_cancel_defer() { return 0; }
static inline void sarki_cancel_allow(int) {}
static inline void sarki_wait(sarki_condition *condition, sarki_mutex *mutex)
{
    model_of(*condition).wait(model_of(*mutex), $);
}
static inline void sarki_wait_ms(sarki_condition *condition, sarki_mutex *mutex, uint32_t)
{
    model_of(*condition).wait(model_of(*mutex), $);
}
static inline int64_t sarki_process_id() { return 1; }
static inline uintptr_t sarki_thread_id() { return (rl::thread_index() + 1) * 4096u; }
static inline int64_t sarki_coarse_ns() { return model_now_ns; }
static inline int64_t sarki_asleep_ns() { return 0; }
static inline int64_t sarki_awake_ns() { return model_now_ns; }
static inline int64_t sarki_fine_ns() { return model_now_ns; }
static inline uint64_t sarki_coarse_tick_ns() { return 1000000; }
static inline uint64_t sarki_counter() { return model_counter += 32; }
static inline int sarki_counter_shift() { return 0; }
static inline bool sarki_random(void *bytes, size_t count)
{
    memset(bytes, 7, count);
    return true;
}
static inline bool sarki_thread_start(sarki_thread *, void *(*)(void *), void *) { return false; }
static inline void sarki_thread_join(sarki_thread) {}

#endif
