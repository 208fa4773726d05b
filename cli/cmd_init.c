/* actune init: initial weights in a file, through the public API. */
#include "npy.h"
#include "request.h"
#include "runtime/backend/cuda_memory.h"
#include "runtime/base/dtype.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_NONLINEARITY = 0x300, KEY_SLOPE, KEY_GAIN, KEY_MODE, KEY_SEED, KEY_OFFSET, KEY_SHAPE };

static const char *const kinds[] = {"kaiming-normal", "kaiming-uniform", "xavier-normal", "xavier-uniform"};
static const char *const modes[] = {"fan_in", "fan_out"};

typedef struct init_options {
    cli_request request; /* dtype_in, dim, rank, device, json, database */
    actune_init_desc desc;
    const char *output;
    bool has_kind;
} init_options;

static int find_word(const char *const *words, int count, const char *text)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(words[i], text))
            return i;
    return -1;
}

static uint64_t parse_number(const char *text, const char *option, struct argp_state *state)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    if (*text < '0' || *text > '9' || *end || errno)
        argp_error(state, "%s takes a number from 0 to 2^64 - 1, not '%s'", option, text);
    return value;
}

static double parse_real(const char *text, const char *option, struct argp_state *state)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end)
        argp_error(state, "%s takes a number, not '%s'", option, text);
    return value;
}

static void parse_kind(init_options *options, const char *text, struct argp_state *state)
{
    int kind = find_word(kinds, 4, text);
    if (options->has_kind)
        argp_error(state, "one KIND only; got also '%s'", text);
    if (kind < 0)
        argp_error(state, "KIND is kaiming-normal, kaiming-uniform, xavier-normal or xavier-uniform, not '%s'", text);
    options->desc.kind = (actune_init_kind)kind;
    options->has_kind = true;
}

static error_t parse_gain(int key, char *text, struct argp_state *state)
{
    init_options *options = state->input;
    int mode;
    switch (key) {
    case KEY_NONLINEARITY:
        options->desc.nonlinearity = text;
        return 0;
    case KEY_SLOPE:
        options->desc.slope = parse_real(text, "--slope", state);
        return 0;
    case KEY_GAIN:
        options->desc.gain = parse_real(text, "--gain", state);
        if (!(options->desc.gain > 0))
            argp_error(state, "--gain takes a positive number, not '%s'", text);
        return 0;
    case KEY_MODE:
        mode = find_word(modes, 2, text);
        if (mode < 0)
            argp_error(state, "--mode takes fan_in or fan_out, not '%s'", text);
        options->desc.mode = (actune_fan_mode)mode;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    init_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = &options->request;
        return 0;
    case 'o':
        options->output = text;
        return 0;
    case 'd':
        if (!at_dtype_find(text, &options->request.dtype_in))
            argp_error(state, "--dtype takes f32, f64, f16 or bf16, not '%s'", text);
        return 0;
    case KEY_SEED:
        options->desc.seed = parse_number(text, "--seed", state);
        return 0;
    case KEY_OFFSET:
        options->desc.offset = parse_number(text, "--offset", state);
        return 0;
    case KEY_SHAPE:
        if (!cli_parse_dims(text, options->request.dim, &options->request.rank))
            argp_error(state, "--shape takes numbers with commas between them, as 64,3,7,7; not '%s'", text);
        return 0;
    case ARGP_KEY_ARG:
        parse_kind(options, text, state);
        return 0;
    case ARGP_KEY_END:
        if (!options->has_kind || !options->output || !options->request.rank)
            argp_error(state, "KIND, --shape and --output are needed");
        return 0;
    }
    return parse_gain(key, text, state);
}

/* On a GPU the weights are made there and come back. */
static actune_status draw(const init_options *options, actune_context *context, const npy_array *array)
{
    int ordinal;
    at_cuda_device *device;
    size_t bytes = (size_t)array->count * (size_t)at_dtype_get(array->dtype)->bytes;
    actune_buffer weight = {array->data, array->count, array->dtype};
    if (!options->request.device || !at_device_is_cuda(options->request.device, &ordinal))
        return actune_init(context, &options->desc, &weight, NULL);
    AT_TRY(at_cuda_open(ordinal, &device));
    actune_status status = at_cuda_allocate(device, bytes, &weight.data);
    if (!status)
        status = actune_init(context, &options->desc, &weight, NULL);
    if (!status)
        status = at_cuda_wait(device, NULL);
    if (!status)
        status = at_cuda_download(device, array->data, weight.data, bytes);
    at_cuda_free(device, weight.data);
    at_cuda_close(device);
    return status;
}

static int report(const init_options *options, const npy_array *array, double scale)
{
    const char *what = options->desc.kind % 2 ? "bound" : "deviation";
    if (!options->request.json) {
        printf("%s: %lld elements of %s, %s, %s %.6g\n", options->output, (long long)array->count, at_dtype_get(array->dtype)->name,
               kinds[options->desc.kind], what, scale);
        return CLI_OK;
    }
    return cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:f, s:I, s:I}", "output", options->output, "kind", kinds[options->desc.kind], "dtype",
                                    at_dtype_get(array->dtype)->name, "elements", (json_int_t)array->count, what, scale, "seed",
                                    (json_int_t)options->desc.seed, "offset", (json_int_t)options->desc.offset));
}

static actune_status make(init_options *options, npy_array *array, double *scale)
{
    const cli_request *request = &options->request;
    actune_context *context;
    options->desc.shape = request->dim;
    options->desc.rank = request->rank;
    AT_TRY(actune_init_scale(&options->desc, scale));
    actune_context_options how = {.database = "", .device = request->device};
    AT_TRY(actune_context_open(&how, &context));
    actune_status status = npy_create(request->dtype_in, request->rank, request->dim, array);
    if (!status)
        status = draw(options, context, array);
    if (!status)
        status = npy_write(options->output, array);
    actune_context_close(context);
    return status;
}

static const struct argp_option own_options[] = {
    {"shape", KEY_SHAPE, "A,B,...", 0, "Shape of the weight, [out, in, ...], e.g. 64,3,7,7", 1},
    {"nonlinearity", KEY_NONLINEARITY, "NAME", 0,
     "What follows the layer, for the gain: linear, sigmoid, tanh, relu, leaky_relu, selu ... (default: leaky_relu, Xavier: none)", 1},
    {"slope", KEY_SLOPE, "A", 0, "Negative slope of leaky_relu (default 0)", 1},
    {"gain", KEY_GAIN, "G", 0, "The gain itself, in place of --nonlinearity", 1},
    {"mode", KEY_MODE, "FAN", 0, "Kaiming: fan_in (default) or fan_out", 1},
    {"seed", KEY_SEED, "N", 0, "Seed (default 0): the same numbers on every device", 2},
    {"offset", KEY_OFFSET, "N", 0, "Tells tensors of one seed apart (default 0)", 2},
    {"dtype", 'd', "TYPE", 0, "Element type: f32 (default), f64, f16, bf16 (written as uint16)", 2},
    {"output", 'o', "FILE", 0, "Where the weight goes, a .npy file", 2},
    {0}};

static const char doc[] = "Writes initial weights: He's (Kaiming's) or Xavier's, normal or uniform, as torch.nn.init defines them."
                          "\vKIND: kaiming-normal, kaiming-uniform, xavier-normal, xavier-uniform.\n\n"
                          "Examples:\n"
                          "  actune init kaiming-normal --shape 64,3,7,7 --nonlinearity relu --seed 1 --output w.npy\n"
                          "  actune init xavier-uniform --shape 512,512 --nonlinearity tanh --dtype f16 \\\n"
                          "      --device cuda:0 --output w.npy\n";

int cli_init(int argc, char **argv)
{
    const struct argp_child children[] = {{&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    const struct argp argp = {own_options, parse, "KIND", doc, children, 0, 0};
    init_options options = {0};
    npy_array array = {0};
    double scale = 0;
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    actune_status status = make(&options, &array, &scale);
    int exit_status = status ? cli_report(status) : report(&options, &array, scale);
    npy_clear(&array);
    return exit_status;
}
