/* [from=output]: whether the gradient of a pipeline is a function of its output. It is where one activation that says
   how (templates/activations, "gradient of") decides it alone: what stands before is linear in x, what stands behind
   leaves every value as it is. */
#include "spec_parse.h"

#include "pass.h"
#include "range.h"
#include <math.h>
#include <stdlib.h>

static const char *name_of(const at_stage *stage)
{
    const at_stage_form *form = at_stage_form_of(stage->kind);
    return stage->file ? stage->function : form ? form->name : stage->activation->name;
}

static void bind_constants(at_graph *graph, const at_stage *stage, at_node_id *inputs)
{
    for (int i = 0; i < stage->arguments; i++)
        inputs[i] = at_graph_constant(graph, stage->argument[i].value);
}

/* With these parameters the gradient is no NaN. */
static actune_status has_gradient(const at_stage *stage, bool *has)
{
    at_graph graph = {0};
    at_node_id inputs[2 + AT_ARGUMENTS_MAX] = {at_graph_input(&graph, 0), at_graph_input(&graph, 1)};
    bind_constants(&graph, stage, inputs + 2);
    actune_status status =
        at_graph_inline(&graph, &stage->activation->gradient, inputs, 2 + stage->arguments, graph.output);
    graph.outputs = 1;
    if (status == ACTUNE_OK)
        status = at_pass_fold(&graph);
    const at_node *node = status == ACTUNE_OK ? &graph.nodes[graph.output[0]] : NULL;
    *has = node && !(node->op == AT_OP_CONSTANT && isnan(node->value));
    at_graph_clear(&graph);
    return status;
}

/* The values that the activation can have. */
static actune_status find_range(const at_stage *stage, at_range *range)
{
    at_graph graph = {0};
    at_node_id inputs[1 + AT_ARGUMENTS_MAX] = {at_graph_input(&graph, 0)};
    bind_constants(&graph, stage, inputs + 1);
    at_node_id y = AT_NO_NODE;
    actune_status status = at_graph_inline(&graph, &stage->activation->graph, inputs, 1 + stage->arguments, &y);
    at_range *ranges = calloc((size_t)graph.count + 1, sizeof *ranges);
    if (status == ACTUNE_OK && !ranges)
        status = at_fail(ACTUNE_NO_MEMORY, "out of memory while parsing a spec");
    for (at_node_id i = 0; status == ACTUNE_OK && i < graph.count; i++)
        ranges[i] = at_range_of(&graph, ranges, i);
    if (status == ACTUNE_OK)
        *range = ranges[y];
    free(ranges);
    at_graph_clear(&graph);
    return status;
}

static actune_status fail_activation(const at_scan *scan, const at_stage *stage, const char *why)
{
    return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX, "from=output: %s %s", name_of(stage), why);
}

static actune_status check_activation(const at_scan *scan, const at_stage *stage)
{
    bool has;
    if (stage->file)
        return fail_activation(scan, stage,
                               "is a function of yours; only built-in activations say how their gradient follows "
                               "from the output");
    if (!stage->activation->gradient.outputs)
        return fail_activation(scan, stage, "has no gradient that is a function of its output");
    for (int i = 0; i < stage->arguments; i++)
        if (stage->argument[i].learn != AT_LEARN_NO)
            return fail_activation(scan, stage,
                                   "has a learned parameter: its gradient needs x, and its sign decides the rest");
    AT_TRY(has_gradient(stage, &has));
    return has ? ACTUNE_OK
               : fail_activation(scan, stage,
                                 "with this parameter has one output for several inputs, with other gradients");
}

static actune_status fail_norm(const at_scan *scan, const at_stage *stage)
{
    return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX, "from=output and grad_norm do not go together: leave from=output out");
}

/* Before the activation: what goes through to x times a factor that needs no x. */
static actune_status check_before(const at_scan *scan, const at_stage *stage)
{
    if (stage->kind == AT_STAGE_GRAD_NORM)
        return fail_norm(scan, stage);
    if (stage->kind == AT_STAGE_DROPOUT || stage->kind == AT_STAGE_RRELU_TRAINING || stage->kind == AT_STAGE_TOPK)
        return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX, "from=output does not go with %s", at_stage_form_of(stage->kind)->name);
    if (stage->kind != AT_STAGE_ACTIVATION && stage->kind != AT_STAGE_CLIP)
        return ACTUNE_OK;
    return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX,
                        "from=output: the gradient of %s in front of the activation needs its own input, which the "
                        "output does not tell",
                        name_of(stage));
}

/* Behind it: a clip passes the gradient at its bounds (as torch.clamp), and y equal to a bound does not tell whether
   the value was there or beyond. So only one that no value reaches beyond. */
static actune_status check_behind(const at_scan *scan, const at_spec *spec, const at_stage *stage, at_range range)
{
    if (stage->kind == AT_STAGE_GRAD_CLIP || stage->kind == AT_STAGE_STATS)
        return ACTUNE_OK;
    if (stage->kind == AT_STAGE_GRAD_NORM)
        return fail_norm(scan, stage);
    if (stage->kind != AT_STAGE_CLIP)
        return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX,
                            "from=output: behind %s the output no longer tells what the activation gave",
                            name_of(stage));
    if (spec->semantics != AT_SEMANTICS_CUDNN && stage->argument[0].value <= range.lo &&
        stage->argument[1].value >= range.hi)
        return ACTUNE_OK;
    return at_scan_fail(
        scan, stage->at, ACTUNE_SYNTAX,
        "from=output: where the output is a bound of clip it does not tell whether the value was the bound "
        "(gradient passes) or beyond it (0)");
}

actune_status at_spec_check_output(const at_scan *scan, const at_spec *spec)
{
    int main = spec->stages - 1;
    at_range range;
    if (!spec->from_output)
        return ACTUNE_OK;
    for (int i = 0; i < spec->stages; i++)
        if (spec->stage[i].kind == AT_STAGE_STANDARDIZE)
            return at_scan_fail(scan, spec->stage[i].at, ACTUNE_SYNTAX,
                                "from=output does not go with standardize: its gradient needs the statistics of its input, which the output "
                                "does not tell");
    while (main >= 0 && spec->stage[main].kind != AT_STAGE_ACTIVATION)
        main--;
    if (main < 0)
        return at_scan_fail(scan, spec->stage[0].at, ACTUNE_SYNTAX,
                            "from=output needs an activation whose gradient is a function of its output, such as relu");
    AT_TRY(check_activation(scan, &spec->stage[main]));
    for (int i = 0; i < main; i++)
        AT_TRY(check_before(scan, &spec->stage[i]));
    AT_TRY(find_range(&spec->stage[main], &range));
    for (int i = main + 1; i < spec->stages; i++)
        AT_TRY(check_behind(scan, spec, &spec->stage[i], range));
    return ACTUNE_OK;
}
