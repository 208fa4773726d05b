#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tuner/measure.h"

static const at_device device = {
    .id = "cpu-test", .kind = "cpu", .processors = 2, .l1d_bytes = 32 << 10, .l2_bytes = 1 << 20, .l3_bytes = 4 << 20};

static int calls, zeros, repeated;

static void scale_in_place(const actune_slice *slice)
{
    const float *x = slice->port[0];
    float *y = slice->port[1];
    calls++;
    for (int64_t i = slice->begin; i < slice->end; i++) {
        zeros += x[i] == 0;
        repeated += fabsf(x[i]) > 100; /* sigma 2: only a buffer that was run on twice gets there */
        y[i] = x[i] * 1000;
    }
}

static void slow(const actune_slice *slice)
{
    for (int i = 0; i < 4; i++)
        scale_in_place(slice);
}

static void reads(const actune_slice *slice)
{
    const float *x = slice->port[0];
    float *y = slice->port[1];
    for (int64_t i = slice->begin; i < slice->end; i++) {
        zeros += x[i] == 0 || fabsf(x[i]) < 1e-6f;
        y[i] = x[i];
    }
    calls++;
}

Test(measure, workloads)
{
    const at_signature *copy = at_copy_signature();
    cr_assert_eq(at_workload_bytes(copy, (actune_shape){2, 3, 5}), 240);
    cr_assert_eq(at_cache_bound(&device), 4 << 20);
    at_device shared = device;
    shared.l3_bytes = (int64_t)480 << 20; /* a machine that shows the cache of all its tenants */
    cr_assert_eq(at_cache_bound(&shared), 64 << 20);
    cr_assert(!at_workload_is_cold(copy, (actune_shape){1, 1, 1 << 19}, &device));
    cr_assert(at_workload_is_cold(copy, (actune_shape){1, 1, (1 << 19) + 1}, &device));
    cr_assert_gt(at_timer_resolution_ns(), 0);
}

Test(measure, rounds)
{
    at_bench_request request = {.signature = at_copy_signature(),
                                .layout = AT_LAYOUT_FLAT,
                                .shape = {1, 1, 4096},
                                .device = &device,
                                .seed = 1};
    at_bench *bench;
    cr_assert_eq(at_bench_open(&request, &bench), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_bench_sets(bench), 1, "warm: one set");
    at_arm arms[4] = {{.kind = AT_ARM_MEMCPY},
                      {.kind = AT_ARM_KERNEL, .function = reads, .threads = 1},
                      {.kind = AT_ARM_WHOLE, .function = slow},
                      {.kind = AT_ARM_COPY, .function = reads, .threads = 1}};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(at_arm_open(bench, &arms[i]), ACTUNE_OK);
    calls = zeros = 0;
    cr_assert_gt(arms[0].repeats, 1, "a copy of 16 KB is repeated to fill the region");
    at_random random = {5};
    for (int round = 0; round < 5; round++)
        at_bench_round(bench, arms, 3, &random);
    arms[2].active = false;
    at_bench_round(bench, arms, 4, &random);
    cr_assert(arms[0].samples == 6 && arms[1].samples == 6 && arms[2].samples == 5 && arms[3].samples == 1);
    cr_assert_eq(zeros, 0, "inputs are never zero or tiny");
    cr_assert_gt(calls, 6 * arms[1].repeats, "every sample is `repeats` launches");
    for (int i = 0; i < 4; i++) {
        cr_assert_gt(at_median(arms[i].samples_ns, arms[i].samples) * arms[i].repeats, 10e3,
                     "arm %d: too short a region", i);
        at_arm_close(&arms[i]);
    }
    at_bench_close(bench);
}

static int last_wide, changes;

static void narrow_call(const actune_slice *slice)
{
    (void)slice;
    changes += last_wide == 1;
    last_wide = 0;
}

static void wide_call(const actune_slice *slice)
{
    (void)slice;
    changes += last_wide == 0;
    last_wide = 1;
}

/* Wide vectors slow the clock for those who come after them. */
Test(measure, wide_arms_together)
{
    at_bench_request request = {.signature = at_copy_signature(),
                                .layout = AT_LAYOUT_FLAT,
                                .shape = {1, 1, 64},
                                .device = &device,
                                .seed = 1};
    at_bench *bench;
    cr_assert_eq(at_bench_open(&request, &bench), ACTUNE_OK, "%s", actune_last_error());
    at_arm arms[8];
    for (int i = 0; i < 8; i++) {
        arms[i] = (at_arm){.kind = AT_ARM_WHOLE, .function = i % 2 ? wide_call : narrow_call, .wide = i % 2};
        cr_assert_eq(at_arm_open(bench, &arms[i]), ACTUNE_OK);
    }
    at_random random = {7};
    bool seen[2] = {false, false};
    for (int round = 0; round < 12; round++) {
        last_wide = -1;
        changes = 0;
        double start = at_now_ns();
        at_bench_round(bench, arms, 8, &random);
        cr_assert_eq(changes, 1, "round %d: %d changes of width", round, changes);
        cr_assert_gt(at_now_ns() - start, 2 * 600e3, "each part starts when the clock has settled");
        seen[last_wide] = true;
    }
    cr_assert(seen[0] && seen[1], "chance says which part is first");
    for (int i = 0; i < 8; i++)
        at_arm_close(&arms[i]);
    at_bench_close(bench);
}

Test(measure, in_place_and_cold)
{
    at_bench_request request = {.signature = at_copy_signature(),
                                .layout = AT_LAYOUT_FLAT,
                                .shape = {1, 1, 1000},
                                .in_place = true,
                                .device = &device,
                                .seed = 1};
    at_bench *bench;
    cr_assert_eq(at_bench_open(&request, &bench), ACTUNE_OK);
    cr_assert_geq(at_bench_sets(bench), 4, "fresh copies");
    at_arm arm = {.kind = AT_ARM_KERNEL, .function = scale_in_place, .threads = 1};
    calls = zeros = repeated = 0;
    cr_assert_eq(at_arm_open(bench, &arm), ACTUNE_OK);
    at_random random = {5};
    for (int round = 0; round < 3; round++)
        at_bench_round(bench, &arm, 1, &random);
    cr_assert(calls > 3 && repeated == 0, "no launch meets the output of another");
    at_arm_close(&arm);
    at_bench_close(bench);

    request.in_place = false;
    request.shape.inner = 1 << 20; /* 8 MB over a cache of 4: cold, in rotation over 5 times the cache */
    cr_assert_eq(at_bench_open(&request, &bench), ACTUNE_OK);
    cr_assert_eq(at_bench_sets(bench), 3);
    at_bench_close(bench);
    request.shape.inner = 0;
    cr_assert_eq(at_bench_open(&request, &bench), ACTUNE_INVALID_ARGUMENT);
}
