/* Batches: what is in one, and the plans of its members. Running it is in batch_run.c, its checks in batch_check.c. */
#include "batch.h"

#include "base/dtype.h"
#include "tuning.h"

#include <stdlib.h>
#include <string.h>

enum { THREAD_ELEMENTS_MIN = 4096 }; /* as in launch.c: fewer are done sooner than a second thread joins */

/* Far beyond any memory; together with at most 192 bytes an element it fits an int64_t. */
static const int64_t elements_max = INT64_C(1) << 55;

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Descriptions that give the same plan. `a` is sound, `b` may be anything. */
static bool is_same(const actune_plan_desc *a, const actune_plan_desc *b)
{
    bool same = same_text(a->spec, b->spec) && a->direction == b->direction && a->dtype_in == b->dtype_in && a->dtype_out == b->dtype_out &&
                a->shape.outer == b->shape.outer && a->shape.channels == b->shape.channels && a->shape.inner == b->shape.inner &&
                a->gradient_count == b->gradient_count && a->in_place == b->in_place && (a->gradient_count == 0 || b->gradients != NULL) &&
                a->sources == b->sources && a->source_count == b->source_count;
    for (int i = 0; same && i < a->gradient_count; i++)
        same = same_text(a->gradients[i], b->gradients[i]);
    return same;
}

/* On a CUDA device a plan that does not run: the batch's kernel has its function. What the context's tuning mode adds, it adds for members too. */
static actune_status open_plan(actune_batch *batch, const actune_plan_desc *desc)
{
    const actune_context *context = batch->context;
    actune_plan **plan = &batch->plan[batch->plans];
    actune_plan_desc alone = *desc;
    alone.max_threads = 1; /* the batch cuts the work itself */
    AT_TRY(at_plan_open(batch->context, &alone, context->cuda != NULL ? AT_PLAN_LAID_OUT : AT_PLAN_READY, plan));
    if ((*plan)->kernel.passes > 0) /* no kernel to choose a variant of; measure_member refuses it */
        return ACTUNE_OK;
    actune_status status = context->cuda != NULL ? at_batch_cuda_choose(context, *plan) : ACTUNE_OK;
    if (status != ACTUNE_OK) {
        actune_plan_destroy(*plan);
        *plan = NULL;
        return status;
    }
    AT_TRY(at_plan_learn(&alone, plan));
    return context->cuda != NULL && context->tuning == ACTUNE_TUNING_TUNE ? at_batch_cuda_choose(context, *plan) : ACTUNE_OK;
}

/* `first[p]` is the member that plan p was made for. */
static actune_status find_plan(actune_batch *batch, const actune_plan_desc *members, int m, int *first)
{
    const actune_plan_desc *desc = &members[m];
    for (int p = 0; p < batch->plans; p++)
        if (is_same(&members[first[p]], desc)) {
            batch->member[m].plan = batch->plan[p];
            return ACTUNE_OK;
        }
    actune_status status = open_plan(batch, desc);
    if (status != ACTUNE_OK)
        return at_fail_in(status, "actune_batch_create: member %d", m);
    first[batch->plans] = m;
    batch->member[m].plan = batch->plan[batch->plans++];
    return ACTUNE_OK;
}

static actune_status measure_member(actune_batch *batch, int m)
{
    at_batch_member *member = &batch->member[m];
    const at_signature *signature = &member->plan->kernel.signature;
    const actune_shape shape = member->plan->launch.shape;
    if (signature->slots > 0 || member->plan->kernel.passes > 0)
        return at_fail(ACTUNE_UNSUPPORTED,
                       "actune_batch_create: member %d (%s) has sums or other reductions (gradients of operands, standardize ...); give it a plan of its own", m,
                       member->plan->kernel.spec);
    if (signature->row.kind != AT_ROW_NONE)
        return at_fail(ACTUNE_UNSUPPORTED, "actune_batch_create: member %d (%s) looks at whole rows; give it a plan of its own", m, member->plan->kernel.spec);
    member->first_buffer = batch->buffers;
    member->row = shape.channels * shape.inner;
    for (int i = 0; i < signature->ports; i++) {
        if (signature->port[i].access == AT_ACCESS_ELEMENT)
            member->weight += at_dtype_get(signature->port[i].dtype)->bytes;
        batch->outputs += signature->port[i].is_output;
    }
    batch->buffers += signature->ports;
    batch->elements += shape.outer * member->row;
    return batch->elements <= elements_max ? ACTUNE_OK
                                           : at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_create: the members up to %d have more elements than 2^55", m);
}

static actune_status open_members(actune_batch *batch, const actune_plan_desc *members)
{
    int *first = malloc((size_t)batch->members * sizeof *first);
    actune_status status = first != NULL ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory for a batch of %d members", batch->members);
    for (int m = 0; m < batch->members && status == ACTUNE_OK; m++) {
        status = find_plan(batch, members, m, first);
        if (status == ACTUNE_OK)
            status = measure_member(batch, m);
    }
    free(first);
    return status;
}

/* Threads to share the work with. */
static actune_status equip(actune_batch *batch)
{
    int64_t most = batch->elements / THREAD_ELEMENTS_MIN;
    batch->threads = batch->context->max_threads;
    if (batch->threads > most)
        batch->threads = most < 1 ? 1 : (int)most;
    return batch->threads > 1 ? at_context_pool(batch->context, &batch->pool) : ACTUNE_OK;
}

/* The whole way, in order. */
static actune_status open_batch(actune_batch *batch, const actune_plan_desc *members, int count)
{
    batch->members = count;
    batch->member = calloc((size_t)count, sizeof *batch->member);
    batch->plan = calloc((size_t)count, sizeof *batch->plan);
    if (batch->member == NULL || batch->plan == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a batch of %d members", count);
    AT_TRY(open_members(batch, members));
    AT_TRY(at_workspaces_init(&batch->scratch, (size_t)batch->outputs * sizeof(at_batch_span), batch->context->device.processors));
    return batch->context->cuda != NULL ? at_batch_cuda_open(batch, &batch->cuda) : equip(batch);
}

actune_status actune_batch_create(actune_context *context, const actune_plan_desc *members, int count, actune_batch **batch)
{
    if (batch == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_create: the place for the batch is NULL");
    *batch = NULL;
    if (context == NULL || members == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_create: %s is NULL", context == NULL ? "the context" : "members");
    if (count < 1)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_batch_create: count is %d; a batch has at least one member", count);
    actune_batch *new = calloc(1, sizeof *new);
    if (new == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a batch of %d members", count);
    at_context_retain(context);
    new->context = context;
    actune_status status = open_batch(new, members, count);
    if (status != ACTUNE_OK) {
        actune_batch_destroy(new);
        return status;
    }
    *batch = new;
    return ACTUNE_OK;
}

void actune_batch_destroy(actune_batch *batch)
{
    if (batch == NULL)
        return;
    at_batch_cuda_close(batch->cuda);
    at_workspaces_clear(&batch->scratch);
    for (int p = 0; p < batch->members && batch->plan != NULL; p++)
        actune_plan_destroy(batch->plan[p]);
    free(batch->plan);
    free(batch->member);
    actune_context_close(batch->context);
    free(batch);
}

/* Plans whose kernels are one: the same function, whatever the size. */
static int count_kernels(const actune_batch *batch)
{
    int kernels = 0;
    for (int p = 0; p < batch->plans; p++) {
        bool seen = false;
        for (int k = 0; k < p && !seen; k++)
            seen = same_text(batch->plan[p]->kernel.hash.hex, batch->plan[k]->kernel.hash.hex);
        kernels += !seen;
    }
    return kernels;
}

void actune_batch_describe(const actune_batch *batch, actune_batch_info *info)
{
    *info = (actune_batch_info){.members = batch->members,
                                .kernels = count_kernels(batch),
                                .buffers = batch->buffers,
                                .elements = batch->elements,
                                .threads = batch->cuda != NULL ? 1 : batch->threads,
                                .variant = "",
                                .binary = ""};
    if (batch->cuda != NULL)
        at_batch_cuda_describe(batch->cuda, info);
}

actune_status actune_batch_member(const actune_batch *batch, int member, actune_plan_info *info)
{
    if (member < 0 || member >= batch->members)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "member %d does not exist: the batch has %d", member, batch->members);
    actune_plan_describe(batch->member[member].plan, info);
    return ACTUNE_OK;
}

actune_status actune_batch_port(const actune_batch *batch, int index, int *member, actune_port_info *info)
{
    if (index < 0 || index >= batch->buffers)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "buffer %d does not exist: the batch has %d", index, batch->buffers);
    int m = 0;
    while (m + 1 < batch->members && batch->member[m + 1].first_buffer <= index)
        m++;
    if (member != NULL)
        *member = m;
    return actune_plan_port(batch->member[m].plan, index - batch->member[m].first_buffer, info);
}

const char *actune_batch_source(const actune_batch *batch)
{
    return batch->cuda != NULL ? at_batch_cuda_source(batch->cuda) : "";
}
