/* Lists of tensors on the fake driver: clipping by norm and by value in every type, on a stream, captured, what is refused, and with every
   call failing in turn. Results are compared with those of the CPU, whose own test has the oracle. */
#include "rig.h"

#include "codegen/list_kernel.h"
#include "runtime/base/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS = 6, TIMES_MAX = 200 };
static const int64_t counts[TENSORS] = {1, 0, 37, 4096, 16384 + 515, 130};

static actune_context *cpu, *gpu;
static at_cuda_device *device;
static actune_dtype dtype;
static actune_buffer host[TENSORS], there[TENSORS];
static actune_tensor_list *here, *list; /* of them */

static size_t bytes_of(int i)
{
    return (size_t)counts[i] * (size_t)at_dtype_get(dtype)->bytes;
}

/* `special` stands somewhere in the middle, unless it is 0. Every second tensor is one element off its alignment. */
static void fill(double scale, double special)
{
    for (int i = 0; i < TENSORS; i++) {
        for (int64_t k = 0; k < counts[i]; k++)
            at_dtype_store(dtype, host[i].data, k, scale * (double)((k * 37 + i * 11) % 61 - 30) / 100);
        if (i == 4 && special != 0)
            at_dtype_store(dtype, host[i].data, 16390, special);
        CHECK_OK(at_cuda_upload(device, there[i].data, host[i].data, bytes_of(i)));
    }
}

static void open_tensors(actune_dtype type)
{
    dtype = type;
    size_t size = (size_t)at_dtype_get(type)->bytes;
    for (int i = 0; i < TENSORS; i++) {
        host[i] = there[i] = (actune_buffer){malloc(bytes_of(i) + 1), counts[i], type};
        CHECK_OK(at_cuda_allocate(device, bytes_of(i) + size, &there[i].data));
        there[i].data = (char *)there[i].data + (i % 2 ? size : 0);
    }
    setenv("ACTUNE_INTERPRET", "1", 1); /* plain loops: nothing to compile */
    CHECK_OK(actune_tensor_list_create(cpu, host, TENSORS, &here));
    unsetenv("ACTUNE_INTERPRET");
    CHECK_OK(actune_tensor_list_create(gpu, there, TENSORS, &list));
}

static void close_tensors(void)
{
    actune_tensor_list_destroy(list);
    actune_tensor_list_destroy(here);
    for (int i = 0; i < TENSORS; i++) {
        free(host[i].data);
        at_cuda_free(device, (char *)there[i].data - (i % 2 ? at_dtype_get(dtype)->bytes : 0));
    }
}

/* The largest difference between the device's tensors and the host's, in shares of the largest value; NaN in one of them alone: infinite. */
static double difference(void)
{
    double worst = 0, largest = 1e-30;
    for (int i = 0; i < TENSORS; i++) {
        char *got = malloc(bytes_of(i) + 1);
        CHECK_OK(at_cuda_download(device, got, there[i].data, bytes_of(i)));
        for (int64_t k = 0; k < counts[i]; k++) {
            double a = at_dtype_load(dtype, got, k), b = at_dtype_load(dtype, host[i].data, k);
            worst = isnan(a) != isnan(b) ? INFINITY : fmax(worst, fabs(a - b));
            largest = fmax(largest, fabs(b));
        }
        free(got);
    }
    return worst / largest;
}

static double rounding(void)
{
    return dtype == ACTUNE_F64 ? 1e-14 : dtype == ACTUNE_F32 ? 2e-7 : dtype == ACTUNE_F16 ? 1e-3 : 8e-3;
}

static void compare(double scale, double special, double max_norm, const actune_clip_norm_options *options)
{
    actune_clip_result wanted = {0}, got = {0};
    fill(scale, special);
    actune_status status = actune_clip_norm(here, max_norm, options, &wanted);
    CHECK(actune_clip_norm(list, max_norm, options, &got) == status, "type %d, norm %d, scale %g: not %s", dtype, options->norm, scale,
          actune_status_name(status));
    bool same = fabs(got.norm - wanted.norm) <= 3e-7 * wanted.norm || (isnan(got.norm) && isnan(wanted.norm)) || got.norm == wanted.norm;
    CHECK(same && got.scaled == wanted.scaled && got.not_finite == wanted.not_finite, "type %d, norm %d, scale %g: %.17g, not %.17g; scaled %d", dtype,
          options->norm, scale, got.norm, wanted.norm, got.scaled);
    CHECK(difference() <= rounding(), "type %d, norm %d, scale %g: off by %g", dtype, options->norm, scale, difference());
}

static void every_type(void)
{
    for (int type = 0; type < AT_DTYPE_WIDE_COUNT; type++) {
        open_tensors((actune_dtype)type);
        for (int norm = 0; norm < 3; norm++) {
            actune_clip_norm_options options = {.norm = (actune_norm)norm};
            compare(1, 0, 0.5, &options);
            compare(1, 0, 1e9, &options); /* nothing to clip */
            compare(1, -INFINITY, 1, &options);
            compare(1, NAN, 1, &options);
            options.error_if_nonfinite = true;
            compare(1, NAN, 1, &options);
            options = (actune_clip_norm_options){.norm = (actune_norm)norm, .compute_only = true};
            compare(1, 0, 0.5, &options);
        }
        close_tensors();
    }
    open_tensors(ACTUNE_F32); /* squares that f32 does not hold */
    compare(1e30, 0, 1, &(actune_clip_norm_options){0});
    compare(1e-30, 0, 1e-31, &(actune_clip_norm_options){0});
    close_tensors();
}

static void by_value(void)
{
    for (int type = 0; type < AT_DTYPE_WIDE_COUNT; type++) {
        open_tensors((actune_dtype)type);
        fill(1, NAN);
        CHECK_OK(actune_clip_value(here, 0.1, NULL));
        CHECK_OK(actune_clip_value(list, 0.1, NULL));
        CHECK(difference() == 0, "type %d", type);
        close_tensors();
    }
}

/* --- streams and captures --- */

typedef struct job {
    const actune_tensor_list *list;
    actune_clip_norm_options options;
    actune_clip_result *result;
} job;

static actune_status put(void *user, at_cu_stream stream)
{
    job *j = user;
    j->options.stream = stream;
    AT_TRY(actune_clip_norm(j->list, 0.5, &j->options, j->result));
    return actune_clip_value(j->list, 0.001, stream);
}

static void captured(void)
{
    at_cuda_timer timer;
    at_cu_graph_exec graph = NULL;
    actune_tensor_list_info info;
    actune_clip_result result, wanted;
    double ns;
    open_tensors(ACTUNE_BF16);
    CHECK_OK(at_cuda_timer_open(device, &timer));
    actune_tensor_list_describe(list, &info);
    job j = {.list = list};
    CHECK(at_cuda_graph_capture(&timer, put, &j, &graph) == ACTUNE_INVALID_ARGUMENT, "the graph must own the workspace");
    CHECK_OK(at_cuda_allocate(device, info.workspace_bytes, &j.options.workspace));
    CHECK_OK(at_cuda_allocate(device, sizeof result, &j.options.device_result));
    j.result = &result;
    CHECK(at_cuda_graph_capture(&timer, put, &j, &graph) == ACTUNE_INVALID_ARGUMENT, "a capture cannot wait");
    j.result = NULL;
    j.options.error_if_nonfinite = true;
    CHECK(at_cuda_graph_capture(&timer, put, &j, &graph) == ACTUNE_INVALID_ARGUMENT, "a capture cannot wait for an error either");
    j.options.error_if_nonfinite = false;
    CHECK_OK(at_cuda_graph_capture(&timer, put, &j, &graph));
    for (int round = 1; round <= 2; round++) {
        fill(round, 0);
        CHECK_OK(at_cuda_graph_time(&timer, graph, &ns));
        CHECK_OK(actune_clip_norm(here, 0.5, NULL, &wanted));
        CHECK_OK(actune_clip_value(here, 0.001, NULL));
        CHECK_OK(at_cuda_download(device, &result, j.options.device_result, sizeof result));
        CHECK(fabs(result.norm - wanted.norm) < 1e-6 * wanted.norm && fabsf(result.coefficient_f32 - wanted.coefficient_f32) < 1e-6f * wanted.coefficient_f32,
              "round %d: %g", round, result.norm);
        CHECK(difference() <= rounding(), "round %d", round);
    }
    at_cuda_graph_destroy(&timer, graph);
    at_cuda_free(device, j.options.workspace);
    at_cuda_free(device, j.options.device_result);
    at_cuda_timer_close(&timer);
    close_tensors();
}

/* Sums that other kernels left on the device stand for the last tensors, which are scaled but not read for the norm. */
static void sums_of_others(void)
{
    enum { SUMMED = 2 };
    for (int wide = 0; wide < 2; wide++)
        for (int norm = 0; norm < 3; norm++) {
            double part[SUMMED] = {0};
            float narrow[SUMMED];
            void *memory;
            actune_clip_result wanted, got;
            open_tensors(ACTUNE_F32);
            fill(1, 0);
            for (int i = 0; i < SUMMED; i++) {
                for (int64_t k = 0; k < counts[TENSORS - SUMMED + i]; k++) {
                    double x = fabs(at_dtype_load(ACTUNE_F32, host[TENSORS - SUMMED + i].data, k));
                    part[i] = norm == ACTUNE_NORM_INF ? fmax(part[i], x) : part[i] + (norm == ACTUNE_NORM_2 ? x * x : x);
                }
                narrow[i] = (float)part[i];
            }
            CHECK_OK(at_cuda_allocate(device, sizeof part, &memory));
            CHECK_OK(at_cuda_upload(device, memory, wide ? (void *)part : narrow, wide ? sizeof part : sizeof narrow));
            const actune_buffer sums = {memory, SUMMED, wide ? ACTUNE_F64 : ACTUNE_F32};
            const actune_clip_norm_options plain = {.norm = (actune_norm)norm};
            actune_clip_norm_options options = {.norm = (actune_norm)norm, .sums = &sums, .summed_tensors = SUMMED, .compute_only = true};
            CHECK_OK(actune_clip_norm(here, 0.5, &plain, &wanted)); /* the host's tensors, all read */
            CHECK_OK(at_cuda_fill(device, there[TENSORS - 1].data, 0xff, bytes_of(TENSORS - 1))); /* NaN: whoever reads it shows it */
            CHECK_OK(actune_clip_norm(list, 0.5, &options, &got));
            CHECK(fabs(got.norm - wanted.norm) <= 4e-7 * wanted.norm, "norm %d: %.17g, not %.17g", norm, got.norm, wanted.norm);
            fill(1, 0);
            options.compute_only = false;
            CHECK_OK(actune_clip_norm(list, 0.5, &options, NULL));
            CHECK_OK(actune_clip_norm(here, 0.5, &plain, &wanted));
            CHECK(difference() <= 4 * rounding(), "norm %d: off by %g", norm, difference());
            at_cuda_free(device, memory);
            close_tensors();
        }
}

/* Asynchronous without a place for the result: two launches and nothing that waits. */
static void asynchronous(void)
{
    open_tensors(ACTUNE_F32);
    fill(1, 0);
    int launches = rig_count(&rig_cuda, "cuLaunchKernel"), waits = rig_count(&rig_cuda, "cuStreamSynchronize");
    int made = rig_count(&rig_cuda, "cuMemAlloc_v2");
    CHECK_OK(actune_clip_norm(list, 0.5, NULL, NULL));
    CHECK(rig_count(&rig_cuda, "cuLaunchKernel") == launches + 2 && rig_count(&rig_cuda, "cuStreamSynchronize") == waits &&
              rig_count(&rig_cuda, "cuMemAlloc_v2") == made,
          "two launches, no wait, no memory");
    CHECK_OK(at_cuda_wait(device, NULL));
    close_tensors();
}

/* The first pass of a variant over two chunks of a tensor that is not aligned and one that is: the bits of its sums. */
static void sums_of(const char *variant, double *sums)
{
    const at_target target = {.cuda = true, .cuda_arch = 90};
    const at_list_chunk chunk[] = {{(char *)there[3].data, 4096}, {(char *)there[4].data, 16384}, {(char *)there[5].data, 130}};
    at_strbuf source = {0};
    at_cuda_kernel *kernel;
    void *table, *partial;
    bool pushed;
    CHECK_OK(at_generate_list_cuda(dtype, &target, variant, &source));
    const at_cuda_request request = {.source = at_strbuf_text(&source), .symbol = AT_LIST_SYMBOL, .finish = true};
    CHECK_OK(at_cuda_kernel_build(device, NULL, &request, &kernel));
    CHECK_OK(at_cuda_allocate(device, sizeof chunk, &table));
    CHECK_OK(at_cuda_upload(device, table, chunk, sizeof chunk));
    CHECK_OK(at_cuda_allocate(device, 3 * sizeof *sums, &partial));
    long long count = 3;
    int kind = ACTUNE_NORM_2;
    void *arguments[] = {&table, &count, &kind, &partial};
    CHECK_OK(at_cuda_enter(device, &pushed));
    CHECK(device->api->cuLaunchKernel(kernel->main, 2, 1, 1, AT_LIST_BLOCK, 1, 1, 0, NULL, arguments, NULL) == 0, "%s", variant);
    at_cuda_leave(device, pushed);
    CHECK_OK(at_cuda_download(device, sums, partial, 3 * sizeof *sums));
    at_cuda_free(device, table);
    at_cuda_free(device, partial);
    at_cuda_kernel_destroy(kernel);
    at_strbuf_clear(&source);
}

static void every_variant(void)
{
    static const char *const variants[] = {"cuda/list_norm", "cuda/list_norm vectors=1", "cuda/list_norm vectors=8"};
    double sums[3][3];
    open_tensors(ACTUNE_F16);
    fill(1, 0);
    for (int v = 0; v < 3; v++) {
        sums_of(variants[v], sums[v]);
        CHECK(sums[v][0] > 100 && memcmp(sums[v], sums[0], sizeof sums[0]) == 0, "%s", variants[v]);
    }
    close_tensors();
}

static int pushes; /* of contexts before things were given back, in the last run */

static actune_status whole_way(void)
{
    int before = rig_count(&rig_cuda, "cuCtxPushCurrent_v2");
    actune_tensor_list *made;
    actune_clip_result result;
    AT_TRY(actune_tensor_list_create(gpu, there, TENSORS, &made));
    actune_status status = actune_clip_norm(made, 0.5, NULL, &result);
    if (status == ACTUNE_OK)
        status = actune_clip_value(made, 0.1, NULL);
    pushes = rig_count(&rig_cuda, "cuCtxPushCurrent_v2") - before;
    actune_tensor_list_destroy(made);
    return status;
}

/* Where a kernel out of the cache does not load it is compiled once more: slow, and fake_faults does it. */
static bool compiles_again(const char *name)
{
    return !strncmp(name, "cuModuleGet", 11) || !strncmp(name, "cuFunc", 6);
}

/* Failures that change nothing: of giving back, of a message, of a look at the current context (it is then pushed). */
static bool is_harmless(const char *name)
{
    return strstr(name, "Free") || strstr(name, "Unload") || strstr(name, "Pop") || strstr(name, "GetErr") || !strcmp(name, "cuCtxGetCurrent");
}

static void every_call_fails(void)
{
    open_tensors(ACTUNE_F32);
    fill(1, 0);
    CHECK_OK(whole_way());
    int living = rig_living(), most = pushes;
    for (int i = 0; rig_cuda.call_name(i); i++)
        for (int nth = 1; nth < TIMES_MAX && !compiles_again(rig_cuda.call_name(i)); nth += nth < 5 ? 1 : 5) {
            const char *name = rig_cuda.call_name(i);
            if (!strcmp(name, "cuCtxPushCurrent_v2") && nth > most)
                break; /* memory cannot be given back in a context that cannot be entered */
            rig_cuda.fail(name, nth, 2);
            actune_status status = whole_way();
            int failed = rig_cuda.failed();
            rig_cuda.fail(NULL, 0, 0);
            if (!failed)
                break;
            CHECK(status != ACTUNE_OK || is_harmless(name),
                  "%s failed the %d. time and nobody noticed", name, nth);
            CHECK(rig_living() == living, "%s, %d. time: %d objects are left", name, nth, rig_living() - living);
        }
    close_tensors();
}

static void open_context(const char *name, actune_context **context)
{
    actune_context_options options = {.database = "", .cache_folder = rig_folder, .device = name};
    CHECK_OK(actune_context_open(&options, context));
}

int main(void)
{
    if (!rig_open())
        return 77;
    open_context("cpu", &cpu);
    open_context("cuda:0", &gpu);
    CHECK_OK(at_cuda_open(0, &device));
    every_type();
    by_value();
    captured();
    asynchronous();
    sums_of_others();
    every_variant();
    every_call_fails();
    at_cuda_close(device);
    actune_context_close(gpu);
    actune_context_close(cpu);
    rig_check_clean("lists of tensors");
    rig_close();
    return rig_failures > 0;
}
