#include "cuda_workspace.h"

#include "cuda_caller.h"
#include "cuda_memory.h"

enum { EAGER_BYTES = 64 << 20 };

static const char *const remedy = "give a workspace of your own, see actune_execute_on";

actune_status at_cuda_workspaces_init(at_cuda_workspaces *workspaces, const at_cuda_device *device, size_t bytes)
{
    *workspaces = (at_cuda_workspaces){.device = device, .bytes = bytes};
    if (bytes == 0)
        return ACTUNE_OK;
    int eager = bytes <= EAGER_BYTES / AT_CUDA_WORKSPACES_MAX ? AT_CUDA_WORKSPACES_MAX : 1;
    for (int i = 0; i < eager; i++) {
        void *memory;
        AT_TRY(at_cuda_allocate(device, bytes, &memory));
        atomic_store(&workspaces->memory[i], memory);
    }
    return ACTUNE_OK;
}

void at_cuda_workspaces_clear(at_cuda_workspaces *workspaces)
{
    for (int i = 0; workspaces->device != NULL && i < AT_CUDA_WORKSPACES_MAX; i++)
        at_cuda_free(workspaces->device, atomic_load(&workspaces->memory[i]));
}

/* Slots whose thread is the caller's are written by the caller alone. -1: all are taken. */
static int find_slot(at_cuda_workspaces *workspaces, const at_cuda_caller *caller)
{
    const uintptr_t own = caller->thread;
    for (int i = 0; i < AT_CUDA_WORKSPACES_MAX; i++) {
        uintptr_t owner = atomic_load_explicit(&workspaces->thread[i], memory_order_acquire);
        if (owner == own && atomic_load_explicit(&workspaces->stream[i], memory_order_acquire) == caller->stream)
            return i;
        if (owner == 0 && atomic_compare_exchange_strong(&workspaces->thread[i], &owner, own)) {
            atomic_store_explicit(&workspaces->stream[i], caller->stream, memory_order_release);
            return i;
        }
    }
    return -1;
}

static actune_status refuse_capture(const at_cuda_device *device, at_cu_stream stream)
{
    bool capturing;
    AT_TRY(at_cuda_is_capturing(device, stream, &capturing));
    if (!capturing)
        return ACTUNE_OK;
    return at_fail(ACTUNE_INVALID_ARGUMENT, "the stream is being captured and the plan needs a workspace, which must belong to the graph: %s", remedy);
}

static actune_status take(at_cuda_workspaces *workspaces, at_cu_stream stream, bool allocate, void **memory)
{
    at_cuda_caller caller;
    AT_TRY(refuse_capture(workspaces->device, stream));
    AT_TRY(at_cuda_caller_get(workspaces->device, stream, &caller));
    int slot = find_slot(workspaces, &caller);
    if (slot < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "more than %d pairs of thread and stream execute this plan: %s", AT_CUDA_WORKSPACES_MAX, remedy);
    *memory = atomic_load(&workspaces->memory[slot]);
    if (*memory == NULL && allocate) {
        AT_TRY(at_cuda_allocate(workspaces->device, workspaces->bytes, memory));
        atomic_store(&workspaces->memory[slot], *memory);
    }
    if (*memory != NULL)
        return ACTUNE_OK;
    return at_fail(ACTUNE_INVALID_ARGUMENT, "no workspace is allocated for this stream yet: call actune_prewarm for it in this thread, or %s", remedy);
}

actune_status at_cuda_workspace_get(at_cuda_workspaces *workspaces, at_cu_stream stream, bool allocate, void **memory)
{
    bool pushed;
    *memory = NULL;
    if (workspaces->bytes == 0)
        return ACTUNE_OK;
    AT_TRY(at_cuda_enter(workspaces->device, &pushed));
    actune_status status = take(workspaces, stream, allocate, memory);
    at_cuda_leave(workspaces->device, pushed);
    return status;
}
