/* How are things counted? With increment: one call, one instant, however many threads count. Here
   the requests of a user in a minute: the first sets the minute, which the others leave as it is.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/09_counters.c -o counters && ./counters

   Prints:
       request 1 of alice: let in
       request 2 of alice: let in
       request 3 of alice: let in
       request 4 of alice: turned away
       alice's count, read as a value: 4
       bob without an initial number: no live entry under this key
       down by 6, 4 is now: -2
       one more than the largest: the sum is out of the range of 64 bits
       the largest is still there: 9223372036854775807
       two more, where a sum may not leave the range: 9223372036854775807
       one more than a text: the value is no number of 8 bytes
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { requests_per_minute = 3 };

/* The first request stores 1, each other adds 1. A TTL of 0: the default for a new count, and a
   live one keeps its deadline. Where the cache cannot count, the user is turned away. */
static bool lets_in(sark_cache *cache, const char *user)
{
    const int64_t first = 1;
    int64_t requests = 0;
    sark_cache_status status =
        sark_cache_increment(cache, user, strlen(user), 1, &first, 0, &requests);
    return status == SARK_CACHE_OK && requests <= requests_per_minute;
}

/* A number is a value of 8 bytes, little-endian on every machine. */
static int64_t number_at(sark_cache *cache, const char *key)
{
    unsigned char bytes[8] = {0};
    size_t byte_count = 0;
    sark_cache_status status =
        sark_cache_get(cache, key, strlen(key), bytes, sizeof bytes, &byte_count);
    return status == SARK_CACHE_OK && byte_count == 8 ? sark_cache_read_int64(bytes) : 0;
}

int main(void)
{
    sark_cache_config config = {.max_entries = 1000, .default_ttl_ms = 60000};
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    for (int i = 1; i <= 4; i++)
        printf("request %d of alice: %s\n", i, lets_in(cache, "alice") ? "let in" : "turned away");
    printf("alice's count, read as a value: %" PRId64 "\n", number_at(cache, "alice"));

    sark_cache_status status = sark_cache_increment(cache, "bob", 3, 1, NULL, 0, NULL);
    printf("bob without an initial number: %s\n", sark_cache_status_text(status));
    int64_t result = 0;
    if (sark_cache_increment(cache, "alice", 5, -6, NULL, 0, &result) != SARK_CACHE_OK) return 1;
    printf("down by 6, 4 is now: %" PRId64 "\n", result);

    unsigned char largest[8];
    sark_cache_write_int64(largest, INT64_MAX);
    sark_cache_set(cache, "largest", 7, largest, sizeof largest, 0);
    status = sark_cache_increment(cache, "largest", 7, 1, NULL, 0, NULL);
    printf("one more than the largest: %s\n", sark_cache_status_text(status));
    printf("the largest is still there: %" PRId64 "\n", number_at(cache, "largest"));
    (void)sark_cache_increment_saturating(cache, "largest", 7, 2, NULL, 0, &result);
    printf("two more, where a sum may not leave the range: %" PRId64 "\n", result);
    sark_cache_set(cache, "text", 4, "allow", 5, 0);
    status = sark_cache_increment(cache, "text", 4, 1, NULL, 0, NULL);
    printf("one more than a text: %s\n", sark_cache_status_text(status));
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
