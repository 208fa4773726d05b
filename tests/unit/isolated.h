/* Tests in a folder of their own and in child processes: what is asked once a process (compilers) or changes it (user, mounts,
   variables) stays in the child. */
#ifndef AT_TESTS_ISOLATED_H
#define AT_TESTS_ISOLATED_H

#include "runtime/base/status.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64]; /* a new folder each test */

/* Criterion's assertions end the process that it started; children have this one. */
#define CHECK(condition, ...)                                                        \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);          \
            fprintf(stderr, " " __VA_ARGS__);                                        \
            fprintf(stderr, " [last error: %s]\n", actune_last_error());             \
            _exit(1);                                                                \
        }                                                                            \
    } while (0)

static inline void make_root(void)
{
    strcpy(root, "/tmp/actune-test-XXXXXX");
    cr_assert(mkdtemp(root));
}

static inline void remove_root(void)
{
    char command[256];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", root, root);
    cr_assert_eq(system(command), 0);
}

/* A path below the test's folder; good for the next 63 calls. */
static inline const char *in_root(const char *name)
{
    static char path[64][256];
    static int next;
    next = (next + 1) % 64;
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

static inline void in_child(const char *name, void (*body)(void))
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        signal(SIGCHLD, SIG_DFL);
        body();
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s failed (status %#x)", name, status);
}

static inline bool error_has(const char *text)
{
    return strstr(actune_last_error(), text) != NULL;
}

/* As root, rights do not bind: goes on as somebody else, who gets the test's folder. */
static inline void become_somebody(void)
{
    char command[256];
    if (geteuid())
        return;
    snprintf(command, sizeof command, "chown -R 12345 %s", root);
    CHECK(system(command) == 0 && setgid(12345) == 0 && setuid(12345) == 0);
}

#endif
