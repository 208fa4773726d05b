/* Do the arms of a race write the same numbers? A peer that computes something else says nothing about speed. */
#ifndef AT_BENCH_GPU_AGREE_H
#define AT_BENCH_GPU_AGREE_H

#include "race.h"

enum { GPU_HEAD = 65536, GPU_TAIL = 4096 }; /* elements that are looked at */

typedef struct gpu_agreement {
    double value[GPU_HEAD + GPU_TAIL]; /* of the first arm */
    bool known;
} gpu_agreement;

/* Fills the written tensor of the first set with NaN, where it will be looked at. */
actune_status gpu_agreement_poison(const gpu_bench *bench, const gpu_race *race, const gpu_sets *sets);
/* Keeps the first arm's numbers, compares the others' with them: they may be 16 units of rounding apart (f32 and f64: 256), of the larger of 1 and
   the number. `difference`: the largest, as a share of that. VERIFY, with where, when it is more than that or a NaN. */
actune_status gpu_agreement_check(const gpu_bench *bench, const gpu_race *race, const gpu_sets *sets, gpu_agreement *agreement,
                                  double *difference);

#endif
