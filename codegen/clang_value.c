#include "clang_lower.h"

#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

at_value at_value_real(at_node_id node)
{
    return (at_value){AT_VALUE_REAL, node, 0, 0};
}

at_value at_value_integer(int64_t value)
{
    return (at_value){AT_VALUE_INTEGER, AT_NO_NODE, value, value};
}

at_value at_value_truth(bool value)
{
    return (at_value){AT_VALUE_TRUTH, AT_NO_NODE, value, value};
}

at_value at_value_truth_node(at_node_id node)
{
    return (at_value){AT_VALUE_TRUTH, node, 0, 1};
}

bool at_value_constant(at_value value)
{
    return (value.kind == AT_VALUE_INTEGER || value.kind == AT_VALUE_TRUTH) && value.low == value.high;
}

static bool same_node(const at_node *a, const at_node *b)
{
    return a->op == b->op && !memcmp(a->arg, b->arg, sizeof a->arg) && a->index == b->index &&
           !memcmp(&a->value, &b->value, sizeof a->value);
}

static at_node_id find(const at_graph *graph, const at_node *node)
{
    for (int32_t i = 0; i < graph->count; i++)
        if (same_node(&graph->nodes[i], node))
            return i;
    return AT_NO_NODE;
}

at_node_id at_lower_node(at_lowering *l, at_op op, at_node_id a, at_node_id b, at_node_id c)
{
    const at_node *nodes = l->graph->nodes;
    /* Two forms that C text brings in everywhere: minus before a number, and a choice by a negated condition. */
    if (op == AT_OP_NEG && a != AT_NO_NODE && nodes[a].op == AT_OP_CONSTANT)
        return at_lower_constant(l, -nodes[a].value);
    if (op == AT_OP_SELECT && a != AT_NO_NODE && nodes[a].op == AT_OP_NOT)
        return at_lower_node(l, op, nodes[a].arg[0], c, b);
    at_node node = {op, {a, b, c}, 0, 0};
    at_node_id old = find(l->graph, &node);
    return old != AT_NO_NODE ? old : at_graph_add(l->graph, op, a, b, c);
}

at_node_id at_lower_constant(at_lowering *l, double value)
{
    at_node node = {AT_OP_CONSTANT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, 0, value};
    at_node_id old = find(l->graph, &node);
    return old != AT_NO_NODE ? old : at_graph_constant(l->graph, value);
}

at_node_id at_lower_input(at_lowering *l, int index)
{
    at_node node = {AT_OP_INPUT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, index, 0};
    at_node_id old = find(l->graph, &node);
    return old != AT_NO_NODE ? old : at_graph_input(l->graph, index);
}

at_node_id at_value_as_real(at_lowering *l, at_value value)
{
    if (at_value_constant(value))
        return at_lower_constant(l, (double)value.low);
    if (value.kind == AT_VALUE_TRUTH)
        return at_lower_node(l, AT_OP_SELECT, value.node, at_lower_constant(l, 1), at_lower_constant(l, 0));
    return value.node;
}

at_value at_value_as_truth(at_lowering *l, at_value value)
{
    if (value.kind == AT_VALUE_TRUTH)
        return value;
    if (at_value_constant(value))
        return at_value_truth(value.low != 0);
    return at_value_truth_node(at_lower_node(l, AT_OP_NE, value.node, at_lower_constant(l, 0), AT_NO_NODE));
}

at_value at_value_as_integer(at_lowering *l, at_value value)
{
    if (value.kind != AT_VALUE_TRUTH)
        return value;
    if (at_value_constant(value))
        return at_value_integer(value.low);
    return (at_value){AT_VALUE_INTEGER, at_value_as_real(l, value), 0, 1};
}

at_value at_value_not(at_lowering *l, at_value a)
{
    a = at_value_as_truth(l, a);
    if (at_value_constant(a))
        return at_value_truth(!a.low);
    if (a.node != AT_NO_NODE && l->graph->nodes[a.node].op == AT_OP_NOT)
        return at_value_truth_node(l->graph->nodes[a.node].arg[0]);
    return at_value_truth_node(at_lower_node(l, AT_OP_NOT, a.node, AT_NO_NODE, AT_NO_NODE));
}

at_value at_value_and(at_lowering *l, at_value a, at_value b)
{
    a = at_value_as_truth(l, a);
    b = at_value_as_truth(l, b);
    if (at_value_constant(a))
        return a.low ? b : a;
    if (at_value_constant(b))
        return b.low ? a : b;
    return at_value_truth_node(at_lower_node(l, AT_OP_AND, a.node, b.node, AT_NO_NODE));
}

at_value at_value_or(at_lowering *l, at_value a, at_value b)
{
    a = at_value_as_truth(l, a);
    b = at_value_as_truth(l, b);
    if (at_value_constant(a))
        return a.low ? a : b;
    if (at_value_constant(b))
        return b.low ? b : a;
    return at_value_truth_node(at_lower_node(l, AT_OP_OR, a.node, b.node, AT_NO_NODE));
}

static bool is_set(at_value value)
{
    return value.kind != AT_VALUE_UNSET && value.kind != AT_VALUE_MAYBE;
}

static bool same_value(at_value a, at_value b)
{
    return a.kind == b.kind && a.node == b.node && a.low == b.low && a.high == b.high;
}

at_value at_value_select(at_lowering *l, at_value condition, at_value a, at_value b)
{
    if (same_value(a, b))
        return a;
    if (at_value_constant(condition))
        return condition.low ? a : b;
    if (!is_set(a) || !is_set(b))
        return (at_value){AT_VALUE_MAYBE, AT_NO_NODE, 0, 0};
    if (a.kind == AT_VALUE_TRUTH && b.kind == AT_VALUE_TRUTH)
        return at_value_or(l, at_value_and(l, condition, a), at_value_and(l, at_value_not(l, condition), b));
    at_node_id node = at_lower_node(l, AT_OP_SELECT, condition.node, at_value_as_real(l, a), at_value_as_real(l, b));
    if (a.kind == AT_VALUE_REAL || b.kind == AT_VALUE_REAL)
        return at_value_real(node);
    return (at_value){AT_VALUE_INTEGER, node, least(a.low, b.low), most(a.high, b.high)};
}
