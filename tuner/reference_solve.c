#include "reference_solve.h"

#include <math.h>
#include <stdlib.h>

#include "../runtime/base/dtype.h"
#include "../runtime/base/random.h"
#include "reference_moments.h"

static int64_t port_index(const at_port *port, actune_shape shape, int64_t element)
{
    switch (port->access) {
    case AT_ACCESS_ELEMENT:
        return element;
    case AT_ACCESS_CHANNEL:
        return element / shape.inner % shape.channels;
    case AT_ACCESS_SCALAR:
    case AT_ACCESS_RANDOM:
        break;
    }
    return 0;
}

/* Sums in long double, and what they may be off by (NUMERICS.md: 1e-6 of the sum of absolute terms; f64: 1e-13). Of maxima: as far as
   any element may be. */
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

static void keep_element(at_case *made, const at_signature *signature, int64_t element, const at_expected *expected,
                         sums *of)
{
    for (int k = 0; k < signature->ports - signature->inputs; k++) {
        const at_port *port = &signature->port[signature->inputs + k];
        int64_t at = port_index(port, made->shape, element);
        if (port->reduction == AT_REDUCTION_MAX) {
            of[k].total[at] = expected[k].value > of[k].total[at] ? expected[k].value : of[k].total[at];
            long double error = expected[k].indefinite ? INFINITY : expected[k].error;
            of[k].error[at] = error > of[k].error[at] ? error : of[k].error[at];
        } else if (port->reduction) {
            of[k].total[at] += expected[k].value;
            of[k].absolute[at] += fabsl(expected[k].value);
            of[k].error[at] += expected[k].error;
        } else {
            made->want[k][at] = (double)expected[k].value;
            made->allowed[k][at] = (double)expected[k].error;
            made->indefinite[k][at] = expected[k].indefinite;
        }
    }
}

static void solve_element(const at_signature *signature, const at_case *made, at_oracle *oracle, int64_t element, at_expected *expected)
{
    double inputs[AT_PORTS_MAX], *off = at_oracle_input_error(oracle);
    for (int p = 0; p < signature->inputs; p++) {
        const at_port *port = &signature->port[p];
        int64_t at = port_index(port, made->shape, element);
        inputs[p] = port->access == AT_ACCESS_RANDOM ? at_random_unit(made->input[p], element) : at_dtype_load(port->dtype, made->input[p], at);
        off[p] = made->input_error[p] ? made->input_error[p][at] : 0;
    }
    at_oracle_eval(oracle, inputs, expected);
}

/* The one output of a kernel of moments, from the terms of all elements. */
static actune_status solve_moments(const at_signature *signature, at_oracle *oracle, at_case *made)
{
    int64_t planes_apart = at_port_count(&signature->port[signature->inputs], made->shape) / AT_MOMENTS_COUNT;
    at_expected *term = calloc((size_t)made->elements + 1, sizeof *term);
    if (!term)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for reference outputs");
    for (int64_t i = 0; i < made->elements; i++)
        solve_element(signature, made, oracle, i, &term[i]);
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

static actune_status solve(at_arena *arena, const at_signature *signature, at_oracle *oracle, at_case *made)
{
    sums of[AT_OUTPUTS_MAX];
    at_expected expected[AT_OUTPUTS_MAX];
    AT_TRY(make_outputs(arena, signature, made, of));
    if (at_signature_is_moments(signature))
        return made->values == AT_VALUES_NORMAL ? solve_moments(signature, oracle, made) : ACTUNE_OK;
    for (int64_t i = 0; i < made->elements; i++) {
        solve_element(signature, made, oracle, i, expected);
        keep_element(made, signature, i, expected, of);
    }
    double share = signature->compute == ACTUNE_F64 ? 1e-13 : 1e-6;
    for (int k = 0; k < signature->ports - signature->inputs; k++) {
        const at_port *port = &signature->port[signature->inputs + k];
        for (int64_t i = 0; port->reduction && i < at_port_count(port, made->shape); i++) {
            made->want[k][i] = (double)of[k].total[i];
            made->allowed[k][i] =
                (double)(share * of[k].absolute[i] + of[k].error[i] + at_ulp(port->dtype, of[k].total[i]));
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
