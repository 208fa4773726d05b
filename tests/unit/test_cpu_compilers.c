/* Compilers that are missing or misbehave. Which one there is gets asked once a process: every case is a child. */
#include "cpu_fixture.h"
#include <time.h>

/* Answers --version as a compiler would, then does `then`. */
static void use_script(const char *then)
{
    char text[1024];
    snprintf(text, sizeof text, "if [ \"$1\" = --version ]; then echo 'fake clang 1.0'; exit 0; fi\n%s", then);
    write_script(in_root("fakecc"), text);
    setenv("ACTUNE_CC", in_root("fakecc"), 1);
}

static void fill_cache(void)
{
    at_cache *cache = open_cache();
    build(cache, 31, false);
    at_cache_close(cache);
}

static void check_empty_path(void)
{
    setenv("PATH", "", 1);
    at_cache *cache = open_cache();
    const at_compiler *compiler;
    CHECK(at_compiler_get(&compiler) == ACTUNE_NO_COMPILER && !compiler);
    CHECK(error_has("install") && error_has("clang") && error_has("gcc"));
    CHECK(build_status(cache, source_of(32), false) == ACTUNE_NO_COMPILER && error_has("install"));
    CHECK(build(cache, 31, false).cached, "what is cached needs no compiler");
    CHECK(build(cache, 31, true).cached);
    at_cache_close(cache);
}

static void check_relative_path_entries(void)
{
    CHECK(!chdir(root));
    write_script("clang", "touch ran; exit 1");
    setenv("PATH", ".::", 1);
    const at_compiler *compiler;
    CHECK(at_compiler_get(&compiler) == ACTUNE_NO_COMPILER);
    CHECK(access("ran", F_OK) != 0);
}

static void check_named_compiler_missing(void)
{
    setenv("ACTUNE_CC", "/no/such/cc", 1);
    const at_compiler *compiler;
    CHECK(at_compiler_get(&compiler) == ACTUNE_NO_COMPILER && error_has("/no/such/cc") && error_has("ACTUNE_CC"));
}

static void check_broken_clang_falls_to_gcc(void)
{
    char path[256];
    CHECK(!mkdir(in_root("bin"), 0755));
    write_script(in_root("bin/clang"), "exit 127");
    snprintf(path, sizeof path, "%s:%s", in_root("bin"), getenv("PATH"));
    setenv("PATH", path, 1);
    const at_compiler *compiler;
    CHECK(at_compiler_get(&compiler) == ACTUNE_OK);
    CHECK(compiler->path[0] == '/' && compiler->version[0] && !strchr(compiler->version, '\n'));
    CHECK(!strstr(compiler->path, root));
    at_cache *cache = open_cache();
    CHECK(!build(cache, 33, false).cached);
    CHECK(build(cache, 33, false).cached);
    at_cache_close(cache);
}

static void check_failing_compiler(void)
{
    use_script("echo 'internal surprise 42' >&2; exit 3");
    at_cache *cache = open_cache();
    CHECK(build_status(cache, source_of(34), false) == ACTUNE_COMPILE);
    CHECK(error_has("internal surprise 42") && error_has("exit status 3"));
    at_cache_close(cache);
}

static void check_crashing_compiler(void)
{
    use_script("kill -SEGV $$");
    at_cache *cache = open_cache();
    CHECK(build_status(cache, source_of(34), false) == ACTUNE_COMPILE && error_has("signal 11"));
    at_cache_close(cache);
}

static void check_compiler_that_makes_nothing(void)
{
    use_script("exit 0");
    at_cache *cache = open_cache();
    CHECK(build_status(cache, source_of(34), false) == ACTUNE_COMPILE);
    at_cache_close(cache);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool alive(const char *pid_file)
{
    FILE *f = fopen(in_root(pid_file), "r");
    int pid = 0;
    CHECK(f && fscanf(f, "%d", &pid) == 1);
    fclose(f);
    for (int i = 0; i < 100; i++) {
        char path[64], state = 'Z';
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *stat_file = fopen(path, "r");
        if (stat_file) {
            if (fscanf(stat_file, "%*d (%*[^)]) %c", &state) != 1)
                state = 'Z';
            fclose(stat_file);
        }
        if (state == 'Z')
            return false;
        usleep(20000);
    }
    return true;
}

static void check_hanging_compiler(void)
{
    char script[512];
    snprintf(script, sizeof script, "sleep 100 & echo $! >%s; wait", in_root("grandchild"));
    use_script(script);
    setenv("ACTUNE_COMPILE_TIMEOUT_S", "0.3", 1);
    at_cache *cache = open_cache();
    double start = now_s();
    CHECK(build_status(cache, source_of(34), false) == ACTUNE_COMPILE);
    CHECK(now_s() - start < 20 && error_has("stopped after") && error_has("ACTUNE_COMPILE_TIMEOUT_S"));
    CHECK(!alive("grandchild"), "the whole process group ends");
    snprintf(script, sizeof script, "exec >/dev/null 2>&1; sleep 100");
    use_script(script);
    CHECK(build_status(cache, source_of(35), false) == ACTUNE_COMPILE && error_has("stopped after"));
    CHECK(now_s() - start < 20, "closed output does not hide a hanging compiler");
    at_cache_close(cache);
}

static void check_endless_output(void)
{
    use_script("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done");
    setenv("ACTUNE_COMPILE_TIMEOUT_S", "0.3", 1);
    at_cache *cache = open_cache();
    CHECK(build_status(cache, source_of(34), false) == ACTUNE_COMPILE && error_has("stopped after"));
    at_cache_close(cache);
}

static void check_process_left_behind(void)
{
    use_script("sleep 30 & exit 3");
    at_cache *cache = open_cache();
    double start = now_s();
    CHECK(build_status(cache, source_of(34), false) == ACTUNE_COMPILE && error_has("exit status 3"));
    CHECK(now_s() - start < 10);
    at_cache_close(cache);
}

static void check_environment(void)
{
    char script[512];
    snprintf(script, sizeof script, "env >%s; cat >%s; exit 1", in_root("env"), in_root("stdin"));
    use_script(script);
    static const char *const poison[] = {"CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX",
                                         "CCC_OVERRIDE_OPTIONS", "DEPENDENCIES_OUTPUT", "LD_AUDIT", "LC_MESSAGES"};
    for (size_t i = 0; i < sizeof poison / sizeof *poison; i++)
        setenv(poison[i], "poison", 1);
    setenv("LC_ALL", "poison", 1);
    at_cache *cache = open_cache();
    CHECK(build_status(cache, source_of(34), false) == ACTUNE_COMPILE);
    char text[8192] = "";
    FILE *f = fopen(in_root("env"), "r");
    CHECK(f && fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    CHECK(!strstr(text, "poison") && strstr(text, "LC_ALL=C\n") && strstr(text, "PATH=") && strstr(text, "TMPDIR="), "%s", text);
    struct stat info;
    CHECK(!stat(in_root("stdin"), &info) && info.st_size == 0);
    at_cache_close(cache);
}

static void check_poisoned_real_compile(void)
{
    setenv("DEPENDENCIES_OUTPUT", in_root("deps"), 1);
    setenv("CCC_OVERRIDE_OPTIONS", "+-DPOISON=1 +-not-an-option", 1);
    at_cache *cache = open_cache();
    build(cache, 36, false);
    CHECK(access(in_root("deps"), F_OK) != 0);
    at_cache_close(cache);
}

static void check_sigchld_ignored(void)
{
    signal(SIGCHLD, SIG_IGN);
    at_cache *cache = open_cache();
    CHECK(!build(cache, 37, false).cached);
    CHECK(build_status(cache, "#error no\n", false) == ACTUNE_COMPILE && error_has("#error no"));
    at_cache_close(cache);
}

Test(cpu_compilers, all, .init = setup, .fini = remove_root)
{
    in_child("fill the cache", fill_cache);
    in_child("empty PATH", check_empty_path);
    in_child("relative PATH entries", check_relative_path_entries);
    in_child("ACTUNE_CC missing", check_named_compiler_missing);
    in_child("broken clang", check_broken_clang_falls_to_gcc);
    in_child("failing", check_failing_compiler);
    in_child("crashing", check_crashing_compiler);
    in_child("makes nothing", check_compiler_that_makes_nothing);
    in_child("hanging", check_hanging_compiler);
    in_child("endless output", check_endless_output);
    in_child("process left behind", check_process_left_behind);
    in_child("environment", check_environment);
    in_child("poisoned environment", check_poisoned_real_compile);
    in_child("SIGCHLD ignored", check_sigchld_ignored);
}
