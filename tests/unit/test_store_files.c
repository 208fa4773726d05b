/* Files that are not ours, damaged, or in places where nothing may be written: said, and left as they are. */
#include "db/schema.h"
#include "store_fixture.h"
#include <dirent.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>

typedef struct image {
    char *bytes;
    size_t size;
    int files; /* in the folder */
} image;

static image take_image(const char *path)
{
    image i = {0};
    struct stat info;
    CHECK(!stat(path, &info));
    DIR *folder = opendir(root);
    while (readdir(folder))
        i.files++;
    closedir(folder);
    if (S_ISREG(info.st_mode)) {
        FILE *f = fopen(path, "rb");
        i.size = (size_t)info.st_size;
        i.bytes = malloc(i.size + 1);
        CHECK(f && fread(i.bytes, 1, i.size, f) == i.size);
        fclose(f);
    }
    return i;
}

/* `strict`: refused by its header already, so that not even a log appears beside it. */
static void refused_as(const char *path, const char *why, bool strict)
{
    for (int mode = AT_STORE_READ; mode <= AT_STORE_WRITE; mode++) {
        at_store *store;
        image before = take_image(path);
        CHECK(at_store_open(path, (at_store_mode)mode, &store) == ACTUNE_DATABASE && !store, "%s in mode %d", path, mode);
        CHECK(error_has(path) && error_has(why), "want '%s'", why);
        image after = take_image(path);
        CHECK(before.size == after.size && !memcmp(before.bytes ? before.bytes : "", after.bytes ? after.bytes : "", before.size),
              "%s was changed", path);
        CHECK(!strict || before.files == after.files, "a file was left beside %s", path);
        free(before.bytes);
        free(after.bytes);
    }
}

static void refused(const char *path, const char *why)
{
    refused_as(path, why, true);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, size, f) == size && !fclose(f));
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    int code = sqlite3_exec(db, text, NULL, NULL, NULL);
    CHECK(code == SQLITE_OK, "%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void check_refusals(void)
{
    write_file(in_root("text.db"), "spec,variant\nrelu,1\n", 20);
    refused(in_root("text.db"), "no database");
    char long_text[5000];
    memset(long_text, 'x', sizeof long_text);
    write_file(in_root("long.db"), long_text, sizeof long_text);
    refused(in_root("long.db"), "no database");
    CHECK(!mkdir(in_root("folder.db"), 0700));
    refused(in_root("folder.db"), "folder");
    CHECK(!mkfifo(in_root("pipe.db"), 0600));
    refused(in_root("pipe.db"), "no regular file");
    sql(in_root("foreign.db"), "CREATE TABLE device (x); INSERT INTO device VALUES (1)");
    refused(in_root("foreign.db"), "another program");
    sql(in_root("wal.db"), "PRAGMA journal_mode = WAL; PRAGMA application_id = 7; CREATE TABLE t (x)");
    refused(in_root("wal.db"), "another program");
    make_ours(in_root("newer.db"));
    sql(in_root("newer.db"), "PRAGMA user_version = 99");
    refused(in_root("newer.db"), "version 99");
    CHECK(error_has("newer actune"));
    make_ours(in_root("gutted.db"));
    sql(in_root("gutted.db"), "PRAGMA foreign_keys = OFF; DROP TABLE choice");
    refused_as(in_root("gutted.db"), "tables are missing", false);
    at_store *store;
    write_file(in_root("empty.db"), "", 0);
    CHECK(at_store_open(in_root("empty.db"), AT_STORE_READ, &store) == ACTUNE_OK && !store);
    make_ours(in_root("empty.db"));
    store = open_store(in_root("empty.db"), AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60);
    at_store_close(store);
}

static actune_status see_no_registers(void *user, const char *variant_text, const at_store_build *build)
{
    CHECK(!strcmp(variant_text, "cpu/elementwise") && build->registers == -1 && build->spill_bytes == -1 && build->code_bytes == 300);
    ++*(int *)user;
    return ACTUNE_OK;
}

/* As it was released, with a row of each. */
static void make_first(const char *path)
{
    sql(path, at_schema_texts[0].text);
    sql(path, "PRAGMA application_id = 0x4143544e; PRAGMA user_version = 1");
    sql(path, "INSERT INTO device VALUES ('cpu-1', 'cpu', 'm', 'c', 1, 0, 0, 0); INSERT INTO kernel VALUES ('k1', 's', 'forward', "
              "'f32', 'f32', 'standard'); INSERT INTO environment VALUES (1, 'e'); INSERT INTO session VALUES (1, 'cpu-1', 1, 'p', 0, 0);"
              "INSERT INTO variant VALUES (1, 'k1', 's1', 'cpu/elementwise'); INSERT INTO workload VALUES (1, 'flat', 20, 0, 0, 0, 'warm');"
              "INSERT INTO build VALUES (1, 1, 'clang', 'a', 1, 2.5, 300, ''); "
              "INSERT INTO choice VALUES ('cpu-1', 'k1', 1, 1, 1, 100, 1, 1, 90, '', 'measured', 0)");
}

/* A file of the first version: read as it is, and brought up to date by the next writer with all that it holds. */
static void check_migration(void)
{
    const char *path = in_root("first.db");
    at_store *store;
    make_first(path);
    bool has;
    int builds = 0;
    at_store_race race = {"cpu-1", "k1", "core", "c", {"flat", 20, 0, 0, false, "warm"}};
    image before = take_image(path);
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, "cpu-1", "k1") == 1 && count_choices(store, NULL, NULL) == 1 && at_store_check(store, NULL, NULL) == ACTUNE_OK);
    CHECK(at_store_each_build(store, "k1", see_no_registers, &builds) == ACTUNE_OK && builds == 1);
    CHECK(at_store_has_progress(store, &race, &has) == ACTUNE_OK && !has);
    CHECK(at_store_each_progress(store, &race, NULL, NULL) == ACTUNE_OK);
    CHECK(at_store_each_request(store, NULL, NULL, NULL) == ACTUNE_OK, "there were no requests yet");
    at_store_close(store);
    image after = take_image(path);
    CHECK(before.size == after.size && !memcmp(before.bytes, after.bytes, before.size), "a reader changes nothing");
    free(before.bytes);
    free(after.bytes);
    store = open_store(path, AT_STORE_WRITE);
    CHECK(count_choices(store, "cpu-1", "k1") == 1 && at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_progress arm = {"a", "s1", false, NULL, 0};
    CHECK(at_store_put_progress(store, &race, &arm, 1) == ACTUNE_OK);
    CHECK(at_store_has_progress(store, &race, &has) == ACTUNE_OK && has);
    at_store_close(store);
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 1);
    at_store_close(store);
}

static void check_second(void)
{
    const char *path = in_root("second.db");
    seen found = {0};
    make_first(path);
    sql(path, at_schema_texts[1].text);
    sql(path, "PRAGMA user_version = 2; UPDATE choice SET margin = 0.25");
    at_store *store = open_store(path, AT_STORE_READ);
    CHECK(at_store_each_choice(store, "cpu-1", "k1", see_choice, &found) == ACTUNE_OK && found.count == 1);
    CHECK(found.choice.margin == 0.25 && !strcmp(found.ours, "/"), "%s", found.ours);
    CHECK(at_store_each_choice(store, NULL, NULL, see_choice, &found) == ACTUNE_OK && found.count == 2);
    at_store_close(store);
    store = open_store(path, AT_STORE_WRITE);
    CHECK(at_store_each_choice(store, "cpu-1", "k1", see_choice, &found) == ACTUNE_OK && found.count == 3 && !strcmp(found.ours, "/"));
    at_store_close(store);
}

/* The newer version is only in the log yet: refused, and closing does not carry the log into the file. */
static void check_newer_in_log(void)
{
    const char *path = in_root("logged.db");
    sqlite3 *db;
    make_ours(path);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 99", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
    refused_as(path, "version 99", false);
}

static void check_damage(void)
{
    const char *path = in_root("damaged.db");
    make_ours(path);
    image whole = take_image(path);
    CHECK(whole.size > 40000);
    static const double kept[] = {0.0005, 0.01, 0.3, 0.5, 0.99};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        write_file(path, whole.bytes, (size_t)((double)whole.size * kept[i]));
        refused(path, kept[i] < 0.005 ? "no database" : "cut short");
    }
    /* The schema's page, the page of any table, and all but the header. */
    for (size_t page = 0; page < whole.size / 4096; page++) {
        char *copy = malloc(whole.size);
        memcpy(copy, whole.bytes, whole.size);
        memset(copy + page * 4096 + (page ? 0 : 100), 0xa5, 300);
        write_file(path, copy, whole.size);
        at_store *store;
        image before = take_image(path);
        CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_DATABASE && error_has(path), "page %zu", page);
        image after = take_image(path);
        CHECK(before.size == after.size && !memcmp(before.bytes, after.bytes, before.size));
        actune_status status = at_store_open(path, AT_STORE_READ, &store);
        if (!status) {
            status = at_store_check(store, NULL, NULL);
            seen s;
            int count = 0;
            CHECK(status == ACTUNE_DATABASE && error_has("finding"));
            at_store_each_choice(store, NULL, NULL, see_choice, &s);
            at_store_each_kernel(store, NULL, count_row, &count);
            at_store_close(store);
        }
        CHECK(status == ACTUNE_DATABASE && error_has(path));
        free(copy);
        free(before.bytes);
        free(after.bytes);
    }
    free(whole.bytes);
}

Test(store_files, refused, .init = setup, .fini = remove_root)
{
    in_child("refusals", check_refusals);
    in_child("migration", check_migration);
    in_child("the second version", check_second);
    in_child("newer version in the log", check_newer_in_log);
    in_child("damage", check_damage);
}

/* Reading where nothing may be written. */
static void check_read_only(void)
{
    const char *path = in_root("ro/a?b#c%25.db");
    CHECK(!mkdir(in_root("ro"), 0700));
    make_ours(path);
    become_somebody();
    at_store *store;
    CHECK(!chmod(path, 0400));
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60);
    at_store_close(store);
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO && error_has(path) && error_has("written"));
    char beside[300];
    snprintf(beside, sizeof beside, "%s-wal", path);
    unlink(beside);
    snprintf(beside, sizeof beside, "%s-shm", path);
    unlink(beside);
    CHECK(!chmod(in_root("ro"), 0500));
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60 && at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO && !store);
    CHECK(!chmod(path, 0600));
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO && error_has(path), "the log needs a file beside");
    CHECK(at_store_open(in_root("ro/new.db"), AT_STORE_WRITE, &store) == ACTUNE_IO);
    CHECK(at_store_open(in_root("ro/deep/new.db"), AT_STORE_WRITE, &store) == ACTUNE_IO && error_has("cannot be made"));
    CHECK(!chmod(path, 0));
    CHECK(at_store_open(path, AT_STORE_READ, &store) == ACTUNE_IO && error_has(path));
    CHECK(!chmod(path, 0600) && !chmod(in_root("ro"), 0700));
}

/* A reader that is the last one takes the log's files with it; a reader beside a writer leaves them. */
static void check_nothing_left(void)
{
    const char *path = in_root("left.db");
    make_ours(path);
    image before = take_image(path);
    at_store *store = open_store(path, AT_STORE_READ), *writer;
    CHECK(count_choices(store, NULL, NULL) == 60);
    CHECK(at_store_begin(store) == ACTUNE_INVALID_ARGUMENT, "what is opened for reading is not written");
    at_store_close(store);
    image after = take_image(path);
    CHECK(before.files == after.files, "%d files were left beside the database", after.files - before.files);
    CHECK(before.size == after.size && !memcmp(before.bytes, after.bytes, before.size));
    free(after.bytes);
    writer = open_store(path, AT_STORE_WRITE);
    CHECK(at_store_begin(writer) == ACTUNE_OK);
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60, "a reader does not wait for a writer");
    at_store_close(store);
    CHECK(at_store_commit(writer) == ACTUNE_OK && count_choices(writer, NULL, NULL) == 60);
    at_store_close(writer);
    after = take_image(path);
    CHECK(before.files == after.files);
    free(before.bytes);
    free(after.bytes);
}

static void check_mounts(void)
{
    const char *path = in_root("mount/x.db");
    CHECK(!mkdir(in_root("mount"), 0700));
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("t", in_root("mount"), "tmpfs", 0, "size=8m")) {
        fprintf(stderr, "note: read-only mount and full disk need the right to mount, left out\n");
        return;
    }
    make_ours(path);
    at_store *store = open_store(path, AT_STORE_WRITE);
    actune_status status = ACTUNE_OK;
    double many[4096] = {0};
    at_store_measurement m = {1, 1, flat20, 2, 1, 3, 0.5, many, 4096};
    for (int i = 0; i < 1000 && !status; i++)
        status = at_store_put_measurement(store, &m);
    CHECK(status == ACTUNE_IO && (error_has("full") || error_has("failed")), "%s", actune_status_name(status));
    CHECK(count_choices(store, NULL, NULL) == 60 && at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
    CHECK(!mount("t", in_root("mount"), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=8m"));
    store = open_store(path, AT_STORE_READ);
    CHECK(count_choices(store, NULL, NULL) == 60);
    at_store_close(store);
    CHECK(at_store_open(path, AT_STORE_WRITE, &store) == ACTUNE_IO);
}

Test(store_files, read_only, .init = setup, .fini = remove_root)
{
    in_child("mounts", check_mounts);
    in_child("nothing left", check_nothing_left);
    in_child("read-only", check_read_only);
}

static actune_status count_finding(void *user, const char *line)
{
    CHECK(*line);
    ++*(int *)user;
    return ACTUNE_OK;
}

static void check_findings(void)
{
    static const char *const breaks[] = {
        "UPDATE choice SET variant = 2 WHERE workload = 1",
        "UPDATE choice SET median_ns = -1 WHERE workload = 1",
        "DELETE FROM session",
        "UPDATE measurement SET median_ns = 99 WHERE id = 1",
        "INSERT INTO device VALUES ('cpu-2', 'cpu', 'm', 'c', 1, 0, 0, 0); UPDATE session SET device = 'cpu-2'",
        "INSERT INTO verification VALUES (1, 1, 0, 9, 9, 'sampled', 'wrong')",
        "UPDATE workload SET channel_bucket = 3 WHERE id = 1",
    };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        char name[32], statement[300];
        int findings = 0;
        snprintf(name, sizeof name, "broken%zu.db", i);
        make_ours(in_root(name));
        snprintf(statement, sizeof statement, "PRAGMA foreign_keys = OFF; %s", breaks[i]);
        sql(in_root(name), statement);
        at_store *store = open_store(in_root(name), AT_STORE_READ);
        CHECK(at_store_check(store, count_finding, &findings) == ACTUNE_DATABASE && findings > 0, "%s", breaks[i]);
        CHECK(error_has(name) && error_has("finding"));
        at_store_close(store);
    }
}

Test(store_files, findings, .init = setup, .fini = remove_root)
{
    in_child("findings", check_findings);
}
