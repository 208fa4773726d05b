/* Fold and cse: what they must do by example, and that they change no value on random graphs. */
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
