/* Which machine this is: the fingerprint that winners belong to. */
#ifndef AT_RUNTIME_DEVICE_H
#define AT_RUNTIME_DEVICE_H

#include "../codegen/variant.h"

typedef struct at_device {
    char id[64];          /* "cpu-" + hash of kind, model, isa and cache sizes: equal on equal machines */
    char kind[8];         /* "cpu" */
    char model[128];      /* "AMD EPYC 9654 96-Core Processor (family 25 model 17 stepping 1)" */
    char capability[32];  /* ISA level: "x86-64-v4" */
    int processors;       /* this process may use: affinity, and the control group's quota rounded down */
    int64_t l1d_bytes, l2_bytes, l3_bytes; /* of one cache; 0 unknown */
    at_isa isa;           /* what code is generated for; ACTUNE_ISA can lower it */
} at_device;

/* "cpu", NULL or "" for it. DEVICE for any other name, INVALID_ARGUMENT for an ACTUNE_ISA that is none or more than the
   processor has. Reads /proc and /sys each time (about 0.3 ms). Thread-safe. */
actune_status at_device_get(const char *name, at_device *device);

/* The same from files below `root` ("" the machine's own), of a machine with `processors` allowed ones of which `first` is the
   first: for tests with the files of other machines. */
actune_status at_device_read(const char *root, at_isa isa, int processors, int first, at_device *device);

/* Bytes of the last-level cache that this process can count on (shared machines report all of it): what a launch touches beyond
   them is met cold. The tuner's regimes and the dispatch table's agree through it. */
int64_t at_cache_bound(const at_device *device);

#endif
