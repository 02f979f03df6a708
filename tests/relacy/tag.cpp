/* A slot of the index that changes hands between shards: one thread leaves it, another, under
   another lock, claims it and writes its tag beside a neighbour's. */

#include "scenario.h"

static sark_cache *cache;
static char first_key, second_key;

/* Two keys of one home bucket and two shards. */
static void choose_keys()
{
    first_key = 'a';
    sarki_query first = sarki_query_of(cache, &first_key, 1);
    for (second_key = 'b';; second_key++) {
        sarki_query second = sarki_query_of(cache, &second_key, 1);
        if (((first.tag ^ second.tag) & 1) &&
            sarki_index_home(&cache->index, first.hash) ==
                sarki_index_home(&cache->index, second.hash))
            return;
    }
}

struct slot_changes_hands {
    enum { THREADS = 2 };
    void prepare()
    {
        cache = model_cache(4, 2, 2);
        choose_keys();
    }
    void run(unsigned thread)
    {
        if (thread == 0) {
            sark_cache_set(cache, &first_key, 1, "a", 1, 0);
            sark_cache_delete(cache, &first_key, 1);
        } else {
            sark_cache_set(cache, &second_key, 1, "b", 1, 0);
        }
    }
    void finish()
    {
        RL_ASSERT(sark_cache_contains(cache, &second_key, 1) == SARK_CACHE_OK);
        model_end(cache);
    }
};

int main()
{
    model_run_random<slot_changes_hands>("a slot changes hands");
    return model_summary();
}
