/* Readers that are stopped in the middle of a read. A signal handler that blocks interrupts a
   thread that reads large values, again and again, mostly while its lease is claimed; until it is
   let go, writers overwrite what it reads, evict and move. They make progress during every stall,
   memory keeps its bound, no write is refused, and the read then gives a whole value, no older
   than when it began. A pin is out all the time, and its bytes never change.

   Then the same thread reads inside the handler, while it is inside a read. That is not promised
   (THREADS AND CALLBACKS), but does no harm: a slot that is taken is taken for its owner too. */

#include "threads.h"

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#define WRITERS 2u
#define LARGE_KEYS 4u        /* what the reader reads; 0 is the pinned one */
#define SMALL_KEYS 4000u
#define LARGE_BYTES 16384u
#define WORDS (LARGE_BYTES / 8)
#define REGION_BYTES (768u << 10)
#define STALLS 1000u
#define CALLS UINT64_C(10000000) /* of the writers, during stalls */

static sark_cache *cache;
static uint64_t seed;
static _Atomic(bool) stop;
static _Atomic(uint64_t) next_unique = 1;
static _Atomic(uint64_t) newest[LARGE_KEYS]; /* the last value whose set has returned */
static _Atomic(uint64_t) writer_calls[WRITERS], refused;

/* ---- Values: words that follow from a number and their place -------------------------------- */

static void value_make(uint64_t *words, uint64_t unique)
{
    for (uint32_t i = 0; i < WORDS; i++) words[i] = unique * 0x9E3779B97F4A7C15u + i;
    words[0] = unique;
}

static bool value_is_whole(const uint64_t *words, uint64_t unique)
{
    uint64_t wrong = words[0] ^ unique;
    for (uint32_t i = 1; i < WORDS; i++) wrong |= words[i] ^ (unique * 0x9E3779B97F4A7C15u + i);
    return wrong == 0;
}

/* ---- Writers -------------------------------------------------------------------------------- */

static void store_large(uint32_t key, uint64_t *words)
{
    uint64_t unique = atomic_fetch_add(&next_unique, 1);
    value_make(words, unique);
    if (sark_cache_set(cache, &key, sizeof key, words, LARGE_BYTES, 0) != SARK_CACHE_OK)
        atomic_fetch_add(&refused, 1);
    else atomic_store(&newest[key], unique);
}

/* Keys of a writer are its own, so that "newest" is. Mostly small values: of all sizes, with and
   without a TTL, deleted and touched. */
static void write_once(uint32_t writer, uint64_t *random, uint64_t *words)
{
    uint32_t key = LARGE_KEYS + (uint32_t)test_below(random, SMALL_KEYS);
    uint64_t draw = test_below(random, 400);
    if (draw == 0) {
        store_large(writer + WRITERS * (uint32_t)test_below(random, LARGE_KEYS / WRITERS), words);
    } else if (draw < 300) {
        size_t bytes = (size_t)test_below(random, draw % 50 ? 100 : 2000);
        if (sark_cache_set(cache, &key, sizeof key, words, bytes, draw % 3) != SARK_CACHE_OK)
            atomic_fetch_add(&refused, 1);
    } else if (draw < 320) {
        (void)sark_cache_delete(cache, &key, sizeof key);
    } else {
        (void)sark_cache_touch(cache, &key, sizeof key, 1000);
    }
    atomic_fetch_add(&writer_calls[writer], 1);
}

static void *writer_run(void *context)
{
    uint32_t writer = *(uint32_t *)context;
    uint64_t random = seed + writer;
    uint64_t *words = malloc(LARGE_BYTES);
    if (!words) abort();
    while (!atomic_load(&stop)) write_once(writer, &random, words);
    free(words);
    return NULL;
}

/* ---- The reader ----------------------------------------------------------------------------- */

static int gate[2]; /* a pipe: a byte lets the reader go on */
static _Atomic(uint64_t) stalled, reads, hits, reads_inside, hits_inside;
static _Atomic(bool) is_reading;
static _Atomic(uint32_t) reads_key;

static uint64_t signals_taken(void) { return atomic_load(&stalled) + atomic_load(&reads_inside); }

static void check_value(const uint64_t *words, uint64_t least)
{
    CHECK(words[0] >= least && words[0] < atomic_load(&next_unique));
    CHECK(value_is_whole(words, words[0]));
}

/* Blocks until there is a byte in the pipe. Only what a handler may call. */
static void stall(int signal_number)
{
    char byte;
    (void)signal_number;
    int errno_before = errno;
    atomic_fetch_add(&stalled, 1);
    while (read(gate[0], &byte, 1) != 1) continue;
    errno = errno_before;
}

/* Reads in the midst of a read, of the same key or another. */
static void read_inside(int signal_number)
{
    static uint64_t words[WORDS];
    uint64_t inside = atomic_fetch_add(&reads_inside, 1);
    (void)signal_number;
    if (!atomic_load(&is_reading)) return;
    uint32_t key = inside % 2 ? atomic_load(&reads_key) : (uint32_t)(inside / 2 % LARGE_KEYS);
    uint64_t least = atomic_load(&newest[key]);
    sark_cache_status status =
        sark_cache_get(cache, &key, sizeof key, words, sizeof words, NULL);
    CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status != SARK_CACHE_OK) return;
    check_value(words, least);
    atomic_fetch_add(&hits_inside, 1);
}

static void *reader_run(void *context)
{
    uint64_t *words = malloc(LARGE_BYTES), random = seed + 100;
    (void)context;
    if (!words) abort();
    for (uint64_t count = 0; !atomic_load(&stop); count++) {
        uint32_t key = (uint32_t)test_below(&random, LARGE_KEYS);
        uint64_t least = atomic_load(&newest[key]), interrupted = signals_taken();
        bool peeks = test_below(&random, 4) == 0;
        atomic_store(&reads_key, key);
        atomic_store(&is_reading, true);
        sark_cache_status status =
            peeks ? sark_cache_peek(cache, &key, sizeof key, words, LARGE_BYTES, NULL)
                  : sark_cache_get(cache, &key, sizeof key, words, LARGE_BYTES, NULL);
        atomic_store(&is_reading, false);
        CHECK(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
        bool looks = count % 16 == 0 || signals_taken() != interrupted; /* it takes as long again */
        if (status == SARK_CACHE_OK && looks) check_value(words, least);
        atomic_fetch_add(&hits, status == SARK_CACHE_OK);
        atomic_fetch_add(&reads, 1);
    }
    free(words);
    return NULL;
}

/* ---- Stalls --------------------------------------------------------------------------------- */

static void handle(void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
}

/* What the reader protects by a lease; 0: nothing. Nobody else has one: writers lock. */
static uint32_t protected_ref(void)
{
    uint32_t used = sarki_load32_seq_cst(&cache->leases.a_slots_used);
    for (uint32_t i = 0; i < used; i++) {
        uint32_t ref = sarki_load32_seq_cst(&sarki_lease_at(&cache->leases, i)->a_ref);
        if (ref > SARKI_CLAIMED) return ref;
    }
    return 0;
}

static void wait_for(_Atomic(uint64_t) *count, uint64_t least)
{
    while (atomic_load(count) < least) test_sleep_ns(20000);
}

/* Copies the value that the reader protects. Not if its key has another by now: a reader may be
   stopped between its lease and its second look at the index, at an entry that was replaced in
   between, whose block is free. What a pin finds after the lease was seen is protected by it. */
static bool copy_protected(uint32_t ref, uint64_t *words)
{
    sark_cache_pinned found;
    uint32_t key = atomic_load(&reads_key);
    if (!ref || sark_cache_pin(cache, &key, sizeof key, &found) != SARK_CACHE_OK) return false;
    bool is_same = found.value == sarki_entry_value(sarki_entry_of(cache, ref));
    if (is_same) memcpy(words, found.value, LARGE_BYTES);
    CHECK(sark_cache_unpin(cache, &found) == SARK_CACHE_OK);
    return is_same;
}

/* One stall. Whether the reader held a lease all the while. */
static bool stall_once(pthread_t reader, uint64_t calls)
{
    uint64_t before[WRITERS], number = atomic_load(&stalled);
    static uint64_t seen[WORDS];
    test_watchdog(120);
    CHECK(pthread_kill(reader, SIGUSR1) == 0);
    wait_for(&stalled, number + 1);
    uint32_t ref = protected_ref();
    bool is_copied = copy_protected(ref, seen);
    for (uint32_t i = 0; i < WRITERS; i++) before[i] = atomic_load(&writer_calls[i]);
    for (uint32_t i = 0; i < WRITERS; i++) wait_for(&writer_calls[i], before[i] + calls);
    bool is_inside = is_copied && protected_ref() == ref;
    if (is_inside) /* no writer took the block, though its entry has long been replaced */
        CHECK(memcmp(seen, sarki_entry_value(sarki_entry_of(cache, ref)), LARGE_BYTES) == 0);
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.bytes <= REGION_BYTES && metrics.entries <= metrics.max_entries);
    CHECK(write(gate[1], "", 1) == 1);
    return is_inside;
}

static void start(pthread_t *threads, uint32_t *numbers, sark_cache_pinned *pinned)
{
    static uint64_t words[WORDS];
    sark_cache_config config = {.max_entries = 3000, .max_bytes = REGION_BYTES, .shard_count = 4,
                                .cleanup_interval_ms = 5};
    uint32_t key = UINT32_MAX;
    atomic_store(&stop, false);
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    value_make(words, 0);
    CHECK(sark_cache_set(cache, &key, sizeof key, words, LARGE_BYTES, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, &key, sizeof key, pinned) == SARK_CACHE_OK);
    for (key = 0; key < LARGE_KEYS; key++) {
        atomic_store(&newest[key], 0);
        store_large(key, words);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, writer_run, &numbers[i]) != 0) abort();
    }
    if (pthread_create(&threads[WRITERS], NULL, reader_run, NULL) != 0) abort();
}

static void finish(pthread_t *threads, sark_cache_pinned *pinned)
{
    char report[200] = "";
    sark_cache_metrics metrics;
    atomic_store(&stop, true);
    for (uint32_t i = 0; i <= WRITERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(value_is_whole(pinned->value, 0));
    CHECK(sark_cache_unpin(cache, pinned) == SARK_CACHE_OK);
    sark_cache_metrics_read(cache, &metrics);
    CHECK(metrics.bytes_peak <= REGION_BYTES && metrics.entries_peak <= metrics.max_entries);
    CHECK(metrics.leases_in_use == 0 && metrics.pins_in_use == 0);
    CHECK(atomic_load(&refused) == 0);
    CHECK(sark_cache_check(cache, report, sizeof report));
    if (report[0]) printf("  check: %s\n", report);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

TEST(stalled_readers)
{
    pthread_t threads[WRITERS + 1];
    uint32_t numbers[WRITERS];
    sark_cache_pinned pinned;
    uint64_t stalls = test_scaled(STALLS, 20), inside = 0;
    start(threads, numbers, &pinned);
    handle(stall);
    uint64_t began_ns = test_now_ns();
    for (uint64_t i = 0; i < stalls; i++) {
        uint64_t reads_before = atomic_load(&reads);
        inside += stall_once(threads[WRITERS], CALLS / STALLS / WRITERS);
        wait_for(&reads, reads_before + 1 + i % 3);
    }
    printf("  %d stalls, %d inside a read, %d of %d reads hit, %d calls of writers, %d ms\n",
           (int)stalls, (int)inside, (int)hits, (int)reads, (int)(writer_calls[0] +
           writer_calls[1]), (int)((test_now_ns() - began_ns) / 1000000));
    CHECK(inside >= stalls / 10);
    CHECK(hits > 0);
    finish(threads, &pinned);
}

TEST(reads_inside_a_read)
{
    pthread_t threads[WRITERS + 1];
    uint32_t numbers[WRITERS];
    sark_cache_pinned pinned;
    uint64_t signals = test_scaled(5000, 100);
    start(threads, numbers, &pinned);
    handle(read_inside);
    for (uint64_t i = 0; i < signals; i++) {
        test_watchdog(120);
        CHECK(pthread_kill(threads[WRITERS], SIGUSR1) == 0);
        wait_for(&reads_inside, i + 1);
    }
    printf("  %d signals, %d hits inside a read\n", (int)signals, (int)hits_inside);
    CHECK(hits_inside > signals / 20);
    finish(threads, &pinned);
}

int main(void)
{
    if (ATOMIC_LLONG_LOCK_FREE != 2) {
        printf("not run: stress_stall (reads take a lock here)\n");
        return 77;
    }
    seed = test_seed();
    if (pipe(gate) != 0) abort();
    RUN(stalled_readers);
    RUN(reads_inside_a_read);
    test_watchdog(0);
    return test_summary();
}
