/* A cache that is a program of its own, behind a socket: one is started for each subject's cache,
   and ended with it. Whatever ends us ends it too, and nothing of it stays behind. */

#ifndef SARK_BENCH_SERVER_H
#define SARK_BENCH_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { SERVER_MAX_ARGUMENTS = 24 };

typedef struct server {
    uint16_t port;     /* of 127.0.0.1; 0 where it has a Unix socket */
    char port_text[8]; /* the same in digits */
    char path[108];    /* for a Unix socket */
    char folder[96];   /* its own, where it is started */
    struct sockaddr_storage address;
    socklen_t address_bytes;
    int keeper_socket; /* closing it ends the server */
    pid_t keeper, pid;
    int64_t empty_bytes;
} server;

/* How it is started. The arguments may be the texts in the server, which is_unix chooses. */
typedef struct server_plan {
    bool is_unix;
    const char *const *arguments;      /* the program first, NULL last */
    const char *question, *before_pid; /* its answer tells its process id, behind such a text */
} server_plan;

/* Returns once the server answers. Where that cannot be, says why on stderr, and returns false. */
bool server_start(server *self, const server_plan *plan);

/* Returns when it has ended, and its folder is gone. */
void server_stop(server *self);

/* Asks by a connection of its own. Returns the number that is behind a text in the answer, -1 where
   none is. */
int64_t server_ask(const server *self, const char *question, const char *before_number);

/* How much its resident memory has grown since it was started. */
int64_t server_grown_bytes(const server *self);

/* Takes the first number with dots of what a command prints; "unknown" where there is none. */
void server_version(const char *command, char *version, size_t version_bytes);

#endif
