/* A progress bar on standard error, drawn only where that is a terminal. */

#ifndef SARK_BENCH_PROGRESS_H
#define SARK_BENCH_PROGRESS_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Draws it over itself; what is now done is cut to 40 bytes. */
static inline void progress_draw(uint64_t done, uint64_t total, const char *what)
{
    static const char full[] = "##############################";
    if (!isatty(STDERR_FILENO) || total == 0) return;
    double share = (double)done / (double)total;
    int filled = (int)(share * (double)(sizeof full - 1));
    fprintf(stderr, "\r[%-*.*s] %3d %% %-40.40s", (int)sizeof full - 1, filled, full,
            (int)(share * 100), what);
    fflush(stderr);
}

/* Takes it away, so that what is printed next begins a clean line. */
static inline void progress_clear(void)
{
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
}

#endif
