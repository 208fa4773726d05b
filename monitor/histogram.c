#include "histogram.h"

#include <float.h>
#include <math.h>
#include <pthread.h>

/* tensorflow/core/lib/histogram/histogram.cc: 1e-12 times powers of 1.1 below 1e20, and the largest number; mirrored, with 0. */
static double default_limit[AT_HISTOGRAM_BUCKETS];
static int default_limits;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_limits(void)
{
    double positive[AT_HISTOGRAM_BUCKETS / 2];
    int count = 0;
    for (double v = 1e-12; v < 1e20; v *= 1.1)
        positive[count++] = v;
    positive[count++] = DBL_MAX;
    for (int i = count - 1; i >= 0; i--)
        default_limit[default_limits++] = -positive[i];
    default_limit[default_limits++] = 0;
    for (int i = 0; i < count; i++)
        default_limit[default_limits++] = positive[i];
}

/* The first limit above the value; the last for the largest number itself. */
static int bucket_of(double value)
{
    int low = 0, high = default_limits - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (value < default_limit[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* A run of empty buckets is one empty bucket that ends where its last does. */
static void collapse(at_histogram *histogram, const double *counts)
{
    histogram->buckets = 0;
    for (int i = 0; i < default_limits; i++) {
        while (counts[i] == 0 && i + 1 < default_limits && counts[i + 1] == 0)
            i++;
        histogram->limit[histogram->buckets] = default_limit[i];
        histogram->bucket[histogram->buckets++] = counts[i];
    }
}

void at_histogram_of(at_histogram *histogram, const double *values, int64_t count)
{
    double counts[AT_HISTOGRAM_BUCKETS] = {0};
    double min = INFINITY, max = -INFINITY, num = 0, sum = 0, sum_squares = 0;
    pthread_once(&once, make_limits);
    for (int64_t i = 0; i < count; i++) {
        double value = values[i];
        if (!isfinite(value))
            continue;
        min = value < min ? value : min;
        max = value > max ? value : max;
        num += 1;
        sum += value;
        sum_squares += value * value;
        counts[bucket_of(value)] += 1;
    }
    histogram->min = num > 0 ? min : 0;
    histogram->max = num > 0 ? max : 0;
    histogram->num = num;
    histogram->sum = sum;
    histogram->sum_squares = sum_squares;
    collapse(histogram, counts);
}
