/* What the passes are made of: a graph that is rebuilt node by node, where equal nodes are one. */
#ifndef AT_CODEGEN_REWRITE_H
#define AT_CODEGEN_REWRITE_H

#include "graph.h"

typedef struct at_rewriter {
    at_graph graph;
    int32_t *height; /* of a node: 0 for constants and inputs */
    int32_t height_capacity;
    at_node_id *slot; /* hash table of nodes, `slots` a power of two */
    int32_t slots, used;
} at_rewriter;

/* Takes over the nodes of `graph` (ids stay; outputs too). A failure shows in at_graph_status(&rewriter->graph). */
void at_rewriter_open(at_rewriter *rewriter, at_graph *graph);
/* Hands the graph back, frees the rest. */
void at_rewriter_close(at_rewriter *rewriter, at_graph *graph);
/* The node with its arguments in canonical order: constants on the right, then by height, op, index, value. Comparisons
   are mirrored for that. */
at_node at_rewriter_canonical(const at_rewriter *rewriter, at_node node);
/* The canonical node, found or appended. */
at_node_id at_rewriter_node(at_rewriter *rewriter, at_node node);

/* A rule gets a node whose arguments are in the new graph and gives the node that stands for it there. */
typedef at_node_id at_rule(at_rewriter *rewriter, at_node node);

/* Rebuilds `graph` by `rule` (NULL: nodes as they are); then depth first from the outputs, what is dead is gone. */
actune_status at_rewrite(at_graph *graph, at_rule *rule);
/* Every node but constants and inputs through `rule` until nothing changes any more. */
actune_status at_rewrite_until_stable(at_graph *graph, at_rule *rule);

/* pass_fold.c's rule, for passes that want what they build simplified. */
at_rule at_fold_node;
at_node_id at_fold_constant(at_rewriter *rewriter, double value);
at_node_id at_fold_1(at_rewriter *rewriter, at_op op, at_node_id a);
at_node_id at_fold_2(at_rewriter *rewriter, at_op op, at_node_id a, at_node_id b);
at_node_id at_fold_3(at_rewriter *rewriter, at_op op, at_node_id a, at_node_id b, at_node_id c);

/* For matching. A node of a failed rewriter (AT_NO_NODE) matches nothing. */
const at_node *at_rewriter_at(const at_rewriter *rewriter, at_node_id id);
bool at_is(const at_rewriter *rewriter, at_node_id id, at_op op);
bool at_is_constant(const at_rewriter *rewriter, at_node_id id, double *value);

#endif
