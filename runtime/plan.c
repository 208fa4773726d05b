#include "plan.h"

#include "backend/interp.h"
#include "base/shape.h"
#include "plan_cuda.h"
#include "plan_passes.h"
#include "tuning.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

/* One way to run the kernel: a stored winner, or the default variant (no source hash to agree with). */
typedef struct plan_attempt {
    const char *variant;     /* NULL: the default */
    const at_hash *measured; /* source hash of the winner, NULL */
    const char *tier;
} plan_attempt;

static actune_status check_desc(const actune_plan_desc *desc)
{
    if (desc->spec == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_plan_create: the spec is NULL");
    if (desc->direction != ACTUNE_FORWARD && desc->direction != ACTUNE_BACKWARD)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "direction %d is neither forward nor backward", (int)desc->direction);
    if (at_dtype_get(desc->dtype_in) == NULL || at_dtype_get(desc->dtype_out) == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "dtype_in %d or dtype_out %d is no element type", (int)desc->dtype_in,
                       (int)desc->dtype_out);
    if (desc->gradient_count < 0 || (desc->gradient_count > 0 && desc->gradients == NULL))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%d gradients, but no list of their names", desc->gradient_count);
    for (int i = 0; i < desc->gradient_count; i++)
        if (desc->gradients[i] == NULL)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the name of gradient %d is NULL", i);
    if (desc->gradient_count > 0 && desc->direction == ACTUNE_FORWARD)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "gradients are outputs of the backward direction only");
    if (desc->in_place && desc->dtype_in != desc->dtype_out)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "in place needs one element type, not %s and %s",
                       at_dtype_get(desc->dtype_in)->name, at_dtype_get(desc->dtype_out)->name);
    if (desc->max_threads < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "max_threads is %d; 0 means the context's", desc->max_threads);
    return ACTUNE_OK;
}

/* Spec -> stages -> one graph with its ports. */
static actune_status lower(actune_plan *plan, const actune_plan_desc *desc)
{
    AT_TRY(at_spec_parse_with(desc->spec, desc->sources, desc->source_count, &plan->spec));
    at_kernel_request request = {.direction = desc->direction,
                                 .dtype_in = desc->dtype_in,
                                 .dtype_out = desc->dtype_out,
                                 .gradients = desc->gradients,
                                 .gradient_count = desc->gradient_count};
    return at_kernel_lower(&plan->spec, &request, &plan->kernel);
}

/* The shape: layout, chunks, and what every buffer must hold. The launch is the interpreter's until something better
   loads. */
static actune_status lay_out(actune_plan *plan, const actune_plan_desc *desc, int threads)
{
    const at_signature *signature = &plan->kernel.signature;
    actune_shape shape;
    if (desc->in_place && signature->halves)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "'%s': x has two halves where y has one, so neither can take the other's place; make the plan without in_place",
                       plan->kernel.spec);
    AT_TRY(at_shape_of(signature, desc->shape, &shape));
    AT_TRY(at_launch_init(&plan->launch, signature, at_layout_of(signature, shape), shape, threads));
    plan->ports = signature->ports;
    for (int i = 0; i < signature->ports; i++) {
        const at_port *port = &signature->port[i];
        size_t bytes = (size_t)at_dtype_get(port->dtype)->bytes;
        int64_t count = at_port_count(port, shape);
        plan->need[i] = (at_port_need){.count = count,
                                       .bytes = (size_t)count * bytes,
                                       .align_mask = bytes - 1,
                                       .dtype = port->dtype,
                                       .is_output = port->is_output};
    }
    plan->in_place_input = desc->in_place ? (int)(signature->direction == ACTUNE_BACKWARD) : -1; /* x, or dy behind it */
    plan->in_place_output = desc->in_place ? signature->inputs : -1;                             /* y, or dx */
    if (desc->in_place && signature->port[signature->inputs].reduction)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' has no output that could take the place of an input", plan->kernel.spec);
    return ACTUNE_OK;
}

/* How many slices the variant wants, capped by what the plan may use. */
static int threads_of(const at_generated *generated, int most)
{
    at_arena arena = {0};
    at_variant variant;
    long threads = 1;
    if (at_variant_parse(at_strbuf_text(&generated->variant), &arena, &variant) == ACTUNE_OK)
        threads = strtol(at_variant_knob(&variant, "threads", "1"), NULL, 10);
    at_arena_clear(&arena);
    return threads < 1 ? 1 : threads > most ? most : (int)threads;
}

static actune_status load(actune_plan *plan, const at_generated *generated)
{
    const actune_context *context = plan->context;
    AT_TRY(at_binary_build(context->cache, at_strbuf_text(&generated->source), at_isa_name(context->device.isa),
                           context->no_compile, &plan->binary, &plan->build));
    plan->launch.function = at_binary_symbol(plan->binary, generated->symbol);
    if (plan->launch.function != NULL)
        return ACTUNE_OK;
    at_binary_release(plan->binary);
    plan->binary = NULL;
    return at_fail(ACTUNE_INTERNAL, "%s has no symbol %s; please report it", plan->build.path, generated->symbol);
}

/* Variant -> source -> binary -> function. */
static actune_status prepare(actune_plan *plan, const plan_attempt *attempt, int threads, bool in_place)
{
    at_launch *launch = &plan->launch;
    const at_target target = at_context_target(plan->context);
    at_generated *generated = &plan->generated;
    at_generated_clear(generated);
    AT_TRY(at_generated_get(plan->context->cache, &plan->kernel, launch->layout, &target, attempt->variant, generated));
    if (attempt->measured != NULL && strcmp(attempt->measured->hex, generated->source_hash.hex) != 0)
        return at_fail(ACTUNE_NOT_FOUND,
                       "it was measured with other source text (the templates have changed since); tune again");
    if (target.cuda && (in_place || plan->overlap))
        AT_TRY(at_plan_generate_options(plan, &target, in_place));
    AT_TRY(at_launch_init(launch, launch->signature, launch->layout, launch->shape, threads_of(generated, threads)));
    AT_TRY(target.cuda ? at_plan_load_cuda(plan) : load(plan, generated));
    plan->tier = attempt->tier;
    return ACTUNE_OK;
}

/* The first line of the last error: notes are one paragraph. */
static void add_note(actune_plan *plan, const char *lead)
{
    const char *message = actune_last_error();
    at_strbuf_printf(&plan->note, "%s%s: %.*s", plan->note.length > 0 ? "; " : "", lead, (int)strcspn(message, "\n"),
                     message);
}

/* False when nothing can be compiled or loaded at all, so that further candidates are not worth their time. */
static bool worth_going_on(actune_status status)
{
    return status != ACTUNE_NO_COMPILER && status != ACTUNE_IO && status != ACTUNE_NO_MEMORY;
}

/* cuDNN's winner is kept beside a kernel of ours, which is looked for further on. */
static actune_status take(actune_plan *plan, const plan_attempt *attempt, int threads, bool in_place)
{
    if (!at_cudnn_is_variant(attempt->variant))
        return prepare(plan, attempt, threads, in_place);
    if (plan->cudnn != NULL)
        return ACTUNE_OK;
    return at_plan_take_cudnn(plan, attempt->variant, attempt->measured, attempt->tier);
}

/* Winners of the database, best first; the one that loads is in the plan. */
static actune_status try_candidates(actune_plan *plan, bool in_place, int threads)
{
    at_dispatched candidates[AT_CANDIDATES_MAX];
    at_table_key key = at_table_key_of(&plan->kernel.hash, plan->launch.layout, plan->launch.shape, in_place);
    int count = at_dispatch_find(plan->context->dispatch, &key, candidates);
    for (int i = 0; i < count; i++) {
        plan_attempt attempt = {candidates[i].variant, &candidates[i].source_hash, candidates[i].tier};
        actune_status status = take(plan, &attempt, threads, in_place);
        if (status == ACTUNE_OK && plan->tier != NULL)
            return ACTUNE_OK;
        if (status == ACTUNE_OK)
            continue;
        add_note(plan, "a stored winner was not used");
        if (!worth_going_on(status))
            return status;
    }
    return ACTUNE_NOT_FOUND;
}

static actune_status try_winners(actune_plan *plan, bool in_place, int threads)
{
    pthread_rwlock_rdlock(&plan->context->dispatch_lock);
    actune_status status = try_candidates(plan, in_place, threads);
    pthread_rwlock_unlock(&plan->context->dispatch_lock);
    return status;
}

static actune_status try_default(actune_plan *plan, bool in_place, int threads)
{
    actune_status status = prepare(plan, &(plan_attempt){.tier = "default"}, threads, in_place);
    if (status != ACTUNE_OK)
        add_note(plan, "interpreted");
    return status;
}

static actune_status interpret(actune_plan *plan, int threads)
{
    if (plan->kernel.graph.count > AT_INTERPRET_NODES_MAX)
        return at_fail(ACTUNE_UNSUPPORTED,
                       "the graph has %d operations, more than the interpreter takes (%d), and nothing compiles: %s",
                       plan->kernel.graph.count, AT_INTERPRET_NODES_MAX, at_strbuf_text(&plan->note));
    at_launch *launch = &plan->launch;
    AT_TRY(at_launch_init(launch, launch->signature, launch->layout, launch->shape, threads));
    launch->interpret = at_interpret;
    launch->interpret_kernel = &plan->kernel;
    plan->tier = "interpreter";
    at_generated_clear(&plan->generated);
    at_strbuf_append(&plan->generated.variant, "interpreter");
    return at_strbuf_status(&plan->generated.variant);
}

static bool interpreter_forced(void)
{
    const char *value = getenv("ACTUNE_INTERPRET");
    return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0;
}

/* A winner, or the default variant: nothing interprets on a CUDA device. */
static actune_status choose_cuda(actune_plan *plan, bool in_place)
{
    if (plan->context->cache == NULL)
        return at_fail(ACTUNE_IO, "CUDA kernels need a folder to be kept in: %s", plan->context->cache_note);
    actune_status status = try_winners(plan, in_place, 1);
    return status == ACTUNE_NOT_FOUND ? prepare(plan, &(plan_attempt){.tier = "default"}, 1, in_place) : status;
}

/* The best that runs here: a winner, the default variant, the interpreter. */
static actune_status choose(actune_plan *plan, bool in_place, int threads)
{
    if (plan->context->cache_note[0] != '\0')
        at_strbuf_append(&plan->note, plan->context->cache_note);
    if (plan->context->cuda != NULL)
        return choose_cuda(plan, in_place);
    if (interpreter_forced()) {
        at_strbuf_clear(&plan->note);
        at_strbuf_append(&plan->note, "ACTUNE_INTERPRET is set");
        return interpret(plan, threads);
    }
    if (plan->context->cache == NULL)
        return interpret(plan, threads);
    actune_status status = try_winners(plan, in_place, threads);
    if (status == ACTUNE_OK)
        return status;
    if (worth_going_on(status))
        status = try_default(plan, in_place, threads);
    return status == ACTUNE_OK ? status : interpret(plan, threads);
}

actune_status at_plan_make_ready(actune_plan *plan, const actune_plan_desc *desc, int threads)
{
    AT_TRY(lay_out(plan, desc, threads));
    AT_TRY(plan->kernel.passes > 0 ? at_plan_open_passes(plan, desc, threads) : choose(plan, desc->in_place, threads));
    at_plan_note_cudnn(plan);
    if (plan->launch.threads > 1 && plan->context->cuda == NULL)
        AT_TRY(at_context_pool(plan->context, &plan->pool));
    return at_strbuf_status(&plan->note);
}

/* Memory for partial sums, and for what passes hand on. */
static actune_status equip(actune_plan *plan)
{
    if (plan->context->cuda != NULL)
        return at_cuda_workspaces_init(&plan->cuda_workspaces, plan->context->cuda, plan->cuda.workspace_bytes);
    return at_workspaces_init(&plan->workspaces, plan->launch.workspace_bytes, plan->context->device.processors);
}

/* The whole way, in order. */
static actune_status open_plan(actune_plan *plan, const actune_plan_desc *desc, at_plan_stage last)
{
    int threads = plan->context->max_threads;
    AT_TRY(check_desc(desc));
    if (desc->max_threads > 0 && desc->max_threads < threads)
        threads = desc->max_threads;
    AT_TRY(lower(plan, desc));
    if (last == AT_PLAN_LAID_OUT)
        return lay_out(plan, desc, threads);
    at_plan_set_overlap(plan, desc->overlap);
    AT_TRY(at_plan_make_ready(plan, desc, threads));
    return equip(plan);
}

actune_status at_plan_open(actune_context *context, const actune_plan_desc *desc, at_plan_stage last, actune_plan **plan)
{
    *plan = NULL;
    actune_plan *new = calloc(1, sizeof *new);
    if (new == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a plan");
    at_context_retain(context);
    new->context = context;
    /* Coefficients are fitted here: in the default environment, whatever the host flushes or how it rounds. */
    fenv_t environment;
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    actune_status status = open_plan(new, desc, last);
    fesetenv(&environment);
    if (status != ACTUNE_OK) {
        actune_plan_destroy(new);
        return status;
    }
    *plan = new;
    return ACTUNE_OK;
}

actune_status actune_plan_create(actune_context *context, const actune_plan_desc *desc, actune_plan **plan)
{
    if (plan == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_plan_create: the place for the plan is NULL");
    *plan = NULL;
    if (context == NULL || desc == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_plan_create: the context or the description is NULL");
    AT_TRY(at_plan_open(context, desc, AT_PLAN_READY, plan));
    return at_plan_learn(desc, plan);
}

void actune_plan_destroy(actune_plan *plan)
{
    if (plan == NULL)
        return;
    at_plan_close_passes(plan);
    at_workspaces_clear(&plan->workspaces);
    at_plan_clear_cudnn(plan);
    at_cuda_workspaces_clear(&plan->cuda_workspaces);
    at_cuda_kernel_destroy(plan->cuda_kernel);
    if (plan->binary != NULL)
        at_binary_release(plan->binary);
    at_generated_clear(&plan->generated);
    at_strbuf_clear(&plan->note);
    at_kernel_clear(&plan->kernel);
    at_spec_clear(&plan->spec);
    actune_context_close(plan->context);
    free(plan);
}

int actune_plan_port_count(const actune_plan *plan)
{
    return plan->ports;
}

actune_status actune_plan_port(const actune_plan *plan, int index, actune_port_info *info)
{
    if (index < 0 || index >= plan->ports)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "port %d does not exist: the plan has %d", index, plan->ports);
    const at_port *port = &plan->kernel.signature.port[index];
    *info = (actune_port_info){
        .name = port->name, .dtype = port->dtype, .count = plan->need[index].count, .is_output = port->is_output, .is_random = port->access == AT_ACCESS_RANDOM};
    return ACTUNE_OK;
}

void actune_plan_describe(const actune_plan *plan, actune_plan_info *info)
{
    const at_plan_cudnn *cudnn = plan->cudnn;
    const actune_plan *last = plan->passes > 0 ? plan->pass[plan->passes - 1] : plan;
    *info = (actune_plan_info){.spec = plan->kernel.spec,
                               .kernel = plan->kernel.hash.hex,
                               .variant = at_strbuf_text(cudnn != NULL ? &cudnn->variant : &plan->generated.variant),
                               .tier = cudnn != NULL ? cudnn->tier : plan->tier,
                               .binary = cudnn != NULL               ? at_strbuf_text(&cudnn->title)
                                         : last->cuda_kernel != NULL ? last->cuda_kernel->origin
                                         : last->binary != NULL      ? last->build.path
                                                                   : "",
                               .note = at_strbuf_text(&plan->note),
                               .threads = plan->launch.threads,
                               .workspace_bytes = plan->cuda_kernel != NULL ? plan->cuda.workspace_bytes : plan->launch.workspace_bytes};
}

const char *actune_plan_source(const actune_plan *plan)
{
    return at_strbuf_text(&plan->generated.source);
}
