/* The reference evaluation of a graph, in long double with libm. */
#include "graph.h"

#include <math.h>

typedef long double real;

static real add(real a, real b)
{
    return a + b;
}

static real sub(real a, real b)
{
    return a - b;
}

static real mul(real a, real b)
{
    return a * b;
}

static real divide(real a, real b)
{
    return a / b;
}

static real negate(real a)
{
    return -a;
}

static real same(real a)
{
    return a;
}

static real first(real a, real b)
{
    (void)b;
    return a;
}

/* MIN and MAX of ops.def: NaN from either side, the first argument at a tie (so max(-0, 0) is -0). */
static real minimum(real a, real b)
{
    return b < a || isnan(b) ? b : a;
}

static real maximum(real a, real b)
{
    return b > a || isnan(b) ? b : a;
}

/* exp only ever of a number that is not positive: no overflow, and full relative accuracy in both tails. */
static real sigmoid(real u)
{
    real e = expl(-fabsl(u));
    return (u < 0 ? e : 1) / (1 + e);
}

static real softplus(real u)
{
    return maximum(u, 0) + log1pl(expl(-fabsl(u)));
}

static real lt(real a, real b)
{
    return a < b;
}

static real le(real a, real b)
{
    return a <= b;
}

static real gt(real a, real b)
{
    return a > b;
}

static real ge(real a, real b)
{
    return a >= b;
}

static real eq(real a, real b)
{
    return a == b;
}

static real ne(real a, real b)
{
    return a != b;
}

static real both(real a, real b)
{
    return a != 0 && b != 0;
}

static real either(real a, real b)
{
    return a != 0 || b != 0;
}

static real not(real a)
{
    return a == 0;
}

static real (*const unary[AT_OP_COUNT])(real) = {
    [AT_OP_NEG] = negate,   [AT_OP_ABS] = fabsl,    [AT_OP_SQRT] = sqrtl,      [AT_OP_FLOOR] = floorl,
    [AT_OP_CEIL] = ceill,   [AT_OP_TRUNC] = truncl, [AT_OP_EXP] = expl,        [AT_OP_EXP2] = exp2l,
    [AT_OP_EXPM1] = expm1l, [AT_OP_LOG] = logl,     [AT_OP_LOG2] = log2l,      [AT_OP_LOG1P] = log1pl,
    [AT_OP_SIN] = sinl,     [AT_OP_COS] = cosl,     [AT_OP_TAN] = tanl,        [AT_OP_ATAN] = atanl,
    [AT_OP_SINH] = sinhl,   [AT_OP_COSH] = coshl,   [AT_OP_TANH] = tanhl,      [AT_OP_ASINH] = asinhl,
    [AT_OP_ERF] = erfl,     [AT_OP_ERFC] = erfcl,   [AT_OP_SIGMOID] = sigmoid, [AT_OP_SOFTPLUS] = softplus,
    [AT_OP_NOT] = not,      [AT_OP_ROUND] = same,   [AT_OP_RINT] = rintl,
};

static real (*const binary[AT_OP_COUNT])(real, real) = {
    [AT_OP_ADD] = add,
    [AT_OP_SUB] = sub,
    [AT_OP_MUL] = mul,
    [AT_OP_DIV] = divide,
    [AT_OP_MIN] = minimum,
    [AT_OP_MAX] = maximum,
    [AT_OP_COPYSIGN] = copysignl,
    [AT_OP_POW] = powl,
    [AT_OP_LT] = lt,
    [AT_OP_LE] = le,
    [AT_OP_GT] = gt,
    [AT_OP_GE] = ge,
    [AT_OP_EQ] = eq,
    [AT_OP_NE] = ne,
    [AT_OP_AND] = both,
    [AT_OP_OR] = either,
    [AT_OP_GRAD_CLIP] = first,
};

long double at_op_eval(at_op op, long double a, long double b, long double c)
{
    if (unary[op])
        return unary[op](a);
    if (binary[op])
        return binary[op](a, b);
    if (op == AT_OP_FMA)
        return fmal(a, b, c);
    if (op == AT_OP_SELECT)
        return a != 0 ? b : c;
    return NAN;
}

void at_graph_eval(const at_graph *graph, const long double *inputs, long double *values)
{
    for (int32_t i = 0; i < graph->count; i++) {
        const at_node *node = &graph->nodes[i];
        if (node->op == AT_OP_CONSTANT || node->op == AT_OP_INPUT) {
            values[i] = node->op == AT_OP_CONSTANT ? (long double)node->value : inputs[node->index];
            continue;
        }
        long double argument[3] = {0, 0, 0};
        for (int k = 0; k < at_op_get(node->op)->arguments; k++)
            argument[k] = values[node->arg[k]];
        values[i] = at_op_eval(node->op, argument[0], argument[1], argument[2]);
    }
}
