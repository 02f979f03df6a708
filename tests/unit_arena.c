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
#include "arena_rig.h"

#include <sys/mman.h>

static uint64_t seed = 1;

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

static uint32_t wiped_from; /* of what is given back; 0: nothing is wiped */

static void churn_in(uint32_t first, uint32_t granules, uint32_t numbers, uint32_t steps,
                     uint32_t every)
{
    static rig tested;
    uint64_t random = seed + granules;
    REQUIRE(rig_create(&tested, first, granules));
    tested.arena.wiped_from = wiped_from;
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
        CHECK(sarki_arena_allocate(&tested.arena, granules + 1, 8) == 0);
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
        map_take(tested, number++, sarki_arena_allocate(arena, size, 8), size);
        map_take(tested, number++, sarki_arena_allocate(arena, 1, 8), 1);
    }
    uint32_t rest = tested->arena.end - tested->arena.first - tested->used;
    map_take(tested, number, sarki_arena_allocate(&tested->arena, rest, 8), rest);
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
        uint32_t ref = sarki_arena_allocate(&tested.arena, 34, 8);
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
    CHECK(sarki_arena_allocate(&tested.arena, 34, 8) == 0);
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
        refs[count] = sarki_arena_allocate(arena, size, 8);
        CHECK(refs[count] == arena->first + (granules - left));
        left -= size;
        count++;
    }
    CHECK(sarki_arena_allocate(arena, 1, 8) == 0);
    CHECK(sarki_load32_relaxed(&arena->a_used) == granules);
    for (uint32_t i = 0; i < count; i += 2) sarki_arena_release(arena, refs[i]);
    for (uint32_t i = 1; i < count; i += 2) sarki_arena_release(arena, refs[i]);
    CHECK(sarki_block(arena, arena->first)[0] == (granules << 2 | SARKI_BLOCK_FREE));
    CHECK(sarki_arena_allocate(arena, granules, 8) == arena->first);
    sarki_arena_release(arena, arena->first);
}

/* Whatever is wiped belongs to the block that is given back, also where that is smaller than a
   header. */
TEST(blocks_that_are_wiped)
{
    uint32_t steps = (uint32_t)support_length(NULL, 3000);
    wiped_from = sizeof(sarki_entry);
    for (uint32_t granules = 1; granules <= 60; granules++)
        churn_in(1 + granules % 5, granules, granules, steps, 1);
    wiped_from = 0;
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
    CHECK(sarki_arena_allocate(&arena, granules + 1, 8) == 0);
    CHECK(sarki_arena_allocate(&arena, SARKI_MAX_GRANULES, 8) == 0);
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
    RUN(blocks_that_are_wiped);
    RUN(largest_arena);
    return test_summary();
}
