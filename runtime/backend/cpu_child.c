/* One child process: no shell, bounded time, bounded output, and nothing of the host's environment that changes what compilers do. */
#include "cpu_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* An allow-list: CPATH, C_INCLUDE_PATH, LIBRARY_PATH, GCC_EXEC_PREFIX, CCC_OVERRIDE_OPTIONS, DEPENDENCIES_OUTPUT, LD_PRELOAD
   and whatever the next compiler brings stay out. LD_LIBRARY_PATH stays in, compilers outside of /usr may need it. */
static const char *const kept_variables[] = {"PATH", "HOME", "LD_LIBRARY_PATH"};
enum { KEPT = sizeof kept_variables / sizeof *kept_variables };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_us(int us)
{
    struct timespec t = {0, us * 1000L};
    nanosleep(&t, NULL);
}

typedef struct environment {
    char *variable[KEPT + 3];
    int count;
} environment;

static bool environment_add(environment *env, const char *name, const char *value)
{
    if (!value)
        return true;
    at_strbuf text = {0};
    at_strbuf_printf(&text, "%s=%s", name, value);
    char *variable = at_strbuf_take(&text);
    if (!variable)
        return false;
    env->variable[env->count++] = variable;
    env->variable[env->count] = NULL;
    return true;
}

static bool environment_init(environment *env, const char *temp_folder)
{
    *env = (environment){0};
    bool ok = environment_add(env, "LC_ALL", "C") && environment_add(env, "TMPDIR", temp_folder);
    for (int i = 0; i < KEPT && ok; i++)
        ok = environment_add(env, kept_variables[i], getenv(kept_variables[i]));
    return ok;
}

static void environment_clear(environment *env)
{
    for (int i = 0; i < env->count; i++)
        free(env->variable[i]);
}

/* Own process group, no inherited signal settings or descriptors. */
static int spawn_with(const char *const *argv, char *const *env, int output, const char *folder, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    if ((error = posix_spawnattr_init(&attributes))) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, output, 2);
    if (!error && folder)
        error = posix_spawn_file_actions_addchdir_np(&actions, folder);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
    if (!error)
        error = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void keep_output(at_child_result *result, const char *text, size_t length, size_t limit)
{
    if (result->output.length < limit) {
        size_t room = limit - result->output.length;
        at_strbuf_append_n(&result->output, text, length < room ? length : room);
    }
}

/* Reads what is there, but not for ever from a child that writes without end; false at the end of the output. */
static bool drain(int pipe_end, at_child_result *result, size_t limit)
{
    char text[4096];
    for (int reads = 0; reads < 256; reads++) {
        ssize_t got = read(pipe_end, text, sizeof text);
        if (got > 0)
            keep_output(result, text, (size_t)got, limit);
        else if (got < 0 && errno == EINTR)
            continue;
        else
            return got < 0 && errno == EAGAIN;
    }
    return true;
}

/* True when the child has ended (and is reaped). */
static bool reap(pid_t pid, at_child_result *result, int flags)
{
    int status;
    pid_t got;
    while ((got = waitpid(pid, &status, flags)) < 0 && errno == EINTR)
        continue;
    if (got == 0)
        return false;
    if (got < 0)
        result->unknown = true;
    else if (WIFSIGNALED(status))
        result->signal = WTERMSIG(status);
    else
        result->exit_code = WEXITSTATUS(status);
    return true;
}

/* Normally the end of the output wakes us when the child ends. A child that closed its output, or left a process behind that
   keeps it open, is noticed by asking now and then. */
static void watch(pid_t pid, int pipe_end, const at_child_options *options, double deadline, at_child_result *result)
{
    bool open_output = true, ended = false;
    for (int pause_us = 100; !ended; pause_us = pause_us < 10000 ? pause_us * 2 : 20000) {
        if (open_output) {
            struct pollfd wait = {.fd = pipe_end, .events = POLLIN};
            poll(&wait, 1, 20);
            open_output = drain(pipe_end, result, options->output_max);
        } else {
            sleep_us(pause_us);
        }
        ended = reap(pid, result, WNOHANG);
        if (!ended && now_s() > deadline) {
            result->timed_out = true;
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            ended = reap(pid, result, 0);
        }
    }
    if (open_output)
        drain(pipe_end, result, options->output_max);
}

actune_status at_child_run(const char *const *argv, const at_child_options *options, at_child_result *result)
{
    *result = (at_child_result){.exit_code = -1};
    environment env;
    int ends[2] = {-1, -1};
    pid_t pid = 0;
    double start = now_s();
    if (!environment_init(&env, options->temp_folder)) {
        environment_clear(&env);
        return at_fail(ACTUNE_NO_MEMORY, "out of memory before starting %s", argv[0]);
    }
    int error = pipe2(ends, O_CLOEXEC) ? errno : spawn_with(argv, env.variable, ends[1], options->folder, &pid);
    environment_clear(&env);
    if (ends[1] >= 0)
        close(ends[1]);
    if (!error) {
        struct rlimit no_core = {0, 0};
        prlimit(pid, RLIMIT_CORE, &no_core, NULL);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        watch(pid, ends[0], options, start + options->limit_s, result);
    }
    if (ends[0] >= 0)
        close(ends[0]);
    result->elapsed_s = now_s() - start;
    return error ? at_fail(ACTUNE_IO, "%s could not be started: %s", argv[0], strerror(error)) : ACTUNE_OK;
}

bool at_child_succeeded(const at_child_result *result)
{
    return !result->timed_out && (result->exit_code == 0 || result->unknown);
}

void at_child_describe(const at_child_result *result, char *text, size_t size)
{
    if (result->timed_out)
        snprintf(text, size, "stopped after %.1f s", result->elapsed_s);
    else if (result->signal)
        snprintf(text, size, "killed by signal %d (%s)", result->signal, strsignal(result->signal));
    else if (result->unknown)
        snprintf(text, size, "ended with a status that the host program took");
    else
        snprintf(text, size, "exit status %d", result->exit_code);
}
