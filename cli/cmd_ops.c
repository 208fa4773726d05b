/* actune ops: the activations and stages of the spec language. */
#include "request.h"

#include "accuracy.h"
#include "codegen/formula.h"
#include <string.h>

/* Stages that are no activations; the spec parser is the authority on their syntax. */
static const struct {
    const char *name, *formula, *note;
} stages[] = {
    {"halves", "the first half of x's rows", "first stage alone; a later mul multiplies by the other half: halves | silu | mul; halves(second): the other way round"},
    {"bias", "x + bias", "operand bias, one value a channel"},
    {"add", "x + add", "operand add, of y's shape; add(channel): one value for each image and channel"},
    {"mul", "x * mul", "operand mul, of y's shape; mul(channel): one value for each image and channel (squeeze and excite)"},
    {"scale_shift", "x * scale + shift", "operands scale and shift, one value a channel (folded batch norm)"},
    {"standardize(eps=1e-05)", "(x - mean) / sqrt(variance + eps)", "statistics of the tensor itself, in one more read; the first advice against dead units"},
    {"standardize(channel, eps=1e-05)", "the same", "each channel by itself (batch norm's training formula, without its running averages)"},
    {"clip(lo, hi)", "min(max(x, lo), hi)", "NaN stays NaN; the gradient passes inside, ends included"},
    {"grad_clip(v)", "x", "going back, clips the gradient at this point to [-v, v]"},
    {"rrelu_training(lower, upper)", "x > 0 ? x : slope * x", "a random slope for each element, from seed, offset and its index; at inference: rrelu"},
    {"dropout(p)", "x / (1 - p), or 0 with probability p", "the mask follows from seed, offset and the element's index; backward makes it again"},
    {"topk(k, by=value)", "x if among the k largest of its row, or 0", "k below 1: that share of the row; by=magnitude ranks |x|; NaN first, of equals the first"},
    {"quantize(type, scale, zero_point)", "saturate(rint(x / scale) + zero_point)", "last stage; type i8 (-127 to 127), u8, f8e4m3 or f8e5m2; scale a "
     "number, `tensor` or `channel` (operands); zero_point of u8 alone; ties to even, NaN is 0; the gradient passes where nothing saturates"},
    {"dequantize(scale, zero_point)", "(x - zero_point) * scale", "first stage, of 8-bit tensors, or after quantize(i8 or u8): fake quantisation"},
    {"swiglu", "silu(x) * mul", "short for silu | mul: x is the gate, operand mul the other tensor; also glu, reglu, geglu, geglu_tanh"},
    {"swiglu(halves)", "silu(first) * second", "short for halves | silu | mul: both from the rows of one tensor; glu(halves) is torch's GLU, sigmoid of the second; (second): that half is the gate"},
    {"stats, stats(channel)", "x", "a second output: counts of <= 0, 0, clipped, NaN and inf, sum, sum of squares, absolute maximum, whole or a channel each (apply --stats FILE)"},
    {"grad_norm", "x", "going back, the sum of squares of the gradient at this point, asked for as that of grad_norm"},
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

/* d y / d x, or by a parameter, as the toolkit derives it; "" when it cannot. */
static json_t *derivative_json(const at_activation *a, int parameter)
{
    at_strbuf text = {0};
    json_t *made = json_string(at_formula_derivative(a, parameter, &text) ? "" : at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return made;
}

/* --- what was measured: docs/accuracy-measured.tsv, embedded --- */

/* One line of it. */
typedef struct measured {
    char activation[32], direction[16], dtype[8], class[16], error[24], share[16];
} measured;

/* The line at *at, which goes on to the next; false at the end. */
static bool next_measured(const char **at, measured *m)
{
    while (**at) {
        int fields = sscanf(*at, "%31[^\t]\t%15[^\t]\t%7[^\t]\t%15[^\t]\t%23[^\t]\t%15[^\t\n]", m->activation, m->direction, m->dtype, m->class, m->error,
                            m->share);
        const char *end = strchr(*at, '\n');
        *at = end ? end + 1 : *at + strlen(*at);
        if (fields == 6 && m->activation[0] != '#')
            return true;
    }
    return false;
}

static json_t *accuracy_json(const at_activation *a)
{
    json_t *all = json_array();
    measured m;
    for (const char *at = cli_accuracy_texts[0].text; at && next_measured(&at, &m);)
        if (!strcmp(m.activation, a->name))
            json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:s}", "direction", m.direction, "dtype", m.dtype, "accuracy", m.class,
                                                 "error", m.error, "share_of_bound", m.share));
    return all;
}

static json_t *activation_json(const at_activation *a)
{
    json_t *parameters = json_array();
    for (int p = 0; p < a->parameters; p++) {
        json_t *one = json_pack("{s:s, s:s, s:o}", "name", a->parameter[p].name, "aliases", a->parameter[p].aliases, "derivative",
                                derivative_json(a, p));
        if (a->parameter[p].has_default)
            json_object_set_new(one, "default", json_real(a->parameter[p].default_value));
        json_array_append_new(parameters, one);
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:b, s:o, s:o}", "name", a->name, "kind", "activation", "formula", a->formula, "derivative",
                     derivative_json(a, -1), "aliases", a->aliases, "requires", a->requirements, "from_output", a->gradient.outputs > 0,
                     "parameters", parameters, "accuracy", accuracy_json(a));
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

/* "f32 exact 1.95, standard 3.99, fast 1e-4 abs; f16 ..." */
static void print_accuracy(const at_activation *a, const char *direction)
{
    char dtype[8] = "";
    measured m;
    for (const char *at = cli_accuracy_texts[0].text; at && next_measured(&at, &m);) {
        if (strcmp(m.activation, a->name) || strcmp(m.direction, direction))
            continue;
        if (!*dtype)
            printf("  %-12s ", direction);
        if (strcmp(dtype, m.dtype))
            printf("%s%s", *dtype ? "; " : "", m.dtype);
        else
            putchar(',');
        printf(" %s %s (%s)", m.class, m.error, m.share);
        snprintf(dtype, sizeof dtype, "%s", m.dtype);
    }
    if (*dtype)
        putchar('\n');
}

/* --- one activation in full --- */

static void print_derivative(const at_activation *a, int parameter)
{
    char name[48];
    at_strbuf text = {0};
    snprintf(name, sizeof name, "d/d%s", parameter < 0 ? "x" : a->parameter[parameter].name);
    if (!at_formula_derivative(a, parameter, &text))
        printf("  %-12s %s\n", name, at_strbuf_text(&text));
    at_strbuf_clear(&text);
}

static void print_whole(const at_activation *a)
{
    at_strbuf parameters = {0};
    append_parameters(&parameters, a);
    printf("%s%s%s%s\n  %-12s %s\n", a->name, a->parameters ? "(" : "", at_strbuf_text(&parameters), a->parameters ? ")" : "", "y", a->formula);
    at_strbuf_clear(&parameters);
    for (int p = -1; p < a->parameters; p++)
        print_derivative(a, p);
    if (*a->requirements)
        printf("  %-12s %s\n", "requires", a->requirements);
    if (*a->aliases)
        printf("  %-12s %s\n", "also", a->aliases);
    if (a->gradient.outputs > 0)
        printf("  %-12s backward may read y in place of x\n", "from=output");
    print_accuracy(a, "forward");
    print_accuracy(a, "backward");
    putchar('\n');
}

typedef struct ops_options {
    cli_request request;
    bool whole;
    const char *name[64];
    int names;
} ops_options;

static error_t parse(int key, char *text, struct argp_state *state)
{
    ops_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->request;
        return 0;
    case 'l':
        options->whole = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->names == (int)(sizeof options->name / sizeof *options->name))
            argp_error(state, "too many names");
        options->name[options->names++] = text;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static int print_named(const ops_options *options)
{
    json_t *json = options->request.json ? json_array() : NULL;
    int failed = CLI_OK;
    for (int i = 0; i < options->names; i++) {
        const at_activation *a = at_activation_find(options->name[i]);
        if (!a)
            failed = cli_complain(CLI_FAILED, "there is no activation '%s'; `actune ops` lists them", options->name[i]);
        else if (json)
            json_array_append_new(json, activation_json(a));
        else
            print_whole(a);
    }
    return json && cli_print_json(json) ? CLI_FAILED : failed;
}

static void print_list(void)
{
    static const char *const headings[] = {"activation", "parameters", "formula", "from=output", "also"};
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
}

static void print_stages(void)
{
    static const char *const headings[] = {"stage", "forward", "notes"};
    cli_table *table = cli_table_new(headings, 3);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        cli_table_row(table, "%s\t%s\t%s", stages[i].name, stages[i].formula, stages[i].note);
    cli_table_print(table, stdout);
}

int cli_ops(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp_option own[] = {
        {"long", 'l', 0, 0, "Each activation in full: derivatives, what it requires of its parameters, measured accuracy", 0}, {0}};
    static const struct argp argp = {own, parse, "[ACTIVATION...]",
                                     "Lists the activations and stages that a spec is made of, joined by |; an ACTIVATION by name in full."
                                     "\vA parameter given as `learn` becomes an operand with a gradient (one value), as `channel` one a "
                                     "channel:\n  swish(beta=learn), prelu(alpha=channel)\n\n"
                                     "In front may stand attributes: [accuracy=exact|standard|fast, semantics=torch|cudnn, "
                                     "from=input|output]. from=output: backward reads y in place of x, for those marked here.\n\n"
                                     "Derivatives are those that the toolkit derives; what only guards floating-point numbers is left out. "
                                     "Accuracy is the largest error measured, in ULP or absolute, and its share of what the class allows "
                                     "(docs/accuracy-measured.md); `actune verify` measures it here.\n",
                                     children, 0, 0};
    ops_options options = {0};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    if (options.names)
        return print_named(&options);
    if (options.request.json)
        return ops_json();
    for (int i = 0; options.whole && i < at_activation_count(); i++)
        print_whole(at_activation_get(i));
    if (!options.whole)
        print_list();
    print_stages();
    return CLI_OK;
}
