#include "cuda_module.h"

#include "cubin.h"
#include "cuda_image.h"

#include <stdlib.h>
#include <string.h>

/* Variants carry their hash in their names ("actune_0123456789abcdef"): it is blanked, so that equal code is seen to be equal. */
static at_hash hash_without(const at_cuda_image *image, const char *symbol)
{
    size_t length = strlen(symbol);
    unsigned char *copy = malloc(image->bytes + 1);
    at_hash hash = {{0}};
    if (copy == NULL)
        return hash;
    memcpy(copy, image->code, image->bytes);
    for (size_t i = 0; i + length <= image->bytes; i++)
        if (copy[i] == (unsigned char)symbol[0] && memcmp(copy + i, symbol, length) == 0)
            memset(copy + i, '_', length);
    hash = at_hash_bytes(copy, image->bytes);
    free(copy);
    return hash;
}

/* Of a cubin what runs counts, code and constants: variants that differ in anything else are twins. Of PTX, and of a file that is no cubin as
   we know them, the whole. */
static void identify(at_cuda_kernel *kernel, const at_cuda_image *image, const char *symbol)
{
    at_cubin_kernel read;
    if (!image->ptx && at_cubin_read(image->code, image->bytes, symbol, &read) == ACTUNE_OK && read.code_bytes > 0) {
        kernel->code_hash = read.code_hash;
        kernel->code_bytes = read.code_bytes;
        return;
    }
    kernel->code_hash = hash_without(image, symbol);
    kernel->code_bytes = image->bytes;
}

/* The context is current. */
static actune_status load(const at_cuda_device *device, const at_cuda_request *request, const at_cuda_image *image, at_cuda_kernel **kernel)
{
    AT_TRY(at_cuda_kernel_load(device, image->code, request->symbol, request->finish, kernel));
    (*kernel)->ptx = image->ptx;
    (*kernel)->compile_ms = image->compile_ms;
    memcpy((*kernel)->origin, image->origin, sizeof image->origin);
    identify(*kernel, image, request->symbol);
    return ACTUNE_OK;
}

static actune_status build(const at_cuda_device *device, at_cache *cache, const at_cuda_request *request, at_cuda_kernel **kernel)
{
    at_cuda_image image;
    actune_status status = at_cuda_image_recall(cache, request->source, device->info.arch, &image);
    if (status == ACTUNE_OK) {
        status = load(device, request, &image, kernel);
        at_cuda_image_clear(&image);
        if (status == ACTUNE_OK || status == ACTUNE_NO_MEMORY)
            return status;
    }
    if (request->no_compile)
        return at_fail(ACTUNE_NOT_FOUND, "the kernel is not in the cache (%s), and compiling is switched off", actune_last_error());
    AT_TRY(at_cuda_image_compile(cache, request->source, device->info.arch, &image));
    status = load(device, request, &image, kernel);
    at_cuda_image_clear(&image);
    return status;
}

actune_status at_cuda_kernel_build(const at_cuda_device *device, at_cache *cache, const at_cuda_request *request, at_cuda_kernel **kernel)
{
    bool pushed;
    *kernel = NULL;
    AT_TRY(at_cuda_enter(device, &pushed));
    actune_status status = build(device, cache, request, kernel);
    at_cuda_leave(device, pushed);
    return status;
}
