/* Inside of the lowering, shared by lower.c and lower_backward.c. */
#ifndef AT_CODEGEN_LOWER_H
#define AT_CODEGEN_LOWER_H

#include "kernel.h"

typedef struct at_operand {
    const char *name; /* "bias2": unique among all ports, with a 'd' in front too */
    at_access access;
    bool is_norm; /* of grad_norm, backward alone: no port, always 0; what is asked for is the sum of its gradient's squares */
    bool is_dropped; /* a norm that nobody asked for: as if the stage were not there */
} at_operand;

typedef struct at_lowering {
    const at_spec *spec;
    const at_kernel_request *request;
    at_kernel *kernel;
    at_operand operand[AT_PORTS_MAX]; /* in pipeline order */
    int operands;
    int first_operand; /* the graph's INPUT that operand 0 is; behind the last: the second half of x, where there are halves */
} at_lowering;

/* Builds the forward function of all stages in the kernel's graph (empty so far) as its one output, simplified. */
actune_status at_lower_stages(at_lowering *lowering);
/* Appends the stages before stage `end` to the kernel's graph: *value in, *value out; operand: the nodes of all operands, and behind
   them of the half that `mul` takes. */
actune_status at_lower_until(const at_lowering *lowering, int end, const at_node_id *operand, at_node_id *value);
/* The passes that every kernel goes through. */
actune_status at_lower_simplify(at_graph *graph);
/* Append a port to the signature. */
actune_status at_lower_input_port(at_kernel *kernel, const char *name, at_access access, actune_dtype dtype);
actune_status at_lower_output_port(at_kernel *kernel, const char *name, at_access access, actune_dtype dtype,
                                   at_reduction reduction);
/* What x and dx are. */
at_access at_lower_access_x(const at_lowering *lowering);
/* Element operands have the type of x, or of its gradient where x has 8 bits; the others are computed with as they are. */
actune_dtype at_lower_operand_dtype(const at_lowering *lowering, const at_operand *operand);

/* lower_backward.c: graph and ports of the gradients. */
actune_status at_lower_backward(at_lowering *lowering);
/* lower_output.c: the graph of dx and of the wanted gradients (one flag an operand) where y is read in place of x. */
actune_status at_lower_from_output(at_lowering *lowering, const bool *wanted);

#endif
