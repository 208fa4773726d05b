/* Compiled CUDA code and its place in the cache. Inside the CUDA back end only. */
#ifndef AT_BACKEND_CUDA_IMAGE_H
#define AT_BACKEND_CUDA_IMAGE_H

#include "cpu.h"

typedef struct at_cuda_image {
    char *code; /* cubin, or PTX with its NUL; heap */
    size_t bytes;
    bool ptx;
    double compile_ms;
    char origin[64];
} at_cuda_image;

void at_cuda_image_clear(at_cuda_image *image);
/* NOT_FOUND when the cache has none that NVRTC here would make again. */
actune_status at_cuda_image_recall(at_cache *cache, const char *source, int arch, at_cuda_image *image);
/* Compiles for exactly `arch`, to PTX of the newest older one where NVRTC does not know it; puts the result into the cache. */
actune_status at_cuda_image_compile(at_cache *cache, const char *source, int arch, at_cuda_image *image);

#endif
