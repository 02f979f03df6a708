/* How is a large value read without a copy? With a pin, which hands out the value where it lies.
   Until the pin is given back the value stays as it was, also when its key is written or deleted
   meanwhile; others see the new one. A pinned value holds its memory: keep pins short.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/08_pin.c -o pin && ./pin

   Prints:
       pinned: 100000 bytes, all 'a'
       replaced; the pin: 100000 bytes, all 'a'
       a new pin: 50000 bytes, all 'b', of another version
       deleted; the new pin: 50000 bytes, all 'b'
       destroy while pins are out: pins, or a callback under way, stand in the way
       pins out at the end: 0
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char page_key[] = "/index.html";

static sark_cache_status put_page(sark_cache *cache, char letter, size_t bytes)
{
    char *page = malloc(bytes);
    if (!page) return SARK_CACHE_NO_MEMORY;
    memset(page, letter, bytes);
    sark_cache_status status = sark_cache_set(cache, page_key, strlen(page_key), page, bytes, 0);
    free(page); /* the cache has its own */
    return status;
}

static void show(const char *what, const sark_cache_pinned *pinned, const char *end)
{
    const char *page = pinned->value;
    size_t same = 0;
    while (same < pinned->value_bytes && page[same] == page[0]) same++;
    printf("%s: %zu bytes, %s '%c'%s", what, pinned->value_bytes,
           same == pinned->value_bytes ? "all" : "not all", page[0], end);
}

int main(void)
{
    sark_cache_config config = {.max_bytes = 4 << 20};
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    if (put_page(cache, 'a', 100000) != SARK_CACHE_OK) return 1;

    sark_cache_pinned old, new;
    if (sark_cache_pin(cache, page_key, strlen(page_key), &old) != SARK_CACHE_OK) return 1;
    show("pinned", &old, "\n");
    if (put_page(cache, 'b', 50000) != SARK_CACHE_OK) return 1;
    show("replaced; the pin", &old, "\n");

    if (sark_cache_pin(cache, page_key, strlen(page_key), &new) != SARK_CACHE_OK) return 1;
    show("a new pin", &new, new.version != old.version ? ", of another version\n" : "\n");
    sark_cache_delete(cache, page_key, strlen(page_key));
    show("deleted; the new pin", &new, "\n");

    printf("destroy while pins are out: %s\n", sark_cache_status_text(sark_cache_destroy(cache)));
    sark_cache_unpin(cache, &old);
    sark_cache_unpin(cache, &new);
    sark_cache_metrics metrics;
    sark_cache_metrics_read(cache, &metrics);
    printf("pins out at the end: %" PRIu64 "\n", metrics.pins_in_use);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
