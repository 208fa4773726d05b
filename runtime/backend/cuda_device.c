#include "cuda_device.h"

#include <stdlib.h>

actune_status at_cuda_count(int *count)
{
    const at_cuda_api *api;
    *count = 0;
    AT_TRY(at_cuda_driver(&api));
    AT_TRY(AT_CUDA(api, cuDeviceGetCount, (count)));
    if (*count < 1)
        return at_fail(ACTUNE_DEVICE, "the NVIDIA driver sees no device: check nvidia-smi and CUDA_VISIBLE_DEVICES");
    return ACTUNE_OK;
}

/* 0 where the driver does not say. */
static int64_t attribute(const at_cuda_api *api, at_cu_device device, int which)
{
    int value = 0;
    return api->cuDeviceGetAttribute(&value, which, device) == 0 && value > 0 ? value : 0;
}

static actune_status find(int ordinal, const at_cuda_api **api, at_cu_device *device)
{
    int count;
    AT_TRY(at_cuda_count(&count));
    AT_TRY(at_cuda_driver(api));
    if (ordinal < 0 || ordinal >= count)
        return at_fail(ACTUNE_DEVICE, "there is no device cuda:%d: this machine has cuda:0%s", ordinal,
                       count > 1 ? " and further ones, see `actune devices`" : "");
    return AT_CUDA(*api, cuDeviceGet, (device, ordinal));
}

actune_status at_cuda_info_get(int ordinal, at_cuda_info *info)
{
    const at_cuda_api *api;
    at_cu_device device;
    size_t memory = 0;
    int major = 0, minor = 0;
    *info = (at_cuda_info){.ordinal = ordinal};
    AT_TRY(find(ordinal, &api, &device));
    AT_TRY(AT_CUDA(api, cuDeviceGetName, (info->name, (int)sizeof info->name, device)));
    info->name[sizeof info->name - 1] = '\0';
    AT_TRY(AT_CUDA(api, cuDeviceGetAttribute, (&major, AT_CU_ATTRIBUTE_MAJOR, device)));
    AT_TRY(AT_CUDA(api, cuDeviceGetAttribute, (&minor, AT_CU_ATTRIBUTE_MINOR, device)));
    AT_TRY(AT_CUDA(api, cuDeviceGetAttribute, (&info->sms, AT_CU_ATTRIBUTE_SMS, device)));
    AT_TRY(AT_CUDA(api, cuDeviceTotalMem_v2, (&memory, device)));
    AT_TRY(AT_CUDA(api, cuDriverGetVersion, (&info->driver)));
    info->arch = 10 * major + minor;
    info->memory_bytes = (int64_t)memory;
    info->l2_bytes = attribute(api, device, AT_CU_ATTRIBUTE_L2_BYTES);
    /* Two transfers a clock. */
    info->bandwidth_gbps = 2e3 * (double)attribute(api, device, AT_CU_ATTRIBUTE_MEMORY_CLOCK_KHZ) *
                           (double)attribute(api, device, AT_CU_ATTRIBUTE_BUS_BITS) / 8 * 1e-9;
    return ACTUNE_OK;
}

actune_status at_cuda_open(int ordinal, at_cuda_device **device)
{
    at_cuda_device *made = calloc(1, sizeof *made);
    *device = NULL;
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a device");
    actune_status status = at_cuda_info_get(ordinal, &made->info);
    if (status == ACTUNE_OK)
        status = find(ordinal, &made->api, &made->handle);
    if (status == ACTUNE_OK)
        status = AT_CUDA(made->api, cuDevicePrimaryCtxRetain, (&made->context, made->handle));
    if (status != ACTUNE_OK) {
        free(made);
        return status;
    }
    *device = made;
    return ACTUNE_OK;
}

void at_cuda_close(at_cuda_device *device)
{
    if (device == NULL)
        return;
    device->api->cuDevicePrimaryCtxRelease_v2(device->handle);
    free(device);
}

bool at_cuda_overlaps(const at_cuda_device *device)
{
    return device->api->cuLaunchKernelEx != NULL && device->info.arch >= 90 && device->info.driver >= 12030;
}

/* Pushing is always right; asking first is for speed. */
actune_status at_cuda_enter(const at_cuda_device *device, bool *pushed)
{
    at_cu_context current = NULL;
    *pushed = false;
    if (device->api->cuCtxGetCurrent(&current) == 0 && current == device->context)
        return ACTUNE_OK;
    AT_TRY(AT_CUDA(device->api, cuCtxPushCurrent_v2, (device->context)));
    *pushed = true;
    return ACTUNE_OK;
}

void at_cuda_leave(const at_cuda_device *device, bool pushed)
{
    at_cu_context popped;
    if (pushed)
        device->api->cuCtxPopCurrent_v2(&popped);
}
