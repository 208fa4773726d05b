#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "runtime/backend/interp.h"
#include "runtime/base/dtype.h"
#include "tuner/verify.h"

/* Kernels made by hand, so that these tests need no spec, no template and no compiler. */
typedef at_node_id build_fn(at_graph *graph, at_node_id x);

static at_node_id build_relu(at_graph *graph, at_node_id x)
{
    return at_graph_2(graph, AT_OP_MAX, x, at_graph_constant(graph, 0));
}

static at_node_id build_sigmoid(at_graph *graph, at_node_id x)
{
    return at_graph_1(graph, AT_OP_SIGMOID, x);
}

static at_node_id build_silu(at_graph *graph, at_node_id x)
{
    return at_graph_2(graph, AT_OP_MUL, x, at_graph_1(graph, AT_OP_SIGMOID, x));
}

static void make_kernel(at_kernel *kernel, build_fn *build, actune_dtype dtype, at_accuracy accuracy)
{
    memset(kernel, 0, sizeof *kernel);
    kernel->spec = "made by hand";
    kernel->accuracy = accuracy;
    kernel->signature = (at_signature){
        .port = {{"x", AT_ACCESS_ELEMENT, dtype, false, false}, {"y", AT_ACCESS_ELEMENT, dtype, true, false}},
        .ports = 2,
        .inputs = 1,
        .direction = ACTUNE_FORWARD,
        .dtype_in = dtype,
        .dtype_out = dtype,
        .compute = dtype == ACTUNE_F64 ? ACTUNE_F64 : ACTUNE_F32};
    at_node_id x = at_graph_input(&kernel->graph, 0);
    kernel->graph.output[0] = build(&kernel->graph, x);
    kernel->graph.outputs = 1;
    kernel->transcendental = build != build_relu;
}

static at_verify_report verify(const at_kernel *kernel, actune_kernel_fn function)
{
    at_reference reference;
    at_verify_report report;
    at_verify_target target = {.function = function, .interpret = at_interpret, .interpret_kernel = kernel};
    cr_assert_eq(at_pool_create(3, &target.pool), ACTUNE_OK);
    cr_assert_eq(at_reference_init(&reference, kernel, AT_LAYOUT_FLAT, 7), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_verify(&reference, &target, &report), ACTUNE_OK, "%s", actune_last_error());
    at_reference_clear(&reference);
    at_pool_destroy(target.pool);
    return report;
}

#define KERNEL(name, body)                                                                                             \
    static void name(const actune_slice *slice)                                                                        \
    {                                                                                                                  \
        const float *x = slice->port[0];                                                                               \
        float *y = slice->port[1];                                                                                     \
        for (int64_t i = slice->begin; i < slice->end; i++) {                                                          \
            body;                                                                                                      \
        }                                                                                                              \
    }

static float relu(float x)
{
    return 0 > x ? 0 : x;
}

KERNEL(relu_right, y[i] = relu(x[i]))
KERNEL(relu_drops_nan, y[i] = x[i] >= 0 ? x[i] : 0)
KERNEL(relu_loses_sign, y[i] = relu(x[i]) + 0.0f)
KERNEL(relu_off_by_one_ulp, y[i] = relu(x[i]) * (1 + 0x1p-23f))
KERNEL(relu_skips_tail, if (i < slice->end - slice->end % 8 || slice->end < 60) y[i] = relu(x[i]))
KERNEL(relu_ignores_begin, y[i - slice->begin] = relu(x[i - slice->begin]))
KERNEL(relu_reads_back, y[i] = relu(x[i]); if (i + 1 < slice->end && y[i] == 0) y[i + 1] = 0)
KERNEL(relu_stops_at_large, y[i] = relu(x[i]) > 3e38f ? 3e38f : relu(x[i]))
KERNEL(sigmoid_libm, y[i] = 1 / (1 + expf(-x[i])))
KERNEL(sigmoid_unclamped, float n = rintf(x[i]);
       y[i] = 1 / (1 + ldexpf(expf(-(x[i] - n)), 0) * (n > 1e9f ? NAN : expf(-n))))
KERNEL(sigmoid_short, y[i] = (float)(1 / (1 + exp(-(double)x[i]))) + 5e-5f)
KERNEL(silu_wide, double d = x[i]; y[i] = (float)(d / (1 + exp(-d))))

static void relu_writes_beyond(const actune_slice *slice)
{
    relu_right(slice);
    float *y = slice->port[1];
    if (slice->end == slice->outer * slice->channels * slice->inner && slice->end % 16 == 15)
        y[slice->end] = 0;
}

static void relu_writes_before(const actune_slice *slice)
{
    relu_right(slice);
    ((float *)slice->port[1])[-1] = 0;
}

static void relu_spoils_input(const actune_slice *slice)
{
    relu_right(slice);
    if (slice->end > 40 && slice->port[0] != slice->port[1])
        ((float *)slice->port[0])[40] = 1;
}

static void relu_needs_alignment(const actune_slice *slice)
{
    float *y = slice->port[1];
    relu_right(slice);
    if ((uintptr_t)y % 16 && slice->end > 4)
        y[slice->end - 1] = -7;
}

Test(verify, catches_wrong_kernels)
{
    static const struct {
        actune_kernel_fn function;
        const char *says; /* NULL: passes */
    } rows[] = {
        {relu_right, NULL},
        {relu_drops_nan, "should be NaN"},
        {relu_loses_sign, "sign of zero"},
        {relu_off_by_one_ulp, "is off"},
        {relu_skips_tail, "was not written"},
        {relu_ignores_begin, "cut in slices"},
        {relu_reads_back, "y["},
        {relu_stops_at_large, "infinite"},
        {relu_writes_beyond, "beyond its end"},
        {relu_writes_before, "before its start"},
        {relu_spoils_input, "is an input and was changed"},
        {relu_needs_alignment, "misaligned"},
    };
    at_kernel kernel;
    make_kernel(&kernel, build_relu, ACTUNE_F32, AT_ACCURACY_STANDARD);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        at_verify_report report = verify(&kernel, rows[i].function);
        cr_expect_eq(report.passed, rows[i].says == NULL, "row %zu: %s", i, report.detail);
        if (rows[i].says)
            cr_expect(strstr(report.detail, rows[i].says), "row %zu: '%s' does not say '%s'", i, report.detail,
                      rows[i].says);
        cr_expect(!rows[i].says || report.detail[0], "a failure says why");
    }
    at_graph_clear(&kernel.graph);
}

Test(verify, judges_by_accuracy_class)
{
    static const struct {
        build_fn *build;
        actune_kernel_fn function;
        at_accuracy accuracy;
        bool passes;
    } rows[] = {
        {build_sigmoid, sigmoid_libm, AT_ACCURACY_STANDARD, true},
        {build_sigmoid, sigmoid_libm, AT_ACCURACY_FAST, true},
        {build_sigmoid, sigmoid_short, AT_ACCURACY_STANDARD, false},
        {build_sigmoid, sigmoid_short, AT_ACCURACY_FAST, true},
        {build_sigmoid, sigmoid_unclamped, AT_ACCURACY_FAST, false},
        {build_silu, silu_wide, AT_ACCURACY_EXACT, true},
        {build_silu, sigmoid_libm, AT_ACCURACY_FAST, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        at_kernel kernel;
        make_kernel(&kernel, rows[i].build, ACTUNE_F32, rows[i].accuracy);
        at_verify_report report = verify(&kernel, rows[i].function);
        cr_expect_eq(report.passed, rows[i].passes, "row %zu: %s; worst: %s", i, report.detail, report.worst);
        if (report.passed) {
            cr_expect_eq(report.max_error_ulp > 0.1, rows[i].accuracy != AT_ACCURACY_FAST,
                         "the fast class is absolute");
            cr_expect(report.max_error_absolute > 0 && report.max_share <= 1 && report.worst[0], "row %zu: worst: %s",
                      i, report.worst);
            cr_expect(report.compared > 50000, "compared %lld", (long long)report.compared);
        }
        at_graph_clear(&kernel.graph);
    }
}

Test(verify, interpreter_in_every_type)
{
    build_fn *const builds[] = {build_relu, build_sigmoid, build_silu};
    for (int type = 0; type < AT_DTYPE_COUNT; type++)
        for (int b = 0; b < 3; b++) {
            at_kernel kernel;
            make_kernel(&kernel, builds[b], (actune_dtype)type, AT_ACCURACY_STANDARD);
            at_verify_report report = verify(&kernel, NULL);
            cr_expect(report.passed, "%s, function %d: %s", at_dtype_get((actune_dtype)type)->name, b, report.detail);
            cr_expect_eq(report.exhaustive, at_dtype_get((actune_dtype)type)->bytes <= 2);
            at_graph_clear(&kernel.graph);
        }
}

/* dx = dy sigmoid'(x u), du = sum over elements of x dy: two outputs, one of them a sum, per channel. */
static void make_backward(at_kernel *kernel)
{
    memset(kernel, 0, sizeof *kernel);
    kernel->spec = "made by hand, backward";
    kernel->accuracy = AT_ACCURACY_STANDARD;
    kernel->transcendental = true;
    kernel->signature = (at_signature){.port = {{"x", AT_ACCESS_ELEMENT, ACTUNE_F32, false, AT_REDUCTION_NONE, 0, 0},
                                                {"dy", AT_ACCESS_ELEMENT, ACTUNE_F32, false, AT_REDUCTION_NONE, 0, 0},
                                                {"u", AT_ACCESS_CHANNEL, ACTUNE_F32, false, AT_REDUCTION_NONE, 0, 0},
                                                {"dx", AT_ACCESS_ELEMENT, ACTUNE_F32, true, AT_REDUCTION_NONE, 0, 0},
                                                {"du", AT_ACCESS_CHANNEL, ACTUNE_F32, true, AT_REDUCTION_SUM, 0, 0}},
                                       .ports = 5,
                                       .inputs = 3,
                                       .direction = ACTUNE_BACKWARD,
                                       .dtype_in = ACTUNE_F32,
                                       .dtype_out = ACTUNE_F32,
                                       .compute = ACTUNE_F32,
                                       .has_channel = true,
                                       .slots = 1};
    at_graph *graph = &kernel->graph;
    at_node_id x = at_graph_input(graph, 0), dy = at_graph_input(graph, 1), u = at_graph_input(graph, 2);
    at_node_id s = at_graph_1(graph, AT_OP_SIGMOID, at_graph_2(graph, AT_OP_MUL, x, u));
    at_node_id rest = at_graph_2(graph, AT_OP_SUB, at_graph_constant(graph, 1), s);
    graph->output[0] = at_graph_2(graph, AT_OP_MUL, dy, at_graph_2(graph, AT_OP_MUL, s, rest));
    graph->output[1] = at_graph_2(graph, AT_OP_MUL, x, dy);
    graph->outputs = 2;
}

static double spoil;

static void interpret_spoiled(const void *kernel, at_layout layout, const actune_slice *slice)
{
    at_interpret(kernel, layout, slice);
    if (slice->end > slice->begin)
        slice->partial[0] += spoil;
}

Test(verify, sums_and_channels)
{
    at_kernel kernel;
    make_backward(&kernel);
    const at_layout layouts[] = {AT_LAYOUT_FLAT, AT_LAYOUT_CHANNEL_INNER, AT_LAYOUT_CHANNEL_OUTER};
    for (int i = 0; i < 3; i++) {
        at_reference reference;
        at_verify_report report;
        at_verify_target target = {.interpret = at_interpret, .interpret_kernel = &kernel};
        cr_assert_eq(at_pool_create(2, &target.pool), ACTUNE_OK);
        cr_assert_eq(at_reference_init(&reference, &kernel, layouts[i], 3), ACTUNE_OK);
        cr_assert_eq(at_verify(&reference, &target, &report), ACTUNE_OK);
        cr_expect(report.passed, "%s: %s", at_layout_name(layouts[i]), report.detail);
        target.interpret = interpret_spoiled;
        spoil = 0.5;
        cr_assert_eq(at_verify(&reference, &target, &report), ACTUNE_OK);
        cr_expect(!report.passed && strstr(report.detail, "du["), "%s: %s", at_layout_name(layouts[i]), report.detail);
        at_reference_clear(&reference);
        at_pool_destroy(target.pool);
    }
    at_graph_clear(&kernel.graph);
}

Test(verify, expectations)
{
    /* bias then sigmoid: the rounding of the sum is known, so the sigmoid is judged at the rounded sum. */
    at_kernel kernel;
    make_kernel(&kernel, build_sigmoid, ACTUNE_F32, AT_ACCURACY_STANDARD);
    at_graph_clear(&kernel.graph);
    kernel.signature.port[1] = (at_port){"bias", AT_ACCESS_CHANNEL, ACTUNE_F32, false, AT_REDUCTION_NONE, 0, 0};
    kernel.signature.port[2] = (at_port){"y", AT_ACCESS_ELEMENT, ACTUNE_F32, true, AT_REDUCTION_NONE, 0, 0};
    kernel.signature.ports = 3;
    kernel.signature.inputs = 2;
    at_graph *graph = &kernel.graph;
    at_node_id sum = at_graph_2(graph, AT_OP_ADD, at_graph_input(graph, 0), at_graph_input(graph, 1));
    at_node_id stage = at_graph_1(graph, AT_OP_ROUND, sum);
    graph->output[0] = at_graph_1(graph, AT_OP_SIGMOID, stage);
    graph->outputs = 1;
    at_oracle *oracle;
    at_expected expected;
    cr_assert_eq(at_oracle_create(&kernel, &oracle), ACTUNE_OK, "%s", actune_last_error());
    const double inputs[] = {-40, 0x1.8p-23};
    at_oracle_eval(oracle, inputs, &expected);
    double exact = 1 / (1 + exp(40)); /* -40 + 1.8e-7 rounds to -40 */
    cr_expect_lt(fabs((double)expected.value / exact - 1), 1e-14);
    cr_expect_lt((double)(expected.error / at_ulp(ACTUNE_F32, exact)), 4.1);
    at_oracle_destroy(oracle);
    at_graph_clear(graph);

    cr_expect_eq((double)at_ulp(ACTUNE_F32, 1), 0x1p-23);
    cr_expect_eq((double)at_ulp(ACTUNE_F32, 0), 0x1p-149);
    cr_expect_eq((double)at_ulp(ACTUNE_BF16, 3), 0x1p-6);
    cr_expect_eq(at_dtype_max(ACTUNE_F16), 65504);
}

/* dx = (s is 0) ? 0 : dy * (s + s s), with an s that is never 0 but underflows; dx = x <= 0 ? 0 : dy. */
static void make_guarded(at_kernel *kernel, bool underflows)
{
    make_kernel(kernel, build_relu, ACTUNE_F32, AT_ACCURACY_EXACT);
    at_graph_clear(&kernel->graph);
    kernel->transcendental = underflows;
    kernel->signature.port[1] = (at_port){"dy", AT_ACCESS_ELEMENT, ACTUNE_F32, false, AT_REDUCTION_NONE, 0, 0};
    kernel->signature.port[2] = (at_port){"dx", AT_ACCESS_ELEMENT, ACTUNE_F32, true, AT_REDUCTION_NONE, 0, 0};
    kernel->signature.ports = 3;
    kernel->signature.inputs = 2;
    kernel->signature.direction = ACTUNE_BACKWARD;
    at_graph *graph = &kernel->graph;
    at_node_id x = at_graph_input(graph, 0), dy = at_graph_input(graph, 1), zero = at_graph_constant(graph, 0);
    at_node_id factor = underflows ? build_sigmoid(graph, x) : x;
    at_node_id guard = at_graph_2(graph, underflows ? AT_OP_EQ : AT_OP_LE, factor, zero);
    at_node_id product = dy;
    if (underflows) /* s itself is seen by nothing outside the stretch */
        product = at_graph_2(graph, AT_OP_MUL, dy, at_graph_add(graph, AT_OP_FMA, factor, factor, factor));
    graph->output[0] = at_graph_add(graph, AT_OP_SELECT, guard, zero, product);
    graph->outputs = 1;
}

/* A kernel that approximates the factor need not find it exactly 0 where the graph does: NaN and 0 are both right there, but only for
   gradients that are not finite. A mask that hangs on x alone is exact. */
Test(verify, gradients_that_are_not_finite)
{
    static const struct {
        bool underflows;
        double x, dy;
        bool anything;
    } cases[] = {
        {true, -1e30, NAN, true},      {true, -1e30, INFINITY, true}, {true, -1e30, 3, false},
        {true, -1, INFINITY, false},   {false, -2, NAN, false},       {false, -2, INFINITY, false},
        {false, 2, INFINITY, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel;
        at_oracle *oracle;
        at_expected expected;
        make_guarded(&kernel, cases[i].underflows);
        cr_assert_eq(at_oracle_create(&kernel, &oracle), ACTUNE_OK, "%s", actune_last_error());
        at_oracle_eval(oracle, (const double[]){cases[i].x, cases[i].dy}, &expected);
        cr_expect_eq(isinf(expected.error), cases[i].anything, "case %zu: %Lg, error %Lg", i, expected.value,
                     expected.error);
        cr_expect(cases[i].anything || expected.error < 1e-5L, "case %zu: error %Lg", i, expected.error);
        at_oracle_destroy(oracle);
        at_kernel_clear(&kernel);
    }
}
