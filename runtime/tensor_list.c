/* Tensor lists: what is in one, cut into chunks; the clipping itself is in clip.c. */
#include "tensor_list.h"

#include "base/dtype.h"

#include <stdlib.h>
#include <string.h>

enum { THREAD_ELEMENTS_MIN = 16384 };

static actune_status refuse(int index, const char *what)
{
    return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_list_create: tensor %d %s", index, what);
}

static actune_status check_tensor(const actune_buffer *tensors, int i)
{
    const actune_buffer *tensor = &tensors[i];
    const at_dtype_info *info = at_dtype_get(tensor->dtype);
    if (info == NULL)
        return refuse(i, "is of no known element type");
    if (info->bytes == 1)
        return at_fail(ACTUNE_UNSUPPORTED, "actune_tensor_list_create: tensor %d is %s; gradients are f32, f64, f16 or bf16", i, info->name);
    if (tensor->dtype != tensors[0].dtype)
        return at_fail(ACTUNE_INVALID_ARGUMENT,
                       "actune_tensor_list_create: tensor %d is %s, tensor 0 %s; a list has one element type, make one list for each", i, info->name,
                       at_dtype_get(tensors[0].dtype)->name);
    if (tensor->count < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_list_create: tensor %d has %lld elements", i, (long long)tensor->count);
    if (tensor->count > 0 && tensor->data == NULL)
        return refuse(i, "is NULL");
    if (((uintptr_t)tensor->data & ((size_t)info->bytes - 1)) != 0)
        return refuse(i, "is not aligned to its element type");
    if (tensor->count > (INT64_C(1) << 56) || (uintptr_t)tensor->data > UINTPTR_MAX - (uintptr_t)tensor->count * (uintptr_t)info->bytes)
        return refuse(i, "does not fit memory");
    return ACTUNE_OK;
}

typedef struct span {
    uintptr_t begin, end;
    int index;
} span;

static int by_address(const void *a, const void *b)
{
    uintptr_t x = ((const span *)a)->begin, y = ((const span *)b)->begin;
    return (x > y) - (x < y);
}

/* Scaling a shared element twice would be silently wrong (a parameter that is tied to another belongs in the list once). */
static actune_status check_overlap(const actune_buffer *tensors, int count)
{
    span *spans = malloc((size_t)count * sizeof *spans);
    actune_status status = ACTUNE_OK;
    int used = 0;
    if (spans == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a list of %d tensors", count);
    for (int i = 0; i < count; i++)
        if (tensors[i].count > 0) {
            uintptr_t begin = (uintptr_t)tensors[i].data;
            spans[used++] = (span){begin, begin + (uintptr_t)tensors[i].count * (uintptr_t)at_dtype_get(tensors[i].dtype)->bytes, i};
        }
    qsort(spans, (size_t)used, sizeof *spans, by_address);
    for (int i = 1; i < used && status == ACTUNE_OK; i++)
        if (spans[i].begin < spans[i - 1].end) {
            int a = spans[i - 1].index, b = spans[i].index;
            status = at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_list_create: tensors %d and %d overlap; each element may be in a list once",
                             a < b ? a : b, a < b ? b : a);
        }
    free(spans);
    return status;
}

static actune_status check(const actune_context *context, const actune_buffer *tensors, int count)
{
    if (context == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_list_create: the context is NULL");
    if (count < 1)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_list_create: count is %d; a list has at least one tensor", count);
    if (tensors == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_list_create: tensors is NULL");
    for (int i = 0; i < count; i++)
        AT_TRY(check_tensor(tensors, i));
    return check_overlap(tensors, count);
}

static actune_status cut(actune_tensor_list *list, const actune_buffer *tensors, int count)
{
    for (int i = 0; i < count; i++) {
        list->elements += tensors[i].count;
        list->chunks += (tensors[i].count + AT_LIST_CHUNK - 1) / AT_LIST_CHUNK;
    }
    list->chunk = malloc((size_t)(list->chunks + 1) * sizeof *list->chunk);
    list->first_chunk = malloc(((size_t)count + 1) * sizeof *list->first_chunk);
    if (list->chunk == NULL || list->first_chunk == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a list of %d tensors", count);
    at_list_chunk *next = list->chunk;
    size_t bytes = (size_t)at_dtype_get(list->dtype)->bytes;
    for (int i = 0; i < count; i++) {
        list->first_chunk[i] = next - list->chunk;
        for (int64_t begin = 0; begin < tensors[i].count; begin += AT_LIST_CHUNK) {
            int64_t rest = tensors[i].count - begin;
            *next++ = (at_list_chunk){(char *)tensors[i].data + (size_t)begin * bytes, rest < AT_LIST_CHUNK ? rest : AT_LIST_CHUNK};
        }
    }
    list->first_chunk[count] = list->chunks;
    return ACTUNE_OK;
}

/* Threads get about as many elements each; which of them does a chunk changes nothing in the result. */
static actune_status share(actune_tensor_list *list)
{
    int64_t most = list->elements / THREAD_ELEMENTS_MIN;
    list->threads = list->context->max_threads;
    if (list->threads > most)
        list->threads = most < 1 ? 1 : (int)most;
    list->piece_begin = malloc(((size_t)list->threads + 1) * sizeof *list->piece_begin);
    if (list->piece_begin == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a list of %d tensors", list->tensors);
    int64_t chunk = 0, before = 0;
    for (int i = 0; i < list->threads; i++) {
        list->piece_begin[i] = chunk;
        for (; chunk < list->chunks && before < list->elements / list->threads * (i + 1); chunk++)
            before += list->chunk[chunk].count;
    }
    list->piece_begin[list->threads] = list->chunks;
    return list->threads > 1 ? at_context_pool(list->context, &list->pool) : ACTUNE_OK;
}

/* The whole way, in order. */
static actune_status open_list(actune_tensor_list *list, const actune_buffer *tensors, int count)
{
    list->dtype = tensors[0].dtype;
    list->tensors = count;
    AT_TRY(cut(list, tensors, count));
    if (list->context->cuda != NULL)
        return at_list_cuda_open(list->context, list->dtype, list->chunk, list->chunks, &list->cuda);
    AT_TRY(share(list));
    AT_TRY(at_list_load(list));
    return at_workspaces_init(&list->workspaces, (size_t)list->chunks * sizeof(double), list->context->device.processors);
}

actune_status actune_tensor_list_create(actune_context *context, const actune_buffer *tensors, int count, actune_tensor_list **list)
{
    if (list == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_tensor_list_create: the place for the list is NULL");
    *list = NULL;
    AT_TRY(check(context, tensors, count));
    actune_tensor_list *new = calloc(1, sizeof *new);
    if (new == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a list of %d tensors", count);
    at_context_retain(context);
    new->context = context;
    actune_status status = open_list(new, tensors, count);
    if (status != ACTUNE_OK) {
        actune_tensor_list_destroy(new);
        return status;
    }
    *list = new;
    return ACTUNE_OK;
}

void actune_tensor_list_destroy(actune_tensor_list *list)
{
    if (list == NULL)
        return;
    at_list_cuda_close(list->cuda);
    at_workspaces_clear(&list->workspaces);
    if (list->binary != NULL)
        at_binary_release(list->binary);
    at_strbuf_clear(&list->note);
    free(list->piece_begin);
    free(list->first_chunk);
    free(list->chunk);
    actune_context_close(list->context);
    free(list);
}

void actune_tensor_list_describe(const actune_tensor_list *list, actune_tensor_list_info *info)
{
    *info = (actune_tensor_list_info){.tensors = list->tensors,
                                      .elements = list->elements,
                                      .dtype = list->dtype,
                                      .threads = list->cuda != NULL ? 1 : list->threads,
                                      .kernels = list->cuda != NULL     ? at_list_cuda_origin(list->cuda)
                                                 : list->binary != NULL ? list->build.path
                                                                        : "plain loops",
                                      .note = at_strbuf_text(&list->note),
                                      .workspace_bytes = list->cuda != NULL ? at_list_cuda_workspace(list->cuda)
                                                                            : (size_t)list->chunks * sizeof(double)};
}
