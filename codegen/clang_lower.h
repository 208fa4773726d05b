/* Inside of the front end: a C function lowered to a graph by executing it symbolically. Used by parse_clang.c and
   clang_*.c only. */
#ifndef AT_CODEGEN_CLANG_LOWER_H
#define AT_CODEGEN_CLANG_LOWER_H

#include "clang_api.h"
#include "clang_source.h"
#include "graph.h"

enum {
    AT_LOWER_VARIABLES_MAX = 64, /* of one function */
    AT_LOWER_RETURNS_MAX = 64,
    AT_LOWER_CALLS_MAX = 32,   /* helpers calling helpers */
    AT_LOWER_DEPTH_MAX = 1200, /* nesting of expressions and statements */
    AT_LOWER_STEPS_MAX = 50000,
    AT_LOWER_NODES_MAX = 4096,
    AT_LOWER_ARGUMENTS_MAX = 16,
    AT_LOWER_EXACT_MAX = 1 << 24 /* integers up to here are exact in a float */
};

typedef enum at_value_kind {
    AT_VALUE_UNSET, /* never written */
    AT_VALUE_MAYBE, /* written on some path only */
    AT_VALUE_REAL,
    AT_VALUE_INTEGER,
    AT_VALUE_TRUTH
} at_value_kind;

/* What an expression or a variable holds. Integers and truths carry their range; low == high is a constant and has no
   node (AT_NO_NODE) until one is needed. */
typedef struct at_value {
    at_value_kind kind;
    at_node_id node;
    int64_t low, high;
} at_value;

/* `return value` under a condition (a TRUTH); the first whose condition holds counts. */
typedef struct at_return {
    at_value condition, value;
} at_return;

/* What is known at one point of a function. */
typedef struct at_state {
    at_value variable[AT_LOWER_VARIABLES_MAX];
    at_return returned[AT_LOWER_RETURNS_MAX];
    int returns;
    bool ended; /* every path has returned */
} at_state;

/* A function being executed. */
typedef struct at_call {
    struct at_call *caller;
    at_cx_cursor function;
    int result_type; /* at_cx_type_kind */
    at_cx_cursor declaration[AT_LOWER_VARIABLES_MAX];
    int type[AT_LOWER_VARIABLES_MAX];
    int variables;
    at_state *state;
} at_call;

typedef struct at_lowering {
    const at_clang_api *api;
    const at_source *source;
    at_graph *graph;
    int real; /* AT_CX_FLOAT or AT_CX_DOUBLE: the one real type of this definition */
    at_call *call;
    int depth, calls, steps;
} at_lowering;

/* clang_ast.c: looking at the tree */
enum { AT_CHILDREN_MAX = 4 };

/* Up to AT_CHILDREN_MAX children; returns how many there are. */
int at_ast_children(const at_lowering *l, at_cx_cursor cursor, at_cx_cursor child[AT_CHILDREN_MAX]);
/* All of them (free with free()); NULL when memory is out. */
at_cx_cursor *at_ast_all_children(const at_clang_api *api, at_cx_cursor cursor, int *count);
/* The kind of the canonical type, qualifiers taken off. */
int at_ast_type(const at_lowering *l, at_cx_cursor cursor);
/* Offsets in the user's text: of the cursor's place in messages, of its first and of its last token. */
uint32_t at_ast_offset(const at_lowering *l, at_cx_cursor cursor);
const at_token *at_ast_first_token(const at_lowering *l, at_cx_cursor cursor);
const at_token *at_ast_last_token(const at_lowering *l, at_cx_cursor cursor);
/* The token before the first one: the operator, when asked for the right operand. NULL when there is none. */
const at_token *at_ast_token_before(const at_lowering *l, at_cx_cursor cursor);
/* Copies (cut to fit) and disposes. */
const char *at_ast_string(const at_clang_api *api, at_cx_string string, char *buffer, size_t bytes);
actune_status at_ast_refuse(const at_lowering *l, at_cx_cursor cursor, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What stands for a refused kind of cursor, with what to write instead. */
actune_status at_ast_refuse_kind(const at_lowering *l, at_cx_cursor cursor);

/* clang_type.c: types and conversions */
/* The type of a variable, parameter or result: FLOAT or DOUBLE (only the definition's own), INT, BOOL. */
actune_status at_lower_type(const at_lowering *l, at_cx_cursor where, at_cx_type type, int *kind);
actune_status at_lower_convert(at_lowering *l, at_cx_cursor where, int type, at_value *value);
actune_status at_lower_real(at_lowering *l, at_cx_cursor where, at_value value, at_node_id *node);

/* clang_value.c: nodes and values */
at_value at_value_real(at_node_id node);
at_value at_value_integer(int64_t value);
at_value at_value_truth(bool value);
at_value at_value_truth_node(at_node_id node);
bool at_value_constant(at_value value);
/* Appends a node unless there is an equal one. */
at_node_id at_lower_node(at_lowering *l, at_op op, at_node_id a, at_node_id b, at_node_id c);
at_node_id at_lower_constant(at_lowering *l, double value);
at_node_id at_lower_input(at_lowering *l, int index);
/* The node of an integer or truth constant, or of whatever it is. Truths become 1 or 0. */
at_node_id at_value_as_real(at_lowering *l, at_value value);
at_value at_value_as_truth(at_lowering *l, at_value value);
at_value at_value_as_integer(at_lowering *l, at_value value);
at_value at_value_not(at_lowering *l, at_value a);
at_value at_value_and(at_lowering *l, at_value a, at_value b);
at_value at_value_or(at_lowering *l, at_value a, at_value b);
/* condition ? a : b. Kinds may differ; what is not set on one side is MAYBE. */
at_value at_value_select(at_lowering *l, at_value condition, at_value a, at_value b);

/* clang_expr.c */
actune_status at_lower_expression(at_lowering *l, at_cx_cursor cursor, at_value *value);
/* a op b for + - * /, conversions done here; `where` for messages. */
actune_status at_lower_arithmetic(at_lowering *l, at_cx_cursor where, const at_token *op, at_value a, at_value b,
                                  at_value *value);
/* The local variable that an expression names, -1 when it is none. */
int at_lower_variable(const at_lowering *l, at_cx_cursor cursor);
actune_status at_lower_read(const at_lowering *l, at_cx_cursor where, int variable, at_value *value);

/* clang_call.c */
actune_status at_lower_call(at_lowering *l, at_cx_cursor cursor, at_value *value);

/* clang_statement.c: executes `function` with these arguments (converted already) */
actune_status at_lower_function(at_lowering *l, at_cx_cursor function, const at_value *arguments, int count,
                                at_value *value);

#endif
