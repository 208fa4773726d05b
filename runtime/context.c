#include "context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TUNE_SECONDS = 10 };

/* A program without a home (a daemon, a container) compiles to a folder of its user in the temporary folder;
   at_cache_open refuses one that somebody else made there. */
static actune_status open_temporary_cache(at_cache **cache)
{
    const char *folder = getenv("TMPDIR");
    char path[512];
    int length = snprintf(path, sizeof path, "%s/actune-%lu", folder != NULL && folder[0] == '/' ? folder : "/tmp",
                          (unsigned long)geteuid());
    if (length < 0 || length >= (int)sizeof path)
        return at_fail(ACTUNE_IO, "TMPDIR is too long");
    return at_cache_open(path, cache);
}

/* A folder that was asked for must work; of the default ones any will do, and without one kernels are interpreted. */
static actune_status open_cache(actune_context *context, const char *folder)
{
    if (folder != NULL)
        return at_cache_open(folder, &context->cache);
    if (at_cache_open(NULL, &context->cache) == ACTUNE_OK)
        return ACTUNE_OK;
    snprintf(context->cache_note, sizeof context->cache_note, "no cache of compiled kernels: %s", actune_last_error());
    if (open_temporary_cache(&context->cache) == ACTUNE_OK)
        snprintf(context->cache_note, sizeof context->cache_note, "compiled kernels are kept in %s",
                 at_cache_folder(context->cache));
    return ACTUNE_OK;
}

static actune_status take_tuning(actune_context *context, const actune_context_options *options)
{
    bool writes = options->tuning == ACTUNE_TUNING_RECORD || options->tuning == ACTUNE_TUNING_TUNE;
    if (!writes && options->tuning != ACTUNE_TUNING_CACHED && options->tuning != ACTUNE_TUNING_OFF)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "tuning %d is none of off, cached, record and tune", (int)options->tuning);
    if (writes && options->database != NULL && options->database[0] == '\0')
        return at_fail(ACTUNE_INVALID_ARGUMENT, "tuning mode %s needs a database, and \"\" opens none",
                       options->tuning == ACTUNE_TUNING_TUNE ? "tune" : "record");
    if (!(options->tune_seconds >= 0))
        return at_fail(ACTUNE_INVALID_ARGUMENT, "tune_seconds is %g; 0 means 10", options->tune_seconds);
    context->tuning = options->tuning;
    context->tune_seconds = options->tune_seconds > 0 ? options->tune_seconds : TUNE_SECONDS;
    context->log = options->log;
    context->log_user = options->log_user;
    if (options->database == NULL)
        return ACTUNE_OK;
    context->database = strdup(options->database);
    return context->database != NULL ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory for a context");
}

/* As at_store_open takes it. */
static const char *database_of(const actune_context *context)
{
    return context->tuning == ACTUNE_TUNING_OFF ? "" : context->database;
}

actune_status at_context_reload(actune_context *context)
{
    at_dispatch *fresh;
    AT_TRY(at_dispatch_load(database_of(context), &context->device, &fresh));
    pthread_rwlock_wrlock(&context->dispatch_lock);
    at_dispatch *old = context->dispatch;
    context->dispatch = fresh;
    pthread_rwlock_unlock(&context->dispatch_lock);
    at_dispatch_free(old);
    return ACTUNE_OK;
}

void at_context_log(const actune_context *context, bool warning, const char *format, ...)
{
    char message[1024];
    if (context->log == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    context->log(context->log_user, warning, message);
}

static actune_status open_context(actune_context *context, const actune_context_options *options)
{
    AT_TRY(at_device_get(options->device != NULL ? options->device : "cpu", &context->device));
    if (options->max_threads < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "max_threads is %d; 0 means all processors", options->max_threads);
    if (context->device.cuda_ordinal >= 0)
        AT_TRY(at_cuda_open(context->device.cuda_ordinal, &context->cuda));
    context->max_threads = context->cuda != NULL ? 1 : context->device.processors;
    if (options->max_threads > 0 && options->max_threads < context->max_threads)
        context->max_threads = options->max_threads;
    context->no_compile = options->no_compile;
    AT_TRY(take_tuning(context, options));
    AT_TRY(at_dispatch_load(database_of(context), &context->device, &context->dispatch));
    return open_cache(context, options->cache_folder);
}

actune_status actune_context_open(const actune_context_options *options, actune_context **context)
{
    static const actune_context_options defaults;
    if (context == NULL)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "actune_context_open: the place for the context is NULL");
    *context = NULL;
    actune_context *new = calloc(1, sizeof *new);
    if (new == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a context");
    pthread_mutex_init(&new->pool_lock, NULL);
    pthread_mutex_init(&new->tuning_lock, NULL);
    pthread_rwlock_init(&new->dispatch_lock, NULL);
    at_cudnn_handles_init(&new->cudnn);
    at_init_kernels_init(&new->init);
    new->references = 1;
    actune_status status = open_context(new, options != NULL ? options : &defaults);
    if (status != ACTUNE_OK) {
        actune_context_close(new);
        return status;
    }
    *context = new;
    return ACTUNE_OK;
}

at_target at_context_target(const actune_context *context)
{
    return at_device_target(&context->device);
}

void at_context_retain(actune_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void actune_context_close(actune_context *context)
{
    if (context == NULL || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    at_pool_destroy(context->pool);
    at_dispatch_free(context->dispatch);
    at_init_kernels_clear(&context->init);
    at_cudnn_handles_clear(&context->cudnn, context->cuda);
    at_cuda_close(context->cuda);
    if (context->cache != NULL)
        at_cache_close(context->cache);
    pthread_mutex_destroy(&context->pool_lock);
    pthread_mutex_destroy(&context->tuning_lock);
    pthread_rwlock_destroy(&context->dispatch_lock);
    free(context->database);
    free(context);
}

actune_status at_context_pool(actune_context *context, at_pool **pool)
{
    pthread_mutex_lock(&context->pool_lock);
    actune_status status = ACTUNE_OK;
    if (context->pool == NULL)
        status = at_pool_create(context->max_threads, &context->pool);
    *pool = context->pool;
    pthread_mutex_unlock(&context->pool_lock);
    return status;
}
