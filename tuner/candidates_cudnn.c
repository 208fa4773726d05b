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
    const at_signature *signature;
    void *const *port; /* host */
    size_t bytes;      /* of each */
    void *memory[AT_PORTS_MAX];
} trial;

static actune_status run_trial(const struct at_cudnn_code *code, int64_t elements, trial *t)
{
    at_cudnn_launch *launch;
    int last = t->signature->ports - 1; /* the output */
    for (int p = 0; p <= last; p++) {
        AT_TRY(at_cuda_allocate(code->device, t->bytes, &t->memory[p]));
        AT_TRY(at_cuda_upload(code->device, t->memory[p], t->port[p], t->bytes));
    }
    AT_TRY(at_cudnn_launch_create(code->device, code->handle, &code->function, elements, &launch));
    actune_status status = at_cudnn_launch_run(launch, t->memory);
    if (status == ACTUNE_OK)
        status = at_cuda_wait(code->device, code->stream);
    at_cudnn_launch_destroy(launch);
    return status == ACTUNE_OK ? at_cuda_download(code->device, t->port[last], t->memory[last], t->bytes) : status;
}

actune_status at_cudnn_code_run(void *user, actune_shape shape, void *const *port)
{
    const at_code *code = user;
    int64_t elements = shape.outer * shape.channels * shape.inner;
    size_t bytes = (size_t)elements * (size_t)at_dtype_get(code->cudnn->function.dtype)->bytes;
    trial t = {.signature = &code->group->kernel->signature, .port = port, .bytes = bytes};
    if (elements == 0)
        return ACTUNE_OK; /* a plan asks cuDNN for nothing empty */
    actune_status status = run_trial(code->cudnn, elements, &t);
    for (int p = 0; p < AT_PORTS_MAX; p++)
        at_cuda_free(code->cudnn->device, t.memory[p]);
    return status == ACTUNE_OK ? status : ACTUNE_DEVICE; /* whatever it is, it is the end of this candidate alone */
}

actune_status at_cudnn_code_open(const at_code *code, actune_shape shape, void *const *port, at_cudnn_launch **launch)
{
    const struct at_cudnn_code *of = code->cudnn;
    AT_TRY(at_cudnn_launch_create(of->device, of->handle, &of->function, shape.outer * shape.channels * shape.inner, launch));
    AT_TRY(at_cudnn_launch_run(*launch, port));
    return at_cuda_wait(of->device, of->stream);
}
