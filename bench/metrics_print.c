/* The cache's metrics as text; see metrics_print.h. */

#include "metrics_print.h"

#include <stdio.h>
#include <string.h>

typedef struct metric {
    const char *name;
    size_t offset; /* of a uint64_t */
} metric;

#define METRIC(name) {#name, offsetof(sark_cache_metrics, name)}

static const metric counts[] = {
    METRIC(hits), METRIC(misses), METRIC(misses_expired), METRIC(sets), METRIC(adds),
    METRIC(replaces), METRIC(touches), METRIC(deletes), METRIC(compare_and_sets),
    METRIC(increments), METRIC(appends), METRIC(evictions_for_entries),
    METRIC(evictions_for_bytes), METRIC(eviction_ages), METRIC(eviction_age_ms),
    METRIC(expired_by_writers), METRIC(expired_by_cleanup), METRIC(cleared),
    METRIC(rejected_argument), METRIC(rejected_key), METRIC(rejected_ttl),
    METRIC(rejected_too_large), METRIC(rejected_short_buffer), METRIC(rejected_busy),
    METRIC(rejected_no_pin), METRIC(rejected_system), METRIC(rejected_number),
    METRIC(lock_fallbacks),
};

static const metric states[] = {
    METRIC(entries), METRIC(entries_peak), METRIC(bytes), METRIC(bytes_peak), METRIC(max_entries),
    METRIC(max_bytes), METRIC(expired_resident), METRIC(oldest_overdue_ms), METRIC(bytes_retired),
    METRIC(leases_in_use), METRIC(pins_in_use), METRIC(pinned_bytes),
};

static const metric cleanups[] = {
    METRIC(cleanup_runs), METRIC(cleanup_last_us), METRIC(cleanup_total_us),
};

static const metric structures[] = {
    METRIC(recency_moves), METRIC(room_moves), METRIC(longest_hold_moves),
    METRIC(longest_chain_buckets), METRIC(overhead_bytes_per_entry), METRIC(clock_tick_us),
    METRIC(stamp_resolution_ps),
};

/* Prints a group of 64-bit fields, two a line. */
static void print_group(const char *title, const sark_cache_metrics *metrics, const metric *group,
                        size_t count)
{
    printf("%s\n", title);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)metrics + group[i].offset, sizeof value);
        printf("  %-24s %16llu%s", group[i].name, (unsigned long long)value,
               i % 2 == 1 || i + 1 == count ? "\n" : "    ");
    }
}

/* The lower end of a bucket: below 32 ns, then four to each power of two. */
static uint64_t bucket_start_ns(size_t bucket)
{
    if (bucket == 0) return 0;
    uint64_t power = (uint64_t)32 << ((bucket - 1) / 4);
    return power + power / 4 * ((bucket - 1) % 4);
}

static void print_latency(const char *name, const sark_cache_latency *latency)
{
    printf("  %-4s count %llu, p50 %llu, p95 %llu, p99 %llu, p99.9 %llu, max %llu\n", name,
           (unsigned long long)latency->count, (unsigned long long)latency->p50_ns,
           (unsigned long long)latency->p95_ns, (unsigned long long)latency->p99_ns,
           (unsigned long long)latency->p999_ns, (unsigned long long)latency->max_ns);
    int column = 0;
    for (size_t i = 0; i < SARK_CACHE_LATENCY_BUCKETS; i++) {
        if (latency->buckets[i] == 0) continue;
        if (column % 5 == 0) printf(column == 0 ? "       from ns:" : "\n              ");
        printf(" %llu: %llu", (unsigned long long)bucket_start_ns(i),
               (unsigned long long)latency->buckets[i]);
        column++;
    }
    if (column > 0) printf("\n");
}

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

void metrics_print(const sark_cache_metrics *metrics)
{
    print_group("counts", metrics, counts, COUNT_OF(counts));
    print_group("state", metrics, states, COUNT_OF(states));
    print_group("cleanup", metrics, cleanups, COUNT_OF(cleanups));
    printf("  %-24s %16s    %-24s %16s\n", "cleanup_thread_wanted",
           metrics->cleanup_thread_wanted ? "yes" : "no", "cleanup_thread_running",
           metrics->cleanup_thread_running ? "yes" : "no");
    print_group("structure", metrics, structures, COUNT_OF(structures));
    printf("sampled latencies, in nanoseconds\n");
    print_latency("hit", &metrics->hit);
    print_latency("miss", &metrics->miss);
    print_latency("set", &metrics->set);
}
