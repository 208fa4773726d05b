/* The stage `stats` against MPFR: what a pipeline leaves in its record, by compiled kernels and by the interpreter, in every layout and type, with NaN, infinities
   and both zeros, and means that lie far from 0; exact counts, and mean and variance as a two-pass sum of 200 bits has them. */
#include "runtime/base/dtype.h"

#include <actune/actune.h>
#include <math.h>
#include <mpfr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BITS = 200 };

typedef enum content { CALM, SPECIAL, FAR, VERY_FAR, HUGE_NUMBERS } content;

static const struct test {
    const char *spec;
    bool bias, relu, channel;
    double lo, hi; /* of the clip beside the stage */
} tests[] = {
    {"relu | stats", false, true, false, 0, 0},
    {"bias | stats(channel) | clip(-1, 2)", true, false, true, -1, 2},
    {"bias | clip(-1, 2) | grad_clip(1) | stats | relu", true, false, false, -1, 2},
};

static const actune_shape shapes[] = {{1, 1, 0},  {0, 3, 1},    {1, 1, 1},   {1, 1, 31},   {1, 1, 70001}, {37, 3, 1},
                                      {50, 67, 1}, {2, 1031, 1}, {2, 3, 49}, {1, 2, 20011}, {3, 5, 7}};

static int failures, checked;

static double noise(uint64_t *state)
{
    double sum = 0;
    for (int k = 0; k < 6; k++)
        sum += (double)((*state = *state * 6364136223846793005u + 1442695040888963407u) >> 11) * 0x1p-53 - 0.5;
    return sum * sqrt(2);
}

static double value_of(content what, int64_t i, uint64_t *state)
{
    static const double special[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1e-40, 2, -1};
    double x = noise(state);
    if (what == SPECIAL && i % 11 == 3)
        return special[(i / 11) % 8];
    return what == FAR ? 1000 + x : what == VERY_FAR ? 20000 + x : what == HUGE_NUMBERS ? 1e30 * x : x;
}

static int64_t channel_of(actune_shape shape, int64_t i)
{
    return i / shape.inner % shape.channels;
}

/* What stands where the stage looks, as each compute type has it. */
static double seen_value(const struct test *t, actune_dtype dtype, double x, double bias)
{
    if (t->bias)
        x = dtype == ACTUNE_F64 ? x + bias : (double)((float)x + (float)bias);
    if (t->relu && !isnan(x))
        x = x > 0 ? x : 0;
    if (!strncmp(t->spec, "bias | clip", 11) && !isnan(x))
        x = x < t->lo ? t->lo : x > t->hi ? t->hi : x;
    return x;
}

typedef struct expected {
    int64_t count, nonpositive, zero, clipped, nan, inf;
    double mean, variance, absmax;
} expected;

static void solve(const struct test *t, const double *value, actune_shape shape, int64_t channel, expected *e)
{
    int64_t n = shape.outer * shape.channels * shape.inner;
    mpfr_t mean, term, squares;
    mpfr_inits2(BITS, mean, term, squares, (mpfr_ptr)0);
    *e = (expected){0};
    for (int pass = 0; pass < 2; pass++) {
        mpfr_set_zero(pass ? squares : mean, 1);
        int64_t finite = 0;
        for (int64_t i = 0; i < n; i++) {
            double x = value[i];
            if (channel >= 0 && channel_of(shape, i) != channel)
                continue;
            finite += isfinite(x);
            if (pass && isfinite(x)) {
                mpfr_set_d(term, x, MPFR_RNDN);
                mpfr_sub(term, term, mean, MPFR_RNDN);
                mpfr_sqr(term, term, MPFR_RNDN);
                mpfr_add(squares, squares, term, MPFR_RNDN);
            } else if (!pass) {
                if (isfinite(x))
                    mpfr_add_d(mean, mean, x, MPFR_RNDN);
                e->count++;
                e->nonpositive += x <= 0;
                e->zero += x == 0;
                e->clipped += t->lo < t->hi && (x <= t->lo || x >= t->hi);
                e->nan += isnan(x);
                e->inf += isinf(x) != 0;
                e->absmax = isfinite(x) && fabs(x) > e->absmax ? fabs(x) : e->absmax;
            }
        }
        if (finite)
            mpfr_div_si(pass ? squares : mean, pass ? squares : mean, (long)finite, MPFR_RNDN);
    }
    e->mean = mpfr_get_d(mean, MPFR_RNDN);
    e->variance = mpfr_get_d(squares, MPFR_RNDN);
    mpfr_clears(mean, term, squares, (mpfr_ptr)0);
}

static void compare(const char *what, const actune_statistics *got, const expected *e)
{
    checked++;
    bool counts = got->count == e->count && got->nonpositive == e->nonpositive && got->zero == e->zero && got->clipped == e->clipped && got->nan == e->nan &&
                  got->inf == e->inf && got->absmax == e->absmax;
    double spread = sqrt(e->variance), size = fabs(e->mean) + spread;
    /* Squares of values are known to 16e-6 of themselves at worst, to a share of that where they are alike. */
    double allowed = 3e-6 * e->variance + 4e-15 * size * size;
    bool mean = fabs(got->mean - e->mean) <= 1e-6 * spread + 1e-7 * size;
    if (counts && mean && fabs(got->variance - e->variance) <= allowed)
        return;
    failures++;
    printf("%s: counts %lld %lld %lld %lld %lld %lld mean %.17g variance %.17g absmax %.9g\n  not %lld %lld %lld %lld %lld %lld mean %.17g variance %.17g absmax %.9g\n", what,
           (long long)got->count, (long long)got->nonpositive, (long long)got->zero, (long long)got->clipped, (long long)got->nan, (long long)got->inf, got->mean,
           got->variance, got->absmax, (long long)e->count, (long long)e->nonpositive, (long long)e->zero, (long long)e->clipped, (long long)e->nan, (long long)e->inf,
           e->mean, e->variance, e->absmax);
}

typedef struct tensors {
    actune_buffer buffer[4];
    void *memory[4];
    double *value; /* where the stage looks */
    int count;
} tensors;

static void make_tensors(const struct test *t, const actune_plan *plan, actune_dtype dtype, actune_shape shape, content what, bool in_place, tensors *made)
{
    uint64_t state = 7;
    int64_t n = shape.outer * shape.channels * shape.inner;
    made->count = actune_plan_port_count(plan);
    made->value = calloc((size_t)n + 1, sizeof *made->value);
    for (int p = 0; p < made->count; p++) {
        actune_port_info port;
        actune_plan_port(plan, p, &port);
        size_t bytes = (size_t)at_dtype_get(port.dtype)->bytes;
        made->memory[p] = malloc(((size_t)port.count + 2) * bytes);
        memset(made->memory[p], 0xff, ((size_t)port.count + 2) * bytes);
        made->buffer[p] = (actune_buffer){(char *)made->memory[p] + bytes, port.count, port.dtype};
        for (int64_t i = 0; i < port.count && !port.is_output; i++)
            at_dtype_store(port.dtype, made->buffer[p].data, i, p ? 0.25 * (double)(i % 7) : value_of(what, i, &state));
    }
    for (int64_t i = 0; i < n; i++)
        made->value[i] = seen_value(t, dtype, at_dtype_load(dtype, made->buffer[0].data, i),
                                    t->bias ? at_dtype_load(made->buffer[1].dtype, made->buffer[1].data, channel_of(shape, i)) : 0);
    if (in_place)
        made->buffer[1 + t->bias].data = made->buffer[0].data;
}

static void check(actune_context *context, const struct test *t, actune_dtype dtype, actune_shape shape, content what, bool in_place, int threads)
{
    char title[256];
    actune_plan *plan;
    actune_plan_desc desc = {.spec = t->spec, .dtype_in = dtype, .dtype_out = dtype, .shape = shape, .in_place = in_place, .max_threads = threads};
    tensors made;
    snprintf(title, sizeof title, "%s %s [%lld %lld %lld] content %d%s", t->spec, at_dtype_get(dtype)->name, (long long)shape.outer, (long long)shape.channels,
             (long long)shape.inner, what, in_place ? " in place" : "");
    if (actune_plan_create(context, &desc, &plan)) {
        printf("%s: %s\n", title, actune_last_error());
        failures++;
        return;
    }
    make_tensors(t, plan, dtype, shape, what, in_place, &made);
    int64_t records = t->channel ? shape.channels : 1;
    actune_statistics all, *each = calloc((size_t)records + 1, sizeof *each);
    if (actune_execute(plan, made.buffer, made.count) ||
        actune_statistics_from_records(made.buffer[made.count - 1].data, records, t->channel ? each : NULL, &all)) {
        printf("%s: %s\n", title, actune_last_error());
        failures++;
    } else {
        expected e;
        solve(t, made.value, shape, -1, &e);
        compare(title, &all, &e);
        for (int64_t c = 0; t->channel && c < records; c += records / 5 + 1) {
            solve(t, made.value, shape, c, &e);
            compare(title, &each[c], &e);
        }
    }
    for (int p = 0; p < made.count; p++)
        free(made.memory[p]);
    free(made.value);
    free(each);
    actune_plan_destroy(plan);
}

static void check_all(const char *folder, bool interpret)
{
    static const actune_dtype dtypes[] = {ACTUNE_F32, ACTUNE_BF16, ACTUNE_F16, ACTUNE_F64};
    actune_context *context;
    setenv("ACTUNE_INTERPRET", interpret ? "1" : "0", 1);
    actune_context_options options = {.database = "", .cache_folder = folder, .max_threads = 2};
    if (actune_context_open(&options, &context)) {
        printf("%s\n", actune_last_error());
        failures++;
        return;
    }
    for (size_t k = 0; k < sizeof tests / sizeof *tests; k++)
        for (int d = 0; d < 4; d++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                for (content what = CALM; what <= HUGE_NUMBERS; what++) {
                    bool wide = d == 0 || d == 3, narrow_range = what > SPECIAL;
                    if ((!wide && narrow_range) || (what != SPECIAL && d > 0 && s % 2))
                        continue;
                    check(context, &tests[k], dtypes[d], shapes[s], what, (s + (size_t)what) % 2, 1 + (int)(s % 2));
                }
    actune_context_close(context);
}

static void expect_refused(actune_status status, const char *words)
{
    if (status == ACTUNE_INVALID_ARGUMENT && strstr(actune_last_error(), words))
        return;
    failures++;
    printf("not refused with '%s': %s\n", words, actune_last_error());
}

static void check_refusals(void)
{
    double record[ACTUNE_STATISTICS_FIELDS] = {1, 0, 0, 0.5};
    actune_statistics s;
    expect_refused(actune_statistics_from_records(NULL, 1, NULL, &s), "NULL");
    expect_refused(actune_statistics_from_records(record, 0, NULL, &s), "channels");
    expect_refused(actune_statistics_from_records(record, 1, NULL, &s), "field 3");
    record[3] = NAN;
    expect_refused(actune_statistics_from_records(record, 1, NULL, &s), "field 3");
}

int main(void)
{
    char folder[] = "/tmp/actune-statistics-XXXXXX", command[128];
    if (!mkdtemp(folder))
        return 1;
    check_all(folder, false);
    check_all(folder, true);
    check_refusals();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command))
        failures++;
    printf("%d records compared with MPFR, %d wrong\n", checked, failures);
    return failures > 0;
}
