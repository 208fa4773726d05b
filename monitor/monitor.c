/* Opening, framing (TFRecord: length, its CRC, data, their CRC), flushing, closing. */
#include "monitor.h"

#include "crc32c.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_HEAD = 12, FRAME_TAIL = 4, BATCH_BYTES = 256 * 1024, TAG_MAX = 1024, NAME_TRIES = 100 };

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void put_le(unsigned char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> (8 * i));
}

/* Not committed yet: `bytes` is what to commit. */
static actune_status frame(at_monitor_file *file, const AtEvent__Event *event, size_t *bytes)
{
    size_t length = at_event__event__get_packed_size(event);
    unsigned char *at;
    AT_MONITOR_TRY(at_monitor_file_reserve(file, length + FRAME_HEAD + FRAME_TAIL, &at));
    put_le(at, length, 8);
    put_le(at + 8, at_crc32c_masked(at, 8), 4);
    at_event__event__pack(event, at + FRAME_HEAD);
    put_le(at + FRAME_HEAD + length, at_crc32c_masked(at + FRAME_HEAD, length), FRAME_TAIL);
    *bytes = length + FRAME_HEAD + FRAME_TAIL;
    return ACTUNE_OK;
}

static actune_status flush_locked(actune_monitor *monitor)
{
    actune_status events = at_monitor_file_flush(&monitor->events);
    actune_status lines = monitor->json_lines ? at_monitor_file_flush(&monitor->lines) : ACTUNE_OK;
    if (!events && !lines)
        monitor->waiting_since = -1;
    return events ? events : lines;
}

static actune_status append_line(at_monitor_file *file, const char *line)
{
    unsigned char *room;
    size_t length = strlen(line);
    AT_MONITOR_TRY(at_monitor_file_reserve(file, length + 1, &room));
    memcpy(room, line, length);
    room[length] = '\n';
    at_monitor_file_commit(file, length + 1);
    return ACTUNE_OK;
}

static actune_status add_locked(actune_monitor *monitor, AtEvent__Event *event, const char *line)
{
    size_t bytes;
    AT_MONITOR_TRY(frame(&monitor->events, event, &bytes));
    if (line && monitor->json_lines)
        AT_MONITOR_TRY(append_line(&monitor->lines, line));
    at_monitor_file_commit(&monitor->events, bytes);
    double now = seconds_of(CLOCK_MONOTONIC);
    if (monitor->waiting_since < 0)
        monitor->waiting_since = now;
    bool due = now - monitor->waiting_since >= monitor->flush_seconds || monitor->events.length >= BATCH_BYTES;
    return due ? flush_locked(monitor) : ACTUNE_OK;
}

actune_status at_monitor_add(actune_monitor *monitor, AtEvent__Event *event, const char *line)
{
    event->wall_time = seconds_of(CLOCK_REALTIME);
    pthread_mutex_lock(&monitor->lock);
    actune_status status = add_locked(monitor, event, line);
    pthread_mutex_unlock(&monitor->lock);
    return status;
}

actune_status at_monitor_add_values(actune_monitor *monitor, int64_t step, AtEvent__Value **values, size_t count, const char *line)
{
    AtEvent__Summary summary = AT_EVENT__SUMMARY__INIT;
    AtEvent__Event event = AT_EVENT__EVENT__INIT;
    summary.n_value = count;
    summary.value = values;
    event.step = step;
    event.what_case = AT_EVENT__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return at_monitor_add(monitor, &event, line);
}

/* Bytes of the character at `text`, 0 when it is none (overlong forms, surrogates, beyond U+10FFFF). */
static int utf8_length(const unsigned char *text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
    if (length <= 1)
        return length;
    uint32_t code = text[0] & (0xFFu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        code = code << 6 | (text[i] & 0x3F);
    }
    return code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0 : length;
}

bool at_monitor_is_utf8(const char *text)
{
    for (int length; *text; text += length)
        if ((length = utf8_length((const unsigned char *)text)) == 0)
            return false;
    return true;
}

actune_status at_monitor_check_tag(const char *what, const char *text)
{
    if (!text || !*text || strlen(text) > TAG_MAX)
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "%s must have 1 to %d bytes", what, TAG_MAX);
    if (!at_monitor_is_utf8(text))
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "%s is not UTF-8, which TensorBoard's files need", what);
    return ACTUNE_OK;
}

static actune_status make_folders(const char *folder)
{
    char *path = strdup(folder);
    if (!path)
        return at_monitor_fail(ACTUNE_NO_MEMORY, "no memory for the folder's name");
    actune_status status = ACTUNE_OK;
    for (char *at = path + 1; !status; at++) {
        char kept = *at;
        if (kept && kept != '/')
            continue;
        *at = '\0';
        /* A read-only file system says EROFS of folders that exist, too: what is in the way shows when the file is made. */
        if (mkdir(path, 0777) && errno != EEXIST && errno != EROFS && errno != EISDIR)
            status = at_monitor_fail(ACTUNE_IO, "the folder %s cannot be made: %s", path, strerror(errno));
        *at = kept;
        if (!kept)
            break;
    }
    free(path);
    return status;
}

typedef struct names {
    const char *folder, *suffix;
    char host[65];
    long long seconds;
    unsigned number;
} names;

static char *name_of(const names *n, const char *before, const char *after)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s.%010lld.%s.%ld.%u%s%s", n->folder, before, n->seconds, n->host, (long)getpid(), n->number, n->suffix, after) < 0)
        return NULL;
    return path;
}

static actune_status create_files(actune_monitor *monitor, names *n, size_t most)
{
    static atomic_uint opened;
    actune_status status = ACTUNE_BUSY;
    for (int i = 0; i < NAME_TRIES && status == ACTUNE_BUSY; i++) { /* another process id of another container, the same second */
        n->number = atomic_fetch_add(&opened, 1);
        char *path = name_of(n, "events.out.tfevents", "");
        if (!path)
            return at_monitor_fail(ACTUNE_NO_MEMORY, "no memory for a file's name");
        at_monitor_file_clear(&monitor->events);
        status = at_monitor_file_create(&monitor->events, path, most);
    }
    AT_MONITOR_TRY(status == ACTUNE_BUSY ? ACTUNE_IO : status);
    if (!monitor->json_lines)
        return ACTUNE_OK;
    char *path = name_of(n, "actune", ".jsonl");
    if (!path)
        return at_monitor_fail(ACTUNE_NO_MEMORY, "no memory for a file's name");
    status = at_monitor_file_create(&monitor->lines, path, most);
    return status == ACTUNE_BUSY ? ACTUNE_IO : status;
}

static actune_status start(actune_monitor *monitor, const char *folder, const actune_monitor_options *options)
{
    names n = {.folder = folder, .suffix = options->suffix ? options->suffix : "", .seconds = (long long)seconds_of(CLOCK_REALTIME)};
    if (gethostname(n.host, sizeof n.host - 1) || !*n.host || strchr(n.host, '/'))
        strcpy(n.host, "localhost");
    AT_MONITOR_TRY(make_folders(folder));
    AT_MONITOR_TRY(create_files(monitor, &n, options->pending_bytes_max ? options->pending_bytes_max : (size_t)64 << 20));
    AtEvent__Event event = AT_EVENT__EVENT__INIT;
    event.what_case = AT_EVENT__EVENT__WHAT_FILE_VERSION;
    event.file_version = "brain.Event:2";
    AT_MONITOR_TRY(at_monitor_add(monitor, &event, NULL));
    return actune_monitor_flush(monitor);
}

static void discard(actune_monitor *monitor, bool remove)
{
    if (remove && monitor->events.fd >= 0)
        unlink(monitor->events.path);
    if (remove && monitor->lines.fd >= 0)
        unlink(monitor->lines.path);
    at_monitor_file_clear(&monitor->events);
    at_monitor_file_clear(&monitor->lines);
    pthread_mutex_destroy(&monitor->lock);
    free(monitor);
}

actune_status actune_monitor_open(const char *folder, const actune_monitor_options *options, actune_monitor **result)
{
    static const actune_monitor_options defaults;
    options = options ? options : &defaults;
    if (!folder || !*folder || !result)
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "a monitor needs a folder and a place for the result");
    if (options->suffix && strchr(options->suffix, '/'))
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "the suffix '%s' is part of a file's name and has no '/'", options->suffix);
    actune_monitor *monitor = calloc(1, sizeof *monitor);
    if (!monitor)
        return at_monitor_fail(ACTUNE_NO_MEMORY, "no memory for a monitor");
    pthread_mutex_init(&monitor->lock, NULL);
    monitor->events.fd = monitor->lines.fd = -1;
    monitor->waiting_since = -1;
    monitor->json_lines = options->json_lines;
    monitor->flush_seconds = options->flush_seconds == 0 ? 2 : options->flush_seconds;
    actune_status status = start(monitor, folder, options);
    if (status)
        discard(monitor, true);
    else
        *result = monitor;
    return status;
}

actune_status actune_monitor_flush(actune_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    actune_status status = flush_locked(monitor);
    pthread_mutex_unlock(&monitor->lock);
    return status;
}

actune_status actune_monitor_close(actune_monitor *monitor)
{
    if (!monitor)
        return ACTUNE_OK;
    AT_MONITOR_TRY(actune_monitor_flush(monitor));
    AT_MONITOR_TRY(at_monitor_file_sync(&monitor->events));
    if (monitor->json_lines)
        AT_MONITOR_TRY(at_monitor_file_sync(&monitor->lines));
    discard(monitor, false);
    return ACTUNE_OK;
}

void actune_monitor_discard(actune_monitor *monitor)
{
    if (monitor)
        discard(monitor, false);
}

const char *actune_monitor_path(const actune_monitor *monitor)
{
    return monitor->events.path;
}

const char *actune_monitor_json_path(const actune_monitor *monitor)
{
    return monitor->json_lines ? monitor->lines.path : "";
}
