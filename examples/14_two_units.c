/* How do several files share the header, and a cache? One file holds the implementation, here
   14_two_units_part.c; all others, such as this one, just include the header.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/14_two_units.c examples/14_two_units_part.c \
           -o two_units && ./two_units

   Prints:
       both files have the same version of the header: yes
       alice: allow
*/

#include "sark_cache.h"
#include <stdio.h>

/* In the other file; in your tree this is in a header of yours. */
sark_cache *open_sessions(void);

int main(void)
{
    bool is_same = sark_cache_version() == SARK_CACHE_VERSION;
    printf("both files have the same version of the header: %s\n", is_same ? "yes" : "no");
    if (!is_same) return 1;

    sark_cache *sessions = open_sessions();
    if (!sessions) return 1;
    sark_cache_set(sessions, "alice", 5, "allow", 5, 0);
    char answer[16];
    size_t answer_bytes = 0;
    sark_cache_status status =
        sark_cache_get(sessions, "alice", 5, answer, sizeof answer, &answer_bytes);
    if (status == SARK_CACHE_OK) printf("alice: %.*s\n", (int)answer_bytes, answer);
    return sark_cache_destroy(sessions) == SARK_CACHE_OK ? 0 : 1;
}
