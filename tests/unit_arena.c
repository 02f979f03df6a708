/* The arena (>>arena of sark_cache.h), white box: blocks are taken, grow and are released at random
   in arenas of one granule and more, against a map that tells of each granule which block it
   belongs to.

   unit_arena [seed] */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"

#include <sys/mman.h>

enum { MOST_BLOCKS = 4096, LOOKS = 8 }; /* LOOKS: the bound that the header states */

/* An arena in memory of its exact size, and the map. Block numbers begin at 1; 0 is free. */
typedef struct rig {
    sarki_arena arena;
    char *memory;
    uint32_t *owners;              /* granule -> number of its block */
    uint32_t refs[MOST_BLOCKS];    /* blocks in use, by number - 1; 0: none of this number */
    uint32_t sizes[MOST_BLOCKS];
    uint32_t blocks, used, peak;   /* blocks and granules in use */
} rig;

static uint64_t seed = 1;

static bool rig_create(rig *made, uint32_t first, uint32_t granules)
{
    memset(made, 0, sizeof *made);
    size_t all = (size_t)first + granules + 1;
    made->memory = aligned_alloc(SARKI_GRANULE, all * SARKI_GRANULE);
    made->owners = calloc(all, sizeof *made->owners);
    made->arena.bins = calloc(sarki_arena_levels(granules) * SARKI_BINS_PER_LEVEL,
                              sizeof *made->arena.bins);
    if (!made->memory || !made->owners || !made->arena.bins) return false;
    memset(made->memory, 0xA5, all * SARKI_GRANULE);
    made->arena.region = made->memory;
    sarki_arena_create(&made->arena, first, first + granules);
    return true;
}

static void rig_destroy(rig *made)
{
    free(made->memory);
    free(made->owners);
    free(made->arena.bins);
}

/* ---- The map -------------------------------------------------------------------------------- */

/* The bytes of a block that belong to its owner. */
static unsigned char *owned(const rig *tested, uint32_t ref)
{
    return (unsigned char *)sarki_block(&tested->arena, ref) + sizeof(uint32_t);
}

static size_t owned_bytes(uint32_t size) { return (size_t)size * SARKI_GRANULE - 4; }

/* The next of a block's bytes that are filled and compared: those at both ends, where the arena
   would write. */
static size_t next_byte(size_t i, size_t bytes)
{
    return i == 63 && bytes > 128 ? bytes - 64 : i + 1;
}

static bool is_filled(const rig *tested, uint32_t number)
{
    size_t all = owned_bytes(tested->sizes[number - 1]);
    const unsigned char *bytes = owned(tested, tested->refs[number - 1]);
    for (size_t i = 0; i < all; i = next_byte(i, all))
        if (bytes[i] != (unsigned char)(number + i)) return false;
    return true;
}

/* Notes a block, and fills it. False: it overlaps another one, or the arena's end. */
static bool map_take(rig *tested, uint32_t number, uint32_t ref, uint32_t size)
{
    if (ref < tested->arena.first || size > tested->arena.end - ref) return false;
    for (uint32_t at = ref; at < ref + size; at++) {
        if (tested->owners[at]) return false;
        tested->owners[at] = number;
    }
    for (size_t i = 0; i < owned_bytes(size); i = next_byte(i, owned_bytes(size)))
        owned(tested, ref)[i] = (unsigned char)(number + i);
    tested->refs[number - 1] = ref;
    tested->sizes[number - 1] = size;
    tested->blocks++;
    tested->used += size;
    if (tested->used > tested->peak) tested->peak = tested->used;
    return true;
}

static void map_release(rig *tested, uint32_t number)
{
    uint32_t ref = tested->refs[number - 1], size = tested->sizes[number - 1];
    memset(tested->owners + ref, 0, size * sizeof *tested->owners);
    tested->refs[number - 1] = 0;
    tested->blocks--;
    tested->used -= size;
}

/* Where the run of granules of one owner ends. */
static uint32_t run_end(const rig *tested, uint32_t at)
{
    uint32_t end = at + 1;
    while (end < tested->arena.end && tested->owners[end] == tested->owners[at]) end++;
    return end;
}

/* Whether the map explains that a request was refused: what is large enough stands in the
   request's own bin, and there behind at least 8 that are not. */
static bool refusal_is_right(const rig *tested, uint32_t size)
{
    uint32_t large = 0, small = 0;
    for (uint32_t at = tested->arena.first, end; at < tested->arena.end; at = end) {
        end = run_end(tested, at);
        if (tested->owners[at] || sarki_bin_of(end - at) < sarki_bin_of(size)) continue;
        if (sarki_bin_of(end - at) > sarki_bin_of(size)) return false;
        if (end - at >= size) large++;
        else small++;
    }
    return large == 0 || small >= LOOKS;
}

/* ---- The structure -------------------------------------------------------------------------- */

/* A1, A2, A3, A5: the blocks, one after the other, are those of the map. Returns how many are free;
   UINT32_MAX where something is wrong. */
static uint32_t walk_blocks(const rig *tested)
{
    const sarki_arena *arena = &tested->arena;
    uint32_t free_blocks = 0, before_free = 0, ref = arena->first;
    while (ref < arena->end) {
        uint32_t header = sarki_block(arena, ref)[0], size = header >> 2;
        uint32_t is_free = header & SARKI_BLOCK_FREE;
        if (!size || size > arena->end - ref) return UINT32_MAX;
        if (((header & SARKI_PREVIOUS_FREE) != 0) != before_free) return UINT32_MAX;
        if (is_free && (before_free || run_end(tested, ref) != ref + size)) return UINT32_MAX;
        if (is_free != (tested->owners[ref] == 0)) return UINT32_MAX;
        if (!is_free && tested->sizes[tested->owners[ref] - 1] != size) return UINT32_MAX;
        if (is_free && *sarki_block_footer(arena, ref, size) != size) return UINT32_MAX;
        free_blocks += is_free;
        before_free = is_free;
        ref += size;
    }
    uint32_t last = sarki_block(arena, arena->end)[0];
    return last == (before_free ? SARKI_PREVIOUS_FREE : 0) ? free_blocks : UINT32_MAX;
}

/* A4: how many blocks stand in a bin; UINT32_MAX where one is not of it or the links are wrong. */
static uint32_t walk_bin(const sarki_arena *arena, uint32_t bin)
{
    uint32_t count = 0, previous = 0;
    for (uint32_t ref = arena->bins[bin]; ref; ref = sarki_block(arena, ref)[1]) {
        const uint32_t *block = sarki_block(arena, ref);
        if (!(block[0] & SARKI_BLOCK_FREE) || block[2] != previous) return UINT32_MAX;
        if (sarki_bin_of(block[0] >> 2) != bin || count > arena->end) return UINT32_MAX;
        previous = ref;
        count++;
    }
    return count;
}

/* A4: the bitmaps tell which bins hold some. Returns how many blocks stand in them. */
static uint32_t walk_bins(const sarki_arena *arena)
{
    uint32_t free_blocks = 0, levels = 0;
    for (uint32_t level = 0; level < arena->level_count; level++) {
        uint32_t bits = 0;
        for (uint32_t i = 0; i < SARKI_BINS_PER_LEVEL; i++) {
            uint32_t count = walk_bin(arena, level * SARKI_BINS_PER_LEVEL + i);
            if (count == UINT32_MAX) return UINT32_MAX;
            bits |= (uint32_t)(count > 0) << i;
            free_blocks += count;
        }
        if (bits != arena->level_bins[level]) return UINT32_MAX;
        levels |= (uint32_t)(bits != 0) << level;
    }
    return levels == arena->levels ? free_blocks : UINT32_MAX;
}

static bool is_sound(const rig *tested)
{
    uint32_t free_blocks = walk_blocks(tested);
    return free_blocks != UINT32_MAX && free_blocks == walk_bins(&tested->arena) &&
           sarki_load32_relaxed(&tested->arena.a_used) == tested->used &&
           sarki_load32_relaxed(&tested->arena.a_used_peak) == tested->peak;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static bool take(rig *tested, uint32_t number, uint32_t size)
{
    uint32_t generation = tested->arena.generation;
    uint32_t ref = sarki_arena_allocate(&tested->arena, size);
    if (!ref) return generation == tested->arena.generation && refusal_is_right(tested, size);
    return generation != tested->arena.generation &&
           sarki_block_size(&tested->arena, ref) == size && map_take(tested, number, ref, size);
}

static bool release(rig *tested, uint32_t number)
{
    bool filled = is_filled(tested, number);
    uint32_t generation = tested->arena.generation;
    sarki_arena_release(&tested->arena, tested->refs[number - 1]);
    map_release(tested, number);
    return filled && generation != tested->arena.generation;
}

/* How many granules are free from one on. */
static uint32_t free_from(const rig *tested, uint32_t at)
{
    return at < tested->arena.end && !tested->owners[at] ? run_end(tested, at) - at : 0;
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* A block grows over what is free behind it, up to a size. */
static bool grow(rig *tested, uint32_t number, uint32_t more)
{
    uint32_t ref = tested->refs[number - 1], before = tested->sizes[number - 1];
    uint32_t after = before + least(more, free_from(tested, ref + before));
    bool filled = is_filled(tested, number);
    if (sarki_arena_grow(&tested->arena, ref, before + more) != after) return false;
    map_release(tested, number);
    return filled && map_take(tested, number, ref, after);
}

/* Holes are beginnings of free blocks, the largest come first, and of each as much is taken as is
   asked for. */
static bool take_hole(rig *tested, uint64_t *random, uint32_t number, uint32_t size)
{
    uint32_t refs[16], count = sarki_arena_holes(&tested->arena, refs, 16), largest = 0;
    for (uint32_t at = tested->arena.first; at < tested->arena.end; at = run_end(tested, at))
        if (free_from(tested, at) > largest) largest = free_from(tested, at);
    if (!count) return largest == 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!free_from(tested, refs[i])) return false;
        if (refs[i] > tested->arena.first && free_from(tested, refs[i] - 1)) return false;
    }
    if (sarki_bin_of(free_from(tested, refs[0])) != sarki_bin_of(largest)) return false;
    uint32_t ref = refs[random_below(random, count)], free_granules = free_from(tested, ref);
    uint32_t taken = sarki_arena_take(&tested->arena, ref, size);
    return taken == least(size, free_granules) && map_take(tested, number, ref, taken);
}

/* Sizes as they come: mostly small, sometimes up to the whole arena. */
static uint32_t random_size(uint64_t *random, uint32_t granules)
{
    uint32_t most = granules;
    switch (random_below(random, 4)) {
    case 0: most = 8; break;
    case 1: most = 40; break;
    case 2: most = granules / 16 + 1; break;
    default: break;
    }
    return 1 + random_below(random, most < granules ? most : granules);
}

/* Takes and releases at random; numbers of blocks are taken from the first so many. */
static bool churn(rig *tested, uint64_t *random, uint32_t numbers, uint32_t steps, uint32_t every)
{
    uint32_t granules = tested->arena.end - tested->arena.first;
    for (uint32_t step = 0; step < steps; step++) {
        uint32_t number = 1 + random_below(random, numbers);
        uint32_t size = random_size(random, granules);
        bool is_used = tested->refs[number - 1] != 0, other = random_below(random, 4) == 0;
        bool right = is_used ? other ? grow(tested, number, size - 1) : release(tested, number)
                   : other   ? take_hole(tested, random, number, size)
                             : take(tested, number, size);
        if (!right || (step % every == 0 && !is_sound(tested))) {
            printf("  arena of %u granules, step %u\n", granules, step);
            return false;
        }
    }
    return is_sound(tested);
}

/* Releases everything: then there is one free block of the full size, and it can be taken. */
static bool empties(rig *tested)
{
    sarki_arena *arena = &tested->arena;
    uint32_t granules = arena->end - arena->first;
    for (uint32_t number = 1; number <= MOST_BLOCKS; number++)
        if (tested->refs[number - 1] && !release(tested, number)) return false;
    if (!is_sound(tested) || walk_blocks(tested) != 1) return false;
    if (sarki_block(arena, arena->first)[0] != (granules << 2 | SARKI_BLOCK_FREE)) return false;
    if (sarki_arena_allocate(arena, granules + 1) != 0) return false;
    if (!take(tested, 1, granules) || tested->refs[0] != arena->first) return false;
    return is_sound(tested) && sarki_arena_allocate(arena, 1) == 0 && release(tested, 1) &&
           is_sound(tested);
}

static void churn_in(uint32_t first, uint32_t granules, uint32_t numbers, uint32_t steps,
                     uint32_t every)
{
    static rig tested;
    uint64_t random = seed + granules;
    REQUIRE(rig_create(&tested, first, granules));
    CHECK(is_sound(&tested));
    CHECK(churn(&tested, &random, numbers, steps, every));
    CHECK(empties(&tested));
    rig_destroy(&tested);
}

/* ---- Cases ---------------------------------------------------------------------------------- */

TEST(smallest_arenas)
{
    uint32_t steps = (uint32_t)support_length(NULL, 3000);
    for (uint32_t granules = 1; granules <= 60; granules++)
        churn_in(1 + granules % 5, granules, 1 + granules, steps, 1);
}

TEST(arenas_around_powers_of_two)
{
    uint32_t steps = (uint32_t)support_length(NULL, 3000);
    for (uint32_t granules = 128; granules <= 2048; granules *= 2)
        for (uint32_t more = 0; more < 3; more++) churn_in(7, granules - 1 + more, 60, steps, 5);
}

TEST(large_arenas)
{
    uint32_t steps = (uint32_t)support_length(NULL, 15000);
    churn_in(100, 20000, 1000, steps, 300);
    churn_in(1, 65536, MOST_BLOCKS, steps, 10000);
}

/* Few sizes, all of two neighbouring bins: own bins fill, and requests are refused. */
TEST(one_size_class)
{
    static rig tested;
    uint64_t random = seed;
    REQUIRE(rig_create(&tested, 1, 3000));
    for (uint32_t step = 0; step < support_length(NULL, 20000); step++) {
        uint32_t number = 1 + random_below(&random, 160);
        bool right = tested.refs[number - 1] ? release(&tested, number)
                                             : take(&tested, number, 16 + random_below(&random, 4));
        CHECK(right);
        if (step % 16 == 0) CHECK(is_sound(&tested));
    }
    CHECK(empties(&tested));
    rig_destroy(&tested);
}

/* What fits the empty arena can be taken, whatever its bin. */
TEST(exactly_the_free_size)
{
    static rig tested;
    for (uint32_t granules = 1; granules <= 700; granules++) {
        REQUIRE(rig_create(&tested, 1, granules));
        for (uint32_t size = granules > 9 ? granules - 9 : 1; size <= granules; size++) {
            CHECK(take(&tested, 1, size) && tested.refs[0] == 1);
            CHECK(walk_blocks(&tested) == (size < granules));
            CHECK(release(&tested, 1) && is_sound(&tested));
        }
        CHECK(sarki_arena_allocate(&tested.arena, granules + 1) == 0);
        rig_destroy(&tested);
    }
}

/* Both neighbours, one, the other, or none are free when a block is released. */
TEST(neighbours_merge)
{
    static rig tested;
    REQUIRE(rig_create(&tested, 3, 60));
    for (uint32_t which = 0; which < 4; which++) {
        for (uint32_t number = 1; number <= 5; number++) CHECK(take(&tested, number, 12));
        if (which & 1) CHECK(release(&tested, 2));
        if (which & 2) CHECK(release(&tested, 4));
        CHECK(release(&tested, 3));
        CHECK(is_sound(&tested) && walk_blocks(&tested) == 1);
        uint32_t from = which & 1 ? 2 : 3, blocks = 1 + (which & 1) + (which >> 1);
        uint32_t header = sarki_block(&tested.arena, 3 + (from - 1) * 12)[0];
        CHECK(header == (blocks * 12 << 2 | SARKI_BLOCK_FREE));
        CHECK(empties(&tested));
    }
    rig_destroy(&tested);
}

/* Free blocks in one bin, one apart from the other, the last of the list of another size. Returns
   the reference of that one. */
static uint32_t fill_own_bin(rig *tested, uint32_t ahead, uint32_t small, uint32_t large)
{
    uint32_t number = 1;
    for (uint32_t i = 0; i <= ahead; i++) {
        sarki_arena *arena = &tested->arena;
        uint32_t size = i == 0 ? large : small;
        map_take(tested, number++, sarki_arena_allocate(arena, size), size);
        map_take(tested, number++, sarki_arena_allocate(arena, 1), 1);
    }
    uint32_t rest = tested->arena.end - tested->arena.first - tested->used;
    map_take(tested, number, sarki_arena_allocate(&tested->arena, rest), rest);
    uint32_t ref = tested->refs[0];
    for (uint32_t i = 0; i <= ahead; i++) release(tested, 1 + 2 * i);
    return ref;
}

/* Of the own bin the first 8 blocks are looked at, and no more. */
TEST(own_bin_tries)
{
    static rig tested;
    for (uint32_t ahead = 0; ahead < 12; ahead++) {
        REQUIRE(rig_create(&tested, 1, 1000));
        uint32_t large = fill_own_bin(&tested, ahead, 32, 34);
        REQUIRE(sarki_bin_of(32) == sarki_bin_of(34) && is_sound(&tested));
        uint32_t ref = sarki_arena_allocate(&tested.arena, 34);
        CHECK(ref == (ahead < LOOKS ? large : 0));
        rig_destroy(&tested);
    }
}

/* A reference that leads out of memory stands behind the eighth block: nobody follows it. */
TEST(bound_of_blocks_looked_at)
{
    static rig tested;
    REQUIRE(rig_create(&tested, 1, 1000));
    uint32_t large = fill_own_bin(&tested, LOOKS, 32, 34);
    uint32_t ref = tested.arena.bins[sarki_bin_of(34)];
    for (uint32_t i = 1; i < LOOKS; i++) ref = sarki_block(&tested.arena, ref)[1];
    uint32_t next = sarki_block(&tested.arena, ref)[1];
    REQUIRE(next == large);
    sarki_block(&tested.arena, ref)[1] = 0x7fffffff;
    CHECK(sarki_arena_allocate(&tested.arena, 34) == 0);
    sarki_block(&tested.arena, ref)[1] = next;
    CHECK(is_sound(&tested));
    rig_destroy(&tested);
}

/* Where another bin has a block, the first of it is taken, unseen its followers. */
TEST(larger_bins_need_one_look)
{
    static rig tested;
    REQUIRE(rig_create(&tested, 1, 1000));
    fill_own_bin(&tested, 5, 36, 36);
    uint32_t ref = tested.arena.bins[sarki_bin_of(36)], next = sarki_block(&tested.arena, ref)[1];
    sarki_block(&tested.arena, ref)[1] = 0; /* the others are cut off */
    CHECK(sarki_arena_find_rounded(&tested.arena, 33) == ref);
    CHECK(sarki_arena_find_rounded(&tested.arena, 36) == ref); /* the least size of its bin */
    CHECK(sarki_arena_find_rounded(&tested.arena, 37) == 0);
    sarki_block(&tested.arena, ref)[1] = next;
    CHECK(is_sound(&tested));
    rig_destroy(&tested);
}

/* ---- Bins ----------------------------------------------------------------------------------- */

/* The least size of a bin, by the definition: 8 bins to each power of two. */
static uint64_t bin_begin(uint32_t bin)
{
    if (bin < 16) return bin;
    return (uint64_t)(8 + bin % 8) << (bin / 8 - 1);
}

TEST(bins)
{
    uint32_t most = SARKI_MAX_LEVELS * SARKI_BINS_PER_LEVEL;
    for (uint32_t bin = 1; bin < most; bin++) {
        uint64_t begin = bin_begin(bin), end = bin_begin(bin + 1) - 1;
        CHECK(sarki_bin_of((uint32_t)begin) == bin);
        CHECK(sarki_bin_of((uint32_t)end) == bin);
        CHECK(sarki_bin_of((uint32_t)(begin + end) / 2) == bin);
        CHECK(sarki_arena_levels((uint32_t)end) == bin / SARKI_BINS_PER_LEVEL + 1);
    }
    CHECK(sarki_bin_of(SARKI_MAX_GRANULES) == most - 1);
    for (uint32_t size = 1; size < 1 << 20; size++) {
        uint32_t bin = sarki_bin_of(size);
        CHECK(bin_begin(bin) <= size && size < bin_begin(bin + 1));
    }
}

/* ---- The largest ---------------------------------------------------------------------------- */

/* Blocks of half, a quarter, ... of an arena; none overlaps, and all merge again. */
static void halve(sarki_arena *arena, uint32_t granules)
{
    uint32_t refs[32], count = 0, left = granules;
    for (uint32_t size = granules / 2 + 1; left > 0; size = left / 2 + 1) {
        refs[count] = sarki_arena_allocate(arena, size);
        CHECK(refs[count] == arena->first + (granules - left));
        left -= size;
        count++;
    }
    CHECK(sarki_arena_allocate(arena, 1) == 0);
    CHECK(sarki_load32_relaxed(&arena->a_used) == granules);
    for (uint32_t i = 0; i < count; i += 2) sarki_arena_release(arena, refs[i]);
    for (uint32_t i = 1; i < count; i += 2) sarki_arena_release(arena, refs[i]);
    CHECK(sarki_block(arena, arena->first)[0] == (granules << 2 | SARKI_BLOCK_FREE));
    CHECK(sarki_arena_allocate(arena, granules) == arena->first);
    sarki_arena_release(arena, arena->first);
}

/* An arena of nearly 16 GiB, of which only a few pages are ever touched. */
TEST(largest_arena)
{
    sarki_arena arena;
    uint32_t bins[SARKI_MAX_LEVELS * SARKI_BINS_PER_LEVEL] = {0};
    uint32_t granules = SARKI_MAX_GRANULES - 2;
    uint64_t bytes = (uint64_t)SARKI_MAX_GRANULES * SARKI_GRANULE;
    if (bytes > SIZE_MAX / 2) return;
    void *region = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) {
        printf("  no address space for 16 GiB: left out\n");
        return;
    }
    memset(&arena, 0, sizeof arena);
    arena.region = region;
    arena.bins = bins;
    sarki_arena_create(&arena, 1, 1 + granules);
    CHECK(arena.level_count == SARKI_MAX_LEVELS);
    halve(&arena, granules);
    CHECK(sarki_arena_allocate(&arena, granules + 1) == 0);
    CHECK(sarki_arena_allocate(&arena, SARKI_MAX_GRANULES) == 0);
    munmap(region, (size_t)bytes);
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(bins);
    RUN(smallest_arenas);
    RUN(arenas_around_powers_of_two);
    RUN(large_arenas);
    RUN(one_size_class);
    RUN(exactly_the_free_size);
    RUN(neighbours_merge);
    RUN(own_bin_tries);
    RUN(bound_of_blocks_looked_at);
    RUN(larger_bins_need_one_look);
    RUN(largest_arena);
    return test_summary();
}
