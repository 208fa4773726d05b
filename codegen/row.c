#include "row.h"

#include "pass.h"
#include <stdlib.h>
#include <string.h>

const char at_row_kept_name[] = "row_kept", at_row_value_name[] = "row_value", at_row_key_name[] = "row_key";

bool at_row_is_kept(const at_port *port)
{
    return port->name == at_row_kept_name;
}

bool at_row_is_local(const at_port *port)
{
    return at_row_is_kept(port) || port->name == at_row_value_name || port->name == at_row_key_name;
}

at_node_id at_row_find(const at_graph *graph)
{
    for (at_node_id i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_TOPK)
            return i;
    return AT_NO_NODE;
}

/* The value behind the key: magnitudes are made again for free. */
static at_node_id value_of(const at_graph *graph, at_node_id key)
{
    return graph->nodes[key].op == AT_OP_ABS ? graph->nodes[key].arg[0] : key;
}

static bool is_expensive(const at_graph *graph, at_node_id id, bool *marked)
{
    bool found = false;
    memset(marked, 0, (size_t)graph->count);
    marked[id] = true;
    for (at_node_id i = id; i >= 0; i--) {
        const at_op_info *info = at_op_get(graph->nodes[i].op);
        found |= marked[i] && info->transcendental;
        for (int k = 0; marked[i] && k < info->arguments; k++)
            marked[graph->nodes[i].arg[k]] = true;
    }
    return found;
}

static actune_status add_port(at_signature *signature, at_port port)
{
    if (signature->ports == AT_PORTS_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "a pipeline with a row operation has room for %d ports", AT_PORTS_MAX - 2);
    signature->port[signature->ports++] = port;
    signature->inputs += !port.is_output;
    return ACTUNE_OK;
}

static at_port local(const at_kernel *kernel, const char *name, bool is_output)
{
    return (at_port){.name = name, .access = AT_ACCESS_ELEMENT, .dtype = kernel->signature.compute, .is_output = is_output};
}

/* The kernel without ports behind its inputs, and with a copy of its graph. */
static actune_status begin(const at_kernel *kernel, at_kernel *part)
{
    *part = *kernel;
    part->arena = (at_arena){0};
    part->signature.ports = part->signature.inputs;
    return at_graph_copy(&kernel->graph, &part->graph);
}

static actune_status make_prefix(const at_kernel *kernel, at_node_id key, at_node_id value, at_kernel *prefix)
{
    AT_TRY(begin(kernel, prefix));
    prefix->signature.slots = 0;
    prefix->graph.outputs = 0;
    prefix->graph.output[prefix->graph.outputs++] = key;
    AT_TRY(add_port(&prefix->signature, local(kernel, at_row_key_name, true)));
    if (value != AT_NO_NODE) {
        prefix->graph.output[prefix->graph.outputs++] = value;
        AT_TRY(add_port(&prefix->signature, local(kernel, at_row_value_name, true)));
    }
    return at_pass_cse(&prefix->graph);
}

static void replace(at_graph *graph, at_node_id id, int32_t input)
{
    graph->nodes[id] = (at_node){AT_OP_INPUT, {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, input, 0};
}

static actune_status make_suffix(const at_kernel *kernel, at_node_id step, at_node_id value, at_kernel *suffix)
{
    AT_TRY(begin(kernel, suffix));
    replace(&suffix->graph, step, suffix->signature.inputs);
    AT_TRY(add_port(&suffix->signature, local(kernel, at_row_kept_name, false)));
    if (value != AT_NO_NODE) {
        replace(&suffix->graph, value, suffix->signature.inputs);
        AT_TRY(add_port(&suffix->signature, local(kernel, at_row_value_name, false)));
    }
    for (int i = kernel->signature.inputs; i < kernel->signature.ports; i++)
        AT_TRY(add_port(&suffix->signature, kernel->signature.port[i]));
    return at_pass_cse(&suffix->graph);
}

actune_status at_row_split(const at_kernel *kernel, bool keep, at_kernel *prefix, at_kernel *suffix)
{
    const at_graph *graph = &kernel->graph;
    at_node_id step = at_row_find(graph), key = graph->nodes[step].arg[0], value = value_of(graph, key);
    bool *marked = calloc((size_t)graph->count + 1, sizeof *marked);
    *prefix = *suffix = (at_kernel){0};
    if (!marked)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
    keep = keep && is_expensive(graph, value, marked);
    free(marked);
    actune_status status = make_prefix(kernel, key, keep ? value : AT_NO_NODE, prefix);
    return status == ACTUNE_OK ? make_suffix(kernel, step, keep ? value : AT_NO_NODE, suffix) : status;
}

void at_row_clear(at_kernel *part)
{
    at_graph_clear(&part->graph);
}

/* Through what takes one of its arguments as it is: |x|, rounding to the compute type, a maximum with 0. */
static bool is_x(const at_graph *graph, at_node_id id)
{
    const at_node *node = &graph->nodes[id];
    while (node->op == AT_OP_ABS || node->op == AT_OP_ROUND || (node->op == AT_OP_MAX && graph->nodes[node->arg[1]].op == AT_OP_CONSTANT &&
                                                              graph->nodes[node->arg[1]].value == 0))
        node = &graph->nodes[node->arg[0]];
    return node->op == AT_OP_INPUT && node->index == 0;
}

int at_row_key_shift(const at_kernel *kernel)
{
    static const int shift[] = {[ACTUNE_F16] = 13, [ACTUNE_BF16] = 16};
    const at_signature *signature = &kernel->signature;
    actune_dtype x = signature->port[0].dtype;
    at_node_id step = at_row_find(&kernel->graph);
    bool narrow = (x == ACTUNE_F16 || x == ACTUNE_BF16) && signature->compute == ACTUNE_F32;
    return narrow && is_x(&kernel->graph, kernel->graph.nodes[step].arg[0]) ? shift[x] : 0;
}
