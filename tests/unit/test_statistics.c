/* Statistics against plain loops in long double; the same bits for any number of threads. */
#include "runtime/base/dtype.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

static void *tensor(actune_dtype dtype, int64_t count, double offset)
{
    static const double special[] = {0, -0.0, NAN, INFINITY, -INFINITY, 2, -2, 1e-7};
    void *data = malloc((size_t)(count + 1) * 8);
    seed = 42;
    for (int64_t i = 0; i < count; i++) {
        double u = uniform();
        at_dtype_store(dtype, data, i, u < 0.05 ? special[(int)(u * 160)] : offset + 6 * (uniform() - 0.5));
    }
    return data;
}

/* Of the elements of one channel, -1: of all. */
static actune_statistics plain(const actune_statistics_desc *d, int64_t channel)
{
    actune_statistics s = {0};
    long double sum = 0, squares = 0;
    int64_t finite = 0, count = d->shape.outer * d->shape.channels * d->shape.inner;
    for (int round = 0; round < 2; round++)
        for (int64_t i = 0; i < count; i++) {
            if (channel >= 0 && i / d->shape.inner % d->shape.channels != channel)
                continue;
            double x = at_dtype_load(d->dtype, d->data, i);
            if (round == 1) {
                if (isfinite(x))
                    squares += (x - sum / finite) * (x - sum / finite);
                continue;
            }
            s.count++;
            s.nonpositive += x <= 0;
            s.zero += x == 0;
            s.nan += isnan(x) != 0;
            s.inf += isinf(x) != 0;
            s.clipped += d->clip_lo < d->clip_hi && (x <= d->clip_lo || x >= d->clip_hi);
            if (isfinite(x)) {
                finite++;
                sum += x;
                s.absmax = fmax(s.absmax, fabs(x));
            }
        }
    s.mean = finite ? (double)(sum / finite) : 0;
    s.variance = finite ? (double)(squares / finite) : 0;
    return s;
}

static void compare(const actune_statistics *got, const actune_statistics *want, const char *what)
{
    cr_assert(got->count == want->count && got->nonpositive == want->nonpositive && got->zero == want->zero && got->nan == want->nan &&
                  got->inf == want->inf && got->clipped == want->clipped && got->absmax == want->absmax, "%s: counts", what);
    cr_assert_float_eq(got->mean, want->mean, 1e-13 * (1 + fabs(want->mean)), "%s: mean %.17g, not %.17g", what, got->mean, want->mean);
    cr_assert_float_eq(got->variance, want->variance, 1e-11 * (1 + want->variance), "%s: variance %.17g, not %.17g", what, got->variance,
                       want->variance);
}

static void compare_shape(actune_context *context, actune_dtype dtype, actune_shape shape, double offset)
{
    char what[100];
    int64_t count = shape.outer * shape.channels * shape.inner;
    actune_statistics *channels = calloc((size_t)shape.channels + 1, sizeof *channels), *alone = calloc((size_t)shape.channels + 1, sizeof *alone);
    actune_statistics_desc d = {.data = tensor(dtype, count, offset), .dtype = dtype, .shape = shape, .channels = channels, .clip_lo = -2, .clip_hi = 2};
    actune_statistics all, flat, serial, want = plain(&d, -1);
    cr_assert_eq(actune_statistics_compute(context, &d, &all), ACTUNE_OK, "%s", actune_last_error());
    snprintf(what, sizeof what, "type %d, [%lld, %lld, %lld]", (int)dtype, (long long)shape.outer, (long long)shape.channels, (long long)shape.inner);
    compare(&all, &want, what);
    cr_assert(all.channels == channels && all.channel_count == shape.channels && all.dead_channels == 0 && all.window_steps == 0);
    for (int64_t c = 0; c < shape.channels && c < 20; c++) {
        want = plain(&d, c);
        compare(&channels[c], &want, what);
    }
    d.channels = alone;
    cr_assert_eq(actune_statistics_compute(NULL, &d, &serial), ACTUNE_OK);
    serial.channels = all.channels;
    cr_assert(!memcmp(&serial, &all, sizeof all) && !memcmp(alone, channels, (size_t)shape.channels * sizeof *alone), "%s: one thread gives other bits", what);
    d.channels = NULL;
    d.clip_hi = d.clip_lo;
    cr_assert_eq(actune_statistics_compute(context, &d, &flat), ACTUNE_OK);
    want = plain(&d, -1);
    compare(&flat, &want, what);
    cr_assert(flat.channel_count == 0 && flat.channels == NULL && flat.clipped == 0);
    free((void *)d.data);
    free(channels);
    free(alone);
}

Test(statistics, as_plain_loops)
{
    actune_context *context;
    actune_context_options options = {.database = "", .max_threads = 4};
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    static const actune_shape shapes[] = {{1, 1, 1}, {1, 1, 7}, {1, 1, 100003}, {3, 5, 49}, {2, 3, 4099}, {300, 17, 1}, {5, 100, 1}, {70, 2, 9000 / 70},
                                          {1, 1, 0}, {0, 5, 3}, {1000, 1, 1}};
    for (int dtype = 0; dtype < AT_DTYPE_COUNT; dtype++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            compare_shape(context, (actune_dtype)dtype, shapes[i], 0.3);
    compare_shape(context, ACTUNE_F32, (actune_shape){4, 3, 5000}, 1e5); /* a large mean costs the variance nothing */
    actune_context_close(context);
}

Test(statistics, refuses)
{
    float x[4] = {1, 2, 3, 4};
    actune_statistics s;
    actune_statistics_desc d = {.data = x, .dtype = ACTUNE_F32, .shape = {1, 1, 4}};
    cr_assert_eq(actune_statistics_compute(NULL, NULL, &s), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_statistics_compute(NULL, &d, NULL), ACTUNE_INVALID_ARGUMENT);
    d.dtype = (actune_dtype)77;
    cr_assert_eq(actune_statistics_compute(NULL, &d, &s), ACTUNE_INVALID_ARGUMENT);
    d.dtype = ACTUNE_F32;
    d.data = NULL;
    cr_assert_eq(actune_statistics_compute(NULL, &d, &s), ACTUNE_INVALID_ARGUMENT);
    d.shape = (actune_shape){-1, 1, 0};
    cr_assert_eq(actune_statistics_compute(NULL, &d, &s), ACTUNE_INVALID_ARGUMENT);
    d.shape = (actune_shape){INT64_MAX, 2, 2};
    cr_assert_eq(actune_statistics_compute(NULL, &d, &s), ACTUNE_INVALID_ARGUMENT);
}

/* One step of three channels; a value <= 0 is a dead one. */
static actune_statistics step(actune_window *window, float a, float b, float c)
{
    static actune_statistics channels[3];
    float x[] = {a, b, c};
    actune_statistics s;
    actune_statistics_desc d = {.data = x, .shape = {1, 3, 1}, .channels = channels};
    cr_assert_eq(actune_statistics_compute(NULL, &d, &s), ACTUNE_OK);
    cr_assert_eq(actune_window_add(window, &s), ACTUNE_OK);
    return s;
}

Test(statistics, window_of_dead_channels)
{
    actune_window *w;
    cr_assert_eq(actune_window_create(0, 3, &w), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_window_create(3, 0, &w), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_window_create(INT64_MAX, 1, &w), ACTUNE_NO_MEMORY);
    cr_assert_eq(actune_window_create(3, 3, &w), ACTUNE_OK);
    cr_assert_eq(step(w, 0, -1, 1).window_steps, 0);
    cr_assert_eq(step(w, 0, 2, NAN).dead_channels, 0);
    actune_statistics s = step(w, -0.0f, -1, 0);
    cr_assert(s.window_steps == 3 && s.dead_channels == 1);
    cr_assert(actune_window_is_dead(w, 0) && !actune_window_is_dead(w, 1) && !actune_window_is_dead(w, 3) && !actune_window_is_dead(w, -1));
    step(w, 0, -1, 0);
    s = step(w, 1, -1, 0);
    cr_assert(s.dead_channels == 2 && !actune_window_is_dead(w, 0));
    actune_statistics channels[3] = {{0}}, empty = {.channel_count = 3, .channels = channels};
    cr_assert_eq(actune_window_add(w, &empty), ACTUNE_OK);
    cr_assert_eq(empty.dead_channels, 2, "an empty step is none");
    actune_statistics other = {.count = 4};
    cr_assert_eq(actune_window_add(w, &other), ACTUNE_INVALID_ARGUMENT);
    actune_window_destroy(w);
    actune_window_destroy(NULL);
}
