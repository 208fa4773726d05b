/* The graph as one scalar CUDA function: values used once are written where they are used, others get names. */
#include "emit_cuda_expression.h"

#include "code_table.h"
#include "emit_c.h"
#include "row.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How an op is written: {a} {b} {c} its arguments, {f} the suffix of f32 functions ("f"), {T} "f32" or "f64".
   Names that end in _{T} are fragments of templates/cuda/math.cu.in. */
static const char *const spelling[AT_OP_COUNT] = {
    [AT_OP_ADD] = "({a} + {b})",
    [AT_OP_SUB] = "({a} - {b})",
    [AT_OP_MUL] = "({a} * {b})",
    [AT_OP_DIV] = "({a} / {b})",
    [AT_OP_NEG] = "(-{a})",
    [AT_OP_ABS] = "fabs{f}({a})",
    [AT_OP_FMA] = "fma{f}({a}, {b}, {c})",
    [AT_OP_MIN] = "nan_min_{T}({a}, {b})",
    [AT_OP_MAX] = "nan_max_{T}({a}, {b})",
    [AT_OP_COPYSIGN] = "copysign{f}({a}, {b})",
    [AT_OP_SQRT] = "sqrt{f}({a})",
    [AT_OP_FLOOR] = "floor{f}({a})",
    [AT_OP_CEIL] = "ceil{f}({a})",
    [AT_OP_TRUNC] = "trunc{f}({a})",
    [AT_OP_RINT] = "rint{f}({a})",
    [AT_OP_EXP] = "exp{f}({a})",
    [AT_OP_EXP2] = "exp2{f}({a})",
    [AT_OP_EXPM1] = "expm1{f}({a})",
    [AT_OP_LOG] = "log{f}({a})",
    [AT_OP_LOG2] = "log2{f}({a})",
    [AT_OP_LOG1P] = "log1p{f}({a})",
    [AT_OP_SIN] = "sin{f}({a})",
    [AT_OP_COS] = "cos{f}({a})",
    [AT_OP_TAN] = "tan{f}({a})",
    [AT_OP_ATAN] = "atan{f}({a})",
    [AT_OP_SINH] = "sinh{f}({a})",
    [AT_OP_COSH] = "cosh{f}({a})",
    [AT_OP_TANH] = "tanh{f}({a})",
    [AT_OP_ASINH] = "asinh{f}({a})",
    [AT_OP_ERF] = "erf{f}({a})",
    [AT_OP_ERFC] = "erfc{f}({a})",
    [AT_OP_POW] = "pow{f}({a}, {b})",
    [AT_OP_SIGMOID] = "sigmoid_{T}({a})",
    [AT_OP_SOFTPLUS] = "softplus_{T}({a})",
    [AT_OP_LT] = "({a} < {b})",
    [AT_OP_LE] = "({a} <= {b})",
    [AT_OP_GT] = "({a} > {b})",
    [AT_OP_GE] = "({a} >= {b})",
    [AT_OP_EQ] = "({a} == {b})",
    [AT_OP_NE] = "({a} != {b})",
    [AT_OP_AND] = "({a} && {b})",
    [AT_OP_OR] = "({a} || {b})",
    [AT_OP_NOT] = "(!{a})",
    [AT_OP_SELECT] = "({a} ? {b} : {c})",
    [AT_OP_ROUND] = "{a}",
    [AT_OP_GRAD_CLIP] = "{a}",
};

/* Under the knob `math`: single instructions of the special-function unit. `ex2` keeps relative accuracy, `tanh` is coarser. */
static const struct {
    const char *math;
    at_op op;
    const char *text;
} fast_spelling[] = {
    {"ex2", AT_OP_EXP, "exp_approx_f32({a})"},          {"ex2", AT_OP_SIGMOID, "sigmoid_approx_f32({a})"},
    {"ex2", AT_OP_DIV, "div_approx_f32({a}, {b})"},     {"tanh", AT_OP_EXP, "exp_approx_f32({a})"},
    {"tanh", AT_OP_SIGMOID, "sigmoid_approx_f32({a})"}, {"tanh", AT_OP_DIV, "div_approx_f32({a}, {b})"},
    {"tanh", AT_OP_TANH, "tanh_approx_f32({a})"},
};

/* In f32, whatever the knob: functions of templates/cuda/helpers.cu.in in the place of CUDA's. */
static const struct {
    at_op op;
    const char *text;
} own_spelling[] = {
    {AT_OP_EXPM1, "expm1_times_f32(1.0f, {a})"},
    {AT_OP_ERFC, "erfc_f32({a})"},
};

const char *at_cuda_suffix(const char *port_name)
{
    static const char *const plain[] = {"x", "y", "bias", "scale", "shift", "add", "mul", "alpha", "beta"};
    if (!strcmp(port_name, "x_second") || !strcmp(port_name, "dx_second"))
        return "";
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        for (int gradient = 0; gradient < 2; gradient++) {
            size_t length = strlen(plain[i]);
            const char *name = port_name + (gradient && port_name[0] == 'd');
            if (!strncmp(name, plain[i], length) && strspn(name + length, "0123456789") == strlen(name + length))
                return "";
        }
    return "_operand";
}

typedef struct printer {
    const at_kernel *kernel;
    at_signature views; /* its ports as the graph sees them */
    const at_graph *graph;
    bool f64;
    bool wide; /* f32 kernels in f64 arithmetic */
    const char *math;
    int *uses;
    char (*name)[16]; /* of nodes that have one */
    int names;
    at_strbuf *out;
} printer;

static void print_constant(const printer *p, double value)
{
    if (isnan(value) || isinf(value)) {
        at_strbuf_append(p->out, isnan(value) ? "nan" : value < 0 ? "(-infinity" : "infinity");
        at_strbuf_append(p->out, p->f64 ? "_f64()" : "_f32()");
        if (isinf(value) && value < 0)
            at_strbuf_char(p->out, ')');
        return;
    }
    if (!p->f64 && fabs(value) > 0x1.fffffep127) { /* rounds to infinity as float */
        print_constant(p, value < 0 ? -(double)INFINITY : (double)INFINITY);
        return;
    }
    at_emit_literal(p->out, value, p->f64);
}

/* NULL: the knob `math` has no approximation of it. */
static const char *fast_spelling_of(const printer *p, at_op op)
{
    for (size_t i = 0; !p->f64 && i < sizeof fast_spelling / sizeof *fast_spelling; i++)
        if (fast_spelling[i].op == op && !strcmp(fast_spelling[i].math, p->math))
            return fast_spelling[i].text;
    return NULL;
}

static const char *spelling_of(const printer *p, at_op op)
{
    const char *fast = fast_spelling_of(p, op);
    if (p->wide && op == AT_OP_ROUND)
        return "((double)(float){a})";
    if (fast)
        return fast;
    for (size_t i = 0; !p->f64 && i < sizeof own_spelling / sizeof *own_spelling; i++)
        if (own_spelling[i].op == op)
            return own_spelling[i].text;
    return spelling[op];
}

static void print_name(const at_port *port, at_strbuf *out)
{
    at_strbuf_printf(out, "%s%s", port->name, at_row_is_local(port) ? "" : at_cuda_suffix(port->name));
}

static void print_node(printer *p, at_node_id id);

/* Expressions with a gate that have a function of their own, with fewer roundings: x sigmoid(u), x tanh(softplus(u)), x erfc(c x),
   k (exp(u) - 1), u - tanh(u); and whether the gate is closed (sigmoid(u) == 0). */
typedef struct gated {
    const char *name;
    at_node_id x, gate, u; /* x: none where u is all there is */
} gated;

/* What is left of an expression without constant factors and limits. */
static at_node_id core_of(const at_graph *graph, at_node_id id)
{
    for (;;) {
        const at_node *node = &graph->nodes[id];
        if (node->op == AT_OP_NEG)
            id = node->arg[0];
        else if (node->op != AT_OP_MUL && node->op != AT_OP_MIN && node->op != AT_OP_MAX)
            return id;
        else if (graph->nodes[node->arg[1]].op == AT_OP_CONSTANT)
            id = node->arg[0];
        else if (graph->nodes[node->arg[0]].op == AT_OP_CONSTANT)
            id = node->arg[1];
        else
            return id;
    }
}

/* Whether x times the node `id` is one of them; found->x is set. */
static bool is_gate(const at_graph *graph, at_node_id id, gated *found)
{
    const at_node *node = &graph->nodes[id];
    found->gate = id;
    found->u = node->arg[0];
    if (node->op == AT_OP_SIGMOID) {
        found->name = "gate_f32";
        return true;
    }
    if (node->op == AT_OP_EXPM1) {
        found->name = "expm1_times_f32";
        return graph->nodes[found->x].op == AT_OP_CONSTANT;
    }
    if (node->op == AT_OP_ERFC) {
        found->name = "erfc_times_f32";
        return core_of(graph, found->u) == core_of(graph, found->x);
    }
    if (node->op != AT_OP_TANH || graph->nodes[node->arg[0]].op != AT_OP_SOFTPLUS)
        return false;
    found->name = "mish_times_f32";
    found->u = graph->nodes[node->arg[0]].arg[0];
    return true;
}

static bool is_tanhshrink(const at_graph *graph, const at_node *node, gated *found)
{
    const at_node *right = &graph->nodes[node->arg[1]];
    *found = (gated){"tanhshrink_f32", AT_NO_NODE, node->arg[1], right->arg[0]};
    return right->op == AT_OP_TANH && right->arg[0] == node->arg[0];
}

static bool is_closed(const at_graph *graph, const at_node *node, gated *found)
{
    const at_node *left = &graph->nodes[node->arg[0]], *right = &graph->nodes[node->arg[1]];
    *found = (gated){"closed_f32", AT_NO_NODE, node->arg[0], left->arg[0]};
    return left->op == AT_OP_SIGMOID && right->op == AT_OP_CONSTANT && right->value == 0;
}

static bool match_gated(const printer *p, const at_node *node, gated *found)
{
    const at_graph *graph = p->graph;
    if (node->op == AT_OP_EQ)
        return is_closed(graph, node, found);
    if (node->op == AT_OP_SUB)
        return is_tanhshrink(graph, node, found);
    for (int k = 0; node->op == AT_OP_MUL && k < 2; k++) {
        found->x = node->arg[1 - k];
        if (is_gate(graph, node->arg[k], found))
            return true;
    }
    return false;
}

/* Not where the knob `math` approximates the gate. x erfc(c x) loses its relative accuracy in the tail, which the exact class asks for. */
static bool find_gated(const printer *p, const at_node *node, gated *found)
{
    bool forward = p->kernel->signature.direction == ACTUNE_FORWARD;
    if (p->f64 || !forward || !match_gated(p, node, found))
        return false;
    at_op gate = p->graph->nodes[found->gate].op;
    bool mish = gate == AT_OP_TANH && found->x != AT_NO_NODE; /* softplus in it */
    return !fast_spelling_of(p, gate) && (!mish || !strcmp(p->math, "exact")) &&
           (gate != AT_OP_ERFC || p->kernel->accuracy != AT_ACCURACY_EXACT);
}

static void print_gated(printer *p, const gated *found)
{
    at_strbuf_printf(p->out, "%s(", found->name);
    if (found->x != AT_NO_NODE) {
        print_node(p, found->x);
        at_strbuf_append(p->out, ", ");
    }
    print_node(p, found->u);
    at_strbuf_char(p->out, ')');
}

/* A node that nothing prints any more does not use its arguments either. */
static void drop_use(const printer *p, at_node_id id)
{
    if (--p->uses[id] > 0)
        return;
    for (int k = 0; k < at_op_get(p->graph->nodes[id].op)->arguments; k++)
        drop_use(p, p->graph->nodes[id].arg[k]);
}

static void count_gated(const printer *p)
{
    gated found;
    for (at_node_id i = 0; i < p->graph->count; i++)
        if (p->uses[i] > 0 && find_gated(p, &p->graph->nodes[i], &found)) {
            p->uses[found.u]++;
            drop_use(p, found.gate);
        }
}

/* The node's own expression, whatever its uses. Depth is bounded: deep chains are cut into named values (see needs_name). */
static void print_expression(printer *p, const at_node *node)
{
    if (node->op == AT_OP_CONSTANT) {
        print_constant(p, node->value);
        return;
    }
    if (node->op == AT_OP_INPUT) {
        const at_port *port = &p->views.port[node->index];
        at_strbuf_append(p->out, p->wide && !at_row_is_local(port) ? "(double)" : "");
        print_name(port, p->out);
        return;
    }
    gated product;
    if (find_gated(p, node, &product)) {
        print_gated(p, &product);
        return;
    }
    const char *text = spelling_of(p, node->op);
    if (!text) {
        p->out->failed = true;
        return;
    }
    for (const char *c = text; *c; c++) {
        if (*c != '{') {
            at_strbuf_char(p->out, *c);
            continue;
        }
        if (c[1] == 'f')
            at_strbuf_append(p->out, p->f64 ? "" : "f");
        else if (c[1] == 'T')
            at_strbuf_append(p->out, p->f64 ? "f64" : "f32");
        else
            print_node(p, node->arg[c[1] - 'a']);
        c += 2;
    }
}

static void print_node(printer *p, at_node_id id)
{
    if (p->name[id][0])
        at_strbuf_append(p->out, p->name[id]);
    else
        print_expression(p, &p->graph->nodes[id]);
}

/* Height of the expression below a node that is not named. */
static void count_uses(const printer *p, int *height)
{
    const at_graph *graph = p->graph;
    int *uses = p->uses;
    for (at_node_id i = graph->count - 1; i >= 0; i--)
        for (int k = 0; k < at_op_get(graph->nodes[i].op)->arguments; k++)
            uses[graph->nodes[i].arg[k]]++;
    for (int k = 0; k < graph->outputs; k++)
        uses[graph->output[k]]++;
    count_gated(p);
    for (at_node_id i = 0; i < graph->count; i++) {
        const at_node *node = &graph->nodes[i];
        height[i] = 0;
        for (int k = 0; k < at_op_get(node->op)->arguments; k++)
            if (height[node->arg[k]] + 1 > height[i])
                height[i] = height[node->arg[k]] + 1;
        if (uses[i] != 1 || height[i] >= 4)
            height[i] = 0;
    }
}

/* Ends the statement whose expression was written from `start`, without parentheses around all of it. */
static void end_statement(printer *p, size_t start)
{
    at_strbuf *out = p->out;
    if (!out->failed && out->length > start && out->text[start] == '(') {
        size_t at = start;
        for (int depth = 0; at < out->length; at++) {
            depth += (out->text[at] == '(') - (out->text[at] == ')');
            if (depth == 0)
                break;
        }
        if (at == out->length - 1) {
            memmove(out->text + start, out->text + start + 1, out->length - start - 2);
            out->length -= 2;
            out->text[out->length] = 0;
        }
    }
    at_strbuf_append(out, ";\n");
}

static void print_statement(printer *p, at_node_id id)
{
    const at_node *node = &p->graph->nodes[id];
    bool truth = at_op_get(node->op)->result == 'B';
    char name[16];
    snprintf(name, sizeof name, "t%d", p->names++);
    at_strbuf_printf(p->out, "    const %s %s = ", truth ? "bool" : p->f64 ? "double" : "float", name);
    size_t start = p->out->length;
    print_expression(p, node);
    end_statement(p, start);
    memcpy(p->name[id], name, sizeof name);
}

static void print_head(printer *p, const char *function)
{
    const at_signature *s = &p->views;
    const char *type = s->compute == ACTUNE_F64 ? "double" : "float";
    at_strbuf_printf(p->out, "static __device__ __forceinline__ void %s(", function);
    for (int i = 0; i < s->ports; i++) {
        const at_port *port = &s->port[i];
        bool truth = at_row_is_kept(port);
        at_strbuf_printf(p->out, "%s%s %s", i ? ", " : "", truth ? "bool" : type, port->is_output ? "&" : "");
        print_name(port, p->out);
    }
    at_strbuf_append(p->out, ")\n{\n");
}

actune_status at_emit_cuda_function(const at_kernel *kernel, const char *math, const char *function, at_strbuf *out)
{
    const at_graph *graph = &kernel->graph;
    size_t count = (size_t)graph->count + 1;
    int *height = calloc(count, sizeof *height);
    printer p = {.kernel = kernel, .graph = graph, .math = math, .out = out};
    at_signature_views(&kernel->signature, &p.views);
    p.wide = !strcmp(math, "wide");
    p.f64 = p.wide || kernel->signature.compute == ACTUNE_F64;
    p.uses = calloc(count, sizeof *p.uses);
    p.name = calloc(count, sizeof *p.name);
    if (!height || !p.uses || !p.name) {
        out->failed = true;
    } else {
        count_uses(&p, height);
        print_head(&p, function);
        for (at_node_id i = 0; i < graph->count; i++) {
            at_op op = graph->nodes[i].op;
            bool leaf = op == AT_OP_CONSTANT || op == AT_OP_INPUT;
            if (!leaf && p.uses[i] > 0 && height[i] == 0)
                print_statement(&p, i);
        }
        for (int k = 0; k < graph->outputs; k++) {
            at_strbuf_append(out, "    ");
            print_name(&p.views.port[p.views.inputs + k], out);
            at_strbuf_append(out, " = ");
            size_t start = out->length;
            print_node(&p, graph->output[k]);
            end_statement(&p, start);
        }
        at_strbuf_append(out, "}\n");
    }
    free(height);
    free(p.uses);
    free(p.name);
    return at_strbuf_status(out);
}

actune_status at_emit_cuda_table(const at_kernel *kernel, at_strbuf *out)
{
    unsigned char table[256];
    const char *x = kernel->signature.port[0].name, *y = kernel->signature.port[1].name;
    AT_TRY(at_code_table(kernel, table));
    at_strbuf_append(out, "/* The code of y for each code of x, four a word: the pipeline as a whole, computed when this was written. */\n"
                          "static __device__ const unsigned int codes[64] = {\n");
    for (int i = 0; i < 64; i++)
        at_strbuf_printf(out, "%s0x%02x%02x%02x%02x,%s", i % 8 ? " " : "    ", table[4 * i + 3], table[4 * i + 2], table[4 * i + 1], table[4 * i],
                         i % 8 == 7 ? "\n" : "");
    at_strbuf_append(out, "};\n\n/* A copy for each lane of a warp, so that no two lanes meet in a bank. */\n__shared__ unsigned int table[64 * 32];\n\n");
    at_strbuf_printf(out, "static __device__ __forceinline__ void evaluate(const unsigned char %s%s, unsigned char &%s%s)\n{\n", x, at_cuda_suffix(x), y,
                     at_cuda_suffix(y));
    at_strbuf_printf(out, "    const unsigned int at = (%s%s & 0xfc) << 5 | (threadIdx.x & 31) << 2 | (%s%s & 3);\n", x, at_cuda_suffix(x), x,
                     at_cuda_suffix(x));
    at_strbuf_printf(out, "    %s%s = ((const unsigned char *)table)[at];\n}\n", y, at_cuda_suffix(y));
    return at_strbuf_status(out);
}
