#include "dtype.h"

#include <math.h>
#include <string.h>

static const at_dtype_info table[] = {
#define AT_DTYPE(NAME, name, bytes, compute, kind, long_name) \
    [ACTUNE_##NAME] = {name, bytes, ACTUNE_##compute, AT_DTYPE_##kind, long_name},
#include "dtype.def"
#undef AT_DTYPE
};

const at_dtype_info *at_dtype_get(actune_dtype dtype)
{
    return (unsigned)dtype < AT_DTYPE_COUNT ? &table[dtype] : NULL;
}

bool at_dtype_find(const char *name, actune_dtype *dtype)
{
    for (int i = 0; i < AT_DTYPE_COUNT; i++)
        if (strcmp(table[i].name, name) == 0) {
            *dtype = (actune_dtype)i;
            return true;
        }
    return false;
}

/* Rounds to a 16-bit float of `mantissa` stored bits, least normal exponent `low` and overflow above exponent `high`. */
static uint16_t narrow(double value, int mantissa, int low, int high)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    uint16_t infinity = (uint16_t)((high - low + 2) << mantissa);
    if (isnan(value))
        return (uint16_t)(sign | infinity | 1u << (mantissa - 1));
    double magnitude = fabs(value);
    if (isinf(value))
        return (uint16_t)(sign | infinity);
    int exponent = magnitude > 0 ? ilogb(magnitude) : low;
    if (exponent < low)
        exponent = low;
    if (exponent > high)
        return (uint16_t)(sign | infinity);
    /* In units of the last place: rint rounds to nearest even, and a carry into the exponent is what it should be. */
    double units = rint(ldexp(magnitude, mantissa - exponent));
    uint32_t bits = (uint32_t)units + ((uint32_t)(exponent - low) << mantissa);
    return (uint16_t)(sign | (bits > infinity ? infinity : bits));
}

static double widen(uint16_t bits, int mantissa, int low, int high)
{
    int exponent = (bits & 0x7fff) >> mantissa;
    double fraction = bits & ((1u << mantissa) - 1);
    double magnitude;
    if (exponent == high - low + 2)
        magnitude = fraction != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        magnitude = ldexp(fraction, low - mantissa);
    else
        magnitude = ldexp(fraction + (double)(1u << mantissa), exponent - 1 + low - mantissa);
    return bits & 0x8000 ? -magnitude : magnitude;
}

/* The same for the 8-bit types: what is too large becomes `most`, the code of the largest finite number. */
static uint8_t narrow_8(double value, int mantissa, int low, int high, uint8_t most)
{
    if (isnan(value))
        return 0x7f;
    uint16_t wide = narrow(value, mantissa, low, high);
    uint16_t magnitude = wide & 0x7fff;
    return (uint8_t)((wide >> 8 & 0x80) | (magnitude < most ? magnitude : most));
}

uint8_t at_f8e4m3_from_double(double value)
{
    return narrow_8(value, 3, -6, 8, 0x7e);
}

/* All codes are numbers but 0x7f and 0xff. */
double at_f8e4m3_to_double(uint8_t bits)
{
    uint16_t wide = (uint16_t)((bits & 0x7f) | (bits & 0x80) << 8);
    return (bits & 0x7f) == 0x7f ? (double)NAN : widen(wide, 3, -6, 8);
}

uint8_t at_f8e5m2_from_double(double value)
{
    return narrow_8(value, 2, -14, 15, 0x7b);
}

double at_f8e5m2_to_double(uint8_t bits)
{
    return at_f16_to_double((uint16_t)(bits << 8));
}

/* To nearest even, inside of least..most; 0 for NaN. */
static double saturate(double value, double least, double most)
{
    double whole = rint(value);
    return whole > most ? most : whole < least ? least : isnan(whole) ? 0 : whole;
}

uint16_t at_f16_from_double(double value)
{
    return narrow(value, 10, -14, 15);
}

double at_f16_to_double(uint16_t bits)
{
    return widen(bits, 10, -14, 15);
}

uint16_t at_bf16_from_double(double value)
{
    return narrow(value, 7, -126, 127);
}

double at_bf16_to_double(uint16_t bits)
{
    return widen(bits, 7, -126, 127);
}

double at_dtype_load(actune_dtype dtype, const void *array, int64_t index)
{
    switch (dtype) {
    case ACTUNE_F32:
        return ((const float *)array)[index];
    case ACTUNE_F64:
        return ((const double *)array)[index];
    case ACTUNE_F16:
        return at_f16_to_double(((const uint16_t *)array)[index]);
    case ACTUNE_BF16:
        return at_bf16_to_double(((const uint16_t *)array)[index]);
    case ACTUNE_I8:
        return ((const int8_t *)array)[index];
    case ACTUNE_U8:
        return ((const uint8_t *)array)[index];
    case ACTUNE_F8E4M3:
        return at_f8e4m3_to_double(((const uint8_t *)array)[index]);
    case ACTUNE_F8E5M2:
        return at_f8e5m2_to_double(((const uint8_t *)array)[index]);
    }
    return 0;
}

void at_dtype_store(actune_dtype dtype, void *array, int64_t index, double value)
{
    switch (dtype) {
    case ACTUNE_F32:
        ((float *)array)[index] = (float)value;
        break;
    case ACTUNE_F64:
        ((double *)array)[index] = value;
        break;
    case ACTUNE_F16:
        ((uint16_t *)array)[index] = at_f16_from_double(value);
        break;
    case ACTUNE_BF16:
        ((uint16_t *)array)[index] = at_bf16_from_double(value);
        break;
    case ACTUNE_I8:
        ((int8_t *)array)[index] = (int8_t)saturate(value, INT8_MIN, INT8_MAX);
        break;
    case ACTUNE_U8:
        ((uint8_t *)array)[index] = (uint8_t)saturate(value, 0, UINT8_MAX);
        break;
    case ACTUNE_F8E4M3:
        ((uint8_t *)array)[index] = at_f8e4m3_from_double(value);
        break;
    case ACTUNE_F8E5M2:
        ((uint8_t *)array)[index] = at_f8e5m2_from_double(value);
        break;
    }
}
