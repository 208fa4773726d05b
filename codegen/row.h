/* Kernels with a row operation: an op whose value for one element depends on the whole row of its argument (topk). Their graph is run in
   three steps, row by row: a prefix gives the key of each element; the row step looks at all keys of the row; a suffix gives the outputs
   of each element, with what the step said about it. One graph, so that differentiation, folding and identity know nothing of this. */
#ifndef AT_CODEGEN_ROW_H
#define AT_CODEGEN_ROW_H

#include "kernel.h"

/* Names of what the loops hand to the suffix besides the ports, and get from the prefix: local ports, which have no buffer and are in no kernel that
   is run. They are known by these addresses: a user's parameter may have the same name. */
extern const char at_row_kept_name[], at_row_value_name[], at_row_key_name[];
bool at_row_is_local(const at_port *port);
/* A truth value (the others are numbers of the compute type). */
bool at_row_is_kept(const at_port *port);

/* The graph's row operation; AT_NO_NODE when there is none. */
at_node_id at_row_find(const at_graph *graph);

/* The two element-wise parts of a row kernel as kernels of their own, for the emitters alone. prefix: outputs `row_key`, the row operation's
   argument, and, where that is expensive and the suffix uses it too, `row_value`; both are local. suffix: the kernel's
   outputs; `row_kept` in place of the row operation and `row_value` in place of what the prefix kept are local inputs. They share the kernel's
   names and stretches. `keep`: whether `row_value` may be used; otherwise the suffix computes everything again. Clear both, also after a
   failure. NO_MEMORY, UNSUPPORTED (no room for two ports more). */
actune_status at_row_split(const at_kernel *kernel, bool keep, at_kernel *prefix, at_kernel *suffix);
void at_row_clear(at_kernel *part);

/* Low bits of the key as an integer of the compute type that are 0 whatever x is: of a key that is x itself in a narrower type. */
int at_row_key_shift(const at_kernel *kernel);

#endif
