#include "session.h"

/* --- open and close --- */

actune_status at_session_open(at_session *session, at_store *store, at_cache *cache, const at_device *device,
                              const at_tune_options *options)
{
    *session = (at_session){.store = store,
                            .cache = cache,
                            .device = device,
                            .options = options,
                            .backend = device->cuda_ordinal >= 0 ? &at_tune_cuda : &at_tune_cpu,
                            .target = at_device_target(device),
                            .started_ns = at_now_ns(),
                            .spec = "",
                            .step = ""};
    session->search = at_search_find(options->strategy ? options->strategy : session->backend->strategy);
    if (!session->search)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "there is no search strategy '%.40s'; use exhaustive, random or sampled",
                       options->strategy);
    /* Of a GPU `processors` are its multiprocessors; what compiles are this process's own. */
    at_device host = *device;
    if (device->cuda_ordinal >= 0)
        AT_TRY(at_device_get("cpu", &host));
    session->threads = host.processors > 0 ? host.processors : 1;
    if (options->max_threads > 0 && options->max_threads < session->threads)
        session->threads = options->max_threads;
    return ACTUNE_OK;
}

actune_status at_session_equip(at_session *session)
{
    if (session->id)
        return ACTUNE_OK;
    if (!session->pool)
        AT_TRY(at_pool_create(session->threads, &session->pool));
    AT_TRY(session->backend->equip(session));
    return at_record_session(session);
}

void at_session_close(at_session *session)
{
    session->backend->release(session);
    at_pool_destroy(session->pool);
}

/* --- time, progress, stop --- */

bool at_session_stopped(const at_session *session)
{
    return session->options->stop && *session->options->stop;
}

double at_session_left_ns(const at_session *session)
{
    return session->deadline_ns - at_now_ns();
}

void at_session_progress(at_session *session, const char *step)
{
    if (step)
        session->step = step;
    if (!session->options->progress)
        return;
    double elapsed = (at_now_ns() - session->started_ns) * 1e-9;
    double share = session->total > 0 ? (double)session->done / session->total : 0;
    /* Before anything is done the budget is the only estimate; never more than what is left of it. */
    double left = at_session_left_ns(session) * 1e-9;
    double eta = share > 0 ? elapsed / share - elapsed : left;
    eta = eta > left ? left : eta;
    at_tune_progress progress = {.kernel_spec = session->spec,
                                 .step = session->step,
                                 .done = session->done,
                                 .total = session->total,
                                 .elapsed_s = elapsed,
                                 .eta_s = eta > 0 ? eta : 0};
    session->options->progress(session->options->user, &progress);
}
