/* Compiled code -> module -> functions: what is left of cuda_module.c where nothing compiles. Exported libraries compile this file in. */
#include "cuda_module.h"

#include <stdio.h>
#include <stdlib.h>

static actune_status find_function(at_cuda_kernel *kernel, const char *name, at_cu_function *function)
{
    const at_cuda_api *api = kernel->device->api;
    AT_TRY(AT_CUDA(api, cuModuleGetFunction, (function, kernel->module, name)));
    /* Drivers load functions lazily, at the first launch: not inside somebody's capture. */
    return api->cuFuncLoad != NULL ? AT_CUDA(api, cuFuncLoad, (*function)) : ACTUNE_OK;
}

static actune_status read_attributes(at_cuda_kernel *kernel)
{
    const struct {
        int attribute, *value;
    } asked[] = {{AT_CU_FUNCTION_REGISTERS, &kernel->registers},
                 {AT_CU_FUNCTION_SHARED_BYTES, &kernel->shared_bytes},
                 {AT_CU_FUNCTION_LOCAL_BYTES, &kernel->local_bytes},
                 {AT_CU_FUNCTION_MAX_THREADS, &kernel->max_threads}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        AT_TRY(AT_CUDA(kernel->device->api, cuFuncGetAttribute, (asked[i].value, asked[i].attribute, kernel->main)));
    return ACTUNE_OK;
}

static actune_status find_functions(at_cuda_kernel *kernel, const char *symbol, bool finish)
{
    char name[128];
    AT_TRY(find_function(kernel, symbol, &kernel->main));
    snprintf(name, sizeof name, "%.100s_finish", symbol);
    if (finish)
        AT_TRY(find_function(kernel, name, &kernel->finish));
    return read_attributes(kernel);
}

actune_status at_cuda_kernel_load(const at_cuda_device *device, const void *code, const char *symbol, bool finish, at_cuda_kernel **kernel)
{
    at_cuda_kernel *made = calloc(1, sizeof *made);
    if (made == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a kernel");
    made->device = device;
    actune_status status = AT_CUDA(device->api, cuModuleLoadData, (&made->module, code));
    if (status != ACTUNE_OK)
        made->module = NULL;
    else
        status = find_functions(made, symbol, finish);
    if (status != ACTUNE_OK) {
        at_cuda_kernel_destroy(made);
        return status;
    }
    *kernel = made;
    return ACTUNE_OK;
}

void at_cuda_kernel_destroy(at_cuda_kernel *kernel)
{
    bool pushed;
    if (kernel == NULL)
        return;
    if (kernel->module != NULL && at_cuda_enter(kernel->device, &pushed) == ACTUNE_OK) {
        kernel->device->api->cuModuleUnload(kernel->module);
        at_cuda_leave(kernel->device, pushed);
    }
    free(kernel);
}
