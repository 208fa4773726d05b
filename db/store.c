/* Opening and closing the database; transactions. */
#include "path.h"
#include "store_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHECKED_BYTES_MAX = 64 << 20, WAL_TRIES = 50 };

int64_t at_store_default_path(char *path, int64_t capacity)
{
    const char *named = getenv("ACTUNE_DB");
    if (!named || !*named)
        return at_path_of_user("XDG_DATA_HOME", ".local/share", "actune/actune.db", path, (size_t)capacity);
    int length = snprintf(path, (size_t)capacity, "%s", named);
    return length < capacity ? length : -1;
}

const char *at_store_path(const at_store *store)
{
    return store ? store->path : "";
}

at_store_workload at_store_workload_of(const at_table_key *key, const char *regime)
{
    return (at_store_workload){.layout = at_layout_name(key->layout),
                               .size_bucket = key->size_bucket,
                               .channel_bucket = key->channel_bucket,
                               .inner_bucket = key->inner_bucket,
                               .in_place = key->in_place,
                               .regime = regime};
}

static void free_store(at_store *store)
{
    for (int i = 0; i < AT_SQL_COUNT; i++)
        sqlite3_finalize(store->statement[i]);
    sqlite3_close(store->db);
    free(store->detail);
    free(store);
}

void at_store_close(at_store *store)
{
    if (store)
        free_store(store);
}

static actune_status open_as(at_store *store, const char *name, int flags)
{
    sqlite3_close(store->db);
    store->db = NULL;
    int code = sqlite3_open_v2(name, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (!store->db)
        return at_fail(ACTUNE_NO_MEMORY, "%s: out of memory opening the database", store->path);
    if (code)
        return at_store_fail(store, "opening");
    sqlite3_busy_timeout(store->db, AT_STORE_BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return at_store_exec(store, "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON", "opening");
}

static actune_status check_schema(at_store *store)
{
    int64_t tables;
    AT_TRY(at_store_integer(store, "PRAGMA user_version", 0, &store->version));
    AT_TRY(at_store_integer(store, "SELECT count(*) FROM sqlite_master WHERE name IN ('device', 'kernel', 'variant', 'workload', 'choice', 'progress')",
                            0, &tables));
    if (store->version > at_store_version_here())
        return at_store_fail_newer(store->path, store->version);
    if (tables != (store->version < 2 ? 5 : 6))
        return at_fail(ACTUNE_DATABASE, "%s is damaged, tables are missing: restore it from a copy, or move it away and tune again", store->path);
    return ACTUNE_OK;
}

/* "file:...?immutable=1": for a file in a folder where the log's files cannot be made. Nobody writes there, but for a log that was
   left behind, which stays unread. */
static actune_status open_immutable(at_store *store)
{
    char name[3 * AT_STORE_PATH_MAX + 32];
    char *out = name + sprintf(name, "file:");
    for (const char *c = store->path; *c; c++)
        out += strchr("?#%", *c) ? sprintf(out, "%%%02X", (unsigned)(unsigned char)*c) : sprintf(out, "%c", *c);
    strcpy(out, "?immutable=1");
    return open_as(store, name, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

/* A connection that may not write cannot remove the log's files that SQLite makes for any reader of a WAL database; so it may, but for
   what it is asked: query_only. A file that may not be written SQLite opens read-only by itself. */
static actune_status open_for_reading(at_store *store)
{
    AT_TRY(open_as(store, store->path, SQLITE_OPEN_READWRITE));
    actune_status status = at_store_exec(store, "PRAGMA query_only = ON", "opening");
    if (!status)
        status = check_schema(store);
    int code = sqlite3_errcode(store->db) & 0xff;
    if (status != ACTUNE_IO || (code != SQLITE_CANTOPEN && code != SQLITE_READONLY))
        return status;
    AT_TRY(open_immutable(store));
    return check_schema(store);
}

/* Before the first write: a damaged file is left as it is. */
static actune_status check_pages(at_store *store)
{
    int64_t pages, page_bytes;
    AT_TRY(at_store_integer(store, "PRAGMA page_count", 0, &pages));
    AT_TRY(at_store_integer(store, "PRAGMA page_size", 0, &page_bytes));
    if (pages * page_bytes > CHECKED_BYTES_MAX)
        return ACTUNE_OK;
    sqlite3_stmt *statement = NULL;
    actune_status status = ACTUNE_OK;
    if (sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL) || sqlite3_step(statement) != SQLITE_ROW)
        status = at_store_fail(store, "checking");
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok"))
        status = at_fail(ACTUNE_DATABASE, "%s is damaged (%.200s; left as it is): restore it from a copy, or move it away and tune again",
                         store->path, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return status;
}

/* Several processes may try at once, and SQLite does not wait here. Where logging is impossible (some network file systems) the
   file stays in rollback mode, which is slower and just as safe. */
static void switch_to_wal(at_store *store)
{
    for (int i = 0; i < WAL_TRIES; i++) {
        if (!sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) ||
            (sqlite3_errcode(store->db) & 0xff) != SQLITE_BUSY)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static actune_status open_for_writing(at_store *store, const at_store_header *header)
{
    if (header->missing)
        AT_TRY(at_path_make_parents(store->path));
    AT_TRY(open_as(store, store->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    if (sqlite3_db_readonly(store->db, "main") == 1)
        return at_fail(ACTUNE_IO, "%s may not be written: name another file (--db, ACTUNE_DB)", store->path);
    if (!header->missing && !header->empty)
        AT_TRY(check_pages(store));
    int64_t version;
    AT_TRY(at_store_integer(store, "PRAGMA user_version", 0, &version));
    if (version != at_store_version_here())
        AT_TRY(at_store_migrate(store));
    AT_TRY(check_schema(store));
    if (!header->wal)
        switch_to_wal(store);
    return at_store_exec(store, "PRAGMA synchronous = NORMAL", "opening");
}

static actune_status resolve_path(const char *path, at_store *store, bool *nowhere)
{
    char chosen[AT_STORE_PATH_MAX];
    *nowhere = !path && at_store_default_path(chosen, sizeof chosen) < 0;
    if (*nowhere)
        return at_fail(ACTUNE_IO, "no place for the database: set ACTUNE_DB, or HOME to an absolute path");
    if (path && !*path)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the database's path is empty");
    return at_path_absolute(path ? path : chosen, store->path, sizeof store->path);
}

actune_status at_store_open(const char *path, at_store_mode mode, at_store **store)
{
    bool nowhere;
    at_store_header header = {0};
    *store = NULL;
    at_store *made = calloc(1, sizeof *made);
    if (!made)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory opening the database");
    made->mode = mode;
    actune_status status = resolve_path(path, made, &nowhere);
    if (!status)
        status = at_store_look(made->path, &header);
    bool nothing = mode == AT_STORE_READ && (nowhere || (!status && (header.missing || header.empty)));
    if (!status && !nothing)
        status = mode == AT_STORE_READ ? open_for_reading(made) : open_for_writing(made, &header);
    if (!status && !nothing) {
        *store = made;
        return ACTUNE_OK;
    }
    /* Closing must not carry a log into a file that is refused. */
    if (made->db && header.log)
        sqlite3_db_config(made->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    free_store(made);
    return nothing ? ACTUNE_OK : status;
}

static actune_status run(at_store *store, at_sql sql, const char *action)
{
    sqlite3_stmt *statement;
    AT_TRY(at_store_take(store, sql, &statement));
    return at_store_finish(store, sql, statement, action);
}

actune_status at_store_begin(at_store *store)
{
    if (!store || store->mode == AT_STORE_READ)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s: the database was opened for reading", at_store_path(store));
    return run(store, AT_SQL_BEGIN, "beginning to write");
}

actune_status at_store_commit(at_store *store)
{
    return run(store, AT_SQL_COMMIT, "storing");
}

void at_store_rollback(at_store *store)
{
    sqlite3_stmt *statement;
    if (store && !sqlite3_get_autocommit(store->db) && at_store_take(store, AT_SQL_ROLLBACK, &statement) == ACTUNE_OK) {
        sqlite3_step(statement);
        at_store_give(store, AT_SQL_ROLLBACK, statement);
    }
}
