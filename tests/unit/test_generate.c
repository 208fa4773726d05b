#include "generated.h"

#include <sys/mman.h>

enum { ELEMENTS_MAX = 40000, MARGIN = 64, ITEMS_MAX = 4096 };

static const actune_dtype dtypes[] = {ACTUNE_F32, ACTUNE_F64, ACTUNE_F16, ACTUNE_BF16};
static const char *const compilers[] = {"clang", "gcc"};

/* ------------------------------------------------------------ variants of kernels, compiled in batches */

typedef struct tested {
    at_kernel *kernel;
    at_layout layout;
    at_variant variant;
    actune_kernel_fn function;
} tested;

typedef struct bench {
    tested item[ITEMS_MAX];
    int count;
    int seen, every; /* of the variants that a test would take, it takes one in so many; 0: all */
    at_kernel *kernel;
    at_layout layout;
} bench;

static bench all; /* of one test, which is a process */

TestSuite(generate, .fini = release_kernels);

static actune_status keep_variant(void *user, const at_variant *variant)
{
    const char *const *only = user; /* "knob=value|value", NULL at the end */
    for (; *only; only++) {
        char name[32], value[32];
        size_t length = strcspn(*only, "=");
        snprintf(name, sizeof name, "%.*s", (int)length, *only);
        snprintf(value, sizeof value, "|%s|", at_variant_knob(variant, name, "none"));
        char allowed[64];
        snprintf(allowed, sizeof allowed, "|%s|", *only + length + 1);
        if (!strstr(allowed, value))
            return ACTUNE_OK;
    }
    if (all.every && all.seen++ % all.every)
        return ACTUNE_OK;
    cr_assert(all.count < ITEMS_MAX);
    all.item[all.count++] = (tested){all.kernel, all.layout, *variant, NULL};
    return ACTUNE_OK;
}

static void add_variants(at_kernel *kernel, at_layout layout, at_isa isa, const char *const *only)
{
    all.kernel = kernel;
    all.layout = layout;
    cr_assert_eq(at_variant_each(kernel, layout, &(at_target){.isa = isa}, keep_variant, (void *)only), ACTUNE_OK, "%s",
                 actune_last_error());
}

static void compile_batch(const char *compiler, at_isa isa, int first, int count)
{
    at_generate_item items[32];
    at_strbuf source = {0};
    for (int i = 0; i < count; i++) {
        tested *t = &all.item[first + i];
        items[i] = (at_generate_item){.kernel = t->kernel, .layout = t->layout, .variant = &t->variant};
    }
    cr_assert_eq(at_generate_batch(items, count, &(at_target){.isa = isa}, &source), ACTUNE_OK, "%s", actune_last_error());
    void *handle = load(compiler, march_of(isa), at_strbuf_text(&source));
    for (int i = 0; i < count; i++) {
        cr_assert_eq(items[i].status, ACTUNE_OK);
        *(void **)&all.item[first + i].function = dlsym(handle, items[i].symbol);
        cr_assert(all.item[first + i].function, "%s", items[i].symbol);
    }
    at_strbuf_clear(&source);
}

static void compile_all(const char *compiler, at_isa isa)
{
    for (int i = 0; i < all.count; i += 32)
        compile_batch(compiler, isa, i, all.count - i < 32 ? all.count - i : 32);
}

/* ------------------------------------------------------------ data */

static double sample(uint64_t *state)
{
    static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-45, -1e-40, 6e-8, 65504, -65520, 3e38, 1, -1, 0.5, 3, -3};
    uint32_t draw = random_below(state, 16 * 8);
    if (draw < 16)
        return special[draw];
    return ((int)random_below(state, 1 << 20) - (1 << 19)) * 0x1p-16;
}

/* Buffers with room on both sides, misaligned by `shift` elements. */
typedef struct buffers {
    unsigned char *memory[AT_PORTS_MAX];
    void *port[AT_PORTS_MAX];
    int64_t count[AT_PORTS_MAX];
    actune_dtype dtype[AT_PORTS_MAX];
    int ports;
} buffers;

static void fill(buffers *b, const at_kernel *kernel, actune_shape shape, int shift, uint64_t seed)
{
    b->ports = kernel->signature.ports;
    for (int p = 0; p < b->ports; p++) {
        const at_port *port = &kernel->signature.port[p];
        int bytes = at_dtype_get(port->dtype)->bytes;
        b->count[p] = at_port_count(port, shape);
        b->dtype[p] = port->dtype;
        size_t size = (size_t)(b->count[p] + 2 * MARGIN) * (size_t)bytes;
        b->memory[p] = malloc(size);
        cr_assert(b->memory[p]);
        memset(b->memory[p], 0xa5, size);
        b->port[p] = b->memory[p] + (size_t)bytes * (size_t)(16 + (shift + 3 * p) % 32);
        for (int64_t i = 0; i < b->count[p] && !port->is_output; i++)
            at_dtype_store(port->dtype, b->port[p], i, sample(&seed));
    }
}

static void check_margins(const buffers *b, const char *what)
{
    for (int p = 0; p < b->ports; p++) {
        size_t bytes = (size_t)at_dtype_get(b->dtype[p])->bytes, size = (size_t)(b->count[p] + 2 * MARGIN) * bytes;
        unsigned char *data = b->port[p], *end = data + (size_t)b->count[p] * bytes;
        for (size_t i = 0; i < size; i++)
            cr_assert(b->memory[p][i] == 0xa5 || (b->memory[p] + i >= data && b->memory[p] + i < end),
                      "%s: wrote outside of port %d, at byte %ld of %zu", what, p, (long)(b->memory[p] + i - data), size);
    }
}

static void release(buffers *b)
{
    for (int p = 0; p < b->ports; p++)
        free(b->memory[p]);
}

/* ------------------------------------------------------------ the reference */

static long double rounded(const at_kernel *kernel, long double value)
{
    return kernel->signature.compute == ACTUNE_F64 ? round_to_double(value) : round_to_float(value);
}

/* The kernel's outputs for element i, every node rounded to the compute type. */
static void reference(const at_kernel *kernel, actune_shape shape, const buffers *b, int64_t i, long double *output)
{
    long double inputs[AT_PORTS_MAX], values[64];
    cr_assert(kernel->graph.count <= 64);
    for (int p = 0; p < kernel->signature.inputs; p++) {
        at_access access = kernel->signature.port[p].access;
        int64_t at = access == AT_ACCESS_ELEMENT ? i : access == AT_ACCESS_CHANNEL ? i / shape.inner % shape.channels : 0;
        inputs[p] = at_dtype_load(b->dtype[p], b->port[p], at);
    }
    /* What is computed wide is rounded at its end. */
    if (kernel->transcendental)
        at_graph_eval(&kernel->graph, inputs, values);
    else
        eval_rounded(&kernel->graph, inputs, values, kernel->signature.compute == ACTUNE_F64 ? round_to_double : round_to_float);
    for (int k = 0; k < kernel->graph.outputs; k++)
        output[k] = rounded(kernel, values[kernel->graph.output[k]]);
}

static bool same_number(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static bool has_fma(const at_graph *graph)
{
    for (int i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_FMA)
            return true;
    return false;
}

/* Equal, or where the reference cannot be exact (long double rounded once more, libm) one unit apart. */
static bool close_enough(const at_kernel *kernel, actune_dtype dtype, double got, long double want)
{
    unsigned char room[8] = {0};
    at_dtype_store(dtype, room, 0, (double)want);
    double wanted = at_dtype_load(dtype, room, 0);
    if (same_number(got, wanted))
        return true;
    if (kernel->signature.compute != ACTUNE_F64 && !kernel->transcendental && !has_fma(&kernel->graph))
        return false;
    double unit = dtype == ACTUNE_F64 ? 0x1p-51 : dtype == ACTUNE_F32 ? 0x1p-22 : dtype == ACTUNE_F16 ? 0x1p-9 : 0x1p-6;
    return fabs(got - wanted) <= unit * fabs(wanted) || fabs(wanted) < 1e-300;
}

static void check_outputs(const tested *t, actune_shape shape, const buffers *b, const char *what)
{
    const at_signature *s = &t->kernel->signature;
    int64_t n = shape.outer * shape.channels * shape.inner;
    for (int64_t i = 0; i < n; i++) {
        long double want[AT_OUTPUTS_MAX];
        reference(t->kernel, shape, b, i, want);
        for (int p = s->inputs; p < s->ports; p++) {
            if (s->port[p].is_sum)
                continue;
            double got = at_dtype_load(b->dtype[p], b->port[p], i);
            cr_assert(close_enough(t->kernel, b->dtype[p], got, want[p - s->inputs]), "%s: element %ld of %ld is %.17g, not %.17Lg",
                      what, (long)i, (long)n, got, want[p - s->inputs]);
        }
    }
}

static const char *describe(const tested *t, const char *compiler, actune_shape shape)
{
    static char text[512];
    at_strbuf out = {0};
    at_variant_print(&t->variant, &out);
    const at_signature *s = &t->kernel->signature;
    snprintf(text, sizeof text, "%s %s %s to %s [%ld %ld %ld] %s", compiler, t->kernel->spec, at_dtype_get(s->dtype_in)->name,
             at_dtype_get(s->dtype_out)->name, (long)shape.outer, (long)shape.channels, (long)shape.inner, at_strbuf_text(&out));
    at_strbuf_clear(&out);
    return text;
}

/* Runs the whole shape, cut into pieces of any length. */
static void run_in_slices(const tested *t, actune_shape shape, const buffers *b, uint64_t seed)
{
    int64_t n = shape.outer * shape.channels * shape.inner;
    actune_slice slice = {.port = b->port, .outer = shape.outer, .channels = shape.channels, .inner = shape.inner};
    for (slice.begin = 0; slice.begin < n; slice.begin = slice.end) {
        uint32_t most = random_below(&seed, 3) ? (uint32_t)n + 1 : 40;
        slice.end = slice.begin + 1 + random_below(&seed, most);
        if (slice.end > n)
            slice.end = n;
        t->function(&slice);
    }
    slice.begin = slice.end = n / 2;
    t->function(&slice);
}

static void check(const tested *t, const char *compiler, actune_shape shape, int shift)
{
    buffers b;
    const char *what = describe(t, compiler, shape);
    fill(&b, t->kernel, shape, shift, (uint64_t)shift + 1);
    run_in_slices(t, shape, &b, (uint64_t)shift * 31 + 7);
    check_outputs(t, shape, &b, what);
    check_margins(&b, what);
    release(&b);
}

/* ------------------------------------------------------------ tests */

static const kernel_case hardswish = {"hardswish", "(mul x (min (max (fma x 0.16666667 0.5) 0) 1))", "e:e"};

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

static const actune_shape inner_shapes[] = {{40, 3, 1}, {1, 3, 1},  {33, 6, 1},  {21, 16, 1}, {17, 24, 1}, {9, 40, 1},
                                            {3, 64, 1}, {2, 100, 1}, {1, 999, 1}, {5, 144, 1}, {300, 2, 1}, {7, 72, 1}};
static const actune_shape outer_shapes[] = {{2, 3, 49}, {1, 5, 196}, {3, 2, 7}, {2, 4, 300}, {1, 2, 700}, {4, 7, 2}};

Test(generate, layouts)
{
    static const char *const only[] = {"unroll=1|4", "threads=1", "prefetch=0|2048", NULL};
    static at_kernel kernels[10];
    at_isa isas[4];
    for (int i = 0; i < 10; i++)
        kernels[i] = kernel_of(&with_operands[i / 2], i % 2 ? ACTUNE_BF16 : ACTUNE_F32, i % 2 ? ACTUNE_F32 : ACTUNE_F32);
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
                for (size_t k = 0; layout == AT_LAYOUT_CHANNEL_INNER && k < sizeof inner_shapes / sizeof *inner_shapes; k++)
                    check(&all.item[v], compiler, inner_shapes[k], v + (int)k);
                for (size_t k = 0; layout == AT_LAYOUT_CHANNEL_OUTER && k < sizeof outer_shapes / sizeof *outer_shapes; k++)
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

/* ------------------------------------------------------------ sums */

static const kernel_case with_sums[] = {
    {"bias gradient", "(select (gt (add x b) 0) dy 0);(select (gt (add x b) 0) dy 0)", "ecce:eC"},
    {"scale_shift gradients", "(mul dy b);(mul dy x);dy", "ecce:eCC"},
    {"prelu gradient", "(select (gt x 0) dy (mul dy b));(select (gt x 0) 0 (mul dy x))", "esse:eS"},
};

static double finite_sample(uint64_t *state)
{
    return ((int)random_below(state, 1 << 20) - (1 << 19)) * 0x1p-16;
}

static void make_finite(const at_kernel *kernel, buffers *b)
{
    uint64_t state = 99;
    for (int p = 0; p < kernel->signature.inputs; p++)
        for (int64_t i = 0; i < b->count[p]; i++)
            at_dtype_store(b->dtype[p], b->port[p], i, finite_sample(&state));
}

static double add_in(const at_kernel *kernel, double sum, double term)
{
    return kernel->signature.compute == ACTUNE_F64 ? sum + term : (double)((float)sum + (float)term);
}

/* Elements [begin, begin + n) as kernel_abi.h says: 32 lanes, blocks of 512. */
static double sum_span(const at_kernel *kernel, actune_shape shape, const buffers *b, int output, int64_t begin, int64_t n)
{
    double partial = 0;
    for (int64_t block = 0; block < n; block += 512) {
        double lane[32] = {0};
        for (int64_t i = block; i < n && i < block + 512; i++) {
            long double values[AT_OUTPUTS_MAX];
            reference(kernel, shape, b, begin + i, values);
            lane[i % 32] = add_in(kernel, lane[i % 32], (double)values[output]);
        }
        for (int j = 0; j < 32; j++)
            partial += lane[j];
    }
    return partial;
}

static double sum_rows(const at_kernel *kernel, actune_shape shape, const buffers *b, int output, int64_t row, int64_t rows, int64_t channel)
{
    double partial = 0;
    for (int64_t first = 0; first < rows; first += 16) {
        double sum = 0;
        for (int64_t r = first; r < rows && r < first + 16; r++) {
            long double values[AT_OUTPUTS_MAX];
            reference(kernel, shape, b, (row + r) * shape.channels + channel, values);
            sum = add_in(kernel, sum, (double)values[output]);
        }
        partial += sum;
    }
    return partial;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

typedef struct chunks {
    int64_t count, slots, rows, per_plane;
} chunks;

static chunks chunks_of(const tested *t, actune_shape shape)
{
    int64_t sums = t->kernel->signature.sums, n = shape.outer * shape.channels * shape.inner;
    chunks c = {.slots = sums};
    if (t->layout == AT_LAYOUT_FLAT)
        c.count = (n + 16383) / 16384;
    if (t->layout == AT_LAYOUT_CHANNEL_OUTER) {
        c.per_plane = (shape.inner + 16383) / 16384;
        c.count = c.per_plane * shape.outer * shape.channels;
    }
    if (t->layout == AT_LAYOUT_CHANNEL_INNER) {
        c.rows = 16384 / shape.channels / 16 * 16;
        c.rows = c.rows < 16 ? 16 : c.rows;
        c.count = (shape.outer + c.rows - 1) / c.rows;
        c.slots = sums * shape.channels;
    }
    return c;
}

static double slot_reference(const tested *t, actune_shape shape, const buffers *b, const chunks *c, int64_t chunk, int64_t slot)
{
    int64_t n = shape.outer * shape.channels * shape.inner;
    int first_sum = t->kernel->graph.outputs - t->kernel->signature.sums;
    if (t->layout == AT_LAYOUT_CHANNEL_INNER)
        return sum_rows(t->kernel, shape, b, first_sum + (int)(slot / shape.channels), chunk * c->rows,
                        least(c->rows, shape.outer - chunk * c->rows), slot % shape.channels);
    int64_t begin = chunk * 16384, count = least(16384, n - begin);
    if (t->layout == AT_LAYOUT_CHANNEL_OUTER) {
        int64_t start = chunk % c->per_plane * 16384;
        begin = chunk / c->per_plane * shape.inner + start;
        count = least(16384, shape.inner - start);
    }
    return sum_span(t->kernel, shape, b, first_sum + (int)slot, begin, count);
}

static void check_sums(const tested *t, const char *compiler, actune_shape shape, int shift)
{
    buffers b;
    const char *what = describe(t, compiler, shape);
    chunks c = chunks_of(t, shape);
    fill(&b, t->kernel, shape, shift, 1);
    make_finite(t->kernel, &b);
    double *partial = malloc((size_t)(c.count * c.slots + 2) * sizeof *partial);
    cr_assert(partial);
    for (int64_t i = 0; i < c.count * c.slots + 2; i++)
        partial[i] = 12345;
    actune_slice slice = {.port = b.port, .outer = shape.outer, .channels = shape.channels, .inner = shape.inner, .partial = partial + 1};
    for (slice.begin = 0; slice.begin < c.count; slice.begin = slice.end) {
        slice.end = least(c.count, slice.begin + 2);
        t->function(&slice);
    }
    check_outputs(t, shape, &b, what);
    check_margins(&b, what);
    for (int64_t i = 0; i < c.count * c.slots; i++) {
        double want = slot_reference(t, shape, &b, &c, i / c.slots, i % c.slots);
        cr_assert(partial[1 + i] == want, "%s: slot %ld of %ld is %.17g, not %.17g", what, (long)i, (long)(c.count * c.slots),
                  partial[1 + i], want);
    }
    cr_assert(partial[0] == 12345 && partial[c.count * c.slots + 1] == 12345, "%s: wrote beside the partials", what);
    free(partial);
    release(&b);
}

/* One reference for all: the bits are the same for every width, machine level and compiler. */
Test(generate, sums_have_the_same_bits_everywhere)
{
    static const char *const only[] = {"threads=1", "prefetch=0", NULL};
    static const actune_shape shapes[3][5] = {{{1, 1, 33}, {1, 1, 511}, {1, 1, 1025}, {1, 1, 16385}, {1, 1, 1}},
                                              {{37, 3, 1}, {20, 24, 1}, {5, 40, 1}, {2, 700, 1}, {600, 32, 1}},
                                              {{2, 3, 49}, {1, 2, 600}, {3, 2, 31}, {1, 1, 16500}, {1, 3, 1}}};
    static at_kernel kernels[9];
    static const actune_dtype pairs[3] = {ACTUNE_F32, ACTUNE_BF16, ACTUNE_F64};
    at_isa isas[4];
    int levels = isa_list(isas);
    for (int i = 0; i < 9; i++)
        kernels[i] = kernel_of(&with_sums[i / 3], pairs[i % 3], pairs[i % 3]);
    all.every = 2;
    for (int level = 0; level < levels; level++)
        for (int layout = AT_LAYOUT_FLAT; layout <= AT_LAYOUT_CHANNEL_OUTER; layout++) {
            all.count = 0;
            for (int i = 0; i < 9; i++)
                if (kernels[i].signature.has_channel || layout == AT_LAYOUT_FLAT)
                    add_variants(&kernels[i], (at_layout)layout, isas[level], only);
            const char *compiler = compilers[(level + layout) % 2];
            compile_all(compiler, isas[level]);
            for (int v = 0; v < all.count; v++)
                for (int k = 0; k < 5; k++)
                    check_sums(&all.item[v], compiler, shapes[layout][k], v + k);
        }
}

/* ------------------------------------------------------------ texts */

static void generate_text(const at_kernel *kernel, at_layout layout, at_isa isa, const char *knobs, bool pretty, at_strbuf *out)
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
    cr_assert_eq(at_generate(kernel, layout, &target, &variant, &(at_generate_options){.pretty = pretty}, out), ACTUNE_OK, "%s",
                 actune_last_error());
}

/* ACTUNE_GOLDEN=write writes them anew. */
Test(generate, goldens)
{
    static const struct {
        const char *file;
        kernel_case kernel;
        at_layout layout;
        at_isa isa;
        actune_dtype in, out;
        const char *knobs;
    } goldens[] = {
        {"relu_f32_avx512.c", {"relu", "(max x 0)", "e:e"}, AT_LAYOUT_FLAT, AT_ISA_X86_V4, ACTUNE_F32, ACTUNE_F32, "unroll=2"},
        {"hardswish_bf16_neon.c", {"hardswish", "(mul x (min (max (fma x 0.16666667 0.5) 0) 1))", "e:e"}, AT_LAYOUT_FLAT, AT_ISA_NEON,
         ACTUNE_BF16, ACTUNE_BF16, ""},
        {"bias_leaky_rows_avx2.c", {"bias | leaky_relu", "(select (gt (add x b) 0) (add x b) (mul (add x b) 0.01))", "ec:e"},
         AT_LAYOUT_CHANNEL_INNER, AT_ISA_X86_V3, ACTUNE_F32, ACTUNE_F32, "store=stream prefetch=512"},
        {"scale_shift_planes_sse.c", {"scale_shift | relu", "(max (fma x b c) 0)", "ecc:e"}, AT_LAYOUT_CHANNEL_OUTER, AT_ISA_X86_V2,
         ACTUNE_F32, ACTUNE_F16, ""},
        {"bias_gradient_rows_avx512.c", {"bias | relu", "(select (gt (add x b) 0) dy 0);(select (gt (add x b) 0) dy 0)", "ecce:eC"},
         AT_LAYOUT_CHANNEL_INNER, AT_ISA_X86_V4, ACTUNE_F32, ACTUNE_F32, ""},
        {"silu_wide_generic.c", {"silu", "(mul x (sigmoid x))", "e:e"}, AT_LAYOUT_FLAT, AT_ISA_GENERIC, ACTUNE_F64, ACTUNE_F64, "math=wide"},
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
        cr_expect(!strcmp(golden, at_strbuf_text(&text)), "%s has changed:\n%s", goldens[i].file, at_strbuf_text(&text));
        at_strbuf_clear(&text);
    }
}

Test(generate, identity)
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
Test(generate, names_that_clash)
{
    static const char *const names[] = {"i", "n", "s", "t0", "vy", "x", "f32x8", "evaluate", "stretch0", "begin", "channels", "actune_slice"};
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
        for (int layout = AT_LAYOUT_FLAT; layout <= (kernels[i].signature.has_channel ? AT_LAYOUT_CHANNEL_OUTER : AT_LAYOUT_FLAT); layout++)
            add_variants(&kernels[i], (at_layout)layout, AT_ISA_NEON, only);
    for (int i = 0; i < all.count; i += 32) {
        at_generate_item items[32];
        at_strbuf source = {0};
        int items_count = all.count - i < 32 ? all.count - i : 32;
        for (int k = 0; k < items_count; k++)
            items[k] = (at_generate_item){.kernel = all.item[i + k].kernel, .layout = all.item[i + k].layout, .variant = &all.item[i + k].variant};
        cr_assert_eq(at_generate_batch(items, items_count, &(at_target){.isa = AT_ISA_NEON}, &source), ACTUNE_OK);
        char *object = compile("aarch64-linux-gnu-gcc", "armv8-a", at_strbuf_text(&source));
        cr_assert(object);
        remove_object(object);
        at_strbuf_clear(&source);
    }
}
