/* actune bench --batch: the layers of a file as one batch, beside their plans one after the other. */
#ifndef AT_CLI_BENCH_BATCH_H
#define AT_CLI_BENCH_BATCH_H

#include "request.h"

typedef struct bench_batch_options {
    const cli_request *request; /* device, database, json */
    const char *path;
    int rounds, threads;
    bool in_place;
    const volatile int *stop;
} bench_batch_options;

/* Prints a table, or JSON. The exit status. */
int cli_bench_batch(const bench_batch_options *options);

#endif
