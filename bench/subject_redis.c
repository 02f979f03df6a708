/* Redis as a subject, by hiredis: a server, whose LRU is by samples. Compiled with

   SUBJECT_NAME   its name, a string
   SUBJECT_UNIX   1: by a Unix socket; 0: by TCP on 127.0.0.1
   SUBJECT_BATCH  how many calls are sent before an answer is waited for; 0: one */

#include "server.h"
#include "subject.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is for the buffers of connections, beside the entries. */
enum { SPARE_BYTES = 1 << 20 };

typedef struct redis_cache {
    server server;
    size_t key_bytes, value_bytes;
    char ttl_ms[24]; /* in digits; empty: none */
} redis_cache;

/* One of each thread. */
typedef struct connection {
    const redis_cache *cache;
    redisContext *context;
} connection;

static char version[32];

__attribute__((constructor)) static void find_version(void)
{
    server_version("redis-server --version 2>/dev/null", version, sizeof version);
}

/* ---- The cache ------------------------------------------------------------------------------ */

/* What its allocator takes for so many bytes: of 16 bytes' steps up to 128, then of four sizes from
   each power of two to the next. */
static size_t allocated_bytes(size_t wanted)
{
    size_t step = 16;
    while (step * 8 < wanted) step *= 2;
    return (wanted + step - 1) / step * step;
}

/* Of a key and a value with their heads, an object, and an item in each of the tables, of keys and
   of TTLs; and of the tables themselves, a word for each of so many as there are in the next power
   of two, while those of half the size have not gone yet. */
static size_t full_bytes(const subject_config *config)
{
    size_t table_count = config->ttl_ms > 0 ? 2 : 1, bucket_count = 1;
    while (bucket_count < config->capacity) bucket_count *= 2;
    return config->capacity * (allocated_bytes(config->key_bytes + 6) +
                               allocated_bytes(config->value_bytes + 6) + 16 + table_count * 32) +
           table_count * bucket_count * (8 + 8 / 2);
}

/* Gives it as much as the entries take, beyond what it has taken when it is empty. */
static bool bound(redis_cache *self, const subject_config *config)
{
    char question[96];
    int64_t empty_bytes = server_ask(&self->server, "INFO memory\r\n", "\nused_memory:");
    int64_t bytes = empty_bytes + SPARE_BYTES + (int64_t)full_bytes(config);
    snprintf(question, sizeof question,
             "CONFIG SET maxmemory %" PRId64 "\r\nINFO memory\r\n", bytes);
    bool is_bound = empty_bytes > 0 &&
                    server_ask(&self->server, question, "\nmaxmemory:") == bytes;
    if (!is_bound) fprintf(stderr, "redis-server: it cannot be bounded\n");
    return is_bound;
}

static bool start(redis_cache *self)
{
    const char *const arguments[] = {
        "redis-server", "--port", self->server.port_text, "--bind", "127.0.0.1",
        "--unixsocket", self->server.path, "--save", "", "--appendonly", "no",
        "--maxmemory-policy", "allkeys-lru", "--loglevel", "warning", NULL};
    const server_plan plan = {.is_unix = SUBJECT_UNIX,
                              .arguments = arguments,
                              .question = "INFO server\r\n",
                              .before_pid = "\nprocess_id:"};
    return server_start(&self->server, &plan);
}

static void destroy(void *cache)
{
    redis_cache *self = cache;
    server_stop(&self->server);
    free(self);
}

static void *create(const subject_config *config)
{
    redis_cache *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->key_bytes = config->key_bytes;
    self->value_bytes = config->value_bytes;
    if (config->ttl_ms > 0)
        snprintf(self->ttl_ms, sizeof self->ttl_ms, "%" PRId64, config->ttl_ms);
    if (start(self) && bound(self, config)) return self;
    destroy(self);
    return NULL;
}

static int64_t size(void *cache)
{
    const redis_cache *self = cache;
    return server_ask(&self->server, "DBSIZE\r\n", ":");
}

static int64_t memory_bytes(void *cache)
{
    const redis_cache *self = cache;
    return server_grown_bytes(&self->server);
}

/* ---- Threads -------------------------------------------------------------------------------- */

static void thread_end(void *handle)
{
    connection *self = handle;
    if (self->context != NULL) redisFree(self->context);
    free(self);
}

static void *thread_begin(void *cache)
{
    const redis_cache *to = cache;
    connection *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->cache = to;
    self->context = SUBJECT_UNIX ? redisConnectUnix(to->server.path)
                                 : redisConnect("127.0.0.1", to->server.port);
    if (self->context != NULL && self->context->err == 0) return self;
    thread_end(self);
    return NULL;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* Makes a call ready to be sent: a get where there is no value. */
static bool append_call(connection *self, const char *key, size_t key_bytes, const void *value)
{
    const char *ttl_ms = self->cache->ttl_ms;
    const char *words[] = {value == NULL ? "GET" : "SET", key, value, "PX", ttl_ms};
    const size_t lengths[] = {3, key_bytes, self->cache->value_bytes, 2, strlen(ttl_ms)};
    int word_count = value == NULL ? 2 : *ttl_ms == 0 ? 3 : 5;
    return redisAppendCommandArgv(self->context, word_count, words, lengths) == REDIS_OK;
}

/* Sends what is ready, and takes the next answer: a value is copied, where one is wanted. Returns
   whether it was a hit, or was stored. */
static bool take_answer(connection *self, void *value)
{
    void *answer = NULL;
    if (redisGetReply(self->context, &answer) != REDIS_OK) return false;
    const redisReply *reply = answer;
    size_t value_bytes = self->cache->value_bytes;
    bool is_done = false;
    if (value == NULL) is_done = reply->type == REDIS_REPLY_STATUS;
    else is_done = reply->type == REDIS_REPLY_STRING && (size_t)reply->len == value_bytes;
    if (is_done && value != NULL) memcpy(value, reply->str, value_bytes);
    freeReplyObject(answer);
    return is_done;
}

static bool get(void *handle, const char *key, size_t key_bytes, void *value)
{
    return append_call(handle, key, key_bytes, NULL) && take_answer(handle, value);
}

static bool set(void *handle, const char *key, size_t key_bytes, const void *value)
{
    return append_call(handle, key, key_bytes, value) && take_answer(handle, NULL);
}

/* Returns whether the server answered, and stored what was to be set. */
static bool call_many(void *handle, subject_call *calls, uint32_t count)
{
    connection *self = handle;
    bool is_right = true;
    for (uint32_t i = 0; i < count; i++) {
        const void *value = calls[i].is_set ? calls[i].value : NULL;
        is_right &= append_call(self, calls[i].key, self->cache->key_bytes, value);
    }
    for (uint32_t i = 0; i < count; i++) {
        calls[i].is_done = take_answer(self, calls[i].is_set ? NULL : calls[i].value);
        is_right &= calls[i].is_done || !calls[i].is_set;
    }
    return is_right && self->context->err == 0;
}

const subject subject_measured = {
    .name = SUBJECT_NAME,
    .version = version,
    .evicts = true,
    .expires = true,
    .batch_length = SUBJECT_BATCH,
    .create = create,
    .destroy = destroy,
    .thread_begin = thread_begin,
    .thread_end = thread_end,
    .get = get,
    .set = set,
    .call_many = call_many,
    .size = size,
    .memory_bytes = memory_bytes,
};
