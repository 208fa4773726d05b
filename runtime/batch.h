/* A batch: members with a kernel each, run by one call. Read-only once it is made, but for its scratch memory. */
#ifndef AT_RUNTIME_BATCH_H
#define AT_RUNTIME_BATCH_H

#include "batch_cuda.h"
#include "plan.h"

typedef struct at_batch_member {
    const actune_plan *plan; /* of the batch: members with one description share it */
    int first_buffer;        /* of its ports, in port order */
    int64_t row;             /* elements of one outer row of x */
    int64_t weight;          /* bytes that an element moves: what the work is shared by */
} at_batch_member;

/* Memory that an output writes. */
typedef struct at_batch_span {
    uintptr_t begin, end;
    int buffer, member;
} at_batch_span;

struct actune_batch {
    actune_context *context;
    at_batch_member *member;
    int members;
    actune_plan **plan;
    int plans;
    int buffers, outputs;
    int64_t elements;      /* of all members */
    int threads;
    at_pool *pool;         /* NULL when one thread does it */
    at_workspaces scratch; /* `outputs` spans, for looking at what overlaps */
    at_batch_cuda *cuda;   /* NULL: the device is a CPU */
};

/* The rows of a member in one execution on a CPU, in bounds once they were checked. */
typedef struct at_batch_rows {
    int64_t first, count;
} at_batch_rows;
at_batch_rows at_batch_rows_of(const actune_batch *batch, const actune_batch_options *options, int member);
/* Where a port's elements begin when its first row is this one. */
void *at_batch_port(const at_batch_member *member, int port, const actune_buffer *buffer, int64_t first_row);

/* Everything that execute refuses. `scratch` as in the batch. */
actune_status at_batch_check(const actune_batch *batch, const actune_buffer *buffers, const actune_batch_options *options,
                             at_batch_span *scratch);

#endif
