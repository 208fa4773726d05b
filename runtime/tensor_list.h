/* A list of tensors cut into chunks, and what runs over them. Inside the runtime only. */
#ifndef AT_RUNTIME_TENSOR_LIST_H
#define AT_RUNTIME_TENSOR_LIST_H

#include "../codegen/list_kernel.h"
#include "context.h"
#include "list_cuda.h"
#include "workspace.h"

enum { AT_LIST_NORMS = 3 };

struct actune_tensor_list {
    actune_context *context;
    actune_dtype dtype;
    int tensors;
    int64_t elements, chunks;
    at_list_chunk *chunk;  /* tensors in order, each from its start */
    int64_t *first_chunk;  /* of each tensor, and of what would come behind the last */
    int64_t *piece_begin;  /* chunks of thread i: [i], [i + 1]; as many elements for each */
    int threads;
    at_pool *pool;            /* NULL when one thread does it */
    at_workspaces workspaces; /* a double a chunk */
    at_binary *binary;        /* NULL: plain loops */
    actune_kernel_fn norm[AT_LIST_NORMS], scale, clip;
    at_build_info build;
    at_strbuf note;
    at_list_cuda *cuda; /* NULL: the device is a CPU */
};

/* Plain loops over the chunks [begin, end): with the bits of the compiled kernels. */
void at_list_plain_norm(actune_dtype dtype, actune_norm norm, const actune_slice *slice);
void at_list_plain_scale(actune_dtype dtype, const actune_slice *slice);
void at_list_plain_clip(actune_dtype dtype, const actune_slice *slice);

/* Compiles or loads the kernels; without them the list has a note and runs plain loops. NO_MEMORY. */
actune_status at_list_load(actune_tensor_list *list);

#endif
