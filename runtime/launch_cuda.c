#include "launch_cuda.h"

#include "base/dtype.h"
#include "launch.h"

#include <limits.h>

static void add(at_cuda_extents *extents, int64_t value, bool is_int)
{
    extents->value[extents->count] = value;
    extents->is_int[extents->count++] = is_int;
}

void at_cuda_extents_fill(const at_signature *signature, at_layout layout, actune_shape shape, at_cuda_extents *extents, at_cuda_extents *finish)
{
    const at_chunk_plan chunk = at_chunk_plan_of(signature, layout, shape);
    const int64_t elements = shape.outer * shape.channels * shape.inner;
    *extents = *finish = (at_cuda_extents){.count = 0};
    if (layout == AT_LAYOUT_FLAT)
        add(extents, elements, false);
    else {
        add(extents, layout == AT_LAYOUT_CHANNEL_INNER ? shape.outer * shape.inner : shape.outer * shape.channels, false);
        add(extents, shape.channels, true);
        if (layout == AT_LAYOUT_CHANNEL_OUTER || signature->has_plane)
            add(extents, shape.inner, false);
    }
    add(finish, chunk.chunks, false);
    add(finish, layout == AT_LAYOUT_FLAT ? 1 : shape.channels, true);
    add(finish, layout == AT_LAYOUT_FLAT ? chunk.chunks : chunk.chunks_per_plane, false);
    if (at_signature_is_moments(signature))
        add(finish, layout == AT_LAYOUT_FLAT ? elements : layout == AT_LAYOUT_CHANNEL_INNER ? shape.outer : shape.inner, false);
}

/* Blocks that are resident at once on an SM. */
static actune_status resident_of(const at_cuda_kernel *built, int block, int *resident)
{
    bool pushed;
    AT_TRY(at_cuda_enter(built->device, &pushed));
    actune_status status = AT_CUDA(built->device->api, cuOccupancyMaxActiveBlocksPerMultiprocessor, (resident, built->main, block, 0));
    at_cuda_leave(built->device, pushed);
    return status;
}

static actune_status fill_grid(at_cuda_launch *launch, const at_kernel *kernel, at_layout layout, actune_shape shape,
                               const at_cuda_geometry *geometry)
{
    int resident = 0;
    AT_TRY(resident_of(launch->kernel, geometry->block, &resident));
    int64_t elements = shape.outer * shape.channels * shape.inner;
    int64_t blocks = elements > 0 ? at_cuda_blocks(kernel, layout, shape, geometry, launch->kernel->device->info.sms, resident > 0 ? resident : 1) : 0;
    if (blocks > INT_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "the shape needs %lld blocks, a grid has at most 2^31 - 1", (long long)blocks);
    launch->grid = (unsigned)blocks;
    if (kernel->signature.slots && elements > 0)
        launch->finish_grid = (unsigned)at_cuda_finish_blocks(kernel, layout, shape);
    return ACTUNE_OK;
}

actune_status at_cuda_launch_init(at_cuda_launch *launch, const at_cuda_kernel *built, const at_kernel *kernel, at_layout layout,
                                  actune_shape shape, const at_cuda_geometry *geometry)
{
    const at_signature *signature = &kernel->signature;
    at_launch sane;
    *launch = (at_cuda_launch){.kernel = built, .signature = signature, .block = (unsigned)geometry->block, .overlaps = geometry->dependent};
    AT_TRY(at_launch_init(&sane, signature, layout, shape, 1));
    if (shape.channels > INT_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "a CUDA kernel has at most 2^31 - 1 channels, not %lld", (long long)shape.channels);
    if (geometry->block > built->max_threads)
        return at_fail(ACTUNE_UNSUPPORTED, "a block of %d threads does not fit: with its %d registers this kernel runs with at most %d",
                       geometry->block, built->registers, built->max_threads);
    launch->workspace_bytes = sane.partial_bytes;
    for (int i = 0; i < signature->ports; i++)
        if (signature->port[i].reduction)
            launch->sum_bytes[i] = (size_t)at_port_count(&signature->port[i], shape) * (size_t)at_dtype_get(signature->port[i].dtype)->bytes;
    at_cuda_extents_fill(signature, layout, shape, &launch->extents, &launch->finish_extents);
    return fill_grid(launch, kernel, layout, shape, geometry);
}
