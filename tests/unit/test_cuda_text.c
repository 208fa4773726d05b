/* CUDA text: what it says, and that NVRTC takes every built-in for several architectures (where NVRTC is there). */
#include "cuda_text.h"
#include "runtime/base/dtype.h"

#include <stdlib.h>
#include <unistd.h>

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

/* ACTUNE_GOLDEN=write writes them anew. */
Test(cuda_text, goldens)
{
    static const struct {
        const char *file, *spec;
        at_layout layout;
        actune_dtype in, out;
        const char *gradient;
        const char *knobs;
    } goldens[] = {
        {"cuda_relu_f32.cu", "relu", AT_LAYOUT_FLAT, ACTUNE_F32, ACTUNE_F32, NULL, ""},
        {"cuda_gelu_tanh_fast_bf16.cu", "[accuracy=fast] gelu_tanh", AT_LAYOUT_FLAT, ACTUNE_BF16, ACTUNE_BF16, NULL,
         "math=ex2 vectors=2 tail=predicated min_blocks=4 block=128"},
        {"cuda_bias_silu_clip_rows_f16.cu", "bias | silu | clip(0, 10)", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F16, ACTUNE_F16, NULL,
         "vectors=4 grid=wave load=no_allocate store=cs"},
        {"cuda_scale_shift_planes_ring.cu", "scale_shift | add | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F32, ACTUNE_F32, NULL,
         "copy=bulk stages=4 grid=x2"},
        {"cuda_mul_async_in_place.cu", "silu | mul", AT_LAYOUT_FLAT, ACTUNE_F16, ACTUNE_F16, NULL,
         "copy=async stages=2 grid=x4 restrict=no dependent=yes"},
        {"cuda_prelu_gradient.cu", "prelu(alpha=learn)", AT_LAYOUT_FLAT, ACTUNE_F16, ACTUNE_F16, "alpha", "vectors=2"},
        {"cuda_relu_codes_table.cu", "relu", AT_LAYOUT_FLAT, ACTUNE_I8, ACTUNE_I8, NULL, "math=table grid=x4"},
        {"cuda_gelu_quantize_f8.cu", "gelu | quantize(f8e4m3, scale=tensor)", AT_LAYOUT_FLAT, ACTUNE_F16, ACTUNE_F8E4M3, NULL, ""},
        {"cuda_bias_gradient_rows.cu", "bias | relu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, ACTUNE_F32, "bias", "vectors=4"},
    };
    const char *mode = getenv("ACTUNE_GOLDEN");
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        static char golden[1 << 16];
        char path[512];
        at_variant variant;
        at_strbuf text = {0};
        const char *gradients[] = {goldens[i].gradient};
        at_kernel_request request = {goldens[i].gradient ? ACTUNE_BACKWARD : ACTUNE_FORWARD, goldens[i].in, goldens[i].out, gradients,
                                     goldens[i].gradient != NULL};
        make_kernel(goldens[i].spec, request, &kernel);
        make_variant(&kernel, goldens[i].layout, 90, goldens[i].knobs, &variant);
        cr_assert_eq(make_text(&kernel, goldens[i].layout, 90, &variant, &text), ACTUNE_OK, "%s", actune_last_error());
        at_kernel_clear(&kernel);
        snprintf(path, sizeof path, "%s/tests/golden/%s", ACTUNE_SOURCE_DIR, goldens[i].file);
        if (mode && !strcmp(mode, "write")) {
            FILE *out = fopen(path, "w");
            cr_assert(out && fputs(at_strbuf_text(&text), out) >= 0 && fclose(out) == 0);
        }
        FILE *in = fopen(path, "r");
        cr_assert(in, "no %s", path);
        golden[fread(golden, 1, sizeof golden - 1, in)] = 0;
        fclose(in);
        cr_expect(!strcmp(golden, at_strbuf_text(&text)), "%s has changed:\n%s", goldens[i].file, at_strbuf_text(&text));
        at_strbuf_clear(&text);
    }
}

/* What a variant must not have: read-only loads of data that may change, an access before the previous grid is done. */
Test(cuda_text, options)
{
    at_kernel_request request = {ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, NULL, 0};
    at_variant variant;
    make_kernel("prelu(alpha=learn)", request, &kernel);
    static const char *const coherent[] = {"restrict=no load=no_allocate", "dependent=yes load=evict_first", "restrict=no copy=async grid=x2 stages=2"};
    for (int i = 0; i < 3; i++) {
        at_strbuf text = {0};
        make_variant(&kernel, AT_LAYOUT_FLAT, 90, coherent[i], &variant);
        cr_assert_eq(make_text(&kernel, AT_LAYOUT_FLAT, 90, &variant, &text), ACTUNE_OK, "%s", actune_last_error());
        const char *all = at_strbuf_text(&text), *wait = strstr(all, "    wait_for_previous_grid();");
        cr_expect_null(strstr(all, "__restrict__"), "%s", all);
        cr_expect_null(strstr(all, "global.nc"), "%s", all);
        if (i == 1)
            cr_expect(wait && wait < strstr(all, "alpha[0]"), "alpha is read before the wait:\n%s", all);
        at_strbuf_clear(&text);
    }
    static const char *const refused[] = {"restrict=no load=nc", "dependent=yes load=nc", "copy=async", "copy=bulk vector=8", "vector=32"};
    for (int i = 0; i < 5; i++) {
        at_strbuf text = {0};
        make_variant(&kernel, AT_LAYOUT_FLAT, 90, refused[i], &variant);
        cr_expect_eq(make_text(&kernel, AT_LAYOUT_FLAT, 90, &variant, &text), ACTUNE_UNSUPPORTED, "%s", refused[i]);
        at_strbuf_clear(&text);
    }
    at_kernel_clear(&kernel);
}

/* A user's parameter may be called like a variable of the template or a word of C++. */
Test(cuda_text, names_of_users, .timeout = 60)
{
    char file[64], spec_text[160];
    snprintf(file, sizeof file, "/tmp/actune_test_names_%d.c", (int)getpid());
    snprintf(spec_text, sizeof spec_text, "@%s:act(head=learn, full=learn, t0=learn)", file);
    FILE *out = fopen(file, "w");
    cr_assert(out && fputs("float act(float x, float head, float full, float t0) { return x > 0 ? x * head : x * full + t0; }\n", out) >= 0);
    fclose(out);
    at_kernel_request request = {ACTUNE_BACKWARD, ACTUNE_F32, ACTUNE_F32, (const char *const[]){"head"}, 1};
    static at_spec parsed;
    at_strbuf text = {0};
    at_variant variant;
    at_nvrtc_output output;
    if (at_spec_parse(spec_text, &parsed) == ACTUNE_OK) { /* libclang is there */
        cr_assert_eq(at_kernel_lower(&parsed, &request, &kernel), ACTUNE_OK, "%s", actune_last_error());
        at_spec_clear(&parsed);
        make_variant(&kernel, AT_LAYOUT_FLAT, 90, "", &variant);
        cr_assert_eq(make_text(&kernel, AT_LAYOUT_FLAT, 90, &variant, &text), ACTUNE_OK, "%s", actune_last_error());
        has(&text, "*__restrict__ head_operand");
        if (may_compile_many()) {
            cr_assert_eq(at_nvrtc_compile(at_strbuf_text(&text), "kernel.cu", 90, true, &output), ACTUNE_OK, "%s", actune_last_error());
            at_nvrtc_output_clear(&output);
        }
        at_kernel_clear(&kernel);
        at_strbuf_clear(&text);
    }
    remove(file);
}

/* Launches of one text have one source, so one compile and one binary. */
Test(cuda_text, grids_share_their_text)
{
    at_kernel_request request = {ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, NULL, 0};
    at_strbuf text[3] = {{0}};
    static const char *const settings[] = {"grid=wave", "grid=x8", "grid=exact"};
    make_kernel("relu", request, &kernel);
    for (int i = 0; i < 3; i++) {
        at_variant variant;
        make_variant(&kernel, AT_LAYOUT_FLAT, 90, settings[i], &variant);
        cr_assert_eq(make_text(&kernel, AT_LAYOUT_FLAT, 90, &variant, &text[i]), ACTUNE_OK);
    }
    cr_expect_str_eq(at_strbuf_text(&text[0]), at_strbuf_text(&text[1]));
    cr_expect_str_neq(at_strbuf_text(&text[0]), at_strbuf_text(&text[2]));
    for (int i = 0; i < 3; i++)
        at_strbuf_clear(&text[i]);
    at_kernel_clear(&kernel);
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
    if (!may_compile_many())
        return;
    for (int i = 0; i < at_activation_count(); i++)
        for (int d = 0; d < AT_DTYPE_WIDE_COUNT; d++)
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
                                        "bias | prelu(alpha=learn)", "[from=output] bias | selu"};
    static const char *const gradients[6][2] = {{"bias"}, {"scale", "shift"}, {"alpha"}, {"beta"}, {"bias", "alpha"}, {"bias"}};
    static const int counts[] = {1, 2, 1, 1, 2, 1};
    if (!may_compile_many())
        return;
    for (int i = 0; i < 6; i++)
        for (at_layout layout = AT_LAYOUT_FLAT; layout <= AT_LAYOUT_CHANNEL_OUTER; layout++) {
            at_kernel_request forward = {ACTUNE_FORWARD, ACTUNE_BF16, ACTUNE_F32, NULL, 0};
            at_kernel_request backward = {ACTUNE_BACKWARD, ACTUNE_F32, ACTUNE_F32, gradients[i], counts[i]};
            if (layout == AT_LAYOUT_FLAT && i != 3)
                continue; /* per-channel operands */
            compile(specs[i], forward, layout, 90);
            compile(specs[i], backward, layout, 90);
        }
}

Test(cuda_text, eight_bit_types_compile, .timeout = 120)
{
    static const int archs[] = {75, 90};
    if (!may_compile_many())
        return;
    for (int d = AT_DTYPE_WIDE_COUNT; d < AT_DTYPE_COUNT; d++)
        for (int a = 0; a < 2; a++) {
            compile("gelu_tanh", (at_kernel_request){ACTUNE_FORWARD, (actune_dtype)d, ACTUNE_F32, NULL, 0}, AT_LAYOUT_FLAT, archs[a]);
            compile("gelu_tanh", (at_kernel_request){ACTUNE_FORWARD, ACTUNE_F32, (actune_dtype)d, NULL, 0}, AT_LAYOUT_FLAT, archs[a]);
        }
}

Test(nvrtc, errors_say_where)
{
    at_nvrtc_output output;
    if (!may_compile_many())
        return;
    cr_assert_eq(at_nvrtc_compile("int x = y;", "mine.cu", 90, true, &output), ACTUNE_COMPILE);
    cr_assert(strstr(actune_last_error(), "mine.cu(1)"), "%s", actune_last_error());
    cr_assert_eq(at_nvrtc_compile("", "mine.cu", 20, true, &output), ACTUNE_UNSUPPORTED);
}
