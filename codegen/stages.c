#include "stages.h"

#include "quantize.h"

#include <math.h>
#include <string.h>

static const char *check_clip(const at_argument *argument, int *bad)
{
    *bad = 0;
    return argument[0].value > argument[1].value ? "clip's lo is greater than its hi" : NULL;
}

static const char *check_grad_clip(const at_argument *argument, int *bad)
{
    *bad = 0;
    return argument[0].value < 0 ? "grad_clip's limit is negative" : NULL;
}

/* Which half x is has been decided before (lower.c). */
static at_node_id build_halves(const at_stage_input *in)
{
    return in->x;
}

/* bias and add: x + operand. */
static at_node_id build_add(const at_stage_input *in)
{
    return at_graph_2(in->graph, AT_OP_ADD, in->x, in->operand[0]);
}

static at_node_id build_mul(const at_stage_input *in)
{
    return at_graph_2(in->graph, AT_OP_MUL, in->x, in->operand[0]);
}

static at_node_id build_scale_shift(const at_stage_input *in)
{
    return at_graph_add(in->graph, AT_OP_FMA, in->x, in->operand[0], in->operand[1]);
}

/* Written as selects of x, so that x equal to a bound keeps x (and its -0), its gradient passes there, and NaN stays
   NaN. cuDNN's NOT_PROPAGATE_NAN: NaN becomes the lower bound. */
static at_node_id build_clip(const at_stage_input *in)
{
    double lo = in->stage->argument[0].value, hi = in->stage->argument[1].value;
    at_node_id y = in->x;
    if (hi < INFINITY) {
        at_node_id bound = at_graph_constant(in->graph, hi);
        y = at_graph_add(in->graph, AT_OP_SELECT, at_graph_2(in->graph, AT_OP_GT, in->x, bound), bound, y);
    }
    if (in->semantics == AT_SEMANTICS_CUDNN) {
        at_node_id bound = at_graph_constant(in->graph, lo);
        return at_graph_add(in->graph, AT_OP_SELECT, at_graph_2(in->graph, AT_OP_GE, in->x, bound), y, bound);
    }
    if (lo > -INFINITY) {
        at_node_id bound = at_graph_constant(in->graph, lo);
        y = at_graph_add(in->graph, AT_OP_SELECT, at_graph_2(in->graph, AT_OP_LT, in->x, bound), bound, y);
    }
    return y;
}

/* Forward it is the identity and leaves no trace, so that `relu | grad_clip(1)` and `relu` are one kernel. */
static at_node_id build_grad_clip(const at_stage_input *in)
{
    if (in->direction == ACTUNE_FORWARD)
        return in->x;
    return at_graph_2(in->graph, AT_OP_GRAD_CLIP, in->x, at_graph_constant(in->graph, in->stage->argument[0].value));
}

/* Backward, x plus an operand that is 0: its gradient is the one that flows back here, and lower_backward.c has its squares added up.
   Forward it leaves no trace. */
static at_node_id build_grad_norm(const at_stage_input *in)
{
    return in->direction == ACTUNE_FORWARD ? in->x : build_add(in);
}

/* It leaves the value as it is; the lowering makes the output that tells of it. */
static at_node_id build_stats(const at_stage_input *in)
{
    return in->x;
}

static const char *check_dropout(const at_argument *argument, int *bad)
{
    *bad = 0;
    return argument[0].value >= 0 && argument[0].value < 1 ? NULL : "dropout's p is a share of the elements, from 0 to below 1";
}

/* x / (1 - p) where the element's random number, a multiple of 2^-24, is p or more; else 0, whatever x is. The threshold is a multiple of
   2^-24 too, so that f32 and f64 keep the same elements. */
static at_node_id build_dropout(const at_stage_input *in)
{
    double p = in->stage->argument[0].value;
    if (p == 0)
        return in->x;
    at_node_id threshold = at_graph_constant(in->graph, ceil(p * 0x1p24) * 0x1p-24);
    at_node_id keeps = at_graph_2(in->graph, AT_OP_GE, in->operand[0], threshold);
    at_node_id scaled = at_graph_2(in->graph, AT_OP_MUL, in->x, at_graph_constant(in->graph, 1 / (1 - p)));
    return at_graph_add(in->graph, AT_OP_SELECT, keeps, scaled, at_graph_constant(in->graph, 0));
}

static const char *check_rrelu(const at_argument *argument, int *bad)
{
    *bad = 0;
    return argument[0].value > argument[1].value ? "rrelu_training's lower is greater than its upper" : NULL;
}

/* A slope for each element, from lower up to upper. */
static at_node_id build_rrelu(const at_stage_input *in)
{
    double lower = in->stage->argument[0].value, upper = in->stage->argument[1].value;
    at_node_id range = at_graph_constant(in->graph, upper - lower), least = at_graph_constant(in->graph, lower);
    at_node_id slope = at_graph_add(in->graph, AT_OP_FMA, in->operand[0], range, least);
    at_node_id positive = at_graph_2(in->graph, AT_OP_GT, in->x, at_graph_constant(in->graph, 0));
    return at_graph_add(in->graph, AT_OP_SELECT, positive, in->x, at_graph_2(in->graph, AT_OP_MUL, slope, in->x));
}

static const char *check_standardize(const at_argument *argument, int *bad)
{
    *bad = 0;
    return argument[0].value < 0 ? "standardize's eps is negative" : NULL;
}

static const char *const topk_orders[] = {"value", "magnitude", NULL};

static const char *check_topk(const at_argument *argument, int *bad)
{
    double k = argument[0].value;
    *bad = 0;
    if (k > 0 && (k < 1 || (k == floor(k) && k <= INT32_MAX)))
        return NULL;
    return k > 1 && k <= INT32_MAX ? "topk's k is a whole number of elements; below 1 it is a share of the row"
                                   : "topk's k is how many elements of a row stay, from 1 up, or a share of the row between 0 and 1";
}

/* x where it is kept, else 0. Going back, the mask is that of the forward selection, made again. */
static at_node_id build_topk(const at_stage_input *in)
{
    at_node_id key = in->stage->argument[1].value ? at_graph_1(in->graph, AT_OP_ABS, in->x) : in->x;
    at_node_id kept = at_graph_1(in->graph, AT_OP_TOPK, key);
    if (kept != AT_NO_NODE)
        in->graph->nodes[kept].value = in->stage->argument[0].value;
    return at_graph_add(in->graph, AT_OP_SELECT, kept, in->x, at_graph_constant(in->graph, 0));
}

static const at_stage_form forms[] = {
    {.name = "halves", .kind = AT_STAGE_HALVES, .word = "second", .build = build_halves},
    {.name = "bias",
     .kind = AT_STAGE_BIAS,
     .operand = {{"bias", AT_ACCESS_CHANNEL}},
     .operands = 1,
     .build = build_add},
    {.name = "add",
     .kind = AT_STAGE_ADD,
     .operand = {{"add", AT_ACCESS_ELEMENT}},
     .operands = 1,
     .word = "channel",
     .word_access = AT_ACCESS_PLANE,
     .build = build_add},
    {.name = "mul",
     .kind = AT_STAGE_MUL,
     .operand = {{"mul", AT_ACCESS_ELEMENT}},
     .operands = 1,
     .word = "channel",
     .word_access = AT_ACCESS_PLANE,
     .build = build_mul},
    {.name = "scale_shift",
     .kind = AT_STAGE_SCALE_SHIFT,
     .operand = {{"scale", AT_ACCESS_CHANNEL}, {"shift", AT_ACCESS_CHANNEL}},
     .operands = 2,
     .build = build_scale_shift},
    {.name = "clip",
     .kind = AT_STAGE_CLIP,
     .parameter = {{.name = "lo", .infinite = true}, {.name = "hi", .infinite = true}},
     .parameters = 2,
     .check = check_clip,
     .build = build_clip},
    {.name = "grad_clip",
     .kind = AT_STAGE_GRAD_CLIP,
     .parameter = {{.name = "v"}},
     .parameters = 1,
     .check = check_grad_clip,
     .build = build_grad_clip},
    {.name = "grad_norm",
     .kind = AT_STAGE_GRAD_NORM,
     .operand = {{"grad_norm", AT_ACCESS_SCALAR}},
     .operands = 1,
     .build = build_grad_norm},
    {.name = "dropout",
     .kind = AT_STAGE_DROPOUT,
     .parameter = {{.name = "p"}},
     .parameters = 1,
     .operand = {{"dropout", AT_ACCESS_RANDOM}},
     .operands = 1,
     .check = check_dropout,
     .build = build_dropout},
    {.name = "rrelu_training",
     .kind = AT_STAGE_RRELU_TRAINING,
     .parameter = {{.name = "lower"}, {.name = "upper"}},
     .parameters = 2,
     .operand = {{"rrelu", AT_ACCESS_RANDOM}},
     .operands = 1,
     .check = check_rrelu,
     .build = build_rrelu},
    {.name = "standardize",
     .kind = AT_STAGE_STANDARDIZE,
     .parameter = {{.name = "eps", .optional = true, .standard = 1e-5}},
     .parameters = 1,
     .flag = "channel",
     .check = check_standardize},
    {.name = "topk",
     .kind = AT_STAGE_TOPK,
     .parameter = {{.name = "k"}, {.name = "by", .optional = true, .words = topk_orders}},
     .parameters = 2,
     .is_row = true,
     .check = check_topk,
     .build = build_topk},
    {.name = "stats", .kind = AT_STAGE_STATS, .word = "channel", .build = build_stats},
    {.name = "quantize",
     .kind = AT_STAGE_QUANTIZE,
     .parameter = {{.name = "type", .words = at_quantize_words},
                   {.name = "scale", .operand = true},
                   {.name = "zero_point", .operand = true, .optional = true}},
     .parameters = 3,
     .check = at_quantize_check,
     .build = at_quantize_build},
    {.name = "dequantize",
     .kind = AT_STAGE_DEQUANTIZE,
     .parameter = {{.name = "scale", .operand = true}, {.name = "zero_point", .operand = true, .optional = true}},
     .parameters = 2,
     .check = at_dequantize_check,
     .build = at_dequantize_build},
};
enum { FORMS = sizeof forms / sizeof *forms };

/* Named by the design, not in this version: a network's rows that use them are skipped, not wrong. */
static const char *const planned[] = {
    "cast", "softmax", "log_softmax",
};

int at_stage_form_count(void)
{
    return FORMS;
}

const at_stage_form *at_stage_form_get(int index)
{
    return &forms[index];
}

const at_stage_form *at_stage_form_find(const char *name)
{
    for (int i = 0; i < FORMS; i++)
        if (!strcmp(forms[i].name, name))
            return &forms[i];
    return NULL;
}

const at_stage_form *at_stage_form_of(at_stage_kind kind)
{
    for (int i = 0; i < FORMS; i++)
        if (forms[i].kind == kind)
            return &forms[i];
    return NULL;
}

bool at_stage_is_planned(const char *name)
{
    for (size_t i = 0; i < sizeof planned / sizeof *planned; i++)
        if (!strcmp(planned[i], name))
            return true;
    return false;
}
