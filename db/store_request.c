/* What programs asked for and had no winner for: written by runtimes that record, read by `actune tune --recorded`. */
#include "store_internal.h"

enum { FIRST_VERSION = 4 };

#define KEY(r)                                                                                                                      \
    (r)->device, (r)->spec, (r)->direction, (r)->dtype_in, (r)->dtype_out, (r)->gradients, (r)->shape.outer, (r)->shape.channels, \
        (r)->shape.inner, (int)(r)->in_place

static actune_status run(at_store *store, at_sql sql, const at_store_request *request, const char *action)
{
    sqlite3_stmt *statement;
    AT_TRY(at_store_take(store, sql, &statement));
    actune_status status = at_store_bind(store, statement, "ssssssiiib", KEY(request));
    if (status) {
        at_store_give(store, sql, statement);
        return status;
    }
    return at_store_finish(store, sql, statement, action);
}

/* Each is one statement, so one transaction; it waits for other writers as the database's busy time allows. */
actune_status at_store_put_request(at_store *store, const at_store_request *request)
{
    return run(store, AT_SQL_PUT_REQUEST, request, "writing down a request");
}

actune_status at_store_drop_request(at_store *store, const at_store_request *request)
{
    return run(store, AT_SQL_DROP_REQUEST, request, "taking out a request");
}

static const char *text(sqlite3_stmt *statement, int column)
{
    const unsigned char *value = sqlite3_column_text(statement, column);
    return value ? (const char *)value : "";
}

actune_status at_store_each_request(at_store *store, const char *device, actune_status (*visit)(void *user, const at_store_request *request),
                                    void *user)
{
    sqlite3_stmt *statement;
    if (!store || store->version < FIRST_VERSION)
        return ACTUNE_OK;
    AT_TRY(at_store_take(store, AT_SQL_ALL_REQUESTS, &statement));
    actune_status status = at_store_bind(store, statement, "s", device);
    int code = SQLITE_DONE;
    while (!status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        at_store_request request = {.device = text(statement, 0),
                                    .spec = text(statement, 1),
                                    .direction = text(statement, 2),
                                    .dtype_in = text(statement, 3),
                                    .dtype_out = text(statement, 4),
                                    .gradients = text(statement, 5),
                                    .shape = {sqlite3_column_int64(statement, 6), sqlite3_column_int64(statement, 7),
                                              sqlite3_column_int64(statement, 8)},
                                    .in_place = sqlite3_column_int(statement, 9) != 0,
                                    .asked = sqlite3_column_int64(statement, 10)};
        status = visit(user, &request);
    }
    if (!status && code != SQLITE_DONE)
        status = at_store_fail(store, "reading");
    at_store_give(store, AT_SQL_ALL_REQUESTS, statement);
    return status;
}
