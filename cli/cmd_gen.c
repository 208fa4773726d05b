/* actune gen: the source of one kernel. */
#include "request.h"

#include "runtime/backend/nvrtc.h"
#include "runtime/base/shape.h"
#include <stdlib.h>
#include <string.h>

enum { KEY_TARGET = 0x200, KEY_ISA, KEY_KNOB, KEY_KNOBS, KEY_GRAPH, KEY_EMIT, KEY_ARCH, SETTINGS_MAX = 32 };

typedef struct gen_options {
    cli_request request;
    at_target target;
    char *setting[SETTINGS_MAX];
    int settings;
    bool list_knobs, graph;
    const char *emit; /* "source", "ptx", "cubin" */
} gen_options;

static error_t parse(int key, char *text, struct argp_state *state)
{
    gen_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        for (int i = 0; i < 3; i++)
            state->child_inputs[i] = &options->request;
        return 0;
    case KEY_TARGET:
        options->target.cuda = !strcmp(text, "cuda");
        if (strcmp(text, "cuda") && strcmp(text, "cpu"))
            argp_error(state, "--target takes cpu or cuda, not '%s'", text);
        return 0;
    case KEY_ISA:
        if (!at_isa_find(text, &options->target.isa))
            argp_error(state, "--isa takes generic, x86-64-v2, x86-64-v3, x86-64-v4 or neon, not '%s'", text);
        return 0;
    case KEY_KNOB:
        if (!strchr(text, '=') || options->settings == SETTINGS_MAX)
            argp_error(state, "--knob takes NAME=VALUE, not '%s'", text);
        options->setting[options->settings++] = text;
        return 0;
    case KEY_KNOBS:
        options->list_knobs = true;
        return 0;
    case KEY_GRAPH:
        options->graph = true;
        return 0;
    case KEY_EMIT:
        if (strcmp(text, "source") && strcmp(text, "ptx") && strcmp(text, "cubin"))
            argp_error(state, "--emit takes source, ptx or cubin, not '%s'", text);
        options->emit = text;
        return 0;
    case KEY_ARCH:
        if (strncmp(text, "sm_", 3) || (options->target.cuda_arch = atoi(text + 3)) < 50)
            argp_error(state, "--arch takes an architecture as sm_90, not '%s'", text);
        return 0;
    case ARGP_KEY_END:
        if (options->request.json && (options->graph || options->list_knobs || strcmp(options->emit, "source")))
            argp_error(state, "--json prints generated source; it does not go with --graph, --list-knobs or --emit");
        if (options->request.gradients && !options->request.backward)
            argp_error(state, "--grad-of needs --backward");
        if (strcmp(options->emit, "source") && !options->target.cuda)
            argp_error(state, "--emit %s needs --target cuda", options->emit);
        if (!options->request.spec)
            argp_error(state, "a SPEC is needed, e.g. 'bias | silu | clip(0, 10)'");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static actune_status print_knob_values(const at_variant *variant)
{
    const at_knob *knobs;
    int count;
    AT_TRY(at_template_knobs(variant->template_name, &knobs, &count));
    printf("%s\n", variant->template_name);
    for (int i = 0; i < count; i++) {
        printf("  %-9s", knobs[i].name);
        for (int v = 0; v < knobs[i].values; v++)
            printf(" %s", knobs[i].value[v]);
        printf("%s (default here: %s)\n", knobs[i].launch ? "  when running" : knobs[i].option ? "  never searched" : "",
               at_variant_knob(variant, knobs[i].name, "-"));
    }
    return ACTUNE_OK;
}

static actune_status apply_settings(const gen_options *options, at_variant *variant)
{
    for (int i = 0; i < options->settings; i++) {
        char *equals = strchr(options->setting[i], '=');
        *equals = 0;
        actune_status status = at_variant_set(variant, options->setting[i], equals + 1);
        *equals = '='; /* for the next pass */
        AT_TRY(status);
    }
    return ACTUNE_OK;
}

/* PTX or cubin to standard output, what the kernel uses to standard error. */
static actune_status compile(const gen_options *options, const char *source)
{
    at_nvrtc_output output;
    bool cubin = !strcmp(options->emit, "cubin");
    AT_TRY(at_nvrtc_compile(source, "kernel.cu", options->target.cuda_arch, true, &output));
    fprintf(stderr, "sm_%d: %d registers, %d bytes spilled, %d bytes of shared memory\n", options->target.cuda_arch, output.registers,
            output.spill_bytes, output.shared_bytes);
    if (!cubin) {
        at_nvrtc_output_clear(&output);
        AT_TRY(at_nvrtc_compile(source, "kernel.cu", options->target.cuda_arch, false, &output));
    }
    fwrite(output.code, 1, cubin ? output.bytes : strlen(output.code), stdout);
    at_nvrtc_output_clear(&output);
    return ACTUNE_OK;
}

/* What --json prints: the text and what it was made of. */
static void add_json(json_t *all, const at_kernel *kernel, const at_variant *variant, const char *source)
{
    at_strbuf text = {0};
    at_variant_print(variant, &text);
    json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:s}", "spec", kernel->spec, "direction",
                                         kernel->signature.direction == ACTUNE_BACKWARD ? "backward" : "forward", "kernel", kernel->hash.hex,
                                         "variant", at_strbuf_text(&text), "source", source));
    at_strbuf_clear(&text);
}

/* all: of --json, else NULL. */
static actune_status generate(const gen_options *options, const at_kernel *kernel, json_t *all)
{
    const bool is_nchw = options->request.layout == CLI_LAYOUT_NCHW;
    actune_shape shape = {1, 2, is_nchw ? 2 : 1, false};
    AT_TRY(at_shape_of(&kernel->signature, shape, &shape));
    at_layout layout = at_layout_of(&kernel->signature, shape);
    at_variant variant;
    at_strbuf source = {0};
    AT_TRY(at_variant_default(kernel, layout, &options->target, &variant));
    if (options->list_knobs)
        return print_knob_values(&variant);
    AT_TRY(apply_settings(options, &variant));
    at_generate_options how = {.pretty = true};
    actune_status status = at_generate(kernel, layout, &options->target, &variant, &how, &source);
    if (!status && strcmp(options->emit, "source"))
        status = compile(options, at_strbuf_text(&source));
    else if (!status && all)
        add_json(all, kernel, &variant, at_strbuf_text(&source));
    else if (!status)
        fputs(at_strbuf_text(&source), stdout);
    at_strbuf_clear(&source);
    return status;
}

static const struct argp_option own_options[] = {
    {"target", KEY_TARGET, "TARGET", 0, "cpu (default) or cuda", 3},
    {"isa", KEY_ISA, "ISA", 0, "Instruction set: generic, x86-64-v2, -v3, -v4, neon (default: this machine's)", 3},
    {"knob", KEY_KNOB, "NAME=VALUE", 0, "Set a knob by hand (may be repeated)", 3},
    {"list-knobs", KEY_KNOBS, 0, 0, "List the knobs and their values instead", 3},
    {"emit", KEY_EMIT, "WHAT", 0, "source (default); with --target cuda also ptx or cubin, through NVRTC (no GPU is needed)", 3},
    {"arch", KEY_ARCH, "ARCH", 0, "With --target cuda: sm_80, sm_90 (default), sm_100 ...", 3},
    {"graph", KEY_GRAPH, 0, 0, "Print the expression graph instead", 3},
    {0}};

static const char doc[] =
    "Prints the source of the kernel that SPEC describes, with default knobs or those that you set."
    "\vExamples:\n"
    "  actune gen 'bias | silu | clip(0, 10)'\n"
    "  actune gen 'gelu_tanh | clip(-6, 6)' --backward --knob unroll=4\n"
    "  actune gen 'scale_shift | relu' --layout nchw --isa neon\n"
    "  actune gen 'bias | silu' --target cuda --emit cubin --arch sm_90 >kernel.cubin\n"
    "  actune gen gelu --list-knobs\n";

static actune_status print_pass(const gen_options *options, const at_kernel *kernel, json_t *all)
{
    if (!options->graph)
        return generate(options, kernel, all);
    at_strbuf text = {0};
    if (strstr(kernel->spec, "pass=") != NULL)
        printf("%s\n", kernel->spec);
    at_graph_print(&kernel->graph, &text);
    fputs(at_strbuf_text(&text), stdout);
    at_strbuf_clear(&text);
    return ACTUNE_OK;
}

static actune_status print_direction(const gen_options *options, actune_direction direction, json_t *all)
{
    at_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_shape shape;
    const cli_request *request = &options->request;
    actune_status status = cli_lower(request, direction, kernel);
    if (!status && request->rank > 0) /* only looked at: the text is for all shapes of a layout */
        status = cli_shape(request->dim, request->rank, request->layout, &kernel->signature, &shape);
    if (!status && kernel->passes > 0 && strcmp(options->emit, "source"))
        status = at_fail(ACTUNE_INVALID_ARGUMENT, "'%s' has %d passes: --emit %s takes one of them, as '[pass=1] %s'", kernel->spec, kernel->passes,
                         options->emit, kernel->spec);
    for (int i = 0; !status && i < cli_passes(kernel); i++)
        status = print_pass(options, cli_pass(kernel, i), all);
    at_kernel_clear(kernel);
    free(kernel);
    return status;
}

int cli_gen(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_kernel_argp, 0, 0, 0}, {&cli_shape_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {own_options, parse, "SPEC", doc, children, 0, 0};
    gen_options options = {.emit = "source", .target = {.isa = at_isa_host(), .cuda_arch = 90}};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    json_t *all = options.request.json ? json_array() : NULL;
    actune_status status = ACTUNE_OK;
    /* Forward unless backward is asked for; --direction both asks for both. */
    if (options.request.forward || !options.request.backward)
        status = print_direction(&options, ACTUNE_FORWARD, all);
    if (!status && options.request.backward)
        status = print_direction(&options, ACTUNE_BACKWARD, all);
    if (status) {
        json_decref(all);
        return cli_report(status);
    }
    return all ? cli_print_json(all) : CLI_OK;
}
