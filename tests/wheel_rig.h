/* What the tests of the wheel share: a wheel whose entries are nothing but links, what is known of
   them, steps as the users in the header make them, and an oracle that looks at all keys.

   Include it after sark_cache.h (with its implementation and SARKI_KEEP_MACROS) and test.h: a step
   that goes wrong fails a CHECK. */

#ifndef SARK_WHEEL_RIG_H
#define SARK_WHEEL_RIG_H

enum { ENTRIES = 400, SLOTS = 11 << 6 };

/* A wheel whose entries are nothing but links, and what is known of them. References begin at 1. */
typedef struct rig {
    sarki_wheel wheel;
    sarki_slot_list slots[SLOTS];
    _Alignas(16) char links[(ENTRIES + 1) * SARKI_GRANULE];
    uint64_t keys[ENTRIES + 1];
    bool in[ENTRIES + 1];
    uint32_t level[ENTRIES + 1]; /* where the entry stood when it was put, or the wheel restarted */
    uint32_t moves[ENTRIES + 1]; /* since then */
    uint32_t count;
} rig;

static rig tested;

static inline void rig_create(uint32_t bits, uint64_t floor)
{
    memset(&tested, 0, sizeof tested);
    sarki_wheel_create(&tested.wheel, tested.links, (char *)tested.slots, sizeof tested.slots[0],
                       bits);
    sarki_wheel_set_floor(&tested.wheel, floor);
}

/* ---- The structure -------------------------------------------------------------------------- */

/* W3: how many entries a list has; UINT32_MAX where it is broken. */
static inline uint32_t walk_list(sarki_list list)
{
    uint32_t count = 0, last = 0;
    for (uint32_t ref = list.head; ref; count++) {
        const sarki_link *link = sarki_link_at(tested.links, ref);
        if (!tested.in[ref] || count > ENTRIES) return UINT32_MAX;
        if (last && link->prev != last) return UINT32_MAX;
        last = ref;
        ref = ref == list.tail ? 0 : link->next;
    }
    return last == list.tail ? count : UINT32_MAX;
}

/* W1, W3 of one slot. Returns how many entries it has; UINT32_MAX where something is wrong. */
static inline uint32_t walk_slot(uint32_t place)
{
    const sarki_wheel *wheel = &tested.wheel;
    sarki_list list = sarki_wheel_slot_at(wheel, place)->list;
    sarki_slot slot = sarki_wheel_slot(wheel->bits, wheel->floor, place);
    uint32_t count = walk_list(list), ref = list.head;
    for (uint32_t i = 0; count != UINT32_MAX && i < count; i++) {
        const sarki_link *link = sarki_link_at(tested.links, ref);
        uint64_t key = sarki_max64(tested.keys[ref], wheel->floor);
        if (link->place != place || key < slot.low || key > slot.high) return UINT32_MAX;
        if (sarki_wheel_place(wheel, key) != place) return UINT32_MAX;
        ref = link->next;
    }
    return count;
}

/* W2: the bits of slots and of their words. */
static inline bool bits_are_right(void)
{
    const sarki_wheel *wheel = &tested.wheel;
    uint64_t used[SARKI_WHEEL_WORDS] = {0};
    uint32_t words = 0;
    for (uint32_t place = 0; place < sarki_wheel_slots(wheel->bits); place++)
        if (tested.slots[place].list.head) used[place / 64] |= (uint64_t)1 << place % 64;
    for (uint32_t word = 0; word < SARKI_WHEEL_WORDS; word++) {
        if (used[word] != wheel->used[word]) return false;
        words |= (uint32_t)(used[word] != 0) << word;
    }
    return words == wheel->words_used;
}

/* The counts of slots: entries by the place that they have or, pending, had. */
static inline bool counts_are_right(void)
{
    uint32_t counts[SLOTS] = {0};
    for (uint32_t ref = 1; ref <= ENTRIES; ref++)
        if (tested.in[ref]) counts[sarki_link_at(tested.links, ref)->place]++;
    for (uint32_t place = 0; place < SLOTS; place++)
        if (counts[place] != sarki_load32_relaxed(&tested.slots[place].a_count)) return false;
    return true;
}

static inline bool is_sound(void)
{
    uint32_t count = walk_list(tested.wheel.pending);
    for (uint32_t place = 0; place < sarki_wheel_slots(tested.wheel.bits); place++) {
        uint32_t entries = walk_slot(place);
        if (entries == UINT32_MAX || count == UINT32_MAX) return false;
        count += entries;
    }
    return count == tested.count && bits_are_right() && counts_are_right() &&
           sarki_load64_relaxed(&tested.wheel.a_floor) == tested.wheel.floor;
}

/* ---- Steps, as the users in the header make them -------------------------------------------- */

static inline uint32_t level_of(uint32_t ref)
{
    return (uint32_t)sarki_link_at(tested.links, ref)->place >> tested.wheel.bits;
}

static inline void note_level(uint32_t ref)
{
    tested.level[ref] = level_of(ref);
    tested.moves[ref] = 0;
}

static inline void restart(uint64_t floor)
{
    sarki_wheel_restart(&tested.wheel, floor);
    for (uint32_t ref = 1; ref <= ENTRIES; ref++) {
        tested.level[ref] = sarki_wheel_levels(tested.wheel.bits);
        tested.moves[ref] = 0;
    }
}

/* Inserts as the order of expiry does where the clock went back: a key below floor restarts the
   wheel. */
static inline void insert(uint32_t ref, uint64_t key)
{
    if (key < tested.wheel.floor) restart(key);
    tested.keys[ref] = key;
    tested.in[ref] = true;
    tested.count++;
    sarki_wheel_insert(&tested.wheel, ref, key);
    note_level(ref);
}

static inline void take_out(uint32_t ref)
{
    sarki_wheel_remove(&tested.wheel, ref);
    tested.in[ref] = false;
    tested.count--;
}

/* One pending entry goes to where it belongs: lower than it stood before. */
static inline void settle_pending(void)
{
    uint32_t ref = tested.wheel.pending.head;
    sarki_wheel_replace(&tested.wheel, ref, tested.keys[ref]);
    CHECK(level_of(ref) < tested.level[ref] || tested.keys[ref] < tested.wheel.floor);
    CHECK(++tested.moves[ref] <= sarki_wheel_levels(tested.wheel.bits));
    tested.level[ref] = level_of(ref);
}

/* The entry of the smallest key, by the protocol; 0 where there is none, or no end. */
static inline uint32_t find_minimum(void)
{
    sarki_slot slot;
    for (uint32_t steps = 0; steps < 2 * ENTRIES * sarki_wheel_levels(tested.wheel.bits); steps++) {
        uint64_t bound = sarki_wheel_bound(&tested.wheel);
        if (tested.wheel.pending.head) {
            CHECK(bound == tested.wheel.floor);
            settle_pending();
            continue;
        }
        if (!sarki_wheel_lowest(&tested.wheel, &slot)) return 0;
        CHECK(bound == slot.low);
        sarki_list list = sarki_wheel_slot_at(&tested.wheel, slot.place)->list;
        if (slot.low == slot.high || list.head == list.tail) return list.head;
        sarki_wheel_open(&tested.wheel, &slot);
    }
    CHECK(tested.count > ENTRIES); /* the search does not end */
    return 0;
}

/* ---- The oracle ----------------------------------------------------------------------------- */

static inline uint64_t smallest_key(void)
{
    uint64_t smallest = SARKI_NONE;
    for (uint32_t ref = 1; ref <= ENTRIES; ref++)
        if (tested.in[ref]) smallest = sarki_min64(smallest, tested.keys[ref]);
    return smallest;
}

static inline bool minimum_is_right(void)
{
    uint64_t smallest = smallest_key();
    bool bounded = sarki_wheel_bound(&tested.wheel) <= smallest;
    uint32_t ref = find_minimum();
    if (tested.count == 0) return ref == 0 && sarki_wheel_bound(&tested.wheel) == SARKI_NONE;
    return bounded && ref != 0 && tested.in[ref] && tested.keys[ref] == smallest;
}

static inline bool drains(void)
{
    while (tested.count > 0) {
        if (!minimum_is_right()) return false;
        take_out(find_minimum());
    }
    return minimum_is_right() && is_sound();
}

#endif
