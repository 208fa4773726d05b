/* The calls that put work on streams, and those for streams, graphs and events. */
#include "fake_work.h"

#include <stdlib.h>
#include <string.h>

/* --- putting work on streams --- */

/* Structs that kernels take by value, as they were when the launch was made; graphs may run them at any time. Freed at the end. */
static struct kept_value {
    struct kept_value *next;
    char bytes[];
} *kept_values;

static void *keep_value(const void *value, size_t bytes)
{
    struct kept_value *made = malloc(sizeof *made + bytes);
    if (!made)
        abort();
    made->next = kept_values;
    kept_values = made;
    return memcpy(made->bytes, value, bytes);
}

__attribute__((destructor)) static void free_values(void)
{
    for (struct kept_value *next; kept_values; kept_values = next) {
        next = kept_values->next;
        free(kept_values);
    }
}

static at_cu_result launch(const fake_work *shape, void **arguments, at_cu_stream stream)
{
    fake_work w = *shape;
    if (!fake_is(w.function, FAKE_FUNCTION, "cuLaunchKernel"))
        return FAKE_HANDLE;
    if (w.grid == 0 || w.block == 0)
        return FAKE_INVALID;
    if ((int)w.block > w.function->threads_max)
        return FAKE_RESOURCES;
    if (!w.function->loaded && fake_capturing(true)) {
        fake_mistake("%s is launched for the first time while a stream is captured", w.function->name);
        return FAKE_CAPTURING;
    }
    w.function->loaded = true;
    for (int i = 0; w.function->parameters[i]; i++)
        switch (w.function->parameters[i]) {
        case 'v':
            w.argument[i] = (intptr_t)keep_value(arguments[i], (size_t)w.function->value_bytes);
            break;
        case 'p':
            w.argument[i] = *(intptr_t *)arguments[i]; /* whatever it is: the kernel fails when it runs */
            break;
        case 'q':
            w.argument[i] = (intptr_t)*(long long *)arguments[i];
            break;
        default:
            w.argument[i] = *(int *)arguments[i];
        }
    return fake_put(stream, &w, "cuLaunchKernel");
}

at_cu_result cuLaunchKernel(at_cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                            unsigned block_z, unsigned shared_bytes, at_cu_stream stream, void **arguments, void **extra)
{
    fake_work w = {.kind = WORK_KERNEL, .function = function, .grid = grid_x, .block = block_x};
    at_cu_result code = fake_begin("cuLaunchKernel", FAKE_NEEDS_CONTEXT);
    if (!code && (grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || shared_bytes || extra))
        code = FAKE_INVALID;
    return fake_end(code ? code : launch(&w, arguments, stream));
}

at_cu_result cuLaunchKernelEx(const at_cu_launch_config *config, at_cu_function function, void **arguments, void **extra)
{
    fake_work w = {.kind = WORK_KERNEL, .function = function, .grid = config->grid[0], .block = config->block[0]};
    at_cu_result code = fake_begin("cuLaunchKernelEx", FAKE_NEEDS_CONTEXT);
    if (!code && (config->grid[1] != 1 || config->grid[2] != 1 || config->block[1] != 1 || config->block[2] != 1 || config->shared_bytes || extra))
        code = FAKE_INVALID;
    for (unsigned i = 0; !code && i < config->attribute_count; i++) {
        const at_cu_launch_attribute *attribute = &config->attributes[i];
        if (attribute->id != AT_CU_LAUNCH_OVERLAPS)
            code = FAKE_INVALID;
        w.overlaps |= attribute->value.flag != 0;
    }
    return fake_end(code ? code : launch(&w, arguments, config->stream));
}

/* For the fakes of libraries that launch kernels of their own; by dlsym. Whatever the pointers are: the kernel fails when it runs. */
at_cu_result fake_put_call(at_cu_stream stream, const fake_call *call)
{
    fake_work w = {.kind = WORK_CALL, .call = *call};
    at_cu_result code = fake_begin("a library's kernel", FAKE_NEEDS_CONTEXT);
    return fake_end(code ? code : fake_put(stream, &w, "a library's kernel"));
}

/* Device ends are looked at when the call is made, and again when it runs. */
static at_cu_result transfer(const fake_work *w, at_cu_stream stream, const char *name)
{
    at_cu_result code = fake_begin(name, FAKE_NEEDS_CONTEXT);
    if (!code && ((w->to_device && !fake_is_memory((uintptr_t)w->to, w->bytes, name)) ||
                  (w->from_device && !fake_is_memory((uintptr_t)w->from, w->bytes, name))))
        code = FAKE_INVALID;
    if (!code && !w->to_device)
        memset(w->to, 0xff, w->bytes); /* until it has landed */
    return fake_end(code ? code : fake_put(stream, w, name));
}

at_cu_result cuMemcpyHtoDAsync_v2(at_cu_pointer to, const void *from, size_t bytes, at_cu_stream stream)
{
    fake_work w = {.kind = WORK_COPY, .to = (void *)(uintptr_t)to, .from = from, .to_device = true, .bytes = bytes};
    return transfer(&w, stream, "cuMemcpyHtoDAsync_v2");
}

at_cu_result cuMemcpyDtoHAsync_v2(void *to, at_cu_pointer from, size_t bytes, at_cu_stream stream)
{
    fake_work w = {.kind = WORK_COPY, .to = to, .from = (void *)(uintptr_t)from, .from_device = true, .bytes = bytes};
    return transfer(&w, stream, "cuMemcpyDtoHAsync_v2");
}

at_cu_result cuMemcpyDtoDAsync_v2(at_cu_pointer to, at_cu_pointer from, size_t bytes, at_cu_stream stream)
{
    fake_work w = {.kind = WORK_COPY, .to = (void *)(uintptr_t)to, .from = (void *)(uintptr_t)from, .to_device = true, .from_device = true,
              .bytes = bytes};
    return transfer(&w, stream, "cuMemcpyDtoDAsync_v2");
}

at_cu_result cuMemsetD8Async(at_cu_pointer memory, unsigned char value, size_t count, at_cu_stream stream)
{
    fake_work w = {.kind = WORK_FILL, .to = (void *)(uintptr_t)memory, .to_device = true, .value = value, .bytes = count};
    return transfer(&w, stream, "cuMemsetD8Async");
}

/* --- streams --- */

at_cu_result cuStreamCreate(at_cu_stream *stream, unsigned flags)
{
    static unsigned long long ids = 1;
    at_cu_result code = fake_begin("cuStreamCreate", FAKE_NEEDS_CONTEXT);
    if (!code && !(*stream = fake_new(FAKE_STREAM, sizeof **stream)))
        code = FAKE_NO_MEMORY;
    if (!code) {
        (*stream)->id = ++ids;
        (*stream)->blocking = !(flags & AT_CU_STREAM_NON_BLOCKING);
    }
    return fake_end(code ? code : flags > 1 ? FAKE_INVALID : 0);
}

at_cu_result cuStreamDestroy_v2(at_cu_stream stream)
{
    at_cu_result code = fake_begin("cuStreamDestroy_v2", FAKE_NEEDS_CONTEXT | FAKE_RELEASES);
    if (code || !fake_is(stream, FAKE_STREAM, "cuStreamDestroy_v2"))
        return fake_end(code ? code : FAKE_HANDLE);
    if (stream->captures) {
        fake_mistake("a stream is destroyed while it is captured");
        fake_queue_drop(&stream->queue);
    }
    code = fake_run_stream(stream);
    fake_end_of(stream);
    return fake_end(code);
}

at_cu_result cuStreamSynchronize(at_cu_stream stream)
{
    at_cu_result code = fake_begin("cuStreamSynchronize", FAKE_NEEDS_CONTEXT | FAKE_NOT_IN_CAPTURE);
    if (!code && !fake_stream_of(&stream, "cuStreamSynchronize"))
        code = FAKE_HANDLE;
    return fake_end(code ? code : fake_run_stream(stream));
}

at_cu_result cuStreamIsCapturing(at_cu_stream stream, int *status)
{
    at_cu_result code = fake_begin("cuStreamIsCapturing", FAKE_NEEDS_CONTEXT);
    if (!code && !fake_stream_of(&stream, "cuStreamIsCapturing"))
        code = FAKE_HANDLE;
    if (!code && fake_captured_beside(stream))
        code = FAKE_CAPTURE_IMPLICIT;
    if (!code)
        *status = stream->captures ? stream->spoiled ? 2 : 1 : 0;
    return fake_end(code);
}

at_cu_result cuStreamGetId(at_cu_stream stream, unsigned long long *id)
{
    at_cu_result code = fake_begin("cuStreamGetId", FAKE_NEEDS_CONTEXT);
    if (!code && !fake_stream_of(&stream, "cuStreamGetId"))
        code = FAKE_HANDLE;
    if (!code)
        *id = stream->id ? stream->id : 1;
    return fake_end(code);
}

at_cu_result cuStreamBeginCapture_v2(at_cu_stream stream, int mode)
{
    at_cu_result code = fake_begin("cuStreamBeginCapture_v2", FAKE_NEEDS_CONTEXT);
    if (!code && (!stream || !fake_is(stream, FAKE_STREAM, "cuStreamBeginCapture_v2") || stream->captures || mode < 0 || mode > 2))
        code = FAKE_INVALID;
    if (!code)
        code = fake_run_stream(stream);
    if (!code) {
        stream->captures = true;
        stream->spoiled = false;
        stream->by = pthread_self();
        stream->global = mode == 0;
    }
    return fake_end(code);
}

/* The end ends, also when it is told to fail: then there is no graph. */
at_cu_result cuStreamEndCapture(at_cu_stream stream, at_cu_graph *graph)
{
    at_cu_result code = fake_begin("cuStreamEndCapture", FAKE_NEEDS_CONTEXT), told = code;
    *graph = NULL;
    if (!stream || !fake_is(stream, FAKE_STREAM, "cuStreamEndCapture") || !stream->captures)
        return fake_end(FAKE_INVALID);
    if (!told && stream->spoiled)
        code = FAKE_CAPTURE_BROKEN;
    stream->captures = false;
    if (!code && (*graph = fake_new(FAKE_GRAPH, sizeof **graph))) {
        (*graph)->queue = stream->queue;
        stream->queue = (fake_queue){0};
    }
    fake_queue_drop(&stream->queue);
    return fake_end(code);
}

/* --- graphs --- */

at_cu_result cuGraphInstantiateWithFlags(at_cu_graph_exec *exec, at_cu_graph graph, unsigned long long flags)
{
    at_cu_result code = fake_begin("cuGraphInstantiateWithFlags", FAKE_NEEDS_CONTEXT);
    if (!code && (flags || !fake_is(graph, FAKE_GRAPH, "cuGraphInstantiateWithFlags")))
        code = FAKE_INVALID;
    if (!code && !(*exec = fake_new(FAKE_EXEC, sizeof **exec)))
        code = FAKE_NO_MEMORY;
    for (int i = 0; !code && i < graph->queue.count; i++)
        if (!fake_queue_add(&(*exec)->queue, &graph->queue.work[i]))
            code = FAKE_NO_MEMORY;
    return fake_end(code);
}

at_cu_result cuGraphLaunch(at_cu_graph_exec exec, at_cu_stream stream)
{
    fake_work w = {.kind = WORK_GRAPH, .exec = exec};
    at_cu_result code = fake_begin("cuGraphLaunch", FAKE_NEEDS_CONTEXT);
    if (!code && !fake_is(exec, FAKE_EXEC, "cuGraphLaunch"))
        code = FAKE_HANDLE;
    return fake_end(code ? code : fake_put(stream, &w, "cuGraphLaunch"));
}

at_cu_result cuGraphExecDestroy(at_cu_graph_exec exec)
{
    at_cu_result code = fake_begin("cuGraphExecDestroy", FAKE_RELEASES);
    if (code || !fake_is(exec, FAKE_EXEC, "cuGraphExecDestroy"))
        return fake_end(code ? code : FAKE_HANDLE);
    code = fake_run_all(); /* a launch that waits may still need it */
    fake_end_of(exec);
    fake_queue_drop(&exec->queue);
    return fake_end(code);
}

at_cu_result cuGraphDestroy(at_cu_graph graph)
{
    at_cu_result code = fake_begin("cuGraphDestroy", FAKE_RELEASES);
    if (code || !fake_is(graph, FAKE_GRAPH, "cuGraphDestroy"))
        return fake_end(code ? code : FAKE_HANDLE);
    fake_end_of(graph);
    fake_queue_drop(&graph->queue);
    return fake_end(0);
}

/* --- events --- */

at_cu_result cuEventCreate(at_cu_event *event, unsigned flags)
{
    at_cu_result code = fake_begin("cuEventCreate", FAKE_NEEDS_CONTEXT);
    if (!code && flags)
        code = FAKE_INVALID;
    if (!code && !(*event = fake_new(FAKE_EVENT, sizeof **event)))
        code = FAKE_NO_MEMORY;
    return fake_end(code);
}

at_cu_result cuEventDestroy_v2(at_cu_event event)
{
    at_cu_result code = fake_begin("cuEventDestroy_v2", FAKE_RELEASES);
    if (code || !fake_is(event, FAKE_EVENT, "cuEventDestroy_v2"))
        return fake_end(code ? code : FAKE_HANDLE);
    fake_end_of(event);
    return fake_end(0);
}

at_cu_result cuEventRecord(at_cu_event event, at_cu_stream stream)
{
    fake_work w = {.kind = WORK_RECORD, .event = event};
    at_cu_result code = fake_begin("cuEventRecord", FAKE_NEEDS_CONTEXT);
    if (!code && !fake_is(event, FAKE_EVENT, "cuEventRecord"))
        code = FAKE_HANDLE;
    if (!code && !fake_stream_of(&stream, "cuEventRecord"))
        code = FAKE_HANDLE;
    if (!code)
        code = fake_put(stream, &w, "cuEventRecord");
    if (!code) {
        event->recorded = true;
        event->pending++;
        event->stream = stream;
    }
    return fake_end(code);
}

at_cu_result cuEventSynchronize(at_cu_event event)
{
    at_cu_result code = fake_begin("cuEventSynchronize", FAKE_NEEDS_CONTEXT | FAKE_NOT_IN_CAPTURE);
    if (!code && !fake_is(event, FAKE_EVENT, "cuEventSynchronize"))
        code = FAKE_HANDLE;
    return fake_end(code ? code : event->pending ? fake_run_stream(event->stream) : 0);
}

at_cu_result cuEventElapsedTime(float *milliseconds, at_cu_event start, at_cu_event end)
{
    at_cu_result code = fake_begin("cuEventElapsedTime", FAKE_NEEDS_CONTEXT);
    if (!code && (!fake_is(start, FAKE_EVENT, "cuEventElapsedTime") || !fake_is(end, FAKE_EVENT, "cuEventElapsedTime") ||
                  !start->recorded || !end->recorded))
        code = FAKE_HANDLE;
    if (!code && (start->pending || end->pending))
        code = FAKE_NOT_READY;
    if (!code)
        *milliseconds = (float)((end->ns - start->ns) * 1e-6);
    return fake_end(code);
}
