/* Every function of the exported library `net` against formulas in double, written here from the definitions. Prints the instruction set in use. */
#include <net.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { F32, BF16, DTYPES };

static int failures;
#define CHECK(condition, ...)                                       \
    do {                                                            \
        if (!(condition)) {                                         \
            printf("FAILED line %d: %s: ", __LINE__, #condition);   \
            printf(__VA_ARGS__);                                    \
            printf(" (%s)\n", net_last_error());                    \
            if (++failures > 5)                                    \
                exit(1);                                            \
        }                                                           \
    } while (0)

/* Elements. */

static double load(int dtype, const void *array, int64_t i)
{
    float value;
    if (dtype == F32)
        return ((const float *)array)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)array)[i] << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void store(int dtype, void *array, int64_t i, double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (dtype == F32)
        ((float *)array)[i] = narrow;
    else
        ((uint16_t *)array)[i] = (uint16_t)(bits >> 16); /* inputs alone: cutting is fine */
}

static int same(int dtype, double got, double wanted)
{
    if (isnan(wanted))
        return isnan(got);
    if (isinf(wanted))
        return got == wanted;
    double relative = dtype == F32 ? 2e-6 : 0x1p-8;
    return fabs(got - wanted) <= relative * fabs(wanted) + 2e-6; /* of values up to 6 */
}

static uint64_t state = 88172645463325252u;
static double draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53 * 12 - 6;
}

/* One tensor, `offset` elements behind an aligned address. */
typedef struct tensor {
    char *base, *data;
    int64_t count;
} tensor;

static tensor make(int dtype, int64_t count, int offset, int special)
{
    static const double specials[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e-30, -1e-30, 88, -104, 6, -6, 1e30, -1e30};
    size_t bytes = dtype == F32 ? 4 : 2;
    tensor t = {.base = aligned_alloc(64, ((size_t)(count + offset + 1) * bytes + 127) / 64 * 64), .count = count};
    t.data = t.base + (size_t)offset * bytes;
    for (int64_t i = 0; i < count; i++)
        store(dtype, t.data, i, special && i % 7 == 3 ? specials[i / 7 % 13] : draw());
    return t;
}

/* Formulas. */

static double gelu_tanh(double x)
{
    return isinf(x) ? (x > 0 ? x : -0.0) : 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
static double gelu_tanh_slope(double x)
{
    if (isinf(x) || fabs(x) > 1e3)
        return x > 0;
    double k = sqrt(2 / M_PI), t = tanh(k * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
}
static double clip(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}
static double softish(double x)
{
    return x > 0 ? x : isinf(x) ? -0.5 : 0.5 * x / (1 - x);
}
static double silu(double x)
{
    return isinf(x) ? (x > 0 ? x : -0.0) : x / (1 + exp(-x));
}
static double silu_slope(double x)
{
    double s = 1 / (1 + exp(-x));
    return isinf(x) || fabs(x) > 1e3 ? x > 0 : s * (1 + x * (1 - s));
}

/* A shape, its place in memory, and what the element at i belongs to. */
typedef struct run {
    int dtype, offset, in_place, special;
    int64_t outer, channels, inner, count;
} run;

static int64_t channel_of(const run *r, int64_t i)
{
    return i / r->inner % r->channels;
}

static tensor element(const run *r)
{
    return make(r->dtype, r->count, r->offset, r->special);
}

static tensor per_channel(const run *r)
{
    return make(F32, r->channels, r->offset, 0);
}

/* The output: memory of its own with a canary, or the input's. */
static tensor output_of(const run *r, const tensor *input)
{
    tensor y = element(r);
    if (r->in_place)
        memcpy(y.data, input->data, (size_t)r->count * (r->dtype == F32 ? 4 : 2));
    return y;
}

#define CALL(function, ...) (r->dtype == F32 ? net_##function##_f32(__VA_ARGS__) : net_##function##_bf16(__VA_ARGS__))
#define SHAPE r->outer, r->channels, r->inner

static void compare(const run *r, const char *what, const tensor *y, int64_t i, double wanted)
{
    double got = load(r->dtype, y->data, i);
    CHECK(same(r->dtype, got, wanted), "%s at %lld of [%lld, %lld, %lld], type %d: %.9g, not %.9g", what, (long long)i, (long long)r->outer,
          (long long)r->channels, (long long)r->inner, r->dtype, got, wanted);
}

static void check_sum(const run *r, const char *what, float got, double wanted, double magnitude)
{
    CHECK(fabs(got - wanted) <= 1e-6 + 4e-5 * magnitude, "%s of [%lld, %lld, %lld]: %.9g, not %.9g", what, (long long)r->outer,
          (long long)r->channels, (long long)r->inner, got, wanted);
}

static void gelu_forward(const run *r)
{
    tensor x = element(r), bias = per_channel(r), y = output_of(r, &x);
    int status = CALL(gelu, r->in_place ? (void *)y.data : (void *)x.data, (void *)bias.data, (void *)y.data, SHAPE);
    CHECK(status == NET_OK, "gelu");
    for (int64_t i = 0; i < r->count; i++) {
        float u = (float)load(r->dtype, x.data, i) + (float)load(F32, bias.data, channel_of(r, i));
        compare(r, "gelu", &y, i, clip(gelu_tanh(u), -6, 6));
    }
    free(x.base), free(bias.base), free(y.base);
}

static void gelu_backward(const run *r)
{
    tensor x = element(r), dy = element(r), bias = per_channel(r), dx = output_of(r, &dy), dbias = per_channel(r);
    int status = CALL(gelu_backward, (void *)x.data, r->in_place ? (void *)dx.data : (void *)dy.data, (void *)bias.data, (void *)dx.data,
                      (void *)dbias.data, SHAPE);
    CHECK(status == NET_OK, "gelu_backward");
    double *sum = calloc((size_t)r->channels, sizeof *sum), *magnitude = calloc((size_t)r->channels, sizeof *sum);
    for (int64_t i = 0; i < r->count; i++) {
        int64_t c = channel_of(r, i);
        float u = (float)load(r->dtype, x.data, i) + (float)load(F32, bias.data, c);
        double g = gelu_tanh(u), d = load(r->dtype, dy.data, i), slope = g < -6 || g > 6 ? 0 : gelu_tanh_slope(u);
        double term = slope == 0 && isfinite(d) ? 0 : d * slope;
        if (isfinite(term) && isfinite(d))
            compare(r, "dx of gelu", &dx, i, term);
        sum[c] += term;
        magnitude[c] += fabs(term);
    }
    for (int64_t c = 0; c < r->channels && !r->special; c++)
        check_sum(r, "dbias", (float)load(F32, dbias.data, c), sum[c], magnitude[c]);
    free(sum), free(magnitude), free(x.base), free(dy.base), free(bias.base), free(dx.base), free(dbias.base);
}

static void residual_both(const run *r)
{
    tensor x = element(r), add = element(r), dy = element(r), scale = per_channel(r), shift = per_channel(r), y = output_of(r, &x),
           dx = output_of(r, &dy);
    int status = CALL(scale_shift_add_relu, r->in_place ? (void *)y.data : (void *)x.data, (void *)scale.data, (void *)shift.data, (void *)add.data,
                      (void *)y.data, SHAPE);
    CHECK(status == NET_OK, "scale_shift_add_relu");
    status = CALL(scale_shift_add_relu_backward, (void *)x.data, r->in_place ? (void *)dx.data : (void *)dy.data, (void *)scale.data,
                  (void *)shift.data, (void *)add.data, (void *)dx.data, SHAPE);
    CHECK(status == NET_OK, "scale_shift_add_relu_backward");
    for (int64_t i = 0; i < r->count; i++) {
        int64_t c = channel_of(r, i);
        float s = (float)load(F32, scale.data, c), v = fmaf((float)load(r->dtype, x.data, i), s, (float)load(F32, shift.data, c));
        v += (float)load(r->dtype, add.data, i);
        compare(r, "scale_shift_add_relu", &y, i, isnan(v) ? NAN : v > 0 ? v : 0);
        if (!isnan(v))
            compare(r, "its dx", &dx, i, v > 0 ? load(r->dtype, dy.data, i) * s : 0);
    }
    free(x.base), free(add.base), free(dy.base), free(scale.base), free(shift.base), free(y.base), free(dx.base);
}

static void prelu_both(const run *r)
{
    tensor x = element(r), dy = element(r), y = output_of(r, &x), dx = output_of(r, &dy);
    float alpha = 0.3f, dalpha = -1;
    int64_t n = r->count;
    int status = CALL(prelu_alpha_learn, r->in_place ? (void *)y.data : (void *)x.data, &alpha, (void *)y.data, n);
    CHECK(status == NET_OK, "prelu_alpha_learn");
    status = CALL(prelu_alpha_learn_backward, (void *)x.data, r->in_place ? (void *)dx.data : (void *)dy.data, &alpha, (void *)dx.data, &dalpha, n);
    CHECK(status == NET_OK, "prelu_alpha_learn_backward");
    double sum = 0, magnitude = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = load(r->dtype, x.data, i), d = load(r->dtype, dy.data, i), term = v > 0 ? 0 : v * d;
        compare(r, "prelu", &y, i, v > 0 ? v : alpha * v);
        if (!isnan(v))
            compare(r, "its dx", &dx, i, v > 0 ? d : alpha * d);
        sum += term;
        magnitude += fabs(term);
    }
    if (!r->special)
        check_sum(r, "dalpha", dalpha, sum, magnitude);
    free(x.base), free(dy.base), free(y.base), free(dx.base);
}

static void user_both(const run *r)
{
    tensor x = element(r), dy = element(r), y = output_of(r, &x), dx = output_of(r, &dy);
    int64_t n = r->count;
    int status = CALL(act, r->in_place ? (void *)y.data : (void *)x.data, (void *)y.data, n);
    CHECK(status == NET_OK, "act");
    status = CALL(act_backward, (void *)x.data, r->in_place ? (void *)dx.data : (void *)dy.data, (void *)dx.data, n);
    CHECK(status == NET_OK, "act_backward");
    for (int64_t i = 0; i < n; i++) {
        double v = load(r->dtype, x.data, i), d = load(r->dtype, dy.data, i), s = softish(v);
        if (!isinf(v)) /* -inf / inf: the user's own formula gives NaN */
            compare(r, "act", &y, i, clip(s, -1, 1));
        if (isfinite(v) && isfinite(d) && fabs(v) < 1e20)
            compare(r, "its dx", &dx, i, s < -1 || s > 1 ? 0 : d * (v > 0 ? 1 : 0.5 / ((1 - v) * (1 - v))));
    }
    free(x.base), free(dy.base), free(y.base), free(dx.base);
}

/* The mask is the library's own; that it is one mask, of the right share, is not. */
static void dropout_both(const run *r)
{
    tensor x = element(r), dy = element(r), y = output_of(r, &x), dx = output_of(r, &dy);
    const uint64_t seed[2] = {42, 7};
    int64_t n = r->count, kept = 0;
    int status = CALL(silu_dropout_0p25, r->in_place ? (void *)y.data : (void *)x.data, seed, (void *)y.data, n);
    CHECK(status == NET_OK, "silu_dropout_0p25");
    status = CALL(silu_dropout_0p25_backward, (void *)x.data, r->in_place ? (void *)dx.data : (void *)dy.data, seed, (void *)dx.data, n);
    CHECK(status == NET_OK, "silu_dropout_0p25_backward");
    for (int64_t i = 0; i < n; i++) {
        double v = load(r->dtype, x.data, i), d = load(r->dtype, dy.data, i), got = load(r->dtype, y.data, i);
        int keep = got != 0 || isnan(got);
        kept += keep;
        if (keep)
            compare(r, "silu | dropout", &y, i, silu(v) / 0.75);
        if (fabs(v) < 80 && fabs(v) > 1e-3 && isfinite(d))
            compare(r, "its dx", &dx, i, keep ? d * silu_slope(v) / 0.75 : 0);
    }
    if (n > 10000)
        CHECK(fabs((double)kept / (double)n - 0.75) < 0.02, "%lld of %lld are kept", (long long)kept, (long long)n);
    free(x.base), free(dy.base), free(y.base), free(dx.base);
}

static void run_all(const run *r)
{
    gelu_forward(r);
    gelu_backward(r);
    residual_both(r);
    prelu_both(r);
    user_both(r);
    dropout_both(r);
}

/* Types, in place or not, alignments, odd values: in small shapes all of them; in those that have several chunks and threads a few. */
static void check_shapes(void)
{
    static const int64_t shapes[][3] = {{1, 1, 1}, {1, 1, 300}, {7, 13, 1}, {9, 64, 1}, {3, 5, 17}, {1, 1, 0}, {0, 4, 3}, {5, 3, 0}, {1, 2, 20000}, {700, 40, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int mode = 0; mode < (s < 8 ? 8 : 2); mode++) {
            run r = {.dtype = mode % 2, .in_place = mode / 2 % 2, .offset = mode / 4, .special = s < 8 && (mode == 1 || mode == 6), .outer = shapes[s][0],
                     .channels = shapes[s][1], .inner = shapes[s][2]};
            r.count = r.outer * r.channels * r.inner;
            if (r.inner == 0)
                r.count = 0;
            run_all(&r);
        }
}

/* The same bits for any number of threads, sums too. */
static void check_threads(void)
{
    enum { ROWS = 1500, CHANNELS = 64 };
    run r = {.dtype = F32, .outer = ROWS, .channels = CHANNELS, .inner = 1, .count = ROWS * CHANNELS};
    tensor x = element(&r), dy = element(&r), bias = per_channel(&r), dx = element(&r), again = element(&r);
    float one[CHANNELS], many[CHANNELS];
    CHECK(net_set_threads(1) == NET_OK, "set_threads");
    CHECK(net_gelu_backward_f32((float *)x.data, (float *)dy.data, (float *)bias.data, (float *)dx.data, one, ROWS, CHANNELS, 1) == NET_OK, "one");
    CHECK(net_set_threads(0) == NET_OK, "set_threads");
    CHECK(net_gelu_backward_f32((float *)x.data, (float *)dy.data, (float *)bias.data, (float *)again.data, many, ROWS, CHANNELS, 1) == NET_OK, "many");
    CHECK(memcmp(dx.data, again.data, ROWS * CHANNELS * sizeof(float)) == 0 && memcmp(one, many, sizeof one) == 0, "threads change bits");
    CHECK(net_set_threads(-1) == NET_INVALID_ARGUMENT, "negative threads");
    net_release();
    CHECK(net_gelu_backward_f32((float *)x.data, (float *)dy.data, (float *)bias.data, (float *)again.data, many, ROWS, CHANNELS, 1) == NET_OK, "released");
    CHECK(memcmp(one, many, sizeof one) == 0, "after release");
    free(x.base), free(dy.base), free(bias.base), free(dx.base), free(again.base);
    net_release();
}

static void expect_refusal(int status, const char *words)
{
    CHECK(status == NET_INVALID_ARGUMENT && strstr(net_last_error(), words) != NULL, "wanted '%s'", words);
}

static void check_errors(void)
{
    float x[64] = {1}, y[64], bias[8] = {0};
    expect_refusal(net_gelu_f32(NULL, bias, y, 8, 8, 1), "net_gelu_f32: x is NULL");
    expect_refusal(net_gelu_f32(x, bias, NULL, 8, 8, 1), "y is NULL");
    expect_refusal(net_gelu_f32(x, bias, x + 1, 4, 8, 1), "x and y overlap");
    expect_refusal(net_gelu_f32(x, bias, bias, 1, 8, 1), "bias and y overlap");
    expect_refusal(net_gelu_f32((float *)((char *)x + 1), bias, y, 4, 8, 1), "x is not aligned");
    expect_refusal(net_gelu_f32(x, bias, y, -1, 8, 1), "negative");
    expect_refusal(net_gelu_f32(x, bias, y, INT64_MAX, 8, 8), "2^56");
    expect_refusal(net_act_f32(x, y, -5), "net_act_f32");
    CHECK(net_act_f32(NULL, NULL, 0) == NET_OK, "no elements need no memory");
    CHECK(strcmp(net_status_name(NET_NO_MEMORY), "NO_MEMORY") == 0, "status name");
}

int main(void)
{
    if (net_isa() == NULL) {
        float x = 1, y;
        CHECK(net_act_f32(&x, &y, 1) == NET_UNSUPPORTED, "a processor without any of the levels");
        printf("%s\n", failures ? "failed" : "unsupported");
        return failures > 0;
    }
    check_shapes();
    check_threads();
    check_errors();
    printf("%s\n", failures ? "failed" : net_isa());
    return failures > 0;
}
