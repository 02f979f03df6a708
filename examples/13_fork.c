/* May a process fork while threads use the cache? Yes, with three calls around the fork, here from
   the handlers of pthread_atfork. The child goes on with a copy of its own; parent and child do not
   see each other's writes.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. examples/13_fork.c -o forked && ./forked

   Prints:
       child: alice is told "allow"
       child: alice is told "deny" from now on; its cache is sound: yes
       parent: the child ended well
       parent: alice is told "allow"
*/

#define SARK_CACHE_IMPLEMENTATION
#include "sark_cache.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static sark_cache *cache; /* the handlers have no argument; NULL is fine before and after */
static atomic_bool stop;

static void before_fork(void) { sark_cache_fork_prepare(cache); }
static void after_fork_in_parent(void) { sark_cache_fork_parent(cache); }
static void after_fork_in_child(void) { sark_cache_fork_child(cache); }

/* Keeps the cache busy while the process forks. */
static void *write_on(void *unused)
{
    for (uint32_t i = 0; !atomic_load(&stop); i = (i + 1) % 500)
        sark_cache_set(cache, &i, sizeof i, "busy", 4, 0);
    return unused;
}

static void show(const char *who, const char *end)
{
    char answer[16];
    size_t bytes = 0;
    if (sark_cache_get(cache, "alice", 5, answer, sizeof answer, &bytes) == SARK_CACHE_OK)
        printf("%s: alice is told \"%.*s\"%s", who, (int)bytes, answer, end);
}

/* All that the child does. The writer is not there; nor would be a cleanup thread. */
static int be_the_child(void)
{
    show("child", "\n");
    if (sark_cache_set(cache, "alice", 5, "deny", 4, 0) != SARK_CACHE_OK) return 1;
    show("child", " from now on");
    printf("; its cache is sound: %s\n", sark_cache_check(cache, NULL, 0) ? "yes" : "no");
    fflush(stdout);
    return sark_cache_destroy(cache) == SARK_CACHE_OK ? 0 : 1; /* its copy */
}

int main(void)
{
    sark_cache_config config = {.max_entries = 1000};
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) return 1;
    if (sark_cache_create(&cache, &config) != SARK_CACHE_OK) return 1;
    sark_cache_set(cache, "alice", 5, "allow", 5, 0);
    pthread_t writer;
    if (pthread_create(&writer, NULL, write_on, NULL) != 0) return 1;

    pid_t child = fork();
    if (child == 0) _exit(be_the_child());
    int status = 1;
    if (child > 0 && waitpid(child, &status, 0) == child)
        printf("parent: the child ended %s\n", status == 0 ? "well" : "badly");
    show("parent", "\n");

    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    bool ended = sark_cache_destroy(cache) == SARK_CACHE_OK;
    cache = NULL; /* for forks to come */
    return ended && status == 0 ? 0 : 1;
}
