/* Workspaces of one plan: memory for partial sums, one an execution, taken and given back without a lock. */
#ifndef AT_RUNTIME_WORKSPACE_H
#define AT_RUNTIME_WORKSPACE_H

#include "base/status.h"

#include <stdatomic.h>

enum { AT_WORKSPACES_MAX = 64 };

typedef struct at_workspaces {
    size_t bytes; /* of each; 0: none are needed */
    int count;
    _Atomic uint64_t taken;          /* one bit each */
    void *memory[AT_WORKSPACES_MAX]; /* NULL until first needed; written by whoever holds the bit */
} at_workspaces;

/* Room for `concurrent` executions at once. All are allocated now when they are small; of large ones the first, the
   others when they are first needed, and then kept. */
actune_status at_workspaces_init(at_workspaces *workspaces, size_t bytes, int concurrent);
void at_workspaces_clear(at_workspaces *workspaces);

/* Not cleared. With more executions at once than there is room for, allocated for this one (slot -1). NO_MEMORY. */
actune_status at_workspace_take(at_workspaces *workspaces, void **memory, int *slot);
void at_workspace_give(at_workspaces *workspaces, void *memory, int slot);

#endif
