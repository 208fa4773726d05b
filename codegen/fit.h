/* The fitter: any unary function of a graph as one table-driven piecewise polynomial with a measured error.
   How it works and why: README.md, "Numerics". */
#ifndef AT_CODEGEN_FIT_H
#define AT_CODEGEN_FIT_H

#include "accuracy.h"
#include "kernel.h"

enum { AT_FIT_ENTRIES_MAX = 32, AT_FIT_DEGREE_MAX = 8 };

/* How a fit is put together; a = min(|x|, limit), u = a * scale + 1, P_i the polynomial of the interval that u falls in (its
   float bits shifted right by `shift`), and line(x) = slope_negative * x below 0, slope_positive * x from there on. */
typedef enum at_fit_shape {
    AT_FIT_ODD,    /* f = line + center + copysign(P_i(t), x): tanh, sigmoid' */
    AT_FIT_EVEN,   /* f = line + P_i(t), or line + a * P_i(t): gelu, silu (line = max(x, 0)), tanh' */
    AT_FIT_SIGNED  /* the same, with the sign of x in the index, half of the entries a side: elu, mish */
} at_fit_shape;

/* What a polynomial is written in: from cheap to exact. */
typedef enum at_fit_origin {
    AT_FIT_DIRECT, /* t = a */
    AT_FIT_OFFSET, /* t = u - (u cut to the start of its interval) */
    AT_FIT_BASE    /* t = a - base[i] */
} at_fit_origin;

/* What a P_i(t) or P_i(t) is multiplied by, where the tail is judged by its own size. */
typedef enum at_fit_tail {
    AT_FIT_TAIL_NONE,
    AT_FIT_TAIL_EXP,  /* exp(-rate a): silu, mish, softplus */
    AT_FIT_TAIL_GAUSS /* exp(-rate a^2), rate a power of two: gelu */
} at_fit_tail;

struct at_fit {
    at_hash hash; /* equal fits, equal functions */
    at_fit_shape shape;
    at_fit_origin origin;
    bool product; /* a * P_i(t) */
    bool zero_is_left; /* SIGNED: 0 belongs to the negative side (f jumps there) */
    int entries;  /* 8, 16 or 32 */
    int degree;
    int shift;    /* of the bits of u: 23 - the mantissa bits that tell intervals of one octave apart */
    float scale, limit, center, slope_negative, slope_positive;
    at_fit_tail tail;
    float rate, rate_low; /* tail: rate + rate_low; 0 else */
    float u_limit;        /* tail: u = min(u_limit, ...), as limit is where the tail is 0 */
    float coefficient[AT_FIT_DEGREE_MAX + 1][AT_FIT_ENTRIES_MAX]; /* [power][interval], from u = 1; SIGNED: x >= 0, then x < 0 */
    float base[AT_FIT_ENTRIES_MAX];                              /* BASE only, else 0 */
    double max_error_ulp, max_error_absolute; /* measured on a dense sample of all exponents, against long double */
    double max_error_share;                   /* largest error / error allowed there; at most 1 */
};

/* Fits `function` (one INPUT, one output; f32) with `entries` intervals at the lowest degree that meets the class (`derivative`: by
   the derivative's bounds). UNSUPPORTED when none does, with the error reached, and for functions that do not settle to a
   line at both ends. Results are cached for the life of the process and deterministic. Thread-safe. */
actune_status at_fit_make(const at_graph *function, int entries, at_accuracy accuracy, bool derivative, const at_fit **fit);

/* Evaluates as the generated code does (f32, fma); the tests compare the two. */
float at_fit_eval(const at_fit *fit, float x);

/* C text: `static inline f32x<lanes> <name>(f32x<lanes> x)` with its tables, out of the ISA primitives that README.md lists. */
void at_fit_emit(const at_fit *fit, const char *name, int lanes, at_strbuf *out);

#endif
