#include "plan_cuda.h"
#include "plan_passes.h"

#include <stdint.h>
#include <stdio.h>

bool at_buffer_is_good(const at_port_need *need, const actune_buffer *buffer)
{
    return buffer->dtype == need->dtype && buffer->count >= need->count && (buffer->data != NULL || need->count == 0) &&
           ((uintptr_t)buffer->data & need->align_mask) == 0;
}

actune_status at_buffer_explain(const at_port_need *need, const actune_buffer *buffer, const char *where)
{
    if (buffer->dtype != need->dtype) {
        const at_dtype_info *got = at_dtype_get(buffer->dtype);
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s is %s, the plan wants %s", where, got != NULL ? got->name : "of no known element type",
                       at_dtype_get(need->dtype)->name);
    }
    if (buffer->count < need->count)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s has %lld elements, the plan wants %lld", where, (long long)buffer->count,
                       (long long)need->count);
    return at_fail(ACTUNE_INVALID_ARGUMENT, "%s is %s", where, buffer->data == NULL ? "NULL" : "not aligned to its element type");
}

/* The slow path of check_buffers: says what is wrong. */
static actune_status explain(const actune_plan *plan, const actune_buffer *buffer, int port)
{
    char where[128];
    snprintf(where, sizeof where, "actune_execute: buffer %d (%s)", port, plan->kernel.signature.port[port].name);
    return at_buffer_explain(&plan->need[port], buffer, where);
}

static bool overlap(const actune_plan *plan, const actune_buffer *buffers, int a, int b)
{
    uintptr_t first = (uintptr_t)buffers[a].data, second = (uintptr_t)buffers[b].data;
    if (plan->need[a].bytes == 0 || plan->need[b].bytes == 0)
        return false;
    return first < second + plan->need[b].bytes && second < first + plan->need[a].bytes;
}

/* y = x (dx = dy) exactly, in a plan made for it; they have one element type, as plan_create checked. */
static bool is_in_place(const actune_plan *plan, const actune_buffer *buffers, int output, int other)
{
    return output == plan->in_place_output && other == plan->in_place_input &&
           buffers[output].data == buffers[other].data;
}

/* Inputs may share memory with inputs; an output shares with nothing. */
static actune_status check_output(const actune_plan *plan, const actune_buffer *buffers, int output)
{
    for (int other = 0; other < output; other++)
        if (overlap(plan, buffers, output, other) && !is_in_place(plan, buffers, output, other)) {
            const at_port *port = plan->kernel.signature.port;
            return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute: buffers %d (%s) and %d (%s) overlap%s", other,
                           port[other].name, output, port[output].name,
                           buffers[output].data == buffers[other].data
                               ? "; make the plan with in_place if y is to replace x (dx: dy)"
                               : "");
        }
    return ACTUNE_OK;
}

/* Inputs come first, so every pair with an output in it is seen once. */
static actune_status check_buffers(const actune_plan *plan, const actune_buffer *buffers)
{
    for (int i = 0; i < plan->ports; i++)
        if (!at_buffer_is_good(&plan->need[i], &buffers[i]))
            return explain(plan, &buffers[i], i);
    for (int i = plan->kernel.signature.inputs; i < plan->ports; i++)
        AT_TRY(check_output(plan, buffers, i));
    return ACTUNE_OK;
}

static actune_status run_with_workspace(const actune_plan *plan, void *const *ports)
{
    /* The plan is constant to its users; taking a workspace from it is atomic. */
    at_workspaces *workspaces = (at_workspaces *)&plan->workspaces;
    void *memory;
    int slot;
    AT_TRY(at_workspace_take(workspaces, &memory, &slot));
    if (plan->passes > 0)
        at_plan_run_passes(plan, ports, memory);
    else
        at_launch_run(&plan->launch, plan->pool, ports, memory);
    at_workspace_give(workspaces, memory, slot);
    return ACTUNE_OK;
}

actune_status actune_execute(const actune_plan *plan, const actune_buffer *buffers, int count)
{
    return actune_execute_on(plan, buffers, count, NULL, NULL);
}

actune_status actune_execute_on(const actune_plan *plan, const actune_buffer *buffers, int count, void *stream, void *workspace)
{
    if (plan == NULL || buffers == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute: the plan or the list of buffers is NULL");
    if (count != plan->ports)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute: %d buffers, the plan has %d ports", count,
                       plan->ports);
    AT_TRY(check_buffers(plan, buffers));
    void *ports[AT_PORTS_MAX];
    for (int i = 0; i < count; i++)
        ports[i] = buffers[i].data;
    if (plan->context->cuda != NULL)
        return at_plan_execute_cuda(plan, ports, stream, workspace);
    if (stream != NULL || workspace != NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute_on: the plan runs on the CPU, where stream and workspace are NULL");
    if (plan->launch.workspace_bytes > 0)
        return run_with_workspace(plan, ports);
    at_launch_run(&plan->launch, plan->pool, ports, NULL);
    return ACTUNE_OK;
}
