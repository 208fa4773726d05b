/* The graph: builders, inline, text and its refusals, reference evaluation. */
#include "codegen/graph.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char SILU[] = "%0 = input 0\n%1 = sigmoid %0\n%2 = mul %0 %1\nreturn %2\n";

Test(graph, ops_have_names_and_are_found_by_them)
{
    for (int i = 0; i < AT_OP_COUNT; i++) {
        at_op op;
        cr_assert(at_op_find(at_op_get((at_op)i)->name, &op));
        cr_assert_eq((int)op, i);
    }
    at_op op;
    cr_assert_not(at_op_find("sigmoids", &op));
    cr_assert_eq(at_op_get(AT_OP_SELECT)->arguments, 3);
    cr_assert_eq(at_op_get(AT_OP_LT)->result, 'B');
    cr_assert(at_op_get(AT_OP_EXP)->transcendental);
}

Test(graph, build_print_parse_copy)
{
    at_graph graph = {0}, copy, back;
    at_node_id x = at_graph_input(&graph, 0);
    at_node_id truth = at_graph_2(&graph, AT_OP_GT, x, at_graph_constant(&graph, -0.0));
    at_node_id y = at_graph_add(&graph, AT_OP_SELECT, truth, at_graph_1(&graph, AT_OP_EXP, x), x);
    graph.output[graph.outputs++] = y;
    graph.output[graph.outputs++] = at_graph_constant(&graph, 0.1);
    graph.output[graph.outputs++] = at_graph_constant(&graph, INFINITY);
    cr_assert_eq(at_graph_status(&graph), ACTUNE_OK);
    at_strbuf text = {0}, again = {0};
    at_graph_print(&graph, &text);
    cr_assert_str_eq(at_strbuf_text(&text), "%0 = input 0\n%1 = const -0\n%2 = gt %0 %1\n%3 = exp %0\n"
                                            "%4 = select %2 %3 %0\n%5 = const 0.1\n%6 = const inf\nreturn %4 %5 %6\n");
    cr_assert_eq(at_graph_parse(at_strbuf_text(&text), &back), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_graph_copy(&back, &copy), ACTUNE_OK);
    at_graph_print(&copy, &again);
    cr_assert_str_eq(at_strbuf_text(&again), at_strbuf_text(&text));
    cr_assert(signbit(copy.nodes[1].value));
    at_strbuf_clear(&text);
    at_strbuf_clear(&again);
    at_graph_clear(&graph);
    at_graph_clear(&copy);
    at_graph_clear(&back);
    cr_assert_eq(copy.count, 0);
}

Test(graph, an_empty_graph_prints_and_reads)
{
    at_graph graph;
    cr_assert_eq(at_graph_parse("return\n", &graph), ACTUNE_OK);
    cr_assert_eq(graph.outputs, 0);
    at_graph_clear(&graph);
}

Test(graph, refusals_name_the_line)
{
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        {"", 1},
        {"return", 1},
        {"return %0\n", 1},
        {"return\n\n", 1},
        {"%0 = input 0\n", 2},
        {"%0 = input 0\nreturn %0\n ", 2},
        {"%1 = input 0\nreturn %1\n", 1},
        {"%0 = input\nreturn %0\n", 1},
        {"%0 = input 00\nreturn %0\n", 1},
        {"%0 = input -1\nreturn %0\n", 1},
        {"%0 = input 9999999999\nreturn %0\n", 1},
        {"%0 = input 0\n%1 = add %0\nreturn %1\n", 2},
        {"%0 = input 0\n%1 = neg %0 %0\nreturn %1\n", 2},
        {"%0 = input 0\n%1 = neg %1\nreturn %1\n", 2},
        {"%0 = input 0\n%1 = negate %0\nreturn %1\n", 2},
        {"%0 = input 0\n%1 = averyveryverylongname %0\nreturn %1\n", 2},
        {"%0 = input 0\n%1 = neg  %0\nreturn %1\n", 2},
        {"%0 = input 0\n%1 = lt %0 %0\n%2 = neg %1\nreturn %2\n", 3},
        {"%0 = input 0\n%1 = lt %0 %0\nreturn %1\n", 3},
        {"%0 = input 0\n%1 = select %0 %0 %0\nreturn %1\n", 2},
        {"%0 = input 0\n%1 = not %0\nreturn %0\n", 2},
        {"%0 = const\nreturn %0\n", 1},
        {"%0 = const 0.50\nreturn %0\n", 1},
        {"%0 = input 0\n%1 = const 0x1p3\nreturn %0\n", 2},
        {"%0 = const x\nreturn %0\n", 1},
        {"%0 = input 0\r\nreturn %0\n", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_graph graph;
        char line[32];
        snprintf(line, sizeof line, "line %d:", cases[i].line);
        cr_assert_eq(at_graph_parse(cases[i].text, &graph), ACTUNE_SYNTAX, "%s", cases[i].text);
        cr_assert(strstr(actune_last_error(), line), "%s gives: %s", cases[i].text, actune_last_error());
        cr_assert_null(graph.nodes);
    }
}

Test(graph, too_many_outputs_are_refused)
{
    at_strbuf text = {0};
    at_strbuf_append(&text, "%0 = input 0\nreturn");
    for (int i = 0; i <= AT_OUTPUTS_MAX; i++)
        at_strbuf_append(&text, " %0");
    at_strbuf_append(&text, "\n");
    at_graph graph;
    cr_assert_eq(at_graph_parse(at_strbuf_text(&text), &graph), ACTUNE_SYNTAX);
    at_strbuf_clear(&text);
}

Test(graph, inline_maps_inputs_and_outputs)
{
    at_graph silu, graph = {0};
    cr_assert_eq(at_graph_parse(SILU, &silu), ACTUNE_OK);
    at_node_id x = at_graph_input(&graph, 3), mapped[1];
    at_node_id doubled = at_graph_2(&graph, AT_OP_ADD, x, x);
    cr_assert_eq(at_graph_inline(&graph, &silu, &doubled, 1, mapped), ACTUNE_OK);
    cr_assert_eq(at_graph_inline(&graph, &silu, mapped, 1, mapped), ACTUNE_OK);
    graph.output[graph.outputs++] = mapped[0];
    at_strbuf text = {0};
    at_graph_print(&graph, &text);
    cr_assert_str_eq(at_strbuf_text(&text), "%0 = input 3\n%1 = add %0 %0\n%2 = sigmoid %1\n%3 = mul %1 %2\n"
                                            "%4 = sigmoid %3\n%5 = mul %3 %4\nreturn %5\n");
    cr_assert_eq(at_graph_inline(&graph, &silu, NULL, 0, mapped), ACTUNE_INTERNAL);
    at_strbuf_clear(&text);
    at_graph_clear(&silu);
    at_graph_clear(&graph);
}

Test(graph, a_failed_builder_is_sticky)
{
    at_graph graph = {.failed = true};
    cr_assert_eq(at_graph_input(&graph, 0), AT_NO_NODE);
    cr_assert_eq(at_graph_1(&graph, AT_OP_NEG, AT_NO_NODE), AT_NO_NODE);
    cr_assert_eq(at_graph_status(&graph), ACTUNE_NO_MEMORY);
    at_graph_clear(&graph);
    cr_assert_eq(at_graph_status(&graph), ACTUNE_OK);
}

static long double eval(const char *op, double a, double b, double c)
{
    at_op found;
    cr_assert(at_op_find(op, &found), "%s", op);
    return at_op_eval(found, a, b, c);
}

static bool same(long double a, long double b)
{
    return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

Test(graph, evaluation_of_special_values)
{
    static const struct {
        const char *op;
        double a, b, c;
        long double expected;
    } cases[] = {
        {"max", -0.0, 0.0, 0, -0.0L},
        {"max", 0.0, -0.0, 0, 0.0L},
        {"max", NAN, 0, 0, NAN},
        {"max", 0, NAN, 0, NAN},
        {"min", -0.0, 0.0, 0, -0.0L},
        {"min", 0.0, -0.0, 0, 0.0L},
        {"min", NAN, 0, 0, NAN},
        {"min", 0, NAN, 0, NAN},
        {"min", 1, 2, 0, 1},
        {"max", 1, 2, 0, 2},
        {"sigmoid", -INFINITY, 0, 0, 0},
        {"sigmoid", INFINITY, 0, 0, 1},
        {"sigmoid", 0, 0, 0, 0.5L},
        {"sigmoid", NAN, 0, 0, NAN},
        {"softplus", -INFINITY, 0, 0, 0},
        {"softplus", INFINITY, 0, 0, INFINITY},
        {"softplus", NAN, 0, 0, NAN},
        {"softplus", 30000, 0, 0, 30000},
        {"copysign", 3, -0.0, 0, -3},
        {"neg", 0, 0, 0, -0.0L},
        {"fma", 3, 4, 5, 17},
        {"select", 1, 2, 3, 2},
        {"select", 0, 2, 3, 3},
        {"lt", 1, 2, 0, 1},
        {"lt", NAN, 2, 0, 0},
        {"ne", NAN, NAN, 0, 1},
        {"eq", NAN, NAN, 0, 0},
        {"le", 2, 2, 0, 1},
        {"ge", 1, 2, 0, 0},
        {"gt", 2, 1, 0, 1},
        {"and", 1, 0, 0, 0},
        {"or", 1, 0, 0, 1},
        {"not", 0, 0, 0, 1},
        {"round", 0.3, 0, 0, 0.3},
        {"grad_clip", 7, 1, 0, 7},
        {"stretch", 7, 0, 0, NAN},
        {"trunc", -1.5, 0, 0, -1},
        {"floor", -1.5, 0, 0, -2},
        {"ceil", -1.5, 0, 0, -1},
        {"exp2", 10, 0, 0, 1024},
        {"log2", 8, 0, 0, 3},
        {"pow", 2, 10, 0, 1024},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect(same(eval(cases[i].op, cases[i].a, cases[i].b, cases[i].c), cases[i].expected), "case %zu: %s", i,
                  cases[i].op);
    cr_expect_float_eq(eval("sigmoid", -700, 0, 0) / expl(-700), 1, 1e-18);
    cr_expect_float_eq(eval("softplus", -700, 0, 0) / expl(-700), 1, 1e-18);
    cr_expect_float_eq(eval("softplus", 1, 0, 0), logl(1 + expl(1)), 1e-17);
}

Test(graph, evaluation_of_a_graph)
{
    at_graph graph;
    cr_assert_eq(at_graph_parse(
                     "%0 = input 1\n%1 = const 0.5\n%2 = mul %0 %1\n%3 = input 0\n%4 = sub %2 %3\nreturn %4\n", &graph),
                 ACTUNE_OK);
    long double inputs[] = {3, 10}, values[5];
    at_graph_eval(&graph, inputs, values);
    cr_assert(values[graph.output[0]] == 2);
    at_graph_clear(&graph);
}
