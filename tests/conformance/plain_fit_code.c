/* The C text of a fit computes what at_fit_eval computes, to the bit, on every instruction set of this machine. */
#include "math_code.inc"

#include "codegen/fit.h"

#include <math.h>

enum { FLOATS = 1 << 16, FITS_MAX = 64 };

#define INPUT "%0 = input 0\n"

/* Together: all shapes, origins, lines and numbers of entries. */
static const struct subject {
    const char *name, *text;
    bool derivative;
    bool exact; /* the exact class for every number of entries */
} subjects[] = {
    {"tanh", INPUT "%1 = tanh %0\nreturn %1\n", false, false},
    {"silu", INPUT "%1 = sigmoid %0\n%2 = mul %0 %1\nreturn %2\n", false, false},
    {"mish", INPUT "%1 = softplus %0\n%2 = tanh %1\n%3 = mul %0 %2\nreturn %3\n", false, false},
    {"elu", INPUT "%1 = expm1 %0\n%2 = const 0\n%3 = gt %0 %2\n%4 = select %3 %0 %1\nreturn %4\n", false, false},
    {"tanh_line", INPUT "%1 = tanh %0\n%2 = const 0.25\n%3 = mul %0 %2\n%4 = add %1 %3\nreturn %4\n", false, false},
    {"two_lines", INPUT "%1 = softplus %0\n%2 = const 0.5\n%3 = mul %0 %2\n%4 = add %1 %3\nreturn %4\n", false, false},
    {"falling", INPUT "%1 = neg %0\n%2 = softplus %1\nreturn %2\n", false, false},
    {"sigmoid_gradient", INPUT "%1 = sigmoid %0\n%2 = neg %0\n%3 = sigmoid %2\n%4 = mul %1 %3\nreturn %4\n", true, false},
    {"jump", INPUT "%1 = const 0\n%2 = gt %0 %1\n%3 = const 1.05\n%4 = exp %0\n%5 = select %2 %3 %4\nreturn %5\n", true, false},
    {"gelu", INPUT "%1 = const -0.7071067811865476\n%2 = mul %0 %1\n%3 = erfc %2\n%4 = const 0.5\n%5 = mul %4 %0\n%6 = mul %5 %3\nreturn %6\n", false, true},
    {"silu_exact", INPUT "%1 = sigmoid %0\n%2 = mul %0 %1\nreturn %2\n", false, true},
    {"swish", INPUT "%1 = const 1.7\n%2 = mul %0 %1\n%3 = sigmoid %2\n%4 = mul %0 %3\nreturn %4\n", false, true},
    {"mish_exact", INPUT "%1 = softplus %0\n%2 = tanh %1\n%3 = mul %0 %2\nreturn %3\n", false, true},
    {"softplus", INPUT "%1 = softplus %0\nreturn %1\n", false, false},
    {"softplus_gradient", INPUT "%1 = sigmoid %0\nreturn %1\n", true, false},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

typedef struct named_fit {
    char name[48];
    const at_fit *fit;
} named_fit;

static int failures;

static int make_fits(named_fit *fits)
{
    int count = 0;
    for (int i = 0; i < SUBJECTS; i++) {
        at_graph graph = {0};
        if (at_graph_parse(subjects[i].text, &graph) != ACTUNE_OK)
            failures += printf("%s: %s\n", subjects[i].name, actune_last_error()) > 0;
        for (int entries = 8; entries <= 32 && graph.count; entries *= 2) {
            named_fit *made = &fits[count];
            at_accuracy accuracy = subjects[i].exact ? AT_ACCURACY_EXACT : entries == 16 ? AT_ACCURACY_FAST : AT_ACCURACY_STANDARD;
            snprintf(made->name, sizeof made->name, "%s_%d", subjects[i].name, entries);
            count += at_fit_make(&graph, entries, accuracy, subjects[i].derivative, &made->fit) == ACTUNE_OK;
        }
        at_graph_clear(&graph);
    }
    return count;
}

static void code_add_fit(code *c, const at_fit *fit, const char *name)
{
    char full[80];
    snprintf(full, sizeof full, "%.60s_f32x%d", name, c->lanes);
    at_fit_emit(fit, full, c->lanes, &c->body);
}

static void make_floats(float *x)
{
    static const float specials[] = {0, -0.f, INFINITY, -INFINITY, NAN, 0x1.fffffep127f, -0x1.fffffep127f, 0x1p-149f};
    uint32_t sequence = 1;
    memcpy(x, specials, sizeof specials);
    for (size_t i = sizeof specials / sizeof *specials; i < FLOATS; i++) {
        sequence = sequence * 1664525u + 1013904223u;
        x[i] = (float)((sequence & 256 ? -1 : 1) * exp2((sequence >> 9) * 0x1p-23 * 24 - 16));
    }
}

static void compare(const named_fit *named, const struct machine *machine, const float *x, const float *y)
{
    for (int i = 0; i < FLOATS; i++) {
        float expected = at_fit_eval(named->fit, x[i]);
        if (memcmp(&expected, &y[i], sizeof expected) && !(isnan(expected) && isnan(y[i]))) {
            printf("%s, %s, %d lanes, at %a: %a, at_fit_eval %a\n", named->name, at_isa_name(machine->isa), machine->lanes, (double)x[i],
                   (double)y[i], (double)expected);
            failures++;
            return;
        }
    }
}

static void check_machine(const struct machine *machine, const named_fit *fits, int count, at_cache *cache, const float *x, float *y)
{
    code c;
    code_begin(&c, machine->isa, machine->lanes);
    for (int i = 0; i < count; i++) {
        code_add_fit(&c, fits[i].fit, fits[i].name);
        code_wrap(&c, fits[i].name);
    }
    if (code_build(&c, cache, machine->isa) != ACTUNE_OK) {
        printf("%s, %d lanes: %s\n", at_isa_name(machine->isa), machine->lanes, actune_last_error());
        failures++;
    }
    for (int i = 0; c.binary && i < count; i++) {
        if (code_run(&c, fits[i].name, x, y, FLOATS))
            compare(&fits[i], machine, x, y);
        else
            failures++;
    }
    code_clear(&c);
}

int main(void)
{
    named_fit fits[FITS_MAX];
    char folder[] = "/tmp/actune-fits-XXXXXX";
    at_cache *cache = open_scratch_cache(folder);
    float *x = malloc(FLOATS * sizeof *x), *y = malloc(FLOATS * sizeof *y);
    int machines_run = 0, count = make_fits(fits);
    if (!cache || !x || !y || count < SUBJECTS)
        return EXIT_FAILURE;
    make_floats(x);
    for (size_t m = 0; m < sizeof machines / sizeof *machines; m++)
        if (machine_runs(&machines[m])) {
            check_machine(&machines[m], fits, count, cache, x, y);
            machines_run++;
        }
    close_scratch_cache(cache, folder);
    free(x);
    free(y);
    printf("%d fits on %d machines, %d failures\n", count, machines_run, failures);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
