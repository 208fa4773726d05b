/* Passes: graph in, better graph out, one a file. All keep outputs' order and the values of every output (NaN, infinities
   and signed zeros included) up to the rounding of the compute type, unless said otherwise. */
#ifndef AT_CODEGEN_PASS_H
#define AT_CODEGEN_PASS_H

#include "graph.h"

/* pass_fold.c: constants (in double), identities that are exact in IEEE arithmetic (x*1, x+(-0), --x, select of equal arms,
   min/max of constants; dead code goes). Never x*0, x-x or x+0. */
actune_status at_pass_fold(at_graph *graph);
/* pass_cse.c: equal nodes once; nodes in canonical order (depth first from the outputs), dead ones gone. */
actune_status at_pass_cse(at_graph *graph);
/* pass_extremum.c: selects that are a minimum or maximum become one; after differentiation, for CPU code. */
actune_status at_pass_extremum(at_graph *graph);
/* pass_stabilise.c: rewrites what overflows or cancels: log(1+exp(u)) -> softplus(u) and log1p(exp(u)); 1/(1+exp(-u)) and
   exp(u)/(1+exp(u)) -> sigmoid(u); exp(u)-1 -> expm1(u); 1+erf(u) -> erfc(-u), 1-erf(u) -> erfc(u), 0.5*(1+tanh(u)) ->
   sigmoid(2u), 1+tanh(u) -> 2 sigmoid(2u), log(1+u) -> log1p(u), tanh(softplus) as it stands. Any operand order, any
   scaled constant. 1 - sigmoid(u) -> sigmoid(-u). */
actune_status at_pass_stabilise(at_graph *graph);
/* pass_differentiate.c: appends to `graph` the gradient of output `from` (a REAL node): `seed` is the node of the
   gradient flowing in (dy). For each wanted INPUT index wanted[i], gradient[i] gets the node of d(out)/d(input) * seed, or a
   constant 0 node. Reverse mode through the graph, selects as selects (the condition is not differentiated), MIN/MAX tie
   rule of ops.def, GRAD_CLIP clips the adjoint there, ROUND is transparent; where a saturating factor meets an overflowing
   one (0*inf), the product is guarded so that a finite x or x = +-inf gives the limit where one exists. */
actune_status at_pass_differentiate(at_graph *graph, at_node_id from, at_node_id seed, const int32_t *wanted, int32_t wanted_count,
                                    at_node_id *gradient);

#endif
