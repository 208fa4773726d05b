/* CUDA text: what it says, and that NVRTC takes every built-in for several architectures (where NVRTC is there). */
#include "codegen/emit_cuda.h"
#include "runtime/backend/nvrtc.h"
#include "runtime/base/dtype.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static at_spec spec;
static at_kernel kernel;

/* Source of the default variant with one knob set, in `out`. */
static void generate(const char *text, at_kernel_request request, at_layout layout, int arch, const char *knob, const char *value, at_strbuf *out)
{
    at_target target = {.cuda = true, .cuda_arch = arch};
    at_variant variant;
    at_generate_options options = {.pretty = true};
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK, "%s: %s", text, actune_last_error());
    cr_assert_eq(at_variant_default(&kernel, layout, &target, &variant), ACTUNE_OK, "%s: %s", text, actune_last_error());
    if (knob)
        cr_assert_eq(at_variant_set(&variant, knob, value), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_generate(&kernel, layout, &target, &variant, &options, out), ACTUNE_OK, "%s: %s", text, actune_last_error());
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
}

static void has(const at_strbuf *text, const char *part)
{
    cr_assert(strstr(at_strbuf_text(text), part), "no '%s' in:\n%s", part, at_strbuf_text(text));
}

Test(cuda_text, says_what_it_is)
{
    at_strbuf text = {0};
    at_kernel_request f16 = {ACTUNE_FORWARD, ACTUNE_F16, ACTUNE_F16, NULL, 0};
    generate("bias | relu | clip(0, 6)", f16, AT_LAYOUT_CHANNEL_INNER, 90, "vectors", "4", &text);
    has(&text, "templates/cuda/channel_inner: bias | relu | clip(0, 6)");
    has(&text, "vectors=4");
    has(&text, "struct __align__(16) f16x8");
    has(&text, "extern \"C\" __global__ void __launch_bounds__(256)");
    cr_assert_not(strstr(at_strbuf_text(&text), "sigmoid_f32"), "a helper that is not used");
    cr_assert_not(strstr(at_strbuf_text(&text), "#include"), "CUDA text includes nothing");
    at_strbuf_clear(&text);
}

/* x loads before the first store; sums by one tree whatever the block. */
Test(cuda_text, sums)
{
    at_strbuf text = {0};
    const char *bias[] = {"bias"};
    at_kernel_request backward = {ACTUNE_BACKWARD, ACTUNE_F32, ACTUNE_F32, bias, 1};
    generate("bias | relu", backward, AT_LAYOUT_CHANNEL_OUTER, 90, "block", "512", &text);
    has(&text, "add_lanes");
    has(&text, "_finish(");
    has(&text, "double *__restrict__ partial");
    at_strbuf_clear(&text);
}

static bool have_nvrtc(void)
{
    int major, minor;
    const char *path;
    if (at_nvrtc_version(&major, &minor, &path) == ACTUNE_OK)
        return true;
    printf("skipped: %s\n", actune_last_error());
    return false;
}

static void compile(const char *text, at_kernel_request request, at_layout layout, int arch)
{
    at_strbuf source = {0};
    at_nvrtc_output output;
    generate(text, request, layout, arch, NULL, NULL, &source);
    actune_status status = at_nvrtc_compile(at_strbuf_text(&source), "kernel.cu", arch, true, &output);
    at_strbuf_clear(&source);
    if (status == ACTUNE_UNSUPPORTED)
        return; /* an NVRTC that is older than the architecture */
    cr_assert_eq(status, ACTUNE_OK, "%s: %s", text, actune_last_error());
    cr_assert_gt(output.registers, 0);
    cr_assert_geq(output.spill_bytes, 0, "%s: spills are not reported", text);
    at_nvrtc_output_clear(&output);
}

Test(cuda_text, every_builtin_compiles, .timeout = 300)
{
    static const int archs[] = {80, 90, 100, 120};
    if (!have_nvrtc())
        return;
    for (int i = 0; i < at_activation_count(); i++)
        for (int d = 0; d < AT_DTYPE_COUNT; d++)
            for (int backward = 0; backward < 2; backward++)
                for (size_t a = 0; a < sizeof archs / sizeof *archs; a++) {
                    /* All types on sm_90; f32 on all architectures. */
                    if (archs[a] != 90 && d != ACTUNE_F32)
                        continue;
                    at_kernel_request request = {(actune_direction)backward, (actune_dtype)d, (actune_dtype)d, NULL, 0};
                    compile(at_activation_get(i)->name, request, AT_LAYOUT_FLAT, archs[a]);
                }
}

Test(cuda_text, channels_and_sums_compile, .timeout = 120)
{
    static const char *const specs[] = {"bias | gelu_tanh | clip(-6, 6)", "scale_shift | add | relu", "prelu(alpha=channel)", "swish(beta=learn)",
                                        "bias | prelu(alpha=learn)"};
    static const char *const gradients[5][2] = {{"bias"}, {"scale", "shift"}, {"alpha"}, {"beta"}, {"bias", "alpha"}};
    static const int counts[] = {1, 2, 1, 1, 2};
    if (!have_nvrtc())
        return;
    for (int i = 0; i < 5; i++)
        for (at_layout layout = AT_LAYOUT_FLAT; layout <= AT_LAYOUT_CHANNEL_OUTER; layout++) {
            at_kernel_request forward = {ACTUNE_FORWARD, ACTUNE_BF16, ACTUNE_F32, NULL, 0};
            at_kernel_request backward = {ACTUNE_BACKWARD, ACTUNE_F32, ACTUNE_F32, gradients[i], counts[i]};
            if (layout == AT_LAYOUT_FLAT && i != 3)
                continue; /* per-channel operands */
            compile(specs[i], forward, layout, 90);
            compile(specs[i], backward, layout, 90);
        }
}

Test(nvrtc, errors_say_where)
{
    at_nvrtc_output output;
    if (!have_nvrtc())
        return;
    cr_assert_eq(at_nvrtc_compile("int x = y;", "mine.cu", 90, true, &output), ACTUNE_COMPILE);
    cr_assert(strstr(actune_last_error(), "mine.cu(1)"), "%s", actune_last_error());
    cr_assert_eq(at_nvrtc_compile("", "mine.cu", 20, true, &output), ACTUNE_UNSUPPORTED);
}
