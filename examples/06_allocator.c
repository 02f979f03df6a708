/* Where does the memory come from? From an allocator of the program's, which is asked once, at
   creation, for all of it. This one passes on to malloc and keeps count.

   An allocator that maps the memory (mmap) and asks for huge pages (madvise with MADV_HUGEPAGE)
   makes hits faster on a cache much larger than the processor's caches.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/06_allocator.c -o allocator && ./allocator

   Prints:
       created: 1048576 bytes held, 1 call
       100000 entries later: 1048576 bytes held, 1 call
       destroyed: 0 bytes held, 2 calls
       more than allowed: the allocator gave no memory for the region
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct budget {
    size_t bytes_held, max_bytes;
    int calls;
} budget;

/* What it returns must be aligned for max_align_t, need not be zero, and may be NULL. */
static void *allocate(void *context, size_t bytes)
{
    budget *mine = context;
    mine->calls++;
    if (bytes > mine->max_bytes - mine->bytes_held) return NULL;
    void *region = malloc(bytes);
    if (region) mine->bytes_held += bytes;
    return region;
}

static void release(void *context, void *region, size_t bytes)
{
    budget *mine = context;
    mine->calls++;
    mine->bytes_held -= bytes;
    free(region);
}

static void show(const char *when, const budget *mine)
{
    printf("%s: %zu bytes held, %d call%s\n", when, mine->bytes_held, mine->calls,
           mine->calls == 1 ? "" : "s");
}

int main(void)
{
    budget mine = {.max_bytes = 2 << 20};
    sark_cache_config config = {.max_bytes = 1 << 20};
    config.allocator.allocate = allocate;
    config.allocator.release = release;
    config.allocator.context = &mine;
    sark_cache *cache = NULL;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    show("created", &mine);

    for (uint32_t i = 0; i < 100000; i++)
        if (sark_cache_set(cache, &i, sizeof i, "some value", 10, 0) != SARK_CACHE_OK) return 1;
    show("100000 entries later", &mine);

    if (sark_cache_destroy(cache) != SARK_CACHE_OK) return 1;
    show("destroyed", &mine);

    config.max_bytes = 4 << 20;
    printf("more than allowed: %s\n", sark_cache_status_text(sark_cache_create(&cache, &config)));
    return cache == NULL ? 0 : 1;
}
