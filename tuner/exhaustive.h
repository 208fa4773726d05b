/* Verification on every input there is: all 2^32 floats (hours), all 65,536 numbers of a 16-bit type (a second). For kernels of x
   alone; backward with dy = 1. */
#ifndef AT_TUNER_EXHAUSTIVE_H
#define AT_TUNER_EXHAUSTIVE_H

#include "../db/store.h"
#include "verify.h"

typedef struct at_exhaustive_progress {
    int64_t done, total; /* inputs */
    double elapsed_s, eta_s;
} at_exhaustive_progress;

typedef struct at_exhaustive_options {
    int threads;             /* 0: all */
    int64_t part, parts;     /* only every parts-th block of 65,536 inputs, from block `part`; parts 0: all */
    const volatile int *stop; /* non-zero: INTERRUPTED */
    void (*progress)(void *user, const at_exhaustive_progress *progress); /* about twice a second; NULL */
    void *user;
} at_exhaustive_options;

/* UNSUPPORTED for f64 and for kernels with operands or sums. */
actune_status at_exhaustive_check(const at_kernel *kernel);

/* Generates, compiles and runs the variant (flat layout). report->exhaustive tells whether it was all of them. A kernel that computes
   wrong is no error. Errors of at_exhaustive_check and of compiling (UNSUPPORTED: a form that cannot reach the class); NO_MEMORY, INTERRUPTED. */
actune_status at_verify_exhaustive(at_cache *cache, const at_device *device, const at_kernel *kernel, const at_variant *variant,
                                   const at_exhaustive_options *options, at_verify_report *report);

/* Keeps the maximum with the variant. */
actune_status at_exhaustive_store(at_store *store, const at_device *device, const at_kernel *kernel, const at_variant *variant,
                                  const at_verify_report *report);

#endif
