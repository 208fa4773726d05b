/* The space of the CUDA templates: what it holds, what it leaves out, and that NVRTC takes its corners. */
#include "cuda_text.h"

#include "codegen/list_kernel.h"
#include "runtime/base/cuda_sm.h"
#include "runtime/base/dtype.h"

enum { PICKS_MAX = 256 };

/* Variants that together show every value of every knob, and every copy algorithm with every size. */
typedef struct picks {
    at_variant variant[PICKS_MAX];
    int count, walked;
    bool seen[5][AT_KNOBS_MAX][AT_KNOB_VALUES_MAX];
} picks;

static int index_of_value(const at_variant *variant, int knob)
{
    const at_knob *knobs;
    int count;
    cr_assert_eq(at_template_knobs(variant->template_name, &knobs, &count), ACTUNE_OK);
    for (int v = 0; v < knobs[knob].values; v++)
        if (!strcmp(knobs[knob].value[v], variant->knob[knob].value))
            return v;
    return 0;
}

static int copy_of(const at_variant *variant)
{
    for (int i = 0; i < variant->knobs; i++)
        if (!strcmp(variant->knob[i].name, "copy"))
            return index_of_value(variant, i);
    return 0;
}

static bool is_size(const char *knob)
{
    return !strcmp(knob, "vector") || !strcmp(knob, "vectors") || !strcmp(knob, "stages") || !strcmp(knob, "grid");
}

static actune_status pick(void *user, const at_variant *variant)
{
    picks *p = user;
    int copy = copy_of(variant), fresh = 0;
    p->walked++;
    for (int i = 0; i < variant->knobs; i++) {
        bool *seen = &p->seen[is_size(variant->knob[i].name) ? copy : 0][i][index_of_value(variant, i)];
        fresh += !*seen;
        *seen = true;
    }
    if (!fresh)
        return ACTUNE_OK;
    cr_assert_lt(p->count, PICKS_MAX);
    p->variant[p->count++] = *variant;
    return ACTUNE_OK;
}

static void pick_all(const at_kernel *kernel, at_layout layout, int arch, picks *p)
{
    at_target target = {.cuda = true, .cuda_arch = arch};
    *p = (picks){.count = 0};
    cr_assert_eq(at_variant_each(kernel, layout, &target, pick, p), ACTUNE_OK, "%s", actune_last_error());
}

/* Variants that differ in their launch alone are one text. */
static bool was_compiled(const char *text)
{
    static at_hash done[1024];
    static int count;
    at_hash hash = at_hash_text(text);
    for (int i = 0; i < count; i++)
        if (!strcmp(done[i].hex, hash.hex))
            return true;
    cr_assert_lt(count, 1024);
    done[count++] = hash;
    return false;
}

static void compile(const at_kernel *kernel, at_layout layout, int arch, const at_variant *variant)
{
    at_strbuf source = {0}, knobs = {0};
    at_nvrtc_output output;
    at_variant_print(variant, &knobs);
    cr_assert_eq(make_text(kernel, layout, arch, variant, &source), ACTUNE_OK, "%s", actune_last_error());
    if (was_compiled(at_strbuf_text(&source))) {
        at_strbuf_clear(&source);
        at_strbuf_clear(&knobs);
        return;
    }
    actune_status status = at_nvrtc_compile(at_strbuf_text(&source), "kernel.cu", arch, true, &output);
    if (status != ACTUNE_UNSUPPORTED) { /* an NVRTC that is older than the architecture */
        cr_assert_eq(status, ACTUNE_OK, "sm_%d, %s, %s: %s\n%s", arch, kernel->spec, at_strbuf_text(&knobs), actune_last_error(),
                     at_strbuf_text(&source));
        cr_assert(!strstr(output.log, "warning"), "sm_%d, %s, %s: %s", arch, kernel->spec, at_strbuf_text(&knobs), output.log);
        at_nvrtc_output_clear(&output);
    }
    at_strbuf_clear(&source);
    at_strbuf_clear(&knobs);
}

/* What no walk sets. */
static void kernel_options(const at_kernel *kernel, at_layout layout, int arch)
{
    at_variant variant;
    make_variant(kernel, layout, arch, "restrict=no", &variant);
    compile(kernel, layout, arch, &variant);
    if (arch < 90)
        return;
    make_variant(kernel, layout, arch, "dependent=yes", &variant);
    compile(kernel, layout, arch, &variant);
}

typedef struct corner {
    const char *spec;
    at_layout layout;
    actune_dtype in, out;
    int arch;
    const char *gradient[2]; /* backward where there is one */
} corner;

static const corner corners[] = {
    {"bias | silu | clip(0, 10)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F16, ACTUNE_F16, 80, {NULL}},
    {"[accuracy=fast] tanh", AT_LAYOUT_FLAT, ACTUNE_BF16, ACTUNE_F32, 90, {NULL}},
    {"scale_shift | add | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, 100, {NULL}},
    {"relu", AT_LAYOUT_FLAT, ACTUNE_F64, ACTUNE_F64, 120, {NULL}},
    {"swish(beta=learn)", AT_LAYOUT_FLAT, ACTUNE_F16, ACTUNE_F32, 90, {"beta"}},
    {"bias | prelu(alpha=learn)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_BF16, ACTUNE_BF16, 100, {"bias", "alpha"}},
    {"scale_shift | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, 80, {"scale", "shift"}},
    {"scale_shift | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F64, ACTUNE_F64, 120, {"scale", "shift"}},
};

static void make_corner(const corner *c, at_kernel *kernel)
{
    const char *gradients[] = {c->gradient[0], c->gradient[1]};
    at_kernel_request request = {c->gradient[0] ? ACTUNE_BACKWARD : ACTUNE_FORWARD, c->in, c->out, gradients,
                                 !!c->gradient[0] + !!c->gradient[1]};
    make_kernel(c->spec, request, kernel);
}

/* Every variant of the walk can be generated; its space is of a size that a search can hold. */
Test(cuda_space, every_pick_has_text, .timeout = 60)
{
    static picks p;
    for (size_t i = 0; i < sizeof corners / sizeof *corners; i++) {
        at_kernel kernel;
        make_corner(&corners[i], &kernel);
        pick_all(&kernel, corners[i].layout, corners[i].arch, &p);
        printf("%s: %d variants, %d picked\n", corners[i].spec, p.walked, p.count);
        cr_assert(p.walked > 20 && p.walked < 60000, "%s: %d variants", corners[i].spec, p.walked);
        for (int v = 0; v < p.count; v++) {
            at_strbuf text = {0};
            cr_assert_eq(make_text(&kernel, corners[i].layout, corners[i].arch, &p.variant[v], &text), ACTUNE_OK, "%s", actune_last_error());
            cr_assert_not(strstr(at_strbuf_text(&text), "$"), "a template's line is left over:\n%s", at_strbuf_text(&text));
            at_strbuf_clear(&text);
        }
        at_kernel_clear(&kernel);
    }
}

static void compile_corners(size_t first, size_t end)
{
    static picks p;
    if (!may_compile_many())
        return;
    for (size_t i = first; i < end; i++) {
        at_kernel kernel;
        make_corner(&corners[i], &kernel);
        pick_all(&kernel, corners[i].layout, corners[i].arch, &p);
        for (int v = 0; v < p.count; v++)
            compile(&kernel, corners[i].layout, corners[i].arch, &p.variant[v]);
        kernel_options(&kernel, corners[i].layout, corners[i].arch);
        at_kernel_clear(&kernel);
    }
}

/* Processes of their own: they run side by side. */
Test(cuda_space, operand_corners_compile, .timeout = 600)
{
    compile_corners(0, 1);
}

Test(cuda_space, forward_corners_compile, .timeout = 600)
{
    compile_corners(1, 4);
}

Test(cuda_space, sum_corners_compile, .timeout = 600)
{
    compile_corners(4, sizeof corners / sizeof *corners);
}

/* Rows of two halves, and operands of planes: their own part of the walk, with each kind of step. */
Test(cuda_space, halves_and_planes_compile)
{
    static const corner own[] = {
        {"halves | silu | mul", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_BF16, ACTUNE_BF16, 90, {NULL}},
        {"halves | bias | relu | mul", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F16, 80, {NULL}},
        {"halves | bias | relu | mul", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F16, ACTUNE_F16, 90, {"bias"}},
        {"halves | swish(beta=learn) | mul", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, 100, {"beta"}},
        {"mul(channel) | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F16, ACTUNE_F16, 90, {NULL}},
        {"mul(channel) | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, 80, {NULL}},
        {"bias | mul(channel)", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, 90, {"mul", "bias"}},
        {"mul(channel) | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_BF16, ACTUNE_BF16, 90, {"mul"}},
    };
    static const char *const settings[] = {"", "vectors=2 grid=wave store=cs load=no_allocate", "vector=4 grid=x2"};
    if (!may_compile_many())
        return;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        at_kernel kernel;
        make_corner(&own[i], &kernel);
        for (int s = own[i].gradient[0] || i == 0 ? 0 : 1; s < (i == 0 ? 3 : own[i].gradient[0] ? 1 : 2); s++) {
            at_variant variant;
            make_variant(&kernel, own[i].layout, own[i].arch, settings[s], &variant);
            compile(&kernel, own[i].layout, own[i].arch, &variant);
        }
        at_kernel_clear(&kernel);
    }
}

/* Kernels over lists of tensors, at both ends of their knobs. */
Test(cuda_space, nvrtc_takes_the_kernels_over_lists)
{
    static const char *const variants[] = {"cuda/list_norm", "cuda/list_norm vectors=8", "cuda/list_norm vectors=4 min_blocks=4", "cuda/list_clip vectors=1"};
    static const int archs[] = {75, 90, 120};
    if (!may_compile_many())
        return;
    for (int dtype = 0; dtype < AT_DTYPE_WIDE_COUNT; dtype++)
        for (int v = 0; v < 4; v++) {
            at_target target = {.cuda = true, .cuda_arch = archs[(dtype + v) % 3]};
            at_strbuf source = {0};
            at_nvrtc_output output;
            cr_assert_eq(at_generate_list_cuda((actune_dtype)dtype, &target, variants[v], &source), ACTUNE_OK, "%s", actune_last_error());
            actune_status status = at_nvrtc_compile(at_strbuf_text(&source), "list.cu", target.cuda_arch, true, &output);
            if (status != ACTUNE_UNSUPPORTED) { /* an NVRTC that is older than the architecture */
                cr_assert_eq(status, ACTUNE_OK, "%s: %s", variants[v], actune_last_error());
                cr_assert_leq(output.spill_bytes, 0, "%s, type %d: %d bytes of spills", variants[v], dtype, output.spill_bytes);
                at_nvrtc_output_clear(&output);
            }
            at_strbuf_clear(&source);
        }
}
