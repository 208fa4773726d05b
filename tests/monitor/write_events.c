/* Writes event files for read_events.py and looks at what only the writer can see: errors, what is kept, what is written when. */
#include "monitor/crc32c.h"
#include "monitor/histogram.h"
#include <actune/monitor.h>

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition)                                                                                                        \
    do {                                                                                                                        \
        if (!(condition)) {                                                                                                     \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, actune_monitor_last_error()); \
            exit(1);                                                                                                            \
        }                                                                                                                       \
    } while (0)

static const char *folder;

static const char *under(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static off_t size_of(const char *path)
{
    struct stat s;
    CHECK(stat(path, &s) == 0);
    return s.st_size;
}

static void check_crc(void)
{
    unsigned char zeros[32] = {0}, ones[32];
    memset(ones, 0xFF, sizeof ones);
    CHECK(at_crc32c("123456789", 9) == 0xE3069283);
    CHECK(at_crc32c("", 0) == 0);
    CHECK(at_crc32c(zeros, 32) == 0x8A9136AA && at_crc32c(ones, 32) == 0x62A8AB43); /* RFC 3720, B.4 */
}

static void check_histogram(void)
{
    static at_histogram h;
    const double values[] = {0, -1, 1, 1, NAN, INFINITY, 1e300, -1e-13};
    at_histogram_of(&h, values, 8);
    double total = 0;
    for (int i = 0; i < h.buckets; i++) {
        total += h.bucket[i];
        CHECK(i == 0 || h.limit[i] > h.limit[i - 1]);
    }
    CHECK(h.num == 6 && total == 6 && h.min == -1 && h.max == 1e300);
    at_histogram_of(&h, values, 0);
    CHECK(h.num == 0 && h.min == 0 && h.max == 0 && h.buckets == 1);
}

/* What read_events.py expects, value by value. */
static void write_run(void)
{
    actune_monitor *m;
    actune_monitor_options options = {.json_lines = true, .suffix = ".v2"};
    CHECK(actune_monitor_open(under("run/deeper"), &options, &m) == ACTUNE_OK);
    for (int step = 0; step < 10; step++)
        CHECK(actune_monitor_scalar(m, "loss", step * 100, 1.0 / (step + 1)) == ACTUNE_OK);
    CHECK(actune_monitor_scalar(m, "strange/nan", -1, NAN) == ACTUNE_OK);
    const double values[] = {-2, -1, 0, 0.5, 1, 1, 3};
    CHECK(actune_monitor_histogram(m, "weights", 7, values, 7) == ACTUNE_OK);
    CHECK(actune_monitor_text(m, "note", 0, "gr\xC3\xBC\xC3\x9F") == ACTUNE_OK);
    actune_statistics channel[4] = {{.count = 10, .nonpositive = 10}, {.count = 10, .nonpositive = 5}, {.count = 10, .nan = 1}, {.count = 10}};
    actune_statistics s = {.count = 40, .nonpositive = 15, .zero = 10, .clipped = 4, .nan = 1, .inf = 2, .mean = 0.25, .variance = 2,
                           .absmax = 6, .channel_count = 4, .channels = channel, .dead_channels = 1, .window_steps = 50};
    actune_monitor_layer layer = {.spec = "bias | relu", .device = "cuda:0", .in_place = true, .training = true};
    CHECK(actune_monitor_describe(m, "block \"1\"/relu", &layer) == ACTUNE_OK);
    CHECK(actune_monitor_statistics(m, "block \"1\"/relu", 300, &s) == ACTUNE_OK);
    s = (actune_statistics){.count = 0, .mean = NAN};
    CHECK(actune_monitor_statistics(m, "empty", 1, &s) == ACTUNE_OK);
    CHECK(actune_monitor_close(m) == ACTUNE_OK);
    CHECK(actune_monitor_close(NULL) == ACTUNE_OK);
}

static void check_arguments(void)
{
    actune_monitor *m = NULL;
    CHECK(actune_monitor_open("", NULL, &m) == ACTUNE_INVALID_ARGUMENT);
    CHECK(actune_monitor_open(folder, &(actune_monitor_options){.suffix = "../x"}, &m) == ACTUNE_INVALID_ARGUMENT);
    CHECK(actune_monitor_open(under("arguments"), NULL, &m) == ACTUNE_OK);
    off_t before = size_of(actune_monitor_path(m));
    CHECK(actune_monitor_scalar(m, NULL, 0, 0) == ACTUNE_INVALID_ARGUMENT && actune_monitor_scalar(m, "", 0, 0) == ACTUNE_INVALID_ARGUMENT);
    const char *const bad[] = {"\xFF", "a\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE0\x80\x80"};
    for (int i = 0; i < 6; i++)
        CHECK(actune_monitor_scalar(m, bad[i], 0, 0) == ACTUNE_INVALID_ARGUMENT && strstr(actune_monitor_last_error(), "UTF-8"));
    CHECK(actune_monitor_histogram(m, "h", 0, NULL, 3) == ACTUNE_INVALID_ARGUMENT);
    CHECK(actune_monitor_statistics(m, "s", 0, NULL) == ACTUNE_INVALID_ARGUMENT);
    CHECK(actune_monitor_flush(m) == ACTUNE_OK && size_of(actune_monitor_path(m)) == before);
    CHECK(actune_monitor_close(m) == ACTUNE_OK);
}

/* A file stands where a folder should: no rights are asked, so this fails for root too. */
static void check_no_folder(void)
{
    actune_monitor *m = NULL;
    FILE *f = fopen(under("file"), "w");
    CHECK(f && fclose(f) == 0);
    CHECK(actune_monitor_open(under("file/run"), NULL, &m) == ACTUNE_IO && !m && strstr(actune_monitor_last_error(), "file/run"));
    CHECK(actune_monitor_open(under("file"), NULL, &m) == ACTUNE_IO && !m);
    CHECK(actune_monitor_open("/proc/self", NULL, &m) == ACTUNE_IO && !m);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* The file may not grow for a while: every call says so, nothing is lost, and the file is whole afterwards. */
static void check_full_disk(void)
{
    actune_monitor *m;
    actune_monitor_options options = {.flush_seconds = -1, .pending_bytes_max = 100000, .json_lines = true};
    CHECK(actune_monitor_open(under("full"), &options, &m) == ACTUNE_OK);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(1001); /* in the middle of a record */
    int refused = 0;
    for (int step = 0; step < 200; step++) {
        actune_status status = actune_monitor_scalar(m, "value", step, step);
        CHECK(status == ACTUNE_OK || status == ACTUNE_IO);
        refused += status == ACTUNE_IO;
    }
    CHECK(refused > 100 && size_of(actune_monitor_path(m)) == 1001 && strstr(actune_monitor_last_error(), "kept"));
    CHECK(actune_monitor_close(m) == ACTUNE_IO);
    limit_files(RLIM_INFINITY);
    CHECK(actune_monitor_close(m) == ACTUNE_OK);
    options.pending_bytes_max = 1000;
    CHECK(actune_monitor_open(under("bounded"), &options, &m) == ACTUNE_OK);
    limit_files(64);
    actune_status status = ACTUNE_OK;
    for (int step = 0; step < 200 && status != ACTUNE_NO_MEMORY; step++)
        status = actune_monitor_scalar(m, "value", step, step);
    CHECK(status == ACTUNE_NO_MEMORY);
    limit_files(RLIM_INFINITY);
    actune_monitor_discard(m);
    CHECK(actune_monitor_open(under("none"), &options, &m) == ACTUNE_OK);
    limit_files(10);
    actune_monitor *other = NULL;
    CHECK(actune_monitor_open(under("none/other"), NULL, &other) == ACTUNE_IO && !other);
    limit_files(RLIM_INFINITY);
    CHECK(actune_monitor_close(m) == ACTUNE_OK && rmdir(under("none/other")) == 0); /* no file is left behind */
}

/* Written at once, by time, or on request. */
static void check_flush(void)
{
    actune_monitor *m;
    CHECK(actune_monitor_open(under("flush"), &(actune_monitor_options){.flush_seconds = 0.05}, &m) == ACTUNE_OK);
    off_t first = size_of(actune_monitor_path(m));
    CHECK(first > 0);
    CHECK(actune_monitor_scalar(m, "a", 1, 1) == ACTUNE_OK && size_of(actune_monitor_path(m)) == first);
    usleep(60000);
    CHECK(actune_monitor_scalar(m, "a", 2, 1) == ACTUNE_OK);
    off_t second = size_of(actune_monitor_path(m));
    CHECK(second > first);
    CHECK(actune_monitor_scalar(m, "a", 3, 1) == ACTUNE_OK && actune_monitor_flush(m) == ACTUNE_OK);
    CHECK(size_of(actune_monitor_path(m)) > second);
    actune_monitor *same_second;
    CHECK(actune_monitor_open(under("flush"), NULL, &same_second) == ACTUNE_OK);
    CHECK(strcmp(actune_monitor_path(m), actune_monitor_path(same_second)) != 0);
    CHECK(actune_monitor_close(same_second) == ACTUNE_OK && actune_monitor_close(m) == ACTUNE_OK);
}

static void *write_many(void *monitor)
{
    for (int step = 0; step < 500; step++)
        CHECK(actune_monitor_scalar(monitor, "together", step, step) == ACTUNE_OK);
    return NULL;
}

static void check_threads(void)
{
    actune_monitor *m;
    pthread_t thread[4];
    CHECK(actune_monitor_open(under("threads"), NULL, &m) == ACTUNE_OK);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&thread[i], NULL, write_many, m) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    CHECK(actune_monitor_close(m) == ACTUNE_OK);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    folder = argv[1];
    check_crc();
    check_histogram();
    write_run();
    check_arguments();
    check_no_folder();
    check_full_disk();
    check_flush();
    check_threads();
    return 0;
}
