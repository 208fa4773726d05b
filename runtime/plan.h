/* A plan: one kernel made ready to run on one shape. Read-only once it is made, but for its workspaces. */
#ifndef AT_RUNTIME_PLAN_H
#define AT_RUNTIME_PLAN_H

#include "base/dtype.h"
#include "backend/cuda_workspace.h"
#include "context.h"
#include "generated.h"
#include "launch.h"
#include "launch_cuda.h"
#include "plan_cudnn.h"
#include "workspace.h"

/* What execute asks of the buffer of a port. */
typedef struct at_port_need {
    int64_t count;
    size_t bytes;
    size_t align_mask; /* address bits that must be 0 */
    actune_dtype dtype;
    bool is_output;
} at_port_need;

struct actune_plan {
    actune_context *context;
    at_spec spec;
    at_kernel kernel;
    at_launch launch;
    at_pool *pool; /* NULL when one thread does it */
    at_port_need need[AT_PORTS_MAX];
    int ports;
    int in_place_input, in_place_output; /* the ports that may be one buffer; -1: none */
    at_workspaces workspaces;
    /* On a CUDA device: launch says the shape, this what runs. */
    bool overlap; /* actune_plan_desc.overlap, where the device can */
    at_cuda_kernel *cuda_kernel;
    at_cuda_launch cuda;
    at_cuda_workspaces cuda_workspaces;
    actune_plan **pass; /* a plan for each pass of a kernel that has several (plan_passes.c); this one then runs nothing itself */
    int passes;
    size_t value_at[AT_PASS_VALUES_MAX], partial_at; /* in the workspace: what passes hand on, and the partial sums of the pass that runs */
    at_plan_cudnn *cudnn; /* the winner, with the above for callers without a handle; NULL: our kernel is the winner */
    /* Why this kernel */
    at_binary *binary;
    at_build_info build;
    const char *tier;
    at_generated generated; /* source and variant */
    at_strbuf note;
};

/* kernel -> what buffers must hold, and the best that runs here; all but memory and threads. */
actune_status at_plan_make_ready(actune_plan *plan, const actune_plan_desc *desc, int threads);
/* How far a plan is made. */
typedef enum at_plan_stage {
    AT_PLAN_LAID_OUT, /* spec, kernel, shape, what its buffers are: nothing that runs (a member of a batch on CUDA) */
    AT_PLAN_READY
} at_plan_stage;

/* actune_plan_create without what the context's tuning mode adds; `context` and `desc` are not NULL. */
actune_status at_plan_open(actune_context *context, const actune_plan_desc *desc, at_plan_stage last, actune_plan **plan);

/* What a buffer must be, and in words why it is not: `where` is "actune_execute: buffer 1 (y)". */
bool at_buffer_is_good(const at_port_need *need, const actune_buffer *buffer);
actune_status at_buffer_explain(const at_port_need *need, const actune_buffer *buffer, const char *where);

#endif
