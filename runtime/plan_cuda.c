/* The part of plan.c that is about CUDA: from generated source to a launch. */
#include "plan_cuda.h"

#include "../codegen/emit_cuda.h"
#include "plan_passes.h"

#include <string.h>

void at_plan_set_overlap(actune_plan *plan, bool wanted)
{
    const at_cuda_device *device = plan->context->cuda;
    bool one_pass = plan->kernel.passes == 0;
    plan->overlap = wanted && one_pass && device != NULL && at_cuda_overlaps(device);
    if (wanted && !one_pass)
        at_strbuf_append(&plan->note, "kernels of several passes do not overlap with the one before them");
    else if (wanted && !plan->overlap)
        at_strbuf_append(&plan->note, "the kernel does not overlap with the one before it: that takes a GPU from sm_90 on and a driver from CUDA 12.3 on");
}

static actune_status change_options(const char *text, bool in_place, bool overlap, at_strbuf *changed)
{
    at_arena arena = {0};
    at_variant variant;
    actune_status status = at_variant_parse(text, &arena, &variant);
    if (status == ACTUNE_OK && in_place)
        status = at_cuda_variant_in_place(&variant);
    if (status == ACTUNE_OK && overlap)
        status = at_cuda_variant_overlap(&variant);
    if (status == ACTUNE_OK)
        at_variant_print(&variant, changed);
    at_arena_clear(&arena);
    return status == ACTUNE_OK ? at_strbuf_status(changed) : status;
}

actune_status at_plan_generate_options(actune_plan *plan, const at_target *target, bool in_place)
{
    at_generated made;
    at_strbuf text = {0};
    actune_status status = change_options(at_strbuf_text(&plan->generated.variant), in_place, plan->overlap, &text);
    if (status == ACTUNE_OK) {
        status = at_generated_get(plan->context->cache, &plan->kernel, plan->launch.layout, target, at_strbuf_text(&text), &made);
        at_generated_clear(status == ACTUNE_OK ? &plan->generated : &made);
        if (status == ACTUNE_OK)
            plan->generated = made;
    }
    at_strbuf_clear(&text);
    return status;
}

static actune_status geometry_of(const actune_plan *plan, at_cuda_geometry *geometry)
{
    at_arena arena = {0};
    at_variant variant;
    actune_status status = at_variant_parse(at_strbuf_text(&plan->generated.variant), &arena, &variant);
    if (status == ACTUNE_OK)
        status = at_cuda_geometry_of(&plan->kernel, &variant, geometry);
    at_arena_clear(&arena);
    return status;
}

actune_status at_plan_load_cuda(actune_plan *plan)
{
    at_cuda_geometry geometry;
    const at_cuda_request request = {.source = at_strbuf_text(&plan->generated.source),
                                     .symbol = plan->generated.symbol,
                                     .finish = plan->kernel.signature.slots > 0,
                                     .no_compile = plan->context->no_compile};
    AT_TRY(geometry_of(plan, &geometry));
    AT_TRY(at_cuda_kernel_build(plan->context->cuda, plan->context->cache, &request, &plan->cuda_kernel));
    actune_status status =
        at_cuda_launch_init(&plan->cuda, plan->cuda_kernel, &plan->kernel, plan->launch.layout, plan->launch.shape, &geometry);
    if (status == ACTUNE_OK)
        return status;
    at_cuda_kernel_destroy(plan->cuda_kernel);
    plan->cuda_kernel = NULL;
    return status;
}

actune_status at_plan_execute_cuda(const actune_plan *plan, void *const *ports, void *stream, void *workspace)
{
    if (plan->cudnn != NULL && at_plan_execute_cudnn(plan, ports, stream))
        return ACTUNE_OK;
    if (workspace == NULL && plan->cuda.workspace_bytes > 0)
        /* The plan is constant to its users; its workspaces are taken atomically. */
        AT_TRY(at_cuda_workspace_get((at_cuda_workspaces *)&plan->cuda_workspaces, stream, false, &workspace));
    if (plan->passes > 0)
        return at_plan_run_passes_cuda(plan, ports, workspace, stream);
    return at_cuda_launch_run(&plan->cuda, ports, workspace, stream);
}

actune_status actune_prewarm(const actune_plan *plan, void *stream)
{
    void *workspace;
    if (plan == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_prewarm: the plan is NULL");
    if (plan->context->cuda == NULL)
        return ACTUNE_OK;
    if (plan->cudnn != NULL)
        AT_TRY(at_plan_prewarm_cudnn(plan, stream));
    return at_cuda_workspace_get((at_cuda_workspaces *)&plan->cuda_workspaces, stream, true, &workspace);
}
