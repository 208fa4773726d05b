#include "statistics.h"

#include <math.h>

enum { LANES = 4 }; /* gcc 12 compares vectors wider than the machine's one element at a time */
/* One text for every instruction set: four lanes and no contraction, so the bits are the same. */
#define EVERYWHERE static inline __attribute__((always_inline))
typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t masks __attribute__((vector_size(LANES * sizeof(int64_t))));

EVERYWHERE int64_t total(const masks *counts)
{
    int64_t sum = 0;
    for (int i = 0; i < LANES; i++)
        sum -= (*counts)[i]; /* true is -1 */
    return sum;
}

EVERYWHERE double sum_of(const lanes *values)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += (*values)[i];
    return sum;
}

/* The sum of the squares of distances from `mean`, of the finite numbers. */
EVERYWHERE double squares_of(const lanes *x, int blocks, double mean)
{
    lanes squares = {0};
    for (int i = 0; i < blocks; i++) {
        masks finite = x[i] - x[i] == 0;
        lanes distance = (lanes)((masks)(x[i] - mean) & finite);
        squares += distance * distance;
    }
    return sum_of(&squares);
}

/* Two readings of the block: the mean first, so that a large mean costs the variance nothing. What fills the last vector is NaN, which
   counts nowhere else. */
EVERYWHERE at_moments moments(double *values, int count, double clip_lo, double clip_hi)
{
    const masks sign = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    const lanes *x = (const lanes *)values;
    int blocks = (count + LANES - 1) / LANES;
    masks nonpositive = {0}, zero = {0}, clipped = {0}, nan = {0}, finites = {0};
    lanes sum = {0}, largest = {0};
    for (int i = count; i < blocks * LANES; i++)
        values[i] = NAN;
    for (int i = 0; i < blocks; i++) {
        masks finite = x[i] - x[i] == 0;
        lanes number = (lanes)((masks)x[i] & finite), size = (lanes)((masks)number & sign);
        masks larger = size > largest;
        nonpositive += x[i] <= 0;
        zero += x[i] == 0;
        clipped += (x[i] <= clip_lo) | (x[i] >= clip_hi);
        nan += x[i] != x[i];
        finites += finite;
        sum += number;
        largest = (lanes)(((masks)size & larger) | ((masks)largest & ~larger));
    }
    at_moments m = {.count = count, .nonpositive = total(&nonpositive), .zero = total(&zero), .nan = total(&nan) - (blocks * LANES - count)};
    int64_t finite = total(&finites);
    m.inf = count - m.nan - finite;
    m.clipped = clip_lo < clip_hi ? total(&clipped) : 0;
    m.mean = finite > 0 ? sum_of(&sum) / (double)finite : 0;
    m.squares = squares_of(x, blocks, m.mean);
    for (int i = 0; i < LANES; i++)
        m.absmax = largest[i] > m.absmax ? largest[i] : m.absmax;
    return m;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static at_moments moments_avx2(double *x, int count, double clip_lo, double clip_hi)
{
    return moments(x, count, clip_lo, clip_hi);
}
#endif

at_moments at_moments_of(double *x, int count, double clip_lo, double clip_hi)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return moments_avx2(x, count, clip_lo, clip_hi);
#endif
    return moments(x, count, clip_lo, clip_hi);
}

void at_moments_join(at_moments *to, const at_moments *next)
{
    double before = (double)(to->count - to->nan - to->inf), after = (double)(next->count - next->nan - next->inf);
    if (before == 0) {
        to->mean = next->mean;
        to->squares = next->squares;
    } else if (after > 0) {
        double distance = next->mean - to->mean, all = before + after;
        to->mean += distance * (after / all);
        to->squares += next->squares + distance * distance * (before * (after / all));
    }
    to->count += next->count;
    to->nonpositive += next->nonpositive;
    to->zero += next->zero;
    to->clipped += next->clipped;
    to->nan += next->nan;
    to->inf += next->inf;
    to->absmax = next->absmax > to->absmax ? next->absmax : to->absmax;
}
