/* The database: what goes in comes out. */
#include "store_fixture.h"
#include <math.h>
#include <time.h>

static void check_choices(void)
{
    int64_t session, variant[2];
    at_store *store = open_store(NULL, AT_STORE_WRITE);
    fill(store, &session, variant);
    static const at_store_workload outer = {"channel_outer", 20, 6, 14, true, "cold"};
    at_store_choice a = choice_of("k1", flat20, variant[0], session), b = choice_of("k2", outer, variant[1], session);
    CHECK(at_store_put_choice(store, &a) == ACTUNE_OK && at_store_put_choice(store, &b) == ACTUNE_OK);
    CHECK(count_choices(store, NULL, NULL) == 2 && count_choices(store, "cpu-1", NULL) == 2);
    CHECK(count_choices(store, "cpu-1", "k1") == 1 && count_choices(store, NULL, "k2") == 1);
    CHECK(count_choices(store, "cpu-2", NULL) == 0 && count_choices(store, "cpu-1", "k3") == 0 && count_choices(store, NULL, "k3") == 0);
    seen s = {0};
    CHECK(at_store_each_choice(store, "cpu-1", "k2", see_choice, &s) == ACTUNE_OK);
    const at_store_choice *c = &s.choice;
    CHECK(c->workload.size_bucket == 20 && c->workload.channel_bucket == 6 && c->workload.inner_bucket == 14 && c->workload.in_place);
    CHECK(c->variant == variant[1] && c->session == session && c->median_ns == 100.25 && c->ratio_to_copy == 1.5);
    CHECK(c->gain_over_default == 1.25 && c->pct_roof == 66.5);
    CHECK(!strcmp(s.variant_text, "cpu/elementwise width=32") && !strcmp(s.source_hash, "s2"));
    a.median_ns = 50;
    a.gain_over_default = NAN;
    CHECK(at_store_put_choice(store, &a) == ACTUNE_OK, "replaced, not added");
    s.count = 0;
    CHECK(at_store_each_choice(store, NULL, "k1", see_choice, &s) == ACTUNE_OK && s.count == 1);
    CHECK(s.choice.median_ns == 50 && s.choice.gain_over_default == 0 && s.choice.margin == 0.05);
    CHECK(!strcmp(s.ours, "/"), "%s", s.ours);
    a.ours = variant[1];
    CHECK(at_store_put_choice(store, &a) == ACTUNE_OK && at_store_each_choice(store, NULL, "k1", see_choice, &s) == ACTUNE_OK);
    CHECK(!strcmp(s.ours, "cpu/elementwise width=32/s2"), "%s", s.ours);
    a.ours = 999;
    CHECK(at_store_put_choice(store, &a) == ACTUNE_INVALID_ARGUMENT);
    a.ours = 0;
    CHECK(at_store_put_choice(store, &a) == ACTUNE_OK && at_store_each_choice(store, NULL, "k1", see_choice, &s) == ACTUNE_OK);
    CHECK(!strcmp(s.ours, "/"), "%s", s.ours);
    a.device = "cpu-unknown";
    CHECK(at_store_put_choice(store, &a) == ACTUNE_INVALID_ARGUMENT && count_choices(store, NULL, NULL) == 2);
    a = choice_of("k1", flat20, 999, session);
    CHECK(at_store_put_choice(store, &a) == ACTUNE_INVALID_ARGUMENT);
    a = choice_of("k1", flat20, variant[0], session);
    a.workload.regime = "tepid";
    CHECK(at_store_put_choice(store, &a) == ACTUNE_INVALID_ARGUMENT);
    a.workload = flat20;
    a.workload.size_bucket = 64;
    CHECK(at_store_put_choice(store, &a) == ACTUNE_INVALID_ARGUMENT);
    a.workload.layout = NULL;
    CHECK(at_store_put_choice(store, &a) == ACTUNE_INVALID_ARGUMENT);
    CHECK(at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
    store = open_store(NULL, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 2 && at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
}

static at_store *nested_store;

static actune_status nest(void *user, const at_store_kernel *k)
{
    int inner = 0, choices = 0;
    at_store_kernel copy = {"k3", "silu", "forward", "f32", "f32", "fast"};
    CHECK(at_store_each_kernel(nested_store, NULL, count_row, &inner) == ACTUNE_OK && inner >= 2);
    CHECK(count_choices(nested_store, NULL, NULL) == choices && at_store_put_kernel(nested_store, &copy) == ACTUNE_OK);
    return count_row(user, k);
}

static actune_status stop_at_first(void *user, const at_store_kernel *k)
{
    (void)k;
    ++*(int *)user;
    return ACTUNE_INTERRUPTED;
}

static actune_status see_device(void *user, const at_store_device *d)
{
    CHECK(!strcmp(d->id, "cpu-1") && !strcmp(d->model, "Model 1") && d->l3_bytes == 1LL << 33 && d->l1d_bytes == 32768);
    *(int64_t *)user = d->processors;
    return ACTUNE_OK;
}

static actune_status see_session(void *user, int64_t id, int64_t started, const at_store_session *s)
{
    CHECK(id > 0 && started > 1600000000 && s->seed == -5 && !strcmp(s->device, "cpu-1"));
    CHECK(!strcmp(s->environment, "{\"cc\":\"clang\"}") && !strcmp(s->protocol, "{\"rounds\":9}"));
    ++*(int *)user;
    return ACTUNE_OK;
}

static actune_status see_verification(void *user, const char *variant_text, const at_store_verification *v)
{
    CHECK(strstr(variant_text, "cpu/elementwise") && v->variant > 0 && *v->method && v->max_error_ulp > 0);
    ++*(int *)user;
    return ACTUNE_OK;
}

/* Registers and spills of the last one written for a variant; those that no compiler told are -1. */
static actune_status see_build(void *user, const char *variant_text, const at_store_build *build)
{
    bool failed = !build->ok;
    ++*(int *)user;
    CHECK(strstr(variant_text, "cpu/elementwise") && build->registers == (failed ? 40 : -1) && build->spill_bytes == (failed ? 16 : -1));
    CHECK(!strcmp(build->log, failed ? "log" : "") && !strcmp(build->arch, failed ? "x86-64-v4" : "sm_90"));
    return ACTUNE_OK;
}

static void check_rows(void)
{
    int64_t session, variant[2], again[2], second_session, processors = 0;
    int count = 0;
    at_store *store = nested_store = open_store(NULL, AT_STORE_WRITE);
    fill(store, &session, variant);
    fill(store, &second_session, again);
    CHECK(variant[0] == again[0] && variant[1] == again[1], "equal rows once");
    CHECK(second_session != session, "a run is a session of its own");
    at_store_variant other = {"k1", "s1", "cpu/elementwise width=64 threads=2"};
    int64_t other_id;
    CHECK(at_store_put_variant(store, &other, &other_id) == ACTUNE_OK && other_id != variant[0]);
    other.kernel = "nowhere";
    CHECK(at_store_put_variant(store, &other, &other_id) == ACTUNE_INVALID_ARGUMENT && other_id == 0);
    other.kernel = NULL;
    CHECK(at_store_put_variant(store, &other, &other_id) == ACTUNE_INVALID_ARGUMENT);
    CHECK(at_store_each_kernel(store, NULL, count_row, &count) == ACTUNE_OK && count == 2);
    count = 0;
    CHECK(at_store_each_kernel(store, "relu", count_row, &count) == ACTUNE_OK && count == 1);
    CHECK(at_store_each_kernel(store, "relu'; DROP TABLE kernel; --", count_row, &count) == ACTUNE_OK && count == 1);
    count = 0;
    CHECK(at_store_each_kernel(store, NULL, stop_at_first, &count) == ACTUNE_INTERRUPTED && count == 1);
    count = 0;
    CHECK(at_store_each_kernel(store, NULL, nest, &count) == ACTUNE_OK && count >= 2);
    at_store_device moved = device;
    moved.processors = 2;
    CHECK(at_store_put_device(store, &moved) == ACTUNE_OK);
    CHECK(at_store_each_device(store, see_device, &processors) == ACTUNE_OK && processors == 2);
    at_store_build build = {variant[0], "clang 14", "x86-64-v4", true, 33.5, 512, -1, -1, NULL};
    CHECK(at_store_put_build(store, &build) == ACTUNE_OK);
    build = (at_store_build){variant[0], "clang 14", "x86-64-v4", false, 1, 0, 40, 16, "log"};
    CHECK(at_store_put_build(store, &build) == ACTUNE_OK);
    build = (at_store_build){variant[1], "nvrtc 12", "sm_90", true, 1, 0, -1, -1, NULL};
    CHECK(at_store_put_build(store, &build) == ACTUNE_OK);
    int builds = 0;
    CHECK(at_store_each_build(store, "k1", see_build, &builds) == ACTUNE_OK && builds == 1);
    CHECK(at_store_each_build(store, NULL, see_build, &builds) == ACTUNE_OK && builds == 3);
    build.variant = 999;
    CHECK(at_store_put_build(store, &build) == ACTUNE_INVALID_ARGUMENT);
    at_store_verification v = {variant[0], false, 3.5, INFINITY, "exhaustive", "wrong at 0.5"}, found;
    CHECK(at_store_find_verification(store, "s1", &found) == ACTUNE_NOT_FOUND && error_has("s1"));
    CHECK(at_store_put_verification(store, &v) == ACTUNE_OK && at_store_find_verification(store, "s1", &found) == ACTUNE_OK);
    CHECK(!found.passed && found.max_error_ulp == 3.5 && found.variant == variant[0] && !strcmp(found.method, "exhaustive"));
    CHECK(!strcmp(found.detail, "wrong at 0.5"));
    v = (at_store_verification){variant[0], true, 1.5, 1e-9, "sampled", ""};
    CHECK(at_store_put_verification(store, &v) == ACTUNE_OK && at_store_find_verification(store, "s1", &found) == ACTUNE_OK);
    CHECK(found.passed && found.max_error_absolute == 1e-9 && !*found.detail, "the latest");
    at_store_verification all = {variant[0], true, 2, 1e-8, "exhaustive", ""};
    CHECK(at_store_put_verification(store, &all) == ACTUNE_OK && at_store_put_verification(store, &v) == ACTUNE_OK);
    CHECK(at_store_find_verification(store, "s1", &found) == ACTUNE_OK && found.max_error_ulp == 2 && !strcmp(found.method, "exhaustive"));
    all = (at_store_verification){variant[0], false, 9, 1, "sampled", "another compiler"};
    CHECK(at_store_put_verification(store, &all) == ACTUNE_OK && at_store_find_verification(store, "s1", &found) == ACTUNE_OK);
    CHECK(!found.passed && !strcmp(found.detail, "another compiler"), "a failure is not hidden");
    int verifications = 0, sessions = 0;
    CHECK(at_store_each_verification(store, "k1", see_verification, &verifications) == ACTUNE_OK && verifications == 5);
    CHECK(at_store_each_verification(store, "k2", see_verification, &verifications) == ACTUNE_OK && verifications == 5);
    CHECK(at_store_each_session(store, see_session, &sessions) == ACTUNE_OK && sessions >= 1);
    CHECK(at_store_put_verification(store, &v) == ACTUNE_OK);
    CHECK(at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
}

typedef struct arms_seen {
    int count, samples, stored;
    char first[16];
} arms_seen;

static actune_status see_arm(void *user, const at_store_progress *arm)
{
    arms_seen *got = user;
    if (!got->count++)
        snprintf(got->first, sizeof got->first, "%s/%s", arm->arm, arm->source_hash);
    got->samples += arm->samples;
    got->stored += arm->stored;
    CHECK(!arm->samples || !memcmp(arm->samples_ns, samples, (size_t)arm->samples * sizeof *samples));
    return ACTUNE_OK;
}

static arms_seen arms_of(at_store *store, const char *conditions, const char *stage, at_store_workload workload)
{
    arms_seen got = {0};
    at_store_race race = {"cpu-1", "k1", stage, conditions, workload};
    CHECK(at_store_each_progress(store, &race, see_arm, &got) == ACTUNE_OK);
    return got;
}

/* Races under way: replaced as a whole, told apart by conditions, gone when asked. */
static void check_progress(void)
{
    int64_t session, variant[2];
    bool has;
    at_store *store = open_store(NULL, AT_STORE_WRITE);
    fill(store, &session, variant);
    at_store_workload flat21 = flat20, rows = {"channel_inner", 20, 3, 0, false, "warm"};
    flat21.size_bucket = 21;
    at_store_race core = {"cpu-1", "k1", "core", "c1", flat20};
    const at_store_progress arms[] = {{"memcpy", "", false, samples, 5}, {"a", "s1", false, samples, 3}, {"b", "s2", false, samples, 0}};
    CHECK(at_store_has_progress(store, &core, &has) == ACTUNE_OK && !has);
    CHECK(at_store_put_progress(store, &core, arms, 3) == ACTUNE_OK);
    arms_seen got = arms_of(store, "c1", "core", flat20);
    CHECK(got.count == 3 && got.samples == 8 && !got.stored && !strcmp(got.first, "a/s1"));
    CHECK(arms_of(store, "c2", "core", flat20).count == 0, "other conditions");
    CHECK(arms_of(store, "c1", "core", flat21).count == 0 && arms_of(store, "c1", "size", flat20).count == 0);
    CHECK(at_store_has_progress(store, &core, &has) == ACTUNE_OK && has);
    core.conditions = "c2";
    CHECK(at_store_has_progress(store, &core, &has) == ACTUNE_OK && !has);
    const at_store_progress later = {"a", "s1", true, samples, 4};
    CHECK(at_store_put_progress(store, &core, &later, 1) == ACTUNE_OK);
    got = arms_of(store, "c2", "core", flat20);
    CHECK(got.count == 1 && got.samples == 4 && got.stored == 1);
    CHECK(arms_of(store, "c1", "core", flat20).count == 0, "the race as a whole");
    core.workload = rows;
    CHECK(at_store_put_progress(store, &core, arms, 2) == ACTUNE_OK);
    core.workload = flat21;
    core.stage = "size";
    CHECK(at_store_put_progress(store, &core, arms, 2) == ACTUNE_OK);
    CHECK(at_store_drop_progress(store, "cpu-1", "k1", "core", "flat", NULL) == ACTUNE_OK);
    CHECK(arms_of(store, "c2", "core", flat20).count == 0 && arms_of(store, "c2", "core", rows).count == 2);
    CHECK(at_store_drop_progress(store, "cpu-1", "k1", "size", "flat", &flat20) == ACTUNE_OK);
    CHECK(arms_of(store, "c2", "size", flat21).count == 2);
    CHECK(at_store_drop_progress(store, "cpu-1", "k1", "size", "flat", &flat21) == ACTUNE_OK);
    CHECK(arms_of(store, "c2", "size", flat21).count == 0);
    core.stage = "neither";
    CHECK(at_store_put_progress(store, &core, arms, 2) == ACTUNE_INVALID_ARGUMENT);
    CHECK(at_store_each_progress(NULL, &core, see_arm, &got) == ACTUNE_OK, "no database");
    CHECK(at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
}

static int measurements_seen;

static actune_status see_measurement(void *user, const char *variant_text, const at_store_measurement *m)
{
    CHECK(!strcmp(variant_text, user) && m->median_ns == 2 && m->low_ns == 1 && m->high_ns == 3 && m->ratio_to_copy == 0.5);
    CHECK(m->workload.size_bucket == 20 || m->workload.size_bucket == 21);
    CHECK(m->samples == 0 || (m->samples == 5 && !memcmp(m->samples_ns, samples, sizeof samples)));
    measurements_seen++;
    return ACTUNE_OK;
}

static int measurements(at_store *store, const char *of_device, const char *of_kernel, const at_store_workload *workload)
{
    static char text[] = "cpu/elementwise width=64";
    measurements_seen = 0;
    CHECK(at_store_each_measurement(store, of_device, of_kernel, workload, see_measurement, text) == ACTUNE_OK);
    return measurements_seen;
}

static void check_measurements(void)
{
    int64_t session, variant[2];
    at_store *store = open_store(NULL, AT_STORE_WRITE);
    fill(store, &session, variant);
    at_store_measurement m = {variant[0], session, flat20, 2, 1, 3, 0.5, samples, 5};
    CHECK(at_store_put_measurement(store, &m) == ACTUNE_OK && at_store_put_measurement(store, &m) == ACTUNE_OK);
    m.workload.size_bucket = 21;
    m.samples = 0;
    m.samples_ns = NULL;
    CHECK(at_store_put_measurement(store, &m) == ACTUNE_OK);
    CHECK(measurements(store, NULL, NULL, NULL) == 3 && measurements(store, "cpu-1", "k1", NULL) == 3);
    CHECK(measurements(store, "cpu-1", "k1", &flat20) == 2 && measurements(store, NULL, NULL, &m.workload) == 1);
    CHECK(measurements(store, "cpu-2", NULL, NULL) == 0 && measurements(store, "cpu-1", "k2", NULL) == 0);
    at_store_workload absent = flat20;
    absent.size_bucket = 3;
    CHECK(measurements(store, NULL, NULL, &absent) == 0);
    m.samples = 1;
    CHECK(at_store_put_measurement(store, &m) == ACTUNE_INVALID_ARGUMENT);
    m.samples = -1;
    CHECK(at_store_put_measurement(store, &m) == ACTUNE_INVALID_ARGUMENT);
    at_store_close(store);
}

static void check_transactions(void)
{
    int64_t session, variant[2];
    at_store *store = open_store(NULL, AT_STORE_WRITE);
    CHECK(at_store_begin(store) == ACTUNE_OK);
    fill(store, &session, variant);
    at_store_rollback(store);
    at_store_rollback(store);
    int count = 0;
    CHECK(at_store_each_kernel(store, NULL, count_row, &count) == ACTUNE_OK && count == 0);
    CHECK(at_store_begin(store) == ACTUNE_OK);
    fill(store, &session, variant);
    at_store_choice bad = choice_of("k9", flat20, variant[0], session), good = choice_of("k1", flat20, variant[0], session);
    CHECK(at_store_put_choice(store, &bad) == ACTUNE_INVALID_ARGUMENT);
    CHECK(at_store_put_choice(store, &good) == ACTUNE_OK, "a failed row leaves the caller's transaction usable");
    CHECK(at_store_commit(store) == ACTUNE_OK && count_choices(store, NULL, NULL) == 1);
    CHECK(at_store_commit(store) != ACTUNE_OK);
    at_store *reader = open_store(NULL, AT_STORE_READ);
    CHECK(at_store_begin(reader) == ACTUNE_INVALID_ARGUMENT && error_has("reading"));
    CHECK(at_store_put_device(reader, &device) == ACTUNE_INVALID_ARGUMENT);
    CHECK(at_store_begin(store) == ACTUNE_OK && at_store_put_device(store, &device) == ACTUNE_OK);
    CHECK(count_choices(reader, NULL, NULL) == 1, "readers do not wait for writers");
    at_store_close(reader);
    at_store_close(store);
    store = open_store(NULL, AT_STORE_WRITE);
    CHECK(at_store_put_choice(store, &good) == ACTUNE_OK);
    at_store_close(store);
}

typedef struct requests_seen {
    int count, asked;
    char first[64];
} requests_seen;

static actune_status see_request(void *user, const at_store_request *r)
{
    requests_seen *got = user;
    if (!got->count++)
        snprintf(got->first, sizeof got->first, "%s %s %s>%s [%s] %dx%dx%d%s", r->spec, r->direction, r->dtype_in, r->dtype_out, r->gradients,
                 (int)r->shape.outer, (int)r->shape.channels, (int)r->shape.inner, r->in_place ? " in place" : "");
    got->asked += (int)r->asked;
    return ACTUNE_OK;
}

/* What was asked for: once each, counted, taken out by its key. */
static void check_requests(void)
{
    at_store *store = open_store(NULL, AT_STORE_WRITE);
    at_store_request gelu = {"cpu-1", "bias | gelu", "backward", "f16", "f32", "bias,alpha", {8, 64, 49}, true, 0}, relu = gelu, wrong = gelu;
    relu.spec = "relu", relu.gradients = "";
    wrong.direction = "sideways";
    requests_seen got = {0};
    CHECK(at_store_put_request(store, &gelu) == ACTUNE_OK && at_store_put_request(store, &relu) == ACTUNE_OK);
    CHECK(at_store_put_request(store, &gelu) == ACTUNE_OK);
    CHECK(at_store_put_request(store, &wrong) == ACTUNE_INVALID_ARGUMENT);
    CHECK(at_store_each_request(store, "cpu-1", see_request, &got) == ACTUNE_OK && got.count == 2 && got.asked == 3);
    CHECK(!strcmp(got.first, "bias | gelu backward f16>f32 [bias,alpha] 8x64x49 in place"), "%s", got.first);
    CHECK(at_store_each_request(store, "cpu-2", see_request, &got) == ACTUNE_OK && got.count == 2, "another device");
    CHECK(at_store_drop_request(store, &gelu) == ACTUNE_OK && at_store_drop_request(store, &gelu) == ACTUNE_OK);
    got = (requests_seen){0};
    CHECK(at_store_each_request(store, NULL, see_request, &got) == ACTUNE_OK && got.count == 1 && !strncmp(got.first, "relu ", 5));
    CHECK(at_store_each_request(NULL, NULL, see_request, &got) == ACTUNE_OK && got.count == 1, "no database");
    at_store_close(store);
}

Test(store, rows, .init = setup, .fini = remove_root)
{
    in_child("choices", check_choices);
    setenv("ACTUNE_DB", in_root("rows.db"), 1);
    in_child("rows", check_rows);
    setenv("ACTUNE_DB", in_root("requests.db"), 1);
    in_child("requests", check_requests);
    setenv("ACTUNE_DB", in_root("measurements.db"), 1);
    in_child("progress", check_progress);
    in_child("measurements", check_measurements);
    setenv("ACTUNE_DB", in_root("transactions.db"), 1);
    in_child("transactions", check_transactions);
}

/* Where the file is. */
static void check_paths(void)
{
    char path[256];
    at_store *store;
    CHECK(at_store_default_path(path, sizeof path) == (int64_t)strlen(path) && !strcmp(path, in_root("actune/actune.db")));
    CHECK(at_store_default_path(path, 5) == -1);
    CHECK(at_store_open(NULL, AT_STORE_READ, &store) == ACTUNE_OK && !store, "a missing file is an empty database");
    CHECK(access(in_root("actune"), F_OK) != 0, "and reading makes no folder");
    CHECK(count_choices(NULL, NULL, NULL) == 0 && !*at_store_path(NULL) && at_store_check(NULL, NULL, NULL) == ACTUNE_OK);
    CHECK(measurements(NULL, NULL, NULL, NULL) == 0 && at_store_put_device(NULL, &device) == ACTUNE_INVALID_ARGUMENT);
    at_store_verification v;
    CHECK(at_store_find_verification(NULL, "s", &v) == ACTUNE_NOT_FOUND);
    at_store_close(NULL);
    store = open_store(NULL, AT_STORE_WRITE);
    CHECK(!strcmp(at_store_path(store), in_root("actune/actune.db")));
    at_store_close(store);
    struct stat info;
    CHECK(!stat(in_root("actune"), &info) && (info.st_mode & 07777) == 0700);
    setenv("ACTUNE_DB", "relative/deep.db", 1);
    CHECK(!chdir(root));
    store = open_store(NULL, AT_STORE_WRITE);
    CHECK(!strcmp(at_store_path(store), in_root("relative/deep.db")) && !access(in_root("relative/deep.db"), F_OK));
    at_store_close(store);
    store = open_store(":memory:", AT_STORE_WRITE);
    CHECK(!access(in_root(":memory:"), F_OK), "a file like any other");
    at_store_close(store);
    CHECK(at_store_open("", AT_STORE_WRITE, &store) == ACTUNE_INVALID_ARGUMENT);
    CHECK(at_store_open("missing/folder/x.db", AT_STORE_READ, &store) == ACTUNE_OK && !store);
    unsetenv("ACTUNE_DB");
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", in_root("home"), 1);
    CHECK(at_store_default_path(path, sizeof path) > 0 && !strcmp(path, in_root("home/.local/share/actune/actune.db")));
    unsetenv("HOME");
    CHECK(at_store_default_path(path, sizeof path) == -1);
    CHECK(at_store_open(NULL, AT_STORE_READ, &store) == ACTUNE_OK && !store);
    CHECK(at_store_open(NULL, AT_STORE_WRITE, &store) == ACTUNE_IO && error_has("HOME"));
}

Test(store, paths, .init = setup, .fini = remove_root)
{
    in_child("paths", check_paths);
}

/* The lock of a device. */
static void check_lock(void)
{
    at_device_lock *lock, *other;
    char own_pid[32];
    snprintf(own_pid, sizeof own_pid, "process %ld:", (long)getpid());
    CHECK(at_device_lock_take("cpu-1", 0, &lock) == ACTUNE_OK && lock);
    CHECK(at_device_lock_take("cpu-1", 0, &other) == ACTUNE_BUSY && !other && error_has(own_pid) && error_has("cpu-1"));
    CHECK(at_device_lock_take("cpu-2", 0, &other) == ACTUNE_OK);
    at_device_lock_release(other);
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    CHECK(at_device_lock_take("cpu-1", 0.15, &other) == ACTUNE_BUSY);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    CHECK((double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec) >= 0.14);
    at_device_lock_release(lock);
    CHECK(at_device_lock_take("cpu-1", 0, &lock) == ACTUNE_OK);
    at_device_lock_release(lock);
    at_device_lock_release(NULL);
    CHECK(at_device_lock_take("../../etc/x y", 0, &lock) == ACTUNE_OK);
    CHECK(access(in_root("actune/.._.._etc_x_y.lock"), F_OK) == 0);
    at_device_lock_release(lock);
    CHECK(!symlink("/tmp/actune-nowhere", in_root("actune/linked.lock")));
    CHECK(at_device_lock_take("linked", 0, &lock) == ACTUNE_IO);
    int ready[2];
    char c;
    CHECK(!pipe(ready));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(at_device_lock_take("cpu-1", 0, &lock) == ACTUNE_OK && write(ready[1], "x", 1) == 1);
        pause();
        _exit(0);
    }
    CHECK(read(ready[0], &c, 1) == 1);
    snprintf(own_pid, sizeof own_pid, "process %ld:", (long)pid);
    CHECK(at_device_lock_take("cpu-1", 0, &lock) == ACTUNE_BUSY && error_has(own_pid));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK(at_device_lock_take("cpu-1", 0, &lock) == ACTUNE_OK, "a killed holder holds nothing");
    at_device_lock_release(lock);
    unsetenv("XDG_RUNTIME_DIR");
    CHECK(at_device_lock_take("cpu-of-nobody", 0, &lock) == ACTUNE_OK);
    at_device_lock_release(lock);
}

Test(store, lock, .init = setup, .fini = remove_root)
{
    in_child("lock", check_lock);
}
