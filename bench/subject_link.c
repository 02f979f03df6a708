/* Programs of subjects, and what is said with them; see subject_link.h. */

#define _GNU_SOURCE /* pipe2 */
#include "subject_link.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MS = 300000, MAX_ANSWER = 1024 };

/* ---- Words ---------------------------------------------------------------------------------- */

/* The text behind " name=" in a line, "" where it has none. */
static const char *value_of(const char *line, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = line; (at = strstr(at, name)) != NULL; at += bytes)
        if (at > line && at[-1] == ' ' && at[bytes] == '=') return at + bytes + 1;
    return "";
}

static double number_of(const char *line, const char *name)
{
    return strtod(value_of(line, name), NULL);
}

static void latencies_of(const char *line, const char *name, double *ns)
{
    const char *at = value_of(line, name);
    for (int i = 0; i < 4; i++) {
        char *end;
        ns[i] = strtod(at, &end);
        at = *end == ',' ? end + 1 : end;
    }
}

/* ---- Lines ---------------------------------------------------------------------------------- */

/* Reads a line, for as long as a plan may take. Returns false where none came. */
static bool read_line(subject_link *from, char *line, size_t line_bytes)
{
    struct pollfd waits = {.fd = fileno(from->answers), .events = POLLIN};
    if (poll(&waits, 1, ANSWER_MS) != 1) return false;
    return fgets(line, (int)line_bytes, from->answers) != NULL;
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void exec_subject(const char *path, int input, int output)
{
    (void)dup2(input, STDIN_FILENO);
    (void)dup2(output, STDOUT_FILENO);
    execl(path, path, (char *)NULL);
    _exit(127);
}

static bool start_process(subject_link *into, const char *path)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0) return false;
    if (pipe2(from, O_CLOEXEC) != 0) return false;
    into->process = fork();
    if (into->process == 0) exec_subject(path, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    into->plans = fdopen(to[1], "w");
    into->answers = fdopen(from[0], "r");
    return into->process > 0 && into->plans != NULL && into->answers != NULL;
}

/* Why there is no such program, as those who tried to build it have written down. */
static void read_why(const char *path, char *why, size_t why_bytes)
{
    char name[600];
    snprintf(name, sizeof name, "%s.missing", path);
    FILE *file = fopen(name, "r");
    if (file == NULL || fgets(why, (int)why_bytes, file) == NULL)
        snprintf(why, why_bytes, "it was not built");
    why[strcspn(why, "\n")] = 0;
    if (file != NULL) fclose(file);
}

bool subject_start(subject_link *into, const char *folder, const char *name, char *why,
                   size_t why_bytes)
{
    char path[512], line[MAX_ANSWER];
    *into = (subject_link){.name = name};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (access(path, X_OK) != 0) {
        read_why(path, why, why_bytes);
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (!start_process(into, path) || !read_line(into, line, sizeof line) ||
        strncmp(line, "ready ", 6) != 0) {
        snprintf(why, why_bytes, "it did not start");
        return false;
    }
    snprintf(into->version, sizeof into->version, "%s", value_of(line, "version"));
    into->version[strcspn(into->version, " \n")] = 0;
    into->evicts = number_of(line, "evicts") > 0;
    into->expires = number_of(line, "expires") > 0;
    return true;
}

void subject_stop(subject_link *from)
{
    if (from->plans != NULL) fclose(from->plans);
    if (from->answers != NULL) fclose(from->answers);
    if (from->process > 0) (void)waitpid(from->process, NULL, 0);
}

/* ---- Plans ---------------------------------------------------------------------------------- */

static void parse_answer(const char *line, answer *into)
{
    into->wall_ns = number_of(line, "wall_ns");
    into->processor_ns = number_of(line, "processor_ns");
    into->hits = number_of(line, "hits");
    into->misses = number_of(line, "misses");
    into->wrong = number_of(line, "wrong");
    into->size = number_of(line, "size");
    into->memory_bytes = number_of(line, "memory_bytes");
    into->switches = number_of(line, "switches");
    latencies_of(line, "get", into->get_ns);
    latencies_of(line, "set", into->set_ns);
}

static bool complain(const subject_link *on, const plan *what, const char *line)
{
    fprintf(stderr, "speed: %s, %s: %.*s\n", on->name, what->name, (int)strcspn(line, "\n"), line);
    return false;
}

bool subject_run(subject_link *on, const plan *what, uint32_t thread_count, const char *folder,
                 uint32_t warm, uint32_t calls, answer *result)
{
    char line[MAX_ANSWER] = "";
    *result = (answer){.calls = calls};
    plan_print(on->plans, what, thread_count, folder, warm, calls);
    if (fflush(on->plans) != 0 || !read_line(on, line, sizeof line))
        return complain(on, what, "no answer");
    if (strncmp(line, "ok ", 3) != 0) return complain(on, what, line);
    parse_answer(line, result);
    return result->wrong == 0 || complain(on, what, line);
}
