/* actune clip-grads: clips the gradients in .npy files, all of them together, through the public API. */
#include "device_run.h"
#include "npy.h"
#include "request.h"
#include "runtime/base/dtype.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_MAX_NORM = 0x300, KEY_NORM_TYPE, KEY_VALUE, KEY_OUTPUT_DIR, KEY_IN_PLACE, KEY_NONFINITE };

typedef struct clip_options {
    cli_request request;
    char **file;
    int files;
    double max_norm, value;
    bool by_norm, by_value, in_place;
    const char *output_dir;
    actune_clip_norm_options norm;
} clip_options;

static double parse_bound(struct argp_state *state, const char *option, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0))
        argp_error(state, "%s takes a number of at least 0, not '%s'", option, text);
    return value;
}

static actune_norm parse_norm(struct argp_state *state, const char *text)
{
    static const char *const names[] = {[ACTUNE_NORM_2] = "2", [ACTUNE_NORM_INF] = "inf", [ACTUNE_NORM_1] = "1"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(names[i], text))
            return (actune_norm)i;
    argp_error(state, "--norm-type takes 2, inf or 1, not '%s'", text);
    return ACTUNE_NORM_2;
}

static void check_end(const clip_options *options, struct argp_state *state)
{
    if (!options->files)
        argp_error(state, "FILE.npy is needed, one or more");
    if (options->in_place == (options->output_dir != NULL))
        argp_error(state, "say where the clipped tensors go: --output-dir DIR, or --in-place to replace the files");
    if (options->by_value && (options->by_norm || options->norm.norm || options->norm.error_if_nonfinite))
        argp_error(state, "--value clips each element; --max-norm, --norm-type and --error-if-nonfinite belong to clipping by norm");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    clip_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = &options->request;
        return 0;
    case ARGP_KEY_ARG:
        options->file[options->files++] = text; /* there is room for argc of them */
        return 0;
    case KEY_MAX_NORM:
        options->by_norm = true;
        options->max_norm = parse_bound(state, "--max-norm", text);
        return 0;
    case KEY_NORM_TYPE:
        options->norm.norm = parse_norm(state, text);
        return 0;
    case KEY_VALUE:
        options->by_value = true;
        options->value = parse_bound(state, "--value", text);
        return 0;
    case KEY_OUTPUT_DIR:
        options->output_dir = text;
        return 0;
    case KEY_IN_PLACE:
        options->in_place = true;
        return 0;
    case KEY_NONFINITE:
        options->norm.error_if_nonfinite = true;
        return 0;
    case 'd':
        if (!cli_parse_dtypes(text, &options->request.dtype_in, &options->request.dtype_out))
            argp_error(state, "--dtype takes f32, f64, f16 or bf16, not '%s'", text);
        return 0;
    case ARGP_KEY_END:
        check_end(options, state);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "DIR/name.npy", or the file itself. The caller frees it. */
static char *target_of(const clip_options *options, int i)
{
    at_strbuf path = {0};
    if (options->in_place)
        at_strbuf_append(&path, options->file[i]);
    else
        at_strbuf_printf(&path, "%s/%s", options->output_dir, base_name(options->file[i]));
    return at_strbuf_take(&path);
}

/* Which file a path leads to; the same is one file. Zeroed where there is none. */
typedef struct file_identity {
    dev_t device;
    ino_t number;
} file_identity;

static file_identity identity_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (file_identity){info.st_dev, info.st_ino} : (file_identity){0};
}

static bool same_file(file_identity a, file_identity b)
{
    return a.number != 0 && a.number == b.number && a.device == b.device;
}

/* Two files must not become one, and an output must not replace an original unless that was asked for. */
static actune_status check_file(const clip_options *options, char *const *target, const file_identity *original, int i)
{
    file_identity there = identity_of(target[i]);
    for (int k = 0; k < options->files; k++) {
        if (k < i && same_file(original[i], original[k]))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "%s and %s are one file", options->file[k], options->file[i]);
        if (k < i && !strcmp(target[i], target[k]))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "%s and %s would both become %s; clip them in place or rename one", options->file[k],
                           options->file[i], target[i]);
        if (!options->in_place && same_file(there, original[k]))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "%s would replace the original %s; give another --output-dir, or --in-place", target[i],
                           options->file[k]);
    }
    return ACTUNE_OK;
}

static actune_status check_targets(const clip_options *options, char *const *target)
{
    if (!options->in_place && mkdir(options->output_dir, 0777) && errno != EEXIST)
        return at_fail(ACTUNE_IO, "--output-dir %s: %s", options->output_dir, strerror(errno));
    file_identity *original = calloc((size_t)options->files, sizeof *original);
    if (!original)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    for (int i = 0; i < options->files; i++)
        original[i] = identity_of(options->file[i]);
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < options->files && !status; i++)
        status = check_file(options, target, original, i);
    free(original);
    return status;
}

/* The tensors of a run. */
typedef struct clip_run {
    npy_array *array;
    actune_buffer *buffer;
    char **target;
    actune_clip_result result;
} clip_run;

static actune_status read_all(const clip_options *options, clip_run *run)
{
    for (int i = 0; i < options->files; i++) {
        npy_array *array = &run->array[i];
        AT_TRY(npy_read(options->file[i], options->request.dtype_in, array));
        if (array->dtype != run->array[0].dtype)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "%s holds %s, %s %s; all tensors of a list have one element type", options->file[i],
                           at_dtype_get(array->dtype)->name, options->file[0], at_dtype_get(run->array[0].dtype)->name);
        run->buffer[i] = (actune_buffer){array->data, array->count, array->dtype};
    }
    return ACTUNE_OK;
}

/* Everything is computed before anything is written. */
static actune_status clip(const clip_options *options, clip_run *run)
{
    cli_clip job = {.device = options->request.device,
                    .buffers = run->buffer,
                    .count = options->files,
                    .by_value = options->by_value,
                    .bound = options->by_value ? options->value : options->max_norm,
                    .norm = options->norm};
    for (int i = 0; i < options->files; i++)
        if (!(run->target[i] = target_of(options, i)))
            return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    AT_TRY(read_all(options, run));
    AT_TRY(check_targets(options, run->target));
    actune_status status = cli_clip_tensors(&job, options->request.database, &run->result);
    for (int i = 0; i < options->files && status == ACTUNE_OK; i++)
        if (!options->in_place || options->by_value || run->result.scaled)
            status = npy_write(run->target[i], &run->array[i]);
    return status;
}

static void print_result(const clip_options *options, const clip_run *run)
{
    int64_t elements = 0;
    for (int i = 0; i < options->files; i++)
        elements += run->buffer[i].count;
    if (options->by_value)
        printf("%d tensors, %lld elements, limited to [-%g, %g]\n", options->files, (long long)elements, options->value, options->value);
    else
        printf("%d tensors, %lld elements: norm %.9g, coefficient %.9g%s\n", options->files, (long long)elements, run->result.norm,
               run->result.coefficient, run->result.not_finite ? "; the norm is not finite" : run->result.scaled ? "" : ", nothing to clip");
}

/* JSON has no infinity and no NaN. */
static json_t *number_or_text(double value)
{
    return isfinite(value) ? json_real(value) : json_string(isnan(value) ? "nan" : "inf");
}

static void print_json(const clip_options *options, const clip_run *run)
{
    json_t *json = json_pack("{s:i, s:s}", "tensors", options->files, "dtype", at_dtype_get(run->array[0].dtype)->name);
    if (options->by_value)
        json_object_set_new(json, "value", number_or_text(options->value));
    else {
        json_object_set_new(json, "norm", number_or_text(run->result.norm));
        json_object_set_new(json, "coefficient", number_or_text(run->result.coefficient));
        json_object_set_new(json, "finite", json_boolean(!run->result.not_finite));
        json_object_set_new(json, "scaled", json_boolean(run->result.scaled));
    }
    json_t *files = json_array();
    for (int i = 0; i < options->files; i++)
        json_array_append_new(files, json_string(run->target[i]));
    json_object_set_new(json, "files", files);
    cli_print_json(json);
}

static const struct argp_option own_options[] = {
    {"max-norm", KEY_MAX_NORM, "N", 0, "Multiply all tensors with min(1, N / (norm + 1e-6)), the norm being that of all of them (default 1.0)", 3},
    {"norm-type", KEY_NORM_TYPE, "P", 0, "2 (default), inf or 1", 3},
    {"error-if-nonfinite", KEY_NONFINITE, 0, 0, "Fail and write nothing where the norm is infinite or NaN; without it the tensors become 0 or NaN, as in PyTorch", 3},
    {"value", KEY_VALUE, "V", 0, "Instead: limit each element to [-V, V]", 3},
    {"output-dir", KEY_OUTPUT_DIR, "DIR", 0, "Write the results there, under the files' own names; made if missing", 3},
    {"in-place", KEY_IN_PLACE, 0, 0, "Replace the files, each at once when all have been computed", 3},
    {"dtype", 'd', "TYPE", 0, "bf16: files of uint16 are taken for it", 3},
    {0}};

static const char doc[] = "Clips the gradients in FILEs together: by their common norm, or each element by value."
                          "\vOriginals stay unless --in-place is given. All files have one element type.\n\n"
                          "Examples:\n"
                          "  actune clip-grads grads/*.npy --max-norm 1.0 --output-dir clipped\n"
                          "  actune clip-grads w.npy b.npy --norm-type inf --in-place --json\n"
                          "  actune clip-grads w.npy --value 0.5 --output-dir clipped\n";

int cli_clip_grads(int argc, char **argv)
{
    const struct argp_child children[] = {{&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    const struct argp argp = {own_options, parse, "FILE.npy...", doc, children, 0, 0};
    clip_options options = {.max_norm = ACTUNE_MAX_NORM_DEFAULT, .file = calloc((size_t)argc + 1, sizeof(char *))};
    clip_run run = {.array = calloc((size_t)argc + 1, sizeof *run.array),
                    .buffer = calloc((size_t)argc + 1, sizeof *run.buffer),
                    .target = calloc((size_t)argc + 1, sizeof *run.target)};
    if (!options.file || !run.array || !run.buffer || !run.target)
        return cli_complain(CLI_FAILED, "out of memory");
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    actune_status status = clip(&options, &run);
    int code = status == ACTUNE_OK ? CLI_OK : cli_report(status);
    if (status == ACTUNE_OK)
        options.request.json ? print_json(&options, &run) : print_result(&options, &run);
    for (int i = 0; i < options.files; i++) {
        npy_clear(&run.array[i]);
        free(run.target[i]);
    }
    free(options.file), free(run.array), free(run.buffer), free(run.target);
    return code;
}
