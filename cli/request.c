#include "request.h"

#include "codegen/quantize.h"
#include "runtime/base/dtype.h"
#include "runtime/base/shape.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void cli_request_init(cli_request *request)
{
    *request = (cli_request){.dtype_in = ACTUNE_F32, .dtype_out = ACTUNE_F32};
}

static bool dtype_between(const char *text, size_t length, actune_dtype *dtype)
{
    char name[16];
    if (length >= sizeof name)
        return false;
    memcpy(name, text, length);
    name[length] = 0;
    return at_dtype_find(name, dtype);
}

bool cli_parse_dtypes(const char *text, actune_dtype *in, actune_dtype *out)
{
    const char *colon = strchr(text, ':');
    if (!colon)
        return at_dtype_find(text, in) && at_dtype_find(text, out);
    return dtype_between(text, (size_t)(colon - text), in) && at_dtype_find(colon + 1, out);
}

bool cli_layout_find(const char *name, cli_tensor_layout *layout)
{
    static const char *const names[] = {NULL, "nchw", "nhwc", "rows"};
    for (int i = 1; i < 4; i++)
        if (!strcmp(name, names[i])) {
            *layout = (cli_tensor_layout)i;
            return true;
        }
    return false;
}

bool cli_parse_dims(const char *text, int64_t *dim, int *rank)
{
    for (*rank = 0;; text++) {
        char *end;
        errno = 0;
        if (*text < '0' || *text > '9' || *rank == CLI_RANK_MAX)
            return false;
        dim[(*rank)++] = strtoll(text, &end, 10);
        if (errno)
            return false;
        text = end;
        if (!*text)
            return true;
        if (*text != 'x' && *text != ',')
            return false;
    }
}

bool cli_parse_sizes(char *text, int64_t *size, int most, int *count)
{
    for (char *part = strtok(text, ","); part; part = strtok(NULL, ","))
        if (*count == most || !cli_parse_count(part, &size[(*count)++]))
            return false;
    return true;
}

actune_shape cli_shape_of_size(int64_t elements, int64_t channels, const at_signature *signature)
{
    actune_shape shape = {1, 1, elements, false};
    channels = elements < channels ? elements : channels;
    if (channels < 1 || (!signature->has_channel && !signature->halves))
        return shape;
    shape = (actune_shape){elements / channels, channels, 1, false};
    if (signature->has_plane)
        shape = (actune_shape){1, channels, elements / channels, true};
    else if (signature->halves && (shape.channels *= 2) && at_shape_of(signature, shape, &shape))
        shape = (actune_shape){0}; /* rows of an even length have halves */
    return shape;
}

/* Product of dim[from..to), false on overflow. */
static bool product(const int64_t *dim, int from, int to, int64_t *result)
{
    *result = 1;
    for (int i = from; i < to; i++)
        if (__builtin_mul_overflow(*result, dim[i], result))
            return false;
    return true;
}

/* Channels in the last axis: positions are rows, but where each image has operands of its own. */
static void shape_of_rows(const int64_t *dim, int rank, bool has_plane, actune_shape *shape)
{
    shape->channels = dim[rank - 1];
    product(dim, has_plane && rank > 2 ? 1 : 0, rank - 1, has_plane && rank > 2 ? &shape->inner : &shape->outer);
    if (has_plane && rank > 2) {
        shape->outer = dim[0];
        shape->channels_last = true;
    }
}

actune_status cli_shape_of_x(const int64_t *dim, int rank, cli_tensor_layout layout, const at_signature *signature, actune_shape *shape)
{
    *shape = (actune_shape){1, 1, 1, false};
    int64_t all;
    if (!product(dim, 0, rank, &all))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the shape's number of elements overflows");
    if ((!signature->has_channel && !signature->halves) || rank == 0) {
        shape->inner = all;
        return ACTUNE_OK;
    }
    if (layout == CLI_LAYOUT_NONE && rank > 2 && signature->has_channel)
        return at_fail(ACTUNE_INVALID_ARGUMENT,
                       "a tensor of %d axes and per-channel operands or an operation on rows: say where the channels are, with --layout nchw "
                       "(second axis), nhwc or rows (last axis)", rank);
    if (layout == CLI_LAYOUT_NCHW) {
        if (rank < 2)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "--layout nchw needs at least two axes, the tensor has %d", rank);
        shape->outer = dim[0];
        shape->channels = dim[1];
        product(dim, 2, rank, &shape->inner);
        return ACTUNE_OK;
    }
    shape_of_rows(dim, rank, signature->has_plane, shape);
    return ACTUNE_OK;
}

actune_status cli_shape(const int64_t *dim, int rank, cli_tensor_layout layout, const at_signature *signature, actune_shape *shape)
{
    actune_shape x;
    AT_TRY(cli_shape_of_x(dim, rank, layout, signature, &x));
    return at_shape_of(signature, x, shape);
}

actune_status cli_in_place(const at_kernel *kernel)
{
    if (kernel->signature.dtype_in != kernel->signature.dtype_out)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "--in-place needs one element type for input and output");
    if (kernel->signature.halves)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "--in-place: '%s' has x of two halves and y of one, so neither can take the other's place", kernel->spec);
    return ACTUNE_OK;
}

int cli_passes(const at_kernel *kernel)
{
    return kernel->passes > 0 ? kernel->passes : 1;
}

const at_kernel *cli_pass(const at_kernel *kernel, int index)
{
    return kernel->passes > 0 ? kernel->pass[index].kernel : kernel;
}

actune_dtype cli_dtype_out(const cli_request *request, const at_spec *spec)
{
    actune_dtype dtype = request->dtype_out;
    if (!request->dtype_pair)
        at_quantize_output(spec, &dtype);
    return dtype;
}

actune_status cli_lower(const cli_request *request, actune_direction direction, at_kernel *kernel)
{
    at_spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status = at_spec_parse(request->spec, spec);
    if (!status) {
        at_kernel_request wanted = {direction, request->dtype_in, cli_dtype_out(request, spec), request->gradient,
                                    direction == ACTUNE_BACKWARD ? request->gradients : 0};
        status = at_kernel_lower(spec, &wanted, kernel);
        at_spec_clear(spec);
    }
    free(spec);
    return status;
}

enum { KEY_DIRECTION = 0x100, KEY_GRAD, KEY_LAYOUT, KEY_SHAPE, KEY_JSON, KEY_DB, KEY_DEVICE };

static error_t parse_direction(cli_request *request, const char *text, struct argp_state *state)
{
    request->forward = !strcmp(text, "forward") || !strcmp(text, "both");
    request->backward = !strcmp(text, "backward") || !strcmp(text, "both");
    if (!request->forward && !request->backward)
        argp_error(state, "--direction takes forward, backward or both, not '%s'", text);
    return 0;
}

static error_t parse_kernel(int key, char *text, struct argp_state *state)
{
    cli_request *request = state->input;
    switch (key) {
    case 'd':
        if (!cli_parse_dtypes(text, &request->dtype_in, &request->dtype_out))
            argp_error(state, "--dtype takes f32, f64, f16, bf16, i8, u8, f8e4m3 or f8e5m2, or two of them as in:out; not '%s'", text);
        request->dtype_given = true;
        request->dtype_pair = strchr(text, ':') != NULL;
        return 0;
    case 'b':
        request->backward = true;
        return 0;
    case KEY_DIRECTION:
        return parse_direction(request, text, state);
    case KEY_GRAD:
        if (request->gradients == CLI_GRADIENTS_MAX)
            argp_error(state, "at most %d gradients", CLI_GRADIENTS_MAX);
        request->gradient[request->gradients++] = text;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one SPEC only; is it quoted? got also '%s'", text);
        request->spec = text;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse_shape(int key, char *text, struct argp_state *state)
{
    cli_request *request = state->input;
    switch (key) {
    case KEY_LAYOUT:
        if (!cli_layout_find(text, &request->layout))
            argp_error(state, "--layout takes nchw, nhwc or rows, not '%s'", text);
        return 0;
    case KEY_SHAPE:
        if (!cli_parse_dims(text, request->dim, &request->rank))
            argp_error(state, "--shape takes numbers with x between them, as 64x256x56x56; not '%s'", text);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse_common(int key, char *text, struct argp_state *state)
{
    cli_request *request = state->input;
    switch (key) {
    case KEY_JSON:
        request->json = true;
        return 0;
    case KEY_DB:
        request->database = text;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse_device(int key, char *text, struct argp_state *state)
{
    cli_request *request = state->input;
    if (key != KEY_DEVICE)
        return ARGP_ERR_UNKNOWN;
    request->device = text;
    return 0;
}

static const struct argp_option kernel_options[] = {
    {"dtype", 'd', "TYPE", 0, "Element type: f32 (default), f64, f16, bf16, i8, u8, f8e4m3, f8e5m2, or IN:OUT; a quantize at the end of SPEC says OUT itself", 1},
    {"backward", 'b', 0, 0, "The backward kernel: dx from x (with [from=output] in SPEC: y) and dy", 1},
    {"direction", KEY_DIRECTION, "WHICH", 0, "forward, backward or both", 1},
    {"grad-of", KEY_GRAD, "OPERAND", 0, "Backward: also this operand's gradient (may be repeated)", 1},
    {0}};
static const struct argp_option shape_options[] = {
    {"layout", KEY_LAYOUT, "LAYOUT", 0, "Where the channels are: nchw (second axis), nhwc or rows (last axis)", 2},
    {"shape", KEY_SHAPE, "AxBxC", 0, "Shape of x, batch first, e.g. 64x256x56x56", 2},
    {0}};
static const struct argp_option device_options[] = {
    {"device", KEY_DEVICE, "NAME", 0, "Where: cpu (default), or cuda:0, cuda:1 ... for a GPU", 2},
    {0}};
static const struct argp_option common_options[] = {
    {"json", KEY_JSON, 0, 0, "Print JSON for programs", 8},
    {"db", KEY_DB, "FILE", 0, "Tuning database (default: ACTUNE_DB, else the user's own)", 8},
    {0}};

const struct argp cli_kernel_argp = {kernel_options, parse_kernel, 0, 0, 0, 0, 0};
const struct argp cli_shape_argp = {shape_options, parse_shape, 0, 0, 0, 0, 0};
const struct argp cli_device_argp = {device_options, parse_device, 0, 0, 0, 0, 0};
const struct argp cli_common_argp = {common_options, parse_common, 0, 0, 0, 0, 0};
