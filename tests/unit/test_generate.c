#include "generated_run.h"

#include <sys/mman.h>

TestSuite(generate, .fini = release_kernels);

Test(generate, dtypes_sizes_and_misalignment)
{
    static const char *const only[] = {"unroll=1|4", "threads=1", "prefetch=0|512", NULL};
    at_kernel kernels[16];
    at_isa isas[4];
    for (int i = 0; i < 16; i++)
        kernels[i] = kernel_of(&hardswish, dtypes[i / 4], dtypes[i % 4]);
    int levels = isa_list(isas);
    all.every = 5;
    for (int level = 0; level < levels; level++) {
        all.count = 0;
        for (int i = 0; i < 16; i++)
            add_variants(&kernels[i], AT_LAYOUT_FLAT, isas[level], only);
        const char *compiler = compilers[level % 2];
        compile_all(compiler, isas[level]);
        for (int v = 0; v < all.count; v++)
            for (int n = v % 5; n < 420; n += n < 140 ? 5 : 47)
                check(&all.item[v], compiler, (actune_shape){1, 1, n}, n + v);
    }
}

/* Loads and stores of 8 bits on every instruction set, with the ends of rows; the codes must be those of at_dtype_store. */
Test(generate, eight_bit_types)
{
    static const char *const only[] = {"unroll=1|4", "threads=1", "prefetch=0|512", NULL};
    static const actune_dtype pairs[][2] = {{ACTUNE_F32, ACTUNE_I8},     {ACTUNE_I8, ACTUNE_F32},        {ACTUNE_F32, ACTUNE_U8},
                                            {ACTUNE_U8, ACTUNE_I8},      {ACTUNE_F32, ACTUNE_F8E4M3},    {ACTUNE_F8E4M3, ACTUNE_F32},
                                            {ACTUNE_F32, ACTUNE_F8E5M2}, {ACTUNE_F8E5M2, ACTUNE_F8E4M3}, {ACTUNE_F64, ACTUNE_I8},
                                            {ACTUNE_F64, ACTUNE_F8E4M3}, {ACTUNE_F64, ACTUNE_F8E5M2},    {ACTUNE_U8, ACTUNE_F64}};
    enum { PAIRS = sizeof pairs / sizeof *pairs };
    static const kernel_case identity = {"identity", "(mul x 1)", "e:e"};
    at_kernel kernels[PAIRS];
    at_isa isas[4];
    for (int i = 0; i < PAIRS; i++)
        kernels[i] = kernel_of(i % 2 ? &hardswish : &identity, pairs[i][0], pairs[i][1]);
    int levels = isa_list(isas);
    all.every = 4;
    for (int level = 0; level < levels; level++) {
        all.count = 0;
        for (int i = 0; i < PAIRS; i++)
            add_variants(&kernels[i], AT_LAYOUT_FLAT, isas[level], only);
        const char *compiler = compilers[level % 2];
        compile_all(compiler, isas[level]);
        for (int v = 0; v < all.count; v++)
            for (int n = v % 5; n < 420; n += n < 140 ? 5 : 47)
                check(&all.item[v], compiler, (actune_shape){1, 1, n}, n + v);
    }
}

Test(generate, both_compilers_for_the_host)
{
    static const char *const only[] = {"unroll=2", "threads=1", "store=stream", "prefetch=2048", NULL};
    at_isa isa = at_isa_host();
    at_kernel kernels[16];
    for (int i = 0; i < 16; i++)
        kernels[i] = kernel_of(&hardswish, dtypes[i / 4], dtypes[i % 4]);
    for (int c = 0; c < 2; c++) {
        all.count = 0;
        for (int i = 0; i < 16; i++)
            add_variants(&kernels[i], AT_LAYOUT_FLAT, isa, only);
        compile_all(compilers[c], isa);
        for (int v = 0; v < all.count; v++)
            for (int n = 1; n < 1000; n = n * 3 + v)
                check(&all.item[v], compilers[c], (actune_shape){1, 1, n}, n);
    }
}

/* Every op, in vectors; kinks, ties, NaN and signed zeros come with the samples. */
static const kernel_case operations[] = {
    {"relu", "(select (lt x 0) 0 x)", "e:e"},
    {"relu_le", "(select (le x 0) 0 x)", "e:e"},
    {"relu_max", "(max x 0)", "e:e"},
    {"max_zero", "(max 0 x)", "e:e"},
    {"min_zero", "(min -0.0 x)", "e:e"},
    {"clip", "(min (max x -1.5) 1.5)", "e:e"},
    {"clip_select", "(select (gt x 1.5) 1.5 (select (lt x -1.5) -1.5 x))", "e:e"},
    {"clip_inclusive", "(select (ge x 1.5) 1.5 (select (le x -1.5) -1.5 x))", "e:e"},
    {"clip_low_first", "(select (lt x -1.5) -1.5 (select (gt x 1.5) 1.5 x))", "e:e"},
    {"clip_to_zero", "(select (lt x 0) 0 (select (gt x 1.5) 1.5 x))", "e:e"},
    {"clip_to_zero_le", "(select (le x 0) 0 (select (gt x 1.5) 1.5 x))", "e:e"},
    {"clip_upper_zero", "(select (gt x -0.0) -0.0 (select (lt -1.5 x) x -1.5))", "e:e"},
    {"clip_inner_zero", "(select (lt x -1.5) -1.5 (select (ge x 0) 0 x))", "e:e"},
    {"clip_crossed", "(select (lt x 1.5) 1.5 (select (gt x -1.5) -1.5 x))", "e:e"},
    {"clip_reversed", "(select (gt -1.5 x) -1.5 (select (lt 1.5 x) 1.5 x))", "e:e"},
    {"clip_equal", "(select (lt x 1.5) 1.5 (select (gt x 1.5) 1.5 x))", "e:e"},
    {"clip_of_two", "(select (lt x -1.5) -1.5 (select (gt b 1.5) 1.5 b))", "ee:e"},
    {"clip_other", "(select (lt x 1.5) x 1.5)", "e:e"},
    {"clip_other_le", "(select (le x 1.5) x 1.5)", "e:e"},
    {"clip_swapped", "(select (gt 1.5 x) x 1.5)", "e:e"},
    {"choose", "(select (ge x b) x b)", "ee:e"},
    {"choose_gt", "(select (gt x b) b x)", "ee:e"},
    {"leaky", "(select (gt x 0) x (mul x 0.01))", "e:e"},
    {"maximum", "(max x b)", "ee:e"},
    {"minimum", "(min x b)", "ee:e"},
    {"compare", "(select (or (and (eq x b) (ne x 0)) (not (le x b))) x (neg b))", "ee:e"},
    {"unary", "(sqrt (abs x))", "e:e"},
    {"rounding", "(sub (floor x) (mul 3 (sub (ceil (mul x 0.37)) (trunc b))))", "ee:e"},
    {"copysign", "(copysign (div x 3) b)", "ee:e"},
    {"fma", "(fma x b c)", "eee:e"},
    {"chain", "(sub (sub x b) (sub x (div b (mul x b))))", "ee:e"},
    {"negatives", "(neg (sub -2 (mul (neg x) -1e-30)))", "e:e"},
    {"constant", "(add 1 2)", "e:e"},
    {"constant_arms", "(select (lt x 0) -1 1)", "e:e"},
    {"identity", "x", "e:e"},
    {"infinite", "(min x inf)", "e:e"},
    {"unused_input", "b", "ee:e"},
    {"round", "(round (add (round (mul x 3)) 1))", "e:e"},
    {"two_outputs", "(mul x b);(select (gt x 0) b 0)", "ee:ee"},
    {"softplus", "(softplus x)", "e:e"},
    {"power", "(pow (abs x) b)", "es:e"},
    {"sigmoid", "(mul x (sigmoid x))", "e:e"},
    {"logarithms", "(add (log1p (abs x)) (log (add 8 (abs x))))", "e:e"},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

Test(generate, operations)
{
    static const char *const only[] = {"unroll=1", "threads=1", "store=plain", "math=plain|wide", NULL};
    static at_kernel kernels[2 * OPERATIONS];
    at_isa isas[4];
    for (int i = 0; i < 2 * OPERATIONS; i++)
        kernels[i] = kernel_of(&operations[i / 2], i % 2 ? ACTUNE_F64 : ACTUNE_F32, i % 2 ? ACTUNE_F64 : ACTUNE_F32);
    int levels = isa_list(isas);
    for (int level = 0; level < levels; level++) {
        all.count = 0;
        for (int i = 0; i < 2 * OPERATIONS; i++)
            add_variants(&kernels[i], AT_LAYOUT_FLAT, isas[level], only);
        const char *compiler = compilers[(level + 1) % 2];
        compile_all(compiler, isas[level]);
        for (int v = 0; v < all.count; v++)
            check(&all.item[v], compiler, (actune_shape){1, 1, 1500}, v);
    }
}

static const kernel_case with_operands[] = {
    {"bias | relu", "(max (add x b) 0)", "ec:e"},
    {"scale_shift | relu", "(max (fma x b c) 0)", "ecc:e"},
    {"prelu", "(select (gt x 0) x (mul x b))", "es:e"},
    {"bias | add", "(add (add x b) c)", "ece:e"},
    {"scaled bias", "(fma x c b)", "ecs:e"},
};

static const actune_shape inner_shapes[] = {{40, 3, 1}, {1, 3, 1},   {33, 6, 1},  {21, 16, 1}, {17, 24, 1}, {9, 40, 1},
                                            {3, 64, 1}, {2, 100, 1}, {1, 999, 1}, {5, 144, 1}, {300, 2, 1}, {7, 72, 1}};
static const actune_shape outer_shapes[] = {{2, 3, 49}, {1, 5, 196}, {3, 2, 7}, {2, 4, 300}, {1, 2, 700}, {4, 7, 2}};

Test(generate, layouts)
{
    static const char *const only[] = {"unroll=1|4", "threads=1", "prefetch=0|2048", NULL};
    static at_kernel kernels[10];
    at_isa isas[4];
    for (int i = 0; i < 10; i++)
        kernels[i] =
            kernel_of(&with_operands[i / 2], i % 2 ? ACTUNE_BF16 : ACTUNE_F32, i % 2 ? ACTUNE_F32 : ACTUNE_F32);
    int levels = isa_list(isas);
    all.every = 7;
    for (int level = 0; level < levels; level++) {
        for (int layout = AT_LAYOUT_FLAT; layout <= AT_LAYOUT_CHANNEL_OUTER; layout++) {
            all.count = 0;
            for (int i = 0; i < 10; i++)
                add_variants(&kernels[i], (at_layout)layout, isas[level], only);
            const char *compiler = compilers[(level + layout) % 2];
            compile_all(compiler, isas[level]);
            for (int v = 0; v < all.count; v++) {
                if (layout == AT_LAYOUT_FLAT)
                    check(&all.item[v], compiler, (actune_shape){1, 1, 333}, v);
                for (size_t k = 0; layout == AT_LAYOUT_CHANNEL_INNER && k < sizeof inner_shapes / sizeof *inner_shapes;
                     k++)
                    check(&all.item[v], compiler, inner_shapes[k], v + (int)k);
                for (size_t k = 0; layout == AT_LAYOUT_CHANNEL_OUTER && k < sizeof outer_shapes / sizeof *outer_shapes;
                     k++)
                    check(&all.item[v], compiler, outer_shapes[k], v + (int)k);
            }
        }
    }
}

/* Rows longer than the operands that are laid out in the frame. */
Test(generate, many_channels)
{
    static const char *const only[] = {"unroll=1|2", "threads=1", "prefetch=0", NULL};
    at_kernel kernel = kernel_of(&with_operands[1], ACTUNE_F32, ACTUNE_F32);
    add_variants(&kernel, AT_LAYOUT_CHANNEL_INNER, at_isa_host(), only);
    compile_all("clang", at_isa_host());
    static const int channels[] = {2047, 2048, 2049, 2064};
    for (int v = 0; v < all.count; v++)
        for (int k = 0; k < 4; k++)
            check(&all.item[v], "clang", (actune_shape){5, channels[k], 1}, k + v);
}

/* The last element may be the last of its page. */
Test(generate, reads_and_writes_nothing_behind_the_end)
{
    static const char *const only[] = {"unroll=1|4", "threads=1", "prefetch=0", NULL};
    at_kernel kernels[16];
    size_t page = 4096;
    unsigned char *ports[2];
    for (int p = 0; p < 2; p++) {
        ports[p] = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert(ports[p] != MAP_FAILED);
        cr_assert_eq(mprotect(ports[p] + 2 * page, page, PROT_NONE), 0);
        memset(ports[p], 0, 2 * page);
    }
    at_isa isas[4];
    int levels = isa_list(isas);
    all.every = 3;
    for (int level = 0; level < levels; level++) {
        all.count = 0;
        for (int i = 0; i < 16; i++) {
            kernels[i] = kernel_of(&hardswish, dtypes[i / 4], dtypes[i % 4]);
            add_variants(&kernels[i], AT_LAYOUT_FLAT, isas[level], only);
        }
        compile_all("gcc", isas[level]);
        for (int v = 0; v < all.count; v++)
            for (int n = 1; n < 200; n += n < 70 ? 1 : 13) {
                const at_signature *s = &all.item[v].kernel->signature;
                void *port[2] = {ports[0] + 2 * page - (size_t)(n * at_dtype_get(s->dtype_in)->bytes),
                                 ports[1] + 2 * page - (size_t)(n * at_dtype_get(s->dtype_out)->bytes)};
                all.item[v].function(&(actune_slice){.port = port, .outer = 1, .channels = 1, .inner = n, .end = n});
            }
    }
}

Test(generate, in_place)
{
    static const char *const only[] = {"unroll=1|4", "threads=1", "store=plain", NULL};
    at_kernel kernel = kernel_of(&hardswish, ACTUNE_F32, ACTUNE_F32);
    add_variants(&kernel, AT_LAYOUT_FLAT, at_isa_host(), only);
    compile_all("clang", at_isa_host());
    for (int v = 0; v < all.count; v++) {
        buffers b;
        actune_shape shape = {1, 1, 777};
        fill(&b, &kernel, shape, v, 5);
        run_in_slices(&all.item[v], shape, &b, 3);
        void *ports[2] = {b.port[0], b.port[0]};
        all.item[v].function(&(actune_slice){.port = ports, .outer = 1, .channels = 1, .inner = 777, .end = 777});
        cr_expect_arr_eq(b.port[0], b.port[1], 777 * sizeof(float));
        release(&b);
    }
}

Test(generate, aarch64_compiles)
{
    if (!have_program("aarch64-linux-gnu-gcc"))
        cr_skip_test("no aarch64-linux-gnu-gcc");
    static const char *const only[] = {"threads=1", "unroll=1|4", "prefetch=0", "math=plain|wide", NULL};
    static at_kernel kernels[OPERATIONS + 16 + 5 + 3];
    int count = 0;
    for (int i = 0; i < OPERATIONS; i++)
        kernels[count++] = kernel_of(&operations[i], ACTUNE_F32, ACTUNE_F32);
    for (int i = 0; i < 16; i++)
        kernels[count++] = kernel_of(&hardswish, dtypes[i / 4], dtypes[i % 4]);
    for (int i = 0; i < 5; i++)
        kernels[count++] = kernel_of(&with_operands[i], ACTUNE_F16, ACTUNE_F16);
    for (int i = 0; i < 3; i++)
        kernels[count++] = kernel_of(&with_sums[i], ACTUNE_F32, ACTUNE_F32);
    all.every = 3;
    for (int i = 0; i < count; i++)
        for (int layout = AT_LAYOUT_FLAT;
             layout <= (kernels[i].signature.has_channel ? AT_LAYOUT_CHANNEL_OUTER : AT_LAYOUT_FLAT); layout++)
            add_variants(&kernels[i], (at_layout)layout, AT_ISA_NEON, only);
    for (int i = 0; i < all.count; i += 32) {
        at_generate_item items[32];
        at_strbuf source = {0};
        int items_count = all.count - i < 32 ? all.count - i : 32;
        for (int k = 0; k < items_count; k++)
            items[k] = (at_generate_item){.kernel = all.item[i + k].kernel,
                                          .layout = all.item[i + k].layout,
                                          .variant = &all.item[i + k].variant};
        cr_assert_eq(at_generate_batch(items, items_count, &(at_target){.isa = AT_ISA_NEON}, &source), ACTUNE_OK);
        char *object = compile("aarch64-linux-gnu-gcc", "armv8-a", at_strbuf_text(&source));
        cr_assert(object);
        remove_object(object);
        at_strbuf_clear(&source);
    }
}
