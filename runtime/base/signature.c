#include "signature.h"

static const char *const layout_names[] = {"flat", "channel_inner", "channel_outer"};

static const char *const reduction_names[] = {[AT_REDUCTION_NONE] = "", [AT_REDUCTION_SUM] = "sum", [AT_REDUCTION_MAX] = "max"};

const char *at_reduction_name(at_reduction reduction)
{
    return reduction_names[reduction];
}

const char *at_layout_name(at_layout layout)
{
    return layout_names[layout];
}

at_layout at_layout_of(const at_signature *signature, actune_shape shape)
{
    if (!signature->has_channel || shape.channels == 1)
        return AT_LAYOUT_FLAT;
    return shape.inner == 1 ? AT_LAYOUT_CHANNEL_INNER : AT_LAYOUT_CHANNEL_OUTER;
}

int64_t at_port_count(const at_port *port, actune_shape shape)
{
    switch (port->access) {
    case AT_ACCESS_ELEMENT:
        return shape.outer * shape.channels * shape.inner;
    case AT_ACCESS_CHANNEL:
        return shape.channels;
    case AT_ACCESS_RANDOM:
        return 2;
    case AT_ACCESS_SCALAR:
        break;
    }
    return 1;
}
