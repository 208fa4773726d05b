/* Source of the kernels over lists of tensors: knobs -> templates -> fragments. */
#include "list_kernel.h"

#include "../runtime/base/dtype.h"
#include "fragment.h"
#include "generate.h"
#include <stdio.h>
#include <string.h>

/* One of the unit's parts: norms in f64, norms in f32 where that is the compute type, changes in the compute type. */
enum { PARTS = 3 };

typedef struct list_part {
    actune_dtype dtype, compute;
    const at_target *target;
    bool entries; /* has functions that are called from outside */
    at_variant variant;
    at_scope scope;
    char vector[16], load[32]; /* "f64x8", "bf16_f64x8" */
    at_strbuf text;
} list_part;

static const char *const storage[] = {
    [ACTUNE_F32] = "float", [ACTUNE_F64] = "double", [ACTUNE_F16] = "unsigned short", [ACTUNE_BF16] = "unsigned short"};

static actune_status fill_scope(list_part *part)
{
    const at_kernel none = {.signature = {.dtype_in = part->dtype, .dtype_out = part->dtype, .compute = part->compute}};
    bool f64 = part->compute == ACTUNE_F64;
    at_value lanes;
    at_scope_clear(&part->scope);
    part->scope = (at_scope){0};
    at_scope_kernel(&part->scope, &none, AT_LAYOUT_FLAT, part->target);
    at_scope_variant(&part->scope, &part->variant, &none);
    AT_TRY(at_expression_eval("lanes", 5, &part->scope, &lanes));
    snprintf(part->vector, sizeof part->vector, "%sx%d", f64 ? "f64" : "f32", (int)lanes.number);
    if (part->dtype == part->compute)
        snprintf(part->load, sizeof part->load, "%s", part->vector);
    else
        snprintf(part->load, sizeof part->load, "%s_%s", at_dtype_get(part->dtype)->name, part->vector);
    at_scope_text(&part->scope, "V", -1, part->vector);
    at_scope_text(&part->scope, "L", -1, part->load);
    at_scope_text(&part->scope, "C", -1, f64 ? "double" : "float");
    at_scope_text(&part->scope, "E", -1, storage[part->dtype]);
    at_scope_number(&part->scope, "element_in", -1, at_dtype_get(part->dtype)->bytes);
    at_scope_number(&part->scope, "entries", -1, part->entries);
    at_scope_text(&part->scope, "attribute", -1, part->entries ? "inline" : "__attribute__((noinline, unused))");
    at_scope_text(&part->scope, "symbol", -1, AT_LIST_SYMBOL);
    return ACTUNE_OK;
}

static actune_status expand(list_part *part)
{
    at_template_text text;
    AT_TRY(at_template_get(part->variant.template_name, &text));
    AT_TRY(fill_scope(part));
    at_strbuf_clear(&part->text);
    return at_template_expand(&text, &part->scope, true, &part->text);
}

/* The widest vectors that the target has. */
static actune_status expand_default(list_part *part)
{
    const at_knob *knobs;
    int count;
    actune_status status = ACTUNE_UNSUPPORTED;
    AT_TRY(at_template_knobs(part->variant.template_name, &knobs, &count));
    for (int v = 0; v < knobs[0].values && status == ACTUNE_UNSUPPORTED; v++) {
        AT_TRY(at_variant_set(&part->variant, knobs[0].name, knobs[0].value[v]));
        status = expand(part);
    }
    return status;
}

static void write_title(const list_part *part, at_strbuf *source)
{
    at_strbuf knobs = {0};
    at_variant_print(&part->variant, &knobs);
    at_strbuf_printf(source, "/* actune %s, lists of %s, %s */\n", at_strbuf_text(&knobs), at_dtype_get(part->dtype)->name,
                     at_isa_name(part->target->isa));
    at_strbuf_clear(&knobs);
}

/* Template by its name, or a whole variant. */
static actune_status make_part(list_part *part, const char *template_name, const char *variant)
{
    at_arena arena = {0};
    actune_status status = at_variant_parse(variant != NULL ? variant : template_name, &arena, &part->variant);
    if (status == ACTUNE_OK && strcmp(part->variant.template_name, template_name) != 0)
        status = at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' is no variant of %s", variant, template_name);
    if (status == ACTUNE_OK)
        status = variant != NULL ? expand(part) : expand_default(part);
    at_arena_clear(&arena);
    return status;
}

static actune_status assemble(list_part *parts, at_strbuf *source)
{
    at_fragments fragments = {0};
    at_template_text prelude;
    at_scope empty = {0};
    actune_status status = at_template_get("cpu/prelude", &prelude);
    for (int i = 0; i < PARTS && status == ACTUNE_OK; i++) {
        if (parts[i].text.length == 0)
            continue;
        write_title(&parts[i], source);
        status = at_fragments_add(&fragments, &parts[i].scope, at_strbuf_text(&parts[i].text));
    }
    if (status == ACTUNE_OK)
        status = at_template_expand(&prelude, &empty, false, source);
    at_strbuf_append(source, at_strbuf_text(&fragments.types));
    at_strbuf_append(source, at_strbuf_text(&fragments.text));
    for (int i = 0; i < PARTS; i++)
        at_strbuf_append(source, at_strbuf_text(&parts[i].text));
    at_fragments_clear(&fragments);
    at_scope_clear(&empty);
    return status == ACTUNE_OK ? at_strbuf_status(source) : status;
}

actune_status at_generate_list(actune_dtype dtype, const at_target *target, const char *norm_variant, const char *scale_variant,
                               at_strbuf *source)
{
    actune_dtype compute = at_dtype_get(dtype)->compute;
    bool f64 = compute == ACTUNE_F64;
    list_part parts[PARTS] = {{.dtype = dtype, .compute = ACTUNE_F64, .target = target, .entries = f64},
                              {.dtype = dtype, .compute = compute, .target = target, .entries = true},
                              {.dtype = dtype, .compute = compute, .target = target, .entries = true}};
    actune_status status = make_part(&parts[0], "cpu/list_norm", norm_variant);
    if (status == ACTUNE_OK && !f64)
        status = make_part(&parts[1], "cpu/list_norm", norm_variant);
    if (status == ACTUNE_OK)
        status = make_part(&parts[2], "cpu/list_scale", scale_variant);
    if (status == ACTUNE_OK)
        status = assemble(parts, source);
    for (int i = 0; i < PARTS; i++) {
        at_scope_clear(&parts[i].scope);
        at_strbuf_clear(&parts[i].text);
    }
    return status;
}
