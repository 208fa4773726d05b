/* Statistics of a tensor: units (a group of a channel's planes, or rows of a block of channels) by shape alone, each one thread's, joined in
   order. */
#include "statistics.h"

#include "base/dtype.h"
#include "context.h"
#include <stdlib.h>
#include <string.h>

enum {
    UNITS_WANTED = 64, /* enough for any number of threads to share; part of what decides the bits */
    CHANNELS_AT_ONCE = 16,
    ROWS_AT_ONCE = 128,
    PIECES_MAX = 256,
    ALONE_BELOW = 16384 /* elements; done sooner than a second thread joins */
};

typedef struct job {
    const actune_statistics_desc *desc;
    actune_shape shape;          /* channels 1 when nobody asks for them */
    bool rows;                   /* inner is 1: rows of channels */
    int64_t segments;            /* of a plane, AT_BLOCK elements each */
    int64_t columns, groups;     /* units: columns * groups; a column is a channel, or a block of them */
    int64_t pieces;
    at_moments *moments;         /* [groups][channels] */
} job;

typedef float floats __attribute__((vector_size(4 * sizeof(float)), aligned(4), may_alias));
typedef double doubles __attribute__((vector_size(4 * sizeof(double)), aligned(8), may_alias));

static void widen(const float *from, int count, double *to)
{
    int i = 0;
    for (; i + 4 <= count; i += 4)
        *(doubles *)(to + i) = __builtin_convertvector(*(const floats *)(from + i), doubles);
    for (; i < count; i++)
        to[i] = from[i];
}

static void widen_bf16(const uint16_t *from, int count, double *to)
{
    for (int i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        to[i] = value;
    }
}

static void load(const actune_statistics_desc *desc, int64_t first, int count, double *to)
{
    switch (desc->dtype) {
    case ACTUNE_F32:
        widen((const float *)desc->data + first, count, to);
        break;
    case ACTUNE_F64:
        memcpy(to, (const double *)desc->data + first, (size_t)count * sizeof *to);
        break;
    case ACTUNE_F16:
        for (int i = 0; i < count; i++)
            to[i] = at_f16_to_double(((const uint16_t *)desc->data)[first + i]);
        break;
    case ACTUNE_BF16:
        widen_bf16((const uint16_t *)desc->data + first, count, to);
        break;
    default: /* of 8 bits */
        for (int i = 0; i < count; i++)
            to[i] = at_dtype_load(desc->dtype, desc->data, first + i);
    }
}

/* Segments first..end of one channel, counted through its planes. */
static void do_planes(const job *j, int64_t channel, int64_t first, int64_t end, at_moments *to)
{
    _Alignas(64) double x[AT_BLOCK];
    for (int64_t i = first; i < end; i++) {
        int64_t outer = i / j->segments, offset = i % j->segments * AT_BLOCK;
        int64_t left = j->shape.inner - offset;
        int count = left < AT_BLOCK ? (int)left : AT_BLOCK;
        load(j->desc, (outer * j->shape.channels + channel) * j->shape.inner + offset, count, x);
        at_moments m = at_moments_of(x, count, j->desc->clip_lo, j->desc->clip_hi);
        at_moments_join(to, &m);
    }
}

/* Rows first..end of a block of channels: turned around, so that a channel's numbers lie side by side. */
static void do_rows(const job *j, int64_t channel, int64_t first, int64_t end, at_moments *to)
{
    _Alignas(64) double x[CHANNELS_AT_ONCE][ROWS_AT_ONCE], row[CHANNELS_AT_ONCE];
    int64_t left = j->shape.channels - channel;
    int width = left < CHANNELS_AT_ONCE ? (int)left : CHANNELS_AT_ONCE;
    for (int64_t start = first; start < end; start += ROWS_AT_ONCE) {
        int height = end - start < ROWS_AT_ONCE ? (int)(end - start) : ROWS_AT_ONCE;
        for (int r = 0; r < height; r++) {
            load(j->desc, (start + r) * j->shape.channels + channel, width, row);
            for (int c = 0; c < width; c++)
                x[c][r] = row[c];
        }
        for (int c = 0; c < width; c++) {
            at_moments m = at_moments_of(x[c], height, j->desc->clip_lo, j->desc->clip_hi);
            at_moments_join(&to[c], &m);
        }
    }
}

/* items * group / groups, which may not fit in between. */
static int64_t cut(int64_t items, int64_t groups, int64_t group)
{
    return items / groups * group + items % groups * group / groups;
}

static void do_piece(void *user, int piece)
{
    const job *j = user;
    int64_t units = j->columns * j->groups;
    int64_t items = j->rows ? j->shape.outer : j->shape.outer * j->segments;
    for (int64_t unit = cut(units, j->pieces, piece); unit < cut(units, j->pieces, piece + 1); unit++) {
        int64_t group = unit % j->groups, channel = unit / j->groups * (j->rows ? CHANNELS_AT_ONCE : 1);
        at_moments *to = &j->moments[group * j->shape.channels + channel];
        (j->rows ? do_rows : do_planes)(j, channel, cut(items, j->groups, group), cut(items, j->groups, group + 1), to);
    }
}

static actune_status check(const actune_context *context, const actune_statistics_desc *desc, int64_t *count)
{
    const int64_t extent[] = {desc->shape.outer, desc->shape.channels, desc->shape.inner};
    int64_t product = 1;
    bool fits = true, empty = false;
    if (context && context->cuda)
        return at_fail(ACTUNE_UNSUPPORTED, "statistics are computed on the CPU: copy the tensor there and give a context of \"cpu\", or none");
    if (!at_dtype_get(desc->dtype))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "statistics: %d is no element type", (int)desc->dtype);
    for (int i = 0; i < 3; i++) {
        fits = fits && extent[i] >= 0 && (extent[i] == 0 || !__builtin_mul_overflow(product, extent[i], &product));
        empty = empty || extent[i] == 0;
    }
    if (!fits || product > INT64_C(1) << 56)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "statistics: the shape [%lld, %lld, %lld] has a negative extent or more than 2^56 elements",
                       (long long)extent[0], (long long)extent[1], (long long)extent[2]);
    *count = empty ? 0 : product;
    if (*count > 0 && !desc->data)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "statistics: data is NULL");
    return ACTUNE_OK;
}

static actune_statistics result_of(const at_moments *m)
{
    int64_t finite = m->count - m->nan - m->inf;
    return (actune_statistics){.count = m->count, .nonpositive = m->nonpositive, .zero = m->zero, .clipped = m->clipped, .nan = m->nan,
                               .inf = m->inf, .mean = m->mean, .variance = finite > 0 ? m->squares / (double)finite : 0, .absmax = m->absmax};
}

static actune_status run(actune_context *context, job *j, int64_t count)
{
    j->moments = calloc((size_t)j->groups * (size_t)j->shape.channels, sizeof *j->moments);
    if (!j->moments)
        return at_fail(ACTUNE_NO_MEMORY, "statistics: no memory for %lld channels", (long long)j->shape.channels);
    at_pool *pool = NULL;
    if (context && context->max_threads > 1 && count >= ALONE_BELOW) {
        actune_status status = at_context_pool(context, &pool);
        if (status) {
            free(j->moments);
            return status;
        }
    }
    int64_t units = j->columns * j->groups;
    j->pieces = !pool ? 1 : units < PIECES_MAX ? units : PIECES_MAX;
    if (pool)
        at_pool_run(pool, (int)j->pieces, do_piece, j);
    else
        do_piece(j, 0);
    return ACTUNE_OK;
}

static void finish(const job *j, actune_statistics *statistics)
{
    at_moments all = {0};
    actune_statistics *channels = j->desc->channels;
    for (int64_t c = 0; c < j->shape.channels; c++) {
        at_moments channel = {0};
        for (int64_t group = 0; group < j->groups; group++)
            at_moments_join(&channel, &j->moments[group * j->shape.channels + c]);
        if (channels)
            channels[c] = result_of(&channel);
        at_moments_join(&all, &channel);
    }
    *statistics = result_of(&all);
    statistics->channels = channels;
    statistics->channel_count = channels ? j->shape.channels : 0;
}

actune_status actune_statistics_compute(actune_context *context, const actune_statistics_desc *desc, actune_statistics *statistics)
{
    int64_t count = 0;
    if (!desc || !statistics)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "statistics: the description or the result is NULL");
    AT_TRY(check(context, desc, &count));
    job j = {.desc = desc, .shape = desc->shape};
    if (j.shape.channels_last)
        j.shape = (actune_shape){j.shape.outer * j.shape.inner, j.shape.channels, 1, false};
    if (!desc->channels)
        j.shape = (actune_shape){1, 1, count};
    if (count == 0) {
        for (int64_t c = 0; desc->channels && c < desc->shape.channels; c++)
            desc->channels[c] = (actune_statistics){0};
        *statistics = (actune_statistics){.channels = desc->channels, .channel_count = desc->channels ? desc->shape.channels : 0};
        return ACTUNE_OK;
    }
    j.rows = j.shape.inner == 1 && j.shape.channels > 1;
    j.segments = (j.shape.inner + AT_BLOCK - 1) / AT_BLOCK;
    j.columns = j.rows ? (j.shape.channels + CHANNELS_AT_ONCE - 1) / CHANNELS_AT_ONCE : j.shape.channels;
    int64_t items = j.rows ? j.shape.outer : j.shape.outer * j.segments;
    j.groups = j.columns >= UNITS_WANTED ? 1 : (UNITS_WANTED + j.columns - 1) / j.columns;
    j.groups = j.groups < items ? j.groups : items;
    AT_TRY(run(context, &j, count));
    finish(&j, statistics);
    free(j.moments);
    return ACTUNE_OK;
}
