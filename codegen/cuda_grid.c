/* How many blocks a launch has. Exported libraries compile this file in, so it needs no other of codegen. */
#include "emit_cuda.h"

#include "../runtime/base/chunk.h"

static int64_t divided_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

int64_t at_cuda_finish_blocks(const at_kernel *kernel, at_layout layout, actune_shape shape)
{
    enum { CHANNELS_OF_A_BLOCK = 32, PLANES_OF_A_BLOCK = 256, BLOCKS_MAX = 4096 };
    const int64_t planes = divided_up(shape.outer * shape.channels, PLANES_OF_A_BLOCK);
    int64_t blocks = 1;
    for (int i = 0; i < kernel->signature.ports; i++) {
        const at_port *port = &kernel->signature.port[i];
        int64_t own = 1;
        if (port->access == AT_ACCESS_PLANE && port->reduction) /* their loop takes any grid */
            own = planes < BLOCKS_MAX ? planes : BLOCKS_MAX;
        else if (port->reduction && port->access != AT_ACCESS_SCALAR && layout != AT_LAYOUT_FLAT)
            own = layout == AT_LAYOUT_CHANNEL_INNER ? divided_up(shape.channels, CHANNELS_OF_A_BLOCK) : shape.channels;
        blocks = own > blocks ? own : blocks;
    }
    return blocks;
}

int64_t at_cuda_blocks(const at_kernel *kernel, at_layout layout, actune_shape shape, const at_cuda_geometry *geometry, int sms, int resident)
{
    int64_t steps = divided_up(shape.outer * shape.channels * shape.inner, geometry->items_per_block);
    if (kernel->signature.slots)
        steps = at_chunk_plan_of(&kernel->signature, layout, shape).chunks;
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
