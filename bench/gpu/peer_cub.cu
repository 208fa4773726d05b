// cub::DeviceTransform over the operations that users write by hand: computed in float with CUDA's own functions, rounded once.
// nvcc -O3 -std=c++17 -arch=native -shared -Xcompiler -fPIC peer_cub.cu -o libpeer_cub.so
#include "peer_cub.h"

#include <cub/device/device_transform.cuh>
#include <cuda/std/tuple>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>

struct relu {
    __device__ float operator()(float x) const { return x > 0 || isnan(x) ? x : 0; }
};
struct leaky_relu {
    __device__ float operator()(float x) const { return x > 0 ? x : 0.01f * x; }
};
struct elu {
    __device__ float operator()(float x) const { return x > 0 ? x : expm1f(x); }
};
struct sigmoid {
    __device__ float operator()(float x) const { return 1 / (1 + expf(-x)); }
};
struct tanh_op {
    __device__ float operator()(float x) const { return tanhf(x); }
};
struct silu {
    __device__ float operator()(float x) const { return x / (1 + expf(-x)); }
};
struct gelu {
    __device__ float operator()(float x) const { return 0.5f * x * erfcf(-0.70710678f * x); }
};
struct gelu_tanh {
    __device__ float operator()(float x) const { return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x))); }
};
struct clip_0_6 {
    __device__ float operator()(float x) const { return x < 0 ? 0 : x > 6 ? 6 : x; }
};
struct hardswish {
    __device__ float operator()(float x) const { return x < -3 ? 0 : x <= 3 ? x * (x + 3) / 6 : x; }
};
struct mish {
    __device__ float operator()(float x) const { return x * tanhf(log1pf(expf(x))); }
};
struct identity {
    __device__ float operator()(float x) const { return x; }
};
struct add_relu {
    __device__ float operator()(float x, float other) const { return relu()(x + other); }
};
struct silu_mul {
    __device__ float operator()(float x, float other) const { return silu()(x) * other; }
};

template <typename T, typename Op> struct rounded {
    __device__ T operator()(T x) const { return T(Op()(float(x))); }
    __device__ T operator()(T x, T other) const { return T(Op()(float(x), float(other))); }
};

template <typename T, typename Op> static int unary(const void *x, const void *, void *y, long long n, void *stream)
{
    return cub::DeviceTransform::Transform(static_cast<const T *>(x), static_cast<T *>(y), n, rounded<T, Op>(),
                                           static_cast<cudaStream_t>(stream));
}

template <typename T, typename Op> static int binary(const void *x, const void *other, void *y, long long n, void *stream)
{
    return cub::DeviceTransform::Transform(cuda::std::make_tuple(static_cast<const T *>(x), static_cast<const T *>(other)),
                                           static_cast<T *>(y), n, rounded<T, Op>(), static_cast<cudaStream_t>(stream));
}

typedef int (*transform)(const void *, const void *, void *, long long, void *);

#define UNARY(NAME, OP) {NAME, {unary<float, OP>, unary<__half, OP>, unary<__nv_bfloat16, OP>}}
#define BINARY(NAME, OP) {NAME, {binary<float, OP>, binary<__half, OP>, binary<__nv_bfloat16, OP>}}
static const struct {
    const char *name;
    transform run[3];
} ops[] = {UNARY("relu", relu),         UNARY("leaky_relu", leaky_relu), UNARY("elu", elu),
           UNARY("sigmoid", sigmoid),   UNARY("tanh", tanh_op),          UNARY("silu", silu),
           UNARY("gelu", gelu),         UNARY("gelu_tanh", gelu_tanh),   UNARY("clip(0, 6)", clip_0_6),
           UNARY("hardswish", hardswish), UNARY("mish", mish),           UNARY("identity", identity),
           BINARY("add | relu", add_relu), BINARY("silu | mul", silu_mul)};

static transform find(const char *op, gpu_cub_type type)
{
    for (const auto &o : ops)
        if (std::strcmp(o.name, op) == 0)
            return o.run[type];
    return nullptr;
}

int gpu_cub_knows(const char *op, enum gpu_cub_type type)
{
    return find(op, type) != nullptr;
}

int gpu_cub_transform(const char *op, enum gpu_cub_type type, const void *x, const void *other, void *y, long long n, void *stream)
{
    transform run = find(op, type);
    return run ? run(x, other, y, n, stream) : -1;
}
