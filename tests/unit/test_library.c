/* Where a library is looked for: a file under a name that no machine has, in folders of the test's own. */
#include "runtime/backend/library.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "libactune_searched_for.so"

static char folder[128], bound[512], refused[64];

static bool bind_library(void *library, const char *path)
{
    cr_assert_not_null(library);
    if (refused[0] && strstr(path, refused))
        return false;
    snprintf(bound, sizeof bound, "%s", path);
    return true;
}

static void run(const char *format, const char *a, const char *b)
{
    char command[512];
    snprintf(command, sizeof command, format, a, b);
    cr_assert_eq(system(command), 0, "%s", command);
}

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/actune-test-library-%ld", (long)getpid());
    run("mkdir -p '%s' %s", folder, "");
    static const char *const variables[] = {"CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX", "VIRTUAL_ENV", "HOME", "ACTUNE_SEARCHED"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
}

static void tear_down(void)
{
    run("rm -rf '%s' %s", folder, "");
}

TestSuite(library, .init = set_up, .fini = tear_down);

/* Any shared object will do. */
static void put(const char *below, const char *name)
{
    char path[384];
    snprintf(path, sizeof path, "%s/%s", folder, below);
    run("mkdir -p '%s' %s", path, "");
    run("cp " ACTUNE_BINARY_DIR "/libactune_runtime.so '%s/%s'", path, name);
}

static void point(const char *variable, const char *below)
{
    char path[384];
    snprintf(path, sizeof path, "%s/%s", folder, below);
    setenv(variable, path, 1);
}

static bool find(void)
{
    static const char *const names[] = {FILE_NAME ".2", FILE_NAME, NULL};
    bound[0] = '\0';
    return at_library_find(&(at_library_search){.variable = "ACTUNE_SEARCHED", .file = FILE_NAME, .names = names, .bind = bind_library});
}

static void expect(const char *below)
{
    char path[384];
    snprintf(path, sizeof path, "%s/%s", folder, below);
    cr_assert(find());
    cr_assert_str_eq(bound, path);
}

Test(library, is_nowhere)
{
    cr_assert_not(find());
}

/* Each folder is looked at before those that were made earlier. */
Test(library, folders_in_order)
{
    put("home/.local/lib/python3.9/site-packages/nvidia/a/lib", FILE_NAME ".7");
    point("HOME", "home");
    expect("home/.local/lib/python3.9/site-packages/nvidia/a/lib/" FILE_NAME ".7");
    put("venv/lib/python3.12/site-packages/nvidia/b/lib", FILE_NAME ".7");
    point("VIRTUAL_ENV", "venv");
    expect("venv/lib/python3.12/site-packages/nvidia/b/lib/" FILE_NAME ".7");
    put("conda/lib", FILE_NAME);
    point("CONDA_PREFIX", "conda");
    expect("conda/lib/" FILE_NAME);
    put("toolkit/lib64", FILE_NAME ".1");
    point("CUDA_HOME", "toolkit");
    expect("toolkit/lib64/" FILE_NAME ".1");
}

Test(library, the_newest_that_can_be_used)
{
    put("toolkit/lib64", FILE_NAME ".8");
    put("toolkit/lib64", FILE_NAME ".9");
    point("CUDA_HOME", "toolkit");
    expect("toolkit/lib64/" FILE_NAME ".9");
    strcpy(refused, ".so.9");
    expect("toolkit/lib64/" FILE_NAME ".8");
    refused[0] = '\0';
    run("echo no library >'%s/toolkit/lib64/%s'", folder, FILE_NAME ".9a");
    expect("toolkit/lib64/" FILE_NAME ".9");
}

Test(library, a_name_ends_the_search)
{
    put("toolkit/lib64", FILE_NAME);
    put("mine", "any_name.so");
    point("CUDA_HOME", "toolkit");
    point("ACTUNE_SEARCHED", "mine/any_name.so");
    expect("mine/any_name.so");
    point("ACTUNE_SEARCHED", "mine/none.so");
    cr_assert_not(find());
    setenv("ACTUNE_SEARCHED", "", 1);
    expect("toolkit/lib64/" FILE_NAME);
}

/* A relative folder would depend on where the program runs. */
Test(library, relative_folders_are_passed_over)
{
    put("toolkit/lib64", FILE_NAME);
    cr_assert_eq(chdir(folder), 0);
    setenv("CUDA_HOME", "toolkit", 1);
    cr_assert_not(find());
}
