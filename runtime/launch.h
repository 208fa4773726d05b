/* Running a kernel function on buffers: cutting into slices, threads, sums. Shared by execute, the tuner and apply. */
#ifndef AT_RUNTIME_LAUNCH_H
#define AT_RUNTIME_LAUNCH_H

#include "base/chunk.h"
#include "pool.h"

/* A kernel made callable for one shape, whoever provides the function (compiled or interpreted). */
typedef struct at_launch {
    actune_kernel_fn function; /* compiled; NULL: interpreted */
    void (*interpret)(const void *kernel, at_layout layout, const actune_slice *slice); /* used when function is NULL */
    const void *interpret_kernel;
    const at_signature *signature;
    at_layout layout;
    actune_shape shape;
    int threads;   /* slices; 1: the caller alone */
    int64_t total; /* units: elements, or chunks with sums */
    at_chunk_plan chunk;
    size_t workspace_bytes; /* partials */
} at_launch;

/* Fills all but function and interpret; threads is capped so that a thread has at least 4096 elements. INVALID_ARGUMENT
   for a negative extent and more than 2^56 elements (empty extents counted as 1). `signature` must outlive the launch.
 */
actune_status at_launch_init(at_launch *launch, const at_signature *signature, at_layout layout, actune_shape shape,
                             int threads);
/* ports: signature->ports pointers. workspace: workspace_bytes (NULL when 0). pool may be NULL when threads == 1. */
void at_launch_run(const at_launch *launch, at_pool *pool, void *const *ports, void *workspace);
/* One slice, in the calling thread. */
void at_launch_slice(const at_launch *launch, const actune_slice *slice);

#endif
