#include "ours.h"

#include "runtime/base/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *gpu_row_name(const gpu_row *row)
{
    static char name[288];
    snprintf(name, sizeof name, "%s %s %s %lldx%lldx%lld", row->spec, row->direction == ACTUNE_BACKWARD ? "backward" : "forward",
             at_dtype_get(row->dtype)->name, (long long)row->shape.outer, (long long)row->shape.channels, (long long)row->shape.inner);
    return name;
}

actune_status gpu_ours_open(gpu_ours *ours)
{
    const actune_context_options tuned = {.device = "cuda:0"}, untuned = {.device = "cuda:0", .database = ""};
    *ours = (gpu_ours){0};
    AT_TRY(actune_context_open(&tuned, &ours->tuned));
    actune_status status = actune_context_open(&untuned, &ours->untuned);
    if (status != ACTUNE_OK)
        gpu_ours_close(ours);
    return status;
}

void gpu_ours_close(gpu_ours *ours)
{
    actune_context_close(ours->tuned);
    actune_context_close(ours->untuned);
    *ours = (gpu_ours){0};
}

const char *gpu_bare_spec(const char *spec)
{
    const char *end = *spec == '[' ? strchr(spec, ']') : NULL;
    return end == NULL ? spec : end + 1 + strspn(end + 1, " ");
}

actune_status gpu_ours_plan(actune_context *context, const gpu_row *row, actune_plan **plan)
{
    const actune_plan_desc desc = {.spec = row->spec, .direction = row->direction, .dtype_in = row->dtype, .dtype_out = row->dtype,
                                   .shape = row->shape};
    return actune_plan_create(context, &desc, plan);
}

/* Inputs after the outputs, so that tensor 0 is written and tensor 1 read, as the plain kernels have it. */
static actune_status lay(const actune_plan *plan, gpu_ports *ports)
{
    int next = GPU_FROM_X;
    ports->count = actune_plan_port_count(plan);
    ports->tensors = 1;
    if (ports->count > GPU_TENSORS_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "a plan of %d buffers, %d at most", ports->count, GPU_TENSORS_MAX);
    for (int i = 0; i < ports->count; i++) {
        actune_port_info info;
        AT_TRY(actune_plan_port(plan, i, &info));
        size_t bytes = (size_t)at_dtype_get(info.dtype)->bytes;
        bool whole = info.count == ports->elements;
        ports->port[i].dtype = info.dtype;
        ports->port[i].count = info.count;
        ports->port[i].bytes = bytes * (size_t)info.count;
        ports->port[i].tensor = !whole ? -1 : info.is_output ? GPU_TO_Y : next++;
        ports->moved_bytes += (int64_t)bytes * info.count;
        if (i == 0)
            ports->element_bytes = bytes;
    }
    ports->tensors = next;
    return next >= 2 ? ACTUNE_OK : at_fail(ACTUNE_UNSUPPORTED, "a plan without a tensor to read");
}

actune_status gpu_ports_of(const gpu_row *row, const gpu_ours *ours, gpu_ports *ports)
{
    actune_plan *plan;
    *ports = (gpu_ports){.elements = row->shape.outer * row->shape.channels * row->shape.inner};
    AT_TRY(gpu_ours_plan(ours->untuned, row, &plan));
    actune_status status = lay(plan, ports);
    actune_plan_destroy(plan);
    return status;
}

typedef struct planned {
    const at_cuda_device *device;
    actune_plan *plan;
    gpu_ports ports;
    void *own[GPU_TENSORS_MAX]; /* memory of ports that are no tensors of a set */
    void *workspace;
} planned;

static actune_status put_plan(void *self, const gpu_set *set, at_cu_stream stream)
{
    planned *p = self;
    actune_buffer buffers[GPU_TENSORS_MAX];
    for (int i = 0; i < p->ports.count; i++) {
        int tensor = p->ports.port[i].tensor;
        buffers[i] = (actune_buffer){tensor >= 0 ? set->tensor[tensor] : p->own[i], p->ports.port[i].count, p->ports.port[i].dtype};
    }
    return actune_execute_on(p->plan, buffers, p->ports.count, stream, p->workspace);
}

static void close_plan(void *self)
{
    planned *p = self;
    for (int i = 0; i < p->ports.count; i++)
        at_cuda_free(p->device, p->own[i]);
    at_cuda_free(p->device, p->workspace);
    actune_plan_destroy(p->plan);
    free(p);
}

/* Ones for operands: a scale of one and a bias of one keep the values where they are. */
static actune_status fill_own(planned *p, int i)
{
    size_t bytes = p->ports.port[i].bytes;
    AT_TRY(at_cuda_allocate(p->device, bytes, &p->own[i]));
    float *ones = malloc(bytes + sizeof *ones);
    if (ones == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for an operand");
    for (size_t k = 0; k < bytes / sizeof *ones; k++)
        ones[k] = 1;
    actune_status status = at_cuda_upload(p->device, p->own[i], ones, bytes);
    free(ones);
    return status;
}

static actune_status prepare(planned *p, actune_context *context, const gpu_row *row, at_cu_stream stream)
{
    actune_plan_info info;
    AT_TRY(gpu_ours_plan(context, row, &p->plan));
    actune_plan_describe(p->plan, &info);
    if (info.workspace_bytes > 0)
        AT_TRY(at_cuda_allocate(p->device, info.workspace_bytes, &p->workspace));
    for (int i = 0; i < p->ports.count; i++)
        if (p->ports.port[i].tensor < 0)
            AT_TRY(fill_own(p, i));
    return actune_prewarm(p->plan, stream);
}

actune_status gpu_ours_add(gpu_bench *bench, gpu_race *race, const char *name, actune_context *context, const gpu_row *row,
                           const gpu_ports *ports)
{
    planned *p = calloc(1, sizeof *p);
    if (p == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a plan");
    *p = (planned){.device = bench->device, .ports = *ports};
    actune_status status = prepare(p, context, row, bench->timer.stream);
    gpu_arm *arm = status == ACTUNE_OK ? gpu_race_add(race, name) : NULL;
    if (arm == NULL) {
        close_plan(p);
        return status != ACTUNE_OK ? status : at_fail(ACTUNE_INVALID_ARGUMENT, "more arms than %d", GPU_ARMS_MAX);
    }
    actune_plan_info info;
    actune_plan_describe(p->plan, &info);
    arm->put = put_plan;
    arm->close = close_plan;
    arm->self = p;
    arm->bytes = ports->moved_bytes;
    arm->computes = true;
    snprintf(arm->detail, sizeof arm->detail, "%s (%s)", info.variant, info.tier);
    return ACTUNE_OK;
}
