/* CUDA text of a kernel: header-free, for NVRTC. The scalar function is made from the graph, the loop comes from templates/cuda. */
#ifndef AT_CODEGEN_EMIT_CUDA_H
#define AT_CODEGEN_EMIT_CUDA_H

#include "generate.h"

/* How a generated kernel is launched: its first arguments are the port pointers in port order (sum outputs left out), then
     FLAT           long long n
     CHANNEL_INNER  long long rows, int channels
     CHANNEL_OUTER  long long planes, int channels, long long inner
   and with sums `double *partial` last ([chunk][slot], runtime/base/kernel_abi.h). */
typedef struct at_cuda_geometry {
    int block;               /* threads */
    int64_t items_per_block; /* elements that one block does in one step; with sums: one chunk a block */
    bool grid_stride;        /* any grid is right; otherwise the grid must cover all items */
} at_cuda_geometry;

/* Bytes of the widest element port: what a vector must hold at least. */
int64_t at_cuda_largest_bytes(const at_kernel *kernel);

actune_status at_cuda_geometry_of(const at_kernel *kernel, const at_variant *variant, at_cuda_geometry *geometry);

/* Appends the whole translation unit of one variant. `kernel` is not approximated: STRETCH nodes do not occur on CUDA. */
actune_status at_emit_cuda(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant, const char *symbol,
                           bool lines, at_strbuf *source);

#endif
