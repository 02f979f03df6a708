/* The random operations of model_random.c with everything that can wrap just before its wrap:
   stamps, versions, uses of pins and of resident words, generations, tickets, homes, ticks,
   counters, and the time in milliseconds and seconds of 31 and 32 bits. Nothing of that is to be
   seen. The one wrap that is seen, that of the stamps at 2^64, is in unit_wrapping.c.

   model_wrapping [operations [first seed]]; 2,000,000 operations at the usual scale. */

#include <stdint.h>

/* Every other hit leaves its lease resident, so that words are used, and ordinary leases too. */
#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) (((stamp) & (2 * SARKI_STAMP_STEP)) != 0)
#define SARKI_KEEP_MACROS
#define USUAL_OPERATIONS 2000000
#define BEGUN(cache, seed, now_ms) before_the_wraps((cache), (seed), (now_ms))
struct sark_cache;
static void before_the_wraps(struct sark_cache *cache, uint64_t seed, int64_t *now_ms);
#include "model_random.c"
#include "wraps.h"

static void before_the_wraps(sark_cache *cache, uint64_t seed, int64_t *now_ms)
{
    static const int64_t times[] = {(int64_t)1 << 31, (int64_t)1 << 32, 1000 * ((int64_t)1 << 31),
                                    1000 * ((int64_t)1 << 32), INT64_MAX - (1 << 20)};
    uint64_t random = ~seed;
    uint64_t version_wrap = (uint64_t)1 << (seed % 3 ? 48 : 32);
    uint64_t stamp_wrap = (uint64_t)1 << (seed % 2 ? 63 : 60);
    wraps_all(cache, version_wrap, seed / 2 % 2, stamp_wrap, &random);
    *now_ms = times[seed % 5] - (int64_t)wraps_before(&random);
}
