/* Private to pass_approximate: finding the unary stretches of a graph. */
#ifndef AT_CODEGEN_STRETCH_H
#define AT_CODEGEN_STRETCH_H

#include "graph.h"

/* Node `exit` is a function of node `entry` alone. */
typedef struct at_span {
    at_node_id entry, exit;
    bool gradient; /* no stage ends here: in a backward graph, a factor of a derivative */
} at_span;

/* The maximal unary spans that hold a transcendental op: entry as far up as possible, exit as far down, but for clips, rounding
   and comparisons at either end, which cost nothing outside and would only bend the function. spans: up to `most`; *count may
   tell more than that. *unary: whether every transcendental op is inside a span. */
actune_status at_spans_find(const at_graph *graph, at_span *spans, int most, int *count, bool *unary);
/* The function of a span, as a graph of one INPUT and one output. */
actune_status at_span_extract(const at_graph *graph, at_span span, at_graph *function);
/* The end of a pipeline stage inside the span that parts its transcendental ops, *lower (entry .. rounding) and
   *upper; false when there is none. */
bool at_span_split(const at_graph *graph, at_span span, at_span *lower, at_span *upper);

#endif
