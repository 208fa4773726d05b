/* Macros of a definition file: kept in a table, expanded as C does, without # and ##, with a bound on the work. */
#ifndef AT_CODEGEN_CLANG_MACRO_H
#define AT_CODEGEN_CLANG_MACRO_H

#include "clang_source.h"

typedef struct at_macro {
    at_token name;
    bool function; /* written with a parameter list */
    bool defined, active;
    int parameters;
    at_token parameter[AT_SOURCE_MACRO_PARAMETERS_MAX];
    const at_token *body;
    int body_count;
} at_macro;

typedef struct at_macros {
    at_source *source;
    at_macro macro[AT_SOURCE_MACROS_MAX];
    int count;
    long work; /* tokens handled so far */
    int depth;
} at_macros;

/* NULL when there is none (or it was undefined again). */
at_macro *at_macro_find(at_macros *macros, const at_token *name);
/* `tokens`: what follows "#define" on its line. They must outlive the table. */
actune_status at_macro_define(at_macros *macros, const at_token *hash, const at_token *tokens, int count);
/* Expands and appends to the source's tokens. */
actune_status at_macro_expand(at_macros *macros, const at_token *tokens, int count);

#endif
