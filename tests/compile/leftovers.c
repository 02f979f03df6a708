/* What the header leaves behind: it defines no name outside sark_cache_ and SARK_CACHE_ that a
   consumer could meet. Names that the implementation uses inside are free again after it. */

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"

enum { ref = 1, slot, hash, now_ms, bucket, entry, shard, cache, stamp, lease, arena, region };
enum { min = 1, max, likely, unlikely, E1, R1 };

#if defined SARKI_LOAD || defined SARKI_MIN || defined SARKI_MAX || defined SARKI_ASSERT
#error "a private macro is left behind"
#endif

int names_are_free(void);

int names_are_free(void)
{
    return ref + slot + hash + now_ms + bucket + entry + shard + cache + stamp + lease + arena +
           region + min + max + likely + unlikely + E1 + R1;
}
