/* The handles of a context: one for each thread and stream that asked, shared by all plans. */
#ifndef AT_BACKEND_CUDNN_HANDLES_H
#define AT_BACKEND_CUDNN_HANDLES_H

#include "cuda_caller.h"
#include "cudnn.h"

#include <pthread.h>

enum { AT_CUDNN_HANDLES_MAX = 64 };

typedef struct at_cudnn_handles {
    pthread_mutex_t lock;
    int count;
    struct {
        at_cuda_caller caller;
        at_cudnn_handle handle;
    } of[AT_CUDNN_HANDLES_MAX];
} at_cudnn_handles;

void at_cudnn_handles_init(at_cudnn_handles *handles);
void at_cudnn_handles_clear(at_cudnn_handles *handles, const at_cuda_device *device);
/* The caller's, made now when there is none. DEVICE (no cuDNN; its call and code; or as many callers as there may be), NO_MEMORY. Any thread; not
   while the stream is captured. */
actune_status at_cudnn_handles_get(at_cudnn_handles *handles, const at_cuda_device *device, at_cu_stream stream, const at_cuda_caller *caller,
                                   at_cudnn_handle *handle);

#endif
