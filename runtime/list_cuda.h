/* Lists of tensors on a CUDA device: a chunk table that stays there, and kernels. Inside the runtime only. */
#ifndef AT_RUNTIME_LIST_CUDA_H
#define AT_RUNTIME_LIST_CUDA_H

#include "../codegen/list_kernel.h"
#include "context.h"

typedef struct at_list_cuda at_list_cuda;

/* `chunk` is copied to the device; the context must outlive the list. */
actune_status at_list_cuda_open(actune_context *context, actune_dtype dtype, const at_list_chunk *chunk, int64_t chunks, at_list_cuda **list);
void at_list_cuda_close(at_list_cuda *list); /* NULL is a no-op */
const char *at_list_cuda_origin(const at_list_cuda *list);
size_t at_list_cuda_workspace(const at_list_cuda *list);

actune_status at_list_cuda_clip(const at_list_cuda *list, double limit, void *stream);
/* `measured`: the chunks that are read for the norm, the first ones. `result` NULL: not waited for. */
actune_status at_list_cuda_norm(const at_list_cuda *list, double max_norm, const actune_clip_norm_options *options, int64_t measured,
                                actune_clip_result *result);

#endif
