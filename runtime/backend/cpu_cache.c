/* The folder of compiled kernels: where it is, whether it can be trusted, and how much it may hold. */
#include "../base/number.h"
#include "cpu_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { FOLDER_MAX = 900, KEY_DIGITS = 32, STALE_WORK_S = 3600 };
static const char work_prefix[] = ".work-";

struct at_cache {
    char folder[FOLDER_MAX];
    bool noexec;
    int64_t limit_bytes;
    pthread_mutex_t mutex;
    int64_t known_bytes; /* -1: not counted yet */
};

static bool is_cache_file(const char *name)
{
    size_t key = strspn(name, "0123456789abcdef");
    if (key != KEY_DIGITS || name[key] != '-')
        return false;
    const char *identity = name + key + 1;
    size_t length = strspn(identity, "0123456789abcdef");
    if (length != AT_IDENTITY_LENGTH)
        return false;
    static const char *const suffixes[] = {".so", ".c", ".gen"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (!strcmp(identity + length, suffixes[i]))
            return true;
    return false;
}

static actune_status choose_folder(const char *folder, char out[FOLDER_MAX])
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length;
    if (folder && *folder) {
        char here[PATH_MAX];
        if (folder[0] == '/')
            length = snprintf(out, FOLDER_MAX, "%s", folder);
        else if (getcwd(here, sizeof here))
            length = snprintf(out, FOLDER_MAX, "%s/%s", here, folder);
        else
            return at_fail(ACTUNE_IO, "cache folder %s: the working directory is unknown: %s", folder, strerror(errno));
    } else if (xdg && xdg[0] == '/') {
        length = snprintf(out, FOLDER_MAX, "%s/actune", xdg);
    } else if (home && home[0] == '/') {
        length = snprintf(out, FOLDER_MAX, "%s/.cache/actune", home);
    } else {
        return at_fail(ACTUNE_IO, "no cache folder: neither XDG_CACHE_HOME nor HOME is set to an absolute path; set one");
    }
    if (length >= FOLDER_MAX)
        return at_fail(ACTUNE_IO, "the cache folder's path is longer than %d characters", FOLDER_MAX - 1);
    while (length > 1 && out[length - 1] == '/')
        out[--length] = 0;
    return ACTUNE_OK;
}

static actune_status make_folders(const char *folder)
{
    char part[FOLDER_MAX];
    size_t length = strlen(folder);
    for (size_t i = 1; i <= length; i++) {
        if (folder[i] && folder[i] != '/')
            continue;
        memcpy(part, folder, i);
        part[i] = 0;
        struct stat info;
        if (stat(part, &info) && mkdir(part, 0700) && errno != EEXIST)
            return at_fail(ACTUNE_IO, "cache folder %s: %s cannot be made: %s; set XDG_CACHE_HOME to a folder you may write to",
                           folder, part, strerror(errno));
    }
    return ACTUNE_OK;
}

/* Code from here is executed: nobody else may have put it there. */
static actune_status check_folder(at_cache *cache)
{
    const char *folder = cache->folder;
    struct stat info;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && !lstat(folder, &info) && S_ISLNK(info.st_mode))
        return at_fail(ACTUNE_IO, "cache folder %s is a symbolic link: name the folder it points to (XDG_CACHE_HOME)", folder);
    if (fd < 0)
        return at_fail(ACTUNE_IO, "cache folder %s cannot be opened: %s", folder, strerror(errno));
    struct statvfs mount;
    bool known = !fstat(fd, &info);
    cache->noexec = !fstatvfs(fd, &mount) && (mount.f_flag & ST_NOEXEC);
    close(fd);
    if (!known)
        return at_fail(ACTUNE_IO, "cache folder %s cannot be examined", folder);
    if (info.st_uid != geteuid())
        return at_fail(ACTUNE_IO, "cache folder %s belongs to user %ld, this process runs as user %ld: set XDG_CACHE_HOME to an own folder",
                       folder, (long)info.st_uid, (long)geteuid());
    if (info.st_mode & 022)
        return at_fail(ACTUNE_IO, "cache folder %s may be written by others, who could plant code there: chmod go-w it", folder);
    return ACTUNE_OK;
}

static int64_t limit_from_environment(void)
{
    const char *text = getenv("ACTUNE_CACHE_MAX_MB");
    double mb = 0;
    if (!text || at_number_parse(text, strlen(text), &mb) || !(mb > 0) || mb > 1e9)
        mb = 512;
    return (int64_t)(mb * 1048576);
}

actune_status at_cache_open(const char *folder, at_cache **cache)
{
    *cache = NULL;
    at_cache *made = calloc(1, sizeof *made);
    if (!made)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory opening the cache");
    made->limit_bytes = limit_from_environment();
    made->known_bytes = -1;
    actune_status status = choose_folder(folder, made->folder);
    if (!status)
        status = make_folders(made->folder);
    if (!status)
        status = check_folder(made);
    if (status) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->mutex, NULL);
    *cache = made;
    return ACTUNE_OK;
}

void at_cache_close(at_cache *cache)
{
    if (!cache)
        return;
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

const char *at_cache_folder(const at_cache *cache)
{
    return cache->folder;
}

bool at_cache_is_noexec(const at_cache *cache)
{
    return cache->noexec;
}

actune_status at_cache_path(const at_cache *cache, const char *name, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/%s", cache->folder, name);
    return length > 0 && (size_t)length < size ? ACTUNE_OK : at_fail(ACTUNE_IO, "%s/%s: path too long", cache->folder, name);
}

actune_status at_cache_work_open(const at_cache *cache, char *path, size_t size)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&random ^ (uint64_t)clock();
    char name[48];
    snprintf(name, sizeof name, "%s%016llx", work_prefix, (unsigned long long)random);
    AT_TRY(at_cache_path(cache, name, path, size));
    if (mkdir(path, 0700))
        return at_fail(ACTUNE_IO, "cache folder %s cannot be written: %s; set XDG_CACHE_HOME to a folder you may write to",
                       cache->folder, strerror(errno));
    return ACTUNE_OK;
}

void at_cache_work_close(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(path);
}

void at_cache_touch(const char *path)
{
    utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

bool at_cache_find_any(const at_cache *cache, const char *key, char *path, size_t size)
{
    DIR *folder = opendir(cache->folder);
    bool found = false;
    if (!folder)
        return false;
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        const char *name = entry->d_name;
        size_t length = strlen(name);
        found = is_cache_file(name) && !strncmp(name, key, KEY_DIGITS) && !strcmp(name + length - 3, ".so") &&
                at_cache_path(cache, name, path, size) == ACTUNE_OK;
    }
    closedir(folder);
    return found;
}

typedef struct cached_file {
    char name[KEY_DIGITS + AT_IDENTITY_LENGTH + 8];
    int64_t bytes, used_ns;
} cached_file;

typedef struct listing {
    cached_file *file;
    size_t count, capacity;
    int64_t bytes;
} listing;

static bool list_add(listing *list, const char *name, const struct stat *info)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        cached_file *file = realloc(list->file, capacity * sizeof *file);
        if (!file)
            return false;
        list->file = file;
        list->capacity = capacity;
    }
    cached_file *file = &list->file[list->count++];
    memcpy(file->name, name, strlen(name) + 1); /* is_cache_file has checked the length */
    file->bytes = info->st_size;
    file->used_ns = (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
    list->bytes += file->bytes;
    return true;
}

/* Ours only: a user may point the cache at a folder with other things in it. Work folders of killed processes go here too. */
static void list_folder(const at_cache *cache, DIR *folder, listing *list)
{
    time_t now = time(NULL);
    struct stat info;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISREG(info.st_mode) && is_cache_file(entry->d_name)) {
            if (!list_add(list, entry->d_name, &info))
                return;
        } else if (S_ISDIR(info.st_mode) && !strncmp(entry->d_name, work_prefix, sizeof work_prefix - 1) &&
                   info.st_mtim.tv_sec < now - STALE_WORK_S) {
            char path[FOLDER_MAX + 300];
            if (at_cache_path(cache, entry->d_name, path, sizeof path) == ACTUNE_OK)
                at_cache_work_close(path);
        }
    }
}

static int by_use(const void *a, const void *b)
{
    const cached_file *x = a, *y = b;
    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

/* Down to nine tenths, so that the next file does not start it all again. `spared` is about to be loaded. */
static void scan_and_evict(at_cache *cache, const char *spared)
{
    DIR *folder = opendir(cache->folder);
    if (!folder)
        return;
    listing list = {0};
    list_folder(cache, folder, &list);
    if (list.bytes > cache->limit_bytes) {
        qsort(list.file, list.count, sizeof *list.file, by_use);
        for (size_t i = 0; i < list.count && list.bytes > cache->limit_bytes / 10 * 9; i++)
            if (strcmp(list.file[i].name, spared) && !unlinkat(dirfd(folder), list.file[i].name, 0))
                list.bytes -= list.file[i].bytes;
    }
    cache->known_bytes = list.bytes;
    free(list.file);
    closedir(folder);
}

/* Other processes add files too, so the count kept here only says when to look again: once 1/16 of the limit came in. */
void at_cache_added(at_cache *cache, const char *name)
{
    struct stat info;
    char path[FOLDER_MAX + 300];
    if (at_cache_path(cache, name, path, sizeof path) || stat(path, &info))
        return;
    pthread_mutex_lock(&cache->mutex);
    int64_t before = cache->known_bytes, step = cache->limit_bytes / 16 + 1;
    cache->known_bytes += info.st_size;
    if (before < 0 || cache->known_bytes > cache->limit_bytes || before / step != cache->known_bytes / step)
        scan_and_evict(cache, name);
    pthread_mutex_unlock(&cache->mutex);
}
