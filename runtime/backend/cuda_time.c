#include "cuda_time.h"

static actune_status open_inside(const at_cuda_device *device, at_cuda_timer *timer)
{
    AT_TRY(AT_CUDA(device->api, cuStreamCreate, (&timer->stream, AT_CU_STREAM_NON_BLOCKING)));
    AT_TRY(AT_CUDA(device->api, cuEventCreate, (&timer->start, 0)));
    return AT_CUDA(device->api, cuEventCreate, (&timer->end, 0));
}

actune_status at_cuda_timer_open(const at_cuda_device *device, at_cuda_timer *timer)
{
    bool pushed;
    *timer = (at_cuda_timer){.device = device};
    AT_TRY(at_cuda_enter(device, &pushed));
    actune_status status = open_inside(device, timer);
    at_cuda_leave(device, pushed);
    if (status != ACTUNE_OK)
        at_cuda_timer_close(timer);
    return status;
}

void at_cuda_timer_close(at_cuda_timer *timer)
{
    bool pushed;
    if (timer->device == NULL || at_cuda_enter(timer->device, &pushed) != ACTUNE_OK)
        return;
    const at_cuda_api *api = timer->device->api;
    if (timer->start != NULL)
        api->cuEventDestroy_v2(timer->start);
    if (timer->end != NULL)
        api->cuEventDestroy_v2(timer->end);
    if (timer->stream != NULL)
        api->cuStreamDestroy_v2(timer->stream);
    at_cuda_leave(timer->device, pushed);
    *timer = (at_cuda_timer){0};
}

/* Capture is always ended, or the stream could not be used any more. */
static actune_status capture(const at_cuda_timer *timer, actune_status (*work)(void *user, at_cu_stream stream), void *user,
                             at_cu_graph_exec *graph)
{
    const at_cuda_api *api = timer->device->api;
    at_cu_graph drawn = NULL;
    AT_TRY(AT_CUDA(api, cuStreamBeginCapture_v2, (timer->stream, AT_CU_CAPTURE_THREAD_LOCAL)));
    actune_status status = work(user, timer->stream);
    at_cu_result ended = api->cuStreamEndCapture(timer->stream, &drawn);
    if (status == ACTUNE_OK)
        status = at_cuda_check("cuStreamEndCapture", ended);
    if (status == ACTUNE_OK)
        status = AT_CUDA(api, cuGraphInstantiateWithFlags, (graph, drawn, 0));
    if (drawn != NULL)
        api->cuGraphDestroy(drawn);
    return status;
}

actune_status at_cuda_graph_capture(const at_cuda_timer *timer, actune_status (*work)(void *user, at_cu_stream stream), void *user,
                                    at_cu_graph_exec *graph)
{
    bool pushed;
    *graph = NULL;
    AT_TRY(at_cuda_enter(timer->device, &pushed));
    actune_status status = capture(timer, work, user, graph);
    at_cuda_leave(timer->device, pushed);
    return status;
}

void at_cuda_graph_destroy(const at_cuda_timer *timer, at_cu_graph_exec graph)
{
    bool pushed;
    if (graph == NULL || at_cuda_enter(timer->device, &pushed) != ACTUNE_OK)
        return;
    timer->device->api->cuGraphExecDestroy(graph);
    at_cuda_leave(timer->device, pushed);
}

static actune_status time_inside(const at_cuda_timer *timer, at_cu_graph_exec graph, double *ns)
{
    const at_cuda_api *api = timer->device->api;
    float milliseconds = 0;
    AT_TRY(AT_CUDA(api, cuEventRecord, (timer->start, timer->stream)));
    AT_TRY(AT_CUDA(api, cuGraphLaunch, (graph, timer->stream)));
    AT_TRY(AT_CUDA(api, cuEventRecord, (timer->end, timer->stream)));
    AT_TRY(AT_CUDA(api, cuEventSynchronize, (timer->end)));
    AT_TRY(AT_CUDA(api, cuEventElapsedTime, (&milliseconds, timer->start, timer->end)));
    *ns = 1e6 * (double)milliseconds;
    return ACTUNE_OK;
}

actune_status at_cuda_graph_time(const at_cuda_timer *timer, at_cu_graph_exec graph, double *ns)
{
    bool pushed;
    AT_TRY(at_cuda_enter(timer->device, &pushed));
    actune_status status = time_inside(timer, graph, ns);
    at_cuda_leave(timer->device, pushed);
    return status;
}
