/* Selects that are minima and maxima: which are found, and that every value stays what it was. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "codegen/graph.h"
#include "codegen/kernel.h"
#include "codegen/pass.h"
#include "codegen/spec.h"

static at_kernel lower(const char *text, actune_direction direction)
{
    at_spec spec;
    at_kernel kernel;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s: %s", text, actune_last_error());
    at_kernel_request request = {.direction = direction};
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK, "%s: %s", text, actune_last_error());
    at_spec_clear(&spec);
    return kernel;
}

static float value_of(const at_graph *graph, float x)
{
    long double values[64], inputs[4] = {x, 1, 1, 1};
    cr_assert_leq(graph->count, 64);
    at_graph_eval(graph, inputs, values);
    return (float)values[graph->output[0]];
}

/* Equal values, and zeros of equal sign; NaN is NaN. */
static void expect_same(const char *spec, const at_graph *before, const at_graph *after, float x)
{
    float a = value_of(before, x), b = value_of(after, x);
    bool same = isnan(a) ? isnan(b) : fabsf(a - b) <= fabsf(a) * 0x1p-23f || a == b;
    cr_assert(same && (isnan(a) || signbit(a) == signbit(b)), "%s of %a: %a, after the pass %a", spec, (double)x, (double)a, (double)b);
}

static int count_tests(const at_graph *graph, bool with_constant)
{
    int count = 0;
    for (int32_t i = 0; i < graph->count; i++) {
        const at_node *node = &graph->nodes[i];
        if (node->op == AT_OP_GT || node->op == AT_OP_GE || node->op == AT_OP_LT || node->op == AT_OP_LE)
            count += (graph->nodes[node->arg[1]].op == AT_OP_CONSTANT) == with_constant;
    }
    return count;
}

typedef struct found {
    const char *spec;
    int pairs; /* comparisons of two computed values after the pass */
} found;

Test(extremum, values_stay)
{
    static const found specs[] = {{"leaky_relu", 1},     {"leaky_relu(1)", 0},    {"leaky_relu(0)", 0},
                                  {"leaky_relu(1.5)", 0}, {"leaky_relu(-0.1)", 0}, {"hardswish", 1},
                                  {"relu", 0},           {"hardsigmoid", 0},      {"clip(-2, 3) | leaky_relu(0.25)", 1},
                                  {"leaky_relu(1e-30)", 1}};
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3.0f, -3.0f, 0x1p-149f, -0x1p-149f, 3.4e38f, -3.4e38f, 0x1p-126f};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        at_kernel kernel = lower(specs[i].spec, ACTUNE_FORWARD);
        at_graph after;
        cr_assert_eq(at_graph_copy(&kernel.graph, &after), ACTUNE_OK);
        cr_assert_eq(at_pass_extremum(&after), ACTUNE_OK);
        cr_expect_eq(count_tests(&after, false), specs[i].pairs, "%s", specs[i].spec);
        for (size_t k = 0; k < sizeof special / sizeof *special; k++)
            expect_same(specs[i].spec, &kernel.graph, &after, special[k]);
        for (float edge = -3; edge <= 3; edge += 3)
            for (float x = edge - 1e-5f; x < edge + 1e-5f; x = nextafterf(x + 1e-9f, INFINITY))
                expect_same(specs[i].spec, &kernel.graph, &after, x);
        for (float x = -8; x < 8; x += 0.001f)
            expect_same(specs[i].spec, &kernel.graph, &after, x);
        at_graph_clear(&after);
        at_kernel_clear(&kernel);
    }
}

/* Gradients jump at the bounds: no select of theirs is an extremum. */
Test(extremum, gradients_are_left_alone)
{
    static const char *const specs[] = {"leaky_relu", "hardswish", "relu6"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        at_kernel kernel = lower(specs[i], ACTUNE_BACKWARD);
        at_strbuf before = {0}, after = {0};
        at_graph_print(&kernel.graph, &before);
        cr_assert_eq(at_pass_extremum(&kernel.graph), ACTUNE_OK);
        at_graph_print(&kernel.graph, &after);
        cr_expect_str_eq(at_strbuf_text(&before), at_strbuf_text(&after), "%s", specs[i]);
        at_strbuf_clear(&before);
        at_strbuf_clear(&after);
        at_kernel_clear(&kernel);
    }
}
