/* Source text -> shared object: two child processes, compiler and linker, in a private work folder. */
#include "cpu_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORK_PATH_MAX = 1024, OUTPUT_MAX = 64 << 10, ARGV_MAX = AT_FLAGS_MAX + 16, SHOWN_LINES = 12, SHOWN_BYTES = 2400 };

static const char *const base_flags[] = {
    "-O2", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-fvisibility=hidden", "-w",
};

/* Names of ours that compilers call otherwise, and what a level needs besides: without it clang splits 64-byte vectors into
   halves for x86-64-v4. */
static const struct {
    const char *march, *flag, *extra;
} march_table[] = {
    {"generic", NULL, NULL},
    {"neon", "-march=armv8-a", NULL},
    {"x86-64-v4", "-march=x86-64-v4", "-mprefer-vector-width=512"},
};

actune_status at_flags_for(const char *march, at_flags *flags)
{
    flags->count = 0;
    for (size_t i = 0; i < sizeof base_flags / sizeof *base_flags; i++)
        flags->flag[flags->count++] = base_flags[i];
    if (!march)
        return ACTUNE_OK;
    size_t legal = strspn(march, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_");
    if (!*march || march[legal] || legal + sizeof "-march=" > sizeof flags->march_text || !strcmp(march, "native"))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "'%.80s' is no architecture to compile for", march);
    for (size_t i = 0; i < sizeof march_table / sizeof *march_table; i++) {
        if (strcmp(march, march_table[i].march))
            continue;
        if (march_table[i].flag)
            flags->flag[flags->count++] = march_table[i].flag;
        if (march_table[i].extra)
            flags->flag[flags->count++] = march_table[i].extra;
        return ACTUNE_OK;
    }
    snprintf(flags->march_text, sizeof flags->march_text, "-march=%s", march);
    flags->flag[flags->count++] = flags->march_text;
    return ACTUNE_OK;
}

typedef struct work {
    const at_compile_job *job;
    char folder[WORK_PATH_MAX], source[WORK_PATH_MAX + 16], object[WORK_PATH_MAX + 16], binary[WORK_PATH_MAX + 16];
    at_child_result result;
} work;

static actune_status run_step(work *w, const char *const *argv)
{
    at_strbuf_clear(&w->result.output);
    at_child_options options = {.limit_s = at_compile_limit_s(), .output_max = OUTPUT_MAX, .temp_folder = w->folder};
    return at_child_run(argv, &options, &w->result);
}

static bool made(const work *w, const char *path)
{
    struct stat info;
    return at_child_succeeded(&w->result) && stat(path, &info) == 0 && info.st_size > 0;
}

/* The compiler's first lines, with the kept file's name in place of the work folder's. */
static void append_first_lines(at_strbuf *out, const char *text, const char *from, const char *to)
{
    int lines = 0;
    size_t start = out->length, from_length = strlen(from);
    while (*text && lines < SHOWN_LINES && out->length - start < SHOWN_BYTES) {
        if (!strncmp(text, from, from_length)) {
            at_strbuf_append(out, to);
            text += from_length;
            continue;
        }
        lines += *text == '\n';
        at_strbuf_char(out, *text++);
    }
    if (*text)
        at_strbuf_append(out, "...");
    while (out->length > start && out->text[out->length - 1] == '\n')
        out->text[--out->length] = 0;
}

/* Puts the source where a person can look at it and tells what the compiler said. */
static actune_status compile_failure(work *w, const char *step)
{
    const at_compile_job *job = w->job;
    const char *said = at_strbuf_text(&w->result.output);
    if (strstr(said, "No space left on device") || strstr(said, "Disk quota exceeded"))
        return at_fail(ACTUNE_IO, "the disk of cache folder %s is full; free some space or set XDG_CACHE_HOME",
                       at_cache_folder(job->cache));
    bool kept = rename(w->source, job->kept) == 0;
    char ended[96];
    at_child_describe(&w->result, ended, sizeof ended);
    at_strbuf message = {0};
    at_strbuf_printf(&message, "%s of generated code failed: %s: %s%s%s", step, job->compiler->path, ended,
                     kept ? "; the source is kept as " : "", kept ? job->kept : "");
    if (w->result.timed_out)
        at_strbuf_printf(&message, " (the limit is ACTUNE_COMPILE_TIMEOUT_S = %g)", at_compile_limit_s());
    at_strbuf_append(&message, *said ? "\n" : "");
    append_first_lines(&message, said, w->source, kept ? job->kept : "source");
    actune_status status = at_strbuf_status(&message);
    if (!status)
        status = at_fail(ACTUNE_COMPILE, "%s", at_strbuf_text(&message));
    at_strbuf_clear(&message);
    return status;
}

static actune_status compile_object(work *w)
{
    const char *argv[ARGV_MAX] = {w->job->compiler->path};
    int n = 1;
    for (int i = 0; i < w->job->flags->count; i++)
        argv[n++] = w->job->flags->flag[i];
    argv[n++] = w->job->compiler->is_clang ? "-fno-crash-diagnostics" : "-pipe";
    const char *const tail[] = {"-c", w->source, "-o", w->object, NULL};
    memcpy(argv + n, tail, sizeof tail);
    AT_TRY(run_step(w, argv));
    return made(w, w->object) ? ACTUNE_OK : compile_failure(w, "compilation");
}

/* The linker called by itself takes 3 ms, through clang's driver 20 (it loads LLVM once more). The driver knows libraries that
   the plain linker does not find (libgcc's conversions, cross compilers), so it is the second try. */
static actune_status link_binary(work *w)
{
    /* Relocations are kept in the file: at_elf_code leaves addresses out of its hash by them. */
    char linker[AT_PROGRAM_PATH_MAX];
    if (at_program_find("ld", linker)) {
        const char *const direct[] = {linker, "-shared", "-z", "defs", "-z", "noexecstack", "--emit-relocs", "--as-needed",
                                      "-o", w->binary, w->object, "-lm", NULL};
        AT_TRY(run_step(w, direct));
        if (made(w, w->binary) || w->result.timed_out)
            return made(w, w->binary) ? ACTUNE_OK : compile_failure(w, "linking");
    }
    const char *const driver[] = {w->job->compiler->path, "-shared", "-Wl,-z,defs", "-Wl,--emit-relocs", "-Wl,--as-needed",
                                  "-o", w->binary, w->object, "-lm", NULL};
    AT_TRY(run_step(w, driver));
    return made(w, w->binary) ? ACTUNE_OK : compile_failure(w, "linking");
}

static actune_status compile_in(work *w)
{
    const at_compile_job *job = w->job;
    AT_TRY(at_file_write(w->source, job->source, strlen(job->source)));
    AT_TRY(compile_object(w));
    AT_TRY(link_binary(w));
    AT_TRY(at_file_seal(w->binary));
    if (getenv("ACTUNE_KEEP_SOURCE"))
        rename(w->source, job->kept);
    if (rename(w->binary, job->target))
        return at_fail(ACTUNE_IO, "%s cannot be put into the cache", job->target);
    return ACTUNE_OK;
}

actune_status at_compile(const at_compile_job *job)
{
    work *w = calloc(1, sizeof *w);
    if (!w)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory before compiling");
    w->job = job;
    actune_status status = at_cache_work_open(job->cache, w->folder, sizeof w->folder);
    if (!status) {
        snprintf(w->source, sizeof w->source, "%s/kernel.c", w->folder);
        snprintf(w->object, sizeof w->object, "%s/kernel.o", w->folder);
        snprintf(w->binary, sizeof w->binary, "%s/kernel.so", w->folder);
        status = compile_in(w);
        at_cache_work_close(w->folder);
    }
    at_strbuf_clear(&w->result.output);
    free(w);
    return status;
}
