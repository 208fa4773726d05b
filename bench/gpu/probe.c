/* Is there a GPU to measure on? One line of JSON about it, and the exit status of gpu_find. It needs so little that scripts/gpu-check.sh compiles
   it in a second, before anything else is built.

   gpu_probe */
#include "find.h"

#include "runtime/backend/nvrtc.h"

#include <stdio.h>

int main(void)
{
    at_cuda_info info;
    const char *path = "";
    int major = 0, minor = 0;
    int missing = gpu_find("gpu_probe", &info);
    if (missing != 0)
        return missing;
    if (at_nvrtc_version(&major, &minor, &path) != ACTUNE_OK)
        return GPU_SKIPPED;
    printf("{\"device\": \"%s\", \"arch\": %d, \"sms\": %d, \"memory_bytes\": %lld, \"l2_bytes\": %lld, \"driver\": %d, \"nvrtc\": \"%d.%d\"}\n",
           info.name, info.arch, info.sms, (long long)info.memory_bytes, (long long)info.l2_bytes, info.driver, major, minor);
    fprintf(stderr, "NVRTC: %s\n", path);
    return 0;
}
