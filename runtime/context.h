/* A context: one device with its winners, the cache of binaries and the worker threads; shared by its plans. */
#ifndef AT_RUNTIME_CONTEXT_H
#define AT_RUNTIME_CONTEXT_H

#include "backend/cpu.h"
#include "backend/cuda_device.h"
#include "backend/cudnn_handles.h"
#include "device.h"
#include "dispatch.h"
#include "init.h"
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>

struct actune_context {
    _Atomic int references; /* the opener and every plan: closed early, it lives until the last plan is destroyed */
    at_device device;
    at_cuda_device *cuda; /* NULL: the device is a CPU */
    at_cudnn_handles cudnn;
    at_dispatch *dispatch;
    at_cache *cache; /* NULL: no folder can be used, cache_note says why, everything is interpreted */
    char cache_note[512];
    int max_threads;
    bool no_compile;
    pthread_mutex_t pool_lock; /* around the making of the pool */
    at_init_kernels init;
    at_pool *pool;             /* NULL until a plan with several threads is made */
};

/* What code is generated for. */
at_target at_context_target(const actune_context *context);
void at_context_retain(actune_context *context);
/* The context's pool, made at the first call. */
actune_status at_context_pool(actune_context *context, at_pool **pool);

#endif
