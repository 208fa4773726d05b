/* The derivative of each op. Each is written so that it is accurate by construction: no 1 - t*t, no s*(1 - s). */
#include "differentiate.h"

#include <float.h>
#include <math.h>

/* A factor scale * node (AT_NO_NODE: 1). */
typedef struct factor {
    double scale;
    at_node_id node;
} slope;

static at_node_id one_over(at_derivation *d, at_node_id a)
{
    return at_derive_2(d, AT_OP_DIV, at_derive_constant(d, 1), a);
}

static at_node_id one_plus(at_derivation *d, at_node_id a)
{
    return at_derive_2(d, AT_OP_ADD, a, at_derive_constant(d, 1));
}

static at_node_id square(at_derivation *d, at_node_id a)
{
    return at_derive_2(d, AT_OP_MUL, a, a);
}

/* -1, 1, and at 0 and NaN the argument itself. */
static at_node_id sign_of(at_derivation *d, at_node_id a)
{
    at_node_id zero = at_derive_constant(d, 0);
    at_node_id negative = at_derive_3(d, AT_OP_SELECT, at_derive_2(d, AT_OP_LT, a, zero), at_derive_constant(d, -1), a);
    return at_derive_3(d, AT_OP_SELECT, at_derive_2(d, AT_OP_GT, a, zero), at_derive_constant(d, 1), negative);
}

static slope d_same(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)d, (void)u, (void)y;
    return (slope){1, AT_NO_NODE};
}

static slope d_neg(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)d, (void)u, (void)y;
    return (slope){-1, AT_NO_NODE};
}

static slope d_step(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)d, (void)u, (void)y;
    return (slope){0, AT_NO_NODE};
}

static slope d_abs(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, sign_of(d, u)};
}

static slope d_sqrt(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)u;
    return (slope){1, at_derive_2(d, AT_OP_DIV, at_derive_constant(d, 0.5), y)};
}

static slope d_exp(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)d, (void)u;
    return (slope){1, y};
}

static slope d_exp2(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)d, (void)u;
    return (slope){M_LN2, y};
}

/* Not y + 1: that cancels where exp(u) is small. */
static slope d_expm1(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, at_derive_1(d, AT_OP_EXP, u)};
}

static slope d_log(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, one_over(d, u)};
}

static slope d_log2(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){M_LOG2E, one_over(d, u)};
}

static slope d_log1p(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, one_over(d, one_plus(d, u))};
}

static slope d_sin(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, at_derive_1(d, AT_OP_COS, u)};
}

static slope d_cos(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){-1, at_derive_1(d, AT_OP_SIN, u)};
}

static slope d_tan(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)u;
    return (slope){1, one_plus(d, square(d, y))};
}

static slope d_atan(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, one_over(d, one_plus(d, square(d, u)))};
}

static slope d_sinh(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, at_derive_1(d, AT_OP_COSH, u)};
}

static slope d_cosh(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, at_derive_1(d, AT_OP_SINH, u)};
}

static slope d_tanh(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)u;
    at_node_id below = at_derive_2(d, AT_OP_SUB, at_derive_constant(d, 1), y);
    return (slope){1, at_derive_2(d, AT_OP_MUL, below, one_plus(d, y))};
}

static slope d_asinh(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, one_over(d, at_derive_1(d, AT_OP_SQRT, one_plus(d, square(d, u))))};
}

static at_node_id bell(at_derivation *d, at_node_id u)
{
    return at_derive_1(d, AT_OP_EXP, at_derive_1(d, AT_OP_NEG, square(d, u)));
}

static slope d_erf(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){M_2_SQRTPI, bell(d, u)};
}

static slope d_erfc(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){-M_2_SQRTPI, bell(d, u)};
}

static slope d_sigmoid(at_derivation *d, at_node_id u, at_node_id y)
{
    at_node_id other = at_derive_1(d, AT_OP_SIGMOID, at_derive_1(d, AT_OP_NEG, u));
    return (slope){1, at_derive_2(d, AT_OP_MUL, y, other)};
}

static slope d_softplus(at_derivation *d, at_node_id u, at_node_id y)
{
    (void)y;
    return (slope){1, at_derive_1(d, AT_OP_SIGMOID, u)};
}

static slope (*const unary[AT_OP_COUNT])(at_derivation *, at_node_id u, at_node_id y) = {
    [AT_OP_NEG] = d_neg,     [AT_OP_ABS] = d_abs,    [AT_OP_SQRT] = d_sqrt,       [AT_OP_FLOOR] = d_step,
    [AT_OP_CEIL] = d_step,   [AT_OP_TRUNC] = d_step, [AT_OP_EXP] = d_exp,         [AT_OP_EXP2] = d_exp2,
    [AT_OP_EXPM1] = d_expm1, [AT_OP_LOG] = d_log,    [AT_OP_LOG2] = d_log2,       [AT_OP_LOG1P] = d_log1p,
    [AT_OP_SIN] = d_sin,     [AT_OP_COS] = d_cos,    [AT_OP_TAN] = d_tan,         [AT_OP_ATAN] = d_atan,
    [AT_OP_SINH] = d_sinh,   [AT_OP_COSH] = d_cosh,  [AT_OP_TANH] = d_tanh,       [AT_OP_ASINH] = d_asinh,
    [AT_OP_ERF] = d_erf,     [AT_OP_ERFC] = d_erfc,  [AT_OP_SIGMOID] = d_sigmoid, [AT_OP_SOFTPLUS] = d_softplus,
    [AT_OP_ROUND] = d_same,  [AT_OP_RINT] = d_same,
};

/* One node's share-out. */
typedef struct share {
    at_derivation *d;
    at_node node;
    at_node_id id;
    const at_term *adjoint;
    at_term_sink *sink;
    void *user;
} share;

static bool is_live(const share *s, int k)
{
    return at_derive_range(s->d, s->node.arg[k]).support != 0;
}

static void send(const share *s, int k, double scale, at_node_id factor)
{
    if (!is_live(s, k))
        return;
    at_term term = *s->adjoint;
    at_term_multiply(s->d, &term, scale, factor);
    s->sink(s->user, s->node.arg[k], term);
}

static void send_where(const share *s, int k, at_node_id condition, bool when)
{
    if (!is_live(s, k))
        return;
    at_term term = *s->adjoint;
    at_term_mask(s->d, &term, condition, when);
    s->sink(s->user, s->node.arg[k], term);
}

static void share_add(const share *s)
{
    send(s, 0, 1, AT_NO_NODE);
    send(s, 1, s->node.op == AT_OP_SUB ? -1 : 1, AT_NO_NODE);
}

static void share_mul(const share *s)
{
    if (s->node.arg[0] == s->node.arg[1]) {
        send(s, 0, 2, s->node.arg[0]);
        return;
    }
    send(s, 0, 1, s->node.arg[1]);
    send(s, 1, 1, s->node.arg[0]);
}

static void share_fma(const share *s)
{
    share_mul(s);
    send(s, 2, 1, AT_NO_NODE);
}

static void share_div(const share *s)
{
    double divisor;
    if (at_is_constant(&s->d->rewriter, s->node.arg[1], &divisor)) {
        send(s, 0, 1, one_over(s->d, s->node.arg[1]));
        return;
    }
    at_node_id inverse = one_over(s->d, s->node.arg[1]);
    send(s, 0, 1, inverse);
    if (!is_live(s, 1))
        return;
    if (!at_range_is_finite(at_derive_range(s->d, inverse))) {
        send(s, 1, -1, at_derive_2(s->d, AT_OP_DIV, s->id, s->node.arg[1]));
        return;
    }
    /* No division more, and x / (1 + |x|) has its limit at infinity: 1/b*b is exactly 0 there, y / b is NaN. */
    at_term term = *s->adjoint;
    at_term_multiply(s->d, &term, -1, s->node.arg[0]);
    at_term_multiply(s->d, &term, 1, square(s->d, inverse));
    s->sink(s->user, s->node.arg[1], term);
}

/* A bound at the end of f32 is there for infinity alone (max(x, -FLT_MAX) keeps silu(-inf) from being inf * 0): what it
   is multiplied by has its limit there, and the gradient needs no mask. */
static bool guards_infinity(const share *s)
{
    double bound;
    return at_is_constant(&s->d->rewriter, s->node.arg[1], &bound) && fabs(bound) >= FLT_MAX;
}

/* All to the second argument at a tie; a NaN in the first lets the gradient through, as in torch's relu. */
static void share_bound(const share *s)
{
    if (guards_infinity(s)) {
        send(s, 0, 1, AT_NO_NODE);
        return;
    }
    at_derivation *d = s->d;
    bool is_max = s->node.op == AT_OP_MAX;
    at_node_id a = s->node.arg[0], b = s->node.arg[1];
    at_node_id second_wins = at_derive_2(d, is_max ? AT_OP_LE : AT_OP_GE, a, b);
    send_where(s, 0, second_wins, false);
    if (is_live(s, 0))
        send_where(s, 1, second_wins, true);
    else
        send_where(s, 1, at_derive_2(d, is_max ? AT_OP_GT : AT_OP_LT, a, b), false);
}

static void share_copysign(const share *s)
{
    if (!is_live(s, 0))
        return;
    at_node_id one = at_derive_constant(s->d, 1);
    at_node_id sign = at_derive_2(s->d, AT_OP_COPYSIGN, one, s->node.arg[1]);
    send(s, 0, 1, at_derive_2(s->d, AT_OP_MUL, sign_of(s->d, s->node.arg[0]), sign));
}

static at_node_id unless_zero(at_derivation *d, at_node_id test, at_node_id value)
{
    at_node_id zero = at_derive_constant(d, 0);
    return at_derive_3(d, AT_OP_SELECT, at_derive_2(d, AT_OP_EQ, test, zero), zero, value);
}

/* Where exponent or power is 0 the gradient is 0, as in torch, not 0 * inf. */
static void share_pow(const share *s)
{
    at_derivation *d = s->d;
    at_node_id base = s->node.arg[0], exponent = s->node.arg[1];
    double c;
    if (at_is_constant(&d->rewriter, exponent, &c)) {
        if (c != 0)
            send(s, 0, c, at_derive_2(d, AT_OP_POW, base, at_derive_constant(d, c - 1)));
        return;
    }
    if (is_live(s, 0)) {
        at_node_id less = at_derive_2(d, AT_OP_SUB, exponent, at_derive_constant(d, 1));
        at_node_id rate = at_derive_2(d, AT_OP_MUL, exponent, at_derive_2(d, AT_OP_POW, base, less));
        send(s, 0, 1, unless_zero(d, exponent, rate));
    }
    at_node_id rate = at_derive_2(d, AT_OP_MUL, s->id, at_derive_1(d, AT_OP_LOG, base));
    send(s, 1, 1, unless_zero(d, s->id, rate));
}

static void share_select(const share *s)
{
    send_where(s, 1, s->node.arg[0], true);
    send_where(s, 2, s->node.arg[0], false);
}

/* The gradient at this point as a whole is clipped, masks and all. */
static void share_grad_clip(const share *s)
{
    at_derivation *d = s->d;
    if (!is_live(s, 0))
        return;
    at_term term = *s->adjoint;
    at_node_id value = at_term_value(d, &term), limit = s->node.arg[1];
    value = at_derive_2(d, AT_OP_MAX, value, at_derive_1(d, AT_OP_NEG, limit));
    term = at_term_of(d, at_derive_2(d, AT_OP_MIN, value, limit));
    for (int k = 0; k < s->adjoint->masks; k++) /* what is 0 stays 0 */
        at_term_mask(d, &term, s->adjoint->mask[k].condition, s->adjoint->mask[k].when);
    s->sink(s->user, s->node.arg[0], term);
}

static void (*const several[AT_OP_COUNT])(const share *) = {
    [AT_OP_ADD] = share_add,
    [AT_OP_SUB] = share_add,
    [AT_OP_MUL] = share_mul,
    [AT_OP_DIV] = share_div,
    [AT_OP_FMA] = share_fma,
    [AT_OP_MIN] = share_bound,
    [AT_OP_MAX] = share_bound,
    [AT_OP_POW] = share_pow,
    [AT_OP_SELECT] = share_select,
    [AT_OP_COPYSIGN] = share_copysign,
    [AT_OP_GRAD_CLIP] = share_grad_clip,
};

actune_status at_derive_op(at_derivation *d, at_node_id id, const at_term *term, at_term_sink *sink, void *user)
{
    const share s = {d, *at_rewriter_at(&d->rewriter, id), id, term, sink, user};
    if (several[s.node.op]) {
        several[s.node.op](&s);
        return at_graph_status(&d->rewriter.graph);
    }
    if (!unary[s.node.op])
        return at_fail(ACTUNE_UNSUPPORTED, "operation '%s' has no derivative", at_op_get(s.node.op)->name);
    slope local = unary[s.node.op](d, s.node.arg[0], id);
    if (local.scale != 0)
        send(&s, 0, local.scale, local.node);
    return at_graph_status(&d->rewriter.graph);
}
