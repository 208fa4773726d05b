/* Initial weights on the fake driver: the bits of the library's own way, in every type, at any alignment and length, on a stream, and with calls
   failing. */
#include "rig.h"

#include "runtime/context.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 67, COLUMNS = 31, N = ROWS * COLUMNS, ROOM = (N + 16) * 8 };

static actune_context *gpu;
static at_cuda_device *device;
static const int64_t shape[] = {ROWS, COLUMNS};

static actune_status open_context(const char *cache_name)
{
    char cache[256];
    snprintf(cache, sizeof cache, "%s/%s", rig_folder, cache_name);
    actune_context_options options = {.database = "", .cache_folder = cache, .device = "cuda:0"};
    return actune_context_open(&options, &gpu);
}

/* `skip` elements lie in front: pairs are then not aligned. */
static void compare(actune_dtype dtype, actune_init_kind kind, int skip, void *stream)
{
    const actune_init_desc desc = {.kind = kind, .shape = shape, .rank = 2, .seed = UINT64_C(0xfedcba9876543210), .offset = UINT64_C(0x100000002)};
    at_init_draw draw = {.seed = desc.seed, .offset = desc.offset, .normal = kind == ACTUNE_KAIMING_NORMAL};
    static char got[ROOM], want[ROOM];
    size_t bytes = (size_t)at_dtype_get(dtype)->bytes;
    void *memory = NULL;
    memset(want, 0x5a, sizeof want);
    CHECK_OK(actune_init_scale(&desc, &draw.scale));
    at_init_plain(dtype, &draw, want + (size_t)skip * bytes, 0, N);
    CHECK_OK(at_cuda_allocate(device, ROOM, &memory));
    CHECK_OK(at_cuda_fill(device, memory, 0x5a, ROOM));
    actune_buffer weight = {(char *)memory + (size_t)skip * bytes, N, dtype};
    CHECK_OK(actune_init(gpu, &desc, &weight, stream));
    CHECK_OK(at_cuda_wait(device, stream));
    CHECK_OK(at_cuda_download(device, got, memory, ROOM));
    CHECK(!memcmp(got, want, ROOM), "%s, kind %d, %d in front", at_dtype_get(dtype)->name, (int)kind, skip);
    at_cuda_free(device, memory);
}

static void every_type(void)
{
    for (int dtype = 0; dtype < AT_DTYPE_WIDE_COUNT; dtype++)
        for (int skip = 0; skip < 2; skip++) {
            compare((actune_dtype)dtype, ACTUNE_KAIMING_NORMAL, skip, NULL);
            compare((actune_dtype)dtype, ACTUNE_XAVIER_UNIFORM, skip, NULL);
        }
    at_cuda_timer timer;
    CHECK_OK(at_cuda_timer_open(device, &timer));
    compare(ACTUNE_F32, ACTUNE_KAIMING_NORMAL, 0, timer.stream);
    at_cuda_timer_close(&timer);
}

static actune_status init_once(const actune_buffer *weight)
{
    const actune_init_desc desc = {.shape = shape, .rank = 2};
    return actune_init(gpu, &desc, weight, NULL);
}

/* A failure is told, and the next call is right. A module that does not load is compiled anew. */
static void failures(void)
{
    actune_buffer weight = {NULL, N, ACTUNE_F32};
    CHECK_OK(at_cuda_allocate(device, ROOM, &weight.data));
    rig_cuda.fail("cuLaunchKernel", 1, 999);
    CHECK(init_once(&weight) == ACTUNE_DEVICE && strstr(actune_last_error(), "cuLaunchKernel"), "a failing launch");
    rig_cuda.fail("", 0, 0);
    CHECK_OK(init_once(&weight));
    actune_context_close(gpu);
    CHECK_OK(open_context("cache"));
    rig_cuda.fail("cuModuleLoadData", 1, 999);
    CHECK_OK(init_once(&weight));
    CHECK(rig_cuda.failed(), "the module was loaded");
    rig_cuda.fail("", 0, 0);
    actune_context_close(gpu);
    CHECK_OK(open_context("empty"));
    rig_nvrtc.fail("nvrtcCompileProgram", 1, 6);
    CHECK(init_once(&weight) == ACTUNE_COMPILE, "no kernel");
    rig_nvrtc.fail("", 0, 0);
    CHECK_OK(init_once(&weight));
    CHECK_OK(at_cuda_wait(device, NULL));
    at_cuda_free(device, weight.data);
}

int main(void)
{
    if (!rig_open())
        return 77;
    CHECK_OK(open_context("cache"));
    CHECK_OK(at_cuda_open(0, &device));
    if (rig_failures == 0) {
        every_type();
        failures();
    }
    actune_context_close(gpu);
    at_cuda_close(device);
    rig_check_clean("at the end");
    rig_close();
    printf("initial weights on the fake driver: %d failed\n", rig_failures);
    return rig_failures != 0;
}
