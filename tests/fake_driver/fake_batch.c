/* Batches on the fake driver: the bits of the members' own plans, values near those of the interpreter on the CPU; rows and offsets in device
   memory, captured, many members, what is refused, and every call failing in turn. */
#include "rig.h"

#include "runtime/base/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS_MAX = 16, PORTS_MAX = 6, TIMES_MAX = 400, MANY = 300, TOO_MANY = 2100 };

static actune_context *cpu, *gpu;
static at_cuda_device *device;

/* --- members of all kinds --- */

typedef struct member {
    const char *spec;
    actune_direction direction;
    actune_dtype in, out;
    actune_shape shape;
    bool in_place;
    int off; /* elements off the alignment */
} member;

static const member mixed[] = {
    {"relu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {1, 1, 5000}, false, 0},
    {"gelu_tanh | clip(-1, 1)", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {7, 1, 333}, false, 1},
    {"swish(beta=learn)", ACTUNE_FORWARD, ACTUNE_BF16, ACTUNE_BF16, {3, 1, 1111}, false, 0},
    {"bias | silu", ACTUNE_FORWARD, ACTUNE_F16, ACTUNE_F16, {37, 24, 1}, true, 0},
    {"bias | silu", ACTUNE_BACKWARD, ACTUNE_F16, ACTUNE_F16, {37, 21, 1}, false, 0},
    {"scale_shift | add | relu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {2, 5, 49}, false, 3},
    {"relu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {1, 1, 0}, false, 0},
    {"gelu", ACTUNE_BACKWARD, ACTUNE_F64, ACTUNE_F64, {1, 1, 777}, true, 1},
    {"tanh", ACTUNE_FORWARD, ACTUNE_BF16, ACTUNE_F32, {1, 1, 4099}, false, 0},
    {"relu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {1, 1, 1}, true, 0},
    {"gelu | dropout(0.25)", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {4, 8, 65}, false, 1},
    {"scale_shift | add | relu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {2, 50, 1}, false, 0},
};
enum { MIXED = sizeof mixed / sizeof *mixed };

static actune_plan_desc desc_of(const member *m)
{
    return (actune_plan_desc){.spec = m->spec, .direction = m->direction, .dtype_in = m->in, .dtype_out = m->out, .shape = m->shape, .in_place = m->in_place};
}

/* A member's buffers on the device, what the batch left there, and what a plan of its own makes of the same. */
typedef struct job {
    const member *member;
    actune_plan *plan, *oracle;
    int ports, output;
    actune_buffer there[PORTS_MAX], wanted[PORTS_MAX];
    size_t bytes[PORTS_MAX];
    char *memory[PORTS_MAX]; /* of there */
} job;

static double input_of(int port, int64_t i)
{
    return (double)((i * 37 + port * 11) % 61 - 30) / 10 + 0.03;
}

static void fill_port(const actune_port_info *info, int port, void *data)
{
    static const uint64_t key[2] = {7, 9};
    if (info->is_random)
        memcpy(data, key, sizeof key);
    else
        for (int64_t i = 0; i < info->count; i++)
            at_dtype_store(info->dtype, data, i, input_of(port, i));
}

/* Inputs as at the start, the output poisoned. */
static void job_reset(job *j)
{
    for (int p = 0; p < j->ports; p++) {
        actune_port_info info;
        CHECK_OK(actune_plan_port(j->plan, p, &info));
        char *host = calloc(1, j->bytes[p] + 1);
        fill_port(&info, p, host);
        if (!info.is_output)
            CHECK_OK(at_cuda_upload(device, j->there[p].data, host, j->bytes[p]));
        else if (!j->member->in_place)
            CHECK_OK(at_cuda_fill(device, j->there[p].data, 0xff, j->bytes[p]));
        free(host);
    }
}

static void job_open(job *j, const member *m)
{
    actune_plan_desc desc = desc_of(m);
    *j = (job){.member = m};
    CHECK_OK(actune_plan_create(gpu, &desc, &j->plan));
    desc.in_place = false;
    setenv("ACTUNE_INTERPRET", "1", 1);
    CHECK_OK(actune_plan_create(cpu, &desc, &j->oracle));
    unsetenv("ACTUNE_INTERPRET");
    j->ports = actune_plan_port_count(j->plan);
    j->output = j->ports - 1;
    for (int p = 0; p < j->ports; p++) {
        actune_port_info info;
        CHECK_OK(actune_plan_port(j->plan, p, &info));
        size_t size = (size_t)at_dtype_get(info.dtype)->bytes, off = info.count > 2 ? (size_t)m->off * size : 0;
        j->bytes[p] = (size_t)info.count * size;
        j->there[p] = j->wanted[p] = (actune_buffer){NULL, info.count, info.dtype};
        j->wanted[p].data = calloc(1, j->bytes[p] + 1);
        fill_port(&info, p, j->wanted[p].data);
        if (info.is_output && m->in_place) {
            j->there[p].data = j->there[m->direction == ACTUNE_BACKWARD].data;
            continue;
        }
        CHECK_OK(at_cuda_allocate(device, j->bytes[p] + off, (void **)&j->memory[p]));
        j->there[p].data = j->memory[p] + off;
    }
    CHECK_OK(actune_execute(j->oracle, j->wanted, j->ports));
}

static void job_close(job *j)
{
    for (int p = 0; p < j->ports; p++) {
        at_cuda_free(device, j->memory[p]);
        free(j->wanted[p].data);
    }
    actune_plan_destroy(j->plan);
    actune_plan_destroy(j->oracle);
}

static char *job_output(const job *j)
{
    char *host = malloc(j->bytes[j->output] + 1);
    CHECK_OK(at_cuda_download(device, host, j->there[j->output].data, j->bytes[j->output]));
    return host;
}

static double allowed(actune_dtype dtype, double exact)
{
    double share = dtype == ACTUNE_F64 ? 1e-12 : dtype == ACTUNE_F32 ? 1e-5 : dtype == ACTUNE_BF16 ? 8e-3 : 1e-3;
    return share * (fabs(exact) + 1);
}

/* The first `count` elements are right, and the others still poisoned. */
static bool is_near(const job *j, const char *got, int64_t count)
{
    const actune_buffer *wanted = &j->wanted[j->output];
    for (int64_t i = 0; i < wanted->count; i++) {
        double value = at_dtype_load(wanted->dtype, got, i), exact = at_dtype_load(wanted->dtype, wanted->data, i);
        if (i < count ? !(fabs(value - exact) <= allowed(wanted->dtype, exact)) : !isnan(value))
            return false;
    }
    return true;
}

typedef struct set {
    job job[MEMBERS_MAX];
    int jobs, buffers;
    actune_buffer buffer[MEMBERS_MAX * PORTS_MAX];
    actune_batch *batch;
} set;

static void set_open(set *s, const member *members, int count)
{
    actune_plan_desc desc[MEMBERS_MAX];
    *s = (set){.jobs = count};
    for (int m = 0; m < count; m++) {
        desc[m] = desc_of(&members[m]);
        job_open(&s->job[m], &members[m]);
        for (int p = 0; p < s->job[m].ports; p++)
            s->buffer[s->buffers++] = s->job[m].there[p];
    }
    CHECK_OK(actune_batch_create(gpu, desc, count, &s->batch));
}

static void set_reset(set *s)
{
    for (int m = 0; m < s->jobs; m++)
        job_reset(&s->job[m]);
}

static void set_close(set *s)
{
    actune_batch_destroy(s->batch);
    for (int m = 0; m < s->jobs; m++)
        job_close(&s->job[m]);
}

/* --- tests --- */

static void same_bits_as_plans(void)
{
    static set s;
    actune_batch_info info;
    actune_plan_info one;
    set_open(&s, mixed, MIXED);
    actune_batch_describe(s.batch, &info);
    CHECK(info.members == MIXED && info.buffers == s.buffers && info.launches == 1 && info.kernels == 9 && strstr(info.variant, "cuda/batch block=256"), "%d kernels, %s",
          info.kernels, info.variant);
    CHECK(actune_batch_member(s.batch, 1, &one) == ACTUNE_OK && !strcmp(one.tier, "default") && strstr(one.variant, "cuda/elementwise"), "%s", one.variant);
    CHECK(strstr(actune_batch_source(s.batch), "gelu_tanh | clip(-1, 1)"), "the source");
    set_reset(&s);
    int launches = rig_count(&rig_cuda, "cuLaunchKernel"), waits = rig_count(&rig_cuda, "cuStreamSynchronize"), made = rig_count(&rig_cuda, "cuMemAlloc_v2");
    CHECK_OK(actune_batch_execute(s.batch, s.buffer, s.buffers, NULL));
    CHECK(rig_count(&rig_cuda, "cuLaunchKernel") == launches + 1 && rig_count(&rig_cuda, "cuStreamSynchronize") == waits &&
              rig_count(&rig_cuda, "cuMemAlloc_v2") == made,
          "one launch, no wait, no memory");
    for (int m = 0; m < MIXED; m++) {
        job *j = &s.job[m];
        char *got = job_output(j);
        CHECK(is_near(j, got, j->wanted[j->output].count), "member %d (%s)", m, mixed[m].spec);
        job_reset(j);
        CHECK_OK(actune_execute(j->plan, j->there, j->ports));
        char *alone = job_output(j);
        CHECK(!memcmp(got, alone, j->bytes[j->output]), "member %d (%s) has other bits than its plan", m, mixed[m].spec);
        free(got);
        free(alone);
    }
    set_close(&s);
}

static const member experts[] = {
    {"relu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {40, 1, 96}, false, 0},
    {"bias | gelu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {40, 96, 1}, false, 1},
    {"silu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {40, 1, 96}, false, 0},
    {"bias | relu", ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, {10, 3, 35}, false, 0},
};
enum { EXPERTS = 4 };

static int64_t *device_numbers(const int64_t *numbers, int count)
{
    void *memory;
    CHECK_OK(at_cuda_allocate(device, (size_t)count * sizeof *numbers, &memory));
    CHECK_OK(at_cuda_upload(device, memory, numbers, (size_t)count * sizeof *numbers));
    return memory;
}

typedef struct put_work {
    const set *set;
    actune_batch_options options;
} put_work;

static actune_status put(void *user, at_cu_stream stream)
{
    put_work *w = user;
    w->options.stream = stream;
    return actune_batch_execute(w->set->batch, w->set->buffer, w->set->buffers, &w->options);
}

/* Captured once, run with other numbers of rows each time; what is out of bounds counts as the bound. */
static void rows_follow_the_device(void)
{
    static const int64_t rows[][EXPERTS] = {{40, 40, 40, 10}, {0, 13, 1, 5}, {0, 0, 0, 0}, {1000, -5, 39, INT64_MAX}, {0, 0, 0, 7}, {INT64_MIN, 1, 0, 0}};
    static set s;
    at_cuda_timer timer;
    at_cu_graph_exec graph = NULL;
    double ns;
    set_open(&s, experts, EXPERTS);
    CHECK_OK(at_cuda_timer_open(device, &timer));
    put_work w = {.set = &s, .options = {.rows = device_numbers(rows[0], EXPERTS)}};
    CHECK_OK(at_cuda_graph_capture(&timer, put, &w, &graph));
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        set_reset(&s);
        CHECK_OK(at_cuda_upload(device, (void *)w.options.rows, rows[r], sizeof rows[r]));
        CHECK_OK(at_cuda_graph_time(&timer, graph, &ns));
        for (int m = 0; m < EXPERTS; m++) {
            const actune_shape shape = experts[m].shape;
            int64_t here = rows[r][m] < 0 ? 0 : rows[r][m] < shape.outer ? rows[r][m] : shape.outer;
            char *got = job_output(&s.job[m]);
            CHECK(is_near(&s.job[m], got, here * shape.channels * shape.inner), "round %zu, member %d", r, m);
            free(got);
        }
    }
    at_cuda_graph_destroy(&timer, graph);
    at_cuda_timer_close(&timer);
    at_cuda_free(device, (void *)w.options.rows);
    set_close(&s);
}

/* Tokens sorted by expert in one tensor: relu, silu and relu again, each its own rows of it; in place too. */
static void offsets_follow_the_device(bool in_place)
{
    enum { TOKENS = 61, FEATURES = 33, COUNT = TOKENS * FEATURES };
    static const int64_t offsets[][4] = {{0, 10, 11, 61}, {0, 0, 61, 61}, {5, 20, 20, 40}, {30, 20, 50, 99}};
    static const char *const specs[] = {"relu", "silu", "clip(-1, 1)"};
    static float x[COUNT], y[COUNT], got[COUNT];
    actune_plan_desc desc[3];
    actune_batch *batch;
    void *to, *from;
    for (int m = 0; m < 3; m++)
        desc[m] = (actune_plan_desc){.spec = specs[m], .shape = {TOKENS, 1, FEATURES}, .in_place = in_place};
    CHECK_OK(actune_batch_create(gpu, desc, 3, &batch));
    CHECK_OK(at_cuda_allocate(device, sizeof x, &from));
    CHECK_OK(at_cuda_allocate(device, sizeof y, &to));
    if (in_place)
        at_cuda_free(device, to), to = from;
    actune_buffer buffers[6];
    for (int i = 0; i < 6; i++)
        buffers[i] = (actune_buffer){i % 2 ? to : from, COUNT, ACTUNE_F32};
    for (size_t r = 0; r < 4; r++) {
        int64_t *there = device_numbers(offsets[r], 4);
        for (int i = 0; i < COUNT; i++)
            x[i] = (float)input_of(0, i), y[i] = in_place ? x[i] : -77;
        for (int m = 0; m < 3; m++)
            for (int64_t i = offsets[r][m] * FEATURES; i < offsets[r][m + 1] * FEATURES && i < COUNT; i++)
                y[i] = m == 0 ? fmaxf(x[i], 0) : m == 1 ? x[i] / (1 + expf(-x[i])) : fminf(fmaxf(x[i], -1), 1);
        CHECK_OK(at_cuda_upload(device, from, x, sizeof x));
        if (!in_place)
            for (int i = 0; i < COUNT; i++)
                got[i] = -77;
        if (!in_place)
            CHECK_OK(at_cuda_upload(device, to, got, sizeof got));
        CHECK_OK(actune_batch_execute(batch, buffers, 6, &(actune_batch_options){.offsets = there}));
        CHECK_OK(at_cuda_download(device, got, to, sizeof got));
        int wrong = 0;
        for (int i = 0; i < COUNT; i++)
            wrong += !(fabsf(got[i] - y[i]) <= 1e-5f);
        CHECK(wrong == 0, "round %zu: %d are wrong", r, wrong);
        at_cuda_free(device, there);
    }
    CHECK(actune_batch_execute(batch, buffers, 6, NULL) == ACTUNE_INVALID_ARGUMENT && strstr(actune_last_error(), "overlap"), "without offsets nothing is shared");
    at_cuda_free(device, from);
    if (!in_place)
        at_cuda_free(device, to);
    actune_batch_destroy(batch);
}

/* Small members in one tensor; 4,200 addresses take two launches. */
static void many(int members, int launches)
{
    enum { EACH = 9 };
    static actune_plan_desc desc[TOO_MANY];
    static actune_buffer buffer[2 * TOO_MANY];
    static float x[TOO_MANY * EACH], got[TOO_MANY * EACH];
    static int64_t rows[TOO_MANY];
    actune_batch *batch;
    actune_batch_info info;
    void *from, *to;
    CHECK_OK(at_cuda_allocate(device, sizeof x, &from));
    CHECK_OK(at_cuda_allocate(device, sizeof x, &to));
    for (int m = 0; m < members; m++) {
        desc[m] = (actune_plan_desc){.spec = m % 2 ? "relu" : "clip(-1, 1)", .shape = {EACH, 1, 1}};
        buffer[2 * m] = (actune_buffer){(float *)from + m * EACH, EACH, ACTUNE_F32};
        buffer[2 * m + 1] = (actune_buffer){(float *)to + (members - 1 - m) * EACH, EACH, ACTUNE_F32}; /* backwards: outputs have to be sorted */
        rows[m] = m % (EACH + 1);
    }
    for (int i = 0; i < members * EACH; i++)
        x[i] = (float)input_of(0, i);
    CHECK_OK(at_cuda_upload(device, from, x, sizeof x));
    CHECK_OK(actune_batch_create(gpu, desc, members, &batch));
    actune_batch_describe(batch, &info);
    CHECK(info.launches == launches && info.kernels == 2, "%d launches", info.launches);
    int64_t *there = device_numbers(rows, members);
    for (int limited = 0; limited < 2; limited++) {
        CHECK_OK(at_cuda_fill(device, to, 0, sizeof x));
        CHECK_OK(actune_batch_execute(batch, buffer, 2 * members, &(actune_batch_options){.rows = limited ? there : NULL}));
        CHECK_OK(at_cuda_download(device, got, to, sizeof got));
        int wrong = 0;
        for (int m = 0; m < members; m++)
            for (int i = 0; i < EACH; i++) {
                float v = x[m * EACH + i], y = m % 2 ? fmaxf(v, 0) : fminf(fmaxf(v, -1), 1);
                wrong += got[(members - 1 - m) * EACH + i] != (limited && i >= rows[m] ? 0 : y);
            }
        CHECK(wrong == 0, "%d members: %d elements are wrong", members, wrong);
    }
    at_cuda_free(device, there);
    at_cuda_free(device, from);
    at_cuda_free(device, to);
    actune_batch_destroy(batch);
}

static void refused(void)
{
    static const char *const gradients[] = {"bias"};
    actune_plan_desc desc[2] = {{.spec = "relu", .shape = {1, 1, 4}},
                                {.spec = "bias | relu", .direction = ACTUNE_BACKWARD, .shape = {4, 4, 1}, .gradients = gradients, .gradient_count = 1}};
    actune_batch *batch;
    CHECK(actune_batch_create(gpu, desc, 2, &batch) == ACTUNE_UNSUPPORTED && !batch && strstr(actune_last_error(), "member 1 (bias | relu)"), "sums");
    desc[1] = (actune_plan_desc){.spec = "standardize | relu", .shape = {4, 4, 1}};
    CHECK(actune_batch_create(gpu, desc, 2, &batch) == ACTUNE_UNSUPPORTED && !batch && strstr(actune_last_error(), "member 1 (standardize | relu)"), "several passes");
    desc[1] = (actune_plan_desc){.spec = "relu", .shape = {1, 1, 0}};
    CHECK_OK(actune_batch_create(gpu, desc + 1, 1, &batch)); /* nothing to do: no launch */
    int launches = rig_count(&rig_cuda, "cuLaunchKernel");
    actune_buffer none[2] = {{NULL, 0, ACTUNE_F32}, {NULL, 0, ACTUNE_F32}};
    CHECK_OK(actune_batch_execute(batch, none, 2, NULL));
    CHECK(rig_count(&rig_cuda, "cuLaunchKernel") == launches, "an empty batch launches nothing");
    actune_batch_destroy(batch);
}

static int pushes; /* of contexts before things were given back, in the last run */

static actune_status whole_way(const set *s)
{
    int before = rig_count(&rig_cuda, "cuCtxPushCurrent_v2");
    actune_plan_desc desc[EXPERTS];
    actune_batch *made;
    for (int m = 0; m < EXPERTS; m++)
        desc[m] = desc_of(&experts[m]);
    AT_TRY(actune_batch_create(gpu, desc, EXPERTS, &made));
    actune_status status = actune_batch_execute(made, s->buffer, s->buffers, NULL);
    if (status == ACTUNE_OK)
        status = at_cuda_wait(device, NULL);
    pushes = rig_count(&rig_cuda, "cuCtxPushCurrent_v2") - before;
    actune_batch_destroy(made);
    return status;
}

/* Where a kernel out of the cache does not load it is compiled once more: slow, and fake_faults does it. */
static bool compiles_again(const char *name)
{
    return !strncmp(name, "cuModuleGet", 11) || !strncmp(name, "cuFunc", 6);
}

/* Failures that change nothing: of giving back, of a message, of a look at the current context (it is then pushed). */
static bool is_harmless(const char *name)
{
    return strstr(name, "Free") || strstr(name, "Unload") || strstr(name, "Pop") || strstr(name, "GetErr") || !strcmp(name, "cuCtxGetCurrent");
}

static void every_call_fails(void)
{
    static set s;
    set_open(&s, experts, EXPERTS);
    set_reset(&s);
    CHECK_OK(whole_way(&s));
    int living = rig_living(), most = pushes, failures = 0;
    for (int i = 0; rig_cuda.call_name(i); i++)
        for (int nth = 1; nth < TIMES_MAX && !compiles_again(rig_cuda.call_name(i)); nth += nth < 5 ? 1 : 5) {
            const char *name = rig_cuda.call_name(i);
            if (!strcmp(name, "cuCtxPushCurrent_v2") && nth > most)
                break; /* memory cannot be given back in a context that cannot be entered */
            rig_cuda.fail(name, nth, 2);
            actune_status status = whole_way(&s);
            int failed = rig_cuda.failed();
            rig_cuda.fail(NULL, 0, 0);
            if (!failed)
                break;
            failures++;
            CHECK(status != ACTUNE_OK || is_harmless(name), "%s failed the %d. time and nobody noticed", name, nth);
            CHECK(rig_living() == living, "%s, %d. time: %d objects are left", name, nth, rig_living() - living);
        }
    CHECK(failures > 15, "only %d failures were tried", failures);
    set_close(&s);
}

static void open_context(const char *name, actune_context **context)
{
    actune_context_options options = {.database = "", .cache_folder = rig_folder, .device = name};
    CHECK_OK(actune_context_open(&options, context));
}

int main(void)
{
    if (!rig_open())
        return 77;
    open_context("cpu", &cpu);
    open_context("cuda:0", &gpu);
    CHECK_OK(at_cuda_open(0, &device));
    same_bits_as_plans();
    rows_follow_the_device();
    offsets_follow_the_device(false);
    offsets_follow_the_device(true);
    many(MANY, 1);
    many(TOO_MANY, 2);
    refused();
    every_call_fails();
    at_cuda_close(device);
    actune_context_close(gpu);
    actune_context_close(cpu);
    rig_check_clean("batches");
    rig_close();
    return rig_failures > 0;
}
