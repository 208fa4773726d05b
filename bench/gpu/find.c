#include "find.h"

#include "runtime/backend/nvrtc.h"

#include <stdio.h>
#include <stdlib.h>

int gpu_find(const char *program, at_cuda_info *info)
{
    const at_cuda_api *api;
    const char *path;
    int count, major, minor;
    actune_status status = at_cuda_driver(&api);
    if (status == ACTUNE_OK && api->cuDeviceGetCount(&count) == 0 && count == 0) {
        fprintf(stderr, "%s: skipped, the NVIDIA driver sees no device: check nvidia-smi and CUDA_VISIBLE_DEVICES\n", program);
        return GPU_SKIPPED;
    }
    if (status == ACTUNE_OK)
        status = at_cuda_info_get(0, info);
    if (status != ACTUNE_OK) {
        bool missing = at_cuda_missing();
        fprintf(stderr, "%s: %s%s\n", program, missing ? "skipped, " : "", actune_last_error());
        return missing ? GPU_SKIPPED : EXIT_FAILURE;
    }
    if (at_nvrtc_version(&major, &minor, &path) != ACTUNE_OK) {
        fprintf(stderr, "%s: skipped, no NVRTC: %s\n", program, actune_last_error());
        return GPU_SKIPPED;
    }
    return EXIT_SUCCESS;
}
