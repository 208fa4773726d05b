/* actune devices and actune ops: what there is. */
#include "request.h"

#include "runtime/backend/cuda_device.h"
#include "runtime/device.h"
#include <string.h>

static error_t parse_no_arguments(int key, char *text, struct argp_state *state)
{
    (void)text;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = state->input;
        return 0;
    }
    return ARGP_ERR_UNKNOWN; /* argp itself refuses arguments */
}

static const struct argp_child common_child[] = {{&cli_common_argp, 0, 0, 0}, {0}};

static json_t *cpu_json(const at_device *d)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I}", "name", "cpu", "id", d->id, "model", d->model, "capability", d->capability,
                     "processors", d->processors, "l1d_bytes", (json_int_t)d->l1d_bytes, "l2_bytes", (json_int_t)d->l2_bytes, "l3_bytes",
                     (json_int_t)d->l3_bytes);
}

static json_t *cuda_json(const char *name, const at_device *d)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:f, s:i}", "name", name, "id", d->id, "model", d->model, "capability", d->capability,
                     "processors", d->processors, "l2_bytes", (json_int_t)d->l2_bytes, "memory_bytes", (json_int_t)d->memory_bytes,
                     "bandwidth_gbps", d->bandwidth_gbps, "driver", d->driver);
}

static void print_cuda(const char *name, const at_device *d)
{
    printf("%s  %s\n  id           %s\n  code for     %s\n  processors   %d multiprocessors\n  memory       %sB", name, d->model, d->id,
           d->capability, d->processors, cli_count(d->memory_bytes));
    if (d->bandwidth_gbps > 0)
        printf(", %.0f GB/s by its clock and bus", d->bandwidth_gbps);
    printf(", L2 %sB\n  driver       knows CUDA %d.%d\n", cli_count(d->l2_bytes), d->driver / 1000, d->driver % 1000 / 10);
}

/* Without a driver one line says so: most machines have none. */
static void list_cuda(json_t *json)
{
    int count = 0;
    if (at_cuda_count(&count) && !json)
        printf("cuda  none: %s\n", actune_last_error());
    for (int i = 0; i < count; i++) {
        char name[24];
        at_device d;
        snprintf(name, sizeof name, "cuda:%d", i);
        if (at_device_get(name, &d)) {
            if (json)
                json_array_append_new(json, json_pack("{s:s, s:s}", "name", name, "error", actune_last_error()));
            else
                printf("%s  cannot be used: %s\n", name, actune_last_error());
        } else if (json)
            json_array_append_new(json, cuda_json(name, &d));
        else
            print_cuda(name, &d);
    }
}

int cli_devices(int argc, char **argv)
{
    static const struct argp argp = {0, parse_no_arguments, 0,
                                     "Lists the devices that kernels can be tuned for, as the database knows them."
                                     "\vThe names are what --device takes. `actune doctor` says what is missing.\n",
                                     common_child, 0, 0};
    cli_request request;
    cli_request_init(&request);
    argp_parse(&argp, argc, argv, 0, 0, &request);
    at_device d;
    actune_status status = at_device_get("cpu", &d);
    if (status)
        return cli_report(status);
    json_t *json = request.json ? json_pack("[o]", cpu_json(&d)) : NULL;
    if (!json)
        printf("cpu  %s\n  id           %s\n  code for     %s\n  processors   %d\n  caches       L1d %sB, L2 %sB, L3 %sB\n", d.model, d.id,
               d.capability, d.processors, cli_count(d.l1d_bytes), cli_count(d.l2_bytes), cli_count(d.l3_bytes));
    list_cuda(json);
    return json ? cli_print_json(json) : CLI_OK;
}

/* Stages that are no activations; the spec parser is the authority on their syntax. */
static const struct {
    const char *name, *formula, *note;
} stages[] = {
    {"bias", "x + bias", "operand bias, one value a channel"},
    {"add", "x + add", "operand add, of x's shape"},
    {"mul", "x * mul", "operand mul, of x's shape"},
    {"scale_shift", "x * scale + shift", "operands scale and shift, one value a channel (folded batch norm)"},
    {"clip(lo, hi)", "min(max(x, lo), hi)", "NaN stays NaN; the gradient passes inside, ends included"},
    {"dropout(p)", "x / (1 - p), or 0 with probability p", "the mask follows from seed, offset and the element's index; backward makes it again"},
    {"grad_clip(v)", "x", "going back, clips the gradient at this point to [-v, v]"},
};

static void append_parameters(at_strbuf *text, const at_activation *a)
{
    for (int p = 0; p < a->parameters; p++) {
        at_strbuf_printf(text, "%s%s", p ? ", " : "", a->parameter[p].name);
        if (*a->parameter[p].aliases)
            at_strbuf_printf(text, " (%s)", a->parameter[p].aliases);
        if (a->parameter[p].has_default) {
            at_strbuf_char(text, '=');
            at_strbuf_double(text, a->parameter[p].default_value);
        }
    }
}

static json_t *activation_json(const at_activation *a)
{
    json_t *parameters = json_array();
    for (int p = 0; p < a->parameters; p++) {
        json_t *one = json_pack("{s:s}", "name", a->parameter[p].name);
        if (a->parameter[p].has_default)
            json_object_set_new(one, "default", json_real(a->parameter[p].default_value));
        json_array_append_new(parameters, one);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:o}", "name", a->name, "kind", "activation", "formula", a->formula, "aliases", a->aliases,
                     "from_output", a->gradient.outputs > 0, "parameters", parameters);
}

static int ops_json(void)
{
    json_t *root = json_array();
    for (int i = 0; i < at_activation_count(); i++)
        json_array_append_new(root, activation_json(at_activation_get(i)));
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        json_array_append_new(root, json_pack("{s:s, s:s, s:s, s:s}", "name", stages[i].name, "kind", "stage", "formula",
                                              stages[i].formula, "note", stages[i].note));
    return cli_print_json(root);
}

int cli_ops(int argc, char **argv)
{
    static const struct argp argp = {0, parse_no_arguments, 0,
                                     "Lists the activations and stages that a spec is made of, joined by |."
                                     "\vA parameter given as `learn` becomes an operand with a gradient (one value), as `channel` one a "
                                     "channel:\n  swish(beta=learn), prelu(alpha=channel)\n\n"
                                     "In front may stand attributes: [accuracy=exact|standard|fast, semantics=torch|cudnn, "
                                     "from=input|output]. from=output: backward reads y in place of x, for those marked here.\n",
                                     common_child, 0, 0};
    static const char *const headings[] = {"activation", "parameters", "formula", "from=output", "also"};
    static const char *const stage_headings[] = {"stage", "forward", "notes"};
    cli_request request;
    cli_request_init(&request);
    argp_parse(&argp, argc, argv, 0, 0, &request);
    if (request.json)
        return ops_json();
    cli_table *table = cli_table_new(headings, 5);
    for (int i = 0; i < at_activation_count(); i++) {
        const at_activation *a = at_activation_get(i);
        at_strbuf parameters = {0};
        append_parameters(&parameters, a);
        cli_table_row(table, "%s\t%s\t%s\t%s\t%s", a->name, at_strbuf_text(&parameters), a->formula,
                      a->gradient.outputs > 0 ? "yes" : "", a->aliases);
        at_strbuf_clear(&parameters);
    }
    cli_table_print(table, stdout);
    putchar('\n');
    table = cli_table_new(stage_headings, 3);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        cli_table_row(table, "%s\t%s\t%s", stages[i].name, stages[i].formula, stages[i].note);
    cli_table_print(table, stdout);
    return CLI_OK;
}
