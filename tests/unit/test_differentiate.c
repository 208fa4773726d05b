/* Derivatives against central differences in long double, at special values, and as f32 would compute them. */
#include "codegen/activation.h"
#include "codegen/pass.h"
#include "unit/graphs.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

enum { INPUTS = 4, X = 0, B = 1, DY = 3, VALUES_MAX = 2048 };

/* The graph of `function` with one output more: the gradient of input `by`, dy being input 3; simplified as lowering
 * does. */
static at_graph derived(const char *function, int32_t by)
{
    at_graph graph = graph_of(function);
    cr_assert_eq(at_pass_fold(&graph), ACTUNE_OK);
    cr_assert_eq(at_pass_stabilise(&graph), ACTUNE_OK);
    at_node_id dy = at_graph_input(&graph, DY), gradient;
    cr_assert_eq(at_pass_differentiate(&graph, graph.output[0], dy, &by, 1, &gradient), ACTUNE_OK, "%s: %s", function,
                 actune_last_error());
    graph.output[graph.outputs++] = gradient;
    cr_assert_eq(at_pass_fold(&graph), ACTUNE_OK);
    cr_assert_eq(at_pass_stabilise(&graph), ACTUNE_OK);
    return graph;
}

static long double evaluate(const at_graph *graph, int output, long double x, long double b, long double dy)
{
    static long double values[VALUES_MAX];
    long double inputs[INPUTS] = {x, b, 0.75L, dy};
    cr_assert(graph->count <= VALUES_MAX);
    at_graph_eval(graph, inputs, values);
    return values[graph->output[output]];
}

static float evaluate_f32(const at_graph *graph, int output, float x, float b, float dy)
{
    static long double values[VALUES_MAX];
    long double inputs[INPUTS] = {x, b, 0.75L, dy};
    cr_assert(graph->count <= VALUES_MAX);
    eval_rounded(graph, inputs, values, round_to_float);
    return (float)values[graph->output[output]];
}

#define GELU "(mul (mul x 0.5) (erfc (mul x -0.7071067811865476)))"
#define GELU_TANH "(div x (add 1 (exp (mul -1.5957691216057308 (add x (mul 0.044715 (mul x (mul x x))))))))"
#define SILU "(mul x (sigmoid x))"
#define MISH "(mul x (tanh (softplus x)))"
#define ELU "(select (gt x 0) x (mul 1.5 (expm1 x)))"
#define SELU "(mul 1.0507009873554805 (select (gt x 0) x (mul 1.6732632423543772 (expm1 x))))"
#define CELU "(add (max x 0) (min 0 (mul 2 (expm1 (div x 2)))))"
#define SOFTPLUS_T "(select (gt x 20) x (softplus x))"
#define HARDSWISH "(div (mul x (min (max (add x 3) 0) 6)) 6)"
#define HARDSWISH_SELECT "(select (le x -3) 0 (select (ge x 3) x (div (mul x (add x 3)) 6)))"
#define SWISH_BETA "(mul x (sigmoid (mul b x)))"
#define SOFTSIGN "(div x (add 1 (abs x)))"

static const char *const smooth[] = {
    GELU,
    GELU_TANH,
    SILU,
    MISH,
    ELU,
    SELU,
    CELU,
    SOFTPLUS_T,
    HARDSWISH,
    HARDSWISH_SELECT,
    SWISH_BETA,
    SOFTSIGN,
    "(mul (mul x 0.5) (add 1 (tanh (mul 0.7978845608028654 (add x (mul 0.044715 (mul x (mul x x))))))))",
    "(mul (mul x 0.5) (add 1 (erf (div x 1.4142135623730951))))",
    "(mul x (tanh (log (add 1 (exp x)))))",
    "(add x b)",
    "(sub b x)",
    "(mul x (mul x b))",
    "(div b x)",
    "(div x b)",
    "(div (add x b) (sub x 3.3))",
    "(neg x)",
    "(abs x)",
    "(fma x x b)",
    "(fma x b x)",
    "(min x b)",
    "(max b x)",
    "(max 0.5 x)",
    "(min 0.5 x)",
    "(copysign x b)",
    "(copysign b x)",
    "(copysign 2 x)",
    "(sqrt (add 9 (mul x x)))",
    "(mul x (floor x))",
    "(mul x (ceil x))",
    "(mul x (trunc x))",
    "(exp x)",
    "(exp2 (mul x b))",
    "(expm1 x)",
    "(log (abs x))",
    "(log2 (abs x))",
    "(log1p (mul x x))",
    "(sin x)",
    "(cos (mul b x))",
    "(tan (mul 0.1 x))",
    "(atan x)",
    "(sinh x)",
    "(cosh x)",
    "(tanh x)",
    "(asinh x)",
    "(erf x)",
    "(erfc x)",
    "(pow (abs x) 2.5)",
    "(pow x 3)",
    "(pow x 5)",
    "(pow (abs x) b)",
    "(pow 3 x)",
    "(pow (add 1 (mul x x)) (mul x b))",
    "(sigmoid x)",
    "(softplus x)",
    "(round (mul x x))",
    "(grad_clip (mul x x) 1000)",
    "(select (and (gt x 0) (lt x b)) (mul x x) (sin x))",
    "(select (or (gt x 0) (not (lt x b))) (mul x x) (sin x))",
    "(select (gt (mul x x) 4) (select (gt x 0) (exp x) (mul x b)) (select (lt x 1) (sin x) (mul x (cos x))))",
    "(mul (select (gt x 0) x (mul b x)) (sigmoid (add x b)))",
    "(tanh (mul 0.3 (mul (sigmoid x) (add x (mul (tanh (mul x (sigmoid x))) b)))))",
    "(max (min (mul x (sigmoid (mul x b))) 6) -6)",
    "(mul (mul (round (add x b)) (sigmoid (round (add x b)))) b)",
    "(mul (select (gt x b) x b) (select (lt x b) (mul x x) (mul b 2)))",
};

static void check_differences(const char *function, int32_t by)
{
    static const long double at[] = {-30.1L, -6.3L, -2.7L, -1.1L, -0.4L, -0.05L, 0.03L,
                                     0.3L,   0.9L,  1.7L,  2.9L,  5.2L,  24.7L};
    at_graph graph = derived(function, by);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        long double x = at[i], b = 1.3L, h = 1e-6L;
        long double dx = by == X ? h : 0, db = by == B ? h : 0;
        long double expected =
            (evaluate(&graph, 0, x + dx, b + db, 0) - evaluate(&graph, 0, x - dx, b - db, 0)) / (2 * h);
        long double got = evaluate(&graph, 1, x, b, 2);
        if (!isfinite(expected))
            continue;
        cr_expect(fabsl(got - 2 * expected) <= 4e-7L * (fabsl(expected) + 1e-2L),
                  "%s by %d at %Lg: %.12Lg, expected %.12Lg", function, (int)by, x, got / 2, expected);
    }
    at_graph_clear(&graph);
}

Test(differentiate, central_differences)
{
    for (size_t i = 0; i < sizeof smooth / sizeof *smooth; i++) {
        check_differences(smooth[i], X);
        check_differences(smooth[i], B);
    }
}

typedef struct point {
    const char *function;
    int32_t by;
    double x, dy, expected;
} point;

static const double INF = INFINITY;

Test(differentiate, kinks_and_special_values)
{
    const point points[] = {
        {"(max x 0)", X, 0, 3, 0},
        {"(max x 0)", X, -0.0, 3, 0},
        {"(max x 0)", X, NAN, 3, 3},
        {"(max x 0)", X, -1, INF, 0},
        {"(max x 0)", X, -1, NAN, 0},
        {"(max x 0)", X, 1, 3, 3},
        {"(max 0 x)", X, NAN, 3, 3},
        {"(max 0 x)", X, 0, 3, 3},
        {"(min (max x 0) 6)", X, 6, 3, 0},
        {"(min (max x 0) 6)", X, 0, 3, 0},
        {"(min (max x 0) 6)", X, 5, 3, 3},
        {"(select (lt x -1) -1 (select (gt x 1) 1 x))", X, 1, 3, 3},
        {"(select (lt x -1) -1 (select (gt x 1) 1 x))", X, -1, 3, 3},
        {"(select (lt x -1) -1 (select (gt x 1) 1 x))", X, 1.5, INF, 0},
        {"(select (gt x 0) x (mul 0.5 x))", X, 0, 3, 1.5},
        {"(select (gt x 0) x (mul b x))", B, INF, 3, 0},
        {"(select (gt x 0) x (mul b x))", B, -2, 3, -6},
        {"(select (gt x 0) x (mul b (expm1 x)))", X, INF, 3, 3},
        {"(select (gt x 0) x (mul b (expm1 x)))", B, INF, 3, 0},
        {"(select (gt x 0) (sqrt x) 0)", X, 0, 3, 0},
        {"(select (gt x 0) (log x) x)", X, 0, 3, 3},
        {"(select (gt x 0) (mul x (log x)) 0)", X, -1, 3, 0},
        {"(add (select (gt x 0) (sqrt x) 0) (select (gt x 1) (sqrt x) 1))", X, 0, 3, 0},
        {ELU, X, INF, 3, 3},
        {ELU, X, -INF, 3, 0},
        {ELU, X, 0, 2, 3},
        {"(abs x)", X, 0, 3, 0},
        {"(abs x)", X, -2, 3, -3},
        {"(abs x)", X, NAN, 3, NAN},
        {SILU, X, INF, 3, 3},
        {SILU, X, -INF, 3, 0},
        {SILU, X, NAN, 3, NAN},
        {GELU, X, INF, 3, 3},
        {GELU, X, -INF, 3, 0},
        {GELU, X, NAN, 3, NAN},
        {GELU_TANH, X, INF, 3, 3},
        {GELU_TANH, X, -INF, 3, 0},
        {GELU_TANH, X, NAN, 3, NAN},
        {MISH, X, INF, 3, 3},
        {MISH, X, -INF, 3, 0},
        {MISH, X, NAN, 3, NAN},
        {SWISH_BETA, X, INF, 3, 3},
        {SWISH_BETA, X, -INF, 3, 0},
        {SWISH_BETA, B, INF, 3, 0},
        {SWISH_BETA, B, -INF, 3, 0},
        {SOFTSIGN, X, INF, 3, 0},
        {SOFTSIGN, X, -INF, 3, 0},
        {SOFTSIGN, X, 0, 3, 3},
        {"(tanh x)", X, INF, 3, 0},
        {"(sigmoid x)", X, -INF, 3, 0},
        {"(softplus x)", X, INF, 3, 3},
        {SOFTPLUS_T, X, INF, 3, 3},
        {SOFTPLUS_T, X, -INF, 3, 0},
        {"(atan x)", X, INF, 3, 0},
        {"(mul x (exp x))", X, -INF, 3, 0},
        {"(mul x (exp (neg (mul x x))))", X, INF, 3, 0},
        {HARDSWISH, X, INF, 3, 3},
        {HARDSWISH, X, -INF, 3, 0},
        {HARDSWISH_SELECT, X, -3, 3, 0},
        {HARDSWISH_SELECT, X, INF, 3, 3},
        {"(pow x 2)", X, 0, 3, 0},
        {"(pow x b)", B, 0, 3, 0},
        {"(grad_clip x 1)", X, 5, 3, 1},
        {"(grad_clip x 1)", X, 5, -3, -1},
        {"(grad_clip x 1)", X, 5, NAN, NAN},
        {"(mul 3 (grad_clip (mul 2 x) 1))", X, 5, 1, 2},
        {"(grad_clip (max x 0) 1)", X, -1, 3, 0},
        {"(add (grad_clip x 1) (mul 2 (grad_clip x 2)))", X, 5, 3, 3},
        {"(floor x)", X, 5, 3, 0},
        {"(sin b)", X, 5, 3, 0},
    };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        const point *p = &points[i];
        at_graph graph = derived(p->function, p->by);
        for (int f32 = 0; f32 < 2; f32++) {
            double got = f32 ? evaluate_f32(&graph, 1, (float)p->x, 1.5f, (float)p->dy)
                             : (double)evaluate(&graph, 1, p->x, 1.5L, p->dy);
            cr_expect(isnan(p->expected) ? isnan(got) : fabs(got - p->expected) <= 1e-6,
                      "%s by %d at %g, dy %g: %g, expected %g%s", p->function, (int)p->by, p->x, p->dy, got,
                      p->expected, f32 ? " (f32)" : "");
        }
        at_graph_clear(&graph);
    }
}

/* The derivative class: 4 ULP or 3e-7, over all magnitudes, each op rounded to f32. */
Test(differentiate, accurate_in_f32)
{
    static const char *const functions[] = {GELU,
                                            GELU_TANH,
                                            SILU,
                                            MISH,
                                            ELU,
                                            CELU,
                                            SOFTPLUS_T,
                                            HARDSWISH,
                                            SOFTSIGN,
                                            "(tanh x)",
                                            "(sigmoid x)",
                                            "(softplus x)",
                                            "(log (sigmoid x))",
                                            "(mul x (sigmoid (mul 1.702 x)))"};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        at_graph graph = derived(functions[i], X);
        double worst = 0, where = 0;
        for (int k = 0; k < 60000; k++) {
            float x =
                (float)(k < 40000 ? (k - 20000) * 1e-3 : copysign(pow(10, (k % 10000) * 0.0076 - 38), k % 2 ? 1 : -1));
            double exact = (double)evaluate(&graph, 1, x, 0, 1), got = evaluate_f32(&graph, 1, x, 0, 1);
            cr_assert(isfinite(got), "%s at %g: %g", functions[i], (double)x, got);
            double ulp = fmax(fabs(exact), FLT_MIN) * FLT_EPSILON;
            double error = fabs(got - exact) / fmax(4 * ulp, 3e-7);
            if (error > worst) {
                worst = error;
                where = x;
            }
        }
        cr_expect_leq(worst, 1, "%s: %.2f of the bound at %g", functions[i], worst, where);
        at_graph_clear(&graph);
    }
}

/* Tails keep their relative accuracy: no s(1-s), no 1-t*t. */
Test(differentiate, tails_do_not_cancel)
{
    static const struct {
        const char *function;
        double x, expected;
    } cases[] = {
        {"(sigmoid x)", 40, 4.248354255291589e-18},   {"(sigmoid x)", -40, 4.248354255291589e-18},
        {"(softplus x)", -40, 4.248354255291589e-18}, {"(expm1 x)", -40, 4.248354255291589e-18},
        {"(tanh x)", 20, 1.6993417021166355e-17},     {"(erfc x)", 5, -1.5670866531017335e-11},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_graph graph = derived(cases[i].function, X);
        float got = evaluate_f32(&graph, 1, (float)cases[i].x, 0, 1);
        cr_expect_leq(fabs(got / cases[i].expected - 1), 3e-6, "%s at %g: %g", cases[i].function, cases[i].x,
                      (double)got);
        at_graph_clear(&graph);
    }
}

/* The gradients of random smooth graphs. */
Test(differentiate, random_graphs)
{
    static const at_op ops[] = {AT_OP_ADD,      AT_OP_SUB,    AT_OP_MUL,     AT_OP_NEG, AT_OP_FMA,  AT_OP_MIN,
                                AT_OP_MAX,      AT_OP_TANH,   AT_OP_SIGMOID, AT_OP_SIN, AT_OP_ATAN, AT_OP_ERF,
                                AT_OP_SOFTPLUS, AT_OP_SELECT, AT_OP_LT,      AT_OP_GE,  AT_OP_AND,  AT_OP_ROUND};
    static long double values[VALUES_MAX];
    uint64_t state = 11;
    int checked = 0;
    for (int round = 0; round < 3000; round++) {
        at_graph graph = {0};
        at_node_id x = at_graph_input(&graph, 0);
        at_graph_input(&graph, 1);
        at_graph_constant(&graph, 0.7);
        for (int k = 0; k < 16; k++)
            add_random_node(&graph, ops[random_below(&state, sizeof ops / sizeof *ops)], &state);
        at_node_id from = graph.count - 1, gradient, dy = at_graph_constant(&graph, 1);
        if (at_op_get(graph.nodes[from].op)->result != 'R') {
            at_graph_clear(&graph);
            continue;
        }
        int32_t by = 0, before = graph.count;
        cr_assert_eq(at_pass_differentiate(&graph, from, dy, &by, 1, &gradient), ACTUNE_OK);
        cr_assert_eq(graph.nodes[x].op, AT_OP_INPUT);
        cr_assert_leq(graph.count, 40 * before);
        long double in[2] = {0.37L, -0.61L}, h = 1e-6L, slope[2], y[3];
        at_graph_eval(&graph, in, values);
        long double got = values[gradient];
        for (int k = 0; k < 3; k++) {
            in[0] = 0.37L + (k - 1) * h;
            at_graph_eval(&graph, in, values);
            y[k] = values[from];
        }
        slope[0] = (y[1] - y[0]) / h;
        slope[1] = (y[2] - y[1]) / h;
        long double size = 1 + fabsl(slope[0]);
        if (isfinite(size) && size < 1e6L && fabsl(slope[0] - slope[1]) < 1e-3L * size) {
            checked++;
            cr_assert_leq((double)fabsl(got - (slope[0] + slope[1]) / 2), (double)(1e-5L * size),
                          "round %d: %Lg for %Lg", round, got, slope[0]);
        }
        at_graph_clear(&graph);
    }
    cr_expect_geq(checked, 1500);
}

Test(differentiate, small_graphs_and_factored_seeds)
{
    static const struct {
        const char *function, *gradient;
    } cases[] = {
        {"(max x 0)", "(select (le x 0) 0 dy)"},
        {"(select (gt x 0) x (mul 0.01 x))", "(select (gt x 0) dy (mul dy 0.01))"},
        {"(max x (mul 0.01 x))", "(select (le x (mul x 0.01)) (mul dy 0.01) dy)"},
        {"(sigmoid x)", "(mul dy (mul (sigmoid x) (sigmoid (neg x))))"},
        {"(exp x)", "(mul dy (exp x))"},
        {"(add x b)", "dy"},
        {"(mul x b)", "(mul b dy)"},
        {"(mul x (mul x x))", "(mul dy (mul (mul x x) 3))"},
        {"(max x -3.4028234663852886e+38)", "dy"},
        {"(min (max x 0) inf)", "(select (le x 0) 0 dy)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_graph got = derived(cases[i].function, X), wanted = graph_of(cases[i].gradient);
        got.output[0] = got.output[1];
        got.outputs = 1;
        cr_assert_eq(at_pass_cse(&got), ACTUNE_OK);
        cr_assert_eq(at_pass_cse(&wanted), ACTUNE_OK);
        at_strbuf text = {0};
        at_graph_print(&got, &text);
        cr_expect(graphs_equal(&got, &wanted), "%s gives\n%s", cases[i].function, at_strbuf_text(&text));
        at_strbuf_clear(&text);
        at_graph_clear(&got);
        at_graph_clear(&wanted);
    }
}

/* A chain of gates must not double the work with every link. */
Test(differentiate, chains_stay_linear)
{
    at_graph graph = {0};
    at_node_id x = at_graph_input(&graph, 0), y = x;
    for (int i = 0; i < 30; i++)
        y = at_graph_2(&graph, AT_OP_MUL, y, at_graph_1(&graph, AT_OP_SIGMOID, y));
    int32_t before = graph.count, by = 0;
    at_node_id dy = at_graph_input(&graph, 1), gradient;
    cr_assert_eq(at_pass_differentiate(&graph, y, dy, &by, 1, &gradient), ACTUNE_OK);
    cr_expect_leq(graph.count, 10 * before, "%d nodes from %d", (int)graph.count, (int)before);
    at_graph_clear(&graph);
}

Test(differentiate, many_masks_and_unsupported)
{
    at_graph graph = {0};
    at_node_id x = at_graph_input(&graph, 0), y = x;
    for (int i = 0; i < 20; i++) /* bounds that all hold at 0.5 */
        y = at_graph_2(&graph, i % 2 ? AT_OP_MIN : AT_OP_MAX, y, at_graph_constant(&graph, i % 2 ? 40 - i : i - 40));
    at_node_id dy = at_graph_input(&graph, 3), gradient;
    int32_t by = 0;
    cr_assert_eq(at_pass_differentiate(&graph, y, dy, &by, 1, &gradient), ACTUNE_OK);
    graph.output[0] = y;
    graph.output[1] = gradient;
    graph.outputs = 2;
    cr_expect(evaluate(&graph, 1, 0.5L, 0, 3) == 3);
    cr_expect(evaluate(&graph, 1, 100, 0, 3) == 0);
    cr_expect(evaluate(&graph, 1, -100, 0, 3) == 0);
    at_node_id stretch = at_graph_1(&graph, AT_OP_STRETCH, x);
    cr_expect_eq(at_pass_differentiate(&graph, stretch, dy, &by, 1, &gradient), ACTUNE_UNSUPPORTED);
    cr_expect_geq(graph.count, 22, "the graph is handed back");
    by = 9;
    cr_assert_eq(at_pass_differentiate(&graph, y, dy, &by, 1, &gradient), ACTUNE_OK);
    cr_expect_eq(graph.nodes[gradient].op, AT_OP_CONSTANT);
    at_graph_clear(&graph);
}

/* An activation with its defaults as constants, and its derivative. */
static at_graph derived_activation(const at_activation *activation)
{
    at_graph graph = {0};
    at_node_id inputs[1 + AT_PARAMETERS_MAX] = {at_graph_input(&graph, X)}, gradient;
    for (int i = 0; i < activation->parameters; i++)
        inputs[1 + i] = at_graph_constant(&graph, activation->parameter[i].default_value);
    cr_assert_eq(at_graph_inline(&graph, &activation->graph, inputs, 1 + activation->parameters, graph.output),
                 ACTUNE_OK);
    graph.outputs = 1;
    cr_assert_eq(at_pass_fold(&graph), ACTUNE_OK);
    cr_assert_eq(at_pass_stabilise(&graph), ACTUNE_OK);
    at_node_id dy = at_graph_input(&graph, DY);
    int32_t by = X;
    cr_assert_eq(at_pass_differentiate(&graph, graph.output[0], dy, &by, 1, &gradient), ACTUNE_OK);
    graph.output[graph.outputs++] = gradient;
    cr_assert_eq(at_pass_fold(&graph), ACTUNE_OK);
    cr_assert_eq(at_pass_stabilise(&graph), ACTUNE_OK);
    return graph;
}

/* Whatever templates/activations holds: limits at the ends, NaN, differences, the derivative class in f32. */
Test(differentiate, every_built_in)
{
    cr_assert_geq(at_activation_count(), 20);
    for (int i = 0; i < at_activation_count(); i++) {
        const char *name = at_activation_get(i)->name;
        at_graph graph = derived_activation(at_activation_get(i));
        cr_expect_leq(graph.count, 40, "%s: %d nodes", name, (int)graph.count);
        for (int sign = -1; sign <= 1; sign += 2) {
            float far = evaluate_f32(&graph, 1, sign * INFINITY, 0, 1),
                  near = evaluate_f32(&graph, 1, sign * 1e30f, 0, 1);
            bool grows = isinf(far) && far * near > 1e20f; /* x^2 */
            cr_expect(grows || fabsf(far - near) <= 1e-6f, "%s: %g at %g, %g at infinity", name, (double)near, sign * 1e30,
                      (double)far);
        }
        float slope = evaluate_f32(&graph, 1, NAN, 0, 3), value = evaluate_f32(&graph, 0, NAN, 0, 3);
        cr_expect(isnan(value), "%s(NaN) is %g", name, (double)value);
        cr_expect(isnan(slope) || isfinite(slope), "%s'(NaN)", name);
        for (int k = -900; k <= 900; k++) {
            float x = (float)k * 0.037f + 1e-4f;
            long double h = 1e-6L, exact = evaluate(&graph, 1, x, 0, 1);
            long double wanted = (evaluate(&graph, 0, x + h, 0, 0) - evaluate(&graph, 0, x - h, 0, 0)) / (2 * h);
            cr_expect(fabsl(exact - wanted) < 1e-8L, "%s'(%g): %Lg, differences %Lg", name, (double)x, exact, wanted);
            long double error = fabsl(evaluate_f32(&graph, 1, x, 0, 1) - exact);
            cr_expect(error <= fmaxl(4.8e-7L * fabsl(exact), 3e-7L), "%s'(%g) in f32: off by %Lg", name, (double)x,
                      error);
        }
        at_graph_clear(&graph);
    }
}
