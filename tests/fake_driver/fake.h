/* Inside the fake libcuda.so.1. Handles are addresses of objects that are never freed, so that a use after the end is seen. Work on streams
   waits in queues until somebody waits for it: who reads a result too early finds poison. One lock around every call. */
#ifndef AT_TESTS_FAKE_H
#define AT_TESTS_FAKE_H

#include "runtime/backend/cuda_driver.h"

#include "fake_calls.h"
#include "tests/cuda_emulation/emulator.h"

#include <stdbool.h>
#include <stdint.h>

/* Prototypes of all that is exported: they must be those that the back end calls. */
#define AT_CUDA_SYMBOL(name, arguments) at_cu_result name arguments;
#define AT_CUDA_OPTIONAL(name, arguments) at_cu_result name arguments;
#include "runtime/backend/cuda_symbols.def"
#undef AT_CUDA_SYMBOL
#undef AT_CUDA_OPTIONAL

enum {
    FAKE_INVALID = 1, FAKE_NO_MEMORY = 2, FAKE_NOT_INITIALISED = 3, FAKE_NO_DEVICE = 101, FAKE_IMAGE = 200, FAKE_CONTEXT = 201,
    FAKE_HANDLE = 400, FAKE_NOT_FOUND = 500, FAKE_NOT_READY = 600, FAKE_ADDRESS = 700, FAKE_RESOURCES = 701, FAKE_LAUNCH = 719,
    FAKE_CAPTURING = 900, FAKE_CAPTURE_BROKEN = 901, FAKE_CAPTURE_IMPLICIT = 906
};

enum { FAKE_DEVICES_MAX = 4 };

typedef enum fake_kind { FAKE_MODULE, FAKE_FUNCTION, FAKE_STREAM, FAKE_EVENT, FAKE_GRAPH, FAKE_EXEC, FAKE_MEMORY, FAKE_KINDS } fake_kind;

typedef struct fake_object {
    struct fake_object *next;
    fake_kind kind;
    int device;
} fake_object;

/* Of the current device. NULL: no memory. */
void *fake_new(fake_kind kind, size_t size);
/* Whether `handle` is a living object of this kind and of the current device; if not, that is written down as a mistake of the caller. */
bool fake_is(const void *handle, fake_kind kind, const char *call);
/* It is no more; its memory stays. */
void fake_end_of(void *object);
fake_object *fake_first(void); /* of the living, the newest */
fake_object *fake_first_dead(void);
void fake_mistake(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Begin and end of each call. */
enum {
    FAKE_NEEDS_CONTEXT = 1,
    FAKE_RELEASES = 2,         /* does its work though it is told to fail: drivers return errors of earlier work here */
    FAKE_NOT_IN_CAPTURE = 4,   /* while this thread captures a stream */
    FAKE_ANY_TIME = 8,         /* also before cuInit */
    FAKE_SURVIVES = 16,        /* also after a kernel failed: it touches no device */
};
at_cu_result fake_begin(const char *name, int flags);
at_cu_result fake_end(at_cu_result code);
/* A kernel failed: every later call on a device says so. */
void fake_break(at_cu_result code);

/* --- devices (fake_device.c) --- */

/* Of the work that runs, else of the thread's current context, else 0. */
int fake_device(void);
void fake_device_runs(int device); /* -1: no more */
bool fake_has_context(void);
/* Primary contexts that were not given back, and those on the thread's stack. */
void fake_contexts_left(int *retained, int *stacked);

/* --- memory --- */

typedef struct fake_memory {
    fake_object object;
    emu_buffer buffer;
    size_t bytes;
} fake_memory;

/* All of `bytes` from `at` lie in one living allocation of the current device. */
bool fake_is_memory(at_cu_pointer at, size_t bytes, const char *call);
/* Device memory can be touched between the two only. */
void fake_open_memory(void);
void fake_close_memory(void);

/* --- code --- */

struct at_cu_module_object {
    fake_object object;
    void *handle;
    int file;
    char *kernels; /* a line each: name, parameters, threads, registers, bytes of a struct by value */
    char *shared_begin, *shared_end;
};

struct at_cu_function_object {
    fake_object object;
    at_cu_module module;
    void *entry;
    char name[128];
    char parameters[EMU_ARGUMENTS_MAX + 1]; /* p pointer, q long long, i int, v a struct by value */
    int threads_max, registers, value_bytes;
    bool loaded; /* drivers load lazily: at cuFuncLoad or the first launch, which then cannot be inside a capture */
};

/* --- streams --- */

/* Runs all that was put on any stream. */
at_cu_result fake_run_all(void);
/* Whether the calling thread captures a stream (or any thread, in global mode); `spoil`: what it draws is no good any more. */
bool fake_capturing(bool spoil);

#endif
