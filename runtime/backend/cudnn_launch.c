/* The legacy functions; cudnn_graph.c has the other way. */
#include "cudnn_graph.h"

#include <limits.h>
#include <stdlib.h>

enum { COLUMNS = 4096 };

struct at_cudnn_launch {
    const at_cuda_device *device;
    const at_cudnn_api *api;
    at_cudnn_handle handle;
    at_cudnn_function function;
    at_cudnn_activation activation;
    at_cudnn_tensor shape; /* of all tensors */
    at_cudnn_graph *graph; /* GRAPH */
};

/* cuDNN's alpha and beta: doubles for f64, else floats. */
static const void *number(const at_cudnn_launch *launch, int value)
{
    static const float floats[] = {0, 1};
    static const double doubles[] = {0, 1};
    return launch->function.port[0].dtype == ACTUNE_F64 ? (const void *)&doubles[value] : (const void *)&floats[value];
}

static actune_status describe_activation(at_cudnn_launch *launch)
{
    const at_cudnn_function *function = &launch->function;
    const at_cudnn_step *step = &function->step[0];
    int nan = function->propagate_nan ? AT_CUDNN_PROPAGATE_NAN : AT_CUDNN_DROP_NAN;
    AT_TRY(AT_CUDNN(launch->api, cudnnCreateActivationDescriptor, (&launch->activation)));
    AT_TRY(AT_CUDNN(launch->api, cudnnSetActivationDescriptor, (launch->activation, step->mode, nan, step->coefficient)));
    if (step->mode != AT_CUDNN_SWISH)
        return ACTUNE_OK;
    if (launch->api->cudnnSetActivationDescriptorSwishBeta == NULL)
        return at_fail(ACTUNE_UNSUPPORTED, "this cuDNN is older than 8.2: it has no swish");
    return AT_CUDNN(launch->api, cudnnSetActivationDescriptorSwishBeta, (launch->activation, step->coefficient));
}

static actune_status describe(at_cudnn_launch *launch, int64_t elements)
{
    int columns = elements % COLUMNS == 0 ? COLUMNS : 1;
    AT_TRY(describe_activation(launch));
    AT_TRY(AT_CUDNN(launch->api, cudnnCreateTensorDescriptor, (&launch->shape)));
    return AT_CUDNN(launch->api, cudnnSetTensor4dDescriptor,
                    (launch->shape, AT_CUDNN_NCHW, at_cudnn_type(launch->function.port[0].dtype), 1, 1, (int)(elements / columns), columns));
}

/* The context is current. */
static actune_status prepare(at_cudnn_launch *launch, actune_shape shape)
{
    int64_t elements = shape.outer * shape.channels * shape.inner;
    if (elements < 1 || elements > INT_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "cuDNN takes 1 to 2^31 - 1 elements, not %lld", (long long)elements);
    AT_TRY(at_cudnn_get(&launch->api));
    if (launch->function.algorithm == AT_CUDNN_LEGACY)
        return describe(launch, elements);
    return at_cudnn_graph_create(launch->device, launch->handle, &launch->function, shape, &launch->graph);
}

actune_status at_cudnn_launch_create(const at_cuda_device *device, at_cudnn_handle handle, const at_cudnn_function *function, actune_shape shape,
                                     at_cudnn_launch **launch)
{
    bool pushed;
    *launch = NULL;
    at_cudnn_launch *made = calloc(1, sizeof *made);
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a cuDNN call");
    *made = (at_cudnn_launch){.device = device, .handle = handle, .function = *function};
    actune_status status = at_cuda_enter(device, &pushed);
    if (status == ACTUNE_OK) {
        status = prepare(made, shape);
        at_cuda_leave(device, pushed);
    }
    if (status == ACTUNE_OK)
        *launch = made;
    else
        at_cudnn_launch_destroy(made);
    return status;
}

/* Descriptors are host memory: no context is needed for them. */
void at_cudnn_launch_destroy(at_cudnn_launch *launch)
{
    if (launch == NULL)
        return;
    at_cudnn_graph_destroy(launch->graph);
    if (launch->shape != NULL)
        launch->api->cudnnDestroyTensorDescriptor(launch->shape);
    if (launch->activation != NULL)
        launch->api->cudnnDestroyActivationDescriptor(launch->activation);
    free(launch);
}

static actune_status run(const at_cudnn_launch *launch, void *const *ports)
{
    const void *one = number(launch, 1), *zero = number(launch, 0);
    const at_cudnn_tensor shape = launch->shape;
    if (launch->function.algorithm == AT_CUDNN_GRAPH)
        return at_cudnn_graph_run(launch->graph, ports);
    if (!launch->function.backward)
        return AT_CUDNN(launch->api, cudnnActivationForward,
                        (launch->handle, launch->activation, one, shape, ports[0], zero, shape, ports[1]));
    return AT_CUDNN(launch->api, cudnnActivationBackward,
                    (launch->handle, launch->activation, one, shape, ports[0], shape, ports[1], shape, ports[0], zero, shape, ports[2]));
}

actune_status at_cudnn_launch_run(const at_cudnn_launch *launch, void *const *ports)
{
    bool pushed;
    AT_TRY(at_cuda_enter(launch->device, &pushed));
    actune_status status = run(launch, ports);
    at_cuda_leave(launch->device, pushed);
    return status;
}
