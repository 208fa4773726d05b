#include "signature.h"

static const char *const layout_names[] = {"flat", "channel_inner", "channel_outer"};

static const char *const reduction_names[] = {[AT_REDUCTION_NONE] = "", [AT_REDUCTION_SUM] = "sum", [AT_REDUCTION_MAX] = "max",
                                              [AT_REDUCTION_STATISTICS] = "statistics", [AT_REDUCTION_MOMENTS] = "moments"};

const char *at_reduction_name(at_reduction reduction)
{
    return reduction_names[reduction];
}

int at_reduction_fields(at_reduction reduction)
{
    static const int fields[] = {[AT_REDUCTION_NONE] = 0, [AT_REDUCTION_SUM] = 1, [AT_REDUCTION_MAX] = 1,
                                 [AT_REDUCTION_STATISTICS] = ACTUNE_STATISTICS_FIELDS, [AT_REDUCTION_MOMENTS] = AT_MOMENTS_SLOTS};
    return fields[reduction];
}

at_reduction at_port_field(const at_port *port, int field)
{
    if (port->reduction != AT_REDUCTION_STATISTICS)
        return port->reduction;
    return field == ACTUNE_STATISTICS_ABSMAX ? AT_REDUCTION_MAX : AT_REDUCTION_SUM;
}

const char *at_layout_name(at_layout layout)
{
    return layout_names[layout];
}

static bool is_rows(actune_shape shape)
{
    return shape.inner == 1 || shape.channels_last;
}

at_layout at_layout_of(const at_signature *signature, actune_shape shape)
{
    if (signature->row.kind != AT_ROW_NONE)
        return AT_LAYOUT_CHANNEL_INNER; /* at_launch_init refuses inner > 1 */
    if (signature->halves || signature->has_plane)
        return is_rows(shape) && shape.channels > 1 ? AT_LAYOUT_CHANNEL_INNER : AT_LAYOUT_CHANNEL_OUTER;
    if (!signature->has_channel || shape.channels == 1)
        return AT_LAYOUT_FLAT;
    return is_rows(shape) ? AT_LAYOUT_CHANNEL_INNER : AT_LAYOUT_CHANNEL_OUTER;
}

/* A HALVES port becomes its first half; gives its second one. */
static at_port split(at_port *port, const char *second_name)
{
    at_port second = *port;
    port->access = second.access = AT_ACCESS_ELEMENT;
    port->half = 1;
    second.half = 2;
    second.name = second_name;
    return second;
}

void at_signature_views(const at_signature *signature, at_signature *views)
{
    *views = *signature;
    for (int i = 0; i < views->ports; i++)
        views->port[i].buffer = i;
    if (!signature->halves)
        return;
    at_port second = split(&views->port[0], "x_second");
    for (int i = views->ports++; i > views->inputs; i--)
        views->port[i] = views->port[i - 1];
    views->port[views->inputs++] = second;
    at_port *dx = &views->port[views->inputs];
    if (dx->access == AT_ACCESS_HALVES)
        views->port[views->ports++] = split(dx, "dx_second");
}

bool at_signature_is_moments(const at_signature *signature)
{
    return signature->ports > signature->inputs && signature->port[signature->inputs].reduction == AT_REDUCTION_MOMENTS;
}

/* Generated kernels do the same (templates/cpu/row.c.in, templates/cuda/row.cu.in). */
int64_t at_row_kept(const at_row *row, int64_t channels)
{
    if (row->k >= 1)
        return (int64_t)row->k;
    int64_t share = (int64_t)(row->k * (double)channels + 0.5);
    return share < 1 ? 1 : share;
}

/* Of the result, for each channel. */
static int numbers_of(at_reduction reduction)
{
    return reduction == AT_REDUCTION_NONE ? 1 : reduction == AT_REDUCTION_MOMENTS ? (int)AT_MOMENTS_COUNT : at_reduction_fields(reduction);
}

int64_t at_port_count(const at_port *port, actune_shape shape)
{
    const int64_t each = numbers_of(port->reduction);
    switch (port->access) {
    case AT_ACCESS_ELEMENT:
        return shape.outer * shape.channels * shape.inner;
    case AT_ACCESS_HALVES:
        return 2 * shape.outer * shape.channels * shape.inner;
    case AT_ACCESS_PLANE:
        return shape.outer * shape.channels;
    case AT_ACCESS_CHANNEL:
        return each * shape.channels;
    case AT_ACCESS_RANDOM:
        return 2;
    case AT_ACCESS_SCALAR:
        break;
    }
    return each;
}
