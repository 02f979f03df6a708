/* Fuzzes the arena (>>arena of sark_cache.h): blocks of an arena of 1 to 768 granules are taken,
   grow and are released as the input says, beside a map of its granules; every answer and,
   after every few steps, the whole structure must be what the map tells. At the end all merges. */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "arena_rig.h"
#include "fuzz.h"

enum { NUMBERS = 64 };

/* Small, around the size of the whole arena, or anything between. */
static uint32_t any_size(uint32_t granules)
{
    uint32_t kind = fuzz_byte(), size = 1 + (kind >> 2);
    if ((kind & 3) == 2) size = 1 + fuzz_two_bytes() % granules;
    if ((kind & 3) == 3) size = size < granules ? granules + 1 - size : granules;
    return size;
}

/* A number names one block; one byte says which and what happens to it. */
static bool step(rig *tested, uint32_t granules)
{
    uint32_t byte = fuzz_byte(), number = 1 + byte % NUMBERS;
    bool other = byte / NUMBERS == 3;
    if (tested->refs[number - 1])
        return other ? grow(tested, number, any_size(granules) - 1) : release(tested, number);
    uint32_t size = any_size(granules);
    uint64_t which = other ? fuzz_byte() : 0;
    return other ? take_hole(tested, &which, number, size) : take(tested, number, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static rig tested;
    fuzz_begin(data, bytes);
    uint32_t first = 1 + fuzz_below(8), granules = 1 + fuzz_two_bytes() % 768;
    MUST(rig_create(&tested, first, granules));
    uint32_t every = 1 + granules / 64; /* a look at all of a large arena takes long */
    for (uint32_t steps = 0; fuzz_more(); steps++) {
        MUST(step(&tested, granules));
        if (steps % every == 0) MUST(is_sound(&tested));
    }
    MUST(empties(&tested));
    rig_destroy(&tested);
    return 0;
}
