#include "exported_cuda.h"

#include "expand.h"

#include <stdlib.h>

struct at_exported_device {
    at_cuda_device *device;
    const at_exported_arch *arch;
    at_cuda_kernel *_Atomic loaded[]; /* by variant */
};

/* Code of the same generation that is not newer; else the newest PTX that the driver can make something of. */
static const at_exported_arch *choose_arch(const at_exported_cuda *cuda, int arch)
{
    for (int i = 0; i < cuda->archs; i++) {
        const at_exported_arch *a = &cuda->arch[i];
        if (a->arch <= arch && (a->ptx || a->arch / 10 == arch / 10))
            return a;
    }
    return NULL;
}

/* The lock is held. */
static actune_status open_device(at_exported_cuda *cuda, int ordinal, at_exported_device **opened)
{
    at_cuda_device *device;
    AT_TRY(at_cuda_open(ordinal, &device));
    const at_exported_arch *arch = choose_arch(cuda, device->info.arch);
    actune_status status = ACTUNE_OK;
    if (arch == NULL)
        status = at_fail(ACTUNE_UNSUPPORTED, "cuda:%d is of sm_%d, the library was made for %s: export it for that too", ordinal, device->info.arch, cuda->wanted);
    at_exported_device *made = arch != NULL ? calloc(1, sizeof *made + sizeof *made->loaded * (size_t)arch->variants) : NULL;
    if (arch != NULL && made == NULL)
        status = at_fail(ACTUNE_NO_MEMORY, "no memory for a device");
    if (status != ACTUNE_OK) {
        at_cuda_close(device);
        return status;
    }
    made->device = device;
    made->arch = arch;
    atomic_store_explicit(&cuda->device[ordinal], made, memory_order_release);
    *opened = made;
    return ACTUNE_OK;
}

static actune_status get_device(at_exported_cuda *cuda, int ordinal, at_exported_device **device)
{
    if (ordinal < 0 || ordinal >= AT_EXPORTED_DEVICES_MAX)
        return at_fail(ACTUNE_DEVICE, "there is no device cuda:%d", ordinal);
    *device = atomic_load_explicit(&cuda->device[ordinal], memory_order_acquire);
    if (*device != NULL)
        return ACTUNE_OK;
    pthread_mutex_lock(&cuda->lock);
    *device = atomic_load_explicit(&cuda->device[ordinal], memory_order_acquire);
    actune_status status = *device != NULL ? ACTUNE_OK : open_device(cuda, ordinal, device);
    pthread_mutex_unlock(&cuda->lock);
    return status;
}

static actune_status load_image(at_exported_device *device, int number, const unsigned char *image)
{
    const at_exported_code *code = &device->arch->variant[number];
    at_cuda_kernel *kernel = NULL;
    bool pushed;
    AT_TRY(at_cuda_enter(device->device, &pushed));
    actune_status status = at_cuda_kernel_load(device->device, image, code->symbol, code->finish, &kernel);
    at_cuda_leave(device->device, pushed);
    if (status == ACTUNE_OK)
        atomic_store_explicit(&device->loaded[number], kernel, memory_order_release);
    return status;
}

/* A NUL stands behind the image: PTX is a text. */
static actune_status load(at_exported_device *device, int number)
{
    const at_exported_code *code = &device->arch->variant[number];
    unsigned char *image = calloc(1, code->bytes + 1);
    if (image == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a kernel");
    actune_status status = at_exported_expand(code->packed, code->packed_bytes, image, code->bytes)
                               ? load_image(device, number, image)
                               : at_fail(ACTUNE_INTERNAL, "the code of %s is damaged", code->symbol);
    free(image);
    return status;
}

static actune_status get_kernel(at_exported_cuda *cuda, at_exported_device *device, int number, const at_cuda_kernel **kernel)
{
    actune_status status = ACTUNE_OK;
    *kernel = atomic_load_explicit(&device->loaded[number], memory_order_acquire);
    if (*kernel != NULL)
        return ACTUNE_OK;
    pthread_mutex_lock(&cuda->lock);
    if (atomic_load_explicit(&device->loaded[number], memory_order_acquire) == NULL)
        status = load(device, number);
    pthread_mutex_unlock(&cuda->lock);
    *kernel = atomic_load_explicit(&device->loaded[number], memory_order_acquire);
    return status;
}

actune_status at_exported_cuda_run(at_exported_cuda *cuda, at_exported_function *function, int ordinal, void *const *ports, actune_shape shape,
                                   void *workspace, void *stream)
{
    at_exported_device *device;
    const at_cuda_kernel *loaded;
    const at_kernel kernel = {.signature = function->signature};
    at_layout layout = at_layout_of(&kernel.signature, shape);
    at_cuda_launch launch;
    at_launch sane;
    actune_status status = at_launch_init(&sane, &kernel.signature, layout, shape, 1);
    if (status != ACTUNE_OK)
        return at_fail_in(status, "%s", function->name);
    AT_TRY(at_exported_check(function, ports, shape));
    if (sane.workspace_bytes > 0 && workspace == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s: %zu bytes of device memory are wanted as workspace", function->name, sane.workspace_bytes);
    AT_TRY(get_device(cuda, ordinal, &device));
    at_table_key key = at_table_key_of(&function->kernel, layout, shape, at_exported_in_place(function, ports));
    int number = at_exported_find(device->arch->table, &key);
    AT_TRY(get_kernel(cuda, device, number, &loaded));
    AT_TRY(at_cuda_launch_init(&launch, loaded, &kernel, layout, shape, &device->arch->variant[number].geometry));
    return at_cuda_launch_run(&launch, ports, workspace, stream);
}

size_t at_exported_cuda_workspace(const at_exported_function *function, actune_shape shape)
{
    at_launch launch;
    at_layout layout = at_layout_of(&function->signature, shape);
    return at_launch_init(&launch, &function->signature, layout, shape, 1) == ACTUNE_OK ? launch.workspace_bytes : 0;
}

actune_status at_exported_cuda_prewarm(at_exported_cuda *cuda, int ordinal)
{
    at_exported_device *device;
    const at_cuda_kernel *kernel;
    AT_TRY(get_device(cuda, ordinal, &device));
    for (int i = 0; i < device->arch->variants; i++)
        AT_TRY(get_kernel(cuda, device, i, &kernel));
    return ACTUNE_OK;
}

void at_exported_cuda_release(at_exported_cuda *cuda)
{
    for (int d = 0; d < AT_EXPORTED_DEVICES_MAX; d++) {
        at_exported_device *device = atomic_exchange(&cuda->device[d], NULL);
        for (int i = 0; device != NULL && i < device->arch->variants; i++)
            at_cuda_kernel_destroy(atomic_load(&device->loaded[i]));
        if (device != NULL)
            at_cuda_close(device->device);
        free(device);
    }
}
