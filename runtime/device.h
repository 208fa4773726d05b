/* Which machine this is: the fingerprint that winners belong to. */
#ifndef AT_RUNTIME_DEVICE_H
#define AT_RUNTIME_DEVICE_H

#include "../codegen/variant.h"

typedef struct at_device {
    char id[64];          /* "cpu-" + hash of kind, model, isa and cache sizes: equal on equal machines */
    char kind[8];         /* "cpu" */
    char model[128];      /* "AMD EPYC 9654", from /proc/cpuinfo or the device tree */
    char capability[32];  /* ISA level: "x86-64-v4" */
    int processors;       /* this process may use */
    int64_t l1d_bytes, l2_bytes, l3_bytes; /* per core for l1d, l2; 0 unknown */
    at_isa isa;           /* what code is generated for; ACTUNE_ISA can lower it */
} at_device;

actune_status at_device_get(const char *name, at_device *device);

#endif
