/* Every call of the driver and of NVRTC fails once, at its first, second ... time: each ends in a message that names the call, the code and
   the code's name, or does no harm; nothing is left behind, and the next run is right. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

enum { N = 2000, TIMES_MAX = 1000, CODE = 999, NVRTC_CODE = 1 };

/* What a run makes, so that what is there can be given back wherever it ends. */
typedef struct story {
    at_cuda_device *device;
    at_cache *cache;
    at_cuda_launch launch;
    at_cuda_workspaces workspaces;
    at_cuda_timer timer;
    at_cu_graph_exec graph;
    void *port[AT_PORTS_MAX];
    float result[2];
} story;

static rig_kernel k; /* its text is made once */
static float input[N];
static int pushes; /* of contexts before things were given back, in the last run */

static actune_status prepare(story *s)
{
    int count;
    AT_TRY(at_cuda_count(&count));
    AT_TRY(at_cuda_open(0, &s->device));
    AT_TRY(rig_kernel_build(&k, s->device, s->cache));
    AT_TRY(rig_launch_of(&k, (actune_shape){1, 1, N}, &s->launch));
    AT_TRY(at_cuda_workspaces_init(&s->workspaces, s->device, s->launch.workspace_bytes));
    return at_cuda_timer_open(s->device, &s->timer);
}

static actune_status fill(story *s)
{
    const at_signature *signature = &k.kernel.signature;
    int64_t left;
    AT_TRY(at_cuda_free_bytes(s->device, &left));
    for (int p = 0; p < signature->ports; p++) {
        size_t bytes = sizeof(float) * (size_t)at_port_count(&signature->port[p], (actune_shape){1, 1, N});
        AT_TRY(at_cuda_allocate(s->device, bytes, &s->port[p]));
        if (p < 2)
            AT_TRY(at_cuda_upload(s->device, s->port[p], input, bytes));
        else
            AT_TRY(at_cuda_fill(s->device, s->port[p], 0, bytes));
    }
    return ACTUNE_OK;
}

static actune_status put(void *user, at_cu_stream stream)
{
    story *s = user;
    return at_cuda_launch_run(&s->launch, s->port, atomic_load(&s->workspaces.memory[1]), stream);
}

static actune_status execute(story *s)
{
    void *partial;
    double ns;
    AT_TRY(at_cuda_workspace_get(&s->workspaces, s->timer.stream, true, &partial));
    AT_TRY(at_cuda_launch_run(&s->launch, s->port, partial, s->timer.stream));
    AT_TRY(at_cuda_wait(s->device, s->timer.stream));
    AT_TRY(at_cuda_download(s->device, &s->result[0], s->port[4], sizeof(float)));
    AT_TRY(at_cuda_fill(s->device, s->port[4], 0, sizeof(float)));
    AT_TRY(at_cuda_graph_capture(&s->timer, put, s, &s->graph));
    AT_TRY(at_cuda_graph_time(&s->timer, s->graph, &ns));
    return at_cuda_download(s->device, &s->result[1], s->port[4], sizeof(float));
}

static void give_back(story *s)
{
    for (int p = 0; s->device && p < AT_PORTS_MAX; p++)
        at_cuda_free(s->device, s->port[p]);
    if (s->graph)
        at_cuda_graph_destroy(&s->timer, s->graph);
    at_cuda_timer_close(&s->timer);
    at_cuda_workspaces_clear(&s->workspaces);
    rig_kernel_unload(&k);
    at_cuda_close(s->device);
}

/* The whole path; `cache` NULL: compiles. */
static actune_status run(at_cache *cache)
{
    story s = {.cache = cache, .result = {-1, -1}};
    int pushed = rig_count(&rig_cuda, "cuCtxPushCurrent_v2");
    actune_status status = prepare(&s);
    if (status == ACTUNE_OK)
        status = fill(&s);
    if (status == ACTUNE_OK)
        status = execute(&s);
    char message[2048];
    snprintf(message, sizeof message, "%s", actune_last_error());
    pushes = rig_count(&rig_cuda, "cuCtxPushCurrent_v2") - pushed;
    give_back(&s);
    CHECK(status != ACTUNE_OK || (s.result[0] == N && s.result[1] == N), "a wrong result: %g and %g", (double)s.result[0], (double)s.result[1]);
    return status == ACTUNE_OK ? ACTUNE_OK : at_fail(status, "%s", message);
}

/* Calls whose failure is no failure of the whole: what is given back is given back, what is asked for out of interest has another answer. */
static bool is_harmless(const char *name, int nth)
{
    static const char *const list[] = {"cuDevicePrimaryCtxRelease_v2", "cuCtxGetCurrent", "cuCtxPopCurrent_v2", "cuModuleUnload", "cuMemFree_v2", "cuStreamDestroy_v2",
                                       "cuEventDestroy_v2", "cuGraphDestroy", "cuGraphExecDestroy", "cuGetErrorName", "nvrtcDestroyProgram",
                                       "nvrtcVersion", "nvrtcGetNumSupportedArchs", "nvrtcGetSupportedArchs"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (!strcmp(list[i], name))
            return true;
    return !strcmp(name, "cuDeviceGetAttribute") && nth > 3; /* the memory's clock, bus and L2 */
}

static void judge(const char *name, int nth, actune_status status, const char *expected)
{
    const char *text = rig_report();
    if (status == ACTUNE_OK)
        CHECK(is_harmless(name, nth), "failure %d of %s is not noticed", nth, name);
    else
        CHECK(strstr(actune_last_error(), expected) && strstr(actune_last_error(), name), "failure %d of %s", nth, name);
    CHECK(!*text, "failure %d of %s: %s", nth, name, text);
    CHECK(rig_living() == 0, "failure %d of %s leaves %d things behind", nth, name, rig_living());
}

/* Each time that a run makes this call; returns how many runs that were. Without a context nothing can be given back: pushing it fails
   before that alone. */
static int fail_each(const rig_library *library, const char *name, int code, const char *expected, at_cache *cache)
{
    CHECK_OK(run(cache));
    int last = strcmp(name, "cuCtxPushCurrent_v2") ? TIMES_MAX : pushes, nth = 1;
    for (; nth <= last; nth++) {
        library->fail(name, nth, code);
        actune_status status = run(cache);
        if (!library->failed())
            break;
        judge(name, nth, status, expected);
    }
    library->fail("", 0, 0);
    return nth - 1;
}

static void fail_all(const rig_library *library, int code, const char *expected, at_cache *cache)
{
    const char *names[128];
    int count = 0, runs = 0;
    while (library->call_name(count)) {
        names[count] = library->call_name(count);
        count++;
    }
    for (int i = 0; i < count; i++) {
        int failed = fail_each(library, names[i], code, expected, cache);
        runs += failed;
        if (failed)
            printf("%-46s failed %d times\n", names[i], failed);
    }
    CHECK(runs >= count - 1, "only %d runs", runs);
    CHECK_OK(run(cache));
    rig_check_clean("after all failures");
}

/* A call that is added to the back end, and not to `run`, would escape. */
static void all_are_made(void)
{
    static const char *const others[] = {"cuInit" /* fake_backend.c */, "cuGetErrorString", "cuMemcpyDtoDAsync_v2",
                                         "cuLaunchKernelEx" /* fake_plan.c */};
    static const char *const names[] = {
#define AT_CUDA_SYMBOL(name, arguments) #name,
#define AT_CUDA_OPTIONAL(name, arguments) #name,
#include "runtime/backend/cuda_symbols.def"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool other = rig_count(&rig_cuda, names[i]) > 0;
        for (size_t n = 0; n < sizeof others / sizeof *others; n++)
            other |= !strcmp(others[n], names[i]);
        CHECK(other, "%s is never called here", names[i]);
    }
}

/* A cubin of the cache that the driver refuses is compiled again; without NVRTC that is a clear error. */
static void refused_cubin(at_cache *cache)
{
    rig_cuda.fail("cuModuleLoadData", 1, 209);
    CHECK_OK(run(cache));
    rig_cuda.fail("cuModuleLoadData", 1, 2);
    CHECK(run(cache) == ACTUNE_NO_MEMORY, "no memory is no reason to compile");
    CHECK(strstr(actune_last_error(), "cuModuleLoadData failed with 2 (CUDA_ERROR_OUT_OF_MEMORY)"), "is said");
    rig_check_clean("a refused cubin");
}

/* After a kernel's failure every call fails until the process ends: no wait without end, nothing lost that is ours. */
static void lost_context(void)
{
    static const char *const calls[] = {"cuLaunchKernel", "cuStreamSynchronize", "cuMemcpyDtoHAsync_v2", "cuEventSynchronize"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        rig_cuda.fail(calls[i], 1, 700);
        CHECK(run(NULL) == ACTUNE_DEVICE && strstr(actune_last_error(), "failed with 700 (CUDA_ERROR_ILLEGAL_ADDRESS): a kernel touched"), "%s", calls[i]);
        CHECK(strstr(actune_last_error(), calls[i]), "%s", calls[i]);
        CHECK(run(NULL) == ACTUNE_DEVICE && strstr(actune_last_error(), "failed with 700"), "stays lost");
        rig_mend();
        rig_check_clean(calls[i]);
    }
    CHECK_OK(run(NULL));
}

int main(void)
{
    at_cache *cache = NULL;
    if (!rig_open())
        return 77;
    for (int i = 0; i < N; i++)
        input[i] = -1;
    rig_kernel_make(&k, "prelu(alpha=learn)", "alpha", ACTUNE_F32, AT_LAYOUT_FLAT, NULL);
    char path[96];
    snprintf(path, sizeof path, "%s/cubins", rig_folder);
    CHECK_OK(at_cache_open(path, &cache));
    CHECK_OK(run(cache));
    rig_check_clean("without a failure");
    fail_all(&rig_cuda, CODE, "failed with 999 (CUDA_ERROR_UNKNOWN)", NULL);
    fail_all(&rig_nvrtc, NVRTC_CODE, "failed with 1 (NVRTC_ERROR_OUT_OF_MEMORY)", NULL);
    all_are_made();
    refused_cubin(cache);
    lost_context();
    rig_kernel_clear(&k);
    at_cache_close(cache);
    rig_close();
    printf("failures of the driver and of NVRTC: %d went wrong\n", rig_failures);
    return rig_failures != 0;
}
