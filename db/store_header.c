/* The first 100 bytes of a database file, read as bytes: SQLite would write beside (and sometimes into) a file that is not ours. */
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_BYTES = 100 };

static uint32_t big_endian(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

actune_status at_store_fail_foreign(const char *path)
{
    return at_fail(ACTUNE_DATABASE, "%s is an SQLite database of another program, left as it is: name another file (--db, ACTUNE_DB)", path);
}

/* A crash in the middle of a checkpoint leaves the file short while the log beside it has the rest. */
static bool has_log(const char *path)
{
    char real[PATH_MAX], log[PATH_MAX + 16];
    struct stat info;
    if (!realpath(path, real))
        return false;
    snprintf(log, sizeof log, "%s-wal", real);
    if (!stat(log, &info) && info.st_size > 0)
        return true;
    snprintf(log, sizeof log, "%s-journal", real);
    return !stat(log, &info) && info.st_size > 0;
}

static actune_status judge(const char *path, const unsigned char bytes[HEADER_BYTES], int64_t file_bytes, at_store_header *header)
{
    if (memcmp(bytes, "SQLite format 3", 16))
        return at_fail(ACTUNE_DATABASE, "%s is no database (left as it is): name another file (--db, ACTUNE_DB) or move it away", path);
    if (big_endian(bytes + 68) != AT_STORE_APPLICATION)
        return at_store_fail_foreign(path);
    header->version = big_endian(bytes + 60);
    header->wal = bytes[18] == 2;
    header->log = has_log(path);
    if (header->version > at_store_version_here())
        return at_store_fail_newer(path, header->version);
    int64_t page = (int64_t)bytes[16] << 8 | bytes[17];
    page = page == 1 ? 65536 : page;
    if (file_bytes < page * (int64_t)big_endian(bytes + 28) && !header->log)
        return at_fail(ACTUNE_DATABASE, "%s is cut short (%lld bytes; left as it is): restore it from a copy, or move it away and tune again",
                       path, (long long)file_bytes);
    return ACTUNE_OK;
}

actune_status at_store_look(const char *path, at_store_header *header)
{
    unsigned char bytes[HEADER_BYTES];
    struct stat info;
    *header = (at_store_header){0};
    if (stat(path, &info)) {
        header->missing = errno == ENOENT || errno == ENOTDIR;
        return header->missing ? ACTUNE_OK : at_fail(ACTUNE_IO, "%s cannot be examined: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode))
        return at_fail(ACTUNE_DATABASE, "%s is %s, no database file: name a file (--db, ACTUNE_DB)", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return at_fail(ACTUNE_IO, "%s cannot be read: %s", path, strerror(errno));
    ssize_t got = pread(fd, bytes, sizeof bytes, 0);
    /* Again: another process may be making the database right now. */
    bool sized = !fstat(fd, &info);
    close(fd);
    if (got < 0 || !sized)
        return at_fail(ACTUNE_IO, "%s cannot be read: %s", path, strerror(errno));
    header->empty = got == 0;
    if (header->empty)
        return ACTUNE_OK;
    if (got < HEADER_BYTES)
        memset(bytes, 0, sizeof bytes);
    return judge(path, bytes, info.st_size, header);
}
