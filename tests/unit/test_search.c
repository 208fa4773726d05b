#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "tuner/measure.h"
#include "tuner/search.h"

/* --- the sample of a space that is too large to try --- */

typedef struct space {
    at_variant *variant;
    int count;
} space;

static actune_status keep(void *user, const at_variant *variant)
{
    space *own = user;
    if ((own->count & (own->count - 1)) == 0) /* room for twice as many */
        own->variant = realloc(own->variant, (size_t)(own->count ? 2 * own->count : 1) * sizeof *own->variant);
    cr_assert(own->variant);
    own->variant[own->count++] = *variant;
    return ACTUNE_OK;
}

static void cuda_space(at_kernel *kernel, space *own)
{
    at_spec spec;
    at_kernel_request request = {.direction = ACTUNE_FORWARD, .dtype_in = ACTUNE_F16, .dtype_out = ACTUNE_F16};
    at_target target = {.cuda = true, .cuda_arch = 90};
    cr_assert_eq(at_spec_parse("relu", &spec), ACTUNE_OK);
    cr_assert_eq(at_kernel_lower(&spec, &request, kernel), ACTUNE_OK);
    at_spec_clear(&spec);
    cr_assert_eq(at_variant_each(kernel, AT_LAYOUT_FLAT, &target, keep, own), ACTUNE_OK, "%s", actune_last_error());
}

static int differences(const at_variant *a, const at_variant *b)
{
    int count = 0;
    for (int i = 0; i < a->knobs; i++)
        count += strcmp(a->knob[i].value, at_variant_knob(b, a->knob[i].name, "")) != 0;
    return count;
}

static bool has(const int *picked, int count, int variant)
{
    for (int i = 0; i < count; i++)
        if (picked[i] == variant)
            return true;
    return false;
}

Test(search, sampled)
{
    enum { MOST = 768 };
    space own = {0};
    at_kernel kernel;
    int picked[MOST], again[MOST], other[MOST];
    cuda_space(&kernel, &own);
    cr_assert_gt(own.count, 1000);
    at_search_stage stage = {.variants = own.variant, .count = own.count};
    at_random random = {7}, same = {7}, another = {8};
    const at_search *search = at_search_find("sampled");
    cr_assert(search);
    int count = search->pick(&stage, &random, picked, MOST);
    cr_assert_lt(count, MOST);
    cr_assert_eq(search->pick(&stage, &same, again, MOST), count);
    cr_expect_eq(memcmp(picked, again, (size_t)count * sizeof *picked), 0, "the same seed picks the same");
    search->pick(&stage, &another, other, MOST);
    cr_expect_neq(memcmp(picked, other, (size_t)count * sizeof *picked), 0, "another seed picks others");
    cr_expect_eq(picked[0], 0, "the default first");
    int near = 0, far = 0;
    for (int i = 0; i < own.count; i++)
        if (differences(&own.variant[i], &own.variant[0]) <= 1) {
            near++;
            cr_expect(has(picked, count, i), "every knob is varied alone");
        }
    for (int i = 0; i < count; i++) {
        cr_expect(!has(picked, i, picked[i]), "variant %d stands twice", picked[i]);
        cr_expect_eq(differences(&own.variant[picked[i]], &own.variant[0]) <= 1, i < near, "the neighbours come first");
        far += i >= near;
    }
    cr_expect_gt(far, 100);
    cr_expect_eq(search->pick(&stage, &random, picked, 10), 10, "no more than asked for");
    int seed = picked[9] == own.count - 1 ? own.count - 2 : own.count - 1;
    at_search_stage second = {.variants = own.variant, .count = own.count, .seeds = &seed, .seed_count = 1};
    count = search->pick(&second, &random, picked, MOST);
    for (int i = 0; i < own.count; i++)
        if (differences(&own.variant[i], &own.variant[seed]) <= 1)
            cr_expect(has(picked, count, i), "around a seed too");
    free(own.variant);
    at_kernel_clear(&kernel);
}

/* --- another machine under the bench --- */

typedef struct counters {
    int buffers, arms, copies;
    int fail_kind; /* at_arm_kind whose regions fail; -1: none */
    int timed[AT_ARM_CALL + 1];
} counters;

static actune_status allocate(void *self, size_t bytes, void **memory)
{
    ((counters *)self)->buffers++;
    *memory = malloc(bytes + 1);
    return *memory ? ACTUNE_OK : ACTUNE_NO_MEMORY;
}

static void release(void *self, void *memory)
{
    ((counters *)self)->buffers--;
    free(memory);
}

static actune_status put(void *self, void *to, const void *from, size_t bytes)
{
    ((counters *)self)->copies++;
    memcpy(to, from, bytes);
    return ACTUNE_OK;
}

static actune_status open_arm(void *self, const at_bench *bench, at_arm *arm)
{
    (void)bench;
    ((counters *)self)->arms++;
    arm->state = self;
    return ACTUNE_OK;
}

static void close_arm(void *self, at_arm *arm)
{
    (void)arm;
    ((counters *)self)->arms--;
}

static actune_status time_arm(void *self, const at_bench *bench, at_arm *arm, double *ns)
{
    counters *own = self;
    if (own->fail_kind == (int)arm->kind)
        return at_fail(ACTUNE_DEVICE, "planted");
    cr_expect_eq(arm->repeats % at_bench_sets(bench) == 0 || arm->repeats > at_bench_sets(bench), true);
    own->timed[arm->kind]++;
    *ns = arm->kind == AT_ARM_MEMCPY ? 1000 : 2000;
    return ACTUNE_OK;
}

Test(search, bench_on_another_machine)
{
    counters own = {.fail_kind = -1};
    const at_device device = {.processors = 4, .l2_bytes = 1 << 14};
    const at_bench_machine machine = {.self = &own, .memory_bytes = 1 << 24, .allocate = allocate, .release = release, .upload = put,
                                      .copy = put, .open_arm = open_arm, .close_arm = close_arm, .time = time_arm};
    at_bench_request request = {.signature = at_copy_signature(), .shape = {1, 1, 8192}, .device = &device, .seed = 1, .machine = &machine};
    at_bench *bench;
    at_random random = {1};
    cr_assert_eq(at_bench_open(&request, &bench), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_geq(at_bench_sets(bench), 2, "cold: in rotation");
    cr_expect_eq(own.buffers, 2 * at_bench_sets(bench));
    cr_expect_eq(own.copies, at_bench_sets(bench), "inputs alone are filled");
    at_arm arm[] = {{.kind = AT_ARM_MEMCPY}, {.kind = AT_ARM_KERNEL, .threads = 1}};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(at_arm_open(bench, &arm[i]), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_geq(arm[0].repeats, 20, "a region of 20 us");
    cr_expect_eq(at_bench_round(bench, arm, 2, &random), ACTUNE_OK);
    cr_expect(arm[0].samples == 1 && arm[0].samples_ns[0] == 1000 && arm[1].samples == 1 && arm[1].samples_ns[0] == 2000);
    own.fail_kind = AT_ARM_KERNEL;
    cr_expect_eq(at_bench_round(bench, arm, 2, &random), ACTUNE_OK, "a kernel that fails is out, the round goes on");
    cr_expect(!arm[1].active && arm[1].samples == 1 && arm[0].active && arm[0].samples == 2);
    own.fail_kind = AT_ARM_MEMCPY;
    cr_expect_eq(at_bench_round(bench, arm, 2, &random), ACTUNE_DEVICE, "without its anchor a round is worth nothing");
    at_arm broken = {.kind = AT_ARM_MEMCPY};
    cr_expect_eq(at_arm_open(bench, &broken), ACTUNE_DEVICE);
    for (int i = 0; i < 2; i++)
        at_arm_close(&arm[i]);
    at_bench_close(bench);
    cr_expect_eq(own.buffers, 0, "every buffer is given back");
    cr_expect_eq(own.arms, 0, "and every arm");
}

/* --- around the fastest of a sample --- */

/* A landscape: each value of each knob costs its own, and so does each pair of two knobs' values. */
static double cost(const at_variant *variant, uint64_t landscape)
{
    double sum = 0;
    for (int i = 0; i < variant->knobs; i++)
        for (int j = 0; j <= i; j++) {
            char text[160];
            snprintf(text, sizeof text, "%llu %s=%s %s=%s", (unsigned long long)landscape, variant->knob[i].name, variant->knob[i].value,
                     variant->knob[j].name, variant->knob[j].value);
            at_random random = {at_hash64(text, strlen(text))};
            sum += (i == j ? 1 : 0.4) * at_random_uniform(&random);
        }
    return sum;
}

static int cheapest(const space *own, const int *picked, int count, uint64_t landscape)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (cost(&own->variant[picked[i]], landscape) < cost(&own->variant[picked[best]], landscape))
            best = i;
    return best;
}

Test(search, refined)
{
    enum { MOST = 768, SEEDS = 3, LANDSCAPES = 20 };
    space own = {0};
    at_kernel kernel;
    int gained = 0;
    cuda_space(&kernel, &own);
    const at_search *search = at_search_find("sampled");
    for (uint64_t landscape = 0; landscape < LANDSCAPES; landscape++) {
        int picked[MOST], around[MOST], seeds[SEEDS];
        at_search_stage stage = {.variants = own.variant, .count = own.count};
        at_random random = {landscape};
        int count = search->pick(&stage, &random, picked, MOST);
        double sampled = cost(&own.variant[picked[cheapest(&own, picked, count, landscape)]], landscape);
        for (int s = 0; s < SEEDS; s++) {
            int best = cheapest(&own, picked, count, landscape);
            seeds[s] = picked[best];
            picked[best] = picked[--count];
        }
        stage.seeds = seeds;
        stage.seed_count = SEEDS;
        int near = search->refine(&stage, around, MOST);
        cr_assert(near > SEEDS && near < 150, "%d neighbours of three", near);
        for (int i = 0; i < near; i++) {
            bool one = false;
            for (int s = 0; s < SEEDS; s++) {
                cr_assert_neq(around[i], seeds[s]);
                one |= differences(&own.variant[around[i]], &own.variant[seeds[s]]) == 1;
            }
            cr_assert(one, "variant %d is no neighbour", around[i]);
            cr_assert(!has(around, i, around[i]), "variant %d stands twice", around[i]);
        }
        gained += cost(&own.variant[around[cheapest(&own, around, near, landscape)]], landscape) < sampled;
        cr_assert_eq(search->refine(&stage, around, 5), 5, "no more than asked for");
    }
    cr_expect_gt(gained, LANDSCAPES / 2, "only %d of %d landscapes have faster neighbours of what a sample finds", gained, LANDSCAPES);
    at_kernel_clear(&kernel);
    free(own.variant);
}
