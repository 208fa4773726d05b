#include "codegen/activation.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(table) (sizeof table / sizeof *table)

enum { INPUTS_MAX = AT_PARAMETERS_MAX + 2 };

static long double evaluate_node(const at_graph *graph, at_node_id node, const long double *inputs)
{
    long double *values = calloc((size_t)graph->count, sizeof *values);
    at_graph_eval(graph, inputs, values);
    long double result = values[node];
    free(values);
    return result;
}

/* x, then the defaults; another value for the first parameter where one is given (not NaN). */
static void fill(const at_activation *a, double x, double first, long double *inputs)
{
    inputs[0] = x;
    for (int i = 0; i < a->parameters; i++)
        inputs[1 + i] = a->parameter[i].default_value;
    if (!isnan(first))
        inputs[1] = first;
}

static long double value(const char *name, double x, double first)
{
    const at_activation *a = at_activation_find(name);
    cr_assert_not_null(a, "%s", name);
    long double inputs[INPUTS_MAX];
    fill(a, x, first, inputs);
    return evaluate_node(&a->graph, a->graph.output[0], inputs);
}

Test(activation, table)
{
    static const char *const names[] = {
        "bounded_relu",
        "celu",       "elu",         "gelu",     "gelu_tanh", "hardshrink", "hardsigmoid", "hardswish",  "hardtanh",         "identity",   "leaky_relu",
        "log_sigmoid", "mish",       "prelu",    "quick_gelu", "relu",      "relu6",       "relu_squared", "rrelu",     "selu",           "shrink",     "sigmoid",
        "silu",       "softplus",    "softshrink", "softsign", "swish",     "tanh",        "tanhshrink", "threshold",        "thresholded_relu"};
    for (size_t i = 0; i < COUNT(names); i++) {
        const at_activation *a = at_activation_find(names[i]);
        cr_assert_not_null(a, "%s", names[i]);
        cr_expect_str_eq(a->name, names[i]);
        cr_expect(*a->formula, "%s has no formula", names[i]);
        cr_expect_eq(a->graph.outputs, 1);
        for (int k = 0; k < a->parameters; k++)
            cr_expect(a->parameter[k].has_default, "%s: %s", names[i], a->parameter[k].name);
    }
    cr_assert_geq(at_activation_count(), (int)COUNT(names));
    for (int i = 1; i < at_activation_count(); i++)
        cr_expect_lt(strcmp(at_activation_get(i - 1)->name, at_activation_get(i)->name), 0);
    cr_expect_null(at_activation_get(-1));
    cr_expect_null(at_activation_get(at_activation_count()));
    cr_expect_null(at_activation_find("swis"));
    cr_expect_null(at_activation_find(""));
    cr_expect_eq(at_activation_find("logistic"), at_activation_find("sigmoid"));
    cr_expect_eq(at_activation_find("hard_swish"), at_activation_find("hardswish"));
}

Test(activation, parameters)
{
    const at_activation *a = at_activation_find("hardtanh");
    cr_assert_eq(a->parameters, 2);
    cr_expect(!strcmp(a->parameter[0].name, "min_val") && a->parameter[0].default_value == -1);
    cr_expect(!strcmp(a->parameter[1].name, "max_val") && a->parameter[1].default_value == 1);
    cr_expect_str_eq(a->requirements, "min_val <= max_val");
    a = at_activation_find("leaky_relu");
    cr_expect_str_eq(a->parameter[0].aliases, "negative_slope");
    cr_expect_str_eq(at_activation_find("prelu")->parameter[0].aliases, "weight init");
    cr_expect_str_eq(at_activation_find("relu")->requirements, "");
    cr_expect(a->parameters == 1 && a->parameter[0].default_value == 0.01);
}

/* Each in its own words, in long double. */
static long double sigmoid(long double x)
{
    return 1 / (1 + expl(-x));
}
static long double relu(long double x)
{
    return x > 0 ? x : 0;
}
static long double leaky(long double x)
{
    return x > 0 ? x : 0.01 * x;
}
static long double prelu(long double x)
{
    return x > 0 ? x : 0.25 * x;
}
static long double elu(long double x)
{
    return x > 0 ? x : expm1l(x);
}
static long double selu(long double x)
{
    return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1l(x));
}
static long double silu(long double x)
{
    return x * sigmoid(x);
}
static long double gelu(long double x)
{
    return x * 0.5L * (1 + erfl(x / sqrtl(2)));
}
static long double gelu_tanh(long double x)
{
    return 0.5L * x * (1 + tanhl(sqrtl(2 / acosl(-1)) * (x + 0.044715 * x * x * x)));
}
static long double quick_gelu(long double x)
{
    return x * sigmoid(1.702 * x);
}
static long double mish(long double x)
{
    return x * tanhl(log1pl(expl(x)));
}
static long double softplus(long double x)
{
    return x > 20 ? x : log1pl(expl(x));
}
static long double softsign(long double x)
{
    return x / (1 + fabsl(x));
}
static long double clamp(long double x, long double lo, long double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}
static long double hardtanh(long double x)
{
    return clamp(x, -1, 1);
}
static long double relu6(long double x)
{
    return clamp(x, 0, 6);
}
static long double bounded_relu(long double x)
{
    return clamp(x, 0, 6) - 3;
}
static long double hardsigmoid(long double x)
{
    return clamp(x + 3, 0, 6) / 6;
}
static long double hardswish(long double x)
{
    return x * clamp(x + 3, 0, 6) / 6;
}
static long double identity(long double x)
{
    return x;
}

static long double rrelu(long double x)
{
    return x > 0 ? x : (0.125 + 1.0 / 3) / 2 * x;
}
static long double hardshrink(long double x)
{
    return x > 0.5 || x < -0.5 ? x : 0;
}
static long double softshrink(long double x)
{
    return x - clamp(x, -0.5, 0.5);
}
static long double log_sigmoid(long double x)
{
    return x < 0 ? x - log1pl(expl(x)) : -log1pl(expl(-x));
}
static long double tanhshrink(long double x)
{
    return x - tanhl(x);
}
static long double relu_squared(long double x)
{
    return x > 0 ? x * x : 0;
}
static long double above_one(long double x)
{
    return x > 1 ? x : 0;
}

static const struct {
    const char *name;
    long double (*function)(long double);
} formulas[] = {
    {"rrelu", rrelu},
    {"hardshrink", hardshrink},
    {"softshrink", softshrink},
    {"shrink", hardshrink},
    {"threshold", relu},
    {"thresholded_relu", above_one},
    {"log_sigmoid", log_sigmoid},
    {"tanhshrink", tanhshrink},
    {"relu_squared", relu_squared},
    {"relu", relu},
    {"leaky_relu", leaky},
    {"prelu", prelu},
    {"elu", elu},
    {"celu", elu},
    {"selu", selu},
    {"sigmoid", sigmoid},
    {"tanh", tanhl},
    {"silu", silu},
    {"swish", silu},
    {"gelu", gelu},
    {"gelu_tanh", gelu_tanh},
    {"quick_gelu", quick_gelu},
    {"mish", mish},
    {"softplus", softplus},
    {"softsign", softsign},
    {"hardtanh", hardtanh},
    {"relu6", relu6},
    {"bounded_relu", bounded_relu},
    {"hardsigmoid", hardsigmoid},
    {"hardswish", hardswish},
    {"identity", identity},
};

Test(activation, values)
{
    cr_assert_eq((int)COUNT(formulas), at_activation_count(), "a built-in without a formula here");
    for (size_t i = 0; i < COUNT(formulas); i++)
        for (double x = -25; x <= 25; x += 0.0625) {
            long double expected = formulas[i].function(x), got = value(formulas[i].name, x, NAN);
            cr_expect(fabsl(got - expected) <= 1e-15L * fmaxl(1, fabsl(expected)), "%s(%g) = %Lg, not %Lg",
                      formulas[i].name, x, got, expected);
        }
}

Test(activation, special_values)
{
    static const struct {
        const char *name;
        double at, expected;
    } rows[] = {
        {"silu", -INFINITY, 0},
        {"swish", -INFINITY, 0},
        {"gelu", -INFINITY, 0},
        {"gelu_tanh", -INFINITY, 0},
        {"quick_gelu", -INFINITY, 0},
        {"mish", -INFINITY, 0},
        {"silu", INFINITY, INFINITY},
        {"swish", INFINITY, INFINITY},
        {"gelu", INFINITY, INFINITY},
        {"gelu_tanh", INFINITY, INFINITY},
        {"mish", INFINITY, INFINITY},
        {"quick_gelu", INFINITY, INFINITY},
        {"sigmoid", -INFINITY, 0},
        {"sigmoid", INFINITY, 1},
        {"softplus", -INFINITY, 0},
        {"softplus", INFINITY, INFINITY},
        {"elu", -INFINITY, -1},
        {"hardswish", -INFINITY, 0},
        {"hardswish", INFINITY, INFINITY},
        {"hardsigmoid", -INFINITY, 0},
        {"hardsigmoid", INFINITY, 1},
        {"relu", -INFINITY, 0},
        {"relu6", INFINITY, 6},
        {"tanh", -INFINITY, -1},
        {"log_sigmoid", -INFINITY, -INFINITY},
        {"log_sigmoid", INFINITY, 0},
        {"softshrink", -INFINITY, -INFINITY},
        {"hardshrink", INFINITY, INFINITY},
        {"relu_squared", -INFINITY, 0},
        {"threshold", INFINITY, INFINITY},
        {"tanhshrink", INFINITY, INFINITY},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect_eq(value(rows[i].name, rows[i].at, NAN), rows[i].expected, "%s(%g) = %Lg", rows[i].name, rows[i].at,
                     value(rows[i].name, rows[i].at, NAN));
    for (int i = 0; i < at_activation_count(); i++)
        cr_expect(isnan(value(at_activation_get(i)->name, NAN, NAN)), "%s(NaN)", at_activation_get(i)->name);
    static const char *const odd_at_zero[] = {"relu", "leaky_relu", "elu", "selu", "celu", "tanh", "identity", "relu6"};
    for (size_t i = 0; i < COUNT(odd_at_zero); i++)
        cr_expect(signbit(value(odd_at_zero[i], -0.0, NAN)), "%s(-0)", odd_at_zero[i]);
    cr_expect(signbit(value("hardtanh", -0.0, NAN)) && signbit(value("hardtanh", -0.0, 0)));
    /* A closed gate closes for infinities, an open or half-open one lets them through. */
    cr_expect_eq(value("swish", INFINITY, -1), 0);
    cr_expect_eq(value("swish", -INFINITY, -1), -INFINITY);
    cr_expect_eq(value("softplus", 30, 0.5), 2 * log1pl(expl(15)));
}

static void *count_all(void *user)
{
    (void)user;
    return at_activation_find("tanh") ? NULL : "missing";
}

Test(activation, first_use_by_several_threads)
{
    pthread_t thread[4];
    for (size_t i = 0; i < COUNT(thread); i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, count_all, NULL), 0);
    for (size_t i = 0; i < COUNT(thread); i++) {
        void *failure;
        pthread_join(thread[i], &failure);
        cr_expect_null(failure);
    }
}

/* Runs make_builtins; its standard output goes to `output` when that is no NULL. Returns the exit status. */
static int make_builtins(char **arguments, const char *output, const char *libclang)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (output)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    else
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (libclang)
        setenv("ACTUNE_LIBCLANG", libclang, 1);
    pid_t child;
    int status = -1;
    arguments[0] = ACTUNE_BINARY_DIR "/actune_make_builtins";
    cr_assert_eq(posix_spawn(&child, arguments[0], &actions, NULL, arguments, environ), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    unsetenv("ACTUNE_LIBCLANG");
    posix_spawn_file_actions_destroy(&actions);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *read_file(const char *path)
{
    enum { BYTES = 1 << 20 };
    char *text = calloc(1, BYTES);
    FILE *in = fopen(path, "r");
    cr_assert(in && text && fread(text, 1, BYTES - 1, in) > 0, "%s", path);
    fclose(in);
    return text;
}

static void expect_same_files(const char *a, const char *b, const char *message)
{
    char *first = read_file(a), *second = read_file(b);
    cr_expect(!strcmp(first, second), "%s", message);
    free(first);
    free(second);
}

/* The definitions, the committed text and what a build without libclang makes of it agree. */
Test(activation, golden)
{
    static char golden[] = ACTUNE_SOURCE_DIR "/tests/golden/builtins.txt";
    char folder[] = "/tmp/actune-test-XXXXXX", fresh[64], parsed[64], fallen_back[64];
    cr_assert(mkdtemp(folder));
    snprintf(fresh, sizeof fresh, "%s/fresh.txt", folder);
    snprintf(parsed, sizeof parsed, "%s/parsed.c", folder);
    snprintf(fallen_back, sizeof fallen_back, "%s/fallen_back.c", folder);
    glob_t files;
    cr_assert_eq(glob(ACTUNE_SOURCE_DIR "/templates/activations/*.c", 0, NULL, &files), 0);
    char **arguments = calloc(files.gl_pathc + 4, sizeof *arguments);
    memcpy(arguments + 3, files.gl_pathv, files.gl_pathc * sizeof *arguments);
    arguments[2] = "--golden";
    cr_expect_eq(make_builtins(arguments + 1, fresh, NULL), 0);
    expect_same_files(golden, fresh,
                      "tests/golden/builtins.txt is not what the definitions give; write it anew with\n"
                      "  actune_make_builtins --golden templates/activations/*.c > tests/golden/builtins.txt");
    arguments[1] = parsed;
    arguments[2] = golden;
    cr_expect_eq(make_builtins(arguments, NULL, NULL), 0);
    arguments[1] = fallen_back;
    cr_expect_eq(make_builtins(arguments, NULL, "/nonexistent/libclang.so"), 0);
    expect_same_files(parsed, fallen_back, "the table made without libclang differs");
    unlink(fresh);
    unlink(parsed);
    unlink(fallen_back);
    rmdir(folder);
    free(arguments);
    globfree(&files);
}
