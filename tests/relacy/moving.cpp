/* Moving for room on the shipped code: an entry is copied to another block and its own given to
   another key, against hits, pins and a removal. Who reads sees whole entries, and each
   finished hit counts as a touch at a moment of its call, whether its stamp is in the entry or
   beside a lease. */

static bool model_is_hot; /* whether hits leave their lease resident */
#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) model_is_hot
#define SARKI_SPINS 2u
#include "scenario.h"

static sark_cache *cache;
static sarki_window window;  /* its next block is the one that is moved */
static uint64_t last_touch;  /* a finished hit began at this stamp, and none later */

/* A cache with one key. Threads with a home of their own are those that read. */
static void prepare_cache(unsigned readers, bool is_hot)
{
    model_is_hot = is_hot;
    cache = model_cache(8, 2, 1);
    for (unsigned i = 0; i < readers; i++) model_home(cache, i, i);
    RL_ASSERT(sark_cache_set(cache, "a", 1, "a", 1, 0) == SARK_CACHE_OK);
    memset(&window, 0, sizeof window);
    window.next = model_ref_of(cache, 'a');
    window.next_size = sarki_block_size(&cache->memory.arena, window.next);
    window.next_hash = sarki_entry_hash(sarki_entry_of(cache, window.next));
    last_touch = 0;
}

/* A hit, if the key is there. */
static void hit()
{
    char value = 0;
    uint64_t begin = model_counter;
    sark_cache_status status = sark_cache_get(cache, "a", 1, &value, 1, NULL);
    RL_ASSERT(status == SARK_CACHE_OK || status == SARK_CACHE_MISS);
    if (status != SARK_CACHE_OK) return;
    RL_ASSERT(value == 'a');
    if (begin > last_touch) last_touch = begin;
}

/* Moves the key, and gives the block that it had to another. */
static void move_and_reuse()
{
    RL_ASSERT(sarki_moving_try(cache, &window));
    sarki_retired_collect(cache);
    RL_ASSERT(sark_cache_set(cache, "z", 1, "z", 1, 0) == SARK_CACHE_OK);
}

/* Nobody hits any more: the last touch is found with the entry. */
static void touch_is_there()
{
    uint32_t ref = model_ref_of(cache, 'a');
    if (ref) {
        sarki_shard_lock(cache->shards);
        RL_ASSERT(sarki_settle_locked(cache, ref) > last_touch);
        sarki_shard_unlock(cache->shards);
    }
    model_end(cache);
}

/* Hits beside a move. Of two readers one that is stopped may set the entry back without a move too
   (>>stamp, "Given up"), unless the stamps stand beside their leases. */
template <int READERS, bool HOT> struct hits_and_move {
    enum { THREADS = READERS + 1 };
    void prepare() { prepare_cache(READERS, HOT); }
    void run(unsigned thread)
    {
        if (thread == READERS) return move_and_reuse();
        for (unsigned i = thread; i < 2; i++) hit();
    }
    void finish()
    {
        RL_ASSERT(model_ref_of(cache, 'a') != window.next);
        if (READERS > 1 && !HOT) last_touch = 0;
        touch_is_there();
    }
};

/* The hit is the first of its thread: its slot is looked at. */
struct first_hit_and_move {
    enum { THREADS = 2 };
    void prepare()
    {
        prepare_cache(0, false);
        model_home(cache, 1, 0);
    }
    void run(unsigned thread)
    {
        if (thread == 1) return move_and_reuse();
        model_home(cache, 0, 1);
        hit();
    }
    void finish() { touch_is_there(); }
};

/* The entry is removed, and its block wanted for another key, while it moves. */
struct move_and_removal {
    enum { THREADS = 2 };
    void prepare() { prepare_cache(2, false); }
    void run(unsigned thread)
    {
        if (thread == 1) {
            RL_ASSERT(sarki_moving_try(cache, &window));
            return;
        }
        RL_ASSERT(sark_cache_delete(cache, "a", 1) == SARK_CACHE_OK);
        sarki_retired_collect(cache);
        RL_ASSERT(sark_cache_set(cache, "b", 1, "b", 1, 0) == SARK_CACHE_OK);
    }
    void finish()
    {
        char value = 0;
        RL_ASSERT(!model_ref_of(cache, 'a'));
        RL_ASSERT(sark_cache_get(cache, "b", 1, &value, 1, NULL) == SARK_CACHE_OK && value == 'b');
        model_end(cache);
    }
};

/* The key gets another value while its entry moves: the copy is of no use. */
struct move_and_replacement {
    enum { THREADS = 2 };
    void prepare() { prepare_cache(2, false); }
    void run(unsigned thread)
    {
        if (thread == 1) RL_ASSERT(sarki_moving_try(cache, &window));
        else RL_ASSERT(sark_cache_set(cache, "a", 1, "b", 1, 0) == SARK_CACHE_OK);
    }
    void finish()
    {
        char value = 0;
        RL_ASSERT(sark_cache_get(cache, "a", 1, &value, 1, NULL) == SARK_CACHE_OK && value == 'b');
        model_end(cache);
    }
};

/* A pinned value stays where it is until it is unpinned, wherever the entry is. */
struct pin_and_move {
    enum { THREADS = 2 };
    void prepare() { prepare_cache(2, false); }
    void run(unsigned thread)
    {
        sark_cache_pinned pinned;
        if (thread == 1) return move_and_reuse();
        if (sark_cache_pin(cache, "a", 1, &pinned) != SARK_CACHE_OK) return;
        uint32_t ref = sarki_load32_relaxed(&cache->leases.pins[0].a_ref);
        SARKI_BYTES_READ(sarki_entry_of(cache, ref));
        RL_ASSERT(*(const char *)pinned.value == 'a');
        RL_ASSERT(sark_cache_unpin(cache, &pinned) == SARK_CACHE_OK);
    }
    void finish() { touch_is_there(); }
};

int main()
{
    model_run<move_and_removal>("a move and a removal");
    model_run<move_and_replacement>("a move and a replacement");
    model_run<pin_and_move>("a pin and a move");
    model_run<first_hit_and_move>("a first hit and a move");
    model_run<hits_and_move<1, false> >("hits and a move");
    model_run_long<hits_and_move<1, true> >("resident hits and a move");
    model_run_long<hits_and_move<2, false> >("hits of two readers and a move", 2);
    model_run_long<hits_and_move<2, true> >("resident hits of two readers and a move", 2);
    return model_summary();
}
