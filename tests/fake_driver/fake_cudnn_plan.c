/* Plans whose stored winner is cuDNN's, on the fake driver: what runs for whom, and that execute keeps its promises whatever becomes of cuDNN. */
#include "rig.h"

#include "db/store.h"
#include "runtime/base/dtype.h"
#include "runtime/cudnn_variant.h"
#include "runtime/device.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ELEMENTS = 3000, OFFSET = 4 };

static char database[160], cache[160];
static at_cuda_device *device;

/* Results of cuDNN's are told apart from ours by who was called. */
static int cudnn_calls(void)
{
    return rig_count(&rig_cudnn, "cudnnActivationForward") + rig_count(&rig_cudnn, "cudnnActivationBackward") +
           rig_count(&rig_cudnn, "cudnnBackendExecute");
}

static int launches(void)
{
    return rig_count(&rig_cuda, "cuLaunchKernel");
}

/* --- the database --- */

typedef struct story {
    const char *spec, *variant; /* variant: cuDNN's that has won; "": none */
    const char *ours;           /* a knob of the default kernel with another value: what is best of ours; NULL: not told */
    bool backward, forged; /* forged: the row's hash is not what cuDNN is told here */
} story;

static actune_status lower(const story *s, at_kernel *kernel)
{
    at_kernel_request request = {s->backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, NULL, 0};
    at_spec spec;
    AT_TRY(at_spec_parse(s->spec, &spec));
    actune_status status = at_kernel_lower(&spec, &request, kernel);
    at_spec_clear(&spec);
    return status;
}

static actune_status put_variant(at_store *store, const at_kernel *kernel, const char *text, const char *hash, int64_t *id)
{
    at_store_variant row = {.kernel = kernel->hash.hex, .source_hash = hash, .text = text};
    return at_store_put_variant(store, &row, id);
}

static actune_status put_ours(at_store *store, const at_kernel *kernel, const char *knob, int64_t *id)
{
    at_target target = {.cuda = true, .cuda_arch = 90};
    at_variant variant;
    at_strbuf text = {0}, source = {0};
    at_generate_item item = {.kernel = kernel, .variant = &variant};
    char name[32], *value;
    snprintf(name, sizeof name, "%s", knob);
    value = strchr(name, '=');
    *value++ = '\0';
    AT_TRY(at_variant_default(kernel, AT_LAYOUT_FLAT, &target, &variant));
    AT_TRY(at_variant_set(&variant, name, value));
    at_variant_print(&variant, &text);
    actune_status status = at_generate_batch(&item, 1, &target, &source);
    if (status == ACTUNE_OK)
        status = put_variant(store, kernel, at_strbuf_text(&text), item.source_hash.hex, id);
    at_strbuf_clear(&source);
    at_strbuf_clear(&text);
    return status;
}

static actune_status put_choice(at_store *store, const story *s, const at_kernel *kernel, const at_device *self)
{
    at_store_choice choice = {.device = self->id, .kernel = kernel->hash.hex, .median_ns = 1, .ratio_to_copy = 1, .tie_set = ""};
    at_table_key key = at_table_key_of(&kernel->hash, AT_LAYOUT_FLAT, (actune_shape){1, 1, ELEMENTS}, false);
    at_store_kernel row = {kernel->hash.hex, kernel->spec, "forward", "f32", "f32", "standard"};
    at_store_session session = {.device = self->id, .environment = "{}", .protocol = "{}"};
    at_cudnn_variant found;
    at_hash other = at_hash_text("something else");
    AT_TRY(at_store_put_kernel(store, &row));
    AT_TRY(at_store_put_session(store, &session, &choice.session));
    AT_TRY(at_cudnn_variant_find(kernel, s->variant, &found));
    const char *hash = s->forged ? other.hex : found.source_hash.hex;
    AT_TRY(put_variant(store, kernel, s->variant, hash, &choice.variant));
    if (s->ours)
        AT_TRY(put_ours(store, kernel, s->ours, &choice.ours));
    choice.workload = at_store_workload_of(&key, "warm");
    return at_store_put_choice(store, &choice);
}

static actune_status remember(const story *s)
{
    at_kernel kernel;
    at_device self;
    at_store *store;
    AT_TRY(at_device_get("cuda:0", &self));
    at_store_device row = {.id = self.id, .kind = self.kind, .model = self.model, .capability = self.capability, .processors = self.processors};
    AT_TRY(lower(s, &kernel));
    actune_status status = at_store_open(database, AT_STORE_WRITE, &store);
    if (status == ACTUNE_OK) {
        status = at_store_put_device(store, &row);
        if (status == ACTUNE_OK)
            status = put_choice(store, s, &kernel, &self);
        at_store_close(store);
    }
    at_kernel_clear(&kernel);
    return status;
}

/* --- a plan with its tensors --- */

typedef struct job {
    actune_context *context;
    actune_plan *plan;
    int ports;
    bool backward;
    void *memory[3];
    actune_buffer there[3];
    double (*exact)(double x);
} job;

static double exact_tanh(double x)
{
    return tanh(x);
}

static double exact_slope_of_gelu(double x)
{
    return 0.5 * erfc(-x / sqrt(2)) + x * exp(-0.5 * x * x) * 0.3989422804014327;
}

static double value_of(int64_t i)
{
    return (double)(i * 37 % 61 - 30) / 10;
}

static actune_status make_plan(const story *s, bool in_place, job *j)
{
    actune_context_options options = {.database = database, .cache_folder = cache, .device = "cuda:0"};
    actune_plan_desc desc = {.spec = s->spec, .direction = s->backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, .dtype_in = ACTUNE_F32,
                             .dtype_out = ACTUNE_F32, .shape = {1, 1, ELEMENTS}, .in_place = in_place};
    AT_TRY(actune_context_open(&options, &j->context));
    return actune_plan_create(j->context, &desc, &j->plan);
}

/* dy is 1; there is room for the tensors to begin `OFFSET` bytes later. */
static void job_open(job *j, const story *s)
{
    static float input[ELEMENTS], ones[ELEMENTS];
    *j = (job){.ports = s->backward ? 3 : 2, .backward = s->backward, .exact = s->backward ? exact_slope_of_gelu : exact_tanh};
    CHECK_OK(make_plan(s, false, j));
    for (int i = 0; i < ELEMENTS; i++) {
        input[i] = (float)value_of(i);
        ones[i] = 1;
    }
    for (int p = 0; p < j->ports; p++) {
        CHECK_OK(at_cuda_allocate(device, sizeof input + OFFSET, &j->memory[p]));
        j->there[p] = (actune_buffer){j->memory[p], ELEMENTS, ACTUNE_F32};
    }
    CHECK_OK(at_cuda_upload(device, j->memory[0], input, sizeof input));
    if (s->backward)
        CHECK_OK(at_cuda_upload(device, j->memory[1], ones, sizeof ones));
}

static void job_close(job *j)
{
    actune_context_close(j->context); /* the plan keeps it */
    actune_plan_destroy(j->plan);
    for (int p = 0; p < j->ports; p++)
        at_cuda_free(device, j->memory[p]);
}

static bool is_right(job *j)
{
    static float result[ELEMENTS];
    int last = j->ports - 1;
    CHECK_OK(at_cuda_download(device, result, j->there[last].data, sizeof result));
    CHECK_OK(at_cuda_fill(device, j->there[last].data, 0xff, sizeof result));
    for (int i = 0; i < ELEMENTS; i++) {
        double exact = j->exact(value_of(i));
        if (!(fabs(result[i] - exact) <= 1e-5 * (fabs(exact) + 1)))
            return false;
    }
    return true;
}

/* Runs once; whether it was by cuDNN, or by our kernel. */
static void expect(job *j, at_cu_stream stream, bool cudnn, const char *when)
{
    int calls = cudnn_calls(), own = launches();
    CHECK(actune_execute_on(j->plan, j->there, j->ports, stream, NULL) == ACTUNE_OK, "%s", when);
    CHECK(cudnn_calls() - calls == cudnn && launches() - own == !cudnn, "%s: %d calls of cuDNN, %d launches", when, cudnn_calls() - calls,
          launches() - own);
    CHECK_OK(at_cuda_wait(device, stream));
    CHECK(is_right(j), "%s", when);
}

/* --- tests --- */

static const story stories[] = {{"tanh", "cudnn/activation version=9.13.1", "block=128", false, false},
                                {"gelu", "cudnn/graph plan=1 version=9.13.1", "block=512", true, false}};

static void what_it_says(void)
{
    actune_plan_info info;
    job j;
    job_open(&j, &stories[0]);
    actune_plan_describe(j.plan, &info);
    CHECK(!strcmp(info.variant, "cudnn/activation version=9.13.1") && !strcmp(info.tier, "exact"), "%s, %s", info.variant, info.tier);
    CHECK(!strcmp(info.binary, "cuDNN 9.13.1, activation"), "%s", info.binary);
    CHECK(strstr(info.note, "where actune_prewarm was not called"), "%s", info.note);
    CHECK(strstr(info.note, "block=128") && strstr(info.note, "(exact)"), "%s", info.note);
    job_close(&j);
}

/* Nothing of execute's may allocate, wait, load or make: only these calls. */
static void no_other_calls(int before, int after, const char *when)
{
    CHECK(before == after, "%s: %d calls that execute must not make", when, after - before);
}

static int other_calls(void)
{
    static const char *const may[] = {"cuCtxGetCurrent", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuLaunchKernel", "cuStreamGetId",
                                      "cuStreamIsCapturing", "a library's kernel", "cudnnActivationForward"};
    const rig_library *const libraries[] = {&rig_cuda, &rig_cudnn, &rig_nvrtc};
    int count = 0;
    for (size_t l = 0; l < 3; l++)
        for (int i = 0; libraries[l]->call_name(i); i++) {
            bool fine = false;
            for (size_t k = 0; k < sizeof may / sizeof *may; k++)
                fine |= !strcmp(may[k], libraries[l]->call_name(i));
            count += fine ? 0 : libraries[l]->call_count(i);
        }
    return count;
}

static void *run_elsewhere(void *user)
{
    expect(user, NULL, false, "on a stream that another thread prewarmed");
    return NULL;
}

static void who_runs(const story *s)
{
    pthread_t other;
    job j;
    at_cuda_timer timer;
    CHECK_OK(at_cuda_timer_open(device, &timer));
    job_open(&j, s);
    expect(&j, NULL, false, "without prewarming");
    int handles = rig_count(&rig_cudnn, "cudnnCreate");
    CHECK_OK(actune_prewarm(j.plan, timer.stream));
    CHECK_OK(actune_prewarm(j.plan, timer.stream));
    CHECK(rig_count(&rig_cudnn, "cudnnCreate") == handles + 1, "one handle for a thread and stream");
    expect(&j, timer.stream, true, "on a stream that was prewarmed");
    expect(&j, NULL, false, "on another one");
    CHECK_OK(actune_prewarm(j.plan, NULL));
    int before = other_calls();
    CHECK_OK(actune_execute(j.plan, j.there, j.ports));
    if (!s->backward)
        no_other_calls(before, other_calls(), "with cuDNN");
    CHECK(is_right(&j), "asynchronous, on the default stream");
    expect(&j, NULL, true, "on the default stream");
    CHECK(!pthread_create(&other, NULL, run_elsewhere, &j) && !pthread_join(other, NULL), "a thread");
    for (int p = 0; p < j.ports; p++)
        j.there[p].data = (char *)j.memory[p] + (p == j.ports - 1 ? OFFSET : 0);
    expect(&j, NULL, false, "on memory that is not aligned");
    job_close(&j);
    at_cuda_timer_close(&timer);
}

static actune_status put(void *user, at_cu_stream stream)
{
    job *j = user;
    return actune_execute_on(j->plan, j->there, j->ports, stream, NULL);
}

static actune_status prewarm(void *user, at_cu_stream stream)
{
    return actune_prewarm(((job *)user)->plan, stream);
}

static void captured(void)
{
    job j;
    at_cuda_timer timer;
    at_cu_graph_exec graph = NULL;
    double ns;
    CHECK_OK(at_cuda_timer_open(device, &timer));
    job_open(&j, &stories[0]);
    CHECK(at_cuda_graph_capture(&timer, prewarm, &j, &graph) == ACTUNE_INVALID_ARGUMENT && strstr(actune_last_error(), "before the capture"),
          "handles are not made in a capture");
    for (int ready = 0; ready < 2; ready++) {
        int calls = cudnn_calls();
        CHECK_OK(at_cuda_graph_capture(&timer, put, &j, &graph));
        CHECK(cudnn_calls() - calls == ready, "in a capture");
        CHECK_OK(at_cuda_graph_time(&timer, graph, &ns));
        CHECK(is_right(&j), "a graph, %d", ready);
        at_cuda_graph_destroy(&timer, graph);
        CHECK_OK(actune_prewarm(j.plan, timer.stream));
    }
    job_close(&j);
    at_cuda_timer_close(&timer);
}

enum { THREADS = 6, ROUNDS = 20 };

typedef struct crew {
    pthread_t thread;
    job *shared;
    actune_buffer there[2];
    int wrong;
} crew;

static void *work_along(void *user)
{
    crew *c = user;
    at_cuda_timer timer;
    c->wrong += at_cuda_timer_open(device, &timer) != ACTUNE_OK;
    c->wrong += actune_prewarm(c->shared->plan, timer.stream) != ACTUNE_OK;
    for (int i = 0; i < ROUNDS; i++)
        c->wrong += actune_execute_on(c->shared->plan, c->there, 2, timer.stream, NULL) != ACTUNE_OK;
    c->wrong += at_cuda_wait(device, timer.stream) != ACTUNE_OK;
    at_cuda_timer_close(&timer);
    return NULL;
}

/* The fake minds a handle that two threads use. */
static void threads(void)
{
    job j;
    crew crews[THREADS];
    job_open(&j, &stories[0]);
    int calls = cudnn_calls();
    for (int i = 0; i < THREADS; i++) {
        crews[i] = (crew){.shared = &j, .there = {j.there[0], j.there[1]}};
        CHECK_OK(at_cuda_allocate(device, ELEMENTS * sizeof(float), &crews[i].there[1].data));
        CHECK(!pthread_create(&crews[i].thread, NULL, work_along, &crews[i]), "a thread");
    }
    for (int i = 0; i < THREADS; i++) {
        void *mine = j.there[1].data;
        pthread_join(crews[i].thread, NULL);
        j.there[1].data = crews[i].there[1].data;
        CHECK(!crews[i].wrong && is_right(&j), "thread %d", i);
        j.there[1].data = mine;
        at_cuda_free(device, crews[i].there[1].data);
    }
    CHECK(cudnn_calls() - calls >= THREADS * ROUNDS, "%d calls", cudnn_calls() - calls);
    job_close(&j);
}

/* What won out of place: cuDNN allows y = x in its legacy functions, and says nothing of graphs. */
static void in_place(void)
{
    actune_plan_info info;
    job j;
    job_open(&j, &stories[0]);
    actune_plan_destroy(j.plan);
    actune_context_close(j.context);
    CHECK_OK(make_plan(&stories[0], true, &j));
    CHECK_OK(actune_prewarm(j.plan, NULL));
    j.there[1] = j.there[0];
    actune_plan_describe(j.plan, &info);
    CHECK(!strcmp(info.variant, stories[0].variant) && !strcmp(info.tier, "out of place"), "%s, %s", info.variant, info.tier);
    expect(&j, NULL, true, "in place");
    job_close(&j);
    CHECK_OK(make_plan(&stories[1], true, &j));
    actune_plan_describe(j.plan, &info);
    CHECK(strstr(info.variant, "block=512") && strstr(info.note, "graphs of cuDNN do not work in place"), "%s, %s", info.variant, info.note);
    actune_plan_destroy(j.plan);
    actune_context_close(j.context);
}

/* In a process of its own. */
static void alone(const char *what, void (*test)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        rig_failures = 0;
        test();
        fflush(stdout);
        _exit(rig_failures != 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", what);
}

static void remember_stories(void)
{
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
        CHECK_OK(remember(&stories[i]));
}

/* Another cuDNN, or none, than the winner was measured with: our best runs, and the note says why. */
static void passed_over(const char *why)
{
    actune_plan_info info;
    job j = {0};
    CHECK_OK(make_plan(&stories[0], false, &j));
    actune_plan_describe(j.plan, &info);
    CHECK(strstr(info.variant, "block=128") && !strcmp(info.tier, "exact"), "%s, %s", info.variant, info.tier);
    CHECK(strstr(info.note, why), "%s", info.note);
    CHECK_OK(actune_prewarm(j.plan, NULL));
    actune_plan_destroy(j.plan);
    actune_context_close(j.context);
}

static void without_cudnn(void)
{
    setenv("ACTUNE_CUDNN", "none", 1);
    passed_over("no cuDNN (ACTUNE_CUDNN is 'none')");
}

static void another_cudnn(void)
{
    setenv("ACTUNE_FAKE_CUDNN_VERSION", "91400", 1);
    passed_over("is not what cuDNN 9.14.0");
}

/* A row of a database that only knows the winner. */
static void ours_unknown(void)
{
    static const story s = {"elu", "cudnn/activation version=9.13.1", NULL, false, false};
    actune_plan_info info;
    job j = {0};
    CHECK_OK(remember(&s));
    CHECK_OK(make_plan(&s, false, &j));
    actune_plan_describe(j.plan, &info);
    CHECK(!strcmp(info.variant, s.variant) && strstr(info.note, "(default)"), "%s", info.note);
    actune_plan_destroy(j.plan);
    actune_context_close(j.context);
}

/* A row whose text is right, of a program that told cuDNN something else. */
static void told_something_else(void)
{
    static const story s = {"sigmoid", "cudnn/activation version=9.13.1", "block=128", false, true};
    actune_plan_info info;
    job j = {0};
    CHECK_OK(remember(&s));
    CHECK_OK(make_plan(&s, false, &j));
    actune_plan_describe(j.plan, &info);
    CHECK(strstr(info.variant, "block=128") && strstr(info.note, "something else when it was measured"), "%s, %s", info.variant, info.note);
    actune_plan_destroy(j.plan);
    actune_context_close(j.context);
}

/* Whatever fails, in cuDNN or under it, our kernel runs and nothing is left behind. */
static void fail_each(const char *name, int code)
{
    for (int nth = 1; nth < 40; nth++) {
        int before = rig_living();
        job j;
        rig_cudnn.fail(name, nth, code);
        job_open(&j, &stories[0]);
        CHECK_OK(actune_prewarm(j.plan, NULL));
        for (int i = 0; i < 3; i++) {
            CHECK_OK(actune_execute(j.plan, j.there, j.ports));
            CHECK(is_right(&j), "failure %d of %s", nth, name);
        }
        bool failed = rig_cudnn.failed();
        rig_cudnn.fail("", 0, 0);
        job_close(&j);
        CHECK(rig_living() == before, "failure %d of %s leaves %d behind", nth, name, rig_living() - before);
        if (!failed)
            break;
    }
}

static void failures(void)
{
    for (int call = 0; rig_cudnn.call_name(call); call++)
        fail_each(rig_cudnn.call_name(call), call % 2 ? 4004 : 5000);
}

/* The driver's calls under actune_prewarm: it says so or goes without cuDNN, and executing goes on. Without a context nothing can be given
   back. */
static void fail_driver(const char *name)
{
    for (int nth = 1; nth < 60 && !strstr(name, "Push"); nth++) {
        job j;
        job_open(&j, &stories[1]);
        int before = rig_living();
        rig_cuda.fail(name, nth, 999);
        actune_status status = actune_prewarm(j.plan, NULL);
        bool failed = rig_cuda.failed();
        rig_cuda.fail("", 0, 0);
        CHECK(status == ACTUNE_OK || strstr(actune_last_error(), name), "failure %d of %s", nth, name);
        CHECK_OK(actune_prewarm(j.plan, NULL));
        CHECK_OK(actune_execute(j.plan, j.there, j.ports));
        CHECK(is_right(&j), "failure %d of %s", nth, name);
        job_close(&j);
        /* The context, its module, two tensors of three and the plan's are gone. */
        CHECK(rig_living() < before, "failure %d of %s leaves %d behind", nth, name, rig_living() - before);
        if (!failed)
            break;
    }
}

static void driver_failures(void)
{
    for (int call = 0; rig_cuda.call_name(call); call++)
        fail_driver(rig_cuda.call_name(call));
}

/* A call that fails once is not asked again, and prewarming takes it no further. */
static void a_failed_call(void)
{
    job j;
    job_open(&j, &stories[0]);
    CHECK_OK(actune_prewarm(j.plan, NULL));
    expect(&j, NULL, true, "before it fails");
    rig_cudnn.fail("cudnnActivationForward", 1, 5000);
    CHECK_OK(actune_execute(j.plan, j.there, j.ports));
    CHECK(is_right(&j), "ours took over");
    expect(&j, NULL, false, "after it failed");
    job_close(&j);
}

int main(void)
{
    if (!rig_open())
        return 77;
    rig_open_cudnn();
    snprintf(database, sizeof database, "%s/actune.db", rig_folder);
    snprintf(cache, sizeof cache, "%s/cache", rig_folder);
    CHECK_OK(at_cuda_open(0, &device));
    /* This process has not asked for cuDNN yet. */
    alone("the database", remember_stories);
    alone("without cuDNN", without_cudnn);
    alone("another cuDNN", another_cudnn);
    what_it_says();
    captured(); /* before cuDNN has loaded anything */
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
        who_runs(&stories[i]);
    threads();
    ours_unknown();
    told_something_else();
    in_place();
    a_failed_call();
    failures();
    driver_failures();
    at_cuda_close(device);
    rig_check_clean("at the end");
    rig_close();
    printf("plans with cuDNN on the fake driver: %d failed\n", rig_failures);
    return rig_failures != 0;
}
