/* Device memory for partial sums, one piece for each pair of thread and stream that executes a plan. */
#ifndef AT_BACKEND_CUDA_WORKSPACE_H
#define AT_BACKEND_CUDA_WORKSPACE_H

#include "cuda_device.h"

#include <stdatomic.h>

enum { AT_CUDA_WORKSPACES_MAX = 16 };

/* Launches of one thread on one stream follow each other, so they may share a piece. Two threads on one stream may not: their launches
   interleave. A pair keeps its piece until the plan goes. */
typedef struct at_cuda_workspaces {
    const at_cuda_device *device;
    size_t bytes; /* 0: none are needed */
    _Atomic uintptr_t thread[AT_CUDA_WORKSPACES_MAX]; /* 0: free */
    _Atomic uint64_t stream[AT_CUDA_WORKSPACES_MAX];
    void *_Atomic memory[AT_CUDA_WORKSPACES_MAX];
} at_cuda_workspaces;

/* Allocates all pieces while they are small (64 MiB together), else the first. */
actune_status at_cuda_workspaces_init(at_cuda_workspaces *workspaces, const at_cuda_device *device, size_t bytes);
void at_cuda_workspaces_clear(at_cuda_workspaces *workspaces);
/* The piece of the calling thread on `stream`. Without `allocate` (execute): INVALID_ARGUMENT when the stream is being captured (a graph may
   be launched anywhere), when no piece is left, or when this one has no memory yet. Takes no lock. */
actune_status at_cuda_workspace_get(at_cuda_workspaces *workspaces, at_cu_stream stream, bool allocate, void **memory);

#endif
