/* The fake's backend interface: descriptors whose attributes are kept as they were set, and what of them cuDNN would refuse. */
#include "fake_cudnn.h"

#include <stdlib.h>
#include <string.h>

enum { ATTRIBUTES_MAX = 12, BYTES_MAX = 64, ENGINES = 2 };
enum { POINTWISE = 0, ENGINE_CONFIG = 3, HEURISTICS = 4, PLAN = 5, OPERATION = 13, GRAPH = 15, PACK = 16, TENSOR = 17 };

typedef struct descriptor {
    dnn_object object;
    int kind;
    bool finalised;
    int engine; /* ENGINE_CONFIG */
    struct {
        int name, type;
        int64_t count;
        unsigned char bytes[BYTES_MAX];
    } attribute[ATTRIBUTES_MAX];
    int attributes;
    struct descriptor *graph; /* of an ENGINE_CONFIG, by the heuristics */
} descriptor;

static size_t size_of(int type)
{
    switch (type) {
    case 0:  /* handle */
    case 3:  /* int64 */
    case 5:  /* double */
    case 6:  /* pointer */
    case 15: /* descriptor */
        return 8;
    case 2:  /* bool */
        return 1;
    case 1:  /* data type */
    case 8:  /* heuristics mode */
    case 10: /* NaN */
    case 14: /* pointwise mode */
        return 4;
    default:
        return 0;
    }
}

/* NULL: not set. */
static const void *value_of(const descriptor *d, int name)
{
    for (int i = 0; i < d->attributes; i++)
        if (d->attribute[i].name == name)
            return d->attribute[i].bytes;
    return NULL;
}

static int64_t count_of(const descriptor *d, int name)
{
    for (int i = 0; i < d->attributes; i++)
        if (d->attribute[i].name == name)
            return d->attribute[i].count;
    return 0;
}

static descriptor *descriptor_of(const descriptor *d, int name, int kind)
{
    const void *value = value_of(d, name);
    descriptor *found = value ? *(descriptor *const *)value : NULL;
    if (!found || !dnn_is(found, DNN_DESCRIPTOR, "cudnnBackendFinalize") || found->kind != kind || !found->finalised)
        return NULL;
    return found;
}

int cudnnBackendCreateDescriptor(int kind, at_cudnn_descriptor *out)
{
    static const int kinds[] = {POINTWISE, ENGINE_CONFIG, HEURISTICS, PLAN, OPERATION, GRAPH, PACK, TENSOR};
    int code = dnn_begin("cudnnBackendCreateDescriptor");
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        known |= kinds[i] == kind;
    if (!code && !known)
        code = DNN_NOT_SUPPORTED;
    descriptor *made = code ? NULL : dnn_new(DNN_DESCRIPTOR, sizeof *made);
    if (!code && !made)
        code = DNN_NO_HOST_MEMORY;
    if (!code) {
        made->kind = kind;
        *out = made;
    }
    return dnn_end(code);
}

int cudnnBackendDestroyDescriptor(at_cudnn_descriptor d)
{
    int code = dnn_begin("cudnnBackendDestroyDescriptor");
    if (!dnn_is(d, DNN_DESCRIPTOR, "cudnnBackendDestroyDescriptor"))
        return dnn_end(DNN_BAD_PARAM);
    dnn_end_of(d);
    return dnn_end(code);
}

int cudnnBackendSetAttribute(at_cudnn_descriptor object, int name, int type, int64_t count, const void *values)
{
    descriptor *d = object;
    int code = dnn_begin("cudnnBackendSetAttribute");
    if (!code && !values)
        code = DNN_NULL_POINTER;
    if (!code && (!dnn_is(d, DNN_DESCRIPTOR, "cudnnBackendSetAttribute") || d->finalised || !size_of(type) || count < 1 ||
                  (size_t)count * size_of(type) > BYTES_MAX || d->attributes == ATTRIBUTES_MAX))
        code = DNN_BAD_PARAM;
    if (!code) {
        d->attribute[d->attributes].name = name;
        d->attribute[d->attributes].type = type;
        d->attribute[d->attributes].count = count;
        memcpy(d->attribute[d->attributes++].bytes, values, (size_t)count * size_of(type));
    }
    return dnn_end(code);
}

static int check_tensor(const descriptor *d)
{
    const int *type = value_of(d, 901);
    const int64_t *extent = value_of(d, 902), *stride = value_of(d, 903), *alignment = value_of(d, 900);
    if (!type || !extent || !stride || !alignment || !value_of(d, 906))
        return DNN_BAD_PARAM;
    if (!dnn_bytes_of(*type))
        return DNN_TYPE_UNSUPPORTED;
    for (int64_t i = 0; i < count_of(d, 902); i++)
        if (extent[i] < 1 || stride[i] < 1)
            return DNN_BAD_PARAM;
    return *alignment > 0 && *alignment % (int64_t)dnn_bytes_of(*type) == 0 ? 0 : DNN_BAD_PARAM;
}

static bool is_binary(int mode)
{
    return mode < 100;
}

static int check_operation(const descriptor *d)
{
    const descriptor *pointwise = descriptor_of(d, 750, POINTWISE);
    if (!pointwise || !descriptor_of(d, 751, TENSOR))
        return DNN_BAD_PARAM;
    int mode = *(const int *)value_of(pointwise, 0);
    if (mode >= 200)
        return descriptor_of(d, 756, TENSOR) && descriptor_of(d, 757, TENSOR) ? 0 : DNN_BAD_PARAM;
    return descriptor_of(d, 753, TENSOR) && (!is_binary(mode) || descriptor_of(d, 752, TENSOR)) ? 0 : DNN_BAD_PARAM;
}

/* Of a graph; NULL behind the last. */
static const descriptor *operation_of(const descriptor *graph, int index)
{
    if (index >= count_of(graph, 801))
        return NULL;
    const descriptor *operation = ((descriptor *const *)value_of(graph, 801))[index];
    return dnn_is(operation, DNN_DESCRIPTOR, "a graph") && operation->kind == OPERATION && operation->finalised ? operation : NULL;
}

/* With what each kind must have. */
static int check(descriptor *d)
{
    switch (d->kind) {
    case TENSOR:
        return check_tensor(d);
    case POINTWISE:
        return value_of(d, 0) && value_of(d, 1) ? 0 : DNN_BAD_PARAM;
    case OPERATION:
        return check_operation(d);
    case GRAPH:
        return value_of(d, 800) && operation_of(d, 0) ? 0 : DNN_BAD_PARAM;
    case HEURISTICS:
        return value_of(d, 200) && descriptor_of(d, 201, GRAPH) ? 0 : DNN_BAD_PARAM;
    case PLAN:
        return !value_of(d, 400) || !descriptor_of(d, 401, ENGINE_CONFIG) ? DNN_BAD_PARAM : 0;
    case PACK:
        return value_of(d, 1000) && value_of(d, 1001) ? 0 : DNN_BAD_PARAM;
    default:
        return DNN_BAD_PARAM;
    }
}

int cudnnBackendFinalize(at_cudnn_descriptor object)
{
    descriptor *d = object;
    int code = dnn_begin("cudnnBackendFinalize");
    if (!code && (!dnn_is(d, DNN_DESCRIPTOR, "cudnnBackendFinalize") || d->finalised))
        code = DNN_BAD_PARAM;
    if (!code && d->kind == PLAN)
        code = dnn_use(*(at_cudnn_handle const *)value_of(d, 400), "an execution plan");
    code = code ? code : check(d);
    if (!code)
        d->finalised = true;
    return dnn_end(code);
}

static bool is_passing(const descriptor *tensor)
{
    const bool *passing = value_of(tensor, 907);
    return passing && *passing;
}

/* Three packed extents, no f64: as cuDNN 9.19's heuristics tell for an H200 without one. (They have more layouts than this.) */
static bool is_taken(const descriptor *tensor)
{
    const int64_t *extent = value_of(tensor, 902), *stride = value_of(tensor, 903);
    return count_of(tensor, 902) == 3 && count_of(tensor, 903) == 3 && stride[2] == 1 && stride[1] == extent[2] &&
           stride[0] == extent[1] * extent[2] && *(const int *)value_of(tensor, 901) != 1;
}

static int engines_for(const descriptor *graph)
{
    static const int names[] = {751, 752, 753, 756, 757};
    for (int i = 0; i < count_of(graph, 801); i++) {
        const descriptor *operation = operation_of(graph, i);
        for (size_t k = 0; operation && k < sizeof names / sizeof *names; k++)
            if (value_of(operation, names[k]) && !is_taken(descriptor_of(operation, names[k], TENSOR)))
                return 0;
        if (!operation)
            return 0;
    }
    return ENGINES;
}

/* The caller's engine configurations are filled in and finalised. */
static void offer(descriptor *heuristics, int64_t room, int64_t *count, descriptor *const *configs)
{
    *count = engines_for(descriptor_of(heuristics, 201, GRAPH));
    for (int i = 0; i < *count && i < room; i++) {
        configs[i]->engine = i;
        configs[i]->graph = descriptor_of(heuristics, 201, GRAPH);
        configs[i]->finalised = true;
    }
}

int cudnnBackendGetAttribute(at_cudnn_descriptor object, int name, int type, int64_t room, int64_t *count, void *values)
{
    descriptor *d = object;
    int code = dnn_begin("cudnnBackendGetAttribute");
    if (!code && (!dnn_is(d, DNN_DESCRIPTOR, "cudnnBackendGetAttribute") || !d->finalised))
        code = DNN_NOT_FINALISED;
    if (!code && d->kind == HEURISTICS && name == 202 && type == 15)
        offer(d, room, count, values);
    else if (!code && d->kind == PLAN && name == 402 && type == 3 && room == 1) {
        /* The second engine wants some memory. */
        *(int64_t *)values = 256 * descriptor_of(d, 401, ENGINE_CONFIG)->engine;
        *count = 1;
    } else if (!code)
        code = DNN_BAD_PARAM;
    return dnn_end(code);
}

/* What the pack has for the tensor. NULL: nothing. */
static void *memory_of(const descriptor *pack, const descriptor *tensor)
{
    const int64_t *ids = value_of(pack, 1000), id = *(const int64_t *)value_of(tensor, 906);
    void *const *pointers = value_of(pack, 1001);
    for (int64_t k = 0; k < count_of(pack, 1000); k++)
        if (ids[k] == id)
            return pointers[k];
    return NULL;
}

static double coefficient_of(const descriptor *pointwise)
{
    static const int names[] = {4, 6, 7, 8};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (value_of(pointwise, names[i]))
            return *(const double *)value_of(pointwise, names[i]);
    return 0;
}

/* A graph and a pack become a program and its pointers. */
typedef struct building {
    const descriptor *pack;
    dnn_program program;
    void *pointer[FAKE_CALL_POINTERS];
    int code;
} building;

static void fill_port(building *b, int port, const descriptor *tensor)
{
    const int64_t *extent = value_of(tensor, 902), *stride = value_of(tensor, 903);
    b->pointer[port] = memory_of(b->pack, tensor);
    b->program.type[port] = *(const int *)value_of(tensor, 901);
    for (int i = 0; i < DNN_EXTENTS; i++) {
        b->program.stride[port][i] = extent[i] == 1 ? 0 : stride[i];
        if (extent[i] != 1 && extent[i] != b->program.extent[i])
            b->code = DNN_SHAPE_MISMATCH;
    }
    if (!b->pointer[port] || is_passing(tensor))
        b->code = DNN_NULL_POINTER;
    else if ((uintptr_t)b->pointer[port] % (uintptr_t) * (const int64_t *)value_of(tensor, 900))
        b->code = DNN_MISALIGNED;
}

static void fill_step(building *b, int index, const descriptor *operation)
{
    const descriptor *pointwise = descriptor_of(operation, 750, POINTWISE);
    const int *nan = value_of(pointwise, 2);
    b->program.step[index].mode = *(const int *)value_of(pointwise, 0);
    b->program.step[index].coefficient = coefficient_of(pointwise);
    b->program.step[index].propagate_nan = nan && *nan;
    if (!is_binary(b->program.step[index].mode))
        return;
    b->program.step[index].operand = b->program.ports;
    fill_port(b, b->program.ports++, descriptor_of(operation, 752, TENSOR));
}

static void fill(building *b, const descriptor *graph)
{
    const descriptor *operation = operation_of(graph, 0), *x = descriptor_of(operation, 751, TENSOR), *passed = x;
    memcpy(b->program.extent, value_of(x, 902), sizeof b->program.extent);
    b->program.ports = 1;
    fill_port(b, 0, x);
    for (int i = 0; (operation = operation_of(graph, i)); i++) {
        if (descriptor_of(operation, 751, TENSOR) != passed || (i > 0 && !is_passing(passed)))
            b->code = DNN_NOT_SUPPORTED; /* no chain */
        fill_step(b, i, operation);
        b->program.steps = i + 1;
        b->program.backward = b->program.step[i].mode >= 200;
        passed = b->program.backward ? NULL : descriptor_of(operation, 753, TENSOR);
    }
    operation = operation_of(graph, b->program.steps - 1);
    if (b->program.backward) {
        b->program.ports = 4;
        fill_port(b, 2, descriptor_of(operation, 757, TENSOR));
        fill_port(b, 3, descriptor_of(operation, 756, TENSOR));
    } else
        fill_port(b, b->program.ports++, passed);
}

static int execute(at_cudnn_handle handle, const descriptor *plan, const descriptor *pack)
{
    const descriptor *config = descriptor_of(plan, 401, ENGINE_CONFIG);
    building b = {.pack = pack};
    fill(&b, config->graph);
    if (config->engine && !value_of(pack, 1003))
        return DNN_NULL_POINTER;
    return b.code ? b.code : dnn_put(handle, &b.program, b.pointer);
}

int cudnnBackendExecute(at_cudnn_handle handle, at_cudnn_descriptor plan, at_cudnn_descriptor pack)
{
    const descriptor *p = plan, *k = pack;
    int code = dnn_begin("cudnnBackendExecute");
    code = code ? code : dnn_use(handle, "cudnnBackendExecute");
    if (!code && (!dnn_is(p, DNN_DESCRIPTOR, "cudnnBackendExecute") || !dnn_is(k, DNN_DESCRIPTOR, "cudnnBackendExecute") || p->kind != PLAN ||
                  k->kind != PACK || !p->finalised || !k->finalised))
        code = DNN_NOT_FINALISED;
    return dnn_end(code ? code : execute(handle, p, k));
}
