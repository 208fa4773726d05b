/* Blocks that fit on an SM, by hand from the published limits; grids of launches. */
#include "runtime/base/cuda_sm.h"

#include "codegen/emit_cuda.h"

#include <criterion/criterion.h>

Test(cuda_sm, resident_blocks)
{
    static const struct {
        int arch, block, registers, shared, blocks;
    } cases[] = {
        {90, 256, 32, 0, 8},        /* threads: 2048 / 256 */
        {90, 256, 33, 0, 6},        /* 40 registers in units: 1280 a warp, 12 warps a quarter, 48 in all */
        {90, 1024, 64, 0, 1},       /* 2048 a warp: 32 warps */
        {90, 1024, 65, 0, 0},       /* 28 warps */
        {90, 64, 16, 0, 32},        /* blocks */
        {86, 64, 16, 0, 16},        /* blocks of sm_86 */
        {86, 256, 32, 0, 6},        /* threads: 1536 */
        {120, 256, 32, 0, 6},
        {75, 256, 32, 0, 4},
        {90, 256, 32, 48 << 10, 4}, /* 228 KiB by 49 */
        {80, 256, 32, 48 << 10, 3}, /* 164 by 49 */
        {90, 256, 32, 1, 8},
        {90, 128, 255, 0, 2},       /* 8192 a warp: 2 a quarter */
        {90, 100, 32, 0, 16},       /* 4 whole warps a block */
        {90, 256, -1, 0, 8},        /* registers unknown */
        {90, 2048, 32, 0, 0},
        {90, 256, 32, 300 << 10, 0},
        {999, 256, 32, 0, 6},       /* as the newest that is known */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(at_cuda_resident_blocks(cases[i].arch, cases[i].block, cases[i].registers, cases[i].shared), cases[i].blocks,
                     "case %zu: %d", i, at_cuda_resident_blocks(cases[i].arch, cases[i].block, cases[i].registers, cases[i].shared));
    cr_expect_eq(at_cuda_sm_get(90).threads, 2048);
    cr_expect_eq(at_cuda_sm_get(92).arch, 90);
    cr_expect_eq(at_cuda_sm_get(50).arch, 70);
}

Test(cuda_sm, grids)
{
    at_kernel kernel = {.signature = {.slots = 0}};
    at_cuda_geometry exact = {.block = 256, .items_per_block = 1024};
    at_cuda_geometry wave = {.block = 256, .items_per_block = 1024, .grid_stride = true};
    at_cuda_geometry two = {.block = 256, .items_per_block = 1024, .grid_stride = true, .blocks_per_sm = 2};
    static const struct {
        int64_t n, exact, wave, two;
    } cases[] = {
        {0, 1, 1, 1},       {1, 1, 1, 1},         {1024, 1, 1, 1},          {1025, 2, 2, 2},
        {1024 * 80, 80, 80, 20}, {1024 * 81, 81, 41, 20}, {1024 * 1000, 1000, 77, 20}, /* 13 rounds of 80: 77 blocks do all */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        actune_shape shape = {1, 1, cases[i].n};
        cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_FLAT, shape, &exact, 10, 8), cases[i].exact, "case %zu", i);
        cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_FLAT, shape, &wave, 10, 8), cases[i].wave, "case %zu", i);
        cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_FLAT, shape, &two, 10, 8), cases[i].two, "case %zu", i);
    }
    kernel.signature.slots = 1; /* a step is a chunk */
    cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_FLAT, (actune_shape){1, 1, 16385}, &two, 10, 8), 2);
    kernel.signature.has_channel = true;
    cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_CHANNEL_INNER, (actune_shape){1000, 64, 1}, &two, 10, 8), 4); /* 256 rows */
    cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_CHANNEL_INNER, (actune_shape){200, 5000, 1}, &two, 10, 8), 13); /* 16 rows at least */
    cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_CHANNEL_OUTER, (actune_shape){1, 5, 16385}, &two, 10, 8), 10);
    kernel.signature.has_plane = true; /* no chunk has rows of two images */
    cr_expect_eq(at_cuda_blocks(&kernel, AT_LAYOUT_CHANNEL_INNER, (actune_shape){3, 64, 300, true}, &two, 10, 8), 6);
}
