#include "reference_moments.h"

#include <math.h>

static bool belongs(const at_moments_terms *of, int64_t element)
{
    return of->channel < 0 || element / of->shape.inner % of->shape.channels == of->channel;
}

/* Sums over the elements: of the values, of the errors; then of squared distances from the mean, of distances times errors. */
typedef struct totals {
    long double count, value, error, squares, squares_error;
} totals;

static totals add_up(const at_moments_terms *of)
{
    int64_t elements = of->shape.outer * of->shape.channels * of->shape.inner;
    totals all = {0};
    for (int64_t i = 0; i < elements; i++)
        if (belongs(of, i)) {
            all.count++;
            all.value += of->term[i].value;
            all.error += of->term[i].error;
        }
    long double mean = all.count > 0 ? all.value / all.count : 0;
    for (int64_t i = 0; i < elements; i++)
        if (belongs(of, i)) {
            long double apart = fabsl(of->term[i].value - mean);
            all.squares += apart * apart;
            all.squares_error += of->term[i].error * (2 * apart + of->term[i].error);
        }
    return all;
}

void at_moments_solve(const at_signature *signature, const at_moments_terms *of, at_moments_expected *expected)
{
    const actune_dtype compute = signature->compute;
    const long double share = compute == ACTUNE_F64 ? 1e-13L : 1e-6L;
    totals all = add_up(of);
    *expected = (at_moments_expected){0};
    if (all.count == 0)
        return;
    long double mean = all.value / all.count, variance = all.squares / all.count, whole = variance + (long double)signature->eps;
    long double off = all.error / all.count + share * 2 * sqrtl(variance);
    long double variance_off = all.squares_error / all.count + share * 4 * variance;
    expected->value[AT_MOMENTS_MEAN] = mean;
    expected->error[AT_MOMENTS_MEAN] = off + at_ulp(compute, mean);
    /* Which way the mean was rounded is open where it is off. */
    expected->value[AT_MOMENTS_MEAN_LOW] = compute == ACTUNE_F64 ? 0 : mean - (long double)(float)mean;
    expected->error[AT_MOMENTS_MEAN_LOW] = compute == ACTUNE_F64 ? 0 : off + at_ulp(compute, mean);
    expected->value[AT_MOMENTS_RSTD] = 1 / sqrtl(whole);
    expected->error[AT_MOMENTS_RSTD] = 1 / sqrtl(whole) * (variance_off / whole) + at_ulp(compute, 1 / sqrtl(whole));
    expected->value[AT_MOMENTS_WEIGHT] = 1 / all.count;
    expected->error[AT_MOMENTS_WEIGHT] = at_ulp(compute, 1 / all.count);
}
