#include "device.h"

#include "backend/cuda_device.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512, PATH_MAX_BYTES = 1024 };

static FILE *open_below(const char *root, const char *path)
{
    char full[PATH_MAX_BYTES];
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    return length > 0 && length < (int)sizeof full ? fopen(full, "re") : NULL;
}

/* First line, without the newline. */
static bool read_line(const char *root, const char *path, char line[LINE_MAX_BYTES])
{
    FILE *file = open_below(root, path);
    if (!file)
        return false;
    bool ok = fgets(line, LINE_MAX_BYTES, file) != NULL;
    fclose(file);
    if (ok)
        line[strcspn(line, "\n")] = 0;
    return ok;
}

/* What /proc/cpuinfo says of the first processor; "" where it says nothing. */
typedef struct cpuinfo {
    char name[64], family[12], model[12], stepping[12], implementer[12], part[12], variant[12], revision[12], hardware[64];
} cpuinfo;

#define FIELD(text, member) {text, offsetof(cpuinfo, member), sizeof(((cpuinfo *)0)->member)}
static const struct {
    const char *name;
    size_t offset, size;
} fields[] = {
    FIELD("model name", name), FIELD("cpu family", family), FIELD("model", model), FIELD("stepping", stepping),
    FIELD("CPU implementer", implementer), FIELD("CPU part", part), FIELD("CPU variant", variant),
    FIELD("CPU revision", revision), FIELD("Hardware", hardware),
};

/* "name\t: value": keeps the first value of each field that is asked for. */
static void read_field(char *line, cpuinfo *info)
{
    char *colon = strchr(line, ':');
    if (!colon)
        return;
    size_t name_length = (size_t)(colon - line);
    while (name_length && strchr(" \t", line[name_length - 1]))
        name_length--;
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char *slot = (char *)info + fields[i].offset;
        if (strlen(fields[i].name) == name_length && !memcmp(fields[i].name, line, name_length) && !*slot)
            snprintf(slot, fields[i].size, "%.*s", (int)strcspn(value, "\n"), value);
    }
}

static void read_cpuinfo(const char *root, cpuinfo *info)
{
    char line[4096]; /* the flags are long */
    *info = (cpuinfo){0};
    FILE *file = open_below(root, "/proc/cpuinfo");
    while (file && fgets(line, sizeof line, file))
        read_field(line, info);
    if (file)
        fclose(file);
}

/* Cores whose files give numbers alone. */
static const struct {
    const char *implementer, *part, *name;
} arm_parts[] = {
    {"0x41", "0xd03", "Cortex-A53"},  {"0x41", "0xd05", "Cortex-A55"},  {"0x41", "0xd07", "Cortex-A57"},
    {"0x41", "0xd08", "Cortex-A72"},  {"0x41", "0xd0b", "Cortex-A76"},  {"0x41", "0xd0c", "Neoverse-N1"},
    {"0x41", "0xd40", "Neoverse-V1"}, {"0x41", "0xd49", "Neoverse-N2"}, {"0x41", "0xd4f", "Neoverse-V2"},
    {"0xc0", "0xac3", "Ampere-1"},
};

static const char *arm_name(const cpuinfo *info)
{
    for (size_t i = 0; i < sizeof arm_parts / sizeof *arm_parts; i++)
        if (!strcmp(arm_parts[i].implementer, info->implementer) && !strcmp(arm_parts[i].part, info->part))
            return arm_parts[i].name;
    return "ARM";
}

/* Hypervisors say no more than "Intel(R) Xeon(R) Processor": the numbers tell generations apart. */
static void describe_model(const char *root, char model[128])
{
    cpuinfo info;
    char board[LINE_MAX_BYTES] = "";
    read_cpuinfo(root, &info);
    if (*info.family || *info.stepping)
        snprintf(model, 128, "%s (family %s model %s stepping %s)", *info.name ? info.name : "x86-64", info.family,
                 info.model, info.stepping);
    else if (*info.implementer)
        snprintf(model, 128, "%.30s (implementer %s part %s variant %s revision %s)",
                 *info.name ? info.name : arm_name(&info), info.implementer, info.part, info.variant, info.revision);
    else if (read_line(root, "/proc/device-tree/model", board) && *board)
        snprintf(model, 128, "%.127s", board);
    else
        snprintf(model, 128, "%s", *info.name ? info.name : *info.hardware ? info.hardware : "unknown processor");
}

/* "48K", "2M", "2097152". */
static int64_t parse_size(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    return value > 0 && value < 1LL << 33 ? (int64_t)value << shift : 0;
}

static void read_caches(const char *root, int processor, at_device *device)
{
    int64_t *const size_of_level[] = {NULL, &device->l1d_bytes, &device->l2_bytes, &device->l3_bytes};
    for (int i = 0; i < 16; i++) {
        char folder[128], path[160], level[LINE_MAX_BYTES], type[LINE_MAX_BYTES], size[LINE_MAX_BYTES];
        snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu%d/cache/index%d", processor, i);
        snprintf(path, sizeof path, "%s/level", folder);
        if (!read_line(root, path, level))
            break;
        snprintf(path, sizeof path, "%s/type", folder);
        if (!read_line(root, path, type) || !strcmp(type, "Instruction"))
            continue;
        snprintf(path, sizeof path, "%s/size", folder);
        int number = atoi(level);
        if (number >= 1 && number <= 3 && read_line(root, path, size))
            *size_of_level[number] = parse_size(size);
    }
}

/* Without sysfs (some containers): what the C library found out. */
static void guess_caches(at_device *device)
{
#ifdef _SC_LEVEL1_DCACHE_SIZE
    long l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE), l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    device->l1d_bytes = l1 > 0 ? l1 : 0;
    device->l2_bytes = l2 > 0 ? l2 : 0;
    device->l3_bytes = l3 > 0 ? l3 : 0;
#else
    (void)device;
#endif
}

/* Processors that a group's quota pays for, 0 without a limit. `folder` is below /sys/fs/cgroup. */
static int quota_of(const char *root, const char *folder)
{
    char path[PATH_MAX_BYTES], line[LINE_MAX_BYTES];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "/sys/fs/cgroup%.800s/cpu.max", folder);
    if (read_line(root, path, line)) {
        if (sscanf(line, "%lld %lld", &quota, &period) != 2) /* "max 100000" */
            return 0;
    } else {
        snprintf(path, sizeof path, "/sys/fs/cgroup%.800s/cpu.cfs_quota_us", folder);
        if (!read_line(root, path, line) || sscanf(line, "%lld", &quota) != 1)
            return 0;
        snprintf(path, sizeof path, "/sys/fs/cgroup%.800s/cpu.cfs_period_us", folder);
        if (!read_line(root, path, line) || sscanf(line, "%lld", &period) != 1)
            return 0;
    }
    if (quota <= 0 || period <= 0)
        return 0;
    long long whole = quota / period;
    return whole < 1 ? 1 : whole > 1 << 20 ? 0 : (int)whole;
}

static int tighter(int a, int b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

/* A group and all above it. Inside a container the path may be the host's and exist only as the root of the mount. */
static int quota_up(const char *root, const char *mount, const char *group)
{
    char folder[PATH_MAX_BYTES];
    int limit = 0;
    snprintf(folder, sizeof folder, "%s%.700s", mount, group);
    for (;;) {
        limit = tighter(limit, quota_of(root, folder));
        char *slash = strrchr(folder, '/');
        if (!slash || strlen(folder) <= strlen(mount))
            return limit;
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup: "0::/user.slice" (v2), "4:cpu,cpuacct:/docker/12ab" (v1). */
static int cgroup_processors(const char *root)
{
    char line[LINE_MAX_BYTES];
    int limit = 0;
    FILE *file = open_below(root, "/proc/self/cgroup");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        controllers++;
        if (!*controllers)
            limit = tighter(limit, quota_up(root, "", group));
        else if (!strcmp(controllers, "cpu") || !strncmp(controllers, "cpu,", 4) || strstr(controllers, ",cpu,") ||
                 (strlen(controllers) > 4 && !strcmp(controllers + strlen(controllers) - 4, ",cpu")))
            limit = tighter(limit, tighter(quota_up(root, "/cpu", group), quota_up(root, "/cpu,cpuacct", group)));
    }
    if (file)
        fclose(file);
    return limit;
}

static int allowed_processors(int *first)
{
    for (int capacity = 1024; capacity <= 1 << 20; capacity *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)capacity);
        size_t bytes = CPU_ALLOC_SIZE((size_t)capacity);
        if (!set)
            break;
        int failed = sched_getaffinity(0, bytes, set), error = errno;
        int count = failed ? 0 : CPU_COUNT_S(bytes, set);
        *first = 0;
        while (!failed && *first < capacity - 1 && !CPU_ISSET_S((size_t)*first, bytes, set))
            (*first)++;
        CPU_FREE(set);
        if (count > 0)
            return count;
        if (error != EINVAL)
            break;
    }
    *first = 0;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static actune_status choose_isa(at_isa *isa)
{
    const char *wanted = getenv("ACTUNE_ISA");
    at_isa host = at_isa_host();
    *isa = host;
    if (!wanted || !*wanted)
        return ACTUNE_OK;
    if (!at_isa_find(wanted, isa))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "ACTUNE_ISA is '%.40s': use one of generic, x86-64-v2, x86-64-v3, x86-64-v4, neon", wanted);
    bool both_x86 = *isa >= AT_ISA_X86_V2 && *isa <= AT_ISA_X86_V4 && host >= AT_ISA_X86_V2 && host <= AT_ISA_X86_V4;
    if (*isa != AT_ISA_GENERIC && *isa != host && !(both_x86 && *isa < host))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "ACTUNE_ISA is %s, which this processor (%s) does not have", at_isa_name(*isa),
                       at_isa_name(host));
    return ACTUNE_OK;
}

actune_status at_device_read(const char *root, at_isa isa, int processors, int first, at_device *device)
{
    *device = (at_device){.kind = "cpu", .isa = isa, .cuda_ordinal = -1};
    describe_model(root, device->model);
    read_caches(root, first, device);
    if (!*root && !device->l1d_bytes && !device->l2_bytes)
        guess_caches(device);
    snprintf(device->capability, sizeof device->capability, "%s", at_isa_name(isa));
    int quota = cgroup_processors(root);
    device->processors = quota && quota < processors ? quota : processors;
    char text[384];
    snprintf(text, sizeof text, "%s|%s|%s|%lld|%lld|%lld", device->kind, device->model, device->capability,
             (long long)device->l1d_bytes, (long long)device->l2_bytes, (long long)device->l3_bytes);
    snprintf(device->id, sizeof device->id, "cpu-%.16s", at_hash_text(text).hex);
    return ACTUNE_OK;
}

/* No more of a last-level cache than this for each processor of ours: the rest serves others. */
static const int64_t CACHE_PER_PROCESSOR = (int64_t)32 << 20;

int64_t at_cache_bound(const at_device *device)
{
    int64_t share = CACHE_PER_PROCESSOR * (device->processors > 0 ? device->processors : 1);
    int64_t last = device->l3_bytes > 0 ? device->l3_bytes : device->l2_bytes;
    return last > 0 && last < share ? last : share;
}

at_target at_device_target(const at_device *device)
{
    return (at_target){.cuda = device->cuda_ordinal >= 0, .isa = device->isa, .cuda_arch = device->cuda_arch};
}

bool at_device_is_cuda(const char *name, int *ordinal)
{
    char *end;
    *ordinal = 0;
    if (!name || strncmp(name, "cuda", 4) || (name[4] && name[4] != ':'))
        return false;
    if (!name[4])
        return true;
    long number = name[5] >= '0' && name[5] <= '9' ? strtol(name + 5, &end, 10) : -1;
    if (number < 0 || number > 1023 || *end)
        return false;
    *ordinal = (int)number;
    return true;
}

static actune_status describe_cuda(int ordinal, at_device *device)
{
    at_cuda_info info;
    actune_status status = at_cuda_info_get(ordinal, &info);
    if (status != ACTUNE_OK) {
        char reason[512];
        snprintf(reason, sizeof reason, "%s", actune_last_error());
        return at_fail(status, "there is no device 'cuda:%d': %s", ordinal, reason);
    }
    *device = (at_device){.kind = "cuda",
                          .processors = info.sms,
                          .l2_bytes = info.l2_bytes,
                          .cuda_ordinal = ordinal,
                          .cuda_arch = info.arch,
                          .memory_bytes = info.memory_bytes,
                          .bandwidth_gbps = info.bandwidth_gbps,
                          .driver = info.driver};
    snprintf(device->model, sizeof device->model, "%s", info.name);
    snprintf(device->capability, sizeof device->capability, "sm_%d", info.arch);
    char text[384];
    snprintf(text, sizeof text, "cuda|%s|%s|%d|%lld|%.0f", device->model, device->capability, info.sms, (long long)info.l2_bytes,
             info.bandwidth_gbps);
    snprintf(device->id, sizeof device->id, "cuda-%.16s", at_hash_text(text).hex);
    return ACTUNE_OK;
}

actune_status at_device_get(const char *name, at_device *device)
{
    at_isa isa;
    int first;
    *device = (at_device){.cuda_ordinal = -1};
    if (at_device_is_cuda(name, &first))
        return describe_cuda(first, device);
    if (name && *name && strcmp(name, "cpu"))
        return at_fail(ACTUNE_DEVICE, "there is no device '%.40s': kernels run on \"cpu\" and \"cuda:0\", \"cuda:1\" ...", name);
    AT_TRY(choose_isa(&isa));
    int processors = allowed_processors(&first);
    return at_device_read("", isa, processors, first, device);
}
