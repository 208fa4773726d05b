/* Sizes are tuned on a log2 grid. One rounding function, shared by tuner and dispatch. */
#ifndef AT_BASE_BUCKET_H
#define AT_BASE_BUCKET_H

#include <stdint.h>

/* Nearest power of two in log scale, as its exponent: 0 for n <= 1, 20 for 1 << 20; ties go up. */
int at_size_bucket(int64_t n);

#endif
