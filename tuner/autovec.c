#include "autovec.h"

#include <math.h>
#include <string.h>

#include "../runtime/base/dtype.h"

/* How each op is written; $1 to $3 are its arguments, F(name) the libm function of the compute type. */
static const char *const op_text[AT_OP_COUNT] = {
    [AT_OP_ADD] = "$1 + $2",
    [AT_OP_SUB] = "$1 - $2",
    [AT_OP_MUL] = "$1 * $2",
    [AT_OP_DIV] = "$1 / $2",
    [AT_OP_NEG] = "-$1",
    [AT_OP_ABS] = "F(fabs)($1)",
    [AT_OP_FMA] = "F(fma)($1, $2, $3)",
    [AT_OP_MIN] = "$2 < $1 || $2 != $2 ? $2 : $1",
    [AT_OP_MAX] = "$2 > $1 || $2 != $2 ? $2 : $1",
    [AT_OP_COPYSIGN] = "F(copysign)($1, $2)",
    [AT_OP_SQRT] = "F(sqrt)($1)",
    [AT_OP_FLOOR] = "F(floor)($1)",
    [AT_OP_CEIL] = "F(ceil)($1)",
    [AT_OP_TRUNC] = "F(trunc)($1)",
    [AT_OP_RINT] = "F(rint)($1)",
    [AT_OP_EXP] = "F(exp)($1)",
    [AT_OP_EXP2] = "F(exp2)($1)",
    [AT_OP_EXPM1] = "F(expm1)($1)",
    [AT_OP_LOG] = "F(log)($1)",
    [AT_OP_LOG2] = "F(log2)($1)",
    [AT_OP_LOG1P] = "F(log1p)($1)",
    [AT_OP_SIN] = "F(sin)($1)",
    [AT_OP_COS] = "F(cos)($1)",
    [AT_OP_TAN] = "F(tan)($1)",
    [AT_OP_ATAN] = "F(atan)($1)",
    [AT_OP_SINH] = "F(sinh)($1)",
    [AT_OP_COSH] = "F(cosh)($1)",
    [AT_OP_TANH] = "F(tanh)($1)",
    [AT_OP_ASINH] = "F(asinh)($1)",
    [AT_OP_ERF] = "F(erf)($1)",
    [AT_OP_ERFC] = "F(erfc)($1)",
    [AT_OP_POW] = "F(pow)($1, $2)",
    [AT_OP_SIGMOID] = "1 / (1 + F(exp)(-$1))",
    [AT_OP_SOFTPLUS] = "$1 > 20 ? $1 : F(log1p)(F(exp)($1))",
    [AT_OP_LT] = "$1 < $2",
    [AT_OP_LE] = "$1 <= $2",
    [AT_OP_GT] = "$1 > $2",
    [AT_OP_GE] = "$1 >= $2",
    [AT_OP_EQ] = "$1 == $2",
    [AT_OP_NE] = "$1 != $2",
    [AT_OP_AND] = "$1 && $2",
    [AT_OP_OR] = "$1 || $2",
    [AT_OP_NOT] = "!$1",
    [AT_OP_SELECT] = "$1 ? $2 : $3",
    [AT_OP_ROUND] = "$1",
    [AT_OP_GRAD_CLIP] = "$1",
};

/* Element access by type: what a port's elements are declared as, and how one is read and written. */
static const struct port_text {
    const char *type, *load, *store;
} port_text[] = {
    [ACTUNE_F32] = {"float", "", ""},
    [ACTUNE_F64] = {"double", "", ""},
    [ACTUNE_F16] = {"unsigned short", "from_f16", "to_f16"},
    [ACTUNE_BF16] = {"unsigned short", "from_bf16", "to_bf16"},
    [ACTUNE_I8] = {"signed char", "", "to_i8"},
    [ACTUNE_U8] = {"unsigned char", "", "to_u8"},
    [ACTUNE_F8E4M3] = {NULL, NULL, NULL}, /* no loop that anybody would write */
    [ACTUNE_F8E5M2] = {NULL, NULL, NULL},
};

/* 16-bit types by integer arithmetic: _Float16 is missing in compilers that are still around. Rounding is to nearest
   even; the f16 store leaves denormal results to a float addition that shifts them into place. */
static const char prelude[] =
    "typedef union { float f; unsigned u; } word;\n"
    "static inline float from_bf16(unsigned short h) { word w = {.u = (unsigned)h << 16}; return w.f; }\n"
    "static inline unsigned short to_bf16(float f)\n"
    "{\n"
    "    word w = {.f = f};\n"
    "    return f != f ? 0x7fc0 : (w.u + 0x7fff + (w.u >> 16 & 1)) >> 16;\n"
    "}\n"
    "static inline float from_f16(unsigned short h)\n"
    "{\n"
    "    word w = {.u = (h & 0x7fffu) << 13};\n"
    "    w.f *= 0x1p112f;\n"
    "    w.u |= w.f >= 65536 ? 0x7f800000u : 0;\n"
    "    w.u |= (h & 0x8000u) << 16;\n"
    "    return w.f;\n"
    "}\n"
    "static inline unsigned short to_f16(float f)\n"
    "{\n"
    "    word w = {.f = f}, a = {.u = w.u & 0x7fffffff}, s = a;\n"
    "    s.f += 0.5f;\n"
    "    unsigned normal = (a.u - (112u << 23) + 0xfff + (a.u >> 13 & 1)) >> 13;\n"
    "    unsigned h = a.f < 0x1p-14f ? s.u - 0x3f000000 : a.f >= 65520 ? 0x7c00 : normal;\n"
    "    return (f != f ? 0x7e00 : h) | (w.u >> 16 & 0x8000);\n"
    "}\n"
    "static inline signed char to_i8(float f)\n"
    "{\n"
    "    word w = {.f = (f > 127 ? 127 : f < -128 ? -128 : f != f ? 0 : f) + 0x1.8p23f};\n"
    "    return (signed char)w.u;\n"
    "}\n"
    "static inline unsigned char to_u8(float f)\n"
    "{\n"
    "    word w = {.f = (f > 255 ? 255 : f > 0 ? f : 0) + 0x1.8p23f};\n"
    "    return (unsigned char)w.u;\n"
    "}\n";

typedef struct printer {
    const at_kernel *kernel;
    const at_signature *views;
    at_layout layout;
    const char *suffix; /* of libm functions: "f" or "" */
    at_strbuf *out;
} printer;

static void print_constant(const printer *to, double value)
{
    if (isnan(value))
        at_strbuf_append(to->out, "(real)__builtin_nanf(\"\")");
    else if (isinf(value))
        at_strbuf_append(to->out, value < 0 ? "-(real)__builtin_inff()" : "(real)__builtin_inff()");
    else {
        at_strbuf_append(to->out, "(real)");
        at_strbuf_double(to->out, value);
    }
}

static void print_op(const printer *to, const at_node *node)
{
    for (const char *at = op_text[node->op]; *at; at++) {
        if (*at == '$')
            at_strbuf_printf(to->out, "v%d", node->arg[*++at - '1']);
        else if (at[0] == 'F' && at[1] == '(') {
            const char *end = strchr(at, ')');
            at_strbuf_printf(to->out, "__builtin_%.*s%s", (int)(end - at - 2), at + 2, to->suffix);
            at = end;
        } else
            at_strbuf_char(to->out, *at);
    }
}

static const char *index_text(const printer *to, const at_port *port)
{
    bool rows = to->layout == AT_LAYOUT_CHANNEL_INNER;
    if (port->half)
        return rows ? port->half == 1 ? "i + o * s->channels" : "i + (o + 1) * s->channels"
                    : port->half == 1 ? "i + o * s->channels * s->inner" : "i + (o + 1) * s->channels * s->inner";
    if (port->access == AT_ACCESS_PLANE)
        return rows ? "o / s->inner * s->channels + c" : "o * s->channels + c";
    return port->access == AT_ACCESS_ELEMENT ? "i" : port->access == AT_ACCESS_CHANNEL ? "c" : "0";
}

static void print_node(const printer *to, at_node_id id)
{
    const at_node *node = &to->kernel->graph.nodes[id];
    at_strbuf_printf(to->out, "                %s v%d = ", at_op_get(node->op)->result == 'B' ? "int" : "real", id);
    if (node->op == AT_OP_INPUT) {
        const at_port *port = &to->views->port[node->index];
        at_strbuf_printf(to->out, "%s(p%d[%s])", port_text[port->dtype].load, port->buffer, index_text(to, port));
    } else if (node->op == AT_OP_CONSTANT)
        print_constant(to, node->value);
    else
        print_op(to, node);
    at_strbuf_append(to->out, ";\n");
}

static void print_pointers(const printer *to)
{
    const at_signature *signature = &to->kernel->signature;
    for (int p = 0; p < signature->ports; p++) {
        const at_port *port = &signature->port[p];
        const char *type = port_text[port->dtype].type, *constant = port->is_output ? "" : "const ";
        at_strbuf_printf(to->out, "    %s%s *restrict p%d = s->port[%d];\n", constant, type, p, p);
        if (port->reduction)
            at_strbuf_printf(to->out, "    for (long c = 0; c < %s; c++)\n        p%d[c] = 0;\n",
                             port->access == AT_ACCESS_CHANNEL ? "s->channels" : port->access == AT_ACCESS_PLANE ? "s->outer * s->channels" : "1", p);
    }
}

static void print_stores(const printer *to)
{
    for (int k = 0; k < to->kernel->graph.outputs; k++) {
        const at_port *port = &to->views->port[to->views->inputs + k];
        const char *at = index_text(to, port);
        if (port->reduction == AT_REDUCTION_MAX)
            at_strbuf_printf(to->out, "                p%d[%s] = v%d > p%d[%s] ? v%d : p%d[%s];\n", port->buffer, at, to->kernel->graph.output[k],
                             port->buffer, at, to->kernel->graph.output[k], port->buffer, at);
        else
            at_strbuf_printf(to->out, "                p%d[%s] %s %s(v%d);\n", port->buffer, at, port->reduction ? "+=" : "=",
                             port_text[port->dtype].store, to->kernel->graph.output[k]);
    }
}

/* Loops over o, c and the element inside a plane; the innermost is the one that runs over neighbouring elements. */
static const char *const loops[] = {
    [AT_LAYOUT_FLAT] =
        "    { { long c = 0;\n            for (long i = 0; i < s->outer * s->channels * s->inner; i++) {\n",
    [AT_LAYOUT_CHANNEL_INNER] =
        "    for (long o = 0; o < s->outer * s->inner; o++) {\n        {\n            for (long c = 0; c < s->channels; c++) {\n"
        "                long i = o * s->channels + c;\n",
    [AT_LAYOUT_CHANNEL_OUTER] =
        "    for (long o = 0; o < s->outer; o++) {\n        for (long c = 0; c < s->channels; c++) {\n"
        "            long first = (o * s->channels + c) * s->inner;\n"
        "            for (long i = first; i < first + s->inner; i++) {\n",
};

static bool has_statistics(const at_signature *signature)
{
    for (int p = signature->inputs; p < signature->ports; p++)
        if (signature->port[p].reduction == AT_REDUCTION_STATISTICS)
            return true;
    return false;
}

actune_status at_autovec_source(const at_kernel *kernel, at_layout layout, const char *symbol, at_strbuf *source)
{
    for (int p = 0; p < kernel->signature.ports; p++) {
        if (kernel->signature.port[p].access == AT_ACCESS_RANDOM)
            return at_fail(ACTUNE_UNSUPPORTED, "a plain loop has no random numbers");
        if (!port_text[kernel->signature.port[p].dtype].type)
            return at_fail(ACTUNE_UNSUPPORTED, "a plain loop has no 8-bit floats");
    }
    if (has_statistics(&kernel->signature))
        return at_fail(ACTUNE_UNSUPPORTED, "a plain loop has no statistics");
    bool wide = kernel->signature.compute == ACTUNE_F64;
    at_signature views;
    printer to = {kernel, &views, layout, wide ? "" : "f", source};
    at_signature_views(&kernel->signature, &views);
    at_strbuf_append(source, "#pragma GCC optimize(\"O3\")\n"); /* clang vectorises at -O2 and passes over this */
    at_strbuf_printf(source, "typedef %s real;\n%s", wide ? "double" : "float", prelude);
    at_strbuf_append(
        source,
        "typedef struct slice { void *const *port; long outer, channels, inner, begin, end; double *partial; } slice;\n"
        "\n");
    at_strbuf_printf(source, "__attribute__((visibility(\"default\"))) void %s(const slice *s)\n{\n", symbol);
    print_pointers(&to);
    at_strbuf_append(source, loops[layout]);
    for (at_node_id id = 0; id < kernel->graph.count; id++) {
        if (!op_text[kernel->graph.nodes[id].op] && at_op_get(kernel->graph.nodes[id].op)->arguments > 0)
            return at_fail(ACTUNE_UNSUPPORTED, "no plain loop for op %s", at_op_get(kernel->graph.nodes[id].op)->name);
        print_node(&to, id);
    }
    print_stores(&to);
    at_strbuf_append(source, "            }\n        }\n    }\n}\n");
    return at_strbuf_status(source);
}
