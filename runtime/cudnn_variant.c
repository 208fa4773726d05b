#include "cudnn_variant.h"

#include <math.h>
#include <string.h>

#define ACTIVATION "cudnn/activation"
#define GRAPH "cudnn/graph"

enum { NONE = -1, GRAPH_BACKWARD = 100 };

/* What cuDNN has: the mode in each of its interfaces (graphs: forward). From y: the legacy gradient may be asked with y for x. From x: with x
   for y; sigmoid's and tanh's read y. */
static const struct {
    const char *name, *parameter; /* the activation, and its argument that is the coefficient; NULL: fixed */
    double fixed;
    int legacy, graph;
    bool from_y, from_x;
} activations[] = {
    {"sigmoid", NULL, 0, AT_CUDNN_SIGMOID, 102, true, false},
    {"relu", NULL, 0, AT_CUDNN_RELU, 100, true, true},
    {"tanh", NULL, 0, AT_CUDNN_TANH, 101, true, false},
    {"relu6", NULL, 6, AT_CUDNN_CLIPPED_RELU, 100, true, true},
    {"elu", "alpha", 0, AT_CUDNN_ELU, 103, true, true},
    {"swish", "beta", 0, AT_CUDNN_SWISH, 106, false, true},
    {"silu", NULL, 1, AT_CUDNN_SWISH, 106, false, true},
    {"gelu", NULL, 0, NONE, 104, false, false},
    {"gelu_tanh", NULL, 0, NONE, 107, false, false},
    {"softplus", "beta", 0, NONE, 105, false, false},
};

/* A kernel in cuDNN's words. */
typedef struct meaning {
    size_t row;
    double coefficient;
} meaning;

static bool find_activation(const char *name, size_t *row)
{
    for (*row = 0; *row < sizeof activations / sizeof *activations; (*row)++)
        if (strcmp(activations[*row].name, name) == 0)
            return true;
    return false;
}

static bool is_constant(const at_stage *stage)
{
    for (int i = 0; i < stage->arguments; i++)
        if (stage->argument[i].learn != AT_LEARN_NO)
            return false;
    return true;
}

static bool read_activation(const at_stage *stage, meaning *found)
{
    if (stage->kind != AT_STAGE_ACTIVATION || stage->file != NULL || !is_constant(stage) || !find_activation(stage->activation->name, &found->row))
        return false;
    found->coefficient = activations[found->row].fixed;
    for (int i = 0; i < stage->arguments; i++)
        if (activations[found->row].parameter != NULL && strcmp(stage->argument[i].name, activations[found->row].parameter) == 0)
            found->coefficient = stage->argument[i].value;
    return isfinite(found->coefficient);
}

/* clip(0, c), by itself or after relu, is a relu with a ceiling. */
static bool read_ceiling(const at_spec *spec, meaning *found)
{
    const at_stage *last = &spec->stage[spec->stages - 1];
    if (last->kind != AT_STAGE_CLIP || last->argument[0].value != 0 || !(last->argument[1].value > 0) || !isfinite(last->argument[1].value))
        return false;
    if (spec->stages == 2 && !(read_activation(&spec->stage[0], found) && activations[found->row].legacy == AT_CUDNN_RELU))
        return false;
    find_activation("relu6", &found->row);
    found->coefficient = last->argument[1].value;
    return spec->stages <= 2;
}

/* Two or three ports of one type, all of x's shape. */
static bool has_plain_ports(const at_signature *signature)
{
    bool backward = signature->direction == ACTUNE_BACKWARD;
    if (signature->sums > 0 || signature->ports != (backward ? 3 : 2) || signature->inputs != signature->ports - 1)
        return false;
    for (int i = 0; i < signature->ports; i++)
        if (signature->port[i].access != AT_ACCESS_ELEMENT || signature->port[i].dtype != signature->port[0].dtype)
            return false;
    return true;
}

static bool read_kernel(const at_kernel *kernel, meaning *found, bool *propagate_nan)
{
    at_spec spec;
    if (!has_plain_ports(&kernel->signature) || strchr(kernel->spec, '@') != NULL || at_spec_parse(kernel->spec, &spec) != ACTUNE_OK)
        return false;
    bool read = spec.stages == 1 && read_activation(&spec.stage[0], found);
    read = read || read_ceiling(&spec, found);
    *propagate_nan = spec.semantics != AT_SEMANTICS_CUDNN;
    at_spec_clear(&spec);
    return read;
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
    at_strbuf_printf(&text, "\nmode %d coefficient %.17g nan %d backward %d dtype %d", function->mode, function->coefficient,
                     function->propagate_nan, function->backward, (int)function->dtype);
    variant->source_hash = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
}

static int add_legacy(const at_kernel *kernel, const meaning *found, at_cudnn_function function, at_cudnn_variant *variants)
{
    bool from_y = strcmp(kernel->signature.port[0].name, "y") == 0;
    function.mode = activations[found->row].legacy;
    if (function.mode == NONE || (function.backward && !(from_y ? activations[found->row].from_y : activations[found->row].from_x)))
        return 0;
    variants[0] = (at_cudnn_variant){.function = function};
    return 1;
}

/* Graphs have no gradient from y, and no engines for f64. */
static int add_graphs(const at_kernel *kernel, const meaning *found, at_cudnn_function function, at_cudnn_variant *variants)
{
    if (function.dtype == ACTUNE_F64 || (function.backward && strcmp(kernel->signature.port[0].name, "y") == 0))
        return 0;
    function.algorithm = AT_CUDNN_GRAPH;
    function.mode = activations[found->row].graph + (function.backward ? GRAPH_BACKWARD : 0);
    for (function.choice = 0; function.choice < AT_CUDNN_CHOICES_MAX; function.choice++)
        variants[function.choice] = (at_cudnn_variant){.function = function};
    return AT_CUDNN_CHOICES_MAX;
}

int at_cudnn_variants(const at_kernel *kernel, at_cudnn_variant *variants)
{
    meaning found;
    bool propagate_nan;
    const char *version, *path;
    if (!read_kernel(kernel, &found, &propagate_nan) || at_cudnn_version(&version, &path) != ACTUNE_OK)
        return 0;
    const at_cudnn_function function = {.coefficient = found.coefficient,
                                        .propagate_nan = propagate_nan,
                                        .backward = kernel->signature.direction == ACTUNE_BACKWARD,
                                        .dtype = kernel->signature.port[0].dtype};
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
