#include "plan_cudnn.h"

#include "backend/cuda_memory.h"
#include "plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int64_t elements_of(const actune_plan *plan)
{
    const actune_shape shape = plan->launch.shape;
    return shape.outer * shape.channels * shape.inner;
}

/* What a launch will ask, asked before: plans are made without a handle. */
static actune_status check(const actune_plan *plan, const at_cudnn_variant *found)
{
    if (elements_of(plan) < 1 || elements_of(plan) > INT_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "cuDNN takes 1 to 2^31 - 1 elements");
    if (plan->in_place_output >= 0 && found->function.algorithm == AT_CUDNN_GRAPH)
        return at_fail(ACTUNE_UNSUPPORTED, "graphs of cuDNN do not work in place");
    return ACTUNE_OK;
}

actune_status at_plan_take_cudnn(actune_plan *plan, const char *variant, const at_hash *measured, const char *tier)
{
    at_cudnn_variant found;
    AT_TRY(at_cudnn_variant_find(&plan->kernel, variant, &found));
    if (strcmp(found.source_hash.hex, measured->hex) != 0)
        return at_fail(ACTUNE_NOT_FOUND, "cuDNN was told something else when it was measured: tune again");
    AT_TRY(check(plan, &found));
    at_plan_cudnn *made = calloc(1, sizeof *made);
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a plan");
    made->function = found.function;
    made->tier = tier;
    at_strbuf_append(&made->variant, variant);
    at_cudnn_describe(variant, &made->title);
    plan->cudnn = made;
    return at_strbuf_status(&made->title);
}

void at_plan_clear_cudnn(actune_plan *plan)
{
    at_plan_cudnn *cudnn = plan->cudnn;
    if (cudnn == NULL)
        return;
    for (int i = 0; i < AT_CUDNN_SLOTS; i++)
        at_cudnn_launch_destroy(cudnn->owned[i]);
    at_strbuf_clear(&cudnn->variant);
    at_strbuf_clear(&cudnn->title);
    free(cudnn);
    plan->cudnn = NULL;
}

void at_plan_note_cudnn(actune_plan *plan)
{
    if (plan->cudnn != NULL)
        at_strbuf_printf(&plan->note, "%swhere actune_prewarm was not called, and on memory that is not aligned to %d bytes, runs %s (%s)",
                         plan->note.length > 0 ? "; " : "", AT_CUDNN_ALIGNMENT, at_strbuf_text(&plan->generated.variant), plan->tier);
}

/* --- slots --- */

/* -1: none. A slot whose thread is the caller's is written by the caller alone. */
static int find_slot(const at_plan_cudnn *cudnn, const at_cuda_caller *caller)
{
    for (int i = 0; i < AT_CUDNN_SLOTS; i++)
        if (atomic_load_explicit(&cudnn->thread[i], memory_order_acquire) == caller->thread &&
            atomic_load_explicit(&cudnn->stream[i], memory_order_acquire) == caller->stream)
            return i;
    return -1;
}

static int take_slot(at_plan_cudnn *cudnn, const at_cuda_caller *caller)
{
    int found = find_slot(cudnn, caller);
    for (int i = 0; i < AT_CUDNN_SLOTS && found < 0; i++) {
        uintptr_t nobody = 0;
        if (atomic_compare_exchange_strong(&cudnn->thread[i], &nobody, caller->thread)) {
            atomic_store_explicit(&cudnn->stream[i], caller->stream, memory_order_release);
            found = i;
        }
    }
    return found;
}

/* --- making ready --- */

/* On memory of no meaning. */
static actune_status run_once(const actune_plan *plan, const at_cudnn_launch *launch, at_cu_stream stream)
{
    const at_cuda_device *device = plan->context->cuda;
    void *ports[AT_PORTS_MAX] = {NULL};
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < plan->ports && status == ACTUNE_OK; i++)
        status = at_cuda_allocate(device, (size_t)plan->need[i].count * (size_t)at_dtype_get(plan->need[i].dtype)->bytes, &ports[i]);
    if (status == ACTUNE_OK)
        status = at_cudnn_launch_run(launch, ports);
    actune_status waited = at_cuda_wait(device, stream);
    for (int i = 0; i < plan->ports; i++)
        at_cuda_free(device, ports[i]);
    return status == ACTUNE_OK ? waited : status;
}

static actune_status make_ready(const actune_plan *plan, int slot, const at_cuda_caller *caller, at_cu_stream stream)
{
    at_plan_cudnn *cudnn = plan->cudnn;
    at_cudnn_handle handle;
    AT_TRY(at_cudnn_handles_get(&plan->context->cudnn, plan->context->cuda, stream, caller, &handle));
    AT_TRY(at_cudnn_launch_create(plan->context->cuda, handle, &cudnn->function, plan->launch.shape, &cudnn->owned[slot]));
    AT_TRY(run_once(plan, cudnn->owned[slot], stream));
    atomic_store_explicit(&cudnn->launch[slot], cudnn->owned[slot], memory_order_release);
    return ACTUNE_OK;
}

/* The context is current. */
static actune_status prewarm(const actune_plan *plan, at_cu_stream stream)
{
    at_cuda_caller caller;
    bool capturing;
    AT_TRY(at_cuda_is_capturing(plan->context->cuda, stream, &capturing));
    if (capturing)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the stream is being captured: call actune_prewarm before the capture begins");
    AT_TRY(at_cuda_caller_get(plan->context->cuda, stream, &caller));
    int slot = take_slot(plan->cudnn, &caller);
    if (slot >= 0 && plan->cudnn->owned[slot] == NULL)
        make_ready(plan, slot, &caller, stream);
    return ACTUNE_OK;
}

actune_status at_plan_prewarm_cudnn(const actune_plan *plan, at_cu_stream stream)
{
    bool pushed;
    AT_TRY(at_cuda_enter(plan->context->cuda, &pushed));
    actune_status status = prewarm(plan, stream);
    at_cuda_leave(plan->context->cuda, pushed);
    return status;
}

/* --- executing --- */

static bool is_aligned(const actune_plan *plan, void *const *ports)
{
    uintptr_t bits = 0;
    for (int i = 0; i < plan->ports; i++)
        bits |= (uintptr_t)ports[i];
    return bits % AT_CUDNN_ALIGNMENT == 0;
}

/* The context is current. */
static bool execute(const actune_plan *plan, void *const *ports, at_cu_stream stream)
{
    at_cuda_caller caller;
    if (at_cuda_caller_get(plan->context->cuda, stream, &caller) != ACTUNE_OK)
        return false;
    int slot = find_slot(plan->cudnn, &caller);
    at_cudnn_launch *launch = slot >= 0 ? atomic_load_explicit(&plan->cudnn->launch[slot], memory_order_acquire) : NULL;
    if (launch == NULL)
        return false;
    if (at_cudnn_launch_run(launch, ports) == ACTUNE_OK)
        return true;
    atomic_store_explicit(&plan->cudnn->launch[slot], NULL, memory_order_release);
    return false;
}

bool at_plan_execute_cudnn(const actune_plan *plan, void *const *ports, at_cu_stream stream)
{
    bool pushed;
    if (!is_aligned(plan, ports) || at_cuda_enter(plan->context->cuda, &pushed) != ACTUNE_OK)
        return false;
    bool done = execute(plan, ports, stream);
    at_cuda_leave(plan->context->cuda, pushed);
    return done;
}
