/* Which machine this is: the fingerprint that winners belong to. */
#ifndef AT_RUNTIME_DEVICE_H
#define AT_RUNTIME_DEVICE_H

#include "../codegen/variant.h"

typedef struct at_device {
    char id[64];          /* kind, "-" and a hash of kind, model, capability and sizes: equal on equal machines */
    char kind[8];         /* "cpu", "cuda" */
    char model[128];      /* "AMD EPYC 9654 96-Core Processor (family 25 model 17 stepping 1)" */
    char capability[32];  /* ISA level: "x86-64-v4"; "sm_90" */
    int processors;       /* CUDA: streaming multiprocessors; CPU: this process may use: affinity, and the control group's quota rounded down */
    int64_t l1d_bytes, l2_bytes, l3_bytes; /* of one cache; 0 unknown */
    at_isa isa;           /* what code is generated for; ACTUNE_ISA can lower it */
    int cuda_ordinal;     /* -1: none */
    int cuda_arch;        /* 90: compute capability 9.0 */
    int64_t memory_bytes; /* CUDA */
    double bandwidth_gbps; /* CUDA: of the memory's clock and bus; 0 unknown */
    int driver;           /* CUDA: 12040 is 12.4; no part of the id */
} at_device;

at_target at_device_target(const at_device *device);

/* "cuda" and "cuda:0" name CUDA devices. */
bool at_device_is_cuda(const char *name, int *ordinal);

/* "cpu", NULL or "" for it; "cuda:N". DEVICE for any other name and where there is no such device, INVALID_ARGUMENT for an ACTUNE_ISA that is none or more than the
   processor has. Reads /proc and /sys each time (about 0.3 ms). Thread-safe. */
actune_status at_device_get(const char *name, at_device *device);

/* The same from files below `root` ("" the machine's own), of a machine with `processors` allowed ones of which `first` is the
   first: for tests with the files of other machines. */
actune_status at_device_read(const char *root, at_isa isa, int processors, int first, at_device *device);

/* Bytes of the last-level cache that this process can count on (shared machines report all of it): what a launch touches beyond
   them is met cold. The tuner's regimes and the dispatch table's agree through it. */
int64_t at_cache_bound(const at_device *device);

#endif
