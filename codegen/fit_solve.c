/* Weighted minimax by Lawson's iteration: least squares whose weights grow where the error is large. Long double throughout. */
#include "fit_job.h"

#include <math.h>
#include <string.h>

enum { LAWSON_STEPS = 12, TERMS_MAX = AT_FIT_DEGREE_MAX + 8 };

/* Least squares over the powers fixed .. degree of t / unit, by Cholesky. False when the system is singular. */
static bool least_squares(const at_fit_nodes *nodes, const long double *residual, const long double *weight, int fixed, int degree,
                          long double unit, long double *solution)
{
    int n = degree - fixed + 1;
    long double gram[TERMS_MAX][TERMS_MAX] = {{0}}, right[TERMS_MAX] = {0}, power[TERMS_MAX];
    for (int j = 0; j < nodes->count; j++) {
        long double t = nodes->t[j] / unit;
        power[0] = powl(t, fixed);
        for (int k = 1; k < n; k++)
            power[k] = power[k - 1] * t;
        for (int r = 0; r < n; r++) {
            right[r] += weight[j] * power[r] * residual[j];
            for (int c = 0; c <= r; c++)
                gram[r][c] += weight[j] * power[r] * power[c];
        }
    }
    for (int r = 0; r < n; r++)
        for (int c = 0; c <= r; c++) {
            long double sum = gram[r][c];
            for (int k = 0; k < c; k++)
                sum -= gram[r][k] * gram[c][k];
            if (r == c && !(sum > 0))
                return false;
            gram[r][c] = r == c ? sqrtl(sum) : sum / gram[c][c];
        }
    for (int r = 0; r < n; r++) {
        for (int k = 0; k < r; k++)
            right[r] -= gram[r][k] * right[k];
        right[r] /= gram[r][r];
    }
    for (int r = n - 1; r >= 0; r--) {
        for (int k = r + 1; k < n; k++)
            right[r] -= gram[k][r] * solution[k];
        solution[r] = right[r] / gram[r][r];
    }
    return true;
}

static double largest_error(const at_fit_nodes *nodes, int degree, const long double *coefficient, long double *error)
{
    double largest = 0;
    for (int j = 0; j < nodes->count; j++) {
        long double p = coefficient[degree];
        for (int k = degree - 1; k >= 0; k--)
            p = p * nodes->t[j] + coefficient[k];
        error[j] = fabsl(p - nodes->value[j]) / nodes->allowed[j];
        largest = fmax(largest, (double)error[j]);
    }
    return largest;
}

/* nodes->value less the powers below `fixed`. */
static void subtract_fixed(const at_fit_nodes *nodes, int fixed, const long double *coefficient, long double *residual)
{
    for (int j = 0; j < nodes->count; j++) {
        long double p = 0;
        for (int k = fixed - 1; k >= 0; k--)
            p = p * nodes->t[j] + coefficient[k];
        residual[j] = nodes->value[j] - p;
    }
}

double at_fit_minimax(const at_fit_nodes *nodes, int degree, int fixed, long double *coefficient)
{
    long double weight[AT_FIT_NODES], residual[AT_FIT_NODES], error[AT_FIT_NODES], tried[TERMS_MAX], solution[TERMS_MAX];
    long double lawson[AT_FIT_NODES], unit = 0;
    double best = INFINITY;
    subtract_fixed(nodes, fixed, coefficient, residual);
    for (int j = 0; j < nodes->count; j++) {
        lawson[j] = 1;
        unit = fmaxl(unit, fabsl(nodes->t[j]));
    }
    for (int k = 0; k < fixed; k++)
        tried[k] = coefficient[k];
    for (int step = 0; step < LAWSON_STEPS; step++) {
        for (int j = 0; j < nodes->count; j++)
            weight[j] = lawson[j] / (nodes->allowed[j] * nodes->allowed[j]);
        if (!least_squares(nodes, residual, weight, fixed, degree, unit, solution))
            break;
        for (int k = fixed; k <= degree; k++)
            tried[k] = solution[k - fixed] / powl(unit, k);
        double largest = largest_error(nodes, degree, tried, error);
        if (largest < best) {
            best = largest;
            for (int k = fixed; k <= degree; k++)
                coefficient[k] = tried[k];
        }
        long double sum = 0;
        for (int j = 0; j < nodes->count; j++)
            sum += lawson[j] *= error[j] + 1e-3L * largest;
        if (!(sum > 0))
            break; /* exact */
        for (int j = 0; j < nodes->count; j++)
            lawson[j] *= nodes->count / sum;
    }
    return best;
}

/* A function that is constant here gets its nearest float and nothing else: terms that mend the rounding of a constant are lost in that of
   the sum, and add to it. */
static bool is_constant(const at_fit_nodes *nodes, float constant)
{
    for (int j = 0; j < nodes->count; j++)
        if (fabsl(nodes->value[j] - constant) > 0.51L * at_ulp_f32(constant))
            return false;
    return true;
}

double at_fit_solve(const at_fit_nodes *nodes, int degree, bool through_zero, float *coefficient)
{
    long double exact[TERMS_MAX] = {0}, error[AT_FIT_NODES];
    float middle = (float)nodes->value[nodes->count / 2];
    if (is_constant(nodes, middle) && (!through_zero || middle == 0)) {
        memset(coefficient, 0, (size_t)(degree + 1) * sizeof *coefficient);
        coefficient[0] = middle;
        exact[0] = middle;
        return largest_error(nodes, degree, exact, error);
    }
    for (int fixed = through_zero ? 1 : 0; fixed <= degree; fixed++) {
        if (at_fit_minimax(nodes, degree, fixed, exact) > 3 && fixed <= 1)
            return INFINITY; /* out of reach: rounding does not mend it */
        exact[fixed] = (float)exact[fixed];
    }
    for (int k = 0; k <= degree; k++)
        coefficient[k] = (float)exact[k];
    return largest_error(nodes, degree, exact, error);
}
