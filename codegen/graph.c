#include "graph.h"

#include <stdlib.h>
#include <string.h>

static const at_op_info ops[AT_OP_COUNT] = {
#define AT_OP(NAME, text, arguments, kind, transcendental) [AT_OP_##NAME] = {text, arguments, #kind[0], transcendental},
#include "ops.def"
#undef AT_OP
};

enum { NODES_MAX = INT32_MAX / 2 };

const at_op_info *at_op_get(at_op op)
{
    return &ops[op];
}

bool at_op_find(const char *name, at_op *op)
{
    for (int i = 0; i < AT_OP_COUNT; i++)
        if (!strcmp(ops[i].name, name)) {
            *op = (at_op)i;
            return true;
        }
    return false;
}

void at_graph_clear(at_graph *graph)
{
    free(graph->nodes);
    *graph = (at_graph){0};
}

actune_status at_graph_copy(const at_graph *from, at_graph *to)
{
    *to = (at_graph){0};
    AT_TRY(at_graph_status(from));
    at_node *nodes = malloc(((size_t)from->count + 1) * sizeof *nodes);
    if (!nodes) {
        to->failed = true;
        return at_graph_status(to);
    }
    if (from->count)
        memcpy(nodes, from->nodes, (size_t)from->count * sizeof *nodes);
    *to = *from;
    to->nodes = nodes;
    to->capacity = from->count + 1;
    return ACTUNE_OK;
}

actune_status at_graph_status(const at_graph *graph)
{
    return graph->failed ? at_fail(ACTUNE_NO_MEMORY, "out of memory while building an expression graph") : ACTUNE_OK;
}

static bool reserve(at_graph *graph)
{
    if (graph->count < graph->capacity)
        return true;
    int32_t capacity = graph->capacity ? graph->capacity * 2 : 32;
    at_node *nodes = graph->count < NODES_MAX ? realloc(graph->nodes, (size_t)capacity * sizeof *nodes) : NULL;
    if (!nodes) {
        graph->failed = true;
        return false;
    }
    graph->nodes = nodes;
    graph->capacity = capacity;
    return true;
}

static at_node_id append(at_graph *graph, at_node node)
{
    if (graph->failed || !reserve(graph))
        return AT_NO_NODE;
    graph->nodes[graph->count] = node;
    return graph->count++;
}

at_node_id at_graph_constant(at_graph *graph, double value)
{
    return append(graph, (at_node){AT_OP_CONSTANT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, 0, value});
}

at_node_id at_graph_input(at_graph *graph, int32_t index)
{
    return append(graph, (at_node){AT_OP_INPUT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, index, 0});
}

at_node_id at_graph_add(at_graph *graph, at_op op, at_node_id a, at_node_id b, at_node_id c)
{
    at_node node = {op, {a, b, c}, 0, 0};
    for (int i = 0; i < 3; i++)
        if (i >= ops[op].arguments)
            node.arg[i] = AT_NO_NODE;
        else if (node.arg[i] == AT_NO_NODE)
            return AT_NO_NODE; /* an earlier builder failed: `failed` is set already */
    return append(graph, node);
}

at_node_id at_graph_1(at_graph *graph, at_op op, at_node_id a)
{
    return at_graph_add(graph, op, a, AT_NO_NODE, AT_NO_NODE);
}

at_node_id at_graph_2(at_graph *graph, at_op op, at_node_id a, at_node_id b)
{
    return at_graph_add(graph, op, a, b, AT_NO_NODE);
}

actune_status at_graph_inline(at_graph *to, const at_graph *from, const at_node_id *inputs, int32_t input_count,
                              at_node_id *mapped)
{
    AT_TRY(at_graph_status(from));
    at_node_id *map = malloc(((size_t)from->count + 1) * sizeof *map);
    if (!map) {
        to->failed = true;
        return at_graph_status(to);
    }
    actune_status status = ACTUNE_OK;
    for (int32_t i = 0; i < from->count && status == ACTUNE_OK; i++) {
        at_node node = from->nodes[i];
        if (node.op == AT_OP_INPUT && (node.index < 0 || node.index >= input_count)) {
            status =
                at_fail(ACTUNE_INTERNAL, "graph has input %d, only %d are given", (int)node.index, (int)input_count);
        } else if (node.op == AT_OP_INPUT) {
            map[i] = inputs[node.index];
        } else {
            for (int k = 0; k < ops[node.op].arguments; k++)
                node.arg[k] = map[node.arg[k]];
            map[i] = append(to, node);
        }
    }
    for (int32_t k = 0; k < from->outputs && status == ACTUNE_OK; k++)
        mapped[k] = map[from->output[k]];
    free(map);
    return status == ACTUNE_OK ? at_graph_status(to) : status;
}
