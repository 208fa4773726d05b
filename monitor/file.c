#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

actune_status at_monitor_file_create(at_monitor_file *file, char *path, size_t most)
{
    *file = (at_monitor_file){.path = path, .fd = -1, .most = most};
    do
        file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    while (file->fd < 0 && errno == EINTR);
    if (file->fd >= 0)
        return ACTUNE_OK;
    return at_monitor_fail(errno == EEXIST ? ACTUNE_BUSY : ACTUNE_IO, "%s cannot be made: %s. Is the folder yours to write to?",
                           path, strerror(errno));
}

actune_status at_monitor_file_reserve(at_monitor_file *file, size_t bytes, unsigned char **room)
{
    if (bytes > file->most || file->length > file->most - bytes)
        return at_monitor_fail(ACTUNE_NO_MEMORY,
                               "%s: %zu bytes wait to be written already and no more than %zu may; this event is not kept. Make "
                               "room on the disk and flush", file->path, file->length, file->most);
    if (file->capacity - file->length < bytes) {
        size_t capacity = file->capacity * 2 > file->length + bytes ? file->capacity * 2 : file->length + bytes;
        unsigned char *grown = realloc(file->pending, capacity);
        if (!grown)
            return at_monitor_fail(ACTUNE_NO_MEMORY, "%s: no memory for an event of %zu bytes; it is not kept", file->path, bytes);
        file->pending = grown;
        file->capacity = capacity;
    }
    *room = file->pending + file->length;
    return ACTUNE_OK;
}

void at_monitor_file_commit(at_monitor_file *file, size_t bytes)
{
    file->length += bytes;
}

actune_status at_monitor_file_flush(at_monitor_file *file)
{
    size_t done = 0;
    int error = 0;
    while (done < file->length && !error) {
        ssize_t count = write(file->fd, file->pending + done, file->length - done);
        if (count > 0)
            done += (size_t)count;
        else if (count == 0 || errno != EINTR)
            error = count == 0 ? ENOSPC : errno;
    }
    file->length -= done;
    if (done > 0 && file->length > 0)
        memmove(file->pending, file->pending + done, file->length);
    if (error)
        return at_monitor_fail(ACTUNE_IO, "%s cannot be written: %s. %zu bytes are kept and written at the next flush that can",
                               file->path, strerror(error), file->length);
    return ACTUNE_OK;
}

actune_status at_monitor_file_sync(at_monitor_file *file)
{
    if (fdatasync(file->fd) && errno != EINVAL && errno != ENOSYS && errno != EROFS)
        return at_monitor_fail(ACTUNE_IO, "%s did not reach the disk: %s", file->path, strerror(errno));
    return ACTUNE_OK;
}

void at_monitor_file_clear(at_monitor_file *file)
{
    if (file->fd >= 0 && file->path)
        close(file->fd);
    free(file->path);
    free(file->pending);
    *file = (at_monitor_file){.fd = -1};
}
