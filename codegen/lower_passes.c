/* Pipelines with barriers: stages that need to know something of all elements before they can compute one (standardize). They become several
   passes over the tensor. First the whole is built as one joint graph, in which a number that all elements together make (a mean) is an
   INPUT and what it is made of an output; then the graph falls apart: a pass for every such output, in order, and one for the rest. */
#include "lower.h"

#include "../runtime/base/dtype.h"
#include "stages.h"
#include <stdlib.h>
#include <string.h>

enum { BARRIERS_MAX = AT_PASSES_MAX / 2, INPUT_X = 0, INPUT_DY = 1, FIRST_BACKWARD = 2, PLANES_MAX = AT_PASS_VALUES_MAX * AT_MOMENTS_COUNT };

/* A number that passes hand on, or several of one kind (moments). */
typedef struct handed {
    int plane;  /* its first plane */
    int output; /* of the joint graph: what it is made of */
    int pass;   /* that makes it */
} handed;

typedef struct splitting {
    at_lowering *l;
    bool backward;
    at_graph joint;
    at_segment segment[BARRIERS_MAX + 1]; /* between barriers */
    int barriers;
    at_node_id before[BARRIERS_MAX], after[BARRIERS_MAX]; /* a barrier's input, and its output, rounded */
    at_node_id moment[BARRIERS_MAX][AT_MOMENTS_COUNT];
    handed value[AT_PASS_VALUES_MAX];
    struct {
        const char *name;
        int value, plane; /* of that value */
    } plane[PLANES_MAX];
    int planes, passes;
    bool wanted[AT_PORTS_MAX];
    at_node_id gradient[AT_PORTS_MAX]; /* of the wanted operands */
} splitting;

static bool is_barrier(const at_stage *stage)
{
    const at_stage_form *form = at_stage_form_of(stage->kind);
    return form && !form->build;
}

bool at_lower_has_barrier(const at_spec *spec)
{
    for (int s = 0; s < spec->stages; s++)
        if (is_barrier(&spec->stage[s]))
            return true;
    return false;
}

static const at_stage *barrier_stage(const splitting *s, int barrier)
{
    return &s->l->spec->stage[s->segment[barrier].stage_end];
}

static at_access barrier_access(const splitting *s, int barrier)
{
    return barrier_stage(s, barrier)->flag ? AT_ACCESS_CHANNEL : AT_ACCESS_SCALAR;
}

/* Cuts the stages at the barriers. */
static actune_status cut(splitting *s)
{
    const at_spec *spec = s->l->spec;
    at_segment *now = &s->segment[0];
    for (int i = 0; i < spec->stages; i++) {
        if (!is_barrier(&spec->stage[i])) {
            now->operands += at_lower_operands_of(s->l, &spec->stage[i]);
            continue;
        }
        if (s->barriers == BARRIERS_MAX)
            return at_fail(ACTUNE_UNSUPPORTED, "'%s' has more than %d stages that need statistics", spec->canonical, BARRIERS_MAX);
        now->stage_end = i;
        s->barriers++;
        int operand = now->operand + now->operands;
        *++now = (at_segment){.stage = i + 1, .operand = operand};
    }
    now->stage_end = spec->stages;
    return ACTUNE_OK;
}

/* --- the joint graph --- */

static int first_plane_input(const splitting *s)
{
    return s->l->first_operand + s->l->operands;
}

/* A new value made of `source`, by pass `pass`: its planes become inputs of the joint graph. */
static actune_status hand_on(splitting *s, at_node_id source, at_access access, int planes, const char *const *name, int number, int pass,
                             at_node_id *input)
{
    at_kernel *kernel = s->l->kernel;
    if (kernel->values == AT_PASS_VALUES_MAX || s->joint.outputs == AT_OUTPUTS_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "'%s' hands on more numbers between its passes than a kernel takes", kernel->spec);
    s->value[kernel->values] = (handed){.plane = s->planes, .output = s->joint.outputs, .pass = pass};
    for (int i = 0; i < planes; i++) {
        const char *free_name = at_lower_free_name(s->l, name[i], number);
        if (!free_name)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
        s->plane[s->planes].name = free_name;
        s->plane[s->planes].value = kernel->values;
        s->plane[s->planes].plane = i;
        input[i] = at_graph_input(&s->joint, first_plane_input(s) + s->planes++);
    }
    s->joint.output[s->joint.outputs++] = source;
    kernel->value[kernel->values++] = (at_pass_value){.access = access, .planes = planes};
    return at_graph_status(&s->joint);
}

/* ((u - mean) - what the mean's rounding left out) * rstd. */
static at_node_id standardized(splitting *s, int barrier)
{
    at_graph *graph = &s->joint;
    const at_node_id *moment = s->moment[barrier];
    at_node_id centred = at_graph_2(graph, AT_OP_SUB, s->before[barrier], moment[AT_MOMENTS_MEAN]);
    centred = at_graph_2(graph, AT_OP_SUB, centred, moment[AT_MOMENTS_MEAN_LOW]);
    return at_graph_2(graph, AT_OP_MUL, centred, moment[AT_MOMENTS_RSTD]);
}

static actune_status pass_barrier(splitting *s, int barrier, at_flow *flow)
{
    static const char *const names[] = {"mean", "mean_low", "rstd", "weight"};
    s->before[barrier] = flow->rounded ? flow->value : at_graph_1(&s->joint, AT_OP_ROUND, flow->value);
    AT_TRY(hand_on(s, s->before[barrier], barrier_access(s, barrier), AT_MOMENTS_COUNT, names, barrier + 1, s->passes++, s->moment[barrier]));
    flow->value = standardized(s, barrier);
    flow->rounded = false;
    s->after[barrier] = at_graph_1(&s->joint, AT_OP_ROUND, flow->value);
    return at_graph_status(&s->joint);
}

/* Forward through the stages and barriers up to the last barrier, or to the end. */
static actune_status flow_forward(splitting *s, at_flow *flow)
{
    at_lowering *l = s->l;
    at_node_id operand[AT_PORTS_MAX];
    l->graph = &s->joint;
    for (int i = 0; i < l->operands; i++)
        operand[i] = l->operand[i].is_norm ? at_graph_constant(&s->joint, -0.0) : at_lower_operand(l, i);
    *flow = (at_flow){at_graph_input(&s->joint, INPUT_X), true};
    for (int b = 0; b < s->barriers; b++) {
        AT_TRY(at_lower_flow(l, &s->segment[b], operand, flow));
        AT_TRY(pass_barrier(s, b, flow));
    }
    return s->backward ? ACTUNE_OK : at_lower_flow(l, &s->segment[s->barriers], operand, flow);
}

/* Back through the stages of one segment: *flowing, the gradient of what comes out of them, becomes that of what goes in. */
static actune_status flow_back(splitting *s, int segment, at_node_id *flowing)
{
    at_lowering *l = s->l;
    const at_segment *stages = &s->segment[segment];
    at_graph graph = {0};
    at_node_id input[FIRST_BACKWARD + AT_PORTS_MAX], made[AT_OUTPUTS_MAX];
    l->graph = &graph;
    actune_status status = at_lower_gradient(l, stages, s->wanted);
    l->graph = &s->joint;
    input[INPUT_X] = segment > 0 ? s->after[segment - 1] : at_graph_input(&s->joint, INPUT_X);
    input[INPUT_DY] = *flowing;
    for (int i = 0; i < l->operands; i++)
        input[FIRST_BACKWARD + i] = at_graph_input(&s->joint, l->first_operand + i);
    if (status == ACTUNE_OK)
        status = at_graph_inline(&s->joint, &graph, input, FIRST_BACKWARD + l->operands, made);
    at_graph_clear(&graph);
    AT_TRY(status);
    *flowing = made[0];
    for (int i = stages->operand, k = 1; i < stages->operand + stages->operands; i++)
        if (s->wanted[i])
            s->gradient[i] = made[k++];
    return ACTUNE_OK;
}

/* Back through a barrier with output z: dx = (dz - mean(dz) - z mean(dz z)) / sigma; the two means are sums that a pass of their own makes. */
static actune_status pass_barrier_back(splitting *s, int barrier, at_node_id *flowing)
{
    static const char *const names[][1] = {{"gradient_sum"}, {"gradient_z_sum"}};
    at_graph *graph = &s->joint;
    const at_node_id *moment = s->moment[barrier];
    at_node_id z = s->after[barrier], dz = *flowing, sum, sum_z;
    at_access access = barrier_access(s, barrier);
    int pass = s->passes++;
    AT_TRY(hand_on(s, dz, access, 1, names[0], barrier + 1, pass, &sum));
    AT_TRY(hand_on(s, at_graph_2(graph, AT_OP_MUL, dz, z), access, 1, names[1], barrier + 1, pass, &sum_z));
    at_node_id mean = at_graph_2(graph, AT_OP_MUL, sum, moment[AT_MOMENTS_WEIGHT]);
    at_node_id mean_z = at_graph_2(graph, AT_OP_MUL, sum_z, moment[AT_MOMENTS_WEIGHT]);
    at_node_id centred = at_graph_2(graph, AT_OP_SUB, dz, mean);
    centred = at_graph_2(graph, AT_OP_SUB, centred, at_graph_2(graph, AT_OP_MUL, z, mean_z));
    *flowing = at_graph_2(graph, AT_OP_MUL, centred, moment[AT_MOMENTS_RSTD]);
    return at_graph_status(graph);
}

/* Outputs: y; or dx and the wanted gradients; behind them what values are made of. */
static actune_status join(splitting *s)
{
    at_graph *graph = &s->joint;
    at_flow flow;
    graph->outputs = 1;
    for (int i = 0; i < s->l->operands; i++)
        graph->outputs += s->wanted[i];
    AT_TRY(flow_forward(s, &flow));
    graph->output[0] = flow.value;
    if (s->backward) {
        at_node_id flowing = at_graph_input(graph, INPUT_DY);
        for (int b = s->barriers; b > 0; b--) {
            AT_TRY(flow_back(s, b, &flowing));
            AT_TRY(pass_barrier_back(s, b - 1, &flowing));
        }
        AT_TRY(flow_back(s, 0, &flowing));
        graph->output[0] = flowing;
        for (int i = 0, k = 1; i < s->l->operands; i++)
            if (s->wanted[i])
                graph->output[k++] = s->gradient[i];
    }
    AT_TRY(at_graph_status(graph));
    return at_lower_simplify(graph);
}

/* --- taken apart --- */

/* What input `index` of the joint graph is: a port of a pass, and where it lies. */
static at_port input_of(const splitting *s, int index, at_wire *wire)
{
    const at_lowering *l = s->l;
    const at_signature *whole = &l->kernel->signature;
    const int plane = index - first_plane_input(s);
    *wire = (at_wire){.port = index}; /* x, dy */
    if (plane >= 0) {
        *wire = (at_wire){.port = -1, .value = s->plane[plane].value, .plane = s->plane[plane].plane};
        return (at_port){.name = s->plane[plane].name, .access = l->kernel->value[wire->value].access, .dtype = whole->compute};
    }
    for (int i = l->first_operand; index >= l->first_operand && i < whole->inputs; i++)
        if (strcmp(whole->port[i].name, l->operand[index - l->first_operand].name) == 0)
            wire->port = i;
    return whole->port[wire->port];
}

static void mark_inputs(const at_graph *graph, bool *used)
{
    for (at_node_id i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_INPUT)
            used[graph->nodes[i].index] = true;
}

static actune_status add_port(at_pass *pass, at_port port, at_wire wire)
{
    port.name = at_arena_strdup(&pass->kernel->arena, port.name);
    if (!port.name)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
    AT_TRY(at_lower_port(pass->kernel, port));
    pass->wire[pass->kernel->signature.ports - 1] = wire;
    return ACTUNE_OK;
}

/* The pass reads x, dy where it is one of those that know it, and what else its graph uses. */
static actune_status add_inputs(const splitting *s, at_pass *pass)
{
    enum { INPUTS_MAX = FIRST_BACKWARD + AT_PORTS_MAX + PLANES_MAX };
    at_graph *graph = &pass->kernel->graph;
    bool used[INPUTS_MAX] = {[INPUT_X] = true};
    int32_t number[INPUTS_MAX] = {0}, next = 0;
    used[INPUT_DY] = pass->kernel->signature.direction == ACTUNE_BACKWARD;
    mark_inputs(graph, used);
    for (int i = 0; i < first_plane_input(s) + s->planes; i++) {
        at_wire wire;
        if (!used[i])
            continue;
        at_port port = input_of(s, i, &wire);
        AT_TRY(add_port(pass, port, wire));
        number[i] = next++;
    }
    for (at_node_id i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_INPUT)
            graph->nodes[i].index = number[graph->nodes[i].index];
    return ACTUNE_OK;
}

/* The values that pass `number` makes. */
static actune_status add_values(const splitting *s, int number, at_pass *pass)
{
    const at_kernel *whole = s->l->kernel;
    for (int v = 0; v < whole->values; v++) {
        bool moments = whole->value[v].planes > 1;
        if (s->value[v].pass != number)
            continue;
        at_port port = {.name = moments ? "moments" : s->plane[s->value[v].plane].name,
                        .access = whole->value[v].access,
                        .dtype = whole->signature.compute,
                        .is_output = true,
                        .reduction = moments ? AT_REDUCTION_MOMENTS : AT_REDUCTION_SUM};
        if (moments)
            pass->kernel->signature.eps = barrier_stage(s, v)->argument[0].value;
        AT_TRY(add_port(pass, port, (at_wire){.port = -1, .value = v}));
    }
    return ACTUNE_OK;
}

/* Outputs of the whole. */
static actune_status add_outputs(const at_kernel *whole, at_pass *pass)
{
    for (int i = whole->signature.inputs; i < whole->signature.ports; i++)
        AT_TRY(add_port(pass, whole->signature.port[i], (at_wire){.port = i}));
    return ACTUNE_OK;
}

/* Leaves of the joint graph what pass `number` computes. */
static actune_status take_outputs(const splitting *s, int number, at_graph *graph)
{
    int outputs = 0;
    if (number == s->passes)
        graph->outputs = s->l->kernel->signature.ports - s->l->kernel->signature.inputs;
    else {
        for (int v = 0; v < s->l->kernel->values; v++)
            if (s->value[v].pass == number)
                graph->output[outputs++] = s->joint.output[s->value[v].output];
        graph->outputs = outputs;
    }
    return at_lower_simplify(graph);
}

static actune_status split(splitting *s, int number)
{
    at_kernel *whole = s->l->kernel;
    at_pass *pass = &whole->pass[number];
    pass->kernel = calloc(1, sizeof *pass->kernel);
    if (!pass->kernel)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
    whole->passes = number + 1;
    AT_TRY(at_lower_begin(s->l, number + 1, pass->kernel));
    if (number < s->barriers) { /* moments: the same forward and backward, and whatever y is */
        pass->kernel->signature.direction = ACTUNE_FORWARD;
        pass->kernel->signature.dtype_out = whole->signature.dtype_in;
    }
    AT_TRY(at_graph_copy(&s->joint, &pass->kernel->graph));
    AT_TRY(take_outputs(s, number, &pass->kernel->graph));
    AT_TRY(add_inputs(s, pass));
    AT_TRY(number == s->passes ? add_outputs(whole, pass) : add_values(s, number, pass));
    whole->signature.has_channel |= pass->kernel->signature.has_channel;
    return at_lower_identify(pass->kernel);
}

static actune_status add_whole_ports(const splitting *s)
{
    bool used[FIRST_BACKWARD + AT_PORTS_MAX + PLANES_MAX] = {false};
    if (!s->backward)
        return at_lower_forward_ports(s->l);
    mark_inputs(&s->joint, used);
    return at_lower_backward_ports(s->l, used + s->l->first_operand, s->wanted);
}

static actune_status lower(splitting *s)
{
    AT_TRY(cut(s));
    s->l->first_operand = 1;
    if (s->backward)
        AT_TRY(at_lower_wanted(s->l, s->wanted));
    AT_TRY(join(s));
    AT_TRY(add_whole_ports(s));
    s->l->kernel->pass = calloc((size_t)s->passes + 1, sizeof *s->l->kernel->pass);
    if (!s->l->kernel->pass)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
    for (int i = 0; i <= s->passes; i++)
        AT_TRY(split(s, i));
    return ACTUNE_OK;
}

actune_status at_lower_passes(at_lowering *lowering)
{
    splitting s = {.l = lowering, .backward = lowering->request->direction == ACTUNE_BACKWARD};
    actune_status status = lower(&s);
    at_graph_clear(&s.joint);
    lowering->graph = &lowering->kernel->graph;
    return status;
}
