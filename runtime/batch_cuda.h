/* Batches on a CUDA device: one kernel with all members' functions, tables that stay there. Inside the runtime only. */
#ifndef AT_RUNTIME_BATCH_CUDA_H
#define AT_RUNTIME_BATCH_CUDA_H

#include <actune/actune.h>

typedef struct at_batch_cuda at_batch_cuda;

/* The batch's members are there, laid out; it must outlive what is made. */
actune_status at_batch_cuda_open(const actune_batch *batch, at_batch_cuda **cuda);
void at_batch_cuda_close(at_batch_cuda *cuda); /* NULL is a no-op */
void at_batch_cuda_describe(const at_batch_cuda *cuda, actune_batch_info *info);
const char *at_batch_cuda_source(const at_batch_cuda *cuda);
/* Buffers and options were checked. */
actune_status at_batch_cuda_execute(const at_batch_cuda *cuda, const actune_buffer *buffers, const actune_batch_options *options);

#endif
