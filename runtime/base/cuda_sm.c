#include "cuda_sm.h"

#include <stddef.h>

/* CUDA C++ programming guide, "technical specifications per compute capability". Registers are 65536 for all of them. */
static const at_cuda_sm table[] = {
    {70, 2048, 32, 96 << 10, 96 << 10, 0},         {75, 1024, 16, 64 << 10, 64 << 10, 0},
    {80, 2048, 32, 164 << 10, 163 << 10, 1 << 10}, {86, 1536, 16, 100 << 10, 99 << 10, 1 << 10},
    {87, 1536, 16, 164 << 10, 163 << 10, 1 << 10}, {89, 1536, 24, 100 << 10, 99 << 10, 1 << 10},
    {90, 2048, 32, 228 << 10, 227 << 10, 1 << 10}, {100, 2048, 32, 228 << 10, 227 << 10, 1 << 10},
    {103, 2048, 32, 228 << 10, 227 << 10, 1 << 10}, {110, 1536, 24, 228 << 10, 227 << 10, 1 << 10},
    {120, 1536, 24, 100 << 10, 99 << 10, 1 << 10}, {121, 1536, 24, 100 << 10, 99 << 10, 1 << 10},
};

enum {
    SM_REGISTERS = 65536,
    SM_QUARTERS = 4,         /* a warp's registers come from one quarter of the SM */
    WARP_REGISTER_UNIT = 256, /* and in units of so many */
    SHARED_UNIT = 128,
};

at_cuda_sm at_cuda_sm_get(int arch)
{
    at_cuda_sm found = table[0];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].arch <= arch)
            found = table[i];
    return found;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int round_up(int value, int unit)
{
    return (value + unit - 1) / unit * unit;
}

int at_cuda_resident_blocks(int arch, int block, int registers, int shared_bytes)
{
    at_cuda_sm sm = at_cuda_sm_get(arch);
    if (block < 1 || block > 1024 || registers > 255 || shared_bytes < 0 || shared_bytes > sm.block_shared_bytes)
        return 0;
    int warps = (block + 31) / 32;
    int resident = smaller(sm.blocks, sm.threads / (warps * 32));
    if (registers > 0) {
        int of_a_warp = round_up(registers * 32, WARP_REGISTER_UNIT);
        int fit = SM_REGISTERS / SM_QUARTERS / of_a_warp * SM_QUARTERS;
        resident = smaller(resident, fit / warps);
    }
    int shared = round_up(shared_bytes + sm.reserved_bytes, SHARED_UNIT);
    return shared > 0 ? smaller(resident, sm.shared_bytes / shared) : resident;
}
