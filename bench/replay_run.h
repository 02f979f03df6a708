/* One replay of a trace through a new cache: every request is a get, and on a miss a set.

   Time is the trace's, through the injected clock; where the trace has none it stands still. The
   key is the key's text. The value begins and ends with a number made from the key, which each hit
   checks. With T threads, thread i takes every T-th request, and the clock is the largest time any
   thread has reached. */

#ifndef SARK_BENCH_REPLAY_RUN_H
#define SARK_BENCH_REPLAY_RUN_H

#include "../sark_cache.h"
#include "trace.h"

/* What programs here end with. */
enum { REPLAY_OK = 0, REPLAY_FAILED = 1, REPLAY_BAD_INPUT = 2, REPLAY_FOREIGN_VALUE = 3 };

typedef struct replay_options {
    uint64_t capacity;      /* entries; the region is then so large that only they bind */
    size_t max_bytes;       /* where capacity is 0: bytes bind, and values have the trace's sizes */
    size_t value_bytes;     /* of values whose size the trace does not tell, or is not asked */
    bool is_ttl_used;       /* entries live as long as the trace says, else for ever */
    uint32_t thread_count;
    uint32_t max_lead;      /* no thread is ahead of another by more of its requests than this;
                               0: each runs as fast as it can */
    uint32_t shard_count;   /* 0: the cache's default */
    uint32_t latency_sample_every;
    void (*progress)(uint64_t done, uint64_t total); /* called now and then; may be NULL */
} replay_options;

typedef struct replay_result {
    uint64_t requests, hits, misses;
    uint64_t sets_refused;       /* with max_bytes: objects that the cache had no room for */
    uint64_t digest;             /* of the hits and misses in order; 0 with several threads */
    double seconds;              /* from the first thread's start to the last one's end */
    sark_cache_metrics metrics;  /* at the end */
} replay_result;

/* Replays a trace. Returns REPLAY_OK, or another of the statuses after saying why on stderr:
   BAD_INPUT for options that the cache refuses, FOREIGN_VALUE for a hit with another key's value,
   FAILED for everything else, a broken invariant of the cache included. */
int replay_run(const trace *requests, const replay_options *options, replay_result *result);

/* A max_lead that keeps the order of a trace nearly as it was. Without one, a thread that is a few
   milliseconds late asks for what has long been evicted or, since a trace's days take less than a
   second here, has expired by the clock of the others. */
#define REPLAY_SMALL_LEAD 8

#define REPLAY_DIGEST_START 1469598103934665603u

/* FNV-1a 64 over one byte a request, '1' for a hit and '0' for a miss. */
static inline uint64_t replay_digest_add(uint64_t digest, bool is_hit)
{
    return (digest ^ (is_hit ? '1' : '0')) * 1099511628211u;
}

#endif
