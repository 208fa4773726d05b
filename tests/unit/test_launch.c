#include "runtime/launch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* x, y: elementwise; y counts how often an element was done. */
static at_signature plain_signature(void)
{
    at_signature s = {.ports = 2, .inputs = 1, .compute = ACTUNE_F32};
    s.port[0] = (at_port){.name = "x", .access = AT_ACCESS_ELEMENT, .dtype = ACTUNE_F32};
    s.port[1] = (at_port){.name = "y", .access = AT_ACCESS_ELEMENT, .dtype = ACTUNE_F32, .is_output = true};
    return s;
}

/* x, dx, a channel sum, a scalar sum and both maxima. */
static at_signature sum_signature(void)
{
    at_signature s = plain_signature();
    s.ports = 6;
    s.slots = 4;
    s.has_channel = true;
    s.port[2] = (at_port){.name = "dbias", .access = AT_ACCESS_CHANNEL, .is_output = true, .reduction = AT_REDUCTION_SUM};
    s.port[3] = (at_port){.name = "dalpha", .access = AT_ACCESS_SCALAR, .is_output = true, .reduction = AT_REDUCTION_SUM};
    s.port[4] = (at_port){.name = "amax", .access = AT_ACCESS_CHANNEL, .is_output = true, .reduction = AT_REDUCTION_MAX};
    s.port[5] = (at_port){.name = "amax2", .access = AT_ACCESS_SCALAR, .is_output = true, .reduction = AT_REDUCTION_MAX};
    return s;
}

static void touch(const actune_slice *slice)
{
    float *y = slice->port[1];
    for (int64_t i = slice->begin; i < slice->end; i++)
        y[i] += 1;
}

static void touch_aligned(const actune_slice *slice)
{
    cr_assert_eq(slice->begin % 64, 0);
    touch(slice);
}

Test(launch, every_element_once)
{
    static const int64_t sizes[] = {0, 1, 63, 4095, 4096, 8191, 8192, 8193, 16384, 100003, 1 << 20};
    at_signature signature = plain_signature();
    at_pool *pool;
    cr_assert_eq(at_pool_create(0, &pool), ACTUNE_OK);
    float *y = malloc(sizeof *y << 20);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int threads = -1; threads < 9; threads++) {
            int64_t n = sizes[s];
            at_launch launch;
            cr_assert_eq(at_launch_init(&launch, &signature, AT_LAYOUT_FLAT, (actune_shape){1, 1, n}, threads),
                         ACTUNE_OK);
            launch.function = touch_aligned;
            cr_assert_eq(launch.total, n);
            cr_assert_eq(launch.workspace_bytes, 0);
            cr_assert_geq(launch.threads, 1);
            cr_assert(launch.threads == 1 || launch.threads * 4096 <= n, "%d threads for %lld", launch.threads,
                      (long long)n);
            cr_assert(launch.threads == threads || threads < 1 || threads * 4096 > n);
            memset(y, 0, sizeof *y << 20);
            void *ports[] = {NULL, y};
            at_launch_run(&launch, pool, ports, NULL);
            for (int64_t i = 0; i < 1 << 20; i++)
                cr_assert_eq(y[i], i < n ? 1 : 0);
        }
    free(y);
    at_pool_destroy(pool);
}

Test(launch, refuses_insane_shapes)
{
    static const struct {
        actune_shape shape;
        actune_status status;
    } cases[] = {
        {{0, 0, 0}, ACTUNE_OK},
        {{0, 1000, 1 << 20}, ACTUNE_OK},
        {{1, 1, INT64_C(1) << 56}, ACTUNE_OK},
        {{1, 1, (INT64_C(1) << 56) + 1}, ACTUNE_INVALID_ARGUMENT},
        {{INT64_C(1) << 32, 1, INT64_C(1) << 32}, ACTUNE_INVALID_ARGUMENT},
        {{INT64_C(1) << 40, INT64_C(1) << 40, INT64_C(1) << 40}, ACTUNE_INVALID_ARGUMENT},
        {{INT64_MAX, INT64_MAX, INT64_MAX}, ACTUNE_INVALID_ARGUMENT},
        {{0, INT64_MAX, 1}, ACTUNE_INVALID_ARGUMENT},
        {{-1, 1, 1}, ACTUNE_INVALID_ARGUMENT},
        {{1, -1, 0}, ACTUNE_INVALID_ARGUMENT},
        {{1, 1, INT64_MIN}, ACTUNE_INVALID_ARGUMENT},
    };
    at_signature plain = plain_signature();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_launch launch;
        cr_assert_eq(at_launch_init(&launch, &plain, AT_LAYOUT_FLAT, cases[i].shape, 2), cases[i].status, "case %zu",
                     i);
    }
    /* Partials grow with channels: 16 rows of 2^54 channels are one chunk, a million such rows too many bytes. */
    at_signature sums = sum_signature();
    at_launch launch;
    actune_shape wide = {1, INT64_C(1) << 56, 1};
    cr_assert_eq(at_launch_init(&launch, &sums, AT_LAYOUT_CHANNEL_INNER, wide, 1), ACTUNE_OK);
    sums.slots = 20;
    cr_assert_eq(at_launch_init(&launch, &sums, AT_LAYOUT_CHANNEL_INNER, wide, 1), ACTUNE_INVALID_ARGUMENT);
}

Test(launch, chunks_by_shape_alone)
{
    static const struct {
        at_layout layout;
        actune_shape shape;
        int64_t chunks, slots, rows, per_plane;
    } cases[] = {
        {AT_LAYOUT_FLAT, {1, 1, 0}, 0, 4, 0, 0},
        {AT_LAYOUT_FLAT, {1, 1, 1}, 1, 4, 0, 0},
        {AT_LAYOUT_FLAT, {1, 1, 16384}, 1, 4, 0, 0},
        {AT_LAYOUT_FLAT, {4, 1, 8193}, 3, 4, 0, 0},
        {AT_LAYOUT_CHANNEL_INNER, {1000, 2, 1}, 1, 8, 8192, 0},
        {AT_LAYOUT_CHANNEL_INNER, {8193, 2, 1}, 2, 8, 8192, 0},
        {AT_LAYOUT_CHANNEL_INNER, {100, 768, 1}, 7, 3072, 16, 0},
        {AT_LAYOUT_CHANNEL_INNER, {100, 300, 1}, 3, 1200, 48, 0},
        {AT_LAYOUT_CHANNEL_INNER, {17, 100000, 1}, 2, 400000, 16, 0},
        {AT_LAYOUT_CHANNEL_INNER, {17, 0, 1}, 0, 0, 16, 0},
        {AT_LAYOUT_CHANNEL_OUTER, {2, 3, 49}, 6, 4, 0, 1},
        {AT_LAYOUT_CHANNEL_OUTER, {2, 3, 16385}, 12, 4, 0, 2},
        {AT_LAYOUT_CHANNEL_OUTER, {2, 3, 0}, 0, 4, 0, 0},
    };
    at_signature signature = sum_signature();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_chunk_plan plan = at_chunk_plan_of(&signature, cases[i].layout, cases[i].shape);
        cr_assert_eq(plan.chunks, cases[i].chunks, "case %zu: %lld chunks", i, (long long)plan.chunks);
        cr_assert_eq(plan.slots, cases[i].slots, "case %zu", i);
        cr_assert_eq(plan.rows_per_chunk, cases[i].rows, "case %zu: %lld rows", i, (long long)plan.rows_per_chunk);
        cr_assert_eq(plan.chunks_per_plane, cases[i].per_plane, "case %zu", i);
    }
}

/* Leaves in every slot a number that tells chunk and slot; awkward fractions make the order of additions matter. */
static double slot_value(int64_t chunk, int64_t slot)
{
    return 1.0 / (double)(3 + chunk * 7 + slot * 131);
}

static void fill_slots(const actune_slice *slice)
{
    at_signature signature = sum_signature();
    actune_shape shape = {slice->outer, slice->channels, slice->inner};
    at_chunk_plan plan = at_chunk_plan_of(&signature, at_layout_of(&signature, shape), shape);
    for (int64_t chunk = slice->begin; chunk < slice->end; chunk++)
        for (int64_t slot = 0; slot < plan.slots; slot++)
            slice->partial[chunk * plan.slots + slot] = slot_value(chunk, slot);
}

/* The rule of kernel_abi.h written down once more, naively. */
static double expected_sum(const at_launch *launch, int sum, int64_t channel)
{
    bool is_max = sum >= 2;
    const at_chunk_plan *plan = &launch->chunk;
    double total = 0;
    for (int64_t chunk = 0; chunk < plan->chunks; chunk++) {
        if (launch->layout == AT_LAYOUT_CHANNEL_OUTER) {
            if (chunk / plan->chunks_per_plane % launch->shape.channels == channel)
                total = is_max ? fmax(total, slot_value(chunk, sum)) : total + slot_value(chunk, sum);
        } else {
            double value = slot_value(chunk, launch->layout == AT_LAYOUT_FLAT ? sum : sum * launch->shape.channels + channel);
            total = is_max ? fmax(total, value) : total + value;
        }
    }
    return total;
}

static void check_sums(at_pool *pool, actune_shape shape, int threads)
{
    at_signature signature = sum_signature();
    at_layout layout = at_layout_of(&signature, shape);
    at_launch launch;
    cr_assert_eq(at_launch_init(&launch, &signature, layout, shape, threads), ACTUNE_OK);
    launch.function = fill_slots;
    void *workspace = malloc(launch.workspace_bytes + 1);
    memset(workspace, 0xff, launch.workspace_bytes + 1); /* NaN: a slot that is read before it was set shows */
    float *channel_sums = malloc(sizeof(float) * (size_t)(shape.channels + 1)), scalar = -1;
    float *channel_maxima = malloc(sizeof(float) * (size_t)(shape.channels + 1)), maximum = -1;
    channel_sums[shape.channels] = 42;
    void *ports[] = {NULL, NULL, channel_sums, &scalar, channel_maxima, &maximum};
    at_launch_run(&launch, pool, ports, workspace);
    double fold = 0, largest = 0;
    for (int64_t c = 0; c < shape.channels; c++) {
        cr_assert_eq(channel_sums[c], (float)expected_sum(&launch, 0, c), "channel %lld", (long long)c);
        fold += expected_sum(&launch, 1, c);
        cr_assert_eq(channel_maxima[c], (float)expected_sum(&launch, 2, c), "channel %lld", (long long)c);
        largest = fmax(largest, expected_sum(&launch, 3, c));
    }
    cr_assert_eq(scalar, (float)fold);
    cr_assert_eq(maximum, (float)largest);
    cr_assert_eq(channel_sums[shape.channels], 42);
    free(channel_sums);
    free(channel_maxima);
    free(workspace);
}

Test(launch, sums_in_chunk_order)
{
    static const actune_shape shapes[] = {{1, 1, 0},    {1, 1, 5},   {1, 1, 100000}, {70000, 1, 1}, {100, 300, 1},
                                          {9000, 2, 1}, {0, 300, 1}, {5, 0, 1},      {3, 4, 49},    {3, 4, 40000},
                                          {0, 4, 9},    {2, 0, 9},   {2, 3, 0},      {17, 20000, 1}};
    at_pool *pool;
    cr_assert_eq(at_pool_create(0, &pool), ACTUNE_OK);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int threads = 1; threads < 4; threads++)
            check_sums(pool, shapes[i], threads);
    at_pool_destroy(pool);
}
