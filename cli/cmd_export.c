/* actune export: tuned kernels as a library of their own. */
#include "request.h"

#include "export/export.h"
#include "runtime/base/dtype.h"
#include <stdlib.h>
#include <string.h>

enum { KEY_NAME = 0x300, KEY_DTYPES, KEY_DIRECTION, KEY_GRAD, KEY_TARGETS, KEY_ISA, KEY_ARCHS, KEY_FORCE, KEY_SOURCES, KEY_CHECK, KEY_TUNED_ON };

typedef struct export_options {
    cli_request common; /* --json --db */
    at_export_request request;
    const char *spec[AT_EXPORT_SPECS_MAX];
    const char *check;
} export_options;

/* Calls `take` for each part of a list with commas. */
static void each_part(export_options *options, char *text, struct argp_state *state,
                      void (*take)(export_options *options, const char *part, struct argp_state *state))
{
    for (char *part = strtok(text, ","); part; part = strtok(NULL, ","))
        take(options, part, state);
}

static void take_dtype(export_options *options, const char *part, struct argp_state *state)
{
    at_export_request *request = &options->request;
    at_export_dtypes dtypes;
    if (!cli_parse_dtypes(part, &dtypes.in, &dtypes.out))
        argp_error(state, "--dtypes takes f32, f64, f16, bf16 or two of them as in:out, with commas between; not '%s'", part);
    else if (request->dtypes_count == AT_EXPORT_DTYPES_MAX)
        argp_error(state, "at most %d element types", AT_EXPORT_DTYPES_MAX);
    else
        request->dtypes[request->dtypes_count++] = dtypes;
}

static void take_target(export_options *options, const char *part, struct argp_state *state)
{
    if (!strcmp(part, "cpu"))
        options->request.cpu = true;
    else if (!strcmp(part, "cuda"))
        options->request.cuda = true;
    else
        argp_error(state, "--targets takes cpu, cuda or both with a comma between; not '%s'", part);
}

static void take_isa(export_options *options, const char *part, struct argp_state *state)
{
    at_export_request *request = &options->request;
    at_isa isa;
    if (!at_isa_find(part, &isa))
        argp_error(state, "--isa takes generic, x86-64-v2, x86-64-v3, x86-64-v4 and neon, with commas between; not '%s'", part);
    else if (request->isas_count == AT_EXPORT_ISAS_MAX)
        argp_error(state, "at most %d instruction sets", AT_EXPORT_ISAS_MAX);
    else
        request->isas[request->isas_count++] = isa;
}

static void take_arch(export_options *options, const char *part, struct argp_state *state)
{
    at_export_request *request = &options->request;
    char *end;
    long arch = strncmp(part, "sm_", 3) ? 0 : strtol(part + 3, &end, 10);
    if (arch < 50 || arch > 999 || *end)
        argp_error(state, "--archs takes architectures as sm_80,sm_90; not '%s'", part);
    else if (request->archs_count == AT_EXPORT_ARCHS_MAX)
        argp_error(state, "at most %d architectures", AT_EXPORT_ARCHS_MAX);
    else
        request->archs[request->archs_count++] = (int)arch;
}

static void take_gradient(export_options *options, const char *part, struct argp_state *state)
{
    at_export_request *request = &options->request;
    if (request->gradients_count == AT_EXPORT_GRADIENTS_MAX)
        argp_error(state, "at most %d gradients", AT_EXPORT_GRADIENTS_MAX);
    else
        request->gradients[request->gradients_count++] = part;
}

static void take_direction(export_options *options, const char *text, struct argp_state *state)
{
    options->request.forward = !strcmp(text, "forward") || !strcmp(text, "both");
    options->request.backward = !strcmp(text, "backward") || !strcmp(text, "both");
    if (!options->request.forward && !options->request.backward)
        argp_error(state, "--direction takes forward, backward or both, not '%s'", text);
}

/* What was not said. */
static void complete(export_options *options, struct argp_state *state)
{
    at_export_request *request = &options->request;
    if (options->check)
        return;
    if (!request->specs_count)
        argp_error(state, "a SPEC is needed, e.g. 'bias | silu | clip(0, 10)'");
    if (!request->output)
        argp_error(state, "-o FOLDER says where to export to");
    if (request->archs_count && !request->cuda)
        argp_error(state, "--archs needs --targets cuda");
    if (request->gradients_count && !request->backward)
        argp_error(state, "--grad-of needs --direction backward or both");
    if (!request->cpu && !request->cuda)
        request->cpu = true;
    if (request->cuda && !request->archs_count)
        argp_error(state, "--targets cuda needs --archs, e.g. sm_80,sm_90");
    if (request->isas_count && !request->cpu)
        argp_error(state, "--isa needs --targets cpu");
    if (!request->dtypes_count)
        request->dtypes[request->dtypes_count++] = (at_export_dtypes){ACTUNE_F32, ACTUNE_F32};
    if (!request->isas_count) {
        static const at_isa usual[] = {AT_ISA_X86_V2, AT_ISA_X86_V3, AT_ISA_X86_V4};
        request->isas_count = at_isa_host() == AT_ISA_NEON ? 1 : 3;
        memcpy(request->isas, usual, sizeof usual);
        if (at_isa_host() == AT_ISA_NEON)
            request->isas[0] = AT_ISA_NEON;
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    export_options *options = state->input;
    at_export_request *request = &options->request;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case KEY_NAME:
        request->name = text;
        return 0;
    case KEY_DTYPES:
        each_part(options, text, state, take_dtype);
        return 0;
    case KEY_DIRECTION:
        take_direction(options, text, state);
        return 0;
    case KEY_GRAD:
        each_part(options, text, state, take_gradient);
        return 0;
    case KEY_TARGETS:
        each_part(options, text, state, take_target);
        return 0;
    case KEY_ISA:
        each_part(options, text, state, take_isa);
        return 0;
    case KEY_ARCHS:
        each_part(options, text, state, take_arch);
        return 0;
    case KEY_FORCE:
        request->force = true;
        return 0;
    case KEY_SOURCES:
        request->sources_only = true;
        return 0;
    case KEY_CHECK:
        options->check = text;
        return 0;
    case KEY_TUNED_ON:
        request->tuned_on = text;
        return 0;
    case 'o':
        request->output = text;
        return 0;
    case ARGP_KEY_ARG:
        if (request->specs_count == AT_EXPORT_SPECS_MAX)
            argp_error(state, "at most %d specs", AT_EXPORT_SPECS_MAX);
        options->spec[request->specs_count++] = text;
        return 0;
    case ARGP_KEY_END:
        complete(options, state);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp_option own_options[] = {
    {"name", KEY_NAME, "NAME", 0, "The library's name, and what its functions begin with (default: kernels)", 1},
    {"output", 'o', "FOLDER", 0, "Where to", 1},
    {"dtypes", KEY_DTYPES, "TYPES", 0, "Element types with commas: f32 (default), f64, f16, bf16, IN:OUT", 2},
    {"direction", KEY_DIRECTION, "WHICH", 0, "forward (default), backward or both", 2},
    {"grad-of", KEY_GRAD, "OPERANDS", 0, "Backward: also the gradients of these operands, in the specs that have them", 2},
    {"targets", KEY_TARGETS, "TARGETS", 0, "cpu (default), cuda or both with a comma", 3},
    {"isa", KEY_ISA, "ISAS", 0, "Instruction sets: generic, x86-64-v2, -v3, -v4, neon (default: v2 to v4, or neon on AArch64)", 3},
    {"archs", KEY_ARCHS, "ARCHS", 0, "CUDA architectures, as sm_80,sm_90", 3},
    {"tuned-on", KEY_TUNED_ON, "ID", 0, "Winners of this device of the database (its id, or how that begins) in place of this machine's", 4},
    {"sources-only", KEY_SOURCES, 0, 0, "No library, only what it is built from: no compiler is needed", 5},
    {"force", KEY_FORCE, 0, 0, "Replace an earlier export", 5},
    {"check", KEY_CHECK, "FOLDER", 0, "Compare a folder with what was exported there, and do nothing else", 6},
    {0}};

static const char doc[] =
    "Exports tuned kernels as a library that needs nothing of actune: lib<NAME>.a and .so, a C header, package files, a manifest and all sources. "
    "A SPEC may be NAME=SPEC, where the function's name is to be another."
    "\vExamples:\n"
    "  actune export 'bias | gelu_tanh | clip(-6, 6)' silu --name mylib --dtypes f32,bf16 -o mylib\n"
    "  actune export 'bias | relu' --direction both --grad-of bias -o kernels --force\n"
    "  actune export act='@my_act.c:my_act(alpha=0.5) | clip(-1, 1)' --isa x86-64-v3,neon --sources-only -o out\n"
    "  actune export --check mylib\n";

static json_t *report_json(const at_export_request *request, const at_export_report *report)
{
    json_t *functions = json_array(), *notes = json_array();
    for (int i = 0; i < report->functions; i++)
        json_array_append_new(functions, json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", report->function[i], "spec", report->spec[i], "direction",
                                                   report->direction[i], "tier", report->tier[i], "variants", report->variants[i]));
    for (int i = 0; i < report->notes; i++)
        json_array_append_new(notes, json_string(report->note[i]));
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:I}", "name", request->name, "folder", request->output, "functions", functions, "notes", notes,
                     "archive_bytes", (json_int_t)report->archive_bytes, "shared_bytes", (json_int_t)report->shared_bytes);
}

static int print_report(const at_export_request *request, const at_export_report *report)
{
    static const char *const headings[] = {"function", "spec", "direction", "kernels", "variants"};
    cli_table *table = cli_table_new(headings, 5);
    for (int i = 0; i < report->functions; i++)
        cli_table_row(table, "%s\t%s\t%s\t%s\t%d", report->function[i], report->spec[i], report->direction[i], report->tier[i], report->variants[i]);
    cli_table_print(table, stdout);
    for (int i = 0; i < report->notes; i++)
        fprintf(stderr, "note: %s\n", report->note[i]);
    if (request->sources_only)
        printf("%s: sources\n", request->output);
    else
        printf("%s: lib%s.so %lld bytes, lib%s.a %lld bytes\n", request->output, request->name, (long long)report->shared_bytes, request->name,
               (long long)report->archive_bytes);
    return CLI_OK;
}

static void say(void *user, const char *line)
{
    json_t *wrong = user;
    json_array_append_new(wrong, json_string(line));
}

static int check(const export_options *options)
{
    json_t *wrong = json_array(), *entry;
    int files;
    size_t i;
    actune_status status = at_export_check(options->check, say, wrong, &files);
    if (options->common.json && (status == ACTUNE_OK || status == ACTUNE_VERIFY)) {
        cli_print_json(json_pack("{s:b, s:i, s:O}", "sound", status == ACTUNE_OK, "files", files, "wrong", wrong));
    } else {
        json_array_foreach(wrong, i, entry) fprintf(stderr, "%s\n", json_string_value(entry));
        if (status == ACTUNE_OK)
            printf("%s: %d files, as they were exported\n", options->check, files);
    }
    json_decref(wrong);
    return status == ACTUNE_OK ? CLI_OK : cli_report(status);
}

int cli_export(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {own_options, parse, "SPEC...", doc, children, 0, 0};
    export_options *options = calloc(1, sizeof *options);
    at_export_report report;
    if (!options)
        return cli_complain(CLI_FAILED, "out of memory");
    options->request = (at_export_request){.name = "kernels", .forward = true};
    options->request.specs = options->spec;
    argp_parse(&argp, argc, argv, 0, 0, options);
    options->request.database = options->common.database;
    int result;
    if (options->check)
        result = check(options);
    else {
        actune_status status = at_export(&options->request, &report);
        result = status != ACTUNE_OK       ? cli_report(status)
                 : options->common.json    ? cli_print_json(report_json(&options->request, &report))
                                           : print_report(&options->request, &report);
        at_export_report_clear(&report);
    }
    free(options);
    return result;
}
