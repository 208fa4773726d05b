/* What the fake cuDNN computes: plain formulas in double with libm, and how its kernels get onto streams. */
#include "fake_cudnn.h"

#include "runtime/base/dtype.h"
#include "runtime/base/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Legacy modes are those of runtime/backend/cudnn.h; these are of graphs, 100 more is backward. */
enum { GRAPH_ADD, GRAPH_MULTIPLY, GRAPH_RELU = 100, GRAPH_TANH, GRAPH_SIGMOID, GRAPH_ELU, GRAPH_GELU, GRAPH_SOFTPLUS, GRAPH_SWISH, GRAPH_GELU_TANH,
       GRAPH_BACKWARD = 100 };

/* One step, whichever interface it came by. */
typedef struct step {
    int mode; /* of a graph, forward */
    double coefficient;
    bool propagate_nan;
} step;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* A ceiling of 0: none. */
static double relu(const step *s, double x, double ceiling)
{
    if (isnan(x))
        return s->propagate_nan ? x : 0;
    double floor = s->propagate_nan ? x < 0 ? 0 : x : x > 0 ? x : 0; /* of -0: itself, or 0 */
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

static double softplus(double x, double beta)
{
    return (fmax(beta * x, 0) + log1p(exp(-fabs(beta * x)))) / beta + (isnan(x) ? x : 0);
}

static double forward(const step *s, double x, double operand)
{
    switch (s->mode) {
    case GRAPH_ADD:
        return x + operand;
    case GRAPH_MULTIPLY:
        return x * operand;
    case GRAPH_SIGMOID:
        return sigmoid(x);
    case GRAPH_RELU:
        return relu(s, x, s->coefficient);
    case GRAPH_TANH:
        return tanh(x);
    case GRAPH_ELU:
        return x > 0 ? x : s->coefficient * expm1(x);
    case GRAPH_SWISH:
        return swish(x, s->coefficient);
    case GRAPH_GELU:
        return x == -INFINITY ? 0 : 0.5 * x * erfc(-x / sqrt(2));
    case GRAPH_SOFTPLUS:
        return softplus(x, s->coefficient);
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

static double slope(const step *s, double x)
{
    double gate = sigmoid(x), t = tanh(x);
    switch (s->mode) {
    case GRAPH_RELU:
        return x <= 0 || (s->coefficient > 0 && x >= s->coefficient) || (isnan(x) && !s->propagate_nan) ? 0 : 1;
    case GRAPH_TANH:
        return (1 - t) * (1 + t);
    case GRAPH_SIGMOID:
        return gate * (1 - gate);
    case GRAPH_ELU:
        return x > 0 ? 1 : s->coefficient * exp(x);
    case GRAPH_GELU:
        return slope_of_gelu(x);
    case GRAPH_SOFTPLUS:
        return sigmoid(s->coefficient * x);
    case GRAPH_SWISH:
        return slope_of_swish(x, s->coefficient);
    case GRAPH_GELU_TANH:
        return slope_of_gelu_tanh(x);
    default:
        return NAN;
    }
}

/* Legacy sigmoid, tanh and elu read y, the others x. */
static double slope_from(const step *s, double x, double y)
{
    switch (s->mode) {
    case GRAPH_SIGMOID:
        return y * (1 - y);
    case GRAPH_TANH:
        return (1 - y) * (1 + y);
    case GRAPH_ELU:
        return y > 0 ? 1 : y + s->coefficient;
    default:
        return slope(s, x);
    }
}

/* --- programs --- */

static actune_dtype dtype_of(int type)
{
    return type == 0 ? ACTUNE_F32 : type == 1 ? ACTUNE_F64 : type == 2 ? ACTUNE_F16 : ACTUNE_BF16;
}

static step step_of(const dnn_program *p, int i)
{
    static const int of_legacy[] = {GRAPH_SIGMOID, GRAPH_RELU, GRAPH_TANH, GRAPH_RELU, GRAPH_ELU, -1, GRAPH_SWISH};
    step s = {p->step[i].mode, p->step[i].coefficient, p->step[i].propagate_nan};
    if (p->legacy) {
        s.coefficient = s.mode == AT_CUDNN_RELU ? 0 : s.coefficient;
        s.mode = of_legacy[s.mode];
    } else if (p->backward)
        s.mode -= GRAPH_BACKWARD;
    return s;
}

typedef struct place {
    const dnn_program *program;
    void *const *pointer;
    int64_t at[DNN_EXTENTS];
} place;

static int64_t offset(const place *here, int port)
{
    int64_t sum = 0;
    for (int i = 0; i < DNN_EXTENTS; i++)
        sum += here->at[i] * here->program->stride[port][i];
    return sum;
}

static double load(const place *here, int port)
{
    return here->pointer[port] ? at_dtype_load(dtype_of(here->program->type[port]), here->pointer[port], offset(here, port)) : 0;
}

static void store(const place *here, int port, double value)
{
    at_dtype_store(dtype_of(here->program->type[port]), here->pointer[port], offset(here, port), value);
}

/* Between steps values are f32. */
static void run_forward(const place *here)
{
    const dnn_program *p = here->program;
    double value = load(here, 0);
    for (int i = 0; i < p->steps; i++) {
        step s = step_of(p, i);
        value = forward(&s, value, p->step[i].operand ? load(here, p->step[i].operand) : 0);
        if (i < p->steps - 1)
            value = (float)value;
    }
    store(here, p->ports - 1, value);
}

/* The gradient of a relu is chosen, not multiplied. */
static void run_backward(const place *here)
{
    const dnn_program *p = here->program;
    step s = step_of(p, 0);
    double x = load(here, 0), dy = load(here, 2), by = p->legacy ? slope_from(&s, x, load(here, 1)) : slope(&s, x);
    store(here, 3, s.mode == GRAPH_RELU && by == 0 ? 0 : by * dy);
}

static void run(const fake_call *call)
{
    dnn_program p;
    memcpy(&p, call->data, sizeof p);
    place here = {.program = &p, .pointer = call->pointer};
    for (here.at[0] = 0; here.at[0] < p.extent[0]; here.at[0]++)
        for (here.at[1] = 0; here.at[1] < p.extent[1]; here.at[1]++)
            for (here.at[2] = 0; here.at[2] < p.extent[2]; here.at[2]++)
                (p.backward ? run_backward : run_forward)(&here);
}

/* --- onto a stream --- */

/* Code is loaded when it runs first, which a capture does not allow; another magnitude has another kernel. */
static int load_code(at_cudnn_handle handle, const dnn_program *program)
{
    static uint64_t loaded[512];
    static int count;
    dnn_program key = *program;
    at_cu_result (*is_capturing)(at_cu_stream, int *);
    int capturing = 0;
    int64_t elements = key.extent[0] * key.extent[1] * key.extent[2];
    memset(key.stride, 0, sizeof key.stride);
    memset(key.extent, 0, sizeof key.extent);
    key.extent[0] = 63 - __builtin_clzll((unsigned long long)elements);
    uint64_t hash = at_hash64(&key, sizeof key);
    for (int i = 0; i < count; i++)
        if (loaded[i] == hash)
            return 0;
    *(void **)&is_capturing = dnn_driver("cuStreamIsCapturing");
    if (is_capturing(handle->stream, &capturing) || capturing) {
        dnn_mistake("cuDNN's kernel of mode %d runs for the first time while a stream is captured", program->step[0].mode);
        return DNN_EXECUTION_FAILED;
    }
    loaded[count < 511 ? count++ : count] = hash;
    return 0;
}

static size_t bytes_of(const dnn_program *p, int port)
{
    int64_t last = 0;
    for (int i = 0; i < DNN_EXTENTS; i++)
        last += (p->extent[i] - 1) * p->stride[port][i];
    return (size_t)(last + 1) * dnn_bytes_of(p->type[port]);
}

int dnn_put(at_cudnn_handle handle, const dnn_program *program, void *const *pointers)
{
    const char *ns = getenv("ACTUNE_FAKE_CUDNN_NS");
    at_cu_result (*put)(at_cu_stream, const fake_call *);
    fake_call call = {.run = run, .ns = ns ? atof(ns) : 1e6};
    int code = load_code(handle, program);
    if (code)
        return code;
    _Static_assert(sizeof *program <= sizeof call.data, "a program must fit");
    memcpy(call.data, program, sizeof *program);
    for (int i = 0; i < program->ports; i++) {
        call.pointer[i] = pointers[i];
        call.bytes[i] = bytes_of(program, i);
    }
    *(void **)&put = dnn_driver("fake_put_call");
    return put(handle->stream, &call) ? DNN_EXECUTION_FAILED : 0;
}
