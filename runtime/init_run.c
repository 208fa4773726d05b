/* Running the kernels that initialise weights: built once a context and element type, cut among threads. */
#include "init.h"

#include "backend/cuda_launch.h"
#include "context.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_ALIGN = 64, THREAD_ELEMENTS_MIN = 4096, BLOCKS_PER_SM = 16 };

void at_init_kernels_init(at_init_kernels *kernels)
{
    *kernels = (at_init_kernels){0};
    pthread_mutex_init(&kernels->lock, NULL);
}

void at_init_kernels_clear(at_init_kernels *kernels)
{
    for (int i = 0; i < AT_DTYPE_COUNT; i++) {
        at_binary_release(kernels->binary[i]);
        at_cuda_kernel_destroy(kernels->cuda[i]);
    }
    pthread_mutex_destroy(&kernels->lock);
}

static actune_status build(actune_context *context, actune_dtype dtype)
{
    at_target target = at_context_target(context);
    at_strbuf source = {0};
    at_build_info info;
    actune_status status = at_emit_init(dtype, &target, &source);
    if (status == ACTUNE_OK && target.cuda) {
        at_cuda_request request = {.source = at_strbuf_text(&source), .symbol = "actune_init", .no_compile = context->no_compile};
        status = at_cuda_kernel_build(context->cuda, context->cache, &request, &context->init.cuda[dtype]);
    } else if (status == ACTUNE_OK)
        status = at_binary_build(context->cache, at_strbuf_text(&source), at_isa_name(target.isa), context->no_compile,
                                 &context->init.binary[dtype], &info);
    at_strbuf_clear(&source);
    return status;
}

/* --- CPU --- */

static bool is_interpreting(const actune_context *context)
{
    const char *value = getenv("ACTUNE_INTERPRET");
    return context->cache == NULL || (value != NULL && value[0] != '\0' && strcmp(value, "0") != 0);
}

/* NULL: draw the plain way. That has the same bits, so why the kernel is not there does not matter to the caller. */
static actune_kernel_fn function_of(actune_context *context, actune_dtype dtype)
{
    at_init_kernels *kernels = &context->init;
    if (is_interpreting(context))
        return NULL;
    pthread_mutex_lock(&kernels->lock);
    if (!kernels->tried[dtype] && build(context, dtype) != ACTUNE_OK)
        kernels->binary[dtype] = NULL;
    kernels->tried[dtype] = true;
    at_binary *binary = kernels->binary[dtype];
    pthread_mutex_unlock(&kernels->lock);
    return binary != NULL ? at_binary_symbol(binary, "actune_init") : NULL;
}

typedef struct cut {
    actune_kernel_fn function;
    actune_dtype dtype;
    const at_init_draw *draw;
    void *tensor;
    int64_t n, step;
} cut;

static void run_piece(void *user, int piece)
{
    const cut *c = user;
    void *ports[] = {c->tensor, (void *)c->draw};
    actune_slice slice = {.port = ports, .outer = 1, .channels = 1, .inner = c->n, .begin = piece * c->step};
    slice.end = slice.begin + c->step < c->n ? slice.begin + c->step : c->n;
    if (slice.begin >= slice.end)
        return;
    if (c->function != NULL)
        c->function(&slice);
    else
        at_init_plain(c->dtype, c->draw, c->tensor, slice.begin, slice.end);
}

static actune_status run_cpu(actune_context *context, cut *c)
{
    int64_t most = c->n / THREAD_ELEMENTS_MIN;
    int threads = most < 1 ? 1 : most < context->max_threads ? (int)most : context->max_threads;
    c->function = function_of(context, c->dtype);
    c->step = (c->n / threads / PIECE_ALIGN + 1) * PIECE_ALIGN;
    at_pool *pool;
    AT_TRY(at_context_pool(context, &pool));
    /* Weights do not depend on how the host rounds; workers take the environment over. */
    fenv_t environment;
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    at_pool_run(pool, threads, run_piece, c);
    fesetenv(&environment);
    return ACTUNE_OK;
}

/* --- CUDA --- */

static actune_status kernel_of(actune_context *context, actune_dtype dtype, const at_cuda_kernel **kernel)
{
    at_init_kernels *kernels = &context->init;
    pthread_mutex_lock(&kernels->lock);
    actune_status status = kernels->cuda[dtype] != NULL ? ACTUNE_OK : build(context, dtype);
    *kernel = kernels->cuda[dtype];
    pthread_mutex_unlock(&kernels->lock);
    return status;
}

static actune_status run_cuda(actune_context *context, const cut *c, void *stream)
{
    at_signature signature = {.port = {{.name = "weight", .dtype = c->dtype, .is_output = true}}, .ports = 1};
    at_cuda_launch launch = {.signature = &signature, .block = AT_INIT_BLOCK};
    int64_t blocks = c->n / AT_INIT_PER_BLOCK + (c->n % AT_INIT_PER_BLOCK != 0), most = (int64_t)context->cuda->info.sms * BLOCKS_PER_SM;
    long long scale;
    memcpy(&scale, &c->draw->scale, sizeof scale);
    const long long extents[] = {c->n, (long long)c->draw->seed, (long long)c->draw->offset, (long long)c->draw->normal, scale};
    AT_TRY(kernel_of(context, c->dtype, &launch.kernel));
    launch.grid = (unsigned)(blocks < most ? blocks : most);
    launch.extents.count = sizeof extents / sizeof *extents;
    memcpy(launch.extents.value, extents, sizeof extents);
    return at_cuda_launch_run(&launch, &c->tensor, NULL, stream);
}

actune_status at_init_run(actune_context *context, actune_dtype dtype, const at_init_draw *draw, void *tensor, int64_t n, void *stream)
{
    cut c = {.dtype = dtype, .draw = draw, .tensor = tensor, .n = n};
    return context->cuda != NULL ? run_cuda(context, &c, stream) : run_cpu(context, &c);
}
