#include "verify_cuda.h"

#include <string.h>

#include "../runtime/backend/cuda_memory.h"
#include "../runtime/base/dtype.h"
#include "../runtime/launch_cuda.h"

/* --- one case --- */

typedef struct run {
    const at_cuda_device *device;
    void *memory[AT_PORTS_MAX], *partial;
    void *port[AT_PORTS_MAX];
    size_t bytes[AT_PORTS_MAX]; /* with both margins */
} run;

/* The port before `p` that lies in the same host memory: the case is in place. -1: none. */
static int same_port(void *const *port, int p)
{
    for (int i = 0; i < p; i++)
        if (port[i] == port[p])
            return i;
    return -1;
}

/* Ports go over with their margins and come back so: a write beside a port is seen in its canary. */
static actune_status copy_in(run *r, const at_signature *signature, actune_shape shape, void *const *port)
{
    for (int p = 0; p < signature->ports; p++) {
        const char *from = (const char *)port[p] - AT_VERIFY_MARGIN_BYTES;
        size_t off = (uintptr_t)from % 64;
        int same = same_port(port, p);
        r->bytes[p] = (size_t)at_port_count(&signature->port[p], shape) * (size_t)at_dtype_get(signature->port[p].dtype)->bytes +
                      2 * AT_VERIFY_MARGIN_BYTES;
        if (same >= 0) {
            r->port[p] = r->port[same];
            continue;
        }
        AT_TRY(at_cuda_allocate(r->device, r->bytes[p] + off, &r->memory[p]));
        AT_TRY(at_cuda_upload(r->device, (char *)r->memory[p] + off, from, r->bytes[p]));
        r->port[p] = (char *)r->memory[p] + off + AT_VERIFY_MARGIN_BYTES;
    }
    return ACTUNE_OK;
}

static actune_status run_case(const at_cuda_trial *trial, actune_shape shape, void *const *port, run *r)
{
    const at_signature *signature = &trial->kernel->signature;
    at_cuda_launch launch;
    AT_TRY(at_cuda_launch_init(&launch, trial->built, trial->kernel, trial->layout, shape, trial->geometry));
    AT_TRY(copy_in(r, signature, shape, port));
    if (launch.workspace_bytes)
        AT_TRY(at_cuda_allocate(r->device, launch.workspace_bytes, &r->partial));
    AT_TRY(at_cuda_launch_run(&launch, r->port, r->partial, NULL));
    for (int p = 0; p < signature->ports; p++)
        AT_TRY(at_cuda_download(r->device, (char *)port[p] - AT_VERIFY_MARGIN_BYTES, (char *)r->port[p] - AT_VERIFY_MARGIN_BYTES, r->bytes[p]));
    return ACTUNE_OK;
}

actune_status at_cuda_trial_run(void *user, actune_shape shape, void *const *port)
{
    const at_cuda_trial *trial = user;
    run r = {.device = trial->built->device};
    actune_status status = run_case(trial, shape, port, &r);
    for (int p = 0; p < AT_PORTS_MAX; p++)
        at_cuda_free(r.device, r.memory[p]);
    at_cuda_free(r.device, r.partial);
    return status;
}

/* --- a variant --- */

actune_status at_cuda_verifier_init(at_cuda_verifier *verifier)
{
    return at_reference_init(&verifier->reference, verifier->kernel, verifier->layout, 1);
}

void at_cuda_verifier_clear(at_cuda_verifier *verifier)
{
    at_reference_clear(&verifier->reference);
}

static actune_status build(const at_cuda_verifier *verifier, const at_variant *variant, at_cuda_kernel **built)
{
    at_generate_item item = {.kernel = verifier->kernel, .layout = verifier->layout, .variant = variant};
    at_strbuf source = {0};
    actune_status status = at_generate_batch(&item, 1, verifier->target, &source);
    if (status == ACTUNE_OK)
        status = item.status;
    const at_cuda_request request = {
        .source = at_strbuf_text(&source), .symbol = item.symbol, .finish = verifier->kernel->signature.slots > 0};
    if (status == ACTUNE_OK)
        status = at_cuda_kernel_build(verifier->device, verifier->cache, &request, built);
    at_strbuf_clear(&source);
    return status;
}

actune_status at_cuda_verify(const at_cuda_verifier *verifier, const at_variant *variant, at_verify_report *report)
{
    at_cuda_geometry geometry;
    at_cuda_kernel *built;
    AT_TRY(at_cuda_geometry_of(verifier->kernel, variant, &geometry));
    AT_TRY(build(verifier, variant, &built));
    at_cuda_trial trial = {built, &geometry, verifier->kernel, verifier->layout};
    at_verify_target target = {.run = at_cuda_trial_run,
                               .run_user = &trial,
                               .apart = strcmp(at_variant_knob(variant, "restrict", "yes"), "no") != 0};
    actune_status status = at_verify(&verifier->reference, &target, report);
    at_cuda_kernel_destroy(built);
    return status;
}
