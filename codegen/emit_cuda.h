/* CUDA text of a kernel: header-free, for NVRTC. The scalar function is made from the graph, the loop comes from templates/cuda. */
#ifndef AT_CODEGEN_EMIT_CUDA_H
#define AT_CODEGEN_EMIT_CUDA_H

#include "generate.h"

/* How a generated kernel is launched: grid and block are one-dimensional, no dynamic shared memory. Its arguments are the port pointers in
   port order (sum outputs left out), then
     FLAT           long long n
     CHANNEL_INNER  long long rows, int channels, with per-plane ports long long inner (rows of an image)
     CHANNEL_OUTER  long long planes, int channels, long long inner
   and with sums `double *partial` last (at_chunk_plan's chunks * slots; it comes uninitialised). With sums `<symbol>_finish` follows, of
   the same block: the sum ports' pointers, const double *partial, long long chunks, int channels (FLAT: 1), long long inside (FLAT: chunks;
   CHANNEL_INNER: 0, with per-plane ports chunks of an image; CHANNEL_OUTER: chunks of one plane); for moments also long long extent
   (elements; rows; of one plane). */
typedef struct at_cuda_geometry {
    int block;               /* threads */
    int64_t items_per_block; /* elements that one block does in one step; with sums a step is one chunk */
    int64_t rows_per_block;  /* of a row kernel without sums, in one step; 0: not one */
    bool grid_stride;        /* any grid is right; otherwise the grid must cover all items */
    int blocks_per_sm;       /* of a grid-stride kernel: k blocks for each SM; 0: one wave, as many as are resident */
    int min_blocks;          /* of __launch_bounds__; 0: not asked for */
    int64_t flight_bytes;    /* that one block has under way at once: its loads before the first store, all stages */
    bool dependent;          /* to be launched with programmatic stream serialization */
    bool in_place;           /* y may be x */
} at_cuda_geometry;

/* The variables that the conversions in ptx.cu.in and helpers.cu.in ask about: `uses_<dtype>_in` and `_out`. */
void at_cuda_scope_conversions(at_scope *scope, actune_dtype dtype, bool in, bool out);

/* Bytes of the widest element port: what a vector must hold at least. */
int64_t at_cuda_largest_bytes(const at_kernel *kernel);
/* Of the narrowest, and of all inputs together. */
int64_t at_cuda_smallest_bytes(const at_kernel *kernel);
int64_t at_cuda_input_bytes(const at_kernel *kernel);
/* Every element output has at most 16 bits and is a float: rounded so that a few units of f32 do not show. */
bool at_cuda_narrow(const at_kernel *kernel);

actune_status at_cuda_geometry_of(const at_kernel *kernel, const at_variant *variant, at_cuda_geometry *geometry);
/* Makes it a variant that admits y over x (dx over dy): no pointer is said to be alone with its memory, and nothing is read through the
   read-only path. Errors as at_variant_set. */
actune_status at_cuda_variant_in_place(at_variant *variant);
/* Makes it a variant that may start before the kernel in front of it on the stream has ended: it waits before it reads or writes anything. */
actune_status at_cuda_variant_overlap(at_variant *variant);

/* Blocks of the launch on a device of `sms` SMs on which `resident` blocks of this kernel fit at once (at_cuda_resident_blocks). A wave is
   balanced: every block does the same number of steps, or one less. At least 1. */
int64_t at_cuda_blocks(const at_kernel *kernel, at_layout layout, actune_shape shape, const at_cuda_geometry *geometry, int sms, int resident);
/* Blocks of `<symbol>_finish`; for kernels with sums. */
int64_t at_cuda_finish_blocks(const at_kernel *kernel, at_layout layout, actune_shape shape);

/* Appends the whole translation unit of one variant. `kernel` is not approximated: STRETCH nodes do not occur on CUDA. */
actune_status at_emit_cuda(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant, const char *symbol,
                           bool lines, at_strbuf *source);

#endif
