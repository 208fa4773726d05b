/* One of cuDNN's functions made ready for one shape on one handle. */
#ifndef AT_BACKEND_CUDNN_LAUNCH_H
#define AT_BACKEND_CUDNN_LAUNCH_H

#include "cudnn.h"

typedef enum at_cudnn_algorithm {
    AT_CUDNN_LEGACY, /* cudnnActivationForward, cudnnActivationBackward */
    AT_CUDNN_GRAPH   /* a graph of pointwise operations */
} at_cudnn_algorithm;

enum {
    AT_CUDNN_ALIGNMENT = 16,  /* of every pointer, bytes: what cuDNN is told to count on */
    AT_CUDNN_CHOICES_MAX = 4, /* of a graph */
    AT_CUDNN_STEPS_MAX = 8,
    AT_CUDNN_PORTS_MAX = 8
};

/* One operation; a graph's are a chain. */
typedef struct at_cudnn_step {
    int mode;           /* LEGACY: cudnnActivationMode_t; GRAPH: cudnnPointwiseMode_t, forward or backward */
    double coefficient; /* ceiling of a relu (0: none), alpha of elu, beta of swish and softplus; else 0 */
    int operand;        /* GRAPH: the port that is added or multiplied; 0: none */
} at_cudnn_step;

/* What is computed, for any shape: alpha is 1, beta 0, tensors are contiguous. Ports forward: x, operands, y; backward (one step): x (or y), dy,
   dx. */
typedef struct at_cudnn_function {
    at_cudnn_algorithm algorithm;
    at_cudnn_step step[AT_CUDNN_STEPS_MAX];
    int steps; /* LEGACY: 1 */
    struct {
        actune_dtype dtype;
        bool channel; /* one value per channel */
    } port[AT_CUDNN_PORTS_MAX];
    int ports;
    bool propagate_nan; /* of relus */
    bool backward;      /* LEGACY wants x and y: it is given the one there is as both */
    int choice;         /* GRAPH: which of the engine configurations that cuDNN's heuristics offer, from 0 */
} at_cudnn_function;

typedef struct at_cudnn_launch at_cudnn_launch;

/* Descriptors (and, for a graph, cuDNN's plan, which may be compiled now, and its workspace) for one shape on `handle`, which must
   outlive the launch. A launch belongs to the handle's thread. UNSUPPORTED (no elements, more than an int counts, or cuDNN says so), NO_MEMORY,
   DEVICE. */
actune_status at_cudnn_launch_create(const at_cuda_device *device, at_cudnn_handle handle, const at_cudnn_function *function, actune_shape shape,
                                     at_cudnn_launch **launch);
void at_cudnn_launch_destroy(at_cudnn_launch *launch); /* NULL is a no-op */
/* Calls cuDNN on the handle's stream: asynchronous; of our own making there is no lock and no allocation here. `ports`: device pointers in port
   order, aligned to AT_CUDNN_ALIGNMENT; dx may be dy, y may be x (LEGACY). The first run of a launch may load code: not in a capture. */
actune_status at_cudnn_launch_run(const at_cudnn_launch *launch, void *const *ports);

#endif
