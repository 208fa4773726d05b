/* A fit as C text. It computes step by step what at_fit_eval does; the tests compare the two bit by bit. */
#include "fit.h"

#include <stdio.h>
#include <string.h>

static const uint32_t ONE_BITS = 0x3f800000u;

static void float_literal(at_strbuf *out, float value)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", (double)value);
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '.'; /* the host program's locale */
    at_strbuf_append(out, text);
    at_strbuf_append(out, strpbrk(text, ".e") ? "f" : ".0f");
}

/* The table is rotated, so that the bits of u >> shift, taken modulo the table's size, are the index. */
static void emit_table(const at_fit *fit, const char *name, const char *row, const float *value, at_strbuf *out)
{
    int side = fit->shape == AT_FIT_SIGNED ? fit->entries / 2 : fit->entries;
    int turn = (int)(ONE_BITS >> fit->shift) & (side - 1);
    at_strbuf_printf(out, "static const float %s_%s[%d] __attribute__((aligned(64))) = {", name, row, fit->entries);
    for (int i = 0; i < fit->entries; i++) {
        int k = (i - turn) & (side - 1);
        at_strbuf_append(out, i % 8 ? " " : "\n    ");
        float_literal(out, value[k + i / side * side]);
        at_strbuf_append(out, i + 1 < fit->entries ? "," : "\n};\n");
    }
}

static void emit_splat(int lanes, float value, at_strbuf *out)
{
    at_strbuf_printf(out, "splat_f32x%d(", lanes);
    float_literal(out, value);
    at_strbuf_char(out, ')');
}

/* The sign of x above the bits of u; with -1 or'ed in where x is 0, if that belongs to the left. */
static void emit_side(const at_fit *fit, int lanes, at_strbuf *out)
{
    int mask = fit->entries / 2 - 1;
    if (fit->zero_is_left)
        at_strbuf_printf(out, "    i32x%d side = ((i32x%d)x | ((i32x%d)x - 1)) >> 31;\n", lanes, lanes, lanes);
    else
        at_strbuf_printf(out, "    i32x%d side = (i32x%d)x >> 31;\n", lanes, lanes);
    at_strbuf_printf(out, "    i = (i & %d) | (side & %d);\n", mask, ~mask);
}

static void emit_index(const at_fit *fit, const char *name, int lanes, at_strbuf *out)
{
    at_strbuf_printf(out, "    f32x%d a = min_f32x%d(", lanes, lanes);
    emit_splat(lanes, fit->limit, out);
    at_strbuf_printf(out, ", abs_f32x%d(x));\n    f32x%d u = fma_f32x%d(a, ", lanes, lanes, lanes);
    emit_splat(lanes, fit->scale, out);
    at_strbuf_append(out, ", ");
    emit_splat(lanes, 1, out);
    if (fit->tail != AT_FIT_TAIL_NONE) {
        at_strbuf_printf(out, ");\n    u = min_f32x%d(", lanes);
        emit_splat(lanes, fit->u_limit, out);
        at_strbuf_append(out, ", u");
    }
    at_strbuf_printf(out, ");\n    i32x%d i = (i32x%d)((u32x%d)u >> %d);\n", lanes, lanes, lanes, fit->shift);
    if (fit->shape == AT_FIT_SIGNED)
        emit_side(fit, lanes, out);
    if (fit->origin == AT_FIT_DIRECT)
        at_strbuf_printf(out, "    f32x%d t = a;\n", lanes);
    else if (fit->origin == AT_FIT_OFFSET)
        at_strbuf_printf(out, "    f32x%d t = u - (f32x%d)((i32x%d)u & %d);\n", lanes, lanes, lanes, -(1 << fit->shift));
    else
        at_strbuf_printf(out, "    f32x%d t = a - lookup%d_f32x%d(%s_base, i);\n", lanes, fit->entries, lanes, name);
}

static void emit_polynomial(const at_fit *fit, const char *name, int lanes, at_strbuf *out)
{
    for (int k = fit->degree; k >= 0; k--) {
        if (k == fit->degree)
            at_strbuf_printf(out, "    f32x%d p = lookup%d_f32x%d(%s_c%d, i);\n", lanes, fit->entries, lanes, name, k);
        else
            at_strbuf_printf(out, "    p = fma_f32x%d(p, t, lookup%d_f32x%d(%s_c%d, i));\n", lanes, fit->entries, lanes, name, k);
    }
    if (fit->shape == AT_FIT_ODD)
        at_strbuf_printf(out, "    p = copysign_f32x%d(p, x);\n", lanes);
    if (fit->center != 0) {
        at_strbuf_append(out, "    p = p + ");
        emit_splat(lanes, fit->center, out);
        at_strbuf_append(out, ";\n");
    }
}

/* p times the tail. What the exponent loses in rounding is put into p first (before a zero a, whose sign the sum would lose). */
static void emit_tail(const at_fit *fit, int lanes, at_strbuf *out)
{
    bool gauss = fit->tail == AT_FIT_TAIL_GAUSS, exact = !gauss && fit->rate == 1;
    at_strbuf_printf(out, "    f32x%d s = a", lanes);
    if (!exact)
        at_strbuf_append(out, gauss ? " * a" : " * ");
    if (!exact && !gauss)
        emit_splat(lanes, fit->rate, out);
    at_strbuf_append(out, ";\n");
    if (gauss) {
        at_strbuf_printf(out, "    f32x%d rest = fma_f32x%d(a, a, -s) * ", lanes, lanes);
        emit_splat(lanes, fit->rate, out);
    } else if (!exact) {
        at_strbuf_printf(out, "    f32x%d rest = fma_f32x%d(a, ", lanes, lanes);
        emit_splat(lanes, fit->rate_low, out);
        at_strbuf_printf(out, ", fma_f32x%d(a, ", lanes);
        emit_splat(lanes, fit->rate, out);
        at_strbuf_append(out, ", -s))");
    }
    if (!exact)
        at_strbuf_printf(out, ";\n    p = fma_f32x%d(-p, rest, p);\n", lanes);
    at_strbuf_printf(out, "    p = times_falling_f32x%d(%s, s", lanes, fit->product ? "a * p" : "p");
    if (gauss) {
        at_strbuf_append(out, " * ");
        emit_splat(lanes, fit->rate, out);
    }
    at_strbuf_append(out, ");\n");
}

/* Whether a * p is still to be made where the line is added. */
static bool has_product(const at_fit *fit)
{
    return fit->product && fit->tail == AT_FIT_TAIL_NONE;
}

/* `kept` is the part of x that has a slope, `slope` its factor. */
static void emit_line(const at_fit *fit, int lanes, at_strbuf *out)
{
    float negative = fit->slope_negative, positive = fit->slope_positive, slope = negative == 0 ? positive : negative;
    const char *kept = "x";
    if (negative == 0 || positive == 0) {
        at_strbuf_printf(out, "    f32x%d kept = %s_f32x%d(splat_f32x%d(0.0f), x);\n", lanes, negative == 0 ? "max" : "min", lanes, lanes);
        kept = "kept";
    }
    at_strbuf_printf(out, "    f32x%d slope = ", lanes);
    if (negative != 0 && positive != 0 && negative != positive) {
        at_strbuf_printf(out, "select_f32x%d(x < splat_f32x%d(0.0f), ", lanes, lanes);
        emit_splat(lanes, negative, out);
        at_strbuf_append(out, ", ");
        emit_splat(lanes, positive, out);
        at_strbuf_char(out, ')');
    } else {
        emit_splat(lanes, slope, out);
    }
    at_strbuf_append(out, ";\n");
    if (has_product(fit))
        at_strbuf_printf(out, "    return fma_f32x%d(a, p, slope * %s);\n", lanes, kept);
    else
        at_strbuf_printf(out, "    return fma_f32x%d(slope, %s, p);\n", lanes, kept);
}

/* The commonest line, max(x, 0) with slope 1, without a multiplication. */
static void emit_plain_line(const at_fit *fit, int lanes, at_strbuf *out)
{
    const char *side = fit->slope_negative == 0 ? "max" : "min";
    at_strbuf_append(out, has_product(fit) ? "    return fma_f32x" : "    return p + ");
    if (has_product(fit))
        at_strbuf_printf(out, "%d(a, p, ", lanes);
    at_strbuf_printf(out, "%s_f32x%d(splat_f32x%d(0.0f), x)%s;\n", side, lanes, lanes, has_product(fit) ? ")" : "");
}

void at_fit_emit(const at_fit *fit, const char *name, int lanes, at_strbuf *out)
{
    char row[16];
    for (int k = 0; k <= fit->degree; k++) {
        snprintf(row, sizeof row, "c%d", k);
        emit_table(fit, name, row, fit->coefficient[k], out);
    }
    if (fit->origin == AT_FIT_BASE)
        emit_table(fit, name, "base", fit->base, out);
    at_strbuf_printf(out, "\nstatic inline f32x%d %s(f32x%d x)\n{\n", lanes, name, lanes);
    emit_index(fit, name, lanes, out);
    emit_polynomial(fit, name, lanes, out);
    if (fit->tail != AT_FIT_TAIL_NONE)
        emit_tail(fit, lanes, out);
    if (fit->slope_negative == 0 && fit->slope_positive == 0)
        at_strbuf_append(out, has_product(fit) ? "    return a * p;\n" : "    return p;\n");
    else if (fit->slope_negative + fit->slope_positive == 1 && (fit->slope_negative == 0 || fit->slope_positive == 0))
        emit_plain_line(fit, lanes, out);
    else
        emit_line(fit, lanes, out);
    at_strbuf_append(out, "}\n");
}
