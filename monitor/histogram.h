/* Values counted in the buckets that TensorFlow's histograms have by default. */
#ifndef AT_MONITOR_HISTOGRAM_H
#define AT_MONITOR_HISTOGRAM_H

#include <stdint.h>

enum { AT_HISTOGRAM_BUCKETS = 2048 }; /* there are 1551 limits */

typedef struct at_histogram {
    double min, max, num, sum, sum_squares;
    int buckets; /* runs of empty ones are one */
    double limit[AT_HISTOGRAM_BUCKETS], bucket[AT_HISTOGRAM_BUCKETS];
} at_histogram;

/* Values that are not finite are left out. Of none: zeros and one empty bucket. Any thread. */
void at_histogram_of(at_histogram *histogram, const double *values, int64_t count);

#endif
