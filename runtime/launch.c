#include "launch.h"

#include "base/shape.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PIECE_ALIGN = 64,          /* elements; a cut never shares a cache line between threads when the base is aligned */
    THREAD_ELEMENTS_MIN = 4096 /* fewer are done sooner than a second thread joins */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static int64_t elements_of(actune_shape shape)
{
    return shape.outer * shape.channels * shape.inner;
}

/* An empty row keeps nothing, whatever k. */
static actune_status check_row(const at_signature *signature, actune_shape shape)
{
    const at_row *row = &signature->row;
    if (row->kind == AT_ROW_NONE)
        return ACTUNE_OK;
    if (shape.inner > 1)
        return at_fail(ACTUNE_UNSUPPORTED, "topk works on rows that lie in one piece, [outer, channels, 1]; in the shape [%lld, %lld, %lld] inner is "
                       "%lld: bring the channels last, or make what the row is the last dimension", (long long)shape.outer,
                       (long long)shape.channels, (long long)shape.inner, (long long)shape.inner);
    if (shape.channels > 0 && at_row_kept(row, shape.channels) > shape.channels)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "topk's argument k is %lld, and the rows of the shape [%lld, %lld, %lld] have only %lld elements "
                       "(channels): use a smaller k, or a share such as topk(0.1)", (long long)row->k, (long long)shape.outer,
                       (long long)shape.channels, (long long)shape.inner, (long long)shape.channels);
    return ACTUNE_OK;
}

/* kernel_abi.h says what for. */
static actune_status scratch_of(const at_signature *signature, actune_shape shape, size_t *bytes)
{
    int64_t room, padded = (shape.channels + AT_ROW_SCRATCH_PAD) / AT_ROW_SCRATCH_PAD * AT_ROW_SCRATCH_PAD + AT_ROW_SCRATCH_PAD;
    *bytes = 0;
    if (signature->row.kind == AT_ROW_NONE)
        return ACTUNE_OK;
    if (__builtin_mul_overflow(padded, (AT_ROW_SCRATCH_ARRAYS + signature->slots) * (int64_t)sizeof(double), &room))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "rows of %lld elements do not fit memory", (long long)shape.channels);
    *bytes = (size_t)room;
    return ACTUNE_OK;
}

static int cap_threads(int threads, int64_t elements, int64_t total)
{
    int64_t most = elements / THREAD_ELEMENTS_MIN;
    if (most > total)
        most = total;
    if (threads > most)
        threads = (int)most;
    return threads < 1 ? 1 : threads;
}

actune_status at_launch_init(at_launch *launch, const at_signature *signature, at_layout layout, actune_shape shape,
                             int threads)
{
    *launch = (at_launch){.signature = signature, .layout = layout, .shape = shape, .threads = 1};
    AT_TRY(at_shape_check(shape));
    AT_TRY(check_row(signature, shape));
    AT_TRY(scratch_of(signature, shape, &launch->scratch_bytes));
    int64_t elements = elements_of(shape);
    launch->total = signature->row.kind != AT_ROW_NONE && elements > 0 ? shape.outer : elements;
    if (signature->slots > 0) {
        launch->chunk = at_chunk_plan_of(signature, layout, shape);
        launch->total = launch->chunk.chunks;
        int64_t doubles;
        if (__builtin_mul_overflow(launch->chunk.chunks, launch->chunk.slots, &doubles) ||
            doubles > INT64_MAX / (int64_t)sizeof(double))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the partial sums of shape [%lld, %lld, %lld] do not fit memory",
                           (long long)shape.outer, (long long)shape.channels, (long long)shape.inner);
        launch->partial_bytes = (size_t)doubles * sizeof(double);
    }
    launch->threads = cap_threads(threads, elements, launch->total);
    launch->workspace_bytes = launch->partial_bytes;
    if (launch->scratch_bytes > 0)
        launch->workspace_bytes += launch->scratch_bytes * (size_t)launch->threads + AT_ROW_SCRATCH_ALIGN;
    return ACTUNE_OK;
}

static void store_sum(const at_port *port, void *array, int64_t index, double value)
{
    if (port->dtype == ACTUNE_F64)
        ((double *)array)[index] = value;
    else
        ((float *)array)[index] = (float)value; /* sums have the compute type */
}

static double join(at_reduction reduction, double so_far, double next)
{
    if (reduction == AT_REDUCTION_MAX)
        return next > so_far ? next : so_far;
    return so_far + next;
}

/* FLAT and CHANNEL_INNER: every chunk has the same slots, so whole rows of slots are added into the first, in chunk
   order. `columns`: slots of one sum. */
static void fold_chunks(const at_chunk_plan *plan, at_reduction reduction, double *first, int64_t columns)
{
    for (int64_t chunk = 1; chunk < plan->chunks; chunk++)
        for (int64_t column = 0; column < columns; column++)
            first[column] = join(reduction, first[column], first[chunk * plan->slots + column]);
}

/* CHANNEL_OUTER: the chunks of one channel's planes, in chunk order. */
static double plane_sum(const at_launch *launch, at_reduction reduction, const double *partial, int sum, int64_t channel)
{
    const at_chunk_plan *plan = &launch->chunk;
    double total = 0;
    for (int64_t outer = 0; outer < launch->shape.outer; outer++) {
        int64_t first = (outer * launch->shape.channels + channel) * plan->chunks_per_plane;
        for (int64_t chunk = first; chunk < first + plan->chunks_per_plane; chunk++)
            total = join(reduction, total, partial[chunk * plan->slots + sum]);
    }
    return total;
}

/* Of one outer and channel: its chunks, in their order. */
static double sum_of_plane(const at_launch *launch, at_reduction reduction, const double *partial, int sum, int64_t outer, int64_t channel)
{
    const at_chunk_plan *plan = &launch->chunk;
    bool rows = launch->layout == AT_LAYOUT_CHANNEL_INNER;
    int64_t first = (rows ? outer : outer * launch->shape.channels + channel) * plan->chunks_per_plane;
    int64_t slot = rows ? sum * launch->shape.channels + channel : sum;
    double total = 0;
    for (int64_t chunk = first; chunk < first + plan->chunks_per_plane; chunk++)
        total = join(reduction, total, partial[chunk * plan->slots + slot]);
    return total;
}

static void finish_planes(const at_launch *launch, double *partial, int sum, const at_port *port, void *array)
{
    for (int64_t outer = 0; outer < launch->shape.outer; outer++)
        for (int64_t channel = 0; channel < launch->shape.channels; channel++)
            store_sum(port, array, outer * launch->shape.channels + channel,
                      launch->chunk.chunks == 0 ? 0 : sum_of_plane(launch, port->reduction, partial, sum, outer, channel));
}

static double channel_sum(const at_launch *launch, at_reduction reduction, const double *partial, int sum, int64_t channel)
{
    if (launch->chunk.chunks == 0)
        return 0;
    switch (launch->layout) {
    case AT_LAYOUT_FLAT:
        return partial[sum];
    case AT_LAYOUT_CHANNEL_INNER:
        return partial[sum * launch->shape.channels + channel];
    case AT_LAYOUT_CHANNEL_OUTER:
        break;
    }
    return plane_sum(launch, reduction, partial, sum, channel);
}

/* One slot of the signature, to field `field` of its port. */
static void finish_slot(const at_launch *launch, double *partial, int sum, const at_port *port, int field, void *array)
{
    at_reduction reduction = at_port_field(port, field);
    int fields = at_reduction_fields(port->reduction);
    int64_t channels = launch->layout == AT_LAYOUT_FLAT ? 1 : launch->shape.channels;
    int64_t columns = launch->layout == AT_LAYOUT_CHANNEL_INNER ? channels : 1;
    double fold = 0;
    if (launch->layout != AT_LAYOUT_CHANNEL_OUTER)
        fold_chunks(&launch->chunk, reduction, partial + sum * columns, columns);
    for (int64_t channel = 0; channel < channels; channel++) {
        double value = channel_sum(launch, reduction, partial, sum, channel);
        if (port->access == AT_ACCESS_SCALAR)
            fold = join(reduction, fold, value);
        else
            store_sum(port, array, channel * fields + field, value);
    }
    if (port->access == AT_ACCESS_SCALAR)
        store_sum(port, array, field, fold);
}

/* Of a chunk, a channel, the tensor. */
typedef struct moments {
    double count, mean, squares; /* squares: of distances from the mean, their sum */
} moments;

/* As Chan, Golub and LeVeque join samples. */
static void join_moments(moments *all, moments more)
{
    if (all->count == 0 || more.count == 0) {
        *all = all->count == 0 ? more : *all;
        return;
    }
    double count = all->count + more.count, apart = more.mean - all->mean;
    all->squares += more.squares + apart * (apart * (all->count * more.count / count));
    all->mean += apart * (more.count / count);
    all->count = count;
}

/* What chunk `chunk` knows of a channel; of no elements where it is of another channel. */
static moments chunk_moments(const at_launch *launch, const double *partial, int64_t chunk, int64_t channel)
{
    const at_chunk_plan *plan = &launch->chunk;
    const actune_shape shape = launch->shape;
    const double *slots = partial + chunk * plan->slots;
    int64_t size = AT_CHUNK_ELEMENTS, left = elements_of(shape) - chunk * size;
    int64_t stride = 1;
    if (launch->layout == AT_LAYOUT_CHANNEL_INNER) {
        size = plan->rows_per_chunk;
        left = shape.outer - chunk * size;
        slots += channel;
        stride = shape.channels;
    } else if (launch->layout == AT_LAYOUT_CHANNEL_OUTER)
        left = shape.inner - chunk % plan->chunks_per_plane * size;
    return (moments){(double)(left < size ? left : size), slots[0], slots[stride]};
}

static moments channel_moments(const at_launch *launch, const double *partial, int64_t channel)
{
    const at_chunk_plan *plan = &launch->chunk;
    moments all = {0};
    if (launch->layout != AT_LAYOUT_CHANNEL_OUTER) {
        for (int64_t chunk = 0; chunk < plan->chunks; chunk++)
            join_moments(&all, chunk_moments(launch, partial, chunk, channel));
        return all;
    }
    for (int64_t outer = 0; outer < launch->shape.outer; outer++) {
        int64_t first = (outer * launch->shape.channels + channel) * plan->chunks_per_plane;
        for (int64_t chunk = first; chunk < first + plan->chunks_per_plane; chunk++)
            join_moments(&all, chunk_moments(launch, partial, chunk, channel));
    }
    return all;
}

/* The planes of at_moment; zeros of no elements. */
static void store_moments(const at_signature *signature, void *array, int64_t planes_apart, int64_t index, moments of)
{
    const at_port *port = &signature->port[signature->inputs];
    double value[AT_MOMENTS_COUNT] = {0};
    if (of.count > 0) {
        double mean = of.mean, variance = of.squares / of.count;
        value[AT_MOMENTS_MEAN] = mean;
        value[AT_MOMENTS_MEAN_LOW] = port->dtype == ACTUNE_F64 ? 0 : mean - (double)(float)mean;
        value[AT_MOMENTS_RSTD] = 1 / sqrt((variance < 0 ? 0 : variance) + signature->eps);
        value[AT_MOMENTS_WEIGHT] = 1 / of.count;
    }
    for (int plane = 0; plane < AT_MOMENTS_COUNT; plane++)
        store_sum(port, array, plane * planes_apart + index, value[plane]);
}

static void finish_moments(const at_launch *launch, const double *partial, void *array)
{
    const at_signature *signature = launch->signature;
    bool whole = signature->port[signature->inputs].access == AT_ACCESS_SCALAR;
    int64_t channels = launch->layout == AT_LAYOUT_FLAT ? 1 : launch->shape.channels;
    moments all = {0};
    for (int64_t channel = 0; channel < channels; channel++) {
        moments of = channel_moments(launch, partial, channel);
        if (whole)
            join_moments(&all, of);
        else
            store_moments(signature, array, channels, channel, of);
    }
    if (whole)
        store_moments(signature, array, 1, 0, all);
}

static void finish_sums(const at_launch *launch, void *const *ports, double *partial)
{
    const at_signature *signature = launch->signature;
    if (at_signature_is_moments(signature)) { /* and nothing else */
        finish_moments(launch, partial, ports[signature->inputs]);
        return;
    }
    int sum = 0;
    for (int i = signature->inputs; i < signature->ports; i++)
        for (int field = 0; field < at_reduction_fields(signature->port[i].reduction); field++, sum++)
            if (signature->port[i].access == AT_ACCESS_PLANE)
                finish_planes(launch, partial, sum, &signature->port[i], ports[i]);
            else
                finish_slot(launch, partial, sum, &signature->port[i], field, ports[i]);
}

typedef struct launch_cut {
    const at_launch *launch;
    actune_slice whole;
    int64_t step;
    char *scratch; /* of piece 0; NULL: none */
} launch_cut;

void at_launch_slice(const at_launch *launch, const actune_slice *slice)
{
    if (launch->function != NULL)
        launch->function(slice);
    else
        launch->interpret(launch->interpret_kernel, launch->layout, slice);
}

void *at_launch_scratch(const at_launch *launch, void *workspace)
{
    uintptr_t behind = (uintptr_t)workspace + launch->partial_bytes;
    return launch->scratch_bytes > 0 ? (char *)workspace + launch->partial_bytes + (-behind & (AT_ROW_SCRATCH_ALIGN - 1)) : NULL;
}

void at_launch_slice_with(const at_launch *launch, const actune_slice *slice, void *scratch)
{
    void *port[AT_PORTS_MAX + 1];
    actune_slice with = *slice;
    if (launch->scratch_bytes > 0) {
        memcpy(port, slice->port, (size_t)launch->signature->ports * sizeof *port);
        port[launch->signature->ports] = scratch;
        with.port = port;
    }
    at_launch_slice(launch, &with);
}

static void run_piece(void *user, int piece)
{
    const launch_cut *cut = user;
    actune_slice slice = cut->whole;
    slice.begin = piece * cut->step;
    slice.end = slice.begin + cut->step < cut->whole.end ? slice.begin + cut->step : cut->whole.end;
    if (slice.begin < slice.end)
        at_launch_slice_with(cut->launch, &slice, cut->scratch != NULL ? cut->scratch + (size_t)piece * cut->launch->scratch_bytes : NULL);
}

void at_launch_run(const at_launch *launch, at_pool *pool, void *const *ports, void *workspace)
{
    launch_cut cut = {.launch = launch,
                      .whole = {.port = ports,
                                .outer = launch->shape.outer,
                                .channels = launch->shape.channels,
                                .inner = launch->shape.inner,
                                .end = launch->total,
                                .partial = workspace}};
    cut.scratch = at_launch_scratch(launch, workspace);
    if (launch->total > 0 && launch->threads == 1) {
        at_launch_slice_with(launch, &cut.whole, cut.scratch);
    } else if (launch->total > 0) {
        cut.step = ceil_div(launch->total, launch->threads);
        if (launch->signature->slots == 0 && launch->scratch_bytes == 0)
            cut.step = ceil_div(cut.step, PIECE_ALIGN) * PIECE_ALIGN;
        at_pool_run(pool, launch->threads, run_piece, &cut);
    }
    if (launch->signature->slots > 0)
        finish_sums(launch, ports, workspace);
}
