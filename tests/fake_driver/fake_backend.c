/* The CUDA back end on the fake driver, from the device to the timed graph. What each call does when it fails is in fake_faults.c. */
#include "rig.h"

#include "runtime/backend/cubin.h"
#include "runtime/backend/nvrtc.h"
#include "runtime/base/dtype.h"
#include "tuner/verify.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 3000 };

/* --- the driver is not there, or not in order: each in a process of its own --- */

static void expect_no_driver(const char *library, const char *fail, const char *words)
{
    char path[1024];
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        const at_cuda_api *api;
        snprintf(path, sizeof path, "%s%s", *library == '/' ? "" : ACTUNE_BINARY_DIR "/fake_driver/", library);
        setenv("ACTUNE_LIBCUDA", path, 1);
        if (*fail)
            setenv("ACTUNE_FAKE_FAIL", fail, 1);
        actune_status status = at_cuda_driver(&api);
        CHECK(status == ACTUNE_DEVICE && strstr(actune_last_error(), words), "'%s' in the message", words);
        CHECK(at_cuda_driver(&api) == status, "the answer is kept");
        fflush(stdout);
        _exit(rig_failures);
    }
    int ended;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child && ended == 0, "%s %s", library, fail);
}

static void without_a_driver(void)
{
    expect_no_driver("/nowhere/libcuda.so.1", "", "ACTUNE_LIBCUDA names /nowhere/libcuda.so.1");
    expect_no_driver("libnvrtc.so", "", "has no cuInit");
    expect_no_driver("libcuda.so.1", "cuInit:1:34", "stub library");
    expect_no_driver("libcuda.so.1", "cuInit:1:100", "cuInit failed with 100 (CUDA_ERROR_NO_DEVICE)");
    expect_no_driver("libcuda.so.1", "cuInit:1:999", "cuInit failed with 999 (CUDA_ERROR_UNKNOWN)");
}

/* --- devices --- */

static void devices(void)
{
    int count;
    at_cuda_info info;
    at_cuda_device *device;
    CHECK_OK(at_cuda_count(&count));
    CHECK(count == 2, "%d", count);
    CHECK_OK(at_cuda_info_get(1, &info));
    CHECK(info.ordinal == 1 && info.arch == 90 && info.sms == 4 && info.l2_bytes == 4 << 20 && info.memory_bytes == 1 << 30, "%d", info.arch);
    CHECK(info.driver == 12040 && !strcmp(info.name, "Fake GPU 90"), "%s", info.name);
    CHECK(info.bandwidth_gbps == 256, "%g", info.bandwidth_gbps);
    CHECK(at_cuda_info_get(2, &info) == ACTUNE_DEVICE && strstr(actune_last_error(), "cuda:2"), "there is none");
    CHECK(at_cuda_open(-1, &device) == ACTUNE_DEVICE && !device, "there is none");
    setenv("ACTUNE_FAKE_DEVICES", "0", 1);
    CHECK(at_cuda_count(&count) == ACTUNE_DEVICE && strstr(actune_last_error(), "sees no device"), "no device");
    setenv("ACTUNE_FAKE_DEVICES", "2", 1);
    rig_check_clean("devices");
}

/* --- kernels against the tuner's reference --- */

typedef struct sample {
    const char *spec, *gradient;
    actune_dtype dtype;
    at_layout layout;
    const char *knobs;
} sample;

static const sample sample_list[] = {
    {"gelu", NULL, ACTUNE_F32, AT_LAYOUT_FLAT, NULL},
    {"relu", NULL, ACTUNE_F16, AT_LAYOUT_FLAT, "copy=bulk stages=2 grid=x2 block=64"},
    {"bias | relu", NULL, ACTUNE_F32, AT_LAYOUT_CHANNEL_INNER, NULL},
    {"scale_shift | add | relu", NULL, ACTUNE_F32, AT_LAYOUT_CHANNEL_OUTER, NULL},
    {"bias | relu", "bias", ACTUNE_F32, AT_LAYOUT_CHANNEL_INNER, NULL},
    {"prelu(alpha=learn)", "alpha", ACTUNE_F32, AT_LAYOUT_FLAT, NULL},
};

static void verify(const at_cuda_device *device, const sample *s)
{
    rig_kernel k;
    at_reference reference = {0};
    at_verify_report result = {.passed = false};
    rig_kernel_make(&k, s->spec, s->gradient, s->dtype, s->layout, s->knobs);
    at_verify_target target = {.run = rig_run, .run_user = &k};
    CHECK_OK(rig_kernel_build(&k, device, NULL));
    CHECK(k.built && k.built->registers == 32 && k.built->max_threads == k.geometry.block, "what the driver says of %s", s->spec);
    CHECK(k.built && k.built->compile_ms > 0 && !strcmp(k.built->origin, "NVRTC 12.4, cubin for sm_90"), "%s", k.built ? k.built->origin : "");
    CHECK_OK(at_reference_init(&reference, &k.kernel, k.layout, 1));
    CHECK_OK(at_verify(&reference, &target, &result));
    CHECK(result.passed, "%s: %s", s->spec, result.detail);
    at_reference_clear(&reference);
    rig_kernel_clear(&k);
}

static void kernels(const at_cuda_device *device)
{
    for (size_t i = 0; i < sizeof sample_list / sizeof *sample_list; i++)
        verify(device, &sample_list[i]);
}

/* --- the cache of cubins --- */

static at_cache *open_cache(const char *name)
{
    char path[128];
    at_cache *cache = NULL;
    snprintf(path, sizeof path, "%s/%s", rig_folder, name);
    CHECK_OK(at_cache_open(path, &cache));
    return cache;
}

static int compiles(void)
{
    return rig_count(&rig_nvrtc, "nvrtcCompileProgram");
}

static void cubins(const at_cuda_device *device)
{
    rig_kernel k;
    at_cache *cache = open_cache("cubins");
    rig_kernel_make(&k, "relu", NULL, ACTUNE_F32, AT_LAYOUT_FLAT, NULL);
    at_cuda_request request = {.source = at_strbuf_text(&k.source), .symbol = "kernel", .no_compile = true};
    CHECK(at_cuda_kernel_build(device, cache, &request, &k.built) == ACTUNE_NOT_FOUND && !k.built, "an empty cache");
    int before = compiles();
    CHECK_OK(rig_kernel_build(&k, device, cache));
    CHECK(compiles() == before + 1 && k.built->compile_ms > 0, "a miss compiles");
    at_hash first = k.built->code_hash;
    rig_kernel_unload(&k);
    CHECK_OK(rig_kernel_build(&k, device, cache));
    CHECK(compiles() == before + 1 && k.built->compile_ms == 0, "a hit does not");
    CHECK(!strcmp(first.hex, k.built->code_hash.hex) && !k.built->ptx, "the same code");
    rig_kernel_unload(&k);
    /* A cached cubin that the driver refuses is compiled again. */
    rig_cuda.fail("cuModuleLoadData", 1, 209);
    CHECK_OK(rig_kernel_build(&k, device, cache));
    CHECK(compiles() == before + 2 && rig_cuda.failed(), "compiled again");
    rig_kernel_unload(&k);
    CHECK_OK(at_cuda_kernel_build(device, cache, &request, &k.built));
    rig_kernel_clear(&k);
    at_cache_close(cache);
}

/* Files that differ in names, lengths and data that no kernel reads, but not in what runs. */
static void twins(const at_cuda_device *device)
{
    static const char *const sources[] = {
        "extern \"C\" __global__ void one(float *y) { y[threadIdx.x] = 1; }\n",
        "extern \"C\" __global__ void a_twin_of_a_longer_name(float *y) { y[threadIdx.x] = 1; }\n",
        "extern \"C\" __global__ void three(float *y) { y[threadIdx.x] = 3; }\n"};
    static const char *const symbols[] = {"one", "a_twin_of_a_longer_name", "three"};
    at_cuda_kernel *kernel[3] = {NULL};
    for (int i = 0; i < 3; i++)
        CHECK_OK(at_cuda_kernel_build(device, NULL, &(at_cuda_request){.source = sources[i], .symbol = symbols[i]}, &kernel[i]));
    if (kernel[0] && kernel[1] && kernel[2]) {
        CHECK(!strcmp(kernel[0]->code_hash.hex, kernel[1]->code_hash.hex), "what runs is the same");
        CHECK(strcmp(kernel[0]->code_hash.hex, kernel[2]->code_hash.hex), "what runs is not");
        CHECK(kernel[0]->code_bytes == kernel[1]->code_bytes && kernel[0]->code_bytes < 4096, "%zu bytes", kernel[0]->code_bytes);
    }
    for (int i = 0; i < 3; i++)
        at_cuda_kernel_destroy(kernel[i]);
}

static void bad_text(const at_cuda_device *device)
{
    at_cuda_kernel *kernel;
    at_cuda_request request = {.source = "extern \"C\" __global__ void kernel(float *y) { y[0] = missing; }\n", .symbol = "kernel"};
    CHECK(at_cuda_kernel_build(device, NULL, &request, &kernel) == ACTUNE_COMPILE && !kernel, "an error in the text");
    CHECK(strstr(actune_last_error(), "'missing'") && strstr(actune_last_error(), "sm_90"), "NVRTC's words");
    request.source = "extern \"C\" __global__ void other(float *y) { y[0] = 1; }\n";
    CHECK(at_cuda_kernel_build(device, NULL, &request, &kernel) == ACTUNE_DEVICE && !kernel, "another kernel");
    CHECK(strstr(actune_last_error(), "cuModuleGetFunction failed with 500 (CUDA_ERROR_NOT_FOUND)"), "which is not there");
}

/* What is known of a kernel without a device: the fake's cubins and logs are read as real ones are. */
static actune_status read_cubin(const char *source, const char *symbol, at_cubin_kernel *kernel)
{
    at_nvrtc_output output;
    AT_TRY(at_nvrtc_compile(source, "kernel.cu", 90, true, &output));
    CHECK(output.registers == 32 && output.spill_bytes == 24, "%d registers, %d bytes spilled", output.registers, output.spill_bytes);
    actune_status status = at_cubin_read(output.code, output.bytes, symbol, kernel);
    CHECK(output.shared_bytes == kernel->shared_bytes, "%d and %d", output.shared_bytes, kernel->shared_bytes);
    at_nvrtc_output_clear(&output);
    return status;
}

static void without_a_device(void)
{
    at_cubin_kernel one, twin, other, shared;
    setenv("ACTUNE_FAKE_SPILL_BYTES", "12", 1);
    CHECK_OK(read_cubin("extern \"C\" __global__ void one(float *y) { y[threadIdx.x] = 1; }\n", "one", &one));
    CHECK_OK(read_cubin("extern \"C\" __global__ void twin(float *y) { y[threadIdx.x] = 1; }\n", "twin", &twin));
    CHECK_OK(read_cubin("extern \"C\" __global__ void other(float *y) { y[threadIdx.x] = 2; }\n", "other", &other));
    CHECK_OK(read_cubin("extern \"C\" __global__ void shared(float *y) { __shared__ float s[64]; s[threadIdx.x] = 1; __syncthreads(); "
                        "y[threadIdx.x] = s[0]; }\n", "shared", &shared));
    unsetenv("ACTUNE_FAKE_SPILL_BYTES");
    CHECK(one.registers == 32 && one.code_bytes > 0 && one.shared_bytes == 0, "%d", one.registers);
    CHECK(shared.shared_bytes >= 256 && shared.shared_bytes < 256 + 16, "%d", shared.shared_bytes); /* padding */
    CHECK(!strcmp(one.code_hash.hex, twin.code_hash.hex), "a name is no difference");
    CHECK(strcmp(one.code_hash.hex, other.code_hash.hex), "other code is");
}

/* A device that is newer than NVRTC gets PTX of the newest architecture that NVRTC knows. */
static void newer_device(void)
{
    rig_kernel k;
    at_cuda_device *device = NULL;
    setenv("ACTUNE_FAKE_ARCH", "120", 1);
    CHECK_OK(at_cuda_open(0, &device));
    rig_kernel_make(&k, "relu", NULL, ACTUNE_F32, AT_LAYOUT_FLAT, NULL);
    CHECK_OK(rig_kernel_build(&k, device, NULL));
    CHECK(k.built && k.built->ptx && strstr(k.built->origin, "PTX"), "%s", k.built ? k.built->origin : "");
    rig_kernel_clear(&k);
    at_cuda_close(device);
    unsetenv("ACTUNE_FAKE_ARCH");
}

/* --- memory --- */

static void memory(const at_cuda_device *device)
{
    char bytes[300], back[300];
    void *piece = NULL, *huge = NULL;
    int64_t before, after;
    memset(bytes, 7, sizeof bytes);
    CHECK_OK(at_cuda_free_bytes(device, &before));
    CHECK_OK(at_cuda_allocate(device, sizeof bytes, &piece));
    CHECK((uintptr_t)piece % 256 == 0, "%p", piece);
    CHECK_OK(at_cuda_free_bytes(device, &after));
    CHECK(after == before - (int64_t)sizeof bytes, "%lld", (long long)(before - after));
    CHECK_OK(at_cuda_upload(device, piece, bytes, sizeof bytes));
    CHECK_OK(at_cuda_fill(device, piece, 9, 10));
    CHECK_OK(at_cuda_download(device, back, piece, sizeof back));
    CHECK(back[9] == 9 && !memcmp(back + 10, bytes + 10, sizeof bytes - 10), "what was put there");
    CHECK(at_cuda_allocate(device, (size_t)1 << 40, &huge) == ACTUNE_NO_MEMORY && !huge, "too much");
    CHECK(strstr(actune_last_error(), "cuMemAlloc_v2 failed with 2 (CUDA_ERROR_OUT_OF_MEMORY)"), "is said");
    at_cuda_free(device, piece);
    at_cuda_free(device, NULL);
    rig_mend();
}

/* The fake catches what a GPU may let pass: these are mistakes of a caller, each must be written down. */
static void expect_mistake(const char *words, actune_status status)
{
    const char *text = rig_report();
    CHECK(strstr(text, words), "'%s' in the report: %s", words, text);
    CHECK(status != ACTUNE_OK, "%s must fail", words);
    rig_mend();
}

static void mistakes(const at_cuda_device *device, const at_cuda_device *other)
{
    char host[256];
    void *piece = NULL, *foreign = NULL;
    CHECK_OK(at_cuda_allocate(device, 256, &piece));
    CHECK_OK(at_cuda_allocate(other, 256, &foreign));
    expect_mistake("is not device memory", at_cuda_fill(device, host, 0, sizeof host));
    expect_mistake("reach beyond", at_cuda_upload(device, (char *)piece + 1, host, 256));
    expect_mistake("memory of another device", at_cuda_fill(device, foreign, 0, 256));
    expect_mistake("without a context", AT_CUDA(device->api, cuMemFree_v2, ((uintptr_t)piece)));
    at_cuda_free(other, foreign);
    at_cuda_free(device, piece);
    expect_mistake("was freed", at_cuda_fill(device, piece, 0, 256));
}

/* --- asynchronous work --- */

typedef struct sums {
    rig_kernel k;
    at_cuda_launch launch;
    at_cuda_workspaces workspaces;
    float *x, *dy;
    void *port[AT_PORTS_MAX];
} sums;

/* prelu backward: x, dy, alpha -> dx, dalpha */
static void sums_open(sums *s, const at_cuda_device *device)
{
    actune_shape shape = {1, 1, N};
    float alpha = 0.25f;
    *s = (sums){.x = calloc(N, sizeof(float)), .dy = calloc(N, sizeof(float))};
    rig_kernel_make(&s->k, "prelu(alpha=learn)", "alpha", ACTUNE_F32, AT_LAYOUT_FLAT, NULL);
    CHECK_OK(rig_kernel_build(&s->k, device, NULL));
    CHECK_OK(rig_launch_of(&s->k, shape, &s->launch));
    CHECK(s->launch.workspace_bytes > 0, "sums need a workspace");
    CHECK_OK(at_cuda_workspaces_init(&s->workspaces, device, s->launch.workspace_bytes));
    for (int i = 0; i < N; i++) {
        s->x[i] = (float)(i % 3 - 1);
        s->dy[i] = 1;
    }
    for (int p = 0; p < s->k.kernel.signature.ports; p++)
        CHECK_OK(at_cuda_allocate(device, (size_t)at_port_count(&s->k.kernel.signature.port[p], shape) * 4, &s->port[p]));
    CHECK_OK(at_cuda_upload(device, s->port[0], s->x, N * sizeof(float)));
    CHECK_OK(at_cuda_upload(device, s->port[1], s->dy, N * sizeof(float)));
    CHECK_OK(at_cuda_upload(device, s->port[2], &alpha, sizeof alpha));
}

static void sums_close(sums *s, const at_cuda_device *device)
{
    for (int p = 0; p < s->k.kernel.signature.ports; p++)
        at_cuda_free(device, s->port[p]);
    at_cuda_workspaces_clear(&s->workspaces);
    rig_kernel_clear(&s->k);
    free(s->x);
    free(s->dy);
}

static actune_status sums_put(void *user, at_cu_stream stream)
{
    sums *s = user;
    void *partial;
    AT_TRY(at_cuda_workspace_get(&s->workspaces, stream, false, &partial));
    return at_cuda_launch_run(&s->launch, s->port, partial, stream);
}

static float sums_result(const sums *s, const at_cuda_device *device)
{
    float sum = 0;
    CHECK_OK(at_cuda_download(device, &sum, s->port[4], sizeof sum));
    return sum;
}

static void clear_result(const sums *s, const at_cuda_device *device)
{
    CHECK_OK(at_cuda_fill(device, s->port[4], 0xff, sizeof(float)));
}

static void streams(const at_cuda_device *device, sums *s)
{
    at_cuda_timer first, second;
    void *one, *two, *again;
    int before = rig_living();
    CHECK_OK(at_cuda_timer_open(device, &first));
    CHECK_OK(at_cuda_timer_open(device, &second));
    clear_result(s, device);
    CHECK_OK(sums_put(s, first.stream));
    CHECK(sums_result(s, device) != -1000, "without a wait nothing is there");
    CHECK_OK(at_cuda_wait(device, first.stream));
    CHECK(sums_result(s, device) == -1000, "%g", (double)sums_result(s, device));
    CHECK_OK(at_cuda_workspace_get(&s->workspaces, first.stream, false, &one));
    CHECK_OK(at_cuda_workspace_get(&s->workspaces, second.stream, false, &two));
    CHECK_OK(at_cuda_workspace_get(&s->workspaces, first.stream, false, &again));
    CHECK(one != two && one == again, "streams have workspaces of their own");
    at_cuda_timer_close(&first);
    at_cuda_timer_close(&second);
    CHECK(rig_living() == before, "%d", rig_living() - before);
}

static actune_status put_plain(void *user, at_cu_stream stream)
{
    sums *s = user;
    return at_cuda_launch_run(&s->launch, s->port, atomic_load(&s->workspaces.memory[0]), stream);
}

static void first_launch(const at_cuda_device *device, sums *s)
{
    at_cuda_timer timer;
    at_cu_graph_exec graph = NULL;
    CHECK_OK(at_cuda_timer_open(device, &timer));
    CHECK_OK(at_cuda_graph_capture(&timer, put_plain, s, &graph));
    at_cuda_graph_destroy(&timer, graph);
    at_cuda_timer_close(&timer);
}

static actune_status allocate_inside(void *user, at_cu_stream stream)
{
    void *memory;
    (void)stream;
    return at_cuda_allocate(user, 256, &memory);
}

static void graphs(const at_cuda_device *device, sums *s)
{
    at_cuda_timer timer;
    at_cu_graph_exec graph = NULL;
    double ns = 0, twice = 0;
    CHECK_OK(at_cuda_timer_open(device, &timer));
    CHECK(at_cuda_graph_capture(&timer, sums_put, s, &graph) == ACTUNE_INVALID_ARGUMENT && !graph, "no workspace in a capture");
    CHECK(strstr(actune_last_error(), "being captured"), "is said");
    clear_result(s, device);
    CHECK_OK(at_cuda_graph_capture(&timer, put_plain, s, &graph));
    CHECK(sums_result(s, device) != -1000, "a capture runs nothing");
    CHECK_OK(at_cuda_graph_time(&timer, graph, &ns));
    CHECK(sums_result(s, device) == -1000, "%g", (double)sums_result(s, device));
    CHECK_OK(at_cuda_graph_time(&timer, graph, &twice));
    CHECK(ns > 1000 && ns < 1e6 && twice > 0.999 * ns && twice < 1.001 * ns, "%g ns, %g ns", ns, twice);
    at_cuda_graph_destroy(&timer, graph);
    CHECK(at_cuda_graph_capture(&timer, allocate_inside, (void *)device, &graph) == ACTUNE_DEVICE, "memory in a capture");
    CHECK(strstr(actune_last_error(), "cuMemAlloc_v2 failed with 900"), "is said");
    CHECK(strstr(rig_report(), "cuMemAlloc_v2 while a stream is captured"), "and seen");
    CHECK_OK(at_cuda_graph_capture(&timer, put_plain, s, &graph)); /* the stream is not lost */
    at_cuda_graph_destroy(&timer, graph);
    at_cuda_timer_close(&timer);
}

enum { THREADS = 4, ROUNDS = 5 };

typedef struct worker {
    pthread_t thread;
    const at_cuda_device *device;
    sums *s;
    void *partial;
    int wrong;
} worker;

static void *work(void *user)
{
    worker *w = user;
    at_cuda_timer timer;
    w->wrong = at_cuda_timer_open(w->device, &timer) != ACTUNE_OK;
    for (int i = 0; i < ROUNDS && !w->wrong; i++)
        w->wrong = at_cuda_workspace_get(&w->s->workspaces, timer.stream, false, &w->partial) != ACTUNE_OK ||
                   at_cuda_launch_run(&w->s->launch, w->s->port, w->partial, timer.stream) != ACTUNE_OK ||
                   at_cuda_wait(w->device, timer.stream) != ACTUNE_OK;
    at_cuda_timer_close(&timer);
    return NULL;
}

static void threads(const at_cuda_device *device, sums *s)
{
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.device = device, .s = s};
        CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]), "a thread");
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        CHECK(!workers[i].wrong, "thread %d", i);
        for (int k = 0; k < i; k++)
            CHECK(workers[i].partial != workers[k].partial, "threads share a workspace");
    }
    CHECK(sums_result(s, device) == -1000, "%g", (double)sums_result(s, device));
}

static void asynchronous(const at_cuda_device *device)
{
    sums s;
    sums_open(&s, device);
    first_launch(device, &s);
    streams(device, &s);
    graphs(device, &s);
    threads(device, &s);
    sums_close(&s, device);
}

int main(void)
{
    at_cuda_device *device = NULL, *other = NULL;
    without_a_driver();
    if (!rig_open())
        return 77;
    devices();
    without_a_device();
    newer_device();
    CHECK_OK(at_cuda_open(0, &device));
    CHECK_OK(at_cuda_open(1, &other));
    if (device && other) {
        kernels(device);
        cubins(device);
        twins(device);
        bad_text(device);
        memory(other);
        asynchronous(device);
        mistakes(device, other);
    }
    at_cuda_close(other);
    at_cuda_close(device);
    rig_check_clean("at the end");
    rig_close();
    printf("CUDA back end on the fake driver: %d failed\n", rig_failures);
    return rig_failures != 0;
}
