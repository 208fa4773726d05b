#include <criterion/criterion.h>
#include <math.h>

#include "tuner/stats.h"

Test(stats, generator)
{
    /* First outputs of the published splitmix64 for seed 1234567. */
    at_random random = {1234567};
    cr_assert_eq(at_random_next(&random), 6457827717110365317u);
    cr_assert_eq(at_random_next(&random), 3203168211198807973u);

    int seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[at_random_below(&random, 7)]++;
    for (int i = 0; i < 7; i++)
        cr_assert(seen[i] > 850 && seen[i] < 1150, "%d of 7 came %d times in 7000", i, seen[i]);
    cr_assert_eq(at_random_below(&random, 1), 0);
    cr_assert_eq(at_random_below(&random, 0), 0);

    double sum = 0, squares = 0;
    for (int i = 0; i < 20000; i++) {
        double value = at_random_normal(&random);
        cr_assert(isfinite(value));
        sum += value;
        squares += value * value;
    }
    cr_assert_lt(fabs(sum / 20000), 0.03);
    cr_assert_lt(fabs(squares / 20000 - 1), 0.05);

    int items[20], again[20], present = 0;
    for (int i = 0; i < 20; i++)
        items[i] = again[i] = i;
    at_random one = {9}, other = {9};
    at_random_shuffle(&one, items, 20);
    at_random_shuffle(&other, again, 20);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(items[i], again[i], "one seed, one order");
        present |= 1 << items[i];
    }
    cr_assert_eq(present, (1 << 20) - 1, "a shuffle keeps every item");
}

Test(stats, median)
{
    const double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2};
    cr_assert_eq(at_median(odd, 3), 3);
    cr_assert_eq(at_median(even, 4), 2.5);
    cr_assert_eq(at_median(odd, 1), 5);
    cr_assert(isnan(at_median(odd, 0)));
}

Test(stats, bootstrap)
{
    double same[10], samples[41];
    for (int i = 0; i < 10; i++)
        same[i] = 7;
    at_interval interval = at_bootstrap_median(same, 10, 1);
    cr_assert(interval.median == 7 && interval.low == 7 && interval.high == 7);

    /* Coverage: the 95 % interval of 41 normal samples holds the true median in about 95 of 100 experiments. */
    at_random random = {42};
    int covered = 0;
    for (int experiment = 0; experiment < 400; experiment++) {
        for (int i = 0; i < 41; i++)
            samples[i] = 10 + at_random_normal(&random);
        interval = at_bootstrap_median(samples, 41, (uint64_t)experiment);
        cr_assert(interval.low <= interval.median && interval.median <= interval.high);
        covered += interval.low <= 10 && 10 <= interval.high;
    }
    cr_assert(covered > 364 && covered < 398, "covered %d of 400", covered);

    at_interval again = at_bootstrap_median(samples, 41, 399);
    cr_assert(again.low == interval.low && again.high == interval.high, "one seed, one interval");
    cr_assert(isnan(at_bootstrap_median(samples, 0, 1).median));
}

Test(stats, paired_ratio)
{
    /* The anchor drifts by a factor of 4 during the session; the ratio does not. */
    double candidate[30], anchor[30];
    at_random random = {3};
    for (int i = 0; i < 30; i++) {
        anchor[i] = 100 * (1 + 0.1 * i);
        candidate[i] = 0.5 * anchor[i] * (1 + 0.001 * at_random_normal(&random));
    }
    candidate[7] *= 50; /* one interrupted region must not move the median */
    at_interval ratio = at_paired_log_ratio(candidate, anchor, 30, 1);
    cr_assert_lt(fabs(ratio.median - log(0.5)), 0.001);
    cr_assert_lt(ratio.high - ratio.low, 0.002);
    at_interval null = at_paired_log_ratio(anchor, anchor, 30, 1);
    cr_assert(null.median == 0 && null.low == 0 && null.high == 0);
}

Test(stats, ties)
{
    const at_interval ratios[] = {
        {0.100, 0.095, 0.105},  /* 0: clearly slower */
        {0.000, -0.002, 0.002}, /* 1: best */
        {0.010, 0.008, 0.012},  /* 2: apart from the best, but within 2 % */
        {0.050, 0.001, 0.100},  /* 3: slower, but its interval overlaps */
        {NAN, NAN, NAN},        /* 4: not measured */
    };
    bool tied[5];
    at_tie_set(ratios, 5, 1, tied);
    cr_assert(!tied[0] && tied[1] && tied[2] && tied[3] && !tied[4]);
    at_tie_set(ratios, 5, -1, tied);
    cr_assert(!tied[0] && !tied[1] && !tied[2] && !tied[3] && !tied[4]);
}
