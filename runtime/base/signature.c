#include "signature.h"

static const char *const layout_names[] = {"flat", "channel_inner", "channel_outer"};

static const char *const reduction_names[] = {[AT_REDUCTION_NONE] = "", [AT_REDUCTION_SUM] = "sum", [AT_REDUCTION_MAX] = "max",
                                              [AT_REDUCTION_STATISTICS] = "statistics"};

const char *at_reduction_name(at_reduction reduction)
{
    return reduction_names[reduction];
}

int at_reduction_fields(at_reduction reduction)
{
    return reduction == AT_REDUCTION_STATISTICS ? ACTUNE_STATISTICS_FIELDS : reduction != AT_REDUCTION_NONE;
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

at_layout at_layout_of(const at_signature *signature, actune_shape shape)
{
    if (signature->row.kind != AT_ROW_NONE)
        return AT_LAYOUT_CHANNEL_INNER; /* at_launch_init refuses inner > 1 */
    if (!signature->has_channel || shape.channels == 1)
        return AT_LAYOUT_FLAT;
    return shape.inner == 1 ? AT_LAYOUT_CHANNEL_INNER : AT_LAYOUT_CHANNEL_OUTER;
}

/* Generated kernels do the same (templates/cpu/row.c.in, templates/cuda/row.cu.in). */
int64_t at_row_kept(const at_row *row, int64_t channels)
{
    if (row->k >= 1)
        return (int64_t)row->k;
    int64_t share = (int64_t)(row->k * (double)channels + 0.5);
    return share < 1 ? 1 : share;
}

int64_t at_port_count(const at_port *port, actune_shape shape)
{
    int64_t each = port->reduction == AT_REDUCTION_STATISTICS ? ACTUNE_STATISTICS_FIELDS : 1;
    switch (port->access) {
    case AT_ACCESS_ELEMENT:
        return shape.outer * shape.channels * shape.inner;
    case AT_ACCESS_CHANNEL:
        return shape.channels * each;
    case AT_ACCESS_RANDOM:
        return 2;
    case AT_ACCESS_SCALAR:
        break;
    }
    return each;
}
