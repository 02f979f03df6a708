/* Reading and checking access traces; see trace.h. */

#include "trace.h"

#include "trace_input.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEY_BYTES 65535u
#define MAX_LINE_BYTES (1u << 20)
#define MAX_SECONDS (INT64_MAX / 1000) /* so that milliseconds do not overflow */
#define FIELD_COUNT 5

typedef struct text_field {
    const char *text;
    size_t bytes;
} text_field;

/* What reading needs beside its result. */
typedef struct reader {
    trace *result;
    const char *name;         /* of the input, for messages */
    uint64_t line_number;
    size_t request_capacity, key_text_capacity;
    uint32_t *id_slots;       /* open addressing: a key's first request + 1, 0 where empty */
    size_t id_slot_count;     /* a power of two */
    int64_t last_ts_s;
} reader;

/* ---- Messages ------------------------------------------------------------------------------- */

static bool no_memory(const reader *from)
{
    fprintf(stderr, "%s: out of memory\n", from->name);
    return false;
}

__attribute__((format(printf, 2, 3)))
static bool bad_line(const reader *from, const char *what, ...)
{
    va_list arguments;
    va_start(arguments, what);
    fprintf(stderr, "%s:%llu: ", from->name, (unsigned long long)from->line_number);
    vfprintf(stderr, what, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

/* A field as text for a message: cut, and without control characters. */
static const char *shown(const text_field *field, char buffer[static 48])
{
    bool is_cut = field->bytes > 40;
    size_t bytes = is_cut ? 40 : field->bytes;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)field->text[i];
        buffer[i] = byte < 32 || byte == 127 ? '?' : (char)byte;
    }
    strcpy(buffer + bytes, is_cut ? "..." : "");
    return buffer;
}

/* ---- Arrays that grow ----------------------------------------------------------------------- */

/* Makes room for `needed` items, at least doubling. Returns NULL where there is no memory; the old
   array is still there then. */
static void *grown(void *items, size_t *capacity, size_t needed, size_t item_bytes)
{
    if (needed <= *capacity) return items;
    size_t wanted = *capacity < 1024 ? 1024 : *capacity;
    while (wanted < needed && wanted <= SIZE_MAX / 2) wanted *= 2;
    if (wanted < needed || wanted > SIZE_MAX / item_bytes) return NULL;
    void *larger = realloc(items, wanted * item_bytes);
    if (larger != NULL) *capacity = wanted;
    return larger;
}

/* ---- Numbering the distinct keys ------------------------------------------------------------ */

static uint64_t hash_of(const char *text, size_t bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15u; /* FNV alone mixes short keys badly */
    return hash ^ (hash >> 29);
}

static bool same_key(const trace *from, const trace_request *a, const trace_request *b)
{
    return a->key_hash == b->key_hash && a->key_bytes == b->key_bytes &&
           memcmp(trace_key(from, a), trace_key(from, b), a->key_bytes) == 0;
}

/* The slot of a request's key, or the empty one where it belongs. */
static uint32_t *id_slot(const reader *from, const trace_request *request)
{
    size_t mask = from->id_slot_count - 1;
    size_t at = (size_t)request->key_hash & mask;
    for (;; at = (at + 1) & mask) {
        uint32_t first = from->id_slots[at];
        if (first == 0) return &from->id_slots[at];
        if (same_key(from->result, &from->result->requests[first - 1], request))
            return &from->id_slots[at];
    }
}

/* Keeps the table at most half full. */
static bool id_slots_grown(reader *into)
{
    if (into->result->key_count < into->id_slot_count / 2) return true;
    size_t old_count = into->id_slot_count;
    uint32_t *old = into->id_slots;
    uint32_t *larger = calloc(old_count * 2, sizeof *larger);
    if (larger == NULL) return false;
    into->id_slots = larger;
    into->id_slot_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++)
        if (old[i] != 0) *id_slot(into, &into->result->requests[old[i] - 1]) = old[i];
    free(old);
    return true;
}

/* Numbers the key of the last request, whose text is in place. */
static bool number_key(reader *into, trace_request *request)
{
    trace *result = into->result;
    if (!id_slots_grown(into)) return false;
    uint32_t *slot = id_slot(into, request);
    if (*slot == 0) {
        *slot = (uint32_t)result->request_count + 1;
        request->key_id = result->key_count++;
    } else {
        request->key_id = result->requests[*slot - 1].key_id;
    }
    return true;
}

/* ---- One line ------------------------------------------------------------------------------- */

static bool split(const reader *from, const char *line, size_t bytes, text_field *fields)
{
    size_t count = 0, start = 0;
    for (size_t at = 0; at <= bytes; at++) {
        if (at < bytes && line[at] != ' ') continue;
        if (at == start) return bad_line(from, "field %zu is empty", count + 1);
        if (count < FIELD_COUNT) fields[count] = (text_field){line + start, at - start};
        count++;
        start = at + 1;
    }
    if (count != FIELD_COUNT) return bad_line(from, "%zu fields instead of %d", count, FIELD_COUNT);
    return true;
}

static bool is_unknown(const text_field *field)
{
    return field->bytes == 1 && field->text[0] == '-';
}

/* A whole number from smallest to largest, or "-". */
static bool parse_number(const reader *from, const text_field *field, const char *name,
                         int64_t smallest, int64_t largest, int64_t *number)
{
    char text[48];
    *number = is_unknown(field) ? TRACE_UNKNOWN : 0;
    if (is_unknown(field)) return true;
    for (size_t i = 0; i < field->bytes; i++) {
        int digit = field->text[i] - '0';
        if (digit < 0 || digit > 9)
            return bad_line(from, "%s \"%s\" is no whole number", name, shown(field, text));
        if (*number > (largest - digit) / 10)
            return bad_line(from, "%s %s is too large", name, shown(field, text));
        *number = *number * 10 + digit;
    }
    if (*number < smallest)
        return bad_line(from, "%s %lld is less than %lld", name, (long long)*number,
                        (long long)smallest);
    return true;
}

static bool parse_op(const reader *from, const text_field *field, char *op)
{
    static const char *const names[] = {"get", "read", "write", "-"};
    char text[48];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *op = names[i][0];
        if (strlen(names[i]) == field->bytes && memcmp(names[i], field->text, field->bytes) == 0)
            return true;
    }
    return bad_line(from, "op \"%s\" is none of get, read, write, -", shown(field, text));
}

static bool parse_time(reader *into, const text_field *field, int64_t *ts_s)
{
    if (!parse_number(into, field, "ts", 0, MAX_SECONDS, ts_s)) return false;
    if (*ts_s == TRACE_UNKNOWN) return true;
    if (*ts_s < into->last_ts_s)
        return bad_line(into, "ts %lld is less than %lld before it", (long long)*ts_s,
                        (long long)into->last_ts_s);
    into->last_ts_s = *ts_s;
    return true;
}

/* Parses a line into a request, all but the key. */
static bool parse_fields(reader *into, const text_field *fields, trace_request *request)
{
    memset(request, 0, sizeof *request);
    if (!parse_time(into, &fields[0], &request->ts_s)) return false;
    if (fields[1].bytes > MAX_KEY_BYTES)
        return bad_line(into, "a key of %zu bytes: %u is the most", fields[1].bytes, MAX_KEY_BYTES);
    return parse_number(into, &fields[2], "size", 0, INT64_MAX, &request->size_bytes) &&
           parse_number(into, &fields[3], "ttl", 1, MAX_SECONDS, &request->ttl_s) &&
           parse_op(into, &fields[4], &request->op);
}

/* Appends a parsed request and its key to the trace. */
static bool append(reader *into, trace_request *request, const text_field *key)
{
    trace *result = into->result;
    if (result->request_count == UINT32_MAX - 1) return bad_line(into, "too many requests");
    char *key_text = grown(result->key_text, &into->key_text_capacity,
                           result->key_text_bytes + key->bytes, 1);
    if (key_text == NULL) return no_memory(into);
    result->key_text = key_text;
    trace_request *requests = grown(result->requests, &into->request_capacity,
                                    result->request_count + 1, sizeof *requests);
    if (requests == NULL) return no_memory(into);
    result->requests = requests;

    memcpy(key_text + result->key_text_bytes, key->text, key->bytes);
    request->key_offset = result->key_text_bytes;
    request->key_bytes = (uint16_t)key->bytes;
    request->key_hash = hash_of(key->text, key->bytes);
    requests[result->request_count] = *request;
    if (!number_key(into, &requests[result->request_count])) return no_memory(into);
    result->key_text_bytes += key->bytes;
    result->request_count++;
    return true;
}

static bool parse_line(reader *into, const char *line, size_t bytes)
{
    text_field fields[FIELD_COUNT];
    trace_request request;
    trace *result = into->result;
    into->line_number++;
    if (bytes == 0) return bad_line(into, "an empty line");
    if (!split(into, line, bytes, fields) || !parse_fields(into, fields, &request)) return false;
    if (fields[1].bytes > result->max_key_bytes) result->max_key_bytes = (uint32_t)fields[1].bytes;
    if (request.size_bytes > result->max_size_bytes) result->max_size_bytes = request.size_bytes;
    return append(into, &request, &fields[1]);
}

/* ---- The whole input ------------------------------------------------------------------------ */

/* Parses the whole lines in a buffer. Returns how many bytes they take, or -1. */
static long parse_lines(reader *into, const char *buffer, size_t bytes)
{
    size_t start = 0;
    const char *end;
    while ((end = memchr(buffer + start, '\n', bytes - start)) != NULL) {
        size_t line_bytes = (size_t)(end - (buffer + start));
        if (!parse_line(into, buffer + start, line_bytes)) return -1;
        start += line_bytes + 1;
    }
    return (long)start;
}

/* Reads to the end. The last line may lack its newline. */
static bool parse_input(reader *into, trace_input *input, char *buffer)
{
    size_t kept_bytes = 0;
    for (;;) {
        if (kept_bytes == MAX_LINE_BYTES) {
            into->line_number++;
            return bad_line(into, "a line of more than %u bytes", MAX_LINE_BYTES);
        }
        long got = trace_input_read(input, buffer + kept_bytes, MAX_LINE_BYTES - kept_bytes);
        if (got < 0) return false;
        if (got == 0) break;
        kept_bytes += (size_t)got;
        long parsed = parse_lines(into, buffer, kept_bytes);
        if (parsed < 0) return false;
        kept_bytes -= (size_t)parsed;
        memmove(buffer, buffer + parsed, kept_bytes);
    }
    if (!trace_input_close(input)) return false;
    return kept_bytes == 0 || parse_line(into, buffer, kept_bytes);
}

bool trace_read(trace *result, const char *file)
{
    trace_input input;
    reader into = {.result = result, .id_slot_count = 1024};
    memset(result, 0, sizeof *result);
    if (!trace_input_open(&input, file)) return false;
    into.name = input.name;
    char *buffer = malloc(MAX_LINE_BYTES);
    into.id_slots = calloc(into.id_slot_count, sizeof *into.id_slots);
    bool is_read = buffer != NULL && into.id_slots != NULL ? parse_input(&into, &input, buffer)
                                                           : no_memory(&into);
    trace_input_close(&input);
    free(buffer);
    free(into.id_slots);
    if (!is_read) trace_free(result);
    return is_read;
}

void trace_free(trace *result)
{
    free(result->requests);
    free(result->key_text);
    memset(result, 0, sizeof *result);
}
