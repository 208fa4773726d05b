/* Initial weights: the kernels of a context, and the plain way. */
#ifndef AT_RUNTIME_INIT_H
#define AT_RUNTIME_INIT_H

#include "../codegen/emit_init.h"
#include "backend/cpu.h"
#include "backend/cuda_module.h"
#include "base/dtype.h"

#include <pthread.h>

/* One of each element type, built when it is first wanted. */
typedef struct at_init_kernels {
    pthread_mutex_t lock;
    bool tried[AT_DTYPE_COUNT]; /* on a CPU: what could not be built then is drawn the plain way from then on */
    at_binary *binary[AT_DTYPE_COUNT];
    at_cuda_kernel *cuda[AT_DTYPE_COUNT];
} at_init_kernels;

void at_init_kernels_init(at_init_kernels *kernels);
void at_init_kernels_clear(at_init_kernels *kernels);

/* The bits of the kernels, on the CPU without a compiler. `begin` is even. */
void at_init_plain(actune_dtype dtype, const at_init_draw *draw, void *tensor, int64_t begin, int64_t end);
/* One block of Philox 4x32-10: the counter is replaced by four random words. */
void at_philox(uint32_t counter[4], uint64_t key);

/* `n` elements on the context's device. */
actune_status at_init_run(actune_context *context, actune_dtype dtype, const at_init_draw *draw, void *tensor, int64_t n, void *stream);

#endif
