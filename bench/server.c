/* Starts and ends a server; see server.h. */

#define _GNU_SOURCE /* environ, POSIX_SPAWN_SETSID */
#include "server.h"
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { ATTEMPTS = 5, DEADLINE_MS = 10000, PAUSE_MS = 2, MAX_ANSWER = 16384 };

static const char ended_at_once[] = "it ended at once";

/* Lies between us and the server, with a socket to us for input and output: says the server's
   process id, waits until our end is closed, by whatever that is, and clears up. Given the folder,
   the program and its arguments. */
static const char keeper_script[] =
    "folder=$1; shift\n"
    "cd \"$folder\" || exit\n"
    "if command -v \"$1\" >/dev/null; then\n"
    "    \"$@\" </dev/null >/dev/null & echo $!\n"
    "    read -r nothing\n"
    "    exec 2>/dev/null; kill -9 $!; wait\n"
    "fi\n"
    "cd /; rm -rf \"$folder\"\n";

/* ---- Where it listens ----------------------------------------------------------------------- */

static bool make_folder(server *self)
{
    const char *parent = getenv("TMPDIR");
    bool is_fit = parent != NULL && parent[0] == '/' && strlen(parent) + 24 < sizeof self->folder;
    snprintf(self->folder, sizeof self->folder, "%s/bench-XXXXXX", is_fit ? parent : "/tmp");
    if (mkdtemp(self->folder) == NULL) return false;
    snprintf(self->path, sizeof self->path, "%s/socket", self->folder);
    return true;
}

static void choose_path(server *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, self->path, sizeof address.sun_path);
    memcpy(&self->address, &address, sizeof address);
    self->address_bytes = sizeof address;
    snprintf(self->port_text, sizeof self->port_text, "0");
}

/* Takes a port that is free now; whether it still is when the server wants it is not known. */
static bool choose_port(server *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    self->address_bytes = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_chosen = probe >= 0 &&
                     bind(probe, (struct sockaddr *)&address, sizeof address) == 0 &&
                     getsockname(probe, (struct sockaddr *)&address, &self->address_bytes) == 0;
    if (probe >= 0) close(probe);
    self->port = ntohs(address.sin_port);
    snprintf(self->port_text, sizeof self->port_text, "%u", self->port);
    memcpy(&self->address, &address, sizeof address);
    return is_chosen;
}

/* ---- Asking it ------------------------------------------------------------------------------ */

/* Returns -1 where nobody listens. What is read of it later waits at most a second. */
static int connect_to(const server *self)
{
    const struct timeval patience = {.tv_sec = 1};
    int connection = socket(self->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) return -1;
    (void)setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(connection, (const struct sockaddr *)&self->address, self->address_bytes) == 0)
        return connection;
    close(connection);
    return -1;
}

/* Reads as far as it needs to. */
static int64_t read_number(int connection, const char *before)
{
    char answer[MAX_ANSWER];
    size_t length = 0;
    while (length + 1 < sizeof answer) {
        ssize_t more = recv(connection, answer + length, sizeof answer - 1 - length, 0);
        if (more <= 0) return -1;
        length += (size_t)more;
        answer[length] = 0;
        const char *number = strstr(answer, before);
        if (number == NULL) continue;
        number += strlen(before);
        if (strchr(number, '\r') != NULL) return strtoll(number, NULL, 10);
    }
    return -1;
}

int64_t server_ask(const server *self, const char *question, const char *before_number)
{
    int64_t number = -1;
    size_t length = strlen(question);
    int connection = connect_to(self);
    if (connection < 0) return -1;
    if (send(connection, question, length, MSG_NOSIGNAL) == (ssize_t)length)
        number = read_number(connection, before_number);
    close(connection);
    return number;
}

/* 0 where the process has ended, even if nobody has asked yet how. */
static int64_t resident_bytes(pid_t pid)
{
    char name[64];
    int64_t pages = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(name, "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%*d %" SCNd64, &pages) != 1) pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

int64_t server_grown_bytes(const server *self)
{
    return resident_bytes(self->pid) - self->empty_bytes;
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* Returns 0, or an error number. In a session of its own: it must outlive a signal to our group. */
static int spawn_keeper(server *self, int socket, const char *const *arguments)
{
    const char *all[SERVER_MAX_ARGUMENTS + 6] = {"sh", "-c", keeper_script, "sh", self->folder};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    for (size_t i = 0; i < SERVER_MAX_ARGUMENTS && arguments[i] != NULL; i++)
        all[5 + i] = arguments[i];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    int error = posix_spawn(&self->keeper, "/bin/sh", &actions, &attributes,
                            (char *const *)(uintptr_t)all, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static bool start_keeper(server *self, const char *const *arguments)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return false;
    int error = spawn_keeper(self, sockets[1], arguments);
    close(sockets[1]);
    self->keeper_socket = sockets[0];
    if (error == 0) return true;
    close(sockets[0]);
    self->keeper = 0;
    return false;
}

/* Returns 0 where the keeper did not find the program. */
static pid_t read_pid(int keeper_socket)
{
    char text[16] = "";
    ssize_t length;
    do length = recv(keeper_socket, text, sizeof text - 1, 0);
    while (length < 0 && errno == EINTR);
    return length > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Until it says that it is itself who answers: its port may have been taken by another. Returns
   NULL, or why it does not. */
static const char *wait_for_answer(const server *self, const server_plan *plan)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
    uint64_t deadline_ns = measure_now_ns() + DEADLINE_MS * UINT64_C(1000000);
    while (server_ask(self, plan->question, plan->before_pid) != self->pid) {
        if (resident_bytes(self->pid) == 0) return ended_at_once;
        if (measure_now_ns() > deadline_ns) return "it does not answer";
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Returns NULL, or what is wrong. */
static const char *start_at_address(server *self, const server_plan *plan)
{
    if (!start_keeper(self, plan->arguments)) return "no shell can be started to keep it";
    self->pid = read_pid(self->keeper_socket);
    const char *wrong = self->pid == 0 ? "not installed" : wait_for_answer(self, plan);
    if (wrong != NULL) server_stop(self);
    return wrong;
}

static const char *start_once(server *self, const server_plan *plan)
{
    *self = (server){.port = 0};
    if (!make_folder(self)) return "no folder can be made for it";
    const char *wrong = NULL;
    if (plan->is_unix) choose_path(self);
    else if (!choose_port(self)) wrong = "no port is free";
    if (wrong == NULL) wrong = start_at_address(self, plan);
    if (wrong != NULL) (void)rmdir(self->folder); /* where no keeper has done that */
    else self->empty_bytes = resident_bytes(self->pid);
    return wrong;
}

bool server_start(server *self, const server_plan *plan)
{
    const char *wrong = ended_at_once;
    for (int i = 0; i < ATTEMPTS && wrong == ended_at_once; i++) wrong = start_once(self, plan);
    if (wrong != NULL) fprintf(stderr, "%s: %s\n", plan->arguments[0], wrong);
    return wrong == NULL;
}

void server_stop(server *self)
{
    if (self->keeper == 0) return;
    close(self->keeper_socket);
    while (waitpid(self->keeper, NULL, 0) < 0 && errno == EINTR) continue;
    self->keeper = 0;
}

void server_version(const char *command, char *version, size_t version_bytes)
{
    static const char digits[] = "0123456789.";
    char line[256] = "";
    FILE *output = popen(command, "re");
    if (output != NULL && fgets(line, sizeof line, output) == NULL) line[0] = 0;
    if (output != NULL) pclose(output);
    const char *number = line + strcspn(line, digits);
    int length = (int)strspn(number, digits);
    if (length > 0) snprintf(version, version_bytes, "%.*s", length, number);
    else snprintf(version, version_bytes, "unknown");
}
