/* Black box: metrics as a scraper reads them: every field once, numbers to the digit, labels that
   need escaping, buffers of every size.

   api_exposed FORMAT (0, 1): prints what a scraper would be given of two caches that have been
   used; exposed.sh has it read by parsers that others wrote. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

static char text[1 << 18];
static sark_cache_metrics metrics;

static const char *expose(const char *name, sark_cache_exposition format)
{
    sark_cache_exposed exposed = {name, &metrics};
    size_t text_bytes = 0;
    memset(text, '#', sizeof text);
    CHECK(sark_cache_metrics_prometheus(&exposed, 1, format, text, sizeof text, &text_bytes) ==
          SARK_CACHE_OK);
    CHECK(text_bytes == strlen(text) && text[text_bytes + 1] == '#');
    return text;
}

static size_t times(const char *in, const char *part)
{
    size_t found = 0;
    while ((in = strstr(in, part)) != NULL) found++, in++;
    return found;
}

/* The fields of 64 bits stand in two rows, with flags between them. */
enum {
    FIRST_ROW = offsetof(sark_cache_metrics, cleanup_thread_wanted) / 8,
    SECOND_ROW = (offsetof(sark_cache_metrics, reserved) -
                  offsetof(sark_cache_metrics, recency_moves)) / 8,
    WORDS = FIRST_ROW + SECOND_ROW
};

static size_t word_offset(size_t word)
{
    if (word < FIRST_ROW) return word * 8;
    return offsetof(sark_cache_metrics, recency_moves) + (word - FIRST_ROW) * 8;
}

/* Each field has a number of its own, and each of these is in the text once: as it is, or as the
   fraction of a second that it stands for. */
TEST(each_field_is_there_once)
{
    static const size_t in_fractions[] = {
        offsetof(sark_cache_metrics, eviction_age_ms),
        offsetof(sark_cache_metrics, oldest_overdue_ms),
        offsetof(sark_cache_metrics, cleanup_last_us),
        offsetof(sark_cache_metrics, cleanup_total_us),
        offsetof(sark_cache_metrics, clock_tick_us),
        offsetof(sark_cache_metrics, stamp_resolution_ps)};
    enum { FRACTIONS = sizeof in_fractions / sizeof in_fractions[0] };
    size_t fields = 0;
    memset(&metrics, 0, sizeof metrics);
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t number = 900000000 + word_offset(i);
        memcpy((char *)&metrics + word_offset(i), &number, sizeof number);
    }
    (void)expose("c", SARK_CACHE_PROMETHEUS);
    for (size_t i = 0; i < WORDS; i++) {
        char number[32];
        bool is_fraction = false;
        for (size_t f = 0; f < FRACTIONS; f++) is_fraction |= in_fractions[f] == word_offset(i);
        if (is_fraction) continue;
        snprintf(number, sizeof number, "} %zu\n", 900000000 + word_offset(i));
        CHECK(times(text, number) == 1);
        fields++;
    }
    CHECK(fields > 35);
}

/* The line of one metric, up to its end. */
static bool has_line(const char *line)
{
    size_t bytes = strlen(line);
    const char *found = strstr(text, line);
    return found && (found == text || found[-1] == '\n') && found[bytes] == '\n';
}

TEST(numbers_and_fractions)
{
    memset(&metrics, 0, sizeof metrics);
    metrics.hits = UINT64_MAX;
    metrics.oldest_overdue_ms = 1500;
    metrics.cleanup_total_us = 7;
    metrics.cleanup_last_us = 1000000;
    metrics.clock_tick_us = 4000;
    metrics.stamp_resolution_ps = 12345;
    metrics.cleanup_thread_running = true;
    (void)expose("c", SARK_CACHE_PROMETHEUS);
    CHECK(has_line("sark_cache_hits_total{cache=\"c\"} 18446744073709551615"));
    CHECK(has_line("sark_cache_misses_total{cache=\"c\"} 0"));
    CHECK(has_line("sark_cache_oldest_overdue_seconds{cache=\"c\"} 1.5"));
    CHECK(has_line("sark_cache_cleanup_seconds_total{cache=\"c\"} 0.000007"));
    CHECK(has_line("sark_cache_cleanup_last_seconds{cache=\"c\"} 1"));
    CHECK(has_line("sark_cache_clock_tick_seconds{cache=\"c\"} 0.004"));
    CHECK(has_line("sark_cache_stamp_resolution_seconds{cache=\"c\"} 0.000000012345"));
    CHECK(has_line("sark_cache_cleanup_thread_running{cache=\"c\"} 1"));
    CHECK(has_line("sark_cache_cleanup_thread_wanted{cache=\"c\"} 0"));
    metrics.oldest_overdue_ms = UINT64_MAX;
    (void)expose("c", SARK_CACHE_PROMETHEUS);
    CHECK(has_line("sark_cache_oldest_overdue_seconds{cache=\"c\"} 18446744073709551.615"));
}

TEST(labels_are_escaped)
{
    memset(&metrics, 0, sizeof metrics);
    (void)expose("a\"b\\c\nd\xc3\xa9", SARK_CACHE_PROMETHEUS);
    CHECK(has_line("sark_cache_entries{cache=\"a\\\"b\\\\c\\nd\xc3\xa9\"} 0"));
    CHECK(has_line("sark_cache_writes_total{cache=\"a\\\"b\\\\c\\nd\xc3\xa9\",call=\"add\"} 0"));
    (void)expose("", SARK_CACHE_PROMETHEUS);
    CHECK(has_line("sark_cache_entries{cache=\"\"} 0"));
    (void)expose(NULL, SARK_CACHE_PROMETHEUS);
    CHECK(has_line("sark_cache_entries 0"));
    CHECK(has_line("sark_cache_evictions_total{for=\"bytes\"} 0"));
    CHECK(times(text, "cache=") == 0);
}

TEST(the_two_formats)
{
    memset(&metrics, 0, sizeof metrics);
    (void)expose("c", SARK_CACHE_PROMETHEUS);
    CHECK(has_line("# TYPE sark_cache_hits_total counter"));
    CHECK(has_line("# HELP sark_cache_hits_total Reads that found a live entry."));
    CHECK(times(text, "# EOF") == 0);
    (void)expose("c", SARK_CACHE_OPENMETRICS);
    CHECK(has_line("# TYPE sark_cache_hits counter"));
    CHECK(has_line("# HELP sark_cache_hits Reads that found a live entry."));
    CHECK(has_line("sark_cache_hits_total{cache=\"c\"} 0"));
    CHECK(times(text, "# EOF\n") == 1 && strcmp(text + strlen(text) - 6, "# EOF\n") == 0);
}

/* A line of the latencies of hits: what stands behind the name, other labels, the number. */
static bool has_latency(const char *suffix, const char *labels, const char *number)
{
    char line[128];
    snprintf(line, sizeof line, "sark_cache_latency_seconds%s{cache=\"c\",call=\"hit\"%s} %s",
             suffix, labels, number);
    return has_line(line);
}

/* Buckets count what is at most as long; where nothing was sampled there are none. */
TEST(latencies)
{
    memset(&metrics, 0, sizeof metrics);
    (void)expose("c", SARK_CACHE_PROMETHEUS);
    CHECK(times(text, "_bucket{") == 0 && times(text, "latency_seconds_sum") == 0);
    metrics.hit.count = 6;
    metrics.hit.total_ns = 1000123;
    metrics.hit.buckets[0] = 3;
    metrics.hit.buckets[1] = 2;
    metrics.hit.buckets[SARK_CACHE_LATENCY_BUCKETS - 1] = 1;
    (void)expose("c", SARK_CACHE_PROMETHEUS);
    CHECK(times(text, "_bucket{") == SARK_CACHE_LATENCY_BUCKETS);
    CHECK(has_latency("_bucket", ",le=\"0.000000031\"", "3"));
    CHECK(has_latency("_bucket", ",le=\"0.000000039\"", "5"));
    CHECK(has_latency("_bucket", ",le=\"0.000000047\"", "5"));
    CHECK(has_latency("_bucket", ",le=\"+Inf\"", "6"));
    CHECK(has_latency("_sum", "", "0.001000123"));
    CHECK(has_latency("_count", "", "6"));
    (void)expose(NULL, SARK_CACHE_OPENMETRICS);
    CHECK(has_line("sark_cache_latency_seconds_bucket{call=\"hit\",le=\"+Inf\"} 6"));
}

/* A buffer that is too short stays empty; the length is told. */
TEST(buffers_of_every_size)
{
    static char small[1 << 14];
    size_t needed = 0;
    memset(&metrics, 0, sizeof metrics);
    size_t whole = strlen(expose("c", SARK_CACHE_PROMETHEUS));
    sark_cache_exposed exposed = {"c", &metrics};
    REQUIRE(whole < sizeof small);
    CHECK(sark_cache_metrics_prometheus(&exposed, 1, SARK_CACHE_PROMETHEUS, NULL, 0, &needed) ==
          SARK_CACHE_SHORT_BUFFER);
    CHECK(needed == whole);
    for (size_t capacity = 1; capacity <= whole + 2; capacity++) {
        bool fits = capacity > whole;
        small[capacity] = '#';
        needed = 0;
        CHECK(sark_cache_metrics_prometheus(&exposed, 1, SARK_CACHE_PROMETHEUS, small, capacity,
                                            &needed) ==
              (fits ? SARK_CACHE_OK : SARK_CACHE_SHORT_BUFFER));
        CHECK(needed == whole && small[capacity] == '#');
        CHECK(strcmp(small, fits ? text : "") == 0);
    }
    CHECK(sark_cache_metrics_prometheus(&exposed, 1, SARK_CACHE_PROMETHEUS, small, sizeof small,
                                        NULL) == SARK_CACHE_OK);
}

TEST(wrong_arguments)
{
    sark_cache_exposed exposed[2] = {{"c", &metrics}, {"d", NULL}};
    size_t needed = 77;
    char *to = text;
    CHECK(sark_cache_metrics_prometheus(exposed, 2, SARK_CACHE_PROMETHEUS, to, sizeof text,
                                        &needed) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_metrics_prometheus(NULL, 1, SARK_CACHE_PROMETHEUS, to, sizeof text,
                                        &needed) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_metrics_prometheus(exposed, 1, SARK_CACHE_PROMETHEUS, NULL, 9, &needed) ==
          SARK_CACHE_BAD_ARGUMENT);
    CHECK(sark_cache_metrics_prometheus(exposed, 1, (sark_cache_exposition)2, to, sizeof text,
                                        &needed) == SARK_CACHE_BAD_ARGUMENT);
    CHECK(needed == 77);
    CHECK(sark_cache_metrics_prometheus(NULL, 0, SARK_CACHE_PROMETHEUS, to, 1, &needed) ==
          SARK_CACHE_OK);
    CHECK(needed == 0 && text[0] == 0);
    CHECK(sark_cache_metrics_prometheus(NULL, 0, SARK_CACHE_OPENMETRICS, to, 9, &needed) ==
          SARK_CACHE_OK);
    CHECK(strcmp(text, "# EOF\n") == 0);
}

/* ---- For other programs --------------------------------------------------------------------- */

static sark_cache *used_cache(uint32_t calls)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 50, .latency_sample_every = 2};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return NULL;
    for (uint32_t key = 0; key < calls; key++) {
        (void)sark_cache_set(cache, &key, sizeof key, "value", 5, 60000);
        (void)sark_cache_get(cache, &key, sizeof key, text, sizeof text, NULL);
        (void)sark_cache_get(cache, "absent", 6, text, sizeof text, NULL);
    }
    return cache;
}

static int print(sark_cache_exposition format)
{
    static sark_cache_metrics other;
    sark_cache *one = used_cache(100), *two = used_cache(3);
    sark_cache_exposed exposed[2] = {{"one \"and\\only\"\n", &metrics}, {"two", &other}};
    sark_cache_metrics_read(one, &metrics);
    sark_cache_metrics_read(two, &other);
    if (sark_cache_metrics_prometheus(exposed, 2, format, text, sizeof text, NULL) !=
        SARK_CACHE_OK)
        return 1;
    fputs(text, stdout);
    return sark_cache_destroy(one) != SARK_CACHE_OK || sark_cache_destroy(two) != SARK_CACHE_OK;
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1) return print((sark_cache_exposition)atoi(arguments[1]));
    RUN(each_field_is_there_once);
    RUN(numbers_and_fractions);
    RUN(labels_are_escaped);
    RUN(the_two_formats);
    RUN(latencies);
    RUN(buffers_of_every_size);
    RUN(wrong_arguments);
    return test_summary();
}
