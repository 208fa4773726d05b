/* What is known about a node's value for all inputs that are numbers (infinities included, NaN not). */
#ifndef AT_CODEGEN_RANGE_H
#define AT_CODEGEN_RANGE_H

#include "graph.h"

typedef struct at_range {
    double lo, hi;    /* closed; infinite as soon as f32 could come near its end */
    uint64_t support; /* the inputs it depends on, one bit each (from 64 on they share bits); 0: a constant */
    bool vanishes;    /* tends to 0 where an input (or another factor) goes to infinity: times infinity the limit is 0 */
} at_range;

/* Of one node; ranges: those of the nodes before it. */
at_range at_range_of(const at_graph *graph, const at_range *ranges, at_node_id id);

/* Neither infinite nor NaN, whatever the inputs. */
bool at_range_is_finite(at_range range);

#endif
