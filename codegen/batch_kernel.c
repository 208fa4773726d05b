#include "batch_kernel.h"

#include "emit_cuda.h"
#include "generate.h"
#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTOR_BYTES = 16 };

/* What the parts of templates/cuda ask of a loop over one piece: the batch has no choice there. Buffers may be the same (in place). */
static const at_knob_setting fixed[] = {{"vector", "16"},   {"grid", "stride"},  {"copy", "direct"},   {"stages", "1"},
                                        {"tail", "peeled"}, {"restrict", "no"}, {"dependent", "no"}};

static actune_status parse(const char *text, at_arena *arena, at_variant *variant)
{
    AT_TRY(at_variant_parse(text, arena, variant));
    return strcmp(variant->template_name, "cuda/batch") == 0
               ? ACTUNE_OK
               : at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' is no variant of a batch's kernel", text);
}

/* The batch's knobs, those above, and the function's own arithmetic. */
static at_variant variant_of_function(const at_variant *batch, const char *math)
{
    at_variant variant = *batch;
    variant.template_name = "cuda/batch_member";
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        variant.knob[variant.knobs++] = fixed[i];
    variant.knob[variant.knobs++] = (at_knob_setting){"math", math};
    return variant;
}

static actune_status expand(const char *name, at_scope *scope, bool lines, at_strbuf *source)
{
    at_template_text text;
    AT_TRY(at_template_get(name, &text));
    return at_template_expand(&text, scope, lines, source);
}

static actune_status write_functions(const at_batch_function *function, int count, const at_target *target, const at_variant *variant, bool lines,
                                     at_strbuf *source)
{
    char symbol[32];
    for (int f = 0; f < count; f++) {
        const at_variant own = variant_of_function(variant, function[f].math);
        if (function[f].kernel->signature.slots > 0)
            return at_fail(ACTUNE_UNSUPPORTED, "%s has reductions (sums), which a batch does not compute", function[f].kernel->spec);
        if (function[f].kernel->signature.halves || function[f].kernel->signature.has_plane)
            return at_fail(ACTUNE_UNSUPPORTED, "%s has %s, which a batch on a GPU does not compute", function[f].kernel->spec,
                           function[f].kernel->signature.halves ? "rows of two halves" : "a value for each plane");
        snprintf(symbol, sizeof symbol, "member_%d", f);
        AT_TRY(at_emit_cuda(function[f].kernel, function[f].layout, target, &own, symbol, lines, source));
    }
    return ACTUNE_OK;
}

static void fill_scope(at_scope *scope, const at_variant *variant, const at_kernel *any, const at_target *target, const char *bounds, const char *knobs)
{
    at_scope_kernel(scope, any, AT_LAYOUT_FLAT, target);
    at_scope_variant(scope, variant, any);
    at_scope_text(scope, "bounds", -1, bounds);
    at_scope_text(scope, "knobs", -1, knobs);
    at_scope_text(scope, "template", -1, variant->template_name);
    at_scope_text(scope, "symbol", -1, AT_BATCH_SYMBOL);
}

static actune_status write_unit(const at_batch_function *function, int count, int pointers, const at_target *target, const at_variant *variant,
                                bool lines, at_strbuf *source)
{
    const char *least = at_variant_knob(variant, "min_blocks", "0");
    bool several = strcmp(least, "0") != 0;
    char bounds[32];
    at_strbuf knobs = {0};
    at_scope scope = {0};
    snprintf(bounds, sizeof bounds, "%s%s%s", at_variant_knob(variant, "block", "256"), several ? ", " : "", several ? least : "");
    at_variant_print(variant, &knobs);
    fill_scope(&scope, variant, function[0].kernel, target, bounds, at_strbuf_text(&knobs) + strlen(variant->template_name) + 1);
    at_scope_number(&scope, "functions", -1, count);
    at_scope_number(&scope, "pointers", -1, pointers);
    actune_status status = expand("cuda/batch_head", &scope, lines, source);
    if (status == ACTUNE_OK)
        status = write_functions(function, count, target, variant, lines, source);
    if (status == ACTUNE_OK)
        status = expand("cuda/batch", &scope, lines, source);
    at_scope_clear(&scope);
    at_strbuf_clear(&knobs);
    return status == ACTUNE_OK ? at_strbuf_status(source) : status;
}

actune_status at_generate_batch_kernel(const at_batch_function *function, int count, int pointers, const at_target *target, const char *variant,
                                       bool lines, at_strbuf *source)
{
    at_arena arena = {0};
    at_variant parsed;
    actune_status status = parse(variant, &arena, &parsed);
    if (status == ACTUNE_OK)
        status = write_unit(function, count, pointers, target, &parsed, lines, source);
    at_arena_clear(&arena);
    return status;
}

actune_status at_batch_geometry_of(const char *variant, at_batch_geometry *geometry)
{
    at_arena arena = {0};
    at_variant parsed;
    actune_status status = parse(variant, &arena, &parsed);
    if (status == ACTUNE_OK) {
        geometry->block = atoi(at_variant_knob(&parsed, "block", "256"));
        geometry->step_bytes = geometry->block * VECTOR_BYTES * atoi(at_variant_knob(&parsed, "vectors", "1"));
    }
    at_arena_clear(&arena);
    return status;
}

int at_batch_piece_elements(const at_kernel *kernel, const at_batch_geometry *geometry)
{
    return geometry->step_bytes / (int)at_cuda_largest_bytes(kernel);
}
