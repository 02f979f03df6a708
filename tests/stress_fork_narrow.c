/* The forks of stress_fork.c as on a processor whose 64-bit atomics are not lock-free: there a
   thread may be at a number as its process forks.

   stress_fork_narrow [forks]; 1,000 at the usual scale. */

#include <stdatomic.h>
#undef ATOMIC_LLONG_LOCK_FREE
#define ATOMIC_LLONG_LOCK_FREE 1

#include "stress_fork.c"
