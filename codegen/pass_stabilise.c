/* Rewrites what cancels or overflows. Most of it is one idea: a node that adds a constant is read as offset + scale *
   core, and a core such as exp(u) or tanh(u) has a better function for some ratio of the two. */
#include "pass.h"

#include "rewrite.h"
#include <math.h>

/* A node as offset + scale * core, core not a constant. */
typedef struct affine {
    double offset, scale;
    at_node_id core;
} affine;

enum { AFFINE_STEPS_MAX = 16 };

/* One step down through an op with a constant; false at the core. */
static bool affine_step(const at_rewriter *r, affine *f)
{
    const at_node *node = at_rewriter_at(r, f->core);
    double c = 0, addend = 0;
    bool right = at_op_get(node->op)->arguments > 1 && at_is_constant(r, node->arg[1], &c);
    if (node->op == AT_OP_FMA && right && at_is_constant(r, node->arg[2], &addend)) {
        f->offset += f->scale * addend;
        f->scale *= c;
    } else if ((node->op == AT_OP_ADD || node->op == AT_OP_SUB) && right) {
        f->offset += f->scale * (node->op == AT_OP_ADD ? c : -c);
    } else if ((node->op == AT_OP_MUL || node->op == AT_OP_DIV) && right) {
        f->scale = node->op == AT_OP_MUL ? f->scale * c : f->scale / c;
    } else if (node->op == AT_OP_SUB && at_is_constant(r, node->arg[0], &c)) {
        f->offset += f->scale * c;
        f->scale = -f->scale;
        f->core = node->arg[1];
        return true;
    } else if (node->op == AT_OP_NEG) {
        f->scale = -f->scale;
    } else {
        return false;
    }
    f->core = node->arg[0];
    return true;
}

static affine affine_of(const at_rewriter *r, at_node_id id)
{
    affine f = {0, 1, id};
    for (int i = 0; i < AFFINE_STEPS_MAX && affine_step(r, &f); i++)
        continue;
    if (!isfinite(f.offset) || !isfinite(f.scale))
        f = (affine){0, 1, id};
    return f;
}

static at_node_id argument(const at_rewriter *r, at_node_id id)
{
    return at_rewriter_at(r, id)->arg[0];
}

static at_node_id times(at_rewriter *r, at_node_id a, double c)
{
    return at_fold_2(r, AT_OP_MUL, a, at_fold_constant(r, c));
}

static at_node_id plus(at_rewriter *r, at_node_id a, double c)
{
    return c == 0 ? a : at_fold_2(r, AT_OP_ADD, a, at_fold_constant(r, c));
}

static at_node_id negated(at_rewriter *r, at_node_id a)
{
    return at_fold_1(r, AT_OP_NEG, a);
}

/* offset + scale core(u), offset = ratio * scale: factor * scale * better(inner * u). */
static const struct {
    at_op core;
    double ratio;
    at_op better;
    double factor, inner;
} sums[] = {
    {AT_OP_ERF, 1, AT_OP_ERFC, 1, -1},           /* 1 + erf(u) */
    {AT_OP_ERF, -1, AT_OP_ERFC, -1, 1},          /* erf(u) - 1 */
    {AT_OP_ERFC, -1, AT_OP_ERF, -1, 1},          /* erfc(u) - 1 */
    {AT_OP_ERFC, -2, AT_OP_ERFC, -1, -1},        /* erfc(u) - 2 */
    {AT_OP_TANH, 1, AT_OP_SIGMOID, 2, 2},        /* 1 + tanh(u) */
    {AT_OP_TANH, -1, AT_OP_SIGMOID, -2, -2},     /* tanh(u) - 1 */
    {AT_OP_SIGMOID, -1, AT_OP_SIGMOID, -1, -1},  /* sigmoid(u) - 1 */
    {AT_OP_SIGMOID, -0.5, AT_OP_TANH, 0.5, 0.5}, /* sigmoid(u) - 1/2 */
    {AT_OP_EXP, -1, AT_OP_EXPM1, 1, 1},          /* exp(u) - 1 */
    {AT_OP_EXPM1, 1, AT_OP_EXP, 1, 1},           /* expm1(u) + 1 */
};

/* c - 4 c sigmoid(u) sigmoid(-u), as the derivative of x - tanh(x) comes out: c tanh(u / 2)^2. */
static at_node_id stable_tail(at_rewriter *r, const affine *f)
{
    const at_node product = *at_rewriter_at(r, f->core);
    if (product.op != AT_OP_MUL || f->offset == 0 || f->scale != -4 * f->offset || !at_is(r, product.arg[0], AT_OP_SIGMOID) ||
        !at_is(r, product.arg[1], AT_OP_SIGMOID))
        return AT_NO_NODE;
    at_node_id u = argument(r, product.arg[0]);
    affine one = affine_of(r, u), other = affine_of(r, argument(r, product.arg[1]));
    if (one.core != other.core || one.scale != -other.scale || one.offset != -other.offset)
        return AT_NO_NODE;
    at_node_id t = at_fold_1(r, AT_OP_TANH, times(r, u, 0.5));
    return times(r, at_fold_2(r, AT_OP_MUL, t, t), f->offset);
}

static at_node_id stable_sum(at_rewriter *r, const at_node *node)
{
    at_node_id self = at_rewriter_node(r, *node);
    affine f = affine_of(r, self);
    at_op core = at_rewriter_at(r, f.core)->op;
    if (core == AT_OP_MUL)
        return stable_tail(r, &f);
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        if (sums[i].core == core && f.offset != 0 && f.offset == sums[i].ratio * f.scale) {
            at_node_id inner = times(r, argument(r, f.core), sums[i].inner);
            return times(r, at_fold_1(r, sums[i].better, inner), sums[i].factor * f.scale);
        }
    return AT_NO_NODE;
}

/* a exp(u) - a, where a is no constant (a learnable alpha). */
static at_node_id stable_sub(at_rewriter *r, const at_node *node)
{
    const at_node product = *at_rewriter_at(r, node->arg[0]);
    for (int k = 0; product.op == AT_OP_MUL && k < 2; k++)
        if (product.arg[k] == node->arg[1] && at_is(r, product.arg[1 - k], AT_OP_EXP))
            return at_fold_2(r, AT_OP_MUL, node->arg[1], at_fold_1(r, AT_OP_EXPM1, argument(r, product.arg[1 - k])));
    return stable_sum(r, node);
}

/* offset + scale exp(u), both positive; then it is offset (1 + exp(*shifted)). */
static bool is_one_plus_exp(at_rewriter *r, at_node_id id, double *offset, at_node_id *shifted)
{
    affine f = affine_of(r, id);
    if (!at_is(r, f.core, AT_OP_EXP) || !(f.offset > 0) || !(f.scale > 0))
        return false;
    *offset = f.offset;
    *shifted = plus(r, argument(r, f.core), f.scale == f.offset ? 0 : log(f.scale / f.offset));
    return true;
}

/* What log takes is 1 + (the result): AT_NO_NODE when it is nothing of the kind. */
static at_node_id without_one(at_rewriter *r, at_node_id id)
{
    const at_node node = *at_rewriter_at(r, id);
    double c;
    if (node.op == AT_OP_ADD && at_is_constant(r, node.arg[1], &c) && c == 1)
        return node.arg[0];
    if (node.op == AT_OP_SUB && at_is_constant(r, node.arg[1], &c) && c == -1)
        return node.arg[0];
    if (node.op == AT_OP_SUB && at_is_constant(r, node.arg[0], &c) && c == 1)
        return negated(r, node.arg[1]);
    if (node.op == AT_OP_FMA && at_is_constant(r, node.arg[2], &c) && c == 1)
        return at_fold_2(r, AT_OP_MUL, node.arg[0], node.arg[1]);
    return AT_NO_NODE;
}

static at_node_id stable_log(at_rewriter *r, const at_node *node)
{
    at_node_id u = node->arg[0], shifted;
    double offset;
    if (at_is(r, u, AT_OP_SIGMOID))
        return negated(r, at_fold_1(r, AT_OP_SOFTPLUS, negated(r, argument(r, u))));
    if (at_is(r, u, AT_OP_EXP))
        return argument(r, u);
    if (is_one_plus_exp(r, u, &offset, &shifted))
        return plus(r, at_fold_1(r, AT_OP_SOFTPLUS, shifted), offset == 1 ? 0 : log(offset));
    at_node_id small = without_one(r, u);
    return small == AT_NO_NODE ? AT_NO_NODE : at_fold_1(r, AT_OP_LOG1P, small);
}

static at_node_id stable_log1p(at_rewriter *r, const at_node *node)
{
    affine f = affine_of(r, node->arg[0]);
    if (!at_is(r, f.core, AT_OP_EXP) || f.offset != 0 || !(f.scale > 0))
        return AT_NO_NODE;
    return at_fold_1(r, AT_OP_SOFTPLUS, plus(r, argument(r, f.core), f.scale == 1 ? 0 : log(f.scale)));
}

/* (exp(u) - exp(-u)) / (exp(u) + exp(-u)) */
static bool is_tanh_quotient(const at_rewriter *r, const at_node *node, at_node_id *u)
{
    const at_node *top = at_rewriter_at(r, node->arg[0]), *bottom = at_rewriter_at(r, node->arg[1]);
    if (top->op != AT_OP_SUB || bottom->op != AT_OP_ADD || !at_is(r, top->arg[0], AT_OP_EXP) ||
        !at_is(r, top->arg[1], AT_OP_EXP))
        return false;
    bool same = (top->arg[0] == bottom->arg[0] && top->arg[1] == bottom->arg[1]) ||
                (top->arg[0] == bottom->arg[1] && top->arg[1] == bottom->arg[0]);
    *u = argument(r, top->arg[0]);
    at_node_id v = argument(r, top->arg[1]);
    bool opposite = at_is(r, v, AT_OP_NEG) && argument(r, v) == *u;
    return same && opposite;
}

/* Over offset + scale exp(v): sigmoid, from exp(v) on top sigmoid of the other side, from expm1(v) tanh. */
static at_node_id stable_div(at_rewriter *r, const at_node *node)
{
    at_node_id u, shifted;
    double offset;
    if (is_tanh_quotient(r, node, &u))
        return at_fold_1(r, AT_OP_TANH, u);
    if (!is_one_plus_exp(r, node->arg[1], &offset, &shifted))
        return AT_NO_NODE;
    affine bottom = affine_of(r, node->arg[1]), top = affine_of(r, node->arg[0]);
    at_node_id v = argument(r, bottom.core);
    if (top.core == bottom.core && top.offset == 0)
        return times(r, at_fold_1(r, AT_OP_SIGMOID, shifted), top.scale / bottom.scale);
    if (at_is(r, top.core, AT_OP_EXPM1) && argument(r, top.core) == v && top.offset == 0 && bottom.scale == offset)
        return times(r, at_fold_1(r, AT_OP_TANH, times(r, v, 0.5)), top.scale / offset);
    at_node_id sigmoid = at_fold_1(r, AT_OP_SIGMOID, negated(r, shifted));
    double constant;
    if (at_is_constant(r, node->arg[0], &constant))
        return times(r, sigmoid, constant / offset);
    return at_fold_2(r, AT_OP_MUL, node->arg[0], times(r, sigmoid, 1 / offset));
}

static at_node_id stabilise_node(at_rewriter *r, at_node node)
{
    typedef at_node_id stable_rule(at_rewriter *, const at_node *);
    static stable_rule *const rules[AT_OP_COUNT] = {
        [AT_OP_ADD] = stable_sum, [AT_OP_SUB] = stable_sub,     [AT_OP_FMA] = stable_sum,
        [AT_OP_LOG] = stable_log, [AT_OP_LOG1P] = stable_log1p, [AT_OP_DIV] = stable_div,
    };
    at_node_id folded = at_fold_node(r, node);
    if (r->graph.failed)
        return AT_NO_NODE;
    node = *at_rewriter_at(r, folded);
    at_node_id better = rules[node.op] ? rules[node.op](r, &node) : AT_NO_NODE;
    return better == AT_NO_NODE ? folded : better;
}

actune_status at_pass_stabilise(at_graph *graph)
{
    return at_rewrite_until_stable(graph, stabilise_node);
}
