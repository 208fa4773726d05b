#include "cudnn_variant.h"

#include "base/dtype.h"
#include <math.h>
#include <string.h>

#define ACTIVATION "cudnn/activation"
#define GRAPH "cudnn/graph"

enum { NONE = -1 };

/* cudnnPointwiseMode_t */
enum { ADD = 0, MULTIPLY = 1, RELU = 100, GRAPH_BACKWARD = 100 };

/* What cuDNN has: the mode in each of its interfaces (graphs: forward). From y: the legacy gradient may be asked with y for x. From x: with x
   for y; sigmoid's and tanh's read y. */
static const struct {
    const char *name, *parameter; /* the activation, and its argument that is the coefficient; NULL: fixed */
    double fixed;
    int legacy, graph;
    bool from_y, from_x;
} activations[] = {
    {"sigmoid", NULL, 0, AT_CUDNN_SIGMOID, 102, true, false},
    {"relu", NULL, 0, AT_CUDNN_RELU, RELU, true, true},
    {"tanh", NULL, 0, AT_CUDNN_TANH, 101, true, false},
    {"relu6", NULL, 6, AT_CUDNN_CLIPPED_RELU, RELU, true, true},
    {"elu", "alpha", 0, AT_CUDNN_ELU, 103, true, true},
    {"swish", "beta", 0, AT_CUDNN_SWISH, 106, false, true},
    {"silu", NULL, 1, AT_CUDNN_SWISH, 106, false, true},
    {"gelu", NULL, 0, NONE, 104, false, false},
    {"gelu_tanh", NULL, 0, NONE, 107, false, false},
    {"softplus", "beta", 0, NONE, 105, false, false},
};

enum { CLIPPED_RELU = 3 }; /* relu6's row: with any ceiling */

/* A spec in cuDNN's words. */
typedef struct meaning {
    at_cudnn_step step[AT_CUDNN_STEPS_MAX]; /* of a graph, forward */
    int steps, operands;
    int row; /* of the activation that the last step is; NONE: of none */
    bool propagate_nan;
} meaning;

static bool add_step(meaning *found, int row, int mode, double coefficient)
{
    if (found->steps == AT_CUDNN_STEPS_MAX)
        return false;
    int operand = mode == ADD || mode == MULTIPLY ? ++found->operands : 0;
    found->step[found->steps++] = (at_cudnn_step){mode, coefficient, operand};
    found->row = row;
    return true;
}

static bool read_activation(const at_stage *stage, meaning *found)
{
    size_t row = 0, rows = sizeof activations / sizeof *activations;
    while (row < rows && strcmp(activations[row].name, stage->activation->name) != 0)
        row++;
    if (row == rows || stage->file != NULL)
        return false;
    double coefficient = activations[row].fixed;
    for (int i = 0; i < stage->arguments; i++) {
        if (stage->argument[i].learn != AT_LEARN_NO)
            return false;
        if (activations[row].parameter != NULL && strcmp(stage->argument[i].name, activations[row].parameter) == 0)
            coefficient = stage->argument[i].value;
    }
    return isfinite(coefficient) && add_step(found, (int)row, activations[row].graph, coefficient);
}

/* clip(0, c) is a relu with a ceiling, together with a relu before it. */
static bool read_clip(const at_stage *stage, meaning *found)
{
    double ceiling = stage->argument[1].value;
    if (stage->argument[0].value != 0 || !(ceiling > 0) || !isfinite(ceiling))
        return false;
    at_cudnn_step *last = found->steps > 0 ? &found->step[found->steps - 1] : NULL;
    if (last == NULL || last->mode != RELU || last->coefficient != 0)
        return add_step(found, CLIPPED_RELU, RELU, ceiling);
    last->coefficient = ceiling;
    found->row = CLIPPED_RELU;
    return true;
}

static bool read_stage(const at_stage *stage, meaning *found)
{
    switch (stage->kind) {
    case AT_STAGE_ACTIVATION:
        return read_activation(stage, found);
    case AT_STAGE_BIAS:
    case AT_STAGE_ADD:
        return add_step(found, NONE, ADD, 0);
    case AT_STAGE_MUL:
        return add_step(found, NONE, MULTIPLY, 0);
    case AT_STAGE_SCALE_SHIFT:
        return add_step(found, NONE, MULTIPLY, 0) && add_step(found, NONE, ADD, 0);
    case AT_STAGE_CLIP:
        return read_clip(stage, found);
    default:
        return false;
    }
}

/* A user's own function is none of cuDNN's: its file need not be read. */
static bool read_spec(const char *text, meaning *found)
{
    at_spec spec;
    *found = (meaning){.row = NONE};
    if (strchr(text, '@') != NULL || at_spec_parse(text, &spec) != ACTUNE_OK)
        return false;
    bool read = true;
    for (int i = 0; i < spec.stages && read; i++)
        read = read_stage(&spec.stage[i], found);
    found->propagate_nan = spec.semantics != AT_SEMANTICS_CUDNN;
    at_spec_clear(&spec);
    return read && found->steps > 0;
}

/* x, operands, y; or x (y), dy, dx of one step without operands. */
static bool read_ports(const at_signature *signature, const meaning *found, at_cudnn_function *function)
{
    bool backward = signature->direction == ACTUNE_BACKWARD;
    if (signature->slots > 0 || signature->ports > AT_CUDNN_PORTS_MAX || signature->inputs != signature->ports - 1 ||
        (backward ? signature->ports != 3 || found->steps > 1 || found->operands > 0 : signature->ports != 2 + found->operands))
        return false;
    *function = (at_cudnn_function){.ports = signature->ports, .propagate_nan = found->propagate_nan, .backward = backward};
    for (int i = 0; i < signature->ports; i++) {
        if (signature->port[i].access != AT_ACCESS_ELEMENT && signature->port[i].access != AT_ACCESS_CHANNEL)
            return false;
        function->port[i].dtype = signature->port[i].dtype;
        function->port[i].channel = signature->port[i].access == AT_ACCESS_CHANNEL;
    }
    return true;
}

bool at_cudnn_is_variant(const char *text)
{
    return strncmp(text, "cudnn/", strlen("cudnn/")) == 0;
}

/* --- variants --- */

static void name_legacy(at_cudnn_variant *variant, const char *version)
{
    variant->variant = (at_variant){.template_name = ACTIVATION, .knobs = 1, .knob = {{"version", version}}};
}

static void name_graph(at_cudnn_variant *variant, const char *version)
{
    static const char *const plans[AT_CUDNN_CHOICES_MAX] = {"0", "1", "2", "3"};
    variant->variant = (at_variant){.template_name = GRAPH, .knobs = 2, .knob = {{"plan", plans[variant->function.choice]}, {"version", version}}};
}

/* The kernel's hash is part of a row's key; this is what another cuDNN, or another way to call it, changes. */
static void identify(at_cudnn_variant *variant)
{
    const at_cudnn_function *function = &variant->function;
    at_strbuf text = {0};
    at_variant_print(&variant->variant, &text);
    at_strbuf_printf(&text, "\nnan %d backward %d", function->propagate_nan, function->backward);
    for (int i = 0; i < function->steps; i++)
        at_strbuf_printf(&text, "\nmode %d coefficient %.17g operand %d", function->step[i].mode, function->step[i].coefficient,
                         function->step[i].operand);
    for (int i = 0; i < function->ports; i++)
        at_strbuf_printf(&text, "\ndtype %d channel %d", (int)function->port[i].dtype, function->port[i].channel);
    variant->source_hash = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
}

static bool is_from_y(const at_kernel *kernel)
{
    return strcmp(kernel->signature.port[0].name, "y") == 0;
}

static int add_legacy(const at_kernel *kernel, const meaning *found, at_cudnn_function function, at_cudnn_variant *variants)
{
    if (found->row == NONE || found->steps > 1 || activations[found->row].legacy == NONE)
        return 0;
    if (function.backward && !(is_from_y(kernel) ? activations[found->row].from_y : activations[found->row].from_x))
        return 0;
    for (int i = 1; i < function.ports; i++)
        if (function.port[i].dtype != function.port[0].dtype)
            return 0;
    function.steps = 1;
    function.step[0] = (at_cudnn_step){activations[found->row].legacy, found->step[0].coefficient, 0};
    variants[0] = (at_cudnn_variant){.function = function};
    return 1;
}

/* Graphs have no gradient from y, and no engines for f64. */
static int add_graphs(const at_kernel *kernel, const meaning *found, at_cudnn_function function, at_cudnn_variant *variants)
{
    if (function.backward && is_from_y(kernel))
        return 0;
    for (int i = 0; i < function.ports; i++)
        if (function.port[i].dtype == ACTUNE_F64)
            return 0;
    function.algorithm = AT_CUDNN_GRAPH;
    function.steps = found->steps;
    memcpy(function.step, found->step, sizeof function.step);
    if (function.backward)
        function.step[0].mode += GRAPH_BACKWARD;
    for (function.choice = 0; function.choice < AT_CUDNN_CHOICES_MAX; function.choice++)
        variants[function.choice] = (at_cudnn_variant){.function = function};
    return AT_CUDNN_CHOICES_MAX;
}

/* Tensors of 8 bits: cuDNN's int8 wraps or scales in ways of its own, and it has no name for fp8 here. */
static bool has_codes(const at_signature *signature)
{
    for (int i = 0; i < signature->ports; i++)
        if (at_dtype_get(signature->port[i].dtype)->bytes == 1)
            return true;
    return false;
}

int at_cudnn_variants(const at_kernel *kernel, at_cudnn_variant *variants)
{
    meaning found;
    at_cudnn_function function;
    const char *version, *path;
    if (has_codes(&kernel->signature) || !read_spec(kernel->spec, &found) || !read_ports(&kernel->signature, &found, &function) ||
        at_cudnn_version(&version, &path) != ACTUNE_OK)
        return 0;
    int count = add_legacy(kernel, &found, function, variants);
    count += add_graphs(kernel, &found, function, variants + count);
    for (int i = 0; i < count; i++) {
        (variants[i].function.algorithm == AT_CUDNN_GRAPH ? name_graph : name_legacy)(&variants[i], version);
        identify(&variants[i]);
    }
    return count;
}

actune_status at_cudnn_variant_find(const at_kernel *kernel, const char *text, at_cudnn_variant *variant)
{
    at_cudnn_variant variants[AT_CUDNN_VARIANTS_MAX];
    const char *version, *path;
    bool found = false;
    AT_TRY(at_cudnn_version(&version, &path));
    int count = at_cudnn_variants(kernel, variants);
    for (int i = 0; i < count && !found; i++) {
        at_strbuf own = {0};
        at_variant_print(&variants[i].variant, &own);
        found = strcmp(at_strbuf_text(&own), text) == 0;
        at_strbuf_clear(&own);
        *variant = variants[i];
    }
    if (found)
        return ACTUNE_OK;
    return at_fail(ACTUNE_NOT_FOUND, "'%s' is not what cuDNN %s (%s) does for '%s': tune again", text, version, path, kernel->spec);
}

void at_cudnn_describe(const char *text, at_strbuf *out)
{
    const char *version = strstr(text, "version="), *plan = strstr(text, "plan=");
    if (!at_cudnn_is_variant(text) || version == NULL) {
        at_strbuf_append(out, text);
        return;
    }
    version += strlen("version=");
    at_strbuf_printf(out, "cuDNN %.*s, %s", (int)strcspn(version, " "), version, strncmp(text, GRAPH, strlen(GRAPH)) == 0 ? "graph" : "activation");
    if (plan != NULL)
        at_strbuf_printf(out, " plan %.*s", (int)strcspn(plan + strlen("plan="), " "), plan + strlen("plan="));
}
