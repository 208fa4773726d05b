/* What a tuning run writes to and reads from the database. */
#include "session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "../runtime/base/dtype.h"

/* The text under which the auto-vectorised baseline stands among a kernel's variants. */
#define PLAIN_TEXT "baseline/autovec"

static void append_json_text(at_strbuf *out, const char *text)
{
    at_strbuf_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            at_strbuf_char(out, '\\');
        at_strbuf_char(out, (unsigned char)*text < ' ' ? ' ' : *text);
    }
    at_strbuf_char(out, '"');
}

static void write_environment(const at_session *session, at_strbuf *out)
{
    struct utsname system;
    at_strbuf_append(out, "{\"actune\": \"" ACTUNE_VERSION_TEXT "\", \"compiler\": ");
    append_json_text(out, session->toolchain);
    at_strbuf_append(out, ", \"system\": ");
    append_json_text(out, uname(&system) == 0 ? system.release : "unknown");
    at_strbuf_printf(out, ", \"isa\": \"%s\"", session->arch);
    if (session->cudnn)
        at_strbuf_printf(out, ", \"cudnn\": \"%s\"", session->cudnn);
    at_strbuf_char(out, '}');
}

static void write_protocol(const at_session *session, at_strbuf *out)
{
    at_strbuf_printf(
        out,
        "{\"protocol\": 1, \"strategy\": \"%s\", \"anchor\": \"%s\", \"threads\": %d, "
        "\"cold_above_bytes\": %lld, \"cold_rotation\": \"5x that, at most 1 GiB or a quarter of free memory\", "
        "\"inputs\": \"normal, sigma 2\", \"interval\": \"bootstrap 95 %%\", \"tie\": %g",
        session->search->name, session->backend->anchor, session->threads, (long long)at_cache_bound(session->device), AT_TIE_MARGIN);
}

/* The timer's resolution is measured anew in each run: it stands in the protocol, not in what runs must have in common. */
static at_hash hash_conditions(const at_session *session, const at_strbuf *environment, const at_strbuf *protocol)
{
    at_strbuf text = {0};
    at_strbuf_printf(&text, "%s\n%s\n%lld", at_strbuf_text((at_strbuf *)environment), at_strbuf_text((at_strbuf *)protocol),
                     (long long)session->options->seed);
    at_hash hash = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return hash;
}

actune_status at_record_session(at_session *session)
{
    const at_device *device = session->device;
    at_store_device row = {.id = device->id,
                           .kind = device->kind,
                           .model = device->model,
                           .capability = device->capability,
                           .processors = device->processors,
                           .l1d_bytes = device->l1d_bytes,
                           .l2_bytes = device->l2_bytes,
                           .l3_bytes = device->l3_bytes};
    AT_TRY(at_store_put_device(session->store, &row));
    at_strbuf environment = {0}, protocol = {0};
    write_environment(session, &environment);
    write_protocol(session, &protocol);
    session->conditions = hash_conditions(session, &environment, &protocol);
    at_strbuf_printf(&protocol, ", \"timer_resolution_ns\": %g}", at_timer_resolution_ns());
    at_store_session own = {.device = device->id,
                            .environment = at_strbuf_text(&environment),
                            .protocol = at_strbuf_text(&protocol),
                            .seed = session->options->seed};
    actune_status status = at_store_put_session(session->store, &own, &session->id);
    at_strbuf_clear(&environment);
    at_strbuf_clear(&protocol);
    return status;
}

static actune_status put_kernel(at_group *group)
{
    const at_kernel *kernel = group->kernel;
    const at_signature *signature = &kernel->signature;
    at_store_kernel row = {.hash = kernel->hash.hex,
                           .spec = kernel->spec,
                           .direction = signature->direction == ACTUNE_FORWARD ? "forward" : "backward",
                           .dtype_in = at_dtype_get(signature->dtype_in)->name,
                           .dtype_out = at_dtype_get(signature->dtype_out)->name,
                           .accuracy = at_accuracy_name(kernel->accuracy)};
    return at_store_put_kernel(group->session->store, &row);
}

static actune_status put_variant(at_group *group, int variant, int64_t *id)
{
    const at_code *code = &group->codes[at_group_candidate(group, variant)->code];
    at_strbuf text = {0};
    at_variant_print(&group->space[variant], &text);
    at_store_variant row = {
        .kernel = group->kernel->hash.hex, .source_hash = code->source_hash.hex, .text = at_strbuf_text(&text)};
    actune_status status = at_strbuf_status(&text);
    if (status == ACTUNE_OK)
        status = at_store_put_variant(group->session->store, &row, id);
    at_strbuf_clear(&text);
    return status;
}

static actune_status put_candidate(at_group *group, const at_candidate *candidate)
{
    at_session *session = group->session;
    const at_code *code = &group->codes[candidate->code];
    /* Without a hash there is no source: the time ran out before it was generated, or its form does not reach the
     * class. */
    if (code->absent || !code->source_hash.hex[0] || (!at_code_is_built(code) && !code->log))
        return ACTUNE_OK;
    int64_t variant;
    AT_TRY(put_variant(group, candidate->variant, &variant));
    char cudnn[64];
    snprintf(cudnn, sizeof cudnn, "cuDNN %s", session->cudnn ? session->cudnn : "");
    at_store_build build = {.variant = variant,
                            .toolchain = code->cudnn ? cudnn : session->toolchain,
                            .arch = session->arch,
                            .ok = at_code_is_built(code),
                            .compile_ms = code->compile_ms,
                            .code_bytes = (int64_t)code->code_bytes,
                            .registers = code->registers,
                            .spill_bytes = code->spill_bytes,
                            .log = at_code_is_built(code) ? code->dropped : code->log};
    AT_TRY(at_store_put_build(session->store, &build));
    if (!code->verified)
        return ACTUNE_OK;
    const at_verify_report *report = &code->report;
    at_store_verification row = {.variant = variant,
                                 .passed = report->passed,
                                 .max_error_ulp = report->max_error_ulp,
                                 .max_error_absolute = report->max_error_absolute,
                                 .method = report->exhaustive ? "exhaustive" : "sampled",
                                 .detail = report->detail};
    return at_store_put_verification(session->store, &row);
}

/* A code that nobody had time to build or verify yet is not. */
static bool is_settled(const at_code *code)
{
    return code->absent || code->log || code->dropped || code->twin >= 0 || code->verified;
}

actune_status at_record_codes(at_group *group)
{
    int open = 0;
    for (int i = 0; i < group->candidate_count; i++)
        open += !group->candidates[i].recorded && is_settled(&group->codes[group->candidates[i].code]);
    if (open == 0)
        return ACTUNE_OK;
    AT_TRY(at_store_begin(group->session->store));
    actune_status status = put_kernel(group);
    for (int i = 0; i < group->candidate_count && status == ACTUNE_OK; i++) {
        at_candidate *candidate = &group->candidates[i];
        if (candidate->recorded || !is_settled(&group->codes[candidate->code]))
            continue;
        status = put_candidate(group, candidate);
        candidate->recorded = true;
    }
    if (status == ACTUNE_OK)
        return at_store_commit(group->session->store);
    at_store_rollback(group->session->store);
    return status;
}

/* --- measurements --- */

static actune_status put_measurement(at_group *group, const at_race *race, int arm, int64_t variant)
{
    const at_arm *of = &race->arm[arm];
    at_interval time = at_bootstrap_median(of->samples_ns, of->samples, (uint64_t)race->seed);
    at_store_measurement row = {.variant = variant,
                                .session = group->session->id,
                                .workload = race->workload,
                                .median_ns = time.median,
                                .low_ns = time.low,
                                .high_ns = time.high,
                                .ratio_to_copy = exp(race->log_ratio[arm].median),
                                .samples_ns = of->samples_ns,
                                .samples = of->samples};
    return at_store_put_measurement(group->session->store, &row);
}

actune_status at_record_race(at_group *group, const at_race *race)
{
    int64_t variant;
    for (int i = 0; i < race->count; i++) {
        if (race->arm[i].samples == 0 || (race->variant[i] < 0 && i != race->plain))
            continue;
        if (i == race->plain) {
            at_store_variant row = {
                .kernel = group->kernel->hash.hex, .source_hash = group->plain_hash.hex, .text = PLAIN_TEXT};
            AT_TRY(at_store_put_variant(group->session->store, &row, &variant));
        } else
            AT_TRY(put_variant(group, race->variant[i], &variant));
        AT_TRY(put_measurement(group, race, i, variant));
    }
    return ACTUNE_OK;
}

static void write_ties(const at_group *group, const at_race *race, at_strbuf *out)
{
    for (int i = 0; i < race->count; i++)
        if (race->tied[i]) {
            at_strbuf_append(out, out->length ? "\n" : "");
            at_variant_print(&group->space[race->variant[i]], out);
        }
}

/* How far the best candidate outside of the tie set was behind the winner; NaN: there was none. */
static double margin_of(const at_race *race)
{
    double least = NAN;
    for (int i = 0; i < race->count; i++)
        if (race->variant[i] >= 0 && !race->tied[i] && race->arm[i].samples > 0)
            least = fmin(least, race->log_ratio[i].median);
    return expm1(least - race->log_ratio[race->winner].median);
}

actune_status at_record_choice(at_group *group, const at_task *task, const at_race *race, double pct_roof)
{
    at_session *session = group->session;
    int64_t variant, ours = 0;
    AT_TRY(put_variant(group, race->variant[race->winner], &variant));
    if (group->codes[at_group_candidate(group, race->variant[race->winner])->code].cudnn)
        AT_TRY(put_variant(group, race->variant[at_race_best_ours(group, race)], &ours));
    at_strbuf ties = {0};
    write_ties(group, race, &ties);
    double winner = task->result.winner_ns;
    at_interval gain = at_race_log_ratio(race, race->first_default, race->winner);
    at_store_choice row = {.device = session->device->id,
                           .kernel = group->kernel->hash.hex,
                           .workload = task->workload,
                           .variant = variant,
                           .ours = ours,
                           .session = session->id,
                           .median_ns = winner,
                           .ratio_to_copy = exp(race->log_ratio[race->winner].median),
                           .gain_over_default = exp(gain.median),
                           .pct_roof = pct_roof,
                           .margin = margin_of(race),
                           .tie_set = at_strbuf_text(&ties),
                           .origin = "measured"};
    actune_status status = at_strbuf_status(&ties);
    if (status == ACTUNE_OK)
        status = at_store_put_choice(session->store, &row);
    at_strbuf_clear(&ties);
    return status;
}

/* --- what is known already --- */

static bool same_workload(const at_store_workload *a, const at_store_workload *b)
{
    return strcmp(a->layout, b->layout) == 0 && a->size_bucket == b->size_bucket &&
           a->channel_bucket == b->channel_bucket && a->inner_bucket == b->inner_bucket && a->in_place == b->in_place &&
           strcmp(a->regime, b->regime) == 0;
}

typedef struct lookup {
    at_group *group;
    at_task *task;
} lookup;

static actune_status hash_of(at_group *group, const char *text, at_hash *hash)
{
    int most = sizeof group->known / sizeof *group->known;
    for (int i = 0; i < group->known_count; i++)
        if (strcmp(group->known[i].text, text) == 0) {
            *hash = group->known[i].hash;
            return group->known[i].status;
        }
    actune_status status = at_variant_hash(group->session, group->kernel, group->layout, text, hash);
    const char *kept = group->known_count < most ? at_arena_strdup(&group->arena, text) : NULL;
    if (kept) {
        group->known[group->known_count].text = kept;
        group->known[group->known_count].hash = *hash;
        group->known[group->known_count++].status = status;
    }
    return status;
}

/* Hard staleness: a choice counts only while the templates still give the source that was measured. */
static actune_status take_choice(void *user, const at_store_choice *choice)
{
    lookup *of = user;
    at_task *task = of->task;
    at_hash now;
    if (task->incumbent || !same_workload(&choice->workload, &task->workload) || !choice->variant_text)
        return ACTUNE_OK;
    if (hash_of(of->group, choice->variant_text, &now) != ACTUNE_OK ||
        strcmp(now.hex, choice->source_hash ? choice->source_hash : "") != 0)
        return ACTUNE_OK;
    task->incumbent = strdup(choice->variant_text);
    at_tune_result *result = &task->result;
    strncpy(result->variant, choice->variant_text, sizeof result->variant - 1);
    result->winner_ns = choice->median_ns;
    result->default_ns = choice->median_ns * choice->gain_over_default;
    result->copy_ns = choice->ratio_to_copy > 0 ? choice->median_ns / choice->ratio_to_copy : 0;
    result->gain_low = result->gain_high = choice->gain_over_default;
    return task->incumbent ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory");
}

static actune_status take_plain(void *user, const char *variant_text, const at_store_measurement *measurement)
{
    at_task *task = user;
    if (strcmp(variant_text, PLAIN_TEXT) == 0)
        task->result.autovec_ns = measurement->median_ns;
    return ACTUNE_OK;
}

actune_status at_record_find(at_group *group, at_task *task)
{
    const at_session *session = group->session;
    lookup of = {group, task};
    AT_TRY(at_store_each_choice(session->store, session->device->id, group->kernel->hash.hex, take_choice, &of));
    if (!task->incumbent || session->options->force)
        return ACTUNE_OK;
    AT_TRY(at_store_each_measurement(session->store, session->device->id, group->kernel->hash.hex, &task->workload,
                                     take_plain, task));
    task->result.reused = task->reused = task->done = true;
    return ACTUNE_OK;
}
