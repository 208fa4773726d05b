/* One of cuDNN's functions made ready for one shape on one handle. */
#ifndef AT_BACKEND_CUDNN_LAUNCH_H
#define AT_BACKEND_CUDNN_LAUNCH_H

#include "cudnn.h"

typedef enum at_cudnn_algorithm {
    AT_CUDNN_LEGACY, /* cudnnActivationForward, cudnnActivationBackward */
    AT_CUDNN_GRAPH   /* a graph of one pointwise operation */
} at_cudnn_algorithm;

/* What is computed, for any shape: alpha is 1, beta 0, tensors are contiguous. Forward: x -> y; backward: x (or y), dy -> dx. */
typedef struct at_cudnn_function {
    at_cudnn_algorithm algorithm;
    int mode;           /* LEGACY: cudnnActivationMode_t; GRAPH: cudnnPointwiseMode_t, forward or backward */
    double coefficient; /* ceiling of a clipped relu, alpha of elu, beta of swish and softplus; else 0 */
    bool propagate_nan; /* of the two relus */
    bool backward;      /* LEGACY wants x and y: it is given the one there is as both */
    int choice;         /* GRAPH: which of the engine configurations that cuDNN's heuristics offer, from 0 */
    actune_dtype dtype; /* of all ports */
} at_cudnn_function;

enum {
    AT_CUDNN_ALIGNMENT = 16,  /* of every pointer, bytes: what cuDNN is told to count on */
    AT_CUDNN_CHOICES_MAX = 4, /* GRAPH */
};

typedef struct at_cudnn_launch at_cudnn_launch;

/* Descriptors (and, for a graph, cuDNN's plan, which may be compiled now, and its workspace) for `elements` elements on `handle`, which must
   outlive the launch. A launch belongs to the handle's thread. UNSUPPORTED (no elements, more than an int counts, or cuDNN says so), NO_MEMORY,
   DEVICE. */
actune_status at_cudnn_launch_create(const at_cuda_device *device, at_cudnn_handle handle, const at_cudnn_function *function, int64_t elements,
                                     at_cudnn_launch **launch);
void at_cudnn_launch_destroy(at_cudnn_launch *launch); /* NULL is a no-op */
/* Calls cuDNN on the handle's stream: asynchronous; of our own making there is no lock and no allocation here. `ports`: device pointers in port
   order, aligned to AT_CUDNN_ALIGNMENT; dx may be dy, y may be x (LEGACY). The first run of a launch may load code: not in a capture. */
actune_status at_cudnn_launch_run(const at_cudnn_launch *launch, void *const *ports);

#endif
