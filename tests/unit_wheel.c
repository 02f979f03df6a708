/* The radix wheel and the lists (>>list, >>wheel of sark_cache.h), white box: random and hostile
   keys against an oracle that looks at all of them.

   unit_wheel [seed] */

#define SARKI_ASSERTIONS
#define SARKI_KEEP_MACROS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "wheel_rig.h"

static uint64_t seed = 1;

/* ---- Keys ----------------------------------------------------------------------------------- */

typedef uint64_t (*key_maker)(uint64_t *random);

static uint64_t any_key(uint64_t *random) { return random_next(random); }

/* As many digits as chance gives. */
static uint64_t key_of_any_length(uint64_t *random)
{
    return random_next(random) >> random_below(random, 64);
}

static uint64_t clustered_key(uint64_t *random)
{
    return (uint64_t)random_below(random, 3) * 0x123456789abcdu + random_below(random, 100);
}

static uint64_t equal_key(uint64_t *random)
{
    return 77 + 64 * (uint64_t)random_below(random, 2);
}

/* Ends of the range, powers of two, and their neighbours. */
static uint64_t hostile_key(uint64_t *random)
{
    uint64_t power = (uint64_t)1 << random_below(random, 64);
    switch (random_below(random, 6)) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return power;
    case 3: return power - 1;
    case 4: return 0 - power;
    default: return power + 1;
    }
}

/* Where floor stands, and where digits begin or end above it. */
static uint64_t key_at_floor(uint64_t *random)
{
    uint64_t below = ((uint64_t)1 << random_below(random, 64)) - 1, floor = tested.wheel.floor;
    switch (random_below(random, 4)) {
    case 0: return floor;
    case 1: return floor | below;
    case 2: return (floor | below) + 1 > floor ? (floor | below) + 1 : floor;
    default: return floor + 1 > floor ? floor + 1 : floor;
    }
}

/* ---- Random operations ---------------------------------------------------------------------- */

static void random_step(uint64_t *random, key_maker key, uint32_t most)
{
    uint32_t ref = 1 + random_below(random, most);
    switch (random_below(random, 8)) {
    case 0: case 1: case 2: case 3:
        if (tested.in[ref]) take_out(ref);
        else insert(ref, key(random));
        break;
    case 4: /* a new key, as a deadline that is touched */
        if (!tested.in[ref]) break;
        take_out(ref);
        insert(ref, key(random));
        break;
    case 5: /* the protocol, cut short */
        if (tested.wheel.pending.head) settle_pending();
        break;
    case 6:
        CHECK(minimum_is_right());
        break;
    default:
        if (tested.count > 0) take_out(find_minimum());
        break;
    }
}

static void random_run(uint32_t bits, key_maker key, uint32_t most, uint64_t salt)
{
    uint64_t random = seed * 1000 + salt, steps = support_length(NULL, 100000);
    rig_create(bits, 0);
    for (uint64_t step = 0; step < steps; step++) {
        random_step(&random, key, most);
        if (step % 64 == 0) CHECK(is_sound());
    }
    CHECK(is_sound());
    CHECK(drains());
}

static void random_runs(uint32_t bits)
{
    static const key_maker makers[] = {any_key,   key_of_any_length, clustered_key,
                                       equal_key, hostile_key,       key_at_floor};
    for (uint32_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        random_run(bits, makers[i], 5, i);
        random_run(bits, makers[i], ENTRIES, 100 + i);
    }
}

TEST(random_keys_digits_of_6_bits) { random_runs(6); }

TEST(random_keys_digits_of_2_bits) { random_runs(2); }

/* ---- Cases ---------------------------------------------------------------------------------- */

static void ends_of_the_range(uint32_t bits)
{
    static const uint64_t keys[] = {UINT64_MAX, 0, (uint64_t)1 << 63, 1, UINT64_MAX - 1,
                                    ((uint64_t)1 << 63) - 1, UINT64_MAX, 0};
    rig_create(bits, 0);
    for (uint32_t i = 0; i < 8; i++) insert(i + 1, keys[i]);
    CHECK(is_sound());
    CHECK(drains());
    rig_create(bits, UINT64_MAX);
    insert(1, UINT64_MAX);
    insert(2, UINT64_MAX);
    CHECK(is_sound() && minimum_is_right());
    insert(3, 5);
    CHECK(is_sound() && find_minimum() == 3);
    CHECK(drains());
}

TEST(ends_of_the_range)
{
    ends_of_the_range(6);
    ends_of_the_range(2);
}

/* Each floor and any two keys above it, of 6 bits, around a number: the smaller one is found
   first. */
static void any_two_keys_around(uint32_t bits, uint64_t number)
{
    enum { KEYS = 64 };
    uint64_t base = number - KEYS / 2;
    rig_create(bits, base);
    for (uint64_t floor = 0; floor < KEYS; floor++)
        for (uint64_t one = floor; one < KEYS; one++)
            for (uint64_t other = floor; other < KEYS; other++) {
                sarki_wheel_set_floor(&tested.wheel, base + floor);
                insert(1, base + one);
                insert(2, base + other);
                uint32_t first = find_minimum();
                CHECK(tested.keys[first] == base + (one < other ? one : other));
                take_out(first);
                CHECK(find_minimum() == 3 - first);
                take_out(3 - first);
                CHECK(sarki_wheel_bound(&tested.wheel) == SARKI_NONE && tested.count == 0);
            }
    CHECK(is_sound());
}

TEST(any_two_keys_around_every_power_of_two)
{
    for (uint32_t bit = 5; bit < 64; bit++)
        for (uint32_t bits = SARKI_NARROW_DIGIT; bits <= SARKI_WIDE_DIGIT; bits += 4)
            if (bit % 16 < 2 || bit % 12 < 2 || bit == 63)
                any_two_keys_around(bits, (uint64_t)1 << bit);
    any_two_keys_around(SARKI_NARROW_DIGIT, UINT64_MAX - 32);
    any_two_keys_around(SARKI_WIDE_DIGIT, UINT64_MAX - 32);
}

/* Each key stands in the slot of the highest digit in which it differs from floor. */
static void places(uint32_t bits)
{
    uint64_t random = seed;
    rig_create(bits, 0);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t floor = hostile_key(&random), key = key_of_any_length(&random) ^ floor;
        if (key < floor) continue;
        sarki_wheel_set_floor(&tested.wheel, floor);
        uint32_t level = sarki_wheel_levels(bits) - 1, mask = (1u << bits) - 1;
        while (level > 0 && key >> level * bits == floor >> level * bits) level--;
        uint32_t place = level << bits | ((uint32_t)(key >> level * bits) & mask);
        CHECK(sarki_wheel_place(&tested.wheel, key) == place);
        sarki_slot slot = sarki_wheel_slot(bits, floor, place);
        CHECK(slot.place == place && slot.low <= key && key <= slot.high);
        CHECK(sarki_wheel_place(&tested.wheel, sarki_max64(slot.low, floor)) <= place);
        CHECK(sarki_wheel_place(&tested.wheel, slot.high) == place);
        CHECK(slot.high - slot.low == ((uint64_t)1 << level * bits) - 1);
    }
}

TEST(places)
{
    places(6);
    places(2);
}

TEST(sizes)
{
    CHECK(sarki_wheel_levels(6) == 11 && sarki_wheel_slots(6) == SLOTS);
    CHECK(sarki_wheel_levels(2) == 32 && sarki_wheel_slots(2) == 32 * 4);
    CHECK(sarki_wheel_slots(2) <= 64 * SARKI_WHEEL_WORDS);
}

/* All entries far from floor: each moves at most once a level on its way down. */
static void moves_are_bounded(uint32_t bits)
{
    uint64_t random = seed, all = 0;
    rig_create(bits, 0);
    for (uint32_t ref = 1; ref <= ENTRIES; ref++)
        insert(ref, ((uint64_t)1 << 63) + random_below(&random, 1u << 30));
    uint32_t first = tested.level[1];
    CHECK(first == sarki_wheel_levels(bits) - 1);
    while (tested.count > 0) {
        uint32_t ref = find_minimum();
        CHECK(tested.moves[ref] <= first);
        all += tested.moves[ref];
        take_out(ref);
    }
    CHECK(all > 0 && all <= (uint64_t)ENTRIES * first);
}

TEST(moves_are_bounded)
{
    moves_are_bounded(6);
    moves_are_bounded(2);
}

/* The recency's way: a key below floor counts as floor. */
TEST(keys_below_floor_count_as_floor)
{
    rig_create(6, 5000);
    for (uint32_t ref = 1; ref <= 3; ref++) {
        tested.keys[ref] = ref * 10;
        tested.in[ref] = true;
        tested.count++;
        sarki_wheel_insert(&tested.wheel, ref, tested.keys[ref]);
    }
    insert(4, 5001);
    CHECK(is_sound());
    CHECK(sarki_wheel_bound(&tested.wheel) == 5000);
    for (uint32_t left = 3; left > 0; left--) {
        uint32_t ref = find_minimum();
        CHECK(ref >= 1 && ref <= 3);
        take_out(ref);
    }
    CHECK(find_minimum() == 4);
}

/* Restarts while entries of an opened slot are still pending, and among them. */
static void restarts(uint32_t bits)
{
    uint64_t random = seed;
    for (uint32_t round = 0; round < 100; round++) {
        sarki_slot slot;
        rig_create(bits, (uint64_t)1 << 40);
        for (uint32_t ref = 1; ref <= 50; ref++)
            insert(ref, ((uint64_t)1 << 40) + random_below(&random, 1u << 28));
        if (sarki_wheel_lowest(&tested.wheel, &slot)) sarki_wheel_open(&tested.wheel, &slot);
        for (uint32_t i = 0; i < round % 9 && tested.wheel.pending.head; i++) settle_pending();
        insert(60, ((uint64_t)1 << 40) - 1 - random_below(&random, 1u << 20));
        CHECK(is_sound());
        CHECK(sarki_wheel_bound(&tested.wheel) <= smallest_key());
        for (uint32_t ref = 1; ref <= 50; ref += 3) take_out(ref);
        CHECK(is_sound());
        insert(61, random_below(&random, 1000));
        CHECK(is_sound() && find_minimum() == 61);
        CHECK(drains());
    }
}

TEST(restarts)
{
    restarts(6);
    restarts(2);
}

/* Entries are taken out of the pending ones: the head, the last, one between, the only one. */
TEST(pending_entries_are_taken)
{
    static const uint32_t orders[][4] = {{1, 2, 3, 4}, {4, 3, 2, 1}, {2, 4, 1, 3}, {3, 1, 4, 2}};
    for (uint32_t i = 0; i < 4; i++) {
        sarki_slot slot;
        rig_create(6, 0);
        for (uint32_t ref = 1; ref <= 4; ref++) insert(ref, 4096 + ref);
        REQUIRE(sarki_wheel_lowest(&tested.wheel, &slot));
        sarki_wheel_open(&tested.wheel, &slot);
        CHECK(tested.wheel.floor == 4096 && tested.wheel.pending.head == 1);
        for (uint32_t at = 0; at < 4; at++) {
            CHECK(is_sound());
            CHECK(sarki_wheel_bound(&tested.wheel) == 4096);
            take_out(orders[i][at]);
        }
        CHECK(is_sound() && tested.wheel.pending.head == 0);
        CHECK(sarki_wheel_bound(&tested.wheel) == SARKI_NONE);
    }
}

/* Which entries are the lowest, and that there is one, while slots are looked into. */
TEST(the_lowest)
{
    sarki_slot slot;
    rig_create(6, 0);
    CHECK(!sarki_wheel_is_lowest(&tested.wheel, 1) && sarki_wheel_any(&tested.wheel) == 0);
    insert(1, 4096);
    CHECK(sarki_wheel_is_lowest(&tested.wheel, 1) && sarki_wheel_any(&tested.wheel) == 1);
    insert(2, 1 << 20);
    CHECK(sarki_wheel_is_lowest(&tested.wheel, 1) && !sarki_wheel_is_lowest(&tested.wheel, 2));
    insert(3, 4096); /* beside the first: neither is alone */
    CHECK(!sarki_wheel_is_lowest(&tested.wheel, 1) && !sarki_wheel_is_lowest(&tested.wheel, 3));
    REQUIRE(sarki_wheel_lowest(&tested.wheel, &slot));
    sarki_wheel_open(&tested.wheel, &slot);
    CHECK(sarki_wheel_any(&tested.wheel) == 1);
    CHECK(!sarki_wheel_is_lowest(&tested.wheel, 1) && !sarki_wheel_is_lowest(&tested.wheel, 2));
    take_out(1);
    CHECK(sarki_wheel_any(&tested.wheel) == 3);
    take_out(3);
    CHECK(sarki_wheel_any(&tested.wheel) == 2 && sarki_wheel_is_lowest(&tested.wheel, 2));
}

/* A key inserted while entries are pending, at floor itself, is found first. */
TEST(inserts_while_pending)
{
    sarki_slot slot;
    rig_create(6, 0);
    insert(1, 4096 + 7);
    insert(2, 4096 + 3);
    insert(3, 1 << 20);
    REQUIRE(sarki_wheel_lowest(&tested.wheel, &slot));
    sarki_wheel_open(&tested.wheel, &slot);
    insert(4, 4096);
    CHECK(is_sound() && tested.wheel.pending.head != 0);
    CHECK(find_minimum() == 4);
    CHECK(drains());
}

/* ---- Lists ---------------------------------------------------------------------------------- */

/* Whether a list has these entries, in this order, both ways. */
static bool list_is(sarki_list list, const uint32_t *refs, uint32_t count)
{
    uint32_t forth = list.head, back = list.tail;
    if (count == 0) return forth == 0 && back == 0;
    for (uint32_t i = 0; i < count; i++) {
        if (forth != refs[i] || back != refs[count - 1 - i]) return false;
        forth = sarki_link_at(tested.links, forth)->next;
        back = sarki_link_at(tested.links, back)->prev;
    }
    return list.head == refs[0] && list.tail == refs[count - 1];
}

/* A list of so many entries from first on. */
static sarki_list list_of(uint32_t first, uint32_t count)
{
    sarki_list list = {0, 0};
    for (uint32_t i = 0; i < count; i++) sarki_list_append(tested.links, &list, first + i);
    return list;
}

TEST(lists)
{
    static const uint32_t refs[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    for (uint32_t one = 0; one <= 5; one++) {
        for (uint32_t other = 0; one + other <= 10; other++) {
            sarki_list list = list_of(1, one), second = list_of(1 + one, other);
            sarki_list_join(tested.links, &list, &second);
            CHECK(list_is(list, refs, one + other) && list_is(second, refs, 0));
        }
    }
    for (uint32_t gone = 1; gone <= 5; gone++) {
        uint32_t left[4], count = 0;
        sarki_list list = list_of(1, 5);
        sarki_list_remove(tested.links, &list, gone);
        for (uint32_t ref = 1; ref <= 5; ref++)
            if (ref != gone) left[count++] = ref;
        CHECK(list_is(list, left, 4));
    }
    sarki_list only = list_of(3, 1);
    sarki_list_remove(tested.links, &only, 3);
    CHECK(list_is(only, refs, 0));
}

/* Lists get shorter at both ends until nothing is left, and grow again. */
TEST(lists_that_lose_their_ends)
{
    uint64_t random = seed;
    for (uint32_t round = 0; round < 1000; round++) {
        uint32_t refs[10], count = 10;
        sarki_list list = list_of(1, count);
        for (uint32_t i = 0; i < count; i++) refs[i] = 1 + i;
        while (count > 0) {
            uint32_t at = random_below(&random, 3) == 0 ? random_below(&random, count)
                          : random_below(&random, 2)    ? count - 1
                                                        : 0;
            sarki_list_remove(tested.links, &list, refs[at]);
            memmove(&refs[at], &refs[at + 1], (--count - at) * sizeof *refs);
            CHECK(list_is(list, refs, count));
        }
        sarki_list_append(tested.links, &list, 1);
        refs[0] = 1;
        CHECK(list_is(list, refs, 1));
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    RUN(lists);
    RUN(lists_that_lose_their_ends);
    RUN(sizes);
    RUN(any_two_keys_around_every_power_of_two);
    RUN(places);
    RUN(ends_of_the_range);
    RUN(random_keys_digits_of_6_bits);
    RUN(random_keys_digits_of_2_bits);
    RUN(moves_are_bounded);
    RUN(keys_below_floor_count_as_floor);
    RUN(restarts);
    RUN(pending_entries_are_taken);
    RUN(the_lowest);
    RUN(inserts_while_pending);
    return test_summary();
}
