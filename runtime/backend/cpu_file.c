/* Whole files, and the seal of a cached binary. */
#include "cpu_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 20, SEAL_MARK = 8, SEAL_BYTES = SEAL_MARK + 32 };
static const char seal_mark[SEAL_MARK + 1] = "actune1\n";

static actune_status fail_errno(const char *path, const char *what, int error)
{
    return at_fail(error == ENOENT ? ACTUNE_NOT_FOUND : ACTUNE_IO, "%s: %s: %s", path, what, strerror(error));
}

static actune_status read_all(int fd, const char *path, at_bytes *bytes)
{
    struct stat info;
    if (fstat(fd, &info))
        return fail_errno(path, "cannot be read", errno);
    if (!S_ISREG(info.st_mode) || info.st_size > FILE_MAX)
        return at_fail(ACTUNE_IO, "%s: no regular file of a sane size", path);
    bytes->size = (size_t)info.st_size;
    bytes->data = malloc(bytes->size + 1);
    if (!bytes->data)
        return at_fail(ACTUNE_NO_MEMORY, "%s: out of memory for %zu bytes", path, bytes->size);
    for (size_t done = 0; done < bytes->size;) {
        ssize_t got = read(fd, bytes->data + done, bytes->size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(path, "cannot be read", errno);
        if (got == 0)
            bytes->size = done;
        done += (size_t)got;
    }
    return ACTUNE_OK;
}

actune_status at_file_read(const char *path, at_bytes *bytes)
{
    *bytes = (at_bytes){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(path, "cannot be opened", errno);
    actune_status status = read_all(fd, path, bytes);
    close(fd);
    if (status) {
        free(bytes->data);
        *bytes = (at_bytes){0};
    }
    return status;
}

static actune_status write_all(int fd, const char *path, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)data + done, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return at_fail(ACTUNE_IO, "%s cannot be written: %s", path, strerror(errno));
        done += (size_t)put;
    }
    return ACTUNE_OK;
}

static actune_status open_and_write(const char *path, int flags, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0)
        return at_fail(ACTUNE_IO, "%s cannot be written: %s", path, strerror(errno));
    actune_status status = write_all(fd, path, data, size);
    if (close(fd) && !status)
        status = at_fail(ACTUNE_IO, "%s cannot be written: %s", path, strerror(errno));
    return status;
}

actune_status at_file_write(const char *path, const void *data, size_t size)
{
    return open_and_write(path, O_CREAT | O_EXCL, data, size);
}

static void make_seal(const void *data, size_t size, char seal[SEAL_BYTES])
{
    at_hash hash = at_hash_bytes(data, size);
    memcpy(seal, seal_mark, SEAL_MARK);
    memcpy(seal + SEAL_MARK, hash.hex, 32);
}

actune_status at_file_seal(const char *path)
{
    at_bytes bytes;
    AT_TRY(at_file_read(path, &bytes));
    char seal[SEAL_BYTES];
    make_seal(bytes.data, bytes.size, seal);
    free(bytes.data);
    return open_and_write(path, O_APPEND, seal, sizeof seal);
}

bool at_file_sealed(const at_bytes *bytes)
{
    if (bytes->size < SEAL_BYTES)
        return false;
    char seal[SEAL_BYTES];
    make_seal(bytes->data, bytes->size - SEAL_BYTES, seal);
    return memcmp(bytes->data + bytes->size - SEAL_BYTES, seal, SEAL_BYTES) == 0;
}

size_t at_file_unsealed_size(const at_bytes *bytes)
{
    return bytes->size - SEAL_BYTES;
}
