/* Shared by the files of db/; the only header that sees sqlite3. */
#ifndef AT_DB_STORE_INTERNAL_H
#define AT_DB_STORE_INTERNAL_H

#include "store.h"
#include <sqlite3.h>
#include <stdbool.h>

/* "ACTN", big-endian, in the file's header: an SQLite file with another number is somebody else's. */
enum { AT_STORE_APPLICATION = 0x4143544e, AT_STORE_PATH_MAX = 4096, AT_STORE_BUSY_MS = 10000 };

/* One cached statement each. store_sql.c has the texts. */
typedef enum at_sql {
    AT_SQL_BEGIN,
    AT_SQL_COMMIT,
    AT_SQL_ROLLBACK,
    AT_SQL_PUT_DEVICE,
    AT_SQL_PUT_KERNEL,
    AT_SQL_PUT_ENVIRONMENT,
    AT_SQL_FIND_ENVIRONMENT,
    AT_SQL_PUT_SESSION,
    AT_SQL_PUT_VARIANT,
    AT_SQL_FIND_VARIANT,
    AT_SQL_PUT_BUILD,
    AT_SQL_PUT_WORKLOAD,
    AT_SQL_FIND_WORKLOAD,
    AT_SQL_PUT_MEASUREMENT,
    AT_SQL_PUT_VERIFICATION,
    AT_SQL_PUT_CHOICE,
    AT_SQL_PUT_PROGRESS,
    AT_SQL_DROP_PROGRESS,
    AT_SQL_ALL_CHOICES,
    AT_SQL_DEVICE_CHOICES,
    AT_SQL_ALL_KERNELS,
    AT_SQL_SPEC_KERNELS,
    AT_SQL_ALL_DEVICES,
    AT_SQL_ALL_MEASUREMENTS,
    AT_SQL_KERNEL_MEASUREMENTS,
    AT_SQL_FIND_VERIFICATION,
    AT_SQL_ALL_BUILDS,
    AT_SQL_ALL_SESSIONS,
    AT_SQL_ALL_VERIFICATIONS,
    AT_SQL_RACE_PROGRESS,
    AT_SQL_ANY_PROGRESS,
    AT_SQL_PUT_REQUEST,
    AT_SQL_DROP_REQUEST,
    AT_SQL_ALL_REQUESTS,
    AT_SQL_COUNT
} at_sql;

struct at_store {
    sqlite3 *db;
    at_store_mode mode;
    int64_t version; /* of the open file: readers take older ones as they are */
    char path[AT_STORE_PATH_MAX];
    sqlite3_stmt *statement[AT_SQL_COUNT];
    char *detail; /* of the last verification that was found */
};

/* store_header.c: looks at the file without opening it as a database. */
typedef struct at_store_header {
    bool missing, empty;
    bool wal;          /* switched to write-ahead logging */
    bool log;          /* a log with something in it lies beside the file */
    int64_t version;   /* user_version */
} at_store_header;
/* DATABASE (not ours, damaged; the message says what to do), IO. */
actune_status at_store_look(const char *path, at_store_header *header);

/* store_sql.c */
/* This store's failure of `action`, from SQLite's code and text. */
actune_status at_store_fail(const at_store *store, const char *action);
actune_status at_store_exec(at_store *store, const char *sql, const char *action);
/* One integer; `fallback` when the statement gives no row. */
actune_status at_store_integer(at_store *store, const char *sql, int64_t fallback, int64_t *value);
/* A statement ready to bind: the cached one, or one of its own when a callback asks for it while it runs. */
actune_status at_store_take(at_store *store, at_sql sql, sqlite3_stmt **statement);
void at_store_give(at_store *store, at_sql sql, sqlite3_stmt *statement);
/* Binds by letters: s text (NULL is NULL), i int64_t, b int (0 or 1), d double (not finite: NULL), x const void * and int bytes. */
actune_status at_store_bind(at_store *store, sqlite3_stmt *statement, const char *letters, ...);
/* Takes, steps to the end and gives back a statement that was bound. */
actune_status at_store_finish(at_store *store, at_sql sql, sqlite3_stmt *statement, const char *action);

/* migrate.c: brings the open file to this version in one transaction; DATABASE when it is newer. */
actune_status at_store_migrate(at_store *store);
int64_t at_store_version_here(void);
actune_status at_store_fail_newer(const char *path, int64_t version);
actune_status at_store_fail_foreign(const char *path);

/* store_read.c */
actune_status at_store_find_workload(at_store *store, const at_store_workload *workload, int64_t *id); /* 0: none */

#endif
