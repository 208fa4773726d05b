#include "judge.h"

#include <math.h>
#include <stdlib.h>

#include "emit_math.h"

enum { OCTAVES_FROM = -40, OCTAVES_TO = 20, DENSE_FROM = -8, DENSE_TO = 8, DENSE = 256, SPARSE = 8 };

typedef struct judge {
    const at_graph *function;
    const char *form;
    at_tolerance tolerance;
    long double *exact;
    double *value; /* floats, but for the displaced results: their error counts the rounding already */
    uint32_t sequence;
    double worst;
} judge;

/* A transcendental result off by the function's largest error, in a direction that changes from op to op. */
static double displaced(judge *j, at_op op, long double result)
{
    const at_math_function *called = at_math_function_find(op, j->form);
    j->sequence = j->sequence * 1664525u + 1013904223u;
    if (!called || !isfinite((double)result) || result == 0)
        return (float)result;
    double off = called->ulp * at_ulp_f32((double)result);
    return (double)result + (j->sequence >> 31 ? off : -off);
}

static double evaluate(judge *j, float x)
{
    const at_graph *function = j->function;
    for (at_node_id v = 0; v < function->count; v++) {
        const at_node *node = &function->nodes[v];
        const at_op_info *info = at_op_get(node->op);
        long double a = info->arguments > 0 ? j->value[node->arg[0]] : 0, b = info->arguments > 1 ? j->value[node->arg[1]] : 0,
                    c = info->arguments > 2 ? j->value[node->arg[2]] : 0;
        if (node->op == AT_OP_INPUT)
            j->value[v] = x;
        else if (node->op == AT_OP_CONSTANT)
            j->value[v] = (float)node->value;
        else if (info->transcendental)
            j->value[v] = displaced(j, node->op, at_op_eval(node->op, a, b, c));
        else
            j->value[v] = (float)at_op_eval(node->op, a, b, c);
    }
    return j->value[function->output[0]];
}

static void judge_at(judge *j, float x)
{
    long double input = x;
    at_graph_eval(j->function, &input, j->exact);
    double exact = (double)j->exact[j->function->output[0]];
    if (!isfinite(exact) || fabs(exact) > 0x1.fffffep127)
        return; /* infinities and NaN are checked by verification */
    double error = fabs(evaluate(j, x) - exact), share = error / at_tolerance_at(&j->tolerance, x, exact);
    if (!(share <= j->worst))
        j->worst = share;
}

double at_judge_calls(const at_graph *function, const char *form, at_accuracy accuracy, bool derivative)
{
    size_t n = (size_t)function->count + 1;
    judge j = {.function = function, .form = form, .tolerance = at_tolerance_of(function, accuracy, derivative), .worst = 0};
    j.exact = calloc(n, sizeof *j.exact);
    j.value = calloc(n, sizeof *j.value);
    if (!j.exact || !j.value)
        j.worst = INFINITY;
    for (int exponent = OCTAVES_FROM; exponent < OCTAVES_TO && j.worst <= 1; exponent++) {
        int count = exponent >= DENSE_FROM && exponent < DENSE_TO ? DENSE : SPARSE;
        for (int k = 0; k < count; k++) {
            j.sequence = (uint32_t)(exponent * 4096 + k) * 2654435761u;
            float x = (float)ldexp(1 + (k + (j.sequence >> 8) * 0x1p-24) / count, exponent);
            judge_at(&j, x);
            judge_at(&j, -x);
        }
    }
    free(j.exact);
    free(j.value);
    return isnan(j.worst) ? INFINITY : j.worst;
}
