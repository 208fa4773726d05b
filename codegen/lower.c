#include "lower.h"

#include "../runtime/base/dtype.h"
#include "pass.h"
#include "quantize.h"
#include "row.h"
#include "spec_parse.h"
#include <stdlib.h>
#include <string.h>

/* Names. */

static bool is_gradient_of(const char *gradient, const char *name)
{
    return gradient[0] == 'd' && !strcmp(gradient + 1, name);
}

/* Whether two ports, or a port and the gradient of another, would have one name. */
static bool clash(const char *a, const char *b)
{
    return !strcmp(a, b) || is_gradient_of(a, b) || is_gradient_of(b, a);
}

static bool is_taken(const at_lowering *l, const char *name)
{
    if (clash(name, "x") || clash(name, "y") || clash(name, "stats"))
        return true;
    if (l->spec->halves && clash(name, "x_second"))
        return true;
    for (int i = 0; i < l->operands; i++)
        if (clash(name, l->operand[i].name))
            return true;
    return false;
}

/* "bias", "bias2", "bias3" ... */
const char *at_lower_free_name(const at_lowering *l, const char *kind, int number)
{
    const char *name = number > 1 ? at_arena_printf(&l->kernel->arena, "%s%d", kind, number) : at_arena_strdup(&l->kernel->arena, kind);
    while (name && is_taken(l, name))
        name = at_arena_printf(&l->kernel->arena, "%s%d", kind, ++number);
    return name;
}

static actune_status add_operand(at_lowering *l, const char *kind, at_access access)
{
    if (l->operands == AT_PORTS_MAX - 1)
        return at_fail(ACTUNE_UNSUPPORTED, "'%s' has more operands than a kernel takes (%d)", l->spec->canonical,
                       AT_PORTS_MAX - 1);
    const char *name = at_lower_free_name(l, kind, 1);
    if (!name)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
    l->operand[l->operands++] = (at_operand){.name = name, .access = access};
    return ACTUNE_OK;
}

/* A grad_norm is nothing forward; a mul may take a half of x. */
static int form_operands(const at_stage *stage, const at_stage_form *form, actune_direction direction)
{
    return !form || stage->takes_half || (form->kind == AT_STAGE_GRAD_NORM && direction == ACTUNE_FORWARD) ? 0 : form->operands;
}

static actune_status collect_operands(at_lowering *l)
{
    for (int s = 0; s < l->spec->stages; s++) {
        const at_stage *stage = &l->spec->stage[s];
        const at_stage_form *form = at_stage_form_of(stage->kind);
        for (int i = 0; i < form_operands(stage, form, l->request->direction); i++) {
            AT_TRY(add_operand(l, form->operand[i].name, stage->of_word ? form->word_access : form->operand[i].access));
            l->operand[l->operands - 1].is_norm = stage->kind == AT_STAGE_GRAD_NORM;
        }
        for (int i = 0; i < stage->arguments; i++)
            if (stage->argument[i].learn != AT_LEARN_NO)
                AT_TRY(
                    add_operand(l, stage->argument[i].name,
                                stage->argument[i].learn == AT_LEARN_CHANNEL ? AT_ACCESS_CHANNEL : AT_ACCESS_SCALAR));
    }
    return ACTUNE_OK;
}

/* Ports. */

actune_status at_lower_port(at_kernel *kernel, at_port port)
{
    at_signature *signature = &kernel->signature;
    int second_halves = signature->halves ? 2 : 0;
    if (signature->ports + second_halves == AT_PORTS_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "'%s' has more operands and gradients than a kernel takes (%d)",
                       kernel->spec, AT_PORTS_MAX - second_halves);
    signature->port[signature->ports++] = port;
    signature->inputs += !port.is_output;
    signature->slots += at_reduction_fields(port.reduction);
    signature->has_channel |= port.access == AT_ACCESS_CHANNEL || port.access == AT_ACCESS_PLANE;
    signature->has_plane |= port.access == AT_ACCESS_PLANE;
    signature->halves |= port.access == AT_ACCESS_HALVES;
    return ACTUNE_OK;
}

actune_status at_lower_input_port(at_kernel *kernel, const char *name, at_access access, actune_dtype dtype)
{
    return at_lower_port(kernel, (at_port){.name = name, .access = access, .dtype = dtype});
}

actune_status at_lower_output_port(at_kernel *kernel, const char *name, at_access access, actune_dtype dtype,
                                   at_reduction reduction)
{
    return at_lower_port(kernel,
                         (at_port){.name = name, .access = access, .dtype = dtype, .is_output = true, .reduction = reduction});
}

at_access at_lower_access_x(const at_lowering *l)
{
    return l->spec->halves ? AT_ACCESS_HALVES : AT_ACCESS_ELEMENT;
}

actune_dtype at_lower_operand_dtype(const at_lowering *l, const at_operand *operand)
{
    const at_signature *signature = &l->kernel->signature;
    if (operand->access == AT_ACCESS_RANDOM)
        return ACTUNE_F64; /* 64-bit words */
    if (operand->access != AT_ACCESS_ELEMENT)
        return signature->compute;
    return at_quantize_gradient_dtype(signature->dtype_in, signature->dtype_out, signature->compute);
}

/* Stages. */

/* cuDNN's NOT_PROPAGATE_NAN: in its two ReLUs NaN counts as 0. */
static at_node_id drop_nan(const at_stage_input *in)
{
    const char *name = in->stage->activation->name;
    bool is_relu = !in->stage->file && (!strcmp(name, "relu") || !strcmp(name, "relu6"));
    if (in->semantics != AT_SEMANTICS_CUDNN || !is_relu)
        return in->x;
    at_node_id zero = at_graph_constant(in->graph, 0);
    return at_graph_add(in->graph, AT_OP_SELECT, at_graph_2(in->graph, AT_OP_GT, in->x, zero), in->x, zero);
}

static actune_status build_activation(const at_stage_input *in, at_node_id *y)
{
    const at_stage *stage = in->stage;
    at_node_id inputs[1 + AT_ARGUMENTS_MAX];
    int operand = 0;
    inputs[0] = drop_nan(in);
    for (int i = 0; i < stage->arguments; i++)
        inputs[1 + i] = stage->argument[i].learn == AT_LEARN_NO ? at_graph_constant(in->graph, stage->argument[i].value)
                                                                : in->operand[operand++];
    return at_graph_inline(in->graph, &stage->activation->graph, inputs, 1 + stage->arguments, y);
}

int at_lower_operands_of(const at_lowering *l, const at_stage *stage)
{
    const at_stage_form *form = at_stage_form_of(stage->kind);
    int count = form_operands(stage, form, l->request->direction);
    for (int i = 0; i < stage->arguments; i++)
        count += stage->argument[i].learn != AT_LEARN_NO;
    return count;
}

/* Every stage works on the rounded value of the stage before (as a pipeline of separate kernels in the compute type
   would); the last one's value is rounded by the store. */
actune_status at_lower_flow(const at_lowering *l, const at_segment *stages, const at_node_id *operand, at_flow *flow)
{
    at_graph *graph = l->graph;
    const at_node_id *half = operand + l->operands;
    operand += stages->operand;
    for (int s = stages->stage; s < stages->stage_end; s++) {
        const at_stage *stage = &l->spec->stage[s];
        const at_stage_form *form = at_stage_form_of(stage->kind);
        bool has_value = stage->kind != AT_STAGE_GRAD_CLIP && stage->kind != AT_STAGE_GRAD_NORM && stage->kind != AT_STAGE_HALVES &&
                         stage->kind != AT_STAGE_STATS;
        if (stage->kind == AT_STAGE_STATS && l->request->direction == ACTUNE_FORWARD)
            graph->output[graph->outputs++] = flow->rounded ? flow->value : at_graph_1(graph, AT_OP_ROUND, flow->value);
        if (has_value && !flow->rounded) {
            flow->value = at_graph_1(graph, AT_OP_ROUND, flow->value);
            flow->rounded = true;
        }
        at_stage_input in = {.graph = graph,
                             .stage = stage,
                             .semantics = l->spec->semantics,
                             .direction = l->request->direction,
                             .is_last = s == l->spec->stages - 1,
                             .compute = l->kernel->signature.compute,
                             .x = flow->value,
                             .operand = stage->takes_half ? half : operand};
        if (form)
            flow->value = form->build(&in);
        else
            AT_TRY(build_activation(&in, &flow->value));
        if (has_value && flow->value != in.x)
            flow->rounded = false;
        operand += at_lower_operands_of(l, stage);
    }
    return at_graph_status(graph);
}

actune_status at_lower_simplify(at_graph *graph)
{
    AT_TRY(at_pass_fold(graph));
    AT_TRY(at_pass_stabilise(graph));
    AT_TRY(at_pass_fold(graph));
    return at_pass_cse(graph);
}

at_segment at_lower_all(const at_lowering *l)
{
    return (at_segment){.stage_end = l->spec->stages, .operands = l->operands};
}

at_node_id at_lower_operand(const at_lowering *l, int operand)
{
    return l->operand[operand].is_dropped ? at_graph_constant(l->graph, -0.0) : at_graph_input(l->graph, l->first_operand + operand);
}

actune_status at_lower_stages(at_lowering *l, const at_segment *stages)
{
    at_node_id operand[AT_PORTS_MAX];
    at_flow flow = {at_graph_input(l->graph, 0), true};
    for (int i = stages->operand; i < stages->operand + stages->operands; i++)
        operand[i] = at_lower_operand(l, i);
    operand[l->operands] = flow.value;
    if (l->spec->halves)
        *(l->spec->stage[0].of_word ? &flow.value : &operand[l->operands]) = at_graph_input(l->graph, l->first_operand + l->operands);
    l->graph->outputs = 1; /* what stages observe comes behind it */
    AT_TRY(at_lower_flow(l, stages, operand, &flow));
    l->graph->output[0] = flow.value;
    return at_lower_simplify(l->graph);
}

/* The clip that stands next to stage `s`: behind it, else before it; stages that leave the value alone are looked through. */
static const at_stage *clip_beside(const at_spec *spec, int s)
{
    for (int step = 1; step >= -1; step -= 2)
        for (int i = s + step; i >= 0 && i < spec->stages; i += step) {
            at_stage_kind kind = spec->stage[i].kind;
            if (kind == AT_STAGE_CLIP)
                return &spec->stage[i];
            if (kind != AT_STAGE_GRAD_CLIP && kind != AT_STAGE_GRAD_NORM)
                break;
        }
    return NULL;
}

static actune_status add_statistics_port(const at_lowering *l)
{
    for (int s = 0; s < l->spec->stages; s++) {
        if (l->spec->stage[s].kind != AT_STAGE_STATS)
            continue;
        at_port port = {.name = "stats",
                        .access = l->spec->stage[s].of_word ? AT_ACCESS_CHANNEL : AT_ACCESS_SCALAR,
                        .dtype = ACTUNE_F64,
                        .is_output = true,
                        .reduction = AT_REDUCTION_STATISTICS};
        const at_stage *clip = clip_beside(l->spec, s);
        bool narrow = l->kernel->signature.compute == ACTUNE_F32;
        if (clip) {
            port.clip_lo = narrow ? (float)clip->argument[0].value : clip->argument[0].value;
            port.clip_hi = narrow ? (float)clip->argument[1].value : clip->argument[1].value;
        }
        AT_TRY(at_lower_port(l->kernel, port));
    }
    return ACTUNE_OK;
}

actune_status at_lower_forward_ports(const at_lowering *l)
{
    at_kernel *kernel = l->kernel;
    AT_TRY(at_lower_input_port(kernel, "x", at_lower_access_x(l), kernel->signature.dtype_in));
    for (int i = 0; i < l->operands; i++)
        AT_TRY(at_lower_input_port(kernel, l->operand[i].name, l->operand[i].access,
                                   at_lower_operand_dtype(l, &l->operand[i])));
    AT_TRY(at_lower_output_port(kernel, "y", AT_ACCESS_ELEMENT, kernel->signature.dtype_out, AT_REDUCTION_NONE));
    return add_statistics_port(l);
}

static actune_status lower_forward(at_lowering *l)
{
    const at_segment all = at_lower_all(l);
    l->first_operand = 1;
    AT_TRY(at_lower_stages(l, &all));
    return at_lower_forward_ports(l);
}

/* The whole. */

static void identify_port(const at_port *port, at_strbuf *text)
{
    static const char *const access_names[] = {"element", "channel", "scalar", "random", "halves", "plane"};
    at_strbuf_printf(text, "port %s %s%s%s%s\n", access_names[port->access], at_dtype_get(port->dtype)->name,
                     port->is_output ? " output" : "", port->reduction ? " " : "", at_reduction_name(port->reduction));
    if (port->clip_lo < port->clip_hi)
        at_strbuf_printf(text, "clip %a %a\n", port->clip_lo, port->clip_hi);
}

static void mark_transcendental(at_kernel *kernel)
{
    for (int32_t i = 0; i < kernel->graph.count; i++)
        kernel->transcendental |= at_op_get(kernel->graph.nodes[i].op)->transcendental;
}

static void mark_row(at_kernel *kernel)
{
    at_node_id step = at_row_find(&kernel->graph);
    if (step == AT_NO_NODE)
        return;
    kernel->signature.row = (at_row){AT_ROW_TOPK, kernel->graph.nodes[step].value};
    kernel->signature.has_channel = true;
}

/* What decides the kernel's results, and nothing else: neither the spec's spelling nor the names of ports. */
actune_status at_lower_identify(at_kernel *kernel)
{
    const at_signature *signature = &kernel->signature;
    at_strbuf text = {0};
    bool from_output = signature->direction == ACTUNE_BACKWARD && !strcmp(signature->port[0].name, "y");
    at_strbuf_printf(&text, "actune kernel 1\n%s%s %s %s %s\n",
                     signature->direction == ACTUNE_FORWARD ? "forward" : "backward", from_output ? " from output" : "",
                     at_dtype_get(signature->dtype_in)->name, at_dtype_get(signature->dtype_out)->name,
                     at_accuracy_name(kernel->accuracy));
    for (int i = 0; i < signature->ports; i++)
        identify_port(&signature->port[i], &text);
    if (at_signature_is_moments(signature)) {
        at_strbuf_append(&text, "eps ");
        at_strbuf_double(&text, signature->eps);
        at_strbuf_char(&text, '\n');
    }
    for (int i = 0; i < kernel->passes; i++)
        at_strbuf_printf(&text, "pass %s\n", kernel->pass[i].kernel->hash.hex);
    if (!kernel->passes)
        at_graph_print(&kernel->graph, &text);
    mark_transcendental(kernel);
    mark_row(kernel);
    actune_status status = at_strbuf_status(&text);
    if (status == ACTUNE_OK)
        kernel->hash = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return status;
}

static actune_status check_request(const at_kernel_request *request)
{
    if (request->direction != ACTUNE_FORWARD && request->direction != ACTUNE_BACKWARD)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "direction %d is neither forward nor backward",
                       (int)request->direction);
    if (!at_dtype_get(request->dtype_in) || !at_dtype_get(request->dtype_out))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "unknown element type (%d in, %d out)", (int)request->dtype_in,
                       (int)request->dtype_out);
    if (request->gradient_count < 0 || (request->gradient_count && !request->gradients))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%d gradients without a list of names", request->gradient_count);
    if (request->gradient_count && request->direction == ACTUNE_FORWARD)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "gradients are asked for in a forward kernel");
    return ACTUNE_OK;
}

/* from=output says nothing about the forward kernel, which is that of the spec without it. */
static actune_status name(const at_lowering *l, int pass, at_kernel *kernel)
{
    at_spec plain = *l->spec;
    at_strbuf text = {0};
    plain.from_output &= l->request->direction == ACTUNE_BACKWARD;
    plain.pass = pass;
    at_spec_print(&plain, &text);
    kernel->spec = at_strbuf_status(&text) ? NULL : at_arena_strdup(&kernel->arena, at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return kernel->spec ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory while lowering a spec");
}

actune_status at_lower_begin(const at_lowering *l, int pass, at_kernel *kernel)
{
    kernel->accuracy = l->spec->accuracy;
    kernel->signature.direction = l->request->direction;
    kernel->signature.dtype_in = l->request->dtype_in;
    kernel->signature.dtype_out = l->request->dtype_out;
    kernel->signature.compute = at_dtype_get(l->request->dtype_in)->compute;
    return name(l, pass, kernel);
}

static actune_status lower(at_lowering *l)
{
    AT_TRY(check_request(l->request));
    AT_TRY(at_quantize_check_types(l->spec, l->request->dtype_in, l->request->dtype_out));
    AT_TRY(at_lower_begin(l, 0, l->kernel));
    AT_TRY(collect_operands(l));
    if (at_lower_has_barrier(l->spec))
        AT_TRY(at_lower_passes(l));
    else
        AT_TRY(l->request->direction == ACTUNE_FORWARD ? lower_forward(l) : at_lower_backward(l));
    return at_lower_identify(l->kernel);
}

/* Puts pass `number`, from 1, in the place of the whole. */
static actune_status take_pass(at_kernel *kernel, int number)
{
    int passes = kernel->passes > 0 ? kernel->passes : 1;
    if (number > passes)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' has %d %s %s, there is no pass %d", kernel->spec, passes, passes == 1 ? "pass" : "passes",
                       kernel->signature.direction == ACTUNE_BACKWARD ? "backward" : "forward", number);
    if (kernel->passes == 0)
        return ACTUNE_OK;
    at_kernel taken = *kernel->pass[number - 1].kernel;
    *kernel->pass[number - 1].kernel = (at_kernel){0};
    at_kernel_clear(kernel);
    *kernel = taken;
    return ACTUNE_OK;
}

actune_status at_kernel_lower(const at_spec *spec, const at_kernel_request *request, at_kernel *kernel)
{
    at_lowering lowering = {.spec = spec, .request = request, .kernel = kernel, .graph = &kernel->graph};
    *kernel = (at_kernel){0};
    actune_status status = lower(&lowering);
    if (status == ACTUNE_OK && spec->pass > 0)
        status = take_pass(kernel, spec->pass);
    if (status != ACTUNE_OK)
        at_kernel_clear(kernel);
    return status;
}

void at_kernel_clear(at_kernel *kernel)
{
    at_graph_clear(&kernel->graph);
    for (int i = 0; i < kernel->stretches; i++)
        at_graph_clear(&kernel->stretch[i].graph);
    for (int i = 0; i < kernel->passes; i++) {
        at_kernel_clear(kernel->pass[i].kernel);
        free(kernel->pass[i].kernel);
    }
    free(kernel->pass);
    at_arena_clear(&kernel->arena);
    *kernel = (at_kernel){0};
}
