/* What the stage `stats` costs: a kernel with it beside the same kernel without it, in interleaved pairs. Prints the medians, the ratio of both (median of
   the pairs' ratios), that of the fastest runs, and what a separate pass over y costs in its place (actune_statistics_compute).
   bench_statistics [THREADS [ROUNDS]]; winners come from the database (ACTUNE_DB), so tune both specs before. */
#include "runtime/base/dtype.h"
#include "tuner/stats.h"

#include <actune/actune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MAX = 1001 };

static const struct {
    const char *plain, *watched;
    actune_dtype dtype;
    actune_shape shape;
} cases[] = {
    {"relu", "relu | stats", ACTUNE_F32, {1, 1, 4 << 20}},
    {"relu", "relu | stats", ACTUNE_F32, {1, 1, 16 << 20}},
    {"relu", "relu | stats", ACTUNE_BF16, {1, 1, 16 << 20}},
    {"clip(-6, 6)", "stats | clip(-6, 6)", ACTUNE_F32, {1, 1, 16 << 20}},
    {"bias | gelu | clip(-6, 6)", "bias | gelu | stats | clip(-6, 6)", ACTUNE_F32, {16384, 1024, 1}},
    {"bias | relu", "bias | relu | stats(channel)", ACTUNE_F32, {16384, 1024, 1}},
    {"bias | relu", "bias | relu | stats(channel)", ACTUNE_F32, {32, 64, 56 * 56}},
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(actune_status status)
{
    if (status) {
        fprintf(stderr, "%s\n", actune_last_error());
        exit(1);
    }
}

typedef struct kernel {
    actune_plan *plan;
    actune_buffer buffer[8];
    int count;
} kernel;

/* Numbers as activations have them: mean 0, most within -3 and 3. */
static void fill(const actune_buffer *buffer)
{
    uint32_t state = 1;
    for (int64_t i = 0; i < buffer->count; i++) {
        double value = 0;
        for (int k = 0; k < 4; k++)
            value += (double)((state = state * 1664525 + 1013904223) >> 8) * 0x1p-24 - 0.5;
        at_dtype_store(buffer->dtype, buffer->data, i, 2 * value);
    }
}

static void make(actune_context *context, const char *spec, int at, int threads, kernel *k)
{
    actune_plan_desc desc = {.spec = spec, .dtype_in = cases[at].dtype, .dtype_out = cases[at].dtype, .shape = cases[at].shape, .max_threads = threads};
    must(actune_plan_create(context, &desc, &k->plan));
    k->count = actune_plan_port_count(k->plan);
    for (int i = 0; i < k->count; i++) {
        actune_port_info port;
        must(actune_plan_port(k->plan, i, &port));
        size_t bytes = (size_t)port.count * (size_t)at_dtype_get(port.dtype)->bytes;
        void *data = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
        if (!data)
            exit(1);
        memset(data, 0, bytes);
        k->buffer[i] = (actune_buffer){data, port.count, port.dtype};
        if (!port.is_output)
            fill(&k->buffer[i]);
    }
}

static void release(kernel *k)
{
    for (int i = 0; i < k->count; i++)
        free(k->buffer[i].data);
    actune_plan_destroy(k->plan);
}

static double run(const kernel *k)
{
    double start = now_ns();
    must(actune_execute(k->plan, k->buffer, k->count));
    return now_ns() - start;
}

static double separate_pass(actune_context *context, const kernel *plain, int at)
{
    actune_statistics statistics;
    actune_statistics_desc desc = {.data = plain->buffer[plain->count - 1].data, .dtype = cases[at].dtype, .shape = cases[at].shape};
    double start = now_ns();
    must(actune_statistics_compute(context, &desc, &statistics));
    return now_ns() - start;
}

static void measure(actune_context *context, int at, int threads, int rounds)
{
    static double plain_ns[ROUNDS_MAX], watched_ns[ROUNDS_MAX], ratio[ROUNDS_MAX], pass[ROUNDS_MAX];
    kernel plain, watched;
    actune_plan_info one, two;
    make(context, cases[at].plain, at, threads, &plain);
    make(context, cases[at].watched, at, threads, &watched);
    double least_plain = 1e18, least_watched = 1e18;
    for (int r = -3; r < rounds; r++) {
        /* Each goes first in half of the rounds. */
        double a = r % 2 ? run(&plain) : 0, b = run(&watched);
        a = r % 2 ? a : run(&plain);
        if (r < 0)
            continue;
        plain_ns[r] = a;
        watched_ns[r] = b;
        ratio[r] = b / a;
        least_plain = a < least_plain ? a : least_plain;
        least_watched = b < least_watched ? b : least_watched;
    }
    for (int r = 0; r < 5; r++)
        pass[r] = separate_pass(context, &plain, at);
    actune_plan_describe(plain.plan, &one);
    actune_plan_describe(watched.plan, &two);
    int64_t n = cases[at].shape.outer * cases[at].shape.channels * cases[at].shape.inner;
    printf("%-36s %-4s %5.1fM  %8.3f ms  with stats %8.3f ms  ratio %.3f  of the fastest %.3f  a separate pass %8.3f ms\n    %s: %s\n    %s: %s\n", cases[at].watched,
           at_dtype_get(cases[at].dtype)->name, (double)n / (1 << 20), at_median(plain_ns, rounds) * 1e-6, at_median(watched_ns, rounds) * 1e-6,
           at_median(ratio, rounds), least_watched / least_plain, at_median(pass, 5) * 1e-6, one.tier, one.variant, two.tier, two.variant);
    fflush(stdout);
    release(&plain);
    release(&watched);
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 101;
    actune_context *context;
    actune_context_options options = {.max_threads = threads};
    if (threads < 1 || rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    must(actune_context_open(&options, &context));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        measure(context, (int)i, threads, rounds);
    actune_context_close(context);
    return 0;
}
