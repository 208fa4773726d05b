#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/backend/interp.h"
#include "runtime/base/dtype.h"
#include "tuner/autovec.h"
#include "tuner/measure.h"
#include "tuner/search.h"
#include "tuner/tune.h"
#include "tuner/verify.h"

typedef struct place {
    char folder[64], database[96], cache_folder[96];
    at_store *store;
    at_cache *cache;
    at_device device;
} place;

static void open_place(place *own)
{
    strcpy(own->folder, "/tmp/actune-test-XXXXXX");
    cr_assert(mkdtemp(own->folder));
    snprintf(own->database, sizeof own->database, "%s/tune.db", own->folder);
    snprintf(own->cache_folder, sizeof own->cache_folder, "%s/cache", own->folder);
    setenv("XDG_CACHE_HOME", own->folder, 1); /* the device lock lies there */
    setenv("XDG_RUNTIME_DIR", own->folder, 1);
    cr_assert_eq(at_store_open(own->database, AT_STORE_WRITE, &own->store), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_cache_open(own->cache_folder, &own->cache), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_device_get("cpu", &own->device), ACTUNE_OK);
    snprintf(own->device.id, sizeof own->device.id, "cpu-test-%d", (int)getpid());
}

static void close_place(place *own)
{
    char command[128];
    at_store_close(own->store);
    at_cache_close(own->cache);
    snprintf(command, sizeof command, "rm -rf %s", own->folder);
    cr_assert_eq(system(command), 0);
}

static void lower(const char *text, actune_direction direction, actune_dtype dtype, at_kernel *kernel)
{
    at_spec spec;
    at_kernel_request request = {.direction = direction, .dtype_in = dtype, .dtype_out = dtype};
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, kernel), ACTUNE_OK, "%s", actune_last_error());
    at_spec_clear(&spec);
}

typedef struct counts {
    int choices, measurements, samples, plain;
    at_store_workload last;
} counts;

static actune_status count_choice(void *user, const at_store_choice *choice)
{
    counts *of = user;
    of->choices++;
    of->last = choice->workload;
    cr_expect(choice->median_ns > 0 && choice->ratio_to_copy > 0 && choice->pct_roof > 0 &&
              choice->gain_over_default > 0);
    cr_expect(strstr(choice->tie_set, choice->variant_text), "the winner '%s' is in its tie set '%s'",
              choice->variant_text, choice->tie_set);
    cr_expect_str_eq(choice->origin, "measured");
    return ACTUNE_OK;
}

static actune_status count_measurement(void *user, const char *text, const at_store_measurement *measurement)
{
    counts *of = user;
    of->measurements++;
    of->samples += measurement->samples;
    of->plain += strcmp(text, "baseline/autovec") == 0;
    cr_expect(measurement->samples >= 3 && measurement->samples_ns[0] > 0);
    cr_expect(measurement->low_ns <= measurement->median_ns && measurement->median_ns <= measurement->high_ns);
    return ACTUNE_OK;
}

static counts count(const place *own, const at_kernel *kernel)
{
    counts of = {0};
    cr_assert_eq(at_store_each_choice(own->store, own->device.id, kernel->hash.hex, count_choice, &of), ACTUNE_OK);
    cr_assert_eq(at_store_each_measurement(own->store, own->device.id, kernel->hash.hex, NULL, count_measurement, &of),
                 ACTUNE_OK);
    return of;
}

Test(tune, finds_stores_and_reuses)
{
    place own;
    at_kernel kernel;
    open_place(&own);
    lower("relu", ACTUNE_FORWARD, ACTUNE_F32, &kernel);
    const at_tune_item items[] = {{&kernel, {1, 1, 1000}, false},
                                  {&kernel, {1, 1, 1024}, false},
                                  {&kernel, {4, 16, 256}, false},
                                  {&kernel, {1, 1, 1024}, true},
                                  {&kernel, {1, 1, 0}, false}};
    at_tune_result result[5];
    at_tune_options options = {.seed = 3, .budget_s = 20};
    cr_assert_eq(at_tune(own.store, own.cache, &own.device, items, 5, &options, result), ACTUNE_OK, "%s",
                 actune_last_error());
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(result[i].status, ACTUNE_OK, "item %d: %s", i, result[i].message);
        cr_expect(result[i].winner_ns > 0 && result[i].default_ns > 0 && result[i].copy_ns > 0);
        cr_expect(result[i].gain_low <= result[i].gain_high && result[i].gain_high > 0.9);
        cr_expect(strstr(result[i].variant, "cpu/elementwise") && !result[i].reused && result[i].candidates > 5);
        cr_expect_eq(result[i].autovec_ns > 0, !items[i].in_place, "the baseline is not run in place");
    }
    cr_expect_eq(result[4].status, ACTUNE_INVALID_ARGUMENT, "an empty shape is told");
    cr_expect_str_eq(result[0].variant, result[1].variant, "1000 and 1024 share a bucket");
    cr_expect_eq(result[2].workload.size_bucket, 14);
    cr_expect_str_eq(result[2].workload.regime, "warm");

    counts first = count(&own, &kernel);
    cr_expect_eq(first.choices, 3, "two sizes and one in place, not %d", first.choices);
    cr_expect(first.measurements > 10 && first.plain >= 2, "%d measurements, %d of the baseline", first.measurements,
              first.plain);

    double start = at_now_ns();
    at_tune_result again[5];
    cr_assert_eq(at_tune(own.store, own.cache, &own.device, items, 5, &options, again), ACTUNE_OK);
    cr_expect_lt(at_now_ns() - start, 2e9, "what is known is said at once");
    for (int i = 0; i < 4; i++) {
        cr_expect(again[i].reused && again[i].status == ACTUNE_OK);
        cr_expect_str_eq(again[i].variant, result[i].variant);
        cr_expect_float_eq(again[i].winner_ns, result[i].winner_ns, 1e-6 * result[i].winner_ns);
        cr_expect(items[i].in_place || again[i].autovec_ns > 0);
    }
    cr_expect_eq(count(&own, &kernel).measurements, first.measurements, "nothing is measured twice");

    options.force = true;
    options.strategy = "random";
    cr_assert_eq(at_tune(own.store, own.cache, &own.device, items, 1, &options, again), ACTUNE_OK);
    cr_expect(!again[0].reused);
    cr_expect_gt(count(&own, &kernel).measurements, first.measurements);
    options.strategy = "simulated annealing";
    cr_expect_eq(at_tune(own.store, own.cache, &own.device, items, 1, &options, again), ACTUNE_INVALID_ARGUMENT);
    at_kernel_clear(&kernel);
    close_place(&own);
}

static volatile int stop;
static int progress_calls;

/* Ctrl-C in the middle of the second of three sizes. */
static void interrupt(void *user, const at_tune_progress *progress)
{
    (void)user;
    progress_calls++;
    cr_expect(progress->done <= progress->total && progress->eta_s >= 0 && progress->step[0] &&
              progress->kernel_spec[0]);
    if (progress->total - progress->done == 2 && strcmp(progress->step, "measure") == 0)
        stop = 1;
}

Test(tune, interrupted_and_resumed)
{
    place own;
    at_kernel kernel;
    open_place(&own);
    lower("hardswish", ACTUNE_FORWARD, ACTUNE_F32, &kernel);
    const at_tune_item items[] = {
        {&kernel, {1, 1, 4096}, false}, {&kernel, {1, 1, 16384}, false}, {&kernel, {1, 1, 65536}, false}};
    at_tune_result result[3];
    at_tune_options options = {.budget_s = 20, .progress = interrupt, .stop = &stop};
    cr_assert_eq(at_tune(own.store, own.cache, &own.device, items, 3, &options, result), ACTUNE_INTERRUPTED);
    cr_expect_gt(progress_calls, 3);
    cr_expect_eq(result[0].status, ACTUNE_OK, "%s", result[0].message);
    cr_expect_eq(result[2].status, ACTUNE_INTERRUPTED, "an item that was not reached says so");
    cr_expect_eq(count(&own, &kernel).choices, 1, "what was measured is kept");

    options.progress = NULL;
    stop = 0;
    cr_assert_eq(at_tune(own.store, own.cache, &own.device, items, 3, &options, result), ACTUNE_OK);
    cr_expect(result[0].reused && !result[1].reused && !result[2].reused);
    cr_expect_eq(count(&own, &kernel).choices, 3);

    stop = 1;
    cr_assert_eq(at_tune(own.store, own.cache, &own.device, items, 3, &options, result), ACTUNE_OK,
                 "nothing is left to interrupt");
    at_kernel_clear(&kernel);
    close_place(&own);
}

Test(tune, budget_ends_the_run)
{
    place own;
    at_kernel kernel;
    open_place(&own);
    lower("silu", ACTUNE_FORWARD, ACTUNE_F32, &kernel);
    const at_tune_item items[] = {{&kernel, {1, 1, 1 << 20}, false}, {&kernel, {1, 1, 1 << 12}, false}};
    at_tune_result result[2];
    at_tune_options options = {.budget_s = 0.001};
    double start = at_now_ns();
    cr_assert_eq(at_tune(own.store, own.cache, &own.device, items, 2, &options, result), ACTUNE_OK, "%s",
                 actune_last_error());
    cr_expect_lt(at_now_ns() - start, 20e9);
    for (int i = 0; i < 2; i++) /* the time was over before any size: said, not hidden */
        cr_expect(result[i].status == ACTUNE_INTERRUPTED && strstr(result[i].message, "time"), "%s", result[i].message);
    at_kernel_clear(&kernel);
    close_place(&own);
}

Test(tune, strategies)
{
    at_variant space[24];
    static const char *const maths[] = {"poly", "wide"}, *const widths[] = {"64", "32", "16"},
                             *const stores[] = {"plain", "stream"}, *const threads[] = {"1", "2"};
    for (int i = 0; i < 24; i++)
        space[i] = (at_variant){.template_name = "cpu/elementwise",
                                .knobs = 4,
                                .knob = {{"math", maths[i / 12]},
                                         {"width", widths[i / 4 % 3]},
                                         {"store", stores[i / 2 % 2]},
                                         {"threads", threads[i % 2]}}};
    cr_expect(at_same_core(&space[0], &space[3]) && !at_same_core(&space[0], &space[4]));
    cr_expect(at_same_rest(&space[0], &space[4]) && !at_same_rest(&space[0], &space[1]));
    at_search_stage stage = {.variants = space, .count = 24};
    at_random random = {1};
    int picked[24], seeds[] = {4, 20};
    cr_assert_eq(at_search_exhaustive.pick(&stage, &random, picked, 24), 6,
                 "the core: 2 forms, 3 widths, the rest default");
    for (int i = 0; i < 6; i++)
        cr_expect_eq(picked[i], 4 * i);
    cr_assert_eq(at_search_exhaustive.pick(&stage, &random, picked, 2), 2);
    stage.seeds = seeds;
    stage.seed_count = 2;
    cr_assert_eq(at_search_exhaustive.pick(&stage, &random, picked, 24), 8,
                 "two winners with 2 stores and 2 thread counts");
    cr_expect(picked[0] == 4 && picked[3] == 7 && picked[4] == 20);

    stage.seed_count = 0;
    int once[5], twice[5];
    at_random first = {9}, second = {9};
    cr_assert_eq(at_search_random.pick(&stage, &first, once, 5), 5);
    cr_assert_eq(at_search_random.pick(&stage, &second, twice, 5), 5);
    unsigned seen = 0;
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(once[i], twice[i], "one seed, one sample");
        cr_expect(once[i] < 24 && !(seen >> once[i] & 1), "no variant twice");
        seen |= 1u << once[i];
    }
    cr_expect_eq(at_search_find(NULL), &at_search_exhaustive);
    cr_expect_eq(at_search_find("random"), &at_search_random);
    cr_expect_null(at_search_find("genetic"));
}

/* The baseline computes what it should, in every type and layout. */
Test(tune, plain_loop)
{
    static const char *const specs[] = {"relu", "gelu_tanh | clip(-6, 6)", "bias | silu", "scale_shift | hardswish"};
    place own;
    open_place(&own);
    for (int s = 0; s < 4; s++)
        for (int type = 0; type < AT_DTYPE_WIDE_COUNT; type++)
            for (at_layout layout = AT_LAYOUT_FLAT; layout <= AT_LAYOUT_CHANNEL_OUTER; layout++) {
                at_kernel kernel;
                lower(specs[s], ACTUNE_FORWARD, (actune_dtype)type, &kernel);
                actune_shape shape = layout == AT_LAYOUT_FLAT            ? (actune_shape){1, 1, 65536}
                                     : layout == AT_LAYOUT_CHANNEL_INNER ? (actune_shape){64, 1024, 1}
                                                                         : (actune_shape){4, 16, 1024};
                if (at_layout_of(&kernel.signature, shape) == layout) {
                    at_strbuf source = {0};
                    at_binary *binary;
                    at_build_info info;
                    cr_assert_eq(at_autovec_source(&kernel, layout, "plain", &source), ACTUNE_OK);
                    cr_assert_eq(at_binary_build(own.cache, at_strbuf_text(&source), at_isa_name(own.device.isa), false,
                                                 &binary, &info),
                                 ACTUNE_OK, "%s", actune_last_error());
                    int bytes = at_dtype_get((actune_dtype)type)->bytes;
                    char *x = calloc(65536, (size_t)bytes), *y = calloc(65536, (size_t)bytes),
                         *want = calloc(65536, (size_t)bytes);
                    float operand[2][1024];
                    double wide[2][1024];
                    for (int i = 0; i < 65536; i++)
                        at_dtype_store((actune_dtype)type, x, i,
                                       (bytes == 2 ? at_dtype_load((actune_dtype)type, &(uint16_t){(uint16_t)i}, 0)
                                                   : (i - 32768) / 2048.0));
                    for (int i = 0; i < 1024; i++)
                        wide[0][i] = operand[0][i] = wide[1][i] = operand[1][i] = (float)(i % 7) - 3;
                    bool f64 = type == ACTUNE_F64;
                    void *first = f64 ? (void *)wide[0] : operand[0], *second = f64 ? (void *)wide[1] : operand[1];
                    void *ports[4] = {x, first, second, y};
                    ports[kernel.signature.inputs] = y;
                    actune_slice slice = {.port = ports,
                                          .outer = shape.outer,
                                          .channels = shape.channels,
                                          .inner = shape.inner,
                                          .end = 65536};
                    actune_kernel_fn plain = at_binary_symbol(binary, "plain");
                    cr_assert(plain);
                    plain(&slice);
                    ports[kernel.signature.inputs] = want;
                    at_interpret(&kernel, layout, &slice);
                    for (int i = 0; i < 65536; i++) {
                        double a = at_dtype_load((actune_dtype)type, y, i),
                               b = at_dtype_load((actune_dtype)type, want, i);
                        double in = at_dtype_load((actune_dtype)type, x, i);
                        bool same = isnan(b) || a == b || fabs(a - b) <= fabs(b) * (bytes == 2 ? 0.02 : 1e-5) + 1e-5;
                        if (s == 0)
                            same = isnan(b) ? isnan(a) : a == b; /* exact through every 16-bit number */
                        cr_assert(same, "%s %s: f(%g) = %g, not %g", specs[s], at_dtype_get((actune_dtype)type)->name,
                                  in, a, b);
                    }
                    free(x);
                    free(y);
                    free(want);
                    at_binary_release(binary);
                    at_strbuf_clear(&source);
                }
                at_kernel_clear(&kernel);
            }
    close_place(&own);
}
