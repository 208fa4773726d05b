/* What an execution of a batch refuses, before anything is written. */
#include "batch.h"

#include <stdio.h>

at_batch_rows at_batch_rows_of(const actune_batch *batch, const actune_batch_options *options, int member)
{
    if (options->rows != NULL)
        return (at_batch_rows){0, options->rows[member]};
    if (options->offsets != NULL)
        return (at_batch_rows){options->offsets[member], options->offsets[member + 1] - options->offsets[member]};
    return (at_batch_rows){0, batch->member[member].plan->launch.shape.outer};
}

static actune_status check_rows(const actune_batch *batch, const actune_batch_options *options)
{
    for (int m = 0; m < batch->members; m++) {
        const long long most = (long long)batch->member[m].plan->launch.shape.outer;
        if (options->rows != NULL && (options->rows[m] < 0 || options->rows[m] > most))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_execute: rows[%d] is %lld; member %d has at most %lld", m,
                           (long long)options->rows[m], m, most);
        if (options->offsets == NULL)
            continue;
        const long long first = (long long)options->offsets[m], end = (long long)options->offsets[m + 1];
        if (first < 0 || end < first || end > most)
            return at_fail(ACTUNE_INVALID_ARGUMENT,
                           "actune_batch_execute: offsets[%d] to offsets[%d] are %lld to %lld; they must not decrease, and member %d has the rows 0 to %lld",
                           m, m + 1, first, end, m, most);
    }
    return ACTUNE_OK;
}

static int64_t count_of(const at_port *port, actune_shape shape, int64_t outer)
{
    shape.outer = outer;
    return at_port_count(port, shape);
}

void *at_batch_port(const at_batch_member *member, int port, const actune_buffer *buffer, int64_t first_row)
{
    const at_port *p = &member->plan->kernel.signature.port[port];
    const actune_shape shape = member->plan->launch.shape;
    if (first_row == 0)
        return buffer->data;
    /* What does not grow with the rows (operands of channels) begins where it does. */
    const size_t bytes = member->plan->need[port].align_mask + 1; /* of an element */
    return (char *)buffer->data + (size_t)(count_of(p, shape, first_row) - count_of(p, shape, 0)) * bytes;
}

static void name_buffer(const actune_batch *batch, int member, int port, char *text, size_t size)
{
    const at_batch_member *m = &batch->member[member];
    snprintf(text, size, "buffer %d (%s of member %d)", m->first_buffer + port, m->plan->kernel.signature.port[port].name, member);
}

static actune_status explain(const actune_batch *batch, int member, int port, const at_port_need *need, const actune_buffer *buffer)
{
    char where[160], name[128];
    name_buffer(batch, member, port, name, sizeof name);
    snprintf(where, sizeof where, "actune_batch_execute: %s", name);
    return at_buffer_explain(need, buffer, where);
}

static bool is_whole(const actune_batch_options *options)
{
    return options->rows == NULL && options->offsets == NULL;
}

/* On a CUDA device nobody here knows the rows: buffers hold the whole shape. */
static actune_status check_buffers(const actune_batch *batch, const actune_buffer *buffers, const actune_batch_options *options)
{
    const bool known = batch->cuda == NULL && !is_whole(options);
    for (int m = 0; m < batch->members; m++) {
        const at_batch_member *member = &batch->member[m];
        const actune_shape shape = member->plan->launch.shape;
        const at_batch_rows rows = known ? at_batch_rows_of(batch, options, m) : (at_batch_rows){0, shape.outer};
        for (int i = 0; i < member->plan->ports; i++) {
            const actune_buffer *buffer = &buffers[member->first_buffer + i];
            at_port_need need = member->plan->need[i];
            if (known)
                need.count = count_of(&member->plan->kernel.signature.port[i], shape, rows.first + rows.count);
            if (!at_buffer_is_good(&need, buffer))
                return explain(batch, m, i, &need, buffer);
        }
    }
    return ACTUNE_OK;
}

/* --- overlaps: outputs sorted by address, then every pair of neighbours and, by bisection, every input --- */

static void sift(at_batch_span *span, int root, int count)
{
    const at_batch_span moved = span[root];
    for (int child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && span[child + 1].begin > span[child].begin)
            child++;
        if (span[child].begin <= moved.begin)
            break;
        span[root] = span[child];
    }
    span[root] = moved;
}

/* A heap, because qsort may allocate. */
static void sort(at_batch_span *span, int count)
{
    bool sorted = true;
    for (int i = 1; i < count && sorted; i++)
        sorted = span[i - 1].begin <= span[i].begin;
    for (int root = count / 2 - 1; !sorted && root >= 0; root--)
        sift(span, root, count);
    for (int last = count - 1; !sorted && last > 0; last--) {
        const at_batch_span largest = span[0];
        span[0] = span[last];
        span[last] = largest;
        sift(span, 0, last);
    }
}

typedef struct overlap_check {
    const actune_batch *batch;
    const actune_buffer *buffers;
    const actune_batch_options *options;
    bool known; /* the rows of each member, which are not all */
    at_batch_span *output;
    int outputs, hint; /* hint: where the last input ended among the outputs */
} overlap_check;

static at_batch_span span_of(const overlap_check *c, int member, int port)
{
    const at_batch_member *m = &c->batch->member[member];
    const actune_buffer *buffer = &c->buffers[m->first_buffer + port];
    const at_port_need *need = &m->plan->need[port];
    if (!c->known)
        return (at_batch_span){(uintptr_t)buffer->data, (uintptr_t)buffer->data + need->bytes, m->first_buffer + port, member};
    const at_batch_rows rows = at_batch_rows_of(c->batch, c->options, member);
    const int64_t count = count_of(&m->plan->kernel.signature.port[port], m->plan->launch.shape, rows.count);
    const uintptr_t begin = (uintptr_t)at_batch_port(m, port, buffer, rows.first);
    return (at_batch_span){begin, begin + (size_t)count * (need->align_mask + 1), m->first_buffer + port, member};
}

static actune_status refuse_overlap(const overlap_check *c, const at_batch_span *a, const at_batch_span *b)
{
    char first[128], second[128];
    bool same = a->member == b->member && a->begin == b->begin;
    name_buffer(c->batch, a->member, a->buffer - c->batch->member[a->member].first_buffer, first, sizeof first);
    name_buffer(c->batch, b->member, b->buffer - c->batch->member[b->member].first_buffer, second, sizeof second);
    return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_execute: %s and %s overlap%s", a->buffer < b->buffer ? first : second,
                   a->buffer < b->buffer ? second : first, same ? "; describe the member with in_place if y is to replace x (dx: dy)" : "");
}

/* Rows that only the device knows: members with one tensor have their own rows of it. */
static bool may_share(const overlap_check *c, const at_batch_span *a, const at_batch_span *b)
{
    return c->batch->cuda != NULL && c->options->offsets != NULL && a->member != b->member && a->begin == b->begin;
}

static void gather_outputs(overlap_check *c)
{
    for (int m = 0; m < c->batch->members; m++) {
        const actune_plan *plan = c->batch->member[m].plan;
        for (int i = plan->kernel.signature.inputs; i < plan->ports; i++) {
            const at_batch_span span = span_of(c, m, i);
            if (span.begin < span.end)
                c->output[c->outputs++] = span;
        }
    }
}

static bool is_in_place(const actune_batch *batch, const at_batch_span *input, const at_batch_span *output)
{
    const at_batch_member *m = &batch->member[input->member];
    return input->member == output->member && input->begin == output->begin && input->buffer - m->first_buffer == m->plan->in_place_input &&
           output->buffer - m->first_buffer == m->plan->in_place_output;
}

/* The first output that begins at `end` or behind it. Members mostly lie in order: it is often the one after the last answer. */
static int find_output(overlap_check *c, uintptr_t end)
{
    int low = 0, high = c->outputs;
    if (c->hint < c->outputs && c->output[c->hint].begin < end) {
        low = c->hint + 1;
        if (low == c->outputs || c->output[low].begin >= end)
            high = low;
    } else {
        high = c->hint;
    }
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (c->output[middle].begin < end)
            low = middle + 1;
        else
            high = middle;
    }
    return c->hint = low;
}

/* Outputs do not overlap one another, or begin together (one tensor of several members): the last ones before the input's end are all it may meet. */
static actune_status check_input(overlap_check *c, const at_batch_span *input)
{
    const int low = find_output(c, input->end);
    for (int i = low - 1; i >= 0 && (i == low - 1 || c->output[i].begin == c->output[low - 1].begin); i--)
        if (c->output[i].end > input->begin && !is_in_place(c->batch, input, &c->output[i]) && !may_share(c, input, &c->output[i]))
            return refuse_overlap(c, input, &c->output[i]);
    return ACTUNE_OK;
}

static actune_status check_overlaps(overlap_check *c)
{
    gather_outputs(c);
    sort(c->output, c->outputs);
    for (int i = 1, farthest = 0; i < c->outputs; i++) {
        if (c->output[i].begin < c->output[farthest].end && !may_share(c, &c->output[farthest], &c->output[i]))
            return refuse_overlap(c, &c->output[farthest], &c->output[i]);
        farthest = c->output[i].end > c->output[farthest].end ? i : farthest;
    }
    for (int m = 0; m < c->batch->members; m++)
        for (int i = 0; i < c->batch->member[m].plan->kernel.signature.inputs; i++) {
            const at_batch_span span = span_of(c, m, i);
            if (span.begin < span.end)
                AT_TRY(check_input(c, &span));
        }
    return ACTUNE_OK;
}

actune_status at_batch_check(const actune_batch *batch, const actune_buffer *buffers, const actune_batch_options *options,
                             at_batch_span *scratch)
{
    if (options->rows != NULL && options->offsets != NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_execute: rows and offsets are both given; at most one of them");
    if (batch->cuda == NULL)
        AT_TRY(check_rows(batch, options));
    AT_TRY(check_buffers(batch, buffers, options));
    overlap_check c = {.batch = batch, .buffers = buffers, .options = options, .known = batch->cuda == NULL && !is_whole(options), .output = scratch};
    return check_overlaps(&c);
}
