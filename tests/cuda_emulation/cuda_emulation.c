/* Every generated CUDA kernel on the CPU, against the tuner's reference: all built-in activations in both directions and all types, and
   the corners of the space of a few kernels in each layout. An argument runs one spec alone; "all" takes every accuracy class too. */
#include "unit.h"

#include "codegen/activation.h"
#include "runtime/base/dtype.h"
#include "tuner/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 24 };

typedef struct item {
    at_variant variant;
    char symbol[32];
} item;

static item batch[BATCH];
static int batched, variants, failures, arch = 100;
static const at_kernel *batch_kernel;
static at_layout batch_layout;

static void report(const char *what, const item *i)
{
    at_strbuf knobs = {0};
    at_variant_print(&i->variant, &knobs);
    failures++;
    printf("%s %s %s to %s, %s: %s\n", batch_kernel->spec, batch_kernel->signature.direction == ACTUNE_BACKWARD ? "backward" : "forward",
           at_dtype_get(batch_kernel->signature.dtype_in)->name, at_dtype_get(batch_kernel->signature.dtype_out)->name,
           at_strbuf_text(&knobs), what);
    at_strbuf_clear(&knobs);
}

static actune_status write_batch(at_strbuf *source)
{
    at_target target = {.cuda = true, .cuda_arch = arch};
    for (int i = 0; i < batched; i++) {
        snprintf(batch[i].symbol, sizeof batch[i].symbol, "kernel_%d", i);
        at_generate_options options = {.symbol = batch[i].symbol, .pretty = true};
        at_strbuf_printf(source, "namespace unit_%d {\n", i);
        AT_TRY(at_generate(batch_kernel, batch_layout, &target, &batch[i].variant, &options, source));
        at_strbuf_printf(source, "\n}\n");
    }
    return ACTUNE_OK;
}

static void verify_batch(const at_reference *reference)
{
    at_strbuf source = {0};
    emu_unit unit;
    if (write_batch(&source) || emu_unit_build(at_strbuf_text(&source), &unit)) {
        report(actune_last_error(), &batch[0]);
        at_strbuf_clear(&source);
        return;
    }
    for (int i = 0; i < batched; i++) {
        emu_kernel kernel;
        at_verify_report result;
        at_verify_target target = {.run = emu_kernel_run, .run_user = &kernel};
        variants++;
        if (emu_kernel_find(&unit, batch_kernel, batch_layout, &batch[i].variant, batch[i].symbol, &kernel) ||
            at_verify(reference, &target, &result))
            report(actune_last_error(), &batch[i]);
        else if (!result.passed)
            report(result.detail, &batch[i]);
    }
    emu_unit_close(&unit);
    at_strbuf_clear(&source);
}

/* --- which variants --- */

typedef struct picks {
    const at_reference *reference;
    bool seen[AT_KNOBS_MAX][AT_KNOB_VALUES_MAX];
    char copies[512]; /* "copy/stages/grid," of those taken */
    bool corners;     /* not the default alone */
    bool direct;      /* of copies, direct alone */
} picks;

static bool is_new(picks *p, const at_variant *v)
{
    const at_knob *knobs;
    int count;
    bool fresh = false;
    if (at_template_knobs(v->template_name, &knobs, &count))
        return false;
    for (int k = 0; k < v->knobs; k++)
        for (int i = 0; i < knobs[k].values; i++)
            if (!strcmp(knobs[k].value[i], v->knob[k].value)) {
                fresh |= !p->seen[k][i];
                p->seen[k][i] = true;
            }
    char key[64];
    snprintf(key, sizeof key, "%s/%s/%s/%s,", at_variant_knob(v, "copy", ""), at_variant_knob(v, "stages", ""), at_variant_knob(v, "grid", ""),
             at_variant_knob(v, "tail", ""));
    if (!strstr(p->copies, key) && strlen(p->copies) + strlen(key) < sizeof p->copies) {
        strcat(p->copies, key);
        fresh = true;
    }
    return fresh;
}

static actune_status take(void *user, const at_variant *variant)
{
    picks *p = user;
    if ((p->direct && strcmp(at_variant_knob(variant, "copy", ""), "direct")) || !is_new(p, variant))
        return ACTUNE_OK;
    batch[batched].variant = *variant;
    /* Both texts of the option that decides about y being x, which is among the cases. */
    if (batched % 2 && strcmp(at_variant_knob(variant, "load", ""), "nc"))
        AT_TRY(at_variant_set(&batch[batched].variant, "restrict", "no"));
    batched++;
    if (batched == BATCH) {
        verify_batch(p->reference);
        batched = 0;
    }
    return p->corners ? ACTUNE_OK : ACTUNE_INTERRUPTED;
}

typedef struct corner {
    const char *spec;
    at_layout layout;
    actune_dtype in, out;
    const char *gradient[2]; /* backward where there is one */
    bool backward;           /* where there is none too */
    bool alone;              /* the default variant: emulated sums take their time */
    bool direct;             /* copies that others have seen are left out */
} corner;

/* The first sum of a backward kernel becomes a maximum: no spec is needed for one. */
static void make_maximum(at_signature *signature)
{
    for (int i = signature->inputs; i < signature->ports; i++)
        if (signature->port[i].reduction) {
            signature->port[i].reduction = AT_REDUCTION_MAX;
            return;
        }
}

/* of: NULL: the default variant alone. */
static void check_kernel(const char *text, at_kernel_request request, at_layout layout, const corner *of, bool maximum)
{
    static at_spec spec;
    static at_kernel kernel;
    static picks p;
    at_reference reference = {0};
    at_target target = {.cuda = true, .cuda_arch = arch};
    p = (picks){.reference = &reference, .corners = of && !of->alone, .direct = of && of->direct};
    if (at_spec_parse(text, &spec) || at_kernel_lower(&spec, &request, &kernel)) {
        failures++;
        printf("%s: %s\n", text, actune_last_error());
        return;
    }
    batch_kernel = &kernel;
    batch_layout = layout;
    if (maximum)
        make_maximum(&kernel.signature);
    actune_status status = at_reference_init(&reference, &kernel, layout, 1);
    if (!status)
        status = at_variant_each(&kernel, layout, &target, take, &p);
    if (status && status != ACTUNE_INTERRUPTED) {
        failures++;
        printf("%s: %s\n", text, actune_last_error());
    } else if (batched)
        verify_batch(&reference);
    batched = 0;
    at_reference_clear(&reference);
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
}

/* Whether the accuracy class changes its kernels. */
static bool has_classes(const at_activation *activation)
{
    for (int32_t i = 0; i < activation->graph.count; i++)
        if (at_op_get(activation->graph.nodes[i].op)->transcendental)
            return true;
    return false;
}

static void check_activations(const char *only, bool all)
{
    static const corner everything;
    for (int i = 0; i < at_activation_count(); i++) {
        const char *name = at_activation_get(i)->name;
        if (only && strcmp(only, name))
            continue;
        for (int class = AT_ACCURACY_EXACT; class <= AT_ACCURACY_FAST; class++)
            for (int d = 0; d < AT_DTYPE_WIDE_COUNT; d++)
                for (actune_direction direction = ACTUNE_FORWARD; direction <= ACTUNE_BACKWARD; direction++) {
                    bool usual = class == AT_ACCURACY_STANDARD || (has_classes(at_activation_get(i)) && d == ACTUNE_F32);
                    if (!all && !usual)
                        continue;
                    char text[128];
                    snprintf(text, sizeof text, "[accuracy=%s] %s", at_accuracy_name((at_accuracy)class), name);
                    check_kernel(text, (at_kernel_request){direction, (actune_dtype)d, (actune_dtype)d, NULL, 0}, AT_LAYOUT_FLAT, all ? &everything : NULL, false);
                }
    }
}

static const corner corner_list[] = {
    {"[accuracy=fast] tanh", AT_LAYOUT_FLAT, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"relu", AT_LAYOUT_FLAT, ACTUNE_F16, ACTUNE_F32, {NULL}},
    {"bias | leaky_relu | clip(0, 10)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F16, ACTUNE_F16, {NULL}},
    {"scale_shift | add | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"prelu(alpha=learn)", AT_LAYOUT_FLAT, ACTUNE_F32, ACTUNE_F32, {"alpha"}},
    {"bias | prelu(alpha=learn)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_BF16, ACTUNE_BF16, {"bias", "alpha"}},
    {"scale_shift | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {"scale", "shift"}},
    {"scale_shift | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F64, ACTUNE_F64, {"scale", "shift"}},
    {"halves | relu | mul", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_BF16, ACTUNE_BF16, {NULL}, true},
    {"halves(second) | bias | relu | mul", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F16, ACTUNE_F32, {NULL}},
    {"halves | bias | relu | mul", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {"bias"}, .alone = true},
    {"halves | prelu(alpha=learn) | mul", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {"alpha"}, .alone = true},
    {"bias | mul(channel) | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {NULL}, .direct = true},
    {"add(channel) | mul(channel) | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F16, ACTUNE_F16, {NULL}, .direct = true},
    {"bias | mul(channel) | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {"bias", "mul"}, .alone = true},
    {"bias | mul(channel) | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {"mul"}, .alone = true},
    {"[from=output] bias | elu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F16, ACTUNE_F32, {"bias"}},
    {"[pass=1] standardize", AT_LAYOUT_FLAT, ACTUNE_F32, ACTUNE_F32, {NULL}},
};

/* Passes of a kernel that has several, each with its default variant. */
static const corner pass_list[] = {
    {"[pass=1] standardize(channel, eps=0)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F16, ACTUNE_F16, {NULL}},
    {"[pass=1] bias | standardize", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"[pass=1] bias | standardize", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_BF16, ACTUNE_BF16, {NULL}},
    {"[pass=1] standardize(channel)", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F64, ACTUNE_F64, {NULL}},
    {"[pass=2] bias | standardize(channel) | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {"bias"}},
};

/* With the largest of the first gradient's terms in place of their sum. */
static const corner maximum_list[] = {
    {"prelu(alpha=learn)", AT_LAYOUT_FLAT, ACTUNE_F64, ACTUNE_F64, {"alpha"}},
    {"scale_shift | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {"scale", "shift"}},
    {"bias | prelu(alpha=learn)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {"bias", "alpha"}},
};

/* Operations on whole rows: the space of the first, the default variants of the others. */
static const corner row_list[] = {
    {"bias | relu | topk(5)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"topk(0.3, by=magnitude) | clip(-1, 1)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F64, ACTUNE_BF16, {NULL}},
    {"bias | silu | topk(40)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_BF16, ACTUNE_F16, {"bias"}},
};

/* The stage stats, in every walk of the templates. */
static const corner observer_list[] = {
    {"relu | stats", AT_LAYOUT_FLAT, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"relu | stats(channel) | clip(0, 1)", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"bias | stats | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"bias | leaky_relu | stats(channel)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"halves | relu | mul | stats", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"mul(channel) | relu | stats(channel)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, {NULL}},
    {"bias | clip(-1, 2) | stats", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F64, ACTUNE_F64, {NULL}},
};

static void check_corners(const corner *list, size_t count, const char *only, bool all, bool maximum)
{
    for (size_t i = 0; i < count; i++) {
        const corner *c = &list[i];
        const char *gradients[] = {c->gradient[0], c->gradient[1]};
        at_kernel_request request = {c->gradient[0] || c->backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, c->in, c->out, gradients,
                                     !!c->gradient[0] + !!c->gradient[1]};
        if (!only || !strcmp(only, c->spec))
            check_kernel(c->spec, request, c->layout, !maximum && all && (list != row_list || i == 0) ? c : NULL, maximum);
    }
}

/* Tensors of 8 bits; f8 is converted in software before sm_89. */
static void check_eight_bits(const char *only)
{
    static const struct {
        corner kernel;
        int arch;
        bool corners;
    } rows[] = {
        {{"silu", AT_LAYOUT_FLAT, ACTUNE_F8E4M3, ACTUNE_F8E5M2, {NULL}}, 100, false},
        {{"silu", AT_LAYOUT_FLAT, ACTUNE_F8E4M3, ACTUNE_F8E5M2, {NULL}}, 80, false},
        {{"relu", AT_LAYOUT_FLAT, ACTUNE_F8E5M2, ACTUNE_F8E4M3, {NULL}}, 80, false},
        {{"tanhshrink", AT_LAYOUT_FLAT, ACTUNE_U8, ACTUNE_F16, {NULL}}, 90, false},
        {{"relu | quantize(u8, scale=0.05, zero_point=7)", AT_LAYOUT_FLAT, ACTUNE_F32, ACTUNE_U8, {NULL}}, 90, true},
        {{"dequantize(scale=0.1) | gelu | quantize(i8, scale=0.07)", AT_LAYOUT_FLAT, ACTUNE_I8, ACTUNE_I8, {NULL}}, 90, true},
        {{"bias | relu | quantize(i8, scale=channel)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F16, ACTUNE_I8, {NULL}}, 90, false},
        {{"bias | quantize(i8, scale=tensor) | dequantize(scale=tensor)", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, {"bias", "scale"}}, 90, false},
        {{"silu | quantize(f8e4m3, scale=tensor)", AT_LAYOUT_FLAT, ACTUNE_BF16, ACTUNE_F8E4M3, {"scale", NULL}}, 90, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const corner *c = &rows[i].kernel;
        const char *gradients[] = {c->gradient[0], c->gradient[1]};
        at_kernel_request forward = {ACTUNE_FORWARD, c->in, c->out, NULL, 0};
        at_kernel_request backward = {ACTUNE_BACKWARD, c->in, c->out, gradients, !!c->gradient[0] + !!c->gradient[1]};
        if (only && strcmp(only, c->spec))
            continue;
        arch = rows[i].arch;
        check_kernel(c->spec, forward, c->layout, rows[i].corners ? c : NULL, false);
        if (strstr(c->spec, "quantize"))
            check_kernel(c->spec, backward, c->layout, NULL, false);
    }
    arch = 100;
}

int main(int argc, char **argv)
{
    bool all = argc > 1 && !strcmp(argv[1], "all");
    const char *only = argc > 1 && !all ? argv[1] : NULL;
    const at_compiler *compiler;
    if (at_compiler_get(&compiler) || !compiler->is_clang) {
        puts("skipped: the emulation needs clang");
        return 77;
    }
    check_corners(corner_list, sizeof corner_list / sizeof *corner_list, only, true, false);
    check_corners(pass_list, sizeof pass_list / sizeof *pass_list, only, false, false);
    check_corners(maximum_list, sizeof maximum_list / sizeof *maximum_list, only, false, true);
    check_corners(row_list, sizeof row_list / sizeof *row_list, only, true, false);
    check_corners(observer_list, sizeof observer_list / sizeof *observer_list, only, all, false);
    check_eight_bits(only);
    check_activations(only, all);
    printf("CUDA emulation: %d variants, %d failed\n", variants, failures);
    return failures || !variants;
}
