#include "interp.h"

#include "../../codegen/row.h"
#include "../base/chunk.h"
#include "../base/dtype.h"
#include "../base/random.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK_MAX = 256,
    STACK_DOUBLES = AT_INTERPRET_NODES_MAX /* 128 KiB: one element of the largest graph */
};

/* gcc vectorises such loops at -O3 only. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

/* One op on a block: out[i] = op(a[i], b[i], c[i]). Truth values are 0 and 1. */
typedef void (*block_op)(double *out, const double *a, const double *b, const double *c, int count);

/* NaN of either argument comes through (a comparison alone would lose that of b); at a tie the first argument, as
   ops.def says. */
static double minimum(double a, double b)
{
    return ((b < a) | (b != b)) ? b : a;
}

static double maximum(double a, double b)
{
    return ((b > a) | (b != b)) ? b : a;
}

/* exp of a negative number only: no overflow at either end. */
static double sigmoid(double x)
{
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static double softplus(double x)
{
    return maximum(x, 0) + log1p(exp(-fabs(x)));
}

/* clang-format off */
#define BLOCK_OP(NAME, value)                                                                           \
    static void block_##NAME(double *out, const double *a, const double *b, const double *c, int count) \
    {                                                                                                   \
        (void)a, (void)b, (void)c;                                                                      \
        for (int i = 0; i < count; i++)                                                                 \
            out[i] = (value);                                                                           \
    }
#define A a[i]
#define B b[i]
#define C c[i]
BLOCK_OP(ADD, A + B)
BLOCK_OP(SUB, A - B)
BLOCK_OP(MUL, A * B)
BLOCK_OP(DIV, A / B)
BLOCK_OP(NEG, -A)
BLOCK_OP(ABS, fabs(A))
BLOCK_OP(FMA, fma(A, B, C))
BLOCK_OP(MIN, minimum(A, B))
BLOCK_OP(MAX, maximum(A, B))
BLOCK_OP(COPYSIGN, copysign(A, B))
BLOCK_OP(SQRT, sqrt(A))
BLOCK_OP(FLOOR, floor(A))
BLOCK_OP(CEIL, ceil(A))
BLOCK_OP(TRUNC, trunc(A))
BLOCK_OP(RINT, rint(A))
BLOCK_OP(EXP, exp(A))
BLOCK_OP(EXP2, exp2(A))
BLOCK_OP(EXPM1, expm1(A))
BLOCK_OP(LOG, log(A))
BLOCK_OP(LOG2, log2(A))
BLOCK_OP(LOG1P, log1p(A))
BLOCK_OP(SIN, sin(A))
BLOCK_OP(COS, cos(A))
BLOCK_OP(TAN, tan(A))
BLOCK_OP(ATAN, atan(A))
BLOCK_OP(SINH, sinh(A))
BLOCK_OP(COSH, cosh(A))
BLOCK_OP(TANH, tanh(A))
BLOCK_OP(ASINH, asinh(A))
BLOCK_OP(ERF, erf(A))
BLOCK_OP(ERFC, erfc(A))
BLOCK_OP(POW, pow(A, B))
BLOCK_OP(SIGMOID, sigmoid(A))
BLOCK_OP(SOFTPLUS, softplus(A))
BLOCK_OP(LT, A < B)
BLOCK_OP(LE, A <= B)
BLOCK_OP(GT, A > B)
BLOCK_OP(GE, A >= B)
BLOCK_OP(EQ, A == B)
BLOCK_OP(NE, A != B)
BLOCK_OP(AND, A != 0 && B != 0)
BLOCK_OP(OR, A != 0 || B != 0)
BLOCK_OP(NOT, A == 0)
BLOCK_OP(SELECT, A != 0 ? B : C)
BLOCK_OP(ROUND, (float)A) /* f64 kernels skip it */
BLOCK_OP(GRAD_CLIP, A)
/* Never called: constants and inputs are filled in; stretches come with approximation, which is not for the
   interpreter. */
BLOCK_OP(CONSTANT, (double)NAN)
BLOCK_OP(INPUT, (double)NAN)
BLOCK_OP(STRETCH, (double)NAN)
BLOCK_OP(TOPK, (double)NAN) /* never called either: the row step fills it in */
#undef A
#undef B
#undef C
/* clang-format on */

static const block_op block_ops[AT_OP_COUNT] = {
#define AT_OP(NAME, ...) [AT_OP_##NAME] = block_##NAME,
#include "../../codegen/ops.def"
#undef AT_OP
};

/* Of f64 kernels. */
static void block_copy(double *out, const double *a, const double *b, const double *c, int count)
{
    (void)b, (void)c;
    memcpy(out, a, sizeof *out * (size_t)count);
}

typedef struct interp_run {
    const at_kernel *kernel;
    at_signature views; /* its ports as the graph sees them */
    const actune_slice *slice;
    at_layout layout;
    int block;      /* elements evaluated at a time */
    double *values; /* [node][block] */
    at_node_id step; /* the row operation; AT_NO_NODE: none */
    int64_t row;     /* with one: the first element of the row */
    double *key;     /* of the row's elements; then whether each is kept */
} interp_run;

static double *value_of(const interp_run *run, at_node_id node)
{
    return run->values + (int64_t)node * run->block;
}

/* Of an element of the flattened tensor. */
static int64_t channel_of(const interp_run *run, int64_t element)
{
    switch (run->layout) {
    case AT_LAYOUT_FLAT:
        break;
    case AT_LAYOUT_CHANNEL_INNER:
        return element % run->slice->channels;
    case AT_LAYOUT_CHANNEL_OUTER:
        return element / run->slice->inner % run->slice->channels;
    }
    return 0;
}

/* Elements of a row that x has two halves of. */
static int64_t row_length(const interp_run *run)
{
    return run->layout == AT_LAYOUT_CHANNEL_INNER ? run->slice->channels : run->slice->channels * run->slice->inner;
}

/* Where a half has its part of an element. */
static int64_t half_index(int half, int64_t row_length, int64_t element)
{
    return element + (element / row_length + half - 1) * row_length;
}

static int64_t plane_of(const interp_run *run, int64_t element)
{
    const actune_slice *slice = run->slice;
    if (run->layout == AT_LAYOUT_CHANNEL_OUTER)
        return element / slice->inner;
    return element / (slice->channels * slice->inner) * slice->channels + channel_of(run, element);
}

static void load_elements(actune_dtype dtype, const void *array, int64_t first, int count, double *out)
{
    if (dtype == ACTUNE_F32)
        for (int i = 0; i < count; i++)
            out[i] = ((const float *)array)[first + i];
    else
        for (int i = 0; i < count; i++)
            out[i] = at_dtype_load(dtype, array, first + i);
}

static void load_input(const interp_run *run, int32_t index, int64_t first, int count, double *out)
{
    const at_port *port = &run->views.port[index];
    const void *array = run->slice->port[port->buffer];
    switch (port->access) {
    case AT_ACCESS_HALVES: /* views are one or the other */
        return;
    case AT_ACCESS_ELEMENT:
        if (port->half == 0)
            load_elements(port->dtype, array, first, count, out);
        for (int i = 0; i < count && port->half; i++)
            out[i] = at_dtype_load(port->dtype, array, half_index(port->half, row_length(run), first + i));
        return;
    case AT_ACCESS_PLANE:
        for (int i = 0; i < count; i++)
            out[i] = at_dtype_load(port->dtype, array, plane_of(run, first + i));
        return;
    case AT_ACCESS_CHANNEL:
        for (int i = 0; i < count; i++)
            out[i] = at_dtype_load(port->dtype, array, channel_of(run, first + i));
        return;
    case AT_ACCESS_RANDOM:
        for (int i = 0; i < count; i++)
            out[i] = at_random_unit(array, first + i);
        return;
    case AT_ACCESS_SCALAR:
        break;
    }
    double value = at_dtype_load(port->dtype, array, 0);
    for (int i = 0; i < count; i++)
        out[i] = value;
}

static bool compares(at_op op)
{
    return (op >= AT_OP_LT && op <= AT_OP_NE) || op == AT_OP_MIN || op == AT_OP_MAX;
}

static void fill(const interp_run *run, at_node_id node, double value)
{
    double *out = value_of(run, node);
    for (int i = 0; i < run->block; i++)
        out[i] = value;
}

/* Constants stay for the whole slice. Those that values are compared with have the compute type's bits, as x has: with
   0.1 in double, x = 0.1f would lie outside of clip(-0.1, 0.1). */
static void fill_constants(const interp_run *run)
{
    const at_graph *graph = &run->kernel->graph;
    for (int32_t n = 0; n < graph->count; n++)
        if (graph->nodes[n].op == AT_OP_CONSTANT)
            fill(run, n, graph->nodes[n].value);
    if (run->kernel->signature.compute == ACTUNE_F64)
        return;
    for (int32_t n = 0; n < graph->count; n++)
        for (int i = 0; i < 2 && compares(graph->nodes[n].op); i++) {
            at_node_id argument = graph->nodes[n].arg[i];
            if (graph->nodes[argument].op == AT_OP_CONSTANT)
                fill(run, argument, (float)graph->nodes[argument].value);
        }
}

/* The nodes before `end`. */
static void evaluate(const interp_run *run, at_node_id end, int64_t first, int count)
{
    const at_graph *graph = &run->kernel->graph;
    bool narrow = run->kernel->signature.compute != ACTUNE_F64;
    for (int32_t n = 0; n < end; n++) {
        const at_node *node = &graph->nodes[n];
        double *out = value_of(run, n);
        if (node->op == AT_OP_CONSTANT)
            continue;
        if (node->op == AT_OP_INPUT) {
            load_input(run, node->index, first, count, out);
            continue;
        }
        if (node->op == AT_OP_TOPK) {
            memcpy(out, run->key + (first - run->row), sizeof *out * (size_t)count);
            continue;
        }
        const double *argument[3];
        for (int i = 0; i < 3; i++)
            argument[i] = node->arg[i] == AT_NO_NODE ? NULL : value_of(run, node->arg[i]);
        block_op op = node->op == AT_OP_ROUND && !narrow ? block_copy : block_ops[node->op];
        op(out, argument[0], argument[1], argument[2], count);
    }
}

static void store_elements(const interp_run *run, int64_t first, int count)
{
    const at_signature *views = &run->views;
    for (int p = views->inputs; p < views->ports; p++) {
        const at_port *port = &views->port[p];
        const double *values = value_of(run, run->kernel->graph.output[p - views->inputs]);
        void *array = run->slice->port[port->buffer];
        if (port->reduction)
            continue;
        if (port->half)
            for (int i = 0; i < count; i++)
                at_dtype_store(port->dtype, array, half_index(port->half, row_length(run), first + i), values[i]);
        else if (port->dtype == ACTUNE_F32)
            for (int i = 0; i < count; i++)
                ((float *)array)[first + i] = (float)values[i];
        else
            for (int i = 0; i < count; i++)
                at_dtype_store(port->dtype, array, first + i, values[i]);
    }
}

static void join(double *slot, bool is_max, double value)
{
    *slot = !is_max ? *slot + value : value > *slot ? value : *slot;
}

/* One value into its record, whose fields lie `apart` slots from each other. */
static void add_statistics(const at_port *port, double value, double *slot, int64_t apart)
{
    bool finite = isfinite(value), clips = port->clip_lo < port->clip_hi;
    const double field[ACTUNE_STATISTICS_FIELDS] = {
        [ACTUNE_STATISTICS_COUNT] = 1,
        [ACTUNE_STATISTICS_NONPOSITIVE] = value <= 0,
        [ACTUNE_STATISTICS_ZERO] = value == 0,
        [ACTUNE_STATISTICS_CLIPPED] = clips && (value <= port->clip_lo || value >= port->clip_hi),
        [ACTUNE_STATISTICS_NAN] = isnan(value),
        [ACTUNE_STATISTICS_INF] = isinf(value) != 0,
        [ACTUNE_STATISTICS_SUM] = finite ? value : 0,
        [ACTUNE_STATISTICS_SQUARES] = finite ? value * value : 0,
        [ACTUNE_STATISTICS_ABSMAX] = finite ? fabs(value) : 0,
    };
    for (int f = 0; f < ACTUNE_STATISTICS_FIELDS; f++)
        join(&slot[f * apart], at_port_field(port, f) == AT_REDUCTION_MAX, field[f]);
}

/* The values of one channel: added by themselves first, as their sums then keep more digits. */
static void add_statistics_of(const at_port *port, const double *values, int count, bool narrow, double *slot)
{
    double record[ACTUNE_STATISTICS_FIELDS] = {0};
    for (int i = 0; i < count; i++)
        add_statistics(port, narrow ? (float)values[i] : values[i], record, 1);
    for (int f = 0; f < ACTUNE_STATISTICS_FIELDS; f++)
        join(&slot[f], at_port_field(port, f) == AT_REDUCTION_MAX, record[f]);
}

/* `slots`: of the chunk; each of a channel's has `channels` of them where channels lie side by side. */
static void add_sums(const interp_run *run, int64_t first, int count, double *slots)
{
    const at_signature *views = &run->views;
    bool narrow = views->compute != ACTUNE_F64;
    int sum = 0;
    for (int p = views->inputs; p < views->ports; p++) {
        if (!views->port[p].reduction)
            continue;
        const double *values = value_of(run, run->kernel->graph.output[p - views->inputs]);
        const at_port *port = &views->port[p];
        bool rows = run->layout == AT_LAYOUT_CHANNEL_INNER;
        int64_t apart = rows ? run->slice->channels : 1;
        bool statistics = port->reduction == AT_REDUCTION_STATISTICS;
        if (statistics && !rows)
            add_statistics_of(port, values, count, narrow, &slots[sum]);
        for (int i = 0; i < count && (rows || !statistics); i++) {
            double *slot = &slots[sum * apart + (rows ? channel_of(run, first + i) : 0)];
            if (statistics)
                add_statistics(port, narrow ? (float)values[i] : values[i], slot, apart);
            else
                join(slot, port->reduction == AT_REDUCTION_MAX, values[i]);
        }
        sum += at_reduction_fields(port->reduction);
    }
}

/* Moments of the chunk that begins with element `begin`: one element after the other (Welford). */
static void add_moments(const interp_run *run, int64_t begin, int64_t first, int count, double *slots)
{
    const double *values = value_of(run, run->kernel->graph.output[0]);
    int64_t channels = run->layout == AT_LAYOUT_CHANNEL_INNER ? run->slice->channels : 1;
    for (int i = 0; i < count; i++) {
        int64_t at = first + i - begin;
        double *mean = slots + at % channels, *squares = mean + channels, before = (double)(at / channels);
        double apart = values[i] - *mean;
        *squares += apart * (apart * (before / (before + 1)));
        *mean += before > 0 ? apart / (before + 1) : values[i];
    }
}

/* The elements [begin, end); slots NULL: a kernel without sums. */
static void run_elements(const interp_run *run, int64_t begin, int64_t end, double *slots)
{
    const at_signature *signature = &run->kernel->signature;
    for (int64_t first = begin; first < end; first += run->block) {
        int count = end - first < run->block ? (int)(end - first) : run->block;
        evaluate(run, run->kernel->graph.count, first, count);
        store_elements(run, first, count);
        if (slots != NULL && at_signature_is_moments(signature))
            add_moments(run, begin, first, count, slots);
        else if (slots != NULL)
            add_sums(run, first, count, slots);
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows. */

/* The order of topk: NaN, then from above; 0 for what is alike. */
static int order_of(double a, double b)
{
    if (isnan(a) || isnan(b))
        return !isnan(b) ? 1 : !isnan(a) ? -1 : 0;
    return (a > b) - (a < b);
}

/* The key that k of n come before or are alike, k >= 1; the keys are rearranged. Three parts, so that many equals do no harm; the pivot is drawn, so
   that no order of elements does. */
static double find_bound(double *key, int64_t n, int64_t k)
{
    uint64_t state = (uint64_t)n;
    for (;;) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double pivot = key[(state >> 32) % (uint64_t)n];
        int64_t before = 0, alike = 0;
        for (int64_t i = 0; i < n; i++) {
            double moved = key[i];
            int order = order_of(moved, pivot);
            if (order < 0)
                continue;
            key[i] = key[before + alike];
            key[before + alike] = moved;
            if (order == 0) {
                alike++;
                continue;
            }
            key[before + alike] = key[before];
            key[before++] = moved;
        }
        if (k <= before) {
            n = before;
        } else if (k <= before + alike) {
            return pivot;
        } else {
            k -= before + alike;
            key += before + alike;
            n -= before + alike;
        }
    }
}

/* Turns keys into truth values. room: for as many doubles. */
static void keep_largest(double *key, double *room, int64_t n, int64_t k)
{
    memcpy(room, key, sizeof *key * (size_t)n);
    double bound = find_bound(room, n, k);
    int64_t before = 0;
    for (int64_t i = 0; i < n; i++)
        before += order_of(key[i], bound) > 0;
    for (int64_t i = 0, alike = k - before; i < n; i++) {
        int order = order_of(key[i], bound);
        key[i] = order > 0 || (order == 0 && alike-- > 0);
    }
}

/* The graph up to the row operation for all of a row, the row step, then all of the graph. */
static void run_rows(interp_run *run, int64_t begin, int64_t end, double *slots)
{
    const actune_slice *slice = run->slice;
    int64_t channels = slice->channels, kept = at_row_kept(&run->kernel->signature.row, channels);
    at_node_id argument = run->kernel->graph.nodes[run->step].arg[0];
    run->key = slice->port[run->kernel->signature.ports];
    double *room = run->key + channels;
    for (int64_t row = begin; row < end; row++) {
        run->row = row * channels;
        for (int64_t column = 0; column < channels; column += run->block) {
            int count = channels - column < run->block ? (int)(channels - column) : run->block;
            evaluate(run, run->step, run->row + column, count);
            memcpy(run->key + column, value_of(run, argument), sizeof *run->key * (size_t)count);
        }
        keep_largest(run->key, room, channels, kept);
        run_elements(run, run->row, run->row + channels, slots);
    }
}

/* In every layout a chunk is a stretch of consecutive elements. */
static void run_chunk(interp_run *run, const at_chunk_plan *plan, int64_t chunk)
{
    const actune_slice *slice = run->slice;
    int64_t begin = 0, end = 0;
    switch (run->layout) {
    case AT_LAYOUT_FLAT:
        begin = chunk * AT_CHUNK_ELEMENTS;
        end = least(begin + AT_CHUNK_ELEMENTS, slice->outer * slice->channels * slice->inner);
        break;
    case AT_LAYOUT_CHANNEL_INNER: {
        int64_t image = plan->chunks_per_plane ? chunk / plan->chunks_per_plane : 0, rows = plan->chunks_per_plane ? slice->inner : slice->outer;
        int64_t row = (plan->chunks_per_plane ? chunk % plan->chunks_per_plane : chunk) * plan->rows_per_chunk;
        begin = (image * rows + row) * slice->channels;
        end = (image * rows + least(row + plan->rows_per_chunk, rows)) * slice->channels;
        break;
    }
    case AT_LAYOUT_CHANNEL_OUTER: {
        int64_t plane = chunk / plan->chunks_per_plane * slice->inner;
        int64_t offset = chunk % plan->chunks_per_plane * AT_CHUNK_ELEMENTS;
        begin = plane + offset;
        end = plane + least(offset + AT_CHUNK_ELEMENTS, slice->inner);
        break;
    }
    }
    double *slots = slice->partial + chunk * plan->slots;
    for (int64_t i = 0; i < plan->slots; i++)
        slots[i] = 0;
    if (run->step != AT_NO_NODE)
        run_rows(run, begin / slice->channels, end / slice->channels, slots);
    else
        run_elements(run, begin, end, slots);
}

void at_interpret(const void *kernel, at_layout layout, const actune_slice *slice)
{
    double stack[STACK_DOUBLES];
    interp_run run = {.kernel = kernel, .slice = slice, .layout = layout, .values = stack};
    const at_signature *signature = &run.kernel->signature;
    int32_t nodes = run.kernel->graph.count;
    if (nodes == 0 || nodes > AT_INTERPRET_NODES_MAX)
        return;
    at_signature_views(signature, &run.views);
    run.block = STACK_DOUBLES / nodes < BLOCK_MAX ? STACK_DOUBLES / nodes : BLOCK_MAX;
    fill_constants(&run);
    run.step = at_row_find(&run.kernel->graph);
    if (signature->slots == 0 && run.step != AT_NO_NODE) {
        run_rows(&run, slice->begin, slice->end, NULL);
        return;
    }
    if (signature->slots == 0) {
        run_elements(&run, slice->begin, slice->end, NULL);
        return;
    }
    actune_shape shape = {slice->outer, slice->channels, slice->inner};
    at_chunk_plan plan = at_chunk_plan_of(signature, layout, shape);
    for (int64_t chunk = slice->begin; chunk < slice->end; chunk++)
        run_chunk(&run, &plan, chunk);
}
