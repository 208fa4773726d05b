/* cuDNN (8 and 9), loaded with dlopen: own prototypes, no headers. Numbers are those of cudnn_graph.h and cudnn_ops.h; they are ABI. */
#ifndef AT_BENCH_GPU_CUDNN_H
#define AT_BENCH_GPU_CUDNN_H

#include "runtime/base/status.h"

#include <stdint.h>

typedef struct gpu_cudnn_object *gpu_cudnn_object; /* handles and descriptors of every kind */

/* Every function that is called: all return a cudnnStatus_t (0 is success). */
#define GPU_CUDNN_FUNCTIONS(X)                                                                                                                \
    X(cudnnCreate, (gpu_cudnn_object *handle))                                                                                                \
    X(cudnnDestroy, (gpu_cudnn_object handle))                                                                                                \
    X(cudnnSetStream, (gpu_cudnn_object handle, void *stream))                                                                                \
    X(cudnnCreateTensorDescriptor, (gpu_cudnn_object *tensor))                                                                                \
    X(cudnnDestroyTensorDescriptor, (gpu_cudnn_object tensor))                                                                                \
    X(cudnnSetTensor4dDescriptor, (gpu_cudnn_object tensor, int format, int type, int n, int c, int h, int w))                                \
    X(cudnnCreateActivationDescriptor, (gpu_cudnn_object *activation))                                                                        \
    X(cudnnDestroyActivationDescriptor, (gpu_cudnn_object activation))                                                                        \
    X(cudnnSetActivationDescriptor, (gpu_cudnn_object activation, int mode, int nan, double coefficient))                                     \
    X(cudnnActivationForward, (gpu_cudnn_object handle, gpu_cudnn_object activation, const void *alpha, gpu_cudnn_object x_shape,              \
                               const void *x, const void *beta, gpu_cudnn_object y_shape, void *y))                                           \
    X(cudnnActivationBackward, (gpu_cudnn_object handle, gpu_cudnn_object activation, const void *alpha, gpu_cudnn_object y_shape,             \
                                const void *y, gpu_cudnn_object dy_shape, const void *dy, gpu_cudnn_object x_shape, const void *x,            \
                                const void *beta, gpu_cudnn_object dx_shape, void *dx))                                                       \
    X(cudnnBackendCreateDescriptor, (int kind, gpu_cudnn_object *descriptor))                                                                 \
    X(cudnnBackendDestroyDescriptor, (gpu_cudnn_object descriptor))                                                                           \
    X(cudnnBackendSetAttribute, (gpu_cudnn_object descriptor, int attribute, int type, int64_t count, const void *values))                    \
    X(cudnnBackendGetAttribute, (gpu_cudnn_object descriptor, int attribute, int type, int64_t room, int64_t *count, void *values))           \
    X(cudnnBackendFinalize, (gpu_cudnn_object descriptor))                                                                                    \
    X(cudnnBackendExecute, (gpu_cudnn_object handle, gpu_cudnn_object plan, gpu_cudnn_object pack))

typedef struct gpu_cudnn_api {
#define X(name, arguments) int(*name) arguments;
    GPU_CUDNN_FUNCTIONS(X)
#undef X
    const char *(*cudnnGetErrorString)(int status);
    size_t (*cudnnGetVersion)(void);
    gpu_cudnn_object handle; /* of the calling thread's context */
} gpu_cudnn_api;

/* Looks at ACTUNE_CUDNN, the loader's path, the folders of Python's nvidia packages; makes a handle. Once a process; a context is current.
   DEVICE, with where it looked. One thread. */
actune_status gpu_cudnn_get(const gpu_cudnn_api **api);
/* OK for 0, else DEVICE with cuDNN's words. */
actune_status gpu_cudnn_check(const char *call, int status);
#define GPU_CUDNN(api, function, arguments) gpu_cudnn_check(#function, (api)->function arguments)

/* cudnnDataType_t of an element type. */
int gpu_cudnn_type(actune_dtype dtype);

#endif
