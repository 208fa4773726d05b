/* dropout against a plain C Philox: the same elements in every layout, direction, type, by every way of computing, and what is refused. */
#include "cpu_fixture.h"
#include "runtime/base/dtype.h"
#include "runtime/base/random.h"
#include "codegen/variant.h"
#include "runtime/backend/nvrtc.h"

#include <math.h>

/* --- the oracle --- */

static uint32_t word_of(uint64_t seed, uint64_t offset, int64_t element)
{
    uint32_t c[4] = {(uint32_t)(element / 4), (uint32_t)((uint64_t)element / 4 >> 32), (uint32_t)offset, (uint32_t)(offset >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < 10; round++) {
        uint64_t a = UINT64_C(0xd2511f53) * c[0], b = UINT64_C(0xcd9e8d57) * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ key[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ key[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        key[0] += 0x9e3779b9;
        key[1] += 0xbb67ae85;
    }
    return c[element % 4];
}

static bool keeps(const uint64_t *words, int64_t element, double p)
{
    return (word_of(words[0], words[1], element) >> 8) * 0x1p-24 >= p;
}

Test(random, units)
{
    static const int64_t elements[] = {0, 1, 2, 3, 4, 7, 1000003, INT64_C(1) << 33, (INT64_C(1) << 40) + 5};
    const uint64_t words[] = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        cr_expect_eq(at_random_unit(words, elements[i]), (word_of(words[0], words[1], elements[i]) >> 8) * 0x1p-24, "%lld", (long long)elements[i]);
    const uint64_t zero[2] = {0, 0}; /* Random123's first known answer */
    cr_expect_eq(at_random_unit(zero, 0), (0x6627e8d5 >> 8) * 0x1p-24);
    cr_expect_eq(at_random_unit(zero, 3), (0x9b00dbd8 >> 8) * 0x1p-24);
}

/* --- kernels --- */

enum { MOST = 40000 };
typedef struct job {
    const char *spec;
    actune_dtype dtype;
    actune_shape shape;
    bool backward, bias;
} job;

static actune_plan *make_plan(actune_context *context, const job *j)
{
    static const char *const bias[] = {"bias"};
    actune_plan *plan = NULL;
    const actune_plan_desc desc = {.spec = j->spec, .direction = j->backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, .dtype_in = j->dtype,
                                   .dtype_out = j->dtype, .shape = j->shape, .gradients = bias, .gradient_count = j->backward && j->bias};
    cr_assert_eq(actune_plan_create(context, &desc, &plan), ACTUNE_OK, "%s", actune_last_error());
    return plan;
}

/* All inputs are ones, biases 1: y is 2 / (1 - p) or 0 (without a bias 1 / (1 - p)), dx 1 / (1 - p) or 0, dbias their sums. */
static void run(actune_context *context, const job *j, const uint64_t *words, double p, const char *how)
{
    static double memory[8][MOST];
    actune_plan *plan = make_plan(context, j);
    int ports = actune_plan_port_count(plan), output = -1;
    int64_t n = j->shape.outer * j->shape.channels * j->shape.inner;
    actune_buffer buffer[8];
    for (int i = 0; i < ports; i++) {
        actune_port_info info;
        cr_assert_eq(actune_plan_port(plan, i, &info), ACTUNE_OK);
        buffer[i] = (actune_buffer){memory[i], info.count, info.dtype};
        for (int64_t k = 0; k < info.count; k++)
            at_dtype_store(info.dtype, memory[i], k, info.is_output ? -7 : 1);
        cr_assert_eq(info.is_random, !strcmp(info.name, "dropout"));
        if (info.is_random) {
            cr_assert(info.count == 2 && info.dtype == ACTUNE_F64);
            memcpy(memory[i], words, 16);
        }
        output = output < 0 && info.is_output ? i : output;
    }
    cr_assert_eq(actune_execute(plan, buffer, ports), ACTUNE_OK, "%s", actune_last_error());
    double value = (j->bias && !j->backward ? 2 : 1) / (1 - p), tolerance = j->dtype == ACTUNE_F16 ? 2e-3 : 1e-6, *sums = calloc((size_t)j->shape.channels, sizeof *sums);
    for (int64_t i = 0; i < n; i++) {
        double want = keeps(words, i, p) ? value : 0, got = at_dtype_load(j->dtype, memory[output], i);
        cr_assert(want == 0 ? got == 0 : fabs(got - want) <= tolerance * want, "%s, %s, %s: element %lld is %g, not %g", j->spec,
                  j->backward ? "backward" : "forward", how, (long long)i, got, want);
        sums[i / j->shape.inner % j->shape.channels] += want;
    }
    for (int64_t c = 0; j->backward && j->bias && c < j->shape.channels; c++)
        cr_assert(fabs(at_dtype_load(ACTUNE_F32, memory[output + 1], c) - sums[c]) <= 1e-5 * sums[c] + 1e-6, "dbias %lld", (long long)c);
    free(sums);
    actune_plan_destroy(plan);
}

static const job jobs[] = {
    {"dropout(0.3)", ACTUNE_F32, {1, 1, 20011}, false, false},
    {"dropout(0.3)", ACTUNE_F32, {1, 1, 20011}, true, false},
    {"dropout(0.3)", ACTUNE_F64, {1, 1, 1003}, false, false},
    {"dropout(0.3)", ACTUNE_F16, {1, 1, 1003}, false, false},
    {"dropout(0.3)", ACTUNE_F32, {1, 1, 1}, false, false},
    {"bias | relu | dropout(0.3)", ACTUNE_F32, {61, 67, 1}, false, true},
    {"bias | relu | dropout(0.3)", ACTUNE_F32, {3, 2500, 1}, false, true},
    {"bias | relu | dropout(0.3)", ACTUNE_F32, {3, 5, 49}, false, true},
    {"bias | relu | dropout(0.3)", ACTUNE_F32, {61, 67, 1}, true, true},
    {"bias | relu | dropout(0.3)", ACTUNE_F32, {2, 3, 1111}, true, true},
    {"bias | relu | dropout(0.3)", ACTUNE_F32, {2, 1, 18001}, true, true},
};
enum { JOBS = sizeof jobs / sizeof *jobs };

/* `step`: every job, every second one ... */
static void run_all(int step, const char *how, const char *variable, const char *value)
{
    static const uint64_t words[] = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
    actune_context *context;
    actune_context_options options = {.database = "", .max_threads = 2};
    if (variable)
        setenv(variable, value, 1);
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < JOBS; i += step)
        run(context, &jobs[i], words, 0.3, how);
    actune_context_close(context);
    if (variable)
        unsetenv(variable);
}

/* x is 2 and -1 in turn: y is 2 and minus the slope, dx (dy = 1) 1 and the slope. */
static void run_slopes(bool backward, const char *how)
{
    enum { N = 5003 };
    static float x[N], dy[N], out[N];
    static const uint64_t words[] = {7, 11};
    uint64_t seed[2] = {words[0], words[1]};
    actune_context *context;
    actune_context_options options = {.database = "", .max_threads = 2};
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    const job j = {"rrelu_training(0.25, 0.5)", ACTUNE_F32, {1, 1, N}, backward, false};
    actune_plan *plan = make_plan(context, &j);
    actune_buffer buffer[4];
    int ports = actune_plan_port_count(plan);
    for (int i = 0; i < N; i++) {
        x[i] = i % 2 ? -1 : 2;
        dy[i] = 1;
    }
    for (int i = 0; i < ports; i++) {
        actune_port_info info;
        cr_assert_eq(actune_plan_port(plan, i, &info), ACTUNE_OK);
        void *data = info.is_random ? (void *)seed : info.is_output ? out : !strcmp(info.name, "dy") ? dy : x;
        buffer[i] = (actune_buffer){data, info.count, info.dtype};
    }
    cr_assert_eq(actune_execute(plan, buffer, ports), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < N; i++) {
        double slope = 0.25 + 0.25 * (word_of(words[0], words[1], i) >> 8) * 0x1p-24;
        double want = i % 2 ? (backward ? slope : -slope) : backward ? 1 : 2;
        cr_assert(fabs(out[i] - want) <= 1e-7, "%s, %s: element %d is %g, not %g", backward ? "backward" : "forward", how, i, (double)out[i], want);
    }
    actune_plan_destroy(plan);
    actune_context_close(context);
}

Test(random, rrelu_training, .init = setup, .fini = remove_root)
{
    for (int backward = 0; backward < 2; backward++)
        run_slopes(backward, "compiled");
    setenv("ACTUNE_INTERPRET", "1", 1);
    for (int backward = 0; backward < 2; backward++)
        run_slopes(backward, "interpreted");
    unsetenv("ACTUNE_INTERPRET");
}

Test(random, dropout, .init = setup, .fini = remove_root)
{
    run_all(1, "compiled", NULL, NULL);
    run_all(1, "interpreted", "ACTUNE_INTERPRET", "1");
    run_all(JOBS - 2, "generic", "ACTUNE_ISA", "generic");
}

/* Where NVRTC is, it takes the CUDA text; what it computes is compared on the fake driver (tests/fake_driver/fake_plan.c). */
Test(random, nvrtc)
{
    int major, minor;
    const char *path;
    if (at_nvrtc_version(&major, &minor, &path) != ACTUNE_OK)
        return;
    const at_target target = {.cuda = true, .cuda_arch = 90};
    for (int backward = 0; backward < 2; backward++) {
        const char *bias = "bias";
        const at_kernel_request request = {.direction = (actune_direction)backward, .gradients = &bias, .gradient_count = backward};
        at_spec spec;
        at_kernel kernel;
        at_variant variant;
        at_strbuf source = {0};
        at_nvrtc_output output;
        cr_assert_eq(at_spec_parse("bias | relu | dropout(0.3)", &spec), ACTUNE_OK);
        cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_eq(at_variant_default(&kernel, AT_LAYOUT_CHANNEL_INNER, &target, &variant), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_eq(at_generate(&kernel, AT_LAYOUT_CHANNEL_INNER, &target, &variant, NULL, &source), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_eq(at_nvrtc_compile(at_strbuf_text(&source), "dropout.cu", 90, true, &output), ACTUNE_OK, "%s", actune_last_error());
        at_nvrtc_output_clear(&output);
        at_strbuf_clear(&source);
        at_kernel_clear(&kernel);
        at_spec_clear(&spec);
    }
}

/* --- details --- */

static actune_context *interpreter(void)
{
    actune_context *context;
    actune_context_options options = {.database = ""};
    setenv("ACTUNE_INTERPRET", "1", 1);
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK);
    return context;
}

/* Two stages have a seed and an offset each; what is dropped is 0 whatever it was; p = 0 keeps x. */
Test(random, stages, .init = setup, .fini = remove_root)
{
    enum { N = 4096 };
    static float x[N], y[N];
    uint64_t first[] = {1, 2}, second[] = {1, 3};
    actune_context *context = interpreter();
    const job two = {"dropout(0.5) | dropout(0.5)", ACTUNE_F32, {1, 1, N}, false, false}, none = {"dropout(0)", ACTUNE_F32, {1, 1, N}, false, false};
    for (int i = 0; i < N; i++)
        x[i] = i % 2 ? NAN : INFINITY;
    actune_plan *plan = make_plan(context, &two);
    actune_port_info info;
    cr_assert_eq(actune_plan_port(plan, 2, &info), ACTUNE_OK);
    cr_expect_str_eq(info.name, "dropout2");
    actune_buffer buffers[] = {{x, N, ACTUNE_F32}, {first, 2, ACTUNE_F64}, {second, 2, ACTUNE_F64}, {y, N, ACTUNE_F32}};
    cr_assert_eq(actune_execute(plan, buffers, 4), ACTUNE_OK, "%s", actune_last_error());
    int kept = 0;
    for (int i = 0; i < N; i++) {
        bool keep = keeps(first, i, 0.5) && keeps(second, i, 0.5);
        cr_assert(keep ? !isfinite(y[i]) : y[i] == 0, "element %d", i);
        kept += keep;
    }
    cr_expect(abs(kept - N / 4) < 5 * sqrt(N * 3 / 16.0), "%d of %d", kept, N);
    actune_plan_destroy(plan);
    plan = make_plan(context, &none);
    cr_assert_eq(actune_execute(plan, (actune_buffer[]){{x, N, ACTUNE_F32}, {first, 2, ACTUNE_F64}, {y, N, ACTUNE_F32}}, 3), ACTUNE_OK);
    cr_expect_arr_eq(x, y, sizeof x);
    actune_plan_destroy(plan);
    actune_context_close(context);
    unsetenv("ACTUNE_INTERPRET");
}

static void refused(const char *spec, bool backward, const char *gradient, const char *message)
{
    actune_context *context = interpreter();
    actune_plan *plan;
    const actune_plan_desc desc = {.spec = spec, .direction = backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, .shape = {1, 1, 8}, .gradients = &gradient,
                                   .gradient_count = gradient != NULL};
    cr_expect_neq(actune_plan_create(context, &desc, &plan), ACTUNE_OK, "%s", spec);
    cr_expect_not_null(strstr(actune_last_error(), message), "'%s' in: %s", message, actune_last_error());
    actune_context_close(context);
    unsetenv("ACTUNE_INTERPRET");
}

Test(random, refusals, .init = setup, .fini = remove_root)
{
    refused("dropout(1)", false, NULL, "dropout's p is a share");
    refused("dropout(-0.1)", false, NULL, "dropout's p is a share");
    refused("dropout(nan)", false, NULL, "cannot be NaN");
    refused("rrelu_training(0.5, 0.25)", false, NULL, "lower is greater");
    refused("rrelu_training", false, NULL, "missing argument");
    refused("dropout", false, NULL, "dropout");
    refused("relu | dropout(0.5)", true, "dropout", "have no gradient");
    refused("[from=output] dropout(0.5) | relu", true, NULL, "dropout");
    refused("[from=output] relu | dropout(0.5)", true, NULL, "dropout");
}
