/* Statistics of a block of numbers, and joining them (Chan, Golub and LeVeque 1979). */
#ifndef AT_RUNTIME_STATISTICS_H
#define AT_RUNTIME_STATISTICS_H

#include "base/status.h"

enum { AT_BLOCK = 4096 /* doubles, at most, of at_moments_of: they are read twice, from L1 */ };

typedef struct at_moments {
    int64_t count, nonpositive, zero, clipped, nan, inf;
    double mean, squares, absmax; /* squares: sum of the square distances from the mean */
} at_moments;

/* Of x[0..count), count <= AT_BLOCK; x has room for a multiple of 8 and what follows `count` is overwritten. */
at_moments at_moments_of(double *x, int count, double clip_lo, double clip_hi);
/* Joins what follows to what there is; the order decides the last bits. */
void at_moments_join(at_moments *to, const at_moments *next);

#endif
