/* How far from the exact value a result may lie: the accuracy classes as numbers, for one unary f32 function.
   Fitter, tuner and tests judge by this one rule. */
#ifndef AT_CODEGEN_ACCURACY_H
#define AT_CODEGEN_ACCURACY_H

#include "spec.h"

/* The largest of its terms is allowed. */
typedef struct at_tolerance {
    double ulp_y;      /* x the spacing of floats at the exact value */
    double ulp_x;      /* x the spacing of floats at x (at most x_limit), times `slope`: x sigmoid(x) and its kind */
    double x_limit;    /* infinity, or 1 where the function is bounded */
    double slope;
    double absolute;
    double relative_x; /* x max(1, |x|): the fast class of functions that grow */
} at_tolerance;

/* What a class allows `function` (one INPUT, one output). It looks at values only, so a user's function is judged like the
   built-in that it resembles:
     derivative                                 4 ULP or 3e-7, fast 2e-4
     f(0) != 0 and one sign on each side        sigmoid, softplus: 4 ULP (exact: 2)
     f(0) == 0, no other zero, settling at 0
       nowhere                                  tanh, elu: 2 ULP
     the same, settling at 0 at an end          gelu, silu, mish: 1.5 ulp(x) (exact: 6 ULP)
     f(0) == 0 and f'(0) == 0                   tanhshrink: 2 ULP or 1.5 ulp(x) (exact: 6 ULP or a millionth of ulp(x))
     zeros elsewhere                            4 ULP or 1.5 ulp(x), x counted up to 1 when bounded (exact: 6 ULP or 2e-7)
     fast                                       2e-4, times max(1, |x|) when it grows
   Deterministic; about a millisecond. */
at_tolerance at_tolerance_of(const at_graph *function, at_accuracy accuracy, bool derivative);
/* The error allowed at x, where `exact` is the exact value; both finite. */
double at_tolerance_at(const at_tolerance *tolerance, double x, double exact);

/* Spacing of binary32 at |value| (the smallest denormal at least; that of the largest float for infinity). */
double at_ulp_f32(double value);

#endif
