/* Plans and execute, on the interpreter where the code that is generated does not matter (other tests look at that). */
#include "runtime/backend/cpu.h"
#include "runtime/base/dtype.h"

#include <actune/actune.h>
#include <criterion/criterion.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char cache_folder[128];

static void set_up(void)
{
    snprintf(cache_folder, sizeof cache_folder, "/tmp/actune-test-plan-%ld", (long)getpid());
    cr_assert_eq(mkdir(cache_folder, 0700), 0);
}

static void tear_down(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", cache_folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(plan, .init = set_up, .fini = tear_down);

static actune_context *open_context(void)
{
    actune_context_options options = {.database = "", .cache_folder = cache_folder};
    actune_context *context;
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    return context;
}

static actune_plan *make_plan(actune_context *context, actune_plan_desc desc)
{
    actune_plan *plan;
    cr_assert_eq(actune_plan_create(context, &desc, &plan), ACTUNE_OK, "%s: %s", desc.spec, actune_last_error());
    return plan;
}

static bool mentions(const char *words)
{
    return strstr(actune_last_error(), words) != NULL;
}

Test(plan, descriptions_that_make_no_sense)
{
    actune_context *context = open_context();
    static const char *const gradients[] = {"bias", NULL};
    static const struct {
        actune_plan_desc desc;
        actune_status status;
        const char *says;
    } cases[] = {
        {{.spec = NULL}, ACTUNE_INVALID_ARGUMENT, "spec"},
        {{.spec = "clip(-1, 1) | nonsuch", .shape = {1, 1, 4}}, ACTUNE_SYNTAX, "nonsuch"},
        {{.spec = "clip(-1, 1)", .shape = {1, 1, -4}}, ACTUNE_INVALID_ARGUMENT, "negative"},
        {{.spec = "clip(-1, 1)", .shape = {INT64_MAX, 2, 2}}, ACTUNE_INVALID_ARGUMENT, "elements"},
        {{.spec = "clip(-1, 1)", .shape = {1, 1, 4}, .direction = 2}, ACTUNE_INVALID_ARGUMENT, "direction"},
        {{.spec = "clip(-1, 1)", .shape = {1, 1, 4}, .dtype_in = 99}, ACTUNE_INVALID_ARGUMENT, "dtype_in"},
        {{.spec = "clip(-1, 1)", .shape = {1, 1, 4}, .dtype_out = 99}, ACTUNE_INVALID_ARGUMENT, "dtype_out"},
        {{.spec = "clip(-1, 1)", .shape = {1, 1, 4}, .max_threads = -1}, ACTUNE_INVALID_ARGUMENT, "max_threads"},
        {{.spec = "clip(-1, 1)", .shape = {1, 1, 4}, .dtype_in = ACTUNE_F16, .in_place = true},
         ACTUNE_INVALID_ARGUMENT,
         "in place"},
        {{.spec = "bias", .shape = {1, 1, 4}, .gradients = gradients, .gradient_count = 1},
         ACTUNE_INVALID_ARGUMENT,
         "backward"},
        {{.spec = "bias", .shape = {1, 1, 4}, .direction = 1, .gradients = gradients, .gradient_count = 2},
         ACTUNE_INVALID_ARGUMENT,
         "gradient 1"},
        {{.spec = "bias", .shape = {1, 1, 4}, .direction = 1, .gradient_count = 1}, ACTUNE_INVALID_ARGUMENT, "names"},
        {{.spec = "clip(0, 1)", .shape = {1, 1, 4}, .direction = 1, .gradients = gradients, .gradient_count = 1},
         ACTUNE_INVALID_ARGUMENT,
         "bias"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        actune_plan *plan = (actune_plan *)context;
        cr_assert_eq(actune_plan_create(context, &cases[i].desc, &plan), cases[i].status, "case %zu: %s", i,
                     actune_last_error());
        cr_assert_null(plan);
        cr_assert(mentions(cases[i].says), "case %zu: %s", i, actune_last_error());
    }
    actune_plan_desc good = {.spec = "clip(-1, 1)"};
    actune_plan *plan;
    cr_assert_eq(actune_plan_create(NULL, &good, &plan), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_plan_create(context, NULL, &plan), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_plan_create(context, &good, NULL), ACTUNE_INVALID_ARGUMENT);
    actune_plan_destroy(NULL);
    actune_context_close(context);
    actune_context_close(NULL);
}

Test(plan, ports_and_what_the_plan_tells)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    actune_context *context = open_context();
    static const char *const gradients[] = {"bias"};
    actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "bias|clip( -1,1 )",
                                                              .direction = ACTUNE_BACKWARD,
                                                              .dtype_in = ACTUNE_F16,
                                                              .dtype_out = ACTUNE_BF16,
                                                              .shape = {3, 5, 7},
                                                              .gradients = gradients,
                                                              .gradient_count = 1});
    static const actune_port_info want[] = {{"x", ACTUNE_F16, 105, false, false},
                                            {"dy", ACTUNE_BF16, 105, false, false},
                                            {"bias", ACTUNE_F32, 5, false, false},
                                            {"dx", ACTUNE_F16, 105, true, false},
                                            {"dbias", ACTUNE_F32, 5, true, false}};
    cr_assert_eq(actune_plan_port_count(plan), 5);
    actune_port_info port;
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(actune_plan_port(plan, i, &port), ACTUNE_OK);
        cr_assert_str_eq(port.name, want[i].name);
        cr_assert(port.dtype == want[i].dtype && port.count == want[i].count && port.is_output == want[i].is_output,
                  "%s", port.name);
    }
    cr_assert_eq(actune_plan_port(plan, 5, &port), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_plan_port(plan, -1, &port), ACTUNE_INVALID_ARGUMENT);
    actune_plan_info info;
    actune_plan_describe(plan, &info);
    cr_assert_str_eq(info.spec, "bias | clip(-1, 1)");
    cr_assert_eq(strlen(info.kernel), 32);
    cr_assert_str_eq(info.variant, "interpreter");
    cr_assert_str_eq(info.tier, "interpreter");
    cr_assert_str_eq(info.binary, "");
    cr_assert_str_eq(info.note, "ACTUNE_INTERPRET is set");
    cr_assert_eq(info.threads, 1);
    cr_assert_eq(info.workspace_bytes, 15 * sizeof(double));
    cr_assert_str_eq(actune_plan_source(plan), "");
    actune_plan_destroy(plan);
    actune_context_close(context);
}

Test(plan, closing_the_context_first_is_survived)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    enum { N = 100000 };
    static float x[N], y[N];
    actune_context *context = open_context();
    actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "clip(-1, 1)", .shape = {1, 1, N}});
    actune_context_close(context);
    for (int i = 0; i < N; i++)
        x[i] = (float)i / 1000 - 50;
    actune_buffer buffers[] = {{x, N, ACTUNE_F32}, {y, N, ACTUNE_F32}};
    cr_assert_eq(actune_execute(plan, buffers, 2), ACTUNE_OK);
    for (int i = 0; i < N; i++)
        cr_assert_eq(y[i], fminf(fmaxf(x[i], -1), 1));
    actune_plan_destroy(plan);
}

/* y = x * mul + add, in f32; one buffer is spoilt at a time. */
Test(plan, buffers_that_make_no_sense)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    enum { N = 64 };
    static float memory[8 * N];
    float *x = memory, *mul = memory + N, *add = memory + 2 * N, *y = memory + 3 * N, *spare = memory + 6 * N;
    actune_context *context = open_context();
    actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "mul | add", .shape = {1, 1, N}});
    const actune_buffer good[] = {
        {x, N, ACTUNE_F32}, {mul, N, ACTUNE_F32}, {add, N + 1, ACTUNE_F32}, {y, N, ACTUNE_F32}};
    actune_buffer b[5];
    memcpy(b, good, sizeof good);
    cr_assert_eq(actune_execute(plan, b, 4), ACTUNE_OK);
    cr_assert_eq(actune_execute(plan, b, 3), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_execute(plan, b, 5), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_execute(plan, NULL, 4), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_execute(NULL, b, 4), ACTUNE_INVALID_ARGUMENT);
    const struct {
        int port;
        actune_buffer buffer;
        const char *says;
    } bad[] = {
        {0, {NULL, N, ACTUNE_F32}, "0 (x) is NULL"},
        {1, {mul, N - 1, ACTUNE_F32}, "1 (mul) has 63 elements"},
        {1, {mul, -1, ACTUNE_F32}, "1 (mul) has -1 elements"},
        {2, {add, N, ACTUNE_F64}, "2 (add) is f64"},
        {2, {add, N, 77}, "2 (add) is of no known"},
        {3, {(char *)spare + 2, N, ACTUNE_F32}, "3 (y) is not aligned"},
        {3, {x, N, ACTUNE_F32}, "0 (x) and 3 (y) overlap; make the plan with in_place"},
        {3, {x + N / 2, N, ACTUNE_F32}, "0 (x) and 3 (y) overlap"},
        {3, {add - N + 1, N, ACTUNE_F32}, "overlap"},
        {3, {add + N - 1, N, ACTUNE_F32}, "2 (add) and 3 (y) overlap"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(b, good, sizeof good);
        b[bad[i].port] = bad[i].buffer;
        memset(memory, 0, sizeof memory);
        y[0] = 42;
        cr_assert_eq(actune_execute(plan, b, 4), ACTUNE_INVALID_ARGUMENT, "case %zu", i);
        cr_assert(mentions(bad[i].says), "case %zu: %s", i, actune_last_error());
        cr_assert_eq(y[0], 42, "case %zu: something was written", i);
    }
    memcpy(b, good, sizeof good);
    b[1].data = b[2].data = x; /* inputs may be one buffer */
    x[5] = 3;
    cr_assert_eq(actune_execute(plan, b, 4), ACTUNE_OK);
    cr_assert_eq(y[5], 12);
    actune_plan_destroy(plan);
    actune_context_close(context);
}

Test(plan, in_place_only_where_it_was_asked_for)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    enum { N = 40 };
    float x[N + 1], add[N], dy[N], dbias[2], bias[2] = {0, 0};
    actune_context *context = open_context();
    actune_plan *plan =
        make_plan(context, (actune_plan_desc){.spec = "add | clip(-1, 1)", .shape = {1, 1, N}, .in_place = true});
    for (int i = 0; i < N; i++)
        x[i] = (float)i, add[i] = -10;
    actune_buffer b[] = {{x, N, ACTUNE_F32}, {add, N, ACTUNE_F32}, {x, N, ACTUNE_F32}};
    cr_assert_eq(actune_execute(plan, b, 3), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < N; i++)
        cr_assert_eq(x[i], fminf(fmaxf((float)i - 10, -1), 1));
    b[2].data = x + 1;
    cr_assert_eq(actune_execute(plan, b, 3), ACTUNE_INVALID_ARGUMENT, "partly overlapping");
    b[2].data = add;
    cr_assert_eq(actune_execute(plan, b, 3), ACTUNE_INVALID_ARGUMENT, "add is not the tensor that y may replace");
    b[2].data = dy;
    cr_assert_eq(actune_execute(plan, b, 3), ACTUNE_OK, "may be in place, need not");
    actune_plan_destroy(plan);

    static const char *const gradients[] = {"bias"};
    plan = make_plan(context, (actune_plan_desc){.spec = "bias | clip(-1, 1)",
                                                 .direction = ACTUNE_BACKWARD,
                                                 .shape = {N / 2, 2, 1},
                                                 .in_place = true,
                                                 .gradients = gradients,
                                                 .gradient_count = 1});
    for (int i = 0; i < N; i++)
        x[i] = i % 4 < 2 ? 0 : 5, dy[i] = 1 + (float)(i % 2);
    actune_buffer back[] = {
        {x, N, ACTUNE_F32}, {dy, N, ACTUNE_F32}, {bias, 2, ACTUNE_F32}, {dy, N, ACTUNE_F32}, {dbias, 2, ACTUNE_F32}};
    cr_assert_eq(actune_execute(plan, back, 5), ACTUNE_OK, "%s", actune_last_error());
    for (int i = 0; i < N; i++)
        cr_assert_eq(dy[i], i % 4 < 2 ? 1 + (float)(i % 2) : 0);
    cr_assert(dbias[0] == N / 4 && dbias[1] == N / 2);
    back[3].data = x;
    cr_assert_eq(actune_execute(plan, back, 5), ACTUNE_INVALID_ARGUMENT, "dx may not replace x");
    back[3].data = dy;
    back[4].data = dy;
    cr_assert_eq(actune_execute(plan, back, 5), ACTUNE_INVALID_ARGUMENT, "outputs share nothing");
    actune_plan_destroy(plan);
    actune_context_close(context);
}

Test(plan, empty_tensors)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    static const actune_shape shapes[] = {{0, 3, 4}, {2, 3, 0}, {0, 3, 1}};
    static const char *const gradients[] = {"bias"};
    actune_context *context = open_context();
    for (int s = 0; s < 3; s++) {
        actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "bias | clip(-1, 1)",
                                                                  .direction = ACTUNE_BACKWARD,
                                                                  .shape = shapes[s],
                                                                  .gradients = gradients,
                                                                  .gradient_count = 1});
        float bias[3] = {1, 2, 3}, dbias[4] = {7, 7, 7, 7};
        actune_buffer b[] = {{NULL, 0, 0}, {NULL, 0, 0}, {bias, 3, 0}, {NULL, 0, 0}, {dbias, 3, 0}};
        cr_assert_eq(actune_execute(plan, b, 5), ACTUNE_OK, "%s", actune_last_error());
        for (int i = 0; i < 4; i++)
            cr_assert_eq(dbias[i], i < 3 ? 0 : 7, "the sum over nothing is 0");
        actune_plan_destroy(plan);
    }
    actune_context_close(context);
}

/* The same results, to the bit where nothing is summed, from one and from many threads, with the caller's rounding left
   alone. */
Test(plan, threads_do_not_change_the_numbers)
{
    enum { ROWS = 3000, CHANNELS = 100, N = ROWS * CHANNELS };
    static float x[N], dy[N], bias[CHANNELS], dx[2][N], dbias[2][CHANNELS];
    static const char *const gradients[] = {"bias"};
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 1013) / 400 - 1, dy[i] = (float)(i % 977) / 977;
    for (int interpreted = 0; interpreted < 2; interpreted++) {
        setenv("ACTUNE_INTERPRET", interpreted ? "1" : "0", 1);
        actune_context *context = open_context();
        for (int threads = 0; threads < 2; threads++) {
            actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "bias | clip(-1, 1)",
                                                                      .direction = ACTUNE_BACKWARD,
                                                                      .shape = {ROWS, CHANNELS, 1},
                                                                      .gradients = gradients,
                                                                      .gradient_count = 1,
                                                                      .max_threads = 1 - threads});
            actune_buffer b[] = {
                {x, N, 0}, {dy, N, 0}, {bias, CHANNELS, 0}, {dx[threads], N, 0}, {dbias[threads], CHANNELS, 0}};
            fesetround(FE_TONEAREST);
            feclearexcept(FE_ALL_EXCEPT);
            cr_assert_eq(actune_execute(plan, b, 5), ACTUNE_OK, "%s", actune_last_error());
            cr_assert_eq(fegetround(), FE_TONEAREST);
            actune_plan_destroy(plan);
        }
        cr_assert_eq(memcmp(dx[0], dx[1], sizeof dx[0]), 0);
        cr_assert_eq(memcmp(dbias[0], dbias[1], sizeof dbias[0]), 0);
        for (int c = 0; c < CHANNELS; c++) {
            double want = 0, magnitude = 0;
            for (int i = c; i < N; i += CHANNELS) {
                want += fabsf(x[i]) <= 1 ? dy[i] : 0;
                magnitude += dy[i];
            }
            cr_assert_lt(fabs(dbias[0][c] - want), 1e-6 * magnitude, "%g, not %g", dbias[0][c], want);
        }
        actune_context_close(context);
    }
}

#if defined(__x86_64__)
enum { FLUSH = 1 << 15 | 1 << 6, FLAGS = 0x3f }; /* flush to zero, denormals are zero; exception flags */
#endif

/* Plans are made alike under any rounding and flushing, and both plan and execute leave them as they are. */
Test(plan, floating_point_environment_is_the_callers)
{
    unsetenv("ACTUNE_INTERPRET");
    enum { N = 50000 };
    static float x[N], y[2][N];
    for (int i = 0; i < N; i++)
        x[i] = (float)(i - N / 2) / 5000;
    actune_context *context = open_context();
    char *source[2] = {NULL, NULL};
    for (int odd = 0; odd < 2; odd++) {
        char command[256]; /* nothing remembered from the first */
        snprintf(command, sizeof command, "rm -f '%s'/*.gen", cache_folder);
        cr_assert_eq(system(command), 0);
        fesetround(odd ? FE_UPWARD : FE_TONEAREST);
#if defined(__x86_64__)
        unsigned before = __builtin_ia32_stmxcsr() | (odd ? FLUSH : 0);
        __builtin_ia32_ldmxcsr(before);
#endif
        actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "tanh", .shape = {1, 1, N}});
        actune_buffer b[] = {{x, N, 0}, {y[odd], N, 0}};
        cr_assert_eq(actune_execute(plan, b, 2), ACTUNE_OK);
        cr_assert_eq(fegetround(), odd ? FE_UPWARD : FE_TONEAREST);
#if defined(__x86_64__)
        cr_assert_eq(__builtin_ia32_stmxcsr() & ~(unsigned)FLAGS, before & ~(unsigned)FLAGS);
        __builtin_ia32_ldmxcsr(before & ~(unsigned)FLUSH);
#endif
        fesetround(FE_TONEAREST);
        source[odd] = strdup(actune_plan_source(plan));
        actune_plan_destroy(plan);
    }
    cr_assert_str_eq(source[0], source[1]);
    free(source[0]), free(source[1]);
    actune_context_close(context);
}

Test(plan, several_contexts_and_plans)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    enum { CONTEXTS = 3, PLANS = 5, N = 9000 };
    static float x[N], y[N];
    actune_context *context[CONTEXTS];
    actune_plan *plan[CONTEXTS][PLANS];
    for (int c = 0; c < CONTEXTS; c++) {
        context[c] = open_context();
        for (int p = 0; p < PLANS; p++) {
            char spec[64];
            snprintf(spec, sizeof spec, "clip(%d, %d)", -p, c);
            plan[c][p] = make_plan(context[c], (actune_plan_desc){.spec = spec, .shape = {1, 1, N}});
        }
    }
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 21 - 10);
    actune_buffer b[] = {{x, N, 0}, {y, N, 0}};
    for (int c = 0; c < CONTEXTS; c++)
        for (int p = 0; p < PLANS; p++) {
            cr_assert_eq(actune_execute(plan[c][p], b, 2), ACTUNE_OK);
            for (int i = 0; i < N; i++)
                cr_assert_eq(y[i], fminf(fmaxf(x[i], (float)-p), (float)c));
            actune_plan_destroy(plan[c][p]);
        }
    for (int c = 0; c < CONTEXTS; c++)
        actune_context_close(context[c]);
}

/* What is left of a context without home, cache, database or compiler is the interpreter, and it says why. */
Test(plan, works_without_anything)
{
    static const char *const unset[] = {"HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "ACTUNE_DB", "ACTUNE_INTERPRET"};
    for (int i = 0; i < 5; i++)
        unsetenv(unset[i]);
    setenv("TMPDIR", cache_folder, 1);
    setenv("ACTUNE_CC", "/nonexistent/compiler", 1);
    float x[] = {-3, -0.0f, 0.5f, 3}, y[4];
    actune_buffer b[] = {{x, 4, 0}, {y, 4, 0}};
    for (int no_compile = 0; no_compile < 2; no_compile++) {
        actune_context *context;
        actune_context_options options = {.no_compile = no_compile};
        cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
        actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "clip(-1, 1)", .shape = {1, 1, 4}});
        cr_assert_eq(actune_execute(plan, b, 2), ACTUNE_OK);
        cr_assert(y[0] == -1 && y[1] == 0 && signbit(y[1]) && y[2] == 0.5f && y[3] == 1);
        actune_plan_info info;
        actune_plan_describe(plan, &info);
        cr_assert_str_eq(info.tier, "interpreter");
        cr_assert(strstr(info.note, "interpreted") != NULL, "%s", info.note);
        actune_plan_destroy(plan);
        actune_context_close(context);
    }
    actune_context *context;
    cr_assert_eq(actune_context_open(&(actune_context_options){.device = "toaster"}, &context), ACTUNE_DEVICE);
    cr_assert_null(context);
    cr_assert_eq(actune_context_open(&(actune_context_options){.max_threads = -2}, &context), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_context_open(NULL, NULL), ACTUNE_INVALID_ARGUMENT);
}

/* Compiles, and from then on takes the binary from the cache, with no compiler at hand. */
Test(plan, default_variant_compiles_and_is_cached)
{
    unsetenv("ACTUNE_INTERPRET");
    const at_compiler *compiler;
    if (at_compiler_get(&compiler) != ACTUNE_OK)
        cr_skip_test("no compiler here");
    float x[] = {-3, -0.0f, 0.5f, 3, NAN}, y[5];
    actune_buffer b[] = {{x, 5, 0}, {y, 5, 0}};
    for (int again = 0; again < 2; again++) {
        actune_context *context;
        actune_context_options options = {.database = "", .cache_folder = cache_folder, .no_compile = again};
        cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK);
        actune_plan *plan = make_plan(context, (actune_plan_desc){.spec = "clip(-1, 1)", .shape = {1, 1, 5}});
        actune_plan_info info;
        actune_plan_describe(plan, &info);
        cr_assert_str_eq(info.tier, "default", "%s", info.note);
        cr_assert_str_eq(info.note, "");
        cr_assert_eq(strncmp(info.binary, cache_folder, strlen(cache_folder)), 0, "%s", info.binary);
        cr_assert_neq(strstr(actune_plan_source(plan), "actune_slice"), NULL);
        cr_assert_eq(actune_execute(plan, b, 2), ACTUNE_OK);
        cr_assert(y[0] == -1 && y[1] == 0 && signbit(y[1]) && y[2] == 0.5f && y[3] == 1 && isnan(y[4]));
        actune_plan_destroy(plan);
        actune_context_close(context);
    }
}
