#include "code_table.h"

#include "../runtime/base/dtype.h"
#include <stdlib.h>

bool at_kernel_maps_codes(const at_kernel *kernel)
{
    const at_signature *s = &kernel->signature;
    return s->ports == 2 && s->inputs == 1 && at_dtype_get(s->port[0].dtype)->bytes == 1 && at_dtype_get(s->port[1].dtype)->bytes == 1 &&
           s->port[0].access == AT_ACCESS_ELEMENT && s->port[1].access == AT_ACCESS_ELEMENT && !s->port[1].reduction;
}

static void evaluate(const at_graph *graph, double x, long double *value)
{
    for (int32_t i = 0; i < graph->count; i++) {
        const at_node *node = &graph->nodes[i];
        long double argument[3] = {0, 0, 0};
        for (int k = 0; k < at_op_get(node->op)->arguments; k++)
            argument[k] = value[node->arg[k]];
        if (node->op == AT_OP_CONSTANT)
            value[i] = (float)node->value;
        else if (node->op == AT_OP_INPUT)
            value[i] = x;
        else if (node->op == AT_OP_ROUND)
            value[i] = (float)argument[0];
        else
            value[i] = at_op_eval(node->op, argument[0], argument[1], argument[2]);
    }
}

actune_status at_code_table(const at_kernel *kernel, unsigned char table[256])
{
    const at_graph *graph = &kernel->graph;
    if (!at_kernel_maps_codes(kernel))
        return at_fail(ACTUNE_UNSUPPORTED, "math=table: '%s' is no function from the codes of one 8-bit tensor to those of another", kernel->spec);
    long double *value = calloc((size_t)graph->count + 1, sizeof *value);
    if (!value)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while making a table");
    for (int code = 0; code < 256; code++) {
        unsigned char x = (unsigned char)code;
        evaluate(graph, at_dtype_load(kernel->signature.port[0].dtype, &x, 0), value);
        at_dtype_store(kernel->signature.port[1].dtype, table, code, (double)value[graph->output[0]]);
    }
    free(value);
    return ACTUNE_OK;
}
