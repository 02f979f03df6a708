/* What the tests of the arena share: an arena in memory of its exact size, a map that tells of each
   granule which block it belongs to, and steps that do the same to both and compare.

   Include it after sark_cache.h (with its implementation and SARKI_KEEP_MACROS) and support.h. */

#ifndef SARK_ARENA_RIG_H
#define SARK_ARENA_RIG_H

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


static inline bool rig_create(rig *made, uint32_t first, uint32_t granules)
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

static inline void rig_destroy(rig *made)
{
    free(made->memory);
    free(made->owners);
    free(made->arena.bins);
}

/* ---- The map -------------------------------------------------------------------------------- */

/* The bytes of a block that belong to its owner. */
static inline unsigned char *owned(const rig *tested, uint32_t ref)
{
    return (unsigned char *)sarki_block(&tested->arena, ref) + sizeof(uint32_t);
}

static inline size_t owned_bytes(uint32_t size) { return (size_t)size * SARKI_GRANULE - 4; }

/* The next of a block's bytes that are filled and compared: those at both ends, where the arena
   would write. */
static inline size_t next_byte(size_t i, size_t bytes)
{
    return i == 63 && bytes > 128 ? bytes - 64 : i + 1;
}

static inline bool is_filled(const rig *tested, uint32_t number)
{
    size_t all = owned_bytes(tested->sizes[number - 1]);
    const unsigned char *bytes = owned(tested, tested->refs[number - 1]);
    for (size_t i = 0; i < all; i = next_byte(i, all))
        if (bytes[i] != (unsigned char)(number + i)) return false;
    return true;
}

/* Notes a block, and fills it. False: it overlaps another one, or the arena's end. */
static inline bool map_take(rig *tested, uint32_t number, uint32_t ref, uint32_t size)
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

static inline void map_release(rig *tested, uint32_t number)
{
    uint32_t ref = tested->refs[number - 1], size = tested->sizes[number - 1];
    memset(tested->owners + ref, 0, size * sizeof *tested->owners);
    tested->refs[number - 1] = 0;
    tested->blocks--;
    tested->used -= size;
}

/* Where the run of granules of one owner ends. */
static inline uint32_t run_end(const rig *tested, uint32_t at)
{
    uint32_t end = at + 1;
    while (end < tested->arena.end && tested->owners[end] == tested->owners[at]) end++;
    return end;
}

/* Whether the map explains that a request was refused: what is large enough stands in the
   request's own bin, and there behind at least 8 that are not. */
static inline bool refusal_is_right(const rig *tested, uint32_t size)
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
static inline uint32_t walk_blocks(const rig *tested)
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
static inline uint32_t walk_bin(const sarki_arena *arena, uint32_t bin)
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
static inline uint32_t walk_bins(const sarki_arena *arena)
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

static inline bool is_sound(const rig *tested)
{
    uint32_t free_blocks = walk_blocks(tested);
    return free_blocks != UINT32_MAX && free_blocks == walk_bins(&tested->arena) &&
           sarki_load32_relaxed(&tested->arena.a_used) == tested->used &&
           sarki_load32_relaxed(&tested->arena.a_used_peak) == tested->peak;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static inline bool take(rig *tested, uint32_t number, uint32_t size)
{
    uint32_t generation = tested->arena.generation;
    uint32_t ref = sarki_arena_allocate(&tested->arena, size, 8);
    if (!ref) return generation == tested->arena.generation && refusal_is_right(tested, size);
    return generation != tested->arena.generation &&
           sarki_block_size(&tested->arena, ref) == size && map_take(tested, number, ref, size);
}

static inline bool release(rig *tested, uint32_t number)
{
    bool filled = is_filled(tested, number);
    uint32_t generation = tested->arena.generation;
    sarki_arena_release(&tested->arena, tested->refs[number - 1]);
    map_release(tested, number);
    return filled && generation != tested->arena.generation;
}

/* How many granules are free from one on. */
static inline uint32_t free_from(const rig *tested, uint32_t at)
{
    return at < tested->arena.end && !tested->owners[at] ? run_end(tested, at) - at : 0;
}

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* A block grows over what is free behind it, up to a size. */
static inline bool grow(rig *tested, uint32_t number, uint32_t more)
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
static inline bool take_hole(rig *tested, uint64_t *random, uint32_t number, uint32_t size)
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

/* Releases everything: then there is one free block of the full size, and it can be taken. */
static inline bool empties(rig *tested)
{
    sarki_arena *arena = &tested->arena;
    uint32_t granules = arena->end - arena->first;
    for (uint32_t number = 1; number <= MOST_BLOCKS; number++)
        if (tested->refs[number - 1] && !release(tested, number)) return false;
    if (!is_sound(tested) || walk_blocks(tested) != 1) return false;
    if (sarki_block(arena, arena->first)[0] != (granules << 2 | SARKI_BLOCK_FREE)) return false;
    if (sarki_arena_allocate(arena, granules + 1, 8) != 0) return false;
    if (!take(tested, 1, granules) || tested->refs[0] != arena->first) return false;
    return is_sound(tested) && sarki_arena_allocate(arena, 1, 8) == 0 && release(tested, 1) &&
           is_sound(tested);
}

#endif
