/* The list of checksums, and whether a folder still is what the list says. */
#include "job.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char list_name[] = "checksums.txt";

enum { HASH_DIGITS = 32 };

typedef struct file_list {
    char **path; /* below the folder, sorted */
    int count, room;
} file_list;

static void clear_list(file_list *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->path[i]);
    free(list->path);
    *list = (file_list){0};
}

/* nftw has no argument for its caller. One walk a thread at a time. */
static _Thread_local file_list *walking;
static _Thread_local size_t walking_from;

static int visit(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)place;
    if (kind == FTW_D)
        return 0;
    if (at_export_grow(&walking->path, walking->count, &walking->room, sizeof *walking->path) != ACTUNE_OK)
        return 1;
    walking->path[walking->count] = strdup(path + walking_from);
    return walking->path[walking->count++] != NULL ? 0 : 1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static actune_status list_files(const char *folder, file_list *list)
{
    enum { OPEN_FOLDERS = 16 };
    *list = (file_list){0};
    walking = list;
    walking_from = strlen(folder) + 1;
    errno = 0;
    int result = nftw(folder, visit, OPEN_FOLDERS, FTW_PHYS);
    if (result > 0)
        return at_export_no_memory();
    if (result < 0)
        return at_fail(errno == ENOENT ? ACTUNE_NOT_FOUND : ACTUNE_IO, "%s cannot be read: %s", folder, strerror(errno));
    if (list->count > 1)
        qsort(list->path, (size_t)list->count, sizeof *list->path, by_text);
    return ACTUNE_OK;
}

static actune_status read_file(const char *folder, const char *name, at_strbuf *bytes)
{
    char path[2 * AT_EXPORT_PATH_MAX], block[1 << 14];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return at_fail(errno == ENOENT ? ACTUNE_NOT_FOUND : ACTUNE_IO, "%s cannot be read: %s", path, strerror(errno));
    for (size_t got; (got = fread(block, 1, sizeof block, in)) > 0;)
        at_strbuf_append_n(bytes, block, got);
    bool good = !ferror(in);
    fclose(in);
    return good ? at_strbuf_status(bytes) : at_fail(ACTUNE_IO, "%s cannot be read", path);
}

static actune_status hash_file(const char *folder, const char *name, at_hash *hash)
{
    at_strbuf bytes = {0};
    actune_status status = read_file(folder, name, &bytes);
    if (status == ACTUNE_OK)
        *hash = at_hash_bytes(at_strbuf_text(&bytes), bytes.length);
    at_strbuf_clear(&bytes);
    return status;
}

static actune_status write_list(const char *folder, const file_list *list, at_strbuf *out)
{
    for (int i = 0; i < list->count; i++) {
        at_hash hash;
        AT_TRY(hash_file(folder, list->path[i], &hash));
        at_strbuf_printf(out, "%s  %s\n", hash.hex, list->path[i]);
    }
    return at_strbuf_status(out);
}

actune_status at_export_folder_seal(at_export_job *job)
{
    file_list list;
    at_strbuf out = {0};
    char path[2 * AT_EXPORT_PATH_MAX];
    actune_status status = list_files(job->folder, &list);
    if (status == ACTUNE_OK)
        status = write_list(job->folder, &list, &out);
    snprintf(path, sizeof path, "%s/%s", job->folder, list_name);
    FILE *file = status == ACTUNE_OK ? fopen(path, "wxe") : NULL;
    if (status == ACTUNE_OK && file == NULL)
        status = at_fail(ACTUNE_IO, "%s cannot be made: %s", path, strerror(errno));
    if (file != NULL) {
        bool good = fwrite(at_strbuf_text(&out), 1, out.length, file) == out.length;
        if (fclose(file) != 0 || !good)
            status = at_fail(ACTUNE_IO, "%s cannot be written: %s", path, strerror(errno));
    }
    at_strbuf_clear(&out);
    clear_list(&list);
    return status;
}

typedef struct check {
    const char *folder;
    void (*say)(void *user, const char *line);
    void *user;
    file_list found;
    int wrong, files;
} check;

static void complain(check *c, const char *path, const char *what)
{
    char line[2 * AT_EXPORT_PATH_MAX];
    snprintf(line, sizeof line, "%s %s", path, what);
    c->wrong++;
    if (c->say != NULL)
        c->say(c->user, line);
}

/* Takes the path from the files that were found. */
static bool take(file_list *found, const char *path)
{
    for (int i = 0; i < found->count; i++)
        if (found->path[i] != NULL && strcmp(found->path[i], path) == 0) {
            free(found->path[i]);
            found->path[i] = NULL;
            return true;
        }
    return false;
}

/* "<hash>  <path>" */
static actune_status check_line(check *c, const char *line)
{
    at_hash hash;
    if (strspn(line, "0123456789abcdef") != HASH_DIGITS || strncmp(line + HASH_DIGITS, "  ", 2) != 0 || line[HASH_DIGITS + 2] == '\0')
        return at_fail(ACTUNE_VERIFY, "%s/%s is damaged: '%.80s'", c->folder, list_name, line);
    const char *path = line + HASH_DIGITS + 2;
    c->files++;
    if (!take(&c->found, path)) {
        complain(c, path, "is missing");
        return ACTUNE_OK;
    }
    AT_TRY(hash_file(c->folder, path, &hash));
    if (strncmp(hash.hex, line, HASH_DIGITS) != 0)
        complain(c, path, "has changed");
    return ACTUNE_OK;
}

static actune_status check_lines(check *c, char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        AT_TRY(check_line(c, line));
    for (int i = 0; i < c->found.count; i++)
        if (c->found.path[i] != NULL && strcmp(c->found.path[i], list_name) != 0)
            complain(c, c->found.path[i], "was not exported");
    return ACTUNE_OK;
}

actune_status at_export_check(const char *folder, void (*say)(void *user, const char *line), void *user, int *files)
{
    check c = {.folder = folder, .say = say, .user = user};
    at_strbuf text = {0};
    actune_status status = strlen(folder) < AT_EXPORT_PATH_MAX ? list_files(folder, &c.found) : at_fail(ACTUNE_INVALID_ARGUMENT, "the path is too long");
    if (status == ACTUNE_OK && read_file(folder, list_name, &text) != ACTUNE_OK)
        status = at_fail(ACTUNE_NOT_FOUND, "%s has no %s: it is no exported folder", folder, list_name);
    if (status == ACTUNE_OK && text.length == 0)
        status = at_fail(ACTUNE_VERIFY, "%s/%s is empty", folder, list_name);
    if (status == ACTUNE_OK)
        status = check_lines(&c, text.text);
    at_strbuf_clear(&text);
    clear_list(&c.found);
    *files = c.files;
    if (status == ACTUNE_OK && c.wrong > 0)
        status = at_fail(ACTUNE_VERIFY, "%s is not as it was exported: %d of its files", folder, c.wrong);
    return status;
}
