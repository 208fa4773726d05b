#include "candidates_cudnn.h"

#include <stdlib.h>
#include <string.h>

#include "../runtime/backend/cuda_memory.h"
#include "../runtime/base/dtype.h"

actune_status at_cudnn_offer(at_group *group)
{
    int count = at_cudnn_variants(group->kernel, group->offered);
    if (count == 0)
        return ACTUNE_OK;
    at_variant *grown = realloc(group->space, (size_t)(group->space_count + count) * sizeof *grown);
    if (!grown)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the search space");
    group->space = grown;
    memmove(grown + 1 + count, grown + 1, (size_t)(group->space_count - 1) * sizeof *grown);
    for (int i = 0; i < count; i++)
        grown[1 + i] = group->offered[i].variant;
    group->space_count += count;
    group->offered_count = count;
    return ACTUNE_OK;
}

static const at_cudnn_variant *offered_as(const at_group *group, int code)
{
    for (int i = 0; i < group->candidate_count; i++)
        if (group->candidates[i].code == code && group->candidates[i].variant >= 1 && group->candidates[i].variant <= group->offered_count)
            return &group->offered[group->candidates[i].variant - 1];
    return NULL;
}

bool at_cudnn_is_open(const at_group *group, int code)
{
    const at_code *of = &group->codes[code];
    return !of->cudnn && !of->log && offered_as(group, code);
}

void at_cudnn_code_build(at_group *group, int code, const struct at_cudnn_code *on)
{
    at_code *of = &group->codes[code];
    const at_cudnn_variant *variant = offered_as(group, code);
    of->source_hash = variant->source_hash;
    of->cudnn = malloc(sizeof *of->cudnn);
    if (!of->cudnn) {
        at_code_fail(of, "no memory for a candidate");
        return;
    }
    *of->cudnn = *on;
    of->cudnn->function = variant->function;
}

/* --- verifying --- */

typedef struct trial {
    const at_code *code;
    actune_shape shape;
    void *const *port; /* host */
    void *memory[AT_PORTS_MAX];
} trial;

static size_t bytes_of(const trial *t, int port)
{
    const at_port *of = &t->code->group->kernel->signature.port[port];
    return (size_t)at_port_count(of, t->shape) * (size_t)at_dtype_get(of->dtype)->bytes;
}

static actune_status run_trial(trial *t)
{
    const struct at_cudnn_code *on = t->code->cudnn;
    at_cudnn_launch *launch;
    int last = t->code->group->kernel->signature.ports - 1; /* the output */
    for (int p = 0; p <= last; p++) {
        AT_TRY(at_cuda_allocate(on->device, bytes_of(t, p), &t->memory[p]));
        AT_TRY(at_cuda_upload(on->device, t->memory[p], t->port[p], bytes_of(t, p)));
    }
    AT_TRY(at_cudnn_launch_create(on->device, on->handle, &on->function, t->shape, &launch));
    actune_status status = at_cudnn_launch_run(launch, t->memory);
    if (status == ACTUNE_OK)
        status = at_cuda_wait(on->device, on->stream);
    at_cudnn_launch_destroy(launch);
    return status == ACTUNE_OK ? at_cuda_download(on->device, t->port[last], t->memory[last], bytes_of(t, last)) : status;
}

actune_status at_cudnn_code_run(void *user, actune_shape shape, void *const *port)
{
    trial t = {.code = user, .shape = shape, .port = port};
    if (shape.outer * shape.channels * shape.inner == 0)
        return ACTUNE_OK; /* a plan asks cuDNN for nothing empty */
    actune_status status = run_trial(&t);
    for (int p = 0; p < AT_PORTS_MAX; p++)
        at_cuda_free(t.code->cudnn->device, t.memory[p]);
    return status == ACTUNE_OK ? status : ACTUNE_DEVICE; /* whatever it is, it is the end of this candidate alone */
}

actune_status at_cudnn_code_open(const at_code *code, actune_shape shape, void *const *port, at_cudnn_launch **launch)
{
    const struct at_cudnn_code *of = code->cudnn;
    AT_TRY(at_cudnn_launch_create(of->device, of->handle, &of->function, shape, launch));
    AT_TRY(at_cudnn_launch_run(*launch, port));
    return at_cuda_wait(of->device, of->stream);
}
