/* oneDNN's eltwise primitive (C API of 2.x, as Debian has it). */
#include "arms.h"

#ifdef HAVE_ONEDNN
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

typedef struct onednn_arm {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_t x, y;
} onednn_arm;

static const struct {
    const char *op;
    dnnl_alg_kind_t kind;
    float alpha, beta;
} algorithms[] = {
    {"relu", dnnl_eltwise_relu, 0, 0},
    {"leaky_relu", dnnl_eltwise_relu, 0.01f, 0},
    {"clip(-6, 6)", dnnl_eltwise_clip, -6, 6},
    {"hardswish", dnnl_eltwise_hardswish, 0, 0},
    {"sigmoid", dnnl_eltwise_logistic, 0, 0},
    {"silu", dnnl_eltwise_swish, 1, 0},
    {"tanh", dnnl_eltwise_tanh, 0, 0},
    {"elu", dnnl_eltwise_elu, 1, 0},
    {"gelu", dnnl_eltwise_gelu_erf, 0, 0},
    {"gelu_tanh", dnnl_eltwise_gelu_tanh, 0, 0},
    {"mish", dnnl_eltwise_mish, 0, 0},
};

static void run(void *self, void *const *port)
{
    onednn_arm *arm = self;
    dnnl_memory_set_data_handle(arm->x, port[0]);
    dnnl_memory_set_data_handle(arm->y, port[1]);
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, arm->x}, {DNNL_ARG_DST, arm->y}};
    dnnl_primitive_execute(arm->primitive, arm->stream, 2, arguments);
}

void bench_onednn_close(void *self)
{
    onednn_arm *arm = self;
    dnnl_memory_destroy(arm->x);
    dnnl_memory_destroy(arm->y);
    dnnl_primitive_destroy(arm->primitive);
    dnnl_stream_destroy(arm->stream);
    dnnl_engine_destroy(arm->engine);
    free(arm);
}

/* One thread, as all arms. oneDNN of Debian runs on OpenMP. */
static void one_thread(void)
{
    void (*set)(int) = NULL;
    *(void **)&set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (set)
        set(1);
}

bool bench_onednn(const char *op, int64_t n, at_arm *arm)
{
    size_t a = 0, count = sizeof algorithms / sizeof *algorithms;
    while (a < count && strcmp(algorithms[a].op, op))
        a++;
    onednn_arm *self = calloc(1, sizeof *self);
    if (a == count || !self) {
        free(self);
        return false;
    }
    one_thread();
    dnnl_memory_desc_t shape;
    dnnl_eltwise_desc_t desc;
    dnnl_primitive_desc_t primitive_desc = NULL;
    dnnl_dims_t dims = {n};
    bool ok = !dnnl_engine_create(&self->engine, dnnl_cpu, 0) &&
              !dnnl_stream_create(&self->stream, self->engine, dnnl_stream_default_flags) &&
              !dnnl_memory_desc_init_by_tag(&shape, 1, dims, dnnl_f32, dnnl_a) &&
              !dnnl_eltwise_forward_desc_init(&desc, dnnl_forward_inference, algorithms[a].kind, &shape, algorithms[a].alpha,
                                              algorithms[a].beta) &&
              !dnnl_primitive_desc_create(&primitive_desc, &desc, NULL, self->engine, NULL) &&
              !dnnl_primitive_create(&self->primitive, primitive_desc) &&
              !dnnl_memory_create(&self->x, &shape, self->engine, DNNL_MEMORY_NONE) &&
              !dnnl_memory_create(&self->y, &shape, self->engine, DNNL_MEMORY_NONE);
    if (primitive_desc)
        dnnl_primitive_desc_destroy(primitive_desc);
    if (!ok) {
        free(self);
        return false;
    }
    *arm = (at_arm){.kind = AT_ARM_CALL, .call = run, .self = self, .wide = true};
    return true;
}
#else
bool bench_onednn(const char *op, int64_t n, at_arm *arm)
{
    (void)op, (void)n, (void)arm;
    return false;
}

void bench_onednn_close(void *self)
{
    (void)self;
}
#endif
