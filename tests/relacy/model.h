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

static void model_unknow_all()
{
    memset(model_objects, 0, sizeof model_objects);
    model_known_count = 0;
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

/* Which use of the vocabulary is weakened, for the mutation of orders: RELACY_WEAKEN in the
   environment is "OPERATION FIRST LAST ORDER", where the operation is a name such as
   load32_seq_cst, and the others are the lines between which it stands, and its order then. */
static struct model_weakened {
    char operation[32], order[16];
    unsigned first, last;
    unsigned long uses; /* how often it ran */

    model_weakened()
    {
        const char *text = getenv("RELACY_WEAKEN");
        operation[0] = order[0] = 0;
        first = last = 0;
        uses = 0;
        if (!text || sscanf(text, "%31s %u %u %15s", operation, &first, &last, order) == 4) return;
        fprintf(stderr, "RELACY_WEAKEN is \"%s\"\n", text);
        exit(2);
    }
} weakened;

static inline rl::memory_order model_order(const char *operation, rl::memory_order order,
                                           unsigned line)
{
    model_weakened *weak = &weakened;
    if (line < weak->first || line > weak->last) return order;
    if (strcmp(operation, weak->operation) != 0) return order;
    weak->uses++;
    if (strcmp(weak->order, "acq_rel") == 0) return rl::mo_acq_rel;
    if (strcmp(weak->order, "acquire") == 0) return rl::mo_acquire;
    if (strcmp(weak->order, "release") == 0) return rl::mo_release;
    return rl::mo_relaxed;
}

template <typename T>
static inline bool model_cas(const model_cell<rl::atomic<T> > *cell, T from, T to,
                             rl::memory_order order, rl::debug_info_param at)
{
    return model_of(*cell).compare_exchange_strong(from, to, order, at, rl::mo_relaxed, at);
}

/* Macros, so that they know the line of the header. */
#define MODEL_AT(operation, order) model_order(#operation "_" #order, rl::mo_##order, __LINE__), $
#define MODEL_LOAD(op, order, cell) model_of(*(cell)).load(MODEL_AT(op, order))
#define MODEL_STORE(op, order, cell, value) model_of(*(cell)).store(value, MODEL_AT(op, order))
#define MODEL_CAS(T, op, order, cell, from, to) \
    model_cas<T>(cell, from, to, MODEL_AT(op, order))
#define MODEL_RMW(method, op, order, cell, value) \
    model_of(*(cell)).method(value, MODEL_AT(op, order))

#define sarki_load32_relaxed(cell) MODEL_LOAD(load32, relaxed, cell)
#define sarki_load32_acquire(cell) MODEL_LOAD(load32, acquire, cell)
#define sarki_load32_seq_cst(cell) MODEL_LOAD(load32, seq_cst, cell)
#define sarki_store32_relaxed(cell, value) MODEL_STORE(store32, relaxed, cell, value)
#define sarki_store32_release(cell, value) MODEL_STORE(store32, release, cell, value)
#define sarki_store32_seq_cst(cell, value) MODEL_STORE(store32, seq_cst, cell, value)
#define sarki_cas32_relaxed(cell, from, to) MODEL_CAS(uint32_t, cas32, relaxed, cell, from, to)
#define sarki_cas32_acquire(cell, from, to) MODEL_CAS(uint32_t, cas32, acquire, cell, from, to)
#define sarki_cas32_seq_cst(cell, from, to) MODEL_CAS(uint32_t, cas32, seq_cst, cell, from, to)
#define sarki_add32_relaxed(cell, value) MODEL_RMW(fetch_add, add32, relaxed, cell, value)
#define sarki_add32_seq_cst(cell, value) MODEL_RMW(fetch_add, add32, seq_cst, cell, value)
#define sarki_sub32_relaxed(cell, value) MODEL_RMW(fetch_sub, sub32, relaxed, cell, value)
#define sarki_sub32_seq_cst(cell, value) MODEL_RMW(fetch_sub, sub32, seq_cst, cell, value)
#define sarki_xor32_relaxed(cell, value) MODEL_RMW(fetch_xor, xor32, relaxed, cell, value)
#define sarki_loadword_relaxed(cell) MODEL_LOAD(loadword, relaxed, cell)
#define sarki_storeword_release(cell, value) MODEL_STORE(storeword, release, cell, value)
#define sarki_casword_acquire(cell, from, to) \
    MODEL_CAS(uintptr_t, casword, acquire, cell, from, to)
#define sarki_load64_relaxed(cell) MODEL_LOAD(load64, relaxed, cell)
#define sarki_load64_acquire(cell) MODEL_LOAD(load64, acquire, cell)
#define sarki_load64_seq_cst(cell) MODEL_LOAD(load64, seq_cst, cell)
#define sarki_store64_relaxed(cell, value) MODEL_STORE(store64, relaxed, cell, value)
#define sarki_store64_seq_cst(cell, value) MODEL_STORE(store64, seq_cst, cell, value)
#define sarki_store64_release(cell, value) MODEL_STORE(store64, release, cell, value)
#define sarki_cas64_relaxed(cell, from, to) MODEL_CAS(uint64_t, cas64, relaxed, cell, from, to)
#define sarki_cas64_acquire(cell, from, to) MODEL_CAS(uint64_t, cas64, acquire, cell, from, to)
#define sarki_or64_relaxed(cell, value) MODEL_RMW(fetch_or, or64, relaxed, cell, value)
#define sarki_and64_seq_cst(cell, value) MODEL_RMW(fetch_and, and64, seq_cst, cell, value)
#define sarki_add64_relaxed(cell, value) MODEL_RMW(fetch_add, add64, relaxed, cell, value)
#define sarki_init64(cell, value) sarki_store64_relaxed(cell, value)
#define sarki_numbers_forked(cells, count) ((void)(cells), (void)(count))

/* Platform. Threads have small numbers; the stamp counter is a plain counter of the model. */

typedef model_cell<rl::mutex> sarki_mutex;
typedef model_cell<rl::condition_variable_any> sarki_condition;
typedef int sarki_thread;

static bool model_tries_fail; /* whether who only tries a lock may find it taken */
static uint64_t model_counter;
static int64_t model_now_ns = 1000000, model_asleep_ns;

static inline void sarki_prefetch(const void *) {}
static inline void sarki_prefetch_later(const void *) {}
static inline void sarki_prefetch_to_write(const void *) {}
static inline void sarki_pause() {}
static inline uint32_t sarki_processors() { return 1; }
static inline void sarki_ask_for_large_pages(void *region, uint64_t bytes)
{
    (void)region;
    (void)bytes;
}
static inline bool sarki_mutex_create(sarki_mutex *) { return true; }
static inline void sarki_mutex_destroy(sarki_mutex *) {}
static inline void sarki_lock(sarki_mutex *mutex) { model_of(*mutex).lock($); }
static inline bool sarki_try_lock(sarki_mutex *mutex)
{
    if (model_tries_fail && rl::rand(2)) return false;
    return sarki_lock(mutex), true;
}
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
static inline void sarki_wait_ms(sarki_condition *condition, sarki_mutex *mutex, uint32_t wait_ms)
{
    model_of(*condition).wait_for(model_of(*mutex), wait_ms, $);
}
static inline void sarki_nap(int64_t) { rl::yield(1, $); }
static inline int64_t sarki_process_id() { return 1; }
static inline uintptr_t sarki_thread_id() { return (rl::thread_index() + 1) * 4096u; }
static inline int64_t sarki_coarse_ns() { return model_now_ns; }
static inline int64_t sarki_asleep_ns() { return model_asleep_ns; }
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
