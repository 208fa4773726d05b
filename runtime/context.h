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
    at_dispatch *dispatch; /* replaced when something was tuned */
    pthread_rwlock_t dispatch_lock; /* read: while a plan looks for its winner and uses what it found */
    at_cache *cache; /* NULL: no folder can be used, cache_note says why, everything is interpreted */
    char cache_note[512];
    int max_threads;
    bool no_compile;
    actune_tuning tuning;
    double tune_seconds;
    char *database; /* as it was named; NULL: the default one */
    actune_log_fn log;
    void *log_user;
    pthread_mutex_t tuning_lock; /* one plan of the context is tuned at a time */
    pthread_mutex_t pool_lock; /* around the making of the pool */
    at_init_kernels init;
    at_pool *pool;             /* NULL until a plan with several threads is made */
};

/* What code is generated for. */
at_target at_context_target(const actune_context *context);
void at_context_retain(actune_context *context);
/* Reads the database anew, after a plan was tuned. */
actune_status at_context_reload(actune_context *context);
/* A line for the host's log, printf style; nothing where it wants none. */
void at_context_log(const actune_context *context, bool warning, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The context's pool, made at the first call. */
actune_status at_context_pool(actune_context *context, at_pool **pool);

#endif
