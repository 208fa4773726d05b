/* The functions a definition may call, and what they mean in the graph. */
#ifndef AT_CODEGEN_CLANG_FUNCTIONS_H
#define AT_CODEGEN_CLANG_FUNCTIONS_H

#include "../runtime/base/strbuf.h"
#include "graph.h"

typedef enum at_function_form {
    AT_FUNCTION_OP, /* one node */
    AT_FUNCTION_FMAX,
    AT_FUNCTION_FMIN,
    AT_FUNCTION_ISNAN,
    AT_FUNCTION_ISINF,
    AT_FUNCTION_ISFINITE,
    AT_FUNCTION_SIGNBIT,
    AT_FUNCTION_INFINITY, /* the builtins behind INFINITY and NAN */
    AT_FUNCTION_NAN
} at_function_form;

typedef struct at_clang_function {
    const char *name;
    at_function_form form;
    at_op op;
    int arguments;
} at_clang_function;

/* By C's name in either type ("exp", "expf", "__builtin_expf"); *is_float: it was the float form. NULL when unknown. */
const at_clang_function *at_clang_function_find(const char *name, bool *is_float);
/* "; did you mean 'expf'?" where a name is near, and the list of all. */
void at_clang_function_suggest(const char *name, at_strbuf *out);
/* C declarations of all of them. */
void at_clang_functions_declare(at_strbuf *out);

#endif
