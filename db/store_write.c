/* Writers: each is one transaction, or part of the caller's. */
#include "store_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static actune_status enter(at_store *store, bool *own)
{
    *own = !store || sqlite3_get_autocommit(store->db);
    return *own ? at_store_begin(store) : ACTUNE_OK;
}

/* A failure leaves the caller's transaction open: it is the caller's to roll back. */
static actune_status leave(at_store *store, bool own, actune_status status)
{
    if (own && !status)
        status = at_store_commit(store);
    if (own && status)
        at_store_rollback(store);
    return status;
}

/* Takes a statement, binds, runs it: `PUT(store, sql, "writing ...", letters, values)` from a function that returns a status. */
#define PUT(store, sql, action, ...)                                             \
    do {                                                                         \
        sqlite3_stmt *put_statement_;                                            \
        AT_TRY(at_store_take(store, sql, &put_statement_));                      \
        actune_status put_status_ = at_store_bind(store, put_statement_, __VA_ARGS__); \
        if (put_status_) {                                                       \
            at_store_give(store, sql, put_statement_);                           \
            return put_status_;                                                  \
        }                                                                        \
        AT_TRY(at_store_finish(store, sql, put_statement_, action));             \
    } while (0)

/* First column of a statement that was bound; 0 when there is no row. */
static actune_status first_integer(at_store *store, at_sql sql, sqlite3_stmt *statement, int64_t *id)
{
    int code = sqlite3_step(statement);
    *id = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    actune_status status = code == SQLITE_ROW || code == SQLITE_DONE ? ACTUNE_OK : at_store_fail(store, "reading");
    at_store_give(store, sql, statement);
    return status;
}

static actune_status put_device(at_store *store, const at_store_device *d)
{
    PUT(store, AT_SQL_PUT_DEVICE, "writing a device", "ssssiiii", d->id, d->kind, d->model, d->capability, d->processors, d->l1d_bytes,
        d->l2_bytes, d->l3_bytes);
    return ACTUNE_OK;
}

static actune_status put_kernel(at_store *store, const at_store_kernel *k)
{
    PUT(store, AT_SQL_PUT_KERNEL, "writing a kernel", "ssssss", k->hash, k->spec, k->direction, k->dtype_in, k->dtype_out, k->accuracy);
    return ACTUNE_OK;
}

static actune_status put_session(at_store *store, const at_store_session *s, int64_t *id)
{
    sqlite3_stmt *find;
    int64_t environment;
    PUT(store, AT_SQL_PUT_ENVIRONMENT, "writing an environment", "s", s->environment);
    AT_TRY(at_store_take(store, AT_SQL_FIND_ENVIRONMENT, &find));
    AT_TRY(at_store_bind(store, find, "s", s->environment));
    AT_TRY(first_integer(store, AT_SQL_FIND_ENVIRONMENT, find, &environment));
    PUT(store, AT_SQL_PUT_SESSION, "writing a session", "sisi", s->device, environment, s->protocol, s->seed);
    *id = sqlite3_last_insert_rowid(store->db);
    return ACTUNE_OK;
}

static actune_status put_variant(at_store *store, const at_store_variant *v, int64_t *id)
{
    sqlite3_stmt *find;
    PUT(store, AT_SQL_PUT_VARIANT, "writing a variant", "sss", v->kernel, v->source_hash, v->text);
    AT_TRY(at_store_take(store, AT_SQL_FIND_VARIANT, &find));
    AT_TRY(at_store_bind(store, find, "sss", v->kernel, v->source_hash, v->text));
    return first_integer(store, AT_SQL_FIND_VARIANT, find, id);
}

actune_status at_store_find_workload(at_store *store, const at_store_workload *w, int64_t *id)
{
    sqlite3_stmt *find;
    AT_TRY(at_store_take(store, AT_SQL_FIND_WORKLOAD, &find));
    AT_TRY(at_store_bind(store, find, "siiibs", w->layout, (int64_t)w->size_bucket, (int64_t)w->channel_bucket,
                         (int64_t)w->inner_bucket, (int)w->in_place, w->regime));
    return first_integer(store, AT_SQL_FIND_WORKLOAD, find, id);
}

static actune_status put_workload(at_store *store, const at_store_workload *w, int64_t *id)
{
    AT_TRY(at_store_find_workload(store, w, id));
    if (*id)
        return ACTUNE_OK;
    PUT(store, AT_SQL_PUT_WORKLOAD, "writing a workload", "siiibs", w->layout, (int64_t)w->size_bucket, (int64_t)w->channel_bucket,
        (int64_t)w->inner_bucket, (int)w->in_place, w->regime);
    return at_store_find_workload(store, w, id);
}

/* The file has little-endian doubles. */
static void to_little_endian(double *values, int count)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (int i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits = __builtin_bswap64(bits);
        memcpy(&values[i], &bits, sizeof bits);
    }
#else
    (void)values;
    (void)count;
#endif
}

static actune_status put_measurement(at_store *store, const at_store_measurement *m, const double *samples)
{
    int64_t workload;
    AT_TRY(put_workload(store, &m->workload, &workload));
    PUT(store, AT_SQL_PUT_MEASUREMENT, "writing a measurement", "iiiddddx", m->variant, m->session, workload, m->median_ns, m->low_ns,
        m->high_ns, m->ratio_to_copy, (const void *)samples, m->samples * (int)sizeof(double));
    return ACTUNE_OK;
}

static actune_status put_choice(at_store *store, const at_store_choice *c)
{
    int64_t workload;
    AT_TRY(put_workload(store, &c->workload, &workload));
    PUT(store, AT_SQL_PUT_CHOICE, "writing a choice", "ssiiidddddssi", c->device, c->kernel, workload, c->variant, c->session, c->median_ns,
        c->ratio_to_copy, c->gain_over_default, c->pct_roof, c->margin, c->tie_set ? c->tie_set : "", c->origin ? c->origin : "measured",
        c->ours);
    return ACTUNE_OK;
}

static actune_status put_verification(at_store *store, const at_store_verification *v)
{
    PUT(store, AT_SQL_PUT_VERIFICATION, "writing a verification", "ibddss", v->variant, (int)v->passed, v->max_error_ulp,
        v->max_error_absolute, v->method ? v->method : "sampled", v->detail ? v->detail : "");
    return ACTUNE_OK;
}

/* The public writers wrap the above in a transaction. */
#define IN_TRANSACTION(store, call)                                  \
    do {                                                             \
        bool own_;                                                   \
        AT_TRY(enter(store, &own_));                                 \
        return leave(store, own_, call);                             \
    } while (0)

actune_status at_store_put_device(at_store *store, const at_store_device *device)
{
    IN_TRANSACTION(store, put_device(store, device));
}

actune_status at_store_put_kernel(at_store *store, const at_store_kernel *kernel)
{
    IN_TRANSACTION(store, put_kernel(store, kernel));
}

actune_status at_store_put_session(at_store *store, const at_store_session *session, int64_t *id)
{
    *id = 0;
    IN_TRANSACTION(store, put_session(store, session, id));
}

actune_status at_store_put_variant(at_store *store, const at_store_variant *variant, int64_t *id)
{
    *id = 0;
    IN_TRANSACTION(store, put_variant(store, variant, id));
}

static actune_status put_build(at_store *store, const at_store_build *b)
{
    PUT(store, AT_SQL_PUT_BUILD, "writing a build", "issbdiiis", b->variant, b->toolchain, b->arch ? b->arch : "", (int)b->ok, b->compile_ms,
        b->code_bytes, (int64_t)b->registers, (int64_t)b->spill_bytes, b->log ? b->log : "");
    return ACTUNE_OK;
}

actune_status at_store_put_build(at_store *store, const at_store_build *build)
{
    IN_TRANSACTION(store, put_build(store, build));
}

/* A copy in the file's byte order; *bytes holds at least one byte. */
static actune_status copy_samples(const double *samples_ns, int count, double **copy)
{
    if (count < 0 || count > INT_MAX / (int)sizeof(double) / 2 || (count && !samples_ns))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "a measurement with %d samples", count);
    size_t bytes = (size_t)count * sizeof(double);
    *copy = malloc(bytes + 1);
    if (!*copy)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory for %d samples", count);
    if (bytes)
        memcpy(*copy, samples_ns, bytes);
    to_little_endian(*copy, count);
    return ACTUNE_OK;
}

actune_status at_store_put_measurement(at_store *store, const at_store_measurement *measurement)
{
    double *samples;
    bool own;
    AT_TRY(copy_samples(measurement->samples_ns, measurement->samples, &samples));
    actune_status status = enter(store, &own);
    if (!status)
        status = leave(store, own, put_measurement(store, measurement, samples));
    free(samples);
    return status;
}

static actune_status drop_progress(at_store *store, const char *device, const char *kernel, const char *stage, const char *layout,
                                   int64_t workload)
{
    PUT(store, AT_SQL_DROP_PROGRESS, "removing a race", workload ? "ssssi" : "ssss", device, kernel, stage, layout, workload);
    return ACTUNE_OK;
}

static actune_status put_arm(at_store *store, const at_store_race *race, int64_t workload, const at_store_progress *arm,
                             const double *samples)
{
    PUT(store, AT_SQL_PUT_PROGRESS, "writing a race", "ssissssbx", race->device, race->kernel, workload, race->stage, arm->arm,
        arm->source_hash, race->conditions, (int)arm->stored, (const void *)samples, arm->samples * (int)sizeof(double));
    return ACTUNE_OK;
}

static actune_status put_progress(at_store *store, const at_store_race *race, const at_store_progress *arms, int count)
{
    int64_t workload;
    AT_TRY(put_workload(store, &race->workload, &workload));
    AT_TRY(drop_progress(store, race->device, race->kernel, race->stage, NULL, workload));
    for (int i = 0; i < count; i++) {
        double *samples;
        AT_TRY(copy_samples(arms[i].samples_ns, arms[i].samples, &samples));
        actune_status status = put_arm(store, race, workload, &arms[i], samples);
        free(samples);
        AT_TRY(status);
    }
    return ACTUNE_OK;
}

actune_status at_store_put_progress(at_store *store, const at_store_race *race, const at_store_progress *arms, int count)
{
    IN_TRANSACTION(store, put_progress(store, race, arms, count));
}

actune_status at_store_drop_progress(at_store *store, const char *device, const char *kernel, const char *stage, const char *layout,
                                     const at_store_workload *workload)
{
    int64_t id = 0;
    if (workload)
        AT_TRY(at_store_find_workload(store, workload, &id));
    if (workload && !id)
        return ACTUNE_OK;
    IN_TRANSACTION(store, drop_progress(store, device, kernel, stage, layout, id));
}

actune_status at_store_put_verification(at_store *store, const at_store_verification *verification)
{
    IN_TRANSACTION(store, put_verification(store, verification));
}

actune_status at_store_put_choice(at_store *store, const at_store_choice *choice)
{
    IN_TRANSACTION(store, put_choice(store, choice));
}
