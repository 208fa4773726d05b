/* The variants of a kernel: all combinations of the knobs that the $require lines admit. */
#include "generate.h"

#include "../runtime/base/cuda_sm.h"
#include "code_table.h"
#include "emit_cuda.h"
#include "template.h"
#include <string.h>

enum { REQUIRES_MAX = 32 };

typedef struct require_list {
    at_template_line line[REQUIRES_MAX];
    int last_knob[REQUIRES_MAX]; /* after which knob the line can be answered; -1 at once */
    int count;
} require_list;

static const int vector_bytes[] = {
    [AT_ISA_GENERIC] = 16, [AT_ISA_X86_V2] = 16, [AT_ISA_X86_V3] = 32, [AT_ISA_X86_V4] = 64, [AT_ISA_NEON] = 16};

static int count_reductions(const at_signature *signature, at_reduction reduction)
{
    int count = 0;
    for (int i = signature->inputs; i < signature->ports; i++)
        count += signature->port[i].reduction == reduction;
    return count;
}

static void scope_reductions(at_scope *scope, const at_signature *signature)
{
    int maxima = count_reductions(signature, AT_REDUCTION_MAX);
    at_scope_number(scope, "sums", -1, signature->slots);
    at_scope_number(scope, "plain_sums", -1, count_reductions(signature, AT_REDUCTION_SUM) + maxima + at_signature_is_moments(signature));
    at_scope_number(scope, "maxima", -1, maxima);
    at_scope_number(scope, "statistics", -1, count_reductions(signature, AT_REDUCTION_STATISTICS));
    at_scope_number(scope, "moments", -1, at_signature_is_moments(signature));
}

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
    scope_reductions(scope, signature);
    at_scope_number(scope, "halves", -1, signature->halves);
    at_scope_number(scope, "planes", -1, signature->has_plane);
    at_scope_number(scope, "has_channel", -1, signature->has_channel);
    at_scope_number(scope, "backward", -1, kernel->signature.direction == ACTUNE_BACKWARD);
    at_scope_text(scope, "class", -1, at_accuracy_name(kernel->accuracy));
    at_scope_number(scope, "codes", -1, at_kernel_maps_codes(kernel));
    if (!target->cuda)
        return;
    at_cuda_sm sm = at_cuda_sm_get(target->cuda_arch);
    at_scope_number(scope, "sm_threads", -1, sm.threads);
    at_scope_number(scope, "largest_bytes", -1, at_cuda_largest_bytes(kernel));
    at_scope_number(scope, "smallest_bytes", -1, at_cuda_smallest_bytes(kernel));
    at_scope_number(scope, "input_bytes", -1, at_cuda_input_bytes(kernel));
    at_scope_number(scope, "narrow", -1, at_cuda_narrow(kernel));
}

static void scope_knob(at_scope *scope, const at_knob_setting *knob, const at_kernel *kernel)
{
    at_value width;
    at_scope_knob(scope, knob->name, knob->value);
    if (!strcmp(knob->name, "width") && at_expression_eval("width", 5, scope, &width) == ACTUNE_OK)
        at_scope_number(scope, "lanes", -1, width.number / (kernel->signature.compute == ACTUNE_F64 ? 8 : 4));
}

void at_scope_variant(at_scope *scope, const at_variant *variant, const at_kernel *kernel)
{
    for (int i = 0; i < variant->knobs; i++)
        scope_knob(scope, &variant->knob[i], kernel);
}

/* A kernel with no per-channel port is a flat one wherever it stands, but for halves; what looks at whole rows has a loop of its own. */
const char *at_template_for(const at_kernel *kernel, at_layout layout, const at_target *target)
{
    static const char *const names[2][3] = {{[AT_LAYOUT_FLAT] = "cpu/elementwise",
                                             [AT_LAYOUT_CHANNEL_INNER] = "cpu/channel_inner",
                                             [AT_LAYOUT_CHANNEL_OUTER] = "cpu/channel_outer"},
                                            {[AT_LAYOUT_FLAT] = "cuda/elementwise",
                                             [AT_LAYOUT_CHANNEL_INNER] = "cuda/channel_inner",
                                             [AT_LAYOUT_CHANNEL_OUTER] = "cuda/channel_outer"}};
    if (kernel->signature.row.kind != AT_ROW_NONE)
        return target->cuda ? "cuda/row" : "cpu/row";
    return names[target->cuda][kernel->signature.has_channel || kernel->signature.halves ? layout : AT_LAYOUT_FLAT];
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

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Whether the expression names the variable; texts in quotes are none. */
static bool names(const at_template_line *line, const char *name)
{
    const char *end = line->rest + line->length;
    size_t length = strlen(name);
    bool quoted = false;
    for (const char *p = line->rest; p < end; p++) {
        quoted ^= *p == '"';
        bool starts = !quoted && (p == line->rest || !is_word(p[-1])) && (size_t)(end - p) >= length;
        if (starts && !memcmp(p, name, length) && (p + length == end || !is_word(p[length])))
            return true;
    }
    return false;
}

static void order_requires(require_list *requires, const at_knob *knobs, int count)
{
    for (int i = 0; i < requires->count; i++) {
        requires->last_knob[i] = -1;
        for (int k = 0; k < count; k++)
            if (names(&requires->line[i], knobs[k].name) ||
                (!strcmp(knobs[k].name, "width") && names(&requires->line[i], "lanes")))
                requires->last_knob[i] = k;
    }
}

typedef struct walker {
    const at_kernel *kernel;
    at_variant *variant;
    const at_knob *knobs;
    const require_list *requires;
    at_scope *scope;
    actune_status (*visit)(void *user, const at_variant *variant);
    void *user;
} walker;

/* The $require lines that can be answered once `knob` has its value. */
static actune_status admitted(const walker *w, int knob, bool *yes)
{
    *yes = true;
    for (int i = 0; i < w->requires->count && *yes; i++) {
        const at_template_line *line = &w->requires->line[i];
        at_value value;
        if (w->requires->last_knob[i] != knob)
            continue;
        actune_status status = at_expression_eval(line->rest, line->length, w->scope, &value);
        if (status)
            return at_fail_in(status, "%s:%d", line->in->name, line->line);
        *yes = at_value_true(&value);
    }
    return ACTUNE_OK;
}

/* All values of the knobs from `knob` on, the last knob fastest. What a $require line forbids is cut off as soon as its knobs are known:
   the space of a CUDA template is tens of millions of combinations before that. Depth: AT_KNOBS_MAX. */
static actune_status walk(const walker *w, int knob)
{
    if (knob == w->variant->knobs)
        return w->visit(w->user, w->variant);
    const at_knob *own = &w->knobs[knob];
    int base = w->scope->count;
    for (int v = 0; v < (own->option ? 1 : own->values); v++) {
        bool yes;
        w->variant->knob[knob] = (at_knob_setting){own->name, own->value[v]};
        scope_knob(w->scope, &w->variant->knob[knob], w->kernel);
        if (w->scope->failed)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while listing variants");
        actune_status status = admitted(w, knob, &yes);
        if (!status && yes)
            status = walk(w, knob + 1);
        w->scope->count = base;
        AT_TRY(status);
    }
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
    order_requires(&requires, knobs, variant.knobs);
    walker w = {kernel, &variant, knobs, &requires, &scope, visit, user};
    bool yes;
    actune_status status = admitted(&w, -1, &yes);
    if (!status && yes)
        status = walk(&w, 0);
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
