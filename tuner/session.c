#include "session.h"

#include <stdlib.h>
#include <string.h>

/* --- the tuned copy: the roof that kernels are held against --- */

typedef struct copy_list {
    at_session *session;
    at_variant variant[4];
    at_variant default_variant;
    int count;
} copy_list;

/* Of the identity kernel's space: any store and number of threads, all else default. */
static actune_status keep_copies(void *user, const at_variant *variant)
{
    copy_list *list = user;
    if (list->count == 0)
        list->default_variant = *variant;
    const at_variant *plain = &list->default_variant;
    int threads = atoi(at_variant_knob(variant, "threads", "1"));
    if (list->count == 4 || (threads != 1 && threads != list->session->threads))
        return ACTUNE_OK;
    for (int i = 0; i < variant->knobs; i++) {
        const char *name = variant->knob[i].name;
        bool free_knob = strcmp(name, "store") == 0 || strcmp(name, "threads") == 0;
        if (!free_knob && strcmp(variant->knob[i].value, at_variant_knob(plain, name, "")) != 0)
            return ACTUNE_OK;
    }
    list->variant[list->count++] = *variant;
    return ACTUNE_OK;
}

static actune_status build_copies(at_session *session, const at_kernel *kernel)
{
    copy_list list = {.session = session};
    at_generate_item items[4];
    at_strbuf source = {0};
    at_build_info info;
    AT_TRY(at_variant_each(kernel, AT_LAYOUT_FLAT, &session->target, keep_copies, &list));
    for (int i = 0; i < list.count; i++)
        items[i] = (at_generate_item){.kernel = kernel, .layout = AT_LAYOUT_FLAT, .variant = &list.variant[i]};
    actune_status status = at_generate_batch(items, list.count, &session->target, &source);
    if (status == ACTUNE_OK)
        status = at_binary_build(session->cache, at_strbuf_text(&source), at_isa_name(session->device->isa), false,
                                 &session->copy_binary, &info);
    session->copies_hash = at_hash_text(at_strbuf_text(&source));
    at_strbuf_clear(&source);
    AT_TRY(status);
    for (int i = 0; i < list.count; i++) {
        actune_kernel_fn function =
            items[i].status == ACTUNE_OK ? at_binary_symbol(session->copy_binary, items[i].symbol) : NULL;
        int threads = atoi(at_variant_knob(&list.variant[i], "threads", "1"));
        if (function)
            session->copy[session->copies++] = (at_arm){.kind = AT_ARM_COPY, .function = function, .threads = threads};
    }
    return ACTUNE_OK;
}

static actune_status make_copies(at_session *session)
{
    at_spec spec;
    at_kernel kernel;
    at_kernel_request request = {.direction = ACTUNE_FORWARD, .dtype_in = ACTUNE_F32, .dtype_out = ACTUNE_F32};
    AT_TRY(at_spec_parse("identity", &spec));
    actune_status status = at_kernel_lower(&spec, &request, &kernel);
    if (status == ACTUNE_OK) {
        status = build_copies(session, &kernel);
        at_kernel_clear(&kernel);
    }
    at_spec_clear(&spec);
    return status;
}

/* --- open and close --- */

actune_status at_session_open(at_session *session, at_store *store, at_cache *cache, const at_device *device,
                              const at_tune_options *options)
{
    *session = (at_session){.store = store,
                            .cache = cache,
                            .device = device,
                            .options = options,
                            .target = {.isa = device->isa},
                            .started_ns = at_now_ns(),
                            .spec = "",
                            .step = ""};
    session->search = at_search_find(options->strategy);
    if (!session->search)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "there is no search strategy '%.40s'; use exhaustive or random",
                       options->strategy);
    session->threads = device->processors > 0 ? device->processors : 1;
    if (options->max_threads > 0 && options->max_threads < session->threads)
        session->threads = options->max_threads;
    return ACTUNE_OK;
}

actune_status at_session_equip(at_session *session)
{
    if (session->id)
        return ACTUNE_OK;
    AT_TRY(at_compiler_get(&session->compiler));
    if (!session->pool)
        AT_TRY(at_pool_create(session->threads, &session->pool));
    if (!session->copies)
        AT_TRY(make_copies(session));
    return at_record_session(session);
}

void at_session_close(at_session *session)
{
    at_binary_release(session->copy_binary);
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
