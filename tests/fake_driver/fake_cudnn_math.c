/* What the fake cuDNN computes: plain formulas in double with libm, and how its kernels get onto streams. */
#include "fake_cudnn.h"

#include "runtime/base/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Modes 0 to 6 are legacy; these are of graphs, 100 more is backward. */
enum { GRAPH_RELU = 100, GRAPH_TANH, GRAPH_SIGMOID, GRAPH_ELU, GRAPH_GELU, GRAPH_SOFTPLUS, GRAPH_SWISH, GRAPH_GELU_TANH, GRAPH_BACKWARD = 200 };

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* A ceiling of 0: none. */
static double relu(const fake_call *c, double x, double ceiling)
{
    if (isnan(x))
        return c->propagate_nan ? x : 0;
    double floor = c->propagate_nan ? x < 0 ? 0 : x : x > 0 ? x : 0; /* of -0: itself, or 0 */
    return ceiling > 0 && floor > ceiling ? ceiling : floor;
}

static double swish(double x, double beta)
{
    double gate = sigmoid(beta * x);
    return gate == 0 ? 0 : x * gate;
}

static double gelu_tanh_gate(double x)
{
    return sigmoid(2 * 0.7978845608028654 * (x + 0.044715 * x * x * x));
}

static double forward(const fake_call *c, double x)
{
    switch (c->mode) {
    case AT_CUDNN_SIGMOID:
    case GRAPH_SIGMOID:
        return sigmoid(x);
    case AT_CUDNN_RELU:
        return relu(c, x, 0);
    case AT_CUDNN_CLIPPED_RELU:
    case GRAPH_RELU:
        return relu(c, x, c->coefficient);
    case AT_CUDNN_TANH:
    case GRAPH_TANH:
        return tanh(x);
    case AT_CUDNN_ELU:
    case GRAPH_ELU:
        return x > 0 ? x : c->coefficient * expm1(x);
    case AT_CUDNN_SWISH:
    case GRAPH_SWISH:
        return swish(x, c->coefficient);
    case GRAPH_GELU:
        return x == -INFINITY ? 0 : 0.5 * x * erfc(-x / sqrt(2));
    case GRAPH_SOFTPLUS:
        return (fmax(c->coefficient * x, 0) + log1p(exp(-fabs(c->coefficient * x)))) / c->coefficient + (isnan(x) ? x : 0);
    case GRAPH_GELU_TANH:
        return x == -INFINITY ? 0 : x * gelu_tanh_gate(x);
    default:
        return NAN;
    }
}

static double slope_of_swish(double x, double beta)
{
    double gate = sigmoid(beta * x);
    return isinf(x) ? gate : gate + beta * x * gate * (1 - gate);
}

static double slope_of_gelu_tanh(double x)
{
    double gate = gelu_tanh_gate(x);
    return isinf(x) ? gate : gate + x * gate * (1 - gate) * 2 * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

static double slope_of_gelu(double x)
{
    return isinf(x) ? x > 0 : 0.5 * erfc(-x / sqrt(2)) + x * exp(-0.5 * x * x) * 0.3989422804014327;
}

/* Sigmoid, tanh and elu read y, the others x. */
static double legacy_slope(const fake_call *c, double x, double y)
{
    switch (c->mode) {
    case AT_CUDNN_SIGMOID:
        return y * (1 - y);
    case AT_CUDNN_TANH:
        return (1 - y) * (1 + y);
    case AT_CUDNN_ELU:
        return y > 0 ? 1 : y + c->coefficient;
    case AT_CUDNN_SWISH:
        return slope_of_swish(x, c->coefficient);
    default:
        return x <= 0 || (c->mode == AT_CUDNN_CLIPPED_RELU && x >= c->coefficient) || (isnan(x) && !c->propagate_nan) ? 0 : 1;
    }
}

static double graph_slope(const fake_call *c, double x)
{
    double s = sigmoid(x), t = tanh(x);
    switch (c->mode - GRAPH_BACKWARD + GRAPH_RELU) {
    case GRAPH_RELU:
        return x <= 0 || (c->coefficient > 0 && x >= c->coefficient) || (isnan(x) && !c->propagate_nan) ? 0 : 1;
    case GRAPH_TANH:
        return (1 - t) * (1 + t);
    case GRAPH_SIGMOID:
        return s * (1 - s);
    case GRAPH_ELU:
        return x > 0 ? 1 : c->coefficient * exp(x);
    case GRAPH_GELU:
        return slope_of_gelu(x);
    case GRAPH_SOFTPLUS:
        return sigmoid(c->coefficient * x);
    case GRAPH_SWISH:
        return slope_of_swish(x, c->coefficient);
    case GRAPH_GELU_TANH:
        return slope_of_gelu_tanh(x);
    default:
        return NAN;
    }
}

/* Their gradient is chosen, not multiplied. */
static bool is_relu(int mode)
{
    return mode == AT_CUDNN_RELU || mode == AT_CUDNN_CLIPPED_RELU || mode == GRAPH_BACKWARD;
}

static actune_dtype dtype_of(int type)
{
    return type == 0 ? ACTUNE_F32 : type == 1 ? ACTUNE_F64 : type == 2 ? ACTUNE_F16 : ACTUNE_BF16;
}

static void run(const fake_call *c)
{
    actune_dtype dtype = dtype_of(c->dtype);
    for (int64_t i = 0; i < c->elements; i++) {
        double x = at_dtype_load(dtype, c->pointer[0], i);
        if (!c->backward) {
            at_dtype_store(dtype, c->pointer[1], i, forward(c, x));
            continue;
        }
        double y = c->pointer[1] ? at_dtype_load(dtype, c->pointer[1], i) : 0, dy = at_dtype_load(dtype, c->pointer[2], i);
        double slope = c->mode >= GRAPH_BACKWARD ? graph_slope(c, x) : legacy_slope(c, x, y);
        at_dtype_store(dtype, c->pointer[3], i, is_relu(c->mode) && slope == 0 ? 0 : slope * dy);
    }
}

/* --- onto a stream --- */

static bool loaded[512][16][64];

/* Code is loaded when it runs first, which a capture does not allow; another magnitude has another kernel. */
static int load(at_cudnn_handle handle, const fake_call *call)
{
    int mode = call->mode + (call->backward && call->mode < GRAPH_BACKWARD ? 300 : 0);
    bool *there = &loaded[mode][call->dtype][63 - __builtin_clzll((unsigned long long)call->elements)];
    at_cu_result (*is_capturing)(at_cu_stream, int *);
    int capturing = 0;
    *(void **)&is_capturing = dnn_driver("cuStreamIsCapturing");
    if (!*there && (is_capturing(handle->stream, &capturing) || capturing)) {
        dnn_mistake("cuDNN's kernel of mode %d runs for the first time while a stream is captured", call->mode);
        return DNN_EXECUTION_FAILED;
    }
    *there = true;
    return 0;
}

int dnn_put(at_cudnn_handle handle, const fake_call *call)
{
    const char *ns = getenv("ACTUNE_FAKE_CUDNN_NS");
    at_cu_result (*put)(at_cu_stream, const fake_call *);
    fake_call own = *call;
    int code = load(handle, call);
    if (code)
        return code;
    own.run = run;
    own.ns = ns ? atof(ns) : 1e6;
    *(void **)&put = dnn_driver("fake_put_call");
    return put(handle->stream, &own) ? DNN_EXECUTION_FAILED : 0;
}
