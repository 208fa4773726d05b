/* One measuring process a device: flock on a file, which the kernel lets go when the process ends, however it ends. */
#include "path.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct at_device_lock {
    int fd;
};

/* A folder of this machine where there is one: on a home shared by network, equal machines must not wait for each other. A
   session without XDG_RUNTIME_DIR (cron) has to meet the others in the same place, so its usual value is looked at too. */
static actune_status lock_path(const char *device, char path[PATH_MAX])
{
    char name[160], usual[64];
    struct stat info;
    snprintf(name, sizeof name, "actune/%.100s.lock", device);
    for (char *c = name + 7; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", *c))
            *c = '_';
    snprintf(usual, sizeof usual, "/run/user/%ld", (long)geteuid());
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    bool given = runtime && runtime[0] == '/';
    if (!given && !stat(usual, &info) && info.st_uid == geteuid())
        snprintf(path, PATH_MAX, "%s/%s", usual, name);
    else if (at_path_of_user(given ? "XDG_RUNTIME_DIR" : "XDG_DATA_HOME", ".local/share", name, path, PATH_MAX) < 0)
        return at_fail(ACTUNE_IO, "no folder for the lock of device %s: set XDG_RUNTIME_DIR or HOME to an absolute path", device);
    return ACTUNE_OK;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static actune_status fail_held(int fd, const char *device, const char *path)
{
    char text[32] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    long holder = got > 0 ? atol(text) : 0;
    if (holder > 0)
        return at_fail(ACTUNE_BUSY, "device %s is being measured by process %ld: wait for it or stop it (lock %s)", device, holder, path);
    return at_fail(ACTUNE_BUSY, "device %s is being measured by another process (lock %s)", device, path);
}

static actune_status wait_for(int fd, const char *device, const char *path, double seconds)
{
    double deadline = now_s() + seconds;
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return at_fail(ACTUNE_IO, "%s cannot be locked: %s", path, strerror(errno));
        if (!(now_s() < deadline))
            return fail_held(fd, device, path);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    /* For people; the lock itself does not need it. */
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    bool written = !ftruncate(fd, 0) && pwrite(fd, text, (size_t)length, 0) == length;
    (void)written;
    return ACTUNE_OK;
}

actune_status at_device_lock_take(const char *device, double seconds, at_device_lock **lock)
{
    char path[PATH_MAX];
    *lock = NULL;
    AT_TRY(lock_path(device, path));
    AT_TRY(at_path_make_parents(path));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return at_fail(ACTUNE_IO, "lock file %s cannot be opened: %s", path, strerror(errno));
    actune_status status = wait_for(fd, device, path, seconds);
    at_device_lock *made = status ? NULL : malloc(sizeof *made);
    if (!made) {
        close(fd);
        return status ? status : at_fail(ACTUNE_NO_MEMORY, "out of memory taking the lock of device %s", device);
    }
    made->fd = fd;
    *lock = made;
    return ACTUNE_OK;
}

void at_device_lock_release(at_device_lock *lock)
{
    if (!lock)
        return;
    /* The file stays: removing it would let two processes lock two files of one name. */
    bool emptied = !ftruncate(lock->fd, 0);
    (void)emptied;
    close(lock->fd);
    free(lock);
}
