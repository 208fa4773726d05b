/* Devices by the environment, their primary contexts, and each thread's stack of contexts. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_MAX = 16 };

struct at_cu_context_object {
    int retained;
};

static struct at_cu_context_object contexts[FAKE_DEVICES_MAX];
static _Thread_local at_cu_context stack[STACK_MAX];
static _Thread_local int depth;
static int running = -1;

static int number_of(const char *variable, int usual)
{
    const char *text = getenv(variable);
    return text ? atoi(text) : usual;
}

/* "90" for all, or "90,80": one each. */
static int arch_of(at_cu_device device)
{
    const char *text = getenv("ACTUNE_FAKE_ARCH");
    for (int i = 0; text && i < device && strchr(text, ','); i++)
        text = strchr(text, ',') + 1;
    return text ? atoi(text) : 90;
}

static int count_of(void)
{
    int count = number_of("ACTUNE_FAKE_DEVICES", 1);
    return count > FAKE_DEVICES_MAX ? FAKE_DEVICES_MAX : count;
}

static bool is_device(at_cu_device device)
{
    return device >= 0 && device < count_of();
}

int fake_device(void)
{
    return running >= 0 ? running : depth ? (int)(stack[depth - 1] - contexts) : 0;
}

void fake_device_runs(int device)
{
    running = device;
}

bool fake_has_context(void)
{
    return depth > 0 && stack[depth - 1]->retained > 0;
}

void fake_contexts_left(int *retained, int *stacked)
{
    *retained = 0;
    for (int i = 0; i < FAKE_DEVICES_MAX; i++)
        *retained += contexts[i].retained;
    *stacked = depth;
}

at_cu_result cuDeviceGetCount(int *count)
{
    at_cu_result code = fake_begin("cuDeviceGetCount", FAKE_SURVIVES);
    if (!code)
        *count = count_of();
    return fake_end(code);
}

at_cu_result cuDeviceGet(at_cu_device *device, int ordinal)
{
    at_cu_result code = fake_begin("cuDeviceGet", FAKE_SURVIVES);
    if (!code && !is_device(ordinal))
        code = FAKE_NO_DEVICE;
    if (!code)
        *device = ordinal;
    return fake_end(code);
}

at_cu_result cuDeviceGetName(char *name, int size, at_cu_device device)
{
    at_cu_result code = fake_begin("cuDeviceGetName", FAKE_SURVIVES);
    if (!code)
        snprintf(name, (size_t)size, "Fake GPU %d", arch_of(device));
    return fake_end(code);
}

at_cu_result cuDeviceGetAttribute(int *value, int attribute, at_cu_device device)
{
    const struct {
        int attribute, value;
    } known[] = {{AT_CU_ATTRIBUTE_SMS, number_of("ACTUNE_FAKE_SMS", 4)}, {AT_CU_ATTRIBUTE_MEMORY_CLOCK_KHZ, 2000000},
                 {AT_CU_ATTRIBUTE_BUS_BITS, 512}, {AT_CU_ATTRIBUTE_L2_BYTES, 4 << 20}, {AT_CU_ATTRIBUTE_MAJOR, arch_of(device) / 10},
                 {AT_CU_ATTRIBUTE_MINOR, arch_of(device) % 10}};
    at_cu_result code = fake_begin("cuDeviceGetAttribute", FAKE_SURVIVES);
    if (code || !is_device(device))
        return fake_end(code ? code : FAKE_NO_DEVICE);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].attribute == attribute) {
            *value = known[i].value;
            return fake_end(0);
        }
    fake_mistake("cuDeviceGetAttribute: attribute %d is not one that the fake knows", attribute);
    return fake_end(FAKE_INVALID);
}

at_cu_result cuDeviceTotalMem_v2(size_t *bytes, at_cu_device device)
{
    at_cu_result code = fake_begin("cuDeviceTotalMem_v2", FAKE_SURVIVES);
    if (!code)
        *bytes = (size_t)1 << 30;
    return fake_end(code ? code : is_device(device) ? 0 : FAKE_NO_DEVICE);
}

at_cu_result cuDevicePrimaryCtxRetain(at_cu_context *context, at_cu_device device)
{
    at_cu_result code = fake_begin("cuDevicePrimaryCtxRetain", FAKE_SURVIVES);
    if (!code && !is_device(device))
        code = FAKE_NO_DEVICE;
    if (!code) {
        *context = &contexts[device];
        contexts[device].retained++;
    }
    return fake_end(code);
}

at_cu_result cuDevicePrimaryCtxRelease_v2(at_cu_device device)
{
    at_cu_result code = fake_begin("cuDevicePrimaryCtxRelease_v2", FAKE_RELEASES);
    if (!code && (!is_device(device) || contexts[device].retained == 0)) {
        fake_mistake("a primary context is released that was not retained");
        code = FAKE_CONTEXT;
    } else if (!code)
        contexts[device].retained--;
    return fake_end(code);
}

at_cu_result cuCtxGetCurrent(at_cu_context *context)
{
    at_cu_result code = fake_begin("cuCtxGetCurrent", FAKE_SURVIVES);
    if (!code)
        *context = depth ? stack[depth - 1] : NULL;
    return fake_end(code);
}

at_cu_result cuCtxPushCurrent_v2(at_cu_context context)
{
    at_cu_result code = fake_begin("cuCtxPushCurrent_v2", FAKE_SURVIVES);
    if (!code && (depth == STACK_MAX || context < contexts || context >= contexts + FAKE_DEVICES_MAX || !context->retained)) {
        fake_mistake("cuCtxPushCurrent_v2: no retained context, or too many are pushed");
        code = FAKE_CONTEXT;
    }
    if (!code)
        stack[depth++] = context;
    return fake_end(code);
}

at_cu_result cuCtxPopCurrent_v2(at_cu_context *context)
{
    at_cu_result code = fake_begin("cuCtxPopCurrent_v2", FAKE_RELEASES);
    if (!code && depth == 0) {
        fake_mistake("cuCtxPopCurrent_v2 without a context");
        code = FAKE_CONTEXT;
    } else if (!code)
        *context = stack[--depth];
    return fake_end(code);
}
