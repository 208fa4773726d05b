#include "clang_functions.h"
#include "clang_lower.h"

#include <math.h>

enum { NAME_BYTES = 128 };

typedef struct arguments {
    at_cx_cursor cursor[AT_LOWER_ARGUMENTS_MAX];
    at_value value[AT_LOWER_ARGUMENTS_MAX];
    int count;
} arguments;

static actune_status read_arguments(at_lowering *l, at_cx_cursor call, arguments *a)
{
    a->count = l->api->Cursor_getNumArguments(call);
    if (a->count < 0 || a->count > AT_LOWER_ARGUMENTS_MAX)
        return at_ast_refuse(l, call, "a call may have at most %d arguments", AT_LOWER_ARGUMENTS_MAX);
    for (int i = 0; i < a->count; i++) {
        a->cursor[i] = l->api->Cursor_getArgument(call, (unsigned)i);
        AT_TRY(at_lower_expression(l, a->cursor[i], &a->value[i]));
    }
    return ACTUNE_OK;
}

static at_node_id node2(at_lowering *l, at_op op, at_node_id a, at_node_id b)
{
    return at_lower_node(l, op, a, b, AT_NO_NODE);
}

static bool is_number(const at_lowering *l, at_node_id node)
{
    return node != AT_NO_NODE && l->graph->nodes[node].op == AT_OP_CONSTANT && !isnan(l->graph->nodes[node].value);
}

/* C's fmaxf and fminf: a NaN loses against a number, unlike in MAX and MIN. `keeps` compares so that a wins; at a tie b
   is taken, as ops.def sends the gradient. A constant needs no test for NaN when it is what a failed comparison gives.
 */
static at_node_id extreme(at_lowering *l, at_op keeps, at_node_id a, at_node_id b)
{
    if (is_number(l, a))
        return at_lower_node(l, AT_OP_SELECT, node2(l, keeps == AT_OP_GT ? AT_OP_LE : AT_OP_GE, a, b), b, a);
    at_node_id larger = at_lower_node(l, AT_OP_SELECT, node2(l, keeps, a, b), a, b);
    if (is_number(l, b))
        return larger;
    return at_lower_node(l, AT_OP_SELECT, node2(l, AT_OP_NE, b, b), a, larger);
}

static at_value apply(at_lowering *l, const at_clang_function *f, const at_node_id *arg)
{
    at_node_id x = arg[0];
    switch (f->form) {
    case AT_FUNCTION_OP:
        return at_value_real(at_lower_node(l, f->op, arg[0], arg[1], arg[2]));
    case AT_FUNCTION_FMAX:
        return at_value_real(extreme(l, AT_OP_GT, arg[0], arg[1]));
    case AT_FUNCTION_FMIN:
        return at_value_real(extreme(l, AT_OP_LT, arg[0], arg[1]));
    case AT_FUNCTION_ISNAN:
        return at_value_truth_node(node2(l, AT_OP_NE, x, x));
    case AT_FUNCTION_SIGNBIT:
        return at_value_truth_node(
            node2(l, AT_OP_LT, node2(l, AT_OP_COPYSIGN, at_lower_constant(l, 1), x), at_lower_constant(l, 0)));
    case AT_FUNCTION_ISINF:
    case AT_FUNCTION_ISFINITE: {
        at_node_id size = at_lower_node(l, AT_OP_ABS, x, AT_NO_NODE, AT_NO_NODE);
        at_op op = f->form == AT_FUNCTION_ISINF ? AT_OP_EQ : AT_OP_LT;
        return at_value_truth_node(node2(l, op, size, at_lower_constant(l, INFINITY)));
    }
    case AT_FUNCTION_NAN:
        return at_value_real(at_lower_constant(l, NAN));
    case AT_FUNCTION_INFINITY:
        break;
    }
    return at_value_real(at_lower_constant(l, INFINITY));
}

static actune_status call_math(at_lowering *l, at_cx_cursor call, const char *name, const at_clang_function *f,
                               bool is_float, at_value *value)
{
    at_node_id node[AT_LOWER_ARGUMENTS_MAX] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
    if (f->form == AT_FUNCTION_NAN || f->form == AT_FUNCTION_INFINITY) {
        *value = apply(l, f, node);
        return ACTUNE_OK;
    }
    if (is_float && l->real == AT_CX_DOUBLE)
        return at_ast_refuse(l, call, "%s in a function of double rounds to float: call %s", name, f->name);
    arguments a;
    AT_TRY(read_arguments(l, call, &a));
    if (a.count != f->arguments)
        return at_ast_refuse(l, call, "%s takes %d argument%s", name, f->arguments, f->arguments == 1 ? "" : "s");
    for (int i = 0; i < a.count; i++)
        AT_TRY(at_lower_real(l, a.cursor[i], a.value[i], &node[i]));
    *value = apply(l, f, node);
    return ACTUNE_OK;
}

/* A function of the same file: executed in place. */
static actune_status call_own(at_lowering *l, at_cx_cursor call, const char *name, at_cx_cursor function,
                              at_value *value)
{
    for (const at_call *c = l->call; c; c = c->caller)
        if (l->api->equalCursors(c->function, function))
            return at_ast_refuse(l, call, "'%s' calls itself: recursion is not supported", name);
    if (l->calls == AT_LOWER_CALLS_MAX)
        return at_ast_refuse(l, call, "more than %d functions call one another here", AT_LOWER_CALLS_MAX);
    arguments a;
    AT_TRY(read_arguments(l, call, &a));
    return at_lower_function(l, function, a.value, a.count, value);
}

static actune_status refuse_unknown(at_lowering *l, at_cx_cursor call, at_cx_cursor function, const char *name)
{
    at_strbuf hint = {0};
    at_cx_type type = l->api->getCanonicalType(l->api->getCursorType(function));
    if (type.kind == AT_CX_FUNCTION_PROTO && l->api->isFunctionTypeVariadic(type)) /* without a prototype: undeclared */
        return at_ast_refuse(l, call, "'%s' is variadic: such functions are not supported", name);
    at_clang_function_suggest(name, &hint);
    actune_status status = at_ast_refuse(l, call, "unknown function '%s'%s", name, at_strbuf_text(&hint));
    at_strbuf_clear(&hint);
    return status;
}

actune_status at_lower_call(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    char name[NAME_BYTES];
    const at_clang_api *api = l->api;
    at_cx_cursor function = api->getCursorReferenced(cursor);
    if (api->Cursor_isNull(function) || api->getCursorKind(function) != AT_CX_FUNCTION)
        return at_ast_refuse(l, cursor, "only functions may be called, by their name: no function pointers");
    at_ast_string(api, api->getCursorSpelling(function), name, sizeof name);
    at_cx_cursor definition = api->getCursorDefinition(function);
    if (!api->Cursor_isNull(definition))
        return call_own(l, cursor, name, definition, value);
    bool is_float;
    const at_clang_function *known = at_clang_function_find(name, &is_float);
    return known ? call_math(l, cursor, name, known, is_float, value) : refuse_unknown(l, cursor, function, name);
}
