/* Leases and pins (>>lease of sark_cache.h, and the uses of pins in >>reading), white box: homes
   of threads, claims, exhaustion, scans, sequences of pins; alone, and by several threads.

   unit_lease [seed] */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

#include <sched.h>

enum { MOST = SARKI_MAX_LEASES + SARKI_MAX_PINS, THREADS = 4 };

static uint64_t seed = 1;

static sark_cache *create(uint32_t lease_count, uint32_t pin_count)
{
    sark_cache_config config = support_config(1000);
    config.lease_count = lease_count;
    config.pin_count = pin_count;
    return support_create(&config);
}

/* A number as sarki_thread_hash makes them, with this tag and this place among the hints. */
static uint32_t thread_of(uint32_t tag, uint32_t place)
{
    return (tag << 16 | 0x10000u) | (place & 0xffff);
}

static uint32_t slot_of(const sarki_leases *leases, const sarki_lease *lease)
{
    return (uint32_t)(((const char *)lease - leases->slots) / (ptrdiff_t)leases->spacing);
}

static void release(sarki_lease *lease) { sarki_store32_release(&lease->a_ref, 0); }

/* Claims at the thread's home, as a read does. */
static sarki_lease *claim(sarki_leases *leases, uint32_t thread, uint32_t ref)
{
    sarki_lease *lease = sarki_lease_claim(leases, thread, sarki_home(leases, thread), ref);
    if (lease) CHECK(slot_of(leases, lease) < sarki_load32_relaxed(&leases->a_slots_used)); /* L1 */
    return lease;
}

/* ---- Homes ---------------------------------------------------------------------------------- */

/* As many threads as there are leases have homes of their own, and keep them. */
static void homes_of_threads(uint32_t lease_count)
{
    sark_cache *cache = create(lease_count, 1);
    sarki_leases *leases = &cache->leases;
    static uint32_t taken[SARKI_MAX_LEASES], threads[SARKI_MAX_LEASES], homes[SARKI_MAX_LEASES];
    uint64_t random = seed;
    uint32_t kept = 0;
    memset(taken, 0, sizeof taken);
    for (uint32_t i = 0; i < lease_count; i++) {
        threads[i] = thread_of(2 * i + 1, (uint32_t)random_next(&random)); /* no tag is twice */
        homes[i] = sarki_home(leases, threads[i]);
        REQUIRE(homes[i] < lease_count);
        CHECK(taken[homes[i]]++ == 0);
        CHECK(sarki_home(leases, threads[i]) == homes[i]);
    }
    for (uint32_t i = 0; i < lease_count; i++)
        kept += sarki_home(leases, threads[i]) == homes[i];
    CHECK(kept * 10 >= lease_count * 9); /* a hint may have given way to another thread's */
    CHECK(sarki_load32_relaxed(&leases->a_slots_used) == lease_count);
    FINISH(cache);
}

TEST(homes_of_threads)
{
    static const uint32_t counts[] = {2, 3, 8, 63, 64, 100, 1024};
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++) homes_of_threads(counts[i]);
}

/* Numbers as the system's threads have them: addresses, a stack apart. */
TEST(homes_of_addresses)
{
    sark_cache *cache = create(64, 1);
    uint32_t taken[64] = {0}, most = 0;
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t number = 0x7f1200000700 + i * 0x801000;
        uint32_t thread = (uint32_t)(number * 0x9e3779b97f4a7c15u >> 32) | 0x10000u;
        uint32_t home = sarki_home(&cache->leases, thread);
        REQUIRE(home < 64);
        if (++taken[home] > most) most = taken[home];
    }
    CHECK(most == 1);
    FINISH(cache);
}

/* Far more threads than leases: all homes are in use, none by many more than others. */
TEST(more_threads_than_leases)
{
    sark_cache *cache = create(16, 1);
    uint32_t taken[16] = {0};
    uint64_t random = seed;
    for (uint32_t i = 0; i < 1600; i++) {
        uint32_t home = sarki_home(&cache->leases, thread_of(2 * i + 1,
                                                             (uint32_t)random_next(&random)));
        REQUIRE(home < 16);
        taken[home]++;
    }
    for (uint32_t i = 0; i < 16; i++) CHECK(taken[i] >= 90 && taken[i] <= 110);
    FINISH(cache);
}

/* Threads whose hints have the same place: up to four stand beside each other, a fifth replaces
   one of them; each gets a home that is in range whenever it asks. */
TEST(hints_at_one_place)
{
    sark_cache *cache = create(64, 1);
    sarki_leases *leases = &cache->leases;
    uint32_t homes[4];
    for (uint32_t i = 0; i < 4; i++) homes[i] = sarki_home(leases, thread_of(2 * i + 1, 77));
    for (uint32_t i = 0; i < 4; i++)
        CHECK(sarki_home(leases, thread_of(2 * i + 1, 77)) == homes[i]);
    CHECK(sarki_home(leases, thread_of(99, 77)) == 4);
    CHECK(sarki_home(leases, thread_of(99, 77)) == 4);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t probe = 0; probe < SARKI_HINT_PROBES; probe++)
            kept += sarki_load32_relaxed(sarki_hint_at(leases, 77, probe)) ==
                    (thread_of(2 * i + 1, 77) >> 16 << 16 | (homes[i] + 1));
    CHECK(kept == 3);
    FINISH(cache);
}

/* Hints at the end of their table go on at its beginning. */
TEST(hints_wrap)
{
    sark_cache *cache = create(64, 1);
    sarki_leases *leases = &cache->leases;
    uint32_t last = leases->hint_mask, homes[4];
    for (uint32_t i = 0; i < 4; i++) homes[i] = sarki_home(leases, thread_of(2 * i + 1, last));
    for (uint32_t i = 0; i < 4; i++)
        CHECK(sarki_home(leases, thread_of(2 * i + 1, last)) == homes[i]);
    CHECK(sarki_load32_relaxed(&leases->a_hints[0]) != 0);
    CHECK(sarki_load32_relaxed(&leases->a_hints[2]) != 0);
    FINISH(cache);
}

/* ---- Collisions ----------------------------------------------------------------------------- */

/* Two threads whose numbers lead to one hint: both get a lease, at the same time. */
TEST(one_hint_for_two_threads)
{
    sark_cache *cache = create(64, 1);
    sarki_leases *leases = &cache->leases;
    uint32_t mask = leases->hint_mask;
    uint32_t one = thread_of(5, 3), other = thread_of(5, 3 + mask + 1);
    REQUIRE(one != other && one >> 16 == other >> 16);
    CHECK(sarki_home(leases, one) == sarki_home(leases, other));
    for (uint32_t round = 0; round < 200; round++) {
        sarki_lease *first = claim(leases, one, 1000), *second = claim(leases, other, 1001);
        REQUIRE(first != NULL && second != NULL);
        CHECK(first != second);
        CHECK(sarki_load32_relaxed(&first->a_ref) == 1000);
        CHECK(sarki_load32_relaxed(&second->a_ref) == 1001);
        release(first);
        release(second);
    }
    FINISH(cache);
}

/* Two threads with one home, that take turns and never meet: one of them moves out. */
TEST(strangers_part)
{
    sark_cache *cache = create(4, 1);
    sarki_leases *leases = &cache->leases;
    uint32_t threads[5];
    for (uint32_t i = 0; i < 5; i++) {
        threads[i] = thread_of(2 * i + 1, 40 * i);
        sarki_home(leases, threads[i]);
    }
    uint32_t home = sarki_home(leases, threads[0]);
    REQUIRE(home == sarki_home(leases, threads[4]));
    uint32_t visits = 0;
    while (sarki_home(leases, threads[0]) == sarki_home(leases, threads[4]) && visits < 1000) {
        release(claim(leases, threads[visits % 2 ? 4 : 0], 1000));
        visits++;
    }
    CHECK(visits >= SARKI_STRANGERS && visits <= SARKI_STRANGERS + 1);
    FINISH(cache);
}

/* Alone at home, a thread stays. */
TEST(no_strangers)
{
    sark_cache *cache = create(4, 1);
    sarki_leases *leases = &cache->leases;
    uint32_t thread = thread_of(7, 7), home = sarki_home(leases, thread);
    for (uint32_t i = 0; i < 1000; i++) {
        sarki_lease *lease = claim(leases, thread, 1000 + i);
        REQUIRE(lease != NULL);
        CHECK(slot_of(leases, lease) == home);
        release(lease);
    }
    CHECK(sarki_home(leases, thread) == home);
    CHECK(sarki_load32_relaxed(&sarki_lease_at(leases, home)->a_strangers) <= 1);
    FINISH(cache);
}

/* A thread that finds its home taken claims the next free one, and stays there. */
TEST(home_taken)
{
    sark_cache *cache = create(8, 1);
    sarki_leases *leases = &cache->leases;
    uint32_t thread = thread_of(9, 9), home = sarki_home(leases, thread);
    for (uint32_t ahead = 0; ahead < SARKI_LEASE_PROBES - 1; ahead++)
        sarki_store32_relaxed(&sarki_lease_at(leases, (home + ahead) % 8)->a_ref, 5000 + ahead);
    sarki_lease *lease = claim(leases, thread, 1000);
    REQUIRE(lease != NULL);
    CHECK(slot_of(leases, lease) == (home + 7) % 8);
    CHECK(sarki_home(leases, thread) == slot_of(leases, lease));
    for (uint32_t i = 0; i < 8; i++) release(sarki_lease_at(leases, i));
    FINISH(cache);
}

/* ---- Exhaustion ----------------------------------------------------------------------------- */

/* Eight leases are probed, home included; a ninth that is free is not looked at. */
TEST(eight_probes)
{
    sark_cache *cache = create(16, 1);
    sarki_leases *leases = &cache->leases;
    uint32_t thread = thread_of(9, 9), home = sarki_home(leases, thread);
    for (uint32_t ahead = 0; ahead < SARKI_LEASE_PROBES; ahead++)
        sarki_store32_relaxed(&sarki_lease_at(leases, (home + ahead) % 16)->a_ref, 5000);
    CHECK(claim(leases, thread, 1000) == NULL);
    CHECK(sarki_home(leases, thread) == home);
    release(sarki_lease_at(leases, (home + SARKI_LEASE_PROBES - 1) % 16));
    sarki_lease *lease = claim(leases, thread, 1000);
    REQUIRE(lease != NULL);
    CHECK(slot_of(leases, lease) == (home + SARKI_LEASE_PROBES - 1) % 16);
    for (uint32_t i = 0; i < 16; i++) release(sarki_lease_at(leases, i));
    FINISH(cache);
}

/* All leases are claimed, one after the other; then reads take the lock, and still find. */
static void exhaust(uint32_t lease_count)
{
    sark_cache *cache = create(lease_count, 1);
    sarki_leases *leases = &cache->leases;
    CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
    for (uint32_t i = 0; i < lease_count; i++) {
        sarki_lease *lease = claim(leases, thread_of(2 * i + 1, i * 4), 1000 + i);
        REQUIRE(lease != NULL);
        CHECK(sarki_load32_relaxed(&lease->a_ref) == 1000 + i);
    }
    CHECK(claim(leases, thread_of(9999, 9999), 1) == NULL);
    CHECK(get_is(cache, "key", "value") && get_is(cache, "no key", NULL));
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.leases_in_use == lease_count && metrics.hits == 1 && metrics.misses == 1);
    CHECK(metrics.lock_fallbacks >= 1);
    int64_t ttl_ms = 0;
    CHECK(peek_is(cache, "key", "value") && peek_is(cache, "no key", NULL));
    CHECK(sark_cache_contains(cache, "key", 3) == SARK_CACHE_OK);
    CHECK(sark_cache_ttl(cache, "key", 3, &ttl_ms) == SARK_CACHE_OK);
    CHECK(metrics_of(cache).lock_fallbacks == metrics.lock_fallbacks);
    for (uint32_t i = 0; i < lease_count; i++) release(sarki_lease_at(leases, i));
    CHECK(get_is(cache, "key", "value"));
    if (SARKI_WIDE) CHECK(metrics_of(cache).lock_fallbacks == metrics.lock_fallbacks);
    FINISH(cache);
}

TEST(exhaustion)
{
    exhaust(2);
    exhaust(5);
    exhaust(64);
    exhaust(1024);
}

/* ---- Scans ---------------------------------------------------------------------------------- */

static int compare(const void *one, const void *other)
{
    uint32_t a, b;
    memcpy(&a, one, sizeof a);
    memcpy(&b, other, sizeof b);
    return (a > b) - (a < b);
}

/* Whether a scan gives exactly these references, in any order. */
static bool scan_is(const sarki_leases *leases, uint32_t *claimed, uint32_t count)
{
    static uint32_t refs[MOST];
    if (sarki_leases_scan(leases, refs) != count) return false;
    if (count == 0) return true;
    qsort(refs, count, sizeof refs[0], compare);
    qsort(claimed, count, sizeof claimed[0], compare);
    return memcmp(refs, claimed, count * sizeof refs[0]) == 0;
}

/* What is claimed now, by the test's own books. */
typedef struct books {
    sarki_lease *leases[SARKI_MAX_LEASES];
    sarki_pin *pins[SARKI_MAX_PINS];
    uint32_t lease_refs[SARKI_MAX_LEASES], pin_refs[SARKI_MAX_PINS];
    uint32_t lease_count, pin_count;
} books;

static bool books_agree(const sarki_leases *leases, const books *kept)
{
    static uint32_t claimed[MOST];
    memcpy(claimed, kept->lease_refs, kept->lease_count * sizeof claimed[0]);
    memcpy(claimed + kept->lease_count, kept->pin_refs, kept->pin_count * sizeof claimed[0]);
    return scan_is(leases, claimed, kept->lease_count + kept->pin_count);
}

static void scan_step_claim(sarki_leases *leases, books *kept, uint64_t *random, uint32_t ref)
{
    if (random_below(random, 3) == 0) {
        sarki_pin *pin = sarki_pin_claim(leases, ref);
        CHECK((pin == NULL) == (kept->pin_count == leases->pin_count));
        if (!pin) return;
        kept->pins[kept->pin_count] = pin;
        kept->pin_refs[kept->pin_count++] = ref;
    } else {
        sarki_lease *lease = claim(leases, (uint32_t)random_next(random) | 0x10000u, ref);
        if (!lease) {
            CHECK(kept->lease_count >= sarki_min32(leases->lease_count, SARKI_LEASE_PROBES));
            return;
        }
        kept->leases[kept->lease_count] = lease;
        kept->lease_refs[kept->lease_count++] = ref;
    }
}

static void scan_step_release(books *kept, uint64_t *random)
{
    if (kept->pin_count > 0 && random_below(random, 3) == 0) {
        uint32_t i = random_below(random, kept->pin_count);
        sarki_store32_release(&kept->pins[i]->a_ref, 0);
        kept->pins[i] = kept->pins[--kept->pin_count];
        kept->pin_refs[i] = kept->pin_refs[kept->pin_count];
    } else if (kept->lease_count > 0) {
        uint32_t i = random_below(random, kept->lease_count);
        release(kept->leases[i]);
        kept->leases[i] = kept->leases[--kept->lease_count];
        kept->lease_refs[i] = kept->lease_refs[kept->lease_count];
    }
}

/* Random claims and releases by very many threads: a scan sees what is claimed, and no more. */
static void scan_random(uint32_t lease_count, uint32_t pin_count, uint64_t steps)
{
    static books kept;
    uint64_t random = seed + lease_count;
    sark_cache *cache = create(lease_count, pin_count);
    memset(&kept, 0, sizeof kept);
    CHECK(books_agree(&cache->leases, &kept));
    for (uint64_t step = 0; step < steps; step++) {
        bool grows = random_below(&random, 100) < (step / 500 % 2 ? 30u : 70u);
        uint32_t ref = 2 + random_below(&random, 5000);
        if (grows) scan_step_claim(&cache->leases, &kept, &random, ref);
        else scan_step_release(&kept, &random);
        CHECK(books_agree(&cache->leases, &kept));
    }
    while (kept.lease_count + kept.pin_count > 0) scan_step_release(&kept, &random);
    CHECK(books_agree(&cache->leases, &kept));
    FINISH(cache);
}

TEST(scans)
{
    scan_random(2, 1, support_length(NULL, 20000));
    scan_random(7, 3, support_length(NULL, 20000));
    scan_random(64, 16, support_length(NULL, 20000));
    scan_random(1024, 1024, support_length(NULL, 4000));
}

/* ---- Pins ----------------------------------------------------------------------------------- */

TEST(uses_of_pins)
{
    sark_cache *cache = create(2, 1024);
    sarki_leases *leases = &cache->leases;
    static uint32_t uses[1024];
    for (uint32_t row = 0; row < 1024; row++) {
        sarki_pin *pin = sarki_pin_claim(leases, 5000 + row);
        REQUIRE(pin == &leases->pins[row]);
        CHECK(!sarki_pin_back(leases, row, 0) && !sarki_pin_back(leases, row, 1)); /* not yet out */
        uses[row] = sarki_pin_out(pin);
    }
    CHECK(sarki_pin_claim(leases, 1) == NULL);
    CHECK(!sarki_pin_back(leases, 1024, uses[0]) && !sarki_pin_back(leases, UINT32_MAX, uses[0]));
    for (uint32_t i = 0; i < 1024; i++) {
        uint32_t row = i * 7 % 1024;
        CHECK(sarki_pin_back(leases, row, uses[row]));
        CHECK(!sarki_pin_back(leases, row, uses[row]));
        CHECK(sarki_load32_relaxed(&leases->pins[row].a_ref) == 0);
    }
    FINISH(cache);
}

/* A use is given back once; those before and after it, and those of other rows, never are. */
TEST(stale_uses)
{
    sark_cache *cache = create(2, 3);
    sarki_leases *leases = &cache->leases;
    uint32_t before = 0;
    for (uint32_t round = 0; round < 1000; round++) {
        uint32_t use = sarki_pin_out(sarki_pin_claim(leases, 5000));
        CHECK(use != before && !sarki_pin_back(leases, 0, before));
        for (uint32_t off = 1; off < 5; off++) {
            CHECK(!sarki_pin_back(leases, 0, use + off) && !sarki_pin_back(leases, 0, use - off));
            CHECK(!sarki_pin_back(leases, off, use));
        }
        CHECK(!sarki_pin_back(leases, 0, 0) && !sarki_pin_back(leases, 0, UINT32_MAX));
        CHECK(sarki_load32_relaxed(&leases->pins[0].a_ref) == 5000);
        CHECK(sarki_pin_back(leases, 0, use));
        before = use;
    }
    FINISH(cache);
}

/* The sequence begins anew after 2^32 changes, and is odd while the pin is out, as ever. */
static void wrap(uint32_t sequence)
{
    sark_cache *cache = create(2, 2);
    sarki_leases *leases = &cache->leases;
    uint32_t before = sequence - 7;
    sarki_store32_relaxed(&leases->pins[0].a_sequence, sequence - 6);
    for (uint32_t round = 0; round < 6; round++) {
        sarki_pin *pin = sarki_pin_claim(leases, 5000);
        REQUIRE(pin == &leases->pins[0]);
        uint32_t use = sarki_pin_out(pin);
        CHECK(use == sequence - 6 + 2 * round + 1 && use == before + 2);
        CHECK(sarki_load32_relaxed(&pin->a_sequence) == use && sarki_pins_are_out(cache));
        CHECK(sark_cache_destroy(cache) == SARK_CACHE_BUSY);
        CHECK(!sarki_pin_back(leases, 0, before) && sarki_pin_back(leases, 0, use));
        CHECK(!sarki_pins_are_out(cache));
        before = use;
    }
    CHECK(sarki_load32_relaxed(&leases->pins[0].a_sequence) == sequence + 6);
    FINISH(cache);
}

TEST(sequences_wrap)
{
    wrap(0);
    wrap(1u << 22);
    wrap(1u << 31);
}

/* Through the cache: what unpin is given must be what pin gave. */
/* Nobody has a token of a walk's pin; one that is made up is refused, and so is one of no pin. */
TEST(a_pin_without_a_token)
{
    sark_cache *cache = create(2, 2);
    sarki_pin *pin = sarki_pin_claim(&cache->leases, SARKI_CLAIMED);
    REQUIRE(pin != NULL);
    sarki_store32_relaxed(&pin->a_visitor, sarki_thread_hash());
    uint32_t use = sarki_pin_out(pin);
    sark_cache_pinned made_up = {.value = cache->region, .pin = 0, .use = use};
    CHECK(sark_cache_unpin(cache, &made_up) == SARK_CACHE_BAD_ARGUMENT);
    made_up.pin = 2;
    CHECK(sark_cache_unpin(cache, &made_up) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(metrics_of(cache).pinned_bytes == 0 && metrics_of(cache).pins_in_use == 1);
    CHECK(sarki_pin_back(&cache->leases, 0, use));
    FINISH(cache);
}

TEST(pins_of_a_cache)
{
    sark_cache *cache = create(2, 2);
    sark_cache_pinned one, two, three, copy;
    CHECK(put(cache, "key", "value", 0) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "key", 3, &one) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "key", 3, &two) == SARK_CACHE_OK);
    CHECK(sark_cache_pin(cache, "key", 3, &three) == SARK_CACHE_NO_PIN);
    CHECK(one.pin != two.pin && one.version == two.version && one.value == two.value);
    copy = one;
    CHECK(sark_cache_unpin(cache, &one) == SARK_CACHE_OK && one.use == 0 && one.value == NULL);
    CHECK(sark_cache_unpin(cache, &copy) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_unpin(cache, &one) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_pin(cache, "key", 3, &three) == SARK_CACHE_OK);
    CHECK(three.pin != copy.pin || three.use != copy.use);
    CHECK(sark_cache_unpin(cache, &copy) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_unpin(cache, &two) == SARK_CACHE_OK);
    CHECK(sark_cache_unpin(cache, &three) == SARK_CACHE_OK);
    FINISH(cache);
}

/* ---- Several threads ------------------------------------------------------------------------ */

typedef struct worker {
    pthread_t thread;
    sark_cache *cache;
    uint32_t number;
    uint64_t claims, refusals, rounds;
} worker;

static _Atomic(uint32_t) holders[SARKI_MAX_LEASES]; /* who holds a slot, by the test's own books */

static bool scan_contains(const sarki_leases *leases, uint32_t ref)
{
    uint32_t refs[MOST], count = sarki_leases_scan(leases, refs);
    return sarki_refs_contain(refs, count, ref);
}

/* Claims, looks whether nobody else has the slot and a scan sees the claim, and ends it. */
static void *work(void *argument)
{
    worker *self = argument;
    sarki_leases *leases = &self->cache->leases;
    uint32_t thread = sarki_thread_hash();
    for (uint64_t round = 0; round < self->rounds; round++) {
        uint32_t ref = self->number << 24 | (uint32_t)(round & 0xffffff);
        sarki_lease *lease = claim(leases, thread, ref);
        if (!lease) {
            self->refusals++;
            continue;
        }
        _Atomic(uint32_t) *holder = &holders[slot_of(leases, lease)];
        CHECK(atomic_exchange(holder, self->number) == 0);
        if (round % 16 == 0) CHECK(scan_contains(leases, ref));
        if (round % 8 == 0) sched_yield(); /* others find their homes taken */
        CHECK(sarki_load32_relaxed(&lease->a_ref) == ref);
        CHECK(atomic_exchange(holder, 0) == self->number);
        release(lease);
        self->claims++;
    }
    return NULL;
}

static void threads_claim(uint32_t lease_count)
{
    static worker workers[THREADS];
    sark_cache *cache = create(lease_count, 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){.cache = cache, .number = i + 1,
                              .rounds = support_length(NULL, 50000)};
        REQUIRE(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        CHECK(workers[i].claims + workers[i].refusals == workers[i].rounds);
        if (lease_count >= 2 * SARKI_LEASE_PROBES)
            CHECK(workers[i].refusals * 100 <= workers[i].rounds);
    }
    CHECK(scan_is(&cache->leases, NULL, 0));
    FINISH(cache);
}

TEST(threads_claim)
{
    threads_claim(2);
    threads_claim(3);
    threads_claim(64);
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(homes_of_threads);
    RUN(homes_of_addresses);
    RUN(more_threads_than_leases);
    RUN(hints_at_one_place);
    RUN(hints_wrap);
    RUN(one_hint_for_two_threads);
    RUN(strangers_part);
    RUN(no_strangers);
    RUN(home_taken);
    RUN(eight_probes);
    RUN(exhaustion);
    RUN(scans);
    RUN(uses_of_pins);
    RUN(stale_uses);
    RUN(sequences_wrap);
    RUN(a_pin_without_a_token);
    RUN(pins_of_a_cache);
    RUN(threads_claim);
    return test_summary();
}
