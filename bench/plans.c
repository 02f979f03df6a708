/* Workloads, and their keys and sequences as files; see plans.h. */

#include "plans.h"
#include "trace.h"
#include "workload.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#define USUAL .key_bytes = 65, .value_bytes = 120, .ttl_ms = 3600000
#define CALLS(untimed, timed) .warm = untimed, .calls = timed
/* So many keys, all of which are there, with room to spare; or that many in a full cache. */
#define ALL_OF(keys) .key_count = keys, .fill = keys, .capacity = keys / 10 * 11
#define FULL_OF(keys) .key_count = keys, .fill = keys, .capacity = keys
/* The same with more and more entries: what a call costs must not grow faster than the floor's. */
#define GROWTH(power, entries) \
    {.name = "growth-hit-" power, .title = "hits, uniform over 10^" power " entries", \
     .kind = PLAN_UNIFORM, ALL_OF(entries), CALLS(200000, 200000), .max_threads = 1, \
     .is_extra = true, USUAL}, \
    {.name = "growth-insert-" power, .title = "inserts at capacity, 10^" power " entries", \
     .kind = PLAN_INSERT, FULL_OF(entries), CALLS(200000, 200000), .max_threads = 1, \
     .is_extra = true, USUAL}
#define TRACE(name, keys, entries) \
    .kind = PLAN_TRACE, .trace = "bench/traces/" name ".txt.gz", .key_count = keys, \
    .capacity = entries, .is_read_through = true

const plan plans[] = {
    {.name = "hit-zipf", .title = "hits, Zipf 0.99 over 100,000 entries",
     .kind = PLAN_ZIPF, ALL_OF(100000), CALLS(50000, 500000), .is_for_servers = true, USUAL},
    {.name = "hit-uniform", .title = "hits, uniform over 1,000,000 entries",
     .kind = PLAN_UNIFORM, ALL_OF(1000000), CALLS(20000, 200000), USUAL},
    {.name = "mixed", .title = "95 % gets, 5 % sets, Zipf 0.99 over 100,000 entries",
     .kind = PLAN_MIXED, ALL_OF(100000), CALLS(50000, 500000), USUAL},
    {.name = "read-through",
     .title = "get, and set on a miss; Zipf 0.99 over 1,000,000 keys, capacity 100,000",
     .kind = PLAN_ZIPF, .key_count = 1000000, .fill = 100000, .capacity = 100000,
     CALLS(400000, 300000), .is_read_through = true, USUAL},
    {.name = "insert", .title = "inserts of new keys at capacity, 100,000 entries",
     .kind = PLAN_INSERT, FULL_OF(100000), CALLS(20000, 200000), .is_for_servers = true, USUAL},
    {.name = "hot-1", .title = "hits, one hot key of 100,000",
     .kind = PLAN_HOT, .key_count = 1, .fill = 100000, .capacity = 110000, CALLS(50000, 1000000),
     USUAL},
    {.name = "hot-8", .title = "hits, 8 hot keys of 100,000",
     .kind = PLAN_HOT, .key_count = 8, .fill = 100000, .capacity = 110000, CALLS(50000, 1000000),
     USUAL},
    {.name = "ttl-churn",
     .title = "get, and set on a miss; TTL of 20 ms, Zipf 0.99 over 100,000 keys",
     .kind = PLAN_ZIPF, FULL_OF(100000), CALLS(50000, 500000), .is_read_through = true,
     .needs_expiry = true, .key_bytes = 65, .value_bytes = 120, .ttl_ms = 20},
    {.name = "storm", .title = "hits of the first thread, Zipf 0.99, while the others set",
     .kind = PLAN_STORM, ALL_OF(100000), CALLS(50000, 500000), USUAL},
    {.name = "small", .title = "hits, Zipf 0.99, keys and values of 16 bytes",
     .kind = PLAN_ZIPF, ALL_OF(100000), CALLS(50000, 500000), .key_bytes = 16, .value_bytes = 16,
     .ttl_ms = 3600000},
    {.name = "large", .title = "hits, Zipf 0.99, values of 4,096 bytes",
     .kind = PLAN_ZIPF, ALL_OF(100000), CALLS(20000, 200000), .key_bytes = 65,
     .value_bytes = 4096, .ttl_ms = 3600000},
    {.name = "web12", .title = "get, and set on a miss; trace cache2k_web12, capacity 1,375",
     TRACE("cache2k_web12", 13756, 1375), USUAL},
    {.name = "dns", .title = "get, and set on a miss; trace dns_top100, capacity 437",
     TRACE("dns_top100", 4375, 437), USUAL},
    {.name = "latency-hit", .title = "latency of hits, Zipf 0.99 over 100,000 entries",
     .kind = PLAN_ZIPF, ALL_OF(100000), CALLS(50000, 500000), .is_latency = true,
     .max_threads = 1, .is_for_servers = true, USUAL},
    {.name = "latency-storm", .title = "latency of hits of the first thread while the others set",
     .kind = PLAN_STORM, ALL_OF(100000), CALLS(50000, 500000), .is_latency = true, USUAL},
    {.name = "latency-set",
     .title = "latency of inserts of new keys at capacity, 1,000,000 entries",
     .kind = PLAN_INSERT, FULL_OF(1000000), CALLS(20000, 200000), .is_latency = true,
     .max_threads = 1, .is_for_servers = true, USUAL},
    {.name = "burst",
     .title = "latency of inserts at capacity, 1,000,000 entries, after as many hits at random",
     .kind = PLAN_BURST, FULL_OF(1000000), CALLS(1000000, 200000), .is_latency = true,
     .max_threads = 1, USUAL},
    {.name = "beside-inserts",
     .title = "latency of hits on 1,000 keys while others insert at capacity, 1,000,000 entries",
     .kind = PLAN_BESIDE_INSERTS, FULL_OF(1000000), CALLS(1000000, 200000), .is_latency = true,
     USUAL},
    {.name = "beside-burst", .title = "the same, after a million hits at random",
     .kind = PLAN_BESIDE_BURST, FULL_OF(1000000), CALLS(1000000, 200000), .is_latency = true,
     USUAL},
    GROWTH("3", 1000),
    GROWTH("4", 10000),
    GROWTH("5", 100000),
    GROWTH("6", 1000000),
    GROWTH("7", 10000000),
};

const size_t plan_count = sizeof plans / sizeof *plans;

/* ---- Files ---------------------------------------------------------------------------------- */

static bool fail(const char *what, const char *file)
{
    fprintf(stderr, "speed: %s: %s\n", file, what);
    return false;
}

static void keys_name(char *name, size_t bytes, const char *folder, const plan *of)
{
    snprintf(name, bytes, "%s/keys-%u", folder, of->key_bytes);
}

static void sequence_name(char *name, size_t bytes, const char *folder, const plan *of,
                          uint32_t thread_count, uint32_t thread)
{
    snprintf(name, bytes, "%s/%s-%u-%u", folder, of->name, thread_count, thread);
}

static uint32_t trace_lengths[PLAN_MAX_THREADS + 1][sizeof plans / sizeof *plans];

uint32_t plan_length(const plan *of, uint32_t thread_count)
{
    return of->kind == PLAN_TRACE ? trace_lengths[thread_count][of - plans] : of->warm + of->calls;
}

/* The first of the new keys of a thread's calls: call c has key fresh_of + c. */
static uint64_t fresh_of(const plan *of, uint32_t thread)
{
    uint64_t each = (uint64_t)of->warm + of->calls;
    if (!plan_is_beside(of)) return of->fill + thread * each;
    return of->fill + (uint64_t)(thread - 1) * of->calls - of->warm; /* none among the untimed */
}

/* Keys that a plan needs: those that are got, and those that are inserted. */
static uint64_t keys_needed(const plan *of, uint32_t thread_count)
{
    if (plan_is_beside(of))
        return of->fill + (uint64_t)(thread_count - 1) * of->calls;
    uint64_t filled = of->key_count > of->fill ? of->key_count : of->fill;
    bool has_new = of->kind == PLAN_INSERT || of->kind == PLAN_BURST;
    return filled + (has_new ? (uint64_t)thread_count * plan_length(of, thread_count) : 0);
}

/* Appends keys to a file until it has as many as the plan needs. */
static bool write_keys(const plan *of, uint32_t thread_count, const char *folder)
{
    static uint64_t written[1024]; /* by key_bytes, in this process */
    char name[512], key[1024];
    uint64_t needed = keys_needed(of, thread_count), *have = &written[of->key_bytes];
    if (*have >= needed) return true;
    keys_name(name, sizeof name, folder, of);
    FILE *file = fopen(name, *have == 0 ? "wb" : "ab");
    if (file == NULL) return fail("cannot be written", name);
    bool is_written = true;
    for (; *have < needed && is_written; ++*have) {
        workload_write_key(key, of->key_bytes, *have);
        is_written = fwrite(key, of->key_bytes + 1, 1, file) == 1;
    }
    is_written = fclose(file) == 0 && is_written;
    return is_written || fail("cannot be written", name);
}

static bool write_sequence(const char *name, const uint32_t *words, size_t count)
{
    FILE *file = fopen(name, "wb");
    if (file == NULL) return fail("cannot be written", name);
    bool is_written = fwrite(words, sizeof *words, count, file) == count;
    is_written = fclose(file) == 0 && is_written;
    return is_written || fail("cannot be written", name);
}

/* ---- Sequences ------------------------------------------------------------------------------ */

/* Zipf's law over so many keys: weights, added up, and which key has which rank. */
typedef struct zipf {
    double *cumulated;
    uint32_t *keys;
    uint32_t key_count;
} zipf;

static void zipf_destroy(zipf *law)
{
    free(law->cumulated);
    free(law->keys);
}

/* The frequent keys lie scattered among the rest, and are the same for every sequence. */
static bool zipf_create(zipf *law, uint32_t key_count, double exponent)
{
    double sum = 0;
    uint64_t random = 1;
    *law = (zipf){calloc(key_count, sizeof *law->cumulated),
                  calloc(key_count, sizeof *law->keys), key_count};
    if (law->cumulated == NULL || law->keys == NULL) return false;
    for (uint32_t i = 0; i < key_count; i++) {
        law->keys[i] = i;
        law->cumulated[i] = sum += pow((double)i + 1, -exponent);
    }
    for (uint32_t i = key_count; i > 1; i--) {
        uint32_t other = (uint32_t)(workload_random(&random) % i), kept = law->keys[i - 1];
        law->keys[i - 1] = law->keys[other];
        law->keys[other] = kept;
    }
    return true;
}

/* Draws a key: the first rank whose cumulated weight is above a random number. */
static uint32_t zipf_draw(const zipf *law, uint64_t *random)
{
    double at = (double)(workload_random(random) >> 11) * 0x1p-53 *
                law->cumulated[law->key_count - 1];
    uint32_t low = 0, high = law->key_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (law->cumulated[middle] > at) high = middle;
        else low = middle + 1;
    }
    return law->keys[low];
}

/* The word of one call of a thread. */
static uint32_t draw(const plan *of, const zipf *law, uint32_t thread, uint32_t call,
                     uint64_t *random)
{
    enum { FEW = 1000 };
    uint32_t fresh = (uint32_t)(fresh_of(of, thread) + call);
    switch (of->kind) {
    case PLAN_INSERT: return fresh | WORKLOAD_IS_SET;
    case PLAN_BURST:
        if (call >= of->warm) return fresh | WORKLOAD_IS_SET;
        break;
    case PLAN_BESIDE_INSERTS: case PLAN_BESIDE_BURST:
        if (thread > 0 && call >= of->warm) return fresh | WORKLOAD_IS_SET;
        if (thread > 0 && of->kind == PLAN_BESIDE_BURST) break;
        return (uint32_t)(workload_random(random) % FEW);
    case PLAN_STORM:
        if (thread == 0) return zipf_draw(law, random);
        return (uint32_t)(workload_random(random) % of->key_count) | WORKLOAD_IS_SET;
    case PLAN_MIXED: {
        uint32_t key = zipf_draw(law, random);
        return workload_random(random) % 20 == 0 ? key | WORKLOAD_IS_SET : key;
    }
    case PLAN_ZIPF: return zipf_draw(law, random);
    case PLAN_UNIFORM: case PLAN_HOT: case PLAN_TRACE: break;
    }
    return (uint32_t)(workload_random(random) % of->key_count);
}

static bool write_drawn(const plan *of, uint32_t thread_count, const char *folder)
{
    char name[512];
    zipf law;
    uint32_t length = of->warm + of->calls, *words = calloc(length, sizeof *words);
    bool is_written = zipf_create(&law, of->key_count, 0.99) && words != NULL;
    for (uint32_t thread = 0; thread < thread_count && is_written; thread++) {
        uint64_t random = 1000 + thread;
        for (uint32_t i = 0; i < length; i++) words[i] = draw(of, &law, thread, i, &random);
        sequence_name(name, sizeof name, folder, of, thread_count, thread);
        is_written = write_sequence(name, words, length);
    }
    zipf_destroy(&law);
    free(words);
    return is_written;
}

/* Every thread has as many calls: the last requests are left out where they do not come out even.
   The keys are of the plan's own length; the trace says only which are the same. */
static bool write_traced(const plan *of, uint32_t thread_count, const char *folder)
{
    char name[512];
    trace all;
    if (!trace_read(&all, of->trace)) return false;
    uint32_t length = (uint32_t)(all.request_count / thread_count);
    uint32_t *words = calloc(length, sizeof *words);
    bool is_written = words != NULL && all.key_count == of->key_count;
    if (!is_written) fail("has other keys than expected", of->trace);
    for (uint32_t thread = 0; thread < thread_count && is_written; thread++) {
        for (uint32_t i = 0; i < length; i++)
            words[i] = all.requests[(size_t)i * thread_count + thread].key_id;
        sequence_name(name, sizeof name, folder, of, thread_count, thread);
        is_written = write_sequence(name, words, length);
    }
    trace_lengths[thread_count][of - plans] = length;
    free(words);
    trace_free(&all);
    return is_written;
}

bool plan_write_files(const plan *of, uint32_t thread_count, const char *folder)
{
    static bool is_written[PLAN_MAX_THREADS + 1][sizeof plans / sizeof *plans];
    bool *done = &is_written[thread_count][of - plans];
    if (*done) return true;
    (void)mkdir(folder, 0777);
    *done = (of->kind == PLAN_TRACE ? write_traced(of, thread_count, folder)
                                    : write_drawn(of, thread_count, folder)) &&
            write_keys(of, thread_count, folder);
    return *done;
}

bool plan_write_requests(const plan *of, const uint32_t *words, size_t count, const char *folder)
{
    char name[512];
    (void)mkdir(folder, 0777);
    sequence_name(name, sizeof name, folder, of, 1, 0);
    return write_sequence(name, words, count) && write_keys(of, 1, folder);
}

void plan_print(FILE *to, const plan *of, uint32_t thread_count, const char *folder, uint32_t warm,
                uint32_t calls)
{
    char name[512];
    keys_name(name, sizeof name, folder, of);
    fprintf(to, "keys=%s key_bytes=%u value_bytes=%u capacity=%u fill=%u ttl_ms=%u warm=%u "
            "calls=%u read_through=%d storm=%d latency=%d prompt=%d sequences=", name,
            of->key_bytes, of->value_bytes, of->capacity, of->fill, of->ttl_ms, warm, calls,
            of->is_read_through, plan_is_storm(of), of->is_latency, of->is_prompt);
    for (uint32_t thread = 0; thread < thread_count; thread++) {
        sequence_name(name, sizeof name, folder, of, thread_count, thread);
        fprintf(to, "%s%s", thread > 0 ? "," : "", name);
    }
    fprintf(to, "\n");
}
