/* actune_calibration: what it refuses, and streams of tensors against all numbers at once. tests/cli/test_quantise.sh has the oracle. */
#include <actune/actune.h>

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static actune_calibration *create(actune_calibration_method method, actune_dtype dtype, int64_t channels)
{
    actune_calibration *made;
    actune_calibration_desc desc = {.method = method, .dtype = dtype, .percentile = 90, .channels = channels};
    cr_assert_eq(actune_calibration_create(&desc, &made), ACTUNE_OK, "%s", actune_last_error());
    return made;
}

static void refuse(actune_status status, const char *why)
{
    cr_assert_eq(status, ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), why), "%s, not %s", actune_last_error(), why);
}

Test(calibrate, refuses)
{
    actune_calibration *c;
    float x[4] = {1, 2, 3, -4}, scale[4];
    actune_calibration_desc desc = {.dtype = ACTUNE_I8};
    refuse(actune_calibration_create(NULL, &c), "desc is NULL");
    refuse(actune_calibration_create(&desc, NULL), "place for the calibration");
    desc.dtype = ACTUNE_F32;
    refuse(actune_calibration_create(&desc, &c), "i8, u8, f8e4m3 or f8e5m2");
    desc = (actune_calibration_desc){.dtype = ACTUNE_I8, .method = (actune_calibration_method)3};
    refuse(actune_calibration_create(&desc, &c), "method 3");
    desc = (actune_calibration_desc){.dtype = ACTUNE_I8, .percentile = NAN};
    refuse(actune_calibration_create(&desc, &c), "percentile");
    desc = (actune_calibration_desc){.dtype = ACTUNE_I8, .channels = -1};
    refuse(actune_calibration_create(&desc, &c), "channels");
    c = create(ACTUNE_CALIBRATE_MAX, ACTUNE_U8, 2);
    actune_buffer tensor = {x, 4, ACTUNE_F32};
    refuse(actune_calibration_add(c, &tensor, (actune_shape){1, 4, 1}), "4 channels, the calibration 2");
    refuse(actune_calibration_add(c, &tensor, (actune_shape){1, 2, 3}), "4 elements, its shape 6");
    refuse(actune_calibration_add(c, &tensor, (actune_shape){INT64_MAX, 2, 3}), "shape");
    refuse(actune_calibration_add(c, &tensor, (actune_shape){2, 2, 1}), "no negative numbers");
    refuse(actune_calibration_add(c, NULL, (actune_shape){2, 2, 1}), "tensor is NULL");
    refuse(actune_calibration_scales(c, NULL), "scale is NULL");
    actune_calibration_destroy(c);
    c = create(ACTUNE_CALIBRATE_MSE, ACTUNE_I8, 0);
    refuse(actune_calibration_scales(c, scale), "no finite number");
    actune_calibration_destroy(c);
    actune_calibration_destroy(NULL);
}

/* One tensor, the same in three pieces, and as planes of channels, in a type of its own. */
Test(calibrate, streams)
{
    enum { N = 999 };
    static float x[N];
    static signed char codes[N];
    for (int i = 0; i < N; i++) {
        codes[i] = (signed char)(i * 37 % 255 - 127);
        x[i] = codes[i];
    }
    for (int m = ACTUNE_CALIBRATE_MAX; m <= ACTUNE_CALIBRATE_MSE; m++)
        for (int d = ACTUNE_I8; d <= ACTUNE_F8E5M2; d += 2) {
            float whole, parts, typed, each[3];
            actune_calibration *c[4];
            for (int k = 0; k < 4; k++)
                c[k] = create((actune_calibration_method)m, (actune_dtype)d, k == 3 ? 3 : 0);
            actune_calibration_add(c[0], &(actune_buffer){x, N, ACTUNE_F32}, (actune_shape){1, 1, N});
            for (int k = 0; k < 3; k++)
                actune_calibration_add(c[1], &(actune_buffer){x + k * 333, 333, ACTUNE_F32}, (actune_shape){1, 1, 333});
            actune_calibration_add(c[1], &(actune_buffer){NULL, 0, ACTUNE_F32}, (actune_shape){1, 0, 3});
            actune_calibration_add(c[2], &(actune_buffer){codes, N, ACTUNE_I8}, (actune_shape){N, 1, 1});
            for (int k = 0; k < 3; k++) /* a channel's planes are the same numbers */
                actune_calibration_add(c[3], &(actune_buffer){x, 999, ACTUNE_F32}, (actune_shape){1, 3, 333});
            cr_assert(!actune_calibration_scales(c[0], &whole) && !actune_calibration_scales(c[1], &parts) && !actune_calibration_scales(c[2], &typed) &&
                      !actune_calibration_scales(c[3], each));
            cr_assert(whole > 0 && whole == parts && whole == typed, "method %d: %g %g %g", m, (double)whole, (double)parts, (double)typed);
            for (int k = 0; k < 3; k++) {
                float alone;
                actune_calibration *one = create((actune_calibration_method)m, (actune_dtype)d, 0);
                actune_calibration_add(one, &(actune_buffer){x + k * 333, 333, ACTUNE_F32}, (actune_shape){1, 1, 333});
                cr_assert(!actune_calibration_scales(one, &alone) && alone == each[k]);
                actune_calibration_destroy(one);
            }
            for (int k = 0; k < 4; k++)
                actune_calibration_destroy(c[k]);
        }
}
