/* For tests that run generated code: variants compiled in batches, buffers with margins, and a reference for every
 * element. */
#ifndef TESTS_UNIT_GENERATED_RUN_H
#define TESTS_UNIT_GENERATED_RUN_H

#include "generated.h"
#include "runtime/base/random.h"

enum { MARGIN = 64, ITEMS_MAX = 4096 };

static const actune_dtype dtypes[] = {ACTUNE_F32, ACTUNE_F64, ACTUNE_F16, ACTUNE_BF16};
static const char *const compilers[] = {"clang", "gcc"};
static const kernel_case hardswish = {"hardswish", "(mul x (min (max (fma x 0.16666667 0.5) 0) 1))", "e:e"};
static const kernel_case with_sums[] = {
    {"bias gradient", "(select (gt (add x b) 0) dy 0);(select (gt (add x b) 0) dy 0)", "ecce:eC"},
    {"scale_shift gradients", "(mul dy b);(mul dy x);dy", "ecce:eCC"},
    {"prelu gradient", "(select (gt x 0) dy (mul dy b));(select (gt x 0) 0 (mul dy x))", "esse:eS"},
    {"a sum and a maximum with NaN in it", "(mul dy b);(sqrt x);dy", "ecce:eMC"},
    {"maxima", "(mul dy b);(abs dy);x", "esse:emm"},
};

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

static inline actune_status keep_variant(void *user, const at_variant *variant)
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

static inline void add_variants(at_kernel *kernel, at_layout layout, at_isa isa, const char *const *only)
{
    all.kernel = kernel;
    all.layout = layout;
    cr_assert_eq(at_variant_each(kernel, layout, &(at_target){.isa = isa}, keep_variant, (void *)only), ACTUNE_OK, "%s",
                 actune_last_error());
}

static inline void compile_batch(const char *compiler, at_isa isa, int first, int count)
{
    at_generate_item items[32];
    at_strbuf source = {0};
    for (int i = 0; i < count; i++) {
        tested *t = &all.item[first + i];
        items[i] = (at_generate_item){.kernel = t->kernel, .layout = t->layout, .variant = &t->variant};
    }
    cr_assert_eq(at_generate_batch(items, count, &(at_target){.isa = isa}, &source), ACTUNE_OK, "%s",
                 actune_last_error());
    void *handle = load(compiler, march_of(isa), at_strbuf_text(&source));
    for (int i = 0; i < count; i++) {
        cr_assert_eq(items[i].status, ACTUNE_OK);
        *(void **)&all.item[first + i].function = dlsym(handle, items[i].symbol);
        cr_assert(all.item[first + i].function, "%s", items[i].symbol);
    }
    at_strbuf_clear(&source);
}

static inline void compile_all(const char *compiler, at_isa isa)
{
    for (int i = 0; i < all.count; i += 32)
        compile_batch(compiler, isa, i, all.count - i < 32 ? all.count - i : 32);
}

static inline double sample(uint64_t *state)
{
    static const double special[] = {0.0,   -0.0,   INFINITY, -INFINITY, NAN, 1e-45, -1e-40, 6e-8,
                                     65504, -65520, 3e38,     1,         -1,  0.5,   3,      -3};
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

static inline void fill(buffers *b, const at_kernel *kernel, actune_shape shape, int shift, uint64_t seed)
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

static inline void check_margins(const buffers *b, const char *what)
{
    for (int p = 0; p < b->ports; p++) {
        size_t bytes = (size_t)at_dtype_get(b->dtype[p])->bytes, size = (size_t)(b->count[p] + 2 * MARGIN) * bytes;
        unsigned char *data = b->port[p], *end = data + (size_t)b->count[p] * bytes;
        for (size_t i = 0; i < size; i++)
            cr_assert(b->memory[p][i] == 0xa5 || (b->memory[p] + i >= data && b->memory[p] + i < end),
                      "%s: wrote outside of port %d, at byte %ld of %zu", what, p, (long)(b->memory[p] + i - data),
                      size);
    }
}

static inline void release(buffers *b)
{
    for (int p = 0; p < b->ports; p++)
        free(b->memory[p]);
}

static inline long double rounded(const at_kernel *kernel, long double value)
{
    return kernel->signature.compute == ACTUNE_F64 ? round_to_double(value) : round_to_float(value);
}

/* The kernel's outputs for element i, every node rounded to the compute type. */
static inline void reference(const at_kernel *kernel, actune_shape shape, const buffers *b, int64_t i,
                             long double *output)
{
    long double inputs[AT_PORTS_MAX], values[64];
    cr_assert(kernel->graph.count <= 64);
    for (int p = 0; p < kernel->signature.inputs; p++) {
        at_access access = kernel->signature.port[p].access;
        int64_t at = access == AT_ACCESS_ELEMENT   ? i
                     : access == AT_ACCESS_CHANNEL ? i / shape.inner % shape.channels
                                                   : 0;
        inputs[p] = access == AT_ACCESS_RANDOM ? (long double)at_random_unit(b->port[p], i) : at_dtype_load(b->dtype[p], b->port[p], at);
    }
    /* What is computed wide is rounded at its end. */
    if (kernel->transcendental)
        at_graph_eval(&kernel->graph, inputs, values);
    else
        eval_rounded(&kernel->graph, inputs, values,
                     kernel->signature.compute == ACTUNE_F64 ? round_to_double : round_to_float);
    for (int k = 0; k < kernel->graph.outputs; k++)
        output[k] = rounded(kernel, values[kernel->graph.output[k]]);
}

static inline bool same_number(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static inline bool has_fma(const at_graph *graph)
{
    for (int i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_FMA)
            return true;
    return false;
}

/* Equal, or where the reference cannot be exact (long double rounded once more, libm) one unit apart. */
static inline bool close_enough(const at_kernel *kernel, actune_dtype dtype, double got, long double want)
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

static inline void check_outputs(const tested *t, actune_shape shape, const buffers *b, const char *what)
{
    const at_signature *s = &t->kernel->signature;
    int64_t n = shape.outer * shape.channels * shape.inner;
    for (int64_t i = 0; i < n; i++) {
        long double want[AT_OUTPUTS_MAX];
        reference(t->kernel, shape, b, i, want);
        for (int p = s->inputs; p < s->ports; p++) {
            if (s->port[p].reduction)
                continue;
            double got = at_dtype_load(b->dtype[p], b->port[p], i);
            cr_assert(close_enough(t->kernel, b->dtype[p], got, want[p - s->inputs]),
                      "%s: element %ld of %ld is %.17g, not %.17Lg", what, (long)i, (long)n, got, want[p - s->inputs]);
        }
    }
}

static const char *describe(const tested *t, const char *compiler, actune_shape shape)
{
    static char text[512];
    at_strbuf out = {0};
    at_variant_print(&t->variant, &out);
    const at_signature *s = &t->kernel->signature;
    snprintf(text, sizeof text, "%s %s %s to %s [%ld %ld %ld] %s", compiler, t->kernel->spec,
             at_dtype_get(s->dtype_in)->name, at_dtype_get(s->dtype_out)->name, (long)shape.outer, (long)shape.channels,
             (long)shape.inner, at_strbuf_text(&out));
    at_strbuf_clear(&out);
    return text;
}

/* Runs the whole shape, cut into pieces of any length. */
static inline void run_in_slices(const tested *t, actune_shape shape, const buffers *b, uint64_t seed)
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

static inline void check(const tested *t, const char *compiler, actune_shape shape, int shift)
{
    buffers b;
    const char *what = describe(t, compiler, shape);
    fill(&b, t->kernel, shape, shift, (uint64_t)shift + 1);
    run_in_slices(t, shape, &b, (uint64_t)shift * 31 + 7);
    check_outputs(t, shape, &b, what);
    check_margins(&b, what);
    release(&b);
}

#endif
