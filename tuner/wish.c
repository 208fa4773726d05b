/* Tuning for a program that runs (tuning mode `tune`): what `actune tune` does, for the kernels of one plan. */
#include "../runtime/tuning.h"
#include "tune.h"

#include <stdlib.h>

static actune_status first_failure(const at_tune_result *results, int count)
{
    for (int i = 0; i < count; i++)
        if (results[i].status != ACTUNE_OK)
            return at_fail(results[i].status, "%s", results[i].message);
    return ACTUNE_OK;
}

static actune_status run(actune_context *context, at_store *store, const at_tune_item *items, int count, int threads)
{
    at_tune_result *results = calloc((size_t)count, sizeof *results);
    if (results == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the results of tuning");
    at_tune_options options = {.budget_s = context->tune_seconds * count, .lock_wait_s = context->tune_seconds, .max_threads = threads};
    actune_status status = at_tune(store, context->cache, &context->device, items, count, &options, results);
    if (status == ACTUNE_OK)
        status = first_failure(results, count);
    for (int i = 0; i < count && status == ACTUNE_OK; i++)
        at_context_log(context, false, "tuned %s: %s, %.2f times as fast as its default", items[i].kernel->spec, results[i].variant,
                       results[i].winner_ns > 0 ? results[i].default_ns / results[i].winner_ns : 1);
    free(results);
    return status;
}

actune_status at_tune_wishes(actune_context *context, const at_tune_wish *wishes, int count, int threads)
{
    at_store *store;
    at_tune_item *items = calloc((size_t)count, sizeof *items);
    if (items == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for what is to be tuned");
    for (int i = 0; i < count; i++)
        items[i] = (at_tune_item){.kernel = wishes[i].kernel, .shape = wishes[i].shape, .in_place = wishes[i].in_place};
    actune_status status = at_store_open(context->database, AT_STORE_WRITE, &store);
    if (status == ACTUNE_OK) {
        status = run(context, store, items, count, threads);
        at_store_close(store);
    }
    free(items);
    return status;
}
