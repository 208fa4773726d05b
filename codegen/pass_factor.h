/* Takes the gradient flowing in out of sums and products: README.md, "Numerics". */
#ifndef AT_CODEGEN_PASS_FACTOR_H
#define AT_CODEGEN_PASS_FACTOR_H

#include "graph.h"

/* Rewrites what is linear in INPUT `seed_input` as that input (or what a select or a clip made of it) times one factor. Values change by
   rounding only. Dead nodes stay: clean up with at_pass_cse. */
actune_status at_pass_factor(at_graph *graph, int32_t seed_input);

#endif
