/* The bytes of a trace, plain or gzip; see trace_input.h. */

#include "trace_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool input_failed(const trace_input *input, const char *what)
{
    fprintf(stderr, "%s: %s\n", input->name, what);
    return false;
}

/* A descriptor of our own for the file, so that closing it leaves standard input alone. */
static int input_descriptor(trace_input *input, const char *file)
{
    bool is_standard_input = strcmp(file, "-") == 0;
    memset(input, 0, sizeof *input);
    input->name = is_standard_input ? "standard input" : file;
    int descriptor = is_standard_input ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
    input->descriptor = descriptor;
    if (descriptor < 0) input_failed(input, strerror(errno));
    return descriptor;
}

#ifdef HAVE_ZLIB

#include <zlib.h>

bool trace_input_open(trace_input *input, const char *file)
{
    int descriptor = input_descriptor(input, file);
    if (descriptor < 0) return false;
    gzFile zlib_file = gzdopen(descriptor, "rb");
    if (zlib_file == NULL) {
        close(descriptor);
        return input_failed(input, "out of memory");
    }
    (void)gzbuffer(zlib_file, 1u << 18);
    input->zlib_file = zlib_file;
    return true;
}

long trace_input_read(trace_input *input, char *buffer, size_t capacity)
{
    gzFile zlib_file = input->zlib_file;
    int got = gzread(zlib_file, buffer, (unsigned)capacity);
    if (got < 0) {
        int code = Z_OK, read_error = errno;
        (void)gzerror(zlib_file, &code);
        input_failed(input, code == Z_ERRNO       ? strerror(read_error)
                            : code == Z_MEM_ERROR ? "out of memory"
                                                  : "the compressed data is damaged");
    }
    return got;
}

bool trace_input_close(trace_input *input)
{
    gzFile zlib_file = input->zlib_file;
    input->zlib_file = NULL;
    if (zlib_file == NULL) return true;
    int code = gzclose_r(zlib_file);
    if (code == Z_BUF_ERROR) return input_failed(input, "the compressed data ends too early");
    return true;
}

#else

#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

/* read() that goes on after signals. */
static ssize_t read_again(int descriptor, char *buffer, size_t capacity)
{
    ssize_t got;
    do got = read(descriptor, buffer, capacity);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool write_all(int descriptor, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(descriptor, data, bytes);
        if (written < 0 && errno != EINTR) return false;
        if (written < 0) continue;
        data += written;
        bytes -= (size_t)written;
    }
    return true;
}

/* Copies what cannot be read twice (a pipe) into a temporary file. Returns that, or -1. */
static int spool(int from)
{
    char buffer[1 << 16];
    FILE *file = tmpfile();
    int to = file == NULL ? -1 : dup(fileno(file));
    if (file != NULL) fclose(file);
    ssize_t got = 0;
    while (to >= 0 && (got = read_again(from, buffer, sizeof buffer)) > 0) {
        if (!write_all(to, buffer, (size_t)got)) {
            got = -1;
            break;
        }
    }
    if (to < 0 || got == 0) return to;
    close(to);
    return -1;
}

/* Makes the descriptor one that can be read from its beginning again. */
static bool make_seekable(trace_input *input)
{
    if (lseek(input->descriptor, 0, SEEK_CUR) >= 0) return true;
    int spooled = spool(input->descriptor);
    if (spooled < 0) return input_failed(input, strerror(errno));
    close(input->descriptor);
    input->descriptor = spooled;
    return lseek(spooled, 0, SEEK_SET) == 0;
}

/* Starts gzip between the file and a pipe; the pipe becomes the descriptor. */
static bool start_gzip(trace_input *input)
{
    char name[] = "gzip", options[] = "-dc";
    char *arguments[] = {name, options, NULL};
    int ends[2];
    if (pipe(ends) != 0) return input_failed(input, strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input->descriptor, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    pid_t process = 0;
    int error = posix_spawnp(&process, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    close(input->descriptor);
    input->descriptor = ends[0];
    input->gzip_process = error == 0 ? (int)process : 0;
    return error == 0 ? true : input_failed(input, "gzip cannot be started");
}

bool trace_input_open(trace_input *input, const char *file)
{
    if (input_descriptor(input, file) < 0) return false;
    if (make_seekable(input)) {
        unsigned char magic[2] = {0, 0};
        off_t start = lseek(input->descriptor, 0, SEEK_CUR);
        ssize_t got = read_again(input->descriptor, (char *)magic, sizeof magic);
        lseek(input->descriptor, start, SEEK_SET);
        bool is_gzip = got == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
        if (!is_gzip || start_gzip(input)) return true;
    }
    close(input->descriptor);
    return false;
}

long trace_input_read(trace_input *input, char *buffer, size_t capacity)
{
    ssize_t got = read_again(input->descriptor, buffer, capacity);
    if (got < 0) input_failed(input, strerror(errno));
    return (long)got;
}

bool trace_input_close(trace_input *input)
{
    int status = 0;
    if (input->descriptor < 0) return true;
    close(input->descriptor);
    input->descriptor = -1;
    if (input->gzip_process == 0) return true;
    while (waitpid((pid_t)input->gzip_process, &status, 0) < 0 && errno == EINTR) continue;
    bool is_ended_by_us = WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE; /* bad line */
    bool is_warning = WIFEXITED(status) && WEXITSTATUS(status) == 2; /* garbage behind the data */
    if (status == 0 || is_ended_by_us || is_warning) return true;
    return input_failed(input, "gzip could not decompress it");
}

#endif
