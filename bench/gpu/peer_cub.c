#include "peers.h"

#include "peer_cub.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    void *library;
    int (*transform)(const char *op, enum gpu_cub_type type, const void *x, const void *other, void *y, long long n, void *stream);
    int (*knows)(const char *op, enum gpu_cub_type type);
} cub;

typedef struct cub_arm {
    char op[160];
    enum gpu_cub_type type;
    int64_t elements;
} cub_arm;

static bool load(gpu_why *why)
{
    const char *path = getenv("ACTUNE_PEER_CUB");
    if (cub.library != NULL)
        return true;
    if (path == NULL || *path == '\0') {
        snprintf(why->text, sizeof why->text, "ACTUNE_PEER_CUB names no shared object (it takes nvcc to make one)");
        return false;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *transform = library != NULL ? dlsym(library, "gpu_cub_transform") : NULL;
    void *knows = library != NULL ? dlsym(library, "gpu_cub_knows") : NULL;
    if (transform == NULL || knows == NULL) {
        snprintf(why->text, sizeof why->text, "%s: %s", path, dlerror());
        return false;
    }
    memcpy(&cub.transform, &transform, sizeof transform);
    memcpy(&cub.knows, &knows, sizeof knows);
    cub.library = library;
    return true;
}

static actune_status put(void *self, const gpu_set *set, at_cu_stream stream)
{
    const cub_arm *a = self;
    int code = cub.transform(a->op, a->type, set->tensor[GPU_FROM_X], set->tensor[GPU_FROM_OTHER], set->tensor[GPU_TO_Y], a->elements, stream);
    return code == 0 ? ACTUNE_OK : at_fail(ACTUNE_DEVICE, "cub::DeviceTransform: CUDA error %d", code);
}

void gpu_cub_add(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports, gpu_why *why)
{
    static const int types[] = {[ACTUNE_F32] = GPU_CUB_F32, [ACTUNE_F64] = -1, [ACTUNE_F16] = GPU_CUB_F16, [ACTUNE_BF16] = GPU_CUB_BF16};
    const char *op = gpu_bare_spec(row->spec);
    (void)bench;
    if (!load(why))
        return;
    if (row->direction != ACTUNE_FORWARD || types[row->dtype] < 0 || !cub.knows(op, (enum gpu_cub_type)types[row->dtype])) {
        snprintf(why->text, sizeof why->text, "no functor for this row");
        return;
    }
    cub_arm *a = calloc(1, sizeof *a);
    gpu_arm *arm = a != NULL ? gpu_race_add(race, "cub::DeviceTransform") : NULL;
    if (arm == NULL) {
        free(a);
        return;
    }
    snprintf(a->op, sizeof a->op, "%s", op);
    a->type = (enum gpu_cub_type)types[row->dtype];
    a->elements = ports->elements;
    arm->put = put;
    arm->close = free;
    arm->self = a;
    arm->bytes = ports->moved_bytes;
    arm->computes = true;
}
