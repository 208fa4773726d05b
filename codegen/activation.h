/* Activation definitions: a plain C function turned into a graph, with its parameters and their defaults. */
#ifndef AT_CODEGEN_ACTIVATION_H
#define AT_CODEGEN_ACTIVATION_H

#include "../runtime/base/arena.h"
#include "graph.h"

enum { AT_PARAMETERS_MAX = 8 };

typedef struct at_parameter {
    const char *name;      /* as in C: "alpha" */
    const char *aliases;   /* space-separated other names ("negative_slope"); "" when none */
    bool has_default;
    double default_value;
} at_parameter;

/* graph: INPUT 0 is x, INPUT 1+i parameter i; one output.
   gradient: what dx is where only the output was kept: INPUT 0 is y, INPUT 1 dy, INPUT 2+i parameter i; one output, or none where
   the definition gives no such function. NaN everywhere for parameters with which y does not tell the gradient. */
typedef struct at_activation {
    const char *name;
    const char *gradient_of; /* while definitions are read: this is no activation but that one's gradient; NULL */
    const char *formula;    /* for people, one line of ASCII, e.g. "x * sigmoid(beta * x)" */
    const char *aliases;    /* space-separated other names ("swish"); "" when none */
    const char *requirements; /* "min_val <= max_val", several with ';' (requirement.h); "" when none */
    at_parameter parameter[AT_PARAMETERS_MAX];
    int parameters;
    at_graph graph, gradient;
} at_activation;

/* Built-ins: parsed at build time, embedded. The list is sorted by name. Thread-safe after first use. */
int at_activation_count(void);
const at_activation *at_activation_get(int index);
/* By name or alias; NULL when there is none. */
const at_activation *at_activation_find(const char *name);

/* Whether `word` is one of the space-separated `words`, as of an alias list. */
bool at_has_word(const char *words, const char *word, size_t length);

#endif
