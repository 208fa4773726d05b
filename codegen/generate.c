/* Source of a variant: approximate -> emit -> expand -> fragments. */
#include "generate.h"

#include "code_table.h"
#include "../runtime/base/dtype.h"
#include "emit_c.h"
#include "emit_cuda.h"
#include "fragment.h"
#include "../runtime/base/number.h"
#include "pass.h"
#include "row.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain_symbol[] = "actune_kernel";

/* What one variant has of its own: functions, loops and entry; without what variants share. */
typedef struct body {
    at_strbuf text;
    at_scope scope;
    at_arena arena;
    bool lines;
} body;

static void body_clear(body *b)
{
    at_strbuf_clear(&b->text);
    at_scope_clear(&b->scope);
    at_arena_clear(&b->arena);
}

actune_status at_kernel_approximated(const at_kernel *kernel, const at_variant *variant, at_kernel *copy)
{
    const char *math = at_variant_knob(variant, "math", "plain");
    *copy = *kernel;
    copy->arena = (at_arena){0};
    copy->stretches = 0;
    AT_TRY(at_graph_copy(&kernel->graph, &copy->graph));
    bool cuda = !strncmp(variant->template_name, "cuda/", 5); /* calls CUDA's own functions */
    if (cuda)
        return ACTUNE_OK;
    actune_status status = ACTUNE_OK;
    if (kernel->transcendental && strcmp(math, "plain") && strcmp(math, "table"))
        status = at_pass_approximate(copy, math);
    if (status == ACTUNE_OK)
        status = at_pass_extremum(&copy->graph);
    if (status)
        at_kernel_clear(copy);
    return status;
}

/* The source's first line: template, spec, knobs and machine. Launch knobs are not in the source. */
static actune_status write_title(const at_kernel *kernel, const at_target *target, const at_variant *variant,
                                 at_strbuf *out)
{
    const at_signature *signature = &kernel->signature;
    const at_knob *knobs;
    int count;
    AT_TRY(at_template_knobs(variant->template_name, &knobs, &count));
    at_strbuf_printf(out, "/* actune %s: %s", variant->template_name, kernel->spec);
    at_strbuf_printf(out, ", %s, %s to %s,", signature->direction == ACTUNE_BACKWARD ? "backward" : "forward",
                     at_dtype_get(signature->dtype_in)->name, at_dtype_get(signature->dtype_out)->name);
    for (int i = 0; i < variant->knobs && i < count; i++)
        if (!knobs[i].launch)
            at_strbuf_printf(out, " %s=%s", variant->knob[i].name, variant->knob[i].value);
    at_strbuf_printf(out, ", %s */\n", at_isa_name(target->isa));
    return ACTUNE_OK;
}

/* A "*" and "/" side by side in a spec would end the comment: specs have no such operators, but file names may. */
static void close_comments(at_strbuf *text, size_t from)
{
    size_t last = text->length >= 3 ? text->length - 3 : 0;
    for (size_t i = from + 2; !text->failed && i + 1 < last; i++)
        if ((text->text[i] == '*' && text->text[i + 1] == '/') || (text->text[i] == '/' && text->text[i + 1] == '*'))
            text->text[i] = ' ';
}

static actune_status fill_scope(body *b, const at_kernel *kernel, at_layout layout, const at_target *target,
                                const at_variant *variant, const char *symbol, at_emit *emit)
{
    at_scope_kernel(&b->scope, kernel, layout, target);
    at_scope_variant(&b->scope, variant, kernel);
    at_value lanes;
    AT_TRY(at_expression_eval("lanes", 5, &b->scope, &lanes));
    emit->lanes = (int)lanes.number;
    at_scope_text(&b->scope, "symbol", -1, symbol);
    return at_emit_scope(emit, &b->arena, &b->scope);
}

/* Variables of the row templates (templates/README.md). */
static void scope_row(at_scope *scope, const at_kernel *kernel, bool keeps_values)
{
    bool f64 = kernel->signature.compute == ACTUNE_F64;
    double k = kernel->signature.row.k;
    at_scope_text(scope, "I", -1, f64 ? "long" : "int");
    at_scope_text(scope, "U", -1, f64 ? "unsigned long" : "unsigned");
    at_scope_number(scope, "key_shift", -1, at_row_key_shift(kernel));
    at_scope_number(scope, "row_value", -1, keeps_values);
    at_scope_number(scope, "row_scratch", -1, kernel->signature.ports);
    at_scope_number(scope, "k_is_share", -1, k < 1);
    at_scope_number(scope, "k", -1, k < 1 ? 0 : (int64_t)k);
}

/* The same that depends on the variant: texts in the arena. */
static actune_status scope_row_texts(body *b, const at_kernel *kernel, const at_emit *emit, bool keeps_values)
{
    bool f64 = kernel->signature.compute == ACTUNE_F64;
    const char *c = f64 ? "double" : "float";
    int shift = at_row_key_shift(kernel);
    int64_t infinity = f64 ? INT64_C(0x7ff0000000000000) : 0x7f800000 >> shift;
    char share[AT_NUMBER_BYTES];
    at_number_print(kernel->signature.row.k, share);
    static const char numbers[] = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15";
    static const char *const lane_end[] = {[2] = ", 2", [4] = ", 4", [8] = ", 8", [16] = NULL};
    const char *end = lane_end[emit->lanes] ? strstr(numbers, lane_end[emit->lanes]) : numbers + sizeof numbers - 1;
    const struct {
        const char *name, *text;
    } texts[] = {
        {"lane_numbers", at_arena_strndup(&b->arena, numbers, (size_t)(end - numbers))},
        {"K", at_arena_printf(&b->arena, "i%dx%d", f64 ? 64 : 32, emit->lanes)},
        {"k_share", at_arena_strdup(&b->arena, share)},
        {"key_none", f64 ? "(-0x7fffffffffffffff - 1)" : "(-0x7fffffff - 1)"},
        {"key_low", at_arena_printf(&b->arena, "-0x%" PRIx64, infinity)},
        {"key_high", at_arena_printf(&b->arena, "0x%" PRIx64, infinity + 2)},
        {"values_parameter", keeps_values ? at_arena_printf(&b->arena, ", %s *values", c) : ""},
        {"values_argument", keeps_values ? ", values" : ""},
        {"added_parameter", kernel->signature.slots ? at_arena_printf(&b->arena, ", %s *added, int64_t stride", c) : ""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!texts[i].text)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
        at_scope_text(&b->scope, texts[i].name, -1, texts[i].text);
    }
    return ACTUNE_OK;
}

/* table[0..16): 16 codes each, in place of the graph's functions. */
static actune_status add_table(body *b, const at_kernel *kernel)
{
    unsigned char table[256];
    AT_TRY(at_code_table(kernel, table));
    for (int row = 0; row < 16; row++) {
        at_strbuf text = {0};
        for (int i = 0; i < 16; i++)
            at_strbuf_printf(&text, "%s%d,", i ? " " : "", table[16 * row + i]);
        const char *kept = at_strbuf_status(&text) ? NULL : at_arena_strdup(&b->arena, at_strbuf_text(&text));
        at_strbuf_clear(&text);
        if (!kept)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while writing source");
        at_scope_text(&b->scope, "table", row, kept);
    }
    return ACTUNE_OK;
}

/* One of the two parts: its function, and `template_name` expanded with its ports. The scope stays the last part's. */
static actune_status write_row_part(body *b, const at_kernel *kernel, at_emit *emit, const char *template_name, bool keeps_values)
{
    at_template_text text;
    AT_TRY(at_template_get(template_name, &text));
    AT_TRY(at_emit_evaluate(emit, &b->text));
    at_strbuf_char(&b->text, '\n');
    AT_TRY(at_emit_scope(emit, &b->arena, &b->scope));
    scope_row(&b->scope, kernel, keeps_values);
    AT_TRY(scope_row_texts(b, kernel, emit, keeps_values));
    return at_template_expand(&text, &b->scope, b->lines, &b->text);
}

/* Prefix, row step and suffix of a row kernel. */
static actune_status write_row(body *b, const at_kernel *kernel, at_emit *emit, const char *template_name)
{
    at_kernel prefix, suffix;
    actune_status status = at_row_split(kernel, true, &prefix, &suffix);
    bool keeps_values = prefix.graph.outputs > 1;
    if (status == ACTUNE_OK) {
        emit->kernel = &prefix;
        emit->function = "row_key";
        status = write_row_part(b, kernel, emit, "cpu/row_keys", keeps_values);
    }
    if (status == ACTUNE_OK) {
        emit->kernel = &suffix;
        emit->function = "evaluate";
        status = write_row_part(b, kernel, emit, template_name, keeps_values);
    }
    at_row_clear(&prefix);
    at_row_clear(&suffix);
    return status;
}

static actune_status write_loop(body *b, at_emit *emit, const char *template_name, bool is_table)
{
    at_template_text text;
    AT_TRY(at_template_get(template_name, &text));
    if (!is_table)
        AT_TRY(at_emit_evaluate(emit, &b->text));
    at_strbuf_char(&b->text, '\n');
    return at_template_expand(&text, &b->scope, b->lines, &b->text);
}

static actune_status write_body(const at_kernel *kernel, at_layout layout, const at_target *target,
                                const at_variant *variant, const char *symbol, const char *suffix, body *b)
{
    at_kernel approximated;
    AT_TRY(at_kernel_approximated(kernel, variant, &approximated));
    at_emit emit = {
        .kernel = &approximated, .layout = layout, .math = at_variant_knob(variant, "math", "plain"), .suffix = suffix, .function = "evaluate"};
    actune_status status = fill_scope(b, &approximated, layout, target, variant, symbol, &emit);
    bool is_table = !strcmp(emit.math, "table"); /* a knob may have been set by hand */
    if (status == ACTUNE_OK)
        status = is_table ? add_table(b, kernel) : at_emit_stretches(&emit, &b->text);
    if (status == ACTUNE_OK && approximated.signature.row.kind != AT_ROW_NONE)
        status = write_row(b, &approximated, &emit, variant->template_name);
    else if (status == ACTUNE_OK)
        status = write_loop(b, &emit, variant->template_name, is_table);
    at_kernel_clear(&approximated);
    return status;
}

static actune_status write_prelude(at_scope *scope, at_strbuf *source)
{
    at_template_text prelude;
    AT_TRY(at_template_get("cpu/prelude", &prelude));
    return at_template_expand(&prelude, scope, false, source);
}

static actune_status assemble(const at_kernel *kernel, const at_target *target, const at_variant *variant, body *b,
                              at_strbuf *source)
{
    at_fragments fragments = {0};
    size_t start = source->length;
    AT_TRY(write_title(kernel, target, variant, source));
    close_comments(source, start);
    actune_status status = at_fragments_add(&fragments, &b->scope, at_strbuf_text(&b->text));
    if (status == ACTUNE_OK)
        status = write_prelude(&b->scope, source);
    at_strbuf_append(source, at_strbuf_text(&fragments.types));
    at_strbuf_append(source, at_strbuf_text(&fragments.text));
    at_strbuf_append(source, at_strbuf_text(&b->text));
    at_fragments_clear(&fragments);
    return status ? status : at_strbuf_status(source);
}

static actune_status generate_one(const at_kernel *kernel, at_layout layout, const at_target *target,
                                  const at_variant *variant, const char *symbol, bool lines, at_strbuf *source)
{
    if (target->cuda)
        return at_emit_cuda(kernel, layout, target, variant, symbol, lines, source);
    body b = {.lines = lines};
    actune_status status = write_body(kernel, layout, target, variant, symbol, "", &b);
    if (status == ACTUNE_OK)
        status = assemble(kernel, target, variant, &b, source);
    body_clear(&b);
    return status;
}

/* The identity of a variant: its source without #line, under a fixed name, and without the spec in its first line: two
   spellings of one kernel share their winners. */
static actune_status hash_variant(const at_kernel *kernel, at_layout layout, const at_target *target,
                                  const at_variant *variant, at_hash *hash)
{
    at_strbuf text = {0};
    at_kernel unnamed = *kernel;
    unnamed.spec = "";
    actune_status status = generate_one(&unnamed, layout, target, variant, plain_symbol, false, &text);
    if (status == ACTUNE_OK)
        *hash = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return status;
}

actune_status at_generate(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant,
                          const at_generate_options *options, at_strbuf *source)
{
    char symbol[32];
    const char *wanted = options ? options->symbol : NULL;
    bool pretty = options && options->pretty;
    if (!wanted) {
        at_hash hash;
        AT_TRY(hash_variant(kernel, layout, target, variant, &hash));
        snprintf(symbol, sizeof symbol, "actune_%.16s", hash.hex);
        wanted = symbol;
    }
    return generate_one(kernel, layout, target, variant, wanted, !pretty, source);
}

/* One item's share of a translation unit. Nothing is added where it fails. */
static actune_status add_item(at_generate_item *item, const at_target *target, at_fragments *fragments,
                              at_strbuf *bodies)
{
    char symbol[sizeof item->symbol], suffix[32];
    body b = {.lines = !item->pretty};
    AT_TRY(hash_variant(item->kernel, item->layout, target, item->variant, &item->source_hash));
    snprintf(symbol, sizeof symbol, "actune_%.16s", item->source_hash.hex);
    snprintf(suffix, sizeof suffix, "_%.16s", item->source_hash.hex);
    actune_status status = write_body(item->kernel, item->layout, target, item->variant, symbol, suffix, &b);
    if (status == ACTUNE_OK)
        status = at_fragments_add(fragments, &b.scope, at_strbuf_text(&b.text));
    if (status == ACTUNE_OK) {
        size_t start = bodies->length;
        at_strbuf_char(bodies, '\n');
        status = write_title(item->kernel, target, item->variant, bodies);
        close_comments(bodies, start + 1);
        at_strbuf_append(bodies, at_strbuf_text(&b.text));
        memcpy(item->symbol, symbol, sizeof symbol);
    }
    body_clear(&b);
    return status;
}

static bool written_before(const at_generate_item *items, int i)
{
    for (int k = 0; k < i; k++)
        if (items[k].status == ACTUNE_OK && !strcmp(items[k].source_hash.hex, items[i].source_hash.hex))
            return true;
    return false;
}

/* CUDA kernels share no text, so a unit holds one. */
static actune_status generate_cuda(at_generate_item *item, int count, const at_target *target, at_strbuf *source)
{
    if (count != 1)
        return at_fail(ACTUNE_UNSUPPORTED, "CUDA kernels are generated one a program, not in batches");
    item->symbol[0] = 0;
    item->status = hash_variant(item->kernel, item->layout, target, item->variant, &item->source_hash);
    if (item->status == ACTUNE_OK) {
        snprintf(item->symbol, sizeof item->symbol, "actune_%.16s", item->source_hash.hex);
        item->status = generate_one(item->kernel, item->layout, target, item->variant, item->symbol, !item->pretty, source);
    }
    return at_strbuf_status(source);
}

actune_status at_generate_batch(at_generate_item *items, int count, const at_target *target, at_strbuf *source)
{
    at_fragments fragments = {0};
    at_strbuf bodies = {0};
    at_scope empty = {0};
    if (target->cuda)
        return generate_cuda(items, count, target, source);
    for (int i = 0; i < count; i++) {
        size_t length = bodies.length;
        items[i].symbol[0] = 0;
        items[i].status = add_item(&items[i], target, &fragments, &bodies);
        if (items[i].status == ACTUNE_OK && written_before(items, i))
            bodies.text[bodies.length = length] = 0; /* the same function twice: launch knobs differ */
    }
    at_strbuf_printf(source, "/* actune: %d variants for %s */\n", count, at_isa_name(target->isa));
    actune_status status = write_prelude(&empty, source);
    at_strbuf_append(source, at_strbuf_text(&fragments.types));
    at_strbuf_append(source, at_strbuf_text(&fragments.text));
    at_strbuf_append(source, at_strbuf_text(&bodies));
    at_fragments_clear(&fragments);
    at_strbuf_clear(&bodies);
    at_scope_clear(&empty);
    return status ? status : at_strbuf_status(source);
}
