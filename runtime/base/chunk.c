#include "chunk.h"

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

at_chunk_plan at_chunk_plan_of(const at_signature *signature, at_layout layout, actune_shape shape)
{
    int64_t elements = shape.outer * shape.channels * shape.inner;
    at_chunk_plan plan = {.slots = signature->slots};
    switch (layout) {
    case AT_LAYOUT_FLAT:
        plan.chunks = ceil_div(elements, AT_CHUNK_ELEMENTS);
        break;
    case AT_LAYOUT_CHANNEL_INNER:
        plan.slots = signature->slots * shape.channels;
        plan.rows_per_chunk = AT_SUM_ROWS;
        if (shape.channels > 0 && AT_CHUNK_ELEMENTS / shape.channels > AT_SUM_ROWS)
            plan.rows_per_chunk = AT_CHUNK_ELEMENTS / shape.channels / AT_SUM_ROWS * AT_SUM_ROWS;
        plan.chunks_per_plane = signature->has_plane ? ceil_div(shape.inner, plan.rows_per_chunk) : 0;
        plan.chunks = signature->has_plane ? shape.outer * plan.chunks_per_plane : ceil_div(shape.outer, plan.rows_per_chunk);
        if (elements == 0)
            plan.chunks = 0;
        break;
    case AT_LAYOUT_CHANNEL_OUTER:
        plan.chunks_per_plane = ceil_div(shape.inner, AT_CHUNK_ELEMENTS);
        plan.chunks = shape.outer * shape.channels * plan.chunks_per_plane;
        break;
    }
    return plan;
}
