/* Device memory, for the tuner and `actune apply`: allocate, fill, copy. All wait until they are done, but for at_cuda_copy. */
#ifndef AT_BACKEND_CUDA_MEMORY_H
#define AT_BACKEND_CUDA_MEMORY_H

#include "cuda_device.h"

/* At least 256-byte aligned; 0 bytes give a small piece. NO_MEMORY. */
actune_status at_cuda_allocate(const at_cuda_device *device, size_t bytes, void **memory);
void at_cuda_free(const at_cuda_device *device, void *memory); /* NULL is a no-op */
actune_status at_cuda_upload(const at_cuda_device *device, void *to, const void *from, size_t bytes);
actune_status at_cuda_download(const at_cuda_device *device, void *to, const void *from, size_t bytes);
actune_status at_cuda_fill(const at_cuda_device *device, void *memory, unsigned char value, size_t bytes);
/* From device memory to device memory, on `stream`: not waited for, may be captured. */
actune_status at_cuda_copy(const at_cuda_device *device, void *to, const void *from, size_t bytes, at_cu_stream stream);
actune_status at_cuda_free_bytes(const at_cuda_device *device, int64_t *bytes);
/* Waits for a stream (NULL: the default one). */
actune_status at_cuda_wait(const at_cuda_device *device, at_cu_stream stream);

#endif
