/* Integrity: SQLite's own check, foreign keys, and what the schema cannot say. */
#include "store_internal.h"

#include "../runtime/base/strbuf.h"

#include <string.h>

typedef struct finder {
    actune_status (*report)(void *user, const char *line);
    void *user;
    int findings;
} finder;

static actune_status tell(finder *f, const char *what, const char *row)
{
    at_strbuf line = {0};
    at_strbuf_printf(&line, "%s: %s", what, row ? row : "?");
    actune_status status = at_strbuf_status(&line);
    if (!status && f->report)
        status = f->report(f->user, at_strbuf_text(&line));
    at_strbuf_clear(&line);
    f->findings++;
    return status;
}

/* Every row of a statement is a finding, but for `sound`. */
static const struct {
    const char *what, *sql, *sound;
} checks[] = {
    {"file", "PRAGMA integrity_check(20)", "ok"},
    {"reference to a row that is not there", "SELECT \"table\" || ' row ' || coalesce(rowid, '') || ' -> ' || parent FROM pragma_foreign_key_check LIMIT 20", NULL},
    {"choice of a variant of another kernel",
     "SELECT c.kernel FROM choice c JOIN variant v ON v.id = c.variant WHERE v.kernel <> c.kernel LIMIT 20", NULL},
    {"choice from a session on another device",
     "SELECT c.kernel FROM choice c JOIN session s ON s.id = c.session WHERE s.device <> c.device AND c.origin = 'measured' LIMIT 20", NULL},
    {"choice without a time", "SELECT kernel FROM choice WHERE NOT median_ns > 0 LIMIT 20", NULL},
    {"choice of a variant that failed its verification",
     "SELECT c.kernel FROM choice c WHERE (SELECT passed FROM verification WHERE variant = c.variant ORDER BY id DESC LIMIT 1) = 0 LIMIT 20", NULL},
    {"measurement whose median is outside of its interval",
     "SELECT id FROM measurement WHERE median_ns < low_ns OR median_ns > high_ns LIMIT 20", NULL},
    {"bucket of a layout that has none",
     "SELECT id FROM workload WHERE layout = 'flat' AND (channel_bucket <> 0 OR inner_bucket <> 0) LIMIT 20", NULL},
};

static actune_status run_check(at_store *store, size_t index, finder *f)
{
    sqlite3_stmt *statement = NULL;
    actune_status status = ACTUNE_OK;
    int code = sqlite3_prepare_v2(store->db, checks[index].sql, -1, &statement, NULL);
    while (!code && !status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *row = (const char *)sqlite3_column_text(statement, 0);
        if (!checks[index].sound || !row || strcmp(row, checks[index].sound))
            status = tell(f, checks[index].what, row);
        code = SQLITE_OK;
    }
    if (!status && code != SQLITE_DONE)
        status = tell(f, checks[index].what, sqlite3_errmsg(store->db));
    sqlite3_finalize(statement);
    return status;
}

actune_status at_store_check(at_store *store, actune_status (*report)(void *user, const char *line), void *user)
{
    finder f = {report, user, 0};
    for (size_t i = 0; store && i < sizeof checks / sizeof *checks; i++)
        AT_TRY(run_check(store, i, &f));
    if (f.findings)
        return at_fail(ACTUNE_DATABASE, "%s: %d finding%s: restore the file from a copy, or move it away and tune again", store->path,
                       f.findings, f.findings == 1 ? "" : "s");
    return ACTUNE_OK;
}
