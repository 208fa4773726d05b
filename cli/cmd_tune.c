/* actune tune: find the fastest kernels on this machine and store them. */
#include "recorded.h"
#include "tune_report.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_WORKLOAD = 0x200, KEY_ALL, KEY_SIZES, KEY_CHANNELS, KEY_BUDGET, KEY_STRATEGY, KEY_SEED, KEY_FORCE, KEY_THREADS, KEY_MODEL_BATCH, KEY_IN_PLACE, KEY_RECORDED, SIZES_MAX = 32 };

typedef struct tune_options {
    cli_request request;
    at_tune_options how;
    const char *workload;
    bool all, in_place, recorded;
    int64_t size[SIZES_MAX], channels, batch;
    int sizes;
} tune_options;

/* What is to be tuned: the kernels are owned here or by the workload. */
typedef struct tune_plan {
    at_tune_item *item;
    at_tune_result *result;
    at_kernel **owned;
    int items, kernels;
    workload work;
    recorded asked;
} tune_plan;

static volatile sig_atomic_t interrupted;
static volatile int stop;

static void on_interrupt(int signal_number)
{
    stop = 1;
    if (interrupted++)
        signal(signal_number, SIG_DFL); /* a third Ctrl-C ends it at once */
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    tune_options *options = state->input;
    char *end = NULL;
    switch (key) {
    case ARGP_KEY_INIT:
        for (int i = 0; i < 4; i++)
            state->child_inputs[i] = &options->request;
        return 0;
    case KEY_WORKLOAD:
        options->workload = text;
        return 0;
    case KEY_ALL:
        options->all = true;
        return 0;
    case KEY_SIZES:
        if (!cli_parse_sizes(text, options->size, SIZES_MAX, &options->sizes))
            argp_error(state, "--sizes takes up to %d numbers of elements as 16K,256K,4M", SIZES_MAX);
        return 0;
    case KEY_CHANNELS:
        if (!cli_parse_count(text, &options->channels) || options->channels < 1)
            argp_error(state, "--channels takes a number, not '%s'", text);
        return 0;
    case KEY_MODEL_BATCH:
        if (!cli_parse_count(text, &options->batch))
            argp_error(state, "--batch takes a number, not '%s'", text);
        return 0;
    case KEY_BUDGET:
        options->how.budget_s = strtod(text, &end);
        if (*end || !(options->how.budget_s > 0))
            argp_error(state, "--budget takes seconds, not '%s'", text);
        return 0;
    case KEY_STRATEGY:
        options->how.strategy = text;
        return 0;
    case KEY_SEED:
        options->how.seed = strtoll(text, &end, 10);
        if (*end)
            argp_error(state, "--seed takes a whole number, not '%s'", text);
        return 0;
    case KEY_THREADS:
        options->how.max_threads = atoi(text);
        if (options->how.max_threads < 1)
            argp_error(state, "--threads takes a number of at least 1, not '%s'", text);
        return 0;
    case KEY_IN_PLACE:
        options->in_place = true;
        return 0;
    case KEY_RECORDED:
        options->recorded = true;
        return 0;
    case KEY_FORCE:
        options->how.force = true;
        return 0;
    case ARGP_KEY_END:
        if (!options->request.spec + !options->workload + !options->all + !options->recorded != 3)
            argp_error(state, "one of SPEC, --workload FILE, --all and --recorded is needed");
        if (options->recorded && options->in_place)
            argp_error(state, "--in-place does not go with --recorded: what was asked for says it itself");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* Of several passes only the last one writes y or dx. */
static bool writes_tensor(const at_kernel *kernel)
{
    return kernel->signature.port[kernel->signature.inputs].reduction == AT_REDUCTION_NONE;
}

/* A workload's rows and `--all` have types that differ: what cannot be in place is an error where one spec was asked for. */
static actune_status take_in_place(const tune_options *options, tune_plan *plan)
{
    for (int i = 0; options->in_place && i < plan->items; i++) {
        AT_TRY(cli_in_place(plan->item[i].kernel));
        plan->item[i].in_place = writes_tensor(plan->item[i].kernel);
    }
    return ACTUNE_OK;
}

static at_tune_item *add_item(tune_plan *plan, const at_kernel *kernel, actune_shape shape)
{
    at_tune_item *items = realloc(plan->item, (size_t)(plan->items + 1) * sizeof *items);
    if (!items)
        return NULL;
    plan->item = items;
    items[plan->items] = (at_tune_item){.kernel = kernel, .shape = shape};
    return &items[plan->items++];
}

/* All passes of the kernel, or itself. */
static actune_status add_items(tune_plan *plan, const at_kernel *kernel, actune_shape shape)
{
    for (int i = 0; i < cli_passes(kernel); i++)
        if (!add_item(plan, cli_pass(kernel, i), shape))
            return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    return ACTUNE_OK;
}

static actune_status own_kernel(tune_plan *plan, const cli_request *request, actune_direction direction, at_kernel **kernel)
{
    at_kernel **owned = realloc(plan->owned, (size_t)(plan->kernels + 1) * sizeof *owned);
    *kernel = calloc(1, sizeof **kernel);
    if (owned)
        plan->owned = owned;
    if (!owned || !*kernel) {
        free(*kernel);
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    }
    plan->owned[plan->kernels++] = *kernel;
    return cli_lower(request, direction, *kernel);
}

/* One direction of one spec over its sizes. Per-channel specs without --shape are tuned as rows of --channels. */
static actune_status plan_spec(const tune_options *options, const cli_request *request, actune_direction direction, tune_plan *plan)
{
    static const int64_t grid[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216};
    at_kernel *kernel;
    AT_TRY(own_kernel(plan, request, direction, &kernel));
    actune_shape shape;
    if (request->rank > 0) {
        AT_TRY(cli_shape(request->dim, request->rank, request->layout, &kernel->signature, &shape));
        return add_items(plan, kernel, shape);
    }
    const int64_t *size = options->sizes ? options->size : grid;
    int sizes = options->sizes ? options->sizes : (int)(sizeof grid / sizeof *grid);
    for (int i = 0; i < sizes; i++)
        AT_TRY(add_items(plan, kernel, cli_shape_of_size(size[i], options->channels, &kernel->signature)));
    return ACTUNE_OK;
}

static actune_status plan_directions(const tune_options *options, const cli_request *request, tune_plan *plan)
{
    bool neither = !request->forward && !request->backward;
    if (request->forward || neither)
        AT_TRY(plan_spec(options, request, ACTUNE_FORWARD, plan));
    if (request->backward || neither)
        AT_TRY(plan_spec(options, request, ACTUNE_BACKWARD, plan));
    return ACTUNE_OK;
}

static actune_status plan_workload(const tune_options *options, tune_plan *plan)
{
    AT_TRY(workload_read(options->workload, &plan->work));
    workload_keep(&plan->work, options->request.dtype_given ? &options->request.dtype_in : NULL, options->request.layout,
                  options->request.forward, options->request.backward, options->batch);
    if (plan->work.rows == 0)
        return at_fail(ACTUNE_NOT_FOUND, "%s has no row for these --batch, --dtype, --layout and --direction; `grep` shows what it has", options->workload);
    int next = 0;
    for (int i = 0; i < plan->work.rows; i++)
        if (plan->work.row[i].item == next) {
            next++;
            if (!add_item(plan, plan->work.row[i].kernel, plan->work.row[i].shape))
                return at_fail(ACTUNE_NO_MEMORY, "out of memory");
        }
    return ACTUNE_OK;
}

/* What cannot be tuned (its file is gone, it names what another version had) is told and stays. */
static actune_status plan_recorded(const tune_options *options, tune_plan *plan)
{
    at_device device;
    AT_TRY(at_device_get(options->request.device, &device));
    AT_TRY(recorded_read(options->request.database, device.id, &plan->asked));
    for (int i = 0; i < plan->asked.rows; i++) {
        recorded_row *row = &plan->asked.row[i];
        at_kernel *kernel;
        actune_status status = ACTUNE_OK;
        if (!row->skipped)
            status = own_kernel(plan, &row->kernel, row->backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, &kernel);
        if (status == ACTUNE_NO_MEMORY)
            return status;
        if (row->skipped || status) {
            fprintf(stderr, "actune: left as it is: %s: %s\n", row->request.spec, row->skipped ? row->skipped : actune_last_error());
            continue;
        }
        row->item = plan->items;
        AT_TRY(add_items(plan, kernel, row->request.shape));
        row->items = plan->items - row->item;
        for (int k = row->item; k < plan->items; k++)
            plan->item[k].in_place = row->request.in_place && writes_tensor(plan->item[k].kernel);
    }
    return ACTUNE_OK;
}

/* What was tuned is no longer asked for. */
static actune_status drop_recorded(const tune_options *options, const tune_plan *plan)
{
    for (int i = 0; i < plan->asked.rows; i++) {
        const recorded_row *row = &plan->asked.row[i];
        bool tuned = row->item >= 0;
        for (int k = row->item; tuned && k < row->item + row->items; k++)
            tuned = plan->result[k].status == ACTUNE_OK && *plan->result[k].variant;
        if (tuned)
            AT_TRY(recorded_drop(options->request.database, row));
    }
    return ACTUNE_OK;
}

static actune_status make_plan(tune_options *options, tune_plan *plan)
{
    actune_status status = ACTUNE_OK;
    if (options->workload)
        status = plan_workload(options, plan);
    else if (options->recorded)
        status = plan_recorded(options, plan);
    else if (options->all)
        for (int i = 0; i < at_activation_count() && !status; i++) {
            cli_request request = options->request;
            request.spec = at_activation_get(i)->name;
            status = plan_directions(options, &request, plan);
        }
    else
        status = plan_directions(options, &options->request, plan);
    if (!status)
        status = take_in_place(options, plan);
    if (!status && plan->items) {
        plan->result = calloc((size_t)plan->items, sizeof *plan->result);
        if (!plan->result)
            status = at_fail(ACTUNE_NO_MEMORY, "out of memory");
    }
    return status;
}

static void clear_plan(tune_plan *plan)
{
    for (int i = 0; i < plan->kernels; i++) {
        at_kernel_clear(plan->owned[i]);
        free(plan->owned[i]);
    }
    free(plan->owned);
    free(plan->item);
    free(plan->result);
    workload_clear(&plan->work);
    recorded_clear(&plan->asked);
}

/* A line that is rewritten on a terminal, one line every five seconds elsewhere. */
static void show_progress(void *user, const at_tune_progress *progress)
{
    static double last = -10;
    bool terminal = *(bool *)user;
    if (progress->elapsed_s - last < (terminal ? 0.1 : 5))
        return;
    last = progress->elapsed_s;
    fprintf(stderr, "%s%3d %%  %-8s  %.40s  %.0f s, about %.0f s left%s", terminal ? "\r\033[K" : "",
            progress->total ? 100 * progress->done / progress->total : 0, progress->step, progress->kernel_spec,
            progress->elapsed_s, progress->eta_s, terminal ? "" : "\n");
}

static actune_status run(tune_options *options, tune_plan *plan, at_device *device)
{
    bool terminal = isatty(STDERR_FILENO);
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    options->how.stop = &stop;
    options->how.progress = show_progress;
    options->how.user = &terminal;
    at_store *store = NULL;
    at_cache *cache = NULL;
    actune_status status = at_device_get(options->request.device, device);
    if (!status)
        status = at_store_open(options->request.database, AT_STORE_WRITE, &store);
    if (!status)
        status = at_cache_open(NULL, &cache);
    if (!status)
        status = at_tune(store, cache, device, plan->item, plan->items, &options->how, plan->result);
    if (terminal)
        fputs("\r\033[K", stderr);
    at_cache_close(cache);
    at_store_close(store);
    return status;
}

static const struct argp_option own_options[] = {
    {"workload", KEY_WORKLOAD, "FILE", 0, "Tune a network's layers: JSON Lines of spec, direction, dtype, layout, shape, count", 3},
    {"all", KEY_ALL, 0, 0, "Tune every built-in activation", 3},
    {"recorded", KEY_RECORDED, 0, 0, "Tune what programs in the tuning mode 'record' asked for on this device and the database had no winner of", 3},
    {"batch", KEY_MODEL_BATCH, "N", 0, "With --workload: only rows of this batch (first extent of the shape)", 3},
    {"sizes", KEY_SIZES, "N,N...", 0, "Elements, as 16K,256K,4M (default: ten sizes from 64 to 16M)", 3},
    {"channels", KEY_CHANNELS, "N", 0, "Channels of per-channel specs when no --shape is given (default 1024)", 3},
    {"budget", KEY_BUDGET, "SECONDS", 0, "Stop measuring after this time; the best so far is stored", 4},
    {"strategy", KEY_STRATEGY, "NAME", 0, "exhaustive (default, in two stages) or random", 4},
    {"seed", KEY_SEED, "N", 0, "Seed of everything random in the session", 4},
    {"threads", KEY_THREADS, "N", 0, "At most this many threads a kernel", 4},
    {"in-place", KEY_IN_PLACE, 0, 0, "Output over input (backward: dx over dy): winners of their own, for plans that are in place", 3},
    {"force", KEY_FORCE, 0, 0, "Measure again what the database already answers", 4},
    {0}};

static const char doc[] =
    "Finds the fastest kernel for each size on this machine, checks it against the reference, and stores it."
    "\vForward and backward, unless --direction or --backward says which. What is stored already is not measured again; after Ctrl-C or a kill the same command goes on where it stopped.\n\n"
    "Examples:\n"
    "  actune tune 'gelu_tanh | clip(-6, 6)' --dtype f32\n"
    "  actune tune 'bias | gelu' --dtype bf16 --shape 512x4096\n"
    "  actune tune --recorded\n"
    "  actune tune --workload bench/workloads/resnet152.jsonl --batch 1 --dtype f32\n\n"
    "Files: the database (--db, ACTUNE_DB, else $XDG_DATA_HOME/actune/actune.db), compiled kernels in $XDG_CACHE_HOME/actune.\n";

int cli_tune(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_kernel_argp, 0, 0, 0}, {&cli_shape_argp, 0, 0, 0}, {&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {own_options, parse, "[SPEC]", doc, children, 0, 0};
    tune_options options = {.channels = 1024};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    tune_plan plan = {0};
    at_device device;
    actune_status status = make_plan(&options, &plan);
    if (!status && plan.items)
        status = run(&options, &plan, &device);
    if (!status || status == ACTUNE_INTERRUPTED) {
        actune_status dropped = drop_recorded(&options, &plan);
        status = dropped ? dropped : status;
    }
    int exit_status = CLI_OK;
    if (options.recorded && !status && !plan.items)
        fprintf(stderr, "actune: nothing that could be tuned was asked for on this device\n");
    if (status && status != ACTUNE_INTERRUPTED)
        exit_status = cli_report(status);
    else {
        if (plan.items || !options.recorded || options.request.json)
            exit_status = tune_report(plan.item, plan.result, plan.items, &plan.work, options.request.json);
        if (status == ACTUNE_INTERRUPTED)
            exit_status = cli_complain(CLI_FAILED, "interrupted; what was measured is stored, the same command goes on from here");
    }
    clear_plan(&plan);
    return exit_status;
}
