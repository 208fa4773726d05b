/* actune apply: run a kernel on real tensors, through the public API as any program would. */
#include "device_run.h"
#include "npy.h"
#include "request.h"
#include "runtime/base/dtype.h"
#include "stats_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SEED = 0x240, KEY_OFFSET, KEY_OPERAND = 0x200, KEY_GRADIENT_OF, KEY_INPUT_DY, KEY_EXPLAIN, KEY_STATS, FILES_MAX = 16 };

typedef struct named_file {
    const char *name, *path; /* "bias", "b.npy" */
} named_file;

typedef struct apply_options {
    cli_request request;
    const char *input, *output, *grad, *stats;
    named_file operand[FILES_MAX], gradient[FILES_MAX];
    int operands, gradients;
    bool explain;
    uint64_t seed, offset; /* of random stages */
} apply_options;

static void add_file(struct argp_state *state, char *text, named_file *files, int *count, const char *option)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1] || *count == FILES_MAX)
        argp_error(state, "%s takes NAME=FILE, not '%s'", option, text);
    *equals = 0;
    for (int i = 0; i < *count; i++)
        if (!strcmp(files[i].name, text))
            argp_error(state, "%s %s is given twice", option, text);
    files[(*count)++] = (named_file){text, equals + 1};
}

static uint64_t parse_word(const char *text, const char *option, struct argp_state *state)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    if (*text < '0' || *text > '9' || *end || errno)
        argp_error(state, "%s takes a number from 0 to 2^64 - 1, not '%s'", option, text);
    return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    apply_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        for (int i = 0; i < 4; i++)
            state->child_inputs[i] = &options->request;
        return 0;
    case 'i':
        options->input = text;
        return 0;
    case 'o':
        options->output = text;
        return 0;
    case KEY_INPUT_DY:
        options->grad = text;
        return 0;
    case KEY_OPERAND:
        add_file(state, text, options->operand, &options->operands, "--operand");
        return 0;
    case KEY_GRADIENT_OF:
        add_file(state, text, options->gradient, &options->gradients, "--grad-of");
        return 0;
    case KEY_SEED:
        options->seed = parse_word(text, "--seed", state);
        return 0;
    case KEY_OFFSET:
        options->offset = parse_word(text, "--offset", state);
        return 0;
    case KEY_STATS:
        options->stats = text;
        return 0;
    case KEY_EXPLAIN:
        options->explain = true;
        return 0;
    case ARGP_KEY_END:
        if (!options->request.spec)
            argp_error(state, "a SPEC is needed, e.g. 'gelu_tanh | clip(-6, 6)'");
        if (!options->input || !options->output)
            argp_error(state, "--input and --output are needed");
        if (options->request.backward != (options->grad != NULL))
            argp_error(state, "--backward and --grad FILE (the gradient dy) belong together");
        if (options->gradients && !options->request.backward)
            argp_error(state, "--grad-of needs --backward");
        if (options->stats && options->request.backward)
            argp_error(state, "--stats goes with the forward kernel");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* The tensors of a run, in the plan's port order. */
typedef struct apply_run {
    npy_array array[32];
    actune_buffer buffer[32];
    const char *save[32]; /* where output i goes, NULL: nowhere */
    int count;
    int halved_axis; /* of x, where y has half as many; -1: none */
} apply_run;

static const char *find_path(const named_file *files, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(files[i].name, name))
            return files[i].path;
    return NULL;
}

static const char *input_path(const apply_options *options, const char *port)
{
    return !strcmp(port, "dy") ? options->grad : find_path(options->operand, options->operands, port);
}

static actune_status read_port(const char *path, const actune_port_info *port, npy_array *array)
{
    if (!path)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the spec has an operand '%s' (%lld elements, %s): give it with --operand %s=FILE.npy",
                       port->name, (long long)port->count, at_dtype_get(port->dtype)->name, port->name);
    AT_TRY(npy_read(path, port->dtype, array));
    if (array->dtype != port->dtype)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s holds %s, but '%s' is %s here; --dtype says what the tensors are", path,
                       at_dtype_get(array->dtype)->name, port->name, at_dtype_get(port->dtype)->name);
    if (array->count != port->count)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s has %lld elements, '%s' needs %lld", path, (long long)array->count,
                       port->name, (long long)port->count);
    return ACTUNE_OK;
}

/* A random stage's two words. The second such stage has the next offset, and so on. */
static actune_status make_seed(const apply_options *options, const actune_port_info *port, uint64_t number, npy_array *array)
{
    const uint64_t words[2] = {options->seed, options->offset + number};
    AT_TRY(npy_create(port->dtype, 1, &port->count, array));
    memcpy(array->data, words, sizeof words);
    return ACTUNE_OK;
}

static actune_status make_output(const apply_options *options, const actune_port_info *port, const npy_array *x, apply_run *run,
                                 int index)
{
    bool main_output = !strcmp(port->name, "y") || !strcmp(port->name, "dx");
    run->save[index] = main_output ? options->output : find_path(options->gradient, options->gradients, port->name + 1);
    if (!main_output)
        return npy_create(port->dtype, 1, &port->count, &run->array[index]);
    int64_t dim[CLI_RANK_MAX] = {0};
    for (int i = 0; i < x->rank; i++)
        dim[i] = !strcmp(port->name, "y") && i == run->halved_axis ? x->dim[i] / 2 : x->dim[i];
    return npy_create(port->dtype, x->rank, dim, &run->array[index]);
}

/* x (or y) is read already: port 0; everything else is read or made to fit the plan. */
static actune_status bind(const apply_options *options, const actune_plan *plan, npy_array *x, apply_run *run)
{
    uint64_t seeds = 0;
    run->count = actune_plan_port_count(plan);
    for (int i = 0; i < run->count; i++) {
        actune_port_info port;
        AT_TRY(actune_plan_port(plan, i, &port));
        if (i == 0) {
            run->array[i] = *x;
            x->data = NULL; /* moved */
        } else if (port.is_output)
            AT_TRY(make_output(options, &port, &run->array[0], run, i));
        else if (port.is_random)
            AT_TRY(make_seed(options, &port, seeds++, &run->array[i]));
        else
            AT_TRY(read_port(input_path(options, port.name), &port, &run->array[i]));
        run->buffer[i] = (actune_buffer){run->array[i].data, run->array[i].count, port.dtype};
    }
    for (int i = 0; i < options->operands; i++) {
        bool used = false;
        for (int p = 0; p < run->count && !used; p++) {
            actune_port_info port;
            AT_TRY(actune_plan_port(plan, p, &port));
            used = !port.is_output && !strcmp(port.name, options->operand[i].name);
        }
        if (!used && !options->request.backward)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "--operand %s: the spec has no such operand", options->operand[i].name);
    }
    return ACTUNE_OK;
}

/* What the stage stats left. */
static actune_status save_statistics(const apply_options *options, const actune_plan *plan, const apply_run *run)
{
    for (int i = 0; i < run->count; i++) {
        actune_port_info port;
        AT_TRY(actune_plan_port(plan, i, &port));
        if (port.is_output && !strcmp(port.name, "stats"))
            return cli_stats_write(options->stats, options->request.spec, options->request.device, run->array[i].data,
                                   port.count / ACTUNE_STATISTICS_FIELDS);
    }
    return at_fail(ACTUNE_INVALID_ARGUMENT, "--stats: '%s' has no stage stats; write one where you want to look: 'relu | stats'", options->request.spec);
}

static actune_status save(const apply_run *run)
{
    for (int i = 0; i < run->count; i++)
        if (run->save[i])
            AT_TRY(npy_write(run->save[i], &run->array[i]));
    return ACTUNE_OK;
}

static void explain(const actune_plan *plan, bool json)
{
    actune_plan_info info;
    actune_plan_describe(plan, &info);
    if (json)
        cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "spec", info.spec, "kernel", info.kernel, "variant",
                                 info.variant, "tier", info.tier, "note", info.note, "threads", info.threads));
    else
        fprintf(stderr, "%s\n  kernel   %s\n  variant  %s\n  tier     %s\n  threads  %d\n%s%s%s", info.spec, info.kernel,
                info.variant, info.tier, info.threads, *info.note ? "  note     " : "", info.note, *info.note ? "\n" : "");
}

/* Whether the spec has per-channel operands decides if the layout matters. */
static actune_status shape_of(const apply_options *options, const npy_array *x, actune_shape *shape, int *halved_axis)
{
    at_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status =
        cli_lower(&options->request, options->request.backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, kernel);
    if (!status)
        status = cli_shape_of_x(x->dim, x->rank, options->request.layout, &kernel->signature, shape);
    *halved_axis = !kernel->signature.halves ? -1 : options->request.layout == CLI_LAYOUT_NCHW ? 1 : x->rank - 1;
    at_kernel_clear(kernel);
    free(kernel);
    return status;
}

/* A spec that is wrong is said before files are looked for. from_output: backward reads y. What the spec says of the output is noted. */
static actune_status check_spec(cli_request *request, bool *from_output)
{
    at_spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status = at_spec_parse(request->spec, spec);
    if (!status) {
        *from_output = spec->from_output;
        request->dtype_out = cli_dtype_out(request, spec);
        at_spec_clear(spec);
    }
    free(spec);
    return status;
}

/* Reads --input: x, or y, what the forward kernel gave. */
static actune_status read_input(apply_options *options, npy_array *x)
{
    cli_request *request = &options->request;
    bool from_output = false;
    actune_dtype named = request->dtype_out;
    AT_TRY(check_spec(request, &from_output));
    from_output &= request->backward;
    actune_dtype wanted = from_output ? request->dtype_out : request->dtype_in;
    AT_TRY(npy_read(options->input, wanted, x));
    if (!request->dtype_given) {
        bool fixed = request->dtype_out != named; /* by a quantize */
        request->dtype_in = wanted = x->dtype;
        request->dtype_out = fixed ? request->dtype_out : x->dtype;
    }
    if (x->dtype == wanted)
        return ACTUNE_OK;
    return at_fail(ACTUNE_INVALID_ARGUMENT, "%s holds %s, --dtype says %s%s", options->input, at_dtype_get(x->dtype)->name,
                   at_dtype_get(wanted)->name, from_output ? " for y, the output of the forward kernel, which from=output reads" : "");
}

static actune_status apply(apply_options *options, actune_context *context, npy_array *x, apply_run *run)
{
    cli_request *request = &options->request;
    AT_TRY(read_input(options, x));
    for (int i = 0; i < options->gradients && request->gradients < CLI_GRADIENTS_MAX; i++)
        request->gradient[request->gradients++] = options->gradient[i].name;
    actune_plan_desc desc = {.spec = request->spec,
                             .direction = request->backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD,
                             .dtype_in = request->dtype_in,
                             .dtype_out = request->dtype_out,
                             .gradients = request->gradient,
                             .gradient_count = request->gradients};
    AT_TRY(shape_of(options, x, &desc.shape, &run->halved_axis));
    actune_plan *plan;
    AT_TRY(actune_plan_create(context, &desc, &plan));
    actune_status status = bind(options, plan, x, run);
    if (!status)
        status = cli_execute(plan, request->device, run->buffer, run->count);
    if (!status)
        status = save(run);
    if (!status && options->stats)
        status = save_statistics(options, plan, run);
    if (!status && (options->explain || request->json))
        explain(plan, request->json);
    actune_plan_destroy(plan);
    return status;
}

static const struct argp_option own_options[] = {
    {"input", 'i', "FILE", 0,
     "x, a .npy file; with --backward and [from=output] in SPEC: y, the file that the forward run wrote", 3},
    {"output", 'o', "FILE", 0, "Where y (with --backward: dx) goes, a .npy file; replaced when the run succeeds", 3},
    {"operand", KEY_OPERAND, "NAME=FILE", 0, "An operand of the spec, e.g. bias=b.npy (may be repeated)", 3},
    {"grad", KEY_INPUT_DY, "FILE", 0, "With --backward: dy, a .npy file", 3},
    {"grad-of", KEY_GRADIENT_OF, "NAME=FILE", 0, "With --backward: write this operand's gradient (may be repeated)", 3},
    {"seed", KEY_SEED, "N", 0, "Of random stages as dropout (default 0); forward and backward must have the same", 3},
    {"offset", KEY_OFFSET, "N", 0, "Tells draws of one seed apart, e.g. the step (default 0)", 3},
    {"stats", KEY_STATS, "FILE", 0, "Write what the stage stats of SPEC saw: lines of JSON, first the tensor, then each channel of stats(channel); "
     "`actune doctor --stats FILE` reads it", 3},
    {"explain", KEY_EXPLAIN, 0, 0, "Say on stderr which kernel ran and why", 3},
    {0}};

static const char doc[] =
    "Runs the kernel that SPEC describes on tensors in .npy files."
    "\vThe tensor's shape gives the channels: the last axis (rows, nhwc) or the second (--layout nchw).\n\n"
    "Examples:\n"
    "  actune apply 'gelu_tanh | clip(-6, 6)' --input x.npy --output y.npy\n"
    "  actune apply 'bias | silu' --input x.npy --operand bias=b.npy --output y.npy\n"
    "  actune apply 'bias | silu' --backward --input x.npy --grad dy.npy --operand bias=b.npy \\\n"
    "      --output dx.npy --grad-of bias=db.npy\n"
    "  actune apply '[from=output] tanh' --backward --input y.npy --grad dy.npy --output dx.npy\n"
    "  actune apply 'bias | gelu' --device cuda:0 \\\n"
    "      --input x.npy --operand bias=b.npy --output y.npy\n"
    "  actune apply 'relu | stats(channel)' --input x.npy --output y.npy --stats stats.jsonl\n"
    "  actune apply '@my_act.c:my_act(alpha=0.3) | clip(-1, 1)' --input x.npy --output y.npy\n";


int cli_apply(int argc, char **argv)
{
    /* The shared options, but for those that are about files here. */
    static const struct argp_option kernel_part[] = {
        {"dtype", 'd', "TYPE", 0, "Element type (default: that of the input file), or IN:OUT; bf16 files hold uint16", 1},
        {"backward", 'b', 0, 0, "The backward kernel: dx from x (with [from=output]: y) and dy", 1},
        {0}};
    const struct argp kernel_argp = {kernel_part, cli_kernel_argp.parser, 0, 0, 0, 0, 0};
    const struct argp_child children[] = {
        {&kernel_argp, 0, 0, 0}, {&cli_shape_argp, 0, 0, 0}, {&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    const struct argp argp = {own_options, parse, "SPEC", doc, children, 0, 0};
    apply_options options = {0};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    actune_context *context;
    actune_context_options how = {.database = options.request.database, .device = options.request.device};
    actune_status status = actune_context_open(&how, &context);
    if (status)
        return cli_report(status);
    npy_array x = {0};
    apply_run run = {0};
    status = apply(&options, context, &x, &run);
    npy_clear(&x);
    for (int i = 0; i < run.count; i++)
        npy_clear(&run.array[i]);
    actune_context_close(context);
    return status ? cli_report(status) : CLI_OK;
}
