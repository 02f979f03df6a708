/* The cache's metrics as text, every field by its name. */

#ifndef SARK_BENCH_METRICS_PRINT_H
#define SARK_BENCH_METRICS_PRINT_H

#include "../sark_cache.h"

/* Prints them on standard output. */
void metrics_print(const sark_cache_metrics *metrics);

#endif
