/* cuDNN: its legacy activation, and a graph of one pointwise operation with every plan that its heuristics offer, each an arm. They are the ones that
   the tuner has among its candidates. */
#include "peers.h"

#include "runtime/cudnn_variant.h"

#include <stdio.h>
#include <stdlib.h>

static at_cudnn_handle handle; /* on the timer's stream; making one may take a second */

typedef struct cudnn_arm {
    at_cudnn_launch *launch;
    gpu_ports ports;
} cudnn_arm;

void gpu_cudnn_close(gpu_bench *bench)
{
    at_cudnn_close(bench->device, handle);
    handle = NULL;
}

static actune_status put(void *self, const gpu_set *set, at_cu_stream stream)
{
    const cudnn_arm *a = self;
    void *port[GPU_TENSORS_MAX];
    (void)stream; /* the handle's */
    for (int i = 0; i < a->ports.count; i++)
        port[i] = set->tensor[a->ports.port[i].tensor];
    return at_cudnn_launch_run(a->launch, port);
}

static void close_arm(void *self)
{
    cudnn_arm *a = self;
    at_cudnn_launch_destroy(a->launch);
    free(a);
}

static actune_status add_arm(gpu_bench *bench, gpu_race *race, const at_cudnn_variant *variant, const gpu_ports *ports)
{
    char name[GPU_NAME_MAX];
    cudnn_arm *a = calloc(1, sizeof *a);
    if (a == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for an arm");
    a->ports = *ports;
    if (variant->function.algorithm == AT_CUDNN_LEGACY)
        snprintf(name, sizeof name, "cuDNN activation");
    else
        snprintf(name, sizeof name, "cuDNN graph, plan %d", variant->function.choice);
    actune_status status = at_cudnn_launch_create(bench->device, handle, &variant->function, (actune_shape){1, 1, ports->elements}, &a->launch);
    gpu_arm *arm = status == ACTUNE_OK ? gpu_race_add(race, name) : NULL;
    if (arm == NULL) {
        close_arm(a);
        return status != ACTUNE_OK ? status : at_fail(ACTUNE_INVALID_ARGUMENT, "more arms than %d", GPU_ARMS_MAX);
    }
    arm->put = put;
    arm->close = close_arm;
    arm->self = a;
    arm->bytes = ports->moved_bytes;
    arm->computes = true;
    at_strbuf text = {0};
    at_variant_print(&variant->variant, &text);
    snprintf(arm->detail, sizeof arm->detail, "%s", at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return ACTUNE_OK;
}

static actune_status find_variants(const gpu_row *row, at_cudnn_variant *variants, int *count)
{
    at_spec spec;
    at_kernel kernel;
    const at_kernel_request request = {.direction = row->direction, .dtype_in = row->dtype, .dtype_out = row->dtype};
    *count = 0;
    AT_TRY(at_spec_parse(row->spec, &spec));
    actune_status status = at_kernel_lower(&spec, &request, &kernel);
    at_spec_clear(&spec);
    AT_TRY(status);
    *count = at_cudnn_variants(&kernel, variants);
    at_kernel_clear(&kernel);
    return *count > 0 ? ACTUNE_OK : at_fail(ACTUNE_NOT_FOUND, "cuDNN has nothing like it");
}

static actune_status add_all(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports)
{
    const at_cudnn_api *api;
    at_cudnn_variant variants[AT_CUDNN_VARIANTS_MAX];
    int count, before = race->arms;
    AT_TRY(at_cudnn_get(&api));
    AT_TRY(find_variants(row, variants, &count));
    if (handle == NULL)
        AT_TRY(at_cudnn_open(bench->device, bench->timer.stream, &handle));
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < count; i++)
        status = add_arm(bench, race, &variants[i], ports);
    return race->arms > before ? ACTUNE_OK : status; /* fewer plans than were asked for is no trouble */
}

void gpu_cudnn_add(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports, gpu_why *why)
{
    if (add_all(bench, race, row, ports) != ACTUNE_OK)
        snprintf(why->text, sizeof why->text, "%s", actune_last_error());
}
