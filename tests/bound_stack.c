/* How deep the stack gets. A program may run the cache on threads of 64 KiB, and musl gives 128:
   the functions must leave nearly all of it to the caller and to its callbacks. Each case runs on
   a thread whose stack was painted, and says how many bytes it wrote below its first frame. */

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define MOST_BYTES 6144u /* of stack, what libc needs for a call of ours included */
#define PAINT 0xC5u
#define KEYS 300u

static unsigned char *stack_memory;
static size_t stack_bytes = 64u << 10; /* or the least that a thread may have */
static sark_cache *cache;
static bool callbacks_call, is_inside;
static uint64_t removals;

/* ---- Painting ------------------------------------------------------------------------------- */

typedef struct painted {
    void (*body)(void);
    uintptr_t first; /* about where the body's frame begins */
} painted;

static void *painted_run(void *context)
{
    painted *self = context;
    unsigned char here = 0;
    self->first = (uintptr_t)&here;
    self->body();
    return NULL;
}

/* Runs a body on the painted stack. Returns how many bytes of it were written. */
static size_t stack_of(void (*body)(void))
{
    pthread_attr_t attributes;
    pthread_t thread;
    painted run = {body, 0};
    size_t untouched = 0;
    memset(stack_memory, PAINT, stack_bytes);
    if (pthread_attr_init(&attributes) != 0) abort();
    if (pthread_attr_setstack(&attributes, stack_memory, stack_bytes) != 0) abort();
    if (pthread_create(&thread, &attributes, painted_run, &run) != 0) abort();
    if (pthread_join(thread, NULL) != 0) abort();
    pthread_attr_destroy(&attributes);
    while (untouched < stack_bytes && stack_memory[untouched] == PAINT) untouched++;
    return (size_t)(run.first - (uintptr_t)stack_memory) - untouched;
}

static void check_stack(const char *name, void (*body)(void))
{
    size_t bytes = stack_of(body);
    printf("  %s: %d bytes\n", name, (int)bytes);
    CHECK(bytes > 0 && bytes <= MOST_BYTES);
}

/* ---- What is measured ----------------------------------------------------------------------- */

/* Large objects of the test do not lie on the stack. */
static unsigned char value[48 << 10], buffer[48 << 10];
static sark_cache_metrics metrics;
static sark_cache_config config;
static sark_cache_pinned pinned;
static char report[200];
static int64_t number;

static void store(uint32_t key, size_t bytes, int64_t ttl_ms)
{
    sark_cache_status status = sark_cache_set(cache, &key, sizeof key, value, bytes, ttl_ms);
    CHECK(status == SARK_CACHE_OK || (is_inside && status == SARK_CACHE_BUSY));
}

/* Some callbacks call what is deep. What these calls remove is reported by the outer call later, so
   they nest no deeper. */
static void removed(void *context, const void *key, size_t key_bytes, const void *bytes,
                    size_t byte_count, sark_cache_cause cause)
{
    (void)context, (void)key, (void)key_bytes, (void)bytes, (void)byte_count, (void)cause;
    if (!callbacks_call || is_inside || ++removals % 100 != 0) return;
    is_inside = true;
    for (uint32_t i = 0; i < 10; i++) store(1000 + i, 50, 20);
    (void)sark_cache_cleanup_expired(cache, 0);
    (void)sark_cache_check(cache, report, sizeof report);
    is_inside = false;
}

static void do_nothing(void) {}

static void do_create(void)
{
    CHECK(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
}

static void do_destroy(void) { CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK); }

static void do_read(void)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        (void)sark_cache_get(cache, &key, sizeof key, buffer, sizeof buffer, NULL);
        (void)sark_cache_ttl(cache, &key, sizeof key, &number);
        if (sark_cache_pin(cache, &key, sizeof key, &pinned) == SARK_CACHE_OK)
            (void)sark_cache_unpin(cache, &pinned);
    }
}

/* Of all sizes, so that it evicts for places and for bytes, and moves. */
static void do_set(void)
{
    for (uint32_t i = 0; i < 2000; i++)
        store(i * 7919 % KEYS, i % 50 == 0 ? 3000 + i * 7 : i % 400, i % 3 ? 0 : 5);
}

static void do_set_with_calls(void)
{
    callbacks_call = true;
    do_set();
    callbacks_call = false;
}

static void do_write(void)
{
    number = 1;
    for (uint32_t key = 0; key < KEYS; key++) {
        (void)sark_cache_touch(cache, &key, sizeof key, 50);
        (void)sark_cache_append(cache, &key, sizeof key, value, 10, 0);
        (void)sark_cache_prepend(cache, &key, sizeof key, value, 10, 0);
        (void)sark_cache_get_and_touch(cache, &key, sizeof key, buffer, sizeof buffer, NULL, 50);
        (void)sark_cache_take(cache, &key, sizeof key, buffer, sizeof buffer, NULL);
        (void)sark_cache_increment(cache, &key, sizeof key, 1, &number, 5, NULL);
        (void)sark_cache_compare_and_set(cache, &key, sizeof key, 1, value, 10, 0);
        (void)sark_cache_delete(cache, &key, sizeof key);
    }
}

static bool visit(void *context, const void *key, size_t key_bytes, const void *bytes,
                  size_t byte_count, int64_t ttl_left_ms)
{
    (void)context, (void)key, (void)key_bytes, (void)bytes, (void)byte_count, (void)ttl_left_ms;
    return true;
}

static void do_care(void)
{
    sark_cache_get_request get = {"k", 1, buffer, sizeof buffer, 0, SARK_CACHE_OK};
    sark_cache_set_request set = {"k", 1, value, 10, 50, SARK_CACHE_OK};
    sark_cache_delete_request gone = {"k", 1, SARK_CACHE_OK};
    (void)sark_cache_set_many(cache, &set, 1);
    (void)sark_cache_get_many(cache, &get, 1);
    (void)sark_cache_delete_many(cache, &gone, 1);
    (void)sark_cache_foreach(cache, visit, NULL);
    (void)sark_cache_clear_if(cache, visit, NULL, NULL);
    (void)sark_cache_clear_prefix(cache, "k", 1, NULL);
    (void)sark_cache_cleanup_expired(cache, 0);
    CHECK(sark_cache_check(cache, report, sizeof report));
    sark_cache_metrics_read(cache, &metrics);
    sark_cache_metrics_reset(cache);
}

static void do_clear_with_calls(void)
{
    callbacks_call = true;
    (void)sark_cache_clear(cache);
    callbacks_call = false;
}

static void do_fork_calls(void)
{
    sark_cache_fork_prepare(cache);
    sark_cache_fork_parent(cache);
}

static void measure(uint32_t shard_count)
{
    config = (sark_cache_config){.max_entries = 200, .shard_count = shard_count,
                                 .max_bytes = (shard_count > 16 ? 4096u : 64u) << 10,
                                 .latency_sample_every = shard_count > 16 ? 1 : 0,
                                 .on_remove = removed};
    printf("  %d shards:\n", (int)shard_count);
    check_stack("create", do_create);
    REQUIRE(cache != NULL);
    check_stack("set", do_set);
    check_stack("set, callbacks that call", do_set_with_calls);
    check_stack("get, ttl, pin", do_read);
    check_stack("foreach, cleanup, check, metrics", do_care);
    check_stack("other writes", do_write);
    check_stack("set again", do_set);
    check_stack("clear, callbacks that call", do_clear_with_calls);
    check_stack("fork_prepare, fork_parent", do_fork_calls);
    check_stack("destroy", do_destroy);
}

TEST(each_function_needs_little_stack)
{
    printf("  nothing: %d bytes\n", (int)stack_of(do_nothing));
    measure(2);
    measure(256);
}

/* The measurement itself: a frame of 8,000 bytes is seen, and would be too much. */
static void be_deep(void)
{
    volatile unsigned char frame[8000];
    for (size_t i = 0; i < sizeof frame; i++) frame[i] = (unsigned char)i;
}

TEST(deep_frames_are_seen)
{
    size_t bytes = stack_of(be_deep);
    CHECK(bytes >= 8000 && bytes < 9000 && bytes > MOST_BYTES);
}

int main(void)
{
    if (TEST_SANITIZED) {
        printf("not run: bound_stack (a sanitizer's frames are larger)\n");
        return 77;
    }
    long least = sysconf(_SC_THREAD_STACK_MIN);
    if (least > (long)stack_bytes) stack_bytes = (size_t)least;
    stack_memory = aligned_alloc(64 << 10, stack_bytes);
    if (!stack_memory) abort();
    RUN(deep_frames_are_seen);
    RUN(each_function_needs_little_stack);
    free(stack_memory);
    return test_summary();
}
