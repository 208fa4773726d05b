/* Initial weights: the generator against its published vectors, gains and fans against torch's numbers, draws against long double, their
   statistics, the same bits whatever computes them, and what is refused. */
#include "cpu_fixture.h"
#include "runtime/backend/nvrtc.h"
#include "runtime/context.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* --- the generator: Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds --- */

Test(init, philox)
{
    static const struct {
        uint32_t counter[4];
        uint64_t key;
        uint32_t out[4];
    } known[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t c[4];
        memcpy(c, known[i].counter, sizeof c);
        at_philox(c, known[i].key);
        cr_expect_arr_eq(c, known[i].out, sizeof c, "vector %d", i);
    }
}

/* --- gains, fans, scales --- */

static const int64_t conv[] = {64, 3, 7, 7};

static void expect_scale(actune_init_desc desc, double want)
{
    double scale = 0;
    desc.shape = conv;
    desc.rank = 4;
    cr_expect_eq(actune_init_scale(&desc, &scale), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_float_eq(scale, want, 1e-15 * want, "%s %d: %.17g, not %.17g", desc.nonlinearity ? desc.nonlinearity : "-", desc.kind, scale, want);
}

Test(init, scales)
{
    double in = 3 * 49, out = 64 * 49;
    expect_scale((actune_init_desc){.nonlinearity = "relu"}, sqrt(2 / in));
    expect_scale((actune_init_desc){.nonlinearity = "relu", .mode = ACTUNE_FAN_OUT}, sqrt(2 / out));
    expect_scale((actune_init_desc){.kind = ACTUNE_KAIMING_UNIFORM, .nonlinearity = "relu"}, sqrt(6 / in));
    expect_scale((actune_init_desc){.nonlinearity = "linear"}, 1 / sqrt(in));
    expect_scale((actune_init_desc){.nonlinearity = "conv_transpose2d"}, 1 / sqrt(in));
    expect_scale((actune_init_desc){.nonlinearity = "sigmoid"}, 1 / sqrt(in));
    expect_scale((actune_init_desc){.nonlinearity = "tanh"}, 5 / (3 * sqrt(in)));
    expect_scale((actune_init_desc){.nonlinearity = "selu"}, 0.75 / sqrt(in));
    expect_scale((actune_init_desc){.slope = 0.25}, sqrt(2 / 1.0625 / in));
    expect_scale((actune_init_desc){.nonlinearity = "leaky_relu", .slope = -2}, sqrt(2 / 5.0 / in));
    expect_scale((actune_init_desc){.nonlinearity = "relu", .slope = 3}, sqrt(2 / in));
    expect_scale((actune_init_desc){.gain = 3}, 3 / sqrt(in));
    expect_scale((actune_init_desc){.kind = ACTUNE_XAVIER_NORMAL}, sqrt(2 / (in + out)));
    expect_scale((actune_init_desc){.kind = ACTUNE_XAVIER_UNIFORM, .nonlinearity = "tanh"}, 5 / 3.0 * sqrt(6 / (in + out)));
}

/* --- draws --- */

enum { N = 60001 };
static const at_init_draw normal_draw = {.seed = 0x123456789abcdef0, .offset = 7, .normal = 1, .scale = 1};

/* The definition once more, in long double and with libm. */
static void exact_pair(const at_init_draw *draw, int64_t pair, long double *even, long double *odd)
{
    uint32_t c[4] = {(uint32_t)pair, (uint32_t)(pair >> 32), (uint32_t)draw->offset, (uint32_t)(draw->offset >> 32)};
    at_philox(c, draw->seed);
    long double a = ldexpl((long double)((c[0] | (uint64_t)c[1] << 32) >> 12), -52), b = ldexpl((long double)((c[2] | (uint64_t)c[3] << 32) >> 12), -52);
    long double radius = sqrtl(-2 * logl(1 - a)), turn = 8 * atanl(1) * b;
    *even = draw->normal ? radius * cosl(turn) : 2 * a - 1;
    *odd = draw->normal ? radius * sinl(turn) : 2 * b - 1;
}

static double *draw_plain(const at_init_draw *draw)
{
    double *x = malloc(N * sizeof *x);
    cr_assert(x);
    at_init_plain(ACTUNE_F64, draw, x, 0, N);
    return x;
}

Test(init, accuracy)
{
    double *x = draw_plain(&normal_draw), worst = 0;
    for (int64_t i = 0; i + 1 < N; i += 2) {
        long double exact[2];
        exact_pair(&normal_draw, i / 2, &exact[0], &exact[1]);
        for (int k = 0; k < 2; k++) {
            /* Near 0 the angle's own unit counts: half a turn's 2^-52. */
            double unit = fmax(ldexp(1, ilogb((double)exact[k]) - 52), 0x1p-54), off = (double)fabsl(x[i + k] - exact[k]) / unit;
            worst = off > worst ? off : worst;
        }
    }
    printf("normal numbers: at most %.2f ULP of f64\n", worst);
    cr_expect(worst <= 4);
    free(x);
    at_init_draw uniform = normal_draw;
    uniform.normal = 0;
    x = draw_plain(&uniform);
    for (int64_t i = 0; i + 1 < N; i += 2) {
        long double exact[2];
        exact_pair(&uniform, i / 2, &exact[0], &exact[1]);
        cr_assert(x[i] == exact[0] && x[i + 1] == exact[1] && x[i] >= -1 && x[i] < 1);
    }
    free(x);
}

/* The ends of (0, 1] under the logarithm, through a counter cannot be reached: Philox' words are what they are. The largest radius is finite. */
Test(init, moments)
{
    for (int normal = 0; normal < 2; normal++) {
        at_init_draw draw = normal_draw;
        draw.normal = (uint64_t)normal;
        double *x = draw_plain(&draw), sum = 0, square = 0, fourth = 0, lag1 = 0, lag2 = 0;
        for (int i = 0; i < N; i++) {
            sum += x[i];
            square += x[i] * x[i];
            fourth += x[i] * x[i] * x[i] * x[i];
            lag1 += i ? x[i] * x[i - 1] : 0;
            lag2 += i > 1 ? x[i] * x[i - 2] : 0;
        }
        double variance = normal ? 1 : 1 / 3.0, fourth_exact = normal ? 3 : 0.2, spread = normal ? sqrt(96) : sqrt(1 / 9.0 - 0.04);
        cr_expect(fabs(sum / N) < 5 * sqrt(variance / N), "mean %g", sum / N);
        cr_expect(fabs(square / N - variance) < 5 * sqrt((fourth_exact - variance * variance) / N), "variance %g", square / N);
        cr_expect(fabs(fourth / N - fourth_exact) < 5 * spread / sqrt(N), "fourth moment %g", fourth / N);
        cr_expect(fabs(lag1 / N) < 5 * variance / sqrt(N), "neighbours %g", lag1 / N);
        cr_expect(fabs(lag2 / N) < 5 * variance / sqrt(N), "neighbouring counters %g", lag2 / N);
        free(x);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov: 1.95 / sqrt(n) is passed by 1 sample in 1000; the sample is fixed. */
Test(init, distribution)
{
    for (int normal = 0; normal < 2; normal++) {
        at_init_draw draw = normal_draw;
        draw.normal = (uint64_t)normal;
        double *x = draw_plain(&draw), most = 0;
        qsort(x, N, sizeof *x, ascending);
        for (int i = 0; i < N; i++) {
            double wanted = normal ? erfc(-x[i] / sqrt(2)) / 2 : (x[i] + 1) / 2;
            most = fmax(most, fmax(fabs(wanted - (double)i / N), fabs(wanted - (i + 1.0) / N)));
        }
        cr_expect(most * sqrt(N) < 1.95, "%g", most * sqrt(N));
        free(x);
    }
}

static double correlation(const double *x, const double *y)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += x[i] * y[i];
    return sum / N;
}

Test(init, seeds_and_offsets)
{
    at_init_draw other = normal_draw;
    double *x = draw_plain(&normal_draw), *y;
    other.offset++;
    y = draw_plain(&other);
    cr_expect(fabs(correlation(x, y)) < 5 / sqrt(N));
    free(y);
    other = normal_draw;
    other.seed++;
    y = draw_plain(&other);
    cr_expect(fabs(correlation(x, y)) < 5 / sqrt(N));
    free(y);
    other = normal_draw;
    other.offset += UINT64_C(1) << 32; /* the high words count too */
    y = draw_plain(&other);
    cr_expect(fabs(correlation(x, y)) < 5 / sqrt(N));
    free(y);
    other = normal_draw;
    other.seed += UINT64_C(1) << 32;
    y = draw_plain(&other);
    cr_expect(fabs(correlation(x, y)) < 5 / sqrt(N));
    free(y);
    free(x);
}

/* --- the same bits, whatever computes them --- */

static actune_context *open_context(int threads)
{
    actune_context *context;
    actune_context_options options = {.database = "", .max_threads = threads};
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    return context;
}

static const int64_t square_shape[] = {301, 199};
enum { SQUARE = 301 * 199 };
static const char *const levels[] = {"generic", "x86-64-v2", "x86-64-v3", "x86-64-v4", "neon"};

/* What is behind the end must stay. */
static void expect_bits(actune_context *context, actune_dtype dtype, actune_init_kind kind, const char *what)
{
    actune_init_desc desc = {.kind = kind, .shape = square_shape, .rank = 2, .seed = 99, .offset = 3};
    size_t bytes = (size_t)at_dtype_get(dtype)->bytes;
    at_init_draw draw = {.seed = 99, .offset = 3, .normal = kind % 2 == 0};
    char *got = malloc(SQUARE * bytes + 64), *want = malloc(SQUARE * bytes + 64);
    cr_assert(got && want);
    memset(got, 0x5a, SQUARE * bytes + 64);
    memset(want, 0x5a, SQUARE * bytes + 64);
    cr_assert_eq(actune_init_scale(&desc, &draw.scale), ACTUNE_OK);
    at_init_plain(dtype, &draw, want, 0, SQUARE);
    actune_buffer weight = {got, SQUARE, dtype};
    cr_assert_eq(actune_init(context, &desc, &weight, NULL), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_eq(memcmp(got, want, SQUARE * bytes + 64), 0, "%s, %s, kind %d", what, at_dtype_get(dtype)->name, kind);
    free(got);
    free(want);
}

/* `step`: every element type, or every second one. */
static void every_type(const char *what, int threads, int step)
{
    actune_context *context = open_context(threads);
    for (int dtype = 0; dtype < AT_DTYPE_WIDE_COUNT; dtype += step) {
        expect_bits(context, (actune_dtype)dtype, ACTUNE_KAIMING_NORMAL, what);
        expect_bits(context, (actune_dtype)dtype, ACTUNE_XAVIER_UNIFORM, what);
        if (strcmp(what, "without a compiler") != 0 && strcmp(what, "interpreting") != 0)
            cr_expect_not_null(context->init.binary[dtype], "%s: %s is compiled", what, at_dtype_get((actune_dtype)dtype)->name);
    }
    actune_context_close(context);
}

Test(init, same_bits, .init = setup, .fini = remove_root)
{
    every_type("host", 1, 1);
    every_type("host, three threads", 3, 1);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        at_isa isa;
        cr_assert(at_isa_find(levels[i], &isa));
        setenv("ACTUNE_ISA", levels[i], 1);
        if (at_isa_host() == isa)
            every_type(levels[i], 2, 2);
    }
    unsetenv("ACTUNE_ISA");
    setenv("ACTUNE_INTERPRET", "1", 1);
    every_type("interpreting", 2, 1);
    unsetenv("ACTUNE_INTERPRET");
}

Test(init, other_compiler, .init = setup, .fini = remove_root)
{
    setenv("ACTUNE_CC", "gcc", 1);
    every_type("gcc", 2, 2);
}

Test(init, without_a_compiler, .init = setup, .fini = remove_root)
{
    setenv("ACTUNE_CC", "/nonexistent/cc", 1);
    every_type("without a compiler", 2, 1);
}

/* Where NVRTC is, it takes the CUDA text; what it computes is compared on the fake driver (tests/fake_driver/fake_init.c). */
Test(init, nvrtc)
{
    int major, minor;
    const char *path;
    if (at_nvrtc_version(&major, &minor, &path) != ACTUNE_OK)
        return;
    for (int dtype = 0; dtype < AT_DTYPE_WIDE_COUNT; dtype++) {
        const at_target target = {.cuda = true, .cuda_arch = 90};
        at_strbuf source = {0};
        at_nvrtc_output output;
        cr_assert_eq(at_emit_init((actune_dtype)dtype, &target, &source), ACTUNE_OK);
        cr_assert_eq(at_nvrtc_compile(at_strbuf_text(&source), "init.cu", 90, true, &output), ACTUNE_OK, "%s", actune_last_error());
        cr_expect_eq(output.spill_bytes, 0);
        at_nvrtc_output_clear(&output);
        at_strbuf_clear(&source);
    }
}

/* A slice that begins in the middle has the bits of the whole. */
Test(init, slices)
{
    float whole[1000], part[1000];
    at_init_plain(ACTUNE_F32, &normal_draw, whole, 0, 1000);
    at_init_plain(ACTUNE_F32, &normal_draw, part, 0, 334);
    at_init_plain(ACTUNE_F32, &normal_draw, part, 334, 1000);
    cr_expect_arr_eq(whole, part, sizeof whole);
}

/* f16 is f32 rounded, but for what rounding twice does. */
Test(init, types_agree)
{
    double wide[1000];
    float single[1000];
    uint16_t half[1000];
    at_init_plain(ACTUNE_F64, &normal_draw, wide, 0, 1000);
    at_init_plain(ACTUNE_F32, &normal_draw, single, 0, 1000);
    at_init_plain(ACTUNE_F16, &normal_draw, half, 0, 1000);
    for (int i = 0; i < 1000; i++)
        cr_assert(single[i] == (float)wide[i] && half[i] == at_f16_from_double(wide[i]));
}

/* --- what is refused --- */

static void refused(actune_init_desc desc, const char *word)
{
    double scale = 42;
    cr_expect_eq(actune_init_scale(&desc, &scale), ACTUNE_INVALID_ARGUMENT, "%s", word);
    cr_expect_not_null(strstr(actune_last_error(), word), "'%s' in: %s", word, actune_last_error());
    cr_expect_eq(scale, 42);
}

Test(init, refusals)
{
    static const int64_t none[] = {3, 0}, negative[] = {-3, 4}, huge[] = {INT64_C(1) << 40, INT64_C(1) << 40};
    const actune_init_desc good = {.shape = conv, .rank = 4};
    actune_init_desc bad = good;
    double scale;
    refused((actune_init_desc){.rank = 2}, "shape is NULL");
    refused((actune_init_desc){.shape = conv, .rank = 1}, "shape has 1 axes");
    refused((actune_init_desc){.shape = conv, .rank = 99}, "shape has 99 axes");
    refused((actune_init_desc){.shape = none, .rank = 2}, "shape: axis 1 is 0");
    refused((actune_init_desc){.shape = negative, .rank = 2}, "shape: axis 0 is -3");
    refused((actune_init_desc){.shape = huge, .rank = 2}, "shape has more elements");
    bad.nonlinearity = "rellu";
    refused(bad, "nonlinearity 'rellu' has no known gain; did you mean 'relu'");
    bad.nonlinearity = "relu", bad.gain = 1;
    refused(bad, "gain and nonlinearity");
    bad = good, bad.gain = -1;
    refused(bad, "gain is -1");
    bad.gain = (double)NAN;
    refused(bad, "gain is");
    bad = good, bad.slope = (double)INFINITY;
    refused(bad, "slope is not finite");
    bad = good, bad.kind = (actune_init_kind)4;
    refused(bad, "kind 4");
    bad = good, bad.mode = (actune_fan_mode)2;
    refused(bad, "mode 2");
    cr_expect_eq(actune_init_scale(NULL, &scale), ACTUNE_INVALID_ARGUMENT);
    cr_expect_eq(actune_init_scale(&good, NULL), ACTUNE_INVALID_ARGUMENT);
}

static void not_drawn(actune_context *context, const actune_buffer *weight, void *stream, const char *word)
{
    const actune_init_desc desc = {.shape = conv, .rank = 4};
    cr_expect_eq(actune_init(context, &desc, weight, stream), ACTUNE_INVALID_ARGUMENT, "%s", word);
    cr_expect_not_null(strstr(actune_last_error(), word), "'%s' in: %s", word, actune_last_error());
}

Test(init, buffers, .init = setup, .fini = remove_root)
{
    static float memory[64 * 3 * 49 + 1];
    enum { ALL = 64 * 3 * 49 };
    actune_context *context = open_context(1);
    not_drawn(NULL, &(actune_buffer){memory, ALL, ACTUNE_F32}, NULL, "context is NULL");
    not_drawn(context, NULL, NULL, "weight is NULL");
    not_drawn(context, &(actune_buffer){NULL, ALL, ACTUNE_F32}, NULL, "weight is NULL");
    not_drawn(context, &(actune_buffer){memory, ALL - 1, ACTUNE_F32}, NULL, "weight has 9407 elements, the shape has 9408");
    not_drawn(context, &(actune_buffer){memory, ALL, (actune_dtype)77}, NULL, "dtype 77");
    not_drawn(context, &(actune_buffer){(char *)memory + 2, ALL, ACTUNE_F32}, NULL, "not aligned");
    not_drawn(context, &(actune_buffer){memory, ALL, ACTUNE_F32}, memory, "stream is NULL");
    for (int i = 0; i < ALL + 1; i++)
        cr_assert_eq(memory[i], 0, "nothing is written");
    actune_context_close(context);
}
