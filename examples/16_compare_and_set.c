/* How do threads change a struct without losing an update? Read it with its version, and store
   the new one only where that is still its version; otherwise start again. Here four threads do.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/16_compare_and_set.c -o update && ./update

   Prints:
       an old version is refused: yes
       deposits: 40000, balance: 400000
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { thread_count = 4, deposits_per_thread = 10000 };

typedef struct account {
    int64_t balance, deposits; /* of both or of neither: more than increment could do */
} account;

/* The account and its version, from the same instant; MISS where there is none. */
static sark_cache_status read_account(sark_cache *cache, account *found, uint64_t *version)
{
    sark_cache_pinned pinned;
    sark_cache_status status = sark_cache_pin(cache, "alice", 5, &pinned);
    if (status != SARK_CACHE_OK) return status;
    *version = pinned.version;
    bool is_account = pinned.value_bytes == sizeof *found;
    if (is_account) memcpy(found, pinned.value, sizeof *found);
    sark_cache_unpin(cache, &pinned);
    return is_account ? SARK_CACHE_OK : SARK_CACHE_MISS;
}

static sark_cache_status deposit(sark_cache *cache, int64_t amount)
{
    sark_cache_status status = SARK_CACHE_EXISTS;
    while (status == SARK_CACHE_EXISTS) { /* another was faster */
        account found;
        uint64_t version = 0;
        status = read_account(cache, &found, &version);
        if (status != SARK_CACHE_OK) return status;
        found.balance += amount;
        found.deposits++;
        status = sark_cache_compare_and_set(cache, "alice", 5, version, &found, sizeof found, 0);
    }
    return status;
}

static void *pay_in(void *cache)
{
    for (int i = 0; i < deposits_per_thread; i++)
        if (deposit(cache, 10) != SARK_CACHE_OK) break; /* the sum will tell */
    return NULL;
}

int main(void)
{
    sark_cache_config config = {.max_entries = 100, .pin_count = 16}; /* at least one a thread */
    sark_cache *cache = NULL;
    pthread_t threads[thread_count];
    account alice = {0, 0};
    uint64_t version = 0;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    sark_cache_set(cache, "alice", 5, &alice, sizeof alice, 0);
    if (read_account(cache, &alice, &version) != SARK_CACHE_OK) return 1;

    for (int i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i], NULL, pay_in, cache) != 0) return 1;
    for (int i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
    sark_cache_status status =
        sark_cache_compare_and_set(cache, "alice", 5, version, &alice, sizeof alice, 0);
    printf("an old version is refused: %s\n", status == SARK_CACHE_EXISTS ? "yes" : "no");
    if (read_account(cache, &alice, &version) != SARK_CACHE_OK) return 1;
    printf("deposits: %" PRId64 ", balance: %" PRId64 "\n", alice.deposits, alice.balance);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1;
}
