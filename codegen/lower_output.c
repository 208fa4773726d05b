/* Backward of [from=output]: the gradient of the activation comes from y (its definition says how), the rest of the
   pipeline is differentiated as ever. spec_output.c has refused what this cannot serve. */
#include "lower.h"

#include "../runtime/base/dtype.h"
#include "pass.h"
#include "stages.h"
#include <stdlib.h>

/* Inputs: y in x's place, dy, the operands, then two that no gradient may depend on in the end. */
enum { INPUT_Y, INPUT_DY, FIRST_OPERAND };

static int find_activation(const at_spec *spec)
{
    int s = spec->stages - 1;
    while (spec->stage[s].kind != AT_STAGE_ACTIVATION)
        s--;
    return s;
}

/* dy as it arrives at the activation: behind it are grad_clips, and clips that clip nothing. */
static actune_status pass_behind(const at_lowering *l, int activation, at_node_id *gradient)
{
    at_graph *graph = &l->kernel->graph;
    int32_t stand_in = FIRST_OPERAND + l->operands + 1;
    at_node_id value = at_graph_input(graph, stand_in), from = value;
    for (int s = activation + 1; s < l->spec->stages; s++) {
        at_stage_input in = {.graph = graph, .stage = &l->spec->stage[s], .direction = ACTUNE_BACKWARD, .x = value};
        if (in.stage->kind == AT_STAGE_GRAD_CLIP)
            value = at_stage_form_of(in.stage->kind)->build(&in);
    }
    *gradient = at_graph_input(graph, INPUT_DY);
    return value == from ? at_graph_status(graph)
                         : at_pass_differentiate(graph, value, *gradient, &stand_in, 1, gradient);
}

static actune_status pass_activation(const at_lowering *l, const at_stage *stage, at_node_id *gradient)
{
    at_graph *graph = &l->kernel->graph;
    at_node_id inputs[2 + AT_ARGUMENTS_MAX] = {at_graph_input(graph, INPUT_Y), *gradient};
    for (int i = 0; i < stage->arguments; i++)
        inputs[2 + i] = at_graph_constant(graph, stage->argument[i].value);
    return at_graph_inline(graph, &stage->activation->gradient, inputs, 2 + stage->arguments, gradient);
}

/* Marks the nodes that input `index` goes into. */
static void mark_dependent(const at_graph *graph, int32_t index, bool *dependent)
{
    for (at_node_id i = 0; i < graph->count; i++) {
        const at_node *node = &graph->nodes[i];
        dependent[i] = node->op == AT_OP_INPUT && node->index == index;
        for (int k = 0; k < at_op_get(node->op)->arguments; k++)
            dependent[i] |= dependent[node->arg[k]];
    }
}

static actune_status check_gradients(const at_lowering *l, const bool *wanted)
{
    const at_graph *graph = &l->kernel->graph;
    bool *dependent = calloc((size_t)graph->count + 1, sizeof *dependent);
    int output = 1;
    if (!dependent)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
    mark_dependent(graph, FIRST_OPERAND + l->operands, dependent);
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < l->operands && status == ACTUNE_OK; i++)
        if (wanted[i] && dependent[graph->output[output++]])
            status =
                at_fail(ACTUNE_INVALID_ARGUMENT,
                        "the gradient of '%s' needs x, and '%s' reads the output only: leave out from=output for it",
                        l->operand[i].name, l->spec->canonical);
    free(dependent);
    return status;
}

/* Whether the slope jumps at a y other than 0. */
static bool has_kink_off_zero(const at_graph *gradient)
{
    for (at_node_id i = 0; i < gradient->count; i++) {
        const at_node *node = &gradient->nodes[i];
        for (int k = 0; node->op >= AT_OP_LT && node->op <= AT_OP_NE && k < 2; k++) {
            const at_node *y = &gradient->nodes[node->arg[k]], *bound = &gradient->nodes[node->arg[1 - k]];
            if (y->op == AT_OP_INPUT && y->index == INPUT_Y && bound->op == AT_OP_CONSTANT && bound->value != 0)
                return true;
        }
    }
    return false;
}

/* Nothing before the activation changes x: it works on what was loaded. */
static bool works_on_x(const at_spec *spec, int activation)
{
    for (int s = 0; s < activation; s++)
        if (spec->stage[s].kind != AT_STAGE_GRAD_CLIP && spec->stage[s].kind != AT_STAGE_STATS)
            return false;
    return true;
}

/* A store into a narrower type moves values onto the kink, 0.999 onto hardtanh's 1: they would lose their gradient. At
   0 only what is smaller than any number of the type does so. */
static actune_status check_rounding(const at_lowering *l, bool loaded)
{
    const actune_dtype in = l->request->dtype_in, out = l->request->dtype_out;
    const actune_dtype before = loaded ? in : at_dtype_get(in)->compute;
    bool holds = out == before || at_dtype_get(out)->bytes > at_dtype_get(before)->bytes;
    if (holds || !has_kink_off_zero(&l->kernel->graph))
        return ACTUNE_OK;
    return at_fail(
        ACTUNE_UNSUPPORTED,
        "'%s': outputs are rounded to %s, and at the ends of the activation they do not tell whether a value was "
        "inside: keep %s outputs, or leave out from=output",
        l->spec->canonical, at_dtype_get(out)->name, at_dtype_get(before)->name);
}

actune_status at_lower_from_output(at_lowering *l, const bool *wanted)
{
    at_graph *graph = &l->kernel->graph;
    const int activation = find_activation(l->spec);
    const int32_t x_index = FIRST_OPERAND + l->operands;
    int32_t input[AT_OUTPUTS_MAX] = {x_index}, count = 1;
    at_node_id operand[AT_PORTS_MAX], x = at_graph_input(graph, x_index), gradient, result[AT_OUTPUTS_MAX];
    at_flow flow = {x, true};
    for (int i = 0; i < l->operands; i++) {
        operand[i] = at_graph_input(graph, FIRST_OPERAND + i);
        if (wanted[i])
            input[count++] = FIRST_OPERAND + i;
    }
    AT_TRY(at_lower_flow(l, &(at_segment){.stage_end = activation}, operand, &flow));
    AT_TRY(pass_behind(l, activation, &gradient));
    AT_TRY(pass_activation(l, &l->spec->stage[activation], &gradient));
    if (flow.value == x)
        result[0] = gradient;
    else
        AT_TRY(at_pass_differentiate(graph, flow.value, gradient, input, count, result));
    for (int i = 0; i < count; i++)
        graph->output[i] = result[i];
    graph->outputs = count;
    AT_TRY(at_graph_status(graph));
    AT_TRY(at_lower_simplify(graph));
    AT_TRY(check_gradients(l, wanted));
    return check_rounding(l, works_on_x(l->spec, activation));
}
