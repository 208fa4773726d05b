/* The text of a graph, and back. The parser takes exactly what the printer writes: it reads loosely, prints what it got
   and compares, so there is one definition of the format. */
#include "../runtime/base/number.h"
#include "graph.h"

#include <string.h>

static void print_node(const at_node *node, int32_t id, at_strbuf *out)
{
    const at_op_info *info = at_op_get(node->op);
    at_strbuf_printf(out, "%%%d = %s", (int)id, info->name);
    if (node->op == AT_OP_INPUT || node->op == AT_OP_STRETCH)
        at_strbuf_printf(out, " %d", (int)node->index);
    if (node->op == AT_OP_CONSTANT || node->op == AT_OP_TOPK) {
        at_strbuf_char(out, ' ');
        at_strbuf_double(out, node->value);
    }
    for (int k = 0; k < info->arguments; k++)
        at_strbuf_printf(out, " %%%d", (int)node->arg[k]);
    at_strbuf_char(out, '\n');
}

void at_graph_print(const at_graph *graph, at_strbuf *out)
{
    for (int32_t i = 0; i < graph->count; i++)
        print_node(&graph->nodes[i], i, out);
    at_strbuf_append(out, "return");
    for (int32_t k = 0; k < graph->outputs; k++)
        at_strbuf_printf(out, " %%%d", (int)graph->output[k]);
    at_strbuf_char(out, '\n');
}

typedef struct reader {
    const char *at;
    int line;
    at_graph *graph;
} reader;

static actune_status refuse(const reader *r, const char *what)
{
    return at_fail(ACTUNE_SYNTAX, "graph text, line %d: %s", r->line, what);
}

static bool take(reader *r, const char *text)
{
    size_t length = strlen(text);
    if (strncmp(r->at, text, length))
        return false;
    r->at += length;
    return true;
}

/* A decimal number of at most nine digits: whatever a graph that fits in memory as text can hold. */
static bool take_index(reader *r, int32_t *index)
{
    int digits = 0;
    for (*index = 0; *r->at >= '0' && *r->at <= '9' && digits < 9; digits++)
        *index = *index * 10 + (*r->at++ - '0');
    return digits > 0;
}

static bool take_value(reader *r, double *value)
{
    size_t length = strcspn(r->at, " \n");
    if (at_number_parse(r->at, length, value) != AT_NUMBER_OK)
        return false;
    r->at += length;
    return true;
}

/* The kind argument k of an op has to be. */
static char argument_kind(at_op op, int k)
{
    if (op == AT_OP_AND || op == AT_OP_OR || op == AT_OP_NOT || (op == AT_OP_SELECT && k == 0))
        return 'B';
    return 'R';
}

static actune_status read_argument(reader *r, char kind, at_node_id *id)
{
    if (!take(r, " %") || !take_index(r, id))
        return refuse(r, "expected an argument such as %0");
    if (*id >= r->graph->count)
        return refuse(r, "a node is used before it is defined");
    if (at_op_get(r->graph->nodes[*id].op)->result != kind)
        return refuse(r, kind == 'B' ? "a truth value is needed here" : "a number is needed here, not a truth value");
    return ACTUNE_OK;
}

static actune_status read_op(reader *r, at_op *op)
{
    char name[16];
    size_t length = strcspn(r->at, " \n");
    if (length >= sizeof name)
        return refuse(r, "unknown operation");
    memcpy(name, r->at, length);
    name[length] = 0;
    if (!at_op_find(name, op))
        return refuse(r, "unknown operation");
    r->at += length;
    return ACTUNE_OK;
}

static actune_status read_node(reader *r)
{
    int32_t id, index = 0;
    double value = 0;
    at_op op;
    if (!take_index(r, &id) || id != r->graph->count || !take(r, " = "))
        return refuse(r, "expected the next node, such as \"%0 = input 0\"");
    AT_TRY(read_op(r, &op));
    if ((op == AT_OP_INPUT || op == AT_OP_STRETCH) && (!take(r, " ") || !take_index(r, &index)))
        return refuse(r, "expected an index");
    if ((op == AT_OP_CONSTANT || op == AT_OP_TOPK) && (!take(r, " ") || !take_value(r, &value)))
        return refuse(r, "expected a number");
    at_node_id arg[3] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
    for (int k = 0; k < at_op_get(op)->arguments; k++)
        AT_TRY(read_argument(r, argument_kind(op, k), &arg[k]));
    if (!take(r, "\n"))
        return refuse(r, "unexpected text at the end of the line");
    at_node_id node = at_graph_add(r->graph, op, arg[0], arg[1], arg[2]);
    if (node == AT_NO_NODE)
        return at_graph_status(r->graph);
    r->graph->nodes[node].index = index;
    r->graph->nodes[node].value = value;
    return ACTUNE_OK;
}

static actune_status read_return(reader *r)
{
    while (!take(r, "\n")) {
        if (r->graph->outputs == AT_OUTPUTS_MAX)
            return refuse(r, "too many outputs");
        AT_TRY(read_argument(r, 'R', &r->graph->output[r->graph->outputs]));
        r->graph->outputs++;
    }
    return *r->at ? refuse(r, "text after the return line") : ACTUNE_OK;
}

static actune_status read_graph(reader *r)
{
    for (r->line = 1;; r->line++) {
        if (take(r, "return"))
            return read_return(r);
        if (!take(r, "%"))
            return refuse(r, "expected a node or \"return\"");
        AT_TRY(read_node(r));
    }
}

/* Spellings that mean the same as canonical ones ("%00", "0.50", "+1") are refused here. */
static actune_status check_canonical(reader *r, const char *text)
{
    at_strbuf printed = {0};
    at_graph_print(r->graph, &printed);
    actune_status status = at_strbuf_status(&printed);
    const char *expected = at_strbuf_text(&printed);
    if (status == ACTUNE_OK && strcmp(expected, text)) {
        r->line = 1;
        for (size_t i = 0; text[i] == expected[i]; i++)
            r->line += text[i] == '\n';
        status = refuse(r, "not in canonical spelling");
    }
    at_strbuf_clear(&printed);
    return status;
}

actune_status at_graph_parse(const char *text, at_graph *graph)
{
    *graph = (at_graph){0};
    reader r = {text, 1, graph};
    actune_status status = read_graph(&r);
    if (status == ACTUNE_OK)
        status = check_canonical(&r, text);
    if (status != ACTUNE_OK)
        at_graph_clear(graph);
    return status;
}
