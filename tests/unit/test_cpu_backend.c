/* The CPU back end: building, the cache, damage, races, machine code. */
#include "cpu_fixture.h"
#include <fcntl.h>
#include <pthread.h>

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

Test(cpu_backend, build, .init = setup, .fini = remove_root)
{
    in_child("build", check_build);
    setenv("XDG_CACHE_HOME", in_root("second"), 1);
    in_child("compile errors", check_compile_errors);
}

Test(cpu_backend, damage, .init = setup, .fini = remove_root)
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

Test(cpu_backend, races, .init = setup, .fini = remove_root)
{
    in_child("processes", check_processes);
    in_child("failing threads", check_failing_threads);
    setenv("XDG_CACHE_HOME", in_root("second"), 1);
    in_child("threads", check_threads);
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

Test(cpu_backend, code, .init = setup, .fini = remove_root)
{
    in_child("code", check_code);
    in_child("width", check_width);
    in_child("code by gcc", check_code_gcc);
}
