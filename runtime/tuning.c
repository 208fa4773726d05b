#include "tuning.h"

#include "../db/store.h"

#include <string.h>

static const char *tier_of(const actune_plan *plan)
{
    return plan->cudnn != NULL ? plan->cudnn->tier : plan->tier;
}

static bool is_exact(const actune_plan *plan)
{
    return strcmp(tier_of(plan), "exact") == 0;
}

/* What could not be done, in the plan's note: the last error, its first line. */
static void note_failure(actune_plan *plan, const char *lead)
{
    const char *message = actune_last_error();
    at_strbuf_printf(&plan->note, "%s%s: %.*s", plan->note.length > 0 ? "; " : "", lead, (int)strcspn(message, "\n"), message);
}

static actune_status join(const char *const *names, int count, at_strbuf *text)
{
    for (int i = 0; i < count; i++)
        at_strbuf_printf(text, "%s%s", i > 0 ? "," : "", names[i]);
    return at_strbuf_status(text);
}

static actune_status put_request(const actune_context *context, const at_store_request *request)
{
    at_store *store;
    AT_TRY(at_store_open(context->database, AT_STORE_WRITE, &store));
    actune_status status = at_store_put_request(store, request);
    at_store_close(store);
    return status;
}

/* An activation that came as a text is gone when `actune tune --recorded` would read it. */
static actune_status check_files(const actune_plan *plan, const actune_plan_desc *desc)
{
    for (int i = 0; i < plan->spec.stages && desc->source_count > 0; i++)
        if (plan->spec.stage[i].file != NULL)
            return at_fail(ACTUNE_UNSUPPORTED, "%s is a text of the program's, which nobody can read later", plan->spec.stage[i].file);
    return ACTUNE_OK;
}

static actune_status record(const actune_plan *plan, const actune_plan_desc *desc)
{
    at_strbuf gradients = {0};
    AT_TRY(check_files(plan, desc));
    if (plan->launch.shape.channels_last)
        return at_fail(ACTUNE_UNSUPPORTED, "images with channels last and a value for each plane are not recorded yet; tune '%s' by its spec and --layout nhwc",
                       plan->spec.canonical);
    actune_status status = join(desc->gradients, desc->gradient_count, &gradients);
    at_store_request request = {.device = plan->context->device.id,
                                .spec = plan->spec.canonical,
                                .direction = desc->direction == ACTUNE_BACKWARD ? "backward" : "forward",
                                .dtype_in = at_dtype_get(desc->dtype_in)->name,
                                .dtype_out = at_dtype_get(desc->dtype_out)->name,
                                .gradients = at_strbuf_text(&gradients),
                                .shape = plan->launch.shape, /* of y, where x is rows of two halves */
                                .in_place = desc->in_place};
    if (status == ACTUNE_OK)
        status = put_request(plan->context, &request);
    at_strbuf_clear(&gradients);
    return status;
}

static actune_status tune(const actune_plan *plan)
{
    if (strcmp(plan->tier, "interpreter") == 0)
        return at_fail(ACTUNE_NO_COMPILER, "nothing can be compiled here");
    at_tune_wish wish[AT_PASSES_MAX] = {{&plan->kernel, plan->launch.shape, plan->in_place_output >= 0}};
    for (int i = 0; i < plan->passes; i++)
        wish[i] = (at_tune_wish){&plan->pass[i]->kernel, plan->launch.shape, plan->pass[i]->in_place_output >= 0};
    AT_TRY(at_tune_wishes(plan->context, wish, plan->passes > 0 ? plan->passes : 1, plan->context->max_threads));
    return at_context_reload(plan->context);
}

/* With the context's lock: another thread may just have tuned the same. */
static actune_status tune_and_reopen(const actune_plan_desc *desc, actune_plan **plan)
{
    actune_plan *better;
    AT_TRY(at_plan_open((*plan)->context, desc, AT_PLAN_READY, &better));
    if (!is_exact(better)) {
        actune_status status = tune(better);
        if (status == ACTUNE_OK) {
            actune_plan_destroy(better);
            AT_TRY(at_plan_open((*plan)->context, desc, AT_PLAN_READY, &better));
        } else {
            note_failure(better, "not tuned");
        }
    }
    actune_plan_destroy(*plan);
    *plan = better;
    return ACTUNE_OK;
}

static void log_plan(const actune_plan *plan)
{
    actune_plan_info info;
    const actune_context *context = plan->context;
    if (context->log == NULL)
        return;
    actune_plan_describe(plan, &info);
    at_context_log(context, info.note[0] != '\0', "%s, %s, [%lld, %lld, %lld]: %s (%s)%s%s", info.spec,
                   plan->kernel.signature.direction == ACTUNE_BACKWARD ? "backward" : "forward", (long long)plan->launch.shape.outer,
                   (long long)plan->launch.shape.channels, (long long)plan->launch.shape.inner, info.variant, info.tier,
                   info.note[0] != '\0' ? "; " : "", info.note);
}

actune_status at_plan_learn(const actune_plan_desc *desc, actune_plan **plan)
{
    actune_context *context = (*plan)->context;
    actune_status status = ACTUNE_OK;
    bool empty = desc->shape.outer == 0 || desc->shape.channels == 0 || desc->shape.inner == 0;
    if (!empty && !is_exact(*plan) && context->tuning == ACTUNE_TUNING_RECORD && record(*plan, desc) != ACTUNE_OK)
        note_failure(*plan, "not recorded");
    if (!empty && !is_exact(*plan) && context->tuning == ACTUNE_TUNING_TUNE) {
        pthread_mutex_lock(&context->tuning_lock);
        status = tune_and_reopen(desc, plan);
        pthread_mutex_unlock(&context->tuning_lock);
    }
    if (status == ACTUNE_OK)
        status = at_strbuf_status(&(*plan)->note);
    if (status == ACTUNE_OK)
        log_plan(*plan);
    else {
        actune_plan_destroy(*plan);
        *plan = NULL;
    }
    return status;
}
