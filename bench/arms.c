#include "arms.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void nothing(void *self)
{
    (void)self;
}

static void run_copy(void *self, const float *x, float *y, int64_t n)
{
    (void)self;
    memcpy(y, x, (size_t)n * sizeof *x);
}

bool bench_copy(bench_arm *arm)
{
    *arm = (bench_arm){"memcpy", run_copy, nothing, NULL};
    return true;
}

#if defined(__x86_64__)
typedef float f32x16 __attribute__((vector_size(64)));
typedef float f32x16_unaligned __attribute__((vector_size(64), aligned(4)));

__attribute__((target("avx512f"))) static void stream512(const float *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i < n && (uintptr_t)(y + i) % 64; i++)
        y[i] = x[i];
    for (; i + 16 <= n; i += 16) {
        f32x16 v = *(const f32x16_unaligned *)(x + i);
        __builtin_prefetch((const char *)(x + i) + 2048, 0, 0);
        __asm__ volatile("vmovntps %1, %0" : "=m"(*(f32x16 *)(y + i)) : "v"(v));
    }
    for (; i < n; i++)
        y[i] = x[i];
    __asm__ volatile("sfence" ::: "memory");
}

static void run_stream(void *self, const float *x, float *y, int64_t n)
{
    (void)self;
    stream512(x, y, n);
}

bool bench_stream_copy(bench_arm *arm)
{
    *arm = (bench_arm){"nt copy", run_stream, nothing, NULL};
    return __builtin_cpu_supports("avx512f");
}
#else
bool bench_stream_copy(bench_arm *arm)
{
    (void)arm;
    return false;
}
#endif

/* The loops that a careful programmer would write and leave to the compiler. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define AUTOVEC __attribute__((optimize("O3"), target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AUTOVEC
#endif
#define LOOP(NAME, EXPRESSION)                                                                       \
    AUTOVEC static void loop_##NAME(void *self, const float *restrict x, float *restrict y, int64_t n) \
    {                                                                                                \
        (void)self;                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                            \
            float v = x[i];                                                                          \
            y[i] = EXPRESSION;                                                                       \
        }                                                                                            \
    }
LOOP(relu, v > 0 ? v : 0)
LOOP(leaky_relu, v > 0 ? v : 0.01f * v)
LOOP(clip, v < -6 ? -6 : v > 6 ? 6 : v)
LOOP(hardswish, v * (v < -3 ? 0 : v > 3 ? 1 : v / 6 + 0.5f))
LOOP(sigmoid, 1 / (1 + expf(-v)))
LOOP(silu, v / (1 + expf(-v)))
LOOP(tanh, tanhf(v))
LOOP(elu, v > 0 ? v : expm1f(v))
LOOP(gelu, 0.5f * v * erfcf(-0.70710678f * v))
LOOP(gelu_tanh, 0.5f * v * (1 + tanhf(0.79788456f * (v + 0.044715f * v * v * v))))
LOOP(mish, v * tanhf(log1pf(expf(v))))

bool bench_autovec(const char *op, bench_arm *arm)
{
    static const struct {
        const char *op;
        void (*run)(void *, const float *, float *, int64_t);
    } loops[] = {{"relu", loop_relu}, {"leaky_relu", loop_leaky_relu}, {"clip(-6, 6)", loop_clip}, {"hardswish", loop_hardswish},
                 {"sigmoid", loop_sigmoid}, {"silu", loop_silu}, {"tanh", loop_tanh}, {"elu", loop_elu}, {"gelu", loop_gelu},
                 {"gelu_tanh", loop_gelu_tanh}, {"mish", loop_mish}};
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        if (!strcmp(loops[i].op, op)) {
            *arm = (bench_arm){"autovec", loops[i].run, nothing, NULL};
            return true;
        }
    return false;
}

static void run_plan(void *self, const float *x, float *y, int64_t n)
{
    actune_buffer buffers[] = {{(void *)x, n, ACTUNE_F32}, {y, n, ACTUNE_F32}};
    if (actune_execute(self, buffers, 2)) {
        fprintf(stderr, "execute: %s\n", actune_last_error());
        exit(1);
    }
}

static void close_plan(void *self)
{
    actune_plan_destroy(self);
}

bool bench_plan(actune_context *context, const char *name, const char *spec, int64_t n, bench_arm *arm)
{
    actune_plan *plan;
    actune_plan_desc desc = {.spec = spec, .shape = {1, 1, n}, .max_threads = 1};
    if (actune_plan_create(context, &desc, &plan)) {
        fprintf(stderr, "%s: %s\n", spec, actune_last_error());
        return false;
    }
    *arm = (bench_arm){name, run_plan, close_plan, plan};
    return true;
}
