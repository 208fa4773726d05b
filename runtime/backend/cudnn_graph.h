/* cuDNN's backend interface: a graph of pointwise operations. Inside the back end; cudnn_launch.h is what others use. */
#ifndef AT_BACKEND_CUDNN_GRAPH_H
#define AT_BACKEND_CUDNN_GRAPH_H

#include "cudnn_launch.h"

typedef struct at_cudnn_graph at_cudnn_graph;

/* The context is current. UNSUPPORTED where the heuristics have no such choice, or cuDNN does not build it. */
actune_status at_cudnn_graph_create(const at_cuda_device *device, at_cudnn_handle handle, const at_cudnn_function *function, actune_shape shape,
                                    at_cudnn_graph **graph);
void at_cudnn_graph_destroy(at_cudnn_graph *graph); /* NULL is a no-op */
/* The context is current. */
actune_status at_cudnn_graph_run(const at_cudnn_graph *graph, void *const *ports);

#endif
