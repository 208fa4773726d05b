/* Which compiler: ACTUNE_CC, else the first that works of clang, gcc and cc on PATH. Asked once a process. */
#include "../base/number.h"
#include "cpu_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const candidates[] = {"clang", "gcc", "cc"};
enum { CANDIDATES = sizeof candidates / sizeof *candidates };

static bool is_program(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

static bool join(char path[AT_PROGRAM_PATH_MAX], const char *folder, size_t length, const char *name)
{
    int wanted = snprintf(path, AT_PROGRAM_PATH_MAX, "%.*s/%s", (int)length, folder, name);
    return wanted > 0 && wanted < AT_PROGRAM_PATH_MAX && is_program(path);
}

bool at_program_find(const char *name, char path[AT_PROGRAM_PATH_MAX])
{
    if (name[0] == '/')
        return snprintf(path, AT_PROGRAM_PATH_MAX, "%s", name) < AT_PROGRAM_PATH_MAX && is_program(path);
    if (strchr(name, '/')) {
        char here[AT_PROGRAM_PATH_MAX];
        return getcwd(here, sizeof here) && join(path, here, strlen(here), name);
    }
    const char *entry = getenv("PATH");
    while (entry && *entry) {
        size_t length = strcspn(entry, ":");
        /* An empty or relative entry would run whatever lies in the current folder. */
        if (entry[0] == '/' && length < AT_PROGRAM_PATH_MAX && join(path, entry, length, name))
            return true;
        entry += length + (entry[length] == ':');
    }
    return false;
}

void at_program_identity(const char *path, char identity[AT_IDENTITY_LENGTH + 1])
{
    struct stat info;
    char text[AT_PROGRAM_PATH_MAX + 128];
    if (stat(path, &info))
        memset(&info, 0, sizeof info);
    snprintf(text, sizeof text, "%s %lld %lld.%09ld", path, (long long)info.st_size, (long long)info.st_mtim.tv_sec,
             info.st_mtim.tv_nsec);
    at_hash hash = at_hash_text(text);
    memcpy(identity, hash.hex, AT_IDENTITY_LENGTH);
    identity[AT_IDENTITY_LENGTH] = 0;
}

static const char *forced_compiler(void)
{
    const char *forced = getenv("ACTUNE_CC");
    return forced && *forced ? forced : NULL;
}

bool at_compiler_locate(char path[AT_PROGRAM_PATH_MAX])
{
    const char *forced = forced_compiler();
    if (forced)
        return at_program_find(forced, path);
    for (int i = 0; i < CANDIDATES; i++)
        if (at_program_find(candidates[i], path))
            return true;
    return false;
}

double at_compile_limit_s(void)
{
    const char *text = getenv("ACTUNE_COMPILE_TIMEOUT_S");
    double limit = 0;
    bool given = text && at_number_parse(text, strlen(text), &limit) == AT_NUMBER_OK;
    return given && limit > 0 && limit < 1e6 ? limit : 60;
}

/* Runs --version; false, with `why`, when the program does not act like a compiler. */
static bool probe(const char *path, at_compiler *compiler, char *why, size_t why_size)
{
    const char *const argv[] = {path, "--version", NULL};
    at_child_options options = {.limit_s = at_compile_limit_s() < 10 ? at_compile_limit_s() : 10, .output_max = 4096};
    at_child_result result;
    if (at_child_run(argv, &options, &result)) {
        snprintf(why, why_size, "%s", actune_last_error());
        return false;
    }
    bool ok = at_child_succeeded(&result) && result.output.length > 0;
    if (ok) {
        const char *text = at_strbuf_text(&result.output);
        *compiler = (at_compiler){.is_clang = strstr(text, "clang") != NULL};
        snprintf(compiler->path, sizeof compiler->path, "%s", path);
        snprintf(compiler->version, sizeof compiler->version, "%.*s", (int)strcspn(text, "\n"), text);
    } else {
        char ended[96];
        at_child_describe(&result, ended, sizeof ended);
        snprintf(why, why_size, "%s --version: %s", path, ended);
    }
    at_strbuf_clear(&result.output);
    return ok;
}

static at_compiler found;
static bool have_compiler;
static char failure[1536];

static void probe_all(void)
{
    char path[AT_PROGRAM_PATH_MAX], why[AT_PROGRAM_PATH_MAX + 160] = "";
    const char *forced = forced_compiler();
    if (forced) {
        have_compiler = at_program_find(forced, path) && probe(path, &found, why, sizeof why);
        if (!have_compiler)
            snprintf(failure, sizeof failure,
                     "ACTUNE_CC names '%.300s', which is no working compiler (%s): set it to clang or gcc, or unset it",
                     forced, *why ? why : "no such program");
        return;
    }
    for (int i = 0; i < CANDIDATES && !have_compiler; i++)
        have_compiler = at_program_find(candidates[i], path) && probe(path, &found, why, sizeof why);
    if (!have_compiler)
        snprintf(failure, sizeof failure,
                 "no C compiler found (looked for clang, gcc and cc on PATH%s%s): install one (Debian: apt install clang) "
                 "or set ACTUNE_CC",
                 *why ? "; " : "", why);
}

actune_status at_compiler_get(const at_compiler **compiler)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe_all);
    *compiler = have_compiler ? &found : NULL;
    return have_compiler ? ACTUNE_OK : at_fail(ACTUNE_NO_COMPILER, "%s", failure);
}
