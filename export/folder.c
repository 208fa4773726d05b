/* The folder is made beside its place and then renamed: it is there as a whole, or as it was before. */
#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FOLDERS = 16 };

static actune_status fail_errno(const char *path, const char *what)
{
    return at_fail(ACTUNE_IO, "%s: %s: %s", path, what, strerror(errno));
}

static bool is_empty(const char *folder)
{
    DIR *handle = opendir(folder);
    int entries = 0;
    if (handle == NULL)
        return false;
    for (const struct dirent *entry; (entry = readdir(handle)) != NULL;)
        entries += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(handle);
    return entries == 0;
}

static int is_file(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)path;
    (void)info;
    (void)place;
    return kind != FTW_D && kind != FTW_DP;
}

/* Build systems make the folders of a file before it is made. */
static bool has_folders_alone(const char *folder)
{
    return nftw(folder, is_file, OPEN_FOLDERS, FTW_PHYS) == 0;
}

static bool has_file(const char *folder, const char *name)
{
    char path[AT_EXPORT_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* Only what an export made is ever replaced: --force with a wrong folder must cost nobody a home. */
static actune_status check_output(const at_export_request *request)
{
    const char *output = request->output;
    struct stat info;
    if (lstat(output, &info) != 0)
        return errno == ENOENT ? ACTUNE_OK : fail_errno(output, "cannot be looked at");
    if (!S_ISDIR(info.st_mode))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s is there and no folder; nothing was written", output);
    if (is_empty(output))
        return ACTUNE_OK;
    if (!request->force)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s is not empty; nothing was written. --force replaces an earlier export", output);
    if ((has_file(output, "manifest.json") && has_file(output, "checksums.txt")) || has_folders_alone(output))
        return ACTUNE_OK;
    return at_fail(ACTUNE_INVALID_ARGUMENT, "%s is not empty and no earlier export, so --force does not replace it; nothing was written", output);
}

actune_status at_export_folder_open(at_export_job *job)
{
    char copy[AT_EXPORT_PATH_MAX], name[AT_EXPORT_PATH_MAX];
    size_t length = strlen(job->request->output);
    if (length + 32 >= sizeof copy)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the path of the folder is longer than %d characters", AT_EXPORT_PATH_MAX - 32);
    AT_TRY(check_output(job->request));
    memcpy(copy, job->request->output, length + 1);
    while (length > 1 && copy[length - 1] == '/')
        copy[--length] = '\0';
    memcpy(name, copy, length + 1);
    const char *own = basename(name);
    if (strcmp(own, ".") == 0 || strcmp(own, "..") == 0 || strcmp(own, "/") == 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s cannot be replaced as a whole: name the folder from the one above it", job->request->output);
    snprintf(job->folder, sizeof job->folder, "%s/.actune-export-XXXXXX", dirname(copy));
    mode_t mask = umask(0);
    umask(mask);
    if (mkdtemp(job->folder) == NULL || chmod(job->folder, 0777 & ~mask) != 0) {
        actune_status status = fail_errno(job->request->output, "cannot be made");
        job->folder[0] = '\0';
        return status;
    }
    return ACTUNE_OK;
}

/* Makes the folders on the way to a file. */
static actune_status make_way(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, 0777) == 0 || errno == EEXIST;
        actune_status status = made ? ACTUNE_OK : fail_errno(path, "cannot be made");
        *slash = '/';
        AT_TRY(status);
    }
    return ACTUNE_OK;
}

static actune_status write_file(const char *folder, const at_export_file *file)
{
    char path[2 * AT_EXPORT_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, file->path) >= (int)sizeof path)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the path of %s is too long", file->path);
    AT_TRY(make_way(path));
    FILE *out = fopen(path, "wxe");
    if (out == NULL)
        return fail_errno(path, "cannot be made");
    bool good = fwrite(file->bytes, 1, file->size, out) == file->size;
    good = fclose(out) == 0 && good;
    return good ? ACTUNE_OK : fail_errno(path, "cannot be written");
}

actune_status at_export_folder_fill(at_export_job *job)
{
    for (int i = 0; i < job->files; i++)
        AT_TRY(write_file(job->folder, &job->file[i]));
    return ACTUNE_OK;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_tree(const char *folder)
{
    nftw(folder, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

/* Exchanging is one step; where a file system has none, the earlier export steps aside first. */
static actune_status replace(at_export_job *job)
{
    const char *output = job->request->output;
    if (renameat2(AT_FDCWD, job->folder, AT_FDCWD, output, RENAME_EXCHANGE) == 0)
        return ACTUNE_OK;
    char aside[AT_EXPORT_PATH_MAX + 8];
    snprintf(aside, sizeof aside, "%s.old", job->folder);
    if (rename(output, aside) != 0)
        return fail_errno(output, "cannot be replaced");
    if (rename(job->folder, output) != 0) {
        actune_status status = fail_errno(output, "cannot be replaced");
        rename(aside, output);
        return status;
    }
    snprintf(job->folder, sizeof job->folder, "%.*s", AT_EXPORT_PATH_MAX - 1, aside);
    return ACTUNE_OK;
}

actune_status at_export_folder_commit(at_export_job *job)
{
    AT_TRY(check_output(job->request));
    if (rename(job->folder, job->request->output) == 0) {
        job->folder[0] = '\0';
        return ACTUNE_OK;
    }
    if (!job->request->force)
        return fail_errno(job->request->output, "cannot be put in its place");
    AT_TRY(replace(job));
    at_export_folder_discard(job); /* what stood there before */
    return ACTUNE_OK;
}

void at_export_folder_discard(at_export_job *job)
{
    if (job->folder[0] != '\0')
        remove_tree(job->folder);
    job->folder[0] = '\0';
}
