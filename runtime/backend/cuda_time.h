/* Timing on the device: work captured into a graph, events around its launch. */
#ifndef AT_BACKEND_CUDA_TIME_H
#define AT_BACKEND_CUDA_TIME_H

#include "cuda_device.h"

typedef struct at_cuda_timer {
    const at_cuda_device *device;
    at_cu_stream stream;
    at_cu_event start, end;
} at_cuda_timer;

actune_status at_cuda_timer_open(const at_cuda_device *device, at_cuda_timer *timer);
void at_cuda_timer_close(at_cuda_timer *timer); /* also a zeroed one */

/* Captures what `work` puts on timer->stream into a graph. Its error is returned. Destroy with at_cuda_graph_destroy. */
actune_status at_cuda_graph_capture(const at_cuda_timer *timer, actune_status (*work)(void *user, at_cu_stream stream), void *user,
                                    at_cu_graph_exec *graph);
void at_cuda_graph_destroy(const at_cuda_timer *timer, at_cu_graph_exec graph); /* NULL is a no-op */
/* One launch of the graph, by device events; waits for it. */
actune_status at_cuda_graph_time(const at_cuda_timer *timer, at_cu_graph_exec graph, double *ns);

#endif
