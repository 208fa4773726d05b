/* cuDNN (8 and 9), loaded with dlopen when somebody asks: own prototypes (cudnn_symbols.def), no headers, no link dependency. The only owner of
   its names and numbers; they are ABI. */
#ifndef AT_BACKEND_CUDNN_H
#define AT_BACKEND_CUDNN_H

#include "cuda_device.h"

#include <stdint.h>

typedef struct at_cudnn_handle_object *at_cudnn_handle;
typedef struct at_cudnn_tensor_object *at_cudnn_tensor;
typedef struct at_cudnn_activation_object *at_cudnn_activation;
typedef void *at_cudnn_descriptor; /* of the backend interface, any kind */

enum {
    /* cudnnTensorFormat_t, cudnnNanPropagation_t */
    AT_CUDNN_NCHW = 0,
    AT_CUDNN_DROP_NAN = 0,
    AT_CUDNN_PROPAGATE_NAN = 1,
    /* cudnnActivationMode_t */
    AT_CUDNN_SIGMOID = 0,
    AT_CUDNN_RELU = 1,
    AT_CUDNN_TANH = 2,
    AT_CUDNN_CLIPPED_RELU = 3,
    AT_CUDNN_ELU = 4,
    AT_CUDNN_SWISH = 6,
};

typedef struct at_cudnn_api {
#define AT_CUDNN_SYMBOL(type, name, arguments) type(*name) arguments;
#define AT_CUDNN_OPTIONAL(type, name, arguments) type(*name) arguments; /* NULL where cuDNN is older */
#include "cudnn_symbols.def"
#undef AT_CUDNN_SYMBOL
#undef AT_CUDNN_OPTIONAL
} at_cudnn_api;

/* Loads libcudnn (what ACTUNE_CUDNN names, else where library.h looks; ACTUNE_CUDNN=none: none), once a process; the answer is kept. DEVICE, in
   one line, when there is none. Any thread. */
actune_status at_cudnn_get(const at_cudnn_api **api);
/* "9.13.1" and the file it came from; DEVICE. Static texts. */
actune_status at_cudnn_version(const char **version, const char **path);

/* OK for 0; else NO_MEMORY, UNSUPPORTED (cuDNN does not do that) or DEVICE: which call, the code and cuDNN's words. */
actune_status at_cudnn_check(const char *call, int status);
/* AT_CUDNN(api, cudnnSetStream, (handle, stream)) */
#define AT_CUDNN(api, function, arguments) at_cudnn_check(#function, (api)->function arguments)

/* cudnnDataType_t of an element type. */
int at_cudnn_type(actune_dtype dtype);

/* A handle on `stream`, for one thread at a time. cudnnCreate takes milliseconds to seconds, allocates on the device and may wait for it. The
   device must outlive it. DEVICE, NO_MEMORY. */
actune_status at_cudnn_open(const at_cuda_device *device, at_cu_stream stream, at_cudnn_handle *handle);
void at_cudnn_close(const at_cuda_device *device, at_cudnn_handle handle); /* NULL is a no-op */

#endif
