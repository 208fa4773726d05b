/* What a variant's knobs mean for its launch. */
#include "emit_cuda.h"

#include "../runtime/base/dtype.h"
#include <stdlib.h>
#include <string.h>

static bool is_element(const at_port *port)
{
    return (port->access == AT_ACCESS_ELEMENT || port->access == AT_ACCESS_HALVES) && !port->reduction;
}

void at_cuda_scope_conversions(at_scope *scope, actune_dtype dtype, bool in, bool out)
{
    static const char *const names[][2] = {
#define AT_DTYPE(NAME, name, ...) [ACTUNE_##NAME] = {"uses_" name "_in", "uses_" name "_out"},
#include "../runtime/base/dtype.def"
#undef AT_DTYPE
    };
    at_scope_number(scope, names[dtype][0], -1, in);
    at_scope_number(scope, names[dtype][1], -1, out);
}

int64_t at_cuda_largest_bytes(const at_kernel *kernel)
{
    int64_t largest = 1;
    for (int i = 0; i < kernel->signature.ports; i++) {
        const at_port *port = &kernel->signature.port[i];
        int64_t bytes = at_dtype_get(port->dtype)->bytes;
        if (is_element(port) && bytes > largest)
            largest = bytes;
    }
    return largest;
}

int64_t at_cuda_smallest_bytes(const at_kernel *kernel)
{
    int64_t smallest = at_cuda_largest_bytes(kernel);
    for (int i = 0; i < kernel->signature.ports; i++) {
        const at_port *port = &kernel->signature.port[i];
        int64_t bytes = at_dtype_get(port->dtype)->bytes;
        if (is_element(port) && bytes < smallest)
            smallest = bytes;
    }
    return smallest;
}

int64_t at_cuda_input_bytes(const at_kernel *kernel)
{
    int64_t sum = 0;
    for (int i = 0; i < kernel->signature.ports; i++) {
        const at_port *port = &kernel->signature.port[i];
        if (is_element(port) && !port->is_output)
            sum += (port->access == AT_ACCESS_HALVES ? 2 : 1) * at_dtype_get(port->dtype)->bytes;
    }
    return sum;
}

bool at_cuda_narrow(const at_kernel *kernel)
{
    for (int i = 0; i < kernel->signature.ports; i++) {
        const at_port *port = &kernel->signature.port[i];
        const at_dtype_info *type = at_dtype_get(port->dtype);
        if (port->reduction || (port->is_output && (type->bytes > 2 || type->kind == AT_DTYPE_INTEGER)))
            return false;
    }
    return true;
}

static int64_t knob_number(const at_variant *variant, const char *name, int64_t fallback)
{
    const char *text = at_variant_knob(variant, name, NULL);
    return text ? strtoll(text, NULL, 10) : fallback;
}

static bool knob_is(const at_variant *variant, const char *name, const char *value)
{
    return !strcmp(at_variant_knob(variant, name, ""), value);
}

actune_status at_cuda_geometry_of(const at_kernel *kernel, const at_variant *variant, at_cuda_geometry *geometry)
{
    int64_t block = knob_number(variant, "block", 256), stages = knob_number(variant, "stages", 1);
    int64_t items = block * (knob_number(variant, "vector", 16) / at_cuda_largest_bytes(kernel)) * knob_number(variant, "vectors", 1);
    const char *grid = at_variant_knob(variant, "grid", "exact");
    bool is_row = kernel->signature.row.kind != AT_ROW_NONE;
    if (is_row)
        items = block * knob_number(variant, "items", 1);
    *geometry = (at_cuda_geometry){.block = (int)block,
                                   .items_per_block = items,
                                   .rows_per_block = !is_row ? 0 : knob_is(variant, "team", "warp") ? block / 32 : 1,
                                   .grid_stride = strcmp(grid, "exact") != 0,
                                   .blocks_per_sm = grid[0] == 'x' ? atoi(grid + 1) : 0,
                                   .min_blocks = (int)knob_number(variant, "min_blocks", 0),
                                   .flight_bytes = items * at_cuda_input_bytes(kernel) * (knob_is(variant, "copy", "prefetch") ? 2 : stages),
                                   .dependent = knob_is(variant, "dependent", "yes"),
                                   .in_place = knob_is(variant, "restrict", "no")};
    return ACTUNE_OK;
}

/* Sets an option under which the read-only path could be stale. */
static actune_status set_coherent(at_variant *variant, const char *option, const char *value)
{
    AT_TRY(at_variant_set(variant, option, value));
    return strcmp(at_variant_knob(variant, "load", "none"), "nc") ? ACTUNE_OK : at_variant_set(variant, "load", "none");
}

actune_status at_cuda_variant_in_place(at_variant *variant)
{
    return set_coherent(variant, "restrict", "no");
}

actune_status at_cuda_variant_overlap(at_variant *variant)
{
    return set_coherent(variant, "dependent", "yes");
}
