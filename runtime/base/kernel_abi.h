/* What a generated CPU kernel is called with, and how work is cut. Generated source repeats the struct (it includes
   nothing), so a change here changes templates/cpu/prelude.c.in and AT_KERNEL_ABI. */
#ifndef AT_BASE_KERNEL_ABI_H
#define AT_BASE_KERNEL_ABI_H

#include <stdint.h>

enum { AT_KERNEL_ABI = 1 };

/* One call does the slice [begin, end). Kernels without sums: in elements of the flattened tensor, any cut is allowed (pieces
   of rows and planes too). Kernels with sums: in chunks (below); sums are left in `partial`, the caller adds them up
   in chunk order (at_finish_sums). */
typedef struct actune_slice {
    void *const *port; /* base pointers, in the kernel's port order; sum outputs unused here */
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;   /* sums: [chunk][slot] (chunk counted from 0 of the whole tensor), see at_chunk_plan */
} actune_slice;

typedef void (*actune_kernel_fn)(const actune_slice *slice);

/* Chunks are cut by the shape alone, so the bits of a sum do not depend on threads or variant.
   FLAT: 16384 consecutive elements; slots = the signature's (one a sum or maximum, two of moments).
   CHANNEL_INNER: `rows` whole rows, slots = those * channels, sum-major; rows = 16384 / channels rounded down to a multiple of
   16, at least 16 (the kernel computes it from `channels` too). With per-plane ports no chunk has rows of two images.
   CHANNEL_OUTER: at most 16384 consecutive elements of one plane (ceil(inner / 16384) chunks a plane); slots as FLAT.
   A scalar sum in a channel layout is kept per channel and folded over channels at the end; that of a plane is folded over its chunks alone.
   A kernel sets every slot of its chunks (the memory comes uninitialised) and touches no other slot. Sums are numbered in port order.
   Inside a chunk (all layouts but CHANNEL_INNER): 32 virtual lanes, element i of the chunk goes to lane i % 32, f32 adds in order
   within blocks of 512 elements; after each block the lanes are added in order into the f64 partial (f64 kernels: f64 throughout).
   CHANNEL_INNER: per channel, f32 adds in row order within blocks of 16 rows, then into the f64 partial.
   A maximum takes a slot as a sum does: the largest of 0 and its elements that are no NaN (whose order decides nothing).
   Statistics take ACTUNE_STATISTICS_FIELDS slots. Their sum and squares are made of distances from the chunk's first value, from which they are brought back in
   f64 at the end of the chunk; a block of 512 elements (16 rows) in which they are not finite is done again in f64, without what is not finite.
   Moments (AT_REDUCTION_MOMENTS) are cut alike and leave their mean and the sum of squared distances from it. Within a block each
   lane (of CHANNEL_INNER: each channel) adds up distances from its first value, and their squares, in f32; blocks are joined in f64. So what
   is rounded in f32 is never larger than 17 times what it adds to the variance, wherever the mean lies. Chunks are joined as Chan, Golub
   and LeVeque (1979) join samples. */
typedef struct at_chunk_plan {
    int64_t chunks;
    int64_t slots;          /* doubles of one chunk */
    int64_t rows_per_chunk; /* CHANNEL_INNER */
    int64_t chunks_per_plane; /* CHANNEL_OUTER; CHANNEL_INNER with per-plane ports: of an image */
} at_chunk_plan;

/* Row kernels (at_signature.row): without sums [begin, end) are rows; the pointer behind the last port is scratch of this call alone, aligned to
   64 bytes: AT_ROW_SCRATCH_ARRAYS arrays and one for each sum, each of as many doubles as channels, filled up to a whole number of
   AT_ROW_SCRATCH_PAD and with one of them more (whole vectors are written, and a sample taken). Compiled kernels keep keys, a copy of those that are
   still in question, and values of the compute type there; the interpreter values and their order. */
enum { AT_ROW_SCRATCH_ARRAYS = 3, AT_ROW_SCRATCH_PAD = 64, AT_ROW_SCRATCH_ALIGN = 64 };

enum { AT_CHUNK_ELEMENTS = 16384, AT_SUM_LANES = 32, AT_SUM_BLOCK = 512, AT_SUM_ROWS = 16 };

#endif
