#include "clang_lower.h"

#include <stdlib.h>
#include <string.h>

static actune_status execute(at_lowering *l, at_cx_cursor cursor);

static at_state *state_of(at_lowering *l)
{
    return l->call->state;
}

static actune_status add_return(at_lowering *l, at_cx_cursor where, at_state *s, at_value condition, at_value value)
{
    if (s->returns == AT_LOWER_RETURNS_MAX)
        return at_ast_refuse(l, where, "a function may have at most %d return statements", AT_LOWER_RETURNS_MAX);
    s->returned[s->returns++] = (at_return){condition, value};
    return ACTUNE_OK;
}

/* The value of a state in which every path has returned: the first return whose condition holds. */
static at_value returned_value(at_lowering *l, const at_state *s)
{
    at_value value = s->returned[s->returns - 1].value;
    for (int i = s->returns - 2; i >= 0; i--)
        value = at_value_select(l, s->returned[i].condition, s->returned[i].value, value);
    return value;
}

static actune_status add_returns(at_lowering *l, at_cx_cursor where, at_state *s, at_value condition,
                                 const at_state *from)
{
    for (int i = 0; i < from->returns; i++)
        AT_TRY(
            add_return(l, where, s, at_value_and(l, condition, from->returned[i].condition), from->returned[i].value));
    return ACTUNE_OK;
}

/* What holds behind an if: `s` had held before it, a behind its first arm, b behind its second. */
static actune_status join(at_lowering *l, at_cx_cursor where, at_state *s, at_value condition, const at_state *a,
                          const at_state *b)
{
    at_value otherwise = at_value_not(l, condition);
    for (int i = 0; i < l->call->variables; i++)
        if (a->ended || b->ended)
            s->variable[i] = a->ended ? b->variable[i] : a->variable[i];
        else
            s->variable[i] = at_value_select(l, condition, a->variable[i], b->variable[i]);
    if (a->ended && b->ended) {
        s->ended = true;
        return add_return(l, where, s, at_value_truth(true),
                          at_value_select(l, condition, returned_value(l, a), returned_value(l, b)));
    }
    if (a->ended) {
        AT_TRY(add_return(l, where, s, condition, returned_value(l, a)));
        return add_returns(l, where, s, at_value_truth(true), b);
    }
    if (b->ended) {
        AT_TRY(add_return(l, where, s, otherwise, returned_value(l, b)));
        return add_returns(l, where, s, at_value_truth(true), a);
    }
    AT_TRY(add_returns(l, where, s, condition, a));
    return add_returns(l, where, s, otherwise, b);
}

/* Executes one arm on a copy of the state. */
static actune_status execute_arm(at_lowering *l, at_cx_cursor statement, at_state *arm)
{
    at_state *outer = l->call->state;
    memcpy(arm->variable, outer->variable, sizeof arm->variable);
    arm->returns = 0;
    arm->ended = false;
    l->call->state = arm;
    actune_status status = execute(l, statement);
    l->call->state = outer;
    return status;
}

static actune_status execute_arms(at_lowering *l, const at_cx_cursor *child, int count, at_value condition, at_state *a,
                                  at_state *b)
{
    AT_TRY(execute_arm(l, child[1], a));
    if (count == 3)
        AT_TRY(execute_arm(l, child[2], b));
    else
        memcpy(b->variable, state_of(l)->variable, sizeof b->variable);
    if (!at_value_constant(condition))
        return join(l, child[0], state_of(l), condition, a, b);
    at_state *s = state_of(l), *taken = condition.low ? a : b;
    memcpy(s->variable, taken->variable, sizeof s->variable);
    s->ended = taken->ended;
    return add_returns(l, child[0], s, at_value_truth(true), taken);
}

static actune_status execute_if(at_lowering *l, at_cx_cursor cursor)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    at_value condition;
    int count = at_ast_children(l, cursor, child);
    if (count < 2 || count > 3)
        return at_ast_refuse_kind(l, cursor);
    AT_TRY(at_lower_expression(l, child[0], &condition));
    condition = at_value_as_truth(l, condition);
    at_state *arms = calloc(2, sizeof *arms);
    if (!arms)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading a definition");
    actune_status status = execute_arms(l, child, count, condition, &arms[0], &arms[1]);
    free(arms);
    return status;
}

static actune_status execute_return(at_lowering *l, at_cx_cursor cursor)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    at_value value;
    if (at_ast_children(l, cursor, child) != 1)
        return at_ast_refuse(l, cursor, "return needs a value here");
    AT_TRY(at_lower_expression(l, child[0], &value));
    AT_TRY(at_lower_convert(l, child[0], l->call->result_type, &value));
    AT_TRY(add_return(l, cursor, state_of(l), at_value_truth(true), value));
    state_of(l)->ended = true;
    return ACTUNE_OK;
}

static actune_status add_variable(at_lowering *l, at_cx_cursor declaration, int *index)
{
    at_call *call = l->call;
    int kind;
    AT_TRY(at_lower_type(l, declaration, l->api->getCursorType(declaration), &kind));
    if (call->variables == AT_LOWER_VARIABLES_MAX)
        return at_ast_refuse(l, declaration, "a function may have at most %d variables", AT_LOWER_VARIABLES_MAX);
    *index = call->variables++;
    call->declaration[*index] = declaration;
    call->type[*index] = kind;
    call->state->variable[*index] = (at_value){0};
    return ACTUNE_OK;
}

static actune_status declare(at_lowering *l, at_cx_cursor declaration)
{
    const at_clang_api *api = l->api;
    int kind = api->getCursorKind(declaration), index;
    if (kind == AT_CX_TYPEDEF)
        return ACTUNE_OK;
    if (kind != AT_CX_VARIABLE)
        return at_ast_refuse(l, declaration, "only variables may be declared inside a function");
    int storage = api->Cursor_getStorageClass(declaration);
    if (storage == AT_CX_STORAGE_STATIC)
        return at_ast_refuse(l, declaration, "static variables are not supported: a definition is a pure function");
    if (storage == AT_CX_STORAGE_EXTERN)
        return at_ast_refuse(l, declaration, "extern variables are not supported: make it a parameter");
    AT_TRY(add_variable(l, declaration, &index));
    at_cx_cursor first = api->Cursor_getVarDeclInitializer(declaration);
    if (api->Cursor_isNull(first))
        return ACTUNE_OK;
    at_value value;
    AT_TRY(at_lower_expression(l, first, &value));
    AT_TRY(at_lower_convert(l, first, l->call->type[index], &value));
    state_of(l)->variable[index] = value;
    return ACTUNE_OK;
}

static actune_status assigned_variable(at_lowering *l, at_cx_cursor left, int *variable)
{
    *variable = at_lower_variable(l, left);
    if (*variable >= 0)
        return ACTUNE_OK;
    int kind = l->api->getCursorKind(left);
    if (kind == AT_CX_UNARY)
        return at_ast_refuse(l, left, "pointers are not supported: use plain values");
    if (kind == AT_CX_DECL_REF)
        return at_ast_refuse(l, left, "global variables are not supported: a definition is a pure function");
    return at_ast_refuse_kind(l, left);
}

/* a = b = value, from the right. */
static actune_status assign(at_lowering *l, at_cx_cursor cursor, at_value *value)
{
    at_cx_cursor child[AT_CHILDREN_MAX], inner[AT_CHILDREN_MAX];
    int variable;
    at_ast_children(l, cursor, child);
    AT_TRY(assigned_variable(l, child[0], &variable));
    const at_token *op = NULL;
    if (l->api->getCursorKind(child[1]) == AT_CX_BINARY && at_ast_children(l, child[1], inner) == 2)
        op = at_ast_token_before(l, inner[1]);
    l->depth++; /* bounded by the length of a statement */
    actune_status status =
        op && at_token_is(op, "=") ? assign(l, child[1], value) : at_lower_expression(l, child[1], value);
    l->depth--;
    AT_TRY(status);
    AT_TRY(at_lower_convert(l, child[1], l->call->type[variable], value));
    state_of(l)->variable[variable] = *value;
    return ACTUNE_OK;
}

static actune_status execute_binary(at_lowering *l, at_cx_cursor cursor)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    at_value value;
    const at_token *op = at_ast_children(l, cursor, child) == 2 ? at_ast_token_before(l, child[1]) : NULL;
    if (op && at_token_is(op, "="))
        return assign(l, cursor, &value);
    if (op && at_token_is(op, ",")) {
        AT_TRY(execute(l, child[0]));
        return execute(l, child[1]);
    }
    return at_lower_expression(l, cursor, &value);
}

/* variable = variable op right, in the wider of the two types. */
static actune_status update(at_lowering *l, at_cx_cursor where, at_cx_cursor left, at_token op, at_value right)
{
    at_value value;
    int variable;
    AT_TRY(assigned_variable(l, left, &variable));
    AT_TRY(at_lower_read(l, left, variable, &value));
    AT_TRY(at_lower_arithmetic(l, where, &op, value, right, &value));
    AT_TRY(at_lower_convert(l, where, l->call->type[variable], &value));
    state_of(l)->variable[variable] = value;
    return ACTUNE_OK;
}

static actune_status execute_compound(at_lowering *l, at_cx_cursor cursor)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    at_value right;
    const at_token *op = at_ast_children(l, cursor, child) == 2 ? at_ast_token_before(l, child[1]) : NULL;
    if (!op)
        return at_ast_refuse_kind(l, cursor);
    at_token bare = *op; /* without its "=" */
    bare.length--;
    AT_TRY(at_lower_expression(l, child[1], &right));
    return update(l, cursor, child[0], bare, right);
}

static actune_status execute_unary(at_lowering *l, at_cx_cursor cursor)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    at_value value;
    const at_token *first = at_ast_first_token(l, cursor), *last = at_ast_last_token(l, cursor);
    const at_token *ends[] = {first, last};
    for (int i = 0; i < 2; i++)
        if (ends[i] && (at_token_is(ends[i], "++") || at_token_is(ends[i], "--")) &&
            at_ast_children(l, cursor, child) == 1) {
            at_token op = *ends[i];
            op.length = 1;
            return update(l, cursor, child[0], op, at_value_integer(1));
        }
    return at_lower_expression(l, cursor, &value);
}

/* `(void)x;` says that x is not used; any other cast is an expression. */
static actune_status execute_cast(at_lowering *l, at_cx_cursor cursor)
{
    at_cx_cursor child[AT_CHILDREN_MAX];
    at_value value;
    if (at_ast_type(l, cursor) == AT_CX_VOID && at_ast_children(l, cursor, child) == 1)
        return at_lower_expression(l, child[0], &value);
    return at_lower_expression(l, cursor, &value);
}

static actune_status execute_each(at_lowering *l, at_cx_cursor cursor,
                                  actune_status (*step)(at_lowering *, at_cx_cursor))
{
    int count = 0;
    at_cx_cursor *child = at_ast_all_children(l->api, cursor, &count);
    if (!child)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading a definition");
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < count && status == ACTUNE_OK && !state_of(l)->ended; i++)
        status = step(l, child[i]);
    free(child);
    return status;
}

static actune_status execute_block(at_lowering *l, at_cx_cursor cursor)
{
    return execute_each(l, cursor, execute);
}

static actune_status execute_declaration(at_lowering *l, at_cx_cursor cursor)
{
    return execute_each(l, cursor, declare);
}

static actune_status execute_parenthesis(at_lowering *l, at_cx_cursor cursor)
{
    return execute_each(l, cursor, execute);
}

static actune_status execute_nothing(at_lowering *l, at_cx_cursor cursor)
{
    (void)l;
    (void)cursor;
    return ACTUNE_OK;
}

static const struct {
    int kind;
    actune_status (*execute)(at_lowering *l, at_cx_cursor cursor);
} statements[] = {
    {AT_CX_BLOCK, execute_block},  {AT_CX_DECLARATION, execute_declaration},
    {AT_CX_IF, execute_if},        {AT_CX_RETURN, execute_return},
    {AT_CX_NULL, execute_nothing}, {AT_CX_BINARY, execute_binary},
    {AT_CX_UNARY, execute_unary},  {AT_CX_COMPOUND_ASSIGN, execute_compound},
    {AT_CX_CAST, execute_cast},    {AT_CX_PAREN, execute_parenthesis},
};

static actune_status execute(at_lowering *l, at_cx_cursor cursor)
{
    if (l->depth >= AT_LOWER_DEPTH_MAX)
        return at_ast_refuse(l, cursor, "this is nested too deeply: use a few variables");
    int kind = l->api->getCursorKind(cursor);
    at_value unused;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (statements[i].kind == kind) {
            l->depth++;
            actune_status status = statements[i].execute(l, cursor);
            l->depth--;
            return status;
        }
    return at_lower_expression(l, cursor, &unused);
}

/* The body, the last child: parameters and attributes come before it. */
static bool find_body(at_lowering *l, at_cx_cursor function, at_cx_cursor *body)
{
    int count = 0;
    at_cx_cursor *child = at_ast_all_children(l->api, function, &count);
    bool found = child && count && l->api->getCursorKind(child[count - 1]) == AT_CX_BLOCK;
    if (found)
        *body = child[count - 1];
    free(child);
    return found;
}

static actune_status set_parameters(at_lowering *l, at_cx_cursor function, const at_value *arguments, int count)
{
    if (l->api->Cursor_getNumArguments(function) != count)
        return at_ast_refuse(l, function, "this function is called with %d arguments", count);
    for (int i = 0; i < count; i++) {
        at_cx_cursor parameter = l->api->Cursor_getArgument(function, (unsigned)i);
        int index;
        AT_TRY(add_variable(l, parameter, &index));
        l->call->state->variable[index] = arguments[i];
        AT_TRY(at_lower_convert(l, parameter, l->call->type[index], &l->call->state->variable[index]));
    }
    return ACTUNE_OK;
}

static actune_status run(at_lowering *l, at_cx_cursor function, const at_value *arguments, int count, at_value *value)
{
    const at_clang_api *api = l->api;
    at_cx_cursor body;
    at_cx_type type = api->getCursorType(function);
    if (api->isFunctionTypeVariadic(type))
        return at_ast_refuse(l, function, "variadic functions are not supported");
    if (api->getCanonicalType(type).kind != AT_CX_FUNCTION_PROTO)
        return at_ast_refuse(l, function,
                             "a function without parameter types is not supported: write (void) or "
                             "typed parameters");
    AT_TRY(at_lower_type(l, function, api->getResultType(type), &l->call->result_type));
    AT_TRY(set_parameters(l, function, arguments, count));
    if (!find_body(l, function, &body))
        return at_ast_refuse(l, function, "this function has no body");
    AT_TRY(execute(l, body));
    const at_token *brace = at_ast_last_token(l, body);
    if (!l->call->state->ended)
        return at_source_fail(l->source, ACTUNE_UNSUPPORTED, brace ? brace->offset : 0,
                              "not every path returns a value: the end of the function can be reached");
    *value = returned_value(l, l->call->state);
    return at_graph_status(l->graph);
}

actune_status at_lower_function(at_lowering *l, at_cx_cursor function, const at_value *arguments, int count,
                                at_value *value)
{
    at_call *call = calloc(1, sizeof *call);
    at_state *state = calloc(1, sizeof *state);
    actune_status status = ACTUNE_NO_MEMORY;
    if (call && state) {
        call->caller = l->call;
        call->function = function;
        call->state = state;
        l->call = call;
        l->calls++;
        status = run(l, function, arguments, count, value);
        l->calls--;
        l->call = call->caller;
    } else {
        at_fail(status, "out of memory while reading a definition");
    }
    free(state);
    free(call);
    return status;
}
