/* How a kernel's transcendental functions are computed: README.md, "Numerics". */
#include "emit_math.h"
#include "fit.h"
#include "judge.h"
#include "pass.h"
#include "pass_factor.h"
#include "stretch.h"

#include <string.h>

typedef struct approximation {
    at_kernel *kernel;
    at_graph graph; /* the kernel's, rewritten; moved there at the end */
    at_stretch stretch[AT_STRETCHES_MAX];
    int stretches;
    const at_math_form *form;
} approximation;

static void clear_approximation(approximation *work)
{
    at_graph_clear(&work->graph);
    for (int i = 0; i < work->stretches; i++)
        at_graph_clear(&work->stretch[i].graph);
}

static bool same_text(const at_graph *a, const at_graph *b)
{
    at_strbuf left = {0}, right = {0};
    at_graph_print(a, &left);
    at_graph_print(b, &right);
    bool same = at_strbuf_status(&left) == ACTUNE_OK && at_strbuf_status(&right) == ACTUNE_OK &&
                !strcmp(at_strbuf_text(&left), at_strbuf_text(&right));
    at_strbuf_clear(&left);
    at_strbuf_clear(&right);
    return same;
}

/* The span's exit becomes a STRETCH of its entry. Takes `function` over. */
static actune_status replace(approximation *work, at_span span, at_graph *function, const at_fit *fit)
{
    int index = 0;
    while (index < work->stretches && !(work->stretch[index].fit == fit && same_text(&work->stretch[index].graph, function)))
        index++;
    if (index < work->stretches) {
        at_graph_clear(function);
    } else if (index == AT_STRETCHES_MAX) {
        at_graph_clear(function);
        return at_fail(ACTUNE_UNSUPPORTED, "the pipeline has more than %d functions to approximate", AT_STRETCHES_MAX);
    } else {
        work->stretch[work->stretches++] = (at_stretch){*function, fit};
    }
    work->graph.nodes[span.exit] = (at_node){AT_OP_STRETCH, {span.entry, AT_NO_NODE, AT_NO_NODE}, index, 0};
    return ACTUNE_OK;
}

/* A stretch of several stages that has no fit as a whole may have one stage by stage. */
static actune_status fit_span(approximation *work, const at_graph *original, at_span span)
{
    at_graph function;
    const at_fit *fit;
    at_span lower, upper;
    actune_status status = at_span_extract(original, span, &function);
    if (status == ACTUNE_OK)
        status = at_fit_make(&function, work->form->entries, work->kernel->accuracy, span.gradient, &fit);
    if (status == ACTUNE_OK)
        return replace(work, span, &function, fit);
    at_graph_clear(&function);
    if (status != ACTUNE_UNSUPPORTED || !at_span_split(original, span, &lower, &upper))
        return status;
    AT_TRY(fit_span(work, original, lower));
    return fit_span(work, original, upper);
}

static actune_status widen_span(approximation *work, const at_graph *original, at_span span)
{
    at_graph function;
    actune_status status = at_span_extract(original, span, &function);
    if (status == ACTUNE_OK)
        return replace(work, span, &function, NULL);
    at_graph_clear(&function);
    return status;
}

static actune_status judge_span(approximation *work, const at_graph *original, at_span span)
{
    at_graph function;
    at_span lower, upper;
    actune_status status = at_span_extract(original, span, &function);
    double share = 0;
    if (status == ACTUNE_OK)
        share = at_judge_calls(&function, work->form->name, work->kernel->accuracy, span.gradient);
    at_graph_clear(&function);
    if (status != ACTUNE_OK || share <= 1)
        return status;
    if (!at_span_split(original, span, &lower, &upper))
        return at_fail(ACTUNE_UNSUPPORTED, "math=%s does not reach accuracy=%s: its error may be %.3g times what is allowed, or more",
                       work->form->name, at_accuracy_name(work->kernel->accuracy), share);
    AT_TRY(judge_span(work, original, lower));
    return judge_span(work, original, upper);
}

/* A form that would call the same functions as "poly" is the same variant twice. */
static bool form_differs(const at_graph *graph, const char *form)
{
    for (at_node_id v = 0; v < graph->count; v++) {
        const at_math_function *called = at_math_function_find(graph->nodes[v].op, form);
        if (called && !strcmp(called->form, form))
            return true;
    }
    return false;
}

static bool is_transcendental(const at_graph *graph)
{
    for (at_node_id v = 0; v < graph->count; v++)
        if (at_op_get(graph->nodes[v].op)->transcendental)
            return true;
    return false;
}

static actune_status approximate(approximation *work)
{
    static actune_status (*const step[])(approximation *, const at_graph *, at_span) = {
        [AT_MATH_WIDE] = widen_span, [AT_MATH_CALLS] = judge_span, [AT_MATH_FIT] = fit_span};
    at_span spans[AT_STRETCHES_MAX];
    at_graph original = {0};
    int count;
    bool unary;
    AT_TRY(at_spans_find(&work->graph, spans, AT_STRETCHES_MAX, &count, &unary));
    if (count > AT_STRETCHES_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "the pipeline has more than %d functions to approximate", AT_STRETCHES_MAX);
    if (!unary && work->form->kind == AT_MATH_FIT)
        return at_fail(ACTUNE_UNSUPPORTED, "math=%s: a function of several operands cannot be a table", work->form->name);
    AT_TRY(at_graph_copy(&work->graph, &original));
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < count && status == ACTUNE_OK; i++) {
        spans[i].gradient &= work->kernel->signature.direction == ACTUNE_BACKWARD;
        status = step[work->form->kind](work, &original, spans[i]);
    }
    at_graph_clear(&original);
    return status;
}

static actune_status check_form(const at_kernel *kernel, const at_math_form *form)
{
    bool transcendental = is_transcendental(&kernel->graph);
    if (form->kind == AT_MATH_WIDE)
        return ACTUNE_OK;
    if (!transcendental)
        return at_fail(ACTUNE_UNSUPPORTED, "math=%s: the pipeline holds no transcendental function", form->name);
    if (kernel->signature.compute != ACTUNE_F32)
        return at_fail(ACTUNE_UNSUPPORTED, "math=%s is for f32 arithmetic", form->name);
    if (form->kind == AT_MATH_CALLS && !form_differs(&kernel->graph, form->name))
        return at_fail(ACTUNE_UNSUPPORTED, "math=%s: no function of the pipeline has that form", form->name);
    return ACTUNE_OK;
}

actune_status at_pass_approximate(at_kernel *kernel, const char *form)
{
    approximation work = {.kernel = kernel, .form = at_math_form_find(form)};
    if (!work.form)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "there is no form of math called \"%s\"", form);
    AT_TRY(check_form(kernel, work.form));
    actune_status status = at_graph_copy(&kernel->graph, &work.graph);
    if (status == ACTUNE_OK && kernel->signature.direction == ACTUNE_BACKWARD && is_transcendental(&work.graph)) {
        status = at_pass_factor(&work.graph, 1);
        if (status == ACTUNE_OK)
            status = at_pass_fold(&work.graph);
        if (status == ACTUNE_OK)
            status = at_pass_cse(&work.graph);
    }
    if (status == ACTUNE_OK)
        status = approximate(&work);
    if (status == ACTUNE_OK)
        status = at_pass_cse(&work.graph);
    if (status != ACTUNE_OK) {
        clear_approximation(&work);
        return status;
    }
    for (int i = 0; i < kernel->stretches; i++)
        at_graph_clear(&kernel->stretch[i].graph);
    at_graph_clear(&kernel->graph);
    kernel->graph = work.graph;
    memcpy(kernel->stretch, work.stretch, sizeof work.stretch);
    kernel->stretches = work.stretches;
    return ACTUNE_OK;
}
