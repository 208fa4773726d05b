/* The CUDA driver, loaded with dlopen: own prototypes (cuda_symbols.def), no CUDA headers, no link dependency. */
#ifndef AT_BACKEND_CUDA_DRIVER_H
#define AT_BACKEND_CUDA_DRIVER_H

#include "../base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef int at_cu_result; /* 0 is success */
typedef int at_cu_device;
typedef unsigned long long at_cu_pointer; /* device memory */
typedef struct at_cu_context_object *at_cu_context;
typedef struct at_cu_module_object *at_cu_module;
typedef struct at_cu_function_object *at_cu_function;
typedef struct at_cu_stream_object *at_cu_stream; /* NULL: the legacy default stream */
typedef struct at_cu_event_object *at_cu_event;
typedef struct at_cu_graph_object *at_cu_graph;
typedef struct at_cu_graph_exec_object *at_cu_graph_exec;

/* cuda.h's numbers; they are ABI. */
enum {
    AT_CU_ATTRIBUTE_SMS = 16,
    AT_CU_ATTRIBUTE_MEMORY_CLOCK_KHZ = 36,
    AT_CU_ATTRIBUTE_BUS_BITS = 37,
    AT_CU_ATTRIBUTE_L2_BYTES = 38,
    AT_CU_ATTRIBUTE_MAJOR = 75,
    AT_CU_ATTRIBUTE_MINOR = 76,
    AT_CU_FUNCTION_MAX_THREADS = 0,
    AT_CU_FUNCTION_SHARED_BYTES = 1,
    AT_CU_FUNCTION_LOCAL_BYTES = 3,
    AT_CU_FUNCTION_REGISTERS = 4,
    AT_CU_STREAM_NON_BLOCKING = 1,
    AT_CU_CAPTURE_THREAD_LOCAL = 1,
    AT_CU_LAUNCH_OVERLAPS = 6, /* programmatic stream serialization: may start before the kernel in front of it has ended */
};

/* CUlaunchAttribute and CUlaunchConfig. */
typedef struct at_cu_launch_attribute {
    int id;
    char pad[4];
    union {
        char room[64];
        int flag;
    } value;
} at_cu_launch_attribute;
typedef struct at_cu_launch_config {
    unsigned grid[3], block[3], shared_bytes;
    at_cu_stream stream;
    at_cu_launch_attribute *attributes;
    unsigned attribute_count;
} at_cu_launch_config;

typedef struct at_cuda_api {
#define AT_CUDA_SYMBOL(name, arguments) at_cu_result(*name) arguments;
#define AT_CUDA_OPTIONAL(name, arguments) at_cu_result(*name) arguments; /* NULL where the driver is older */
#include "cuda_symbols.def"
#undef AT_CUDA_SYMBOL
#undef AT_CUDA_OPTIONAL
} at_cuda_api;

/* Loads libcuda.so.1 (or what ACTUNE_LIBCUDA names) and initialises it, once a process; the answer is kept. Errors: DEVICE, in one line:
   no driver (the toolkit's stub library counts as none), a driver that is too old, or cuInit's reason. Any thread. */
actune_status at_cuda_driver(const at_cuda_api **api);
/* After at_cuda_driver failed: true where this machine has no NVIDIA driver (the stub is none) or the driver no device, false where one is
   there and broken or too old. Any thread. */
bool at_cuda_missing(void);

/* OK for 0; else DEVICE (NO_MEMORY for out of memory): which call, the code and its name, what to do. */
actune_status at_cuda_check(const char *call, at_cu_result code);
/* AT_CUDA(api, cuMemFree_v2, (memory)) */
#define AT_CUDA(api, function, arguments) at_cuda_check(#function, (api)->function arguments)

#endif
