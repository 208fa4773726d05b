/* Tuning modes of a context, and its log. */
#include "db/store.h"

#include <actune/actune.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], database[96], cache_folder[96];

static void set_up(void)
{
    strcpy(folder, "/tmp/actune-test-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/tune.db", folder);
    snprintf(cache_folder, sizeof cache_folder, "%s/cache", folder);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    unsetenv("ACTUNE_INTERPRET");
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(tuning, .init = set_up, .fini = tear_down, .timeout = 120);

typedef struct lines {
    int count, warnings;
    char last[1024];
} lines;

static void keep_line(void *user, bool warning, const char *message)
{
    lines *log = user;
    log->count++;
    log->warnings += warning;
    snprintf(log->last, sizeof log->last, "%s", message);
}

static actune_context *open_context(actune_tuning mode, lines *log)
{
    actune_context_options options = {.database = database,
                                      .cache_folder = cache_folder,
                                      .max_threads = 1,
                                      .tuning = mode,
                                      .tune_seconds = 20,
                                      .log = log != NULL ? keep_line : NULL,
                                      .log_user = log};
    actune_context *context;
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    return context;
}

static actune_plan_info info_of(actune_context *context, const actune_plan_desc *desc, actune_plan **plan)
{
    actune_plan_info info;
    cr_assert_eq(actune_plan_create(context, desc, plan), ACTUNE_OK, "%s", actune_last_error());
    actune_plan_describe(*plan, &info);
    return info;
}

typedef struct requests {
    int count, asked;
    char last[200];
} requests;

static actune_status see(void *user, const at_store_request *r)
{
    requests *got = user;
    got->count++;
    got->asked += (int)r->asked;
    snprintf(got->last, sizeof got->last, "%s %s %s %s [%s] %d %d %d %d", r->spec, r->direction, r->dtype_in, r->dtype_out, r->gradients,
             (int)r->shape.outer, (int)r->shape.channels, (int)r->shape.inner, r->in_place);
    return ACTUNE_OK;
}

static requests recorded(void)
{
    requests got = {0};
    at_store *store;
    cr_assert_eq(at_store_open(database, AT_STORE_READ, &store), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_store_each_request(store, NULL, see, &got), ACTUNE_OK);
    at_store_close(store);
    return got;
}

/* A request a plan without a winner of its size; none for an empty one, none for a text that nobody can read later. */
Test(tuning, record)
{
    static const char *const gradients[] = {"bias"};
    static const actune_source sources[] = {{"twice.c", "float twice(float x) { return 2 * x; }\n"}};
    lines log = {0};
    actune_context *context = open_context(ACTUNE_TUNING_RECORD, &log);
    actune_plan_desc desc = {.spec = "Bias|relu", .direction = ACTUNE_BACKWARD, .dtype_in = ACTUNE_F16, .shape = {4, 8, 1}, .gradients = gradients,
                             .gradient_count = 1};
    actune_plan *plan;
    for (int i = 0; i < 2; i++) {
        actune_plan_info info = info_of(context, &desc, &plan);
        cr_assert_str_eq(info.note, "");
        actune_plan_destroy(plan);
    }
    requests got = recorded();
    cr_assert(got.count == 1 && got.asked == 2, "%d %d", got.count, got.asked);
    cr_assert_str_eq(got.last, "bias | relu backward f16 f32 [bias] 4 8 1 0");
    cr_assert(log.count == 2 && log.warnings == 0 && strstr(log.last, "bias | relu, backward, [4, 8, 1]: cpu/channel_inner"), "%s", log.last);

    actune_plan_desc empty = {.spec = "relu", .shape = {0, 8, 1}}, text = {.spec = "@twice.c:twice", .shape = {1, 1, 64}, .sources = sources, .source_count = 1};
    info_of(context, &empty, &plan);
    actune_plan_destroy(plan);
    actune_plan_info info = info_of(context, &text, &plan);
    cr_assert(strstr(info.note, "not recorded: twice.c is a text"), "%s", info.note);
    cr_assert(log.warnings == 1 && strstr(log.last, "not recorded"), "%s", log.last);
    actune_plan_destroy(plan);
    cr_assert_eq(recorded().count, 1);
    actune_context_close(context);
}

/* A database that cannot be written is no reason to fail: here its folder is a file by the time of the plan. */
Test(tuning, record_where_nothing_can_be_written)
{
    actune_context *context = open_context(ACTUNE_TUNING_RECORD, NULL);
    actune_plan_desc desc = {.spec = "relu", .shape = {1, 1, 64}};
    actune_plan *plan;
    cr_assert_eq(mkdir(database, 0700), 0);
    actune_plan_info info = info_of(context, &desc, &plan);
    cr_assert(strstr(info.note, "not recorded: "), "%s", info.note);
    actune_plan_destroy(plan);
    actune_context_close(context);
}

/* The first plan of a size is tuned, the next finds the winner, and another context does; OFF does not look. */
Test(tuning, tune)
{
    lines log = {0};
    actune_context *context = open_context(ACTUNE_TUNING_TUNE, &log);
    actune_plan_desc desc = {.spec = "clip(-1, 1)", .shape = {1, 1, 3000}};
    static float x[3000], y[3000];
    actune_buffer buffers[] = {{x, 3000, ACTUNE_F32}, {y, 3000, ACTUNE_F32}};
    actune_plan *plan, *again;
    actune_plan_info info = info_of(context, &desc, &plan);
    cr_assert_str_eq(info.tier, "exact", "%s: %s", info.tier, info.note);
    cr_assert_eq(log.count, 2, "%d lines, the last: %s", log.count, log.last);
    info = info_of(context, &desc, &again);
    cr_assert_str_eq(info.tier, "exact");
    cr_assert_eq(log.count, 3, "tuned once");
    x[0] = -3, x[2999] = 0.5f;
    cr_assert_eq(actune_execute(plan, buffers, 2), ACTUNE_OK);
    cr_assert(y[0] == -1 && y[2999] == 0.5f);
    actune_plan_destroy(plan);
    actune_plan_destroy(again);
    actune_context_close(context);
    context = open_context(ACTUNE_TUNING_CACHED, NULL);
    cr_assert_str_eq(info_of(context, &desc, &plan).tier, "exact");
    actune_plan_destroy(plan);
    actune_context_close(context);
    context = open_context(ACTUNE_TUNING_OFF, NULL);
    cr_assert_str_eq(info_of(context, &desc, &plan).tier, "default");
    actune_plan_destroy(plan);
    actune_context_close(context);
}

/* Without a compiler there is nothing to tune; the plan works and says so. */
Test(tuning, tune_without_a_compiler)
{
    actune_context_options options = {
        .database = database, .cache_folder = cache_folder, .tuning = ACTUNE_TUNING_TUNE, .no_compile = true};
    actune_context *context;
    actune_plan *plan;
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK);
    actune_plan_desc desc = {.spec = "relu", .shape = {1, 1, 64}};
    actune_plan_info info = info_of(context, &desc, &plan);
    cr_assert(!strcmp(info.tier, "interpreter") && strstr(info.note, "not tuned"), "%s: %s", info.tier, info.note);
    actune_plan_destroy(plan);
    actune_context_close(context);
}

Test(tuning, options_that_make_no_sense)
{
    static const struct {
        actune_context_options options;
        const char *says;
    } wrong[] = {
        {{.database = "", .tuning = (actune_tuning)9}, "tuning 9"},
        {{.database = "", .tuning = ACTUNE_TUNING_RECORD}, "record needs a database"},
        {{.database = "", .tuning = ACTUNE_TUNING_TUNE}, "tune needs a database"},
        {{.database = "", .tune_seconds = -1}, "tune_seconds is -1"},
        {{.database = "", .tune_seconds = NAN}, "tune_seconds is "},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        actune_context *context;
        cr_assert_eq(actune_context_open(&wrong[i].options, &context), ACTUNE_INVALID_ARGUMENT, "%zu", i);
        cr_assert(strstr(actune_last_error(), wrong[i].says), "%s", actune_last_error());
        cr_assert_null(context);
    }
}
