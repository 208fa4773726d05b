#include "emit_math.h"

#include <string.h>

const at_math_form at_math_forms[] = {
    {"fit16", AT_MATH_FIT, 16, "one table of 16 polynomials for a whole stretch"},
    {"fit32", AT_MATH_FIT, 32, "one table of 32 polynomials for a whole stretch"},
    {"fit8", AT_MATH_FIT, 8, "one table of 8 polynomials for a whole stretch"},
    {"exp32", AT_MATH_CALLS, 0, "exp by a table of 32"},
    {"exp16", AT_MATH_CALLS, 0, "exp by a table of 16"},
    {"poly", AT_MATH_CALLS, 0, "polynomials and a division"},
    {"accurate", AT_MATH_CALLS, 0, "polynomials and a compensated division"},
    {"exp32rcp", AT_MATH_CALLS, 0, "exp by a table of 32, reciprocal estimate"},
    {"wide", AT_MATH_WIDE, 0, "in f64"},
};
const int at_math_form_count = sizeof at_math_forms / sizeof *at_math_forms;

/* Errors: of all floats whose result is a normal number, against libm in double. */
static const at_math_function functions[] = {
    {AT_OP_EXP, "poly", "exp_p6", 0.9},
    {AT_OP_EXP, "exp16", "exp_t16", 1},
    {AT_OP_EXPM1, "poly", "expm1_p", 1.6},
    {AT_OP_LOG, "poly", "log_p", 0.9},
    {AT_OP_LOG1P, "poly", "log1p_p", 1.5},
    {AT_OP_TANH, "poly", "tanh_p", 1.5},
    {AT_OP_ERF, "poly", "erf_p", 1.95},
    {AT_OP_ERFC, "poly", "erfc_p", 4},
    {AT_OP_SIGMOID, "poly", "sigmoid_p6", 2.5},
    {AT_OP_SIGMOID, "accurate", "sigmoid_p6c", 1.9},
    {AT_OP_SIGMOID, "exp16", "sigmoid_t16", 3},
    {AT_OP_SIGMOID, "exp32", "sigmoid_t32", 3.95},
    {AT_OP_SIGMOID, "exp32rcp", "sigmoid_t32_rcp", 1600},
    {AT_OP_SOFTPLUS, "poly", "softplus_p", 2.2},
    {AT_OP_SOFTPLUS, "exp16", "softplus_t16", 2.7},
    {AT_OP_SOFTPLUS, "exp32", "softplus_t32", 3.4},
};

const at_math_form *at_math_form_find(const char *name)
{
    for (int i = 0; i < at_math_form_count; i++)
        if (!strcmp(at_math_forms[i].name, name))
            return &at_math_forms[i];
    return NULL;
}

const at_math_function *at_math_function_find(at_op op, const char *form)
{
    const at_math_function *found = NULL;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (functions[i].op == op) {
            if (!strcmp(functions[i].form, form))
                return &functions[i];
            if (!strcmp(functions[i].form, "poly"))
                found = &functions[i];
        }
    return found;
}
