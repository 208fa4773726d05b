/* Plans of kernels with several passes: a plan for each pass, run one after the other. Inside the runtime only. */
#ifndef AT_RUNTIME_PLAN_PASSES_H
#define AT_RUNTIME_PLAN_PASSES_H

#include "plan.h"

/* A plan for each pass of plan->kernel, each with its own winner, and the places in the workspace. */
actune_status at_plan_open_passes(actune_plan *plan, const actune_plan_desc *desc, int threads);
void at_plan_close_passes(actune_plan *plan);

/* `ports` of the whole; `workspace`: plan->launch.workspace_bytes. */
void at_plan_run_passes(const actune_plan *plan, void *const *ports, void *workspace);
/* Puts all passes on the stream, as at_cuda_launch_run does one. */
actune_status at_plan_run_passes_cuda(const actune_plan *plan, void *const *ports, void *workspace, at_cu_stream stream);

#endif
