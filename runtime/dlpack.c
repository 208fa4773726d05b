/* DLPack tensors in and out. The structures are DLPack's, declared here as they stand in version 1.1 of its specification. */
#include "plan.h"

#include <actune/dlpack.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct dl_device {
    int32_t type, id;
} dl_device;

typedef struct dl_type {
    uint8_t code, bits;
    uint16_t lanes;
} dl_type;

typedef struct dl_tensor {
    void *data;
    dl_device device;
    int32_t rank;
    dl_type type;
    int64_t *extent;
    int64_t *stride; /* in elements; NULL: row-major */
    uint64_t byte_offset;
} dl_tensor;

typedef struct dl_managed {
    dl_tensor tensor;
    void *manager;
    void (*deleter)(struct dl_managed *self);
} dl_managed;

typedef struct dl_versioned {
    uint32_t major, minor;
    void *manager;
    void (*deleter)(struct dl_versioned *self);
    uint64_t flags;
    dl_tensor tensor;
} dl_versioned;

enum { DL_MAJOR = 1, DL_MINOR = 1, DL_READ_ONLY = 1 };
enum { DL_CPU = 1, DL_CUDA = 2, DL_CUDA_HOST = 3, DL_CUDA_MANAGED = 13 };
enum { DL_INT = 0, DL_UINT = 1, DL_FLOAT = 2, DL_BFLOAT = 4, DL_E4M3FN = 10, DL_E5M2 = 12 };

static const struct {
    uint8_t code, bits;
    actune_dtype dtype;
} types[] = {
    {DL_FLOAT, 32, ACTUNE_F32},
    {DL_FLOAT, 64, ACTUNE_F64},
    {DL_FLOAT, 16, ACTUNE_F16},
    {DL_BFLOAT, 16, ACTUNE_BF16},
    {DL_INT, 8, ACTUNE_I8},
    {DL_UINT, 8, ACTUNE_U8},
    {DL_E4M3FN, 8, ACTUNE_F8E4M3},
    {DL_E5M2, 8, ACTUNE_F8E5M2},
};
enum { TYPES = sizeof types / sizeof *types };

static actune_status read_type(dl_type type, actune_dtype *dtype)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].code == type.code && types[i].bits == type.bits && type.lanes == 1) {
            *dtype = types[i].dtype;
            return ACTUNE_OK;
        }
    return at_fail(ACTUNE_UNSUPPORTED, "the tensor's elements (DLPack type code %d, %d bits, %d lanes) are none that kernels take", type.code,
                   type.bits, type.lanes);
}

static actune_status read_device(dl_device device, actune_tensor *out)
{
    bool host = device.type == DL_CPU || device.type == DL_CUDA_HOST;
    if (!host && device.type != DL_CUDA && device.type != DL_CUDA_MANAGED)
        return at_fail(ACTUNE_UNSUPPORTED, "the tensor lies in memory of DLPack's device type %d; kernels take CPU (1), CUDA (2), CUDA host (3) "
                       "and CUDA managed (13) memory", device.type);
    out->is_cuda = !host;
    out->device = host ? 0 : device.id;
    return ACTUNE_OK;
}

/* Axes by falling stride, those of extent 1 (whose stride means nothing) last; equal ones as they stand. */
static void sort_axes(const int64_t *stride, actune_tensor *out)
{
    for (int axis = 0; axis < out->rank; axis++) {
        int at = axis;
        bool counts = out->extent[axis] != 1;
        for (; at > 0 && counts; at--) {
            int before = out->order[at - 1];
            if (out->extent[before] != 1 && stride[before] >= stride[axis])
                break;
            out->order[at] = before;
        }
        out->order[at] = axis;
    }
}

static actune_status check_dense(const int64_t *stride, const actune_tensor *tensor)
{
    int64_t dense = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        int axis = tensor->order[i];
        if (tensor->extent[axis] == 1)
            continue;
        if (stride[axis] != dense)
            return at_fail(ACTUNE_INVALID_ARGUMENT,
                           "axis %d of the tensor has stride %lld where %lld elements lie side by side: kernels take dense tensors (any order of "
                           "axes, no gaps, no repeated elements); make a contiguous copy",
                           axis, (long long)stride[axis], (long long)dense);
        dense *= tensor->extent[axis];
    }
    return ACTUNE_OK;
}

static actune_status read_extents(const dl_tensor *tensor, actune_tensor *out)
{
    int64_t count = 1, most = (int64_t)1 << 56;
    if (tensor->rank < 0 || tensor->rank > ACTUNE_RANK_MAX)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the tensor has %d axes; 0 to %d are taken", tensor->rank, ACTUNE_RANK_MAX);
    if (tensor->rank > 0 && tensor->extent == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the tensor has %d axes, but no extents", tensor->rank);
    out->rank = tensor->rank;
    for (int i = 0; i < tensor->rank; i++) {
        int64_t extent = tensor->extent[i];
        if (extent < 0 || (extent > 0 && count > most / extent))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "extent %lld of axis %d is %s", (long long)extent, i,
                           extent < 0 ? "negative" : "too large: more than 2^56 elements in all");
        out->extent[i] = extent;
        out->order[i] = i;
        count *= extent > 0 ? extent : 1;
    }
    for (int i = 0; i < tensor->rank; i++)
        count = out->extent[i] == 0 ? 0 : count;
    out->buffer.count = count;
    if (tensor->stride == NULL || count == 0)
        return ACTUNE_OK;
    sort_axes(tensor->stride, out);
    return check_dense(tensor->stride, out);
}

/* Where the channels lie innermost and the first axis outermost, that is the axis of images: there are operands with a value for each. */
static void tell_images(int axis, actune_tensor *out)
{
    int64_t images = out->rank > 2 ? out->extent[0] : 0;
    if (out->shape.inner != 1 || axis == 0 || images < 1 || out->shape.outer == images || out->extent[axis] == 1 || (images > 1 && out->order[0] != 0))
        return;
    out->shape.inner = out->shape.outer / images;
    out->shape.outer = images;
    out->shape.channels_last = true;
}

static actune_status find_channels(actune_axis channels, actune_tensor *out)
{
    out->shape = (actune_shape){1, 1, out->buffer.count};
    if (channels == ACTUNE_AXIS_NONE)
        return ACTUNE_OK;
    int axis = channels == ACTUNE_AXIS_SECOND ? 1 : out->rank - 1;
    if ((channels != ACTUNE_AXIS_SECOND && channels != ACTUNE_AXIS_LAST) || axis < 0 || axis >= out->rank)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the tensor has %d axes, so its channels cannot be its %s one", out->rank,
                       channels == ACTUNE_AXIS_SECOND ? "second" : channels == ACTUNE_AXIS_LAST ? "last" : "(unknown)");
    bool behind = false;
    out->shape = (actune_shape){1, out->extent[axis], 1, false};
    for (int i = 0; i < out->rank; i++) {
        /* One channel lies nowhere in particular: then as the axes are counted. */
        int at = out->extent[axis] == 1 ? i : out->order[i];
        if (at == axis)
            behind = true;
        else if (behind)
            out->shape.inner *= out->extent[at];
        else
            out->shape.outer *= out->extent[at];
    }
    tell_images(axis, out);
    return ACTUNE_OK;
}

static actune_status import(const dl_tensor *tensor, actune_axis channels, actune_tensor *out)
{
    AT_TRY(read_device(tensor->device, out));
    AT_TRY(read_type(tensor->type, &out->buffer.dtype));
    AT_TRY(read_extents(tensor, out));
    AT_TRY(find_channels(channels, out));
    if (out->buffer.count > 0 && tensor->data == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the tensor has %lld elements, but its data is NULL", (long long)out->buffer.count);
    out->buffer.data = tensor->data != NULL ? (char *)tensor->data + tensor->byte_offset : NULL;
    if ((uintptr_t)out->buffer.data % (size_t)at_dtype_get(out->buffer.dtype)->bytes != 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the tensor's data is not aligned to its elements (%s)", at_dtype_get(out->buffer.dtype)->name);
    return ACTUNE_OK;
}

/* The tensor inside of any of the three structures. */
static actune_status open_structure(const void *dlpack, actune_dlpack kind, const dl_tensor **tensor, bool *read_only)
{
    const dl_versioned *versioned = dlpack;
    *read_only = false;
    switch (kind) {
    case ACTUNE_DLPACK_TENSOR:
        *tensor = dlpack;
        return ACTUNE_OK;
    case ACTUNE_DLPACK_MANAGED:
        *tensor = &((const dl_managed *)dlpack)->tensor;
        return ACTUNE_OK;
    case ACTUNE_DLPACK_VERSIONED:
        if (versioned->major != DL_MAJOR)
            return at_fail(ACTUNE_UNSUPPORTED, "the tensor is of DLPack %u.%u; this version reads %d.x", versioned->major, versioned->minor, DL_MAJOR);
        *tensor = &versioned->tensor;
        *read_only = (versioned->flags & DL_READ_ONLY) != 0;
        return ACTUNE_OK;
    }
    return at_fail(ACTUNE_INVALID_ARGUMENT, "kind %d is none of DLPack's structures", (int)kind);
}

actune_status actune_tensor_import(const void *dlpack, actune_dlpack kind, actune_axis channels, actune_tensor *out)
{
    if (dlpack == NULL || out == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_import: the tensor or the place for it is NULL");
    const dl_tensor *tensor = NULL;
    actune_tensor read = {0};
    AT_TRY(open_structure(dlpack, kind, &tensor, &read.read_only));
    AT_TRY(import(tensor, channels, &read));
    *out = read;
    return ACTUNE_OK;
}

/* Whether the axes that both have lie in one order. Axes of extent 1 lie anywhere. */
static bool same_order(const actune_tensor *a, const actune_tensor *b)
{
    int k = 0;
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++) {
        int axis = a->order[i];
        if (a->extent[axis] == 1 || b->extent[axis] == 1)
            continue;
        while (k < b->rank && (b->extent[b->order[k]] == 1 || a->extent[b->order[k]] == 1))
            k++;
        if (k == b->rank || b->order[k++] != axis)
            return false;
    }
    return true;
}

static bool is_row_major(const actune_tensor *tensor)
{
    int last = -1;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->extent[tensor->order[i]] == 1)
            continue;
        if (tensor->order[i] < last)
            return false;
        last = tensor->order[i];
    }
    return true;
}

static const char *device_name(int ordinal, char text[24])
{
    snprintf(text, 24, ordinal < 0 ? "the CPU" : "cuda:%d", ordinal);
    return text;
}

static actune_status check_tensor(const actune_plan *plan, const actune_tensor *const *tensors, int port)
{
    const actune_tensor *t = tensors[port], *x = tensors[0];
    const at_port *p = &plan->kernel.signature.port[port];
    int device = plan->context->device.cuda_ordinal;
    if (t == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute_tensors: tensor %d (%s) is NULL", port, p->name);
    if (t->is_cuda != (device >= 0) || (t->is_cuda && t->device != device)) {
        char has[24], wants[24];
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute_tensors: tensor %d (%s) is on %s, the plan on %s", port, p->name,
                       device_name(t->is_cuda ? t->device : -1, has), device_name(device, wants));
    }
    if (p->is_output && t->read_only)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute_tensors: tensor %d (%s) would be written, but is read-only", port, p->name);
    bool element = (p->access == AT_ACCESS_ELEMENT || p->access == AT_ACCESS_HALVES) && !p->reduction;
    if (element ? !same_order(x, t) && !(is_row_major(x) && is_row_major(t)) : !is_row_major(t))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute_tensors: the axes of tensor %d (%s) lie in another order in memory than %s", port, p->name,
                       element ? "those of tensor 0" : "they are counted");
    return ACTUNE_OK;
}

actune_status actune_execute_tensors(const actune_plan *plan, const actune_tensor *const *tensors, int count, void *stream, void *workspace)
{
    actune_buffer buffers[AT_PORTS_MAX];
    if (plan == NULL || tensors == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute_tensors: the plan or the list of tensors is NULL");
    if (count != plan->ports)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_execute_tensors: %d tensors, the plan has %d ports", count, plan->ports);
    for (int i = 0; i < count; i++) {
        AT_TRY(check_tensor(plan, tensors, i));
        buffers[i] = tensors[i]->buffer;
    }
    return actune_execute_on(plan, buffers, count, stream, workspace);
}

/* What a tensor that was handed out owns: itself, and whose memory it is. */
typedef struct handed {
    union {
        dl_managed managed;
        dl_versioned versioned;
    } structure; /* first: its address is what is handed out */
    void (*release)(void *user);
    void *user;
    int64_t extent[ACTUNE_RANK_MAX], stride[ACTUNE_RANK_MAX];
} handed;

static void take_back(handed *h)
{
    if (h->release != NULL)
        h->release(h->user);
    free(h);
}

static void delete_managed(dl_managed *self)
{
    if (self != NULL)
        take_back(self->manager);
}

static void delete_versioned(dl_versioned *self)
{
    if (self != NULL)
        take_back(self->manager);
}

static actune_status check_export(const actune_tensor_export_desc *desc, actune_dlpack kind)
{
    if (kind != ACTUNE_DLPACK_MANAGED && kind != ACTUNE_DLPACK_VERSIONED)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_export: kind %d is no structure with an owner", (int)kind);
    if (kind == ACTUNE_DLPACK_MANAGED && desc->read_only)
        return at_fail(ACTUNE_UNSUPPORTED, "actune_tensor_export: DLManagedTensor cannot say that a tensor is read-only; use DLManagedTensorVersioned");
    if (desc->rank < 0 || desc->rank > ACTUNE_RANK_MAX || (desc->rank > 0 && desc->extent == NULL))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_export: %d axes%s; 0 to %d are taken", desc->rank,
                       desc->extent == NULL ? " without extents" : "", ACTUNE_RANK_MAX);
    if (at_dtype_get(desc->buffer.dtype) == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_export: dtype %d is no element type", (int)desc->buffer.dtype);
    return ACTUNE_OK;
}

static actune_status fill_tensor(const actune_tensor_export_desc *desc, handed *h, dl_tensor *tensor)
{
    int64_t count = 1;
    for (int i = desc->rank - 1; i >= 0; i--) {
        if (desc->extent[i] < 0 || (desc->extent[i] > 0 && count > INT64_MAX / desc->extent[i]))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_export: extent %lld of axis %d is negative or too large", (long long)desc->extent[i], i);
        h->extent[i] = desc->extent[i];
        h->stride[i] = count;
        count *= desc->extent[i] > 0 ? desc->extent[i] : 1;
    }
    for (int i = 0; i < desc->rank; i++)
        count = desc->extent[i] == 0 ? 0 : count;
    if (count > desc->buffer.count || (count > 0 && desc->buffer.data == NULL))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_export: the extents ask for %lld elements, the buffer has %lld%s", (long long)count,
                       (long long)desc->buffer.count, desc->buffer.data == NULL ? " and is NULL" : "");
    *tensor = (dl_tensor){.data = desc->buffer.data,
                          .device = {desc->is_cuda ? DL_CUDA : DL_CPU, desc->is_cuda ? desc->device : 0},
                          .rank = desc->rank,
                          .extent = h->extent,
                          .stride = h->stride};
    for (int i = 0; i < TYPES; i++)
        if (types[i].dtype == desc->buffer.dtype)
            tensor->type = (dl_type){types[i].code, types[i].bits, 1};
    return ACTUNE_OK;
}

actune_status actune_tensor_export(const actune_tensor_export_desc *desc, actune_dlpack kind, void **dlpack)
{
    if (desc == NULL || dlpack == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_export: the description or the place for the tensor is NULL");
    *dlpack = NULL;
    AT_TRY(check_export(desc, kind));
    handed *h = calloc(1, sizeof *h);
    if (h == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a tensor's description");
    bool versioned = kind == ACTUNE_DLPACK_VERSIONED;
    actune_status status = fill_tensor(desc, h, versioned ? &h->structure.versioned.tensor : &h->structure.managed.tensor);
    if (status != ACTUNE_OK) {
        free(h);
        return status;
    }
    h->release = desc->release;
    h->user = desc->user;
    if (versioned) {
        dl_versioned *v = &h->structure.versioned;
        v->major = DL_MAJOR, v->minor = DL_MINOR;
        v->flags = desc->read_only ? DL_READ_ONLY : 0;
        v->manager = h;
        v->deleter = delete_versioned;
    } else {
        h->structure.managed.manager = h;
        h->structure.managed.deleter = delete_managed;
    }
    *dlpack = h;
    return ACTUNE_OK;
}
