#include "clang_functions.h"

#include "../runtime/base/nearest.h"
#include <stdio.h>
#include <string.h>

#define OP(name, NAME, arguments)                                                                                      \
    {                                                                                                                  \
        name, AT_FUNCTION_OP, AT_OP_##NAME, arguments                                                                  \
    }

/* Of <math.h>: in double and, with an f behind, in float. */
static const at_clang_function math_functions[] = {
    OP("exp", EXP, 1),
    OP("exp2", EXP2, 1),
    OP("expm1", EXPM1, 1),
    OP("log", LOG, 1),
    OP("log2", LOG2, 1),
    OP("log1p", LOG1P, 1),
    OP("sin", SIN, 1),
    OP("cos", COS, 1),
    OP("tan", TAN, 1),
    OP("atan", ATAN, 1),
    OP("sinh", SINH, 1),
    OP("cosh", COSH, 1),
    OP("tanh", TANH, 1),
    OP("asinh", ASINH, 1),
    OP("erf", ERF, 1),
    OP("erfc", ERFC, 1),
    OP("sqrt", SQRT, 1),
    OP("fabs", ABS, 1),
    OP("floor", FLOOR, 1),
    OP("ceil", CEIL, 1),
    OP("trunc", TRUNC, 1),
    OP("pow", POW, 2),
    OP("fma", FMA, 3),
    OP("copysign", COPYSIGN, 2),
    {"fmax", AT_FUNCTION_FMAX, 0, 2},
    {"fmin", AT_FUNCTION_FMIN, 0, 2},
};

/* Ours: one form for every real type. */
static const at_clang_function own_functions[] = {
    OP("actune_max", MAX, 2),
    OP("actune_min", MIN, 2),
    OP("actune_sigmoid", SIGMOID, 1),
    OP("actune_softplus", SOFTPLUS, 1),
};

/* Macros in C, functions here. */
static const at_clang_function tests[] = {
    {"isnan", AT_FUNCTION_ISNAN, 0, 1},
    {"isinf", AT_FUNCTION_ISINF, 0, 1},
    {"isfinite", AT_FUNCTION_ISFINITE, 0, 1},
    {"signbit", AT_FUNCTION_SIGNBIT, 0, 1},
};

/* Only as __builtin_inff and so on, where INFINITY and NAN lead. */
static const at_clang_function builtins[] = {
    {"inf", AT_FUNCTION_INFINITY, 0, 0},
    {"huge_val", AT_FUNCTION_INFINITY, 0, 0},
    {"nan", AT_FUNCTION_NAN, 0, 1},
};

#define COUNT(table) ((int)(sizeof table / sizeof *table))

static const at_clang_function *find(const at_clang_function *table, int count, const char *name, size_t length)
{
    for (int i = 0; i < count; i++)
        if (strlen(table[i].name) == length && !memcmp(table[i].name, name, length))
            return &table[i];
    return NULL;
}

const at_clang_function *at_clang_function_find(const char *name, bool *is_float)
{
    static const char prefix[] = "__builtin_";
    bool builtin = !strncmp(name, prefix, sizeof prefix - 1);
    name += builtin ? sizeof prefix - 1 : 0;
    size_t length = strlen(name);
    *is_float = false;
    const at_clang_function *found = find(math_functions, COUNT(math_functions), name, length);
    if (!found)
        found = find(tests, COUNT(tests), name, length);
    if (!found)
        found = builtin ? find(builtins, COUNT(builtins), name, length)
                        : find(own_functions, COUNT(own_functions), name, length);
    if (found || length < 2 || name[length - 1] != 'f')
        return found;
    *is_float = true;
    found = find(math_functions, COUNT(math_functions), name, length - 1);
    return found || !builtin ? found : find(builtins, COUNT(builtins), name, length - 1);
}

void at_clang_function_suggest(const char *name, at_strbuf *out)
{
    at_nearest nearest;
    at_nearest_init(&nearest, name);
    for (int i = 0; i < COUNT(math_functions); i++) {
        char single[32];
        snprintf(single, sizeof single, "%sf", math_functions[i].name);
        at_nearest_consider(&nearest, single);
        at_nearest_consider(&nearest, math_functions[i].name);
    }
    for (int i = 0; i < COUNT(own_functions); i++)
        at_nearest_consider(&nearest, own_functions[i].name);
    for (int i = 0; i < COUNT(tests); i++)
        at_nearest_consider(&nearest, tests[i].name);
    at_nearest_print(&nearest, out);
    at_strbuf_append(out, " (known: functions of this file, actune_max, actune_min, actune_sigmoid, actune_softplus, "
                          "and of <math.h>");
    for (int i = 0; i < COUNT(math_functions); i++)
        at_strbuf_printf(out, " %s", math_functions[i].name);
    at_strbuf_append(out, ", with or without f)");
}

static void declare(const char *result, const char *type, const char *name, const char *suffix, int arguments,
                    at_strbuf *out)
{
    at_strbuf_printf(out, "%s %s%s(", result, name, suffix);
    for (int i = 0; i < arguments; i++)
        at_strbuf_printf(out, "%s%s", i ? ", " : "", type);
    at_strbuf_append(out, ");\n");
}

void at_clang_functions_declare(at_strbuf *out)
{
    for (int i = 0; i < COUNT(math_functions); i++) {
        declare("double", "double", math_functions[i].name, "", math_functions[i].arguments, out);
        declare("float", "float", math_functions[i].name, "f", math_functions[i].arguments, out);
    }
    for (int i = 0; i < COUNT(own_functions); i++)
        declare("double", "double", own_functions[i].name, "", own_functions[i].arguments, out);
    for (int i = 0; i < COUNT(tests); i++)
        declare("int", "double", tests[i].name, "", tests[i].arguments, out);
}
