/* How many blocks a launch has. Exported libraries compile this file in, so it needs no other of codegen. */
#include "emit_cuda.h"

#include "../runtime/base/kernel_abi.h"

static int64_t divided_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

int64_t at_cuda_chunks(at_layout layout, actune_shape shape)
{
    int64_t fit = AT_CHUNK_ELEMENTS / shape.channels / AT_SUM_ROWS * AT_SUM_ROWS;
    if (layout == AT_LAYOUT_CHANNEL_INNER)
        return divided_up(shape.outer, fit > AT_SUM_ROWS ? fit : AT_SUM_ROWS);
    if (layout == AT_LAYOUT_CHANNEL_OUTER)
        return shape.outer * shape.channels * divided_up(shape.inner, AT_CHUNK_ELEMENTS);
    return divided_up(shape.outer * shape.channels * shape.inner, AT_CHUNK_ELEMENTS);
}

int64_t at_cuda_finish_blocks(const at_kernel *kernel, at_layout layout, actune_shape shape)
{
    enum { CHANNELS_OF_A_BLOCK = 32 };
    bool per_channel = false;
    for (int i = 0; i < kernel->signature.ports; i++)
        per_channel |= kernel->signature.port[i].reduction && kernel->signature.port[i].access != AT_ACCESS_SCALAR;
    if (!per_channel || layout == AT_LAYOUT_FLAT)
        return 1;
    return layout == AT_LAYOUT_CHANNEL_INNER ? divided_up(shape.channels, CHANNELS_OF_A_BLOCK) : shape.channels;
}

int64_t at_cuda_blocks(const at_kernel *kernel, at_layout layout, actune_shape shape, const at_cuda_geometry *geometry, int sms, int resident)
{
    int64_t steps = divided_up(shape.outer * shape.channels * shape.inner, geometry->items_per_block);
    if (kernel->signature.slots)
        steps = at_cuda_chunks(layout, shape);
    else if (geometry->rows_per_block)
        steps = divided_up(shape.outer, geometry->rows_per_block);
    if (steps <= 1)
        return 1;
    if (!geometry->grid_stride)
        return steps;
    int64_t wanted = (int64_t)sms * (geometry->blocks_per_sm ? geometry->blocks_per_sm : resident > 0 ? resident : 1);
    if (wanted < 1)
        wanted = 1;
    if (geometry->blocks_per_sm)
        return steps < wanted ? steps : wanted;
    return divided_up(steps, divided_up(steps, wanted)); /* all do the same number of steps, the last ones less */
}
