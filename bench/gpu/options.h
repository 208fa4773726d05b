/* Options that the GPU benchmarks have in common. */
#ifndef AT_BENCH_GPU_OPTIONS_H
#define AT_BENCH_GPU_OPTIONS_H

#include "gpu.h"

enum { GPU_SIZES_MAX = 16 };

typedef struct gpu_options {
    int64_t size[GPU_SIZES_MAX];
    int sizes, rounds; /* 0: not given */
    double seconds;    /* 0: no limit; peers starts no row after that */
} gpu_options;

/* --sizes 16K,1M --rounds N --seconds N; anything else prints `usage` and exits with 2. */
void gpu_options_read(int argc, char **argv, const char *usage, gpu_options *options);
void gpu_options_apply(const gpu_options *options, gpu_bench *bench);
void gpu_options_sizes(gpu_options *options, const int64_t *size, int sizes);

#endif
