#include "accuracy.h"

#include <math.h>
#include <stdlib.h>

enum { LOG_FROM = -20, LOG_TO = 8, PER_OCTAVE = 16, FAR_EXPONENT = 20 };

/* What the values of a function look like. */
typedef struct shape {
    bool through_zero; /* f(0) == 0 */
    bool flat;         /* and f'(0) == 0: its values there are small against x */
    bool crosses;      /* changes sign on one side of 0 */
    bool fades;        /* goes to 0 at an end */
    bool grows;
    double slope;      /* of the steeper end */
} shape;

double at_ulp_f32(double value)
{
    int exponent;
    if (!isfinite(value))
        return 0x1p104;
    frexp(value, &exponent);
    if (value == 0 || exponent < -125)
        exponent = -125;
    return ldexp(1, exponent > 128 ? 104 : exponent - 24);
}

double at_tolerance_at(const at_tolerance *tolerance, double x, double exact)
{
    double size = fabs(x);
    double allowed = fmax(tolerance->ulp_y * at_ulp_f32(exact), tolerance->absolute);
    allowed = fmax(allowed, tolerance->ulp_x * tolerance->slope * at_ulp_f32(fmin(size, tolerance->x_limit)));
    return fmax(allowed, tolerance->relative_x * fmax(1, size));
}

static double value_at(const at_graph *function, double x, long double *values)
{
    long double input = x;
    at_graph_eval(function, &input, values);
    return (double)values[function->output[0]];
}

/* Looks along one side of 0. */
static void look_at_side(const at_graph *function, double side, long double *values, shape *found)
{
    int sign = 0;
    for (int step = LOG_FROM * PER_OCTAVE; step <= LOG_TO * PER_OCTAVE; step++) {
        double y = value_at(function, side * exp2((double)step / PER_OCTAVE), values);
        int now = fabs(y) > 1e-30 ? (y > 0) - (y < 0) : 0;
        if (now && sign && now != sign)
            found->crosses = true;
        if (now)
            sign = now;
    }
    double x = side * ldexp(1, FAR_EXPONENT), y = value_at(function, x, values), y2 = value_at(function, 2 * x, values);
    double slope = fabs((y2 - y) / x);
    if (fabs(y) < 1e-4)
        found->fades = true;
    if (slope > 1e-4)
        found->grows = true;
    if (isfinite(slope) && slope > found->slope)
        found->slope = slope;
}

static at_tolerance value_tolerance(const shape *found, at_accuracy accuracy)
{
    at_tolerance tolerance = {.x_limit = found->grows ? INFINITY : 1, .slope = fmax(1, found->slope)};
    bool exact = accuracy == AT_ACCURACY_EXACT;
    if (found->flat) {
        tolerance.ulp_y = exact ? 6 : 2;
        tolerance.ulp_x = exact ? 0x1p-20 : 1.5;
    } else if (found->crosses) {
        tolerance.ulp_y = exact ? 6 : 4;
        tolerance.ulp_x = exact ? 0 : 1.5;
        tolerance.absolute = exact ? 2e-7 : 0;
    } else if (!found->through_zero) {
        tolerance.ulp_y = exact ? 2 : 4;
    } else if (found->fades) {
        tolerance.ulp_y = exact ? 6 : found->grows ? 0 : 2;
        tolerance.ulp_x = exact ? 0 : 1.5;
    } else {
        tolerance.ulp_y = 2;
    }
    return tolerance;
}

at_tolerance at_tolerance_of(const at_graph *function, at_accuracy accuracy, bool derivative)
{
    at_tolerance none = {.x_limit = 1, .slope = 1};
    long double *values = calloc((size_t)function->count + 1, sizeof *values);
    if (!values)
        return none; /* nothing is allowed: the caller refuses */
    double near = ldexp(1, LOG_FROM);
    shape found = {.through_zero = value_at(function, 0, values) == 0};
    found.flat = found.through_zero && fabs(value_at(function, near, values)) < 1e-3 * near && fabs(value_at(function, -near, values)) < 1e-3 * near;
    look_at_side(function, 1, values, &found);
    look_at_side(function, -1, values, &found);
    free(values);
    if (accuracy == AT_ACCURACY_FAST)
        return (at_tolerance){.x_limit = 1, .slope = 1, .absolute = 2e-4, .relative_x = found.grows && !derivative ? 2e-4 : 0};
    if (derivative)
        return (at_tolerance){.x_limit = 1, .slope = 1, .ulp_y = 4, .absolute = 3e-7};
    return value_tolerance(&found, accuracy);
}
