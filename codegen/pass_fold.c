/* Constants, and identities that hold for every IEEE number: NaN, infinities, both zeros. One rule function an op; the
   README lists them. A rule gives AT_NO_NODE where it does not apply. */
#include "pass.h"

#include "rewrite.h"
#include <math.h>
#include <stdlib.h>

typedef at_node_id fold_rule(at_rewriter *r, const at_node *node);

/* Beyond this a product of powers of two could leave the range of f32 on its way. */
enum { POWER_LIMIT = 60, NEST_LIMIT = 6 };

at_node_id at_fold_constant(at_rewriter *r, double value)
{
    return at_rewriter_node(r, (at_node){AT_OP_CONSTANT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, 0, value});
}

at_node_id at_fold_3(at_rewriter *r, at_op op, at_node_id a, at_node_id b, at_node_id c)
{
    return at_fold_node(r, (at_node){op, {a, b, c}, 0, 0});
}

at_node_id at_fold_2(at_rewriter *r, at_op op, at_node_id a, at_node_id b)
{
    return at_fold_3(r, op, a, b, AT_NO_NODE);
}

at_node_id at_fold_1(at_rewriter *r, at_op op, at_node_id a)
{
    return at_fold_3(r, op, a, AT_NO_NODE, AT_NO_NODE);
}

static at_node_id negate(at_rewriter *r, at_node_id a)
{
    return at_fold_1(r, AT_OP_NEG, a);
}

/* -1 unknown. */
static int truth(const at_rewriter *r, at_node_id id)
{
    const at_node *node = at_rewriter_at(r, id);
    double a, b;
    if (node->op == AT_OP_LT || node->op == AT_OP_GT)
        if (node->arg[0] == node->arg[1])
            return 0;
    if (node->op < AT_OP_LT || node->op > AT_OP_NE || !at_is_constant(r, node->arg[0], &a) ||
        !at_is_constant(r, node->arg[1], &b))
        return -1;
    return at_op_eval(node->op, a, b, 0) != 0;
}

static bool is_value(const at_rewriter *r, at_node_id id, double value)
{
    double found;
    return at_is_constant(r, id, &found) && found == value && !signbit(found) == !signbit(value);
}

static bool is_power_of_two(double value)
{
    int exponent;
    return isfinite(value) && fabs(frexp(value, &exponent)) == 0.5 && abs(exponent) <= POWER_LIMIT;
}

/* id = NEG(*inside). */
static bool is_negated(const at_rewriter *r, at_node_id id, at_node_id *inside)
{
    if (!at_is(r, id, AT_OP_NEG))
        return false;
    *inside = at_rewriter_at(r, id)->arg[0];
    return true;
}

/* id = op(*left, *constant). */
static bool with_constant(const at_rewriter *r, at_node_id id, at_op op, at_node_id *left, double *constant)
{
    const at_node *node = at_rewriter_at(r, id);
    if (node->op != op || !at_is_constant(r, node->arg[1], constant))
        return false;
    *left = node->arg[0];
    return true;
}

static at_node_id fold_neg(at_rewriter *r, const at_node *node)
{
    const at_node inner = *at_rewriter_at(r, node->arg[0]);
    double c;
    if (inner.op == AT_OP_NEG)
        return inner.arg[0];
    if ((inner.op == AT_OP_MUL || inner.op == AT_OP_DIV) && at_is_constant(r, inner.arg[1], &c))
        return at_fold_2(r, inner.op, inner.arg[0], at_fold_constant(r, -c));
    if (inner.op == AT_OP_DIV && at_is_constant(r, inner.arg[0], &c))
        return at_fold_2(r, AT_OP_DIV, at_fold_constant(r, -c), inner.arg[1]);
    return AT_NO_NODE;
}

static at_node_id fold_add(at_rewriter *r, const at_node *node)
{
    at_node_id a = node->arg[0], b = node->arg[1], inside;
    if (is_value(r, b, -0.0))
        return a;
    if (is_negated(r, b, &inside))
        return at_fold_2(r, AT_OP_SUB, a, inside);
    if (is_negated(r, a, &inside))
        return at_fold_2(r, AT_OP_SUB, b, inside);
    return AT_NO_NODE;
}

static at_node_id fold_sub(at_rewriter *r, const at_node *node)
{
    at_node_id a = node->arg[0], b = node->arg[1], inside;
    if (is_value(r, b, 0.0))
        return a;
    if (is_value(r, a, -0.0))
        return negate(r, b);
    if (is_negated(r, b, &inside))
        return at_fold_2(r, AT_OP_ADD, a, inside);
    return AT_NO_NODE;
}

/* a * b where one or both are negated: the sign goes out, or into the constant. */
static at_node_id fold_product_sign(at_rewriter *r, at_op op, at_node_id a, at_node_id b)
{
    at_node_id p, q;
    double c;
    bool minus_a = is_negated(r, a, &p), minus_b = is_negated(r, b, &q);
    if (minus_a && minus_b)
        return at_fold_2(r, op, p, q);
    if (minus_a && at_is_constant(r, b, &c))
        return at_fold_2(r, op, p, at_fold_constant(r, -c));
    if (minus_b && at_is_constant(r, a, &c))
        return at_fold_2(r, op, at_fold_constant(r, -c), q);
    if (minus_a)
        return negate(r, at_fold_2(r, op, p, b));
    if (minus_b)
        return negate(r, at_fold_2(r, op, a, q));
    return AT_NO_NODE;
}

static at_node_id fold_mul(at_rewriter *r, const at_node *node)
{
    at_node_id a = node->arg[0], b = node->arg[1], left, right;
    double c, inner;
    if (is_value(r, b, 1))
        return a;
    if (is_value(r, b, -1))
        return negate(r, a);
    if (at_is_constant(r, b, &c) && with_constant(r, a, AT_OP_MUL, &left, &inner) &&
        (is_power_of_two(c) || is_power_of_two(inner)) && isfinite(c * inner))
        return at_fold_2(r, AT_OP_MUL, left, at_fold_constant(r, c * inner));
    if (with_constant(r, a, AT_OP_MUL, &left, &c) && with_constant(r, b, AT_OP_MUL, &right, &inner) &&
        is_power_of_two(c) && is_power_of_two(inner) && (c * inner == 1 || fmin(fabs(c), fabs(inner)) >= 1))
        return at_fold_2(r, AT_OP_MUL, at_fold_2(r, AT_OP_MUL, left, right), at_fold_constant(r, c * inner));
    return fold_product_sign(r, AT_OP_MUL, a, b);
}

static at_node_id fold_div(at_rewriter *r, const at_node *node)
{
    double c;
    if (is_value(r, node->arg[1], 1))
        return node->arg[0];
    if (at_is_constant(r, node->arg[1], &c) && is_power_of_two(c))
        return at_fold_2(r, AT_OP_MUL, node->arg[0], at_fold_constant(r, 1 / c));
    return fold_product_sign(r, AT_OP_DIV, node->arg[0], node->arg[1]);
}

static at_node_id fold_fma(at_rewriter *r, const at_node *node)
{
    at_node_id a = node->arg[0], b = node->arg[1], c = node->arg[2], p, q;
    if (is_value(r, b, 1))
        return at_fold_2(r, AT_OP_ADD, a, c);
    if (is_value(r, b, -1))
        return at_fold_2(r, AT_OP_SUB, c, a);
    if (is_value(r, c, -0.0))
        return at_fold_2(r, AT_OP_MUL, a, b);
    if (is_negated(r, a, &p) && is_negated(r, b, &q))
        return at_fold_3(r, AT_OP_FMA, p, q, c);
    return AT_NO_NODE;
}

/* Results that are never negative, -0 not among them (whatever sign a NaN has). */
static bool is_positive(const at_rewriter *r, at_node_id id)
{
    static const bool positive[AT_OP_COUNT] = {
        [AT_OP_ABS] = true,  [AT_OP_EXP] = true,     [AT_OP_EXP2] = true,     [AT_OP_COSH] = true,
        [AT_OP_ERFC] = true, [AT_OP_SIGMOID] = true, [AT_OP_SOFTPLUS] = true,
    };
    const at_node *node = at_rewriter_at(r, id);
    return positive[node->op] || (node->op == AT_OP_MUL && node->arg[0] == node->arg[1]);
}

static at_node_id fold_abs(at_rewriter *r, const at_node *node)
{
    const at_node *inner = at_rewriter_at(r, node->arg[0]);
    if (inner->op == AT_OP_NEG || inner->op == AT_OP_COPYSIGN)
        return at_fold_1(r, AT_OP_ABS, inner->arg[0]);
    return is_positive(r, node->arg[0]) ? node->arg[0] : AT_NO_NODE;
}

/* f(-u) = -f(u), f(-u) = f(u). */
static at_node_id fold_odd(at_rewriter *r, const at_node *node)
{
    at_node_id inside;
    return is_negated(r, node->arg[0], &inside) ? negate(r, at_fold_1(r, node->op, inside)) : AT_NO_NODE;
}

static at_node_id fold_even(at_rewriter *r, const at_node *node)
{
    at_node_id inside;
    return is_negated(r, node->arg[0], &inside) ? at_fold_1(r, node->op, inside) : AT_NO_NODE;
}

static at_node_id fold_copysign(at_rewriter *r, const at_node *node)
{
    const at_node *inner = at_rewriter_at(r, node->arg[0]);
    double sign;
    if (inner->op == AT_OP_NEG || inner->op == AT_OP_ABS || inner->op == AT_OP_COPYSIGN)
        return at_fold_2(r, AT_OP_COPYSIGN, inner->arg[0], node->arg[1]);
    if (!at_is_constant(r, node->arg[1], &sign) || isnan(sign))
        return AT_NO_NODE;
    at_node_id magnitude = at_fold_1(r, AT_OP_ABS, node->arg[0]);
    return signbit(sign) ? negate(r, magnitude) : magnitude;
}

/* Bounds merge only where they differ: of equal ones (0 and -0) the tie rule picks by position. */
static at_node_id fold_bound(at_rewriter *r, const at_node *node)
{
    at_node_id left;
    double c, inner;
    if (node->arg[0] == node->arg[1] || is_value(r, node->arg[1], node->op == AT_OP_MAX ? -INFINITY : INFINITY))
        return node->arg[0];
    if (at_is_constant(r, node->arg[1], &c) && with_constant(r, node->arg[0], node->op, &left, &inner) && !isnan(c) &&
        !isnan(inner) && (c != inner || !signbit(c) == !signbit(inner)))
        return at_fold_2(r, node->op, left, at_fold_constant(r, (double)at_op_eval(node->op, c, inner, 0)));
    return AT_NO_NODE;
}

static at_node_id fold_rint(at_rewriter *r, const at_node *node)
{
    at_op inner = at_rewriter_at(r, node->arg[0])->op;
    return inner == AT_OP_RINT || inner == AT_OP_FLOOR || inner == AT_OP_CEIL || inner == AT_OP_TRUNC ? node->arg[0] : AT_NO_NODE;
}

static at_node_id fold_integer(at_rewriter *r, const at_node *node)
{
    at_op inner = at_rewriter_at(r, node->arg[0])->op;
    return inner == AT_OP_FLOOR || inner == AT_OP_CEIL || inner == AT_OP_TRUNC ? node->arg[0] : AT_NO_NODE;
}

/* Small whole exponents; pow(x, 0.5) is not sqrt(x): they differ at -0 and -inf. */
static at_node_id fold_pow(at_rewriter *r, const at_node *node)
{
    at_node_id x = node->arg[0];
    double exponent;
    if (is_value(r, x, 1))
        return x;
    if (is_value(r, x, 2))
        return at_fold_1(r, AT_OP_EXP2, node->arg[1]);
    if (!at_is_constant(r, node->arg[1], &exponent))
        return AT_NO_NODE;
    if (exponent == 0)
        return at_fold_constant(r, 1);
    if (exponent == 1)
        return x;
    if (exponent == -1)
        return at_fold_2(r, AT_OP_DIV, at_fold_constant(r, 1), x);
    if (exponent != 2 && exponent != 3 && exponent != 4)
        return AT_NO_NODE;
    at_node_id square = at_fold_2(r, AT_OP_MUL, x, x);
    return exponent == 2 ? square : at_fold_2(r, AT_OP_MUL, square, exponent == 3 ? x : square);
}

static at_node_id fold_not(at_rewriter *r, const at_node *node)
{
    const at_node inner = *at_rewriter_at(r, node->arg[0]);
    if (inner.op == AT_OP_NOT)
        return inner.arg[0];
    if (inner.op == AT_OP_EQ || inner.op == AT_OP_NE)
        return at_fold_2(r, inner.op == AT_OP_EQ ? AT_OP_NE : AT_OP_EQ, inner.arg[0], inner.arg[1]);
    return AT_NO_NODE;
}

static at_node_id fold_and_or(at_rewriter *r, const at_node *node)
{
    if (node->arg[0] == node->arg[1])
        return node->arg[0];
    int decides = node->op == AT_OP_OR;
    for (int k = 0; k < 2; k++) {
        int known = truth(r, node->arg[k]);
        if (known >= 0)
            return known == decides ? node->arg[k] : node->arg[1 - k];
    }
    return AT_NO_NODE;
}

static at_node_id fold_select(at_rewriter *r, const at_node *node)
{
    at_node_id condition = node->arg[0], yes = node->arg[1], no = node->arg[2], inside;
    int known = truth(r, condition);
    if (known >= 0)
        return known ? yes : no;
    if (yes == no)
        return yes;
    if (at_is(r, condition, AT_OP_NOT)) {
        inside = at_rewriter_at(r, condition)->arg[0];
        return at_fold_3(r, AT_OP_SELECT, inside, no, yes);
    }
    const at_node *then = at_rewriter_at(r, yes), *otherwise = at_rewriter_at(r, no);
    if (then->op == AT_OP_SELECT && then->arg[0] == condition)
        return at_fold_3(r, AT_OP_SELECT, condition, then->arg[1], no);
    if (otherwise->op == AT_OP_SELECT && otherwise->arg[0] == condition)
        return at_fold_3(r, AT_OP_SELECT, condition, yes, otherwise->arg[2]);
    return AT_NO_NODE;
}

/* A number of the compute type already: rounding it changes nothing. Constants are rounded when they are emitted, but
   one that is not an f32 number stays wider in the interpreter, so it does not count inside other nodes. */
static bool is_rounded(const at_rewriter *r, at_node_id id, int nest)
{
    const at_node *node = at_rewriter_at(r, id);
    switch (node->op) {
    case AT_OP_INPUT:
    case AT_OP_ROUND:
        return true;
    case AT_OP_CONSTANT:
        return node->value == (double)(float)node->value;
    case AT_OP_NEG:
    case AT_OP_ABS:
    case AT_OP_FLOOR:
    case AT_OP_CEIL:
    case AT_OP_TRUNC:
    case AT_OP_RINT:
    case AT_OP_COPYSIGN:
        return nest > 0 && is_rounded(r, node->arg[0], nest - 1);
    case AT_OP_MIN:
    case AT_OP_MAX:
        return nest > 0 && is_rounded(r, node->arg[0], nest - 1) && is_rounded(r, node->arg[1], nest - 1);
    case AT_OP_SELECT:
        return nest > 0 && is_rounded(r, node->arg[1], nest - 1) && is_rounded(r, node->arg[2], nest - 1);
    default:
        return false;
    }
}

static at_node_id fold_round(at_rewriter *r, const at_node *node)
{
    return is_rounded(r, node->arg[0], NEST_LIMIT) ? node->arg[0] : AT_NO_NODE;
}

static fold_rule *const rules[AT_OP_COUNT] = {
    [AT_OP_NEG] = fold_neg,       [AT_OP_ADD] = fold_add,           [AT_OP_SUB] = fold_sub,
    [AT_OP_MUL] = fold_mul,       [AT_OP_DIV] = fold_div,           [AT_OP_FMA] = fold_fma,
    [AT_OP_ABS] = fold_abs,       [AT_OP_COPYSIGN] = fold_copysign, [AT_OP_MIN] = fold_bound,
    [AT_OP_MAX] = fold_bound,     [AT_OP_FLOOR] = fold_integer,     [AT_OP_CEIL] = fold_integer,
    [AT_OP_TRUNC] = fold_integer, [AT_OP_POW] = fold_pow,           [AT_OP_NOT] = fold_not,
    [AT_OP_AND] = fold_and_or,    [AT_OP_OR] = fold_and_or,         [AT_OP_SELECT] = fold_select,
    [AT_OP_ROUND] = fold_round,   [AT_OP_TANH] = fold_odd,          [AT_OP_ERF] = fold_odd,
    [AT_OP_SIN] = fold_odd,       [AT_OP_TAN] = fold_odd,           [AT_OP_ATAN] = fold_odd,
    [AT_OP_SINH] = fold_odd,      [AT_OP_ASINH] = fold_odd,         [AT_OP_COS] = fold_even,
    [AT_OP_COSH] = fold_even,     [AT_OP_RINT] = fold_rint,
};

/* A real op of constants, computed in long double and rounded once to double. */
static at_node_id fold_constants(at_rewriter *r, const at_node *node)
{
    const at_op_info *info = at_op_get(node->op);
    double value[3] = {0, 0, 0};
    if (info->result != 'R' || node->op == AT_OP_STRETCH || node->op == AT_OP_SELECT || node->op == AT_OP_GRAD_CLIP)
        return AT_NO_NODE;
    for (int k = 0; k < info->arguments; k++)
        if (!at_is_constant(r, node->arg[k], &value[k]))
            return AT_NO_NODE;
    return at_fold_constant(r, (double)at_op_eval(node->op, value[0], value[1], value[2]));
}

at_node_id at_fold_node(at_rewriter *rewriter, at_node node)
{
    int arguments = at_op_get(node.op)->arguments;
    for (int k = 0; k < 3; k++)
        if (k >= arguments)
            node.arg[k] = AT_NO_NODE;
        else if (node.arg[k] == AT_NO_NODE)
            return AT_NO_NODE;
    at_node_id folded = arguments ? fold_constants(rewriter, &node) : AT_NO_NODE;
    if (folded == AT_NO_NODE && rules[node.op] && !rewriter->graph.failed) {
        node = at_rewriter_canonical(rewriter, node);
        folded = rules[node.op](rewriter, &node);
    }
    return folded != AT_NO_NODE ? folded : at_rewriter_node(rewriter, node);
}

actune_status at_pass_fold(at_graph *graph)
{
    return at_rewrite_until_stable(graph, at_fold_node);
}
