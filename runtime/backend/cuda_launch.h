/* Launching a loaded kernel on a stream: at most two launches, nothing else. */
#ifndef AT_BACKEND_CUDA_LAUNCH_H
#define AT_BACKEND_CUDA_LAUNCH_H

#include "../base/signature.h"
#include "cuda_module.h"

enum { AT_CUDA_EXTENTS_MAX = 5 };

/* What follows the pointers among a kernel's arguments. */
typedef struct at_cuda_extents {
    long long value[AT_CUDA_EXTENTS_MAX];
    bool is_int[AT_CUDA_EXTENTS_MAX]; /* passed as int, not as long long */
    int count;
} at_cuda_extents;

typedef struct at_cuda_launch {
    const at_cuda_kernel *kernel;
    const at_signature *signature;
    bool overlaps;                  /* the kernel waits by itself for the one in front of it */
    unsigned block, grid, finish_grid; /* grid 0: nothing to do but zeros into sums */
    at_cuda_extents extents, finish_extents;
    size_t sum_bytes[AT_PORTS_MAX]; /* of sum ports, for the zeros */
    size_t workspace_bytes;         /* partial sums, device memory; 0: none */
} at_cuda_launch;

/* Puts the kernel on `stream` and returns: asynchronous; no lock, no allocation, no synchronisation, allowed while the stream is captured.
   `ports`: device pointers in port order; `partial`: workspace_bytes of device memory that nobody else uses until the kernel is done.
   DEVICE. Any thread. */
actune_status at_cuda_launch_run(const at_cuda_launch *launch, void *const *ports, void *partial, at_cu_stream stream);

#endif
