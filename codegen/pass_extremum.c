/* Selects that are a minimum or a maximum written in another way. A machine has one instruction for x > t ? x : t; a comparison with something
   else costs a mask and a blend. For code without branches (CPU): derivatives are taken of what the user wrote, before. */
#include "pass.h"

#include <math.h>

#include "rewrite.h"

/* select(a > b, a, b): what maxps does, of equals and NaN the second. */
static at_node_id greater(at_rewriter *r, at_node_id a, at_node_id b)
{
    return at_fold_3(r, AT_OP_SELECT, at_fold_2(r, AT_OP_GT, a, b), a, b);
}

static at_node_id lesser(at_rewriter *r, at_node_id a, at_node_id b)
{
    return at_fold_3(r, AT_OP_SELECT, at_fold_2(r, AT_OP_LT, a, b), a, b);
}

/* A select as `x above the bound ? upper : lower`; at the bound itself either. */
typedef struct split {
    at_node_id x, upper, lower;
    double bound;
} split;

static bool match_split(const at_rewriter *r, const at_node *select, split *out)
{
    const at_node *test = at_rewriter_at(r, select->arg[0]);
    if (select->op != AT_OP_SELECT || !test || !at_is_constant(r, test->arg[1], &out->bound))
        return false;
    bool above = test->op == AT_OP_GT || test->op == AT_OP_GE;
    if (!above && test->op != AT_OP_LT && test->op != AT_OP_LE)
        return false;
    *out = (split){test->arg[0], select->arg[above ? 1 : 2], select->arg[above ? 2 : 1], out->bound};
    return true;
}

/* Its factor, when the node is x times a constant. */
static bool match_scaled(const at_rewriter *r, at_node_id node, at_node_id x, double *factor)
{
    const at_node *n = at_rewriter_at(r, node);
    return at_is(r, node, AT_OP_MUL) && n->arg[0] == x && at_is_constant(r, n->arg[1], factor);
}

/* x > 0 ? x : a x, 0 < a <= 1 (leaky_relu): the greater of the two, bit for bit; a = 0 would turn infinity into NaN. */
static at_node_id leak(at_rewriter *r, const split *s)
{
    double a;
    if (s->bound != 0 || s->upper != s->x || !match_scaled(r, s->lower, s->x, &a) || !(a > 0 && a <= 1))
        return AT_NO_NODE;
    return greater(r, s->x, s->lower);
}

/* The node is x ((x + d) k), in any order of its product. */
static bool match_ramp(const at_rewriter *r, at_node_id node, at_node_id x, double *d, double *k)
{
    const at_node *product = at_rewriter_at(r, node);
    if (!at_is(r, node, AT_OP_MUL))
        return false;
    at_node_id ramp = product->arg[0] == x ? product->arg[1] : product->arg[0];
    const at_node *scaled = at_rewriter_at(r, ramp);
    if ((product->arg[0] != x && product->arg[1] != x) || !at_is(r, ramp, AT_OP_MUL) || !at_is_constant(r, scaled->arg[1], k))
        return false;
    const at_node *sum = at_rewriter_at(r, scaled->arg[0]);
    return at_is(r, scaled->arg[0], AT_OP_ADD) && sum->arg[0] == x && at_is_constant(r, sum->arg[1], d);
}

/* x > -d ? (x > c ? x : q) : 0 with q = x (x + d) k and (c + d) k = 1 (hardswish). q is positive below -d, at most 0 up to 0, below x up to c,
   and above x from there: it is the lesser of q and max(x, 0). Where rounding decides, next to c, both are x but for rounding. */
static at_node_id gate(at_rewriter *r, const split *low)
{
    split high;
    double zero, d, k;
    const at_node *upper = at_rewriter_at(r, low->upper);
    if (!upper || !at_is_constant(r, low->lower, &zero) || zero != 0 || signbit(zero) || !match_split(r, upper, &high))
        return AT_NO_NODE;
    if (high.x != low->x || high.upper != low->x || !match_ramp(r, high.lower, low->x, &d, &k))
        return AT_NO_NODE;
    if (!(d > 0 && high.bound >= 0 && low->bound == -d && fabs((high.bound + d) * k - 1) <= 0x1p-24))
        return AT_NO_NODE;
    at_node_id positive = greater(r, low->x, low->lower);
    return lesser(r, positive, high.lower);
}

static at_node_id extremum(at_rewriter *r, at_node node)
{
    split s;
    at_node_id found = AT_NO_NODE;
    if (match_split(r, &node, &s)) {
        found = leak(r, &s);
        if (found == AT_NO_NODE)
            found = gate(r, &s);
    }
    return found == AT_NO_NODE ? at_rewriter_node(r, node) : found;
}

actune_status at_pass_extremum(at_graph *graph)
{
    return at_rewrite(graph, extremum);
}
