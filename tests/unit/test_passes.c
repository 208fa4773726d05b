/* Fold, cse and stabilise: what they must do by example, that fold and cse change no value on random graphs, and that
   what stabilise makes is accurate in f32 where the naive form is not. */
#include "codegen/pass.h"
#include "unit/graphs.h"

#include <criterion/criterion.h>
#include <math.h>

typedef struct rewrite_case {
    const char *before, *after;
} rewrite_case;

static void check_cases(const rewrite_case *cases, size_t count, actune_status (*pass)(at_graph *))
{
    for (size_t i = 0; i < count; i++) {
        at_graph before = graph_of(cases[i].before), after = graph_of(cases[i].after);
        cr_assert_eq(pass(&before), ACTUNE_OK);
        at_strbuf got = {0}, wanted = {0};
        at_graph_print(&before, &got);
        at_graph_print(&after, &wanted);
        cr_expect_str_eq(at_strbuf_text(&got), at_strbuf_text(&wanted), "%s gives\n%s", cases[i].before,
                         at_strbuf_text(&got));
        at_strbuf_clear(&got);
        at_strbuf_clear(&wanted);
        at_graph_clear(&before);
        at_graph_clear(&after);
    }
}

/* Graphs are written as prefix text: "(add x 1)", see graphs.h. */
Test(passes, cse_by_example)
{
    static const rewrite_case cases[] = {
        {"(add (exp x) (exp x))", "(add (exp x) (exp x))"},
        {"(add 1 x)", "(add x 1)"},
        {"(mul (sigmoid x) x)", "(mul x (sigmoid x))"},
        {"(select (lt 0 x) (mul b x) (mul x b))", "(select (gt x 0) (mul x b) (mul x b))"},
        {"(fma 2 x (sub 1 x))", "(fma x 2 (sub 1 x))"},
        {"(max 0 x)", "(max 0 x)"},
        {"(add (sin x) (exp x))", "(add (exp x) (sin x))"},
    };
    check_cases(cases, sizeof cases / sizeof *cases, at_pass_cse);
    at_graph graph = graph_of("(add (mul x (exp (add x b))) (mul (exp (add b x)) x))");
    cr_assert_eq(at_pass_cse(&graph), ACTUNE_OK);
    cr_expect_eq(graph.count, 6);
    at_graph_clear(&graph);
}

Test(passes, cse_keeps_outputs_in_order_and_drops_what_is_dead)
{
    at_graph graph;
    cr_assert_eq(at_graph_parse(
                     "%0 = input 0\n%1 = exp %0\n%2 = neg %0\n%3 = neg %0\n%4 = sin %0\nreturn %3 %1 %2 %0\n", &graph),
                 ACTUNE_OK);
    cr_assert_eq(at_pass_cse(&graph), ACTUNE_OK);
    at_strbuf text = {0};
    at_graph_print(&graph, &text);
    cr_expect_str_eq(at_strbuf_text(&text), "%0 = input 0\n%1 = neg %0\n%2 = exp %0\nreturn %1 %2 %1 %0\n");
    at_strbuf_clear(&text);
    at_graph_clear(&graph);
}

Test(passes, fold_by_example)
{
    static const rewrite_case cases[] = {
        {"(mul 2 (add 1 3))", "8"},
        {"(mul x 1)", "x"},
        {"(mul -1 x)", "(neg x)"},
        {"(mul x 0)", "(mul x 0)"},
        {"(add x 0)", "(add x 0)"},
        {"(add x -0)", "x"},
        {"(sub x 0)", "x"},
        {"(sub x x)", "(sub x x)"},
        {"(sub 0 x)", "(sub 0 x)"},
        {"(sub -0 x)", "(neg x)"},
        {"(neg (neg x))", "x"},
        {"(mul (neg x) (neg b))", "(mul x b)"},
        {"(mul (neg x) b)", "(neg (mul x b))"},
        {"(mul (neg x) 3)", "(mul x -3)"},
        {"(neg (mul x 3))", "(mul x -3)"},
        {"(add x (neg b))", "(sub x b)"},
        {"(add (neg x) b)", "(sub b x)"},
        {"(sub x (neg b))", "(add x b)"},
        {"(div x 1)", "x"},
        {"(div x 4)", "(mul x 0.25)"},
        {"(div x 3)", "(div x 3)"},
        {"(div (neg x) b)", "(neg (div x b))"},
        {"(div -1 (neg x))", "(div 1 x)"},
        {"(mul (mul x 0.5) 3)", "(mul x 1.5)"},
        {"(mul (mul x 3) 5)", "(mul (mul x 3) 5)"},
        {"(mul (mul x 0.5) (mul (sigmoid x) 2))", "(mul x (sigmoid x))"},
        {"(mul x 2)", "(mul x 2)"},
        {"(select (gt x 0) b b)", "b"},
        {"(select (gt x 0) (select (gt x 0) x b) 3)", "(select (gt x 0) x 3)"},
        {"(select (gt x 0) x (select (gt x 0) b 3))", "(select (gt x 0) x 3)"},
        {"(select (gt 1 0) x b)", "x"},
        {"(select (lt x x) x b)", "b"},
        {"(select (eq x x) x b)", "(select (eq x x) x b)"},
        {"(select (not (gt x 0)) x b)", "(select (gt x 0) b x)"},
        {"(select (not (eq x 0)) x b)", "(select (ne x 0) x b)"},
        {"(select (and (gt 1 0) (gt x 0)) x b)", "(select (gt x 0) x b)"},
        {"(select (and (gt 0 1) (gt x 0)) x b)", "b"},
        {"(select (or (gt 0 1) (gt x 0)) x b)", "(select (gt x 0) x b)"},
        {"(abs (neg x))", "(abs x)"},
        {"(tanh (neg x))", "(neg (tanh x))"},
        {"(cosh (neg x))", "(cosh x)"},
        {"(abs (exp x))", "(exp x)"},
        {"(copysign x -2)", "(neg (abs x))"},
        {"(copysign (abs x) b)", "(copysign x b)"},
        {"(max (max x 1) 2)", "(max x 2)"},
        {"(max (max x 0) -0)", "(max (max x 0) -0)"},
        {"(max x -inf)", "x"},
        {"(min x inf)", "x"},
        {"(max x x)", "x"},
        {"(floor (trunc x))", "(trunc x)"},
        {"(fma x 1 b)", "(add x b)"},
        {"(fma x -1 b)", "(sub b x)"},
        {"(fma x b -0)", "(mul x b)"},
        {"(pow x 1)", "x"},
        {"(pow x 2)", "(mul x x)"},
        {"(pow x 3)", "(mul x (mul x x))"},
        {"(pow x -1)", "(div 1 x)"},
        {"(pow x 0)", "1"},
        {"(pow x 0.5)", "(pow x 0.5)"},
        {"(pow 2 x)", "(exp2 x)"},
        {"(round (round (exp x)))", "(round (exp x))"},
        {"(round (max x 0))", "(max x 0)"},
        {"(round (max x 0.1))", "(round (max x 0.1))"},
        {"(round 0.1)", "0.1"},
        {"(grad_clip 1 2)", "(grad_clip 1 2)"},
    };
    check_cases(cases, sizeof cases / sizeof *cases, at_pass_fold);
}

static const double SPECIAL[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1, -1, 0.5, -2, 3, -7.25, 1e-3};
enum { SPECIALS = sizeof SPECIAL / sizeof *SPECIAL, INPUTS = 3 };

static void random_inputs(uint64_t *state, long double *inputs)
{
    for (int i = 0; i < INPUTS; i++)
        inputs[i] = SPECIAL[random_below(state, SPECIALS)];
}

/* POW is not among them: its whole powers become products, which round differently. */
static at_graph random_graph(uint64_t *state)
{
    at_graph graph = {0};
    for (int i = 0; i < INPUTS; i++)
        at_graph_input(&graph, i);
    for (int i = 0; i < 4; i++)
        at_graph_constant(&graph, SPECIAL[random_below(state, SPECIALS)]);
    int nodes = 4 + (int)random_below(state, 24);
    while (graph.count < nodes + INPUTS + 4) {
        at_op op = (at_op)random_below(state, AT_OP_STRETCH);
        if (op != AT_OP_POW && op != AT_OP_CONSTANT && op != AT_OP_INPUT)
            add_random_node(&graph, op, state);
    }
    while (graph.outputs < 3) {
        at_node_id id = (at_node_id)random_below(state, (uint32_t)graph.count);
        if (at_op_get(graph.nodes[id].op)->result == 'R')
            graph.output[graph.outputs++] = id;
    }
    return graph;
}

static bool is_same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

static void compare_values(const at_graph *before, const at_graph *after, uint64_t *state, const char *what)
{
    static long double a[512], b[512];
    cr_assert(before->count <= 512 && after->count <= 512);
    for (int trial = 0; trial < 24; trial++) {
        long double inputs[INPUTS];
        random_inputs(state, inputs);
        eval_rounded(before, inputs, a, round_to_double);
        eval_rounded(after, inputs, b, round_to_double);
        for (int k = 0; k < before->outputs; k++) {
            double x = (double)a[before->output[k]], y = (double)b[after->output[k]];
            if (!is_same(x, y)) {
                at_strbuf text = {0};
                at_graph_print(before, &text);
                at_graph_print(after, &text);
                cr_assert_fail("%s: output %d at (%Lg, %Lg, %Lg) is %.17g, was %.17g\n%s", what, k, inputs[0],
                               inputs[1], inputs[2], y, x, at_strbuf_text(&text));
            }
        }
    }
}

/* Every node is rounded to double: an identity that is exact in IEEE arithmetic keeps every bit. */
Test(passes, fold_and_cse_keep_every_value)
{
    uint64_t state = 7;
    for (int round = 0; round < 20000; round++) {
        at_graph graph = random_graph(&state), folded, again;
        cr_assert_eq(at_graph_copy(&graph, &folded), ACTUNE_OK);
        cr_assert_eq(at_pass_cse(&folded), ACTUNE_OK);
        compare_values(&graph, &folded, &state, "cse");
        cr_assert_eq(at_pass_fold(&folded), ACTUNE_OK);
        compare_values(&graph, &folded, &state, "fold");
        cr_assert_leq(folded.count, graph.count);
        cr_assert_eq(at_graph_copy(&folded, &again), ACTUNE_OK);
        cr_assert_eq(at_pass_fold(&again), ACTUNE_OK);
        cr_assert(graphs_equal(&folded, &again), "fold is not idempotent");
        cr_assert_eq(at_pass_cse(&again), ACTUNE_OK);
        cr_assert(graphs_equal(&folded, &again), "fold leaves work for cse");
        at_graph_clear(&graph);
        at_graph_clear(&folded);
        at_graph_clear(&again);
    }
}

/* The order in which a graph was built does not show in its canonical form. */
Test(passes, cse_is_canonical)
{
    static const rewrite_case pairs[] = {
        {"(add (mul x b) (mul (exp x) c))", "(add (mul c (exp x)) (mul b x))"},
        {"(select (and (gt x 0) (lt x 6)) x b)", "(select (and (gt 6 x) (lt 0 x)) x b)"},
        {"(fma (exp x) (sin x) (cos x))", "(fma (sin x) (exp x) (cos x))"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        at_graph a = graph_of(pairs[i].before), b = graph_of(pairs[i].after);
        cr_assert_eq(at_pass_cse(&a), ACTUNE_OK);
        cr_assert_eq(at_pass_cse(&b), ACTUNE_OK);
        cr_expect(graphs_equal(&a, &b), "%s", pairs[i].before);
        at_graph_clear(&a);
        at_graph_clear(&b);
    }
}

Test(passes, stabilise_by_example)
{
    static const rewrite_case cases[] = {
        {"(log (add 1 (exp x)))", "(softplus x)"},
        {"(log (add (exp x) 1))", "(softplus x)"},
        {"(log1p (exp x))", "(softplus x)"},
        {"(log (sub 1 (neg (exp x))))", "(softplus x)"},
        {"(log1p (exp (neg (abs x))))", "(softplus (neg (abs x)))"},
        {"(div 1 (add 1 (exp (neg x))))", "(sigmoid x)"},
        {"(div 1 (add 1 (exp x)))", "(sigmoid (neg x))"},
        {"(div x (add 1 (exp (neg x))))", "(mul x (sigmoid x))"},
        {"(div x (add 1 (exp (mul -1.702 x))))", "(mul x (sigmoid (mul x 1.702)))"},
        {"(div 3 (add 2 (mul 2 (exp (neg x)))))", "(mul (sigmoid x) 1.5)"},
        {"(div (exp x) (add 1 (exp x)))", "(sigmoid x)"},
        {"(div (exp x) (add (exp x) 1))", "(sigmoid x)"},
        {"(sub (exp x) 1)", "(expm1 x)"},
        {"(add -1 (exp x))", "(expm1 x)"},
        {"(sub 1 (exp x))", "(neg (expm1 x))"},
        {"(sub (mul 3 (exp x)) 3)", "(mul (expm1 x) 3)"},
        {"(sub (mul b (exp x)) b)", "(mul b (expm1 x))"},
        {"(fma (exp x) 2 -2)", "(mul (expm1 x) 2)"},
        {"(add (expm1 x) 1)", "(exp x)"},
        {"(add 1 (erf x))", "(erfc (neg x))"},
        {"(sub 1 (erf x))", "(erfc x)"},
        {"(mul (mul x 0.5) (add 1 (erf (mul x 3))))", "(mul (mul x 0.5) (erfc (mul x -3)))"},
        {"(add 0.5 (mul 0.5 (erf x)))", "(mul (erfc (neg x)) 0.5)"},
        {"(sub 1 (erfc x))", "(erf x)"},
        {"(sub 2 (erfc x))", "(erfc (neg x))"},
        {"(mul 0.5 (add 1 (tanh x)))", "(sigmoid (mul x 2))"},
        {"(add 0.5 (mul 0.5 (tanh (mul x 0.5))))", "(sigmoid x)"},
        {"(add 1 (tanh x))", "(mul (sigmoid (mul x 2)) 2)"},
        {"(sub 1 (tanh x))", "(mul (sigmoid (mul x -2)) 2)"},
        {"(mul (mul x 0.5) (add 1 (tanh (mul x 3))))", "(mul x (sigmoid (mul x 6)))"},
        {"(log (add 1 x))", "(log1p x)"},
        {"(log (sub 1 x))", "(log1p (neg x))"},
        {"(log (sub x -1))", "(log1p x)"},
        {"(log (add 2 x))", "(log (add x 2))"},
        {"(log (exp x))", "x"},
        {"(log (sigmoid x))", "(neg (softplus (neg x)))"},
        {"(log (div 1 (add 1 (exp (neg x)))))", "(neg (softplus (neg x)))"},
        {"(sub 1 (sigmoid x))", "(sigmoid (neg x))"},
        {"(sub 1 (div 1 (add 1 (exp (neg x)))))", "(sigmoid (neg x))"},
        {"(sub (mul 2 (sigmoid x)) 1)", "(tanh (mul x 0.5))"},
        {"(div (sub (exp (mul 2 x)) 1) (add (exp (mul 2 x)) 1))", "(tanh x)"},
        {"(div (sub 1 (exp (mul -2 x))) (add 1 (exp (mul -2 x))))", "(tanh x)"},
        {"(div (sub (exp x) (exp (neg x))) (add (exp x) (exp (neg x))))", "(tanh x)"},
        {"(mul x (tanh (log (add 1 (exp x)))))", "(mul x (tanh (softplus x)))"},
        {"(tanh (softplus x))", "(tanh (softplus x))"},
        {"(div b (sub 1 (exp x)))", "(neg (div b (expm1 x)))"},
        {"(add x (exp x))", "(add x (exp x))"},
        {"(sub 2 (erf x))", "(sub 2 (erf x))"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_graph after = graph_of(cases[i].after);
        cr_assert_eq(at_pass_stabilise(&after), ACTUNE_OK);
        at_graph fixed = graph_of(cases[i].after);
        cr_assert_eq(at_pass_cse(&fixed), ACTUNE_OK);
        cr_expect(graphs_equal(&after, &fixed), "not stable: %s", cases[i].after);
        at_graph before = graph_of(cases[i].before);
        cr_assert_eq(at_pass_stabilise(&before), ACTUNE_OK);
        at_strbuf text = {0};
        at_graph_print(&before, &text);
        cr_expect(graphs_equal(&before, &fixed), "%s gives\n%s", cases[i].before, at_strbuf_text(&text));
        at_strbuf_clear(&text);
        at_graph_clear(&before);
        at_graph_clear(&after);
        at_graph_clear(&fixed);
    }
}

/* The result of f32 arithmetic, an op at a time. */
static double f32_value(const at_graph *graph, double x)
{
    static long double values[256];
    long double inputs[INPUTS] = {x, 1.5L, 0.5L};
    cr_assert(graph->count <= 256);
    eval_rounded(graph, inputs, values, round_to_float);
    return (double)values[graph->output[0]];
}

/* Relative error of f32 arithmetic against long double, where the naive form loses everything. */
Test(passes, stabilise_is_accurate_where_the_naive_form_is_not)
{
    static const struct {
        const char *function;
        double x[4];
        double expected[4];
    } cases[] = {
        {"(log (add 1 (exp x)))", {-60, -20, 100, 1e4}, {8.756510762696521e-27, 2.0611536203143807e-09, 100, 1e4}},
        {"(div (exp x) (add 1 (exp x)))", {-60, 100, 1000, 1}, {8.756510762696521e-27, 1, 1, 0.7310585786300049}},
        {"(sub (exp x) 1)",
         {1e-10, -1e-6, 1e-20, 1},
         {1.00000000005e-10, -9.999995000001667e-07, 1e-20, 1.718281828459045}},
        {"(add 1 (erf x))",
         {-5, -6, -8, 1},
         {1.5374597944280347e-12, 2.1519736712498913e-17, 1.1224297172982928e-29, 1.8427007929497148}},
        {"(sub 1 (erf x))",
         {5, 6, 8, -1},
         {1.5374597944280347e-12, 2.1519736712498913e-17, 1.1224297172982928e-29, 1.8427007929497148}},
        {"(mul 0.5 (add 1 (tanh x)))",
         {-20, -30, 30, 1},
         {4.248354255291589e-18, 8.756510762696521e-27, 1, 0.8807970779778823}},
        {"(log (add 1 x))", {1e-10, -1e-9, 1e-20, 1}, {9.9999999995e-11, -1.0000000005e-09, 1e-20, 0.6931471805599453}},
        {"(sub 1 (sigmoid x))",
         {30, 60, 80, 0},
         {9.357622968840175e-14, 8.756510762696521e-27, 1.8048513878454153e-35, 0.5}},
        {"(log (sigmoid x))", {-200, -1e4, 30, 1}, {-200, -1e4, -9.357622968839737e-14, -0.31326168751822286}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_graph naive = graph_of(cases[i].function), stable = graph_of(cases[i].function);
        cr_assert_eq(at_pass_stabilise(&stable), ACTUNE_OK);
        int worse = 0;
        for (int k = 0; k < 4; k++) {
            double x = cases[i].x[k], expected = cases[i].expected[k], bound = 4e-7 * fmax(1, fabs(x) / 8);
            double error = fabs(f32_value(&stable, x) / expected - 1),
                   before = fabs(f32_value(&naive, x) / expected - 1);
            cr_expect_leq(error, bound, "%s at %g: %g", cases[i].function, x, error);
            worse += !(before <= bound);
        }
        cr_expect_geq(worse, 1, "%s was no test", cases[i].function);
        at_graph_clear(&naive);
        at_graph_clear(&stable);
    }
}

/* Wherever the naive graph is finite in long double, the stable one agrees; and stable stays stable. */
Test(passes, stabilise_keeps_values_and_is_idempotent)
{
    static const at_op ops[] = {AT_OP_ADD,  AT_OP_SUB, AT_OP_MUL,  AT_OP_DIV,     AT_OP_NEG, AT_OP_EXP,   AT_OP_LOG,
                                AT_OP_TANH, AT_OP_ERF, AT_OP_ERFC, AT_OP_SIGMOID, AT_OP_FMA, AT_OP_LOG1P, AT_OP_EXPM1};
    static long double a[256], b[256];
    uint64_t state = 5;
    for (int round = 0; round < 20000; round++) {
        at_graph graph = {0}, stable, again;
        at_graph_input(&graph, 0);
        for (int k = 0; k < 3; k++)
            at_graph_constant(&graph, (const double[]){1, -1, 2, 0.5, -0.5, 3}[random_below(&state, 6)]);
        for (int k = 0; k < 7; k++)
            add_random_node(&graph, ops[random_below(&state, sizeof ops / sizeof *ops)], &state);
        graph.output[graph.outputs++] = graph.count - 1;
        cr_assert_eq(at_graph_copy(&graph, &stable), ACTUNE_OK);
        cr_assert_eq(at_pass_stabilise(&stable), ACTUNE_OK);
        cr_assert_eq(at_graph_copy(&stable, &again), ACTUNE_OK);
        cr_assert_eq(at_pass_stabilise(&again), ACTUNE_OK);
        for (int k = 0; k < 5; k++) {
            long double inputs[INPUTS] = {(const long double[]){0.3L, -1.7L, 2.2L, -0.01L, 0.9L}[k]};
            at_graph_eval(&graph, inputs, a);
            at_graph_eval(&stable, inputs, b);
            long double x = a[graph.output[0]], y = b[stable.output[0]];
            bool large = false;
            for (int32_t i = 0; i < graph.count; i++)
                large = large || !(fabsl(a[i]) < 1e4L) || (a[i] != 0 && fabsl(a[i]) < 1e-4L);
            if (large)
                continue; /* its own rounding may be anything */
            at_strbuf text = {0};
            at_graph_print(&graph, &text);
            at_graph_print(&stable, &text);
            cr_assert_leq((double)fabsl(x - y), 1e-9 * (double)(1 + fabsl(x)), "%Lg, was %Lg at %Lg:\n%s", y, x,
                          inputs[0], at_strbuf_text(&text));
            at_strbuf_clear(&text);
        }
        cr_assert(graphs_equal(&stable, &again), "stabilise is not idempotent");
        at_graph_clear(&graph);
        at_graph_clear(&stable);
        at_graph_clear(&again);
    }
}
