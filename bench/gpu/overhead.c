/* What the library adds: execute over a bare cuLaunchKernel, what programmatic dependent launch (actune_plan_desc.overlap) saves behind a
   foreign kernel, and how long a kernel takes to be there, compiled by NVRTC or from the cache.

   gpu_overhead     JSON Lines on standard output */
#include "options.h"
#include "ours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAUNCHES = 256, ROUNDS = 101, BUILDS = 9, ELEMENTS = 1024, SYMBOL_DIGITS = 16, PAIRS = 64 };

static const char bare_text[] = "extern \"C\" __global__ void __launch_bounds__(256) bare(const float *x, float *y, long long n)\n"
                                "{\n"
                                "    if (threadIdx.x < n)\n"
                                "        y[threadIdx.x] = x[threadIdx.x];\n"
                                "}\n";

typedef struct launching {
    gpu_bench *bench;
    at_cuda_kernel *bare;
    actune_plan *plan;
    void *x, *y;
} launching;

static actune_status launch_bare(const launching *l)
{
    void *x = l->x, *y = l->y;
    long long n = ELEMENTS;
    void *arguments[] = {&x, &y, &n};
    return AT_CUDA(l->bench->device->api, cuLaunchKernel, (l->bare->main, 1, 1, 1, 256, 1, 1, 0, l->bench->timer.stream, arguments, NULL));
}

static actune_status launch_plan(const launching *l)
{
    const actune_buffer buffers[] = {{l->x, ELEMENTS, ACTUNE_F32}, {l->y, ELEMENTS, ACTUNE_F32}};
    return actune_execute_on(l->plan, buffers, 2, l->bench->timer.stream, NULL);
}

/* Host time of one launch; the stream is empty before and never full. */
static actune_status time_launches(const launching *l, actune_status (*launch)(const launching *), double *ns)
{
    int launches = l->bench->tiny ? 4 : LAUNCHES;
    AT_TRY(at_cuda_wait(l->bench->device, l->bench->timer.stream));
    double start = gpu_now_ns();
    for (int i = 0; i < launches; i++)
        AT_TRY(launch(l));
    *ns = (gpu_now_ns() - start) / launches;
    return ACTUNE_OK;
}

static void print_difference(gpu_bench *bench, const double *bare, const double *ours, int rounds)
{
    static double difference[ROUNDS];
    for (int r = 0; r < rounds; r++)
        difference[r] = ours[r] - bare[r];
    at_interval interval = at_bootstrap_median(difference, rounds, 1);
    gpu_record(bench);
    gpu_text("row", "execute");
    gpu_text("status", "ok");
    gpu_number("cuLaunchKernel_ns", at_median(bare, rounds));
    gpu_number("execute_ns", at_median(ours, rounds));
    gpu_number("overhead_ns", interval.median);
    gpu_number("overhead_low_ns", interval.low);
    gpu_number("overhead_high_ns", interval.high);
    gpu_end();
}

static actune_status run_rounds(gpu_bench *bench, const launching *l)
{
    static double bare[ROUNDS], own[ROUNDS];
    int rounds = bench->tiny ? 3 : ROUNDS;
    for (int r = -1; r < rounds; r++) { /* the first warms up */
        double first, second;
        AT_TRY(time_launches(l, r % 2 ? launch_bare : launch_plan, &first));
        AT_TRY(time_launches(l, r % 2 ? launch_plan : launch_bare, &second));
        if (r >= 0) {
            bare[r] = r % 2 ? first : second;
            own[r] = r % 2 ? second : first;
        }
    }
    AT_TRY(at_cuda_wait(bench->device, bench->timer.stream));
    print_difference(bench, bare, own, rounds);
    return ACTUNE_OK;
}

static actune_status prepare(launching *l, const gpu_ours *ours, const gpu_row *row)
{
    const at_cuda_request request = {.source = bare_text, .symbol = "bare"};
    AT_TRY(at_cuda_kernel_build(l->bench->device, l->bench->cache, &request, &l->bare));
    AT_TRY(gpu_ours_plan(ours->untuned, row, &l->plan));
    AT_TRY(at_cuda_allocate(l->bench->device, ELEMENTS * sizeof(float), &l->x));
    return at_cuda_allocate(l->bench->device, ELEMENTS * sizeof(float), &l->y);
}

/* --- overlap --- */

/* A foreign kernel that knows nothing of overlapping, and ours behind it, which reads what that has written; not copies of one node. */
static actune_status put_pairs(void *user, at_cu_stream stream)
{
    const launching *l = user;
    (void)stream; /* the timer's */
    for (int i = 0; i < PAIRS; i++) {
        AT_TRY(launch_bare(l));
        AT_TRY(launch_plan(l));
    }
    return ACTUNE_OK;
}

static void print_overlap(gpu_bench *bench, const double *ordered, const double *overlapped, int rounds)
{
    static double ratio[ROUNDS];
    for (int r = 0; r < rounds; r++)
        ratio[r] = overlapped[r] / ordered[r];
    at_interval interval = at_bootstrap_median(ratio, rounds, 1);
    gpu_record(bench);
    gpu_text("row", "overlap");
    gpu_text("status", "ok");
    gpu_number("ordered_pair_ns", at_median(ordered, rounds) / PAIRS);
    gpu_number("overlapped_pair_ns", at_median(overlapped, rounds) / PAIRS);
    gpu_number("ratio", interval.median);
    gpu_number("ratio_low", interval.low);
    gpu_number("ratio_high", interval.high);
    gpu_end();
}

static actune_status time_pairs(gpu_bench *bench, at_cu_graph_exec *graph)
{
    static double ns[2][ROUNDS];
    int rounds = bench->tiny ? 3 : ROUNDS;
    for (int r = -1; r < rounds; r++)
        for (int i = 0; i < 2; i++) {
            double taken;
            int which = (r + i) & 1;
            AT_TRY(at_cuda_graph_time(&bench->timer, graph[which], &taken));
            if (r >= 0)
                ns[which][r] = taken;
        }
    print_overlap(bench, ns[0], ns[1], rounds);
    return ACTUNE_OK;
}

static void print_no_overlap(gpu_bench *bench, const char *why)
{
    gpu_record(bench);
    gpu_text("row", "overlap");
    gpu_text("status", "skipped");
    gpu_text("detail", why);
    gpu_end();
}

/* `l` is ready, with the plan that keeps the order. */
static actune_status measure_overlap(const launching *l, const gpu_ours *ours)
{
    launching overlapped = *l;
    const actune_plan_desc desc = {.spec = "relu", .shape = {1, 1, ELEMENTS}, .overlap = true};
    at_cu_graph_exec graph[2] = {NULL, NULL};
    actune_plan_info info;
    AT_TRY(actune_plan_create(ours->untuned, &desc, &overlapped.plan));
    actune_plan_describe(overlapped.plan, &info);
    if (strstr(info.variant, "dependent=yes") == NULL) {
        print_no_overlap(l->bench, info.note);
        actune_plan_destroy(overlapped.plan);
        return ACTUNE_OK;
    }
    actune_status status = at_cuda_graph_capture(&l->bench->timer, put_pairs, (void *)l, &graph[0]);
    if (status == ACTUNE_OK)
        status = at_cuda_graph_capture(&l->bench->timer, put_pairs, &overlapped, &graph[1]);
    if (status == ACTUNE_OK)
        status = time_pairs(l->bench, graph);
    for (int i = 0; i < 2; i++)
        at_cuda_graph_destroy(&l->bench->timer, graph[i]);
    actune_plan_destroy(overlapped.plan);
    return status;
}

/* The context is current, as it is in a program that uses CUDA already: then neither side pays for a switch. */
static actune_status measure_execute(gpu_bench *bench, const gpu_ours *ours, const gpu_row *row)
{
    launching l = {.bench = bench};
    bool pushed;
    AT_TRY(at_cuda_enter(bench->device, &pushed));
    actune_status status = prepare(&l, ours, row);
    if (status == ACTUNE_OK)
        status = run_rounds(bench, &l);
    if (status == ACTUNE_OK)
        status = measure_overlap(&l, ours);
    at_cuda_free(bench->device, l.x);
    at_cuda_free(bench->device, l.y);
    actune_plan_destroy(l.plan);
    at_cuda_kernel_destroy(l.bare);
    at_cuda_leave(bench->device, pushed);
    return status;
}

/* --- building --- */

/* Gives the kernel a name that no cache has seen: "actune_" and 16 digits, wherever they stand. */
static void rename_symbol(char *source, char *symbol, size_t size, unsigned long long nonce)
{
    char old[32] = "", *at = strstr(source, "actune_");
    while (at != NULL && strspn(at + 7, "0123456789abcdef") != SYMBOL_DIGITS)
        at = strstr(at + 1, "actune_");
    snprintf(symbol, size, "actune_%016llx", nonce);
    if (at == NULL)
        return;
    memcpy(old, at, 7 + SYMBOL_DIGITS);
    for (at = source; (at = strstr(at, old)) != NULL; at += 7 + SYMBOL_DIGITS)
        memcpy(at, symbol, 7 + SYMBOL_DIGITS);
}

static actune_status time_build(gpu_bench *bench, const char *source, const char *symbol, double *ns)
{
    const at_cuda_request request = {.source = source, .symbol = symbol};
    at_cuda_kernel *kernel;
    double start = gpu_now_ns();
    AT_TRY(at_cuda_kernel_build(bench->device, bench->cache, &request, &kernel));
    *ns = gpu_now_ns() - start;
    at_cuda_kernel_destroy(kernel);
    return ACTUNE_OK;
}

static void print_build(gpu_bench *bench, const gpu_row *row, const double *compiled, const double *cached, int builds)
{
    gpu_record(bench);
    gpu_text("row", "build");
    gpu_text("spec", row->spec);
    gpu_text("status", "ok");
    gpu_number("first_ms", compiled[0] / 1e6); /* may load NVRTC's library of built-ins */
    gpu_number("nvrtc_ms", at_median(compiled + 1, builds - 1) / 1e6);
    gpu_number("cache_ms", at_median(cached, builds) / 1e6);
    gpu_end();
}

static actune_status run_builds(gpu_bench *bench, const gpu_row *row, char *source)
{
    double compiled[BUILDS], cached[BUILDS];
    char symbol[32];
    at_random random = {(uint64_t)gpu_now_ns()};
    int builds = bench->tiny ? 2 : BUILDS;
    for (int i = 0; i < builds; i++) {
        rename_symbol(source, symbol, sizeof symbol, at_random_next(&random));
        AT_TRY(time_build(bench, source, symbol, &compiled[i]));
        AT_TRY(time_build(bench, source, symbol, &cached[i]));
    }
    print_build(bench, row, compiled, cached, builds);
    return ACTUNE_OK;
}

/* Wall time from source to a function that can be launched. */
static actune_status measure_builds(gpu_bench *bench, const gpu_ours *ours, const gpu_row *row)
{
    actune_plan *plan;
    AT_TRY(gpu_ours_plan(ours->untuned, row, &plan));
    char *source = strdup(actune_plan_source(plan));
    actune_status status = source != NULL ? run_builds(bench, row, source) : at_fail(ACTUNE_NO_MEMORY, "no memory for a source");
    free(source);
    actune_plan_destroy(plan);
    return status;
}

static actune_status measure(gpu_bench *bench)
{
    static const gpu_row rows[] = {{.spec = "relu", .dtype = ACTUNE_F32, .shape = {1, 1, ELEMENTS}},
                                   {.spec = "gelu", .dtype = ACTUNE_F16, .shape = {1, 1, ELEMENTS}},
                                   {.spec = "scale_shift | add | relu", .dtype = ACTUNE_F16, .shape = {1024, 256, 1}}};
    gpu_ours ours;
    AT_TRY(gpu_ours_open(&ours));
    actune_status status = measure_execute(bench, &ours, &rows[0]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && status == ACTUNE_OK; i++)
        status = measure_builds(bench, &ours, &rows[i]);
    gpu_ours_close(&ours);
    return status;
}

int main(int argc, char **argv)
{
    gpu_options options;
    gpu_bench bench;
    gpu_options_read(argc, argv, "gpu_overhead", &options);
    int exit_status = gpu_open("overhead", &bench);
    return exit_status != 0 ? exit_status : gpu_finish(&bench, measure(&bench));
}
