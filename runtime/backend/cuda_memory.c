#include "cuda_memory.h"

enum { LEAST_BYTES = 256 };

static at_cu_pointer pointer_of(const void *memory)
{
    return (at_cu_pointer)(uintptr_t)memory;
}

/* Runs a call that fills `status`, with the context current. */
#define INSIDE(device, call)                                                                                           \
    bool pushed;                                                                                                       \
    AT_TRY(at_cuda_enter(device, &pushed));                                                                            \
    actune_status status = call;                                                                                       \
    at_cuda_leave(device, pushed)

actune_status at_cuda_allocate(const at_cuda_device *device, size_t bytes, void **memory)
{
    at_cu_pointer made = 0;
    *memory = NULL;
    INSIDE(device, AT_CUDA(device->api, cuMemAlloc_v2, (&made, bytes > LEAST_BYTES ? bytes : LEAST_BYTES)));
    if (status == ACTUNE_OK)
        *memory = (void *)(uintptr_t)made;
    return status;
}

void at_cuda_free(const at_cuda_device *device, void *memory)
{
    bool pushed;
    if (memory == NULL || at_cuda_enter(device, &pushed) != ACTUNE_OK)
        return;
    device->api->cuMemFree_v2(pointer_of(memory));
    at_cuda_leave(device, pushed);
}

/* Where waiting fails it is tried once more: the caller gives the host memory back, and a copy that is still on its way must not find it so. */
static actune_status waited(const at_cuda_device *device, actune_status status)
{
    AT_TRY(status);
    status = AT_CUDA(device->api, cuStreamSynchronize, (NULL));
    if (status != ACTUNE_OK)
        device->api->cuStreamSynchronize(NULL);
    return status;
}

actune_status at_cuda_upload(const at_cuda_device *device, void *to, const void *from, size_t bytes)
{
    if (bytes == 0)
        return ACTUNE_OK;
    INSIDE(device, waited(device, AT_CUDA(device->api, cuMemcpyHtoDAsync_v2, (pointer_of(to), from, bytes, NULL))));
    return status;
}

actune_status at_cuda_download(const at_cuda_device *device, void *to, const void *from, size_t bytes)
{
    if (bytes == 0)
        return ACTUNE_OK;
    INSIDE(device, waited(device, AT_CUDA(device->api, cuMemcpyDtoHAsync_v2, (to, pointer_of(from), bytes, NULL))));
    return status;
}

actune_status at_cuda_fill(const at_cuda_device *device, void *memory, unsigned char value, size_t bytes)
{
    if (bytes == 0)
        return ACTUNE_OK;
    INSIDE(device, waited(device, AT_CUDA(device->api, cuMemsetD8Async, (pointer_of(memory), value, bytes, NULL))));
    return status;
}

actune_status at_cuda_copy(const at_cuda_device *device, void *to, const void *from, size_t bytes, at_cu_stream stream)
{
    if (bytes == 0)
        return ACTUNE_OK;
    INSIDE(device, AT_CUDA(device->api, cuMemcpyDtoDAsync_v2, (pointer_of(to), pointer_of(from), bytes, stream)));
    return status;
}

actune_status at_cuda_free_bytes(const at_cuda_device *device, int64_t *bytes)
{
    size_t left = 0, total = 0;
    INSIDE(device, AT_CUDA(device->api, cuMemGetInfo_v2, (&left, &total)));
    *bytes = (int64_t)left;
    return status;
}

actune_status at_cuda_wait(const at_cuda_device *device, at_cu_stream stream)
{
    INSIDE(device, AT_CUDA(device->api, cuStreamSynchronize, (stream)));
    return status;
}
