/* Backward: the gradient of the whole pipeline, with what it needs of the forward values computed again from x (from y:
   lower_output.c). */
#include "lower.h"

#include "pass.h"
#include "quantize.h"
#include <string.h>

enum { INPUT_X, INPUT_DY, FIRST_OPERAND };

static actune_status fail_gradient(const at_lowering *l, const char *name)
{
    at_strbuf names = {0};
    for (int i = 0; i < l->operands; i++)
        at_strbuf_printf(&names, "%s%s", i ? ", " : "", l->operand[i].name);
    if (!strcmp(name, "x"))
        at_fail(ACTUNE_INVALID_ARGUMENT, "the gradient of x is always computed, it is not asked for by name");
    else
        at_fail(ACTUNE_INVALID_ARGUMENT, "no operand '%s' in '%s' to compute the gradient of; it has %s", name,
                l->spec->canonical, l->operands ? at_strbuf_text(&names) : "no operands");
    at_strbuf_clear(&names);
    return ACTUNE_INVALID_ARGUMENT;
}

actune_status at_lower_wanted(at_lowering *l, bool wanted[AT_PORTS_MAX])
{
    for (int g = 0; g < l->request->gradient_count; g++) {
        const char *name = l->request->gradients[g];
        int i = 0;
        if (!name)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the name of gradient %d is NULL", g);
        while (i < l->operands && strcmp(l->operand[i].name, name))
            i++;
        if (i < l->operands && l->operand[i].access == AT_ACCESS_RANDOM)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' is a seed and an offset; they have no gradient", name);
        if (i == l->operands)
            return fail_gradient(l, name);
        if (wanted[i])
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the gradient of '%s' is asked for twice", name);
        wanted[i] = true;
    }
    if (l->request->gradient_count + l->spec->halves >= AT_OUTPUTS_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "a kernel computes at most %d gradients", AT_OUTPUTS_MAX - l->spec->halves);
    l->first_operand = FIRST_OPERAND;
    for (int i = 0; i < l->operands; i++)
        l->operand[i].is_dropped = l->operand[i].is_norm && !wanted[i];
    return ACTUNE_OK;
}

/* The operands of grad_norm are 0 everywhere; -0, which is nothing to add even to -0. */
static void drop_norms(const at_lowering *l)
{
    at_graph *graph = l->graph;
    for (at_node_id i = 0; i < graph->count; i++) {
        at_node *node = &graph->nodes[i];
        int operand = node->op == AT_OP_INPUT ? node->index - FIRST_OPERAND : -1;
        if (operand >= 0 && operand < l->operands && l->operand[operand].is_norm)
            *node = (at_node){.op = AT_OP_CONSTANT, .arg = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE}, .value = -0.0};
    }
}

actune_status at_lower_gradient(at_lowering *l, const at_segment *stages, const bool *wanted)
{
    at_graph *graph = l->graph;
    int32_t input[AT_OUTPUTS_MAX] = {INPUT_X}, count = 1;
    at_node_id gradient[AT_OUTPUTS_MAX];
    AT_TRY(at_lower_stages(l, stages));
    for (int i = stages->operand; i < stages->operand + stages->operands; i++)
        if (wanted[i])
            input[count++] = FIRST_OPERAND + i;
    if (l->spec->halves)
        input[count++] = FIRST_OPERAND + l->operands;
    at_node_id dy = at_graph_input(graph, INPUT_DY);
    AT_TRY(at_pass_differentiate(graph, graph->output[0], dy, input, count, gradient));
    memcpy(graph->output, gradient, (size_t)count * sizeof *gradient);
    graph->outputs = count;
    for (int k = 1; k < count - l->spec->halves; k++)
        if (l->operand[input[k] - FIRST_OPERAND].is_norm)
            graph->output[k] = at_graph_2(graph, AT_OP_MUL, graph->output[k], graph->output[k]);
    drop_norms(l);
    AT_TRY(at_graph_status(graph));
    return at_lower_simplify(graph);
}

/* Operands that no gradient depends on are no ports: nobody has to have kept them. x (or y) and dy always are, so that
   they are ports 0 and 1 of every backward kernel. */
static void drop_inputs(const at_lowering *l, bool used[AT_PORTS_MAX])
{
    at_graph *graph = &l->kernel->graph;
    int32_t number[FIRST_OPERAND + AT_PORTS_MAX] = {INPUT_X, INPUT_DY}, next = FIRST_OPERAND;
    for (int32_t i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_INPUT && graph->nodes[i].index >= FIRST_OPERAND)
            used[graph->nodes[i].index - FIRST_OPERAND] = true;
    for (int i = 0; i < l->operands; i++)
        if (used[i])
            number[FIRST_OPERAND + i] = next++;
    number[FIRST_OPERAND + l->operands] = next; /* the second half of x, behind all ports */
    for (int32_t i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_INPUT)
            graph->nodes[i].index = number[graph->nodes[i].index];
}

actune_status at_lower_backward_ports(const at_lowering *l, const bool *used, const bool *wanted)
{
    at_kernel *kernel = l->kernel;
    const at_signature *signature = &kernel->signature;
    bool from_output = l->spec->from_output;
    AT_TRY(at_lower_input_port(kernel, from_output ? "y" : "x", at_lower_access_x(l),
                               from_output ? signature->dtype_out : signature->dtype_in));
    AT_TRY(at_lower_input_port(kernel, "dy", AT_ACCESS_ELEMENT, at_quantize_gradient_dtype(signature->dtype_out, signature->dtype_in, signature->compute)));
    for (int i = 0; i < l->operands; i++)
        if (used[i])
            AT_TRY(at_lower_input_port(kernel, l->operand[i].name, l->operand[i].access,
                                       at_lower_operand_dtype(l, &l->operand[i])));
    AT_TRY(at_lower_output_port(kernel, "dx", at_lower_access_x(l), at_quantize_gradient_dtype(signature->dtype_in, signature->dtype_out, signature->compute),
                                AT_REDUCTION_NONE));
    for (int i = 0; i < l->operands; i++) {
        const at_operand *operand = &l->operand[i];
        if (!wanted[i])
            continue;
        const char *name = at_arena_printf(&kernel->arena, "d%s", operand->name);
        if (!name)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
        AT_TRY(at_lower_output_port(kernel, name, operand->access, at_lower_operand_dtype(l, operand),
                                    operand->access != AT_ACCESS_ELEMENT ? AT_REDUCTION_SUM : AT_REDUCTION_NONE));
    }
    return ACTUNE_OK;
}

actune_status at_lower_backward(at_lowering *l)
{
    bool wanted[AT_PORTS_MAX] = {0}, used[AT_PORTS_MAX] = {0};
    const at_segment all = at_lower_all(l);
    AT_TRY(at_lower_wanted(l, wanted));
    if (l->spec->from_output)
        AT_TRY(at_lower_from_output(l, wanted));
    else
        AT_TRY(at_lower_gradient(l, &all, wanted));
    drop_inputs(l, used);
    return at_lower_backward_ports(l, used, wanted);
}
