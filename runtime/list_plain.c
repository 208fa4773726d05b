/* Lists of tensors where nothing compiles: the loops of templates/cpu/list_norm.c.in and list_scale.c.in, one element at a time. */
#include "tensor_list.h"

#include "base/dtype.h"

#include <math.h>
#include <stdlib.h>

enum { LANES = 32, BLOCK = 512 };

/* As the vectors do it: the new one where it is larger, or NaN. */
static double larger(double old, double magnitude)
{
    return magnitude > old || isnan(magnitude) ? magnitude : old;
}

static double largest(actune_dtype dtype, const at_list_chunk *chunk)
{
    double largest = 0;
    for (int64_t i = 0; i < chunk->count; i++)
        largest = larger(largest, fabs(at_dtype_load(dtype, chunk->data, i)));
    return largest;
}

static double term(actune_norm norm, double x)
{
    return norm == ACTUNE_NORM_2 ? x * x : fabs(x);
}

static double fold(double *lane)
{
    for (int i = 1; i < LANES; i++)
        lane[0] += lane[i];
    return lane[0];
}

static double sum_f64(actune_dtype dtype, actune_norm norm, const at_list_chunk *chunk)
{
    double lane[LANES] = {0};
    for (int64_t i = 0; i < chunk->count; i++)
        lane[i % LANES] += term(norm, at_dtype_load(dtype, chunk->data, i));
    return fold(lane);
}

/* Every 512 elements the lanes' f32 sums go to f64. */
static double sum_f32(actune_dtype dtype, actune_norm norm, const at_list_chunk *chunk)
{
    double total[LANES] = {0};
    for (int64_t begin = 0; begin < chunk->count; begin += BLOCK) {
        float lane[LANES] = {0};
        for (int64_t i = begin; i < chunk->count && i < begin + BLOCK; i++)
            lane[i % LANES] += (float)term(norm, at_dtype_load(dtype, chunk->data, i));
        for (int i = 0; i < LANES; i++)
            total[i] += (double)lane[i];
    }
    return fold(total);
}

static double chunk_norm(actune_dtype dtype, actune_norm norm, const at_list_chunk *chunk)
{
    if (norm == ACTUNE_NORM_INF)
        return largest(dtype, chunk);
    if (dtype == ACTUNE_F64)
        return sum_f64(dtype, norm, chunk);
    double sum = sum_f32(dtype, norm, chunk);
    bool fits = sum < (double)INFINITY && (norm == ACTUNE_NORM_1 || sum > 0x1p-60);
    return fits ? sum : sum_f64(dtype, norm, chunk);
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
