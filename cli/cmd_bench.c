/* actune bench: what a kernel costs here, beside its default, a plain loop and copies of the same bytes. */
#include "bench_batch.h"
#include "request.h"

#include "db/store.h"
#include "runtime/base/dtype.h"
#include "tuner/compare.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZES = 0x200, KEY_CHANNELS, KEY_ROUNDS, KEY_THREADS, KEY_IN_PLACE, KEY_BATCH, SIZES_MAX = 32, SPECS_MAX = 64, LOCK_WAIT_S = 60 };

typedef struct bench_options {
    cli_request request;
    const char *spec[SPECS_MAX];
    int specs, sizes, rounds, threads;
    int64_t size[SIZES_MAX], channels;
    bool in_place;
    const char *batch;
} bench_options;

static volatile int stop;

static void on_interrupt(int signal_number)
{
    stop = 1;
    signal(signal_number, SIG_DFL);
}

static int parse_number(char *text, int least, int most, const char *option, struct argp_state *state)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < least || value > most)
        argp_error(state, "%s takes a number from %d to %d, not '%s'", option, least, most, text);
    return (int)value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    bench_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        for (int i = 0; i < 4; i++)
            state->child_inputs[i] = &options->request;
        return 0;
    case ARGP_KEY_ARG:
        if (options->specs == SPECS_MAX)
            argp_error(state, "at most %d specs at once", SPECS_MAX);
        options->spec[options->specs++] = text;
        return 0;
    case KEY_SIZES:
        if (!cli_parse_sizes(text, options->size, SIZES_MAX, &options->sizes))
            argp_error(state, "--sizes takes up to %d numbers of elements as 16K,256K,4M", SIZES_MAX);
        return 0;
    case KEY_CHANNELS:
        if (!cli_parse_count(text, &options->channels) || options->channels < 1)
            argp_error(state, "--channels takes a number, not '%s'", text);
        return 0;
    case KEY_ROUNDS:
        options->rounds = parse_number(text, 3, AT_SAMPLES_MAX, "--rounds", state);
        return 0;
    case KEY_THREADS:
        options->threads = parse_number(text, 1, 4096, "--threads", state);
        return 0;
    case KEY_IN_PLACE:
        options->in_place = true;
        return 0;
    case KEY_BATCH:
        options->batch = text;
        return 0;
    case ARGP_KEY_END:
        if (options->batch && (options->specs || options->sizes || options->request.rank))
            argp_error(state, "--batch takes specs and shapes from its file");
        if (!options->specs && !options->batch)
            argp_error(state, "a SPEC is needed, e.g. 'gelu_tanh | clip(-6, 6)'");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

typedef struct bench_run {
    const bench_options *options;
    const at_comparer *comparer;
    cli_table *table;
    json_t *json;
    double noise; /* the worst of all */
} bench_run;

static void print_line(bench_run *run, const at_kernel *kernel, actune_shape shape, const at_comparison *c, const at_compare_line *line)
{
    int64_t elements = shape.outer * shape.channels * shape.inner;
    const char *what = !strcmp(line->name, "tuned") ? c->tuned : !strcmp(line->name, "default") ? c->plain : "";
    cli_table_row(run->table, "%s\t%s\t%s\t%s\t%s\t+- %.1f %%\t%.1f\t%.2f\t%s%s%s%s", kernel->spec,
                  kernel->signature.direction == ACTUNE_BACKWARD ? "backward" : "forward", cli_count(elements), line->name,
                  cli_duration(line->median_ns), 50 * (line->high_ns - line->low_ns) / line->median_ns, line->gbps, line->speed.median, what,
                  *what && what == c->tuned ? " (" : "", what == c->tuned ? c->tier : "", what == c->tuned ? ")" : "");
}

static json_t *json_of(const at_kernel *kernel, actune_shape shape, const at_comparison *c)
{
    json_t *arms = json_array();
    for (int i = 0; i < c->lines; i++) {
        const at_compare_line *l = &c->line[i];
        json_array_append_new(arms, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "name", l->name, "median_ns", l->median_ns, "low_ns",
                                              l->low_ns, "high_ns", l->high_ns, "gbps", l->gbps, "speed_of_memcpy", l->speed.median,
                                              "speed_low", l->speed.low, "speed_high", l->speed.high));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:[I,I,I], s:s, s:i, s:i, s:f, s:s, s:s, s:s, s:o}", "spec", kernel->spec, "direction",
                     kernel->signature.direction == ACTUNE_BACKWARD ? "backward" : "forward", "dtype_in",
                     at_dtype_get(kernel->signature.dtype_in)->name, "dtype_out", at_dtype_get(kernel->signature.dtype_out)->name, "shape",
                     (json_int_t)shape.outer, (json_int_t)shape.channels, (json_int_t)shape.inner, "regime", c->cold ? "cold" : "warm",
                     "rounds", c->rounds, "buffer_sets", c->sets, "noise", c->noise, "tuned", c->tuned, "tier", c->tier, "default", c->plain,
                     "arms", arms);
}

static actune_status bench_shape(bench_run *run, const at_kernel *kernel, actune_shape shape)
{
    at_comparison result;
    at_compare_request request = {.kernel = kernel,
                                  .shape = shape,
                                  .in_place = run->options->in_place,
                                  .rounds = run->options->rounds,
                                  .seed = 1,
                                  .stop = &stop};
    AT_TRY(at_compare(run->comparer, &request, &result));
    run->noise = result.noise > run->noise ? result.noise : run->noise;
    if (run->json)
        json_array_append_new(run->json, json_of(kernel, shape, &result));
    for (int i = 0; !run->json && i < result.lines; i++)
        print_line(run, kernel, shape, &result, &result.line[i]);
    return ACTUNE_OK;
}

static actune_status bench_kernel(bench_run *run, const at_kernel *kernel)
{
    static const int64_t usual[] = {16384, 262144, 4194304};
    const bench_options *options = run->options;
    const at_signature *signature = &kernel->signature;
    if (options->in_place)
        AT_TRY(cli_in_place(kernel));
    if (options->request.rank > 0) {
        actune_shape shape;
        AT_TRY(cli_shape(options->request.dim, options->request.rank, options->request.layout, signature, &shape));
        return bench_shape(run, kernel, shape);
    }
    int count = options->sizes ? options->sizes : (int)(sizeof usual / sizeof *usual);
    for (int i = 0; i < count; i++)
        AT_TRY(bench_shape(run, kernel, cli_shape_of_size(options->sizes ? options->size[i] : usual[i], options->channels, signature)));
    return ACTUNE_OK;
}

static actune_status bench_spec(bench_run *run, const char *spec)
{
    cli_request request = run->options->request;
    bool neither = !request.forward && !request.backward;
    request.spec = spec;
    actune_status status = ACTUNE_OK;
    at_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    for (int d = 0; d < 2 && !status; d++) {
        if (d == 0 ? !request.forward && !neither : !request.backward)
            continue;
        status = cli_lower(&request, d ? ACTUNE_BACKWARD : ACTUNE_FORWARD, kernel);
        for (int i = 0; !status && i < cli_passes(kernel); i++)
            status = bench_kernel(run, cli_pass(kernel, i));
        at_kernel_clear(kernel);
    }
    free(kernel);
    return status;
}

/* Nobody measures beside us. */
static actune_status run_all(bench_run *run, const at_device *device)
{
    at_device_lock *lock = NULL;
    AT_TRY(at_device_lock_take(device->id, LOCK_WAIT_S, &lock));
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < run->options->specs && !status; i++)
        status = bench_spec(run, run->options->spec[i]);
    at_device_lock_release(lock);
    return status;
}

static actune_status open_and_run(bench_run *run)
{
    at_device device;
    at_cache *cache;
    at_comparer comparer = {0};
    AT_TRY(at_device_get(run->options->request.device, &device));
    AT_TRY(at_cache_open(NULL, &cache));
    actune_status status = at_comparer_open(cache, &device, run->options->request.database, run->options->threads, &comparer);
    run->comparer = &comparer;
    if (!status)
        status = run_all(run, &device);
    at_comparer_close(&comparer);
    at_cache_close(cache);
    return status;
}

static const struct argp_option own_options[] = {
    {"sizes", KEY_SIZES, "N,N...", 0, "Elements (default: 16K,256K,4M)", 3},
    {"channels", KEY_CHANNELS, "N", 0, "Channels of per-channel specs when no --shape is given (default 1024)", 3},
    {"in-place", KEY_IN_PLACE, 0, 0, "Output over input (backward: dx over dy)", 3},
    {"batch", KEY_BATCH, "FILE", 0, "The layers of this file (JSON Lines, as tune's --workload; \"count\" is that many members) as one batch, beside their plans one by one", 3},
    {"rounds", KEY_ROUNDS, "N", 0, "Interleaved rounds (default 21)", 4},
    {"threads", KEY_THREADS, "N", 0, "At most this many threads a kernel", 4},
    {0}};

static const char doc[] =
    "Measures a kernel where it will run: the winner of the database (\"tuned\"), the same once more (\"null\": how far it is from \"tuned\" is the "
    "noise), the default variant, a plain loop as the compiler vectorises it, memcpy and our own copy of the same bytes."
    "\vAll are timed in every round, in random order; shown are medians, half the 95 % interval, GB/s (each input read once, each output "
    "written once) and the speed beside memcpy, paired round by round. Tensors beyond the cache are met cold. Only figures of one run can "
    "be compared. On a GPU memcpy is the driver's copy from device memory to device memory, and cuDNN stands beside what it has (ACTUNE_CUDNN). "
    "Nothing is stored; run `actune tune SPEC` first, or \"tuned\" is the default.\n\n"
    "Examples:\n"
    "  actune bench gelu_tanh 'bias | relu' --sizes 64K,1M\n"
    "  actune bench 'bias | silu' --backward --grad-of bias --shape 512x4096 --json\n"
    "  actune bench --batch experts.jsonl --threads 2\n"
    "  actune bench gelu --device cuda:0 --dtype f16 --sizes 1M,256M\n";

static void interrupted(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int cli_bench(int argc, char **argv)
{
    static const char *const headings[] = {"spec", "direction", "elements", "arm", "time", "spread", "GB/s", "x memcpy", "variant"};
    static const struct argp_child children[] = {
        {&cli_kernel_argp, 0, 0, 0}, {&cli_shape_argp, 0, 0, 0}, {&cli_device_argp, 0, 0, 0}, {&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {own_options, parse, "SPEC...", doc, children, 0, 0};
    bench_options options = {.channels = 1024, .rounds = 21};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    interrupted();
    if (options.batch)
        return cli_bench_batch(&(bench_batch_options){.request = &options.request,
                                                      .path = options.batch,
                                                      .rounds = options.rounds,
                                                      .threads = options.threads,
                                                      .in_place = options.in_place,
                                                      .stop = &stop});
    bool json = options.request.json;
    bench_run run = {.options = &options, .table = json ? NULL : cli_table_new(headings, 9), .json = json ? json_array() : NULL};
    actune_status status = open_and_run(&run);
    if (run.table) {
        cli_table_print(run.table, stdout); /* what was measured before an error, too */
        if (!status)
            printf("noise: the same kernel twice differed by %.1f %%\n", 100 * run.noise);
    }
    if (status) {
        json_decref(run.json);
        return cli_report(status);
    }
    return json ? cli_print_json(run.json) : CLI_OK;
}
