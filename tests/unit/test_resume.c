/* A run that is killed in the middle of a race: the same command takes up its samples, and nothing else does. */
#include "db/store.h"
#include "tuner/tune.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARMS_MAX = 512, SAMPLES_MAX = 64, KILLED_AT = 4, SEED = 3 }; /* a race of 5 rounds may be over: at the roof */

static char folder[64], database[96], cache_folder[96];
static at_kernel kernel;
static at_device machine;

static void open_place(void)
{
    at_spec spec;
    at_kernel_request request = {.direction = ACTUNE_FORWARD};
    strcpy(folder, "/tmp/actune-test-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/tune.db", folder);
    snprintf(cache_folder, sizeof cache_folder, "%s/cache", folder);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    cr_assert_eq(at_device_get("cpu", &machine), ACTUNE_OK);
    snprintf(machine.id, sizeof machine.id, "cpu-test-%d", (int)getpid());
    cr_assert_eq(at_spec_parse("hardswish", &spec), ACTUNE_OK);
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK);
    at_spec_clear(&spec);
}

static void close_place(void)
{
    char command[128];
    at_kernel_clear(&kernel);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

/* Rounds of this run, in the first stage and in the sizes (when the first stage's work units are done). */
static int core_rounds, size_rounds, kill_core_at, kill_size_at;

static void count_rounds(void *user, const at_tune_progress *progress)
{
    static int done;
    (void)user;
    if (strcmp(progress->step, "measure") || progress->done != done) {
        done = progress->done;
        return;
    }
    int *rounds = progress->done == 0 ? &core_rounds : &size_rounds;
    ++*rounds;
    if ((kill_core_at && core_rounds == kill_core_at) || (kill_size_at && size_rounds == kill_size_at))
        raise(SIGKILL);
}

static const at_tune_item items[] = {{&kernel, {1, 1, 4096}, false}};

static actune_status tune(int64_t seed)
{
    at_tune_result result[1];
    at_tune_options options = {.seed = seed, .budget_s = 20, .progress = count_rounds, .save_every_s = 1e-9};
    at_store *store;
    at_cache *cache;
    core_rounds = size_rounds = 0;
    cr_assert_eq(at_store_open(database, AT_STORE_WRITE, &store), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_cache_open(cache_folder, &cache), ACTUNE_OK, "%s", actune_last_error());
    actune_status status = at_tune(store, cache, &machine, items, 1, &options, result);
    at_store_close(store);
    at_cache_close(cache);
    return status ? status : result[0].status;
}

static void tune_killed(int core, int size)
{
    int how;
    pid_t child = fork();
    if (child == 0) {
        kill_core_at = core;
        kill_size_at = size;
        tune(SEED);
        _exit(0);
    }
    waitpid(child, &how, 0);
    cr_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL, "the run was over before it was killed: %d", how);
    kill_core_at = kill_size_at = 0;
}

typedef struct kept {
    struct {
        char name[256];
        double sample[SAMPLES_MAX];
        int samples;
    } arm[ARMS_MAX];
    int arms, rounds;
} kept;

static kept before;

static sqlite3 *open_database(void)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(database, &db), SQLITE_OK);
    return db;
}

static int64_t number(const char *sql)
{
    sqlite3 *db = open_database();
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

static void change(const char *sql)
{
    sqlite3 *db = open_database();
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void read_kept(const char *stage)
{
    char sql[200];
    sqlite3 *db = open_database();
    sqlite3_stmt *statement;
    snprintf(sql, sizeof sql, "SELECT arm, samples FROM progress WHERE stage = '%s'", stage);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    before.arms = before.rounds = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        cr_assert(before.arms < ARMS_MAX);
        snprintf(before.arm[before.arms].name, sizeof before.arm->name, "%s", sqlite3_column_text(statement, 0));
        int bytes = sqlite3_column_bytes(statement, 1), samples = bytes / (int)sizeof(double);
        memcpy(before.arm[before.arms].sample, sqlite3_column_blob(statement, 1), (size_t)bytes);
        before.arm[before.arms++].samples = samples;
        before.rounds = samples > before.rounds ? samples : before.rounds;
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* How many stored measurements begin with the samples that were kept of their arm, and how many do not. Sample i is of
   round i: an arm that was out before the last round kept must stay out. */
static void compare(int bucket, int *taken_up, int *other)
{
    char sql[300];
    sqlite3 *db = open_database();
    sqlite3_stmt *statement;
    snprintf(sql, sizeof sql,
             "SELECT v.description, m.samples FROM measurement m JOIN variant v ON v.id = m.variant JOIN workload w ON "
             "w.id = m.workload WHERE w.size_bucket = %d AND v.description <> 'baseline/autovec'",
             bucket);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    *taken_up = *other = 0;
    while (sqlite3_step(statement) == SQLITE_ROW)
        for (int i = 0; i < before.arms; i++) {
            if (strcmp(before.arm[i].name, (const char *)sqlite3_column_text(statement, 0)))
                continue;
            size_t bytes = (size_t)before.arm[i].samples * sizeof(double),
                   now = (size_t)sqlite3_column_bytes(statement, 1);
            bool was_out = before.arm[i].samples < before.rounds;
            bool same = (was_out ? now == bytes : now >= bytes) &&
                        !memcmp(sqlite3_column_blob(statement, 1), before.arm[i].sample, bytes);
            ++*(same ? taken_up : other);
        }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

Test(resume, killed_in_a_size, .timeout = 120)
{
    int taken_up, other;
    open_place();
    tune_killed(0, KILLED_AT);
    read_kept("size");
    cr_assert_eq(before.rounds, KILLED_AT, "every round is kept, %d", before.rounds);
    cr_assert_eq(number("SELECT count(*) FROM choice"), 0);
    int64_t core = number("SELECT count(*) FROM measurement");
    cr_assert_gt(core, 0, "the first stage is stored");
    cr_assert_eq(tune(SEED), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_eq(core_rounds, 0, "the first stage was measured again: %d rounds", core_rounds);
    compare(12, &taken_up, &other);
    cr_expect(taken_up > 3 && other == 0, "%d arms go on, %d do not", taken_up, other);
    int64_t rounds = number("SELECT max(length(samples)) / 8 FROM measurement m JOIN workload w ON w.id = m.workload "
                            "WHERE w.size_bucket = 12");
    cr_expect_eq(rounds, KILLED_AT + size_rounds, "%d rounds in all, %d of them now", (int)rounds, size_rounds);
    cr_expect_eq(number("SELECT count(*) FROM choice"), 1);
    cr_expect_eq(
        number("SELECT count(*) FROM (SELECT 1 FROM measurement GROUP BY variant, workload HAVING count(*) > 1)"), 0,
        "stored twice");
    cr_expect_eq(number("SELECT count(*) FROM progress"), 0, "nothing is left over");
    close_place();
}

/* It has fewer samples than the others, and gets no more. */
Test(resume, an_arm_that_was_out_stays_out, .timeout = 120)
{
    int taken_up, other;
    open_place();
    tune_killed(0, KILLED_AT);
    change("UPDATE progress SET samples = substr(samples, 1, 3 * 8) WHERE stage = 'size' AND arm = (SELECT max(arm) FROM progress WHERE "
           "stage = 'size' AND length(samples) = 4 * 8 AND arm LIKE 'cpu/%' AND arm NOT LIKE '%unroll=1 store=plain prefetch=0 threads=1')");
    int64_t out = number("SELECT count(*) FROM progress WHERE length(samples) = 24 AND stage = 'size'");
    cr_assert_geq(out, 1);
    read_kept("size");
    cr_assert_eq(tune(SEED), ACTUNE_OK, "%s", actune_last_error());
    compare(12, &taken_up, &other);
    cr_expect(taken_up > 3 && other == 0, "%d arms go on, %d do not", taken_up, other);
    cr_expect_geq(number("SELECT count(*) FROM measurement m JOIN workload w ON w.id = m.workload WHERE w.size_bucket = 12 AND length(samples) = 24"),
                  out);
    close_place();
}

Test(resume, killed_in_the_first_stage, .timeout = 120)
{
    int taken_up, other;
    open_place();
    tune_killed(KILLED_AT, 0);
    read_kept("core");
    cr_assert_eq(before.rounds, KILLED_AT);
    cr_assert_eq(number("SELECT count(*) FROM measurement"), 0);
    cr_assert_eq(tune(SEED), ACTUNE_OK, "%s", actune_last_error());
    compare(14, &taken_up, &other);
    cr_expect(taken_up > 5 && other == 0, "%d arms go on, %d do not", taken_up, other);
    cr_expect_eq(number("SELECT count(*) FROM progress"), 0);
    close_place();
}

/* Another seed, another environment, other source: not a sample of the killed run is used. */
Test(resume, never_mixed, .timeout = 240)
{
    static const char *const changes[] = {
        "UPDATE progress SET conditions = 'another machine state'",
        "UPDATE progress SET source_hash = 'other source' WHERE arm LIKE 'cpu/%'", NULL, /* another seed */
    };
    for (int i = 0; i < 3; i++) {
        int taken_up, other;
        open_place();
        tune_killed(0, KILLED_AT);
        read_kept("size");
        if (changes[i])
            change(changes[i]);
        cr_assert_eq(tune(changes[i] ? SEED : SEED + 1), ACTUNE_OK, "%s", actune_last_error());
        cr_expect_gt(core_rounds, 0);
        compare(12, &taken_up, &other);
        cr_expect(taken_up == 0 && other > 3, "case %d: %d arms go on", i, taken_up);
        close_place();
    }
}
