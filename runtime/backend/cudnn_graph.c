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
    OPERATION_B = 752,
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
    TENSOR_VIRTUAL = 907,
    PACK_IDS = 1000,
    PACK_POINTERS = 1001,
    PACK_WORKSPACE = 1003
};
/* cudnnBackendAttributeType_t */
enum {
    TYPE_HANDLE = 0,
    TYPE_DATA_TYPE = 1,
    TYPE_BOOLEAN = 2,
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
enum { HEURISTICS_A = 3, TENSORS_MAX = AT_CUDNN_PORTS_MAX + AT_CUDNN_STEPS_MAX, EXTENTS = 3, COLUMNS = 4096 };

struct at_cudnn_graph {
    const at_cuda_device *device;
    const at_cudnn_api *api;
    at_cudnn_handle handle;
    int ports;
    at_cudnn_descriptor tensor[TENSORS_MAX]; /* in port order, then what passes from step to step */
    at_cudnn_descriptor pointwise[AT_CUDNN_STEPS_MAX], operation[AT_CUDNN_STEPS_MAX];
    at_cudnn_descriptor graph, heuristics, configs[AT_CUDNN_CHOICES_MAX], plan;
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

/* Three extents: of four cuDNN's engines want the channels packed innermost, and more than one of them. */
typedef struct extents {
    int64_t of[EXTENTS];
    int channel; /* which of them the channels are; -1: none */
} extents;

static extents extents_of(const at_cudnn_function *function, actune_shape shape)
{
    int64_t elements = shape.outer * shape.channels * shape.inner, columns = elements % COLUMNS == 0 ? COLUMNS : elements;
    bool channels = false;
    for (int i = 0; i < function->ports; i++)
        channels |= function->port[i].channel;
    if (!channels || shape.channels == 1)
        return (extents){{1, elements / columns, columns}, -1};
    return shape.inner == 1 ? (extents){{1, shape.outer, shape.channels}, 2} : (extents){{shape.outer, shape.channels, shape.inner}, 1};
}

typedef struct tensor {
    int64_t id;
    actune_dtype dtype;
    bool channel, passing; /* passing: from step to step, in no memory */
} tensor;

static actune_status make_tensor(at_cudnn_graph *g, const extents *whole, const tensor *t)
{
    int64_t extent[EXTENTS], stride[EXTENTS], next = 1, alignment = AT_CUDNN_ALIGNMENT;
    int type = at_cudnn_type(t->dtype);
    for (int i = EXTENTS - 1; i >= 0; i--) {
        extent[i] = t->channel && i != whole->channel ? 1 : whole->of[i];
        stride[i] = next;
        next *= extent[i];
    }
    const attribute all[] = {{TENSOR_TYPE, TYPE_DATA_TYPE, 1, &type},         {TENSOR_DIMENSIONS, TYPE_INT64, EXTENTS, extent},
                             {TENSOR_STRIDES, TYPE_INT64, EXTENTS, stride},   {TENSOR_ID, TYPE_INT64, 1, &t->id},
                             {TENSOR_ALIGNMENT, TYPE_INT64, 1, &alignment},   {TENSOR_VIRTUAL, TYPE_BOOLEAN, 1, &t->passing}};
    return make(g->api, TENSOR, all, sizeof all / sizeof *all, &g->tensor[t->id]);
}

/* Between steps values are f32, as in our kernels. */
static actune_status make_tensors(at_cudnn_graph *g, const at_cudnn_function *function, actune_shape shape)
{
    const extents whole = extents_of(function, shape);
    for (int i = 0; i < function->ports; i++)
        AT_TRY(make_tensor(g, &whole, &(tensor){.id = i, .dtype = function->port[i].dtype, .channel = function->port[i].channel}));
    for (int i = 0; i < function->steps - 1; i++)
        AT_TRY(make_tensor(g, &whole, &(tensor){.id = function->ports + i, .dtype = ACTUNE_F32, .passing = true}));
    return ACTUNE_OK;
}

/* 0: the mode has no coefficient. */
static int coefficient_of(const at_cudnn_step *step, bool backward)
{
    switch (backward ? step->mode - BACKWARD : step->mode) {
    case RELU:
        return step->coefficient > 0 ? POINTWISE_CEILING : 0;
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

static actune_status make_pointwise(at_cudnn_graph *g, const at_cudnn_function *function, int i)
{
    const at_cudnn_step *step = &function->step[i];
    int math = at_cudnn_type(ACTUNE_F32), coefficient = coefficient_of(step, function->backward);
    int nan = function->propagate_nan ? AT_CUDNN_PROPAGATE_NAN : AT_CUDNN_DROP_NAN;
    const attribute all[] = {{POINTWISE_MODE, TYPE_POINTWISE_MODE, 1, &step->mode},
                             {POINTWISE_MATH, TYPE_DATA_TYPE, 1, &math},
                             {POINTWISE_NAN, TYPE_NAN, 1, &nan},
                             {coefficient, TYPE_DOUBLE, 1, &step->coefficient}};
    return make(g->api, POINTWISE, all, coefficient != 0 ? 4 : 3, &g->pointwise[i]);
}

static actune_status make_forward(at_cudnn_graph *g, const at_cudnn_function *function, int i)
{
    int operand = function->step[i].operand, first = function->ports; /* of those that pass */
    const attribute all[] = {{OPERATION_POINTWISE, TYPE_DESCRIPTOR, 1, &g->pointwise[i]},
                             {OPERATION_X, TYPE_DESCRIPTOR, 1, &g->tensor[i == 0 ? 0 : first + i - 1]},
                             {OPERATION_Y, TYPE_DESCRIPTOR, 1, &g->tensor[i == function->steps - 1 ? function->ports - 1 : first + i]},
                             {OPERATION_B, TYPE_DESCRIPTOR, 1, &g->tensor[operand]}};
    return make(g->api, OPERATION, all, operand != 0 ? 4 : 3, &g->operation[i]);
}

static actune_status make_backward(at_cudnn_graph *g)
{
    const attribute all[] = {{OPERATION_POINTWISE, TYPE_DESCRIPTOR, 1, &g->pointwise[0]},
                             {OPERATION_X, TYPE_DESCRIPTOR, 1, &g->tensor[0]},
                             {OPERATION_DY, TYPE_DESCRIPTOR, 1, &g->tensor[1]},
                             {OPERATION_DX, TYPE_DESCRIPTOR, 1, &g->tensor[2]}};
    return make(g->api, OPERATION, all, sizeof all / sizeof *all, &g->operation[0]);
}

static actune_status make_operations(at_cudnn_graph *g, const at_cudnn_function *function)
{
    for (int i = 0; i < function->steps; i++) {
        AT_TRY(make_pointwise(g, function, i));
        AT_TRY(function->backward ? make_backward(g) : make_forward(g, function, i));
    }
    const attribute whole[] = {{GRAPH_HANDLE, TYPE_HANDLE, 1, &g->handle}, {GRAPH_OPERATIONS, TYPE_DESCRIPTOR, function->steps, g->operation}};
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

static actune_status build(at_cudnn_graph *g, const at_cudnn_function *function, actune_shape shape)
{
    AT_TRY(at_cudnn_get(&g->api));
    if (function->choice < 0 || function->choice >= AT_CUDNN_CHOICES_MAX)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "engine %d of a cuDNN graph is none of 0 to %d", function->choice, AT_CUDNN_CHOICES_MAX - 1);
    AT_TRY(make_tensors(g, function, shape));
    AT_TRY(make_operations(g, function));
    return make_plan(g, function->choice);
}

actune_status at_cudnn_graph_create(const at_cuda_device *device, at_cudnn_handle handle, const at_cudnn_function *function, actune_shape shape,
                                    at_cudnn_graph **graph)
{
    at_cudnn_graph *made = calloc(1, sizeof *made);
    *graph = NULL;
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a cuDNN graph");
    *made = (at_cudnn_graph){.device = device, .handle = handle, .ports = function->ports};
    actune_status status = build(made, function, shape);
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
    for (int i = 0; i < AT_CUDNN_STEPS_MAX; i++) {
        destroy(g, g->operation[i]);
        destroy(g, g->pointwise[i]);
    }
    for (int i = 0; i < TENSORS_MAX; i++)
        destroy(g, g->tensor[i]);
    at_cuda_free(g->device, g->workspace);
    free(g);
}

/* Which memory a plan works on is said in a pack, which cannot be changed once it is finalised: cuDNN makes one for each run, in host memory. */
actune_status at_cudnn_graph_run(const at_cudnn_graph *g, void *const *ports)
{
    static const int64_t ids[AT_CUDNN_PORTS_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    at_cudnn_descriptor pack = NULL;
    const attribute all[] = {{PACK_POINTERS, TYPE_POINTER, g->ports, ports},
                             {PACK_IDS, TYPE_INT64, g->ports, ids},
                             {PACK_WORKSPACE, TYPE_POINTER, 1, &g->workspace}};
    actune_status status = make(g->api, VARIANT_PACK, all, 3, &pack);
    if (status == ACTUNE_OK)
        status = AT_CUDNN(g->api, cudnnBackendExecute, (g->handle, g->plan, pack));
    destroy(g, pack);
    return status;
}
