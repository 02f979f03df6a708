/* Latencies (>>latency of sark_cache.h), white box: buckets and their ends, and percentiles against
   the sorted latencies themselves.

   unit_latency [seed] */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { MOST_SAMPLES = 20000, LAST = SARK_CACHE_LATENCY_BUCKETS - 1 };

static uint64_t seed = 1;

/* ---- Buckets -------------------------------------------------------------------------------- */

/* The least latency of a bucket, by the manual: 32 ns, and four to each power of two from there. */
static uint64_t bucket_begin(uint32_t bucket)
{
    if (bucket == 0) return 0;
    return (uint64_t)(4 + (bucket - 1) % 4) << ((bucket - 1) / 4 + 3);
}

static bool bucket_is_right(uint64_t ns)
{
    uint32_t bucket = sarki_latency_bucket(ns);
    if (bucket > LAST || ns < bucket_begin(bucket)) return false;
    if (bucket == LAST) return true;
    return ns < bucket_begin(bucket + 1) && ns <= sarki_latency_bucket_end(bucket);
}

TEST(buckets_begin_where_others_end)
{
    for (uint32_t bucket = 0; bucket < LAST; bucket++) {
        uint64_t end = sarki_latency_bucket_end(bucket);
        CHECK(end + 1 == bucket_begin(bucket + 1));
        CHECK(sarki_latency_bucket(end) == bucket);
        CHECK(sarki_latency_bucket(end + 1) == bucket + 1);
        CHECK(sarki_latency_bucket(bucket_begin(bucket)) == bucket);
    }
    CHECK(bucket_begin(1) == 32);
    CHECK(sarki_latency_bucket(UINT64_MAX) == LAST);
}

TEST(buckets_around_powers_of_two)
{
    for (uint32_t top = 0; top < 64; top++)
        for (uint32_t eighth = 0; eighth < 8; eighth++)
            for (uint64_t more = 0; more < 5; more++) {
                uint64_t power = (uint64_t)1 << top;
                CHECK(bucket_is_right(power + (power >> 3) * eighth + more - 2));
            }
    for (uint64_t ns = 0; ns < 300000; ns++) CHECK(bucket_is_right(ns));
}

TEST(buckets_of_random_latencies)
{
    uint64_t random = seed;
    for (uint32_t i = 0; i < 200000; i++)
        CHECK(bucket_is_right(random_next(&random) >> random_below(&random, 64)));
}

/* ---- Percentiles ---------------------------------------------------------------------------- */

static uint64_t samples[MOST_SAMPLES];

static int compare(const void *one, const void *other)
{
    uint64_t a, b;
    memcpy(&a, one, sizeof a);
    memcpy(&b, other, sizeof b);
    return (a > b) - (a < b);
}

/* What a percentile has to be: the end of the bucket of the latency of this rank, but not above
   the longest. */
static uint64_t expected(uint32_t count, uint64_t per_mille)
{
    if (count == 0) return 0;
    uint64_t rank = count * per_mille / 1000 + (count * per_mille % 1000 != 0);
    uint64_t max = samples[count - 1], ns = samples[rank > 0 ? rank - 1 : 0];
    if (sarki_latency_bucket(ns) == LAST) return max;
    uint64_t end = bucket_begin(sarki_latency_bucket(ns) + 1) - 1;
    return end < max ? end : max;
}

/* Counts the samples on top of a baseline, and compares. */
static void compare_percentiles(uint32_t count, uint64_t *random)
{
    sark_cache_latency latency, baseline;
    memset(&latency, 0, sizeof latency);
    memset(&baseline, 0, sizeof baseline);
    for (uint32_t i = 0; i <= LAST; i++)
        latency.buckets[i] = baseline.buckets[i] = random_below(random, 1000);
    for (uint32_t i = 0; i < count; i++) latency.buckets[sarki_latency_bucket(samples[i])]++;
    qsort(samples, count, sizeof samples[0], compare);
    latency.max_ns = count ? samples[count - 1] : 0;
    sarki_latency_finish(&latency, &baseline);
    CHECK(latency.count == count);
    CHECK(latency.p50_ns == expected(count, 500));
    CHECK(latency.p95_ns == expected(count, 950));
    CHECK(latency.p99_ns == expected(count, 990));
    CHECK(latency.p999_ns == expected(count, 999));
    CHECK(latency.p50_ns <= latency.p95_ns && latency.p95_ns <= latency.p99_ns);
    CHECK(latency.p99_ns <= latency.p999_ns && latency.p999_ns <= latency.max_ns);
}

/* A latency: one and the same, of a usual size, of any size, or too long for the buckets. */
static uint64_t random_latency(uint64_t *random, uint32_t kind)
{
    switch (kind) {
    case 0: return 100;
    case 1: return 20 + random_below(random, 200);
    case 2: return random_next(random) >> (30 + random_below(random, 34));
    case 3: return ((uint64_t)1 << 21) + random_below(random, 1u << 30);
    default: return random_below(random, 100) ? 50 : 1000000 + random_below(random, 1u << 30);
    }
}

TEST(percentiles)
{
    static const uint32_t counts[] = {0,   1,   2,   3,    10,   19,   20,   21,  99,
                                      100, 101, 999, 1000, 1001, 2000, 9999, MOST_SAMPLES};
    uint64_t random = seed;
    for (uint32_t kind = 0; kind < 5; kind++)
        for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            for (uint32_t at = 0; at < counts[i]; at++)
                samples[at] = random_latency(&random, kind);
            compare_percentiles(counts[i], &random);
        }
}

/* ---- In a cache ----------------------------------------------------------------------------- */

static void exercise(sark_cache *cache, uint32_t calls)
{
    for (uint32_t i = 0; i < calls; i++) {
        CHECK(put(cache, "here", "value", 0) == SARK_CACHE_OK);
        CHECK(get_is(cache, "here", "value"));
        CHECK(get_is(cache, "not here", NULL));
    }
}

/* The buckets add up to the count, and the longest is in the last that is not empty. */
static bool adds_up(const sark_cache_latency *latency, uint64_t count)
{
    uint64_t sum = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i <= LAST; i++) {
        sum += latency->buckets[i];
        if (latency->buckets[i]) last = i;
    }
    return latency->count == count && sum == count &&
           (count == 0 || sarki_latency_bucket(latency->max_ns) == last);
}

TEST(each_call_is_timed)
{
    sark_cache_config config = support_config(100);
    config.latency_sample_every = 1;
    sark_cache *cache = support_create(&config);
    exercise(cache, 500);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(adds_up(&metrics.hit, 500) && adds_up(&metrics.miss, 500) && adds_up(&metrics.set, 500));
    sark_cache_metrics_reset(cache);
    metrics = metrics_of(cache);
    CHECK(adds_up(&metrics.hit, 0) && metrics.hit.max_ns == 0 && metrics.hit.p999_ns == 0);
    exercise(cache, 7);
    metrics = metrics_of(cache);
    CHECK(adds_up(&metrics.hit, 7) && adds_up(&metrics.miss, 7) && adds_up(&metrics.set, 7));
    FINISH(cache);
}

/* One call in so many of a thread, of whatever kind. */
TEST(some_calls_are_timed)
{
    sark_cache_config config = support_config(100);
    config.latency_sample_every = 7;
    sark_cache *cache = support_create(&config);
    exercise(cache, 700);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(metrics.hit.count + metrics.miss.count + metrics.set.count == 300);
    CHECK(metrics.hit.count == 100 && metrics.miss.count == 100 && metrics.set.count == 100);
    FINISH(cache);
}

TEST(no_call_is_timed)
{
    sark_cache_config config = support_config(100);
    sark_cache *cache = support_create(&config);
    exercise(cache, 10);
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(cache->histograms == NULL);
    CHECK(adds_up(&metrics.hit, 0) && adds_up(&metrics.miss, 0) && adds_up(&metrics.set, 0));
    FINISH(cache);
}

/* Begin and end by hand: the time between them is counted where it belongs. */
TEST(time_between)
{
    sark_cache_config config = support_config(100);
    config.latency_sample_every = 1;
    sark_cache *cache = support_create(&config);
    int64_t now_ns = sarki_fine_ns();
    sarki_latency_end(cache, now_ns - 3000000, SARKI_LATENCY_HIT);
    sarki_latency_end(cache, now_ns + 1000000000000, SARKI_LATENCY_HIT); /* the clock went back */
    sark_cache_metrics metrics = metrics_of(cache);
    CHECK(adds_up(&metrics.hit, 1) && metrics.hit.buckets[LAST] == 1);
    CHECK(metrics.hit.max_ns >= 3000000 && metrics.hit.max_ns < 60000000000);
    CHECK(metrics.hit.p50_ns == metrics.hit.max_ns);
    FINISH(cache);
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(buckets_begin_where_others_end);
    RUN(buckets_around_powers_of_two);
    RUN(buckets_of_random_latencies);
    RUN(percentiles);
    RUN(each_call_is_timed);
    RUN(some_calls_are_timed);
    RUN(no_call_is_timed);
    RUN(time_between);
    return test_summary();
}
