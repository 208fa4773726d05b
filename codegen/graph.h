/* The expression graph: a pure scalar function, nodes in evaluation order (arguments come before their users).
   Built-in definitions, users' C functions, whole pipelines and their derivatives are all this. */
#ifndef AT_CODEGEN_GRAPH_H
#define AT_CODEGEN_GRAPH_H

#include "../runtime/base/status.h"
#include "../runtime/base/strbuf.h"

typedef enum at_op {
#define AT_OP(NAME, ...) AT_OP_##NAME,
#include "ops.def"
#undef AT_OP
    AT_OP_COUNT
} at_op;

typedef struct at_op_info {
    const char *name;
    int arguments;
    char result; /* 'R' or 'B' */
    bool transcendental;
} at_op_info;

const at_op_info *at_op_get(at_op op);
bool at_op_find(const char *name, at_op *op);

/* Index of a node; AT_NO_NODE where there is none (also what every builder returns once memory is out). */
typedef int32_t at_node_id;
enum { AT_NO_NODE = -1 };

typedef struct at_node {
    at_op op;
    at_node_id arg[3]; /* AT_NO_NODE beyond the op's arguments */
    int32_t index;     /* INPUT: which input; STRETCH: which of the kernel's stretches */
    double value;      /* CONSTANT; TOPK: how many, or below 1 which share of a row */
} at_node;

enum { AT_OUTPUTS_MAX = 16 };

typedef struct at_graph {
    at_node *nodes;
    int32_t count, capacity;
    at_node_id output[AT_OUTPUTS_MAX];
    int32_t outputs;
    bool failed; /* memory ran out; sticky */
} at_graph;

/* `{0}` is an empty graph. Not thread-safe. */
void at_graph_clear(at_graph *graph);
actune_status at_graph_copy(const at_graph *from, at_graph *to);
/* ACTUNE_NO_MEMORY when any builder failed. */
actune_status at_graph_status(const at_graph *graph);

/* Builders append a node. They do no simplification: passes do. */
at_node_id at_graph_constant(at_graph *graph, double value);
at_node_id at_graph_input(at_graph *graph, int32_t index);
at_node_id at_graph_add(at_graph *graph, at_op op, at_node_id a, at_node_id b, at_node_id c);
at_node_id at_graph_1(at_graph *graph, at_op op, at_node_id a);
at_node_id at_graph_2(at_graph *graph, at_op op, at_node_id a, at_node_id b);

/* Appends a copy of everything `from` computes; its INPUT i becomes node inputs[i] of `to`. mapped[k] (k < from->outputs)
   receives the node for output k. */
actune_status at_graph_inline(at_graph *to, const at_graph *from, const at_node_id *inputs, int32_t input_count, at_node_id *mapped);

/* Text, one node a line: "%0 = input 0", "%1 = const 0.5", "%2 = mul %0 %1", "%3 = stretch 0 %2", "%4 = topk 32 %3", last "return %2 %5".
   Canonical (equal graphs give equal text): this is what is hashed, embedded, dumped and golden-tested. */
void at_graph_print(const at_graph *graph, at_strbuf *out);
/* SYNTAX with the line for text that at_graph_print would not have written (used before definition, wrong arity ...). */
actune_status at_graph_parse(const char *text, at_graph *graph);

/* One op on its arguments (those it does not have are ignored), in long double; CONSTANT, INPUT and STRETCH give NaN. What at_graph_eval
   is made of; verification uses it to round and to bound errors between the ops. */
long double at_op_eval(at_op op, long double a, long double b, long double c);

/* Evaluates node by node in long double with libm (the reference of the fitter and of tests). values: graph->count. A truth
   value is 0 or 1. ROUND is the identity here; STRETCH is not allowed (NaN). */
void at_graph_eval(const at_graph *graph, const long double *inputs, long double *values);

#endif
