/* Fuzzes the reader of traces (bench/trace.c, bench/trace_input.c): any bytes, as they are,
   compressed here, or compressed and cut. A second reader, as naive as can be, must accept the same
   inputs, find the same requests, and where it refuses name the same line. What is cut is always
   refused.

   In one kind of input a byte 1 stands for 65,534 bytes of a key, once, and the bytes 2 and 3 for
   the largest numbers without their last digit: so that limits are met. */

#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

/* Memory of this size mapped for each input would take nearly all the time. */
static char line_buffer[1 << 20];

static void *lend(size_t bytes)
{
    if (bytes != sizeof line_buffer) return malloc(bytes);
    ASAN_UNPOISON_MEMORY_REGION(line_buffer, sizeof line_buffer);
    return line_buffer;
}

static void take_back(void *block)
{
    if (block == line_buffer) ASAN_POISON_MEMORY_REGION(line_buffer, sizeof line_buffer);
    else free(block);
}

#define malloc lend
#define free take_back
#define gzbuffer(file, bytes) gzbuffer((file), 4096)
#include "bench/trace.c"
#include "bench/trace_input.c"
#undef gzbuffer
#undef free
#undef malloc

enum { MOST_INPUT = 4096, RUN = 65534, MOST_TEXT = MOST_INPUT * 18 + RUN };

/* What is done with the bytes of an input, by its first byte. */
enum { AS_THEY_ARE, WITH_LIMITS, COMPRESSED, CUT, KINDS = 16 };

static char text[MOST_TEXT], message[4096];
static int file; /* in memory; the reader opens it by its name */
static char file_name[64];

/* ---- The second reader ---------------------------------------------------------------------- */

typedef struct naive_request {
    int64_t numbers[3]; /* ts, size, ttl */
    const char *key;
    size_t key_bytes;
    char op;
} naive_request;

static naive_request requests[MOST_INPUT];
static size_t request_count;

/* A field that is a number from least to most, or "-". */
static bool naive_number(const char *field, size_t bytes, int64_t least, int64_t most,
                         int64_t *number)
{
    char digits[24] = "";
    *number = TRACE_UNKNOWN;
    if (bytes == 1 && *field == '-') return true;
    for (size_t i = 0; i < bytes; i++)
        if (field[i] < '0' || field[i] > '9') return false;
    while (bytes > 1 && *field == '0') field++, bytes--;
    if (bytes > 19) return false;
    memcpy(digits, field, bytes);
    uint64_t value = strtoull(digits, NULL, 10);
    *number = (int64_t)value;
    return value <= (uint64_t)most && value >= (uint64_t)least;
}

static bool naive_op(const char *field, size_t bytes, char *op)
{
    char word[8] = "";
    *op = *field;
    if (bytes > 5) return false;
    memcpy(word, field, bytes);
    if (strlen(word) != bytes) return false;
    return !strcmp(word, "get") || !strcmp(word, "read") || !strcmp(word, "write") ||
           !strcmp(word, "-");
}

/* One line, without its newline; last_s is the time before it, and after it. */
static bool naive_line(const char *line, size_t bytes, int64_t *last_s)
{
    naive_request *request = &requests[request_count];
    const char *fields[6], *at = line, *end = line + bytes;
    size_t lengths[6], count = 0;
    while (count < 6) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        fields[count] = at;
        lengths[count++] = (size_t)((blank ? blank : end) - at);
        if (lengths[count - 1] == 0) return false;
        if (!blank) break;
        at = blank + 1;
    }
    if (count != 5 || lengths[1] > 65535) return false;
    if (!naive_number(fields[0], lengths[0], 0, INT64_MAX / 1000, &request->numbers[0]) ||
        !naive_number(fields[2], lengths[2], 0, INT64_MAX, &request->numbers[1]) ||
        !naive_number(fields[3], lengths[3], 1, INT64_MAX / 1000, &request->numbers[2]) ||
        !naive_op(fields[4], lengths[4], &request->op))
        return false;
    request->key = fields[1];
    request->key_bytes = lengths[1];
    if (request->numbers[0] != TRACE_UNKNOWN) {
        if (request->numbers[0] < *last_s) return false;
        *last_s = request->numbers[0];
    }
    return true;
}

/* All lines. Returns the number of the first bad one, 0 where all are good. */
static size_t naive_read(size_t bytes)
{
    int64_t last_s = 0;
    request_count = 0;
    for (size_t at = 0; at < bytes; request_count++) {
        const char *newline = memchr(text + at, '\n', bytes - at);
        size_t length = newline ? (size_t)(newline - (text + at)) : bytes - at;
        if (!naive_line(text + at, length, &last_s)) return request_count + 1;
        at += length + 1;
    }
    return 0;
}

/* ---- The same requests ---------------------------------------------------------------------- */

/* A key is numbered as where it appeared first, or as the next. */
static uint32_t naive_id(const trace *found, size_t at, uint32_t next)
{
    for (size_t first = 0; first < at; first++)
        if (requests[first].key_bytes == requests[at].key_bytes &&
            memcmp(requests[first].key, requests[at].key, requests[at].key_bytes) == 0)
            return found->requests[first].key_id;
    return next;
}

static void same_requests(const trace *found)
{
    uint32_t key_count = 0;
    size_t max_key_bytes = 0;
    int64_t max_size_bytes = 0;
    MUST(found->request_count == request_count);
    for (size_t at = 0; at < request_count; at++) {
        const trace_request *request = &found->requests[at];
        const naive_request *expected = &requests[at];
        MUST(request->ts_s == expected->numbers[0] && request->size_bytes == expected->numbers[1]);
        MUST(request->ttl_s == expected->numbers[2] && request->op == expected->op);
        MUST(request->key_bytes == expected->key_bytes);
        MUST(memcmp(trace_key(found, request), expected->key, expected->key_bytes) == 0);
        MUST(request->key_id == naive_id(found, at, key_count));
        if (request->key_id == key_count) key_count++;
        if (expected->key_bytes > max_key_bytes) max_key_bytes = expected->key_bytes;
        if (expected->numbers[1] > max_size_bytes) max_size_bytes = expected->numbers[1];
    }
    MUST(found->key_count == key_count && found->max_key_bytes == max_key_bytes);
    MUST(found->max_size_bytes == max_size_bytes);
}

/* ---- One input ------------------------------------------------------------------------------ */

/* What a byte stands for where limits are to be met; else NULL. */
static const char *limit_of(char byte)
{
    if (byte == 2) return "922337203685477";
    return byte == 3 ? "922337203685477580" : NULL;
}

/* Makes the text of an input. Returns its bytes. */
static size_t write_text(bool has_limits)
{
    size_t bytes = 0;
    for (bool has_run = has_limits; fuzz_more();) {
        char byte = (char)fuzz_byte();
        const char *limit = has_limits ? limit_of(byte) : NULL;
        if (limit) {
            memcpy(text + bytes, limit, strlen(limit));
            bytes += strlen(limit);
        } else if (has_run && byte == 1) {
            memset(text + bytes, 'k', RUN);
            bytes += RUN;
            has_run = false;
        } else {
            text[bytes++] = byte;
        }
    }
    return bytes;
}

static void write_file(const void *from, size_t bytes)
{
    MUST(ftruncate(file, 0) == 0);
    MUST(pwrite(file, from, bytes, 0) == (ssize_t)bytes);
}

/* Reads the file. What is said goes into message. */
static bool read_file(trace *found)
{
    FILE *before = stderr;
    memset(message, 0, sizeof message);
    stderr = fmemopen(message, sizeof message, "w");
    bool is_read = trace_read(found, file_name);
    fclose(stderr);
    stderr = before;
    MUST(is_read == !message[0]);
    MUST(is_read || (!found->requests && !found->key_text && !found->request_count));
    return is_read;
}

/* The file has the text: it must be read as the second reader reads it. */
static void compare(size_t bytes)
{
    trace found;
    char place[128];
    size_t bad_line = naive_read(bytes);
    bool is_read = read_file(&found);
    MUST(is_read == !bad_line);
    snprintf(place, sizeof place, "%s:%zu: ", file_name, bad_line);
    if (bad_line) MUST(strncmp(message, place, strlen(place)) == 0);
    if (is_read) same_requests(&found);
    trace_free(&found);
}

#ifdef HAVE_ZLIB

/* Whatever begins as gzip does: it may be refused or not. */
static void read_any(void)
{
    trace found;
    if (read_file(&found)) trace_free(&found);
}

static z_stream packer;

static void compress_file(size_t bytes, size_t cut)
{
    static unsigned char packed[MOST_TEXT + 1024];
    trace found;
    packer.next_in = (unsigned char *)text;
    packer.avail_in = (unsigned)bytes;
    packer.next_out = packed;
    packer.avail_out = sizeof packed;
    MUST(deflate(&packer, Z_FINISH) == Z_STREAM_END);
    size_t all = packer.total_out, kept = all - cut % (all - 2);
    MUST(deflateReset(&packer) == Z_OK);
    write_file(packed, kept);
    if (kept == all) compare(bytes);
    else MUST(!read_file(&found));
}

#endif

int LLVMFuzzerInitialize(int *argument_count, char ***arguments);

int LLVMFuzzerInitialize(int *argument_count, char ***arguments)
{
    (void)argument_count, (void)arguments;
    file = memfd_create("trace", MFD_CLOEXEC);
    snprintf(file_name, sizeof file_name, "/proc/self/fd/%d", file);
#ifdef HAVE_ZLIB
    MUST(deflateInit2(&packer, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
#endif
    MUST(file >= 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes > MOST_INPUT) return 0;
    fuzz_begin(data, bytes);
    uint32_t kind = fuzz_byte() % KINDS, cut = kind == CUT ? fuzz_byte() : 0;
    size_t text_bytes = write_text(kind == WITH_LIMITS);
    bool is_packed = text_bytes >= 2 && text[0] == 0x1f && (unsigned char)text[1] == 0x8b;
    (void)cut;
#ifdef HAVE_ZLIB
    if (kind == COMPRESSED || kind == CUT) {
        compress_file(text_bytes, cut);
        return 0;
    }
#endif
    write_file(text, text_bytes);
    if (!is_packed) compare(text_bytes);
#ifdef HAVE_ZLIB
    else read_any();
#endif
    return 0;
}
