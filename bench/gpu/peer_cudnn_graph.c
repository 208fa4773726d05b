/* cuDNN's graph interface: one pointwise operation, every plan that its heuristics offer (a few at most), each an arm of its own. */
#include "cudnn.h"
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cudnnBackendDescriptorType_t, cudnnBackendAttributeName_t and cudnnBackendAttributeType_t. */
enum {
    POINTWISE = 0, ENGINE_HEURISTICS = 4, ENGINE_CONFIG = 3, EXECUTION_PLAN = 5, OPERATION = 13, OPERATION_GRAPH = 15, VARIANT_PACK = 16,
    TENSOR = 17
};
enum {
    POINTWISE_MODE = 0, POINTWISE_MATH = 1,
    HEURISTICS_MODE = 200, HEURISTICS_GRAPH = 201, HEURISTICS_RESULTS = 202,
    PLAN_HANDLE = 400, PLAN_CONFIG = 401, PLAN_WORKSPACE = 402,
    OPERATION_POINTWISE = 750, OPERATION_X = 751, OPERATION_Y = 753, OPERATION_DX = 756, OPERATION_DY = 757,
    GRAPH_HANDLE = 800, GRAPH_OPERATIONS = 801,
    TENSOR_ALIGNMENT = 900, TENSOR_TYPE = 901, TENSOR_DIMENSIONS = 902, TENSOR_STRIDES = 903, TENSOR_ID = 906,
    PACK_IDS = 1000, PACK_POINTERS = 1001, PACK_WORKSPACE = 1003
};
enum {
    TYPE_HANDLE = 0, TYPE_DATA_TYPE = 1, TYPE_INT64 = 3, TYPE_POINTER = 6, TYPE_HEURISTICS_MODE = 8, TYPE_POINTWISE_MODE = 14,
    TYPE_DESCRIPTOR = 15
};
enum { HEURISTICS_A = 3, PLANS_MAX = 4, DATA_FLOAT = 0, DATA_DOUBLE = 1, TENSORS = 3 };

/* cudnnPointwiseMode_t forward; 100 more is backward. */
static const struct {
    const char *spec;
    int mode;
} modes[] = {{"relu", 100}, {"tanh", 101}, {"sigmoid", 102}, {"elu", 103}, {"gelu", 104}, {"softplus", 105}, {"silu", 106}, {"gelu_tanh", 107}};

/* Shared by the arms of one row. */
typedef struct graph {
    const gpu_cudnn_api *api;
    gpu_cudnn_object tensor[TENSORS], pointwise, operation, graph, heuristics, config[PLANS_MAX];
    int64_t configs;
    int tensors, users;
} graph;

typedef struct planned {
    graph *graph;
    gpu_cudnn_object plan;
    const at_cuda_device *device;
    void *workspace;
} planned;

static actune_status set_one(const gpu_cudnn_api *api, gpu_cudnn_object object, int attribute, int type, const void *value)
{
    return GPU_CUDNN(api, cudnnBackendSetAttribute, (object, attribute, type, 1, value));
}

/* Creates a descriptor, sets its attributes (one value each), finalises it. */
typedef struct setting {
    int attribute, type;
    const void *value;
} setting;

static actune_status make(const gpu_cudnn_api *api, int kind, const setting *settings, int count, gpu_cudnn_object *object)
{
    AT_TRY(GPU_CUDNN(api, cudnnBackendCreateDescriptor, (kind, object)));
    for (int i = 0; i < count; i++)
        AT_TRY(set_one(api, *object, settings[i].attribute, settings[i].type, settings[i].value));
    return GPU_CUDNN(api, cudnnBackendFinalize, (*object));
}

static actune_status make_tensor(graph *g, const gpu_row *row, int64_t elements, int64_t id)
{
    int64_t columns = elements % 4096 == 0 ? 4096 : 1, alignment = 16;
    /* Three extents: with four, cuDNN's engines want the channels innermost, and more than one of them. */
    const int64_t extents[] = {1, elements / columns, columns}, strides[] = {elements, columns, 1};
    int type = gpu_cudnn_type(row->dtype);
    gpu_cudnn_object *tensor = &g->tensor[id];
    AT_TRY(GPU_CUDNN(g->api, cudnnBackendCreateDescriptor, (TENSOR, tensor)));
    AT_TRY(set_one(g->api, *tensor, TENSOR_TYPE, TYPE_DATA_TYPE, &type));
    AT_TRY(GPU_CUDNN(g->api, cudnnBackendSetAttribute, (*tensor, TENSOR_DIMENSIONS, TYPE_INT64, 3, extents)));
    AT_TRY(GPU_CUDNN(g->api, cudnnBackendSetAttribute, (*tensor, TENSOR_STRIDES, TYPE_INT64, 3, strides)));
    AT_TRY(set_one(g->api, *tensor, TENSOR_ID, TYPE_INT64, &id));
    AT_TRY(set_one(g->api, *tensor, TENSOR_ALIGNMENT, TYPE_INT64, &alignment));
    return GPU_CUDNN(g->api, cudnnBackendFinalize, (*tensor));
}

static actune_status make_operation(graph *g, const gpu_row *row, int mode)
{
    bool backward = row->direction == ACTUNE_BACKWARD;
    int chosen = backward ? mode + 100 : mode, math = row->dtype == ACTUNE_F64 ? DATA_DOUBLE : DATA_FLOAT;
    const setting pointwise[] = {{POINTWISE_MODE, TYPE_POINTWISE_MODE, &chosen}, {POINTWISE_MATH, TYPE_DATA_TYPE, &math}};
    AT_TRY(make(g->api, POINTWISE, pointwise, 2, &g->pointwise));
    const setting forward[] = {{OPERATION_POINTWISE, TYPE_DESCRIPTOR, &g->pointwise}, {OPERATION_X, TYPE_DESCRIPTOR, &g->tensor[GPU_FROM_X]},
                               {OPERATION_Y, TYPE_DESCRIPTOR, &g->tensor[GPU_TO_Y]}};
    const setting gradient[] = {{OPERATION_POINTWISE, TYPE_DESCRIPTOR, &g->pointwise}, {OPERATION_X, TYPE_DESCRIPTOR, &g->tensor[GPU_FROM_X]},
                                {OPERATION_DY, TYPE_DESCRIPTOR, &g->tensor[GPU_FROM_DY]}, {OPERATION_DX, TYPE_DESCRIPTOR, &g->tensor[GPU_TO_Y]}};
    return make(g->api, OPERATION, backward ? gradient : forward, backward ? 4 : 3, &g->operation);
}

static actune_status find_configs(graph *g)
{
    int mode = HEURISTICS_A;
    const setting whole[] = {{GRAPH_HANDLE, TYPE_HANDLE, &g->api->handle}, {GRAPH_OPERATIONS, TYPE_DESCRIPTOR, &g->operation}};
    AT_TRY(make(g->api, OPERATION_GRAPH, whole, 2, &g->graph));
    const setting asked[] = {{HEURISTICS_GRAPH, TYPE_DESCRIPTOR, &g->graph}, {HEURISTICS_MODE, TYPE_HEURISTICS_MODE, &mode}};
    AT_TRY(make(g->api, ENGINE_HEURISTICS, asked, 2, &g->heuristics));
    for (int i = 0; i < PLANS_MAX; i++)
        AT_TRY(GPU_CUDNN(g->api, cudnnBackendCreateDescriptor, (ENGINE_CONFIG, &g->config[i])));
    return GPU_CUDNN(g->api, cudnnBackendGetAttribute,
                     (g->heuristics, HEURISTICS_RESULTS, TYPE_DESCRIPTOR, PLANS_MAX, &g->configs, g->config));
}

static actune_status prepare(graph *g, const gpu_row *row, const gpu_ports *ports, int mode)
{
    AT_TRY(gpu_cudnn_get(&g->api));
    g->tensors = row->direction == ACTUNE_BACKWARD ? 3 : 2;
    for (int i = 0; i < g->tensors; i++)
        AT_TRY(make_tensor(g, row, ports->elements, i));
    AT_TRY(make_operation(g, row, mode));
    AT_TRY(find_configs(g));
    return g->configs > 0 ? ACTUNE_OK : at_fail(ACTUNE_UNSUPPORTED, "cuDNN's heuristics offer no plan");
}

static void destroy(const gpu_cudnn_api *api, gpu_cudnn_object object)
{
    if (object != NULL)
        api->cudnnBackendDestroyDescriptor(object);
}

static void release(graph *g)
{
    if (--g->users > 0)
        return;
    for (int i = 0; i < PLANS_MAX; i++)
        destroy(g->api, g->config[i]);
    destroy(g->api, g->heuristics);
    destroy(g->api, g->graph);
    destroy(g->api, g->operation);
    destroy(g->api, g->pointwise);
    for (int i = 0; i < TENSORS; i++)
        destroy(g->api, g->tensor[i]);
    free(g);
}

/* --- arms --- */

static void close_plan(void *self)
{
    planned *p = self;
    destroy(p->graph->api, p->plan);
    at_cuda_free(p->device, p->workspace);
    release(p->graph);
    free(p);
}

/* Which tensors a plan works on is said in a pack; a pack is used at once, so that it may go. */
static actune_status put(void *self, const gpu_set *set, at_cu_stream stream)
{
    const planned *p = self;
    const gpu_cudnn_api *api = p->graph->api;
    static const int64_t ids[] = {GPU_TO_Y, GPU_FROM_X, GPU_FROM_DY};
    gpu_cudnn_object pack = NULL;
    AT_TRY(GPU_CUDNN(api, cudnnSetStream, (api->handle, stream)));
    AT_TRY(GPU_CUDNN(api, cudnnBackendCreateDescriptor, (VARIANT_PACK, &pack)));
    actune_status status = GPU_CUDNN(api, cudnnBackendSetAttribute, (pack, PACK_POINTERS, TYPE_POINTER, p->graph->tensors, set->tensor));
    if (status == ACTUNE_OK)
        status = GPU_CUDNN(api, cudnnBackendSetAttribute, (pack, PACK_IDS, TYPE_INT64, p->graph->tensors, ids));
    if (status == ACTUNE_OK)
        status = set_one(api, pack, PACK_WORKSPACE, TYPE_POINTER, &p->workspace);
    if (status == ACTUNE_OK)
        status = GPU_CUDNN(api, cudnnBackendFinalize, (pack));
    if (status == ACTUNE_OK)
        status = GPU_CUDNN(api, cudnnBackendExecute, (api->handle, p->plan, pack));
    destroy(api, pack);
    return status;
}

static actune_status make_plan(planned *p, int config)
{
    const gpu_cudnn_api *api = p->graph->api;
    int64_t bytes = 0, count = 0;
    const setting settings[] = {{PLAN_HANDLE, TYPE_HANDLE, &api->handle}, {PLAN_CONFIG, TYPE_DESCRIPTOR, &p->graph->config[config]}};
    AT_TRY(make(api, EXECUTION_PLAN, settings, 2, &p->plan));
    AT_TRY(GPU_CUDNN(api, cudnnBackendGetAttribute, (p->plan, PLAN_WORKSPACE, TYPE_INT64, 1, &count, &bytes)));
    return at_cuda_allocate(p->device, (size_t)bytes, &p->workspace);
}

static void add_plan(gpu_bench *bench, gpu_race *race, graph *g, int config, int64_t bytes)
{
    char name[GPU_NAME_MAX];
    planned *p = calloc(1, sizeof *p);
    if (p == NULL)
        return;
    *p = (planned){.graph = g, .device = bench->device};
    g->users++;
    snprintf(name, sizeof name, "cuDNN graph, plan %d", config + 1);
    gpu_arm *arm = make_plan(p, config) == ACTUNE_OK ? gpu_race_add(race, name) : NULL;
    if (arm == NULL) {
        close_plan(p);
        return;
    }
    arm->put = put;
    arm->close = close_plan;
    arm->self = p;
    arm->bytes = bytes;
    arm->computes = true;
}

void gpu_cudnn_graph_add(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports, gpu_why *why)
{
    int before = race->arms, mode = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].spec, gpu_bare_spec(row->spec)) == 0)
            mode = modes[i].mode;
    if (mode == 0) {
        snprintf(why->text, sizeof why->text, "cuDNN has no such pointwise operation");
        return;
    }
    graph *g = calloc(1, sizeof *g);
    if (g == NULL)
        return;
    g->users = 1;
    actune_status status = prepare(g, row, ports, mode);
    if (status == ACTUNE_OK)
        for (int i = 0; i < g->configs && i < PLANS_MAX; i++)
            add_plan(bench, race, g, i, ports->moved_bytes);
    if (race->arms == before)
        snprintf(why->text, sizeof why->text, "%s", actune_last_error());
    if (g->api != NULL)
        release(g);
    else
        free(g);
}
