#include "runtime/backend/interp.h"
#include "runtime/base/chunk.h"
#include "runtime/base/dtype.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Kernels are put together by hand: only the interpreter is tested here. */
static void add_port(at_kernel *kernel, const char *name, at_access access, actune_dtype dtype)
{
    at_signature *s = &kernel->signature;
    s->port[s->ports++] = (at_port){.name = name, .access = access, .dtype = dtype};
    s->inputs = s->ports;
    s->has_channel |= access == AT_ACCESS_CHANNEL;
}

static void add_output(at_kernel *kernel, at_node_id node, at_access access, actune_dtype dtype, at_reduction reduction)
{
    at_signature *s = &kernel->signature;
    s->port[s->ports++] =
        (at_port){.name = "out", .access = access, .dtype = dtype, .is_output = true, .reduction = reduction};
    s->slots += reduction != AT_REDUCTION_NONE;
    s->has_channel |= access == AT_ACCESS_CHANNEL;
    kernel->graph.output[kernel->graph.outputs++] = node;
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static const double specials[] = {0.0,  -0.0,  1.0,    -1.0,   0.5,  -0.5,  3.0,      -3.0,      20.0, -20.0, 88.5,
                                  -104, 710.0, -710.0, 1e-310, 1e30, -1e30, INFINITY, -INFINITY, NAN,  0.1,   -1e-8};
enum { SPECIALS = sizeof specials / sizeof *specials };

/* Every op on every pair of special values, against long double arithmetic, in f64 so that nothing is rounded away. */
Test(interp, every_op_on_special_values)
{
    enum { N = SPECIALS * SPECIALS };
    static double x[N], y[N], z[N], out[N];
    for (int i = 0; i < N; i++) {
        x[i] = specials[i / SPECIALS];
        y[i] = specials[i % SPECIALS];
        z[i] = specials[(i * 7 + 3) % SPECIALS];
    }
    for (at_op op = AT_OP_ADD; op < AT_OP_STRETCH; op++) {
        const at_op_info *info = at_op_get(op);
        bool truth = op == AT_OP_AND || op == AT_OP_OR || op == AT_OP_NOT;
        at_kernel kernel = {.signature.compute = ACTUNE_F64};
        at_node_id argument[3];
        for (int i = 0; i < 3; i++) {
            add_port(&kernel, "x", AT_ACCESS_ELEMENT, ACTUNE_F64);
            argument[i] = at_graph_input(&kernel.graph, i);
        }
        at_node_id zero = at_graph_constant(&kernel.graph, 0);
        for (int i = 0; i < 3; i++)
            if (truth || (op == AT_OP_SELECT && i == 0))
                argument[i] = at_graph_2(&kernel.graph, AT_OP_LT, argument[i], zero);
        for (int i = info->arguments; i < 3; i++)
            argument[i] = AT_NO_NODE;
        add_output(&kernel, at_graph_add(&kernel.graph, op, argument[0], argument[1], argument[2]), AT_ACCESS_ELEMENT,
                   ACTUNE_F64, AT_REDUCTION_NONE);
        void *ports[] = {x, y, z, out};
        at_interpret(&kernel, AT_LAYOUT_FLAT, &(actune_slice){ports, 1, 1, N, 0, N, NULL});
        for (int i = 0; i < N; i++) {
            bool first_is_truth = truth || op == AT_OP_SELECT;
            long double want = at_op_eval(op, first_is_truth ? x[i] < 0 : x[i], truth ? y[i] < 0 : y[i], z[i]);
            double rounded = (double)want;
            /* FMA in long double rounds twice. */
            double tolerance = info->transcendental || op == AT_OP_FMA ? 4e-16 * fabs(rounded) + 1e-323 : 0;
            if (op == AT_OP_SIGMOID || op == AT_OP_SOFTPLUS)
                tolerance *= 2;
            cr_assert(same(out[i], rounded) || fabs(out[i] - rounded) <= tolerance, "%s(%g, %g, %g) = %.17g, not %.17g",
                      info->name, x[i], y[i], z[i], out[i], rounded);
        }
        at_graph_clear(&kernel.graph);
    }
}

/* out = round(x * channel + scalar), in each pair of types. */
static void make_affine(at_kernel *kernel, actune_dtype in, actune_dtype out)
{
    *kernel = (at_kernel){.signature.compute = in == ACTUNE_F64 ? ACTUNE_F64 : ACTUNE_F32};
    add_port(kernel, "x", AT_ACCESS_ELEMENT, in);
    add_port(kernel, "scale", AT_ACCESS_CHANNEL, kernel->signature.compute);
    add_port(kernel, "alpha", AT_ACCESS_SCALAR, kernel->signature.compute);
    at_graph *g = &kernel->graph;
    at_node_id x = at_graph_input(g, 0), scale = at_graph_input(g, 1), alpha = at_graph_input(g, 2);
    add_output(kernel, at_graph_1(g, AT_OP_ROUND, at_graph_add(g, AT_OP_FMA, x, scale, alpha)), AT_ACCESS_ELEMENT, out,
               false);
}

static int64_t channel_of(actune_shape shape, int64_t element)
{
    return element / shape.inner % shape.channels;
}

static void check_affine(actune_dtype in, actune_dtype out, actune_shape shape, int64_t begin, int64_t end)
{
    at_kernel kernel;
    make_affine(&kernel, in, out);
    int64_t n = shape.outer * shape.channels * shape.inner;
    char *x = calloc((size_t)n, 8), *y = malloc((size_t)n * 8), *scale = calloc((size_t)shape.channels, 8), alpha[8];
    memset(y, 0x5a, (size_t)n * 8);
    actune_dtype compute = kernel.signature.compute;
    for (int64_t i = 0; i < n; i++)
        at_dtype_store(in, x, i, (double)(i % 37) / 8 - 2);
    for (int64_t c = 0; c < shape.channels; c++)
        at_dtype_store(compute, scale, c, 1 + (double)c / 3);
    at_dtype_store(compute, alpha, 0, 0.1);
    void *ports[] = {x, scale, alpha, y};
    actune_slice slice = {ports, shape.outer, shape.channels, shape.inner, begin, end, NULL};
    at_interpret(&kernel, at_layout_of(&kernel.signature, shape), &slice);
    char cell[8], untouched[8];
    memset(untouched, 0x5a, 8);
    for (int64_t i = 0; i < n; i++) {
        double want = fma(at_dtype_load(in, x, i), at_dtype_load(compute, scale, channel_of(shape, i)),
                          at_dtype_load(compute, alpha, 0));
        at_dtype_store(out, cell, 0, compute == ACTUNE_F64 ? want : (double)(float)want);
        size_t bytes = (size_t)at_dtype_get(out)->bytes;
        cr_assert_eq(memcmp(y + (size_t)i * bytes, i >= begin && i < end ? cell : untouched, bytes), 0,
                     "%s to %s, element %lld of [%lld, %lld, %lld]", at_dtype_get(in)->name, at_dtype_get(out)->name,
                     (long long)i, (long long)shape.outer, (long long)shape.channels, (long long)shape.inner);
    }
    free(x), free(y), free(scale);
    at_graph_clear(&kernel.graph);
}

Test(interp, types_layouts_and_slices)
{
    static const actune_shape shapes[] = {{1, 1, 1000}, {50, 7, 1}, {3, 5, 49}, {1, 300, 1}, {2, 2, 300}};
    for (int in = 0; in < AT_DTYPE_COUNT; in++)
        for (int out = 0; out < AT_DTYPE_COUNT; out++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
                int64_t n = shapes[s].outer * shapes[s].channels * shapes[s].inner;
                check_affine((actune_dtype)in, (actune_dtype)out, shapes[s], 0, n);
                check_affine((actune_dtype)in, (actune_dtype)out, shapes[s], 3, n - 5);
                check_affine((actune_dtype)in, (actune_dtype)out, shapes[s], n / 2, n / 2 + 1);
                check_affine((actune_dtype)in, (actune_dtype)out, shapes[s], 7, 7);
            }
}

/* In f32, x = 0.1f lies on the bound of clip(-0.1, 0.1) and not beyond it. */
Test(interp, bounds_have_the_compute_type)
{
    at_kernel kernel = {.signature.compute = ACTUNE_F32};
    add_port(&kernel, "x", AT_ACCESS_ELEMENT, ACTUNE_F32);
    at_graph *g = &kernel.graph;
    at_node_id x = at_graph_input(g, 0), bound = at_graph_constant(g, 0.1);
    add_output(&kernel, at_graph_2(g, AT_OP_LE, x, bound), AT_ACCESS_ELEMENT, ACTUNE_F32, AT_REDUCTION_NONE);
    float in[] = {0.1f, 0.099999994f, 0.10000001f, nextafterf(0.1f, 1)}, out[4];
    void *ports[] = {in, out};
    at_interpret(&kernel, AT_LAYOUT_FLAT, &(actune_slice){ports, 1, 1, 4, 0, 4, NULL});
    cr_assert(out[0] == 1 && out[1] == 1 && out[3] == 0);
    at_graph_clear(g);
}

/* dbias = sum per channel of x, dalpha = sum of x * x, the largest square root per channel (of negative x: NaN); by chunks. */
static void check_sums(actune_shape shape)
{
    at_kernel kernel = {.signature.compute = ACTUNE_F32};
    add_port(&kernel, "x", AT_ACCESS_ELEMENT, ACTUNE_F32);
    at_graph *g = &kernel.graph;
    at_node_id x = at_graph_input(g, 0), square = at_graph_2(g, AT_OP_MUL, x, x);
    add_output(&kernel, at_graph_1(g, AT_OP_NEG, x), AT_ACCESS_ELEMENT, ACTUNE_F32, AT_REDUCTION_NONE);
    add_output(&kernel, x, AT_ACCESS_CHANNEL, ACTUNE_F32, AT_REDUCTION_SUM);
    add_output(&kernel, square, AT_ACCESS_SCALAR, ACTUNE_F32, AT_REDUCTION_SUM);
    add_output(&kernel, at_graph_1(g, AT_OP_SQRT, x), AT_ACCESS_CHANNEL, ACTUNE_F32, AT_REDUCTION_MAX);
    at_layout layout = at_layout_of(&kernel.signature, shape);
    at_chunk_plan plan = at_chunk_plan_of(&kernel.signature, layout, shape);
    int64_t n = shape.outer * shape.channels * shape.inner;
    float *in = malloc(sizeof *in * (size_t)n), *out = malloc(sizeof *out * (size_t)n);
    double *partial = malloc(sizeof *partial * (size_t)(plan.chunks * plan.slots)),
           *want = calloc((size_t)(3 * shape.channels), 8);
    memset(partial, 0xff, sizeof *partial * (size_t)(plan.chunks * plan.slots));
    for (int64_t i = 0; i < n; i++)
        in[i] = (float)(i % 101 - 37); /* small integers: sums are exact in any order */
    void *ports[] = {in, out, NULL, NULL, NULL};
    int64_t middle = plan.chunks / 2;
    at_interpret(&kernel, layout,
                 &(actune_slice){ports, shape.outer, shape.channels, shape.inner, middle, plan.chunks, partial});
    at_interpret(&kernel, layout, &(actune_slice){ports, shape.outer, shape.channels, shape.inner, 0, middle, partial});
    for (int64_t i = 0; i < n; i++) {
        int64_t channel = channel_of(shape, i);
        want[channel] += in[i];
        want[shape.channels + channel] += (double)in[i] * in[i];
        if (sqrt(in[i]) > want[2 * shape.channels + channel])
            want[2 * shape.channels + channel] = sqrt(in[i]);
        cr_assert_eq(out[i], -in[i]);
    }
    for (int sum = 0; sum < 3; sum++)
        for (int64_t channel = 0; channel < shape.channels; channel++) {
            double got = 0;
            for (int64_t chunk = 0; chunk < plan.chunks; chunk++) {
                double part = 0;
                if (layout == AT_LAYOUT_CHANNEL_INNER)
                    part = partial[chunk * plan.slots + sum * shape.channels + channel];
                else if (layout == AT_LAYOUT_FLAT || chunk / plan.chunks_per_plane % shape.channels == channel)
                    part = partial[chunk * plan.slots + sum];
                got = sum == 2 ? fmax(got, part) : got + part;
            }
            cr_assert_eq(got, want[sum * shape.channels + channel], "sum %d, channel %lld", sum, (long long)channel);
        }
    free(in), free(out), free(partial), free(want);
    at_graph_clear(g);
}

Test(interp, sums_by_chunks)
{
    static const actune_shape shapes[] = {{1, 1, 40000}, {1, 1, 5},  {100, 300, 1},
                                          {9000, 3, 1},  {3, 4, 49}, {2, 3, 20000}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_sums(shapes[i]);
}

/* Large graphs run in smaller blocks, down to one element; too large ones do nothing. */
Test(interp, large_graphs)
{
    static const int lengths[] = {3, 64, 300, 5000, AT_INTERPRET_NODES_MAX, AT_INTERPRET_NODES_MAX + 1};
    for (int l = 0; l < 6; l++) {
        at_kernel kernel = {.signature.compute = ACTUNE_F64};
        add_port(&kernel, "x", AT_ACCESS_ELEMENT, ACTUNE_F64);
        at_graph *g = &kernel.graph;
        at_node_id x = at_graph_input(g, 0), sum = x;
        while (g->count < lengths[l])
            sum = at_graph_2(g, AT_OP_ADD, sum, x);
        add_output(&kernel, sum, AT_ACCESS_ELEMENT, ACTUNE_F64, AT_REDUCTION_NONE);
        double in[300], out[300] = {0};
        for (int i = 0; i < 300; i++)
            in[i] = i;
        void *ports[] = {in, out};
        at_interpret(&kernel, AT_LAYOUT_FLAT, &(actune_slice){ports, 1, 1, 300, 0, 300, NULL});
        for (int i = 0; i < 300; i++)
            cr_assert_eq(out[i], lengths[l] > AT_INTERPRET_NODES_MAX ? 0 : (double)i * lengths[l]);
        at_graph_clear(g);
    }
}
