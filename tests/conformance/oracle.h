/* The activations once more, written for MPFR from their textbook formulas and independently of templates/activations: what every
   generated kernel is compared with. Derivatives come from central differences in 400 bits, so no derivative formula is trusted. */
#ifndef AT_TESTS_ORACLE_H
#define AT_TESTS_ORACLE_H

#include <mpfr.h>
#include <stdbool.h>

enum { ORACLE_BITS = 288 };

/* Which bounds of NUMERICS.md ("Accuracy classes") hold for the forward function. */
typedef enum oracle_kind {
    ORACLE_PIECEWISE, /* a few additions and multiplications: 2 ULP in every class */
    ORACLE_SIGMOID,   /* exact 2, standard 4 ULP: sigmoid, softplus */
    ORACLE_EXPM1,     /* 2 ULP: tanh, elu and their kind */
    ORACLE_GATE,      /* exact 6 ULP, standard 1.5 ulp(x): gelu, silu, mish */
    ORACLE_FLAT       /* exact 6 ULP or a millionth of ulp(x), standard 1.5 ulp(x): tanhshrink, whose slope at 0 is 0 */
} oracle_kind;

typedef struct oracle_op {
    const char *name; /* the spec */
    oracle_kind kind;
    bool bounded;     /* fast class: 2e-4 absolute, else 2e-4 max(1, |x|) */
    void (*f)(mpfr_t y, const mpfr_t x);
    double kink[2], slope_at_kink[2]; /* where PyTorch's rule decides; NAN slope: not compared there */
    int kinks;
    bool nan_at_infinity; /* as in PyTorch: infinity / infinity */
} oracle_op;

extern const oracle_op oracle_ops[];
extern const int oracle_op_count;

/* f(x) and f'(x) as doubles that carry about 53 good bits (long double: 64). Infinite x gives the limit. */
long double oracle_value(const oracle_op *op, double x);
long double oracle_slope(const oracle_op *op, double x);

#endif
