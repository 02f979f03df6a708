/* Replays a trace through the cache and tells the hits.

   build/replay [--capacity N | --bytes N] [--ttl-from-trace] [--threads T] [--shards S]
                [--value-bytes B] [--progress] FILE|-

   With several threads none is ahead of another by more than a few requests: the trace's order
   would be lost otherwise, and with it the hits.

   The last line of standard output is
       requests=R hits=H misses=M hit_ratio=0.dddddd digest=<16 hex digits, or - with threads>
   Ends with 0; 1 where the cache failed; 2 for bad options or a bad trace; 3 where a hit gave
   another key's value. */

#include "measure.h"
#include "progress.h"
#include "replay_run.h"

#include <getopt.h>

static const char usage[] =
    "usage: replay [--capacity N | --bytes N] [--ttl-from-trace] [--threads T] [--shards S]\n"
    "              [--value-bytes B] [--progress] FILE|-\n"
    "  --capacity N      the cache holds N entries\n"
    "  --bytes N         the cache has N bytes; values have the trace's sizes\n"
    "  --ttl-from-trace  entries live as long as the trace says\n"
    "  --threads T       thread i takes every T-th request (1)\n"
    "  --shards S        a power of two up to 256 (by size)\n"
    "  --value-bytes B   size of values where the trace's is unknown or not asked for (16)\n"
    "  --progress        a progress bar, where standard error is a terminal\n"
    "  FILE              lines of \"ts key size ttl op\", plain or gzip; -: standard input\n";

#define MAX_THREADS 1024u
#define MAX_VALUE_BYTES (1u << 30)

typedef struct command_line {
    replay_options options;
    const char *file;
} command_line;

static bool refused(const char *what, const char *text)
{
    fprintf(stderr, "replay: %s%s%s\n%s", what, text == NULL ? "" : ": ", text == NULL ? "" : text,
            usage);
    return false;
}

/* A whole number from smallest to largest, nothing around it. */
static bool parse_count(const char *option, const char *text, uint64_t smallest, uint64_t largest,
                        uint64_t *count)
{
    *count = 0;
    bool is_valid = *text != 0;
    for (const char *at = text; is_valid && *at != 0; at++) {
        unsigned digit = (unsigned)(*at - '0');
        is_valid = digit <= 9 && *count <= (largest - digit) / 10;
        if (is_valid) *count = *count * 10 + digit;
    }
    if (is_valid && *count >= smallest) return true;
    fprintf(stderr, "replay: --%s wants a number from %llu to %llu, not \"%s\"\n%s", option,
            (unsigned long long)smallest, (unsigned long long)largest, text, usage);
    return false;
}

enum { CAPACITY = 'c', BYTES = 'b', TTL = 't', THREADS = 'n', SHARDS = 's', VALUE = 'v',
       PROGRESS = 'p', HELP = 'h' };

static const struct option long_options[] = {
    {"capacity", required_argument, NULL, CAPACITY},
    {"bytes", required_argument, NULL, BYTES},
    {"ttl-from-trace", no_argument, NULL, TTL},
    {"threads", required_argument, NULL, THREADS},
    {"shards", required_argument, NULL, SHARDS},
    {"value-bytes", required_argument, NULL, VALUE},
    {"progress", no_argument, NULL, PROGRESS},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static void draw_progress(uint64_t done, uint64_t total)
{
    progress_draw(done, total, "replaying");
}

/* Takes one option of getopt_long's. */
static bool parse_option(int option, const char *text, replay_options *options)
{
    uint64_t count = 0;
    switch (option) {
    case CAPACITY:
        return parse_count("capacity", text, 1, UINT32_MAX, &options->capacity);
    case BYTES:
        if (!parse_count("bytes", text, 1, SIZE_MAX / 2, &count)) return false;
        options->max_bytes = (size_t)count;
        return true;
    case THREADS:
        if (!parse_count("threads", text, 1, MAX_THREADS, &count)) return false;
        options->thread_count = (uint32_t)count;
        return true;
    case SHARDS:
        if (!parse_count("shards", text, 1, UINT32_MAX, &count)) return false;
        options->shard_count = (uint32_t)count;
        return true;
    case VALUE:
        if (!parse_count("value-bytes", text, 0, MAX_VALUE_BYTES, &count)) return false;
        options->value_bytes = (size_t)count;
        return true;
    case TTL:
        options->is_ttl_used = true;
        return true;
    case PROGRESS:
        options->progress = isatty(STDERR_FILENO) ? draw_progress : NULL;
        return true;
    default: /* getopt_long has said what is wrong */
        fputs(usage, stderr);
        return false;
    }
}

static bool parse_command_line(int argc, char **argv, command_line *line)
{
    replay_options *options = &line->options;
    int option;
    *options = (replay_options){.value_bytes = 16, .thread_count = 1,
                                .max_lead = REPLAY_SMALL_LEAD};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == HELP) {
            fputs(usage, stdout);
            exit(REPLAY_OK);
        }
        if (!parse_option(option, optarg, options)) return false;
    }
    if (options->capacity == 0 && options->max_bytes == 0)
        return refused("either --capacity or --bytes is needed", NULL);
    if (options->capacity != 0 && options->max_bytes != 0)
        return refused("--capacity and --bytes exclude each other", NULL);
    if (optind == argc) return refused("no trace is named", NULL);
    if (optind + 1 < argc) return refused("one trace at a time", argv[optind + 1]);
    line->file = argv[optind];
    return true;
}

static void print_result(const replay_options *options, const replay_result *result)
{
    double requests = result->requests == 0 ? 1 : (double)result->requests;
    const sark_cache_metrics *metrics = &result->metrics;
    printf("threads=%u seconds=%.3f ns_per_request=%.1f entries=%llu bytes=%llu sets_refused=%llu "
           "lock_fallbacks=%llu\n",
           options->thread_count, result->seconds,
           result->seconds * 1e9 * options->thread_count / requests,
           (unsigned long long)metrics->entries, (unsigned long long)metrics->bytes,
           (unsigned long long)result->sets_refused,
           (unsigned long long)metrics->lock_fallbacks);
    printf("requests=%llu hits=%llu misses=%llu hit_ratio=%.6f digest=",
           (unsigned long long)result->requests, (unsigned long long)result->hits,
           (unsigned long long)result->misses, (double)result->hits / requests);
    if (options->thread_count == 1) printf("%016llx\n", (unsigned long long)result->digest);
    else printf("-\n");
}

int main(int argc, char **argv)
{
    command_line line;
    trace requests;
    replay_result result;
    if (!parse_command_line(argc, argv, &line)) return REPLAY_BAD_INPUT;
    if (!trace_read(&requests, line.file)) return REPLAY_BAD_INPUT;
    int status = replay_run(&requests, &line.options, &result);
    if (line.options.progress != NULL) progress_clear();
    if (status == REPLAY_OK) print_result(&line.options, &result);
    trace_free(&requests);
    if (status == REPLAY_OK && fflush(stdout) != 0) status = REPLAY_FAILED;
    return status;
}
