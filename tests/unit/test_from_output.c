/* [from=output]: the gradient from y is the gradient from x. */
#include "codegen/kernel.h"
#include "codegen/variant.h"
#include "runtime/base/dtype.h"
#include "tuner/reference.h"
#include <actune/actune.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static at_kernel lower_typed(const char *text, actune_direction direction, const char *gradient, actune_dtype in,
                             actune_dtype out)
{
    at_spec spec;
    at_kernel kernel;
    at_kernel_request request = {.direction = direction,
                                 .dtype_in = in,
                                 .dtype_out = out,
                                 .gradients = &gradient,
                                 .gradient_count = gradient != NULL};
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK, "%s: %s", text, actune_last_error());
    at_spec_clear(&spec);
    return kernel;
}

static at_kernel lower(const char *text, actune_direction direction, const char *gradient)
{
    return lower_typed(text, direction, gradient, ACTUNE_F32, ACTUNE_F32);
}

static void check_refused(const char *text, const char *gradient, actune_dtype in, actune_dtype out,
                          actune_status status, const char *message)
{
    at_spec spec;
    at_kernel kernel;
    at_kernel_request request = {ACTUNE_BACKWARD, in, out, &gradient, gradient != NULL};
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), status, "%s", text);
    cr_assert(strstr(actune_last_error(), message), "%s", actune_last_error());
    at_spec_clear(&spec);
}

static long double evaluate(const at_kernel *kernel, long double x, long double y, long double dy, int output)
{
    static const struct {
        const char *name;
        long double value;
    } operands[] = {{"bias", 0.15L}, {"scale", 1.3L}, {"shift", -0.2L}, {"add", 0.45L}, {"mul", 0.7L}};
    long double inputs[AT_PORTS_MAX], *nodes = malloc((size_t)kernel->graph.count * sizeof *nodes);
    for (int i = 0; i < kernel->signature.inputs; i++) {
        const char *name = kernel->signature.port[i].name;
        inputs[i] = !strcmp(name, "x") ? x : !strcmp(name, "y") ? y : dy;
        for (size_t k = 0; k < sizeof operands / sizeof *operands; k++)
            if (!strcmp(name, operands[k].name))
                inputs[i] = operands[k].value;
    }
    at_graph_eval(&kernel->graph, inputs, nodes);
    long double result = nodes[kernel->graph.output[output]];
    free(nodes);
    return result;
}

/* Specs without their attribute, and a gradient besides dx. */
static const struct {
    const char *spec, *gradient;
    bool settles; /* its slope goes to 0: there an infinite or NaN dy may give anything */
} cases[] = {
    {"relu", NULL, false},
    {"leaky_relu", NULL, false},
    {"leaky_relu(0)", NULL, true},
    {"leaky_relu(3)", NULL, false},
    {"elu", NULL, true},
    {"elu(2.5)", NULL, true},
    {"celu(0.3)", NULL, true},
    {"selu", NULL, true},
    {"sigmoid", NULL, true},
    {"tanh", NULL, true},
    {"hardtanh", NULL, false},
    {"hardtanh(-0.25, 1.5)", NULL, false},
    {"relu6", NULL, false},
    {"bias | relu", "bias", false},
    {"scale_shift | add | elu", "shift", true},
    {"scale_shift | add | elu", "add", true},
    {"mul | bias | tanh", "bias", true},
    {"bias | grad_clip(0.5) | leaky_relu | grad_clip(0.6)", "bias", false},
    {"sigmoid | clip(0, 1) | grad_clip(0.1)", NULL, true},
    {"relu | clip(-1, inf)", NULL, false},
};

Test(from_output, equals_from_input)
{
    static const long double xs[] = {-INFINITY, -60, -3, -1,  -0.4L, -0.25L, -1e-6L, 0,  1e-6L,
                                     0.3L,      1,   2,  1.5, 5.9L,  6,      7.1L,   40, INFINITY};
    static const long double dys[] = {0.8L, -2, INFINITY, NAN};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char text[200];
        snprintf(text, sizeof text, "[from=output] %s", cases[c].spec);
        at_kernel forward = lower(cases[c].spec, ACTUNE_FORWARD, NULL);
        at_kernel from_x = lower(cases[c].spec, ACTUNE_BACKWARD, cases[c].gradient);
        at_kernel from_y = lower(text, ACTUNE_BACKWARD, cases[c].gradient);
        for (size_t p = 0; p < sizeof xs / sizeof *xs * 4; p++) {
            long double x = xs[p / 4], dy = dys[p % 4], y = evaluate(&forward, x, NAN, NAN, 0);
            for (int k = 0; k < from_x.graph.outputs; k++) {
                long double want = evaluate(&from_x, x, NAN, dy, k), got = evaluate(&from_y, NAN, y, dy, k);
                bool open = cases[c].settles && !isfinite(dy) && fabsl(evaluate(&from_x, x, NAN, 1, k)) < 1e-15L;
                bool same =
                    isnan(want) ? isnan(got) : want == got || fabsl(want - got) < 1e-12L * fmaxl(1, fabsl(want));
                cr_expect(open || same, "%s, output %d at x = %Lg, dy = %Lg: %Lg from y, %Lg from x", cases[c].spec, k,
                          x, dy, got, want);
            }
        }
        at_kernel_clear(&forward);
        at_kernel_clear(&from_x);
        at_kernel_clear(&from_y);
    }
}

/* NaN goes the same way from y as from x. */
Test(from_output, nan)
{
    static const char *const specs[] = {"relu", "leaky_relu", "elu",   "sigmoid",
                                        "tanh", "hardtanh",   "relu6", "[semantics=cudnn] relu"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        char text[100];
        bool has = specs[i][0] == '[';
        snprintf(text, sizeof text, "[from=output%s%s", has ? ", " : "] ", specs[i] + has);
        at_kernel forward = lower(specs[i], ACTUNE_FORWARD, NULL), from_x = lower(specs[i], ACTUNE_BACKWARD, NULL);
        at_kernel from_y = lower(text, ACTUNE_BACKWARD, NULL);
        long double y = evaluate(&forward, NAN, NAN, NAN, 0);
        long double want = evaluate(&from_x, NAN, NAN, 2, 0), got = evaluate(&from_y, NAN, y, 2, 0);
        cr_expect(isnan(want) ? isnan(got) : want == got, "%s: %Lg, from x %Lg", specs[i], got, want);
        at_kernel_clear(&forward);
        at_kernel_clear(&from_x);
        at_kernel_clear(&from_y);
    }
}

Test(from_output, ports_and_identity)
{
    at_kernel plain = lower("bias | relu", ACTUNE_FORWARD, NULL),
              same = lower("[from=output] bias | relu", ACTUNE_FORWARD, NULL);
    cr_expect_str_eq(plain.hash.hex, same.hash.hex, "the forward kernel is that of the spec without the attribute");
    cr_expect_str_eq(same.spec, "bias | relu");
    at_kernel_clear(&same);
    same = lower("[accuracy=fast, from=output] bias | relu", ACTUNE_FORWARD, NULL);
    cr_expect_str_eq(same.spec, "[accuracy=fast] bias | relu");
    at_kernel_clear(&plain);
    at_kernel_clear(&same);
    at_kernel x = lower("relu", ACTUNE_BACKWARD, NULL), y = lower("[from=output] relu", ACTUNE_BACKWARD, NULL);
    cr_expect_str_neq(x.hash.hex, y.hash.hex, "another signature is another kernel");
    cr_expect_str_eq(y.spec, "[from=output] relu");
    at_kernel_clear(&x);
    at_kernel_clear(&y);
    y = lower_typed("[from=output] bias | add | tanh", ACTUNE_BACKWARD, "bias", ACTUNE_BF16, ACTUNE_F32);
    const at_signature *s = &y.signature;
    cr_expect(s->inputs == 2 && s->ports == 4 && s->slots == 1, "no operand is read");
    cr_expect(!strcmp(s->port[0].name, "y") && s->port[0].dtype == ACTUNE_F32 && !s->port[0].is_output);
    cr_expect(!strcmp(s->port[1].name, "dy") && s->port[1].dtype == ACTUNE_F32);
    cr_expect(!strcmp(s->port[2].name, "dx") && s->port[2].dtype == ACTUNE_BF16);
    cr_expect_str_eq(s->port[3].name, "dbias");
    at_kernel_clear(&y);
}

Test(from_output, refusals)
{
    check_refused("[from=output] scale_shift | relu", "scale", ACTUNE_F32, ACTUNE_F32, ACTUNE_INVALID_ARGUMENT,
                  "the gradient of 'scale' needs x");
    check_refused("[from=output] bias | mul | relu", "mul", ACTUNE_F32, ACTUNE_F32, ACTUNE_INVALID_ARGUMENT,
                  "the gradient of 'mul' needs x");
    /* 0.999 would be stored as hardtanh's end. */
    check_refused("[from=output] hardtanh", NULL, ACTUNE_F32, ACTUNE_F16, ACTUNE_UNSUPPORTED, "rounded to f16");
    check_refused("[from=output] relu6", NULL, ACTUNE_F16, ACTUNE_BF16, ACTUNE_UNSUPPORTED, "rounded to bf16");
    check_refused("[from=output] bias | relu6", NULL, ACTUNE_BF16, ACTUNE_BF16, ACTUNE_UNSUPPORTED, "keep f32 outputs");
    at_kernel kernel = lower_typed("[from=output] relu6", ACTUNE_BACKWARD, NULL, ACTUNE_BF16, ACTUNE_BF16);
    at_kernel_clear(&kernel);
    kernel = lower_typed("[from=output] hardtanh", ACTUNE_BACKWARD, NULL, ACTUNE_F16, ACTUNE_F32);
    at_kernel_clear(&kernel);
    static const char *const narrow[] = {"[from=output] bias | relu", "[from=output] bias | relu | grad_clip(1)",
                                         "[from=output] add | tanh", "[from=output] grad_clip(3) | relu6"};
    for (int i = 0; i < 4; i++) {
        kernel = lower_typed(narrow[i], ACTUNE_BACKWARD, NULL, ACTUNE_BF16, ACTUNE_BF16);
        at_kernel_clear(&kernel);
    }
}

/* Verified on values that y can have: beyond them the gradient is no function of y. */
Test(from_output, verified_on_outputs)
{
    at_kernel kernel = lower("[from=output] bias | sigmoid", ACTUNE_BACKWARD, "bias");
    at_reference reference;
    int64_t seen = 0, nans = 0;
    cr_assert_eq(at_reference_init(&reference, &kernel, AT_LAYOUT_CHANNEL_INNER, 1), ACTUNE_OK, "%s", actune_last_error());
    for (int c = 0; c < reference.count; c++)
        for (int64_t i = 0; i < reference.cases[c].elements; i++, seen++) {
            double y = at_dtype_load(ACTUNE_F32, reference.cases[c].input[0], i);
            nans += isnan(y);
            cr_assert(isnan(y) || (y >= 0 && y <= 1), "y = %g", y);
        }
    cr_expect(seen > 1000 && nans > 0 && nans < seen / 10);
    at_reference_clear(&reference);
    at_kernel_clear(&kernel);
}

/* dx over dy, and out of place, through the public API; the interpreter too. */
static void run(bool in_place)
{
    enum { COUNT = 1003 };
    static float y[COUNT], dy[COUNT], dx[COUNT], want[COUNT];
    actune_context *context;
    actune_plan *plan;
    actune_context_options options = {.database = ""};
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    actune_plan_desc desc = {.spec = "[from=output] elu(2)",
                             .direction = ACTUNE_BACKWARD,
                             .dtype_in = ACTUNE_F32,
                             .dtype_out = ACTUNE_F32,
                             .shape = {1, 1, COUNT},
                             .in_place = in_place};
    cr_assert_eq(actune_plan_create(context, &desc, &plan), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < COUNT; i++) {
        y[i] = (float)(i % 50) / 10 - 2;
        dy[i] = (float)(i % 7) - 3;
        want[i] = y[i] > 0 ? dy[i] : (y[i] + 2) * dy[i];
    }
    float *to = in_place ? dy : dx;
    actune_buffer buffers[] = {{y, COUNT, ACTUNE_F32}, {dy, COUNT, ACTUNE_F32}, {to, COUNT, ACTUNE_F32}};
    cr_assert_eq(actune_execute(plan, buffers, 3), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < COUNT; i++)
        cr_assert_float_eq(to[i], want[i], 1e-6f, "element %d", i);
    actune_plan_destroy(plan);
    actune_context_close(context);
}

Test(from_output, executes)
{
    run(false);
    run(true);
    setenv("ACTUNE_INTERPRET", "1", 1);
    run(false);
    run(true);
}

static at_hash source_hash(const char *spec)
{
    at_kernel kernel = lower(spec, ACTUNE_FORWARD, NULL);
    at_target target = {.isa = at_isa_host()};
    at_variant variant;
    at_strbuf source = {0};
    cr_assert_eq(at_variant_default(&kernel, AT_LAYOUT_FLAT, &target, &variant), ACTUNE_OK, "%s", actune_last_error());
    at_generate_item item = {.kernel = &kernel, .layout = AT_LAYOUT_FLAT, .variant = &variant};
    cr_assert_eq(at_generate_batch(&item, 1, &target, &source), ACTUNE_OK, "%s", actune_last_error());
    at_strbuf_clear(&source);
    at_kernel_clear(&kernel);
    return item.source_hash;
}

/* A winner counts while its source is what was measured: that must not hang on the spelling, which stands in the first
 * line. */
Test(from_output, spellings_share_winners)
{
    at_hash plain = source_hash("relu");
    cr_expect_str_eq(source_hash("[from=output] relu").hex, plain.hex);
    cr_expect_str_eq(source_hash("relu | grad_clip(1)").hex, plain.hex);
    cr_expect_str_neq(source_hash("relu6").hex, plain.hex);
}
