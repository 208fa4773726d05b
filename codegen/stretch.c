#include "stretch.h"

#include <stdlib.h>
#include <string.h>

static bool is_transcendental(const at_graph *graph, at_node_id id)
{
    return at_op_get(graph->nodes[id].op)->transcendental;
}

static int arguments_of(const at_graph *graph, at_node_id id)
{
    return at_op_get(graph->nodes[id].op)->arguments;
}

/* top[v]: the highest node that v is a function of alone; v itself where several meet, and at the steps of a quantiser, which no polynomial
   goes over; AT_NO_NODE for constants. */
static void find_tops(const at_graph *graph, at_node_id *top)
{
    for (at_node_id v = 0; v < graph->count; v++) {
        const at_node *node = &graph->nodes[v];
        /* A row operation is no function of one element. */
        bool begins = node->op == AT_OP_INPUT || node->op == AT_OP_RINT || node->op == AT_OP_TOPK;
        top[v] = begins ? v : AT_NO_NODE;
        for (int i = 0; !begins && i < arguments_of(graph, v); i++) {
            at_node_id above = top[node->arg[i]];
            if (above == AT_NO_NODE)
                continue;
            top[v] = top[v] == AT_NO_NODE || top[v] == above ? above : v;
            if (top[v] == v)
                break;
        }
    }
}

/* The nodes between exit and entry that everything passes through, exit first, entry last; returns their number. `mark` is
   scratch, all false before and after. */
static int find_dominators(const at_graph *graph, const at_node_id *top, at_span span, bool *mark, at_node_id *dominator)
{
    int count = 0, open = 1;
    mark[span.exit] = true;
    for (at_node_id v = span.exit; open > 0; v--) {
        if (!mark[v])
            continue;
        mark[v] = false;
        if (open == 1)
            dominator[count++] = v;
        open--;
        for (int i = 0; v != span.entry && i < arguments_of(graph, v); i++) {
            at_node_id argument = graph->nodes[v].arg[i];
            if (top[argument] != AT_NO_NODE && !mark[argument]) {
                mark[argument] = true;
                open++;
            }
        }
    }
    return count;
}

static bool is_constant(const at_graph *graph, at_node_id id)
{
    return graph->nodes[id].op == AT_OP_CONSTANT;
}

/* The one argument that is no constant; AT_NO_NODE when there are two. */
static at_node_id only_argument(const at_graph *graph, at_node_id id)
{
    at_node_id found = AT_NO_NODE;
    for (int i = 0; i < arguments_of(graph, id); i++) {
        at_node_id argument = graph->nodes[id].arg[i];
        if (is_constant(graph, argument) || argument == found)
            continue;
        if (found != AT_NO_NODE)
            return AT_NO_NODE;
        found = argument;
    }
    return found;
}

/* What `id` clips, rounds or takes over unchanged: min(w, 6), round(w), select(w < lo, lo, select(w > hi, hi, w)); AT_NO_NODE for
   everything else. Such nodes are cheap and bend a function in a point: they are better outside of a stretch. */
static at_node_id clipped_by(const at_graph *graph, at_node_id id)
{
    const at_node *node = &graph->nodes[id];
    if (node->op == AT_OP_MIN || node->op == AT_OP_MAX || node->op == AT_OP_ROUND || node->op == AT_OP_GRAD_CLIP)
        return only_argument(graph, id);
    if (node->op != AT_OP_SELECT)
        return AT_NO_NODE;
    at_node_id source = only_argument(graph, node->arg[0]);
    for (int i = 1; i <= 2 && source != AT_NO_NODE; i++) {
        at_node_id arm = node->arg[i];
        if (arm != source && !is_constant(graph, arm) && clipped_by(graph, arm) != source)
            return AT_NO_NODE;
    }
    return source;
}

/* What may stand between the entry of a stretch and its first transcendental op, and is better left before it. */
static bool bends(at_op op)
{
    return op == AT_OP_MIN || op == AT_OP_MAX || op == AT_OP_ROUND || op == AT_OP_GRAD_CLIP || op == AT_OP_SELECT;
}

typedef struct finder {
    const at_graph *graph;
    at_node_id *top, *dominator, *work;
    bool *mark, *outside, *covered; /* outside: needed by something that is no part of its unary group */
    at_span *spans;
    int most, count;
} finder;

static void clear_finder(finder *f)
{
    free(f->top);
    free(f->dominator);
    free(f->work);
    free(f->mark);
    free(f->outside);
    free(f->covered);
}

static actune_status init_finder(const at_graph *graph, finder *f)
{
    size_t n = (size_t)graph->count + 1;
    *f = (finder){.graph = graph};
    f->top = calloc(n, sizeof *f->top);
    f->dominator = calloc(n, sizeof *f->dominator);
    f->work = calloc(n, sizeof *f->work);
    f->mark = calloc(n, sizeof *f->mark);
    f->outside = calloc(n, sizeof *f->outside);
    f->covered = calloc(n, sizeof *f->covered);
    if (!f->top || !f->dominator || !f->work || !f->mark || !f->outside || !f->covered) {
        clear_finder(f);
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    }
    find_tops(graph, f->top);
    return ACTUNE_OK;
}

/* Marks the nodes that are wanted outside of their group. A truth value, a clip or a rounding there is computed as it is: its
   arguments take its place. */
static void find_outside(finder *f)
{
    const at_graph *graph = f->graph;
    for (int i = 0; i < graph->outputs; i++)
        f->outside[graph->output[i]] = true;
    for (at_node_id v = graph->count - 1; v >= 0; v--) {
        bool meets = f->top[v] == v, peeled = f->outside[v] && (at_op_get(graph->nodes[v].op)->result == 'B' || clipped_by(graph, v) != AT_NO_NODE);
        for (int i = 0; (meets || peeled) && i < arguments_of(graph, v); i++)
            f->outside[graph->nodes[v].arg[i]] = true;
        if (peeled)
            f->outside[v] = false;
    }
}

/* True when v is the value of a pipeline's stage. */
static bool is_rounded(const at_graph *graph, at_node_id v)
{
    for (at_node_id u = v + 1; u < graph->count; u++)
        if (graph->nodes[u].op == AT_OP_ROUND && graph->nodes[u].arg[0] == v)
            return true;
    return false;
}

/* Moves the entry below clips and roundings that come before the first transcendental op. False when there is none of those. */
static bool shorten(finder *f, at_span *span)
{
    const at_graph *graph = f->graph;
    int count = find_dominators(graph, f->top, *span, f->mark, f->dominator);
    bool *inside = f->mark;
    memset(f->work, 0, (size_t)graph->count * sizeof *f->work);
    /* work[v]: v lies in the cone and is, or hangs on, a transcendental op below the entry. */
    bool any = false;
    inside[span->entry] = true;
    for (at_node_id v = span->entry + 1; v <= span->exit; v++) {
        for (int i = 0; i < arguments_of(graph, v); i++)
            if (inside[graph->nodes[v].arg[i]] && f->top[v] == f->top[span->exit]) {
                inside[v] = true;
                f->work[v] |= f->work[graph->nodes[v].arg[i]];
            }
        if (inside[v] && is_transcendental(graph, v))
            f->work[v] = 1;
    }
    any = f->work[span->exit];
    for (int i = count - 1; any && i > 0; i--) {
        at_node_id v = f->dominator[i];
        if (f->work[v])
            break;
        if (bends(graph->nodes[v].op))
            span->entry = v;
    }
    memset(inside, 0, (size_t)graph->count * sizeof *inside);
    return any;
}

static void cover(finder *f, at_span span)
{
    bool *mark = f->mark;
    mark[span.exit] = true;
    for (at_node_id v = span.exit; v > span.entry; v--) {
        if (!mark[v])
            continue;
        mark[v] = false;
        f->covered[v] = true;
        for (int i = 0; i < arguments_of(f->graph, v); i++)
            mark[f->graph->nodes[v].arg[i]] = true;
    }
    memset(mark, 0, (size_t)f->graph->count * sizeof *mark);
}

actune_status at_spans_find(const at_graph *graph, at_span *spans, int most, int *count, bool *unary)
{
    finder f;
    AT_TRY(init_finder(graph, &f));
    find_outside(&f);
    *count = 0;
    for (at_node_id v = 0; v < graph->count; v++) {
        if (!f.outside[v] || f.top[v] == AT_NO_NODE || f.top[v] == v)
            continue;
        at_span span = {f.top[v], v, !is_rounded(graph, v)};
        if (!shorten(&f, &span))
            continue;
        cover(&f, span);
        if (*count < most)
            spans[*count] = span;
        ++*count;
    }
    *unary = true;
    for (at_node_id v = 0; v < graph->count; v++)
        if (is_transcendental(graph, v) && !f.covered[v] && graph->nodes[v].op != AT_OP_STRETCH)
            *unary = false;
    clear_finder(&f);
    return ACTUNE_OK;
}

actune_status at_span_extract(const at_graph *graph, at_span span, at_graph *function)
{
    *function = (at_graph){0};
    at_node_id *mapped = calloc((size_t)graph->count + 1, sizeof *mapped);
    bool *inside = calloc((size_t)graph->count + 1, sizeof *inside);
    if (!mapped || !inside) {
        free(mapped);
        free(inside);
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    }
    inside[span.exit] = true;
    for (at_node_id v = span.exit; v >= 0; v--)
        for (int i = 0; inside[v] && v != span.entry && i < arguments_of(graph, v); i++)
            inside[graph->nodes[v].arg[i]] = true;
    mapped[span.entry] = at_graph_input(function, 0);
    for (at_node_id v = 0; v <= span.exit; v++) {
        const at_node *node = &graph->nodes[v];
        if (!inside[v] || v == span.entry)
            continue;
        at_node_id arg[3] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
        for (int i = 0; i < arguments_of(graph, v); i++)
            arg[i] = mapped[node->arg[i]];
        mapped[v] = node->op == AT_OP_CONSTANT ? at_graph_constant(function, node->value)
                                               : at_graph_add(function, node->op, arg[0], arg[1], arg[2]);
    }
    function->output[0] = mapped[span.exit];
    function->outputs = 1;
    free(mapped);
    free(inside);
    return at_graph_status(function);
}

bool at_span_split(const at_graph *graph, at_span span, at_span *lower, at_span *upper)
{
    finder f;
    if (init_finder(graph, &f) != ACTUNE_OK)
        return false;
    int count = find_dominators(graph, f.top, span, f.mark, f.dominator);
    bool found = false;
    for (int i = 1; i + 1 < count && !found; i++) {
        at_node_id v = f.dominator[i];
        if (graph->nodes[v].op != AT_OP_ROUND)
            continue;
        *upper = (at_span){v, span.exit, span.gradient};
        *lower = (at_span){span.entry, graph->nodes[v].arg[0], false};
        at_span trial = *upper;
        found = shorten(&f, &trial);
        *upper = trial;
        for (at_node_id w; found && (w = clipped_by(graph, lower->exit)) != AT_NO_NODE;)
            lower->exit = w;
        trial = *lower;
        found = found && shorten(&f, &trial);
        *lower = trial;
    }
    clear_finder(&f);
    return found;
}
