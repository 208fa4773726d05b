/* The epilogues of a network on a GPU: two streams, and a captured graph that is launched again and again. Kernels are compiled when their plans
   are made and loaded before the capture (actune_prewarm), so nothing in the loop compiles, allocates or waits.

       cc mlp_cuda.c $(pkg-config --cflags --libs actune) -I$CUDA_HOME/include -lcuda -o mlp_cuda && ./mlp_cuda */
#include <actune/actune.h>
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 64, FEATURES = 96, COUNT = ROWS * FEATURES, STREAMS = 2, LAUNCHES = 5 };

static void must(actune_status status)
{
    if (status != ACTUNE_OK) {
        fprintf(stderr, "mlp_cuda: %s\n", actune_last_error());
        exit(1);
    }
}

static void must_cuda(CUresult result, const char *call)
{
    const char *name = "unknown";
    if (result == CUDA_SUCCESS)
        return;
    cuGetErrorName(result, &name);
    fprintf(stderr, "mlp_cuda: %s: %s\n", call, name);
    exit(1);
}
#define CUDA(call) must_cuda(call, #call)

static CUdeviceptr upload(const float *values, size_t count)
{
    CUdeviceptr memory;
    CUDA(cuMemAlloc(&memory, count * sizeof *values));
    CUDA(cuMemcpyHtoDAsync(memory, values, count * sizeof *values, NULL));
    CUDA(cuStreamSynchronize(NULL));
    return memory;
}

/* bias, activation and clip, then the gate with the other tensor: two kernels, one behind the other on the stream. */
static void enqueue(actune_plan *const plan[2], CUdeviceptr x, CUdeviceptr bias, CUdeviceptr gate, CUdeviceptr hidden, CUdeviceptr y, CUstream stream)
{
    actune_buffer first[] = {{(void *)x, COUNT, ACTUNE_F32}, {(void *)bias, FEATURES, ACTUNE_F32}, {(void *)hidden, COUNT, ACTUNE_F32}};
    actune_buffer second[] = {{(void *)hidden, COUNT, ACTUNE_F32}, {(void *)gate, COUNT, ACTUNE_F32}, {(void *)y, COUNT, ACTUNE_F32}};
    must(actune_execute_on(plan[0], first, 3, stream, NULL));
    must(actune_execute_on(plan[1], second, 3, stream, NULL));
}

int main(void)
{
    static float x[COUNT], bias[FEATURES], gate[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i % 29 - 14) / 4, gate[i] = (float)(i % 5) / 2;
    for (int i = 0; i < FEATURES; i++)
        bias[i] = (float)i / FEATURES;

    actune_context *context;
    actune_context_options options = {.device = "cuda:0"};
    must(actune_context_open(&options, &context));
    CUdevice device;
    CUcontext primary;
    CUDA(cuInit(0));
    CUDA(cuDeviceGet(&device, 0));
    CUDA(cuDevicePrimaryCtxRetain(&primary, device)); /* the one that actune and the CUDA runtime use */
    CUDA(cuCtxPushCurrent(primary));

    actune_plan *plan[2];
    must(actune_plan_create(context, &(actune_plan_desc){.spec = "bias | relu | clip(0, 3)", .shape = {ROWS, FEATURES, 1}}, &plan[0]));
    must(actune_plan_create(context, &(actune_plan_desc){.spec = "mul", .shape = {1, 1, COUNT}}, &plan[1]));

    CUdeviceptr dx = upload(x, COUNT), dbias = upload(bias, FEATURES), dgate = upload(gate, COUNT);
    CUdeviceptr hidden[STREAMS], dy[STREAMS];
    CUstream stream[STREAMS];
    for (int s = 0; s < STREAMS; s++) {
        hidden[s] = upload(x, COUNT);
        dy[s] = upload(x, COUNT);
        CUDA(cuStreamCreate(&stream[s], CU_STREAM_NON_BLOCKING));
        must(actune_prewarm(plan[0], stream[s]));
        must(actune_prewarm(plan[1], stream[s]));
        enqueue(plan, dx, dbias, dgate, hidden[s], dy[s], stream[s]); /* streams do not wait for one another */
    }
    for (int s = 0; s < STREAMS; s++)
        CUDA(cuStreamSynchronize(stream[s]));

    CUgraph graph;
    CUgraphExec ready;
    CUDA(cuStreamBeginCapture(stream[0], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    enqueue(plan, dx, dbias, dgate, hidden[0], dy[0], stream[0]);
    CUDA(cuStreamEndCapture(stream[0], &graph));
    CUDA(cuGraphInstantiate(&ready, graph, 0));
    for (int i = 0; i < LAUNCHES; i++)
        CUDA(cuGraphLaunch(ready, stream[0]));
    CUDA(cuStreamSynchronize(stream[0]));

    int wrong = 0;
    for (int s = 0; s < STREAMS; s++) {
        CUDA(cuMemcpyDtoHAsync(y, dy[s], sizeof y, stream[s]));
        CUDA(cuStreamSynchronize(stream[s]));
        for (int i = 0; i < COUNT; i++) {
            float h = x[i] + bias[i % FEATURES];
            h = h < 0 ? 0 : h > 3 ? 3 : h;
            wrong += y[i] != h * gate[i];
        }
    }
    printf("%d kernels in a graph, launched %d times; %d streams; %d of %d results wrong\n", 2, LAUNCHES, STREAMS, wrong, STREAMS * COUNT);

    CUDA(cuGraphExecDestroy(ready));
    CUDA(cuGraphDestroy(graph));
    for (int s = 0; s < STREAMS; s++) {
        CUDA(cuStreamDestroy(stream[s]));
        CUDA(cuMemFree(hidden[s]));
        CUDA(cuMemFree(dy[s]));
    }
    CUDA(cuMemFree(dx));
    CUDA(cuMemFree(dbias));
    CUDA(cuMemFree(dgate));
    actune_plan_destroy(plan[0]);
    actune_plan_destroy(plan[1]);
    actune_context_close(context);
    CUDA(cuDevicePrimaryCtxRelease(device));
    return wrong != 0;
}
