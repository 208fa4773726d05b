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
} list_pass;

static void run_piece(void *user, int piece)
{
    const list_pass *pass = user;
    const int64_t *begin = pass->list->piece_begin + piece;
    actune_slice slice = {.port = pass->port, .begin = begin[0], .end = begin[1], .partial = pass->partial};
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
    list_pass pass = {.list = list, .function = list->clip, .plain = plain_clip, .port = {NULL, &limit}};
    run(&pass);
    return ACTUNE_OK;
}

/* In chunk order, by one thread. */
static double fold(const actune_tensor_list *list, actune_norm norm, const double *partial)
{
    double total = 0;
    for (int64_t i = 0; i < list->chunks; i++)
        if (norm == ACTUNE_NORM_INF)
            total = partial[i] > total || isnan(partial[i]) ? partial[i] : total;
        else
            total += partial[i];
    return norm == ACTUNE_NORM_2 ? sqrt(total) : total;
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
static actune_status measure(const actune_tensor_list *list, double max_norm, actune_norm norm, actune_clip_result *result)
{
    /* The list is constant to its users; taking a workspace from it is atomic. */
    at_workspaces *workspaces = (at_workspaces *)&list->workspaces;
    void *memory = NULL;
    int slot = -1;
    list_pass pass = {.list = list, .function = list->norm[norm], .plain = plain_norm, .norm = norm};
    if (list->chunks > 0)
        AT_TRY(at_workspace_take(workspaces, &memory, &slot));
    pass.partial = memory;
    run(&pass);
    *result = result_of(list->dtype, fold(list, norm, memory), max_norm);
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
    AT_TRY(measure(list, max_norm, options->norm, result));
    if (result->not_finite && options->error_if_nonfinite)
        return at_fail(ACTUNE_NOT_FINITE, "actune_clip_norm: the norm of the %d tensors is %g; nothing was written", list->tensors, result->norm);
    if (options->compute_only || list->chunks == 0 || (result->coefficient == 1 && !result->not_finite))
        return ACTUNE_OK;
    list_pass pass = {.list = list, .function = list->scale, .plain = plain_scale, .port = {NULL, &result->coefficient}};
    run(&pass);
    result->scaled = 1;
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
    if (list->cuda != NULL)
        return at_list_cuda_norm(list->cuda, max_norm, options, result);
    return clip_norm(list, max_norm, options, result != NULL ? result : &own);
}
