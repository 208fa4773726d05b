/* The variants of a kernel: all combinations of the knobs that the $require lines admit. */
#include "generate.h"

#include "emit_cuda.h"
#include "template.h"
#include <string.h>

enum { REQUIRES_MAX = 32 };

typedef struct require_list {
    at_template_line line[REQUIRES_MAX];
    int count;
} require_list;

static const int vector_bytes[] = {
    [AT_ISA_GENERIC] = 16, [AT_ISA_X86_V2] = 16, [AT_ISA_X86_V3] = 32, [AT_ISA_X86_V4] = 64, [AT_ISA_NEON] = 16};

void at_scope_kernel(at_scope *scope, const at_kernel *kernel, at_layout layout, const at_target *target)
{
    const at_signature *signature = &kernel->signature;
    bool f64 = signature->compute == ACTUNE_F64;
    at_isa isa = target->isa;
    at_scope_text(scope, "isa", -1, at_isa_name(isa));
    at_scope_number(scope, "x86", -1, isa == AT_ISA_X86_V2 || isa == AT_ISA_X86_V3 || isa == AT_ISA_X86_V4);
    at_scope_number(scope, "vector_bytes", -1, vector_bytes[isa]);
    at_scope_number(scope, "cuda_arch", -1, target->cuda_arch);
    at_scope_text(scope, "T", -1, f64 ? "f64" : "f32");
    at_scope_number(scope, "element_bytes", -1, f64 ? 8 : 4);
    at_scope_text(scope, "layout", -1, at_layout_name(layout));
    at_scope_number(scope, "transcendental", -1, kernel->transcendental);
    at_scope_number(scope, "sums", -1, signature->sums);
    at_scope_text(scope, "class", -1, at_accuracy_name(kernel->accuracy));
    at_scope_number(scope, "largest_bytes", -1, at_cuda_largest_bytes(kernel));
}

void at_scope_variant(at_scope *scope, const at_variant *variant, const at_kernel *kernel)
{
    for (int i = 0; i < variant->knobs; i++)
        at_scope_knob(scope, variant->knob[i].name, variant->knob[i].value);
    at_value width;
    if (at_expression_eval("width", 5, scope, &width) == ACTUNE_OK)
        at_scope_number(scope, "lanes", -1, width.number / (kernel->signature.compute == ACTUNE_F64 ? 8 : 4));
}

/* A kernel with no per-channel port, or one channel, is a flat one wherever it stands. */
const char *at_template_for(const at_kernel *kernel, at_layout layout, const at_target *target)
{
    static const char *const names[2][3] = {{[AT_LAYOUT_FLAT] = "cpu/elementwise",
                                             [AT_LAYOUT_CHANNEL_INNER] = "cpu/channel_inner",
                                             [AT_LAYOUT_CHANNEL_OUTER] = "cpu/channel_outer"},
                                            {[AT_LAYOUT_FLAT] = "cuda/elementwise",
                                             [AT_LAYOUT_CHANNEL_INNER] = "cuda/channel_inner",
                                             [AT_LAYOUT_CHANNEL_OUTER] = "cuda/channel_outer"}};
    return names[target->cuda][kernel->signature.has_channel ? layout : AT_LAYOUT_FLAT];
}

static actune_status keep_require(void *user, const at_template_line *line)
{
    require_list *found = user;
    if (!at_template_is(line, "require"))
        return ACTUNE_OK;
    if (found->count == REQUIRES_MAX)
        return at_fail(ACTUNE_SYNTAX, "%s:%d: more than %d $require lines", line->in->name, line->line, REQUIRES_MAX);
    found->line[found->count++] = *line;
    return ACTUNE_OK;
}

static actune_status admitted(const require_list *requires, const at_scope *scope, bool *yes)
{
    *yes = true;
    for (int i = 0; i < requires->count && *yes; i++) {
        const at_template_line *line = &requires->line[i];
        at_value value;
        actune_status status = at_expression_eval(line->rest, line->length, scope, &value);
        if (status)
            return at_fail_in(status, "%s:%d", line->in->name, line->line);
        *yes = at_value_true(&value);
    }
    return ACTUNE_OK;
}

/* The next combination, the last knob fastest; `changed`: one that is no launch knob is another now. */
static bool advance(const at_knob *knobs, int count, int *choice, bool *changed)
{
    *changed = false;
    for (int i = count - 1; i >= 0; i--) {
        *changed |= !knobs[i].launch;
        if (++choice[i] < knobs[i].values)
            return true;
        choice[i] = 0;
    }
    return false;
}

/* $require lines know nothing of launch knobs. */
static actune_status walk(const at_kernel *kernel, at_variant *variant, const at_knob *knobs,
                          const require_list *requires, at_scope *scope,
                          actune_status (*visit)(void *user, const at_variant *variant), void *user)
{
    int choice[AT_KNOBS_MAX] = {0}, base = scope->count;
    bool yes = false, changed = true;
    do {
        for (int i = 0; i < variant->knobs; i++)
            variant->knob[i] = (at_knob_setting){knobs[i].name, knobs[i].value[choice[i]]};
        if (changed) {
            at_scope_variant(scope, variant, kernel);
            if (scope->failed)
                return at_fail(ACTUNE_NO_MEMORY, "out of memory while listing variants");
            actune_status status = admitted(requires, scope, &yes);
            scope->count = base;
            AT_TRY(status);
        }
        if (yes)
            AT_TRY(visit(user, variant));
    } while (advance(knobs, variant->knobs, choice, &changed));
    return ACTUNE_OK;
}

actune_status at_variant_each(const at_kernel *kernel, at_layout layout, const at_target *target,
                              actune_status (*visit)(void *user, const at_variant *variant), void *user)
{
    at_variant variant = {.template_name = at_template_for(kernel, layout, target)};
    const at_knob *knobs;
    at_template_text text;
    require_list requires = {.count = 0};
    AT_TRY(at_template_knobs(variant.template_name, &knobs, &variant.knobs));
    AT_TRY(at_template_get(variant.template_name, &text));
    AT_TRY(at_template_each_line(&text, keep_require, &requires));
    at_scope scope = {0};
    at_scope_kernel(&scope, kernel, layout, target);
    actune_status status = walk(kernel, &variant, knobs, &requires, &scope, visit, user);
    at_scope_clear(&scope);
    return status;
}

typedef struct first_good {
    const at_kernel *kernel;
    at_variant *variant;
    const char *failed_math; /* what was found not to reach the accuracy */
    bool found;
} first_good;

static actune_status take_first(void *user, const at_variant *variant)
{
    first_good *first = user;
    const char *math = at_variant_knob(variant, "math", "plain");
    if (first->failed_math && !strcmp(first->failed_math, math))
        return ACTUNE_OK;
    at_kernel copy;
    actune_status status = at_kernel_approximated(first->kernel, variant, &copy);
    if (status == ACTUNE_UNSUPPORTED) {
        first->failed_math = math;
        return ACTUNE_OK;
    }
    AT_TRY(status);
    at_kernel_clear(&copy);
    *first->variant = *variant;
    first->found = true;
    return ACTUNE_INTERRUPTED; /* ends the walk */
}

actune_status at_variant_default(const at_kernel *kernel, at_layout layout, const at_target *target,
                                 at_variant *variant)
{
    first_good first = {.kernel = kernel, .variant = variant};
    actune_status status = at_variant_each(kernel, layout, target, take_first, &first);
    if (first.found)
        return ACTUNE_OK;
    return status ? status
                  : at_fail(ACTUNE_UNSUPPORTED, "no variant of %s can do '%s' for %s",
                            at_template_for(kernel, layout, target), kernel->spec,
                            target->cuda ? "cuda" : at_isa_name(target->isa));
}
