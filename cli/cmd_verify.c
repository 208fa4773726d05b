/* actune verify: every variant (or the default one) against the reference. */
#include "quantise_error.h"
#include "request.h"
#include "verify_passes.h"

#include "runtime/backend/interp.h"
#include "runtime/base/dtype.h"
#include "tuner/exhaustive.h"
#include "tuner/search.h"
#include "tuner/verify_cuda.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_ALL = 0x200, KEY_VARIANTS, KEY_KNOB, KEY_EXHAUSTIVE, KEY_PART, KEY_THREADS, KEY_MOST, SETTINGS_MAX = 16, MOST_ON_CUDA = 48 };

typedef struct verify_options {
    cli_request request;
    bool all, every_variant;
    char *setting[SETTINGS_MAX];
    int settings;
    bool exhaustive;
    long long part, parts; /* of the inputs; parts 0: all of them */
    int threads;
    int most; /* variants of a kernel in one layout; 0: all */
} verify_options;

static volatile int stop;

static void on_interrupt(int signal_number)
{
    stop = 1;
    signal(signal_number, SIG_DFL);
}

typedef struct verify_run {
    const verify_options *options;
    at_cache *cache;
    at_store *store; /* for what is measured on every input; NULL: nothing is kept */
    at_device device;
    at_cuda_device *cuda;       /* NULL: the kernels run here */
    at_cuda_verifier *verifier; /* on it, of the kernel and layout at hand */
    cli_table *table;
    json_t *json;
    const cli_request *request; /* that the kernel is of */
    const at_kernel *kernel;
    at_layout layout;
    int passed, failed, impossible;
} verify_run;

static error_t parse(int key, char *text, struct argp_state *state)
{
    verify_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        for (int i = 0; i < 4; i++)
            state->child_inputs[i] = &options->request;
        return 0;
    case KEY_ALL:
        options->all = true;
        return 0;
    case KEY_VARIANTS:
        options->every_variant = true;
        return 0;
    case KEY_KNOB:
        if (!strchr(text, '=') || options->settings == SETTINGS_MAX)
            argp_error(state, "--knob takes NAME=VALUE, not '%s'", text);
        options->setting[options->settings++] = text;
        return 0;
    case KEY_EXHAUSTIVE:
        options->exhaustive = true;
        return 0;
    case KEY_PART:
        if (sscanf(text, "%lld/%lld", &options->part, &options->parts) != 2 || options->part < 1 || options->part > options->parts)
            argp_error(state, "--part takes I/N with 1 <= I <= N, as 1/8; not '%s'", text);
        return 0;
    case KEY_THREADS:
        options->threads = atoi(text);
        if (options->threads < 1)
            argp_error(state, "--threads takes a number of at least 1, not '%s'", text);
        return 0;
    case KEY_MOST:
        options->most = atoi(text);
        if (options->most < 1)
            argp_error(state, "--most takes a number of at least 1, not '%s'", text);
        return 0;
    case ARGP_KEY_END:
        if (options->most && !options->every_variant)
            argp_error(state, "--most belongs to --variants");
        if (options->parts && !options->exhaustive)
            argp_error(state, "--part belongs to --exhaustive");
        if (!options->request.spec == !options->all)
            argp_error(state, "a SPEC or --all is needed, not both");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static void note(verify_run *run, const char *variant, const at_verify_report *r)
{
    const at_kernel *k = run->kernel;
    const char *direction = k->signature.direction == ACTUNE_BACKWARD ? "backward" : "forward";
    const char *in = at_dtype_get(k->signature.dtype_in)->name, *out = at_dtype_get(k->signature.dtype_out)->name;
    r->passed ? run->passed++ : run->failed++;
    if (run->json)
        json_array_append_new(run->json, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:f, s:f, s:f, s:I, s:s, s:s, s:s}", "spec",
                                                   k->spec, "device", run->device.id, "model", run->device.model, "capability", run->device.capability, "direction", direction, "dtype_in", in, "dtype_out", out, "accuracy",
                                                   at_accuracy_name(k->accuracy), "layout", at_layout_name(run->layout), "variant",
                                                   variant, "passed", r->passed, "max_error_ulp", r->max_error_ulp,
                                                   "max_error_absolute", r->max_error_absolute, "share_of_bound", r->max_share,
                                                   "compared", (json_int_t)r->compared, "method",
                                                   r->exhaustive ? "exhaustive" : "sampled", "worst", r->worst, "detail", r->detail));
    else
        cli_table_row(run->table, "%s\t%s\t%s:%s\t%s\t%s\t%s\t%.2f\t%.2g\t%.0f %%\t%s", k->spec, direction, in, out,
                      at_accuracy_name(k->accuracy), variant, r->passed ? "ok" : "FAILED", r->max_error_ulp, r->max_error_absolute,
                      100 * r->max_share, r->passed ? "" : r->detail);
}

/* A line that is rewritten on a terminal, one line every ten seconds elsewhere. */
static void show_progress(void *user, const at_exhaustive_progress *progress)
{
    static double last;
    const verify_run *run = user;
    bool terminal = isatty(STDERR_FILENO), end = progress->done == progress->total;
    if (!terminal && progress->elapsed_s >= last && progress->elapsed_s - last < 10)
        return;
    last = progress->elapsed_s;
    fprintf(stderr, "%s%5.1f %%  %.40s  %.0f s, about %.0f min %02d s left%s", terminal ? "\r\033[K" : "",
            100.0 * (double)progress->done / (double)progress->total, run->kernel->spec, progress->elapsed_s,
            (double)(int64_t)(progress->eta_s / 60), (int)progress->eta_s % 60, terminal ? end ? "\r\033[K" : "" : "\n");
}

static actune_status verify_all_inputs(verify_run *run, const at_variant *variant, at_verify_report *report)
{
    const verify_options *o = run->options;
    at_exhaustive_options how = {.threads = o->threads,
                                 .part = o->parts ? o->part - 1 : 0,
                                 .parts = o->parts,
                                 .stop = &stop,
                                 .progress = show_progress,
                                 .user = run};
    return at_verify_exhaustive(run->cache, &run->device, run->kernel, variant, &how, report);
}

static actune_status judge(verify_run *run, const at_variant *variant, at_verify_report *report)
{
    if (run->options->exhaustive)
        return verify_all_inputs(run, variant, report);
    if (run->cuda)
        return at_cuda_verify(run->verifier, variant, report);
    return at_verify_kernel(run->cache, &run->device, run->kernel, run->layout, variant, report);
}

static actune_status verify_variant(void *user, const at_variant *variant)
{
    verify_run *run = user;
    at_verify_report report = {0};
    if (stop)
        return at_fail(ACTUNE_INTERRUPTED, "interrupted");
    actune_status status = judge(run, variant, &report);
    if (status == ACTUNE_UNSUPPORTED) { /* this form of the math does not reach the class: no candidate */
        run->impossible++;
        return ACTUNE_OK;
    }
    AT_TRY(status);
    at_strbuf text = {0};
    at_variant_print(variant, &text);
    note(run, at_strbuf_text(&text), &report);
    at_strbuf_clear(&text);
    return run->store ? at_exhaustive_store(run->store, &run->device, run->kernel, variant, &report) : ACTUNE_OK;
}

/* --- many variants --- */

typedef struct variant_list {
    at_variant *variant;
    int count, capacity;
} variant_list;

static actune_status keep_variant(void *user, const at_variant *variant)
{
    variant_list *list = user;
    if (list->count == list->capacity) {
        int capacity = list->capacity * 2 + 1024;
        at_variant *grown = realloc(list->variant, (size_t)capacity * sizeof *grown);
        if (!grown)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for the search space");
        list->variant = grown;
        list->capacity = capacity;
    }
    list->variant[list->count++] = *variant;
    return ACTUNE_OK;
}

/* Of spaces of tens of thousands: each knob alone around the default, then a random rest. */
static actune_status verify_sample(verify_run *run, const at_target *target, int most)
{
    variant_list list = {0};
    at_random random = {1};
    int *picked = calloc((size_t)most, sizeof *picked);
    actune_status status = picked ? at_variant_each(run->kernel, run->layout, target, keep_variant, &list)
                                  : at_fail(ACTUNE_NO_MEMORY, "no memory for %d variants", most);
    at_search_stage stage = {.variants = list.variant, .count = list.count};
    int count = status ? 0 : at_search_sampled.pick(&stage, &random, picked, most);
    for (int i = 0; i < count && !status; i++)
        status = verify_variant(run, &list.variant[picked[i]]);
    free(picked);
    free(list.variant);
    return status;
}

static actune_status verify_interpreter(verify_run *run)
{
    at_reference reference;
    at_verify_report report = {0};
    at_verify_target target = {.interpret = at_interpret, .interpret_kernel = run->kernel};
    actune_status status = at_reference_init(&reference, run->kernel, run->layout, 1);
    if (!status)
        status = at_verify(&reference, &target, &report);
    at_reference_clear(&reference);
    if (!status)
        note(run, "interpreter", &report);
    return status;
}

static actune_status verify_variants(verify_run *run)
{
    at_target target = at_device_target(&run->device);
    int most = run->options->most ? run->options->most : run->cuda ? MOST_ON_CUDA : 0;
    at_variant variant;
    if (run->options->every_variant)
        return most ? verify_sample(run, &target, most) : at_variant_each(run->kernel, run->layout, &target, verify_variant, run);
    AT_TRY(at_variant_default(run->kernel, run->layout, &target, &variant));
    for (int i = 0; i < run->options->settings; i++) {
        char name[64];
        const char *equals = strchr(run->options->setting[i], '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - run->options->setting[i]), run->options->setting[i]);
        AT_TRY(at_variant_set(&variant, name, equals + 1));
    }
    return verify_variant(run, &variant);
}

static actune_status verify_layout(verify_run *run)
{
    if (run->cuda) {
        at_target target = at_device_target(&run->device);
        at_cuda_verifier verifier = {
            .device = run->cuda, .cache = run->cache, .target = &target, .kernel = run->kernel, .layout = run->layout};
        run->verifier = &verifier;
        actune_status status = at_cuda_verifier_init(&verifier);
        if (!status)
            status = verify_variants(run);
        at_cuda_verifier_clear(&verifier);
        return status;
    }
    AT_TRY(run->options->exhaustive ? at_exhaustive_check(run->kernel) : verify_interpreter(run));
    return verify_variants(run);
}

static actune_status verify_layouts(verify_run *run, const at_kernel *kernel, actune_status (*verify)(verify_run *run))
{
    bool is_row = kernel->signature.row.kind != AT_ROW_NONE, is_flat = !kernel->signature.has_channel && !kernel->signature.halves;
    at_layout last = is_row ? AT_LAYOUT_CHANNEL_INNER : is_flat ? AT_LAYOUT_FLAT : AT_LAYOUT_CHANNEL_OUTER;
    run->kernel = kernel;
    for (at_layout layout = is_flat ? AT_LAYOUT_FLAT : AT_LAYOUT_CHANNEL_INNER; layout <= last; layout++) {
        run->layout = layout;
        AT_TRY(verify(run));
    }
    return ACTUNE_OK;
}

static actune_status verify_whole(verify_run *run)
{
    at_verify_report report = {0};
    AT_TRY(cli_verify_passes(run->request, run->kernel, run->layout, &report));
    note(run, "all passes", &report);
    return ACTUNE_OK;
}

/* A property of the spec, whichever variant runs: a line above the table, or an object of its own in JSON. */
static actune_status note_quantisation(verify_run *run, const cli_request *request)
{
    quantise_error error;
    AT_TRY(cli_quantise_error(request->spec, request->dtype_in, &error));
    if (!error.known)
        return ACTUNE_OK;
    if (run->json)
        json_array_append_new(run->json, json_pack("{s:s, s:s, s:f, s:f, s:o}", "spec", run->kernel->spec, "method", "quantisation", "largest_error",
                                                   error.largest, "mean_squared_error", error.mean_square, "sqnr_db",
                                                   isfinite(error.sqnr_db) ? json_real(error.sqnr_db) : json_null()));
    else
        printf("%s: against the unquantised result, on %d normal numbers: largest error %.3g, mean squared %.3g, %.1f dB signal to noise\n", run->kernel->spec,
               QUANTISE_SAMPLES, error.largest, error.mean_square, error.sqnr_db);
    return ACTUNE_OK;
}

static actune_status verify_kernel(verify_run *run, const cli_request *request, actune_direction direction)
{
    at_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status = cli_lower(request, direction, kernel);
    run->kernel = kernel;
    if (!status && direction == ACTUNE_FORWARD && kernel->passes == 0)
        status = note_quantisation(run, request);
    for (int i = 0; !status && i < cli_passes(kernel); i++)
        status = verify_layouts(run, cli_pass(kernel, i), verify_layout);
    run->request = request;
    if (!status && kernel->passes > 0)
        status = verify_layouts(run, kernel, verify_whole);
    at_kernel_clear(kernel);
    free(kernel);
    return status;
}

static actune_status verify_request(verify_run *run, const cli_request *request)
{
    bool neither = !request->forward && !request->backward;
    if (request->forward || neither)
        AT_TRY(verify_kernel(run, request, ACTUNE_FORWARD));
    if (request->backward || neither)
        AT_TRY(verify_kernel(run, request, ACTUNE_BACKWARD));
    return ACTUNE_OK;
}

/* Whether the accuracy class changes its kernels. */
static bool has_classes(const at_activation *activation, actune_dtype dtype)
{
    for (int32_t i = 0; i < activation->graph.count && dtype != ACTUNE_F64; i++)
        if (at_op_get(activation->graph.nodes[i].op)->transcendental)
            return true;
    return false;
}

static actune_status verify_classes(verify_run *run, const at_activation *activation, cli_request *request)
{
    for (at_accuracy class = AT_ACCURACY_EXACT; class <= AT_ACCURACY_FAST; class++) {
        char spec[96];
        snprintf(spec, sizeof spec, "[accuracy=%s] %s", at_accuracy_name(class), activation->name);
        if (class != AT_ACCURACY_STANDARD && !has_classes(activation, request->dtype_in))
            continue;
        request->spec = spec;
        AT_TRY(verify_request(run, request));
    }
    return ACTUNE_OK;
}

/* Every built-in activation in every class; all element types but those of 8 bits unless one is asked for. */
static actune_status verify_all(verify_run *run)
{
    for (int i = 0; i < at_activation_count(); i++)
        for (int d = 0; d < AT_DTYPE_WIDE_COUNT; d++) {
            cli_request request = run->options->request;
            if (request.dtype_given && request.dtype_in != (actune_dtype)d)
                continue;
            if (!request.dtype_given)
                request.dtype_in = request.dtype_out = (actune_dtype)d;
            if (run->options->exhaustive && request.dtype_in == ACTUNE_F64)
                continue;
            AT_TRY(verify_classes(run, at_activation_get(i), &request));
        }
    return ACTUNE_OK;
}

static const struct argp_option own_options[] = {
    {"all", KEY_ALL, 0, 0, "Every built-in activation, in every element type and accuracy class", 3},
    {"variants", KEY_VARIANTS, 0, 0, "Every variant of the search space, not the default alone", 3},
    {"most", KEY_MOST, "N", 0, "With --variants: at most N of a kernel, the default and each knob alone first, then a random rest (on a GPU, whose "
     "spaces have tens of thousands: 48)", 3},
    {"knob", KEY_KNOB, "NAME=VALUE", 0, "Set a knob of the variant by hand (may be repeated)", 3},
    {"exhaustive", KEY_EXHAUSTIVE, 0, 0, "On every number of the type: all 2^32 floats (up to hours; it says how long), all 65,536 of f16 "
     "and bf16; for specs without operands, backward with dy = 1. The maximum is stored with the variant", 4},
    {"part", KEY_PART, "I/N", 0, "With --exhaustive: only part I of N, to share the work out; nothing is stored", 4},
    {"threads", KEY_THREADS, "N", 0, "With --exhaustive: this many threads (default: all)", 4},
    {0}};

static const char doc[] =
    "Runs kernels on special values, odd sizes, misaligned buffers, threads and in place, and compares them with the reference."
    "\vThe reference evaluates the spec's graph in long double, stage by stage from the rounding that went before. Per-channel specs are "
    "verified in both layouts. On a GPU (--device cuda:0) the kernels run there, beside canaries that show a write past a tensor. Exit status 1 when any kernel is out of its accuracy class.\n\n"
    "Examples:\n  actune verify 'bias | gelu' --grad-of bias\n  actune verify '[accuracy=fast] silu' --variants\n  actune verify --all --json\n"
    "  actune verify sigmoid --exhaustive\n  actune verify gelu --device cuda:0 --variants --most 200\n  actune verify gelu --exhaustive --backward --part 1/64\n";

static actune_status open_devices(verify_run *run)
{
    AT_TRY(at_device_get(run->options->request.device, &run->device));
    AT_TRY(at_cache_open(NULL, &run->cache));
    if (run->device.cuda_ordinal < 0)
        return ACTUNE_OK;
    if (run->options->exhaustive)
        return at_fail(ACTUNE_UNSUPPORTED, "--exhaustive runs on the CPU only; on a GPU use --variants");
    return at_cuda_open(run->device.cuda_ordinal, &run->cuda);
}

int cli_verify(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_kernel_argp, 0, 0, 0}, {&cli_shape_argp, 0, 0, 0}, {&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {own_options, parse, "[SPEC]", doc, children, 0, 0};
    static const char *const headings[] = {"spec", "direction", "types", "class", "variant", "", "ULP", "absolute", "of the bound", ""};
    verify_options options = {0};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    if (options.exhaustive || options.request.device) {
        struct sigaction action = {.sa_handler = on_interrupt};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
    }
    verify_run run = {.options = &options, .table = cli_table_new(headings, 10), .json = options.request.json ? json_array() : NULL};
    actune_status status = open_devices(&run);
    if (!status && options.exhaustive && !options.parts) /* before hours of work, not after */
        status = at_store_open(options.request.database, AT_STORE_WRITE, &run.store);
    if (!status)
        status = options.all ? verify_all(&run) : verify_request(&run, &options.request);
    at_store_close(run.store);
    at_cuda_close(run.cuda);
    at_cache_close(run.cache);
    if (run.json)
        cli_print_json(run.json);
    if (!run.json && run.passed + run.failed)
        cli_table_print(run.table, stdout);
    else
        cli_table_free(run.table);
    if (status)
        return cli_report(status);
    if (!run.json)
        printf("%d passed, %d failed, %d forms that cannot reach the class left out\n", run.passed, run.failed, run.impossible);
    return run.failed ? CLI_FAILED : CLI_OK;
}
