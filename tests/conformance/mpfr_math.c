/* Every vector function of templates/math against MPFR: inside the error that codegen/emit_math.c states, on a dense sample of all
   exponents, on every instruction set of this machine, with the same bits on all of them.
   With the argument "all" (and a function's name, if wished): all 2^32 floats, against libm in double; a night's work. */
#include "math_code.inc"

#include "codegen/accuracy.h"
#include "codegen/emit_math.h"

#include <math.h>
#include <mpfr.h>

enum { BITS = 80, SPARSE = 16, DENSE = 768, DENSE_FROM = -7, DENSE_TO = 7, BLOCK = 1 << 16 };

/* What may be lost below the least normal number. */
static const double BELOW_NORMAL = 0x1p-126;

static void mpfr_sigmoid(mpfr_t y, const mpfr_t x)
{
    mpfr_neg(y, x, MPFR_RNDN);
    mpfr_exp(y, y, MPFR_RNDN);
    mpfr_add_ui(y, y, 1, MPFR_RNDN);
    mpfr_ui_div(y, 1, y, MPFR_RNDN);
}

static void mpfr_softplus(mpfr_t y, const mpfr_t x)
{
    mpfr_abs(y, x, MPFR_RNDN);
    mpfr_neg(y, y, MPFR_RNDN);
    mpfr_exp(y, y, MPFR_RNDN);
    mpfr_log1p(y, y, MPFR_RNDN);
    if (mpfr_sgn(x) > 0)
        mpfr_add(y, y, x, MPFR_RNDN);
}

#define WRAPPED(NAME)                          \
    static void wrapped_##NAME(mpfr_t y, const mpfr_t x) \
    {                                          \
        mpfr_##NAME(y, x, MPFR_RNDN);          \
    }
WRAPPED(exp)
WRAPPED(expm1)
WRAPPED(log)
WRAPPED(log1p)
WRAPPED(tanh)
WRAPPED(erf)
WRAPPED(erfc)

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static const struct oracle {
    at_op op;
    void (*exact)(mpfr_t y, const mpfr_t x);
    double (*quick)(double x);
} oracles[] = {
    {AT_OP_EXP, wrapped_exp, exp},       {AT_OP_EXPM1, wrapped_expm1, expm1}, {AT_OP_LOG, wrapped_log, log},
    {AT_OP_LOG1P, wrapped_log1p, log1p}, {AT_OP_TANH, wrapped_tanh, tanh},    {AT_OP_ERF, wrapped_erf, erf},
    {AT_OP_ERFC, wrapped_erfc, erfc},    {AT_OP_SIGMOID, mpfr_sigmoid, sigmoid}, {AT_OP_SOFTPLUS, mpfr_softplus, softplus},
};
enum { ORACLES = sizeof oracles / sizeof *oracles };

static int failures;

static const struct oracle *oracle_of(at_op op)
{
    for (int i = 0; i < ORACLES; i++)
        if (oracles[i].op == op)
            return &oracles[i];
    return NULL;
}

/* Visits every function of the table once. */
static const at_math_function *next_function(int *op, int *form)
{
    for (; *op < AT_OP_COUNT; ++*op, *form = 0)
        while (at_op_get((at_op)*op)->transcendental && *form < at_math_form_count) {
            const char *name = at_math_forms[(*form)++].name;
            const at_math_function *found = at_math_function_find((at_op)*op, name);
            if (found && !strcmp(found->form, name))
                return found;
        }
    return NULL;
}

static int64_t make_sample(float *x)
{
    static const float specials[] = {0, -0.f, INFINITY, -INFINITY, NAN, -NAN, 1, -1, 0x1.fffffep127f, -0x1.fffffep127f, 88.72284f, -87.33655f,
                                     -88.02969f, -88.72284f, -103.97208f, 0x1p-149f, -0x1p-149f, 0x1p-126f};
    int64_t count = sizeof specials / sizeof *specials;
    memcpy(x, specials, sizeof specials);
    for (int exponent = -149; exponent < 128; exponent++) {
        int floats = exponent >= DENSE_FROM && exponent < DENSE_TO ? DENSE : SPARSE;
        uint32_t sequence = (uint32_t)exponent * 2654435761u;
        for (int j = 0; j < 2 * floats; j++) {
            sequence = sequence * 1664525u + 1013904223u;
            x[count++] = (j & 1 ? -1 : 1) * (float)ldexp(1 + (j / 2 + (sequence >> 8) * 0x1p-24) / floats, exponent);
        }
    }
    while (count % 16)
        x[count++] = 1;
    return count;
}

static void make_exact(const struct oracle *oracle, const float *x, double *exact, int64_t count)
{
    mpfr_t in, out;
    mpfr_init2(in, 24);
    mpfr_init2(out, BITS);
    for (int64_t i = 0; i < count; i++) {
        mpfr_set_flt(in, x[i], MPFR_RNDN);
        oracle->exact(out, in);
        exact[i] = mpfr_get_d(out, MPFR_RNDN);
    }
    mpfr_clear(in);
    mpfr_clear(out);
}

/* NULL, or what is wrong. *ulp is raised to the error. */
static const char *judge(float y, double exact, double allowed_ulp, double *ulp)
{
    if (isnan(exact))
        return isnan(y) ? NULL : "not NaN";
    if (fabs(exact) >= 0x1.ffffffp127) /* rounds to infinity */
        return y == (exact > 0 ? INFINITY : -INFINITY) ? NULL : "not infinite";
    if (exact == 0)
        return y == 0 ? (!signbit(y) == !signbit(exact) ? NULL : "sign of zero") : fabsf(y) <= BELOW_NORMAL ? NULL : "not zero";
    double error = fabs(y - exact);
    if (fabs(exact) >= 0x1p-125 && isfinite(y))
        *ulp = fmax(*ulp, error / at_ulp_f32(exact));
    return error <= allowed_ulp * at_ulp_f32(exact) || error <= BELOW_NORMAL ? NULL : "error";
}

static void check(const at_math_function *function, const struct machine *machine, const float *x, const float *y, const double *exact,
                  int64_t count)
{
    double ulp = 0;
    for (int64_t i = 0; i < count; i++) {
        const char *wrong = judge(y[i], exact[i], function->ulp, &ulp);
        if (wrong && ++failures < 20)
            printf("%s, %s, %d lanes, at %a: %a, exactly %a: %s\n", function->name, at_isa_name(machine->isa), machine->lanes, (double)x[i],
                   (double)y[i], exact[i], wrong);
    }
    if (machine == machines || machine->isa == AT_ISA_GENERIC)
        printf("%-16s %-10s %8.3f ULP (%g stated)\n", function->name, at_isa_name(machine->isa), ulp, function->ulp);
}

static bool build(code *c, at_cache *cache, const struct machine *machine)
{
    int op = 0, form = 0;
    code_begin(c, machine->isa, machine->lanes);
    for (const at_math_function *f; (f = next_function(&op, &form));)
        code_wrap(c, f->name);
    if (code_build(c, cache, machine->isa) == ACTUNE_OK)
        return true;
    printf("%s, %d lanes: %s\n", at_isa_name(machine->isa), machine->lanes, actune_last_error());
    failures++;
    return false;
}

/* The estimates differ from machine to machine; everything else has the same bits everywhere. */
static void compare_bits(const at_math_function *function, const struct machine *machine, const float *first, const float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (memcmp(&first[i], &y[i], sizeof *y) && !(isnan(first[i]) && isnan(y[i]))) {
            printf("%s: other bits on %s with %d lanes: %a, not %a\n", function->name, at_isa_name(machine->isa), machine->lanes,
                   (double)y[i], (double)first[i]);
            failures++;
            return;
        }
}

typedef struct samples {
    float *x, *y, *first;
    double *exact;
    int64_t count;
} samples;

static void check_function(const at_math_function *function, const code *codes, samples *s)
{
    const struct oracle *oracle = oracle_of(function->op);
    bool have_first = false;
    if (!oracle) {
        printf("%s has no oracle\n", function->name);
        failures++;
        return;
    }
    make_exact(oracle, s->x, s->exact, s->count);
    for (size_t m = 0; m < sizeof machines / sizeof *machines; m++) {
        if (!codes[m].binary)
            continue;
        if (!code_run(&codes[m], function->name, s->x, s->y, s->count))
            failures++;
        check(function, &machines[m], s->x, s->y, s->exact, s->count);
        if (!have_first)
            memcpy(s->first, s->y, (size_t)s->count * sizeof *s->y);
        else if (strcmp(function->form, "exp32rcp"))
            compare_bits(function, &machines[m], s->first, s->y, s->count);
        have_first = true;
    }
}

/* All floats, on the first machine that runs. */
static void check_all(const at_math_function *function, const code *c, const struct machine *machine, samples *s)
{
    const struct oracle *oracle = oracle_of(function->op);
    double ulp = 0;
    for (uint64_t start = 0; start < UINT64_C(1) << 32; start += BLOCK) {
        for (uint32_t i = 0; i < BLOCK; i++) {
            uint32_t bits = (uint32_t)start + i;
            memcpy(&s->x[i], &bits, sizeof bits);
        }
        code_run(c, function->name, s->x, s->y, BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            double exact = oracle->quick(s->x[i]);
            if (judge(s->y[i], exact, function->ulp, &ulp) && ++failures < 20)
                printf("%s at %a: %a, exactly %a\n", function->name, (double)s->x[i], (double)s->y[i], exact);
        }
    }
    printf("%-16s %-10s %8.3f ULP of all floats (%g stated)\n", function->name, at_isa_name(machine->isa), ulp, function->ulp);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    enum { MACHINES = sizeof machines / sizeof *machines, MOST = 1 << 17 };
    code codes[MACHINES] = {0};
    char folder[] = "/tmp/actune-math-XXXXXX";
    at_cache *cache = open_scratch_cache(folder);
    samples s = {calloc(MOST, sizeof(float)), calloc(MOST, sizeof(float)), calloc(MOST, sizeof(float)), calloc(MOST, sizeof(double)), 0};
    bool all = argc > 1 && !strcmp(argv[1], "all");
    int first = -1, op = 0, form = 0;
    if (!cache || !s.x || !s.y || !s.first || !s.exact)
        return EXIT_FAILURE;
    for (int m = 0; m < MACHINES; m++)
        if (machine_runs(&machines[m]) && (!all || first < 0) && build(&codes[m], cache, &machines[m]))
            first = first < 0 ? m : first;
    s.count = make_sample(s.x);
    for (const at_math_function *f; first >= 0 && (f = next_function(&op, &form));) {
        if (!all)
            check_function(f, codes, &s);
        else if (argc < 3 || !strcmp(argv[2], f->name))
            check_all(f, &codes[first], &machines[first], &s);
    }
    for (int m = 0; m < MACHINES; m++)
        code_clear(&codes[m]);
    close_scratch_cache(cache, folder);
    free(s.x);
    free(s.y);
    free(s.first);
    free(s.exact);
    printf(failures ? "%d failures\n" : "%d failures, all functions within what is stated\n", failures);
    return failures || first < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
