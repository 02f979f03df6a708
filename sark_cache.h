/* sark_cache.h - a concurrent in-process cache for C11. MIT or Unlicense, your choice (at the end).

   QUICK START

   Copy this file into your tree. In exactly one .c file define SARK_CACHE_IMPLEMENTATION
   before including it; everywhere else just include it.

       #define SARK_CACHE_IMPLEMENTATION
       #include "sark_cache.h"
       #include <stdio.h>

       int main(void)
       {
           sark_cache_config config = {.max_entries = 1000, .default_ttl_ms = 60000};
           sark_cache *cache = NULL;
           if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;

           sark_cache_set(cache, "alice", 5, "allow", 5, 0);

           char answer[16];
           size_t answer_bytes = 0;
           sark_cache_status status =
               sark_cache_get(cache, "alice", 5, answer, sizeof answer, &answer_bytes);
           if (status == SARK_CACHE_OK) printf("alice: %.*s\n", (int)answer_bytes, answer);

           return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
       }

       cc -std=gnu11 -O2 -pthread hello.c -o hello && ./hello

   WHAT IT PROMISES

   Exact LRU over the whole cache, at any number of shards: where calls do not overlap, hits,
   misses and victims are those of the textbook. A hit takes no lock. An expired entry is never
   returned, and never costs a live one its place. Entries never exceed max_entries, memory never
   exceeds max_bytes, all bookkeeping included: the cache lives in one region, taken at creation;
   after that no call allocates. An insert that fits the empty cache succeeds. Every operation on
   a key is linearizable. Each removal is reported exactly once. Keys chosen by an attacker do not
   slow it down. No writable globals, no thread-local data, no registration of threads.

   WHAT IT DOES NOT

   It is not shared between processes. It keeps no order but LRU: scans can flush it. It does not
   run on systems without POSIX threads and clocks.

   THREADS AND CALLBACKS

   Every function may be called by any thread at any time, except that nothing may run beside or
   after sark_cache_destroy. Removal callbacks and visitors run outside every lock and may call
   the cache; the clock and the allocator may not. Inside a removal callback an insert may use
   free memory and evict for its place, but does not evict for bytes (it gives SARK_CACHE_BUSY):
   the entry that is being reported still holds its memory. An insert does not end while callbacks
   put back all that it evicts. A thread may exit or be cancelled at any time: a call that has begun
   ends before. Leaving a callback or a call by longjmp, pthread_exit, an exception or asynchronous
   cancellation is forbidden, and so is allowing cancellation inside a callback. Calls from signal
   handlers are not supported; a handler that interrupts a call is harmless.

   A process that forks calls sark_cache_fork_prepare, _parent and _child around it, or does not use
   the cache in the child.

   MEMORY

   max_bytes bounds everything: tables, entries, evicted entries that are still being read. What
   an entry costs beside its key and value is told by the metric overhead_bytes_per_entry: 40
   bytes of header (60 with a TTL), some 10 of index and the rounding to 16. An entry that is
   larger than most mostly evicts a third more than its own size; what is in its way moves, and
   is not reported: where an entry lies is fixed only while it is pinned. Of libc's memory the
   system maps what is used; above 32 MiB the cache asks for large pages, where there are such on
   request. An allocator of your own decides that for itself. With config.wipe nothing stays of keys
   and values that have left; whoever takes the memory, or a picture of it, then finds zeros.

   TIME

   TTLs are milliseconds from the call that sets them. Deadlines are taken from the precise
   clock, and compared with the coarse one, near the deadline with the precise one: an entry is
   never lost before its deadline, and never returned after it plus one tick of the coarse clock
   (metric clock_tick_us). Time asleep counts; after a sleep it may take a tick and 10 ms until
   that is seen. With a clock of your own (config.clock) both are that clock. Each call looks at
   the clock for itself: of two that overlap at a deadline one may find the entry live and the
   other not, in any order. When a clock fails, entries with a deadline are misses.

   MANY AT A TIME

   get_many, set_many and delete_many take a request for each key and give an answer to each; the
   memory that these need is fetched at the same time. clear_prefix and clear_if remove what is of
   one kind, foreach shows all, hottest and coldest the ends of the order of recency: each in steps,
   between which other calls run.

   METRICS

   metrics_read fills a struct, metrics_prometheus makes text of it that a scraper reads. Neither
   blocks anybody. config.latency_sample_every adds latencies.

   ERRORS

   Codes are negative; OK, MISS and EXISTS are answers. A failed call changes nothing of its own
   key, but see BUSY at sark_cache_set. Nothing here exits, aborts, prints, or changes errno. See
   the list at sark_cache_status.

   BUILDING

   SARK_CACHE_IMPLEMENTATION   in one C file: the code as well as the declarations
   SARK_CACHE_STATIC           beside it: a private copy, whose functions are static
   SARK_CACHE_API              attributes of the public functions; default: extern
   Compile that file with -std=gnu11, or -std=c11 -D_POSIX_C_SOURCE=200809L, and -pthread. The
   declarations alone need neither, and serve C++ too. */

#ifndef SARK_CACHE_H
#define SARK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(SARK_CACHE_API) && defined(SARK_CACHE_STATIC)
#define SARK_CACHE_API static __attribute__((unused))
#elif !defined(SARK_CACHE_API)
#define SARK_CACHE_API extern
#endif

#define SARK_CACHE_VERSION_MAJOR 0
#define SARK_CACHE_VERSION_MINOR 4
#define SARK_CACHE_VERSION_PATCH 0
#define SARK_CACHE_VERSION \
    (SARK_CACHE_VERSION_MAJOR * 10000 + SARK_CACHE_VERSION_MINOR * 100 + SARK_CACHE_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status --------------------------------------------------------------------------------- */

/* What a call answers. Negative: an error, and the call changed nothing of its own key. */
typedef enum sark_cache_status {
    SARK_CACHE_OK = 0,
    SARK_CACHE_MISS = 1,                /* no live entry under this key */
    SARK_CACHE_EXISTS = 2,              /* add: a live entry is there already; compare_and_set: one
                                           of another version */
    SARK_CACHE_BAD_ARGUMENT = -1,       /* NULL where none is allowed */
    SARK_CACHE_BAD_TTL = -2,            /* a negative TTL */
    SARK_CACHE_BAD_KEY = -3,            /* a key of more than 65,535 bytes */
    SARK_CACHE_TOO_LARGE = -4,          /* the entry would not fit the empty cache */
    SARK_CACHE_SHORT_BUFFER = -5,       /* the buffer is too short; the size is told */
    SARK_CACHE_NO_MEMORY = -6,          /* create: the allocator gave no region */
    SARK_CACHE_BUSY = -7,               /* set: pins leave no gap; destroy: pins are out; both:
                                           inside a callback */
    SARK_CACHE_NO_PIN = -8,             /* all pin_count pins are out, or all of pin_max_bytes */
    SARK_CACHE_SYSTEM_ERROR = -9,       /* a clock, a mutex or another system call failed */
    SARK_CACHE_NO_RANDOM = -10,         /* create: no random source, and no hash_seed given */
    SARK_CACHE_REGION_TOO_SMALL = -11,  /* create_in: see sark_cache_region_bytes */
    SARK_CACHE_BAD_MAX_ENTRIES = -12,   /* create: this field is out of range; those below too */
    SARK_CACHE_BAD_MAX_BYTES = -13,
    SARK_CACHE_BAD_DEFAULT_TTL = -14,
    SARK_CACHE_BAD_TTL_JITTER = -15,
    SARK_CACHE_BAD_SHARD_COUNT = -16,
    SARK_CACHE_BAD_LEASE_COUNT = -17,
    SARK_CACHE_BAD_PIN_COUNT = -18,
    SARK_CACHE_BAD_ALLOCATOR = -19,
    SARK_CACHE_BAD_RESERVED = -20,      /* create: config->reserved is not zero */
    SARK_CACHE_NOT_INTEGER = -21,       /* increment: the value has not 8 bytes */
    SARK_CACHE_OVERFLOW = -22           /* increment: the sum is out of range */
} sark_cache_status;

/* SARK_CACHE_VERSION of the file that holds the implementation: another number than the caller's
   own means that the two were compiled from different headers. */
SARK_CACHE_API int sark_cache_version(void);

/* One sentence about a status, for logs. Never NULL. Threads: any. */
SARK_CACHE_API const char *sark_cache_status_text(sark_cache_status status);

/* ---- Configuration -------------------------------------------------------------------------- */

typedef struct sark_cache sark_cache;

/* A TTL that never ends. Zero means the cache's default_ttl_ms, whose own zero is "never". */
#define SARK_CACHE_NO_EXPIRY INT64_MAX

#define SARK_CACHE_MAX_KEY_BYTES 65535u

/* Why an entry left. */
typedef enum sark_cache_cause {
    SARK_CACHE_EXPIRED = 0,  /* its TTL was over, whoever removed it */
    SARK_CACHE_EVICTED = 1,  /* the least recently used, when room was needed */
    SARK_CACHE_REPLACED = 2, /* a live entry overwritten by another value */
    SARK_CACHE_DELETED = 3,  /* by delete or take */
    SARK_CACHE_CLEARED = 4,  /* by clear, clear_prefix or clear_if */
    SARK_CACHE_DESTROYED = 5
} sark_cache_cause;

/* One word for a cause. Never NULL. Threads: any. */
SARK_CACHE_API const char *sark_cache_cause_text(sark_cache_cause cause);

/* Called once for each entry that left, after it is out of reach, outside every lock, on the
   thread whose call removed it (or the cleanup thread). Key and value are valid during the call.
   Removals made inside are reported after it returns, by the same thread. */
typedef void (*sark_cache_on_remove)(void *context, const void *key, size_t key_bytes,
                                     const void *value, size_t value_bytes,
                                     sark_cache_cause cause);

/* The cache's time. now_ms returns milliseconds, a negative number where it failed. It may be
   called by several threads at once, and must not call the cache. */
typedef struct sark_cache_clock {
    int64_t (*now_ms)(void *context);
    void *context;
} sark_cache_clock;

/* Where the region comes from. allocate returns NULL or bytes aligned for max_align_t; it need not
   zero them. Called once at creation, once at destroy. Both or neither. Default: calloc, free. */
typedef struct sark_cache_allocator {
    void *(*allocate)(void *context, size_t bytes);
    void (*release)(void *context, void *region, size_t bytes);
    void *context;
} sark_cache_allocator;

/* Zero means default, everywhere. */
typedef struct sark_cache_config {
    uint64_t max_entries;           /* up to 2^31; default max_bytes / 128 */
    size_t max_bytes;               /* all memory, below 16 GiB; default 1 KiB an entry, at least
                                       1 MiB; where neither is given 64 MiB */
    int64_t default_ttl_ms;         /* for a TTL of 0; default no expiry */
    uint32_t ttl_jitter_percent;    /* 0 to 100: shortens each TTL by a random part of this share */
    uint32_t shard_count;           /* writers' locks: a power of two up to 256; default up to 16,
                                       by size and processors */
    uint32_t lease_count;           /* readers at a time without a lock: 2 to 1024; default 64, or
                                       fewer in a small region */
    uint32_t pin_count;             /* pins out at a time: up to 1024; default 16, or fewer in a
                                       small region */
    size_t pin_max_bytes;           /* memory of entries with pins out, each pin counted: so much
                                       is kept from eviction at most; 0: what pin_count allows */
    uint32_t cleanup_interval_ms;   /* 0: no cleanup thread */
    uint32_t touch_interval_ms;     /* a hit on an entry used less than so long ago does not make it
                                       the most recently used; 0: every hit does. Takes 4 bytes of
                                       an entry with a TTL, 24 of one without */
    uint32_t latency_sample_every;  /* one call in so many is timed for the histograms; 0: none */
    bool wipe;                      /* keys and values that have left are overwritten with zeros:
                                       when they leave; where they are pinned then, at the unpin;
                                       where a get is just reading them, at the next unpin or
                                       cleanup, or removal in their shard; and before their memory
                                       is used again or given back */
    sark_cache_clock clock;         /* default: CLOCK_BOOTTIME, and the coarse CLOCK_MONOTONIC */
    sark_cache_allocator allocator;
    sark_cache_on_remove on_remove; /* default: none */
    void *on_remove_context;
    uint64_t hash_seed;             /* for tests that must repeat, as the clock does too (jitter
                                       comes of both); default: a random one */
    uint64_t reserved[8];           /* for later versions; zero */
} sark_cache_config;

/* ---- Life ----------------------------------------------------------------------------------- */

/* Creates a cache in a region of config->max_bytes from the allocator.
   cache_out  where the cache goes; NULL is stored on error
   config     NULL: all defaults
   Returns OK, BAD_ARGUMENT, a BAD_ code that names the field, NO_MEMORY, NO_RANDOM, SYSTEM_ERROR.
   A cleanup thread that cannot start is no error: the metrics tell. */
SARK_CACHE_API sark_cache_status sark_cache_create(sark_cache **cache_out,
                                                   const sark_cache_config *config);

/* Bytes that sark_cache_create_in needs at least for this configuration, 0 where it is out of
   range: the tables and 128 bytes for each of max_entries (16 where that is not given). By default
   the number of shards goes by the processors that are online: give shard_count where a buffer
   is sized on one machine for another. */
SARK_CACHE_API size_t sark_cache_region_bytes(const sark_cache_config *config);

/* Creates a cache inside the caller's buffer, which must outlive it; the allocator is not used.
   region        any alignment
   region_bytes  max_bytes is at most this, and this where it is not given
   Returns as create, and REGION_TOO_SMALL. */
SARK_CACHE_API sark_cache_status sark_cache_create_in(sark_cache **cache_out,
                                                      const sark_cache_config *config,
                                                      void *region, size_t region_bytes);

/* Ends the cache: stops the cleanup thread, reports every entry (DESTROYED, or EXPIRED), gives the
   region back. cache may be NULL. No other call may run meanwhile.
   Returns OK; BUSY inside one of the cache's callbacks or while pins are out: nothing happened, but
   where a last callback of the cleanup thread pinned, that thread is another one, if one can be
   started; the metrics tell. */
SARK_CACHE_API sark_cache_status sark_cache_destroy(sark_cache *cache);

/* fork. A process that forks while other threads use the cache calls prepare before, parent after
   it in itself, and child after it in the child, from the thread that forks. Handlers given to
   pthread_atfork may do so; they get no argument, and find the cache by a pointer that the program
   sets to NULL before it destroys the cache.
   The child goes on with a copy of its own. Calls that were under way in other threads have not
   happened there: what they removed is not reported again, and their memory is free. Pins that were
   out stay out. There is no cleanup thread in the child, which the metrics tell; where a callback
   on that thread forks, the child ends as the callback returns. Without these calls the child must
   not use the cache, but for a destroy where there was no cleanup thread and no other thread was in
   a call.
   cache  NULL: nothing happens
   Threads: prepare waits until no call holds a lock; calls of other threads wait until parent, but
   hits do not. child takes time in proportion to the number of entries. */
SARK_CACHE_API void sark_cache_fork_prepare(sark_cache *cache);
SARK_CACHE_API void sark_cache_fork_parent(sark_cache *cache);
SARK_CACHE_API void sark_cache_fork_child(sark_cache *cache);

/* The configuration in force, with the defaults filled in (not the hash seed, which stays secret).
   Returns OK, BAD_ARGUMENT. */
SARK_CACHE_API sark_cache_status sark_cache_get_config(const sark_cache *cache,
                                                       sark_cache_config *config);

/* ---- Reading -------------------------------------------------------------------------------- */

/* Copies the value under a key and makes the entry the most recently used.
   key             NULL is legal with key_bytes 0
   value           where the value goes; NULL is legal with value_capacity 0
   value_capacity  bytes at value
   value_bytes     the value's size, also with SHORT_BUFFER; otherwise left alone; may be NULL
   Returns OK; MISS; SHORT_BUFFER (nothing copied, no LRU effect); BAD_ARGUMENT, BAD_KEY. */
SARK_CACHE_API sark_cache_status sark_cache_get(sark_cache *cache, const void *key,
                                                size_t key_bytes, void *value,
                                                size_t value_capacity, size_t *value_bytes);

/* As get, without any effect on the LRU order and the metrics. */
SARK_CACHE_API sark_cache_status sark_cache_peek(sark_cache *cache, const void *key,
                                                 size_t key_bytes, void *value,
                                                 size_t value_capacity, size_t *value_bytes);

/* Whether a live entry is there: OK or MISS, BAD_ARGUMENT, BAD_KEY. No effect on anything. */
SARK_CACHE_API sark_cache_status sark_cache_contains(sark_cache *cache, const void *key,
                                                     size_t key_bytes);

/* The TTL left, in milliseconds rounded up, at least 1; SARK_CACHE_NO_EXPIRY where there is none.
   Returns OK, MISS, BAD_ARGUMENT, BAD_KEY. No effect on anything. */
SARK_CACHE_API sark_cache_status sark_cache_ttl(sark_cache *cache, const void *key,
                                                size_t key_bytes, int64_t *ttl_ms);

/* A value held in place, from pin to unpin. It stays readable when the entry is replaced, evicted
   or expires meanwhile; its memory counts in max_bytes until then. */
typedef struct sark_cache_pinned {
    const void *value;
    size_t value_bytes;
    uint64_t version; /* of the entry: does not repeat for a key within 2^48 writes */
    uint32_t pin, use; /* the cache's own */
} sark_cache_pinned;

/* As get, but hands out the value where it lies.
   Returns OK; MISS; NO_PIN; BAD_ARGUMENT, BAD_KEY. *pinned is zeroed unless OK. */
SARK_CACHE_API sark_cache_status sark_cache_pin(sark_cache *cache, const void *key,
                                                size_t key_bytes, sark_cache_pinned *pinned);

/* Gives a pin back, and zeroes it. Any thread may. Returns OK; BAD_ARGUMENT for what is no pin of
   this cache, and for a copy of one that was given back, unless its place was taken 2^31 times
   since. A copy that outlived its cache is not told from a pin of the next one there. */
SARK_CACHE_API sark_cache_status sark_cache_unpin(sark_cache *cache, sark_cache_pinned *pinned);

/* ---- Writing -------------------------------------------------------------------------------- */

/* Stores a value under a key, replacing what is there. The key and the value are copied; all their
   bytes count, so a struct that is a key must have no padding, or zeroed.
   key, value   NULL is legal with 0 bytes
   ttl_ms       0: the default; SARK_CACHE_NO_EXPIRY: none; what overflows never expires
   Returns OK; BAD_ARGUMENT, BAD_KEY, BAD_TTL, TOO_LARGE; SYSTEM_ERROR where the clock fails and
   there is a TTL; BUSY where pins leave no gap that is large enough, or entries that are being
   reported leave none for ten seconds, or callbacks use up what is evicted. In the last two cases
   the key's old value may have been evicted, and reported, after all others. */
SARK_CACHE_API sark_cache_status sark_cache_set(sark_cache *cache, const void *key,
                                                size_t key_bytes, const void *value,
                                                size_t value_bytes, int64_t ttl_ms);

/* As set, only where no live entry is there; EXISTS otherwise. */
SARK_CACHE_API sark_cache_status sark_cache_add(sark_cache *cache, const void *key,
                                                size_t key_bytes, const void *value,
                                                size_t value_bytes, int64_t ttl_ms);

/* As set, only where a live entry is there; MISS otherwise. A ttl_ms of 0 keeps its deadline. BUSY
   also where the old value leaves no gap for the new one: it stays where it lies. */
SARK_CACHE_API sark_cache_status sark_cache_replace(sark_cache *cache, const void *key,
                                                    size_t key_bytes, const void *value,
                                                    size_t value_bytes, int64_t ttl_ms);

/* As replace, only where the entry has this version: the one that pin told, so that nobody wrote
   the key since. EXISTS where it has another. */
SARK_CACHE_API sark_cache_status sark_cache_compare_and_set(sark_cache *cache, const void *key,
                                                            size_t key_bytes, uint64_t version,
                                                            const void *value,
                                                            size_t value_bytes, int64_t ttl_ms);

/* Adds to a number: a value of 8 bytes, little-endian, two's complement (sark_cache_read_int64).
   delta    what is added; may be negative
   initial  the number to store, as it is, where no live entry is there; NULL: MISS then
   ttl_ms   0: a live entry keeps its deadline, a new one gets the default
   result   the number after the call; may be NULL
   Returns as replace; NOT_INTEGER, OVERFLOW: nothing changed. */
SARK_CACHE_API sark_cache_status sark_cache_increment(sark_cache *cache, const void *key,
                                                      size_t key_bytes, int64_t delta,
                                                      const int64_t *initial, int64_t ttl_ms,
                                                      int64_t *result);

/* As increment, but where the sum is out of range it is the largest or the smallest number, and no
   OVERFLOW. */
SARK_CACHE_API sark_cache_status sark_cache_increment_saturating(sark_cache *cache,
                                                                 const void *key,
                                                                 size_t key_bytes, int64_t delta,
                                                                 const int64_t *initial,
                                                                 int64_t ttl_ms, int64_t *result);

/* Adds bytes at the end of a value. Returns as replace; TOO_LARGE also where old and new bytes
   together would not fit. */
SARK_CACHE_API sark_cache_status sark_cache_append(sark_cache *cache, const void *key,
                                                   size_t key_bytes, const void *bytes,
                                                   size_t byte_count, int64_t ttl_ms);

/* The same at the beginning of a value. */
SARK_CACHE_API sark_cache_status sark_cache_prepend(sark_cache *cache, const void *key,
                                                    size_t key_bytes, const void *bytes,
                                                    size_t byte_count, int64_t ttl_ms);

/* The 8 bytes of a number as increment keeps them, at any address, and back. */
SARK_CACHE_API int64_t sark_cache_read_int64(const void *bytes);
SARK_CACHE_API void sark_cache_write_int64(void *bytes, int64_t number);

/* Gets and deletes in one step. Parameters and answers as get; SHORT_BUFFER deletes nothing. */
SARK_CACHE_API sark_cache_status sark_cache_take(sark_cache *cache, const void *key,
                                                 size_t key_bytes, void *value,
                                                 size_t value_capacity, size_t *value_bytes);

/* Gives an entry a new TTL from now and makes it the most recently used.
   Returns OK, MISS, BAD_ARGUMENT, BAD_KEY, BAD_TTL, SYSTEM_ERROR; BUSY as replace, only where the
   entry is small, never had a TTL and gets one. */
SARK_CACHE_API sark_cache_status sark_cache_touch(sark_cache *cache, const void *key,
                                                  size_t key_bytes, int64_t ttl_ms);

/* Gets, and gives the entry a new TTL from now, in one step; it counts as a hit or a miss, and as
   a touch. Parameters as with get and touch. Returns as get, BAD_TTL, SYSTEM_ERROR, BUSY as touch:
   what is no OK changed nothing, and copied nothing. */
SARK_CACHE_API sark_cache_status sark_cache_get_and_touch(sark_cache *cache, const void *key,
                                                          size_t key_bytes, void *value,
                                                          size_t value_capacity,
                                                          size_t *value_bytes, int64_t ttl_ms);

/* Removes an entry. Returns OK; MISS where no live one was there; BAD_ARGUMENT, BAD_KEY. */
SARK_CACHE_API sark_cache_status sark_cache_delete(sark_cache *cache, const void *key,
                                                   size_t key_bytes);

/* Removes every entry written before the call, in bounded steps. Returns how many, those that had
   expired included; 0 for NULL. */
SARK_CACHE_API uint64_t sark_cache_clear(sark_cache *cache);

/* Removes every entry written before the call whose key begins with these bytes, in bounded steps.
   It looks at all entries.
   prefix   NULL is legal with 0 bytes: then all keys begin with it
   removed  how many, those that had expired included; may be NULL
   Returns OK; BAD_ARGUMENT. */
SARK_CACHE_API sark_cache_status sark_cache_clear_prefix(sark_cache *cache, const void *prefix,
                                                         size_t prefix_bytes, uint64_t *removed);

/* ---- Many keys at a time -------------------------------------------------------------------- */

/* Each request is as a call of its own, in turn, with an answer of its own; what other threads do
   may come between. The memory that the requests need is fetched at the same time for 16 of them:
   that is what a batch gains, where the entries are more than the processor's caches hold.
   requests  whose value_bytes and status are written; NULL is legal with a count of 0. What they
             point to stays as it is until the call returns (removal callbacks may not change it),
             and no value is copied to where a key is
   Returns OK where each request has it; else the first error among them, else MISS; BAD_ARGUMENT
   where cache or requests is NULL. */

typedef struct sark_cache_get_request {
    const void *key;
    size_t key_bytes;
    void *value;              /* as with get */
    size_t value_capacity;
    size_t value_bytes;       /* out: as with get */
    sark_cache_status status; /* out */
} sark_cache_get_request;

/* Gets; latencies are not sampled. */
SARK_CACHE_API sark_cache_status sark_cache_get_many(sark_cache *cache,
                                                     sark_cache_get_request *requests,
                                                     size_t count);

typedef struct sark_cache_set_request {
    const void *key;
    size_t key_bytes;
    const void *value;
    size_t value_bytes;
    int64_t ttl_ms;
    sark_cache_status status; /* out */
} sark_cache_set_request;

/* Sets. One that fails does not keep those after it from being tried. */
SARK_CACHE_API sark_cache_status sark_cache_set_many(sark_cache *cache,
                                                     sark_cache_set_request *requests,
                                                     size_t count);

typedef struct sark_cache_delete_request {
    const void *key;
    size_t key_bytes;
    sark_cache_status status; /* out */
} sark_cache_delete_request;

/* Deletes. */
SARK_CACHE_API sark_cache_status sark_cache_delete_many(sark_cache *cache,
                                                        sark_cache_delete_request *requests,
                                                        size_t count);

/* ---- Care ----------------------------------------------------------------------------------- */

/* Removes entries that have expired, in bounded steps.
   max_entries  stop after so many; 0: all
   Returns how many were removed; 0 for NULL. */
SARK_CACHE_API uint64_t sark_cache_cleanup_expired(sark_cache *cache, uint64_t max_entries);

/* Called for an entry, outside every lock; returns whether to go on, or to remove the entry. */
typedef bool (*sark_cache_visit)(void *context, const void *key, size_t key_bytes,
                                 const void *value, size_t value_bytes, int64_t ttl_left_ms);

/* Visits the live entries in no order, without LRU effect. Each that stays throughout is visited
   once; what is written meanwhile may be. Holds one pin for its duration.
   Returns OK (also where the visitor ended it), NO_PIN, BAD_ARGUMENT. */
SARK_CACHE_API sark_cache_status sark_cache_foreach(sark_cache *cache, sark_cache_visit visit,
                                                    void *context);

/* Removes the live entries for which a visitor returns true, in bounded steps. Each that stays
   throughout is asked for once; what is written meanwhile may be, and is removed only as it was
   when the visitor saw it. Holds one pin for its duration.
   removed  how many; may be NULL
   Returns OK, NO_PIN, BAD_ARGUMENT. */
SARK_CACHE_API sark_cache_status sark_cache_clear_if(sark_cache *cache, sark_cache_visit matches,
                                                     void *context, uint64_t *removed);

/* Verifies the invariants, in bounded steps; totals only where nobody writes meanwhile.
   report        where the number and text of the first broken one goes; may be NULL with 0
   report_bytes  its size; the text is cut to fit, and terminated
   Returns whether all hold; false for NULL. */
SARK_CACHE_API bool sark_cache_check(sark_cache *cache, char *report, size_t report_bytes);

/* A key in the order of recency. */
typedef struct sark_cache_ranked {
    void *key;           /* the caller's buffer; NULL is legal with a capacity of 0 */
    size_t key_capacity; /* bytes there; of a longer key as many are copied */
    size_t key_bytes;    /* out: of the key */
    uint64_t used;       /* out: the later it was used, the higher */
} sark_cache_ranked;

/* The live entries that were used last, the latest first; without LRU effect, in bounded steps. It
   looks at all entries: each stands where it did when it was looked at, and a key that is written
   meanwhile may stand there twice.
   ranked  room for so many; which buffer holds which key is not foreseen. NULL is legal with 0
   found   how many there are, at most count; may be NULL
   Returns OK; BAD_ARGUMENT. */
SARK_CACHE_API sark_cache_status sark_cache_hottest(sark_cache *cache, sark_cache_ranked *ranked,
                                                    size_t count, size_t *found);

/* Those that would be evicted next, the first of them first. */
SARK_CACHE_API sark_cache_status sark_cache_coldest(sark_cache *cache, sark_cache_ranked *ranked,
                                                    size_t count, size_t *found);

/* ---- Looking -------------------------------------------------------------------------------- */

/* Entries resident, expired ones included. 0 for NULL. */
SARK_CACHE_API uint64_t sark_cache_size(const sark_cache *cache);

#define SARK_CACHE_LATENCY_BUCKETS 64u

/* Sampled latencies of one kind of call, in nanoseconds. Bucket 0 counts what took less than
   32 ns; from there each power of two has four. A percentile is the upper end of its bucket. */
typedef struct sark_cache_latency {
    uint64_t count, total_ns;
    uint64_t p50_ns, p95_ns, p99_ns, p999_ns, max_ns;
    uint64_t buckets[SARK_CACHE_LATENCY_BUCKETS];
} sark_cache_latency;

typedef struct sark_cache_metrics {
    /* Counts since creation or reset. */
    uint64_t hits, misses;             /* get, pin, take: each call is one of them, or an error */
    uint64_t misses_expired;           /* the part of misses that found an expired entry */
    uint64_t sets, adds, replaces, touches, deletes; /* successful calls */
    uint64_t compare_and_sets, increments;
    uint64_t appends;                  /* prepends too */
    uint64_t evictions_for_entries;    /* the oldest, for a place */
    uint64_t evictions_for_bytes;      /* the oldest, for memory */
    uint64_t eviction_ages;            /* of one in 16 of those it was noted how long it had gone
                                          unused (never where stamps are counted) */
    uint64_t eviction_age_ms;          /* so long, all in all */
    uint64_t expired_by_writers;       /* expired ones overwritten, deleted, removed for room */
    uint64_t expired_by_cleanup;       /* by cleanup_expired or the cleanup thread */
    uint64_t cleared;
    uint64_t rejected_argument, rejected_key, rejected_ttl, rejected_too_large;
    uint64_t rejected_short_buffer, rejected_busy, rejected_no_pin, rejected_system;
    uint64_t rejected_number;          /* NOT_INTEGER, OVERFLOW */
    uint64_t lock_fallbacks;           /* hits and misses that took the shard's lock */

    /* State now. */
    uint64_t entries, entries_peak;
    uint64_t bytes, bytes_peak;        /* in use: tables, entries, retired entries */
    uint64_t max_entries, max_bytes;
    uint64_t expired_resident;         /* at most this many expired entries wait to be removed */
    uint64_t oldest_overdue_ms;        /* for at most so long has the first of them waited */
    uint64_t bytes_retired;            /* of removed entries: still read, or not yet used again */
    uint64_t leases_in_use, pins_in_use;
    uint64_t pinned_bytes;             /* of entries with pins out, each pin counted */

    /* Cleanup. */
    uint64_t cleanup_runs, cleanup_last_us, cleanup_total_us;
    bool cleanup_thread_wanted, cleanup_thread_running;

    /* Structure. */
    uint64_t recency_moves;            /* re-placings in the order of recency */
    uint64_t room_moves;               /* entries moved to make room */
    uint64_t longest_hold_moves;       /* the most moves during one hold of a lock; at most 256 */
    uint64_t longest_chain_buckets;    /* buckets that the longest lookup so far reads */
    uint64_t overhead_bytes_per_entry; /* what an entry costs beside key and value, rounded up */
    uint64_t clock_tick_us;            /* resolution of the coarse clock, rounded up */
    uint64_t stamp_resolution_ps;      /* picoseconds between two stamps; 0: a counter */

    uint64_t reserved[16]; /* for later versions; zero */

    sark_cache_latency hit, miss; /* of get; all zero unless latency_sample_every is set */
    sark_cache_latency set;       /* of set and its kin, down to append, and of set_many's sets */
} sark_cache_metrics;

/* Reads the metrics; blocks nobody but metrics_read and metrics_reset. Each count is exact once
   the calls it counts have returned. cache NULL: zeroes the metrics; metrics NULL: does nothing. */
SARK_CACHE_API void sark_cache_metrics_read(const sark_cache *cache, sark_cache_metrics *metrics);

/* Counts of calls and removals, peaks, moves and latencies start anew; cleanup_* go on. */
SARK_CACHE_API void sark_cache_metrics_reset(sark_cache *cache);

/* Metrics that are to be shown as those of a cache of this name: the label cache="...". */
typedef struct sark_cache_exposed {
    const char *name; /* UTF-8; NULL: without the label */
    const sark_cache_metrics *metrics;
} sark_cache_exposed;

typedef enum sark_cache_exposition {
    SARK_CACHE_PROMETHEUS = 0, /* Prometheus' text format, version 0.0.4: text/plain */
    SARK_CACHE_OPENMETRICS = 1 /* OpenMetrics 1.0: application/openmetrics-text, ends with # EOF */
} sark_cache_exposition;

/* Writes metrics for a scraper, those of several caches together, as each metric may stand but
   once in what is scraped. Latencies are written where some were sampled. Counters that were reset
   begin anew, which scrapers know of.
   exposed        so many caches, whose names differ; NULL is legal with 0
   text           where it goes, with a NUL at the end; NULL is legal with a capacity of 0
   text_capacity  bytes at text
   text_bytes     its length without the NUL, also with SHORT_BUFFER; may be NULL
   Returns OK; SHORT_BUFFER where text_capacity is not above the length (the text is empty then);
   BAD_ARGUMENT. Threads: any. Nothing is allocated. */
SARK_CACHE_API sark_cache_status sark_cache_metrics_prometheus(const sark_cache_exposed *exposed,
                                                               size_t count,
                                                               sark_cache_exposition format,
                                                               char *text, size_t text_capacity,
                                                               size_t *text_bytes);

#ifdef __cplusplus
}
#endif

#endif /* SARK_CACHE_H */

/* ============================================================================================= */
#if defined(SARK_CACHE_IMPLEMENTATION) && !defined(SARK_CACHE_IMPLEMENTED)
#define SARK_CACHE_IMPLEMENTED

/* THE IMPLEMENTATION, bottom-up. Contents, by tag:

   >>base      includes, limits, small helpers
   >>atomics   the vocabulary of shared memory; replaced as a whole by model checkers
   >>platform  mutexes, threads, clocks, counters, randomness
   >>hash      keyed hash of the keys
   >>arena     memory inside the region: two-level segregated fit
   >>entry     what lies in a block of the arena
   >>list      lists through entries
   >>wheel     a radix wheel: the smallest key in bounded steps
   >>stamp     the order of time, for LRU
   >>index     from a hash to an entry
   >>lease     how a reader protects what it reads
   >>resident  hits on a hot key that write nothing shared
   >>find      a reader's lookup
   >>shard     locks over keys, and what they guard
   >>cache     the parts together
   >>retired   removed entries, until nobody reads them
   >>report    removal callbacks
   >>recency   the least recently used entry of a shard
   >>evict     the victim of the whole cache
   >>memory    blocks for inserts
   >>moving    a gap, made by moving entries
   >>room      a place and memory for an insert
   >>reading   get and its kin
   >>writing   set and its kin
   >>batch     many keys at a time
   >>care      clear and its kin, cleanup, foreach
   >>rank      the keys that were used last, or will leave next
   >>latency   sampled histograms
   >>metrics   counters, summed
   >>exposed   metrics as a scraper reads them
   >>check     every invariant, by number
   >>layout    from a configuration to a region
   >>life      create and destroy
   >>fork      a child process that goes on with a copy
   >>words     the version, and what statuses mean

   How it hangs together. The region holds tables and an arena; an entry is a block of the arena,
   named by a 32-bit reference. The index maps hashes to references and is read without a lock: a
   reader publishes the reference in a lease, looks again that the index still holds it, and may
   then read the entry; who removes an entry from the index frees it only after no lease names
   it. A shard is a lock over keys, not over buckets. A hit writes a stamp into the entry, or where
   many threads hit it beside their lease, and no order: order is made when a victim is needed,
   from lower bounds that only grow. */

/* ---- >>base ---------------------------------------------------------------------------------- */

#if defined(__cplusplus) && !defined(SARKI_MODEL)
#error "sark_cache.h: compile the file that defines SARK_CACHE_IMPLEMENTATION as C11, not as C++"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* With -pthread alone glibc declares POSIX of 1995, which has the clock and not the flag. */
#if !defined(CLOCK_MONOTONIC) || !defined(O_CLOEXEC)
#error "sark_cache.h: this file needs POSIX: use -std=gnu11 or -D_POSIX_C_SOURCE=200809L"
#else

/* Unit of memory and of references. Below 16 bytes a free block could not hold its links. */
#define SARKI_GRANULE 16u

/* A hit gives up the lease path after so many probes for a lease, or failed re-checks. */
#define SARKI_LEASE_PROBES 8u
#define SARKI_RECHECKS 16u

/* An entry that another slot stamped so long ago or less, in units of stamps (2 to 8 us), is hot:
   with rarer hits, lines that change processors cost a few per cent at most. A lease that stays on
   one entry may be taken for another after so many (60 to 260 us). Tests set their own. */
#ifndef SARKI_HOT_UNITS
#define SARKI_HOT_UNITS ((uint64_t)1 << 15)
#define SARKI_YOUNG_UNITS ((uint64_t)1 << 20)
#endif

/* No lock is held for more moves of entries than this. */
#define SARKI_MOVES 256u

/* What several processors write lies so many bytes apart: they fetch lines in pairs. */
#define SARKI_APART 128
#define SARKI_SET_APART __attribute__((aligned(SARKI_APART)))

/* So often a thread looks whether what it waits for is over, a lock hold or a hit, before it does
   without. */
#ifndef SARKI_SPINS
#define SARKI_SPINS 100u
#endif

/* So often a search turns to another shard instead of waiting for a lock. */
#define SARKI_MISSES 8u

/* Removed entries wait in a shard for a scan in batches of this many, or of the shard's share of
   1 / 64 of the region. */
#define SARKI_RETIRE_BATCH 32u

/* How far the coarse clock may be behind. One tick on an idle machine; in a busy virtual machine
   it was seen to lag by nearly four, so far more, as it only costs a look at the precise clock. */
#define SARKI_COARSE_LAG_TICKS 16

/* So often, in nanoseconds, it is read how long the machine has been asleep. */
#define SARKI_ASLEEP_EVERY_NS 10000000

/* Large pages are asked for in regions of so many bytes: above 32 MiB libc maps them by
   themselves. */
#define SARKI_LARGE_REGION (33u << 20)

#define SARKI_NONE UINT64_MAX  /* a bound: there is nothing */
#define SARKI_NEVER INT64_MAX  /* a deadline: none */
#define SARKI_MAX_SHARDS 256u
#define SARKI_MAX_LEASES 1024u
#define SARKI_MAX_PINS 1024u

/* The path of a hit, whose state is to stay in registers, and what stands beside it. */
#define SARKI_HOT static inline __attribute__((always_inline))
#define SARKI_COLD static __attribute__((noinline))
#define SARKI_LIKELY(condition) __builtin_expect(!!(condition), 1)

/* What clang's analysis of locks is told (-Wthread-safety, tests/lint.sh): which lock a function
   needs, takes, may take (where it returns true, or a shard), gives back, or must not have. The
   locks of shards are one role, whichever shard, as nobody has two; that of the memory is another.
   What takes a lock or gives it back is not looked into, nor is what SARKI_UNANALYSED names. */
#ifdef __clang__
struct __attribute__((capability("lock"))) sarki_role;
extern struct sarki_role sarki_role_shard, sarki_role_memory; /* names only, defined nowhere */
#define SARKI_UNANALYSED __attribute__((no_thread_safety_analysis))
#define SARKI_REQUIRES(role) __attribute__((requires_capability(sarki_role_##role)))
#define SARKI_EXCLUDES(role) __attribute__((locks_excluded(sarki_role_##role)))
#define SARKI_ACQUIRES(role) \
    SARKI_UNANALYSED __attribute__((acquire_capability(sarki_role_##role)))
#define SARKI_TRIES(role) \
    SARKI_UNANALYSED __attribute__((try_acquire_capability(true, sarki_role_##role)))
#define SARKI_RELEASES(role) \
    SARKI_UNANALYSED __attribute__((release_capability(sarki_role_##role)))
#else
#define SARKI_UNANALYSED
#define SARKI_REQUIRES(role)
#define SARKI_EXCLUDES(role)
#define SARKI_ACQUIRES(role)
#define SARKI_TRIES(role)
#define SARKI_RELEASES(role)
#endif

/* A level-1 assertion: an invariant of O(1) cost, off unless a test turns it on. */
#ifdef SARKI_ASSERTIONS
#define SARKI_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define SARKI_ASSERT(condition) ((void)0)
#endif

static inline uint32_t sarki_min32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint64_t sarki_min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t sarki_max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Index of the highest set bit; value must not be 0. */
static inline uint32_t sarki_log2(uint64_t value)
{
    return 63u - (uint32_t)__builtin_clzll(value);
}

/* Index of the lowest set bit; value must not be 0. */
static inline uint32_t sarki_lowest_bit(uint64_t value)
{
    return (uint32_t)__builtin_ctzll(value);
}

/* Overwrites bytes with zeros. The empty statement may look at them, for all the compiler knows:
   else it may drop the memset, as nobody reads them any more. */
static inline void sarki_wipe(void *at, size_t bytes)
{
    memset(at, 0, bytes);
    __asm__ volatile("" : : "r"(at) : "memory");
}

static inline uint64_t sarki_round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* A step of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators). */
static inline uint64_t sarki_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* ---- >>atomics -------------------------------------------------------------------------------

   Purpose. Every access to memory that several threads share without a lock goes through these
   functions; the order is in the name. SARKI_MODEL, the path of a header, replaces this section
   and the next, so that a model checker runs the code below as it stands.

   Edges. A synchronises-with edge, or a pair that relies on the one order of all seq_cst
   operations (as in C++20, P0668, which compilers of C11 give too), has a label; each use below
   names it after "order:", or one of the reasons for relaxed: R1 a statistic; R2 only this thread
   writes it; R3 re-checked by a later compare-and-swap or acquire; R4 guarded by a named lock; R5
   not yet published.

   edge | this side                           | that side              | what it gives
   E1   | release store of a new ref (insert) | re-check, locked find  | entry and tag are visible
   E2   | seq_cst store that unlinks a ref    | seq_cst re-check       | with E3, E4: reader or
   E3   | seq_cst claim of a lease or pin     | seq_cst scan           |   remover sees the other,
   E4   | seq_cst scan of leases              | claim                  |   on x86 too
   E5   | release store that ends a lease     | scan (acquire)         | reads end before reuse
   E6   | seq_cst raise of slots in use       | seq_cst load by a scan | scan sees claimed slots
   E7   | release store of a hint             | acquire load           | the raise of E6 came before
   E8   | seq_cst first bound of a shard,     | seq_cst load in the    | who waits for room sees the
        | seq_cst decrement of the count      | search, after "waiting"|   change, or is seen
   E9   | release store that a pin is out;    | acquire load of it; of | a pin that is out has a
        | claim of the pin, after that it is  |   the pin's ref        |   ref that was re-checked
        | back                                |                        |
   E10  | seq_cst store of 0 in a slot        | acquire claim of it    | the tag that was there
   E11  | release leave of a reporter's row   | acquire claim of it    | the row is free of the
        |                                     |                        |   thread before
   E12  | seq_cst store that names an entry   | seq_cst clear of the   | a writer sees the word, or
        | in a word, then load of the mark    | mark, then scan        |   the reader marks again
   E13  | release store of a resident word    | acquire load, and swap | the private stamp is that
        |                                     |   to empty             |   of the last hit
   E14  | release store of when the time      | acquire load of it     | that time is as new
        | asleep was read                     |                        |

   Tested. tests/README.md names for each the scenarios of the model checker that fail where a use
   is one step weaker; where none does, the use says why ("argued"). E7: else the raise may be later
   than the claim, on weakly ordered processors; in the checker's one order of seq_cst operations,
   that in which they run, a scan sees both.

   Given up. No free-standing fences: ThreadSanitizer does not model them. No read-modify-write
   below 32 bits: some targets call a library for those. Where 64-bit atomics are not lock-free a
   64-bit value is two halves with a count of their changes; hits take the shard's lock there. */

#ifdef SARKI_MODEL
#include SARKI_MODEL
#else

#include <stdatomic.h>

#if ATOMIC_LLONG_LOCK_FREE == 2 && !defined(SARKI_NO_WIDE)
#define SARKI_WIDE 1 /* 64-bit atomics are lock-free */
#else
#define SARKI_WIDE 0
#endif

/* Hooks for model checkers; a model gives each entry, and each row of a reporter, a shadow of its
   plain bytes. */
#define SARKI_SHADOW
#define SARKI_BYTES_READ(owner) ((void)0)
#define SARKI_BYTES_WRITTEN(owner) ((void)0)

typedef _Atomic(uint32_t) sarki_a32;
typedef _Atomic(uintptr_t) sarki_aword;

static inline uint32_t sarki_load32_relaxed(const sarki_a32 *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static inline uint32_t sarki_load32_acquire(const sarki_a32 *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}

static inline uint32_t sarki_load32_seq_cst(const sarki_a32 *cell)
{
    return atomic_load_explicit(cell, memory_order_seq_cst);
}

static inline void sarki_store32_relaxed(sarki_a32 *cell, uint32_t value)
{
    atomic_store_explicit(cell, value, memory_order_relaxed);
}

static inline void sarki_store32_release(sarki_a32 *cell, uint32_t value)
{
    atomic_store_explicit(cell, value, memory_order_release);
}

static inline void sarki_store32_seq_cst(sarki_a32 *cell, uint32_t value)
{
    atomic_store_explicit(cell, value, memory_order_seq_cst);
}

static inline bool sarki_cas32_relaxed(sarki_a32 *cell, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(cell, &from, to, memory_order_relaxed,
                                                   memory_order_relaxed);
}

static inline bool sarki_cas32_acquire(sarki_a32 *cell, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(cell, &from, to, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline bool sarki_cas32_seq_cst(sarki_a32 *cell, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(cell, &from, to, memory_order_seq_cst,
                                                   memory_order_relaxed);
}

static inline uint32_t sarki_add32_relaxed(sarki_a32 *cell, uint32_t value)
{
    return atomic_fetch_add_explicit(cell, value, memory_order_relaxed);
}

static inline uint32_t sarki_add32_seq_cst(sarki_a32 *cell, uint32_t value)
{
    return atomic_fetch_add_explicit(cell, value, memory_order_seq_cst);
}

static inline uint32_t sarki_sub32_relaxed(sarki_a32 *cell, uint32_t value)
{
    return atomic_fetch_sub_explicit(cell, value, memory_order_relaxed);
}

static inline uint32_t sarki_sub32_seq_cst(sarki_a32 *cell, uint32_t value)
{
    return atomic_fetch_sub_explicit(cell, value, memory_order_seq_cst);
}

static inline uint32_t sarki_xor32_relaxed(sarki_a32 *cell, uint32_t value)
{
    return atomic_fetch_xor_explicit(cell, value, memory_order_relaxed);
}

static inline uintptr_t sarki_loadword_relaxed(const sarki_aword *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static inline void sarki_storeword_release(sarki_aword *cell, uintptr_t value)
{
    atomic_store_explicit(cell, value, memory_order_release);
}

static inline bool sarki_casword_acquire(sarki_aword *cell, uintptr_t from, uintptr_t to)
{
    return atomic_compare_exchange_strong_explicit(cell, &from, to, memory_order_acquire,
                                                   memory_order_relaxed);
}

#if SARKI_WIDE

typedef _Atomic(uint64_t) sarki_a64;

static inline uint64_t sarki_load64_relaxed(const sarki_a64 *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static inline uint64_t sarki_load64_acquire(const sarki_a64 *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}

static inline uint64_t sarki_load64_seq_cst(const sarki_a64 *cell)
{
    return atomic_load_explicit(cell, memory_order_seq_cst);
}

static inline void sarki_store64_relaxed(sarki_a64 *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_relaxed);
}

static inline void sarki_store64_seq_cst(sarki_a64 *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_seq_cst);
}

/* The first value, in memory that may hold anything, before others know of it. */
static inline void sarki_init64(sarki_a64 *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_relaxed);
}

static inline void sarki_store64_release(sarki_a64 *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_release);
}

static inline bool sarki_cas64_relaxed(sarki_a64 *cell, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(cell, &from, to, memory_order_relaxed,
                                                   memory_order_relaxed);
}

static inline bool sarki_cas64_acquire(sarki_a64 *cell, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(cell, &from, to, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline uint64_t sarki_or64_relaxed(sarki_a64 *cell, uint64_t bits)
{
    return atomic_fetch_or_explicit(cell, bits, memory_order_relaxed);
}

static inline uint64_t sarki_and64_seq_cst(sarki_a64 *cell, uint64_t bits)
{
    return atomic_fetch_and_explicit(cell, bits, memory_order_seq_cst);
}

static inline uint64_t sarki_add64_relaxed(sarki_a64 *cell, uint64_t value)
{
    return atomic_fetch_add_explicit(cell, value, memory_order_relaxed);
}

static inline void sarki_numbers_forked(sarki_a64 *cells, uint32_t count)
{
    (void)cells, (void)count;
}

#else /* no lock-free 64-bit atomics */

/* A sequence lock (Boehm: Can seqlocks get along with programming language memory models?). */
typedef struct sarki_a64 {
    sarki_a32 changes; /* begun and ended; odd while somebody is at the halves */
    sarki_a32 low, high;
} sarki_a64;

static void sarki_nap(int64_t ns); /* in the next section */

/* How many changes have begun and ended, when none is under way. Waits are short, as a change is
   two stores; but one that does not run may need the processor of who waits. */
static inline uint32_t sarki_wide_begin(const sarki_a64 *cell)
{
    for (uint32_t spins = 1;; spins++) {
        uint32_t changes = atomic_load_explicit(&cell->changes, memory_order_seq_cst);
        if (!(changes & 1)) return changes;
        if (spins % SARKI_SPINS == 0) sarki_nap(1000);
    }
}

static inline uint64_t sarki_wide_halves(const sarki_a64 *cell)
{
    uint64_t high = atomic_load_explicit(&cell->high, memory_order_acquire);
    return high << 32 | atomic_load_explicit(&cell->low, memory_order_acquire);
}

/* Puts to where the value is from, or in any case; returns what it was. Whoever sees a half that is
   released sees that a change has begun. Its beginning is the change's place in the one order of
   all seq_cst operations: who looks later waits for its end. */
static inline uint64_t sarki_wide_change(sarki_a64 *cell, const uint64_t *from, uint64_t add,
                                         uint64_t to)
{
    uint32_t changes = sarki_wide_begin(cell);
    while (!atomic_compare_exchange_weak_explicit(&cell->changes, &changes, changes + 1,
                                                  memory_order_seq_cst, memory_order_relaxed))
        changes = sarki_wide_begin(cell);
    uint64_t old = sarki_wide_halves(cell);
    if (!from || *from == old) {
        uint64_t value = add ? old + add : to;
        atomic_store_explicit(&cell->low, (uint32_t)value, memory_order_release);
        atomic_store_explicit(&cell->high, (uint32_t)(value >> 32), memory_order_release);
    }
    atomic_store_explicit(&cell->changes, changes + 2, memory_order_release);
    return old;
}

static inline uint64_t sarki_load64_seq_cst(const sarki_a64 *cell)
{
    for (;;) {
        uint32_t changes = sarki_wide_begin(cell);
        uint64_t value = sarki_wide_halves(cell);
        if (atomic_load_explicit(&cell->changes, memory_order_relaxed) == changes) return value;
    }
}

/* In the child of a fork: what other threads were at in some numbers is not under way there. */
static inline void sarki_numbers_forked(sarki_a64 *cells, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t changes = atomic_load_explicit(&cells[i].changes, memory_order_relaxed);
        if (changes & 1)
            atomic_store_explicit(&cells[i].changes, changes + 1, memory_order_relaxed);
    }
}

static inline uint64_t sarki_load64_acquire(const sarki_a64 *cell)
{
    return sarki_load64_seq_cst(cell);
}

static inline uint64_t sarki_load64_relaxed(const sarki_a64 *cell)
{
    return sarki_load64_seq_cst(cell);
}

static inline void sarki_init64(sarki_a64 *cell, uint64_t value)
{
    atomic_store_explicit(&cell->low, (uint32_t)value, memory_order_relaxed);
    atomic_store_explicit(&cell->high, (uint32_t)(value >> 32), memory_order_relaxed);
    atomic_store_explicit(&cell->changes, 0, memory_order_relaxed);
}

static inline void sarki_store64_seq_cst(sarki_a64 *cell, uint64_t value)
{
    sarki_wide_change(cell, NULL, 0, value);
}

static inline void sarki_store64_relaxed(sarki_a64 *cell, uint64_t value)
{
    sarki_wide_change(cell, NULL, 0, value);
}

static inline void sarki_store64_release(sarki_a64 *cell, uint64_t value)
{
    sarki_wide_change(cell, NULL, 0, value);
}

static inline bool sarki_cas64_relaxed(sarki_a64 *cell, uint64_t from, uint64_t to)
{
    return sarki_wide_change(cell, &from, 0, to) == from;
}

static inline bool sarki_cas64_acquire(sarki_a64 *cell, uint64_t from, uint64_t to)
{
    return sarki_wide_change(cell, &from, 0, to) == from;
}

static inline uint64_t sarki_or64_relaxed(sarki_a64 *cell, uint64_t bits)
{
    uint64_t old = sarki_load64_seq_cst(cell);
    while (!sarki_cas64_acquire(cell, old, old | bits)) old = sarki_load64_seq_cst(cell);
    return old;
}

static inline uint64_t sarki_and64_seq_cst(sarki_a64 *cell, uint64_t bits)
{
    uint64_t old = sarki_load64_seq_cst(cell);
    while (!sarki_cas64_acquire(cell, old, old & bits)) old = sarki_load64_seq_cst(cell);
    return old;
}

static inline uint64_t sarki_add64_relaxed(sarki_a64 *cell, uint64_t value)
{
    return value ? sarki_wide_change(cell, NULL, value, 0) : sarki_load64_seq_cst(cell);
}

#endif

/* ---- >>platform ------------------------------------------------------------------------------

   Purpose. What the operating system and the processor give: mutexes, condition variables, one
   thread, clocks, the time-stamp counter, random bytes. The only section that knows targets. */

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef CLOCK_MONOTONIC_COARSE
#define SARKI_CLOCK_COARSE CLOCK_MONOTONIC_COARSE
#else
#define SARKI_CLOCK_COARSE CLOCK_MONOTONIC
#endif

/* The clock that goes on while the machine is asleep. */
#ifdef CLOCK_BOOTTIME
#define SARKI_CLOCK_BOOT CLOCK_BOOTTIME
#else
#define SARKI_CLOCK_BOOT CLOCK_MONOTONIC
#endif

/* Asks for a cache line that will be needed soon. Without the empty statement GCC takes a function
   that only prefetches for one without effect, and drops its calls. */
static inline void sarki_prefetch(const void *address)
{
    __builtin_prefetch(address);
    __asm__ volatile("" : : "r"(address));
}

/* The same for a line that will be needed after some others: into the second level of the caches,
   as the first has few lines under way at a time. */
static inline void sarki_prefetch_later(const void *address)
{
    __builtin_prefetch(address, 0, 1);
    __asm__ volatile("" : : "r"(address));
}

/* Asks for a line that will be written, so that it is fetched once and not twice. Compilers use the
   instruction on request only; where a processor lacks it, it does nothing. */
static inline void sarki_prefetch_to_write(const void *address)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1);
    __asm__ volatile("" : : "r"(address));
#endif
}

/* Tells the processor that the thread looks at memory again and again. */
static inline void sarki_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Processors online, at least 1. */
static uint32_t sarki_processors(void)
{
    int errno_before = errno; /* which libc changes where there is no /sys */
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    errno = errno_before;
    return count > 0 && count < 1 << 16 ? (uint32_t)count : 1;
}

/* Asks for large pages, where the kernel gives them on request: of a million entries at random a
   hit takes three quarters of its time then, as it rarely misses the table of pages. Smaller
   regions may be parts of libc's heap, which goes on after destroy. */
static void sarki_ask_for_large_pages(void *region, uint64_t bytes)
{
#if defined(MADV_HUGEPAGE) && (defined(_DEFAULT_SOURCE) || defined(_GNU_SOURCE) || \
                               defined(_BSD_SOURCE)) /* else madvise is not declared */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)region + page - 1) / page * page;
    if (bytes >= SARKI_LARGE_REGION)
        (void)madvise((void *)first, (size_t)bytes - (size_t)page, MADV_HUGEPAGE);
#else
    (void)region;
    (void)bytes;
#endif
}

typedef pthread_mutex_t sarki_mutex;
typedef pthread_cond_t sarki_condition;

static inline bool sarki_mutex_create(sarki_mutex *mutex)
{
    return pthread_mutex_init(mutex, NULL) == 0;
}

static inline void sarki_mutex_destroy(sarki_mutex *mutex)
{
    pthread_mutex_destroy(mutex);
}

static inline void sarki_lock(sarki_mutex *mutex)
{
    pthread_mutex_lock(mutex);
}

/* Takes the lock if it is free. */
static inline bool sarki_try_lock(sarki_mutex *mutex)
{
    return pthread_mutex_trylock(mutex) == 0;
}

static inline void sarki_unlock(sarki_mutex *mutex)
{
    pthread_mutex_unlock(mutex);
}

static bool sarki_condition_create(sarki_condition *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return false;
    bool created = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return created;
}

static inline void sarki_condition_destroy(sarki_condition *condition)
{
    pthread_cond_destroy(condition);
}

static inline void sarki_wake_all(sarki_condition *condition)
{
    pthread_cond_broadcast(condition);
}

/* Puts off the cancellation of the calling thread; returns what to give to sarki_cancel_allow. */
static inline int sarki_cancel_defer(void)
{
    int before = PTHREAD_CANCEL_ENABLE;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void sarki_cancel_allow(int before)
{
    pthread_setcancelstate(before, NULL);
}

static inline void sarki_wait(sarki_condition *condition, sarki_mutex *mutex)
{
    int cancel = sarki_cancel_defer();
    pthread_cond_wait(condition, mutex);
    sarki_cancel_allow(cancel);
}

/* A number that no other running thread has: the thread pointer, where it can be had at the cost of
   a load (psABI of x86-64: the word at fs:0 holds its own address). */
static inline uintptr_t sarki_thread_id(void)
{
#if defined(__x86_64__) && defined(__LP64__)
    uintptr_t thread;
    __asm__("{movq %%fs:0, %0|mov %0, QWORD PTR fs:0}" : "=r"(thread)); /* AT&T or Intel syntax */
    return thread;
#else
    return (uintptr_t)pthread_self();
#endif
}

/* Nanoseconds of a clock; -1 where it fails. */
static inline int64_t sarki_clock_ns(clockid_t clock)
{
    struct timespec time;
    int errno_before = errno;
    if (clock_gettime(clock, &time) != 0) {
        errno = errno_before;
        return -1;
    }
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int64_t sarki_coarse_ns(void)
{
    return sarki_clock_ns(SARKI_CLOCK_COARSE);
}

/* The precise time, that asleep included. */
static inline int64_t sarki_fine_ns(void)
{
    return sarki_clock_ns(SARKI_CLOCK_BOOT);
}

/* The precise time without that asleep. */
static inline int64_t sarki_awake_ns(void)
{
    return sarki_clock_ns(CLOCK_MONOTONIC);
}

/* By how much the precise time is ahead of the coarse one: as long as the machine has been asleep,
   or anything in a time namespace. The difference of two clocks that are read one after the other,
   so rather too little, and the most of three readings. INT64_MIN: a clock fails. */
static int64_t sarki_asleep_ns(void)
{
    int64_t most = INT64_MIN;
    for (uint32_t i = 0; i < 3; i++) {
        int64_t boot = sarki_clock_ns(SARKI_CLOCK_BOOT), awake = sarki_awake_ns();
        if (boot < 0 || awake < 0) return INT64_MIN;
        if (boot - awake > most) most = boot - awake;
    }
    return most;
}

static void sarki_nap(int64_t ns)
{
    struct timespec left = {0, (long)ns};
    int errno_before = errno, cancel = sarki_cancel_defer();
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue; /* a signal */
    sarki_cancel_allow(cancel);
    errno = errno_before;
}

/* Waits at most wait_ms. Where the clock fails, or cannot tell a time so late, it sleeps 10 ms at
   most, and no change ends that: who waits looks again, and must not do so all the time. */
static void sarki_wait_ms(sarki_condition *condition, sarki_mutex *mutex, uint32_t wait_ms)
{
    struct timespec until;
    int64_t now_ns = sarki_clock_ns(CLOCK_MONOTONIC);
    int64_t until_ns = now_ns + (int64_t)wait_ms * 1000000;
    until.tv_sec = (time_t)(until_ns / 1000000000);
    until.tv_nsec = (long)(until_ns % 1000000000);
    int errno_before = errno, cancel = sarki_cancel_defer();
    if (now_ns >= 0 && until.tv_sec == until_ns / 1000000000) {
        pthread_cond_timedwait(condition, mutex, &until);
    } else {
        sarki_unlock(mutex);
        sarki_nap((int64_t)sarki_min32(wait_ms, 10) * 1000000);
        sarki_lock(mutex);
    }
    sarki_cancel_allow(cancel);
    errno = errno_before;
}

static uint64_t sarki_coarse_tick_ns(void)
{
    struct timespec tick = {0, 0};
    int errno_before = errno;
    if (clock_getres(SARKI_CLOCK_COARSE, &tick) != 0) errno = errno_before;
    return (uint64_t)tick.tv_sec * 1000000000u + (uint64_t)tick.tv_nsec;
}

/* The processor's counter: sarki_counter_shift says by how much to shift it left so that a unit is
   at most a quarter of a nanosecond (it wraps after 48 years at 3 GHz), or -1 where there is none
   that is invariant and fine enough. */
#if (defined(__x86_64__) || defined(__i386__)) && !defined(SARKI_NO_COUNTER)
#include <cpuid.h>

static inline uint64_t sarki_counter(void)
{
    return __builtin_ia32_rdtsc();
}

/* Intel SDM 17.17.1, AMD APM 3 Fn8000_0007: EDX bit 8, the counter is invariant. */
static int sarki_counter_shift(void)
{
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid(0x80000007u, &eax, &ebx, &ecx, &edx)) return -1;
    return (edx >> 8 & 1) != 0 ? 2 : -1; /* such counters run at 1 GHz or more */
}
#elif defined(__aarch64__) && !defined(SARKI_NO_COUNTER)
static inline uint64_t sarki_counter(void)
{
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}

/* By how many ticks it moves on at a time: its frequency says that of the mean only. */
static uint64_t sarki_counter_step(void)
{
    uint64_t least = UINT64_MAX, last = sarki_counter();
    for (int reads = 0; reads < 1000; reads++) {
        uint64_t now = sarki_counter();
        if (now != last) least = now - last < least ? now - last : least;
        last = now;
    }
    return least;
}

static int sarki_counter_shift(void)
{
    uint64_t hertz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hertz));
    if (hertz / sarki_counter_step() < 20000000) return -1; /* steps of more than 50 ns */
    int shift = 0;
    while (hertz << shift < 4000000000u) shift++;
    return shift;
}
#else
static inline uint64_t sarki_counter(void)
{
    return 0;
}

static int sarki_counter_shift(void)
{
    return -1;
}
#endif

/* Fills bytes from the kernel's random source; false where there is none. */
static bool sarki_random(void *bytes, size_t count)
{
    int errno_before = errno, cancel = sarki_cancel_defer();
    size_t filled = 0;
    int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    while (file >= 0 && filled < count) {
        ssize_t got = read(file, (char *)bytes + filled, count - filled);
        if (got > 0) filled += (size_t)got;
        else if (got == 0 || errno != EINTR) break;
    }
    if (file >= 0) close(file);
    sarki_cancel_allow(cancel);
    errno = errno_before;
    return filled == count;
}

static inline int64_t sarki_process_id(void)
{
    return (int64_t)getpid();
}

typedef pthread_t sarki_thread;

/* Starts a thread that takes no signals and has room for callbacks (musl's default is small). */
static bool sarki_thread_start(sarki_thread *thread, void *(*body)(void *), void *argument)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int errno_before = errno;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setstacksize(&attributes, (size_t)256 * 1024);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, &attributes, body, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    errno = errno_before;
    return started;
}

static inline void sarki_thread_join(sarki_thread thread)
{
    int cancel = sarki_cancel_defer();
    pthread_join(thread, NULL);
    sarki_cancel_allow(cancel);
}

#endif /* SARKI_MODEL */

/* ---- >>hash ----------------------------------------------------------------------------------

   Purpose. 64 bits from a key, keyed with random secrets of the cache, so that nobody outside can
   choose keys that collide. Multiply-and-fold as in wyhash (Wang Yi and others: Modern
   non-cryptographic hash function and pseudorandom number generator), with one change: each
   operand is combined with a secret number instead of a published constant, so that no key can
   make an operand zero but by guessing 64 bits.

   Given up. The hash depends on endianness and word order; it never leaves the process. */

typedef struct sarki_secret {
    uint64_t words[4];
} sarki_secret;

static void sarki_secret_expand(sarki_secret *secret, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed = sarki_mix(seed + (uint64_t)i);
        secret->words[i] = seed;
    }
}

/* The two halves of the 128-bit product, combined. */
static inline uint64_t sarki_fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t low = (a & 0xffffffffu) * (b & 0xffffffffu);
    uint64_t middle_a = (a >> 32) * (b & 0xffffffffu);
    uint64_t middle_b = (a & 0xffffffffu) * (b >> 32);
    uint64_t carry = ((low >> 32) + (middle_a & 0xffffffffu) + (middle_b & 0xffffffffu)) >> 32;
    uint64_t high = (a >> 32) * (b >> 32) + (middle_a >> 32) + (middle_b >> 32) + carry;
    return (low + (middle_a << 32) + (middle_b << 32)) ^ high;
#endif
}

static inline uint64_t sarki_read64(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint64_t sarki_read32(const unsigned char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

/* 4 to 16 bytes, read as two overlapping pairs. */
static inline void sarki_hash_short(const unsigned char *key, size_t key_bytes, uint64_t pair[2])
{
    size_t middle = key_bytes >> 3 << 2;
    pair[0] = sarki_read32(key) << 32 | sarki_read32(key + middle);
    pair[1] = sarki_read32(key + key_bytes - 4) << 32 | sarki_read32(key + key_bytes - 4 - middle);
}

SARKI_HOT uint64_t sarki_hash(const sarki_secret *secret, const void *key, size_t key_bytes)
{
    const unsigned char *at = (const unsigned char *)key;
    const uint64_t *words = secret->words;
    uint64_t state = words[0], pair[2] = {0, 0};
    if (key_bytes > 16) {
        size_t left = key_bytes;
        for (; left > 16; left -= 16, at += 16)
            state = sarki_fold(sarki_read64(at) ^ words[1], sarki_read64(at + 8) ^ state);
        pair[0] = sarki_read64(at + left - 16);
        pair[1] = sarki_read64(at + left - 8);
    } else if (key_bytes >= 4) {
        sarki_hash_short(at, key_bytes, pair);
    } else if (key_bytes > 0) {
        pair[0] = (uint64_t)at[0] << 16 | (uint64_t)at[key_bytes >> 1] << 8 | at[key_bytes - 1];
    }
    uint64_t last = sarki_fold(pair[0] ^ words[1], pair[1] ^ state);
    return sarki_fold(last ^ words[2], key_bytes ^ words[3]);
}

/* Tests of degenerate hashes replace this. */
#ifndef SARKI_HASH
#define SARKI_HASH(secret, key, key_bytes) sarki_hash((secret), (key), (key_bytes))
#endif

/* ---- >>arena ---------------------------------------------------------------------------------

   Purpose. Blocks of any size inside the region, in constant time: two-level segregated fit
   (Masmano, Ripoll, Crespo, Real: TLSF, a new dynamic memory allocator for real-time systems).
   Sizes and references count granules of 16 bytes.

   Layout, in 32-bit words.
       used block:  [size | flags] [the owner's bytes ...]
       free block:  [size | flags] [next free] [previous free] ... [size]
       at the end:  one granule of size 0 that is never free

   Invariants. A1 no two neighbours are free. A2 a block's PREVIOUS_FREE is true. A3 the last word
   of a free block is its size. A4 a free block is in the bin of its size, and the bitmaps tell
   which bins hold some. A5 sizes add up to the arena.

   Access. Everything is guarded by the memory lock, the first word of each block included;
   a_used and a_used_peak are also read by the metrics.

   Bounds. allocate: as many blocks looked at as it is told; release, grow: at most two merges.

   Given up. Less than 2^30 granules, 16 GiB: two bits of the size are flags. */

#define SARKI_BLOCK_FREE 1u
#define SARKI_PREVIOUS_FREE 2u
#define SARKI_BLOCK_FLAGS 3u
#define SARKI_BIN_BITS 3u /* each power of two has 8 bins */
#define SARKI_BINS_PER_LEVEL (1u << SARKI_BIN_BITS)
#define SARKI_MAX_LEVELS 28u
#define SARKI_MAX_GRANULES ((1u << 30) - 1)

typedef struct sarki_arena {
    char *region;         /* granule 0 */
    uint32_t *bins;       /* heads of free lists: level_count x SARKI_BINS_PER_LEVEL */
    uint32_t level_count;
    uint32_t first, end;  /* references: the first block, and the granule of size 0 */
    sarki_a32 a_used;     /* granules */
    sarki_a32 a_used_peak;
    uint32_t generation;  /* grows with each change */
    uint32_t next_bin;    /* whose turn it is in sarki_arena_holes */
    uint32_t levels;      /* which levels have a free block */
    uint32_t wiped_from;  /* what is given back is wiped from this byte on; 0: it is not */
    uint32_t level_bins[SARKI_MAX_LEVELS]; /* which bins of a level have one */
} sarki_arena;

static inline uint32_t *sarki_block(const sarki_arena *arena, uint32_t ref)
{
    return (uint32_t *)(void *)(arena->region + (size_t)ref * SARKI_GRANULE);
}

static inline uint32_t sarki_block_size(const sarki_arena *arena, uint32_t ref)
{
    return sarki_block(arena, ref)[0] >> 2;
}

static inline bool sarki_block_is_free(const sarki_arena *arena, uint32_t ref)
{
    return (sarki_block(arena, ref)[0] & SARKI_BLOCK_FREE) != 0;
}

static inline uint32_t *sarki_block_footer(const sarki_arena *arena, uint32_t ref, uint32_t size)
{
    return sarki_block(arena, ref + size) - 1;
}

/* The bin of blocks of a size: bins of a level grow with it. */
static inline uint32_t sarki_bin_of(uint32_t size)
{
    if (size < SARKI_BINS_PER_LEVEL) return size;
    uint32_t top = sarki_log2(size);
    uint32_t within = size >> (top - SARKI_BIN_BITS) & (SARKI_BINS_PER_LEVEL - 1);
    return (top - SARKI_BIN_BITS + 1) * SARKI_BINS_PER_LEVEL + within;
}

/* How many levels the bins of an arena of so many granules take. */
static inline uint32_t sarki_arena_levels(uint32_t granules)
{
    return sarki_bin_of(granules) / SARKI_BINS_PER_LEVEL + 1;
}

static void sarki_bin_insert(sarki_arena *arena, uint32_t ref, uint32_t size)
{
    uint32_t bin = sarki_bin_of(size);
    uint32_t level = bin / SARKI_BINS_PER_LEVEL;
    uint32_t *block = sarki_block(arena, ref);
    uint32_t next = arena->bins[bin];
    block[1] = next;
    block[2] = 0;
    if (next) sarki_block(arena, next)[2] = ref;
    arena->bins[bin] = ref;
    arena->level_bins[level] |= 1u << bin % SARKI_BINS_PER_LEVEL;
    arena->levels |= 1u << level;
}

static void sarki_bin_remove(sarki_arena *arena, uint32_t ref, uint32_t size)
{
    uint32_t bin = sarki_bin_of(size);
    uint32_t level = bin / SARKI_BINS_PER_LEVEL;
    uint32_t *block = sarki_block(arena, ref);
    uint32_t next = block[1], previous = block[2];
    if (next) sarki_block(arena, next)[2] = previous;
    if (previous) {
        sarki_block(arena, previous)[1] = next;
        return;
    }
    arena->bins[bin] = next;
    if (next) return;
    arena->level_bins[level] &= ~(1u << bin % SARKI_BINS_PER_LEVEL);
    if (!arena->level_bins[level]) arena->levels &= ~(1u << level);
}

/* Makes granules from ref on one free block; its neighbours are in use. */
static void sarki_block_make_free(sarki_arena *arena, uint32_t ref, uint32_t size)
{
    sarki_block(arena, ref)[0] = size << 2 | SARKI_BLOCK_FREE;
    *sarki_block_footer(arena, ref, size) = size;
    sarki_block(arena, ref + size)[0] |= SARKI_PREVIOUS_FREE;
    sarki_bin_insert(arena, ref, size);
}

/* The first block of a bin that holds only blocks of at least size granules; 0 if none. */
static uint32_t sarki_arena_find_rounded(const sarki_arena *arena, uint32_t size)
{
    uint32_t up = size;
    if (size >= SARKI_BINS_PER_LEVEL) up += (1u << (sarki_log2(size) - SARKI_BIN_BITS)) - 1;
    uint32_t bin = sarki_bin_of(up);
    uint32_t level = bin / SARKI_BINS_PER_LEVEL;
    if (level >= arena->level_count) return 0;
    uint32_t bins = arena->level_bins[level] & ~0u << bin % SARKI_BINS_PER_LEVEL;
    if (!bins) {
        uint32_t levels = level + 1 < 32 ? arena->levels & ~0u << (level + 1) : 0;
        if (!levels) return 0;
        level = sarki_lowest_bit(levels);
        bins = arena->level_bins[level];
    }
    return arena->bins[level * SARKI_BINS_PER_LEVEL + sarki_lowest_bit(bins)];
}

/* One of the first blocks in the bin of this very size that is large enough; 0 if none. */
static uint32_t sarki_arena_find_own(const sarki_arena *arena, uint32_t size, uint32_t tries)
{
    uint32_t bin = sarki_bin_of(size);
    if (bin / SARKI_BINS_PER_LEVEL >= arena->level_count) return 0;
    uint32_t ref = arena->bins[bin];
    for (; ref && tries > 0; tries--) {
        if (sarki_block_size(arena, ref) >= size) return ref;
        ref = sarki_block(arena, ref)[1];
    }
    return 0;
}

/* Counts granules taken or, as a negative number, given back. */
static inline void sarki_arena_count(sarki_arena *arena, uint32_t change)
{
    uint32_t used = sarki_load32_relaxed(&arena->a_used) + change; /* order: R4 memory lock */
    sarki_store32_relaxed(&arena->a_used, used);                   /* order: R1, R4 */
    if (used > sarki_load32_relaxed(&arena->a_used_peak))          /* order: R1, R4 */
        sarki_store32_relaxed(&arena->a_used_peak, used);          /* order: R1, R4 */
    arena->generation++;
}

/* Takes a free block out of its bin. Returns its size. */
static inline uint32_t sarki_block_take(sarki_arena *arena, uint32_t ref)
{
    uint32_t size = sarki_block_size(arena, ref);
    sarki_bin_remove(arena, ref, size);
    sarki_block(arena, ref + size)[0] &= ~SARKI_PREVIOUS_FREE;
    return size;
}

/* Makes the first size of so many granules a block in use, and the rest a free one. */
static inline void sarki_block_use(sarki_arena *arena, uint32_t ref, uint32_t size,
                                   uint32_t granules)
{
    sarki_block(arena, ref)[0] = size << 2 | (sarki_block(arena, ref)[0] & SARKI_PREVIOUS_FREE);
    if (granules > size) sarki_block_make_free(arena, ref + size, granules - size);
}

/* Takes a free block, or as much of it as size granules. Returns how many it got. */
SARKI_REQUIRES(memory)
static inline uint32_t sarki_arena_take(sarki_arena *arena, uint32_t ref, uint32_t size)
{
    uint32_t granules = sarki_block_take(arena, ref);
    uint32_t taken = granules < size ? granules : size;
    sarki_block_use(arena, ref, taken, granules);
    sarki_arena_count(arena, taken);
    return taken;
}

/* Takes a block of size granules; 0 where there is none among the blocks that are surely large
   enough, and so many others. The block's first word is the arena's. */
SARKI_REQUIRES(memory)
static uint32_t sarki_arena_allocate(sarki_arena *arena, uint32_t size, uint32_t others)
{
    uint32_t ref = sarki_arena_find_rounded(arena, size);
    if (!ref) ref = sarki_arena_find_own(arena, size, others);
    if (ref) sarki_arena_take(arena, ref, size);
    return ref;
}

/* Lets a block in use grow over the free one behind it, to at most size granules; what it has above
   that becomes free. Returns its size then. */
SARKI_REQUIRES(memory)
static uint32_t sarki_arena_grow(sarki_arena *arena, uint32_t ref, uint32_t size)
{
    uint32_t before = sarki_block_size(arena, ref), granules = before;
    if (sarki_block_is_free(arena, ref + before))
        granules += sarki_block_take(arena, ref + before);
    uint32_t after = granules < size ? granules : size;
    sarki_block_use(arena, ref, after, granules);
    sarki_arena_count(arena, after - before);
    return after;
}

/* Free blocks to begin with: half of max, at most, of the largest, then the first of other bins, in
   turn, which were freed last. Returns how many. */
SARKI_REQUIRES(memory)
static uint32_t sarki_arena_holes(sarki_arena *arena, uint32_t *refs, uint32_t max)
{
    uint32_t count = 0, bin_count = arena->level_count * SARKI_BINS_PER_LEVEL;
    for (uint32_t bin = bin_count; bin-- > 0 && count < max / 2;)
        for (uint32_t ref = arena->bins[bin]; ref && count < max / 2;
             ref = sarki_block(arena, ref)[1])
            refs[count++] = ref;
    for (uint32_t i = 0; i < bin_count && count < max; i++) {
        arena->next_bin = arena->next_bin + 1 < bin_count ? arena->next_bin + 1 : 0;
        if (arena->bins[arena->next_bin]) refs[count++] = arena->bins[arena->next_bin];
    }
    return count;
}

/* Gives a block back and merges it with free neighbours. */
SARKI_REQUIRES(memory)
static void sarki_arena_release(sarki_arena *arena, uint32_t ref)
{
    uint32_t header = sarki_block(arena, ref)[0];
    uint32_t size = header >> 2;
    SARKI_ASSERT(!(header & SARKI_BLOCK_FREE) && size);
    size_t bytes = (size_t)size * SARKI_GRANULE;
    if (arena->wiped_from && bytes > arena->wiped_from) /* a gap under way may be smaller */
        sarki_wipe((char *)sarki_block(arena, ref) + arena->wiped_from, bytes - arena->wiped_from);
    sarki_arena_count(arena, 0u - size);
    uint32_t next = ref + size;
    if (sarki_block_is_free(arena, next)) {
        uint32_t next_size = sarki_block_size(arena, next);
        sarki_bin_remove(arena, next, next_size);
        size += next_size;
    }
    if (header & SARKI_PREVIOUS_FREE) {
        uint32_t previous_size = sarki_block(arena, ref)[-1];
        ref -= previous_size;
        sarki_bin_remove(arena, ref, previous_size);
        size += previous_size;
    }
    sarki_block_make_free(arena, ref, size);
}

/* One free block of all granules from first to end, which is the granule of size 0. */
static void sarki_arena_create(sarki_arena *arena, uint32_t first, uint32_t end)
{
    arena->first = first;
    arena->end = end;
    arena->level_count = sarki_arena_levels(end - first);
    sarki_block(arena, end)[0] = 0;
    sarki_block_make_free(arena, first, end - first);
}

/* ---- >>entry ---------------------------------------------------------------------------------

   Purpose. What a block holds: a header, where the entry has or may get a deadline an expiry
   part, the key, the value.

   Layout (64 bit).   0 block word   4 value size   8 stamp   16 recency link   28 hash
                     32 version      38 key size   40 [deadline, expiry link: 20 bytes]
                     60 [last touch: 4 bytes, where there is a touch interval]  key value

   Access.
   field            | who reads               | who writes           | guard
   block            | the arena               | the arena            | memory lock
   a_stamp          | writers                 | readers, writers     | atomic, under a lease or lock
   recency.next ... | the shard's writers     | the same             | shard lock
   recency.header_bytes, sizes, version, key, value                  | immutable once published (E1)
   a_hash           | writers, who moves it   | once, before E1      | atomic; of any block: R3
   a_deadline       | readers, writers        | touch                | atomic; under the lock
   expiry link      | the shard's writers     | the same             | shard lock
   a_touched_ms     | readers                 | readers, writers     | R1; under a lease or lock
   An entry that was removed belongs to the thread that removed it, then to the retired list. */

typedef struct sarki_link {
    uint32_t next, prev;   /* references of neighbours; anything at an end of the list */
    uint16_t place;        /* wheel slot, or SARKI_IN_FIFO; once removed, the cause */
    uint16_t header_bytes; /* recency link only: where the key begins; one of those below */
} sarki_link;

typedef struct sarki_entry {
    uint32_t block;
    uint32_t value_bytes;
    sarki_a64 a_stamp;
    sarki_link recency;
    sarki_a32 a_hash; /* the upper half: its home in the index */
    uint32_t version_low;
    uint16_t version_high;
    uint16_t key_bytes;
    SARKI_SHADOW
} sarki_entry;

typedef struct sarki_expiry {
    sarki_a64 a_deadline; /* in the clock's unit; SARKI_NEVER */
    sarki_link link;
    sarki_a32 a_touched_ms; /* by the cache's clock, its lower half; only with a touch interval */
} sarki_expiry;

static inline sarki_entry *sarki_entry_at(const char *region, uint32_t ref)
{
    return (sarki_entry *)(void *)((uintptr_t)region + (size_t)ref * SARKI_GRANULE);
}

/* The lines that hold the header and the key, and where a value of usual size begins. */
static inline void sarki_entry_prefetch(const char *region, uint32_t ref)
{
    const char *line = region + (size_t)ref * SARKI_GRANULE;
    sarki_prefetch(line);
    sarki_prefetch(line + 64);
    sarki_prefetch(line + 128);
    sarki_prefetch(line + 192);
}

/* The same for when some other entries have been read. */
static inline void sarki_entry_prefetch_later(const char *region, uint32_t ref)
{
    const char *line = region + (size_t)ref * SARKI_GRANULE;
    for (size_t at = 0; at < 256; at += 64) sarki_prefetch_later(line + at);
}

/* The lines of a block of so many granules, but for what is above 256 bytes, to write there. */
static inline void sarki_entry_prefetch_to_write(const char *region, uint32_t ref,
                                                 uint32_t granules)
{
    const char *line = region + (size_t)ref * SARKI_GRANULE;
    size_t bytes = (size_t)sarki_min32(granules, 256 / SARKI_GRANULE) * SARKI_GRANULE;
    for (size_t at = 0; at < bytes; at += 64) sarki_prefetch_to_write(line + at);
}

/* Bytes before the key: without an expiry part, with one, and with the last touch in it. */
#define SARKI_PLAIN_HEADER ((uint32_t)sizeof(sarki_entry))
#define SARKI_TIMED_HEADER \
    ((uint32_t)(sizeof(sarki_entry) + offsetof(sarki_expiry, link) + sizeof(sarki_link)))

#define SARKI_TOUCHED_HEADER ((uint32_t)(sizeof(sarki_entry) + sizeof(sarki_expiry)))

static inline bool sarki_entry_is_timed(const sarki_entry *entry)
{
    return entry->recency.header_bytes != SARKI_PLAIN_HEADER;
}

/* The expiry part of a timed entry. */
static inline sarki_expiry *sarki_entry_expiry(sarki_entry *entry)
{
    return (sarki_expiry *)(void *)(entry + 1);
}

/* Granules of a block for such an entry. */
static inline uint64_t sarki_entry_granules(uint32_t header_bytes, uint64_t key_bytes,
                                            uint64_t value_bytes)
{
    return (header_bytes + key_bytes + value_bytes + SARKI_GRANULE - 1) / SARKI_GRANULE;
}

/* Granules of an entry's block. */
static inline uint32_t sarki_entry_size(const sarki_entry *entry)
{
    return (uint32_t)sarki_entry_granules(entry->recency.header_bytes, entry->key_bytes,
                                          entry->value_bytes);
}

static inline unsigned char *sarki_entry_key(sarki_entry *entry)
{
    return (unsigned char *)entry + entry->recency.header_bytes;
}

static inline unsigned char *sarki_entry_value(sarki_entry *entry)
{
    return sarki_entry_key(entry) + entry->key_bytes;
}

static inline uint64_t sarki_entry_version(const sarki_entry *entry)
{
    return (uint64_t)entry->version_high << 32 | entry->version_low;
}

static inline uint32_t sarki_entry_hash(const sarki_entry *entry)
{
    return sarki_load32_relaxed(&entry->a_hash); /* order: E1, R4, R3 in a block of any kind */
}

/* The entry's deadline; SARKI_NEVER where it has none. */
static inline int64_t sarki_entry_deadline(sarki_entry *entry)
{
    if (!sarki_entry_is_timed(entry)) return SARKI_NEVER;
    /* order: R4 the lease or lock that protects the entry; touch may change it meanwhile */
    return (int64_t)sarki_load64_relaxed(&sarki_entry_expiry(entry)->a_deadline);
}

/* Overwrites what stands behind the header of an entry that nobody reads, up to its block's end. */
static inline void sarki_entry_wipe(sarki_entry *entry)
{
    size_t bytes = (size_t)sarki_entry_size(entry) * SARKI_GRANULE;
    sarki_wipe(sarki_entry_key(entry), bytes - entry->recency.header_bytes);
}

static inline bool sarki_entry_has_key(sarki_entry *entry, const void *key, size_t key_bytes)
{
    SARKI_BYTES_READ(entry);
    return entry->key_bytes == key_bytes &&
           (key_bytes == 0 || memcmp(sarki_entry_key(entry), key, key_bytes) == 0);
}

/* ---- >>list ----------------------------------------------------------------------------------

   Purpose. Doubly linked lists through the links of entries. A list knows both its ends, so that
   two join in constant time, appending touches one neighbour, and removing the head none: the ends'
   own links do not tell that nothing is beyond them.
   links is the region's address plus the offset of the link within an entry.
   Access. Guarded by the lock of the shard that owns the list. Bounds. Constant. */

typedef struct sarki_list {
    uint32_t head, tail; /* 0: empty */
} sarki_list;

static inline sarki_link *sarki_link_at(char *links, uint32_t ref)
{
    return (sarki_link *)(void *)(links + (size_t)ref * SARKI_GRANULE);
}

static inline void sarki_list_append(char *links, sarki_list *list, uint32_t ref)
{
    sarki_link *link = sarki_link_at(links, ref);
    link->prev = list->tail;
    if (list->tail) sarki_link_at(links, list->tail)->next = ref;
    else list->head = ref;
    list->tail = ref;
}

static inline void sarki_list_remove(char *links, sarki_list *list, uint32_t ref)
{
    sarki_link *link = sarki_link_at(links, ref);
    bool is_head = list->head == ref, is_tail = list->tail == ref;
    if (!is_head) sarki_link_at(links, link->prev)->next = link->next;
    else list->head = is_tail ? 0 : link->next;
    if (is_tail) list->tail = is_head ? 0 : link->prev;
    else if (!is_head) sarki_link_at(links, link->next)->prev = link->prev;
}

/* Puts another entry in an entry's place, with its link. */
static inline void sarki_list_rename(char *links, sarki_list *list, uint32_t ref, uint32_t to)
{
    sarki_link *link = sarki_link_at(links, to);
    *link = *sarki_link_at(links, ref);
    if (list->head == ref) list->head = to;
    else sarki_link_at(links, link->prev)->next = to;
    if (list->tail == ref) list->tail = to;
    else sarki_link_at(links, link->next)->prev = to;
}

/* Moves all of a second list to the end of a first. */
static inline void sarki_list_join(char *links, sarki_list *list, sarki_list *other)
{
    if (!other->head) return;
    if (list->tail) sarki_link_at(links, list->tail)->next = other->head;
    else list->head = other->head;
    sarki_link_at(links, other->head)->prev = list->tail;
    list->tail = other->tail;
    other->head = other->tail = 0;
}

/* ---- >>wheel ---------------------------------------------------------------------------------

   Purpose. Finds entries in the order of 64-bit keys, in bounded steps: a radix heap (Ahuja,
   Mehlhorn, Orlin, Tarjan: Faster algorithms for the shortest path problem) with the digits of a
   hierarchical timing wheel. Recency uses it with stamps as keys, expiry with deadlines.

   Layout. floor is a lower bound of all keys. A key stands at the level of the highest digit in
   which it differs from floor, in the slot of that digit's value:
       level 2   [0][1][2]..[63]    digits 2: entries far from floor, not ordered among themselves
       level 1   [0][1][2]..[63]
       level 0   [0][1][2]..[63]    one key a slot
   A small region has digits of 2 bits instead of 6. A place numbers the slots, level by level.
   The smallest key is in the lowest slot of the lowest level in use. To look inside, floor is
   raised to where that slot begins, and its entries move to lower levels: each entry moves at
   most once a level in its life. The moves are cut into steps: the slot's list becomes "pending",
   and while that is not empty, floor is the lower bound. A pending entry is still counted in the
   slot that it had.

   Invariants. W1 an entry not pending stands in the slot that floor and its key give; one below
   floor counts as floor. W2 a slot with entries has its bit, its word of bits has its own, and no
   other has. W3 an entry's neighbours know it, or it is the end of its list.

   Access. Guarded by the shard's lock; a_floor and the slots' a_count also read by the metrics.

   Bounds. insert, remove: constant; a step of advance: one move; restart: joins all lists.

   Given up. A key below floor needs restart (expiry, when the clock went back) or counts as
   floor (recency). A 4-ary heap needs an array as large as the cache for each shard, and took 350
   ns an eviction at 10^6 entries where this takes 50. */

#define SARKI_IN_FIFO 0xffffu
#define SARKI_WIDE_DIGIT 6u
#define SARKI_NARROW_DIGIT 2u
#define SARKI_WHEEL_WORDS 11u /* 64 bits in digits of 6: 11 levels of 64 slots */

/* A slot; where slots are not counted, the list alone. */
typedef struct sarki_slot_list {
    sarki_list list;
    sarki_a32 a_count; /* of entries, pending ones included */
} sarki_slot_list;

typedef struct sarki_wheel {
    char *links; /* region + offset of this wheel's link in an entry */
    char *slots; /* level_count x (1 << bits), slot_bytes apart */
    uint64_t floor;
    sarki_a64 a_floor;   /* the same, for the metrics */
    sarki_list pending;  /* entries of a slot that was opened, still to be moved */
    uint32_t words_used; /* bit of a word of used: it is not 0 */
    uint16_t bits;       /* of a digit */
    uint16_t slot_bytes;
    uint64_t used[SARKI_WHEEL_WORDS]; /* bit of a place: its slot has entries */
} sarki_wheel;

static inline uint32_t sarki_wheel_levels(uint32_t bits)
{
    return (64 + bits - 1) / bits;
}

static inline uint32_t sarki_wheel_slots(uint32_t bits)
{
    return sarki_wheel_levels(bits) << bits;
}

static inline uint32_t sarki_wheel_place(const sarki_wheel *wheel, uint64_t key)
{
    uint64_t difference = key ^ wheel->floor;
    uint32_t top = difference ? sarki_log2(difference) : 0;
    uint32_t level = wheel->bits == SARKI_WIDE_DIGIT ? top / SARKI_WIDE_DIGIT
                                                     : top / SARKI_NARROW_DIGIT;
    uint32_t digit = (uint32_t)(key >> level * wheel->bits) & ((1u << wheel->bits) - 1);
    return level << wheel->bits | digit;
}

static inline sarki_slot_list *sarki_wheel_slot_at(const sarki_wheel *wheel, uint32_t place)
{
    return (sarki_slot_list *)(void *)(wheel->slots + (size_t)place * wheel->slot_bytes);
}

static inline void sarki_wheel_count(const sarki_wheel *wheel, sarki_slot_list *slot,
                                     uint32_t change)
{
    if (wheel->slot_bytes < sizeof(sarki_slot_list)) return;
    /* order: R1, R4 the shard's lock */
    sarki_store32_relaxed(&slot->a_count, sarki_load32_relaxed(&slot->a_count) + change);
}

/* Puts an entry into the slot of its key. */
static void sarki_wheel_insert(sarki_wheel *wheel, uint32_t ref, uint64_t key)
{
    uint32_t place = sarki_wheel_place(wheel, sarki_max64(key, wheel->floor));
    sarki_slot_list *slot = sarki_wheel_slot_at(wheel, place);
    bool was_empty = slot->list.head == 0;
    sarki_list_append(wheel->links, &slot->list, ref);
    sarki_wheel_count(wheel, slot, 1);
    sarki_link_at(wheel->links, ref)->place = (uint16_t)place;
    if (!was_empty) return;
    wheel->used[place / 64] |= (uint64_t)1 << place % 64;
    wheel->words_used |= 1u << place / 64;
}

static void sarki_wheel_slot_emptied(sarki_wheel *wheel, uint32_t place)
{
    wheel->used[place / 64] &= ~((uint64_t)1 << place % 64);
    if (!wheel->used[place / 64]) wheel->words_used &= ~(1u << place / 64);
}

/* The list by which an entry leaves: its slot's, or the pending ones, whose place is the slot they
   had. An end of the slot's list is known to it; an entry between others leaves any list the same
   way. */
static inline sarki_list *sarki_wheel_list_of(sarki_wheel *wheel, uint32_t ref)
{
    sarki_list *list = &sarki_wheel_slot_at(wheel, sarki_link_at(wheel->links, ref)->place)->list;
    return list->head == ref || list->tail == ref ? list : &wheel->pending;
}

/* Takes an entry out of the wheel. */
static void sarki_wheel_remove(sarki_wheel *wheel, uint32_t ref)
{
    uint32_t place = sarki_link_at(wheel->links, ref)->place;
    sarki_list *list = sarki_wheel_list_of(wheel, ref);
    sarki_list_remove(wheel->links, list, ref);
    sarki_wheel_count(wheel, sarki_wheel_slot_at(wheel, place), 0u - 1u);
    if (list != &wheel->pending && !list->head) sarki_wheel_slot_emptied(wheel, place);
}

typedef struct sarki_slot {
    uint32_t place;
    uint64_t low, high; /* the keys that belong there, both inclusive */
} sarki_slot;

/* The slot of a place number, given the digit size and the floor. */
static inline sarki_slot sarki_wheel_slot(uint32_t bits, uint64_t floor, uint32_t place)
{
    uint32_t shift = (place >> bits) * bits;
    uint64_t digit = place & ((1u << bits) - 1);
    uint32_t above = shift + bits;
    sarki_slot slot = {place, digit << shift, 0};
    if (above < 64) slot.low |= floor >> above << above;
    slot.high = slot.low | (((uint64_t)1 << shift) - 1);
    return slot;
}

/* The lowest slot with entries; false where there is none. */
static inline bool sarki_wheel_lowest(const sarki_wheel *wheel, sarki_slot *slot)
{
    if (!wheel->words_used) return false;
    uint32_t word = sarki_lowest_bit(wheel->words_used);
    uint32_t place = word * 64 + sarki_lowest_bit(wheel->used[word]);
    *slot = sarki_wheel_slot(wheel->bits, wheel->floor, place);
    return true;
}

/* Whether an entry is alone in the lowest slot, and nothing is pending. */
static inline bool sarki_wheel_is_lowest(const sarki_wheel *wheel, uint32_t ref)
{
    sarki_slot slot;
    if (wheel->pending.head || !sarki_wheel_lowest(wheel, &slot)) return false;
    const sarki_list *list = &sarki_wheel_slot_at(wheel, slot.place)->list;
    return list->head == ref && list->tail == ref;
}

/* No key is below this; SARKI_NONE in an empty wheel. */
static inline uint64_t sarki_wheel_bound(const sarki_wheel *wheel)
{
    sarki_slot slot;
    if (wheel->pending.head) return wheel->floor;
    return sarki_wheel_lowest(wheel, &slot) ? slot.low : SARKI_NONE;
}

static inline void sarki_wheel_set_floor(sarki_wheel *wheel, uint64_t floor)
{
    wheel->floor = floor;
    sarki_store64_relaxed(&wheel->a_floor, floor); /* order: R1, R4 the shard's lock */
}

/* Makes the entries of the lowest slot pending; nothing may be pending before. */
static void sarki_wheel_open(sarki_wheel *wheel, const sarki_slot *slot)
{
    sarki_wheel_set_floor(wheel, slot->low);
    sarki_list_join(wheel->links, &wheel->pending, &sarki_wheel_slot_at(wheel, slot->place)->list);
    sarki_wheel_slot_emptied(wheel, slot->place);
}

/* Puts an entry where its key belongs now. */
static inline void sarki_wheel_replace(sarki_wheel *wheel, uint32_t ref, uint64_t key)
{
    sarki_wheel_remove(wheel, ref);
    sarki_wheel_insert(wheel, ref, key);
}

/* Lowers floor: all entries become pending. */
static void sarki_wheel_restart(sarki_wheel *wheel, uint64_t floor)
{
    sarki_slot slot;
    while (sarki_wheel_lowest(wheel, &slot)) {
        sarki_list_join(wheel->links, &wheel->pending,
                        &sarki_wheel_slot_at(wheel, slot.place)->list);
        sarki_wheel_slot_emptied(wheel, slot.place);
    }
    sarki_wheel_set_floor(wheel, floor);
}

static void sarki_wheel_create(sarki_wheel *wheel, char *links, char *slots, size_t slot_bytes,
                               uint32_t bits)
{
    wheel->links = links;
    wheel->slots = slots;
    wheel->slot_bytes = (uint16_t)slot_bytes;
    wheel->bits = (uint16_t)bits;
}

/* ---- >>stamp ---------------------------------------------------------------------------------

   Purpose. A number for each hit and insert that says which came first. The processor's counter
   where it is invariant and fine enough, else one shared atomic counter. Never the cache's clock.

   Layout. Multiples of 32; below them an entry's stamp has flags, and three bits of the number of
   the slot that gave it (>>lease). PLACED: written by an insert, or by a writer that has placed the
   entry by this stamp; a hit clears it. MARKED: there may be a later stamp beside a lease
   (>>resident). PLACED and not MARKED: nobody touched the entry since.

   Invariants. T1 the stamps that one lease slot (to one thread) or one shard hands out grow
   strictly; a hit takes longer than their least distance, so that none runs ahead of the time.

   A counter that went back (a virtual machine that moved, a resume) is found by the next insert
   into, or search for a victim in, a shard whose last stamp is far above; from then on all add an
   offset.

   Given up. Threads whose slots have equal bits do not see each other in a stamp. Two threads that
   touch entries less than a microsecond apart may be seen in either order; hits of a batch count as
   of its beginning, unless they see that something came since (>>batch). A reader that is stopped
   between reading its stamp and storing it may set the entry back to that moment, its mark
   included; its call overlaps all that happened since. Past 2^64 stamps begin anew, and the order
   of recency is lost. */

#define SARKI_PLACED ((uint64_t)1)
#define SARKI_MARKED ((uint64_t)2)
#define SARKI_STAMP_FLAGS ((uint64_t)3)
#define SARKI_STAMP_SLOT ((uint64_t)28)
#define SARKI_STAMP_STEP ((uint64_t)32)

/* So far, in units, a counter may be behind a stamp of another processor: 1 to 4 ms. */
#define SARKI_STAMP_SKEW ((uint64_t)1 << 24)

typedef struct sarki_stamps {
    int shift; /* of the processor's counter; -1: use a_count */
    sarki_a64 a_count;
    sarki_a64 a_offset; /* added to the processor's counter; only grows */
} sarki_stamps;

/* A stamp without what stands below it: the key of an entry in the order of recency. */
static inline uint64_t sarki_stamp_key(uint64_t stamp)
{
    return stamp & ~(SARKI_STAMP_STEP - 1);
}

/* The offset is read first: a counter that goes back meanwhile, and an offset that was raised for
   it, would give a stamp of the future. */
static inline uint64_t sarki_stamp_now(sarki_stamps *stamps)
{
    if (stamps->shift >= 0) {
        uint64_t offset = sarki_load64_relaxed(&stamps->a_offset); /* order: R1 */
        return sarki_stamp_key((sarki_counter() << stamps->shift) + offset);
    }
    /* order: R1, unique by itself */
    return sarki_add64_relaxed(&stamps->a_count, SARKI_STAMP_STEP) + SARKI_STAMP_STEP;
}

/* Now, for a call that will stamp later; 0 where stamps are counted: a count must be read when it
   is used (sarki_hit_stamp). */
static inline uint64_t sarki_stamp_early(sarki_stamps *stamps)
{
    return SARKI_LIKELY(stamps->shift >= 0) ? sarki_stamp_now(stamps) : 0;
}

/* So much later than now no stamp is that was given before, even if its thread was faster than a
   coarse counter. */
static inline uint64_t sarki_stamp_lead(const sarki_stamps *stamps)
{
    return SARKI_STAMP_STEP << (stamps->shift > 0 ? stamps->shift : 0);
}

static inline uint64_t sarki_stamp_soon(sarki_stamps *stamps)
{
    return sarki_stamp_now(stamps) + sarki_stamp_lead(stamps);
}

/* The next stamp of a lease slot or shard whose last one is *a_last. */
static inline uint64_t sarki_stamp_next(uint64_t now, sarki_a64 *a_last)
{
    /* order: R2 the holder of a lease, R4 the shard's lock, R1 see >>lease */
    uint64_t stamp = sarki_max64(now, sarki_load64_relaxed(a_last) + SARKI_STAMP_STEP);
    sarki_store64_relaxed(a_last, stamp); /* order: R2, R4 as above */
    return stamp;
}

/* Raises the offset where the counter is far below a stamp that was given before. */
SARKI_COLD void sarki_stamps_mend(sarki_stamps *stamps, uint64_t last)
{
    uint64_t offset = sarki_load64_relaxed(&stamps->a_offset); /* order: R3 the swap */
    uint64_t now = sarki_stamp_now(stamps);
    if (last <= now + SARKI_STAMP_SKEW) return;
    sarki_cas64_relaxed(&stamps->a_offset, offset, /* order: R1; else another has raised it */
                        offset + (last - now) / SARKI_STAMP_STEP * SARKI_STAMP_STEP);
}

/* Now, for a shard whose last stamp is *a_last: there it is seen whether the counter went back. */
static inline uint64_t sarki_stamp_mended(sarki_stamps *stamps, const sarki_a64 *a_last)
{
    uint64_t last = sarki_load64_relaxed(a_last), now = sarki_stamp_now(stamps); /* order: R1, R4 */
    if (SARKI_LIKELY(stamps->shift < 0 || last <= now + SARKI_STAMP_SKEW)) return now;
    sarki_stamps_mend(stamps, last);
    return sarki_stamp_now(stamps);
}

/* What a hit does: the stamp becomes the entry's last access, unless that is later already. */
static inline void sarki_entry_touch(sarki_entry *entry, uint64_t stamp)
{
    uint64_t last = sarki_load64_relaxed(&entry->a_stamp); /* order: R1, see "Given up" */
    if (last < stamp) /* order: R1 */
        sarki_store64_relaxed(&entry->a_stamp, stamp | (last & SARKI_MARKED));
}

/* The same where a mark may be set meanwhile, which must not be lost. */
static inline void sarki_entry_raise(sarki_entry *entry, uint64_t stamp)
{
    uint64_t last = sarki_load64_relaxed(&entry->a_stamp); /* order: R3 the swap */
    while (last < stamp && /* order: R1 */
           !sarki_cas64_relaxed(&entry->a_stamp, last, stamp | (last & SARKI_MARKED)))
        last = sarki_load64_relaxed(&entry->a_stamp); /* order: R3 the swap */
}

static inline bool sarki_stamp_is_placed(uint64_t stamp)
{
    return (stamp & SARKI_STAMP_FLAGS) == SARKI_PLACED;
}

/* The stamp of a slot. */
static inline uint64_t sarki_stamp_from(uint64_t stamp, uint32_t slot)
{
    return stamp | (uint64_t)(slot << 2 & SARKI_STAMP_SLOT);
}

/* Whether an entry whose last stamp this was is hit by several threads all the time, of which one
   has a new stamp now. */
static inline bool sarki_stamp_is_hot(uint64_t last, uint64_t stamp)
{
    if (((last ^ stamp) & (SARKI_STAMP_SLOT | SARKI_STAMP_FLAGS)) == 0) return false;
    return (last & SARKI_MARKED) || (!(last & SARKI_PLACED) && stamp < last + SARKI_HOT_UNITS);
}

#ifndef SARKI_IS_HOT
#define SARKI_IS_HOT(last, stamp) sarki_stamp_is_hot((last), (stamp))
#endif

/* ---- >>index ---------------------------------------------------------------------------------

   Purpose. From a hash to the reference of an entry, read without a lock.

   Layout. Buckets of one cache line:
       [10 tags of 16 bits in 5 words][10 references][overflow]
   A key's home bucket comes from the upper half of its hash, its tag from the lowest 16 bits. If
   the home is full the key stands in one of the next buckets, and the overflow of each bucket
   that it passed counts it. Reference 0 is a free slot, 1 a claimed one.

   Invariants. X1 a live key stands in one slot, from insert to removal; replacing it swaps the
   reference in place. X2 its tag is that slot's. X3 each bucket between its home and its own
   counts it. X4 tag and shard: the shard is part of the tag, so equal tags are of one shard.

   Why a miss is true. A key that is there throughout a lookup stands in one slot throughout, and
   the overflow counts lead there. So who does not find it saw a moment at which it was absent.

   Access.
   field      | who reads           | who writes                          | order
   refs       | anybody             | claim: any writer; then its owner   | E1, E2, E10
   tags       | anybody             | who claimed the slot                | R5, then E1
   overflow   | anybody             | who inserts or removes a key        | R3: leads to refs

   Bounds. With 1.6 slots an entry, after long churn at capacity, a hit reads 1.09 buckets and a
   miss 1.47 (with 1.4 slots 1.24 and 2.78); with equal hashes all of them.

   Given up. Removing a key does not bring others nearer to their home. */

#ifndef SARKI_SLOTS
#define SARKI_SLOTS 10u
#endif
#define SARKI_CLAIMED 1u

typedef struct sarki_bucket {
    sarki_a32 a_tags[SARKI_SLOTS / 2];
    sarki_a32 a_refs[SARKI_SLOTS];
    sarki_a32 a_overflow;
} sarki_bucket;

typedef struct sarki_index {
    sarki_bucket *buckets;
    uint32_t bucket_count;
    sarki_a32 a_longest_chain; /* buckets that the longest lookup so far has to read */
} sarki_index;

/* A slot of the index. */
typedef struct sarki_spot {
    uint32_t bucket, slot;
} sarki_spot;

/* What a call looks for. */
typedef struct sarki_query {
    const void *key;
    size_t key_bytes;
    uint32_t hash; /* the upper half of the key's hash */
    uint32_t tag;
} sarki_query;

/* Raises what only grows, such as a peak. */
static inline void sarki_raise32(sarki_a32 *a_most, uint32_t value)
{
    uint32_t most = sarki_load32_relaxed(a_most); /* order: R3 the swap */
    while (value > most && !sarki_cas32_relaxed(a_most, most, value)) /* order: R1, or R2 */
        most = sarki_load32_relaxed(a_most); /* order: R3 the swap */
}

static inline uint32_t sarki_index_home(const sarki_index *index, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * index->bucket_count >> 32);
}

/* Asks for a hash's home, to read it or to write there. */
SARKI_HOT void sarki_index_prefetch(const sarki_index *index, uint32_t hash)
{
    sarki_prefetch(&index->buckets[sarki_index_home(index, hash)]);
}

static inline void sarki_index_prefetch_to_write(const sarki_index *index, uint32_t hash)
{
    sarki_prefetch_to_write(&index->buckets[sarki_index_home(index, hash)]);
}

static inline uint32_t sarki_index_next(const sarki_index *index, uint32_t bucket)
{
    return bucket + 1 < index->bucket_count ? bucket + 1 : 0;
}

/* Two words of tags as one; the second counts as different from any tag where there is none. */
static inline uint64_t sarki_tags_apart(const sarki_bucket *bucket, uint32_t word, uint32_t pair)
{
    /* order: R3 the re-check, or R4 the lock of the tag's shard */
    uint64_t apart = sarki_load32_relaxed(&bucket->a_tags[word]) ^ pair;
    if (word + 1 >= SARKI_SLOTS / 2) return apart | (uint64_t)UINT32_MAX << 32;
    /* order: R3, R4 as above */
    return apart | (uint64_t)(sarki_load32_relaxed(&bucket->a_tags[word + 1]) ^ pair) << 32;
}

/* Which of four slots have a tag, from a group of slots on. Adding 0x7fff carries into the highest
   bit of a 16-bit lane unless the lane is zero. */
static inline uint64_t sarki_group_match(const sarki_bucket *bucket, uint32_t group, uint32_t pair)
{
    const uint64_t low_bits = 0x7fff7fff7fff7fffu;
    if (group * 4 >= SARKI_SLOTS) return 0;
    uint64_t apart = sarki_tags_apart(bucket, 2 * group, pair);
    return ~(((apart & low_bits) + low_bits) | apart | low_bits) >> 15 << group;
}

/* The slots of a bucket whose tag this is. Bit 16 * l + g stands for slot 4 * g + l. */
static inline uint64_t sarki_bucket_match(const sarki_bucket *bucket, uint32_t tag)
{
    uint32_t pair = tag << 16 | tag;
    return sarki_group_match(bucket, 0, pair) | sarki_group_match(bucket, 1, pair) |
           sarki_group_match(bucket, 2, pair);
}

/* The first slot of a match. */
static inline uint32_t sarki_match_slot(uint64_t matches)
{
    uint32_t bit = sarki_lowest_bit(matches);
    return bit % 16 * 4 + bit / 16;
}

/* Asks for the entry that most likely has a key, whose home is there already. */
static inline void sarki_index_prefetch_entry(const sarki_index *index, const char *region,
                                              const sarki_query *query)
{
    const sarki_bucket *bucket = &index->buckets[sarki_index_home(index, query->hash)];
    uint64_t matches = sarki_bucket_match(bucket, query->tag);
    if (!matches) return;
    /* order: R3 nothing is read there */
    uint32_t ref = sarki_load32_relaxed(&bucket->a_refs[sarki_match_slot(matches)]);
    sarki_entry_prefetch_later(region, ref);
}

static inline uint32_t sarki_bucket_tag(const sarki_bucket *bucket, uint32_t slot)
{
    /* order: R3 the caller re-checks; after an acquire load of the ref, as new as the ref (E1) */
    return sarki_load32_relaxed(&bucket->a_tags[slot / 2]) >> slot % 2 * 16 & 0xffffu;
}

/* Whether slots of a bucket hold a reference, as bits. All are looked at, without a branch: which
   one it is no processor can foresee. */
static inline uint32_t sarki_bucket_holding(const sarki_bucket *bucket, uint32_t ref)
{
    uint32_t slots = 0;
    for (uint32_t i = SARKI_SLOTS; i > 0; i--) /* order: R3 the caller, or R4 the ref's shard */
        slots = slots << 1 | (sarki_load32_relaxed(&bucket->a_refs[i - 1]) == ref);
    return slots;
}

/* Claims a free slot of a bucket; false where there is none. */
static bool sarki_bucket_claim(sarki_bucket *bucket, uint32_t *slot)
{
    for (uint32_t slots = sarki_bucket_holding(bucket, 0); slots; slots &= slots - 1) {
        uint32_t i = sarki_lowest_bit(slots);
        /* order: E10 with the store of 0 by whoever left the slot: its tag is the last one */
        if (!sarki_cas32_acquire(&bucket->a_refs[i], 0, SARKI_CLAIMED)) continue;
        *slot = i;
        return true;
    }
    return false;
}

/* Inserts a key that is absent. The shard's lock is held, and a place is reserved: so there is
   a free slot. */
SARKI_REQUIRES(shard)
static void sarki_index_insert_locked(sarki_index *index, const sarki_query *query, uint32_t ref)
{
    uint32_t home = sarki_index_home(index, query->hash), at = home, slot = 0, chain = 1;
    while (!sarki_bucket_claim(&index->buckets[at], &slot)) at = sarki_index_next(index, at);
    for (uint32_t b = home; b != at; b = sarki_index_next(index, b), chain++)
        sarki_add32_relaxed(&index->buckets[b].a_overflow, 1); /* order: R5, then E1 */
    sarki_bucket *bucket = &index->buckets[at];
    uint32_t change = sarki_bucket_tag(bucket, slot) ^ query->tag;
    /* order: R5 published with the ref; the neighbour's half is left alone */
    sarki_xor32_relaxed(&bucket->a_tags[slot / 2], change << slot % 2 * 16);
    sarki_store32_release(&bucket->a_refs[slot], ref); /* order: E1, weakly ordered CPUs */
    sarki_raise32(&index->a_longest_chain, chain);
}

/* Puts another entry of the same key into its slot, which removes the one before. */
SARKI_REQUIRES(shard)
static inline void sarki_index_replace_locked(sarki_index *index, sarki_spot spot, uint32_t ref)
{
    /* order: E1, E2 needed on x86 too */
    sarki_store32_seq_cst(&index->buckets[spot.bucket].a_refs[spot.slot], ref);
}

/* Removes a key, and then uncounts it in the buckets that it passed. */
SARKI_REQUIRES(shard)
static void sarki_index_remove_locked(sarki_index *index, sarki_spot spot, uint32_t hash)
{
    /* order: E2 needed on x86 too */
    sarki_store32_seq_cst(&index->buckets[spot.bucket].a_refs[spot.slot], 0);
    for (uint32_t b = sarki_index_home(index, hash); b != spot.bucket;
         b = sarki_index_next(index, b))
        sarki_sub32_relaxed(&index->buckets[b].a_overflow, 1); /* order: R3 leads to refs */
}

/* Looks a key up; its shard's lock is held, which keeps every entry of that shard in place. A tag
   of another shard may be changing: it is read again after the ref that it belongs to. */
SARKI_REQUIRES(shard)
static uint32_t sarki_index_find_locked(const sarki_index *index, const char *region,
                                        const sarki_query *query, sarki_spot *spot)
{
    uint32_t b = sarki_index_home(index, query->hash);
    for (uint32_t hops = 0; hops < index->bucket_count; hops++) {
        const sarki_bucket *bucket = &index->buckets[b];
        for (uint64_t m = sarki_bucket_match(bucket, query->tag); m; m &= m - 1) {
            uint32_t slot = sarki_match_slot(m);
            uint32_t ref = sarki_load32_acquire(&bucket->a_refs[slot]); /* order: E1 */
            if (ref <= SARKI_CLAIMED || sarki_bucket_tag(bucket, slot) != query->tag) continue;
            if (!sarki_entry_has_key(sarki_entry_at(region, ref), query->key, query->key_bytes))
                continue;
            spot->bucket = b;
            spot->slot = slot;
            return ref;
        }
        if (sarki_load32_relaxed(&bucket->a_overflow) == 0) return 0; /* order: R4 for this key */
        b = sarki_index_next(index, b);
    }
    return 0;
}

/* Whether a key is surely absent at some moment of the call. No lock is needed. */
static bool sarki_index_absent(const sarki_index *index, const sarki_query *query)
{
    uint32_t b = sarki_index_home(index, query->hash);
    for (uint32_t hops = 0; hops < index->bucket_count; hops++) {
        const sarki_bucket *bucket = &index->buckets[b];
        for (uint64_t m = sarki_bucket_match(bucket, query->tag); m; m &= m - 1) /* order: R3 */
            if (sarki_load32_relaxed(&bucket->a_refs[sarki_match_slot(m)]) > SARKI_CLAIMED)
                return false;
        if (sarki_load32_relaxed(&bucket->a_overflow) == 0) return true; /* order: R3 a hint */
        b = sarki_index_next(index, b);
    }
    return true;
}

/* Looks for the slot that holds a reference, with no lock: what it finds has to be looked at again
   under the lock of its shard. hash may be anything. */
static bool sarki_index_spot(const sarki_index *index, uint32_t hash, uint32_t ref,
                             sarki_spot *spot)
{
    spot->bucket = sarki_index_home(index, hash);
    for (uint32_t hops = 0; hops < index->bucket_count; hops++) {
        const sarki_bucket *bucket = &index->buckets[spot->bucket];
        uint32_t slots = sarki_bucket_holding(bucket, ref);
        if (slots) {
            spot->slot = sarki_lowest_bit(slots);
            return true;
        }
        if (sarki_load32_relaxed(&bucket->a_overflow) == 0) return false; /* order: R3 a hint */
        spot->bucket = sarki_index_next(index, spot->bucket);
    }
    return false;
}

/* The slot of an entry that is in the index; its shard's lock is held. */
SARKI_REQUIRES(shard)
static sarki_spot sarki_index_spot_locked(const sarki_index *index, uint32_t hash, uint32_t ref)
{
    sarki_spot spot = {sarki_index_home(index, hash), 0};
    uint32_t slots = 0;
    while ((slots = sarki_bucket_holding(&index->buckets[spot.bucket], ref)) == 0)
        spot.bucket = sarki_index_next(index, spot.bucket);
    spot.slot = sarki_lowest_bit(slots);
    return spot;
}

/* ---- >>lease ---------------------------------------------------------------------------------

   Purpose. Protects what a reader reads, without a lock: hazard pointers (Michael: Hazard
   pointers, safe memory reclamation for lock-free objects) without registration. A reader claims
   any free slot, which publishes the reference it is about to read, looks again that the index
   still holds it, and only then reads the entry, its key included. Who removes an entry unlinks
   it first, then scans: what no slot names is free. A stalled reader holds back one entry.

   Layout. A slot begins with the lease, then what its holder writes, then counters of the threads
   at home here; after it come its resident words, but in a small region. Pins are leases that are
   kept, in an array of their own, so that they never cost a hit its lease.

   Home slots. Hints map a thread to the slot that it tries first; they only place, and are never
   trusted. A thread that finds its home taken, or finds again and again that somebody else was
   there, takes another home.

   Invariants. L1 a slot is claimed only below slots_used. L2 an entry is read only after the
   re-check, and freed only after a scan that found it nowhere.

   Access.
   field             | who reads        | who writes                        | order
   a_ref             | scans            | claim: anybody; then its holder   | E2 to E5
   a_hits            | metrics          | the holder of the lease           | R2
   a_last_stamp      | who writes it    | the same, or of a resident word   | R2; R1 in overlap
   a_misses ...      | metrics          | anybody whose home this is        | R1, read-modify-write
   a_moving          | scans            | who makes room (>>moving)         | R4 of the shard, E5
   a pin's a_ref     | scans            | claim: anybody; then who unpins   | E3 to E5
   a_sequence        | who looks at pins| who claimed it; one unpin, a swap | E9, R3
   a_visitor         | fork_child, unpin| who claimed it                    | R2

   Bounds. claim: 8 probes, then the caller takes the shard's lock. */

#define SARKI_HINT_PROBES 4u
#define SARKI_STRANGERS 16u /* so many visits by others, then the home is given up */

typedef struct sarki_lease {
    sarki_a32 a_ref;
    sarki_a32 a_owner;        /* tag of the thread that came last */
    sarki_a64 a_last_stamp;
    sarki_a64 a_hits;
    sarki_a32 a_strangers;
    sarki_a32 a_sample_tick;  /* calls, for the sampling of latencies */
    sarki_a64 a_pin_hits;
    sarki_a64 a_misses;
    sarki_a64 a_misses_expired;
    sarki_a64 a_short_buffers;
} sarki_lease;

typedef struct sarki_pin {
    sarki_a32 a_ref;
    sarki_a32 a_sequence; /* grows with each pin and unpin; odd while it is out */
    sarki_a32 a_visitor;  /* hash of the thread whose walk has it; 0: somebody has a token */
} sarki_pin;

typedef struct sarki_leases {
    char *region;           /* granule 0 */
    char *slots;            /* lease_count slots, spacing apart */
    sarki_pin *pins;
    sarki_stamps *stamps;   /* the cache's */
    sarki_a32 *a_hints;     /* thread tag << 16 | slot + 1 */
    uint32_t lease_count, pin_count, hint_mask;
    bool has_residents;
    size_t spacing;
    sarki_a32 a_slots_used; /* slots at and above were never claimed */
    sarki_a32 a_moving;     /* the entry that is being moved (>>moving); 0: none */
    sarki_a32 a_next_home;
} sarki_leases;

static inline sarki_lease *sarki_lease_at(const sarki_leases *leases, uint32_t slot)
{
    return (sarki_lease *)(void *)(leases->slots + slot * leases->spacing);
}

/* A number of the calling thread, never 0, whose upper half is its tag among the hints. */
static inline uint32_t sarki_thread_hash(void)
{
    return (uint32_t)((uint64_t)sarki_thread_id() * 0x9e3779b97f4a7c15u >> 32) | 0x10000u;
}

static inline sarki_a32 *sarki_hint_at(const sarki_leases *leases, uint32_t thread, uint32_t probe)
{
    return &leases->a_hints[(thread + probe) & leases->hint_mask];
}

/* Makes a slot the thread's home. */
static void sarki_home_assign(sarki_leases *leases, uint32_t thread, uint32_t slot)
{
    uint32_t tag = thread >> 16, chosen = tag % SARKI_HINT_PROBES;
    for (uint32_t probe = SARKI_HINT_PROBES; probe-- > 0;) {
        uint32_t hint = sarki_load32_relaxed(sarki_hint_at(leases, thread, probe)); /* order: R1 */
        if (hint == 0 || hint >> 16 == tag) chosen = probe;
        if (hint >> 16 == tag) break;
    }
    for (;;) {
        /* order: E6, argued: acquire would do in C11; in C++20, made for POWER, it would not */
        uint32_t used = sarki_load32_seq_cst(&leases->a_slots_used);
        if (used > slot) break;
        /* order: E6 needed on x86 too */
        if (sarki_cas32_seq_cst(&leases->a_slots_used, used, slot + 1)) break;
    }
    /* order: E7 only on weakly ordered CPUs */
    sarki_store32_release(sarki_hint_at(leases, thread, chosen), tag << 16 | (slot + 1));
}

/* Gives a thread the next home in turn. */
SARKI_COLD uint32_t sarki_home_next(sarki_leases *leases, uint32_t thread)
{
    /* order: R1 it only spreads threads */
    uint32_t slot = sarki_add32_relaxed(&leases->a_next_home, 1) % leases->lease_count;
    sarki_home_assign(leases, thread, slot);
    return slot;
}

/* The slot that a thread tries first. */
SARKI_HOT uint32_t sarki_home(sarki_leases *leases, uint32_t thread)
{
    for (uint32_t probe = 0; probe < SARKI_HINT_PROBES; probe++) {
        uint32_t hint = sarki_load32_acquire(sarki_hint_at(leases, thread, probe)); /* order: E7 */
        if (hint >> 16 == thread >> 16) return (hint & 0xffffu) - 1;
    }
    return sarki_home_next(leases, thread);
}

/* Claims another slot than a home that is taken, and makes it the home. NULL after 8 probes. */
SARKI_COLD sarki_lease *sarki_lease_claim_elsewhere(sarki_leases *leases, uint32_t thread,
                                                    uint32_t home, uint32_t ref)
{
    for (uint32_t probe = 1; probe < SARKI_LEASE_PROBES; probe++) {
        uint32_t slot = (home + probe) % leases->lease_count;
        sarki_lease *lease = sarki_lease_at(leases, slot);
        if (sarki_load32_relaxed(&lease->a_ref) != 0) continue; /* order: R3 the swap below */
        sarki_home_assign(leases, thread, slot);
        if (sarki_cas32_seq_cst(&lease->a_ref, 0, ref)) return lease; /* order: E3, on x86 too */
    }
    return NULL;
}

/* Somebody else was here last: after a few times the thread looks for another home. */
SARKI_COLD void sarki_lease_shared(sarki_leases *leases, sarki_lease *lease, uint32_t thread)
{
    /* order: R2 the lease is held */
    uint32_t strangers = sarki_load32_relaxed(&lease->a_strangers) + 1;
    sarki_store32_relaxed(&lease->a_strangers, strangers); /* order: R2 */
    sarki_store32_relaxed(&lease->a_owner, thread);        /* order: R2 */
    if (strangers % SARKI_STRANGERS == 0) sarki_home_next(leases, thread);
}

/* Publishes that the calling thread is about to read ref. NULL: no slot is free. */
SARKI_HOT sarki_lease *sarki_lease_claim(sarki_leases *leases, uint32_t thread, uint32_t home,
                                         uint32_t ref)
{
    sarki_lease *lease = sarki_lease_at(leases, home);
    if (!SARKI_LIKELY(sarki_cas32_seq_cst(&lease->a_ref, 0, ref))) /* order: E3, on x86 too */
        return sarki_lease_claim_elsewhere(leases, thread, home, ref);
    if (!SARKI_LIKELY(sarki_load32_relaxed(&lease->a_owner) == thread)) /* order: R2 it is held */
        sarki_lease_shared(leases, lease, thread);
    return lease;
}

/* Claims a free pin for ref; NULL: none is free. */
static sarki_pin *sarki_pin_claim(sarki_leases *leases, uint32_t ref)
{
    for (uint32_t i = 0; i < leases->pin_count; i++) {
        sarki_a32 *a_ref = &leases->pins[i].a_ref;
        if (sarki_load32_relaxed(a_ref) == 0 &&   /* order: R3 the swap */
            sarki_cas32_seq_cst(a_ref, 0, ref))   /* order: E3 needed on x86 too */
            return &leases->pins[i];
    }
    return NULL;
}

/* Reads which references are protected, into refs: room for all leases and pins, and one more.
   Returns their number. Whatever was unlinked before this call and is not among them may be
   freed. */
static uint32_t sarki_leases_scan(const sarki_leases *leases, uint32_t *refs)
{
    uint32_t count = 0;
    uint32_t used = sarki_load32_seq_cst(&leases->a_slots_used); /* order: E6 needed on x86 too */
    uint32_t moving = sarki_load32_acquire(&leases->a_moving);   /* order: E5; R4 its naming */
    if (moving) refs[count++] = moving;
    for (uint32_t i = 0; i < used; i++) {
        uint32_t ref = sarki_load32_seq_cst(&sarki_lease_at(leases, i)->a_ref); /* order: E4, E5 */
        if (ref) refs[count++] = ref;
    }
    for (uint32_t i = 0; i < leases->pin_count; i++) {
        uint32_t ref = sarki_load32_seq_cst(&leases->pins[i].a_ref); /* order: E4, E5 */
        if (ref) refs[count++] = ref;
    }
    return count;
}

/* ---- >>resident ------------------------------------------------------------------------------

   Purpose. Where several threads hit one entry all the time, a stamp in it would pull its line from
   processor to processor at each hit. So the lease of a hot entry stays in the reader's slot, with
   the stamp beside it, and the entry is only marked: "there are later stamps elsewhere".

   Layout. A slot has 8 words, in one line, and for each of them a stamp and a count of hits. The
   number of an entry's block names the one word of a slot that it may have. A word is
       [uses: 32 bits][block: 30][EMPTY, BUSY, RESIDENT or TAKEN: 2]

   A hit on a hot entry:  word RESIDENT -> BUSY, which is the lease; the lookup's re-check;
                          stamp beside the word; mark the entry, if it is not marked;
                          word BUSY -> RESIDENT, one more use
   A hit on another one,  word RESIDENT -> TAKEN; give the stamp back to the entry before;
   that takes the word:   word -> BUSY with this entry; go on as above
   A writer that wants    clear the mark; in each slot: RESIDENT: read the stamp, word -> EMPTY
   the entry's stamp:     if it was not used meanwhile; BUSY: the entry counts as touched now;
                          TAKEN: read the stamp

   Invariants. H1 where a word has a later stamp than its entry, the entry is marked, or the word
   BUSY. H2 no word names a block that is free: who frees it empties those words first, and
   keeps the block where one is BUSY or TAKEN. H3 a reader fills a word while its ordinary lease
   names the entry; a scan reads the ordinary leases first.

   Access.
   field            | who reads          | who writes                              | order
   a_words          | slot's threads,    | to BUSY: slot's threads; then its owner | E4, E12, E13
                    | writers            | RESIDENT to EMPTY: writers              |
   a_stamp, a_hits  | writers, metrics   | who made the word BUSY                  | R2, then E13

   Bounds. A hit tries one word. A writer reads one word a slot; one that was used meanwhile three
   times counts as BUSY.

   Given up. A get that a writer meets while the word is BUSY counts as a touch even if it ends
   as none (SHORT_BUFFER, or another key with the same tag). */

#define SARKI_RESIDENT_WAYS 8u
#define SARKI_WORD_EMPTY 0u
#define SARKI_WORD_BUSY 1u
#define SARKI_WORD_RESIDENT 2u
#define SARKI_WORD_TAKEN 3u /* its entry gets its stamp back, as another one takes the word */
#define SARKI_WORD_USE ((uint64_t)1 << 32)

typedef struct sarki_resident {
    sarki_a64 a_stamp, a_hits;
} sarki_resident;

typedef struct sarki_residents {
    sarki_a64 a_words[SARKI_RESIDENT_WAYS];
    sarki_resident ways[SARKI_RESIDENT_WAYS];
} sarki_residents;

/* From one slot to the next, where slots are set apart. */
#define SARKI_LEASE_SPACING \
    ((sizeof(sarki_lease) + sizeof(sarki_residents) + SARKI_APART - 1) / SARKI_APART * SARKI_APART)

static inline sarki_residents *sarki_residents_of(sarki_lease *lease)
{
    return (sarki_residents *)(void *)(lease + 1);
}

static inline uint32_t sarki_resident_way(uint32_t ref)
{
    return ref * 0x9e3779b1u >> 29;
}

/* A word after so many uses as another had. */
static inline uint64_t sarki_word_of(uint64_t uses_of, uint32_t ref, uint32_t state)
{
    return (uses_of & ~(uint64_t)UINT32_MAX) | (uint64_t)ref << 2 | state;
}

static inline uint32_t sarki_word_ref(uint64_t word)
{
    return (uint32_t)word >> 2;
}

/* Makes the slot's word busy if it is resident with this entry. 0: it is not. */
static inline uint64_t sarki_resident_claim(sarki_lease *lease, uint32_t ref)
{
    sarki_a64 *a_word = &sarki_residents_of(lease)->a_words[sarki_resident_way(ref)];
    uint64_t word = sarki_load64_relaxed(a_word); /* order: R3 the swap */
    if ((uint32_t)word != (ref << 2 | SARKI_WORD_RESIDENT)) return 0;
    /* order: E13; who empties the word swaps as well, so one of the two sees the other */
    return sarki_cas64_acquire(a_word, word, sarki_word_of(word, ref, SARKI_WORD_BUSY)) ? word : 0;
}

/* Stamps and marks an entry whose word is busy. The stamp is released, so that who reads it while
   the word is taken from another entry sees that it names this one. */
static inline void sarki_resident_touch(sarki_resident *way, sarki_entry *entry, uint64_t stamp)
{
    sarki_store64_release(&way->a_stamp, stamp); /* order: E13 */
    uint64_t hits = sarki_load64_relaxed(&way->a_hits); /* order: R2 */
    sarki_store64_relaxed(&way->a_hits, hits + 1);      /* order: R1, R2 */
    if (!(sarki_load64_seq_cst(&entry->a_stamp) & SARKI_MARKED)) /* order: E12, on x86 too */
        sarki_or64_relaxed(&entry->a_stamp, SARKI_MARKED); /* order: E12 by the load before it */
}

/* Lets the lease of a hot entry stay in the slot, touched. The ordinary lease is held. False: the
   word is busy, or another entry has it that is hot too. */
static bool sarki_resident_settle_in(const sarki_leases *leases, sarki_lease *lease,
                                     sarki_entry *entry, uint32_t ref, uint64_t stamp)
{
    uint32_t number = sarki_resident_way(ref);
    sarki_a64 *a_word = &sarki_residents_of(lease)->a_words[number];
    sarki_resident *way = &sarki_residents_of(lease)->ways[number];
    uint64_t word = sarki_load64_relaxed(a_word); /* order: R3 the swap */
    uint32_t before = sarki_word_ref(word);
    if (((uint32_t)word & SARKI_WORD_BUSY) || before == ref) return false;
    uint64_t before_stamp = sarki_load64_relaxed(&way->a_stamp); /* order: R3 the swap */
    if (before && stamp < before_stamp + SARKI_YOUNG_UNITS) return false;
    uint64_t taken = sarki_word_of(word, before, SARKI_WORD_TAKEN);
    if (!sarki_cas64_acquire(a_word, word, taken)) return false; /* order: E13 */
    if (before) { /* its memory is still its own: H2 */
        sarki_entry *entry_before = sarki_entry_at(leases->region, before);
        SARKI_BYTES_READ(entry_before);
        /* order: R2 the word is busy, E13 */
        sarki_entry_raise(entry_before, sarki_load64_relaxed(&way->a_stamp));
    }
    /* order: E12 needed on x86 too */
    sarki_store64_seq_cst(a_word, sarki_word_of(word, ref, SARKI_WORD_BUSY));
    sarki_resident_touch(way, entry, stamp);
    sarki_store64_release(a_word, sarki_word_of(word + SARKI_WORD_USE, ref, /* order: E13 */
                                                SARKI_WORD_RESIDENT));
    return true;
}

/* Empties a slot's word if it names an entry, and raises *stamp to its stamp. Returns the state in
   which it stays: EMPTY, or names something else; TAKEN; BUSY. */
static uint32_t sarki_resident_empty(sarki_lease *lease, uint32_t ref, uint64_t *stamp)
{
    uint32_t number = sarki_resident_way(ref);
    sarki_a64 *a_word = &sarki_residents_of(lease)->a_words[number];
    for (uint32_t tries = 0; tries < 3; tries++) {
        uint64_t word = sarki_load64_seq_cst(a_word); /* order: E4, E12, E13 */
        uint64_t empty = sarki_word_of(word, 0, SARKI_WORD_EMPTY);
        uint32_t state = (uint32_t)word & 3u, after = SARKI_WORD_EMPTY;
        if (sarki_word_ref(word) != ref) return SARKI_WORD_EMPTY;
        if (state == SARKI_WORD_BUSY) return SARKI_WORD_BUSY;
        /* order: E13, so that the word is seen to have changed if the stamp has */
        uint64_t last = sarki_load64_acquire(&sarki_residents_of(lease)->ways[number].a_stamp);
        if (state == SARKI_WORD_TAKEN) {
            if (sarki_load64_relaxed(a_word) != word) continue; /* order: E13 as above */
            after = SARKI_WORD_TAKEN;
        } else if (!sarki_cas64_acquire(a_word, word, empty)) { /* order: E5, E13 */
            continue;
        }
        *stamp = sarki_max64(*stamp, last);
        return after;
    }
    return SARKI_WORD_BUSY;
}

/* What became of the words that name an entry. */
typedef struct sarki_emptied {
    bool is_busy, is_named; /* a hit is under way; a word names it still */
    uint64_t stamp;         /* the latest that was found; 0: none */
} sarki_emptied;

/* Empties all words that name an entry. */
static sarki_emptied sarki_residents_empty(const sarki_leases *leases, uint32_t ref)
{
    sarki_emptied emptied = {false, false, 0};
    uint32_t used = sarki_load32_seq_cst(&leases->a_slots_used); /* order: E6 needed on x86 too */
    for (uint32_t i = 0; leases->has_residents && i < used; i++) {
        uint32_t state = sarki_resident_empty(sarki_lease_at(leases, i), ref, &emptied.stamp);
        emptied.is_busy |= state == SARKI_WORD_BUSY;
        emptied.is_named |= state != SARKI_WORD_EMPTY;
    }
    return emptied;
}

/* Brings the last stamp of a marked entry back to it. Returns its stamp then. A hit under way that
   is not seen to have a later one either took its stamp before now, or marks the entry again. */
static uint64_t sarki_resident_gather(const sarki_leases *leases, sarki_stamps *stamps,
                                      sarki_entry *entry, uint32_t ref)
{
    sarki_and64_seq_cst(&entry->a_stamp, ~SARKI_MARKED); /* order: E12 needed on x86 too */
    sarki_emptied emptied = sarki_residents_empty(leases, ref);
    sarki_entry_raise(entry, emptied.is_busy ? sarki_stamp_soon(stamps) : emptied.stamp);
    return sarki_load64_relaxed(&entry->a_stamp); /* order: R3 the caller's swap */
}

/* ---- >>find ----------------------------------------------------------------------------------

   Purpose. A reader's lookup: what it finds is protected before it is read, and was in the index
   after that. */

/* What a reader is about: only a hit may use a resident word, as that counts as a touch. */
typedef enum sarki_intent { SARKI_TO_LOOK, SARKI_TO_HIT, SARKI_TO_PIN } sarki_intent;

/* How a reader protects what it reads: by a lease, a resident word or a pin. */
typedef struct sarki_hold {
    sarki_a32 *a_ref;   /* of the lease or pin; NULL: none yet, or a resident word */
    sarki_lease *lease; /* where a_ref is a lease's, or the word is in its slot */
    sarki_pin *pin;     /* where a_ref is a pin's */
    sarki_a64 *a_word;  /* of the resident; NULL: it is not used */
    uint64_t word;      /* what the word is to be at the end */
    uint32_t thread, home;
    sarki_intent intent;
    uint64_t early; /* of a hit: what sarki_stamp_early gave in this call; 0: not asked yet */
} sarki_hold;

SARKI_HOT sarki_hold sarki_hold_begin(sarki_leases *leases, sarki_intent intent, uint64_t early)
{
    sarki_hold hold = {NULL, NULL, NULL, NULL, 0, sarki_thread_hash(), 0, intent, early};
    hold.home = sarki_home(leases, hold.thread);
    return hold;
}

SARKI_HOT void sarki_hold_end(sarki_hold *hold)
{
    if (hold->a_ref) sarki_store32_release(hold->a_ref, 0); /* order: E5, weakly ordered CPUs */
    if (hold->a_word) sarki_store64_release(hold->a_word, hold->word); /* order: E5, E13 */
    hold->a_ref = NULL;
    hold->a_word = NULL;
}

/* Protects an entry that has a resident word in the reader's home slot; false: it has none. */
SARKI_HOT bool sarki_hold_resident(sarki_leases *leases, sarki_hold *hold, uint32_t ref)
{
    sarki_lease *lease = sarki_lease_at(leases, hold->home);
    if (hold->intent != SARKI_TO_HIT || !leases->has_residents) return false;
    hold->word = sarki_resident_claim(lease, ref);
    if (!hold->word) return false;
    hold->lease = lease;
    hold->a_word = &sarki_residents_of(lease)->a_words[sarki_resident_way(ref)];
    return true;
}

/* Publishes that ref is about to be read; false where no lease or pin is free. */
SARKI_HOT bool sarki_hold_ref(sarki_leases *leases, sarki_hold *hold, uint32_t ref)
{
    if (hold->a_ref) {
        sarki_store32_seq_cst(hold->a_ref, ref); /* order: E3 needed on x86 too */
        return true;
    }
    if (hold->a_word) sarki_hold_end(hold);
    if (hold->intent == SARKI_TO_PIN) {
        hold->pin = sarki_pin_claim(leases, ref);
        if (hold->pin) hold->a_ref = &hold->pin->a_ref;
        return hold->pin != NULL;
    }
    if (sarki_hold_resident(leases, hold, ref)) return true;
    hold->lease = sarki_lease_claim(leases, hold->thread, hold->home, ref);
    if (hold->lease) hold->a_ref = &hold->lease->a_ref;
    return hold->lease != NULL;
}

/* FOUND: the entry is protected by the hold and was in the index at the re-check. ABSENT: the key
   was absent at some moment, or is not where it was looked for. AGAIN: the index changed under the
   re-check. */
typedef enum sarki_found { SARKI_FOUND, SARKI_ABSENT, SARKI_AGAIN, SARKI_NO_LEASE } sarki_found;

/* Looks at a slot with the right tag. A hit's stamp is read here: some processors do not read their
   counter before all is there that was loaded until then, as with the swap of the claim, which
   follows. Read after the entry, it kept the lines of the next hit from being fetched at the same
   time as this one's: of a million entries at random a hit took twice as long. */
SARKI_HOT sarki_found sarki_find_at(const sarki_a32 *a_ref, const char *region,
                                    sarki_leases *leases, const sarki_query *query,
                                    sarki_hold *hold, uint32_t *ref)
{
    *ref = sarki_load32_relaxed(a_ref); /* order: R3 the re-check */
    if (*ref <= SARKI_CLAIMED) return SARKI_ABSENT;
    sarki_entry_prefetch(region, *ref);
    if (hold->intent == SARKI_TO_HIT && !hold->early)
        hold->early = sarki_stamp_early(leases->stamps);
    if (!sarki_hold_ref(leases, hold, *ref)) return SARKI_NO_LEASE;
    if (sarki_load32_seq_cst(a_ref) != *ref) return SARKI_AGAIN; /* order: E1, E2 */
    bool is_it = sarki_entry_has_key(sarki_entry_at(region, *ref), query->key, query->key_bytes);
    return is_it ? SARKI_FOUND : SARKI_ABSENT;
}

/* Looks only at the first slot with the right tag in the key's home, where most keys are. AGAIN
   where that does not tell. */
SARKI_HOT sarki_found sarki_find_first(const sarki_index *index, const char *region,
                                       sarki_leases *leases, const sarki_query *query,
                                       sarki_hold *hold, uint32_t *ref)
{
    const sarki_bucket *bucket = &index->buckets[sarki_index_home(index, query->hash)];
    uint64_t matches = sarki_bucket_match(bucket, query->tag);
    if (!matches) /* order: R3 leads to refs */
        return sarki_load32_relaxed(&bucket->a_overflow) == 0 ? SARKI_ABSENT : SARKI_AGAIN;
    const sarki_a32 *a_ref = &bucket->a_refs[sarki_match_slot(matches)];
    sarki_found found = sarki_find_at(a_ref, region, leases, query, hold, ref);
    return found == SARKI_FOUND ? found : SARKI_AGAIN;
}

/* One lookup. */
static sarki_found sarki_find_once(const sarki_index *index, const char *region,
                                   sarki_leases *leases, const sarki_query *query,
                                   sarki_hold *hold, uint32_t *ref)
{
    uint32_t b = sarki_index_home(index, query->hash);
    for (uint32_t hops = 0; hops < index->bucket_count; hops++) {
        const sarki_bucket *bucket = &index->buckets[b];
        for (uint64_t m = sarki_bucket_match(bucket, query->tag); m; m &= m - 1) {
            const sarki_a32 *a_ref = &bucket->a_refs[sarki_match_slot(m)];
            sarki_found found = sarki_find_at(a_ref, region, leases, query, hold, ref);
            if (found != SARKI_ABSENT) return found;
        }
        if (sarki_load32_relaxed(&bucket->a_overflow) == 0) return SARKI_ABSENT; /* order: R3 */
        b = sarki_index_next(index, b);
    }
    return SARKI_ABSENT;
}

/* ---- >>shard ---------------------------------------------------------------------------------

   Purpose. A lock over the keys whose tag names it, and what it guards: the order of recency, the
   order of expiry, the versions, removed entries, and counters of writers. Index and arena are not
   divided. What every insert and eviction writes lies in two lines, the lock included: with several
   threads most of their time goes into fetching lines that another one wrote last.

   Invariants. S1 each entry of the shard is in the FIFO or in the recency wheel, and if it has a
   deadline in the expiry wheel. S2 no entry's stamp is below the shard's published bound (but for
   one that a stopped reader set back), no deadline below its published next deadline (but for one
   that was late, which counts as the wheel's floor). S3 never two shard locks at once (but before a
   fork, see >>fork). S4 unless bound_is_ahead, the published bound is at most a_last_stamp, and so
   below all stamps that the shard will give.

   Access. Everything by the lock, but the published bounds and the counters, which anybody reads.

   Bounds. At most SARKI_MOVES moves of entries in one hold. */

/* Entries that are in no order, linked by recency.next. */
typedef struct sarki_stack {
    uint32_t top; /* 0: empty */
    uint32_t count;
    sarki_a32 a_granules;
} sarki_stack;

/* The ways to write a key. */
typedef enum sarki_mode {
    SARKI_SET,
    SARKI_ADD,
    SARKI_REPLACE,
    SARKI_COMPARE_AND_SET,
    SARKI_INCREMENT,
    SARKI_APPEND,
    SARKI_MODES
} sarki_mode;

typedef struct sarki_shard {
    SARKI_SET_APART sarki_mutex mutex;
    sarki_a32 a_held;    /* a hint for those who want the lock */
    uint16_t hold_moves; /* moves in this hold of the lock */
    bool bound_is_ahead; /* of a_last_stamp, maybe: what is inserted next may be below the bound */
    sarki_list fifo;     /* untouched since insert, in that order, or not yet looked at */
    sarki_a64 a_evicted_for_entries;

    sarki_a32 a_entries;
    uint32_t generation; /* grows with each insert, removal and touch */
    sarki_stack retired; /* removed entries that somebody may still read */
    sarki_stack spares;  /* blocks of removed entries that nobody reads */
    sarki_a64 a_last_stamp;
    uint64_t last_version;
    sarki_a64 a_payload_bytes; /* of keys and values */
    sarki_a64 a_sets;

    sarki_wheel recency, expiry;
    uint32_t still_read, still_read_granules; /* of the retired ones, by the last scan */
    uint32_t age_us; /* what is left of a_age_ms, below a millisecond */
    sarki_a32 a_longest_hold;
    sarki_a64 a_hits, a_misses, a_misses_expired, a_fallbacks; /* of reads under the lock */
    sarki_a64 a_writes[SARKI_MODES]; /* by mode; SARKI_SET is counted above */
    sarki_a64 a_deletes, a_touches, a_cleared, a_evicted_for_bytes;
    sarki_a64 a_ages, a_age_ms; /* of victims, and how long they had gone unused, all in all */
    sarki_a64 a_expired_by_writers, a_expired_by_cleanup, a_recency_moves, a_room_moves;
} sarki_shard;

/* Asks for what every writer of a shard writes. */
static inline void sarki_shard_prefetch(const sarki_shard *shard)
{
    sarki_prefetch_to_write(shard);
    sarki_prefetch_to_write(&shard->a_entries);
}

/* Counts under the shard's lock; read by anybody. */
SARKI_REQUIRES(shard)
static inline void sarki_count_locked(sarki_a64 *counter, uint64_t change)
{
    /* order: R1, R4 the shard's lock */
    sarki_store64_relaxed(counter, sarki_load64_relaxed(counter) + change);
}

SARKI_TRIES(shard) SARKI_EXCLUDES(memory)
static inline bool sarki_shard_try_lock(sarki_shard *shard)
{
    if (!sarki_try_lock(&shard->mutex)) return false;
    sarki_store32_relaxed(&shard->a_held, 1); /* order: R1 */
    shard->hold_moves = 0;
    return true;
}

/* Who finds the lock held looks on for a while: holds are mostly shorter than it takes to sleep and
   be woken. */
SARKI_ACQUIRES(shard) SARKI_EXCLUDES(memory)
static inline void sarki_shard_lock(sarki_shard *shard)
{
    if (sarki_shard_try_lock(shard)) return;
    for (uint32_t spins = 0; spins < SARKI_SPINS; spins++) {
        if (sarki_load32_relaxed(&shard->a_held) == 0 && /* order: R1 a hint */
            sarki_shard_try_lock(shard))
            return;
        sarki_pause();
    }
    sarki_lock(&shard->mutex);
    sarki_store32_relaxed(&shard->a_held, 1); /* order: R1 */
    shard->hold_moves = 0;
}

SARKI_RELEASES(shard)
static inline void sarki_shard_unlock(sarki_shard *shard)
{
    SARKI_ASSERT(shard->hold_moves <= SARKI_MOVES);
    /* order: R1, R4 the shard's lock */
    if (shard->hold_moves > sarki_load32_relaxed(&shard->a_longest_hold))
        sarki_store32_relaxed(&shard->a_longest_hold, shard->hold_moves); /* order: R1, R4 */
    sarki_store32_relaxed(&shard->a_held, 0);                             /* order: R1 */
    sarki_unlock(&shard->mutex);
}

/* ---- >>cache ---------------------------------------------------------------------------------

   Purpose. The parts together, at the start of the region. What is written while the cache is in
   use lies apart from what every hit reads.

   Locks, in the order in which they may be taken: room, then one shard, then memory. No callback
   runs under any of them. */

#ifndef SARKI_REPORTERS
#define SARKI_REPORTERS 64u /* at most */
#endif

/* The memory lock and what it guards. */
typedef struct sarki_memory {
    sarki_mutex mutex;
    sarki_arena arena;
    uint32_t *scan_refs;    /* room for a scan of all that protects blocks */
    sarki_a32 a_turn_taken; /* somebody makes room for a block: nobody else takes memory */
} sarki_memory;

/* Who finds the lock held tries on for a while, as with a shard's: where several threads insert
   there are many scans, and who slept here would keep a shard's lock meanwhile. */
SARKI_ACQUIRES(memory)
static inline void sarki_memory_lock(sarki_memory *memory)
{
    for (uint32_t spins = 0; spins < SARKI_SPINS; spins++) {
        if (spins % 4 == 0 && sarki_try_lock(&memory->mutex)) return;
        sarki_pause();
    }
    sarki_lock(&memory->mutex);
}

SARKI_RELEASES(memory)
static inline void sarki_memory_unlock(sarki_memory *memory)
{
    sarki_unlock(&memory->mutex);
}

/* Waiting for a place or for memory. */
typedef struct sarki_room {
    sarki_mutex mutex;
    sarki_condition changed;
    sarki_a32 a_waiting;  /* threads that wait for a change */
    uint32_t next_ticket; /* first come, first served */
    uint32_t serving;
} sarki_room;

/* Removed entries of a call, to be reported and then retired when no lock is held. */
typedef struct sarki_frame {
    sarki_list removed; /* by the recency links */
} sarki_frame;

/* A thread that is inside a removal callback. */
typedef struct sarki_reporter {
    sarki_aword a_thread;
    sarki_frame *frame;
    sarki_a32 a_ref; /* the entry that is being reported; its block is not free yet */
    SARKI_SHADOW
} sarki_reporter;

enum { SARKI_LATENCY_HIT, SARKI_LATENCY_MISS, SARKI_LATENCY_SET, SARKI_LATENCY_KINDS };

typedef struct sarki_histogram {
    sarki_a64 a_buckets[SARK_CACHE_LATENCY_BUCKETS];
    sarki_a64 a_total_ns, a_max_ns;
} sarki_histogram;

/* The metrics' counts at the last reset: the fields that come first, and two more. */
typedef struct sarki_baseline {
    uint64_t counts[offsetof(sark_cache_metrics, entries) / sizeof(uint64_t)];
    uint64_t recency_moves, room_moves;
} sarki_baseline;

/* Calls that were refused, by status: all but those that name a field of the configuration. */
#define SARKI_REJECTIONS ((uint32_t)-SARK_CACHE_OVERFLOW + 1)

typedef struct sarki_cleaner {
    sarki_mutex mutex;
    sarki_condition wake;
    sarki_thread thread;
    bool running, stop;
    sarki_a64 a_runs, a_last_us, a_total_us;
} sarki_cleaner;

struct sark_cache {
    /* Set at creation. */
    char *region;
    char *recency_links, *expiry_links;
    sarki_secret secret;
    sarki_shard *shards;
    sarki_a64 *a_oldest;         /* of each shard: no stamp is below; SARKI_NONE: empty */
    sarki_a64 *a_next_deadlines; /* of each shard: a bound of its wheel; SARKI_NONE: none */
    sarki_a32 *a_spare_granules; /* of each shard: of its next spare block, a hint; 0: none */
    uint32_t resting_limit;    /* granules that may wait in a shard as retired, and as spares */
    uint32_t shard_count;
    uint32_t max_entries;
    int64_t ticks_per_ms; /* the clock's unit: a nanosecond, or a millisecond where injected */
    int64_t coarse_lag;   /* the coarse clock is behind by at most this */
    int64_t stamp_epoch_ns; /* when the cache was created: calibrates the stamps for the metrics */
    uint64_t stamp_epoch;
    sark_cache_config config; /* in force */
    void *allocation;         /* what the allocator gave; NULL in a caller's buffer */
    size_t allocation_bytes;
    sarki_histogram *histograms; /* NULL: latencies are not sampled */
    sarki_baseline *baseline;    /* counts at the last reset, guarded by metrics_mutex */
    sark_cache_latency *latency_baseline; /* of each kind, as the histograms */
    sarki_reporter *reporters;   /* NULL: there is no callback */
    uint32_t reporter_count;
    int64_t process_id; /* of the process that created it, or of the child after a fork */
    uint32_t touch_interval_ms;
    sarki_index index;
    sarki_leases leases;

    SARKI_SET_APART sarki_stamps stamps;
    sarki_a64 a_asleep_ns;      /* how long the machine has been asleep since boot */
    sarki_a64 a_asleep_read_ns; /* when that was read, by the coarse clock */
    sarki_a32 a_uses_deadlines; /* an entry had a deadline once */

    SARKI_SET_APART sarki_a32 a_count; /* places taken: entries in the index, inserts under way */
    sarki_a32 a_count_peak;

    SARKI_SET_APART sarki_memory memory;

    SARKI_SET_APART sarki_room room;
    sarki_a32 a_reporters_used;
    sarki_a64 a_pinned_bytes; /* by each pin that is out, but those of walks */
    sarki_a64 a_rejected[SARKI_REJECTIONS];
    sarki_cleaner cleaner;
    sarki_mutex metrics_mutex;
    bool closing; /* destroy has begun: its callbacks may not insert */
};

static inline sarki_entry *sarki_entry_of(const sark_cache *cache, uint32_t ref)
{
    return sarki_entry_at(cache->region, ref);
}

SARKI_HOT sarki_query sarki_query_of(const sark_cache *cache, const void *key, size_t key_bytes)
{
    uint64_t hash = SARKI_HASH(&cache->secret, key, key_bytes);
    sarki_query query = {key, key_bytes, (uint32_t)(hash >> 32), (uint32_t)(hash & 0xffffu)};
    return query;
}

static inline uint32_t sarki_shard_number(const sark_cache *cache, uint32_t tag)
{
    return tag & (cache->shard_count - 1);
}

/* Locks the shard of an occupied slot, which its tag names; NULL: the slot is free or changed. *ref
   is its entry. */
SARKI_TRIES(shard) SARKI_EXCLUDES(memory)
static sarki_shard *sarki_slot_lock(sark_cache *cache, sarki_spot spot, uint32_t *ref)
{
    sarki_bucket *bucket = &cache->index.buckets[spot.bucket];
    *ref = sarki_load32_acquire(&bucket->a_refs[spot.slot]); /* order: E1 */
    if (*ref <= SARKI_CLAIMED) return NULL;
    uint32_t tag = sarki_bucket_tag(bucket, spot.slot);
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, tag)];
    sarki_shard_lock(shard);
    *ref = sarki_load32_acquire(&bucket->a_refs[spot.slot]); /* order: E1 */
    if (*ref > SARKI_CLAIMED && sarki_bucket_tag(bucket, spot.slot) == tag) return shard;
    sarki_shard_unlock(shard);
    return NULL;
}

/* The stamp of a touch under a shard's lock. */
static inline uint64_t sarki_stamp_of(sark_cache *cache, sarki_shard *shard)
{
    return sarki_stamp_next(sarki_stamp_now(&cache->stamps), &shard->a_last_stamp);
}

static inline sarki_a64 *sarki_oldest_of(const sark_cache *cache, const sarki_shard *shard)
{
    return &cache->a_oldest[shard - cache->shards];
}

static inline sarki_a64 *sarki_next_deadline_of(const sark_cache *cache, const sarki_shard *shard)
{
    return &cache->a_next_deadlines[shard - cache->shards];
}

/* Has the time asleep read anew when it is next wanted. */
static void sarki_asleep_forget(sark_cache *cache)
{
    sarki_store64_relaxed(&cache->a_asleep_ns, (uint64_t)INT64_MIN); /* order: R5 */
    sarki_store64_relaxed(&cache->a_asleep_read_ns, /* order: R5: never */
                          0u - (uint64_t)SARKI_ASLEEP_EVERY_NS);
}

/* Reads anew how long the machine has been asleep, which only grows; false: a clock fails. */
SARKI_COLD bool sarki_asleep_read(sark_cache *cache, int64_t now_ns)
{
    int64_t asleep_ns = sarki_asleep_ns();
    if (asleep_ns == INT64_MIN) return false;
    uint64_t last = sarki_load64_relaxed(&cache->a_asleep_ns); /* order: R3 the swap */
    while ((int64_t)last < asleep_ns && /* order: E14 */
           !sarki_cas64_relaxed(&cache->a_asleep_ns, last, (uint64_t)asleep_ns))
        last = sarki_load64_relaxed(&cache->a_asleep_ns); /* order: R3 the swap */
    sarki_store64_release(&cache->a_asleep_read_ns, (uint64_t)now_ns); /* order: E14 */
    return true;
}

/* The coarse clock with the time asleep, which no coarse clock has. -1: a clock fails. */
static inline int64_t sarki_coarse_boot_ns(sark_cache *cache)
{
    int64_t now_ns = sarki_coarse_ns();
    if (now_ns < 0) return -1;
    uint64_t since_ns = (uint64_t)now_ns -
                        sarki_load64_acquire(&cache->a_asleep_read_ns); /* order: E14 */
    bool is_new = since_ns < SARKI_ASLEEP_EVERY_NS; /* not where the clock went back */
    if (!SARKI_LIKELY(is_new) && !sarki_asleep_read(cache, now_ns)) return -1;
    return now_ns + (int64_t)sarki_load64_relaxed(&cache->a_asleep_ns); /* order: E14 */
}

/* The time, in the clock's unit, at the coarse clock's resolution; -1: the clock failed. */
static inline int64_t sarki_now(const sark_cache *cache)
{
    if (!cache->config.clock.now_ms)
        return sarki_coarse_boot_ns((sark_cache *)(uintptr_t)cache);
    int cancel = sarki_cancel_defer();
    int64_t now = cache->config.clock.now_ms(cache->config.clock.context);
    sarki_cancel_allow(cancel);
    return now < 0 ? -1 : now;
}

/* The same from the precise clock. */
static inline int64_t sarki_now_fine(const sark_cache *cache)
{
    return cache->config.clock.now_ms ? sarki_now(cache) : sarki_fine_ns();
}

/* The coarse time, made precise where a deadline is so near that the coarse clock may lag behind
   it. The coarse clock costs a tenth of the precise one, and lets cache misses of consecutive hits
   overlap. */
static int64_t sarki_now_near(const sark_cache *cache, int64_t now, int64_t deadline)
{
    if (now < 0 || now >= deadline || deadline - now > cache->coarse_lag) return now;
    return sarki_now_fine(cache);
}

/* Whether a deadline has passed, where that does not show at first sight. */
SARKI_COLD bool sarki_deadline_passed(const sark_cache *cache, int64_t now, int64_t deadline)
{
    if (deadline == SARKI_NEVER) return false;
    now = sarki_now_near(cache, now, deadline);
    return now < 0 || now >= deadline;
}

/* Whether an entry has expired, for readers and writers. The clock is read after the entry was
   found, and only if need be; where it fails every deadline has passed. */
SARKI_HOT bool sarki_entry_expired(const sark_cache *cache, sarki_entry *entry)
{
    if (!sarki_entry_is_timed(entry)) return false;
    int64_t deadline = sarki_entry_deadline(entry), now = sarki_now(cache);
    if (SARKI_LIKELY(now >= 0 && deadline - now > cache->coarse_lag)) return false;
    return sarki_deadline_passed(cache, now, deadline);
}

/* The time in which touches are noted: its lower half tells short distances, and takes one of 2^32
   ms for none. */
static inline uint32_t sarki_touch_ms(const sark_cache *cache, int64_t now)
{
    return (uint32_t)(now / cache->ticks_per_ms);
}

/* Notes that an entry is touched now, where there is a touch interval. */
static inline void sarki_entry_note_touch(const sark_cache *cache, sarki_entry *entry)
{
    if (cache->touch_interval_ms > 0) /* order: R1 */
        sarki_store32_relaxed(&sarki_entry_expiry(entry)->a_touched_ms,
                              sarki_touch_ms(cache, sarki_now(cache)));
}

/* Whether a hit touches an entry, where there is a touch interval. */
SARKI_COLD bool sarki_entry_touch_is_due(const sark_cache *cache, sarki_entry *entry)
{
    sarki_a32 *a_touched_ms = &sarki_entry_expiry(entry)->a_touched_ms;
    int64_t now = sarki_now(cache);
    uint32_t now_ms = sarki_touch_ms(cache, now);
    uint32_t since_ms = now_ms - sarki_load32_relaxed(a_touched_ms); /* order: R1 both may count */
    bool is_due = now < 0 || since_ms >= cache->touch_interval_ms;
    if (is_due) sarki_store32_relaxed(a_touched_ms, now_ms); /* order: R1 */
    return is_due;
}

/* Entries in the index. */
static uint64_t sarki_entries(const sark_cache *cache)
{
    uint64_t entries = 0;
    for (uint32_t i = 0; i < cache->shard_count; i++) /* order: R1 */
        entries += sarki_load32_relaxed(&cache->shards[i].a_entries);
    return sarki_min64(entries, cache->max_entries); /* an entry may be seen in both its shards */
}

static void sarki_reject(sark_cache *cache, sark_cache_status status)
{
    sarki_add64_relaxed(&cache->a_rejected[-(int)status], 1); /* order: R1 */
}

/* ---- >>retired -------------------------------------------------------------------------------

   Purpose. Removed entries wait in a shard until no lease and no pin names them, and their blocks
   then for an insert of the same size:

       removed --> retired --scan--> spares --> the next insert that evicts from this shard
                                       \--> arena, when there are too many, or memory is short

   So a full cache whose entries are alike neither takes the memory lock nor splits and merges
   blocks.

   Invariants. Q1 a retired entry, and a spare block, is in no index slot and no other list. Q2 one
   that stays retired after a scan was named by a lease or pin during it. Q3 a spare keeps the
   header of its last entry, which tells its size.

   Access. The lock of the shard; any shard will do for any entry. A scan takes the memory lock.

   Bounds. In a shard at most 32 entries and as many as the last scan left, or its share of 1 / 64
   of the region, wait unscanned; as spares 32, or that share. One scan reads all leases once, and
   for each entry one word a slot. Where removed entries are wiped, each removal scans; the bytes of
   those that it frees are overwritten under the locks. */

static bool sarki_refs_contain(const uint32_t *refs, uint32_t count, uint32_t ref)
{
    for (uint32_t i = 0; i < count; i++)
        if (refs[i] == ref) return true;
    return false;
}

static inline void sarki_stack_count(sarki_stack *stack, uint32_t entries, uint32_t granules)
{
    stack->count += entries;
    /* order: R1, R4 the shard's lock */
    sarki_store32_relaxed(&stack->a_granules, sarki_load32_relaxed(&stack->a_granules) + granules);
}

static void sarki_stack_push(sark_cache *cache, sarki_stack *stack, uint32_t ref)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    entry->recency.next = stack->top;
    stack->top = ref;
    sarki_stack_count(stack, 1, sarki_entry_size(entry));
}

static uint32_t sarki_stack_pop(sark_cache *cache, sarki_stack *stack)
{
    uint32_t ref = stack->top;
    if (!ref) return 0;
    sarki_entry *entry = sarki_entry_of(cache, ref);
    stack->top = entry->recency.next;
    sarki_stack_count(stack, 0u - 1u, 0u - sarki_entry_size(entry));
    return ref;
}

/* Empties a stack. Returns what was its top; the rest is linked to it. */
static uint32_t sarki_stack_take(sarki_stack *stack)
{
    uint32_t top = stack->top;
    stack->top = stack->count = 0;
    sarki_store32_relaxed(&stack->a_granules, 0); /* order: R1, R4 the shard's lock */
    return top;
}

/* Whether a stack and so many granules more are as much as may wait in a shard. */
static inline bool sarki_stack_is_full(const sark_cache *cache, const sarki_stack *stack,
                                       uint32_t granules)
{
    /* order: R4 the shard's lock */
    return stack->count >= SARKI_RETIRE_BATCH ||
           sarki_load32_relaxed(&stack->a_granules) + granules > cache->resting_limit;
}

/* Notes what stays retired after a scan. */
static inline void sarki_retired_note(sarki_shard *shard)
{
    shard->still_read = shard->retired.count;
    shard->still_read_granules = sarki_load32_relaxed(&shard->retired.a_granules); /* order: R4 */
}

/* Whether another scan is due. It looks at all that the last one left, too, so it waits for as many
   more: where many pins are out, a removal costs a look at two entries. */
static inline bool sarki_retired_are_many(const sark_cache *cache, const sarki_shard *shard)
{
    const sarki_stack *retired = &shard->retired;
    if (!sarki_stack_is_full(cache, retired, 0)) return false; /* mostly; no other line is read */
    uint32_t granules = sarki_load32_relaxed(&retired->a_granules); /* order: R4 */
    return retired->count >= 2 * shard->still_read + SARKI_RETIRE_BATCH ||
           granules - shard->still_read_granules > cache->resting_limit;
}

/* Tells of which size the next spare is, and asks for its lines. It is a guess mostly, the size of
   the one that came or went last: to look at it may mean to fetch it from another processor. */
static void sarki_spares_publish(sark_cache *cache, sarki_shard *shard, uint32_t granules)
{
    uint32_t top = shard->spares.top;
    sarki_a32 *a_granules = &cache->a_spare_granules[shard - cache->shards];
    if (top) sarki_entry_prefetch_to_write(cache->region, top, granules);
    else granules = 0;
    if (sarki_load32_relaxed(a_granules) != granules) /* order: R1 a hint, R4 the shard's lock */
        sarki_store32_relaxed(a_granules, granules);  /* order: R1 */
}

/* Whether a shard's next spare block has a size. Where it has another, that is told. */
SARKI_REQUIRES(shard)
static bool sarki_spare_fits_locked(sark_cache *cache, sarki_shard *shard, uint32_t granules)
{
    uint32_t top = shard->spares.top;
    if (!top) return false;
    uint32_t size = sarki_entry_size(sarki_entry_of(cache, top));
    if (size != granules) sarki_spares_publish(cache, shard, size);
    return size == granules;
}

SARKI_REQUIRES(shard)
static uint32_t sarki_spare_take_locked(sark_cache *cache, sarki_shard *shard)
{
    uint32_t ref = sarki_stack_pop(cache, &shard->spares);
    sarki_spares_publish(cache, shard, sarki_entry_size(sarki_entry_of(cache, ref)));
    return ref;
}

/* What nobody reads of a shard's retired entries becomes its spares, up to the limit, where they
   are wanted. The rest goes to the arena, and so do the spares that were left. */
SARKI_REQUIRES(shard)
static void sarki_retired_scan_locked(sark_cache *cache, sarki_shard *shard, bool wants_spares)
{
    sarki_memory *memory = &cache->memory;
    uint32_t granules = 0;
    sarki_memory_lock(memory);
    uint32_t count = sarki_leases_scan(&cache->leases, memory->scan_refs);
    for (uint32_t ref; (ref = sarki_stack_pop(cache, &shard->spares)) != 0;)
        sarki_arena_release(&memory->arena, ref);
    for (uint32_t next = sarki_stack_take(&shard->retired), ref; (ref = next) != 0;) {
        next = sarki_entry_of(cache, ref)->recency.next;
        if (sarki_refs_contain(memory->scan_refs, count, ref) ||
            sarki_residents_empty(&cache->leases, ref).is_named) {
            sarki_stack_push(cache, &shard->retired, ref);
            continue;
        }
        SARKI_BYTES_WRITTEN(sarki_entry_of(cache, ref));
        uint32_t size = sarki_entry_size(sarki_entry_of(cache, ref));
        if (wants_spares && !sarki_stack_is_full(cache, &shard->spares, size)) {
            if (cache->config.wipe) sarki_entry_wipe(sarki_entry_of(cache, ref));
            sarki_stack_push(cache, &shard->spares, ref);
            granules = size;
        } else {
            sarki_arena_release(&memory->arena, ref);
        }
    }
    sarki_memory_unlock(memory);
    sarki_retired_note(shard);
    sarki_spares_publish(cache, shard, granules);
}

/* Retires a removed entry. Its bytes may be gone when this returns. */
SARKI_REQUIRES(shard)
static void sarki_retire_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref)
{
    shard->generation++;
    sarki_stack_push(cache, &shard->retired, ref);
    if (cache->config.wipe || sarki_retired_are_many(cache, shard))
        sarki_retired_scan_locked(cache, shard, true);
}

/* Gives the arena what waits in the shards and is not read. */
static void sarki_retired_collect(sark_cache *cache)
{
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        sarki_shard *shard = &cache->shards[i];
        if (sarki_load32_relaxed(&shard->retired.a_granules) == 0 && /* order: R1 a hint */
            sarki_load32_relaxed(&shard->spares.a_granules) == 0)    /* order: R1 a hint */
            continue;
        sarki_shard_lock(shard);
        sarki_retired_scan_locked(cache, shard, false);
        sarki_shard_unlock(shard);
    }
}

/* ---- >>report --------------------------------------------------------------------------------

   Purpose. Removal callbacks: each removed entry is reported once, when no lock is held, by the
   thread that removed it, and retired after that. A call that reports has no block or place in its
   hands that is not in the index (>>fork).

   A call collects what it removes in its frame, and flushes it. A thread inside a callback is
   found in a small table; what its calls remove goes to the frame of the outermost one, which
   reports it after the present callback returns: no recursion.

   Access. reporters[i].a_thread: claimed by compare-and-swap from 0 (E11); frame belongs to that
   thread, which alone looks for its own number. a_ref is read by whoever makes room.

   Given up. More than 64 threads inside callbacks, fewer in a small region: the next one waits. */

/* The frame of the callback in which the calling thread is; NULL: in none. */
static sarki_frame *sarki_frame_outer(sark_cache *cache)
{
    if (!cache->config.on_remove) return NULL;
    uintptr_t thread = sarki_thread_id();
    uint32_t used = sarki_load32_relaxed(&cache->a_reporters_used); /* order: R2 own entry */
    for (uint32_t i = 0; i < used; i++) /* order: R2 only this thread writes its own number */
        if (sarki_loadword_relaxed(&cache->reporters[i].a_thread) == thread)
            return cache->reporters[i].frame;
    return NULL;
}

/* Claims a row of the table for the calling thread; NULL: all are taken. */
static sarki_reporter *sarki_reporter_claim(sark_cache *cache)
{
    for (uint32_t i = 0; i < cache->reporter_count; i++) {
        sarki_aword *a_thread = &cache->reporters[i].a_thread;
        if (!sarki_casword_acquire(a_thread, 0, sarki_thread_id())) continue; /* order: E11 */
        sarki_raise32(&cache->a_reporters_used, i + 1); /* order: R2 seen by this thread */
        return &cache->reporters[i];
    }
    return NULL;
}

/* Tells those who wait for a place, or for a row of the table. */
SARKI_EXCLUDES(shard) SARKI_EXCLUDES(memory)
static inline void sarki_room_changed(sark_cache *cache)
{
    if (sarki_load32_seq_cst(&cache->room.a_waiting) == 0) return; /* order: E8, on x86 too */
    sarki_lock(&cache->room.mutex);
    sarki_wake_all(&cache->room.changed);
    sarki_unlock(&cache->room.mutex);
}

static sarki_reporter *sarki_reporter_enter(sark_cache *cache, sarki_frame *frame)
{
    sarki_reporter *reporter = sarki_reporter_claim(cache);
    while (!reporter) {
        sarki_lock(&cache->room.mutex);
        sarki_add32_relaxed(&cache->room.a_waiting, 1); /* order: R1 a lost wake-up costs 10 ms */
        reporter = sarki_reporter_claim(cache);
        if (!reporter) sarki_wait_ms(&cache->room.changed, &cache->room.mutex, 10);
        sarki_sub32_relaxed(&cache->room.a_waiting, 1); /* order: R1 */
        sarki_unlock(&cache->room.mutex);
    }
    SARKI_BYTES_WRITTEN(reporter);
    reporter->frame = frame;
    return reporter;
}

static void sarki_reporter_leave(sark_cache *cache, sarki_reporter *reporter)
{
    SARKI_BYTES_WRITTEN(reporter);
    reporter->frame = NULL;
    sarki_storeword_release(&reporter->a_thread, 0); /* order: E11 */
    sarki_room_changed(cache);
}

/* Takes over an entry that was removed: to report it where there is a callback, else to retire it,
   so that its bytes may be gone when this returns. */
SARKI_REQUIRES(shard)
static inline void sarki_frame_add_locked(sark_cache *cache, sarki_shard *shard,
                                          sarki_frame *frame, uint32_t ref,
                                          sark_cache_cause cause)
{
    if (!cache->config.on_remove) {
        sarki_retire_locked(cache, shard, ref);
        return;
    }
    sarki_list_append(cache->recency_links, &frame->removed, ref);
    sarki_entry_of(cache, ref)->recency.place = (uint16_t)cause;
}

/* Retires an entry that was reported. */
static void sarki_retire(sark_cache *cache, uint32_t ref)
{
    uint32_t hash = sarki_entry_hash(sarki_entry_of(cache, ref));
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, hash)];
    sarki_shard_lock(shard);
    sarki_retire_locked(cache, shard, ref);
    sarki_shard_unlock(shard);
}

SARKI_EXCLUDES(shard) SARKI_EXCLUDES(memory)
static void sarki_report(sark_cache *cache, sarki_entry *entry)
{
    SARKI_BYTES_READ(entry);
    cache->config.on_remove(cache->config.on_remove_context, sarki_entry_key(entry),
                            entry->key_bytes, sarki_entry_value(entry), entry->value_bytes,
                            (sark_cache_cause)entry->recency.place);
}

/* Reports and retires what a frame has collected. No lock is held. */
SARKI_EXCLUDES(shard) SARKI_EXCLUDES(memory)
static void sarki_frame_flush(sark_cache *cache, sarki_frame *frame)
{
    if (!frame->removed.head) return;
    sarki_frame *outer = sarki_frame_outer(cache);
    if (outer) {
        sarki_list_join(cache->recency_links, &outer->removed, &frame->removed);
        return;
    }
    int cancel = sarki_cancel_defer();
    sarki_reporter *reporter = sarki_reporter_enter(cache, frame);
    for (uint32_t ref; (ref = frame->removed.head) != 0;) {
        sarki_list_remove(cache->recency_links, &frame->removed, ref);
        sarki_store32_relaxed(&reporter->a_ref, ref); /* order: R4 as below */
        sarki_report(cache, sarki_entry_of(cache, ref));
        sarki_store32_relaxed(&reporter->a_ref, 0); /* order: R4 the memory lock frees it */
        sarki_retire(cache, ref);
    }
    sarki_reporter_leave(cache, reporter);
    sarki_cancel_allow(cancel);
}

/* ---- >>recency -------------------------------------------------------------------------------

   Purpose. The least recently used entry of a shard, and the entries that leave or join it.

   A hit only stores a stamp. New entries stand in a FIFO; inserts come in the order of stamps, so
   while its head is untouched no entry of the FIFO is older. A head that was touched moves to the
   wheel, by the stamp it has then; an entry of the wheel that was touched is placed again when it
   is looked at. A stamp that stands beside a lease is fetched first. The victim is the older of an
   untouched FIFO head and an untouched wheel minimum. So each hit causes at most one re-placing,
   paid by the insert that needs room.

   Invariants. V1 stamps only grow, so a place in the wheel is a lower bound (one that a stopped
   reader set back counts as the wheel's floor). V2 no key of the wheel below the stamp of an
   untouched FIFO head is left behind when that head is taken.

   Bounds. At most SARKI_MOVES re-placings a hold; then the caller comes again.

   Given up. Among entries touched since the search began any may be taken: one hot entry would
   otherwise make the search follow it for ever. */

static inline bool sarki_moves_left(const sarki_shard *shard)
{
    return shard->hold_moves < SARKI_MOVES;
}

SARKI_REQUIRES(shard)
static inline void sarki_count_move(sarki_shard *shard)
{
    shard->hold_moves++;
    sarki_count_locked(&shard->a_recency_moves, 1);
}

/* The key by which to place an entry: its last stamp, wherever that is, which becomes placed. */
SARKI_REQUIRES(shard)
static uint64_t sarki_settle_locked(sark_cache *cache, uint32_t ref)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    uint64_t stamp = sarki_load64_relaxed(&entry->a_stamp); /* order: R3 the swap below */
    if (stamp & SARKI_MARKED)
        stamp = sarki_resident_gather(&cache->leases, &cache->stamps, entry, ref);
    /* order: R1 where a hit comes between, the entry stays touched, and is placed again later */
    sarki_cas64_relaxed(&entry->a_stamp, stamp, stamp | SARKI_PLACED);
    return sarki_stamp_key(stamp);
}

/* Moves the FIFO's head, which was touched, to the wheel. */
SARKI_REQUIRES(shard)
static void sarki_fifo_to_wheel(sark_cache *cache, sarki_shard *shard)
{
    uint32_t ref = shard->fifo.head;
    sarki_list_remove(cache->recency_links, &shard->fifo, ref);
    sarki_wheel_insert(&shard->recency, ref, sarki_settle_locked(cache, ref));
    sarki_count_move(shard);
}

/* The wheel's oldest entry and its key, where one look tells; otherwise 0 and one step nearer. An
   entry that was touched after start, and then is the oldest, is not looked at again. */
SARKI_REQUIRES(shard)
static uint32_t sarki_recency_step(sark_cache *cache, sarki_shard *shard, uint64_t start,
                                   uint64_t *key)
{
    sarki_wheel *wheel = &shard->recency;
    sarki_slot slot;
    uint32_t ref = wheel->pending.head;
    if (!ref && sarki_wheel_lowest(wheel, &slot)) {
        const sarki_list *list = &sarki_wheel_slot_at(wheel, slot.place)->list;
        ref = list->head;
        sarki_entry *entry = sarki_entry_of(cache, ref);
        if (ref != list->tail && slot.low != slot.high) {
            sarki_wheel_open(wheel, &slot);
            return 0;
        }
        uint64_t stamp = sarki_load64_relaxed(&entry->a_stamp); /* order: R3 settle, below */
        if (sarki_stamp_is_placed(stamp)) {
            *key = sarki_stamp_key(stamp);
            return ref;
        }
    }
    uint64_t placed = sarki_settle_locked(cache, ref);
    sarki_wheel_replace(wheel, ref, placed);
    sarki_count_move(shard);
    if (placed < start || !sarki_wheel_is_lowest(wheel, ref)) return 0;
    *key = placed;
    return ref;
}

static inline uint32_t sarki_wheel_any(const sarki_wheel *wheel)
{
    sarki_slot slot;
    if (wheel->pending.head) return wheel->pending.head;
    return sarki_wheel_lowest(wheel, &slot) ? sarki_wheel_slot_at(wheel, slot.place)->list.head : 0;
}

/* The start of a search, where it is not known yet; no stamp of a shard is far above it. */
static inline uint64_t sarki_search_start(sark_cache *cache, const sarki_shard *shard,
                                          uint64_t start)
{
    if (start != SARKI_NONE) return start;
    return sarki_stamp_mended(&cache->stamps, &shard->a_last_stamp) +
           sarki_stamp_lead(&cache->stamps);
}

/* The oldest entry of a shard.
   limit   the lowest bound of another shard: above it the oldest entry is not here
   start   when the search began: entries touched since are not ordered any further. SARKI_NONE:
           when the first entry was placed again
   *bound  in: the shard's lower bound; out: a better one
   Returns the entry; 0 where another shard has to be looked at, or moves ran out, or no entry is
   here (*bound is SARKI_NONE). */
SARKI_REQUIRES(shard)
static uint32_t sarki_recency_oldest_locked(sark_cache *cache, sarki_shard *shard, uint64_t limit,
                                            uint64_t start, uint64_t *bound)
{
    for (uint32_t moves = shard->hold_moves;;) {
        uint32_t head = shard->fifo.head, ref = 0;
        if (shard->hold_moves > moves) start = sarki_search_start(cache, shard, start);
        uint64_t first = SARKI_NONE, lowest = sarki_wheel_bound(&shard->recency);
        if (head) {
            first = sarki_load64_relaxed(&sarki_entry_of(cache, head)->a_stamp); /* order: R3 */
            if (!sarki_stamp_is_placed(first)) {
                if (!sarki_moves_left(shard)) return 0;
                sarki_fifo_to_wheel(cache, shard);
                continue;
            }
            first = sarki_stamp_key(first);
        }
        if (first > lowest && lowest < start) {
            if (lowest > *bound) *bound = lowest;
            if (lowest > limit || !sarki_moves_left(shard)) return 0;
            ref = sarki_recency_step(cache, shard, start, &lowest);
            if (!ref) continue;
        }
        *bound = sarki_min64(first, lowest);
        if (*bound == SARKI_NONE || (*bound > limit && limit < start)) return 0;
        if (first <= lowest) return head;
        return ref ? ref : sarki_wheel_any(&shard->recency);
    }
}

/* A deadline below the wheel's floor: either it has passed while the entry was written, and the
   entry stands with those of the floor, or the clock went back, and the wheel starts anew. A floor
   may be of the precise clock, so that one is asked. */
SARKI_REQUIRES(shard)
static void sarki_expiry_late(sark_cache *cache, sarki_shard *shard, uint64_t key)
{
    int64_t now = sarki_now_fine(cache);
    if (now < 0 || (uint64_t)now < shard->expiry.floor) sarki_wheel_restart(&shard->expiry, key);
}

/* Joins an entry to the order of expiry, unless it never expires. */
SARKI_REQUIRES(shard)
static void sarki_expiry_link_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref,
                                     int64_t deadline)
{
    if (deadline == SARKI_NEVER) return;
    sarki_a64 *a_next = sarki_next_deadline_of(cache, shard);
    uint64_t key = (uint64_t)deadline;
    if (sarki_load32_relaxed(&cache->a_uses_deadlines) == 0) /* order: R1 a hint */
        sarki_store32_relaxed(&cache->a_uses_deadlines, 1);  /* order: R1 */
    if (key < shard->expiry.floor) sarki_expiry_late(cache, shard, key);
    sarki_wheel_insert(&shard->expiry, ref, key);
    if (key < sarki_load64_relaxed(a_next)) /* order: R4 the shard's lock */
        sarki_store64_relaxed(a_next, key); /* order: R1, R4 */
}

/* Bytes of an entry's key and value, counted in or out. */
SARKI_REQUIRES(shard)
static inline void sarki_payload_locked(sarki_shard *shard, const sarki_entry *entry, bool in)
{
    uint64_t bytes = (uint64_t)entry->key_bytes + entry->value_bytes;
    sarki_count_locked(&shard->a_payload_bytes, in ? bytes : 0 - bytes);
}

/* Publishes a lower bound of a shard's stamps, and notes whether the next insert has to look at it:
   mostly not, which spares it a line that another thread may just have written. */
SARKI_REQUIRES(shard)
static inline void sarki_bound_publish(sark_cache *cache, sarki_shard *shard, uint64_t bound)
{
    shard->bound_is_ahead = bound > sarki_load64_relaxed(&shard->a_last_stamp); /* order: R4 */
    /* order: R4 the shard's lock; elsewhere a lower bound */
    sarki_store64_relaxed(sarki_oldest_of(cache, shard), bound);
}

/* A stamp has joined a shard: lowers the bound where it is above (S4). */
SARKI_REQUIRES(shard)
static inline void sarki_bound_lower(sark_cache *cache, sarki_shard *shard, uint64_t stamp)
{
    sarki_a64 *a_oldest = sarki_oldest_of(cache, shard);
    if (!shard->bound_is_ahead) return;
    shard->bound_is_ahead = false;
    if (sarki_load64_relaxed(a_oldest) > stamp) /* order: R4 the shard's lock */
        sarki_store64_seq_cst(a_oldest, stamp); /* order: E8 needed on x86 too */
}

/* Joins an entry to its shard, before it is published. */
SARKI_REQUIRES(shard)
static void sarki_shard_link_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref,
                                    int64_t deadline)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    uint64_t now = sarki_stamp_mended(&cache->stamps, &shard->a_last_stamp);
    uint64_t stamp = sarki_stamp_next(now, &shard->a_last_stamp);
    sarki_init64(&entry->a_stamp, stamp | SARKI_PLACED);
    entry->version_low = (uint32_t)++shard->last_version;
    entry->version_high = (uint16_t)(shard->last_version >> 32);
    sarki_list_append(cache->recency_links, &shard->fifo, ref);
    entry->recency.place = SARKI_IN_FIFO;
    shard->generation++;
    sarki_payload_locked(shard, entry, true);
    sarki_bound_lower(cache, shard, stamp);
    sarki_expiry_link_locked(cache, shard, ref, deadline);
}

/* Takes an entry out of the order of recency. */
SARKI_REQUIRES(shard)
static void sarki_recency_unlink_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref)
{
    if (sarki_entry_of(cache, ref)->recency.place == SARKI_IN_FIFO)
        sarki_list_remove(cache->recency_links, &shard->fifo, ref);
    else
        sarki_wheel_remove(&shard->recency, ref);
    if (!shard->fifo.head && sarki_wheel_bound(&shard->recency) == SARKI_NONE)
        sarki_bound_publish(cache, shard, SARKI_NONE); /* order: R4, then E8 */
}

/* What else an entry's departure takes: the order of expiry, and what is counted. */
SARKI_REQUIRES(shard)
static void sarki_expiry_unlink_locked(sarki_shard *shard, sarki_entry *entry, uint32_t ref)
{
    if (sarki_entry_deadline(entry) != SARKI_NEVER) sarki_wheel_remove(&shard->expiry, ref);
    shard->generation++;
    sarki_payload_locked(shard, entry, false);
}

/* Takes an entry out of the shard's orders. */
SARKI_REQUIRES(shard)
static void sarki_shard_unlink_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref)
{
    sarki_recency_unlink_locked(cache, shard, ref);
    sarki_expiry_unlink_locked(shard, sarki_entry_of(cache, ref), ref);
}

/* Puts a copy of an entry in its place in the shard's orders. */
SARKI_REQUIRES(shard)
static void sarki_shard_relink_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref,
                                      uint32_t copy)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    bool in_fifo = entry->recency.place == SARKI_IN_FIFO;
    sarki_list *list = in_fifo ? &shard->fifo : sarki_wheel_list_of(&shard->recency, ref);
    sarki_list_rename(cache->recency_links, list, ref, copy);
    if (sarki_entry_deadline(entry) != SARKI_NEVER)
        sarki_list_rename(cache->expiry_links, sarki_wheel_list_of(&shard->expiry, ref), ref, copy);
    shard->generation++;
}

/* Removes an entry that is out of the shard's orders: out of the index, into the frame. */
SARKI_REQUIRES(shard)
static void sarki_remove_unlinked_locked(sark_cache *cache, sarki_shard *shard, sarki_spot spot,
                                         uint32_t ref, sark_cache_cause cause, sarki_frame *frame)
{
    sarki_index_remove_locked(&cache->index, spot, sarki_entry_hash(sarki_entry_of(cache, ref)));
    /* order: R1, R4 the shard's lock */
    sarki_store32_relaxed(&shard->a_entries, sarki_load32_relaxed(&shard->a_entries) - 1);
    sarki_frame_add_locked(cache, shard, frame, ref, cause);
}

/* Removes an entry: out of the orders, the index, into the frame. Its place stays taken. */
SARKI_REQUIRES(shard)
static void sarki_remove_locked(sark_cache *cache, sarki_shard *shard, sarki_spot spot,
                                uint32_t ref, sark_cache_cause cause, sarki_frame *frame)
{
    sarki_shard_unlink_locked(cache, shard, ref);
    sarki_remove_unlinked_locked(cache, shard, spot, ref, cause, frame);
}

/* Asks for the header of an entry that will be written; 0: there is none. */
static inline void sarki_header_prefetch(const sark_cache *cache, uint32_t ref)
{
    if (ref) sarki_prefetch_to_write(sarki_entry_of(cache, ref));
}

/* Asks for all that the departure of a shard's oldest entry writes, and for the one behind it. The
   lines may have been written elsewhere, and it takes long to fetch one after the other. */
static void sarki_victim_prefetch(const sark_cache *cache, const sarki_shard *shard, uint32_t ref)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    sarki_header_prefetch(cache, entry->recency.next);
    sarki_index_prefetch_to_write(&cache->index, sarki_entry_hash(entry));
    if (sarki_entry_deadline(entry) != SARKI_NEVER)
        sarki_prefetch_to_write(
            sarki_wheel_slot_at(&shard->expiry, sarki_entry_expiry(entry)->link.place));
}

/* Gives places back. */
static void sarki_places_give_back(sark_cache *cache, uint32_t places)
{
    sarki_sub32_seq_cst(&cache->a_count, places); /* order: E8 */
    sarki_room_changed(cache);
}

/* ---- >>evict ---------------------------------------------------------------------------------

   Purpose. The victim of the whole cache: an expired entry if there is one, by the time that the
   call has read, else the oldest.

   Each shard publishes a lower bound of its stamps. The search locks the shard with the lowest,
   refines it until its oldest entry is known and not above the bounds of the others, or goes on
   to the next. Shards whose bound is at or above the start of the search are not refined. With
   the victim the shard's bound rises at once, so that the next search, which may be waiting for
   this lock, mostly goes to another shard.

   Bounds. Reads the bounds of all shards a round; a round without a victim raises a bound or has
   paid SARKI_MOVES re-placings that hits had caused. */

#define SARKI_AGES_EVERY 16u

/* What a victim is needed for. */
typedef enum sarki_purpose { SARKI_FOR_ENTRIES, SARKI_FOR_BYTES } sarki_purpose;

/* An expired entry of a shard; 0: none, or moves ran out (*bound is not above now). */
SARKI_REQUIRES(shard)
static uint32_t sarki_expiry_find_locked(sark_cache *cache, sarki_shard *shard, int64_t now,
                                         uint64_t *bound)
{
    sarki_wheel *wheel = &shard->expiry;
    sarki_slot slot;
    while (sarki_moves_left(shard)) {
        uint32_t ref = wheel->pending.head;
        if (ref) {
            int64_t deadline = sarki_entry_deadline(sarki_entry_of(cache, ref));
            *bound = wheel->floor;
            if (deadline <= now) return ref; /* no need to place what leaves */
            sarki_wheel_replace(wheel, ref, (uint64_t)deadline);
            shard->hold_moves++;
            continue;
        }
        *bound = SARKI_NONE;
        if (!sarki_wheel_lowest(wheel, &slot)) return 0;
        *bound = slot.low;
        if (slot.low > (uint64_t)now) return 0;
        const sarki_list *list = &sarki_wheel_slot_at(wheel, slot.place)->list;
        ref = list->head;
        if (slot.high <= (uint64_t)now) return ref;
        if (ref == list->tail) {
            *bound = (uint64_t)sarki_entry_deadline(sarki_entry_of(cache, ref));
            return *bound <= (uint64_t)now ? ref : 0;
        }
        sarki_wheel_open(wheel, &slot);
    }
    *bound = sarki_wheel_bound(wheel);
    return 0;
}

/* Removes up to max expired entries of a shard, in one hold of its lock. Their places stay taken.
   Returns how many; *more: others may be left. */
static uint32_t sarki_expire_shard(sark_cache *cache, sarki_shard *shard, int64_t now,
                                   uint32_t max, bool by_cleanup, sarki_frame *frame, bool *more)
{
    uint32_t removed = 0, ref = 0;
    uint64_t bound = SARKI_NONE;
    sarki_shard_lock(shard);
    do {
        ref = sarki_expiry_find_locked(cache, shard, now, &bound);
        if (!ref) break;
        sarki_entry *entry = sarki_entry_of(cache, ref);
        sarki_spot spot = sarki_index_spot_locked(&cache->index, sarki_entry_hash(entry), ref);
        sarki_remove_locked(cache, shard, spot, ref, SARK_CACHE_EXPIRED, frame);
        shard->hold_moves++;
    } while (++removed < max && sarki_moves_left(shard));
    sarki_count_locked(by_cleanup ? &shard->a_expired_by_cleanup : &shard->a_expired_by_writers,
                       removed);
    if (ref) bound = sarki_wheel_bound(&shard->expiry);
    /* order: R4 the shard's lock; elsewhere a lower bound */
    sarki_store64_relaxed(sarki_next_deadline_of(cache, shard), bound);
    *more = bound <= (uint64_t)now;
    sarki_shard_unlock(shard);
    return removed;
}

/* No deadline of the whole cache is below this, but of entries that were late: those count as the
   floor of their wheel, which has passed. */
static int64_t sarki_next_deadline(const sark_cache *cache)
{
    uint64_t next = SARKI_NEVER;
    for (uint32_t i = 0; i < cache->shard_count; i++) /* order: R1 a lower bound */
        next = sarki_min64(next, sarki_load64_relaxed(&cache->a_next_deadlines[i]));
    return (int64_t)next;
}

/* The time, if some deadline has passed; -1: none has, or the clock fails. now is what the call has
   read on the precise clock; -1: it has not. */
static int64_t sarki_expired_next(const sark_cache *cache, int64_t now)
{
    if (sarki_load32_relaxed(&cache->a_uses_deadlines) == 0) return -1; /* order: R1 a hint */
    int64_t next = sarki_next_deadline(cache);
    if (now < 0) now = sarki_now_near(cache, sarki_now(cache), next);
    return next <= now ? now : -1;
}

/* Removes one expired entry of the whole cache; its place stays taken. now as above. */
static bool sarki_expire_one(sark_cache *cache, int64_t now, sarki_frame *frame)
{
    now = sarki_expired_next(cache, now);
    if (now < 0) return false;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        /* order: R1 a lower bound; who has just written one knows it */
        bool more = sarki_load64_relaxed(&cache->a_next_deadlines[i]) <= (uint64_t)now;
        while (more)
            if (sarki_expire_shard(cache, &cache->shards[i], now, 1, false, frame, &more))
                return true;
    }
    return false;
}

/* A shard with the lowest bound; NULL: all are empty. */
typedef struct sarki_pick {
    sarki_shard *shard;
    uint64_t lowest; /* its bound */
    uint64_t limit;  /* the lowest of the others */
} sarki_pick;

static sarki_pick sarki_search_pick(sark_cache *cache)
{
    sarki_pick pick = {NULL, SARKI_NONE, SARKI_NONE};
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        uint64_t bound = sarki_load64_seq_cst(&cache->a_oldest[i]); /* order: E8 */
        bool lower = bound < pick.lowest; /* without branches: nobody can predict which one it is */
        pick.limit = sarki_min64(pick.limit, lower ? pick.lowest : bound);
        chosen = lower ? i : chosen;
        pick.lowest = lower ? bound : pick.lowest;
    }
    if (pick.lowest != SARKI_NONE) pick.shard = &cache->shards[chosen];
    return pick;
}

/* A search for a victim. */
typedef struct sarki_search {
    sarki_purpose purpose;
    uint64_t start; /* when it began; SARKI_NONE: in the first round, which mostly finds it */
    int64_t now;    /* what the call has read on the precise clock; -1: it has not */
    const sarki_query *kept; /* a key that may not be the victim; NULL: none */
    uint32_t kept_met;       /* how often it would have been */
    uint32_t granules;       /* of a spare block without which nothing is evicted; 0: none wanted */
    uint32_t spare;          /* it */
    bool has_no_spare;       /* the victim is known, and its shard has none */
} sarki_search;

/* Whether an entry is the kept one, which is then touched, so that it is not met at once again. */
SARKI_REQUIRES(shard)
static bool sarki_search_keeps(sark_cache *cache, sarki_shard *shard, sarki_search *search,
                               uint32_t ref)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    if (!search->kept) return false;
    if (!sarki_entry_has_key(entry, search->kept->key, search->kept->key_bytes)) return false;
    sarki_entry_touch(entry, sarki_stamp_of(cache, shard));
    search->kept_met++;
    return true;
}

/* A lower bound of the stamps of a shard whose oldest entry, stamped with bound, has just left. */
SARKI_REQUIRES(shard)
static uint64_t sarki_recency_bound_locked(sark_cache *cache, const sarki_shard *shard,
                                           uint64_t bound)
{
    uint64_t lowest = sarki_wheel_bound(&shard->recency);
    uint32_t head = shard->fifo.head;
    if (head) {
        /* order: R3 a lower bound; where the head was touched those behind it may be older */
        uint64_t first = sarki_load64_relaxed(&sarki_entry_of(cache, head)->a_stamp);
        lowest = sarki_min64(lowest, sarki_stamp_is_placed(first) ? sarki_stamp_key(first) : bound);
    }
    return sarki_max64(lowest, bound);
}

/* A time in units of stamps as microseconds, by what the clock and the counter have done since the
   cache was created; UINT64_MAX: that is too little to tell. */
static uint64_t sarki_units_us(const sark_cache *cache, uint64_t units)
{
    uint64_t steps = (sarki_counter() << cache->stamps.shift) - cache->stamp_epoch;
    int64_t elapsed_ns = sarki_awake_ns() - cache->stamp_epoch_ns;
    if (steps >> 20 == 0 || elapsed_ns <= 0) return UINT64_MAX;
    uint64_t ns_each = (uint64_t)elapsed_ns / (steps >> 20); /* 2^20 units */
    return ((units >> 20) * ns_each + ((units & 0xfffff) * ns_each >> 20)) / 1000;
}

/* Notes how long one victim in SARKI_AGES_EVERY had gone unused: to read the clocks each time would
   be a fifth of an insert. */
SARKI_REQUIRES(shard)
static void sarki_age_note_locked(sark_cache *cache, sarki_shard *shard, const sarki_entry *entry,
                                  uint64_t evictions)
{
    if (evictions % SARKI_AGES_EVERY != 0 || cache->stamps.shift < 0) return;
    uint64_t now = sarki_stamp_now(&cache->stamps);
    uint64_t used = sarki_stamp_key(sarki_load64_relaxed(&entry->a_stamp)); /* order: R1 */
    uint64_t age_us = sarki_units_us(cache, now > used ? now - used : 0);
    if (age_us == UINT64_MAX) return;
    age_us += shard->age_us;
    shard->age_us = (uint32_t)(age_us % 1000);
    sarki_count_locked(&shard->a_ages, 1);
    sarki_count_locked(&shard->a_age_ms, age_us / 1000);
}

/* Removes the victim, the oldest entry of a shard whose stamps are at least bound. First of all it
   publishes the new bound, so that other searches turn to other shards. The spare is taken before
   the victim retires, as that may change which ones there are. */
SARKI_REQUIRES(shard)
static void sarki_search_remove(sark_cache *cache, sarki_shard *shard, sarki_search *search,
                                uint32_t ref, uint64_t bound, sarki_frame *frame)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    sarki_a64 *a_evicted = search->purpose == SARKI_FOR_ENTRIES ? &shard->a_evicted_for_entries
                                                                : &shard->a_evicted_for_bytes;
    sarki_victim_prefetch(cache, shard, ref);
    sarki_age_note_locked(cache, shard, entry, sarki_load64_relaxed(a_evicted)); /* order: R4 */
    sarki_recency_unlink_locked(cache, shard, ref);
    sarki_bound_publish(cache, shard, sarki_recency_bound_locked(cache, shard, bound));
    sarki_expiry_unlink_locked(shard, entry, ref);
    if (search->granules) search->spare = sarki_spare_take_locked(cache, shard);
    sarki_spot spot = sarki_index_spot_locked(&cache->index, sarki_entry_hash(entry), ref);
    sarki_remove_unlinked_locked(cache, shard, spot, ref, SARK_CACHE_EVICTED, frame);
    sarki_count_locked(a_evicted, 1);
    if (shard->fifo.head) sarki_victim_prefetch(cache, shard, shard->fifo.head);
    sarki_header_prefetch(cache, sarki_wheel_any(&shard->recency));
}

/* Locks the shard with the lowest bound. False, and one more missed: the bound has risen meanwhile,
   as the one who holds the lock has taken the victim; so it is known early which shard comes next.
   Who has missed often waits for the lock. */
SARKI_TRIES(shard)
static bool sarki_search_lock(sark_cache *cache, const sarki_pick *pick, uint32_t *missed)
{
    const sarki_a64 *a_oldest = sarki_oldest_of(cache, pick->shard);
    sarki_shard_prefetch(pick->shard);
    for (uint32_t spins = 0; spins < SARKI_SPINS && *missed < SARKI_MISSES; spins++) {
        if (spins % 8 == 0 && sarki_shard_try_lock(pick->shard)) return true;
        if (sarki_load64_relaxed(a_oldest) != pick->lowest) { /* order: R1 a hint */
            ++*missed;
            return false;
        }
        sarki_pause();
    }
    sarki_shard_lock(pick->shard);
    return true;
}

/* One round of the search in one shard, which is locked; true: it found and removed the victim. */
SARKI_REQUIRES(shard)
static bool sarki_search_round_locked(sark_cache *cache, const sarki_pick *pick,
                                      sarki_search *search, sarki_frame *frame)
{
    sarki_shard *shard = pick->shard;
    if (shard->spares.top) /* nothing without a search for one */
        sarki_entry_prefetch_to_write(cache->region, shard->spares.top, search->granules);
    /* order: R4 the shard's lock */
    uint64_t bound = sarki_load64_relaxed(sarki_oldest_of(cache, shard));
    uint32_t ref = sarki_recency_oldest_locked(cache, shard, pick->limit, search->start, &bound);
    if (ref && sarki_search_keeps(cache, shard, search, ref)) ref = 0;
    if (ref && search->granules) {
        search->has_no_spare = !sarki_spare_fits_locked(cache, shard, search->granules);
        if (search->has_no_spare) ref = 0;
    }
    if (ref)
        sarki_search_remove(cache, shard, search, ref, bound, frame);
    else if (bound != SARKI_NONE)
        sarki_bound_publish(cache, shard, bound);
    return ref != 0;
}

/* Removes the oldest entry of the whole cache. False: there is none, or it is the kept one and no
   other, or has no such spare in its shard. */
static bool sarki_search_run(sark_cache *cache, sarki_search *search, sarki_frame *frame)
{
    for (uint32_t missed = 0;;) {
        sarki_pick pick = sarki_search_pick(cache);
        if (!pick.shard) return false;
        if (!sarki_search_lock(cache, &pick, &missed)) continue;
        bool found = sarki_search_round_locked(cache, &pick, search, frame);
        sarki_shard_unlock(pick.shard);
        if (found) return true;
        if (search->has_no_spare || search->kept_met > 1) return false;
        search->start = sarki_search_start(cache, pick.shard, search->start);
    }
}

/* Removes the victim of the whole cache; its place stays taken. False: there is no entry, or only
   the kept one. */
static bool sarki_search_victim(sark_cache *cache, sarki_search *search, sarki_frame *frame)
{
    return sarki_expire_one(cache, search->now, frame) || sarki_search_run(cache, search, frame);
}

/* The same by a search that begins now. kept: a key that may not be the victim; NULL: none. */
static bool sarki_evict(sark_cache *cache, sarki_purpose purpose, const sarki_query *kept,
                        sarki_frame *frame)
{
    sarki_search search = {purpose, SARKI_NONE, -1, kept, 0, 0, 0, false};
    return sarki_search_victim(cache, &search, frame);
}

/* Whether some shard has a spare block of this size, most likely. Only the victim's shard will be
   asked for it; which one that is must not follow from bounds, or the same calls would not
   repeat. */
static bool sarki_spare_is_near(const sark_cache *cache, uint32_t granules)
{
    for (uint32_t i = 0; i < cache->shard_count; i++) /* order: R1 a hint */
        if (sarki_load32_relaxed(&cache->a_spare_granules[i]) == granules) return true;
    return false;
}

/* Removes the victim, whose place stays taken, if there is a spare block of so many granules where
   it was. Returns the block; 0: nothing happened, but that the search knows when it began, if it
   took more than a round: so that the next one goes on and does not do the same again. */
static uint32_t sarki_evict_for_spare(sark_cache *cache, uint32_t granules, sarki_search *search,
                                      sarki_frame *frame)
{
    if (sarki_load32_relaxed(&cache->memory.a_turn_taken)) return 0; /* order: R1, see >>room */
    if (!sarki_spare_is_near(cache, granules)) return 0;
    if (sarki_expired_next(cache, search->now) >= 0) return 0;
    search->granules = granules;
    bool evicted = sarki_search_run(cache, search, frame);
    search->granules = 0;
    search->has_no_spare = false;
    return evicted ? search->spare : 0;
}

/* ---- >>memory --------------------------------------------------------------------------------

   Purpose. Blocks for inserts: taken, given back, and what stands in the way of a gap. While
   somebody makes room (>>room) nobody else takes a block from the arena.

   Access. The memory lock, which these functions take where they are not called ..._locked.

   Bounds. Where there is no block at once, one scan of what waits in each shard. Of the blocks that
   may be too small 8 are looked at; by who makes room as many more as pins and entries that are
   being reported may have between them, for all else may be evicted in vain. */

#define SARKI_SMALL_TRIES 8u

/* A block, if memory allows; 0 also where somebody else has the turn. */
static uint32_t sarki_memory_take(sark_cache *cache, uint32_t granules, bool has_turn)
{
    sarki_memory *memory = &cache->memory;
    uint32_t tries = SARKI_SMALL_TRIES;
    if (has_turn) tries += cache->leases.pin_count + cache->reporter_count;
    for (bool again = true;; again = false) {
        sarki_memory_lock(memory);
        bool allowed = has_turn || sarki_load32_relaxed(&memory->a_turn_taken) == 0; /* order: R4 */
        uint32_t ref = allowed ? sarki_arena_allocate(&memory->arena, granules, tries) : 0;
        sarki_memory_unlock(memory);
        if (ref || !allowed || !again) return ref;
        sarki_retired_collect(cache);
    }
}

static void sarki_memory_give_back(sark_cache *cache, uint32_t ref)
{
    sarki_memory_lock(&cache->memory);
    sarki_arena_release(&cache->memory.arena, ref);
    sarki_memory_unlock(&cache->memory);
    sarki_room_changed(cache);
}

/* The block of a pin that is out; 0: none. The memory lock is held, so it is not freed. */
SARKI_REQUIRES(memory)
static uint32_t sarki_pin_block_locked(const sarki_pin *pin)
{
    uint32_t sequence = sarki_load32_acquire(&pin->a_sequence); /* order: E9 */
    uint32_t ref = sarki_load32_acquire(&pin->a_ref);           /* order: E9 */
    /* order: R3 the load before. The same use of the pin, before and after; else its ref may be one
       that was not re-checked, of a block that is gone */
    bool same = sequence == sarki_load32_relaxed(&pin->a_sequence);
    return same && (sequence & 1) ? ref : 0;
}

/* Sorts references: Shell's method with Ciura's gaps (Best increments for the average case of
   Shellsort), as all pins may be out and the memory lock is held. */
static void sarki_sort(uint32_t *refs, uint32_t count)
{
    static const uint16_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (uint32_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++)
        for (uint32_t i = gaps[g]; i < count; i++) {
            uint32_t ref = refs[i], at = i;
            for (; at >= gaps[g] && refs[at - gaps[g]] > ref; at -= gaps[g])
                refs[at] = refs[at - gaps[g]];
            refs[at] = ref;
        }
}

/* Notes the blocks that cannot be freed now: pinned, kept (0: none), or, if asked for, being
   reported, in the order of their addresses. The memory lock is held. Returns their number. */
SARKI_REQUIRES(memory)
static uint32_t sarki_obstacles_locked(sark_cache *cache, uint32_t kept, bool reported,
                                       uint32_t *refs)
{
    uint32_t count = 0, reporters = 0;
    if (reported) reporters = sarki_load32_relaxed(&cache->a_reporters_used); /* order: R3 */
    uint32_t candidates = cache->leases.pin_count + reporters + 1;
    for (uint32_t i = 0; i < candidates; i++) {
        uint32_t ref = kept;
        if (i < cache->leases.pin_count)
            ref = sarki_pin_block_locked(&cache->leases.pins[i]);
        else if (i + 1 < candidates) /* order: R4 cleared before the memory lock is taken */
            ref = sarki_load32_relaxed(&cache->reporters[i - cache->leases.pin_count].a_ref);
        if (ref > SARKI_CLAIMED) refs[count++] = ref;
    }
    sarki_sort(refs, count);
    return count;
}

/* ---- >>moving --------------------------------------------------------------------------------

   Purpose. A gap for an entry that is larger than most. Recency and address have nothing to do
   with each other: who waits for evictions to leave a gap of 2 KiB among entries of 64 bytes evicts
   two thirds of them. So only a little more than the size is evicted, wherever it lies. Then a
   window is cleared by moving the entries in it elsewhere:

       before   [hole][entry a][hole][entry b][hole] ... [  hole  ] ... [hole]
       after    [               window             ] ... [entry b]  ... [entry a]

   The window is a block that the call has taken. It grows over what lies behind it: a free block at
   once, an entry when it has moved.

   An entry moves in three steps.
     1. Its shard is locked: it is in the index. It is named in a_moving, which protects it as a
        lease does.
     2. Key and value are copied. No lock is held.
     3. Its shard is locked again, and if it is still there, the copy takes its place in the orders
        and in the index. A hit that has found the entry before is over soon; when none is left, no
        later touch can come, the last one is carried over, and the block is free. If a hit takes
        long, or a pin comes, the entry counts as touched now, the block retires, and another window
        is looked for.
   Readers see the entry in one block or the other; nothing is reported.

   Invariants. M1 blocks are taken only by the call that makes room: behind the window there is
   always the start of a block, and what was used can only have become free. M2 the copy has the
   entry's version, deadline and order.

   Access. a_moving: written by the call that makes room; the rest under the locks of arena and
   shards.

   Bounds. One entry in a hold of a shard's lock. A choice weighs 17 windows, by the first 32 blocks
   of each. After 8 choices in vain more entries are evicted, each time some more than the last.

   Given up. Windows that do not begin with one of 16 holes, or the arena; in vain where each has in
   it an entry that is larger than any hole. A look (peek, contains, ttl) that takes long while its
   entry moves counts as a touch. */

#define SARKI_WINDOWS 16u
#define SARKI_WINDOW_TRIES 8u
#define SARKI_BLOCKS_WEIGHED 32u

/* Where a gap is being made. The next block is the one behind it, which is in use. */
typedef struct sarki_window {
    uint32_t wanted; /* granules */
    uint32_t first, taken;
    uint32_t next, next_size, next_hash; /* next is 0: the window is as large as wanted */
    uint32_t stuck[SARKI_WINDOW_TRIES];  /* blocks that could not be cleared */
    uint32_t stuck_count;
    bool pays; /* enough was free at the last choice */
} sarki_window;

/* Whether so much is free that a gap can be made. What moves needs places too, which are scattered:
   so a quarter more than wanted and 1 KiB, but not more than half of what there is else. */
SARKI_REQUIRES(memory)
static bool sarki_window_pays_locked(const sarki_arena *arena, uint32_t wanted)
{
    uint32_t all = arena->end - arena->first;
    uint32_t more = wanted / 4 + 1024 / SARKI_GRANULE, half = (all - wanted) / 2;
    uint32_t used = sarki_load32_relaxed(&arena->a_used); /* order: R4 the memory lock */
    return all - used >= wanted + (more < half ? more : half);
}

/* Whether a window meets one of some blocks. */
static bool sarki_window_meets(uint32_t first, uint32_t wanted, const uint32_t *refs,
                               uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (refs[i] >= first && refs[i] - first < wanted) return true;
    return false;
}

/* About how many granules would have to move out of a window; UINT64_MAX: it is not possible there,
   as it would pass the end, or a block in it is larger than any hole elsewhere. */
SARKI_REQUIRES(memory)
static uint64_t sarki_window_cost_locked(const sarki_arena *arena, uint32_t first, uint32_t wanted,
                                         uint32_t largest_hole)
{
    uint64_t live = 0;
    uint32_t seen = 0;
    if (arena->end - first < wanted) return UINT64_MAX;
    for (uint32_t i = 0; i < SARKI_BLOCKS_WEIGHED && seen < wanted; i++) {
        uint32_t size = sarki_block_size(arena, first + seen);
        bool is_free = sarki_block_is_free(arena, first + seen);
        if (!is_free && size > largest_hole) return UINT64_MAX;
        if (!is_free) live += size;
        seen += size;
    }
    return seen < wanted ? live * wanted / seen : live;
}

/* Lets the window grow over what is free, and notes which block is next. */
SARKI_REQUIRES(memory)
static void sarki_window_grow_locked(sarki_arena *arena, sarki_window *window)
{
    if (window->taken > 0)
        window->taken = sarki_arena_grow(arena, window->first, window->wanted);
    else if (sarki_block_is_free(arena, window->first))
        window->taken = sarki_arena_take(arena, window->first, window->wanted);
    window->next = window->taken < window->wanted ? window->first + window->taken : 0;
    if (!window->next) return;
    window->next_size = sarki_block_size(arena, window->next);
    window->next_hash = sarki_entry_hash(sarki_entry_at(arena->region, window->next));
}

static void sarki_window_grow(sark_cache *cache, sarki_window *window)
{
    sarki_memory_lock(&cache->memory);
    sarki_window_grow_locked(&cache->memory.arena, window);
    sarki_memory_unlock(&cache->memory);
}

/* The best beginning of a window: a hole, or the arena's. 0: there is none. */
SARKI_REQUIRES(memory)
static uint32_t sarki_window_best_locked(sark_cache *cache, const sarki_window *window)
{
    sarki_arena *arena = &cache->memory.arena;
    uint32_t *obstacles = cache->memory.scan_refs, firsts[SARKI_WINDOWS + 1];
    uint32_t obstacle_count = sarki_obstacles_locked(cache, 0, true, obstacles);
    uint32_t count = sarki_arena_holes(arena, firsts, SARKI_WINDOWS), best = 0, largest_hole = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = sarki_block_size(arena, firsts[i]);
        if (size > largest_hole) largest_hole = size;
    }
    firsts[count++] = arena->first;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t cost = sarki_window_cost_locked(arena, firsts[i], window->wanted, largest_hole);
        if (cost >= least ||
            sarki_window_meets(firsts[i], window->wanted, window->stuck, window->stuck_count) ||
            sarki_window_meets(firsts[i], window->wanted, obstacles, obstacle_count))
            continue;
        best = firsts[i];
        least = cost;
    }
    return best;
}

/* Chooses a window, if so much is free, and takes its hole. */
static bool sarki_window_choose(sark_cache *cache, sarki_window *window)
{
    sarki_arena *arena = &cache->memory.arena;
    sarki_memory_lock(&cache->memory);
    window->pays = sarki_window_pays_locked(arena, window->wanted);
    window->first = window->pays ? sarki_window_best_locked(cache, window) : 0;
    window->taken = 0;
    if (window->first) sarki_window_grow_locked(arena, window);
    sarki_memory_unlock(&cache->memory);
    return window->first != 0;
}

static bool sarki_moving_is_pinned(const sarki_leases *leases, uint32_t ref)
{
    for (uint32_t i = 0; i < leases->pin_count; i++) /* order: E4, E5 */
        if (sarki_load32_seq_cst(&leases->pins[i].a_ref) == ref) return true;
    return false;
}

/* Locks the shard of the entry in the window's next block; NULL: there is none in the index, or it
   is pinned. */
SARKI_TRIES(shard)
static sarki_shard *sarki_moving_lock(sark_cache *cache, const sarki_window *window,
                                      sarki_spot *spot)
{
    uint32_t found = 0;
    if (!sarki_index_spot(&cache->index, window->next_hash, window->next, spot)) return NULL;
    sarki_shard *shard = sarki_slot_lock(cache, *spot, &found);
    if (!shard) return NULL;
    if (found == window->next && !sarki_moving_is_pinned(&cache->leases, found)) return shard;
    sarki_shard_unlock(shard);
    return NULL;
}

/* Copies what is immutable in an entry that is protected. */
static void sarki_moving_copy(sark_cache *cache, uint32_t ref, uint32_t to)
{
    sarki_entry *entry = sarki_entry_of(cache, ref), *copy = sarki_entry_of(cache, to);
    SARKI_BYTES_READ(entry);
    SARKI_BYTES_WRITTEN(copy);
    copy->recency.header_bytes = entry->recency.header_bytes;
    copy->value_bytes = entry->value_bytes;
    copy->key_bytes = entry->key_bytes;
    copy->version_low = entry->version_low;
    copy->version_high = entry->version_high;
    sarki_store32_relaxed(&copy->a_hash, sarki_entry_hash(entry)); /* order: R3 */
    if (cache->touch_interval_ms > 0) { /* order: R1 */
        uint32_t touched_ms = sarki_load32_relaxed(&sarki_entry_expiry(entry)->a_touched_ms);
        sarki_store32_relaxed(&sarki_entry_expiry(copy)->a_touched_ms, touched_ms); /* order: R1 */
    }
    memcpy(sarki_entry_key(copy), sarki_entry_key(entry),
           (size_t)entry->key_bytes + entry->value_bytes);
}

/* Whether a lease or a pin names an entry that has left its block. */
static bool sarki_moving_is_read(const sarki_leases *leases, uint32_t ref)
{
    uint32_t used = sarki_load32_seq_cst(&leases->a_slots_used); /* order: E6 needed on x86 too */
    for (uint32_t i = 0; i < used; i++)                          /* order: E4, E5 */
        if (sarki_load32_seq_cst(&sarki_lease_at(leases, i)->a_ref) == ref) return true;
    return sarki_moving_is_pinned(leases, ref);
}

/* Frees the block that an entry has left, and carries its last touch over to the copy. */
SARKI_REQUIRES(shard)
static void sarki_moving_leave_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref,
                                      uint32_t to)
{
    sarki_entry *entry = sarki_entry_of(cache, ref), *copy = sarki_entry_of(cache, to);
    bool is_read = true;
    for (uint32_t spins = 0; is_read && spins < SARKI_SPINS; spins++) {
        is_read = sarki_moving_is_read(&cache->leases, ref);
        if (is_read) sarki_pause();
    }
    sarki_emptied emptied = sarki_residents_empty(&cache->leases, ref);
    if (is_read || emptied.is_named) {
        sarki_entry_raise(copy, sarki_stamp_soon(&cache->stamps));
        sarki_retire_locked(cache, shard, ref);
        return;
    }
    uint64_t last = sarki_load64_relaxed(&entry->a_stamp); /* order: E5 */
    sarki_entry_raise(copy, sarki_max64(last & ~SARKI_STAMP_FLAGS, emptied.stamp));
    SARKI_BYTES_WRITTEN(entry);
    sarki_memory_lock(&cache->memory);
    sarki_arena_release(&cache->memory.arena, ref);
    sarki_memory_unlock(&cache->memory);
}

/* Puts a copy in an entry's place. */
SARKI_REQUIRES(shard)
static void sarki_moving_swap_locked(sark_cache *cache, sarki_shard *shard, sarki_spot spot,
                                     uint32_t ref, uint32_t to)
{
    sarki_entry *entry = sarki_entry_of(cache, ref), *copy = sarki_entry_of(cache, to);
    uint64_t stamp = sarki_load64_relaxed(&entry->a_stamp); /* order: R3 read again at the end */
    sarki_init64(&copy->a_stamp, stamp & ~SARKI_MARKED);    /* order: R5 */
    if (sarki_entry_is_timed(copy))
        sarki_init64(&sarki_entry_expiry(copy)->a_deadline, (uint64_t)sarki_entry_deadline(entry));
    sarki_shard_relink_locked(cache, shard, ref, to);
    sarki_index_replace_locked(&cache->index, spot, to);
    sarki_count_locked(&shard->a_room_moves, 1);
    shard->hold_moves++;
    sarki_moving_leave_locked(cache, shard, ref, to);
}

/* Moves the entry in the window's next block, which is that of a slot, to another block. Where it
   has been removed meanwhile, the other block is given back. */
static void sarki_moving_run(sark_cache *cache, const sarki_window *window, sarki_spot spot,
                             uint32_t to)
{
    uint32_t found = 0;
    sarki_moving_copy(cache, window->next, to);
    sarki_shard *shard = sarki_slot_lock(cache, spot, &found);
    bool is_there = false;
    sarki_store32_release(&cache->leases.a_moving, 0); /* order: E5 */
    if (shard) {
        is_there = found == window->next;
        if (is_there) sarki_moving_swap_locked(cache, shard, spot, window->next, to);
        sarki_shard_unlock(shard);
    }
    if (!is_there) sarki_memory_give_back(cache, to);
}

/* Moves what is in the window's next block, or frees it if it was removed. False: there is no block
   for a copy. */
static bool sarki_moving_try(sark_cache *cache, const sarki_window *window)
{
    sarki_spot spot;
    uint32_t to = sarki_memory_take(cache, window->next_size, true);
    if (!to) return false;
    sarki_shard *shard = sarki_moving_lock(cache, window, &spot);
    if (shard) {
        sarki_store32_relaxed(&cache->leases.a_moving, window->next); /* order: R4 shard's lock */
        sarki_shard_unlock(shard);
        sarki_moving_run(cache, window, spot, to);
        return true;
    }
    sarki_memory_give_back(cache, to);
    sarki_retired_collect(cache);
    return true;
}

/* Clears the window's next block. False: that is not possible now. */
static bool sarki_window_clear(sark_cache *cache, sarki_window *window)
{
    uint32_t next = window->next;
    if (!sarki_moving_try(cache, window)) return false;
    sarki_window_grow(cache, window);
    return window->next != next;
}

/* Makes a gap by moving entries. Returns the block; 0: too little is free, or nothing can move
   (*in_vain: it was tried). */
static uint32_t sarki_room_by_moving(sark_cache *cache, uint32_t wanted, bool *in_vain)
{
    sarki_window window;
    memset(&window, 0, sizeof window);
    window.wanted = wanted;
    while (window.stuck_count < SARKI_WINDOW_TRIES && sarki_window_choose(cache, &window)) {
        while (window.next && sarki_window_clear(cache, &window)) continue;
        if (!window.next) return window.first;
        if (window.taken > 0) sarki_memory_give_back(cache, window.first);
        window.stuck[window.stuck_count++] = window.next;
    }
    *in_vain = window.pays;
    return 0;
}

/* ---- >>room ----------------------------------------------------------------------------------

   Purpose. A place (max_entries) and memory (max_bytes) for an insert.

   A place is reserved where the count is below max_entries, or inherited from a victim. Where no
   entry can be evicted, all places belong to inserts under way: the call waits until one of them
   has ended.

   Memory: who finds none takes a turn, first come, first served, and until he has his block
   nobody else takes memory. He evicts, oldest first, until there is a gap or one can be made by
   moving; while a callback is told of a victim he gives the turn up, for it may wait for others.
   Pins that leave no gap are found before anything is evicted. The key's own entry leaves last, or
   not at all.

   Inside a removal callback nobody waits and nobody takes a turn: the entry that is being
   reported may be the very memory or place that others wait for.

   Bounds. Who waits sleeps. A change wakes who waits for a place; the one that has the turn looks
   each millisecond, as changes are many where memory is short, and mostly free nothing that it
   needs. Where a block is held for ten seconds by a callback, a lease or an insert under way, the
   call gives up (BUSY); who waits for the turn then begins to count.

   Given up. A place is free a little later than its entry has left, as it is given back when no
   lock is held; and of two inserts of one new key both may have evicted for it, then one gives its
   place back. So an insert may evict an entry that it needed not, where it overlaps such a call. */

#define SARKI_ROOM_PATIENCE 10000u /* naps of a millisecond */

/* Reserves a place, if the count is below max_entries. */
static bool sarki_place_reserve(sark_cache *cache)
{
    for (;;) {
        uint32_t count = sarki_load32_relaxed(&cache->a_count); /* order: R3 the swap, or a wait */
        if (count >= cache->max_entries) return false;
        if (!sarki_cas32_relaxed(&cache->a_count, count, count + 1)) continue; /* order: R3 */
        sarki_raise32(&cache->a_count_peak, count + 1);
        return true;
    }
}

/* Sleeps until something changes, unless a place or an entry to evict is there. */
static void sarki_place_wait(sark_cache *cache)
{
    sarki_lock(&cache->room.mutex);
    sarki_add32_seq_cst(&cache->room.a_waiting, 1); /* order: E8 needed on x86 too */
    if (!sarki_search_pick(cache).shard &&
        sarki_load32_seq_cst(&cache->a_count) >= cache->max_entries) /* order: E8 */
        sarki_wait(&cache->room.changed, &cache->room.mutex);
    sarki_sub32_relaxed(&cache->room.a_waiting, 1); /* order: R1 too high a count only wakes */
    sarki_unlock(&cache->room.mutex);
}

/* Takes a place: inherited or reserved. False: only inside a callback, where none is to be had. */
static bool sarki_place_take(sark_cache *cache, sarki_frame *frame)
{
    while (!sarki_evict(cache, SARKI_FOR_ENTRIES, NULL, frame) && !sarki_place_reserve(cache)) {
        if (sarki_frame_outer(cache)) return false;
        sarki_place_wait(cache);
    }
    return true;
}

/* Whether pins leave a gap of so many granules, whatever else is evicted but the entry kept (0:
   none; its shard's lock is held); reported: and entries that are being reported. */
static bool sarki_room_possible(sark_cache *cache, uint32_t granules, uint32_t kept, bool reported)
{
    sarki_memory *memory = &cache->memory;
    uint32_t from = memory->arena.first;
    bool possible = false;
    sarki_memory_lock(memory);
    uint32_t count = sarki_obstacles_locked(cache, kept, reported, memory->scan_refs);
    for (uint32_t i = 0; i < count && !possible; i++) {
        uint32_t ref = memory->scan_refs[i];
        possible = ref >= from && ref - from >= granules;
        if (ref >= from) from = ref + sarki_block_size(&memory->arena, ref);
    }
    possible = possible || memory->arena.end - from >= granules;
    sarki_memory_unlock(memory);
    return possible;
}

static void sarki_turn_set(sark_cache *cache, bool taken)
{
    sarki_memory_lock(&cache->memory);
    sarki_store32_relaxed(&cache->memory.a_turn_taken, taken); /* order: R4, else a hint */
    sarki_memory_unlock(&cache->memory);
}

/* Waits for the turn to make room. */
static void sarki_turn_enter(sark_cache *cache)
{
    sarki_room *room = &cache->room;
    sarki_lock(&room->mutex);
    uint32_t ticket = room->next_ticket++;
    while (room->serving != ticket) sarki_wait(&room->changed, &room->mutex);
    sarki_unlock(&room->mutex);
    sarki_turn_set(cache, true);
}

static void sarki_turn_leave(sark_cache *cache)
{
    sarki_turn_set(cache, false);
    sarki_lock(&cache->room.mutex);
    cache->room.serving++;
    sarki_wake_all(&cache->room.changed);
    sarki_unlock(&cache->room.mutex);
}

/* The key for which room is made. Its own entry is touched first, so that it leaves last. */
typedef struct sarki_own {
    const sarki_query *query;
    bool keep; /* rather no room than to evict it */
} sarki_own;

/* Touches the key's own entry, if there can be room without evicting more than it may. */
static bool sarki_own_touch(sark_cache *cache, const sarki_own *own, uint32_t granules)
{
    sarki_spot spot;
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, own->query->tag)];
    sarki_shard_lock(shard);
    uint32_t ref = sarki_index_find_locked(&cache->index, cache->region, own->query, &spot);
    bool possible = sarki_room_possible(cache, granules, own->keep ? ref : 0, false);
    if (ref && possible)
        sarki_entry_touch(sarki_entry_of(cache, ref),
                          sarki_stamp_of(cache, shard));
    sarki_shard_unlock(shard);
    return possible;
}

/* Reports what was evicted. The turn is given up meanwhile: a callback may wait for a thread that
   waits for it. */
static void sarki_turn_flush(sark_cache *cache, sarki_frame *frame)
{
    bool reports = cache->config.on_remove != NULL;
    if (reports) sarki_turn_leave(cache);
    sarki_frame_flush(cache, frame);
    if (reports) sarki_turn_enter(cache);
}

/* How far making room for a block has come. */
typedef struct sarki_making {
    uint64_t victims_left; /* callbacks may take what is freed only so often */
    uint32_t patience;
    uint32_t since, pause; /* evictions since moving was in vain; so many before it is tried */
} sarki_making;

/* A beginning. Where an entry is not larger than most, a few evictions make a gap soon, and leave
   larger holes than moving would. */
static sarki_making sarki_making_of(const sark_cache *cache, uint32_t granules)
{
    uint64_t entries = sarki_entries(cache);
    uint64_t used = sarki_load32_relaxed(&cache->memory.arena.a_used); /* order: R1 */
    bool is_large = 2 * entries * granules > 3 * used;
    sarki_making making = {16 * (entries + SARKI_MOVES), SARKI_ROOM_PATIENCE, 0, is_large ? 2 : 8};
    return making;
}

/* A block, if memory allows, or moving makes a gap. Each time that it was in vain it is tried
   later. */
static uint32_t sarki_room_try(sark_cache *cache, sarki_making *making, uint32_t granules)
{
    bool in_vain = false;
    uint32_t ref = sarki_memory_take(cache, granules, true);
    if (ref || making->since < making->pause) return ref;
    ref = sarki_room_by_moving(cache, granules, &in_vain);
    if (in_vain) {
        making->since = 0;
        making->pause += making->pause / 4 + 1;
    }
    return ref;
}

/* Evicts until there is a block. The turn is held. While a callback under way leaves no gap, or
   what is left belongs to inserts under way, it sleeps. 0: pins leave no gap, patience has ended,
   or callbacks took what was freed as often as there are entries. */
static uint32_t sarki_room_make(sark_cache *cache, uint32_t granules, const sarki_own *own,
                                sarki_frame *frame)
{
    sarki_making making = sarki_making_of(cache, granules);
    for (;;) {
        uint32_t ref = sarki_room_try(cache, &making, granules);
        if (ref || making.patience == 0 || !sarki_own_touch(cache, own, granules)) return ref;
        making.since++;
        if (making.victims_left > 0 && sarki_room_possible(cache, granules, 0, true) &&
            sarki_evict(cache, SARKI_FOR_BYTES, own->keep ? own->query : NULL, frame)) {
            making.victims_left--;
            sarki_places_give_back(cache, 1);
            sarki_turn_flush(cache, frame);
        } else {
            sarki_nap(1000000);
            making.patience = making.victims_left > 0 ? making.patience - 1 : 0;
        }
    }
}

/* A block of so many granules; 0: BUSY. Reports what it evicts. */
static uint32_t sarki_room_take(sark_cache *cache, uint32_t granules, const sarki_own *own,
                                sarki_frame *frame)
{
    uint32_t ref = sarki_memory_take(cache, granules, false);
    if (ref || sarki_frame_outer(cache)) return ref;
    sarki_turn_enter(cache);
    ref = sarki_room_make(cache, granules, own, frame);
    sarki_turn_leave(cache);
    return ref;
}

/* ---- >>reading -------------------------------------------------------------------------------

   Purpose. get and its kin: find, compare, check the deadline, copy, stamp.

   The entry is protected by a lease (or a pin), else by the lock of its key's shard: where no
   lease is free, the re-check failed 16 times, or 64-bit atomics are not lock-free.

   Bounds. No lock, and no wait but for the exceptions above, each counted. */

/* What a read found, and what protects it. */
typedef struct sarki_reading {
    sarki_query query;
    sarki_hold hold;
    sarki_shard *locked; /* the shard whose lock is held instead; NULL: the hold protects */
    sarki_entry *entry;  /* NULL: absent */
    uint32_t ref;
    bool no_pin;
} sarki_reading;

/* Reads under the lock of the key's shard. */
SARKI_ACQUIRES(shard)
static void sarki_read_locked(sark_cache *cache, sarki_reading *reading)
{
    sarki_spot spot;
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, reading->query.tag)];
    sarki_hold_end(&reading->hold);
    sarki_shard_lock(shard);
    if (reading->hold.intent != SARKI_TO_LOOK) sarki_count_locked(&shard->a_fallbacks, 1);
    reading->locked = shard;
    reading->ref = sarki_index_find_locked(&cache->index, cache->region, &reading->query, &spot);
    if (reading->ref && reading->hold.intent == SARKI_TO_PIN)
        reading->no_pin = !sarki_hold_ref(&cache->leases, &reading->hold, reading->ref);
    if (reading->ref && !reading->no_pin) reading->entry = sarki_entry_of(cache, reading->ref);
}

static inline sarki_reading sarki_reading_of(sark_cache *cache, sarki_query query,
                                             sarki_intent intent, uint64_t early)
{
    sarki_hold hold = sarki_hold_begin(&cache->leases, intent, early);
    sarki_reading reading = {query, hold, NULL, NULL, 0, false};
    return reading;
}

/* Reads where the first look does not tell, from the beginning. */
SARKI_UNANALYSED /* the lock may stay taken until sarki_read_end */
SARKI_COLD sarki_reading sarki_read_anew(sark_cache *cache, sarki_query query, sarki_intent intent)
{
    sarki_reading reading = sarki_reading_of(cache, query, intent, 0);
    for (uint32_t tries = 0; SARKI_WIDE && tries < SARKI_RECHECKS; tries++) {
        sarki_found found = sarki_find_once(&cache->index, cache->region, &cache->leases,
                                            &reading.query, &reading.hold, &reading.ref);
        if (found == SARKI_FOUND) reading.entry = sarki_entry_of(cache, reading.ref);
        if (found == SARKI_FOUND || found == SARKI_ABSENT) return reading;
        reading.no_pin = found == SARKI_NO_LEASE && reading.hold.intent == SARKI_TO_PIN;
        if (reading.no_pin) return reading;
        if (found == SARKI_NO_LEASE) break;
    }
    sarki_read_locked(cache, &reading);
    return reading;
}

/* Finds the entry that is asked for and protects it until sarki_read_end. What leaves the common
   path does so by values: then all that a hit needs stays in registers. */
SARKI_HOT sarki_reading sarki_read_begin(sark_cache *cache, sarki_query query, sarki_intent intent,
                                         uint64_t early)
{
    sarki_reading reading = sarki_reading_of(cache, query, intent, early);
    sarki_found found = SARKI_AGAIN;
    if (SARKI_WIDE)
        found = sarki_find_first(&cache->index, cache->region, &cache->leases, &query,
                                 &reading.hold, &reading.ref);
    if (SARKI_LIKELY(found == SARKI_FOUND)) reading.entry = sarki_entry_of(cache, reading.ref);
    if (SARKI_LIKELY(found != SARKI_AGAIN)) return reading;
    sarki_hold_end(&reading.hold);
    return sarki_read_anew(cache, query, intent);
}

/* What is to be found under a key, whose home is asked for. */
SARKI_HOT sarki_query sarki_read_query(const sark_cache *cache, const void *key, size_t key_bytes)
{
    sarki_query query = sarki_query_of(cache, key, key_bytes);
    sarki_index_prefetch(&cache->index, query.hash);
    return query;
}

/* The same for a look, which is no hit. */
static sarki_reading sarki_look_begin(sark_cache *cache, const void *key, size_t key_bytes)
{
    return sarki_read_begin(cache, sarki_read_query(cache, key, key_bytes), SARKI_TO_LOOK, 0);
}

SARKI_UNANALYSED /* the reading knows whether the lock is held */
SARKI_HOT void sarki_read_end(sarki_reading *reading)
{
    sarki_hold_end(&reading->hold);
    if (reading->locked) sarki_shard_unlock(reading->locked);
}

static inline sarki_lease *sarki_home_lease(sark_cache *cache, const sarki_reading *reading)
{
    return sarki_lease_at(&cache->leases, reading->hold.home);
}

/* The stamp of a hit. A count is read here, while the slot is held, or another hit in the slot
   could make this one's stamp higher than the count. */
static inline uint64_t sarki_hit_stamp(sark_cache *cache, sarki_lease *lease, uint64_t early)
{
    uint64_t now = SARKI_LIKELY(early != 0) ? early : sarki_stamp_now(&cache->stamps);
    return sarki_stamp_next(now, &lease->a_last_stamp);
}

/* A hit whose lease stays in the slot. Its stamp may be older than the claim of the word, but not
   than the last one beside it. Returns it. */
static uint64_t sarki_hit_resident(sark_cache *cache, sarki_lease *lease, sarki_entry *entry,
                                   uint32_t ref, uint64_t early)
{
    sarki_resident *way = &sarki_residents_of(lease)->ways[sarki_resident_way(ref)];
    uint64_t last = sarki_load64_relaxed(&way->a_stamp); /* order: R2 the word is busy */
    uint64_t stamp = sarki_max64(sarki_hit_stamp(cache, lease, early), last);
    sarki_resident_touch(way, entry, stamp);
    return stamp;
}

/* A hit by an ordinary lease on an entry that others hit all the time: the lease stays from now on.
   False: it does not, and the hit is not counted yet. */
SARKI_COLD bool sarki_hit_hot(sark_cache *cache, sarki_lease *lease, sarki_entry *entry,
                              uint32_t ref, uint64_t stamp)
{
    if (cache->leases.has_residents &&
        sarki_resident_settle_in(&cache->leases, lease, entry, ref, stamp))
        return true;
    sarki_entry_raise(entry, stamp);
    return false;
}

static inline void sarki_lease_count_hit(sarki_lease *lease)
{
    uint64_t hits = sarki_load64_relaxed(&lease->a_hits); /* order: R2 the lease is held */
    sarki_store64_relaxed(&lease->a_hits, hits + 1);      /* order: R1, R2 */
}

/* A hit by an ordinary lease. Returns its stamp. One of a batch that finds a later stamp than that
   of the batch, as of an entry that was written meanwhile, or may not see all, takes the time
   anew: it came after. */
SARKI_HOT uint64_t sarki_hit_leased(sark_cache *cache, const sarki_hold *hold, sarki_entry *entry,
                                    uint32_t ref, bool in_batch)
{
    sarki_lease *lease = hold->lease;
    uint64_t stamp = sarki_stamp_from(sarki_hit_stamp(cache, lease, hold->early), hold->home);
    uint64_t last = sarki_load64_relaxed(&entry->a_stamp); /* order: R1, see >>stamp */
    if (in_batch && (last >= stamp || (last & SARKI_MARKED)))
        stamp = sarki_stamp_from(sarki_hit_stamp(cache, lease, 0), hold->home);
    if (!SARKI_LIKELY(!SARKI_IS_HOT(last, stamp))) {
        if (sarki_hit_hot(cache, lease, entry, ref, stamp)) return stamp;
    } else if (last < stamp) {
        sarki_store64_relaxed(&entry->a_stamp, stamp); /* order: R1 */
    }
    sarki_lease_count_hit(lease);
    return stamp;
}

/* A hit under the lock of the shard, or by a pin. */
SARKI_UNANALYSED /* a parameter tells whether the lock is held */
SARKI_COLD void sarki_hit_otherwise(sark_cache *cache, sarki_shard *locked, sarki_lease *home,
                                    sarki_entry *entry, bool touches)
{
    if (locked) {
        if (touches)
            sarki_entry_touch(entry, sarki_stamp_of(cache, locked));
        sarki_count_locked(&locked->a_hits, 1);
    } else {
        if (touches) sarki_entry_touch(entry, sarki_stamp_now(&cache->stamps));
        sarki_add64_relaxed(&home->a_pin_hits, 1); /* order: R1 */
    }
}

/* Counts a hit and makes the entry the most recently used, unless it comes within the interval.
   Returns the stamp; 0: there is none, or it was not given by the slot. */
SARKI_HOT uint64_t sarki_read_hit(sark_cache *cache, sarki_reading *reading, bool in_batch)
{
    sarki_hold *hold = &reading->hold;
    uint64_t stamp = 0;
    bool touches = SARKI_LIKELY(cache->touch_interval_ms == 0) ||
                   sarki_entry_touch_is_due(cache, reading->entry);
    if (SARKI_LIKELY(hold->lease && hold->a_ref)) {
        if (SARKI_LIKELY(touches))
            stamp = sarki_hit_leased(cache, hold, reading->entry, reading->ref, in_batch);
        else sarki_lease_count_hit(hold->lease);
    } else if (hold->a_word) {
        uint64_t early = in_batch ? 0 : hold->early; /* others may have later stamps elsewhere */
        stamp = sarki_hit_resident(cache, hold->lease, reading->entry, reading->ref, early);
        hold->word += SARKI_WORD_USE;
    } else {
        sarki_hit_otherwise(cache, reading->locked, sarki_home_lease(cache, reading),
                            reading->entry, touches);
    }
    return stamp;
}

/* Counts a miss, of a key that is absent or an entry that has expired. */
static inline void sarki_read_miss(sark_cache *cache, const sarki_reading *reading)
{
    sarki_lease *home = sarki_home_lease(cache, reading);
    sarki_add64_relaxed(&home->a_misses, 1);                             /* order: R1 */
    if (reading->entry) sarki_add64_relaxed(&home->a_misses_expired, 1); /* order: R1 */
}

/* Copies a value out. OK or SHORT_BUFFER; the size is told in both cases. */
static inline sark_cache_status sarki_value_copy(sarki_entry *entry, void *value,
                                                 size_t value_capacity, size_t *value_bytes)
{
    size_t bytes = entry->value_bytes;
    SARKI_BYTES_READ(entry);
    if (value_bytes) *value_bytes = bytes;
    if (bytes > value_capacity) return SARK_CACHE_SHORT_BUFFER;
    if (value) memcpy(value, sarki_entry_value(entry), bytes); /* NULL has no capacity */
    return SARK_CACHE_OK;
}

/* What is wrong with a key; OK: nothing. */
static inline sark_cache_status sarki_key_status(const sark_cache *cache, const void *key,
                                                 size_t key_bytes)
{
    if (!cache || (!key && key_bytes > 0)) return SARK_CACHE_BAD_ARGUMENT;
    return key_bytes > SARK_CACHE_MAX_KEY_BYTES ? SARK_CACHE_BAD_KEY : SARK_CACHE_OK;
}

static sark_cache_status sarki_refuse(sark_cache *cache, sark_cache_status status)
{
    if (cache) sarki_reject(cache, status);
    return status;
}

/* When a call that is to be timed began, in nanoseconds; 0: it is not timed. */
static int64_t sarki_latency_begin(sark_cache *cache);
static void sarki_latency_end(sark_cache *cache, int64_t begin_ns, int kind);

/* What is wrong with a key and a buffer; OK: nothing. */
static inline sark_cache_status sarki_get_status(const sark_cache *cache, const void *key,
                                                 size_t key_bytes, const void *value,
                                                 size_t value_capacity)
{
    if (!value && value_capacity > 0) return SARK_CACHE_BAD_ARGUMENT;
    return sarki_key_status(cache, key, key_bytes);
}

/* A get whose arguments are right. early: as in a hold, of a batch; NULL: it is in none. A hit
   leaves there what is above its own stamp; 0: unknown. */
SARKI_HOT sark_cache_status sarki_get(sark_cache *cache, sarki_query query, uint64_t *early,
                                      void *value, size_t value_capacity, size_t *value_bytes)
{
    sarki_reading reading =
        sarki_read_begin(cache, query, SARKI_TO_HIT, early ? *early : 0);
    if (!reading.entry || sarki_entry_expired(cache, reading.entry)) {
        sarki_read_end(&reading);
        sarki_read_miss(cache, &reading);
        return SARK_CACHE_MISS;
    }
    sark_cache_status status =
        sarki_value_copy(reading.entry, value, value_capacity, value_bytes);
    if (SARKI_LIKELY(status == SARK_CACHE_OK)) {
        uint64_t stamp = sarki_read_hit(cache, &reading, early != NULL);
        if (early) *early = *early && stamp ? sarki_stamp_key(stamp) + SARKI_STAMP_STEP : 0;
    } else { /* order: R1 */
        sarki_add64_relaxed(&sarki_home_lease(cache, &reading)->a_short_buffers, 1);
    }
    sarki_read_end(&reading);
    return status;
}

/* The same where latencies are sampled. */
SARKI_COLD sark_cache_status sarki_get_sampled(sark_cache *cache, const void *key,
                                               size_t key_bytes, void *value,
                                               size_t value_capacity, size_t *value_bytes)
{
    int64_t begin_ns = sarki_latency_begin(cache);
    sarki_query query = sarki_read_query(cache, key, key_bytes);
    sark_cache_status status =
        sarki_get(cache, query, NULL, value, value_capacity, value_bytes);
    if (begin_ns && status >= 0)
        sarki_latency_end(cache, begin_ns,
                          status == SARK_CACHE_OK ? SARKI_LATENCY_HIT : SARKI_LATENCY_MISS);
    return status;
}

SARK_CACHE_API sark_cache_status sark_cache_get(sark_cache *cache, const void *key,
                                                size_t key_bytes, void *value,
                                                size_t value_capacity, size_t *value_bytes)
{
    sark_cache_status status = sarki_get_status(cache, key, key_bytes, value, value_capacity);
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    if (!SARKI_LIKELY(!cache->histograms))
        return sarki_get_sampled(cache, key, key_bytes, value, value_capacity, value_bytes);
    sarki_query query = sarki_read_query(cache, key, key_bytes);
    return sarki_get(cache, query, NULL, value, value_capacity, value_bytes);
}

SARK_CACHE_API sark_cache_status sark_cache_peek(sark_cache *cache, const void *key,
                                                 size_t key_bytes, void *value,
                                                 size_t value_capacity, size_t *value_bytes)
{
    sark_cache_status status = sarki_get_status(cache, key, key_bytes, value, value_capacity);
    if (status != SARK_CACHE_OK) return status;
    sarki_reading reading = sarki_look_begin(cache, key, key_bytes);
    status = SARK_CACHE_MISS;
    if (reading.entry && !sarki_entry_expired(cache, reading.entry))
        status = sarki_value_copy(reading.entry, value, value_capacity, value_bytes);
    sarki_read_end(&reading);
    return status;
}

/* The TTL left of a deadline, in milliseconds rounded up; 0: it has passed. */
static int64_t sarki_ttl_left_ms(const sark_cache *cache, int64_t deadline)
{
    if (deadline == SARKI_NEVER) return SARK_CACHE_NO_EXPIRY;
    int64_t now = sarki_now_fine(cache);
    if (now < 0 || now >= deadline) return 0;
    int64_t left = deadline - now;
    return left / cache->ticks_per_ms + (left % cache->ticks_per_ms != 0);
}

SARK_CACHE_API sark_cache_status sark_cache_ttl(sark_cache *cache, const void *key,
                                                size_t key_bytes, int64_t *ttl_ms)
{
    sark_cache_status status = sarki_key_status(cache, key, key_bytes);
    if (status == SARK_CACHE_OK && !ttl_ms) status = SARK_CACHE_BAD_ARGUMENT;
    if (status != SARK_CACHE_OK) return status;
    sarki_reading reading = sarki_look_begin(cache, key, key_bytes);
    int64_t left_ms = 0;
    if (reading.entry) left_ms = sarki_ttl_left_ms(cache, sarki_entry_deadline(reading.entry));
    sarki_read_end(&reading);
    if (left_ms == 0) return SARK_CACHE_MISS;
    *ttl_ms = left_ms;
    return SARK_CACHE_OK;
}

SARK_CACHE_API sark_cache_status sark_cache_contains(sark_cache *cache, const void *key,
                                                     size_t key_bytes)
{
    sark_cache_status status = sarki_key_status(cache, key, key_bytes);
    if (status != SARK_CACHE_OK) return status;
    sarki_reading reading = sarki_look_begin(cache, key, key_bytes);
    bool live = reading.entry && !sarki_entry_expired(cache, reading.entry);
    sarki_read_end(&reading);
    return live ? SARK_CACHE_OK : SARK_CACHE_MISS;
}

/* Marks a claimed pin as out, and returns the number of this use. */
static uint32_t sarki_pin_out(sarki_pin *pin)
{
    uint32_t use = sarki_load32_relaxed(&pin->a_sequence) + 1; /* order: R2 it is claimed */
    sarki_store32_release(&pin->a_sequence, use);              /* order: E9 */
    return use;
}

/* Memory of an entry that is pinned. */
static uint64_t sarki_pinned_bytes(const sark_cache *cache, uint32_t ref)
{
    return (uint64_t)sarki_entry_size(sarki_entry_of(cache, ref)) * SARKI_GRANULE;
}

/* Counts the bytes of an entry that is to be pinned; false: that would be too many. */
static bool sarki_pin_count_bytes(sark_cache *cache, uint32_t ref)
{
    uint64_t bytes = sarki_pinned_bytes(cache, ref), most = cache->config.pin_max_bytes;
    uint64_t before = sarki_add64_relaxed(&cache->a_pinned_bytes, bytes); /* order: R1 */
    if (most == 0 || before + bytes <= most) return true;
    sarki_add64_relaxed(&cache->a_pinned_bytes, 0 - bytes); /* order: R1 */
    return false;
}

/* Ends a use of a pin, which stays claimed; NULL: it is not out for this use. */
static sarki_pin *sarki_pin_end(sarki_leases *leases, uint32_t row, uint32_t use)
{
    if (row >= leases->pin_count || !(use & 1)) return NULL;
    sarki_pin *pin = &leases->pins[row];
    /* order: R3 the swap itself: of two unpins one wins. The caller's reads end by E5 */
    return sarki_cas32_relaxed(&pin->a_sequence, use, use + 1) ? pin : NULL;
}

static void sarki_pin_release(sarki_pin *pin)
{
    sarki_store32_relaxed(&pin->a_visitor, 0); /* order: R2 still claimed */
    sarki_store32_release(&pin->a_ref, 0);     /* order: E5, E9 */
}

/* Gives a pin back that was not counted by its bytes; false: it is not out for this use. */
static bool sarki_pin_back(sarki_leases *leases, uint32_t row, uint32_t use)
{
    sarki_pin *pin = sarki_pin_end(leases, row, use);
    if (pin) sarki_pin_release(pin);
    return pin != NULL;
}

SARK_CACHE_API sark_cache_status sark_cache_pin(sark_cache *cache, const void *key,
                                                size_t key_bytes, sark_cache_pinned *pinned)
{
    sark_cache_status status = sarki_key_status(cache, key, key_bytes);
    if (pinned) memset(pinned, 0, sizeof *pinned);
    if (status == SARK_CACHE_OK && !pinned) status = SARK_CACHE_BAD_ARGUMENT;
    if (status == SARK_CACHE_OK && cache->closing) status = SARK_CACHE_NO_PIN;
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_query query = sarki_read_query(cache, key, key_bytes);
    sarki_reading reading = sarki_read_begin(cache, query, SARKI_TO_PIN, 0);
    bool live = reading.entry && !sarki_entry_expired(cache, reading.entry);
    if (live) reading.no_pin = !sarki_pin_count_bytes(cache, reading.ref);
    if (live && !reading.no_pin) {
        (void)sarki_read_hit(cache, &reading, false);
        pinned->value = sarki_entry_value(reading.entry);
        pinned->value_bytes = reading.entry->value_bytes;
        pinned->version = sarki_entry_version(reading.entry);
        pinned->pin = (uint32_t)(reading.hold.pin - cache->leases.pins);
        pinned->use = sarki_pin_out(reading.hold.pin);
        reading.hold.a_ref = NULL; /* stays out */
    }
    sarki_read_end(&reading);
    if (reading.no_pin) return sarki_refuse(cache, SARK_CACHE_NO_PIN);
    if (!live) sarki_read_miss(cache, &reading);
    return live ? SARK_CACHE_OK : SARK_CACHE_MISS;
}

/* Whether a token may be of this cache: those of two caches may have the same numbers, and a walk's
   pin has none. */
static bool sarki_pinned_here(const sark_cache *cache, const sark_cache_pinned *pinned)
{
    uintptr_t at = (uintptr_t)pinned->value, from = (uintptr_t)cache->region;
    if (at < from || at - from >= cache->config.max_bytes) return false;
    if (pinned->pin >= cache->leases.pin_count) return false;
    /* order: R2 who has a token claimed the pin after a walk had cleared this */
    return sarki_load32_relaxed(&cache->leases.pins[pinned->pin].a_visitor) == 0;
}

SARK_CACHE_API sark_cache_status sark_cache_unpin(sark_cache *cache, sark_cache_pinned *pinned)
{
    sarki_pin *pin = NULL;
    if (cache && pinned && sarki_pinned_here(cache, pinned))
        pin = sarki_pin_end(&cache->leases, pinned->pin, pinned->use);
    if (!pin) return sarki_refuse(cache, SARK_CACHE_BAD_ARGUMENT);
    uint64_t bytes = sarki_pinned_bytes(cache, sarki_load32_relaxed(&pin->a_ref)); /* order: R2 */
    sarki_add64_relaxed(&cache->a_pinned_bytes, 0 - bytes);                       /* order: R1 */
    sarki_pin_release(pin);
    if (cache->config.wipe) sarki_retired_collect(cache);
    memset(pinned, 0, sizeof *pinned);
    sarki_room_changed(cache);
    return SARK_CACHE_OK;
}

/* ---- >>writing -------------------------------------------------------------------------------

   Purpose. set and its kin. An entry is written in its own block before any lock is taken; under
   the lock of its key's shard it is only linked and published.

   The order of a set: memory (evicting if need be), the entry, the lock, look the key up; where
   it is there, swap; where not, a place: reserved under the lock, or inherited from a victim
   without it, and then look again. So a set of an existing key evicts nobody for a place.

   Reports come last, but those of entries evicted for memory, which is free only after them. */

/* A write under way. */
typedef struct sarki_write {
    sarki_query query;
    sarki_mode mode;
    bool keeps_deadline; /* of the entry that is replaced */
    bool has_initial;    /* increment: where nothing is there, initial is stored */
    bool saturates;      /* increment: a sum out of range is cut */
    int64_t deadline;
    int64_t now;         /* on the precise clock, when the deadline was made; -1: it was not read */
    int64_t initial, delta;
    int64_t number;      /* increment: the result */
    uint64_t version;    /* compare_and_set, append: that the entry must have */
    size_t kept_bytes;   /* append: of the old value */
    size_t kept_at;      /* append: where they go; before or behind the new ones */
    uint32_t ref;        /* the new entry */
    sarki_own own;
    sarki_frame frame;
} sarki_write;

/* What is to be written under a key: asks for what every write needs. */
static inline sarki_query sarki_write_query(const sark_cache *cache, const void *key,
                                            size_t key_bytes)
{
    sarki_query query = sarki_query_of(cache, key, key_bytes);
    sarki_index_prefetch_to_write(&cache->index, query.hash);
    sarki_shard_prefetch(&cache->shards[sarki_shard_number(cache, query.tag)]);
    return query;
}

/* A write whose query comes next: on some processors clearing so much waits for what was asked for
   before. */
static sarki_write sarki_write_of(sarki_mode mode)
{
    sarki_write write;
    memset(&write, 0, sizeof write);
    write.mode = mode;
    write.deadline = SARKI_NEVER;
    write.now = -1;
    return write;
}

/* A deadline from a TTL; *now_read: when that was, where a clock was read. OK; BAD_TTL;
   SYSTEM_ERROR where the clock fails. */
static sark_cache_status sarki_deadline_of(const sark_cache *cache, int64_t ttl_ms, uint32_t salt,
                                           int64_t *deadline, int64_t *now_read)
{
    *deadline = SARKI_NEVER;
    if (ttl_ms < 0) return SARK_CACHE_BAD_TTL;
    if (ttl_ms == 0) ttl_ms = cache->config.default_ttl_ms;
    if (ttl_ms == 0 || ttl_ms == SARK_CACHE_NO_EXPIRY) return SARK_CACHE_OK;
    int64_t now = sarki_now_fine(cache);
    if (now < 0) return SARK_CACHE_SYSTEM_ERROR;
    *now_read = now;
    uint32_t jitter = cache->config.ttl_jitter_percent;
    if (jitter > 0) { /* up to jitter percent less, but not nothing */
        uint64_t random = sarki_mix((uint64_t)now ^ cache->secret.words[3] ^ salt) >> 44;
        int64_t share = ttl_ms / 100 * jitter + ttl_ms % 100 * jitter / 100;
        int64_t less = (share >> 20) * (int64_t)random;
        less += (share & 0xfffff) * (int64_t)random >> 20;
        ttl_ms = ttl_ms - less > 0 ? ttl_ms - less : 1;
    }
    if (ttl_ms <= (SARKI_NEVER - 1 - now) / cache->ticks_per_ms)
        *deadline = now + ttl_ms * cache->ticks_per_ms;
    return SARK_CACHE_OK;
}

/* Bytes before the key. An entry gets an expiry part where it has a deadline or there is a touch
   interval, and where it is so large that the part costs next to nothing, and touch might find no
   room for a copy that has one. */
static uint32_t sarki_header_for(const sark_cache *cache, size_t key_bytes, size_t value_bytes,
                                 bool has_deadline)
{
    const sarki_arena *arena = &cache->memory.arena;
    uint64_t large = sarki_min64(1024, (uint64_t)(arena->end - arena->first) * SARKI_GRANULE / 4);
    bool is_timed = has_deadline || (uint64_t)key_bytes + value_bytes >= large;
    if (cache->touch_interval_ms > 0) return SARKI_TOUCHED_HEADER;
    return is_timed ? SARKI_TIMED_HEADER : SARKI_PLAIN_HEADER;
}

/* Granules that an entry needs; 0: more than the arena has. */
static uint32_t sarki_granules_for(const sark_cache *cache, uint32_t header_bytes,
                                   size_t key_bytes, size_t value_bytes)
{
    const sarki_arena *arena = &cache->memory.arena;
    if (value_bytes > UINT32_MAX) return 0;
    uint64_t granules = sarki_entry_granules(header_bytes, key_bytes, value_bytes);
    return granules > arena->end - arena->first ? 0 : (uint32_t)granules;
}

/* Writes a new entry into its block. value_bytes are those of the whole value; value holds all but
   the kept_bytes. */
static void sarki_entry_fill(sark_cache *cache, const sarki_write *write, uint32_t header_bytes,
                             const void *value, size_t value_bytes)
{
    sarki_entry *entry = sarki_entry_of(cache, write->ref);
    SARKI_BYTES_WRITTEN(entry);
    entry->recency.header_bytes = (uint16_t)header_bytes;
    sarki_store32_relaxed(&entry->a_hash, write->query.hash); /* order: R3 the slot is re-checked */
    entry->key_bytes = (uint16_t)write->query.key_bytes;
    entry->value_bytes = (uint32_t)value_bytes;
    if (sarki_entry_is_timed(entry))
        sarki_init64(&sarki_entry_expiry(entry)->a_deadline, (uint64_t)write->deadline);
    sarki_entry_note_touch(cache, entry);
    if (write->query.key_bytes > 0)
        memcpy(sarki_entry_key(entry), write->query.key, write->query.key_bytes);
    if (value_bytes > write->kept_bytes)
        memcpy(sarki_entry_value(entry) + (write->kept_at > 0 ? 0 : write->kept_bytes), value,
               value_bytes - write->kept_bytes);
}

/* Joins the new entry to the shard and counts it. It is published next. */
SARKI_REQUIRES(shard)
static void sarki_write_link_locked(sark_cache *cache, sarki_shard *shard, sarki_write *write)
{
    sarki_shard_link_locked(cache, shard, write->ref, write->deadline);
    sarki_count_locked(write->mode == SARKI_SET ? &shard->a_sets : &shard->a_writes[write->mode],
                       1);
}

/* Gives the new entry, which is not yet published, the deadline of the old one. */
static void sarki_write_keep_deadline(sark_cache *cache, sarki_write *write, int64_t deadline)
{
    sarki_entry *entry = sarki_entry_of(cache, write->ref);
    write->deadline = deadline;
    /* order: R5 */
    sarki_store64_relaxed(&sarki_entry_expiry(entry)->a_deadline, (uint64_t)deadline);
}

/* Puts the new entry into the place of the one that is there. */
SARKI_REQUIRES(shard)
static void sarki_write_swap_locked(sark_cache *cache, sarki_shard *shard, sarki_write *write,
                                    sarki_spot spot, uint32_t old, bool expired)
{
    sarki_entry *entry = sarki_entry_of(cache, old);
    if (write->keeps_deadline && !expired)
        sarki_write_keep_deadline(cache, write, sarki_entry_deadline(entry));
    sarki_write_link_locked(cache, shard, write);
    sarki_index_replace_locked(&cache->index, spot, write->ref);
    sarki_shard_unlink_locked(cache, shard, old);
    if (expired) sarki_count_locked(&shard->a_expired_by_writers, 1);
    sarki_frame_add_locked(cache, shard, &write->frame, old,
                           expired ? SARK_CACHE_EXPIRED : SARK_CACHE_REPLACED);
}

SARKI_REQUIRES(shard)
static void sarki_write_insert_locked(sark_cache *cache, sarki_shard *shard, sarki_write *write)
{
    sarki_write_link_locked(cache, shard, write);
    sarki_index_insert_locked(&cache->index, &write->query, write->ref);
    /* order: R1, R4 the shard's lock */
    sarki_store32_relaxed(&shard->a_entries, sarki_load32_relaxed(&shard->a_entries) + 1);
}

/* What is there under a key. The shard's lock is held. */
typedef struct sarki_present {
    uint32_t ref; /* 0: absent */
    sarki_spot spot;
    bool expired;
} sarki_present;

SARKI_REQUIRES(shard)
static sarki_present sarki_look_locked(sark_cache *cache, const sarki_query *query)
{
    sarki_present present = {0, {0, 0}, false};
    present.ref = sarki_index_find_locked(&cache->index, cache->region, query, &present.spot);
    if (present.ref)
        present.expired = sarki_entry_expired(cache, sarki_entry_of(cache, present.ref));
    return present;
}

/* Notes what an increment comes to: OK, NOT_INTEGER, OVERFLOW. */
static sark_cache_status sarki_write_sum(sarki_write *write, sarki_entry *entry)
{
    SARKI_BYTES_READ(entry);
    if (entry->value_bytes != sizeof write->number) return SARK_CACHE_NOT_INTEGER;
    int64_t before = sark_cache_read_int64(sarki_entry_value(entry)), delta = write->delta;
    bool is_too_high = delta > 0 && before > INT64_MAX - delta;
    bool is_too_low = delta < 0 && before < INT64_MIN - delta;
    if ((is_too_high || is_too_low) && !write->saturates) return SARK_CACHE_OVERFLOW;
    if (is_too_high) write->number = INT64_MAX;
    else write->number = is_too_low ? INT64_MIN : before + delta;
    return SARK_CACHE_OK;
}

/* Whether a write may go over what is there: OK, EXISTS, MISS, or what is wrong with a number. The
   result of an increment is noted. */
static sark_cache_status sarki_mode_status(sark_cache *cache, sarki_write *write,
                                           const sarki_present *present)
{
    bool live = present->ref && !present->expired;
    if (write->mode == SARKI_SET) return SARK_CACHE_OK;
    if (write->mode == SARKI_ADD) return live ? SARK_CACHE_EXISTS : SARK_CACHE_OK;
    write->number = write->initial;
    if (!live) return write->has_initial ? SARK_CACHE_OK : SARK_CACHE_MISS;
    sarki_entry *entry = sarki_entry_of(cache, present->ref);
    if (write->mode == SARKI_REPLACE) return SARK_CACHE_OK;
    if (write->mode == SARKI_INCREMENT) return sarki_write_sum(write, entry);
    return sarki_entry_version(entry) == write->version ? SARK_CACHE_OK : SARK_CACHE_EXISTS;
}

/* Whether a write most likely needs a victim: the cache is full, and the key absent. */
static bool sarki_write_needs_victim(const sark_cache *cache, const sarki_write *write)
{
    bool inserts = write->mode == SARKI_SET || write->mode == SARKI_ADD || write->has_initial;
    return inserts && /* order: R1 a hint */
           sarki_load32_relaxed(&cache->a_count) >= cache->max_entries &&
           sarki_index_absent(&cache->index, &write->query);
}

/* Puts the result of an increment into the new entry, which is not yet published. */
static void sarki_write_number(sark_cache *cache, const sarki_write *write)
{
    sark_cache_write_int64(sarki_entry_value(sarki_entry_of(cache, write->ref)), write->number);
}

/* Publishes the new entry; has_place: a place was inherited for it. OK; EXISTS or MISS as the mode
   has it; BUSY inside a callback. */
static sark_cache_status sarki_write_publish(sark_cache *cache, sarki_write *write,
                                             bool has_place)
{
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, write->query.tag)];
    bool used_place = false;
    sark_cache_status status = SARK_CACHE_OK;
    for (;;) {
        sarki_shard_lock(shard);
        sarki_header_prefetch(cache, shard->fifo.tail);
        sarki_present present = sarki_look_locked(cache, &write->query);
        status = sarki_mode_status(cache, write, &present);
        if (status == SARK_CACHE_OK && write->mode == SARKI_INCREMENT)
            sarki_write_number(cache, write);
        if (status == SARK_CACHE_OK && !present.ref) {
            has_place = has_place || sarki_place_reserve(cache);
            used_place = has_place;
            if (has_place) sarki_write_insert_locked(cache, shard, write);
        } else if (status == SARK_CACHE_OK) {
            sarki_write_swap_locked(cache, shard, write, present.spot, present.ref,
                                    present.expired);
        }
        sarki_shard_unlock(shard);
        if (status != SARK_CACHE_OK || present.ref || used_place) break;
        has_place = sarki_place_take(cache, &write->frame);
        if (!has_place) return SARK_CACHE_BUSY;
    }
    if (has_place && !used_place) sarki_places_give_back(cache, 1);
    else sarki_room_changed(cache);
    return status;
}

/* Whether the mode allows a write at all, before anything is evicted for it. */
static sark_cache_status sarki_write_allowed(sark_cache *cache, sarki_write *write)
{
    if (cache->closing) return SARK_CACHE_BUSY;
    if (write->mode == SARKI_SET) return SARK_CACHE_OK;
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, write->query.tag)];
    sarki_shard_lock(shard);
    sarki_present present = sarki_look_locked(cache, &write->query);
    sark_cache_status status = sarki_mode_status(cache, write, &present);
    sarki_shard_unlock(shard);
    return status;
}

/* Copies the old value before or behind the bytes that are added. False: the entry has another
   version by now, or is gone. */
static bool sarki_append_copy(sark_cache *cache, const sarki_write *write)
{
    sarki_reading reading = sarki_look_begin(cache, write->query.key, write->query.key_bytes);
    bool same = reading.entry && sarki_entry_version(reading.entry) == write->version;
    if (same && write->kept_bytes > 0) {
        SARKI_BYTES_READ(reading.entry);
        memcpy(sarki_entry_value(sarki_entry_of(cache, write->ref)) + write->kept_at,
               sarki_entry_value(reading.entry), write->kept_bytes);
    }
    sarki_read_end(&reading);
    return same;
}

/* Everything of a write but the checks of its arguments. */
static sark_cache_status sarki_write_run(sark_cache *cache, sarki_write *write, const void *value,
                                         size_t value_bytes)
{
    uint32_t header = sarki_header_for(cache, write->query.key_bytes, value_bytes,
                                       write->deadline != SARKI_NEVER || write->keeps_deadline);
    uint32_t granules = sarki_granules_for(cache, header, write->query.key_bytes, value_bytes);
    if (granules == 0) return SARK_CACHE_TOO_LARGE;
    sark_cache_status status = sarki_write_allowed(cache, write);
    if (status != SARK_CACHE_OK) return status;
    int64_t now = write->mode == SARKI_SET ? write->now : -1; /* else it may have waited since */
    sarki_search search = {SARKI_FOR_ENTRIES, SARKI_NONE, now, NULL, 0, 0, 0, false};
    write->ref = 0;
    if (sarki_write_needs_victim(cache, write))
        write->ref = sarki_evict_for_spare(cache, granules, &search, &write->frame);
    bool has_place = write->ref != 0;
    if (!has_place) {
        write->ref = sarki_room_take(cache, granules, &write->own, &write->frame);
        search.now = -1; /* that may have taken long */
    }
    if (!write->ref) return SARK_CACHE_BUSY;
    sarki_entry_fill(cache, write, header, value, value_bytes);
    if (write->mode == SARKI_APPEND && !sarki_append_copy(cache, write)) {
        sarki_memory_give_back(cache, write->ref);
        return SARK_CACHE_EXISTS;
    }
    if (!has_place && sarki_write_needs_victim(cache, write))
        has_place = sarki_search_victim(cache, &search, &write->frame);
    status = sarki_write_publish(cache, write, has_place);
    if (status != SARK_CACHE_OK) sarki_memory_give_back(cache, write->ref);
    return status;
}

/* What is wrong with a key and a value; OK: nothing. */
static sark_cache_status sarki_set_status(const sark_cache *cache, const void *key,
                                          size_t key_bytes, const void *value,
                                          size_t value_bytes)
{
    if (!value && value_bytes > 0) return SARK_CACHE_BAD_ARGUMENT;
    return sarki_key_status(cache, key, key_bytes);
}

/* A write whose key and value are right, from the TTL to the reports. */
static sark_cache_status sarki_write_call(sark_cache *cache, sarki_write *write, const void *value,
                                          size_t value_bytes, int64_t ttl_ms)
{
    int64_t begin_ns = cache->histograms ? sarki_latency_begin(cache) : 0;
    bool replaces = write->mode != SARKI_SET && write->mode != SARKI_ADD;
    sark_cache_status status = SARK_CACHE_OK;
    write->own.query = &write->query;
    write->own.keep = replaces; /* gone, it could not be replaced any more */
    write->keeps_deadline = replaces && ttl_ms == 0;
    if (!write->keeps_deadline || write->has_initial)
        status = sarki_deadline_of(cache, ttl_ms, write->query.hash, &write->deadline,
                                   &write->now);
    if (status == SARK_CACHE_OK) status = sarki_write_run(cache, write, value, value_bytes);
    sarki_frame_flush(cache, &write->frame);
    if (status < 0) return sarki_refuse(cache, status);
    if (begin_ns) sarki_latency_end(cache, begin_ns, SARKI_LATENCY_SET);
    return status;
}

static sark_cache_status sarki_set(sark_cache *cache, sarki_mode mode, const void *key,
                                   size_t key_bytes, const void *value, size_t value_bytes,
                                   int64_t ttl_ms)
{
    sark_cache_status status = sarki_set_status(cache, key, key_bytes, value, value_bytes);
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_write write = sarki_write_of(mode);
    write.query = sarki_write_query(cache, key, key_bytes);
    return sarki_write_call(cache, &write, value, value_bytes, ttl_ms);
}

SARK_CACHE_API sark_cache_status sark_cache_set(sark_cache *cache, const void *key,
                                                size_t key_bytes, const void *value,
                                                size_t value_bytes, int64_t ttl_ms)
{
    return sarki_set(cache, SARKI_SET, key, key_bytes, value, value_bytes, ttl_ms);
}

SARK_CACHE_API sark_cache_status sark_cache_add(sark_cache *cache, const void *key,
                                                size_t key_bytes, const void *value,
                                                size_t value_bytes, int64_t ttl_ms)
{
    return sarki_set(cache, SARKI_ADD, key, key_bytes, value, value_bytes, ttl_ms);
}

SARK_CACHE_API sark_cache_status sark_cache_replace(sark_cache *cache, const void *key,
                                                    size_t key_bytes, const void *value,
                                                    size_t value_bytes, int64_t ttl_ms)
{
    return sarki_set(cache, SARKI_REPLACE, key, key_bytes, value, value_bytes, ttl_ms);
}

SARK_CACHE_API sark_cache_status sark_cache_compare_and_set(sark_cache *cache, const void *key,
                                                            size_t key_bytes, uint64_t version,
                                                            const void *value,
                                                            size_t value_bytes, int64_t ttl_ms)
{
    sark_cache_status status = sarki_set_status(cache, key, key_bytes, value, value_bytes);
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_write write = sarki_write_of(SARKI_COMPARE_AND_SET);
    write.query = sarki_write_query(cache, key, key_bytes);
    write.version = version;
    return sarki_write_call(cache, &write, value, value_bytes, ttl_ms);
}

static sark_cache_status sarki_increment(sark_cache *cache, const void *key, size_t key_bytes,
                                         int64_t delta, const int64_t *initial, bool saturates,
                                         int64_t ttl_ms, int64_t *result)
{
    static const unsigned char zero[sizeof delta] = {0};
    sark_cache_status status = sarki_key_status(cache, key, key_bytes);
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_write write = sarki_write_of(SARKI_INCREMENT);
    write.query = sarki_write_query(cache, key, key_bytes);
    write.delta = delta;
    write.saturates = saturates;
    write.has_initial = initial != NULL;
    write.initial = initial ? *initial : 0;
    status = sarki_write_call(cache, &write, zero, sizeof zero, ttl_ms);
    if (status == SARK_CACHE_OK && result) *result = write.number;
    return status;
}

SARK_CACHE_API sark_cache_status sark_cache_increment(sark_cache *cache, const void *key,
                                                      size_t key_bytes, int64_t delta,
                                                      const int64_t *initial, int64_t ttl_ms,
                                                      int64_t *result)
{
    return sarki_increment(cache, key, key_bytes, delta, initial, false, ttl_ms, result);
}

SARK_CACHE_API sark_cache_status sark_cache_increment_saturating(sark_cache *cache,
                                                                 const void *key,
                                                                 size_t key_bytes, int64_t delta,
                                                                 const int64_t *initial,
                                                                 int64_t ttl_ms, int64_t *result)
{
    return sarki_increment(cache, key, key_bytes, delta, initial, true, ttl_ms, result);
}

/* Notes the size and the version of the value to which bytes are to be appended. False: MISS. */
static bool sarki_append_look(sark_cache *cache, sarki_write *write)
{
    sarki_reading reading = sarki_look_begin(cache, write->query.key, write->query.key_bytes);
    bool live = reading.entry && !sarki_entry_expired(cache, reading.entry);
    if (live) {
        write->kept_bytes = reading.entry->value_bytes;
        write->version = sarki_entry_version(reading.entry);
    }
    sarki_read_end(&reading);
    return live;
}

/* Adds bytes at one end of a value. The old value is copied outside the lock, so the entry may have
   changed when the new one is to be published; then another write of this key has succeeded, and it
   is done anew. */
static sark_cache_status sarki_extend(sark_cache *cache, const void *key, size_t key_bytes,
                                      const void *bytes, size_t byte_count, bool in_front,
                                      int64_t ttl_ms)
{
    sark_cache_status status = sarki_set_status(cache, key, key_bytes, bytes, byte_count);
    if (status == SARK_CACHE_OK && ttl_ms < 0) status = SARK_CACHE_BAD_TTL;
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_write write = sarki_write_of(SARKI_APPEND);
    write.query = sarki_write_query(cache, key, key_bytes);
    write.kept_at = in_front ? byte_count : 0;
    do {
        if (!sarki_append_look(cache, &write)) return SARK_CACHE_MISS;
        if (byte_count > SIZE_MAX - write.kept_bytes)
            return sarki_refuse(cache, SARK_CACHE_TOO_LARGE);
        status = sarki_write_call(cache, &write, bytes, write.kept_bytes + byte_count, ttl_ms);
    } while (status == SARK_CACHE_EXISTS);
    return status;
}

SARK_CACHE_API sark_cache_status sark_cache_append(sark_cache *cache, const void *key,
                                                   size_t key_bytes, const void *bytes,
                                                   size_t byte_count, int64_t ttl_ms)
{
    return sarki_extend(cache, key, key_bytes, bytes, byte_count, false, ttl_ms);
}

SARK_CACHE_API sark_cache_status sark_cache_prepend(sark_cache *cache, const void *key,
                                                    size_t key_bytes, const void *bytes,
                                                    size_t byte_count, int64_t ttl_ms)
{
    return sarki_extend(cache, key, key_bytes, bytes, byte_count, true, ttl_ms);
}

SARK_CACHE_API int64_t sark_cache_read_int64(const void *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t number = 0;
    for (uint32_t i = 8; i-- > 0;) number = number << 8 | at[i];
    return number > INT64_MAX ? -(int64_t)~number - 1 : (int64_t)number;
}

SARK_CACHE_API void sark_cache_write_int64(void *bytes, int64_t number)
{
    unsigned char *at = (unsigned char *)bytes;
    for (uint32_t i = 0; i < 8; i++) at[i] = (unsigned char)((uint64_t)number >> 8 * i & 0xffu);
}

/* Removes a key that is there, as deleted or expired, and gives its place back. */
SARKI_REQUIRES(shard)
static void sarki_delete_locked(sark_cache *cache, sarki_shard *shard,
                                const sarki_present *present, sarki_frame *frame)
{
    sark_cache_cause cause = present->expired ? SARK_CACHE_EXPIRED : SARK_CACHE_DELETED;
    sarki_remove_locked(cache, shard, present->spot, present->ref, cause, frame);
    sarki_count_locked(present->expired ? &shard->a_expired_by_writers : &shard->a_deletes, 1);
}

static sark_cache_status sarki_delete(sark_cache *cache, const sarki_query *query)
{
    sarki_frame frame = {{0, 0}};
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, query->tag)];
    sarki_shard_lock(shard);
    sarki_present present = sarki_look_locked(cache, query);
    if (present.ref) sarki_delete_locked(cache, shard, &present, &frame);
    sarki_shard_unlock(shard);
    if (present.ref) sarki_places_give_back(cache, 1);
    sarki_frame_flush(cache, &frame);
    return present.ref && !present.expired ? SARK_CACHE_OK : SARK_CACHE_MISS;
}

SARK_CACHE_API sark_cache_status sark_cache_delete(sark_cache *cache, const void *key,
                                                   size_t key_bytes)
{
    sark_cache_status status = sarki_key_status(cache, key, key_bytes);
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_query query = sarki_query_of(cache, key, key_bytes);
    return sarki_delete(cache, &query);
}

/* Counts a miss of a call that reads and writes. */
SARKI_REQUIRES(shard)
static void sarki_count_miss_locked(sarki_shard *shard, const sarki_present *present)
{
    sarki_count_locked(&shard->a_misses, 1);
    if (present->expired) sarki_count_locked(&shard->a_misses_expired, 1);
}

SARK_CACHE_API sark_cache_status sark_cache_take(sark_cache *cache, const void *key,
                                                 size_t key_bytes, void *value,
                                                 size_t value_capacity, size_t *value_bytes)
{
    sark_cache_status status = sarki_key_status(cache, key, key_bytes);
    if (status == SARK_CACHE_OK && !value && value_capacity > 0) status = SARK_CACHE_BAD_ARGUMENT;
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_frame frame = {{0, 0}};
    sarki_query query = sarki_query_of(cache, key, key_bytes);
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, query.tag)];
    sarki_shard_lock(shard);
    sarki_present present = sarki_look_locked(cache, &query);
    if (present.ref && !present.expired)
        status = sarki_value_copy(sarki_entry_of(cache, present.ref), value, value_capacity,
                                  value_bytes);
    bool removed = present.ref && status == SARK_CACHE_OK;
    if (removed) sarki_delete_locked(cache, shard, &present, &frame);
    if (!present.ref || present.expired) {
        status = SARK_CACHE_MISS;
        sarki_count_miss_locked(shard, &present);
    } else if (removed) {
        sarki_count_locked(&shard->a_hits, 1);
    }
    sarki_shard_unlock(shard);
    if (removed) sarki_places_give_back(cache, 1);
    sarki_frame_flush(cache, &frame);
    return status < 0 ? sarki_refuse(cache, status) : status;
}

/* Sets the deadline of an entry that can have one, and makes it the most recently used. */
SARKI_REQUIRES(shard)
static void sarki_touch_locked(sark_cache *cache, sarki_shard *shard, uint32_t ref,
                               int64_t deadline)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    sarki_entry_touch(entry, sarki_stamp_of(cache, shard));
    sarki_entry_note_touch(cache, entry);
    sarki_count_locked(&shard->a_touches, 1);
    if (!sarki_entry_is_timed(entry)) return;
    if (sarki_entry_deadline(entry) != SARKI_NEVER) sarki_wheel_remove(&shard->expiry, ref);
    /* order: R4 the shard's lock; readers see the old deadline or the new one */
    sarki_store64_relaxed(&sarki_entry_expiry(entry)->a_deadline, (uint64_t)deadline);
    sarki_expiry_link_locked(cache, shard, ref, deadline);
    shard->generation++;
}

/* Gives an entry that cannot have a deadline a copy that can, in its place. Nothing is reported:
   the copy is the same entry, with its version. OK, MISS, BUSY, TOO_LARGE. */
static sark_cache_status sarki_touch_widen(sark_cache *cache, const sarki_query *query,
                                           uint32_t value_bytes)
{
    uint32_t granules =
        sarki_granules_for(cache, SARKI_TIMED_HEADER, query->key_bytes, value_bytes);
    if (granules == 0) return SARK_CACHE_TOO_LARGE;
    sarki_write write = sarki_write_of(SARKI_SET);
    write.query = *query;
    write.own.query = &write.query;
    write.own.keep = true;
    write.ref = sarki_room_take(cache, granules, &write.own, &write.frame);
    if (!write.ref) {
        sarki_frame_flush(cache, &write.frame);
        return SARK_CACHE_BUSY;
    }
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, query->tag)];
    sarki_shard_lock(shard);
    sarki_present present = sarki_look_locked(cache, query);
    sarki_entry *old = present.ref ? sarki_entry_of(cache, present.ref) : NULL;
    bool fits = old && !present.expired && old->value_bytes == value_bytes &&
                !sarki_entry_is_timed(old);
    if (fits) {
        sarki_entry_fill(cache, &write, SARKI_TIMED_HEADER, sarki_entry_value(old), value_bytes);
        sarki_entry *entry = sarki_entry_of(cache, write.ref);
        sarki_shard_link_locked(cache, shard, write.ref, SARKI_NEVER);
        entry->version_low = old->version_low;
        entry->version_high = old->version_high;
        sarki_index_replace_locked(&cache->index, present.spot, write.ref);
        sarki_shard_unlink_locked(cache, shard, present.ref);
        sarki_retire_locked(cache, shard, present.ref);
    }
    sarki_shard_unlock(shard);
    if (!fits) sarki_memory_give_back(cache, write.ref);
    sarki_frame_flush(cache, &write.frame);
    return present.ref && !present.expired ? SARK_CACHE_OK : SARK_CACHE_MISS;
}

/* Where get_and_touch puts a value. */
typedef struct sarki_output {
    void *value;
    size_t value_capacity;
    size_t *value_bytes;
} sarki_output;

/* Touches the entry of a key once, and copies its value out if there is an output. OK, MISS,
   SHORT_BUFFER. *is_narrow: the entry, of so many value_bytes, cannot have a deadline as it is, and
   nothing was done. */
static sark_cache_status sarki_touch_once(sark_cache *cache, const sarki_query *query,
                                          int64_t deadline, const sarki_output *output,
                                          bool *is_narrow, uint32_t *value_bytes)
{
    sark_cache_status status = SARK_CACHE_OK;
    sarki_shard *shard = &cache->shards[sarki_shard_number(cache, query->tag)];
    *is_narrow = false;
    sarki_shard_lock(shard);
    sarki_present present = sarki_look_locked(cache, query);
    if (present.ref && !present.expired) {
        sarki_entry *entry = sarki_entry_of(cache, present.ref);
        *value_bytes = entry->value_bytes;
        *is_narrow = deadline != SARKI_NEVER && !sarki_entry_is_timed(entry);
        if (output && (!*is_narrow || *value_bytes > output->value_capacity))
            status = sarki_value_copy(entry, output->value, output->value_capacity,
                                      output->value_bytes);
        if (status == SARK_CACHE_OK && !*is_narrow) {
            sarki_touch_locked(cache, shard, present.ref, deadline);
            if (output) sarki_count_locked(&shard->a_hits, 1);
        }
    } else {
        status = SARK_CACHE_MISS;
        if (output) sarki_count_miss_locked(shard, &present);
    }
    sarki_shard_unlock(shard);
    return status;
}

/* touch, and get_and_touch with an output; the key is right. */
static sark_cache_status sarki_touch(sark_cache *cache, const void *key, size_t key_bytes,
                                     int64_t ttl_ms, const sarki_output *output)
{
    sarki_query query = sarki_query_of(cache, key, key_bytes);
    int64_t deadline = SARKI_NEVER, now = -1;
    sark_cache_status status = sarki_deadline_of(cache, ttl_ms, query.hash, &deadline, &now);
    bool is_narrow = true;
    while (status == SARK_CACHE_OK && is_narrow) {
        uint32_t value_bytes = 0;
        status = sarki_touch_once(cache, &query, deadline, output, &is_narrow, &value_bytes);
        if (status == SARK_CACHE_OK && is_narrow) {
            status = sarki_touch_widen(cache, &query, value_bytes);
            if (status == SARK_CACHE_MISS) status = SARK_CACHE_OK; /* the next look tells */
        }
    }
    return status < 0 ? sarki_refuse(cache, status) : status;
}

SARK_CACHE_API sark_cache_status sark_cache_touch(sark_cache *cache, const void *key,
                                                  size_t key_bytes, int64_t ttl_ms)
{
    sark_cache_status status = sarki_key_status(cache, key, key_bytes);
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    return sarki_touch(cache, key, key_bytes, ttl_ms, NULL);
}

SARK_CACHE_API sark_cache_status sark_cache_get_and_touch(sark_cache *cache, const void *key,
                                                          size_t key_bytes, void *value,
                                                          size_t value_capacity,
                                                          size_t *value_bytes, int64_t ttl_ms)
{
    sark_cache_status status = sarki_get_status(cache, key, key_bytes, value, value_capacity);
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_output output = {value, value_capacity, value_bytes};
    return sarki_touch(cache, key, key_bytes, ttl_ms, &output);
}

/* ---- >>batch ---------------------------------------------------------------------------------

   Purpose. Calls with many keys. A lookup waits for memory up to three times: for the key, for its
   line of the index, and for those of the entry. A batch goes in groups, each in stages: ask for
   the keys, for their lines of the index, for their entries, then make the calls (group
   prefetching: Chen, Ailamaki, Gibbons and Mowry, Improving hash join performance through
   prefetching). What was asked for is a hint: each call looks anew, and protects what it reads.

   Stamps. The hits of a group share one reading of the counter, within the call; each is stamped
   above the one before. The counter is read again where that is not enough: an entry has a later
   stamp, as it was written since; it may have one beside a lease (>>resident); or a hit was stamped
   under a lock. So a batch sees no write without being later than it, and its hits come in the
   order of the requests. */

#define SARKI_GROUP 16u

/* Requests beside each other; in the table are those that are right. */
typedef struct sarki_group {
    uint32_t length, count;
    uint32_t numbers[SARKI_GROUP];
    sarki_query queries[SARKI_GROUP]; /* of their keys */
} sarki_group;

static inline void sarki_group_begin(sarki_group *group, size_t requests_left)
{
    group->length = (uint32_t)sarki_min64(requests_left, SARKI_GROUP);
    group->count = 0;
}

/* Takes a request in if its status is OK, and asks for its key, which lies wherever the caller has
   it. Returns the status. */
static inline sark_cache_status sarki_group_add(sark_cache *cache, sarki_group *group,
                                                uint32_t number, sark_cache_status status,
                                                const void *key, size_t key_bytes)
{
    if (status != SARK_CACHE_OK) return sarki_refuse(cache, status);
    sarki_prefetch_later(key);
    if (key_bytes > 64) sarki_prefetch_later((const char *)key + 64);
    sarki_query query = {key, key_bytes, 0, 0};
    group->numbers[group->count] = number;
    group->queries[group->count++] = query;
    return SARK_CACHE_OK;
}

/* Works the queries out and asks for what they need in the index, and then for the entries. */
static void sarki_group_ask(const sark_cache *cache, sarki_group *group, bool to_write)
{
    for (uint32_t i = 0; i < group->count; i++) {
        sarki_query *query = &group->queries[i];
        *query = to_write ? sarki_write_query(cache, query->key, query->key_bytes)
                          : sarki_read_query(cache, query->key, query->key_bytes);
    }
    for (uint32_t i = 0; i < group->count; i++)
        sarki_index_prefetch_entry(&cache->index, cache->region, &group->queries[i]);
}

/* Makes the answer to one more request a part of the batch's own: the first error, else MISS. */
static inline void sarki_batch_note(sark_cache_status *status, sark_cache_status answer)
{
    if (*status >= 0 && answer != SARK_CACHE_OK) *status = answer;
}

/* The status with which a batch begins: what is wrong with the batch itself; OK: nothing. */
static sark_cache_status sarki_batch_begin(sark_cache *cache, const void *requests, size_t count)
{
    if (cache && (requests || count == 0)) return SARK_CACHE_OK;
    return sarki_refuse(cache, SARK_CACHE_BAD_ARGUMENT);
}

SARK_CACHE_API sark_cache_status sark_cache_get_many(sark_cache *cache,
                                                     sark_cache_get_request *requests,
                                                     size_t count)
{
    sark_cache_status status = sarki_batch_begin(cache, requests, count);
    sarki_group group;
    for (size_t at = 0; requests && at < count; at += SARKI_GROUP) {
        sark_cache_get_request *first = requests + at;
        uint64_t early = 0;
        sarki_group_begin(&group, count - at);
        for (uint32_t i = 0; i < group.length; i++)
            first[i].status = sarki_group_add(
                cache, &group, i,
                sarki_get_status(cache, first[i].key, first[i].key_bytes, first[i].value,
                                 first[i].value_capacity),
                first[i].key, first[i].key_bytes);
        sarki_group_ask(cache, &group, false);
        for (uint32_t i = 0; i < group.count; i++) {
            sark_cache_get_request *request = &first[group.numbers[i]];
            if (early == 0) early = sarki_stamp_early(&cache->stamps);
            request->status = sarki_get(cache, group.queries[i], &early, request->value,
                                        request->value_capacity, &request->value_bytes);
        }
        for (uint32_t i = 0; i < group.length; i++) sarki_batch_note(&status, first[i].status);
    }
    return status;
}

SARK_CACHE_API sark_cache_status sark_cache_set_many(sark_cache *cache,
                                                     sark_cache_set_request *requests,
                                                     size_t count)
{
    sark_cache_status status = sarki_batch_begin(cache, requests, count);
    sarki_group group;
    for (size_t at = 0; requests && at < count; at += SARKI_GROUP) {
        sark_cache_set_request *first = requests + at;
        sarki_group_begin(&group, count - at);
        for (uint32_t i = 0; i < group.length; i++)
            first[i].status = sarki_group_add(
                cache, &group, i,
                sarki_set_status(cache, first[i].key, first[i].key_bytes, first[i].value,
                                 first[i].value_bytes),
                first[i].key, first[i].key_bytes);
        sarki_group_ask(cache, &group, true);
        for (uint32_t i = 0; i < group.count; i++) {
            sark_cache_set_request *request = &first[group.numbers[i]];
            sarki_write write = sarki_write_of(SARKI_SET);
            write.query = group.queries[i];
            request->status = sarki_write_call(cache, &write, request->value,
                                               request->value_bytes, request->ttl_ms);
        }
        for (uint32_t i = 0; i < group.length; i++) sarki_batch_note(&status, first[i].status);
    }
    return status;
}

SARK_CACHE_API sark_cache_status sark_cache_delete_many(sark_cache *cache,
                                                        sark_cache_delete_request *requests,
                                                        size_t count)
{
    sark_cache_status status = sarki_batch_begin(cache, requests, count);
    sarki_group group;
    for (size_t at = 0; requests && at < count; at += SARKI_GROUP) {
        sark_cache_delete_request *first = requests + at;
        sarki_group_begin(&group, count - at);
        for (uint32_t i = 0; i < group.length; i++)
            first[i].status = sarki_group_add(
                cache, &group, i, sarki_key_status(cache, first[i].key, first[i].key_bytes),
                first[i].key, first[i].key_bytes);
        sarki_group_ask(cache, &group, true);
        for (uint32_t i = 0; i < group.count; i++)
            first[group.numbers[i]].status = sarki_delete(cache, &group.queries[i]);
        for (uint32_t i = 0; i < group.length; i++) sarki_batch_note(&status, first[i].status);
    }
    return status;
}

/* ---- >>care ----------------------------------------------------------------------------------

   Purpose. What goes over all entries: clear and its kin, cleanup, foreach. Each walks in steps of
   one entry or SARKI_MOVES of them; between steps no lock is held.

   A walk goes over the slots of the index. The tag of a slot names its shard, so the lock is taken
   before the entry is looked at; then the slot must still hold what it held. A live key never
   changes its slot, so no entry that stays is missed. */

/* The next slot of a walk; false at the end. */
static bool sarki_walk_next(const sark_cache *cache, sarki_spot *spot)
{
    if (++spot->slot < SARKI_SLOTS) return true;
    spot->slot = 0;
    return ++spot->bucket < cache->index.bucket_count;
}

/* Which entries a walk removes. */
typedef struct sarki_selection {
    sark_cache_cause cause;
    const uint64_t *cuts;     /* of each shard, the last version that is removed; NULL: only one */
    const sarki_shard *shard; /* that one's shard, as others count their own versions, */
    uint64_t version;         /* version and deadline */
    int64_t deadline;
    const void *prefix;       /* of the keys */
    size_t prefix_bytes;
} sarki_selection;

/* Whether an entry is selected. An entry has 48 bits of its version, so that none is newer than a
   cut once the shard's has more. */
static bool sarki_selects(const sark_cache *cache, const sarki_selection *selection,
                          const sarki_shard *shard, sarki_entry *entry)
{
    uint64_t version = sarki_entry_version(entry);
    bool is_due = selection->cuts
                      ? version <= selection->cuts[shard - cache->shards]
                      : shard == selection->shard && version == selection->version &&
                            sarki_entry_deadline(entry) == selection->deadline;
    if (!is_due || entry->key_bytes < selection->prefix_bytes) return false;
    SARKI_BYTES_READ(entry);
    return selection->prefix_bytes == 0 ||
           memcmp(sarki_entry_key(entry), selection->prefix, selection->prefix_bytes) == 0;
}

/* Removes the entry of a slot if it is selected. */
static bool sarki_walk_remove(sark_cache *cache, sarki_spot spot, const sarki_selection *selection,
                              sarki_frame *frame)
{
    uint32_t ref = 0;
    sarki_shard *shard = sarki_slot_lock(cache, spot, &ref);
    if (!shard) return false;
    sarki_entry *entry = sarki_entry_of(cache, ref);
    bool selected = sarki_selects(cache, selection, shard, entry);
    bool expired = selected && sarki_entry_expired(cache, entry);
    if (expired && !selection->cuts) {
        selected = false; /* the one that is wanted was live */
    } else if (expired) {
        sarki_remove_locked(cache, shard, spot, ref, SARK_CACHE_EXPIRED, frame);
        sarki_count_locked(&shard->a_expired_by_writers, 1);
    } else if (selected) {
        sarki_remove_locked(cache, shard, spot, ref, selection->cause, frame);
        sarki_count_locked(&shard->a_cleared, selection->cause == SARK_CACHE_CLEARED);
    }
    sarki_shard_unlock(shard);
    return selected;
}

/* Gives back the places of removed entries, and reports and retires them. */
static void sarki_walk_flush(sark_cache *cache, uint32_t removed, sarki_frame *frame)
{
    if (removed > 0) sarki_places_give_back(cache, removed);
    sarki_frame_flush(cache, frame);
}

/* Removes all entries that are there now and whose keys begin so. Each removal linearizes by
   itself. */
static uint64_t sarki_remove_all(sark_cache *cache, sark_cache_cause cause, const void *prefix,
                                 size_t prefix_bytes)
{
    uint64_t cuts[SARKI_MAX_SHARDS], total = 0;
    sarki_selection selection = {cause, cuts, NULL, 0, 0, prefix, prefix_bytes};
    sarki_frame frame = {{0, 0}};
    sarki_spot spot = {0, 0};
    uint32_t removed = 0;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        sarki_shard_lock(&cache->shards[i]);
        cuts[i] = cache->shards[i].last_version;
        sarki_shard_unlock(&cache->shards[i]);
    }
    do {
        removed += sarki_walk_remove(cache, spot, &selection, &frame);
        if (removed < SARKI_RETIRE_BATCH) continue;
        total += removed;
        sarki_walk_flush(cache, removed, &frame);
        removed = 0;
    } while (sarki_walk_next(cache, &spot));
    sarki_walk_flush(cache, removed, &frame);
    return total + removed;
}

SARK_CACHE_API uint64_t sark_cache_clear(sark_cache *cache)
{
    return cache ? sarki_remove_all(cache, SARK_CACHE_CLEARED, NULL, 0) : 0;
}

SARK_CACHE_API sark_cache_status sark_cache_clear_prefix(sark_cache *cache, const void *prefix,
                                                         size_t prefix_bytes, uint64_t *removed)
{
    if (!cache || (!prefix && prefix_bytes > 0))
        return sarki_refuse(cache, SARK_CACHE_BAD_ARGUMENT);
    uint64_t count = sarki_remove_all(cache, SARK_CACHE_CLEARED, prefix, prefix_bytes);
    if (removed) *removed = count;
    return SARK_CACHE_OK;
}

SARK_CACHE_API uint64_t sark_cache_cleanup_expired(sark_cache *cache, uint64_t max_entries)
{
    int64_t now = cache ? sarki_now_fine(cache) : -1;
    uint64_t total = 0;
    if (now < 0) return 0;
    if (max_entries == 0) max_entries = UINT64_MAX;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        /* order: R1 a lower bound; who has just written one knows it */
        bool more = sarki_load64_relaxed(&cache->a_next_deadlines[i]) <= (uint64_t)now;
        while (more && total < max_entries) {
            sarki_frame frame = {{0, 0}};
            uint32_t max = (uint32_t)sarki_min64(max_entries - total, SARKI_MOVES);
            uint32_t removed = sarki_expire_shard(cache, &cache->shards[i], now, max, true, &frame,
                                                  &more);
            sarki_walk_flush(cache, removed, &frame);
            total += removed;
        }
    }
    if (cache->config.wipe) sarki_retired_collect(cache);
    return total;
}

/* A walk that visits entries, and goes on while the visitor returns true, or removes those for
   which it does. */
typedef struct sarki_visits {
    sark_cache_visit visit;
    void *context;
    bool removes;
    uint64_t removed;
} sarki_visits;

/* Visits an entry, which the walk's pin protects, if it is live. Returns the visitor's answer, or
   the one by which nothing happens. */
static bool sarki_visit(const sark_cache *cache, const sarki_visits *visits, sarki_entry *entry,
                        int64_t deadline)
{
    int64_t left_ms = sarki_ttl_left_ms(cache, deadline);
    if (left_ms == 0) return !visits->removes;
    SARKI_BYTES_READ(entry);
    return visits->visit(visits->context, sarki_entry_key(entry), entry->key_bytes,
                         sarki_entry_value(entry), entry->value_bytes, left_ms);
}

/* Removes the entry of a slot if it is selected still. It is reported at once: a visitor that forks
   must not leave behind what only a walk's frame knows. */
static bool sarki_visit_remove(sark_cache *cache, sarki_spot spot,
                               const sarki_selection *selection)
{
    sarki_frame frame = {{0, 0}};
    if (!sarki_walk_remove(cache, spot, selection, &frame)) return false;
    sarki_walk_flush(cache, 1, &frame);
    return true;
}

static sark_cache_status sarki_visit_all(sark_cache *cache, sarki_visits *visits)
{
    if (!cache || !visits->visit) return sarki_refuse(cache, SARK_CACHE_BAD_ARGUMENT);
    sarki_pin *pin = sarki_pin_claim(&cache->leases, SARKI_CLAIMED);
    if (!pin) return sarki_refuse(cache, SARK_CACHE_NO_PIN);
    sarki_store32_relaxed(&pin->a_visitor, sarki_thread_hash()); /* order: R2 it is claimed */
    uint32_t use = sarki_pin_out(pin);
    int cancel = sarki_cancel_defer();
    sarki_spot spot = {0, 0};
    bool go_on = true;
    do {
        uint32_t ref = 0;
        sarki_shard *shard = sarki_slot_lock(cache, spot, &ref);
        if (!shard) continue;
        /* Who unlinks it has the lock later. order: E5 of the entry before, argued: in C11, unlike
           C++20, this store goes on with the release sequence of the last */
        sarki_store32_release(&pin->a_ref, ref);
        sarki_shard_unlock(shard);
        sarki_entry *entry = sarki_entry_of(cache, ref);
        sarki_selection seen = {SARK_CACHE_CLEARED, NULL, shard, sarki_entry_version(entry),
                                sarki_entry_deadline(entry), NULL, 0};
        bool answer = sarki_visit(cache, visits, entry, seen.deadline);
        sarki_store32_release(&pin->a_ref, SARKI_CLAIMED); /* order: E5 */
        if (!visits->removes) go_on = answer;
        else if (answer) visits->removed += sarki_visit_remove(cache, spot, &seen);
    } while (go_on && sarki_walk_next(cache, &spot));
    sarki_cancel_allow(cancel);
    sarki_pin_back(&cache->leases, (uint32_t)(pin - cache->leases.pins), use);
    return SARK_CACHE_OK;
}

SARK_CACHE_API sark_cache_status sark_cache_foreach(sark_cache *cache, sark_cache_visit visit,
                                                    void *context)
{
    sarki_visits visits = {visit, context, false, 0};
    return sarki_visit_all(cache, &visits);
}

SARK_CACHE_API sark_cache_status sark_cache_clear_if(sark_cache *cache, sark_cache_visit matches,
                                                     void *context, uint64_t *removed)
{
    sarki_visits visits = {matches, context, true, 0};
    sark_cache_status status = sarki_visit_all(cache, &visits);
    if (status == SARK_CACHE_OK && removed) *removed = visits.removed;
    return status;
}

/* The cleanup thread: removes what has expired, and frees what is retired, at each interval. */
static void *sarki_cleaner_run(void *argument)
{
    sark_cache *cache = (sark_cache *)argument;
    sarki_cleaner *cleaner = &cache->cleaner;
    sarki_lock(&cleaner->mutex);
    while (!cleaner->stop) {
        sarki_wait_ms(&cleaner->wake, &cleaner->mutex, cache->config.cleanup_interval_ms);
        if (cleaner->stop) break;
        sarki_unlock(&cleaner->mutex);
        int64_t begin_ns = sarki_fine_ns();
        sark_cache_cleanup_expired(cache, 0);
        sarki_retired_collect(cache);
        int64_t end_ns = sarki_fine_ns();
        bool is_known = begin_ns >= 0 && end_ns >= begin_ns; /* else the clock has failed */
        uint64_t took_us = is_known ? (uint64_t)(end_ns - begin_ns) / 1000 : 0;
        sarki_store64_relaxed(&cleaner->a_last_us, took_us); /* order: R1 */
        sarki_add64_relaxed(&cleaner->a_total_us, took_us);  /* order: R1 */
        sarki_add64_relaxed(&cleaner->a_runs, 1);            /* order: R1 */
        sarki_lock(&cleaner->mutex);
    }
    sarki_unlock(&cleaner->mutex);
    return NULL;
}

static void sarki_cleaner_stop(sarki_cleaner *cleaner)
{
    if (!cleaner->running) return;
    sarki_lock(&cleaner->mutex);
    cleaner->stop = true;
    sarki_wake_all(&cleaner->wake);
    sarki_unlock(&cleaner->mutex);
    sarki_thread_join(cleaner->thread);
}

/* ---- >>rank ----------------------------------------------------------------------------------

   Purpose. The hottest or the coldest keys. A walk over all entries keeps as many as are wanted in
   a binary heap (Williams: Heapsort) in the caller's array, whose root is the next to give way.

   For the coldest the root is the hottest. For the hottest all is the other way round: they are
   ranked by the complement of their stamps. */

/* When an entry was used last, wherever that stands. */
SARKI_REQUIRES(shard)
static uint64_t sarki_used_locked(sark_cache *cache, uint32_t ref)
{
    sarki_entry *entry = sarki_entry_of(cache, ref);
    uint64_t stamp = sarki_load64_relaxed(&entry->a_stamp); /* order: R1 */
    if (stamp & SARKI_MARKED)
        stamp = sarki_resident_gather(&cache->leases, &cache->stamps, entry, ref);
    return sarki_stamp_key(stamp);
}

static void sarki_ranks_swap(sark_cache_ranked *ranked, size_t one, size_t other)
{
    sark_cache_ranked kept = ranked[one];
    ranked[one] = ranked[other];
    ranked[other] = kept;
}

/* Lets what stands at a place of the heap sink to where it belongs. */
static void sarki_ranks_sink(sark_cache_ranked *ranked, size_t at, size_t count)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && ranked[child + 1].used > ranked[child].used) child++;
        if (ranked[at].used >= ranked[child].used) return;
        sarki_ranks_swap(ranked, at, child);
    }
}

/* Lets the last of the heap rise to where it belongs. */
static void sarki_ranks_rise(sark_cache_ranked *ranked, size_t at)
{
    while (at > 0 && ranked[at].used > ranked[(at - 1) / 2].used) {
        sarki_ranks_swap(ranked, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

/* Ranks an entry among those so far, at most count. Returns how many there are then. */
SARKI_REQUIRES(shard)
static size_t sarki_rank_locked(sarki_entry *entry, uint64_t used, sark_cache_ranked *ranked,
                                size_t so_far, size_t count)
{
    bool is_full = so_far == count;
    if (is_full && used >= ranked[0].used) return so_far;
    sark_cache_ranked *to = &ranked[is_full ? 0 : so_far];
    size_t copied = (size_t)sarki_min64(entry->key_bytes, to->key_capacity);
    SARKI_BYTES_READ(entry);
    if (copied > 0) memcpy(to->key, sarki_entry_key(entry), copied);
    to->key_bytes = entry->key_bytes;
    to->used = used;
    if (is_full) sarki_ranks_sink(ranked, 0, count);
    else sarki_ranks_rise(ranked, so_far);
    return is_full ? count : so_far + 1;
}

/* Sorts a heap: its root goes to the end, again and again. */
static void sarki_ranks_sort(sark_cache_ranked *ranked, size_t count)
{
    for (size_t end = count; end > 1; end--) {
        sarki_ranks_swap(ranked, 0, end - 1);
        sarki_ranks_sink(ranked, 0, end - 1);
    }
}

/* mask: what the stamps are changed by, so that the lowest are those that are wanted. */
static sark_cache_status sarki_rank_all(sark_cache *cache, sark_cache_ranked *ranked,
                                        size_t count, uint64_t mask, size_t *found)
{
    bool is_bad = !cache || (!ranked && count > 0);
    for (size_t i = 0; !is_bad && i < count; i++)
        is_bad = !ranked[i].key && ranked[i].key_capacity > 0;
    if (is_bad) return sarki_refuse(cache, SARK_CACHE_BAD_ARGUMENT);
    sarki_spot spot = {0, 0};
    size_t so_far = 0;
    if (found) *found = 0;
    if (count == 0) return SARK_CACHE_OK;
    do {
        uint32_t ref = 0;
        sarki_shard *shard = sarki_slot_lock(cache, spot, &ref);
        if (!shard) continue;
        sarki_entry *entry = sarki_entry_of(cache, ref);
        if (!sarki_entry_expired(cache, entry))
            so_far = sarki_rank_locked(entry, sarki_used_locked(cache, ref) ^ mask, ranked, so_far,
                                       count);
        sarki_shard_unlock(shard);
    } while (sarki_walk_next(cache, &spot));
    sarki_ranks_sort(ranked, so_far);
    for (size_t i = 0; i < so_far; i++) ranked[i].used ^= mask;
    if (found) *found = so_far;
    return SARK_CACHE_OK;
}

SARK_CACHE_API sark_cache_status sark_cache_hottest(sark_cache *cache, sark_cache_ranked *ranked,
                                                    size_t count, size_t *found)
{
    return sarki_rank_all(cache, ranked, count, UINT64_MAX, found);
}

SARK_CACHE_API sark_cache_status sark_cache_coldest(sark_cache *cache, sark_cache_ranked *ranked,
                                                    size_t count, size_t *found)
{
    return sarki_rank_all(cache, ranked, count, 0, found);
}

/* ---- >>latency -------------------------------------------------------------------------------

   Purpose. One call in latency_sample_every is timed with the precise clock. Log-linear buckets:
   below 32 ns one, then four for each power of two; the last takes what is longer. */

static int64_t sarki_latency_begin(sark_cache *cache)
{
    uint32_t home = sarki_home(&cache->leases, sarki_thread_hash());
    sarki_a32 *a_tick = &sarki_lease_at(&cache->leases, home)->a_sample_tick;
    uint32_t tick = sarki_load32_relaxed(a_tick) + 1; /* order: R1 */
    sarki_store32_relaxed(a_tick, tick);              /* order: R1 */
    if (tick % cache->config.latency_sample_every != 0) return 0;
    int64_t now_ns = sarki_fine_ns();
    return now_ns < 0 ? 0 : now_ns;
}

static inline uint32_t sarki_latency_bucket(uint64_t ns)
{
    if (ns < 32) return 0;
    uint32_t top = sarki_log2(ns);
    uint32_t bucket = 1 + (top - 5) * 4 + (uint32_t)(ns >> (top - 2) & 3);
    return sarki_min32(bucket, SARK_CACHE_LATENCY_BUCKETS - 1);
}

/* The longest latency that belongs to a bucket but the last. */
static inline uint64_t sarki_latency_bucket_end(uint32_t bucket)
{
    if (bucket == 0) return 31;
    uint32_t top = 5 + (bucket - 1) / 4;
    return ((uint64_t)1 << top) + ((uint64_t)((bucket - 1) % 4 + 1) << (top - 2)) - 1;
}

static void sarki_latency_end(sark_cache *cache, int64_t begin_ns, int kind)
{
    int64_t end_ns = sarki_fine_ns();
    if (end_ns < begin_ns) return;
    uint64_t ns = (uint64_t)(end_ns - begin_ns);
    sarki_histogram *histogram = &cache->histograms[kind];
    sarki_add64_relaxed(&histogram->a_buckets[sarki_latency_bucket(ns)], 1); /* order: R1 */
    sarki_add64_relaxed(&histogram->a_total_ns, ns);                         /* order: R1 */
    uint64_t max_ns = sarki_load64_relaxed(&histogram->a_max_ns);            /* order: R3 */
    while (ns > max_ns && !sarki_cas64_relaxed(&histogram->a_max_ns, max_ns, ns)) /* order: R1 */
        max_ns = sarki_load64_relaxed(&histogram->a_max_ns); /* order: R3 the swap */
}

/* The latency below which a share of count calls stayed; per_mille of 1000. */
static uint64_t sarki_latency_percentile(const sark_cache_latency *latency, uint64_t per_mille)
{
    uint64_t rank = (latency->count * per_mille + 999) / 1000, seen = 0;
    for (uint32_t i = 0; i + 1 < SARK_CACHE_LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen >= rank && seen > 0)
            return sarki_min64(sarki_latency_bucket_end(i), latency->max_ns);
    }
    return latency->max_ns;
}

static void sarki_latency_read(const sark_cache *cache, int kind, sark_cache_latency *latency)
{
    if (!cache->histograms) return;
    const sarki_histogram *histogram = &cache->histograms[kind];
    for (uint32_t i = 0; i < SARK_CACHE_LATENCY_BUCKETS; i++) /* order: R1 */
        latency->buckets[i] = sarki_load64_relaxed(&histogram->a_buckets[i]);
    latency->total_ns = sarki_load64_relaxed(&histogram->a_total_ns); /* order: R1 */
    latency->max_ns = sarki_load64_relaxed(&histogram->a_max_ns);     /* order: R1 */
}

/* Takes a baseline off, and works the percentiles out. */
static void sarki_latency_finish(sark_cache_latency *latency, const sark_cache_latency *baseline)
{
    latency->count = 0;
    latency->total_ns -= baseline->total_ns;
    for (uint32_t i = 0; i < SARK_CACHE_LATENCY_BUCKETS; i++) {
        latency->buckets[i] -= baseline->buckets[i];
        latency->count += latency->buckets[i];
    }
    latency->p50_ns = sarki_latency_percentile(latency, 500);
    latency->p95_ns = sarki_latency_percentile(latency, 950);
    latency->p99_ns = sarki_latency_percentile(latency, 990);
    latency->p999_ns = sarki_latency_percentile(latency, 999);
}

/* ---- >>metrics -------------------------------------------------------------------------------

   Purpose. Sums the counters of shards and lease slots. Counts never go back: a reset notes them
   as a baseline, which every later reading takes off.

   Access. All by relaxed loads (R1), so that nobody is blocked; the baseline by its own mutex. */

static uint64_t sarki_read_count(const sarki_a64 *counter)
{
    return sarki_load64_relaxed(counter); /* order: R1 */
}

static void sarki_metrics_add_shard(const sarki_shard *shard, sark_cache_metrics *metrics)
{
    metrics->hits += sarki_read_count(&shard->a_hits);
    metrics->misses += sarki_read_count(&shard->a_misses);
    metrics->misses_expired += sarki_read_count(&shard->a_misses_expired);
    metrics->sets += sarki_read_count(&shard->a_sets);
    metrics->adds += sarki_read_count(&shard->a_writes[SARKI_ADD]);
    metrics->replaces += sarki_read_count(&shard->a_writes[SARKI_REPLACE]);
    metrics->compare_and_sets += sarki_read_count(&shard->a_writes[SARKI_COMPARE_AND_SET]);
    metrics->increments += sarki_read_count(&shard->a_writes[SARKI_INCREMENT]);
    metrics->appends += sarki_read_count(&shard->a_writes[SARKI_APPEND]);
    metrics->touches += sarki_read_count(&shard->a_touches);
    metrics->deletes += sarki_read_count(&shard->a_deletes);
    metrics->evictions_for_entries += sarki_read_count(&shard->a_evicted_for_entries);
    metrics->evictions_for_bytes += sarki_read_count(&shard->a_evicted_for_bytes);
    metrics->eviction_ages += sarki_read_count(&shard->a_ages);
    metrics->eviction_age_ms += sarki_read_count(&shard->a_age_ms);
    metrics->expired_by_writers += sarki_read_count(&shard->a_expired_by_writers);
    metrics->expired_by_cleanup += sarki_read_count(&shard->a_expired_by_cleanup);
    metrics->cleared += sarki_read_count(&shard->a_cleared);
    metrics->lock_fallbacks += sarki_read_count(&shard->a_fallbacks);
    metrics->recency_moves += sarki_read_count(&shard->a_recency_moves);
    metrics->room_moves += sarki_read_count(&shard->a_room_moves);
    uint32_t longest = sarki_load32_relaxed(&shard->a_longest_hold); /* order: R1 */
    metrics->longest_hold_moves = sarki_max64(metrics->longest_hold_moves, longest);
}

static void sarki_metrics_add_leases(const sarki_leases *leases, sark_cache_metrics *metrics)
{
    for (uint32_t i = 0; i < leases->lease_count; i++) {
        sarki_lease *lease = sarki_lease_at(leases, i);
        metrics->hits += sarki_read_count(&lease->a_hits) + sarki_read_count(&lease->a_pin_hits);
        metrics->misses += sarki_read_count(&lease->a_misses);
        metrics->misses_expired += sarki_read_count(&lease->a_misses_expired);
        metrics->rejected_short_buffer += sarki_read_count(&lease->a_short_buffers);
        metrics->leases_in_use += sarki_load32_relaxed(&lease->a_ref) != 0; /* order: R1 */
        for (uint32_t way = 0; leases->has_residents && way < SARKI_RESIDENT_WAYS; way++)
            metrics->hits += sarki_read_count(&sarki_residents_of(lease)->ways[way].a_hits);
    }
    for (uint32_t i = 0; i < leases->pin_count; i++) /* order: R1 */
        metrics->pins_in_use += sarki_load32_relaxed(&leases->pins[i].a_sequence) & 1;
}

/* Expired entries still resident: the slots of the expiry wheels that begin before now. */
static void sarki_metrics_add_expired(const sark_cache *cache, sark_cache_metrics *metrics)
{
    int64_t now = sarki_now_fine(cache);
    uint64_t oldest = SARKI_NONE;
    for (uint32_t i = 0; now >= 0 && i < cache->shard_count; i++) {
        const sarki_wheel *wheel = &cache->shards[i].expiry;
        uint64_t next = sarki_read_count(&cache->a_next_deadlines[i]);
        uint64_t floor = sarki_read_count(&wheel->a_floor);
        if (next > (uint64_t)now) continue;
        oldest = sarki_min64(oldest, next);
        for (uint32_t place = 0; place < sarki_wheel_slots(wheel->bits); place++)
            if (sarki_wheel_slot(wheel->bits, floor, place).low <= (uint64_t)now)
                metrics->expired_resident += sarki_load32_relaxed( /* order: R1 */
                    &sarki_wheel_slot_at(wheel, place)->a_count);
    }
    if (oldest == SARKI_NONE || metrics->expired_resident == 0) return;
    metrics->oldest_overdue_ms = ((uint64_t)now - oldest) / (uint64_t)cache->ticks_per_ms;
}

static void sarki_metrics_add_bytes(const sark_cache *cache, sark_cache_metrics *metrics)
{
    const sarki_arena *arena = &cache->memory.arena;
    uint64_t blocks = (uint64_t)(arena->end - arena->first) * SARKI_GRANULE;
    uint64_t fixed = cache->config.max_bytes - blocks;
    uint64_t used = sarki_load32_relaxed(&arena->a_used);      /* order: R1 */
    uint64_t peak = sarki_load32_relaxed(&arena->a_used_peak); /* order: R1, may be behind */
    uint64_t retired = 0, payload = 0;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        const sarki_shard *shard = &cache->shards[i];
        payload += sarki_read_count(&shard->a_payload_bytes);
        retired += sarki_load32_relaxed(&shard->retired.a_granules); /* order: R1 */
        retired += sarki_load32_relaxed(&shard->spares.a_granules);  /* order: R1 */
    }
    metrics->bytes = fixed + used * SARKI_GRANULE;
    metrics->bytes_peak = fixed + sarki_max64(peak, used) * SARKI_GRANULE;
    metrics->bytes_retired = retired * SARKI_GRANULE;
    uint64_t index = (uint64_t)cache->index.bucket_count * sizeof(sarki_bucket);
    uint64_t live = (used - sarki_min64(used, retired)) * SARKI_GRANULE;
    metrics->overhead_bytes_per_entry = (index + cache->max_entries - 1) / cache->max_entries;
    if (metrics->entries > 0 && live > payload)
        metrics->overhead_bytes_per_entry +=
            (live - payload + metrics->entries - 1) / metrics->entries;
}

static uint64_t sarki_stamp_resolution_ps(const sark_cache *cache)
{
    if (cache->stamps.shift < 0) return 0;
    uint64_t steps = (sarki_counter() << cache->stamps.shift) - cache->stamp_epoch;
    int64_t elapsed_ns = sarki_awake_ns() - cache->stamp_epoch_ns;
    if (steps < 1000 || elapsed_ns <= 0) return 0;
    return (uint64_t)elapsed_ns / (steps / 1000) * SARKI_STAMP_STEP;
}

static void sarki_metrics_add_rejected(const sark_cache *cache, sark_cache_metrics *metrics)
{
    const sarki_a64 *a_rejected = cache->a_rejected;
    metrics->rejected_argument = sarki_read_count(&a_rejected[-SARK_CACHE_BAD_ARGUMENT]);
    metrics->rejected_ttl = sarki_read_count(&a_rejected[-SARK_CACHE_BAD_TTL]);
    metrics->rejected_key = sarki_read_count(&a_rejected[-SARK_CACHE_BAD_KEY]);
    metrics->rejected_too_large = sarki_read_count(&a_rejected[-SARK_CACHE_TOO_LARGE]);
    metrics->rejected_short_buffer += sarki_read_count(&a_rejected[-SARK_CACHE_SHORT_BUFFER]);
    metrics->rejected_busy = sarki_read_count(&a_rejected[-SARK_CACHE_BUSY]);
    metrics->rejected_no_pin = sarki_read_count(&a_rejected[-SARK_CACHE_NO_PIN]);
    metrics->rejected_system = sarki_read_count(&a_rejected[-SARK_CACHE_SYSTEM_ERROR]);
    metrics->rejected_number = sarki_read_count(&a_rejected[-SARK_CACHE_NOT_INTEGER]) +
                               sarki_read_count(&a_rejected[-SARK_CACHE_OVERFLOW]);
}

/* All metrics since creation. */
static void sarki_metrics_collect(const sark_cache *cache, sark_cache_metrics *metrics)
{
    memset(metrics, 0, sizeof *metrics);
    for (uint32_t i = 0; i < cache->shard_count; i++)
        sarki_metrics_add_shard(&cache->shards[i], metrics);
    sarki_metrics_add_leases(&cache->leases, metrics);
    sarki_metrics_add_rejected(cache, metrics);
    metrics->entries = sarki_entries(cache);
    uint64_t peak = sarki_load32_relaxed(&cache->a_count_peak); /* order: R1, may be behind */
    metrics->entries_peak = sarki_max64(peak, metrics->entries);
    metrics->pinned_bytes = sarki_read_count(&cache->a_pinned_bytes);
    metrics->max_entries = cache->max_entries;
    metrics->max_bytes = cache->config.max_bytes;
    sarki_metrics_add_bytes(cache, metrics);
    sarki_metrics_add_expired(cache, metrics);
    metrics->cleanup_runs = sarki_read_count(&cache->cleaner.a_runs);
    metrics->cleanup_last_us = sarki_read_count(&cache->cleaner.a_last_us);
    metrics->cleanup_total_us = sarki_read_count(&cache->cleaner.a_total_us);
    metrics->cleanup_thread_wanted = cache->config.cleanup_interval_ms > 0;
    metrics->cleanup_thread_running = cache->cleaner.running;
    metrics->longest_chain_buckets =
        sarki_load32_relaxed(&cache->index.a_longest_chain); /* order: R1 */
    metrics->clock_tick_us =
        cache->config.clock.now_ms ? 1000 : (sarki_coarse_tick_ns() + 999) / 1000;
    metrics->stamp_resolution_ps = sarki_stamp_resolution_ps(cache);
    sarki_latency_read(cache, SARKI_LATENCY_HIT, &metrics->hit);
    sarki_latency_read(cache, SARKI_LATENCY_MISS, &metrics->miss);
    sarki_latency_read(cache, SARKI_LATENCY_SET, &metrics->set);
}

/* Takes the baseline off the counts, which stand first in the struct. */
static void sarki_metrics_subtract(const sark_cache *cache, sark_cache_metrics *metrics)
{
    static const sark_cache_latency none = {0, 0, 0, 0, 0, 0, 0, {0}};
    const sarki_baseline *baseline = cache->baseline;
    const sark_cache_latency *before = cache->latency_baseline;
    uint64_t counts[sizeof baseline->counts / sizeof baseline->counts[0]];
    memcpy(counts, metrics, sizeof counts);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) counts[i] -= baseline->counts[i];
    memcpy(metrics, counts, sizeof counts);
    metrics->recency_moves -= baseline->recency_moves;
    metrics->room_moves -= baseline->room_moves;
    sarki_latency_finish(&metrics->hit, before ? &before[SARKI_LATENCY_HIT] : &none);
    sarki_latency_finish(&metrics->miss, before ? &before[SARKI_LATENCY_MISS] : &none);
    sarki_latency_finish(&metrics->set, before ? &before[SARKI_LATENCY_SET] : &none);
}

/* Notes the counts as they are as the new baseline. */
static void sarki_metrics_note(sark_cache *cache)
{
    sark_cache_metrics metrics;
    sarki_metrics_collect(cache, &metrics);
    memcpy(cache->baseline->counts, &metrics, sizeof cache->baseline->counts);
    cache->baseline->recency_moves = metrics.recency_moves;
    cache->baseline->room_moves = metrics.room_moves;
    if (!cache->latency_baseline) return;
    cache->latency_baseline[SARKI_LATENCY_HIT] = metrics.hit;
    cache->latency_baseline[SARKI_LATENCY_MISS] = metrics.miss;
    cache->latency_baseline[SARKI_LATENCY_SET] = metrics.set;
}

SARK_CACHE_API uint64_t sark_cache_size(const sark_cache *cache)
{
    return cache ? sarki_entries(cache) : 0;
}

/* The metrics mutex of a cache that is otherwise only read. */
static sarki_mutex *sarki_metrics_mutex(const sark_cache *cache)
{
    return &((sark_cache *)(uintptr_t)cache)->metrics_mutex;
}

SARK_CACHE_API void sark_cache_metrics_read(const sark_cache *cache, sark_cache_metrics *metrics)
{
    if (!metrics) return;
    if (!cache) {
        memset(metrics, 0, sizeof *metrics);
        return;
    }
    sarki_lock(sarki_metrics_mutex(cache));
    sarki_metrics_collect(cache, metrics);
    sarki_metrics_subtract(cache, metrics);
    sarki_unlock(sarki_metrics_mutex(cache));
}

SARK_CACHE_API void sark_cache_metrics_reset(sark_cache *cache)
{
    if (!cache) return;
    sarki_arena *arena = &cache->memory.arena;
    sarki_lock(&cache->metrics_mutex);
    sarki_metrics_note(cache);
    /* order: R1 in all of these */
    sarki_store32_relaxed(&cache->a_count_peak, sarki_load32_relaxed(&cache->a_count));
    sarki_store32_relaxed(&arena->a_used_peak, sarki_load32_relaxed(&arena->a_used)); /* R1 */
    for (uint32_t i = 0; i < cache->shard_count; i++)
        sarki_store32_relaxed(&cache->shards[i].a_longest_hold, 0); /* order: R1 */
    for (int kind = 0; cache->histograms && kind < SARKI_LATENCY_KINDS; kind++)
        sarki_store64_relaxed(&cache->histograms[kind].a_max_ns, 0); /* order: R1 */
    sarki_unlock(&cache->metrics_mutex);
}

/* ---- >>exposed -------------------------------------------------------------------------------

   Purpose. Metrics as text: Prometheus' text format (Prometheus documentation, Exposition formats)
   or OpenMetrics (RFC draft-richih-opsawg-openmetrics, 1.0), which differ in that the latter names
   a counter without its suffix _total where it describes it, and has a mark at the end.

   A family is what has one name; its samples differ in their labels. They are in a table, families
   that belong together beside each other. */

typedef struct sarki_text {
    char *to;
    size_t capacity, length; /* the length may be above the capacity: what it would be */
} sarki_text;

static void sarki_text_add(sarki_text *text, const char *more)
{
    for (; *more; more++, text->length++)
        if (text->length < text->capacity) text->to[text->length] = *more;
}

/* A number of 10^-places, without zeros at the end. */
static void sarki_text_number(sarki_text *text, uint64_t number, uint32_t places)
{
    char digits[24];
    uint32_t at = sizeof digits - 1;
    digits[at] = '\0';
    for (; places > 0 && number % 10 == 0; places--) number /= 10;
    for (uint32_t i = 0; i <= places || number > 0; i++, number /= 10) {
        if (i == places && places > 0) digits[--at] = '.';
        digits[--at] = (char)('0' + number % 10);
    }
    sarki_text_add(text, &digits[at]);
}

/* A label's value, in which three characters are written as two. */
static void sarki_text_escaped(sarki_text *text, const char *value)
{
    for (; *value; value++) {
        char one[2] = {*value, '\0'};
        if (*value == '\n') sarki_text_add(text, "\\n");
        else if (*value == '\\') sarki_text_add(text, "\\\\");
        else if (*value == '"') sarki_text_add(text, "\\\"");
        else sarki_text_add(text, one);
    }
}

typedef enum sarki_metric_kind {
    SARKI_COUNTER,
    SARKI_GAUGE,
    SARKI_FLAG,       /* a gauge of 0 or 1 */
    SARKI_HISTOGRAM
} sarki_metric_kind;

typedef struct sarki_metric {
    const char *name;  /* of the family, without prefix and suffix */
    const char *label; /* what tells the samples of a family apart; NULL: there is one */
    const char *help;  /* stands beside the first sample */
    uint16_t offset;   /* in sark_cache_metrics */
    uint8_t kind;
    uint8_t places;    /* the unit is 10^-places of what is shown */
} sarki_metric;

#define SARKI_METRIC(kind, name, label, field, places, help) \
    {name, label, help, (uint16_t)offsetof(sark_cache_metrics, field), kind, places}
#define SARKI_COUNTS(name, label, field, help) \
    SARKI_METRIC(SARKI_COUNTER, name, label, field, 0, help)
#define SARKI_GAUGES(name, label, field, help) \
    SARKI_METRIC(SARKI_GAUGE, name, label, field, 0, help)
#define SARKI_SECONDS(kind, name, field, places, help) \
    SARKI_METRIC(kind, name, NULL, field, places, help)

static const sarki_metric sarki_metrics[] = {
    SARKI_COUNTS("hits", NULL, hits, "Reads that found a live entry."),
    SARKI_COUNTS("misses", NULL, misses, "Reads that found none."),
    SARKI_COUNTS("misses_expired", NULL, misses_expired, "Misses that found an expired entry."),
    SARKI_COUNTS("writes", "call=\"set\"", sets, "Successful writes, by call."),
    SARKI_COUNTS("writes", "call=\"add\"", adds, ""),
    SARKI_COUNTS("writes", "call=\"replace\"", replaces, ""),
    SARKI_COUNTS("writes", "call=\"compare_and_set\"", compare_and_sets, ""),
    SARKI_COUNTS("writes", "call=\"increment\"", increments, ""),
    SARKI_COUNTS("writes", "call=\"append\"", appends, ""),
    SARKI_COUNTS("writes", "call=\"touch\"", touches, ""),
    SARKI_COUNTS("writes", "call=\"delete\"", deletes, ""),
    SARKI_COUNTS("evictions", "for=\"entries\"", evictions_for_entries,
                 "Entries that left as the least recently used, by what was needed."),
    SARKI_COUNTS("evictions", "for=\"bytes\"", evictions_for_bytes, ""),
    SARKI_COUNTS("eviction_ages", NULL, eviction_ages,
                 "Victims of which it was noted how long they had gone unused."),
    SARKI_SECONDS(SARKI_COUNTER, "eviction_age_seconds", eviction_age_ms, 3, "How long they had."),
    SARKI_COUNTS("expirations", "by=\"writers\"", expired_by_writers,
                 "Expired entries that were removed, by whom."),
    SARKI_COUNTS("expirations", "by=\"cleanup\"", expired_by_cleanup, ""),
    SARKI_COUNTS("cleared", NULL, cleared, "Entries that were cleared."),
    SARKI_COUNTS("rejected", "reason=\"argument\"", rejected_argument,
                 "Calls that were refused, by reason."),
    SARKI_COUNTS("rejected", "reason=\"key\"", rejected_key, ""),
    SARKI_COUNTS("rejected", "reason=\"ttl\"", rejected_ttl, ""),
    SARKI_COUNTS("rejected", "reason=\"too_large\"", rejected_too_large, ""),
    SARKI_COUNTS("rejected", "reason=\"short_buffer\"", rejected_short_buffer, ""),
    SARKI_COUNTS("rejected", "reason=\"busy\"", rejected_busy, ""),
    SARKI_COUNTS("rejected", "reason=\"no_pin\"", rejected_no_pin, ""),
    SARKI_COUNTS("rejected", "reason=\"system\"", rejected_system, ""),
    SARKI_COUNTS("rejected", "reason=\"number\"", rejected_number, ""),
    SARKI_COUNTS("lock_fallbacks", NULL, lock_fallbacks, "Reads that took a lock."),
    SARKI_GAUGES("entries", NULL, entries, "Entries resident, expired ones included."),
    SARKI_GAUGES("entries_peak", NULL, entries_peak, "The most entries so far."),
    SARKI_GAUGES("entries_limit", NULL, max_entries, "The most entries that are allowed."),
    SARKI_GAUGES("memory_bytes", NULL, bytes, "Memory in use, tables included."),
    SARKI_GAUGES("memory_peak_bytes", NULL, bytes_peak, "The most memory in use so far."),
    SARKI_GAUGES("memory_limit_bytes", NULL, max_bytes, "The most memory that is allowed."),
    SARKI_GAUGES("memory_retired_bytes", NULL, bytes_retired, "Memory of removed entries."),
    SARKI_GAUGES("expired_entries", NULL, expired_resident,
                 "At most so many expired entries wait to be removed."),
    SARKI_SECONDS(SARKI_GAUGE, "oldest_overdue_seconds", oldest_overdue_ms, 3,
                  "For at most so long has the first of them waited."),
    SARKI_GAUGES("leases", NULL, leases_in_use, "Reads under way."),
    SARKI_GAUGES("pins", NULL, pins_in_use, "Pins that are out."),
    SARKI_GAUGES("pinned_bytes", NULL, pinned_bytes, "Memory of the entries that they keep."),
    SARKI_COUNTS("cleanup_runs", NULL, cleanup_runs, "Runs of the cleanup thread."),
    SARKI_SECONDS(SARKI_COUNTER, "cleanup_seconds", cleanup_total_us, 6, "What they took."),
    SARKI_SECONDS(SARKI_GAUGE, "cleanup_last_seconds", cleanup_last_us, 6,
                  "What the last of them took."),
    SARKI_METRIC(SARKI_FLAG, "cleanup_thread_wanted", NULL, cleanup_thread_wanted, 0,
                 "Whether there is to be a cleanup thread."),
    SARKI_METRIC(SARKI_FLAG, "cleanup_thread_running", NULL, cleanup_thread_running, 0,
                 "Whether it runs."),
    SARKI_COUNTS("recency_moves", NULL, recency_moves, "Re-placings in the order of recency."),
    SARKI_COUNTS("room_moves", NULL, room_moves, "Entries moved to make room."),
    SARKI_GAUGES("longest_hold_moves", NULL, longest_hold_moves, "The most moves under a lock."),
    SARKI_GAUGES("longest_chain_buckets", NULL, longest_chain_buckets,
                 "Buckets that the longest lookup so far reads."),
    SARKI_GAUGES("entry_overhead_bytes", NULL, overhead_bytes_per_entry,
                 "What an entry costs beside key and value."),
    SARKI_SECONDS(SARKI_GAUGE, "clock_tick_seconds", clock_tick_us, 6, "The coarse clock's tick."),
    SARKI_SECONDS(SARKI_GAUGE, "stamp_resolution_seconds", stamp_resolution_ps, 12,
                  "Time between two stamps; 0: a counter."),
    SARKI_METRIC(SARKI_HISTOGRAM, "latency_seconds", "call=\"hit\"", hit, 9,
                 "Sampled latencies of single calls."),
    SARKI_METRIC(SARKI_HISTOGRAM, "latency_seconds", "call=\"miss\"", miss, 9, ""),
    SARKI_METRIC(SARKI_HISTOGRAM, "latency_seconds", "call=\"set\"", set, 9, ""),
};

/* A sample's name and labels; le: the bound of a bucket in ns, SARKI_NONE for what has none, 0 for
   infinity. */
static void sarki_text_sample(sarki_text *text, const sark_cache_exposed *exposed,
                              const sarki_metric *metric, const char *suffix, uint64_t le)
{
    const char *before = "{";
    sarki_text_add(text, "sark_cache_");
    sarki_text_add(text, metric->name);
    sarki_text_add(text, suffix);
    if (exposed->name) {
        sarki_text_add(text, "{cache=\"");
        sarki_text_escaped(text, exposed->name);
        sarki_text_add(text, "\"");
        before = ",";
    }
    if (metric->label) {
        sarki_text_add(text, before);
        sarki_text_add(text, metric->label);
        before = ",";
    }
    if (le != SARKI_NONE) { /* a histogram's, which has a label */
        sarki_text_add(text, ",le=\"");
        if (le == 0) sarki_text_add(text, "+Inf");
        else sarki_text_number(text, le, metric->places);
        sarki_text_add(text, "\"");
    }
    sarki_text_add(text, *before == ',' ? "} " : " ");
}

static void sarki_text_histogram(sarki_text *text, const sark_cache_exposed *exposed,
                                 const sarki_metric *metric, const sark_cache_latency *latency)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < SARK_CACHE_LATENCY_BUCKETS; i++) {
        bool is_last = i == SARK_CACHE_LATENCY_BUCKETS - 1;
        seen += latency->buckets[i];
        sarki_text_sample(text, exposed, metric, "_bucket",
                          is_last ? 0 : sarki_latency_bucket_end(i));
        sarki_text_number(text, seen, 0);
        sarki_text_add(text, "\n");
    }
    sarki_text_sample(text, exposed, metric, "_sum", SARKI_NONE);
    sarki_text_number(text, latency->total_ns, metric->places);
    sarki_text_add(text, "\n");
    sarki_text_sample(text, exposed, metric, "_count", SARKI_NONE);
    sarki_text_number(text, seen, 0);
    sarki_text_add(text, "\n");
}

/* One sample, or all of a histogram, of one cache. */
static void sarki_text_metric(sarki_text *text, const sark_cache_exposed *exposed,
                              const sarki_metric *metric)
{
    const char *field = (const char *)exposed->metrics + metric->offset;
    sark_cache_latency latency;
    uint64_t number = 0;
    if (metric->kind == SARKI_HISTOGRAM) {
        memcpy(&latency, field, sizeof latency);
        if (latency.count > 0) sarki_text_histogram(text, exposed, metric, &latency);
        return;
    }
    if (metric->kind == SARKI_FLAG) number = *(const bool *)(const void *)field;
    else memcpy(&number, field, sizeof number);
    sarki_text_sample(text, exposed, metric, metric->kind == SARKI_COUNTER ? "_total" : "",
                      SARKI_NONE);
    sarki_text_number(text, number, metric->places);
    sarki_text_add(text, "\n");
}

static void sarki_text_describe(sarki_text *text, const sarki_metric *metric,
                                sark_cache_exposition format)
{
    static const char *const kinds[] = {" counter\n", " gauge\n", " gauge\n", " histogram\n"};
    bool has_suffix = metric->kind == SARKI_COUNTER && format == SARK_CACHE_PROMETHEUS;
    const char *suffix = has_suffix ? "_total" : "";
    sarki_text_add(text, "# HELP sark_cache_");
    sarki_text_add(text, metric->name);
    sarki_text_add(text, suffix);
    sarki_text_add(text, " ");
    sarki_text_add(text, metric->help);
    sarki_text_add(text, "\n# TYPE sark_cache_");
    sarki_text_add(text, metric->name);
    sarki_text_add(text, suffix);
    sarki_text_add(text, kinds[metric->kind]);
}

static bool sarki_exposed_is_bad(const sark_cache_exposed *exposed, size_t count,
                                 sark_cache_exposition format, const char *text, size_t capacity)
{
    if ((!exposed && count > 0) || (!text && capacity > 0)) return true;
    for (size_t i = 0; i < count; i++)
        if (!exposed[i].metrics) return true;
    return format != SARK_CACHE_PROMETHEUS && format != SARK_CACHE_OPENMETRICS;
}

SARK_CACHE_API sark_cache_status sark_cache_metrics_prometheus(const sark_cache_exposed *exposed,
                                                               size_t count,
                                                               sark_cache_exposition format,
                                                               char *text, size_t text_capacity,
                                                               size_t *text_bytes)
{
    const size_t metric_count = sizeof sarki_metrics / sizeof sarki_metrics[0];
    if (sarki_exposed_is_bad(exposed, count, format, text, text_capacity))
        return SARK_CACHE_BAD_ARGUMENT;
    sarki_text out = {text, text_capacity, 0};
    for (size_t first = 0, end = 0; first < metric_count && count > 0; first = end) {
        const sarki_metric *family = &sarki_metrics[first];
        sarki_text_describe(&out, family, format);
        while (end < metric_count && strcmp(sarki_metrics[end].name, family->name) == 0) end++;
        for (size_t i = 0; i < count; i++)
            for (size_t at = first; at < end; at++)
                sarki_text_metric(&out, &exposed[i], &sarki_metrics[at]);
    }
    if (format == SARK_CACHE_OPENMETRICS) sarki_text_add(&out, "# EOF\n");
    if (text_bytes) *text_bytes = out.length;
    if (text_capacity > 0) text[out.length < text_capacity ? out.length : 0] = '\0';
    return out.length < text_capacity ? SARK_CACHE_OK : SARK_CACHE_SHORT_BUFFER;
}

/* ---- >>check ---------------------------------------------------------------------------------

   Purpose. Verifies the invariants by their numbers, in steps, as a walk over the index, the
   shards and the blocks of the arena. Sums are compared only where nothing changed since the
   check began: the generations of shards and arena tell. */

typedef struct sarki_checker {
    sark_cache *cache;
    const char *broken; /* text of the first broken invariant; NULL: none */
    uint64_t entries, with_deadline, payload_bytes; /* seen in the index */
    uint64_t used_blocks, used_granules;            /* seen in the arena */
} sarki_checker;

static bool sarki_verify(sarki_checker *checker, bool holds, const char *text)
{
    if (!holds && !checker->broken) checker->broken = text;
    return holds;
}

/* Whether a link's neighbours know it, or it is the end of one of two lists that may hold it. */
static bool sarki_link_is_mutual(char *links, uint32_t ref, const sarki_list *list,
                                 const sarki_list *other)
{
    const sarki_link *link = sarki_link_at(links, ref);
    bool is_tail = list->tail == ref || other->tail == ref;
    bool is_head = list->head == ref || other->head == ref;
    return (is_tail || sarki_link_at(links, link->next)->prev == ref) &&
           (is_head || sarki_link_at(links, link->prev)->next == ref);
}

SARKI_REQUIRES(shard)
static void sarki_check_expiry_locked(sarki_checker *checker, sarki_shard *shard, uint32_t ref)
{
    sark_cache *cache = checker->cache;
    int64_t deadline = sarki_entry_deadline(sarki_entry_of(cache, ref));
    if (deadline == SARKI_NEVER) return;
    const sarki_wheel *wheel = &shard->expiry;
    const sarki_link *link = sarki_link_at(cache->expiry_links, ref);
    sarki_slot slot = sarki_wheel_slot(wheel->bits, wheel->floor, link->place);
    uint64_t key = sarki_max64((uint64_t)deadline, wheel->floor);
    checker->with_deadline++;
    sarki_verify(checker,
                 sarki_link_is_mutual(cache->expiry_links, ref,
                                      &sarki_wheel_slot_at(wheel, link->place)->list,
                                      &wheel->pending),
                 "W3: neighbours in the expiry wheel are not mutual");
    sarki_verify(checker, wheel->pending.head || (slot.low <= key && key <= slot.high),
                 "W1: an entry is not in the slot of its deadline");
    sarki_verify(checker, /* order: R4 the shard's lock */
                 key >= sarki_load64_relaxed(sarki_next_deadline_of(cache, shard)),
                 "S2: a deadline is below the shard's next deadline");
}

SARKI_REQUIRES(shard)
static void sarki_check_recency_locked(sarki_checker *checker, const sarki_shard *shard,
                                       uint32_t ref)
{
    const sarki_wheel *wheel = &shard->recency;
    char *links = checker->cache->recency_links;
    uint32_t place = sarki_link_at(links, ref)->place;
    bool is_in_fifo = place == SARKI_IN_FIFO;
    if (!sarki_verify(checker, is_in_fifo || place < sarki_wheel_slots(wheel->bits),
                      "S1: an entry is neither in the FIFO nor in the wheel"))
        return;
    const sarki_list *list =
        is_in_fifo ? &shard->fifo : &sarki_wheel_slot_at(wheel, place)->list;
    sarki_verify(checker,
                 sarki_link_is_mutual(links, ref, list, is_in_fifo ? list : &wheel->pending),
                 "W3: neighbours in the order of recency are not mutual");
}

SARKI_REQUIRES(shard)
static void sarki_check_entry_locked(sarki_checker *checker, sarki_shard *shard, sarki_spot spot,
                                     uint32_t ref)
{
    sark_cache *cache = checker->cache;
    sarki_entry *entry = sarki_entry_of(cache, ref);
    sarki_query query = sarki_query_of(cache, sarki_entry_key(entry), entry->key_bytes);
    const sarki_bucket *bucket = &cache->index.buckets[spot.bucket];
    checker->entries++;
    checker->payload_bytes += (uint64_t)entry->key_bytes + entry->value_bytes;
    sarki_verify(checker, sarki_entry_hash(entry) == query.hash,
                 "X1: an entry's hash is not that of its key");
    sarki_verify(checker, sarki_bucket_tag(bucket, spot.slot) == query.tag,
                 "X2: a slot's tag is not that of its key");
    for (uint32_t b = sarki_index_home(&cache->index, query.hash); b != spot.bucket;
         b = sarki_index_next(&cache->index, b)) /* order: R4 for this key */
        sarki_verify(checker, sarki_load32_relaxed(&cache->index.buckets[b].a_overflow) > 0,
                     "X3: a bucket does not count a key that passed it");
    sarki_check_recency_locked(checker, shard, ref);
    sarki_check_expiry_locked(checker, shard, ref);
}

static void sarki_check_index(sarki_checker *checker)
{
    sarki_spot spot = {0, 0};
    do {
        uint32_t ref = 0;
        sarki_shard *shard = sarki_slot_lock(checker->cache, spot, &ref);
        if (!shard) continue;
        sarki_check_entry_locked(checker, shard, spot, ref);
        sarki_shard_unlock(shard);
    } while (!checker->broken && sarki_walk_next(checker->cache, &spot));
}

/* Returns how many entries the wheel's slots count, if they do. */
SARKI_REQUIRES(shard)
static uint64_t sarki_check_wheel_locked(sarki_checker *checker, const sarki_wheel *wheel)
{
    uint64_t counted = 0;
    for (uint32_t place = 0; place < sarki_wheel_slots(wheel->bits); place++) {
        const sarki_slot_list *slot = sarki_wheel_slot_at(wheel, place);
        bool used = (wheel->used[place / 64] >> place % 64 & 1) != 0;
        sarki_verify(checker, used == (slot->list.head != 0) && used == (slot->list.tail != 0),
                     "W2: a slot's bit does not tell whether it has entries");
        sarki_verify(checker, !used || (wheel->words_used >> place / 64 & 1),
                     "W2: a word's bit does not tell whether it has slots in use");
        if (wheel->slot_bytes < sizeof(sarki_slot_list)) continue;
        if (used || wheel->pending.head) /* order: R4 the shard's lock */
            counted += sarki_load32_relaxed(&slot->a_count);
    }
    return counted;
}

/* Blocks from ref on, at most SARKI_MOVES of them; returns where to go on. */
SARKI_REQUIRES(memory)
static uint32_t sarki_check_blocks_locked(sarki_checker *checker, uint32_t ref)
{
    const sarki_arena *arena = &checker->cache->memory.arena;
    for (uint32_t steps = 0; ref < arena->end && steps < SARKI_MOVES && !checker->broken; steps++) {
        uint32_t header = sarki_block(arena, ref)[0], size = header >> 2;
        if (!sarki_verify(checker, size > 0 && size <= arena->end - ref, "A5: a block's size"))
            break;
        uint32_t next = sarki_block(arena, ref + size)[0];
        bool is_free = (header & SARKI_BLOCK_FREE) != 0;
        sarki_verify(checker, is_free == ((next & SARKI_PREVIOUS_FREE) != 0),
                     "A2: a block does not know whether the one before is free");
        if (is_free) {
            uint32_t bin = sarki_bin_of(size), previous = sarki_block(arena, ref)[2];
            sarki_verify(checker, !(next & SARKI_BLOCK_FREE), "A1: two free neighbours");
            sarki_verify(checker, *sarki_block_footer(arena, ref, size) == size,
                         "A3: a free block's last word is not its size");
            sarki_verify(checker, previous ? sarki_block(arena, previous)[1] == ref
                                           : arena->bins[bin] == ref,
                         "A4: a free block is not in its bin");
        } else {
            checker->used_blocks++;
            checker->used_granules += size;
        }
        ref += size;
    }
    return ref;
}

/* Whether the arena stayed as it was while its blocks were walked over. */
static bool sarki_check_arena(sarki_checker *checker)
{
    sarki_memory *memory = &checker->cache->memory;
    sarki_arena *arena = &memory->arena;
    sarki_memory_lock(memory);
    uint32_t generation = arena->generation, ref = arena->first;
    while (ref < arena->end && generation == arena->generation && !checker->broken) {
        ref = sarki_check_blocks_locked(checker, ref);
        sarki_memory_unlock(memory);
        sarki_memory_lock(memory);
    }
    bool same = generation == arena->generation;
    if (same) /* order: R4 the memory lock */
        sarki_verify(checker, checker->used_granules == sarki_load32_relaxed(&arena->a_used),
                     "A5: the sizes of the blocks do not add up");
    sarki_memory_unlock(memory);
    return same;
}

/* What changes with each write, and what shards say of themselves. */
typedef struct sarki_sums {
    uint64_t generation, entries, with_deadline, payload_bytes, retired;
} sarki_sums;

static sarki_sums sarki_check_shards(sarki_checker *checker)
{
    sark_cache *cache = checker->cache;
    sarki_sums sums = {0, 0, 0, 0, 0};
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        sarki_shard *shard = &cache->shards[i];
        sarki_shard_lock(shard);
        sums.generation += shard->generation;
        sums.entries += sarki_load32_relaxed(&shard->a_entries); /* order: R4 the shard's lock */
        sums.retired += (uint64_t)shard->retired.count + shard->spares.count;
        sums.payload_bytes += sarki_load64_relaxed(&shard->a_payload_bytes); /* order: R4 */
        sarki_check_wheel_locked(checker, &shard->recency);
        sums.with_deadline += sarki_check_wheel_locked(checker, &shard->expiry);
        sarki_shard_unlock(shard);
    }
    sarki_memory_lock(&cache->memory);
    sums.generation += cache->memory.arena.generation;
    sarki_memory_unlock(&cache->memory);
    return sums;
}

/* Compares sums that were taken while nothing changed. */
static void sarki_check_sums(sarki_checker *checker, const sarki_sums *sums)
{
    sark_cache *cache = checker->cache;
    sarki_verify(checker, checker->entries == sums->entries,
                 "S1: the index holds more or fewer entries than the shards count");
    sarki_verify(checker, sums->with_deadline == checker->with_deadline,
                 "S1: the orders of expiry hold more or fewer entries than have a deadline");
    sarki_verify(checker, checker->payload_bytes == sums->payload_bytes,
                 "S1: the bytes of keys and values do not add up");
    sarki_verify(checker, checker->used_blocks >= sums->entries + sums->retired,
                 "Q1: fewer blocks in use than entries");
    sarki_verify(checker, sums->entries <= cache->max_entries, "P5: more than max_entries");
}

SARK_CACHE_API bool sark_cache_check(sark_cache *cache, char *report, size_t report_bytes)
{
    if (report && report_bytes > 0) report[0] = '\0';
    if (!cache) return false;
    sarki_checker checker = {cache, NULL, 0, 0, 0, 0, 0};
    sarki_sums before = sarki_check_shards(&checker);
    sarki_check_index(&checker);
    bool still = sarki_check_arena(&checker);
    sarki_sums after = sarki_check_shards(&checker);
    if (still && before.generation == after.generation) sarki_check_sums(&checker, &after);
    if (checker.broken && report && report_bytes > 0) {
        strncpy(report, checker.broken, report_bytes - 1);
        report[report_bytes - 1] = '\0';
    }
    return checker.broken == NULL;
}

/* ---- >>layout --------------------------------------------------------------------------------

   Purpose. From a configuration to the tables of a region: first the defaults, then one pass that
   places each table, used both to tell the bytes needed and to set the pointers. */

#define SARKI_DEFAULT_BYTES ((uint64_t)64 << 20)
#define SARKI_DEFAULT_PINS 16u
#define SARKI_DEFAULT_LEASES 64u
#define SARKI_LEASE_BYTES 4096u /* of region for each lease, and for each pin, by default */
#define SARKI_REPORTER_BYTES 1024u
#define SARKI_DEFAULT_SHARDS 16u /* at most, and four for each processor */
#define SARKI_SHARD_BYTES (256u << 10) /* of region for each shard, by default */
#define SARKI_DEFAULT_MIN_BYTES ((uint64_t)1 << 20)
#define SARKI_WIDE_SHARD_BYTES (128u << 10)  /* of region a shard, for wheels of 64-way digits */
#define SARKI_SPACED_LEASE_BYTES (8u << 10)  /* of region a lease, for slots set apart */
#define SARKI_MAX_BYTES ((uint64_t)SARKI_MAX_GRANULES * SARKI_GRANULE)
#define SARKI_MIN_ARENA_BYTES 1024u
#define SARKI_TYPICAL_ENTRY_BYTES 128u
#define SARKI_MIN_ENTRIES 16u

/* Sizes of the tables, and where they begin, in bytes from the region's start. */
typedef struct sarki_layout {
    uint32_t shard_count, lease_count, pin_count, hint_bits, wheel_bits, bucket_count,
        reporter_count;
    size_t lease_spacing;
    uint64_t shards, oldest, next_deadlines, spare_granules, wheel_slots, leases, pins, hints,
        scan_refs, reporters, histograms, latency_baseline, baseline, bins, buckets,
        arena; /* 64 bits: compared before use */
} sarki_layout;

static sark_cache_status sarki_config_check(const sark_cache_config *config)
{
    if (config->max_entries > (uint64_t)1 << 31) return SARK_CACHE_BAD_MAX_ENTRIES;
    uint64_t max_bytes = config->max_bytes; /* wider than some sizes, or gcc says "always false" */
    if (max_bytes > SARKI_MAX_BYTES) return SARK_CACHE_BAD_MAX_BYTES;
    if (config->default_ttl_ms < 0) return SARK_CACHE_BAD_DEFAULT_TTL;
    if (config->ttl_jitter_percent > 100) return SARK_CACHE_BAD_TTL_JITTER;
    uint32_t shards = config->shard_count, leases = config->lease_count;
    if (shards > SARKI_MAX_SHARDS) return SARK_CACHE_BAD_SHARD_COUNT;
    if ((shards & (shards - 1)) != 0) return SARK_CACHE_BAD_SHARD_COUNT;
    if (leases == 1 || leases > SARKI_MAX_LEASES) return SARK_CACHE_BAD_LEASE_COUNT;
    if (config->pin_count > SARKI_MAX_PINS) return SARK_CACHE_BAD_PIN_COUNT;
    if (!config->allocator.allocate != !config->allocator.release) return SARK_CACHE_BAD_ALLOCATOR;
    for (size_t i = 0; i < sizeof config->reserved / sizeof config->reserved[0]; i++)
        if (config->reserved[i]) return SARK_CACHE_BAD_RESERVED;
    return SARK_CACHE_OK;
}

/* The largest power of two that is at most value and max; 1 for 0. */
static uint32_t sarki_power_of_two(uint64_t value, uint32_t max)
{
    if (value <= 1) return 1;
    return value >= max ? max : (uint32_t)1 << sarki_log2(value);
}

/* Fills the fields that depend on max_bytes and max_entries, which are set. */
static void sarki_config_fill(sark_cache_config *config)
{
    if (config->shard_count == 0)
        config->shard_count =
            sarki_power_of_two(sarki_min64(config->max_bytes / SARKI_SHARD_BYTES,
                                           config->max_entries / SARKI_MIN_ENTRIES),
                               sarki_power_of_two(4 * (uint64_t)sarki_processors(),
                                                  SARKI_DEFAULT_SHARDS));
    if (config->lease_count == 0)
        config->lease_count =
            (uint32_t)sarki_max64(2, sarki_min64(config->max_bytes / SARKI_LEASE_BYTES,
                                                 SARKI_DEFAULT_LEASES));
    if (config->pin_count == 0)
        config->pin_count =
            (uint32_t)sarki_max64(2, sarki_min64(config->max_bytes / SARKI_LEASE_BYTES,
                                                 SARKI_DEFAULT_PINS));
}

/* Sets a table's beginning and moves on. */
static void sarki_layout_place(uint64_t *table, uint64_t *at, uint64_t count, uint64_t bytes,
                               uint64_t align)
{
    *at = sarki_round_up(*at, align);
    *table = *at;
    *at += count * bytes;
}

/* The layout of a configuration whose fields are all set. */
static sarki_layout sarki_layout_of(const sark_cache_config *config)
{
    sarki_layout layout;
    uint64_t at = sizeof(sark_cache);
    bool spaced = config->max_bytes / config->lease_count >= SARKI_SPACED_LEASE_BYTES;
    uint64_t lease_spacing = spaced ? SARKI_LEASE_SPACING : sizeof(sarki_lease);
    /* of what the leases leave: many may take most of a region that is large enough otherwise */
    bool wide = config->max_bytes >= config->lease_count * lease_spacing +
                                         config->shard_count * (uint64_t)SARKI_WIDE_SHARD_BYTES;
    uint32_t arena_granules = (uint32_t)(config->max_bytes / SARKI_GRANULE);
    layout.shard_count = config->shard_count;
    layout.lease_count = config->lease_count;
    layout.pin_count = config->pin_count;
    layout.hint_bits = sarki_log2((uint64_t)config->lease_count * 8 - 1);
    layout.wheel_bits = wide ? SARKI_WIDE_DIGIT : SARKI_NARROW_DIGIT;
    layout.reporter_count =
        !config->on_remove
            ? 0
            : (uint32_t)sarki_max64(1, sarki_min64(config->max_bytes / SARKI_REPORTER_BYTES,
                                                   SARKI_REPORTERS));
    layout.lease_spacing = (size_t)lease_spacing;
    /* 1.6 slots an entry; one bucket more, so that rounding never fills the index */
    layout.bucket_count = (uint32_t)(config->max_entries * 16 / ((uint64_t)SARKI_SLOTS * 10) + 2);
    size_t slots = (size_t)layout.shard_count * sarki_wheel_slots(layout.wheel_bits);
    size_t levels = sarki_arena_levels(arena_granules);
    size_t kinds = config->latency_sample_every > 0 ? SARKI_LATENCY_KINDS : 0;
    sarki_layout_place(&layout.shards, &at, layout.shard_count, sizeof(sarki_shard), SARKI_APART);
    uint64_t apart = wide ? 64 : 8;
    sarki_layout_place(&layout.oldest, &at, layout.shard_count, sizeof(sarki_a64), apart);
    sarki_layout_place(&layout.next_deadlines, &at, layout.shard_count, sizeof(sarki_a64), apart);
    sarki_layout_place(&layout.spare_granules, &at, layout.shard_count, sizeof(sarki_a32), apart);
    sarki_layout_place(&layout.wheel_slots, &at, slots,
                       sizeof(sarki_list) + sizeof(sarki_slot_list), apart);
    sarki_layout_place(&layout.leases, &at, layout.lease_count, layout.lease_spacing,
                       spaced ? SARKI_APART : 64);
    sarki_layout_place(&layout.pins, &at, layout.pin_count, sizeof(sarki_pin), apart);
    sarki_layout_place(&layout.hints, &at, (uint64_t)1 << layout.hint_bits, sizeof(sarki_a32),
                       apart);
    sarki_layout_place(&layout.scan_refs, &at,
                       layout.lease_count + layout.pin_count + layout.reporter_count + 2,
                       sizeof(uint32_t), apart);
    sarki_layout_place(&layout.reporters, &at, layout.reporter_count, sizeof(sarki_reporter), 8);
    sarki_layout_place(&layout.histograms, &at, kinds, sizeof(sarki_histogram), 64);
    sarki_layout_place(&layout.latency_baseline, &at, kinds, sizeof(sark_cache_latency), 8);
    sarki_layout_place(&layout.baseline, &at, 1, sizeof(sarki_baseline), 8);
    sarki_layout_place(&layout.bins, &at, levels * SARKI_BINS_PER_LEVEL, sizeof(uint32_t), 16);
    sarki_layout_place(&layout.buckets, &at, layout.bucket_count, sizeof(sarki_bucket), 64);
    sarki_layout_place(&layout.arena, &at, 1, 0, 64);
    return layout;
}

/* Bytes that the tables of a full configuration need with a minimal arena. The region is aligned
   to 128 bytes within what is given, and a granule ends it. */
static uint64_t sarki_layout_bytes(const sark_cache_config *config, uint64_t arena_bytes)
{
    return sarki_layout_of(config).arena + arena_bytes + 128 + SARKI_GRANULE;
}

/* Where only max_bytes is given: an entry for each 128 bytes, as far as the tables leave half. */
static void sarki_config_entries(sark_cache_config *config)
{
    uint64_t entries = config->max_bytes / SARKI_TYPICAL_ENTRY_BYTES;
    for (config->max_entries = entries; entries > SARKI_MIN_ENTRIES; entries /= 2) {
        sark_cache_config trial = *config;
        trial.max_entries = config->max_entries = entries;
        sarki_config_fill(&trial);
        if (sarki_layout_bytes(&trial, trial.max_bytes / 2) <= trial.max_bytes) return;
    }
    config->max_entries = SARKI_MIN_ENTRIES;
}

/* The least region, at least max_bytes, whose tables leave 128 bytes for each of max_entries. The
   defaults grow with the region, so it is found by steps. 0: more than a region can be. */
static size_t sarki_bytes_needed(const sark_cache_config *config)
{
    uint64_t bytes = 0, arena_bytes = config->max_entries * SARKI_TYPICAL_ENTRY_BYTES;
    arena_bytes = sarki_max64(arena_bytes, SARKI_MIN_ARENA_BYTES);
    uint64_t needed = sarki_max64(config->max_bytes, 1);
    while (needed > bytes) {
        bytes = needed;
        if (bytes > SARKI_MAX_BYTES || bytes > SIZE_MAX / 2) return 0;
        sark_cache_config trial = *config;
        trial.max_bytes = (size_t)bytes;
        sarki_config_fill(&trial);
        needed = sarki_layout_bytes(&trial, arena_bytes);
    }
    return (size_t)bytes;
}

/* Fills in every default.
   region_bytes  of the caller's buffer; 0: the region is to be allocated
   Returns OK or the code that names the field. */
static sark_cache_status sarki_config_resolve(const sark_cache_config *given, uint64_t region_bytes,
                                              sark_cache_config *config)
{
    memset(config, 0, sizeof *config);
    if (given) *config = *given;
    sark_cache_status status = sarki_config_check(config);
    if (status != SARK_CACHE_OK) return status;
    uint64_t bytes = config->max_bytes;
    if (region_bytes > 0) bytes = bytes ? sarki_min64(bytes, region_bytes) : region_bytes;
    if (bytes == 0 && config->max_entries == 0) bytes = SARKI_DEFAULT_BYTES;
    if (bytes == 0) bytes = sarki_max64(config->max_entries * 1024, SARKI_DEFAULT_MIN_BYTES);
    bytes = sarki_min64(bytes, SARKI_MAX_BYTES);
    config->max_bytes = (size_t)sarki_min64(bytes, SIZE_MAX / 2);
    if (config->max_entries == 0) sarki_config_entries(config);
    if (region_bytes == 0 && given && given->max_bytes == 0 && given->max_entries > 0)
        config->max_bytes = (size_t)sarki_max64(config->max_bytes, sarki_bytes_needed(config));
    uint32_t least_leases = config->lease_count > 0 ? config->lease_count : 2;
    sarki_config_fill(config);
    /* by default fewer leases, so that no region is too small if a smaller one is not */
    while (sarki_layout_bytes(config, SARKI_MIN_ARENA_BYTES) > config->max_bytes) {
        if (config->lease_count <= least_leases) return SARK_CACHE_BAD_MAX_BYTES;
        config->lease_count--;
    }
    return SARK_CACHE_OK;
}

SARK_CACHE_API size_t sark_cache_region_bytes(const sark_cache_config *config)
{
    sark_cache_config full;
    memset(&full, 0, sizeof full);
    if (config) full = *config;
    if (sarki_config_check(&full) != SARK_CACHE_OK) return 0;
    if (full.max_entries == 0) full.max_entries = SARKI_MIN_ENTRIES;
    full.max_bytes = 0;
    return sarki_bytes_needed(&full);
}

/* ---- >>life ----------------------------------------------------------------------------------

   Purpose. create and destroy. Everything that can fail does so before the cleanup thread is
   started, and what was made is unmade in reverse. */

static void sarki_shard_create(sark_cache *cache, const sarki_layout *layout, uint32_t number)
{
    sarki_shard *shard = &cache->shards[number];
    size_t slots = sarki_wheel_slots(layout->wheel_bits);
    size_t recency = slots * sizeof(sarki_list), expiry = slots * sizeof(sarki_slot_list);
    char *at = cache->region + layout->wheel_slots + number * (recency + expiry);
    sarki_wheel_create(&shard->recency, cache->recency_links, at, sizeof(sarki_list),
                       layout->wheel_bits);
    sarki_wheel_create(&shard->expiry, cache->expiry_links, at + recency, sizeof(sarki_slot_list),
                       layout->wheel_bits);
    shard->bound_is_ahead = true; /* NONE is */
    sarki_store64_relaxed(sarki_oldest_of(cache, shard), SARKI_NONE);        /* order: R5 */
    sarki_store64_relaxed(sarki_next_deadline_of(cache, shard), SARKI_NONE); /* order: R5 */
}

static void sarki_leases_create(sark_cache *cache, const sarki_layout *layout)
{
    sarki_leases *leases = &cache->leases;
    leases->region = cache->region;
    leases->slots = cache->region + layout->leases;
    leases->stamps = &cache->stamps;
    leases->has_residents = SARKI_WIDE && layout->lease_spacing == SARKI_LEASE_SPACING &&
                            cache->touch_interval_ms == 0; /* else stamps are rare */
    leases->pins = (sarki_pin *)(void *)(cache->region + layout->pins);
    leases->a_hints = (sarki_a32 *)(void *)(cache->region + layout->hints);
    leases->lease_count = layout->lease_count;
    leases->pin_count = layout->pin_count;
    leases->hint_mask = (1u << layout->hint_bits) - 1;
    leases->spacing = layout->lease_spacing;
}

static void sarki_memory_create(sark_cache *cache, const sarki_layout *layout)
{
    sarki_memory *memory = &cache->memory;
    uint32_t first = (uint32_t)(layout->arena / SARKI_GRANULE);
    uint32_t end = (uint32_t)((cache->config.max_bytes - 128) / SARKI_GRANULE) - 1;
    memory->scan_refs = (uint32_t *)(void *)(cache->region + layout->scan_refs);
    memory->arena.region = cache->region;
    memory->arena.bins = (uint32_t *)(void *)(cache->region + layout->bins);
    cache->resting_limit = (end - first) / 64 / layout->shard_count;
    sarki_arena_create(&memory->arena, first, end);
    if (cache->config.wipe) memory->arena.wiped_from = sizeof(sarki_entry);
}

static void sarki_tables_create(sark_cache *cache, const sarki_layout *layout)
{
    cache->shard_count = layout->shard_count;
    cache->recency_links = cache->region + offsetof(sarki_entry, recency);
    cache->expiry_links = cache->region + sizeof(sarki_entry) + offsetof(sarki_expiry, link);
    cache->shards = (sarki_shard *)(void *)(cache->region + layout->shards);
    cache->a_oldest = (sarki_a64 *)(void *)(cache->region + layout->oldest);
    cache->a_next_deadlines = (sarki_a64 *)(void *)(cache->region + layout->next_deadlines);
    cache->a_spare_granules = (sarki_a32 *)(void *)(cache->region + layout->spare_granules);
    cache->baseline = (sarki_baseline *)(void *)(cache->region + layout->baseline);
    cache->reporters = (sarki_reporter *)(void *)(cache->region + layout->reporters);
    cache->reporter_count = layout->reporter_count;
    cache->index.buckets = (sarki_bucket *)(void *)(cache->region + layout->buckets);
    cache->index.bucket_count = layout->bucket_count;
    if (cache->config.latency_sample_every > 0) {
        cache->histograms = (sarki_histogram *)(void *)(cache->region + layout->histograms);
        cache->latency_baseline =
            (sark_cache_latency *)(void *)(cache->region + layout->latency_baseline);
    }
    for (uint32_t i = 0; i < layout->shard_count; i++) sarki_shard_create(cache, layout, i);
    sarki_leases_create(cache, layout);
    sarki_memory_create(cache, layout);
}

/* Creates the locks in order, up to the first that fails. Returns how many: 6 and the shards'. */
static uint32_t sarki_locks_create(sark_cache *cache)
{
    if (!sarki_mutex_create(&cache->memory.mutex)) return 0;
    if (!sarki_mutex_create(&cache->room.mutex)) return 1;
    if (!sarki_mutex_create(&cache->metrics_mutex)) return 2;
    if (!sarki_mutex_create(&cache->cleaner.mutex)) return 3;
    if (!sarki_condition_create(&cache->room.changed)) return 4;
    if (!sarki_condition_create(&cache->cleaner.wake)) return 5;
    uint32_t shard = 0;
    while (shard < cache->shard_count && sarki_mutex_create(&cache->shards[shard].mutex)) shard++;
    return 6 + shard;
}

/* Destroys the first so many locks. */
static void sarki_locks_destroy(sark_cache *cache, uint32_t count)
{
    while (count > 6) sarki_mutex_destroy(&cache->shards[--count - 6].mutex);
    if (count > 5) sarki_condition_destroy(&cache->cleaner.wake);
    if (count > 4) sarki_condition_destroy(&cache->room.changed);
    if (count > 3) sarki_mutex_destroy(&cache->cleaner.mutex);
    if (count > 2) sarki_mutex_destroy(&cache->metrics_mutex);
    if (count > 1) sarki_mutex_destroy(&cache->room.mutex);
    if (count > 0) sarki_mutex_destroy(&cache->memory.mutex);
}

/* Random secrets, or those of the seed given. */
static bool sarki_secret_create(sark_cache *cache)
{
    uint64_t seed = cache->config.hash_seed;
    cache->config.hash_seed = 0;
    if (seed == 0) return sarki_random(&cache->secret, sizeof cache->secret);
    sarki_secret_expand(&cache->secret, seed);
    return true;
}

static void sarki_stamps_create(sark_cache *cache)
{
    cache->stamps.shift = sarki_counter_shift();
    cache->stamp_epoch_ns = sarki_awake_ns();
    cache->stamp_epoch =
        cache->stamps.shift < 0 ? 0 : sarki_counter() << cache->stamps.shift;
}

/* Builds a cache in zeroed memory; NULL and a status where that fails. */
static sark_cache *sarki_build(const sark_cache_config *config, void *memory,
                               sark_cache_status *status)
{
    char *region = (char *)memory + (0 - (uintptr_t)memory) % 128;
    sarki_layout layout = sarki_layout_of(config);
    sark_cache *cache = (sark_cache *)(void *)region;
    cache->region = region;
    cache->config = *config;
    cache->max_entries = (uint32_t)config->max_entries;
    cache->touch_interval_ms = config->touch_interval_ms;
    cache->ticks_per_ms = config->clock.now_ms ? 1 : 1000000;
    if (!config->clock.now_ms)
        cache->coarse_lag = SARKI_COARSE_LAG_TICKS * (int64_t)sarki_coarse_tick_ns();
    *status = SARK_CACHE_NO_RANDOM;
    if (!sarki_secret_create(cache)) return NULL;
    sarki_tables_create(cache, &layout);
    uint32_t locks = sarki_locks_create(cache);
    if (locks < 6 + layout.shard_count) {
        sarki_locks_destroy(cache, locks);
        *status = SARK_CACHE_SYSTEM_ERROR;
        return NULL;
    }
    sarki_stamps_create(cache);
    cache->process_id = sarki_process_id();
    sarki_asleep_forget(cache);
    *status = SARK_CACHE_OK;
    return cache;
}

/* The thread takes the lock first, so its callbacks know that it runs. */
static void sarki_cleaner_start(sark_cache *cache)
{
    sarki_cleaner *cleaner = &cache->cleaner;
    if (cache->config.cleanup_interval_ms == 0) return;
    sarki_lock(&cleaner->mutex);
    cleaner->stop = false;
    cleaner->running = sarki_thread_start(&cleaner->thread, sarki_cleaner_run, cache);
    sarki_unlock(&cleaner->mutex);
}

SARK_CACHE_API sark_cache_status sark_cache_create_in(sark_cache **cache_out,
                                                      const sark_cache_config *config,
                                                      void *region, size_t region_bytes)
{
    sark_cache_config full;
    if (!cache_out) return SARK_CACHE_BAD_ARGUMENT;
    *cache_out = NULL;
    if (!region) return SARK_CACHE_BAD_ARGUMENT;
    size_t needed = sark_cache_region_bytes(config);
    bool in_range = !config || sarki_config_check(config) == SARK_CACHE_OK;
    if (in_range && (needed == 0 || region_bytes < needed)) return SARK_CACHE_REGION_TOO_SMALL;
    sark_cache_status status = sarki_config_resolve(config, region_bytes, &full);
    if (status != SARK_CACHE_OK) return status;
    memset(region, 0, (size_t)sarki_layout_of(&full).arena + 128);
    *cache_out = sarki_build(&full, region, &status);
    if (*cache_out) sarki_cleaner_start(*cache_out);
    return status;
}

/* The region, zeroed as far as the tables go. */
static void *sarki_allocate(const sark_cache_config *config)
{
    int errno_before = errno, cancel = sarki_cancel_defer();
    void *memory = NULL;
    if (config->allocator.allocate) {
        memory = config->allocator.allocate(config->allocator.context, config->max_bytes);
        if (memory) memset(memory, 0, (size_t)sarki_layout_of(config).arena + 128);
    } else {
        memory = calloc(1, config->max_bytes);
        if (memory) sarki_ask_for_large_pages(memory, config->max_bytes);
    }
    sarki_cancel_allow(cancel);
    errno = errno_before;
    return memory;
}

static void sarki_release(const sark_cache_config *config, void *memory)
{
    int errno_before = errno, cancel = sarki_cancel_defer();
    if (config->allocator.release)
        config->allocator.release(config->allocator.context, memory, config->max_bytes);
    else free(memory);
    sarki_cancel_allow(cancel);
    errno = errno_before;
}

SARK_CACHE_API sark_cache_status sark_cache_create(sark_cache **cache_out,
                                                   const sark_cache_config *config)
{
    sark_cache_config full;
    if (!cache_out) return SARK_CACHE_BAD_ARGUMENT;
    *cache_out = NULL;
    sark_cache_status status = sarki_config_resolve(config, 0, &full);
    if (status != SARK_CACHE_OK) return status;
    void *memory = sarki_allocate(&full);
    if (!memory) return SARK_CACHE_NO_MEMORY;
    sark_cache *cache = sarki_build(&full, memory, &status);
    if (!cache) {
        sarki_release(&full, memory);
        return status;
    }
    cache->allocation = memory;
    sarki_cleaner_start(cache);
    *cache_out = cache;
    return SARK_CACHE_OK;
}

static bool sarki_pins_are_out(const sark_cache *cache)
{
    for (uint32_t i = 0; i < cache->leases.pin_count; i++) /* order: R5 no other call runs */
        if (sarki_load32_relaxed(&cache->leases.pins[i].a_sequence) & 1) return true;
    return false;
}

SARK_CACHE_API sark_cache_status sark_cache_destroy(sark_cache *cache)
{
    if (!cache) return SARK_CACHE_OK;
    if (cache->closing || sarki_frame_outer(cache) || sarki_pins_are_out(cache))
        return sarki_refuse(cache, SARK_CACHE_BUSY);
    if (cache->process_id == sarki_process_id())
        sarki_cleaner_stop(&cache->cleaner);
    else /* a fork without the calls: that thread is not here, nor who waits for a lock */
        sarki_locks_create(cache);
    if (sarki_pins_are_out(cache)) { /* taken by a last callback of the cleanup thread */
        sarki_cleaner_start(cache);
        return sarki_refuse(cache, SARK_CACHE_BUSY);
    }
    cache->closing = true;
    sarki_remove_all(cache, SARK_CACHE_DESTROYED, NULL, 0);
    if (cache->config.wipe) sarki_retired_collect(cache);
    sark_cache_config config = cache->config;
    void *memory = cache->allocation;
    sarki_locks_destroy(cache, 6 + cache->shard_count);
    if (memory) sarki_release(&config, memory);
    return SARK_CACHE_OK;
}

SARK_CACHE_API sark_cache_status sark_cache_get_config(const sark_cache *cache,
                                                       sark_cache_config *config)
{
    if (!cache || !config) return SARK_CACHE_BAD_ARGUMENT;
    *config = cache->config;
    return SARK_CACHE_OK;
}

/* ---- >>fork ----------------------------------------------------------------------------------

   Purpose. A child process goes on with its copy of the cache. prepare takes all locks, so that no
   structure is copied half changed (the one exception to "never two shard locks"), and no mutex
   made anew that somebody has. What other threads were about is undone in the child, where they are
   not: places and blocks of inserts under way, turns, leases, walks, rows of reporters, removed
   entries that they had not reported.

   Bounds. child looks once at each block of the arena, and at each slot, pin, row and shard.

   Given up. A pin of another thread is not told from one whose token the child has, and stays.
   Where 64-bit numbers are two halves, a count of the metrics that another thread was just changing
   without a lock may be of two times. */

SARKI_UNANALYSED /* the locks of all shards */
SARK_CACHE_API void sark_cache_fork_prepare(sark_cache *cache)
{
    if (!cache) return;
    sarki_lock(&cache->cleaner.mutex);
    sarki_lock(&cache->metrics_mutex);
    sarki_lock(&cache->room.mutex);
    for (uint32_t i = 0; i < cache->shard_count; i++) sarki_shard_lock(&cache->shards[i]);
    sarki_memory_lock(&cache->memory);
}

SARKI_UNANALYSED /* the locks of all shards */
SARK_CACHE_API void sark_cache_fork_parent(sark_cache *cache)
{
    if (!cache) return;
    sarki_memory_unlock(&cache->memory);
    for (uint32_t i = cache->shard_count; i-- > 0;) sarki_shard_unlock(&cache->shards[i]);
    sarki_unlock(&cache->room.mutex);
    sarki_unlock(&cache->metrics_mutex);
    sarki_unlock(&cache->cleaner.mutex);
}

/* Whether a block is that of an entry in the index. */
static bool sarki_fork_is_indexed(const sark_cache *cache, uint32_t ref)
{
    sarki_spot spot;
    return sarki_index_spot(&cache->index, sarki_entry_hash(sarki_entry_of(cache, ref)), ref,
                            &spot);
}

SARKI_UNANALYSED /* no other thread is here */
static bool sarki_fork_is_pinned(const sark_cache *cache, uint32_t ref)
{
    for (uint32_t i = 0; i < cache->leases.pin_count; i++)
        if (sarki_pin_block_locked(&cache->leases.pins[i]) == ref) return true;
    return false;
}

/* Whether the calling thread, inside a callback, is to report an entry yet, or does so now. */
static bool sarki_fork_is_reported(sark_cache *cache, uint32_t ref)
{
    const sarki_frame *frame = sarki_frame_outer(cache);
    if (!frame) return false;
    for (uint32_t i = 0; i < cache->reporter_count; i++) /* order: R5 no other thread is here */
        if (sarki_load32_relaxed(&cache->reporters[i].a_ref) == ref) return true;
    for (uint32_t at = frame->removed.head; at; at = sarki_entry_of(cache, at)->recency.next) {
        if (at == ref) return true;
        if (at == frame->removed.tail) return false;
    }
    return false;
}

/* Frees the blocks that nobody here knows of; a pinned one retires. */
SARKI_UNANALYSED /* no other thread is here */
static void sarki_fork_sweep(sark_cache *cache)
{
    sarki_arena *arena = &cache->memory.arena;
    for (uint32_t ref = arena->first, next; ref < arena->end; ref = next) {
        next = ref + sarki_block_size(arena, ref);
        if (sarki_block_is_free(arena, ref)) continue;
        if (sarki_fork_is_indexed(cache, ref) || sarki_fork_is_reported(cache, ref)) continue;
        if (sarki_fork_is_pinned(cache, ref)) {
            sarki_stack_push(cache, &cache->shards->retired, ref);
            continue;
        }
        if (sarki_block_is_free(arena, next)) next += sarki_block_size(arena, next);
        sarki_residents_empty(&cache->leases, ref); /* H2 */
        sarki_arena_release(arena, ref);
    }
}

/* Nobody is in the middle of a hit: a busy word keeps what it names, which is marked, as its stamp
   may be the later one (H1). */
static void sarki_fork_word(const sarki_leases *leases, sarki_a64 *a_word)
{
    uint64_t word = sarki_load64_relaxed(a_word); /* order: R5 no other thread is here */
    uint32_t ref = sarki_word_ref(word);
    if (!ref || ((uint32_t)word & 3u) == SARKI_WORD_RESIDENT) return;
    /* order: R5 */
    sarki_or64_relaxed(&sarki_entry_at(leases->region, ref)->a_stamp, SARKI_MARKED);
    sarki_store64_relaxed(a_word, sarki_word_of(word, ref, SARKI_WORD_RESIDENT)); /* order: R5 */
}

/* Frees a pin that is claimed, or given back, but half, or that a walk of another thread has. */
static void sarki_fork_pin(sarki_pin *pin)
{
    uint32_t use = sarki_load32_relaxed(&pin->a_sequence);    /* order: R5 it is the only thread */
    uint32_t visitor = sarki_load32_relaxed(&pin->a_visitor); /* order: R5 */
    bool is_out = use & 1, is_others = visitor && visitor != sarki_thread_hash();
    if (is_out && !is_others) return;
    sarki_store32_relaxed(&pin->a_sequence, use + is_out); /* order: R5 */
    sarki_store32_relaxed(&pin->a_visitor, 0);             /* order: R5 */
    sarki_store32_relaxed(&pin->a_ref, 0);                 /* order: R5 */
}

/* Counts the bytes of the pins that stay out anew: another thread may have been in the middle of
   it. */
static void sarki_fork_pinned(sark_cache *cache)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < cache->leases.pin_count; i++) {
        const sarki_pin *pin = &cache->leases.pins[i];
        bool is_counted = (sarki_load32_relaxed(&pin->a_sequence) & 1) && /* order: R5 */
                          sarki_load32_relaxed(&pin->a_visitor) == 0;     /* order: R5 */
        if (is_counted) /* order: R5 */
            bytes += sarki_pinned_bytes(cache, sarki_load32_relaxed(&pin->a_ref));
    }
    sarki_init64(&cache->a_pinned_bytes, bytes);
}

static void sarki_fork_leases(sarki_leases *leases)
{
    for (uint32_t i = 0; i < leases->lease_count; i++) {
        sarki_lease *lease = sarki_lease_at(leases, i);
        sarki_store32_relaxed(&lease->a_ref, 0); /* order: R5 no other thread is here */
        for (uint32_t way = 0; leases->has_residents && way < SARKI_RESIDENT_WAYS; way++)
            sarki_fork_word(leases, &sarki_residents_of(lease)->a_words[way]);
    }
    for (uint32_t i = 0; i < leases->pin_count; i++) sarki_fork_pin(&leases->pins[i]);
    sarki_store32_relaxed(&leases->a_moving, 0); /* order: R5 as above */
}

/* Gives back the rows of threads inside callbacks, but the calling thread's own. */
static void sarki_fork_reporters(sark_cache *cache)
{
    for (uint32_t i = 0; i < cache->reporter_count; i++) {
        sarki_reporter *reporter = &cache->reporters[i];
        /* order: R5 no other thread is here */
        if (sarki_loadword_relaxed(&reporter->a_thread) == sarki_thread_id()) continue;
        sarki_store32_relaxed(&reporter->a_ref, 0);      /* order: R5 no other thread is here */
        sarki_storeword_release(&reporter->a_thread, 0); /* order: R5 */
    }
}

/* Where there is no counter of the processor, stamps go on above those that were given. */
static void sarki_fork_stamps(sark_cache *cache)
{
    sarki_a64 *a_count = &cache->stamps.a_count;
    sarki_numbers_forked(a_count, 1);
    sarki_numbers_forked(&cache->stamps.a_offset, 1);
    uint64_t highest = sarki_load64_relaxed(a_count); /* order: R5 no other thread is here */
    for (uint32_t i = 0; i < cache->shard_count; i++) /* order: R5 */
        highest = sarki_max64(highest, sarki_load64_relaxed(&cache->shards[i].a_last_stamp));
    sarki_store64_relaxed(a_count, sarki_stamp_key(highest)); /* order: R5 */
}

/* The numbers that are changed without a lock. */
static void sarki_fork_numbers(sark_cache *cache)
{
    sarki_numbers_forked(&cache->a_asleep_ns, 1);
    sarki_numbers_forked(&cache->a_asleep_read_ns, 1);
    sarki_numbers_forked(&cache->cleaner.a_runs, 1);
    sarki_numbers_forked(&cache->cleaner.a_last_us, 1);
    sarki_numbers_forked(&cache->cleaner.a_total_us, 1);
    sarki_numbers_forked(cache->a_rejected, SARKI_REJECTIONS);
    for (uint32_t i = 0; i < cache->leases.lease_count; i++) {
        sarki_lease *lease = sarki_lease_at(&cache->leases, i);
        sarki_numbers_forked(&lease->a_pin_hits, 1);
        sarki_numbers_forked(&lease->a_misses, 1);
        sarki_numbers_forked(&lease->a_misses_expired, 1);
        sarki_numbers_forked(&lease->a_short_buffers, 1);
    }
    for (uint32_t i = 0; cache->histograms && i < SARKI_LATENCY_KINDS; i++) {
        sarki_numbers_forked(cache->histograms[i].a_buckets, SARK_CACHE_LATENCY_BUCKETS);
        sarki_numbers_forked(&cache->histograms[i].a_total_ns, 1);
        sarki_numbers_forked(&cache->histograms[i].a_max_ns, 1);
    }
}

SARK_CACHE_API void sark_cache_fork_child(sark_cache *cache)
{
    if (!cache) return;
    sark_cache_fork_parent(cache);
    sarki_locks_create(cache); /* anew: in the copies others may wait */
    cache->process_id = sarki_process_id();
    cache->cleaner.running = false;
    cache->cleaner.stop = true; /* a callback on the cleanup thread may have forked */
    sarki_fork_stamps(cache);
    sarki_fork_numbers(cache);
    sarki_asleep_forget(cache);
    cache->room.next_ticket = cache->room.serving = 0;
    sarki_store32_relaxed(&cache->room.a_waiting, 0);       /* order: R5 no other thread is here */
    sarki_store32_relaxed(&cache->memory.a_turn_taken, 0);  /* order: R5 */
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        sarki_shard *shard = &cache->shards[i];
        sarki_stack_take(&shard->retired);
        sarki_retired_note(shard);
        sarki_stack_take(&shard->spares);
        sarki_spares_publish(cache, shard, 0);
    }
    sarki_fork_leases(&cache->leases);
    sarki_fork_pinned(cache);
    sarki_fork_reporters(cache);
    sarki_fork_sweep(cache);
    sarki_store32_relaxed(&cache->a_count, (uint32_t)sarki_entries(cache)); /* order: R5 */
}

/* ---- >>words --------------------------------------------------------------------------------- */

SARK_CACHE_API int sark_cache_version(void)
{
    return SARK_CACHE_VERSION;
}

SARK_CACHE_API const char *sark_cache_cause_text(sark_cache_cause cause)
{
    switch (cause) {
    case SARK_CACHE_EXPIRED: return "expired";
    case SARK_CACHE_EVICTED: return "evicted";
    case SARK_CACHE_REPLACED: return "replaced";
    case SARK_CACHE_DELETED: return "deleted";
    case SARK_CACHE_CLEARED: return "cleared";
    case SARK_CACHE_DESTROYED: return "destroyed";
    }
    return "not a cause of this library";
}

SARK_CACHE_API const char *sark_cache_status_text(sark_cache_status status)
{
    switch (status) {
    case SARK_CACHE_OK: return "done";
    case SARK_CACHE_MISS: return "no live entry under this key";
    case SARK_CACHE_EXISTS: return "a live entry, or one of another version, is there already";
    case SARK_CACHE_BAD_ARGUMENT: return "an argument is NULL, or is not what it should be";
    case SARK_CACHE_BAD_TTL: return "the TTL is negative";
    case SARK_CACHE_BAD_KEY: return "the key has more than 65535 bytes";
    case SARK_CACHE_TOO_LARGE: return "the entry would not fit the empty cache";
    case SARK_CACHE_SHORT_BUFFER: return "the buffer is too short";
    case SARK_CACHE_NO_MEMORY: return "the allocator gave no memory for the region";
    case SARK_CACHE_BUSY: return "pins, or a callback under way, stand in the way";
    case SARK_CACHE_NO_PIN: return "all pins are out; see pin_count and pin_max_bytes";
    case SARK_CACHE_SYSTEM_ERROR: return "a clock, mutex or other system call failed";
    case SARK_CACHE_NO_RANDOM: return "no random source, and no hash_seed given";
    case SARK_CACHE_REGION_TOO_SMALL: return "the region is smaller than sark_cache_region_bytes";
    case SARK_CACHE_BAD_MAX_ENTRIES: return "max_entries is above 2147483648";
    case SARK_CACHE_BAD_MAX_BYTES: return "max_bytes is 16 GiB or more, or too small";
    case SARK_CACHE_BAD_DEFAULT_TTL: return "default_ttl_ms is negative";
    case SARK_CACHE_BAD_TTL_JITTER: return "ttl_jitter_percent is above 100";
    case SARK_CACHE_BAD_SHARD_COUNT: return "shard_count is no power of two, or above 256";
    case SARK_CACHE_BAD_LEASE_COUNT: return "lease_count is 1, or above 1024";
    case SARK_CACHE_BAD_PIN_COUNT: return "pin_count is above 1024";
    case SARK_CACHE_BAD_ALLOCATOR: return "allocator has one function without the other";
    case SARK_CACHE_BAD_RESERVED: return "reserved is not zero: the struct is not initialised";
    case SARK_CACHE_NOT_INTEGER: return "the value is no number of 8 bytes";
    case SARK_CACHE_OVERFLOW: return "the sum is out of the range of 64 bits";
    }
    return "not a status of this library";
}

/* The private macros end here; tests of the inside keep them. */
#ifndef SARKI_KEEP_MACROS
#undef SARKI_ACQUIRES
#undef SARKI_AGES_EVERY
#undef SARKI_APART
#undef SARKI_ASLEEP_EVERY_NS
#undef SARKI_ASSERT
#undef SARKI_BINS_PER_LEVEL
#undef SARKI_BIN_BITS
#undef SARKI_BLOCKS_WEIGHED
#undef SARKI_BLOCK_FLAGS
#undef SARKI_BLOCK_FREE
#undef SARKI_BYTES_READ
#undef SARKI_BYTES_WRITTEN
#undef SARKI_CLAIMED
#undef SARKI_CLOCK_BOOT
#undef SARKI_CLOCK_COARSE
#undef SARKI_COARSE_LAG_TICKS
#undef SARKI_COLD
#undef SARKI_COUNTS
#undef SARKI_DEFAULT_BYTES
#undef SARKI_DEFAULT_LEASES
#undef SARKI_DEFAULT_MIN_BYTES
#undef SARKI_DEFAULT_PINS
#undef SARKI_DEFAULT_SHARDS
#undef SARKI_EXCLUDES
#undef SARKI_GAUGES
#undef SARKI_GRANULE
#undef SARKI_GROUP
#undef SARKI_HASH
#undef SARKI_HINT_PROBES
#undef SARKI_HOT
#undef SARKI_HOT_UNITS
#undef SARKI_IN_FIFO
#undef SARKI_IS_HOT
#undef SARKI_LEASE_BYTES
#undef SARKI_LARGE_REGION
#undef SARKI_LEASE_PROBES
#undef SARKI_LEASE_SPACING
#undef SARKI_LIKELY
#undef SARKI_MARKED
#undef SARKI_MAX_BYTES
#undef SARKI_MAX_GRANULES
#undef SARKI_MAX_LEASES
#undef SARKI_MAX_LEVELS
#undef SARKI_MAX_PINS
#undef SARKI_MAX_SHARDS
#undef SARKI_METRIC
#undef SARKI_MIN_ARENA_BYTES
#undef SARKI_MIN_ENTRIES
#undef SARKI_MISSES
#undef SARKI_MOVES
#undef SARKI_NARROW_DIGIT
#undef SARKI_NEVER
#undef SARKI_NONE
#undef SARKI_PLACED
#undef SARKI_PLAIN_HEADER
#undef SARKI_PREVIOUS_FREE
#undef SARKI_RECHECKS
#undef SARKI_REJECTIONS
#undef SARKI_RELEASES
#undef SARKI_REPORTERS
#undef SARKI_REPORTER_BYTES
#undef SARKI_REQUIRES
#undef SARKI_RESIDENT_WAYS
#undef SARKI_RETIRE_BATCH
#undef SARKI_ROOM_PATIENCE
#undef SARKI_SECONDS
#undef SARKI_SET_APART
#undef SARKI_SHADOW
#undef SARKI_SHARD_BYTES
#undef SARKI_SLOTS
#undef SARKI_SMALL_TRIES
#undef SARKI_SPACED_LEASE_BYTES
#undef SARKI_SPINS
#undef SARKI_STAMP_FLAGS
#undef SARKI_STAMP_SKEW
#undef SARKI_STAMP_SLOT
#undef SARKI_STAMP_STEP
#undef SARKI_STRANGERS
#undef SARKI_TIMED_HEADER
#undef SARKI_TOUCHED_HEADER
#undef SARKI_TRIES
#undef SARKI_TYPICAL_ENTRY_BYTES
#undef SARKI_UNANALYSED
#undef SARKI_WHEEL_WORDS
#undef SARKI_WIDE
#undef SARKI_WIDE_DIGIT
#undef SARKI_WIDE_SHARD_BYTES
#undef SARKI_WINDOWS
#undef SARKI_WINDOW_TRIES
#undef SARKI_WORD_BUSY
#undef SARKI_WORD_EMPTY
#undef SARKI_WORD_RESIDENT
#undef SARKI_WORD_TAKEN
#undef SARKI_WORD_USE
#undef SARKI_YOUNG_UNITS
#endif

#endif /* POSIX */
#endif /* SARK_CACHE_IMPLEMENTATION */

/* ------------------------------------------------------------------------------------------------
   This file is available under two licences; choose one.

   ALTERNATIVE A: MIT License. Copyright (c) 2026 the sark_cache authors

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software
   and associated documentation files (the "Software"), to deal in the Software without
   restriction, including without limitation the rights to use, copy, modify, merge, publish,
   distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
   Software is furnished to do so, subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all copies or
   substantial portions of the Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
   BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
   DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

   ALTERNATIVE B: Public domain (Unlicense, unlicense.org)

   This is free and unencumbered software released into the public domain. Anyone is free to copy,
   modify, publish, use, compile, sell, or distribute this software, either in source code form or
   as a compiled binary, for any purpose, commercial or non-commercial, and by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this software dedicate
   any and all copyright interest in the software to the public domain. We make this dedication
   for the benefit of the public at large and to the detriment of our heirs and successors. We
   intend this dedication to be an overt act of relinquishment in perpetuity of all present and
   future rights to this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
   BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
   CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
   --------------------------------------------------------------------------------------------- */
