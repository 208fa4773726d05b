/* Scales for quantize from samples: a histogram of magnitudes rounded to 12 significant bits, made octave by octave. */
#include <actune/actune.h>

#include "base/dtype.h"
#include "base/status.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MANTISSA = 11, BINS = 1 << MANTISSA, OCTAVES = 256, COARSE = 32, COARSE_OCTAVES = 6, FINE = 32 };

typedef struct histogram {
    uint64_t *octave[OCTAVES]; /* BINS counts each, by the exponent of f32; NULL: none met */
    uint64_t zeros, count;     /* finite numbers, zeros among them */
    double most;               /* largest magnitude, as it came */
} histogram;

struct actune_calibration {
    actune_calibration_desc desc;
    int64_t channels; /* histograms */
    histogram *of;
};

/* The largest code of the type: what quantize saturates at. */
static double most_of(actune_dtype dtype)
{
    return dtype == ACTUNE_I8 ? 127 : dtype == ACTUNE_U8 ? 255 : dtype == ACTUNE_F8E4M3 ? 448 : 57344;
}

static actune_status check_desc(const actune_calibration_desc *desc)
{
    if (!desc)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_create: desc is NULL");
    if (desc->method < ACTUNE_CALIBRATE_MAX || desc->method > ACTUNE_CALIBRATE_MSE)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_create: method %d is none", (int)desc->method);
    if (!at_dtype_get(desc->dtype) || at_dtype_get(desc->dtype)->bytes != 1)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_create: dtype is what tensors are quantised to: i8, u8, f8e4m3 or f8e5m2");
    if (!(desc->percentile >= 0 && desc->percentile <= 100))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_create: percentile is %g; it is a share in percent, up to 100", desc->percentile);
    if (desc->channels < 0 || desc->channels > INT64_C(1) << 24)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_create: %lld channels; 0 asks for one scale", (long long)desc->channels);
    return ACTUNE_OK;
}

actune_status actune_calibration_create(const actune_calibration_desc *desc, actune_calibration **calibration)
{
    if (!calibration)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_create: the place for the calibration is NULL");
    AT_TRY(check_desc(desc));
    actune_calibration *made = calloc(1, sizeof *made);
    int64_t channels = desc->channels > 0 ? desc->channels : 1;
    if (made)
        made->of = calloc((size_t)channels, sizeof *made->of);
    if (!made || !made->of) {
        free(made);
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a calibration");
    }
    made->desc = *desc;
    made->channels = channels;
    if (made->desc.percentile == 0)
        made->desc.percentile = 99.99;
    *calibration = made;
    return ACTUNE_OK;
}

void actune_calibration_destroy(actune_calibration *calibration)
{
    if (!calibration)
        return;
    for (int64_t c = 0; c < calibration->channels; c++)
        for (int e = 0; e < OCTAVES; e++)
            free(calibration->of[c].octave[e]);
    free(calibration->of);
    free(calibration);
}

/* Its place: exponent and the upper bits of the mantissa, rounded to nearest (up at a tie). */
static uint32_t bin_of(double size)
{
    float single = size < (double)FLT_MAX ? (float)size : FLT_MAX;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    uint32_t bin = (bits + (1u << (22 - MANTISSA))) >> (23 - MANTISSA);
    return bin < 255u << MANTISSA ? bin : (255u << MANTISSA) - 1; /* not up to infinity */
}

static double value_of(uint32_t bin)
{
    uint32_t bits = bin << (23 - MANTISSA);
    float single;
    memcpy(&single, &bits, sizeof single);
    return single;
}

static actune_status count_value(const actune_calibration *c, histogram *h, double x)
{
    double size = fabs(x);
    if (!isfinite(x))
        return ACTUNE_OK;
    if (c->desc.dtype == ACTUNE_U8 && x < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_add: a sample is %g; u8 without a zero point has no negative numbers: calibrate i8", x);
    h->count++;
    h->most = size > h->most ? size : h->most;
    if (c->desc.method == ACTUNE_CALIBRATE_MAX)
        return ACTUNE_OK;
    uint32_t bin = bin_of(size);
    if (bin == 0) {
        h->zeros++;
        return ACTUNE_OK;
    }
    uint64_t **octave = &h->octave[bin >> MANTISSA];
    if (!*octave && !(*octave = calloc(BINS, sizeof **octave)))
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a histogram");
    ++(*octave)[bin % BINS];
    return ACTUNE_OK;
}

static actune_status check_tensor(const actune_calibration *calibration, const actune_buffer *tensor, actune_shape shape)
{
    int64_t planes, count;
    if (!calibration || !tensor)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_add: %s is NULL", calibration ? "tensor" : "calibration");
    if (!at_dtype_get(tensor->dtype))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_add: dtype %d is no element type", (int)tensor->dtype);
    if (shape.outer < 0 || shape.channels < 0 || shape.inner < 0 || __builtin_mul_overflow(shape.outer, shape.channels, &planes) ||
        __builtin_mul_overflow(planes, shape.inner, &count))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_add: the shape [%lld, %lld, %lld] is none", (long long)shape.outer,
                       (long long)shape.channels, (long long)shape.inner);
    if (tensor->count != count || (count > 0 && !tensor->data))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_add: the tensor has %lld elements%s, its shape %lld", (long long)tensor->count,
                       tensor->data ? "" : " at NULL", (long long)count);
    if (calibration->desc.channels > 0 && shape.channels != calibration->channels)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_add: the tensor has %lld channels, the calibration %lld", (long long)shape.channels,
                       (long long)calibration->channels);
    return ACTUNE_OK;
}

actune_status actune_calibration_add(actune_calibration *calibration, const actune_buffer *tensor, actune_shape shape)
{
    AT_TRY(check_tensor(calibration, tensor, shape));
    bool apart = calibration->desc.channels > 0;
    for (int64_t plane = 0, i = 0; i < tensor->count; plane++) {
        histogram *h = &calibration->of[apart ? plane % shape.channels : 0];
        for (int64_t k = 0; k < shape.inner; k++)
            AT_TRY(count_value(calibration, h, at_dtype_load(tensor->dtype, tensor->data, i++)));
    }
    return ACTUNE_OK;
}

/* The magnitude that `percent` of all numbers do not exceed (nearest rank). */
static double percentile_of(const histogram *h, double percent)
{
    double rank = ceil(percent / 100 * (double)h->count);
    uint64_t below = h->zeros;
    for (int e = 0; e < OCTAVES && (double)below < rank; e++)
        for (uint32_t b = 0; h->octave[e] && b < BINS; b++) {
            below += h->octave[e][b];
            if ((double)below >= rank)
                return fmin(value_of((uint32_t)e << MANTISSA | b), h->most);
        }
    return 0;
}

/* What v / scale becomes: the number of its code. */
static double coded(actune_dtype dtype, double v)
{
    uint8_t code;
    if (at_dtype_get(dtype)->kind == AT_DTYPE_INTEGER)
        return fmin(rint(v), most_of(dtype));
    at_dtype_store(dtype, &code, 0, v);
    return at_dtype_load(dtype, &code, 0);
}

/* The sum of squared errors with this scale. */
static double error_of(const histogram *h, actune_dtype dtype, double scale)
{
    double sum = 0;
    for (int e = 0; e < OCTAVES; e++)
        for (uint32_t b = 0; h->octave[e] && b < BINS; b++)
            if (h->octave[e][b] > 0) {
                double v = value_of((uint32_t)e << MANTISSA | b), off = v - scale * coded(dtype, v / scale);
                sum += (double)h->octave[e][b] * off * off;
            }
    return sum;
}

/* The threshold of least error, from the largest magnitude down six octaves in steps of 2 %, then finer around the best. */
static double least_error(const histogram *h, actune_dtype dtype)
{
    double most = most_of(dtype), best = h->most, least = error_of(h, dtype, h->most / most);
    for (int k = 1; k <= COARSE * COARSE_OCTAVES; k++) {
        double threshold = h->most * exp2(-(double)k / COARSE), error = error_of(h, dtype, threshold / most);
        if (error < least) {
            least = error;
            best = threshold;
        }
    }
    double centre = best;
    for (int k = -FINE; k <= FINE; k++) {
        double threshold = centre * exp2((double)k / (FINE * COARSE)), error = error_of(h, dtype, threshold / most);
        if (error < least && threshold <= h->most) {
            least = error;
            best = threshold;
        }
    }
    return best;
}

static double threshold_of(const actune_calibration *c, const histogram *h)
{
    switch (c->desc.method) {
    case ACTUNE_CALIBRATE_PERCENTILE:
        return percentile_of(h, c->desc.percentile);
    case ACTUNE_CALIBRATE_MSE:
        return least_error(h, c->desc.dtype);
    case ACTUNE_CALIBRATE_MAX:
        break;
    }
    return h->most;
}

actune_status actune_calibration_scales(const actune_calibration *calibration, float *scale)
{
    if (!calibration || !scale)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_scales: %s is NULL", calibration ? "scale" : "calibration");
    for (int64_t c = 0; c < calibration->channels; c++) {
        const histogram *h = &calibration->of[c];
        double threshold = h->most > 0 ? threshold_of(calibration, h) : 0;
        if (!(threshold > 0) && calibration->desc.channels == 0)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_calibration_scales: %s, so no scale follows from %s",
                           h->count == 0 ? "there was no finite number" : "the number that decides is 0",
                           h->count == 0 ? "them" : "it: take more samples or another method");
        double own = threshold / most_of(calibration->desc.dtype);
        scale[c] = !(threshold > 0) ? 1.0f : own < (double)FLT_MIN ? FLT_MIN : (float)own;
    }
    return ACTUNE_OK;
}
