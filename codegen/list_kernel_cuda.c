/* Source of the CUDA kernels over lists of tensors: knobs -> template. */
#include "list_kernel.h"

#include "../runtime/base/dtype.h"
#include "emit_cuda.h"
#include "generate.h"
#include <stdio.h>
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

/* What ptx and helpers ask about, beyond conversions. */
static void scope_parts(at_scope *scope, bool f64)
{
    static const char *const unused[] = {"uses_infinity_f32", "uses_infinity_f64", "uses_nan_f32", "uses_nan_f64", "uses_nan_max", "uses_nan_min",
                                         "uses_sigmoid_f", "uses_softplus", "uses_exp_approx", "uses_gate", "uses_mish", "uses_closed",
                                         "uses_exp_parts", "uses_quotient", "uses_expm1", "uses_erfc", "uses_erfc_times", "uses_tanhshrink", "uses_div_approx", "uses_tanh_approx", "uses_sigmoid_approx", "uses_lanes", "uses_random", "words_count", "copies_count"};
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        at_scope_number(scope, unused[i], -1, 0);
    at_scope_text(scope, "copy", -1, "direct");
    at_scope_text(scope, "dependent", -1, "no");
    at_scope_text(scope, "walk", -1, "flat");
    at_scope_text(scope, "tail", -1, "predicated");
    at_scope_text(scope, "math", -1, "exact");
    at_scope_text(scope, "math_C", -1, f64 ? "double" : "float");
    at_scope_text(scope, "math_T", -1, f64 ? "f64" : "f32");
    at_scope_text(scope, "math_F", -1, f64 ? "" : "f");
}

static void scope_type(at_scope *scope, actune_dtype dtype, bool f64)
{
    bool narrow = *storage[dtype].from != 0;
    at_scope_text(scope, "E", -1, at_dtype_get(dtype)->name);
    at_scope_text(scope, "C", -1, f64 ? "double" : "float");
    at_scope_text(scope, "F", -1, f64 ? "" : "f");
    at_scope_text(scope, "C_in", -1, storage[dtype].c);
    at_scope_text(scope, "from", -1, storage[dtype].from);
    at_scope_text(scope, "from_end", -1, narrow ? ")" : "");
    at_scope_text(scope, "to", -1, storage[dtype].to);
    at_scope_text(scope, "to_end", -1, narrow ? ")" : "");
    at_scope_number(scope, "elements", -1, 16 / at_dtype_get(dtype)->bytes);
    at_scope_number(scope, "uses_ptx", -1, narrow);
    for (int d = 0; d < AT_DTYPE_COUNT; d++)
        at_cuda_scope_conversions(scope, (actune_dtype)d, (int)dtype == d, (int)dtype == d);
}

static actune_status expand(actune_dtype dtype, const at_target *target, const at_variant *variant, const char *symbol, at_strbuf *source)
{
    const at_kernel none = {.signature = {.dtype_in = dtype, .dtype_out = dtype, .compute = at_dtype_get(dtype)->compute}};
    bool f64 = none.signature.compute == ACTUNE_F64;
    const char *least = at_variant_knob(variant, "min_blocks", "0");
    char bounds[32];
    at_strbuf knobs = {0};
    at_scope scope = {0};
    at_template_text text;
    AT_TRY(at_template_get(variant->template_name, &text));
    snprintf(bounds, sizeof bounds, "256%s%s", strcmp(least, "0") ? ", " : "", strcmp(least, "0") ? least : "");
    at_variant_print(variant, &knobs);
    at_scope_kernel(&scope, &none, AT_LAYOUT_FLAT, target);
    at_scope_variant(&scope, variant, &none);
    scope_parts(&scope, f64);
    scope_type(&scope, dtype, f64);
    at_scope_text(&scope, "bounds", -1, bounds);
    at_scope_text(&scope, "template", -1, variant->template_name);
    at_scope_text(&scope, "knobs", -1, at_strbuf_text(&knobs));
    at_scope_text(&scope, "symbol", -1, symbol);
    actune_status status = at_template_expand(&text, &scope, true, source);
    at_scope_clear(&scope);
    at_strbuf_clear(&knobs);
    return status == ACTUNE_OK ? at_strbuf_status(source) : status;
}

actune_status at_generate_list_cuda(actune_dtype dtype, const at_target *target, const char *variant, at_strbuf *source)
{
    at_arena arena = {0};
    at_variant parsed;
    actune_status status = at_variant_parse(variant, &arena, &parsed);
    if (status == ACTUNE_OK && strncmp(parsed.template_name, "cuda/list_", 10) != 0)
        status = at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' is no variant of a kernel over lists", variant);
    if (status == ACTUNE_OK)
        status = expand(dtype, target, &parsed, AT_LIST_SYMBOL, source);
    at_arena_clear(&arena);
    return status;
}
