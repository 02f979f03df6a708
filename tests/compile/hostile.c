/* A consumer whose own macros have short names. They are defined after the system's headers, as
   they would be in a large program, and before the cache. */

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define swap(a, b) hostile_swap
#define abs(a) hostile_abs
#define likely(x) hostile_likely
#define unlikely(x) hostile_unlikely
#define align(a, b) hostile_align
#define rotl(a, b) hostile_rotl
#define container_of(a, b, c) hostile_container_of
#define ARRAY_SIZE(a) hostile_array_size
#define MIN(a, b) hostile_min
#define MAX(a, b) hostile_max
#define KB hostile_kb
#define MB hostile_mb
#define EMPTY hostile_empty
#define BUSY hostile_busy
#define OK hostile_ok
#define MISS hostile_miss
#define ERROR hostile_error
#define E1 hostile_e1
#define R1 hostile_r1
#define PAGE_BYTES hostile_page_bytes
#define CACHE_LINE hostile_cache_line
#define assert(x) hostile_assert
#define atomic(x) hostile_atomic
#define lock(x) hostile_lock
#define unlock(x) hostile_unlock
#define hash(x) hostile_hash
#define get(x) hostile_get
#define set(x) hostile_set
#define add(x) hostile_add

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

/* The cache took nothing of the consumer's away. */
#if !defined min || !defined max || !defined lock || !defined assert || !defined OK
#error "sark_cache.h undefined a macro of its consumer"
#endif
