/* Two policies to compare hits with, simulated for one thread: what matters is which requests hit,
   not how fast. Each request looks a key up, and stores it where it is missing. Keys are numbers
   from 0.

   S3-FIFO as its authors' library has it (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you
   need for cache eviction, SOSP 2023): new keys enter a small queue, a tenth of the capacity; those
   that were hit twice there go on to the main queue, the others leave, and are remembered for a
   while by a queue of ghosts; whoever comes back as a ghost enters the main queue at once. The main
   queue gives a key another round for each of up to three hits.

   The optimum (Belady: A study of replacement algorithms for a virtual-storage computer): what is
   wanted latest leaves. */

#ifndef SARK_BENCH_POLICIES_H
#define SARK_BENCH_POLICIES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- S3-FIFO -------------------------------------------------------------------------------- */

/* Keys in the order in which they came. */
typedef struct fifo {
    uint32_t *keys;
    size_t first, end; /* positions: keys[first] came first */
    uint32_t count;    /* keys; without ghosts that came back, which are passed over */
} fifo;

enum { S3_NOWHERE, S3_SMALL, S3_MAIN, S3_GHOST };

typedef struct s3_fifo {
    uint8_t *place;      /* of each key */
    uint32_t *hits;      /* of each key since it entered its queue, or had another round there */
    uint64_t *ghost_turn; /* when a key became a ghost the last time: its position there */
    fifo small, main, ghost;
    uint32_t capacity, small_capacity, ghost_capacity;
} s3_fifo;

static inline bool fifo_create(fifo *queue, size_t length)
{
    *queue = (fifo){calloc(length, sizeof *queue->keys), 0, 0, 0};
    return queue->keys != NULL;
}

static inline void fifo_push(fifo *queue, uint32_t key)
{
    queue->keys[queue->end++] = key;
    queue->count++;
}

static inline uint32_t fifo_pop(fifo *queue)
{
    queue->count--;
    return queue->keys[queue->first++];
}

/* No queue takes in more than max_requests keys: each enters by a miss, or, again, by a hit that it
   gives up. False where there is no memory. */
static inline bool s3_create(s3_fifo *cache, uint32_t capacity, uint32_t key_count,
                             size_t max_requests)
{
    *cache = (s3_fifo){calloc(key_count, sizeof *cache->place),
                       calloc(key_count, sizeof *cache->hits),
                       calloc(key_count, sizeof *cache->ghost_turn), {0}, {0}, {0}, capacity,
                       capacity >= 10 ? capacity / 10 : 1, (uint32_t)(0.9 * capacity)};
    return cache->place && cache->hits && cache->ghost_turn &&
           fifo_create(&cache->small, max_requests) &&
           fifo_create(&cache->main, max_requests) &&
           fifo_create(&cache->ghost, max_requests);
}

static inline void s3_destroy(s3_fifo *cache)
{
    free(cache->place);
    free(cache->hits);
    free(cache->ghost_turn);
    free(cache->small.keys);
    free(cache->main.keys);
    free(cache->ghost.keys);
}

static inline void s3_enter(s3_fifo *cache, fifo *queue, uint8_t place, uint32_t key)
{
    cache->place[key] = place;
    cache->hits[key] = 0;
    fifo_push(queue, key);
}

/* A ghost that came back does not count where it stood. */
static inline void s3_remember(s3_fifo *cache, uint32_t key)
{
    fifo *ghost = &cache->ghost;
    cache->place[key] = S3_NOWHERE;
    if (cache->ghost_capacity == 0) return;
    while (ghost->count >= cache->ghost_capacity) {
        size_t turn = ghost->first;
        uint32_t oldest = ghost->keys[ghost->first++];
        if (cache->place[oldest] != S3_GHOST || cache->ghost_turn[oldest] != turn) continue;
        cache->place[oldest] = S3_NOWHERE;
        ghost->count--;
    }
    cache->place[key] = S3_GHOST;
    cache->ghost_turn[key] = ghost->end;
    fifo_push(ghost, key);
}

/* Takes one key out of the small queue; those that were hit twice go on to the main one instead. */
static inline void s3_evict_small(s3_fifo *cache)
{
    while (cache->small.count > 0) {
        uint32_t key = fifo_pop(&cache->small);
        if (cache->hits[key] < 2) {
            s3_remember(cache, key);
            return;
        }
        s3_enter(cache, &cache->main, S3_MAIN, key);
    }
}

static inline void s3_evict_main(s3_fifo *cache)
{
    while (cache->main.count > 0) {
        uint32_t key = fifo_pop(&cache->main), hits = cache->hits[key];
        if (hits == 0) {
            cache->place[key] = S3_NOWHERE;
            return;
        }
        s3_enter(cache, &cache->main, S3_MAIN, key);
        cache->hits[key] = (hits > 3 ? 3 : hits) - 1;
    }
}

/* Returns whether a request is a hit. */
static inline bool s3_request(s3_fifo *cache, uint32_t key)
{
    uint8_t place = cache->place[key];
    if (place == S3_SMALL || place == S3_MAIN) {
        cache->hits[key]++;
        return true;
    }
    if (place == S3_GHOST) {
        cache->place[key] = S3_NOWHERE;
        cache->ghost.count--;
    }
    while (cache->small.count + cache->main.count >= cache->capacity)
        if (cache->main.count > cache->capacity - cache->small_capacity ||
            cache->small.count == 0)
            s3_evict_main(cache);
        else
            s3_evict_small(cache);
    if (place == S3_GHOST) s3_enter(cache, &cache->main, S3_MAIN, key);
    else s3_enter(cache, &cache->small, S3_SMALL, key);
    return false;
}

/* ---- The optimum ---------------------------------------------------------------------------- */

/* When a key is wanted next. */
typedef struct opt_wish {
    size_t next; /* the request's number; SIZE_MAX: never again */
    uint32_t key;
} opt_wish;

/* A heap of wishes, the latest first. Those of earlier requests stay there until they are met. */
typedef struct opt_heap {
    opt_wish *wishes;
    size_t count;
} opt_heap;

static inline void opt_push(opt_heap *heap, opt_wish wish)
{
    size_t at = heap->count++;
    for (; at > 0 && heap->wishes[(at - 1) / 2].next < wish.next; at = (at - 1) / 2)
        heap->wishes[at] = heap->wishes[(at - 1) / 2];
    heap->wishes[at] = wish;
}

static inline opt_wish opt_pop(opt_heap *heap)
{
    opt_wish latest = heap->wishes[0], last = heap->wishes[--heap->count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < heap->count) {
        if (child + 1 < heap->count && heap->wishes[child + 1].next > heap->wishes[child].next)
            child++;
        if (heap->wishes[child].next <= last.next) break;
        heap->wishes[at] = heap->wishes[child];
        at = child;
    }
    heap->wishes[at] = last;
    return latest;
}

/* Hits of the optimum. keys: of each request. is_hit is told of each request, in order. Returns
   false where there is no memory. */
static inline bool opt_run(const uint32_t *keys, size_t request_count, uint32_t key_count,
                           uint32_t capacity, void (*is_hit)(void *context, bool hit),
                           void *context)
{
    size_t *next = calloc(request_count, sizeof *next);
    size_t *wanted = calloc(key_count, sizeof *wanted); /* of each key: when it is wanted next */
    bool *is_present = calloc(key_count, sizeof *is_present);
    opt_heap heap = {calloc(request_count, sizeof *heap.wishes), 0};
    uint32_t count = 0;
    bool has_memory = next && wanted && is_present && heap.wishes;
    for (uint32_t key = 0; key < key_count && has_memory; key++) wanted[key] = SIZE_MAX;
    for (size_t i = request_count; i-- > 0 && has_memory; wanted[keys[i]] = i)
        next[i] = wanted[keys[i]];
    for (size_t i = 0; i < request_count && has_memory; i++) {
        uint32_t key = keys[i];
        is_hit(context, is_present[key]);
        while (!is_present[key] && count == capacity) {
            opt_wish latest = opt_pop(&heap);
            if (!is_present[latest.key] || wanted[latest.key] != latest.next) continue;
            is_present[latest.key] = false;
            count--;
        }
        if (!is_present[key]) count++;
        is_present[key] = true;
        wanted[key] = next[i];
        opt_push(&heap, (opt_wish){next[i], key});
    }
    free(next);
    free(wanted);
    free(is_present);
    free(heap.wishes);
    return has_memory;
}

#endif
