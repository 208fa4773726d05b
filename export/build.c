/* Sources -> lib<name>.a and lib<name>.so, by the compiler of the kernels, with the flags that they were tuned with. Everything is named from
   inside the folder, so that no path of this machine gets into a file. */
#include "job.h"

#include "../runtime/backend/cpu_internal.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 512, OUTPUT_MAX = 64 << 10, SHOWN_BYTES = 2400 };

typedef struct arguments {
    const char *of[ARGUMENTS_MAX];
    int count;
} arguments;

typedef struct building {
    at_export_job *job;
    const at_compiler *compiler;
    bool x86, arm; /* what the compiler makes code for */
    const char *object[ARGUMENTS_MAX];
    int objects;
} building;

static void add(arguments *list, const char *text)
{
    if (list->count < ARGUMENTS_MAX - 1)
        list->of[list->count++] = text;
}

static void add_all(arguments *list, const char *const *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(list, text[i]);
}

static actune_status run(const building *b, const char *step, const arguments *list)
{
    at_child_options options = {.limit_s = at_compile_limit_s(), .output_max = OUTPUT_MAX, .folder = b->job->folder};
    at_child_result result;
    AT_TRY(at_child_run(list->of, &options, &result));
    actune_status status = ACTUNE_OK;
    if (!at_child_succeeded(&result)) {
        char ended[96];
        at_child_describe(&result, ended, sizeof ended);
        status = at_fail(ACTUNE_COMPILE, "%s failed: %s: %s\n%.*s", step, list->of[0], ended, SHOWN_BYTES, at_strbuf_text(&result.output));
    }
    at_strbuf_clear(&result.output);
    return status;
}

/* The instruction set that a file of kernels is for; NULL: any, or one of another machine, whose file is empty here. */
static const char *march_of(const building *b, const char *path)
{
    static const char start[] = "src/kernels_";
    if (strncmp(path, start, sizeof start - 1) != 0)
        return NULL;
    path += sizeof start - 1;
    for (const at_export_target *t = b->job->target; t < b->job->target + b->job->targets; t++) {
        size_t length = strlen(t->tag);
        if (t->target.cuda || strncmp(path, t->tag, length) != 0 || strcmp(path + length, ".c") != 0)
            continue;
        bool here = t->target.isa == AT_ISA_NEON ? b->arm : t->target.isa != AT_ISA_GENERIC && b->x86;
        return here ? t->name : NULL;
    }
    return NULL;
}

/* "src/runtime/pool.c" -> ".objects/runtime_pool.o": archives know no folders. */
static char *object_of(at_export_job *job, const char *path)
{
    char *object = at_arena_printf(&job->arena, ".objects/%s", path + 4);
    if (object == NULL)
        return NULL;
    for (char *c = object + sizeof ".objects"; *c != '\0'; c++)
        if (*c == '/')
            *c = '_';
    object[strlen(object) - 1] = 'o';
    return object;
}

static actune_status compile(building *b, const char *path)
{
    static const char *const own_flags[] = {"-Isrc/runtime/include", "-ffile-prefix-map=src=."};
    arguments list = {.count = 0};
    at_flags flags;
    const char *march = march_of(b, path);
    char *object = object_of(b->job, path);
    if (object == NULL || b->objects == ARGUMENTS_MAX - 32)
        return at_export_no_memory();
    AT_TRY(at_flags_for(march, &flags));
    add(&list, b->compiler->path);
    for (int i = 0; i < flags.count; i++)
        add(&list, flags.flag[i]);
    add_all(&list, own_flags, sizeof own_flags / sizeof *own_flags);
    add_all(&list, (const char *const[]){"-c", path, "-o", object}, 4);
    AT_TRY(run(b, path, &list));
    b->object[b->objects++] = object;
    return ACTUNE_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What the compiler says to one question, without the end of the line. */
static actune_status ask(const building *b, const char *question, char *answer, size_t size)
{
    const char *const argv[] = {b->compiler->path, question, NULL};
    at_child_options options = {.limit_s = at_compile_limit_s(), .output_max = AT_PROGRAM_PATH_MAX, .folder = b->job->folder};
    at_child_result result;
    AT_TRY(at_child_run(argv, &options, &result));
    const char *said = at_child_succeeded(&result) ? at_strbuf_text(&result.output) : "";
    snprintf(answer, size, "%.*s", (int)strcspn(said, "\n"), said);
    at_strbuf_clear(&result.output);
    return ACTUNE_OK;
}

/* The archiver that belongs to the compiler: a cross compiler has one of its own. */
static actune_status find_archiver(const building *b, char path[AT_PROGRAM_PATH_MAX])
{
    char name[AT_PROGRAM_PATH_MAX];
    AT_TRY(ask(b, "-print-prog-name=ar", name, sizeof name));
    if (name[0] == '\0')
        strcpy(name, "ar");
    if (at_program_find(name, path))
        return ACTUNE_OK;
    return at_fail(ACTUNE_NO_COMPILER, "no archiver 'ar' on PATH: install binutils, or export with --sources-only");
}

static actune_status link_all(building *b)
{
    const char *name = b->job->request->name;
    char archiver[AT_PROGRAM_PATH_MAX];
    char *archive = at_arena_printf(&b->job->arena, "lib/lib%s.a", name), *shared = at_arena_printf(&b->job->arena, "lib/lib%s.so", name);
    char *soname = at_arena_printf(&b->job->arena, "-Wl,-soname,lib%s.so", name);
    if (archive == NULL || shared == NULL || soname == NULL)
        return at_export_no_memory();
    qsort(b->object, (size_t)b->objects, sizeof *b->object, by_text);
    AT_TRY(find_archiver(b, archiver));
    arguments list = {.count = 0};
    add_all(&list, (const char *const[]){archiver, "rcsD", archive}, 3);
    add_all(&list, b->object, (size_t)b->objects);
    AT_TRY(run(b, archive, &list));
    /* nodelete: worker threads and what pthread_atfork was given live in the library. */
    static const char *const flags[] = {"-shared", "-Wl,-z,defs", "-Wl,-z,noexecstack", "-Wl,-z,nodelete", "-Wl,--build-id=sha1", "-Wl,--as-needed",
                                        "-Wl,-s"};
    list = (arguments){.count = 0};
    add(&list, b->compiler->path);
    add_all(&list, flags, sizeof flags / sizeof *flags);
    add_all(&list, (const char *const[]){soname, "-o", shared}, 3);
    add_all(&list, b->object, (size_t)b->objects);
    add_all(&list, (const char *const[]){"-lpthread", "-ldl", "-lm"}, 3);
    return run(b, shared, &list);
}

static int64_t file_bytes(const at_export_job *job, const char *end)
{
    char path[2 * AT_EXPORT_PATH_MAX];
    struct stat info;
    snprintf(path, sizeof path, "%s/lib/lib%s.%s", job->folder, job->request->name, end);
    return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

static actune_status make_folder(const at_export_job *job, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", job->folder, name);
    return mkdir(path, 0777) == 0 || access(path, F_OK) == 0 ? ACTUNE_OK : at_fail(ACTUNE_IO, "%s cannot be made", path);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

actune_status at_export_build(at_export_job *job)
{
    building b = {.job = job};
    char objects[2 * AT_EXPORT_PATH_MAX], lib[2 * AT_EXPORT_PATH_MAX];
    actune_status status = at_compiler_get(&b.compiler);
    if (status != ACTUNE_OK)
        return at_fail(status, "%s; --sources-only exports what a compiler elsewhere can build", actune_last_error());
    char machine[128];
    AT_TRY(ask(&b, "-dumpmachine", machine, sizeof machine));
    b.x86 = strncmp(machine, "x86_64", 6) == 0;
    b.arm = strncmp(machine, "aarch64", 7) == 0;
    AT_TRY(make_folder(job, ".objects", objects, sizeof objects));
    AT_TRY(make_folder(job, "lib", lib, sizeof lib));
    for (int i = 0; i < job->files && status == ACTUNE_OK; i++) {
        const char *path = job->file[i].path;
        size_t length = strlen(path);
        if (strncmp(path, "src/", 4) == 0 && length > 2 && strcmp(path + length - 2, ".c") == 0)
            status = compile(&b, path);
    }
    if (status == ACTUNE_OK)
        status = link_all(&b);
    nftw(objects, remove_one, 4, FTW_DEPTH | FTW_PHYS);
    job->report->archive_bytes = file_bytes(job, "a");
    job->report->shared_bytes = file_bytes(job, "so");
    return status;
}
