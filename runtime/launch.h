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
    int64_t total; /* units: elements, rows of a row kernel, or chunks with sums */
    at_chunk_plan chunk;
    size_t partial_bytes;   /* partial sums */
    size_t scratch_bytes;   /* of a row kernel, for each thread */
    size_t workspace_bytes; /* all of it: the partials, then a scratch for each thread */
} at_launch;

/* Fills all but function and interpret; threads is capped so that a thread has at least 4096 elements. INVALID_ARGUMENT
   for a negative extent, more than 2^56 elements (empty extents counted as 1), and a k that is greater than the row; UNSUPPORTED for
   an operation on rows with inner > 1. `signature` must outlive the launch. */
actune_status at_launch_init(at_launch *launch, const at_signature *signature, at_layout layout, actune_shape shape,
                             int threads);
/* The scratch of the first thread in a workspace; NULL where the kernel has none. */
void *at_launch_scratch(const at_launch *launch, void *workspace);
/* One slice, in the calling thread; of a kernel without scratch. */
void at_launch_slice(const at_launch *launch, const actune_slice *slice);
/* The same of any kernel. scratch: scratch_bytes (NULL when 0), aligned to 64 bytes. */
void at_launch_slice_with(const at_launch *launch, const actune_slice *slice, void *scratch);
/* ports: signature->ports pointers. workspace: workspace_bytes (NULL when 0). pool may be NULL when threads == 1. */
void at_launch_run(const at_launch *launch, at_pool *pool, void *const *ports, void *workspace);

#endif
