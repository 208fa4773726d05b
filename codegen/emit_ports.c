/* The ports of a kernel as variables of the loop templates: names, types, and the lists of parameters and arguments
   that lines of a template cannot join by themselves. templates/README.md says what each is for. */
#include "emit_c.h"
#include "row.h"

#include "../runtime/base/dtype.h"
#include <stdio.h>
#include <string.h>

enum { LOOKAHEAD = 16 }; /* vectors of one round of a loop, at most */

typedef struct ports {
    const at_emit *emit;
    const at_signature *signature; /* views */
    at_arena *arena;
    at_scope *scope;
    const char *type; /* "f32x16" */
    bool used[AT_PORTS_MAX];
    const char *name[AT_PORTS_MAX];
    bool failed;
} ports;

/* Words of C and what the loop templates call their own. */
const char *at_emit_name(const char *port_name, at_arena *arena)
{
    static const char *const taken[] = {"apart", "away",    "distance",  "distances", "joint", "old", "origin", "rounds", "share",
                                        "own", "row_distance", "row_origin", "row_square", "square", "squares", "value",
                                        "begin",   "block",   "channel",   "c",     "channels", "chunk", "column",
                                        "count",   "end",     "evaluate",  "first", "head",     "i",     "image", "inner",
                                        "int64_t", "j",       "k",         "lane",  "kept",    "largest", "left",   "moved", "n",       "origin",  "record", "seen",        "outer", "part",
                                        "partial", "parts",     "pattern", "period",    "phase", "piece",    "plane", "r",
                                        "rest",    "row",     "rows",      "s",     "skip",     "span",     "start", "step",
                                        "stop",    "sum",     "sum_block", "term",  "total",    "width"};
    bool clash = strstr(port_name, "f32x") || strstr(port_name, "f64x") || !strncmp(port_name, "actune", 6) ||
                 !strncmp(port_name, "stretch", 7) || !strncmp(port_name, "row_", 4) || strspn(port_name + 1, "0123456789") == strlen(port_name + 1);
    if (!strcmp(port_name, "x") || !strcmp(port_name, "y"))
        clash = false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        clash |= !strcmp(port_name, taken[i]);
    const char *name = clash ? at_arena_printf(arena, "%s_", port_name) : port_name;
    return name ? name : "";
}

void at_emit_used_inputs(const at_graph *graph, bool *used)
{
    bool live[4096] = {false};
    memset(used, 0, AT_PORTS_MAX * sizeof *used);
    for (int i = 0; i < graph->count && graph->count > 4096; i++)
        if (graph->nodes[i].op == AT_OP_INPUT)
            used[graph->nodes[i].index] = true;
    if (graph->count > 4096)
        return;
    for (int k = 0; k < graph->outputs; k++)
        live[graph->output[k]] = true;
    for (int i = graph->count - 1; i >= 0; i--) {
        const at_node *node = &graph->nodes[i];
        if (live[i] && node->op == AT_OP_INPUT)
            used[node->index] = true;
        for (int a = 0; live[i] && a < 3; a++)
            if (node->arg[a] != AT_NO_NODE)
                live[node->arg[a]] = true;
    }
}

/* A string that lives as long as the scope. */
static const char *kept(ports *p, at_strbuf *text)
{
    const char *copy = at_strbuf_status(text) ? NULL : at_arena_strdup(p->arena, at_strbuf_text(text));
    at_strbuf_clear(text);
    p->failed |= !copy;
    return copy ? copy : "";
}

static void set_text(ports *p, const char *variable, int index, at_strbuf *text)
{
    at_scope_text(p->scope, variable, index, kept(p, text));
}

static const char *c_type(actune_dtype dtype)
{
    static const char *const types[] = {[ACTUNE_F32] = "float",
                                        [ACTUNE_F64] = "double",
                                        [ACTUNE_F16] = "unsigned short",
                                        [ACTUNE_BF16] = "unsigned short",
                                        [ACTUNE_I8] = "signed char",
                                        [ACTUNE_U8] = "unsigned char",
                                        [ACTUNE_F8E4M3] = "unsigned char",
                                        [ACTUNE_F8E5M2] = "unsigned char"};
    return types[dtype];
}

/* In a flat tensor a per-channel port has one value. A loop meets a plane's value where it meets a channel's. */
static at_access access_of(const ports *p, int port)
{
    at_access access = p->signature->port[port].access;
    if (access == AT_ACCESS_PLANE)
        return AT_ACCESS_CHANNEL;
    return access == AT_ACCESS_CHANNEL && p->emit->layout == AT_LAYOUT_FLAT ? AT_ACCESS_SCALAR : access;
}

static bool is_plane(const ports *p, int port)
{
    return p->signature->port[port].access == AT_ACCESS_PLANE;
}

static bool is_loop_output(const ports *p, int port)
{
    return port >= p->signature->inputs && !p->signature->port[port].reduction;
}

/* Ports that the loops go along, element by element. */
static bool is_element(const ports *p, int port)
{
    const at_port *of = &p->signature->port[port];
    return p->used[port] && access_of(p, port) == AT_ACCESS_ELEMENT && !of->reduction && !at_row_is_local(of);
}

/* "f32x16" for elements of the compute type, else "f16_f32x16": what the names of load and store end with. */
static const char *access_type(ports *p, actune_dtype dtype)
{
    at_strbuf text = {0};
    if (dtype != p->signature->compute)
        at_strbuf_printf(&text, "%s_", at_dtype_get(dtype)->name);
    at_strbuf_append(&text, p->type);
    return kept(p, &text);
}

static void add_group(ports *p, const char *count_name, const char *prefix, bool (*belongs)(const ports *p, int port))
{
    enum { WHATS = 5 };
    int count = 0;
    char variable[WHATS][40];
    static const char *const what[WHATS] = {"", "_type", "_ctype", "_bytes", "_skip"};
    for (int i = 0; i < WHATS; i++)
        snprintf(variable[i], sizeof variable[i], "%s%s", prefix, what[i]);
    const char *name[WHATS];
    for (int i = 0; i < WHATS; i++)
        if (!(name[i] = at_arena_strdup(p->arena, variable[i]))) {
            p->failed = true;
            return;
        }
    for (int port = 0; port < p->signature->ports; port++) {
        if (!belongs(p, port))
            continue;
        actune_dtype dtype = p->signature->port[port].dtype;
        at_scope_text(p->scope, name[0], count, p->name[port]);
        at_scope_text(p->scope, name[1], count, access_type(p, dtype));
        at_scope_text(p->scope, name[2], count, c_type(dtype));
        at_scope_number(p->scope, name[3], count, at_dtype_get(dtype)->bytes);
        at_scope_text(p->scope, name[4], count, p->signature->port[port].half ? " + row * channels" : "");
        count++;
    }
    at_scope_number(p->scope, count_name, -1, count);
}

static bool element_input(const ports *p, int port)
{
    return port < p->signature->inputs && is_element(p, port);
}

static bool element_output(const ports *p, int port)
{
    return is_loop_output(p, port) && is_element(p, port);
}

static bool channel_input(const ports *p, int port)
{
    return port < p->signature->inputs && p->used[port] && access_of(p, port) == AT_ACCESS_CHANNEL;
}

static bool scalar_input(const ports *p, int port)
{
    return port < p->signature->inputs && p->used[port] && access_of(p, port) == AT_ACCESS_SCALAR;
}

static bool random_input(const ports *p, int port)
{
    return port < p->signature->inputs && p->used[port] && access_of(p, port) == AT_ACCESS_RANDOM;
}

static bool sum_output(const ports *p, int port)
{
    at_reduction reduction = p->signature->port[port].reduction;
    return reduction != AT_REDUCTION_NONE && reduction != AT_REDUCTION_STATISTICS;
}

static bool statistics_output(const ports *p, int port)
{
    return p->signature->port[port].reduction == AT_REDUCTION_STATISTICS;
}

/* reduction[k]: "sum", "max" or "moments", of sum[k]. */
static void add_reductions(ports *p)
{
    int count = 0;
    for (int port = 0; port < p->signature->ports; port++)
        if (sum_output(p, port))
            at_scope_text(p->scope, "reduction", count++, at_reduction_name(p->signature->port[port].reduction));
}

/* clip_lo, clip_hi: the bounds at which the statistics count, as C; clips: whether there are any. */
static void add_bounds(ports *p)
{
    for (int port = p->signature->inputs; port < p->signature->ports; port++) {
        const at_port *of = &p->signature->port[port];
        at_strbuf lo = {0}, hi = {0};
        if (!statistics_output(p, port))
            continue;
        at_emit_literal(&lo, of->clip_lo, p->signature->compute == ACTUNE_F64);
        at_emit_literal(&hi, of->clip_hi, p->signature->compute == ACTUNE_F64);
        set_text(p, "clip_lo", -1, &lo);
        set_text(p, "clip_hi", -1, &hi);
        at_scope_number(p->scope, "clips", -1, of->clip_lo < of->clip_hi);
    }
}

/* pointer[k]: "const float *x", pointer_from[k]: "s->port[0]", where local ports have none, or where a second half begins. */
static void add_pointers(ports *p)
{
    int count = 0, locals = 0;
    for (int port = 0; port < p->signature->ports; port++) {
        locals += at_row_is_local(&p->signature->port[port]);
        bool input = port < p->signature->inputs;
        if (!p->used[port] || p->signature->port[port].reduction || at_row_is_local(&p->signature->port[port]))
            continue;
        at_strbuf text = {0};
        at_strbuf_printf(&text, "%s%s *%s", input ? "const " : "", c_type(p->signature->port[port].dtype),
                         p->name[port]);
        set_text(p, "pointer", count, &text);
        if (p->signature->port[port].half == 2)
            at_strbuf_printf(&text, "(%s%s *)s->port[%d] + s->channels%s", input ? "const " : "", c_type(p->signature->port[port].dtype),
                             p->signature->port[port].buffer, p->emit->layout == AT_LAYOUT_CHANNEL_OUTER ? " * s->inner" : "");
        else
            at_strbuf_printf(&text, "s->port[%d]", p->signature->port[port].buffer - locals);
        set_text(p, "pointer_from", count++, &text);
    }
    at_scope_number(p->scope, "pointers", -1, count);
}

/* One item of a parameter or argument list. */
typedef enum list_style {
    PARAMETERS,     /* const float *x, f32x16 vbias, float *y */
    ROW_PARAMETERS, /* const float *x, const float *bias, float *y */
    AT_BEGIN,       /* x + begin, splat_f32x16(bias[channel]), y + begin */
    AT_I,           /* x + i, vbias, y + i */
    PASS_ON,        /* x, vbias, y */
    AT_ROW,         /* x + i, bias + channel, y + i */
    AT_PATTERN,     /* x + i, bias, y + i */
    ROW_PIECE,      /* x + i, loadn_f32x16(bias + i, end), y + i */
    PATTERN_PIECE   /* x + i, load_f32x16(bias_pattern + j), y + i */
} list_style;

static void list_element(ports *p, list_style style, int port, at_strbuf *text)
{
    bool input = port < p->signature->inputs;
    const char *name = p->name[port];
    if (style == PARAMETERS || style == ROW_PARAMETERS)
        at_strbuf_printf(text, "%s%s *%s", input ? "const " : "", c_type(p->signature->port[port].dtype), name);
    else
        at_strbuf_printf(text, style == AT_BEGIN ? "%s + begin" : style == PASS_ON ? "%s" : "%s + i", name);
    if (p->signature->port[port].half && (style == AT_BEGIN || style == AT_ROW))
        at_strbuf_append(text, " + skip");
}

static void list_operand(ports *p, list_style style, int port, at_strbuf *text)
{
    const char *name = p->name[port];
    bool channel = access_of(p, port) == AT_ACCESS_CHANNEL;
    if (style == ROW_PARAMETERS && channel)
        at_strbuf_printf(text, "const %s *%s", c_type(p->signature->port[port].dtype), name);
    else if (style == PARAMETERS || style == ROW_PARAMETERS)
        at_strbuf_printf(text, "%s v%s", p->type, name);
    else if (style == AT_ROW && channel)
        at_strbuf_printf(text, is_plane(p, port) ? "%s + image * channels + channel" : "%s + channel", name);
    else if (style == AT_PATTERN && channel)
        at_strbuf_printf(text, is_plane(p, port) ? "%s + image * channels" : "%s", name);
    else if (style == ROW_PIECE && channel)
        at_strbuf_printf(text, "loadn_%s(%s + i, end)", p->type, name);
    else if (style == PATTERN_PIECE && channel)
        at_strbuf_printf(text, "load_%s(%s_pattern + j)", p->type, name);
    else if (style == AT_BEGIN || style == AT_ROW || style == AT_PATTERN)
        at_strbuf_printf(text, "splat_%s(%s[%s])", p->type, name, is_plane(p, port) ? "plane" : channel ? "channel" : "0");
    else
        at_strbuf_printf(text, "v%s", name);
}

/* The seed's place, and the number of the element that a function begins with. */
static void list_random(ports *p, list_style style, int port, at_strbuf *text)
{
    const char *name = p->name[port];
    if (style == PARAMETERS || style == ROW_PARAMETERS)
        at_strbuf_printf(text, "const double *%s, int64_t %s_at", name, name);
    else if (style == AT_BEGIN)
        at_strbuf_printf(text, "%s, begin", name);
    else if (style == PASS_ON)
        at_strbuf_printf(text, "%s, %s_at", name, name);
    else if (style == AT_ROW || style == AT_PATTERN)
        at_strbuf_printf(text, "%s, i", name);
    else
        at_strbuf_printf(text, "%s, %s_at + i", name, name);
}

static void add_list(ports *p, const char *variable, list_style style)
{
    at_strbuf text = {0};
    const char *comma = "";
    for (int port = 0; port < p->signature->ports; port++) {
        if (!p->used[port] || p->signature->port[port].reduction || at_row_is_local(&p->signature->port[port]))
            continue;
        at_strbuf_append(&text, comma);
        if (access_of(p, port) == AT_ACCESS_ELEMENT)
            list_element(p, style, port, &text);
        else if (access_of(p, port) == AT_ACCESS_RANDOM)
            list_random(p, style, port, &text);
        else
            list_operand(p, style, port, &text);
        comma = ", ";
    }
    set_text(p, variable, -1, &text);
}

/* finite_watches: that all 32 lanes of the statistics are. */
static void add_watches(ports *p)
{
    at_strbuf text = {0};
    for (int u = 0; u < 32 / p->emit->lanes; u++)
        at_strbuf_printf(&text, "%swatch_is_finite_%s(&seen%d)", u ? " && " : "", p->type, u);
    set_text(p, "finite_watches", -1, &text);
}

/* "f32x16 vy = evaluate(vx, vbias);". Element vectors have the number of the vector in their names, operands only where
   the loop has one for each (`varying`: per-channel operands along a row). */
static void add_evaluate(ports *p, const char *variable, int u, bool varying)
{
    at_strbuf text = {0}, number = {0};
    if (u >= 0)
        at_strbuf_printf(&number, "%d", u);
    const char *end = at_strbuf_text(&number), *comma = "";
    int outputs = p->signature->ports - p->signature->inputs;
    const char *first = p->name[p->signature->inputs];
    if (outputs == 1) {
        at_strbuf_printf(&text, "%s v%s%s = %s%s(", p->type, first, end, p->emit->function, p->emit->suffix);
    } else {
        at_strbuf_append(&text, p->type);
        for (int port = p->signature->inputs; port < p->signature->ports; port++)
            at_strbuf_printf(&text, "%s v%s%s", port > p->signature->inputs ? "," : "", p->name[port], end);
        at_strbuf_printf(&text, "; %s%s(", p->emit->function, p->emit->suffix);
    }
    for (int port = 0; port < p->signature->inputs; port++) {
        if (!p->used[port])
            continue;
        at_access access = access_of(p, port);
        bool numbered = access == AT_ACCESS_ELEMENT || access == AT_ACCESS_RANDOM || (varying && access == AT_ACCESS_CHANNEL);
        at_strbuf_printf(&text, "%sv%s%s", comma, p->name[port], numbered ? end : "");
        comma = ", ";
    }
    for (int port = p->signature->inputs; port < p->signature->ports && outputs > 1; port++) {
        at_strbuf_printf(&text, "%s&v%s%s", comma, p->name[port], end);
        comma = ", ";
    }
    at_strbuf_append(&text, ");");
    at_strbuf_clear(&number);
    set_text(p, variable, u, &text);
}

static void name_ports(ports *p)
{
    at_emit_used_inputs(&p->emit->kernel->graph, p->used);
    for (int port = 0; port < p->signature->ports; port++) {
        const at_port *of = &p->signature->port[port];
        p->name[port] = at_row_is_local(of) ? of->name : at_emit_name(of->name, p->arena);
        p->used[port] |= port >= p->signature->inputs;
    }
}

actune_status at_emit_scope(const at_emit *emit, at_arena *arena, at_scope *scope)
{
    at_signature views;
    ports p = {.emit = emit, .signature = &views, .arena = arena, .scope = scope};
    at_signature_views(&emit->kernel->signature, &views);
    p.type = at_arena_printf(arena, "%sx%d", at_dtype_get(p.signature->compute)->name, emit->lanes);
    if (!p.type)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
    name_ports(&p);
    at_scope_text(scope, "V", -1, p.type);
    at_scope_text(scope, "C", -1, c_type(p.signature->compute));
    at_scope_text(scope, "suffix", -1, emit->suffix);
    add_group(&p, "ins", "in", element_input);
    add_group(&p, "outs", "out", element_output);
    add_group(&p, "plain_sums", "sum", sum_output);
    add_group(&p, "statistics", "watched", statistics_output);
    add_reductions(&p);
    add_bounds(&p);
    add_watches(&p);
    add_group(&p, "channel_ins", "channel_in", channel_input);
    add_group(&p, "random_ins", "random_in", random_input);
    add_group(&p, "scalar_ins", "scalar_in", scalar_input);
    add_pointers(&p);
    add_list(&p, "parameters", PARAMETERS);
    add_list(&p, "row_parameters", ROW_PARAMETERS);
    add_list(&p, "at_begin", AT_BEGIN);
    add_list(&p, "at_i", AT_I);
    add_list(&p, "pass_on", PASS_ON);
    add_list(&p, "at_row", AT_ROW);
    add_list(&p, "at_pattern", AT_PATTERN);
    add_list(&p, "row_piece", ROW_PIECE);
    add_list(&p, "pattern_piece", PATTERN_PIECE);
    for (int u = 0; u < LOOKAHEAD; u++) {
        const char *plus = u ? at_arena_printf(arena, " + %d", u * emit->lanes) : "";
        p.failed |= !plus;
        at_scope_text(scope, "plus", u, plus ? plus : "");
    }
    for (int u = -1; u < LOOKAHEAD; u++) {
        add_evaluate(&p, "evaluate", u, false);
        add_evaluate(&p, "evaluate_row", u, true);
    }
    return p.failed || scope->failed ? at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source") : ACTUNE_OK;
}
