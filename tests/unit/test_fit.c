#include "codegen/fit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT "%0 = input 0\n"
#define GELU INPUT "%1 = const -0.7071067811865476\n%2 = mul %0 %1\n%3 = erfc %2\n%4 = const 0.5\n%5 = mul %4 %0\n%6 = mul %5 %3\nreturn %6\n"
#define GELU_TANH INPUT "%1 = const 0.044715\n%2 = mul %0 %0\n%3 = mul %2 %0\n%4 = mul %3 %1\n%5 = add %0 %4\n" \
    "%6 = const 1.5957691216057308\n%7 = mul %6 %5\n%8 = sigmoid %7\n%9 = mul %0 %8\nreturn %9\n"
#define SILU INPUT "%1 = sigmoid %0\n%2 = mul %0 %1\nreturn %2\n"
#define MISH INPUT "%1 = softplus %0\n%2 = tanh %1\n%3 = mul %0 %2\nreturn %3\n"
#define SWISH INPUT "%1 = const 1.7\n%2 = mul %0 %1\n%3 = sigmoid %2\n%4 = mul %0 %3\nreturn %4\n"
#define SERF INPUT "%1 = softplus %0\n%2 = erf %1\n%3 = mul %0 %2\nreturn %3\n"
#define ELU INPUT "%1 = expm1 %0\n%2 = const 0\n%3 = gt %0 %2\n%4 = select %3 %0 %1\nreturn %4\n"
#define LEAKY_TANH INPUT "%1 = tanh %0\n%2 = const 0.25\n%3 = mul %0 %2\n%4 = add %1 %3\nreturn %4\n"
#define USER INPUT "%1 = const 1.5\n%2 = mul %0 %1\n%3 = sigmoid %2\n%4 = mul %0 %3\n%5 = tanh %0\n%6 = const 0.1\n%7 = mul %5 %6\n" \
    "%8 = add %4 %7\nreturn %8\n"
#define SILU_GRADIENT INPUT "%1 = sigmoid %0\n%2 = const 1\n%3 = neg %0\n%4 = sigmoid %3\n%5 = mul %0 %4\n%6 = add %2 %5\n%7 = mul %1 %6\nreturn %7\n"
#define TANH_GRADIENT INPUT "%1 = tanh %0\n%2 = mul %1 %1\n%3 = const 1\n%4 = sub %3 %2\nreturn %4\n"
#define SELU INPUT "%1 = const 0\n%2 = gt %0 %1\n%3 = expm1 %0\n%4 = const 1.6732632423543772\n%5 = mul %3 %4\n%6 = select %2 %0 %5\n" \
    "%7 = const 1.0507009873554805\n%8 = mul %6 %7\nreturn %8\n"
#define SELU_GRADIENT INPUT "%1 = const 0\n%2 = gt %0 %1\n%3 = const 1.0507009873554805\n%4 = exp %0\n%5 = const 1.7580993408473766\n" \
    "%6 = mul %4 %5\n%7 = select %2 %3 %6\nreturn %7\n"
#define ONE(OP) INPUT "%1 = " OP " %0\nreturn %1\n"

static at_graph graph_of(const char *text)
{
    at_graph graph = {0};
    cr_assert_eq(at_graph_parse(text, &graph), ACTUNE_OK, "%s", actune_last_error());
    return graph;
}

typedef struct fit_case {
    const char *name, *text;
    bool derivative;
    int entries;
    at_accuracy accuracy;
    int degree; /* the highest that is still as fast as promised; -1: must be refused */
    at_fit_shape shape;
} fit_case;

static const fit_case cases[] = {
    {"tanh", ONE("tanh"), false, 16, AT_ACCURACY_STANDARD, 5, AT_FIT_ODD},
    {"tanh", ONE("tanh"), false, 32, AT_ACCURACY_EXACT, 4, AT_FIT_ODD},
    {"tanh", ONE("tanh"), false, 8, AT_ACCURACY_STANDARD, 7, AT_FIT_ODD},
    {"tanh", ONE("tanh"), false, 16, AT_ACCURACY_FAST, 2, AT_FIT_ODD},
    {"erf", ONE("erf"), false, 32, AT_ACCURACY_STANDARD, 6, AT_FIT_ODD},
    {"gelu", GELU, false, 16, AT_ACCURACY_STANDARD, 5, AT_FIT_EVEN},
    {"gelu", GELU, false, 32, AT_ACCURACY_STANDARD, 4, AT_FIT_EVEN},
    {"gelu", GELU, false, 16, AT_ACCURACY_FAST, 2, AT_FIT_EVEN},
    {"gelu", GELU, false, 32, AT_ACCURACY_EXACT, 4, AT_FIT_EVEN},
    {"silu", SILU, false, 16, AT_ACCURACY_EXACT, 5, AT_FIT_EVEN},
    {"mish", MISH, false, 16, AT_ACCURACY_EXACT, 6, AT_FIT_SIGNED},
    {"serf", SERF, false, 32, AT_ACCURACY_EXACT, 5, AT_FIT_SIGNED},
    {"softplus", ONE("softplus"), false, 32, AT_ACCURACY_STANDARD, 4, AT_FIT_EVEN},
    {"x sigmoid(1.7 x)", SWISH, false, 16, AT_ACCURACY_EXACT, 5, AT_FIT_EVEN},
    {"gelu_tanh", GELU_TANH, false, 16, AT_ACCURACY_STANDARD, 5, AT_FIT_EVEN},
    {"silu", SILU, false, 16, AT_ACCURACY_STANDARD, 5, AT_FIT_EVEN},
    {"silu", SILU, false, 8, AT_ACCURACY_FAST, 3, AT_FIT_EVEN},
    {"mish", MISH, false, 32, AT_ACCURACY_STANDARD, 6, AT_FIT_SIGNED},
    {"mish", MISH, false, 8, AT_ACCURACY_STANDARD, -1, AT_FIT_SIGNED},
    {"serf", SERF, false, 32, AT_ACCURACY_STANDARD, 6, AT_FIT_SIGNED},
    {"elu", ELU, false, 32, AT_ACCURACY_STANDARD, 5, AT_FIT_SIGNED},
    {"tanh + x/4", LEAKY_TANH, false, 16, AT_ACCURACY_FAST, 2, AT_FIT_ODD},
    {"x sigmoid(1.5 x) + 0.1 tanh(x)", USER, false, 32, AT_ACCURACY_STANDARD, 6, AT_FIT_SIGNED},
    {"sigmoid", ONE("sigmoid"), false, 16, AT_ACCURACY_FAST, 2, AT_FIT_ODD},
    {"sigmoid", ONE("sigmoid"), false, 32, AT_ACCURACY_STANDARD, -1, AT_FIT_ODD},
    {"sigmoid as softplus'", ONE("sigmoid"), true, 16, AT_ACCURACY_STANDARD, 5, AT_FIT_ODD},
    {"silu'", SILU_GRADIENT, true, 16, AT_ACCURACY_STANDARD, 5, AT_FIT_ODD},
    {"tanh'", TANH_GRADIENT, true, 16, AT_ACCURACY_STANDARD, 5, AT_FIT_EVEN},
    {"selu", SELU, false, 32, AT_ACCURACY_STANDARD, 5, AT_FIT_SIGNED},
    {"selu', which jumps at 0", SELU_GRADIENT, true, 32, AT_ACCURACY_STANDARD, 5, AT_FIT_SIGNED},
    {"softplus", ONE("softplus"), false, 16, AT_ACCURACY_FAST, 2, AT_FIT_EVEN},
    {"exp", ONE("exp"), false, 32, AT_ACCURACY_FAST, -1, AT_FIT_SIGNED},
    {"sin", ONE("sin"), false, 32, AT_ACCURACY_FAST, -1, AT_FIT_SIGNED},
    {"log", ONE("log"), false, 32, AT_ACCURACY_FAST, -1, AT_FIT_SIGNED},
};

/* Floats that are not those of the fitter's own sample: every 40,009th. */
static void check_inside_class(const fit_case *c, const at_graph *graph, const at_fit *fit)
{
    at_tolerance tolerance = at_tolerance_of(graph, c->accuracy, c->derivative);
    long double *values = calloc((size_t)graph->count, sizeof *values);
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 40009) {
        uint32_t word = (uint32_t)bits;
        float x;
        memcpy(&x, &word, sizeof x);
        float y = at_fit_eval(fit, x);
        if (!isfinite(x)) {
            cr_assert(isnan(x) ? isnan(y) : !isnan(y), "%s at %g: %g", c->name, x, y);
            continue;
        }
        long double input = x;
        at_graph_eval(graph, &input, values);
        double exact = (double)values[graph->output[0]], error = fabs(y - exact);
        if (isinf(y) && fabs(exact) >= 0x1.fffffep127)
            continue;
        cr_assert(error <= at_tolerance_at(&tolerance, x, exact), "%s at %a: %a, exactly %a", c->name, x, y, exact);
    }
    free(values);
}

Test(fit, reaches_its_class_at_the_promised_degree)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fit_case *c = &cases[i];
        at_graph graph = graph_of(c->text);
        const at_fit *fit;
        actune_status status = at_fit_make(&graph, c->entries, c->accuracy, c->derivative, &fit);
        if (c->degree < 0) {
            cr_assert_eq(status, ACTUNE_UNSUPPORTED, "%s with %d entries", c->name, c->entries);
            cr_assert_neq(actune_last_error()[0], 0);
        } else {
            cr_assert_eq(status, ACTUNE_OK, "%s: %s", c->name, actune_last_error());
            cr_assert_leq(fit->degree, c->degree, "%s with %d entries has degree %d", c->name, c->entries, fit->degree);
            cr_assert_eq(fit->shape, c->shape, "%s", c->name);
            cr_assert_leq(fit->max_error_share, 1);
            check_inside_class(c, &graph, fit);
        }
        at_graph_clear(&graph);
    }
}

Test(fit, special_values)
{
    static const struct {
        const char *name, *text;
        bool derivative;
        float at_minus_infinity, at_infinity;
        bool keeps_zero, exact;
    } specials[] = {
        {"gelu", GELU, false, 0, INFINITY, true, true},    {"silu", SILU, false, 0, INFINITY, true, true},
        {"mish", MISH, false, 0, INFINITY, true, true},    {"swish", SWISH, false, 0, INFINITY, true, true},
        {"gelu", GELU, false, 0, INFINITY, true, false},          {"silu", SILU, false, 0, INFINITY, true, false},
        {"gelu_tanh", GELU_TANH, false, 0, INFINITY, true, false}, {"mish", MISH, false, 0, INFINITY, true, false},
        {"tanh", ONE("tanh"), false, -1, 1, true, false},          {"elu", ELU, false, -1, INFINITY, true, false},
        {"user", USER, false, -0.1f, INFINITY, true, false},       {"tanh + x/4", LEAKY_TANH, false, -INFINITY, INFINITY, true, false},
        {"silu'", SILU_GRADIENT, true, 0, 1, false, false},        {"tanh'", TANH_GRADIENT, true, 0, 0, false, false},
    };
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        at_graph graph = graph_of(specials[i].text);
        const at_fit *fit;
        at_accuracy accuracy = specials[i].exact ? AT_ACCURACY_EXACT : AT_ACCURACY_STANDARD;
        cr_assert_eq(at_fit_make(&graph, 32, accuracy, specials[i].derivative, &fit), ACTUNE_OK, "%s: %s", specials[i].name,
                     actune_last_error());
        cr_assert_eq(at_fit_eval(fit, INFINITY), specials[i].at_infinity, "%s", specials[i].name);
        cr_assert_eq(at_fit_eval(fit, -INFINITY), specials[i].at_minus_infinity, "%s", specials[i].name);
        cr_assert(isnan(at_fit_eval(fit, NAN)) && isnan(at_fit_eval(fit, -NAN)), "%s", specials[i].name);
        if (specials[i].keeps_zero) {
            cr_assert(at_fit_eval(fit, 0.f) == 0 && !signbit(at_fit_eval(fit, 0.f)), "%s", specials[i].name);
            cr_assert(at_fit_eval(fit, -0.f) == 0 && signbit(at_fit_eval(fit, -0.f)), "%s", specials[i].name);
        }
        at_graph_clear(&graph);
    }
}

Test(fit, is_cached_by_function)
{
    at_graph a = graph_of(ONE("tanh")), b = graph_of(ONE("tanh"));
    const at_fit *first, *second, *other;
    cr_assert_eq(at_fit_make(&a, 16, AT_ACCURACY_FAST, false, &first), ACTUNE_OK);
    cr_assert_eq(at_fit_make(&b, 16, AT_ACCURACY_FAST, false, &second), ACTUNE_OK);
    cr_assert_eq(at_fit_make(&b, 32, AT_ACCURACY_STANDARD, false, &other), ACTUNE_OK);
    cr_assert_eq(first, second);
    cr_assert_str_neq(first->hash.hex, other->hash.hex);
    cr_assert_eq(at_fit_make(&a, 12, AT_ACCURACY_FAST, false, &first), ACTUNE_INVALID_ARGUMENT);
    at_graph_clear(&a);
    at_graph_clear(&b);
}

Test(fit, tolerance_tells_families_apart)
{
    static const struct {
        const char *text;
        at_accuracy accuracy;
        double x, y, allowed;
    } rules[] = {
        {ONE("sigmoid"), AT_ACCURACY_STANDARD, -80, 1.8e-35, 4 * 0x1p-139},   {ONE("sigmoid"), AT_ACCURACY_EXACT, 0, 0.5, 2 * 0x1p-24},
        {ONE("tanh"), AT_ACCURACY_STANDARD, 9, 0.99, 2 * 0x1p-24},            {ELU, AT_ACCURACY_STANDARD, -1, -0.63, 2 * 0x1p-24},
        {SILU, AT_ACCURACY_STANDARD, -80, -1e-33, 1.5 * 0x1p-17},             {SILU, AT_ACCURACY_EXACT, -1, -0.268, 6 * 0x1p-25},
        {GELU, AT_ACCURACY_STANDARD, 1, 0.84, 1.5 * 0x1p-23},                 {SILU, AT_ACCURACY_FAST, 10, 10, 2e-3},
        {ONE("tanh"), AT_ACCURACY_FAST, 10, 1, 2e-4},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        at_graph graph = graph_of(rules[i].text);
        at_tolerance tolerance = at_tolerance_of(&graph, rules[i].accuracy, false);
        cr_assert_float_eq(at_tolerance_at(&tolerance, rules[i].x, rules[i].y) / rules[i].allowed, 1, 1e-6, "rule %zu: %g", i,
                           at_tolerance_at(&tolerance, rules[i].x, rules[i].y));
        at_graph_clear(&graph);
    }
    cr_assert_eq(at_ulp_f32(1), 0x1p-23);
    cr_assert_eq(at_ulp_f32(-0x1.fp-1), 0x1p-24);
    cr_assert_eq(at_ulp_f32(0), 0x1p-149);
    cr_assert_eq(at_ulp_f32(1e-40), 0x1p-149);
    cr_assert_eq(at_ulp_f32(0x1p-126), 0x1p-149);
}
