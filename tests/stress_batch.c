/* The hits of a batch come in the order of its requests: whatever other threads did to the slots of
   leases before, do at the same time with other keys, or have just written. */

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

#include "test.h"

#include <semaphore.h>
#include <string.h>

enum { KEYS = 16, NOISE_KEY = 1000, NOISY_THREADS = 2, TURNS = 80 /* more threads than slots */ };

static sark_cache *cache;
static uint64_t random_state;

static void create(uint32_t lease_count)
{
    sark_cache_config config = {.max_entries = 100, .lease_count = lease_count};
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    for (uint32_t key = 0; key < KEYS; key++)
        CHECK(sark_cache_set(cache, &key, sizeof key, &key, sizeof key, 0) == SARK_CACHE_OK);
    uint32_t noise = NOISE_KEY;
    CHECK(sark_cache_set(cache, &noise, sizeof noise, &noise, sizeof noise, 0) == SARK_CACHE_OK);
}

/* ---- Orders --------------------------------------------------------------------------------- */

/* Gets all keys once in an order, in one call. */
static void *get_in_order(void *context)
{
    const uint32_t *order = context;
    sark_cache_get_request requests[KEYS];
    uint32_t values[KEYS];
    for (uint32_t i = 0; i < KEYS; i++)
        requests[i] = (sark_cache_get_request){&order[i], sizeof order[i], &values[i],
                                               sizeof values[i], 0, SARK_CACHE_MISS};
    CHECK(sark_cache_get_many(cache, requests, KEYS) == SARK_CACHE_OK);
    for (uint32_t i = 0; i < KEYS; i++) CHECK(values[i] == order[i]);
    return NULL;
}

static void shuffle(uint32_t *order)
{
    for (uint32_t i = 0; i < KEYS; i++) order[i] = i;
    for (uint32_t i = KEYS; i > 1; i--) {
        uint32_t other = (uint32_t)test_below(&random_state, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* Whether the keys stand in this order of recency. */
static bool is_order(const uint32_t *order)
{
    sark_cache_ranked ranked[KEYS + 1];
    uint32_t keys[KEYS + 1], seen = 0;
    size_t found = 0;
    bool same = true;
    for (uint32_t i = 0; i <= KEYS; i++)
        ranked[i] = (sark_cache_ranked){&keys[i], sizeof keys[i], 0, 0};
    CHECK(sark_cache_coldest(cache, ranked, KEYS + 1, &found) == SARK_CACHE_OK);
    for (size_t i = 0; i < found; i++) {
        uint32_t key;
        memcpy(&key, ranked[i].key, sizeof key);
        if (key != NOISE_KEY) same = same && seen < KEYS && key == order[seen++];
    }
    return same && seen == KEYS;
}

/* ---- Slots that others have used ------------------------------------------------------------ */

static uint32_t wanted[KEYS]; /* the order in which the next batch gets the keys */
static bool turns_end;
static sem_t turns[TURNS], turn_done;

static void *take_turns(void *context)
{
    sem_t *mine = context;
    for (;;) {
        while (sem_wait(mine) != 0) continue;
        if (turns_end) return NULL;
        (void)get_in_order(wanted);
        (void)sem_post(&turn_done);
    }
}

/* Thread after thread gets a batch; nothing overlaps. A slot in which too many others were before
   makes a thread change to another one, in the middle of a batch. */
TEST(threads_one_after_another)
{
    uint64_t rounds = test_scaled(8000, 1000), wrong = 0;
    pthread_t threads[TURNS];
    create(0);
    turns_end = false;
    (void)sem_init(&turn_done, 0, 0);
    for (int i = 0; i < TURNS; i++) {
        (void)sem_init(&turns[i], 0, 0);
        REQUIRE(pthread_create(&threads[i], NULL, take_turns, &turns[i]) == 0);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        shuffle(wanted);
        (void)sem_post(&turns[round % TURNS]);
        while (sem_wait(&turn_done) != 0) continue;
        wrong += !is_order(wanted);
    }
    turns_end = true;
    for (int i = 0; i < TURNS; i++) (void)sem_post(&turns[i]);
    for (int i = 0; i < TURNS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < TURNS; i++) (void)sem_destroy(&turns[i]);
    (void)sem_destroy(&turn_done);
    CHECK(wrong == 0);
    if (wrong) printf("  %u of %u in a wrong order\n", (unsigned)wrong, (unsigned)rounds);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

/* ---- Slots that others are using ------------------------------------------------------------ */

static _Atomic(bool) noise_ends;
static pthread_barrier_t noise_begins;

static void *make_noise(void *context)
{
    uint32_t key = NOISE_KEY, value;
    (void)context;
    pthread_barrier_wait(&noise_begins);
    while (!atomic_load_explicit(&noise_ends, memory_order_relaxed))
        CHECK(sark_cache_get(cache, &key, sizeof key, &value, sizeof value, NULL) ==
              SARK_CACHE_OK);
    return NULL;
}

/* With two leases the batch finds its own taken again and again, or none: then a hit is stamped
   under the lock of a shard. */
TEST(while_others_take_the_leases)
{
    uint64_t rounds = test_scaled(200000, 2000), wrong = 0;
    pthread_t threads[NOISY_THREADS];
    create(2);
    atomic_store(&noise_ends, false);
    pthread_barrier_init(&noise_begins, NULL, NOISY_THREADS + 1);
    for (int i = 0; i < NOISY_THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, make_noise, NULL) == 0);
    pthread_barrier_wait(&noise_begins);
    for (uint64_t round = 0; round < rounds; round++) {
        uint32_t order[KEYS];
        shuffle(order);
        (void)get_in_order(order);
        wrong += !is_order(order);
    }
    atomic_store(&noise_ends, true);
    for (int i = 0; i < NOISY_THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_barrier_destroy(&noise_begins);
    CHECK(wrong == 0);
    if (wrong) printf("  %u of %u in a wrong order\n", (unsigned)wrong, (unsigned)rounds);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

/* ---- What was written meanwhile ------------------------------------------------------------- */

static _Thread_local bool waits_in_clock;
static pthread_barrier_t in_clock, written;

/* The time stands; who is to wait does so once, in the middle of a batch. */
static int64_t clock_ms(void *context)
{
    (void)context;
    if (waits_in_clock) {
        waits_in_clock = false;
        pthread_barrier_wait(&in_clock);
        pthread_barrier_wait(&written);
    }
    return 1000;
}

/* Gets keys of one letter, the first of which has a TTL and makes the batch look at the clock. */
static void *get_and_wait(void *context)
{
    const char *wanted_keys = context;
    char values[4][8];
    sark_cache_get_request requests[4];
    size_t count = strlen(wanted_keys);
    for (size_t i = 0; i < count; i++)
        requests[i] = (sark_cache_get_request){&wanted_keys[i], 1, values[i], 8, 0,
                                               SARK_CACHE_MISS};
    waits_in_clock = true;
    CHECK(sark_cache_get_many(cache, requests, count) == SARK_CACHE_OK);
    return NULL;
}

static void write_both(void)
{
    CHECK(sark_cache_set(cache, "y", 1, "new", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "x", 1, "new", 3, 0) == SARK_CACHE_OK);
}

static void touch_x(void) { CHECK(sark_cache_touch(cache, "x", 1, 0) == SARK_CACHE_OK); }

static void get_x(void)
{
    char value[8];
    CHECK(sark_cache_get(cache, "x", 1, value, sizeof value, NULL) == SARK_CACHE_OK);
}

/* Runs a batch, and something else in its middle; t, x and y must then stand in that order. */
static void check_meanwhile(char *wanted_keys, void (*meanwhile)(void))
{
    sark_cache_config config = {.max_entries = 10, .max_bytes = 1 << 20, .shard_count = 1,
                                .clock = {clock_ms, NULL}};
    sark_cache_ranked ranked[3];
    char keys[3];
    pthread_t thread;
    size_t found = 0;
    REQUIRE(sark_cache_create(&cache, &config) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "x", 1, "old", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "y", 1, "old", 3, 0) == SARK_CACHE_OK);
    CHECK(sark_cache_set(cache, "t", 1, "old", 3, 100000) == SARK_CACHE_OK);
    get_x();
    pthread_barrier_init(&in_clock, NULL, 2);
    pthread_barrier_init(&written, NULL, 2);
    REQUIRE(pthread_create(&thread, NULL, get_and_wait, wanted_keys) == 0);
    pthread_barrier_wait(&in_clock);
    meanwhile();
    pthread_barrier_wait(&written);
    CHECK(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < 3; i++) ranked[i] = (sark_cache_ranked){&keys[i], 1, 0, 0};
    CHECK(sark_cache_coldest(cache, ranked, 3, &found) == SARK_CACHE_OK && found == 3);
    CHECK(*(char *)ranked[0].key == 't' && *(char *)ranked[1].key == 'x' &&
          *(char *)ranked[2].key == 'y');
    pthread_barrier_destroy(&in_clock);
    pthread_barrier_destroy(&written);
    CHECK(sark_cache_destroy(cache) == SARK_CACHE_OK);
}

/* What happens when the batch has begun came before its hits on the same entries. */
TEST(what_happened_meanwhile_came_before)
{
    static char twice[] = "tyxy", once[] = "txy";
    check_meanwhile(twice, write_both);
    check_meanwhile(once, touch_x);
    check_meanwhile(once, get_x);
}

int main(void)
{
    random_state = test_seed();
    test_watchdog(600);
    RUN(threads_one_after_another);
    RUN(while_others_take_the_leases);
#if ATOMIC_LLONG_LOCK_FREE == 2 /* elsewhere the batch waits with a lock */
    RUN(what_happened_meanwhile_came_before);
#endif
    return test_summary();
}
