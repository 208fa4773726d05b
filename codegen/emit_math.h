/* Which forms of a transcendental function there are (the values of the knob `math`), and which vector function an op calls
   under each. The functions are fragments of templates/math. */
#ifndef AT_CODEGEN_EMIT_MATH_H
#define AT_CODEGEN_EMIT_MATH_H

#include "graph.h"

typedef enum at_math_kind {
    AT_MATH_WIDE,  /* stretches in f64 with libm's accuracy: always right, slow */
    AT_MATH_CALLS, /* the graph stays; ops call f32 vector functions */
    AT_MATH_FIT    /* stretches are replaced by table polynomials (fit.h) */
} at_math_kind;

/* All forms but `wide` are for f32 arithmetic and for kernels that hold a transcendental op. */
typedef struct at_math_form {
    const char *name;
    at_math_kind kind;
    int entries; /* FIT */
    const char *summary; /* for people */
} at_math_form;

extern const at_math_form at_math_forms[]; /* the knob's order in templates/cpu/knobs.in: a default is the first that reaches the class */
extern const int at_math_form_count;
/* NULL when there is none. */
const at_math_form *at_math_form_find(const char *name);

typedef struct at_math_function {
    at_op op;
    const char *form;
    const char *name; /* "exp_t32": for 16 lanes the fragment defines exp_t32_f32x16(f32x16) */
    double ulp;       /* largest error over all floats, rounded up; measured by tests/conformance/mpfr_math.c */
} at_math_function;

/* What `op` calls in f32 under a form of kind CALLS: the form's own function, else that of "poly". NULL: there is none, compute the op
   in f64 (libm_<op>_f64x<lanes>). */
const at_math_function *at_math_function_find(at_op op, const char *form);

#endif
