/* How does Prometheus see the metrics? As text, which a program's own HTTP server hands out at
   /metrics: all caches in one go, told apart by a label. Here some of its lines.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/20_prometheus.c -o prometheus && ./prometheus

   Prints:
       sark_cache_hits_total{cache="decisions"} 3
       sark_cache_hits_total{cache="sessions"} 0
       sark_cache_misses_total{cache="decisions"} 1
       sark_cache_misses_total{cache="sessions"} 1
       sark_cache_entries{cache="decisions"} 2
       sark_cache_entries{cache="sessions"} 0
       a buffer of 100 bytes: the buffer is too short
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <string.h>

/* Prints the samples of a metric. */
static void print_lines(const char *text, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, name, bytes) == 0 && line[bytes] == '{')
            printf("%.*s\n", (int)strcspn(line, "\n"), line);
}

static bool ask(sark_cache *cache, const char *key)
{
    char answer[16];
    return sark_cache_get(cache, key, strlen(key), answer, sizeof answer, NULL) == SARK_CACHE_OK;
}

int main(void)
{
    static char text[65536]; /* the text of a cache takes 8 KiB, with latencies 24 */
    sark_cache *decisions = NULL, *sessions = NULL;
    sark_cache_config config = {.max_entries = 1000};
    if (sark_cache_create(&decisions, &config) != SARK_CACHE_OK) return 1;
    if (sark_cache_create(&sessions, &config) != SARK_CACHE_OK) return 1;
    sark_cache_set(decisions, "alice", 5, "allow", 5, 0);
    sark_cache_set(decisions, "bob", 3, "deny", 4, 0);
    for (int i = 0; i < 3; i++) (void)ask(decisions, "alice");
    (void)ask(decisions, "carol");
    (void)ask(sessions, "alice");

    sark_cache_metrics of_decisions, of_sessions;
    sark_cache_metrics_read(decisions, &of_decisions);
    sark_cache_metrics_read(sessions, &of_sessions);
    sark_cache_exposed exposed[2] = {{"decisions", &of_decisions}, {"sessions", &of_sessions}};
    if (sark_cache_metrics_prometheus(exposed, 2, SARK_CACHE_PROMETHEUS, text, sizeof text,
                                      NULL) != SARK_CACHE_OK)
        return 1;
    print_lines(text, "sark_cache_hits_total");
    print_lines(text, "sark_cache_misses_total");
    print_lines(text, "sark_cache_entries");
    printf("a buffer of 100 bytes: %s\n",
           sark_cache_status_text(sark_cache_metrics_prometheus(
               exposed, 2, SARK_CACHE_PROMETHEUS, text, 100, NULL)));
    return sark_cache_destroy(decisions) != SARK_CACHE_OK ||
           sark_cache_destroy(sessions) != SARK_CACHE_OK;
}
