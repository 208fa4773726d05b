/* The CPU back end in folders of its own. Which compiler there is gets asked once a process, so most cases run in children. */
#include "runtime/backend/cpu.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char root[64]; /* a new folder each test */

#define CHECK(condition, ...)                                                        \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);          \
            fprintf(stderr, " " __VA_ARGS__);                                        \
            fprintf(stderr, " [last error: %s]\n", actune_last_error());             \
            _exit(1);                                                                \
        }                                                                            \
    } while (0)

static void run(const char *command)
{
    cr_assert_eq(system(command), 0, "%s", command);
}

static void setup(void)
{
    strcpy(root, "/tmp/actune-cpu-XXXXXX");
    cr_assert(mkdtemp(root));
    setenv("XDG_CACHE_HOME", root, 1);
    unsetenv("ACTUNE_CC");
    unsetenv("ACTUNE_CACHE_MAX_MB");
    unsetenv("ACTUNE_KEEP_SOURCE");
    unsetenv("ACTUNE_COMPILE_TIMEOUT_S");
}

static void teardown(void)
{
    char command[256];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", root, root);
    run(command);
}

static void in_child(const char *name, void (*body)(void))
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        signal(SIGCHLD, SIG_DFL);
        body();
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s failed (status %#x)", name, status);
}

static const char *in_root(const char *name)
{
    static char path[8][512];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

/* A kernel that stores `value`. */
static const char *source_of(double value)
{
    static char text[1024];
    snprintf(text, sizeof text,
             "typedef struct { void *const *port; long long outer, channels, inner, begin, end; double *partial; } slice;\n"
             "__attribute__((visibility(\"default\"))) void entry(const slice *s)\n"
             "{ for (long long i = s->begin; i < s->end; i++) ((float *)s->port[0])[i] = (float)%.9e; }\n", value);
    return text;
}

static float result_of(const at_binary *binary)
{
    float out[4] = {0};
    void *port[] = {out};
    actune_slice slice = {.port = port, .outer = 1, .channels = 1, .inner = 4, .end = 4};
    at_binary_symbol(binary, "entry")(&slice);
    return out[3];
}

static at_cache *open_cache(void)
{
    at_cache *cache;
    CHECK(at_cache_open(NULL, &cache) == ACTUNE_OK);
    return cache;
}

static at_build_info build(at_cache *cache, double value, bool no_compile)
{
    at_binary *binary;
    at_build_info info;
    CHECK(at_binary_build(cache, source_of(value), NULL, no_compile, &binary, &info) == ACTUNE_OK);
    CHECK(result_of(binary) == (float)value);
    at_binary_release(binary);
    return info;
}

static actune_status build_status(at_cache *cache, const char *source, bool no_compile)
{
    at_binary *binary;
    at_build_info info;
    actune_status status = at_binary_build(cache, source, NULL, no_compile, &binary, &info);
    CHECK((binary != NULL) == (status == ACTUNE_OK));
    at_binary_release(binary);
    return status;
}

static int count_files(const char *folder, const char *ending)
{
    int count = 0;
    DIR *d = opendir(folder);
    CHECK(d);
    for (struct dirent *e; (e = readdir(d));) {
        size_t length = strlen(e->d_name), want = strlen(ending);
        count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && length >= want &&
                 !strcmp(e->d_name + length - want, ending);
    }
    closedir(d);
    return count;
}

static bool error_has(const char *text)
{
    return strstr(actune_last_error(), text) != NULL;
}

/* Building, the cache, the table of the process. */
static void check_build(void)
{
    at_cache *cache = open_cache();
    CHECK(!strcmp(at_cache_folder(cache), in_root("actune")));
    struct stat info;
    CHECK(!stat(at_cache_folder(cache), &info) && (info.st_mode & 07777) == 0700);
    at_binary *a, *b;
    at_build_info first, second;
    CHECK(build_status(cache, source_of(1), true) == ACTUNE_NOT_FOUND);
    CHECK(at_binary_build(cache, source_of(1), NULL, false, &a, &first) == ACTUNE_OK);
    CHECK(!first.cached && first.compile_ms > 0 && access(first.path, R_OK) == 0);
    CHECK(at_binary_build(cache, source_of(1), NULL, false, &b, &second) == ACTUNE_OK);
    CHECK(a == b && second.cached && second.compile_ms == 0 && !strcmp(first.path, second.path));
    CHECK(at_binary_symbol(a, "entry") && !at_binary_symbol(a, "exit_of_nowhere"));
    at_binary_release(a);
    CHECK(result_of(b) == 1);
    at_binary_release(b);
    at_binary_release(NULL);
    at_build_info again = build(cache, 1, false);
    CHECK(again.cached && again.compile_ms == 0);
    CHECK(build(cache, 1, true).cached);
    CHECK(!build(cache, 2, false).cached);
    CHECK(at_binary_build(cache, source_of(1), "generic", false, &a, NULL) == ACTUNE_OK);
    at_binary_release(a);
    CHECK(count_files(at_cache_folder(cache), "") == 2 && count_files(at_cache_folder(cache), ".so") == 2);
#ifdef __x86_64__
    CHECK(at_binary_build(cache, source_of(1), "x86-64-v3", false, &a, &first) == ACTUNE_OK);
    CHECK(!first.cached);
    at_binary_release(a);
#endif
    static const char *const bad[] = {"", "native", "x86-64 -fplugin=evil.so", "v3;ls", "x\n",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(at_binary_build(cache, source_of(1), bad[i], false, &a, NULL) == ACTUNE_INVALID_ARGUMENT && !a);
    at_cache_close(cache);
    at_cache_close(NULL);
}

static void check_compile_errors(void)
{
    at_cache *cache = open_cache();
    const char *folder = at_cache_folder(cache);
    CHECK(build_status(cache, "int broken(void) { return nowhere_declared; }\n", false) == ACTUNE_COMPILE);
    CHECK(error_has("nowhere_declared") && error_has(".c") && !error_has(".work-"));
    CHECK(count_files(folder, ".c") == 1 && count_files(folder, "") == 1);
    const char *undefined = "void missing_function(void);\n"
                            "__attribute__((visibility(\"default\"))) void entry(void) { missing_function(); }\n";
    CHECK(build_status(cache, undefined, false) == ACTUNE_COMPILE && error_has("missing_function"));
    CHECK(build_status(cache, "float sinf(float); __attribute__((visibility(\"default\"))) float entry(float x)"
                              "{ return sinf(x); }\n", false) == ACTUNE_OK);
    char many[8192] = "";
    for (int i = 0; i < 100; i++)
        sprintf(many + strlen(many), "int f%d = undeclared_%d + here;\n", i, i);
    CHECK(build_status(cache, many, false) == ACTUNE_COMPILE && strlen(actune_last_error()) < 4000);
    setenv("ACTUNE_KEEP_SOURCE", "1", 1);
    build(cache, 3, false);
    CHECK(count_files(folder, ".c") == 4 && count_files(folder, ".so") == 2 && count_files(folder, "") == 6);
    at_cache_close(cache);
}

static void overwrite(const char *path, long offset, const char *bytes, size_t count)
{
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, bytes, count, offset) == (ssize_t)count);
    close(fd);
}

static void check_damage(void)
{
    at_cache *cache = open_cache();
    at_build_info info = build(cache, 5, false);
    struct stat whole;
    CHECK(!stat(info.path, &whole));
    static const double kept[] = {0, 0.01, 0.3, 0.5, 0.9, 0.999};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        CHECK(!truncate(info.path, (off_t)(kept[i] * (double)whole.st_size)));
        CHECK(build_status(cache, source_of(5), true) == ACTUNE_NOT_FOUND);
        CHECK(access(info.path, F_OK) != 0, "a damaged file is removed");
        CHECK(!build(cache, 5, false).cached);
    }
    for (long offset = 0; offset < whole.st_size; offset += whole.st_size / 7) {
        overwrite(info.path, offset, "\xff\0\xff\0\xff\0\xff", 8);
        CHECK(!build(cache, 5, false).cached);
        CHECK(build(cache, 5, false).cached);
    }
    /* Right length, nothing but zeros: what a power cut leaves of a file that was not synced. */
    CHECK(!truncate(info.path, 0) && !truncate(info.path, whole.st_size));
    CHECK(!build(cache, 5, false).cached);
    /* A folder in the file's place: said, not removed. */
    CHECK(!unlink(info.path) && !mkdir(info.path, 0700));
    CHECK(build_status(cache, source_of(5), false) == ACTUNE_IO && error_has(info.path));
    at_cache_close(cache);
}

Test(cpu_backend, build, .init = setup, .fini = teardown)
{
    in_child("build", check_build);
    setenv("XDG_CACHE_HOME", in_root("second"), 1);
    in_child("compile errors", check_compile_errors);
}

Test(cpu_backend, damage, .init = setup, .fini = teardown)
{
    in_child("damage", check_damage);
}

/* Races. */
static void *build_many(void *cache)
{
    for (int i = 0; i < 3; i++) {
        at_binary *binary;
        char source[1024];
        snprintf(source, sizeof source, "__attribute__((visibility(\"default\"))) void entry(const long long *s)"
                                        "{ ((float **)s[0])[0][3] = %d; }\n", i + 10);
        CHECK(at_binary_build(cache, source, NULL, false, &binary, NULL) == ACTUNE_OK);
        CHECK(result_of(binary) == (float)(i + 10));
        at_binary_release(binary);
    }
    return NULL;
}

static void check_threads(void)
{
    at_cache *cache = open_cache();
    pthread_t thread[8];
    for (int i = 0; i < 8; i++)
        CHECK(!pthread_create(&thread[i], NULL, build_many, cache));
    for (int i = 0; i < 8; i++)
        pthread_join(thread[i], NULL);
    CHECK(count_files(at_cache_folder(cache), "") == 3);
    at_cache_close(cache);
}

static void *fail_to_build(void *cache)
{
    CHECK(build_status(cache, "#error no\n", false) == ACTUNE_COMPILE);
    return NULL;
}

static void check_failing_threads(void)
{
    at_cache *cache = open_cache();
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_create(&thread[i], NULL, fail_to_build, cache));
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    at_cache_close(cache);
}

static void check_processes(void)
{
    pid_t pid[8];
    for (int i = 0; i < 8; i++) {
        pid[i] = fork();
        CHECK(pid[i] >= 0);
        if (pid[i] == 0) {
            at_cache *cache = open_cache();
            build(cache, 21, false);
            build_many(cache);
            at_cache_close(cache);
            _exit(0);
        }
    }
    for (int i = 0; i < 8; i++) {
        int status;
        CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
    }
    CHECK(count_files(in_root("actune"), "") == 4 && count_files(in_root("actune"), ".so") == 4);
}

Test(cpu_backend, races, .init = setup, .fini = teardown)
{
    in_child("processes", check_processes);
    in_child("failing threads", check_failing_threads);
    setenv("XDG_CACHE_HOME", in_root("second"), 1);
    in_child("threads", check_threads);
}

/* Compilers that are missing or misbehave. */
static void write_script(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fprintf(f, "#!/bin/sh\n%s\n", text) > 0 && !fclose(f) && !chmod(path, 0755));
}

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

Test(cpu_backend, compilers, .init = setup, .fini = teardown)
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

/* Folders. */
static void refused(const char *folder, const char *why)
{
    at_cache *cache;
    CHECK(at_cache_open(folder, &cache) == ACTUNE_IO && !cache, "%s", folder ? folder : "(default)");
    CHECK(error_has(why), "want '%s'", why);
}

static void check_folders(void)
{
    at_cache *cache;
    CHECK(!mkdir(in_root("open"), 0700) && !chmod(in_root("open"), 0777));
    refused(in_root("open"), "chmod go-w");
    CHECK(!chmod(in_root("open"), 0720));
    refused(in_root("open"), "chmod go-w");
    CHECK(!symlink(in_root("open"), in_root("link")));
    refused(in_root("link"), "symbolic link");
    write_script(in_root("file"), "");
    refused(in_root("file"), "file");
    refused(in_root("file/below"), "file");
    if (geteuid() == 0) {
        CHECK(!mkdir(in_root("foreign"), 0700) && !chown(in_root("foreign"), 12345, 12345));
        refused(in_root("foreign"), "12345");
    }
    char long_name[2000];
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name, "/tmp/", 5);
    long_name[sizeof long_name - 1] = 0;
    refused(long_name, "longer");
    CHECK(!chdir(root) && at_cache_open("deep/er", &cache) == ACTUNE_OK);
    CHECK(at_cache_folder(cache)[0] == '/' && access(in_root("deep/er"), W_OK) == 0);
    at_cache_close(cache);
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", in_root("home"), 1);
    CHECK(at_cache_open(NULL, &cache) == ACTUNE_OK && !strcmp(at_cache_folder(cache), in_root("home/.cache/actune")));
    at_cache_close(cache);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    refused(NULL, "HOME");
}

/* As root, rights do not bind: go on as somebody else. */
static void check_unwritable(void)
{
    at_cache *cache = open_cache();
    build(cache, 41, false);
    at_cache_close(cache);
    CHECK(!mkdir(in_root("locked"), 0500));
    if (geteuid() == 0) {
        char command[256];
        snprintf(command, sizeof command, "chown -R 12345 %s", root);
        CHECK(system(command) == 0 && setgid(12345) == 0 && setuid(12345) == 0);
    }
    CHECK(!chmod(in_root("actune"), 0500));
    cache = open_cache();
    CHECK(build(cache, 41, false).cached, "a read-only cache still serves");
    CHECK(build_status(cache, source_of(42), false) == ACTUNE_IO && error_has("XDG_CACHE_HOME"));
    at_cache_close(cache);
    refused(in_root("locked/new"), "cannot be made");
    CHECK(!chmod(in_root("actune"), 0700));
}

/* Needs root's right to mount (in a name space of its own); left out without it. */
static void check_mounts(void)
{
    CHECK(!mkdir(in_root("noexec"), 0700) && !mkdir(in_root("small"), 0700));
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("t", in_root("noexec"), "tmpfs", MS_NOEXEC, "mode=700")) {
        fprintf(stderr, "note: noexec and full-disk cases need the right to mount, left out\n");
        return;
    }
    at_cache *cache;
    CHECK(at_cache_open(in_root("noexec"), &cache) == ACTUNE_OK);
    CHECK(build_status(cache, source_of(43), false) == ACTUNE_IO && error_has("noexec"));
    CHECK(count_files(in_root("noexec"), "") == 0);
    at_cache_close(cache);
    for (int kilobytes = 4; kilobytes <= 16; kilobytes += 4) {
        char size[32];
        snprintf(size, sizeof size, "mode=700,size=%dk", kilobytes);
        CHECK(!mount("t", in_root("small"), "tmpfs", 0, size) && at_cache_open(in_root("small"), &cache) == ACTUNE_OK);
        actune_status status = build_status(cache, source_of(44), false);
        CHECK(status == ACTUNE_IO, "%d KiB: %s", kilobytes, actune_status_name(status));
        CHECK(error_has("No space left") || error_has("full"));
        at_cache_close(cache);
        CHECK(!umount(in_root("small")));
    }
}

static void set_age(const char *path, int seconds)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    CHECK(!utimensat(AT_FDCWD, path, times, 0));
}

static void check_eviction(void)
{
    at_cache *cache = open_cache();
    char folder[512];
    snprintf(folder, sizeof folder, "%s", at_cache_folder(cache));
    at_build_info info[6];
    struct stat size;
    char path[600];
    for (int i = 0; i < 6; i++) {
        info[i] = build(cache, 50 + i, false);
        set_age(info[i].path, 1000 - i);
    }
    CHECK(!stat(info[0].path, &size));
    at_cache_close(cache);
    snprintf(path, sizeof path, "%s/.work-00112233445566ff", folder);
    CHECK(!mkdir(path, 0700));
    snprintf(path, sizeof path, "%s/.work-00112233445566ff/kernel.c", folder);
    write_script(path, "");
    snprintf(path, sizeof path, "%s/.work-00112233445566ff", folder);
    set_age(path, 7200);
    write_script(in_root("actune/letter.txt"), "of the user");
    set_age(in_root("actune/letter.txt"), 100000);
    snprintf(path, sizeof path, "%f", (double)size.st_size * 5.5 / 1048576);
    setenv("ACTUNE_CACHE_MAX_MB", path, 1);
    cache = open_cache();
    CHECK(build(cache, 50, false).cached, "use makes the oldest the newest");
    CHECK(!build(cache, 56, false).cached);
    CHECK(!access(info[0].path, F_OK) && access(info[1].path, F_OK) && access(info[2].path, F_OK));
    CHECK(count_files(folder, ".so") == 4 && !access(info[5].path, F_OK));
    CHECK(!access(in_root("actune/letter.txt"), F_OK) && access(in_root("actune/.work-00112233445566ff"), F_OK));
    for (int i = 0; i < 8; i++)
        build(cache, 60 + i, false);
    CHECK(count_files(folder, ".so") <= 5);
    at_cache_close(cache);
}

Test(cpu_backend, folders, .init = setup, .fini = teardown)
{
    in_child("folders", check_folders);
    in_child("mounts", check_mounts);
    in_child("unwritable", check_unwritable);
}

Test(cpu_backend, eviction, .init = setup, .fini = teardown)
{
    in_child("eviction", check_eviction);
}

/* Machine code: the same in another place is the same, other constants are not. */
static void check_code(void)
{
    static const char source[] =
        "#define E __attribute__((visibility(\"default\")))\n"
        "typedef float v4 __attribute__((vector_size(16)));\n"
        "static const float ta[64] = {1, 2, 3}, tb[64] = {1, 2, 3}, tc[64] = {[63] = 4};\n"
        "E void f1(v4 *p) { *p = *p * (v4){1.5f, 2.5f, 3, 4} + 0.1f; }\n"
        "E void big(v4 *p) { for (int i = 0; i < 1000; i++) p[i] = p[i] * p[i] + p[0] / p[3]; }\n"
        "E void f2(v4 *p) { *p = *p * (v4){1.5f, 2.5f, 3, 4} + 0.1f; }\n"
        "E void f3(v4 *p) { *p = *p * (v4){1.5f, 2.5f, 3, 4.5f} + 0.1f; }\n"
        "E float a(int i) { return ta[i]; }\n"
        "E float b(int i) { return tb[i]; }\n"
        "E float c(int i) { return tc[i]; }\n";
    at_cache *cache = open_cache();
    at_binary *binary;
    at_hash hash[7], none = {"x"};
    static const char *const name[] = {"f1", "f2", "f3", "big", "a", "b", "c"};
    CHECK(at_binary_build(cache, source, NULL, false, &binary, NULL) == ACTUNE_OK);
    for (int i = 0; i < 7; i++) {
        size_t size = at_binary_code(binary, name[i], &hash[i]);
        CHECK(size > 3 && size < 4096 && strlen(hash[i].hex) == 32, "%s: %zu", name[i], size);
        CHECK(at_binary_code(binary, name[i], NULL) == size);
    }
    CHECK(at_binary_code(binary, "f1", &hash[0]) == at_binary_code(binary, "f2", &hash[1]));
    CHECK(!strcmp(hash[0].hex, hash[1].hex), "same code elsewhere");
    CHECK(strcmp(hash[0].hex, hash[2].hex), "other constants");
    CHECK(strcmp(hash[0].hex, hash[3].hex));
    CHECK(!strcmp(hash[4].hex, hash[5].hex), "equal tables");
    CHECK(strcmp(hash[4].hex, hash[6].hex), "tables that differ at the end");
    CHECK(at_binary_code(binary, "nothing", &none) == 0 && at_binary_code(binary, "f", &none) == 0);
    at_binary_release(binary);
    at_cache_close(cache);
}

/* At x86-64-v4, a 64-byte vector is one register: half the instructions of x86-64-v3. */
static void check_width(void)
{
#ifdef __x86_64__
    static const char source[] = "typedef float v16 __attribute__((vector_size(64)));\n"
                                 "__attribute__((visibility(\"default\"))) void wide(v16 *p)\n"
                                 "{ p[4] = p[0] * p[1] + p[2] * p[3] - p[0] * p[3] + p[1]; }\n";
    at_cache *cache = open_cache();
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        at_binary *binary;
        CHECK(at_binary_build(cache, source, i ? "x86-64-v4" : "x86-64-v3", false, &binary, NULL) == ACTUNE_OK);
        size[i] = at_binary_code(binary, "wide", NULL);
        at_binary_release(binary);
    }
    CHECK(size[1] * 4 < size[0] * 3, "%zu bytes at v3, %zu at v4", size[0], size[1]);
    at_cache_close(cache);
#endif
}

static void check_code_gcc(void)
{
    setenv("ACTUNE_CC", "gcc", 1);
    check_code();
    check_width();
}

Test(cpu_backend, code, .init = setup, .fini = teardown)
{
    in_child("code", check_code);
    in_child("width", check_width);
    in_child("code by gcc", check_code_gcc);
}
