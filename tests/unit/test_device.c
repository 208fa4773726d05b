/* Fingerprints from the files of made-up machines, and of this one. */
#include "runtime/device.h"
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void setup(void)
{
    strcpy(root, "/tmp/actune-dev-XXXXXX");
    cr_assert(mkdtemp(root));
    unsetenv("ACTUNE_ISA");
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf /tmp/%s", root + 5);
    cr_assert_eq(system(command), 0);
}

static void put(const char *path, const char *text)
{
    char full[1024];
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    for (int i = (int)strlen(root) + 1; i < length; i++)
        if (full[i] == '/') {
            full[i] = 0;
            mkdir(full, 0700);
            full[i] = '/';
        }
    FILE *file = fopen(full, "w");
    cr_assert(file, "%s", full);
    fputs(text, file);
    fclose(file);
}

static void put_cache(int processor, int index, const char *level, const char *type, const char *size)
{
    static const char *const names[] = {"level", "type", "size"};
    const char *values[] = {level, type, size};
    for (int i = 0; i < 3; i++) {
        char path[160];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%d/%s", processor, index, names[i]);
        put(path, values[i]);
    }
}

static at_device read_device(int processors, int first)
{
    at_device device;
    cr_assert_eq(at_device_read(root, AT_ISA_X86_V3, processors, first, &device), ACTUNE_OK);
    return device;
}

Test(device, models, .init = setup, .fini = teardown)
{
    static const struct {
        const char *cpuinfo, *model;
    } cases[] = {
        {"processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Processor\n"
         "stepping\t: 8\nflags : a b c\n\nprocessor : 1\nmodel\t: 99\n",
         "Intel(R) Xeon(R) Processor (family 6 model 143 stepping 8)"},
        {"processor\t: 0\nBogoMIPS\t: 50\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n"
         "CPU revision\t: 1\n", "Neoverse-N1 (implementer 0x41 part 0xd0c variant 0x3 revision 1)"},
        {"CPU implementer\t: 0x77\nCPU part\t: 0x1\nCPU variant\t: 0x0\nCPU revision\t: 2\n",
         "ARM (implementer 0x77 part 0x1 variant 0x0 revision 2)"},
        {"", "unknown processor"},
        {"nonsense without colon\n: : :\nmodel name\t:\n", "unknown processor"},
    };
    char ids[8][64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("/proc/cpuinfo", cases[i].cpuinfo);
        at_device device = read_device(4, 0);
        cr_assert_str_eq(device.model, cases[i].model);
        cr_assert_str_eq(device.kind, "cpu");
        cr_assert_str_eq(device.capability, "x86-64-v3");
        cr_assert(!strncmp(device.id, "cpu-", 4) && strlen(device.id) == 20);
        memcpy(ids[i], device.id, sizeof ids[i]);
    }
    cr_assert(strcmp(ids[0], ids[1]) && strcmp(ids[1], ids[2]));
    char long_line[6000];
    snprintf(long_line, sizeof long_line, "flags\t: %05500d\ncpu family\t: 6\nmodel name\t: %0300d\nmodel : 1\nstepping : 2\n", 1, 2);
    put("/proc/cpuinfo", long_line);
    cr_assert(strstr(read_device(1, 0).model, "family 6 model 1 stepping 2"));
    put("/proc/cpuinfo", "");
    put("/proc/device-tree/model", "Some Board rev 2");
    cr_assert_str_eq(read_device(4, 0).model, "Some Board rev 2");
}

Test(device, caches, .init = setup, .fini = teardown)
{
    at_device none = read_device(2, 3);
    cr_assert(none.l1d_bytes == 0 && none.l2_bytes == 0 && none.l3_bytes == 0);
    put_cache(3, 0, "1", "Data\n", "48K\n");
    put_cache(3, 1, "1", "Instruction\n", "32K\n");
    put_cache(3, 2, "2", "Unified\n", "2048K\n");
    put_cache(3, 3, "3", "Unified\n", "491520K\n");
    put_cache(0, 0, "1", "Data\n", "16K\n");
    at_device device = read_device(2, 3);
    cr_assert_eq(device.l1d_bytes, 48 << 10);
    cr_assert_eq(device.l2_bytes, 2 << 20);
    cr_assert_eq(device.l3_bytes, 480 << 20);
    cr_assert_str_neq(device.id, none.id);
    cr_assert_str_eq(device.id, read_device(64, 3).id, "how many processors may be used is no part of the identity");
    cr_assert_eq(read_device(2, 0).l1d_bytes, 16 << 10);
    put_cache(3, 2, "2", "Unified\n", "2M");
    cr_assert_str_eq(device.id, read_device(2, 3).id);
    put_cache(3, 2, "2", "Unified\n", "-5K");
    cr_assert_eq(read_device(2, 3).l2_bytes, 0);
    at_device other;
    cr_assert_eq(at_device_read(root, AT_ISA_X86_V4, 2, 3, &other), ACTUNE_OK);
    cr_assert_str_neq(other.id, read_device(2, 3).id);
}

Test(device, quotas, .init = setup, .fini = teardown)
{
    cr_assert_eq(read_device(16, 0).processors, 16);
    put("/proc/self/cgroup", "0::/a/b\n");
    cr_assert_eq(read_device(16, 0).processors, 16);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    cr_assert_eq(read_device(16, 0).processors, 16);
    put("/sys/fs/cgroup/a/cpu.max", "450000 100000\n");
    cr_assert_eq(read_device(16, 0).processors, 4, "a group above limits too; rounded down");
    cr_assert_eq(read_device(2, 0).processors, 2);
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    cr_assert_eq(read_device(16, 0).processors, 1);
    put("/sys/fs/cgroup/a/b/cpu.max", "rubbish\n");
    cr_assert_eq(read_device(16, 0).processors, 4);
    put("/sys/fs/cgroup/a/b/cpu.max", "100000 0\n");
    cr_assert_eq(read_device(16, 0).processors, 4);
    put("/proc/self/cgroup", "0::/not/there\n");
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    cr_assert_eq(read_device(16, 0).processors, 3, "a container sees its group as the root");
    put("/proc/self/cgroup", "9:memory:/x\n4:cpu,cpuacct:/docker/1\nbroken\n1:name=systemd:/\n");
    cr_assert_eq(read_device(16, 0).processors, 16);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(read_device(16, 0).processors, 16);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "200000\n");
    cr_assert_eq(read_device(16, 0).processors, 2);
}

Test(device, host)
{
    at_device device, again;
    unsetenv("ACTUNE_ISA");
    cr_assert_eq(at_device_get(NULL, &device), ACTUNE_OK);
    cr_assert_eq(at_device_get("cpu", &again), ACTUNE_OK);
    cr_assert_str_eq(device.id, again.id);
    cr_assert(device.processors >= 1 && *device.model && device.isa == at_isa_host());
    cr_assert_str_eq(device.capability, at_isa_name(device.isa));
    cpu_set_t one, all;
    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(at_device_get("cpu", &again), ACTUNE_OK);
    cr_assert_eq(again.processors, 1);
    static const char *const bad[] = {"cuda:x", "CPU", "gpu"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(at_device_get(bad[i], &again), ACTUNE_DEVICE);
        cr_assert(strstr(actune_last_error(), bad[i]));
    }
    setenv("ACTUNE_ISA", "generic", 1);
    cr_assert_eq(at_device_get("cpu", &again), ACTUNE_OK);
    cr_assert_eq(again.isa, AT_ISA_GENERIC);
    cr_assert(device.isa == AT_ISA_GENERIC || strcmp(again.id, device.id));
    setenv("ACTUNE_ISA", "x86-64-v9", 1);
    cr_assert_eq(at_device_get("cpu", &again), ACTUNE_INVALID_ARGUMENT);
    setenv("ACTUNE_ISA", at_isa_host() == AT_ISA_NEON ? "x86-64-v4" : "neon", 1);
    cr_assert_eq(at_device_get("cpu", &again), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "does not have"));
}
