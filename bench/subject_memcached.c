/* memcached as a subject, by libmemcached: a server, with an LRU for each class of sizes. Compiled
   with

   SUBJECT_NAME   its name, a string
   SUBJECT_UNIX   1: by a Unix socket; 0: by TCP on 127.0.0.1
   SUBJECT_BATCH  how many calls are sent before an answer is waited for; 0: one */

#include "server.h"
#include "subject.h"

#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SPARE_PAGES = 4,          /* of a megabyte: those of other sizes, and some that it keeps free */
    PAGE_BYTES = 1 << 20,
    LONGEST_DELAY_S = 2592000, /* 30 days; what is more, it takes for a date */
    MAX_CALLS = 64
};

typedef struct memcached_cache {
    server server;
    size_t key_bytes, value_bytes;
    time_t expiration;
} memcached_cache;

/* One of each thread. */
typedef struct connection {
    const memcached_cache *cache;
    memcached_st *one;  /* for a call at a time, by the protocol of text that is usual */
    memcached_st *many; /* for batches, see open_many */
    memcached_result_st result;
} connection;

static char version[32];

__attribute__((constructor)) static void find_version(void)
{
    server_version("memcached -V 2>/dev/null", version, sizeof version);
}

/* ---- The cache ------------------------------------------------------------------------------ */

/* An entry lies in a chunk of the least size of its row that holds it: a head of 56 bytes, the key
   with its NUL, the value with its line's end. */
static size_t chunk_bytes(const subject_config *config)
{
    size_t wanted = 56 + config->key_bytes + 1 + config->value_bytes + 2, chunk = 96;
    while (chunk < wanted) chunk = (chunk * 5 / 4 + 7) & ~(size_t)7;
    return chunk;
}

/* Enough for all entries. */
static size_t megabytes(const subject_config *config)
{
    size_t chunk = chunk_bytes(config);
    size_t per_page = chunk < PAGE_BYTES ? PAGE_BYTES / chunk : 1;
    return config->capacity / per_page + 1 + SPARE_PAGES;
}

static bool start(memcached_cache *self, const subject_config *config)
{
    char limit[24];
    const char *const arguments[] = {
        "memcached", "-m", limit, "-U", "0", "-l", "127.0.0.1",
        SUBJECT_UNIX ? "-s" : "-p", SUBJECT_UNIX ? self->server.path : self->server.port_text,
        geteuid() == 0 ? "-u" : NULL, "root", NULL};
    const server_plan plan = {.is_unix = SUBJECT_UNIX,
                              .arguments = arguments,
                              .question = "stats\r\n",
                              .before_pid = "STAT pid "};
    snprintf(limit, sizeof limit, "%zu", megabytes(config));
    return server_start(&self->server, &plan);
}

/* In whole seconds, rounded up; 0: never. */
static time_t expiration(int64_t ttl_ms)
{
    time_t seconds = (time_t)((ttl_ms + 999) / 1000);
    return seconds > LONGEST_DELAY_S ? time(NULL) + seconds : seconds;
}

static void destroy(void *cache)
{
    memcached_cache *self = cache;
    server_stop(&self->server);
    free(self);
}

static void *create(const subject_config *config)
{
    memcached_cache *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->key_bytes = config->key_bytes;
    self->value_bytes = config->value_bytes;
    self->expiration = expiration(config->ttl_ms);
    if (start(self, config)) return self;
    destroy(self);
    return NULL;
}

static int64_t size(void *cache)
{
    const memcached_cache *self = cache;
    return server_ask(&self->server, "stats\r\n", "STAT curr_items ");
}

static int64_t memory_bytes(void *cache)
{
    const memcached_cache *self = cache;
    return server_grown_bytes(&self->server);
}

/* ---- Threads -------------------------------------------------------------------------------- */

/* Returns a client that connects when it is first used. */
static memcached_st *open_one(const memcached_cache *to)
{
    memcached_st *client = memcached_create(NULL);
    memcached_return_t result;
    if (client == NULL) return NULL;
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    if (SUBJECT_UNIX) result = memcached_server_add_unix_socket(client, to->server.path);
    else result = memcached_server_add(client, "127.0.0.1", to->server.port);
    if (result == MEMCACHED_SUCCESS) return client;
    memcached_free(client);
    return NULL;
}

/* In the protocol of text the client throws away what became of sets that it sent together; in the
   binary one it can be asked for. The answers must not be read, for room, before that. */
static memcached_st *open_many(const memcached_cache *to)
{
    memcached_st *client = open_one(to);
    if (client == NULL) return NULL;
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, 1);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_IO_BYTES_WATERMARK, UINT32_MAX);
    return client;
}

static void thread_end(void *handle)
{
    connection *self = handle;
    memcached_result_free(&self->result);
    memcached_free(self->many);
    memcached_free(self->one);
    free(self);
}

static void *thread_begin(void *cache)
{
    connection *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->cache = cache;
    self->one = open_one(cache);
    self->many = open_many(cache);
    memcached_st *timed = SUBJECT_BATCH > 0 ? self->many : self->one;
    if (self->one != NULL && self->many != NULL &&
        memcached_result_create(self->many, &self->result) != NULL &&
        memcached_version(timed) == MEMCACHED_SUCCESS) /* which connects it */
        return self;
    thread_end(self);
    return NULL;
}

/* ---- Calls, one at a time ------------------------------------------------------------------- */

static bool get(void *handle, const char *key, size_t key_bytes, void *value)
{
    const connection *self = handle;
    size_t value_bytes = 0;
    char *found = memcached_get(self->one, key, key_bytes, &value_bytes, NULL, NULL);
    bool is_hit = found != NULL && value_bytes == self->cache->value_bytes;
    if (is_hit) memcpy(value, found, value_bytes);
    free(found);
    return is_hit;
}

static bool set(void *handle, const char *key, size_t key_bytes, const void *value)
{
    const connection *self = handle;
    return memcached_set(self->one, key, key_bytes, value, self->cache->value_bytes,
                         self->cache->expiration, 0) == MEMCACHED_SUCCESS;
}

/* ---- Calls, a batch at a time --------------------------------------------------------------- */

/* Reads what became of each set, in their order. Returns whether all are stored. */
static bool take_stored(connection *self, subject_call *calls, uint32_t count)
{
    bool is_right = true;
    for (uint32_t i = 0; i < count; i++) {
        if (!calls[i].is_set) continue;
        calls[i].is_done = memcached_fetch_result(self->many, &self->result, NULL) != NULL;
        is_right &= calls[i].is_done;
    }
    return is_right;
}

static bool set_many(connection *self, subject_call *calls, uint32_t count)
{
    const memcached_cache *cache = self->cache;
    bool is_sent = true;
    for (uint32_t i = 0; i < count && is_sent; i++)
        if (calls[i].is_set)
            is_sent = memcached_set(self->many, calls[i].key, cache->key_bytes, calls[i].value,
                                    cache->value_bytes, cache->expiration, 0) == MEMCACHED_BUFFERED;
    if (is_sent && memcached_flush_buffers(self->many) == MEMCACHED_SUCCESS)
        return take_stored(self, calls, count);
    memcached_quit(self->many); /* nobody knows what of it was sent */
    return false;
}

/* The call that the result answers, from a place on: what is found comes in the order of the keys,
   what is not is left out. Returns `count` where there is none. */
static uint32_t find_call(const connection *self, const subject_call *calls, uint32_t from,
                          uint32_t count)
{
    const char *key = memcached_result_key_value(&self->result);
    size_t key_bytes = memcached_result_key_length(&self->result);
    for (uint32_t i = from; i < count && key_bytes == self->cache->key_bytes; i++)
        if (!calls[i].is_set && memcmp(calls[i].key, key, key_bytes) == 0) return i;
    return count;
}

/* Copies what was found. Returns whether all answers were read. */
static bool take_found(connection *self, subject_call *calls, uint32_t count)
{
    memcached_return_t result = MEMCACHED_SUCCESS;
    size_t value_bytes = self->cache->value_bytes;
    uint32_t from = 0;
    while (memcached_fetch_result(self->many, &self->result, &result) != NULL) {
        uint32_t at = find_call(self, calls, from, count);
        if (at == count || memcached_result_length(&self->result) != value_bytes) continue;
        memcpy(calls[at].value, memcached_result_value(&self->result), value_bytes);
        calls[at].is_done = true;
        from = at + 1;
    }
    return result == MEMCACHED_END || result == MEMCACHED_NOTFOUND;
}

static bool get_many(connection *self, subject_call *calls, uint32_t count)
{
    const char *keys[MAX_CALLS];
    size_t lengths[MAX_CALLS], key_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (calls[i].is_set) continue;
        lengths[key_count] = self->cache->key_bytes;
        keys[key_count++] = calls[i].key;
    }
    if (key_count == 0) return true;
    return memcached_mget(self->many, keys, lengths, key_count) == MEMCACHED_SUCCESS &&
           take_found(self, calls, count);
}

/* First the sets, then the gets: a batch with both is sent in two parts. Returns whether the server
   answered, and stored what was to be set. */
static bool call_many(void *handle, subject_call *calls, uint32_t count)
{
    uint32_t set_count = 0;
    if (count > MAX_CALLS) return false;
    for (uint32_t i = 0; i < count; i++) {
        calls[i].is_done = false;
        set_count += calls[i].is_set;
    }
    bool is_stored = set_count == 0 || set_many(handle, calls, count);
    return get_many(handle, calls, count) && is_stored;
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
