#include "exhaustive.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/base/dtype.h"
#include "measure.h"

enum { BLOCK = 65536, THREADS_MAX = 256 };

#define SLICE_NS 5e8 /* between two looks at the clock and at `stop` */

/* One thread's own: oracles are not shared. */
typedef struct worker {
    at_oracle *oracle;
    at_verify_report report;
    int64_t first_failure; /* block */
    actune_status status;
    char message[256];
} worker;

typedef struct search {
    const at_kernel *kernel;
    const at_exhaustive_options *options;
    at_verify_target target;
    worker *workers;
    int threads;
    int64_t part, parts, blocks; /* blocks to do: part, part + parts ... */
    atomic_llong next;
    double slice_end_ns, started_ns;
} search;

actune_status at_exhaustive_check(const at_kernel *kernel)
{
    const at_signature *s = &kernel->signature;
    bool backward = s->direction == ACTUNE_BACKWARD;
    if (at_dtype_get(s->dtype_in)->bytes > 4)
        return at_fail(ACTUNE_UNSUPPORTED, "all 2^64 numbers of f64 cannot be tried: use a type of at most 32 bits");
    if (s->inputs != 1 + backward || s->ports != s->inputs + 1 || s->slots || s->halves)
        return at_fail(ACTUNE_UNSUPPORTED, "'%s' has %s: only kernels of x alone can be tried on every input", kernel->spec,
                       s->halves ? "two halves" : "operands");
    if (s->row.kind != AT_ROW_NONE)
        return at_fail(ACTUNE_UNSUPPORTED, "'%s' looks at whole rows: there is no list of all of those to try", kernel->spec);
    if (strcmp(s->port[0].name, "x") != 0)
        return at_fail(ACTUNE_UNSUPPORTED, "'%s' reads y: verify the kernel without from=output on every input",
                       kernel->spec);
    return ACTUNE_OK;
}

static void merge(at_verify_report *all, const at_verify_report *one)
{
    all->compared += one->compared;
    if (one->max_error_ulp > all->max_error_ulp)
        all->max_error_ulp = one->max_error_ulp;
    if (one->max_error_absolute > all->max_error_absolute)
        all->max_error_absolute = one->max_error_absolute;
    if (one->max_share > all->max_share) {
        all->max_share = one->max_share;
        memcpy(all->worst, one->worst, sizeof all->worst);
    }
}

static actune_status do_block(search *of, worker *own, int64_t index)
{
    at_reference reference;
    at_verify_report report;
    int64_t block = of->part + index * of->parts;
    actune_status status = at_reference_bits(&reference, of->kernel, own->oracle, (uint64_t)block * BLOCK, BLOCK);
    if (status == ACTUNE_OK)
        status = at_verify(&reference, &of->target, &report);
    at_reference_clear(&reference);
    AT_TRY(status);
    merge(&own->report, &report);
    if (!report.passed && (own->first_failure < 0 || block < own->first_failure)) {
        own->first_failure = block;
        memcpy(own->report.detail, report.detail, sizeof report.detail);
    }
    return ACTUNE_OK;
}

/* Takes blocks for the time of one slice. */
static void work(void *user, int piece)
{
    search *of = user;
    worker *own = &of->workers[piece];
    while (own->status == ACTUNE_OK && at_now_ns() < of->slice_end_ns) {
        int64_t index = atomic_fetch_add(&of->next, 1);
        if (index >= of->blocks)
            return;
        own->status = do_block(of, own, index);
        if (own->status != ACTUNE_OK) /* the message belongs to this thread */
            snprintf(own->message, sizeof own->message, "%s", actune_last_error());
    }
}

static void tell(const search *of)
{
    const at_exhaustive_options *options = of->options;
    int64_t done = atomic_load(&of->next);
    done = done > of->blocks ? of->blocks : done;
    double elapsed = 1e-9 * (at_now_ns() - of->started_ns);
    at_exhaustive_progress progress = {.done = done * BLOCK, .total = of->blocks * BLOCK, .elapsed_s = elapsed};
    progress.eta_s = done > 0 ? elapsed * (double)(of->blocks - done) / (double)done : 0;
    if (options->progress)
        options->progress(options->user, &progress);
}

static actune_status run_slices(search *of, at_pool *pool)
{
    of->started_ns = at_now_ns();
    while (atomic_load(&of->next) < of->blocks) {
        if (of->options->stop && *of->options->stop)
            return at_fail(ACTUNE_INTERRUPTED,
                           "interrupted; nothing of an exhaustive verification is kept until its end");
        of->slice_end_ns = at_now_ns() + SLICE_NS;
        at_pool_run(pool, of->threads, work, of);
        for (int i = 0; i < of->threads; i++)
            if (of->workers[i].status != ACTUNE_OK)
                return at_fail(of->workers[i].status, "%s", of->workers[i].message);
        tell(of);
    }
    return ACTUNE_OK;
}

static void collect(const search *of, at_verify_report *report)
{
    int64_t first = -1;
    *report = (at_verify_report){.passed = true, .exhaustive = of->parts == 1};
    for (int i = 0; i < of->threads; i++) {
        const worker *own = &of->workers[i];
        merge(report, &own->report);
        if (own->first_failure >= 0 && (first < 0 || own->first_failure < first)) {
            first = own->first_failure;
            report->passed = false;
            memcpy(report->detail, own->report.detail, sizeof report->detail);
        }
    }
}

static actune_status search_with(search *of, at_verify_report *report)
{
    at_pool *pool = NULL;
    of->workers = calloc((size_t)of->threads, sizeof *of->workers);
    actune_status status = of->workers ? at_pool_create(of->threads, &pool)
                                       : at_fail(ACTUNE_NO_MEMORY, "no memory for %d threads", of->threads);
    for (int i = 0; i < of->threads && status == ACTUNE_OK; i++) {
        of->workers[i].first_failure = -1;
        status = at_oracle_create(of->kernel, &of->workers[i].oracle);
    }
    if (status == ACTUNE_OK)
        status = run_slices(of, pool);
    if (status == ACTUNE_OK)
        collect(of, report);
    for (int i = 0; of->workers && i < of->threads; i++)
        at_oracle_destroy(of->workers[i].oracle);
    free(of->workers);
    at_pool_destroy(pool);
    return status;
}

actune_status at_verify_exhaustive(at_cache *cache, const at_device *device, const at_kernel *kernel,
                                   const at_variant *variant, const at_exhaustive_options *options,
                                   at_verify_report *report)
{
    search of = {
        .kernel = kernel, .options = options, .part = options->part, .parts = options->parts > 0 ? options->parts : 1};
    at_binary *binary;
    AT_TRY(at_exhaustive_check(kernel));
    if (of.part < 0 || of.part >= of.parts)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "part %lld of %lld", (long long)of.part, (long long)of.parts);
    int64_t blocks = ((INT64_C(1) << 8 * at_dtype_get(kernel->signature.dtype_in)->bytes) + BLOCK - 1) / BLOCK;
    of.blocks = of.part < blocks ? (blocks - of.part + of.parts - 1) / of.parts : 0;
    of.threads = options->threads > 0 ? options->threads : device->processors > 0 ? device->processors : 1;
    of.threads = of.threads > THREADS_MAX ? THREADS_MAX : of.threads;
    AT_TRY(at_verify_build(cache, device, kernel, AT_LAYOUT_FLAT, variant, &binary, &of.target));
    actune_status status = search_with(&of, report);
    at_binary_release(binary);
    return status;
}

/* --- the database --- */

static actune_status put(at_store *store, const at_kernel *kernel, const char *source_hash, const char *text,
                         const at_verify_report *report)
{
    int64_t variant;
    const at_signature *s = &kernel->signature;
    at_store_kernel own = {.hash = kernel->hash.hex,
                           .spec = kernel->spec,
                           .direction = s->direction == ACTUNE_FORWARD ? "forward" : "backward",
                           .dtype_in = at_dtype_get(s->dtype_in)->name,
                           .dtype_out = at_dtype_get(s->dtype_out)->name,
                           .accuracy = at_accuracy_name(kernel->accuracy)};
    at_store_variant row = {.kernel = kernel->hash.hex, .source_hash = source_hash, .text = text};
    AT_TRY(at_store_put_kernel(store, &own));
    AT_TRY(at_store_put_variant(store, &row, &variant));
    at_store_verification found = {.variant = variant,
                                   .passed = report->passed,
                                   .max_error_ulp = report->max_error_ulp,
                                   .max_error_absolute = report->max_error_absolute,
                                   .method = report->exhaustive ? "exhaustive" : "sampled",
                                   .detail = report->detail};
    return at_store_put_verification(store, &found);
}

actune_status at_exhaustive_store(at_store *store, const at_device *device, const at_kernel *kernel,
                                  const at_variant *variant, const at_verify_report *report)
{
    at_generate_item item = {.kernel = kernel, .layout = AT_LAYOUT_FLAT, .variant = variant};
    at_target target = {.isa = device->isa};
    at_strbuf source = {0}, text = {0};
    at_variant_print(variant, &text);
    actune_status status = at_generate_batch(&item, 1, &target, &source);
    if (status == ACTUNE_OK)
        status = item.status;
    if (status == ACTUNE_OK)
        status = at_store_begin(store);
    if (status == ACTUNE_OK) {
        status = put(store, kernel, item.source_hash.hex, at_strbuf_text(&text), report);
        if (status == ACTUNE_OK)
            status = at_store_commit(store);
        else
            at_store_rollback(store);
    }
    at_strbuf_clear(&source);
    at_strbuf_clear(&text);
    return status;
}
