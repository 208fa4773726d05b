/* actune db: check and dump. */
#include "request.h"

#include "db/store.h"
#include <string.h>

typedef struct db_options {
    cli_request request;
    const char *action;
} db_options;

static error_t parse(int key, char *text, struct argp_state *state)
{
    db_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->request;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0 || (strcmp(text, "check") && strcmp(text, "dump")))
            argp_error(state, "the action is check or dump, not '%s'", text);
        options->action = text;
        return 0;
    case ARGP_KEY_END:
        if (!options->action)
            argp_error(state, "an action is needed: check or dump");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static actune_status print_finding(void *user, const char *line)
{
    json_t *findings = user;
    if (findings)
        json_array_append_new(findings, json_string(line));
    else
        printf("  %s\n", line);
    return ACTUNE_OK;
}

static int check(at_store *store, bool json)
{
    json_t *findings = json ? json_array() : NULL;
    actune_status status = at_store_check(store, print_finding, findings);
    if (json) {
        cli_print_json(json_pack("{s:s, s:b, s:o}", "path", at_store_path(store), "sound", status == ACTUNE_OK, "findings", findings));
        return status ? CLI_FAILED : CLI_OK;
    }
    if (status)
        return cli_report(status);
    printf("%s is sound\n", at_store_path(store));
    return CLI_OK;
}

static actune_status dump_kernel(void *user, const at_store_kernel *k)
{
    json_array_append_new(user, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "hash", k->hash, "spec", k->spec, "direction", k->direction,
                                          "dtype_in", k->dtype_in, "dtype_out", k->dtype_out, "accuracy", k->accuracy));
    return ACTUNE_OK;
}

static actune_status dump_device(void *user, const at_store_device *d)
{
    json_array_append_new(user, json_pack("{s:s, s:s, s:s, s:s, s:I}", "id", d->id, "kind", d->kind, "model", d->model, "capability",
                                          d->capability, "processors", (json_int_t)d->processors));
    return ACTUNE_OK;
}

static json_t *workload_json(const at_store_workload *w)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:b, s:s}", "layout", w->layout, "size_bucket", w->size_bucket, "channel_bucket",
                     w->channel_bucket, "inner_bucket", w->inner_bucket, "in_place", w->in_place, "regime", w->regime);
}

static actune_status dump_choice(void *user, const at_store_choice *c)
{
    json_array_append_new(user, json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:s, s:s}", "device", c->device, "kernel",
                                          c->kernel, "workload", workload_json(&c->workload), "variant", c->variant_text, "source_hash",
                                          c->source_hash, "ours", c->ours_text, "median_ns", c->median_ns, "ratio_to_copy", c->ratio_to_copy,
                                          "gain_over_default", c->gain_over_default, "pct_roof", c->pct_roof, "margin", c->margin, "tie_set",
                                          c->tie_set ? c->tie_set : "", "origin", c->origin ? c->origin : ""));
    return ACTUNE_OK;
}

static actune_status dump_measurement(void *user, const char *variant_text, const at_store_measurement *m)
{
    json_t *samples = json_array();
    for (int i = 0; i < m->samples; i++)
        json_array_append_new(samples, json_real(m->samples_ns[i]));
    json_array_append_new(user, json_pack("{s:s, s:I, s:o, s:f, s:f, s:f, s:f, s:o}", "variant", variant_text, "session",
                                          (json_int_t)m->session, "workload", workload_json(&m->workload), "median_ns", m->median_ns,
                                          "low_ns", m->low_ns, "high_ns", m->high_ns, "ratio_to_copy", m->ratio_to_copy, "samples_ns",
                                          samples));
    return ACTUNE_OK;
}

static json_t *told(int value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static actune_status dump_build(void *user, const char *variant_text, const at_store_build *b)
{
    json_array_append_new(user, json_pack("{s:s, s:s, s:s, s:b, s:f, s:I, s:o, s:o, s:s}", "variant", variant_text, "toolchain", b->toolchain,
                                          "arch", b->arch, "ok", b->ok, "compile_ms", b->compile_ms, "code_bytes",
                                          (json_int_t)b->code_bytes, "registers", told(b->registers), "spill_bytes",
                                          told(b->spill_bytes), "log", b->log));
    return ACTUNE_OK;
}

static actune_status dump_session(void *user, int64_t id, int64_t started, const at_store_session *s)
{
    json_t *environment = json_loads(s->environment, 0, NULL), *protocol = json_loads(s->protocol, 0, NULL);
    json_array_append_new(user, json_pack("{s:I, s:I, s:s, s:o, s:o, s:I}", "id", (json_int_t)id, "started", (json_int_t)started, "device",
                                          s->device, "environment", environment ? environment : json_string(s->environment), "protocol",
                                          protocol ? protocol : json_string(s->protocol), "seed", (json_int_t)s->seed));
    return ACTUNE_OK;
}

static actune_status dump_verification(void *user, const char *variant_text, const at_store_verification *v)
{
    json_array_append_new(user, json_pack("{s:s, s:b, s:f, s:f, s:s, s:s}", "variant", variant_text, "passed", v->passed, "max_error_ulp",
                                          v->max_error_ulp, "max_error_absolute", v->max_error_absolute, "method", v->method, "detail",
                                          v->detail));
    return ACTUNE_OK;
}

/* Everything, as one JSON document; but for races under way, which are nothing yet. */
static int dump(at_store *store)
{
    json_t *root = json_pack("{s:s, s:[], s:[], s:[], s:[], s:[], s:[], s:[]}", "path", at_store_path(store), "devices", "sessions", "kernels",
                             "builds", "verifications", "choices", "measurements");
    actune_status status = at_store_each_device(store, dump_device, json_object_get(root, "devices"));
    if (!status)
        status = at_store_each_kernel(store, NULL, dump_kernel, json_object_get(root, "kernels"));
    if (!status)
        status = at_store_each_session(store, dump_session, json_object_get(root, "sessions"));
    if (!status)
        status = at_store_each_verification(store, NULL, dump_verification, json_object_get(root, "verifications"));
    if (!status)
        status = at_store_each_build(store, NULL, dump_build, json_object_get(root, "builds"));
    if (!status)
        status = at_store_each_choice(store, NULL, NULL, dump_choice, json_object_get(root, "choices"));
    if (!status)
        status = at_store_each_measurement(store, NULL, NULL, NULL, dump_measurement, json_object_get(root, "measurements"));
    if (status) {
        json_decref(root);
        return cli_report(status);
    }
    return cli_print_json(root);
}

int cli_db(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_common_argp, 0, 0, 0}, {0}};
    static const struct argp argp = {0, parse, "check|dump",
                                     "check: looks for damage in the tuning database. dump: prints all of it as JSON."
                                     "\vThe database is only read.\n",
                                     children, 0, 0};
    db_options options = {0};
    cli_request_init(&options.request);
    argp_parse(&argp, argc, argv, 0, 0, &options);
    at_store *store = NULL;
    actune_status status = at_store_open(options.request.database, AT_STORE_READ, &store);
    if (status)
        return cli_report(status);
    if (!store) {
        puts("There is no database yet. `actune tune SPEC` makes it.");
        return CLI_OK;
    }
    int exit_status = !strcmp(options.action, "check") ? check(store, options.request.json) : dump(store);
    at_store_close(store);
    return exit_status;
}
