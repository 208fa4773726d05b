/* The tables of a batch on a CUDA device: what its kernel finds there, and the launches that it takes. */
#ifndef AT_RUNTIME_BATCH_TABLE_H
#define AT_RUNTIME_BATCH_TABLE_H

#include "../codegen/batch_kernel.h"
#include "batch.h"

/* Members that one launch does: as many as their addresses fit among its arguments. */
typedef struct at_batch_launch {
    int first_member, members, first_buffer, buffers;
    size_t first_place; /* of grid + 1 */
    unsigned grid;      /* 0: nothing to do */
} at_batch_launch;

typedef struct at_batch_table {
    at_batch_entry *entry; /* one a member */
    at_batch_place *place;
    size_t places;
    at_batch_launch *launch;
    int launches;
} at_batch_table;

/* `function[p]` is that of plan p; `pointers`: addresses that fit one launch; `wave`: blocks that are resident at once. UNSUPPORTED, NO_MEMORY.
   Clear it in any case. */
actune_status at_batch_table_make(const actune_batch *batch, const int *function, const at_batch_geometry *geometry, int pointers, int wave,
                                  at_batch_table *table);
void at_batch_table_clear(at_batch_table *table);

#endif
