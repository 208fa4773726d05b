/* Statistics of a tuning run: a seeded generator, medians, bootstrap intervals of paired ratios, tie sets. All are
   deterministic: the same samples and seed give the same decision (replay). No allocation; any thread. */
#ifndef AT_TUNER_STATS_H
#define AT_TUNER_STATS_H

#include <stdbool.h>
#include <stdint.h>

/* The most samples that one estimate takes; callers keep to it. */
enum { AT_SAMPLES_MAX = 256 };

/* splitmix64 (Steele, Lea, Flood 2014). */
typedef struct at_random {
    uint64_t state;
} at_random;

uint64_t at_random_next(at_random *random);
/* Uniform in [0, bound); 0 when bound is 0. */
uint64_t at_random_below(at_random *random, uint64_t bound);
/* Uniform in (0, 1). */
double at_random_uniform(at_random *random);
/* Standard normal (Box-Muller). */
double at_random_normal(at_random *random);
void at_random_shuffle(at_random *random, int *items, int count);

/* An estimate with its bootstrap 95 % interval. */
typedef struct at_interval {
    double median, low, high;
} at_interval;

/* NaN of no samples; count at most AT_SAMPLES_MAX, more are left out. */
double at_median(const double *samples, int count);
/* Percentile bootstrap of the median. */
at_interval at_bootstrap_median(const double *samples, int count, uint64_t seed);
/* Of log(a[i] / b[i]), sample i of both taken in the same round. */
at_interval at_paired_log_ratio(const double *a, const double *b, int count, uint64_t seed);

/* Relative difference under which two candidates are as good as each other. */
#define AT_TIE_MARGIN 0.02

/* Smaller is better: marks in `tied` the candidates whose interval overlaps that of `best` (-1: none), or whose median is within
   AT_TIE_MARGIN of it (log scale); candidates with a NaN median are out. */
void at_tie_set(const at_interval *log_ratio, int count, int best, bool *tied);

#endif
