/* Which functions: every spec in every type and direction. */
#include "job.h"

#include "../runtime/base/dtype.h"

#include <stdlib.h>
#include <string.h>

/* "name=spec", where what stands in front of the first '=' is a name and no part of a spec. */
static size_t own_name(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return length > 0 && text[length] == '=' ? length : 0;
}

/* The shapes, types and reductions that the exported sources are written for: a signature that says more than this is not exported. */
static bool is_known(const at_signature *signature)
{
    for (int i = 0; i < signature->ports; i++) {
        const at_port *port = &signature->port[i];
        bool access = port->access == AT_ACCESS_ELEMENT || port->access == AT_ACCESS_CHANNEL || port->access == AT_ACCESS_SCALAR ||
                      port->access == AT_ACCESS_RANDOM;
        if (!access || (unsigned)port->dtype > ACTUNE_BF16 || port->reduction > AT_REDUCTION_MAX)
            return false;
    }
    return signature->row.kind == AT_ROW_NONE && (unsigned)signature->dtype_in <= ACTUNE_BF16 && (unsigned)signature->dtype_out <= ACTUNE_BF16;
}

static actune_status check_exportable(const at_kernel *kernel)
{
    if (kernel->passes > 0)
        return at_fail(ACTUNE_UNSUPPORTED, "'%s' is not exported yet: it goes over its tensor %d times; use actune::actune in the program", kernel->spec,
                       kernel->passes);
    if (is_known(&kernel->signature))
        return ACTUNE_OK;
    return at_fail(ACTUNE_UNSUPPORTED,
                   "'%s' is not exported yet: exported functions take tensors, per-channel and single values of f32, f64, f16 and bf16, and "
                   "seeds, element by element; use actune::actune in the program",
                   kernel->spec);
}

static actune_status lower(const at_spec *spec, actune_direction direction, at_export_dtypes dtypes, const char *const *gradients, int count,
                           at_kernel *kernel)
{
    at_kernel_request request = {.direction = direction, .dtype_in = dtypes.in, .dtype_out = dtypes.out, .gradients = gradients,
                                 .gradient_count = count};
    return at_kernel_lower(spec, &request, kernel);
}

/* The asked-for gradients that this spec has: one that it does not know is another spec's. */
static actune_status gradients_of(at_export_job *job, const at_spec *spec, at_export_dtypes dtypes, const char **names, int *count, bool *used)
{
    *count = 0;
    for (int i = 0; i < job->request->gradients_count; i++) {
        const char *name = job->request->gradients[i];
        at_kernel *probe = calloc(1, sizeof *probe);
        if (probe == NULL)
            return at_export_no_memory();
        actune_status status = lower(spec, ACTUNE_BACKWARD, dtypes, &name, 1, probe);
        at_kernel_clear(probe);
        free(probe);
        if (status == ACTUNE_OK) {
            names[(*count)++] = name;
            used[i] = true;
        } else if (status != ACTUNE_INVALID_ARGUMENT)
            return status;
    }
    return ACTUNE_OK;
}

static const char *dtype_text(at_export_dtypes dtypes, at_arena *arena)
{
    const char *in = at_dtype_get(dtypes.in)->name, *out = at_dtype_get(dtypes.out)->name;
    return dtypes.in == dtypes.out ? in : at_arena_printf(arena, "%s_to_%s", in, out);
}

static actune_status check_name(const at_export_job *job, const at_export_function *function)
{
    for (int i = 0; i < job->functions; i++)
        if (strcmp(job->function[i]->symbol, function->symbol) == 0)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' and '%s' both get the name %s: name one of them, as 'NAME=SPEC'",
                           job->function[i]->kernel.spec, function->kernel.spec, function->symbol);
    if (strlen(function->symbol) > 200)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' gives a name of %zu characters: name it, as 'NAME=SPEC'", function->kernel.spec,
                       strlen(function->symbol));
    return ACTUNE_OK;
}

static actune_status name_function(at_export_job *job, const char *base, at_export_dtypes dtypes, at_export_function *function)
{
    at_arena *arena = &job->arena;
    const at_signature *signature = &function->kernel.signature;
    function->symbol = at_arena_printf(arena, "%s_%s%s_%s", job->request->name, base, signature->direction == ACTUNE_BACKWARD ? "_backward" : "",
                                       dtype_text(dtypes, arena));
    function->cuda_symbol = at_arena_printf(arena, "%s_cuda", function->symbol);
    function->canonical = function->kernel.spec;
    function->kernel.spec = at_export_shown_spec(function->kernel.spec, arena);
    if (function->symbol == NULL || function->cuda_symbol == NULL || function->kernel.spec == NULL)
        return at_export_no_memory();
    for (int i = 0; i < signature->ports; i++)
        if ((function->parameter[i] = at_export_parameter(signature->port[i].name, arena)) == NULL)
            return at_export_no_memory();
    return check_name(job, function);
}

static actune_status keep(at_export_job *job, at_export_function *function)
{
    at_export_function **grown = realloc(job->function, sizeof *grown * (size_t)(job->functions + 1));
    if (grown == NULL)
        return at_export_no_memory();
    job->function = grown;
    job->function[job->functions++] = function;
    return ACTUNE_OK;
}

static bool has_user_file(const at_spec *spec)
{
    for (int i = 0; i < spec->stages; i++)
        if (spec->stage[i].file != NULL)
            return true;
    return false;
}

/* By the forward kernel it is seen whether the user's file is the one that was tuned. */
static actune_status note_forward(const at_spec *spec, at_export_dtypes dtypes, at_export_function *function)
{
    function->user_file = has_user_file(spec);
    if (!function->user_file)
        return ACTUNE_OK;
    at_kernel *kernel = calloc(1, sizeof *kernel);
    if (kernel == NULL)
        return at_export_no_memory();
    actune_status status = lower(spec, ACTUNE_FORWARD, dtypes, NULL, 0, kernel);
    function->forward = kernel->hash;
    at_kernel_clear(kernel);
    free(kernel);
    return status;
}

static actune_status add(at_export_job *job, const at_spec *spec, const char *base, actune_direction direction, at_export_dtypes dtypes, bool *used)
{
    const char *names[AT_EXPORT_GRADIENTS_MAX];
    int count = 0;
    if (direction == ACTUNE_BACKWARD)
        AT_TRY(gradients_of(job, spec, dtypes, names, &count, used));
    at_export_function *function = calloc(1, sizeof *function);
    if (function == NULL)
        return at_export_no_memory();
    actune_status status = note_forward(spec, dtypes, function);
    if (status == ACTUNE_OK)
        status = lower(spec, direction, dtypes, names, count, &function->kernel);
    if (status == ACTUNE_OK)
        status = check_exportable(&function->kernel);
    if (status == ACTUNE_OK)
        status = name_function(job, base, dtypes, function);
    if (status == ACTUNE_OK)
        status = keep(job, function);
    if (status != ACTUNE_OK) {
        at_kernel_clear(&function->kernel);
        free(function);
    }
    return status;
}

static actune_status add_all(at_export_job *job, const at_spec *spec, const char *base, bool *used)
{
    const at_export_request *request = job->request;
    for (int d = 0; d < request->dtypes_count; d++) {
        if (request->forward)
            AT_TRY(add(job, spec, base, ACTUNE_FORWARD, request->dtypes[d], used));
        if (request->backward)
            AT_TRY(add(job, spec, base, ACTUNE_BACKWARD, request->dtypes[d], used));
    }
    return ACTUNE_OK;
}

static actune_status collect_spec(at_export_job *job, const char *text, bool *used)
{
    size_t length = own_name(text);
    at_spec *spec = calloc(1, sizeof *spec);
    if (spec == NULL)
        return at_export_no_memory();
    actune_status status = at_spec_parse(length > 0 ? text + length + 1 : text, spec);
    if (status == ACTUNE_OK) {
        const char *base = length > 0 ? at_arena_strndup(&job->arena, text, length) : at_export_slug(spec, &job->arena);
        status = base != NULL ? add_all(job, spec, base, used) : at_export_no_memory();
        at_spec_clear(spec);
    }
    free(spec);
    return status;
}

actune_status at_export_collect(at_export_job *job)
{
    const at_export_request *request = job->request;
    bool used[AT_EXPORT_GRADIENTS_MAX] = {false};
    for (int i = 0; i < request->specs_count; i++)
        AT_TRY(collect_spec(job, request->specs[i], used));
    for (int i = 0; request->backward && i < request->gradients_count; i++)
        if (!used[i])
            return at_fail(ACTUNE_INVALID_ARGUMENT, "no spec has an operand '%s' whose gradient could be exported", request->gradients[i]);
    return ACTUNE_OK;
}
