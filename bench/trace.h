/* Access traces: read whole into memory, so that reading costs nothing while a replay is timed.

   One request a line, five fields, single blanks, "-" for what is unknown:
       ts key size ttl op
   ts    whole seconds since the first request, never decreasing
   key   any bytes but blank and newline, at most 65,535
   size  bytes of the object
   ttl   seconds the object lives if this request stores it, at least 1
   op    get, read or write */

#ifndef SARK_BENCH_TRACE_H
#define SARK_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_UNKNOWN (-1)

typedef struct trace_request {
    int64_t ts_s, size_bytes, ttl_s; /* TRACE_UNKNOWN where the trace has "-" */
    uint64_t key_hash;
    size_t key_offset;               /* of the key in trace.key_text */
    uint32_t key_id;                 /* numbers the distinct keys in order of appearance */
    uint16_t key_bytes;
    char op;                         /* 'g', 'r', 'w' or '-' */
} trace_request;

typedef struct trace {
    trace_request *requests;
    size_t request_count;
    char *key_text;                  /* the keys of all requests, one after the other */
    size_t key_text_bytes;
    uint32_t key_count;              /* distinct keys */
    uint32_t max_key_bytes;
    int64_t max_size_bytes;          /* 0 where no size is known */
} trace;

/* Reads a file, or standard input where file is "-", plain or compressed with gzip. Returns false
   after saying on stderr what is wrong (of a bad line: file, line number and what); the trace is
   empty then. */
bool trace_read(trace *result, const char *file);

void trace_free(trace *result);

/* The key of a request: key_bytes bytes, not terminated. */
static inline const char *trace_key(const trace *from, const trace_request *request)
{
    return from->key_text + request->key_offset;
}

#endif
