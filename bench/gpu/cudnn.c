#include "cudnn.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gpu_cudnn_api cudnn;
static char trouble[512];

static bool bind(void *library, const char *path)
{
    static const struct {
        const char *name;
        size_t offset;
    } symbols[] = {
#define X(name, arguments) {#name, offsetof(gpu_cudnn_api, name)},
        GPU_CUDNN_FUNCTIONS(X)
#undef X
        {"cudnnGetErrorString", offsetof(gpu_cudnn_api, cudnnGetErrorString)},
        {"cudnnGetVersion", offsetof(gpu_cudnn_api, cudnnGetVersion)},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL) {
            snprintf(trouble, sizeof trouble, "%s has no %s", path, symbols[i].name);
            return false;
        }
        memcpy((char *)&cudnn + symbols[i].offset, &symbol, sizeof symbol);
    }
    return true;
}

/* cuDNN finds its other parts beside this file. */
static bool try_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) {
        snprintf(trouble, sizeof trouble, "%s", dlerror());
        return false;
    }
    return bind(library, path);
}

static bool try_pattern(const char *pattern)
{
    glob_t found;
    bool loaded = false;
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    for (size_t i = found.gl_pathc; i-- > 0 && !loaded;)
        loaded = try_library(found.gl_pathv[i]);
    globfree(&found);
    return loaded;
}

static bool load(void)
{
    static const char *const names[] = {"libcudnn.so.9", "libcudnn.so.8", "libcudnn.so"};
    static const char *const patterns[] = {"/usr/local/cuda/lib64/libcudnn.so*", "/usr/lib/*-linux-gnu/libcudnn.so*",
                                           "/usr/lib/python3*/*-packages/nvidia/cudnn/lib/libcudnn.so*",
                                           "/usr/local/lib/python3*/*-packages/nvidia/cudnn/lib/libcudnn.so*"};
    const char *chosen = getenv("ACTUNE_CUDNN"), *environment = getenv("VIRTUAL_ENV");
    char pattern[1024];
    if (chosen != NULL && *chosen != '\0')
        return try_library(chosen);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (try_library(names[i]))
            return true;
    snprintf(pattern, sizeof pattern, "%s/lib/python3*/site-packages/nvidia/cudnn/lib/libcudnn.so*", environment != NULL ? environment : "");
    if (environment != NULL && try_pattern(pattern))
        return true;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (try_pattern(patterns[i]))
            return true;
    return false;
}

actune_status gpu_cudnn_check(const char *call, int status)
{
    if (status == 0)
        return ACTUNE_OK;
    return at_fail(ACTUNE_DEVICE, "%s failed with %d (%s)", call, status, cudnn.cudnnGetErrorString(status));
}

actune_status gpu_cudnn_get(const gpu_cudnn_api **api)
{
    static bool tried;
    *api = &cudnn;
    if (!tried && load() && gpu_cudnn_check("cudnnCreate", cudnn.cudnnCreate(&cudnn.handle)) != ACTUNE_OK) {
        snprintf(trouble, sizeof trouble, "%s", actune_last_error());
        cudnn.handle = NULL;
    }
    tried = true;
    return cudnn.handle != NULL ? ACTUNE_OK : at_fail(ACTUNE_DEVICE, "no cuDNN (%s): set ACTUNE_CUDNN to libcudnn.so.9", trouble);
}

int gpu_cudnn_type(actune_dtype dtype)
{
    static const int types[] = {[ACTUNE_F32] = 0, [ACTUNE_F64] = 1, [ACTUNE_F16] = 2, [ACTUNE_BF16] = 9};
    return types[dtype];
}
