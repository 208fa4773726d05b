#include "reference.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/base/dtype.h"
#include "../runtime/base/random.h"
#include "reference_solve.h"
#include "stats.h"

/* --- the cases --- */

static const struct case_row {
    int layout;
    int64_t outer, channels, inner;
    at_values values;
} case_rows[] = {
    {AT_LAYOUT_FLAT, 1, 1, 0, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 2, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 3, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 7, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 9, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 15, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 17, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 31, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 33, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 63, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 65, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 127, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 257, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 1000, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 3, 5, 67, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 20011, AT_VALUES_SPECIAL},
    {AT_LAYOUT_FLAT, 1, 1, 1003, AT_VALUES_NORMAL},
    {AT_LAYOUT_FLAT, 1, 1, 36011, AT_VALUES_NORMAL},
    {AT_LAYOUT_FLAT, 1, 1, 65536, AT_VALUES_EXHAUSTIVE},
    {AT_LAYOUT_CHANNEL_INNER, 0, 5, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 1, 2, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 3, 5, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 2, 17, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 5, 64, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 7, 67, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 1, 1000, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 19, 1003, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 37, 31, 1, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_INNER, 281, 129, 1, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_INNER, 1024, 64, 1, AT_VALUES_EXHAUSTIVE},
    {AT_LAYOUT_CHANNEL_INNER, 2, 3, 5, AT_VALUES_SPECIAL}, /* channels last: of kernels with a value for each image */
    {AT_LAYOUT_CHANNEL_INNER, 3, 17, 4, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 2, 67, 49, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 2, 129, 70, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_INNER, 2, 24, 701, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_OUTER, 0, 3, 4, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 3, 1, 1, AT_VALUES_SPECIAL}, /* one channel: rows of two halves */
    {AT_LAYOUT_CHANNEL_OUTER, 5, 1, 33, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 3, 1, 1000, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 2, 1, 18001, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_OUTER, 1, 2, 2, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 2, 3, 5, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 2, 7, 17, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 1, 5, 49, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 2, 4, 196, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 3, 6, 1111, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_OUTER, 2, 3, 613, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_OUTER, 1, 2, 18001, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_OUTER, 2, 4, 8192, AT_VALUES_EXHAUSTIVE},
};

/* For kernels that look at whole rows; at the end those where all, all but one or half of the elements stay. */
static const struct case_row row_cases[] = {
    {AT_LAYOUT_CHANNEL_INNER, 0, 50, 1, AT_VALUES_SPECIAL},   {AT_LAYOUT_CHANNEL_INNER, 5, 0, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 3, 1, 1, AT_VALUES_SPECIAL},    {AT_LAYOUT_CHANNEL_INNER, 5, 7, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 4, 8, 1, AT_VALUES_SPECIAL},    {AT_LAYOUT_CHANNEL_INNER, 3, 9, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 5, 17, 1, AT_VALUES_SPECIAL},   {AT_LAYOUT_CHANNEL_INNER, 4, 33, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 5, 64, 1, AT_VALUES_SPECIAL},   {AT_LAYOUT_CHANNEL_INNER, 3, 67, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 9, 131, 1, AT_VALUES_SPECIAL},  {AT_LAYOUT_CHANNEL_INNER, 4, 1000, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 2, 4097, 1, AT_VALUES_SPECIAL}, {AT_LAYOUT_CHANNEL_INNER, 1, 20011, 1, AT_VALUES_SPECIAL},
    {AT_LAYOUT_CHANNEL_INNER, 19, 31, 1, AT_VALUES_NORMAL},   {AT_LAYOUT_CHANNEL_INNER, 6, 257, 1, AT_VALUES_NORMAL},
    {AT_LAYOUT_CHANNEL_INNER, 3, 5003, 1, AT_VALUES_NORMAL},  {AT_LAYOUT_CHANNEL_INNER, 16, 4096, 1, AT_VALUES_EXHAUSTIVE},
    {AT_LAYOUT_CHANNEL_INNER, 1, 65536, 1, AT_VALUES_NORMAL},
};

/* --- inputs --- */

enum { SPECIALS_MAX = 256 };

typedef struct specials {
    double value[SPECIALS_MAX];
    int count;
} specials;

static void add_special(specials *list, double value)
{
    if (list->count < SPECIALS_MAX)
        list->value[list->count++] = value;
}

static void add_both_signs(specials *list, double value)
{
    add_special(list, value);
    add_special(list, -value);
}

/* Values where kernels go wrong: the type's ends, where exp overflows or its result turns denormal, where functions
 * settle. */
static void list_specials(const at_kernel *kernel, actune_dtype dtype, specials *list)
{
    static const double always[] = {0,    INFINITY, 1,   0.5,   1e-3,  1e-6, 2,   3,   4,   5,   5.5, 6,    7,    8,
                                    9,    9.5,      10,  13,    15,    16,   17,  18,  20,  25,  40,  86.5, 87.5, 88,
                                    88.9, 89.5,     100, 103.5, 104.5, 110,  150, 700, 710, 746, 1e3, 1e5,  1e10, 1e20};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        add_both_signs(list, always[i]);
    add_special(list, NAN);
    double most = at_dtype_max(dtype);
    double normal = dtype == ACTUNE_F64 ? DBL_MIN : at_dtype_get(dtype)->bytes <= 2 && dtype != ACTUNE_BF16 ? 0x1p-14 : FLT_MIN;
    double least = (double)at_ulp(dtype, 0);
    const double ends[] = {most, most / 2, sqrt(most), cbrt(most), normal, normal / 2, normal * 1.5, least, 3 * least};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        add_both_signs(list, ends[i]);
    for (int32_t i = 0; i < kernel->graph.count; i++) {
        double value = kernel->graph.nodes[i].value;
        if (kernel->graph.nodes[i].op != AT_OP_CONSTANT || !isfinite(value))
            continue;
        double step = (double)at_ulp(dtype, value);
        for (int k = -1; k <= 1; k++)
            add_both_signs(list, value + k * step);
    }
}

/* Any bit pattern of the type, but for a NaN that could be the one of all ones in a narrower type, which outputs are poisoned with. */
static double random_bits(actune_dtype dtype, at_random *random)
{
    uint64_t bits = at_random_next(random);
    if (isnan(at_dtype_load(dtype, &bits, 0)))
        bits &= dtype == ACTUNE_F64 ? ~(UINT64_C(1) << 45) : ~(UINT64_C(1) << 16);
    return at_dtype_load(dtype, &bits, 0);
}

static double log_uniform(at_random *random)
{
    double magnitude = exp2(37 * at_random_uniform(random) - 30);
    return at_random_next(random) & 1 ? magnitude : -magnitude;
}

typedef struct role {
    const at_kernel *kernel;
    const at_port *port;
    const specials *list;
    at_values values;
    bool is_x, is_gradient, divides;
} role;

static bool divides(const at_graph *graph)
{
    for (int32_t i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == AT_OP_DIV)
            return true;
    return false;
}

static double gradient_value(const role *of, int64_t i, at_random *random)
{
    static const double values[] = {1, -1, 0, -0.0, 0.5, -3, 1e-4, NAN, 1000, INFINITY};
    int count = sizeof values / sizeof *values;
    /* An infinite gradient takes the sign of its factor, which near its zeros the class leaves open: only where factors
     * are exact. */
    if (of->kernel->transcendental || of->divides)
        count--;
    return i % 3 == 0 ? values[(i / 3) % count] : 2 * at_random_normal(random);
}

static double input_value(const role *of, int64_t i, int64_t elements, at_random *random)
{
    /* Moments are asked for far off 0, where they are hard. */
    if (of->values == AT_VALUES_NORMAL && of->is_x && (of->kernel->passes > 0 || at_signature_is_moments(&of->kernel->signature)))
        return 100 + 2 * at_random_normal(random);
    if (of->values == AT_VALUES_NORMAL || (of->port->access != AT_ACCESS_ELEMENT && of->port->access != AT_ACCESS_HALVES))
        return 2 * at_random_normal(random);
    if (of->is_gradient)
        return of->values == AT_VALUES_EXHAUSTIVE ? 2 * at_random_normal(random) : gradient_value(of, i, random);
    if (!of->is_x)
        return i % 11 == 5 ? (i % 2 ? -0.0 : 0.0) : 2 * at_random_normal(random);
    if (of->values == AT_VALUES_EXHAUSTIVE) {
        uint16_t bits = (uint16_t)i;
        return at_dtype_load(of->port->dtype, &bits, 0);
    }
    switch (i % 4) {
    case 0: /* another start for every size, so that each special value meets many lanes */
        return of->list->value[(i / 4 + elements) % of->list->count];
    case 1:
        return random_bits(of->port->dtype, random);
    case 2:
        return 2 * at_random_normal(random);
    }
    return log_uniform(random);
}

int at_reference_gate(const at_kernel *kernel)
{
    return !kernel->signature.halves ? 0 : strstr(kernel->spec, "halves(second)") ? 2 : 1;
}

/* Of x in two halves: of the two values that meet, one is any number, the other a plain one, by turns; what two wild ones give is no longer told
   by the class. The multiplier is as operands are, plain, 0 or NaN: what overflows or vanishes on the way to a product depends on its order. */
static double half_value(const role *of, const at_reference *reference, const at_case *made, int64_t i, at_random *random)
{
    const actune_shape shape = made->shape;
    const int64_t row = reference->layout == AT_LAYOUT_CHANNEL_INNER ? shape.channels : shape.channels * shape.inner;
    const int half = i / row % 2 == 1 ? 2 : 1;
    double value = input_value(of, i, 2 * made->elements, random), plain = 2 * at_random_normal(random);
    bool is_wild = !isnan(value) && value != 0 && (fabs(value) < 0x1p-12 || fabs(value) > 0x1p12);
    if ((i % row + half) % 2 == 1 || (is_wild && half != at_reference_gate(reference->kernel)))
        return plain;
    return value;
}

static bool reads_output(const at_kernel *kernel)
{
    const at_signature *signature = &kernel->signature;
    return signature->direction == ACTUNE_BACKWARD && strcmp(signature->port[0].name, "y") == 0;
}

static actune_status lower_forward(at_reference *reference)
{
    const at_signature *signature = &reference->kernel->signature;
    at_kernel_request request = {
        .direction = ACTUNE_FORWARD, .dtype_in = signature->dtype_in, .dtype_out = signature->dtype_out};
    at_spec spec;
    AT_TRY(at_spec_parse(reference->kernel->spec, &spec));
    actune_status status = at_kernel_lower(&spec, &request, &reference->forward);
    at_spec_clear(&spec);
    return status;
}

/* Turns values of x into those of y: beyond what the activation can give, its gradient is no function of y at all. */
static actune_status turn_into_outputs(const at_reference *reference, void *values, int64_t count, at_random *random)
{
    const at_kernel *forward = &reference->forward;
    const actune_dtype dtype = reference->kernel->signature.dtype_out;
    long double inputs[AT_PORTS_MAX], *nodes = calloc((size_t)forward->graph.count + 1, sizeof *nodes);
    if (!nodes)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for reference inputs");
    for (int64_t i = 0; i < count; i++) {
        inputs[0] = at_dtype_load(dtype, values, i);
        for (int k = 1; k < forward->signature.inputs; k++)
            inputs[k] = at_random_normal(random);
        at_graph_eval(&forward->graph, inputs, nodes);
        at_dtype_store(dtype, values, i, (double)nodes[forward->graph.output[0]]);
    }
    free(nodes);
    return ACTUNE_OK;
}

static actune_status make_inputs(at_reference *reference, at_case *made, const specials *list, at_random *random)
{
    const at_signature *signature = &reference->kernel->signature;
    for (int p = 0; p < signature->inputs; p++) {
        const at_port *port = &signature->port[p];
        int64_t count = at_port_count(port, made->shape);
        made->input[p] = at_arena_array(&reference->arena, (size_t)count + 1, (size_t)at_dtype_get(port->dtype)->bytes);
        if (!made->input[p])
            return at_fail(ACTUNE_NO_MEMORY, "no memory for reference inputs");
        role of = {reference->kernel,
                   port,
                   list,
                   made->values,
                   p == 0,
                   strcmp(port->name, "dy") == 0,
                   divides(&reference->kernel->graph)};
        for (int64_t i = 0; i < count; i++)
            at_dtype_store(port->dtype, made->input[p], i,
                           port->access == AT_ACCESS_HALVES ? half_value(&of, reference, made, i, random)
                                                            : input_value(&of, i, count, random));
        if (p == 0 && reads_output(reference->kernel))
            AT_TRY(turn_into_outputs(reference, made->input[p], count, random));
    }
    return ACTUNE_OK;
}

int64_t at_reference_index(const at_port *view, at_layout layout, actune_shape shape, int64_t element)
{
    const bool rows = layout == AT_LAYOUT_CHANNEL_INNER; /* in memory: outer, inner, channels */
    const int64_t image = shape.channels * shape.inner, row = rows ? shape.channels : image;
    const int64_t channel = rows ? element % shape.channels : element / shape.inner % shape.channels;
    switch (view->access) {
    case AT_ACCESS_ELEMENT:
        return view->half == 0 ? element : element / row * 2 * row + (view->half == 2 ? row : 0) + element % row;
    case AT_ACCESS_CHANNEL:
        return channel;
    case AT_ACCESS_PLANE:
        return element / image * shape.channels + channel;
    case AT_ACCESS_SCALAR:
    case AT_ACCESS_RANDOM:
    case AT_ACCESS_HALVES:
        break;
    }
    return 0;
}

/* --- all of it --- */

static bool is_wanted(const struct case_row *row, const at_kernel *kernel, at_layout layout)
{
    const at_row *step = &kernel->signature.row;
    if (step->kind != AT_ROW_NONE && row->channels > 0 && at_row_kept(step, row->channels) > row->channels)
        return false;
    bool narrow = at_dtype_get(kernel->signature.dtype_in)->bytes <= 2,
         forward = kernel->signature.direction == ACTUNE_FORWARD;
    actune_shape shape = {row->outer, row->channels, row->inner, row->layout == AT_LAYOUT_CHANNEL_INNER && row->inner > 1};
    if (shape.channels_last && !kernel->signature.has_plane)
        return false;
    return row->layout == (int)layout && at_layout_of(&kernel->signature, shape) == layout &&
           (row->values != AT_VALUES_EXHAUSTIVE || (narrow && forward && kernel->passes == 0));
}

enum { ROW_CASES_MAX = sizeof row_cases / sizeof *row_cases + 3, KEPT_MAX = 100000 };

static int list_cases(const at_kernel *kernel, struct case_row *rows)
{
    int count = sizeof case_rows / sizeof *case_rows;
    const at_row *step = &kernel->signature.row;
    if (step->kind == AT_ROW_NONE) {
        memcpy(rows, case_rows, sizeof case_rows);
        return count;
    }
    count = sizeof row_cases / sizeof *row_cases;
    memcpy(rows, row_cases, sizeof row_cases);
    for (int i = 0; i < 3 && step->k >= 1 && step->k <= KEPT_MAX; i++) {
        const int64_t more[] = {0, 1, (int64_t)step->k + 1};
        rows[count++] = (struct case_row){AT_LAYOUT_CHANNEL_INNER, 2, (int64_t)step->k + more[i], 1, i < 2 ? AT_VALUES_SPECIAL : AT_VALUES_NORMAL};
    }
    return count;
}

actune_status at_reference_init(at_reference *reference, const at_kernel *kernel, at_layout layout, int64_t seed)
{
    enum { ROWS = sizeof case_rows / sizeof *case_rows + ROW_CASES_MAX };
    struct case_row rows[ROWS];
    int row_count = list_cases(kernel, rows);
    *reference = (at_reference){.kernel = kernel, .layout = layout};
    reference->cases = at_arena_array(&reference->arena, ROWS, sizeof *reference->cases);
    if (!reference->cases)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for reference cases");
    specials list = {.count = 0};
    list_specials(kernel, kernel->signature.dtype_in, &list);
    at_random random = {(uint64_t)seed ^ at_hash64(kernel->hash.hex, strlen(kernel->hash.hex))};
    at_oracle *oracle = NULL;
    if (reads_output(kernel))
        AT_TRY(lower_forward(reference));
    if (kernel->passes == 0)
        AT_TRY(at_oracle_create(kernel, &oracle));
    actune_status status = ACTUNE_OK;
    for (int r = 0; r < row_count && status == ACTUNE_OK; r++) {
        const struct case_row *row = &rows[r];
        if (!is_wanted(row, kernel, layout))
            continue;
        at_case *made = &reference->cases[reference->count++];
        made->shape = (actune_shape){row->outer, row->channels, row->inner, layout == AT_LAYOUT_CHANNEL_INNER && row->inner > 1};
        made->values = kernel->passes > 0 ? AT_VALUES_NORMAL : row->values; /* one infinity in all elements would leave nothing but NaN */
        made->elements = row->outer * row->channels * row->inner;
        status = make_inputs(reference, made, &list, &random);
        if (status == ACTUNE_OK)
            status = at_reference_solve(&reference->arena, kernel, oracle, made);
    }
    at_oracle_destroy(oracle);
    return status;
}

/* The NaN of all ones, and that which becomes it when it is made quiet, are what outputs are poisoned with: another NaN stands for
   them. */
static uint32_t unlike_poison(actune_dtype dtype, uint32_t bits)
{
    static const uint32_t quiet[] = {[ACTUNE_F32] = 0x400000, [ACTUNE_F16] = 0x200, [ACTUNE_BF16] = 0x40};
    if (at_dtype_get(dtype)->bytes == 1)
        return bits; /* what is stored there is compared with what is wanted: verify.c */
    uint32_t ones = dtype == ACTUNE_F32 ? UINT32_MAX : UINT16_MAX;
    return (bits | quiet[dtype]) == ones ? bits - 1 : bits;
}

actune_status at_reference_bits(at_reference *reference, const at_kernel *kernel, at_oracle *oracle, uint64_t first, int64_t count)
{
    const at_signature *signature = &kernel->signature;
    *reference = (at_reference){.kernel = kernel, .layout = AT_LAYOUT_FLAT, .count = 1};
    at_case *made = reference->cases = at_arena_array(&reference->arena, 1, sizeof *made);
    if (!made)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for reference cases");
    *made = (at_case){.shape = {1, 1, count}, .values = AT_VALUES_EXHAUSTIVE, .elements = count};
    for (int p = 0; p < signature->inputs; p++) {
        int bytes = at_dtype_get(signature->port[p].dtype)->bytes;
        made->input[p] = at_arena_array(&reference->arena, (size_t)count + 1, (size_t)bytes);
        if (!made->input[p])
            return at_fail(ACTUNE_NO_MEMORY, "no memory for reference inputs");
        for (int64_t i = 0; i < count; i++) {
            uint32_t bits = unlike_poison(signature->port[0].dtype, (uint32_t)(first + (uint64_t)i));
            if (p > 0)
                at_dtype_store(signature->port[p].dtype, made->input[p], i, 1);
            else if (bytes == 1)
                ((uint8_t *)made->input[p])[i] = (uint8_t)bits;
            else if (bytes == 2)
                ((uint16_t *)made->input[p])[i] = (uint16_t)bits;
            else
                ((uint32_t *)made->input[p])[i] = bits;
        }
    }
    return at_reference_solve(&reference->arena, kernel, oracle, made);
}

void at_reference_clear(at_reference *reference)
{
    at_kernel_clear(&reference->forward);
    at_arena_clear(&reference->arena);
    *reference = (at_reference){0};
}
