/* Lists of tensors where nothing compiles: the loops of templates/cpu/list_norm.c.in and list_scale.c.in, one element at a time. */
#include "tensor_list.h"

#include "base/dtype.h"

#include <math.h>
#include <stdlib.h>

enum { LANES = 32 };

/* As the vectors do it: the new one where it is larger, or NaN. */
static double larger(double old, double magnitude)
{
    return magnitude > old || isnan(magnitude) ? magnitude : old;
}

static double chunk_norm(actune_dtype dtype, actune_norm norm, const at_list_chunk *chunk)
{
    double lane[LANES] = {0};
    for (int64_t i = 0; i < chunk->count; i++) {
        double x = at_dtype_load(dtype, chunk->data, i);
        double *sum = &lane[i % LANES];
        *sum = norm == ACTUNE_NORM_INF ? larger(*sum, fabs(x)) : *sum + (norm == ACTUNE_NORM_2 ? x * x : fabs(x));
    }
    for (int i = 1; i < LANES; i++)
        lane[0] = norm == ACTUNE_NORM_INF ? larger(lane[0], lane[i]) : lane[0] + lane[i];
    return lane[0];
}

void at_list_plain_norm(actune_dtype dtype, actune_norm norm, const actune_slice *slice)
{
    const at_list_chunk *chunk = slice->port[0];
    for (int64_t i = slice->begin; i < slice->end; i++)
        slice->partial[i] = chunk_norm(dtype, norm, &chunk[i]);
}

/* The product of two floats is exact in double, so it is rounded once here too; at_dtype_store would round a product of a 16-bit type
   once and the kernels twice (to float, then to 16 bits). */
void at_list_plain_scale(actune_dtype dtype, const actune_slice *slice)
{
    const at_list_chunk *chunk = slice->port[0];
    double factor = *(const double *)slice->port[1];
    for (int64_t c = slice->begin; c < slice->end; c++)
        for (int64_t i = 0; i < chunk[c].count; i++) {
            double x = at_dtype_load(dtype, chunk[c].data, i);
            at_dtype_store(dtype, chunk[c].data, i, dtype == ACTUNE_F64 ? x * factor : (double)((float)x * (float)factor));
        }
}

void at_list_plain_clip(actune_dtype dtype, const actune_slice *slice)
{
    const at_list_chunk *chunk = slice->port[0];
    double limit = *(const double *)slice->port[1];
    if (dtype != ACTUNE_F64)
        limit = (double)(float)limit;
    for (int64_t c = slice->begin; c < slice->end; c++)
        for (int64_t i = 0; i < chunk[c].count; i++) {
            double x = at_dtype_load(dtype, chunk[c].data, i);
            if (x > limit || x < -limit)
                at_dtype_store(dtype, chunk[c].data, i, x > limit ? limit : -limit);
        }
}
