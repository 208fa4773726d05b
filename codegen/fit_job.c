/* What a function is like before it is fitted: its ends, its symmetry, where it has settled, and the sample it is judged on. */
#include "fit_job.h"

#include <math.h>
#include <stdlib.h>

enum { FAR = 20, SETTLE_FROM = -12, SETTLE_TO = 16, SETTLE_STEPS = 32 };
enum { DENSE_FROM = -14, DENSE_TO = 8, DENSE = 1024, SPARSE = 24 };

long double at_fit_job_value(const at_fit_job *job, double x)
{
    long double input = x;
    at_graph_eval(job->function, &input, job->values);
    return job->values[job->function->output[0]];
}

long double at_fit_job_target(const at_fit_job *job, int side, double a)
{
    if (job->shape == AT_FIT_EVEN && job->slope[side] != 0)
        side = !side; /* where no line is subtracted, nothing cancels */
    double x = side ? a : -a;
    long double rest = at_fit_job_value(job, x) - (long double)job->slope[side] * x - job->center;
    return job->shape == AT_FIT_ODD && !side ? -rest : rest;
}

double at_fit_job_allowed(const at_fit_job *job, int side, double a)
{
    double x = side ? a : -a, exact = (double)at_fit_job_value(job, x);
    double allowed = at_tolerance_at(&job->tolerance, x, exact);
    return fmax(allowed - 0.5 * at_ulp_f32(exact), 0.25 * allowed);
}

/* Slope and constant of the line that side settles to. */
static actune_status find_end(at_fit_job *job, int side)
{
    double far = ldexp(side ? 1 : -1, FAR);
    long double slope = (at_fit_job_value(job, 2 * far) - at_fit_job_value(job, far)) / far;
    if (!isfinite((double)slope) || fabsl(slope) > 1e4L)
        return at_fail(ACTUNE_UNSUPPORTED, "the function does not settle to a line as x goes to %sinfinity", side ? "+" : "-");
    job->slope[side] = fabsl(slope) < 1e-9L ? 0 : (float)slope;
    long double end = at_fit_job_value(job, far) - (job->slope[side] != 0 ? slope : 0) * far; /* the slope's rounding is no part of the end */
    job->end[side] = fabsl(end) < 1e-12L ? 0 : (double)end;
    return ACTUNE_OK;
}

/* How far from symmetric the function is at x, relative to its parts: `sign` 1 odd, -1 even. */
static bool symmetric_at(const at_fit_job *job, double a, int sign)
{
    long double positive = at_fit_job_target(job, 1, a), negative = at_fit_job_target(job, 0, a);
    long double size = fabsl(positive) + fabsl(negative) + 1e-3L * (fabsl(job->center) + fabsl(job->slope[1] * a));
    return fabsl(positive + sign * negative) <= 1e-14L * size;
}

static bool symmetric(const at_fit_job *job, int sign)
{
    for (int step = -12 * 4; step <= 7 * 4; step++)
        if (!symmetric_at(job, exp2(step / 4.0) * 1.0625, sign))
            return false;
    return true;
}

static bool jumps_at_zero(const at_fit_job *job, double side)
{
    double at_zero = (double)at_fit_job_value(job, 0);
    return !(fabs((double)at_fit_job_value(job, side * 0x1p-120) - at_zero) <= at_tolerance_at(&job->tolerance, 0, at_zero));
}

static void find_shape(at_fit_job *job)
{
    job->shape = AT_FIT_SIGNED;
    job->center = 0;
    double at_zero = (double)at_fit_job_value(job, 0);
    if (job->slope[0] == job->slope[1] && fabs(at_zero - (float)at_zero) < 1e-12) {
        job->center = (float)at_zero;
        if (symmetric(job, 1))
            job->shape = AT_FIT_ODD;
        else
            job->center = 0;
    }
    if (job->shape == AT_FIT_SIGNED && symmetric(job, -1))
        job->shape = AT_FIT_EVEN;
    if (job->shape == AT_FIT_ODD) {
        job->end[1] -= job->center;
        job->end[0] = -(job->end[0] - job->center);
    }
    job->zero_is_left = jumps_at_zero(job, 1) && !jumps_at_zero(job, -1);
    job->zero = at_fit_job_target(job, 1, 0) == 0 && at_fit_job_target(job, 0, 0) == 0;
}

/* True when everything at a is the end's constant, as a float, within half of what is allowed. */
static bool settled_at(const at_fit_job *job, double a)
{
    for (int side = job->shape == AT_FIT_SIGNED ? 0 : 1; side < 2; side++) {
        long double rest = at_fit_job_target(job, side, a) - (float)job->end[side];
        double allowed = fmin(at_fit_job_allowed(job, side, a), at_fit_job_allowed(job, !side, a));
        if (job->shape == AT_FIT_SIGNED)
            allowed = at_fit_job_allowed(job, side, a);
        if (!(fabsl(rest) <= 0.7L * allowed))
            return false;
    }
    return true;
}

static actune_status find_settle(at_fit_job *job)
{
    int step = SETTLE_TO * SETTLE_STEPS;
    while (step >= SETTLE_FROM * SETTLE_STEPS && settled_at(job, exp2((double)step / SETTLE_STEPS)))
        step--;
    if (step == SETTLE_TO * SETTLE_STEPS)
        return at_fail(ACTUNE_UNSUPPORTED, "the function has not settled to a line within its accuracy class at |x| = %g",
                       ldexp(1, SETTLE_TO));
    double unsettled = exp2((double)step / SETTLE_STEPS), settled = exp2((double)(step + 1) / SETTLE_STEPS);
    for (int i = 0; i < 30; i++) {
        double middle = 0.5 * (unsettled + settled);
        *(settled_at(job, middle) ? &settled : &unsettled) = middle;
    }
    job->settle = settled;
    return ACTUNE_OK;
}

static void add_point(at_fit_job *job, float x)
{
    double exact = (double)at_fit_job_value(job, x);
    job->sample[job->samples++] = (at_fit_point){x, exact, at_tolerance_at(&job->tolerance, x, exact)};
}

/* Floats of all exponents, spread unevenly within an octave by a fixed sequence, dense where activations bend. */
static actune_status make_sample(at_fit_job *job)
{
    size_t most = 2 * ((size_t)(DENSE_TO - DENSE_FROM) * DENSE + 300 * SPARSE) + 4;
    job->sample = malloc(most * sizeof *job->sample);
    if (!job->sample)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    add_point(job, 0);
    for (int exponent = -149; exponent < 128; exponent++) {
        int count = exponent >= DENSE_FROM && exponent < DENSE_TO ? DENSE : SPARSE;
        uint32_t sequence = (uint32_t)exponent * 2654435761u;
        for (int j = 0; j < count; j++) {
            sequence = sequence * 1664525u + 1013904223u;
            float x = (float)ldexp(1 + (j + (sequence >> 8) * 0x1p-24) / count, exponent);
            add_point(job, x);
            add_point(job, -x);
        }
    }
    for (int i = 0; i < job->samples; i++)
        if (!isfinite(job->sample[i].exact))
            return at_fail(ACTUNE_UNSUPPORTED, "the function is not finite at x = %g", (double)job->sample[i].x);
    return ACTUNE_OK;
}

actune_status at_fit_job_init(const at_graph *function, at_accuracy accuracy, bool derivative, at_fit_job *job)
{
    *job = (at_fit_job){.function = function, .shape = AT_FIT_SIGNED};
    job->values = calloc((size_t)function->count + 1, sizeof *job->values);
    if (!job->values)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    job->tolerance = at_tolerance_of(function, accuracy, derivative);
    for (int side = 0; side < 2; side++)
        AT_TRY(find_end(job, side));
    find_shape(job);
    AT_TRY(find_settle(job));
    return make_sample(job);
}

void at_fit_job_clear(at_fit_job *job)
{
    free(job->values);
    free(job->sample);
    *job = (at_fit_job){0};
}
