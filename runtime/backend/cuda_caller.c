#include "cuda_caller.h"

actune_status at_cuda_caller_get(const at_cuda_device *device, at_cu_stream stream, at_cuda_caller *caller)
{
    static _Thread_local char here;
    unsigned long long id = (unsigned long long)(uintptr_t)stream;
    if (device->api->cuStreamGetId != NULL)
        AT_TRY(AT_CUDA(device->api, cuStreamGetId, (stream, &id)));
    *caller = (at_cuda_caller){(uintptr_t)&here, id};
    return ACTUNE_OK;
}

actune_status at_cuda_is_capturing(const at_cuda_device *device, at_cu_stream stream, bool *capturing)
{
    int state = 0;
    AT_TRY(AT_CUDA(device->api, cuStreamIsCapturing, (stream, &state)));
    *capturing = state != 0;
    return ACTUNE_OK;
}
