#include "isa.h"

#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

static const char *const names[] = {[AT_ISA_GENERIC] = "generic",
                                    [AT_ISA_X86_V2] = "x86-64-v2",
                                    [AT_ISA_X86_V3] = "x86-64-v3",
                                    [AT_ISA_X86_V4] = "x86-64-v4",
                                    [AT_ISA_NEON] = "neon"};
enum { ISAS = sizeof names / sizeof *names };

const char *at_isa_name(at_isa isa)
{
    return (unsigned)isa < ISAS ? names[isa] : "unknown";
}

bool at_isa_find(const char *name, at_isa *isa)
{
    for (int i = 0; i < ISAS; i++)
        if (!strcmp(names[i], name)) {
            *isa = (at_isa)i;
            return true;
        }
    return false;
}

#if defined(__x86_64__)
/* The processor and the operating system's saving of the registers, both. */
static at_isa probe(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("popcnt"))
        return AT_ISA_GENERIC;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
        return AT_ISA_X86_V2;
    bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    return v4 ? AT_ISA_X86_V4 : AT_ISA_X86_V3;
}
#elif defined(__aarch64__)
static at_isa probe(void)
{
    enum { HWCAP_ASIMD_BIT = 1 << 1 };
    return getauxval(AT_HWCAP) & HWCAP_ASIMD_BIT ? AT_ISA_NEON : AT_ISA_GENERIC;
}
#else
static at_isa probe(void)
{
    return AT_ISA_GENERIC;
}
#endif

bool at_isa_runs_on(at_isa isa, at_isa host)
{
    bool same_kind = (isa == AT_ISA_NEON) == (host == AT_ISA_NEON) || isa == AT_ISA_GENERIC;
    return same_kind && isa <= host;
}

at_isa at_isa_limited(const char *limit)
{
    at_isa host = probe(), wanted;
    return limit && at_isa_find(limit, &wanted) && at_isa_runs_on(wanted, host) ? wanted : host;
}

at_isa at_isa_host(void)
{
    return at_isa_limited(getenv("ACTUNE_ISA"));
}
