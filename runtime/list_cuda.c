#include "list_cuda.h"

#include <stdlib.h>

struct at_list_cuda {
    int unused;
};

static actune_status not_yet(void)
{
    return at_fail(ACTUNE_UNSUPPORTED, "lists of tensors run on the CPU only so far");
}

actune_status at_list_cuda_open(actune_context *context, actune_dtype dtype, const at_list_chunk *chunk, int64_t chunks, at_list_cuda **list)
{
    (void)context, (void)dtype, (void)chunk, (void)chunks, (void)list;
    return not_yet();
}

void at_list_cuda_close(at_list_cuda *list)
{
    free(list);
}

const char *at_list_cuda_origin(const at_list_cuda *list)
{
    (void)list;
    return "";
}

size_t at_list_cuda_workspace(const at_list_cuda *list)
{
    (void)list;
    return 0;
}

actune_status at_list_cuda_clip(const at_list_cuda *list, double limit, void *stream)
{
    (void)list, (void)limit, (void)stream;
    return not_yet();
}

actune_status at_list_cuda_norm(const at_list_cuda *list, double max_norm, const actune_clip_norm_options *options, actune_clip_result *result)
{
    (void)list, (void)max_norm, (void)options, (void)result;
    return not_yet();
}
