/* What is known of an element type, from dtype.def, and scalar conversions (tests, the interpreter, .npy). */
#ifndef AT_BASE_DTYPE_H
#define AT_BASE_DTYPE_H

#include <actune/actune.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum at_dtype_kind { AT_DTYPE_FLOAT, AT_DTYPE_SATURATING, AT_DTYPE_INTEGER } at_dtype_kind;

typedef struct at_dtype_info {
    const char *name;
    int bytes;
    actune_dtype compute; /* F32 or F64 */
    at_dtype_kind kind;
    const char *long_name;
} at_dtype_info;

enum { AT_DTYPE_COUNT = 0
#define AT_DTYPE(NAME, ...) +1
#include "dtype.def"
#undef AT_DTYPE
};

/* Those that activations are trained and lists of gradients are kept in come first; what follows has 8 bits. */
enum { AT_DTYPE_WIDE_COUNT = ACTUNE_BF16 + 1 };

/* NULL for a value outside the enum. */
const at_dtype_info *at_dtype_get(actune_dtype dtype);
bool at_dtype_find(const char *name, actune_dtype *dtype);

/* Element `index` of an array of `dtype`, as double (exact for every dtype). */
double at_dtype_load(actune_dtype dtype, const void *array, int64_t index);
/* Stores with one rounding, to nearest even, from the double. The 8-bit types saturate, infinities too; NaN becomes 0 in an integer, the
   code 0x7f in both f8. */
void at_dtype_store(actune_dtype dtype, void *array, int64_t index, double value);

uint16_t at_f16_from_double(double value);
double at_f16_to_double(uint16_t bits);
uint16_t at_bf16_from_double(double value);
double at_bf16_to_double(uint16_t bits);
uint8_t at_f8e4m3_from_double(double value);
double at_f8e4m3_to_double(uint8_t bits);
uint8_t at_f8e5m2_from_double(double value);
double at_f8e5m2_to_double(uint8_t bits);

#endif
