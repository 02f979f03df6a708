/* The threads of stress_mixed.c with the choices of portable.h, and as on a processor whose 64-bit
   atomics are not lock-free. */

#include "portable.h"

#undef ATOMIC_LLONG_LOCK_FREE
#define ATOMIC_LLONG_LOCK_FREE 1
#define RUN_NS UINT64_C(150000000)
#include "stress_mixed.c"

#if SARKI_WIDE || SARKI_CLOCK_COARSE != CLOCK_MONOTONIC || SARKI_CLOCK_BOOT != CLOCK_MONOTONIC
#error "the choices were made before this file made them"
#endif
