#include "../runtime/base/number.h"
#include "clang_lower.h"

#include <stdlib.h>
#include <string.h>

static actune_status parenthesis(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    if (at_ast_children(l, cursor, child) != 1)
        return at_ast_refuse_kind(l, cursor);
    return at_lower_expression(l, child[0], value);
}

/* Conversions that C inserts have no cursor kind of their own. */
static actune_status implicit(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    AT_TRY(parenthesis(l, cursor, value));
    return at_lower_convert(l, cursor, at_ast_type(l, cursor), value);
}

static actune_status cast(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    int kind, count = at_ast_children(l, cursor, child); /* a type's name may come first */
    if (count < 1 || count > AT_CHILDREN_MAX)
        return at_ast_refuse_kind(l, cursor);
    AT_TRY(at_lower_type(l, cursor, l->api->getCursorType(cursor), &kind));
    AT_TRY(at_lower_expression(l, child[count - 1], value));
    return at_lower_convert(l, cursor, kind, value);
}

/* The digits keep their decimal value whatever their suffix: 0.1f is 0.1. */
static actune_status floating(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    const at_token *t = at_ast_first_token(l, cursor);
    if (!t || t->kind != AT_TOKEN_NUMBER)
        return at_ast_refuse_kind(l, cursor);
    size_t length = t->length;
    bool hexadecimal = length > 1 && (t->text[1] == 'x' || t->text[1] == 'X');
    if (hexadecimal)
        return at_ast_refuse(l, cursor, "hexadecimal real constants are not supported: write it in decimal");
    length -= strchr("fF", t->text[length - 1]) != NULL;
    double number;
    switch (at_number_parse(t->text, length, &number)) {
    case AT_NUMBER_OK:
        *value = at_value_real(at_lower_constant(l, number));
        return ACTUNE_OK;
    case AT_NUMBER_TOO_LARGE:
        return at_ast_refuse(l, cursor, "this constant is too large for a double: write INFINITY if it is meant");
    default:
        return at_ast_refuse(l, cursor, "the constant '%.*s' is no float or double", (int)t->length, t->text);
    }
}

static actune_status integer(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    const at_token *t = at_ast_first_token(l, cursor);
    char text[32];
    if (!t || t->kind != AT_TOKEN_NUMBER || t->length >= sizeof text || at_ast_type(l, cursor) != AT_CX_INT)
        return at_ast_refuse(l, cursor, "this integer constant is not an int: write it with a decimal point");
    memcpy(text, t->text, t->length);
    text[t->length] = 0;
    bool binary = text[0] == '0' && (text[1] == 'b' || text[1] == 'B');
    *value = at_value_integer(strtoll(text + 2 * binary, NULL, binary ? 2 : 0));
    return ACTUNE_OK;
}

int at_lower_variable(const at_lowering *l, at_cx_cursor cursor)
{
    const at_clang_api *api = l->api;
    at_cx_cursor child[AT_CHILDREN_MAX];
    while (api->getCursorKind(cursor) == AT_CX_PAREN && at_ast_children(l, cursor, child) == 1)
        cursor = child[0];
    if (!l->call || api->getCursorKind(cursor) != AT_CX_DECL_REF)
        return -1;
    at_cx_cursor declaration = api->getCursorReferenced(cursor);
    for (int i = 0; i < l->call->variables; i++)
        if (api->equalCursors(l->call->declaration[i], declaration))
            return i;
    return -1;
}

actune_status at_lower_read(const at_lowering *l, at_cx_cursor where, int variable, at_value *value)
{
    char name[64];
    *value = l->call->state->variable[variable];
    if (value->kind != AT_VALUE_UNSET && value->kind != AT_VALUE_MAYBE)
        return ACTUNE_OK;
    at_ast_string(l->api, l->api->getCursorSpelling(l->call->declaration[variable]), name, sizeof name);
    if (value->kind == AT_VALUE_UNSET)
        return at_ast_refuse(l, where, "'%s' is read before it has a value", name);
    return at_ast_refuse(l, where, "'%s' is read here, but not every path gives it a value", name);
}

/* Constants at file scope: const, with an initialiser that is an expression of constants. */
static actune_status global(at_lowering *l, at_cx_cursor cursor, at_cx_cursor declaration, at_value *value)
{
    const at_clang_api *api = l->api;
    char name[64];
    int kind;
    at_ast_string(api, api->getCursorSpelling(declaration), name, sizeof name);
    AT_TRY(at_lower_type(l, cursor, api->getCursorType(declaration), &kind));
    if (!api->isConstQualifiedType(api->getCanonicalType(api->getCursorType(declaration))))
        return at_ast_refuse(l, cursor,
                             "global variable '%s': only constants may be used (static const), the rest "
                             "are parameters of the function",
                             name);
    at_cx_cursor first = api->Cursor_getVarDeclInitializer(declaration);
    if (api->Cursor_isNull(first))
        return at_ast_refuse(l, cursor, "the constant '%s' has no value here", name);
    AT_TRY(at_lower_expression(l, first, value));
    return at_lower_convert(l, first, kind, value);
}

static actune_status reference(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    int variable = at_lower_variable(l, cursor);
    if (variable >= 0)
        return at_lower_read(l, cursor, variable, value);
    at_cx_cursor declaration = l->api->getCursorReferenced(cursor);
    if (l->api->getCursorKind(declaration) == AT_CX_VARIABLE)
        return global(l, cursor, declaration, value);
    if (l->api->getCursorKind(declaration) == AT_CX_FUNCTION)
        return at_ast_refuse(l, cursor, "functions may only be called: no function pointers");
    char name[64];
    return at_ast_refuse(l, cursor, "'%s' is no variable and no constant of this function",
                         at_ast_string(l->api, l->api->getCursorSpelling(cursor), name, sizeof name));
}

static actune_status unary(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    const at_token *op = at_ast_first_token(l, cursor), *last = at_ast_last_token(l, cursor);
    if (!op || !last || at_ast_children(l, cursor, child) != 1)
        return at_ast_refuse_kind(l, cursor);
    if (at_token_is(op, "++") || at_token_is(op, "--") || at_token_is(last, "++") || at_token_is(last, "--"))
        return at_ast_refuse(l, cursor,
                             "++ and -- inside an expression are not supported: write a statement before it");
    if (at_token_is(op, "*") || at_token_is(op, "&"))
        return at_ast_refuse(l, cursor, "pointers are not supported: use plain values");
    bool minus = at_token_is(op, "-"), negation = at_token_is(op, "!");
    if (!minus && !negation && !at_token_is(op, "+"))
        return at_ast_refuse(l, cursor, "operator '%.*s' is not supported", (int)op->length, op->text);
    AT_TRY(at_lower_expression(l, child[0], value));
    if (negation) {
        *value = at_value_not(l, *value);
    } else if (value->kind != AT_VALUE_REAL) {
        at_value a = at_value_as_integer(l, *value);
        if (minus)
            return at_lower_arithmetic(l, cursor, op, at_value_integer(0), a, value);
        *value = a;
    } else if (minus) {
        value->node = at_lower_node(l, AT_OP_NEG, value->node, AT_NO_NODE, AT_NO_NODE);
    }
    return ACTUNE_OK;
}

static const struct operator_row {
    const char *text;
    at_op op;
    bool compares;
} operators[] = {
    {"+", AT_OP_ADD, false}, {"-", AT_OP_SUB, false}, {"*", AT_OP_MUL, false}, {"/", AT_OP_DIV, false},
    {"<", AT_OP_LT, true},   {"<=", AT_OP_LE, true},  {">", AT_OP_GT, true},   {">=", AT_OP_GE, true},
    {"==", AT_OP_EQ, true},  {"!=", AT_OP_NE, true},
};

static bool holds(at_op op, int64_t a, int64_t b)
{
    return (op == AT_OP_LT && a < b) || (op == AT_OP_LE && a <= b) || (op == AT_OP_GT && a > b) ||
           (op == AT_OP_GE && a >= b) || (op == AT_OP_EQ && a == b) || (op == AT_OP_NE && a != b);
}

/* The smallest and the largest of what four corners give. */
static void bounds(at_op op, at_value a, at_value b, at_value *result)
{
    int64_t corner[4] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
    if (op != AT_OP_MUL) {
        corner[0] = op == AT_OP_ADD ? a.low + b.low : a.low - b.high;
        corner[1] = corner[2] = corner[3] = op == AT_OP_ADD ? a.high + b.high : a.high - b.low;
    }
    result->low = result->high = corner[0];
    for (int i = 1; i < 4; i++) {
        result->low = corner[i] < result->low ? corner[i] : result->low;
        result->high = corner[i] > result->high ? corner[i] : result->high;
    }
}

/* Ranges stay within int (so the sums and products above fit int64), and exact in a float unless constant. */
static actune_status integers(at_lowering *l, at_cx_cursor where, at_op op, at_value a, at_value b, at_value *value)
{
    if (op == AT_OP_DIV)
        return at_ast_refuse(l, where,
                             "division of integers drops the fraction: write one side with a decimal point "
                             "(1.0f / 2)");
    *value = (at_value){AT_VALUE_INTEGER, AT_NO_NODE, 0, 0};
    bounds(op, a, b, value);
    if (value->low < INT32_MIN || value->high > INT32_MAX)
        return at_ast_refuse(l, where, "this overflows an int: write it with decimal points");
    if (at_value_constant(*value))
        return ACTUNE_OK;
    if (value->low < -AT_LOWER_EXACT_MAX || value->high > AT_LOWER_EXACT_MAX)
        return at_ast_refuse(l, where, "this integer may grow past what a float holds exactly: use real numbers");
    value->node = at_lower_node(l, op, at_value_as_real(l, a), at_value_as_real(l, b), AT_NO_NODE);
    return ACTUNE_OK;
}

actune_status at_lower_arithmetic(at_lowering *l, at_cx_cursor where, const at_token *op, at_value a, at_value b,
                                  at_value *value)
{
    const struct operator_row *row = NULL;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (at_token_is(op, operators[i].text))
            row = &operators[i];
    if (!row)
        return at_ast_refuse(l, where, "operator '%.*s' is not supported", (int)op->length, op->text);
    if (a.kind != AT_VALUE_REAL && b.kind != AT_VALUE_REAL) {
        a = at_value_as_integer(l, a);
        b = at_value_as_integer(l, b);
        if (!row->compares)
            return integers(l, where, row->op, a, b, value);
        if (at_value_constant(a) && at_value_constant(b)) {
            *value = at_value_truth(holds(row->op, a.low, b.low));
            return ACTUNE_OK;
        }
    }
    at_node_id left, right;
    AT_TRY(at_lower_real(l, where, a, &left));
    AT_TRY(at_lower_real(l, where, b, &right));
    at_node_id node = at_lower_node(l, row->op, left, right, AT_NO_NODE);
    *value = row->compares ? at_value_truth_node(node) : at_value_real(node);
    return ACTUNE_OK;
}

static actune_status binary(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    if (at_ast_children(l, cursor, child) != 2)
        return at_ast_refuse_kind(l, cursor);
    const at_token *op = at_ast_token_before(l, child[1]);
    if (!op)
        return at_ast_refuse_kind(l, cursor);
    if (at_token_is(op, "=") || at_token_is(op, ","))
        return at_ast_refuse(l, cursor, "'%s' inside an expression is not supported: write a statement before it",
                             at_token_is(op, "=") ? "=" : ",");
    at_value a, b;
    AT_TRY(at_lower_expression(l, child[0], &a));
    AT_TRY(at_lower_expression(l, child[1], &b));
    bool truths = a.kind == AT_VALUE_TRUTH && b.kind == AT_VALUE_TRUTH;
    if (at_token_is(op, "&&") || (truths && at_token_is(op, "&")))
        *value = at_value_and(l, a, b);
    else if (at_token_is(op, "||") || (truths && at_token_is(op, "|")))
        *value = at_value_or(l, a, b);
    else
        return at_lower_arithmetic(l, cursor, op, a, b, value);
    return ACTUNE_OK;
}

static actune_status conditional(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    at_value condition, a, b;
    if (at_ast_children(l, cursor, child) != 3)
        return at_ast_refuse_kind(l, cursor);
    AT_TRY(at_lower_expression(l, child[0], &condition));
    condition = at_value_as_truth(l, condition);
    AT_TRY(at_lower_expression(l, child[1], &a));
    AT_TRY(at_lower_expression(l, child[2], &b));
    *value = at_value_select(l, condition, a, b);
    return at_lower_convert(l, cursor, at_ast_type(l, cursor), value);
}

static actune_status assignment(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    (void)value;
    return at_ast_refuse(l, cursor, "an assignment inside an expression is not supported: write a statement before it");
}

static const struct {
    int kind;
    actune_status (*lower)(at_lowering *l, at_cx_cursor cursor, at_value *value);
} expressions[] = {
    {AT_CX_UNEXPOSED_EXPR, implicit},
    {AT_CX_PAREN, parenthesis},
    {AT_CX_FLOATING, floating},
    {AT_CX_INTEGER, integer},
    {AT_CX_DECL_REF, reference},
    {AT_CX_CALL, at_lower_call},
    {AT_CX_UNARY, unary},
    {AT_CX_BINARY, binary},
    {AT_CX_COMPOUND_ASSIGN, assignment},
    {AT_CX_CONDITIONAL, conditional},
    {AT_CX_CAST, cast},
};

actune_status at_lower_expression(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    if (l->depth >= AT_LOWER_DEPTH_MAX)
        return at_ast_refuse(l, cursor, "this is nested too deeply: use a few variables");
    if (++l->steps > AT_LOWER_STEPS_MAX || l->graph->count > AT_LOWER_NODES_MAX)
        return at_ast_refuse(l, cursor, "the function becomes too large here (helpers counted at each call)");
    int kind = l->api->getCursorKind(cursor);
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
        if (expressions[i].kind == kind) {
            l->depth++;
            actune_status status = expressions[i].lower(l, cursor, value);
            l->depth--;
            return status;
        }
    return at_ast_refuse_kind(l, cursor);
}
