#include "cuda_static.h"

#include "../runtime/backend/cubin.h"
#include "../runtime/backend/nvrtc.h"
#include "../runtime/base/cuda_sm.h"
#include <string.h>

static const char symbol[] = "actune_kernel"; /* the same for all: names are not in the machine code */

static actune_status read_binary(const at_target *target, const at_nvrtc_output *output, at_cuda_static *out)
{
    at_cubin_kernel kernel;
    AT_TRY(at_cubin_read(output->code, output->bytes, symbol, &kernel));
    out->code_hash = kernel.code_hash;
    out->code_bytes = kernel.code_bytes;
    out->registers = kernel.registers >= 0 ? kernel.registers : output->registers;
    out->shared_bytes = kernel.shared_bytes >= 0 ? kernel.shared_bytes : output->shared_bytes;
    out->spill_bytes = output->spill_bytes;
    int block = out->geometry.block;
    out->resident_blocks = at_cuda_resident_blocks(target->cuda_arch, block, out->registers, out->shared_bytes);
    out->occupancy = (double)out->resident_blocks * block / at_cuda_sm_get(target->cuda_arch).threads;
    out->flight_bytes = out->resident_blocks * out->geometry.flight_bytes;
    return ACTUNE_OK;
}

static actune_status compile(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant,
                             at_strbuf *source, at_cuda_static *out)
{
    at_generate_options options = {.symbol = symbol, .pretty = true};
    at_nvrtc_output output;
    AT_TRY(at_cuda_geometry_of(kernel, variant, &out->geometry));
    AT_TRY(at_generate(kernel, layout, target, variant, &options, source));
    AT_TRY(at_nvrtc_compile(at_strbuf_text(source), "kernel.cu", target->cuda_arch, true, &output));
    actune_status status = read_binary(target, &output, out);
    at_nvrtc_output_clear(&output);
    return status;
}

actune_status at_cuda_static_read(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant,
                                  at_cuda_static *out)
{
    at_strbuf source = {0};
    *out = (at_cuda_static){.registers = -1, .spill_bytes = -1, .shared_bytes = -1, .twin = -1};
    out->status = compile(kernel, layout, target, variant, &source, out);
    at_strbuf_clear(&source);
    if (out->status)
        out->dropped = "cannot be compiled";
    return out->status == ACTUNE_DEVICE || out->status == ACTUNE_NO_MEMORY ? out->status : ACTUNE_OK;
}

static bool same_machine_code(const at_cuda_static *a, const at_cuda_static *b)
{
    return !strcmp(a->code_hash.hex, b->code_hash.hex) && a->registers == b->registers && a->shared_bytes == b->shared_bytes;
}

static bool same_launch(const at_cuda_geometry *a, const at_cuda_geometry *b)
{
    return a->block == b->block && a->items_per_block == b->items_per_block && a->grid_stride == b->grid_stride &&
           a->blocks_per_sm == b->blocks_per_sm && a->dependent == b->dependent && a->in_place == b->in_place;
}

static void mark_twins(at_cuda_static *entries, int count)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i && !entries[i].dropped; k++) {
            bool same = !entries[k].dropped && same_machine_code(&entries[k], &entries[i]);
            if (!same || !same_launch(&entries[k].geometry, &entries[i].geometry))
                continue;
            entries[i].twin = k;
            entries[i].dropped = "the same machine code as a variant before it";
        }
}

static bool spills(const at_cuda_static *entry, int64_t unused)
{
    (void)unused;
    return entry->spill_bytes > 0;
}

static bool fits_nowhere(const at_cuda_static *entry, int64_t unused)
{
    (void)unused;
    return entry->resident_blocks == 0;
}

static bool flies_low(const at_cuda_static *entry, int64_t wanted)
{
    return entry->flight_bytes < wanted / 2;
}

/* Drops all that `is_worse` holds of, where one is left of which it does not hold. */
static void drop_if(at_cuda_static *entries, int count, bool (*is_worse)(const at_cuda_static *, int64_t), int64_t value, const char *why)
{
    bool better = false;
    for (int i = 0; i < count; i++)
        better |= !entries[i].dropped && !is_worse(&entries[i], value);
    for (int i = 0; better && i < count; i++)
        if (!entries[i].dropped && is_worse(&entries[i], value))
            entries[i].dropped = why;
}

void at_cuda_static_drop(at_cuda_static *entries, int count, int64_t wanted_flight_bytes)
{
    mark_twins(entries, count);
    drop_if(entries, count, fits_nowhere, 0, "does not fit on an SM");
    drop_if(entries, count, spills, 0, "spills registers to memory");
    drop_if(entries, count, flies_low, wanted_flight_bytes, "too few bytes under way to fill the memory's bandwidth");
}

int64_t at_cuda_wanted_flight(double bandwidth_gbps, int sms, double latency_ns)
{
    return sms > 0 ? (int64_t)(bandwidth_gbps * latency_ns / sms) : 0;
}
