/* Readers. A NULL store is an empty database. */
#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *text(sqlite3_stmt *statement, int column)
{
    const unsigned char *value = sqlite3_column_text(statement, column);
    return value ? (const char *)value : "";
}

static at_store_workload workload(sqlite3_stmt *s, int column)
{
    return (at_store_workload){.layout = text(s, column),
                               .size_bucket = sqlite3_column_int(s, column + 1),
                               .channel_bucket = sqlite3_column_int(s, column + 2),
                               .inner_bucket = sqlite3_column_int(s, column + 3),
                               .in_place = sqlite3_column_int(s, column + 4) != 0,
                               .regime = text(s, column + 5)};
}

/* One row to the caller. */
typedef actune_status (*row_reader)(void *walk, sqlite3_stmt *statement);

/* Steps over a bound statement, then gives it back. */
static actune_status walk_rows(at_store *store, at_sql sql, sqlite3_stmt *statement, row_reader read, void *walk)
{
    int code;
    actune_status status = ACTUNE_OK;
    while (!status && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = read(walk, statement);
    if (!status && code != SQLITE_DONE)
        status = at_store_fail(store, "reading");
    at_store_give(store, sql, statement);
    return status;
}

typedef struct choice_walk {
    actune_status (*visit)(void *user, const at_store_choice *choice);
    void *user;
} choice_walk;

static actune_status read_choice(void *data, sqlite3_stmt *s)
{
    const choice_walk *walk = data;
    at_store_choice choice = {.device = text(s, 0),
                              .kernel = text(s, 1),
                              .workload = workload(s, 2),
                              .variant = sqlite3_column_int64(s, 8),
                              .session = sqlite3_column_int64(s, 9),
                              .variant_text = text(s, 10),
                              .source_hash = text(s, 11),
                              .median_ns = sqlite3_column_double(s, 12),
                              .ratio_to_copy = sqlite3_column_double(s, 13),
                              .gain_over_default = sqlite3_column_double(s, 14),
                              .pct_roof = sqlite3_column_double(s, 15),
                              .tie_set = text(s, 16),
                              .origin = text(s, 17),
                              .margin = sqlite3_column_double(s, 18),
                              .ours_text = text(s, 19),
                              .ours_hash = text(s, 20)};
    return walk->visit(walk->user, &choice);
}

actune_status at_store_each_choice(at_store *store, const char *device, const char *kernel,
                                   actune_status (*visit)(void *user, const at_store_choice *choice), void *user)
{
    sqlite3_stmt *statement;
    choice_walk walk = {visit, user};
    at_sql sql = device ? AT_SQL_DEVICE_CHOICES : AT_SQL_ALL_CHOICES;
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, sql, &statement));
    AT_TRY(at_store_bind(store, statement, "ss", device, kernel));
    return walk_rows(store, sql, statement, read_choice, &walk);
}

typedef struct kernel_walk {
    actune_status (*visit)(void *user, const at_store_kernel *kernel);
    void *user;
} kernel_walk;

static actune_status read_kernel(void *data, sqlite3_stmt *s)
{
    const kernel_walk *walk = data;
    at_store_kernel kernel = {text(s, 0), text(s, 1), text(s, 2), text(s, 3), text(s, 4), text(s, 5)};
    return walk->visit(walk->user, &kernel);
}

actune_status at_store_each_kernel(at_store *store, const char *spec, actune_status (*visit)(void *user, const at_store_kernel *kernel),
                                   void *user)
{
    sqlite3_stmt *statement;
    kernel_walk walk = {visit, user};
    at_sql sql = spec ? AT_SQL_SPEC_KERNELS : AT_SQL_ALL_KERNELS;
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, sql, &statement));
    AT_TRY(at_store_bind(store, statement, "s", spec));
    return walk_rows(store, sql, statement, read_kernel, &walk);
}

typedef struct device_walk {
    actune_status (*visit)(void *user, const at_store_device *device);
    void *user;
} device_walk;

static actune_status read_device(void *data, sqlite3_stmt *s)
{
    const device_walk *walk = data;
    at_store_device device = {.id = text(s, 0),
                              .kind = text(s, 1),
                              .model = text(s, 2),
                              .capability = text(s, 3),
                              .processors = sqlite3_column_int64(s, 4),
                              .l1d_bytes = sqlite3_column_int64(s, 5),
                              .l2_bytes = sqlite3_column_int64(s, 6),
                              .l3_bytes = sqlite3_column_int64(s, 7)};
    return walk->visit(walk->user, &device);
}

actune_status at_store_each_device(at_store *store, actune_status (*visit)(void *user, const at_store_device *device), void *user)
{
    sqlite3_stmt *statement;
    device_walk walk = {visit, user};
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, AT_SQL_ALL_DEVICES, &statement));
    return walk_rows(store, AT_SQL_ALL_DEVICES, statement, read_device, &walk);
}

/* Samples of the row at hand, aligned and in this machine's byte order. */
typedef struct sample_room {
    double *samples;
    size_t capacity;
} sample_room;

typedef struct measurement_walk {
    actune_status (*visit)(void *user, const char *variant_text, const at_store_measurement *measurement);
    void *user;
    sample_room room;
} measurement_walk;

static actune_status read_samples(sample_room *walk, sqlite3_stmt *s, int column, int *count)
{
    const unsigned char *bytes = sqlite3_column_blob(s, column);
    size_t wanted = (size_t)sqlite3_column_bytes(s, column) / sizeof(double);
    if (wanted > walk->capacity) {
        double *samples = realloc(walk->samples, wanted * sizeof(double));
        if (!samples)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory for %zu samples", wanted);
        walk->samples = samples;
        walk->capacity = wanted;
    }
    for (size_t i = 0; i < wanted; i++) {
        uint64_t bits = 0;
        for (int byte = 7; byte >= 0; byte--)
            bits = bits << 8 | bytes[i * 8 + (size_t)byte];
        memcpy(&walk->samples[i], &bits, sizeof bits);
    }
    *count = (int)wanted;
    return ACTUNE_OK;
}

static actune_status read_measurement(void *data, sqlite3_stmt *s)
{
    measurement_walk *walk = data;
    int samples = 0;
    AT_TRY(read_samples(&walk->room, s, 13, &samples));
    at_store_measurement measurement = {.variant = sqlite3_column_int64(s, 1),
                                        .session = sqlite3_column_int64(s, 2),
                                        .workload = workload(s, 3),
                                        .median_ns = sqlite3_column_double(s, 9),
                                        .low_ns = sqlite3_column_double(s, 10),
                                        .high_ns = sqlite3_column_double(s, 11),
                                        .ratio_to_copy = sqlite3_column_double(s, 12),
                                        .samples_ns = walk->room.samples,
                                        .samples = samples};
    return walk->visit(walk->user, text(s, 0), &measurement);
}

actune_status at_store_each_measurement(at_store *store, const char *device, const char *kernel, const at_store_workload *wanted,
                                        actune_status (*visit)(void *user, const char *variant_text,
                                                               const at_store_measurement *measurement),
                                        void *user)
{
    sqlite3_stmt *statement;
    measurement_walk walk = {.visit = visit, .user = user};
    at_sql sql = kernel ? AT_SQL_KERNEL_MEASUREMENTS : AT_SQL_ALL_MEASUREMENTS;
    int64_t id = 0;
    if (!store)
        return ACTUNE_OK;
    if (wanted)
        AT_TRY(at_store_find_workload(store, wanted, &id));
    if (wanted && !id)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, sql, &statement));
    AT_TRY(at_store_bind(store, statement, wanted ? "ssi" : "ss", kernel, device, id));
    actune_status status = walk_rows(store, sql, statement, read_measurement, &walk);
    free(walk.room.samples);
    return status;
}

typedef struct progress_walk {
    actune_status (*visit)(void *user, const at_store_progress *arm);
    void *user;
    sample_room room;
} progress_walk;

static actune_status read_progress(void *data, sqlite3_stmt *s)
{
    progress_walk *walk = data;
    int samples = 0;
    AT_TRY(read_samples(&walk->room, s, 3, &samples));
    at_store_progress arm = {text(s, 0), text(s, 1), sqlite3_column_int(s, 2) != 0, walk->room.samples, samples};
    return walk->visit(walk->user, &arm);
}

actune_status at_store_each_progress(at_store *store, const at_store_race *race,
                                     actune_status (*visit)(void *user, const at_store_progress *arm), void *user)
{
    sqlite3_stmt *statement;
    progress_walk walk = {.visit = visit, .user = user};
    int64_t workload = 0;
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_find_workload(store, &race->workload, &workload));
    AT_TRY(at_store_take(store, AT_SQL_RACE_PROGRESS, &statement));
    AT_TRY(at_store_bind(store, statement, "ssssi", race->device, race->kernel, race->stage, race->conditions, workload));
    actune_status status = walk_rows(store, AT_SQL_RACE_PROGRESS, statement, read_progress, &walk);
    free(walk.room.samples);
    return status;
}

static actune_status read_count(void *data, sqlite3_stmt *s)
{
    *(bool *)data = sqlite3_column_int64(s, 0) > 0;
    return ACTUNE_OK;
}

actune_status at_store_has_progress(at_store *store, const at_store_race *race, bool *has)
{
    sqlite3_stmt *statement;
    *has = false;
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, AT_SQL_ANY_PROGRESS, &statement));
    AT_TRY(at_store_bind(store, statement, "sssss", race->device, race->kernel, race->stage, race->conditions, race->workload.layout));
    return walk_rows(store, AT_SQL_ANY_PROGRESS, statement, read_count, has);
}

typedef struct build_walk {
    actune_status (*visit)(void *user, const char *variant_text, const at_store_build *build);
    void *user;
} build_walk;

static actune_status read_build(void *data, sqlite3_stmt *s)
{
    const build_walk *walk = data;
    at_store_build build = {.variant = sqlite3_column_int64(s, 1),
                            .toolchain = text(s, 2),
                            .arch = text(s, 3),
                            .ok = sqlite3_column_int(s, 4) != 0,
                            .compile_ms = sqlite3_column_double(s, 5),
                            .code_bytes = sqlite3_column_int64(s, 6),
                            .registers = sqlite3_column_int(s, 7),
                            .spill_bytes = sqlite3_column_int(s, 8),
                            .log = text(s, 9)};
    return walk->visit(walk->user, text(s, 0), &build);
}

actune_status at_store_each_build(at_store *store, const char *kernel,
                                  actune_status (*visit)(void *user, const char *variant_text, const at_store_build *build), void *user)
{
    sqlite3_stmt *statement;
    build_walk walk = {visit, user};
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, AT_SQL_ALL_BUILDS, &statement));
    AT_TRY(at_store_bind(store, statement, "s", kernel));
    return walk_rows(store, AT_SQL_ALL_BUILDS, statement, read_build, &walk);
}

typedef struct session_walk {
    actune_status (*visit)(void *user, int64_t id, int64_t started, const at_store_session *session);
    void *user;
} session_walk;

static actune_status read_session(void *data, sqlite3_stmt *s)
{
    const session_walk *walk = data;
    at_store_session session = {text(s, 2), text(s, 3), text(s, 4), sqlite3_column_int64(s, 5)};
    return walk->visit(walk->user, sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1), &session);
}

actune_status at_store_each_session(at_store *store, actune_status (*visit)(void *user, int64_t id, int64_t started, const at_store_session *session),
                                    void *user)
{
    sqlite3_stmt *statement;
    session_walk walk = {visit, user};
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, AT_SQL_ALL_SESSIONS, &statement));
    return walk_rows(store, AT_SQL_ALL_SESSIONS, statement, read_session, &walk);
}

static at_store_verification verification_of(sqlite3_stmt *s, int column, const char *detail)
{
    bool exhaustive = !strcmp(text(s, column + 4), "exhaustive");
    return (at_store_verification){.variant = sqlite3_column_int64(s, column),
                                   .passed = sqlite3_column_int(s, column + 1) != 0,
                                   .max_error_ulp = sqlite3_column_double(s, column + 2),
                                   .max_error_absolute = sqlite3_column_double(s, column + 3),
                                   .method = exhaustive ? "exhaustive" : "sampled",
                                   .detail = detail};
}

typedef struct verifications_walk {
    actune_status (*visit)(void *user, const char *variant_text, const at_store_verification *verification);
    void *user;
} verifications_walk;

static actune_status read_each_verification(void *data, sqlite3_stmt *s)
{
    const verifications_walk *walk = data;
    at_store_verification row = verification_of(s, 1, text(s, 6));
    return walk->visit(walk->user, text(s, 0), &row);
}

actune_status at_store_each_verification(at_store *store, const char *kernel,
                                         actune_status (*visit)(void *user, const char *variant_text, const at_store_verification *verification),
                                         void *user)
{
    sqlite3_stmt *statement;
    verifications_walk walk = {visit, user};
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, AT_SQL_ALL_VERIFICATIONS, &statement));
    AT_TRY(at_store_bind(store, statement, "s", kernel));
    return walk_rows(store, AT_SQL_ALL_VERIFICATIONS, statement, read_each_verification, &walk);
}

typedef struct verification_walk {
    at_store *store;
    at_store_verification *out;
} verification_walk;

static actune_status read_verification(void *data, sqlite3_stmt *s)
{
    const verification_walk *walk = data;
    char *detail = strdup(text(s, 5));
    if (!detail)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory reading a verification");
    free(walk->store->detail);
    walk->store->detail = detail;
    *walk->out = verification_of(s, 0, detail);
    return ACTUNE_OK;
}

actune_status at_store_find_verification(at_store *store, const char *source_hash, at_store_verification *verification)
{
    sqlite3_stmt *statement;
    verification_walk walk = {store, verification};
    *verification = (at_store_verification){0};
    if (store) {
        AT_TRY(at_store_take(store, AT_SQL_FIND_VERIFICATION, &statement));
        AT_TRY(at_store_bind(store, statement, "s", source_hash));
        AT_TRY(walk_rows(store, AT_SQL_FIND_VERIFICATION, statement, read_verification, &walk));
    }
    return verification->variant ? ACTUNE_OK : at_fail(ACTUNE_NOT_FOUND, "no verification of source %s is stored", source_hash);
}
