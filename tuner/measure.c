#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../runtime/base/dtype.h"

#define REGION_NS 20e3
#define CLOCK_SETTLES_NS 700e3
#define MEMORY_MAX ((int64_t)1 << 30)

enum { COLD_FACTOR = 5, ALIGNMENT = 64, FILL_PERIOD = 65521, REPEATS_MAX = 1 << 20, REPEATS_THERE_MAX = 512, COPIES_MIN = 4, COPIES_MAX = 64, ROUND_MAX = 1024, SETTLED_ARMS = 12 };

typedef struct set {
    void *port[AT_PORTS_MAX];
    void *owned[AT_PORTS_MAX + 2];
    void *copy_from, *copy_to;
} set;

struct at_bench {
    at_bench_request request;
    bool cold;
    int64_t bytes; /* algorithmic */
    int input;     /* in place: the port that is written too; -1 */
    void *fresh;   /* in place: what it holds before a launch */
    set *sets;
    int count, next;
    double region_ns;
    void *workspace;
};

/* --- clock --- */

double at_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

double at_timer_resolution_ns(void)
{
    double least = 1e9;
    for (int i = 0; i < 200; i++) {
        double start = at_now_ns(), step;
        do
            step = at_now_ns() - start;
        while (step <= 0);
        least = step < least ? step : least;
    }
    return least;
}

/* --- what a workload is --- */

static int64_t port_bytes(const at_port *port, actune_shape shape)
{
    return at_port_count(port, shape) * at_dtype_get(port->dtype)->bytes;
}

int64_t at_workload_bytes(const at_signature *signature, actune_shape shape)
{
    int64_t bytes = 0;
    for (int p = 0; p < signature->ports; p++)
        bytes += port_bytes(&signature->port[p], shape);
    return bytes;
}

bool at_workload_is_cold(const at_signature *signature, actune_shape shape, const at_device *device)
{
    return at_workload_bytes(signature, shape) > at_cache_bound(device);
}

const at_signature *at_copy_signature(void)
{
    static const at_signature copy = {
        .port = {{"x", AT_ACCESS_ELEMENT, ACTUNE_F32, false, false}, {"y", AT_ACCESS_ELEMENT, ACTUNE_F32, true, false}},
        .ports = 2,
        .inputs = 1,
        .direction = ACTUNE_FORWARD,
        .dtype_in = ACTUNE_F32,
        .dtype_out = ACTUNE_F32,
        .compute = ACTUNE_F32};
    return &copy;
}

/* --- buffers --- */

static int64_t copy_bytes(const at_bench *bench)
{
    int64_t half = bench->bytes / 2 / (int64_t)sizeof(float) * (int64_t)sizeof(float);
    return half > 0 ? half : (int64_t)sizeof(float);
}

static void *make_buffer(const at_bench *bench, int64_t bytes)
{
    const at_bench_machine *machine = bench->request.machine;
    void *there;
    if (machine)
        return machine->allocate(machine->self, (size_t)bytes, &there) == ACTUNE_OK ? there : NULL;
    size_t room = ((size_t)bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, room);
    if (memory)
        memset(memory, 0, room); /* every page is there before anything is timed */
    return memory;
}

static void free_buffer(const at_bench *bench, void *memory)
{
    const at_bench_machine *machine = bench->request.machine;
    if (machine && memory)
        machine->release(machine->self, memory);
    else
        free(memory);
}

/* Repeats a block of random values: drawing each of a billion would take longer than measuring them. */
static void fill(const at_port *port, void *array, int64_t count, at_random *random)
{
    int width = at_dtype_get(port->dtype)->bytes;
    int64_t period = count < FILL_PERIOD ? count : FILL_PERIOD;
    for (int64_t i = 0; i < period; i++) {
        double value = 2 * at_random_normal(random);
        if (fabs(value) < 0x1p-10)
            value = copysign(0x1p-10, value);
        at_dtype_store(port->dtype, array, i, at_dtype_get(port->dtype)->kind == AT_DTYPE_INTEGER ? 32 * value : value);
    }
    for (int64_t done = period; done < count; done += period) {
        int64_t more = count - done < period ? count - done : period;
        memcpy((char *)array + done * width, array, (size_t)(more * width));
    }
}

/* Values for an input, wherever it lies. */
static actune_status fill_port(const at_bench *bench, const at_port *port, void *array, at_random *random)
{
    const at_bench_machine *machine = bench->request.machine;
    int64_t count = at_port_count(port, bench->request.shape);
    if (!machine) {
        fill(port, array, count, random);
        return ACTUNE_OK;
    }
    size_t bytes = (size_t)port_bytes(port, bench->request.shape);
    void *here = malloc(bytes + 1);
    if (!here)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the values of '%s'", port->name);
    fill(port, here, count, random);
    actune_status status = machine->upload(machine->self, array, here, bytes);
    free(here);
    return status;
}

/* Whether memcpy can work inside the ports' own memory, so that it meets the same cache state: it then reads x and
 * writes y. */
static bool shares_ports(const at_bench *bench)
{
    const at_signature *signature = bench->request.signature;
    return !bench->request.in_place && port_bytes(&signature->port[0], bench->request.shape) >= copy_bytes(bench) &&
           port_bytes(&signature->port[signature->inputs], bench->request.shape) >= copy_bytes(bench);
}

static actune_status make_set(const at_bench *bench, set *made, at_random *random)
{
    const at_signature *signature = bench->request.signature;
    for (int p = 0; p < signature->ports; p++) {
        const at_port *port = &signature->port[p];
        if (bench->input >= 0 && p == signature->inputs) {
            made->port[p] = made->port[bench->input];
            continue;
        }
        made->owned[p] = made->port[p] = make_buffer(bench, port_bytes(port, bench->request.shape));
        if (!made->port[p] && bench->request.machine)
            return ACTUNE_NO_MEMORY; /* it has said which call failed */
        if (!made->port[p])
            return at_fail(ACTUNE_NO_MEMORY, "no memory for %lld bytes of '%s' to measure on",
                           (long long)port_bytes(port, bench->request.shape), port->name);
        if (p < signature->inputs)
            AT_TRY(fill_port(bench, port, made->port[p], random));
    }
    made->copy_from = made->port[0];
    made->copy_to = made->port[signature->inputs];
    if (shares_ports(bench))
        return ACTUNE_OK;
    made->owned[signature->ports] = made->copy_from = make_buffer(bench, copy_bytes(bench));
    made->owned[signature->ports + 1] = made->copy_to = make_buffer(bench, copy_bytes(bench));
    if (!made->copy_from || !made->copy_to)
        return bench->request.machine ? ACTUNE_NO_MEMORY : at_fail(ACTUNE_NO_MEMORY, "no memory for the copy to compare with");
    if (!bench->request.machine)
        memset(made->copy_from, 0x3f, (size_t)copy_bytes(bench));
    return ACTUNE_OK;
}

static int64_t memory_limit(const at_bench *bench)
{
    if (bench->request.machine)
        return bench->request.machine->memory_bytes;
    int64_t quarter = (int64_t)sysconf(_SC_AVPHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE) / 4;
    return quarter > 0 && quarter < MEMORY_MAX ? quarter : MEMORY_MAX;
}

static int count_sets(const at_bench *bench)
{
    const at_device *device = bench->request.device;
    int64_t sets = 1, memory = bench->bytes + (shares_ports(bench) ? 0 : 2 * copy_bytes(bench));
    if (bench->cold)
        sets = (COLD_FACTOR * at_cache_bound(device) + bench->bytes - 1) / bench->bytes;
    else if (bench->input >= 0) { /* fresh copies, together in the cache where one launch is */
        int64_t level =
            bench->bytes < device->l2_bytes / COPIES_MIN ? device->l2_bytes / 2 : at_cache_bound(device) / 2;
        sets = level / bench->bytes;
        sets = sets < COPIES_MIN ? COPIES_MIN : sets > COPIES_MAX ? COPIES_MAX : sets;
    }
    int64_t most = memory_limit(bench) / memory;
    sets = sets > most ? most : sets;
    return sets < 1 ? 1 : (int)sets;
}

static int in_place_port(const at_bench_request *request)
{
    if (!request->in_place)
        return -1;
    return request->signature->direction == ACTUNE_BACKWARD ? 1 : 0;
}

static actune_status copy_inside(const at_bench *bench, void *to, const void *from, size_t bytes)
{
    const at_bench_machine *machine = bench->request.machine;
    if (machine)
        return machine->copy(machine->self, to, from, bytes);
    memcpy(to, from, bytes);
    return ACTUNE_OK;
}

static actune_status make_workspace(at_bench *bench)
{
    at_launch launch;
    const at_bench_request *request = &bench->request;
    int threads = request->device->processors; /* what any arm may have: rows have a scratch each */
    AT_TRY(at_launch_init(&launch, request->signature, request->layout, request->shape, threads > 0 ? threads : 1));
    bench->workspace = launch.workspace_bytes ? make_buffer(bench, (int64_t)launch.workspace_bytes) : NULL;
    if (launch.workspace_bytes && !bench->workspace)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for partial sums");
    if (bench->input < 0)
        return ACTUNE_OK;
    int64_t bytes = port_bytes(&request->signature->port[bench->input], request->shape);
    bench->fresh = make_buffer(bench, bytes);
    if (!bench->fresh)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a fresh copy");
    return copy_inside(bench, bench->fresh, bench->sets[0].port[bench->input], (size_t)bytes);
}

actune_status at_bench_open(const at_bench_request *request, at_bench **bench)
{
    at_bench *made = calloc(1, sizeof *made);
    if (!made)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a bench");
    made->request = *request;
    made->bytes = at_workload_bytes(request->signature, request->shape);
    made->cold = at_workload_is_cold(request->signature, request->shape, request->device);
    made->input = in_place_port(request);
    made->region_ns = fmax(REGION_NS, 100 * at_timer_resolution_ns());
    made->count = made->bytes > 0 ? count_sets(made) : 0;
    made->sets = calloc((size_t)made->count + 1, sizeof *made->sets);
    actune_status status = made->sets ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory for a bench");
    if (status == ACTUNE_OK && made->count == 0)
        status = at_fail(ACTUNE_INVALID_ARGUMENT, "an empty shape has nothing to measure");
    at_random random = {(uint64_t)request->seed};
    for (int s = 0; s < made->count && status == ACTUNE_OK; s++)
        status = make_set(made, &made->sets[s], &random);
    if (status == ACTUNE_OK)
        status = make_workspace(made);
    if (status != ACTUNE_OK) {
        at_bench_close(made);
        return status;
    }
    *bench = made;
    return ACTUNE_OK;
}

void at_bench_close(at_bench *bench)
{
    if (!bench)
        return;
    for (int s = 0; bench->sets && s < bench->count; s++)
        for (int p = 0; p < AT_PORTS_MAX + 2; p++)
            free_buffer(bench, bench->sets[s].owned[p]);
    free(bench->sets);
    free_buffer(bench, bench->fresh);
    free_buffer(bench, bench->workspace);
    free(bench);
}

int at_bench_sets(const at_bench *bench)
{
    return bench->count;
}

at_bench_step at_bench_step_of(const at_bench *bench, int i)
{
    const set *on = &bench->sets[i % bench->count];
    return (at_bench_step){on->port, on->copy_from, on->copy_to, (size_t)copy_bytes(bench)};
}

const at_bench_request *at_bench_request_of(const at_bench *bench)
{
    return &bench->request;
}

void *at_bench_workspace(const at_bench *bench)
{
    return bench->workspace;
}

/* --- arms --- */

static void run_whole(const at_bench *bench, const at_arm *arm, const set *on)
{
    actune_shape shape = bench->request.shape;
    actune_slice slice = {.port = on->port,
                          .outer = shape.outer,
                          .channels = shape.channels,
                          .inner = shape.inner,
                          .end = shape.outer * shape.channels * shape.inner};
    arm->function(&slice);
}

static void run_arm(at_bench *bench, const at_arm *arm)
{
    const set *on = &bench->sets[bench->next];
    bench->next = bench->next + 1 < bench->count ? bench->next + 1 : 0;
    void *copy[] = {on->copy_from, on->copy_to};
    switch (arm->kind) {
    case AT_ARM_KERNEL:
        at_launch_run(&arm->launch, bench->request.pool, on->port, bench->workspace);
        break;
    case AT_ARM_WHOLE:
        run_whole(bench, arm, on);
        break;
    case AT_ARM_COPY:
        at_launch_run(&arm->launch, bench->request.pool, copy, NULL);
        break;
    case AT_ARM_CALL:
        arm->call(arm->self, on->port);
        break;
    case AT_ARM_MEMCPY:
        memcpy(on->copy_to, on->copy_from, (size_t)copy_bytes(bench));
        __asm__ volatile("" : : "r"(on->copy_to) : "memory"); /* keeps repeated copies apart */
        break;
    }
}

static actune_status restore(at_bench *bench)
{
    if (bench->input < 0)
        return ACTUNE_OK;
    int64_t bytes = port_bytes(&bench->request.signature->port[bench->input], bench->request.shape);
    for (int s = 0; s < bench->count; s++)
        AT_TRY(copy_inside(bench, bench->sets[s].port[bench->input], bench->fresh, (size_t)bytes));
    bench->next = 0;
    return ACTUNE_OK;
}

/* There a region is prepared as a whole (a graph), and always begins with the first set. */
static actune_status time_there(at_bench *bench, at_arm *arm, double *ns)
{
    const at_bench_machine *machine = bench->request.machine;
    AT_TRY(restore(bench));
    if (!bench->cold) {
        AT_TRY(machine->time(machine->self, bench, arm, ns));
        AT_TRY(restore(bench));
    }
    return machine->time(machine->self, bench, arm, ns);
}

/* One timed region, as ns of one launch. In the warm regime an untimed launch brings caches, clock and threads to where
 * they stay. */
static actune_status time_region(at_bench *bench, at_arm *arm, double *ns)
{
    if (bench->request.machine)
        return time_there(bench, arm, ns);
    AT_TRY(restore(bench));
    if (!bench->cold) {
        run_arm(bench, arm);
        AT_TRY(restore(bench));
    }
    double start = at_now_ns();
    for (int i = 0; i < arm->repeats; i++)
        run_arm(bench, arm);
    *ns = (at_now_ns() - start) / arm->repeats;
    return ACTUNE_OK;
}

static actune_status find_repeats(at_bench *bench, at_arm *arm)
{
    bool there = bench->request.machine != NULL;
    int most = bench->input >= 0 ? bench->count : there ? REPEATS_THERE_MAX : REPEATS_MAX;
    /* A region that begins with the first set must go through all of them, or that one is still in the cache from the region before. */
    arm->repeats = there && bench->cold ? bench->count : 1;
    for (int step = 0; step < 4; step++) {
        double launch = 0;
        AT_TRY(time_region(bench, arm, &launch));
        double wanted = bench->region_ns / fmax(launch, 1);
        arm->first_ns = launch;
        int repeats = wanted < 1 ? 1 : wanted > most ? most : (int)ceil(wanted);
        bool settled = repeats <= arm->repeats + arm->repeats / 4;
        if (repeats > arm->repeats)
            arm->repeats = repeats;
        if (settled)
            break;
    }
    return ACTUNE_OK;
}

actune_status at_arm_open(at_bench *bench, at_arm *arm)
{
    const at_bench_request *request = &bench->request;
    actune_shape copied = {1, 1, copy_bytes(bench) / (int64_t)sizeof(float)};
    if (arm->kind == AT_ARM_KERNEL)
        AT_TRY(at_launch_init(&arm->launch, request->signature, request->layout, request->shape, arm->threads));
    else if (arm->kind == AT_ARM_COPY)
        AT_TRY(at_launch_init(&arm->launch, at_copy_signature(), AT_LAYOUT_FLAT, copied, arm->threads));
    arm->launch.function = arm->function;
    arm->samples = 0;
    arm->samples_ns = calloc(AT_SAMPLES_MAX, sizeof *arm->samples_ns);
    if (!arm->samples_ns)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for samples");
    arm->machine = request->machine;
    actune_status status = arm->machine ? arm->machine->open_arm(arm->machine->self, bench, arm) : ACTUNE_OK;
    if (status == ACTUNE_OK)
        status = find_repeats(bench, arm);
    arm->active = status == ACTUNE_OK;
    if (status != ACTUNE_OK)
        at_arm_close(arm);
    return status;
}

void at_arm_close(at_arm *arm)
{
    if (arm->state)
        arm->machine->close_arm(arm->machine->self, arm);
    arm->state = NULL;
    free(arm->samples_ns);
    arm->samples_ns = NULL;
    arm->active = false;
}

/* Until the clock is where this arm alone would hold it: 64-byte vectors slow it, and so do 32-byte ones that multiply all the time, which
   nobody knows beforehand. Short rounds settle it for each arm; in long ones that would take most of the time. */
static void let_clock_settle(at_bench *bench, at_arm *arm)
{
    double until = at_now_ns() + CLOCK_SETTLES_NS, ignored;
    do
        time_region(bench, arm, &ignored);
    while (at_now_ns() < until);
}

/* The wide arms first or last, by chance; in each part the order that was drawn. */
static void part_by_width(const at_arm *arms, int *order, int count, at_random *random)
{
    int parted[ROUND_MAX], filled = 0;
    bool wide_first = at_random_next(random) & 1;
    for (int part = 0; part < 2; part++)
        for (int i = 0; i < count; i++)
            if (arms[order[i]].wide == (wide_first == (part == 0)))
                parted[filled++] = order[i];
    memcpy(order, parted, (size_t)count * sizeof *order);
}

actune_status at_bench_round(at_bench *bench, at_arm *arms, int count, at_random *random)
{
    int order[ROUND_MAX], running = 0;
    for (int i = 0; i < count && running < ROUND_MAX; i++)
        if (arms[i].active && arms[i].samples < AT_SAMPLES_MAX)
            order[running++] = i;
    at_random_shuffle(random, order, running);
    part_by_width(arms, order, running, random);
    for (int i = 0; i < running; i++) {
        at_arm *arm = &arms[order[i]];
        double ns = 0;
        bool other_clock = i == 0 || running <= SETTLED_ARMS || arm->wide != arms[order[i - 1]].wide;
        if (!bench->request.machine && !bench->cold && other_clock)
            let_clock_settle(bench, arm);
        actune_status status = time_region(bench, arm, &ns);
        if (status == ACTUNE_OK)
            arm->samples_ns[arm->samples++] = ns;
        else if (arm->kind == AT_ARM_MEMCPY)
            return status;
        else
            arm->active = false;
    }
    return ACTUNE_OK;
}
