/* Batches on a CUDA device: one kernel with all members' functions, tables that stay there. Inside the runtime only. */
#ifndef AT_RUNTIME_BATCH_CUDA_H
#define AT_RUNTIME_BATCH_CUDA_H

#include <actune/actune.h>

typedef struct at_batch_cuda at_batch_cuda;

/* Puts the source of the winner, or of the default, into a plan that is laid out: its `math` says how the plan of this member alone computes. IO without
   a cache, NO_MEMORY. */
actune_status at_batch_cuda_choose(const actune_context *context, actune_plan *plan);
/* The batch's members are there, laid out; it must outlive what is made. */
actune_status at_batch_cuda_open(const actune_batch *batch, at_batch_cuda **cuda);
void at_batch_cuda_close(at_batch_cuda *cuda); /* NULL is a no-op */
void at_batch_cuda_describe(const at_batch_cuda *cuda, actune_batch_info *info);
const char *at_batch_cuda_source(const at_batch_cuda *cuda);
/* Buffers and options were checked. */
actune_status at_batch_cuda_execute(const at_batch_cuda *cuda, const actune_buffer *buffers, const actune_batch_options *options);

#endif
