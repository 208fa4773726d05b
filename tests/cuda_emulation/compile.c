#include "compile.h"

#include "runtime/backend/cpu.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* A struct that a kernel takes by value becomes a reference: the emulator passes pointers and integers only. */
static void write_references(FILE *file, const char *source)
{
    static const char by_value[] = "const batch_buffers buffers)";
    for (const char *at; (at = strstr(source, by_value)); source = at + strlen(by_value)) {
        fwrite(source, 1, (size_t)(at - source), file);
        fputs("const batch_buffers &buffers)", file);
    }
    fputs(source, file);
}

/* Vector structs check the alignment of what they are copied from and to: compilers only check scalars. */
static void write_checked(FILE *file, const char *source)
{
    static const char start[] = "struct __align__(";
    for (const char *at; (at = strstr(source, start)); ) {
        int align = 0, used = 0;
        char name[64] = "";
        if (sscanf(at + sizeof start - 1, "%d) %63[A-Za-z0-9_] {%n", &align, name, &used) != 2 || !used) {
            used = 0;
            name[0] = 0;
        }
        const char *end = at + sizeof start - 1 + used;
        fwrite(source, 1, (size_t)(end - source), file);
        if (name[0])
            fprintf(file, " EMU_CHECKED(%s, %d)", name, align);
        source = end;
    }
    write_references(file, source);
}

static actune_status write_text(const char *source, const char *extra, const char *text)
{
    FILE *file = fopen(text, "w");
    if (!file)
        return at_fail(ACTUNE_IO, "%s could not be written", text);
    write_checked(file, source);
    fputs(extra ? extra : "", file);
    int failed = ferror(file);
    return fclose(file) || failed ? at_fail(ACTUNE_IO, "%s could not be written", text) : ACTUNE_OK;
}

static actune_status run_compiler(const char *clang, const char *text, const char *object, const char *log)
{
    char shim[1024];
    snprintf(shim, sizeof shim, "%s/tests/cuda_emulation/shim.h", ACTUNE_SOURCE_DIR);
    char *arguments[] = {(char *)clang,  "-x",           "c++",         "-std=c++14", "-O1",   "-fPIC",        "-shared",
                         "-w",           "-nostdlib++",  "-fno-exceptions", "-ffp-contract=off", "-fsanitize=alignment",
                         "-fsanitize-trap=all", "-include", shim,       (char *)text, "-lm", "-Wl,--emit-relocs", "-o",           (char *)object, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = -1;
    posix_spawn_file_actions_init(&actions);
    if (log)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int failed = posix_spawn(&child, clang, &actions, NULL, arguments, environ) || waitpid(child, &status, 0) < 0;
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return at_fail(ACTUNE_IO, "%s could not be started", clang);
    return status == 0 ? ACTUNE_OK : at_fail(ACTUNE_COMPILE, "%s did not compile", text);
}

actune_status emu_compile(const char *source, const char *extra, const char *text, const char *object, const char *log)
{
    const at_compiler *compiler;
    AT_TRY(at_compiler_get(&compiler));
    if (!compiler->is_clang)
        return at_fail(ACTUNE_UNSUPPORTED, "the emulation needs clang");
    AT_TRY(write_text(source, extra, text));
    return run_compiler(compiler->path, text, object, log);
}
