/* actune show and actune why: what the database knows. */
#include "request.h"
#include "runtime/base/shape.h"

#include "db/store.h"
#include "runtime/cudnn_variant.h"
#include <stdlib.h>
#include <string.h>

typedef struct show_options {
    cli_request request;
    bool all_devices;
} show_options;

enum { KEY_ALL_DEVICES = 0x200 };

static error_t parse_show(int key, char *text, struct argp_state *state)
{
    show_options *options = state->input;
    (void)text;
    switch (key) {
    case ARGP_KEY_INIT:
        for (int i = 0; i < 4; i++)
            state->child_inputs[i] = &options->request;
        return 0;
    case KEY_ALL_DEVICES:
        options->all_devices = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* Kernels of the database by hash, for their specs. */
typedef struct kernel_names {
    struct kernel_name {
        char hash[33], *text[4]; /* spec, direction, type, accuracy */
    } *row;
    int rows;
} kernel_names;

static actune_status add_name(void *user, const at_store_kernel *kernel)
{
    kernel_names *names = user;
    struct kernel_name *rows = realloc(names->row, (size_t)(names->rows + 1) * sizeof *rows);
    if (!rows)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    names->row = rows;
    struct kernel_name *row = &rows[names->rows++];
    snprintf(row->hash, sizeof row->hash, "%s", kernel->hash);
    row->text[0] = strdup(kernel->spec);
    row->text[1] = strdup(kernel->direction);
    if (!strcmp(kernel->dtype_in, kernel->dtype_out))
        row->text[2] = strdup(kernel->dtype_in);
    else if (asprintf(&row->text[2], "%s:%s", kernel->dtype_in, kernel->dtype_out) < 0)
        row->text[2] = NULL;
    row->text[3] = strdup(kernel->accuracy);
    return ACTUNE_OK;
}

static const struct kernel_name *find_name(const kernel_names *names, const char *hash)
{
    static const struct kernel_name unknown = {"", {"?", "?", "?", "?"}};
    for (int i = 0; i < names->rows; i++)
        if (!strcmp(names->row[i].hash, hash))
            return &names->row[i];
    return &unknown;
}

static void clear_names(kernel_names *names)
{
    for (int i = 0; i < names->rows; i++)
        for (int t = 0; t < 4; t++)
            free(names->row[i].text[t]);
    free(names->row);
}

typedef struct show_walk {
    kernel_names names;
    cli_table *table;
    json_t *json;
    const char *spec; /* filter, canonical */
    int rows;
} show_walk;

/* For tables; valid until the next call. */
static const char *title(const char *variant_text)
{
    static at_strbuf text;
    at_strbuf_clear(&text);
    at_cudnn_describe(variant_text, &text);
    return at_strbuf_text(&text);
}

/* Whether a kernel's text is `spec` or one of its passes: "[pass=1] standardize", "[accuracy=fast, pass=1] standardize". */
static bool is_of_spec(const char *text, const char *spec)
{
    enum { PASS_LENGTH = sizeof "pass=1" - 1 };
    const char *pass = text[0] == '[' ? strstr(text, "pass=") : NULL;
    if (!pass)
        return !strcmp(text, spec);
    if (pass == text + 1)
        return !strcmp(pass + PASS_LENGTH + 2, spec);
    size_t before = (size_t)(pass - 2 - text); /* without ", " */
    return !strncmp(text, spec, before) && !strcmp(pass + PASS_LENGTH, spec + before);
}

static actune_status show_choice(void *user, const at_store_choice *choice)
{
    show_walk *walk = user;
    const struct kernel_name *name = find_name(&walk->names, choice->kernel);
    const at_store_workload *w = &choice->workload;
    if (walk->spec && !is_of_spec(name->text[0], walk->spec))
        return ACTUNE_OK;
    walk->rows++;
    if (walk->json)
        json_array_append_new(
            walk->json,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:b, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "device",
                      choice->device, "kernel", choice->kernel, "spec", name->text[0], "direction", name->text[1], "dtype", name->text[2], "layout",
                      w->layout, "size_bucket", w->size_bucket, "channel_bucket", w->channel_bucket, "inner_bucket", w->inner_bucket,
                      "in_place", w->in_place, "regime", w->regime, "variant", choice->variant_text, "ours", choice->ours_text, "median_ns", choice->median_ns,
                      "copy_ratio", choice->ratio_to_copy, "gain_over_default", choice->gain_over_default, "pct_roof",
                      choice->pct_roof, "margin", choice->margin));
    else
        cli_table_row(walk->table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.0f %%", name->text[0], name->text[1], name->text[2], w->layout,
                      cli_count((int64_t)1 << (w->size_bucket & 62)), title(choice->variant_text), cli_duration(choice->median_ns),
                      choice->gain_over_default, choice->pct_roof);
    return ACTUNE_OK;
}

/* The canonical text of a filter; a spec that does not parse is an error. */
static actune_status canonical(const char *spec, char **text)
{
    at_spec *parsed = calloc(1, sizeof *parsed);
    if (!parsed)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status = at_spec_parse(spec, parsed);
    if (!status) {
        *text = strdup(parsed->canonical);
        at_spec_clear(parsed);
    }
    free(parsed);
    return status;
}

static actune_status show(const show_options *options, at_store *store, show_walk *walk)
{
    at_device device;
    AT_TRY(at_device_get(options->request.device, &device));
    if (!store)
        return ACTUNE_OK;
    AT_TRY(at_store_each_kernel(store, NULL, add_name, &walk->names));
    return at_store_each_choice(store, options->all_devices ? NULL : device.id, NULL, show_choice, walk);
}

static const struct argp_option show_options_table[] = {
    {"all-devices", KEY_ALL_DEVICES, 0, 0, "Winners of every device in the database, not of this one alone", 3}, {0}};

int cli_show(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_kernel_argp, 0, 0, 0}, {&cli_shape_argp, 0, 0, 0}, {&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {show_options_table, parse_show, "[SPEC]", "Lists the winners that the database holds.", children, 0, 0};
    static const char *const headings[] = {"spec", "direction", "type", "layout", "size", "winner", "time", "gain", "of the roof"};
    show_options options = {0};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    char *filter = NULL;
    at_store *store = NULL;
    actune_status status = options.request.spec ? canonical(options.request.spec, &filter) : ACTUNE_OK;
    if (!status)
        status = at_store_open(options.request.database, AT_STORE_READ, &store);
    if (status) {
        free(filter);
        return cli_report(status);
    }
    show_walk walk = {.spec = filter, .json = options.request.json ? json_array() : NULL, .table = cli_table_new(headings, 9)};
    status = show(&options, store, &walk);
    at_store_close(store);
    if (walk.json)
        cli_print_json(walk.json);
    else if (!status && !walk.rows)
        puts("No winners yet. `actune tune SPEC` finds some.");
    if (!status && !walk.json && walk.rows)
        cli_table_print(walk.table, stdout);
    else
        cli_table_free(walk.table);
    clear_names(&walk.names);
    free(filter);
    return status ? cli_report(status) : CLI_OK;
}

typedef struct why_walk {
    cli_table *table;
    json_t *json;
    int rows;
} why_walk;

static actune_status why_measurement(void *user, const char *variant_text, const at_store_measurement *m)
{
    why_walk *walk = user;
    walk->rows++;
    if (walk->json)
        json_array_append_new(walk->json, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:i}", "variant", variant_text, "regime",
                                                    m->workload.regime, "median_ns", m->median_ns, "low_ns", m->low_ns, "high_ns",
                                                    m->high_ns, "ratio_to_copy", m->ratio_to_copy, "samples", m->samples));
    else
        cli_table_row(walk->table, "  %s\t%s\t%s - %s\t%.3f\t%d", title(variant_text), cli_duration(m->median_ns), cli_duration(m->low_ns),
                      cli_duration(m->high_ns), m->ratio_to_copy, m->samples);
    return ACTUNE_OK;
}

static actune_status why_measured(const cli_request *request, const at_kernel *kernel, actune_shape shape, why_walk *walk)
{
    at_device device;
    at_store *store;
    at_table_key key = at_table_key_of(&kernel->hash, at_layout_of(&kernel->signature, shape), shape, false);
    AT_TRY(at_device_get(request->device, &device));
    AT_TRY(at_store_open(request->database, AT_STORE_READ, &store));
    if (!store)
        return ACTUNE_OK;
    actune_status status = ACTUNE_OK;
    static const char *const regimes[] = {"warm", "cold"};
    for (int i = 0; i < 2 && !status; i++) {
        at_store_workload workload = at_store_workload_of(&key, regimes[i]);
        status = at_store_each_measurement(store, device.id, kernel->hash.hex, &workload, why_measurement, walk);
    }
    at_store_close(store);
    return status;
}

static actune_status why_plan(const cli_request *request, actune_shape shape, json_t *json)
{
    actune_context *context;
    actune_plan *plan;
    actune_context_options how = {.database = request->database, .device = request->device};
    AT_TRY(actune_context_open(&how, &context));
    actune_plan_desc desc = {.spec = request->spec,
                             .direction = request->backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD,
                             .dtype_in = request->dtype_in,
                             .dtype_out = request->dtype_out,
                             .shape = shape,
                             .gradients = request->gradient,
                             .gradient_count = request->backward ? request->gradients : 0};
    actune_status status = actune_plan_create(context, &desc, &plan);
    if (!status) {
        actune_plan_info info;
        actune_plan_describe(plan, &info);
        if (json) {
            json_object_set_new(json, "variant", json_string(info.variant));
            json_object_set_new(json, "tier", json_string(info.tier));
            json_object_set_new(json, "note", json_string(info.note));
            json_object_set_new(json, "kernel", json_string(info.kernel));
        } else
            printf("%s\n  kernel   %s\n  runs     %s\n  because  %s\n  threads  %d\n%s%s%s", info.spec, info.kernel, title(info.variant),
                   info.tier, info.threads, *info.note ? "  note     " : "", info.note, *info.note ? "\n" : "");
        actune_plan_destroy(plan);
    }
    actune_context_close(context);
    return status;
}

static error_t parse_why(int key, char *text, struct argp_state *state)
{
    cli_request *request = state->input;
    (void)text;
    switch (key) {
    case ARGP_KEY_INIT:
        for (int i = 0; i < 4; i++)
            state->child_inputs[i] = request;
        return 0;
    case ARGP_KEY_END:
        if (!request->spec || !request->rank)
            argp_error(state, "a SPEC and --shape are needed, e.g. 'gelu_tanh' --shape 1048576");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const char why_doc[] =
    "Says which kernel runs for a spec and a shape, how it was found, and what it was measured against."
    "\vTiers: exact (measured at the nearest power of two), nearest size, other layout (channels of another magnitude), default (nothing "
    "measured), interpreter (nothing compiles).\n\nExample:\n  actune why 'bias | gelu' --dtype bf16 --shape 512x4096\n";

int cli_why(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_kernel_argp, 0, 0, 0}, {&cli_shape_argp, 0, 0, 0}, {&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {0, parse_why, "SPEC", why_doc, children, 0, 0};
    static const char *const headings[] = {"  measured", "median", "95 % interval", "time / copy", "samples"};
    cli_request request;
    cli_request_init(&request);
    argp_parse(&argp, argc, argv, 0, 0, &request);
    at_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return cli_complain(CLI_FAILED, "out of memory");
    actune_shape x, shape;
    why_walk walk = {.table = cli_table_new(headings, 5), .json = request.json ? json_array() : NULL};
    json_t *root = request.json ? json_object() : NULL;
    actune_status status = cli_lower(&request, request.backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, kernel);
    if (!status)
        status = cli_shape_of_x(request.dim, request.rank, request.layout, &kernel->signature, &x);
    if (!status)
        status = at_shape_of(&kernel->signature, x, &shape);
    if (!status)
        status = why_plan(&request, x, root);
    for (int i = 0; !status && i < cli_passes(kernel); i++)
        status = why_measured(&request, cli_pass(kernel, i), shape, &walk);
    at_kernel_clear(kernel);
    free(kernel);
    bool print = !status && !root && walk.rows;
    if (print)
        cli_table_print(walk.table, stdout);
    else
        cli_table_free(walk.table);
    if (status) {
        json_decref(walk.json);
        json_decref(root);
        return cli_report(status);
    }
    if (root) {
        json_object_set_new(root, "measured", walk.json);
        return cli_print_json(root);
    }
    if (!print)
        puts("  nothing was measured at this size");
    return CLI_OK;
}
