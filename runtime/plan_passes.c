#include "plan_passes.h"

#include <stdlib.h>
#include <string.h>

enum { PLACE_ALIGN = 256 };

/* Elements of one plane of a value that passes hand on. */
static int64_t plane_count(const actune_plan *plan, int value)
{
    return plan->kernel.value[value].access == AT_ACCESS_CHANNEL ? plan->launch.shape.channels : 1;
}

static size_t compute_bytes(const actune_plan *plan)
{
    return (size_t)at_dtype_get(plan->kernel.signature.compute)->bytes;
}

/* Takes `count` pieces of `bytes` at the end of the workspace. */
static actune_status place(size_t *end, int64_t count, size_t bytes, size_t *at)
{
    size_t room;
    if (__builtin_mul_overflow((size_t)count, bytes, &room) || __builtin_add_overflow(room, PLACE_ALIGN - 1, &room) ||
        __builtin_add_overflow(*end, room / PLACE_ALIGN * PLACE_ALIGN, &room))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "what the passes over %lld channels hand on does not fit memory", (long long)count);
    *at = *end;
    *end = room;
    return ACTUNE_OK;
}

/* The values first, then the partial sums of whichever pass runs. */
static actune_status lay_out(actune_plan *plan)
{
    size_t end = 0, partial = 0;
    for (int v = 0; v < plan->kernel.values; v++)
        AT_TRY(place(&end, plane_count(plan, v), (size_t)plan->kernel.value[v].planes * compute_bytes(plan), &plan->value_at[v]));
    for (int i = 0; i < plan->passes; i++)
        if (plan->pass[i]->launch.workspace_bytes > partial)
            partial = plan->pass[i]->launch.workspace_bytes;
    AT_TRY(place(&end, 1, partial, &plan->partial_at));
    plan->launch.workspace_bytes = plan->cuda.workspace_bytes = end;
    return ACTUNE_OK;
}

static actune_status open_pass(actune_plan *plan, const actune_plan_desc *desc, int threads, int index)
{
    at_pass *from = &plan->kernel.pass[index];
    actune_plan *made = plan->pass[index] = calloc(1, sizeof *made);
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a plan");
    plan->passes = index + 1;
    at_context_retain(plan->context);
    made->context = plan->context;
    made->kernel = *from->kernel; /* moved */
    *from->kernel = (at_kernel){0};
    actune_plan_desc own = *desc;
    own.in_place = desc->in_place && index == plan->kernel.passes - 1;
    return at_plan_make_ready(made, &own, threads);
}

/* What the passes are, as one text each for actune_plan_describe and actune_plan_source. */
static actune_status describe(actune_plan *plan)
{
    at_generated *all = &plan->generated;
    plan->tier = plan->pass[0]->tier;
    for (int i = 0; i < plan->passes; i++) {
        const actune_plan *pass = plan->pass[i];
        at_strbuf_printf(&all->variant, "%s%s", i > 0 ? "; " : "", at_strbuf_text(&pass->generated.variant));
        at_strbuf_append(&all->source, at_strbuf_text(&pass->generated.source));
        if (pass->note.length > 0)
            at_strbuf_printf(&plan->note, "%spass %d: %s", plan->note.length > 0 ? "; " : "", i + 1, at_strbuf_text(&pass->note));
        if (strcmp(plan->tier, "exact") == 0) /* the first that is not what was measured for this very size speaks for all */
            plan->tier = pass->tier;
        if (pass->launch.threads > plan->launch.threads)
            plan->launch.threads = pass->launch.threads;
    }
    AT_TRY(at_strbuf_status(&all->variant));
    return at_strbuf_status(&all->source);
}

actune_status at_plan_open_passes(actune_plan *plan, const actune_plan_desc *desc, int threads)
{
    plan->launch.threads = 1;
    plan->pass = calloc((size_t)plan->kernel.passes, sizeof *plan->pass);
    if (plan->pass == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a plan");
    for (int i = 0; i < plan->kernel.passes; i++)
        AT_TRY(open_pass(plan, desc, threads, i));
    AT_TRY(lay_out(plan));
    return describe(plan);
}

void at_plan_close_passes(actune_plan *plan)
{
    for (int i = 0; i < plan->passes; i++)
        actune_plan_destroy(plan->pass[i]);
    free(plan->pass);
}

/* The pointers of one pass. */
static void find_ports(const actune_plan *plan, int index, void *const *ports, char *workspace, void **found)
{
    const at_wire *wire = plan->kernel.pass[index].wire;
    for (int i = 0; i < plan->pass[index]->kernel.signature.ports; i++) {
        size_t plane = (size_t)plane_count(plan, wire[i].value) * compute_bytes(plan);
        found[i] = wire[i].port >= 0 ? ports[wire[i].port] : workspace + plan->value_at[wire[i].value] + (size_t)wire[i].plane * plane;
    }
}

void at_plan_run_passes(const actune_plan *plan, void *const *ports, void *workspace)
{
    void *own[AT_PORTS_MAX];
    for (int i = 0; i < plan->passes; i++) {
        find_ports(plan, i, ports, workspace, own);
        at_launch_run(&plan->pass[i]->launch, plan->pass[i]->pool, own, (char *)workspace + plan->partial_at);
    }
}

actune_status at_plan_run_passes_cuda(const actune_plan *plan, void *const *ports, void *workspace, at_cu_stream stream)
{
    void *own[AT_PORTS_MAX];
    for (int i = 0; i < plan->passes; i++) {
        find_ports(plan, i, ports, workspace, own);
        AT_TRY(at_cuda_launch_run(&plan->pass[i]->cuda, own, (char *)workspace + plan->partial_at, stream));
    }
    return ACTUNE_OK;
}
