#include "list_cuda.h"

#include "backend/cuda_caller.h"
#include "backend/cuda_memory.h"
#include "backend/cuda_module.h"
#include "backend/cuda_workspace.h"

#include <stdlib.h>
#include <string.h>

typedef enum list_unit { LIST_NORM, LIST_CLIP, LIST_UNITS } list_unit;

struct at_list_cuda {
    const at_cuda_device *device;
    int64_t chunks;
    void *table; /* the chunks, on the device */
    at_cuda_kernel *unit[LIST_UNITS];
    unsigned norm_grid, finish_grid, clip_grid;
    at_cuda_workspaces workspaces; /* a double a chunk, then an actune_clip_result */
};

enum { FLAG_ONLY_FINITE = 1, FLAG_COMPUTE_ONLY = 2 };

static size_t result_offset(const at_list_cuda *list)
{
    return (size_t)list->chunks * sizeof(double);
}

static actune_status build(at_list_cuda *list, const actune_context *context, actune_dtype dtype, list_unit which)
{
    static const char *const names[] = {[LIST_NORM] = "cuda/list_norm", [LIST_CLIP] = "cuda/list_clip"};
    const at_target target = at_context_target(context);
    at_strbuf source = {0};
    actune_status status = at_generate_list_cuda(dtype, &target, names[which], &source);
    const at_cuda_request request = {.source = at_strbuf_text(&source), .symbol = AT_LIST_SYMBOL, .finish = which == LIST_NORM, .no_compile = context->no_compile};
    if (status == ACTUNE_OK)
        status = at_cuda_kernel_build(list->device, context->cache, &request, &list->unit[which]);
    at_strbuf_clear(&source);
    return status;
}

/* As many blocks as are resident at once, no more than there are chunks. */
static actune_status size_grid(const at_list_cuda *list, at_cu_function function, unsigned *grid)
{
    bool pushed;
    int resident = 0;
    AT_TRY(at_cuda_enter(list->device, &pushed));
    actune_status status =
        AT_CUDA(list->device->api, cuOccupancyMaxActiveBlocksPerMultiprocessor, (&resident, function, AT_LIST_BLOCK, 0));
    at_cuda_leave(list->device, pushed);
    int64_t blocks = (int64_t)list->device->info.sms * (resident > 0 ? resident : 1);
    if (blocks > list->chunks)
        blocks = list->chunks;
    *grid = blocks < 1 ? 1 : (unsigned)blocks;
    return status;
}

static actune_status open_list(at_list_cuda *list, const actune_context *context, actune_dtype dtype, const at_list_chunk *chunk)
{
    size_t bytes = (size_t)list->chunks * sizeof *chunk;
    if (context->cache == NULL)
        return at_fail(ACTUNE_IO, "CUDA kernels need a folder to be kept in: %s", context->cache_note);
    for (int i = 0; i < LIST_UNITS; i++)
        AT_TRY(build(list, context, dtype, (list_unit)i));
    AT_TRY(size_grid(list, list->unit[LIST_NORM]->main, &list->norm_grid));
    AT_TRY(size_grid(list, list->unit[LIST_NORM]->finish, &list->finish_grid));
    AT_TRY(size_grid(list, list->unit[LIST_CLIP]->main, &list->clip_grid));
    AT_TRY(at_cuda_allocate(list->device, bytes, &list->table));
    AT_TRY(at_cuda_upload(list->device, list->table, chunk, bytes));
    return at_cuda_workspaces_init(&list->workspaces, list->device, at_list_cuda_workspace(list));
}

actune_status at_list_cuda_open(actune_context *context, actune_dtype dtype, const at_list_chunk *chunk, int64_t chunks, at_list_cuda **list)
{
    at_list_cuda *made = calloc(1, sizeof *made);
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a list of tensors");
    made->device = context->cuda;
    made->chunks = chunks;
    actune_status status = open_list(made, context, dtype, chunk);
    if (status != ACTUNE_OK) {
        at_list_cuda_close(made);
        return status;
    }
    *list = made;
    return ACTUNE_OK;
}

void at_list_cuda_close(at_list_cuda *list)
{
    if (list == NULL)
        return;
    at_cuda_workspaces_clear(&list->workspaces);
    at_cuda_free(list->device, list->table);
    for (int i = 0; i < LIST_UNITS; i++)
        at_cuda_kernel_destroy(list->unit[i]);
    free(list);
}

const char *at_list_cuda_origin(const at_list_cuda *list)
{
    return list->unit[LIST_NORM]->origin;
}

size_t at_list_cuda_workspace(const at_list_cuda *list)
{
    return result_offset(list) + sizeof(actune_clip_result);
}

/* The context is current. `arguments`: the address of each. */
static actune_status launch(const at_list_cuda *list, at_cu_function function, unsigned grid, void **arguments, void *stream)
{
    return AT_CUDA(list->device->api, cuLaunchKernel,
                   (function, grid, 1, 1, AT_LIST_BLOCK, 1, 1, 0, (at_cu_stream)stream, arguments, NULL));
}

static long long bits_of(double value)
{
    long long bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

actune_status at_list_cuda_clip(const at_list_cuda *list, double limit, void *stream)
{
    bool pushed;
    long long count = list->chunks, bits = bits_of(limit);
    void *table = list->table, *arguments[] = {&table, &count, &bits};
    if (count == 0)
        return ACTUNE_OK;
    AT_TRY(at_cuda_enter(list->device, &pushed));
    actune_status status = launch(list, list->unit[LIST_CLIP]->main, list->clip_grid, arguments, stream);
    at_cuda_leave(list->device, pushed);
    return status;
}

/* Both launches; the context is current. */
static actune_status launch_norm(const at_list_cuda *list, double max_norm, const actune_clip_norm_options *options, int64_t measured, void *partial,
                                 void *result)
{
    const actune_buffer none = {NULL, 0, ACTUNE_F32}, *sums = options->sums != NULL ? options->sums : &none;
    long long count = list->chunks, read = measured, bound = bits_of(max_norm);
    int sum_count = (int)sums->count, wide = sums->dtype == ACTUNE_F64;
    int kind = (int)options->norm;
    int flags = (options->error_if_nonfinite ? FLAG_ONLY_FINITE : 0) | (options->compute_only ? FLAG_COMPUTE_ONLY : 0);
    void *table = list->table;
    void *values = sums->data;
    void *first[] = {&table, &read, &kind, &partial};
    void *second[] = {&table, &count, &kind, &partial, &read, &values, &sum_count, &wide, &bound, &flags, &result};
    if (read > 0)
        AT_TRY(launch(list, list->unit[LIST_NORM]->main, list->norm_grid, first, options->stream));
    return launch(list, list->unit[LIST_NORM]->finish, options->compute_only ? 1 : list->finish_grid, second, options->stream);
}

/* Waiting is not allowed in a capture, and must be refused before anything is put into it. */
static actune_status refuse_capture(const at_list_cuda *list, void *stream)
{
    bool capturing;
    AT_TRY(at_cuda_is_capturing(list->device, (at_cu_stream)stream, &capturing));
    if (!capturing)
        return ACTUNE_OK;
    return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: the stream is being captured, and result and error_if_nonfinite wait for it; "
                                            "let device_result take the result");
}

static actune_status run(const at_list_cuda *list, double max_norm, const actune_clip_norm_options *options, int64_t measured, bool waits,
                         void *workspace, void *result)
{
    bool pushed;
    AT_TRY(at_cuda_enter(list->device, &pushed));
    actune_status status = waits ? refuse_capture(list, options->stream) : ACTUNE_OK;
    if (status == ACTUNE_OK)
        status = launch_norm(list, max_norm, options, measured, workspace, result);
    at_cuda_leave(list->device, pushed);
    return status;
}

actune_status at_list_cuda_norm(const at_list_cuda *list, double max_norm, const actune_clip_norm_options *options, int64_t measured,
                                actune_clip_result *result)
{
    void *workspace = options->workspace;
    bool waits = result != NULL || options->error_if_nonfinite;
    actune_clip_result own;
    if (workspace == NULL)
        /* The list is constant to its users; its workspaces are taken atomically. */
        AT_TRY(at_cuda_workspace_get((at_cuda_workspaces *)&list->workspaces, (at_cu_stream)options->stream, false, &workspace));
    void *place = options->device_result != NULL ? options->device_result : (char *)workspace + result_offset(list);
    AT_TRY(run(list, max_norm, options, measured, waits, workspace, place));
    if (!waits)
        return ACTUNE_OK;
    result = result != NULL ? result : &own;
    AT_TRY(at_cuda_wait(list->device, (at_cu_stream)options->stream));
    AT_TRY(at_cuda_download(list->device, result, place, sizeof *result));
    if (result->not_finite && options->error_if_nonfinite)
        return at_fail(ACTUNE_NOT_FINITE, "actune_clip_norm: the norm of the tensors is %g; nothing was written", result->norm);
    return ACTUNE_OK;
}
