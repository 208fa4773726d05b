/* What dispatch costs: execute of a tiny tensor over calling the compiled function directly, and opening a context with 1,000
   winners. Prints medians of interleaved rounds. bench_overhead needs no tuned database: it writes its own, in a temporary folder. */
#include "db/store.h"
#include "runtime/device.h"
#include "tuner/stats.h"

#include <actune/actune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 51, CALLS = 20000, WINNERS = 1000 };

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

/* A loop of the same n through a function pointer stands for the direct call. */
__attribute__((noinline)) static void direct(const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}

static void measure_execute(void)
{
    enum { N = 16 };
    float x[N] = {-1, 1, -2, 2}, y[N];
    actune_context *context;
    actune_plan *plan;
    actune_context_options options = {.database = ""};
    must(actune_context_open(&options, &context));
    actune_plan_desc desc = {.spec = "relu", .shape = {1, 1, N}, .max_threads = 1};
    must(actune_plan_create(context, &desc, &plan));
    actune_buffer buffers[] = {{x, N, ACTUNE_F32}, {y, N, ACTUNE_F32}};
    void (*volatile function)(const float *, float *, int64_t) = direct;
    static double ours[ROUNDS], plain[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        for (int i = 0; i < CALLS; i++)
            must(actune_execute(plan, buffers, 2));
        double middle = now_ns();
        for (int i = 0; i < CALLS; i++)
            function(x, y, N);
        ours[r] = (middle - start) / CALLS;
        plain[r] = (now_ns() - middle) / CALLS;
    }
    printf("execute of %d elements: %.1f ns; a plain loop through a pointer: %.1f ns; difference %.1f ns\n", N, at_median(ours, ROUNDS),
           at_median(plain, ROUNDS), at_median(ours, ROUNDS) - at_median(plain, ROUNDS));
    actune_plan_destroy(plan);
    actune_context_close(context);
}

static void fill(const char *path)
{
    at_store *store;
    at_device device;
    int64_t session;
    must(at_device_get("cpu", &device));
    must(at_store_open(path, AT_STORE_WRITE, &store));
    at_store_device d = {device.id, device.kind, device.model, device.capability, device.processors, 0, 0, 0};
    at_store_session s = {device.id, "{}", "{}", 1};
    must(at_store_begin(store));
    must(at_store_put_device(store, &d));
    must(at_store_put_session(store, &s, &session));
    for (int i = 0; i < WINNERS; i++) {
        char hash[40];
        int64_t variant;
        snprintf(hash, sizeof hash, "%032x", i / 10);
        at_store_kernel kernel = {hash, "relu", "forward", "f32", "f32", "standard"};
        must(at_store_put_kernel(store, &kernel));
        at_store_variant v = {hash, hash, "cpu/elementwise width=64 unroll=2 math=plain store=plain prefetch=0 threads=1"};
        must(at_store_put_variant(store, &v, &variant));
        at_store_choice choice = {.device = device.id, .kernel = hash, .variant = variant, .session = session,
                                  .workload = {"flat", i % 10 + 10, 0, 0, false, "warm"}, .median_ns = 1, .ratio_to_copy = 1,
                                  .gain_over_default = 1, .pct_roof = 100, .tie_set = "", .origin = "measured"};
        must(at_store_put_choice(store, &choice));
    }
    must(at_store_commit(store));
    at_store_close(store);
}

static void measure_open(void)
{
    char folder[] = "/tmp/actune-bench-XXXXXX", path[64];
    if (!mkdtemp(folder))
        exit(1);
    snprintf(path, sizeof path, "%s/a.db", folder);
    fill(path);
    static double open_ns[ROUNDS];
    actune_context_options options = {.database = path};
    for (int r = 0; r < ROUNDS; r++) {
        actune_context *context;
        double start = now_ns();
        must(actune_context_open(&options, &context));
        open_ns[r] = now_ns() - start;
        actune_context_close(context);
    }
    printf("opening a context with %d winners: %.2f ms\n", WINNERS, at_median(open_ns, ROUNDS) / 1e6);
    static const char *const suffix[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", path, suffix[i]);
        unlink(name);
    }
    rmdir(folder);
}

int main(void)
{
    measure_execute();
    measure_open();
    return 0;
}
