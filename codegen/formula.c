#include "formula.h"

#include "lower.h"
#include "pass.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* How tightly an operator binds, as in C; 0 binds most. */
enum { PRIMARY, UNARY, PRODUCT, SUM, RELATION, EQUALITY, CONJUNCTION, DISJUNCTION, CHOICE };

static const struct {
    const char *symbol;
    int level;
} infix[AT_OP_COUNT] = {
    [AT_OP_ADD] = {"+", SUM},        [AT_OP_SUB] = {"-", SUM},         [AT_OP_MUL] = {"*", PRODUCT},  [AT_OP_DIV] = {"/", PRODUCT},
    [AT_OP_LT] = {"<", RELATION},    [AT_OP_LE] = {"<=", RELATION},    [AT_OP_GT] = {">", RELATION},  [AT_OP_GE] = {">=", RELATION},
    [AT_OP_EQ] = {"==", EQUALITY},   [AT_OP_NE] = {"!=", EQUALITY},    [AT_OP_AND] = {"&&", CONJUNCTION}, [AT_OP_OR] = {"||", DISJUNCTION},
};

typedef struct printer {
    const at_graph *graph;
    const char *const *names;
    at_strbuf *out;
} printer;

static void print(const printer *p, at_node_id id, int most);

static int level_of(const at_node *node)
{
    if (node->op == AT_OP_CONSTANT)
        return signbit(node->value) ? UNARY : PRIMARY;
    if (node->op == AT_OP_FMA)
        return SUM;
    if (node->op == AT_OP_SELECT)
        return CHOICE;
    if (node->op == AT_OP_NEG || node->op == AT_OP_NOT)
        return UNARY;
    return infix[node->op].symbol ? infix[node->op].level : PRIMARY;
}

static void print_call(const printer *p, const at_node *node)
{
    const at_op_info *info = at_op_get(node->op);
    at_strbuf_printf(p->out, "%s(", info->name);
    for (int k = 0; k < info->arguments; k++) {
        at_strbuf_append(p->out, k ? ", " : "");
        print(p, node->arg[k], CHOICE);
    }
    at_strbuf_char(p->out, ')');
}

/* a * b + c */
static void print_fma(const printer *p, const at_node *node)
{
    print(p, node->arg[0], PRODUCT);
    at_strbuf_append(p->out, " * ");
    print(p, node->arg[1], UNARY);
    at_strbuf_append(p->out, " + ");
    print(p, node->arg[2], PRODUCT);
}

static void print_operation(const printer *p, const at_node *node)
{
    int level = infix[node->op].level;
    switch (node->op) {
    case AT_OP_CONSTANT:
        at_strbuf_double(p->out, node->value);
        break;
    case AT_OP_INPUT:
        at_strbuf_append(p->out, p->names[node->index]);
        break;
    case AT_OP_NEG:
    case AT_OP_NOT:
        at_strbuf_char(p->out, node->op == AT_OP_NEG ? '-' : '!');
        print(p, node->arg[0], PRIMARY);
        break;
    case AT_OP_ABS:
        at_strbuf_char(p->out, '|');
        print(p, node->arg[0], CHOICE);
        at_strbuf_char(p->out, '|');
        break;
    case AT_OP_FMA:
        print_fma(p, node);
        break;
    case AT_OP_SELECT:
        print(p, node->arg[0], DISJUNCTION);
        at_strbuf_append(p->out, " ? ");
        print(p, node->arg[1], DISJUNCTION);
        at_strbuf_append(p->out, " : ");
        print(p, node->arg[2], CHOICE);
        break;
    default:
        if (!infix[node->op].symbol) {
            print_call(p, node);
            break;
        }
        print(p, node->arg[0], level);
        at_strbuf_printf(p->out, " %s ", infix[node->op].symbol);
        print(p, node->arg[1], level - 1); /* a - (b - c) */
    }
}

static bool is_constant(const printer *p, at_node_id id, double value)
{
    return p->graph->nodes[id].op == AT_OP_CONSTANT && p->graph->nodes[id].value == value;
}

/* What only guards floating-point numbers is no part of a formula: f == 0 ? 0 : rest (for 0 * inf), max(x, -FLT_MAX). */
static at_node_id without_guards(const printer *p, at_node_id id)
{
    for (;;) {
        const at_node *node = &p->graph->nodes[id];
        bool chosen = node->op == AT_OP_SELECT && p->graph->nodes[node->arg[0]].op == AT_OP_EQ && is_constant(p, node->arg[1], 0) &&
                      is_constant(p, p->graph->nodes[node->arg[0]].arg[1], 0);
        if (chosen)
            id = node->arg[2];
        else if (node->op == AT_OP_ROUND || node->op == AT_OP_GRAD_CLIP || (node->op == AT_OP_MAX && is_constant(p, node->arg[1], -FLT_MAX)))
            id = node->arg[0];
        else
            return id;
    }
}

/* In parentheses where it binds more loosely than `most`. */
static void print(const printer *p, at_node_id id, int most)
{
    const at_node *node = &p->graph->nodes[without_guards(p, id)];
    bool parentheses = level_of(node) > most;
    at_strbuf_append(p->out, parentheses ? "(" : "");
    print_operation(p, node);
    at_strbuf_append(p->out, parentheses ? ")" : "");
}

void at_formula_print(const at_graph *graph, at_node_id node, const char *const *names, at_strbuf *out)
{
    printer p = {graph, names, out};
    print(&p, node, CHOICE);
}

static actune_status differentiate(at_graph *graph, int32_t by)
{
    at_node_id gradient;
    AT_TRY(at_lower_simplify(graph));
    at_node_id one = at_graph_constant(graph, 1);
    AT_TRY(at_pass_differentiate(graph, graph->output[0], one, &by, 1, &gradient));
    graph->output[0] = gradient;
    graph->outputs = 1;
    return at_lower_simplify(graph);
}

actune_status at_formula_derivative(const at_activation *activation, int parameter, at_strbuf *out)
{
    const char *names[1 + AT_PARAMETERS_MAX] = {"x"};
    at_graph graph = {0};
    for (int i = 0; i < activation->parameters; i++)
        names[1 + i] = activation->parameter[i].name;
    actune_status status = at_graph_copy(&activation->graph, &graph);
    if (status == ACTUNE_OK)
        status = differentiate(&graph, 1 + parameter);
    if (status == ACTUNE_OK)
        at_formula_print(&graph, graph.output[0], names, out);
    at_graph_clear(&graph);
    return status == ACTUNE_OK ? at_strbuf_status(out) : status;
}
