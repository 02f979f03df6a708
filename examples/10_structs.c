/* May keys and values be strings and structs? Yes: the cache takes their bytes, whatever they mean.
   The padding of a struct that is a key is compared too: have none, or set the struct to zero
   before its members, and do not copy it by assignment, which may leave the padding out. And a
   value holds the bytes of a pointer, not what it points to.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/10_structs.c -o structs && ./structs

   Prints:
       string under string: alice -> Alice of Sales
       the empty string is a key: nobody
       struct under struct: tenant 7, report r, page 2 -> 80 rows, 2.5 ms
       another page: no live entry under this key
       a value of another size is refused: yes
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct report_key {
    uint32_t tenant;
    char kind; /* three bytes of padding follow on most targets */
    uint32_t page;
} report_key;

typedef struct report_cost {
    uint64_t rows;
    double ms;
} report_cost;

static void write_key(report_key *key, uint32_t tenant, char kind, uint32_t page)
{
    memset(key, 0, sizeof *key); /* = {0} need not reach the padding */
    key->tenant = tenant;
    key->kind = kind;
    key->page = page;
}

/* OK only where a value of just this size is there. */
static sark_cache_status get_cost(sark_cache *cache, const report_key *key, report_cost *cost)
{
    size_t bytes = 0;
    sark_cache_status status = sark_cache_get(cache, key, sizeof *key, cost, sizeof *cost, &bytes);
    return status == SARK_CACHE_OK && bytes != sizeof *cost ? SARK_CACHE_MISS : status;
}

int main(void)
{
    sark_cache_config config = {.max_entries = 1000};
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;

    char name[32]; /* values are stored with their end, keys without */
    const char *user = "alice";
    sark_cache_set(cache, user, strlen(user), "Alice of Sales", sizeof "Alice of Sales", 0);
    sark_cache_set(cache, "", 0, "nobody", sizeof "nobody", 0);
    if (sark_cache_get(cache, user, strlen(user), name, sizeof name, NULL) == SARK_CACHE_OK)
        printf("string under string: %s -> %s\n", user, name);
    if (sark_cache_get(cache, "", 0, name, sizeof name, NULL) == SARK_CACHE_OK)
        printf("the empty string is a key: %s\n", name);

    report_key key, again, other;
    write_key(&key, 7, 'r', 2), write_key(&again, 7, 'r', 2), write_key(&other, 7, 'r', 3);
    report_cost cost = {.rows = 80, .ms = 2.5}, found;
    sark_cache_set(cache, &key, sizeof key, &cost, sizeof cost, 0);
    if (get_cost(cache, &again, &found) == SARK_CACHE_OK)
        printf("struct under struct: tenant 7, report r, page 2 -> %" PRIu64 " rows, %.1f ms\n",
               found.rows, found.ms);
    sark_cache_status status = get_cost(cache, &other, &found);
    printf("another page: %s\n", sark_cache_status_text(status));
    sark_cache_set(cache, &key, sizeof key, "short", 5, 0);
    printf("a value of another size is refused: %s\n",
           get_cost(cache, &key, &found) == SARK_CACHE_MISS ? "yes" : "no");
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
