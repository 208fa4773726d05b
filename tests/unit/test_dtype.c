/* Element types of 8 bits: every code, and every f16 and many doubles stored, against the definitions by exhaustive search. */
#include "runtime/base/dtype.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* OCP 8-bit floating point, section 5: sign, exponent, mantissa. */
static double e4m3(int code)
{
    int exponent = code >> 3 & 15, mantissa = code & 7;
    double size = exponent == 0 ? mantissa / 8.0 * 0x1p-6 : (1 + mantissa / 8.0) * pow(2, exponent - 7);
    return (code & 0x7f) == 0x7f ? (double)NAN : code & 0x80 ? -size : size;
}

static double e5m2(int code)
{
    int exponent = code >> 2 & 31, mantissa = code & 3;
    double size = exponent == 0 ? mantissa / 4.0 * 0x1p-14 : (1 + mantissa / 4.0) * pow(2, exponent - 15);
    if (exponent == 31)
        size = mantissa ? (double)NAN : (double)INFINITY;
    return code & 0x80 ? -size : size;
}

static double i8(int code)
{
    return code < 128 ? code : code - 256;
}

static double u8(int code)
{
    return code;
}

static const struct row {
    actune_dtype dtype;
    const char *name;
    double (*value)(int code);
    double most;
    bool integer;
} rows[] = {{ACTUNE_I8, "i8", i8, 127, true},
            {ACTUNE_U8, "u8", u8, 255, true},
            {ACTUNE_F8E4M3, "f8e4m3", e4m3, 448, false},
            {ACTUNE_F8E5M2, "f8e5m2", e5m2, 57344, false}};
enum { ROWS = sizeof rows / sizeof *rows };

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

/* The nearest number; between two the one with an even code. Infinities and what is too large give the largest, NaN 0 or NaN. */
static int nearest(const struct row *row, double x)
{
    int best = -1;
    if (isnan(x))
        return row->integer ? 0 : 0x7f;
    if (fabs(x) > 1e6) /* so that distances are exact */
        x = copysign(1e6, x);
    for (int code = 0; code < 256; code++) {
        double value = row->value(code);
        if (!isfinite(value) || (!row->integer && !signbit(value) != !signbit(x)))
            continue;
        double d = fabs(x - value), b = best < 0 ? (double)INFINITY : fabs(x - row->value(best));
        if (d < b || (d == b && code % 2 == 0))
            best = code;
    }
    return best;
}

static void check_store(const struct row *row, double x)
{
    uint8_t got = 0x55;
    at_dtype_store(row->dtype, &got, 0, x);
    cr_assert_eq(got, nearest(row, x), "%s: %.17g stored as 0x%02x, not 0x%02x", row->name, x, got, nearest(row, x));
}

Test(dtype, every_code_of_8_bits)
{
    for (int r = 0; r < ROWS; r++) {
        actune_dtype found;
        cr_assert(at_dtype_find(rows[r].name, &found) && found == rows[r].dtype);
        cr_assert(at_dtype_get(found)->bytes == 1 && at_dtype_get(found)->compute == ACTUNE_F32);
        for (int code = 0; code < 256; code++) {
            uint8_t stored = (uint8_t)code;
            double value = at_dtype_load(rows[r].dtype, &stored, 0);
            cr_assert(same(value, rows[r].value(code)), "%s 0x%02x is %.17g, not %.17g", rows[r].name, code, value, rows[r].value(code));
            if (isfinite(value)) { /* there and back */
                uint8_t back = 0x55;
                at_dtype_store(rows[r].dtype, &back, 0, value);
                cr_assert_eq(back, code);
            }
        }
    }
}

Test(dtype, stores_of_every_f16)
{
    for (int r = 0; r < ROWS; r++)
        for (int bits = 0; bits < 65536; bits++)
            check_store(&rows[r], at_f16_to_double((uint16_t)bits));
}

/* Halfway between two neighbours, and one double off it. */
Test(dtype, ties_and_ends)
{
    static const double far[] = {INFINITY, 1e300, 1e30, 1e-30, 5e-324, 0, 464, 463.99999999999994, 480, 61440, 127.5, 128.5, 255.5};
    for (int r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
            check_store(&rows[r], far[i]);
            check_store(&rows[r], -far[i]);
        }
        for (int code = 0; code < 255; code++) {
            double middle = (rows[r].value(code) + rows[r].value(code + 1)) / 2;
            if (!isfinite(middle))
                continue;
            check_store(&rows[r], middle);
            check_store(&rows[r], nextafter(middle, INFINITY));
            check_store(&rows[r], nextafter(middle, -INFINITY));
        }
    }
}

Test(dtype, numbers_and_names_are_abi)
{
    static const char *const names[] = {"f32", "f64", "f16", "bf16", "i8", "u8", "f8e4m3", "f8e5m2"};
    cr_assert_eq((int)AT_DTYPE_COUNT, 8);
    for (int i = 0; i < AT_DTYPE_COUNT; i++)
        cr_assert_str_eq(at_dtype_get((actune_dtype)i)->name, names[i]);
    cr_assert_null(at_dtype_get((actune_dtype)8));
    cr_assert(ACTUNE_I8 == 4 && ACTUNE_U8 == 5 && ACTUNE_F8E4M3 == 6 && ACTUNE_F8E5M2 == 7);
}
