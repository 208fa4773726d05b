/* CUDA text -> cubin (NVRTC or the cache) -> module -> functions. */
#ifndef AT_BACKEND_CUDA_MODULE_H
#define AT_BACKEND_CUDA_MODULE_H

#include "cpu.h" /* the cache */
#include "cuda_device.h"

typedef struct at_cuda_kernel {
    const at_cuda_device *device; /* must outlive the kernel */
    at_cu_module module;
    at_cu_function main, finish; /* finish NULL: no sums */
    int registers, shared_bytes, local_bytes, max_threads; /* of main; local memory is spills */
    at_hash code_hash;  /* of the machine code and all that belongs to it, the functions' names left out */
    size_t code_bytes;
    double compile_ms;  /* 0: came from the cache */
    bool ptx;           /* NVRTC does not know the architecture: the driver compiled PTX for an older one */
    char origin[64];    /* "NVRTC 13.0, sm_90" */
} at_cuda_kernel;

typedef struct at_cuda_request {
    const char *source, *symbol;
    bool finish;     /* there is a <symbol>_finish */
    bool no_compile; /* cache only, NOT_FOUND */
} at_cuda_request;

/* From the cache (key: source, architecture; NVRTC's version and file must be those that made it, unless there is no NVRTC), else compiled
   and put there. The functions are loaded: the first launch may be inside a graph's capture. `cache` may be NULL.
   Errors: DEVICE (driver, or no NVRTC), COMPILE (NVRTC's log), NOT_FOUND. Any thread. */
actune_status at_cuda_kernel_build(const at_cuda_device *device, at_cache *cache, const at_cuda_request *request, at_cuda_kernel **kernel);
/* The functions alone, of a cubin or PTX in memory (its length is in it); the context is current. hash, origin and the like stay empty. */
actune_status at_cuda_kernel_load(const at_cuda_device *device, const void *code, const char *symbol, bool finish, at_cuda_kernel **kernel);
void at_cuda_kernel_destroy(at_cuda_kernel *kernel); /* NULL is a no-op */

#endif
