#include "range.h"

#include <math.h>

/* Two such numbers multiplied still fit in f32. */
static const double LARGE = 1e18;

static const at_range UNKNOWN = {.lo = -INFINITY, .hi = INFINITY};

bool at_range_is_finite(at_range range)
{
    return isfinite(range.lo) && isfinite(range.hi);
}

static at_range hull(double a, double b, double c, double d)
{
    if (isnan(a) || isnan(b) || isnan(c) || isnan(d))
        return UNKNOWN;
    return (at_range){.lo = fmin(fmin(a, b), fmin(c, d)), .hi = fmax(fmax(a, b), fmax(c, d))};
}

/* Increasing functions, and where they start to be defined. */
static bool is_increasing(at_op op, double *from)
{
    static const struct {
        at_op op;
        double from;
    } table[] = {
        {AT_OP_SQRT, 0},
        {AT_OP_FLOOR, -INFINITY},
        {AT_OP_CEIL, -INFINITY},
        {AT_OP_TRUNC, -INFINITY},
        {AT_OP_RINT, -INFINITY},
        {AT_OP_EXP, -INFINITY},
        {AT_OP_EXP2, -INFINITY},
        {AT_OP_EXPM1, -INFINITY},
        {AT_OP_LOG, 0},
        {AT_OP_LOG2, 0},
        {AT_OP_LOG1P, -1},
        {AT_OP_ATAN, -INFINITY},
        {AT_OP_SINH, -INFINITY},
        {AT_OP_TANH, -INFINITY},
        {AT_OP_ASINH, -INFINITY},
        {AT_OP_ERF, -INFINITY},
        {AT_OP_SIGMOID, -INFINITY},
        {AT_OP_SOFTPLUS, -INFINITY},
        {AT_OP_ROUND, -INFINITY},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == op) {
            *from = table[i].from;
            return true;
        }
    return false;
}

static double apply(at_op op, double a)
{
    return (double)at_op_eval(op, a, 0, 0);
}

static at_range unary_range(at_op op, at_range a)
{
    double from, magnitude = fmax(fabs(a.lo), fabs(a.hi));
    bool through_zero = a.lo <= 0 && a.hi >= 0;
    if (is_increasing(op, &from))
        return a.lo < from ? UNKNOWN : (at_range){.lo = apply(op, a.lo), .hi = apply(op, a.hi)};
    switch (op) {
    case AT_OP_NEG:
        return (at_range){.lo = -a.hi, .hi = -a.lo};
    case AT_OP_ERFC:
        return (at_range){.lo = apply(op, a.hi), .hi = apply(op, a.lo)};
    case AT_OP_ABS:
    case AT_OP_COSH:
        return (at_range){.lo = apply(op, through_zero ? 0 : fmin(fabs(a.lo), fabs(a.hi))), .hi = apply(op, magnitude)};
    case AT_OP_SIN:
    case AT_OP_COS:
        return isfinite(magnitude) ? (at_range){.lo = -1, .hi = 1} : UNKNOWN; /* sin(inf) is NaN */
    default:
        return UNKNOWN;
    }
}

static at_range product(at_range a, at_range b, bool square)
{
    at_range result = hull(a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi);
    if (square)
        result.lo = fmax(0, result.lo);
    return square && isinf(a.lo) && isinf(a.hi) ? (at_range){.lo = 0, .hi = INFINITY} : result;
}

static at_range sum(at_range a, at_range b)
{
    double lo = a.lo + b.lo, hi = a.hi + b.hi;
    return isnan(lo) || isnan(hi) ? UNKNOWN : (at_range){.lo = lo, .hi = hi};
}

static at_range quotient(at_range a, at_range b)
{
    if (b.lo <= 0 && b.hi >= 0)
        return UNKNOWN;
    return hull(a.lo / b.lo, a.lo / b.hi, a.hi / b.lo, a.hi / b.hi);
}

static at_range value_range(const at_node *node, const at_range arg[3])
{
    at_range a = arg[0], b = arg[1], c = arg[2];
    double magnitude = fmax(fabs(a.lo), fabs(a.hi));
    switch (node->op) {
    case AT_OP_CONSTANT:
        return isnan(node->value) ? UNKNOWN : (at_range){.lo = node->value, .hi = node->value};
    case AT_OP_ADD:
        return sum(a, b);
    case AT_OP_SUB:
        return sum(a, (at_range){.lo = -b.hi, .hi = -b.lo});
    case AT_OP_MUL:
        return product(a, b, node->arg[0] == node->arg[1]);
    case AT_OP_FMA:
        return sum(product(a, b, node->arg[0] == node->arg[1]), c);
    case AT_OP_DIV:
        return quotient(a, b);
    case AT_OP_MIN:
        return (at_range){.lo = fmin(a.lo, b.lo), .hi = fmin(a.hi, b.hi)};
    case AT_OP_MAX:
        return (at_range){.lo = fmax(a.lo, b.lo), .hi = fmax(a.hi, b.hi)};
    case AT_OP_COPYSIGN:
        return (at_range){.lo = -magnitude, .hi = magnitude};
    case AT_OP_SELECT:
        return (at_range){.lo = fmin(b.lo, c.lo), .hi = fmax(b.hi, c.hi)};
    case AT_OP_GRAD_CLIP:
        return a;
    default:
        return at_op_get(node->op)->arguments == 1 ? unary_range(node->op, a) : UNKNOWN;
    }
}

static bool is_zero(at_range range)
{
    return range.lo == 0 && range.hi == 0;
}

/* Functions of one argument with f(0) = 0. */
static bool keeps_zero(at_op op)
{
    static const bool keeps[AT_OP_COUNT] = {
        [AT_OP_NEG] = true,       [AT_OP_ABS] = true,   [AT_OP_SQRT] = true,  [AT_OP_FLOOR] = true,
        [AT_OP_TRUNC] = true,     [AT_OP_EXPM1] = true, [AT_OP_SIN] = true,   [AT_OP_TAN] = true,
        [AT_OP_ATAN] = true,      [AT_OP_SINH] = true,  [AT_OP_TANH] = true,  [AT_OP_ASINH] = true,
        [AT_OP_LOG1P] = true,     [AT_OP_ERF] = true,   [AT_OP_ROUND] = true, [AT_OP_COPYSIGN] = true,
        [AT_OP_GRAD_CLIP] = true, [AT_OP_RINT] = true,
    };
    return keeps[op];
}

static bool vanishes(const at_node *node, const at_range arg[3], at_range value)
{
    at_range a = arg[0], b = arg[1], c = arg[2];
    switch (node->op) {
    case AT_OP_EXP:
    case AT_OP_EXP2:
    case AT_OP_SIGMOID:
    case AT_OP_SOFTPLUS:
        return a.lo == -INFINITY;
    case AT_OP_ERFC:
        return a.hi == INFINITY;
    case AT_OP_ADD:
    case AT_OP_SUB: /* 1 - tanh(u), 1 + tanh(u) and their kind: 0 is the end of their range */
        return (a.vanishes && b.vanishes) || (value.lo == 0) != (value.hi == 0);
    case AT_OP_MUL:
        return a.vanishes || b.vanishes;
    case AT_OP_FMA:
        return ((a.vanishes || b.vanishes) && c.vanishes) || (value.lo == 0) != (value.hi == 0);
    case AT_OP_DIV:
        return a.vanishes || !at_range_is_finite(b);
    case AT_OP_MIN:
    case AT_OP_MAX:
        return a.vanishes || b.vanishes || is_zero(a) || is_zero(b);
    case AT_OP_SELECT:
        return b.vanishes || c.vanishes || is_zero(b) || is_zero(c);
    case AT_OP_POW:
        return b.lo < 0 || b.lo == -INFINITY || b.hi == INFINITY;
    default:
        return keeps_zero(node->op) && a.vanishes;
    }
}

at_range at_range_of(const at_graph *graph, const at_range *ranges, at_node_id id)
{
    const at_node *node = &graph->nodes[id];
    at_range arg[3] = {UNKNOWN, UNKNOWN, UNKNOWN};
    uint64_t support = node->op == AT_OP_INPUT ? (uint64_t)1 << (node->index & 63) : 0;
    for (int k = 0; k < at_op_get(node->op)->arguments; k++) {
        arg[k] = ranges[node->arg[k]];
        support |= arg[k].support;
    }
    at_range value = value_range(node, arg);
    if (value.lo < -LARGE || value.hi < -LARGE)
        value.lo = -INFINITY;
    if (value.hi > LARGE || value.lo > LARGE)
        value.hi = INFINITY;
    value.support = support;
    value.vanishes = support != 0 && vanishes(node, arg, value);
    return value;
}
