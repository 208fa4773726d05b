#include "cudnn.h"

#include "library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static at_cudnn_api cudnn;
static bool ready;
static char trouble[512], version[32], path_of[512];

static const struct {
    const char *name;
    size_t offset;
    bool optional;
} symbols[] = {
#define AT_CUDNN_SYMBOL(type, name, arguments) {#name, offsetof(at_cudnn_api, name), false},
#define AT_CUDNN_OPTIONAL(type, name, arguments) {#name, offsetof(at_cudnn_api, name), true},
#include "cudnn_symbols.def"
#undef AT_CUDNN_SYMBOL
#undef AT_CUDNN_OPTIONAL
};

static bool bind(void *library, const char *path)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL && !symbols[i].optional) {
            snprintf(trouble, sizeof trouble, "%s has no %s: cuDNN 8 or newer is needed", path, symbols[i].name);
            return false;
        }
        memcpy((char *)&cudnn + symbols[i].offset, &symbol, sizeof symbol);
    }
    snprintf(path_of, sizeof path_of, "%s", path);
    return true;
}

/* 8907 is 8.9.7, 91301 is 9.13.1. */
static void print_version(void)
{
    size_t number = cudnn.cudnnGetVersion(), major = number >= 10000 ? 10000 : 1000;
    snprintf(version, sizeof version, "%zu.%zu.%zu", number / major, number % major / 100, number % 100);
}

static void load(void)
{
    static const char *const names[] = {"libcudnn.so.9", "libcudnn.so.8", "libcudnn.so", NULL};
    const char *chosen = getenv("ACTUNE_CUDNN");
    bool named = chosen != NULL && *chosen != '\0';
    if (named && strcmp(chosen, "none") == 0) {
        snprintf(trouble, sizeof trouble, "no cuDNN (ACTUNE_CUDNN is 'none')");
        return;
    }
    ready = at_library_find(&(at_library_search){.variable = "ACTUNE_CUDNN", .file = "libcudnn.so", .names = names, .bind = bind});
    if (ready)
        print_version();
    else if (trouble[0] == '\0')
        snprintf(trouble, sizeof trouble,
                 named ? "ACTUNE_CUDNN names %s, which cannot be loaded"
                       : "cuDNN was not found: install it (or Python's nvidia-cudnn), or set ACTUNE_CUDNN to the path of libcudnn.so%s",
                 named ? chosen : "");
}

actune_status at_cudnn_get(const at_cudnn_api **api)
{
    pthread_once(&load_once, load);
    *api = &cudnn;
    return ready ? ACTUNE_OK : at_fail(ACTUNE_DEVICE, "%s", trouble);
}

actune_status at_cudnn_version(const char **text, const char **path)
{
    const at_cudnn_api *api;
    AT_TRY(at_cudnn_get(&api));
    *text = version;
    *path = path_of;
    return ACTUNE_OK;
}

/* cuDNN 8 counts from 1, 9 in thousands: 2 and 400x are memory, 9 and 3xxx what cuDNN does not do. */
static actune_status status_of(int code)
{
    if (code == 2 || code == 4003 || code == 4004)
        return ACTUNE_NO_MEMORY;
    return code == 9 || code / 1000 == 3 ? ACTUNE_UNSUPPORTED : ACTUNE_DEVICE;
}

actune_status at_cudnn_check(const char *call, int code)
{
    char more[256] = "";
    if (code == 0)
        return ACTUNE_OK;
    if (cudnn.cudnnGetLastErrorString != NULL)
        cudnn.cudnnGetLastErrorString(more, sizeof more);
    more[strcspn(more, "\n")] = '\0';
    return at_fail(status_of(code), "%s failed with %d (%s)%s%s", call, code, cudnn.cudnnGetErrorString(code), more[0] != '\0' ? ": " : "", more);
}

int at_cudnn_type(actune_dtype dtype)
{
    static const int types[] = {[ACTUNE_F32] = 0, [ACTUNE_F64] = 1, [ACTUNE_F16] = 2, [ACTUNE_BF16] = 9};
    return types[dtype];
}

/* The context is current. */
static actune_status create(const at_cudnn_api *api, at_cu_stream stream, at_cudnn_handle *handle)
{
    AT_TRY(AT_CUDNN(api, cudnnCreate, (handle)));
    actune_status status = AT_CUDNN(api, cudnnSetStream, (*handle, stream));
    if (status != ACTUNE_OK) {
        api->cudnnDestroy(*handle);
        *handle = NULL;
    }
    return status;
}

actune_status at_cudnn_open(const at_cuda_device *device, at_cu_stream stream, at_cudnn_handle *handle)
{
    const at_cudnn_api *api;
    bool pushed;
    *handle = NULL;
    AT_TRY(at_cudnn_get(&api));
    AT_TRY(at_cuda_enter(device, &pushed));
    actune_status status = create(api, stream, handle);
    at_cuda_leave(device, pushed);
    return status;
}

void at_cudnn_close(const at_cuda_device *device, at_cudnn_handle handle)
{
    bool pushed;
    if (handle == NULL || at_cuda_enter(device, &pushed) != ACTUNE_OK)
        return;
    cudnn.cudnnDestroy(handle);
    at_cuda_leave(device, pushed);
}
