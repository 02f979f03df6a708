/* The cases of unit_atomics.c as on a processor whose 64-bit atomics are not lock-free: there each
   number is two halves. */

#include <stdatomic.h>
#undef ATOMIC_LLONG_LOCK_FREE
#define ATOMIC_LLONG_LOCK_FREE 1
#include "unit_atomics.c"
