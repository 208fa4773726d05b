/* The tuner's work on a GPU: a module of its own for each variant, built by NVRTC in the pool's threads; verified through device memory; timed
   as graphs. Cubins are those that plans load: the key is the same text. */
#include "candidates_cudnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/backend/cuda_memory.h"
#include "../runtime/backend/cuda_time.h"
#include "../runtime/backend/nvrtc.h"
#include "../runtime/base/cuda_sm.h"
#include "../runtime/base/dtype.h"
#include "../runtime/launch_cuda.h"
#include "cuda_static.h"
#include "verify_cuda.h"

enum { WAVE_MAX = 16 };

#define MEMORY_MAX ((int64_t)1 << 30)

/* Of a load from device memory; published figures lie between 500 and 900. */
#define LATENCY_NS 800.0

typedef struct machine {
    at_cuda_device *device;
    at_cuda_timer timer;
    at_bench_machine bench;
    char toolchain[96];
    at_kernel identity; /* of the copies */
    bool has_identity;
    at_group copies;
    at_cudnn_handle cudnn; /* on the timer's stream; NULL: not wanted yet */
} machine;

/* --- building --- */

typedef struct job {
    at_code *code;
    const at_session *session;
    at_strbuf source, message;
    actune_status status;
} job;

static void generate(const at_group *group, int index, job *of)
{
    at_code *code = &group->codes[index];
    at_generate_item item = {.kernel = group->kernel, .layout = group->layout, .variant = at_code_variant(group, index)};
    *of = (job){.code = code, .session = group->session};
    of->status = at_cuda_geometry_of(group->kernel, item.variant, &code->geometry);
    if (of->status == ACTUNE_OK)
        of->status = at_generate_batch(&item, 1, &group->session->target, &of->source);
    if (of->status == ACTUNE_OK)
        of->status = item.status;
    code->absent = of->status == ACTUNE_UNSUPPORTED;
    code->source_hash = item.source_hash;
    memcpy(code->symbol, item.symbol, sizeof code->symbol);
    if (of->status != ACTUNE_OK)
        at_strbuf_append(&of->message, actune_last_error());
}

static void compile_piece(void *user, int piece)
{
    job *of = &((job *)user)[piece];
    const machine *on = of->session->machine_state;
    at_cuda_request request = {.source = at_strbuf_text(&of->source),
                               .symbol = of->code->symbol,
                               .finish = of->code->group->kernel->signature.slots > 0};
    if (of->status != ACTUNE_OK)
        return;
    of->status = at_cuda_kernel_build(on->device, of->session->cache, &request, &of->code->cuda);
    if (of->status != ACTUNE_OK)
        at_strbuf_append(&of->message, actune_last_error()); /* belongs to the worker's thread */
}

static void keep(job *of)
{
    at_code *code = of->code;
    if (code->cuda) {
        code->machine_hash = code->cuda->code_hash;
        code->code_bytes = code->cuda->code_bytes;
        code->compile_ms = code->cuda->compile_ms;
        code->registers = code->cuda->registers;
        code->spill_bytes = code->cuda->local_bytes;
    } else
        at_code_fail(code, at_strbuf_text(&of->message));
    at_strbuf_clear(&of->source);
    at_strbuf_clear(&of->message);
}

static at_cuda_static describe(const at_code *code, int arch)
{
    const at_cuda_kernel *built = code->cuda;
    if (!built)
        return (at_cuda_static){.twin = -1, .dropped = "was not built"};
    int block = code->geometry.block;
    int resident = at_cuda_resident_blocks(arch, block, built->registers, built->shared_bytes);
    return (at_cuda_static){.geometry = code->geometry,
                            .code_hash = built->code_hash,
                            .code_bytes = built->code_bytes,
                            .registers = built->registers,
                            .spill_bytes = built->local_bytes,
                            .shared_bytes = built->shared_bytes,
                            .resident_blocks = resident,
                            .occupancy = (double)resident * block / at_cuda_sm_get(arch).threads,
                            .flight_bytes = resident * code->geometry.flight_bytes,
                            .twin = -1};
}

/* What cannot win is not verified. The default stays whatever is said of it: everything is compared with it. */
static actune_status drop(at_group *group)
{
    const at_device *device = group->session->device;
    at_cuda_static *entries = calloc((size_t)group->code_count + 1, sizeof *entries);
    if (!entries)
        return at_fail(ACTUNE_NO_MEMORY, "no memory to compare %d kernels", group->code_count);
    for (int i = 0; i < group->code_count; i++)
        entries[i] = describe(&group->codes[i], device->cuda_arch);
    at_cuda_static_drop(entries, group->code_count, at_cuda_wanted_flight(device->bandwidth_gbps, device->processors, LATENCY_NS));
    for (int i = 1; i < group->code_count; i++) {
        at_code *code = &group->codes[i];
        if (!code->cuda || code->verified)
            continue;
        code->twin = entries[i].twin;
        code->dropped = entries[i].twin < 0 ? entries[i].dropped : NULL;
    }
    free(entries);
    return ACTUNE_OK;
}

/* A run whose time was short left codes unbuilt: they are taken up again, behind those that are new. */
static bool is_open(const at_code *code)
{
    return !code->cuda && !code->cudnn && !code->log && !code->absent;
}

/* The handle is made when a kernel comes that cuDNN has: it takes its time. */
static void build_cudnn(at_group *group)
{
    machine *on = group->session->machine_state;
    for (int i = 0; i < group->code_count; i++) {
        if (!at_cudnn_is_open(group, i))
            continue;
        if (!on->cudnn && at_cudnn_open(on->device, on->timer.stream, &on->cudnn) != ACTUNE_OK)
            at_code_fail(&group->codes[i], actune_last_error());
        else
            at_cudnn_code_build(group, i, &(struct at_cudnn_code){.device = on->device, .handle = on->cudnn, .stream = on->timer.stream});
    }
}

static actune_status build(at_group *group, int first, double until_ns)
{
    at_session *session = group->session;
    int at_once = session->threads < WAVE_MAX ? session->threads : WAVE_MAX, count = group->code_count;
    build_cudnn(group);
    for (int next = 0; next < count;) {
        job wave[WAVE_MAX];
        int made = 0;
        if (at_session_stopped(session))
            return at_fail(ACTUNE_INTERRUPTED, "interrupted while compiling");
        if (next > 0 && at_now_ns() > until_ns)
            break;
        for (; made < at_once && next < count; next++)
            if (is_open(&group->codes[(first + next) % count]))
                generate(group, (first + next) % count, &wave[made++]);
        at_pool_run(session->pool, made, compile_piece, wave);
        for (int i = 0; i < made; i++)
            keep(&wave[i]);
        at_session_progress(session, "compile");
    }
    return drop(group);
}

/* --- verifying --- */

static actune_status run_on_device(void *user, actune_shape shape, void *const *port)
{
    const at_code *code = user;
    at_cuda_trial trial = {code->cuda, &code->geometry, code->group->kernel, code->group->layout};
    return at_cuda_trial_run(&trial, shape, port);
}

static void verify_target(const at_group *group, const at_code *code, at_verify_target *target)
{
    (void)group;
    *target = (at_verify_target){.run = code->cudnn ? at_cudnn_code_run : run_on_device, .run_user = (void *)code, .apart = code->cudnn || !code->geometry.in_place};
}

/* --- timing --- */

typedef struct armed {
    at_cuda_launch launch; /* not of the anchor */
    at_cudnn_launch *cudnn; /* instead of it */
    at_cu_graph_exec graph;
    int repeats; /* nodes of the graph */
} armed;

static actune_status allocate(void *self, size_t bytes, void **memory)
{
    return at_cuda_allocate(((machine *)self)->device, bytes, memory);
}

static void release_memory(void *self, void *memory)
{
    at_cuda_free(((machine *)self)->device, memory);
}

static actune_status upload(void *self, void *to, const void *from, size_t bytes)
{
    return at_cuda_upload(((machine *)self)->device, to, from, bytes);
}

/* On the timer's stream: in order with the graphs. */
static actune_status copy(void *self, void *to, const void *from, size_t bytes)
{
    const machine *on = self;
    return at_cuda_copy(on->device, to, from, bytes, on->timer.stream);
}

static actune_status open_arm(void *self, const at_bench *bench, at_arm *arm)
{
    const at_bench_request *request = at_bench_request_of(bench);
    const at_code *code = arm->code;
    actune_shape shape = request->shape;
    (void)self;
    if (request->in_place && arm->kind == AT_ARM_KERNEL && !code->geometry.in_place)
        return at_fail(ACTUNE_UNSUPPORTED, "this kernel does not admit its output over its input");
    armed *made = calloc(1, sizeof *made);
    if (!made)
        return at_fail(ACTUNE_NO_MEMORY, "no memory to measure");
    arm->state = made;
    if (arm->kind == AT_ARM_MEMCPY)
        return ACTUNE_OK;
    if (arm->kind == AT_ARM_COPY)
        shape = (actune_shape){1, 1, (int64_t)(at_bench_step_of(bench, 0).copy_bytes / sizeof(float))};
    if (code->cudnn)
        return at_cudnn_code_open(code, shape, at_bench_step_of(bench, 0).port, &made->cudnn);
    return at_cuda_launch_init(&made->launch, code->cuda, code->group->kernel, code->group->layout, shape, &code->geometry);
}

static void close_arm(void *self, at_arm *arm)
{
    const machine *on = self;
    armed *made = arm->state;
    at_cuda_graph_destroy(&on->timer, made->graph);
    at_cudnn_launch_destroy(made->cudnn);
    free(made);
}

typedef struct region {
    const machine *on;
    const at_bench *bench;
    const at_arm *arm;
} region;

static actune_status put_on_stream(void *user, at_cu_stream stream)
{
    const region *of = user;
    const armed *made = of->arm->state;
    for (int i = 0; i < of->arm->repeats; i++) {
        at_bench_step step = at_bench_step_of(of->bench, i);
        void *copied[] = {step.copy_from, step.copy_to};
        if (of->arm->kind == AT_ARM_MEMCPY)
            AT_TRY(at_cuda_copy(of->on->device, step.copy_to, step.copy_from, step.copy_bytes, stream));
        else if (made->cudnn)
            AT_TRY(at_cudnn_launch_run(made->cudnn, step.port)); /* its handle is on this stream */
        else
            AT_TRY(at_cuda_launch_run(&made->launch, of->arm->kind == AT_ARM_COPY ? copied : step.port, at_bench_workspace(of->bench), stream));
    }
    return ACTUNE_OK;
}

static actune_status time_arm(void *self, const at_bench *bench, at_arm *arm, double *ns)
{
    const machine *on = self;
    armed *made = arm->state;
    region of = {on, bench, arm};
    if (made->graph && made->repeats != arm->repeats) {
        at_cuda_graph_destroy(&on->timer, made->graph);
        made->graph = NULL;
    }
    if (!made->graph)
        AT_TRY(at_cuda_graph_capture(&on->timer, put_on_stream, &of, &made->graph));
    made->repeats = arm->repeats;
    AT_TRY(at_cuda_graph_time(&on->timer, made->graph, ns));
    *ns /= arm->repeats;
    return *ns > 0 ? ACTUNE_OK : at_fail(ACTUNE_DEVICE, "the device's events say that %d launches took no time", arm->repeats);
}

/* --- our own copies: what the roof is, beside the driver's --- */

static actune_status lower_identity(machine *on)
{
    at_spec spec;
    at_kernel_request request = {.direction = ACTUNE_FORWARD, .dtype_in = ACTUNE_F32, .dtype_out = ACTUNE_F32};
    AT_TRY(at_spec_parse("identity", &spec));
    actune_status status = at_kernel_lower(&spec, &request, &on->identity);
    at_spec_clear(&spec);
    on->has_identity = status == ACTUNE_OK;
    return status;
}

/* The default and three of its neighbours; one that cannot be built is left out. */
static actune_status fill_copies(at_session *session, at_group *group)
{
    static const struct {
        const char *knob, *value;
    } set[] = {{"vector", "16"}, {"vectors", "4"}, {"store", "cs"}, {"grid", "x8"}};
    enum { COPIES = sizeof set / sizeof *set };
    group->space = calloc(COPIES, sizeof *group->space);
    group->codes = calloc(COPIES, sizeof *group->codes);
    group->candidates = calloc(COPIES, sizeof *group->candidates);
    if (!group->space || !group->codes || !group->candidates)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the copies to compare with");
    for (int i = 0; i < COPIES; i++) {
        AT_TRY(at_variant_default(group->kernel, group->layout, &session->target, &group->space[i]));
        AT_TRY(at_variant_set(&group->space[i], set[i].knob, set[i].value));
        group->codes[i] = (at_code){.twin = -1, .group = group};
        group->candidates[i] = (at_candidate){.variant = i, .code = i, .threads = 1};
    }
    group->space_count = group->code_count = group->candidate_count = COPIES;
    return ACTUNE_OK;
}

static actune_status open_copies(at_session *session, machine *on)
{
    at_strbuf sources = {0};
    AT_TRY(lower_identity(on));
    on->copies = (at_group){.session = session, .kernel = &on->identity, .layout = AT_LAYOUT_FLAT};
    AT_TRY(fill_copies(session, &on->copies));
    AT_TRY(build(&on->copies, 0, session->deadline_ns));
    for (int i = 0; i < on->copies.code_count; i++) {
        const at_code *code = &on->copies.codes[i];
        at_strbuf_append(&sources, code->source_hash.hex);
        if (code->cuda && code->twin < 0)
            session->copies.arm[session->copies.count++] = (at_arm){.kind = AT_ARM_COPY, .code = code, .threads = 1};
    }
    session->copies.source_hash = at_hash_text(at_strbuf_text(&sources));
    at_strbuf_clear(&sources);
    return ACTUNE_OK;
}

/* --- opening --- */

static actune_status open_machine(at_session *session, machine *on)
{
    int major, minor;
    const char *path;
    int64_t free_bytes;
    AT_TRY(at_nvrtc_version(&major, &minor, &path));
    snprintf(on->toolchain, sizeof on->toolchain, "NVRTC %d.%d, driver %d.%d", major, minor, session->device->driver / 1000,
             session->device->driver % 1000 / 10);
    AT_TRY(at_cuda_open(session->device->cuda_ordinal, &on->device));
    AT_TRY(at_cuda_timer_open(on->device, &on->timer));
    if (at_cudnn_version(&session->cudnn, &path) != ACTUNE_OK)
        session->cudnn = NULL; /* and there are no candidates of its */
    AT_TRY(at_cuda_free_bytes(on->device, &free_bytes));
    on->bench = (at_bench_machine){.self = on,
                                   .memory_bytes = free_bytes / 4 < MEMORY_MAX ? free_bytes / 4 : MEMORY_MAX,
                                   .allocate = allocate,
                                   .release = release_memory,
                                   .upload = upload,
                                   .copy = copy,
                                   .open_arm = open_arm,
                                   .close_arm = close_arm,
                                   .time = time_arm};
    return open_copies(session, on);
}

static void release(at_session *session)
{
    machine *on = session->machine_state;
    if (!on)
        return;
    at_group_clear(&on->copies);
    if (on->has_identity)
        at_kernel_clear(&on->identity);
    if (on->device)
        at_cudnn_close(on->device, on->cudnn);
    at_cuda_timer_close(&on->timer);
    at_cuda_close(on->device);
    free(on);
    session->copies = (at_copies){0};
    session->machine_state = NULL;
    session->machine = NULL;
    session->cudnn = NULL;
}

static actune_status offer(at_group *group)
{
    return group->session->cudnn ? at_cudnn_offer(group) : ACTUNE_OK;
}

static actune_status equip(at_session *session)
{
    if (session->machine)
        return ACTUNE_OK;
    machine *on = calloc(1, sizeof *on);
    if (!on)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a device");
    session->machine_state = on;
    session->toolchain = on->toolchain;
    session->arch = session->device->capability;
    actune_status status = open_machine(session, on);
    if (status != ACTUNE_OK)
        release(session);
    else
        session->machine = &on->bench;
    return status;
}

const at_tune_backend at_tune_cuda = {.anchor = "device-to-device copy",
                                      .strategy = "sampled",
                                      .equip = equip,
                                      .release = release,
                                      .build = build,
                                      .offer = offer,
                                      .verify_target = verify_target};
