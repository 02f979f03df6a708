/* Included first, this makes each choice of the header between targets the other way than on
   x86-64: no time-stamp counter, no coarse clock, no clock that goes on asleep, no instruction to
   fetch a line for writing or to pause, no thread pointer at hand, no product of 128 bits. 64-bit
   atomics are another choice, made by model_narrow.c and stress_portable.c.

   All system headers that a test needs come before, as they ask for the processor themselves. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SARKI_KEEP_MACROS
#define SARKI_NO_COUNTER
#undef CLOCK_MONOTONIC_COARSE
#undef CLOCK_BOOTTIME
#undef __aarch64__
#undef __i386__
#undef __x86_64__
#undef __SIZEOF_INT128__
