#include "reference_solve.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "../runtime/base/dtype.h"
#include "../runtime/base/random.h"
#include "reference_moments.h"
#include "reference_row.h"

/* All below sees a signature's ports as the graph does: `signature` are views. */
static int64_t port_index(const at_signature *signature, const at_port *port, actune_shape shape, int64_t element)
{
    return at_reference_index(port, at_layout_of(signature, shape), shape, element);
}

/* Sums in long double, and what they may be off by (NUMERICS.md: 1e-6 of the sum of absolute terms; f64: 1e-13; of statistics,
   which are sums of distances from a mean of 32 values, 16 times that). Of maxima: as far as any element may be. */
typedef struct sums {
    long double *total, *absolute, *error;
} sums;

static actune_status make_outputs(at_arena *arena, const at_signature *signature, at_case *made, sums *of)
{
    for (int k = 0; k < signature->ports - signature->inputs; k++) {
        const at_port *port = &signature->port[signature->inputs + k];
        size_t count = (size_t)at_port_count(port, made->shape) + 1;
        made->want[k] = at_arena_array(arena, count, sizeof *made->want[k]);
        made->allowed[k] = at_arena_array(arena, count, sizeof *made->allowed[k]);
        made->indefinite[k] = at_arena_array(arena, count, sizeof *made->indefinite[k]);
        of[k].total = at_arena_array(arena, port->reduction ? count : 1, sizeof(long double));
        of[k].absolute = at_arena_array(arena, port->reduction ? count : 1, sizeof(long double));
        of[k].error = at_arena_array(arena, port->reduction ? count : 1, sizeof(long double));
        if (!made->want[k] || !made->allowed[k] || !made->indefinite[k] || !of[k].total || !of[k].absolute ||
            !of[k].error)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for reference outputs");
    }
    return ACTUNE_OK;
}

static void add_to(sums *of, int64_t field, long double value, long double error)
{
    of->total[field] += value;
    of->absolute[field] += fabsl(value);
    of->error[field] += error;
}

static void take_largest(sums *of, int64_t field, long double value, long double error)
{
    of->total[field] = value > of->total[field] ? value : of->total[field];
    of->error[field] = error > of->error[field] ? error : of->error[field];
}

/* Whether a comparison with `bound` may go either way. */
static bool is_near(const at_expected *value, double bound)
{
    return value->error > 0 && fabsl(value->value - bound) <= value->error;
}

/* One value into its record at `at`. Where a value is not known well, neither are the counts that it is near to. */
static void keep_statistics(const at_port *port, const at_expected *value, int64_t at, sums *of)
{
    int64_t record = at * ACTUNE_STATISTICS_FIELDS;
    long double x = value->value, error = value->error;
    bool clips = port->clip_lo < port->clip_hi, lost = value->indefinite || isinf(error), finite = isfinite(x);
    add_to(of, record + ACTUNE_STATISTICS_COUNT, 1, 0);
    add_to(of, record + ACTUNE_STATISTICS_NONPOSITIVE, x <= 0, is_near(value, 0));
    add_to(of, record + ACTUNE_STATISTICS_ZERO, x == 0, is_near(value, 0));
    add_to(of, record + ACTUNE_STATISTICS_CLIPPED, clips && (x <= port->clip_lo || x >= port->clip_hi),
           clips && (is_near(value, port->clip_lo) || is_near(value, port->clip_hi)));
    add_to(of, record + ACTUNE_STATISTICS_NAN, isnan(x), 0);
    add_to(of, record + ACTUNE_STATISTICS_INF, isinf(x) != 0, 0);
    add_to(of, record + ACTUNE_STATISTICS_SUM, finite ? x : 0, error);
    add_to(of, record + ACTUNE_STATISTICS_SQUARES, finite ? x * x : 0, error > 0 ? (2 * fabsl(x) + error) * error : 0);
    take_largest(of, record + ACTUNE_STATISTICS_ABSMAX, finite ? fabsl(x) : 0, error);
    for (int f = ACTUNE_STATISTICS_NONPOSITIVE; lost && f < ACTUNE_STATISTICS_FIELDS; f++)
        of->error[record + f] = INFINITY;
}

/* A value far below the type's numbers does not become the zero that it is not: a kernel's zero has no sign to agree with then. */
static double narrowed(const at_port *port, long double value)
{
    double near = (double)value;
    return near == 0 && value != 0 && port->dtype != ACTUNE_F64 ? copysign(DBL_TRUE_MIN, near) : near;
}

static void keep_element(at_case *made, const at_signature *signature, int64_t element, const at_expected *expected,
                         sums *of)
{
    for (int v = 0; v < signature->ports - signature->inputs; v++) {
        const at_port *port = &signature->port[signature->inputs + v];
        int64_t at = port_index(signature, port, made->shape, element);
        int k = port->buffer - (signature->inputs - signature->halves); /* x has two of the inputs */
        if (port->reduction == AT_REDUCTION_STATISTICS)
            keep_statistics(port, &expected[v], at, &of[k]);
        else if (port->reduction == AT_REDUCTION_MAX)
            take_largest(&of[k], at, expected[v].value, expected[v].indefinite ? INFINITY : expected[v].error);
        else if (port->reduction == AT_REDUCTION_SUM)
            add_to(&of[k], at, expected[v].value, expected[v].error);
        else {
            made->want[k][at] = narrowed(port, expected[v].value);
            made->allowed[k][at] = (double)expected[v].error;
            made->indefinite[k][at] = expected[v].indefinite;
        }
    }
}

static void load_element(const at_signature *signature, const at_case *made, at_oracle *oracle, int64_t i, double *inputs)
{
    double *off = at_oracle_input_error(oracle);
    for (int p = 0; p < signature->inputs; p++) {
        const at_port *port = &signature->port[p];
        int64_t at = port_index(signature, port, made->shape, i);
        const void *from = made->input[port->buffer];
        inputs[p] = port->access == AT_ACCESS_RANDOM ? at_random_unit(from, i) : at_dtype_load(port->dtype, from, at);
        off[p] = made->input_error[port->buffer] ? made->input_error[port->buffer][at] : 0;
    }
}

/* What the row operation says about every element. verdict: made->elements places, used when there is such an operation. */
static actune_status judge_rows(const at_signature *signature, at_oracle *oracle, const at_case *made, at_verdict *verdict)
{
    int64_t channels = made->shape.channels, kept = at_row_kept(&signature->row, channels);
    double inputs[AT_PORTS_MAX];
    at_expected *key = calloc((size_t)channels + 1, sizeof *key);
    actune_status status = key ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory for the keys of a row");
    for (int64_t row = 0; row < made->shape.outer && status == ACTUNE_OK; row++) {
        for (int64_t c = 0; c < channels; c++) {
            load_element(signature, made, oracle, row * channels + c, inputs);
            at_oracle_key(oracle, inputs, &key[c]);
        }
        status = at_row_judge(key, channels, kept, verdict + row * channels);
    }
    free(key);
    return status;
}

/* Either of two outputs is right. */
static at_expected either(const at_expected *kept, const at_expected *dropped)
{
    at_expected both = *kept;
    if (isfinite(kept->value) && isfinite(dropped->value))
        both.error = fmaxl(kept->error, fabsl(kept->value - dropped->value) + dropped->error);
    else if (isnan(kept->value) != isnan(dropped->value) && !isinf(kept->value) && !isinf(dropped->value)) {
        both = isnan(kept->value) ? *dropped : *kept;
        both.indefinite = true; /* NaN will do */
    } else if (!isnan(kept->value) || !isnan(dropped->value))
        both.error = INFINITY;
    return both;
}

static void eval_element(const at_signature *signature, at_oracle *oracle, at_verdict verdict, const double *inputs, at_expected *expected)
{
    at_expected dropped[AT_OUTPUTS_MAX];
    at_oracle_keep(oracle, verdict != AT_DROPPED);
    at_oracle_eval(oracle, inputs, expected);
    if (verdict != AT_UNSURE)
        return;
    at_oracle_keep(oracle, false);
    at_oracle_eval(oracle, inputs, dropped);
    for (int k = 0; k < signature->ports - signature->inputs; k++)
        expected[k] = either(&expected[k], &dropped[k]);
}

static void solve_elements(const at_signature *signature, at_oracle *oracle, at_case *made, const at_verdict *verdict, sums *of)
{
    double inputs[AT_PORTS_MAX];
    at_expected expected[AT_OUTPUTS_MAX];
    for (int64_t i = 0; i < made->elements; i++) {
        load_element(signature, made, oracle, i, inputs);
        eval_element(signature, oracle, verdict ? verdict[i] : AT_KEPT, inputs, expected);
        keep_element(made, signature, i, expected, of);
    }
}

/* The one output of a kernel of moments, from the terms of all elements. */
static actune_status solve_moments(const at_signature *signature, at_oracle *oracle, at_case *made)
{
    int64_t planes_apart = at_port_count(&signature->port[signature->inputs], made->shape) / AT_MOMENTS_COUNT;
    double inputs[AT_PORTS_MAX];
    at_expected *term = calloc((size_t)made->elements + 1, sizeof *term);
    if (!term)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for reference outputs");
    for (int64_t i = 0; i < made->elements; i++) {
        load_element(signature, made, oracle, i, inputs);
        at_oracle_eval(oracle, inputs, &term[i]);
    }
    bool channels = signature->port[signature->inputs].access == AT_ACCESS_CHANNEL;
    for (int64_t c = 0; c < planes_apart; c++) {
        at_moments_expected expected;
        at_moments_solve(signature, &(at_moments_terms){term, made->shape, channels ? c : -1}, &expected);
        for (int m = 0; m < AT_MOMENTS_COUNT; m++) {
            made->want[0][m * planes_apart + c] = (double)expected.value[m];
            made->allowed[0][m * planes_apart + c] = (double)expected.error[m];
        }
    }
    free(term);
    return ACTUNE_OK;
}

/* How far the kernel's own adding up may be off, for number `i` of a reduced port. */
static long double rounding_of(const at_signature *signature, const at_port *port, const sums *of, int64_t i)
{
    bool statistics = port->reduction == AT_REDUCTION_STATISTICS;
    if (statistics && i % ACTUNE_STATISTICS_FIELDS <= ACTUNE_STATISTICS_INF) /* counts */
        return 0;
    double share = signature->compute == ACTUNE_F64 ? 1e-13 : 1e-6;
    return (statistics ? 16 : 1) * share * of->absolute[i] + at_ulp(port->dtype, of->total[i]);
}

static actune_status solve(at_arena *arena, const at_signature *signature, at_oracle *oracle, at_case *made)
{
    sums of[AT_OUTPUTS_MAX];
    at_signature views;
    at_signature_views(signature, &views);
    at_verdict *verdict = NULL;
    AT_TRY(make_outputs(arena, signature, made, of));
    if (at_signature_is_moments(signature))
        return made->values == AT_VALUES_NORMAL ? solve_moments(&views, oracle, made) : ACTUNE_OK;
    if (signature->row.kind != AT_ROW_NONE) {
        verdict = calloc((size_t)made->elements + 1, sizeof *verdict);
        if (!verdict)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for reference outputs");
    }
    actune_status status = verdict ? judge_rows(&views, oracle, made, verdict) : ACTUNE_OK;
    if (status == ACTUNE_OK)
        solve_elements(&views, oracle, made, verdict, of);
    free(verdict);
    AT_TRY(status);
    for (int k = 0; k < signature->ports - signature->inputs; k++) {
        const at_port *port = &signature->port[signature->inputs + k];
        for (int64_t i = 0; port->reduction && i < at_port_count(port, made->shape); i++) {
            made->want[k][i] = (double)of[k].total[i];
            made->allowed[k][i] = (double)(of[k].error[i] + rounding_of(signature, port, &of[k], i));
        }
    }
    return ACTUNE_OK;
}

/* --- several passes --- */

/* What a pass has handed on, and how far it may be off. */
typedef struct handed {
    void *value; /* planes of the compute type */
    double *error;
    int64_t planes_apart;
} handed;

static actune_status find_inputs(const at_pass *pass, const at_case *whole, const handed *values, at_case *made, uint32_t *inexact)
{
    const at_signature *signature = &pass->kernel->signature;
    size_t bytes = (size_t)at_dtype_get(signature->compute)->bytes;
    *inexact = 0;
    for (int p = 0; p < signature->inputs; p++) {
        const at_wire *wire = &pass->wire[p];
        if (wire->port >= 0) {
            made->input[p] = whole->input[wire->port];
            continue;
        }
        const handed *from = &values[wire->value];
        int64_t first = wire->plane * from->planes_apart;
        made->input[p] = (char *)from->value + (size_t)first * bytes;
        made->input_error[p] = from->error + first;
        *inexact |= UINT32_C(1) << p;
    }
    return ACTUNE_OK;
}

/* The mean goes on as two numbers. Which way the first was rounded is open, and so both may be an ulp off; their sum is not. */
static void narrow_mean(const at_signature *signature, handed *to)
{
    if (signature->compute == ACTUNE_F64)
        return;
    for (int64_t i = 0; i < to->planes_apart; i++) {
        double mean = at_dtype_load(signature->compute, to->value, i);
        to->error[to->planes_apart + i] -= (double)at_ulp(signature->compute, mean);
        to->error[i] = 0;
    }
}

static actune_status hand_on(at_arena *arena, const at_signature *signature, int output, const at_case *made, handed *to)
{
    const at_port *port = &signature->port[signature->inputs + output];
    int64_t count = at_port_count(port, made->shape);
    bool moments = port->reduction == AT_REDUCTION_MOMENTS;
    *to = (handed){.value = at_arena_array(arena, (size_t)count + 1, (size_t)at_dtype_get(port->dtype)->bytes),
                   .error = made->allowed[output],
                   .planes_apart = moments ? count / AT_MOMENTS_COUNT : count};
    if (!to->value)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for reference outputs");
    for (int64_t i = 0; i < count; i++)
        at_dtype_store(port->dtype, to->value, i, made->want[output][i]);
    if (moments)
        narrow_mean(signature, to);
    return ACTUNE_OK;
}

static actune_status solve_pass(at_arena *arena, const at_kernel *whole, int index, handed *values, at_case *made)
{
    const at_pass *pass = &whole->pass[index];
    const at_signature *signature = &pass->kernel->signature;
    at_case own = {.shape = made->shape, .values = made->values, .elements = made->elements};
    at_oracle *oracle;
    uint32_t inexact;
    AT_TRY(find_inputs(pass, made, values, &own, &inexact));
    AT_TRY(at_oracle_create_near(pass->kernel, inexact, &oracle));
    actune_status status = solve(arena, signature, oracle, &own);
    at_oracle_destroy(oracle);
    for (int k = 0; status == ACTUNE_OK && k < signature->ports - signature->inputs; k++) {
        const at_wire *wire = &pass->wire[signature->inputs + k];
        int output = wire->port - whole->signature.inputs;
        if (wire->port < 0) {
            status = hand_on(arena, signature, k, &own, &values[wire->value]);
            continue;
        }
        made->want[output] = own.want[k];
        made->allowed[output] = own.allowed[k];
        made->indefinite[output] = own.indefinite[k];
    }
    return status;
}

actune_status at_reference_solve(at_arena *arena, const at_kernel *kernel, at_oracle *oracle, at_case *made)
{
    handed values[AT_PASS_VALUES_MAX] = {{0}};
    if (kernel->passes == 0)
        return solve(arena, &kernel->signature, oracle, made);
    for (int i = 0; i < kernel->passes; i++)
        AT_TRY(solve_pass(arena, kernel, i, values, made));
    return ACTUNE_OK;
}
