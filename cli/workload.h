/* A network's activation layers: JSON Lines of {model, layer, spec, direction, dtype, layout, shape, count}. */
#ifndef AT_CLI_WORKLOAD_H
#define AT_CLI_WORKLOAD_H

#include "request.h"

typedef struct workload_row {
    char *model, *layer, *spec, *direction, *dtype, *layout; /* as written */
    int64_t dim[CLI_RANK_MAX];
    int rank;
    int64_t count;
    int line;
    at_kernel *kernel;   /* NULL: skipped */
    actune_shape shape;
    char *skipped;       /* why */
    bool continued;      /* a further pass of the layer in the row before */
    int item;            /* which distinct (kernel, shape) it is, -1 when skipped */
} workload_row;

typedef struct workload {
    workload_row *row;
    int rows;
    const char *path;
} workload;

/* Reads the file and lowers every row. Rows whose stages or types do not exist get `skipped`; a row that is damaged (no JSON, no
   spec, bad shape, a syntax error in the spec) fails the whole with FILE:LINE. Clear with workload_clear in any case. */
actune_status workload_read(const char *path, workload *out);
void workload_clear(workload *w);
/* Numbers the distinct (kernel, shape) of the rows from 0, in order of appearance. */
void workload_number(workload *w);

#endif
