#include "launch.h"

#include "base/shape.h"

#include <stddef.h>

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
    int64_t elements = elements_of(shape);
    launch->total = elements;
    if (signature->slots > 0) {
        launch->chunk = at_chunk_plan_of(signature, layout, shape);
        launch->total = launch->chunk.chunks;
        int64_t doubles;
        if (__builtin_mul_overflow(launch->chunk.chunks, launch->chunk.slots, &doubles) ||
            doubles > INT64_MAX / (int64_t)sizeof(double))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the partial sums of shape [%lld, %lld, %lld] do not fit memory",
                           (long long)shape.outer, (long long)shape.channels, (long long)shape.inner);
        launch->workspace_bytes = (size_t)doubles * sizeof(double);
    }
    launch->threads = cap_threads(threads, elements, launch->total);
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

static void finish_sum(const at_launch *launch, double *partial, int sum, const at_port *port, void *array)
{
    int64_t channels = launch->layout == AT_LAYOUT_FLAT ? 1 : launch->shape.channels;
    int64_t columns = launch->layout == AT_LAYOUT_CHANNEL_INNER ? channels : 1;
    double fold = 0;
    if (launch->layout != AT_LAYOUT_CHANNEL_OUTER)
        fold_chunks(&launch->chunk, port->reduction, partial + sum * columns, columns);
    for (int64_t channel = 0; channel < channels; channel++) {
        double value = channel_sum(launch, port->reduction, partial, sum, channel);
        if (port->access == AT_ACCESS_SCALAR)
            fold = join(port->reduction, fold, value);
        else
            store_sum(port, array, channel, value);
    }
    if (port->access == AT_ACCESS_SCALAR)
        store_sum(port, array, 0, fold);
}

static void finish_sums(const at_launch *launch, void *const *ports, double *partial)
{
    const at_signature *signature = launch->signature;
    int sum = 0;
    for (int i = signature->inputs; i < signature->ports; i++)
        if (signature->port[i].reduction)
            (signature->port[i].access == AT_ACCESS_PLANE ? finish_planes : finish_sum)(launch, partial, sum++, &signature->port[i], ports[i]);
}

typedef struct launch_cut {
    const at_launch *launch;
    actune_slice whole;
    int64_t step;
} launch_cut;

void at_launch_slice(const at_launch *launch, const actune_slice *slice)
{
    if (launch->function != NULL)
        launch->function(slice);
    else
        launch->interpret(launch->interpret_kernel, launch->layout, slice);
}

static void run_piece(void *user, int piece)
{
    const launch_cut *cut = user;
    actune_slice slice = cut->whole;
    slice.begin = piece * cut->step;
    slice.end = slice.begin + cut->step < cut->whole.end ? slice.begin + cut->step : cut->whole.end;
    if (slice.begin < slice.end)
        at_launch_slice(cut->launch, &slice);
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
    if (launch->total > 0 && launch->threads == 1) {
        at_launch_slice(launch, &cut.whole);
    } else if (launch->total > 0) {
        cut.step = ceil_div(launch->total, launch->threads);
        if (launch->signature->slots == 0)
            cut.step = ceil_div(cut.step, PIECE_ALIGN) * PIECE_ALIGN;
        at_pool_run(pool, launch->threads, run_piece, &cut);
    }
    if (launch->signature->slots > 0)
        finish_sums(launch, ports, workspace);
}
