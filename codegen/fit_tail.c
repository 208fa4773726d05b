/* Functions whose tail falls like an exponential and is judged by its own size (gelu, silu, mish, softplus in the exact class): the
   exponential is taken out, and the table holds what is left, which is smooth and bounded. */
#include "fit_job.h"

#include <math.h>

enum { SETTLE_STEPS = 64 };

/* -log of |g| / its power of a, where g is the part of f that the table stands for. */
static long double depth(const at_fit_job *job, int side, double a)
{
    long double g = fabsl(at_fit_job_target(job, side, a));
    return g > 0 ? -logl(job->zero ? g / a : g) : INFINITY;
}

long double at_fit_job_factor(const at_fit_job *job, bool product, double a)
{
    long double factor = product ? a : 1;
    if (job->tail == AT_FIT_TAIL_EXP)
        factor *= expl(-(long double)job->rate * a);
    else if (job->tail == AT_FIT_TAIL_GAUSS)
        factor *= expl(-(long double)job->rate * a * a);
    return factor;
}

/* exp(-rate a): the same slope of the depth far out and very far out. exp(-rate a^2): a slope that doubles with a; the rate must be a power of two,
   whose products with a^2 are exact. */
static at_fit_tail find_kind(const at_fit_job *job, int side, double *rate)
{
    long double near = (depth(job, side, 80) - depth(job, side, 40)) / 40, far = (depth(job, side, 160) - depth(job, side, 80)) / 80;
    if (isfinite((double)far) && fabsl(near - far) < 1e-12L * near && near > 0.05L && near < 20) {
        *rate = (double)near;
        return AT_FIT_TAIL_EXP;
    }
    long double square = (depth(job, side, 16) - depth(job, side, 8)) / 192;
    if (!isfinite((double)square) || square < 0.1L || square > 4)
        return AT_FIT_TAIL_NONE;
    *rate = exp2(round(log2((double)square)));
    return fabsl(square / *rate - 1) < 0.03L ? AT_FIT_TAIL_GAUSS : AT_FIT_TAIL_NONE;
}

/* True when the constant of the last interval does at a; past the exponential's last float nothing is left to be right. */
static bool settled_at(const at_fit_job *job, double a)
{
    for (int side = job->shape == AT_FIT_SIGNED ? 0 : 1; side < 2; side++) {
        long double constant = job->tail_end[side] * at_fit_job_factor(job, job->zero, a);
        double allowed = at_fit_job_allowed(job, side, a);
        if (job->shape != AT_FIT_SIGNED)
            allowed = fmin(allowed, at_fit_job_allowed(job, !side, a));
        if (!(fabsl(at_fit_job_target(job, side, a) - constant) <= 0.3L * allowed))
            return false;
    }
    return true;
}

bool at_fit_job_take_tail(at_fit_job *job)
{
    bool line = job->slope[0] != 0 || job->slope[1] != 0;
    int falling = job->slope[0] == 0 ? 0 : 1;
    if (!line || job->slope[falling] != 0 || job->shape == AT_FIT_ODD || job->end[0] != 0 || job->end[1] != 0)
        return false;
    job->tail = find_kind(job, falling, &job->rate);
    if (job->tail == AT_FIT_TAIL_NONE)
        return false;
    double far = job->tail == AT_FIT_TAIL_EXP ? 60 / job->rate : 12 / sqrt(job->rate);
    for (int side = 0; side < 2; side++) {
        bool same = side == falling || job->shape == AT_FIT_EVEN;
        job->tail_end[side] = same ? (float)(at_fit_job_target(job, falling, far) / at_fit_job_factor(job, job->zero, far)) : 0;
    }
    int step = 8 * SETTLE_STEPS;
    while (step > 0 && settled_at(job, exp2((double)step / SETTLE_STEPS)))
        step--;
    job->settle = exp2((double)(step + 1) / SETTLE_STEPS);
    return step < 8 * SETTLE_STEPS;
}

/* p * exp(-s), scaled once at the end, step by step what the fragment times_falling does (templates/math/exp.c.in). */
static float times_falling(float p, float s)
{
    static const float coefficient[] = {0.00138213218f, 0.00836866908f, 0.0416682586f, 0.166665211f, 0.49999994f, 1, 1};
    float x = -125 > -s ? -125 : -s;
    float n = fmaf(x, 1.44269502f, 12582912.0f) - 12582912.0f;
    float r = fmaf(n, 1.90465421e-09f, fmaf(n, -0.693147182f, x)), e = coefficient[0];
    for (int k = 1; k < 7; k++)
        e = fmaf(e, r, coefficient[k]);
    return isnan(n) ? n : ldexpf(p * e, (int)n);
}

float at_fit_tail_eval(const at_fit *fit, float a, float p)
{
    bool gauss = fit->tail == AT_FIT_TAIL_GAUSS;
    float s = a * (gauss ? a : fit->rate);
    if (gauss)
        p = fmaf(-p, fmaf(a, a, -s) * fit->rate, p);
    else if (fit->rate != 1)
        p = fmaf(-p, fmaf(a, fit->rate_low, fmaf(a, fit->rate, -s)), p);
    if (fit->product)
        p = a * p;
    return times_falling(p, gauss ? s * fit->rate : s);
}
