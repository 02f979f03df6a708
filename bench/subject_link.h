/* A subject's program, as speed.c sees it: started once, given plans, asked for answers. */

#ifndef SARK_BENCH_SUBJECT_LINK_H
#define SARK_BENCH_SUBJECT_LINK_H

#include "plans.h"

#include <sys/types.h>

typedef struct subject_link {
    const char *name;
    pid_t process;
    FILE *plans, *answers;
    char version[64];
    bool evicts, expires;
} subject_link;

/* What a subject answered, as the protocol has it. */
typedef struct answer {
    uint64_t calls; /* of each thread; what was asked for */
    double wall_ns, processor_ns, hits, misses, wrong, size, memory_bytes, switches;
    double get_ns[4], set_ns[4]; /* p50, p99, p99.9, largest */
} answer;

/* Starts folder/name. Returns false where it cannot be; why is in a text then. */
bool subject_start(subject_link *into, const char *folder, const char *name, char *why,
                   size_t why_bytes);

/* Ends the input of the program, and waits until it has ended. */
void subject_stop(subject_link *from);

/* Runs a plan on it. Returns false after printing what is wrong to stderr. */
bool subject_run(subject_link *on, const plan *what, uint32_t thread_count, const char *folder,
                 uint32_t warm, uint32_t calls, answer *result);

#endif
