/* standardize against torch's definition of normalisation, written out here in long double: forward and backward, in every layout and type, by
   compiled kernels and by the interpreter; far means, outliers, constants, NaN and infinities, nothing at all; in place; on threads. */
#include "codegen/kernel.h"
#include "runtime/base/dtype.h"

#include <actune/actune.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char cache_folder[128];

static void set_up(void)
{
    snprintf(cache_folder, sizeof cache_folder, "/tmp/actune-test-standardize-%ld", (long)getpid());
    cr_assert_eq(mkdir(cache_folder, 0700), 0);
}

static void tear_down(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", cache_folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(standardize, .init = set_up, .fini = tear_down);

static actune_context *open_context(void)
{
    actune_context_options options = {.database = "", .cache_folder = cache_folder};
    actune_context *context;
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    return context;
}

/* --- the reference --- */

/* bias | standardize | relu or without its first or last stage. */
typedef struct pipeline {
    actune_shape shape;
    actune_dtype dtype;
    bool channel, bias, relu, eps_is_zero;
} pipeline;

static int64_t elements_of(actune_shape shape)
{
    return shape.outer * shape.channels * shape.inner;
}

static int64_t channel_of(actune_shape shape, int64_t element)
{
    return element / shape.inner % shape.channels;
}


/* u, then z in its place; rstd of its group. */
static long double standardized(const pipeline *p, const long double *u, int64_t element, long double *rstd)
{
    int64_t n = elements_of(p->shape), own = channel_of(p->shape, element), count = 0;
    long double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++)
        if (!p->channel || channel_of(p->shape, i) == own) {
            mean += u[i];
            count++;
        }
    mean /= count;
    for (int64_t i = 0; i < n; i++)
        if (!p->channel || channel_of(p->shape, i) == own)
            variance += (u[i] - mean) * (u[i] - mean);
    *rstd = 1 / sqrtl(variance / count + (p->eps_is_zero ? 0 : 1e-5L));
    return (u[element] - mean) * *rstd;
}

typedef struct reference {
    long double *u, *z, *rstd, *y, *dz, *dx, *dbias;
} reference;

static long double *array(int64_t count)
{
    long double *made = calloc((size_t)count + 1, sizeof *made);
    cr_assert(made);
    return made;
}

static void reference_clear(reference *r)
{
    free(r->u), free(r->z), free(r->rstd), free(r->y), free(r->dz), free(r->dx), free(r->dbias);
}

/* Groups repeat: the statistics of a group are found at its first element. */
static void reference_make(const pipeline *p, const void *x, const double *bias, const void *dy, reference *r)
{
    int64_t n = elements_of(p->shape), groups = p->channel ? p->shape.channels : 1;
    *r = (reference){array(n), array(n), array(groups), array(n), array(n), array(n), array(p->shape.channels)};
    long double *mean = array(groups), *sum = array(groups), *sum_z = array(groups), *count = array(groups);
    bool *known = calloc((size_t)groups + 1, sizeof *known);
    for (int64_t i = 0; i < n; i++) {
        r->u[i] = at_dtype_load(p->dtype, x, i) + (p->bias ? (long double)bias[channel_of(p->shape, i)] : 0);
        if (p->bias) /* a stage's value has the compute type */
            r->u[i] = p->dtype == ACTUNE_F64 ? (double)r->u[i] : (float)r->u[i];
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t g = p->channel ? channel_of(p->shape, i) : 0;
        if (!known[g]) {
            long double z = standardized(p, r->u, i, &r->rstd[g]);
            mean[g] = r->u[i] - z / r->rstd[g];
            known[g] = true;
        }
        r->z[i] = (r->u[i] - mean[g]) * r->rstd[g];
        r->y[i] = p->relu && r->z[i] < 0 ? 0 : r->z[i];
        r->dz[i] = p->relu && r->z[i] <= 0 ? 0 : at_dtype_load(p->dtype, dy, i);
        sum[g] += r->dz[i];
        sum_z[g] += r->dz[i] * r->z[i];
        count[g]++;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t g = p->channel ? channel_of(p->shape, i) : 0;
        r->dx[i] = r->rstd[g] * (r->dz[i] - sum[g] / count[g] - r->z[i] * sum_z[g] / count[g]);
        r->dbias[channel_of(p->shape, i)] += r->dx[i];
    }
    free(mean), free(sum), free(sum_z), free(count), free(known);
}

/* --- running --- */

static void spec_of(const pipeline *p, char *text, size_t room)
{
    snprintf(text, room, "%sstandardize%s%s%s%s", p->bias ? "bias | " : "", p->channel || p->eps_is_zero ? "(" : "",
             p->channel ? "channel" : "", p->eps_is_zero ? p->channel ? ", eps=0)" : "eps=0)" : p->channel ? ")" : "", p->relu ? " | relu" : "");
}

static actune_plan *plan_of(actune_context *context, const pipeline *p, bool backward, bool in_place, int threads)
{
    static const char *const gradients[] = {"bias"};
    char spec[128];
    spec_of(p, spec, sizeof spec);
    actune_plan_desc desc = {.spec = spec, .direction = backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, .dtype_in = p->dtype, .dtype_out = p->dtype,
                             .shape = p->shape, .gradients = gradients, .gradient_count = backward && p->bias, .in_place = in_place,
                             .max_threads = threads};
    actune_plan *plan;
    cr_assert_eq(actune_plan_create(context, &desc, &plan), ACTUNE_OK, "%s: %s", spec, actune_last_error());
    const char *interpret = getenv("ACTUNE_INTERPRET");
    actune_plan_info info;
    actune_plan_describe(plan, &info);
    cr_assert(strstr(info.note, "interpreted") == NULL || (interpret && strcmp(interpret, "1") == 0), "%s is not compiled: %s", spec, info.note);
    return plan;
}

static double allowed(actune_dtype dtype, long double want)
{
    static const double share[] = {[ACTUNE_F32] = 3e-6, [ACTUNE_F64] = 1e-10, [ACTUNE_F16] = 1e-3, [ACTUNE_BF16] = 8e-3};
    return share[dtype] * (1 + fabs((double)want));
}

static void compare(const pipeline *p, const char *what, const void *got, const long double *want, int64_t count, actune_dtype dtype, long double scale)
{
    char spec[128];
    spec_of(p, spec, sizeof spec);
    for (int64_t i = 0; i < count; i++) {
        double value = at_dtype_load(dtype, got, i);
        bool right = isnan(want[i]) ? isnan(value) : fabs(value - (double)want[i]) <= allowed(dtype, want[i]) * (double)scale;
        cr_assert(right, "%s %s [%lld, %lld, %lld]: %s[%lld] = %.9g, not %.9Lg", spec, at_dtype_get(p->dtype)->name, (long long)p->shape.outer,
                  (long long)p->shape.channels, (long long)p->shape.inner, what, (long long)i, value, want[i]);
    }
}

static void *room(actune_dtype dtype, int64_t count)
{
    void *made = malloc((size_t)(count + 1) * (size_t)at_dtype_get(dtype)->bytes);
    cr_assert(made);
    memset(made, 0xff, (size_t)(count + 1) * (size_t)at_dtype_get(dtype)->bytes);
    return made;
}

/* x and dy as they are; what comes out is compared. */
static void check(actune_context *context, const pipeline *p, const void *x, const void *dy)
{
    int64_t n = elements_of(p->shape), channels = p->shape.channels;
    actune_dtype compute = p->dtype == ACTUNE_F64 ? ACTUNE_F64 : ACTUNE_F32;
    double *bias = calloc((size_t)channels + 1, sizeof *bias);
    void *own_bias = room(compute, channels), *dbias = room(compute, channels), *y = room(p->dtype, n), *dx = room(p->dtype, n);
    for (int64_t c = 0; c < channels; c++) {
        bias[c] = 0.25 * (double)(c % 7) - 0.5;
        at_dtype_store(compute, own_bias, c, bias[c]);
    }
    reference r;
    reference_make(p, x, bias, dy, &r);
    actune_plan *forward = plan_of(context, p, false, false, 0), *backward = plan_of(context, p, true, false, 0);
    const actune_buffer bx = {(void *)x, n, p->dtype}, bdy = {(void *)dy, n, p->dtype}, bbias = {own_bias, channels, compute};
    actune_buffer f[3] = {bx, {y, n, p->dtype}}, b[6] = {bx, bdy, {dx, n, p->dtype}};
    if (p->bias) {
        f[1] = b[2] = bbias;
        f[2] = (actune_buffer){y, n, p->dtype};
        b[3] = (actune_buffer){dx, n, p->dtype};
        b[4] = (actune_buffer){dbias, channels, compute};
    }
    cr_assert_eq(actune_execute(forward, f, 2 + p->bias), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(actune_execute(backward, b, 3 + 2 * p->bias), ACTUNE_OK, "%s", actune_last_error());
    long double largest = 1;
    for (int64_t g = 0; g < (p->channel ? channels : 1); g++)
        largest = r.rstd[g] > largest ? r.rstd[g] : largest;
    compare(p, "y", y, r.y, n, p->dtype, 1);
    compare(p, "dx", dx, r.dx, n, p->dtype, largest);
    if (p->bias)
        compare(p, "dbias", dbias, r.dbias, channels, compute, largest * (long double)(1 + sqrt((double)n)));
    reference_clear(&r);
    actune_plan_destroy(forward);
    actune_plan_destroy(backward);
    free(bias), free(own_bias), free(dbias), free(y), free(dx);
}

/* About normal, with its mean and deviation; reproducible. */
static double draw(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 11) * 0x1p-53;
    }
    return sum;
}

static void fill(actune_dtype dtype, void *array_of, int64_t count, double mean, double deviation, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        at_dtype_store(dtype, array_of, i, mean + deviation * draw(&seed));
}

static void check_filled(actune_context *context, const pipeline *p, double mean, double first)
{
    int64_t n = elements_of(p->shape);
    void *x = room(p->dtype, n), *dy = room(p->dtype, n);
    fill(p->dtype, x, n, mean, 2, 1);
    fill(p->dtype, dy, n, 0, 1, 2);
    if (!isnan(first) && n > 0)
        at_dtype_store(p->dtype, x, 0, first);
    check(context, p, x, dy);
    free(x), free(dy);
}

/* --- tests --- */

static const actune_shape shapes[] = {{1, 1, 2},    {1, 1, 33},    {1, 1, 1001}, {1, 1, 16384}, {1, 1, 33003}, {2, 1, 1}, {5, 3, 1},    {37, 31, 1},
                                      {40, 1100, 1}, {1000, 40, 1}, {2, 3, 5},    {3, 7, 49},    {2, 2, 17000}};

static void check_shapes(const char *interpret, actune_dtype dtype)
{
    setenv("ACTUNE_INTERPRET", interpret, 1);
    actune_context *context = open_context();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = dtype == ACTUNE_F32 ? 0 : 1; k < (dtype == ACTUNE_F32 ? 4 : 3); k++) {
            pipeline p = {.shape = shapes[i], .dtype = dtype, .channel = k & 1, .bias = k & 2, .relu = k > 0};
            check_filled(context, &p, dtype == ACTUNE_F16 || dtype == ACTUNE_BF16 ? 3 : 50, NAN);
        }
    actune_context_close(context);
}

Test(standardize, f32)
{
    check_shapes("0", ACTUNE_F32);
    check_shapes("1", ACTUNE_F32);
}

Test(standardize, f64)
{
    check_shapes("0", ACTUNE_F64);
    check_shapes("1", ACTUNE_F64);
}

Test(standardize, f16_and_bf16)
{
    check_shapes("0", ACTUNE_F16);
    check_shapes("0", ACTUNE_BF16);
}

/* A mean of a thousand and of a million deviations, and a first value that lies far from all others. */
Test(standardize, far_means_and_outliers)
{
    static const actune_shape places[] = {{1, 1, 40000}, {500, 24, 1}, {3, 2, 3000}};
    static const double means[] = {2e3, -2e6, 1e3}, firsts[] = {NAN, NAN, -1e5};
    for (int interpreted = 0; interpreted < 2; interpreted++) {
        setenv("ACTUNE_INTERPRET", interpreted ? "1" : "0", 1);
        actune_context *context = open_context();
        for (int i = 0; i < 9; i++)
            for (int channel = 0; channel < 2; channel++)
                check_filled(context, &(pipeline){.shape = places[i / 3], .dtype = ACTUNE_F32, .channel = channel, .relu = channel}, means[i % 3],
                             firsts[i % 3]);
        actune_context_close(context);
    }
}

/* A constant has no variance: 0 with eps, and 0 / 0 without (as torch's layer_norm); so has a single value. */
Test(standardize, constants)
{
    for (int interpreted = 0; interpreted < 2; interpreted++) {
        setenv("ACTUNE_INTERPRET", interpreted ? "1" : "0", 1);
        actune_context *context = open_context();
        for (int k = 0; k < 12; k++) {
            static const actune_shape places[] = {{1, 1, 1}, {1, 5, 1}, {700, 3, 1}};
            pipeline p = {.shape = places[k % 3], .dtype = k / 6 ? ACTUNE_F64 : ACTUNE_F32, .channel = true, .eps_is_zero = k / 3 % 2};
            int64_t n = elements_of(p.shape);
            void *x = room(p.dtype, n), *y = room(p.dtype, n);
            for (int64_t i = 0; i < n; i++)
                at_dtype_store(p.dtype, x, i, 1000.1);
            actune_plan *plan = plan_of(context, &p, false, false, 0);
            actune_buffer buffers[] = {{x, n, p.dtype}, {y, n, p.dtype}};
            cr_assert_eq(actune_execute(plan, buffers, 2), ACTUNE_OK);
            for (int64_t i = 0; i < n; i++) {
                double got = at_dtype_load(p.dtype, y, i);
                cr_assert(p.eps_is_zero ? isnan(got) : got == 0, "case %d, y[%lld] = %g", k, (long long)i, got);
            }
            actune_plan_destroy(plan);
            free(x), free(y);
        }
        actune_context_close(context);
    }
}

/* NaN and infinities spoil what they are averaged with, and nothing else. */
Test(standardize, not_finite)
{
    for (int interpreted = 0; interpreted < 2; interpreted++) {
        setenv("ACTUNE_INTERPRET", interpreted ? "1" : "0", 1);
        actune_context *context = open_context();
        for (int k = 0; k < 12; k++) {
            static const double values[] = {NAN, INFINITY, -INFINITY};
            static const actune_shape places[] = {{300, 5, 1}, {2, 5, 90}};
            pipeline p = {.shape = places[k / 3 % 2], .dtype = k / 6 ? ACTUNE_F64 : ACTUNE_F32, .channel = true};
            int64_t n = elements_of(p.shape), at = p.shape.inner == 1 ? 5 * 70 + 2 : 2 * 90 + 33; /* channel 2 */
            void *x = room(p.dtype, n), *y = room(p.dtype, n);
            fill(p.dtype, x, n, 1, 1, 3);
            at_dtype_store(p.dtype, x, at, values[k % 3]);
            actune_plan *plan = plan_of(context, &p, false, false, 0);
            actune_buffer buffers[] = {{x, n, p.dtype}, {y, n, p.dtype}};
            cr_assert_eq(actune_execute(plan, buffers, 2), ACTUNE_OK);
            for (int64_t i = 0; i < n; i++)
                cr_assert_eq(!!isnan(at_dtype_load(p.dtype, y, i)), channel_of(p.shape, i) == 2, "case %d, element %lld", k, (long long)i);
            actune_plan_destroy(plan);
            free(x), free(y);
        }
        actune_context_close(context);
    }
}

Test(standardize, nothing)
{
    actune_context *context = open_context();
    pipeline p = {.shape = {0, 3, 1}, .dtype = ACTUNE_F32, .channel = true, .bias = true};
    actune_plan *forward = plan_of(context, &p, false, false, 0), *backward = plan_of(context, &p, true, false, 0);
    float bias[3] = {1, 2, 3}, dbias[3] = {9, 9, 9};
    actune_buffer f[] = {{NULL, 0, ACTUNE_F32}, {bias, 3, ACTUNE_F32}, {NULL, 0, ACTUNE_F32}};
    actune_buffer b[] = {{NULL, 0, ACTUNE_F32}, {NULL, 0, ACTUNE_F32}, {bias, 3, ACTUNE_F32}, {NULL, 0, ACTUNE_F32}, {dbias, 3, ACTUNE_F32}};
    cr_assert_eq(actune_execute(forward, f, 3), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(actune_execute(backward, b, 5), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < 3; i++)
        cr_expect_eq(dbias[i], 0);
    actune_plan_destroy(forward);
    actune_plan_destroy(backward);
    actune_context_close(context);
}

/* y over x and dx over dy, and any number of threads: the same bits. */
Test(standardize, in_place_and_on_threads)
{
    actune_context *context = open_context();
    static const actune_shape places[] = {{1, 1, 100003}, {3000, 33, 1}, {4, 3, 9001}};
    for (int k = 0; k < 12; k++) {
        pipeline p = {.shape = places[k % 3], .dtype = ACTUNE_F32, .channel = k / 3 % 2, .relu = k / 3 % 2};
        bool backward = k / 6;
        int64_t n = elements_of(p.shape);
        float *x = room(p.dtype, n), *dy = room(p.dtype, n), *want = room(p.dtype, n), *got = room(p.dtype, n);
        fill(p.dtype, x, n, 5, 2, 1);
        fill(p.dtype, dy, n, 0, 1, 2);
        actune_plan *one = plan_of(context, &p, backward, false, 1), *place = plan_of(context, &p, backward, true, 0);
        actune_buffer apart[] = {{x, n, p.dtype}, {backward ? dy : want, n, p.dtype}, {want, n, p.dtype}};
        memcpy(got, backward ? dy : x, (size_t)n * sizeof *got);
        actune_buffer same[] = {{backward ? x : got, n, p.dtype}, {got, n, p.dtype}, {got, n, p.dtype}};
        cr_assert_eq(actune_execute(one, apart, 2 + backward), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_eq(actune_execute(place, same, 2 + backward), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_arr_eq(got, want, (size_t)n * sizeof *got, "case %d", k);
        actune_plan_destroy(one);
        actune_plan_destroy(place);
        free(x), free(dy), free(want), free(got);
    }
    actune_context_close(context);
}

/* --- lowering --- */

static void lower(const char *text, actune_direction direction, at_kernel *kernel, actune_status wanted)
{
    at_kernel_request request = {.direction = direction, .dtype_in = ACTUNE_F32, .dtype_out = ACTUNE_F16};
    at_spec spec;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s: %s", text, actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, kernel), wanted, "%s: %s", text, actune_last_error());
    at_spec_clear(&spec);
}

Test(standardize, passes)
{
    at_kernel forward, backward, other, alone;
    lower("bias | standardize(channel) | gelu | add", ACTUNE_FORWARD, &forward, ACTUNE_OK);
    lower("bias | standardize(channel) | relu", ACTUNE_BACKWARD, &backward, ACTUNE_OK);
    lower("bias | standardize(channel, eps=1e-3) | relu", ACTUNE_FORWARD, &other, ACTUNE_OK);
    lower("[pass=2] bias | standardize(channel) | gelu | add", ACTUNE_FORWARD, &alone, ACTUNE_OK);
    cr_expect_eq(forward.passes, 2);
    cr_expect_eq(backward.passes, 3);
    cr_expect_eq(forward.signature.ports, 4); /* x, bias, add, y */
    cr_expect(forward.signature.has_channel);
    cr_expect_str_eq(forward.spec, "bias | standardize(channel) | gelu | add");
    cr_expect_str_eq(forward.pass[0].kernel->spec, "[pass=1] bias | standardize(channel) | gelu | add");
    /* The statistics are one kernel, whatever comes after them; eps is part of it. */
    cr_expect_str_eq(forward.pass[0].kernel->hash.hex, backward.pass[0].kernel->hash.hex);
    cr_expect_str_neq(forward.pass[0].kernel->hash.hex, other.pass[0].kernel->hash.hex);
    cr_expect_str_neq(forward.hash.hex, other.hash.hex);
    /* A pass by its own text. */
    cr_expect_eq(alone.passes, 0);
    cr_expect_str_eq(alone.hash.hex, forward.pass[1].kernel->hash.hex);
    cr_expect_str_eq(alone.spec, forward.pass[1].kernel->spec);
    static const char *const ports[] = {"x", "bias", "add", "mean", "mean_low", "rstd", "y"};
    cr_expect_eq(alone.signature.ports, 7);
    for (int i = 0; i < alone.signature.ports && i < 7; i++)
        cr_expect_str_eq(alone.signature.port[i].name, ports[i]);
    at_kernel_clear(&forward);
    at_kernel_clear(&backward);
    at_kernel_clear(&other);
    at_kernel_clear(&alone);
    lower("[pass=3] standardize", ACTUNE_FORWARD, &alone, ACTUNE_INVALID_ARGUMENT);
    cr_expect(strstr(actune_last_error(), "has 2 passes forward, there is no pass 3"), "%s", actune_last_error());
    lower("[pass=2] relu", ACTUNE_FORWARD, &alone, ACTUNE_INVALID_ARGUMENT);
    lower("[pass=1] relu", ACTUNE_FORWARD, &alone, ACTUNE_OK);
    cr_expect_str_eq(alone.spec, "relu");
    at_kernel_clear(&alone);
    lower("standardize | standardize | standardize | standardize | standardize", ACTUNE_FORWARD, &alone, ACTUNE_UNSUPPORTED);
}

/* Two barriers, each with statistics of its own: against standardising twice with a step between. */
Test(standardize, twice)
{
    enum { N = 5000 };
    static float x[N], dy[N], y[N], dx[N], z[N], dz[N], want[N], want_dx[N];
    fill(ACTUNE_F32, x, N, 4, 3, 1);
    fill(ACTUNE_F32, dy, N, 0, 1, 2);
    static const char *const specs[] = {"standardize | tanh | standardize", "standardize | tanh", "standardize"};
    setenv("ACTUNE_INTERPRET", "1", 1);
    actune_context *context = open_context();
    actune_plan *plan[3][2];
    for (int s = 0; s < 3; s++)
        for (int d = 0; d < 2; d++) {
            actune_plan_desc desc = {.spec = specs[s], .direction = (actune_direction)d, .shape = {1, 1, N}};
            cr_assert_eq(actune_plan_create(context, &desc, &plan[s][d]), ACTUNE_OK, "%s", actune_last_error());
        }
    actune_buffer whole[] = {{x, N, 0}, {y, N, 0}}, first[] = {{x, N, 0}, {z, N, 0}}, second[] = {{z, N, 0}, {want, N, 0}};
    actune_buffer back[] = {{x, N, 0}, {dy, N, 0}, {dx, N, 0}}, back2[] = {{z, N, 0}, {dy, N, 0}, {dz, N, 0}}, back1[] = {{x, N, 0}, {dz, N, 0}, {want_dx, N, 0}};
    cr_assert_eq(actune_execute(plan[0][0], whole, 2), ACTUNE_OK);
    cr_assert_eq(actune_execute(plan[1][0], first, 2), ACTUNE_OK);
    cr_assert_eq(actune_execute(plan[2][0], second, 2), ACTUNE_OK);
    cr_assert_eq(actune_execute(plan[0][1], back, 3), ACTUNE_OK);
    cr_assert_eq(actune_execute(plan[2][1], back2, 3), ACTUNE_OK);
    cr_assert_eq(actune_execute(plan[1][1], back1, 3), ACTUNE_OK);
    for (int i = 0; i < N; i++) {
        cr_assert_float_eq(y[i], want[i], 1e-5, "y[%d] = %g, not %g", i, y[i], want[i]);
        cr_assert_float_eq(dx[i], want_dx[i], 1e-5, "dx[%d] = %g, not %g", i, dx[i], want_dx[i]);
    }
    for (int s = 0; s < 6; s++)
        actune_plan_destroy(plan[s / 2][s % 2]);
    actune_context_close(context);
}
