/* What is known of an element type, from dtype.def, and scalar conversions (tests, the interpreter, .npy). */
#ifndef AT_BASE_DTYPE_H
#define AT_BASE_DTYPE_H

#include <actune/actune.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct at_dtype_info {
    const char *name;
    int bytes;
    actune_dtype compute; /* F32 or F64 */
    const char *long_name;
} at_dtype_info;

enum { AT_DTYPE_COUNT = 0
#define AT_DTYPE(NAME, ...) +1
#include "dtype.def"
#undef AT_DTYPE
};

/* NULL for a value outside the enum. */
const at_dtype_info *at_dtype_get(actune_dtype dtype);
bool at_dtype_find(const char *name, actune_dtype *dtype);

/* Element `index` of an array of `dtype`, as double (exact for every dtype). */
double at_dtype_load(actune_dtype dtype, const void *array, int64_t index);
/* Stores with one rounding, to nearest even, from the double. */
void at_dtype_store(actune_dtype dtype, void *array, int64_t index, double value);

uint16_t at_f16_from_double(double value);
double at_f16_to_double(uint16_t bits);
uint16_t at_bf16_from_double(double value);
double at_bf16_to_double(uint16_t bits);

#endif
