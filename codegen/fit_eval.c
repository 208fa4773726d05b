/* A fit evaluated as the generated code does, and measured against the exact function. */
#include "fit_job.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* line(x) + p, or with `product` line(x) + a * p; min and max give their second operand for NaN and ties, as the vector ones do. */
static float add_line(const at_fit *fit, bool product, float x, float a, float p)
{
    float negative = fit->slope_negative, positive = fit->slope_positive;
    if (negative == 0 && positive == 0)
        return product ? a * p : p;
    float slope = x < 0 ? negative : positive, kept = x;
    if (negative == 0) {
        slope = positive;
        kept = 0 > x ? 0 : x;
    } else if (positive == 0) {
        slope = negative;
        kept = 0 < x ? 0 : x;
    }
    return product ? fmaf(a, p, slope * kept) : fmaf(slope, kept, p);
}

float at_fit_eval(const at_fit *fit, float x)
{
    float a = fabsf(x);
    a = fit->limit < a ? fit->limit : a;
    float u = fmaf(a, fit->scale, 1);
    if (fit->tail != AT_FIT_TAIL_NONE)
        u = fit->u_limit < u ? fit->u_limit : u;
    int side = fit->shape == AT_FIT_SIGNED ? fit->entries / 2 : fit->entries;
    uint32_t index = ((bits_of(u) >> fit->shift) - (bits_of(1) >> fit->shift)) & (uint32_t)(side - 1);
    if (fit->shape == AT_FIT_SIGNED && (signbit(x) || (fit->zero_is_left && x == 0)))
        index += (uint32_t)side;
    float t = a;
    if (fit->origin == AT_FIT_BASE)
        t = a - fit->base[index];
    else if (fit->origin == AT_FIT_OFFSET)
        t = u - float_of(bits_of(u) & ~((1u << fit->shift) - 1));
    float p = fit->coefficient[fit->degree][index];
    for (int k = fit->degree - 1; k >= 0; k--)
        p = fmaf(p, t, fit->coefficient[k][index]);
    if (fit->shape == AT_FIT_ODD) {
        p = copysignf(p, x);
        if (fit->center != 0)
            p += fit->center;
    }
    if (fit->tail != AT_FIT_TAIL_NONE)
        return add_line(fit, false, x, a, at_fit_tail_eval(fit, a, p));
    return add_line(fit, fit->product, x, a, p);
}

void at_fit_measure_at(at_fit *fit, float x, double exact, double allowed)
{
    double error = fabs((double)at_fit_eval(fit, x) - exact);
    if (fabs(exact) >= 0x1.fffffep127 && isinf(at_fit_eval(fit, x)))
        return; /* beyond the largest float */
    if (!(error <= fit->max_error_absolute))
        fit->max_error_absolute = error;
    if (!(error <= fit->max_error_ulp * at_ulp_f32(exact)))
        fit->max_error_ulp = error / at_ulp_f32(exact);
    if (!(error <= fit->max_error_share * allowed))
        fit->max_error_share = error / allowed;
}

double at_fit_interval_start(const at_fit *fit, int k)
{
    double u = float_of((uint32_t)(k << fit->shift) + bits_of(1));
    return (u - 1) / fit->scale;
}

/* A few floats on both sides of the ends of interval `k`. */
static void measure_ends(const at_fit_job *job, at_fit *fit, int k)
{
    float a = (float)at_fit_interval_start(fit, k);
    for (int step = 0; step < 4; step++)
        a = nextafterf(a, 0);
    for (int step = -4; step <= 4; step++, a = nextafterf(a, INFINITY))
        for (int sign = -1; sign <= 1; sign += 2) {
            double x = sign * (double)a, exact = (double)at_fit_job_value(job, x);
            at_fit_measure_at(fit, (float)x, exact, at_tolerance_at(&job->tolerance, x, exact));
        }
}

/* Infinities give the limit, NaN gives NaN, zeros keep the sign that the function gives them. */
static bool specials_hold(const at_fit_job *job, const at_fit *fit)
{
    for (int side = 0; side < 2; side++) {
        float infinity = side ? INFINITY : -INFINITY, zero = side ? 0.f : -0.f;
        double slope = job->slope[side], at_zero = (double)at_fit_job_value(job, zero);
        float got = at_fit_eval(fit, infinity);
        if (slope != 0 ? got != copysign(1, slope) * infinity : !isfinite(got))
            return false;
        if (at_zero == 0 && !signbit(at_zero) == (side == 1) && !signbit(at_fit_eval(fit, zero)) != !signbit(at_zero))
            return false;
    }
    return isnan(at_fit_eval(fit, NAN)) && isnan(at_fit_eval(fit, -NAN));
}

void at_fit_measure(const at_fit_job *job, at_fit *fit)
{
    fit->max_error_absolute = fit->max_error_ulp = fit->max_error_share = 0;
    for (int i = 0; i < job->samples; i++)
        at_fit_measure_at(fit, job->sample[i].x, job->sample[i].exact, job->sample[i].allowed);
    int side = fit->shape == AT_FIT_SIGNED ? fit->entries / 2 : fit->entries;
    for (int k = 1; k < side; k++)
        measure_ends(job, fit, k);
    if (!specials_hold(job, fit))
        fit->max_error_share = INFINITY;
}
