/* He's (Kaiming's) and Xavier's initial weights: gains, fans, and what is refused. The formulas are those of torch.nn.init. */
#include "init.h"

#include "base/nearest.h"
#include "context.h"

#include <math.h>
#include <string.h>

enum { RANK_MAX = 16 };

/* torch.nn.init.calculate_gain; leaky_relu's depends on the slope. */
static const struct {
    const char *name;
    double gain;
} gains[] = {
    {"linear", 1},           {"identity", 1},         {"conv1d", 1},           {"conv2d", 1}, {"conv3d", 1},   {"conv_transpose1d", 1},
    {"conv_transpose2d", 1}, {"conv_transpose3d", 1}, {"sigmoid", 1},          {"tanh", 5.0 / 3}, {"relu", 0}, {"leaky_relu", 0},
    {"selu", 0.75},
};
enum { GAINS = sizeof gains / sizeof *gains };

static bool is_kaiming(actune_init_kind kind)
{
    return kind == ACTUNE_KAIMING_NORMAL || kind == ACTUNE_KAIMING_UNIFORM;
}

static bool is_normal(actune_init_kind kind)
{
    return kind == ACTUNE_KAIMING_NORMAL || kind == ACTUNE_XAVIER_NORMAL;
}

static actune_status refuse_nonlinearity(const char *name)
{
    at_nearest nearest;
    at_strbuf hint = {0};
    at_nearest_init(&nearest, name);
    for (int i = 0; i < GAINS; i++)
        at_nearest_consider(&nearest, gains[i].name);
    at_nearest_print(&nearest, &hint);
    actune_status status = at_fail(ACTUNE_INVALID_ARGUMENT,
                                   "nonlinearity '%s' has no known gain%s (known: linear, identity, conv1d to conv3d, conv_transpose1d to "
                                   "conv_transpose3d, sigmoid, tanh, relu, leaky_relu, selu); for others give the gain itself",
                                   name, at_strbuf_text(&hint));
    at_strbuf_clear(&hint);
    return status;
}

static actune_status gain_of(const actune_init_desc *desc, double *gain)
{
    const char *name = desc->nonlinearity;
    if (!isfinite(desc->slope))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "slope is not finite");
    if (!isfinite(desc->gain) || desc->gain < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "gain is %g; it is a positive number, or 0 for that of the nonlinearity", desc->gain);
    if (desc->gain > 0 && name != NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "gain and nonlinearity are both given; one tells the other");
    *gain = desc->gain > 0 ? desc->gain : 1;
    if (name == NULL && (desc->gain > 0 || !is_kaiming(desc->kind)))
        return ACTUNE_OK;
    if (name == NULL)
        name = "leaky_relu";
    for (int i = 0; i < GAINS; i++)
        if (strcmp(gains[i].name, name) == 0) {
            double slope = strcmp(name, "leaky_relu") == 0 ? desc->slope : 0;
            *gain = gains[i].gain > 0 ? gains[i].gain : sqrt(2 / (1 + slope * slope));
            return ACTUNE_OK;
        }
    return refuse_nonlinearity(name);
}

/* [out, in, ...]: what is behind the first two axes is the receptive field. */
static actune_status fans_of(const actune_init_desc *desc, double *in, double *out, int64_t *count)
{
    int64_t field = 1;
    *count = 1;
    if (desc->shape == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "shape is NULL");
    if (desc->rank < 2 || desc->rank > RANK_MAX)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "shape has %d axes; fan-in and fan-out need 2 to %d: [out, in, ...]", desc->rank, RANK_MAX);
    for (int i = 0; i < desc->rank; i++) {
        if (desc->shape[i] <= 0)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "shape: axis %d is %lld; weights need at least one element along every axis", i,
                           (long long)desc->shape[i]);
        if (__builtin_mul_overflow(*count, desc->shape[i], count) || *count > INT64_C(1) << 56)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "shape has more elements than 2^56");
        field *= i >= 2 ? desc->shape[i] : 1;
    }
    *in = (double)(desc->shape[1] * field);
    *out = (double)(desc->shape[0] * field);
    return ACTUNE_OK;
}

static actune_status scale_of(const actune_init_desc *desc, double *scale, int64_t *count)
{
    double gain = 1, in = 1, out = 1;
    if (desc == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init: the description is NULL");
    if ((unsigned)desc->kind > ACTUNE_XAVIER_UNIFORM)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "kind %d is no initialisation", (int)desc->kind);
    if (desc->mode != ACTUNE_FAN_IN && desc->mode != ACTUNE_FAN_OUT)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "mode %d is neither fan_in nor fan_out", (int)desc->mode);
    AT_TRY(gain_of(desc, &gain));
    AT_TRY(fans_of(desc, &in, &out, count));
    *scale = is_kaiming(desc->kind) ? gain / sqrt(desc->mode == ACTUNE_FAN_IN ? in : out) : gain * sqrt(2 / (in + out));
    if (!is_normal(desc->kind))
        *scale *= sqrt(3.0);
    return ACTUNE_OK;
}

actune_status actune_init_scale(const actune_init_desc *desc, double *scale)
{
    int64_t count;
    if (scale == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init_scale: the place for the scale is NULL");
    return scale_of(desc, scale, &count);
}

static actune_status check_weight(const actune_buffer *weight, int64_t count)
{
    const at_dtype_info *type = weight != NULL ? at_dtype_get(weight->dtype) : NULL;
    if (weight == NULL || weight->data == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init: weight is NULL");
    if (type == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init: weight's dtype %d is no element type", (int)weight->dtype);
    if (type->bytes == 1)
        return at_fail(ACTUNE_UNSUPPORTED, "actune_init: weight is %s; weights are drawn as f32, f64, f16 or bf16", type->name);
    if (weight->count < count)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init: weight has %lld elements, the shape has %lld", (long long)weight->count,
                       (long long)count);
    if ((uintptr_t)weight->data % (uintptr_t)type->bytes != 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init: weight is not aligned to its element type");
    return ACTUNE_OK;
}

actune_status actune_init(actune_context *context, const actune_init_desc *desc, const actune_buffer *weight, void *stream)
{
    int64_t count;
    at_init_draw draw;
    if (context == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init: the context is NULL");
    AT_TRY(scale_of(desc, &draw.scale, &count));
    AT_TRY(check_weight(weight, count));
    if (stream != NULL && context->cuda == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_init: the context is of a CPU, where stream is NULL");
    draw.seed = desc->seed;
    draw.offset = desc->offset;
    draw.normal = is_normal(desc->kind);
    return at_init_run(context, weight->dtype, &draw, weight->data, count, stream);
}
