/* What topk costs on 1M elements in rows of several lengths, beside a copy of the same bytes. Rounds are interleaved; medians are printed.
     bench_topk [ROUNDS] [f32|f16|bf16|f64]
     bench_topk --serve TYPE   for each line "COLUMNS K" on standard input one round: "forward_ns backward_ns sum" (bench/topk.py, beside PyTorch)
   ACTUNE_DB names the tuning database (default: the user's own; without winners the default variants run). */
#include "runtime/base/dtype.h"
#include "tuner/stats.h"

#include <actune/actune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ELEMENTS = 1 << 20, ROUNDS_MAX = 1000, PLANS_MAX = 64 };

static const struct {
    int64_t columns, k;
} shapes[] = {{8, 2}, {32, 4}, {128, 16}, {512, 32}, {1024, 32}, {4096, 410}, {16384, 64}, {65536, 6554}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

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

typedef struct work {
    actune_context *context;
    actune_dtype dtype;
    size_t bytes;
    void *x, *dy, *y, *dx, *copy;
    struct {
        int64_t columns, k;
        actune_plan *forward, *backward;
    } plan[PLANS_MAX];
    int plans;
} work;

static void open_work(work *w, actune_dtype dtype)
{
    void **memory[] = {&w->x, &w->dy, &w->y, &w->dx, &w->copy};
    const char *database = getenv("ACTUNE_DB");
    actune_context_options options = {.database = database};
    at_random random = {1};
    *w = (work){.dtype = dtype, .bytes = (size_t)ELEMENTS * (size_t)at_dtype_get(dtype)->bytes};
    must(actune_context_open(&options, &w->context));
    for (int i = 0; i < 5; i++) {
        *memory[i] = aligned_alloc(64, w->bytes);
        memset(*memory[i], 0, w->bytes);
    }
    for (int64_t i = 0; i < ELEMENTS; i++) {
        at_dtype_store(dtype, w->x, i, at_random_normal(&random));
        at_dtype_store(dtype, w->dy, i, at_random_normal(&random));
    }
}

static actune_plan *make_plan(const work *w, actune_direction direction, int64_t columns, int64_t k)
{
    char spec[64];
    actune_plan *plan;
    snprintf(spec, sizeof spec, "topk(%lld)", (long long)k);
    actune_plan_desc desc = {
        .spec = spec, .direction = direction, .dtype_in = w->dtype, .dtype_out = w->dtype, .shape = {ELEMENTS / columns, columns, 1}};
    must(actune_plan_create(w->context, &desc, &plan));
    return plan;
}

static int find_plan(work *w, int64_t columns, int64_t k)
{
    for (int i = 0; i < w->plans; i++)
        if (w->plan[i].columns == columns && w->plan[i].k == k)
            return i;
    if (w->plans == PLANS_MAX || columns < 1 || ELEMENTS % columns) {
        fprintf(stderr, "rows of %lld elements cannot be measured\n", (long long)columns);
        exit(1);
    }
    w->plan[w->plans].columns = columns;
    w->plan[w->plans].k = k;
    w->plan[w->plans].forward = make_plan(w, ACTUNE_FORWARD, columns, k);
    w->plan[w->plans].backward = make_plan(w, ACTUNE_BACKWARD, columns, k);
    return w->plans++;
}

static double time_forward(const work *w, int plan)
{
    const actune_buffer buffers[] = {{w->x, ELEMENTS, w->dtype}, {w->y, ELEMENTS, w->dtype}};
    double start = now_ns();
    must(actune_execute(w->plan[plan].forward, buffers, 2));
    return now_ns() - start;
}

static double time_backward(const work *w, int plan)
{
    const actune_buffer buffers[] = {{w->x, ELEMENTS, w->dtype}, {w->dy, ELEMENTS, w->dtype}, {w->dx, ELEMENTS, w->dtype}};
    double start = now_ns();
    must(actune_execute(w->plan[plan].backward, buffers, 3));
    return now_ns() - start;
}

static double time_copy(const work *w)
{
    double start = now_ns();
    memcpy(w->copy, w->x, w->bytes);
    __asm__ volatile("" : : "r"(w->copy) : "memory");
    return now_ns() - start;
}

static double count_kept(const work *w)
{
    double sum = 0;
    for (int64_t i = 0; i < ELEMENTS; i++)
        sum += at_dtype_load(w->dtype, w->y, i) != 0;
    return sum;
}

static void serve(work *w)
{
    long long columns, k;
    while (scanf("%lld %lld", &columns, &k) == 2) {
        int plan = find_plan(w, columns, k);
        time_forward(w, plan); /* the caches are the other program's */
        double forward = time_forward(w, plan);
        time_backward(w, plan);
        printf("%.0f %.0f %.0f\n", forward, time_backward(w, plan), count_kept(w));
        fflush(stdout);
    }
}

static void race(work *w, int rounds)
{
    static double forward[SHAPES][ROUNDS_MAX], null[SHAPES][ROUNDS_MAX], backward[SHAPES][ROUNDS_MAX], copy[SHAPES][ROUNDS_MAX];
    for (int r = -1; r < rounds; r++) /* the first one warms */
        for (int s = 0; s < SHAPES; s++) {
            int plan = find_plan(w, shapes[s].columns, shapes[s].k), at = r < 0 ? 0 : r;
            copy[s][at] = time_copy(w);
            forward[s][at] = time_forward(w, plan);
            backward[s][at] = time_backward(w, plan);
            null[s][at] = time_forward(w, plan);
        }
    for (int s = 0; s < SHAPES; s++) {
        actune_plan_info info;
        double f = at_median(forward[s], rounds), n = at_median(null[s], rounds), b = at_median(backward[s], rounds), c = at_median(copy[s], rounds);
        actune_plan_describe(w->plan[find_plan(w, shapes[s].columns, shapes[s].k)].forward, &info);
        printf("%6lld columns, k %5lld: forward %6.3f ns/element (null arm %+.1f %%), backward %6.3f, memcpy %6.3f; %s, %d threads\n",
               (long long)shapes[s].columns, (long long)shapes[s].k, f / ELEMENTS, 100 * (n / f - 1), b / ELEMENTS, c / ELEMENTS, info.tier,
               info.threads);
    }
}

int main(int argc, char **argv)
{
    bool serves = argc > 1 && !strcmp(argv[1], "--serve");
    int rounds = !serves && argc > 1 ? atoi(argv[1]) : 15;
    actune_dtype dtype = ACTUNE_F32;
    work w;
    if (argc > 2 && !at_dtype_find(argv[2], &dtype)) {
        fprintf(stderr, "'%s' is no element type\n", argv[2]);
        return 2;
    }
    open_work(&w, dtype);
    if (serves)
        serve(&w);
    else
        race(&w, rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds);
    for (int i = 0; i < w.plans; i++) {
        actune_plan_destroy(w.plan[i].forward);
        actune_plan_destroy(w.plan[i].backward);
    }
    actune_context_close(w.context);
    void *memory[] = {w.x, w.dy, w.y, w.dx, w.copy};
    for (int i = 0; i < 5; i++)
        free(memory[i]);
    return 0;
}
