/* A file that is only appended to. Bytes wait in memory until they are written; what the disk refuses keeps waiting. */
#ifndef AT_MONITOR_FILE_H
#define AT_MONITOR_FILE_H

#include "error.h"

typedef struct at_monitor_file {
    char *path;
    int fd; /* -1: not open */
    unsigned char *pending;
    size_t length, capacity, most; /* of pending; `most` bytes may wait */
} at_monitor_file;

/* Makes a file that did not exist: EEXIST is ACTUNE_BUSY (take another name), all else IO. `path` is owned by the file
   from here on, also after a failure (clear it). */
actune_status at_monitor_file_create(at_monitor_file *file, char *path, size_t most);
/* Room for `bytes` more, which the caller fills; at_monitor_file_commit makes them part of what waits. NO_MEMORY. */
actune_status at_monitor_file_reserve(at_monitor_file *file, size_t bytes, unsigned char **room);
void at_monitor_file_commit(at_monitor_file *file, size_t bytes);
/* Writes what waits. After IO the rest still waits, and the file goes on where it stopped. */
actune_status at_monitor_file_flush(at_monitor_file *file);
/* To the disk itself: some file systems tell only then that they are full. */
actune_status at_monitor_file_sync(at_monitor_file *file);
/* Closes and frees, whatever waits. */
void at_monitor_file_clear(at_monitor_file *file);

#endif
