/* Activations, one thread, f32 forward: ours (tuned, default) beside memcpy, a non-temporal copy, the auto-vectorised loop and
   oneDNN, in interleaved rounds of random order, with a null arm (ours twice).

   bench_activations [SPEC...] [--sizes 16384,262144,4194304] [--rounds 15] [--class standard|fast|exact] [--csv]

   GB/s counts 8 bytes an element. Run `actune tune` for the specs first, or "tuned" is the default kernel. */
#include "arms.h"
#include "tuner/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ARMS_MAX = 8, ROUNDS_MAX = 101, SIZES_MAX = 8 };
static const double REGION_NS = 300e3;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One timed region of enough repeats; the buffers are shared by all arms. */
static double time_arm(const bench_arm *arm, const float *x, float *y, int64_t n, int repeats)
{
    double start = now_ns();
    for (int i = 0; i < repeats; i++)
        arm->run(arm->self, x, y, n);
    return (now_ns() - start) / repeats;
}

static int repeats_for(const bench_arm *arm, const float *x, float *y, int64_t n)
{
    arm->run(arm->self, x, y, n);
    double once = time_arm(arm, x, y, n, 1);
    double repeats = REGION_NS / (once > 1 ? once : 1);
    return repeats < 1 ? 1 : repeats > 1e6 ? 1000000 : (int)repeats;
}

static int open_arms(actune_context *tuned, actune_context *plain, const char *op, const char *class, int64_t n, bench_arm *arm)
{
    char spec[256];
    snprintf(spec, sizeof spec, "[accuracy=%s] %s", class, op);
    int arms = 0;
    arms += bench_copy(&arm[arms]);
    arms += bench_plan(tuned, "tuned", spec, n, &arm[arms]);
    arms += bench_plan(tuned, "null", spec, n, &arm[arms]);
    arms += bench_plan(plain, "default", spec, n, &arm[arms]);
    arms += bench_stream_copy(&arm[arms]);
    arms += bench_autovec(op, &arm[arms]);
    arms += bench_onednn(op, n, &arm[arms]);
    return arms;
}

static void compare(const char *op, int64_t n, int rounds, bench_arm *arm, int arms, const float *x, float *y)
{
    static double sample[ARMS_MAX][ROUNDS_MAX];
    int repeats[ARMS_MAX], order[ARMS_MAX];
    at_random random = {(uint64_t)n};
    for (int a = 0; a < arms; a++) {
        repeats[a] = repeats_for(&arm[a], x, y, n);
        order[a] = a;
    }
    for (int r = 0; r < rounds; r++) {
        at_random_shuffle(&random, order, arms);
        for (int k = 0; k < arms; k++)
            sample[order[k]][r] = time_arm(&arm[order[k]], x, y, n, repeats[order[k]]);
    }
    for (int a = 0; a < arms; a++) {
        double ns = at_median(sample[a], rounds);
        double ratio[ROUNDS_MAX];
        for (int r = 0; r < rounds; r++)
            ratio[r] = sample[0][r] / sample[a][r];
        printf("%-12s %9lld  %-8s %8.1f GB/s  %7.4f ns/element  %5.2f x memcpy\n", op, (long long)n, arm[a].name, 8.0 * (double)n / ns,
               ns / (double)n, at_median(ratio, rounds));
    }
    fflush(stdout);
}

static float *buffer(int64_t n, at_random *random)
{
    float *data = aligned_alloc(4096, ((size_t)n * sizeof *data + 4095) & ~(size_t)4095);
    if (!data) {
        fprintf(stderr, "no memory for %lld elements\n", (long long)n);
        exit(1);
    }
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)(2 * at_random_normal(random));
    return data;
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"relu", "leaky_relu", "clip(-6, 6)", "hardswish", "sigmoid", "silu", "tanh", "elu", "gelu", "gelu_tanh", "mish"};
    const char *spec[64], *class = "standard";
    int64_t size[SIZES_MAX] = {16384, 262144, 4194304};
    int specs = 0, sizes = 3, rounds = 15;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--sizes") && i + 1 < argc) {
            sizes = 0;
            for (char *part = strtok(argv[++i], ","); part && sizes < SIZES_MAX; part = strtok(NULL, ","))
                size[sizes++] = strtoll(part, NULL, 10);
        } else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
            rounds = atoi(argv[++i]) < ROUNDS_MAX ? atoi(argv[i]) : ROUNDS_MAX;
        else if (!strcmp(argv[i], "--class") && i + 1 < argc)
            class = argv[++i];
        else if (argv[i][0] == '-' || specs == 64) {
            fprintf(stderr, "usage: bench_activations [SPEC...] [--sizes N,N] [--rounds N] [--class NAME]\n");
            return 2;
        } else
            spec[specs++] = argv[i];
    }
    for (size_t i = 0; specs == 0 || (spec[0] == all[0] && i < sizeof all / sizeof *all); i++)
        spec[specs++] = all[i];
    actune_context *tuned, *plain;
    actune_context_options no_database = {.database = ""};
    if (actune_context_open(NULL, &tuned) || actune_context_open(&no_database, &plain)) {
        fprintf(stderr, "%s\n", actune_last_error());
        return 1;
    }
    for (int s = 0; s < sizes; s++) {
        at_random random = {1};
        float *x = buffer(size[s], &random), *y = buffer(size[s], &random);
        for (int k = 0; k < specs; k++) {
            bench_arm arm[ARMS_MAX];
            int arms = open_arms(tuned, plain, spec[k], class, size[s], arm);
            compare(spec[k], size[s], rounds, arm, arms, x, y);
            for (int a = 0; a < arms; a++)
                arm[a].close(arm[a].self);
        }
        free(x);
        free(y);
    }
    actune_context_close(tuned);
    actune_context_close(plain);
    return 0;
}
