/* One CUDA translation unit of one variant: what the templates in templates/cuda need to know, and their expansion. */
#include "emit_cuda.h"

#include "../runtime/base/dtype.h"
#include "../runtime/base/number.h"
#include "emit_c.h"
#include "emit_cuda_expression.h"
#include "row.h"
#include <math.h>
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
    [ACTUNE_I8] = {"unsigned char", "from_i8(", "to_i8("},
    [ACTUNE_U8] = {"unsigned char", "from_u8(", "to_u8("},
    [ACTUNE_F8E4M3] = {"unsigned char", "from_f8e4m3(", "to_f8e4m3("},
    [ACTUNE_F8E5M2] = {"unsigned char", "from_f8e5m2(", "to_f8e5m2("},
};

/* Helpers of templates/cuda/helpers.cu.in by the words that show their use. */
static const struct {
    const char *flag, *word;
} helpers[] = {
    {"uses_infinity_f32", "infinity_f32"}, {"uses_infinity_f64", "infinity_f64"}, {"uses_nan_f32", "nan_f32"},
    {"uses_nan_f64", "nan_f64"},           {"uses_nan_max", "nan_max_"},          {"uses_nan_min", "nan_min_"},
    {"uses_sigmoid_f", "sigmoid_f"},       {"uses_softplus", "softplus_"},        {"uses_exp_approx", "exp_approx_"},
    {"uses_gate", "gate_f32"},             {"uses_mish", "mish_times_f32"},       {"uses_closed", "closed_f32"},
    {"uses_expm1", "expm1_times_f32"},     {"uses_erfc_times", "erfc_times_f32"}, {"uses_tanhshrink", "tanhshrink_f32"},
    {"uses_div_approx", "div_approx_"},    {"uses_tanh_approx", "tanh_approx_"},  {"uses_sigmoid_approx", "sigmoid_approx_"},
    {"uses_erfc", "erfc_f32"},
};

static const char *kind_of(const at_port *port)
{
    if (port->reduction == AT_REDUCTION_STATISTICS)
        return "statistics";
    if (port->reduction)
        return "sum";
    if (port->access == AT_ACCESS_CHANNEL)
        return "channel";
    if (port->access == AT_ACCESS_SCALAR)
        return "scalar";
    if (port->access == AT_ACCESS_RANDOM)
        return "random";
    if (port->access == AT_ACCESS_PLANE)
        return "plane";
    return port->is_output ? "element_out" : "element_in";
}

/* "x_value, alpha_value, y_value" and "y_value, dalpha_value". */
static void list_values(const at_signature *s, int from, at_strbuf *out)
{
    for (int i = from; i < s->ports; i++)
        at_strbuf_printf(out, "%s%s%s_value", i > from ? ", " : "", s->port[i].name, at_row_is_local(&s->port[i]) ? "" : at_cuda_suffix(s->port[i].name));
}

static int64_t knob_number(const at_variant *variant, const char *name, int64_t fallback)
{
    const char *text = at_variant_knob(variant, name, NULL);
    return text ? strtoll(text, NULL, 10) : fallback;
}

static bool knob_is(const at_variant *variant, const char *name, const char *value)
{
    return !strcmp(at_variant_knob(variant, name, ""), value);
}

/* Texts that the scope points to; they live as long as the expansion. */
typedef struct unit {
    at_scope scope;
    const at_kernel *kernel;
    at_signature views; /* its ports as the graph sees them */
    const at_variant *variant;
    const char *walk;   /* "flat", "inner", "outer", "rows": how a template goes through the tensor */
    bool piece;         /* a function over a piece of a tensor (a member of a batch), not a kernel */
    int64_t elements;   /* of a vector */
    bool table;         /* codes are looked up: values stay codes */
    at_strbuf evaluate, arguments, results, aligned, halves_aligned, operands_aligned, knobs, types;
    at_arena arena;
} unit;

static void unit_clear(unit *u)
{
    at_strbuf *texts[] = {&u->evaluate, &u->arguments, &u->results, &u->aligned, &u->halves_aligned, &u->operands_aligned, &u->knobs, &u->types};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        at_strbuf_clear(texts[i]);
    at_arena_clear(&u->arena);
    at_scope_clear(&u->scope);
}

static bool goes_by_rows(const unit *u)
{
    return !strcmp(u->walk, "inner") || !strcmp(u->walk, "rows");
}

/* Bytes of a vector of this port. */
static int64_t vector_bytes(const unit *u, const at_port *port)
{
    return u->elements * at_dtype_get(port->dtype)->bytes;
}

static bool is_element(const at_port *port)
{
    return port->access == AT_ACCESS_ELEMENT && !port->reduction;
}

/* Whether a vector goes through load_N or store_N: where C has no way to say it. */
static bool is_wrapped(const unit *u, const at_port *port)
{
    int64_t bytes = vector_bytes(u, port);
    bool staged = knob_is(u->variant, "copy", "async") || knob_is(u->variant, "copy", "bulk");
    bool hinted = port->is_output ? !knob_is(u->variant, "store", "default") : !knob_is(u->variant, "load", "none");
    return is_element(port) && bytes >= 4 && (hinted || bytes == 32) && (port->is_output || !staged);
}

static int64_t port_alignment(const unit *u, const at_port *port)
{
    int64_t bytes = vector_bytes(u, port);
    return knob_is(u->variant, "copy", "bulk") && !port->is_output && bytes < 16 ? 16 : bytes;
}

/* Names of wrappers by bytes, and what their instructions say. */
static void scope_words(unit *u)
{
    static const struct {
        int bytes;
        const char *vector, *list, *list_1, *outputs, *inputs;
    } words[] = {
        {4, ".u32", "%0", "%1", "\"=r\"(to.word[0])", "\"r\"(from.word[0])"},
        {8, ".v2.u32", "{%0, %1}", "{%1, %2}", "\"=r\"(to.word[0]), \"=r\"(to.word[1])", "\"r\"(from.word[0]), \"r\"(from.word[1])"},
        {16, ".v4.u32", "{%0, %1, %2, %3}", "{%1, %2, %3, %4}",
         "\"=r\"(to.word[0]), \"=r\"(to.word[1]), \"=r\"(to.word[2]), \"=r\"(to.word[3])",
         "\"r\"(from.word[0]), \"r\"(from.word[1]), \"r\"(from.word[2]), \"r\"(from.word[3])"},
        {32, ".v8.b32", "{%0, %1, %2, %3, %4, %5, %6, %7}", "{%1, %2, %3, %4, %5, %6, %7, %8}",
         "\"=r\"(to.word[0]), \"=r\"(to.word[1]), \"=r\"(to.word[2]), \"=r\"(to.word[3]), \"=r\"(to.word[4]), \"=r\"(to.word[5]), "
         "\"=r\"(to.word[6]), \"=r\"(to.word[7])",
         "\"r\"(from.word[0]), \"r\"(from.word[1]), \"r\"(from.word[2]), \"r\"(from.word[3]), \"r\"(from.word[4]), \"r\"(from.word[5]), "
         "\"r\"(from.word[6]), \"r\"(from.word[7])"},
    };
    int count = 0;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        bool load = false, store = false;
        for (int i = 0; i < u->views.ports; i++) {
            const at_port *port = &u->views.port[i];
            bool uses = is_wrapped(u, port) && vector_bytes(u, port) == words[w].bytes;
            load |= uses && !port->is_output;
            store |= uses && port->is_output;
        }
        if (!load && !store)
            continue;
        at_scope_number(&u->scope, "word_bytes", count, words[w].bytes);
        at_scope_number(&u->scope, "word_load", count, load);
        at_scope_number(&u->scope, "word_store", count, store);
        at_scope_text(&u->scope, "word_vector", count, words[w].vector);
        at_scope_text(&u->scope, "word_list", count, words[w].list);
        at_scope_text(&u->scope, "word_list_1", count, words[w].list_1);
        at_scope_text(&u->scope, "word_outputs", count, words[w].outputs);
        at_scope_text(&u->scope, "word_inputs", count++, words[w].inputs);
    }
    at_scope_number(&u->scope, "words_count", -1, count);
}

/* The sizes in which copy=async copies: one instruction each. */
static void scope_copies(unit *u)
{
    int count = 0;
    for (int64_t bytes = 4; bytes <= 16; bytes *= 2)
        for (int i = 0; i < u->views.inputs; i++) {
            const at_port *port = &u->views.port[i];
            if (!is_element(port) || vector_bytes(u, port) != bytes)
                continue;
            at_scope_number(&u->scope, "copy_bytes", count, bytes);
            at_scope_text(&u->scope, "copy_cache", count++, bytes == 16 ? "cg" : "ca");
            break;
        }
    at_scope_number(&u->scope, "copies_count", -1, count);
}

/* The instructions of load_N and store_N. Data that an earlier grid may still be writing must not come through the read-only path. */
static void scope_hints(unit *u)
{
    static const struct {
        const char *knob, *value, *instruction, *read_only;
    } hints[] = {
        {"load", "none", "ld.global", "ld.global"},
        {"load", "nc", "ld.global.nc", "ld.global.nc"},
        {"load", "no_allocate", "ld.global.L1::no_allocate", "ld.global.nc.L1::no_allocate"},
        {"load", "evict_first", "ld.global.L1::evict_first", "ld.global.nc.L1::evict_first"},
        {"load", "cs", "ld.global.cs", "ld.global.cs"},
        {"store", "default", "st.global", "st.global"},
        {"store", "cs", "st.global.cs", "st.global.cs"},
        {"store", "evict_first", "st.global.L1::evict_first", "st.global.L1::evict_first"},
    };
    bool read_only = knob_is(u->variant, "restrict", "yes") && !knob_is(u->variant, "dependent", "yes");
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (knob_is(u->variant, hints[i].knob, hints[i].value))
            at_scope_text(&u->scope, hints[i].knob[0] == 'l' ? "load_instruction" : "store_instruction", -1,
                          read_only ? hints[i].read_only : hints[i].instruction);
    at_scope_text(&u->scope, "restrict_word", -1, read_only ? "__restrict__ " : "");
}

static void scope_types(unit *u, const at_signature *s)
{
    int index[AT_DTYPE_COUNT] = {0}, count = 0;
    bool wrapped[AT_DTYPE_COUNT] = {false};
    for (int i = 0; i < s->ports; i++) {
        actune_dtype dtype = s->port[i].dtype;
        if (!is_element(&s->port[i]))
            continue;
        wrapped[dtype] |= is_wrapped(u, &s->port[i]);
        if (index[dtype])
            continue;
        at_scope_text(&u->scope, "type_name", count, at_dtype_get(dtype)->name);
        at_scope_text(&u->scope, "type_c", count, storage[dtype].c);
        at_scope_number(&u->scope, "type_bytes", count, at_dtype_get(dtype)->bytes);
        index[dtype] = ++count;
    }
    for (int d = 0; d < AT_DTYPE_COUNT; d++)
        if (index[d])
            at_scope_number(&u->scope, "type_wrapped", index[d] - 1, wrapped[d]);
    at_scope_number(&u->scope, "types_count", -1, count);
    at_strbuf_printf(&u->types, "%s to %s", at_dtype_get(s->dtype_in)->name, at_dtype_get(s->dtype_out)->name);
}

/* The conditions under which vectors may be used. */
static void write_conditions(unit *u, const char *origin)
{
    const at_signature *s = &u->views;
    int64_t compute_bytes = s->compute == ACTUNE_F64 ? 8 : 4;
    int64_t operand_align = u->elements * compute_bytes < 16 ? u->elements * compute_bytes : 16;
    const char *span = !strcmp(u->walk, "inner") ? "channels" : "inner";
    if (!s->slots && strcmp(u->walk, "flat"))
        at_strbuf_printf(&u->aligned, "%s >= %lld", span, (long long)u->elements);
    at_strbuf_printf(&u->operands_aligned, "head == 0 && channels %% %lld == 0", (long long)u->elements);
    at_strbuf_printf(&u->halves_aligned, "head == 0 && row_length %% %lld == 0", (long long)u->elements);
    for (int i = 0; i < s->ports; i++) {
        const at_port *port = &s->port[i];
        bool apart = port->half && !s->slots; /* loaded one by one where they are not aligned */
        at_strbuf *conditions = apart ? &u->halves_aligned : &u->aligned;
        if (is_element(port))
            at_strbuf_printf(conditions, "%sis_aligned(%s%s%s%s, %lld)", conditions->length ? " && " : "", port->name,
                             at_cuda_suffix(port->name), apart ? "" : origin, port->half && *origin && !apart ? " + skip" : "",
                             (long long)port_alignment(u, port));
        else if ((port->access == AT_ACCESS_CHANNEL || port->access == AT_ACCESS_PLANE) && !port->is_output)
            at_strbuf_printf(&u->operands_aligned, " && is_aligned(%s%s, %lld)", port->name, at_cuda_suffix(port->name),
                             (long long)operand_align);
    }
    at_scope_number(&u->scope, "operand_align", -1, operand_align);
    at_scope_text(&u->scope, "aligned", -1, at_strbuf_text(&u->aligned));
    at_scope_text(&u->scope, "halves_aligned", -1, at_strbuf_text(&u->halves_aligned));
    at_scope_text(&u->scope, "operands_aligned", -1, at_strbuf_text(&u->operands_aligned));
}

/* Where vectors begin: at `head`, or at the pointers themselves. */
static void scope_places(unit *u)
{
    const at_signature *s = &u->views;
    bool many = knob_number(u->variant, "vectors", 1) > 1, predicated = knob_is(u->variant, "tail", "predicated");
    bool head = u->elements > 1 && !predicated && !s->slots;
    bool chunk = s->slots && !goes_by_rows(u);
    write_conditions(u, head ? " + head" : chunk ? " + begin" : "");
    at_scope_text(&u->scope, "place_plus", -1, u->piece && head ? "work.begin + head + " : u->piece ? "work.begin + " : head ? "head + " : "");
    at_scope_text(&u->scope, "begin_plus", -1, u->piece ? "work.begin + " : "");
    at_scope_number(&u->scope, "piece", -1, u->piece);
    at_scope_text(&u->scope, "origin_open", -1, head ? "(" : "");
    at_scope_text(&u->scope, "origin", -1, head ? " + head)" : "");
    at_scope_text(&u->scope, "column_name", -1, many ? "column_here" : "column");
    at_scope_text(&u->scope, "channel_name", -1, many ? "channel_here" : "channel");
    at_scope_text(&u->scope, "offset_name", -1, many ? "offset_here" : "offset");
    at_scope_text(&u->scope, "position_name", -1, many ? "position_here" : "position");
    at_scope_text(&u->scope, "position_there_name", -1, many ? "position_there" : "position");
    at_scope_text(&u->scope, "plane_name", -1, many ? "plane_here" : "plane");
    at_scope_text(&u->scope, "image_name", -1, many ? "image_here" : "image");
    at_scope_text(&u->scope, "image_place_name", -1, many ? "image_place_here" : "image_place");
    at_scope_text(&u->scope, "store_indent", -1, predicated ? "    " : "");
    at_scope_text(&u->scope, "finish_flat", -1, !strcmp(u->walk, "flat") ? " (here: the one there is)" : "");
    at_scope_text(&u->scope, "walk", -1, u->walk);
    /* x, or where that has halves what is as long as y. */
    const at_port *first = &s->port[!s->halves ? 0 : s->direction == ACTUNE_BACKWARD ? 1 : s->inputs];
    at_scope_text(&u->scope, "first_input", -1, first->name);
    at_scope_number(&u->scope, "first_align", -1, port_alignment(u, first));
    at_scope_number(&u->scope, "first_bytes", -1, at_dtype_get(first->dtype)->bytes);
}

/* A text that is made here; clears it. */
static void scope_copy(unit *u, const char *name, int index, at_strbuf *made)
{
    const char *text = at_arena_strdup(&u->arena, at_strbuf_text(made));
    u->scope.failed |= !text || made->failed;
    at_scope_text(&u->scope, name, index, text ? text : "");
    at_strbuf_clear(made);
}

static void scope_port(unit *u, int i, int slot)
{
    const at_port *port = &u->views.port[i];
    at_scope *scope = &u->scope;
    bool converted = *storage[port->dtype].from != 0 && !u->table;
    int64_t bytes = vector_bytes(u, port);
    at_strbuf name = {0};
    at_strbuf_printf(&name, "%s%s", port->name, at_cuda_suffix(port->name));
    scope_copy(u, "port_name", i, &name);
    /* One channel (the flat walk of a kernel that has some): one value for all elements. */
    const char *kind = kind_of(port);
    at_scope_text(scope, "port_kind", i, !strcmp(u->walk, "flat") && !strcmp(kind, "channel") ? "scalar" : kind);
    at_scope_text(scope, "port_type", i, at_dtype_get(port->dtype)->name);
    at_scope_text(scope, "port_c", i, storage[port->dtype].c);
    at_scope_text(scope, "port_from", i, converted ? storage[port->dtype].from : "");
    at_scope_text(scope, "port_from_end", i, converted ? ")" : "");
    at_scope_text(scope, "port_to", i, converted ? storage[port->dtype].to : "");
    at_scope_text(scope, "port_to_end", i, converted ? ")" : "");
    at_scope_number(scope, "port_scalar", i, port->access == AT_ACCESS_SCALAR);
    at_scope_number(scope, "port_plane", i, port->access == AT_ACCESS_PLANE);
    at_scope_number(scope, "port_half", i, port->half);
    at_scope_text(scope, "port_first", i, u->kernel->signature.port[port->buffer].name); /* of a second half */
    at_scope_text(scope, "port_skip", i, !port->half ? "" : strcmp(u->walk, "inner") ? " + skip" : " + (begin + row + k) * channels");
    at_scope_text(scope, "port_reduction", i, at_reduction_name(port->reduction));
    at_scope_number(scope, "port_slot", i, slot);
    at_scope_number(scope, "port_bytes", i, bytes);
    at_scope_number(scope, "port_load", i, is_wrapped(u, port) && !port->is_output);
    at_scope_number(scope, "port_store", i, is_wrapped(u, port) && port->is_output);
    at_scope_number(scope, "port_line_vectors", i, bytes < 128 ? 128 / bytes : 1);
}

/* Sums over more than a plane, which take a block's threads together. */
static int wide_sums(const at_signature *s)
{
    int count = 0;
    for (int i = s->inputs; i < s->ports; i++)
        count += s->port[i].reduction && s->port[i].access != AT_ACCESS_PLANE;
    return count;
}

/* One bit each. */
static int64_t maximum_slots(const at_signature *s)
{
    int64_t bits = 0;
    for (int i = s->inputs, slot = 0; i < s->ports; slot += at_reduction_fields(s->port[i++].reduction))
        for (int f = 0; f < at_reduction_fields(s->port[i].reduction); f++)
            bits |= (int64_t)(at_port_field(&s->port[i], f) == AT_REDUCTION_MAX) << (slot + f);
    return bits;
}

static void print_bound(at_strbuf *out, double value, bool f64)
{
    if (isinf(value))
        at_strbuf_printf(out, "%s%s", value < 0 ? "-" : "", f64 ? "__longlong_as_double(0x7ff0000000000000)" : "__int_as_float(0x7f800000)");
    else
        at_emit_literal(out, value, f64);
}

/* As C, of the compute type: where the statistics count a value as clipped. */
static void scope_bounds(unit *u, const at_signature *s)
{
    for (int i = s->inputs; i < s->ports; i++) {
        at_strbuf lo = {0}, hi = {0};
        if (s->port[i].reduction != AT_REDUCTION_STATISTICS)
            continue;
        print_bound(&lo, s->port[i].clip_lo, s->compute == ACTUNE_F64);
        print_bound(&hi, s->port[i].clip_hi, s->compute == ACTUNE_F64);
        scope_copy(u, "clip_lo", -1, &lo);
        scope_copy(u, "clip_hi", -1, &hi);
        at_scope_number(&u->scope, "clips", -1, s->port[i].clip_lo < s->port[i].clip_hi);
    }
}

static void scope_launch(unit *u)
{
    int64_t block = knob_number(u->variant, "block", 256), vectors = knob_number(u->variant, "vectors", 1);
    at_strbuf bounds = {0};
    at_strbuf_printf(&bounds, "%lld", (long long)block);
    if (!knob_is(u->variant, "min_blocks", "0"))
        at_strbuf_printf(&bounds, ", %s", at_variant_knob(u->variant, "min_blocks", ""));
    scope_copy(u, "bounds", -1, &bounds);
    at_scope_number(&u->scope, "sum_rounds", -1, vectors > 1024 / block ? vectors : 1024 / block);
    at_scope_text(&u->scope, "image_argument", -1, u->views.has_plane ? ", long long inner" : "");
    at_scope_text(&u->scope, "last_argument", -1,
                  !u->views.slots            ? ""
                  : knob_is(u->variant, "restrict", "yes") ? ", double *__restrict__ partial"
                                                           : ", double *partial");
}

/* A grid's size is the launch's: variants that differ in it alone are one text. */
static void print_knobs(unit *u)
{
    const at_variant *variant = u->variant;
    for (int i = 0; i < variant->knobs; i++) {
        bool stride = !strcmp(variant->knob[i].name, "grid") && strcmp(variant->knob[i].value, "exact") != 0;
        at_strbuf_printf(&u->knobs, "%s%s=%s", i ? " " : "", variant->knob[i].name, stride ? "stride" : variant->knob[i].value);
    }
}

static bool has_port(const unit *u, actune_dtype dtype, bool output)
{
    bool has = false;
    for (int i = 0; i < u->views.ports; i++)
        has |= u->views.port[i].dtype == dtype && u->views.port[i].is_output == output;
    return has;
}

/* Whether ptx.cu.in has the conversion. */
static bool converts_by_ptx(const at_port *port, int cuda_arch)
{
    static const struct {
        bool in, out;
        int in_arch, out_arch; /* from which architecture on */
    } rows[AT_DTYPE_COUNT] = {
        [ACTUNE_F16] = {true, true, 0, 0},     [ACTUNE_BF16] = {false, true, 0, 80},    [ACTUNE_I8] = {false, true, 0, 0},
        [ACTUNE_U8] = {false, true, 0, 0},     [ACTUNE_F8E4M3] = {true, true, 89, 89}, [ACTUNE_F8E5M2] = {true, true, 0, 89},
    };
    return port->is_output ? rows[port->dtype].out && cuda_arch >= rows[port->dtype].out_arch
                           : rows[port->dtype].in && cuda_arch >= rows[port->dtype].in_arch;
}

static void scope_uses(unit *u, const at_target *target)
{
    bool ptx = strstr(at_strbuf_text(&u->evaluate), "_approx_") || knob_is(u->variant, "dependent", "yes");
    static const char *const from_parts[] = {"gate_f32", "mish_times_f32", "sigmoid_f32", "softplus_f32", "expm1_times_f32"};
    bool parts = false, quotient = false; /* of the first three */
    for (size_t h = 0; h < sizeof helpers / sizeof *helpers; h++)
        at_scope_number(&u->scope, helpers[h].flag, -1, strstr(at_strbuf_text(&u->evaluate), helpers[h].word) != NULL);
    for (size_t i = 0; i < sizeof from_parts / sizeof *from_parts; i++) {
        bool used = strstr(at_strbuf_text(&u->evaluate), from_parts[i]) != NULL;
        parts |= used;
        quotient |= used && i < 3;
    }
    ptx |= quotient;
    at_scope_number(&u->scope, "uses_exp_parts", -1, parts);
    at_scope_number(&u->scope, "uses_quotient", -1, quotient);
    for (int i = 0; i < u->views.ports; i++) {
        const at_port *port = &u->views.port[i];
        ptx |= is_wrapped(u, port) || (!u->table && converts_by_ptx(port, target->cuda_arch));
    }
    ptx |= !knob_is(u->variant, "copy", "direct");
    bool lanes = u->views.slots && !goes_by_rows(u);
    for (int i = 0; i < u->views.ports; i++)
        lanes |= u->views.port[i].reduction && u->views.port[i].access == AT_ACCESS_SCALAR;
    bool random = false;
    for (int i = 0; i < u->views.ports; i++)
        random |= u->views.port[i].access == AT_ACCESS_RANDOM;
    at_scope_number(&u->scope, "uses_random", -1, random);
    at_scope_number(&u->scope, "uses_lanes", -1, lanes);
    for (int d = 0; d < AT_DTYPE_COUNT; d++)
        at_cuda_scope_conversions(&u->scope, (actune_dtype)d, !u->table && has_port(u, (actune_dtype)d, false), !u->table && has_port(u, (actune_dtype)d, true));
    at_scope_number(&u->scope, "uses_ptx", -1, ptx);
}

static void scope_eps(unit *u)
{
    at_strbuf eps = {0};
    at_strbuf_double(&eps, u->kernel->signature.eps);
    scope_copy(u, "eps", -1, &eps);
}

/* Prefix and suffix of a row kernel, and what the row step needs to know. */
static actune_status write_row(unit *u)
{
    const char *math = at_variant_knob(u->variant, "math", "exact");
    const at_row *row = &u->kernel->signature.row;
    bool f64 = u->kernel->signature.compute == ACTUNE_F64;
    char share[AT_NUMBER_BYTES];
    at_strbuf text = {0};
    at_kernel prefix, suffix;
    actune_status status = at_row_split(u->kernel, false, &prefix, &suffix);
    if (status == ACTUNE_OK)
        status = at_emit_cuda_function(&prefix, math, "row_key", &u->evaluate);
    at_strbuf_append(&u->evaluate, "\n");
    if (status == ACTUNE_OK)
        status = at_emit_cuda_function(&suffix, math, "evaluate", &u->evaluate);
    list_values(&prefix.signature, 0, &text);
    scope_copy(u, "key_arguments", -1, &text);
    list_values(&suffix.signature, 0, &u->arguments);
    at_number_print(row->k, share);
    at_strbuf_append(&text, share);
    scope_copy(u, "k_share", -1, &text);
    at_scope_number(&u->scope, "k_is_share", -1, row->k < 1);
    at_scope_number(&u->scope, "k", -1, row->k < 1 ? 0 : (int64_t)row->k);
    at_scope_text(&u->scope, "U", -1, f64 ? "unsigned long long" : "unsigned");
    bool stores = !knob_is(u->variant, "shared", "0");
    at_scope_text(&u->scope, "more_argument", -1, stores ? "more, room, " : "");
    at_scope_text(&u->scope, "more_parameter", -1, !stores ? "" : f64 ? "const unsigned long long *more, int room, " : "const unsigned *more, int room, ");
    at_scope_text(&u->scope, "key_low", -1, f64 ? "0x10000000000000" : "0x800000"); /* of -infinity */
    at_scope_text(&u->scope, "key_high", -1, f64 ? "0xfff0000000000002" : "0xff800002");
    at_row_clear(&prefix);
    at_row_clear(&suffix);
    return status;
}

static actune_status write_functions(unit *u)
{
    const at_signature *s = &u->views;
    list_values(s, s->inputs, &u->results);
    if (s->row.kind != AT_ROW_NONE)
        return write_row(u);
    list_values(s, 0, &u->arguments);
    if (u->table)
        return at_emit_cuda_table(u->kernel, &u->evaluate);
    return at_emit_cuda_function(u->kernel, at_variant_knob(u->variant, "math", "exact"), "evaluate", &u->evaluate);
}

static actune_status fill_unit(unit *u, const at_target *target, const char *symbol)
{
    const at_signature *s = &u->views;
    at_scope *scope = &u->scope;
    bool f64 = s->compute == ACTUNE_F64;
    AT_TRY(write_functions(u));
    print_knobs(u);
    for (int i = 0, slot = 0; i < s->ports; slot += at_reduction_fields(s->port[i++].reduction))
        scope_port(u, i, slot);
    scope_types(u, s);
    scope_words(u);
    scope_copies(u);
    scope_hints(u);
    scope_places(u);
    scope_launch(u);
    scope_bounds(u, s);
    scope_uses(u, target);
    at_scope_number(scope, "ports", -1, s->ports);
    at_scope_number(scope, "maximum_slots", -1, maximum_slots(s));
    at_scope_number(scope, "wide_sums", -1, wide_sums(s));
    at_scope_number(scope, "watch_lanes", -1, strcmp(u->walk, "inner") ? 1024 / knob_number(u->variant, "block", 256) : 1);
    at_scope_number(scope, "elements", -1, u->elements);
    scope_eps(u);
    at_scope_text(scope, "C", -1, u->table ? "unsigned char" : f64 ? "double" : "float");
    at_scope_text(scope, "F", -1, f64 ? "" : "f");
    f64 |= knob_is(u->variant, "math", "wide");
    at_scope_text(scope, "math_C", -1, f64 ? "double" : "float");
    at_scope_text(scope, "math_T", -1, f64 ? "f64" : "f32");
    at_scope_text(scope, "math_F", -1, f64 ? "" : "f");
    at_scope_text(scope, "symbol", -1, symbol);
    at_scope_text(scope, "spec", -1, u->kernel->spec);
    at_scope_text(scope, "template", -1, u->variant->template_name);
    at_scope_text(scope, "direction", -1, s->direction == ACTUNE_BACKWARD ? "backward" : "forward");
    at_scope_text(scope, "types", -1, at_strbuf_text(&u->types));
    at_scope_text(scope, "knobs", -1, at_strbuf_text(&u->knobs));
    at_scope_text(scope, "evaluate", -1, at_strbuf_text(&u->evaluate));
    at_scope_text(scope, "arguments", -1, at_strbuf_text(&u->arguments));
    at_scope_text(scope, "results", -1, at_strbuf_text(&u->results));
    return ACTUNE_OK;
}

actune_status at_emit_cuda(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant, const char *symbol,
                           bool lines, at_strbuf *source)
{
    static const char *const walks[][2] = {{"cuda/channel_inner", "inner"}, {"cuda/channel_outer", "outer"}, {"cuda/row", "rows"}};
    unit u = {.kernel = kernel, .variant = variant, .walk = "flat", .piece = !strcmp(variant->template_name, "cuda/batch_member")};
    at_signature_views(&kernel->signature, &u.views);
    const char *shape = u.piece ? at_template_for(kernel, layout, target) : variant->template_name;
    at_template_text text;
    AT_TRY(at_template_get(variant->template_name, &text));
    for (size_t i = 0; i < sizeof walks / sizeof *walks; i++)
        if (!strcmp(walks[i][0], shape))
            u.walk = walks[i][1];
    u.table = knob_is(variant, "math", "table");
    u.elements = kernel->signature.row.kind != AT_ROW_NONE ? 1 : knob_number(variant, "vector", 16) / at_cuda_largest_bytes(kernel);
    if (u.elements < 1)
        return at_fail(ACTUNE_UNSUPPORTED, "vector=%s does not hold one element of every tensor", at_variant_knob(variant, "vector", ""));
    at_scope_kernel(&u.scope, kernel, layout, target);
    at_scope_variant(&u.scope, variant, kernel);
    actune_status status = fill_unit(&u, target, symbol);
    if (!status)
        status = at_template_expand(&text, &u.scope, lines, source);
    unit_clear(&u);
    return status;
}
