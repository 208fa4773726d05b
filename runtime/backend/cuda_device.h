/* CUDA devices: what they are, and their primary contexts. */
#ifndef AT_BACKEND_CUDA_DEVICE_H
#define AT_BACKEND_CUDA_DEVICE_H

#include "cuda_driver.h"

typedef struct at_cuda_info {
    int ordinal;
    char name[96];
    int arch; /* 90: compute capability 9.0 */
    int sms;
    int64_t memory_bytes, l2_bytes;
    double bandwidth_gbps; /* of the memory's clock and bus; 0 unknown */
    int driver;            /* the newest CUDA that the driver knows: 12040 is 12.4 */
} at_cuda_info;

/* DEVICE when there is no driver or no device, in one line. */
actune_status at_cuda_count(int *count);
/* Makes no context. DEVICE for an ordinal that is none. */
actune_status at_cuda_info_get(int ordinal, at_cuda_info *info);

typedef struct at_cuda_device {
    const at_cuda_api *api;
    at_cuda_info info;
    at_cu_device handle;
    at_cu_context context; /* primary, retained: the one that the CUDA runtime and PyTorch use */
} at_cuda_device;

/* May take a tenth of a second where nobody has made the primary context yet. Any thread. */
actune_status at_cuda_open(int ordinal, at_cuda_device **device);
void at_cuda_close(at_cuda_device *device);

/* Whether a kernel can be launched to start before the one in front of it has ended, in a stream and while it is captured: from sm_90 and CUDA 12.3
   on, which draws such edges into graphs. */
bool at_cuda_overlaps(const at_cuda_device *device);

/* Between the two the device's context is the calling thread's. A context that is current already is left alone (no cost but a look). */
actune_status at_cuda_enter(const at_cuda_device *device, bool *pushed);
void at_cuda_leave(const at_cuda_device *device, bool pushed);

#endif
