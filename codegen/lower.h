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
    at_graph *graph; /* being built: the kernel's, or that of some stages */
    at_operand operand[AT_PORTS_MAX]; /* in pipeline order */
    int operands;
    int first_operand; /* the graph's INPUT that operand 0 is; behind the last: the second half of x, where there are halves */
} at_lowering;

/* Stages without a barrier between them, and their operands. */
typedef struct at_segment {
    int stage, stage_end;
    int operand, operands;
} at_segment;

/* A value on its way through the stages. */
typedef struct at_flow {
    at_node_id value;
    bool rounded; /* to the compute type: as it was loaded, or by a ROUND */
} at_flow;

at_segment at_lower_all(const at_lowering *lowering);
/* How many operands the stage has (in this direction). */
int at_lower_operands_of(const at_lowering *lowering, const at_stage *stage);
/* The node of an operand in lowering->graph. */
at_node_id at_lower_operand(const at_lowering *lowering, int operand);
/* Builds the forward function of the stages in lowering->graph (empty so far) as its one output, simplified. */
actune_status at_lower_stages(at_lowering *lowering, const at_segment *stages);
/* Appends the stages to lowering->graph; operand: the nodes of all operands, and behind them of the half that
   `mul` takes. */
actune_status at_lower_flow(const at_lowering *lowering, const at_segment *stages, const at_node_id *operand, at_flow *flow);
/* The passes that every kernel goes through. */
actune_status at_lower_simplify(at_graph *graph);
/* `kind`, or kind and a number from `number` on that no operand has. NULL: no memory. */
const char *at_lower_free_name(const at_lowering *lowering, const char *kind, int number);
/* Append a port to the signature. */
actune_status at_lower_port(at_kernel *kernel, at_port port);
actune_status at_lower_input_port(at_kernel *kernel, const char *name, at_access access, actune_dtype dtype);
actune_status at_lower_output_port(at_kernel *kernel, const char *name, at_access access, actune_dtype dtype,
                                   at_reduction reduction);
/* What x and dx are. */
at_access at_lower_access_x(const at_lowering *lowering);
/* x, operands, y. */
actune_status at_lower_forward_ports(const at_lowering *lowering);
/* Element operands have the type of x, or of its gradient where x has 8 bits; the others are computed with as they are. */
actune_dtype at_lower_operand_dtype(const at_lowering *lowering, const at_operand *operand);

/* An empty kernel becomes one of the lowering's pass (0: the whole): text and types. */
actune_status at_lower_begin(const at_lowering *lowering, int pass, at_kernel *kernel);
/* ... and when graph and ports are there, gets its hash. */
actune_status at_lower_identify(at_kernel *kernel);

/* lower_backward.c: graph and ports of the gradients. */
actune_status at_lower_backward(at_lowering *lowering);
/* Which operands' gradients the request names. */
actune_status at_lower_wanted(at_lowering *lowering, bool wanted[AT_PORTS_MAX]);
/* Builds in lowering->graph (empty so far) the gradient of the stages: INPUT 0 is what goes into them, INPUT 1 the gradient of what comes
   out. Outputs: the gradient of what goes in, then those of the wanted operands among theirs. Simplified. */
actune_status at_lower_gradient(at_lowering *lowering, const at_segment *stages, const bool *wanted);
/* Ports of a backward kernel: `used` are the operands that its graphs read. */
actune_status at_lower_backward_ports(const at_lowering *lowering, const bool *used, const bool *wanted);

/* lower_passes.c: a pipeline with barriers. */
bool at_lower_has_barrier(const at_spec *spec);
actune_status at_lower_passes(at_lowering *lowering);
/* lower_output.c: the graph of dx and of the wanted gradients (one flag an operand) where y is read in place of x. */
actune_status at_lower_from_output(at_lowering *lowering, const bool *wanted);

#endif
