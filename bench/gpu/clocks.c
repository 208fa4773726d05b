#include "clocks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEMORY = 2 };

/* nvml.h's bits. Idle and what a user has set (application clocks, sync boost) are no trouble. */
static const struct {
    unsigned long long bit;
    const char *name;
} reasons[] = {{0x4, "power cap"},   {0x8, "hardware slowdown"},    {0x20, "thermal"},
               {0x40, "hot"},        {0x80, "external power brake"}};

static void *find(void *library, const char *name, const char *older)
{
    void *symbol = dlsym(library, name);
    return symbol != NULL || older == NULL ? symbol : dlsym(library, older);
}

/* Function pointers from dlsym, without a cast that ISO C does not know. */
#define TAKE(slot, symbol)                     \
    do {                                       \
        void *found = (symbol);                \
        memcpy(&(slot), &found, sizeof found); \
    } while (0)

void gpu_clocks_open(gpu_clocks *clocks)
{
    int (*init)(void) = NULL, (*get)(unsigned, void **) = NULL;
    *clocks = (gpu_clocks){0};
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return;
    TAKE(init, find(library, "nvmlInit_v2", NULL));
    TAKE(get, find(library, "nvmlDeviceGetHandleByIndex_v2", NULL));
    TAKE(clocks->clock, find(library, "nvmlDeviceGetClockInfo", NULL));
    TAKE(clocks->reasons, find(library, "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"));
    TAKE(clocks->shut, find(library, "nvmlShutdown", NULL));
    if (init == NULL || get == NULL || clocks->clock == NULL || clocks->reasons == NULL || clocks->shut == NULL || init() != 0) {
        dlclose(library);
        *clocks = (gpu_clocks){0};
        return;
    }
    clocks->library = library;
    if (get(0, &clocks->device) != 0)
        gpu_clocks_close(clocks);
}

void gpu_clocks_close(gpu_clocks *clocks)
{
    if (clocks->library == NULL)
        return;
    clocks->shut();
    dlclose(clocks->library);
    *clocks = (gpu_clocks){0};
}

gpu_state gpu_clocks_read(const gpu_clocks *clocks)
{
    gpu_state state = {0};
    unsigned mhz = 0;
    unsigned long long bits = 0;
    if (clocks->device == NULL)
        return state;
    if (clocks->clock(clocks->device, NVML_CLOCK_SM, &mhz) == 0)
        state.sm_mhz = (int)mhz;
    if (clocks->clock(clocks->device, NVML_CLOCK_MEMORY, &mhz) == 0)
        state.memory_mhz = (int)mhz;
    if (clocks->reasons(clocks->device, &bits) == 0)
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
            state.throttled |= bits & reasons[i].bit;
    return state;
}

const char *gpu_throttle_text(unsigned long long throttled)
{
    static char text[128];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (throttled & reasons[i].bit)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? ", " : "", reasons[i].name);
    return text;
}
