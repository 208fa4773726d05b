/* Gradient clipping over a list of tensors: by value, by the norm of all together. */
#include "tensor_list.h"

#include "base/dtype.h"

#include <math.h>

/* One pass over the chunks. */
typedef struct list_pass {
    const actune_tensor_list *list;
    actune_kernel_fn function; /* NULL: plain */
    void (*plain)(const struct list_pass *pass, const actune_slice *slice);
    actune_norm norm;
    void *port[2]; /* chunks, operand */
    double *partial;
    int64_t chunks; /* the first ones; all: list->chunks */
} list_pass;

/* Threads get about as many elements each; of a part of the list, as many chunks. */
static int64_t piece_begin(const list_pass *pass, int piece)
{
    const actune_tensor_list *list = pass->list;
    if (pass->chunks == list->chunks)
        return list->piece_begin[piece];
    return pass->chunks / list->threads * piece + pass->chunks % list->threads * piece / list->threads;
}

static void run_piece(void *user, int piece)
{
    const list_pass *pass = user;
    actune_slice slice = {.port = pass->port, .begin = piece_begin(pass, piece), .end = piece_begin(pass, piece + 1), .partial = pass->partial};
    if (slice.begin == slice.end)
        return;
    if (pass->list->binary != NULL)
        pass->function(&slice);
    else
        pass->plain(pass, &slice);
}

static void run(list_pass *pass)
{
    const actune_tensor_list *list = pass->list;
    pass->port[0] = list->chunk;
    if (list->threads > 1)
        at_pool_run(list->pool, list->threads, run_piece, pass);
    else
        run_piece(pass, 0);
}

static void plain_norm(const list_pass *pass, const actune_slice *slice)
{
    at_list_plain_norm(pass->list->dtype, pass->norm, slice);
}

static void plain_scale(const list_pass *pass, const actune_slice *slice)
{
    at_list_plain_scale(pass->list->dtype, slice);
}

static void plain_clip(const list_pass *pass, const actune_slice *slice)
{
    at_list_plain_clip(pass->list->dtype, slice);
}

actune_status actune_clip_value(const actune_tensor_list *list, double limit, void *stream)
{
    if (list == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_value: the list is NULL");
    if (!(limit >= 0))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_value: limit is %g; it must be 0 or more", limit);
    if (list->cuda != NULL)
        return at_list_cuda_clip(list->cuda, limit, stream);
    if (stream != NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_value: the list is on the CPU, where stream is NULL");
    list_pass pass = {.list = list, .function = list->clip, .plain = plain_clip, .port = {NULL, &limit}, .chunks = list->chunks};
    run(&pass);
    return ACTUNE_OK;
}

static double combine(actune_norm norm, double total, double part)
{
    if (norm == ACTUNE_NORM_INF)
        return part > total || isnan(part) ? part : total;
    return total + part;
}

/* In chunk order, then what others have added up, by one thread. */
static double fold(const double *partial, int64_t chunks, const actune_clip_norm_options *options)
{
    double total = 0;
    for (int64_t i = 0; i < chunks; i++)
        total = combine(options->norm, total, partial[i]);
    for (int64_t i = 0; options->sums != NULL && i < options->sums->count; i++)
        total = combine(options->norm, total, at_dtype_load(options->sums->dtype, options->sums->data, i));
    return options->norm == ACTUNE_NORM_2 ? sqrt(total) : total;
}

/* torch.clamp(max_norm / (norm + 1e-6), max=1), which lets NaN through. */
static actune_clip_result result_of(actune_dtype dtype, double norm, double max_norm)
{
    double coefficient = max_norm / (norm + 1e-6);
    if (coefficient > 1)
        coefficient = 1;
    if (at_dtype_get(dtype)->compute == ACTUNE_F32)
        coefficient = (double)(float)coefficient;
    return (actune_clip_result){
        .norm = norm, .coefficient = coefficient, .coefficient_f32 = (float)coefficient, .not_finite = !isfinite(norm)};
}

/* Norm and coefficient: the first pass. */
static actune_status measure(const actune_tensor_list *list, double max_norm, const actune_clip_norm_options *options, actune_clip_result *result)
{
    /* The list is constant to its users; taking a workspace from it is atomic. */
    at_workspaces *workspaces = (at_workspaces *)&list->workspaces;
    void *memory = NULL;
    int slot = -1;
    list_pass pass = {.list = list, .function = list->norm[options->norm], .plain = plain_norm, .norm = options->norm,
                      .chunks = list->first_chunk[list->tensors - options->summed_tensors]};
    if (list->chunks > 0)
        AT_TRY(at_workspace_take(workspaces, &memory, &slot));
    pass.partial = memory;
    run(&pass);
    *result = result_of(list->dtype, fold(memory, pass.chunks, options), max_norm);
    if (list->chunks > 0)
        at_workspace_give(workspaces, memory, slot);
    return ACTUNE_OK;
}

static actune_status clip_norm(const actune_tensor_list *list, double max_norm, const actune_clip_norm_options *options,
                               actune_clip_result *result)
{
    if (options->stream != NULL || options->workspace != NULL || options->device_result != NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT,
                       "actune_clip_norm: the list is on the CPU, where stream, workspace and device_result are NULL");
    AT_TRY(measure(list, max_norm, options, result));
    if (result->not_finite && options->error_if_nonfinite)
        return at_fail(ACTUNE_NOT_FINITE, "actune_clip_norm: the norm of the %d tensors is %g; nothing was written", list->tensors, result->norm);
    if (options->compute_only || list->chunks == 0 || (result->coefficient == 1 && !result->not_finite))
        return ACTUNE_OK;
    list_pass pass = {.list = list, .function = list->scale, .plain = plain_scale, .port = {NULL, &result->coefficient}, .chunks = list->chunks};
    run(&pass);
    result->scaled = 1;
    return ACTUNE_OK;
}

static actune_status check_sums(const actune_tensor_list *list, const actune_clip_norm_options *options)
{
    const actune_buffer *sums = options->sums;
    if (options->summed_tensors < 0 || options->summed_tensors > list->tensors)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: summed_tensors is %d; the list has %d tensors", options->summed_tensors, list->tensors);
    if (sums == NULL)
        return options->summed_tensors == 0
                   ? ACTUNE_OK
                   : at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: summed_tensors is %d, but sums is NULL: nothing speaks for them", options->summed_tensors);
    if (sums->dtype != ACTUNE_F32 && sums->dtype != ACTUNE_F64)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: sums must be f32 or f64");
    if (sums->count < (options->summed_tensors > 0) || sums->count > INT32_MAX)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: sums has %lld values", (long long)sums->count);
    if (sums->count > 0 && (sums->data == NULL || ((uintptr_t)sums->data & ((size_t)at_dtype_get(sums->dtype)->bytes - 1)) != 0))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: sums is %s", sums->data == NULL ? "NULL" : "not aligned to its element type");
    return ACTUNE_OK;
}

actune_status actune_clip_norm(const actune_tensor_list *list, double max_norm, const actune_clip_norm_options *options,
                               actune_clip_result *result)
{
    static const actune_clip_norm_options defaults;
    actune_clip_result own;
    if (options == NULL)
        options = &defaults;
    if (list == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: the list is NULL");
    if (!(max_norm >= 0))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: max_norm is %g; it must be 0 or more", max_norm);
    if ((unsigned)options->norm >= AT_LIST_NORMS)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_clip_norm: norm %d is none of ACTUNE_NORM_2, _INF and _1", (int)options->norm);
    AT_TRY(check_sums(list, options));
    if (list->cuda != NULL)
        return at_list_cuda_norm(list->cuda, max_norm, options, list->first_chunk[list->tensors - options->summed_tensors], result);
    return clip_norm(list, max_norm, options, result != NULL ? result : &own);
}
