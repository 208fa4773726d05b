/* A user's own function as a stage, from a file or a text of the caller's: "@my_act.c:my_act(alpha=0.3)". */
#include "spec_parse.h"

#include "parse_clang.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USER_FILE_BYTES_MAX = 1 << 20 };

typedef struct user_file {
    const at_scan *scan;
    size_t at; /* of the '@' */
    const char *path;
} user_file;

static actune_status fail_file(const user_file *file, actune_status code, const char *why)
{
    return at_scan_fail(file->scan, file->at, code, "cannot read '%s': %s", file->path, why);
}

/* Exactly `bytes` of the file and no more; UNSUPPORTED when it is shorter or longer, it is being written then. */
static actune_status read_bytes(const user_file *file, int descriptor, char *text, size_t bytes)
{
    size_t done = 0;
    char beyond;
    while (done < bytes) {
        ssize_t got = read(descriptor, text + done, bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_file(file, ACTUNE_IO, strerror(errno));
        if (got == 0)
            break;
        done += (size_t)got;
    }
    if (done < bytes || read(descriptor, &beyond, 1) > 0)
        return fail_file(file, ACTUNE_IO, "it changed while it was read");
    return ACTUNE_OK;
}

static actune_status read_open(const user_file *file, int descriptor, at_arena *arena, const char **source)
{
    struct stat info;
    if (fstat(descriptor, &info))
        return fail_file(file, ACTUNE_IO, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fail_file(file, ACTUNE_IO, "it is no regular file");
    if (info.st_size > USER_FILE_BYTES_MAX)
        return fail_file(file, ACTUNE_UNSUPPORTED, "it is larger than 1 MiB");
    size_t bytes = (size_t)info.st_size;
    char *text = at_arena_alloc(arena, bytes + 1);
    if (!text)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading '%s'", file->path);
    AT_TRY(read_bytes(file, descriptor, text, bytes));
    text[bytes] = 0;
    if (strlen(text) != bytes)
        return fail_file(file, ACTUNE_SYNTAX, "it holds a NUL byte, so it is no C text");
    *source = text;
    return ACTUNE_OK;
}

static actune_status read_source(const user_file *file, at_arena *arena, const char **source)
{
    /* O_NONBLOCK: a FIFO must not hang the caller. */
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return fail_file(file, errno == ENOENT || errno == ENOTDIR ? ACTUNE_NOT_FOUND : ACTUNE_IO, strerror(errno));
    actune_status status = read_open(file, descriptor, arena, source);
    close(descriptor);
    return status;
}

/* "path:function" in two; the path may hold colons. */
static actune_status parse_names(at_scan *scan, size_t at, at_arena *arena, at_stage *stage)
{
    at_slice both = at_scan_until(scan, "|(");
    const char *colon = both.length ? memrchr(both.text, ':', both.length) : NULL;
    size_t path_length = colon ? (size_t)(colon - both.text) : 0;
    if (!path_length)
        return at_scan_fail(scan, at, ACTUNE_SYNTAX, "a function of your own is written '@file.c:function'");
    at_slice function = {colon + 1, both.length - path_length - 1};
    at_scan name = {.text = function.text, .length = function.length};
    if (!function.length || at_scan_name(&name).length != function.length)
        return at_scan_fail(scan, at + 1 + path_length + 1, ACTUNE_SYNTAX, "expected the name of a C function here");
    stage->file = at_arena_strndup(arena, both.text, path_length);
    stage->function = at_arena_strndup(arena, function.text, function.length);
    return stage->file && stage->function ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory while parsing a spec");
}

/* A text that the caller gave under the name; NULL: the name is that of a file. */
static const char *find_source(const at_scan *scan, const char *name)
{
    for (int i = 0; i < scan->source_count; i++)
        if (!strcmp(scan->sources[i].name, name))
            return scan->sources[i].text;
    return NULL;
}

actune_status at_spec_parse_user(at_scan *scan, at_arena *arena, at_stage *stage)
{
    user_file file = {.scan = scan, .at = scan->at};
    scan->at++; /* '@' */
    AT_TRY(parse_names(scan, file.at, arena, stage));
    file.path = stage->file;
    const char *source = find_source(scan, stage->file);
    if (!source)
        AT_TRY(read_source(&file, arena, &source));
    at_activation *activation = at_arena_alloc(arena, sizeof *activation);
    if (!activation)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while parsing a spec");
    stage->activation = activation; /* set first: at_spec_clear frees its graph, whatever happens next */
    return at_parse_c(stage->file, source, stage->function, arena, activation);
}
