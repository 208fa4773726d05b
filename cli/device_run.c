#include "device_run.h"

#include "runtime/backend/cuda_memory.h"
#include "runtime/base/dtype.h"
#include "runtime/device.h"
#include <stdlib.h>

/* The tensors' images on the device. */
typedef struct mirror {
    at_cuda_device *device;
    const actune_plan *plan;
    const actune_buffer *host;
    actune_buffer *there; /* data NULL: not allocated */
    int count;
} mirror;

static size_t bytes_of(const actune_buffer *buffer)
{
    return (size_t)buffer->count * (size_t)at_dtype_get(buffer->dtype)->bytes;
}

static actune_status send(mirror *m)
{
    for (int i = 0; i < m->count; i++) {
        actune_port_info port;
        size_t bytes = bytes_of(&m->host[i]);
        AT_TRY(actune_plan_port(m->plan, i, &port));
        m->there[i].count = m->host[i].count;
        m->there[i].dtype = m->host[i].dtype;
        AT_TRY(at_cuda_allocate(m->device, bytes, &m->there[i].data));
        if (!port.is_output && bytes > 0)
            AT_TRY(at_cuda_upload(m->device, m->there[i].data, m->host[i].data, bytes));
    }
    return ACTUNE_OK;
}

static actune_status fetch(const mirror *m)
{
    for (int i = 0; i < m->count; i++) {
        actune_port_info port;
        size_t bytes = bytes_of(&m->host[i]);
        AT_TRY(actune_plan_port(m->plan, i, &port));
        if (port.is_output && bytes > 0)
            AT_TRY(at_cuda_download(m->device, m->host[i].data, m->there[i].data, bytes));
    }
    return ACTUNE_OK;
}

static actune_status execute(mirror *m)
{
    AT_TRY(send(m));
    AT_TRY(actune_prewarm(m->plan, NULL)); /* winners that are another library's want it */
    AT_TRY(actune_execute_on(m->plan, m->there, m->count, NULL, NULL));
    AT_TRY(at_cuda_wait(m->device, NULL));
    return fetch(m);
}

actune_status cli_execute(const actune_plan *plan, const char *device, const actune_buffer *buffers, int count)
{
    mirror m = {.plan = plan, .host = buffers, .count = count};
    int ordinal;
    if (device == NULL || !at_device_is_cuda(device, &ordinal))
        return actune_execute(plan, buffers, count);
    m.there = calloc((size_t)count + 1, sizeof *m.there);
    if (m.there == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for %d tensors", count);
    actune_status status = at_cuda_open(ordinal, &m.device);
    if (status == ACTUNE_OK) {
        status = execute(&m);
        for (int i = 0; i < count; i++)
            at_cuda_free(m.device, m.there[i].data);
        at_cuda_close(m.device);
    }
    free(m.there);
    return status;
}

static actune_status clip_list(const cli_clip *clip, const actune_tensor_list *list, actune_clip_result *result)
{
    return clip->by_value ? actune_clip_value(list, clip->bound, NULL) : actune_clip_norm(list, clip->bound, &clip->norm, result);
}

/* `tensors` are where the context's device is. */
static actune_status clip_there(const cli_clip *clip, actune_context *context, const actune_buffer *tensors, actune_clip_result *result)
{
    actune_tensor_list *list;
    AT_TRY(actune_tensor_list_create(context, tensors, clip->count, &list));
    actune_status status = clip_list(clip, list, result);
    actune_tensor_list_destroy(list);
    return status;
}

/* To the device, and back when all has gone well. */
static actune_status clip_on_gpu(const cli_clip *clip, actune_context *context, mirror *m, actune_clip_result *result)
{
    for (int i = 0; i < m->count; i++) {
        m->there[i].count = m->host[i].count;
        m->there[i].dtype = m->host[i].dtype;
        AT_TRY(at_cuda_allocate(m->device, bytes_of(&m->host[i]), &m->there[i].data));
        if (m->host[i].count > 0)
            AT_TRY(at_cuda_upload(m->device, m->there[i].data, m->host[i].data, bytes_of(&m->host[i])));
    }
    AT_TRY(clip_there(clip, context, m->there, result));
    AT_TRY(at_cuda_wait(m->device, NULL));
    for (int i = 0; i < m->count; i++)
        if (m->host[i].count > 0)
            AT_TRY(at_cuda_download(m->device, m->host[i].data, m->there[i].data, bytes_of(&m->host[i])));
    return ACTUNE_OK;
}

static actune_status clip_mirrored(const cli_clip *clip, int ordinal, actune_context *context, actune_clip_result *result)
{
    mirror m = {.host = clip->buffers, .count = clip->count};
    m.there = calloc((size_t)clip->count + 1, sizeof *m.there);
    if (m.there == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for %d tensors", clip->count);
    actune_status status = at_cuda_open(ordinal, &m.device);
    if (status == ACTUNE_OK) {
        status = clip_on_gpu(clip, context, &m, result);
        for (int i = 0; i < m.count; i++)
            at_cuda_free(m.device, m.there[i].data);
        at_cuda_close(m.device);
    }
    free(m.there);
    return status;
}

actune_status cli_clip_tensors(const cli_clip *clip, const char *database, actune_clip_result *result)
{
    const actune_context_options how = {.database = database, .device = clip->device};
    actune_context *context;
    int ordinal;
    AT_TRY(actune_context_open(&how, &context));
    actune_status status = clip->device != NULL && at_device_is_cuda(clip->device, &ordinal)
                               ? clip_mirrored(clip, ordinal, context, result)
                               : clip_there(clip, context, clip->buffers, result);
    actune_context_close(context);
    return status;
}
