/* How does an entry live as long as it is used? get_and_touch reads it and gives it a new TTL in
   one step, so no other call comes between. And what a user did last stands in front: prepend.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/18_sessions.c -o sessions && ./sessions

   Prints:
       minute  0: alice signs in
       minute 10: alice: search home
       minute 20: alice: cart search home
       minute 45: alice: cart search home
       minute 75: alice has to sign in
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <string.h>

enum { idle_minutes = 30, ms_per_minute = 60000 };

static int64_t now_ms = 1;

static int64_t clock_of_this_example(void *context)
{
    (void)context;
    return now_ms;
}

/* Notes a page of a session, the latest first, and starts its TTL anew. */
static void visit(sark_cache *cache, const char *user, const char *page)
{
    (void)sark_cache_prepend(cache, user, strlen(user), page, strlen(page),
                             idle_minutes * ms_per_minute);
}

/* Shows a session that is still open, which keeps it open. */
static void show(sark_cache *cache, const char *user, int minute)
{
    char pages[64];
    size_t bytes = 0;
    now_ms = 1 + (int64_t)minute * ms_per_minute;
    sark_cache_status status =
        sark_cache_get_and_touch(cache, user, strlen(user), pages, sizeof pages, &bytes,
                                 idle_minutes * ms_per_minute);
    if (status == SARK_CACHE_OK)
        printf("minute %2d: %s: %.*s\n", minute, user, (int)bytes, pages);
    else
        printf("minute %2d: %s has to sign in\n", minute, user);
}

int main(void)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 1000, .clock = {clock_of_this_example, NULL}};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    printf("minute  0: alice signs in\n");
    sark_cache_set(cache, "alice", 5, "home", 4, idle_minutes * ms_per_minute);
    visit(cache, "alice", "search ");
    show(cache, "alice", 10);
    visit(cache, "alice", "cart ");
    show(cache, "alice", 20);
    show(cache, "alice", 45);
    show(cache, "alice", 75);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
