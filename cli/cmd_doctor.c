/* actune doctor: what keeps actune from working well here. */
#include "device_run.h"
#include "request.h"
#include "stats_advice.h"

#include "codegen/parse_clang.h"
#include "db/store.h"
#include "runtime/backend/cpu.h"
#include "runtime/backend/cudnn.h"
#include "runtime/backend/nvrtc.h"
#include <stdlib.h>
#include <string.h>

typedef enum verdict { GOOD, LIMITED, BROKEN, ABSENT } verdict; /* ABSENT: nobody needs it */

typedef struct report {
    json_t *json; /* array, NULL: text */
    int broken;
} report;

static void say(report *r, verdict v, const char *what, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(report *r, verdict v, const char *what, const char *format, ...)
{
    static const char *const words[] = {"ok", "limited", "broken", "none"};
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->broken += v == BROKEN;
    if (r->json)
        json_array_append_new(r->json, json_pack("{s:s, s:s, s:s}", "check", what, "verdict", words[v], "detail", text));
    else
        printf("%-8s %-11s %s\n", words[v], what, text);
}

static void check_device(report *r)
{
    at_device d;
    if (at_device_get("cpu", &d))
        say(r, BROKEN, "device", "%s", actune_last_error());
    else
        say(r, GOOD, "device", "%s, %s, %d processors", d.model, d.capability, d.processors);
}

static void check_compiler(report *r)
{
    const at_compiler *compiler;
    if (at_compiler_get(&compiler))
        say(r, LIMITED, "compiler", "%s. Without one, cached kernels and the interpreter serve every spec, about half as fast",
            actune_last_error());
    else
        say(r, GOOD, "compiler", "%s (%s)", compiler->path, compiler->version);
}

static void check_libclang(report *r)
{
    const char *version = at_parse_c_version();
    if (*version)
        say(r, GOOD, "libclang", "version %s", version);
    else
        say(r, LIMITED, "libclang", "not found: built-in activations work, your own C functions (@file.c:function) do not. "
                                    "Install libclang1 or set ACTUNE_LIBCLANG to the library's path");
}

static void check_cache(report *r)
{
    at_cache *cache;
    if (at_cache_open(NULL, &cache)) {
        say(r, BROKEN, "cache", "%s", actune_last_error());
        return;
    }
    bool noexec = at_cache_is_noexec(cache);
    say(r, noexec ? LIMITED : GOOD, "cache", "%s%s", at_cache_folder(cache),
        noexec ? " is on a mount that forbids execution (noexec): kernels are interpreted; set XDG_CACHE_HOME to a folder elsewhere" : "");
    at_cache_close(cache);
}

static actune_status count_choice(void *user, const at_store_choice *choice)
{
    (void)choice;
    ++*(int *)user;
    return ACTUNE_OK;
}

static void check_database(report *r, const char *path)
{
    at_store *store;
    int winners = 0;
    if (at_store_open(path, AT_STORE_READ, &store)) {
        say(r, BROKEN, "database", "%s", actune_last_error());
        return;
    }
    if (!store) {
        say(r, LIMITED, "database", "none yet: default kernels run. `actune tune SPEC` makes it");
        return;
    }
    at_device device;
    if (at_device_get("cpu", &device) || at_store_each_choice(store, device.id, NULL, count_choice, &winners))
        say(r, BROKEN, "database", "%s", actune_last_error());
    else
        say(r, winners ? GOOD : LIMITED, "database", "%s, %d winner%s for this device", at_store_path(store), winners,
            winners == 1 ? "" : "s");
    at_store_close(store);
}

/* The whole way, on a tiny tensor: parse, generate, compile, load, run. */
static void check_run(report *r, const char *device)
{
    char what[32];
    actune_context *context;
    actune_plan *plan;
    float x[5] = {-7, -1, 0, 1, 7}, y[5] = {0};
    actune_context_options options = {.database = "", .device = device};
    actune_plan_desc desc = {.spec = "gelu_tanh | clip(-6, 6)", .shape = {1, 1, 5}};
    snprintf(what, sizeof what, device ? "run %s" : "run", device);
    if (actune_context_open(&options, &context)) {
        say(r, BROKEN, what, "%s", actune_last_error());
        return;
    }
    if (actune_plan_create(context, &desc, &plan))
        say(r, BROKEN, what, "%s", actune_last_error());
    else {
        actune_buffer buffers[] = {{x, 5, ACTUNE_F32}, {y, 5, ACTUNE_F32}};
        actune_plan_info info;
        actune_plan_describe(plan, &info);
        if (cli_execute(plan, device, buffers, 2))
            say(r, BROKEN, what, "%s", actune_last_error());
        else if (y[4] != 6 || y[2] != 0)
            say(r, BROKEN, what, "a kernel gave %g where 6 is right", (double)y[4]);
        else
            say(r, strcmp(info.variant, "interpreter") ? GOOD : LIMITED, what, "%s%s%s", info.variant, *info.note ? ": " : "", info.note);
        actune_plan_destroy(plan);
    }
    actune_context_close(context);
}

static void check_nvrtc(report *r, bool wanted)
{
    int major, minor;
    const char *path;
    if (at_nvrtc_version(&major, &minor, &path))
        say(r, wanted ? LIMITED : ABSENT, "nvrtc", "%s", actune_last_error());
    else
        say(r, GOOD, "nvrtc", "%d.%d, %s", major, minor, path);
}

static void check_cudnn(report *r)
{
    const char *version, *path;
    if (at_cudnn_version(&version, &path))
        say(r, ABSENT, "cudnn", "%s. Kernels of our own serve every spec", actune_last_error());
    else
        say(r, GOOD, "cudnn", "%s, %s", version, path);
}

/* A GPU is nothing that has to be there; one that is there has to work. */
static void check_cuda(report *r)
{
    int count = 0;
    if (at_cuda_count(&count)) {
        say(r, ABSENT, "cuda", "%s", actune_last_error());
        check_nvrtc(r, false);
        return;
    }
    for (int i = 0; i < count; i++) {
        char name[24];
        at_device d;
        snprintf(name, sizeof name, "cuda:%d", i);
        if (at_device_get(name, &d))
            say(r, BROKEN, name, "%s", actune_last_error());
        else
            say(r, GOOD, name, "%s, %s, %d multiprocessors, driver for CUDA %d.%d", d.model, d.capability, d.processors, d.driver / 1000,
                d.driver % 1000 / 10);
    }
    int major, minor;
    const char *path;
    check_nvrtc(r, true);
    check_cudnn(r);
    for (int i = 0; i < count && !at_nvrtc_version(&major, &minor, &path); i++) {
        char name[24];
        snprintf(name, sizeof name, "cuda:%d", i);
        check_run(r, name);
    }
}

typedef struct doctor {
    cli_request request;
    const char *stats;
} doctor;

static error_t parse(int key, char *text, struct argp_state *state)
{
    doctor *d = state->input;
    if (key == 's')
        d->stats = text;
    else if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = &d->request;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

int cli_doctor(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"stats", 's', "FILE", 0, "Advice from a training run's statistics instead: an events.out.tfevents file, or the lines of JSON beside it", 0},
        {0}};
    static const struct argp_child children[] = {{&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {options, parse, 0,
                                     "Checks the device, the compiler, libclang, the kernel cache, the database, and runs one kernel; then the GPUs "
                                     "with their driver, NVRTC and cuDNN, and runs one kernel on each."
                                     "\vExit status: 0 when nothing is broken (limits are reported, and what is not there), 1 otherwise; with --stats "
                                     "1 when values are not finite.\n"
                                     "Example: actune doctor --stats runs/today/events.out.tfevents.*\n",
                                     children, 0, 0};
    doctor d = {.stats = NULL};
    cli_request_init(&d.request);
    argp_parse(&argp, argc, argv, 0, 0, &d);
    if (d.stats)
        return cli_stats_advise(d.stats, d.request.json);
    const cli_request request = d.request;
    report r = {.json = request.json ? json_array() : NULL};
    check_device(&r);
    check_compiler(&r);
    check_libclang(&r);
    check_cache(&r);
    check_database(&r, request.database);
    check_run(&r, NULL);
    check_cuda(&r);
    if (r.json && cli_print_json(r.json))
        return CLI_FAILED;
    return r.broken ? CLI_FAILED : CLI_OK;
}
