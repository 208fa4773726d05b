/* What all calls of the driver share: the lock, errors, objects and the report of what was done wrong or left behind. */
#include "fake.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MISTAKES_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fake_object *objects, *dead;
static char mistakes[MISTAKES_BYTES];
static bool initialised, reported;
static at_cu_result broken;
static _Thread_local at_cu_result late; /* of a call that does its work and fails */

static const struct {
    at_cu_result code;
    const char *name;
} names[] = {{0, "CUDA_SUCCESS"}, {1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {3, "CUDA_ERROR_NOT_INITIALIZED"},
             {34, "CUDA_ERROR_STUB_LIBRARY"}, {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"}, {100, "CUDA_ERROR_NO_DEVICE"},
             {101, "CUDA_ERROR_INVALID_DEVICE"}, {200, "CUDA_ERROR_INVALID_IMAGE"}, {201, "CUDA_ERROR_INVALID_CONTEXT"},
             {400, "CUDA_ERROR_INVALID_HANDLE"}, {500, "CUDA_ERROR_NOT_FOUND"}, {600, "CUDA_ERROR_NOT_READY"},
             {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"}, {719, "CUDA_ERROR_LAUNCH_FAILED"},
             {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}, {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
             {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"}, {999, "CUDA_ERROR_UNKNOWN"}};

/* A call that is added to the table and not here fails the link. */
#define AT_CUDA_SYMBOL(name, arguments) (void *)&name,
#define AT_CUDA_OPTIONAL(name, arguments) (void *)&name,
extern void *const fake_all_calls[];
void *const fake_all_calls[] = {
#include "runtime/backend/cuda_symbols.def"
};
#undef AT_CUDA_SYMBOL
#undef AT_CUDA_OPTIONAL

/* After these a context is lost. */
static bool is_sticky(at_cu_result code)
{
    return code == FAKE_ADDRESS || code == FAKE_LAUNCH;
}

at_cu_result fake_begin(const char *name, int flags)
{
    pthread_mutex_lock(&lock);
    at_cu_result told = fake_count(name);
    late = 0;
    if (is_sticky(told))
        broken = told;
    if (told && !(flags & FAKE_RELEASES))
        return told;
    late = told;
    if (flags & FAKE_ANY_TIME)
        return 0;
    if (!initialised)
        return FAKE_NOT_INITIALISED;
    if (broken && !(flags & (FAKE_RELEASES | FAKE_SURVIVES)))
        return broken;
    if (flags & FAKE_NEEDS_CONTEXT && !fake_has_context()) {
        fake_mistake("%s without a context", name);
        return FAKE_CONTEXT;
    }
    if (flags & FAKE_NOT_IN_CAPTURE && fake_capturing(true)) {
        fake_mistake("%s while a stream is captured", name);
        return FAKE_CAPTURING;
    }
    return 0;
}

at_cu_result fake_end(at_cu_result code)
{
    at_cu_result result = code ? code : late;
    pthread_mutex_unlock(&lock);
    return result;
}

void fake_break(at_cu_result code)
{
    broken = code;
}

void fake_mistake(const char *format, ...)
{
    size_t length = strlen(mistakes);
    va_list list;
    va_start(list, format);
    vsnprintf(mistakes + length, sizeof mistakes - length, format, list);
    va_end(list);
    length = strlen(mistakes);
    snprintf(mistakes + length, sizeof mistakes - length, "\n");
}

void *fake_new(fake_kind kind, size_t size)
{
    fake_object *made = calloc(1, size);
    if (made) {
        *made = (fake_object){objects, kind, fake_device()};
        objects = made;
    }
    return made;
}

void fake_end_of(void *object)
{
    fake_object **link = &objects, *o = object;
    while (*link != o)
        link = &(*link)->next;
    *link = o->next;
    o->next = dead;
    dead = o;
}

fake_object *fake_first(void)
{
    return objects;
}

fake_object *fake_first_dead(void)
{
    return dead;
}

static const fake_object *find(const fake_object *list, const void *handle)
{
    while (list && list != handle)
        list = list->next;
    return list;
}

static const char *const kinds[FAKE_KINDS] = {"module", "function", "stream", "event", "graph", "executable graph", "memory"};

bool fake_is(const void *handle, fake_kind kind, const char *call)
{
    const fake_object *o = find(objects, handle);
    if (o && o->kind == kind && (o->device == fake_device() || !fake_has_context()))
        return true;
    fake_mistake("%s: %s", call, !o && find(dead, handle) ? "an object that was destroyed"
                                 : !o                     ? "a handle that this driver never gave out"
                                 : o->kind != kind        ? "a handle of another kind"
                                                          : "an object of another device");
    return false;
}

/* Mistakes of the caller and what was not given back, a line each; "" when all is well. Forgets the mistakes, not what is left. For tests,
   by dlsym. */
const char *fake_report(void);
const char *fake_report(void)
{
    static char text[2 * MISTAKES_BYTES];
    int left[FAKE_KINDS] = {0}, retained, stacked;
    pthread_mutex_lock(&lock);
    for (const fake_object *o = objects; o; o = o->next)
        left[o->kind]++;
    for (int k = 0; k < FAKE_KINDS; k++)
        if (left[k] && k != FAKE_FUNCTION)
            fake_mistake("left behind: %d x %s", left[k], kinds[k]);
    fake_contexts_left(&retained, &stacked);
    if (retained)
        fake_mistake("left behind: %d x primary context", retained);
    if (stacked)
        fake_mistake("left behind: %d contexts on the thread's stack", stacked);
    reported = true;
    snprintf(text, sizeof text, "%s", mistakes);
    mistakes[0] = '\0';
    pthread_mutex_unlock(&lock);
    return text;
}

/* What is alive now, all kinds together but functions: a program that failed must come back to what it was. */
int fake_living(void);
int fake_living(void)
{
    int count, stacked;
    pthread_mutex_lock(&lock);
    fake_contexts_left(&count, &stacked);
    for (const fake_object *o = objects; o; o = o->next)
        count += o->kind != FAKE_FUNCTION;
    pthread_mutex_unlock(&lock);
    return count + stacked;
}

/* A process that died of a kernel's failure starts anew. For tests. */
void fake_mend(void);
void fake_mend(void)
{
    broken = 0;
}

__attribute__((destructor)) static void report_at_exit(void)
{
    const char *name = getenv("ACTUNE_FAKE_REPORT");
    if (reported || !initialised)
        return;
    FILE *file = name ? fopen(name, "a") : stderr;
    const char *text = fake_report();
    if (file && *text)
        fprintf(file, "fake driver:\n%s", text);
    if (file && name)
        fclose(file);
}

/* Kernels find the emulator's functions in this library, which was loaded for its loader alone. */
at_cu_result cuInit(unsigned flags)
{
    Dl_info self;
    at_cu_result code = fake_begin("cuInit", FAKE_ANY_TIME);
    if (!code && (!dladdr(&objects, &self) || !dlopen(self.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD)))
        code = 999;
    initialised = !code;
    return fake_end(flags ? FAKE_INVALID : code);
}

at_cu_result cuDriverGetVersion(int *version)
{
    at_cu_result code = fake_begin("cuDriverGetVersion", FAKE_ANY_TIME);
    if (!code)
        *version = 12040;
    return fake_end(code);
}

at_cu_result cuGetErrorName(at_cu_result code, const char **name)
{
    at_cu_result result = fake_begin("cuGetErrorName", FAKE_ANY_TIME);
    *name = NULL;
    for (size_t i = 0; !result && i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            *name = names[i].name;
    return fake_end(result ? result : *name ? 0 : FAKE_INVALID);
}

at_cu_result cuGetErrorString(at_cu_result code, const char **text)
{
    return cuGetErrorName(code, text);
}
