#include "codegen/judge.h"
#include "codegen/pass_factor.h"
#include "codegen/stretch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define INPUT "%0 = input 0\n"

static at_graph graph_of(const char *text)
{
    at_graph graph = {0};
    cr_assert_eq(at_graph_parse(text, &graph), ACTUNE_OK, "%s in\n%s", actune_last_error(), text);
    return graph;
}

static const struct span_case {
    const char *name, *text;
    int count;
    at_node_id entry, exit; /* of the first */
    bool unary, gradient;
} span_cases[] = {
    {"silu", INPUT "%1 = sigmoid %0\n%2 = mul %0 %1\nreturn %2\n", 1, 0, 2, true, true},
    {"bias | silu", INPUT "%1 = input 1\n%2 = add %0 %1\n%3 = round %2\n%4 = sigmoid %3\n%5 = mul %3 %4\nreturn %5\n", 1, 3, 5, true, true},
    {"silu | clip: the clip stays outside",
     INPUT "%1 = sigmoid %0\n%2 = mul %0 %1\n%3 = round %2\n%4 = const 6\n%5 = min %3 %4\nreturn %5\n", 1, 0, 2, true, false},
    {"clip | tanh: the clip stays outside", INPUT "%1 = const 3\n%2 = min %0 %1\n%3 = tanh %2\nreturn %3\n", 1, 2, 3, true, true},
    {"a clip of selects stays outside", INPUT "%1 = tanh %0\n%2 = const -6\n%3 = const 6\n%4 = lt %1 %2\n%5 = gt %1 %3\n%6 = select %5 %3 %1\n"
     "%7 = select %4 %2 %6\nreturn %7\n", 1, 0, 1, true, true},
    {"elu' is no clip", INPUT "%1 = exp %0\n%2 = const 0\n%3 = gt %0 %2\n%4 = const 1\n%5 = select %3 %4 %1\nreturn %5\n", 1, 0, 5, true, true},
    {"leaky_relu | tanh", INPUT "%1 = const 0\n%2 = gt %0 %1\n%3 = const 0.01\n%4 = mul %0 %3\n%5 = select %2 %0 %4\n%6 = round %5\n%7 = tanh %6\nreturn %7\n",
     1, 6, 7, true, true},
    {"a comparison outside takes the value", INPUT "%1 = input 1\n%2 = tanh %0\n%3 = const 0\n%4 = lt %2 %3\n%5 = select %4 %1 %3\nreturn %5\n",
     1, 0, 2, true, true},
    {"elu is taken whole", INPUT "%1 = expm1 %0\n%2 = const 0\n%3 = gt %0 %2\n%4 = select %3 %0 %1\nreturn %4\n", 1, 0, 4, true, true},
    {"relu has none", INPUT "%1 = const 0\n%2 = max %0 %1\nreturn %2\n", 0, 0, 0, true, false},
    {"pow of two operands", INPUT "%1 = input 1\n%2 = pow %0 %1\n%3 = tanh %2\nreturn %3\n", 1, 2, 3, false, true},
    {"two operands, two spans", INPUT "%1 = input 1\n%2 = tanh %0\n%3 = exp %1\n%4 = mul %2 %3\nreturn %4\n", 2, 0, 2, true, true},
    {"one operand, used twice", INPUT "%1 = input 1\n%2 = tanh %0\n%3 = exp %2\n%4 = mul %2 %1\n%5 = add %3 %4\nreturn %5\n", 2, 0, 2, true, true},
};

Test(stretch, spans_are_maximal)
{
    for (size_t i = 0; i < sizeof span_cases / sizeof *span_cases; i++) {
        const struct span_case *c = &span_cases[i];
        at_graph graph = graph_of(c->text);
        at_span spans[4];
        int count;
        bool unary;
        cr_assert_eq(at_spans_find(&graph, spans, 4, &count, &unary), ACTUNE_OK);
        cr_assert_eq(count, c->count, "%s: %d spans", c->name, count);
        cr_assert_eq(unary, c->unary, "%s", c->name);
        if (count) {
            cr_assert(spans[0].entry == c->entry && spans[0].exit == c->exit, "%s: %d to %d", c->name, spans[0].entry, spans[0].exit);
            cr_assert_eq(spans[0].gradient, c->gradient, "%s", c->name);
            at_graph function;
            cr_assert_eq(at_span_extract(&graph, spans[0], &function), ACTUNE_OK);
            cr_assert_eq(function.outputs, 1);
            at_graph_clear(&function);
        }
        at_graph_clear(&graph);
    }
}

Test(stretch, stages_part_a_span)
{
    at_graph graph = graph_of(INPUT "%1 = sigmoid %0\n%2 = mul %0 %1\n%3 = const 0.5\n%4 = min %2 %3\n%5 = round %4\n%6 = tanh %5\nreturn %6\n");
    at_span spans[4], lower, upper;
    int count;
    bool unary;
    cr_assert_eq(at_spans_find(&graph, spans, 4, &count, &unary), ACTUNE_OK);
    cr_assert(count == 1 && spans[0].entry == 0 && spans[0].exit == 6);
    cr_assert(at_span_split(&graph, spans[0], &lower, &upper));
    cr_assert(lower.entry == 0 && lower.exit == 2, "%d to %d", lower.entry, lower.exit);
    cr_assert(upper.entry == 5 && upper.exit == 6, "%d to %d", upper.entry, upper.exit);
    cr_assert_not(at_span_split(&graph, upper, &lower, &spans[1]));
    at_graph_clear(&graph);
}

/* The gradient is taken out of sums, products, negations and quotients; not out of a clip or of a select that stops it. */
Test(stretch, gradient_is_factored_out)
{
    static const struct {
        const char *text;
        int multiplications_by_dy, spans;
    } rows[] = {
        {INPUT "%1 = input 1\n%2 = sigmoid %0\n%3 = mul %1 %2\n%4 = mul %1 %0\n%5 = const 1\n%6 = sub %5 %2\n%7 = mul %2 %6\n"
               "%8 = mul %4 %7\n%9 = add %3 %8\nreturn %9\n", 1, 1},
        {INPUT "%1 = input 1\n%2 = const 0\n%3 = gt %0 %2\n%4 = exp %0\n%5 = mul %1 %4\n%6 = select %3 %1 %5\nreturn %6\n", 1, 1},
        {INPUT "%1 = input 1\n%2 = const 0\n%3 = tanh %0\n%4 = gt %3 %2\n%5 = select %4 %1 %2\n%6 = cosh %0\n%7 = div %5 %6\n"
               "%8 = neg %7\nreturn %8\n", 0, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        at_graph graph = graph_of(rows[i].text), before = {0};
        cr_assert_eq(at_graph_copy(&graph, &before), ACTUNE_OK);
        cr_assert_eq(at_pass_factor(&graph, 1), ACTUNE_OK);
        int products = 0;
        for (at_node_id v = 0; v < graph.count; v++) {
            const at_node *node = &graph.nodes[v];
            bool dy = node->op == AT_OP_MUL && ((graph.nodes[node->arg[0]].op == AT_OP_INPUT && graph.nodes[node->arg[0]].index == 1) ||
                                                (graph.nodes[node->arg[1]].op == AT_OP_INPUT && graph.nodes[node->arg[1]].index == 1));
            products += dy;
        }
        cr_assert_eq(products, rows[i].multiplications_by_dy, "row %zu: %d", i, products);
        at_span spans[4];
        int count;
        bool unary;
        cr_assert_eq(at_spans_find(&graph, spans, 4, &count, &unary), ACTUNE_OK);
        cr_assert_eq(count, rows[i].spans, "row %zu: %d spans", i, count);
        for (double x = -3; x <= 3; x += 0.37) {
            long double inputs[2] = {x, 0.75L}, old[64], new[64];
            at_graph_eval(&before, inputs, old);
            at_graph_eval(&graph, inputs, new);
            cr_assert(fabsl(old[before.output[0]] - new[graph.output[0]]) < 1e-15L, "row %zu at %g", i, x);
        }
        at_graph_clear(&graph);
        at_graph_clear(&before);
    }
}

Test(stretch, forms_are_judged_by_their_error)
{
    static const struct {
        const char *text, *form;
        at_accuracy accuracy;
        bool fits;
    } rows[] = {
        {INPUT "%1 = sigmoid %0\nreturn %1\n", "poly", AT_ACCURACY_STANDARD, true},
        {INPUT "%1 = sigmoid %0\nreturn %1\n", "poly", AT_ACCURACY_EXACT, false},
        {INPUT "%1 = sigmoid %0\nreturn %1\n", "accurate", AT_ACCURACY_EXACT, true},
        {INPUT "%1 = sigmoid %0\nreturn %1\n", "exp32rcp", AT_ACCURACY_STANDARD, false},
        {INPUT "%1 = sigmoid %0\nreturn %1\n", "exp32rcp", AT_ACCURACY_FAST, true},
        {INPUT "%1 = exp %0\n%2 = const 1\n%3 = sub %1 %2\nreturn %3\n", "poly", AT_ACCURACY_STANDARD, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        at_graph graph = graph_of(rows[i].text);
        double share = at_judge_calls(&graph, rows[i].form, rows[i].accuracy, false);
        cr_assert_eq(share <= 1, rows[i].fits, "row %zu: %g", i, share);
        at_graph_clear(&graph);
    }
}
