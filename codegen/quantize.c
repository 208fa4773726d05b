#include "quantize.h"

#include "../runtime/base/dtype.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* Each type's codes: the numbers that quantize may give. int8 is symmetric, so that -x has the code of x with the other sign. */
static const struct target {
    actune_dtype dtype;
    double least, most;
} targets[] = {{ACTUNE_I8, -127, 127}, {ACTUNE_U8, 0, 255}, {ACTUNE_F8E4M3, -448, 448}, {ACTUNE_F8E5M2, -57344, 57344}};

const char *const at_quantize_words[] = {"i8", "u8", "f8e4m3", "f8e5m2", NULL};

static const struct target *target_of(const at_argument *argument)
{
    return &targets[(int)argument[AT_QUANTIZE_TYPE].value];
}

static bool is_integer(const struct target *target)
{
    return at_dtype_get(target->dtype)->kind == AT_DTYPE_INTEGER;
}

/* Constants only: what an operand holds is seen when the kernel runs. */
static const char *check_scale(const at_argument *scale)
{
    if (scale->learn != AT_LEARN_NO)
        return NULL;
    if (!(scale->value > 0))
        return "the scale must be greater than 0";
    return scale->value < (double)FLT_MIN || scale->value > (double)FLT_MAX ? "the scale is no normal f32 number" : NULL;
}

static const char *check_zero_point(const at_argument *zero, double least, double most)
{
    if (zero->learn != AT_LEARN_NO)
        return NULL;
    if (zero->value != floor(zero->value))
        return "the zero point must be a whole number";
    return zero->value < least || zero->value > most ? "the zero point is none of the type's numbers" : NULL;
}

const char *at_quantize_check(const at_argument *argument, int *bad)
{
    const struct target *to = target_of(argument);
    const at_argument *zero = &argument[AT_QUANTIZE_ZERO_POINT];
    *bad = AT_QUANTIZE_SCALE;
    const char *wrong = check_scale(&argument[AT_QUANTIZE_SCALE]);
    if (wrong)
        return wrong;
    *bad = AT_QUANTIZE_ZERO_POINT;
    if (to->dtype != ACTUNE_U8)
        return zero->learn != AT_LEARN_NO || zero->value != 0 ? "only u8 has a zero point; the other types are symmetric" : NULL;
    return check_zero_point(zero, to->least, to->most);
}

const char *at_dequantize_check(const at_argument *argument, int *bad)
{
    *bad = 0;
    const char *wrong = check_scale(&argument[0]);
    if (wrong)
        return wrong;
    *bad = 1;
    return check_zero_point(&argument[1], -128, 255);
}

/* The argument as a node: a constant, or the next operand. A constant has the compute type's bits, as an operand would: codes are decided by them, in the
   interpreter too. */
static at_node_id argument_node(const at_stage_input *in, int index, int *operand)
{
    const at_argument *argument = &in->stage->argument[index];
    if (argument->learn != AT_LEARN_NO)
        return in->operand[(*operand)++];
    return at_graph_constant(in->graph, in->compute == ACTUNE_F64 ? argument->value : (double)(float)argument->value);
}

static bool has_zero_point(const at_argument *zero)
{
    return zero->learn != AT_LEARN_NO || zero->value != 0;
}

/* Selects, so that the gradient passes at the ends, as in torch's fake_quantize, and NaN stays for the store. */
static at_node_id saturate(at_graph *graph, at_node_id x, const struct target *to)
{
    at_node_id least = at_graph_constant(graph, to->least), most = at_graph_constant(graph, to->most);
    x = at_graph_add(graph, AT_OP_SELECT, at_graph_2(graph, AT_OP_GT, x, most), most, x);
    return at_graph_add(graph, AT_OP_SELECT, at_graph_2(graph, AT_OP_LT, x, least), least, x);
}

/* x / scale as an f32 number, rounded, shifted by the zero point, saturated. The rounding of a float is the store's. NaN counts as 0: a
   store sees to that too, but behind a zero point or before a dequantize somebody else must. Its gradient passes, as that of clip does. */
at_node_id at_quantize_build(const at_stage_input *in)
{
    const at_argument *argument = in->stage->argument;
    const struct target *to = target_of(argument);
    int operand = 0;
    at_node_id scale = argument_node(in, AT_QUANTIZE_SCALE, &operand);
    at_node_id x = at_graph_2(in->graph, AT_OP_DIV, in->x, scale);
    if (!is_integer(to))
        return saturate(in->graph, x, to);
    x = at_graph_1(in->graph, AT_OP_ROUND, x);
    if (in->direction == ACTUNE_FORWARD && (!in->is_last || has_zero_point(&argument[AT_QUANTIZE_ZERO_POINT])))
        x = at_graph_add(in->graph, AT_OP_SELECT, at_graph_2(in->graph, AT_OP_NE, x, x), at_graph_constant(in->graph, 0), x);
    x = at_graph_1(in->graph, AT_OP_RINT, x);
    if (has_zero_point(&argument[AT_QUANTIZE_ZERO_POINT]))
        x = at_graph_2(in->graph, AT_OP_ADD, x, argument_node(in, AT_QUANTIZE_ZERO_POINT, &operand));
    return saturate(in->graph, x, to);
}

at_node_id at_dequantize_build(const at_stage_input *in)
{
    int operand = 0;
    at_node_id scale = argument_node(in, 0, &operand), x = in->x;
    if (has_zero_point(&in->stage->argument[1]))
        x = at_graph_2(in->graph, AT_OP_SUB, x, argument_node(in, 1, &operand));
    return at_graph_2(in->graph, AT_OP_MUL, x, scale);
}

actune_status at_quantize_check_places(const at_scan *scan, const at_spec *spec)
{
    for (int i = 0; i < spec->stages; i++) {
        const at_stage *stage = &spec->stage[i], *before = i > 0 ? stage - 1 : NULL;
        bool follows = before && before->kind == AT_STAGE_QUANTIZE;
        if (stage->kind == AT_STAGE_DEQUANTIZE && before && !follows)
            return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX, "dequantize is the first stage, or follows quantize: it takes codes");
        if (follows && stage->kind != AT_STAGE_DEQUANTIZE)
            return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX, "quantize is the last stage, or dequantize follows it");
        if (follows && !is_integer(target_of(before->argument)))
            return at_scan_fail(scan, stage->at, ACTUNE_SYNTAX, "quantize(%s) is the last stage: its rounding is that of the store",
                                at_quantize_words[(int)before->argument[AT_QUANTIZE_TYPE].value]);
    }
    return ACTUNE_OK;
}

bool at_quantize_output(const at_spec *spec, actune_dtype *dtype)
{
    const at_stage *last = &spec->stage[spec->stages - 1];
    if (last->kind != AT_STAGE_QUANTIZE)
        return false;
    *dtype = target_of(last->argument)->dtype;
    return true;
}

actune_status at_quantize_check_types(const at_spec *spec, actune_dtype in, actune_dtype out)
{
    actune_dtype fixed = out;
    const at_stage *first = &spec->stage[0];
    if (at_quantize_output(spec, &fixed) && fixed != out)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "column %d: quantize(%s) gives %s, the output was said to be %s", spec->stage[spec->stages - 1].column,
                       at_dtype_get(fixed)->name, at_dtype_get(fixed)->name, at_dtype_get(out)->name);
    if (first->kind == AT_STAGE_DEQUANTIZE && at_dtype_get(in)->bytes != 1)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "column %d: dequantize takes 8-bit tensors (i8, u8, f8e4m3, f8e5m2), the input was said to be %s",
                       first->column, at_dtype_get(in)->name);
    return ACTUNE_OK;
}

actune_dtype at_quantize_gradient_dtype(actune_dtype own, actune_dtype other, actune_dtype compute)
{
    if (at_dtype_get(own)->bytes != 1)
        return own;
    return at_dtype_get(other)->bytes != 1 && at_dtype_get(other)->bytes <= at_dtype_get(compute)->bytes ? other : compute;
}
