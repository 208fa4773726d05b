/* The second measurement of a fit: hundreds of thousands of floats, so that rare sums of roundings are met. The exact function is too slow for
   that; inside an interval it is smooth, so a Chebyshev series of it, good to far less than a float's rounding, stands for it. */
#include "fit_job.h"

#include <math.h>

enum { TERMS = 24, CHECKS = 8 };

/* Share of the allowed error that the series may be off. */
static const double SERIES_ERROR = 1e-3;

typedef struct series {
    double middle, half, term[TERMS];
} series;

static double series_at(const series *s, double a)
{
    double t = (a - s->middle) / s->half, next = 0, after = 0;
    for (int k = TERMS - 1; k > 0; k--) {
        double now = 2 * t * next - after + s->term[k];
        after = next;
        next = now;
    }
    return t * next - after + s->term[0];
}

static void make_series(const at_fit_job *job, int side, series *s)
{
    long double value[TERMS];
    for (int j = 0; j < TERMS; j++) {
        double a = s->middle + s->half * cos(M_PI * (j + 0.5) / TERMS);
        value[j] = at_fit_job_target(job, side, a) / at_fit_job_factor(job, false, a);
    }
    for (int k = 0; k < TERMS; k++) {
        long double sum = 0;
        for (int j = 0; j < TERMS; j++)
            sum += value[j] * cosl(M_PIl * k * (j + 0.5L) / TERMS);
        s->term[k] = (double)(sum * (k ? 2 : 1) / TERMS);
    }
}

/* f at x from what the table should hold at |x|, a tail taken out. */
static double whole_value(const at_fit_job *job, double x, double target)
{
    bool positive = x >= 0;
    if (job->tail != AT_FIT_TAIL_NONE)
        target *= (double)at_fit_job_factor(job, false, fabs(x));
    double turned = job->shape == AT_FIT_ODD && !positive ? -target : target;
    return job->slope[positive] * x + job->center + turned;
}

static bool series_holds(const at_fit_job *job, const series *s, int side)
{
    for (int j = 0; j < CHECKS; j++) {
        double a = s->middle + s->half * (2 * (j + 0.37) / CHECKS - 1);
        long double stand_in = series_at(s, a) * at_fit_job_factor(job, false, a);
        double off = fabs((double)(at_fit_job_target(job, side, a) - stand_in));
        if (!(off <= SERIES_ERROR * at_fit_job_allowed(job, side, a)))
            return false;
    }
    return true;
}

static void measure_interval(const at_fit_job *job, int side, int k, int floats, at_fit *fit)
{
    double low = at_fit_interval_start(fit, k), high = at_fit_interval_start(fit, k + 1);
    low = k ? low : 0.25 * high; /* nearer to 0 the sample by octaves is dense enough */
    series s = {.middle = 0.5 * (low + high), .half = 0.5 * (high - low)};
    make_series(job, side, &s);
    bool holds = series_holds(job, &s, side); /* a corner inside: the function itself, at fewer points */
    int count = holds ? floats : floats / 16;
    uint32_t sequence = 12345;
    for (int j = 0; j < count; j++) {
        sequence = sequence * 1664525u + 1013904223u;
        float a = (float)(low + (high - low) * (j + (sequence >> 8) * 0x1p-24) / count);
        for (int sign = job->shape == AT_FIT_SIGNED ? side : 0; sign <= (job->shape == AT_FIT_SIGNED ? side : 1); sign++) {
            double x = sign ? a : -a;
            double exact = holds ? whole_value(job, x, series_at(&s, a)) : (double)at_fit_job_value(job, x);
            at_fit_measure_at(fit, (float)x, exact, at_tolerance_at(&job->tolerance, x, exact));
        }
    }
}

void at_fit_measure_dense(const at_fit_job *job, int floats, at_fit *fit)
{
    int intervals = fit->shape == AT_FIT_SIGNED ? fit->entries / 2 : fit->entries;
    for (int side = fit->shape == AT_FIT_SIGNED ? 0 : 1; side < 2; side++)
        for (int k = 0; k + 1 < intervals; k++)
            measure_interval(job, side, k, floats, fit);
}
