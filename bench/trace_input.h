/* The bytes of a trace: from a file or standard input, decompressed where they begin as gzip does.
   With HAVE_ZLIB by zlib, otherwise by a gzip process that reads the file as its standard input,
   so that no file name ever passes a shell. */

#ifndef SARK_BENCH_TRACE_INPUT_H
#define SARK_BENCH_TRACE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct trace_input {
    const char *name; /* for messages */
    void *zlib_file;  /* with zlib */
    int descriptor;   /* without */
    int gzip_process; /* without: its id, 0 where the bytes are plain */
} trace_input;

/* Opens a file, "-" for standard input. Returns false after saying on stderr what is wrong. */
bool trace_input_open(trace_input *input, const char *file);

/* Reads up to capacity bytes. Returns how many, 0 at the end, or -1 after saying what is wrong. */
long trace_input_read(trace_input *input, char *buffer, size_t capacity);

/* Closes it; a second time does nothing. Returns false, after saying so, where the compressed data
   ended too early or was damaged. */
bool trace_input_close(trace_input *input);

#endif
