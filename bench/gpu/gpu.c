#include "gpu.h"

#include "runtime/backend/nvrtc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLD_TIMES_L2 = 5, NODES_MAX = 16384 };
static const double REGION_NS = 1e6; /* an event's resolution is about half a microsecond, a graph's start takes some */
static const int64_t USUAL_L2_BYTES = 64 << 20, TINY_L2_BYTES = 4096;

/* One line about the machine. */
static actune_status describe(const gpu_bench *bench)
{
    const at_cuda_info *info = &bench->device->info;
    int major = 0, minor = 0;
    const char *path = "";
    AT_TRY(at_nvrtc_version(&major, &minor, &path));
    gpu_state state = gpu_clocks_read(&bench->clocks);
    gpu_record(bench);
    gpu_text("device", info->name);
    gpu_integer("arch", info->arch);
    gpu_integer("sms", info->sms);
    gpu_integer("memory_bytes", info->memory_bytes);
    gpu_integer("l2_bytes", info->l2_bytes);
    gpu_number("datasheet_gbps", info->bandwidth_gbps);
    gpu_integer("driver", info->driver);
    gpu_integer("nvrtc", 1000 * major + 10 * minor);
    gpu_text("nvml", bench->clocks.device != NULL ? "yes" : "no");
    gpu_integer("sm_mhz", state.sm_mhz);
    gpu_integer("memory_mhz", state.memory_mhz);
    gpu_integer("tiny", bench->tiny);
    gpu_end();
    return ACTUNE_OK;
}

static actune_status open_device(gpu_bench *bench)
{
    AT_TRY(at_cuda_open(0, &bench->device));
    AT_TRY(at_cache_open(NULL, &bench->cache));
    AT_TRY(at_cuda_timer_open(bench->device, &bench->timer));
    gpu_clocks_open(&bench->clocks);
    bench->rounds = bench->tiny ? 3 : 21;
    bench->l2_bytes = bench->tiny ? TINY_L2_BYTES : bench->device->info.l2_bytes > 0 ? bench->device->info.l2_bytes : USUAL_L2_BYTES;
    return describe(bench);
}

int gpu_open(const char *name, gpu_bench *bench)
{
    const char *tiny = getenv("ACTUNE_GPU_CHECK_TINY");
    at_cuda_info info;
    *bench = (gpu_bench){.name = name, .random = {1}, .tiny = tiny != NULL && *tiny != '\0' && *tiny != '0'};
    setvbuf(stdout, NULL, _IOLBF, 0); /* a run that is stopped has written what it measured */
    int missing = gpu_find(name, &info);
    if (missing != 0)
        return missing;
    actune_status status = open_device(bench);
    return status == ACTUNE_OK ? EXIT_SUCCESS : gpu_finish(bench, status);
}

int gpu_finish(gpu_bench *bench, actune_status status)
{
    if (status != ACTUNE_OK)
        fprintf(stderr, "%s: %s\n", bench->name, actune_last_error());
    gpu_clocks_close(&bench->clocks);
    at_cuda_timer_close(&bench->timer);
    at_cache_close(bench->cache);
    at_cuda_close(bench->device);
    return status == ACTUNE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

double gpu_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* --- buffers --- */

enum { PATTERN_BYTES = 1 << 20 };

/* Random signs and random numbers below 2, whether read as f16 (from 0.5), bf16 or f32 (from 3e-5): zeros could run faster than real data. */
static void fill_pattern(uint16_t *pattern)
{
    at_random random = {7};
    for (size_t i = 0; i < PATTERN_BYTES / sizeof *pattern; i++) {
        uint64_t bits = at_random_next(&random);
        pattern[i] = (uint16_t)((bits & 0x8000u) | 0x3800u | (bits >> 20 & 0x7ffu));
    }
}

static actune_status fill_tensor(const gpu_bench *bench, void *tensor, size_t bytes)
{
    static uint16_t pattern[PATTERN_BYTES / sizeof(uint16_t)];
    if (pattern[0] == 0)
        fill_pattern(pattern);
    size_t filled = bytes < PATTERN_BYTES ? bytes : PATTERN_BYTES;
    AT_TRY(at_cuda_upload(bench->device, tensor, pattern, filled));
    for (size_t part; filled < bytes; filled += part) { /* twice as much each time */
        part = bytes - filled < filled ? bytes - filled : filled;
        AT_TRY(at_cuda_copy(bench->device, (char *)tensor + filled, tensor, part, bench->timer.stream));
    }
    return at_cuda_wait(bench->device, bench->timer.stream);
}

static actune_status make_tensors(const gpu_bench *bench, const size_t *tensor_bytes, gpu_sets *sets)
{
    for (int s = 0; s < sets->count; s++)
        for (int t = 0; t < sets->tensors; t++) {
            AT_TRY(at_cuda_allocate(bench->device, tensor_bytes[t], &sets->set[s].tensor[t]));
            AT_TRY(fill_tensor(bench, sets->set[s].tensor[t], tensor_bytes[t]));
        }
    return ACTUNE_OK;
}

static void plan_sets(const gpu_bench *bench, const size_t *tensor_bytes, int tensors, bool cold, gpu_sets *sets)
{
    *sets = (gpu_sets){.count = 1, .tensors = tensors};
    for (int t = 0; t < tensors; t++)
        sets->bytes += tensor_bytes[t];
    if (cold && sets->bytes > 0)
        sets->count = (int)(((size_t)bench->l2_bytes * COLD_TIMES_L2 + sets->bytes - 1) / sets->bytes);
    if (sets->count > NODES_MAX)
        sets->count = NODES_MAX;
}

bool gpu_sets_fit(const gpu_bench *bench, const size_t *tensor_bytes, int tensors, bool cold)
{
    gpu_sets sets;
    int64_t free_bytes;
    plan_sets(bench, tensor_bytes, tensors, cold, &sets);
    double wanted = (double)sets.bytes * sets.count;
    if (at_cuda_free_bytes(bench->device, &free_bytes) != ACTUNE_OK || wanted <= 0.9 * (double)free_bytes)
        return true; /* where the driver does not say, allocating will */
    at_fail(ACTUNE_NO_MEMORY, "does not fit: %.1f GB of tensors, %.1f GB are free", wanted * 1e-9, (double)free_bytes * 1e-9);
    return false;
}

actune_status gpu_sets_make(const gpu_bench *bench, const size_t *tensor_bytes, int tensors, bool cold, gpu_sets *sets)
{
    plan_sets(bench, tensor_bytes, tensors, cold, sets);
    sets->set = calloc((size_t)sets->count, sizeof *sets->set);
    if (sets->set == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for %d sets of buffers", sets->count);
    actune_status status = make_tensors(bench, tensor_bytes, sets);
    if (status != ACTUNE_OK)
        gpu_sets_free(bench, sets);
    return status;
}

void gpu_sets_free(const gpu_bench *bench, gpu_sets *sets)
{
    for (int s = 0; sets->set != NULL && s < sets->count; s++)
        for (int t = 0; t < sets->tensors; t++)
            at_cuda_free(bench->device, sets->set[s].tensor[t]);
    free(sets->set);
    *sets = (gpu_sets){0};
}

int gpu_nodes_for(const gpu_bench *bench, const gpu_sets *sets)
{
    double gbps = bench->device->info.bandwidth_gbps > 0 ? bench->device->info.bandwidth_gbps : 1000;
    double node_ns = 1500 + (double)sets->bytes / gbps;
    double nodes = ceil((bench->tiny ? 0 : REGION_NS) / node_ns);
    nodes = ceil(fmax(nodes, 2) / sets->count) * sets->count; /* whole turns: every set as often as the others */
    return nodes > NODES_MAX ? NODES_MAX : (int)nodes;
}

/* --- records --- */

static void print_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ')
            printf("\\u%04x", *text);
        else
            putchar(*text);
    putchar('"');
}

void gpu_record(const gpu_bench *bench)
{
    printf("{\"bench\": ");
    print_text(bench->name);
}

void gpu_text(const char *key, const char *value)
{
    printf(", \"%s\": ", key);
    print_text(value);
}

void gpu_number(const char *key, double value)
{
    if (isfinite(value))
        printf(", \"%s\": %.9g", key, value);
    else
        printf(", \"%s\": null", key);
}

void gpu_integer(const char *key, int64_t value)
{
    printf(", \"%s\": %lld", key, (long long)value);
}

void gpu_end(void)
{
    puts("}");
}
