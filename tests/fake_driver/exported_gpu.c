/* An exported library on a GPU: its CUDA functions against its CPU functions, captured, in place, empty; what it refuses. */
#include <gpu.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            printf("FAILED line %d: %s (%s)\n", __LINE__, #condition, gpu_last_error());     \
            failures++;                                                                       \
        }                                                                                     \
    } while (0)

typedef unsigned long long pointer;
static struct {
    int (*init)(unsigned), (*retain)(void **, int), (*push)(void *), (*pop)(void **), (*alloc)(pointer *, size_t), (*release)(pointer);
    int (*up)(pointer, const void *, size_t, void *), (*down)(void *, pointer, size_t, void *);
    int (*stream)(void **, unsigned), (*sync)(void *), (*end_stream)(void *);
    int (*begin)(void *, int), (*end)(void *, void **), (*instantiate)(void **, void *, unsigned long long), (*launch)(void *, void *);
    int (*end_exec)(void *), (*end_graph)(void *), (*give_back)(int);
} cu;

static void find(void *library, void *slot, const char *name)
{
    void *symbol = dlsym(library, name);
    if (!symbol)
        exit(printf("no %s\n", name));
    memcpy(slot, &symbol, sizeof symbol);
}

static void *open_driver(void)
{
    void *library = dlopen(getenv("ACTUNE_LIBCUDA"), RTLD_NOW), *context;
    find(library, &cu.init, "cuInit"), find(library, &cu.retain, "cuDevicePrimaryCtxRetain"), find(library, &cu.push, "cuCtxPushCurrent_v2");
    find(library, &cu.pop, "cuCtxPopCurrent_v2");
    find(library, &cu.alloc, "cuMemAlloc_v2"), find(library, &cu.release, "cuMemFree_v2");
    find(library, &cu.up, "cuMemcpyHtoDAsync_v2"), find(library, &cu.down, "cuMemcpyDtoHAsync_v2");
    find(library, &cu.stream, "cuStreamCreate"), find(library, &cu.sync, "cuStreamSynchronize"), find(library, &cu.end_stream, "cuStreamDestroy_v2");
    find(library, &cu.begin, "cuStreamBeginCapture_v2"), find(library, &cu.end, "cuStreamEndCapture");
    find(library, &cu.instantiate, "cuGraphInstantiateWithFlags"), find(library, &cu.launch, "cuGraphLaunch");
    find(library, &cu.end_exec, "cuGraphExecDestroy"), find(library, &cu.end_graph, "cuGraphDestroy");
    find(library, &cu.give_back, "cuDevicePrimaryCtxRelease_v2");
    void *stream = NULL;
    CHECK(cu.init(0) == 0 && cu.retain(&context, 0) == 0 && cu.push(context) == 0 && cu.stream(&stream, 1) == 0);
    return stream;
}

enum { ROOM = 4096 };
static float *device(size_t bytes)
{
    pointer memory = 0;
    CHECK(cu.alloc(&memory, bytes ? bytes : 1) == 0);
    return (float *)(uintptr_t)memory;
}
static void fill(float *to, const float *from, int64_t n, void *stream)
{
    if (n)
        CHECK(cu.up((pointer)(uintptr_t)to, from, (size_t)n * 4, stream) == 0);
}
static void fetch(float *to, const float *from, int64_t n, void *stream)
{
    if (n)
        CHECK(cu.down(to, (pointer)(uintptr_t)from, (size_t)n * 4, stream) == 0);
    CHECK(cu.sync(stream) == 0);
}
static int near(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-5f + 1e-5f * fabsf(b[i])))
            return 0;
    return 1;
}

/* y, dx and dbias of one shape; in place: y over x, dx over dy. */
static void compare(void *stream, int64_t outer, int64_t channels, int64_t inner, int in_place)
{
    int64_t n = outer * channels * inner;
    float x[ROOM], dy[ROOM], bias[64], y[ROOM], dx[ROOM], dbias[64], got[ROOM];
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(i * 37 % 101) / 20 - 2.5f, dy[i] = (float)(i * 53 % 89) / 44 - 1;
    for (int64_t c = 0; c < channels; c++)
        bias[c] = (float)c / 8 - 1;
    CHECK(gpu_layer_f32(x, bias, y, outer, channels, inner) == GPU_OK);
    CHECK(gpu_layer_backward_f32(x, dy, bias, dx, dbias, outer, channels, inner) == GPU_OK);
    size_t bytes = gpu_layer_backward_f32_cuda_workspace(outer, channels, inner);
    float *gx = device((size_t)n * 4), *gdy = device((size_t)n * 4), *gbias = device((size_t)channels * 4), *gy = in_place ? gx : device((size_t)n * 4);
    float *gdx = in_place ? gdy : device((size_t)n * 4), *gdbias = device((size_t)channels * 4), *workspace = device(bytes);
    fill(gx, x, n, stream), fill(gdy, dy, n, stream), fill(gbias, bias, channels, stream);
    CHECK(gpu_layer_backward_f32_cuda(0, gx, gdy, gbias, gdx, gdbias, outer, channels, inner, workspace, stream) == GPU_OK);
    CHECK(gpu_layer_f32_cuda(0, gx, gbias, gy, outer, channels, inner, stream) == GPU_OK);
    fetch(got, gy, n, stream);
    CHECK(near(got, y, n));
    fetch(got, gdx, n, stream);
    CHECK(near(got, dx, n));
    fetch(got, gdbias, channels, stream);
    CHECK(near(got, dbias, channels));
    if (bytes > 0)
        CHECK(gpu_layer_backward_f32_cuda(0, gx, gdy, gbias, gdx, gdbias, outer, channels, inner, NULL, stream) == GPU_INVALID_ARGUMENT && strstr(gpu_last_error(), "workspace"));
    float *all[] = {gx, gdy, gbias, gdbias, workspace, in_place ? NULL : gy, in_place ? NULL : gdx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            cu.release((pointer)(uintptr_t)all[i]);
}

static void capture(void *stream)
{
    const float x[5] = {-1, 2, -3, 4, 0}, bias[1] = {0.5f}, expected[5] = {-0.5f, 2.5f, -2.5f, 4.5f, 0.5f};
    float got[5] = {0}, y[5];
    void *graph, *exec;
    float *gx = device(20), *gy = device(20), *gbias = device(4);
    fill(gx, x, 5, stream), fill(gbias, bias, 1, stream);
    CHECK(cu.begin(stream, 1) == 0);
    CHECK(gpu_layer_f32_cuda(0, gx, gbias, gy, 5, 1, 1, stream) == GPU_OK);
    CHECK(cu.end(stream, &graph) == 0 && cu.instantiate(&exec, graph, 0) == 0 && cu.launch(exec, stream) == 0);
    fetch(got, gy, 5, stream);
    CHECK(gpu_layer_f32(x, bias, y, 5, 1, 1) == GPU_OK && near(got, y, 5) && got[1] > 2 && got[1] < expected[1]);
    cu.end_exec(exec), cu.end_graph(graph);
    cu.release((pointer)(uintptr_t)gx), cu.release((pointer)(uintptr_t)gy), cu.release((pointer)(uintptr_t)gbias);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "run";
    float x = 1;
    if (strcmp(what, "run") != 0) { /* what is refused, and its words */
        gpu_status status = gpu_layer_f32_cuda(0, &x, &x, &x + 1, 1, 1, 1, NULL);
        CHECK(strstr(gpu_last_error(), what) != NULL && status != GPU_OK);
        CHECK(gpu_cuda_prewarm(0) == status);
        return failures > 0;
    }
    void *stream = open_driver();
    CHECK(gpu_cuda_prewarm(0) == GPU_OK);
    capture(stream);
    static const int64_t shapes[][3] = {{6, 1, 1}, {9, 7, 1}, {3, 4, 33}, {0, 3, 2}, {40, 64, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int in_place = 0; in_place < 2; in_place++)
            compare(stream, shapes[s][0], shapes[s][1], shapes[s][2], in_place);
    CHECK(gpu_layer_f32_cuda(9, &x, &x, &x + 1, 1, 1, 1, stream) == GPU_DEVICE && strstr(gpu_last_error(), "cuda:9"));
    CHECK(gpu_layer_f32_cuda(0, NULL, &x, &x + 1, 1, 1, 1, stream) == GPU_INVALID_ARGUMENT);
    gpu_release();
    void *context;
    CHECK(cu.end_stream(stream) == 0 && cu.pop(&context) == 0 && cu.give_back(0) == 0);
    puts(failures ? "failed" : "ok");
    return failures > 0;
}
