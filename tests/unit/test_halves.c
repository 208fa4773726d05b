/* Specs of two halves of one tensor, and operands with a value for each plane: against nested loops that say where everything lies. Interpreter and
   compiled code, forward and backward, rows of every length, misaligned. */
#include "runtime/base/dtype.h"
#include "runtime/base/shape.h"

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
    snprintf(cache_folder, sizeof cache_folder, "/tmp/actune-test-halves-%ld", (long)getpid());
    cr_assert_eq(mkdir(cache_folder, 0700), 0);
}

static void tear_down(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", cache_folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(halves, .init = set_up, .fini = tear_down);

static actune_context *open_context(bool interpret)
{
    actune_context_options options = {.database = "", .cache_folder = cache_folder};
    actune_context *context;
    if (interpret)
        setenv("ACTUNE_INTERPRET", "1", 1);
    else
        unsetenv("ACTUNE_INTERPRET");
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    return context;
}

enum { PORTS = 12 };

/* A plan with its buffers, filled with numbers. */
typedef struct bound {
    actune_plan *plan;
    actune_buffer buffer[PORTS];
    void *memory[PORTS];
    int ports;
} bound;

/* shift: every base is misaligned by so many elements. */
static bound make(actune_context *context, actune_plan_desc desc, int shift)
{
    bound b = {0};
    unsigned seed = 7;
    cr_assert_eq(actune_plan_create(context, &desc, &b.plan), ACTUNE_OK, "%s: %s", desc.spec, actune_last_error());
    b.ports = actune_plan_port_count(b.plan);
    for (int p = 0; p < b.ports; p++) {
        actune_port_info port;
        cr_assert_eq(actune_plan_port(b.plan, p, &port), ACTUNE_OK);
        int width = at_dtype_get(port.dtype)->bytes;
        b.memory[p] = calloc((size_t)port.count + 8, (size_t)width);
        b.buffer[p] = (actune_buffer){(char *)b.memory[p] + shift * width, port.count, port.dtype};
        for (int64_t i = 0; i < port.count; i++) {
            seed = seed * 1664525 + 1013904223;
            at_dtype_store(port.dtype, b.buffer[p].data, i, port.is_output ? NAN : (double)(int)(seed >> 16) / 8192 - 4);
        }
    }
    cr_assert_eq(actune_execute(b.plan, b.buffer, b.ports), ACTUNE_OK, "%s: %s", desc.spec, actune_last_error());
    return b;
}

static void drop(bound *b)
{
    for (int p = 0; p < b->ports; p++)
        free(b->memory[p]);
    actune_plan_destroy(b->plan);
}

static const actune_buffer *find(const bound *b, const char *name)
{
    for (int p = 0; p < b->ports; p++) {
        actune_port_info port;
        cr_assert_eq(actune_plan_port(b->plan, p, &port), ACTUNE_OK);
        if (!strcmp(port.name, name))
            return &b->buffer[p];
    }
    cr_assert_fail("no port %s", name);
    return NULL;
}

static double at(const bound *b, const char *name, int64_t i)
{
    const actune_buffer *buffer = find(b, name);
    cr_assert(i >= 0 && i < buffer->count, "%s[%lld] of %lld", name, (long long)i, (long long)buffer->count);
    return at_dtype_load(buffer->dtype, buffer->data, i);
}

static void same(const bound *b, const char *name, int64_t i, double want, const char *where)
{
    double got = at(b, name, i), slack = find(b, name)->dtype == ACTUNE_BF16 ? 0.005 : 1e-6;
    cr_assert(fabs(got - want) <= slack * (1 + fabs(want)), "%s: %s[%lld] is %.9g, not %.9g", where, name, (long long)i, got, want);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* A gate's value and slope. */
typedef struct gate {
    const char *spec;
    bool second;
    double (*value)(double x), (*slope)(double x);
} gate;

static double silu(double x)
{
    return x * sigmoid(x);
}

static double silu_slope(double x)
{
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
}

static double sigmoid_slope(double x)
{
    return sigmoid(x) * (1 - sigmoid(x));
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double relu_slope(double x)
{
    return x > 0;
}

static const gate gates[] = {
    {"swiglu(halves)", false, silu, silu_slope},
    {"glu(halves)", true, sigmoid, sigmoid_slope},
    {"reglu(second)", true, relu, relu_slope},
};

/* Rows of two halves: row r of x has its gate at r * 2 * columns, or columns further on. */
static void check_rows(const bound *b, const gate *of, int64_t rows, int64_t columns, bool backward)
{
    char where[96];
    snprintf(where, sizeof where, "%s %s %lldx%lld", of->spec, backward ? "backward" : "forward", (long long)rows, (long long)columns);
    cr_assert_eq(find(b, "x")->count, 2 * rows * columns, "%s", where);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            int64_t g = r * 2 * columns + (of->second ? columns : 0) + c, o = r * 2 * columns + (of->second ? 0 : columns) + c;
            double a = at(b, "x", g), other = at(b, "x", o), y = r * columns + c;
            if (!backward)
                same(b, "y", r * columns + c, of->value(a) * other, where);
            else {
                double dy = at(b, "dy", (int64_t)y);
                same(b, "dx", g, dy * other * of->slope(a), where);
                same(b, "dx", o, dy * of->value(a), where);
            }
        }
}

static void run_rows(actune_context *context, const gate *of, actune_dtype dtype, int64_t rows, int64_t columns)
{
    /* The two ways to say it. */
    const actune_shape shapes[] = {{rows, 2 * columns, 1}, {rows, 1, 2 * columns}};
    for (int direction = 0; direction < 2; direction++)
        for (int s = 0; s < 2; s++) {
            bound b = make(context,
                           (actune_plan_desc){.spec = of->spec,
                                              .direction = (actune_direction)direction,
                                              .dtype_in = dtype,
                                              .dtype_out = dtype,
                                              .shape = shapes[s]},
                           s);
            check_rows(&b, of, rows, columns, direction == ACTUNE_BACKWARD);
            drop(&b);
        }
}

Test(halves, rows_of_every_length)
{
    static const int64_t shapes[][2] = {{1, 1}, {5, 1}, {3, 2}, {7, 3}, {2, 15}, {3, 17}, {1, 64}, {4, 129}, {2, 1000}, {0, 6}, {70, 333}};
    for (int interpret = 0; interpret < 2; interpret++) {
        actune_context *context = open_context(interpret);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (size_t g = 0; g < sizeof gates / sizeof *gates; g++)
                run_rows(context, &gates[g], g == 1 ? ACTUNE_BF16 : ACTUNE_F32, shapes[i][0], shapes[i][1]);
        actune_context_close(context);
    }
}

/* torch.nn.GLU(dim = 1) of an NCHW tensor: the first C of 2 C channels, and the others; with a bias on the half that goes on, whose gradient is
   summed over images and positions. */
Test(halves, of_channels)
{
    enum { N = 2, C = 3, HW = 35 };
    static const char *const gradients[] = {"bias"};
    for (int interpret = 0; interpret < 2; interpret++) {
        actune_context *context = open_context(interpret);
        actune_plan_desc desc = {.spec = "halves | bias | sigmoid | mul", .shape = {N, 2 * C, HW}};
        bound y = make(context, desc, 1);
        desc.direction = ACTUNE_BACKWARD;
        desc.gradients = gradients;
        desc.gradient_count = 1;
        bound dx = make(context, desc, 1);
        double sum[C] = {0};
        cr_assert_eq(find(&y, "bias")->count, C);
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++)
                for (int i = 0; i < HW; i++) {
                    int64_t first = (n * 2 * C + c) * HW + i, second = (n * 2 * C + C + c) * HW + i, k = (n * C + c) * HW + i;
                    double a = at(&y, "x", first) + at(&y, "bias", c);
                    same(&y, "y", k, sigmoid(a) * at(&y, "x", second), "NCHW");
                    a = at(&dx, "x", first) + at(&dx, "bias", c);
                    double g = at(&dx, "dy", k) * at(&dx, "x", second) * sigmoid_slope(a);
                    same(&dx, "dx", first, g, "NCHW");
                    same(&dx, "dx", second, at(&dx, "dy", k) * sigmoid(a), "NCHW");
                    sum[c] += g;
                }
        for (int c = 0; c < C; c++)
            same(&dx, "dbias", c, sum[c], "NCHW");
        drop(&y);
        drop(&dx);
        actune_context_close(context);
    }
}

/* Sums of one value over rows long and short: beta of swish. */
Test(halves, sums_of_rows)
{
    static const int64_t shapes[][2] = {{5, 7}, {3, 2100}, {0, 4}};
    static const char *const gradients[] = {"beta"};
    for (int interpret = 0; interpret < 2; interpret++) {
        actune_context *context = open_context(interpret);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const int64_t rows = shapes[i][0], columns = shapes[i][1];
            bound b = make(context,
                           (actune_plan_desc){.spec = "halves | swish(beta=learn) | mul",
                                              .direction = ACTUNE_BACKWARD,
                                              .shape = {rows, 2 * columns, 1},
                                              .gradients = gradients,
                                              .gradient_count = 1},
                           0);
            double sum = 0, slack = 0, beta = at(&b, "beta", 0);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t c = 0; c < columns; c++) {
                    double a = at(&b, "x", r * 2 * columns + c), s = sigmoid(beta * a);
                    double factor = at(&b, "dy", r * columns + c) * at(&b, "x", (2 * r + 1) * columns + c);
                    sum += factor * a * a * s * (1 - s);
                    slack += 1e-6 * fabs(factor); /* 3e-7 of the derivative, and the sum's own */
                }
            cr_assert(fabs(at(&b, "dbeta", 0) - sum) <= slack, "%lldx%lld: %.9g, not %.9g", (long long)rows, (long long)columns,
                      at(&b, "dbeta", 0), sum);
            drop(&b);
        }
        actune_context_close(context);
    }
}

/* y = (x + bias) * mul[n][c]: a squeeze-and-excite gate. */
static void check_planes(actune_context *context, actune_shape shape)
{
    static const char *const gradients[] = {"bias", "mul"};
    const int64_t N = shape.outer, C = shape.channels, HW = shape.inner;
    actune_plan_desc desc = {.spec = "bias | mul(channel)", .shape = shape};
    bound y = make(context, desc, 1);
    desc.direction = ACTUNE_BACKWARD;
    desc.gradients = gradients;
    desc.gradient_count = 2;
    bound dx = make(context, desc, 0);
    double *dbias = calloc((size_t)C, sizeof *dbias);
    cr_assert_eq(find(&y, "mul")->count, N * C);
    cr_assert_eq(find(&dx, "dmul")->count, N * C);
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) {
            double dmul = 0;
            for (int64_t i = 0; i < HW; i++) {
                int64_t k = shape.channels_last ? (n * HW + i) * C + c : (n * C + c) * HW + i;
                same(&y, "y", k, (at(&y, "x", k) + at(&y, "bias", c)) * at(&y, "mul", n * C + c), "planes");
                same(&dx, "dx", k, at(&dx, "dy", k) * at(&dx, "mul", n * C + c), "planes");
                dmul += at(&dx, "dy", k) * (at(&dx, "x", k) + at(&dx, "bias", c));
                dbias[c] += at(&dx, "dy", k) * at(&dx, "mul", n * C + c);
            }
            cr_assert(fabs(at(&dx, "dmul", n * C + c) - dmul) <= 2e-6 * (10 + 16 * (double)HW), "dmul[%lld][%lld] of %lld", (long long)n, (long long)c,
                      (long long)HW);
        }
    for (int64_t c = 0; c < C; c++)
        cr_assert(fabs(at(&dx, "dbias", c) - dbias[c]) <= 2e-6 * (10 + 16 * (double)(N * HW)), "dbias[%lld]", (long long)c);
    free(dbias);
    drop(&y);
    drop(&dx);
}

Test(halves, values_for_each_plane)
{
    static const actune_shape shapes[] = {{2, 3, 5},          {3, 7, 49},          {1, 2, 20000},        {2, 1, 9},           {4, 5, 1},
                                          {2, 3, 5, true},    {3, 40, 49, true},   {2, 1, 9, true},      {2, 1000, 33, true}, {1, 24, 1500, true},
                                          {0, 3, 4},          {2, 3, 0, true}};
    for (int interpret = 0; interpret < 2; interpret++) {
        actune_context *context = open_context(interpret);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            check_planes(context, shapes[i]);
        actune_context_close(context);
    }
}

/* The same bits for any number of threads. */
Test(halves, threads_do_not_change_the_numbers)
{
    actune_context *context = open_context(false);
    static const char *const gradients[] = {"mul"};
    const actune_plan_desc descs[] = {
        {.spec = "swiglu(halves)", .shape = {301, 2 * 333, 1}},
        {.spec = "swiglu(halves)", .direction = ACTUNE_BACKWARD, .shape = {7, 2 * 9001, 1}},
        {.spec = "mul(channel)", .direction = ACTUNE_BACKWARD, .shape = {5, 30, 777, true}, .gradients = gradients, .gradient_count = 1},
    };
    for (size_t i = 0; i < sizeof descs / sizeof *descs; i++) {
        actune_plan_desc one = descs[i], many = descs[i];
        one.max_threads = 1;
        bound a = make(context, one, 0), b = make(context, many, 0);
        for (int p = 0; p < a.ports; p++)
            cr_assert_eq(memcmp(a.buffer[p].data, b.buffer[p].data, (size_t)a.buffer[p].count * 4), 0, "%s port %d", one.spec, p);
        drop(&a);
        drop(&b);
    }
    actune_context_close(context);
}

Test(halves, refused)
{
    actune_context *context = open_context(true);
    static const struct {
        actune_plan_desc desc;
        const char *says;
    } cases[] = {
        {{.spec = "swiglu(halves)", .shape = {4, 7, 1}}, "the rows of x [4, 7, 1] have a length of 7, an odd number"},
        {{.spec = "halves | bias | silu | mul", .shape = {4, 7, 2}}, "the channels of x [4, 7, 2] are 7, an odd number"},
        {{.spec = "swiglu(halves)", .shape = {4, -6, 1}}, "negative"},
        {{.spec = "swiglu(halves)", .shape = {4, 6, 1}, .in_place = true}, "'halves | silu | mul': x has two halves where y has one"},
        {{.spec = "swiglu(halves)", .shape = {4, 6, 1}, .direction = ACTUNE_BACKWARD, .in_place = true}, "x has two halves"},
        {{.spec = "mul(channel)", .shape = {INT64_MAX / 2, 3, 3, true}}, "elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        actune_plan *plan;
        cr_assert_eq(actune_plan_create(context, &cases[i].desc, &plan), ACTUNE_INVALID_ARGUMENT, "case %zu", i);
        cr_assert(strstr(actune_last_error(), cases[i].says), "case %zu: %s", i, actune_last_error());
    }
    bound b = make(context, (actune_plan_desc){.spec = "swiglu(halves)", .shape = {3, 8, 1}}, 0);
    b.buffer[0].count = 23;
    cr_assert_eq(actune_execute(b.plan, b.buffer, b.ports), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "buffer 0 (x) has 23 elements, the plan wants 24"), "%s", actune_last_error());
    drop(&b);
    actune_context_close(context);
}

/* The one place where shapes of x become shapes of y. */
Test(halves, shapes)
{
    static const struct {
        at_signature signature;
        actune_shape x, y;
        at_layout layout;
    } cases[] = {
        {{.halves = true}, {5, 8, 1}, {5, 1, 4}, AT_LAYOUT_CHANNEL_OUTER},
        {{.halves = true}, {5, 1, 8}, {5, 1, 4}, AT_LAYOUT_CHANNEL_OUTER},
        {{.halves = true}, {5, 6, 3, true}, {15, 1, 3}, AT_LAYOUT_CHANNEL_OUTER},
        {{.halves = true}, {5, 3, 4}, {5, 1, 6}, AT_LAYOUT_CHANNEL_OUTER},
        {{.halves = true, .slots = 1}, {5, 8, 1}, {5, 4, 1}, AT_LAYOUT_CHANNEL_INNER},
        {{.halves = true, .slots = 1}, {5, 4096, 1}, {5, 1, 2048}, AT_LAYOUT_CHANNEL_OUTER},
        {{.halves = true, .has_channel = true}, {5, 8, 1}, {5, 4, 1}, AT_LAYOUT_CHANNEL_INNER},
        {{.halves = true, .has_channel = true}, {5, 8, 9}, {5, 4, 9}, AT_LAYOUT_CHANNEL_OUTER},
        {{.has_channel = true}, {5, 8, 9, true}, {45, 8, 1}, AT_LAYOUT_CHANNEL_INNER},
        {{.has_channel = true}, {5, 8, 9}, {5, 8, 9}, AT_LAYOUT_CHANNEL_OUTER},
        {{.has_channel = true, .has_plane = true}, {5, 8, 9, true}, {5, 8, 9, true}, AT_LAYOUT_CHANNEL_INNER},
        {{.has_channel = true, .has_plane = true}, {5, 8, 1, true}, {5, 8, 1}, AT_LAYOUT_CHANNEL_INNER},
        {{.has_channel = true, .has_plane = true}, {5, 1, 9, true}, {5, 1, 9}, AT_LAYOUT_CHANNEL_OUTER},
        {{.has_channel = true, .has_plane = true}, {5, 8, 9}, {5, 8, 9}, AT_LAYOUT_CHANNEL_OUTER},
        {{.ports = 0}, {5, 8, 9, true}, {45, 8, 1}, AT_LAYOUT_FLAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        actune_shape y;
        cr_assert_eq(at_shape_of(&cases[i].signature, cases[i].x, &y), ACTUNE_OK, "case %zu: %s", i, actune_last_error());
        cr_assert(y.outer == cases[i].y.outer && y.channels == cases[i].y.channels && y.inner == cases[i].y.inner &&
                      y.channels_last == cases[i].y.channels_last,
                  "case %zu: [%lld, %lld, %lld] %d", i, (long long)y.outer, (long long)y.channels, (long long)y.inner, y.channels_last);
        cr_assert_eq(at_layout_of(&cases[i].signature, y), cases[i].layout, "case %zu", i);
    }
}
