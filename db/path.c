#include "path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int at_path_of_user(const char *variable, const char *home_below, const char *below, char *path, size_t size)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int length = -1;
    if (base && base[0] == '/')
        length = snprintf(path, size, "%s/%s", base, below);
    else if (home_below && home && home[0] == '/')
        length = snprintf(path, size, "%s/%s/%s", home, home_below, below);
    return length > 0 && (size_t)length < size ? length : -1;
}

actune_status at_path_absolute(const char *path, char *absolute, size_t size)
{
    char here[PATH_MAX] = "";
    if (path[0] != '/' && !getcwd(here, sizeof here))
        return at_fail(ACTUNE_IO, "%s: the working directory is unknown: %s", path, strerror(errno));
    int length = snprintf(absolute, size, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
    return length > 0 && (size_t)length < size ? ACTUNE_OK : at_fail(ACTUNE_IO, "%.200s...: path too long", path);
}

actune_status at_path_make_parents(const char *path)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path);
        if (length >= sizeof part)
            return at_fail(ACTUNE_IO, "%.200s...: path too long", path);
        memcpy(part, path, length);
        part[length] = 0;
        struct stat info;
        if (stat(part, &info) && mkdir(part, 0700) && errno != EEXIST)
            return at_fail(ACTUNE_IO, "%s: folder %s cannot be made: %s", path, part, strerror(errno));
    }
    return ACTUNE_OK;
}
