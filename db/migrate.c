/* Versions of the schema: db/schema/NNN.sql brings version NNN - 1 to NNN. */
#include "schema.h"
#include "store_internal.h"

#include <stdio.h>

int64_t at_store_version_here(void)
{
    return at_schema_text_count;
}

actune_status at_store_fail_newer(const char *path, int64_t version)
{
    return at_fail(ACTUNE_DATABASE, "%s has schema version %lld, this actune knows up to %lld (left as it is): use a newer actune or another "
                   "file (--db, ACTUNE_DB)", path, (long long)version, (long long)at_store_version_here());
}

/* Inside the transaction: another process may have been first. */
static actune_status migrate_locked(at_store *store)
{
    int64_t version, application, tables;
    char pragma[64];
    AT_TRY(at_store_integer(store, "PRAGMA user_version", 0, &version));
    AT_TRY(at_store_integer(store, "PRAGMA application_id", 0, &application));
    AT_TRY(at_store_integer(store, "SELECT count(*) FROM sqlite_master", 0, &tables));
    if (version > at_store_version_here())
        return at_store_fail_newer(store->path, version);
    if (application != AT_STORE_APPLICATION && (application || version || tables))
        return at_store_fail_foreign(store->path);
    for (int64_t next = version; next < at_store_version_here(); next++)
        AT_TRY(at_store_exec(store, at_schema_texts[next].text, at_schema_texts[next].name));
    if (version == at_store_version_here())
        return ACTUNE_OK;
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", AT_STORE_APPLICATION);
    AT_TRY(at_store_exec(store, pragma, "marking the file"));
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %lld", (long long)at_store_version_here());
    return at_store_exec(store, pragma, "setting the version");
}

/* In rollback mode on a new file: the file itself, not a log beside it, says from the first moment on whose it is. */
actune_status at_store_migrate(at_store *store)
{
    AT_TRY(at_store_exec(store, "BEGIN EXCLUSIVE", "waiting for the file"));
    actune_status status = migrate_locked(store);
    if (!status)
        status = at_store_exec(store, "COMMIT", "making the tables");
    if (status && !sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
