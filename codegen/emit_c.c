/* Graph -> C: vector code with named locals, and scalar double code for what is computed wide. */
#include "emit_c.h"

#include "../runtime/base/number.h"
#include "emit_math.h"
#include "fit.h"
#include "row.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How tightly the outermost operator of an expression binds; as in C, 0 binds most. */
enum { PRIMARY, UNARY, MULTIPLICATIVE, ADDITIVE, RELATION, EQUALITY, BIT_AND, BIT_OR, LOGIC, TERNARY };
enum { INLINE_LENGTH_MAX = 44 };

typedef struct expression {
    const char *text;
    int level;
} expression;

typedef struct emitter {
    const at_emit *emit;
    const at_graph *graph;
    at_arena arena;
    at_strbuf *out;
    bool scalar;        /* scalar double, else vectors */
    bool f64;           /* literals are doubles */
    char type[16];      /* "f32x16", "double" */
    char mask[16];      /* "i32x16", "int" */
    const char **input; /* names of the INPUTs */
    expression *value;  /* of each node */
    int *uses;
    int locals;
    actune_status status;
} emitter;

static const struct {
    const char *symbol;
    int level;
} infix[AT_OP_COUNT] = {
    [AT_OP_ADD] = {"+", ADDITIVE},       [AT_OP_SUB] = {"-", ADDITIVE}, [AT_OP_MUL] = {"*", MULTIPLICATIVE},
    [AT_OP_DIV] = {"/", MULTIPLICATIVE}, [AT_OP_LT] = {"<", RELATION},  [AT_OP_LE] = {"<=", RELATION},
    [AT_OP_GT] = {">", RELATION},        [AT_OP_GE] = {">=", RELATION}, [AT_OP_EQ] = {"==", EQUALITY},
    [AT_OP_NE] = {"!=", EQUALITY},       [AT_OP_AND] = {"&", BIT_AND},  [AT_OP_OR] = {"|", BIT_OR},
};

/* Functions of the compute type. MIN and MAX have rules of their own; transcendental ops come from the math knob. */
static const char *const called[AT_OP_COUNT] = {
    [AT_OP_ABS] = "abs",     [AT_OP_FMA] = "fma",     [AT_OP_COPYSIGN] = "copysign",
    [AT_OP_SQRT] = "sqrt",   [AT_OP_FLOOR] = "floor", [AT_OP_CEIL] = "ceil",
    [AT_OP_TRUNC] = "trunc", [AT_OP_RINT] = "rint",   [AT_OP_MIN] = "minimum",
    [AT_OP_MAX] = "maximum",
};

/* The same for one double: C's own functions, and a few of templates/cpu/isa/generic.c.in. */
static const char *const called_scalar[AT_OP_COUNT] = {
    [AT_OP_MIN] = "minimum_f64",       [AT_OP_MAX] = "maximum_f64",    [AT_OP_SIGMOID] = "sigmoid_f64",
    [AT_OP_SOFTPLUS] = "softplus_f64", [AT_OP_ABS] = "__builtin_fabs",
};

static const char *printed(emitter *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const char *keep(emitter *e, const char *text)
{
    const char *copy = text ? at_arena_strdup(&e->arena, text) : NULL;
    if (!copy && e->status == ACTUNE_OK)
        e->status = at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
    return copy ? copy : "";
}

static const char *printed(emitter *e, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    const char *copy = keep(e, length < 0 ? NULL : text);
    if (length >= 0)
        free(text);
    return copy;
}

/* As few digits as read back as the same float. */
static void print_float(double value, char text[AT_NUMBER_BYTES])
{
    for (int digits = 1; digits <= 9; digits++) {
        char rounded[AT_NUMBER_BYTES];
        double back = 0;
        snprintf(rounded, sizeof rounded, "%.*e", digits - 1, value);
        for (char *c = rounded; *c; c++)
            *c = *c == ',' ? '.' : *c; /* the host program's locale */
        at_number_parse(rounded, strlen(rounded), &back);
        at_number_print(back, text);
        if ((float)back == (float)value)
            return;
    }
}

void at_emit_literal(at_strbuf *out, double value, bool f64)
{
    char text[AT_NUMBER_BYTES];
    const char *f = f64 ? "" : "f";
    if (!f64)
        value = (float)value;
    if (isnan(value))
        at_strbuf_printf(out, "__builtin_nan%s(\"\")", f);
    else if (isinf(value))
        at_strbuf_printf(out, value < 0 ? "-__builtin_inf%s()" : "__builtin_inf%s()", f);
    else {
        if (f64)
            at_number_print(value, text);
        else
            print_float(value, text);
        const char *point = strpbrk(text, ".e") ? "" : ".0";
        at_strbuf_printf(out, "%s%s%s", text, point, f);
    }
}

/* ROUND changes nothing in vector code, where every value has the compute type, nor in a kernel that computes in f64.
 */
static at_node_id resolve(const emitter *e, at_node_id id)
{
    bool narrowing = e->scalar && e->emit->kernel->signature.compute == ACTUNE_F32;
    while (e->graph->nodes[id].op == AT_OP_GRAD_CLIP || (!narrowing && e->graph->nodes[id].op == AT_OP_ROUND))
        id = e->graph->nodes[id].arg[0];
    return id;
}

static bool is_constant(const emitter *e, at_node_id id)
{
    return e->graph->nodes[resolve(e, id)].op == AT_OP_CONSTANT;
}

static double constant_of(const emitter *e, at_node_id id)
{
    return e->graph->nodes[resolve(e, id)].value;
}

static bool same(const emitter *e, at_node_id a, at_node_id b)
{
    a = resolve(e, a);
    b = resolve(e, b);
    if (a == b)
        return true;
    double x = e->graph->nodes[a].value, y = e->graph->nodes[b].value;
    return is_constant(e, a) && is_constant(e, b) && x == y && signbit(x) == signbit(y);
}

/* A node as an operand of something that binds at `level`. */
static const char *operand(emitter *e, at_node_id id, int level)
{
    expression x = e->value[resolve(e, id)];
    return x.level > level ? printed(e, "(%s)", x.text) : x.text;
}

/* A node as a function's argument: constants become vectors. */
static const char *argument(emitter *e, at_node_id id)
{
    const char *text = e->value[resolve(e, id)].text;
    return is_constant(e, id) && !e->scalar ? printed(e, "splat_%s(%s)", e->type, text) : text;
}

static expression call(emitter *e, const char *function, const at_node *node, int arguments)
{
    const char *text = argument(e, node->arg[0]);
    for (int i = 1; i < arguments; i++)
        text = printed(e, "%s, %s", text, argument(e, node->arg[i]));
    return (expression){printed(e, "%s(%s)", function, text), PRIMARY};
}

static expression call_typed(emitter *e, const char *function, at_node_id a, at_node_id b)
{
    return (expression){printed(e, "%s_%s(%s, %s)", function, e->type, argument(e, a), argument(e, b)), PRIMARY};
}

/* With operators of the same level only the right operand needs parentheses: a - b - c is (a - b) - c. */
static expression binary(emitter *e, const at_node *node)
{
    const char *symbol = infix[node->op].symbol;
    int level = infix[node->op].level;
    if (e->scalar && node->op == AT_OP_AND)
        symbol = "&&", level = LOGIC;
    if (e->scalar && node->op == AT_OP_OR)
        symbol = "||", level = LOGIC;
    bool logic = level > ADDITIVE;
    bool both_constant = is_constant(e, node->arg[0]) && is_constant(e, node->arg[1]);
    const char *left = both_constant ? argument(e, node->arg[0]) : operand(e, node->arg[0], logic ? UNARY : level);
    const char *right = operand(e, node->arg[1], logic ? UNARY : level - 1);
    return (expression){printed(e, "%s %s %s", left, symbol, right), level};
}

/* One instruction, max_(a, b) = a > b ? a : b, gives the second operand for NaN and at a tie. MAX wants NaN from either
   side and the first at a tie, so max_(b, a) is it when b is no NaN. */
static expression minmax(emitter *e, const at_node *node)
{
    const char *function = node->op == AT_OP_MAX ? "max" : "min";
    at_node_id a = node->arg[0], b = node->arg[1];
    if (is_constant(e, b) && !isnan(constant_of(e, b)))
        return call_typed(e, function, b, a);
    if (is_constant(e, a) && !isnan(constant_of(e, a)) && constant_of(e, a) != 0)
        return call_typed(e, function, a, b);
    return call_typed(e, called[node->op], a, b);
}

/* p > q ? p : q and its like are one instruction. With >= and <= a tie gives the other operand, which is the same
   number unless both are zeros. */
static bool select_minmax(emitter *e, const at_node *node, expression *result)
{
    const at_node *condition = &e->graph->nodes[resolve(e, node->arg[0])];
    at_op op = condition->op;
    if (op != AT_OP_LT && op != AT_OP_LE && op != AT_OP_GT && op != AT_OP_GE)
        return false;
    at_node_id p = condition->arg[0], q = condition->arg[1];
    bool straight = same(e, node->arg[1], p) && same(e, node->arg[2], q);
    bool crossed = same(e, node->arg[1], q) && same(e, node->arg[2], p);
    bool nonzero = (is_constant(e, p) && constant_of(e, p) != 0) || (is_constant(e, q) && constant_of(e, q) != 0);
    if (straight == crossed || ((op == AT_OP_LE || op == AT_OP_GE) && !nonzero))
        return false;
    bool greater = op == AT_OP_GT || op == AT_OP_GE;
    const char *function = greater == straight ? "max" : "min";
    *result = straight ? call_typed(e, function, p, q) : call_typed(e, function, q, p);
    return true;
}

typedef struct bound {
    bool lower;
    at_node_id limit, value;
} bound;

/* value < limit ? limit : ..., in any of its spellings. */
static bool find_bound(const emitter *e, const at_node *select, bound *b)
{
    const at_node *condition = &e->graph->nodes[resolve(e, select->arg[0])];
    at_op op = condition->op;
    if (op != AT_OP_LT && op != AT_OP_LE && op != AT_OP_GT && op != AT_OP_GE)
        return false;
    bool limit_right = is_constant(e, condition->arg[1]);
    *b = (bound){.limit = condition->arg[limit_right], .value = condition->arg[!limit_right]};
    b->lower = (op == AT_OP_LT || op == AT_OP_LE) == limit_right;
    bool tie_matters = (op == AT_OP_LE || op == AT_OP_GE) && is_constant(e, b->limit) && constant_of(e, b->limit) == 0;
    return is_constant(e, b->limit) && same(e, select->arg[1], b->limit) && !tie_matters;
}

/* value < low ? low : (value > high ? high : value): the inner choice lies on the right side of `low` wherever value
 * does. */
static bool select_clamp(emitter *e, const at_node *node, expression *result)
{
    bound outer, inner;
    const at_node *other = &e->graph->nodes[resolve(e, node->arg[2])];
    if (other->op != AT_OP_SELECT || !find_bound(e, node, &outer) || !find_bound(e, other, &inner))
        return false;
    double first = constant_of(e, outer.limit), second = constant_of(e, inner.limit);
    bool ordered = outer.lower ? first <= second : first >= second;
    if (outer.lower == inner.lower || !ordered || !same(e, outer.value, inner.value) ||
        !same(e, other->arg[2], inner.value))
        return false;
    *result = call_typed(e, outer.lower ? "max" : "min", outer.limit, node->arg[2]);
    return true;
}

static expression choose(emitter *e, const at_node *node)
{
    expression result;
    if (e->scalar)
        return (expression){printed(e, "%s ? %s : %s", operand(e, node->arg[0], LOGIC), operand(e, node->arg[1], LOGIC),
                                    operand(e, node->arg[2], LOGIC)),
                            TERNARY};
    if (select_minmax(e, node, &result) || select_clamp(e, node, &result))
        return result;
    return (expression){printed(e, "select_%s(%s, %s, %s)", e->type, e->value[resolve(e, node->arg[0])].text,
                                argument(e, node->arg[1]), argument(e, node->arg[2])),
                        PRIMARY};
}

static expression transcendental(emitter *e, const at_node *node)
{
    const at_op_info *info = at_op_get(node->op);
    if (e->scalar) {
        const char *own = called_scalar[node->op];
        return call(e, own ? own : printed(e, "__builtin_%s", info->name), node, info->arguments);
    }
    const at_math_form *form = at_math_form_find(e->emit->math);
    const at_math_function *f =
        form && form->kind != AT_MATH_WIDE && !e->f64 ? at_math_function_find(node->op, form->name) : NULL;
    return call(e, f ? printed(e, "%s_%s", f->name, e->type) : printed(e, "libm_%s_%s", info->name, e->type), node,
                info->arguments);
}

static expression stretch(emitter *e, const at_node *node)
{
    return (expression){printed(e, "stretch%d%s(%s)", (int)node->index, e->emit->suffix, argument(e, node->arg[0])),
                        PRIMARY};
}

static expression constant(emitter *e, const at_node *node)
{
    at_strbuf text = {0};
    at_emit_literal(&text, node->value, e->f64);
    expression result = {keep(e, at_strbuf_text(&text)), signbit(node->value) ? UNARY : PRIMARY};
    at_strbuf_clear(&text);
    return result;
}

static expression of_node(emitter *e, const at_node *node)
{
    if (node->op == AT_OP_CONSTANT)
        return constant(e, node);
    if (node->op == AT_OP_INPUT)
        return (expression){e->input[node->index], PRIMARY};
    if (node->op == AT_OP_STRETCH)
        return stretch(e, node);
    if (at_op_get(node->op)->transcendental)
        return transcendental(e, node);
    if (infix[node->op].symbol)
        return binary(e, node);
    if (node->op == AT_OP_SELECT)
        return choose(e, node);
    if (node->op == AT_OP_NEG)
        return (expression){printed(e, "-%s", operand(e, node->arg[0], PRIMARY)), UNARY};
    if (node->op == AT_OP_NOT)
        return (expression){printed(e, e->scalar ? "!%s" : "~%s", operand(e, node->arg[0], PRIMARY)), UNARY};
    if (node->op == AT_OP_ROUND)
        return (expression){printed(e, "(float)%s", operand(e, node->arg[0], PRIMARY)), UNARY};
    if (e->scalar)
        return call(e, called_scalar[node->op] ? called_scalar[node->op] : printed(e, "__builtin_%s", called[node->op]),
                    node, at_op_get(node->op)->arguments);
    if (node->op == AT_OP_MIN || node->op == AT_OP_MAX)
        return minmax(e, node);
    return call(e, printed(e, "%s_%s", called[node->op], e->type), node, at_op_get(node->op)->arguments);
}

static void count_uses(emitter *e)
{
    for (int k = 0; k < e->graph->outputs; k++)
        e->uses[resolve(e, e->graph->output[k])]++;
    for (int i = e->graph->count - 1; i >= 0; i--)
        for (int a = 0; e->uses[i] > 0 && a < 3; a++)
            if (e->graph->nodes[i].arg[a] != AT_NO_NODE)
                e->uses[resolve(e, e->graph->nodes[i].arg[a])]++;
}

/* Short expressions that are used once stay inside the expression that uses them, all others become locals. */
static void emit_node(emitter *e, int id)
{
    const at_node *node = &e->graph->nodes[id];
    expression x = of_node(e, node);
    bool is_leaf = node->op == AT_OP_CONSTANT || node->op == AT_OP_INPUT;
    bool returned = e->graph->outputs == 1 && e->uses[id] == 1 && resolve(e, e->graph->output[0]) == id;
    if (!is_leaf && !returned && (e->uses[id] > 1 || strlen(x.text) > INLINE_LENGTH_MAX)) {
        bool truth = at_op_get(node->op)->result == 'B';
        const char *local = printed(e, "t%d", e->locals++);
        at_strbuf_printf(e->out, "    %s %s = %s;\n", truth ? e->mask : e->type, local, x.text);
        x = (expression){local, PRIMARY};
    }
    e->value[id] = x;
}

static actune_status emit_body(emitter *e)
{
    size_t count = (size_t)e->graph->count;
    e->value = at_arena_array(&e->arena, count, sizeof *e->value);
    e->uses = at_arena_array(&e->arena, count, sizeof *e->uses);
    if (!e->value || !e->uses)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
    count_uses(e);
    for (int i = 0; i < e->graph->count; i++)
        if (e->uses[i] > 0 && resolve(e, i) == i)
            emit_node(e, i);
    if (e->graph->outputs == 1)
        at_strbuf_printf(e->out, "    return %s;\n", argument(e, e->graph->output[0]));
    for (int k = 0; k < e->graph->outputs && e->graph->outputs > 1; k++)
        at_strbuf_printf(e->out, "    *out%d = %s;\n", k, argument(e, e->graph->output[k]));
    at_strbuf_append(e->out, "}\n");
    return e->status;
}

static void set_vector_types(emitter *e)
{
    e->f64 = e->emit->kernel->signature.compute == ACTUNE_F64;
    snprintf(e->type, sizeof e->type, "%sx%d", e->f64 ? "f64" : "f32", e->emit->lanes);
    snprintf(e->mask, sizeof e->mask, "%sx%d", e->f64 ? "i64" : "i32", e->emit->lanes);
}

actune_status at_emit_evaluate(const at_emit *emit, at_strbuf *out)
{
    at_signature signature;
    const char *input[AT_PORTS_MAX];
    bool used[AT_PORTS_MAX];
    at_signature_views(&emit->kernel->signature, &signature);
    emitter e = {.emit = emit, .graph = &emit->kernel->graph, .out = out, .input = input};
    set_vector_types(&e);
    at_emit_used_inputs(e.graph, used);
    const char *comma = "";
    bool many = e.graph->outputs > 1;
    at_strbuf_printf(out, "\nstatic inline %s %s%s(", many ? "void" : e.type, emit->function, emit->suffix);
    for (int i = 0; i < signature.inputs; i++) {
        const at_port *port = &signature.port[i];
        input[i] = at_row_is_local(port) ? port->name : at_emit_name(port->name, &e.arena);
        if (!used[i])
            continue;
        bool truth = at_row_is_kept(port);
        at_strbuf_printf(out, "%s%s %s", comma, truth ? e.mask : e.type, input[i]);
        comma = ", ";
    }
    for (int k = 0; k < e.graph->outputs && many; k++) {
        at_strbuf_printf(out, "%s%s *out%d", comma, e.type, k);
        comma = ", ";
    }
    at_strbuf_append(out, *comma ? ")\n{\n" : "void)\n{\n");
    actune_status status = emit_body(&e);
    at_arena_clear(&e.arena);
    return status;
}

/* A stretch in double, one lane after the other through libm: slow, and as right as libm is. */
static actune_status emit_wide(const at_emit *emit, int k, const char *name, at_strbuf *out)
{
    const char *input[] = {"x"};
    emitter e = {.emit = emit,
                 .graph = &emit->kernel->stretch[k].graph,
                 .out = out,
                 .input = input,
                 .scalar = true,
                 .f64 = true,
                 .type = "double",
                 .mask = "int"};
    at_strbuf_printf(out, "\nstatic double %s_wide(double x)\n{\n", name);
    actune_status status = emit_body(&e);
    at_arena_clear(&e.arena);
    set_vector_types(&e);
    bool f64 = emit->kernel->signature.compute == ACTUNE_F64;
    at_strbuf_printf(out,
                     "\nstatic %s %s(%s x)\n{\n    for (int i = 0; i < %d; i++)\n        x[i] = %s%s_wide(x[i]);\n    "
                     "return x;\n}\n",
                     e.type, name, e.type, emit->lanes, f64 ? "" : "(float)", name);
    return status;
}

actune_status at_emit_stretches(const at_emit *emit, at_strbuf *out)
{
    for (int k = 0; k < emit->kernel->stretches; k++) {
        const at_stretch *stretch_k = &emit->kernel->stretch[k];
        char name[64];
        snprintf(name, sizeof name, "stretch%d%s", k, emit->suffix);
        if (stretch_k->fit) {
            at_strbuf_char(out, '\n');
            at_fit_emit(stretch_k->fit, name, emit->lanes, out);
        } else {
            AT_TRY(emit_wide(emit, k, name, out));
        }
    }
    return at_strbuf_status(out);
}
