/* A batch beside its members' own plans, executed one after the other, in interleaved rounds on the same buffers (MEASURING.md). Uses the public way, as
   any program would. */
#ifndef AT_TUNER_COMPARE_BATCH_H
#define AT_TUNER_COMPARE_BATCH_H

#include "stats.h"

#include <actune/actune.h>

typedef struct at_batch_compare_request {
    actune_context *context;
    const char *device;              /* that the context was opened with; NULL: cpu */
    const actune_plan_desc *members; /* none with sums */
    int count;
    int rounds;                      /* at most AT_SAMPLES_MAX */
    int64_t seed;
    const volatile int *stop;        /* non-zero: INTERRUPTED */
} at_batch_compare_request;

enum { AT_BATCH_ARMS = 3 };

typedef struct at_batch_arm_line {
    const char *name; /* "batch", "null" (the batch once more: how far it is from "batch" is the noise), "one by one" */
    double median_ns, low_ns, high_ns, gbps;
    at_interval speed; /* against "one by one", paired by rounds */
} at_batch_arm_line;

typedef struct at_batch_comparison {
    at_batch_arm_line line[AT_BATCH_ARMS];
    actune_batch_info info; /* its texts are gone */
    int64_t bytes;          /* each input once, each output once */
    int rounds, sets;       /* of buffers, in rotation */
    bool cold;
    double noise;           /* |batch / null - 1| */
} at_batch_comparison;

/* Errors of the batch and of its plans, NO_MEMORY, INTERRUPTED. The caller holds the device's lock. */
actune_status at_compare_batch(const at_batch_compare_request *request, at_batch_comparison *result);

#endif
