/* The coefficients in templates/math are ours and reproducible: they are fitted again here and looked for in the files.
   With the argument "print": writes them, for people who change a degree. */
#include "codegen/fit_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COEFFICIENTS_MAX = 16 };

typedef long double function(long double x);

static long double exp_m1_over(long double r)
{
    return r == 0 ? 1 : expm1l(r) / r;
}

static long double log1p_over(long double e)
{
    return e == 0 ? 1 : log1pl(e) / e;
}

/* expm1(r) = r + r^2 P(r) */
static long double expm1_rest(long double r)
{
    return fabsl(r) < 1e-4L ? 0.5L + r / 6 + r * r / 24 + r * r * r / 120 : (expm1l(r) - r) / (r * r);
}

/* log(1 + f) = f - f^2 / 2 + f^3 P(f) */
static long double log_rest(long double f)
{
    if (fabsl(f) < 1e-3L)
        return 1 / 3.0L - f * (0.25L - f * (0.2L - f * (1 / 6.0L - f * (1 / 7.0L - f / 8))));
    return (log1pl(f) - f + f * f / 2) / (f * f * f);
}

/* How much an error of P counts: relative to the function that it is part of. */
static long double weigh_exp(long double r)
{
    return r == 0 ? 1 : expl(r) / fabsl(r);
}

static long double weigh_expm1(long double r)
{
    return 1 / fabsl(exp_m1_over(r) == 0 ? 1 : r / exp_m1_over(r));
}

static long double weigh_log(long double f)
{
    return fabsl(log1pl(f) / (f * f * f));
}

typedef struct polynomial {
    const char *name, *file;
    function *value, *allowed; /* allowed: the error of P that costs 1 of the whole, relative */
    double low, high;
    int degree;
    int given;                 /* leading coefficients that are 1, 1/2 ... and not fitted */
} polynomial;

#define HALF_LN2 0.34657359027997264

static const polynomial polynomials[] = {
    {"exp: 1 + r P(r)", "exp.c.in", exp_m1_over, weigh_exp, -HALF_LN2, HALF_LN2, 5, 1},
    {"exp, 16 entries: 1 + r P(r)", "exp.c.in", exp_m1_over, weigh_exp, -HALF_LN2 / 16, HALF_LN2 / 16, 2, 0},
    {"exp, 32 entries: 1 + r P(r)", "exp.c.in", exp_m1_over, weigh_exp, -HALF_LN2 / 32, HALF_LN2 / 32, 1, 0},
    {"expm1: r + r^2 P(r)", "exp.c.in", expm1_rest, weigh_expm1, -HALF_LN2, HALF_LN2, 4, 0},
    {"log1p on [0, 1]: e P(e)", "log.c.in", log1p_over, log1p_over, 0, 1, 9, 0},
    {"log: f - f^2/2 + f^3 P(f)", "log.c.in", log_rest, weigh_log, -0.29289321881345243, 0.41421356237309515, 7, 0},
};

static double fit(const polynomial *p, float *rounded)
{
    at_fit_nodes nodes = {.count = AT_FIT_NODES};
    long double coefficient[COEFFICIENTS_MAX] = {0};
    double share = 0;
    for (int j = 0; j < nodes.count; j++) {
        long double t = 0.5 * (p->low + p->high) - 0.5 * (p->high - p->low) * cos(M_PI * (j + 0.5) / nodes.count);
        nodes.t[j] = t;
        nodes.value[j] = p->value(t);
        nodes.allowed[j] = p->allowed(t);
    }
    for (int k = 0; k <= p->degree; k++) {
        if (k < p->given)
            coefficient[k] = 1;
        else
            share = at_fit_minimax(&nodes, p->degree, k, coefficient);
        coefficient[k] = (float)coefficient[k];
        rounded[k] = (float)coefficient[k];
    }
    return share;
}

/* C's text of a float. */
static void print_literal(char *text, size_t size, float value)
{
    snprintf(text, size, "%.9g", (double)value);
    strncat(text, strpbrk(text, ".e") ? "f" : ".0f", size - strlen(text) - 1);
}

static bool file_has(const char *file, const char *literal)
{
    static char text[1 << 16];
    char path[1024];
    snprintf(path, sizeof path, "%s/templates/math/%s", ACTUNE_SOURCE_DIR, file);
    FILE *stream = fopen(path, "r");
    if (!stream)
        return false;
    size_t length = fread(text, 1, sizeof text - 1, stream);
    text[length] = 0;
    fclose(stream);
    return strstr(text, literal) != NULL;
}

static int check_polynomial(const polynomial *p, bool print)
{
    float coefficient[COEFFICIENTS_MAX];
    int missing = 0;
    double error = fit(p, coefficient);
    if (print)
        printf("%s: relative error %.3g (2^%.1f)\n", p->name, error, log2(error));
    for (int k = p->given; k <= p->degree; k++) {
        char literal[40];
        print_literal(literal, sizeof literal, coefficient[k]);
        if (print)
            printf("  %s\n", literal);
        else if (!file_has(p->file, literal)) {
            printf("%s: coefficient %d, %s, is not in templates/math/%s\n", p->name, k, literal, p->file);
            missing++;
        }
    }
    return missing;
}

/* The tables of 2^(i / entries); `scaled`: with i << (23 - log2 entries) taken off the bits. */
static int check_powers(int entries, bool scaled, bool print)
{
    int missing = 0;
    for (int i = 0; i < entries; i++) {
        float power = (float)exp2((double)i / entries);
        uint32_t bits;
        char literal[40];
        memcpy(&bits, &power, sizeof bits);
        bits -= scaled ? (uint32_t)i * ((1u << 23) / (uint32_t)entries) : 0;
        memcpy(&power, &bits, sizeof bits);
        print_literal(literal, sizeof literal, power);
        if (print)
            printf("%s%s", literal, i % 8 == 7 ? ",\n" : ", ");
        else if (!file_has("exp.c.in", literal))
            missing += printf("2^(%d/%d), %s, is not in templates/math/exp.c.in\n", i, entries, literal) > 0;
    }
    return missing;
}

/* Functions that are whole table polynomials: at_fit_emit's text with the number of lanes left open. */
static const struct whole {
    const char *name, *file, *graph;
} wholes[] = {
    {"tanh_p", "tanh.c.in", "%0 = input 0\n%1 = tanh %0\nreturn %1\n"},
    {"erf_p", "erf.c.in", "%0 = input 0\n%1 = erf %0\nreturn %1\n"},
    {"erfcx_p", "erf.c.in", "%0 = input 0\n%1 = abs %0\n%2 = const 10.25\n%3 = min %1 %2\n%4 = mul %3 %3\n%5 = exp %4\n%6 = erfc %3\n%7 = mul %5 %6\nreturn %7\n"},
};

/* Copies with every "x4" of a vector's type or function name replaced. */
static void open_lanes(const char *from, at_strbuf *to)
{
    for (; *from; from++) {
        if (!strncmp(from, "32x4", 4)) {
            at_strbuf_append(to, "32x${lanes}");
            from += 3;
        } else {
            at_strbuf_char(to, *from);
        }
    }
}

static int check_whole(const struct whole *whole, bool print)
{
    at_graph graph = {0};
    at_strbuf text = {0}, open = {0};
    const at_fit *fitted = NULL;
    char name[40];
    int missing = 0;
    snprintf(name, sizeof name, "%s_f32x4", whole->name);
    actune_status status = at_graph_parse(whole->graph, &graph);
    if (status == ACTUNE_OK)
        status = at_fit_make(&graph, 16, AT_ACCURACY_EXACT, false, &fitted);
    if (status == ACTUNE_OK) {
        at_fit_emit(fitted, name, 4, &text);
        open_lanes(at_strbuf_text(&text), &open);
        if (print)
            printf("$fragment %s_f32x${lanes}\n%s$end\n\n", whole->name, at_strbuf_text(&open));
        else if (!file_has(whole->file, at_strbuf_text(&open)))
            missing = printf("%s, fitted again, differs from templates/math/%s\n", whole->name, whole->file) > 0;
    } else {
        missing = printf("%s: %s\n", whole->name, actune_last_error()) > 0;
    }
    at_strbuf_clear(&text);
    at_strbuf_clear(&open);
    at_graph_clear(&graph);
    return missing;
}

int main(int argc, char **argv)
{
    bool print = argc > 1 && !strcmp(argv[1], "print");
    int missing = 0;
    for (size_t i = 0; i < sizeof polynomials / sizeof *polynomials; i++)
        missing += check_polynomial(&polynomials[i], print);
    missing += check_powers(16, false, print) + check_powers(16, true, print) + check_powers(32, true, print);
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        missing += check_whole(&wholes[i], print);
    return missing ? EXIT_FAILURE : EXIT_SUCCESS;
}
