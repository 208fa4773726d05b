/* Who puts work on a stream. What is kept for one caller is used by one thread on one stream: its launches follow each other. */
#ifndef AT_BACKEND_CUDA_CALLER_H
#define AT_BACKEND_CUDA_CALLER_H

#include "cuda_device.h"

#include <stdint.h>

typedef struct at_cuda_caller {
    uintptr_t thread; /* one that no other living thread has, never 0; a later thread with the same one follows on the same stream */
    uint64_t stream;  /* the driver's unique id: handles come back after a stream is destroyed, and the per-thread default stream is one for many */
} at_cuda_caller;

/* The context is current. DEVICE. */
actune_status at_cuda_caller_get(const at_cuda_device *device, at_cu_stream stream, at_cuda_caller *caller);
/* The context is current. DEVICE. */
actune_status at_cuda_is_capturing(const at_cuda_device *device, at_cu_stream stream, bool *capturing);

#endif
