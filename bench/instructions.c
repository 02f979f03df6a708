/* Makes calls of one kind, so that their instructions can be counted from outside: the counts of
   two runs of different lengths differ by those of the calls (tests/instructions.sh).

   build/instructions hit|miss|set|insert CALLS     (at most 20,000)

   10,000 entries, keys of 65 bytes, values of 120, a TTL on all. */

#include "workload.h"

#define SARK_CACHE_STATIC
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

enum { ENTRIES = 10000, MOST_CALLS = 20000, KEY_BYTES = 65, VALUE_BYTES = 120 };

typedef enum call_kind { HIT, MISS, SET, INSERT } call_kind;

static sark_cache *cache;
static char keys[ENTRIES + MOST_CALLS][KEY_BYTES + 1];
static uint64_t wrong;

static void set_key(uint64_t number)
{
    unsigned char value[VALUE_BYTES] = {0};
    workload_write_value(value, VALUE_BYTES, number);
    wrong += sark_cache_set(cache, keys[number], KEY_BYTES, value, VALUE_BYTES, 3600000) !=
             SARK_CACHE_OK;
}

static void get_key(uint64_t number, sark_cache_status expected)
{
    unsigned char value[VALUE_BYTES];
    wrong += sark_cache_get(cache, keys[number], KEY_BYTES, value, VALUE_BYTES, NULL) != expected;
}

static void make_call(call_kind kind, uint64_t i)
{
    uint64_t other = workload_mix(i);
    switch (kind) {
    case HIT: get_key(other % ENTRIES, SARK_CACHE_OK); break;
    case MISS: get_key(ENTRIES + other % MOST_CALLS, SARK_CACHE_MISS); break;
    case SET: set_key(other % ENTRIES); break;
    case INSERT: set_key(ENTRIES + i); break;
    }
}

int main(int argument_count, char **arguments)
{
    static const char *const kinds[] = {"hit", "miss", "set", "insert"};
    const sark_cache_config config = {.max_entries = ENTRIES, .hash_seed = 1};
    size_t kind = 0;
    if (argument_count != 3) return 2;
    while (kind < 4 && strcmp(arguments[1], kinds[kind]) != 0) kind++;
    if (kind == 4 || sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 2;
    uint64_t calls = strtoull(arguments[2], NULL, 10);
    if (calls > MOST_CALLS) return 2;
    for (uint64_t i = 0; i < ENTRIES + MOST_CALLS; i++) workload_write_key(keys[i], KEY_BYTES, i);
    for (uint64_t i = 0; i < ENTRIES; i++) set_key(i);
    for (uint64_t i = 0; i < calls; i++) make_call((call_kind)kind, i);
    return sark_cache_destroy(cache) != SARK_CACHE_OK || wrong > 0;
}
