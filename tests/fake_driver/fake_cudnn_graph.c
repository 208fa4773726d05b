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

static int check_operation(const descriptor *d)
{
    const descriptor *pointwise = descriptor_of(d, 750, POINTWISE);
    if (!pointwise || !descriptor_of(d, 751, TENSOR))
        return DNN_BAD_PARAM;
    bool backward = *(const int *)value_of(pointwise, 0) >= 200;
    if (!backward)
        return descriptor_of(d, 753, TENSOR) ? 0 : DNN_BAD_PARAM;
    return descriptor_of(d, 756, TENSOR) && descriptor_of(d, 757, TENSOR) ? 0 : DNN_BAD_PARAM;
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
        return value_of(d, 800) && descriptor_of(d, 801, OPERATION) ? 0 : DNN_BAD_PARAM;
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

/* As cuDNN 9.19's heuristics tell for an H200 without one: engines for three packed extents and not for f64. (They have more layouts than this.) */
static int engines_for(const descriptor *graph)
{
    const descriptor *x = descriptor_of(descriptor_of(graph, 801, OPERATION), 751, TENSOR);
    const int64_t *extent = value_of(x, 902), *stride = value_of(x, 903);
    bool packed = count_of(x, 902) == 3 && count_of(x, 903) == 3 && stride[2] == 1 && stride[1] == extent[2] && stride[0] == extent[1] * extent[2];
    return packed && *(const int *)value_of(x, 901) != 1 ? ENGINES : 0;
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
    const int64_t *ids = value_of(pack, 1000), id = tensor ? *(const int64_t *)value_of(tensor, 906) : -1;
    void *const *pointers = value_of(pack, 1001);
    for (int i = 0; i < pack->attributes; i++)
        if (pack->attribute[i].name == 1000)
            for (int64_t k = 0; k < pack->attribute[i].count; k++)
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

static int execute(at_cudnn_handle handle, const descriptor *plan, const descriptor *pack)
{
    const descriptor *config = descriptor_of(plan, 401, ENGINE_CONFIG), *operation = descriptor_of(config->graph, 801, OPERATION);
    const descriptor *pointwise = descriptor_of(operation, 750, POINTWISE), *x = descriptor_of(operation, 751, TENSOR);
    const int64_t *extent = value_of(x, 902);
    const int *nan = value_of(pointwise, 2);
    fake_call call = {.mode = *(const int *)value_of(pointwise, 0), .dtype = *(const int *)value_of(x, 901), .propagate_nan = nan && *nan,
                      .coefficient = coefficient_of(pointwise), .elements = extent[0] * extent[1] * extent[2]};
    call.backward = call.mode >= 200;
    call.bytes = (size_t)call.elements * dnn_bytes_of(call.dtype);
    call.pointer[0] = memory_of(pack, x);
    call.pointer[call.backward ? 2 : 1] = memory_of(pack, descriptor_of(operation, call.backward ? 757 : 753, TENSOR));
    if (call.backward)
        call.pointer[3] = memory_of(pack, descriptor_of(operation, 756, TENSOR));
    for (int i = 0; i < FAKE_CALL_POINTERS; i++)
        if ((uintptr_t)call.pointer[i] % (uintptr_t) * (const int64_t *)value_of(x, 900))
            return DNN_MISALIGNED;
    if (!call.pointer[0] || !call.pointer[call.backward ? 3 : 1] || (config->engine && !value_of(pack, 1003)))
        return DNN_NULL_POINTER;
    return dnn_put(handle, &call);
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
