/* The built-in activations as text, written at build time by tools/make_builtins.c; activation.c makes them graphs. */
#ifndef AT_CODEGEN_BUILTINS_H
#define AT_CODEGEN_BUILTINS_H

typedef struct at_builtin {
    const char *name, *formula, *aliases;
    const char *parameters; /* "min_val=-1 max_val=1", other names behind '|'; a name alone has no default */
    const char *requirements; /* "min_val <= max_val"; "" where there is none */
    const char *graph;      /* as at_graph_print writes it */
    const char *gradient;   /* the same of the gradient from the output; "" where there is none */
} at_builtin;

extern const at_builtin at_builtins[]; /* sorted by name */
extern const int at_builtin_count;

#endif
