/* Reverse mode in two levels. Nodes that depend on one node alone (their base: an input, or where several inputs first
   meet) make up a unary piece; its derivative is taken by itself, from a gradient of 1, and then multiplied by the
   gradient that flows in. So dx comes out as dy * f'(x), with f'(x) a function of x alone: cheap, and ready to be
   approximated as a whole. Selects stay outermost: select(c, dy * f', 0). */
#include "pass.h"

#include "differentiate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* One reverse sweep over nodes bottom .. top: what has arrived at each. */
typedef struct sweep {
    at_derivation *d;
    at_node_id *base;
    const at_node_id *same; /* of an input the first node of that input, of others the node itself */
    at_node_id bottom;
    at_terms *arrived; /* [id - bottom] */
} sweep;

static void arrive(void *user, at_node_id argument, at_term term)
{
    const sweep *s = user;
    at_terms_add(s->d, &s->arrived[s->same[argument] - s->bottom], term);
}

static void sweep_clear(sweep *s, at_node_id top)
{
    for (at_node_id i = s->bottom; s->arrived && i <= top; i++)
        at_terms_clear(&s->arrived[i - s->bottom]);
    free(s->arrived);
}

static actune_status sweep_open(sweep *s, at_node_id top)
{
    s->arrived = calloc((size_t)(top - s->bottom) + 1, sizeof *s->arrived);
    if (!s->arrived)
        s->d->rewriter.graph.failed = true;
    return at_graph_status(&s->d->rewriter.graph);
}

/* d(top)/d(base) of a unary piece, as terms. */
static actune_status derive_piece(const sweep *outer, at_node_id top, at_terms *slope)
{
    at_derivation *d = outer->d;
    sweep s = {d, outer->base, outer->same, outer->base[top], NULL};
    actune_status status = sweep_open(&s, top);
    if (status == ACTUNE_OK)
        at_terms_add(d, &s.arrived[top - s.bottom], at_term_of(d, AT_NO_NODE));
    for (at_node_id i = top; i > s.bottom && status == ACTUNE_OK; i--) {
        if (s.arrived[i - s.bottom].count == 0)
            continue;
        at_term term = at_terms_join(d, &s.arrived[i - s.bottom]);
        status = at_derive_op(d, i, &term, arrive, &s);
    }
    if (status == ACTUNE_OK)
        at_terms_reduce(d, &s.arrived[0], slope);
    sweep_clear(&s, top);
    return status == ACTUNE_OK ? at_graph_status(&d->rewriter.graph) : status;
}

/* term * each term of the slope. A slope's own factors are settled first, so that it stays a function of its base
 * alone. */
static void multiply_slope(sweep *s, const at_term *term, const at_terms *slope, at_node_id to)
{
    for (int32_t k = 0; k < slope->count; k++) {
        const at_term *part = &slope->term[k];
        at_term result = *term;
        at_node_id value = at_term_value(s->d, part);
        at_term_multiply(s->d, &result, 1, value);
        for (int m = 0; m < part->masks; m++)
            at_term_mask(s->d, &result, part->mask[m].condition, part->mask[m].when);
        arrive(s, to, result);
    }
}

static actune_status pass_down(sweep *s, at_node_id id)
{
    at_term term = at_terms_join(s->d, &s->arrived[id - s->bottom]);
    if (s->base[id] == id)
        return at_derive_op(s->d, id, &term, arrive, s);
    at_terms slope = {0};
    actune_status status = derive_piece(s, id, &slope);
    if (status == ACTUNE_OK)
        multiply_slope(s, &term, &slope, s->base[id]);
    at_terms_clear(&slope);
    return status;
}

/* base: of each node; AT_NO_NODE for what depends on no input. */
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

static actune_status differentiate(sweep *s, at_node_id from, at_node_id seed)
{
    at_derivation *d = s->d;
    AT_TRY(sweep_open(s, from));
    at_derive_range(d, from);
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
    size_t bytes = ((size_t)from + 1) * sizeof(at_node_id);
    at_node_id *base = malloc(bytes), *same = malloc(bytes);
    at_derivation d = {0};
    actune_status status;
    at_rewriter_open(&d.rewriter, graph);
    sweep s = {&d, base, same, 0, NULL};
    if (!base || !same)
        d.rewriter.graph.failed = true;
    status = at_graph_status(&d.rewriter.graph);
    if (status == ACTUNE_OK) {
        find_bases(&d.rewriter.graph, from, base, same);
        status = differentiate(&s, from, seed);
    }
    for (int32_t i = 0; i < wanted_count && status == ACTUNE_OK; i++) {
        gradient[i] = gradient_of(&s, from, wanted[i]);
        status = at_graph_status(&d.rewriter.graph);
    }
    sweep_clear(&s, from);
    at_rewriter_close(&d.rewriter, graph);
    free(d.range);
    free(base);
    free(same);
    return status;
}
