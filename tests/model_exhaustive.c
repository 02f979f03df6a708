/* All sequences of at most N operations over 3 keys, each compared with the oracle: answer, value,
   size, and what left. Sequences that differ only in the names of the keys are run once.

   The tree of sequences is walked depth first. A cache is one region without pointers to the
   outside, so a copy of the region is the way back to an earlier state.

   model_exhaustive [N]; 6 at the usual scale, 5 below it, 4 below 20 %. Needs stb_ds.h
   (libstb-dev). */

#define SARKI_ASSERTIONS
#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include "test.h"
#include "support.h"
#include "oracle.h"

enum { MOST_DEPTH = 8, KEYS = 3, REGION_BYTES = 1 << 16, SPARE_BYTES = 1024 };

static int depth_in_all;

/* ---- The operations ------------------------------------------------------------------------- */

typedef enum kind {
    GET, SET, SET_TTL, ADD_TTL, REPLACE, COUNT, TOUCH, DELETE, /* these have a key */
    ADVANCE, CLEANUP, CLEAR,
    KINDS
} kind;

typedef struct operation {
    kind kind;
    uint32_t key;
} operation;

static const char *const kind_names[] = {"get", "set", "set with a TTL", "add with a TTL",
                                         "replace", "increment", "touch", "delete",
                                         "advance", "cleanup", "clear"};

static bool operate(model *mine, operation what)
{
    switch (what.kind) {
    case GET: return model_get(mine, what.key);
    case SET: return model_write(mine, MODEL_SET, what.key, 5, SARK_CACHE_NO_EXPIRY);
    case SET_TTL: return model_write(mine, MODEL_SET, what.key, 3, 2);
    case ADD_TTL: return model_write(mine, MODEL_ADD, what.key, 4, 1);
    case REPLACE: return model_write(mine, MODEL_REPLACE, what.key, 6, 0);
    case COUNT: return model_increment(mine, what.key, 1, &(int64_t){7}, 0, false);
    case TOUCH: return model_touch(mine, what.key, 2);
    case DELETE: return model_delete(mine, what.key);
    case ADVANCE: mine->oracle.now_ms++; return true;
    case CLEANUP: return model_cleanup(mine, 1);
    case CLEAR: return model_clear(mine);
    default: return false;
    }
}

/* ---- The tree ------------------------------------------------------------------------------- */

static _Alignas(64) unsigned char region[REGION_BYTES];

typedef struct level {
    model model;
    operation what;
    unsigned char region[REGION_BYTES];
} level;

static level levels[MOST_DEPTH];
static model tested;
static size_t region_bytes;
static uint64_t sequences;

static void save(level *to)
{
    oracle before = to->model.oracle;
    oracle_copy(&before, &tested.oracle);
    to->model = tested;
    to->model.oracle = before;
    memcpy(to->region, region, region_bytes);
}

static void restore(const level *from)
{
    oracle before = tested.oracle;
    oracle_copy(&before, &from->model.oracle);
    tested = from->model;
    tested.oracle = before;
    memcpy(region, from->region, region_bytes);
}

static void print_sequence(int depth)
{
    printf("  capacity %zu:", tested.oracle.capacity);
    for (int step = 0; step <= depth; step++)
        printf(" %s %u,", kind_names[levels[step].what.kind], levels[step].what.key);
    printf(" %s\n", tested.trouble);
}

/* Everything visible, without effect. Compared before the last operation of a sequence, whose own
   effect is seen by its answer, and by the sequences that are longer. */
static bool compare_all(model *mine)
{
    for (uint32_t key = 0; key < KEYS; key++)
        if (!model_peek(mine, key) || !model_ttl(mine, key)) return false;
    return true;
}

/* Runs every sequence that goes on from here, where key_count keys have been named. */
static bool walk(int depth, uint32_t key_count)
{
    if (depth == depth_in_all) return true;
    level *here = &levels[depth];
    save(here);
    for (kind next = GET; next < KINDS; next++) {
        uint32_t keys = next < ADVANCE ? key_count + (key_count < KEYS) : 1;
        for (uint32_t key = 0; key < keys; key++) {
            here->what = (operation){next, key};
            sequences++;
            bool same = operate(&tested, here->what);
            if (depth == depth_in_all - 2) same = same && compare_all(&tested);
            if (!same) {
                print_sequence(depth);
                return false;
            }
            uint32_t named = key_count + (next < ADVANCE && key == key_count);
            if (!walk(depth + 1, named)) return false;
            restore(here);
        }
    }
    return true;
}

/* ---- The configurations --------------------------------------------------------------------- */

static bool walk_all(uint32_t capacity, uint32_t shard_count)
{
    memset(&tested, 0, sizeof tested);
    tested.oracle.now_ms = 1000;
    sequences = 0;
    sark_cache_config config = {.max_entries = capacity,
                                .shard_count = shard_count,
                                .lease_count = 2,
                                .pin_count = MODEL_PINS,
                                .hash_seed = capacity};
    region_bytes = sark_cache_region_bytes(&config) + SPARE_BYTES;
    if (region_bytes > REGION_BYTES) return model_differs(&tested, "the region is too small");
    if (!model_begin(&tested, &config, region, region_bytes)) return false;
    bool same = walk(0, 0);
    printf("  capacity %u, %u shards: %" PRIu64 " sequences of at most %d operations\n", capacity,
           shard_count, sequences, depth_in_all);
    same = model_end(&tested) && same;
    for (int depth = 0; depth < MOST_DEPTH; depth++) oracle_free(&levels[depth].model.oracle);
    memset(levels, 0, sizeof levels);
    return same;
}

TEST(one_entry) { CHECK(walk_all(1, 1)); }
TEST(two_entries) { CHECK(walk_all(2, 1)); }
TEST(two_entries_in_two_shards)
{
    if (depth_in_all > 4) depth_in_all--;
    CHECK(walk_all(2, 2));
}

int main(int argument_count, char **arguments)
{
    uint64_t scale = support_scale();
    depth_in_all = scale >= 100 ? 6 : scale >= 20 ? 5 : 4;
    if (argument_count > 1) depth_in_all = atoi(arguments[1]);
    if (depth_in_all < 1 || depth_in_all > MOST_DEPTH) {
        printf("depth: 1 to %d\n", MOST_DEPTH);
        return 2;
    }
    RUN(one_entry);
    RUN(two_entries);
    RUN(two_entries_in_two_shards);
    return test_summary();
}
