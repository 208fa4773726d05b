/* Statements: texts, cache, binding, errors. */
#include "store_internal.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define NOW "CAST(strftime('%s', 'now') AS INTEGER)"
#define WORKLOAD_COLUMNS "w.layout, w.size_bucket, w.channel_bucket, w.inner_bucket, w.in_place, w.regime"
#define CHOICE_COLUMNS(MARGIN, OURS)                                                                                               \
    "SELECT c.device, c.kernel, " WORKLOAD_COLUMNS ", c.variant, c.session, v.description, v.source_hash, c.median_ns, "           \
    "c.ratio_to_copy, c.gain_over_default, c.pct_roof, c.tie_set, c.origin, " MARGIN ", o.description, o.source_hash FROM choice c "      \
    "CROSS JOIN workload w ON w.id = c.workload CROSS JOIN variant v ON v.id = c.variant LEFT JOIN variant o ON o.id = " OURS " "
#define ALL_CHOICES "WHERE ?1 IS NULL AND (?2 IS NULL OR c.kernel = ?2) ORDER BY c.device, c.kernel, " WORKLOAD_COLUMNS
#define DEVICE_CHOICES "WHERE c.device = ?1 AND (?2 IS NULL OR c.kernel = ?2) ORDER BY c.device, c.kernel, " WORKLOAD_COLUMNS
#define BUILD_COLUMNS(REGISTERS, SPILLS)                                                                                           \
    "SELECT v.description, b.variant, b.toolchain, b.arch, b.ok, b.compile_ms, b.code_bytes, coalesce(" REGISTERS ", -1), "       \
    "coalesce(" SPILLS ", -1), b.log FROM build b CROSS JOIN variant v ON v.id = b.variant WHERE ?1 IS NULL OR v.kernel = ?1 ORDER BY b.id"
#define MEASUREMENT_COLUMNS                                                                                                        \
    "SELECT v.description, m.variant, m.session, " WORKLOAD_COLUMNS ", m.median_ns, m.low_ns, m.high_ns, m.ratio_to_copy, m.samples " \
    "FROM variant v CROSS JOIN measurement m ON m.variant = v.id CROSS JOIN session s ON s.id = m.session "                        \
    "CROSS JOIN workload w ON w.id = m.workload "

/* CROSS JOIN fixes the order of the loops: no statistics decide whether a lookup is fast. */
static const char *const texts[AT_SQL_COUNT] = {
    [AT_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [AT_SQL_COMMIT] = "COMMIT",
    [AT_SQL_ROLLBACK] = "ROLLBACK",
    [AT_SQL_PUT_DEVICE] = "INSERT INTO device VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET processors = excluded.processors "
                          "WHERE processors <> excluded.processors",
    [AT_SQL_PUT_KERNEL] = "INSERT INTO kernel VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
    [AT_SQL_PUT_ENVIRONMENT] = "INSERT INTO environment (description) VALUES (?) ON CONFLICT (description) DO NOTHING",
    [AT_SQL_FIND_ENVIRONMENT] = "SELECT id FROM environment WHERE description = ?",
    [AT_SQL_PUT_SESSION] = "INSERT INTO session (device, environment, protocol, seed, started) VALUES (?, ?, ?, ?, " NOW ")",
    [AT_SQL_PUT_VARIANT] = "INSERT INTO variant (kernel, source_hash, description) VALUES (?, ?, ?) "
                           "ON CONFLICT (kernel, source_hash, description) DO NOTHING",
    [AT_SQL_FIND_VARIANT] = "SELECT id FROM variant WHERE kernel = ? AND source_hash = ? AND description = ?",
    [AT_SQL_PUT_BUILD] = "INSERT INTO build (variant, toolchain, arch, ok, compile_ms, code_bytes, registers, spill_bytes, log) "
                         "VALUES (?, ?, ?, ?, ?, ?, nullif(?, -1), nullif(?, -1), ?) "
                         "ON CONFLICT (variant, toolchain, arch) DO UPDATE SET ok = excluded.ok, compile_ms = excluded.compile_ms, "
                         "code_bytes = excluded.code_bytes, registers = excluded.registers, spill_bytes = excluded.spill_bytes, log = excluded.log",
    [AT_SQL_PUT_WORKLOAD] = "INSERT INTO workload (layout, size_bucket, channel_bucket, inner_bucket, in_place, regime) "
                            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    [AT_SQL_FIND_WORKLOAD] = "SELECT id FROM workload WHERE layout = ? AND size_bucket = ? AND channel_bucket = ? AND inner_bucket = ? "
                             "AND in_place = ? AND regime = ?",
    [AT_SQL_PUT_MEASUREMENT] = "INSERT INTO measurement (variant, session, workload, median_ns, low_ns, high_ns, ratio_to_copy, samples) "
                               "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [AT_SQL_PUT_VERIFICATION] = "INSERT INTO verification (variant, passed, max_error_ulp, max_error_absolute, method, detail) "
                                "VALUES (?, ?, ?, ?, ?, ?)",
    [AT_SQL_PUT_CHOICE] = "INSERT INTO choice (device, kernel, workload, variant, session, median_ns, ratio_to_copy, gain_over_default, "
                          "pct_roof, margin, tie_set, origin, ours, decided) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), " NOW ") "
                          "ON CONFLICT (device, kernel, workload) "
                          "DO UPDATE SET variant = excluded.variant, session = excluded.session, median_ns = excluded.median_ns, "
                          "ratio_to_copy = excluded.ratio_to_copy, gain_over_default = excluded.gain_over_default, "
                          "pct_roof = excluded.pct_roof, margin = excluded.margin, tie_set = excluded.tie_set, origin = excluded.origin, ours = excluded.ours, decided = excluded.decided",
    [AT_SQL_PUT_PROGRESS] = "INSERT INTO progress (device, kernel, workload, stage, arm, source_hash, conditions, stored, samples) "
                            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [AT_SQL_DROP_PROGRESS] = "DELETE FROM progress WHERE device = ?1 AND kernel = ?2 AND stage = ?3 AND (?4 IS NULL OR workload IN "
                             "(SELECT id FROM workload WHERE layout = ?4)) AND (?5 IS NULL OR workload = ?5)",
    [AT_SQL_RACE_PROGRESS] = "SELECT arm, source_hash, stored, samples FROM progress WHERE device = ? AND kernel = ? AND stage = ? AND "
                             "conditions = ? AND workload = ? ORDER BY arm",
    [AT_SQL_ANY_PROGRESS] = "SELECT count(*) FROM progress p CROSS JOIN workload w ON w.id = p.workload WHERE p.device = ? AND p.kernel = ? "
                            "AND p.stage = ? AND p.conditions = ? AND w.layout = ?",
    [AT_SQL_PUT_REQUEST] = "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, " NOW ") ON CONFLICT DO UPDATE SET asked = asked + 1, "
                           "last = excluded.last",
    [AT_SQL_DROP_REQUEST] = "DELETE FROM request WHERE device = ? AND spec = ? AND direction = ? AND dtype_in = ? AND dtype_out = ? AND "
                            "gradients = ? AND outer = ? AND channels = ? AND inner = ? AND in_place = ?",
    [AT_SQL_ALL_REQUESTS] = "SELECT device, spec, direction, dtype_in, dtype_out, gradients, outer, channels, inner, in_place, asked FROM request "
                            "WHERE ?1 IS NULL OR device = ?1 ORDER BY device, spec, direction, dtype_in, dtype_out, gradients, outer, channels, inner, in_place",
    [AT_SQL_ALL_BUILDS] = BUILD_COLUMNS("b.registers", "b.spill_bytes"),
    [AT_SQL_ALL_SESSIONS] = "SELECT s.id, s.started, s.device, e.description, s.protocol, s.seed FROM session s CROSS JOIN environment e "
                            "ON e.id = s.environment ORDER BY s.id",
    [AT_SQL_ALL_VERIFICATIONS] = "SELECT v.description, f.variant, f.passed, f.max_error_ulp, f.max_error_absolute, f.method, f.detail FROM "
                                 "verification f CROSS JOIN variant v ON v.id = f.variant WHERE ?1 IS NULL OR v.kernel = ?1 ORDER BY f.id",
    [AT_SQL_ALL_CHOICES] = CHOICE_COLUMNS("c.margin", "c.ours") ALL_CHOICES,
    [AT_SQL_DEVICE_CHOICES] = CHOICE_COLUMNS("c.margin", "c.ours") DEVICE_CHOICES,
    [AT_SQL_ALL_KERNELS] = "SELECT hash, spec, direction, dtype_in, dtype_out, accuracy FROM kernel WHERE ?1 IS NULL ORDER BY spec, hash",
    [AT_SQL_SPEC_KERNELS] = "SELECT hash, spec, direction, dtype_in, dtype_out, accuracy FROM kernel WHERE spec = ?1 ORDER BY hash",
    [AT_SQL_ALL_DEVICES] = "SELECT id, kind, model, capability, processors, l1d_bytes, l2_bytes, l3_bytes FROM device ORDER BY id",
    [AT_SQL_ALL_MEASUREMENTS] = MEASUREMENT_COLUMNS "WHERE ?1 IS NULL AND (?2 IS NULL OR s.device = ?2) AND (?3 IS NULL OR m.workload = ?3) "
                                                    "ORDER BY v.id, m.id",
    [AT_SQL_KERNEL_MEASUREMENTS] = MEASUREMENT_COLUMNS "WHERE v.kernel = ?1 AND (?2 IS NULL OR s.device = ?2) AND (?3 IS NULL OR "
                                                       "m.workload = ?3) ORDER BY v.id, m.id",
    [AT_SQL_FIND_VERIFICATION] = "SELECT f.variant, f.passed, f.max_error_ulp, f.max_error_absolute, f.method, f.detail FROM variant v CROSS JOIN "
                                 "verification f ON f.variant = v.id WHERE v.source_hash = ?1 ORDER BY f.passed = 0 AND f.id = (SELECT max(l.id) FROM "
                                 "variant o CROSS JOIN verification l ON l.variant = o.id WHERE o.source_hash = ?1) DESC, "
                                 "f.passed AND f.method = 'exhaustive' DESC, f.id DESC LIMIT 1",
};

/* What a reader asks of a file of version 1, which only a writer brings up to date. */
static const char *const texts_of_1[AT_SQL_COUNT] = {
    [AT_SQL_ALL_CHOICES] = CHOICE_COLUMNS("NULL", "NULL") ALL_CHOICES,
    [AT_SQL_DEVICE_CHOICES] = CHOICE_COLUMNS("NULL", "NULL") DEVICE_CHOICES,
    [AT_SQL_ALL_BUILDS] = BUILD_COLUMNS("NULL", "NULL"),
    [AT_SQL_RACE_PROGRESS] = "SELECT '', '', 0, x'' WHERE 0 AND ?5",
    [AT_SQL_ANY_PROGRESS] = "SELECT 0 WHERE 1 OR ?5",
};

/* The same of version 2. */
static const char *const texts_of_2[AT_SQL_COUNT] = {
    [AT_SQL_ALL_CHOICES] = CHOICE_COLUMNS("c.margin", "NULL") ALL_CHOICES,
    [AT_SQL_DEVICE_CHOICES] = CHOICE_COLUMNS("c.margin", "NULL") DEVICE_CHOICES,
};

/* What a person can do about it. */
static const struct {
    int code;
    actune_status status;
    const char *advice;
} advices[] = {
    {SQLITE_BUSY, ACTUNE_BUSY, "another process has kept it busy for 10 s; try again when it is done"},
    {SQLITE_LOCKED, ACTUNE_BUSY, "it is in use by this process"},
    {SQLITE_CORRUPT, ACTUNE_DATABASE, "the file is damaged: restore it from a copy, or move it away and tune again"},
    {SQLITE_NOTADB, ACTUNE_DATABASE, "the file is damaged or no database: restore it from a copy, or move it away and tune again"},
    {SQLITE_FULL, ACTUNE_IO, "the disk is full"},
    {SQLITE_READONLY, ACTUNE_IO, "the file or its folder may not be written: name another file (--db, ACTUNE_DB)"},
    {SQLITE_CANTOPEN, ACTUNE_IO, "the file or one beside it cannot be opened: look at the rights of the file and its folder"},
    {SQLITE_PERM, ACTUNE_IO, "look at the rights of the file and its folder"},
    {SQLITE_IOERR, ACTUNE_IO, "reading or writing failed: look at the disk"},
    {SQLITE_NOMEM, ACTUNE_NO_MEMORY, "memory is out"},
    {SQLITE_CONSTRAINT, ACTUNE_INVALID_ARGUMENT, "a value is missing, out of range, or names a row that is not there"},
};

actune_status at_store_fail(const at_store *store, const char *action)
{
    int code = sqlite3_errcode(store->db);
    const char *text = sqlite3_errmsg(store->db);
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
        if (advices[i].code == (code & 0xff))
            return at_fail(advices[i].status, "%s: %s: %s (%s)", store->path, action, advices[i].advice, text);
    return at_fail(ACTUNE_DATABASE, "%s: %s: %s", store->path, action, text);
}

actune_status at_store_exec(at_store *store, const char *sql, const char *action)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) ? at_store_fail(store, action) : ACTUNE_OK;
}

actune_status at_store_integer(at_store *store, const char *sql, int64_t fallback, int64_t *value)
{
    sqlite3_stmt *statement = NULL;
    *value = fallback;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (!code && (code = sqlite3_step(statement)) == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    actune_status status = code == SQLITE_ROW || code == SQLITE_DONE ? ACTUNE_OK : at_store_fail(store, "reading");
    sqlite3_finalize(statement);
    return status;
}

/* As the open file can answer it. */
static const char *text_of(const at_store *store, at_sql sql)
{
    const char *older = store->version == 1 ? texts_of_1[sql] : store->version == 2 ? texts_of_2[sql] : NULL;
    return older ? older : texts[sql];
}

actune_status at_store_take(at_store *store, at_sql sql, sqlite3_stmt **statement)
{
    *statement = store->statement[sql];
    if (*statement && !sqlite3_stmt_busy(*statement))
        return ACTUNE_OK;
    sqlite3_stmt *made = NULL;
    if (sqlite3_prepare_v3(store->db, text_of(store, sql), -1, *statement ? 0 : SQLITE_PREPARE_PERSISTENT, &made, NULL))
        return at_store_fail(store, "preparing a statement");
    if (!*statement)
        store->statement[sql] = made;
    *statement = made;
    return ACTUNE_OK;
}

void at_store_give(at_store *store, at_sql sql, sqlite3_stmt *statement)
{
    if (statement != store->statement[sql]) {
        sqlite3_finalize(statement);
        return;
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

static int bind_next(sqlite3_stmt *statement, int index, char letter, va_list *arguments)
{
    if (letter == 's') {
        const char *text = va_arg(*arguments, const char *);
        return text ? sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC) : sqlite3_bind_null(statement, index);
    }
    if (letter == 'i')
        return sqlite3_bind_int64(statement, index, va_arg(*arguments, int64_t));
    if (letter == 'b')
        return sqlite3_bind_int(statement, index, va_arg(*arguments, int));
    if (letter == 'd') {
        double value = va_arg(*arguments, double);
        return isfinite(value) ? sqlite3_bind_double(statement, index, value) : sqlite3_bind_null(statement, index);
    }
    const void *bytes = va_arg(*arguments, const void *);
    int size = va_arg(*arguments, int);
    return size ? sqlite3_bind_blob(statement, index, bytes, size, SQLITE_STATIC) : sqlite3_bind_zeroblob(statement, index, 0);
}

actune_status at_store_bind(at_store *store, sqlite3_stmt *statement, const char *letters, ...)
{
    va_list arguments;
    int code = SQLITE_OK;
    va_start(arguments, letters);
    for (int i = 0; letters[i] && !code; i++)
        code = bind_next(statement, i + 1, letters[i], &arguments);
    va_end(arguments);
    return code ? at_store_fail(store, "binding values") : ACTUNE_OK;
}

actune_status at_store_finish(at_store *store, at_sql sql, sqlite3_stmt *statement, const char *action)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        continue;
    actune_status status = code == SQLITE_DONE ? ACTUNE_OK : at_store_fail(store, action);
    at_store_give(store, sql, statement);
    return status;
}
