#include "fake_calls.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALLS_MAX = 128 };

static struct {
    const char *name;
    int count;
} calls[CALLS_MAX];
static struct {
    char name[64];
    int left, code; /* left: calls until it fails */
} failing;
static int trace = -1;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

void fake_fail(const char *name, int nth, int code)
{
    pthread_mutex_lock(&guard);
    snprintf(failing.name, sizeof failing.name, "%s", name);
    failing.left = nth;
    failing.code = code;
    pthread_mutex_unlock(&guard);
}

int fake_failed(void)
{
    return failing.left <= 0;
}

/* Before main: a program may change its environment later. */
__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("ACTUNE_FAKE_FAIL"), *file = getenv("ACTUNE_FAKE_TRACE");
    if (text && sscanf(text, "%63[^:]:%d:%d", failing.name, &failing.left, &failing.code) != 3)
        fprintf(stderr, "fake driver: ACTUNE_FAKE_FAIL is NAME:NTH:CODE, not '%s'\n", text);
    if (file)
        trace = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void write_down(const char *name, int code)
{
    char line[96];
    int length = snprintf(line, sizeof line, code ? "%s %d\n" : "%s\n", name, code);
    if (trace >= 0 && write(trace, line, (size_t)length) != length)
        trace = -1;
}

int fake_count(const char *name)
{
    int i = 0, code = 0;
    pthread_mutex_lock(&guard);
    while (i < CALLS_MAX - 1 && calls[i].name && strcmp(calls[i].name, name))
        i++;
    calls[i].name = name;
    calls[i].count++;
    if (failing.left > 0 && !strcmp(name, failing.name) && --failing.left == 0)
        code = failing.code;
    write_down(name, code);
    pthread_mutex_unlock(&guard);
    return code;
}

const char *fake_call_name(int index)
{
    return index < CALLS_MAX ? calls[index].name : NULL;
}

int fake_call_count(int index)
{
    return calls[index].count;
}
