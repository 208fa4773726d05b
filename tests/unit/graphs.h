/* Graphs for tests: prefix text ("(mul x (sigmoid x))"; x, b and c are inputs 0 to 2, dy input 3, numbers constants;
   equal expressions are one node), random graphs, evaluation with a rounding after every node. */
#ifndef TESTS_UNIT_GRAPHS_H
#define TESTS_UNIT_GRAPHS_H

#include "codegen/graph.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline at_node_id found_or_added(at_graph *graph, at_node wanted)
{
    for (at_node_id i = 0; i < graph->count; i++) {
        const at_node *node = &graph->nodes[i];
        if (node->op == wanted.op && node->index == wanted.index && !memcmp(node->arg, wanted.arg, sizeof wanted.arg) &&
            !memcmp(&node->value, &wanted.value, sizeof wanted.value))
            return i;
    }
    at_node_id id = at_graph_add(graph, wanted.op, wanted.arg[0], wanted.arg[1], wanted.arg[2]);
    graph->nodes[id].index = wanted.index;
    graph->nodes[id].value = wanted.value;
    return id;
}

static inline at_node_id read_prefix(at_graph *graph, const char **text)
{
    static const char *const inputs[] = {"x", "b", "c", "dy"};
    *text += strspn(*text, " ");
    char word[32];
    bool parenthesis = **text == '(';
    *text += parenthesis;
    size_t length = strcspn(*text, " ()");
    cr_assert(length < sizeof word);
    memcpy(word, *text, length);
    word[length] = 0;
    *text += length;
    for (int i = 0; !parenthesis && i < 4; i++)
        if (!strcmp(word, inputs[i]))
            return found_or_added(graph, (at_node){AT_OP_INPUT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, i, 0});
    if (!parenthesis)
        return found_or_added(graph,
                              (at_node){AT_OP_CONSTANT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, 0, strtod(word, NULL)});
    at_op op;
    cr_assert(at_op_find(word, &op), "%s", word);
    at_node_id arg[3] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
    for (int k = 0; k < at_op_get(op)->arguments; k++)
        arg[k] = read_prefix(graph, text);
    *text += strspn(*text, " ");
    cr_assert_eq(**text, ')', "at \"%s\"", *text);
    ++*text;
    return found_or_added(graph, (at_node){op, {arg[0], arg[1], arg[2]}, 0, 0});
}

/* In the order of the printed text's canonical form: depth first. */
static inline at_graph graph_of(const char *text)
{
    at_graph graph = {0};
    graph.output[0] = read_prefix(&graph, &text);
    graph.outputs = 1;
    cr_assert_eq(*text, 0, "left over: %s", text);
    return graph;
}

static inline bool graphs_equal(const at_graph *a, const at_graph *b)
{
    at_strbuf p = {0}, q = {0};
    at_graph_print(a, &p);
    at_graph_print(b, &q);
    bool equal = !strcmp(at_strbuf_text(&p), at_strbuf_text(&q));
    at_strbuf_clear(&p);
    at_strbuf_clear(&q);
    return equal;
}

static inline uint32_t random_below(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

/* Kinds of arguments as the parser demands them; nothing is added when no node of the kind is found. */
static inline void add_random_node(at_graph *graph, at_op op, uint64_t *state)
{
    at_node_id arg[3] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
    for (int k = 0; k < at_op_get(op)->arguments; k++) {
        bool truth = op == AT_OP_AND || op == AT_OP_OR || op == AT_OP_NOT || (op == AT_OP_SELECT && k == 0);
        for (int tries = 0; tries < 64 && arg[k] == AT_NO_NODE; tries++) {
            at_node_id id = (at_node_id)random_below(state, (uint32_t)graph->count);
            if ((at_op_get(graph->nodes[id].op)->result == 'B') == truth)
                arg[k] = id;
        }
        if (arg[k] == AT_NO_NODE)
            return;
    }
    at_graph_add(graph, op, arg[0], arg[1], arg[2]);
}

/* One NaN only: the sign of a NaN is nobody's promise (copysign would show it). */
static inline long double round_to_double(long double value)
{
    return isnan(value) ? NAN : (double)value;
}

static inline long double round_to_float(long double value)
{
    return isnan(value) ? NAN : (float)value;
}

/* As a machine of that type would compute, were its functions correctly rounded. */
static inline void eval_rounded(const at_graph *graph, const long double *inputs, long double *values,
                                long double (*rounding)(long double))
{
    for (int32_t i = 0; i < graph->count; i++) {
        const at_node *node = &graph->nodes[i];
        long double arg[3] = {0, 0, 0};
        for (int k = 0; k < at_op_get(node->op)->arguments; k++)
            arg[k] = values[node->arg[k]];
        if (node->op == AT_OP_CONSTANT)
            values[i] = rounding(node->value);
        else if (node->op == AT_OP_INPUT)
            values[i] = rounding(inputs[node->index]);
        else
            values[i] = rounding(at_op_eval(node->op, arg[0], arg[1], arg[2]));
    }
}

#endif
