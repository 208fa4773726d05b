/* The graph of a kernel as C functions, and its ports as variables of the loop templates. */
#ifndef AT_CODEGEN_EMIT_C_H
#define AT_CODEGEN_EMIT_C_H

#include "generate.h"

typedef struct at_emit {
    const at_kernel *kernel; /* approximated */
    at_layout layout;
    const char *math; /* knob: which functions transcendental ops call */
    int lanes, unroll;
    const char *suffix; /* of this variant's own functions, "" or "_0123456789abcdef" */
    const char *function; /* what the graph becomes: "evaluate", or "row_key" for the prefix of a row kernel */
} at_emit;

/* Appends the functions of the stretches. */
actune_status at_emit_stretches(const at_emit *emit, at_strbuf *out);
/* Appends `evaluate<suffix>`: vectors in, vectors out (returned when there is one output, else through pointers after the inputs). */
actune_status at_emit_evaluate(const at_emit *emit, at_strbuf *out);

/* Adds the variables of the ports, with strings from `arena` (listed in templates/README.md). */
actune_status at_emit_scope(const at_emit *emit, at_arena *arena, at_scope *scope);

/* The C name of a port: its own, unless generated code uses that for something else. */
const char *at_emit_name(const char *port_name, at_arena *arena);
/* Which INPUTs the outputs depend on; `used` has AT_PORTS_MAX places. */
void at_emit_used_inputs(const at_graph *graph, bool *used);

/* A C literal: "0.5f", "0.1", "-2.0f", "__builtin_inff()". */
void at_emit_literal(at_strbuf *out, double value, bool f64);

#endif
