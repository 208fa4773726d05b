#include "codegen/kernel.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GRADIENTS_MAX = 8, INPUTS_MAX = AT_PORTS_MAX };

static at_kernel lower_typed(const char *text, actune_direction direction, const char *gradients, actune_dtype in,
                             actune_dtype out)
{
    at_spec spec;
    at_kernel kernel;
    char names[200];
    const char *list[GRADIENTS_MAX];
    int count = 0;
    snprintf(names, sizeof names, "%s", gradients);
    for (char *name = strtok(names, " "); name; name = strtok(NULL, " "))
        list[count++] = name;
    at_kernel_request request = {
        .direction = direction, .dtype_in = in, .dtype_out = out, .gradients = list, .gradient_count = count};
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK, "%s: %s", text, actune_last_error());
    cr_assert_str_eq(kernel.spec, spec.canonical);
    at_spec_clear(&spec); /* the kernel owns what it needs */
    return kernel;
}

static at_kernel lower(const char *text, actune_direction direction, const char *gradients)
{
    return lower_typed(text, direction, gradients, ACTUNE_F32, ACTUNE_F32);
}

/* Input values by port name. */
typedef struct value {
    const char *name;
    long double value;
} value;

static long double lookup(const value *values, const char *name)
{
    for (; values->name; values++)
        if (!strcmp(values->name, name))
            return values->value;
    cr_assert_fail("no value for port %s", name);
    return NAN;
}

/* Output `output` of the kernel's graph; ports are bound by name. */
static long double evaluate(const at_kernel *kernel, const value *values, int output)
{
    long double inputs[INPUTS_MAX], *nodes = malloc((size_t)kernel->graph.count * sizeof *nodes);
    for (int i = 0; i < kernel->signature.inputs; i++)
        inputs[i] = lookup(values, kernel->signature.port[i].name);
    at_graph_eval(&kernel->graph, inputs, nodes);
    long double result = nodes[kernel->graph.output[output]];
    free(nodes);
    return result;
}

/* "x:element:f32 bias:channel:f32 | y:element:f32", with ":sum" behind sums. */
static void check_ports(const at_kernel *kernel, const char *expected)
{
    static const char *const access[] = {"element", "channel", "scalar", "random"}, *const dtype[] = {"f32", "f64", "f16",
                                                                                            "bf16"};
    const at_signature *signature = &kernel->signature;
    at_strbuf text = {0};
    int sums = 0;
    bool has_channel = false;
    for (int i = 0; i < signature->ports; i++) {
        const at_port *port = &signature->port[i];
        at_strbuf_printf(&text, "%s%s:%s:%s%s",
                         i == signature->inputs ? " | "
                         : i                    ? " "
                                                : "",
                         port->name, access[port->access], dtype[port->dtype], port->reduction ? ":sum" : "");
        cr_assert_eq(port->is_output, i >= signature->inputs);
        sums += port->reduction != AT_REDUCTION_NONE;
        has_channel |= port->access == AT_ACCESS_CHANNEL;
    }
    cr_assert_str_eq(at_strbuf_text(&text), expected);
    cr_assert_eq(signature->slots, sums);
    cr_assert_eq(signature->has_channel, has_channel);
    cr_assert_eq(kernel->graph.outputs, signature->ports - signature->inputs);
    for (int i = 0; i < kernel->graph.count; i++)
        if (kernel->graph.nodes[i].op == AT_OP_INPUT)
            cr_assert_lt(kernel->graph.nodes[i].index, signature->inputs);
    at_strbuf_clear(&text);
}

static int count_ops(const at_kernel *kernel, at_op op)
{
    int count = 0;
    for (int i = 0; i < kernel->graph.count; i++)
        count += kernel->graph.nodes[i].op == op;
    return count;
}

Test(lower, forward_ports)
{
    static const char *const cases[][2] = {
        {"relu", "x:element:f32 | y:element:f32"},
        {"bias | add | mul", "x:element:f32 bias:channel:f32 add:element:f32 mul:element:f32 | y:element:f32"},
        {"scale_shift | add | relu",
         "x:element:f32 scale:channel:f32 shift:channel:f32 add:element:f32 | y:element:f32"},
        {"bias | relu | bias | bias | add | add", "x:element:f32 bias:channel:f32 bias2:channel:f32 bias3:channel:f32 "
                                                  "add:element:f32 add2:element:f32 | y:element:f32"},
        {"prelu(alpha=channel) | elu(learn) | swish(learn)",
         "x:element:f32 alpha:channel:f32 alpha2:scalar:f32 beta:scalar:f32 | y:element:f32"},
        {"grad_clip(1)", "x:element:f32 | y:element:f32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel = lower(cases[i][0], ACTUNE_FORWARD, "");
        check_ports(&kernel, cases[i][1]);
        at_kernel_clear(&kernel);
        cr_assert(!kernel.spec && !kernel.graph.nodes && !kernel.arena.head);
    }
}

Test(lower, dtypes)
{
    at_kernel kernel = lower_typed("bias | prelu(learn) | add", ACTUNE_FORWARD, "", ACTUNE_F16, ACTUNE_BF16);
    check_ports(&kernel, "x:element:f16 bias:channel:f32 alpha:scalar:f32 add:element:f16 | y:element:bf16");
    cr_assert_eq(kernel.signature.compute, ACTUNE_F32);
    cr_assert_eq(kernel.signature.dtype_in, ACTUNE_F16);
    cr_assert_eq(kernel.signature.dtype_out, ACTUNE_BF16);
    at_kernel_clear(&kernel);
    kernel = lower_typed("bias | prelu(learn) | mul", ACTUNE_BACKWARD, "mul bias alpha", ACTUNE_F16, ACTUNE_BF16);
    check_ports(&kernel, "x:element:f16 dy:element:bf16 bias:channel:f32 alpha:scalar:f32 mul:element:f16 | "
                         "dx:element:f16 dbias:channel:f32:sum dalpha:scalar:f32:sum dmul:element:f16");
    at_kernel_clear(&kernel);
    kernel = lower_typed("bias", ACTUNE_FORWARD, "", ACTUNE_F64, ACTUNE_F64);
    check_ports(&kernel, "x:element:f64 bias:channel:f64 | y:element:f64");
    cr_assert_eq(kernel.signature.compute, ACTUNE_F64);
    at_kernel_clear(&kernel);
}

Test(lower, backward_ports)
{
    static const char *const cases[][3] = {
        {"relu", "", "x:element:f32 dy:element:f32 | dx:element:f32"},
        {"bias", "", "x:element:f32 dy:element:f32 | dx:element:f32"},
        {"bias", "bias", "x:element:f32 dy:element:f32 | dx:element:f32 dbias:channel:f32:sum"},
        {"bias | gelu", "bias", "x:element:f32 dy:element:f32 bias:channel:f32 | dx:element:f32 dbias:channel:f32:sum"},
        /* after the last nonlinear stage nothing is needed of add, and of shift only through relu */
        {"scale_shift | relu | add", "shift add",
         "x:element:f32 dy:element:f32 scale:channel:f32 shift:channel:f32 | "
         "dx:element:f32 dshift:channel:f32:sum dadd:element:f32"},
        {"scale_shift", "shift scale",
         "x:element:f32 dy:element:f32 scale:channel:f32 | dx:element:f32 dscale:channel:f32:sum "
         "dshift:channel:f32:sum"},
        {"add | mul | add", "mul add2",
         "x:element:f32 dy:element:f32 add:element:f32 mul:element:f32 | dx:element:f32 dmul:element:f32 "
         "dadd2:element:f32"},
        {"prelu(channel)", "alpha",
         "x:element:f32 dy:element:f32 alpha:channel:f32 | dx:element:f32 dalpha:channel:f32:sum"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel = lower(cases[i][0], ACTUNE_BACKWARD, cases[i][1]);
        check_ports(&kernel, cases[i][2]);
        cr_assert_eq(kernel.signature.direction, ACTUNE_BACKWARD);
        at_kernel_clear(&kernel);
    }
}

static const long double points[] = {-INFINITY, -30,  -6.5L, -6, -1.5L, -1,   -0.25L, -0.0L,   0,
                                     1e-3L,     0.5L, 1,     2,  6,     6.5L, 30,     INFINITY};
enum { POINTS = sizeof points / sizeof *points };

static bool same(long double a, long double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b) || (a == 0 && b == 0))
        return a == b && !signbit(a) == !signbit(b);
    return fabsl(a - b) <= 1e-15L * fmaxl(1, fabsl(b));
}

static long double clip(long double x, long double lo, long double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static long double f_scale_shift(long double x)
{
    return fmal(x, 1.5L, -0.25L);
}
static long double f_bias_clip(long double x)
{
    return clip(x + 0.75L, -6, 6);
}
static long double f_half_open(long double x)
{
    return x < -1 ? -1 : x;
}
static long double f_silu_mul(long double x)
{
    return x / (1 + expl(-x)) * 3;
}
static long double f_swish(long double x)
{
    return x / (1 + expl(-(long double)0.3 * x));
}
static long double f_prelu(long double x)
{
    return x > 0 ? x : 0.125L * x;
}
static long double f_three(long double x)
{
    long double u = clip(fmal(x, 1.5L, -0.25L), -2, 4) + 2;
    return u > 0 ? u : (long double)0.01 * u;
}
static long double f_add_twice(long double x)
{
    return x + 2 + 0.5L;
}

Test(lower, forward_values)
{
    static const value operands[] = {{"bias", 0.75L}, {"scale", 1.5L},   {"shift", -0.25L}, {"add", 2}, {"add2", 0.5L},
                                     {"mul", 3},      {"alpha", 0.125L}, {"beta", 0.3L},    {0}};
    static const struct {
        const char *spec;
        long double (*function)(long double x);
        bool finite; /* compared at finite points only */
    } cases[] = {
        {"scale_shift", f_scale_shift, false},
        {"bias | clip(-6, 6)", f_bias_clip, false},
        {"clip(-1, inf)", f_half_open, false},
        {"silu | mul", f_silu_mul, true},
        {"swish(0.3)", f_swish, true},
        {"prelu(learn)", f_prelu, false},
        {"scale_shift | clip(-2, 4) | add | leaky_relu", f_three, false},
        {"add | grad_clip(1) | add", f_add_twice, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel = lower(cases[i].spec, ACTUNE_FORWARD, "");
        for (int p = 0; p < POINTS; p++) {
            value values[sizeof operands / sizeof *operands + 1] = {{"x", points[p]}};
            memcpy(values + 1, operands, sizeof operands);
            if (cases[i].finite && isinf(points[p]))
                continue;
            long double got = evaluate(&kernel, values, 0), expected = cases[i].function(points[p]);
            cr_assert(same(got, expected), "%s at %Lg: %Lg, not %Lg", cases[i].spec, points[p], got, expected);
        }
        cr_assert_eq(count_ops(&kernel, AT_OP_GRAD_CLIP), 0);
        at_kernel_clear(&kernel);
    }
}

/* A clip keeps -0 at a bound of 0 and NaN; cuDNN's turns NaN into the lower bound. */
Test(lower, clip_and_nan)
{
    static const struct {
        const char *spec;
        long double x, y;
    } cases[] = {
        {"clip(0, 6)", -0.0L, -0.0L},
        {"clip(-6, 0)", 0, 0},
        {"clip(-6, 6)", NAN, NAN},
        {"clip(-inf, inf)", NAN, NAN},
        {"clip(2, 2)", -1, 2},
        {"clip(2, 2)", 3, 2},
        {"relu", NAN, NAN},
        {"[semantics=cudnn] relu", NAN, 0},
        {"[semantics=cudnn] relu", -2, 0},
        {"[semantics=cudnn] relu", 2, 2},
        {"[semantics=cudnn] clip(-3, 6)", NAN, -3},
        {"[semantics=cudnn] clip(-3, 6)", -4, -3},
        {"[semantics=cudnn] clip(-3, 6)", 7, 6},
        {"[semantics=cudnn] clip(-3, 6)", 5, 5},
        {"[semantics=cudnn] clip(0, 6)", -0.0L, -0.0L},
        {"[semantics=cudnn] leaky_relu", NAN, NAN},
        {"[semantics=cudnn] relu6", NAN, 0},
        {"[semantics=cudnn] relu6", 7, 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel = lower(cases[i].spec, ACTUNE_FORWARD, "");
        long double got = evaluate(&kernel, (value[]){{"x", cases[i].x}, {0}}, 0);
        cr_assert(same(got, cases[i].y), "%s at %Lg: %Lg", cases[i].spec, cases[i].x, got);
        at_kernel_clear(&kernel);
    }
}

/* Every stage but the last is rounded, once; grad_clip is no stage of the value. */
Test(lower, rounding_between_stages)
{
    static const struct {
        const char *spec;
        int rounds;
    } cases[] = {{"silu", 0},
                 {"bias | silu", 1},
                 {"bias | silu | clip(-1, 1)", 2},
                 {"bias | grad_clip(1) | silu", 1},
                 {"silu | grad_clip(1)", 0},
                 {"grad_clip(1) | silu", 0},
                 {"clip(-inf, inf) | silu", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel = lower(cases[i].spec, ACTUNE_FORWARD, "");
        cr_assert_eq(count_ops(&kernel, AT_OP_ROUND), cases[i].rounds, "%s", cases[i].spec);
        at_kernel_clear(&kernel);
    }
    at_kernel kernel = lower("bias | silu", ACTUNE_BACKWARD, "");
    cr_assert_eq(count_ops(&kernel, AT_OP_ROUND), 1, "the value of bias is rounded as it was going forward");
    at_kernel_clear(&kernel);
}

/* The gradients of x and of the named operands against central differences of the forward kernel. */
static void check_gradients(const char *text, const char *gradients)
{
    static const long double xs[] = {-5.3L, -1.7L, -0.4L, 0.3L, 0.9L, 2.2L, 7.1L};
    const long double h = 1e-7L, dy = 0.8L;
    at_kernel forward = lower(text, ACTUNE_FORWARD, ""), backward = lower(text, ACTUNE_BACKWARD, gradients);
    for (size_t p = 0; p < sizeof xs / sizeof *xs; p++) {
        value values[] = {{"x", xs[p]},    {"dy", dy},       {"bias", 0.15L}, {"bias2", -0.35L},
                          {"scale", 1.3L}, {"shift", -0.2L}, {"add", 0.45L},  {"mul", 0.7L},
                          {"mul2", -1.2L}, {"alpha", 0.3L},  {"beta", 1.1L},  {0}};
        for (int k = 0; k < backward.graph.outputs; k++) {
            const char *name = backward.signature.port[backward.signature.inputs + k].name + 1;
            value *moved = values;
            while (strcmp(moved->name, name))
                moved++;
            long double at = moved->value;
            moved->value = at + h;
            long double above = evaluate(&forward, values, 0);
            moved->value = at - h;
            long double below = evaluate(&forward, values, 0);
            moved->value = at;
            long double expected = (above - below) / (2 * h) * dy, got = evaluate(&backward, values, k);
            cr_assert_lt(fabsl(got - expected), 1e-9L * fmaxl(1, fabsl(expected)), "%s, d%s at %Lg: %Lg, not %Lg", text,
                         name, xs[p], got, expected);
        }
    }
    at_kernel_clear(&forward);
    at_kernel_clear(&backward);
}

Test(lower, gradients)
{
    static const char *const cases[][2] = {
        {"gelu", ""},
        {"relu", ""},
        {"bias | silu | clip(-0.2, 1.5)", "bias"},
        {"scale_shift | add | relu", "scale shift add"},
        {"bias | bias | elu", "bias bias2"},
        {"silu | mul", "mul"},
        {"mul | silu | mul | add", "mul mul2 add"},
        {"prelu(learn)", "alpha"},
        {"bias | prelu(channel) | swish(learn) | mul", "bias alpha beta mul"},
        {"swish(beta=learn) | elu(alpha=channel) | scale_shift | leaky_relu(0.2) | clip(-4, 4)",
         "beta alpha scale shift"},
        {"gelu | gelu | gelu", ""},
        {"[semantics=cudnn] bias | relu | clip(-1, 1)", "bias"},
        {"clip(-inf, 1) | clip(-2, inf) | swish(0.5)", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_gradients(cases[i][0], cases[i][1]);
    for (int i = 0; i < at_activation_count(); i++) {
        char text[200];
        snprintf(text, sizeof text, "bias | %s | scale_shift | tanh", at_activation_get(i)->name);
        check_gradients(text, "bias scale shift");
    }
}

/* torch's rules at kinks, and grad_clip where it stands. */
Test(lower, kinks_and_grad_clip)
{
    static const struct {
        const char *spec;
        long double x, dy, dx;
    } cases[] = {
        {"relu", 0, 2, 0},
        {"relu", -0.0L, 2, 0},
        {"relu", 1e-30L, 2, 2},
        {"clip(-1, 1)", 1, 2, 2},
        {"clip(-1, 1)", -1, 2, 2},
        {"clip(-1, 1)", 1.5L, 2, 0},
        {"clip(-1, 1)", -INFINITY, 2, 0},
        {"[semantics=cudnn] relu", 0, 2, 0},
        {"[semantics=cudnn] relu", NAN, 2, 0},
        {"[semantics=cudnn] clip(-1, 1)", NAN, 2, 0},
        {"[semantics=cudnn] clip(-1, 1)", -1, 2, 2},
        {"grad_clip(0.5)", 3, 2, 0.5L},
        {"grad_clip(0.5)", 3, -2, -0.5L},
        {"grad_clip(0.5)", 3, 0.25L, 0.25L},
        {"grad_clip(0)", 3, 0.25L, 0},
        {"mul | grad_clip(0.5)", 3, 2, 1.5L}, /* clipped, then times 3 */
        {"grad_clip(0.5) | mul", 3, 2, 0.5L}, /* times 3, then clipped */
        {"relu | grad_clip(0.5) | clip(-9, 9)", 3, 2, 0.5L},
        {"gelu", INFINITY, 2, 2},
        {"silu", INFINITY, 2, 2},
        {"silu", -INFINITY, 2, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel = lower(cases[i].spec, ACTUNE_BACKWARD, "");
        long double got = evaluate(&kernel, (value[]){{"x", cases[i].x}, {"dy", cases[i].dy}, {"mul", 3}, {0}}, 0);
        cr_assert(got == cases[i].dx, "%s at %Lg: %Lg, not %Lg", cases[i].spec, cases[i].x, got, cases[i].dx);
        at_kernel_clear(&kernel);
    }
    /* grad_clip stands between bias and the rest: dbias is clipped too. */
    at_kernel kernel = lower("bias | grad_clip(0.5) | mul", ACTUNE_BACKWARD, "bias mul");
    const value values[] = {{"x", 1}, {"dy", 2}, {"bias", 0.25L}, {"mul", 3}, {0}};
    cr_assert_eq(evaluate(&kernel, values, 0), 0.5L);
    cr_assert_eq(evaluate(&kernel, values, 1), 0.5L);
    cr_assert_eq(evaluate(&kernel, values, 2), 2.5L);
    at_kernel_clear(&kernel);
}

static at_hash hash_of(const char *text, actune_direction direction, const char *gradients, actune_dtype in,
                       actune_dtype out)
{
    at_kernel kernel = lower_typed(text, direction, gradients, in, out);
    at_hash hash = kernel.hash;
    at_kernel_clear(&kernel);
    return hash;
}

static bool same_kernel(const char *a, const char *b)
{
    return !strcmp(hash_of(a, ACTUNE_FORWARD, "", ACTUNE_F32, ACTUNE_F32).hex,
                   hash_of(b, ACTUNE_FORWARD, "", ACTUNE_F32, ACTUNE_F32).hex);
}

/* One term of the sum of squares, of the gradient where the stage stands; nothing where it is not asked for. */
Test(lower, grad_norm)
{
    static const struct {
        const char *spec;
        long double dx, term;
    } cases[] = {
        {"grad_norm", 2, 4},
        {"mul | grad_norm", 6, 4},
        {"grad_norm | mul", 6, 36},
        {"grad_clip(0.5) | grad_norm | mul", 0.5L, 36},
        {"grad_norm | grad_clip(0.5) | mul", 0.5L, 0.25L},
        {"relu | grad_norm | mul", 6, 36},
        {"relu | grad_norm | clip(-1, 1)", 0, 0},
        {"grad_norm | silu | mul", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel = lower(cases[i].spec, ACTUNE_BACKWARD, "grad_norm");
        const value values[] = {{"x", 1.5L}, {"dy", 2}, {"mul", 3}, {0}};
        long double dx = cases[i].dx, term = cases[i].term;
        if (strstr(cases[i].spec, "silu")) {
            long double s = 1 / (1 + expl(-1.5L));
            dx = 6 * (s + 1.5L * s * (1 - s)), term = dx * dx;
        }
        cr_assert(fabsl(evaluate(&kernel, values, 0) - dx) <= 1e-15L && fabsl(evaluate(&kernel, values, 1) - term) <= 1e-14L, "%s: %Lg and %Lg",
                  cases[i].spec, evaluate(&kernel, values, 0), evaluate(&kernel, values, 1));
        at_kernel_clear(&kernel);
    }
    at_kernel kernel = lower_typed("bias | grad_norm | gelu | grad_norm", ACTUNE_BACKWARD, "bias grad_norm grad_norm2", ACTUNE_F16, ACTUNE_F16);
    check_ports(&kernel, "x:element:f16 dy:element:f16 bias:channel:f32 | dx:element:f16 dbias:channel:f32:sum dgrad_norm:scalar:f32:sum "
                         "dgrad_norm2:scalar:f32:sum");
    at_kernel_clear(&kernel);
    cr_assert(same_kernel("bias | grad_norm | gelu", "bias | gelu"));
    at_hash with = hash_of("bias | gelu | grad_norm | tanh", ACTUNE_BACKWARD, "bias", ACTUNE_F32, ACTUNE_F32);
    at_hash without = hash_of("bias | gelu | tanh", ACTUNE_BACKWARD, "bias", ACTUNE_F32, ACTUNE_F32);
    cr_assert_str_eq(with.hex, without.hex);
}

Test(lower, identity)
{
    static const char *const equal[][2] = {
        {"RELU", "relu"},
        {"swish(1)", "swish"},
        {"relu | grad_clip(1)", "relu"},
        {"clip(-inf, 1)", "clip( hi = 1., lo = -inf)"},
        {"leaky_relu(0.25)", "prelu"},
        {"add", "add()"},
        {"swish(beta=2)", "SWISH(2.0)"},
        {"[accuracy=standard] gelu", "gelu"},
        {"[semantics=cudnn] gelu", "gelu"}, /* no NaN rule in it */
    };
    static const char *const different[][2] = {
        {"relu", "gelu"},
        {"bias", "add"},
        {"[accuracy=fast] gelu", "gelu"},
        {"[semantics=cudnn] relu", "relu"},
        {"clip(-1, 1)", "clip(-1, 2)"},
        {"bias | relu", "relu | bias"},
        {"prelu(learn)", "prelu(channel)"},
        {"elu(0.5)", "elu(0.25)"},
    };
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++)
        cr_assert(same_kernel(equal[i][0], equal[i][1]), "%s and %s", equal[i][0], equal[i][1]);
    for (size_t i = 0; i < sizeof different / sizeof *different; i++)
        cr_assert(!same_kernel(different[i][0], different[i][1]), "%s and %s", different[i][0], different[i][1]);
    for (int i = 0; i < at_activation_count(); i++) {
        const at_activation *activation = at_activation_get(i);
        char aliases[100];
        snprintf(aliases, sizeof aliases, "%s", activation->aliases);
        for (char *alias = strtok(aliases, " "); alias; alias = strtok(NULL, " "))
            cr_assert(same_kernel(activation->name, alias), "%s and %s", activation->name, alias);
    }
    at_hash hashes[] = {
        hash_of("bias | mul", ACTUNE_FORWARD, "", ACTUNE_F32, ACTUNE_F32),
        hash_of("bias | mul", ACTUNE_FORWARD, "", ACTUNE_F16, ACTUNE_F32),
        hash_of("bias | mul", ACTUNE_FORWARD, "", ACTUNE_F32, ACTUNE_F16),
        hash_of("bias | mul", ACTUNE_FORWARD, "", ACTUNE_F64, ACTUNE_F64),
        hash_of("bias | mul", ACTUNE_BACKWARD, "", ACTUNE_F32, ACTUNE_F32),
        hash_of("bias | mul", ACTUNE_BACKWARD, "bias", ACTUNE_F32, ACTUNE_F32),
        hash_of("bias | mul", ACTUNE_BACKWARD, "mul", ACTUNE_F32, ACTUNE_F32),
        hash_of("bias | mul", ACTUNE_BACKWARD, "bias mul", ACTUNE_F32, ACTUNE_F32),
        hash_of("bias | mul | grad_clip(1)", ACTUNE_BACKWARD, "bias mul", ACTUNE_F32, ACTUNE_F32),
    };
    enum { HASHES = sizeof hashes / sizeof *hashes };
    for (int i = 0; i < HASHES; i++)
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(hashes[i].hex, hashes[j].hex, "%d and %d", i, j);
    /* Gradients come in pipeline order, in whatever order they are asked for. */
    cr_assert_str_eq(hash_of("bias | mul", ACTUNE_BACKWARD, "mul bias", ACTUNE_F32, ACTUNE_F32).hex, hashes[7].hex);
}

Test(lower, transcendental)
{
    static const struct {
        const char *spec;
        bool transcendental;
    } cases[] = {{"relu", false}, {"clip(-1, 1)", false}, {"gelu", true}, {"bias | silu", true}, {"leaky_relu", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int direction = 0; direction < 2; direction++) {
            at_kernel kernel = lower(cases[i].spec, (actune_direction)direction, "");
            cr_assert_eq(kernel.transcendental, cases[i].transcendental, "%s", cases[i].spec);
            at_kernel_clear(&kernel);
        }
}

static void check_refused(const char *text, const at_kernel_request *request, actune_status status, const char *message)
{
    at_spec spec;
    at_kernel kernel;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, request, &kernel), status, "%s", text);
    cr_assert(strstr(actune_last_error(), message), "%s", actune_last_error());
    cr_assert(!kernel.spec && !kernel.graph.nodes && !kernel.arena.head, "nothing is kept");
    at_spec_clear(&spec);
}

Test(lower, refusals)
{
    const char *const names[] = {"bias", "scale", "bias", "x"};
    at_kernel_request request = {.direction = ACTUNE_BACKWARD, .gradients = names, .gradient_count = 2};
    check_refused("bias | relu", &request, ACTUNE_INVALID_ARGUMENT,
                  "no operand 'scale' in 'bias | relu' to compute the gradient of; it has bias");
    check_refused("relu", &request, ACTUNE_INVALID_ARGUMENT, "it has no operands");
    request.gradient_count = 3;
    check_refused("bias | scale_shift", &request, ACTUNE_INVALID_ARGUMENT, "the gradient of 'bias' is asked for twice");
    request.gradients = names + 3;
    request.gradient_count = 1;
    check_refused("bias", &request, ACTUNE_INVALID_ARGUMENT, "the gradient of x is always computed");
    request.gradients = names;
    request.direction = ACTUNE_FORWARD;
    check_refused("bias", &request, ACTUNE_INVALID_ARGUMENT, "forward");
    request.gradients = NULL;
    request.direction = ACTUNE_BACKWARD;
    check_refused("bias", &request, ACTUNE_INVALID_ARGUMENT, "without a list");
    request.gradient_count = 0;
    request.dtype_in = (actune_dtype)77;
    check_refused("bias", &request, ACTUNE_INVALID_ARGUMENT, "unknown element type");
    request.dtype_in = ACTUNE_F32;
    request.direction = (actune_direction)5;
    check_refused("bias", &request, ACTUNE_INVALID_ARGUMENT, "neither forward nor backward");
    request.direction = ACTUNE_FORWARD;
    char text[400] = "bias";
    for (int i = 0; i < 22; i++)
        strcat(text, "|bias");
    check_refused(text, &request, ACTUNE_UNSUPPORTED, "more operands");
    for (int i = 0; i < 4; i++)
        strcat(text, "|bias");
    check_refused(text, &request, ACTUNE_UNSUPPORTED, "more operands");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

/* The identity of a user's function is what it computes: not its file, its names or its comments. */
Test(lower, user_function)
{
    char folder[] = "/tmp/actune-lower-XXXXXX";
    cr_assert(mkdtemp(folder) && !chdir(folder));
    write_file("a.c", "float f(float x, float alpha)\n{\n    return x * alpha;\n}\n");
    write_file("b.c", "/* another */\n\nfloat g(float v, float dbias) { return v * dbias; }\n");
    cr_assert(same_kernel("@a.c:f(0.5) | clip(-1, 1)", "@b.c:g(0.5) | clip(-1, 1)"));
    at_hash before = hash_of("@a.c:f(0.5)", ACTUNE_FORWARD, "", ACTUNE_F32, ACTUNE_F32);
    write_file("a.c", "float f(float x, float alpha)\n{\n    return x + alpha;\n}\n");
    at_hash after = hash_of("@a.c:f(0.5)", ACTUNE_FORWARD, "", ACTUNE_F32, ACTUNE_F32);
    cr_assert_str_neq(before.hex, after.hex);
    /* A parameter may not take the name of another port or of its gradient. */
    at_kernel kernel = lower("bias | @b.c:g(learn)", ACTUNE_BACKWARD, "bias dbias2");
    check_ports(&kernel, "x:element:f32 dy:element:f32 bias:channel:f32 dbias2:scalar:f32 | "
                         "dx:element:f32 dbias:channel:f32:sum ddbias2:scalar:f32:sum");
    at_kernel_clear(&kernel);
    write_file("b.c", "float h(float v, float x, float dy) { return v * x + dy; }\n");
    kernel = lower("@b.c:h(learn, learn)", ACTUNE_FORWARD, "");
    check_ports(&kernel, "x:element:f32 x2:scalar:f32 dy2:scalar:f32 | y:element:f32");
    at_kernel_clear(&kernel);
    remove("a.c");
    remove("b.c");
    cr_assert_eq(rmdir(folder), 0);
}
