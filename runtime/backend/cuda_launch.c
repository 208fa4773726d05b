#include "cuda_launch.h"

enum { ARGUMENTS_MAX = AT_PORTS_MAX + AT_CUDA_EXTENTS_MAX + 1 };

/* cuLaunchKernel wants the address of every argument; it has copied them when it returns. */
typedef struct arguments {
    void *of[ARGUMENTS_MAX];
    long long wide[AT_CUDA_EXTENTS_MAX];
    int narrow[AT_CUDA_EXTENTS_MAX];
    int count;
} arguments;

static void add_ports(arguments *list, const at_signature *signature, void *const *ports, bool reduced)
{
    for (int i = 0; i < signature->ports; i++)
        if ((signature->port[i].reduction != AT_REDUCTION_NONE) == reduced)
            list->of[list->count++] = (void *)&ports[i];
}

static void add_extents(arguments *list, const at_cuda_extents *extents)
{
    for (int i = 0; i < extents->count; i++) {
        list->wide[i] = extents->value[i];
        list->narrow[i] = (int)extents->value[i];
        list->of[list->count++] = extents->is_int[i] ? (void *)&list->narrow[i] : (void *)&list->wide[i];
    }
}

static actune_status launch_one(const at_cuda_launch *launch, at_cu_function function, unsigned grid, arguments *list, at_cu_stream stream)
{
    const at_cuda_api *api = launch->kernel->device->api;
    if (!launch->overlaps)
        return AT_CUDA(api, cuLaunchKernel, (function, grid, 1, 1, launch->block, 1, 1, 0, stream, list->of, NULL));
    at_cu_launch_attribute overlap = {.id = AT_CU_LAUNCH_OVERLAPS, .value.flag = 1};
    const at_cu_launch_config config = {.grid = {grid, 1, 1}, .block = {launch->block, 1, 1}, .stream = stream, .attributes = &overlap, .attribute_count = 1};
    return AT_CUDA(api, cuLaunchKernelEx, (&config, function, list->of, NULL));
}

static actune_status zero_sums(const at_cuda_launch *launch, void *const *ports, at_cu_stream stream)
{
    for (int i = 0; i < launch->signature->ports; i++)
        if (launch->sum_bytes[i] > 0)
            AT_TRY(AT_CUDA(launch->kernel->device->api, cuMemsetD8Async,
                           ((at_cu_pointer)(uintptr_t)ports[i], 0, launch->sum_bytes[i], stream)));
    return ACTUNE_OK;
}

static actune_status launch_all(const at_cuda_launch *launch, void *const *ports, void *partial, at_cu_stream stream)
{
    arguments list = {.count = 0}, last = {.count = 0};
    if (launch->grid == 0)
        return zero_sums(launch, ports, stream);
    add_ports(&list, launch->signature, ports, false);
    add_extents(&list, &launch->extents);
    if (launch->kernel->finish != NULL)
        list.of[list.count++] = &partial;
    AT_TRY(launch_one(launch, launch->kernel->main, launch->grid, &list, stream));
    if (launch->kernel->finish == NULL)
        return ACTUNE_OK;
    add_ports(&last, launch->signature, ports, true);
    last.of[last.count++] = &partial;
    add_extents(&last, &launch->finish_extents);
    return launch_one(launch, launch->kernel->finish, launch->finish_grid, &last, stream);
}

actune_status at_cuda_launch_run(const at_cuda_launch *launch, void *const *ports, void *partial, at_cu_stream stream)
{
    bool pushed;
    AT_TRY(at_cuda_enter(launch->kernel->device, &pushed));
    actune_status status = launch_all(launch, ports, partial, stream);
    at_cuda_leave(launch->kernel->device, pushed);
    return status;
}
