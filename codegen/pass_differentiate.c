/* Nodes that depend on one node alone (their base: an input, or where several inputs first meet) make up unary pieces.
   A piece's slope is found forward, node by node; between pieces the gradient goes in reverse. So dx comes out as dy *
   f'(x), with f'(x) a function of x alone: few operations, and ready to be approximated as a whole. Selects stay
   outermost: select(c, dy * f', 0). */
#include "pass.h"

#include "differentiate.h"
#include <math.h>
#include <stdlib.h>

at_range at_derive_range(at_derivation *d, at_node_id id)
{
    static const at_range unknown = {.lo = -INFINITY, .hi = INFINITY};
    if (d->rewriter.graph.count > d->capacity) {
        int32_t capacity = d->rewriter.graph.count * 2;
        at_range *range = realloc(d->range, (size_t)capacity * sizeof *range);
        if (!range) {
            d->rewriter.graph.failed = true;
            return unknown;
        }
        d->range = range;
        d->capacity = capacity;
    }
    if (id < 0)
        return unknown;
    for (; d->ranged <= id; d->ranged++)
        d->range[d->ranged] = at_range_of(&d->rewriter.graph, d->range, d->ranged);
    return d->range[id];
}

at_node_id at_derive_3(at_derivation *d, at_op op, at_node_id a, at_node_id b, at_node_id c)
{
    return at_fold_3(&d->rewriter, op, a, b, c);
}

at_node_id at_derive_2(at_derivation *d, at_op op, at_node_id a, at_node_id b)
{
    return at_derive_3(d, op, a, b, AT_NO_NODE);
}

at_node_id at_derive_1(at_derivation *d, at_op op, at_node_id a)
{
    return at_derive_3(d, op, a, AT_NO_NODE, AT_NO_NODE);
}

at_node_id at_derive_constant(at_derivation *d, double value)
{
    return at_fold_constant(&d->rewriter, value);
}

typedef struct sweep {
    at_derivation *d;
    at_node_id *base;  /* of each node; AT_NO_NODE for what depends on no input */
    at_node_id *same;  /* of an input the first node of that input, of others the node itself */
    bool *needed;      /* some slope is wanted or known */
    at_terms *arrived; /* the gradient so far, terms to be added */
    at_terms *slope;   /* d(node)/d(base), once found; never empty then, but where it is 0 */
    at_terms *local;   /* the slope being made */
} sweep;

static void arrive(void *user, at_node_id argument, at_term term)
{
    const sweep *s = user;
    at_terms_add(s->d, &s->arrived[s->same[argument]], term);
}

/* Chain rule: the local derivative towards `argument` times the argument's own slope. */
static void chain(void *user, at_node_id argument, at_term term)
{
    const sweep *s = user;
    argument = s->same[argument];
    if (s->base[argument] == argument) {
        at_terms_add(s->d, s->local, term);
        return;
    }
    for (int32_t k = 0; k < s->slope[argument].count; k++) {
        at_term product = term;
        at_term_times(s->d, &product, &s->slope[argument].term[k]);
        at_terms_add(s->d, s->local, product);
    }
}

/* Marks what the slope of `top` needs and is not known yet. */
static void mark_needed(const sweep *s, at_node_id top, bool *wanted)
{
    const at_graph *graph = &s->d->rewriter.graph;
    wanted[top] = true;
    for (at_node_id i = top; i > s->base[top]; i--) {
        const at_node *node = &graph->nodes[i];
        if (!wanted[i])
            continue;
        for (int k = node->op == AT_OP_SELECT; k < at_op_get(node->op)->arguments; k++) {
            at_node_id argument = s->same[node->arg[k]];
            if (s->base[argument] == s->base[top] && argument != s->base[top] && !s->needed[argument])
                wanted[argument] = true;
        }
    }
}

static actune_status find_slope_of(sweep *s, at_node_id id)
{
    at_terms local = {0};
    at_term one = at_term_of(s->d, AT_NO_NODE);
    s->local = &local;
    actune_status status = at_derive_op(s->d, id, &one, chain, s);
    if (status == ACTUNE_OK)
        at_terms_reduce(s->d, &local, &s->slope[id]);
    s->needed[id] = true;
    at_terms_clear(&local);
    return status;
}

static actune_status find_slope(sweep *s, at_node_id top)
{
    if (s->needed[top])
        return ACTUNE_OK;
    bool *wanted = calloc((size_t)top + 1, sizeof *wanted);
    actune_status status = ACTUNE_OK;
    if (!wanted)
        s->d->rewriter.graph.failed = true;
    else
        mark_needed(s, top, wanted);
    for (at_node_id i = s->base[top] + 1; wanted && i <= top && status == ACTUNE_OK; i++)
        if (wanted[i])
            status = find_slope_of(s, i);
    free(wanted);
    return status == ACTUNE_OK ? at_graph_status(&s->d->rewriter.graph) : status;
}

/* The gradient times the slope. A slope's own guards are settled first, so that it stays a function of its base alone.
 */
static actune_status pass_down(sweep *s, at_node_id id)
{
    at_term term = at_terms_join(s->d, &s->arrived[id]);
    if (s->base[id] == id)
        return at_derive_op(s->d, id, &term, arrive, s);
    AT_TRY(find_slope(s, id));
    for (int32_t k = 0; k < s->slope[id].count; k++) {
        const at_term *part = &s->slope[id].term[k];
        at_term result = term;
        at_term_multiply(s->d, &result, 1, at_term_value(s->d, part));
        for (int m = 0; m < part->masks; m++)
            at_term_mask(s->d, &result, part->mask[m].condition, part->mask[m].when);
        arrive(s, s->base[id], result);
    }
    return ACTUNE_OK;
}

static void find_bases(const at_graph *graph, at_node_id top, at_node_id *base, at_node_id *same)
{
    for (at_node_id i = 0; i <= top; i++) {
        const at_node *node = &graph->nodes[i];
        same[i] = base[i] = i;
        for (at_node_id k = 0; node->op == AT_OP_INPUT && k < i; k++)
            if (graph->nodes[k].op == AT_OP_INPUT && graph->nodes[k].index == node->index) {
                same[i] = base[i] = k;
                break;
            }
        if (node->op == AT_OP_INPUT)
            continue;
        base[i] = AT_NO_NODE;
        for (int k = 0; k < at_op_get(node->op)->arguments; k++) {
            at_node_id of = base[node->arg[k]];
            if (base[i] == AT_NO_NODE)
                base[i] = of;
            else if (of != AT_NO_NODE && of != base[i])
                base[i] = i;
        }
        /* What clips the gradient is linear in nothing: it parts pieces. */
        if (node->op == AT_OP_GRAD_CLIP && base[i] != AT_NO_NODE)
            base[i] = i;
    }
}

static at_node_id gradient_of(sweep *s, at_node_id top, int32_t index)
{
    const at_graph *graph = &s->d->rewriter.graph;
    for (at_node_id i = 0; i <= top; i++) {
        if (graph->nodes[i].op != AT_OP_INPUT || graph->nodes[i].index != index || !s->arrived[i].count)
            continue;
        at_term term = at_terms_join(s->d, &s->arrived[i]);
        at_node_id value = at_term_value(s->d, &term), zero = at_derive_constant(s->d, 0);
        for (int k = term.masks; k-- > 0;)
            value = at_derive_3(s->d, AT_OP_SELECT, term.mask[k].condition, term.mask[k].when ? value : zero,
                                term.mask[k].when ? zero : value);
        return value;
    }
    return at_derive_constant(s->d, 0);
}

static actune_status sweep_open(sweep *s, at_node_id top)
{
    size_t count = (size_t)top + 1;
    s->base = malloc(count * sizeof *s->base);
    s->same = malloc(count * sizeof *s->same);
    s->needed = calloc(count, sizeof *s->needed);
    s->arrived = calloc(count, sizeof *s->arrived);
    s->slope = calloc(count, sizeof *s->slope);
    if (!s->base || !s->same || !s->needed || !s->arrived || !s->slope)
        s->d->rewriter.graph.failed = true;
    return at_graph_status(&s->d->rewriter.graph);
}

static void sweep_clear(sweep *s, at_node_id top)
{
    for (at_node_id i = 0; i <= top; i++) {
        if (s->arrived)
            at_terms_clear(&s->arrived[i]);
        if (s->slope)
            at_terms_clear(&s->slope[i]);
    }
    free(s->base);
    free(s->same);
    free(s->needed);
    free(s->arrived);
    free(s->slope);
}

static actune_status differentiate(sweep *s, at_node_id from, at_node_id seed)
{
    at_derivation *d = s->d;
    AT_TRY(sweep_open(s, from));
    find_bases(&d->rewriter.graph, from, s->base, s->same);
    arrive(s, from, at_term_of(d, seed));
    for (at_node_id i = from; i >= 0; i--)
        if (s->arrived[i].count && d->rewriter.graph.nodes[i].op != AT_OP_INPUT && s->base[i] != AT_NO_NODE)
            AT_TRY(pass_down(s, i));
    return at_graph_status(&d->rewriter.graph);
}

actune_status at_pass_differentiate(at_graph *graph, at_node_id from, at_node_id seed, const int32_t *wanted,
                                    int32_t wanted_count, at_node_id *gradient)
{
    AT_TRY(at_graph_status(graph));
    at_derivation d = {0};
    sweep s = {.d = &d};
    at_rewriter_open(&d.rewriter, graph);
    actune_status status = at_graph_status(&d.rewriter.graph);
    if (status == ACTUNE_OK)
        status = differentiate(&s, from, seed);
    for (int32_t i = 0; i < wanted_count && status == ACTUNE_OK; i++) {
        gradient[i] = gradient_of(&s, from, wanted[i]);
        status = at_graph_status(&d.rewriter.graph);
    }
    sweep_clear(&s, from);
    at_rewriter_close(&d.rewriter, graph);
    free(d.range);
    return status;
}
