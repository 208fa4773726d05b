#include "oracle.h"

#include "../codegen/accuracy.h"
#include "../codegen/row.h"
#include "../runtime/base/dtype.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- what is known of a type --- */

static const struct limits {
    int mantissa, low, high; /* stored bits, least and greatest exponent of a normal number; integers: as if 1 were denormal */
    double most;             /* the largest number; 0: that with all mantissa bits set */
} limits[] = {
    [ACTUNE_F32] = {23, -126, 127, 0}, [ACTUNE_F64] = {52, -1022, 1023, 0}, [ACTUNE_F16] = {10, -14, 15, 0},
    [ACTUNE_BF16] = {7, -126, 127, 0}, [ACTUNE_I8] = {0, 0, 0, 127},        [ACTUNE_U8] = {0, 0, 0, 255},
    [ACTUNE_F8E4M3] = {3, -6, 8, 448}, [ACTUNE_F8E5M2] = {2, -14, 15, 0},
};

long double at_ulp(actune_dtype dtype, long double value)
{
    const struct limits *limit = &limits[dtype];
    int exponent = value != 0 && isfinite(value) ? ilogbl(value) : limit->low;
    exponent = exponent < limit->low ? limit->low : exponent > limit->high ? limit->high : exponent;
    return ldexpl(1, exponent - limit->mantissa);
}

double at_dtype_max(actune_dtype dtype)
{
    return limits[dtype].most > 0 ? limits[dtype].most : ldexp(2 - ldexp(1, -limits[dtype].mantissa), limits[dtype].high);
}

/* f64 in every class, relative or absolute (NUMERICS.md); f32 by accuracy.h. */
#define F64_BOUND 1e-14L

/* Results below the least normal number are not asked for outside the exact class: making them costs up to three times
 * the speed. */
#define FLUSHED_F32 0x1p-126L

/* --- static analysis, once a kernel --- */

typedef struct trait {
    at_node_id root;     /* the one value that the node is a function of; AT_NO_NODE: a constant; itself: a source */
    bool transcendental; /* the unary stretch that ends here has such an op in it */
    bool stage;          /* its value is rounded: not a factor of a gradient */
    bool wanted;         /* something outside the stretch uses it: `tolerance` is known */
    at_tolerance tolerance;
    bool exact;  /* every kernel has the same bits here */
    bool single; /* one correctly rounded operation on exact arguments */
} trait;

typedef struct state {
    long double value, low, high; /* low, high: with the root at the ends of its error */
    long double error;
    bool unsure; /* truth value that may be the other */
} state;

struct at_oracle {
    const at_kernel *kernel;
    at_signature views; /* its ports as the graph sees them */
    trait *trait;
    state *state;
    uint32_t inexact_inputs;
    double input_error[AT_PORTS_MAX];
    bool kept; /* what the row operation says about the element */
};

static at_node_id root_of(const at_oracle *oracle, at_node_id id)
{
    const at_node *node = &oracle->kernel->graph.nodes[id];
    if (node->op == AT_OP_CONSTANT)
        return AT_NO_NODE;
    if (node->op == AT_OP_INPUT || node->op == AT_OP_ROUND || node->op == AT_OP_TOPK)
        return id;
    at_node_id root = AT_NO_NODE;
    for (int k = 0; k < at_op_get(node->op)->arguments; k++) {
        at_node_id other = oracle->trait[node->arg[k]].root;
        if (root != AT_NO_NODE && other != AT_NO_NODE && other != root)
            return id;
        root = other != AT_NO_NODE ? other : root;
    }
    return root;
}

static bool is_rounded(at_op op)
{
    return op == AT_OP_ADD || op == AT_OP_SUB || op == AT_OP_MUL || op == AT_OP_DIV || op == AT_OP_FMA ||
           op == AT_OP_SQRT;
}

static bool is_comparison(at_op op)
{
    return op >= AT_OP_LT && op <= AT_OP_NE;
}

static void analyse_node(at_oracle *oracle, at_node_id id)
{
    const at_kernel *kernel = oracle->kernel;
    const at_node *node = &kernel->graph.nodes[id];
    const at_op_info *info = at_op_get(node->op);
    trait *own = &oracle->trait[id];
    own->root = root_of(oracle, id);
    own->transcendental = info->transcendental;
    bool exact = true;
    for (int k = 0; k < info->arguments; k++) {
        trait *arg = &oracle->trait[node->arg[k]];
        exact &= arg->exact;
        bool inside = arg->root == own->root && own->root != id;
        if (inside)
            own->transcendental |= arg->transcendental;
        /* What decides a comparison counts by its error even inside a stretch: a kernel that approximates the whole of it has no such
           value, and at the edge (a factor that is just 0) may do otherwise. */
        arg->wanted |= !inside || is_comparison(node->op);
    }
    if (node->op == AT_OP_INPUT)
        own->exact = !(oracle->inexact_inputs >> node->index & 1);
    else if (node->op == AT_OP_CONSTANT)
        own->exact = kernel->signature.compute == ACTUNE_F64 || (double)(float)node->value == node->value;
    else if (node->op == AT_OP_ROUND) {
        oracle->trait[node->arg[0]].stage = true;
        /* Long double holds an f32 operation exactly enough to round it again; an f64 one it does not. */
        own->exact = exact || (oracle->trait[node->arg[0]].single && kernel->signature.compute == ACTUNE_F32);
    } else {
        own->single = exact && is_rounded(node->op);
        own->exact = exact && !is_rounded(node->op) && !info->transcendental;
    }
}

static bool is_stretch(const at_oracle *oracle, at_node_id id)
{
    const trait *known = &oracle->trait[id];
    return known->root != AT_NO_NODE && known->root != id && known->transcendental;
}

/* The stretch that ends at `id` as a function of its root. */
static actune_status extract(const at_oracle *oracle, at_node_id id, at_graph *function)
{
    const at_graph *graph = &oracle->kernel->graph;
    at_node_id root = oracle->trait[id].root;
    at_node_id *moved = calloc((size_t)id + 1, sizeof *moved);
    if (!moved)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the oracle");
    at_node_id input = at_graph_input(function, 0);
    for (at_node_id k = 0; k <= id; k++) {
        const at_node *node = &graph->nodes[k];
        at_node_id arg[3] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
        moved[k] = input;
        if (k == root || (oracle->trait[k].root != root && oracle->trait[k].root != AT_NO_NODE))
            continue;
        for (int i = 0; i < at_op_get(node->op)->arguments; i++)
            arg[i] = moved[node->arg[i]];
        moved[k] = node->op == AT_OP_CONSTANT ? at_graph_constant(function, node->value)
                                              : at_graph_add(function, node->op, arg[0], arg[1], arg[2]);
    }
    function->output[0] = moved[id];
    function->outputs = 1;
    free(moved);
    return at_graph_status(function);
}

static actune_status find_tolerances(at_oracle *oracle)
{
    const at_kernel *kernel = oracle->kernel;
    for (int k = 0; k < kernel->graph.outputs; k++)
        oracle->trait[kernel->graph.output[k]].wanted = true;
    for (at_node_id id = 0; id < kernel->graph.count; id++) {
        trait *known = &oracle->trait[id];
        if (!known->wanted || !is_stretch(oracle, id))
            continue;
        at_graph function = {0};
        actune_status status = extract(oracle, id, &function);
        bool derivative = kernel->signature.direction == ACTUNE_BACKWARD && !known->stage;
        if (status == ACTUNE_OK)
            known->tolerance = at_tolerance_of(&function, kernel->accuracy, derivative);
        at_graph_clear(&function);
        AT_TRY(status);
    }
    return ACTUNE_OK;
}

actune_status at_oracle_create(const at_kernel *kernel, at_oracle **oracle)
{
    return at_oracle_create_near(kernel, 0, oracle);
}

double *at_oracle_input_error(at_oracle *oracle)
{
    return oracle->input_error;
}

actune_status at_oracle_create_near(const at_kernel *kernel, uint32_t inexact_inputs, at_oracle **oracle)
{
    const at_graph *graph = &kernel->graph;
    at_oracle *made = calloc(1, sizeof *made);
    size_t nodes = (size_t)(graph->count > 0 ? graph->count : 1);
    if (made) {
        made->kernel = kernel;
        at_signature_views(&kernel->signature, &made->views);
        made->inexact_inputs = inexact_inputs;
        made->trait = calloc(nodes, sizeof *made->trait);
        made->state = calloc(nodes, sizeof *made->state);
    }
    if (!made || !made->trait || !made->state) {
        at_oracle_destroy(made);
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the oracle of '%s'", kernel->spec);
    }
    actune_status status = ACTUNE_OK;
    for (at_node_id id = 0; id < graph->count && status == ACTUNE_OK; id++) {
        if (graph->nodes[id].op == AT_OP_STRETCH)
            status = at_fail(ACTUNE_UNSUPPORTED, "the oracle takes kernels before approximation");
        analyse_node(made, id);
    }
    if (status == ACTUNE_OK)
        status = find_tolerances(made);
    if (status != ACTUNE_OK) {
        at_oracle_destroy(made);
        return status;
    }
    *oracle = made;
    return ACTUNE_OK;
}

void at_oracle_destroy(at_oracle *oracle)
{
    if (!oracle)
        return;
    free(oracle->trait);
    free(oracle->state);
    free(oracle);
}

/* --- the error of one node from those of its arguments --- */

typedef struct operands {
    const state *a, *b, *c;
    long double value, ulp; /* of the node, in the compute type */
} operands;

static long double error_of_first(const operands *of)
{
    return of->a->error;
}

static long double error_of_sum(const operands *of)
{
    return of->a->error + of->b->error + of->ulp;
}

static long double error_of_product(const operands *of)
{
    return fabsl(of->a->value) * of->b->error + fabsl(of->b->value) * of->a->error + of->a->error * of->b->error +
           of->ulp;
}

static long double error_of_quotient(const operands *of)
{
    long double least = fabsl(of->b->value) - of->b->error;
    if (of->b->error == 0)
        return of->a->error / least + of->ulp;
    return least > 0 ? (of->a->error + fabsl(of->value) * of->b->error) / least + of->ulp : INFINITY;
}

static long double error_of_fma(const operands *of)
{
    return error_of_product(of) + of->c->error;
}

static long double error_of_extreme(const operands *of)
{
    return fmaxl(of->a->error, of->b->error);
}

static long double error_of_root(const operands *of)
{
    return (of->a->error > 0 ? of->a->error / fmaxl(of->value, sqrtl(of->a->error)) : 0) + of->ulp;
}

static long double error_of_integer(const operands *of)
{
    return of->a->error > 0 ? 1 + ceill(of->a->error) : 0;
}

static long double error_of_rint(const operands *of)
{
    long double below = rintl(of->a->value - of->a->error), above = rintl(of->a->value + of->a->error);
    return fmaxl(above - of->value, of->value - below);
}

static long double error_of_select(const operands *of)
{
    const state *taken = of->a->value != 0 ? of->b : of->c, *other = of->a->value != 0 ? of->c : of->b;
    if (!of->a->unsure)
        return taken->error;
    long double away = fabsl(other->value - taken->value) + other->error;
    return isnan(away) ? INFINITY : fmaxl(taken->error, away);
}

typedef long double error_rule(const operands *of);

/* Ops without a row: truth values, leaves, and transcendental ops (by class). */
static error_rule *const error_rules[AT_OP_COUNT] = {
    [AT_OP_ADD] = error_of_sum,         [AT_OP_SUB] = error_of_sum,       [AT_OP_MUL] = error_of_product,
    [AT_OP_DIV] = error_of_quotient,    [AT_OP_NEG] = error_of_first,     [AT_OP_ABS] = error_of_first,
    [AT_OP_FMA] = error_of_fma,         [AT_OP_MIN] = error_of_extreme,   [AT_OP_MAX] = error_of_extreme,
    [AT_OP_COPYSIGN] = error_of_first,  [AT_OP_SQRT] = error_of_root,     [AT_OP_FLOOR] = error_of_integer,
    [AT_OP_CEIL] = error_of_integer,    [AT_OP_TRUNC] = error_of_integer, [AT_OP_SELECT] = error_of_select,
    [AT_OP_GRAD_CLIP] = error_of_first, [AT_OP_RINT] = error_of_rint,
};

static bool is_unsure(at_op op, const state *a, const state *b)
{
    if (is_comparison(op)) {
        long double slack = a->error + b->error;
        return slack > 0 && fabsl(a->value - b->value) <= slack;
    }
    return (op == AT_OP_AND || op == AT_OP_OR || op == AT_OP_NOT) && (a->unsure || b->unsure);
}

/* What the class allows for a function with value f at x. */
static long double class_error(const at_oracle *oracle, const at_tolerance *tolerance, long double f, long double x)
{
    const at_kernel *kernel = oracle->kernel;
    if (!isfinite(f))
        return 0;
    if (kernel->signature.compute == ACTUNE_F64)
        return F64_BOUND * fmaxl(1, fabsl(f));
    long double error = at_tolerance_at(tolerance, isfinite(x) ? (double)x : at_dtype_max(ACTUNE_F32), (double)f);
    return kernel->accuracy == AT_ACCURACY_EXACT ? error : error + FLUSHED_F32;
}

/* For an op of two sources (pow). */
static const at_tolerance any_function = {.ulp_y = 4};

static long double round_to(actune_dtype compute, long double value)
{
    return compute == ACTUNE_F64 ? (long double)(double)value : (long double)(float)value;
}

/* --- evaluation --- */

static void eval_leaf(at_oracle *oracle, const at_node *node, state *own, const double *inputs)
{
    actune_dtype compute = oracle->kernel->signature.compute;
    own->value = node->op == AT_OP_INPUT ? inputs[node->index] : node->value;
    own->error = node->op == AT_OP_INPUT ? oracle->input_error[node->index] : 0;
    if (node->op == AT_OP_CONSTANT && isfinite(own->value))
        own->error = fabsl(own->value - round_to(compute, own->value));
    own->low = node->op == AT_OP_INPUT ? own->value - own->error : own->value;
    own->high = node->op == AT_OP_INPUT ? own->value + own->error : own->value;
    own->unsure = false;
}

static void eval_round(at_oracle *oracle, at_node_id id, const state *arg, state *own)
{
    long double rounded = round_to(oracle->kernel->signature.compute, arg->value);
    *own = *arg;
    if (oracle->trait[id].exact) {
        own->value = rounded;
        own->error = 0;
    } else if (isinf(rounded))
        own->value = rounded;
    own->low = own->value - own->error;
    own->high = own->value + own->error;
}

/* Finite, but perhaps an infinity in a kernel: what is computed from it may be anything. */
static bool overflows(const state *of, actune_dtype compute)
{
    return isinf(of->error) || (isfinite(of->value) && fabsl(of->value) + of->error > (long double)at_dtype_max(compute));
}

static void eval_op(at_oracle *oracle, at_node_id id, state *own)
{
    actune_dtype compute = oracle->kernel->signature.compute;
    static const state none = {0};
    const at_node *node = &oracle->kernel->graph.nodes[id];
    const trait *known = &oracle->trait[id];
    int arguments = at_op_get(node->op)->arguments;
    const state *a = &oracle->state[node->arg[0]];
    const state *b = arguments > 1 ? &oracle->state[node->arg[1]] : &none;
    const state *c = arguments > 2 ? &oracle->state[node->arg[2]] : &none;
    own->value = at_op_eval(node->op, a->value, b->value, c->value);
    own->unsure = is_unsure(node->op, a, b);
    bool unary = known->root != id && known->root != AT_NO_NODE;
    bool moved = unary ? oracle->state[known->root].error > 0 : a->error > 0 || b->error > 0 || c->error > 0;
    own->low = moved ? at_op_eval(node->op, a->low, b->low, c->low) : own->value;
    own->high = moved ? at_op_eval(node->op, a->high, b->high, c->high) : own->value;
    long double shift = fmaxl(fabsl(own->low - own->value), fabsl(own->high - own->value));
    operands of = {a, b, c, own->value, at_ulp(compute, own->value)};
    if (known->exact)
        own->error = 0;
    else if (is_stretch(oracle, id))
        own->error = class_error(oracle, &known->tolerance, own->value, oracle->state[known->root].value) + shift;
    else if (error_rules[node->op])
        own->error = error_rules[node->op](&of);
    else
        own->error =
            at_op_get(node->op)->transcendental ? class_error(oracle, &any_function, own->value, a->value) + shift : 0;
    if (is_rounded(node->op) && !is_stretch(oracle, id) && (overflows(a, compute) || overflows(b, compute) || overflows(c, compute)))
        own->error = INFINITY;
    else if (!isfinite(own->value))
        own->error = 0;
    if (!unary) {
        own->low = own->value - own->error;
        own->high = own->value + own->error;
    }
}

static void walk(at_oracle *oracle, const double *inputs)
{
    const at_graph *graph = &oracle->kernel->graph;
    for (at_node_id id = 0; id < graph->count; id++) {
        const at_node *node = &graph->nodes[id];
        state *own = &oracle->state[id];
        if (node->op == AT_OP_INPUT || node->op == AT_OP_CONSTANT)
            eval_leaf(oracle, node, own, inputs);
        else if (node->op == AT_OP_TOPK)
            *own = (state){.value = oracle->kept, .low = oracle->kept, .high = oracle->kept};
        else if (node->op == AT_OP_ROUND)
            eval_round(oracle, id, &oracle->state[node->arg[0]], own);
        else
            eval_op(oracle, id, own);
    }
}

/* The rounding of the store, as the class has it: once, to nearest; `fast` may lose half a unit more. */
static long double store_error(const at_kernel *kernel, const trait *known, actune_dtype dtype, long double value)
{
    bool narrow = dtype != kernel->signature.compute;
    if (!narrow && known->exact)
        return 0;
    if (narrow && kernel->accuracy == AT_ACCURACY_FAST && !known->exact)
        return at_ulp(dtype, value);
    if (narrow || known->single)
        return (dtype == ACTUNE_F64 ? 2 : 0.51L) * at_ulp(dtype, value);
    return 0; /* the class bound of the compute type has it in */
}

static void collect(const at_oracle *oracle, at_expected *expected)
{
    const at_kernel *kernel = oracle->kernel;
    for (int k = 0; k < kernel->graph.outputs; k++) {
        const at_port *port = &oracle->views.port[oracle->views.inputs + k];
        at_node_id id = kernel->graph.output[k];
        const trait *known = &oracle->trait[id];
        const state *end = &oracle->state[id];
        bool coded = !port->reduction && at_dtype_get(port->dtype)->bytes == 1;
        expected[k].value = end->value;
        expected[k].error = known->single && !port->reduction ? 0 : end->error;
        if (coded && known->single && isfinite(end->value)) /* in the compute type first, or at once: the interpreter */
            expected[k].error = fabsl(end->value - round_to(kernel->signature.compute, end->value));
        if (!port->reduction && !coded)
            expected[k].error += store_error(kernel, known, port->dtype, end->value);
        expected[k].indefinite = false;
    }
}

static long double code_of(actune_dtype dtype, long double value)
{
    uint8_t code;
    at_dtype_store(dtype, &code, 0, (double)value);
    return at_dtype_load(dtype, &code, 0);
}

/* A store into 8 bits is known exactly: one number, or where the boundary of two lies inside the error either of them. */
static void store_codes(const at_signature *signature, at_expected *expected)
{
    for (int k = 0; k < signature->ports - signature->inputs; k++) {
        const at_port *port = &signature->port[signature->inputs + k];
        if (port->reduction || at_dtype_get(port->dtype)->bytes != 1)
            continue;
        long double value = expected[k].value, error = expected[k].error, code = code_of(port->dtype, value);
        expected[k].value = code;
        if (isnan(value) || isinf(error))
            continue;
        expected[k].error = fmaxl(code_of(port->dtype, value + error) - code, code - code_of(port->dtype, value - error));
    }
}

/* A factor below this may be 0 in a kernel, and then a gradient that is not finite has no single answer: NaN (0 * NaN),
   or 0 where the product is guarded. */
static long double vanishing(actune_dtype compute)
{
    return compute == ACTUNE_F64 ? 1e-304L : 1e-36L;
}

static int gradient_input(const at_signature *signature)
{
    bool is_second =
        signature->direction == ACTUNE_BACKWARD && signature->inputs > 1 && strcmp(signature->port[1].name, "dy") == 0;
    return is_second ? 1 : -1;
}

/* Outputs that hang on a gradient that is not finite through a vanishing factor (their value for a gradient of 1) may
 * be anything. */
static void allow_vanished(at_oracle *oracle, const double *inputs, at_expected *expected)
{
    const at_signature *signature = &oracle->views;
    double one[AT_PORTS_MAX];
    at_expected factor[AT_OUTPUTS_MAX];
    memcpy(one, inputs, (size_t)signature->inputs * sizeof *one);
    one[gradient_input(signature)] = 1;
    walk(oracle, one);
    collect(oracle, factor);
    for (int k = 0; k < oracle->kernel->graph.outputs; k++)
        if (!isfinite(expected[k].value) && fabsl(factor[k].value) < vanishing(signature->compute))
            expected[k].error = INFINITY;
}

static void eval_outputs(at_oracle *oracle, const double *inputs, at_expected *expected)
{
    const at_signature *signature = &oracle->views;
    double limited[AT_PORTS_MAX];
    bool has_nan = false, has_infinity = false, lost = false;
    for (int i = 0; i < signature->inputs; i++) {
        has_nan |= isnan(inputs[i]);
        has_infinity |= isinf(inputs[i]);
        limited[i] = isinf(inputs[i]) ? copysign(at_dtype_max(signature->port[i].dtype), inputs[i]) : inputs[i];
    }
    walk(oracle, inputs);
    collect(oracle, expected);
    int gradient = gradient_input(signature);
    if (gradient >= 0 && !isfinite(inputs[gradient]))
        allow_vanished(oracle, inputs, expected);
    for (int k = 0; k < oracle->kernel->graph.outputs; k++)
        lost |= isnan(expected[k].value);
    if (has_nan || !lost)
        return;
    bool indefinite[AT_OUTPUTS_MAX];
    at_expected limit[AT_OUTPUTS_MAX];
    for (int k = 0; k < oracle->kernel->graph.outputs; k++)
        indefinite[k] = isnan(expected[k].value);
    if (has_infinity) {
        walk(oracle, limited);
        collect(oracle, limit);
    }
    for (int k = 0; k < oracle->kernel->graph.outputs; k++)
        if (indefinite[k]) {
            if (has_infinity)
                expected[k] = limit[k];
            expected[k].indefinite = true;
        }
}

void at_oracle_key(at_oracle *oracle, const double *inputs, at_expected *key)
{
    const at_signature *signature = &oracle->kernel->signature;
    at_node_id step = at_row_find(&oracle->kernel->graph);
    const state *end = &oracle->state[oracle->kernel->graph.nodes[step].arg[0]];
    bool has_nan = false;
    for (int i = 0; i < signature->inputs; i++)
        has_nan |= isnan(inputs[i]) != 0;
    walk(oracle, inputs);
    *key = (at_expected){.value = end->value, .error = end->error, .indefinite = isnan(end->value) && !has_nan};
}

void at_oracle_keep(at_oracle *oracle, bool kept)
{
    oracle->kept = kept;
}

void at_oracle_eval(at_oracle *oracle, const double *inputs, at_expected *expected)
{
    eval_outputs(oracle, inputs, expected);
    store_codes(&oracle->kernel->signature, expected);
}
