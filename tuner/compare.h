/* One kernel at one shape beside what else could be run there, in interleaved rounds (MEASURING.md): the stored winner, the
   same once more (the null arm: its distance is the noise), the default variant, the auto-vectorised loop, memcpy and our tuned
   copy of the same bytes, and whatever the caller adds. On a GPU: no plain loop, memcpy is the driver's copy from device memory to device memory,
   and cuDNN stands beside the kernels that it has. */
#ifndef AT_TUNER_COMPARE_H
#define AT_TUNER_COMPARE_H

#include "../runtime/dispatch.h"
#include "copies.h"

enum { AT_COMPARE_EXTRAS_MAX = 8, AT_COMPARE_LINES_MAX = AT_COMPARE_EXTRAS_MAX + 8 };

/* What all comparisons of a run share. */
typedef struct at_comparer {
    const at_device *device;
    at_cache *cache;
    at_dispatch *dispatch;
    at_pool *pool;
    at_copies copies;
    int threads;
    struct at_cuda_comparer *cuda; /* NULL: on this processor */
} at_comparer;

/* database: as at_store_open; threads 0: all. `device` and `cache` are kept. NO_COMPILER, DATABASE, IO, NO_MEMORY. Close it in any case. */
actune_status at_comparer_open(at_cache *cache, const at_device *device, const char *database, int threads, at_comparer *comparer);
void at_comparer_close(at_comparer *comparer);

typedef struct at_compare_request {
    const at_kernel *kernel;
    actune_shape shape; /* not empty */
    bool in_place;
    int rounds; /* at most AT_SAMPLES_MAX */
    int64_t seed;
    const at_arm *extra; /* peers: not opened; CALL or WHOLE arms */
    const char *const *extra_name;
    int extras;
    const volatile int *stop; /* non-zero: INTERRUPTED */
} at_compare_request;

typedef struct at_compare_line {
    const char *name;   /* "tuned", "null", "default", "plain loop", "cuDNN", "cuDNN graph", "memcpy", "copy", or the extra's */
    double median_ns, low_ns, high_ns; /* of one execution; bootstrap 95 % of the median */
    double gbps;        /* algorithmic bytes: each input once, each output once */
    at_interval speed;  /* against memcpy, paired by rounds: 1.2 is 1.2 times as fast */
} at_compare_line;

typedef struct at_comparison {
    at_compare_line line[AT_COMPARE_LINES_MAX];
    int lines, rounds;
    char tuned[512], plain[512]; /* the variants behind "tuned" and "default" */
    const char *tier;            /* how the winner was found; "default" where nothing fits */
    bool cold;
    int sets;                    /* of buffers, in rotation */
    double noise;                /* |tuned / null - 1| */
} at_comparison;

/* UNSUPPORTED for a kernel that only the interpreter runs; NO_COMPILER, INVALID_ARGUMENT, NO_MEMORY, INTERRUPTED, DEVICE (on a GPU also: in
   place is not measured). One thread at a time;
   the caller holds the device's lock. */
actune_status at_compare(const at_comparer *comparer, const at_compare_request *request, at_comparison *result);

#endif
