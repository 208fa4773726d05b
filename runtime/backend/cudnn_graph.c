#include "cudnn_graph.h"

#include "cuda_memory.h"

#include <stdlib.h>

/* cudnnBackendDescriptorType_t */
enum {
    POINTWISE = 0,
    ENGINE_CONFIG = 3,
    ENGINE_HEURISTICS = 4,
    EXECUTION_PLAN = 5,
    OPERATION = 13,
    OPERATION_GRAPH = 15,
    VARIANT_PACK = 16,
    TENSOR = 17
};
/* cudnnBackendAttributeName_t */
enum {
    POINTWISE_MODE = 0,
    POINTWISE_MATH = 1,
    POINTWISE_NAN = 2,
    POINTWISE_CEILING = 4,
    POINTWISE_ELU_ALPHA = 6,
    POINTWISE_SOFTPLUS_BETA = 7,
    POINTWISE_SWISH_BETA = 8,
    HEURISTICS_MODE = 200,
    HEURISTICS_GRAPH = 201,
    HEURISTICS_RESULTS = 202,
    PLAN_HANDLE = 400,
    PLAN_CONFIG = 401,
    PLAN_WORKSPACE = 402,
    OPERATION_POINTWISE = 750,
    OPERATION_X = 751,
    OPERATION_Y = 753,
    OPERATION_DX = 756,
    OPERATION_DY = 757,
    GRAPH_HANDLE = 800,
    GRAPH_OPERATIONS = 801,
    TENSOR_ALIGNMENT = 900,
    TENSOR_TYPE = 901,
    TENSOR_DIMENSIONS = 902,
    TENSOR_STRIDES = 903,
    TENSOR_ID = 906,
    PACK_IDS = 1000,
    PACK_POINTERS = 1001,
    PACK_WORKSPACE = 1003
};
/* cudnnBackendAttributeType_t */
enum {
    TYPE_HANDLE = 0,
    TYPE_DATA_TYPE = 1,
    TYPE_INT64 = 3,
    TYPE_DOUBLE = 5,
    TYPE_POINTER = 6,
    TYPE_HEURISTICS_MODE = 8,
    TYPE_NAN = 10,
    TYPE_POINTWISE_MODE = 14,
    TYPE_DESCRIPTOR = 15
};
/* cudnnPointwiseMode_t, forward; 100 more is backward */
enum { RELU = 100, ELU = 103, SOFTPLUS = 105, SWISH = 106, BACKWARD = 100 };
enum { HEURISTICS_A = 3, TENSORS_MAX = 3, COLUMNS = 4096 };

struct at_cudnn_graph {
    const at_cuda_device *device;
    const at_cudnn_api *api;
    at_cudnn_handle handle;
    int tensors;
    at_cudnn_descriptor tensor[TENSORS_MAX]; /* in port order */
    at_cudnn_descriptor pointwise, operation, graph, heuristics, configs[AT_CUDNN_CHOICES_MAX], plan;
    void *workspace;
};

/* --- descriptors --- */

typedef struct attribute {
    int name, type;
    int64_t count;
    const void *values;
} attribute;

static actune_status set(const at_cudnn_api *api, at_cudnn_descriptor descriptor, const attribute *a)
{
    return AT_CUDNN(api, cudnnBackendSetAttribute, (descriptor, a->name, a->type, a->count, a->values));
}

/* Creates, sets, finalises. A descriptor that was created is in *descriptor, also after a failure. */
static actune_status make(const at_cudnn_api *api, int kind, const attribute *attributes, int count, at_cudnn_descriptor *descriptor)
{
    AT_TRY(AT_CUDNN(api, cudnnBackendCreateDescriptor, (kind, descriptor)));
    for (int i = 0; i < count; i++)
        AT_TRY(set(api, *descriptor, &attributes[i]));
    return AT_CUDNN(api, cudnnBackendFinalize, (*descriptor));
}

/* Three extents: of four cuDNN's engines for one pointwise operation want the channels packed innermost, and more than one of them. */
static actune_status make_tensor(at_cudnn_graph *g, actune_dtype dtype, int64_t elements, int64_t id)
{
    int64_t columns = elements % COLUMNS == 0 ? COLUMNS : elements, alignment = AT_CUDNN_ALIGNMENT;
    const int64_t extents[] = {1, elements / columns, columns}, strides[] = {elements, columns, 1};
    int type = at_cudnn_type(dtype);
    const attribute all[] = {{TENSOR_TYPE, TYPE_DATA_TYPE, 1, &type},
                             {TENSOR_DIMENSIONS, TYPE_INT64, 3, extents},
                             {TENSOR_STRIDES, TYPE_INT64, 3, strides},
                             {TENSOR_ID, TYPE_INT64, 1, &id},
                             {TENSOR_ALIGNMENT, TYPE_INT64, 1, &alignment}};
    return make(g->api, TENSOR, all, sizeof all / sizeof *all, &g->tensor[id]);
}

/* 0: the mode has no coefficient. */
static int coefficient_of(const at_cudnn_function *function)
{
    switch (function->backward ? function->mode - BACKWARD : function->mode) {
    case RELU:
        return function->coefficient > 0 ? POINTWISE_CEILING : 0;
    case ELU:
        return POINTWISE_ELU_ALPHA;
    case SOFTPLUS:
        return POINTWISE_SOFTPLUS_BETA;
    case SWISH:
        return POINTWISE_SWISH_BETA;
    default:
        return 0;
    }
}

static actune_status make_pointwise(at_cudnn_graph *g, const at_cudnn_function *function)
{
    int math = at_cudnn_type(ACTUNE_F32);
    int nan = function->propagate_nan ? AT_CUDNN_PROPAGATE_NAN : AT_CUDNN_DROP_NAN, coefficient = coefficient_of(function);
    const attribute all[] = {{POINTWISE_MODE, TYPE_POINTWISE_MODE, 1, &function->mode},
                             {POINTWISE_MATH, TYPE_DATA_TYPE, 1, &math},
                             {POINTWISE_NAN, TYPE_NAN, 1, &nan},
                             {coefficient, TYPE_DOUBLE, 1, &function->coefficient}};
    return make(g->api, POINTWISE, all, coefficient != 0 ? 4 : 3, &g->pointwise);
}

static actune_status make_operation(at_cudnn_graph *g, bool backward)
{
    const attribute forward_ones[] = {{OPERATION_POINTWISE, TYPE_DESCRIPTOR, 1, &g->pointwise},
                                      {OPERATION_X, TYPE_DESCRIPTOR, 1, &g->tensor[0]},
                                      {OPERATION_Y, TYPE_DESCRIPTOR, 1, &g->tensor[1]}};
    const attribute backward_ones[] = {{OPERATION_POINTWISE, TYPE_DESCRIPTOR, 1, &g->pointwise},
                                       {OPERATION_X, TYPE_DESCRIPTOR, 1, &g->tensor[0]},
                                       {OPERATION_DY, TYPE_DESCRIPTOR, 1, &g->tensor[1]},
                                       {OPERATION_DX, TYPE_DESCRIPTOR, 1, &g->tensor[2]}};
    AT_TRY(make(g->api, OPERATION, backward ? backward_ones : forward_ones, backward ? 4 : 3, &g->operation));
    const attribute whole[] = {{GRAPH_HANDLE, TYPE_HANDLE, 1, &g->handle}, {GRAPH_OPERATIONS, TYPE_DESCRIPTOR, 1, &g->operation}};
    return make(g->api, OPERATION_GRAPH, whole, 2, &g->graph);
}

static actune_status make_plan(at_cudnn_graph *g, int choice)
{
    int mode = HEURISTICS_A;
    int64_t offered = 0, count = 0, bytes = 0;
    const attribute asked[] = {{HEURISTICS_GRAPH, TYPE_DESCRIPTOR, 1, &g->graph}, {HEURISTICS_MODE, TYPE_HEURISTICS_MODE, 1, &mode}};
    AT_TRY(make(g->api, ENGINE_HEURISTICS, asked, 2, &g->heuristics));
    for (int i = 0; i <= choice; i++)
        AT_TRY(AT_CUDNN(g->api, cudnnBackendCreateDescriptor, (ENGINE_CONFIG, &g->configs[i])));
    AT_TRY(AT_CUDNN(g->api, cudnnBackendGetAttribute, (g->heuristics, HEURISTICS_RESULTS, TYPE_DESCRIPTOR, choice + 1, &offered, g->configs)));
    if (offered <= choice)
        return at_fail(ACTUNE_UNSUPPORTED, "cuDNN's heuristics offer %lld engines for this, number %d was asked for", (long long)offered, choice);
    const attribute chosen[] = {{PLAN_HANDLE, TYPE_HANDLE, 1, &g->handle}, {PLAN_CONFIG, TYPE_DESCRIPTOR, 1, &g->configs[choice]}};
    AT_TRY(make(g->api, EXECUTION_PLAN, chosen, 2, &g->plan));
    AT_TRY(AT_CUDNN(g->api, cudnnBackendGetAttribute, (g->plan, PLAN_WORKSPACE, TYPE_INT64, 1, &count, &bytes)));
    return bytes > 0 ? at_cuda_allocate(g->device, (size_t)bytes, &g->workspace) : ACTUNE_OK;
}

static actune_status build(at_cudnn_graph *g, const at_cudnn_function *function, int64_t elements)
{
    AT_TRY(at_cudnn_get(&g->api));
    if (function->choice < 0 || function->choice >= AT_CUDNN_CHOICES_MAX)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "engine %d of a cuDNN graph is none of 0 to %d", function->choice, AT_CUDNN_CHOICES_MAX - 1);
    g->tensors = function->backward ? 3 : 2;
    for (int i = 0; i < g->tensors; i++)
        AT_TRY(make_tensor(g, function->dtype, elements, i));
    AT_TRY(make_pointwise(g, function));
    AT_TRY(make_operation(g, function->backward));
    return make_plan(g, function->choice);
}

actune_status at_cudnn_graph_create(const at_cuda_device *device, at_cudnn_handle handle, const at_cudnn_function *function, int64_t elements,
                                    at_cudnn_graph **graph)
{
    at_cudnn_graph *made = calloc(1, sizeof *made);
    *graph = NULL;
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a cuDNN graph");
    *made = (at_cudnn_graph){.device = device, .handle = handle};
    actune_status status = build(made, function, elements);
    if (status == ACTUNE_OK)
        *graph = made;
    else
        at_cudnn_graph_destroy(made);
    return status;
}

static void destroy(const at_cudnn_graph *g, at_cudnn_descriptor descriptor)
{
    if (descriptor != NULL)
        g->api->cudnnBackendDestroyDescriptor(descriptor);
}

void at_cudnn_graph_destroy(at_cudnn_graph *g)
{
    if (g == NULL)
        return;
    destroy(g, g->plan);
    for (int i = 0; i < AT_CUDNN_CHOICES_MAX; i++)
        destroy(g, g->configs[i]);
    destroy(g, g->heuristics);
    destroy(g, g->graph);
    destroy(g, g->operation);
    destroy(g, g->pointwise);
    for (int i = 0; i < g->tensors; i++)
        destroy(g, g->tensor[i]);
    at_cuda_free(g->device, g->workspace);
    free(g);
}

/* Which memory a plan works on is said in a pack, which cannot be changed once it is finalised: cuDNN makes one for each run, in host memory. */
actune_status at_cudnn_graph_run(const at_cudnn_graph *g, void *const *ports)
{
    static const int64_t ids[TENSORS_MAX] = {0, 1, 2};
    at_cudnn_descriptor pack = NULL;
    const attribute all[] = {{PACK_POINTERS, TYPE_POINTER, g->tensors, ports},
                             {PACK_IDS, TYPE_INT64, g->tensors, ids},
                             {PACK_WORKSPACE, TYPE_POINTER, 1, &g->workspace}};
    actune_status status = make(g->api, VARIANT_PACK, all, 3, &pack);
    if (status == ACTUNE_OK)
        status = AT_CUDNN(g->api, cudnnBackendExecute, (g->handle, g->plan, pack));
    destroy(g, pack);
    return status;
}
