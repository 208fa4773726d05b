/* The fitter: any unary function of a graph as one table-driven piecewise polynomial with a measured error. */
#ifndef AT_CODEGEN_FIT_H
#define AT_CODEGEN_FIT_H

#include "kernel.h"

enum { AT_FIT_ENTRIES_MAX = 32, AT_FIT_DEGREE_MAX = 8 };

/* How a fit is put together; a = |x|, P_i the polynomial of the interval that a (SIGNED: x) falls in. */
typedef enum at_fit_shape {
    AT_FIT_ODD,    /* f = copysign(P_i(t), x) */
    AT_FIT_CENTER, /* f = c + copysign(P_i(t), x): an odd function beside a constant (sigmoid', gelu' = 0.5 + odd) */
    AT_FIT_GATE,   /* f = fma(a, P_i(t), x / 2): gelu, silu and their kind */
    AT_FIT_SIGNED  /* no symmetry: the sign bit is part of the index, half of the entries a side */
} at_fit_shape;

struct at_fit {
    at_hash hash; /* of everything below: equal fits, equal functions */
    at_fit_shape shape;
    int entries;  /* 8, 16 or 32 */
    int degree;
    float scale, center;
    float coefficient[AT_FIT_DEGREE_MAX + 1][AT_FIT_ENTRIES_MAX]; /* [power][interval] */
    float base[AT_FIT_ENTRIES_MAX];                              /* where t = a - base[i] */
    double max_error_ulp, max_error_absolute; /* measured on the dense sample of at_fit_measure */
};

/* Fits `function` (one INPUT, one output; f32) with `entries` intervals at the lowest degree that meets the class (`derivative`: by
   the derivative's bounds). UNSUPPORTED when none does, with the error reached. Results are cached for the life of the process and
   deterministic. Thread-safe. */
actune_status at_fit_make(const at_graph *function, int entries, at_accuracy accuracy, bool derivative, const at_fit **fit);

/* Evaluates as the generated code does (f32, fma); the tests compare the two. */
float at_fit_eval(const at_fit *fit, float x);

#endif
