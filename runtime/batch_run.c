/* Running a batch: on a CPU one parallel section over the elements of all members. */
#include "batch.h"

enum {
    PIECE_ALIGN = 64,            /* elements, as in launch.c: a cut does not share a cache line between threads */
    PIECE_ELEMENTS_MIN = 4096,
    PIECES_A_THREAD = 8          /* what is left to do when the first thread finds nothing more is at most an eighth of a share */
};

/* Bytes that move, member after member, are what pieces are cut from; threads take piece after piece. */
typedef struct batch_run {
    const actune_batch *batch;
    const actune_buffer *buffers;
    const actune_batch_options *options;
    int64_t bytes, pieces;
    _Atomic int64_t next;
} batch_run;

/* A thread's pieces come in ascending order, so it walks over the members once. */
typedef struct cursor {
    int member;
    int64_t before; /* bytes of the members before it */
} cursor;

static int64_t piece_begin(const batch_run *run, int64_t piece)
{
    const int64_t longer = run->bytes % run->pieces;
    return run->bytes / run->pieces * piece + (piece < longer ? piece : longer);
}

/* The element at which a byte of a member lies; both pieces at a cut come to the same. */
static int64_t element_at(int64_t byte, int64_t weight, int64_t elements)
{
    const int64_t element = byte / weight / PIECE_ALIGN * PIECE_ALIGN;
    return element < elements ? element : elements;
}

/* Elements [begin, end) of a member. */
static void run_slice(const batch_run *run, int m, at_batch_rows rows, int64_t begin, int64_t end)
{
    const at_batch_member *member = &run->batch->member[m];
    const at_launch *launch = &member->plan->launch;
    void *port[AT_PORTS_MAX];
    for (int i = 0; i < member->plan->ports; i++)
        port[i] = at_batch_port(member, i, &run->buffers[member->first_buffer + i], rows.first);
    const actune_slice slice = {.port = port,
                                .outer = rows.count,
                                .channels = launch->shape.channels,
                                .inner = launch->shape.inner,
                                .begin = begin,
                                .end = end};
    at_launch_slice(launch, &slice);
}

static void run_piece(const batch_run *run, cursor *at, int64_t piece)
{
    const int64_t begin = piece_begin(run, piece), end = piece_begin(run, piece + 1);
    while (at->before < end) {
        const at_batch_member *member = &run->batch->member[at->member];
        const at_batch_rows rows = at_batch_rows_of(run->batch, run->options, at->member);
        const int64_t elements = rows.count * member->row, bytes = elements * member->weight;
        if (at->before + bytes > begin) {
            const int64_t from = begin > at->before ? element_at(begin - at->before, member->weight, elements) : 0;
            const int64_t to = end < at->before + bytes ? element_at(end - at->before, member->weight, elements) : elements;
            if (from < to)
                run_slice(run, at->member, rows, from, to);
        }
        if (at->before + bytes > end)
            return; /* the next piece begins in this member */
        at->before += bytes;
        at->member++;
    }
}

static void take_pieces(void *user, int participant)
{
    batch_run *run = user;
    cursor at = {0, 0};
    (void)participant;
    for (int64_t piece; (piece = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed)) < run->pieces;)
        run_piece(run, &at, piece);
}

static void run_all(const actune_batch *batch, const actune_buffer *buffers, const actune_batch_options *options)
{
    batch_run run = {.batch = batch, .buffers = buffers, .options = options, .pieces = 1};
    int64_t all = 0;
    for (int m = 0; m < batch->members; m++) {
        const int64_t elements = at_batch_rows_of(batch, options, m).count * batch->member[m].row;
        all += elements;
        run.bytes += elements * batch->member[m].weight;
    }
    int64_t most = all / PIECE_ELEMENTS_MIN;
    if (batch->threads > 1 && most > 1)
        run.pieces = most < (int64_t)batch->threads * PIECES_A_THREAD ? most : (int64_t)batch->threads * PIECES_A_THREAD;
    if (run.pieces == 1)
        take_pieces(&run, 0);
    else
        at_pool_run(batch->pool, run.pieces < batch->threads ? (int)run.pieces : batch->threads, take_pieces, &run);
}

static actune_status check(const actune_batch *batch, const actune_buffer *buffers, const actune_batch_options *options)
{
    /* The batch is constant to its users; taking memory from it is atomic. */
    at_workspaces *scratch = (at_workspaces *)&batch->scratch;
    void *memory;
    int slot;
    AT_TRY(at_workspace_take(scratch, &memory, &slot));
    actune_status status = at_batch_check(batch, buffers, options, memory);
    at_workspace_give(scratch, memory, slot);
    return status;
}

actune_status actune_batch_execute(const actune_batch *batch, const actune_buffer *buffers, int count, const actune_batch_options *options)
{
    static const actune_batch_options defaults;
    if (options == NULL)
        options = &defaults;
    if (batch == NULL || buffers == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_execute: the batch or the list of buffers is NULL");
    if (count != batch->buffers)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_execute: %d buffers, the batch has %d", count, batch->buffers);
    AT_TRY(check(batch, buffers, options));
    if (batch->cuda != NULL)
        return at_batch_cuda_execute(batch->cuda, buffers, options);
    if (options->stream != NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_execute: the batch runs on the CPU, where stream is NULL");
    run_all(batch, buffers, options);
    return ACTUNE_OK;
}
