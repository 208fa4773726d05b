#include "cuda_driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CU_OUT_OF_MEMORY = 2, CU_STUB_LIBRARY = 34, CU_NO_DEVICE = 100 };

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static at_cuda_api driver;
static bool ready, missing;
static char trouble[512]; /* why it is not ready */

static const struct {
    const char *name;
    size_t offset;
    bool optional;
} symbols[] = {
#define AT_CUDA_SYMBOL(name, arguments) {#name, offsetof(at_cuda_api, name), false},
#define AT_CUDA_OPTIONAL(name, arguments) {#name, offsetof(at_cuda_api, name), true},
#include "cuda_symbols.def"
#undef AT_CUDA_SYMBOL
#undef AT_CUDA_OPTIONAL
};

/* What a person can do about a code. */
static const struct {
    at_cu_result code;
    const char *advice;
} advices[] = {
    {CU_OUT_OF_MEMORY, "free device memory (nvidia-smi shows who has it) or use a smaller tensor"},
    {3, "CUDA does not work in a process that forked after it began to use CUDA: start the child afresh"},
    {35, "update the NVIDIA driver"},
    {46, "another process has the device for itself (compute mode), or it fell off the bus: see nvidia-smi"},
    {100, "the driver sees no device: check nvidia-smi and CUDA_VISIBLE_DEVICES"},
    {101, "`actune devices` lists the devices there are"},
    {200, "the compiled kernel is damaged: clear the kernel cache"},
    {209, "the compiled kernel is for another architecture: update NVRTC or the driver"},
    {218, "the driver does not take this PTX: update the driver"},
    {222, "NVRTC is newer than the driver: update the driver, or set ACTUNE_NVRTC to an older one"},
    {400, "the stream is none of this device, or was destroyed"},
    {700, "a kernel touched memory that is not its own: check the buffers; the process must be restarted"},
    {701, "the kernel needs more registers or shared memory than a block may have; please report it"},
    {702, "the kernel ran into the display's time limit"},
    {719, "a kernel failed; the process must be restarted"},
    {802, "the fabric manager is not running: see nvidia-smi"},
    {803, "driver and kernel module have different versions: reboot, or reload the module"},
    {900, "this stream is being captured into a graph, which does not allow the call"},
    {906, "another stream is being captured: the default stream cannot be used meanwhile"},
};

static const char *advice_for(at_cu_result code)
{
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
        if (advices[i].code == code)
            return advices[i].advice;
    return "see nvidia-smi and the driver's log (dmesg)";
}

static const char *name_of(at_cu_result code)
{
    const char *name = NULL;
    if (driver.cuGetErrorName == NULL || driver.cuGetErrorName(code, &name) != 0 || name == NULL)
        return "unknown error";
    return name;
}

actune_status at_cuda_check(const char *call, at_cu_result code)
{
    if (code == 0)
        return ACTUNE_OK;
    return at_fail(code == CU_OUT_OF_MEMORY ? ACTUNE_NO_MEMORY : ACTUNE_DEVICE, "%s failed with %d (%s): %s", call, code,
                   name_of(code), advice_for(code));
}

static bool bind(void *library, const char *path)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL && !symbols[i].optional) {
            snprintf(trouble, sizeof trouble, "%s has no %s: the NVIDIA driver is older than CUDA 11.4, update it", path,
                     symbols[i].name);
            return false;
        }
        memcpy((char *)&driver + symbols[i].offset, &symbol, sizeof symbol);
    }
    return true;
}

/* The library is never unloaded: drivers leave threads and handlers behind. */
static void load(void)
{
    const char *chosen = getenv("ACTUNE_LIBCUDA");
    const char *path = chosen != NULL && *chosen != '\0' ? chosen : "libcuda.so.1";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        missing = true;
        if (chosen != NULL && *chosen != '\0')
            snprintf(trouble, sizeof trouble, "ACTUNE_LIBCUDA names %.200s, which cannot be loaded (%.250s)", chosen, dlerror());
        else
            snprintf(trouble, sizeof trouble, "no NVIDIA driver (libcuda.so.1 was not found)");
        return;
    }
    if (!bind(library, path))
        return;
    at_cu_result code = driver.cuInit(0);
    if (code == CU_STUB_LIBRARY)
        snprintf(trouble, sizeof trouble, "no NVIDIA driver (%s is the toolkit's stub library: cuInit 34)", path);
    else if (code != 0)
        snprintf(trouble, sizeof trouble, "cuInit failed with %d (%s): %s", code, name_of(code), advice_for(code));
    ready = code == 0;
    missing = code == CU_STUB_LIBRARY || code == CU_NO_DEVICE;
}

actune_status at_cuda_driver(const at_cuda_api **api)
{
    pthread_once(&load_once, load);
    *api = &driver;
    return ready ? ACTUNE_OK : at_fail(ACTUNE_DEVICE, "%s", trouble);
}

bool at_cuda_missing(void)
{
    const at_cuda_api *api;
    return at_cuda_driver(&api) != ACTUNE_OK && missing;
}
