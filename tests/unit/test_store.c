/* The database: what goes in comes out, and files that are not ours stay as they are. */
#include "db/store.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char root[64];

static void setup(void)
{
    strcpy(root, "/tmp/actune-db-XXXXXX");
    cr_assert(mkdtemp(root));
    setenv("XDG_DATA_HOME", root, 1);
    setenv("XDG_RUNTIME_DIR", root, 1);
    unsetenv("ACTUNE_DB");
}

static void teardown(void)
{
    char command[256];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", root, root);
    cr_assert_eq(system(command), 0);
}

static const char *in_root(const char *name)
{
    static char path[64][256];
    static int next;
    next = (next + 1) % 64;
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

#define CHECK(condition, ...)                                                        \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);          \
            fprintf(stderr, " " __VA_ARGS__);                                        \
            fprintf(stderr, " [last error: %s]\n", actune_last_error());             \
            _exit(1);                                                                \
        }                                                                            \
    } while (0)

static void in_child(const char *name, void (*body)(void))
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s failed (status %#x)", name, status);
}

static bool error_has(const char *text)
{
    return strstr(actune_last_error(), text) != NULL;
}

static at_store *open_store(const char *path, at_store_mode mode)
{
    at_store *store;
    CHECK(at_store_open(path, mode, &store) == ACTUNE_OK && store, "%s", path ? path : "default");
    return store;
}

static const at_store_device device = {"cpu-1", "cpu", "Model 1", "x86-64-v4", 8, 32768, 1 << 20, 1LL << 33};
static const at_store_kernel kernel = {"k1", "gelu_tanh | clip(-6, 6)", "forward", "f32", "bf16", "standard"};
static const at_store_workload flat20 = {"flat", 20, 0, 0, false, "warm"};

/* Device, two kernels, a session, and two variants; ids come back. */
static void fill(at_store *store, int64_t *session, int64_t variant[2])
{
    static const at_store_kernel other = {"k2", "relu", "backward", "f16", "f16", "exact"};
    at_store_session s = {"cpu-1", "{\"cc\":\"clang\"}", "{\"rounds\":9}", -5};
    at_store_variant v[2] = {{"k1", "s1", "cpu/elementwise width=64"}, {"k2", "s2", "cpu/elementwise width=32"}};
    CHECK(at_store_put_device(store, &device) == ACTUNE_OK);
    CHECK(at_store_put_kernel(store, &kernel) == ACTUNE_OK && at_store_put_kernel(store, &other) == ACTUNE_OK);
    CHECK(at_store_put_session(store, &s, session) == ACTUNE_OK && *session > 0);
    for (int i = 0; i < 2; i++)
        CHECK(at_store_put_variant(store, &v[i], &variant[i]) == ACTUNE_OK && variant[i] > 0);
}

static at_store_choice choice_of(const char *hash, at_store_workload workload, int64_t variant, int64_t session)
{
    return (at_store_choice){.device = "cpu-1", .kernel = hash, .workload = workload, .variant = variant, .session = session,
                             .median_ns = 100.25, .ratio_to_copy = 1.5, .gain_over_default = 1.25, .pct_roof = 66.5,
                             .tie_set = "a\nb", .origin = "measured"};
}

typedef struct seen {
    int count;
    at_store_choice choice;
    char variant_text[64], source_hash[64];
} seen;

static actune_status see_choice(void *user, const at_store_choice *choice)
{
    seen *s = user;
    s->count++;
    s->choice = *choice;
    snprintf(s->variant_text, sizeof s->variant_text, "%s", choice->variant_text);
    snprintf(s->source_hash, sizeof s->source_hash, "%s", choice->source_hash);
    CHECK(strlen(choice->device) == 5 && strlen(choice->kernel) == 2 && choice->tie_set && choice->origin);
    return ACTUNE_OK;
}

static int count_choices(at_store *store, const char *of_device, const char *of_kernel)
{
    seen s = {0};
    CHECK(at_store_each_choice(store, of_device, of_kernel, see_choice, &s) == ACTUNE_OK);
    return s.count;
}

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
    CHECK(s.choice.median_ns == 50 && s.choice.gain_over_default == 0);
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

static actune_status count_row(void *user, const at_store_kernel *k)
{
    CHECK(*k->hash == 'k' && *k->spec && *k->direction && *k->dtype_in && *k->dtype_out && *k->accuracy);
    ++*(int *)user;
    return ACTUNE_OK;
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
    CHECK(at_store_put_build(store, variant[0], "clang 14", "x86-64-v4", true, 33.5, 512, NULL) == ACTUNE_OK);
    CHECK(at_store_put_build(store, variant[0], "clang 14", "x86-64-v4", false, 1, 0, "log") == ACTUNE_OK);
    CHECK(at_store_put_build(store, 999, "clang 14", "x86-64-v4", true, 1, 1, "") == ACTUNE_INVALID_ARGUMENT);
    at_store_verification v = {variant[0], false, 3.5, INFINITY, "exhaustive", "wrong at 0.5"}, found;
    CHECK(at_store_find_verification(store, "s1", &found) == ACTUNE_NOT_FOUND && error_has("s1"));
    CHECK(at_store_put_verification(store, &v) == ACTUNE_OK && at_store_find_verification(store, "s1", &found) == ACTUNE_OK);
    CHECK(!found.passed && found.max_error_ulp == 3.5 && found.variant == variant[0] && !strcmp(found.method, "exhaustive"));
    CHECK(!strcmp(found.detail, "wrong at 0.5"));
    v = (at_store_verification){variant[0], true, 1.5, 1e-9, "sampled", ""};
    CHECK(at_store_put_verification(store, &v) == ACTUNE_OK && at_store_find_verification(store, "s1", &found) == ACTUNE_OK);
    CHECK(found.passed && found.max_error_absolute == 1e-9 && !*found.detail, "the latest");
    CHECK(at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
}

static const double samples[] = {1.5, 2.25, 1e-300, 1e300, 0.1};
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

Test(store, rows, .init = setup, .fini = teardown)
{
    in_child("choices", check_choices);
    setenv("ACTUNE_DB", in_root("rows.db"), 1);
    in_child("rows", check_rows);
    setenv("ACTUNE_DB", in_root("measurements.db"), 1);
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

Test(store, paths, .init = setup, .fini = teardown)
{
    in_child("paths", check_paths);
}

/* Files that are not ours. */
typedef struct image {
    char *bytes;
    size_t size;
    int files; /* in the folder */
} image;

static image take_image(const char *path)
{
    image i = {0};
    struct stat info;
    CHECK(!stat(path, &info));
    DIR *folder = opendir(root);
    while (readdir(folder))
        i.files++;
    closedir(folder);
    if (S_ISREG(info.st_mode)) {
        FILE *f = fopen(path, "rb");
        i.size = (size_t)info.st_size;
        i.bytes = malloc(i.size + 1);
        CHECK(f && fread(i.bytes, 1, i.size, f) == i.size);
        fclose(f);
    }
    return i;
}

/* `strict`: refused by its header already, so that not even a log appears beside it. */
static void refused_as(const char *path, const char *why, bool strict)
{
    for (int mode = AT_STORE_READ; mode <= AT_STORE_WRITE; mode++) {
        at_store *store;
        image before = take_image(path);
        CHECK(at_store_open(path, (at_store_mode)mode, &store) == ACTUNE_DATABASE && !store, "%s in mode %d", path, mode);
        CHECK(error_has(path) && error_has(why), "want '%s'", why);
        image after = take_image(path);
        CHECK(before.size == after.size && !memcmp(before.bytes ? before.bytes : "", after.bytes ? after.bytes : "", before.size),
              "%s was changed", path);
        CHECK(!strict || before.files == after.files, "a file was left beside %s", path);
        free(before.bytes);
        free(after.bytes);
    }
}

static void refused(const char *path, const char *why)
{
    refused_as(path, why, true);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, size, f) == size && !fclose(f));
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    int code = sqlite3_exec(db, text, NULL, NULL, NULL);
    CHECK(code == SQLITE_OK, "%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void make_ours(const char *path)
{
    int64_t session, variant[2];
    at_store *store = open_store(path, AT_STORE_WRITE);
    fill(store, &session, variant);
    for (int i = 0; i < 60; i++) {
        at_store_choice c = choice_of("k1", flat20, variant[0], session);
        at_store_measurement m = {variant[0], session, flat20, 2, 1, 3, 0.5, samples, 5};
        c.workload.size_bucket = m.workload.size_bucket = i;
        CHECK(at_store_put_choice(store, &c) == ACTUNE_OK && at_store_put_measurement(store, &m) == ACTUNE_OK);
    }
    at_store_close(store);
}

static void check_refusals(void)
{
    write_file(in_root("text.db"), "spec,variant\nrelu,1\n", 20);
    refused(in_root("text.db"), "no database");
    char long_text[5000];
    memset(long_text, 'x', sizeof long_text);
    write_file(in_root("long.db"), long_text, sizeof long_text);
    refused(in_root("long.db"), "no database");
    CHECK(!mkdir(in_root("folder.db"), 0700));
    refused(in_root("folder.db"), "folder");
    CHECK(!mkfifo(in_root("pipe.db"), 0600));
    refused(in_root("pipe.db"), "no regular file");
    sql(in_root("foreign.db"), "CREATE TABLE device (x); INSERT INTO device VALUES (1)");
    refused(in_root("foreign.db"), "another program");
    sql(in_root("wal.db"), "PRAGMA journal_mode = WAL; PRAGMA application_id = 7; CREATE TABLE t (x)");
    refused(in_root("wal.db"), "another program");
    make_ours(in_root("newer.db"));
    sql(in_root("newer.db"), "PRAGMA user_version = 99");
    refused(in_root("newer.db"), "version 99");
    CHECK(error_has("newer actune"));
    make_ours(in_root("gutted.db"));
    sql(in_root("gutted.db"), "PRAGMA foreign_keys = OFF; DROP TABLE choice");
    refused_as(in_root("gutted.db"), "tables are missing", false);
    at_store *store;
    write_file(in_root("empty.db"), "", 0);
    CHECK(at_store_open(in_root("empty.db"), AT_STORE_READ, &store) == ACTUNE_OK && !store);
    make_ours(in_root("empty.db"));
    store = open_store(in_root("empty.db"), AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60);
    at_store_close(store);
}

/* The newer version is only in the log yet: refused, and closing does not carry the log into the file. */
static void check_newer_in_log(void)
{
    const char *path = in_root("logged.db");
    sqlite3 *db;
    make_ours(path);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 99", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
    refused_as(path, "version 99", false);
}

static void check_damage(void)
{
    const char *path = in_root("damaged.db");
    make_ours(path);
    image whole = take_image(path);
    CHECK(whole.size > 40000);
    static const double kept[] = {0.0005, 0.01, 0.3, 0.5, 0.99};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        write_file(path, whole.bytes, (size_t)((double)whole.size * kept[i]));
        refused(path, kept[i] < 0.005 ? "no database" : "cut short");
    }
    /* The schema's page, the page of any table, and all but the header. */
    for (size_t page = 0; page < whole.size / 4096; page++) {
        char *copy = malloc(whole.size);
        memcpy(copy, whole.bytes, whole.size);
        memset(copy + page * 4096 + (page ? 0 : 100), 0xa5, 300);
        write_file(path, copy, whole.size);
        at_store *store;
        image before = take_image(path);
        CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_DATABASE && error_has(path), "page %zu", page);
        image after = take_image(path);
        CHECK(before.size == after.size && !memcmp(before.bytes, after.bytes, before.size));
        actune_status status = at_store_open(path, AT_STORE_READ, &store);
        if (!status) {
            status = at_store_check(store, NULL, NULL);
            seen s;
            int count = 0;
            CHECK(status == ACTUNE_DATABASE && error_has("finding"));
            at_store_each_choice(store, NULL, NULL, see_choice, &s);
            at_store_each_kernel(store, NULL, count_row, &count);
            at_store_close(store);
        }
        CHECK(status == ACTUNE_DATABASE && error_has(path));
        free(copy);
        free(before.bytes);
        free(after.bytes);
    }
    free(whole.bytes);
}

Test(store, files, .init = setup, .fini = teardown)
{
    in_child("refusals", check_refusals);
    in_child("newer version in the log", check_newer_in_log);
    in_child("damage", check_damage);
}

/* Reading where nothing may be written. */
static void become_somebody(void)
{
    char command[256];
    if (geteuid())
        return;
    snprintf(command, sizeof command, "chown -R 12345 %s", root);
    CHECK(system(command) == 0 && setgid(12345) == 0 && setuid(12345) == 0);
}

static void check_read_only(void)
{
    const char *path = in_root("ro/a?b#c%25.db");
    CHECK(!mkdir(in_root("ro"), 0700));
    make_ours(path);
    become_somebody();
    at_store *store;
    CHECK(!chmod(path, 0400));
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60);
    at_store_close(store);
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO && error_has(path) && error_has("written"));
    char beside[300];
    snprintf(beside, sizeof beside, "%s-wal", path);
    unlink(beside);
    snprintf(beside, sizeof beside, "%s-shm", path);
    unlink(beside);
    CHECK(!chmod(in_root("ro"), 0500));
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60 && at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO && !store);
    CHECK(!chmod(path, 0600));
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO && error_has(path), "the log needs a file beside");
    CHECK(at_store_open(in_root("ro/new.db"), AT_STORE_WRITE, &store) == ACTUNE_IO);
    CHECK(at_store_open(in_root("ro/deep/new.db"), AT_STORE_WRITE, &store) == ACTUNE_IO && error_has("cannot be made"));
    CHECK(!chmod(path, 0));
    CHECK(at_store_open(path, AT_STORE_READ, &store) == ACTUNE_IO && error_has(path));
    CHECK(!chmod(path, 0600) && !chmod(in_root("ro"), 0700));
}

static void check_mounts(void)
{
    const char *path = in_root("mount/x.db");
    CHECK(!mkdir(in_root("mount"), 0700));
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("t", in_root("mount"), "tmpfs", 0, "size=8m")) {
        fprintf(stderr, "note: read-only mount and full disk need the right to mount, left out\n");
        return;
    }
    make_ours(path);
    at_store *store = open_store(path, AT_STORE_WRITE);
    actune_status status = ACTUNE_OK;
    double many[4096] = {0};
    at_store_measurement m = {1, 1, flat20, 2, 1, 3, 0.5, many, 4096};
    for (int i = 0; i < 1000 && !status; i++)
        status = at_store_put_measurement(store, &m);
    CHECK(status == ACTUNE_IO && (error_has("full") || error_has("failed")), "%s", actune_status_name(status));
    CHECK(count_choices(store, NULL, NULL) == 60 && at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
    CHECK(!mount("t", in_root("mount"), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=8m"));
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60);
    at_store_close(store);
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO);
}

Test(store, read_only, .init = setup, .fini = teardown)
{
    in_child("mounts", check_mounts);
    in_child("read-only", check_read_only);
}

static actune_status count_finding(void *user, const char *line)
{
    CHECK(*line);
    ++*(int *)user;
    return ACTUNE_OK;
}

static void check_findings(void)
{
    static const char *const breaks[] = {
        "UPDATE choice SET variant = 2 WHERE workload = 1",
        "UPDATE choice SET median_ns = -1 WHERE workload = 1",
        "DELETE FROM session",
        "UPDATE measurement SET median_ns = 99 WHERE id = 1",
        "INSERT INTO device VALUES ('cpu-2', 'cpu', 'm', 'c', 1, 0, 0, 0); UPDATE session SET device = 'cpu-2'",
        "INSERT INTO verification VALUES (1, 1, 0, 9, 9, 'sampled', 'wrong')",
        "UPDATE workload SET channel_bucket = 3 WHERE id = 1",
    };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        char name[32], statement[300];
        int findings = 0;
        snprintf(name, sizeof name, "broken%zu.db", i);
        make_ours(in_root(name));
        snprintf(statement, sizeof statement, "PRAGMA foreign_keys = OFF; %s", breaks[i]);
        sql(in_root(name), statement);
        at_store *store = open_store(in_root(name), AT_STORE_READ);
        CHECK(at_store_check(store, count_finding, &findings) == ACTUNE_DATABASE && findings > 0, "%s", breaks[i]);
        CHECK(error_has(name) && error_has("finding"));
        at_store_close(store);
    }
}

Test(store, findings, .init = setup, .fini = teardown)
{
    in_child("findings", check_findings);
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

Test(store, lock, .init = setup, .fini = teardown)
{
    in_child("lock", check_lock);
}
