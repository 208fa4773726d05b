/* Private to the fitter: one function under work. */
#ifndef AT_CODEGEN_FIT_JOB_H
#define AT_CODEGEN_FIT_JOB_H

#include "fit.h"

enum { AT_FIT_NODES = 40 };

/* Points of one interval: g(a[j]) is wanted as a polynomial of t[j] with an error of at most allowed[j]. */
typedef struct at_fit_nodes {
    int count;
    long double t[AT_FIT_NODES], value[AT_FIT_NODES], allowed[AT_FIT_NODES];
} at_fit_nodes;

/* Weighted minimax: coefficients in float, rounded from the lowest power up, the others fitted again after each. When
   `through_zero`, the first stays 0. Returns the largest error / allowed at the nodes. */
double at_fit_solve(const at_fit_nodes *nodes, int degree, bool through_zero, float *coefficient);
/* The same without rounding, for people who need more digits (templates/math): long double coefficients, `fixed` of them given. */
double at_fit_minimax(const at_fit_nodes *nodes, int degree, int fixed, long double *coefficient);

typedef struct at_fit_point {
    float x;
    double exact, allowed;
} at_fit_point;

typedef struct at_fit_job {
    const at_graph *function;
    long double *values; /* scratch of at_graph_eval */
    at_tolerance tolerance;
    at_fit_shape shape;
    bool zero;           /* what the table holds is 0 at 0 */
    bool zero_is_left;   /* f(0) is what f goes to from below, but not from above */
    double center, slope[2], end[2], settle; /* [0]: x < 0, [1]: x >= 0; end: what the table settles at, from |x| = settle on */
    at_fit_tail tail;
    double rate, tail_end[2]; /* tail_end: what the table settles at with the tail taken out */
    at_fit_point *sample;
    int samples;
} at_fit_job;

/* Finds ends, slopes, symmetry, and the point from where on the function has settled; UNSUPPORTED when it does not. */
actune_status at_fit_job_init(const at_graph *function, at_accuracy accuracy, bool derivative, at_fit_job *job);
void at_fit_job_clear(at_fit_job *job);
long double at_fit_job_value(const at_fit_job *job, double x);
/* The part of f at x = a (side 1) or -a (side 0) that the table holds. */
long double at_fit_job_target(const at_fit_job *job, int side, double a);
/* The error that the table may have there, the last rounding left aside. */
double at_fit_job_allowed(const at_fit_job *job, int side, double a);

/* Takes an exponential tail out of the target; changes where it settles. False when there is none. */
bool at_fit_job_take_tail(at_fit_job *job);
/* What the table's value is multiplied by at a: `product` a, and the tail. */
long double at_fit_job_factor(const at_fit_job *job, bool product, double a);
float at_fit_tail_eval(const at_fit *fit, float a, float p);

/* Fills the fit's errors from the job's sample and both sides of every interval's ends. */
void at_fit_measure(const at_fit_job *job, at_fit *fit);
/* Raises them by what `floats` more an interval show. */
void at_fit_measure_dense(const at_fit_job *job, int floats, at_fit *fit);
void at_fit_measure_at(at_fit *fit, float x, double exact, double allowed);
/* |x| where interval k begins. */
double at_fit_interval_start(const at_fit *fit, int k);

#endif
