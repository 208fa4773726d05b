/* Backward graphs are linear in dy. Reverse mode multiplies dy through op by op; here it is taken out again, so that what is left
   is a function of x alone, which can be approximated as a whole: dy s + dy x s (1 - s) becomes dy (s + x s (1 - s)). */
#include "pass_factor.h"

#include <stdlib.h>

/* A node of the old graph in the new one: seed * factor. */
typedef struct term {
    at_node_id seed;   /* AT_NO_NODE: does not depend on the seed; then factor is the node */
    at_node_id factor; /* AT_NO_NODE: 1 */
} term;

typedef struct factoring {
    const at_graph *from;
    at_graph *to;
    term *term;
} factoring;

static at_node_id materialise(factoring *f, term t)
{
    if (t.seed == AT_NO_NODE)
        return t.factor;
    return t.factor == AT_NO_NODE ? t.seed : at_graph_2(f->to, AT_OP_MUL, t.seed, t.factor);
}

static at_node_id factor_of(factoring *f, term t)
{
    return t.factor == AT_NO_NODE ? at_graph_constant(f->to, 1) : t.factor;
}

/* seed * (a op b), both factors of the same seed. */
static term combine(factoring *f, at_op op, term a, term b)
{
    return (term){a.seed, at_graph_2(f->to, op, factor_of(f, a), factor_of(f, b))};
}

static term scale(factoring *f, at_op op, term linear, at_node_id by)
{
    if (op == AT_OP_MUL && linear.factor == AT_NO_NODE)
        return (term){linear.seed, by};
    return (term){linear.seed, at_graph_2(f->to, op, factor_of(f, linear), by)};
}

/* select(c, u, v) with u and v linear in one seed, or one of them the constant 0 under a guard against 0 * inf. */
static bool factor_select(factoring *f, const at_node *node, term *result)
{
    term condition = f->term[node->arg[0]], a = f->term[node->arg[1]], b = f->term[node->arg[2]];
    if (condition.seed != AT_NO_NODE || (a.seed == AT_NO_NODE && b.seed == AT_NO_NODE))
        return false;
    at_op test = f->from->nodes[node->arg[0]].op;
    bool guard = test == AT_OP_EQ || test == AT_OP_NE;
    for (int i = 1; i <= 2; i++) {
        const at_node *arm = &f->from->nodes[node->arg[i]];
        if (f->term[node->arg[i]].seed == AT_NO_NODE && !(guard && arm->op == AT_OP_CONSTANT && arm->value == 0))
            return false;
    }
    at_node_id seed = a.seed != AT_NO_NODE ? a.seed : b.seed;
    if ((a.seed != AT_NO_NODE && a.seed != seed) || (b.seed != AT_NO_NODE && b.seed != seed))
        return false;
    *result = (term){seed, at_graph_add(f->to, AT_OP_SELECT, condition.factor, factor_of(f, a), factor_of(f, b))};
    return true;
}

/* True when the node is a factor times a seed. */
static bool factor_node(factoring *f, const at_node *node, term *result)
{
    term a = f->term[node->arg[0]], b = node->arg[1] >= 0 ? f->term[node->arg[1]] : (term){AT_NO_NODE, AT_NO_NODE};
    bool linear_a = a.seed != AT_NO_NODE, linear_b = b.seed != AT_NO_NODE;
    if (node->op == AT_OP_NEG && linear_a)
        *result = a.factor == AT_NO_NODE ? (term){a.seed, at_graph_constant(f->to, -1)}
                                         : (term){a.seed, at_graph_1(f->to, AT_OP_NEG, a.factor)};
    else if (node->op == AT_OP_MUL && linear_a != linear_b)
        *result = linear_a ? scale(f, AT_OP_MUL, a, b.factor) : scale(f, AT_OP_MUL, b, a.factor);
    else if (node->op == AT_OP_DIV && linear_a && !linear_b)
        *result = scale(f, AT_OP_DIV, a, b.factor);
    else if ((node->op == AT_OP_ADD || node->op == AT_OP_SUB) && linear_a && a.seed == b.seed)
        *result = combine(f, node->op, a, b);
    else
        return node->op == AT_OP_SELECT && factor_select(f, node, result);
    return true;
}

static void copy_node(factoring *f, at_node_id v, int32_t seed_input)
{
    const at_node *node = &f->from->nodes[v];
    const int arguments = at_op_get(node->op)->arguments;
    term *result = &f->term[v];
    if (node->op == AT_OP_INPUT) {
        at_node_id input = at_graph_input(f->to, node->index);
        *result = node->index == seed_input ? (term){input, AT_NO_NODE} : (term){AT_NO_NODE, input};
        return;
    }
    if (node->op == AT_OP_CONSTANT) {
        *result = (term){AT_NO_NODE, at_graph_constant(f->to, node->value)};
        return;
    }
    if (factor_node(f, node, result))
        return;
    at_node_id arg[3] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
    bool depends = false;
    for (int i = 0; i < arguments; i++) {
        depends |= f->term[node->arg[i]].seed != AT_NO_NODE;
        arg[i] = materialise(f, f->term[node->arg[i]]);
    }
    at_node_id made = at_graph_add(f->to, node->op, arg[0], arg[1], arg[2]);
    *result = depends && at_op_get(node->op)->result == 'R' ? (term){made, AT_NO_NODE} : (term){AT_NO_NODE, made};
}

actune_status at_pass_factor(at_graph *graph, int32_t seed_input)
{
    at_graph to = {0};
    factoring f = {graph, &to, calloc((size_t)graph->count + 1, sizeof(term))};
    if (!f.term)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    for (at_node_id v = 0; v < graph->count; v++)
        copy_node(&f, v, seed_input);
    for (int i = 0; i < graph->outputs; i++)
        to.output[i] = materialise(&f, f.term[graph->output[i]]);
    to.outputs = graph->outputs;
    free(f.term);
    if (at_graph_status(&to) != ACTUNE_OK) {
        at_graph_clear(&to);
        return ACTUNE_NO_MEMORY;
    }
    at_graph_clear(graph);
    *graph = to;
    return ACTUNE_OK;
}
