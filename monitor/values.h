/* Summary values under one tag; the tag and what they point to are the caller's and must outlive them. */
#ifndef AT_MONITOR_VALUES_H
#define AT_MONITOR_VALUES_H

#include "event.pb-c.h"
#include "histogram.h"

AtEvent__Value at_value_scalar(char *tag, double value);
/* `proto` is filled and becomes part of the value. */
AtEvent__Value at_value_histogram(char *tag, at_histogram *histogram, AtEvent__Histogram *proto);

#endif
