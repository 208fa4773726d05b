/* The text of generated source: goldens, identity, names. */
#include "generated_run.h"

TestSuite(generate_text, .fini = release_kernels);

static void generate_text(const at_kernel *kernel, at_layout layout, at_isa isa, const char *knobs, bool pretty,
                          at_strbuf *out)
{
    at_target target = {.isa = isa};
    at_variant variant;
    cr_assert_eq(at_variant_default(kernel, layout, &target, &variant), ACTUNE_OK, "%s", actune_last_error());
    char copy[128], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", knobs);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        *equals = 0;
        cr_assert_eq(at_variant_set(&variant, word, equals + 1), ACTUNE_OK, "%s", actune_last_error());
    }
    cr_assert_eq(at_generate(kernel, layout, &target, &variant, &(at_generate_options){.pretty = pretty}, out),
                 ACTUNE_OK, "%s", actune_last_error());
}

/* ACTUNE_GOLDEN=write writes them anew. */
Test(generate_text, goldens)
{
    static const struct {
        const char *file;
        kernel_case kernel;
        at_layout layout;
        at_isa isa;
        actune_dtype in, out;
        const char *knobs;
    } goldens[] = {
        {"relu_f32_avx512.c",
         {"relu", "(max x 0)", "e:e"},
         AT_LAYOUT_FLAT,
         AT_ISA_X86_V4,
         ACTUNE_F32,
         ACTUNE_F32,
         "unroll=2"},
        {"hardswish_bf16_neon.c",
         {"hardswish", "(mul x (min (max (fma x 0.16666667 0.5) 0) 1))", "e:e"},
         AT_LAYOUT_FLAT,
         AT_ISA_NEON,
         ACTUNE_BF16,
         ACTUNE_BF16,
         ""},
        {"bias_leaky_rows_avx2.c",
         {"bias | leaky_relu", "(select (gt (add x b) 0) (add x b) (mul (add x b) 0.01))", "ec:e"},
         AT_LAYOUT_CHANNEL_INNER,
         AT_ISA_X86_V3,
         ACTUNE_F32,
         ACTUNE_F32,
         "store=stream prefetch=512"},
        {"scale_shift_planes_sse.c",
         {"scale_shift | relu", "(max (fma x b c) 0)", "ecc:e"},
         AT_LAYOUT_CHANNEL_OUTER,
         AT_ISA_X86_V2,
         ACTUNE_F32,
         ACTUNE_F16,
         ""},
        {"bias_gradient_rows_avx512.c",
         {"bias | relu", "(select (gt (add x b) 0) dy 0);(select (gt (add x b) 0) dy 0)", "ecce:eC"},
         AT_LAYOUT_CHANNEL_INNER,
         AT_ISA_X86_V4,
         ACTUNE_F32,
         ACTUNE_F32,
         ""},
        {"silu_wide_generic.c",
         {"silu", "(mul x (sigmoid x))", "e:e"},
         AT_LAYOUT_FLAT,
         AT_ISA_GENERIC,
         ACTUNE_F64,
         ACTUNE_F64,
         "math=wide"},
        {"relu_codes_table_avx2.c", {"relu", "(max x 0)", "e:e"}, AT_LAYOUT_FLAT, AT_ISA_X86_V3, ACTUNE_I8, ACTUNE_U8, "store=stream"},
        {"quantize_i8_sse.c",
         {"quantize(i8, scale=0.05)", "(min (max (rint (div x 0.05)) -127) 127)", "e:e"},
         AT_LAYOUT_FLAT,
         AT_ISA_X86_V2,
         ACTUNE_F32,
         ACTUNE_I8,
         ""},
    };
    const char *mode = getenv("ACTUNE_GOLDEN");
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        char path[512];
        at_strbuf text = {0};
        at_kernel kernel = kernel_of(&goldens[i].kernel, goldens[i].in, goldens[i].out);
        generate_text(&kernel, goldens[i].layout, goldens[i].isa, goldens[i].knobs, true, &text);
        snprintf(path, sizeof path, "%s/tests/golden/%s", ACTUNE_SOURCE_DIR, goldens[i].file);
        if (mode && !strcmp(mode, "write")) {
            FILE *out = fopen(path, "w");
            cr_assert(out && fputs(at_strbuf_text(&text), out) >= 0 && fclose(out) == 0);
        }
        static char golden[1 << 16];
        FILE *in = fopen(path, "r");
        cr_assert(in, "no %s", path);
        golden[fread(golden, 1, sizeof golden - 1, in)] = 0;
        fclose(in);
        cr_expect(!strcmp(golden, at_strbuf_text(&text)), "%s has changed:\n%s", goldens[i].file,
                  at_strbuf_text(&text));
        at_strbuf_clear(&text);
    }
}

Test(generate_text, identity)
{
    at_isa isa = AT_ISA_X86_V3;
    at_target target = {.isa = isa};
    at_kernel kernel = kernel_of(&hardswish, ACTUNE_F32, ACTUNE_F32);
    at_variant variant[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(at_variant_default(&kernel, AT_LAYOUT_FLAT, &target, &variant[i]), ACTUNE_OK);
    cr_assert_eq(at_variant_set(&variant[1], "threads", "4"), ACTUNE_OK);
    cr_assert_eq(at_variant_set(&variant[2], "unroll", "2"), ACTUNE_OK);
    cr_assert_eq(at_variant_set(&variant[3], "width", "64"), ACTUNE_OK);
    at_generate_item items[4];
    for (int i = 0; i < 4; i++)
        items[i] = (at_generate_item){.kernel = &kernel, .layout = AT_LAYOUT_FLAT, .variant = &variant[i]};
    at_strbuf source = {0}, again = {0};
    cr_assert_eq(at_generate_batch(items, 4, &target, &source), ACTUNE_OK);
    cr_expect_str_eq(items[0].source_hash.hex, items[1].source_hash.hex, "launch knobs are not in the source");
    cr_expect_str_eq(items[0].symbol, items[1].symbol);
    cr_expect_str_neq(items[0].source_hash.hex, items[2].source_hash.hex);
    cr_expect_eq(items[3].status, ACTUNE_UNSUPPORTED, "64 bytes without AVX-512");
    cr_expect_eq(items[3].symbol[0], 0);
    cr_expect(!strncmp(items[0].symbol, "actune_", 7) && !strncmp(items[0].symbol + 7, items[0].source_hash.hex, 16));
    cr_assert_eq(at_generate_batch(items, 4, &target, &again), ACTUNE_OK);
    cr_expect_str_eq(source.text, again.text, "same inputs, same bytes");
    at_strbuf one = {0};
    cr_assert_eq(at_generate(&kernel, AT_LAYOUT_FLAT, &target, &variant[0], NULL, &one), ACTUNE_OK);
    cr_expect(strstr(one.text, items[0].symbol), "the same symbol alone and in a batch");
    cr_expect(strstr(one.text, "#line"));
    at_strbuf_clear(&one);
    at_strbuf_clear(&source);
    at_strbuf_clear(&again);
}

/* A port may be called anything that C allows a parameter to be called. */
Test(generate_text, names_that_clash)
{
    static const char *const names[] = {"i",     "n",        "s",        "t0",    "vy",       "x",
                                        "f32x8", "evaluate", "stretch0", "begin", "channels", "actune_slice"};
    kernel_case c = {"clash */ /* of names", "(mul (fma x b c) (add x b))", "ecs:e"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int layout = AT_LAYOUT_FLAT + (int)i % 3; layout <= AT_LAYOUT_CHANNEL_OUTER; layout += 3) {
            at_kernel kernel = kernel_of(&c, ACTUNE_F32, ACTUNE_F32);
            at_strbuf text = {0};
            kernel.signature.port[0].name = strcmp(names[i], "x") ? "x" : "x2";
            kernel.signature.port[1].name = names[i];
            generate_text(&kernel, (at_layout)layout, AT_ISA_X86_V2, "unroll=2", true, &text);
            char *object = compile("gcc", "x86-64-v2", at_strbuf_text(&text));
            cr_assert(object, "a port called '%s':\n%s", names[i], at_strbuf_text(&text));
            remove_object(object);
            at_strbuf_clear(&text);
        }
}
