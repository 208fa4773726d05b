/* Exact moments of a case's values, and what a kernel may be off by. Part of reference.c. */
#ifndef AT_TUNER_REFERENCE_MOMENTS_H
#define AT_TUNER_REFERENCE_MOMENTS_H

#include "oracle.h"

typedef struct at_moments_terms {
    const at_expected *term; /* of each element of the shape */
    actune_shape shape;
    int64_t channel; /* -1: all elements */
} at_moments_terms;

typedef struct at_moments_expected {
    long double value[AT_MOMENTS_COUNT], error[AT_MOMENTS_COUNT];
} at_moments_expected;

/* NUMERICS.md's bound of sums, here 1e-6 (f64: 1e-13) of the standard deviation and of the variance, and what the terms themselves may be off.
   Of no elements: zeros. */
void at_moments_solve(const at_signature *signature, const at_moments_terms *of, at_moments_expected *expected);

#endif
