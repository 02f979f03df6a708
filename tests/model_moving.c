/* The random operations of model_random.c while entries are moved to other blocks all the time,
   with resident words that name them: nothing of that is to be seen.

   model_moving [operations [first seed]]; 2,000,000 operations at the usual scale. */

#include <stdint.h>

#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) true
#define SARKI_KEEP_MACROS
#define USUAL_OPERATIONS 2000000
#define DISTURB(cache, random) disturb((cache), (random))
struct sark_cache;
static void disturb(struct sark_cache *cache, uint64_t *random);
#include "model_random.c"

/* Moves what is in a block, chosen at random, as if it stood in the way of a gap. What is pinned
   does not move: it would count as touched. */
static void disturb(sark_cache *cache, uint64_t *random)
{
    const sarki_arena *arena = &cache->memory.arena;
    sarki_window window = {.next = arena->first};
    for (uint32_t steps = random_below(random, 20); steps > 0; steps--) {
        uint32_t size = sarki_block_size(arena, window.next);
        window.next = window.next + size < arena->end ? window.next + size : arena->first;
    }
    if (sarki_block_is_free(arena, window.next)) return;
    if (sarki_moving_is_read(&cache->leases, window.next)) return;
    window.next_size = sarki_block_size(arena, window.next);
    window.next_hash = sarki_entry_hash(sarki_entry_of(cache, window.next));
    CHECK(sarki_moving_try(cache, &window));
}
