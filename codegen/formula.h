/* A graph as a formula for people: "x > 0 ? 1 : alpha". */
#ifndef AT_CODEGEN_FORMULA_H
#define AT_CODEGEN_FORMULA_H

#include "activation.h"

/* Appends the expression of `node` in C's notation, with the graph's function names (expm1, sigmoid ...); input i is called names[i]. Shared
   parts are written out each time, and what only guards floating-point numbers (0 * inf, overflow) is left out: for people, not for programs. */
void at_formula_print(const at_graph *graph, at_node_id node, const char *const *names, at_strbuf *out);

/* Appends what the toolkit derives for d activation / d x (parameter -1) or / d parameter: the factor that multiplies dy. NO_MEMORY,
   UNSUPPORTED. */
actune_status at_formula_derivative(const at_activation *activation, int parameter, at_strbuf *out);

#endif
