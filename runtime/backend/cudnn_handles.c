#include "cudnn_handles.h"

void at_cudnn_handles_init(at_cudnn_handles *handles)
{
    handles->count = 0;
    pthread_mutex_init(&handles->lock, NULL);
}

void at_cudnn_handles_clear(at_cudnn_handles *handles, const at_cuda_device *device)
{
    for (int i = 0; i < handles->count; i++)
        at_cudnn_close(device, handles->of[i].handle);
    pthread_mutex_destroy(&handles->lock);
}

static actune_status get(at_cudnn_handles *handles, const at_cuda_device *device, at_cu_stream stream, const at_cuda_caller *caller,
                         at_cudnn_handle *handle)
{
    for (int i = 0; i < handles->count; i++)
        if (handles->of[i].caller.thread == caller->thread && handles->of[i].caller.stream == caller->stream) {
            *handle = handles->of[i].handle;
            return ACTUNE_OK;
        }
    if (handles->count == AT_CUDNN_HANDLES_MAX)
        return at_fail(ACTUNE_DEVICE, "more than %d pairs of thread and stream use cuDNN", AT_CUDNN_HANDLES_MAX);
    AT_TRY(at_cudnn_open(device, stream, handle));
    handles->of[handles->count].caller = *caller;
    handles->of[handles->count++].handle = *handle;
    return ACTUNE_OK;
}

actune_status at_cudnn_handles_get(at_cudnn_handles *handles, const at_cuda_device *device, at_cu_stream stream, const at_cuda_caller *caller,
                                   at_cudnn_handle *handle)
{
    pthread_mutex_lock(&handles->lock);
    actune_status status = get(handles, device, stream, caller, handle);
    pthread_mutex_unlock(&handles->lock);
    return status;
}
