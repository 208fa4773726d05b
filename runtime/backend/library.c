#include "library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

static bool try_library(const at_library_search *search, const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
    if (search->bind(library, path))
        return true;
    dlclose(library);
    return false;
}

/* Newest first: glob sorts upwards. */
static bool try_pattern(const at_library_search *search, const char *pattern)
{
    glob_t found;
    bool loaded = false;
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    for (size_t i = found.gl_pathc; i-- > 0 && !loaded;)
        loaded = try_library(search, found.gl_pathv[i]);
    globfree(&found);
    return loaded;
}

/* Folders, the first of them below one that the environment names. */
static const struct {
    const char *variable, *folder;
} places[] = {
    {"CUDA_HOME", "/lib*/"},
    {"CUDA_PATH", "/lib*/"},
    {"CONDA_PREFIX", "/lib/"},
    {"VIRTUAL_ENV", "/lib/python3*/site-packages/nvidia/*/lib/"},
    {"CONDA_PREFIX", "/lib/python3*/site-packages/nvidia/*/lib/"},
    {"HOME", "/.local/lib/python3*/site-packages/nvidia/*/lib/"},
    {NULL, "/usr/local/cuda/lib64/"},
    {NULL, "/usr/local/cuda/lib/"},
    {NULL, "/usr/local/cuda-*/lib*/"},
    {NULL, "/usr/lib/*-linux-gnu/"},
    {NULL, "/usr/lib/python3*/*-packages/nvidia/*/lib/"},
    {NULL, "/usr/local/lib/python3*/*-packages/nvidia/*/lib/"},
};

static bool try_place(const at_library_search *search, size_t place)
{
    char pattern[1024];
    const char *above = places[place].variable != NULL ? getenv(places[place].variable) : "";
    if (above == NULL || (places[place].variable != NULL && above[0] != '/') ||
        snprintf(pattern, sizeof pattern, "%s%s%s*", above, places[place].folder, search->file) >= (int)sizeof pattern)
        return false;
    return try_pattern(search, pattern);
}

void at_library_reason(const char *path, char *reason, size_t size)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    snprintf(reason, size, "%s", library != NULL ? "functions are missing in it" : dlerror());
    if (library != NULL)
        dlclose(library);
}

bool at_library_find(const at_library_search *search)
{
    const char *chosen = getenv(search->variable);
    if (chosen != NULL && *chosen != '\0')
        return try_library(search, chosen);
    for (int i = 0; search->names[i] != NULL; i++)
        if (try_library(search, search->names[i]))
            return true;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (try_place(search, i))
            return true;
    return false;
}
