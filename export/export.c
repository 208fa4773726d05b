/* The way of an export, in order. */
#include "cuda.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

actune_status at_export_no_memory(void)
{
    return at_fail(ACTUNE_NO_MEMORY, "out of memory while exporting");
}

actune_status at_export_grow(void *array, int count, int *room, size_t bytes)
{
    void **place = array;
    if (count < *room)
        return ACTUNE_OK;
    int wanted = *room * 2 + 32;
    void *grown = realloc(*place, bytes * (size_t)wanted);
    if (grown == NULL)
        return at_export_no_memory();
    *place = grown;
    *room = wanted;
    return ACTUNE_OK;
}

/* Notes are for people: the same sentence is told once. */
actune_status at_export_note(at_export_job *job, const char *format, ...)
{
    at_export_report *report = job->report;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (int i = 0; i < report->notes; i++)
        if (strcmp(report->note[i], text) == 0)
            return ACTUNE_OK;
    const char **grown = realloc(report->note, sizeof *grown * (size_t)(report->notes + 1));
    char *copy = at_arena_strdup(&report->arena, text);
    if (grown != NULL)
        report->note = grown;
    if (grown == NULL || copy == NULL)
        return at_export_no_memory();
    report->note[report->notes++] = copy;
    return ACTUNE_OK;
}

actune_status at_export_add_bytes(at_export_job *job, const char *path, char *bytes, size_t size)
{
    actune_status status = bytes == NULL ? at_export_no_memory() : at_export_grow(&job->file, job->files, &job->files_room, sizeof *job->file);
    const char *copy = at_arena_strdup(&job->arena, path);
    if (status == ACTUNE_OK && copy == NULL)
        status = at_export_no_memory();
    if (status != ACTUNE_OK) {
        free(bytes);
        return status;
    }
    job->file[job->files++] = (at_export_file){copy, bytes, size};
    return ACTUNE_OK;
}

actune_status at_export_add_file(at_export_job *job, const char *path, at_strbuf *text)
{
    actune_status status = at_strbuf_status(text);
    size_t size = text->length;
    if (status != ACTUNE_OK) {
        at_strbuf_clear(text);
        return status;
    }
    return at_export_add_bytes(job, path, at_strbuf_take(text), size);
}

static actune_status check_request(const at_export_request *request)
{
    if (request->name == NULL || !at_export_is_identifier(request->name))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' is no name for a library: letters, digits and underscores, no digit first, no keyword of C or C++",
                       request->name != NULL ? request->name : "");
    if (request->specs_count < 1 || request->dtypes_count < 1 || (!request->forward && !request->backward))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "nothing to export: a spec, an element type and a direction are needed");
    if (request->output == NULL || request->output[0] == '\0')
        return at_fail(ACTUNE_INVALID_ARGUMENT, "no folder to export to");
    if ((!request->cpu && !request->cuda) || (request->cpu && request->isas_count < 1) || (request->cuda && request->archs_count < 1))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "no target: a CPU needs an instruction set, CUDA an architecture");
    return ACTUNE_OK;
}

static actune_status prepare(at_export_job *job)
{
    const at_export_request *request = job->request;
    char *upper = at_arena_strdup(&job->arena, request->name);
    if (upper == NULL)
        return at_export_no_memory();
    for (char *c = upper; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    job->upper = upper;
    return ACTUNE_OK;
}

static actune_status write_texts(at_export_job *job)
{
    AT_TRY(at_export_write_header(job));
    AT_TRY(at_export_write_kernels(job));
    if (job->request->cuda)
        AT_TRY(at_export_write_cuda(job));
    AT_TRY(at_export_write_library(job));
    AT_TRY(at_export_write_support(job));
    AT_TRY(at_export_write_package(job));
    return at_export_write_manifest(job);
}

static actune_status fill_report(at_export_job *job)
{
    at_export_report *report = job->report;
    size_t count = (size_t)job->functions;
    report->function = at_arena_array(&report->arena, count, sizeof *report->function);
    report->spec = at_arena_array(&report->arena, count, sizeof *report->spec);
    report->direction = at_arena_array(&report->arena, count, sizeof *report->direction);
    report->tier = at_arena_array(&report->arena, count, sizeof *report->tier);
    report->variants = at_arena_array(&report->arena, count, sizeof *report->variants);
    if (!report->function || !report->spec || !report->direction || !report->tier || !report->variants)
        return at_export_no_memory();
    for (int i = 0; i < job->functions; i++) {
        const at_export_function *function = job->function[i];
        report->function[i] = at_arena_strdup(&report->arena, function->symbol);
        report->spec[i] = at_arena_strdup(&report->arena, function->kernel.spec);
        report->direction[i] = function->kernel.signature.direction == ACTUNE_BACKWARD ? "backward" : "forward";
        report->tier[i] = "default";
        for (const at_export_target *t = job->target; t < job->target + job->targets; t++) {
            for (int v = 0; v < t->variants; v++)
                report->variants[i] += t->variant[v].function == i;
            for (int r = 0; r < t->rows; r++)
                if (t->row[r].function == i && strcmp(t->row[r].tier, "default") != 0)
                    report->tier[i] = "tuned";
        }
        if (report->function[i] == NULL || report->spec[i] == NULL)
            return at_export_no_memory();
    }
    report->functions = job->functions;
    return ACTUNE_OK;
}

static actune_status run(at_export_job *job)
{
    AT_TRY(check_request(job->request));
    AT_TRY(prepare(job));
    AT_TRY(at_export_collect(job));
    AT_TRY(at_export_open_targets(job));
    AT_TRY(at_export_select(job));
    AT_TRY(write_texts(job));
    AT_TRY(at_export_folder_open(job));
    AT_TRY(at_export_folder_fill(job));
    if (!job->request->sources_only)
        AT_TRY(at_export_build(job));
    AT_TRY(at_export_folder_seal(job));
    AT_TRY(fill_report(job));
    return at_export_folder_commit(job);
}

static void clear(at_export_job *job)
{
    at_export_folder_discard(job);
    at_export_close_targets(job);
    for (int i = 0; i < job->functions; i++) {
        at_kernel_clear(&job->function[i]->kernel);
        free(job->function[i]);
    }
    free(job->function);
    for (int i = 0; i < job->files; i++)
        free(job->file[i].bytes);
    free(job->file);
    at_arena_clear(&job->arena);
}

actune_status at_export(const at_export_request *request, at_export_report *report)
{
    *report = (at_export_report){0};
    at_export_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return at_export_no_memory();
    job->request = request;
    job->report = report;
    actune_status status = run(job);
    clear(job);
    free(job);
    return status;
}

void at_export_report_clear(at_export_report *report)
{
    free(report->note);
    at_arena_clear(&report->arena);
    *report = (at_export_report){0};
}
