/* The arms of a comparison: each computes y from x, n f32 elements, one thread. */
#ifndef AT_BENCH_ARMS_H
#define AT_BENCH_ARMS_H

#include <actune/actune.h>

typedef struct bench_arm {
    const char *name;
    void (*run)(void *self, const float *x, float *y, int64_t n);
    void (*close)(void *self);
    void *self;
} bench_arm;

/* Each returns false when the arm cannot run here (no library, op unknown to it). */
bool bench_copy(bench_arm *arm);                     /* memcpy */
bool bench_stream_copy(bench_arm *arm);              /* our own non-temporal copy */
bool bench_autovec(const char *op, bench_arm *arm);  /* a plain loop, -O3 -march=native, libm */
bool bench_onednn(const char *op, int64_t n, bench_arm *arm);
/* A plan: tuned winners of `context`. The context outlives the arm. */
bool bench_plan(actune_context *context, const char *name, const char *spec, int64_t n, bench_arm *arm);

#endif
