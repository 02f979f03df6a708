/* The random operations of model_random.c as on a processor whose 64-bit atomics are not lock-free:
   there each is two halves, and reads take the lock of their shard.

   model_narrow [operations [first seed]]; 2,000,000 operations at the usual scale. */

#include <stdatomic.h>
#undef ATOMIC_LLONG_LOCK_FREE
#define ATOMIC_LLONG_LOCK_FREE 1

#define USUAL_OPERATIONS 2000000
#include "model_random.c"
