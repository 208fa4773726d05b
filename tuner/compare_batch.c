#include "compare_batch.h"

#include "../runtime/backend/cuda_memory.h"
#include "../runtime/backend/cuda_time.h"
#include "../runtime/base/dtype.h"
#include "../runtime/device.h"
#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, FILL_PERIOD = 65521, COLD_FACTOR = 5, SETS_MAX = 64, REPEATS_MAX = 1 << 14, GRAPH_REPEATS = 20 };
#define REGION_NS 200e3

/* Plans in the members' order: those that are alike are one. */
typedef struct member {
    actune_plan *plan;
    bool own; /* the first with this plan */
    int first_buffer, ports;
} member;

typedef struct contest {
    const at_batch_compare_request *request;
    at_device device;
    at_cuda_device *cuda; /* NULL: on this processor */
    at_cuda_timer timer;
    actune_batch *batch;
    member *member;
    actune_buffer *buffer; /* set after set */
    int buffers, sets;
    bool in_place;
    int64_t bytes;
    int next; /* set of the next execution */
    int repeats[AT_BATCH_ARMS];
    at_cu_graph_exec graph[AT_BATCH_ARMS];
    double samples[AT_BATCH_ARMS][AT_SAMPLES_MAX];
} contest;

static const char *const names[AT_BATCH_ARMS] = {"batch", "null", "one by one"};

/* --- plans and buffers --- */

static bool is_same(const actune_plan_desc *a, const actune_plan_desc *b)
{
    return strcmp(a->spec, b->spec) == 0 && a->direction == b->direction && a->dtype_in == b->dtype_in && a->dtype_out == b->dtype_out &&
           a->in_place == b->in_place && a->sources == b->sources && memcmp(&a->shape, &b->shape, sizeof a->shape) == 0 && a->gradient_count == 0 &&
           b->gradient_count == 0;
}

static actune_status make_plans(contest *c)
{
    const at_batch_compare_request *request = c->request;
    AT_TRY(actune_batch_create(request->context, request->members, request->count, &c->batch));
    for (int m = 0; m < request->count; m++) {
        member *own = &c->member[m];
        int alike = 0;
        while (!is_same(&request->members[alike], &request->members[m]) && alike < m)
            alike++;
        own->own = alike == m;
        if (own->own)
            AT_TRY(actune_plan_create(request->context, &request->members[m], &own->plan));
        else
            own->plan = c->member[alike].plan;
        own->first_buffer = c->buffers;
        own->ports = actune_plan_port_count(own->plan);
        c->buffers += own->ports;
        c->in_place |= request->members[m].in_place;
    }
    return ACTUNE_OK;
}

static actune_status allocate(const contest *c, size_t bytes, void **memory)
{
    if (c->cuda)
        return at_cuda_allocate(c->cuda, bytes, memory);
    *memory = aligned_alloc(ALIGNMENT, (bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    return *memory ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory for the batch's tensors");
}

static void release(const contest *c, void *memory)
{
    if (c->cuda)
        at_cuda_free(c->cuda, memory);
    else
        free(memory);
}

/* Normal with sigma 2, without zeros and denormals, as measure.c has it; outputs are written once, so that every page is there. */
static actune_status fill(const contest *c, const actune_port_info *port, void *memory, at_random *random)
{
    const size_t bytes = (size_t)port->count * (size_t)at_dtype_get(port->dtype)->bytes;
    static const uint64_t key[2] = {1, 0};
    char *host = calloc(1, bytes + 1);
    if (!host)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the batch's tensors");
    for (int64_t i = 0; i < port->count && !port->is_random; i++) {
        const double value = i < FILL_PERIOD ? 2 * at_random_normal(random) : at_dtype_load(port->dtype, host, i - FILL_PERIOD);
        at_dtype_store(port->dtype, host, i, fabs(value) < 0x1p-10 ? copysign(0x1p-10, value) : value);
    }
    if (port->is_random)
        memcpy(host, key, sizeof key);
    actune_status status = ACTUNE_OK;
    if (c->cuda)
        status = at_cuda_upload(c->cuda, memory, host, bytes);
    else
        memcpy(memory, host, bytes);
    free(host);
    return status;
}

/* Which buffer of a member's an output in place is; -1: it has its own. */
static int same_as(const contest *c, int m, const actune_port_info *port)
{
    const actune_plan_desc *desc = &c->request->members[m];
    bool first = strcmp(port->name, desc->direction == ACTUNE_BACKWARD ? "dx" : "y") == 0;
    return desc->in_place && port->is_output && first ? (int)(desc->direction == ACTUNE_BACKWARD) : -1;
}

static actune_status make_set(contest *c, int set)
{
    at_random random = {(uint64_t)c->request->seed};
    actune_buffer *buffer = c->buffer + (size_t)set * (size_t)c->buffers;
    for (int i = 0; i < c->buffers; i++) {
        actune_port_info port;
        int m, same;
        AT_TRY(actune_batch_port(c->batch, i, &m, &port));
        buffer[i] = (actune_buffer){NULL, port.count, port.dtype};
        if ((same = same_as(c, m, &port)) >= 0) {
            buffer[i].data = buffer[c->member[m].first_buffer + same].data;
            continue;
        }
        AT_TRY(allocate(c, (size_t)port.count * (size_t)at_dtype_get(port.dtype)->bytes, &buffer[i].data));
        AT_TRY(fill(c, &port, buffer[i].data, &random));
    }
    return ACTUNE_OK;
}

static actune_status make_buffers(contest *c)
{
    for (int i = 0; i < c->buffers; i++) {
        actune_port_info port;
        AT_TRY(actune_batch_port(c->batch, i, NULL, &port));
        c->bytes += port.count * at_dtype_get(port.dtype)->bytes;
    }
    if (c->bytes == 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "all members are empty: there is nothing to measure");
    const int64_t bound = at_cache_bound(&c->device);
    c->sets = c->bytes > bound ? (int)(COLD_FACTOR * bound / c->bytes) + 1 : 1;
    c->sets = c->sets < SETS_MAX ? c->sets : SETS_MAX;
    c->buffer = calloc((size_t)c->sets * (size_t)c->buffers, sizeof *c->buffer);
    if (!c->buffer)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the batch's tensors");
    for (int set = 0; set < c->sets; set++)
        AT_TRY(make_set(c, set));
    return ACTUNE_OK;
}

/* --- arms --- */

static actune_status run_once(contest *c, int arm, void *stream)
{
    const actune_buffer *buffer = c->buffer + (size_t)c->next * (size_t)c->buffers;
    c->next = (c->next + 1) % c->sets;
    if (arm != AT_BATCH_ARMS - 1)
        return actune_batch_execute(c->batch, buffer, c->buffers, &(actune_batch_options){.stream = stream});
    for (int m = 0; m < c->request->count; m++)
        AT_TRY(actune_execute_on(c->member[m].plan, buffer + c->member[m].first_buffer, c->member[m].ports, stream, NULL));
    return ACTUNE_OK;
}

typedef struct put_work {
    contest *contest;
    int arm;
} put_work;

static actune_status put(void *user, at_cu_stream stream)
{
    put_work *work = user;
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < work->contest->repeats[work->arm] && !status; i++)
        status = run_once(work->contest, work->arm, stream);
    return status;
}

/* ns of one execution: of the batch, or of all plans. */
static actune_status time_arm(contest *c, int arm, double *ns)
{
    actune_status status = ACTUNE_OK;
    if (c->cuda) {
        AT_TRY(at_cuda_graph_time(&c->timer, c->graph[arm], ns));
        *ns /= c->repeats[arm];
        return ACTUNE_OK;
    }
    const double start = at_now_ns();
    for (int i = 0; i < c->repeats[arm] && !status; i++)
        status = run_once(c, arm, NULL);
    *ns = (at_now_ns() - start) / c->repeats[arm];
    return status;
}

/* Values in place drift when they are computed again and again: one execution then, which is what there is to time. */
static actune_status warm_up(contest *c)
{
    for (int arm = 0; arm < AT_BATCH_ARMS; arm++) {
        double ns;
        put_work work = {c, arm};
        c->repeats[arm] = c->cuda ? GRAPH_REPEATS : 1;
        if (c->cuda)
            AT_TRY(at_cuda_graph_capture(&c->timer, put, &work, &c->graph[arm]));
        AT_TRY(time_arm(c, arm, &ns));
        AT_TRY(time_arm(c, arm, &ns));
        if (!c->cuda && !c->in_place && ns < REGION_NS)
            c->repeats[arm] = ns * REPEATS_MAX < REGION_NS ? REPEATS_MAX : (int)(REGION_NS / ns) + 1;
    }
    return ACTUNE_OK;
}

static actune_status refresh(contest *c)
{
    for (int set = 0; set < c->sets && c->in_place; set++)
        for (int i = 0; i < c->buffers; i++) {
            at_random random = {(uint64_t)i};
            actune_port_info port;
            int m;
            AT_TRY(actune_batch_port(c->batch, i, &m, &port));
            if (!port.is_output)
                AT_TRY(fill(c, &port, c->buffer[set * c->buffers + i].data, &random));
        }
    return ACTUNE_OK;
}

static actune_status run_rounds(contest *c, int rounds)
{
    at_random random = {(uint64_t)c->request->seed};
    for (int r = 0; r < rounds; r++) {
        int order[AT_BATCH_ARMS] = {0, 1, 2};
        at_random_shuffle(&random, order, AT_BATCH_ARMS);
        for (int i = 0; i < AT_BATCH_ARMS; i++) {
            if (c->request->stop && *c->request->stop)
                return at_fail(ACTUNE_INTERRUPTED, "interrupted while measuring");
            AT_TRY(refresh(c));
            AT_TRY(time_arm(c, order[i], &c->samples[order[i]][r]));
        }
    }
    return ACTUNE_OK;
}

/* --- the whole way --- */

static void fill_lines(const contest *c, int rounds, at_batch_comparison *result)
{
    const uint64_t seed = (uint64_t)c->request->seed;
    const double *alone = c->samples[AT_BATCH_ARMS - 1];
    for (int arm = 0; arm < AT_BATCH_ARMS; arm++) {
        const at_interval time = at_bootstrap_median(c->samples[arm], rounds, seed);
        const at_interval speed = at_paired_log_ratio(alone, c->samples[arm], rounds, seed);
        result->line[arm] = (at_batch_arm_line){.name = names[arm],
                                                .median_ns = time.median,
                                                .low_ns = time.low,
                                                .high_ns = time.high,
                                                .gbps = (double)c->bytes / time.median,
                                                .speed = {exp(speed.median), exp(speed.low), exp(speed.high)}};
    }
    result->noise = expm1(fabs(at_paired_log_ratio(c->samples[0], c->samples[1], rounds, seed).median));
    result->bytes = c->bytes;
    result->rounds = rounds;
    result->sets = c->sets;
    result->cold = c->bytes > at_cache_bound(&c->device);
    actune_batch_describe(c->batch, &result->info);
    result->info.variant = result->info.binary = NULL;
}

static actune_status contend(contest *c, at_batch_comparison *result)
{
    const int rounds = c->request->rounds < 1 ? 1 : c->request->rounds > AT_SAMPLES_MAX ? AT_SAMPLES_MAX : c->request->rounds;
    AT_TRY(at_device_get(c->request->device ? c->request->device : "cpu", &c->device));
    if (c->device.cuda_ordinal >= 0) {
        AT_TRY(at_cuda_open(c->device.cuda_ordinal, &c->cuda));
        AT_TRY(at_cuda_timer_open(c->cuda, &c->timer));
    }
    AT_TRY(make_plans(c));
    AT_TRY(make_buffers(c));
    AT_TRY(warm_up(c));
    AT_TRY(run_rounds(c, rounds));
    fill_lines(c, rounds, result);
    return ACTUNE_OK;
}

static void clear_buffers(const contest *c)
{
    for (int set = 0; set < c->sets && c->buffer; set++)
        for (int i = 0; i < c->buffers; i++) {
            actune_port_info port;
            int m;
            if (actune_batch_port(c->batch, i, &m, &port) == ACTUNE_OK && same_as(c, m, &port) < 0)
                release(c, c->buffer[set * c->buffers + i].data);
        }
    free(c->buffer);
}

static void clear(contest *c)
{
    clear_buffers(c);
    for (int m = 0; m < c->request->count; m++)
        if (c->member[m].own)
            actune_plan_destroy(c->member[m].plan);
    actune_batch_destroy(c->batch);
    for (int arm = 0; arm < AT_BATCH_ARMS && c->cuda; arm++)
        at_cuda_graph_destroy(&c->timer, c->graph[arm]);
    at_cuda_timer_close(&c->timer);
    at_cuda_close(c->cuda);
    free(c->member);
    free(c);
}

actune_status at_compare_batch(const at_batch_compare_request *request, at_batch_comparison *result)
{
    *result = (at_batch_comparison){0};
    contest *c = calloc(1, sizeof *c);
    if (c)
        c->member = calloc((size_t)(request->count > 0 ? request->count : 1), sizeof *c->member);
    if (!c || !c->member) {
        free(c);
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a comparison");
    }
    c->request = request;
    actune_status status = contend(c, result);
    clear(c);
    return status;
}
