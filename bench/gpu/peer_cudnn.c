/* cuDNN's legacy activation functions. */
#include "cudnn.h"
#include "peers.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CUDNN_NCHW = 0, CUDNN_PROPAGATE_NAN = 1 };

static const struct {
    const char *spec;
    int mode;
    double coefficient;
    bool from_x; /* x for y gives the same gradient */
} modes[] = {{"sigmoid", 0, 0, false}, {"relu", 1, 0, true}, {"tanh", 2, 0, false}, {"relu6", 3, 6, true},
             {"clip(0, 6)", 3, 6, true}, {"elu", 4, 1, false}, {"silu", 6, 1, false}};

typedef struct legacy {
    const gpu_cudnn_api *api;
    gpu_cudnn_object activation, shape;
    gpu_ports ports;
    bool backward, f64;
} legacy;

static const void *number(const legacy *l, int value)
{
    static const float floats[] = {0, 1};
    static const double doubles[] = {0, 1};
    return l->f64 ? (const void *)&doubles[value] : (const void *)&floats[value];
}

static actune_status put(void *self, const gpu_set *set, at_cu_stream stream)
{
    const legacy *l = self;
    const gpu_cudnn_object handle = l->api->handle;
    const void *x = set->tensor[GPU_FROM_X], *dy = set->tensor[GPU_FROM_DY];
    AT_TRY(GPU_CUDNN(l->api, cudnnSetStream, (handle, stream)));
    if (!l->backward)
        return GPU_CUDNN(l->api, cudnnActivationForward,
                         (handle, l->activation, number(l, 1), l->shape, x, number(l, 0), l->shape, set->tensor[GPU_TO_Y]));
    /* y is given as x: one tensor less to read, in cuDNN's favour. */
    return GPU_CUDNN(l->api, cudnnActivationBackward,
                     (handle, l->activation, number(l, 1), l->shape, x, l->shape, dy, l->shape, x, number(l, 0), l->shape,
                      set->tensor[GPU_TO_Y]));
}

static void close_legacy(void *self)
{
    legacy *l = self;
    if (l->activation != NULL)
        l->api->cudnnDestroyActivationDescriptor(l->activation);
    if (l->shape != NULL)
        l->api->cudnnDestroyTensorDescriptor(l->shape);
    free(l);
}

static actune_status prepare(legacy *l, const gpu_row *row, size_t mode)
{
    int64_t columns = l->ports.elements % 4096 == 0 ? 4096 : 1;
    if (l->ports.elements > INT_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "more elements than an int");
    AT_TRY(gpu_cudnn_get(&l->api));
    AT_TRY(GPU_CUDNN(l->api, cudnnCreateActivationDescriptor, (&l->activation)));
    AT_TRY(GPU_CUDNN(l->api, cudnnSetActivationDescriptor, (l->activation, modes[mode].mode, CUDNN_PROPAGATE_NAN, modes[mode].coefficient)));
    AT_TRY(GPU_CUDNN(l->api, cudnnCreateTensorDescriptor, (&l->shape)));
    return GPU_CUDNN(l->api, cudnnSetTensor4dDescriptor,
                     (l->shape, CUDNN_NCHW, gpu_cudnn_type(row->dtype), 1, 1, (int)(l->ports.elements / columns), (int)columns));
}

void gpu_cudnn_add(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports, gpu_why *why)
{
    size_t mode = 0;
    (void)bench;
    while (mode < sizeof modes / sizeof *modes && strcmp(modes[mode].spec, gpu_bare_spec(row->spec)) != 0)
        mode++;
    if (mode == sizeof modes / sizeof *modes) {
        snprintf(why->text, sizeof why->text, "cuDNN has no such activation");
        return;
    }
    legacy *l = calloc(1, sizeof *l);
    if (l == NULL)
        return;
    *l = (legacy){.ports = *ports, .backward = row->direction == ACTUNE_BACKWARD, .f64 = row->dtype == ACTUNE_F64};
    gpu_arm *arm = prepare(l, row, mode) == ACTUNE_OK ? gpu_race_add(race, "cuDNN activation") : NULL;
    if (arm == NULL) {
        snprintf(why->text, sizeof why->text, "%s", actune_last_error());
        close_legacy(l);
        return;
    }
    arm->put = put;
    arm->close = close_legacy;
    arm->self = l;
    arm->bytes = ports->moved_bytes;
    arm->computes = !l->backward || modes[mode].from_x;
    snprintf(arm->detail, sizeof arm->detail, "cuDNN %zu%s", l->api->cudnnGetVersion(),
             arm->computes ? "" : ", given x for y: other numbers by the same work");
}
