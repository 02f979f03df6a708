/* How are many keys read or written at once? By requests, each with an answer of its own; the
   memory that they need is fetched for several at a time.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/17_batches.c -o batches && ./batches

   Prints:
       stored 4 pages
       /news     front page
       /missing  is not cached
       /about    about us
       2 of 3 pages were there
       asked to remove 2, of which 1 was not there
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <string.h>

enum { PAGES = 4, WANTED = 3 };

static const char *const paths[PAGES] = {"/", "/news", "/about", "/contact"};
static const char *const pages[PAGES] = {"home", "front page", "about us", "write to us"};

static bool store_all(sark_cache *cache)
{
    sark_cache_set_request requests[PAGES];
    for (int i = 0; i < PAGES; i++)
        requests[i] = (sark_cache_set_request){.key = paths[i],
                                               .key_bytes = strlen(paths[i]),
                                               .value = pages[i],
                                               .value_bytes = strlen(pages[i]),
                                               .ttl_ms = 60000};
    if (sark_cache_set_many(cache, requests, PAGES) != SARK_CACHE_OK) return false;
    printf("stored %d pages\n", PAGES);
    return true;
}

static void show(sark_cache *cache)
{
    static const char *const wanted[WANTED] = {"/news", "/missing", "/about"};
    char bodies[WANTED][32];
    sark_cache_get_request requests[WANTED];
    int found = 0;
    for (int i = 0; i < WANTED; i++)
        requests[i] = (sark_cache_get_request){.key = wanted[i],
                                               .key_bytes = strlen(wanted[i]),
                                               .value = bodies[i],
                                               .value_capacity = sizeof bodies[i]};
    (void)sark_cache_get_many(cache, requests, WANTED); /* each answer is looked at below */
    for (int i = 0; i < WANTED; i++) {
        bool is_there = requests[i].status == SARK_CACHE_OK;
        found += is_there;
        if (is_there) printf("%-9s %.*s\n", wanted[i], (int)requests[i].value_bytes, bodies[i]);
        else printf("%-9s is not cached\n", wanted[i]);
    }
    printf("%d of %d pages were there\n", found, WANTED);
}

int main(void)
{
    sark_cache *cache = NULL;
    sark_cache_config config = {.max_entries = 1000};
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    if (!store_all(cache)) return 1;
    show(cache);
    sark_cache_delete_request old[2] = {{"/about", 6, SARK_CACHE_OK}, {"/gone", 5, SARK_CACHE_OK}};
    (void)sark_cache_delete_many(cache, old, 2);
    int missed = (old[0].status == SARK_CACHE_MISS) + (old[1].status == SARK_CACHE_MISS);
    printf("asked to remove %d, of which %d was not there\n", 2, missed);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
