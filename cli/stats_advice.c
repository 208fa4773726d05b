#include "stats_advice.h"

#include "codegen/spec.h"
#include "stats_read.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where advice begins. Rules of thumb, not laws: each message says what was seen. */
static const double dead_few = 0.01, mostly_nonpositive = 0.95, saturated = 0.5, sparse = 0.8, mean_far = 0.5, variance_low = 0.25,
                    variance_high = 4;
static const double gpu_work = 256 * 1024; /* elements: below, a launch of some us costs more than reading and writing them */

typedef struct advice {
    json_t *findings; /* NULL: text */
    int count, broken;
} advice;

static void say(advice *a, const stats_layer *layer, const char *finding, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(advice *a, const stats_layer *layer, const char *finding, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    a->count++;
    if (a->findings)
        json_array_append_new(a->findings, json_pack("{s:s, s:s, s:s}", "layer", layer->name, "finding", finding, "advice", text));
    else
        printf("%s: %s: %s\n", layer->name, finding, text);
}

static void not_finite(advice *a, const stats_layer *l)
{
    if (l->value[STATS_NAN] == 0 && l->value[STATS_INF] == 0)
        return;
    a->broken++;
    say(a, l, "not finite", "%.0f NaN and %.0f infinities. Lower the learning rate, clip the gradients (grad_clip), and in f16 scale the loss",
        l->value[STATS_NAN], l->value[STATS_INF]);
}

static void dead(advice *a, const stats_layer *l)
{
    if (l->has[STATS_DEAD] && l->value[STATS_DEAD] > dead_few)
        say(a, l, "dead units", "%.1f %% of %.0f channels were <= 0 everywhere for %.0f steps and no longer learn. Lower the learning rate; "
            "leaky_relu keeps a gradient; standardise the input", 100 * l->value[STATS_DEAD], l->value[STATS_CHANNELS], l->value[STATS_WINDOW]);
    else if (!l->has[STATS_DEAD] && l->value[STATS_NONPOSITIVE] > mostly_nonpositive)
        say(a, l, "perhaps dead units", "%.1f %% of the values are <= 0. Whether units are dead shows only per channel over a window of steps "
            "(actune_window_add)", 100 * l->value[STATS_NONPOSITIVE]);
}

static void clipped(advice *a, const stats_layer *l)
{
    if (l->value[STATS_CLIPPED] > saturated)
        say(a, l, "saturated", "%.1f %% of the values are at a bound of the clip, where the gradient is 0. Widen the bounds, or bring the input to mean 0 "
            "and variance 1", 100 * l->value[STATS_CLIPPED]);
}

/* Zeros of dead units are that finding's. */
static void very_sparse(advice *a, const stats_layer *l)
{
    if (l->value[STATS_ZERO] > sparse && l->value[STATS_DEAD] <= dead_few)
        say(a, l, "very sparse", "%.1f %% of the values are exactly 0: few units carry each sample, which overfits easily. If the validation error is well "
            "above the training error, dropout of 0.2 to 0.5 behind this layer", 100 * l->value[STATS_ZERO]);
}

static void input(advice *a, const stats_layer *l)
{
    double mean = l->value[STATS_MEAN], variance = l->value[STATS_VARIANCE];
    if (l->is_input && l->has[STATS_MEAN] && l->has[STATS_VARIANCE] &&
        (fabs(mean) > mean_far || variance < variance_low || variance > variance_high))
        say(a, l, "input not standardised", "mean %.3g and variance %.3g, where 0 and 1 are wanted. Subtract the mean and divide by the standard deviation of "
            "the training set (or let the stage standardize do it): it is the first thing against dead units", mean, variance);
}

static void little_work(advice *a, const stats_layer *l)
{
    if (l->device && !strncmp(l->device, "cuda", 4) && l->value[STATS_COUNT] > 0 && l->value[STATS_COUNT] < gpu_work)
        say(a, l, "too little work for the GPU", "%.0f elements a step on %s: the launch costs more than the work. A larger batch, more stages "
            "fused into one spec, or a CUDA graph of the whole step", l->value[STATS_COUNT], l->device);
}

/* Whether backward wants x: the pipeline is not linear in it, and is not [from=output] already. */
static bool wants_input(const at_spec *spec)
{
    for (int i = 0; i < spec->stages; i++)
        if (spec->stage[i].kind == AT_STAGE_ACTIVATION || spec->stage[i].kind == AT_STAGE_CLIP)
            return !spec->from_output;
    return false;
}

static void in_place(advice *a, const stats_layer *l)
{
    if (!l->in_place || !l->training || !l->spec)
        return;
    char *text = NULL;
    at_spec *spec = calloc(1, sizeof *spec);
    if (spec && !at_spec_parse(l->spec, spec)) {
        bool wants = wants_input(spec), attributes = *spec->canonical == '[';
        if (wants && asprintf(&text, "[from=output%s%s", attributes ? ", " : "] ", spec->canonical + attributes) < 0)
            text = NULL;
        at_spec_clear(spec);
        *spec = (at_spec){0};
        if (text && !at_spec_parse(text, spec)) {
            say(a, l, "in-place reuse breaks the gradient", "forward writes over x, which backward of '%s' reads. Write %s: its backward reads y", l->spec,
                spec->canonical);
            at_spec_clear(spec);
        } else if (text)
            say(a, l, "in-place reuse breaks the gradient", "forward writes over x, which backward of '%s' reads, and y does not tell its gradient. Run it out "
                "of place", l->spec);
    }
    free(text);
    free(spec);
}

int cli_stats_advise(const char *path, bool as_json)
{
    static void (*const rules[])(advice *, const stats_layer *) = {not_finite, dead, clipped, very_sparse, input, little_work, in_place};
    stats_file file;
    advice a = {.findings = as_json ? json_array() : NULL};
    actune_status status = stats_read(path, &file);
    for (int i = 0; !status && i < file.layers; i++)
        for (size_t rule = 0; rule < sizeof rules / sizeof *rules; rule++)
            rules[rule](&a, &file.layer[i]);
    int layers = file.layers;
    stats_clear(&file);
    if (status) {
        json_decref(a.findings);
        return cli_report(status);
    }
    if (as_json && cli_print_json(json_pack("{s:i, s:o}", "layers", layers, "findings", a.findings)))
        return CLI_FAILED;
    if (!as_json && a.count == 0)
        printf("%d layer%s, nothing to change\n", layers, layers == 1 ? "" : "s");
    return a.broken ? CLI_FAILED : CLI_OK;
}
