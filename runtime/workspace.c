#include "workspace.h"

#include <stdlib.h>

enum { CACHE_LINE = 64, EAGER_BYTES = 1 << 20 };

static void *allocate(size_t bytes)
{
    return aligned_alloc(CACHE_LINE, (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
}

actune_status at_workspaces_init(at_workspaces *workspaces, size_t bytes, int concurrent)
{
    *workspaces = (at_workspaces){.bytes = bytes};
    if (bytes == 0)
        return ACTUNE_OK;
    if (bytes > SIZE_MAX - CACHE_LINE)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for %zu bytes of partial sums", bytes);
    workspaces->count = concurrent < 1 ? 1 : concurrent > AT_WORKSPACES_MAX ? AT_WORKSPACES_MAX : concurrent;
    int eager = bytes <= EAGER_BYTES / (size_t)workspaces->count ? workspaces->count : 1;
    for (int i = 0; i < eager; i++) {
        workspaces->memory[i] = allocate(bytes);
        if (workspaces->memory[i] == NULL)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for %zu bytes of partial sums", bytes);
    }
    return ACTUNE_OK;
}

void at_workspaces_clear(at_workspaces *workspaces)
{
    for (int i = 0; i < workspaces->count; i++)
        free(workspaces->memory[i]);
}

/* The lowest free slot, so that memory of busier times is touched only then; -1 when all are taken. */
static int take_slot(at_workspaces *workspaces)
{
    uint64_t taken = atomic_load_explicit(&workspaces->taken, memory_order_relaxed);
    for (;;) {
        int slot = ~taken == 0 ? AT_WORKSPACES_MAX : __builtin_ctzll(~taken);
        if (slot >= workspaces->count)
            return -1;
        if (atomic_compare_exchange_weak_explicit(&workspaces->taken, &taken, taken | UINT64_C(1) << slot,
                                                  memory_order_acquire, memory_order_relaxed))
            return slot;
    }
}

actune_status at_workspace_take(at_workspaces *workspaces, void **memory, int *slot)
{
    *slot = take_slot(workspaces);
    *memory = *slot >= 0 ? workspaces->memory[*slot] : NULL;
    if (*memory != NULL)
        return ACTUNE_OK;
    *memory = allocate(workspaces->bytes);
    if (*slot >= 0)
        workspaces->memory[*slot] = *memory;
    if (*memory != NULL)
        return ACTUNE_OK;
    at_workspace_give(workspaces, NULL, *slot);
    return at_fail(ACTUNE_NO_MEMORY, "no memory for %zu bytes of partial sums", workspaces->bytes);
}

void at_workspace_give(at_workspaces *workspaces, void *memory, int slot)
{
    if (slot < 0)
        free(memory);
    else
        atomic_fetch_and_explicit(&workspaces->taken, ~(UINT64_C(1) << slot), memory_order_release);
}
