/* The public way on the fake driver: context, plan, execute, in layouts, directions and types, on streams, threads and devices, captured, and
   with every call failing in turn. Results are compared with those of the interpreter on the CPU. */
#include "rig.h"

#include "runtime/base/dtype.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PORTS_MAX = 8, TIMES_MAX = 1000 };

static actune_context *cpu, *gpu[2];
static char cache_name[160] = "cache"; /* in the scratch folder */
static bool overlap; /* of the plans that are made */
static int pushes; /* of contexts before things were given back, in the last run */
static at_cuda_device *device[2]; /* for memory and streams, as a caller has them */

static actune_status open_context(const char *name, actune_context **context)
{
    char cache[256];
    snprintf(cache, sizeof cache, "%s/%s", rig_folder, cache_name);
    actune_context_options options = {.database = "", .cache_folder = cache, .device = name};
    return actune_context_open(&options, context);
}

/* --- one job: a plan, its buffers on the device, what must come out --- */

typedef struct work {
    const char *spec, *gradient; /* gradient: backward; "" for none besides dx */
    actune_dtype in, out;
    actune_shape shape;
    bool in_place;
} work;

typedef struct job {
    const work *work;
    const at_cuda_device *device;
    actune_plan *plan, *oracle;
    int ports;
    actune_buffer host[PORTS_MAX], wanted[PORTS_MAX], there[PORTS_MAX];
    bool output[PORTS_MAX];
    size_t bytes[PORTS_MAX];
    void *workspace;
} job;

static actune_status make_plan(actune_context *context, const work *w, actune_plan **plan)
{
    actune_plan_desc desc = {.spec = w->spec, .direction = w->gradient ? ACTUNE_BACKWARD : ACTUNE_FORWARD, .dtype_in = w->in, .dtype_out = w->out,
                             .shape = w->shape, .gradients = &w->gradient, .gradient_count = w->gradient && *w->gradient, .in_place = w->in_place,
                             .overlap = overlap};
    return actune_plan_create(context, &desc, plan);
}

/* Inputs between -3 and 3, none near a kink of relu. */
static double input_of(int port, int64_t i)
{
    return (double)((i * 37 + port * 11) % 61 - 30) / 10 + 0.03;
}

static void fill_host(job *j)
{
    j->ports = actune_plan_port_count(j->oracle);
    for (int p = 0; p < j->ports; p++) {
        actune_port_info info;
        CHECK_OK(actune_plan_port(j->oracle, p, &info));
        j->bytes[p] = (size_t)info.count * (size_t)at_dtype_get(info.dtype)->bytes;
        j->output[p] = info.is_output;
        j->host[p] = j->wanted[p] = (actune_buffer){NULL, info.count, info.dtype};
        j->host[p].data = calloc(1, j->bytes[p] + 1);
        j->wanted[p].data = calloc(1, j->bytes[p] + 1);
        for (int64_t i = 0; i < info.count && !info.is_output; i++) {
            at_dtype_store(info.dtype, j->host[p].data, i, input_of(p, i));
            at_dtype_store(info.dtype, j->wanted[p].data, i, input_of(p, i));
        }
    }
}

static void job_open(job *j, const work *w, int ordinal)
{
    *j = (job){.work = w, .device = device[ordinal]};
    setenv("ACTUNE_INTERPRET", "1", 1);
    work out_of_place = *w;
    out_of_place.in_place = false;
    CHECK_OK(make_plan(cpu, &out_of_place, &j->oracle));
    unsetenv("ACTUNE_INTERPRET");
    CHECK_OK(make_plan(gpu[ordinal], w, &j->plan));
    fill_host(j);
    CHECK_OK(actune_execute(j->oracle, j->wanted, j->ports));
}

static void job_allocate(job *j)
{
    for (int p = 0; p < j->ports; p++) {
        bool shared = j->work->in_place && p == j->ports - 1;
        j->there[p] = j->host[p];
        if (shared)
            j->there[p].data = j->there[0].data;
        else
            CHECK_OK(at_cuda_allocate(j->device, j->bytes[p], &j->there[p].data));
        if (!j->output[p])
            CHECK_OK(at_cuda_upload(j->device, j->there[p].data, j->host[p].data, j->bytes[p]));
        else if (!shared)
            CHECK_OK(at_cuda_fill(j->device, j->there[p].data, 0xff, j->bytes[p]));
    }
}

static void job_close(job *j)
{
    for (int p = 0; p < j->ports; p++) {
        if (p == 0 || j->there[p].data != j->there[0].data)
            at_cuda_free(j->device, j->there[p].data);
        free(j->host[p].data);
        free(j->wanted[p].data);
    }
    at_cuda_free(j->device, j->workspace);
    actune_plan_destroy(j->plan);
    actune_plan_destroy(j->oracle);
}

static double allowed(actune_dtype dtype, double exact)
{
    double share = dtype == ACTUNE_F64 ? 1e-12 : dtype == ACTUNE_F32 ? 1e-5 : dtype == ACTUNE_BF16 ? 8e-3 : 1e-3;
    return share * (fabs(exact) + 1);
}

/* -1: all are right; else the first wrong one. */
static int64_t first_wrong(const job *j, int p)
{
    for (int64_t i = 0; i < j->host[p].count; i++) {
        double value = at_dtype_load(j->host[p].dtype, j->host[p].data, i), exact = at_dtype_load(j->host[p].dtype, j->wanted[p].data, i);
        if (!(fabs(value - exact) <= allowed(j->host[p].dtype, exact)))
            return i;
    }
    return -1;
}

/* What is on the device now. */
static bool is_right(job *j)
{
    bool right = true;
    for (int p = 0; p < j->ports; p++) {
        if (!j->output[p])
            continue;
        CHECK_OK(at_cuda_download(j->device, j->host[p].data, j->there[p].data, j->bytes[p]));
        int64_t wrong = first_wrong(j, p);
        right &= wrong < 0;
    }
    return right;
}

/* Nothing is there before somebody waits. */
static void clear_outputs(job *j)
{
    for (int p = 0; p < j->ports; p++)
        if (j->output[p] && !j->work->in_place)
            CHECK_OK(at_cuda_fill(j->device, j->there[p].data, 0xff, j->bytes[p]));
}

static void describe(const job *j)
{
    actune_plan_info info;
    actune_plan_describe(j->plan, &info);
    printf("  %s: %s, %s, %s\n", info.spec, info.variant, info.tier, info.note);
}

/* --- each direction, layout and type --- */

static const work list[] = {
    {"gelu", NULL, ACTUNE_F32, ACTUNE_F32, {1, 1, 5000}, false},
    {"gelu", NULL, ACTUNE_F32, ACTUNE_F32, {1, 1, 5000}, true},
    {"tanh", NULL, ACTUNE_F16, ACTUNE_F16, {3, 7, 11}, false},
    {"relu", NULL, ACTUNE_BF16, ACTUNE_F32, {1, 1, 129}, false},
    {"bias | relu", NULL, ACTUNE_F32, ACTUNE_F32, {4, 6, 35}, false},
    {"bias | relu", NULL, ACTUNE_F16, ACTUNE_F16, {140, 6, 1}, false},
    {"scale_shift | add | relu", NULL, ACTUNE_F32, ACTUNE_F32, {2, 5, 49}, false},
    {"silu | mul", NULL, ACTUNE_F16, ACTUNE_F16, {1, 1, 1000}, false},
    {"silu", "", ACTUNE_F32, ACTUNE_F32, {1, 1, 3000}, false},
    {"bias | relu", "bias", ACTUNE_F32, ACTUNE_F32, {4, 6, 35}, false},
    {"bias | relu", "bias", ACTUNE_F32, ACTUNE_F32, {140, 6, 1}, false},
    {"prelu(alpha=learn)", "alpha", ACTUNE_F32, ACTUNE_F32, {1, 1, 20000}, false},
    {"dropout(0.3)", NULL, ACTUNE_F32, ACTUNE_F32, {1, 1, 3001}, false},
    {"rrelu_training(0.125, 0.3)", NULL, ACTUNE_F32, ACTUNE_F32, {1, 1, 3001}, false},
    {"bias | relu | dropout(0.3)", NULL, ACTUNE_F16, ACTUNE_F16, {140, 6, 1}, false},
    {"bias | relu | dropout(0.3)", "bias", ACTUNE_F32, ACTUNE_F32, {140, 6, 1}, false},
    {"bias | relu | dropout(0.3)", "bias", ACTUNE_F32, ACTUNE_F32, {2, 5, 49}, false},
    {"bias | relu | topk(3)", NULL, ACTUNE_F32, ACTUNE_F32, {140, 6, 1}, false},
    {"topk(0.4, by=magnitude)", NULL, ACTUNE_F16, ACTUNE_F16, {3, 1300, 1}, true},
    {"bias | topk(4)", "bias", ACTUNE_F32, ACTUNE_F32, {40, 6, 1}, false},
    {"relu", NULL, ACTUNE_F32, ACTUNE_F32, {0, 3, 5}, false},
    {"bias | relu", "bias", ACTUNE_F32, ACTUNE_F32, {0, 6, 1}, false},
    {"standardize | relu", NULL, ACTUNE_F32, ACTUNE_F32, {1, 1, 20011}, true},
    {"bias | standardize(channel) | relu", "bias", ACTUNE_F32, ACTUNE_F32, {140, 6, 1}, false},
    {"bias | standardize | gelu", NULL, ACTUNE_F16, ACTUNE_F16, {2, 5, 49}, false},
    {"standardize(channel) | relu", "", ACTUNE_F64, ACTUNE_F64, {2, 5, 49}, false},
    {"standardize(channel) | relu", "", ACTUNE_F32, ACTUNE_F32, {0, 6, 1}, false},
};

/* The calls that an execution may make: none that waits, allocates, loads or compiles. */
static int forbidden_calls(void)
{
    static const char *const allowed_calls[] = {"cuCtxGetCurrent", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuLaunchKernel", "cuLaunchKernelEx", "cuMemsetD8Async",
                                                "cuStreamIsCapturing", "cuStreamGetId"};
    int count = 0;
    for (int i = 0; rig_nvrtc.call_name(i); i++)
        count += rig_nvrtc.call_count(i);
    for (int i = 0; rig_cuda.call_name(i); i++) {
        bool fine = false;
        for (size_t k = 0; k < sizeof allowed_calls / sizeof *allowed_calls; k++)
            fine |= !strcmp(allowed_calls[k], rig_cuda.call_name(i));
        count += fine ? 0 : rig_cuda.call_count(i);
    }
    return count;
}

static void every_kind(void)
{
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        job j;
        job_open(&j, &list[i], 0);
        job_allocate(&j);
        int before = forbidden_calls();
        actune_status status = actune_execute(j.plan, j.there, j.ports);
        int after = forbidden_calls();
        CHECK(status == ACTUNE_OK && is_right(&j), "%s, case %zu", list[i].spec, i);
        CHECK(after == before, "execute makes %d calls that it must not make", after - before);
        if (rig_failures)
            describe(&j);
        job_close(&j);
    }
}

/* --- streams, captures, threads, devices --- */

static void on_a_stream(void)
{
    job j;
    at_cuda_timer timer;
    CHECK_OK(at_cuda_timer_open(device[0], &timer));
    job_open(&j, &list[11], 0);
    job_allocate(&j);
    CHECK_OK(actune_execute_on(j.plan, j.there, j.ports, timer.stream, NULL));
    CHECK(!is_right(&j), "execution is asynchronous");
    CHECK_OK(at_cuda_wait(device[0], timer.stream));
    CHECK(is_right(&j), "after the wait");
    job_close(&j);
    at_cuda_timer_close(&timer);
}

static actune_status put(void *user, at_cu_stream stream)
{
    job *j = user;
    return actune_execute_on(j->plan, j->there, j->ports, stream, j->workspace);
}

static void capture_one(const work *w, bool needs_workspace)
{
    job j;
    at_cuda_timer timer;
    at_cu_graph_exec graph = NULL;
    double ns;
    CHECK_OK(at_cuda_timer_open(device[0], &timer));
    job_open(&j, w, 0);
    job_allocate(&j);
    if (needs_workspace) {
        actune_plan_info info;
        actune_plan_describe(j.plan, &info);
        CHECK(info.workspace_bytes > 0, "%s has sums", w->spec);
        CHECK(at_cuda_graph_capture(&timer, put, &j, &graph) == ACTUNE_INVALID_ARGUMENT, "the graph must own the workspace");
        CHECK_OK(at_cuda_allocate(device[0], info.workspace_bytes, &j.workspace));
    }
    CHECK_OK(at_cuda_graph_capture(&timer, put, &j, &graph)); /* the plan's first execution */
    CHECK(!is_right(&j), "a capture runs nothing");
    for (int i = 0; i < 2; i++) {
        CHECK_OK(at_cuda_graph_time(&timer, graph, &ns));
        CHECK(is_right(&j), "launch %d of the graph", i);
        clear_outputs(&j);
    }
    at_cuda_graph_destroy(&timer, graph);
    job_close(&j);
    at_cuda_timer_close(&timer);
}

/* A kernel that may start early, behind one of another plan whose output it reads. */
static void overlap_one(const work *w, int launches)
{
    job first, j;
    at_cuda_timer timer;
    CHECK_OK(at_cuda_timer_open(device[0], &timer));
    job_open(&first, &(work){"identity", NULL, w->in, w->in, w->shape, false}, 0);
    job_allocate(&first);
    overlap = true;
    job_open(&j, w, 0);
    job_allocate(&j);
    overlap = false;
    actune_plan_info info;
    actune_plan_describe(j.plan, &info);
    CHECK(strstr(info.variant, "dependent=yes") && strstr(actune_plan_source(j.plan), "griddepcontrol.wait"), "%s", info.variant);
    void *own = j.there[0].data;
    j.there[0].data = first.there[1].data; /* x, as the first kernel leaves it */
    int before = rig_count(&rig_cuda, "cuLaunchKernelEx"), forbidden = forbidden_calls();
    CHECK_OK(actune_execute_on(first.plan, first.there, first.ports, timer.stream, NULL));
    CHECK_OK(actune_execute_on(j.plan, j.there, j.ports, timer.stream, NULL));
    CHECK(rig_count(&rig_cuda, "cuLaunchKernelEx") - before == launches, "both kernels of a plan with sums");
    CHECK(info.workspace_bytes > 0 || forbidden_calls() == forbidden, "calls that execute must not make");
    CHECK_OK(at_cuda_wait(device[0], timer.stream));
    CHECK(is_right(&j), "%s overlaps", w->spec);
    j.there[0].data = own;
    job_close(&j);
    job_close(&first);
    at_cuda_timer_close(&timer);
}

/* Where the driver has no such launch the plan runs as ever, and says so. */
static void overlap_refused(void)
{
    actune_plan *plan;
    actune_plan_info info;
    overlap = true;
    CHECK_OK(make_plan(cpu, &list[0], &plan));
    overlap = false;
    actune_plan_describe(plan, &info);
    CHECK(strstr(info.note, "sm_90") && !strstr(info.variant, "dependent=yes"), "%s", info.note);
    actune_plan_destroy(plan);
}

static void overlapping(void)
{
    overlap_one(&list[0], 1);
    overlap_one(&list[8], 1);
    overlap_one(&list[9], 2);
    overlap_one(&list[17], 1);
    overlap_refused();
    if (rig_failures) /* the context may be lost */
        return;
    overlap = true;
    capture_one(&list[0], false);
    capture_one(&list[9], true);
    overlap = false;
}

enum { THREADS = 4, STREAMS = 2, ROUNDS = 6 };

typedef struct crew {
    pthread_t thread;
    job *shared;                  /* its plan is everybody's */
    actune_buffer there[PORTS_MAX]; /* its own */
    int wrong, ordinal;
} crew;

static void *work_along(void *user)
{
    crew *c = user;
    at_cuda_timer timer[STREAMS];
    for (int s = 0; s < STREAMS; s++) {
        c->wrong += at_cuda_timer_open(device[c->ordinal], &timer[s]) != ACTUNE_OK;
        c->wrong += actune_prewarm(c->shared->plan, timer[s].stream) != ACTUNE_OK;
    }
    for (int i = 0; i < ROUNDS && !c->wrong; i++)
        c->wrong += actune_execute_on(c->shared->plan, c->there, c->shared->ports, timer[i % STREAMS].stream, NULL) != ACTUNE_OK;
    for (int s = 0; s < STREAMS; s++) {
        c->wrong += at_cuda_wait(device[c->ordinal], timer[s].stream) != ACTUNE_OK;
        at_cuda_timer_close(&timer[s]);
    }
    return NULL;
}

static void crew_open(crew *c, job *shared, int ordinal)
{
    *c = (crew){.shared = shared, .ordinal = ordinal};
    for (int p = 0; p < shared->ports; p++) {
        c->there[p] = shared->there[p];
        if (shared->output[p]) /* inputs are shared */
            CHECK_OK(at_cuda_allocate(device[ordinal], shared->bytes[p], &c->there[p].data));
    }
    CHECK(!pthread_create(&c->thread, NULL, work_along, c), "a thread");
}

static void crew_close(crew *c)
{
    job *j = c->shared;
    pthread_join(c->thread, NULL);
    CHECK(!c->wrong, "a thread on device %d", c->ordinal);
    for (int p = 0; p < j->ports; p++)
        if (j->output[p]) {
            CHECK_OK(at_cuda_download(j->device, j->host[p].data, c->there[p].data, j->bytes[p]));
            CHECK(first_wrong(j, p) < 0, "port %d, device %d", p, c->ordinal);
            at_cuda_free(j->device, c->there[p].data);
        }
}

static void threads_and_devices(void)
{
    job shared[2];
    crew crews[2 * THREADS];
    for (int d = 0; d < 2; d++) {
        job_open(&shared[d], &list[11], d);
        job_allocate(&shared[d]);
    }
    for (int i = 0; i < 2 * THREADS; i++)
        crew_open(&crews[i], &shared[i % 2], i % 2);
    for (int i = 0; i < 2 * THREADS; i++)
        crew_close(&crews[i]);
    for (int d = 0; d < 2; d++)
        job_close(&shared[d]);
}

/* --- mistakes of callers --- */

static void misuse(void)
{
    job j;
    actune_context *none = NULL;
    CHECK(open_context("cuda:7", &none) == ACTUNE_DEVICE && strstr(actune_last_error(), "cuda:7"), "there is none");
    CHECK(open_context("cuda:x", &none) == ACTUNE_DEVICE && !none, "no device's name");
    job_open(&j, &list[0], 0);
    job_allocate(&j);
    CHECK(actune_execute_on(j.oracle, j.wanted, j.ports, &j, NULL) == ACTUNE_INVALID_ARGUMENT, "a stream for the CPU");
    /* Host memory: the kernel fails, the next wait says so, the context is lost. */
    CHECK_OK(actune_execute(j.plan, j.host, j.ports));
    CHECK(at_cuda_wait(device[0], NULL) == ACTUNE_DEVICE && strstr(actune_last_error(), "a kernel touched memory"), "host memory");
    CHECK(strstr(rig_report(), "is not device memory"), "is seen");
    rig_mend();
    /* A plan outlives its context. */
    actune_context_close(gpu[1]);
    CHECK_OK(open_context("cuda:1", &gpu[1]));
    job_close(&j);
}

/* --- every call fails in turn --- */

static actune_status run_once(const job *from)
{
    actune_context *context = NULL;
    actune_plan *plan = NULL;
    int pushed = rig_count(&rig_cuda, "cuCtxPushCurrent_v2");
    actune_status status = open_context("cuda:0", &context);
    if (status == ACTUNE_OK)
        status = make_plan(context, from->work, &plan);
    actune_context_close(context);
    if (status == ACTUNE_OK)
        status = actune_prewarm(plan, NULL);
    if (status == ACTUNE_OK)
        status = actune_execute(plan, from->there, from->ports);
    char message[1024];
    snprintf(message, sizeof message, "%s", actune_last_error());
    pushes = rig_count(&rig_cuda, "cuCtxPushCurrent_v2") - pushed;
    actune_plan_destroy(plan);
    return status == ACTUNE_OK ? ACTUNE_OK : at_fail(status, "%s", message);
}

static bool gives_back(const char *name)
{
    return strstr(name, "Free") || strstr(name, "Unload") || strstr(name, "Pop") || strstr(name, "Release") || strstr(name, "Destroy");
}

static void judge(const char *name, int nth, actune_status status, job *j, int before)
{
    const char *text = rig_report();
    CHECK(status == ACTUNE_OK || strstr(actune_last_error(), name), "failure %d of %s", nth, name);
    CHECK(status != ACTUNE_OK || gives_back(name) || is_right(j), "failure %d of %s", nth, name);
    CHECK(strstr(text, "left behind") == text || !*text, "failure %d of %s: %s", nth, name, text); /* what others hold is left there */
    CHECK(rig_living() == before, "failure %d of %s leaves %d behind", nth, name, rig_living() - before);
}

/* Without a context nothing can be given back: pushing it fails before that alone. NVRTC is asked when nothing is cached.
   How often the call failed. */
static int fail_each(const rig_library *library, const char *name, int code, job *j)
{
    static int caches;
    CHECK_OK(run_once(j));
    int last = strcmp(name, "cuCtxPushCurrent_v2") ? TIMES_MAX : pushes, nth = 1;
    for (; nth <= last; nth++) {
        clear_outputs(j);
        if (library == &rig_nvrtc)
            snprintf(cache_name, sizeof cache_name, "cache%d", ++caches);
        int before = rig_living();
        library->fail(name, nth, code);
        actune_status status = run_once(j);
        bool failed = library->failed();
        library->fail("", 0, 0);
        if (!failed)
            break;
        judge(name, nth, status, j, before);
    }
    return nth - 1;
}

static const work small = {"bias | relu", "bias", ACTUNE_F32, ACTUNE_F32, {1, 2, 35}, false};

static void fail_all(const rig_library *library, int code)
{
    job j;
    const char *names[128];
    int count = 0;
    job_open(&j, &small, 0);
    job_allocate(&j);
    CHECK_OK(run_once(&j));
    CHECK(is_right(&j), "without a failure");
    while (library->call_name(count)) {
        names[count] = library->call_name(count);
        count++;
    }
    for (int i = 0; i < count; i++)
        fail_each(library, names[i], code, &j);
    CHECK_OK(run_once(&j));
    CHECK(is_right(&j), "after all failures");
    job_close(&j);
}

/* The launches that a plan makes only where it overlaps: of the kernel, and of the one that adds up its sums. */
static void fail_overlapping(void)
{
    job j;
    overlap = true;
    job_open(&j, &small, 0);
    job_allocate(&j);
    int failed = fail_each(&rig_cuda, "cuLaunchKernelEx", 999, &j);
    CHECK(failed == 2, "cuLaunchKernelEx failed %d times", failed);
    CHECK_OK(run_once(&j));
    CHECK(is_right(&j), "after all failures");
    job_close(&j);
    overlap = false;
}

static bool open_all(void)
{
    CHECK_OK(open_context("cpu", &cpu));
    CHECK_OK(open_context("cuda:0", &gpu[0]));
    CHECK_OK(open_context("cuda:1", &gpu[1]));
    CHECK_OK(at_cuda_open(0, &device[0]));
    CHECK_OK(at_cuda_open(1, &device[1]));
    return rig_failures == 0;
}

static void close_all(void)
{
    for (int d = 0; d < 2; d++) {
        actune_context_close(gpu[d]);
        at_cuda_close(device[d]);
    }
    actune_context_close(cpu);
}

int main(void)
{
    if (!rig_open())
        return 77;
    if (open_all()) {
        every_kind();
        on_a_stream();
        capture_one(&list[0], false);
        capture_one(&list[9], true);
        capture_one(&list[23], true); /* several passes */
        overlapping();
        threads_and_devices();
        misuse();
        fail_all(&rig_cuda, 999);
        fail_all(&rig_nvrtc, 1);
        fail_overlapping();
    }
    close_all();
    rig_check_clean("at the end");
    rig_close();
    printf("plans on the fake driver: %d failed\n", rig_failures);
    return rig_failures != 0;
}
