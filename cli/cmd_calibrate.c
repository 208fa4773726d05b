/* actune calibrate: scales for quantize from sample tensors in files, through the public API. */
#include "npy.h"
#include "request.h"
#include "runtime/base/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_METHOD = 0x400, KEY_PERCENTILE, KEY_CHANNEL, FILES_MAX = 4096 };

static const char *const methods[] = {"max", "percentile", "mse"};

typedef struct calibrate_options {
    cli_request request; /* spec, layout, json */
    actune_calibration_desc desc;
    const char *file[FILES_MAX], *output;
    int files;
    bool per_channel;
} calibrate_options;

static void parse_method(calibrate_options *options, const char *text, struct argp_state *state)
{
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, methods[i])) {
            options->desc.method = (actune_calibration_method)i;
            return;
        }
    argp_error(state, "--method takes max, percentile or mse, not '%s'", text);
}

static void parse_percentile(calibrate_options *options, const char *text, struct argp_state *state)
{
    char *end;
    options->desc.percentile = strtod(text, &end);
    if (end == text || *end || !(options->desc.percentile > 0 && options->desc.percentile <= 100))
        argp_error(state, "--percentile takes a number above 0 and up to 100, not '%s'", text);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    calibrate_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = &options->request;
        return 0;
    case 'i':
        if (options->files == FILES_MAX)
            argp_error(state, "at most %d files", FILES_MAX);
        options->file[options->files++] = text;
        return 0;
    case 'o':
        options->output = text;
        return 0;
    case 'd':
        if (!at_dtype_find(text, &options->desc.dtype) || at_dtype_get(options->desc.dtype)->bytes != 1)
            argp_error(state, "--dtype takes i8, u8, f8e4m3 or f8e5m2, not '%s'", text);
        return 0;
    case KEY_METHOD:
        parse_method(options, text, state);
        return 0;
    case KEY_PERCENTILE:
        parse_percentile(options, text, state);
        return 0;
    case KEY_CHANNEL:
        options->per_channel = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one SPEC only; is it quoted? got also '%s'", text);
        options->request.spec = text;
        return 0;
    case ARGP_KEY_END:
        if (!options->request.spec || !options->files)
            argp_error(state, "SPEC and --input are needed; 'identity' takes samples as they are");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* What the pipeline makes of x, in f32. */
static actune_status run(const calibrate_options *options, actune_context *context, const npy_array *x, actune_shape shape, npy_array *y)
{
    actune_plan *plan;
    actune_plan_desc desc = {.spec = options->request.spec, .dtype_in = x->dtype, .dtype_out = x->dtype == ACTUNE_F64 ? ACTUNE_F64 : ACTUNE_F32, .shape = shape};
    AT_TRY(npy_create(desc.dtype_out, x->rank, x->dim, y));
    AT_TRY(actune_plan_create(context, &desc, &plan));
    actune_buffer buffers[] = {{x->data, x->count, x->dtype}, {y->data, y->count, y->dtype}};
    actune_status status = actune_execute(plan, buffers, 2);
    actune_plan_destroy(plan);
    return status;
}

static actune_status add_file(calibrate_options *options, actune_context *context, const char *path, actune_calibration **calibration)
{
    npy_array x, y = {0};
    actune_shape shape;
    AT_TRY(npy_read(path, ACTUNE_BF16, &x));
    const at_signature channels = {.has_channel = options->per_channel};
    actune_status status = cli_shape(x.dim, x.rank, options->request.layout, &channels, &shape);
    if (!status && !*calibration) {
        options->desc.channels = options->per_channel ? shape.channels : 0;
        status = actune_calibration_create(&options->desc, calibration);
    }
    if (!status)
        status = run(options, context, &x, shape, &y);
    if (!status)
        status = actune_calibration_add(*calibration, &(actune_buffer){y.data, y.count, y.dtype}, shape);
    npy_clear(&x);
    npy_clear(&y);
    return status ? at_fail_in(status, "%s", path) : ACTUNE_OK;
}

static int report(const calibrate_options *options, const npy_array *scales)
{
    const float *scale = scales->data;
    const char *type = at_dtype_get(options->desc.dtype)->name;
    if (options->request.json) {
        json_t *list = json_array();
        for (int64_t i = 0; i < scales->count; i++)
            json_array_append_new(list, json_real((double)scale[i]));
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:i, s:b, s:o}", "spec", options->request.spec, "dtype", type, "method",
                                        methods[options->desc.method], "files", options->files, "per_channel", options->per_channel, "scale", list));
    }
    for (int64_t i = 0; i < scales->count; i++)
        printf("%.9g\n", (double)scale[i]);
    return CLI_OK;
}

static actune_status calibrate(calibrate_options *options, npy_array *scales)
{
    actune_context *context;
    actune_calibration *calibration = NULL;
    actune_context_options how = {.database = options->request.database};
    AT_TRY(actune_context_open(&how, &context));
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < options->files && !status; i++)
        status = add_file(options, context, options->file[i], &calibration);
    int64_t count = options->per_channel ? options->desc.channels : 1;
    if (!status)
        status = npy_create(ACTUNE_F32, 1, &count, scales);
    if (!status)
        status = actune_calibration_scales(calibration, scales->data);
    if (!status && options->output)
        status = npy_write(options->output, scales);
    actune_calibration_destroy(calibration);
    actune_context_close(context);
    return status;
}

static const struct argp_option own_options[] = {
    {"input", 'i', "FILE", 0, "A sample of x, a .npy file (may be repeated)", 1},
    {"dtype", 'd', "TYPE", 0, "What y will be quantised to: i8 (default), u8, f8e4m3, f8e5m2", 1},
    {"method", KEY_METHOD, "HOW", 0, "max (default): nothing saturates; percentile; mse: least mean squared error", 1},
    {"percentile", KEY_PERCENTILE, "P", 0, "Of --method percentile (default 99.99)", 1},
    {"channel", KEY_CHANNEL, 0, 0, "A scale for each channel, where --layout says", 1},
    {"output", 'o', "FILE", 0, "Also write the scales, a .npy file for --operand scale=FILE", 1},
    {0}};

static const char doc[] = "Finds the scale for quantize(TYPE, scale=...) from what SPEC makes of sample tensors."
                          "\vSPEC is the pipeline up to the quantize ('identity' for the samples as they are), without operands. NaN and infinities are left out.\n\n"
                          "Example:\n"
                          "  actune calibrate relu --input a.npy --input b.npy --method mse --dtype i8\n"
                          "  actune apply 'relu | quantize(i8, scale=0.0236)' --input x.npy --output q.npy\n";

int cli_calibrate(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_shape_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {own_options, parse, "SPEC", doc, children, 0, 0};
    static calibrate_options options = {.desc = {.dtype = ACTUNE_I8}};
    npy_array scales = {0};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    actune_status status = calibrate(&options, &scales);
    int exit_status = status ? cli_report(status) : report(&options, &scales);
    npy_clear(&scales);
    return exit_status;
}
