/* Sums and maxima of generated kernels, bit by bit. */
#include "generated_run.h"

TestSuite(generate_sums, .fini = release_kernels);

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

static at_reduction reduction_of(const at_kernel *kernel, int output)
{
    return kernel->signature.port[kernel->signature.inputs + output].reduction;
}

static double add_in(const at_kernel *kernel, int output, double sum, double term)
{
    if (reduction_of(kernel, output) == AT_REDUCTION_MAX && kernel->signature.compute == ACTUNE_F64)
        return term > sum ? term : sum; /* not for NaN */
    if (reduction_of(kernel, output) == AT_REDUCTION_MAX)
        return (float)term > (float)sum ? (float)term : sum;
    return kernel->signature.compute == ACTUNE_F64 ? sum + term : (double)((float)sum + (float)term);
}

/* Elements [begin, begin + n) as kernel_abi.h says: 32 lanes, blocks of 512. */
static double sum_span(const at_kernel *kernel, actune_shape shape, const buffers *b, int output, int64_t begin,
                       int64_t n)
{
    double partial = 0;
    for (int64_t block = 0; block < n; block += 512) {
        double lane[32] = {0};
        for (int64_t i = block; i < n && i < block + 512; i++) {
            long double values[AT_OUTPUTS_MAX];
            reference(kernel, shape, b, begin + i, values);
            lane[i % 32] = add_in(kernel, output, lane[i % 32], (double)values[output]);
        }
        for (int j = 0; j < 32; j++)
            partial = reduction_of(kernel, output) == AT_REDUCTION_MAX ? fmax(partial, lane[j]) : partial + lane[j];
    }
    return partial;
}

static double sum_rows(const at_kernel *kernel, actune_shape shape, const buffers *b, int output, int64_t row,
                       int64_t rows, int64_t channel)
{
    double partial = 0;
    for (int64_t first = 0; first < rows; first += 16) {
        double sum = 0;
        for (int64_t r = first; r < rows && r < first + 16; r++) {
            long double values[AT_OUTPUTS_MAX];
            reference(kernel, shape, b, (row + r) * shape.channels + channel, values);
            sum = add_in(kernel, output, sum, (double)values[output]);
        }
        partial = reduction_of(kernel, output) == AT_REDUCTION_MAX ? fmax(partial, sum) : partial + sum;
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
    int64_t sums = t->kernel->signature.slots, n = shape.outer * shape.channels * shape.inner;
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

static double slot_reference(const tested *t, actune_shape shape, const buffers *b, const chunks *c, int64_t chunk,
                             int64_t slot)
{
    int64_t n = shape.outer * shape.channels * shape.inner;
    int first_sum = t->kernel->graph.outputs - t->kernel->signature.slots;
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
    actune_slice slice = {
        .port = b.port, .outer = shape.outer, .channels = shape.channels, .inner = shape.inner, .partial = partial + 1};
    for (slice.begin = 0; slice.begin < c.count; slice.begin = slice.end) {
        slice.end = least(c.count, slice.begin + 2);
        t->function(&slice);
    }
    check_outputs(t, shape, &b, what);
    check_margins(&b, what);
    for (int64_t i = 0; i < c.count * c.slots; i++) {
        double want = slot_reference(t, shape, &b, &c, i / c.slots, i % c.slots);
        cr_assert(partial[1 + i] == want, "%s: slot %ld of %ld is %.17g, not %.17g", what, (long)i,
                  (long)(c.count * c.slots), partial[1 + i], want);
    }
    cr_assert(partial[0] == 12345 && partial[c.count * c.slots + 1] == 12345, "%s: wrote beside the partials", what);
    free(partial);
    release(&b);
}

/* One reference for all: the bits are the same for every width, machine level and compiler. */
Test(generate_sums, same_bits_everywhere)
{
    static const char *const only[] = {"threads=1", "prefetch=0", NULL};
    static const actune_shape shapes[3][5] = {{{1, 1, 33}, {1, 1, 511}, {1, 1, 1025}, {1, 1, 16385}, {1, 1, 1}},
                                              {{37, 3, 1}, {20, 24, 1}, {5, 40, 1}, {2, 700, 1}, {600, 32, 1}},
                                              {{2, 3, 49}, {1, 2, 600}, {3, 2, 31}, {1, 1, 16500}, {1, 3, 1}}};
    static at_kernel kernels[15];
    static const actune_dtype pairs[3] = {ACTUNE_F32, ACTUNE_BF16, ACTUNE_F64};
    at_isa isas[4];
    int levels = isa_list(isas);
    for (int i = 0; i < 15; i++)
        kernels[i] = kernel_of(&with_sums[i / 3], pairs[i % 3], pairs[i % 3]);
    all.every = 2;
    for (int level = 0; level < levels; level++)
        for (int layout = AT_LAYOUT_FLAT; layout <= AT_LAYOUT_CHANNEL_OUTER; layout++) {
            all.count = 0;
            for (int i = 0; i < 15; i++)
                if (kernels[i].signature.has_channel || layout == AT_LAYOUT_FLAT)
                    add_variants(&kernels[i], (at_layout)layout, isas[level], only);
            const char *compiler = compilers[(level + layout) % 2];
            compile_all(compiler, isas[level]);
            for (int v = 0; v < all.count; v++)
                for (int k = 0; k < 5; k++)
                    check_sums(&all.item[v], compiler, shapes[layout][k], v + k);
        }
}
