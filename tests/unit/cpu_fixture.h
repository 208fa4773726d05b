/* Shared by the tests of the CPU back end. */
#ifndef AT_TESTS_CPU_FIXTURE_H
#define AT_TESTS_CPU_FIXTURE_H

#include "isolated.h"
#include "runtime/backend/cpu.h"
#include <dirent.h>
#include <sys/stat.h>

static inline void setup(void)
{
    make_root();
    setenv("XDG_CACHE_HOME", root, 1);
    unsetenv("ACTUNE_CC");
    unsetenv("ACTUNE_CACHE_MAX_MB");
    unsetenv("ACTUNE_KEEP_SOURCE");
    unsetenv("ACTUNE_COMPILE_TIMEOUT_S");
}

/* A kernel that stores `value`. */
static inline const char *source_of(double value)
{
    static char text[1024];
    snprintf(text, sizeof text,
             "typedef struct { void *const *port; long long outer, channels, inner, begin, end; double *partial; } slice;\n"
             "__attribute__((visibility(\"default\"))) void entry(const slice *s)\n"
             "{ for (long long i = s->begin; i < s->end; i++) ((float *)s->port[0])[i] = (float)%.9e; }\n", value);
    return text;
}

static inline float result_of(const at_binary *binary)
{
    float out[4] = {0};
    void *port[] = {out};
    actune_slice slice = {.port = port, .outer = 1, .channels = 1, .inner = 4, .end = 4};
    at_binary_symbol(binary, "entry")(&slice);
    return out[3];
}

static inline at_cache *open_cache(void)
{
    at_cache *cache;
    CHECK(at_cache_open(NULL, &cache) == ACTUNE_OK);
    return cache;
}

static inline at_build_info build(at_cache *cache, double value, bool no_compile)
{
    at_binary *binary;
    at_build_info info;
    CHECK(at_binary_build(cache, source_of(value), NULL, no_compile, &binary, &info) == ACTUNE_OK);
    CHECK(result_of(binary) == (float)value);
    at_binary_release(binary);
    return info;
}

static inline actune_status build_status(at_cache *cache, const char *source, bool no_compile)
{
    at_binary *binary;
    at_build_info info;
    actune_status status = at_binary_build(cache, source, NULL, no_compile, &binary, &info);
    CHECK((binary != NULL) == (status == ACTUNE_OK));
    at_binary_release(binary);
    return status;
}

static inline int count_files(const char *folder, const char *ending)
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

static inline void write_script(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fprintf(f, "#!/bin/sh\n%s\n", text) > 0 && !fclose(f) && !chmod(path, 0755));
}

#endif
