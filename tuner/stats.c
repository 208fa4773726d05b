#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More resamples than this move the ends of the interval by less than the noise of the samples themselves. */
enum { RESAMPLES = 600 };

uint64_t at_random_next(at_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t at_random_below(at_random *random, uint64_t bound)
{
    /* Multiply-shift: the bias is below 2^-32 for the small bounds used here. */
    return (uint64_t)(((unsigned __int128)at_random_next(random) * bound) >> 64);
}

double at_random_uniform(at_random *random)
{
    return ((double)(at_random_next(random) >> 11) + 0.5) * 0x1p-53;
}

double at_random_normal(at_random *random)
{
    double radius = sqrt(-2 * log(at_random_uniform(random)));
    return radius * cos(6.283185307179586 * at_random_uniform(random));
}

void at_random_shuffle(at_random *random, int *items, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)at_random_below(random, (uint64_t)i + 1);
        int item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int sort_samples(const double *samples, int count, double *sorted)
{
    if (count > AT_SAMPLES_MAX)
        count = AT_SAMPLES_MAX;
    if (count > 0)
        memcpy(sorted, samples, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)(count > 0 ? count : 0), sizeof *sorted, ascending);
    return count;
}

static double middle(const double *sorted, int count)
{
    return count & 1 ? sorted[count / 2] : 0.5 * (sorted[count / 2 - 1] + sorted[count / 2]);
}

double at_median(const double *samples, int count)
{
    double sorted[AT_SAMPLES_MAX];
    count = sort_samples(samples, count, sorted);
    return count > 0 ? middle(sorted, count) : (double)NAN;
}

/* Median of `count` draws with replacement. Counting how often each rank was drawn replaces sorting every resample. */
static double resampled_median(const double *sorted, int count, at_random *random)
{
    int drawn[AT_SAMPLES_MAX] = {0};
    for (int i = 0; i < count; i++)
        drawn[at_random_below(random, (uint64_t)count)]++;
    int lower_rank = (count - 1) / 2, upper_rank = count / 2, seen = 0, rank = 0;
    while (seen + drawn[rank] <= lower_rank)
        seen += drawn[rank++];
    double lower = sorted[rank];
    while (seen + drawn[rank] <= upper_rank)
        seen += drawn[rank++];
    return 0.5 * (lower + sorted[rank]);
}

at_interval at_bootstrap_median(const double *samples, int count, uint64_t seed)
{
    double sorted[AT_SAMPLES_MAX], medians[RESAMPLES];
    count = sort_samples(samples, count, sorted);
    if (count <= 0)
        return (at_interval){NAN, NAN, NAN};
    at_random random = {seed};
    for (int i = 0; i < RESAMPLES; i++)
        medians[i] = resampled_median(sorted, count, &random);
    qsort(medians, RESAMPLES, sizeof *medians, ascending);
    return (at_interval){middle(sorted, count), medians[RESAMPLES / 40], medians[RESAMPLES - 1 - RESAMPLES / 40]};
}

at_interval at_paired_log_ratio(const double *a, const double *b, int count, uint64_t seed)
{
    double ratio[AT_SAMPLES_MAX];
    if (count > AT_SAMPLES_MAX)
        count = AT_SAMPLES_MAX;
    for (int i = 0; i < count; i++)
        ratio[i] = log(a[i] / b[i]);
    return at_bootstrap_median(ratio, count, seed);
}

void at_tie_set(const at_interval *log_ratio, int count, int best, bool *tied)
{
    for (int i = 0; i < count; i++)
        tied[i] = best >= 0 && (log_ratio[i].low <= log_ratio[best].high ||
                                log_ratio[i].median <= log_ratio[best].median + log1p(AT_TIE_MARGIN));
}
