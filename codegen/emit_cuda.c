/* One CUDA translation unit of one variant: what the templates in templates/cuda need to know, and their expansion. */
#include "emit_cuda.h"

#include "../runtime/base/dtype.h"
#include "emit_cuda_expression.h"
#include <stdlib.h>
#include <string.h>

/* How an element type lies in memory and becomes the compute type. */
static const struct {
    const char *c, *from, *to;
} storage[] = {
    [ACTUNE_F32] = {"float", "", ""},
    [ACTUNE_F64] = {"double", "", ""},
    [ACTUNE_F16] = {"unsigned short", "from_f16(", "to_f16("},
    [ACTUNE_BF16] = {"unsigned short", "from_bf16(", "to_bf16("},
};

/* Helpers of templates/cuda/helpers.cu.in by the words that show their use. */
static const struct {
    const char *flag, *words[3];
} helpers[] = {
    {"uses_infinity_f32", {"infinity_f32"}}, {"uses_infinity_f64", {"infinity_f64"}}, {"uses_nan_f32", {"nan_f32"}},
    {"uses_nan_f64", {"nan_f64"}},           {"uses_nan_max", {"nan_max_"}},          {"uses_nan_min", {"nan_min_"}},
    {"uses_sigmoid_f", {"sigmoid_f"}},       {"uses_softplus", {"softplus_"}},        {"uses_approx", {"_approx_"}},
};

static const char *kind_of(const at_port *port)
{
    if (port->is_sum)
        return "sum";
    if (port->access == AT_ACCESS_CHANNEL)
        return "channel";
    if (port->access == AT_ACCESS_SCALAR)
        return "scalar";
    return port->is_output ? "element_out" : "element_in";
}

static void scope_port(at_scope *scope, const at_port *port, int i, int slot)
{
    bool narrow = *storage[port->dtype].from != 0;
    at_scope_text(scope, "port_name", i, port->name);
    at_scope_text(scope, "port_kind", i, kind_of(port));
    at_scope_text(scope, "port_type", i, at_dtype_get(port->dtype)->name);
    at_scope_text(scope, "port_c", i, storage[port->dtype].c);
    at_scope_text(scope, "port_from", i, storage[port->dtype].from);
    at_scope_text(scope, "port_from_end", i, narrow ? ")" : "");
    at_scope_text(scope, "port_to", i, storage[port->dtype].to);
    at_scope_text(scope, "port_to_end", i, narrow ? ")" : "");
    at_scope_number(scope, "port_scalar", i, port->access == AT_ACCESS_SCALAR);
    at_scope_number(scope, "port_slot", i, slot);
}

/* "x_value, alpha_value, y_value" and "y_value, dalpha_value". */
static void list_values(const at_signature *s, int from, at_strbuf *out)
{
    for (int i = from; i < s->ports; i++)
        at_strbuf_printf(out, "%s%s_value", i > from ? ", " : "", s->port[i].name);
}

/* The pointers' alignment, for vectors of `elements`. */
static void aligned_condition(const at_signature *s, at_layout layout, int64_t elements, at_strbuf *out)
{
    bool any = false;
    for (int i = 0; i < s->ports; i++) {
        const at_port *port = &s->port[i];
        if (port->access != AT_ACCESS_ELEMENT || port->is_sum)
            continue;
        at_strbuf_printf(out, "%s(unsigned long long)%s %% %lld == 0", any ? " && " : "", port->name,
                         (long long)(elements * at_dtype_get(port->dtype)->bytes));
        any = true;
    }
    (void)layout;
}

static int64_t knob_number(const at_variant *variant, const char *name, int64_t fallback)
{
    const char *text = at_variant_knob(variant, name, NULL);
    return text ? strtoll(text, NULL, 10) : fallback;
}

int64_t at_cuda_largest_bytes(const at_kernel *kernel)
{
    int64_t largest = 1;
    for (int i = 0; i < kernel->signature.ports; i++) {
        const at_port *port = &kernel->signature.port[i];
        int64_t bytes = at_dtype_get(port->dtype)->bytes;
        if (port->access == AT_ACCESS_ELEMENT && bytes > largest)
            largest = bytes;
    }
    return largest;
}

actune_status at_cuda_geometry_of(const at_kernel *kernel, const at_variant *variant, at_cuda_geometry *geometry)
{
    int64_t block = knob_number(variant, "block", 256);
    int64_t elements = knob_number(variant, "vector", 16) / at_cuda_largest_bytes(kernel);
    *geometry = (at_cuda_geometry){.block = (int)block,
                                   .items_per_block = block * elements * knob_number(variant, "vectors", 1),
                                   .grid_stride = !strcmp(at_variant_knob(variant, "grid", "stride"), "stride")};
    return ACTUNE_OK;
}

/* Texts that the scope points to; they live as long as the expansion. */
typedef struct unit {
    at_scope scope;
    at_strbuf evaluate, arguments, results, aligned, knobs, types;
} unit;

static void unit_clear(unit *u)
{
    at_strbuf *texts[] = {&u->evaluate, &u->arguments, &u->results, &u->aligned, &u->knobs, &u->types};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        at_strbuf_clear(texts[i]);
    at_scope_clear(&u->scope);
}

static void scope_types(unit *u, const at_signature *s)
{
    bool seen[AT_DTYPE_COUNT] = {false};
    int count = 0;
    for (int i = 0; i < s->ports; i++) {
        actune_dtype dtype = s->port[i].dtype;
        if (s->port[i].access != AT_ACCESS_ELEMENT || s->port[i].is_sum || seen[dtype])
            continue;
        seen[dtype] = true;
        at_scope_text(&u->scope, "type_name", count, at_dtype_get(dtype)->name);
        at_scope_text(&u->scope, "type_c", count, storage[dtype].c);
        at_scope_number(&u->scope, "type_bytes", count, at_dtype_get(dtype)->bytes);
        count++;
    }
    at_scope_number(&u->scope, "types_count", -1, count);
    at_scope_number(&u->scope, "uses_f16", -1, seen[ACTUNE_F16]);
    at_scope_number(&u->scope, "uses_bf16", -1, seen[ACTUNE_BF16]);
    at_strbuf_printf(&u->types, "%s to %s", at_dtype_get(s->dtype_in)->name, at_dtype_get(s->dtype_out)->name);
}

static actune_status fill_unit(unit *u, const at_kernel *kernel, at_layout layout, const at_variant *variant, const char *symbol)
{
    const at_signature *s = &kernel->signature;
    at_scope *scope = &u->scope;
    bool f64 = s->compute == ACTUNE_F64;
    int64_t elements = knob_number(variant, "vector", 16) / at_cuda_largest_bytes(kernel);
    AT_TRY(at_emit_cuda_evaluate(kernel, !strcmp(at_variant_knob(variant, "math", "exact"), "fast"), &u->evaluate));
    list_values(s, 0, &u->arguments);
    list_values(s, s->inputs, &u->results);
    aligned_condition(s, layout, elements, &u->aligned);
    at_variant_print(variant, &u->knobs);
    for (int i = 0, slot = 0; i < s->ports; slot += s->port[i++].is_sum)
        scope_port(scope, &s->port[i], i, slot);
    scope_types(u, s);
    for (size_t h = 0; h < sizeof helpers / sizeof *helpers; h++)
        at_scope_number(scope, helpers[h].flag, -1, strstr(at_strbuf_text(&u->evaluate), helpers[h].words[0]) != NULL);
    at_scope_number(scope, "ports", -1, s->ports);
    at_scope_number(scope, "elements", -1, elements);
    at_scope_text(scope, "C", -1, f64 ? "double" : "float");
    at_scope_text(scope, "F", -1, f64 ? "" : "f");
    at_scope_text(scope, "symbol", -1, symbol);
    at_scope_text(scope, "spec", -1, kernel->spec);
    at_scope_text(scope, "template", -1, variant->template_name);
    at_scope_text(scope, "direction", -1, s->direction == ACTUNE_BACKWARD ? "backward" : "forward");
    at_scope_text(scope, "restrict", -1, strcmp(at_variant_knob(variant, "restrict", "yes"), "yes") ? "" : "__restrict__ ");
    at_scope_text(scope, "types", -1, at_strbuf_text(&u->types));
    at_scope_text(scope, "knobs", -1, at_strbuf_text(&u->knobs));
    at_scope_text(scope, "evaluate", -1, at_strbuf_text(&u->evaluate));
    at_scope_text(scope, "arguments", -1, at_strbuf_text(&u->arguments));
    at_scope_text(scope, "results", -1, at_strbuf_text(&u->results));
    at_scope_text(scope, "aligned", -1, at_strbuf_text(&u->aligned));
    return ACTUNE_OK;
}

actune_status at_emit_cuda(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant, const char *symbol,
                           bool lines, at_strbuf *source)
{
    unit u = {.scope = {0}};
    at_template_text text;
    AT_TRY(at_template_get(variant->template_name, &text));
    at_scope_kernel(&u.scope, kernel, layout, target);
    at_scope_variant(&u.scope, variant, kernel);
    /* `restrict` is a knob's name and a text of the templates: fill_unit's value hides the knob's. */
    actune_status status = fill_unit(&u, kernel, layout, variant, symbol);
    if (!status)
        status = at_template_expand(&text, &u.scope, lines, source);
    unit_clear(&u);
    return status;
}
