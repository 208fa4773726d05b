/* Kernels over a list of tensors: norms, scaling and clipping of all of them in one call. They have no spec and no graph; what
   varies is the element type and the templates' knobs (templates/cpu/list_norm.c.in, list_scale.c.in). */
#ifndef AT_CODEGEN_LIST_KERNEL_H
#define AT_CODEGEN_LIST_KERNEL_H

#include "template.h"
#include "variant.h"

/* Tensors are cut into pieces of this many elements, the last one of each shorter: by the shapes alone. */
enum { AT_LIST_CHUNK = 16384 };

/* What a CPU kernel finds at port[0]; port[1] of scale and clip is a double. begin and end count chunks. */
typedef struct at_list_chunk {
    void *data;
    int64_t count; /* 1 to AT_LIST_CHUNK */
} at_list_chunk;

/* Functions of the unit: AT_LIST_SYMBOL and "_norm0" (sums of squares), "_norm1" (largest magnitudes), "_norm2" (sums of magnitudes),
   which leave one double a chunk in `partial`; "_scale" and "_clip". */
#define AT_LIST_SYMBOL "actune_list"

/* Appends a translation unit for lists of `dtype` on a CPU. Variants are texts ("cpu/list_norm width=32"); NULL: the first that the
   target has. UNSUPPORTED for knobs that the target does not have. */
actune_status at_generate_list(actune_dtype dtype, const at_target *target, const char *norm_variant, const char *scale_variant,
                               at_strbuf *source);

/* Threads of a block of the CUDA kernels. */
enum { AT_LIST_BLOCK = 256 };

/* The same for CUDA, a unit for each template. `variant`, with knobs or without: "cuda/list_norm": AT_LIST_SYMBOL (chunks, their count, actune_norm,
   partial) and then AT_LIST_SYMBOL "_finish" (chunks, count, norm, partial, chunks that have one, sums of others, their count, whether they are f64, bits of
   max_norm, flags, actune_clip_result), which scales too;
   "cuda/list_clip": AT_LIST_SYMBOL (chunks, count, bits of the limit). */
actune_status at_generate_list_cuda(actune_dtype dtype, const at_target *target, const char *variant, at_strbuf *source);

#endif
