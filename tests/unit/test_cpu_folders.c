/* The cache's folder: whose it is, what may be written, how much it holds. */
#include "cpu_fixture.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

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

static void check_unwritable(void)
{
    at_cache *cache = open_cache();
    build(cache, 41, false);
    at_cache_close(cache);
    CHECK(!mkdir(in_root("locked"), 0500));
    become_somebody();
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

Test(cpu_folders, folders, .init = setup, .fini = remove_root)
{
    in_child("folders", check_folders);
    in_child("mounts", check_mounts);
    in_child("unwritable", check_unwritable);
}

Test(cpu_folders, eviction, .init = setup, .fini = remove_root)
{
    in_child("eviction", check_eviction);
}
