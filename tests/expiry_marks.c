/* The real clock passes a mark, such as 2^31 seconds or 2^32 milliseconds, while entries expire:
   none is lost before its deadline nor found after it, a clock that fails from the mark on makes
   misses of them, and the cleanup thread neither stops nor runs all the time.

   expiry_marks [mark in milliseconds of CLOCK_MONOTONIC]; without one any time is a mark. It waits
   until shortly before. tests/expiry_namespace.sh sets the clocks. */

#include "threads.h"

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

enum { LEAD_MS = 300, SHORT_MS = 450, STEP_MS = 5, TICK_MS = 11, CLEANUP_MS = 10 };

static int64_t mark_ms;

/* The time; -1: the clock fails. */
static int64_t now_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return -1;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(int64_t ms) { test_sleep_ns((uint64_t)ms * 1000000); }

typedef struct seen {
    uint32_t hits, misses, failures; /* reads of "short"; readings of the clock that failed */
    int64_t last_ms;
} seen;

/* Whether the clock has failed for so long that the coarse one, which is behind, does so too. */
static bool has_failed(const seen *mine)
{
    return mine->failures > 1 + TICK_MS / STEP_MS;
}

/* Reads the entries, which were set between two times, between two readings of the clock. */
static void look(sark_cache *cache, seen *mine, int64_t set_begin_ms, int64_t set_end_ms)
{
    int64_t begin_ms = now_ms();
    bool is_short = get_is(cache, "short", "v"), is_long = get_is(cache, "long", "v");
    int64_t end_ms = now_ms();
    CHECK(get_is(cache, "none", "v"));
    mine->hits += is_short;
    mine->misses += !is_short;
    mine->failures += begin_ms < 0;
    if (has_failed(mine)) CHECK(!is_short && !is_long);
    if (begin_ms >= 0 && is_short) CHECK(begin_ms <= set_end_ms + SHORT_MS + TICK_MS);
    if (end_ms >= 0) CHECK(is_long && (is_short || end_ms + 1 >= set_begin_ms + SHORT_MS));
    if (end_ms >= 0) mine->last_ms = end_ms;
}

/* A TTL is set where the clock works throughout, and only there. */
static void set_new(sark_cache *cache, const seen *mine)
{
    int64_t begin_ms = now_ms();
    sark_cache_status status = put(cache, "new", "v", 1000);
    int64_t end_ms = now_ms();
    if (end_ms >= 0) CHECK(status == SARK_CACHE_OK && get_is(cache, "new", "v"));
    if (begin_ms < 0) CHECK(status == SARK_CACHE_SYSTEM_ERROR);
    if (has_failed(mine)) CHECK(get_is(cache, "new", NULL));
}

TEST(entries_expire_across_the_mark)
{
    sark_cache_config config = {.max_entries = 100, .cleanup_interval_ms = CLEANUP_MS};
    sark_cache *cache = support_create(&config);
    REQUIRE(cache != NULL);
    seen mine = {0, 0, 0, -1};
    int64_t set_begin_ms = now_ms();
    CHECK(put(cache, "none", "v", SARK_CACHE_NO_EXPIRY) == SARK_CACHE_OK);
    CHECK(put(cache, "short", "v", SHORT_MS) == SARK_CACHE_OK);
    CHECK(put(cache, "long", "v", 100000) == SARK_CACHE_OK);
    int64_t set_end_ms = now_ms();
    for (int step = 0; step < 4 * LEAD_MS / STEP_MS; step++) {
        look(cache, &mine, set_begin_ms, set_end_ms);
        set_new(cache, &mine);
        pause_ms(STEP_MS);
    }
    bool fails = sizeof(time_t) < 8 && mark_ms / 1000 > INT32_MAX;
    CHECK(set_begin_ms >= 0 && set_begin_ms < mark_ms && mine.hits > 0 && mine.misses > 0);
    CHECK(fails ? mine.failures > 0 && mine.last_ms < mark_ms
                : mine.failures == 0 && mine.last_ms > mark_ms);
    uint64_t runs = metrics_of(cache).cleanup_runs;
    CHECK(runs > 0 && runs < 20 * 4 * LEAD_MS / CLEANUP_MS);
    printf("  %u hits, %u misses, the clock failed %u times, %" PRIu64 " cleanups\n", mine.hits,
           mine.misses, mine.failures, runs);
    FINISH(cache);
}

int main(int argument_count, char **arguments)
{
    test_watchdog(120);
    int64_t begin_ms = now_ms();
    mark_ms = begin_ms + LEAD_MS;
    if (argument_count > 1) mark_ms = strtoll(arguments[1], NULL, 10);
    if (begin_ms >= 0 && mark_ms - begin_ms > LEAD_MS) pause_ms(mark_ms - begin_ms - LEAD_MS);
    RUN(entries_expire_across_the_mark);
    return test_summary();
}
